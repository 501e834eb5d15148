"""Answers that are made to exhaust us: what is taken in is bounded, others are served meanwhile (faults.md 1)."""

import contextlib
import ctypes
import gc
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults import upstream
from tests.faults.checks import (
    BOTH,
    ENDS,
    ONCE,
    WAYS,
    Clients,
    attempts,
    ends_in_error,
    failing,
    healthy,
    last_line,
    says,
    stream_seen,
)
from tests.faults.upstream import body, sends, status, well
from tests.faults.wire import DELTA, MIB, SHOWN, Fault, FaultyVendor, Wire, chunk
from tests.upstreams import FRAMES

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: How much more memory a bomb may take for a moment; the body's own limit is 64 MiB of it.
GROWTH_BYTES = 100 * MIB
#: What may be on its way, beyond what was taken in: in the kernel and in buffers of both sides.
UNDER_WAY_BYTES = 40 * MIB
DEEP = b"[" * 1_000_000


def zeros(count: int) -> bytes:
    """A gzip stream of so many MiB of zeros, without its end: each MiB is one and the same kilobyte."""
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + again * (count - 1)


async def gzip_bomb(wire: Wire) -> None:
    await wire.open(content_encoding="gzip")
    await wire.send(chunk(zeros(512)))
    await wire.hang()


async def json_huge(wire: Wire) -> None:
    await wire.open()
    await wire.send(chunk(b'{"choices":[{"index":0,"message":{"content":"'))
    await wire.flood(b"x" * 262_144, 512 * MIB)


async def endless_line(wire: Wire) -> None:
    await wire.open()
    await wire.send(chunk(b"data: "))
    await wire.flood(b"x" * 262_144, 512 * MIB)


async def flood(wire: Wire) -> None:
    await wire.open()
    await wire.flood(DELTA[wire.protocol] % (b"x" * 262_144), 512 * MIB)


def memory_bytes(what: str) -> int:
    """Of this process: ``VmRSS``, what it has in memory, or ``VmHWM``, the most that it had."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found
    return int(found[1]) * 1024


def forget_peak() -> None:
    """Give back what is free and, where the system lets us, count the peak from here on."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


@asynccontextmanager
async def bounded(clients: Clients, fault: Fault, **more: Any) -> AsyncIterator[FaultyVendor]:
    """The house with this bomb; others are served meanwhile and afterwards, and memory stays within its bound."""
    house = clients.house
    forget_peak()
    before = memory_bytes("VmHWM")
    async with failing(house, fault, well, config={**ONCE, **more.pop("config", {})}, **more) as vendor:
        async with healthy(house):
            yield vendor
        assert memory_bytes("VmHWM") - before < GROWTH_BYTES
        for protocol in FRAMES:
            assert (await house.call(protocol, "any")).status == 200


#: Bomb -> code, and how many bytes may be taken in, for a whole answer and for a stream.
BOMBS: dict[Fault, tuple[tuple[str, int], tuple[str, int]]] = {
    gzip_bomb: (("too_large", MIB), ("too_large", MIB)),
    json_huge: (("too_large", 64 * MIB), ("too_large", 64 * MIB)),
    endless_line: (("too_large", 64 * MIB), ("too_large", 32 * MIB)),
}


@ENDS
@pytest.mark.parametrize(("protocol", "stream"), [("chat", False), ("messages", True)], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", BOMBS, ids=lambda fault: fault.__name__)
@pytest.mark.incident(20)
async def test_a_bomb_is_cut_at_the_limit(
    clients: Clients, protocol: str, lane: str, stream: bool, fault: Fault
) -> None:
    async with bounded(clients, fault, lane=lane) as vendor:
        refusal = await clients.refused(protocol, stream)
        code, limit_bytes = BOMBS[fault][stream]
        assert (refusal.status, refusal.attempts, last_line(clients.house).rpartition(", ")[2]) == (502, 1, code)
        assert vendor.sent_bytes < limit_bytes + UNDER_WAY_BYTES


async def test_a_flood_is_cut_where_it_is_one_answer(clients: Clients) -> None:
    async with bounded(clients, flood) as vendor:
        refusal = await clients.refused("messages", False)
        assert (refusal.status, refusal.attempts) == (502, 1)
        assert vendor.sent_bytes < 64 * MIB + UNDER_WAY_BYTES


@BOTH
@ENDS
async def test_a_flood_of_events_passes_and_is_not_kept(clients: Clients, protocol: str, lane: str) -> None:
    """There is no limit to what a stream may say in all; a client that has enough leaves."""
    house, total = clients.house, 80 * MIB
    async with bounded(clients, flood, lane=lane) as vendor:
        async with house.asking(protocol, house.body(protocol, "any", stream=True)) as reply:
            assert reply.status == 200
            read = 0
            while read < total:
                read += len(await reply.content.readany())
        assert total <= vendor.sent_bytes < read + UNDER_WAY_BYTES


@BOTH
@ENDS
@pytest.mark.parametrize("kind", ["line", "gzip"])
async def test_a_bomb_in_an_open_stream_ends_it(clients: Clients, protocol: str, lane: str, kind: str) -> None:
    async def line(wire: Wire) -> None:
        await wire.begin()
        await wire.flood(b"x" * 262_144, 512 * MIB)

    async def packed(wire: Wire) -> None:
        packer = zlib.compressobj(wbits=31)
        start = packer.compress(SHOWN[wire.protocol]) + packer.flush(zlib.Z_FULL_FLUSH)
        again = packer.compress(b"x" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
        await wire.open(content_encoding="gzip")
        await wire.send(chunk(start))
        await wire.vendor.seen.wait()
        await wire.send(chunk(again * 512))
        await wire.hang()

    async with bounded(clients, line if kind == "line" else packed, lane=lane) as vendor:
        answer = await stream_seen(clients.house, vendor, protocol, lane)
        ends_in_error(protocol, lane, answer, SHOWN[protocol])
        assert last_line(clients.house).endswith("too_large")
        assert vendor.sent_bytes < 32 * MIB + UNDER_WAY_BYTES and len(vendor.taken) == 1


def call(index: int, arguments: bytes, begun: bool = False) -> bytes:
    """A piece of a call in a Chat stream."""
    head = b'"id":"call_%d","type":"function",' % index if begun else b""
    name = b'"name":"f",' if begun else b""
    told = b'{"index":%d,%b"function":{%b"arguments":"%b"}}' % (index, head, name, arguments)
    return b'data: {"choices":[{"index":0,"delta":{"tool_calls":[%b]},"finish_reason":null}]}\n\n' % told


@pytest.mark.parametrize(("protocol", "lane"), [("chat", "forced"), ("messages", "crossed")])
async def test_calls_that_wait_for_another_are_cut_at_a_limit(clients: Clients, protocol: str, lane: str) -> None:
    """Clients take one call after the other: what comes of the second before the first is whole must be held."""

    async def waiting(wire: Wire) -> None:
        await wire.begin()
        await wire.send(chunk(call(0, b"{", begun=True)) + chunk(call(1, b"{", begun=True)))
        await wire.flood(call(1, b"x" * 262_144), 512 * MIB)

    async with bounded(clients, waiting, lane=lane) as vendor:
        answer = await stream_seen(clients.house, vendor, protocol, lane)
        text, first = says(protocol, answer).said
        assert (text.words, first.kind, first.words) == ("one ", "call", "{")
        assert last_line(clients.house).endswith("too_large")
        assert vendor.sent_bytes < 32 * MIB + UNDER_WAY_BYTES and len(vendor.taken) == 1


#: A million levels, in the answer and in the error; what is taken for JSON must not be walked to its end.
NESTED: dict[str, bytes] = {
    "array": DEEP,
    "object": b'{"a":' * 200_000,
    "whole": DEEP + b"]" * len(DEEP),
    "member": b'{"type":"message","content":[],"choices":[{}],"deep":' + DEEP + b"]" * len(DEEP) + b"}",
    "1025": b'{"type":"message","content":[],"choices":[{}],"deep":' + b"[" * 1_025 + b"]" * 1_025 + b"}",
    "254": b'{"type":"message","content":[],"choices":[{}],"deep":' + b"[" * 254 + b"]" * 254 + b"}",
}


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("case", NESTED)
async def test_json_that_is_too_deep_is_no_answer(
    clients: Clients, protocol: str, lane: str, stream: bool, case: str
) -> None:
    async with failing(clients.house, body(NESTED[case]), config=ONCE, lane=lane):
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, last_line(clients.house).rpartition(", ")[2]) == (502, 1, "not_json")


@BOTH
async def test_an_answer_as_deep_as_can_be_kept_passes(clients: Clients, protocol: str) -> None:
    """What a conversion could not write any more is refused on every lane alike (faults.md 0 item 6)."""
    deep = b'{"type":"message","content":[],"choices":[{}],"deep":' + b"[" * 190 + b"]" * 190 + b"}"
    async with failing(clients.house, body(deep)):
        answer = await clients.house.call(protocol, "any")
        assert (answer.status, answer.body, attempts(answer)) == (200, deep, 1)


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("case", NESTED)
async def test_an_error_that_is_too_deep_is_told_without_it(
    clients: Clients, protocol: str, lane: str, stream: bool, case: str
) -> None:
    deep = b'{"type":"error","error":{"message":"No","type":"t","deep":' + NESTED[case] + b"}}"
    async with failing(clients.house, status(400, deep), lane=lane):
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts) == (400, 1)
        assert len(refusal.body) < 2_000


async def test_memory_comes_back_after_every_kind_of_fault(clients: Clients) -> None:
    """The same faults again and again: nothing is kept of them (faults.md 1, row "memory")."""
    house = clients.house
    broken = sends(lambda protocol: [*FRAMES[protocol][:3], b"data: {\n\n"])
    faults: list[Fault] = [
        upstream.close, upstream.reset, upstream.garbage, upstream.bad_chunk, upstream.trunc_cl, upstream.gzip_corrupt,
        upstream.gzip_stream, body(b"<html>"), body(b""), status(400), status(429), status(500), broken, well,
    ]  # fmt: skip

    async def once(fault: Fault) -> None:
        for lane in ("raw", "crossed"):
            async with failing(house, fault, config=ONCE, lane=lane, SMALL_COOLDOWN_RETRY_THRESHOLD="0") as vendor:
                vendor.seen.set()
                for protocol in FRAMES:
                    for stream in (False, True):
                        await house.call(protocol, "any", stream=stream)

    for fault in faults:
        await once(fault)
    forget_peak()
    idle, objects = memory_bytes("VmRSS"), len(gc.get_objects())
    for fault in faults * 2:
        await once(fault)
    forget_peak()
    assert memory_bytes("VmRSS") < idle * 1.2
    assert len(gc.get_objects()) < objects * 1.2
