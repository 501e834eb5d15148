"""The built-in strategies, and where a session's requests go.  Source: engine.md 8.3, design.md 2.4 (Sessions).

All are pure: what they need of the past is in the seats and in ``Asked``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from rotator.rotation import Asked, Pick, Seat, Strategy

#: The least weight in a balanced draw.
LEAST_WEIGHT: Final = 0.1


class Sequential:
    """Fill one key first: stay with it until it is out, then take the most used one."""

    name = "sequential"

    def pick(self, seats: Sequence[Seat], asked: Asked) -> Pick:
        if (found := kept(seats, asked)) is not None:
            return found
        seat = max(seats, key=lambda seat: (seat.used, seat.last_used_at, -seat.place))
        return Pick(seat, f"the most used ({seat.used:g})" if seat.used else "none was used yet")


class Balanced:
    """Spread by what is left: a draw in which the less used have more weight; with tolerance 0 always the least used.

    Only a session is kept to its key. Use is in percent of the limit where each key's is known, else in requests.
    """

    name = "balanced"

    def pick(self, seats: Sequence[Seat], asked: Asked) -> Pick:
        if asked.session is not None and (found := kept(seats, asked)) is not None:
            return found
        used = _loads(seats)
        if asked.tolerance == 0:
            order = range(len(seats))
            index = min(order, key=lambda one: (used[one], seats[one].last_used_at, seats[one].place))
            return Pick(seats[index], f"the least used ({used[index]:g})")
        most = max(used)
        weights = [max(LEAST_WEIGHT, most - one + asked.tolerance + 1) for one in used]
        ends = list(accumulate(weights))
        drawn = asked.rng.random() * ends[-1]
        index = bisect_right(ends, drawn)
        return Pick(seats[index], f"drawn ({drawn:.3f} of {ends[-1]:.3f}, weight {weights[index]:g})")


def _loads(seats: Sequence[Seat]) -> list[float]:
    loads = [100 * seat.used / limit for seat in seats if (limit := seat.limit)]
    return loads if len(loads) == len(seats) else [seat.used for seat in seats]


class RoundRobin:
    """Each in turn: the one that was longest not used."""

    name = "round_robin"

    def pick(self, seats: Sequence[Seat], asked: Asked) -> Pick:
        if asked.session is not None and (found := kept(seats, asked)) is not None:
            return found
        return Pick(min(seats, key=lambda seat: (seat.turn, seat.place)), "its turn")


BUILT_IN: Final[Mapping[str, Strategy]] = MappingProxyType(
    {strategy.name: strategy for strategy in (Sequential(), Balanced(), RoundRobin())}
)


def kept(seats: Sequence[Seat], asked: Asked) -> Pick | None:
    """The key that is kept to: the one used last, or for a new session its place; None where there is none.

    A session is placed by rendezvous hashing over labels: adding a key moves few, and a simulation elsewhere places
    them alike.
    """
    if asked.stuck is not None:
        for seat in seats:
            if seat.credential.id == asked.stuck:
                return Pick(seat, "the session's key" if asked.session is not None else "the key in use")
    if asked.session is None:
        return None
    session = asked.session
    return Pick(max(seats, key=lambda seat: _weight(session, seat.credential.label)), "the session's place")


def _weight(session: str, label: str) -> bytes:
    return blake2b(f"{session}\0{label}".encode(), digest_size=8).digest()
