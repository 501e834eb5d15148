"""Where Messages requests hold reasoning state, how they go without it, and how the vendor refuses it."""

import json
from typing import Any

import pytest

from rotator.neutral.error import ErrorKind, error_of
from tests.upstreams import PROTOCOLS

MESSAGES = PROTOCOLS["messages"].state
HI = {"role": "user", "content": "Hi"}


def thinking(signature: str, text: str = "Hm.") -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def redacted(data: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
SAID = {"type": "text", "text": "Hello."}


def spoken(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def heard(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


@pytest.mark.pitfall("C121")
def test_every_state_of_a_messages_request_is_found() -> None:
    assert MESSAGES is not None
    body = asked(HI, spoken(thinking("s1"), redacted("d1"), SAID), heard(SAID), spoken(thinking("")), {"role": "x"}, 3)
    assert list(MESSAGES.found(body)) == ["s1", "d1", ""]
    assert any(mark in json.dumps(body).encode() for mark in MESSAGES.marks)
    assert list(MESSAGES.found({"messages": "Hi"})) == []
    signed = asked(HI, spoken({"type": "thinking", "thinking": "x", "signature": 1}, SAID))
    assert list(MESSAGES.found(signed)) == []


def test_only_foreign_reasoning_is_taken_out() -> None:
    assert MESSAGES is not None
    body = asked(HI, spoken(thinking("ours"), thinking("theirs"), SAID), HI, spoken(redacted("theirs")), HI)
    before = json.loads(json.dumps(body))
    assert MESSAGES.strip(body, lambda state: state == "theirs") == (True, ())
    assert body == asked(HI, spoken(thinking("ours"), SAID), HI, HI)
    again = json.loads(json.dumps(before))
    assert MESSAGES.strip(again, lambda state: state == "nobody's") == (False, ()) and again == before


def test_reasoning_without_a_signature_counts_as_the_empty_state() -> None:
    assert MESSAGES is not None
    body = asked(HI, spoken({"type": "thinking", "thinking": "x"}, thinking(""), SAID))
    assert MESSAGES.strip(body, lambda state: state == "").taken
    assert body == asked(HI, spoken(SAID))


def test_what_is_no_reasoning_stays() -> None:
    assert MESSAGES is not None
    odd = [{"type": ["thinking"], "signature": "x"}, {"type": {"a": 1}}, {"signature": "x"}, 3, "thinking"]
    body = asked(HI, spoken(), {"role": "assistant", "content": "Hi"}, "odd", spoken(*odd), {"role": "user"})
    before = json.loads(json.dumps(body))
    assert list(MESSAGES.found(body)) == []
    assert not MESSAGES.strip(body, lambda _: True).taken and body == before
    assert not MESSAGES.strip({"messages": None}, lambda _: True).taken


def test_reasoning_in_any_role_is_taken_out() -> None:
    """It has no place there, but an envelope must not go on for that."""
    assert MESSAGES is not None
    body = asked(heard(redacted("rot1.x"), SAID), spoken(SAID), {"role": "system", "content": [thinking("rot1.y")]})
    assert MESSAGES.strip(body, lambda state: state.startswith("rot1.")).taken
    assert body == asked(heard(SAID), spoken(SAID))


BUDGET = {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.pitfall("C132")
@pytest.mark.parametrize(
    ("messages", "wish", "left"),
    [
        ([HI, spoken(thinking("s"), USE), heard(RESULT)], BUDGET, None),
        ([HI, spoken(thinking("s"), USE), heard(RESULT), {"role": "system", "content": "x"}], BUDGET, None),
        ([HI, spoken(thinking("s"), SAID, USE), heard(RESULT)], BUDGET, None),
        ([HI, spoken(thinking("s"), USE), heard(RESULT)], {"type": "adaptive"}, {"type": "adaptive"}),
        ([HI, spoken(thinking("s"), USE), heard(RESULT), spoken(SAID), HI], BUDGET, BUDGET),
        ([HI, spoken(thinking("s"), SAID), HI], BUDGET, BUDGET),
        ([HI, spoken(thinking("s"), USE), heard(RESULT), spoken(thinking("kept"), USE), heard(RESULT)], BUDGET, BUDGET),
        ([HI, spoken(thinking("s"))], BUDGET, BUDGET),
    ],
)
def test_a_budget_is_given_up_only_where_the_api_would_want_thinking_before_the_calls(
    messages: list[Any], wish: Any, left: Any
) -> None:
    assert MESSAGES is not None
    body = asked(*messages, thinking=wish)
    assert MESSAGES.strip(body, lambda state: state == "s") == (True, () if left == wish else ("reasoning.off",))
    assert body.get("thinking") == left


def test_what_clears_thinking_goes_with_it() -> None:
    assert MESSAGES is not None
    clear = {"type": "clear_thinking_20251015", "keep": "all"}
    other = {"type": "clear_tool_uses_20250919"}
    messages = [HI, spoken(thinking("s"), USE), heard(RESULT)]
    body = asked(*messages, thinking=BUDGET, context_management={"edits": [clear]})
    assert MESSAGES.strip(body, lambda _: True).taken and "context_management" not in body
    body = asked(*messages, thinking=BUDGET, context_management={"edits": [clear, other], "x": 1})
    assert MESSAGES.strip(body, lambda _: True).taken and body["context_management"] == {"edits": [other], "x": 1}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("messages.1.content.0: Invalid `signature` in `thinking` block", True),
        ("messages.1.content.0: Invalid signature in thinking block. It is bound to a different conversation", True),
        ("messages.3.content.1: Invalid `data` in `redacted_thinking` block", True),
        ("`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.", True),
        ("messages.1.content.0.thinking.signature: Field required", True),
        ("messages.1.content.2.redacted_thinking.data: Input should be a valid string", True),
        ("The thinking block has expired", True),
        ("messages.2: malformed signed thinking block", True),
        ("max_tokens: 1024 must be greater than thinking.budget_tokens", False),
        ("thinking.budget_tokens: invalid value", False),
        ("anthropic-beta: `interleaved-thinking-2025-05-14` is not valid", False),
        ("invalid model name claude-thinking", False),
        ("Expected `thinking` or `redacted_thinking`, but found `tool_use`", False),
        ("corrupt" * 300, False),
        ("thinking.type.enabled is not supported for this model", False),
        ("tools.0.input_schema: invalid schema", False),
    ],
)
def test_a_messages_vendor_says_that_it_does_not_take_reasoning_back(text: str, refused: bool) -> None:
    assert MESSAGES is not None
    assert MESSAGES.refused(error_of(ErrorKind.BAD_REQUEST, text)) is refused
    assert not MESSAGES.refused(error_of(ErrorKind.SERVER, text))
