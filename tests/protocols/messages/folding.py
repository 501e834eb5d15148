"""Putting streams together: neutral events to the answer that they tell, wire frames to the SDK's own message.

The folds are written for the tests alone; nothing of ``protocols/`` is used in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
from anthropic.lib.streaming._messages import accumulate_event

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, Thought, ToolCall
from rotator.neutral.response import Candidate, Response
from tests.upstreams import PROTOCOLS

SUITES = Path(__file__).parents[4] / "shared" / "suites" / "api-schemas"
PIECES = (TextDelta, ReasoningDelta, ArgumentsDelta, RefusalDelta, StateSeen, Cited, MediaDelta, OpaqueDelta, BlockEnd)


def module(name: str) -> Any:
    """A module of the plug-in, as discovery loaded it."""
    assert "messages" in PROTOCOLS
    return import_module(f"rotator.plugins.protocols.messages.{name}")


def keep_laws(events: Sequence[Event]) -> None:
    """Assert the laws of ``rotator.neutral.events``, as far as one upstream's stream can break them."""
    assert [number for number, event in enumerate(events) if isinstance(event, Start)] in ([], [0])
    assert not events or isinstance(events[0], Start)
    lasts = [number for number, event in enumerate(events) if isinstance(event, End | Failed)]
    assert lasts in ([], [len(events) - 1])
    opened: set[int] = set()
    seen: set[int] = set()
    finished = False
    for event in events:
        if isinstance(event, BlockStart):
            assert event.block not in seen
            assert not finished
            seen.add(event.block)
            opened.add(event.block)
        elif isinstance(event, PIECES):
            assert event.block in opened
            if isinstance(event, BlockEnd):
                opened.remove(event.block)
        elif isinstance(event, Finished):
            assert not finished
            assert not opened
            finished = True
        elif isinstance(event, End):
            assert finished


def fold(events: Iterable[Event]) -> Response:
    """The answer that the events of a whole stream tell."""
    start = Start("")
    parts: dict[int, Part] = {}
    inputs: dict[int, str] = {}
    thoughts: dict[int, int] = {}
    usage = finish = None
    for event in events:
        match event:
            case Start():
                start = event
            case BlockStart(block, part):
                parts[block] = part
            case UsageSeen(told):
                usage = told
            case Finished(told, _, late):
                finish = told
                start = start._replace(rest={**start.rest, **late})
            case OpaqueDelta(block, {"partial_json": str(piece)}):
                inputs[block] = inputs.get(block, "") + piece
            case ReasoningDelta(block, _, _, thought):
                parts[block] = _thinking(parts[block], event, thoughts.get(block) == thought)
                thoughts[block] = thought
            case _ if isinstance(event, PIECES):
                parts[event.block] = _grown(parts[event.block], event)
    for block, written in inputs.items():
        part = parts[block]
        assert isinstance(part, Opaque)
        parts[block] = replace(part, data={**part.data, "input": json.loads(written)})
    candidate = Candidate(tuple(parts.values()), finish)
    return Response(start.protocol, start.id, start.model, (candidate,), usage, start.created, start.tier, start.rest)


def _thinking(part: Part, event: ReasoningDelta, same: bool) -> Part:
    assert isinstance(part, Reasoning)
    before = list(part.thoughts)
    words = before.pop().text if same else ""
    return replace(part, thoughts=(*before, Thought(words + event.text, event.form)))


def _grown(part: Part, event: Any) -> Part:
    match part, event:
        case Text(), TextDelta(_, words, logprobs):
            return replace(part, text=part.text + words, logprobs=part.logprobs + logprobs)
        case Refusal(), RefusalDelta(_, words, logprobs):
            return replace(part, text=part.text + words, logprobs=part.logprobs + logprobs)
        case Text(), Cited(_, citation):
            return replace(part, citations=(*part.citations, citation))
        case ToolCall(), ArgumentsDelta(_, words):
            return replace(part, arguments=part.arguments + words)
        case Text() | ToolCall() | Reasoning(), StateSeen(_, state):
            return replace(part, state=state)
        case Media(), MediaDelta(_, data, transcript):
            source = part.source._replace(value=part.source.value + data)
            return replace(part, source=source, transcript=(part.transcript or "") + transcript)
        case _, BlockEnd() | OpaqueDelta():
            return part
    raise AssertionError((part, event))


def frames_of(stream: bytes) -> list[tuple[str, Any]]:
    """Name and JSON of each frame; every frame has both and ends with a blank line."""
    *frames, rest = stream.decode().split("\n\n")
    assert rest == ""
    found = []
    for frame in frames:
        name, data = frame.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        found.append((name[7:], json.loads(data[6:])))
    return found


def check_stream(stream: bytes, published: bool = True) -> list[Any]:
    """The events of a stream that ends well: the grammar of protocols.md 4.5 and the published schema are kept.

    ``published``: nothing in it is of a beta or of compatible servers only.
    """
    frames = frames_of(stream)
    assert all(name == event["type"] for name, event in frames)
    events = [event for _, event in frames]
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert [kinds.count(kind) for kind in ("message_start", "message_delta", "message_stop")] == [1, 1, 1]
    started = 0
    opened = None
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert (opened, event["index"]) == (None, started)
                opened = started
                started += 1
            case "content_block_delta":
                assert event["index"] == opened
            case "content_block_stop":
                assert event["index"] == opened
                opened = None
        if published and event["type"] != "ping" and (schema := validator("anthropic.messages_stream")):
            schema.validate(event)
    assert opened is None
    return events


def sdk_message(events: Iterable[Any]) -> dict[str, Any]:
    """What anthropic-python makes of the events of a stream."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    message: dict[str, Any] = snapshot.to_dict(mode="python")
    return message


def tidy(message: dict[str, Any]) -> dict[str, Any]:
    """A message without members that are null, which the SDK adds; a call's input stays as it is."""
    return {name: _tidy(value) for name, value in message.items() if value is not None}


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: one if name == "input" else _tidy(one) for name, one in value.items() if one is not None}
    return [_tidy(one) for one in value] if isinstance(value, list) else value


@cache
def validator(name: str) -> jsonschema.Draft202012Validator | None:
    """A schema of the suite, None where the suites are not here."""
    path = SUITES / f"{name}.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text())) if path.exists() else None


def check_message(message: Any) -> None:
    """A whole answer keeps the published schema."""
    if schema := validator("anthropic.messages"):
        schema.validate(message)
