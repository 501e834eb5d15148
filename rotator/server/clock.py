"""The real clock; tests and simulations bring their own."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """See ``rotator.contracts.Clock``."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
