"""A client that leaves: noticed at once, told to nobody, and the upstream is let go."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotator.server.hangup import HangupWatch
from tests.asking import HANG_SECONDS, chat, request, until
from tests.proxy import make_world, serving
from tests.upstreams import CHAT_FRAMES, SSE, Gate, Play, Raw


@dataclass
class Line:
    """A connection as the listener shows it (``rotator.server.hangup.Connection``)."""

    whole: bool = True
    lost: bool = False
    on_lost: Callable[[], None] | None = None

    def lose(self) -> None:
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()


async def test_who_stays_is_not_disturbed() -> None:
    line = Line()
    with HangupWatch(line) as watch:
        await asyncio.sleep(0)
    line.lose()
    await asyncio.sleep(0)
    assert not watch.gone


async def test_who_leaves_ends_the_block_without_an_error() -> None:
    line = Line()
    reached = False
    with HangupWatch(line) as watch:
        asyncio.get_running_loop().call_soon(line.lose)
        await asyncio.sleep(HANG_SECONDS)
        reached = True
    assert watch.gone and not reached
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)  # nothing of it is left behind


async def test_who_left_before_is_noticed_at_the_first_wait() -> None:
    with HangupWatch(Line(lost=True)) as watch:
        await asyncio.sleep(HANG_SECONDS)
    assert watch.gone


async def test_what_comes_after_the_answer_is_nobodys_business() -> None:
    line = Line()
    with HangupWatch(line) as watch:
        watch.stop()
        line.lose()
        await asyncio.sleep(0)
    assert not watch.gone


async def test_a_cancellation_from_elsewhere_passes() -> None:
    async def serve() -> None:
        with HangupWatch(Line()):
            await asyncio.sleep(HANG_SECONDS)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def test_both_at_once_is_a_cancellation() -> None:
    line = Line()

    async def serve() -> None:
        with HangupWatch(line):
            await asyncio.sleep(HANG_SECONDS)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve())
        await asyncio.sleep(0)
        line.lose()
        task.cancel()
    assert task.cancelled()


async def test_an_error_inside_passes() -> None:
    with pytest.raises(ZeroDivisionError), HangupWatch(Line()):
        raise ZeroDivisionError


def leave(writer: asyncio.StreamWriter, how: str) -> None:
    """Leave in one of the ways in which clients do."""
    if how == "reset":
        writer.transport.abort()
    writer.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("before_the_first_byte", [True, False])
async def test_the_upstream_is_let_go(
    tmp_path: Path, vendor: Any, how: str, streaming: bool, before_the_first_byte: bool
) -> None:
    """``serving`` asserts that the lease was settled."""
    gate = Gate()
    vendor.script("text", Play("text", gate=gate))
    declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    world = make_world({"MINE_API_KEY": "key-of-mine"}, tmp_path, config=declared)
    async with serving(world) as proxy, asyncio.timeout(HANG_SECONDS):
        place = urlsplit(proxy.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        body = json.dumps(chat("mine/text", stream=streaming)).encode()
        writer.write(request("POST", "/v1/chat/completions", {}, body))
        await vendor.arrived(1)
        if streaming and not before_the_first_byte:
            gate.release(3)
            await reader.readuntil(b"data: ")
        leave(writer, how)
        seen = vendor.requests[-1]
        await seen.ended.wait()
        assert seen.outcome == "peer_gone"
        await until(lambda: not proxy.core.running)
        proxy.core.lines.flush()
    assert "client gone" in proxy.lines.getvalue()


async def test_a_client_that_leaves_in_the_middle_of_its_body(tmp_path: Path, vendor: Any) -> None:
    declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    world = make_world({"MINE_API_KEY": "key-of-mine"}, tmp_path, config=declared)
    async with serving(world) as proxy, asyncio.timeout(HANG_SECONDS):
        place = urlsplit(proxy.url)
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(request("POST", "/v1/chat/completions", {"content-length": "100"}) + b"{")
        await until(lambda: proxy.core.running)
        writer.close()
        await until(lambda: not proxy.core.running)
        proxy.core.lines.flush()
    assert not vendor.requests
    assert "499" in proxy.lines.getvalue() and "client gone" in proxy.lines.getvalue()


@pytest.mark.parametrize("drained", [False, True])
@pytest.mark.parametrize("streaming", [True, False])
async def test_the_second_request_of_a_connection_is_watched_too(
    tmp_path: Path, vendor: Any, drained: bool, streaming: bool
) -> None:
    """Also while the first one's vendor still keeps its body open behind the answer, and after that has ended."""
    body, second = Gate(), Gate()
    body.release(len(CHAT_FRAMES))
    vendor.script("text", Raw(200, SSE, [*CHAT_FRAMES, b": late\n\n"], body), Play("text", gate=second))
    declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    async with (
        serving(make_world({"MINE_API_KEY": "key-of-mine"}, tmp_path, config=declared)) as proxy,
        asyncio.timeout(HANG_SECONDS),
    ):
        place = urlsplit(proxy.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for number, stream in enumerate((True, streaming), 1):
            sent = json.dumps(chat("mine/text", stream=stream)).encode()
            writer.write(request("POST", "/v1/chat/completions", {"connection": "keep-alive"}, sent))
            if number == 1:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            await vendor.arrived(number)
        assert vendor.requests[0].outcome == "open"
        if drained:
            body.open()
            await vendor.requests[0].ended.wait()
            await asyncio.sleep(0.01)  # the proxy reads that end
        writer.close()
        await vendor.requests[1].ended.wait()
        assert vendor.requests[1].outcome == "peer_gone"
        body.open()
        await until(lambda: not proxy.core.running)
        proxy.core.lines.flush()
    first, gone = sorted(proxy.lines.getvalue().splitlines(), key=lambda line: "client gone" in line)
    assert "client gone" not in first and "client gone" in gone
