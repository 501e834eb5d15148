"""A server under pressure: clients that stop reading, more requests than it may have under way."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
import uvloop

from rotator.server.core import SHUTTING_DOWN, Core
from rotator.server.process import Process, bind
from tests.asking import HANG_SECONDS, ask, exchange, parsed, request
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import (
    FRAMES,
    PATHS,
    PROVIDERS,
    SSE,
    Answer,
    Canned,
    CannedServer,
    Gate,
    House,
    Play,
    Reply,
    body_of,
    until,
)

BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
IN_HOUSE = pytest.mark.asyncio(loop_scope="module")

MIB = 1_048_576
FLOOD_BYTES = 64 * MIB
#: What an upstream gets rid of while nobody reads: the kernel's buffers of two connections.  Source: faults.md 1.
HELD_BYTES = 16 * MIB


class Flood(CannedServer):
    """Sends one stream of 64 MiB as fast as it is taken, and counts what was."""

    def __init__(self, protocol: str) -> None:
        super().__init__(Canned(headers=SSE))
        self.protocol = protocol
        self.writer: asyncio.StreamWriter | None = None
        self.written = 0

    @property
    def sent(self) -> int:
        return self.written - self.writer.transport.get_write_buffer_size() if self.writer else 0

    async def _answer(self, writer: asyncio.StreamWriter, canned: Canned) -> None:
        self.writer = writer
        frames = FRAMES[self.protocol]
        [first] = [number for number, frame in enumerate(frames) if b"one " in frame]
        output = frames[first].replace(b"one ", b"x" * 65_536)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for frame in (*frames[:first], *[output] * (FLOOD_BYTES // 65_536), *frames[first + 2 :]):
            writer.write(frame)
            self.written += len(frame)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def flooded(folder: Path, protocol: str, config: str) -> AsyncIterator[tuple[Proxy, Flood, asyncio.StreamReader]]:
    """A client that has read the head of a flood and nothing more."""
    flood = Flood(protocol)
    await flood.start()
    base = f"{flood.url}/v1" if protocol == "chat" else flood.url
    config = f"providers: {{mine: {{protocol: {protocol}, base_url: '{base}'}}}}\n{config}"
    try:
        async with serving(make_world({"MINE_API_KEY": "key-of-mine"}, folder, config=config)) as proxy:
            place = urlsplit(proxy.url)
            async with asyncio.timeout(HANG_SECONDS):
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
                body = json.dumps(body_of(protocol, "mine/any", stream=True)).encode()
                writer.write(request("POST", PATHS[protocol], {}, body))
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                yield proxy, flood, reader
                writer.close()
    finally:
        await flood.aclose()


async def stopped(folder: Path, protocol: str) -> None:
    """``serving`` asserts that the lease was settled."""
    async with flooded(folder, protocol, "timeouts: {write: 0.05}") as (proxy, flood, reader):
        await flood.gone.wait()
        assert flood.sent < HELD_BYTES
        await until(lambda: not proxy.core.running)
        assert proxy.core.slots.total == 0
        received = 0
        while chunk := await reader.read(MIB):
            received += len(chunk)
        assert received < HELD_BYTES
        proxy.core.lines.flush()
        assert proxy.lines.getvalue().rstrip().endswith("client stopped reading")
        assert " 200 " in proxy.lines.getvalue()


@BOTH
@LOOPS
def test_a_client_that_stops_reading_is_dropped(
    tmp_path: Path, protocol: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(stopped(tmp_path, protocol))


async def held_up(folder: Path, protocol: str) -> None:
    async with flooded(folder, protocol, "") as (proxy, flood, reader):
        still, before = 0, -1
        while still < 20:
            still, before = (still + 1, before) if flood.sent == before else (0, flood.sent)
            await asyncio.sleep(0.005)
        assert 0 < flood.sent < HELD_BYTES
        received, last = 0, b""
        while chunk := await reader.read(MIB):
            received, last = received + len(chunk), last[-100:] + chunk
        assert received > FLOOD_BYTES and FRAMES[protocol][-1] in last
        await until(lambda: not proxy.core.running)
        proxy.core.lines.flush()
        assert "client" not in proxy.lines.getvalue()


@BOTH
@LOOPS
def test_an_upstream_waits_for_a_slow_client(
    tmp_path: Path, protocol: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Nothing is collected for it in between, and nothing is lost."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(held_up(tmp_path, protocol))


async def test_the_deadline_counts_from_the_next_start_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It stands in the class of connections; whoever changes it is told."""
    changed = make_world({}, tmp_path, config="timeouts: {write: 7}")
    (tmp_path / "rotator.yaml").unlink()
    core = Core(make_world({}, tmp_path), out=io.StringIO())
    process = Process(core, bind("127.0.0.1", 0), lambda before: changed, lambda url: None, signals=False)
    async with process.running():
        await process._reload_once()
        assert "timeouts.write" in caplog.text
        caplog.clear()
        await process._reload_once()
        assert "reloaded" in caplog.text and "timeouts.write" not in caplog.text


def arrived(house: House, model: str) -> int:
    """How many requests for a model the vendor has seen."""
    return sum(f'"{model}"'.encode() in seen.body for seen in house.vendor.requests)


def assert_refused(answer: Answer, protocol: str, names: str) -> None:
    """A 503 in the client's own envelope that says when to come again."""
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "x-should-retry" not in answer.names and "x-rotator-attempts" not in answer.names
    assert names in answer.error["message"]
    if protocol == "messages":
        assert (answer.json["type"], answer.error["type"]) == ("error", "overloaded_error")
    else:
        assert answer.error["type"] == "service_unavailable_error"
        assert answer.error["code"] == "too_many_requests_in_flight"


@asynccontextmanager
async def under_way(house: House, protocol: str, count: int = 1, **more: Any) -> AsyncIterator[list[Answer]]:
    """So many requests that wait for the vendor until the block ends; their answers are in the list then."""
    gate = Gate()
    model = house.play(Play("text", head=gate))
    answers: list[Answer] = []
    async with asyncio.TaskGroup() as group:
        body = house.body(protocol, model)
        asking = [group.create_task(house.ask(protocol, body, **more)) for _ in range(count)]
        await until(lambda: arrived(house, model) == count)
        yield answers
        gate.open()
    answers += [task.result() for task in asking]
    assert [answer.status for answer in answers] == [200] * count


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_requests_beyond_the_limit_are_refused_at_once(house: House, protocol: str, stream: bool) -> None:
    await house.furnish(config={"limits": {"concurrent_requests": 20}})
    gate = Gate()
    model = house.play(Play("text", head=gate))
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(house.call(protocol, model, stream=stream)) for _ in range(30)]
        await until(lambda: sum(task.done() for task in asking) == 10 and arrived(house, model) == 20)
        for answer in [task.result() for task in asking if task.done()]:
            assert_refused(answer, protocol, "20 requests are under way (limits.concurrent_requests)")
        assert house.proxy.core.slots.total == 20
        gate.open()
    assert sorted(task.result().status for task in asking) == [200] * 20 + [503] * 10
    await house.idle()
    assert (house.proxy.core.slots.total, arrived(house, model)) == (0, 20)
    assert (await house.call(protocol, model)).status == 200


@IN_HOUSE
@BOTH
async def test_each_client_key_has_a_limit_of_its_own(house: House, protocol: str) -> None:
    limits = {"concurrent_requests": 5, "concurrent_requests_per_client": 3}
    await house.furnish(config={"limits": limits}, PROXY_API_KEY="client-key-1", PROXY_API_KEY_2="client-key-2")
    first, second = {"x-api-key": "client-key-1"}, {"authorization": "Bearer client-key-2"}
    async with under_way(house, protocol, 3, headers=first):
        answer = await house.ask(protocol, house.body(protocol, "text"), headers=first)
        assert_refused(answer, protocol, "3 requests of this client are under way")
        async with under_way(house, protocol, 2, headers=second):
            for headers in (first, second):
                answer = await house.ask(protocol, house.body(protocol, "text"), headers=headers)
                assert_refused(answer, protocol, "5 requests are under way")
        answer = await house.ask(protocol, house.body(protocol, "text"), headers=second)
        assert answer.status == 200
    assert (await house.ask(protocol, house.body(protocol, "text"), headers=first)).status == 200


@IN_HOUSE
@BOTH
async def test_strangers_take_no_slot_and_learn_nothing(house: House, protocol: str) -> None:
    await house.furnish(config={"limits": {"concurrent_requests": 1}}, PROXY_API_KEY="client-key-1")
    mine, wrong = {"x-api-key": "client-key-1"}, {"x-api-key": "client-key-2"}
    place = urlsplit(house.proxy.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request("POST", PATHS[protocol], {**wrong, "content-length": "1000"}))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
    async with under_way(house, protocol, headers=mine):
        assert (await house.ask(protocol, house.body(protocol, "text"), headers=wrong)).status == 401
    writer.close()


@IN_HOUSE
async def test_pages_are_answered_at_the_limit(house: House) -> None:
    await house.furnish(config={"limits": {"concurrent_requests": 1}})
    async with under_way(house, "chat"):
        for path in ("/", "/health", "/ready", "/v1/models"):
            assert (await ask(house.proxy.url, "GET", path)).status == 200
        assert (await ask(house.proxy.url, "GET", "/nothing")).status == 404


@IN_HOUSE
async def test_a_reload_changes_the_limits_of_requests_to_come(house: House) -> None:
    async def status(**limits: int) -> int:
        await house.furnish(config={"limits": limits})
        return (await house.call("chat", "text")).status

    await house.furnish(config={"limits": {"concurrent_requests": 2}})
    async with under_way(house, "chat", 2):
        assert await status(concurrent_requests=2) == 503
        assert await status(concurrent_requests=3) == 200
        assert await status(concurrent_requests=1) == 503
        assert await status(concurrent_requests_per_client=2) == 503
        assert await status(concurrent_requests_per_client=3) == 200
        assert await status() == 200


@IN_HOUSE
@BOTH
async def test_a_body_that_nobody_reads_ends_the_connection(house: House, protocol: str) -> None:
    """``exchange`` reads until the proxy closes, and nothing of the body ever comes."""
    await house.furnish(config={"limits": {"concurrent_requests": 1}})
    async with under_way(house, protocol):
        head = request("POST", PATHS[protocol], {"connection": "keep-alive", "content-length": "1000000"})
        answer = parsed(await exchange(house.proxy.url, head))
        assert (answer.status, answer.headers["connection"]) == (503, "close")


@IN_HOUSE
@BOTH
async def test_a_refusal_of_a_whole_request_keeps_the_connection(house: House, protocol: str) -> None:
    await house.furnish(config={"limits": {"concurrent_requests": 1}})
    body = json.dumps(house.body(protocol, "text")).encode()
    data = request("POST", PATHS[protocol], {"connection": "keep-alive"}, body)
    place = urlsplit(house.proxy.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    async with under_way(house, protocol):
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503") and b"connection: close" not in head
        await reader.readuntil(b"}")
    writer.write(data)
    assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def answered(house: House, protocol: str) -> None:
    assert (await house.call(protocol, "text")).status == 200


async def streamed(house: House, protocol: str) -> None:
    assert (await house.call(protocol, "text", stream=True)).status == 200


async def refused(house: House, protocol: str) -> None:
    for body, status in ((b"no json", 400), ({"model": "nobody/text"}, 404)):
        assert (await house.ask(protocol, body)).status == status


async def failed(house: House, protocol: str) -> None:
    for status, told in ((400, 400), (429, 429), (500, 500), (401, 503)):
        assert (await house.call(protocol, house.play(Reply(status)))).status == told


Sight = Callable[[asyncio.StreamReader], Awaitable[Any]]


async def left(house: House, protocol: str, body: bytes, seen: Sight) -> None:
    """A client that hangs up when it has seen something; a whole body has 200 bytes."""
    place = urlsplit(house.proxy.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request("POST", PATHS[protocol], {"content-length": "200"}, body))
    await seen(reader)
    assert house.proxy.core.slots.total == 1
    writer.close()


async def left_in_its_body(house: House, protocol: str) -> None:
    await left(house, protocol, b"{", lambda reader: until(lambda: house.proxy.core.slots.total))


async def left_before_the_answer(house: House, protocol: str) -> None:
    model = house.play(Play("text", head=Gate()))
    body = json.dumps(house.body(protocol, model)).encode().ljust(200)
    await left(house, protocol, body, lambda reader: until(lambda: arrived(house, model)))


async def left_in_a_stream(house: House, protocol: str) -> None:
    gate = Gate()
    gate.release(4)
    body = json.dumps(house.body(protocol, house.play(Play("text", gate)), stream=True)).encode().ljust(200)
    await left(house, protocol, body, lambda reader: reader.readuntil(b"data: "))


async def ended_by_the_process(house: House, protocol: str) -> None:
    model = house.play(Play("text", head=Gate()))
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(house.call(protocol, model))
        await until(lambda: arrived(house, model))
        house.proxy.core.end_requests(SHUTTING_DOWN)
    house.proxy.core.stopping = False
    assert asking.result().status == 503


async def crashed(house: House, protocol: str) -> None:
    means, house.proxy.core.means = house.proxy.core.means, None  # type: ignore[assignment]
    try:
        assert (await house.call(protocol, "text")).status == 500
    finally:
        house.proxy.core.means = means


ENDINGS = (
    answered,
    streamed,
    refused,
    failed,
    left_in_its_body,
    left_before_the_answer,
    left_in_a_stream,
    ended_by_the_process,
    crashed,
)


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
async def test_every_ending_gives_its_slot_back(
    house: House, protocol: str, end: Callable[[House, str], Awaitable[None]]
) -> None:
    """Only one is there: a second round finds it again."""
    for _ in range(2):
        await house.furnish(config={"limits": {"concurrent_requests": 1}})
        await end(house, protocol)
        await house.idle()
        assert house.proxy.core.slots.total == 0 and not house.proxy.core.slots._clients


@IN_HOUSE
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_the_official_sdks_raise_their_own_class(house: House, size: int) -> None:
    """Also where most of the body is still on its way when the refusal comes."""
    await house.furnish(config={"limits": {"concurrent_requests": 1}})
    prompt: Any = [{"role": "user", "content": "x" * size}]
    async with (
        openai.AsyncOpenAI(base_url=house.proxy.chat_base, api_key="any", max_retries=0) as chat,
        anthropic.AsyncAnthropic(base_url=house.proxy.url, api_key="any", max_retries=0) as messages,
        under_way(house, "chat"),
    ):
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="limits.concurrent_requests") as chat_error:
                await chat.chat.completions.create(model="vendor/text", messages=prompt, stream=stream)
            with pytest.raises(anthropic.InternalServerError, match="limits.concurrent_requests") as error:
                await messages.messages.create(model="claudish/text", max_tokens=9, messages=prompt, stream=stream)
            for raised in (chat_error.value, error.value):
                assert (raised.status_code, raised.response.headers["retry-after"]) == (503, "1")
