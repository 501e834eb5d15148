"""Streams of the translate lane: what adapters keep back, what is told of ends, errors and blocks that wait."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from rotator.exchange import translated
from rotator.plugins import Loaded
from tests import upstreams
from tests.exchange.staging import doubted, furnish, last_line, loaded_with
from tests.exchange.test_translate import (
    CROSS,
    DONE,
    IN_BAND,
    THINKING,
    TOOL,
    block,
    chunk,
    crossed,
    crossing,
    last_error,
    named,
    said,
    shapes,
)
from tests.upstreams import FRAMES, PATIENCE_SECONDS, PROVIDERS, SSE, Answer, Gate, House, Play, Raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLIENTS = pytest.mark.parametrize("client", PROVIDERS)

PLUGINS = {
    "adapters/keep.py": '''
from rotator.api import JsonFrame, WireAdapter


class Keep(WireAdapter):
    """Text waits for the end of the answer."""

    def __init__(self, options=None):
        self.kept = []
        self.index = 0

    def on_event(self, frame):
        if self.ctx.protocol == "chat":
            delta = frame.data["choices"][0]["delta"]
            self.kept.append(delta.pop("content", None) or "")
        elif frame.data.get("delta", {}).get("type") == "text_delta":
            self.index = frame.data["index"]
            self.kept.append(frame.data["delta"]["text"])
            return ()
        return (frame,)

    def on_end(self):
        text = "".join(self.kept)
        if self.ctx.protocol == "chat":
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            return (JsonFrame(None, {"choices": [choice]}),)
        delta = {"type": "text_delta", "text": text}
        return (JsonFrame("content_block_delta", {"type": "content_block_delta", "index": self.index, "delta": delta}),)
''',
    "adapters/last.py": '''
from rotator.api import BlockEnd, BlockStart, NeutralAdapter, Text, TextDelta


class Last(NeutralAdapter):
    """A last word, in a block of its own."""

    def __init__(self, options=None):
        self.begun = []

    def on_event(self, event):
        if isinstance(event, BlockStart):
            self.begun.append(event.block)
        elif isinstance(event, BlockEnd):
            self.begun.remove(event.block)
        return (event,)

    def on_end(self):
        return (*map(BlockEnd, self.begun), BlockStart(99, Text("")), TextDelta(99, "[last]"), BlockEnd(99))
''',
    "adapters/unheard.py": '''
from rotator.api import Finish, Finished, NeutralAdapter


class Unheard(NeutralAdapter):
    """Every answer ends in a way that no client may take for a success."""

    def on_event(self, event):
        return (Finished(Finish("malformed", "ODD"), event.candidate) if isinstance(event, Finished) else event,)
''',
    "adapters/wordless.py": '''
from dataclasses import replace

from rotator.api import NeutralAdapter


class Wordless(NeutralAdapter):
    """Changes what is asked of the upstream about usage, not what the client gets."""

    def __init__(self, options=None):
        self.told = options["told"]

    def on_request(self, request):
        return replace(request, usage_in_stream=self.told)
''',
    "adapters/forger.py": '''
from rotator.api import End, ErrorKind, Failed, Finished, NeutralAdapter, TextDelta, error_of


class Forger(NeutralAdapter):
    """Says how the stream ends, which is not for it to say."""

    def __init__(self, options=None):
        self.end = End() if options["gives"] == "End" else Failed(error_of(ErrorKind.SERVER, "forged"))
        self.at = options["at"]

    def on_event(self, event):
        return (event, self.end) if isinstance(event, TextDelta) and self.at == "event" else (event,)

    def on_end(self):
        return (self.end,) if self.at == "end" else ()
''',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def staged(house: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    yield house


async def told(house: House, client: str, frames: Sequence[bytes], **more: Any) -> Answer:
    """What a client gets of a stream of the other protocol."""
    return await crossed(house, client, house.play(Raw(200, SSE, frames)), stream=True, **more)


async def paused(house: House, client: str, begun: int, frames: Sequence[bytes], seen: bytes) -> Answer:
    """The same, of a stream that goes on behind so many frames only when this part of them has come through."""
    gate = Gate()
    gate.release(begun)
    body = crossing(client, house.play(Raw(200, SSE, frames, gate)), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(client, body) as reply:
        shown = await reply.content.readuntil(seen)
        gate.open()
        return Answer(reply.status, reply.headers, shown + await reply.read())


def finishes(client: str, answer: Answer) -> list[Any]:
    """The finish reasons in a stream, in order."""
    found = [data for _, data in shapes(answer) if isinstance(data, dict)]
    if client == "messages":
        return [data["delta"]["stop_reason"] for data in found if data["type"] == "message_delta"]
    return [choice["finish_reason"] for data in found for choice in data["choices"] if choice["finish_reason"]]


def calls(client: str, answer: Answer) -> list[tuple[str, str]]:
    """Names and arguments of the calls in a stream."""
    found: dict[int, list[str]] = {}
    for _, data in shapes(answer):
        if client == "chat" and isinstance(data, dict):
            for call in (call for one in data["choices"] for call in one["delta"].get("tool_calls", ())):
                found.setdefault(call["index"], []).extend(
                    call["function"][member] for member in ("name", "arguments") if member in call["function"]
                )
        elif client == "messages" and data["type"] == "content_block_start" and "input" in data["content_block"]:
            found[data["index"]] = [data["content_block"]["name"]]
        elif client == "messages" and data["type"] == "content_block_delta" and "partial_json" in data["delta"]:
            found[data["index"]].append(data["delta"]["partial_json"])
    return [(name, "".join(pieces)) for name, *pieces in found.values()]


#: A vendor's answer of one text, and how it ends.
TEXT = {"type": "text", "text": ""}
SPOKEN = {
    "chat": [chunk(content="one "), chunk("stop", content="two"), *DONE],
    "messages": block(TEXT, [{"type": "text_delta", "text": word} for word in ("one ", "two")], "end_turn"),
}


# What adapters keep for the end.


@CROSS
@pytest.mark.parametrize("together", [False, True], ids=["frames", "one read"])
async def test_text_that_waits_for_the_end_stands_before_the_finish(
    staged: House, client: str, vendor: str, together: bool
) -> None:
    """Also what stands in the frame of the finish itself."""
    await furnish(staged, "keep")
    frames = [b"".join(SPOKEN[vendor])] if together else SPOKEN[vendor]
    answer = await told(staged, client, frames)
    assert said(client, answer) == "one two"
    assert answer.body.index(b"one two") < answer.body.index(b'"stop"' if client == "chat" else b'"end_turn"')
    assert len(finishes(client, answer)) == 1


@CROSS
async def test_it_is_told_where_the_vendor_never_tells_a_finish(staged: House, client: str, vendor: str) -> None:
    await furnish(staged, "keep", ends_without_finish=True)
    thought = {"chat": [chunk(reasoning_content="hm")], "messages": block(THINKING, [hmm()], "")[:-2]}
    spoken = {"chat": SPOKEN["chat"][:1], "messages": text_at(1, "one ")}
    answer = await told(staged, client, [*thought[vendor], *spoken[vendor]])
    assert said(client, answer) == "one "
    assert finishes(client, answer) == ["stop" if client == "chat" else "end_turn"]


def hmm() -> dict[str, Any]:
    return {"type": "thinking_delta", "thinking": "hm"}


def part_at(index: int, part: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    """A block of a Messages stream, still open."""
    begun = named("content_block_start", index=index, content_block=part)
    return [begun, *(named("content_block_delta", index=index, delta=delta) for delta in deltas)]


def text_at(index: int, words: str) -> list[bytes]:
    return part_at(index, TEXT, {"type": "text_delta", "text": words})


@CROSS
async def test_what_wire_adapters_kept_is_told_before_an_error(staged: House, client: str, vendor: str) -> None:
    await furnish(staged, "keep")
    begun = {"chat": [chunk(reasoning_content="hm")], "messages": block(THINKING, [hmm()], "")[:-2]}[vendor]
    spoken = {"chat": SPOKEN["chat"][:1], "messages": text_at(1, "one ")}[vendor]
    answer = await paused(staged, client, len(begun), [*begun, *spoken, IN_BAND[vendor]], b"hm")
    assert last_error(client, answer)["message"] == "It broke"
    assert said_before_error(client, answer) == "one "


@CROSS
async def test_what_neutral_adapters_say_last_is_told_before_an_error(
    staged: House, client: str, vendor: str
) -> None:
    await furnish(staged, "last")
    begun = {"chat": [chunk(content="one ")], "messages": [FRAMES["messages"][0], *text_at(0, "one ")]}[vendor]
    answer = await paused(staged, client, len(begun), [*begun, IN_BAND[vendor]], b"one ")
    assert last_error(client, answer)["message"] == "It broke"
    assert said_before_error(client, answer) == "one [last]"


def said_before_error(client: str, answer: Answer) -> str:
    frames = answer.body.split(b"\n\n")[:-2]
    return said(client, Answer(answer.status, answer.headers, b"\n\n".join([*frames, b""])))


@CROSS
async def test_an_adapters_last_words_stand_before_the_finish(staged: House, client: str, vendor: str) -> None:
    await furnish(staged, "last")
    answer = await told(staged, client, SPOKEN[vendor])
    assert said(client, answer) == "one two[last]"
    finish = b'"finish_reason":"stop"' if client == "chat" else b"event: message_delta"
    assert answer.body.count(finish) == 1 and answer.body.index(b"[last]") < answer.body.index(finish)


# Vendors that never tell a finish.


@pytest.mark.parametrize("spoken", [True, False], ids=["behind text", "alone"])
async def test_a_call_without_id_and_arguments_is_told_whole(house: House, spoken: bool) -> None:
    await furnish(house, ends_without_finish=True)
    call = chunk(tool_calls=[{"index": 0, "type": "function", "function": {"name": "f"}}])
    answer = await told(house, "messages", [chunk(content="one "), call] if spoken else [call])
    assert (answer.status, calls("messages", answer)) == (200, [("f", "{}")])
    assert finishes("messages", answer) == ["tool_use"]
    assert answer.body.endswith(b'data: {"type":"message_stop"}\n\n')


async def test_a_call_whose_input_stands_in_its_start_is_told_whole(house: House) -> None:
    await furnish(house, ends_without_finish=True)
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    frames = [FRAMES["messages"][0], named("content_block_start", index=0, content_block=use)]
    answer = await told(house, "chat", frames)
    assert calls("chat", answer) == [("f", '{"a":1}')]
    assert finishes("chat", answer) == ["tool_calls"] and answer.body.endswith(b"data: [DONE]\n\n")


async def test_all_candidates_get_a_finish(house: House) -> None:
    await furnish(house, ends_without_finish=True, lane="translate")
    spoken = [
        b"data: %b\n\n" % json.dumps({"choices": [{"index": place, "delta": {"content": word}}]}).encode()
        for place, word in enumerate(("one", "two"))
    ]
    body = house.body("chat", house.play(Raw(200, SSE, spoken)), n=2, stream=True)
    answer = await house.ask("chat", body)
    ends = [
        (choice["index"], choice["finish_reason"])
        for _, data in shapes(answer)
        if isinstance(data, dict)
        for choice in data["choices"]
        if choice["finish_reason"]
    ]
    assert ends == [(0, "stop"), (1, "stop")]


@CROSS
async def test_nothing_at_all_is_still_no_answer(house: House, client: str, vendor: str) -> None:
    await furnish(house, ends_without_finish=True)
    answer = await told(house, client, FRAMES[vendor][:1])
    assert answer.status == 502 and "ended before the answer was complete" in answer.error["message"]


@CROSS
async def test_a_finish_is_evidence_enough_of_an_empty_answer(house: House, client: str, vendor: str) -> None:
    await furnish(house, ends_without_finish=True)
    frames = {"chat": [FRAMES["chat"][0], chunk("stop")], "messages": block(TEXT, [], "end_turn")[:-1]}[vendor]
    answer = await told(house, client, frames)
    assert (answer.status, said(client, answer)) == (200, "")
    assert finishes(client, answer) == ["stop" if client == "chat" else "end_turn"]


@CROSS
async def test_a_stream_that_began_and_shows_nothing_says_that_it_ended_early(
    house: House, client: str, vendor: str
) -> None:
    answer = await told(house, client, FRAMES[vendor][:1])
    message = f"{PROVIDERS[vendor]}: the stream ended before the answer was complete"
    assert (answer.status, answer.error["message"]) == (502, message)
    page = await told(house, client, [b"<html>"])
    assert (page.status, "holds no events of a stream" in page.error["message"]) == (502, True)


# Answers of which nothing can be told.


HOSTED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}


@pytest.mark.pitfall("C226")
@pytest.mark.parametrize("part", [HOSTED], ids=["hosted"])
async def test_a_stream_of_which_nothing_can_be_told_is_tried_with_another_key(
    house: House, part: dict[str, Any]
) -> None:
    await house.furnish(keys=2)
    nothing = Raw(200, SSE, [b"".join(block(part, [], "end_turn"))])
    answer = await crossed(house, "chat", house.play(nothing, Play("text")), stream=True)
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")
    assert said("chat", answer).startswith("Hello") and answer.body.count(b'"role":"assistant"') == 1
    assert house.used("messages") == [1, 2]


async def test_hosted_parts_alone_are_an_error_and_no_success(house: House) -> None:
    frames = block(HOSTED, [], "end_turn")
    answer = await paused(house, "chat", 2, frames, b'"role":"assistant"')
    assert last_error("chat", answer)["code"] == "answer_not_expressible"
    assert last_line(house).endswith(", answer_not_expressible") and doubted(house, "messages")
    assert b'"finish_reason":"' not in answer.body


@CROSS
async def test_a_finish_that_is_none_is_tried_with_another_key(staged: House, client: str, vendor: str) -> None:
    await furnish(staged, "unheard", keys=2)
    silent = {"chat": [chunk(reasoning_content=""), chunk("stop"), *DONE], "messages": block(TEXT, [], "end_turn")}
    model = staged.play(Raw(200, SSE, silent[vendor]))
    answer = await crossed(staged, client, model, stream=True)
    assert answer.status == 502 and "malformed" in answer.error["message"]
    assert set(staged.used(vendor)) == {1, 2}


@CROSS
async def test_behind_output_it_is_an_error_that_the_log_notes_and_no_success(
    staged: House, client: str, vendor: str
) -> None:
    await furnish(staged, "unheard")
    answer = await paused(staged, client, {"chat": 1, "messages": 3}[vendor], SPOKEN[vendor], b"one ")
    error = last_error(client, answer)
    assert "malformed" in error["message"] and said_before_error(client, answer).startswith("one ")
    line = last_line(staged)
    assert " 200 " in line and line.endswith(", answer_malformed")
    assert doubted(staged, vendor)


# Blocks that wait.


def ended(*indexes: int) -> list[bytes]:
    return [named("content_block_stop", index=index) for index in indexes]


#: Second blocks that begin while the first is open: each holds more than ten characters.
WAITING = {
    "text": part_at(1, TEXT, *[{"type": "text_delta", "text": "two "}] * 5),
    "reasoning": part_at(1, THINKING, *[{"type": "thinking_delta", "thinking": "two "}] * 5),
    "state": part_at(1, THINKING, {"type": "signature_delta", "signature": "c2ln" * 5}),
    "redacted": part_at(1, {"type": "redacted_thinking", "data": "c2ln" * 5}),
    "opaque": part_at(1, HOSTED),
    "opaque pieces": part_at(1, {"type": "x"}, *[{"type": "input_json_delta", "partial_json": '{"query"'}] * 2),
    "call": part_at(1, TOOL, {"type": "input_json_delta", "partial_json": '{"query":"x"}'}),
}


@pytest.mark.parametrize("what", WAITING)
@pytest.mark.parametrize("limit", [1_000, 10])
async def test_blocks_that_overlap_are_held_up_to_a_limit(
    house: House, monkeypatch: pytest.MonkeyPatch, limit: int, what: str
) -> None:
    monkeypatch.setattr(translated, "HELD_CHARACTERS", limit)
    begun = [FRAMES["messages"][0], *text_at(0, "one ")]
    frames = [*begun, *WAITING[what], *ended(0, 1), *FRAMES["messages"][-2:]]
    answer = await paused(house, "chat", len(begun), frames, b"one ")
    if limit == 10:
        assert last_error("chat", answer)["code"] == "too_large"
        assert said_before_error("chat", answer) == "one "
    else:
        assert said("chat", answer) == "one " + ("two " * 5 if what == "text" else "")
        assert len(finishes("chat", answer)) == 1


async def test_what_is_told_is_held_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translated, "HELD_CHARACTERS", 15)
    overlapping = [frame for place in range(1, 6) for frame in (*text_at(place, "a" * 10), *ended(place - 1))]
    frames = [FRAMES["messages"][0], *text_at(0, "one "), *overlapping, *ended(5), *FRAMES["messages"][-2:]]
    answer = await told(house, "chat", frames)
    assert said("chat", answer) == "one " + "a" * 50


#: A free-form tool of a chat client, which another vendor is told as a function.
CUSTOM = {"type": "custom", "custom": {"name": "f"}}


@pytest.mark.parametrize("limit", [30, 10])
async def test_inputs_of_emulated_tools_are_held_up_to_a_limit(
    house: House, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(translated, "HELD_CHARACTERS", limit)
    pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"input":"', "abc", "def", '"}')]
    used = [
        frame
        for place in range(3)
        for frame in (*part_at(place, {**TOOL, "id": f"toolu_{place}"}, *pieces), *ended(place))
    ]
    finish = {"stop_reason": "tool_use", "stop_sequence": None}
    last = named("message_delta", delta=finish, usage={"output_tokens": 3})
    frames = [FRAMES["messages"][0], *used, last, FRAMES["messages"][-1]]
    model = house.play(Raw(200, SSE, frames))
    answer = await crossed(house, "chat", model, stream=True, tools=[CUSTOM])
    if limit == 10:
        error = last_error("chat", answer) if answer.status == 200 else answer.error
        assert error["code"] == "too_large"
    else:
        assert calls("chat", answer) == [("f", '{"input":"abcdef"}')] * 3


# What adapters may not do, and what they cannot.


@CLIENTS
@pytest.mark.parametrize("gives", ["End", "Failed"])
@pytest.mark.parametrize("at", ["event", "end"])
async def test_an_adapter_that_ends_a_stream_fails_under_its_own_name(
    staged: House, client: str, gives: str, at: str
) -> None:
    await furnish(staged, {"forger": {"gives": gives, "at": at}})
    answer = await crossed(staged, client, staged.play(Play("text")), stream=True)
    assert f"adapter forger failed on the {at} (TypeError: gave list, not events" in answer.body.decode()
    assert "forged" not in answer.body.decode()


@pytest.mark.parametrize("client_asks", [False, True])
@pytest.mark.parametrize("adapter_says", [False, True])
async def test_usage_is_told_as_the_client_asked_whatever_adapters_do(
    staged: House, client_asks: bool, adapter_says: bool
) -> None:
    await furnish(staged, {"wordless": {"told": adapter_says}})
    more = {"stream_options": {"include_usage": True}} if client_asks else {}
    answer = await crossed(staged, "chat", staged.play(Play("text")), stream=True, **more)
    assert (b'"choices":[],"usage":{' in answer.body) is client_asks
    assert said("chat", answer).startswith("Hello")


@CROSS
async def test_an_error_in_reasoning_that_nobody_sees_is_tried_with_another_key(
    house: House, client: str, vendor: str
) -> None:
    config = {"timeouts": {"stream_heartbeat": 0.02}}  # tell that the frames so far were read
    await furnish(house, "strip_thinking", keys=2, config=config)
    begun = {"chat": [chunk(reasoning_content="hm")], "messages": block(THINKING, [hmm()], "")[:-3]}[vendor]
    gate = Gate()
    gate.release(len(begun))
    body = crossing(client, house.play(Raw(200, SSE, [*begun, IN_BAND[vendor]], gate), Play("text")), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(client, body) as reply:
        await reply.content.readexactly(8)
        gate.open()
        answer = Answer(reply.status, reply.headers, (await reply.read()).lstrip(b"\n"))
    assert said(client, answer).startswith("Hello") and b"hm" not in answer.body
    assert house.used(vendor) == [1, 2] and b"rror" not in answer.body
