"""A deadline around awaits, at a third of ``asyncio.timeout``'s price: it runs for every request.

Raises TimeoutError out of its block when the time is up; a cancellation from elsewhere passes as it is.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """``with Deadline(seconds): await ...``; entered once."""

    __slots__ = ("_expired", "_handle", "_loop", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Deadline:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._handle = self._loop.call_later(self._seconds, self._expire)
        return self

    def extend(self, seconds: float) -> None:
        """From now on so long; what has expired stays so."""
        self._handle.cancel()
        if not self._expired:
            self._handle = self._loop.call_later(max(0.0, seconds), self._expire)

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self._expired and self._task is not None and self._task.uncancel() <= 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error
