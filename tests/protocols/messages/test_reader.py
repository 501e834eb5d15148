"""Messages streams of upstreams become neutral events.  Source: protocols.md 4.5, 4.8, 5.8."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.neutral.events import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    Event,
    Finished,
    OpaqueDelta,
    ReasoningDelta,
    StateSeen,
    TextDelta,
)
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Opaque, Reasoning, State, Text, ToolCall
from tests.protocols.messages.folding import fold, module
from tests.protocols.messages.frames import (
    BEGUN,
    CALL,
    CITATION,
    FOUND,
    OVER,
    PAGE,
    PING,
    SEARCH,
    STOP,
    TEXT,
    THINKING,
    USE,
    Frame,
    argues,
    begin,
    block_frames,
    delta,
    ends,
    error,
    read,
    start,
    stop,
    thinks,
    words,
)

response: Any = module("response")

#: Frames of one block and more -> their events.
BLOCKS: dict[str, tuple[list[Frame], list[Event]]] = {
    "text": (
        [start(0, type="text", text=""), words(0, "One, "), words(0, ""), words(0, "two."), stop(0)],
        [TEXT, TextDelta(0, "One, "), TextDelta(0, "two."), BlockEnd(0)],
    ),
    "text that stands in its start": (
        [start(0, type="text", text="One, "), words(0, "two."), stop(0)],
        [TEXT, TextDelta(0, "One, "), TextDelta(0, "two."), BlockEnd(0)],
    ),
    "an empty text": ([start(0, type="text", text=""), stop(0)], [TEXT, BlockEnd(0)]),
    "a text with more": (
        [start(0, type="text", text="", x=1), stop(0)], [BlockStart(0, Text("", rest={"x": 1})), BlockEnd(0)]
    ),
    "citations": (
        [
            start(0, type="text", text="", citations=[PAGE]),
            words(0, "So"),
            delta(0, "citations_delta", citation=PAGE),
            words(0, "."),
            delta(0, "citations_delta", citation=None),
            stop(0),
        ],
        [TEXT, Cited(0, CITATION), TextDelta(0, "So"), Cited(0, CITATION), TextDelta(0, "."), BlockEnd(0)],
    ),
    "thinking": (
        [
            start(0, type="thinking", thinking="", signature=""),
            thinks(0, "A "),
            thinks(0, "greeting."),
            delta(0, "signature_delta", signature=""),
            delta(0, "signature_delta", signature="c2ln"),
            stop(0),
        ],
        [
            THINKING,
            ReasoningDelta(0, "A "),
            ReasoningDelta(0, "greeting."),
            StateSeen(0, State("signature", "c2ln")),
            BlockEnd(0),
        ],
    ),
    "thinking that stands in its start": (
        [start(0, type="thinking", thinking="A", signature="c2ln"), stop(0)],
        [THINKING, ReasoningDelta(0, "A"), StateSeen(0, State("signature", "c2ln")), BlockEnd(0)],
    ),
    "redacted thinking": (
        [start(0, type="redacted_thinking", data="aGlk"), stop(0)],
        [
            BlockStart(0, Reasoning(state=State("redacted", "aGlk"))),
            StateSeen(0, State("redacted", "aGlk")),
            BlockEnd(0),
        ],
    ),
    "a call": (
        [start(0, **USE, input={}), argues(0, ""), argues(0, '{"q":'), argues(0, '"x"}'), stop(0)],
        [CALL, ArgumentsDelta(0, '{"q":'), ArgumentsDelta(0, '"x"}'), BlockEnd(0)],
    ),
    "a call whose input stands in its start": (
        [start(0, **USE, input={"q": "x"}), argues(0, ""), stop(0)],
        [CALL, ArgumentsDelta(0, '{"q":"x"}'), BlockEnd(0)],
    ),
    "a call whose pieces are better than its start": (
        [start(0, **USE, input={"q": "x"}), argues(0, '{"q":"y"}'), stop(0)],
        [CALL, ArgumentsDelta(0, '{"q":"y"}'), BlockEnd(0)],
    ),
    "a call without arguments": ([start(0, **USE, input={}), stop(0)], [CALL, ArgumentsDelta(0, "{}"), BlockEnd(0)]),
    "a call with more": (
        [start(0, **USE, caller={"type": "direct"}), argues(0, "{}"), stop(0)],
        [
            BlockStart(0, ToolCall("toolu_1", "lookup", rest={"caller": {"type": "direct"}})),
            ArgumentsDelta(0, "{}"),
            BlockEnd(0),
        ],
    ),
    "a server's tool": (
        [start(0, **SEARCH), argues(0, '{"query":"x"}'), stop(0), start(1, **FOUND), stop(1)],
        [
            BlockStart(0, Opaque("messages", "server_tool_use", SEARCH, "hosted")),
            OpaqueDelta(0, {"type": "input_json_delta", "partial_json": '{"query":"x"}'}),
            BlockEnd(0),
            BlockStart(1, Opaque("messages", "web_search_tool_result", FOUND, "hosted")),
            BlockEnd(1),
        ],
    ),
    "a block of tomorrow": (
        [start(0, type="hologram"), delta(0, "hologram_delta", x=1), stop(0)],
        [
            BlockStart(0, Opaque("messages", "hologram", {"type": "hologram"})),
            OpaqueDelta(0, {"type": "hologram_delta", "x": 1}),
            BlockEnd(0),
        ],
    ),
    "blocks one after the other": (
        [
            *(start(0, type="text", text=""), words(0, "a"), stop(0)),
            *(start(1, type="text", text=""), words(1, "b"), stop(1)),
        ],
        [TEXT, TextDelta(0, "a"), BlockEnd(0), BlockStart(1, Text("")), TextDelta(1, "b"), BlockEnd(1)],
    ),
    "blocks through each other": (
        [
            start(0, type="text", text=""),
            start(1, **USE),
            words(0, "a"),
            argues(1, "{"),
            words(0, "b"),
            argues(1, "}"),
            stop(1),
            stop(0),
        ],
        [
            TEXT,
            BlockStart(1, ToolCall("toolu_1", "lookup")),
            TextDelta(0, "a"),
            ArgumentsDelta(1, "{"),
            TextDelta(0, "b"),
            ArgumentsDelta(1, "}"),
            BlockEnd(1),
            BlockEnd(0),
        ],
    ),
    "an index twice, P-139": (
        [start(0, type="text", text=""), words(0, "a"), start(0, type="thinking"), thinks(0, "b"), stop(0)],
        [TEXT, TextDelta(0, "a"), BlockEnd(0), BlockStart(1, Reasoning()), ReasoningDelta(1, "b"), BlockEnd(1)],
    ),
    "pieces of another kind, P-137": (
        [start(0, type="text", text=""), words(0, "a"), thinks(0, "b"), words(0, "c"), stop(0)],
        [
            TEXT,
            TextDelta(0, "a"),
            BlockEnd(0),
            BlockStart(1, Reasoning()),
            ReasoningDelta(1, "b"),
            BlockEnd(1),
            BlockStart(2, Text("")),
            TextDelta(2, "c"),
            BlockEnd(2),
        ],
    ),
    "pieces without a start, P-138": ([words(-1, "a"), stop(-1)], [TEXT, TextDelta(0, "a"), BlockEnd(0)]),
    "a signature without a start": (
        [delta(0, "signature_delta", signature="c2ln"), stop(0)],
        [THINKING, StateSeen(0, State("signature", "c2ln")), BlockEnd(0)],
    ),
    "a citation without a start": (
        [delta(0, "citations_delta", citation=PAGE), stop(0)], [TEXT, Cited(0, CITATION), BlockEnd(0)]
    ),
    "pieces behind the stop": (
        [start(0, type="text", text=""), words(0, "a"), stop(0), words(0, "b"), stop(0)],
        [TEXT, TextDelta(0, "a"), BlockEnd(0), BlockStart(1, Text("")), TextDelta(1, "b"), BlockEnd(1)],
    ),
    "a stop of nothing": ([stop(0), stop(7)], []),
    "no index": (
        [{"type": "content_block_start", "content_block": {"type": "text"}},
         {"type": "content_block_delta", "index": None, "delta": {"type": "text_delta", "text": "a"}},
         {"type": "content_block_stop", "index": [0]}],
        [TEXT, TextDelta(0, "a"), BlockEnd(0)],
    ),
    "what is no block": (
        [start(0, type="text", text=""), {"type": "content_block_start", "index": 1, "content_block": "text"},
         {"type": "content_block_delta", "index": 0, "delta": "a"}, delta(0, "text_delta", text=7),
         delta(0, "text_delta"), stop(0)],
        [TEXT, BlockEnd(0)],
    ),
    "duplicates of message_start": (
        [start(0, type="text", text=""), begin({"input_tokens": 9}), words(0, "a"), stop(0)],
        [TEXT, TextDelta(0, "a"), BlockEnd(0)],
    ),
    "pings": ([PING, start(0, type="text", text=""), PING, stop(0)], [Beat(), TEXT, Beat(), BlockEnd(0)]),
    "events of tomorrow": ([{"type": "hologram"}, {"type": ["ping"]}, {}, {"type": None}], []),
}


@pytest.mark.pitfall("C160", "C217", "C254")
@pytest.mark.parametrize("name", BLOCKS)
def test_frames_become_events(name: str) -> None:
    frames, events = BLOCKS[name]
    ledger = Ledger()
    assert read(begin(), *frames, ends(), STOP, ledger=ledger) == [BEGUN, *events, *OVER]
    assert ledger.losses == []


#: Frames -> their events and losses.
LOST: dict[str, tuple[list[Frame], list[Event], list[Loss]]] = {
    "arguments of no call": (
        [argues(0, "{}")], [], [Loss("field.foreign", "content[0]", "input_json_delta")]
    ),
    "arguments of a text": (
        [start(0, type="text", text=""), argues(0, "{}"), words(0, "a"), stop(0)],
        [TEXT, TextDelta(0, "a"), BlockEnd(0)],
        [Loss("field.foreign", "content[0]", "input_json_delta")],
    ),
    "a piece of tomorrow": (
        [start(0, type="text", text=""), delta(0, "hologram_delta"), stop(0)],
        [TEXT, BlockEnd(0)],
        [Loss("field.foreign", "content[0]", "hologram_delta")],
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_pieces_that_belong_nowhere_are_a_loss(name: str) -> None:
    frames, events, losses = LOST[name]
    ledger = Ledger()
    assert read(begin(), *frames, ends(), STOP, ledger=ledger) == [BEGUN, *events, *OVER]
    assert ledger.losses == losses


# ---------------------------------------------------------------- whole and streamed


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SOME = st.text("ab\u4f60\U0001f680", min_size=1, max_size=4)
INPUTS = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, max_size=3)
CONTENT = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}, optional={"citations": st.just([PAGE])}),
        st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXTS, "signature": TEXTS}),
        st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": SOME}),
        st.fixed_dictionaries({"type": st.just("tool_use"), "id": SOME, "name": SOME, "input": INPUTS}),
        st.fixed_dictionaries({"type": st.just("server_tool_use"), "id": SOME, "name": SOME, "input": INPUTS}),
        st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "tool_use_id": SOME, "content": st.just([])}),
    ),
    max_size=5,
)
REASONS = st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn", "of_tomorrow"])
COUNTS = st.integers(1, 1000)


@settings(max_examples=200, deadline=None)
@given(content=CONTENT, reason=REASONS, counts=st.tuples(COUNTS, COUNTS, COUNTS), data=st.data())
def test_a_stream_says_what_the_whole_answer_says(
    content: list[Frame], reason: str, counts: tuple[int, int, int], data: st.DataObject
) -> None:
    fresh, cached, output = counts
    usage = {"input_tokens": fresh, "cache_read_input_tokens": cached, "output_tokens": output, "inference_geo": "x"}
    message = {"id": "msg_01", "model": "claude-x", "content": content, "stop_reason": reason, "usage": usage}
    frames = [begin({**usage, "output_tokens": 1}), PING]
    for index, block in enumerate(content):
        frames += block_frames(index, block, data.draw(st.lists(st.integers(0, 5), max_size=4)))
    events = read(*frames, ends(reason, {"output_tokens": output}), STOP)
    assert fold(events) == response.parse_response(message, Ledger())


INDEXES = st.integers(-1, 2)
FRAMES = st.one_of(
    st.just(STOP),
    st.just(PING),
    st.just(begin({"input_tokens": 1})),
    st.builds(ends, REASONS | st.none(), st.none() | st.just({"output_tokens": 1})),
    st.builds(start, INDEXES, type=st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "x"])),
    st.builds(words, INDEXES, TEXTS),
    st.builds(thinks, INDEXES, TEXTS),
    st.builds(argues, INDEXES, TEXTS),
    st.builds(delta, INDEXES, st.just("signature_delta"), signature=TEXTS),
    st.builds(delta, INDEXES, st.just("citations_delta"), citation=st.just(PAGE)),
    st.builds(stop, INDEXES),
    st.builds(error, st.just("api_error")),
    st.dictionaries(
        st.sampled_from(["type", "index", "delta", "content_block", "message", "usage", "error"]),
        st.none() | st.integers() | st.lists(st.integers(), max_size=1) | st.just({}) | st.sampled_from(
            ["content_block_start", "content_block_delta", "content_block_stop", "message_start", "message_delta"]
        ),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=14))
def test_whatever_comes_the_laws_are_kept(frames: list[Frame]) -> None:
    """T-20 and T-21: pieces before starts, twice the same, ends anywhere, members of any kind."""
    events = read(*frames, ended=True)
    assert all(event.candidate == 0 for event in events if isinstance(event, BlockStart | Finished))
