"""``soak``: a proxy under mixed faults and clients that leave, then a count of what it has kept.

Proxy, vendor and clients share this process and its loop, over real sockets. Every request must end legally: a status
with its protocol's error envelope, an answer of one attempt alone, a stream with a terminal or one in-band error.
Afterwards tasks, open files, leases and memory must be where they began. ``tests/matrix`` runs a short one.
"""

import argparse
import asyncio
import gc
import io
import json
import os
import re
import resource
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import uvloop

from benchmarks.swift import SwiftClock
from benchmarks.table import render
from rotator.config import Flags, load
from rotator.plugins import load as load_plugins
from rotator.server.core import Core
from rotator.server.process import Process, bind
from rotator.world import World, build_world

SECONDS, CLIENTS = 60.0, 200
MOST_SECONDS, MOST_CLIENTS = 86_400.0, 1_000
#: However slow the machine: so many requests for each client, so that everything happens.
_LEAST_REQUESTS = 10
_PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
_FINISHES = {"chat": b'"stop"', "messages": b'"end_turn"'}
_LANES = ("raw", "native")
_KEYS, _MODELS = 2, 8
#: Cooldowns and pauses pass so much faster than by the clock: limits come and go while it runs.
_SPEED = 50.0
#: Real seconds that the proxy waits for a vendor that says nothing (with 40 clients), and that a vendor thinks.
_READ_SECONDS, _THINKING_SECONDS = 0.25, 0.05
_AT_REST_SECONDS = 20.0
#: How much more memory may be held at the end: a share of what was held, and what the allocator keeps anyway.
_RSS, _RSS_SHARE, _RSS_SLACK_MB = "RSS MB", 0.2, 24.0
_MOST_TOLD, _REMEMBERED = 20, 5_000
_LINGER_ZERO = struct.pack("ii", 1, 0)
#: In every text of an answer: request and attempt that it belongs to.
_MARK = re.compile(rb"<(\d+)\.(\d+)>")
#: What a vendor may do with a request, and how often.
_SCENES = {
    "ok": 40, "limited": 4, "limited, no time": 3, "fault": 4, "overloaded": 3, "cut": 5, "reset": 5, "ends early": 5,
    "no terminal": 4, "thinks first": 5, "never answers": 1, "stops": 1, "error in 200": 4, "error later": 4,
    "garbage": 4, "web page": 3, "slow": 5,
}  # fmt: skip
_MANNERS = {"stays": 80, "leaves at once": 5, "leaves waiting": 5, "leaves reading": 5, "aborts": 5}
_STATUSES = {"chat": {429, 500, 502, 503, 504}, "messages": {429, 500, 502, 503, 504, 529}}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how many clients at once; equal seeds give equal requests and equal faults, not equal times."""

    seconds: float
    clients: int
    seed: int = 1


Census = dict[str, float]


@dataclass(slots=True)
class Report:
    """What a soak gave: censuses before the first request, after the warm-up, at the end; illegal ends in words."""

    plan: Plan
    origin: Census
    warm: Census
    end: Census
    ends: Counter[str]
    scenes: Counter[str]
    illegal: list[str]

    def rows(self) -> list[tuple[str, float, float, float]]:
        """Figure, at the start, at the end, at most.  Memory counts from the end of the warm-up on."""
        limits = {**self.origin, _RSS: self.warm[_RSS] * (1 + _RSS_SHARE) + _RSS_SLACK_MB}
        start = {**self.origin, _RSS: self.warm[_RSS]}
        return [
            *((label, start[label], end, limits[label]) for label, end in self.end.items()),
            ("illegal ends", 0, len(self.illegal), 0),
        ]

    def problems(self) -> list[str]:
        """Everything that is not as it must be."""
        kept = [f"{label}: {end:g}, at most {most:g}" for label, _, end, most in self.rows() if end > most]
        return [*kept, *self.illegal[:_MOST_TOLD]]


class _Nowhere(io.StringIO):
    def write(self, text: str) -> int:
        return len(text)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()


def _frame(protocol: str, event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if protocol == "messages" else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _frames(protocol: str, mark: str, words: int) -> list[bytes]:
    """A whole stream: nothing visible in the first frame, the finish reason in the last but one."""
    if protocol == "chat":
        deltas = [{"role": "assistant", "content": ""}, *({"content": f"{mark} word "} for _ in range(words)), {}]
        choices = [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"} for delta in deltas]
        return [*(_frame(protocol, {"choices": [choice]}) for choice in choices), b"data: [DONE]\n\n"]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"{mark} word "}}
    finish = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
    return [
        _frame(protocol, {"type": "message_start", "message": {**message, "usage": {"input_tokens": 5}}})
        + _frame(protocol, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *(_frame(protocol, delta) for _ in range(words)),
        _frame(protocol, {"type": "content_block_stop", "index": 0}) + _frame(protocol, finish),
        _frame(protocol, {"type": "message_stop"}),
    ]


def _whole(protocol: str, mark: str) -> bytes:
    text = f"{mark} word " * 20
    if protocol == "chat":
        return json.dumps({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}).encode()
    content = [{"type": "text", "text": text}]
    return json.dumps({"type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}).encode()


def _error(protocol: str, kind: str) -> dict[str, Any]:
    error = {"message": f"this vendor says {kind}", "type": kind}
    if protocol == "messages":
        return {"type": "error", "error": error}
    return {"error": {**error, "param": None, "code": None}}


class Vendor:
    """A vendor of both protocols that does to each attempt what the seed says."""

    def __init__(self, seed: int) -> None:
        self.scenes: Counter[str] = Counter()
        self.url = ""
        self._seed = seed
        self._attempts: Counter[str] = Counter()
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Vendor"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            await self.hang_up()

    async def hang_up(self) -> None:
        """Close every connection; requests are over."""
        for writer in tuple(self._open):
            writer.close()
        await _wait(lambda: not self._open)
        self._attempts.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await self._answer(head, await reader.readexactly(length), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy let go
        finally:
            writer.close()
            self._open.discard(writer)

    async def _answer(self, head: bytes, body: bytes, *peer: Any) -> None:
        asked = json.loads(body)
        number = asked["messages"][0]["content"].removeprefix("ask ")
        self._attempts[number] += 1
        if len(self._attempts) > _REMEMBERED:  # the oldest are long over
            del self._attempts[next(iter(self._attempts))]
        mark = f"{number}.{self._attempts[number]}"
        rng = Random(f"{self._seed}/{mark}")
        scene = rng.choices(list(_SCENES), list(_SCENES.values()))[0]
        self.scenes[scene] += 1
        protocol = "messages" if b"/messages" in head.partition(b"\r\n")[0] else "chat"
        act = _Act(protocol, f"<{mark}>", asked["stream"], rng, *peer)
        await (_ACTS[scene](act) if scene in _ACTS else act.play(scene))


@dataclass(slots=True)
class _Act:
    """One attempt at the vendor's."""

    protocol: str
    mark: str
    stream: bool
    rng: Random
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def head(self, kind: str, length: int | None, status: int = 200, extra: str = "") -> bytes:
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        return f"HTTP/1.1 {status} Told\r\ncontent-type: {kind}\r\n{extra}{framing}\r\n\r\n".encode()

    async def send(self, data: bytes, end: str = "") -> None:
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()
        if end == "reset":
            _reset(self.writer)
        if end:
            self.writer.close()

    async def page(self, status: int, kind: str, extra: str = "") -> None:
        body = json.dumps(_error(self.protocol, kind)).encode()
        await self.send(self.head("application/json", len(body), status, extra) + body)

    async def play(self, scene: str) -> None:
        """Everything that begins with a 200."""
        if scene == "thinks first":
            await asyncio.sleep(self.rng.uniform(0, _THINKING_SECONDS))
        if scene == "error in 200" and (not self.stream or self.rng.random() < 0.5):
            await self.page(200, "server_error")
        elif self.stream:
            await self._play_stream(scene)
        else:
            await self._play_whole(scene)

    async def _play_whole(self, scene: str) -> None:
        body = _whole(self.protocol, self.mark)
        head = self.head("application/json", len(body))
        part = self.rng.randrange(len(body))
        await self.send(head + body[:part], end=scene if scene in ("cut", "reset") else "")
        if scene == "stops":
            await self.reader.read()
        elif scene == "slow":
            await asyncio.sleep(_THINKING_SECONDS / 2)
        if scene not in ("cut", "reset", "stops"):
            await self.send(body[part:])

    async def _play_stream(self, scene: str) -> None:
        frames = _frames(self.protocol, self.mark, self.rng.randrange(1, 12))
        error = _frame(self.protocol, {"type": "error", **_error(self.protocol, "server_error")})
        begun = self.rng.randrange(len(frames) - 2)
        sent = {"error in 200": 0, "error later": begun + 1, "no terminal": len(frames) - 1}
        sent |= dict.fromkeys(("cut", "reset", "ends early", "stops"), begun)
        frames = frames[: sent.get(scene, len(frames))] + [error] * scene.startswith("error")
        await self.send(self.head("text/event-stream", None))
        for frame in frames:
            for piece in (frame[:9], frame[9:]) if scene == "slow" else (frame,):
                await self.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                await asyncio.sleep(self.rng.uniform(0, 0.005) if scene == "slow" else 0)
        if scene == "stops":
            await self.reader.read()
        broken = scene in ("cut", "reset")
        await self.send(b"" if broken else b"0\r\n\r\n", end=scene if broken else "")


#: Scenes that are no 200 of this protocol.
_ACTS: dict[str, Callable[[_Act], Awaitable[object]]] = {
    "limited": lambda act: act.page(429, "rate_limit_error", "retry-after: 1\r\n"),
    "limited, no time": lambda act: act.page(429, "rate_limit_error"),
    "fault": lambda act: act.page(500, "server_error" if act.protocol == "chat" else "api_error"),
    "overloaded": lambda act: act.page(529, "overloaded_error"),
    "never answers": lambda act: act.reader.read(),
    "garbage": lambda act: act.send(b"\x00\xffno HTTP\r\n\r\n", end="close"),
    "web page": lambda act: act.send(act.head("text/html", 6) + b"<html>"),
}


@dataclass(slots=True)
class _Clients:
    """All that ask.  ``ends`` counts how requests ended."""

    url: str
    seed: int
    number: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    illegal: list[str] = field(default_factory=list)

    async def ask_for(self, seconds: float, clients: int) -> None:
        """So many clients, one request after the other; each ends the one that it has begun."""
        clock = asyncio.get_running_loop().time
        ends, least = clock() + seconds, self.number + clients * _LEAST_REQUESTS
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_AT_REST_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._ask_while(lambda: clock() < ends or self.number < least, session))

    async def _ask_while(self, more: Callable[[], bool], session: aiohttp.ClientSession) -> None:
        while more():
            self.number = number = self.number + 1
            rng = Random(f"{self.seed}/{number}")
            protocol, lane = rng.choice(list(_PATHS)), rng.choice(_LANES)
            stream = rng.random() < 0.7
            body = {"model": f"{protocol}{lane}/m{rng.randrange(_MODELS)}", "stream": stream, "max_tokens": 64}
            data = json.dumps({**body, "messages": [{"role": "user", "content": f"ask {number}"}]}).encode()
            manner = rng.choices(list(_MANNERS), list(_MANNERS.values()))[0]
            if manner != "stays":
                await self._leave(manner, protocol, data, rng)
                self.ends[f"client {manner}"] += 1
                continue
            try:
                await self._stay(session, protocol, data, stream, number)
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                self.illegal.append(f"request {number} ({protocol}, {lane}, stream {stream}): {error!r}")

    async def _stay(
        self, session: aiohttp.ClientSession, protocol: str, data: bytes, stream: bool, number: int
    ) -> None:
        """Take the whole answer.  Raises what is wrong with it."""
        async with session.post(self.url + _PATHS[protocol], data=data) as reply:
            body, status = await reply.read(), reply.status
        if status != 200:
            _check_error(json.loads(body), protocol)
            if status not in _STATUSES[protocol]:
                raise ValueError(f"status {status}: {body[:200]!r}")
            self.ends[f"status {status}"] += 1
            return
        marks = set(_MARK.findall(body))
        if len(marks) > 1 or {int(mark[0]) for mark in marks} - {number}:
            raise ValueError(f"an answer of several attempts: {marks}")
        if stream:
            self.ends[_stream_end(protocol, body)] += 1
            return
        if not marks or _FINISHES[protocol] not in json.dumps(json.loads(body)).encode():
            raise ValueError(f"no whole answer: {body[:200]!r}")
        self.ends["whole"] += 1

    async def _leave(self, manner: str, protocol: str, data: bytes, rng: Random) -> None:
        """Ask, and leave before the end."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {_PATHS[protocol]} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        try:
            if manner == "leaves waiting":
                await asyncio.sleep(rng.uniform(0, 0.03))
            elif manner != "leaves at once":
                await reader.read(rng.randrange(1, 2_000))
        except ConnectionError:
            pass
        finally:
            if manner == "aborts":
                _reset(writer)
            writer.close()


def _check_error(envelope: Any, protocol: str) -> None:
    """Raises ValueError, KeyError or TypeError unless this is the protocol's own error object."""
    error = envelope["error"]
    wanted = {"message", "type"} if protocol == "messages" else {"message", "type", "param", "code"}
    if not wanted <= error.keys() or (protocol == "messages" and envelope["type"] != "error"):
        raise ValueError(f"no error envelope of {protocol}: {envelope}")


def _stream_end(protocol: str, body: bytes) -> str:
    """How a stream ended; raises where it did in none of the legal ways, or more than once."""
    *frames, rest = body.split(b"\n\n")
    events = [frame.partition(b"data: ")[2] for frame in frames]
    terminal = b"[DONE]" if protocol == "chat" else b'"message_stop"'
    endings = [number for number, event in enumerate(events) if b'"error"' in event or terminal in event]
    if rest or endings != [len(events) - 1]:
        raise ValueError(f"a stream with endings at {endings} of {len(events)}, behind it {rest!r}")
    if b'"error"' not in events[-1]:
        if _FINISHES[protocol] not in body:
            raise ValueError("a stream that was cut off and has a terminal")
        return "stream"
    _check_error(json.loads(events[-1]), protocol)
    return "stream, in-band error"


def _world(plan: Plan, vendor: Vendor, folder: Path) -> World:
    """A provider for each protocol and lane, with a few keys each."""
    providers, environ = {}, {}
    for protocol in _PATHS:
        base = f"{vendor.url}/v1" if protocol == "chat" else vendor.url
        for lane in _LANES:
            providers[f"{protocol}{lane}"] = {"protocol": protocol, "base_url": base, "lane": lane}
            for number in range(1, _KEYS + 1):
                environ[f"{protocol}{lane}_API_KEY_{number}".upper()] = f"key-{protocol}-{lane}-{number}-abcdef"
    patience = _READ_SECONDS * max(1.0, plan.clients / 40)  # they share one loop with their vendor
    timeouts = dict.fromkeys(("connect", "read_streaming", "read_non_streaming"), patience)
    document = {"providers": providers, "timeouts": timeouts, "retry": {"small_cooldown_seconds": 2}}
    (folder / "rotator.yaml").write_text(json.dumps(document), encoding="utf-8")
    return build_world(load(Flags(), environ=environ, cwd=folder), load_plugins(()), 1)


async def soak(plan: Plan) -> Report:
    """Run it; also in a loop that does other things, which must not make tasks or open files meanwhile."""
    with TemporaryDirectory(prefix="soak-") as name:
        async with Vendor(plan.seed).listening() as vendor:
            core = Core(_world(plan, vendor, Path(name)), clock=SwiftClock(_SPEED), out=_Nowhere())
            process = Process(core, bind("127.0.0.1", 0), lambda before: before, lambda url: None, signals=False)
            async with process.running() as url:
                origin, clients = _census(core), _Clients(url, plan.seed)
                await clients.ask_for(plan.seconds / 6, plan.clients)
                warm = await _at_rest(core, vendor, origin)
                await clients.ask_for(plan.seconds * 5 / 6, plan.clients)
                end = await _at_rest(core, vendor, origin)
        return Report(plan, origin, warm, end, clients.ends, vendor.scenes, clients.illegal)


async def _wait(true: Callable[[], object]) -> None:
    """Until something is so that nothing tells of, or ought to have been by now."""
    ends = asyncio.get_running_loop().time() + _AT_REST_SECONDS
    while not (true() or asyncio.get_running_loop().time() > ends):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def _at_rest(core: Core, vendor: Vendor, origin: Census) -> Census:
    """Nobody asks any more: wait until all requests are over and have given back what they held."""
    await _wait(lambda: not core.running)
    await vendor.hang_up()
    await _wait(lambda: all(count <= origin[label] for label, count in _census(core).items() if label != _RSS))
    gc.collect()
    return _census(core)


def _census(core: Core) -> Census:
    counters = core.pool.counters
    return {
        "tasks": len(asyncio.all_tasks()),
        "open files and sockets": len(os.listdir("/dev/fd")),
        "requests under way": len(core.running),
        "open leases": counters.open,
        "leases settled twice": counters.settled_twice,
        _RSS: _rss_mb(),
    }


def _rss_mb() -> float:
    """What this process holds in memory; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"soak: at once (default {CLIENTS})")
    parser.add_argument("--seed", type=int, default=1, help="soak: of requests and faults (default 1)")


def run(plan: Plan) -> bool:
    """Print the tables; False if a request ended illegally or something was kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # four sockets a request, all in this process
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(soak(plan))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for title, unit, counts in (("ends", "requests", report.ends), ("vendor", "attempts", report.scenes)):
        print(render([title, unit, ""], [[what, f"{count:,}", ""] for what, count in counts.most_common()]), "\n")
    rows = [
        [label, f"{start:,.0f}", f"{end:,.0f}", f"{most:,.0f}", "MISSED" if end > most else "met"]
        for label, start, end, most in report.rows()
    ]
    print(render(["soak", "at the start", "at the end", "at most", ""], rows))
    asked, lanes = report.ends.total(), " and ".join(_LANES)
    print(f"\n{asked:,} requests of {plan.clients} clients in {plan.seconds:g} s, seed {plan.seed}, lanes {lanes}")
    for problem in report.illegal[:_MOST_TOLD]:
        print(f"  {problem}")
    return not report.problems()
