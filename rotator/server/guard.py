"""uvicorn's HTTP protocol with what it lacks: a cap on a request's head, deadlines for a client that sends nothing or
takes nothing, word of a lost connection.

Without it a 200 MiB header is taken in before anything is checked, and a connection that sends nothing, or never reads
its answer, stays open for ever.  Source: faults.md 0 item 1 and 3 (Uvicorn facts).
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
    own keep-alive deadline counts. One timer per connection looks at it, and at what the client takes; none is made
    per request or per write.
    """

    #: Bytes of a request's head, seconds for it, and seconds in which a client must take something; set by ``guarded``.
    header_bytes = 65_536
    header_seconds = 5.0
    write_seconds = 60.0
    look_seconds = 5.0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.whole = False
        self.lost = False
        self.stopped_reading = False
        self.on_lost: Callable[[], None] | None = None
        self._extensions = {EXTENSION: self}
        self._in_body = False
        self._head_bytes = 0
        self._head_since: float | None = None
        self._timer: TimerHandle | None = None
        self._unsent_bytes = 0
        self._stuck_seconds = 0.0
        self._unread_seconds = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Any, transport))
        self._head_since = self.loop.time()
        self._look_after(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it where the connection was reset, and with it all of us
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

    def resume_writing(self) -> None:
        self._unsent_bytes = 0  # the client took something, whatever waits for it by the next look
        super().resume_writing()

    def _look_after(self, seconds: float) -> None:
        seconds = min(max(seconds, 0.001), self.look_seconds)
        self._timer = self.loop.call_later(seconds, self._look, seconds)

    def _look(self, waited: float) -> None:
        """Drop a client that takes nothing; close a connection whose head is late, nothing may be answered before it.

        Until the connection is lost somebody looks: also a closing one waits for its client to take what is left.
        """
        if self._takes_nothing(waited):
            self._timer = None
            self.stopped_reading = True
            self.transport.abort()
            return
        left = self.header_seconds
        if self._head_since is not None:
            left += self._head_since - self.loop.time()
        if left <= 0 or self._sends_on(waited):
            self.transport.close()
        self._look_after(left if left > 0 else self.header_seconds)

    def _takes_nothing(self, waited: float) -> bool:
        """Whether an answer waits of which nothing was taken for ``write_seconds``.

        Only where nothing more is written does an unchanged size mean that. The time between looks is summed up, so
        that a loop that was busy is not held against the client. What the kernel holds is not seen: a slow client
        takes that in pieces.
        """
        unsent = self.transport.get_write_buffer_size()
        over = self.flow.write_paused or self.transport.is_closing() or self._answered()
        self._stuck_seconds = self._stuck_seconds + waited if over and unsent and unsent == self._unsent_bytes else 0.0
        self._unsent_bytes = unsent
        return self._stuck_seconds >= self.write_seconds

    def _sends_on(self, waited: float) -> bool:
        """Whether a body that was answered before its end still does not end: what comes of it is thrown away."""
        sending = self._in_body and not self.whole and self._answered()
        self._unread_seconds = self._unread_seconds + waited if sending else 0.0
        return self._unread_seconds > self.header_seconds

    def _answered(self) -> bool:
        """Whether the latest request has its whole answer; uvicorn has no cycle before the first one."""
        return bool(self.cycle and self.cycle.response_complete)


def guarded(header_bytes: int, header_seconds: float, write_seconds: float) -> type[HttpToolsProtocol]:
    """The protocol class for one server: heads of at most ``header_bytes``, sent within ``header_seconds``.

    A client that takes nothing of its answer for ``write_seconds`` (at the most for half as long again) loses its
    connection.
    """
    limits = {"header_bytes": header_bytes, "header_seconds": header_seconds, "write_seconds": write_seconds}
    return type("Guarded", (GuardedProtocol,), {**limits, "look_seconds": min(header_seconds, write_seconds / 4)})


def stopped_reading(connection: object) -> bool:
    """Whether a connection was dropped because its client took nothing of what waited for it."""
    return isinstance(connection, GuardedProtocol) and connection.stopped_reading
