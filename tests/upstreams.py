"""A proxy that lives through a test module, the fake vendor behind it, and a server of canned bytes.

The proxy stops in 0.2 s, so one serves all tests of a module: each test lays its own configuration over it, with keys
that no other test has, and finds a clean pool.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from rotator.config import Flags, load
from rotator.contracts import Needs, Target
from rotator.credentials.decision import Candidate
from rotator.plugins import load as load_plugins
from rotator.world import World, build_world

from .clocks import ManualClock
from .proxy import Proxy, serving

LOADED = load_plugins(())
PROTOCOLS = LOADED.registry.protocols
engine: Any = import_module("rotator.plugins.providers.demo.engine")
Gate, Play, Raw, Reply = engine.Gate, engine.Play, engine.Raw, engine.Reply

#: Client protocol -> the provider of the tests' worlds that speaks it, and the endpoint.
PROVIDERS = {"chat": "vendor", "messages": "claudish"}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
COUNT_PATH = "/v1/messages/count_tokens"

#: No wait is this long unless something hangs.
PATIENCE_SECONDS = 5


async def until(true: Callable[[], object]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if true():
                return
            await asyncio.sleep(0.001)


JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}

#: One conversation turn, streamed, frame by frame; what comes first shows nothing yet.
CHAT_FRAMES = (
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"one "},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"two"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)
MESSAGES_FRAMES = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}'
    b"\n\n",
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    b'"text":""}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"one "}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"two"}}\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":3}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
FRAMES = {"chat": CHAT_FRAMES, "messages": MESSAGES_FRAMES}
#: How many of these frames come before something is seen; how many bring the finish reason with them.
BEFORE_VISIBLE = {"chat": 1, "messages": 2}
UNTIL_FINISH = {"chat": 4, "messages": 6}
#: The smallest whole answers.
WHOLE = {
    "chat": b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}',
    "messages": b'{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}',
}


class FakeClock:
    """Time that only moves when it is told to; sleeping tells it."""

    def __init__(self) -> None:
        self._manual = ManualClock(1_800_001_000.0, 1_000.0)
        self.slept = self._manual.slept
        self.call_later = self._manual.call_later

    @property
    def now(self) -> float:
        """Monotonic seconds; setting it to a later time calls back what was to be called until then."""
        return self._manual.ticks

    @now.setter
    def now(self, ticks: float) -> None:
        self._manual.advance(ticks - self._manual.ticks)

    def time(self) -> float:
        return 1_800_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The ``error`` object of either protocol's envelope."""
        return self.json["error"]

    @property
    def names(self) -> set[str]:
        """Header names, in lower case."""
        return {name.lower() for name in self.headers}


def body_of(protocol: str, model: str, **more: Any) -> dict[str, Any]:
    """The smallest valid request body."""
    least = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return {**least, **({"max_tokens": 64} if protocol == "messages" else {}), **more}


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    ends = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


@dataclass
class House:
    """One running proxy, its clock, its client and the vendor behind it; ``keys`` are those of the latest world."""

    proxy: Proxy
    clock: FakeClock
    folder: Path
    client: aiohttp.ClientSession
    vendor: Any
    keys: dict[str, list[str]] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def furnish(
        self,
        keys: int = 1,
        *,
        base: str = "",
        config: Mapping[str, Any] | None = None,
        demo: bool = False,
        **environ: str,
    ) -> World:
        """A new generation: ``vendor`` (chat) and ``claudish`` (messages) with so many fresh keys each.

        The keys take turns. ``base`` is another upstream than the engine, without a version; ``config`` are further
        top-level sections; ``demo`` serves the demo provider too.
        """
        base = base or self.vendor.url
        generation = next(self.numbers)
        self.keys = {}
        variables = {"ROTATOR_STATE": str(self.folder / "state"), **environ}
        for name in PROVIDERS.values():
            self.keys[name] = [f"key-{generation}-{name}-{number}-abcdef" for number in range(1, keys + 1)]
            for number, key in enumerate(self.keys[name], 1):
                variables[f"{name.upper()}_API_KEY_{number}"] = key
        providers = {
            "vendor": {"protocol": "chat", "base_url": f"{base}/v1"},
            "claudish": {"protocol": "messages", "base_url": base, "auth": "x-api-key"},
        }
        document = {"providers": providers, "rotation": {"mode": "round_robin"}, **(config or {})}
        (self.folder / "rotator.yaml").write_text(json.dumps(document), encoding="utf-8")
        settings = load(Flags(demo=demo or None), environ=variables, cwd=self.folder)
        world = build_world(settings, LOADED, generation)
        await self.proxy.core.adopt(world)
        self.clock.now = float(math.ceil(self.clock.now))  # so that sums of quarters are exact
        self.clock.slept.clear()
        return world

    def fresh(self) -> str:
        """A model name that no other test has."""
        return f"model-{next(self.numbers)}"

    def play(self, *steps: Any) -> str:
        """A fresh model that the vendor answers with these steps."""
        model = self.fresh()
        self.vendor.script(model, *steps)
        return model

    @asynccontextmanager
    async def asking(
        self, protocol: str, body: Any, *, path: str = "", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request, its answer still to be read; bytes go out as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = self.proxy.url + (path or PATHS[protocol])
        async with self.client.post(url, data=BytesIO(data), headers={**JSON, **(headers or {})}) as reply:
            yield reply

    async def ask(self, protocol: str, body: Any, **more: Any) -> Answer:
        """One request and its whole answer."""
        async with self.asking(protocol, body, **more) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def call(self, protocol: str, model: str, **more: Any) -> Answer:
        """The smallest request for a model of the protocol's own provider."""
        return await self.ask(protocol, self.body(protocol, model, **more))

    def body(self, protocol: str, model: str, **more: Any) -> dict[str, Any]:
        """The smallest request body for a model of the protocol's own provider."""
        return body_of(protocol, f"{PROVIDERS[protocol]}/{model}", **more)

    def standing(self, protocol: str, model: str) -> Sequence[Candidate]:
        """What the pool knows of each key."""
        target = Target(PROVIDERS[protocol], protocol, model)
        return self.proxy.core.pool.explain(target, Needs()).candidates

    def reasons(self, protocol: str, model: str) -> list[list[str]]:
        """Why each key is left out."""
        return [[reason.code for reason in one.reasons] for one in self.standing(protocol, model)]

    def used(self, protocol: str) -> list[int]:
        """Which of the world's keys the vendor saw, by number, in order."""
        keys = self.keys[PROVIDERS[protocol]]
        return [keys.index(seen.key) + 1 for seen in self.vendor.requests if seen.key in keys]

    async def idle(self) -> None:
        """Wait until no request is under way; then no lease is open."""
        await until(lambda: not self.proxy.core.running)
        assert self.proxy.core.pool.counters.open == 0
        assert self.proxy.core.pool.counters.settled_twice == 0


@asynccontextmanager
async def inhabited(folder: Path) -> AsyncIterator[House]:
    """A house with everything in it running."""
    clock = FakeClock()
    vendor = engine.Engine(pace_seconds=0.0, clock=lambda: 1_800_000_000.0)
    await vendor.start()
    variables = {"VENDOR_API_BASE": vendor.chat_base, "VENDOR_API_KEY": "first", "ROTATOR_STATE": str(folder / "state")}
    settings = load(Flags(), environ=variables, cwd=folder)
    try:
        async with (
            serving(build_world(settings, LOADED, 0), clock=clock) as proxy,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        ):
            yield House(proxy, clock, folder, client, vendor)
    finally:
        await vendor.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dwelling(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The module's house; what a test furnished stays until the next one does."""
    async with inhabited(tmp_path_factory.mktemp("house")) as house:
        await house.furnish()
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def house(dwelling: House) -> AsyncIterator[House]:
    """The house with one fresh key for each provider; a test that ends leaves no request and no lease behind."""
    await dwelling.furnish()
    yield dwelling
    await dwelling.idle()


@dataclass(frozen=True)
class Canned:
    """What the canned server sends: exact bytes, one chunk of HTTP for each of ``chunks``.

    ``whole`` False breaks the connection off behind the last chunk. ``raw`` goes out instead of everything else.
    """

    chunks: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    whole: bool = True
    raw: bytes = b""


@dataclass(frozen=True)
class Taken:
    """One request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


class CannedServer:
    """A server that checks nothing: it keeps each request's exact bytes and answers what it was told."""

    def __init__(self, answer: Canned) -> None:
        self.answer = answer
        self.taken: list[Taken] = []
        self.connections = 0
        self.url = ""
        self.gone = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def aclose(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()
        await until(lambda: not self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while (request := await self._request(reader)) is not None:
                self.taken.append(request)
                await self._answer(writer, self.answer)
                if not self.answer.whole:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _request(self, reader: asyncio.StreamReader) -> Taken | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        line, *rest = head.decode("latin-1").rstrip().split("\r\n")
        pairs = (text.partition(":") for text in rest)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Taken(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))

    async def _answer(self, writer: asyncio.StreamWriter, canned: Canned) -> None:
        if canned.raw:
            writer.write(canned.raw)
            return
        lines = [f"HTTP/1.1 {canned.status} Told", *(f"{name}: {value}" for name, value in canned.headers.items())]
        writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode("latin-1"))
        for chunk in filter(None, canned.chunks):
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
            await asyncio.sleep(0)  # let the proxy read it by itself
        if canned.whole:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


@asynccontextmanager
async def canned(answer: Canned) -> AsyncIterator[CannedServer]:
    """A canned server that runs until the block ends."""
    server = CannedServer(answer)
    await server.start()
    try:
        yield server
    finally:
        await server.aclose()
