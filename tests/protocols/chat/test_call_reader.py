"""Tool calls as vendors stream them, and the events that they mean.  Source: protocols.md 4.3, 4.8, 5.4."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    End,
    Event,
    Finished,
    StateSeen,
)
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import (
    State,
    ToolCall,
)
from rotator.neutral.response import Finish
from rotator.neutral.serial import Serial
from tests.neutral.laws import check_laws, fold
from tests.protocols.chat.clients import codes, module
from tests.protocols.chat.streamed import (
    CALLED,
    call,
    calling,
    chunk,
    more,
    read,
    said,
    text,
)

made_id: Any = module("answer_parts").made_id

G0, G1 = made_id("c-1", 0, 0, "one"), made_id("c-1", 0, 1, "two")
CALLS: dict[str, tuple[list[Any], list[Event]]] = {
    "as OpenAI sends it": (
        [
            calling(more(0, "", "call_1", "one", type="function")),
            calling(more(0, '{"q":')),
            calling(more(0, "1}")),
        ],
        call(0, "call_1", "one", '{"q":', "1}"),
    ),
    "a text before it ends": (
        [{"content": "See:"}, calling(more(0, "{}", "call_1", "one"))],
        [*text(0, "See:"), *call(1, "call_1", "one", "{}")],
    ),
    "whole in one chunk (P-05)": ([calling(more(0, '{"q":1}', "call_1", "one"))], call(0, "call_1", "one", '{"q":1}')),
    "two in one chunk": (
        [calling(more(0, "{}", "call_1", "one"), more(1, "{}", "call_2", "two"))],
        [*call(0, "call_1", "one", "{}"), *call(1, "call_2", "two", "{}")],
    ),
    "name and id repeated, null, or no string (P-11)": (
        [
            calling(more(0, "", "call_1", "one")),
            calling(more(0, '{"q":', "call_1", "one")),
            calling(more(0, "1", "", "")),
            calling({"index": 0, "id": None, "function": {"name": None, "arguments": "}"}}),
            calling({"index": 0, "id": 7, "function": {"name": 7, "arguments": None}}),
        ],
        call(0, "call_1", "one", '{"q":', "1", "}"),
    ),
    "the name comes late": (
        [calling(more(0, '{"q":', "call_1")), calling(more(0, "1")), calling(more(0, "}", name="one"))],
        call(0, "call_1", "one", '{"q":1}'),
    ),
    "the id comes late": (
        [calling(more(0, "", name="one")), calling(more(0, "{}", "call_1"))],
        call(0, "call_1", "one", "{}"),
    ),
    "the id comes too late": (
        [calling(more(0, '{"q":', name="one")), calling(more(0, "1}", "call_1"))],
        call(0, G0, "one", '{"q":', "1}"),
    ),
    "no ids": (
        [calling(more(0, "{}", name="one"), more(1, "{}", name="two"))],
        [*call(0, G0, "one", "{}"), *call(1, G1, "two", "{}")],
    ),
    "no ids, no arguments": ([calling(more(0, name="one"))], call(0, G0, "one")),
    "all at index 0, told apart by id": (
        [
            calling(more(0, "{}", "call_1", "one")),
            calling(more(0, '{"q":', "call_2", "two")),
            calling(more(0, "1}")),
        ],
        [*call(0, "call_1", "one", "{}"), *call(1, "call_2", "two", '{"q":', "1}")],
    ),
    "all at index 0, in turn": (
        [
            calling(more(0, "{", "call_1", "one")),
            calling(more(0, "{", "call_2", "two")),
            calling(more(0, "}", "call_1")),
            calling(more(0, "}", "call_2")),
        ],
        [
            BlockStart(0, ToolCall("call_1", "one")),
            ArgumentsDelta(0, "{"),
            BlockStart(1, ToolCall("call_2", "two")),
            ArgumentsDelta(1, "{"),
            ArgumentsDelta(0, "}"),
            ArgumentsDelta(1, "}"),
            BlockEnd(0),
            BlockEnd(1),
        ],
    ),
    "whole ones without index and id": (
        [calling(more(None, {}, name="one")), calling(more(None, {"q": 1}, name="two"))],
        [*call(0, G0, "one", "{}"), *call(1, G1, "two", '{"q":1}')],
    ),
    "whole ones of one name without id": (
        [calling(more(0, {"q": 1}, name="one")), calling(more(0, {"q": 2}, name="one"))],
        [*call(0, G0, "one", '{"q":1}'), *call(1, made_id("c-1", 0, 1, "one"), "one", '{"q":2}')],
    ),
    "one id for two indexes": (
        [calling(more(0, "{}", "call", "one")), calling(more(1, "{}", "call", "two"))],
        [*call(0, "call", "one", "{}"), *call(1, "call", "two", "{}")],
    ),
    "interleaved: the first stays open until it is whole": (
        [
            calling(more(0, "", "call_1", "one")),
            calling(more(1, "", "call_2", "two")),
            calling(more(0, "{}")),
            calling(more(1, "{}")),
            calling(more(2, "{}", "call_3", "three")),
        ],
        [
            BlockStart(0, ToolCall("call_1", "one")),
            BlockStart(1, ToolCall("call_2", "two")),
            ArgumentsDelta(0, "{}"),
            ArgumentsDelta(1, "{}"),
            BlockEnd(0),
            BlockEnd(1),
            *call(2, "call_3", "three", "{}"),
        ],
    ),
    "text ends those that are whole": (
        [
            calling(more(0, "{}", "call_1", "one"), more(1, "{", "call_2", "two")),
            {"content": "Hi"},
            calling(more(1, "}")),
        ],
        [
            *call(0, "call_1", "one", "{}"),
            BlockStart(1, ToolCall("call_2", "two")),
            ArgumentsDelta(1, "{"),
            *text(2, "Hi"),
            ArgumentsDelta(1, "}"),
            BlockEnd(1),
        ],
    ),
    "legacy function_call": (
        [{"function_call": {"name": "one", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
        call(0, G0, "one", "{}"),
    ),
    "legacy beside calls is the same call": (
        [calling(more(0, "{}", "call_1", "one")) | {"function_call": {"name": "one", "arguments": "{}"}}],
        call(0, "call_1", "one", "{}"),
    ),
    "custom": (
        [
            calling({"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "run", "input": "{}"}}),
            calling({"index": 0, "custom": {"input": " ls"}}),
        ],
        [
            BlockStart(0, ToolCall("call_1", "run", kind="custom")),
            ArgumentsDelta(0, "{}"),
            ArgumentsDelta(0, " ls"),
            BlockEnd(0),
        ],
    ),
    "Google's signature": (
        [
            calling(
                more(0, "{}", "call_1", "one", extra_content={"google": {"thought_signature": "c2ln"}}),
            ),
            calling(more(1, "", None, "two", extra_content={"google": {"thought_signature": "c2ky"}})),
            calling(more(1, "{}")),
        ],
        [
            BlockStart(0, ToolCall("call_1", "one")),
            ArgumentsDelta(0, "{}"),
            StateSeen(0, State("signature", "c2ln")),
            BlockEnd(0),
            BlockStart(1, ToolCall(G1, "two")),
            StateSeen(1, State("signature", "c2ky")),
            ArgumentsDelta(1, "{}"),
            BlockEnd(1),
        ],
    ),
    "members that only its vendor knows": (
        [calling(more(0, "{}", "call_1", "one", odd=1)), calling(more(0, "", odd=2))],
        [
            BlockStart(0, ToolCall("call_1", "one", rest={"odd": 1})),
            ArgumentsDelta(0, "{}"),
            BlockEnd(0),
        ],
    ),
}


@pytest.mark.pitfall("P-05", "P-11", "P-31", "P-60", "P-136", "C121", "C206", "C207", "C209", "C230", "C269")
@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    deltas, events = CALLS[name]
    assert said(*deltas, finish="tool_calls") == [*events, CALLED]


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_put_in_order(name: str) -> None:
    """As the engine serialises them they break no law for writers, and nothing is lost."""
    events = read(*(chunk(delta) for delta in CALLS[name][0]), chunk({}, "tool_calls"))
    ordered = Serial().order(events)
    assert check_laws(ordered, serial=True) == []
    assert fold(ordered) == fold(events)


@pytest.mark.pitfall("P-10")
def test_a_call_that_nobody_named_is_none() -> None:
    ledger = Ledger()
    events = read(chunk(calling(more(0, "{}", "call_1"))), chunk({}, "tool_calls"), ledger=ledger)
    assert events[1:] == [Finished(Finish("stop", "tool_calls")), End()]
    assert codes(ledger) == {"answer.call"}


def test_what_comes_behind_whole_arguments_is_left_out() -> None:
    ledger = Ledger()
    data = [
        calling(more(0, "{}", "call_1", "one")),
        calling(more(1, "{}", "call_2", "two")),
        calling(more(0, "\n")),
        calling(more(0, "{}")),
    ]
    events = read(*map(chunk, data[:3]), chunk({}, "tool_calls"), ledger=ledger)
    assert events[1:-2] == [*call(0, "call_1", "one", "{}"), *call(1, "call_2", "two", "{}")]
    assert ledger.losses == []
    assert read(*map(chunk, data), chunk({}, "tool_calls"), ledger=ledger) == events
    assert codes(ledger) == {"answer.late"}


@pytest.mark.pitfall("P-31", "P-58", "C69")
def test_ids_that_are_made_differ_and_stay() -> None:
    places = [("a", 0, 0, "n"), ("b", 0, 0, "n"), ("a", 1, 0, "n"), ("a", 0, 1, "n"), ("a", 0, 0, "m")]
    made = [made_id(*place) for place in places]
    assert len(set(made)) == len(places)
    assert made == [made_id(*place) for place in places]
    assert G0 == "gen_9c3eb8054c62f433d8d681d9"
