"""The grammar of the streams that clients get: a law for each line of protocols.md 4.3 and 4.5 that binds a writer.

A law takes the frames of one whole stream, names and data, and yields what breaks it. ``LAWS`` has them by protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Events = Sequence[tuple[str | None, Any]]
Law = Callable[[Events], Iterator[str]]

LAWS: dict[str, dict[str, Law]] = {"chat": {}, "messages": {}}


def _of(*protocols: str) -> Callable[[Law], Law]:
    def register(law: Law) -> Law:
        for protocol in protocols:
            LAWS[protocol][law.__name__] = law
        return law

    return register


def _chunks(events: Events) -> list[Any]:
    return [data for _, data in events if data != "[DONE]" and "error" not in data]


def _choices(events: Events) -> list[Any]:
    return [choice for chunk in _chunks(events) for choice in chunk["choices"]]


def _calls(events: Events) -> list[Any]:
    return [call for choice in _choices(events) for call in choice["delta"].get("tool_calls") or ()]


@_of("chat")
def frames_have_no_names(events: Events) -> Iterator[str]:
    """4.1"""
    yield from (f"a frame is called {name}" for name, _ in events if name is not None)


@_of("chat")
def chunks_have_choices(events: Events) -> Iterator[str]:
    """4.3, line 1"""
    yield from (f"{chunk} has no choices" for chunk in _chunks(events) if not isinstance(chunk.get("choices"), list))


@_of("chat")
def choices_have_deltas(events: Events) -> Iterator[str]:
    """4.3, line 2"""
    yield from (f"{one} has no delta" for one in _choices(events) if not isinstance(one.get("delta"), dict))


@_of("chat")
def the_role_comes_first_and_once(events: Events) -> Iterator[str]:
    """4.3, line 3: for each choice"""
    for index in {choice["index"] for choice in _choices(events)}:
        roles = [one["delta"].get("role") for one in _choices(events) if one["index"] == index]
        if roles[:1] != ["assistant"] or any(roles[1:]):
            yield f"the roles of choice {index} are {roles}"


@_of("chat")
def calls_count_from_nought(events: Events) -> Iterator[str]:
    """4.3, line 4"""
    seen: list[int] = []
    for call in _calls(events):
        if call.get("index") not in (*seen, len(seen)):
            yield f"index {call.get('index')} comes behind {seen}"
        elif call["index"] not in seen:
            seen.append(call["index"])


@_of("chat")
def a_calls_head_comes_once(events: Events) -> Iterator[str]:
    """4.3, line 5"""
    seen: set[int] = set()
    for call in _calls(events):
        function = call.get("function", {})
        told = [part[name] for part, name in ((call, "id"), (call, "type"), (function, "name")) if name in part]
        if len(told) != 3 * (call["index"] not in seen) or not all(told):
            yield f"{call} has {told}"
        seen.add(call["index"])


@_of("chat")
def arguments_are_text(events: Events) -> Iterator[str]:
    """4.3, lines 6 and 12: custom calls are told as functions, whose arguments are strings"""
    for call in _calls(events):
        if not isinstance(call.get("function", {}).get("arguments"), str):
            yield f"{call} has no text of arguments"


@_of("chat")
def the_finish_comes_once_and_alone(events: Events) -> Iterator[str]:
    """4.3, lines 7 and 10"""
    if not any(data == "[DONE]" for _, data in events):
        return
    for index in {choice["index"] for choice in _choices(events)}:
        own = [one for one in _choices(events) if one["index"] == index]
        if [bool(one.get("finish_reason")) for one in own] != [False] * (len(own) - 1) + [True]:
            yield f"choice {index} finishes with {[one.get('finish_reason') for one in own]}"
        elif {name for name, value in own[-1]["delta"].items() if value is not None}:
            yield f"choice {index} says {own[-1]['delta']} while it finishes"


@_of("chat")
def usage_comes_last(events: Events) -> Iterator[str]:
    """4.3, line 8"""
    told = [bool(chunk.get("usage")) for chunk in _chunks(events)]
    if any(told[:-1]):
        yield f"usage in chunks {told}"


@_of("chat")
def a_chat_stream_ends_once(events: Events) -> Iterator[str]:
    """4.3, lines 9 and 13: [DONE], or an error and nothing else"""
    ends = [place for place, (_, data) in enumerate(events) if data == "[DONE]" or "error" in data]
    if ends != [len(events) - 1]:
        yield f"ends at {ends} of {len(events)} frames"
    error = events[-1][1] if events[-1][1] != "[DONE]" else None
    if error is not None and set(error.get("error", {})) != {"message", "type", "param", "code"}:
        yield f"{error} is no error of this protocol"


@_of("chat")
def lists_have_indexes(events: Events) -> Iterator[str]:
    """4.3, line 11: members of a list that comes twice"""
    names = [name for choice in _choices(events) for name, value in choice["delta"].items() if isinstance(value, list)]
    for choice in _choices(events):
        for name, value in choice["delta"].items():
            if isinstance(value, list) and names.count(name) > 1:
                yield from (f"{name} {one} has no index" for one in value if not isinstance(one.get("index"), int))


@_of("chat")
def the_head_never_changes(events: Events) -> Iterator[str]:
    """3.1, id: the same in all events"""
    heads = {(one.get("id"), one.get("object"), one.get("created"), one.get("model")) for one in _chunks(events)}
    if len(heads) > 1:
        yield f"heads {heads}"


# ------------------------------------------------------------ messages


def _typed(events: Events, *kinds: str) -> list[Any]:
    return [data for _, data in events if data["type"] in kinds]


def _stopped(events: Events) -> bool:
    return events[-1][1]["type"] != "error"


@_of("messages")
def frames_are_named_by_their_type(events: Events) -> Iterator[str]:
    """4.5, lines 1 and 17"""
    yield from (f"{data['type']} is called {name}" for name, data in events if name != data["type"])


@_of("messages")
def the_message_starts_first_and_once(events: Events) -> Iterator[str]:
    """4.5, line 2; an error may come before anything else"""
    places = [place for place, (_, data) in enumerate(events) if data["type"] == "message_start"]
    if places != [0] and not (not places and len(events) == 1 and not _stopped(events)):
        yield f"message_start at {places}"


@_of("messages")
def the_start_tells_its_usage(events: Events) -> Iterator[str]:
    """4.5, line 3; P-144: every member that Claude Code looks for"""
    for start in _typed(events, "message_start"):
        usage = start["message"].get("usage")
        names = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        if not isinstance(usage, dict) or not all(isinstance(usage.get(name), int) for name in names):
            yield f"usage {usage}"
        elif not isinstance(usage.get("cache_creation"), dict):
            yield f"no cache_creation in {usage}"


@_of("messages")
def blocks_start_in_order(events: Events) -> Iterator[str]:
    """4.5, lines 4, 5 and 15: contiguous, one at a time, deltas inside, every one stopped"""
    following, inside = 0, None
    for data in _typed(events, "content_block_start", "content_block_delta", "content_block_stop"):
        if data["type"] == "content_block_start":
            if inside is not None or data["index"] != following:
                yield f"block {data['index']} starts inside {inside}, {following} should follow"
            inside, following = data["index"], following + 1
        elif data["index"] != inside:
            yield f"{data} inside {inside}"
        elif data["type"] == "content_block_stop":
            inside = None
    if inside is not None and _stopped(events):
        yield f"block {inside} never stops"


@_of("messages")
def a_message_delta_tells_the_end(events: Events) -> Iterator[str]:
    """4.5, lines 6, 7 and 16"""
    deltas = _typed(events, "message_delta")
    if _stopped(events) and (not deltas or not deltas[-1]["delta"].get("stop_reason")):
        yield "no stop reason"
    for delta in deltas:
        if not isinstance((delta.get("usage") or {}).get("output_tokens"), int):
            yield f"{delta} without output_tokens"


@_of("messages")
def a_message_stops_once(events: Events) -> Iterator[str]:
    """4.5, lines 8 and 18: message_stop, or an error and nothing else"""
    ends = [place for place, (_, data) in enumerate(events) if data["type"] in ("message_stop", "error")]
    if ends != [len(events) - 1]:
        yield f"ends at {ends} of {len(events)}"
    error = events[-1][1].get("error")
    if not _stopped(events) and not (isinstance(error, dict) and {"type", "message"} <= set(error)):
        yield f"{error} is no error of this protocol"


def _blocks(events: Events) -> Iterator[tuple[Any, list[Any]]]:
    """Each block's start and its deltas; those that never stop are left out."""
    started: dict[int, tuple[Any, list[Any]]] = {}
    for _, data in events:
        if data["type"] == "content_block_start":
            started[data["index"]] = (data["content_block"], [])
        elif data["type"] == "content_block_delta":
            started[data["index"]][1].append(data["delta"])
        elif data["type"] == "content_block_stop":
            yield started[data["index"]]


@_of("messages")
def input_comes_as_json_text(events: Events) -> Iterator[str]:
    """4.5, lines 9 and 10: the start is empty, the pieces joined are an object"""
    for start, deltas in _blocks(events):
        if start["type"] != "tool_use":
            continue
        written = "".join(delta["partial_json"] for delta in deltas)
        if start["input"] != {} or not isinstance(json.loads(written), dict):
            yield f"{start} {written!r}"


@_of("messages")
def a_signature_comes_once_at_the_end(events: Events) -> Iterator[str]:
    """4.5, line 11"""
    for start, deltas in _blocks(events):
        kinds = [delta["type"] for delta in deltas]
        if "signature_delta" in kinds[:-1]:
            yield f"{start['type']}: {kinds}"


@_of("messages")
def thinking_starts_empty(events: Events) -> Iterator[str]:
    """4.5, line 12"""
    empty = {"thinking": {"type": "thinking", "thinking": "", "signature": ""}, "text": {"type": "text", "text": ""}}
    for start, _ in _blocks(events):
        kept = {name: value for name, value in start.items() if value is not None and value != []}
        if kept != empty.get(start["type"], kept):
            yield f"{start}"


FITTING = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
}


@_of("messages")
def deltas_are_of_their_blocks_kind(events: Events) -> Iterator[str]:
    """4.5, lines 13 and 14: and of no kind that clients do not know"""
    for start, deltas in _blocks(events):
        strange = {delta["type"] for delta in deltas} - FITTING.get(start["type"], set())
        if strange:
            yield f"{strange} in {start['type']}"


EVENTS = {
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
}


@_of("messages")
def only_known_events_come(events: Events) -> Iterator[str]:
    """4.5, line 14"""
    yield from (f"{data['type']}" for _, data in events if data["type"] not in EVENTS)


# ------------------------------------------------------------ both


@_of("chat", "messages")
def nothing_is_empty(events: Events) -> Iterator[str]:
    """4.0, law 8; P-225: no frame without a meaning"""
    for _, data in events:
        if data in ({}, None) or (data != "[DONE]" and data.get("choices") == [] and not data.get("usage")):
            yield f"{data}"


def broken(protocol: str, events: Events) -> list[str]:
    """All that breaks a law."""
    return [f"{name}: {problem}" for name, law in LAWS[protocol].items() for problem in law(events)]
