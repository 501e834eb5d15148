"""The trace in the life of the process: reloads, lost entries, what begins and what ends a request's entries."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from rotator.neutral.error import ErrorKind, error_of
from rotator.server.tracing import RETIRED
from rotator.trace import writer
from rotator.world import World
from tests.asking import ask, chat, exchange, parsed, request
from tests.exchange.test_tap import Entry, of, one, text, told, written
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import (
    BEFORE_VISIBLE,
    FRAMES,
    PATHS,
    PATIENCE_SECONDS,
    PROVIDERS,
    SSE,
    WHOLE,
    Canned,
    CannedServer,
    Gate,
    House,
    Play,
    Raw,
    Reply,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(autouse=True)
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry waits for others: nothing here is about that, and every test would wait for it."""
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.001)


async def furnish(house: House, folder: Path, level: str = "bounds", **more: Any) -> World:
    """A generation whose traces go to this folder; ``more`` are the trace's settings, sections, and variables."""
    trace = {"level": level, "dir": str(folder), **more.pop("trace", {})}
    config = {name: more.pop(name) for name in ("limits", "timeouts") if name in more}
    return await house.furnish(config={"trace": trace, **config}, **more)


async def asked(house: House, protocol: str = "chat") -> str:
    """A request that is answered whole; its id."""
    answer = await house.call(protocol, house.play(Play("text")))
    assert answer.status == 200
    return answer.headers["x-rotator-request-id"]


def ids(found: list[Entry]) -> list[str]:
    """Which requests there are entries of, in the order of their ends."""
    return [entry["request"] for entry in of(found, "end")]


@asynccontextmanager
async def open_stream(house: House, protocol: str) -> AsyncIterator[tuple[aiohttp.ClientResponse, Gate]]:
    """A stream of which the client has seen the beginning; the gate lets it go on."""
    gate, begun = Gate(), BEFORE_VISIBLE[protocol] + 1
    gate.release(begun)
    body = house.body(protocol, house.play(Raw(200, SSE, FRAMES[protocol], gate)), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        for _ in range(begun):
            await reply.content.readuntil(b"\n\n")
        yield reply, gate


# Reloads.

STREAMED = [
    "client_request", "decision", "attempt", "upstream_request", "upstream_response", "client_response", "outcome",
    "upstream_stream", "client_stream", "end",
]
WHOLLY = [
    "client_request", "decision", "attempt", "upstream_request", "upstream_response", "outcome", "client_response",
    "end",
]
CHANGES: dict[str, dict[str, Any]] = {
    "folder": {"dir": "elsewhere"},
    "bodies": {"body_bytes": 2048},
    "files": {"file_bytes": 65_536},
    "all files": {"total_bytes": 1_048_576},
    "level": {"level": "meta"},
    "off": {"level": "off"},
}


@BOTH
@pytest.mark.parametrize("change", CHANGES)
async def test_a_reload_keeps_the_traces_of_requests_under_way_whole(
    house: House, tmp_path: Path, protocol: str, change: str
) -> None:
    """They end as they began: in the folder, and with the level, of their own generation."""
    before, after = tmp_path / "before", tmp_path / "after"
    await furnish(house, before)
    trace = CHANGES[change] | ({"dir": str(after)} if change == "folder" else {})
    async with open_stream(house, protocol) as (reply, gate):
        under_way = reply.headers["x-rotator-request-id"]
        await furnish(house, before, trace=trace)
        later = None if change == "off" else await asked(house, protocol)
        gate.open()
        await reply.read()
    found = await told(before, 1 if later is None or change == "folder" else 2)
    own = [entry for entry in found if entry["request"] == under_way]
    assert [entry["pass"] for entry in own] == STREAMED
    assert text(one(own, "upstream_stream")) == b"".join(FRAMES[protocol])
    assert house.proxy.core.tracing.dropped == 0
    if change == "folder":
        assert ids(await told(after)) == [later] and ids(found) == [under_way]
    elif later is not None:
        assert set(ids(found)) == {later, under_way}
        [newer] = [entry for entry in of(found, "client_request") if entry["request"] == later]
        assert ("headers" in newer) == (change != "level")


async def test_several_reloads_keep_them_too(house: House, tmp_path: Path) -> None:
    """As many as there are retired writers: each is good until that many others have followed it."""
    await furnish(house, tmp_path / "first")
    async with open_stream(house, "chat") as (reply, gate):
        for number in range(RETIRED):
            await furnish(house, tmp_path / str(number))
        gate.open()
        await reply.read()
    assert [entry["pass"] for entry in await told(tmp_path / "first")] == STREAMED


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


async def test_a_change_of_level_keeps_the_file(house: House, tmp_path: Path) -> None:
    """Off and on again, too."""
    requests = []
    for level in ("meta", "full", "off", "bounds", "off", "meta"):
        await furnish(house, tmp_path, level)
        request_id = await asked(house)
        requests += [request_id] if level != "off" else []
        await told(tmp_path, len(requests))
    found = written(tmp_path)
    assert ids(found) == requests
    assert ["headers" in entry for entry in of(found, "client_request")] == [False, True, True, False]
    assert len(names(tmp_path)) == 1


async def test_a_moved_state_folder_moves_the_trace(house: House, tmp_path: Path) -> None:
    for name in ("one", "two"):
        await house.furnish(config={"trace": {"level": "meta"}}, ROTATOR_STATE=str(tmp_path / name))
        request_id = await asked(house)
        assert ids(await told(tmp_path / name / "trace")) == [request_id]
    assert len(ids(written(tmp_path / "one" / "trace"))) == 1


# Lost entries.


def mine(folder: Path, vendor: Any, trace: Path, level: str = "meta") -> World:
    declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    environ = {"MINE_API_KEY": "key-of-mine", "ROTATOR_TRACE": level, "ROTATOR_TRACE_DIR": str(trace)}
    return make_world(environ, folder, config=declared)


async def asked_mine(proxy: Proxy) -> None:
    assert (await ask(proxy.url, "POST", PATHS["chat"], {}, chat("mine/text"))).status == 200


def lost(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of lost entries."""
    return [message for message in caplog.messages if "trace entries" in message]


async def test_lost_entries_are_counted_over_reloads_and_told_at_the_end(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its folder would lie in a file; the other ones are good."""
    (tmp_path / "file").write_text("")
    async with serving(mine(tmp_path, house.vendor, tmp_path / "file" / "trace")) as proxy:
        tracing = proxy.core.tracing
        await asked_mine(proxy)
        await until(lambda: tracing.dropped == len(WHOLLY))
        for number in range(RETIRED + 2):
            await proxy.core.adopt(mine(tmp_path, house.vendor, tmp_path / str(number)))
            assert tracing.dropped == len(WHOLLY)
        await proxy.core.adopt(mine(tmp_path, house.vendor, tmp_path / "file" / "again"))
        await asked_mine(proxy)
        await until(lambda: tracing.dropped == 2 * len(WHOLLY))
        await proxy.core.adopt(mine(tmp_path, house.vendor, tmp_path / "off", "off"))
        caplog.clear()
    assert tracing.dropped == 2 * len(WHOLLY)
    assert lost(caplog) == [f"{2 * len(WHOLLY)} trace entries could not be written"]


async def test_where_none_was_lost_nothing_is_told(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits when the process ends is written before it does, also by writers of earlier settings."""
    monkeypatch.setattr(writer, "BATCH_SECONDS", 60.0)
    async with serving(mine(tmp_path, house.vendor, tmp_path / "first")) as proxy:
        await asked_mine(proxy)
        await proxy.core.adopt(mine(tmp_path, house.vendor, tmp_path / "second"))
        await asked_mine(proxy)
    for name in ("first", "second"):
        assert [entry["pass"] for entry in written(tmp_path / name)] == WHOLLY
    assert proxy.core.tracing.dropped == 0 and not lost(caplog)


def threads() -> int:
    """How many write traces."""
    return sum(thread.name == "trace" and thread.is_alive() for thread in threading.enumerate())


async def test_what_is_off_leaves_nothing(house: House, tmp_path: Path) -> None:
    """Nor does what is on before the first request."""
    folder, before = tmp_path / "trace", threads()
    async with serving(mine(tmp_path, house.vendor, folder, "off")) as proxy:
        await asked_mine(proxy)
        await proxy.core.adopt(mine(tmp_path, house.vendor, folder, "full"))
        assert threads() == before and not folder.exists()
        await asked_mine(proxy)
        assert threads() == before + 1
    assert threads() == before and "trace" in names(tmp_path)


# Requests that are refused before they were read.


#: Status, headers, and what follows them.
UNREAD: dict[str, tuple[int, dict[str, str], bytes]] = {
    "too much by its length": (413, {"content-length": "2049"}, b""),
    "too much by what came": (
        413, {"transfer-encoding": "chunked"}, b"801\r\n" + b" " * 0x801 + b"\r\n0\r\n\r\n"),
    "compressed": (415, {"content-encoding": "br", "content-length": "2"}, b"{}"),
    "late": (408, {"content-length": "10"}, b"{"),
}


def refused(found: list[Entry], status: int, body: bytes = b"") -> None:
    """The only request's entries: it came, it was refused, it is over."""
    assert [entry["pass"] for entry in found] == ["client_request", "client_response", "end"]
    came, answer, end = found
    assert (came["method"], came["model"], came["bytes"], text(came)) == ("POST", "", len(body), body)
    assert (answer["status"], end["status"], end["attempts"], end["provider"]) == (status, status, 0, "")
    assert "error" in answer["body"]["json"] and end["note"]


@BOTH
@pytest.mark.parametrize("what", UNREAD)
async def test_what_is_refused_before_it_was_read_is_told(
    house: House, tmp_path: Path, protocol: str, what: str
) -> None:
    """With its headers, and without a body."""
    await furnish(house, tmp_path, limits={"request_body_bytes": 2048}, timeouts={"body": 0.02})
    status, headers, data = UNREAD[what]
    answer = parsed(await exchange(house.proxy.url, request("POST", PATHS[protocol], headers) + data, "POST"))
    assert answer.status == status
    found = await told(tmp_path)
    refused(found, status)
    assert "host" in found[0]["headers"] and found[0]["path"] == PATHS[protocol]


@BOTH
async def test_what_is_no_json_is_told_as_it_came(house: House, tmp_path: Path, protocol: str) -> None:
    await furnish(house, tmp_path)
    assert (await house.ask(protocol, b"no json")).status == 400
    refused(await told(tmp_path), 400, b"no json")


@BOTH
async def test_a_request_that_finds_no_slot_is_told(house: House, tmp_path: Path, protocol: str) -> None:
    await furnish(house, tmp_path, limits={"concurrent_requests": 1})
    async with open_stream(house, protocol) as (reply, gate):
        answer = await house.call(protocol, "any")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        gate.open()
        await reply.read()
    request_id = answer.headers["x-rotator-request-id"]
    refused([entry for entry in await told(tmp_path, 2) if entry["request"] == request_id], 503)


@BOTH
async def test_a_client_that_left_before_its_body_was_whole_is_told(
    house: House, tmp_path: Path, protocol: str
) -> None:
    await furnish(house, tmp_path)
    place = urlsplit(house.proxy.url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request("POST", PATHS[protocol], {"content-length": "10"}) + b"{")
    await until(lambda: house.proxy.core.running)
    writer.close()
    found = await told(tmp_path)
    assert [entry["pass"] for entry in found] == ["client_request", "end"]
    assert (found[1]["status"], found[1]["note"]) == (499, "client gone")


# The order of a request's entries.


def sequence(found: list[Entry]) -> list[str]:
    return [entry["pass"] for entry in found]


@BOTH
@WAYS
async def test_the_end_is_the_last_of_what_went_well(
    house: House, tmp_path: Path, protocol: str, stream: bool
) -> None:
    await furnish(house, tmp_path)
    answer = await house.call(protocol, house.play(Play("text")), stream=stream)
    assert answer.status == 200
    found = await told(tmp_path)
    assert sequence(found) == (STREAMED if stream else WHOLLY)
    assert {entry["request"] for entry in found} == {answer.headers["x-rotator-request-id"]}
    assert [entry["side"] for entry in found if entry["pass"] == "end"] == ["engine"]


@BOTH
@WAYS
@pytest.mark.parametrize("who", ["client", "process"])
async def test_the_end_is_the_last_of_what_was_ended_before_an_answer(
    house: House, tmp_path: Path, protocol: str, stream: bool, who: str
) -> None:
    await furnish(house, tmp_path)
    arrived = len(house.vendor.requests)
    body = house.body(protocol, house.play(Play("text", head=Gate())), stream=stream)
    async with asyncio.timeout(PATIENCE_SECONDS):
        asking = asyncio.create_task(house.ask(protocol, body))
        await until(lambda: len(house.vendor.requests) > arrived and house.vendor.requests[-1].body)
        leave(house, who, asking.cancel)
        found = await told(tmp_path)
    last = ["outcome", "client_response", "end"] if who == "process" else ["outcome", "end"]
    assert sequence(found) == ["client_request", "decision", "attempt", "upstream_request", *last]
    assert one(found, "outcome")["ended"] == "cancelled"
    assert one(found, "end")["status"] == (503 if who == "process" else 499)
    if who == "process":
        assert (await asking).status == 503


def leave(house: House, who: str, client: Callable[[], Any]) -> None:
    """The client leaves, or the process ends the only request under way."""
    if who == "client":
        client()
        return
    [running] = house.proxy.core.running
    running.end(error_of(ErrorKind.OVERLOADED, "enough", code="shutting_down"))


@BOTH
@pytest.mark.parametrize("who", ["client", "process"])
async def test_the_end_is_the_last_of_a_stream_that_was_ended(
    house: House, tmp_path: Path, protocol: str, who: str
) -> None:
    await furnish(house, tmp_path)
    async with open_stream(house, protocol) as (reply, _):
        leave(house, who, reply.close)
        found = await told(tmp_path)
    assert sequence(found) == STREAMED
    assert one(found, "outcome")["ended"] == "cancelled"
    assert one(found, "end")["note"] == ("shutting_down" if who == "process" else "client gone")


@BOTH
async def test_the_end_comes_when_an_upstream_that_goes_on_was_left(
    house: House, tmp_path: Path, protocol: str
) -> None:
    """Behind the client's back a finished stream's connection is waited for; its entries come first all the same."""
    await furnish(house, tmp_path)
    gate = Gate()
    gate.release(len(FRAMES[protocol]))
    step = Raw(200, SSE, [*FRAMES[protocol], b": more\n\n"], gate)
    answer = await house.call(protocol, house.play(step), stream=True)
    assert answer.body == b"".join(FRAMES[protocol])
    gate.open()
    assert sequence(await told(tmp_path)) == STREAMED


# What was sent twice, and what only heartbeats reached.


class Forgetful(CannedServer):
    """Closes a kept connection instead of answering the second request on it."""

    async def _answer(self, writer: asyncio.StreamWriter, canned: Canned) -> None:
        if len(self.taken) == 2:
            raise ConnectionResetError
        await super()._answer(writer, canned)


@asynccontextmanager
async def forgetful(answer: Canned) -> AsyncIterator[Forgetful]:
    server = Forgetful(answer)
    await server.start()
    try:
        yield server
    finally:
        await server.aclose()


ANSWERS: dict[str, Callable[[str], Canned]] = {
    "whole": lambda protocol: Canned([WHOLE[protocol]]),
    "stream": lambda protocol: Canned(FRAMES[protocol], headers=SSE),
    "refused": lambda protocol: Canned([b"{}"], 400),
}


@BOTH
@pytest.mark.parametrize("how", ANSWERS)
async def test_an_answer_to_a_second_sending_is_told(
    house: House, tmp_path: Path, protocol: str, how: str
) -> None:
    """A stale connection is no attempt of its own."""
    answer = ANSWERS[how](protocol)
    async with forgetful(answer) as server:
        await furnish(house, tmp_path, base=server.url)
        for _ in range(3):
            reply = await house.call(protocol, "any", stream=how == "stream")
            assert reply.status == answer.status
            await house.idle()
    found = await told(tmp_path, 3)
    assert [entry["reconnected"] for entry in of(found, "upstream_response")] == [False, True, False]
    assert [entry["attempts"] for entry in of(found, "end")] == [1, 1, 1]
    assert len(server.taken) == 4


@BOTH
@pytest.mark.parametrize("who", ["vendor", "process"])
async def test_an_error_behind_heartbeats_alone_is_in_the_clients_stream(
    house: House, tmp_path: Path, protocol: str, who: str
) -> None:
    """There is no stream of the upstream's, and the client had its status with the first heartbeat."""
    await furnish(house, tmp_path, STREAM_HEARTBEAT_SECONDS="0.01")
    gate = Gate()
    body = house.body(protocol, house.play(Reply(400, gate=gate)), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        assert (reply.status, await reply.content.readexactly(1)) == (200, b"\n")
        leave(house, "client" if who == "vendor" else who, gate.open)
        ending = (await reply.read()).lstrip(b"\n")
    found = await told(tmp_path)
    assert b'"error":' in ending and not of(found, "upstream_stream")
    shown, answer, end = one(found, "client_stream"), one(found, "client_response"), one(found, "end")
    assert (text(shown), shown["bytes"], shown["acts"]) == (ending, len(ending), ["error in-band"])
    assert answer["headers"]["content-type"] == "text/event-stream"
    assert (answer["status"], end["status"], sequence(found)[-2:]) == (200, 200, ["client_stream", "end"])
    assert end["note"] == {"vendor": "bad_request", "process": "shutting_down"}[who]


async def test_what_a_closed_writer_refuses_is_counted(house: House, tmp_path: Path) -> None:
    """A request that outlives many changes of the folder still brings entries; they are lost, and counted."""
    tracing = house.proxy.core.tracing
    await house.furnish(config={"trace": {"level": "meta", "dir": str(tmp_path / "first")}})
    old = tracing.recorder("req_old", house.proxy.core.world)
    assert old is not None
    for number in range(6):
        await house.furnish(config={"trace": {"level": "meta", "dir": str(tmp_path / str(number))}})
    before = tracing.dropped
    old.add("end", status=200)
    assert tracing.dropped == before + 1
