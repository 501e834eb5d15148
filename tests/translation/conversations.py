"""Conversations that hypothesis makes up, in the words of both protocols, and what they say in no protocol's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from rotator.neutral.parts import Media, Part, Text, ToolCall, ToolResult
from rotator.neutral.request import Request

from .words import (
    PNG,
    Body,
    a_base64,
    a_result,
    a_tool,
    a_use,
    assistant,
    c_call,
    c_calling,
    c_image,
    c_result,
    c_tool,
    compact,
    system,
    text,
    user,
)

NAMES = ("lookup", "weather")
C_DECLARED, A_DECLARED = [c_tool(name) for name in NAMES], [a_tool(name) for name in NAMES]


@dataclass(frozen=True, slots=True)
class Call:
    """A call and what it gave."""

    id: str
    name: str
    arguments: Body
    result: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a user says, the rounds of calls that follow, and the answer; "" where the user goes on without one."""

    instruction: str
    says: str
    picture: bool
    rounds: tuple[tuple[Call, ...], ...]
    answer: str


#: Words that are visible, in any script.
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=12).filter(str.strip)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
IDS = st.sampled_from(("call_1", "call_2", "toolu_01", "functions.lookup:0", "f.0", "f:0", "\u00e9", "x" * 70))
CALLS = st.builds(Call, IDS, st.sampled_from(NAMES), st.dictionaries(WORDS, VALUES, max_size=2), WORDS)
ROUNDS = st.lists(CALLS, min_size=1, max_size=3, unique_by=lambda call: call.id).map(tuple)
EXCHANGES = st.builds(
    Exchange,
    st.just("") | WORDS,
    WORDS,
    st.booleans(),
    st.lists(ROUNDS, max_size=2).map(tuple),
    st.just("") | WORDS,
)
CONVERSATIONS = st.lists(EXCHANGES, min_size=1, max_size=4).map(tuple)


def told(protocol: str, exchanges: Sequence[Exchange]) -> list[list[Body]]:
    """The messages, in steps: what a client's request gains from one to the next, a question at the end of each."""
    steps: list[list[Body]] = [[]]
    for exchange in exchanges:
        steps[-1] += [system(exchange.instruction)] if exchange.instruction else []
        steps[-1].append(_question(protocol, exchange))
        steps.append([])
        for calls in exchange.rounds:
            steps[-1] += _called(protocol, calls)
            steps.append([])
        steps[-1] += [assistant(exchange.answer)] if exchange.answer else []
    return [step for step in steps[:-1] if step]


def body(protocol: str, steps: Sequence[Sequence[Body]]) -> Body:
    """The request after these steps."""
    messages = [message for step in steps for message in step]
    if protocol == "chat":
        return {"model": "m", "messages": messages, "tools": C_DECLARED}
    return {"model": "m", "max_tokens": 64, "messages": messages, "tools": A_DECLARED}


def _question(protocol: str, exchange: Exchange) -> Body:
    if not exchange.picture:
        return user(exchange.says)
    picture = c_image(f"data:image/png;base64,{PNG}") if protocol == "chat" else a_base64()
    return user(text(exchange.says), picture)


def _called(protocol: str, calls: Sequence[Call]) -> list[Body]:
    if protocol == "chat":
        made = [c_call(call.id, compact(call.arguments), call.name) for call in calls]
        return [c_calling(*made), *(c_result(call.result, id=call.id) for call in calls)]
    made = [a_use(call.id, call.arguments, call.name) for call in calls]
    return [assistant(*made), user(*(a_result(call.result, id=call.id) for call in calls))]


def meaning(request: Request) -> list[tuple[Any, ...]]:
    """What is said, in order: by whom, or which call with which arguments, or the result of the call so far back."""
    calls: list[str] = []
    said: list[tuple[Any, ...]] = []
    for turn in request.turns:
        role = "system" if turn.role == "developer" else turn.role
        for part in turn.parts:
            said.append(_meant(role, part, calls))
    return said


def _meant(role: str, part: Part, calls: list[str]) -> tuple[Any, ...]:
    match part:
        case Text(words):
            return role, words
        case Media(kind, source):
            return role, kind, source.form, source.value
        case ToolCall(id, name, arguments):
            calls.append(id)
            return "call", name, json.loads(arguments)
        case ToolResult(id, parts):
            back = calls[::-1].index(id)
            return "result", back, *(_meant("", inner, calls) for inner in parts)
    return (part,)
