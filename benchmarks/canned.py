"""What the fake upstream answers, in both of its protocols: ~1 KB whole, and streams of 197 words.

Shapes: protocols.md 3 and 4.3 (chat), 4.5 (messages); events are ~180 and ~120 bytes. The model is named as the client
asks for it, so the bytes stay the same in a lane that restores the name.
"""

import json
from dataclasses import dataclass
from typing import Any

MODEL = "bench/x"
UPSTREAM_KEY = "bench"
AUTHORIZATION = f"Bearer {UPSTREAM_KEY}"
WORDS = 197
"""Of each stream; a word travels in an event of its own."""
WORD = b" of word "
"""In the event of each word, and in no other."""
_CREATED = 1_700_000_000
_SENTENCE = "A relay hands on what it was given: the same words, in the same order, as soon as they come. "
TEXT = (_SENTENCE * 8)[:690]
"""Of a whole answer."""
INPUT_TOKENS, OUTPUT_TOKENS = 42, 160
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_WHOLE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_END_OF_BODY = b"0\r\n\r\n"


def word_text(number: int) -> str:
    """The words of every stream that is not paced."""
    return f"{WORD.decode()}{number:03d}"


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chunked(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


@dataclass(frozen=True, slots=True)
class Speech:
    """The answers of one protocol: a whole one, and the events of a stream before, around and after its words."""

    whole: bytes
    opening: tuple[bytes, ...]
    around_word: tuple[bytes, bytes]
    ending: tuple[bytes, ...]

    def word(self, text: bytes) -> bytes:
        """The event of a word."""
        return self.around_word[0] + text + self.around_word[1]

    def groups(self) -> list[list[bytes]]:
        """The stream as groups of events; lock-step waits between groups, never inside one.

        A proxy may hold events before the first visible output, and the finish reason until the trailer: so the
        opening travels with the first word, and all of the ending together.
        """
        words = [self.word(word_text(number).encode()) for number in range(WORDS)]
        return [[*self.opening, words[0]], *([word] for word in words[1:]), [*self.ending]]

    def stream(self) -> bytes:
        """All events."""
        return b"".join(b"".join(group) for group in self.groups())

    def steps(self) -> list[bytes]:
        """What goes to the socket in each lock-step step, one HTTP chunk per event; the last ends the body."""
        steps = [b"".join(map(_chunked, group)) for group in self.groups()]
        return [*steps[:-1], steps[-1] + _END_OF_BODY]

    def reply(self) -> bytes:
        """The whole answer with its head."""
        return _WHOLE_HEAD % len(self.whole) + self.whole

    def paced_opening(self) -> bytes:
        """Head and opening of a paced stream."""
        return STREAM_HEAD + b"".join(map(_chunked, self.opening))

    def paced_word(self, number: int, sent_us: int, late_us: int) -> bytes:
        """One event of a paced stream, as an HTTP chunk: when it was sent, and how much later than it was due."""
        return _chunked(self.word(b" %04d %016d %08d" % (number, sent_us, late_us)))

    def paced_ending(self) -> bytes:
        """The ending of a paced stream."""
        return b"".join(map(_chunked, self.ending)) + _END_OF_BODY

    def read_paced_word(self, event: bytes) -> tuple[int, int, int]:
        """What ``paced_word`` was given.  Raises ValueError for anything that it did not make."""
        before, after = self.around_word
        if not (event.startswith(before) and event.endswith(after)):
            raise ValueError("not an event of the upstream's")
        number, sent_us, late_us = event[len(before) : -len(after)].split()
        return int(number), int(sent_us), int(late_us)


def _around(event: bytes) -> tuple[bytes, bytes]:
    before, after = event.split(b"|")
    return before, after


def _completion() -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _compact({**_chat_head("chat.completion"), "choices": [choice], "usage": _chat_usage()})


def _chat_head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-bench", "object": kind, "created": _CREATED, "model": MODEL}


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + _compact({**_chat_head("chat.completion.chunk"), "choices": [choice]}) + b"\n\n"


def _chat(*, usage: bool) -> Speech:
    spent = {**_chat_head("chat.completion.chunk"), "choices": [], "usage": _chat_usage()}
    return Speech(
        whole=_completion(),
        opening=(_chunk({"role": "assistant", "content": ""}),),
        around_word=_around(_chunk({"content": "|"})),
        ending=(
            _chunk({}, "stop"),
            *([b"data: " + _compact(spent) + b"\n\n"] if usage else []),
            b"data: [DONE]\n\n",
        ),
    )


def _named(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _compact(event))


def _messages() -> Speech:
    head = {"id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL}
    usage = {"input_tokens": INPUT_TOKENS, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    begun: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
    spent = {**usage, "output_tokens": OUTPUT_TOKENS}
    delta = {"type": "text_delta", "text": "|"}
    return Speech(
        whole=_compact({**head, "content": [{"type": "text", "text": TEXT}], **end, "usage": spent}),
        opening=(
            _named({"type": "message_start", "message": {**begun, "usage": {**usage, "output_tokens": 1}}}),
            _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        around_word=_around(_named({"type": "content_block_delta", "index": 0, "delta": delta})),
        ending=(
            _named({"type": "content_block_stop", "index": 0}),
            _named({"type": "message_delta", "delta": end, "usage": spent}),
            _named({"type": "message_stop"}),
        ),
    )


CHAT = _chat(usage=False)
CHAT_WITH_USAGE = _chat(usage=True)
MESSAGES = _messages()
SPEECHES = {"chat": CHAT, "messages": MESSAGES}
"""By protocol, as a client gets them that asks for nothing more."""
