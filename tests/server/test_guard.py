"""The head of a request: its size, its deadline, and raw HTTP of every hostile kind."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.asking import HANG_SECONDS, ask, chat, exchange, parsed, request
from tests.proxy import Proxy, make_world, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUITE = Path(__file__).resolve().parents[3] / "shared" / "suites" / "http" / "http.jsonl"
#: Answers that say: this is no HTTP that we take. Every other one says that the head was understood.
REFUSALS = {400, 408, 411, 413, 414, 417, 431, 501, 505}
#: Cases of the suite that RFC 9112 wants refused and that get another answer, and why that does no harm.
DEVIATIONS = {
    "invalid/rfc9112_target_asterisk_non_options_01": "httptools takes * with any method; it leads nowhere",
    "invalid/rfc9110_trailer_forbidden_host_01": "trailers are dropped unread, whatever they are called",
    "invalid/rfc9112_chunked_missing_final_crlf_01": "refused for its Host before anything reads the body",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """A proxy with the smallest head that can be set."""
    config = "limits: {header_bytes: 1024}\ntimeouts: {header: 0.05, body: 0.05}\n"
    async with serving(make_world({}, tmp_path_factory.mktemp("small"), config=config)) as proxy:
        yield proxy


@pytest.mark.parametrize("size", [70_000, 300_000, 2_000_000])
async def test_a_head_beyond_64_kib_is_cut_off(demo: Proxy, size: int) -> None:
    received = await exchange(demo.url, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"x" * size)
    assert received[:12] in (b"HTTP/1.1 431", b"")  # what is still being sent may reset what was answered


async def test_a_head_of_60_kib_passes(demo: Proxy) -> None:
    headers = {"x-long": "x" * 61_000}
    assert (await ask(demo.url, "GET", "/health", headers)).status == 200


@pytest.mark.parametrize("size", [1_500, 60_000, 200_000, 3_000_000])
async def test_a_body_is_no_head(small: Proxy, size: int) -> None:
    """However the bytes of a body arrive, together with its head or alone, they do not count as a head."""
    body = chat("demo/text")
    body["messages"][0]["content"] = "x" * size
    answer = await ask(small.url, "POST", "/v1/chat/completions", {"connection": "keep-alive"}, body)
    assert answer.status == 200


async def test_a_second_request_has_a_head_of_its_own(small: Proxy) -> None:
    """The sizes of requests on one connection do not add up."""
    keep = request("GET", "/health", {"x": "x" * 700, "connection": "keep-alive"})
    last = request("GET", "/health", {"x": "x" * 700})
    received = await exchange(small.url, keep * 4 + last)
    assert received.count(b"HTTP/1.1 200") == 5


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: y"])
async def test_a_head_that_does_not_come_is_not_awaited(small: Proxy, sent: bytes) -> None:
    """``exchange`` fails the test where the connection stays open."""
    assert await exchange(small.url, sent) == b""


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nhost"])
async def test_the_next_head_on_a_connection_has_a_deadline_too(small: Proxy, start: bytes) -> None:
    """Also where its first bytes came together with the request before it."""
    first = request("GET", "/health", {"connection": "keep-alive"})
    place = urlsplit(small.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            writer.write(first + start)
            await reader.readuntil(b"}")
            writer.write(b"" if start else b"GET / HT")
            assert await reader.read() == b""
    finally:
        writer.close()


async def test_a_head_in_small_pieces_passes(demo: Proxy) -> None:
    data = request("GET", "/health", {"x-a": "1"})
    place = urlsplit(demo.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for byte in data:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_that_does_not_come_is_told(small: Proxy) -> None:
    for path, field in (("/v1/chat/completions", "error"), ("/v1/messages", "type")):
        received = await exchange(small.url, request("POST", path, {"content-length": "10"}) + b"{")
        answer = parsed(received)
        assert answer.status == 408 and field in answer.json
        assert answer.headers["connection"] == "close"


async def answered(url: str, data: bytes, gate: asyncio.Semaphore) -> tuple[list[int], bytes]:
    """The status of each answer to these bytes, read until nothing more comes; fails where nothing ever does."""
    place = urlsplit(url)
    received = bytearray()
    async with gate:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            writer.write(data)
            while True:
                async with asyncio.timeout(0.5 if received else HANG_SECONDS):
                    chunk = await reader.read(65536)
                if not chunk:
                    break
                received += chunk
        except ConnectionError:
            pass
        except TimeoutError:
            assert received, "neither answered nor closed"
        finally:
            writer.close()
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", received)], bytes(received)


@pytest.mark.skipif(not SUITE.is_file(), reason="../shared is not there")
async def test_raw_http_of_every_hostile_kind(demo: Proxy) -> None:
    """What must be refused is refused, nothing is smuggled, nothing fails inside, nothing hangs."""
    cases: list[Any] = [json.loads(line) for line in SUITE.read_text(encoding="utf-8").splitlines()]
    assert len(cases) > 250
    gate = asyncio.Semaphore(50)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(answered(demo.url, base64.b64decode(case["request_b64"]), gate)) for case in cases
        ]
    problems, deviating = [], set()
    for case, task in zip(cases, running, strict=True):
        statuses, received = task.result()
        what = f"{case['origin']} {case['name']} ({case['expect']}): {statuses}"
        if case["expect"] == "reject" and (statuses and statuses[0] not in REFUSALS):
            deviating.add(case["name"])
            problems += [] if case["name"] in DEVIATIONS else [what]
        if case["expect"] == "accept" and not statuses or any(status >= 500 for status in statuses):
            problems.append(what)
        if b"/smuggled" in received and any(200 <= status < 300 for status in statuses):
            problems.append(f"{what} smuggled")
    problems += [f"{name}: deviates no more" for name in DEVIATIONS.keys() - deviating]
    assert not problems, "\n".join(problems)


def with_trailers(trailers: bytes, **headers: str) -> bytes:
    """A request in one chunk, and what stands behind that."""
    body = json.dumps(chat("demo/text")).encode()
    head = request("POST", "/v1/chat/completions", {"transfer-encoding": "chunked", **headers})
    return head + b"%x\r\n%b\r\n0\r\n" % (len(body), body) + trailers


async def test_a_trailer_changes_no_request(demo: Proxy) -> None:
    """As headers the same lines count."""
    assert parsed(await exchange(demo.url, with_trailers(b"\r\n", origin="http://evil.example"))).status == 403
    for trailer in (b"origin: http://evil.example", b"x-rotator-credential: nobody", b"x-rotator-require: none"):
        assert parsed(await exchange(demo.url, with_trailers(trailer + b"\r\n\r\n"))).status == 200


@pytest.mark.parametrize(("count", "passes"), [(40, True), (41, True), (200, False), (20_000, False)])
async def test_trailers_have_the_limit_of_a_head(small: Proxy, count: int, passes: bool) -> None:
    trailers = b"".join(b"x-%06d: %010d\r\n" % (number, number) for number in range(count))
    received = await exchange(small.url, with_trailers(trailers + b"\r\n"))
    assert received[:12] == (b"HTTP/1.1 200" if passes else b"")


async def test_one_trailer_without_an_end_is_not_kept(demo: Proxy) -> None:
    """The body's own deadline would tell 408 later; until then nothing may collect."""
    received = await exchange(demo.url, with_trailers(b"x: " + b"x" * 2_000_000))
    assert b"408" not in received
