"""Parts -> content blocks for an upstream.  Source: protocols.md 2.2, 2.3, 2.4, 2.9 ("To Anthropic" 4, 5, 11).

Where the client speaks Messages too, blocks come back as it wrote them; for any other client what the block cannot say
is told as a loss.
"""

from __future__ import annotations

from typing import Any

from rotator.api import (
    Ledger,
    Media,
    NotJson,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
    ToolResult,
    wrapped_input,
)

from .._cache import cache_control as foreign_mark
from .._reading import refuse
from .._shared import fresh
from .build_media import document_source, image_source, own_source
from .jsonvalues import arguments_value
from .vocabulary import PROTOCOL

Block = dict[str, Any]
Marked = Text | Media | ToolCall | ToolResult
#: What a stream's pieces are put together by; official SDKs leave it in the call that they make of them.
QUIET = frozenset(("index",))


def cache_control(ttl: str | None) -> dict[str, Any]:
    """``{"type": "ephemeral"}`` with the ttl as the client spelt it."""
    return {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}


class Blocks:
    """Writes the blocks of one request.  ``own``: its client speaks Messages."""

    __slots__ = ("_ledger", "_tool_places", "own")

    def __init__(self, request: Request, ledger: Ledger) -> None:
        self.own = request.protocol == PROTOCOL
        self._ledger = ledger
        self._tool_places = [tool.at for tool in request.tools]

    def of(self, part: Part) -> Block | None:
        """The block of a part that is neither call nor result; None if nothing of it is sent."""
        match part:
            case Text():
                return self._text(part)
            case Media():
                return self._media(part)
            case Reasoning():
                return self._reasoning(part)
            case Refusal():
                return self._refusal(part)
            case Opaque():
                return self._opaque(part)
        raise TypeError(f"{type(part).__name__} has an id and is written by itself")

    def all(self, parts: tuple[Part, ...]) -> list[Block]:
        """The blocks of a tool result or a turn without calls."""
        return [block for part in parts if (block := self.of(part)) is not None]

    def call(self, part: ToolCall, id: str, name: str) -> Block:
        """``tool_use``.  ``id`` and ``name`` are those of the wire."""
        return self._finished({"type": "tool_use", "id": id, "name": name, "input": self._input(part)}, part)

    def result(self, part: ToolResult, id: str) -> Block:
        """``tool_result``; one without content is legal (protocols.md 2.8)."""
        block: Block = {"type": "tool_result", "tool_use_id": id}
        if part.parts:
            content = self.all(part.parts)
            if content:
                block["content"] = only_text(content)
        if part.is_error is not None:
            block["is_error"] = part.is_error
        return self._finished(block, part)

    def _text(self, part: Text) -> Block | None:
        block: Block = {"type": "text", "text": part.text}
        if self.own:
            if part.citations:
                block["citations"] = [fresh(one.raw) for one in part.citations]
        else:
            if not part.text.strip():
                self._ledger.note("messages.build.parts", "text.blank", part.at)
                return None
            if part.citations:
                self._ledger.lose("citations.history")
        return self._finished(block, part)

    def _media(self, part: Media) -> Block:
        if part.kind not in ("image", "document"):
            refuse(part.at, f"Messages takes no {part.kind}")
        block: Block = {"type": part.kind}
        if part.source.form == "parts" and part.kind == "document":
            block["source"] = {"type": "content", "content": self.all(part.source.parts)}
        elif self.own:
            block["source"] = own_source(part)
        else:
            block["source"] = image_source(part) if part.kind == "image" else document_source(part)
        if part.name and part.kind == "document":
            block["title"] = part.name
        elif part.name:
            self._ledger.lose("image.name", part.at)
        if part.detail not in (None, "auto"):
            self._ledger.lose("image.detail", part.at)
        return self._finished(block, part)

    def _reasoning(self, part: Reasoning) -> Block | None:
        """Reasoning would be refused without the vendor's own signature, and one for this account (2.4 R2, R3, R10)."""
        state = part.state
        if not self.own and (state is None or state.origin is None or state.kind == "encrypted"):
            self._ledger.lose("reasoning.history")
            return None
        rest = fresh(part.rest) if self.own else {}
        if state is not None and state.kind != "signature":
            return {"type": "redacted_thinking", "data": state.value, **rest}
        signature = "" if state is None else state.value
        return {"type": "thinking", "thinking": part.text, "signature": signature, **rest}

    def _refusal(self, part: Refusal) -> Block | None:
        """An assistant's text (protocols.md 2.2, "Refusal in history")."""
        self._ledger.lose_rest(part.rest, part.at)
        return {"type": "text", "text": part.text} if part.text.strip() else None

    def _opaque(self, part: Opaque) -> Block | None:
        if self.own and part.protocol == PROTOCOL:
            block: Block = fresh(part.data)
            return block
        if part.role == "hosted":
            self._ledger.lose("part.hosted")
        elif part.text:
            self._ledger.lose("part.foreign", part.at, part.type)
        elif part.role == "content":
            refuse(part.at, f"a part of the type {part.type!r} has no place in Messages")
        elif self._holds_tools(part):
            self._ledger.note("messages.build.parts", "part.tools", part.at)
        else:
            refuse(part.at, f"{part.type} points to what only its own vendor keeps")
        return {"type": "text", "text": part.text} if part.text.strip() else None

    def _holds_tools(self, part: Opaque) -> bool:
        """Tools that were declared here are among the request's tools (Responses, ``additional_tools``)."""
        return any(place[: len(part.at)] == part.at for place in self._tool_places)

    def _input(self, part: ToolCall) -> Any:
        """The arguments as an object.  Source: protocols.md 2.3, "Tool call in history"."""
        text = wrapped_input(part.arguments) if part.kind == "custom" else part.arguments
        value: Any = text
        try:
            value = arguments_value(text) if text else {}
            if isinstance(value, dict) or self.own:
                return value
        except NotJson:
            pass
        self._ledger.lose("arguments.invalid", part.at)
        return {"_raw": value}

    def _finished(self, block: Block, part: Marked) -> Block:
        """With the cache mark and what else the client said of it."""
        if self.own:
            if part.cache is not None:
                block["cache_control"] = cache_control(part.cache.ttl)
            if part.rest:
                _add_rest(block, fresh(part.rest))
            return block
        if part.cache is not None:
            block["cache_control"] = foreign_mark(part.cache)
        if part.state is not None:
            self._ledger.lose("reasoning.state")
        if part.rest:
            self._ledger.lose_rest(part.rest, part.at, QUIET)
        return block


def _add_rest(block: Block, rest: dict[str, Any]) -> None:
    """What ``source`` said beyond the known words goes back into it."""
    if "source" in block and "source" in rest:
        block["source"].update(rest.pop("source"))
    block.update(rest)


def only_text(blocks: list[Block]) -> str | list[Block]:
    """The text itself where a single block holds nothing else: the short form means the same."""
    if len(blocks) == 1 and len(blocks[0]) == 2 and blocks[0]["type"] == "text":
        text: str = blocks[0]["text"]
        return text
    return blocks
