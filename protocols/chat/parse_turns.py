"""A client's messages as turns.  Source: protocols.md 2.1, 2.3, 2.4, 2.8 (row "Chat")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from rotator.api import (
    Media,
    Opaque,
    Part,
    Path,
    Reasoning,
    Refusal,
    State,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    dumps,
)

from .._reading import Fields, refuse
from .answer_parts import is_sealed
from .parse_parts import parse_content
from .spelling import NAME, nested, read_mark, read_name

_MARKS: Final = frozenset(("cache_control", "prompt_cache_breakpoint"))
#: What most messages hold: a speaker's, a tool's, an assistant's.
_SPOKEN: Final = frozenset(("role", "content"))
_ANSWER: Final = frozenset(("role", "content", "tool_call_id"))
_PLAIN: Final = frozenset(("role", "content", "tool_calls"))
_RESULTS: Final = frozenset(("tool", "function"))
_SPEAKERS: Final[Mapping[str, Literal["system", "developer", "user"]]] = {
    "system": "system", "developer": "developer", "user": "user"
}


def parse_turns(messages: list[Any]) -> tuple[Turn, ...]:
    """One turn for each message, but one for all ``tool`` and ``function`` messages in a row."""
    turns: list[Turn] = []
    results: list[ToolResult] = []
    customs: set[str] = set()
    for place, message in enumerate(messages):
        at = ("messages", place)
        fields = Fields(message, at)
        role = fields.word("role")
        if role in _RESULTS:
            results.append(_result(role, message, fields, customs))
            continue
        if results:
            turns.append(Turn("tool", tuple(results), at=results[0].at))
            results = []
        if role == "assistant":
            turns.append(_assistant(message, fields, customs))
        elif (speaker := _SPEAKERS.get(role)) is not None:
            turns.append(_speech(speaker, message, fields))
        else:
            refuse((*at, "role"), "must be system, developer, user, assistant, tool or function")
    if results:
        turns.append(Turn("tool", tuple(results), at=results[0].at))
    return tuple(turns)


def _speech(role: Literal["system", "developer", "user"], message: Mapping[str, Any], fields: Fields) -> Turn:
    at = fields.at
    parts = parse_content(fields.raw("content"), (*at, "content"))
    if message.keys() <= _SPOKEN:
        return Turn(role, tuple(parts), at=at)
    _mark(parts, message, fields)
    return Turn(role, tuple(parts), fields.text("name") or "", at=at, rest=fields.rest())


def _assistant(message: Mapping[str, Any], fields: Fields, customs: set[str]) -> Turn:
    """Reasoning, content, refusal, images, audio and calls, in this order; ``customs`` gets the ids of custom calls."""
    at = fields.at
    plain = message.keys() <= _PLAIN
    parts: list[Part] = [] if plain else _reasoning(fields)
    parts += parse_content(fields.raw("content"), (*at, "content"))
    if not plain:
        parts += _beside(message, fields)
    for place, value in enumerate(fields.list("tool_calls") or ()):
        call = _call(value, (*at, "tool_calls", place))
        if call.kind == "custom":
            customs.add(call.id)
        parts.append(call)
    parts = _once(parts)
    if plain:
        return Turn("assistant", tuple(parts), at=at)
    if (legacy := fields.fields("function_call")) is not None:
        function, arguments = _function(legacy)
        parts.append(ToolCall("", function, arguments, at=legacy.at, rest=legacy.rest()))
    _mark(parts, message, fields)
    return Turn("assistant", tuple(parts), fields.text("name") or "", at=at, rest=fields.rest())


def _once(parts: list[Part]) -> list[Part]:
    """Without calls that some clients tell a second time, as Messages' blocks in the content (protocols.md P-149)."""
    if not any(isinstance(part, Opaque) and part.type == "tool_use" for part in parts):
        return parts
    ids = {part.id for part in parts if isinstance(part, ToolCall)}
    return [part for part in parts if not (isinstance(part, Opaque) and part.data.get("id") in ids)]


def _beside(message: Mapping[str, Any], fields: Fields) -> list[Part]:
    """What an assistant's message holds beside its content."""
    parts: list[Part] = []
    if refusal := fields.text("refusal"):
        parts.append(Refusal(refusal, at=(*fields.at, "refusal")))
    parts += parse_content(fields.list("images"), (*fields.at, "images"))
    if message.get("annotations") == []:
        fields.drop("annotations")  # of an answer that the client sends back whole
    if (audio := fields.mapping("audio")) is not None:
        words = audio.get("transcript")
        text = words if isinstance(words, str) else ""
        parts.append(Opaque(NAME, "audio", audio, "reference", text, at=(*fields.at, "audio")))
    return parts


def _reasoning(fields: Fields) -> list[Part]:
    """One part for all names under which compatible servers keep the reasoning.  Source: protocols.md 2.4, 4.3.

    Where the client used another than ``reasoning_content`` alone, ``rest`` holds the members as they were.

    What another protocol's vendor wrote stands in sealed entries of ``reasoning_details``, block by block; the other
    members then hold the same words.
    """
    found = {
        "reasoning_content": fields.text("reasoning_content"),
        "reasoning": fields.text("reasoning"),
        "reasoning_details": fields.list("reasoning_details") or None,
    }
    found = {name: value for name, value in found.items() if value is not None}
    if not found:
        return []
    if parts := _sealed_blocks(found.get("reasoning_details", ()), fields.at):
        return parts
    at = (*fields.at, next(iter(found)))
    text = found.get("reasoning_content") or found.get("reasoning")
    thoughts = (Thought(text),) if text else _thoughts(found.get("reasoning_details", ()))
    rest = {} if found.keys() == {"reasoning_content"} else found
    return [Reasoning(thoughts, at=at, rest=rest)]


def _sealed_blocks(details: Any, at: Path) -> list[Part]:
    """A part for each sealed entry, and one for all others behind them; none where nothing is sealed.

    Only the engine knows what an envelope holds: the kind is what the entry shows of it.
    """
    parts: list[Part] = []
    others: list[Any] = []
    for place, detail in enumerate(details):
        signature, data = (detail.get("signature"), detail.get("data")) if isinstance(detail, dict) else (None, None)
        if is_sealed(signature):
            state = State("signature", signature)
        elif is_sealed(data):
            state = State("encrypted", data)
        else:
            others.append(detail)
            continue
        parts.append(Reasoning(_thoughts((detail,)), state, at=(*at, "reasoning_details", place)))
    if parts and others:
        rest = {"reasoning_details": others}
        parts.append(Reasoning(_thoughts(others), at=(*at, "reasoning_details"), rest=rest))
    return parts


def _thoughts(details: Any) -> tuple[Thought, ...]:
    """The words in OpenRouter's ``reasoning_details``: ``text`` is raw, ``summary`` a summary."""
    thoughts = []
    for detail in details:
        if not isinstance(detail, dict):
            continue
        text, summary = detail.get("text"), detail.get("summary")
        if isinstance(text, str) and text:
            thoughts.append(Thought(text))
        elif isinstance(summary, str) and summary:
            thoughts.append(Thought(summary, "summary"))
    return tuple(thoughts)


def _call(value: Any, at: Path) -> ToolCall:
    """One of ``tool_calls``; ``type`` may be missing, and a type of a vendor's own is kept beside its function."""
    fields = Fields(value, at)
    id = fields.text("id") or ""
    if len(value) == 3 and (plain := _plain_call(id, value, at)) is not None:
        return plain
    kind = fields.text("type")
    mark, state = read_mark(value, fields), _signature(value, fields)
    function = fields.fields("function")
    if function is not None:
        name, text = _function(function)
        rest = nested(fields.rest(), function=function.rest())
        if kind is not None and kind != "function":
            rest = {**rest, "type": kind}
        return ToolCall(id, name, text, cache=mark, state=state, at=at, rest=rest)
    custom = fields.fields("custom")
    if custom is None:
        refuse(at, "must hold function or custom")
    name, text = read_name(custom), custom.text("input") or ""
    rest = nested(fields.rest(), custom=custom.rest())
    return ToolCall(id, name, text, "custom", cache=mark, state=state, at=at, rest=rest)


def _plain_call(id: str, value: Mapping[str, Any], at: Path) -> ToolCall | None:
    """The usual shape: an agent's conversation holds many of them."""
    function = value.get("function")
    if value.get("type") != "function" or not isinstance(function, dict) or len(function) != 2:
        return None
    name, text = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name or not isinstance(text, str):
        return None
    return ToolCall(id, name, text, at=at) if "id" in value else None


def _signature(value: Mapping[str, Any], fields: Fields) -> State | None:
    """Google's thought signature on a call.  Source: protocols.md 2.4, row "Signature"."""
    match value.get("extra_content"):
        case {"google": {"thought_signature": str(signature), **beside}, **others} if not beside and not others:
            fields.drop("extra_content")
            return State("signature", signature)
    return None


def _function(fields: Fields) -> tuple[str, str]:
    """The name and the arguments of a call; arguments as an object are how Ollama writes them."""
    name = read_name(fields)
    arguments = fields.raw("arguments")
    if isinstance(arguments, dict):
        return name, dumps(arguments).decode()
    if arguments is not None and not isinstance(arguments, str):
        refuse((*fields.at, "arguments"), "must be a string")
    return name, arguments or ""


def _result(role: str, message: Mapping[str, Any], fields: Fields, customs: set[str]) -> ToolResult:
    """A ``tool`` message, or the older ``function`` message, which names the function and no call."""
    call_id, name = "", ""
    if role == "function":
        name = read_name(fields)
    else:
        call_id, name = fields.text("tool_call_id") or "", fields.text("name") or ""
    content = tuple(parse_content(fields.raw("content"), (*fields.at, "content")))
    kind: Literal["custom", "function"] = "custom" if call_id in customs else "function"
    if message.keys() <= _ANSWER:
        return ToolResult(call_id, content, kind=kind, at=fields.at)
    mark = read_mark(message, fields)
    return ToolResult(call_id, content, name, None, kind, cache=mark, at=fields.at, rest=fields.rest())


def _mark(parts: list[Part], message: Mapping[str, Any], fields: Fields) -> None:
    """A mark on a message stands behind its last part that can carry one; without such a part it stays in ``rest``."""
    if message.keys().isdisjoint(_MARKS):
        return
    for place in reversed(range(len(parts))):
        part = parts[place]
        if isinstance(part, Text | Media | ToolCall):
            mark = read_mark(message, fields)
            if part.cache is None:
                parts[place] = replace(part, cache=mark)
            return
