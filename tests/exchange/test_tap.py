"""What the trace tells of streams on both sides, through the whole server and from its files."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rotator.neutral.error import ErrorKind, error_of
from tests.exchange import tapping
from tests.exchange.staging import (
    ERRORS,
    SENT,
    TERMINAL,
    committed,
    streamed,
)
from tests.exchange.tapping import (
    BOTH,
    LANES,
    Entry,
    furnish_traced,
    of,
    one,
    text,
    told,
    told_whole,
    written,
)
from tests.upstreams import (
    BEFORE_VISIBLE,
    JSON,
    PATIENCE_SECONDS,
    SSE,
    UNTIL_FINISH,
    Canned,
    Gate,
    House,
    Raw,
    canned,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Fixtures.
written_at_once, plugins, staged = tapping.written_at_once, tapping.plugins, tapping.staged


@BOTH
@LANES
@pytest.mark.parametrize("beats", [False, True], ids=["relay", "with heartbeats"])
async def test_a_stream_in_many_pieces_is_whole_on_both_sides(
    house: House, tmp_path: Path, protocol: str, lane: str, beats: bool
) -> None:
    """One read for each frame behind the first output: the client has one before the next is sent."""
    config = {"timeouts": {"stream_heartbeat": 30}} if beats else {}
    await furnish_traced(house, tmp_path, lane=lane, config=config, level="full")
    gate, frames, begun = Gate(), SENT[protocol], BEFORE_VISIBLE[protocol] + 1
    gate.release(begun)
    house.vendor.script("scripted", Raw(200, SSE, frames, gate))
    body, seen = house.body(protocol, "scripted", stream=True), b""
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        for number in range(len(frames)):
            seen += await reply.content.readuntil(b"\n\n")
            if number >= begun - 1:
                gate.release()
        assert await reply.read() == b""
    found = await told(tmp_path)
    assert told_whole(found, b"".join(frames), seen, lane) == []
    assert len(frames) - begun < one(found, "upstream_stream")["pieces"] <= len(frames)
    events = of(found, "stream_event")
    assert b"".join(map(text, events)) == b"".join(frames)
    assert len(events) == one(found, "upstream_stream")["pieces"]


@BOTH
@LANES
async def test_pieces_that_end_inside_frames_are_whole_too(
    house: House, tmp_path: Path, protocol: str, lane: str
) -> None:
    whole = b"".join(SENT[protocol])
    chunks = [whole[start : start + 7] for start in range(0, len(whole), 7)]
    async with canned(Canned(chunks, headers=SSE)) as server:
        await furnish_traced(house, tmp_path, lane=lane, base=server.url, level="full")
        answer = await house.call(protocol, "m", stream=True)
        found = await told(tmp_path)
    assert told_whole(found, whole, answer.body, lane) == []
    assert one(found, "upstream_stream")["pieces"] > 10
    assert b"".join(map(text, of(found, "stream_event"))) == whole


#: How a stream that was begun ends badly: its last chunk, what the connection does, and the error's names.
BAD_ENDS = {
    "told": (None, "clean", {"E7", "server"}),
    "early": (b"", "clean", {"truncated"}),
    "half": (b"data: {", "clean", {"truncated"}),
    "reset": (b"", "reset", {"answer_broke", "connection_broke"}),
    "no json": (b"event: message_delta\ndata: {]\n\n", "clean", {"bad_event"}),
}


@BOTH
@LANES
@pytest.mark.parametrize("how", BAD_ENDS)
async def test_an_in_band_error_is_told_with_the_stream(
    house: House, tmp_path: Path, protocol: str, lane: str, how: str
) -> None:
    await furnish_traced(house, tmp_path, lane=lane)
    last, end, codes = BAD_ENDS[how]
    last = ERRORS[protocol] if last is None else last
    begun = BEFORE_VISIBLE[protocol] + 1
    answer = await committed(house, protocol, begun, *filter(None, [last]), end=end)
    assert answer.body.count(b'"error":') == 1
    found = await told(tmp_path)
    note = one(found, "end")["note"]
    assert note in codes
    acts = told_whole(found, b"".join(SENT[protocol][:begun]) + last, answer.body, lane)
    hidden = {"told": len(last), "no json": len(last), "half": len(last) + 2 if protocol == "chat" else 0}.get(how)
    assert acts == [*([f"withheld {hidden} bytes"] if hidden and lane == "raw" else []), f"error {note}"]
    assert one(found, "outcome")["ended"] == "failed"


@BOTH
async def test_an_error_behind_heartbeats_is_told_with_the_stream(house: House, tmp_path: Path, protocol: str) -> None:
    """Where heartbeats are wanted the stream is read by another loop."""
    await furnish_traced(house, tmp_path, config={"timeouts": {"stream_heartbeat": 30}})
    begun = BEFORE_VISIBLE[protocol] + 1
    answer = await committed(house, protocol, begun, end="reset")
    found = await told(tmp_path)
    acts = told_whole(found, b"".join(SENT[protocol][:begun]), answer.body, "raw")
    assert acts == [f"error {one(found, 'end')['note']}"]


@BOTH
async def test_an_error_at_the_end_of_the_process_is_told_with_the_stream(
    house: House, tmp_path: Path, protocol: str
) -> None:
    await furnish_traced(house, tmp_path)
    gate, begun = Gate(), BEFORE_VISIBLE[protocol] + 1
    gate.release(begun)
    body = house.body(protocol, house.play(Raw(200, SSE, SENT[protocol], gate)), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        seen = b"".join([await reply.content.readuntil(b"\n\n") for _ in range(begun)])
        [running] = house.proxy.core.running
        running.end(error_of(ErrorKind.OVERLOADED, "enough", code="shutting_down"))
        seen += await reply.read()
    found = await told(tmp_path)
    assert seen.count(b'"error":') == 1
    assert told_whole(found, b"".join(SENT[protocol][:begun]), seen, "raw") == ["error shutting_down"]


@BOTH
@LANES
@pytest.mark.parametrize("at_once", [False, True], ids=["open", "opening"])
async def test_a_last_frame_without_its_blank_line_is_told(
    house: House, tmp_path: Path, protocol: str, lane: str, at_once: bool
) -> None:
    """It is an event as the others are, and was mended."""
    await furnish_traced(house, tmp_path, lane=lane, level="full")
    *frames, last = SENT[protocol]
    last, begun = last.removesuffix(b"\n\n"), BEFORE_VISIBLE[protocol] + 1
    sent = b"".join(frames) + last
    if at_once:
        answer = await streamed(house, protocol, sent)
    else:
        answer = await committed(house, protocol, begun, *frames[begun:], last)
    assert answer.body.endswith(TERMINAL[protocol])
    found = await told(tmp_path)
    assert told_whole(found, sent, answer.body, lane) == ["mended"]
    assert text(of(found, "stream_event")[-1]) == last + b"\n\n"
    assert b"".join(map(text, of(found, "stream_event"))) == sent + b"\n\n"


async def test_half_a_last_frame_is_no_event(house: House, tmp_path: Path) -> None:
    await furnish_traced(house, tmp_path, level="full")
    await committed(house, "chat", 2, b"data: {")
    assert b"".join(map(text, of(await told(tmp_path), "stream_event"))) == b"".join(SENT["chat"][:2])


@BOTH
async def test_a_terminal_whose_line_end_was_cut_is_mended(house: House, tmp_path: Path, protocol: str) -> None:
    """Between CR and LF; nothing behind it is read by the client."""
    frames = [frame.replace(b"\n", b"\r\n") for frame in SENT[protocol]]
    begun, last = BEFORE_VISIBLE[protocol] + 1, frames[-1].removesuffix(b"\n")
    await furnish_traced(house, tmp_path)
    gate = Gate()
    gate.release(len(frames))
    body = house.body(protocol, house.play(Raw(200, SSE, [*frames[:-1], last, b"\n"], gate)), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        seen = await reply.read()
        gate.open()
    assert begun and seen == b"".join(frames)
    found = await told(tmp_path)
    assert told_whole(found, b"".join(frames[:-1]) + last, seen, "raw") == ["mended"]


def dotted(frames: Sequence[bytes]) -> list[bytes]:
    """The frames with a text that breaks official clients."""
    return [frame.replace(b"two", "tw\u2028\u00f6".encode()) for frame in frames]


@BOTH
@pytest.mark.parametrize(("alter", "acts"), [
    (lambda frames: frames, []),
    (lambda frames: frames[:-1], ["trailer"]),
    (lambda frames: [*frames, b": behind\n\n", b"data: {}\n\n"], ["withheld 20 bytes"]),
    (dotted, ["mended"]),
    (lambda frames: [b"\xef\xbb\xbf" + frames[0], *frames[1:]], ["mended"]),
    (lambda frames: [*dotted(frames), b"data: {}\n\n"], ["mended", "withheld 10 bytes"]),
    (lambda frames: dotted(frames)[:-1], ["mended", "trailer"]),
], ids=["plain", "no terminal", "more", "separators", "BOM", "separators and more", "separators, no terminal"])
async def test_what_was_done_to_a_stream_that_came_at_once(
    house: House, tmp_path: Path, protocol: str, alter: Any, acts: list[str]
) -> None:
    """Everything is held back, the end included, before the client has its status."""
    await furnish_traced(house, tmp_path)
    sent = b"".join(alter(SENT[protocol]))
    answer = await streamed(house, protocol, sent)
    assert answer.body.endswith(TERMINAL[protocol])
    assert told_whole(await told(tmp_path), sent, answer.body, "raw") == acts


@BOTH
@LANES
@pytest.mark.parametrize("terminal", [True, False])
async def test_a_stream_that_is_over_before_it_shows_anything_is_whole(
    house: House, tmp_path: Path, protocol: str, lane: str, terminal: bool
) -> None:
    """Without a word in it; it is settled with its commit."""
    await furnish_traced(house, tmp_path, lane=lane)
    sent = SENT[protocol]
    frames = [sent[0], *sent[UNTIL_FINISH[protocol] - 1 :][: None if terminal else 1]]
    answer = await streamed(house, protocol, *frames)
    assert answer.body.endswith(TERMINAL[protocol])
    found = await told(tmp_path)
    assert told_whole(found, b"".join(frames), answer.body, lane) == ([] if terminal else ["trailer"])
    assert one(found, "outcome")["ended"] == "ok"


@BOTH
@LANES
async def test_a_stream_that_its_client_left_is_told_as_far_as_it_came(
    house: House, tmp_path: Path, protocol: str, lane: str
) -> None:
    await furnish_traced(house, tmp_path, lane=lane)
    gate, begun, frames = Gate(), BEFORE_VISIBLE[protocol] + 2, SENT[protocol]
    gate.release(begun)
    house.vendor.script("scripted", Raw(200, SSE, frames, gate))
    body, seen = house.body(protocol, "scripted", stream=True), b""
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        for _ in range(begun):
            seen += await reply.content.readuntil(b"\n\n")
        reply.close()
        found = await told(tmp_path)
    assert told_whole(found, b"".join(frames[:begun]), seen, lane) == []
    assert (one(found, "outcome")["ended"], one(found, "end")["note"]) == ("cancelled", "client gone")


@BOTH
@LANES
async def test_a_stream_that_its_client_left_before_it_showed_anything(
    house: House, tmp_path: Path, protocol: str, lane: str
) -> None:
    await furnish_traced(house, tmp_path, lane=lane, level="full")
    gate, hidden, frames = Gate(), BEFORE_VISIBLE[protocol], SENT[protocol]
    gate.release(hidden)
    house.vendor.script("scripted", Raw(200, SSE, frames, gate))
    body = house.body(protocol, "scripted", stream=True)
    asking = asyncio.create_task(house.ask(protocol, body))
    sent = b"".join(frames[:hidden])
    try:
        await until(lambda: b"".join(map(text, of(written(tmp_path), "stream_event"))) == sent)
    finally:
        asking.cancel()
    found = await told(tmp_path)
    assert unseen(found, sent) == []
    assert (one(found, "outcome")["ended"], one(found, "end")["status"]) == ("cancelled", 499)


def unseen(found: Sequence[Entry], sent: bytes) -> list[str]:
    """The only stream reached no client; what came of it is in the trace; what was done to it."""
    came, shown = one(found, "upstream_stream"), one(found, "client_stream")
    assert (text(came), came["bytes"]) == (sent, len(sent))
    assert came["pieces"] >= 1 and came["first_byte_ms"] >= 0 and came["first_output_ms"] is None
    assert (shown["bytes"], "body" in shown) == (0, False)
    acts: list[str] = shown["acts"]
    return acts


@BOTH
@LANES
@pytest.mark.parametrize("how", ["told", "early", "half", "reset"])
async def test_a_stream_that_failed_before_it_showed_anything_is_told(
    house: House, tmp_path: Path, protocol: str, lane: str, how: str
) -> None:
    """Another key answers: each attempt has its own streams."""
    last, end, _ = BAD_ENDS[how]
    last = ERRORS[protocol] if last is None else last
    frames = [*SENT[protocol][: BEFORE_VISIBLE[protocol]], *filter(None, [last])]
    await furnish_traced(house, tmp_path, lane=lane, keys=2)
    house.vendor.script("scripted", Raw(200, SSE, frames, end=end), Raw(200, SSE, SENT[protocol]))
    answer = await house.call(protocol, "scripted", stream=True)
    assert answer.headers["x-rotator-attempts"] == "2"
    found = await told(tmp_path)
    failed, good = ([entry for entry in found if entry["attempt"] == number] for number in (1, 2))
    unseen(failed, b"".join(frames))
    assert [one(failed, name)["ended"] for name in ("outcome",)] == ["failed"]
    good = [*good, *of(found, "client_response")]
    came, shown = one(good, "upstream_stream"), one(good, "client_stream")
    assert (text(came), shown["bytes"]) == (b"".join(SENT[protocol]), len(answer.body))


@BOTH
async def test_an_error_that_came_where_a_stream_was_wanted_is_told_to_its_end(
    house: House, tmp_path: Path, protocol: str
) -> None:
    """A JSON document is no stream, but it is what the vendor said."""
    await furnish_traced(house, tmp_path, config={"retry": {"same_key": 0}})
    document = b'{"type":"error","error":{"type":"overloaded_error","message":"Come back later."}}'
    gate = Gate()
    gate.release()
    body = house.body(protocol, house.play(Raw(200, JSON, [document[:30], document[30:]], gate)), stream=True)
    asking = asyncio.create_task(house.ask(protocol, body))
    try:
        await until(lambda: of(written(tmp_path), "upstream_response"))  # so the first piece comes by itself
    finally:
        gate.open()
    assert "Come back later." in (await asking).error["message"]
    came = one(await told(tmp_path), "upstream_stream")
    assert came["body"] == {"bytes": len(document), "json": json.loads(document)}
