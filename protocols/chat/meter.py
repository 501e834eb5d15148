"""What a raw Chat Completions answer says of itself.  Source: protocols.md 3.3, 3.4, 4.3."""

from __future__ import annotations

import re
from typing import Any, Final

from rotator.api import (
    Call,
    ErrorKind,
    Frame,
    NeutralError,
    Signals,
    bad_event,
    dumps,
    error_of,
    estimated,
    frames,
    pieces,
    write_frame,
)

from .._shared import count, no_answer, parse_or_none
from .errors import error_object, neutral
from .state import states_of
from .usage import read_usage

DONE: Final = b"data: [DONE]\n\n"
#: The upstream is set up wrongly, or its base URL is.  Source: protocols.md P-148.
OTHER_FORMAT: Final = error_of(
    ErrorKind.BAD_GATEWAY,
    "upstream: it answers in the Responses format, not in Chat Completions",
    code="upstream_format",
)

#: An error, a usage or a finish reason that says something, or opaque state; one search instead of one for each.
_NOTABLE: Final = re.compile(
    rb'"(?:e(?=rror")|u(?=sage":(?!null))|f(?=inish_reason":(?!null))'
    rb'|s(?=ignature": ?"[^"])|d(?=ata": ?"[^"])|t(?=hought_signature": ?"[^"]))'
)

#: Members of a delta (or message) that a person or an agent would notice.  Source: engine.md 7.6.
SHOWN: Final = ("content", "refusal", "reasoning_content", "reasoning", "reasoning_details", "audio", "images")


def shows(part: Any) -> bool:
    """Whether a delta or message holds anything visible; a role alone or empty strings are not."""
    if not isinstance(part, dict):
        return False
    if any(part.get(name) for name in SHOWN):
        return True
    calls = part.get("tool_calls") or ([part["function_call"]] if part.get("function_call") else [])
    return isinstance(calls, list) and bool(calls)


class ChatMeter:
    """Reads complete frames; after the first visible one only blocks that may matter are parsed at all.

    Where several answers were asked for (``n``), all that began must have a finish reason: every frame is parsed.
    """

    def __init__(self, call: Call, name: str) -> None:
        self.signals = Signals()
        self._call = call
        self._name = name
        self._counted = False
        self._open: set[Any] = set()
        self._several = call.json.get("n") not in (None, 1)

    def feed(self, block: bytes) -> int:
        signals = self.signals
        if signals.ended or signals.error is not None:
            return 0
        quick = signals.visible and not self._several
        if quick and (deltas := _deltas(block)):
            signals.outputs += deltas
            return len(block)
        for piece, start, end in pieces(block):
            if quick and signals.visible and (deltas := _deltas(piece)):
                signals.outputs += deltas
                continue
            for frame in frames(piece):
                self._frame(frame)
            if signals.error is not None:
                return start
            if signals.ended:
                return end
        return len(block)

    def _frame(self, frame: Frame) -> None:
        signals = self.signals
        if frame.data.strip() == b"[DONE]":
            signals.ended = True
            self._close()
            return
        chunk = parse_or_none(frame.data)
        if not isinstance(chunk, dict):
            signals.error = bad_event()
            return
        if chunk.get("error"):
            signals.error = neutral(chunk["error"], 200, {"error": chunk["error"]}, self._name)
            return
        self._choices(chunk.get("choices"), "delta")
        self._usage(chunk.get("usage"))

    def whole(self, body: Any) -> None:
        signals = self.signals
        if not isinstance(body, dict):
            signals.error = no_answer("JSON object")
            return
        if body.get("error"):
            envelope = {"error": body["error"]} if isinstance(body["error"], dict) else None
            signals.error = neutral(body["error"], 200, envelope, self._name)
            return
        self._choices(body.get("choices"), "message")
        if not signals.outputs:
            signals.error = no_answer("choice") if body.get("object") != "response" else OTHER_FORMAT
            return
        self._usage(body.get("usage"))
        signals.ended = signals.finish is not None
        self._close()

    def _choices(self, choices: Any, part: str) -> None:
        signals = self.signals
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            signals.outputs += 1
            said = choice.get(part)
            if shows(said):
                signals.visible = True
            if isinstance(said, dict):
                for state in states_of(said):
                    signals.hold(state)
            finish, index = choice.get("finish_reason"), count(choice, "index")
            if not isinstance(finish, str) or not finish:
                self._open.add(index)
                continue
            self._open.discard(index)
            signals.finish = finish
        if self._several and self._open:
            signals.finish = None  # one of several answers goes on

    def _usage(self, usage: Any) -> None:
        found = read_usage(usage)
        if found is not None:
            self.signals.usage = found  # replaces, never adds: compatible servers send running totals
            self._counted = True

    def _close(self) -> None:
        if not self._counted:
            self.signals.usage = estimated(len(self._call.body), self.signals.outputs)

    def fail(self, error: NeutralError) -> bytes:
        """An ``error`` object and no ``[DONE]``: official SDKs raise on it.  Source: faults.md 0 item 3."""
        self._close()
        return write_frame(dumps(error_object(error, self._name)))

    def trailer(self) -> bytes:
        """Clients other than the SDKs wait for ``[DONE]``.  Source: protocols.md 4.3."""
        self._close()
        return b"" if self.signals.ended else DONE


def _deltas(block: bytes) -> int:
    """How many frames a block holds if each is a mere delta (finish and usage null, no error, no terminal), else 0.

    A match inside model text is impossible, its quotes are escaped; other spellings of null and text with "data:" in
    it are merely parsed, and so is what does not end like an object. A single line, the common read, need not be
    searched for a terminal.
    """
    deltas = block.count(b'"finish_reason":null')
    if not deltas or not block.endswith(b"}\n\n") or _NOTABLE.search(block):
        return 0
    if block.find(b"\n") == len(block) - 2:
        return deltas
    return deltas if block.count(b"data:") == deltas == block.count(b"}\n\n") and b"[DONE]" not in block else 0
