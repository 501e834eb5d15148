"""Notice at once when the client hangs up, from the end of its request on (style.md 3.7, rule 1).

A plain ASGI endpoint does not: the upstream call would run to its end for nobody. One pending ``receive()`` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class HangupWatch:
    """Cancels the task that entered it when the client leaves; ``gone`` tells that this, and nothing else, did it.

    The block then ends without an error: there is nobody to tell.
    """

    __slots__ = ("_receive", "_task", "_watch", "gone")

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> HangupWatch:
        self._task = asyncio.current_task()
        self._watch = asyncio.get_running_loop().create_task(self._until_gone(), name="hangup-watch")
        return self

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # a body that goes on behind its end
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    def stop(self) -> None:
        """The answer is out: what the connection does from here on is not our business."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.stop()
        task = self._task
        if not self.gone or task is None:
            return False
        left = task.uncancel()
        return kind is asyncio.CancelledError and left == 0
