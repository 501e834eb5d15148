"""Stream data on which official clients break: they get UTF-8, SSE and JSON, or an error of their own (faults.md 1)."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.faults.checks import (
    BOTH,
    ENDS,
    LANES,
    ONCE,
    TRANSLATING,
    Clients,
    attempts,
    doubted,
    ends_in_error,
    failing,
    last_line,
    stream_seen,
    used,
)
from tests.faults.upstream import sends, well
from tests.faults.wire import DELTA, SHOWN, Fault, Wire, chunk
from tests.upstreams import BEFORE_VISIBLE, FRAMES, Answer

pytestmark = pytest.mark.asyncio(loop_scope="module")


def half(protocol: str) -> bytes:
    """An event of which half is missing, with its blank line."""
    return DELTA[protocol][:70] + b"\n\n"


def no_end(protocol: str) -> bytes:
    """All that an event needs for a hasty look, but for its last bracket."""
    return (DELTA[protocol] % b"x").replace(b"}\n\n", b"\n\n")


def unclosed(protocol: str) -> bytes:
    """The same, and the last byte is as it should be."""
    return (DELTA[protocol] % b"x").replace(b'"x"', b'"x')


def word(protocol: str) -> bytes:
    name = b"event: content_block_delta\n" if protocol == "messages" else b""
    return name + b"data: Internal Server Error\n\n"


def array(protocol: str) -> bytes:
    name = b"event: content_block_delta\n" if protocol == "messages" else b""
    return name + b"data: [1,2]\n\n"


def number(protocol: str) -> bytes:
    return (DELTA[protocol] % b"x").replace(b'"index":0', b'"index":NaN')


def control(protocol: str) -> bytes:
    """A raw control character inside a string, which JSON forbids."""
    return DELTA[protocol] % b"a\x01b"


def deep(protocol: str) -> bytes:
    return (DELTA[protocol] % b"x").replace(b"}\n\n", b',"deep":%b%b}\n\n' % (b"[" * 100_000, b"]" * 100_000))


#: Events that are no JSON object.
BAD_JSON = [half, no_end, unclosed, word, array, number, control, deep]
NAMED: Any = {"ids": lambda make: make.__name__}
#: Those that only a parser finds. The raw lane does not parse mere output: it passes as the vendor wrote it.
UNREAD = {"chat": [unclosed, number, control, deep], "messages": [no_end, unclosed, number, control, deep]}
READ = [
    (protocol, lane, make)
    for protocol, unread in UNREAD.items()
    for lane in ("raw", "native", *TRANSLATING)
    for make in BAD_JSON
    if lane != "raw" or make not in unread
]
READ_IDS = ["-".join((make.__name__, lane, protocol)) for protocol, lane, make in READ]


def surrounded(protocol: str, toxic: bytes, before: int) -> tuple[bytes, bytes]:
    """A whole stream with something toxic behind so many frames: what comes before it, and from it on."""
    frames = FRAMES[protocol]
    return b"".join(frames[:before]), toxic + b"".join(frames[before:])


def later(make: Any) -> Fault:
    """The toxic event comes when the client has seen the first output."""

    async def fault(wire: Wire) -> None:
        await wire.begin()
        _, rest = surrounded(wire.protocol, make(wire.protocol), BEFORE_VISIBLE[wire.protocol] + 1)
        await wire.send(chunk(rest))
        await wire.send(chunk(b""))

    return fault


def first(make: Any) -> Fault:
    return sends(lambda protocol: surrounded(protocol, make(protocol), BEFORE_VISIBLE[protocol]))


#: On the raw lane what is held back goes another way than what comes later; the others read both alike.
PLACES = pytest.mark.parametrize(
    ("lane", "make"),
    [("raw", first), ("raw", later), ("native", later), ("forced", later), ("crossed", first), ("crossed", later)],
)


def readable(protocol: str, answer: Answer) -> list[Any]:
    """The stream's events: it is UTF-8, and every event that an official client parses is a JSON object."""
    body = answer.body.decode()
    events = []
    for frame in body.replace("\r\n", "\n").split("\n\n"):
        data = [line.removeprefix("data:").lstrip(" ") for line in frame.split("\n") if line.startswith("data:")]
        if data and data != ["[DONE]"]:
            events.append(json.loads("\n".join(data)))
    assert all(isinstance(event, dict) for event in events)
    return events


@BOTH
@LANES
@pytest.mark.parametrize("make", BAD_JSON, **NAMED)
async def test_an_event_that_is_no_json_fails_the_attempt_before_the_first_output(
    clients: Clients, protocol: str, lane: str, make: Any
) -> None:
    house = clients.house
    async with failing(house, first(make), config=ONCE, lane=lane) as vendor:
        refusal = await clients.refused(protocol, True)
        assert (refusal.status, refusal.attempts, len(vendor.taken)) == (502, 1, 1)
        assert last_line(house).endswith("bad_event")
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])
    async with failing(house, first(make), well, keys=2, lane=lane) as vendor:
        answer = await house.call(protocol, "any", stream=True)
        assert (answer.status, attempts(answer), used(house, vendor, protocol)) == (200, 2, [1, 2])
        assert readable(protocol, answer)


@pytest.mark.parametrize(("protocol", "lane", "make"), READ, ids=READ_IDS)
async def test_an_event_that_is_no_json_ends_a_stream_in_the_clients_own_error(
    clients: Clients, protocol: str, lane: str, make: Any
) -> None:
    """It is neither passed on, for SDKs raise a decoder's error on it, nor dropped, for something was said in it."""
    house = clients.house
    async with failing(house, later(make), lane=lane) as vendor:
        answer = await stream_seen(house, vendor, protocol, lane)
        await house.idle()
        ends_in_error(protocol, lane, answer, SHOWN[protocol])
        assert readable(protocol, answer)
        assert last_line(house).endswith("bad_event")
        assert (len(vendor.taken), doubted(house, protocol)) == (1, [True])
        vendor.seen.clear()
        said, error = await clients.said(protocol, vendor)
        assert said == "one " and isinstance(error, openai.APIError | anthropic.APIError)


@pytest.mark.parametrize(
    ("protocol", "make"), [(protocol, make) for protocol, unread in UNREAD.items() for make in unread]
)
async def test_the_raw_lane_passes_output_that_only_a_parser_finds_odd(
    clients: Clients, protocol: str, make: Any
) -> None:
    """Byte for byte: a parse of every event costs a tenth of its price, and the vendor is asked for no better."""
    house = clients.house
    async with failing(house, later(make)) as vendor:
        answer = await stream_seen(house, vendor, protocol)
    before, rest = surrounded(protocol, make(protocol), BEFORE_VISIBLE[protocol] + 1)
    assert (answer.status, answer.body) == (200, before + rest)


#: Lines that are no SSE of anybody's, without a word of data: they say nothing and are no reason to end a stream.
GARBAGE = {
    "fields": b"\x00\x01\x02garbage\nwhat: is this\nand\tthis\n\n",
    "colons": b":::::\n: :\n::data: x\n\n",
    "empty": b"\n\n\n\r\n\r\n\n\n",
    "latin": b"\xff\xfe gar\xe9bage \x85\n\n: \xed\xa0\xbd\n\n",
    "almost": b" data: {}\nDATA: {}\ndata{}: x\n\n",
}


@BOTH
@PLACES
@pytest.mark.parametrize("case", GARBAGE)
async def test_lines_that_say_nothing_harm_nobody(
    clients: Clients, protocol: str, lane: str, make: Any, case: str
) -> None:
    house = clients.house
    async with failing(house, make(lambda protocol: GARBAGE[case]), lane=lane) as vendor:
        vendor.seen.set()
        answer = await house.call(protocol, "any", stream=True)
        assert (answer.status, attempts(answer)) == (200, 1)
        readable(protocol, answer)
        assert await clients.said(protocol) == ("one two", None)
        assert doubted(house, protocol) == [False]


#: Frames without data: SSE knows them, official clients read the data that is not there (protocols.md 4.2).
DATALESS = {
    "event": b"event: ping\n\n",
    "id": b"id: 7\n\n: a comment\n\n",
    "retry": b"retry: 1000\n\n",
    "data": b"data\n\n",
    "data:": b"data:\n\n",
    "id of a frame": b"id: 8\n: so\n\n: a comment\n\n",
}


@BOTH
@PLACES
@pytest.mark.parametrize("case", DATALESS)
async def test_frames_without_data_raise_no_decoders_error(
    clients: Clients, protocol: str, lane: str, make: Any, case: str
) -> None:
    """Dropped or an error of ours where frames are read; raw passes lone ``event``, ``id`` and ``retry`` lines."""
    if lane == "raw" and protocol == "chat" and not case.startswith("data"):
        stream = surrounded(protocol, DATALESS[case], BEFORE_VISIBLE[protocol] + (make is later))
        async with failing(clients.house, make(lambda protocol: DATALESS[case]), config=ONCE) as vendor:
            vendor.seen.set()
            assert (await clients.house.call(protocol, "any", stream=True)).body == b"".join(stream)
        return
    async with failing(clients.house, make(lambda protocol: DATALESS[case]), config=ONCE, lane=lane) as vendor:
        vendor.seen.set()
        said, error = await clients.said(protocol)
        assert (said, error) == ("one two", None) or isinstance(error, openai.APIError | anthropic.APIError)


@BOTH
@PLACES
async def test_bad_utf8_is_mended(clients: Clients, protocol: str, lane: str, make: Any) -> None:
    """Overlong, cut, a surrogate, Latin-1: each is U+FFFD to the client, as a browser would read it."""
    house = clients.house
    bad = b"\xff \xc0\xaf \xe2\x82 \xed\xa0\x80 caf\xe9 \xf0\x9f\x9a"
    fault = make(lambda protocol: DELTA[protocol] % bad)
    async with failing(house, fault, lane=lane) as vendor:
        vendor.seen.set()
        answer = await house.call(protocol, "any", stream=True)
        readable(protocol, answer)
        said, error = await clients.said(protocol)
        assert (error, bad.decode("utf-8", "replace") in said, "two" in said) == (None, True, True)
        assert doubted(house, protocol) == [False]


@BOTH
@ENDS
async def test_bad_utf8_in_a_whole_answer_is_no_json(clients: Clients, protocol: str, lane: str) -> None:
    house = clients.house
    bad = sends(lambda protocol: [b'{"choices":[{"index":0}],"content":[],"x":"\xff"}'])
    async with failing(house, bad, config=ONCE, lane=lane):
        refusal = await clients.refused(protocol, False)
        assert (refusal.status, last_line(house).rpartition(", ")[2]) == (502, "not_json")
