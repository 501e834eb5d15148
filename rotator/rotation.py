"""The contracts of rotation: what strategies see of keys, and what vendors tell of quotas (design.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, Protocol

from rotator.contracts import Credential
from rotator.quota import QuotaFact as QuotaFact


class Seat(Protocol):
    """One key as a strategy sees it, for the model that is asked for.  Read it, never change it.

    ``used`` is what counts against ``limit`` now, of its first window that counts requests (``limit`` None: no limit
    is known, then of the last 24 h). ``in_use`` are requests under way, ``last_used_at`` monotonic seconds (-inf:
    never), ``turn`` grows with each use (0: never), ``place`` is the key's place in the configuration.
    """

    @property
    def credential(self) -> Credential: ...
    @property
    def used(self) -> float: ...
    @property
    def limit(self) -> float | None: ...
    @property
    def in_use(self) -> int: ...
    @property
    def last_used_at(self) -> float: ...
    @property
    def turn(self) -> int: ...
    @property
    def place(self) -> int: ...


class Asked(NamedTuple):
    """What a choice is made for.  ``stuck`` is the id of the key that this session, or this model, used last.

    It is None where that was too long ago. ``rng`` is the only source of chance, ``now`` monotonic seconds.
    """

    session: str | None
    stuck: str | None
    tolerance: float
    now: float
    rng: Random


class Pick(NamedTuple):
    """The seat that a strategy chose, and in a few words why: it stands in the decision record."""

    seat: Seat
    why: str


class Strategy(Protocol):
    """An order of preference among the keys that may serve: all of the best tier, none over its optimum.

    ``pick`` is pure: the same seats, question and state of ``rng`` give the same seat; at least one seat is given.
    """

    name: str

    def pick(self, seats: Sequence[Seat], asked: Asked) -> Pick:
        """One of the seats."""
        ...
