"""The real clock; tests and simulations bring their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic as monotonic_seconds
from time import time as unix_seconds


class SystemClock:
    """See ``rotator.contracts.Clock``."""

    # The functions themselves: policies read them several times a request.
    time = staticmethod(unix_seconds)
    monotonic = staticmethod(monotonic_seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(seconds, call).cancel
