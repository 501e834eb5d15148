"""uvicorn's HTTP protocol with what it lacks: a cap on a request's head, a deadline for it, word of a lost connection.

Without it a 200 MiB header is taken in before anything is checked, and a connection that sends nothing stays open for
ever.  Source: faults.md 0 item 1.
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rotator.server.hangup import EXTENSION

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\ncontent-length: 28\r\n"
    b"connection: close\r\n\r\nThe request head is too long"
)


class GuardedProtocol(HttpToolsProtocol):
    """One connection; see ``rotator.server.hangup.Connection``.

    ``_head_since`` is the loop's time at which the head that is being read began, None while none is: then uvicorn's
    own keep-alive deadline counts. One timer per connection looks at it; none is made per request.
    """

    #: Bytes of a request's head, and seconds for it; set by ``guarded``.
    header_bytes = 65_536
    header_seconds = 5.0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.whole = False
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        self._extensions = {EXTENSION: self}
        self._in_body = False
        self._head_bytes = 0
        self._head_since: float | None = None
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Any, transport))
        self._head_since = self.loop.time()
        self._timer = self.loop.call_later(self.header_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()
        self._extensions.clear()  # a request's scope refers to us: no reference cycle is left behind

    def data_received(self, data: bytes) -> None:
        if self._in_body and not self.whole:
            self._head_bytes += len(data)  # body puts it back to 0: what remains is a trailer without an end
        super().data_received(data)
        if self._in_body and not self.whole and self._head_bytes > self.header_bytes + len(data):
            self.transport.close()
        if self._head_since is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > self.header_bytes:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_since = self.loop.time()
        self._head_bytes = 0
        self._in_body = False
        self.scope["extensions"] = cast(Any, self._extensions)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; behind the body it is a trailer, which nobody asked for and which may not change the request."""
        if not self._in_body:
            super().on_header(name, value)
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self.header_bytes and not self.transport.is_closing():
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._in_body = True
        self.whole = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.whole = True
        super().on_message_complete()

    def _look(self) -> None:
        """Close a connection whose head is late; nothing may be answered before it."""
        since, now = self._head_since, self.loop.time()
        if since is not None and now - since >= self.header_seconds:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.close()
            return
        wait = self.header_seconds if since is None else since + self.header_seconds - now
        self._timer = self.loop.call_later(max(wait, 0.001), self._look)


def guarded(header_bytes: int, header_seconds: float) -> type[HttpToolsProtocol]:
    """The protocol class for one server: heads of at most ``header_bytes``, sent within ``header_seconds``."""
    return type("Guarded", (GuardedProtocol,), {"header_bytes": header_bytes, "header_seconds": header_seconds})
