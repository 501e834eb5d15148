"""Requests that wait for a free place of a key: in the order in which they came, among those that can take it.

No polling: a place that becomes free, a limit that ends and a deadline each call here. Source: engine.md 8.4,
ideas.md C6.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from rotator.contracts import Needs, Target

T = TypeVar("T")


class Kind(NamedTuple):
    """What decides which keys a request may take: requests of one kind can all take the same."""

    target: Target
    pin: str | None
    tried: frozenset[str]


class Ticket(Generic[T]):
    """One request that waits since ``since`` (monotonic).  ``done`` is called once, with its lease or the error.

    ``wanted`` tells whether anybody still waits.
    """

    __slots__ = ("cancel_alarm", "done", "kind", "needs", "number", "since", "target", "wanted")

    def __init__(self, number: int, target: Target, needs: Needs, since: float) -> None:
        self.number = number
        self.target = target
        self.needs = needs
        self.since = since
        self.kind = Kind(target, needs.pin, needs.tried)
        self.cancel_alarm: Callable[[], None] = lambda: None
        self.wanted: Callable[[], bool] = lambda: True
        self.done: Callable[[T | Exception], None] = lambda result: None


class WaitingLine(Generic[T]):
    """The tickets of one provider, first come first served within a kind and among kinds."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, OrderedDict[int, Ticket[T]]] = {}
        self._numbers = itertools.count(1)
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def join(self, target: Target, needs: Needs, since: float) -> Ticket[T]:
        """A new ticket at the end."""
        ticket: Ticket[T] = Ticket(next(self._numbers), target, needs, since)
        self._kinds.setdefault(ticket.kind, OrderedDict())[ticket.number] = ticket
        self.size += 1
        return ticket

    def leave(self, ticket: Ticket[T]) -> bool:
        """Take a ticket out, wherever it stands; False if it was out already."""
        line = self._kinds.get(ticket.kind)
        if line is None or line.pop(ticket.number, None) is None:
            return False
        ticket.cancel_alarm()
        self.size -= 1
        if not line:
            del self._kinds[ticket.kind]
        return True

    def heads(self) -> Iterator[Ticket[T]]:
        """The first of each kind, the longest waiting first; where a head leaves, its kind's next one in its turn."""
        seen: set[Kind] = set()
        heap: list[tuple[int, int, Kind]] = []
        order = itertools.count()  # kinds are not compared
        while True:
            for kind, line in self._kinds.items():
                if kind not in seen:  # at the beginning all; later those that joined meanwhile
                    seen.add(kind)
                    heapq.heappush(heap, (next(iter(line)), next(order), kind))
            if not heap:
                return
            while heap:
                number, _, kind = heapq.heappop(heap)
                if number in self._kinds.get(kind, ()):
                    yield self._kinds[kind][number]
                if kind in self._kinds and number not in self._kinds[kind]:
                    heapq.heappush(heap, (next(iter(self._kinds[kind])), next(order), kind))
