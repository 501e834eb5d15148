"""Where a Messages request holds reasoning state, and how it goes without.  Source: protocols.md 2.4 R3, R11 to R13."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rotator.api import ErrorKind, NeutralError, Stripped

#: What the API says of thinking that it does not take back; settings of thinking are another matter.
#: Source: protocols.md 7.7, 2.4 R11; conversion-pitfalls.md P126.
REFUSED: Final = re.compile(
    r"bound to a different conversation"
    r"|\binvalid\W{1,3}(?:signature|data)\W{1,3}in\W{1,3}(?:redacted_)?thinking\b"
    r"|\.(?:redacted_)?thinking\.(?:signature|data)\b"
    r"|\b(?:redacted_)?thinking\W{1,3}blocks?\b.{0,80}"
    r"(?:cannot be modified|\binvalid\b|not valid|expired|could not be verified)"
    r"|\b(?:invalid|malformed|corrupt(?:ed)?) .{0,30}thinking\W{0,3} block",
    re.IGNORECASE | re.DOTALL,
)
#: Blocks of thinking, and the member that holds their state.
STATES: Final = {"thinking": "signature", "redacted_thinking": "data"}
#: How the edits of ``context_management`` begin that are about thinking.
CLEARING: Final = "clear_thinking"


class MessagesState:
    """See ``rotator.neutral.bound.BoundState``."""

    marks = (b'"signature"', b'"redacted_thinking"')

    def found(self, body: Mapping[str, Any]) -> Iterator[str]:
        for message in _objects(body.get("messages")):
            for block in _objects(message.get("content")):
                if (member := _member(block)) is not None and isinstance(state := block.get(member), str):
                    yield state

    def strip(self, body: dict[str, Any], foreign: Callable[[str], bool]) -> Stripped:
        """A message of nothing else goes, too; where the API wants thinking before a call, none is asked for."""
        taken = False
        kept: list[Any] = []
        for message in body["messages"] if isinstance(body.get("messages"), list) else ():
            content = message.get("content") if isinstance(message, dict) else None
            if not isinstance(content, list):
                kept.append(message)
                continue
            left = [block for block in content if not _is_foreign(block, foreign)]
            taken |= len(left) < len(content)
            if left or not content:
                kept.append({**message, "content": left} if len(left) < len(content) else message)
        if not taken:
            return Stripped(False)
        body["messages"] = kept
        return Stripped(True, ("reasoning.off",) if think_not(body) else ())

    def refused(self, error: NeutralError) -> bool:
        return error.kind is ErrorKind.BAD_REQUEST and REFUSED.search(error.message) is not None


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) else ""


def _member(block: Any) -> str | None:
    """Where a block holds its state, None where it is no reasoning."""
    return STATES.get(_kind(block))


def _is_foreign(block: Any, foreign: Callable[[str], bool]) -> bool:
    member = _member(block)
    if member is None:
        return False
    state = block.get(member)
    return foreign(state if isinstance(state, str) else "")


def think_not(body: dict[str, Any]) -> bool:
    """Switch thinking off where the API would demand it in a turn under way that has none; whether that was so.

    Thinking with a budget demands it first in a turn whose calls were just answered; adaptive thinking demands
    nothing. What is to be cleared of thinking goes with it (P-95). Source: protocols.md 2.4 R3.
    """
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled" or not in_tool_loop(body["messages"]):
        return False
    del body["thinking"]
    management = body.get("context_management")
    if isinstance(management, dict) and isinstance(edits := management.get("edits"), list):
        left = [one for one in edits if not _kind(one).startswith(CLEARING)]
        if left:
            body["context_management"] = {**management, "edits": left}
        else:
            del body["context_management"]
    return True


def in_tool_loop(messages: list[Any]) -> bool:
    """Whether the last assistant's turn holds calls, was answered with their results, and begins without thinking."""
    answered = False
    for message in reversed(messages):
        content = message.get("content") if isinstance(message, dict) else None
        kinds = [_kind(one) for one in _objects(content)]
        if not isinstance(message, dict) or message.get("role") != "assistant":
            answered |= "tool_result" in kinds
            if answered or (isinstance(message, dict) and message.get("role") == "system"):
                continue
            return False
        return answered and "tool_use" in kinds and kinds[0] not in STATES
    return False
