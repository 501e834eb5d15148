"""Time that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable


class ManualClock:
    """See ``rotator.contracts.Clock``; sleeping takes no time and is written down in ``slept``."""

    def __init__(self, wall: float = 1_800_000_000.0, monotonic: float = 1_000.0) -> None:
        self.wall = wall
        self.ticks = monotonic
        self.slept: list[float] = []
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)  # others get their turn, as with a real clock

    def advance(self, seconds: float) -> None:
        """Let both clocks run on; what was to be called meanwhile is called, in its order and at its time."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        until = self.ticks + seconds
        while self._calls and self._calls[0][0] <= until:
            at, _, call = heapq.heappop(self._calls)
            self._run_to(max(at, self.ticks))
            call()
        self._run_to(until)

    def _run_to(self, ticks: float) -> None:
        self.wall += ticks - self.ticks
        self.ticks = ticks

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Called back by ``advance``."""
        entry = (self.ticks + seconds, next(self._numbers), call)
        heapq.heappush(self._calls, entry)

        def cancel() -> None:
            if entry in self._calls:
                self._calls.remove(entry)
                heapq.heapify(self._calls)

        return cancel
