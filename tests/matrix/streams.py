"""One representative answer in each protocol: thoughts, text, two tool calls, usage, terminal; and how to read it.

Whoever answers has a voice: a word that is in every text, so that an answer made of two attempts is seen.
Sources: protocols.md 4.3 (chat), 4.5 (messages).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.meanings import event_of

FIRST, SECOND = "Anna", "Bert"
TOKENS_IN, TOKENS_OUT = 25, 17

#: The terminal, and the vendor's error in the middle of a stream.
TERMINAL = {"chat": b"data: [DONE]\n\n", "messages": b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}
ERROR = {
    "chat": b'data: {"error":{"message":"It broke","type":"server_error","param":null,"code":null}}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"It broke"}}\n\n',
}
#: Frames before the first visible output; frames up to the finish reason; frames whose usage is the vendor's.
HIDDEN = {"chat": 2, "messages": 3}
UNTIL_FINISH = {"chat": 12, "messages": 19}
USAGE_FROM = {"chat": 13, "messages": 1}
#: The fields that show something, by name.
SPOKEN = ("content", "reasoning_content", "arguments", "text", "thinking", "partial_json")


def data_frame(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


def named_frame(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\n" + data_frame(event)


def chat_chunk(voice: str, delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    """One chunk; without a delta it has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": f"chatcmpl-{voice}", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": choices}


def chat_call(index: int, arguments: str, name: str = "", voice: str = "") -> dict[str, Any]:
    """A piece of a tool call; the first one has its name."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    head = {"id": f"call_{voice}_{index}", "type": "function"} if name else {}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def chat_frames(voice: str) -> list[bytes]:
    deltas: list[dict[str, Any] | None] = [
        None,
        {"role": "assistant", "content": ""},
        {"reasoning_content": f"{voice} thinks "},
        {"reasoning_content": f"as {voice} does."},
        {"content": f"{voice} says "},
        {"content": f"what {voice} says."},
        chat_call(0, "", "weather", voice),
        chat_call(0, '{"city":'),
        chat_call(0, f'"{voice}"}}'),
        chat_call(1, '{"zone":', "time", voice),
        chat_call(1, f'"{voice}"}}'),
    ]
    usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT}
    events = [chat_chunk(voice, delta) for delta in deltas]
    events += [chat_chunk(voice, {}, "tool_calls"), {**chat_chunk(voice, None), "usage": usage}]
    return [*map(data_frame, events), TERMINAL["chat"]]


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """A content block of a Messages stream."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def tool(index: int, name: str, voice: str, *pieces: str) -> list[dict[str, Any]]:
    start = {"type": "tool_use", "id": f"toolu_{voice}_{index}", "name": name, "input": {}}
    return block(index, start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def messages_frames(voice: str) -> list[bytes]:
    message = {"id": f"msg_{voice}", "type": "message", "role": "assistant", "model": "m", "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": TOKENS_IN, "output_tokens": 1}}
    stop = {"stop_reason": "tool_use", "stop_sequence": None}
    thoughts = [{"type": "thinking_delta", "thinking": f"{voice} {word}"} for word in ("thinks ", "does.")]
    texts = [{"type": "text_delta", "text": f"{voice} {word}"} for word in ("says ", "this.")]
    signature = {"type": "signature_delta", "signature": f"sig-{voice}"}
    events = [
        {"type": "message_start", "message": message},
        {"type": "ping"},
        *block(0, {"type": "thinking", "thinking": "", "signature": ""}, *thoughts, signature),
        *block(1, {"type": "text", "text": ""}, *texts),
        *tool(2, "weather", voice, '{"city":', f'"{voice}"}}'),
        *tool(3, "time", voice, f'{{"zone":"{voice}"}}'),
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": TOKENS_OUT}},
    ]
    return [*map(named_frame, events), TERMINAL["messages"]]


def frames_of(protocol: str, voice: str) -> list[bytes]:
    """The whole stream in one voice."""
    return chat_frames(voice) if protocol == "chat" else messages_frames(voice)


def whole_of(protocol: str, voice: str) -> bytes:
    """An answer that is no stream."""
    if protocol == "chat":
        choice = {"index": 0, "message": {"role": "assistant", "content": f"{voice} says."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT}
        answer = {"id": f"chatcmpl-{voice}", "object": "chat.completion", "created": 1, "model": "m"}
        return json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
    answer = {"id": f"msg_{voice}", "type": "message", "role": "assistant", "model": "m"}
    content = [{"type": "text", "text": f"{voice} says."}]
    usage = {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return json.dumps({**answer, "content": content, **ended, "usage": usage}).encode()


def spoken(event: Any) -> str:
    """All that an event shows, wherever it stands in it, but for what says the same again with its state."""
    if isinstance(event, dict):
        own = [value for name, value in event.items() if name in SPOKEN and isinstance(value, str)]
        below = [value for name, value in event.items() if name != "reasoning_details"]
        return "".join([*own, *(spoken(value) for value in below if isinstance(value, dict | list))])
    return "".join(map(spoken, event)) if isinstance(event, list) else ""


def said(frames: Iterable[bytes]) -> str:
    """All that these frames show, in their order."""
    return "".join(spoken(event_of(frame)) for frame in frames)


def told_by_sdk(protocol: str, frames: Iterable[bytes]) -> int:
    """How many of these frames an official SDK hands to its user: no pings, no [DONE]."""
    events = [event_of(frame) for frame in frames]
    return sum(event is not None and event.get("type") != "ping" for event in events)


def same(lane: str, got: Sequence[bytes], sent: Sequence[bytes]) -> bool:
    """Raw frames byte for byte; in the other lanes the same events, the model's name apart (design.md 2.1)."""
    if lane == "raw":
        return list(got) == list(sent)
    return list(map(_nameless, got)) == list(map(_nameless, sent))


def same_whole(lane: str, got: bytes, sent: bytes) -> bool:
    """The same of an answer that is no stream."""
    return got == sent if lane == "raw" else {**json.loads(got), "model": ""} == {**json.loads(sent), "model": ""}


def _nameless(frame: bytes) -> Any:
    event = event_of(frame)
    if event is None:
        return None
    kept = {name: value for name, value in event.items() if name != "model"}
    if "message" in kept:
        kept["message"] = {name: value for name, value in kept["message"].items() if name != "model"}
    return kept
