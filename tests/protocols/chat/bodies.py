"""Requests for the tests of Chat: in its own JSON, and neutral ones as clients of other protocols make them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rotator.neutral.codec import Built
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import Part, Text, ToolCall, ToolResult
from rotator.neutral.request import Request, Role, Tool, Turn
from tests.upstreams import PROTOCOLS


def module(name: str) -> Any:
    """A module of the plug-in, as discovery loaded it."""
    assert "chat" in PROTOCOLS
    return import_module(f"rotator.plugins.protocols.chat.{name}")


parse, build, ChatDialect = module("parse").parse, module("build").build, module("dialect").ChatDialect
spelling = module("spelling")
Breakpoint, SafetyIdentifier = spelling.Breakpoint, spelling.SafetyIdentifier

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
WAV = "UklGRiQAAABXQVZF"
CAT = "https://img.example/cat.png"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}}
STRICT: dict[str, Any] = {**SCHEMA, "required": ["q"], "additionalProperties": False}
MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
POINT: dict[str, Any] = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}

# ---------------------------------------------------------------- Chat's own JSON


def body(*messages: Any, **more: Any) -> dict[str, Any]:
    """A client's request; without messages a user says Hi."""
    return {"model": "m", "messages": list(messages) or [user("Hi")], **more}


def system(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "system", "content": content, **more}


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def assistant(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def image(url: Any = CAT, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def call(id: str = "call_1", name: str = "lookup", arguments: str = '{"q":"x"}', **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def custom_call(id: str = "call_1", name: str = "run", input: str = "ls") -> dict[str, Any]:
    return {"id": id, "type": "custom", "custom": {"name": name, "input": input}}


def result(content: Any = "found", id: str = "call_1", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content, **more}


def function(name: str = "lookup", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def parsed(wire: dict[str, Any]) -> Request:
    """What the client role makes of a body."""
    found: Request = parse(wire, "m", wire.get("stream") is True, Ledger())
    return found


def replayed(wire: dict[str, Any], **dialect: Any) -> tuple[dict[str, Any], list[str]]:
    """What an upstream gets of a Chat client's body, and the codes of what is lost."""
    return written(parsed(wire), **dialect)


# ---------------------------------------------------------------- other protocols' clients


def said(role: Role, *parts: Part | str, **more: Any) -> Turn:
    """A turn; strings are texts."""
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in parts), **more)


HI, GO = said("user", "Hi"), said("user", "Go on")


def called(id: str = "call_1", arguments: str = '{"q":"x"}', name: str = "lookup", **more: Any) -> ToolCall:
    return ToolCall(id, name, arguments, **more)


def gave(id: str = "call_1", *parts: Part | str, **more: Any) -> ToolResult:
    return ToolResult(id, tuple(Text(part) if isinstance(part, str) else part for part in parts), **more)


TOOLS = (Tool("lookup", schema=SCHEMA),)


def asked(*turns: Turn, **more: Any) -> Request:
    """Another protocol's client's request; without turns a user says Hi."""
    return Request("messages", "m", turns or (HI,), **more)


def built(request: Request, **dialect: Any) -> tuple[Built, list[str]]:
    """What an upstream gets, and the codes of what is lost on the way."""
    ledger = Ledger()
    made = build(request, ChatDialect(**dialect), ledger)
    return made, [loss.code for loss in ledger.losses]


def written(request: Request, **dialect: Any) -> tuple[dict[str, Any], list[str]]:
    """The body alone, and the codes."""
    made, codes = built(request, **dialect)
    return made.body, codes


def messages(*turns: Turn, dialect: dict[str, Any] | None = None, **more: Any) -> tuple[list[Any], list[str]]:
    """The messages of a conversation, and the codes of what is lost."""
    made, codes = built(asked(*turns, **more), **(dialect or {}))
    return made.body["messages"], codes


def noted(request: Request) -> list[Note]:
    """The notes of a conversion."""
    notes: list[Note] = []
    build(request, ChatDialect(), Ledger(notes))
    return notes
