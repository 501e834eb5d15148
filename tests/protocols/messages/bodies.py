"""Requests for the tests of Messages: in its own JSON, and neutral ones as clients of other protocols make them."""

from __future__ import annotations

from typing import Any

from rotator.plugins.protocols.messages.build import build
from rotator.plugins.protocols.messages.dialect import MessagesDialect
from rotator.plugins.protocols.messages.losses import REQUEST_LOSSES
from rotator.plugins.protocols.messages.parse import parse

from rotator.neutral.codec import Built
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import Part, Text, ToolCall, ToolResult
from rotator.neutral.request import Request, Role, Tool, Turn

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
CAT = "https://img.example/cat.png"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}}
STRICT: dict[str, Any] = {**SCHEMA, "required": ["q"], "additionalProperties": False}
MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}


def body(*messages: Any, **more: Any) -> dict[str, Any]:
    """A client's request; without messages a user says Hi."""
    said = list(messages) or [{"role": "user", "content": "Hi"}]
    return {"model": "m", "max_tokens": 64, "messages": said, **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def user(*content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": _content(content), **more}


def assistant(*content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": _content(content), **more}


def system(*content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "system", "content": _content(content), **more}


def _content(content: tuple[Any, ...]) -> Any:
    """A single string or list is the content itself."""
    return content[0] if len(content) == 1 and isinstance(content[0], str | list) else list(content)


def use(id: str = "call_1", input: Any = None, name: str = "lookup", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {"q": "x"} if input is None else input, **more}


def result(content: Any = "found", id: str = "call_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def tool(name: str = "lookup", **more: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": SCHEMA, **more}


def parsed(wire: dict[str, Any]) -> Request:
    """What the client role makes of a body."""
    return parse(wire, "m", wire.get("stream") is True, Ledger())


# ---------------------------------------------------------------- other protocols' clients


def said(role: Role, *parts: Part | str, **more: Any) -> Turn:
    """A turn; strings are texts."""
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in parts), **more)


HI, GO = said("user", "Hi"), said("user", "Go on")


def called(id: str = "call_1", arguments: str = '{"q":"x"}', name: str = "lookup", **more: Any) -> ToolCall:
    return ToolCall(id, name, arguments, **more)


def gave(id: str = "call_1", words: str = "found", **more: Any) -> ToolResult:
    return ToolResult(id, (Text(words),) if words else (), **more)


TOOLS = (Tool("lookup", schema=SCHEMA),)


def asked(*turns: Turn, **more: Any) -> Request:
    """A Chat client's request; without turns a user says Hi."""
    return Request("chat", "m", turns or (HI,), **more)


def built(request: Request, **dialect: Any) -> tuple[Built, list[str]]:
    """What an upstream gets, and the codes of what is lost on the way."""
    ledger = Ledger()
    made = build(request, MessagesDialect(**dialect), ledger)
    codes = [loss.code for loss in ledger.losses]
    assert REQUEST_LOSSES.keys() >= set(codes)
    return made, codes


def messages(*turns: Turn, **more: Any) -> tuple[list[Any], list[str]]:
    """The messages of a conversation, and the codes of what is lost."""
    made, codes = built(asked(*turns, **more))
    return made.body["messages"], codes


def noted(request: Request) -> list[Note]:
    """The notes of a conversion."""
    notes: list[Note] = []
    build(request, MessagesDialect(), Ledger(notes))
    return notes
