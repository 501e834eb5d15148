"""What the vendor's own tools did in earlier turns, in words for models of others.  Source: protocols.md 2.7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def hosted_words(block: Mapping[str, Any], kind: str) -> str:
    """What a result says that another model can read, "" if nothing; what is encrypted is its own vendor's."""
    content = block.get("content")
    if isinstance(content, str):
        return content
    found = content if isinstance(content, list) else [content]
    said = [words for one in found if isinstance(one, dict) and (words := _words(one))]
    return "\n".join([f"[{kind.removesuffix('_tool_result')}]", *said]) if said else ""


def _words(one: Mapping[str, Any]) -> str:
    """A page that was found or read, what a program printed, a text, or why there is none of them."""
    document = one.get("content")
    document = document if isinstance(document, dict) else {}
    source = document.get("source")
    read = _text(source, "data") if isinstance(source, dict) and source.get("type") == "text" else ""
    told = (_text(one, "title") or _text(document, "title"), _text(one, "url"), read)
    printed = (_text(one, "text"), _text(one, "stdout"), _text(one, "stderr"), _text(one, "error_code"))
    return "\n".join(filter(None, (*told, *printed)))


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found.strip() if isinstance(found, str) else ""
