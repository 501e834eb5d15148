"""The order that Messages demands of a conversation, whatever order another protocol's client had it in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rotator.plugins.protocols.messages.build import build
from rotator.plugins.protocols.messages.dialect import MessagesDialect

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import (
    CacheMark,
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolResult,
)
from rotator.neutral.request import Request, Tool, Turn

from .bodies import (
    CAT,
    GO,
    HI,
    SCHEMA,
    TOOLS,
    asked,
    assistant,
    built,
    called,
    gave,
    messages,
    noted,
    result,
    said,
    system,
    text,
    tool,
    use,
    user,
)

MARK = {"cache_control": {"type": "ephemeral"}}
MISSING = result("tool result missing", is_error=True)
HELLO = said("assistant", "Hello.")
MID = said("system", "In French.")
REMINDER = "<system-reminder>\nIn French.\n</system-reminder>"

#: Turns of a Chat client, the messages, and what is lost.
CONVERSATIONS: dict[str, tuple[list[Turn], list[Any], list[str]]] = {
    "plain": ([HI, HELLO, GO], [user("Hi"), assistant("Hello."), user("Go on")], []),
    "parts": ([said("user", "One.", "Two.")], [user(text("One."), text("Two."))], []),
    "named": ([replace(HI, name="bob")], [user("bob: Hi")], ["message.name"]),
    "named-marked": (
        [replace(said("user", Text("Hi", cache=CacheMark()), "you"), name="bob")],
        [user({**text("bob: Hi"), **MARK}, text("you"))],
        ["message.name"],
    ),
    "named-without-words": (
        [HI, replace(said("assistant", called()), name="eve"), said("tool", gave())],
        [user("Hi"), assistant(text("eve:"), use()), user(result())],
        ["message.name"],
    ),
    "named-and-silent": ([HI, replace(said("user", " "), name="bob")], [user("Hi")], []),
    "rest": ([replace(HI, rest={"x": 1})], [user("Hi")], ["field.foreign"]),
    "annotations": (
        [HI, replace(HELLO, rest={"annotations": [{"type": "url_citation"}], "x": 1}), GO],
        [user("Hi"), assistant("Hello."), user("Go on")],
        ["citations.history", "field.foreign"],
    ),
    "text-rest": ([said("user", Text("Hi", rest={"x": 1}))], [user("Hi")], ["field.foreign"]),
    "marks": (
        [said("user", Text("Hi", cache=CacheMark()), Text("you", cache=CacheMark("1h")))],
        [user({**text("Hi"), **MARK}, {**text("you"), "cache_control": {"type": "ephemeral", "ttl": "1h"}})],
        [],
    ),
    "marks-of-calls-and-results": (
        [HI, said("assistant", called(cache=CacheMark())), said("tool", gave(cache=CacheMark())), GO],
        [user("Hi"), assistant(use(**MARK)), user(result(**MARK), text("Go on"))],
        [],
    ),
    "mid-instructions-marked": (
        [HI, HELLO, said("system", Text("In", cache=CacheMark()), "French."), GO],
        [user("Hi"), assistant("Hello."), user(
            {**text("<system-reminder>\nIn\n\nFrench.\n</system-reminder>"), **MARK}, text("Go on")
        )],
        [],
    ),
    "citations": (
        [HI, said("assistant", Text("So.", (Citation("web", "https://a.example"),))), GO],
        [user("Hi"), assistant("So."), user("Go on")],
        ["citations.history"],
    ),
    "same-roles": (
        [HI, GO, HELLO, said("assistant", "You."), GO],
        [user(text("Hi"), text("Go on")), assistant(text("Hello."), text("You.")), user("Go on")],
        [],
    ),
    "mid-instructions": (
        [HI, HELLO, MID, GO],
        [user("Hi"), assistant("Hello."), user(text(REMINDER), text("Go on"))],
        [],
    ),
    "mid-instructions-of-parts": (
        [HI, said("developer", "One.", "Two.")],
        [user(text("Hi"), text("<system-reminder>\nOne.\n\nTwo.\n</system-reminder>"))],
        [],
    ),
    "mid-instructions-between-call-and-result": (
        [HI, said("assistant", called()), MID, said("tool", gave()), GO],
        [user("Hi"), assistant(use()), user(result(), text(REMINDER), text("Go on"))],
        [],
    ),
    "mid-instructions-empty": ([HI, said("system"), GO], [user(text("Hi"), text("Go on"))], []),
    "empty-turns": ([said("user"), HI, said("assistant"), GO], [user(text("Hi"), text("Go on"))], []),
    "blank-texts": (
        [said("user", " ", "Hi", "\n\t"), said("assistant", "\n"), GO],
        [user(text("Hi"), text("Go on"))],
        [],
    ),
    "assistant-first": ([HELLO, HI], [user("Continue."), assistant("Hello."), user("Hi")], ["turn.added"]),
    "assistant-alone": (
        [said("assistant", "Well, ")],
        [user("Continue."), assistant("Well,")],
        ["turn.prefill", "turn.added"],
    ),
    "prefill": ([HI, said("assistant", "Sure, \n")], [user("Hi"), assistant("Sure,")], ["turn.prefill"]),
    "prefill-parts": (
        [HI, said("assistant", "One. ", "Two. ")],
        [user("Hi"), assistant(text("One. "), text("Two."))],
        ["turn.prefill"],
    ),
    "prefill-blank": ([HI, HELLO, said("assistant", " ")], [user("Hi"), assistant("Hello.")], ["turn.prefill"]),
    "reasoning": (
        [
            HI,
            said("assistant", Reasoning((Thought("Hm."),), State("signature", "s")), "Hello."),
            GO,
            said("assistant", Reasoning((), State("encrypted", "e"))),
            GO,
        ],
        [user("Hi"), assistant("Hello."), user(text("Go on"), text("Go on"))],
        ["reasoning.history"],
    ),
    "state": (
        [
            HI,
            said("assistant", Text("So.", state=State("signature", "s")), called(state=State("signature", "t"))),
            said("tool", gave()),
        ],
        [user("Hi"), assistant(text("So."), use()), user(result())],
        ["reasoning.state"],
    ),
    "refusal": (
        [HI, said("assistant", Refusal("I must not.", rest={"x": 1}), Refusal(" ")), GO],
        [user("Hi"), assistant("I must not."), user("Go on")],
        ["field.foreign"],
    ),
    "hosted": (
        [HI, said("assistant", Opaque("responses", "web_search_call", {}, "hosted"), "So."), GO],
        [user("Hi"), assistant("So."), user("Go on")],
        ["part.hosted"],
    ),
    "hosted-alone": (
        [HI, said("assistant", Opaque("messages", "server_tool_use", {}, "hosted")), GO],
        [user(text("Hi"), text("Go on"))],
        ["part.hosted"],
    ),
    "readable": (
        [said("user", Opaque("gemini", "note", {}, text="Words."), Opaque("chat", "audio", {}, "reference", "Said."))],
        [user(text("Words."), text("Said."))],
        ["part.foreign", "part.foreign"],
    ),
}


@pytest.mark.pitfall("C27")
@pytest.mark.parametrize(
    ("turns", "expected", "lost"), [pytest.param(*row, id=name) for name, row in CONVERSATIONS.items()]
)
def test_conversations(turns: list[Turn], expected: list[Any], lost: list[str]) -> None:
    found, codes = messages(*turns, tools=TOOLS)
    assert (found, codes) == (expected, lost)


#: Instructions before all other turns, and ``system``.
LEADING: dict[str, tuple[list[Turn], Any]] = {
    "one": ([said("system", "Be brief.")], "Be brief."),
    "developer": ([said("developer", "Be brief.")], "Be brief."),
    "several": (
        [said("system", "One."), said("developer", "Two.", "Three."), said("system")],
        [text("One."), text("Two."), text("Three.")],
    ),
    "blank": ([said("system", " ")], None),
    "marked": ([said("system", Text("One.", cache=CacheMark()))], [{**text("One."), **MARK}]),
    "readable": ([said("system", Opaque("gemini", "note", {}, text="Words."))], "Words."),
}


@pytest.mark.parametrize(("turns", "expected"), [pytest.param(*row, id=name) for name, row in LEADING.items()])
def test_leading_instructions(turns: list[Turn], expected: Any) -> None:
    made, _ = built(asked(*turns, HI))
    assert (made.body.get("system"), made.body["messages"]) == (expected, [user("Hi")])


def test_instructions_alone_get_a_users_turn() -> None:
    made, codes = built(asked(said("system", "Be brief.")))
    assert (made.body["system"], made.body["messages"]) == ("Be brief.", [user("Continue.")])
    assert codes == ["turn.added"]


def test_mid_instructions_may_be_told_as_a_system_message() -> None:
    turns = [said("system", "One."), HI, MID, said("developer", "Two."), said("assistant", called()), MID]
    made, codes = built(asked(*turns, said("tool", gave()), GO, tools=TOOLS), mid_system="role")
    assert made.body["system"] == "One."
    assert made.body["messages"] == [
        user("Hi"),
        system(text("In French."), text("Two.")),
        assistant(use()),
        user(result()),
        system("In French."),
        user("Go on"),
    ]
    assert codes == []


def test_a_mid_instruction_is_never_the_only_message() -> None:
    made, codes = built(asked(said("user"), MID), mid_system="role")
    assert made.body["messages"] == [user("Continue."), system("In French.")]
    assert codes == ["turn.added"]


#: Turns that have no place in Messages, and the field that is named.
PLACED = ("messages", 1, "content", 0)
REFUSED: dict[str, tuple[list[Turn], str]] = {
    "no-turns": ([], "messages"),
    "nothing-said": ([said("user", at=("messages", 0))], "messages[0]"),
    "nothing-left": ([said("system", "Be brief."), said("user", " ", at=("messages", 1))], "messages[1]"),
    "unknown-alone": ([HI, said("user", Opaque("chat", "hologram", {}, at=PLACED))], "messages[1].content[0]"),
    "unknown-alone-of-an-assistant": (
        [HI, said("assistant", Opaque("chat", "hologram", {}, at=PLACED)), GO],
        "messages[1].content[0]",
    ),
    "unknown-beside-words": ([said("user", "Hi", Opaque("chat", "hologram", {}, at=PLACED))], "messages[1].content[0]"),
    "unknown-of-an-assistant": (
        [HI, said("assistant", "Hello.", Opaque("chat", "hologram", {}, at=PLACED)), GO], "messages[1].content[0]"
    ),
    "unknown-in-a-result": (
        [
            HI,
            said("assistant", called()),
            said("tool", ToolResult("call_1", (Text("a"), Opaque("chat", "hologram", {}, at=PLACED)))),
        ],
        "messages[1].content[0]",
    ),
    "unknown-alone-in-a-result": (
        [
            HI,
            said("assistant", called()),
            said("tool", ToolResult("call_1", (Opaque("chat", "hologram", {}, at=PLACED),))),
        ],
        "messages[1].content[0]",
    ),
    "unknown-alone-in-instructions": (
        [said("system", Opaque("chat", "hologram", {}, at=PLACED)), HI],
        "messages[1].content[0]",
    ),
    "reference": (
        [HI, said("user", "Hi", Opaque("responses", "item_reference", {}, "reference", at=PLACED))],
        "messages[1].content[0]",
    ),
    "image-in-instructions": (
        [said("system", Media("image", Source("url", CAT), at=PLACED)), HI],
        "messages[1].content[0]",
    ),
    "image-of-an-assistant": (
        [HI, said("assistant", Media("image", Source("url", CAT), at=PLACED))],
        "messages[1].content[0]",
    ),
    "audio-in-a-result": (
        [
            HI,
            said("assistant", called()),
            said("tool", ToolResult("call_1", (Media("audio", Source("base64", "AA"), at=PLACED),))),
        ],
        "messages[1].content[0]",
    ),
}


@pytest.mark.parametrize(("turns", "param"), [pytest.param(*row, id=name) for name, row in REFUSED.items()])
def test_turns_that_cannot_be_told_are_refused(turns: list[Turn], param: str) -> None:
    with pytest.raises(Refused) as refused:
        built(Request("chat", "m", tuple(turns), tools=TOOLS))
    assert (refused.value.error.status, refused.value.error.param) == (400, param)


def test_a_reference_to_tools_that_are_declared_is_no_loss_of_them() -> None:
    """Responses declares tools in its input: they are among the tools, the item itself says nothing more."""
    at = ("input", 1)
    item = said("developer", Opaque("responses", "additional_tools", {}, "reference", at=at))
    tools = (Tool("lookup", schema=SCHEMA, at=(*at, "tools", 0)),)
    made, codes = built(Request("responses", "m", (HI, item, GO), tools))
    assert (made.body["messages"], made.body["tools"]) == ([user(text("Hi"), text("Go on"))], [tool()])
    assert codes == []


def test_an_ending_of_an_assistant_is_told_with_its_place() -> None:
    ledger = Ledger()
    build(asked(HI, said("assistant", "So.", at=("messages", 1))), MessagesDialect(), ledger)
    assert ledger.losses == [Loss("turn.prefill", "messages[1]")]


def test_steps_leave_notes() -> None:
    late = said("tool", gave("a.b", "late", at=("messages", 9)))
    turns = [
        HI,
        replace(GO, at=("messages", 1), phase="commentary"),
        said("assistant", called("a.b", at=("messages", 2)), "b", Text(" ", at=("messages", 3))),
        said("assistant", "c", at=("messages", 4)),
        said("assistant", Reasoning((Thought("Hm."),)), at=("messages", 5)),
        GO,
        late,
        replace(MID, at=("messages", 8)),
        said("user", at=("messages", 10)),
    ]
    step = "messages.build.turns"
    assert noted(asked(*turns, tools=TOOLS)) == [
        Note(step, "turn.phase", "messages[1]"),
        Note(step, "turn.merged", "messages[1]"),
        Note("messages.build.ids", "call.renamed", "messages[2]"),
        Note("messages.build.parts", "text.blank", "messages[3]"),
        Note(step, "turn.merged", "messages[4]"),
        Note(step, "turn.dropped", "messages[5]"),
        Note(step, "result.moved", "messages[9]"),
        Note(step, "turn.reminder", "messages[8]"),
        Note(step, "turn.merged", "messages[8]"),
        Note(step, "turn.dropped", "messages[10]"),
        Note(step, "turn.order"),
        Note("messages.build.thinking", "max_tokens.default"),
    ]
    assert noted(asked(said("system", "One.")))[0] == Note(step, "turn.added")
