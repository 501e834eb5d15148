"""The turns of Chat's own client as the messages that they were.

Nothing is repaired: whoever writes Chat to a Chat upstream gets the upstream's own answer to it (design.md 2.2).
"""

from __future__ import annotations

from rotator.api import Ledger, Opaque, Part, Reasoning, Refusal, Request, ToolCall, ToolResult, Turn

from .._shared import fresh
from .answer_parts import kept_detail
from .build_media import Wire
from .build_parts import Content
from .build_turns import spoken_role
from .dialect import ChatDialect
from .spelling import NAME, put_mark, put_rest


class Replay:
    """Writes the messages of one request."""

    __slots__ = ("_content", "_dialect", "_ledger", "_request")

    def __init__(self, request: Request, dialect: ChatDialect, ledger: Ledger) -> None:
        self._request = request
        self._dialect = dialect
        self._ledger = ledger
        self._content = Content(request, dialect, ledger)

    def messages(self) -> list[Wire]:
        """One for each turn, and for each result."""
        messages: list[Wire] = []
        for turn in self._request.turns:
            if turn.role == "tool":
                messages += [self._result(part) for part in turn.parts if isinstance(part, ToolResult)]
                continue
            if turn.role == "assistant":
                message = self._assistant(turn)
            else:
                role = spoken_role(turn, self._dialect, self._ledger)
                message = {"role": role, "content": self._content.of(turn.parts)}
            if turn.name:
                message["name"] = turn.name
            if turn.rest:
                put_rest(message, turn.rest)
            messages.append(message)
        return messages

    def _assistant(self, turn: Turn) -> Wire:
        """Members that are null or "" are left out, but for content."""
        said: list[Part] = []
        beside: Wire = {}
        for part in turn.parts:
            if isinstance(part, ToolCall):
                _call(beside, part)
            elif isinstance(part, Reasoning):
                _reasoning(beside, part)
            elif isinstance(part, Opaque) and part.type == "audio" and part.protocol == NAME:
                beside["audio"] = fresh(part.data)
            elif part.at[2:3] == ("images",):
                beside.setdefault("images", []).extend(self._content.wire((part,)))
            else:
                said.append(part)
        if said and isinstance(last := said[-1], Refusal) and not last.rest:
            beside["refusal"] = last.text
            said.pop()
        content = self._content.of(tuple(said)) if said or beside.keys() <= _THOUGHT else None
        return {"role": "assistant", "content": content, **beside}

    def _result(self, part: ToolResult) -> Wire:
        """A result without a call's id but with a function's name was a ``function`` message."""
        message: Wire = {"role": "tool"}
        if part.call_id:
            message["tool_call_id"] = part.call_id
        elif part.name:
            message["role"] = "function"
        if part.name:
            message["name"] = part.name
        message["content"] = self._content.of(part.parts)
        put_mark(message, part.cache)
        put_rest(message, part.rest)
        return message


def _call(message: Wire, part: ToolCall) -> None:
    """One of ``tool_calls``, or the older ``function_call`` where the client wrote that."""
    if part.at[-1:] == ("function_call",):
        message["function_call"] = {"name": part.name, "arguments": part.arguments}
        put_rest(message["function_call"], part.rest)
        put_mark(message, part.cache)
        return
    call: Wire = {"id": part.id} if part.id else {}
    if part.kind == "custom":
        call["type"] = "custom"
        call["custom"] = {"name": part.name, "input": part.arguments}
    else:
        call["type"] = "function"
        call["function"] = {"name": part.name, "arguments": part.arguments}
    put_mark(call, part.cache)
    if part.state is not None:
        call["extra_content"] = {"google": {"thought_signature": part.state.value}}
    put_rest(call, part.rest)
    message.setdefault("tool_calls", []).append(call)


def _reasoning(message: Wire, part: Reasoning) -> None:
    """Under the names that the client used; sealed state in the entries that it was read from."""
    if part.state is not None:
        known = message.setdefault("reasoning_details", [])
        known.append(kept_detail(part.state, part.text, len(known)))
        return
    put_rest(message, part.rest or {"reasoning_content": part.text})


_THOUGHT = frozenset(("reasoning_content", "reasoning", "reasoning_details"))
