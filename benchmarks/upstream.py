"""The fake upstream: as little HTTP/1.1 as a proxy needs, on a raw asyncio Protocol.

It answers ``POST .../chat/completions`` only. A body with ``"stream":true`` gets the canned stream: at once, or in
lock-step if its ``user`` begins with ``lock``. Lock-step needs the load generator in the same process, which calls
``received`` as events reach it; no back channel disturbs what is measured.

``python -m benchmarks.upstream --port P`` serves the completion and the whole stream alone, for use by hand.
"""

import argparse
import asyncio
import re
from itertools import count
from typing import cast

import uvloop

from benchmarks.canned import (
    AUTHORIZATION,
    COMPLETION_REPLY,
    EVENTS_AFTER_STEP,
    STEPS,
    STREAM_HEAD,
)

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LOCK_STEP = re.compile(rb'"user": ?"(lock\d+)"')
_STREAMING = re.compile(rb'"stream": ?true')
_AUTHORIZATION = AUTHORIZATION.encode()
_WHOLE_STREAM = STREAM_HEAD + b"".join(STEPS)


def _refusal(status: bytes) -> bytes:
    body = b'{"error":{"message":"the fake upstream does not serve this","type":"invalid_request_error"}}'
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class Upstream:
    """State of all connections: how often it was asked, and which lock-step streams are under way."""

    def __init__(self) -> None:
        self.asked = 0
        self._ids = count()
        self._open: dict[bytes, _LockStep] = {}

    async def listen(self, port: int = 0) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", port)

    def new_stream_id(self) -> bytes:
        """Ids have one length, so requests do."""
        return b"lock%08d" % next(self._ids)

    def begin(self, stream_id: bytes, transport: asyncio.WriteTransport) -> None:
        self._open[stream_id] = _LockStep(transport)

    def received(self, stream_id: bytes, events: int) -> None:
        """The client of this stream has seen so many events: release the next step, if all that is out arrived."""
        stream = self._open.get(stream_id)
        if stream is not None and stream.advance(events):
            del self._open[stream_id]

    def forget(self) -> None:
        """Drop streams that a broken run left behind."""
        self._open.clear()


class _LockStep:
    __slots__ = ("_step", "_transport")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._step = 0
        transport.write(STREAM_HEAD + STEPS[0])

    def advance(self, events: int) -> bool:
        """Whether the last step is out."""
        if events < EVENTS_AFTER_STEP[self._step]:
            return False
        self._step += 1
        self._transport.write(STEPS[self._step])
        return self._step == len(STEPS) - 1


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(data, 0, end)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(data) < stop:
                break
            self._answer(data[:end], data[end + 4 : stop])
            data = data[stop:]
        self._rest = data

    def _answer(self, head: bytes, body: bytes) -> None:
        self._upstream.asked += 1
        path = head.split(b" ", 2)[1]
        if not path.endswith(b"/chat/completions") or not body:
            self._transport.write(_refusal(b"404 Not Found"))
        elif _AUTHORIZATION not in head:
            self._transport.write(_refusal(b"401 Unauthorized"))
        elif not _STREAMING.search(body):
            self._transport.write(COMPLETION_REPLY)
        elif stream_id := _LOCK_STEP.search(body):
            self._upstream.begin(stream_id[1], self._transport)
        else:
            self._transport.write(_WHOLE_STREAM)


async def _serve(port: int) -> None:
    server = await Upstream().listen(port)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream")
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
