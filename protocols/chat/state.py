"""Where a Chat request holds reasoning state.  Source: protocols.md 2.4; conversion-pitfalls.md P121, P126.

Chat itself has none; gateways keep it in ``reasoning_details`` and beside calls, and so do we for foreign answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rotator.api import ErrorKind, NeutralError, Stripped

#: What vendors say of state that they do not take back; that one wants more of it (``reasoning_content``), or another
#: setting, is none of this.  Source: protocols.md 2.4 R4, R5, R11; conversion-pitfalls.md P126, P131.
REFUSED: Final = re.compile(
    r"\bthought[_ ]signature"
    r"|\bencrypted[_ ](?:content|reasoning)\b.{0,80}(?:\binvalid\b|not valid|could not|cannot)"
    r"|\b(?:invalid|could not|cannot) .{0,40}encrypted[_ ](?:content|reasoning)\b"
    r"|\breasoning_details\b.{0,80}(?:\binvalid\b|not valid|could not|cannot)"
    r"|\binvalid .{0,40}reasoning_details\b"
    r"|\binvalid\W{1,3}signature\W{1,3}in\W{1,3}thinking\b|bound to a different conversation",
    re.IGNORECASE | re.DOTALL,
)
#: Members of an entry of ``reasoning_details`` that hold state.
STATES: Final = ("signature", "data")


class ChatState:
    """See ``rotator.neutral.bound.BoundState``."""

    marks = (b'"reasoning_details"', b'"thought_signature"')

    def found(self, body: Mapping[str, Any]) -> Iterator[str]:
        for message in _objects(body.get("messages")):
            yield from states_of(message)

    def strip(self, body: dict[str, Any], foreign: Callable[[str], bool]) -> Stripped:
        """Entries that are mere words stay."""
        taken = False
        messages = body.get("messages")
        for place, message in enumerate(messages if isinstance(messages, list) else ()):
            if isinstance(message, dict) and message.keys() & {"reasoning_details", "tool_calls"}:
                left = _stripped(message, foreign)
                if left != message:
                    taken = True
                    body["messages"][place] = left
        return Stripped(taken)

    def refused(self, error: NeutralError) -> bool:
        return error.kind is ErrorKind.BAD_REQUEST and REFUSED.search(error.message) is not None


def states_of(message: Mapping[str, Any]) -> Iterator[str]:
    """The states in a message of a request, or in a message or delta of an answer."""
    for entry in _objects(message.get("reasoning_details")):
        yield from (state for name in STATES if (state := _word(entry.get(name))))
    for call in _objects(message.get("tool_calls")):
        if state := _signature(call):
            yield state


def _stripped(message: dict[str, Any], foreign: Callable[[str], bool]) -> dict[str, Any]:
    left = dict(message)
    details = left.get("reasoning_details")
    if isinstance(details, list):
        kept = [one for one in details if not _is_foreign(one, foreign)]
        if kept:
            left["reasoning_details"] = kept
        elif details:
            del left["reasoning_details"]
    calls = left.get("tool_calls")
    if isinstance(calls, list):
        left["tool_calls"] = [_unsigned(call) if _foreign_call(call, foreign) else call for call in calls]
    return left


def _is_foreign(entry: Any, foreign: Callable[[str], bool]) -> bool:
    states = [_word(entry.get(name)) for name in STATES] if isinstance(entry, dict) else []
    return any(state and foreign(state) for state in states)


def _foreign_call(call: Any, foreign: Callable[[str], bool]) -> bool:
    state = _signature(call) if isinstance(call, dict) else ""
    return bool(state) and foreign(state)


def _unsigned(call: dict[str, Any]) -> dict[str, Any]:
    """A call without its signature; what else stands beside it stays."""
    google = {name: value for name, value in call["extra_content"]["google"].items() if name != "thought_signature"}
    extra = {**call["extra_content"], "google": google} if google else dict(call["extra_content"])
    if not google:
        del extra["google"]
    left = {name: value for name, value in call.items() if name != "extra_content"}
    return {**left, "extra_content": extra} if extra else left


def _signature(call: Mapping[str, Any]) -> str:
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return _word(google.get("thought_signature")) if isinstance(google, dict) else ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
