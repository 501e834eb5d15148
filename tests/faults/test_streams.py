"""Streams that die when the client has begun to see them, and how those end that do not (faults.md 1)."""

from typing import Any

import pytest

from tests.faults import upstream
from tests.faults.checks import (
    BOTH,
    LANES,
    TRANSLATING,
    Clients,
    attempts,
    doubted,
    ends_in_error,
    failing,
    is_good,
    is_stream,
    last_line,
    stream_seen,
    told_tokens,
    used,
)
from tests.faults.upstream import sends, well
from tests.faults.wire import DELTA, REST, SHOWN, TERMINAL, Fault, Wire, chunk
from tests.upstreams import FRAMES, UNTIL_FINISH

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Fault -> the codes of which one tells what happened.
DEATHS: dict[Fault, set[str]] = {
    upstream.stall: {"read_timeout"},
    upstream.cut: {"answer_broke"},
    upstream.rst: {"answer_broke", "connection_broke"},
    upstream.cut_clean: {"truncated"},
    upstream.mid_event: {"answer_broke"},
    upstream.mid_event_clean: {"truncated"},
    upstream.no_finish: {"truncated"},
    upstream.bad_chunk_later: {"answer_broke", "bad_http"},
}
NAMED: Any = {"ids": lambda fault: fault.__name__}


@BOTH
@LANES
@pytest.mark.parametrize("fault", DEATHS, **NAMED)
async def test_a_stream_that_dies_is_told_so_and_never_tried_again(
    clients: Clients, protocol: str, lane: str, fault: Fault
) -> None:
    """Half an event is dropped, what was delivered is counted, another key is not asked."""
    house = clients.house
    silence = 0.1 if fault is upstream.stall else 1
    config = {"timeouts": {"read_streaming": silence}}
    sent = b"".join(frames(protocol, UNTIL_FINISH[protocol] - 1)) if fault is upstream.no_finish else SHOWN[protocol]
    async with failing(house, fault, well, keys=2, lane=lane, config=config) as vendor:
        answer = await stream_seen(house, vendor, protocol, lane)
        await house.idle()
        error = ends_in_error(protocol, lane, answer, sent)
        assert error["type"] in ("server_error", "api_error", "timeout_error")
        clients.tells_no_secret(answer.body.decode())
        assert (attempts(answer), len(vendor.taken), house.clock.slept) == (1, 1, [])
        assert last_line(house).rpartition(", ")[2] in DEATHS[fault]
        assert told_tokens(house)[1] >= 1
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[], []], [True, False])
        assert is_good(protocol, lane, await house.call(protocol, "any", stream=True))
        assert used(house, vendor, protocol) == [1, 2]


@BOTH
@LANES
async def test_pings_alone_do_not_keep_a_stream_alive(clients: Clients, protocol: str, lane: str) -> None:
    house = clients.house
    async with failing(house, upstream.ping_only, lane=lane, STREAM_STALL_TIMEOUT_SECONDS="0.1") as vendor:
        answer = await stream_seen(house, vendor, protocol, lane)
        await house.idle()
        assert (b": ping\n\n" in answer.body) == (lane not in TRANSLATING)
        without = type(answer)(answer.status, answer.headers, answer.body.replace(b": ping\n\n", b""))
        assert ends_in_error(protocol, lane, without, SHOWN[protocol])["message"].endswith("the stream stalled")
        assert (len(vendor.taken), doubted(house, protocol)) == (1, [True])
        assert told_tokens(house)[1] >= 1


ERRORS = {
    "chat": b'data: {"error":{"message":"Broke: %b","type":"server_error","param":null,"code":"E7"},"more":1}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Broke: %b"},"more":1}\n\n',
}


async def error_mid(wire: Wire) -> None:
    """The vendor says so itself, quotes the key, and goes on as if nothing were."""
    await wire.begin()
    told = ERRORS[wire.protocol] % wire.vendor.keys[-1].encode()
    await wire.send(chunk(told) + chunk(REST[wire.protocol]))
    await wire.hang()


@BOTH
@LANES
async def test_an_error_of_the_vendors_in_the_middle_is_told_redacted(
    clients: Clients, protocol: str, lane: str
) -> None:
    house = clients.house
    async with failing(house, error_mid, well, keys=2, lane=lane) as vendor:
        answer = await stream_seen(house, vendor, protocol, lane)
        await house.idle()
        error = ends_in_error(protocol, lane, answer, SHOWN[protocol])
        assert error["message"] == "Broke: [redacted]"
        clients.tells_no_secret(answer.body.decode())
        assert (attempts(answer), len(vendor.taken), told_tokens(house)[1] >= 1) == (1, 1, True)
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[], []], [True, False])


def frames(protocol: str, end: int | None = None) -> list[bytes]:
    return list(FRAMES[protocol][:end])


def delta(protocol: str, text: bytes) -> bytes:
    """One more piece of text."""
    return DELTA[protocol] % text


def without_usage(protocol: str) -> list[bytes]:
    counts = (b',"usage":{"input_tokens":5,"output_tokens":1}', b',"usage":{"output_tokens":3}')
    return [frame.replace(counts[0], b"").replace(counts[1], b"") for frame in FRAMES[protocol]]


#: What comes from the vendor for each protocol; what goes to the client is always one whole stream.
ENDINGS: dict[str, Any] = {
    "no_done": lambda protocol: frames(protocol, -1),
    "dup_done": lambda protocol: [*frames(protocol), TERMINAL[protocol], TERMINAL[protocol]],
    "after_done": lambda protocol: [
        *frames(protocol), delta(protocol, b"late"), ERRORS[protocol] % b"", b": bye\n\n", *frames(protocol)
    ],
    "after_done in one read": lambda protocol: [b"".join([*frames(protocol), delta(protocol, b"late")])],
    "no blank line": lambda protocol: [*frames(protocol, -1), TERMINAL[protocol].rstrip(b"\n")],
}


@BOTH
@LANES
@pytest.mark.parametrize("case", ENDINGS)
async def test_a_stream_ends_once(clients: Clients, protocol: str, lane: str, case: str) -> None:
    """One terminal, nothing behind it, and a missing one is supplied behind a finish reason."""
    house = clients.house
    fault = sends(ENDINGS[case])
    async with failing(house, fault, lane=lane) as vendor:
        answer = await house.call(protocol, "any", stream=True)
        assert (is_good(protocol, lane, answer), attempts(answer)) == (True, 1)
        assert await clients.said(protocol) == ("one two", None)
        assert (len(vendor.taken), doubted(house, protocol)) == (2, [False])


@BOTH
@LANES
async def test_usage_that_is_not_told_is_estimated(clients: Clients, protocol: str, lane: str) -> None:
    house = clients.house
    async with failing(house, sends(without_usage), lane=lane):
        answer = await house.call(protocol, "any", stream=True)
        await house.idle()
        assert is_stream(protocol, lane, answer, b"".join(without_usage(protocol)))
        mark, output_tokens = told_tokens(house)
        assert mark == "~" and output_tokens >= 2


@BOTH
@LANES
async def test_a_terminal_without_a_finish_reason_is_an_end(clients: Clients, protocol: str, lane: str) -> None:
    """Either is evidence that the answer is complete (design.md 2.3).

    Nothing is made up for the other, but by a translation: its client's protocol wants both.
    """
    house = clients.house

    def told(protocol: str) -> list[bytes]:
        return [*frames(protocol, UNTIL_FINISH[protocol] - 1), TERMINAL[protocol]]

    async with failing(house, sends(told), lane=lane):
        answer = await house.call(protocol, "any", stream=True)
        sent = FRAMES[protocol] if lane in TRANSLATING else told(protocol)
        assert is_stream(protocol, lane, answer, b"".join(sent))
        assert doubted(house, protocol) == [False]
