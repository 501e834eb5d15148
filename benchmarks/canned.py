"""What the fake upstream answers: a ~1 KB chat completion, and streams of chat chunks of ~180 bytes.

Shapes: protocols.md, Chat Completions. The model is named as the client asks for it, so the bytes stay the same
in a lane that restores the name.
"""

import json
from itertools import accumulate
from typing import Any

MODEL = "bench/x"
UPSTREAM_KEY = "bench"
AUTHORIZATION = f"Bearer {UPSTREAM_KEY}"
STREAM_EVENTS = 200
_CREATED = 1_700_000_000
_TEXT = "A relay hands on what it was given: the same words, in the same order, as soon as they come. "


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _completion() -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": (_TEXT * 8)[:690], "refusal": None, "annotations": []}
    usage = {
        "prompt_tokens": 42,
        "completion_tokens": 160,
        "total_tokens": 202,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _compact(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": _CREATED,
            "model": MODEL,
            "choices": [choice],
            "usage": usage,
        }
    )


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": MODEL,
        "choices": [choice],
    }
    return b"data: " + _compact(chunk) + b"\n\n"


def _steps() -> list[list[bytes]]:
    """The stream as groups of events; lock-step waits between groups, never inside one.

    A proxy may hold events before the first visible output, and the finish reason until the trailer: so the role
    travels with the first word, and the finish chunk with ``[DONE]``.
    """
    words = [_event({"content": f" of word {number:03d}"}) for number in range(STREAM_EVENTS - 3)]
    role = _event({"role": "assistant", "content": ""})
    return [[role, words[0]], *([word] for word in words[1:]), [_event({}, "stop"), b"data: [DONE]\n\n"]]


def _chunked(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


_GROUPS = _steps()

COMPLETION = _completion()
STREAM = b"".join(b"".join(group) for group in _GROUPS)
COMPLETION_REPLY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(COMPLETION) + COMPLETION
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

STEPS = [b"".join(map(_chunked, group)) for group in _GROUPS]
"""What goes to the socket in each lock-step step, one HTTP chunk per event; the last ends the body."""
_END_OF_BODY = b"0\r\n\r\n"
STEPS[-1] += _END_OF_BODY

EVENTS_AFTER_STEP = list(accumulate(map(len, _GROUPS)))
"""How many events are out once step n is written."""

ROLE = _event({"role": "assistant", "content": ""})
ENDING = _GROUPS[-1]
"""The first event and the last two of every stream; only the words between differ."""

PACED_OPENING = STREAM_HEAD + _chunked(ROLE)
PACED_ENDING = b"".join(map(_chunked, ENDING)) + _END_OF_BODY
_BEFORE_WORD, _AFTER_WORD = _event({"content": "|"}).split(b"|")


def paced_word(number: int, sent_us: int, late_us: int) -> bytes:
    """One event of a paced stream, as an HTTP chunk: when it was sent, and how much later than it was due."""
    return _chunked(_BEFORE_WORD + b" %04d %016d %08d" % (number, sent_us, late_us) + _AFTER_WORD)


def read_paced_word(event: bytes) -> tuple[int, int, int]:
    """What ``paced_word`` was given.  Raises ValueError for anything that it did not make."""
    if not (event.startswith(_BEFORE_WORD) and event.endswith(_AFTER_WORD)):
        raise ValueError("not an event of the upstream's")
    number, sent_us, late_us = event[len(_BEFORE_WORD) : -len(_AFTER_WORD)].split()
    return int(number), int(sent_us), int(late_us)
