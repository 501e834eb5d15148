"""Notice at once when the client hangs up, from the end of its request on (style.md 3.7, rule 1).

A plain ASGI endpoint does not: the upstream call would run to its end for nobody. The usual remedy is a second task
that waits in ``receive()``; our own listener (``guard``) knows by itself when a connection is lost and calls us, which
costs nothing while the client stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, Protocol, cast

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: Where the listener puts itself in a request's scope.
EXTENSION: Final = "rotator.connection"


class Connection(Protocol):
    """The listener's side of one connection.  ``whole``: the request's body has arrived completely."""

    whole: bool
    lost: bool
    on_lost: Callable[[], None] | None


class ClientGone(Exception):
    """The client left before its request was whole."""


def connection_of(scope: Mapping[str, Any]) -> Connection:
    """The connection that a request came in on.  Raises ClientGone where it is lost already."""
    connection = scope["extensions"].get(EXTENSION)
    if connection is None:
        raise ClientGone
    return cast(Connection, connection)


class HangupWatch:
    """Cancels the task that entered it when the client leaves; ``gone`` tells that this, and nothing else, did it.

    The block then ends without an error: there is nobody to tell.
    """

    __slots__ = ("_connection", "_task", "gone")

    def __init__(self, connection: Connection) -> None:
        self.gone = False
        self._connection = connection
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> HangupWatch:
        self._task = asyncio.current_task()
        self._connection.on_lost = self._left
        if self._connection.lost:
            self._left()
        return self

    def _left(self) -> None:
        if self._task is not None and not self.gone:
            self.gone = True
            self._task.cancel()

    def stop(self) -> None:
        """The answer is out: what the connection does from here on is not our business."""
        if self._connection.on_lost == self._left:  # the connection's next request may have set its own
            self._connection.on_lost = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.stop()
        if not self.gone or self._task is None:
            return False
        left = self._task.uncancel()
        return kind is asyncio.CancelledError and left == 0
