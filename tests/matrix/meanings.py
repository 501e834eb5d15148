"""What an answer says, whichever protocol says it, and whether a stream keeps its protocol's laws.

Sources: protocols.md 4.3 (chat), 4.5 (messages).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.matrix.streams import event_of

#: Finish reasons that mean the same, in the words of chat.
FINISHES = {"tool_use": "tool_calls", "end_turn": "stop"}
#: What an in-band error may be called.
ERROR_TYPES = {
    "chat": {"server_error", "service_unavailable_error"},
    "messages": {"api_error", "overloaded_error", "timeout_error"},
}


class Said(NamedTuple):
    """Thoughts, a text or a tool call; ``words`` of a call are its arguments."""

    kind: str
    words: str
    name: str = ""
    id: str = ""


class Meaning(NamedTuple):
    """What was said up to here. ``finish`` is "" and ``tokens`` (in, out) are None while they are not told."""

    said: tuple[Said, ...]
    finish: str = ""
    tokens: tuple[int, int] | None = None


class _Fold:
    """Puts pieces together; thoughts and texts without a word were never there."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._places: dict[object, int] = {}
        self.finish = ""
        self.usage: dict[str, int] = {}

    def begin(self, key: object, kind: str, name: str = "", id: str = "") -> None:
        self._places[key] = len(self._said)
        self._said.append(Said(kind, "", name, id))

    def more(self, key: object, words: str) -> None:
        place = self._places[key]
        self._said[place] = self._said[place]._replace(words=self._said[place].words + words)

    def flow(self, kind: str, words: str) -> None:
        """A piece of what has no beginning of its own: it goes on while nothing else is said."""
        if not words:
            return
        if not self._said or self._said[-1].kind != kind:
            self.begin(kind, kind)
        self.more(kind, words)

    def count(self, usage: Mapping[str, Any]) -> None:
        for ours, names in (("in", ("prompt_tokens", "input_tokens")), ("out", ("completion_tokens", "output_tokens"))):
            for name in names:
                if isinstance(usage.get(name), int):
                    self.usage[ours] = usage[name]

    def meaning(self) -> Meaning:
        said = tuple(one for one in self._said if one.words or one.kind == "call")
        tokens = (self.usage["in"], self.usage["out"]) if len(self.usage) == 2 else None
        return Meaning(said, FINISHES.get(self.finish, self.finish), tokens)


def meaning_of(frames: Iterable[bytes]) -> Meaning:
    """What these frames of a stream say, of either protocol; errors say nothing."""
    fold = _Fold()
    for frame in frames:
        event = event_of(frame)
        if event is None or "error" in event:
            continue
        if "type" in event:
            _messages_event(event, fold)
        else:
            _chat_chunk(event, fold)
    return fold.meaning()


def _chat_chunk(chunk: Mapping[str, Any], fold: _Fold) -> None:
    for choice in chunk["choices"]:
        delta = choice["delta"]
        fold.flow("thinking", delta.get("reasoning_content") or "")
        fold.flow("text", delta.get("content") or "")
        for call in delta.get("tool_calls") or ():
            if "name" in call["function"]:
                fold.begin(call["index"], "call", call["function"]["name"], call["id"])
            fold.more(call["index"], call["function"].get("arguments") or "")
        fold.finish = choice["finish_reason"] or fold.finish
    fold.count(chunk.get("usage") or {})


def _messages_event(event: Mapping[str, Any], fold: _Fold) -> None:
    kind = event["type"]
    if kind == "message_start":
        fold.count(event["message"]["usage"])
    elif kind == "content_block_start":
        block = event["content_block"]
        fold.begin(event["index"], {"tool_use": "call"}.get(block["type"], block["type"]),
                   block.get("name", ""), block.get("id", ""))  # fmt: skip
    elif kind == "content_block_delta":
        delta = event["delta"]
        fold.more(event["index"], delta.get("text") or delta.get("thinking") or delta.get("partial_json") or "")
    elif kind == "message_delta":
        fold.finish = event["delta"]["stop_reason"]
        fold.count(event["usage"])


def meaning_of_whole(body: bytes) -> Meaning:
    """What an answer that is no stream says."""
    answer, fold = json.loads(body), _Fold()
    fold.count(answer["usage"])
    if "choices" in answer:
        [choice] = answer["choices"]
        fold.flow("text", choice["message"]["content"])
        fold.finish = choice["finish_reason"]
    else:
        for block in answer["content"]:
            fold.flow(block["type"], block["text"])
        fold.finish = answer["stop_reason"]
    return fold.meaning()


def check_laws(protocol: str, frames: Sequence[bytes], model: str) -> None:
    """The frames of a stream that has ended, by its terminal or by an error, come as the protocol wants them."""
    events = [event_of(frame) for frame in frames]
    failed = events[-1] is not None and "error" in events[-1]
    if failed:
        _check_error(protocol, events.pop())
    if protocol == "chat":
        assert not any(b"event:" in frame for frame in frames)
        _check_chunks(events if failed else events[:-1], model)
    else:
        assert all(frame.startswith(b"event: %b\n" % _name(frame)) for frame in frames)
        _check_blocks([event for event in events if event["type"] != "ping"], model, whole=not failed)


def _name(frame: bytes) -> bytes:
    name: str = event_of(frame)["type"]
    return name.encode()


def _check_error(protocol: str, event: Any) -> None:
    assert event["error"]["type"] in ERROR_TYPES[protocol], event
    if protocol == "chat":
        assert set(event["error"]) == {"message", "type", "param", "code"}, event
    else:
        assert event["type"] == "error", event


def _check_chunks(chunks: Sequence[Any], model: str) -> None:
    """One id, the role first and once, calls counted from 0, nothing but usage behind the finish reason."""
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("chat.completion.chunk", model)}
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices] == ["assistant", *[None] * (len(choices) - 1)]
    assert all(choice["index"] == 0 for choice in choices)
    finishes = [choice["finish_reason"] for choice in choices]
    assert not any(finishes[:-1])
    begun = 0
    for choice in choices:
        for call in choice["delta"].get("tool_calls", ()):
            new = "name" in call["function"]
            assert call["index"] == begun - (not new), "a call that was not begun, or not the last one"
            assert not new or (call["type"] == "function" and call["id"])
            begun += new


def _check_blocks(events: Sequence[Any], model: str, *, whole: bool) -> None:
    """``message_start``, blocks one after the other, each delta of its block's kind, the two last frames at the end."""
    first, *events = events
    assert (first["type"], first["message"]["model"], first["message"]["content"]) == ("message_start", model, [])
    if whole:
        *events, last, stop = events
        assert (last["type"], stop["type"]) == ("message_delta", "message_stop")
    kinds = {
        "thinking": ("thinking_delta", "signature_delta"), "text": ("text_delta",), "tool_use": ("input_json_delta",)
    }  # fmt: skip
    blocks, deltas = 0, None
    for event in events:
        kind, beginning = event["type"], event["type"] == "content_block_start"
        assert event["index"] == blocks - (not beginning)
        if beginning:
            assert deltas is None, "a block inside a block"
            blocks, deltas = blocks + 1, kinds[event["content_block"]["type"]]
        elif kind == "content_block_delta":
            assert deltas is not None and event["delta"]["type"] in deltas
        else:
            assert (kind, deltas is not None) == ("content_block_stop", True)
            deltas = None
    assert deltas is None or not whole
