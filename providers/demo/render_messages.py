"""Anthropic Messages: what a request asks of the demo models, and their answers on the wire (protocols.md 3, 4.5)."""

from __future__ import annotations

from typing import Any

import orjson

from .calls import Answer, Ask, Block, Call, Minted, ToolChoice
from .frames import dicts, dump, named_frame, texts, tokens
from .signing import Place, next_place, sign

STOP = {"stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool_calls": "tool_use"}
MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
READ = ("messages", "system", "tools")


def input_tokens(call: Call) -> int:
    """All that the model reads; also the answer of count_tokens."""
    return tokens({name: call.body[name] for name in READ if name in call.body})


def read_ask(call: Call) -> Ask:
    """The part of a valid body that the demo models look at."""
    body = call.body
    users = [message for message in body["messages"] if message["role"] == "user"]
    last = users[-1]["content"] if users else ""
    results = [_results(message["content"]) for message in users]
    choice = body.get("tool_choice", {"type": "auto"})
    read = input_tokens(call)
    custom = [tool for tool in body.get("tools", ()) if tool.get("type") in (None, "custom")]
    return Ask(
        model=body["model"],
        stream=bool(body.get("stream")),
        user_text=texts(last),
        answers_tools=bool(results and results[-1]),
        results=sum(results),
        tools={tool["name"]: tool["input_schema"] for tool in custom},
        choice=ToolChoice(
            MODES[choice["type"]], choice.get("name", ""), not choice.get("disable_parallel_tool_use", False)
        ),
        wanted=((body.get("output_config") or {}).get("format") or {}).get("schema"),
        thinking=(body.get("thinking") or {}).get("type") != "disabled",
        input_tokens=read,
        cached_tokens=read // 2 if b'"cache_control"' in dump({name: body.get(name) for name in READ}) else 0,
        max_tokens=body.get("max_tokens"),
        stops=tuple(body.get("stop_sequences") or ()),
    )


def _results(content: Any) -> int:
    return sum(part.get("type") == "tool_result" for part in dicts(content))


def _usage(ask: Ask, output: int, thinking: int) -> dict[str, Any]:
    """`input_tokens` excludes what came from the cache (protocols.md 3.4)."""
    spent: dict[str, Any] = {
        "input_tokens": ask.input_tokens - ask.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": ask.cached_tokens,
        "output_tokens": output,
    }
    if thinking:
        spent["output_tokens_details"] = {"thinking_tokens": thinking}
    return spent


def _blocks(call: Call, ask: Ask, answer: Answer, minted: Minted) -> list[dict[str, Any]]:
    """The content blocks, whole. `display: omitted` empties a thought, its signature covers what is shown."""
    hidden = (call.body.get("thinking") or {}).get("display") == "omitted"
    start = next_place(call.body["messages"])
    content: list[dict[str, Any]] = []
    for position, block in enumerate(answer.blocks):
        if block.kind == "text":
            content.append({"type": "text", "text": block.text})
        elif block.kind == "tool":
            call_id = f"toolu_{minted.token}{position}"
            arguments = orjson.loads(block.text)
            content.append({"type": "tool_use", "id": call_id, "name": block.name, "input": arguments})
        else:
            redacted = block.kind == "redacted"
            thought = "" if hidden or redacted else block.text
            kind = "redacted_thinking" if redacted else "thinking"
            place = Place(start.turn, start.block + position)
            signature = sign(call.secret, kind=kind, text=thought, place=place, bound_to=(ask.model, call.key))
            shown = {"data": signature} if redacted else {"thinking": thought, "signature": signature}
            content.append({"type": kind, **shown})
    return content


def _envelope(ask: Ask, minted: Minted) -> dict[str, Any]:
    return {
        "id": f"msg_{minted.token}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_usage(ask, 1, 0), "service_tier": "standard"},
    }


def whole(call: Call, ask: Ask, answer: Answer, minted: Minted) -> bytes:
    """The body of an answer that is not streamed."""
    message = _envelope(ask, minted)
    message["content"] = _blocks(call, ask, answer, minted)
    message["stop_reason"] = STOP[answer.stop]
    message["stop_sequence"] = answer.stop_sequence
    message["usage"] |= _usage(ask, answer.output_tokens, answer.thinking_tokens)
    return dump(message)


def _opening(wire: dict[str, Any]) -> dict[str, Any]:
    """A block as `content_block_start` shows it: without what the deltas bring."""
    emptied = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: emptied.get(name, value) for name, value in wire.items()}


def _deltas(block: Block, wire: dict[str, Any]) -> list[dict[str, Any]]:
    """The signature comes whole, in one delta before the block ends (protocols.md 4.5)."""
    if block.kind == "text":
        return [{"type": "text_delta", "text": piece} for piece in block.pieces]
    if block.kind == "tool":
        return [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *block.pieces)]
    if block.kind == "redacted":
        return []
    thoughts = block.pieces if wire["thinking"] else ()
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in thoughts]
    return [*deltas, {"type": "signature_delta", "signature": wire["signature"]}]


def stream(call: Call, ask: Ask, answer: Answer, minted: Minted) -> list[bytes]:
    """One frame for each event. Every other one is written with escapes, as both are legal JSON."""
    events: list[dict[str, Any]] = [{"type": "message_start", "message": _envelope(ask, minted)}, {"type": "ping"}]
    for index, wire in enumerate(_blocks(call, ask, answer, minted)):
        events.append({"type": "content_block_start", "index": index, "content_block": _opening(wire)})
        for delta in _deltas(answer.blocks[index], wire):
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        if not (answer.breaks and index == len(answer.blocks) - 1):
            events.append({"type": "content_block_stop", "index": index})
    if answer.breaks:
        events.append({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    else:
        delta = {"stop_reason": STOP[answer.stop], "stop_sequence": answer.stop_sequence}
        spent = _usage(ask, answer.output_tokens, answer.thinking_tokens)
        events.append({"type": "message_delta", "delta": delta, "usage": spent})
        events.append({"type": "message_stop"})
    return [named_frame(event, escaped=number % 2 == 1) for number, event in enumerate(events)]
