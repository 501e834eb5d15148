"""The fake upstream: as little HTTP/1.1 as a proxy needs, on a raw asyncio Protocol.

It answers ``POST .../chat/completions`` and ``POST .../messages``, and any ``GET`` with the number of those. A body
with ``"stream":true`` gets the canned stream: at once, in lock-step if a word of it is ``lock`` with a number, at a
pace if one is ``pace`` with a number. Lock-step needs the load generator in the same process, which calls ``received``
as words reach it; no back channel disturbs what is measured.

``python -m benchmarks.upstream --port P [--events N] [--pace S]`` is a process of its own, without lock-step.
"""

import argparse
import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

import uvloop

from benchmarks.canned import AUTHORIZATION, CHAT, CHAT_WITH_USAGE, MESSAGES, STREAM_HEAD, Speech

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LOCK_STEP = re.compile(rb" (lock\d+)")
_PACED = re.compile(rb" pace(\d+)")
_STREAMING = re.compile(rb'"stream": ?true')
_WITH_USAGE = re.compile(rb'"include_usage": ?true')
_AUTHORIZATION = AUTHORIZATION.encode()
_BACKLOG = 4096
_GOLDEN = 0.618033988749895
"""Multiples of it, taken modulo 1, are spread evenly however many there are."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Of every paced stream: its words, and the seconds between two of them."""

    events: int = 50
    seconds: float = 0.2


def _whole(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _refusal(status: bytes) -> bytes:
    message = b"the fake upstream does not serve this"
    return _whole(status, b'{"error":{"message":"%b","type":"invalid_request_error"}}' % message)


class _Answers:
    """Of one protocol, as they go to the socket."""

    def __init__(self, speech: Speech) -> None:
        self.reply = speech.reply()
        self.steps = speech.steps()
        self.stream = STREAM_HEAD + b"".join(self.steps)
        self.paced_opening, self.paced_ending = speech.paced_opening(), speech.paced_ending()
        self.paced_word = speech.paced_word


_CHAT, _CHAT_WITH_USAGE, _MESSAGES = map(_Answers, (CHAT, CHAT_WITH_USAGE, MESSAGES))


def _answers(path: bytes, body: bytes) -> _Answers | None:
    """What is served at a path."""
    if path.endswith(b"/chat/completions"):
        return _CHAT_WITH_USAGE if _WITH_USAGE.search(body) else _CHAT
    return _MESSAGES if path.endswith(b"/messages") else None


class Upstream:
    """State of all connections: how often it was asked, and which lock-step streams are under way."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.asked = 0
        self.pace = pace or Pace()
        self._ids = count()
        self._open: dict[bytes, _LockStep] = {}

    async def listen(self, port: int = 0) -> asyncio.Server:
        """With a backlog for all streams at once: a connection that finds it full is tried again only after 1 s."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=_BACKLOG)

    def new_stream_id(self, kind: bytes = b"lock") -> bytes:
        """Ids have one length, so requests do."""
        return b"%b%08d" % (kind, next(self._ids))

    def begin(self, stream_id: bytes, steps: Sequence[bytes], transport: asyncio.WriteTransport) -> None:
        self._open[stream_id] = _LockStep(steps, transport)

    def received(self, stream_id: bytes, words: int) -> None:
        """The client of this stream has so many words: release the next step, if all that is out arrived."""
        stream = self._open.get(stream_id)
        if stream is not None and stream.advance(words):
            del self._open[stream_id]

    def forget(self) -> None:
        """Drop streams that a broken run left behind."""
        self._open.clear()


class _LockStep:
    """Each step holds one word, but for the last one."""

    __slots__ = ("_step", "_steps", "_transport")

    def __init__(self, steps: Sequence[bytes], transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._steps = steps
        self._step = 0
        transport.write(STREAM_HEAD + steps[0])

    def advance(self, words: int) -> bool:
        """Whether the last step is out."""
        if words <= self._step:
            return False
        self._step += 1
        self._transport.write(self._steps[self._step])
        return self._step == len(self._steps) - 1


class _Paced:
    """A stream whose first word goes out at once and the others by a timetable of its own.

    Timetables do not wait for the proxy. The first gap is a part of the pace that depends on the stream's number, so
    that the words of all streams come evenly spread, however fast the proxy took the requests in.
    """

    __slots__ = ("_answers", "_begun_at", "_next", "_pace", "_phase", "_timer", "_transport")

    def __init__(self, number: int, answers: _Answers, pace: Pace, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._answers = answers
        self._pace = pace
        self._phase = number * _GOLDEN % 1
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._begun_at = time.perf_counter()
        transport.write(answers.paced_opening + self._word(self._begun_at))
        self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due_at(self) -> float:
        return self._begun_at + max(self._next - self._phase, 0.0) * self._pace.seconds

    def _wait(self) -> None:
        if self._next == self._pace.events:
            self._transport.write(self._answers.paced_ending)
            return
        delay_seconds = max(self._due_at() - time.perf_counter(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(delay_seconds, self._send)

    def _send(self) -> None:
        self._transport.write(self._word(time.perf_counter()))
        self._wait()

    def _word(self, now: float) -> bytes:
        word = self._answers.paced_word(self._next, int(now * 1e6), int((now - self._due_at()) * 1e6))
        self._next += 1
        return word


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._rest = b""
        self._paced: _Paced | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._paced is not None:
            self._paced.stop()

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
        if head.startswith(b"GET "):
            self._transport.write(_whole(b"200 OK", b"%d" % self._upstream.asked))
            return
        self._upstream.asked += 1
        answers = _answers(head.split(b" ", 2)[1], body)
        if answers is None or not body:
            self._transport.write(_refusal(b"404 Not Found"))
        elif _AUTHORIZATION not in head:
            self._transport.write(_refusal(b"401 Unauthorized"))
        elif not _STREAMING.search(body):
            self._transport.write(answers.reply)
        elif stream_id := _LOCK_STEP.search(body):
            self._upstream.begin(stream_id[1], answers.steps, self._transport)
        elif number := _PACED.search(body):
            self._paced = _Paced(int(number[1]), answers, self._upstream.pace, self._transport)
        else:
            self._transport.write(answers.stream)


async def _serve(port: int, pace: Pace) -> None:
    server = await Upstream(pace).listen(port)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, default=Pace().events, help="words of a paced stream")
    parser.add_argument("--pace", type=float, default=Pace().seconds, help="seconds between two of them")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.port, Pace(options.events, options.pace)))


if __name__ == "__main__":
    main()
