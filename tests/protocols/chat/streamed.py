"""Small builders of chunks as vendors send them, and of the events that they mean."""

from __future__ import annotations

from typing import Any

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    End,
    Event,
    Finished,
    ReasoningDelta,
    Start,
    TextDelta,
)
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import (
    Reasoning,
    Text,
    ToolCall,
)
from rotator.neutral.response import Finish
from tests.neutral.laws import check_laws
from tests.protocols.chat.clients import module

HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-1"}
START = Start("chat", "c-1", "m-1", 1_700_000_000)
ROLE = {"role": "assistant", "content": ""}
PAGE = "https://page.example"
STOP = Finished(Finish("stop", "stop"))
CALLED = Finished(Finish("tool_calls", "tool_calls"))
SPENT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def chunk(delta: Any = None, finish: Any = None, index: Any = 0, **more: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    return {**HEAD, "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}], **more}


def read(*data: Any, ledger: Ledger | None = None) -> list[Event]:
    """The events of a whole stream; those of a frame keep the laws as they come."""
    reader = module("reader").ChatReader(ledger or Ledger())
    events = [event for one in data for event in reader.read(None, one)]
    events += reader.end()
    assert check_laws(events, cut=True) == []
    return events


def said(*deltas: Any, finish: str | None = "stop") -> list[Event]:
    """What deltas mean, between Start and End."""
    events = read(chunk(ROLE), *(chunk(delta) for delta in deltas), *([chunk({}, finish)] if finish else []))
    assert events[0] == START
    assert events[-1:] == ([End()] if finish else events[-1:])
    return events[1:-1] if finish else events[1:]


def text(block: int, *pieces: str) -> list[Event]:
    return [BlockStart(block, Text("")), *(TextDelta(block, piece) for piece in pieces), BlockEnd(block)]


def thought(block: int, *pieces: str) -> list[Event]:
    return [BlockStart(block, Reasoning()), *(ReasoningDelta(block, piece) for piece in pieces), BlockEnd(block)]


def call(block: int, id: str, name: str, *pieces: str) -> list[Event]:
    deltas = (ArgumentsDelta(block, piece) for piece in pieces)
    return [BlockStart(block, ToolCall(id, name)), *deltas, BlockEnd(block)]


def more(index: int | None, arguments: Any = None, id: Any = None, name: Any = None, **rest: Any) -> dict[str, Any]:
    """One entry of ``tool_calls``, with what is not None."""
    function = {"name": name, "arguments": arguments}
    entry = {"index": index, "id": id, **rest, "function": {k: v for k, v in function.items() if v is not None}}
    return {name: value for name, value in entry.items() if value is not None}


def calling(*entries: Any) -> dict[str, Any]:
    return {"tool_calls": list(entries)}
