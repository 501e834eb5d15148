"""Streams in small words: what upstreams send, event by event, and what clients get, without what is always the same.

Of a Chat client's chunks that are the deltas (``ROLE`` first), the finish reasons, and "[DONE]"; of a Messages
client's events all but pings, with a ``message_start`` whose usage and name may be any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rotator.wire.jsontext import dumps, loads
from rotator.wire.sse import frames

from .matching import Having, Like, OneOf
from .words import ANSWER, Body, c_call

DONE = b"data: [DONE]\n\n"
HEAD = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "up-model"}
C_SPENT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ROLE = {"role": "assistant", "content": ""}
#: What a message_delta tells of it; more may stand there.
SPENT = Having({"output_tokens": 5})


# ------------------------------------------------------------ what upstreams send


def chunk(delta: Body | None = None, finish: str | None = None, index: int = 0, **more: Any) -> Body:
    """One chunk with one choice."""
    return {**HEAD, "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **more}


def spent(usage: Body = C_SPENT) -> Body:
    """The chunk of the usage."""
    return {**HEAD, "choices": [], "usage": usage}


def c_stream(*deltas: Any, finish: str | None = "stop") -> list[Any]:
    """A Chat stream: what is no chunk is a delta."""
    said = [one if isinstance(one, bytes) or "choices" in one or "error" in one else chunk(one) for one in deltas]
    return [chunk(ROLE), *said, *([chunk(finish=finish)] if finish else []), spent(), DONE]


def piece(index: int, arguments: str, **head: Any) -> Body:
    """A delta of a call; with ``id`` or ``name`` the first one."""
    function = {"name": head.pop("name"), "arguments": arguments} if "name" in head else {"arguments": arguments}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def first(index: int, arguments: str = "", id: str = "call_1", name: str = "lookup") -> Body:
    return piece(index, arguments, id=id, type="function", name=name)


def begun(usage: Body | None = None) -> Body:
    """``message_start`` of an upstream."""
    empty = {**ANSWER["messages"], "content": [], "stop_reason": None}
    counts = {"input_tokens": 10, "output_tokens": 1} if usage is None else usage
    return {"type": "message_start", "message": {**empty, "usage": counts}}


def block(index: int, start: Body, *deltas: Any) -> list[Body]:
    """A whole content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *(delta_of(index, delta) for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def delta_of(index: int, delta: Body) -> Body:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def words(index: int, *pieces: Any) -> list[Body]:
    """A text block."""
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def thoughts(index: int, *pieces: str, signature: str = "") -> list[Body]:
    """A thinking block; its signature is one delta before its end, and there also if there is none."""
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed)


def kept_thoughts(index: int, *pieces: str) -> list[Body]:
    """A thinking block as a client gets it that another protocol's vendor wrote: what proves it is sealed."""
    *before, signed, stop = thoughts(index, *pieces)
    signed = {**signed, "delta": {**signed["delta"], "signature": Like(r"^rot1\.")}}
    return [*before, signed, stop]


def using(index: int, *pieces: Any, id: Any = "call_1", name: str = "lookup") -> list[Body]:
    """A call."""
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, {"type": "tool_use", "id": id, "name": name, "input": {}}, *deltas)


def ended(stop: str = "end_turn", usage: Body | None = None, **delta: Any) -> list[Body]:
    """``message_delta`` and ``message_stop``."""
    told = {"stop_reason": stop, "stop_sequence": None, **delta}
    counts: Any = {"output_tokens": 5} if usage is None else usage
    return [{"type": "message_delta", "delta": told, "usage": counts}, {"type": "message_stop"}]


def a_stream(*events: Any, stop: str = "end_turn", **delta: Any) -> list[Any]:
    """A Messages stream; blocks are lists of events."""
    return [begun(), {"type": "ping"}, *flat(events), *ended(stop, **delta)]


def flat(events: Iterable[Any]) -> list[Any]:
    """Lists of events among events, spread."""
    return [one for event in events for one in (event if isinstance(event, list) else [event])]


def sent(protocol: str, events: Sequence[Any]) -> list[bytes]:
    """The frames of an upstream."""
    return [event if isinstance(event, bytes) else _frame(protocol, event) for event in events]


def _frame(protocol: str, event: Body) -> bytes:
    name = b"event: %b\n" % event["type"].encode() if protocol == "messages" else b""
    return b"%bdata: %b\n\n" % (name, dumps(event))


# ------------------------------------------------------------ what clients get


def c_heard(*deltas: Any, finish: str = "stop") -> list[Any]:
    """What a Chat client gets."""
    return [OneOf(ROLE, {"role": "assistant"}), *deltas, {"finish_reason": finish}, "[DONE]"]


def a_heard(*events: Any, stop: str = "end_turn", usage: Any = SPENT, **delta: Any) -> list[Any]:
    """What a Messages client gets."""
    told = {"type": "message_delta", "delta": {"stop_reason": stop, **delta}, "usage": usage}
    return [STARTED, *flat(events), told, {"type": "message_stop"}]


STARTED = Having(
    {
        "type": "message_start",
        "message": Having({"type": "message", "role": "assistant", "content": [], "stop_reason": None}),
    }
)


def calls(*parts: Body) -> Body:
    """The delta of whole or begun calls."""
    return {"tool_calls": list(parts)}


def whole_call(index: int, id: Any = "call_1", arguments: str = "") -> Body:
    """A call as its first delta shows it."""
    return {"index": index, **c_call(id, arguments)}


def more(index: int, arguments: str) -> Body:
    """A later delta of a call."""
    return calls({"index": index, "function": {"arguments": arguments}})


def events_of(body: bytes) -> list[tuple[str | None, Any]]:
    """Names and data of all frames; ``[DONE]`` as text."""
    return [(one.event, "[DONE]" if one.data == b"[DONE]" else loads(one.data)) for one in frames(body)]


def heard(protocol: str, body: bytes) -> list[Any]:
    """What a client got, without what is always the same."""
    data = [event for _, event in events_of(body)]
    if protocol == "messages":
        return [_without_nulls(event) for event in data if event != {"type": "ping"}]
    return [part for event in data for part in _chat_parts(event)]


def _without_nulls(event: Any) -> Any:
    """A ``message_delta`` names what it does not tell as null."""
    if event["type"] != "message_delta":
        return event
    return {**event, "delta": {name: value for name, value in event["delta"].items() if value is not None}}


def _chat_parts(event: Any) -> list[Any]:
    """A chunk's deltas and finish reasons, those of other candidates with their index."""
    if event == "[DONE]" or "error" in event:
        return [event]
    parts: list[Any] = [{"usage": event["usage"]}] if event.get("usage") else []
    for choice in event["choices"]:
        delta = {name: value for name, value in choice["delta"].items() if value is not None}
        said = {**delta, **({"logprobs": choice["logprobs"]} if choice.get("logprobs") else {})}
        parts += [said] if said else []
        parts += [{"finish_reason": choice["finish_reason"]}] if choice.get("finish_reason") else []
    return parts
