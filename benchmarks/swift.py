"""Time that passes several times as fast as outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class SwiftClock:
    """See ``rotator.contracts.Clock``."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._wall, self._began = time.time(), time.monotonic()

    def time(self) -> float:
        return self._wall + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(seconds / self._speed, call).cancel
