"""Whether a translated answer says what the upstream said: its text, its end and its usage, in the client's protocol.

This reads the protocols by itself (protocols.md 3, 4.3, 4.5); it knows neither the bytes nor the ids of a translation.
"""

import json
import re
from typing import Any

from benchmarks.canned import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, TEXT, WORD, WORDS, word_text

_ID = re.compile(rb'"id": ?"([^"]+)"')
_CREATED = re.compile(rb'"created": ?\d+')
_TIMED = re.compile(rb'"(?:content|text)": ?" (\d+) (\d+) (-?\d+)"')
_SPENT = {
    "chat": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS},
    "messages": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
}


def nameless(body: bytes) -> bytes:
    """An answer without its own id and time."""
    for pattern in (_ID, _CREATED):
        if found := pattern.search(body):
            body = body.replace(found[found.re.groups], b"-")
    return body


def split_timed(event: bytes) -> tuple[tuple[int, int, int], bytes]:
    """A paced word's numbers, and its event without them.  Raises ValueError where there is none."""
    found = _TIMED.search(event)
    if found is None:
        raise ValueError("no paced word")
    return (int(found[1]), int(found[2]), int(found[3])), event[: found.start()] + event[found.end() :]


def wrong_whole(protocol: str, body: bytes) -> str:
    """What is wrong with a whole answer, "" if nothing."""
    try:
        answer = json.loads(body)
        if protocol == "chat":
            (choice,) = answer["choices"]
            said, end = choice["message"]["content"], choice["finish_reason"]
        else:
            said, end = "".join(block["text"] for block in answer["content"]), answer["stop_reason"]
        told = (answer["model"], said, end, _spent(protocol, answer))
    except (ValueError, LookupError, TypeError) as error:
        return f"translated answer cannot be read ({error!r}): {body[:300].decode(errors='replace')}"
    expected = (MODEL, TEXT, "stop" if protocol == "chat" else "end_turn", _SPENT[protocol])
    return "" if told == expected else f"translated answer says {told}"


def _spent(protocol: str, holder: Any) -> dict[str, Any]:
    return {name: holder["usage"][name] for name in _SPENT[protocol]}


def wrong_stream(protocol: str, body: bytes) -> str:
    """What is wrong with a stream, "" if nothing."""
    events = body.split(b"\n\n")
    places = [place for place, event in enumerate(events) if WORD in event]
    if events.pop() or len(places) != WORDS or places[-1] - places[0] != WORDS - 1:
        return f"{len(places)} words in {len(events)} events, or something between or behind them"
    first, behind = places[0], places[-1] + 1
    try:
        said = [_said(protocol, json.loads(_data(event))) for event in events[first:behind]]
    except (ValueError, LookupError) as error:
        return f"the event of a word cannot be read: {error!r}"
    if said != [word_text(number) for number in range(WORDS)]:
        return "the words are not the upstream's"
    return wrong_ends(protocol, events[:first], events[behind:])


def _said(protocol: str, event: Any) -> str:
    return str(event["choices"][0]["delta"]["content"] if protocol == "chat" else event["delta"]["text"])


def _data(event: bytes) -> bytes:
    return event[event.index(b"data: ") + 6 :].rstrip()


def wrong_ends(protocol: str, opening: list[bytes], ending: list[bytes]) -> str:
    """What is wrong with the events before and after the words, "" if nothing."""
    try:
        wrong = (_wrong_chat if protocol == "chat" else _wrong_messages)(opening, ending)
    except (ValueError, LookupError, TypeError) as error:
        wrong = f"cannot be read: {error!r}"
    return f"opening or ending of a translated stream: {wrong}" if wrong else ""


def _wrong_chat(opening: list[bytes], ending: list[bytes]) -> str:
    """The usage is not asked for, so the finish reason is last before the terminal."""
    if [_data(event) for event in ending[-1:]] != [b"[DONE]"]:
        return "no [DONE]"
    before, after = ([json.loads(_data(event)) for event in events] for events in (opening, ending[:-1]))
    if any(chunk["model"] != MODEL for chunk in (*before, *after)):
        return "another model"
    if any(chunk["choices"][0]["delta"].get("content") for chunk in (*before, *after)):
        return "words that were not said"
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in (*before, *after)]
    return "" if finishes == [None] * (len(finishes) - 1) + ["stop"] else f"finish reasons {finishes}"


def _wrong_messages(opening: list[bytes], ending: list[bytes]) -> str:
    before, after = ([json.loads(_data(event)) for event in events] for events in (opening, ending))
    kinds = [event["type"] for event in (*before, *after) if event["type"] != "ping"]
    events = zip((*before, *after), (*opening, *ending), strict=True)
    if any(not raw.startswith(b"event: " + event["type"].encode() + b"\n") for event, raw in events):
        return "an event's name is not its type"
    blocks = ["content_block_start", "content_block_stop"]
    if kinds != ["message_start", *blocks, "message_delta", "message_stop"]:
        return f"events {kinds}"
    if before[0]["message"]["model"] != MODEL:
        return "another model"
    told = (after[1]["delta"]["stop_reason"], after[1]["usage"]["output_tokens"])
    return "" if told == ("end_turn", OUTPUT_TOKENS) else f"end {told}"
