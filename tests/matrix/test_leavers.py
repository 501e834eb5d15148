"""The client leaves, wherever its request is and whatever the vendor does (style.md 3.10, "cancellation matrix").

The upstream is let go at once, nobody is asked again, no key is blamed, and what was used is written down.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, overload
from weakref import ref

import pytest

from rotator.server.hangup import EXTENSION
from tests.matrix.stage import CLOSING_JSON, CLOSING_SSE, EACH_CELL, Cell, Part, Stage, together
from tests.matrix.streams import FIRST, HIDDEN, TOKENS_IN, frames_of, whole_of
from tests.upstreams import PATHS, Gate, Raw, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

VENDORS = ("silent", "flooding", "pacing")
#: How clients leave: in good order, or with a reset.
EXITS = ("close", "reset")
#: Between two events of a vendor that paces.
PACE_SECONDS = 0.001
#: More than any buffer between vendor and proxy holds: the vendor's stream has been read up to here.
FLOODED_BYTES = 8 * 1024 * 1024
LINGER_ZERO = struct.pack("ii", 1, 0)
#: A vendor's refusals, on connections that end: one that is tried again after a pause, one whose limit is waited for.
FAULT = {"status": 500, "headers": CLOSING_JSON, "chunks": [b'{"error":{"message":"It broke"}}']}
LIMIT = {"status": 429, "headers": {**CLOSING_JSON, "retry-after": "3"}, "chunks": [b'{"error":{"message":"Slow"}}']}


@dataclass
class Flood(Sequence[bytes]):
    """A beginning, then one piece so many times.  ``taken`` tells how far the vendor has come."""

    first: Sequence[bytes]
    piece: bytes
    times: int
    taken: int = 0

    def __len__(self) -> int:
        return len(self.first) + self.times

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | Sequence[bytes]:
        assert isinstance(at, int)
        if at >= len(self):
            raise IndexError(at)
        self.taken = max(self.taken, at)
        return self.first[at] if at < len(self.first) else self.piece

    @property
    def sent_bytes(self) -> int:
        """At least so much of the piece was written."""
        return max(0, self.taken - len(self.first)) * len(self.piece)


class Breath:
    """A gate that holds nothing back and lets others run: what is sent to a peer that has gone waits for nobody."""

    async def take(self) -> None:
        await asyncio.sleep(0)


@dataclass
class Case:
    """One client that leaves.  ``place``: see ``PLACES``; ``protocol`` is the vendor's."""

    place: str
    vendor: str
    exit: str
    protocol: str
    stream: bool = True
    gate: Any = field(default_factory=Gate, repr=False)
    flood: Flood = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.flood = Flood(*self.script())

    def script(self) -> tuple[list[bytes], bytes, int]:
        """What the vendor sends first, what it then repeats, how often."""
        frames = frames_of(self.protocol, FIRST)
        if self.place == "unanswered":
            return [], b" " * 4096, 10**6
        if self.place == "held back":
            return frames[: HIDDEN[self.protocol]], b": nothing yet " + b"." * 4096 + b"\n\n", 10**6
        large = 65_536 if self.place == "blocked" else 10
        before, voice, behind = frames[HIDDEN[self.protocol]].rpartition(FIRST.encode())  # what is said comes last
        return frames[: HIDDEN[self.protocol] + 1], before + voice * large + behind, 10**6

    def answer(self) -> Any:
        """The vendor's answer; a silent one's begins as far as the place needs it."""
        headers = CLOSING_SSE if self.stream else CLOSING_JSON
        if self.vendor == "flooding":
            return Raw(200, headers, self.flood, Breath())
        if self.vendor == "silent":
            self.gate.release({"unanswered": 0, "blocked": 100}.get(self.place, len(self.flood.first)))
            return Raw(200, headers, self.flood, self.gate, self.gate if self.place == "unanswered" else None)
        return Raw(200, headers, self.flood, self.gate)


@asynccontextmanager
async def pacing(case: Case) -> AsyncIterator[None]:
    """Inside the block a vendor that paces sends an event now and then."""

    async def pace() -> None:
        while True:
            case.gate.release()
            await asyncio.sleep(PACE_SECONDS)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(pace()) if case.vendor == "pacing" else None
        yield
        if task is not None:
            task.cancel()


@asynccontextmanager
async def client(stage: Stage, part: Part, case: Case) -> AsyncIterator[asyncio.StreamReader]:
    """A client that leaves at the block's end; it takes little at a time."""
    host, _, port = stage.url.removeprefix("http://").partition(":")
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.setblocking(False)
    await asyncio.get_running_loop().sock_connect(bare, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=bare, limit=4096)
    writer.write(stage.request(part, stream=case.stream))
    try:
        yield reader
    finally:
        if case.exit == "reset":
            bare = writer.get_extra_info("socket")
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            writer.transport.abort()
        writer.close()


async def reached(stage: Stage, part: Part, case: Case, reader: asyncio.StreamReader) -> None:
    """Wait until the request is where its client leaves."""
    if case.place == "between chunks":
        await reader.readuntil(FIRST.encode())
        for _ in range(0 if case.vendor == "silent" else 20):
            await reader.readexactly(1024)
    elif case.place == "blocked":
        await until(lambda: stage.requests_of(part))
        await until(lambda: stage.running(part).send.__self__.flow.write_paused)
    elif case.vendor == "flooding":
        await until(lambda: case.flood.sent_bytes > FLOODED_BYTES)
    else:
        await until(lambda: stage.requests_of(part) and stage.requests_of(part)[0].body)
        await until(lambda: not case.gate._permits)
        await asyncio.sleep(0.02)  # the proxy reads what was sent


async def left(stage: Stage, part: Part, case: Case) -> None:
    """Leave, and see what becomes of the upstream, the key and the request's line."""
    stage.vendor.script_key(part.keys[0], case.answer())
    async with pacing(case):
        async with client(stage, part, case) as reader:
            await reached(stage, part, case, reader)
            assert stage.core.pool.counters.open and not stage.attempts_of(part)
        [seen] = stage.requests_of(part)
        await seen.ended.wait()
    await until(lambda: stage.attempts_of(part))
    assert seen.outcome == "peer_gone"
    assert [one.outcome.ended for one in stage.attempts_of(part)] == ["cancelled"]
    await until(lambda: stage.lines_of(part))
    line = stage.line_of(part)
    shown = case.place in ("between chunks", "blocked")
    assert (line["status"], line["note"], line["attempts"]) == (200 if shown else 499, "client gone", 1)
    assert line["lane"] == part.lane
    if case.protocol == "messages" and case.place != "unanswered":
        assert (line["usage"], line["tokens_in"], line["tokens_out"]) == ("vendor", TOKENS_IN, 1)
    elif shown:
        assert line["usage"] == "estimated" and line["tokens_in"] and line["tokens_out"]


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("how", EXITS)
async def test_a_connection_that_ends_behind_its_answer_is_forgotten(stage: Stage, protocol: str, how: str) -> None:
    """uvicorn keeps a connection that was reset between requests, and its last request, until the keep-alive ends."""
    async with stage.nothing_left():
        [part] = await stage.cast(Cell(protocol, protocol, "raw"), [1])
        gate, body = Gate(), whole_of(protocol, FIRST)
        headers = {**CLOSING_JSON, "content-length": str(len(body))}
        stage.vendor.script_key(part.keys[0], Raw(200, headers, [body], head=gate))
        async with client(stage, part, Case("answered", "silent", how, protocol, stream=False)) as reader:
            await until(lambda: stage.requests_of(part))
            connection = ref(stage.running(part).scope["extensions"][EXTENSION])
            gate.open()
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(body))
            await stage.idle()
            assert connection() is not None
        await until(lambda: connection() is None or (connection().lost and not gc.collect() and connection() is None))


PLACES = ("unanswered", "held back", "between chunks", "blocked")


def cases(place: str, protocol: str) -> Iterator[Case]:
    for vendor in VENDORS:
        for how in EXITS:
            yield Case(place, vendor, how, protocol, place != "unanswered")
    if place == "unanswered":
        yield Case(place, "silent", "close", protocol, True)


@EACH_CELL
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.incident(18)
@pytest.mark.pitfall("P-128")
async def test_a_client_that_leaves(narrow: Stage, cell: Cell, place: str) -> None:
    all_cases = list(cases(place, cell.vendor))
    async with narrow.nothing_left():
        held = {"limits": {"hold_back_bytes": 2**30}}
        parts = await narrow.cast(cell, [2] * len(all_cases), config=held)
        await together((case, left(narrow, part, case)) for case, part in zip(all_cases, parts, strict=True))
    for part in parts:
        assert narrow.used(part) == [0] and narrow.unpunished(part)


async def left_asleep(stage: Stage, part: Part, case: Case, everybody: int) -> None:
    """Leave while the proxy waits before it asks the one key again."""
    refusal = FAULT if case.place == "backoff" else LIMIT
    stage.vendor.script_key(part.keys[0], Raw(**refusal), case.answer())
    async with pacing(case):
        async with client(stage, part, case):
            await until(lambda: stage.clock.sleeping == everybody or stage.attempts_of(part)[1:])
            assert not stage.core.pool.counters.open
            before = json.dumps([repr(one) for one in stage.standings(part)])
        await until(lambda: stage.lines_of(part))
    [seen] = stage.attempts_of(part)
    assert (seen.outcome.ended, seen.status) == ("failed", refusal["status"])
    assert json.dumps([repr(one) for one in stage.standings(part)]) == before
    line = stage.line_of(part)
    assert (line["status"], line["note"], line["attempts"]) == (499, "client gone", 1)


@EACH_CELL
@pytest.mark.parametrize("place", ["backoff", "limit"])
@pytest.mark.pitfall("P-128")
async def test_a_client_that_leaves_during_a_wait(narrow: Stage, cell: Cell, place: str) -> None:
    """Behind a fault the same key rests a little, a short limit's end is waited for: neither goes on for nobody."""
    all_cases = list(cases(place, cell.vendor))
    async with narrow.nothing_left():
        parts = await narrow.cast(cell, [1] * len(all_cases))
        narrow.clock.slept.clear()
        narrow.clock.held = True
        try:
            everybody = len(all_cases)
            await together(
                (case, left_asleep(narrow, part, case, everybody))
                for case, part in zip(all_cases, parts, strict=True)
            )
        finally:
            narrow.clock.held = False
    assert len(narrow.clock.slept) == len(all_cases) and not narrow.clock.sleeping
    for part in parts:
        assert narrow.used(part) == [0]
