"""The clients of the load generator: raw asyncio Protocols that parse just enough HTTP/1.1 and check every answer.

A connection is kept alive and asks again as soon as its answer is whole, until its run stops.
"""

import asyncio
import re
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Literal, cast

from benchmarks.canned import MODEL, SPEECHES, WORD, WORDS
from benchmarks.translated import nameless, wrong_stream, wrong_whole
from benchmarks.upstream import Upstream

_MOST_ERRORS = 20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LANE = re.compile(rb"\r\nx-rotator-lane: *(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    kind: Literal["requests", "lockstep", "flood", "paced"]
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, with which authorization, and whose CPU time counts (the harness's own without a proxy).

    ``client`` and ``upstream`` are the protocols on the two sides.
    """

    port: int
    authorization: str
    pid: int
    client: str = "chat"
    upstream: str = "chat"


class Run:
    """What the connections of one run share; it ends when all of them have."""

    def __init__(self, load: Load, target: Target, upstream: Upstream) -> None:
        self.load = load
        self.target = target
        self.upstream = upstream
        self.answers = 0
        self.events = 0
        self.latencies = array("d")
        self.lane = "-"
        self.errors: Counter[str] = Counter()
        self.stopping = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = load.connections
        speech = SPEECHES[target.client]
        self._expected = speech.whole if load.kind == "requests" else speech.stream()
        self._translated = b""
        self._front, self._back = _request(load, target)

    def next_request(self, stream_id: bytes) -> bytes:
        return self._front + stream_id + self._back

    def what_is_wrong(self, body: bytes) -> str:
        """An answer in the upstream's protocol has its bytes.

        What was translated says the same: the first one of a run is read, the others are equal but for their ids.
        """
        if self.target.client != self.target.upstream:
            return self._what_is_mistranslated(body)
        if body != self._expected:
            return f"body of {len(body)} bytes is not the upstream's of {len(self._expected)} bytes"
        return ""

    def _what_is_mistranslated(self, body: bytes) -> str:
        if not self._translated:
            whole = self.load.kind == "requests"
            wrong = wrong_whole(self.target.client, body) if whole else wrong_stream(self.target.client, body)
            self._translated = b"" if wrong else nameless(body)
            return wrong
        if nameless(body) != self._translated:
            return f"translated body of {len(body)} bytes is not like the first one: {body[:300].decode()}"
        return ""

    def fail(self, reason: str) -> None:
        self.errors[reason] += 1
        if self.errors.total() >= _MOST_ERRORS:
            self.stopping = True

    def leave(self) -> None:
        self._open -= 1
        if not self._open and not self.ended.done():
            self.ended.set_result(None)


_PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
_REQUIRED = {"chat": b"", "messages": b'"max_tokens":1000,'}
"""Beyond what both protocols want."""


def _request(load: Load, target: Target) -> tuple[bytes, bytes]:
    """The request around the stream id, which is always as long."""
    stream = b"false" if load.kind == "requests" else b"true"
    question = b"Say in your own words what a relay does. " * 4
    front = b'{"model":"%b",%b"stream":%b,"messages":[{"role":"user","content":"%b '
    front %= (MODEL.encode(), _REQUIRED[target.client], stream, question)
    back = b'"}]}'
    length = len(front) + len(_stream_id(load, Upstream())) + len(back)
    head = (
        f"POST {_PATHS[target.client]} HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\n"
        f"authorization: {target.authorization}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    return head.encode() + front, back


def _stream_id(load: Load, upstream: Upstream) -> bytes:
    if load.kind in ("lockstep", "paced"):
        return upstream.new_stream_id(b"lock" if load.kind == "lockstep" else b"pace")
    return b"somebody"


class Client(asyncio.Protocol):
    """One connection of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lockstep = run.load.kind == "lockstep"
        self._left = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._left:
            self._give_up("connection closed by the server")

    def abandon(self) -> None:
        if not self._left:
            self._leave()

    def ask(self) -> None:
        self._stream_id = _stream_id(self._run.load, self._run.upstream)
        self._in_body = False
        self._words = 0
        self._pieces: list[bytes] = []
        self._tail = b""
        self._asked_at = time.perf_counter()
        self._transport.write(self._run.next_request(self._stream_id))

    def data_received(self, data: bytes) -> None:
        if self._left:
            return
        if self._rest:
            data = self._rest + data
        try:
            self._rest = self._read(data)
        except ValueError:
            self._give_up("answer is not HTTP/1.1 as expected")

    def _read(self, data: bytes) -> bytes:
        """Consume what is whole of head and body; what is left waits for more."""
        if not self._in_body:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return data
            self._read_head(data[:end])
            data = data[end + 4 :]
        if self._length is None:
            return self._read_chunks(data)
        if len(data) < self._length:
            return data
        self._take(data[: self._length])
        return self._finish(data[self._length :])

    def _read_head(self, head: bytes) -> None:
        self._in_body = True
        self._status = int(head[9:12])
        length = _LENGTH.search(head)
        self._length = int(length[1]) if length else None
        if not self._run.answers and (lane := _LANE.search(head)):
            self._run.lane = lane[1].decode()

    def _read_chunks(self, data: bytes) -> bytes:
        start = 0
        while (line := data.find(b"\r\n", start)) >= 0:
            size = int(data[start:line], 16)
            stop = line + 2 + size
            if len(data) < stop + 2:
                break
            if not size:
                return self._finish(data[stop + 2 :])
            self._take(data[line + 2 : stop])
            start = stop + 2
        return data[start:]

    def _take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        data = self._tail + piece if self._tail else piece
        end = data.rfind(b"\n\n") + 2 if not data.endswith(b"\n\n") else len(data)
        self._tail = data[end:] if end > 1 else data
        words = data.count(WORD, 0, end) if end > 1 else 0
        self._words += words
        self._run.events += words
        if self._lockstep:
            self._run.upstream.received(self._stream_id, self._words)

    def _finish(self, left_over: bytes) -> bytes:
        run = self._run
        run.latencies.append(time.perf_counter() - self._asked_at)
        run.answers += 1
        if wrong := self._what_is_wrong(b"".join(self._pieces), left_over):
            self._give_up(wrong)
        elif run.stopping:
            self._leave()
        else:
            self.ask()
        return b""

    def _what_is_wrong(self, body: bytes, left_over: bytes) -> str:
        if self._status != 200:
            return f"status {self._status}: {body[:200].decode(errors='replace')}"
        if left_over:
            return f"{len(left_over)} bytes after the end of the answer"
        if self._run.load.kind != "requests" and self._words != WORDS:
            return f"stream of {self._words} words instead of {WORDS}"
        return self._run.what_is_wrong(body)

    def _give_up(self, reason: str) -> None:
        self._run.fail(reason)
        self._leave()

    def _leave(self) -> None:
        self._left = True
        self._transport.close()
        self._run.leave()
