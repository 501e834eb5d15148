"""Another protocol's conversation as Chat messages: one message a turn, results behind their calls, nothing unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import (
    CacheMark,
    Citation,
    Media,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
)
from rotator.neutral.request import Turn
from rotator.wire.jsontext import dumps
from tests.protocols.chat.bodies import (
    CAT,
    GO,
    HI,
    ChatDialect,
    asked,
    assistant,
    build,
    call,
    called,
    custom_call,
    gave,
    image,
    messages,
    noted,
    result,
    said,
    system,
    text,
    user,
)

IMAGE = Media("image", Source("url", CAT))
PLACED = "[an image, in the user message that follows]"
NO_RESULT = "The result of this tool call is missing."
FAILED = '{"error":"The tool call failed without a message."}'
MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
THOUGHT = Reasoning((Thought("Hm."),))
SIGNED = Reasoning((Thought("Hm."), Thought("So.")), State("signature", "s"))
HOSTED = Opaque("messages", "server_tool_use", {}, "hosted")
FOUND = Opaque("messages", "search_result", {}, text="Title\nWords")

#: A conversation, its messages, the codes of its losses.
CONVERSATIONS: dict[str, tuple[list[Turn], list[Any], list[str]]] = {
    "plain": ([said("system", "S"), HI, said("assistant", "A"), GO],
              [system("S"), user("Hi"), assistant("A"), user("Go on")], []),
    "instructions in their place": (
        [said("system", "S", "T"), HI, said("developer", "D"), GO],
        [system([text("S"), text("T")]), user("Hi"), {"role": "developer", "content": "D"}, user("Go on")], []),
    "neighbours stay apart": (
        [HI, GO, said("assistant", "A"), said("assistant", "B"), HI],
        [user("Hi"), user("Go on"), assistant("A"), assistant("B"), user("Hi")], []),
    "names": ([said("user", "Hi", name="ann"), said("assistant", "A", name="bot"), GO],
              [user("Hi", name="ann"), assistant("A", name="bot"), user("Go on")], []),
    "instructions alone": ([said("system", "S")], [system("S")], []),
    "empty turns are dropped": ([said("user"), HI, said("assistant"), GO], [user("Hi"), user("Go on")], []),
    "a prefill is to be gone on with": (
        [HI, said("assistant", "A")], [user("Hi"), assistant("A"), user("Continue.")], ["turn.prefill"]),
    "several parts of an assistant": (
        [HI, said("assistant", "A ", "B", Reasoning(), "C"), GO],
        [user("Hi"), assistant("A B\n\nC"), user("Go on")], []),
    "calls and results": (
        [HI, said("assistant", "A", called("a"), called("b")), said("tool", gave("a", "x"), gave("b", "y")), GO],
        [user("Hi"), assistant("A", tool_calls=[call("a"), call("b")]), result("x", "a"), result("y", "b"),
         user("Go on")], []),
    "results in the order of their calls": (
        [HI, said("assistant", called("a"), called("b")), said("tool", gave("b", "y"), gave("a", "x"))],
        [user("Hi"), assistant(tool_calls=[call("a"), call("b")]), result("x", "a"), result("y", "b")], []),
    "text behind calls": (
        [HI, said("assistant", "A", called("a"), "B"), said("tool", gave("a", "x"))],
        [user("Hi"), assistant("A\n\nB", tool_calls=[call("a")]), result("x", "a")], ["turn.order"]),
    "calls of several turns": (
        [HI, said("assistant", "A", called("a")), said("assistant", called("b")),
         said("tool", gave("a", "x"), gave("b", "y"))],
        [user("Hi"), assistant("A", tool_calls=[call("a"), call("b")]), result("x", "a"), result("y", "b")], []),
    "a turn between call and result": (
        [HI, said("assistant", called("a")), said("assistant", "B"), said("tool", gave("a", "x"))],
        [user("Hi"), assistant("B", tool_calls=[call("a")]), result("x", "a")], ["turn.order"]),
    "an unanswered call does not swallow the next turn": (
        [HI, said("assistant", called("a")), said("assistant", "B"), GO],
        [user("Hi"), assistant(tool_calls=[call("a")]), result(NO_RESULT, "a"), assistant("B"), user("Go on")],
        ["call.orphan"]),
    "a user between call and result": (
        [HI, said("assistant", called("a")), GO, said("tool", gave("a", "x"))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("x", "a"), user("Go on")], []),
    "an id comes back": (
        [HI, said("assistant", called("a")), said("tool", gave("a", "x")), said("assistant", called("a")),
         said("tool", gave("a", "y"))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("x", "a"), assistant(tool_calls=[call("a")]),
         result("y", "a")], []),
    "an orphan result": (
        [HI, said("tool", gave("z", "x", IMAGE, name="look")), GO],
        [user("Hi"), user([text("The result of a tool call that is not in this conversation (look):"), text("x"),
                           image()]), user("Go on")], ["result.orphan"]),
    "an empty orphan": (
        [HI, said("tool", gave("z"))],
        [user("Hi"), user("The result of a tool call that is not in this conversation (z):")], ["result.orphan"]),
    "two results": (
        [HI, said("assistant", called("a")), said("tool", gave("a", "x"), gave("a", "y"))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("y", "a")], ["result.duplicate"]),
    "media of results": (
        [HI, said("assistant", called("a"), called("b")), said("tool", gave("a", IMAGE), gave("b", "y", IMAGE)), GO],
        [user("Hi"), assistant(tool_calls=[call("a"), call("b")]), result(PLACED, "a"),
         result([text("y"), text(PLACED)], "b"),
         user([text("From the result of lookup (a):"), image(), text("From the result of lookup (b):"), image()]),
         user("Go on")], ["result.media_moved"]),
    "a failure": (
        [HI, said("assistant", called("a"), called("b")),
         said("tool", gave("a", "no", is_error=True), gave("b", is_error=True))],
        [user("Hi"), assistant(tool_calls=[call("a"), call("b")]), result('{"error":"no"}', "a"), result(FAILED, "b")],
        []),
    "an empty result": (
        [HI, said("assistant", called("a")), said("tool", gave("a", is_error=False))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("", "a")], []),
    "no arguments": (
        [HI, said("assistant", called("a", ""), called("b", "[1]")), said("tool", gave("a", "x"), gave("b", "y"))],
        [user("Hi"), assistant(tool_calls=[call("a", arguments="{}"), call("b", arguments="[1]")]), result("x", "a"),
         result("y", "b")], []),
    "a custom call": (
        [HI, said("assistant", ToolCall("a", "run", "ls", "custom")), said("tool", gave("a", "x", kind="custom"))],
        [user("Hi"), assistant(tool_calls=[custom_call("a")]), result("x", "a")], []),
    "a call to a vendor's tool that the client runs": (
        [HI, said("assistant", ToolCall("a", "local_shell", '{"c":1}', "builtin")), said("tool", gave("a", "x"))],
        [user("Hi"), assistant(tool_calls=[call("a", "local_shell", '{"c":1}')]), result("x", "a")], []),
    "a refusal": (
        [HI, said("assistant", Refusal("No."), Refusal("Never.")), GO],
        [user("Hi"), assistant(None, refusal="No.\n\nNever."), user("Go on")], []),
    "media of an assistant": (
        [HI, said("assistant", "See:", IMAGE), GO],
        [user("Hi"), assistant(f"See:\n\n{PLACED}"), user([image()]), user("Go on")], ["part.media_moved"]),
    "media of an assistant that calls": (
        [HI, said("assistant", IMAGE, called("a")), said("tool", gave("a", IMAGE))],
        [user("Hi"), assistant(PLACED, tool_calls=[call("a")]), result(PLACED, "a"),
         user([image(), text("From the result of lookup (a):"), image()])],
        ["part.media_moved", "result.media_moved"]),
    "reasoning": ([HI, said("assistant", SIGNED, "A"), said("assistant", THOUGHT), GO],
                  [user("Hi"), assistant("A"), user("Go on")], ["reasoning.history"]),
    "hosted work": ([HI, said("assistant", HOSTED, "A", HOSTED), said("assistant", HOSTED), GO],
                    [user("Hi"), assistant("A"), user("Go on")], ["part.hosted"]),
    "hosted work with words": (
        [HI, said("assistant", "A", Opaque("gemini", "x", {}, "hosted", "42"), "B"), GO],
        [user("Hi"), assistant("A\n\n42\n\nB"), user("Go on")], ["part.hosted"]),
    "a search result": ([said("user", FOUND, "Hi")], [user([text("Title\nWords"), text("Hi")])],
                        ["search_result.citations"]),
    "a search result in a result": (
        [HI, said("assistant", called("a")), said("tool", gave("a", FOUND))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("Title\nWords", "a")], ["search_result.citations"]),
    "a readable part of an assistant": (
        [HI, said("assistant", Opaque("messages", "compaction", {}, text="So far.")), GO],
        [user("Hi"), assistant("So far."), user("Go on")], ["part.foreign"]),
    "an instruction that is shown once": (
        [HI, said("system", "Now.", rest={"clear_at": "next_user_message"}), said("assistant", "A"), GO,
         said("system", "Still.", rest={"clear_at": "never"}),
         said("system", "Then.", rest={"clear_at": "next_user_message"})],
        [user("Hi"), assistant("A"), user("Go on"), {"role": "system", "content": "Still."},
         {"role": "system", "content": "Then."}],
        []),
    "an instruction that is over after a call": (
        [HI, said("system", "Now.", rest={"clear_at": "next_user_message"}), said("assistant", called("a")),
         said("tool", gave("a", "x"))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("x", "a")], []),
    "an effort in the middle": (
        [HI, said("system", "Now.", rest={"output_config": {"effort": "low"}}),
         said("system", "So.", rest={"output_config": {"effort": "low", "x": 1}})],
        [user("Hi"), *({"role": "system", "content": one} for one in ("Now.", "So."))], ["field.foreign"]),
    "tools that were found": (
        [HI, said("assistant", called("a")),
         said("tool", gave("a", Opaque("messages", "tool_reference", {}, "reference", "f")))],
        [user("Hi"), assistant(tool_calls=[call("a")]), result("f", "a")], []),
    "tools that come and go": (
        [said("system", *(Opaque("messages", kind, {}, text="Now f.") for kind in ("tool_addition", "tool_removal"))),
         HI],
        [{"role": "system", "content": [text("Now f."), text("Now f.")]}, user("Hi")], ["tool.changes"]),
}


@pytest.mark.pitfall("C86")
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation(name: str) -> None:
    turns, told, codes = CONVERSATIONS[name]
    assert messages(*turns) == (told, codes)


@pytest.mark.pitfall("C77", "C131")
def test_reasoning_for_servers_that_want_it() -> None:
    told, codes = messages(
        HI,
        said("assistant", SIGNED, "A", called("a")),
        said("tool", gave("a", "x")),
        said("assistant", THOUGHT),
        said("assistant", Reasoning((), State("redacted", "r"))),
        GO,
        dialect={"reasoning_history": "reasoning_content"},
    )
    assert told == [
        user("Hi"),
        assistant("A", reasoning_content="Hm.\n\nSo.", tool_calls=[call("a")]),
        result("x", "a"),
        assistant("", reasoning_content="Hm."),
        user("Go on"),
    ]
    assert codes == ["reasoning.state"]


HOME = Origin("this", "family", "account")
ENTRIES = [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}]
PROVED = State("encrypted", dumps(ENTRIES).decode(), HOME)


@pytest.mark.pitfall("C131")
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_under_the_vendors_own_name(name: str) -> None:
    """On all turns of a tool conversation, as it was (conversion-pitfalls.md P131); nothing where there was none."""
    told, codes = messages(
        HI,
        said("assistant", Reasoning((Thought("  One\n"),)), called("a")),
        said("tool", gave("a", "x")),
        said("assistant", called("b")),
        said("tool", gave("b", "y")),
        said("assistant", THOUGHT, "A"),
        GO,
        dialect={"reasoning_history": name},
    )
    assert told == [
        user("Hi"),
        assistant(tool_calls=[call("a")], **{name: "  One\n"}),
        result("x", "a"),
        assistant(tool_calls=[call("b")]),
        result("y", "b"),
        assistant("A", **{name: "Hm."}),
        user("Go on"),
    ]
    assert codes == []


def test_reasoning_in_the_text() -> None:
    told, codes = messages(
        HI,
        said("assistant", THOUGHT, "A", called("a")),
        said("tool", gave("a", "x")),
        said("assistant", THOUGHT),
        GO,
        dialect={"reasoning_history": "think_tags"},
    )
    assert told == [
        user("Hi"),
        assistant("<think>\nHm.\n</think>\n\nA", tool_calls=[call("a")]),
        result("x", "a"),
        assistant("<think>\nHm.\n</think>\n\n"),
        user("Go on"),
    ]
    assert codes == []


#: A turn for a vendor that takes back what it wrote in ``reasoning_details``, its message, the codes of its losses.
DETAILED: dict[str, tuple[Turn, Any, list[str]]] = {
    "its own": (
        said("assistant", THOUGHT, Reasoning(state=PROVED), "A"), assistant("A", reasoning_details=ENTRIES), []),
    "its own, without a text": (
        said("assistant", Reasoning(state=PROVED)), assistant("", reasoning_details=ENTRIES), []),
    "of two blocks": (
        said("assistant", Reasoning(state=PROVED), Reasoning(state=PROVED), "A"),
        assistant("A", reasoning_details=ENTRIES * 2), []),
    "nobody's": (said("assistant", THOUGHT, "A"), assistant("A"), ["reasoning.history"]),
    "not proved": (
        said("assistant", Reasoning(state=PROVED._replace(origin=None)), "A"), assistant("A"), ["reasoning.state"]),
    "another vendor's": (
        said("assistant", SIGNED, "A"), assistant("A"), ["reasoning.state", "reasoning.history"]),
    "no list of entries": (
        said("assistant", Reasoning(state=PROVED._replace(value="gAAAA")), "A"), assistant("A"), ["reasoning.state"]),
}


@pytest.mark.parametrize("name", DETAILED)
def test_reasoning_of_vendors_that_prove_theirs(name: str) -> None:
    turn, wire, lost = DETAILED[name]
    told, codes = messages(HI, turn, GO, dialect={"reasoning_history": "reasoning_details"})
    assert told == [user("Hi"), wire, user("Go on")]
    assert codes == lost


def test_proved_entries_are_of_no_use_as_words() -> None:
    told, codes = messages(
        HI, said("assistant", Reasoning(state=PROVED), "A"), GO, dialect={"reasoning_history": "reasoning_content"}
    )
    assert told == [user("Hi"), assistant("A"), user("Go on")]
    assert codes == ["reasoning.state"]


def test_a_calls_signature_goes_back_where_it_is_proved() -> None:
    """Source: protocols.md 2.4, row "Signature"; in any dialect."""
    proved, other = State("signature", "c2ln", HOME), State("signature", "c2ln")
    calls = (ToolCall("a", "f", "{}", state=proved), ToolCall("b", "f", "{}", state=other))
    told, codes = messages(HI, said("assistant", *calls), said("tool", gave("a", "x"), gave("b", "y")))
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    assert told[1] == assistant(tool_calls=[{**call("a", "f", "{}"), **signed}, call("b", "f", "{}")])
    assert codes == ["reasoning.state"]


def test_ids_that_chat_does_not_take() -> None:
    """Longer than 40 characters, odd, none at all, or twice in a message: calls and results keep together."""
    long, odd = "x" * 41, "a b"
    told, codes = messages(
        HI,
        said("assistant", called(long), called(odd), called("a"), called("a"), called("", name="f")),
        said("tool", gave(odd, "2"), gave(long, "1"), gave("a", "3"), gave("a", "4"), gave("", "5")),
    )
    ids = [one["id"] for one in told[1]["tool_calls"]]
    assert len(set(ids)) == 5 and ids[2] == "a" and all(0 < len(id) <= 40 for id in ids)
    assert {one["tool_call_id"]: one["content"] for one in told[2:]} == dict(zip(ids, "12345", strict=True))
    assert codes == []


def test_calls_without_ids_of_two_rounds_are_not_merged() -> None:
    told, codes = messages(
        HI,
        said("assistant", called("")),
        said("tool", gave("", "x")),
        said("assistant", called("")),
        said("tool", gave("", "y")),
    )
    assert [one["role"] for one in told] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [told[2]["content"], told[4]["content"]] == ["x", "y"]
    assert codes == []


def test_what_stands_beside_is_told_once_or_with_its_place() -> None:
    ledger = Ledger()
    cited = Text("A", (Citation("web"),), cache=CacheMark(), state=State("signature", "s"))
    marked: dict[str, Any] = {"cache": CacheMark(), "state": State("signature", "s")}
    turns = (
        said("user", Text("Hi", cache=CacheMark(), at=("messages", 0, "content", 0), rest={"x": 1})),
        said("assistant", cited, called("a", rest={"caller": {}}, at=("messages", 1, "content", 1), **marked)),
        said("tool", gave("a", "x", rest={"y": 1}, at=("messages", 2, "content", 0), **marked)),
        said("user", Media("image", Source("url", CAT), rest={"z": 1}, at=("messages", 3), **marked)),
        said("user", "Go", rest={"effort": "low"}, at=("messages", 4)),
    )
    build(asked(*turns), ChatDialect(), ledger)
    assert ledger.losses == [
        Loss("field.foreign", "messages[0].content[0].x"),
        Loss("reasoning.state"),
        Loss("citations.history"),
        Loss("field.foreign", "messages[1].content[1].caller"),
        Loss("field.foreign", "messages[2].content[0].y"),
        Loss("field.foreign", "messages[3].z"),
        Loss("field.foreign", "messages[4].effort"),
    ]


def test_a_loss_names_the_clients_place() -> None:
    ledger = Ledger()
    turns = (
        said("assistant", called("a", at=("messages", 0, "content", 0)), Text("B", at=("messages", 0, "content", 1))),
        said("tool", gave("z", "x", at=("messages", 1, "content", 0))),
        said("assistant", "C", at=("messages", 2)),
    )
    build(asked(*turns), ChatDialect(), ledger)
    assert ledger.losses == [
        Loss("turn.order", "messages[0].content[1]"),
        Loss("result.orphan", "messages[1].content[0]"),
        Loss("turn.prefill", "messages[2]"),
        Loss("call.orphan", "messages[0].content[0]"),
    ]


def test_a_call_that_the_model_made_itself_says_nothing_by_it() -> None:
    turns = (HI, said("assistant", called("a", rest={"caller": {"type": "direct"}, "y": 1})), said("tool", gave("a")))
    assert messages(*turns)[1] == ["field.foreign"]


def test_a_failure_may_be_told_plainly() -> None:
    turns = (HI, said("assistant", called("a"), called("b")),
             said("tool", gave("a", "no", is_error=True), gave("b", is_error=True)))
    told, codes = messages(*turns, dialect={"tool_errors": "plain"})
    assert (told[2:], codes) == ([result("no", "a"), result(FAILED, "b")], ["result.error_flag"])


def test_a_failure_is_one_text_whatever_it_held() -> None:
    """Its picture is told where it went, its mark stays."""
    turns = (HI, said("assistant", called("a")), said("tool", gave("a", "no", IMAGE, is_error=True, cache=CacheMark())))
    told, _ = messages(*turns, dialect={"cache": "breakpoint"})
    words = '{"error":"no\\n\\n[an image, in the user message that follows]"}'
    assert told[2] == result([{**text(words), **MARK}], "a")


REFUSED: list[tuple[list[Turn], str, str]] = [
    ([said("user")], "messages", "say nothing that Chat Completions can tell"),
    ([said("assistant", HOSTED)], "messages", "say nothing that Chat Completions can tell"),
    ([said("user", Opaque("gemini", "x", {}, at=("p",)))], "p",
     "a part of the type x has no place in Chat Completions"),
    ([HI, said("assistant", Opaque("gemini", "x", {}, at=("p",)))], "p",
     "a part of the type x has no place in Chat Completions"),
    ([said("user", "Hi", Opaque("gemini", "x", {}, at=("p",)))], "p",
     "a part of the type x has no place in Chat Completions"),
    ([HI, said("assistant", "A", Opaque("gemini", "x", {}, at=("p",))), GO], "p",
     "a part of the type x has no place in Chat Completions"),
    ([HI, said("assistant", called("a")), said("tool", gave("a", "x", Opaque("gemini", "x", {}, at=("p",))))], "p",
     "a part of the type x has no place in Chat Completions"),
    ([HI, said("assistant", called("a")), said("tool", gave("a", Opaque("gemini", "x", {}, at=("p",))))], "p",
     "a part of the type x has no place in Chat Completions"),
    ([said("user", "Hi", Opaque("responses", "item_reference", {}, "reference", at=("p",)))], "p",
     "points to what only its own vendor keeps"),
    ([said("system", Media("image", Source("url", CAT), at=("p",))), HI], "p", "instructions must be text"),
]


@pytest.mark.parametrize(("turns", "param", "reason"), REFUSED)
def test_what_cannot_be_told_is_refused(turns: list[Turn], param: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        messages(*turns)
    error = refused.value.error
    assert (error.status, error.param, error.message) == (400, param, f"{param}: {reason}")


def test_steps_are_noted() -> None:
    turns = (
        said("user", at=("messages", 0)),
        said("assistant", called("x" * 50, at=("messages", 1, "c")), at=("messages", 1), phase="commentary"),
        said("assistant", called("b"), at=("messages", 2)),
        said("tool", gave("x" * 50)),
        said("user", "Hi", at=("messages", 4)),
        said("tool", gave("b", "y", at=("messages", 5))),
    )
    assert noted(asked(*turns)) == [
        Note("chat.build.turns", "turn.empty", "messages[0]"),
        Note("chat.build.turns", "turn.phase", "messages[1]"),
        Note("chat.build.ids", "id.changed", "messages[1].c"),
        Note("chat.build.turns", "turn.merged", "messages[2]", "messages[1]"),
        Note("chat.build.turns", "result.moved", "messages[5]", "messages[1]"),
    ]
