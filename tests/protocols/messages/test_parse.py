"""A Messages client's requests -> neutral: every block and field, what is refused, and Claude Code's own request."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from rotator.plugins.protocols.messages.parse import parse

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import (
    CacheMark,
    Text,
    ToolResult,
)
from rotator.neutral.request import (
    Meta,
    Output,
    ReasoningWish,
    Request,
    Tool,
    Turn,
)

from .bodies import CAT, assistant, body, built, parsed, result, system, text, tool, use, user
from .claude_code import CLAUDE_CODE, USER_ID
from .samples import ASSISTANT_BLOCKS, FIELDS, RESULTS, USER_BLOCKS, opaque


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize(("block", "part"), [pytest.param(*row, id=name) for name, row in USER_BLOCKS.items()])
def test_blocks_of_either_role(role: Any, block: dict[str, Any], part: Any) -> None:
    request = parsed(body({"role": role, "content": [block]}))
    assert request.turns == (Turn(role, (part,)),)
    assert request.turns[0].parts[0].at == ("messages", 0, "content", 0)


@pytest.mark.parametrize(("block", "part"), [pytest.param(*row, id=name) for name, row in ASSISTANT_BLOCKS.items()])
def test_blocks_of_an_assistant(block: dict[str, Any], part: Any) -> None:
    assert parsed(body(assistant(block))).turns == (Turn("assistant", (part,)),)


@pytest.mark.parametrize(("block", "part"), [pytest.param(*row, id=name) for name, row in RESULTS.items()])
def test_results_are_turns_of_their_own(block: dict[str, Any], part: ToolResult) -> None:
    assert parsed(body(user(block))).turns == (Turn("tool", (part,)),)


@pytest.mark.pitfall("C33")
def test_words_beside_results_are_a_users_turn_behind_them() -> None:
    notes: list[Note] = []
    first, second = result("one", "a"), result("two", "b")
    turns = parse(body(user(text("Go on"), first, second), user("More")), "m", False, Ledger(notes)).turns
    assert turns == (
        Turn("tool", (ToolResult("a", (Text("one"),)), ToolResult("b", (Text("two"),)))),
        Turn("user", (Text("Go on"),)),
        Turn("user", (Text("More"),)),
    )
    assert turns[0].at == turns[1].at == ("messages", 0)
    assert notes == [Note("messages.parse.turns", "result.first", "messages[0]")]


def test_results_of_messages_in_a_row_are_one_turn() -> None:
    turns = parsed(body(user(result("one", "a"), x=1), user(result("two", "b"), text("Go on"), y=2))).turns
    assert turns == (
        Turn("tool", (ToolResult("a", (Text("one"),)), ToolResult("b", (Text("two"),))), rest={"x": 1}),
        Turn("user", (Text("Go on"),), rest={"y": 2}),
    )


def test_results_are_parted_by_words_between_them() -> None:
    turns = parsed(body(user(result("one", "a"), text("Go on")), user(result("two", "b")))).turns
    assert [turn.role for turn in turns] == ["tool", "user", "tool"]


@pytest.mark.pitfall("C101")
@pytest.mark.parametrize(("members", "expected"), [pytest.param(*row, id=name) for name, row in FIELDS.items()])
def test_members_of_a_request(members: dict[str, Any], expected: dict[str, Any]) -> None:
    known = {"turns": (Turn("user", (Text("Hi"),)),), "output": Output(64), **expected}
    assert parsed(body(**members)) == Request("messages", "m", **known)


def test_model_and_stream_are_the_callers() -> None:
    request = parse(body(stream=False), "upstream-model", True, Ledger())
    assert (request.model, request.stream, request.usage_in_stream, request.rest) == ("upstream-model", True, True, {})


@pytest.mark.pitfall("C26")
def test_system_messages_stay_in_their_place() -> None:
    spoken = [
        user("Hi"),
        system(text("In French."), output_config={"effort": "low"}),
        system(output_config={"effort": "max"}),
    ]
    del spoken[2]["content"]
    request = parsed(body(*spoken, system="Be brief."))
    assert request.turns == (
        Turn("system", (Text("Be brief."),)),
        Turn("user", (Text("Hi"),)),
        Turn("system", (Text("In French."),), rest={"output_config": {"effort": "low"}}),
        Turn("system", (), rest={"output_config": {"effort": "max"}}),
    )
    assert [turn.at for turn in request.turns] == [("system",), ("messages", 0), ("messages", 1), ("messages", 2)]


CHANGES = {
    "tool_addition": 'The tool "Edit" is available from here on.',
    "tool_removal": 'The tool "Edit" is not available from here on.',
}


def test_tools_that_are_defined_in_the_conversation_are_tools() -> None:
    """That in ``tools`` counts where both are called the same; its own protocol gets all back where they stood."""
    late, again = ({"name": name, "input_schema": {"type": "object"}, "strict": True} for name in ("late", "first"))
    defined = [
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": one}} for one in (late, again)
    ]
    wire = body(user("Hi"), system(*defined, defined[0]), tools=[{"name": "first", "input_schema": {}}])
    request = parsed(wire)
    assert request.tools == (Tool("first", schema={}), Tool("late", schema={"type": "object"}, strict=True))
    assert request.tools[1].at == ("messages", 1, "content", 0, "tool", "definition")
    assert request.turns[1].parts[0] == opaque(defined[0], words='The tool "late" is available from here on.')
    assert built(request)[0].body == wire


def test_servers_of_tools_are_tools_that_the_vendor_runs() -> None:
    server = {"type": "url", "url": "https://mcp.example", "name": "files"}
    wire = body(user("Hi"), mcp_servers=[server, {}])
    request = parsed(wire)
    assert request.tools == (Tool("files", "hosted", data=server), Tool("mcp_servers", "hosted", data={}))
    assert built(request)[0].body == wire


@pytest.mark.parametrize(("kind", "words"), CHANGES.items())
def test_tool_changes_can_be_read_by_others(kind: str, words: str) -> None:
    block = {"type": kind, "tool": {"type": "tool_reference", "name": "Edit"}}
    assert parsed(body(user("Hi"), system(block))).turns[1].parts == (opaque(block, words=words),)
    nameless = {"type": kind, "tool": "Edit"}
    assert parsed(body(user("Hi"), system(nameless))).turns[1].parts == (opaque(nameless),)


@pytest.mark.parametrize("content", ["", [], [text("")]], ids=["string", "list", "text"])
def test_a_turn_that_says_nothing_stays(content: Any) -> None:
    assert parsed(body(user("Hi"), {"role": "assistant", "content": content})).turns[1] == Turn("assistant", ())


#: A request and the field that is wrong in it.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no-messages": ({"max_tokens": 1}, "messages"),
    "messages": ({"messages": "Hi"}, "messages"),
    "message": (body("Hi"), "messages[0]"),
    "role": (body({"role": "tool", "content": "x"}), "messages[0].role"),
    "role-list": (body({"role": ["user"], "content": "x"}), "messages[0].role"),
    "role-missing": (body({"content": "x"}), "messages[0].role"),
    "content-missing": (body({"role": "user"}), "messages[0].content"),
    "content-null": (body({"role": "assistant", "content": None}), "messages[0].content"),
    "content": (body({"role": "user", "content": 3}), "messages[0].content"),
    "block": (body(user("a", "b")), "messages[0].content[0]"),
    "block-type": (body(user({"text": "Hi"})), "messages[0].content[0].type"),
    "block-type-number": (body(user({"type": 1})), "messages[0].content[0].type"),
    "text": (body(user({"type": "text"})), "messages[0].content[0].text"),
    "text-number": (body(user({"type": "text", "text": 1})), "messages[0].content[0].text"),
    "citation": (body(user(text("a", citations=["x"]))), "messages[0].content[0].citations[0]"),
    "mark": (body(user(text("a", cache_control="ephemeral"))), "messages[0].content[0].cache_control"),
    "image-source": (body(user({"type": "image"})), "messages[0].content[0].source"),
    "image-source-type": (body(user({"type": "image", "source": {"url": CAT}})), "messages[0].content[0].source.type"),
    "image-source-string": (body(user({"type": "image", "source": CAT})), "messages[0].content[0].source"),
    "image-data": (body(user({"type": "image", "source": {"type": "base64"}})), "messages[0].content[0].source.data"),
    "document-content": (
        body(user({"type": "document", "source": {"type": "content", "content": [1]}})),
        "messages[0].content[0].source.content[0]",
    ),
    "call-of-a-user": (body(user(use())), "messages[0].content[0]"),
    "result-of-an-assistant": (body(assistant(result())), "messages[0].content[0]"),
    "thinking-of-a-user": (body(user({"type": "thinking", "thinking": "a"})), "messages[0].content[0]"),
    "image-of-a-system": (body(system({"type": "image", "source": {}})), "messages[0].content[0]"),
    "call-in-a-result": (body(user(result([use()]))), "messages[0].content[0].content[0]"),
    "call-id": (body(assistant({"type": "tool_use", "name": "n", "input": {}})), "messages[0].content[0].id"),
    "call-name": (body(assistant({"type": "tool_use", "id": "n", "input": {}})), "messages[0].content[0].name"),
    "result-id": (body(user({"type": "tool_result"})), "messages[0].content[0].tool_use_id"),
    "result-flag": (body(user(result(is_error="false"))), "messages[0].content[0].is_error"),
    "redacted": (body(assistant({"type": "redacted_thinking"})), "messages[0].content[0].data"),
    "system": (body(system=3), "system"),
    "system-block": (body(system=["a"]), "system[0]"),
    "tools": (body(tools={}), "tools"),
    "tool": (body(tools=["a"]), "tools[0]"),
    "tool-name": (body(tools=[{"input_schema": {}}]), "tools[0].name"),
    "tool-schema": (body(tools=[{"name": "a", "input_schema": "any"}]), "tools[0].input_schema"),
    "tool-strict": (body(tools=[tool(strict="true")]), "tools[0].strict"),
    "tool-type": (body(tools=[tool(type=1)]), "tools[0].type"),
    "choice": (body(tool_choice="auto"), "tool_choice"),
    "choice-type": (body(tool_choice={"type": "sometimes"}), "tool_choice.type"),
    "choice-name": (body(tool_choice={"type": "tool"}), "tool_choice.name"),
    "thinking": (body(thinking=True), "thinking"),
    "thinking-type": (body(thinking={}), "thinking.type"),
    "thinking-budget": (body(thinking={"type": "enabled", "budget_tokens": -1}), "thinking.budget_tokens"),
    "thinking-budget-word": (body(thinking={"type": "enabled", "budget_tokens": "1"}), "thinking.budget_tokens"),
    "effort": (body(output_config={"effort": 1}), "output_config.effort"),
    "format": (body(output_config={"format": "json"}), "output_config.format"),
    "format-schema": (body(output_config={"format": {"type": "json_schema"}}), "output_config.format.schema"),
    "max-tokens": (body(max_tokens="many"), "max_tokens"),
    "max-tokens-half": (body(max_tokens=0.5), "max_tokens"),
    "temperature": (body(temperature=True), "temperature"),
    "top-k": (body(top_k=1.5), "top_k"),
    "stops": (body(stop_sequences="END"), "stop_sequences"),
    "stop": (body(stop_sequences=["END", 1]), "stop_sequences[1]"),
    "metadata": (body(metadata="u"), "metadata"),
    "user": (body(metadata={"user_id": 1}), "metadata.user_id"),
    "tier": (body(service_tier=1), "service_tier"),
}


@pytest.mark.pitfall("C59")
@pytest.mark.parametrize(("wire", "param"), [pytest.param(*row, id=name) for name, row in REFUSED.items()])
def test_wrong_shapes_are_refused_by_their_path(wire: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(wire, "m", False, Ledger())
    error = refused.value.error
    assert (error.status, error.param, error.should_retry) == (400, param, False)
    assert error.message.startswith(f"{param}: ")


def test_claude_code() -> None:
    """Its turn on a new model.  Source: clients.md 3, "Claude Code"."""
    before = copy.deepcopy(CLAUDE_CODE)
    request = parse(CLAUDE_CODE, "claude-opus-5-5", True, Ledger())
    assert before == CLAUDE_CODE
    assert [turn.role for turn in request.turns] == [
        "system", "user", "system", "assistant", "tool", "user", "assistant", "tool"
    ]  # fmt: skip
    first = request.turns[0].parts[0]
    assert isinstance(first, Text) and first.text.startswith("x-anthropic-billing-header:") and first.cache is None
    assert [part.cache for part in request.turns[0].parts if isinstance(part, Text)] == [None, CacheMark(), CacheMark()]
    assert request.turns[2].rest == {"output_config": {"effort": "medium"}}
    assert [(tool.name, tool.kind, dict(tool.rest)) for tool in request.tools] == [
        ("Bash", "function", {}),
        ("Edit", "function", {}),
        ("DeferredToolPlaceholder", "function", {"defer_loading": True}),
    ]
    assert request.reasoning == ReasoningWish(True, "medium", -1, "hidden")
    assert request.meta == Meta(USER_ID)
    assert json.loads(request.meta.user or "")["session_id"] == "6a1e0c1e-4f3a-4f6e-9a57-0b1d8e5f4a11"
    assert request.rest == {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
    assert (request.output.max_tokens, request.stream) == (32000, True)
