"""Two spellings of one thing made one: what a vendor takes for the same, so that a table need not choose.

A string is a list of one text part, null is absent, and so are ``stream: false``, ``strict: false``, a result that is
no error, an empty list of tools or stops, an empty id, and token counts that are nought. All else counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .matching import OneOf

#: Members that say nothing if they hold this.
SILENT: Mapping[str, Any] = {
    "stream": False,
    "strict": False,
    "is_error": False,
    "tools": [],
    "stop_sequences": [],
    "stop": [],
    "annotations": [],
    "citations": [],
    "n": 1,
    "id": "",
    "tool_call_id": "",
}


def request(body: Any) -> Any:
    """A request, or what is expected of one."""
    return _normal(body, request=True)


def answer(body: Any) -> Any:
    """A whole answer, or what is expected of one."""
    return _normal(body, request=False)


def _normal(value: Any, *, request: bool, inside: str = "") -> Any:
    if isinstance(value, OneOf):
        return OneOf(*(_normal(choice, request=request, inside=inside) for choice in value.choices))
    if isinstance(value, list | tuple):
        return [_normal(one, request=request) for one in value]
    if not isinstance(value, dict):
        return value
    if inside in ("input", "input_schema", "parameters", "schema"):
        return value
    told = {}
    for name, member in value.items():
        if member is None or (name in SILENT and type(member) is type(SILENT[name]) and member == SILENT[name]):
            continue
        if inside in ("usage", "details") and (member == 0 or name == "cache_creation"):
            if name not in ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "total_tokens"):
                continue
        below = "details" if name.endswith("_details") and inside == "usage" else name
        made = _normal(member, request=request, inside=below)
        if below == "details" and not made:
            continue
        told[name] = _text(made) if request and name in ("content", "system") else made
    return told


def _text(content: Any) -> Any:
    """One plain text part is a string."""
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        if set(content[0]) == {"type", "text"} and content[0]["type"] == "text":
            return content[0]["text"]
    return content
