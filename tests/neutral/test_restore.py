"""Tools come back under the client's own names and in its own kinds, in whole answers and in streams."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.neutral.codec import ToolName
from rotator.neutral.events import ArgumentsDelta, BlockEnd, BlockStart, Event, StateSeen, TextDelta
from rotator.neutral.parts import CacheMark, State, Text, ToolCall
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.restore import Restoring, restored, restored_call, unwrapped_input, wrapped_input
from tests.neutral.laws import check_laws, fold
from tests.neutral.strategies import broken_streams, streams

#: The wire's names -> the client's.
NAMES = {
    "look_up": ToolName("look.up"),
    "run": ToolName("run", "custom"),
    "mcp__files__read": ToolName("read", namespace="files"),
    "crm__note": ToolName("note", "custom", "crm"),
}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"ls -l"}', "ls -l"),
        (' {"input" : ""} ', ""),
        ('{"input":"a\\n\\"b\\" \\u00e9"}', 'a\n"b" é'),
        ('{"why":1,"input":"ls"}', "ls"),
        ("", ""),
        ("ls -l", "ls -l"),
        ('{"input":"ls', '{"input":"ls'),
        ("{}", "{}"),
        ('{"input":1}', '{"input":1}'),
        ('{"input":null}', '{"input":null}'),
        ('["input"]', '["input"]'),
        ('"ls"', '"ls"'),
        # Pieces of an escaped character that came as halves, and one half alone.
        ('{"input":"\ud83d\ude42"}', "\U0001f642"),
        ('{"input":"\ud83d"}', "\ud83d"),
        ("\ud83d", "\ud83d"),
    ],
)
def test_the_input_of_an_emulated_tool(arguments: str, text: str) -> None:
    """What is not its one argument is what the model wrote instead, and stays."""
    assert unwrapped_input(arguments) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_input_that_was_wrapped_comes_back(text: str) -> None:
    assert unwrapped_input(wrapped_input(text)) == text


def test_wrapped_input_is_one_json_text() -> None:
    assert wrapped_input('a "b"\né') == '{"input":"a \\"b\\"\\né"}'
    assert wrapped_input("\ud83d") == '{"input":"\\ud83d"}'


CALLS = {
    "renamed": (ToolCall("c", "look_up", '{"input":"x"}'), ToolCall("c", "look.up", '{"input":"x"}')),
    "unknown": (ToolCall("c", "other", '{"input":"x"}'), ToolCall("c", "other", '{"input":"x"}')),
    "in a namespace": (
        ToolCall("c", "mcp__files__read", "{}"), ToolCall("c", "read", "{}", namespace="files"),
    ),
    "emulated": (ToolCall("c", "run", '{"input":"ls"}'), ToolCall("c", "run", "ls", "custom")),
    "emulated in a namespace": (
        ToolCall("c", "crm__note", '{"input":"ls"}'), ToolCall("c", "note", "ls", "custom", "crm"),
    ),
    "custom on the wire": (
        ToolCall("c", "crm__note", '{"input":"ls"}', "custom"),
        ToolCall("c", "note", '{"input":"ls"}', "custom", "crm"),
    ),
    "custom, only renamed": (
        ToolCall("c", "look_up", "free text", "custom"), ToolCall("c", "look.up", "free text", "custom"),
    ),
    "a vendor's own tool": (ToolCall("c", "run", "{}", "builtin"), ToolCall("c", "run", "{}", "builtin")),
}


@pytest.mark.parametrize(("call", "own"), CALLS.values(), ids=CALLS)
def test_a_call_is_one_of_the_clients_tools(call: ToolCall, own: ToolCall) -> None:
    assert restored_call(call, NAMES) == own
    begun = BlockStart(4, replace(call, arguments=""), 1)
    pieces = [ArgumentsDelta(4, piece) for piece in (call.arguments[:2], call.arguments[2:])]
    events: list[Event] = [begun, *pieces, BlockEnd(4)]
    shown = Restoring(NAMES).events(events)
    assert shown[0] == BlockStart(4, replace(own, arguments=""), 1) and shown[-1] == BlockEnd(4)
    assert shown[1:-1] == ([ArgumentsDelta(4, own.arguments)] if own.kind != call.kind else pieces)


def test_everything_else_of_a_call_stays() -> None:
    call = ToolCall("c", "run", '{"input":"ls"}', item_id="fc_1", cache=CacheMark("1h"), state=State("signature", "s"),
                    at=("content", 0), rest={"caller": 1})
    own = restored_call(call, NAMES)
    assert own == replace(call, kind="custom", arguments="ls") and own.at == ("content", 0)


def test_a_whole_answer() -> None:
    """All calls of all candidates; the answer that was given is not changed."""
    wire, own = ToolCall("a", "run", '{"input":"ls"}'), ToolCall("a", "run", "ls", "custom")
    stop = Finish("tool_calls")
    candidates = (Candidate((Text("run"), wire), stop, rest={"a": 1}), Candidate((wire,), stop, 1))
    answer = Response("chat", "id", "m", candidates)
    back = restored(answer, NAMES)
    assert back.candidates == (Candidate((Text("run"), own), stop, rest={"a": 1}), Candidate((own,), stop, 1))
    assert back == replace(answer, candidates=back.candidates)
    assert answer.candidates[0].parts == (Text("run"), wire)


@settings(max_examples=80)
@given(streams(), st.integers(1, 4))
def test_a_stream_means_the_whole_answer_restored(events: list[Event], size: int) -> None:
    restoring = Restoring(NAMES)
    shown = [one for start in range(0, len(events), size) for one in restoring.events(events[start : start + size])]
    assert check_laws(shown) == []
    assert fold(shown) == restored(fold(events), NAMES)


@settings(max_examples=100)
@given(broken_streams())
def test_only_the_input_of_emulated_tools_waits(events: list[Event]) -> None:
    emulated = {
        event.block for event in events
        if isinstance(event, BlockStart) and isinstance(event.part, ToolCall)
        and (event.part.name, event.part.kind) == ("run", "function")
    }
    restoring = Restoring(NAMES)
    for event in events:
        shown = restoring.events([event])
        if isinstance(event, BlockStart) and isinstance(event.part, ToolCall):
            assert shown == [event._replace(part=restored_call(event.part, NAMES))]
        elif getattr(event, "block", None) not in emulated or isinstance(event, StateSeen):
            assert shown == [event]
        elif isinstance(event, ArgumentsDelta):
            assert shown == []
        else:
            assert shown[-1:] == [event] and len(shown) <= 2


def test_two_emulated_calls_at_the_same_time() -> None:
    restoring = Restoring(NAMES)
    events: list[Event] = [
        BlockStart(1, ToolCall("a", "run")), ArgumentsDelta(1, '{"input":'), BlockStart(2, ToolCall("b", "run")),
        TextDelta(0, "beside"), ArgumentsDelta(2, '{"input":"two"}'), BlockEnd(2), ArgumentsDelta(1, '"one"}'),
    ]
    assert restoring.events(events) == [
        BlockStart(1, ToolCall("a", "run", kind="custom")), BlockStart(2, ToolCall("b", "run", kind="custom")),
        TextDelta(0, "beside"), ArgumentsDelta(2, "two"), BlockEnd(2),
    ]
    assert restoring.events([BlockEnd(1)]) == [ArgumentsDelta(1, "one"), BlockEnd(1)]


def test_an_emulated_call_without_input_has_no_piece() -> None:
    begun = BlockStart(1, ToolCall("a", "run"))
    own = BlockStart(1, ToolCall("a", "run", kind="custom"))
    assert Restoring(NAMES).events([begun, BlockEnd(1)]) == [own, BlockEnd(1)]
    told: list[Event] = [begun, ArgumentsDelta(1, '{"input":""}'), BlockEnd(1)]
    assert Restoring(NAMES).events(told) == [own, BlockEnd(1)]
