"""A whole answer as its vendor would have streamed it, so that both ways can be compared (protocols.md 4.3 and 4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .frames import DONE, begun, block
from .words import ANSWER, Body, a_answer, a_tool, a_use, c_answer, c_call, c_tool, compact

SIZE = 3
#: Members of a choice that have chunks of their own.
TOLD = ("index", "message", "finish_reason", "logprobs")
#: Members of a Chat message that come in pieces of text.
SPOKEN = ("reasoning_content", "reasoning", "content", "refusal")


def pieces(text: str) -> list[str]:
    """The text in short pieces."""
    return [text[start : start + SIZE] for start in range(0, len(text), SIZE)]


def unfolded(protocol: str, body: Body) -> list[Any]:
    """The events of a stream that says the same."""
    return list(_chat(body) if protocol == "chat" else _messages(body))


def _chat(body: Body) -> Iterator[Any]:
    head = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"

    def chunk(index: int, delta: Body, finish: str | None = None, **more: Any) -> Body:
        return {**head, "choices": [{"index": index, "delta": delta, "finish_reason": finish, **more}]}

    for choice in body["choices"]:
        index = choice["index"]
        further = {name: value for name, value in choice.items() if name not in TOLD}
        yield chunk(index, {"role": "assistant", "content": ""}, **further)
        for delta in _deltas(choice["message"]):
            logprobs = {"logprobs": choice["logprobs"]} if choice.get("logprobs") and "content" in delta else {}
            yield chunk(index, delta, **logprobs)
    for choice in body["choices"]:
        if choice["finish_reason"] is not None:
            yield chunk(choice["index"], {}, choice["finish_reason"])
    if body.get("usage"):
        yield {**head, "choices": [], "usage": body["usage"]}
    yield DONE


def _deltas(message: Body) -> Iterator[Body]:
    if message.get("reasoning_details"):
        yield {"reasoning_details": message["reasoning_details"]}
    for name in SPOKEN:
        said = message.get(name)
        texts = [said] if isinstance(said, str) and not said.isascii() else pieces(said or "")
        yield from ({name: piece} for piece in texts)
    for name in ("annotations", "images", "audio"):
        if message.get(name):
            yield {name: message[name]}
    if message.get("function_call"):
        called = message["function_call"]
        yield {"function_call": {"name": called["name"], "arguments": ""}}
        yield from ({"function_call": {"arguments": piece}} for piece in pieces(called["arguments"]))
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        first = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield {"tool_calls": [first]}
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _messages(body: Body) -> Iterator[Body]:
    usage = body["usage"]
    start = begun({**usage, "output_tokens": 1})
    yield {**start, "message": {**start["message"], "id": body["id"], "model": body["model"]}}
    yield {"type": "ping"}
    for index, part in enumerate(body["content"]):
        yield from block(index, _opening(part), *_pieces(part))
    delta = {name: body.get(name) for name in ("stop_reason", "stop_sequence")}
    if body.get("stop_details"):
        delta["stop_details"] = body["stop_details"]
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def _opening(part: Body) -> Body:
    """As ``content_block_start`` shows it: without what deltas bring."""
    emptied: Body = {"text": "", "thinking": "", "signature": ""}
    if part["type"] in ("tool_use", "server_tool_use"):
        emptied["input"] = {}
    return {name: emptied.get(name, value) for name, value in part.items() if name != "citations"}


def _pieces(part: Body) -> Iterator[Body]:
    kind = part["type"]
    if kind == "text":
        texts = pieces(part["text"]) if part["text"].isascii() else [part["text"]]
        yield from ({"type": "text_delta", "text": piece} for piece in texts)
        for citation in part.get("citations") or ():
            yield {"type": "citations_delta", "citation": citation}
    elif kind == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(part["thinking"]))
        if part["signature"]:
            yield {"type": "signature_delta", "signature": part["signature"]}
    elif kind in ("tool_use", "server_tool_use"):
        for piece in ["", *pieces(compact(part["input"]))]:
            yield {"type": "input_json_delta", "partial_json": piece}


#: An answer with all that both protocols tell, and the tools that its client declared.
RICH = {
    "chat": {
        **ANSWER["chat"],
        **c_answer(
            "See \U0001f680: ", reasoning_content="Hm.", tool_calls=[c_call(), c_call("call_2")], finish="tool_calls"
        ),
    },
    "messages": {
        **ANSWER["messages"],
        **a_answer(
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            "See \U0001f680: ",
            a_use(),
            a_use("call_2"),
            stop="tool_use",
        ),
    },
}
TOOLS: dict[str, Any] = {"chat": {"tools": [c_tool()]}, "messages": {"tools": [a_tool()]}}
