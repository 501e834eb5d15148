"""Small builders for bodies of both protocols, so that a row of a table fits into a few lines.

C_ builds what Chat says, A_ what Messages says; names without one are the same in both.
"""

from __future__ import annotations

import json
from typing import Any

from tests.upstreams import engine

from .matching import Like

Body = dict[str, Any]

SECRET = b"the vendor's secret"
KEY = "key-of-the-client"
MODEL = "m"

#: The smallest requests: (protocol -> body).
LEAST: dict[str, Body] = {
    "chat": {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]},
    "messages": {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]},
}
#: What the smallest request of the other protocol becomes in this one.  Source: protocols.md 2.5, Max output.
BUILT: dict[str, Body] = {
    "chat": {**LEAST["chat"], "max_tokens": 64},
    "messages": {**LEAST["messages"], "max_tokens": 32_000},
}

#: What an answer's ids and time are made from, and the name that the client asked for.
SEED, CREATED, ASKED = "req_1", 1_760_000_000, "claude-or-gpt"
#: The smallest answers of an upstream, and what the client of each protocol gets of the other one's.
ANSWER: dict[str, Body] = {
    "chat": {
        "id": "chatcmpl-up",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "up-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    },
    "messages": {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": "up-model",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
}
SHOWN: dict[str, Body] = {
    "chat": {**ANSWER["chat"], "id": Like("^chatcmpl-[0-9a-f]{24}$"), "created": CREATED, "model": ASKED},
    "messages": {**ANSWER["messages"], "id": Like("^msg_[0-9A-Za-z]{24,}$"), "model": ASKED},
}

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
WAV = "UklGRiQAAABXQVZFZm10IA=="
CAT = "https://img.example/cat.png"

SCHEMA: Body = {"type": "object", "properties": {"q": {"type": "string"}}}
STRICT: Body = {**SCHEMA, "required": ["q"], "additionalProperties": False}
#: Closed, as Anthropic's strict tools must be, but with an optional property: not OpenAI's strict mode.
CLOSED: Body = {**SCHEMA, "additionalProperties": False}


def says(*turns: Body, **more: Any) -> Body:
    """The member ``messages``."""
    return {"messages": list(turns), **more}


def user(*parts: Any, **more: Any) -> Body:
    """A user's message: one string, or parts."""
    return {"role": "user", "content": _content(parts), **more}


def assistant(*parts: Any, **more: Any) -> Body:
    """An assistant's message: one string, or parts, or nothing."""
    return {"role": "assistant", "content": _content(parts) if parts else None, **more}


def system(*parts: Any, **more: Any) -> Body:
    return {"role": "system", "content": _content(parts), **more}


def developer(*parts: Any, **more: Any) -> Body:
    return {"role": "developer", "content": _content(parts), **more}


def _content(parts: tuple[Any, ...]) -> Any:
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str | Like) else list(parts)


def text(words: Any, **more: Any) -> Body:
    return {"type": "text", "text": words, **more}


HI = user("Hi")
GO = user("Go on")


def c_image(url: str, **more: Any) -> Body:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def c_file(**members: Any) -> Body:
    return {"type": "file", "file": members}


def c_call(id: str = "call_1", arguments: str = '{"q":"x"}', name: str = "lookup") -> Body:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def c_calling(*calls: Body, content: Any = None) -> Body:
    """An assistant's message with calls."""
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def c_result(*parts: Any, id: str = "call_1", **more: Any) -> Body:
    return {"role": "tool", "tool_call_id": id, "content": _content(parts), **more}


def c_tool(name: str = "lookup", parameters: Any = SCHEMA, **more: Any) -> Body:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def c_named(name: str = "lookup") -> Body:
    return {"type": "function", "function": {"name": name}}


def a_image(**source: Any) -> Body:
    return {"type": "image", "source": source}


def a_base64(data: str = PNG, media_type: str = "image/png") -> Body:
    return a_image(type="base64", media_type=media_type, data=data)


def a_document(source: Body, **more: Any) -> Body:
    return {"type": "document", "source": source, **more}


def a_pdf(**more: Any) -> Body:
    return a_document({"type": "base64", "media_type": "application/pdf", "data": PDF}, **more)


def a_use(id: Any = "call_1", input: Any = None, name: str = "lookup", **more: Any) -> Body:
    return {"type": "tool_use", "id": id, "name": name, "input": {"q": "x"} if input is None else input, **more}


def a_result(*parts: Any, id: Any = "call_1", **more: Any) -> Body:
    return {"type": "tool_result", "tool_use_id": id, "content": _content(parts), **more}


def a_tool(name: str = "lookup", input_schema: Any = SCHEMA, **more: Any) -> Body:
    return {"name": name, "input_schema": input_schema, **more}


def a_thinking(words: str, turn: int = 0, block: int = 0) -> Body:
    """A thinking block that the fake vendor takes for its own, at this place."""
    place = engine.render_messages.Place(turn, block)
    bound = {"kind": "thinking", "text": words, "place": place, "bound_to": (MODEL, KEY)}
    return {"type": "thinking", "thinking": words, "signature": engine.render_messages.sign(SECRET, **bound)}


def a_redacted(turn: int = 0, block: int = 0) -> Body:
    place = engine.render_messages.Place(turn, block)
    bound = {"kind": "redacted_thinking", "text": "", "place": place, "bound_to": (MODEL, KEY)}
    return {"type": "redacted_thinking", "data": engine.render_messages.sign(SECRET, **bound)}


def c_answer(*parts: Any, finish: str | None = "stop", **message: Any) -> Body:
    """Chat's one choice: no parts are no content, one string is the content."""
    content = parts[0] if len(parts) == 1 else list(parts) or None
    said = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish}]}


def a_answer(*blocks: Any, stop: str | None = "end_turn", **more: Any) -> Body:
    """The content of a Messages answer; a string is a text block."""
    content = [text(block) if isinstance(block, str | Like) else block for block in blocks]
    return {"content": content, "stop_reason": stop, **more}


def c_thought(words: str, index: int = 0) -> Body:
    """The entry in which a Chat client keeps a thinking block; the state is sealed."""
    return {"type": "reasoning.text", "text": words, "signature": Like(r"^rot1\."), "index": index}


def c_hidden(index: int = 0) -> Body:
    """The same of a redacted one."""
    return {"type": "reasoning.encrypted", "data": Like(r"^rot1\."), "index": index}


def schema_format(schema: Any, name: str = "city", **more: Any) -> Body:
    """Chat's ``response_format``."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, **more}}


def compact(value: Any) -> str:
    """JSON text as we write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


C_TOOLS = [c_tool()]
A_TOOLS = [a_tool()]
