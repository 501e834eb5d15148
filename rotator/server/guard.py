"""uvicorn's HTTP protocol with what it lacks: a cap on a request's head and a deadline for it.

Without it a 200 MiB header is taken in before anything is checked, and a connection that sends nothing stays open for
ever.  Source: faults.md 0 item 1.
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\ncontent-length: 28\r\n"
    b"connection: close\r\n\r\nThe request head is too long"
)


def guarded(header_bytes: int, header_seconds: float) -> type[HttpToolsProtocol]:
    """The protocol class for one server: heads of at most ``header_bytes``, sent within ``header_seconds``."""

    class GuardedProtocol(HttpToolsProtocol):
        """One connection.  ``_head_bytes`` is None while no head is being read."""

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._head_bytes: int | None = 0
            self._head_timer: TimerHandle | None = None

        def connection_made(self, transport: BaseTransport) -> None:
            super().connection_made(cast(Any, transport))
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._head_timer is None and self._head_bytes is not None:
                self._arm()  # the next request on a connection that was kept
            super().data_received(data)
            if self._head_bytes is None or self.transport.is_closing():
                return
            self._head_bytes += len(data)
            if self._head_bytes > header_bytes:
                self.transport.write(_TOO_LARGE)
                self.transport.close()

        def on_headers_complete(self) -> None:
            self._disarm()
            self._head_bytes = None
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._head_bytes = 0

        def _arm(self) -> None:
            self._head_timer = self.loop.call_later(header_seconds, self._late)

        def _disarm(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _late(self) -> None:
            """The head did not come in time; before it nothing may be answered, so the connection just closes."""
            self._head_timer = None
            if not self.transport.is_closing():
                self.transport.close()

    return GuardedProtocol
