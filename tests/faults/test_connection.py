"""Upstreams that cannot be reached, say nothing, are no HTTP, point elsewhere or answer too soon (faults.md 1)."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults import upstream
from tests.faults.checks import (
    BOTH,
    IMPATIENT,
    ONCE,
    WAYS,
    Clients,
    attempts,
    cleaned_up,
    doubted,
    failing,
    healthy,
    last_line,
    used,
)
from tests.faults.upstream import well
from tests.faults.wire import Fault, vendor
from tests.upstreams import PROVIDERS, Canned, canned

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Fault -> the codes of which one tells what broke.
BROKEN: dict[Fault, set[str]] = {
    upstream.reset_on_accept: {"connection_broke"},
    upstream.close_on_accept: {"connection_broke"},
    upstream.close: {"connection_broke"},
    upstream.reset: {"connection_broke"},
    upstream.garbage: {"bad_http"},
    upstream.banner_garbage: {"bad_http"},
    upstream.bad_status: {"bad_http"},
    upstream.huge_headers: {"bad_http"},
    upstream.bad_chunk: {"bad_http", "answer_broke"},
}
SILENT: list[Fault] = [
    upstream.hang, upstream.accept_hang, upstream.hang_headers, upstream.slow_headers, upstream.stall_body
]
NAMED: Any = {"ids": lambda fault: fault.__name__}


@BOTH
@WAYS
@pytest.mark.parametrize("fault", BROKEN, **NAMED)
async def test_what_breaks_is_tried_again_and_is_then_a_bad_gateway(
    clients: Clients, protocol: str, stream: bool, fault: Fault
) -> None:
    house = clients.house
    async with failing(house, fault) as vendor_:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.waits) == (502, (None, None, None))
        assert (refusal.attempts, vendor_.turns, vendor_.connections, len(house.clock.slept)) == (2, 2, 2, 1)
        assert last_line(house).rpartition(", ")[2] in BROKEN[fault]
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])


@BOTH
@WAYS
@pytest.mark.parametrize("fault", BROKEN, **NAMED)
async def test_what_breaks_is_not_noticed_where_another_key_is_left(
    clients: Clients, protocol: str, stream: bool, fault: Fault
) -> None:
    house = clients.house
    async with failing(house, fault, well, keys=2) as vendor_:
        for tries in (2, 1):
            answer = await house.call(protocol, "any", stream=stream)
            assert (answer.status, attempts(answer), house.clock.slept) == (200, tries, [])
            assert answer.headers["content-type"] == ("text/event-stream" if stream else "application/json")
        assert b"rror" not in answer.body
        assert used(house, vendor_, protocol)[-1] == 2  # the key of the fault stands behind the other
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[], []], [True, False])


@BOTH
@WAYS
@pytest.mark.parametrize("fault", SILENT, **NAMED)
async def test_silence_ends_in_a_timeout(clients: Clients, protocol: str, stream: bool, fault: Fault) -> None:
    house = clients.house
    async with failing(house, fault, config={"timeouts": IMPATIENT}) as vendor_, healthy(house):
        refusal = await clients.refused(protocol, stream)
        await cleaned_up(house, vendor_)
        assert (refusal.status, refusal.attempts, refusal.waits) == (504, 2, (None, None, None))
        assert (vendor_.connections, len(house.clock.slept)) == (2, 1)
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])
        assert last_line(house).endswith("read_timeout")


@pytest.mark.parametrize(("protocol", "stream"), [("chat", True), ("messages", False)])
@pytest.mark.parametrize("fault", [upstream.hang, upstream.stall_body], **NAMED)
async def test_silence_is_not_waited_out_twice_where_another_key_is_left(
    clients: Clients, protocol: str, stream: bool, fault: Fault
) -> None:
    house = clients.house
    patient = {"connect": 0.02, "read_streaming": 0.25, "read_non_streaming": 0.25}
    async with failing(house, fault, well, keys=2, config={"timeouts": patient}) as vendor_:
        answer = await house.call(protocol, "any", stream=stream)
        assert (answer.status, attempts(answer), vendor_.connections) == (200, 2, 2)
        assert doubted(house, protocol) == [True, False]


@BOTH
@WAYS
async def test_a_bad_chunk_behind_the_beginning_is_noticed_at_once(
    clients: Clients, protocol: str, stream: bool
) -> None:
    """Not when the upstream has been silent for too long."""
    house = clients.house
    silence = {"timeouts": {"read_streaming": 1, "read_non_streaming": 1}}
    async with failing(house, upstream.bad_second_chunk, config={**silence, **ONCE}) as vendor_:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor_.taken)) == (502, 1, 1)
        assert last_line(house).rpartition(", ")[2] in BROKEN[upstream.bad_chunk]


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def blackhole() -> AsyncIterator[str]:
    """An address whose queue of connections is full: further ones get no answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        loop = asyncio.get_running_loop()
        waiting = []
        try:
            for _ in range(8):
                one = socket.socket()
                one.setblocking(False)
                waiting.append(one)
                try:
                    await asyncio.wait_for(loop.sock_connect(one, place), 0.02)
                except TimeoutError:
                    break
            else:
                pytest.fail("the system takes any number of connections")
            yield f"http://127.0.0.1:{place[1]}"
        finally:
            for one in waiting:
                one.close()


@asynccontextmanager
async def nameless() -> AsyncIterator[str]:
    """A host that has no address; the system is not asked, which could ask the network."""
    ask = socket.getaddrinfo

    def answer(host: Any, *more: Any, **named: Any) -> Any:
        if host == "x.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", answer)
        yield "http://x.invalid:8080"


@BOTH
@WAYS
@pytest.mark.parametrize(
    ("place", "status", "code"),
    [(refusing, 502, "connect"), (blackhole, 504, "read_timeout"), (nameless, 502, "dns")],
)
async def test_no_connection(
    clients: Clients, protocol: str, stream: bool, place: Any, status: int, code: str
) -> None:
    house = clients.house
    async with place() as base:
        await house.furnish(2, base=base, config={"timeouts": IMPATIENT, **ONCE})
        refusal = await clients.refused(protocol, stream)
        await house.idle()
    assert (refusal.status, refusal.attempts, refusal.waits) == (status, 2, (None, None, None))
    assert "x.invalid" not in refusal.body and base.rpartition(":")[2] not in refusal.body
    assert last_line(house).endswith(code)
    assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[], []], [True, True])


@BOTH
@WAYS
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(clients: Clients, protocol: str, stream: bool, code: int) -> None:
    """To another host or the same: neither the key nor the body goes there (faults.md 0 item 2)."""
    house = clients.house
    async with canned(Canned()) as elsewhere:
        for location in (f"{elsewhere.url}/redirected", "/redirected"):
            async with failing(house, upstream.status(code, b"", location=location)) as vendor_:
                refusal = await clients.refused(protocol, stream)
                assert (refusal.status, refusal.attempts, len(vendor_.taken)) == (502, 2, 2)
                assert last_line(house).endswith("redirect")
                assert not [one.line for one in vendor_.taken if "redirected" in one.line]
                assert "redirected" not in refusal.body + repr(refusal.headers)
                assert house.reasons(protocol, "any") == [[]]
        assert elsewhere.connections == 0


@BOTH
@WAYS
@pytest.mark.parametrize("fault", [upstream.early_413, upstream.early_413_deaf], **NAMED)
async def test_an_answer_before_the_end_of_a_large_request_is_relayed(
    clients: Clients, protocol: str, stream: bool, fault: Fault
) -> None:
    house = clients.house
    async with failing(house, fault, early=True) as vendor_:
        body = house.body(protocol, "any", stream=stream, padding="x" * (16 << 20))
        answer = await house.ask(protocol, body)
        vendor_.seen.set()
        assert (answer.status, attempts(answer), len(vendor_.taken)) == (413, 1, 1)
        assert answer.error["type"] == ("request_too_large" if protocol == "messages" else "invalid_request_error")
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [False])


@BOTH
async def test_a_vendor_that_recovers_is_used_again_at_once(clients: Clients, protocol: str) -> None:
    """A fault is no limit: the only key is asked by the next request as if nothing had been."""
    house = clients.house
    async with failing(house, upstream.close, upstream.reset, well, config=ONCE) as vendor_:
        statuses = [(await house.call(protocol, "any")).status for _ in range(3)]
        assert (statuses, used(house, vendor_, protocol), house.clock.slept) == ([502, 502, 200], [1, 1, 1], [])
        assert doubted(house, protocol) == [False]


async def test_the_request_goes_out_whole_each_time(clients: Clients) -> None:
    house = clients.house
    async with vendor(upstream.close, well) as one:
        await house.furnish(2, base=one.url)
        assert (await house.call("chat", "any")).status == 200
        first, second = (json.loads(taken.body) for taken in one.taken)
    assert first == second == {**house.body("chat", "any"), "model": "any"}
    assert one.keys == house.keys[PROVIDERS["chat"]]
