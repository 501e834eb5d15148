"""The life of the process inside one loop: binding, draining, ending, swapping generations."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotator.errors import ConfigError
from rotator.server.core import Core
from rotator.server.process import Process, address, bind, check_bind
from rotator.world import World
from tests.asking import HANG_SECONDS, ask, chat, exchange, messages, parsed, request, unready
from tests.cli.running import run
from tests.proxy import make_world
from tests.upstreams import Gate, Play


@dataclass
class Running:
    """A process that serves, as ``rotator serve`` runs it, and the fake vendor behind it."""

    process: Process
    url: str
    task: asyncio.Task[None]
    lines: io.StringIO


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Running]:
    """Serve until the block ends or the process was stopped in it."""
    lines = io.StringIO()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    core = Core(world, strict=True, out=lines)
    process = Process(core, bind("127.0.0.1", 0), lambda before: before, ready.set_result, signals=False)
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(process.run())
        yield Running(process, await ready, task, lines)
        process.stop(False)
    assert core.pool.counters.open == 0 and not core.running


def mine(tmp_path: Path, vendor: Any, more: str = "", **environ: str) -> World:
    declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}', " \
        f"profiles: {{messages: {{protocol: messages, base_url: '{vendor.messages_base}'}}}}}}}}\n{more}"
    return make_world({"MINE_API_KEY": "key-of-mine", **environ}, tmp_path, config=declared)


def gated(vendor: Any) -> Any:
    """Make the model ``text`` wait before each event."""
    gate = Gate()
    vendor.script("text", Play("text", gate=gate))
    return gate


PATHS = [("/v1/chat/completions", chat), ("/v1/messages", messages)]
IN_BAND = {"/v1/chat/completions": b'data: {"error":', "/v1/messages": b"event: error\ndata: "}
LAST = {"/v1/chat/completions": b"data: [DONE]", "/v1/messages": b"event: message_stop"}


@asynccontextmanager
async def streaming(url: str, path: str, body: Any, gate: Any) -> AsyncIterator[asyncio.StreamReader]:
    """A stream that has begun: its head and first output are read."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request("POST", path, {}, json.dumps(body).encode()))
    gate.release(4)
    await reader.readuntil(b"data: ")
    yield reader
    writer.close()


@pytest.mark.parametrize("path, make", PATHS)
async def test_an_open_stream_is_told_of_the_end(tmp_path: Path, vendor: Any, path: str, make: Any) -> None:
    """SIGINT's way: at once, in the protocol's own form, and properly ended for HTTP."""
    gate = gated(vendor)
    async with running(mine(tmp_path, vendor)) as one:
        async with streaming(one.url, path, make("mine/text", stream=True), gate) as reader:
            one.process.stop(False)
            rest = await reader.read()
        await one.task
    assert IN_BAND[path] in rest and b"shutting down" in rest and LAST[path] not in rest
    assert rest.endswith(b"0\r\n\r\n")
    assert "shutting_down" in one.lines.getvalue()
    await vendor.requests[-1].ended.wait()
    assert vendor.requests[-1].outcome == "peer_gone"


async def test_a_request_that_waits_is_refused_at_the_end(tmp_path: Path, vendor: Any) -> None:
    gated(vendor)
    async with running(mine(tmp_path, vendor)) as one, asyncio.TaskGroup() as group:
        asking = group.create_task(ask(one.url, "POST", "/v1/chat/completions", {}, chat("mine/text")))
        await vendor.arrived(1)
        one.process.stop(False)
        answer = await asking
        await one.task
    assert (answer.status, answer.json["error"]["code"]) == (503, "shutting_down")


@pytest.mark.parametrize("path, make", PATHS)
async def test_a_graceful_end_lets_streams_finish(tmp_path: Path, vendor: Any, path: str, make: Any) -> None:
    """SIGTERM's way: readiness fails, new requests are refused, what is open goes on."""
    gate = gated(vendor)
    async with running(mine(tmp_path, vendor)) as one:
        async with streaming(one.url, path, make("mine/text", stream=True), gate) as reader:
            one.process.stop(True)
            await unready(one.url)
            refused = await ask(one.url, "POST", "/v1/chat/completions", {}, chat("mine/text"))
            assert refused.status == 503
            gate.open()
            rest = await reader.read()
        await one.task
    assert LAST[path] in rest and b"error" not in rest


async def test_what_does_not_finish_in_time_is_told(tmp_path: Path, vendor: Any) -> None:
    gate = gated(vendor)
    world = mine(tmp_path, vendor, DRAIN_SECONDS="0.05")
    async with running(world) as one:
        path, make = PATHS[1]
        async with streaming(one.url, path, make("mine/text", stream=True), gate) as reader:
            one.process.stop(True)
            assert IN_BAND[path] in await reader.read()
        await one.task


@pytest.mark.parametrize("second", [True, False])
async def test_a_second_signal_does_not_wait(tmp_path: Path, vendor: Any, second: bool) -> None:
    gate = gated(vendor)
    async with running(mine(tmp_path, vendor)) as one:
        path, make = PATHS[0]
        async with streaming(one.url, path, make("mine/text", stream=True), gate) as reader:
            one.process.stop(True)
            await unready(one.url)
            one.process.stop(second)
            assert IN_BAND[path] in await reader.read()
        await one.task


async def test_a_client_that_keeps_its_connection_does_not_hold_the_end_up(tmp_path: Path, vendor: Any) -> None:
    async with running(mine(tmp_path, vendor)) as one:
        place = urlsplit(one.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(request("GET", "/health", {"connection": "keep-alive"}))
        await reader.readuntil(b"}")
        one.process.stop(True)
        assert await reader.read() == b""
        await one.task
        writer.close()


async def test_nothing_listens_afterwards(tmp_path: Path, vendor: Any) -> None:
    async with running(mine(tmp_path, vendor)) as one:
        assert parsed(await exchange(one.url, request("GET", "/ready"))).status == 200
    with pytest.raises(ConnectionRefusedError):
        await exchange(one.url, request("GET", "/ready"))


@pytest.mark.incident(9)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "rotator.example"])
def test_other_machines_need_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_bind(make_world({"ROTATOR_HOST": host}, tmp_path))
    [problem] = refused.value.problems
    assert problem.key == "server.host" and "PROXY_API_KEY" in problem.reason and host in problem.reason
    assert problem.where == "ROTATOR_HOST"
    check_bind(make_world({"ROTATOR_HOST": host, "PROXY_API_KEY": "Zk3-long-enough"}, tmp_path))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "localhost", "::1"])
def test_this_machine_needs_none(tmp_path: Path, host: str) -> None:
    check_bind(make_world({"ROTATOR_HOST": host}, tmp_path))


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_an_address_can_be_opened() -> None:
    with bind("127.0.0.1", 0) as bound:
        assert address(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
    with socket.socket(socket.AF_INET6) as unbound:  # not every machine has an address to bind
        assert address(unbound) == "http://[::]:0"


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example", ".", "no such host"])
def test_a_host_that_is_no_name(tmp_path: Path, host: str) -> None:
    with pytest.raises(OSError):
        bind(host, 0)
    done = run("serve", "--host", host, cwd=tmp_path, env={"PROXY_API_KEY": "Zk3-long-enough"})
    assert done.returncode == 1 and "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith(f"rotator: cannot listen on {host}:8000: ")


def taken_later() -> socket.socket:
    """A socket whose address another one listens on: taken at the last moment."""
    late = socket.socket()
    late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    late.bind(("127.0.0.1", 0))
    return late


def closed() -> socket.socket:
    bound = bind("127.0.0.1", 0)
    bound.close()
    return bound


@pytest.mark.parametrize("kind", ["taken", "closed"])
async def test_a_socket_that_cannot_listen_is_told_and_not_awaited(tmp_path: Path, kind: str) -> None:
    bound = taken_later() if kind == "taken" else closed()
    other = socket.socket()
    if kind == "taken":
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(bound.getsockname())
        other.listen()
    told: list[str] = []
    core = Core(make_world({}, tmp_path), strict=True, out=io.StringIO())
    process = Process(core, bound, lambda before: before, told.append, signals=False)
    with other:
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(OSError):
                await process.run()
    assert bound.fileno() == -1
    assert not told, "nobody is told an address at which nothing listens"
