"""A stream that is put together is the whole answer (protocols.md 9.2, T-11), whatever the answer holds."""

from __future__ import annotations

import json
from typing import Any, get_args

from anthropic.types import StopReason
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.errors import UpstreamFailed
from rotator.neutral.events import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Citation, Logprob, Media, Opaque, Reasoning, Refusal, Source, State, Text, ToolCall
from rotator.neutral.response import Finish, Reason
from rotator.neutral.usage import Usage
from tests.protocols.messages.folding import check_message, check_stream, fold, frames_of, module, sdk_message, tidy
from tests.protocols.messages.streams import IDS, REQUEST, lost, write

response: Any = module("response")

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = st.text("abc_-9:", min_size=1, max_size=5)
STATES = st.sampled_from([State("signature", "c2ln"), State("encrypted", "ZW5j")])
RESTS = st.just({}) | st.just({"x": 1})
KINDS, PAGES = st.sampled_from(["web", "document"]), st.sampled_from(["", "https://page.example"])
CITATIONS = st.tuples(KINDS, PAGES, WORDS, WORDS).map(lambda members: Citation(*members))
VALUES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
OBJECTS = st.dictionaries(WORDS, VALUES | WORDS | st.lists(WORDS, max_size=2), max_size=3)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text in pieces, some of them empty."""
    borders = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *borders], [*borders, len(text)], strict=True)]


@st.composite
def text_block(draw: st.DrawFn, block: int) -> list[Event]:
    logprobs = draw(st.just(()) | st.just((Logprob("a", -0.5),)))
    pieces: list[Event] = [TextDelta(block, piece, logprobs) for piece in draw(cut(draw(WORDS)))]
    cited = [Cited(block, citation) for citation in draw(st.lists(CITATIONS, max_size=2))]
    middle = [*cited, *pieces] if draw(st.booleans()) else [*pieces, *cited]
    state = [StateSeen(block, draw(STATES))] if draw(st.integers(0, 4)) == 0 else []
    return [BlockStart(block, Text("", rest=draw(RESTS))), *middle, *state]


@st.composite
def refusal_block(draw: st.DrawFn, block: int) -> list[Event]:
    return [BlockStart(block, Refusal("")), *(RefusalDelta(block, piece) for piece in draw(cut(draw(WORDS))))]


@st.composite
def reasoning_block(draw: st.DrawFn, block: int) -> list[Event]:
    events: list[Event] = [BlockStart(block, Reasoning(rest=draw(RESTS)))]
    for number, words in enumerate(draw(st.lists(WORDS, max_size=3))):
        events += (ReasoningDelta(block, piece, "summary", number) for piece in draw(cut(words)))
    return [*events, *(StateSeen(block, state) for state in draw(st.lists(STATES, max_size=2)))]


@st.composite
def hidden_block(draw: st.DrawFn, block: int) -> list[Event]:
    state = State("redacted", "aGlk")
    return [BlockStart(block, Reasoning(state=state, rest=draw(RESTS))), StateSeen(block, state)]


@st.composite
def call_block(draw: st.DrawFn, block: int) -> list[Event]:
    kind = draw(st.sampled_from(["function", "custom"]))
    indent = draw(st.sampled_from([None, 1]))
    written = draw(WORDS) if kind == "custom" else json.dumps(draw(OBJECTS), indent=indent, ensure_ascii=False)
    if written == "{}":
        written = draw(st.sampled_from(["", "{}"]))
    call = ToolCall(draw(NAMES), draw(NAMES), kind=kind, rest=draw(RESTS))  # type: ignore[arg-type]
    return [BlockStart(block, call), *(ArgumentsDelta(block, piece) for piece in draw(cut(written)))]


@st.composite
def media_block(draw: st.DrawFn, block: int) -> list[Event]:
    pieces = [MediaDelta(block, "AAAA", piece) for piece in draw(cut(draw(WORDS)))]
    return [BlockStart(block, Media("audio", Source("base64"))), *pieces]


@st.composite
def hosted_block(draw: st.DrawFn, block: int) -> list[Event]:
    data = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    part = Opaque(draw(st.sampled_from(["messages", "responses"])), "server_tool_use", data, "hosted")
    pieces = draw(cut(json.dumps(draw(OBJECTS))))
    deltas = [OpaqueDelta(block, {"type": "input_json_delta", "partial_json": piece}) for piece in pieces]
    return [BlockStart(block, part), *deltas]


BLOCKS = (text_block, refusal_block, reasoning_block, hidden_block, call_block, media_block, hosted_block)
FINISHES = st.tuples(
    st.sampled_from(get_args(Reason)),
    st.sampled_from(["", "end_turn", "tool_use", "refusal", "OWN"]),
    st.none() | st.just("END"),
    st.none() | st.just("cyber"),
    st.none() | WORDS,
).map(lambda members: Finish(*members))
#: What the published schema has; it lacks a beta's ``compaction``, and words of tomorrow.
KNOWN = get_args(StopReason)
COUNTS = st.integers(0, 1000)
USAGES = st.builds(Usage, COUNTS, COUNTS, st.integers(9, 99), COUNTS, COUNTS, COUNTS)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """The events of an answer of this protocol or another, with signs of life anywhere."""
    start = draw(st.sampled_from([Start("chat", "up", "m", 5, "default"), Start("messages", "msg_up", "m")]))
    events: list[Event] = [start._replace(rest=draw(RESTS))]
    usage = draw(USAGES)
    if draw(st.booleans()):
        usage = Usage(usage.input_fresh, cache_write=9, output_text=1, written_by_ttl=(("5m", 4), ("1h", 5)))
        events.append(UsageSeen(usage))
    for block, make in enumerate(draw(st.lists(st.sampled_from(BLOCKS), max_size=4))):
        events += [*draw(make(block)), BlockEnd(block)]
    last: list[Event] = [Finished(draw(FINISHES)), UsageSeen(usage)]
    events += draw(st.permutations(last))
    for place in draw(st.lists(st.integers(2, len(events)), max_size=2)):
        events.insert(place, Beat())
    return [*events, End()]


@settings(max_examples=400, deadline=None)
@given(answers())
def test_a_stream_put_together_is_the_whole_answer(events: list[Event]) -> None:
    streaming, whole = Ledger(), Ledger()
    stream = write(*events, ledger=streaming)
    assert stream == write(*events)
    try:
        message = response.build_response(fold(events), REQUEST, IDS, whole)
    except UpstreamFailed as failed:
        name, error = frames_of(stream)[-1]
        assert (name, error["error"]["message"]) == ("error", failed.error.message)
        return
    told = check_stream(stream, published=message["stop_reason"] in KNOWN)
    if message["stop_reason"] in KNOWN:
        check_message(message)
    assert tidy(sdk_message(told)) == tidy(message)
    assert sorted(set(lost(streaming))) == sorted(set(lost(whole)))
