"""The head of a request: its size, its deadline, and raw HTTP of every hostile kind; clients that take nothing."""

import asyncio
import base64
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from rotator.server.guard import guarded
from rotator.server.hangup import EXTENSION
from tests.asking import HANG_SECONDS, ask, chat, exchange, parsed, request
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import CHAT_FRAMES, JSON, SSE, WHOLE, Gate, House, Play, Raw, until

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


@pytest.mark.parametrize("path", ["/nothing", "/health"])
async def test_a_body_that_was_answered_before_its_end_is_not_taken_for_ever(small: Proxy, path: str) -> None:
    """Nothing reads it: without an end the connection would stay. ``exchange`` fails the test where it does."""
    for framing in ({"content-length": "100000"}, {"transfer-encoding": "chunked"}):
        data = request("POST", path, {"connection": "keep-alive", **framing}) + b"1\r\n{\r\n"
        assert parsed(await exchange(small.url, data)).status == (404 if path == "/nothing" else 405)


async def test_a_body_that_ends_behind_its_answer_leaves_the_connection_usable(demo: Proxy) -> None:
    place = urlsplit(demo.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(request("POST", "/nothing", {"connection": "keep-alive", "content-length": "5"}) + b"ab")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")
        await reader.readuntil(b"}}")
        writer.write(b"cde" + request("GET", "/health"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()


def connection_of_the_one(house: House) -> Any:
    """The listener's side of the one request's connection."""
    [running] = house.proxy.core.running
    return running.scope["extensions"][EXTENSION]  # type: ignore[attr-defined]


def pass_time(connection: Any, seconds: float) -> None:
    """Let the time between two looks pass for the guard alone."""
    connection._timer.cancel()
    connection._look(seconds)


LARGE = WHOLE["chat"].replace(b'"hi"', b'"' + b"x" * 4_000_000 + b'"')


class Slow:
    """A client on a bare socket that takes what it is told to, and the listener's side of its connection.

    The kernel holds little for either side, and the transport asks for more while much is left.  ``wait`` lets time
    pass for the guard alone.
    """

    def __init__(self, bare: socket.socket, connection: Any) -> None:
        self.bare = bare
        self.connection = connection
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
        connection.transport.set_write_buffer_limits(high=1_000_000, low=500_000)

    @property
    def unsent(self) -> int:
        return int(self.connection.transport.get_write_buffer_size())

    def wait(self, seconds: float) -> None:
        pass_time(self.connection, seconds)

    async def take(self, size: int) -> bytes:
        """About so many bytes, and at least as many as let the proxy send something."""
        before = self.unsent
        taken = bytearray()
        async with asyncio.timeout(HANG_SECONDS):
            while self.unsent == before or len(taken) < size - 65_536:
                taken += await self.receive()
        return bytes(taken)

    async def receive(self) -> bytes:
        chunk = await asyncio.get_running_loop().sock_recv(self.bare, 65_536)
        assert chunk, "the connection is gone"
        return chunk

    async def settled(self) -> None:
        """Wait until the kernel takes nothing more; it may think for 40 ms about an acknowledgement."""
        still, before = 0, 0
        async with asyncio.timeout(HANG_SECONDS):
            while still < 6:
                await asyncio.sleep(0.01)
                still, before = (still + 1, before) if self.unsent == before > 0 else (0, self.unsent)


@asynccontextmanager
async def reading_nothing(house: House, *, close: bool = False, streams: bool = False) -> AsyncIterator[Slow]:
    """A client whose large answer waits for it: a whole one, or the beginning of a stream, which goes on later."""
    gate = Gate()
    whole = Raw(200, JSON, [LARGE], head=gate)
    begun = Raw(200, SSE, [CHAT_FRAMES[1].replace(b"one", b"x" * 800_000), *CHAT_FRAMES[2:]], gate)
    asked = house.body("chat", house.play(begun if streams else whole), stream=streams)
    place = urlsplit(house.proxy.url)
    headers = {"connection": "close" if close else "keep-alive"}
    with socket.socket() as bare:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        bare.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(bare, (place.hostname, place.port))
        data = request("POST", "/v1/chat/completions", headers, json.dumps(asked).encode())
        await loop.sock_sendall(bare, data)
        await until(lambda: house.proxy.core.running)
        slow = Slow(bare, connection_of_the_one(house))
        gate.release()
        await until(lambda: slow.unsent)
        await slow.settled()
        yield slow
        bare.close()
        await until(lambda: slow.connection.lost)


@pytest.mark.parametrize("close", [False, True])
async def test_an_answer_of_which_nothing_is_taken_ends_the_connection(house: House, close: bool) -> None:
    """``timeouts.write`` counts from the first look that finds it waiting."""
    async with reading_nothing(house, close=close) as slow:
        assert slow.connection.transport.is_closing() == close
        for waited in (0.0, 59.0, 0.9):
            slow.wait(waited)
            await asyncio.sleep(0)
            assert not slow.connection.lost and not slow.connection.stopped_reading
        slow.wait(0.1)
        await until(lambda: slow.connection.lost)
        assert slow.connection.stopped_reading and slow.connection._timer is None


@pytest.mark.parametrize("close", [False, True])
async def test_a_slow_client_that_takes_something_gets_everything(house: House, close: bool) -> None:
    async with reading_nothing(house, close=close) as slow:
        received = bytearray()
        while slow.unsent:
            slow.wait(59.0)
            assert not slow.connection.stopped_reading
            received += await slow.take(300_000)
        while not received.endswith(LARGE):
            received += await slow.receive()
        if not close:
            for _ in range(3):
                slow.wait(3_600.0)  # nothing waits any more
            assert not slow.connection.transport.is_closing()
        assert not slow.connection.stopped_reading


@pytest.mark.parametrize("close", [False, True])
async def test_the_last_bytes_of_an_answer_count_too(house: House, close: bool) -> None:
    """The transport asks for more long before it is empty."""
    async with reading_nothing(house, close=close) as slow:
        slow.wait(0.0)
        slow.wait(59.0)
        while slow.connection.flow.write_paused:
            await slow.take(1)
        await slow.settled()
        assert slow.unsent <= 500_000
        slow.wait(59.0)
        slow.wait(59.0)
        assert not slow.connection.stopped_reading
        slow.wait(1.0)
        await until(lambda: slow.connection.lost)


async def test_as_much_as_before_is_not_the_same_bytes(house: House) -> None:
    """What was taken between two looks may have been written again."""
    async with reading_nothing(house) as slow:
        slow.wait(0.0)
        slow.wait(59.0)
        before = slow.unsent
        while slow.connection.flow.write_paused:
            await slow.take(1)
        await slow.settled()
        slow.connection.transport.write(b"x" * (before - slow.unsent))
        assert slow.unsent == before and slow.connection.flow.write_paused
        slow.wait(59.0)
        slow.wait(59.0)
        assert not slow.connection.stopped_reading
        slow.wait(1.0)
        assert slow.connection.stopped_reading


async def test_an_open_stream_that_asks_for_more_is_not_judged(house: House) -> None:
    """As long as the transport takes more, the same size may be made of other bytes."""
    async with reading_nothing(house, streams=True) as slow:
        before = slow.unsent
        assert not slow.connection.flow.write_paused
        for _ in range(3):
            slow.wait(59.0)
            await slow.take(1)
            await slow.settled()
            slow.connection.transport.write(b"x" * (before - slow.unsent))
            assert slow.unsent == before
        assert not slow.connection.stopped_reading


async def test_a_stream_that_was_broken_off_does_not_wait_for_ever(house: House) -> None:
    async with reading_nothing(house, streams=True) as slow:
        assert not slow.connection.flow.write_paused and not slow.connection.cycle.response_complete
        slow.connection.transport.close()
        slow.wait(0.0)
        slow.wait(60.0)
        await until(lambda: slow.connection.lost)
        assert slow.connection.stopped_reading


async def test_a_stream_whose_client_waits_is_no_slow_client(house: House) -> None:
    gate = Gate()
    gate.release(4)
    async with house.asking("chat", house.body("chat", house.play(Play("text", gate)), stream=True)) as reply:
        await reply.content.readuntil(b"\n\n")
        connection = connection_of_the_one(house)
        for _ in range(5):
            pass_time(connection, 3_600.0)
        gate.open()
        assert b"[DONE]" in await reply.read()


async def test_a_body_on_its_way_has_the_time_of_a_body(house: House) -> None:
    """That of a head is over; the request is not answered yet."""
    body = json.dumps(house.body("chat", "text")).encode()
    place = urlsplit(house.proxy.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request("POST", "/v1/chat/completions", {}, body)[:-1])
    await until(lambda: house.proxy.core.running)
    connection = connection_of_the_one(house)
    for _ in range(3):
        pass_time(connection, 3_600.0)
    writer.write(body[-1:])
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_the_next_look_comes_when_the_head_is_due(house: House) -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(house.call("chat", house.play(Play("text", head=gate))))
        await until(lambda: house.proxy.core.running)
        connection = connection_of_the_one(house)
        connection._head_since = connection.loop.time() - 3.0
        pass_time(connection, 0.0)
        assert connection._timer.when() <= connection.loop.time() + 2.0
        connection._head_since = None
        gate.open()
    assert asking.result().status == 200


async def test_a_short_time_to_take_something_is_looked_at_often() -> None:
    assert guarded(1024, 5.0, 60.0).look_seconds == 5.0  # type: ignore[attr-defined]
    assert guarded(1024, 5.0, 0.4).look_seconds == 0.1  # type: ignore[attr-defined]
