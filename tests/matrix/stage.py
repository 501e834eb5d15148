"""A running proxy for the matrix: each case has a provider, keys and a script of its own, so cases can run at once.

What they leave behind is counted from outside: tasks, open files (sockets among them), leases, attempts, lines.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import math
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rotator.config import Flags, load
from rotator.credentials.keys import Standing
from rotator.hookspecs import AttemptSeen
from rotator.server.core import Core
from rotator.server.process import Process, bind
from rotator.world import build_world
from tests.upstreams import JSON, LOADED, PATHS, SSE, FakeClock, body_of, engine, until

#: The lanes that give the client the vendor's own frames.
LANES = ("raw", "native")
#: A matrix test that takes longer hangs.
HANG_SECONDS = 30.0
#: The vendor's answers end their connections, so that an open one can only be one that was forgotten.
CLOSING_SSE = {**SSE, "connection": "close"}
CLOSING_JSON = {**JSON, "connection": "close"}


class HeldClock(FakeClock):
    """Sleeping takes no time, unless it is held: then it takes for ever and ``sleeping`` counts who sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self.sleeping = 0

    async def sleep(self, seconds: float) -> None:
        if not self.held:
            return await super().sleep(seconds)
        self.slept.append(seconds)
        self.sleeping += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.sleeping -= 1


class Cell(NamedTuple):
    """Who speaks what, and the lane between them; ``staged``: with a wire adapter that changes nothing."""

    client: str
    vendor: str
    lane: str
    staged: bool = False

    def __str__(self) -> str:
        way = self.lane if self.lane in LANES else f"on-{self.vendor}"
        return "-".join((self.client, way, *["staged"] * self.staged))

    @property
    def heard_elsewhere(self) -> bool:
        """A translation whose client hears nothing that it does not hear in another cell."""
        return self.staged or (self.lane not in LANES and self.client == self.vendor)


#: Both sides speak one protocol, and a lane that does not translate does for it.
PLAIN = [Cell(protocol, protocol, lane) for protocol in PATHS for lane in LANES]
#: Each client on the other's vendor, and each on its own where the provider wants a translation.
TRANSLATED = [Cell(client, vendor, "translate") for client in PATHS for vendor in PATHS]
TRANSLATED += [cell._replace(staged=True) for cell in TRANSLATED if cell.client != cell.vendor]
CELLS = [*PLAIN, *TRANSLATED]
#: For a test that runs once in each cell.
EACH_CELL = pytest.mark.parametrize("cell", CELLS, ids=str)


@dataclass(frozen=True)
class Part:
    """What one case has for itself: a client that speaks ``protocol``, a provider that speaks ``vendor``, its keys."""

    provider: str
    protocol: str
    vendor: str
    lane: str
    keys: tuple[str, ...]

    @property
    def model(self) -> str:
        """The name that clients ask for."""
        return f"{self.provider}/text"

    def body(self, **more: Any) -> dict[str, Any]:
        """The smallest request."""
        return body_of(self.protocol, self.model, **more)


@dataclass
class Stage:
    """The proxy, the vendor behind it, and what was seen of both."""

    core: Core
    url: str
    vendor: Any
    clock: HeldClock
    folder: Path
    out: io.StringIO
    attempts: list[AttemptSeen] = field(default_factory=list)
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    read_characters: int = 0
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def cast(
        self,
        cell: Cell,
        keys: Sequence[int],
        *,
        config: Mapping[str, Any] | None = None,
        **environ: str,
    ) -> list[Part]:
        """A new generation with a provider for each entry of ``keys``, which says how many it has."""
        client, vendor, lane, staged = cell
        base = self.vendor.url + ("/v1" if vendor == "chat" else "")
        declared: dict[str, Any] = {"protocol": vendor, "base_url": base}
        declared |= {"auth": "x-api-key"} if vendor == "messages" else {}
        declared |= {"lane": lane} if lane != "raw" and client == vendor else {}
        declared |= {"adapters": [{"rename_field": {"from": "never", "to": "ever"}}]} if staged else {}
        parts = []
        for count in keys:
            name = f"part{next(self.numbers)}x"
            own = tuple(f"key-{name}-{one}-abcdef" for one in range(count))
            parts.append(Part(name, client, vendor, lane, own))
            for number, key in enumerate(parts[-1].keys, 1):
                environ[f"{name.upper()}_API_KEY_{number}"] = key
        document = {"providers": {part.provider: declared for part in parts}, **(config or {})}
        (self.folder / "rotator.yaml").write_text(json.dumps(document), encoding="utf-8")
        loaded = replace(LOADED, observers=(self._observe,))
        settings = load(Flags(), environ=environ, cwd=self.folder)
        await self.core.adopt(build_world(settings, loaded, next(self.numbers)))
        return parts

    def _observe(self, attempt: AttemptSeen) -> None:
        self.attempts.append(attempt)

    def attempts_of(self, part: Part) -> list[AttemptSeen]:
        """What the ``on_attempt`` hook saw of a part's attempts."""
        return [seen for seen in self.attempts if seen.target.provider == part.provider]

    def requests_of(self, part: Part) -> list[Any]:
        """What the vendor saw of a part."""
        return [seen for seen in self.vendor.requests if seen.key in part.keys]

    def used(self, part: Part) -> list[int]:
        """The part's keys in the order in which the vendor saw them, the first one is 0."""
        return [part.keys.index(seen.key) for seen in self.requests_of(part)]

    def standings(self, part: Part) -> Sequence[Standing]:
        """What the pool thinks of each of a part's keys."""
        return self.core.pool.standings(part.provider)

    def doubted(self, part: Part) -> list[bool]:
        """Which keys were put behind the others."""
        return [one.doubted(self.clock.now) for one in self.standings(part)]

    def unpunished(self, part: Part) -> bool:
        """Whether nothing at all is held against any key of a part."""
        return all(
            not one.ledger.limits.held and one.ledger.rejection is None and one.ledger.doubted_until == -math.inf
            and not one.in_use
            for one in self.standings(part)
        )

    def lines_of(self, part: Part) -> list[dict[str, Any]]:
        """What was written about a part's requests."""
        self.core.lines.flush()
        fresh = self.out.getvalue()[self.read_characters :]
        whole = fresh[: fresh.rfind("\n") + 1]
        self.read_characters += len(whole)
        for line in map(json.loads, whole.splitlines()):
            self.lines.setdefault(line["model"], []).append(line)
        return self.lines.get(part.model, [])

    def line_of(self, part: Part) -> dict[str, Any]:
        """The one line about a part's one request."""
        [line] = self.lines_of(part)
        return line

    def running(self, part: Part) -> Any:
        """The part's one request under way (``rotator.server.exchange.Running``)."""
        [running] = [one for one in self.core.running if one.record.model == part.model]  # type: ignore[attr-defined]
        return running

    async def idle(self) -> None:
        """Wait until no request is under way; then each lease was settled, once."""
        await until(lambda: not self.core.running)
        counters = self.core.pool.counters
        assert (counters.open, counters.settled_twice) == (0, 0), counters

    def request(self, part: Part, **more: Any) -> bytes:
        """The bytes of a request on a connection of its own."""
        data = json.dumps(part.body(**more)).encode()
        head = f"POST {PATHS[part.protocol]} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(data)}\r\n\r\n"
        return head.encode() + data

    @asynccontextmanager
    async def nothing_left(self) -> AsyncIterator[None]:
        """Behind the block there are no more requests, leases, tasks and open files than before it."""
        granted, settled = self.core.pool.counters.leases, len(self.attempts)
        tasks, files = asyncio.all_tasks(), open_files()
        async with asyncio.timeout(HANG_SECONDS):
            yield
        await self.idle()
        try:
            await until(lambda: asyncio.all_tasks() <= tasks and open_files() <= files)
        except TimeoutError:
            left = [task.get_coro() for task in asyncio.all_tasks() - tasks]
            raise AssertionError(f"left: tasks {left}, files {open_files()} of {files}") from None
        assert len(self.attempts) - settled == self.core.pool.counters.leases - granted


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/dev/fd"))


@asynccontextmanager
async def staged(folder: Path, *, send_buffer_bytes: int = 0) -> AsyncIterator[Stage]:
    """A stage; with ``send_buffer_bytes`` a client that reads nothing blocks the proxy soon."""
    clock, out = HeldClock(), io.StringIO()
    vendor = engine.Engine(pace_seconds=0.0, clock=lambda: 1_800_000_000.0)
    await vendor.start()
    (folder / "rotator.yaml").write_text(json.dumps({"server": {"log": "json"}}), encoding="utf-8")
    settings = load(Flags(), environ={"VENDOR_API_BASE": vendor.chat_base, "VENDOR_API_KEY": "first"}, cwd=folder)
    core = Core(build_world(settings, LOADED, 0), clock=clock, strict=True, out=out)
    bound = bind("127.0.0.1", 0)
    if send_buffer_bytes:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    process = Process(core, bound, lambda before: before, lambda url: None, signals=False)
    try:
        async with process.running() as url:
            yield Stage(core, url, vendor, clock, folder, out)
    finally:
        await vendor.aclose()


async def together(cases: Iterable[tuple[object, Coroutine[Any, Any, None]]]) -> None:
    """Run cases at once; the first one that fails says which it was, the others are cancelled."""

    async def named(case: object, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except BaseException as error:
            error.add_note(f"case: {case}")
            raise

    async with asyncio.TaskGroup() as group:
        for case, work in cases:
            group.create_task(named(case, work))
