"""What a Messages stream tells beside its blocks: usage, finish, errors, the end.  Source: protocols.md 4.5, 4.8."""

from __future__ import annotations

import pytest

from rotator.neutral.error import ErrorKind
from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    End,
    Failed,
    Finished,
    Start,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.response import Finish
from rotator.neutral.usage import Usage
from tests.protocols.messages.frames import (
    BEGUN,
    OVER,
    PING,
    SEARCH,
    STOP,
    TEXT,
    USE,
    Frame,
    begin,
    ends,
    error,
    read,
    start,
    stop,
    words,
)


def test_what_only_messages_knows_is_kept_where_start_can_hold_it() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1, "service_tier": "standard", "server_tool_use": {"n": 1}}
    container = {"id": "container_1"}
    events = read(begin(usage, container=container, diagnostics=None))
    rest = {"container": container, "usage": {"server_tool_use": {"n": 1}}}
    assert events == [BEGUN._replace(tier="standard", rest=rest), UsageSeen(Usage(5, output_text=1))]


def test_what_comes_too_late_for_start_comes_with_the_finish() -> None:
    """In several frames, as often as it changes."""
    details = {"type": "refusal", "category": None, "fallback": "m2"}
    late = ends("refusal", {"output_tokens": 2, "server_tool_use": {}, "iterations": []}, stop_details=details)
    late |= {"context_management": {"applied_edits": []}, "nothing": None}
    late["delta"] |= {"container": {"id": "container_1"}}
    again = {"type": "message_delta", "delta": {}, "usage": {"server_tool_use": {"web_search_requests": 1}}}
    events = read(begin({"input_tokens": 1, "iterations": [7]}), late, again, STOP)
    finished = next(event for event in events if isinstance(event, Finished))
    assert finished.rest == {
        "context_management": {"applied_edits": []},
        "container": {"id": "container_1"},
        "stop_details": {"fallback": "m2"},
        "usage": {"iterations": [7], "server_tool_use": {"web_search_requests": 1}},
    }


def test_what_start_told_is_not_told_again() -> None:
    usage = {"input_tokens": 5, "server_tool_use": {"n": 1}}
    events = read(begin(usage, container={"id": "c"}), ends("end_turn", {**usage, "output_tokens": 2}), STOP)
    assert next(event for event in events if isinstance(event, Finished)).rest == {}


def test_what_start_told_already_is_not_set_aside() -> None:
    notes: list[Note] = []
    details = {"type": "refusal", "category": None, "explanation": None}
    usage = {"output_tokens": 2, "inference_geo": "x", "service_tier": "standard"}
    read(begin(usage), ends("refusal", usage, stop_details=details), STOP, ledger=Ledger(notes))
    assert notes == []


@pytest.mark.pitfall("P-43")
def test_usage_is_merged_field_by_field() -> None:
    """message_start tells the input, message_delta what came of it; null and absent ones keep (P-43)."""
    first = {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 1}
    last = {"input_tokens": None, "cache_read_input_tokens": 0, "output_tokens": 50}
    events = read(begin(first), ends(usage=last), STOP)
    assert [event.usage for event in events if isinstance(event, UsageSeen)] == [
        Usage(30, 60, 10, 1), Usage(30, 60, 10, 50)
    ]


@pytest.mark.pitfall("C224")
def test_usage_may_come_late_and_more_than_once() -> None:
    events = read(begin(), ends(usage={"output_tokens": 2}), ends(usage={"input_tokens": 7, "output_tokens": 3}), STOP)
    assert events == [
        BEGUN, UsageSeen(Usage(output_text=2)), UsageSeen(Usage(7, output_text=3)), *OVER
    ]


def test_no_usage_is_not_told() -> None:
    assert read(begin(), ends(), ends(usage=7), STOP) == [BEGUN, *OVER]


#: message_delta frames -> the finish.
FINISHES: dict[str, tuple[list[Frame], Finish]] = {
    "the last one counts": ([ends("max_tokens"), ends("end_turn")], Finish("stop", "end_turn")),
    "null keeps": ([ends("max_tokens"), ends(None)], Finish("length", "max_tokens")),
    "no delta": ([ends("max_tokens"), {"type": "message_delta"}], Finish("length", "max_tokens")),
    "stop sequence": (
        [ends("stop_sequence", stop_sequence="END")], Finish("stop_sequence", "stop_sequence", "END")
    ),
    "refusal": (
        [ends("refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "No."})],
        Finish("refusal", "refusal", None, "bio", "No."),
    ),
    "tools of the server's only": ([start(0, **SEARCH), stop(0), ends("tool_use")], Finish("stop", "tool_use")),
    "a call": ([start(0, **USE), stop(0), ends("tool_use")], Finish("tool_calls", "tool_use")),
}


@pytest.mark.pitfall("P-15", "C18")
@pytest.mark.parametrize("name", FINISHES)
def test_the_finish_is_told_once_at_the_end(name: str) -> None:
    frames, finish = FINISHES[name]
    assert read(begin(), *frames, STOP)[-2:] == [Finished(finish), End()]
    assert read(begin(), *frames, ended=True)[-2:] == [Finished(finish), End()]


@pytest.mark.parametrize(("blocks", "finish"), [
    ([words(0, "a")], Finish("stop")), ([start(0, **USE)], Finish("tool_calls")),
])  # fmt: skip
def test_a_stop_without_a_reason_is_inferred(blocks: list[Frame], finish: Finish) -> None:
    notes: list[Note] = []
    events = read(begin(), *blocks, STOP, ledger=Ledger(notes))
    assert events[-2:] == [Finished(finish), End()]
    assert notes == [Note("messages.reader.finish", "finish.inferred")]


def test_open_blocks_end_with_the_message() -> None:
    frames = [begin(), start(0, type="text", text=""), words(0, "a"), start(1, **USE, input={"q": 1}), ends()]
    closing = [BlockEnd(0), ArgumentsDelta(1, '{"q":1}'), BlockEnd(1), *OVER]
    assert read(*frames, STOP)[-5:] == closing
    assert read(*frames, ended=True)[-5:] == closing


def test_a_stream_that_breaks_off_has_no_end() -> None:
    frames = [begin(), start(0, type="text", text=""), words(0, "a"), stop(0), ends(None)]
    assert read(*frames, ended=True) == [BEGUN, TEXT, TextDelta(0, "a"), BlockEnd(0)]
    assert read(ended=True) == []


def test_nothing_is_read_behind_the_end() -> None:
    frames = [begin(), start(0, type="text", text=""), words(0, "a"), stop(0), ends(), STOP]
    behind = [words(0, "b"), start(1, type="text", text="c"), ends("max_tokens"), STOP, PING, begin(), error("x")]
    assert read(*frames, *behind, ended=True) == read(*frames)


@pytest.mark.parametrize(("frame", "kind", "status", "message"), [
    (error("overloaded_error"), ErrorKind.OVERLOADED, 529, "m"),
    (error("rate_limit_error"), ErrorKind.RATE_LIMITED, 429, "m"),
    (error("api_error"), ErrorKind.SERVER, 500, "m"),
    (error("timeout_error"), ErrorKind.UPSTREAM_TIMEOUT, 504, "m"),
    (error("odd", None), ErrorKind.SERVER, 500, "odd"),
    ({"error": {"message": "no type"}}, ErrorKind.SERVER, 500, "no type"),
    ({"type": "error", "error": "words"}, ErrorKind.SERVER, 500, "words"),
])  # fmt: skip
def test_an_error_ends_the_answer(frame: Frame, kind: ErrorKind, status: int, message: str) -> None:
    before = [begin(), start(0, type="text", text=""), words(0, "a")]
    events = read(*before, frame, words(0, "b"), ends(), STOP, ended=True)
    assert events[:-1] == read(*before)
    assert isinstance(events[-1], Failed)
    found = events[-1].error
    assert (found.kind, found.status, found.message, found.protocol) == (kind, status, message, "messages")


def test_an_error_may_come_first() -> None:
    events = read(error("overloaded_error"), begin())
    assert events[:-1] == [Start("messages")]
    assert isinstance(events[-1], Failed)


def test_a_stream_without_message_start_begins_all_the_same() -> None:
    assert read(PING, words(0, "a"), stop(0), ends(), STOP) == [
        Start("messages"), TEXT, TextDelta(0, "a"), BlockEnd(0), *OVER
    ]
    assert read(STOP) == [Start("messages"), Finished(Finish("stop")), End()]
    assert read({"type": "message_start", "message": None}) == [Start("messages")]


