"""JSON and SSE bytes, as a vendor writes them."""

from __future__ import annotations

import json
from typing import Any

LINE_BREAKS = {0x2028: "\\u2028", 0x2029: "\\u2029", 0x85: "\\u0085"}
"""Legal raw in JSON, but line ends to some readers of SSE, so vendors escape them."""


def dump(value: Any, *, escaped: bool = False) -> bytes:
    """Compact JSON; `escaped` writes all beyond ASCII as escapes, above the BMP as surrogate pairs."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=escaped)
    return text.translate(LINE_BREAKS).encode()


def data_frame(value: Any, *, escaped: bool = False) -> bytes:
    """A frame without a name (Chat: protocols.md 4.1, `event:` never)."""
    return b"data: " + dump(value, escaped=escaped) + b"\n\n"


def named_frame(value: dict[str, Any], *, escaped: bool = False) -> bytes:
    """A frame named after its `type` (Messages: protocols.md 4.1, mandatory)."""
    name: str = value["type"]
    return b"event: " + name.encode() + b"\ndata: " + dump(value, escaped=escaped) + b"\n\n"


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(content: Any) -> str:
    """The text of message content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in dicts(content) if isinstance(part.get("text"), str))


def tokens(value: Any) -> int:
    """A token count of request JSON: about one for four bytes."""
    return max(1, len(dump(value)) // 4)
