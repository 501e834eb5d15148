"""Committed answers: byte for byte, in lock-step, mended where official clients would break, ended truthfully."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange import staging
from tests.upstreams import (
    BEFORE_VISIBLE,
    FRAMES,
    JSON,
    PROVIDERS,
    SSE,
    UNTIL_FINISH,
    WHOLE,
    Answer,
    Canned,
    Gate,
    House,
    Play,
    Raw,
    Reply,
    canned,
    cut,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)

TERMINAL = {"chat": b"data: [DONE]\n\n", "messages": b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}
ERRORS = {
    "chat": b'data: {"error":{"message":"It broke","type":"server_error","param":null,"code":"E7"},"more":1}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"It broke"},"more":1}\n\n',
}
#: What a stream may hold that no reader of ours needs: comments, ids, odd names, many data lines, missing spaces.
ODD_FRAMES = (
    b": a comment\n\n",
    b":\n: two lines\nretry: 10\n\n",
    b"id: 7\n\n",
    b'event: unheard.of\nid: 8\ndata: {"type":"unheard.of","n":1.0,"n":1,"big":123456789012345678901234567890}\n\n',
    b'data:{"choices":[],"type":"no_space"}\n\n',
    b'data: {"choices":[],\ndata:  "type":\ndata: "many_lines"}\n\n',
    "data: {\"choices\":[],\"type\":\"Gr\u00fc\u00dfe \U0001f680\",\"lone\":\"\\ud83d\"}\n\n".encode(),
    b"\n\n",
    b"unknown: field\nand one without a colon\n\n",
)


def odd_stream(protocol: str, line_end: bytes = b"\n") -> bytes:
    """A whole stream with the odd frames before, between and behind the ordinary ones."""
    first, *rest = FRAMES[protocol]
    frames = [*ODD_FRAMES[:3], first, *ODD_FRAMES, *rest[:-1], *ODD_FRAMES[3:6], rest[-1]]
    return b"".join(frames).replace(b"\n", line_end)


async def streamed(house: House, protocol: str, *chunks: bytes, end: str = "clean") -> Answer:
    """What the client gets of a stream of these chunks."""
    model = f"scripted-{protocol}"
    house.vendor.script(model, Raw(200, SSE, chunks, end=end))
    return await house.call(protocol, model, stream=True)


async def committed(house: House, protocol: str, shown: Sequence[bytes], *more: bytes, end: str = "clean") -> Answer:
    """What the client gets of a stream that goes on only after ``shown`` has come through."""
    gate = Gate()
    gate.release(len(shown))
    model = f"scripted-{protocol}"
    house.vendor.script(model, Raw(200, SSE, [*shown, *more], gate, end=end))
    async with house.asking(protocol, house.body(protocol, model, stream=True)) as reply:
        seen = await reply.content.readexactly(len(b"".join(shown)))
        gate.open()
        return Answer(reply.status, reply.headers, seen + await reply.read())


def ends_in_error(protocol: str, answer: Answer, shown: bytes) -> Any:
    """The stream is ``shown`` and then one error frame of the protocol, and no terminal; the error."""
    assert answer.status == 200
    assert answer.body.startswith(shown)
    rest = answer.body[len(shown) :]
    assert rest.count(b"\n\n") == 1 and rest.endswith(b"\n\n")
    name, _, data = rest.rpartition(b"data: ")
    assert name == (b"" if protocol == "chat" else b"event: error\n")
    envelope = json.loads(data)
    assert (envelope.get("type") == "error") == (protocol == "messages")
    return envelope["error"]


@pytest.mark.pitfall("C165", "C228")
@BOTH
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@given(places=st.lists(st.integers(0, 10_000), max_size=12))
@settings(max_examples=40)
async def test_a_stream_comes_back_byte_for_byte_however_it_is_cut(
    dwelling: House, protocol: str, line_end: bytes, places: list[int]
) -> None:
    stream = odd_stream(protocol, line_end)
    answer = await streamed(dwelling, protocol, *cut(stream, places))
    assert (answer.status, answer.body) == (200, stream)


@BOTH
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
async def test_a_stream_of_single_bytes_comes_back_byte_for_byte(
    house: House, protocol: str, line_end: bytes
) -> None:
    stream = odd_stream(protocol, line_end)
    async with canned(Canned([bytes([byte]) for byte in stream], headers=SSE)) as server:
        await house.furnish(base=server.url)
        answer = await house.call(protocol, "any", stream=True)
    assert (answer.status, answer.body) == (200, stream)


@pytest.mark.pitfall("C165", "C183")
@BOTH
async def test_a_whole_answer_comes_back_byte_for_byte(house: House, protocol: str) -> None:
    odd = (
        b' {"n": 1.0, "n": 1,\r\n "big": 123456789012345678901234567890, "lone": "\\ud83d", "e": 1E5, "":null,\t'
        b'"type":"message", "content" : [], "choices" :[ {} ],"u":"\xe2\x80\xa8\xc2\x85\\u00e9", "stop_reason":"x" }\n'
    )
    large = b'{"type":"message","choices":[{}],"content":["' + b"x" * 2_000_000 + b'"]}'
    for body in (odd, large):
        model = house.play(Raw(200, JSON, cut(body, [1, 2, 3, 70_000, 900_000])))
        answer = await house.call(protocol, model)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["content-length"] == str(len(body))


@BOTH
async def test_streams_are_relayed_in_lock_step(house: House, protocol: str) -> None:
    gate = Gate()
    frames = FRAMES[protocol]
    hidden = BEFORE_VISIBLE[protocol]
    body = house.body(protocol, house.play(Raw(200, SSE, frames, gate)), stream=True)
    opened = asyncio.Event()
    finished = asyncio.Event()

    async def client() -> None:
        async with house.asking(protocol, body) as reply:
            opened.set()
            first = b"".join(frames[: hidden + 1])
            assert await reply.content.readexactly(len(first)) == first
            for frame in frames[hidden + 1 :]:
                assert not reply.content._buffer
                gate.release()
                assert await reply.content.readexactly(len(frame)) == frame
            assert await reply.read() == b""
            finished.set()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(client())
        for _ in range(hidden):
            gate.release()
            await until(lambda: not gate._permits)
            await asyncio.sleep(0.002)
            assert not opened.is_set()  # nothing was seen yet: this may still be rotated
        gate.release()
    assert finished.is_set()


@BOTH
@pytest.mark.parametrize("model", ["text", "tools", "thinking", "unicode"])
async def test_a_models_events_come_one_by_one(house: House, protocol: str, model: str) -> None:
    tool = {"name": "f", "parameters" if protocol == "chat" else "input_schema": {"type": "object"}}
    tools = [{"type": "function", "function": tool} if protocol == "chat" else tool]
    gate = Gate()
    scripted = house.play(Play(model), Play(model, gate))
    body = house.body(protocol, scripted, stream=True, tools=tools)
    frames = (await house.ask(protocol, body)).body.count(b"\n\n")
    gate.release(4)
    async with asyncio.timeout(5), house.asking(protocol, body) as reply:
        for number in range(frames):
            if number >= 4:
                assert not reply.content._buffer
                gate.release()
            assert b"data: " in await reply.content.readuntil(b"\n\n")
        assert await reply.read() == b""


MENDED = {
    "bom": (b"\xef\xbb\xbf" + b": hi\n\n", b": hi\n\n"),
    "invalid": (b": \xff and \xe2\x82\n\n", b": \xef\xbf\xbd and \xef\xbf\xbd\n\n"),
    "separators": (": \u2028\u2029\u0085\n\n".encode(), b": \\u2028\\u2029\\u0085\n\n"),
}


@BOTH
@pytest.mark.parametrize("kind", MENDED)
@given(places=st.lists(st.integers(0, 2_000), max_size=6))
@settings(max_examples=20)
async def test_what_breaks_official_clients_is_mended_however_it_is_cut(
    dwelling: House, protocol: str, kind: str, places: list[int]
) -> None:
    sent, expected = MENDED[kind]
    rest = b"".join(FRAMES[protocol])
    answer = await streamed(dwelling, protocol, *cut(sent + rest, places))
    assert answer.body == expected + rest


@BOTH
async def test_separators_inside_texts_are_escaped_after_the_commit_too(house: House, protocol: str) -> None:
    frames = b"".join(FRAMES[protocol])
    sent = frames.replace(b"two", "t\u2028w\u0085o".encode() + b"\xff")
    first, second = sent[:-80], sent[-80:]
    answer = await streamed(house, protocol, first, second)
    assert answer.body == frames.replace(b"two", b"t\\u2028w\\u0085o\xef\xbf\xbd")


@BOTH
@pytest.mark.parametrize("together", [True, False])
async def test_nothing_behind_the_terminal_passes(house: House, protocol: str, together: bool) -> None:
    frames = FRAMES[protocol]
    behind = [ERRORS[protocol], b": bye\n\n", *frames]
    chunks = [b"".join([*frames, *behind])] if together else [*frames, *behind]
    answer = await streamed(house, protocol, *chunks)
    assert answer.body == b"".join(frames)


@pytest.mark.pitfall("C222")
@BOTH
@pytest.mark.parametrize("end", ["clean", "drop", "reset"])
async def test_what_ends_before_the_finish_reason_ends_in_an_error(house: House, protocol: str, end: str) -> None:
    shown = FRAMES[protocol][: UNTIL_FINISH[protocol] - 1]
    answer = await committed(house, protocol, shown, b"data: {\"half", end=end)
    error = ends_in_error(protocol, answer, b"".join(shown))
    why = "the stream ended before the answer was complete" if end == "clean" else "the answer broke off"
    assert error["message"] == f"upstream: {why}"
    assert error["type"] == ("server_error" if protocol == "chat" else "api_error")
    await house.idle()
    [standing] = house.proxy.core.pool.standings(PROVIDERS[protocol])
    assert standing.doubted(house.clock.now)


@pytest.mark.pitfall("C223")
@BOTH
async def test_a_missing_terminal_is_supplied_to_a_finished_answer(house: House, protocol: str) -> None:
    shown = FRAMES[protocol][: UNTIL_FINISH[protocol]]
    answer = await streamed(house, protocol, *shown)
    assert answer.body == b"".join(shown) + TERMINAL[protocol]
    [standing] = house.proxy.core.pool.standings(PROVIDERS[protocol])
    assert not standing.doubted(house.clock.now)


@BOTH
async def test_a_finished_answer_that_breaks_is_no_whole_one(house: House, protocol: str) -> None:
    shown = FRAMES[protocol][: UNTIL_FINISH[protocol]]
    answer = await streamed(house, protocol, *shown, end="reset")
    assert answer.body.startswith(b"".join(shown)) and TERMINAL[protocol] not in answer.body


@BOTH
@pytest.mark.parametrize("seen", [False, True], ids=["opening", "open"])
async def test_a_terminal_without_its_blank_line_counts(house: House, protocol: str, seen: bool) -> None:
    frames = FRAMES[protocol]
    whole = b"".join(frames)
    for tail in (b"\n\n", b"\n"):
        chunks = frames if seen else (whole,)
        answer = await streamed(house, protocol, *chunks[:-1], chunks[-1].removesuffix(tail))
        assert answer.body == whole


@BOTH
@pytest.mark.parametrize("tail", [b"\n\n", b"\n"])
async def test_a_last_frame_without_its_blank_line_counts_if_it_says_how_it_ended(
    house: House, protocol: str, tail: bytes
) -> None:
    *shown, finish = FRAMES[protocol][: UNTIL_FINISH[protocol]]
    for first in (shown, ()):
        rest = [*shown[len(first) :], finish.removesuffix(tail)]
        answer = await committed(house, protocol, first, *rest) if first else await streamed(house, protocol, *rest)
        assert answer.body == b"".join([*shown, finish]) + TERMINAL[protocol]
    answer = await committed(house, protocol, shown, ERRORS[protocol].removesuffix(tail))
    assert ends_in_error(protocol, answer, b"".join(shown))["message"] == "It broke"


@BOTH
async def test_half_an_event_never_reaches_the_client(house: House, protocol: str) -> None:
    shown = FRAMES[protocol][: BEFORE_VISIBLE[protocol] + 1]
    for half in (b'data: {"choices":[{"index":0,"delta":{"con', b"event: content_block_delta\ndata: {", b": comment\n"):
        ends_in_error(protocol, await committed(house, protocol, shown, half), b"".join(shown))


@BOTH
@pytest.mark.parametrize("together", [True, False])
async def test_the_vendors_error_frame_ends_the_stream(house: House, protocol: str, together: bool) -> None:
    frames = FRAMES[protocol]
    *shown, last = frames[:-2]
    failing = [last, ERRORS[protocol], *frames[-2:]]
    answer = await committed(house, protocol, shown, *([b"".join(failing)] if together else failing))
    error = ends_in_error(protocol, answer, b"".join([*shown, last]))
    assert (error["message"], error["type"]) == ("It broke", "server_error" if protocol == "chat" else "api_error")


@pytest.mark.pitfall("C247")
@BOTH
async def test_an_error_frame_that_quotes_a_key_is_redacted(house: House, protocol: str) -> None:
    [key] = house.keys[PROVIDERS[protocol]]
    shown = FRAMES[protocol][:-2]
    answer = await committed(house, protocol, shown, ERRORS[protocol].replace(b"It broke", f"No: {key}".encode()))
    assert ends_in_error(protocol, answer, b"".join(shown))["message"] == "No: [redacted]"


@BOTH
async def test_a_limit_in_the_middle_of_a_stream_cools_the_key(house: House, protocol: str) -> None:
    shown = FRAMES[protocol][:-2]
    limit = ERRORS[protocol].replace(b"server_error", b"rate_limit_error").replace(b"api_error", b"rate_limit_error")
    ends_in_error(protocol, await committed(house, protocol, shown, limit), b"".join(shown))
    assert house.reasons(protocol, f"scripted-{protocol}") == [["cooldown"]]


@BOTH
async def test_an_event_beyond_the_limit_ends_an_open_stream(house: House, protocol: str) -> None:
    await house.furnish(config={"limits": {"event_bytes": 1024}})
    shown = FRAMES[protocol][:-2]
    answer = await committed(house, protocol, shown, b"data: " + b"x" * 2_000, b"x" * 200_000)
    assert "1024 bytes" in ends_in_error(protocol, answer, b"".join(shown))["message"]


@BOTH
async def test_an_event_beyond_the_limit_at_the_beginning_is_a_failed_attempt(house: House, protocol: str) -> None:
    await house.furnish(keys=2, config={"limits": {"event_bytes": 1024}})
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Raw(200, SSE, [b"data: " + b"x" * 2_000]))
    answer = await house.call(protocol, "text", stream=True)
    assert (answer.status, house.used(protocol)) == (200, [1, 2])


@BOTH
async def test_what_shows_nothing_for_too_long_is_committed(house: House, protocol: str) -> None:
    await house.furnish(keys=2, config={"limits": {"hold_back_bytes": 1024}})
    silent = b": nothing yet\n\n" * 100
    answer = await streamed(house, protocol, silent, *FRAMES[protocol])
    assert answer.body == silent + b"".join(FRAMES[protocol])
    ends_in_error(protocol, await committed(house, protocol, [silent], ERRORS[protocol]), silent)
    assert len(house.used(protocol)) == 2


@BOTH
async def test_a_finished_answer_leaves_its_connection_to_the_next(house: House, protocol: str) -> None:
    async with canned(Canned([*FRAMES[protocol], b": behind\n\n"], headers=SSE)) as server:
        await house.furnish(base=server.url)
        for _ in range(3):
            assert (await house.call(protocol, "any", stream=True)).body == b"".join(FRAMES[protocol])
            await house.idle()
        server.answer = Canned([WHOLE[protocol]])
        for _ in range(2):
            assert (await house.call(protocol, "any")).body == WHOLE[protocol]
        server.answer = Canned([b'{"error":{"message":"no"}}'], status=400)
        assert [(await house.call(protocol, "any")).status for _ in range(2)] == [400, 400]
    assert (server.connections, len(server.taken)) == (1, 7)


@BOTH
async def test_the_client_does_not_wait_for_what_follows_the_terminal(house: House, protocol: str) -> None:
    gate = Gate()
    frames = FRAMES[protocol]
    gate.release(len(frames))
    answer = await house.call(protocol, house.play(Raw(200, SSE, [*frames, b": late\n\n"], gate)), stream=True)
    assert answer.body == b"".join(frames)
    assert house.vendor.requests[-1].outcome == "open"
    assert house.proxy.core.pool.counters.open == 0
    gate.open()


@BOTH
async def test_an_answer_without_any_output_ends_well(house: House, protocol: str) -> None:
    """Nothing is ever visible: the stream is whole before it is committed, and clears the doubt of the fault before."""
    shown = [FRAMES[protocol][0], FRAMES[protocol][UNTIL_FINISH[protocol] - 1]]
    answer = await house.call(protocol, house.play(Reply(500), Raw(200, SSE, shown)), stream=True)
    assert (answer.status, answer.body) == (200, b"".join(shown) + TERMINAL[protocol])
    await house.idle()
    [standing] = house.proxy.core.pool.standings(PROVIDERS[protocol])
    assert not standing.doubted(house.clock.now)


@BOTH
@pytest.mark.parametrize("pings", [False, True], ids=["silent", "pinging"])
async def test_an_open_stream_that_stalls_ends_in_an_error(house: House, protocol: str, pings: bool) -> None:
    await house.furnish(STREAM_STALL_TIMEOUT_SECONDS="0.05")
    shown, ping, gate = FRAMES[protocol][:-2], b": ping\n\n", Gate()
    gate.release(len(shown))
    model = house.play(Raw(200, SSE, [*shown, *[ping] * 1_000], gate))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        asking = group.create_task(house.call(protocol, model, stream=True))
        while not asking.done():
            gate.release(pings)
            await asyncio.sleep(0.005)
    answer = asking.result()
    assert (ping in answer.body) == pings
    without = Answer(answer.status, answer.headers, answer.body.replace(ping, b""))
    assert ends_in_error(protocol, without, b"".join(shown))["message"].endswith("the stream stalled")
    await house.idle()
    [standing] = house.proxy.core.pool.standings(PROVIDERS[protocol])
    assert standing.doubted(house.clock.now)


@pytest.mark.pitfall("C235")
@BOTH
async def test_a_silent_stream_is_kept_alive_by_blank_lines(house: House, protocol: str) -> None:
    await house.furnish(STREAM_HEARTBEAT_SECONDS="0.01")
    gate, frames = Gate(), FRAMES[protocol]
    body = house.body(protocol, house.play(Raw(200, SSE, frames, gate)), stream=True)
    async with asyncio.timeout(5), house.asking(protocol, body) as reply:
        assert (reply.status, await reply.content.readexactly(1)) == (200, b"\n")
        gate.release(len(frames) - 2)
        begun = b""
        while not begun.endswith(b"\n\n\n"):
            begun += await reply.content.readexactly(1)
        gate.open()
        whole = begun + await reply.read()
    assert re.sub(rb"\n{2,}", b"\n\n", whole.lstrip(b"\n")) == b"".join(frames)


@BOTH
async def test_what_fails_after_a_heartbeat_ends_in_an_error(house: House, protocol: str) -> None:
    await house.furnish(STREAM_HEARTBEAT_SECONDS="0.01")
    gate = Gate()
    body = house.body(protocol, house.play(Reply(400, gate=gate)), stream=True)
    async with asyncio.timeout(5), house.asking(protocol, body) as reply:
        beat = await reply.content.readexactly(1)
        gate.open()
        answer = Answer(reply.status, reply.headers, (beat + await reply.read()).lstrip(b"\n"))
    assert ends_in_error(protocol, answer, b"")["type"] == "invalid_request_error"


@BOTH
@pytest.mark.parametrize("end", ["clean", "drop"])
async def test_streams_that_need_no_heartbeat_are_as_without(house: House, protocol: str, end: str) -> None:
    await house.furnish(STREAM_HEARTBEAT_SECONDS="30")
    stream = odd_stream(protocol)
    assert (await streamed(house, protocol, *cut(stream, [200, 500, 900, 1_000]))).body == stream
    shown = FRAMES[protocol][: UNTIL_FINISH[protocol] - 1]
    ends_in_error(protocol, await committed(house, protocol, shown, b"data: {", end=end), b"".join(shown))


LANES = pytest.mark.parametrize("lane", ["raw", "native"])


@BOTH
@LANES
async def test_first_byte_holds_nothing_back(house: House, protocol: str, lane: str) -> None:
    await staging.furnish(house, keys=2, config={"retry": {"commit": "first_byte"}}, lane=lane)
    gate, sent = Gate(), staging.SENT[protocol]
    shown = sent if lane == "raw" else staging.SHOWN[protocol]
    house.vendor.script("scripted", Raw(200, SSE, sent, gate))
    gate.release()
    async with asyncio.timeout(5), house.asking(protocol, house.body(protocol, "scripted", stream=True)) as reply:
        for frame in shown:
            assert await reply.content.readexactly(len(frame)) == frame
            assert not reply.content._buffer
            gate.release()
        assert await reply.read() == b""
    for more, end in (([ERRORS[protocol]], "clean"), ([], "clean"), ([], "reset")):
        before = len(house.vendor.requests)
        ends_in_error(protocol, await staging.committed(house, protocol, 1, *more, end=end), shown[0])
        assert len(house.vendor.requests) == before + 1  # nothing is tried again
    for failing in (Reply(500), Raw(200, SSE, [ERRORS[protocol]]), Raw(200, SSE, [])):
        answer = await house.call(protocol, house.play(failing, Raw(200, SSE, sent)), stream=True)
        assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")  # nothing was shown yet


@BOTH
@LANES
@pytest.mark.parametrize("tail", [b"\n\n", b"\n", b""], ids=["whole", "line", "nothing"])
async def test_a_vendor_without_finish_reasons_may_just_end(
    house: House, protocol: str, lane: str, tail: bytes
) -> None:
    """Also where its last event lacks the blank line: that is whole, or it would be no JSON."""
    await staging.furnish(house, ends_without_finish=True, lane=lane)
    begun, until_finish = BEFORE_VISIBLE[protocol] + 1, UNTIL_FINISH[protocol] - 1
    sent = staging.SENT[protocol]
    shown = b"".join((sent if lane == "raw" else staging.SHOWN[protocol])[:until_finish])
    more = [*sent[begun : until_finish - 1], sent[until_finish - 1].removesuffix(b"\n\n") + tail]
    assert (await staging.committed(house, protocol, begun, *more)).body == shown + TERMINAL[protocol]
    at_once = b"".join([*sent[:begun], *more])
    assert (await staging.streamed(house, protocol, at_once)).body == shown + TERMINAL[protocol]
    assert not staging.doubted(house, protocol)


@BOTH
@LANES
@pytest.mark.parametrize("end", ["half", "error", "reset", "drop"])
async def test_an_end_without_output_or_in_the_middle_is_a_failure_all_the_same(
    house: House, protocol: str, lane: str, end: str
) -> None:
    await staging.furnish(house, keys=2, ends_without_finish=True, lane=lane)
    silent = Raw(200, SSE, staging.SENT[protocol][:1])
    answer = await house.call(protocol, house.play(silent, Play("text")), stream=True)
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")
    begun = BEFORE_VISIBLE[protocol] + 1
    shown = b"".join((staging.SENT if lane == "raw" else staging.SHOWN)[protocol][:begun])
    more = {"half": [b'data: {"half'], "error": [ERRORS[protocol]]}.get(end, [])
    answer = await staging.committed(house, protocol, begun, *more, end="clean" if more else end)
    ends_in_error(protocol, answer, shown)
