"""Content blocks of a client's messages -> parts.  Source: protocols.md 2.2, 2.3, 2.4, 2.8.

Every reader gets the block's members and its cache mark, and gives its part, None where there is nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from rotator.api import (
    CacheMark,
    Citation,
    Media,
    Opaque,
    Part,
    Path,
    Reasoning,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)

from .._reading import Fields, refuse
from .hosted import hosted_words
from .jsonvalues import arguments_text
from .vocabulary import CITATION_KINDS, HOSTED_BLOCKS, PROTOCOL, REFERENCES, SOURCES

#: Where a list of blocks stands: the role of its message, or what holds it.
Place = Literal["user", "assistant", "system", "tool_result", "document"]

#: Where known blocks may stand; text and unknown ones may stand anywhere.
PLACES: Final[dict[str, frozenset[Place]]] = {
    "tool_use": frozenset(("assistant",)),
    "thinking": frozenset(("assistant",)),
    "redacted_thinking": frozenset(("assistant",)),
    "tool_result": frozenset(("user",)),
    "image": frozenset(("user", "assistant", "tool_result", "document")),
    "document": frozenset(("user", "assistant", "tool_result")),
    "search_result": frozenset(("user", "assistant", "tool_result")),
}

#: Reasoning takes no breakpoint; one on it stays in its rest.
UNMARKED: Final = frozenset(("thinking", "redacted_thinking"))


def read_content(value: Any, at: Path, place: Place) -> list[Part]:
    """``content``: a string or a list of blocks; null is nothing.  Empty texts are left out."""
    if type(value) is str:
        return [Text(value, at=at)] if value else []
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(at, "must be a string or a list")
    found = []
    for index, block in enumerate(value):
        part = read_block(block, (*at, index), place)
        if part is not None:
            found.append(part)
    return found


def read_block(value: Any, at: Path, place: Place) -> Part | None:
    """One block; what is not understood is kept whole."""
    if not isinstance(value, dict):
        refuse(at, "must be an object")
    kind = value.get("type")
    if kind == "text" and len(value) == 2 and type(text := value.get("text")) is str:
        return Text(text, at=at) if text else None
    if not isinstance(kind, str):
        refuse((*at, "type"), "is required" if kind is None else "must be a string")
    if place not in PLACES.get(kind, (place,)):
        refuse(at, f"a {kind} block has no place here")
    reader = _READERS.get(kind)
    if reader is None or (kind in SOURCES and _unknown_source(value, kind)):
        return _opaque(value, kind, at)
    fields = Fields(value, at)
    fields.drop("type")
    return reader(fields, None if kind in UNMARKED else read_cache(value, fields))


def read_cache(value: Mapping[str, Any], fields: Fields) -> CacheMark | None:
    """``cache_control`` of the object that ``fields`` reads; one that says more than a ttl stays in its rest."""
    mark = value.get("cache_control")
    if mark is None:
        return None
    if not isinstance(mark, dict):
        refuse((*fields.at, "cache_control"), "must be an object")
    ttl = mark.get("ttl")
    if mark.get("type") != "ephemeral" or mark.keys() - {"type", "ttl"} or not isinstance(ttl, str | None):
        return None
    fields.drop("cache_control")
    return CacheMark(ttl)


def _text(fields: Fields, cache: CacheMark | None) -> Text | None:
    text = fields.word("text")
    listed = fields.list("citations") or ()
    citations = tuple(_citation(one, (*fields.at, "citations", index)) for index, one in enumerate(listed))
    return Text(text, citations, cache=cache, at=fields.at, rest=fields.rest()) if text else None


def _citation(raw: Any, at: Path) -> Citation:
    """Positions count within the source, not within the text that leans on it.  Source: protocols.md 3.5."""
    if not isinstance(raw, dict):
        refuse(at, "must be an object")
    kind = CITATION_KINDS.get(_word(raw, "type"), "other")
    url = _word(raw, "source" if kind == "result" else "url")
    title = _word(raw, "document_title" if kind == "document" else "title")
    return Citation(kind, url, title, _word(raw, "cited_text"), raw=raw)


def _image(fields: Fields, cache: CacheMark | None) -> Media:
    source, media_type, left = _source(fields)
    rest = {**fields.rest(), **left}
    return Media("image", source, media_type, cache=cache, at=fields.at, rest=rest)


def _document(fields: Fields, cache: CacheMark | None) -> Media:
    source, media_type, left = _source(fields)
    title = fields.text("title") or ""
    rest = {**fields.rest(), **left}
    return Media("document", source, media_type, title, cache=cache, at=fields.at, rest=rest)


def _unknown_source(value: Mapping[str, Any], kind: str) -> bool:
    source = value.get("source")
    named = source.get("type") if isinstance(source, dict) else None
    return isinstance(named, str) and named not in SOURCES[kind]


def _source(fields: Fields) -> tuple[Source, str, dict[str, Any]]:
    """Where the content is, its type, and what else ``source`` says, under that name."""
    source = fields.fields("source")
    if source is None:
        refuse((*fields.at, "source"), "is required")
    match source.word("type"):
        case "base64":
            found = Source("base64", source.word("data"))
        case "url":
            found = Source("url", source.word("url"))
        case "file":
            found = Source("file_id", source.word("file_id"))
        case "text":
            found = Source("text", source.word("data"))
        case _:
            at = (*source.at, "content")
            found = Source("parts", parts=tuple(read_content(source.raw("content"), at, "document")))
    media_type = source.text("media_type") or ""
    rest = source.rest()
    return found, media_type, {"source": rest} if rest else {}


def _tool_use(fields: Fields, cache: CacheMark | None) -> ToolCall:
    """``input`` may be any JSON in history (protocols.md 2.8, P-71); none is an empty object."""
    id_, name, arguments = fields.word("id"), fields.word("name"), arguments_text(fields.raw("input"))
    return ToolCall(id_, name, arguments, cache=cache, at=fields.at, rest=fields.rest())


def _tool_result(fields: Fields, cache: CacheMark | None) -> ToolResult:
    call = fields.word("tool_use_id")
    parts = tuple(read_content(fields.raw("content"), (*fields.at, "content"), "tool_result"))
    is_error = fields.flag("is_error")
    return ToolResult(call, parts, is_error=is_error, cache=cache, at=fields.at, rest=fields.rest())


def _thinking(fields: Fields, cache: CacheMark | None) -> Reasoning:
    """Without a text where it was not shown; clients send ``signature: ""`` for foreign reasoning (clients.md 1.8)."""
    text, signature = fields.text("thinking"), fields.text("signature")
    thoughts = (Thought(text),) if text else ()
    return Reasoning(thoughts, State("signature", signature) if signature else None, at=fields.at, rest=fields.rest())


def _redacted_thinking(fields: Fields, cache: CacheMark | None) -> Reasoning:
    return Reasoning((), State("redacted", fields.word("data")), at=fields.at, rest=fields.rest())


def _opaque(value: dict[str, Any], kind: str, at: Path) -> Opaque:
    role: Literal["hosted", "content", "reference"] = "content"
    if kind in HOSTED_BLOCKS or kind.endswith("_tool_result"):
        words = hosted_words(value, kind) if kind.endswith("_tool_result") else ""
        return Opaque(PROTOCOL, kind, value, "hosted", words, at)
    if kind in REFERENCES:
        role = "reference"
    return Opaque(PROTOCOL, kind, value, role, _readable(value, kind), at)


def _readable(value: Mapping[str, Any], kind: str) -> str:
    """What a model of another family may read of a block that only this protocol has."""
    match kind:
        case "search_result":
            content = value.get("content")
            listed = content if isinstance(content, list) else []
            texts = [_word(one, "text") for one in listed if isinstance(one, dict)]
            return "\n".join(filter(None, (_word(value, "title"), _word(value, "source"), *texts)))
        case "tool_reference":
            return _word(value, "tool_name")
        case "tool_addition" | "tool_removal":
            tool = value.get("tool")
            defined = tool.get("definition") if isinstance(tool, dict) else None
            name = _word(defined if isinstance(defined, dict) else tool, "name") if isinstance(tool, dict) else ""
            offered = "is" if kind == "tool_addition" else "is not"
            return f'The tool "{name}" {offered} available from here on.' if name else ""
        case _:
            return ""


def _word(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


_READERS: Final[dict[str, Callable[[Fields, CacheMark | None], Part | None]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
}
