"""Chat Completions: what a request asks of the demo models, and their answers on the wire (protocols.md 3, 4.3)."""

from __future__ import annotations

from typing import Any

from .calls import Answer, Ask, Block, Call, Minted, ToolChoice
from .frames import data_frame, dump, texts, tokens

DONE = b"data: [DONE]\n\n"
ANY_JSON = {"type": "object", "properties": {"answer": {"type": "string"}}}
RESULTS = ("tool", "function")
FINISH = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool_calls": "tool_calls"}
STREAM_ERROR = {
    "error": {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


def read_ask(call: Call) -> Ask:
    """The part of a valid body that the demo models look at."""
    body = call.body
    users = [message for message in body["messages"] if message["role"] == "user"]
    results = [message for message in body["messages"] if message["role"] in RESULTS]
    stop = body.get("stop")
    read = tokens({name: body[name] for name in ("messages", "tools") if name in body})
    limit = body.get("max_completion_tokens")
    return Ask(
        model=body["model"],
        stream=bool(body.get("stream")),
        user_text=texts(users[-1]["content"]) if users else "",
        answers_tools=body["messages"][-1]["role"] in RESULTS,
        results=len(results),
        tools=_tools(body),
        choice=_choice(body),
        wanted=_wanted(body.get("response_format") or {}),
        thinking=body.get("reasoning_effort") != "none",
        input_tokens=read,
        cached_tokens=read // 2 if body.get("prompt_cache_key") else 0,
        max_tokens=limit if limit is not None else body.get("max_tokens"),
        stops=(stop,) if isinstance(stop, str) else tuple(stop or ()),
    )


def _tools(body: dict[str, Any]) -> dict[str, Any]:
    functions = [tool["function"] for tool in body.get("tools", ()) if tool["type"] == "function"]
    declared = {function["name"]: function.get("parameters", {}) for function in functions}
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        allowed = {tool["function"]["name"] for tool in choice["allowed_tools"]["tools"] if "function" in tool}
        return {name: schema for name, schema in declared.items() if name in allowed}
    return declared


def _choice(body: dict[str, Any]) -> ToolChoice:
    choice = body.get("tool_choice", "auto")
    parallel = body.get("parallel_tool_calls", True)
    if isinstance(choice, str):
        return ToolChoice(choice, parallel=parallel)
    if choice["type"] == "function":
        return ToolChoice("named", choice["function"]["name"], parallel)
    return ToolChoice(choice.get("allowed_tools", {}).get("mode", "auto"), parallel=parallel)


def _wanted(wanted: dict[str, Any]) -> Any:
    if wanted.get("type") == "json_schema":
        return wanted["json_schema"].get("schema", ANY_JSON)
    return ANY_JSON if wanted.get("type") == "json_object" else None


def usage(ask: Ask, answer: Answer, count: int = 1) -> dict[str, Any]:
    """Usage of `count` equal choices; the details are parts of the totals (protocols.md 3.4)."""
    output = answer.output_tokens * count
    return {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": output,
        "total_tokens": ask.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": ask.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.thinking_tokens * count,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call_id(minted: Minted, choice: int, position: int) -> str:
    return f"call_{minted.token}{choice}{position}"


def _logprobs(pieces: tuple[str, ...]) -> dict[str, Any]:
    entries = [
        {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": []} for piece in pieces
    ]
    return {"content": entries, "refusal": None}


def _message(answer: Answer, minted: Minted, choice: int) -> dict[str, Any]:
    said = [block.text for block in answer.blocks if block.kind == "text"]
    calls = [block for block in answer.blocks if block.kind == "tool"]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said) if said or not calls else None}
    message["refusal"] = None
    message["annotations"] = []
    thoughts = [block.text for block in answer.blocks if block.kind == "thinking"]
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [
            {
                "id": _call_id(minted, choice, position),
                "type": "function",
                "function": {"name": block.name, "arguments": block.text},
            }
            for position, block in enumerate(calls)
        ]
    return message


def whole(call: Call, ask: Ask, answer: Answer, minted: Minted) -> bytes:
    """The body of an answer that is not streamed."""
    count = call.body.get("n") or 1
    said = tuple(piece for block in answer.blocks if block.kind == "text" for piece in block.pieces)
    choices = [
        {
            "index": index,
            "message": _message(answer, minted, index),
            "logprobs": _logprobs(said) if call.body.get("logprobs") else None,
            "finish_reason": FINISH[answer.stop],
        }
        for index in range(count)
    ]
    return dump(
        {
            "id": f"chatcmpl-{minted.token}",
            "object": "chat.completion",
            "created": minted.created,
            "model": ask.model,
            "choices": choices,
            "usage": usage(ask, answer, count),
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
        }
    )


def _deltas(block: Block, call_id: str, position: int) -> list[dict[str, Any]]:
    """Id, type and name only in the first delta of a call (protocols.md 4.3)."""
    if block.kind == "text":
        return [{"content": piece} for piece in block.pieces]
    if block.kind == "thinking":
        return [{"reasoning_content": piece} for piece in block.pieces]
    if block.kind == "redacted":
        return []
    function: dict[str, Any] = {"name": block.name, "arguments": ""}
    first: dict[str, Any] = {"index": position, "id": call_id, "type": "function", "function": function}
    rest = [{"index": position, "function": {"arguments": piece}} for piece in block.pieces]
    return [{"tool_calls": [delta]} for delta in (first, *rest)]


def _choice_deltas(answer: Answer, minted: Minted, choice: int) -> list[dict[str, Any]]:
    speaks = any(block.kind == "text" for block in answer.blocks)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if speaks else None, "refusal": None}]
    position = 0
    for block in answer.blocks:
        deltas += _deltas(block, _call_id(minted, choice, position), position)
        position += block.kind == "tool"
    return deltas


def stream(call: Call, ask: Ask, answer: Answer, minted: Minted) -> list[bytes]:
    """One frame for each event. Every other one is written with escapes, as both are legal JSON."""
    with_usage = (call.body.get("stream_options") or {}).get("include_usage", False)
    count = call.body.get("n") or 1
    frames: list[bytes] = []

    def chunk(choices: list[dict[str, Any]], spent: dict[str, Any] | None = None) -> None:
        value: dict[str, Any] = {
            "id": f"chatcmpl-{minted.token}",
            "object": "chat.completion.chunk",
            "created": minted.created,
            "model": ask.model,
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
            "choices": choices,
        }
        if spent is not None:  # the real vendor sends null before, which its own published schema forbids
            value["usage"] = spent
        frames.append(data_frame(value, escaped=len(frames) % 2 == 1))

    for index in range(count):
        for delta in _choice_deltas(answer, minted, index):
            said = call.body.get("logprobs") and delta.get("content")
            logprobs = _logprobs((delta["content"],)) if said else None
            chunk([{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}])
    if answer.breaks:
        return [*frames, data_frame(STREAM_ERROR)]
    for index in range(count):
        chunk([{"index": index, "delta": {}, "logprobs": None, "finish_reason": FINISH[answer.stop]}])
    if with_usage:
        chunk([], usage(ask, answer, count))
    return [*frames, DONE]
