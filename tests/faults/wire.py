"""A server that does exactly what it is told: raw HTTP over sockets of its own, one step of a script after the other.

A step gets the wire, one connection of the proxy's with the request that came on it. When it returns the connection is
closed, unless it gave a whole answer and kept it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.upstreams import BEFORE_VISIBLE, FRAMES, WHOLE, Taken, until

LINGER_ZERO = struct.pack("ii", 1, 0)
MIB = 1024 * 1024
STREAMED, JSON_TYPE = "text/event-stream", "application/json"

#: One more piece of text in a stream; what goes into it is the inside of a JSON string.
DELTA = {
    "chat": b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n',
    "messages": b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"text_delta","text":"%b"}}\n\n',
}
TERMINAL = {protocol: frames[-1] for protocol, frames in FRAMES.items()}
#: What the client has seen before a stream dies: everything up to and with the first visible output.
SHOWN = {protocol: b"".join(FRAMES[protocol][: BEFORE_VISIBLE[protocol] + 1]) for protocol in FRAMES}
REST = {protocol: b"".join(FRAMES[protocol][BEFORE_VISIBLE[protocol] + 1 :]) for protocol in FRAMES}


def head(status: int | str = 200, **headers: Any) -> bytes:
    """A response's head; underscores in names are hyphens."""
    lines = [f"HTTP/1.1 {status} Told", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Wire:
    """One connection of the proxy's, and the request on it."""

    def __init__(self, vendor: FaultyVendor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.vendor = vendor
        self.reader = reader
        self.writer = writer
        self.request = Taken("", {}, b"")
        self.kept = False

    @property
    def protocol(self) -> str:
        return "messages" if "/messages" in self.request.line else "chat"

    @property
    def streaming(self) -> bool:
        return bool(json.loads(self.request.body).get("stream"))

    @property
    def kind(self) -> str:
        """The content type that was asked for."""
        return STREAMED if self.streaming else JSON_TYPE

    @property
    def good(self) -> bytes:
        """The body of a healthy answer."""
        return b"".join(FRAMES[self.protocol]) if self.streaming else WHOLE[self.protocol]

    async def receive(self) -> bool:
        """Read the next request; False where the proxy has left. ``vendor.early`` leaves its body unread."""
        try:
            start = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        line, *rest = start.decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
        body = b"{}" if self.vendor.early else await self.reader.readexactly(int(headers["content-length"]))
        self.request = Taken(line, headers, body)
        self.vendor.taken.append(self.request)
        self.kept = False
        return True

    async def send(self, data: bytes) -> None:
        """Write, and wait until the kernel has nearly all of it."""
        self.writer.write(data)
        await self.writer.drain()
        self.vendor.sent_bytes += len(data)

    async def answer(self, body: bytes, status: int = 200, **headers: Any) -> None:
        """A whole answer; the connection lives on."""
        headers = {"content_type": JSON_TYPE, **headers, "content_length": len(body)}
        self.kept = True  # first, for the proxy may have all of it before we are told so
        await self.send(head(status, **headers) + body)

    async def open(self, **headers: Any) -> None:
        """The head of a chunked answer."""
        await self.send(head(200, content_type=self.kind, **headers, transfer_encoding="chunked"))

    async def pieces(self, pieces: Sequence[bytes], **headers: Any) -> None:
        """A whole answer, written piece by piece."""
        await self.open(**headers)
        for piece in filter(None, pieces):
            await self.send(chunk(piece))
            await self.alone()
        self.kept = True
        await self.send(chunk(b""))

    async def alone(self) -> None:
        """Let the proxy read what was sent before anything else comes: we share a loop."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def begin(self) -> None:
        """A stream that the client has begun to see: from here on nothing can be tried again."""
        await self.open()
        await self.send(chunk(SHOWN[self.protocol]))
        await self.vendor.seen.wait()

    async def flood(self, piece: bytes, total_bytes: int) -> None:
        """The same piece again and again, in chunks."""
        framed = chunk(piece)
        for _ in range(total_bytes // len(piece)):
            await self.send(framed)

    async def hang(self) -> None:
        """Say nothing until the proxy leaves."""
        while await self.reader.read(65_536):
            pass

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.writer.transport.abort()


Fault = Callable[[Wire], Awaitable[None]]
#: What does not wait for a request.
ON_ACCEPT: set[Fault] = set()


def on_accept(fault: Fault) -> Fault:
    """Begins as soon as the connection stands."""
    ON_ACCEPT.add(fault)
    return fault


class FaultyVendor:
    """Answers the n-th time with the n-th step, then always with the last one."""

    def __init__(self, steps: Sequence[Fault], tls: ssl.SSLContext | None = None, early: bool = False) -> None:
        self.steps = steps
        self.early = early
        self.taken: list[Taken] = []
        self.connections = 0
        self.turns = 0
        self.sent_bytes = 0
        self.heard = b""
        """The first bytes of connections that were to be TLS."""
        self.seen = asyncio.Event()
        """Set by the test when the client has seen what was shown."""
        self.busy: set[Wire] = set()
        """Connections with an answer that has not ended: the proxy must close them."""
        self.failures: list[Exception] = []
        """Mistakes of the faults themselves, which look like one more fault."""
        self.url = ""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def keys(self) -> list[str]:
        """The key of each request."""
        bearers = (one.headers.get("authorization", "").removeprefix("Bearer ") for one in self.taken)
        return [one.headers.get("x-api-key") or bearer for one, bearer in zip(self.taken, bearers, strict=True)]

    async def start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # what nobody reads is soon not taken
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"

    async def aclose(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await until(lambda: not self._writers)

    def _next(self) -> Fault:
        self.turns += 1
        return self.steps[min(self.turns, len(self.steps)) - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        wire = Wire(self, reader, writer)
        try:
            if self.steps[min(self.turns + 1, len(self.steps)) - 1] in ON_ACCEPT:
                await self._do(wire)
                return
            while await wire.receive():
                await self._do(wire)
                if not wire.kept:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy left, as it may
        except Exception as mistake:
            self.failures.append(mistake)
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _do(self, wire: Wire) -> None:
        self.busy.add(wire)
        try:
            await self._next()(wire)
        finally:
            self.busy.discard(wire)


@asynccontextmanager
async def vendor(*steps: Fault, tls: ssl.SSLContext | None = None, early: bool = False) -> AsyncIterator[FaultyVendor]:
    """A faulty vendor that runs until the block ends."""
    one = FaultyVendor(steps, tls, early)
    await one.start()
    try:
        yield one
    finally:
        await one.aclose()
    assert one.failures == []
