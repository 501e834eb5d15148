"""The fair cycle: no key is used up a second time before its peers were used up once.  Source: engine.md 8.7.

The check is pure (``standing``); what it finds due becomes true with ``commit``, which only a real choice calls.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from rotator.config.rotation import FairCycle

_NONE: Final[Mapping[str, float]] = MappingProxyType({})


class View(NamedTuple):
    """Who is out of a cycle now.  ``changes_at`` is when that may be otherwise without anything happening.

    ``due``: the cycle begins anew with the next use. Where nobody is left, ``first`` are the keys that come back first,
    at ``back_at``.
    """

    out: frozenset[str]
    changes_at: float
    due: bool
    back_at: float = math.inf
    first: frozenset[str] = frozenset()

    def until(self, key: str) -> float | None:
        """When a key that is out comes back; None: when its peers were used up, and nobody knows when that is."""
        return self.back_at if key in self.first else None


class Cycle:
    """One cycle: of a tier (or all), for a model or quota group (or all).  Times are monotonic seconds.

    ``out`` holds the keys (ids) that were used up, with the end of what keeps them from work; ``counts`` their
    requests of this cycle. ``rounds`` counts new beginnings.
    """

    __slots__ = ("counts", "out", "rounds", "rules", "started")

    def __init__(self, rules: FairCycle, now: float) -> None:
        self.rules = rules
        self.started = now
        self.out: dict[str, float] = {}
        self.counts: dict[str, float] = {}
        self.rounds = 0

    @property
    def ends(self) -> float:
        return self.started + self.rules.duration_seconds

    def exhaust(self, key: str, until: float) -> None:
        """A key is used up; what keeps it from work ends then (in the past: nothing does)."""
        self.out[key] = max(until, self.out.get(key, -math.inf))

    def standing(
        self, peers: Collection[str], now: float, resting: Mapping[str, float] = _NONE, doubted: Collection[str] = ()
    ) -> View:
        """Who is out, seen from ``peers``: the keys that could take part, those with a rejection left out.

        ``resting`` are the ends of what keeps peers from work now (-inf: nothing): they count, not what was known when
        a key was used up, and one that rests for long is not waited for either; nor is one of ``doubted``.
        The cycle begins anew when nobody is left, and when its time is over. A key that rests for longer than
        ``reset_cooldown_seconds`` stays out; if that is each of them, the new beginning waits for the first.
        """
        rest = self.rules.reset_cooldown_seconds
        away = {peer: until for peer, until in resting.items() if until - now > rest}
        ends = {key: resting.get(key, until) for key, until in self.out.items()} | away
        over = now >= self.ends
        full = bool(peers) and all(peer in ends or peer in doubted for peer in peers)
        back_again = min((until - rest for until in away.values()), default=math.inf)
        if not over and not full:
            return View(frozenset(self.out), min(self.ends, back_again), False)
        stay = {key for key, until in ends.items() if until - now > rest}
        back_at = min((ends[key] - rest for key in stay), default=math.inf)
        nobody = bool(peers) and all(peer in stay for peer in peers)
        first = frozenset(key for key in stay & self.out.keys() if nobody and ends[key] - rest <= back_at)
        if not over and nobody:
            back_at = min(back_at, self.ends)
            return View(frozenset(self.out), back_at, False, back_at, first)
        ends_anew = now + self.rules.duration_seconds
        changes_at = min(ends_anew, back_at)
        return View(frozenset(stay & self.out.keys()), changes_at, True, back_at, first)

    def commit(self, view: View, now: float) -> None:
        """Begin anew as ``view`` found it due."""
        self.started = now
        self.out = {key: until for key, until in self.out.items() if key in view.out}
        self.counts.clear()
        self.rounds += 1
