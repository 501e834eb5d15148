"""Where a conversion could give a secret away: requests and answers with one at every place that it reads.

``FORM`` stands for a secret as it may be written inside a JSON string. None of the places is one whose text the other
side is to get: words that a model says, ids and names of its calls pass on every lane. Nor is it a name that is spelled
anew for the other side (of a tool, a schema): nobody who calls a tool after a key can be helped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.upstreams import JSON, SSE, Canned

SCHEMA = {
    "type": "object",
    "title": "FORM",
    "properties": {"FORM": {"type": "string", "format": "FORM", "FORM": 1}, "b": {"$ref": "#/$defs/b"}},
    "required": ["FORM", "FORM2"],
    "oneOf": [{"required": ["FORM"]}],
    "$defs": {"b": {"type": "string", "default": "FORM"}},
}
CALLED = {"id": "FORM", "type": "function", "FORM": 1, "function": {"name": "f", "arguments": '{"FORM', "FORM": 1}}
USED = {"type": "tool_use", "id": "FORM", "name": "f", "input": {"FORM": "FORM"}, "FORM": 1}
#: Client's protocol -> members of a request, each of which is asked once, and what is refused of them.
ASKED: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"FORM": {"FORM": "FORM"}, "user": "FORM", "metadata": {"FORM": "FORM"}, "logit_bias": {"FORM": 1}},
        {"service_tier": "FORM", "seed": 1, "prompt_cache_key": "FORM", "stop": ["FORM", " "], "verbosity": "low"},
        {"messages": [{"role": "user", "content": "x", "name": "FORM", "FORM": 1}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "x", "FORM": 1, "cache_control": {"FORM": 1}}]},
                {"role": "assistant", "content": None, "tool_calls": [CALLED], "reasoning_content": "FORM"},
                {"role": "tool", "tool_call_id": "FORM", "content": "FORM", "FORM": 1},
                {"role": "tool", "tool_call_id": "FORM-of-none", "content": "x"},
            ]
        },
        {"tools": [{"type": "function", "FORM": 1, "function": {"name": "f", "parameters": SCHEMA, "FORM": 1}}]},
        {"tools": [{"type": "FORM", "FORM": {"FORM": 1}}, {"type": "custom", "custom": {"name": "f", "FORM": 1}}]},
        {"tools": [{"type": "custom", "custom": {"name": "f", "format": {"type": "grammar", "FORM": {"FORM": 1}}}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": SCHEMA, "FORM": 1}}},
        {"messages": [{"role": "user", "content": [{"type": "FORM", "FORM": {"FORM": 1}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "FORM"}}]}]},
        {"messages": [{"role": "FORM", "content": "x"}]},
        {"tool_choice": {"type": "function", "function": {"name": "f", "FORM": 1}}, "tools": []},
        {"tool_choice": "FORM"},
        {"temperature": "FORM"},
        {"reasoning_effort": "FORM"},
    ],
    "messages": [
        {"FORM": {"FORM": "FORM"}, "metadata": {"user_id": "FORM", "FORM": 1}, "stop_sequences": ["FORM"], "top_k": 1},
        {"service_tier": "FORM", "container": "FORM", "system": [{"type": "text", "text": "x", "FORM": 1}]},
        {"thinking": {"type": "enabled", "budget_tokens": 32, "FORM": 1}, "mcp_servers": [{"FORM": "FORM"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "x", "FORM": 1, "cache_control": {"FORM": 1}}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "FORM"}, USED]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "FORM", "content": "FORM", "is_error": True, "FORM": 1},
                    {"type": "tool_result", "tool_use_id": "FORM-of-none", "content": [{"type": "text", "text": "x"}]},
                ]},
            ]
        },
        {"tools": [{"name": "f", "input_schema": SCHEMA, "FORM": 1}]},
        {"tools": [{"type": "FORM", "name": "f", "FORM": 1}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "FORM": 1}]},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA, "FORM": 1}, "effort": "FORM"}},
        {"messages": [{"role": "user", "content": [{"type": "FORM", "FORM": {"FORM": 1}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "FORM"}}]}]},
        {"messages": [{"role": "FORM", "content": "x"}]},
        {"tool_choice": {"type": "tool", "name": "f", "FORM": 1}, "tools": []},
        {"tool_choice": {"type": "FORM"}},
        {"temperature": "FORM"},
    ],
}  # fmt: skip

MESSAGE = {
    "role": "assistant",
    "content": "fine",
    "FORM": "FORM",
    "annotations": [{"type": "FORM", "FORM": "FORM"}],
    "images": [{"type": "FORM", "FORM": 1}],
    "reasoning_details": [{"type": "reasoning.encrypted", "data": "FORM", "id": "FORM", "FORM": 1}],
}
CHAT_HEAD = {"id": "FORM", "model": "FORM", "service_tier": "FORM", "system_fingerprint": "FORM", "FORM": "FORM"}
CHAT_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "FORM": 1, "prompt_tokens_details": {"FORM": 1}}
BLOCKS = [
    {"type": "text", "text": "fine", "FORM": "FORM", "citations": [{"type": "FORM", "FORM": "FORM"}]},
    {"type": "thinking", "thinking": "", "signature": "FORM", "FORM": 1},
    {"type": "redacted_thinking", "data": "FORM"},
    {"type": "FORM", "FORM": "FORM"},
    {"type": "server_tool_use", "id": "FORM", "name": "FORM", "input": {"FORM": "FORM"}},
]
MESSAGES_USAGE = {"input_tokens": 1, "output_tokens": 1, "service_tier": "FORM", "server_tool_use": {"FORM": 1}}
MESSAGES_HEAD = {
    "id": "FORM", "type": "message", "role": "assistant", "model": "FORM", "container": {"id": "FORM"}, "FORM": "FORM",
    "stop_sequence": "FORM", "stop_details": {"type": "FORM", "FORM": 1}, "usage": MESSAGES_USAGE,
}  # fmt: skip


def asked(protocol: str, secret: str) -> Iterator[dict[str, Any]]:
    """What a client may ask with a secret in it."""
    for more in ASKED[protocol]:
        yield json.loads(_filled(more, secret))


def told(protocol: str, form: str) -> Iterator[Canned]:
    """What an upstream may say with a secret in it: in full, and in a stream."""
    if protocol == "chat":
        for finish in ("stop", "FORM"):
            choice = {"index": 0, "message": MESSAGE, "finish_reason": finish, "FORM": "FORM"}
            yield _whole({**CHAT_HEAD, "choices": [choice], "usage": CHAT_USAGE}, form)
        delta = {"index": 0, "delta": MESSAGE, "finish_reason": None, "FORM": "FORM"}
        last = {"index": 0, "delta": {"FORM": "FORM"}, "finish_reason": "FORM"}
        chunks = [{**CHAT_HEAD, "choices": [one]} for one in (delta, delta, last)]
        yield _stream([(None, one) for one in (*chunks, {**CHAT_HEAD, "choices": [], "usage": CHAT_USAGE})], form)
        return
    for stop in ("end_turn", "FORM"):
        yield _whole({**MESSAGES_HEAD, "content": BLOCKS, "stop_reason": stop}, form)
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**MESSAGES_HEAD, "content": [], "stop_reason": None}, "FORM": 1}
    ]
    for index, block in enumerate(BLOCKS):
        events.append({"type": "content_block_start", "index": index, "content_block": block, "FORM": 1})
        events.append({"type": "content_block_delta", "index": index, "delta": {"type": "FORM", "FORM": "FORM"}})
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": "FORM", "stop_details": {"FORM": 1}, "FORM": "FORM"}
    events.append({"type": "message_delta", "delta": end, "usage": MESSAGES_USAGE, "FORM": 1})
    events.append({"type": "FORM", "FORM": "FORM"})
    events.append({"type": "message_stop", "FORM": 1})
    yield _stream([(one["type"], one) for one in events], form)


def _filled(value: Any, form: str) -> str:
    return json.dumps(value).replace("FORM", form)


def _whole(body: Mapping[str, Any], form: str) -> Canned:
    return Canned([_filled(body, form).encode()], 200, JSON)


def _stream(frames: list[tuple[str | None, Any]], form: str) -> Canned:
    named = [(f"event: {name}\n" if name else "") + f"data: {_filled(data, form)}\n\n" for name, data in frames]
    return Canned([frame.replace("FORM", form).encode() for frame in named], 200, SSE)
