"""Time that moves only when a test says so."""

from __future__ import annotations

import asyncio


class ManualClock:
    """See ``rotator.contracts.Clock``; sleeping takes no time and is written down in ``slept``."""

    def __init__(self, wall: float = 1_800_000_000.0, monotonic: float = 1_000.0) -> None:
        self.wall = wall
        self.ticks = monotonic
        self.slept: list[float] = []

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)  # others get their turn, as with a real clock

    def advance(self, seconds: float) -> None:
        """Let both clocks run on."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self.wall += seconds
        self.ticks += seconds
