"""The laws of a stream, each one kept and broken; what a stream means as a whole."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings

from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.events import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
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
from rotator.neutral.parts import (
    Citation,
    Logprob,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
)
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from tests.neutral.laws import EVENTS, FITTING, check_laws, fold
from tests.neutral.strategies import broken_streams, streams

START, STOP = Start("chat"), Finish("stop", "stop")
FAILED = Failed(error_of(ErrorKind.OVERLOADED, "Too much."))
TEXT, CALL, THINKING = BlockStart(0, Text("")), BlockStart(1, ToolCall("c", "run")), BlockStart(2, Reasoning())
WHOLE: list[Event] = [START, TEXT, TextDelta(0, "Hi"), BlockEnd(0), Finished(STOP), End()]

#: What is behind Start and before an End (some have their own) -> what is said of it.
BROKEN: dict[str, tuple[list[Any], list[str]]] = {
    "start again": ([START, Finished(STOP), End()], ["law 1: event 1: Start again"]),
    "behind the end": ([Finished(STOP), End(), Beat()], ["law 1: event 3: Beat behind the end"]),
    "two ends": ([Finished(STOP), End(), FAILED], ["law 1: event 3: Failed behind the end"]),
    "no end": ([Finished(STOP)], ["law 1: event 2: neither End nor Failed"]),
    "no event": (["text", FAILED], ["law 0: event 1: 'text' is no event"]),
    "a number twice": (
        [TEXT, BlockEnd(0), TEXT, BlockEnd(0), Finished(STOP), End()], ["law 2: event 3: block 0 begins again"],
    ),
    "never begun": ([TextDelta(7, "x"), FAILED], ["law 2: event 1: TextDelta for block 7, which is not open"]),
    "ended twice": (
        [TEXT, BlockEnd(0), BlockEnd(0), FAILED], ["law 2: event 3: BlockEnd for block 0, which is not open"],
    ),
    "behind its end": (
        [TEXT, BlockEnd(0), Cited(0, Citation("web")), FAILED],
        ["law 2: event 3: Cited for block 0, which is not open"],
    ),
    "words of another kind": (
        [TEXT, ArgumentsDelta(0, "{"), FAILED], ["law 2: event 2: ArgumentsDelta for block 0, a Text"],
    ),
    "open at the end": (
        [TEXT, End()], ["law 2: event 2: block 0 is open at the End",
                        "law 7: event 2: End, but candidate 0 has no finish", "law 7: event 2: End without any finish"],
    ),
    "text at once": ([BlockStart(0, Text("x")), FAILED], ["law 3: event 1: block 0 begins with words"]),
    "refusal at once": ([BlockStart(0, Refusal("x")), FAILED], ["law 3: event 1: block 0 begins with words"]),
    "logprobs at once": (
        [BlockStart(0, Text("", logprobs=(Logprob("x", 0.0),))), FAILED], ["law 3: event 1: block 0 begins with words"],
    ),
    "arguments at once": (
        [BlockStart(0, ToolCall("c", "run", "{}")), FAILED], ["law 3: event 1: block 0 begins with words"],
    ),
    "thoughts at once": (
        [BlockStart(0, Reasoning((Thought("x"),))), FAILED], ["law 3: event 1: block 0 begins with words"],
    ),
    "thoughts backwards": (
        [THINKING, ReasoningDelta(2, "b", thought=1), ReasoningDelta(2, "a"), FAILED],
        ["law 3: event 3: thought 0 of block 2 after thought 1"],
    ),
    "a thought of two forms": (
        [THINKING, ReasoningDelta(2, "a"), ReasoningDelta(2, "b", "summary"), FAILED],
        ["law 3: event 3: thought 0 of block 2 is raw and summary"],
    ),
    "usage forgotten": (
        [UsageSeen(Usage(3, output_text=2)), UsageSeen(Usage(output_text=4)), FAILED],
        ["law 4: event 2: input_total was 3 and is 0"],
    ),
    "output forgotten": (
        [UsageSeen(Usage(3, output_reasoning=2)), UsageSeen(Usage(3)), FAILED],
        ["law 4: event 2: output_total was 2 and is 0"],
    ),
    "finished twice": (
        [Finished(STOP), Finished(STOP), End()], ["law 5: event 2: candidate 0 is complete again"],
    ),
    "finished while open": (
        [TEXT, Finished(STOP), BlockEnd(0), End()], ["law 5: event 2: candidate 0 is complete, but block 0 is open"],
    ),
    "begun when finished": (
        [Finished(STOP), TEXT, BlockEnd(0), End()], ["law 5: event 2: block 0 begins, but candidate 0 is complete"],
    ),
    "nothing finished": ([End()], ["law 7: event 1: End without any finish"]),
    "one not finished": (
        [BlockStart(4, Text(""), 1), BlockEnd(4), Finished(STOP), End()],
        ["law 7: event 4: End, but candidate 1 has no finish"],
    ),
}


@pytest.mark.parametrize(("events", "said"), BROKEN.values(), ids=BROKEN)
def test_each_broken_law_is_found(events: list[Any], said: list[str]) -> None:
    assert check_laws([START, *events]) == said


def test_a_stream_begins_with_start() -> None:
    assert check_laws([Beat(), *WHOLE]) == ["law 1: event 0: Beat before Start", "law 1: event 1: Start again"]
    assert check_laws([]) == ["law 1: event 0: neither End nor Failed"] and check_laws([], cut=True) == []


def test_overlapping_blocks_break_the_law_of_writers_only() -> None:
    beside = [START, TEXT, CALL, BlockEnd(0), BlockEnd(1), Finished(STOP), End()]
    other = [START, TEXT, BlockStart(1, Text(""), 1), BlockEnd(0), BlockEnd(1), FAILED]
    assert check_laws(beside) == check_laws(other, serial=True) == []
    assert check_laws(beside, serial=True) == ["law 6: event 2: block 1 begins beside block 0"]


def test_every_event_has_its_law() -> None:
    """A new event must be placed here and in fold."""
    assert set(EVENTS) == set(get_args(Event))
    free = {Start, BlockStart, UsageSeen, Finished, Failed, End, Beat}
    assert free | FITTING.keys() == set(EVENTS) and not free & FITTING.keys()


@settings(max_examples=60)
@given(streams())
def test_made_streams_are_lawful(events: list[Event]) -> None:
    assert check_laws(events) == []


@settings(max_examples=60)
@given(streams(overlapping=False, candidates=2, kinds=("text", "call")))
def test_made_streams_for_writers_are_serial(events: list[Event]) -> None:
    assert check_laws(events, serial=True) == []
    assert {type(event.part) for event in events if isinstance(event, BlockStart)} <= {Text, ToolCall}
    assert max((event.candidate for event in events if isinstance(event, BlockStart)), default=0) < 2


@settings(max_examples=60)
@given(broken_streams())
def test_made_streams_that_break_off_keep_the_laws_so_far(events: list[Event]) -> None:
    assert check_laws(events, cut=True) == []
    assert not any(isinstance(event, End) for event in events)


#: A block's events -> the part that they mean.
MEANT: dict[str, tuple[Any, list[Any], Any]] = {
    "nothing": (Text("", rest={"a": 1}), [], Text("", rest={"a": 1})),
    "text": (Text(""), [TextDelta(0, "a"), TextDelta(0, "b")], Text("ab")),
    "text with all": (
        Text(""),
        [TextDelta(0, "a", (Logprob("a", -1.0),)), Cited(0, Citation("web", "u")),
         StateSeen(0, State("signature", "1")), TextDelta(0, "b", (Logprob("b", -2.0),)),
         Cited(0, Citation("web", "v")), StateSeen(0, State("signature", "2"))],
        Text("ab", (Citation("web", "u"), Citation("web", "v")), (Logprob("a", -1.0), Logprob("b", -2.0)),
             state=State("signature", "2")),
    ),
    "refusal": (
        Refusal(""), [RefusalDelta(0, "N", (Logprob("N", -1.0),)), RefusalDelta(0, "o")],
        Refusal("No", (Logprob("N", -1.0),)),
    ),
    "call": (
        ToolCall("c", "run", namespace="crm"), [ArgumentsDelta(0, '{"a"'), ArgumentsDelta(0, ":1}")],
        ToolCall("c", "run", '{"a":1}', namespace="crm"),
    ),
    "thoughts": (
        Reasoning(item_id="r"),
        [ReasoningDelta(0, "a"), ReasoningDelta(0, "b"), ReasoningDelta(0, "c", "summary", 1),
         ReasoningDelta(0, "", "summary", 2), ReasoningDelta(0, "d", "summary", 5),
         StateSeen(0, State("encrypted", "e"))],
        Reasoning((Thought("ab"), Thought("c", "summary"), Thought("d", "summary")), State("encrypted", "e"), "r"),
    ),
    "redacted": (
        Reasoning(), [StateSeen(0, State("redacted", "r"))], Reasoning(state=State("redacted", "r")),
    ),
    "a medium": (Media("image", Source("url", "u")), [], Media("image", Source("url", "u"))),
    "a medium in pieces": (
        Media("audio", Source("base64", "AA")),
        [MediaDelta(0, "BB"), MediaDelta(0, transcript="Hi"), MediaDelta(0, "CC", "!")],
        Media("audio", Source("base64", "AABBCC"), transcript="Hi!"),
    ),
    "opaque": (Opaque("m", "t", {"a": 1}), [], Opaque("m", "t", {"a": 1})),
    "opaque in pieces": (
        Opaque("m", "t", {"a": 1}), [OpaqueDelta(0, "x"), OpaqueDelta(0, [2])], Opaque("m", "t", [{"a": 1}, "x", [2]]),
    ),
}


@pytest.mark.parametrize(("part", "events", "meant"), MEANT.values(), ids=MEANT)
def test_the_pieces_of_a_block_are_its_part(part: Any, events: list[Any], meant: Any) -> None:
    stream = [START, BlockStart(0, part), *events, BlockEnd(0), Finished(STOP), End()]
    assert check_laws(stream) == []
    assert fold(stream).candidates == (Candidate((meant,), STOP),)
    assert fold(stream[:-3]).candidates == (Candidate((meant,), None),)


def test_a_stream_means_a_whole_answer() -> None:
    """Parts by their starts, candidates by their index, the last usage, the start's own words."""
    stream: list[Event] = [
        Start("gemini", "id-1", "m", 17, "flex", {"a": 1}), UsageSeen(Usage(5)),
        BlockStart(9, Text(""), 1), BlockStart(3, ToolCall("c", "run")), BlockStart(8, Text("")), TextDelta(9, "one"),
        BlockEnd(9), BlockEnd(8), Finished(Finish("length", "MAX_TOKENS"), 1), Beat(), ArgumentsDelta(3, "{}"),
        BlockEnd(3), Finished(STOP), UsageSeen(Usage(5, output_text=2)), End(),
    ]
    assert check_laws(stream) == []
    assert fold(stream) == Response(
        "gemini", "id-1", "m",
        (Candidate((ToolCall("c", "run", "{}"), Text("")), STOP, 0),
         Candidate((Text("one"),), Finish("length", "MAX_TOKENS"), 1)),
        Usage(5, output_text=2), 17, "flex", {"a": 1},
    )


def test_a_protocol_may_say_what_its_opaque_pieces_make() -> None:
    began = BlockStart(0, Opaque("m", "t", "a"))
    stream: list[Event] = [START, began, OpaqueDelta(0, "b"), OpaqueDelta(0, "c"), FAILED]
    [candidate] = fold(stream, lambda part, pieces: Opaque("m", "t", part.data + "".join(pieces))).candidates
    assert candidate.parts == (Opaque("m", "t", "abc"),)


def test_a_stream_without_a_start_means_nothing() -> None:
    with pytest.raises(ValueError, match="without Start"):
        fold([Beat(), FAILED])
