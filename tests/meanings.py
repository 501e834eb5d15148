"""What an answer says, whichever protocol says it, and whether a translated stream is one of its client's protocol.

Sources: protocols.md 4.3 (chat), 4.5 (messages).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.translation.laws import broken

#: Finish reasons that mean the same, in the words of chat.
FINISHES = {"tool_use": "tool_calls", "end_turn": "stop"}
#: What an in-band error of a vendor's may be called.
ERROR_TYPES = {
    "chat": {"server_error", "service_unavailable_error"},
    "messages": {"api_error", "overloaded_error", "timeout_error"},
}


def split(body: bytes) -> list[bytes]:
    """Whole frames with their blank lines; heartbeats (blank lines, comments) are none.  A torn frame is a failure."""
    parts = [part.lstrip(b"\n") for part in body.split(b"\n\n")]
    assert not parts[-1], f"half a frame: {parts[-1]!r}"
    return [part + b"\n\n" for part in parts if part and not part.startswith(b":")]


def event_of(frame: bytes) -> Any:
    """A frame's JSON; None for the terminal of chat."""
    data = b"".join(line[5:] for line in frame.splitlines() if line.startswith(b"data:")).strip()
    return None if data == b"[DONE]" else json.loads(data)


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
        fold.count(event["message"].get("usage") or {})
    elif kind == "content_block_start":
        block = event["content_block"]
        fold.begin(event["index"], {"tool_use": "call"}.get(block["type"], block["type"]),
                   block.get("name", ""), block.get("id", ""))  # fmt: skip
    elif kind == "content_block_delta":
        delta = event["delta"]
        fold.more(event["index"], delta.get("text") or delta.get("thinking") or delta.get("partial_json") or "")
    elif kind == "message_delta":
        fold.finish = event["delta"]["stop_reason"]
        fold.count(event.get("usage") or {})


def meaning_of_whole(body: bytes) -> Meaning:
    """What an answer that is no stream says."""
    answer, fold = json.loads(body), _Fold()
    fold.count(answer.get("usage") or {})
    if "choices" in answer:
        [choice] = answer["choices"]
        fold.flow("text", choice["message"]["content"])
        fold.finish = choice["finish_reason"]
    else:
        for block in answer["content"]:
            fold.flow(block["type"], block["text"])
        fold.finish = answer["stop_reason"]
    return fold.meaning()


def lawful(protocol: str, frames: Sequence[bytes], model: str) -> None:
    """The frames of a stream that has ended, by its terminal or by an error, are what the protocol wants them to be."""
    events = [(_name(frame), event_of(frame)) for frame in frames]
    assert broken(protocol, [(name, "[DONE]" if event is None else event) for name, event in events]) == []
    told = [event.get("message", event).get("model", model) for _, event in events if event and "error" not in event]
    assert set(told) <= {model}
    last = events[-1][1]
    assert last is None or "error" not in last or last["error"]["type"] in ERROR_TYPES[protocol], last


def _name(frame: bytes) -> str | None:
    head, _, _ = frame.partition(b"\n")
    return head.removeprefix(b"event: ").decode() if head.startswith(b"event: ") else None
