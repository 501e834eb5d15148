"""Small builders of whole Chat answers."""

from __future__ import annotations

from typing import Any

from rotator.neutral.parts import (
    Logprob,
)

PAGE = "https://page.example"
LONG = "toolu_" + "x" * 40


def leaning(start: Any, end: Any, url: Any = PAGE, **more: Any) -> dict[str, Any]:
    cited = {"url": url, "title": "A page", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": {**cited, **more}}


def calls(*entries: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(entries)}


def entry(id: Any, name: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


LEANING = leaning(0, 2, content="words")
SIGNED = [{"type": "reasoning.text", "text": "Hm", "signature": "c2ln"}]
SEALED = '[{"type":"reasoning.text","text":"Hm","signature":"c2ln"}]'
TOKEN = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "a", "logprob": -2, "bytes": [97]}]}
LOGPROB = Logprob("é", -0.5, None, (Logprob("a", -2, (97,)),))
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
