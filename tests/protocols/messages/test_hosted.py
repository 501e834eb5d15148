"""What the vendor's own tools did, in words."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from tests.upstreams import PROTOCOLS

assert "messages" in PROTOCOLS
hosted_words: Any = import_module("rotator.plugins.protocols.messages.hosted").hosted_words

PAGE = {"type": "document", "title": "Page", "source": {"type": "text", "media_type": "text/plain", "data": " Words. "}}
FOUND = {"type": "web_search_result", "title": "A find", "url": "https://a.example", "encrypted_content": "secret"}

#: The kind of a result, its content, its words.
RESULTS: list[tuple[str, Any, str]] = [
    ("web_search_tool_result", [FOUND, FOUND], "[web_search]\nA find\nhttps://a.example\nA find\nhttps://a.example"),
    ("web_search_tool_result", [], ""),
    ("web_search_tool_result", {"error_code": "max_uses_exceeded"}, "[web_search]\nmax_uses_exceeded"),
    ("web_fetch_tool_result", {"url": "https://a.example", "content": PAGE},
     "[web_fetch]\nPage\nhttps://a.example\nWords."),
    ("web_fetch_tool_result", {"url": "u", "content": {"source": {"type": "base64", "data": "AA"}}}, "[web_fetch]\nu"),
    ("bash_code_execution_tool_result", {"stdout": "4\n", "stderr": "late", "return_code": 0, "content": []},
     "[bash_code_execution]\n4\nlate"),
    ("tool_search_tool_result", {"tool_references": [{"type": "tool_reference", "tool_name": "f"}]}, ""),
    ("mcp_tool_result", "Said.", "Said."),
    ("mcp_tool_result", [{"type": "text", "text": "Said."}, "odd"], "[mcp]\nSaid."),
    ("x_tool_result", None, ""),
]


@pytest.mark.parametrize(("kind", "content", "words"), RESULTS)
def test_words(kind: str, content: Any, words: str) -> None:
    assert hosted_words({"type": kind, "content": content}, kind) == words
