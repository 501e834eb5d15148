"""Guesses of how many tokens a request has.  Source: protocols.md 3.4, "Missing usage"."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.neutral.estimate import request_tokens
from rotator.neutral.parts import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from rotator.neutral.request import Format, Output, Request, Tool, Turn

WORDS = "word" * 100
DATA = "A" * 440_000
PDF = Media("document", Source("base64", DATA), "application/pdf")
IMAGE = Media("image", Source("base64", DATA), "image/png")

PARTS: dict[str, tuple[Part, int]] = {
    "text": (Text(WORDS), 100),
    "short": (Text("Hi!"), 1),
    "refusal": (Refusal(WORDS), 100),
    "reasoning": (Reasoning((Thought("ab"), Thought("cdef")), State("signature", DATA)), 2),
    "call": (ToolCall("id", "name", "x" * 396), 100),
    "result": (ToolResult("id", (Text(WORDS), IMAGE), "name"), 1_701),
    "image": (IMAGE, 1_600),
    "image-url": (Media("image", Source("url", "https://a.example/" + DATA)), 1_600),
    "pdf": (PDF, 10_000),
    "short-pdf": (Media("document", Source("base64", "AAAA"), "application/pdf"), 1_600),
    "pdf-url": (Media("document", Source("url", "https://a.example")), 1_600),
    "document-of-text": (Media("document", Source("text", "x" * 396), name="name"), 100),
    "document-of-parts": (Media("document", Source("parts", parts=(Text(WORDS), IMAGE))), 1_700),
    "opaque": (Opaque("p", "x", {"a": "x" * 392}), 100),
    "opaque-with-words": (Opaque("p", "x", {"a": DATA}, text=WORDS), 100),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts(name: str) -> None:
    part, tokens = PARTS[name]
    assert request_tokens(Request("p", "m", (Turn("user", (part,)),))) == tokens


#: What else a model reads, and its characters.
BESIDE: list[tuple[dict[str, Any], int]] = [
    ({"tools": (Tool("name", description="tell", schema={"type": "object"}),)}, 8 + len('{"type":"object"}')),
    ({"tools": (Tool("", "hosted", data={"type": "web_search"}),)}, len('{"type":"web_search"}')),
    ({"output": Output(format=Format("json_schema", {"type": "object"}))}, len('{"type":"object"}')),
    ({"output": Output(format=Format("json_object"))}, 0),
]


@pytest.mark.parametrize(("more", "characters"), BESIDE)
def test_tools_and_schemas_are_read_too(more: dict[str, Any], characters: int) -> None:
    turns = (Turn("system", (Text(WORDS),)), Turn("user", (Text(WORDS),)))
    assert request_tokens(Request("p", "m", turns, **more)) == 200 + characters // 4


def test_nothing_is_one_token() -> None:
    assert request_tokens(Request("p", "m", ())) == 1
