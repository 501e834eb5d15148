"""Where Chat requests hold reasoning state, how they go without it, and how vendors refuse it."""

import json
from typing import Any

import pytest

from rotator.neutral.error import ErrorKind, error_of
from tests.upstreams import PROTOCOLS

CHAT = PROTOCOLS["chat"].state
HI = {"role": "user", "content": "Hi"}


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


SEALED = {"type": "reasoning.text", "text": "Hm.", "signature": "rot1.a.b.c", "index": 0}
WORDS = {"type": "reasoning.text", "text": "Hm.", "index": 1}
HIDDEN = {"type": "reasoning.encrypted", "data": "gAAA", "index": 2}


def call(**extra: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {**made, "extra_content": extra} if extra else made


@pytest.mark.pitfall("C121")
def test_every_state_of_a_chat_request_is_found() -> None:
    assert CHAT is not None
    message = {"role": "assistant", "reasoning_details": [SEALED, WORDS, HIDDEN, 3], "tool_calls": [call(), 3]}
    signed = {"role": "assistant", "tool_calls": [call(google={"thought_signature": "rot1.x"}), call(google=1)]}
    body = asked(HI, message, signed, {"role": "assistant", "reasoning_details": "odd"})
    assert list(CHAT.found(body)) == ["rot1.a.b.c", "gAAA", "rot1.x"]
    assert any(mark in json.dumps(body).encode() for mark in CHAT.marks)
    assert not any(mark in json.dumps(asked(HI)).encode() for mark in CHAT.marks)


def test_foreign_state_of_a_chat_request_is_taken_out_alone() -> None:
    assert CHAT is not None
    google = {"thought_signature": "rot1.x"}
    body = asked(
        HI,
        {"role": "assistant", "content": "A", "reasoning_details": [SEALED, WORDS, HIDDEN]},
        {"role": "assistant", "content": None, "reasoning_details": [SEALED], "tool_calls": [call(google=google)]},
        {"role": "assistant", "tool_calls": [call(google={**google, "more": 1}, other=2)]},
    )
    assert CHAT.strip(body, lambda state: state.startswith("rot1.")) == (True, ())
    assert body == asked(
        HI,
        {"role": "assistant", "content": "A", "reasoning_details": [WORDS, HIDDEN]},
        {"role": "assistant", "content": None, "tool_calls": [call()]},
        {"role": "assistant", "tool_calls": [call(google={"more": 1}, other=2)]},
    )
    assert not CHAT.strip(body, lambda state: state.startswith("rot1.")).taken
    assert not CHAT.strip({"messages": 1}, lambda _: True).taken
    assert not CHAT.strip(asked({"role": "assistant", "reasoning_details": []}), lambda _: True).taken


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("Invalid thought_signature in function call", True),
        ("reasoning_details.0.signature: could not be verified", True),
        ("Unable to submit request because function call is missing a thought signature", True),
        ("The encrypted content gAAA could not be verified", True),
        ("messages.1.content.0: Invalid signature in thinking block", True),
        ("Invalid entry in reasoning_details", True),
        ("Invalid value for 'temperature'", False),
        ("Invalid value: 'reasoning_effort'", False),
        ("temperature is out of bounds for reasoning models", False),
        ("Invalid model: deepseek-reasoning", False),
        ("Missing `reasoning_content` field in the assistant message at index 1", False),
        ("corrupt" * 300, False),
    ],
)
def test_a_chat_vendor_says_that_it_does_not_take_reasoning_back(text: str, refused: bool) -> None:
    assert CHAT is not None
    assert CHAT.refused(error_of(ErrorKind.BAD_REQUEST, text)) is refused
    assert not CHAT.refused(error_of(ErrorKind.RATE_LIMITED, text))
