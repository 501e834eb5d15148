"""What a raw Messages answer says of itself.  Source: protocols.md 3.3, 3.4, 4.5."""

from __future__ import annotations

from typing import Any, Final

from rotator.api import (
    Call,
    Frame,
    NeutralError,
    Signals,
    Usage,
    bad_event,
    dumps,
    estimated,
    frames,
    pieces,
    write_frame,
)

from .._shared import no_answer, parse_or_none
from .errors import error_object, neutral
from .usage import read_usage

DELTA: Final = b"event: content_block_delta\n"
STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

#: Blocks and deltas that hold reasoning state, and the member that it is.  Source: protocols.md 2.4, 4.5.
STATEFUL: Final = {"thinking": "signature", "signature_delta": "signature", "redacted_thinking": "data"}
#: What stands in their frames.
SIGNED: Final = b"signature_delta"
REDACTED: Final = b"redacted_thinking"

#: Events whose data official SDKs parse; what others hold they do not look at.  Source: protocols.md 4.5, 4.2.
PARSED: Final = frozenset(
    "message_start message_delta message_stop content_block_start content_block_delta content_block_stop error".split()
)


def shows(block: Any) -> bool:
    """Whether a content block or delta holds anything visible; empty starts are not.  Source: engine.md 7.6."""
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    if kind in ("text", "text_delta", "thinking", "thinking_delta"):
        return bool(block.get("text") or block.get("thinking"))
    if kind == "signature_delta":
        return False
    return kind is not None


class MessagesMeter:
    """Reads complete frames; after the first visible one content frames pass without a parse."""

    def __init__(self, call: Call, name: str) -> None:
        self.signals = Signals()
        self._call = call
        self._name = name
        self._usage: dict[str, Any] = {}

    def feed(self, block: bytes) -> int:
        signals = self.signals
        if signals.ended or signals.error is not None:
            return 0
        if signals.visible and block.startswith(DELTA) and block.find(b"}\n\n") == len(block) - 3:
            if SIGNED not in block:
                signals.outputs += 1  # one frame of content, the common read
                return len(block)
        if signals.visible and _plain(block):
            signals.outputs += block.count(b"event: content_block_delta")
            return len(block)
        for piece, start, end in pieces(block):
            if signals.visible and _plain(piece):
                signals.outputs += 1
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
        event = parse_or_none(frame.data)
        if not isinstance(event, dict):
            if frame.event in PARSED:
                signals.error = bad_event()
            return
        kind = event.get("type")
        if kind == "error" or (kind is None and event.get("error")):
            signals.error = neutral(event, 200, self._name)
        elif kind == "message_start":
            message = event.get("message")
            self._merge(message.get("usage") if isinstance(message, dict) else None)
        elif kind == "content_block_start":
            signals.visible |= shows(event.get("content_block"))
            self._state(event.get("content_block"))
        elif kind == "content_block_delta":
            signals.outputs += 1
            signals.visible |= shows(event.get("delta"))
            self._state(event.get("delta"))
        elif kind == "message_delta":
            self._merge(event.get("usage"))
            self._finish(event.get("delta"))
        elif kind == "message_stop":
            signals.ended = True
            self._close()

    def _state(self, block: Any) -> None:
        """A block's or delta's opaque state.  Source: protocols.md 2.4, 4.5."""
        kind = block.get("type") if isinstance(block, dict) else None
        member = STATEFUL.get(kind) if isinstance(kind, str) else None
        if member is not None and isinstance(state := block.get(member), str) and state:
            self.signals.hold(state)

    def _finish(self, delta: Any) -> None:
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if isinstance(reason, str) and reason:
            self.signals.finish = reason

    def _merge(self, usage: Any) -> None:
        """Counts are cumulative; null and absent ones keep what was known.  Source: protocols.md 4.5."""
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})
            self.signals.usage = read_usage(self._usage)

    def whole(self, body: Any) -> None:
        signals = self.signals
        if not isinstance(body, dict):
            signals.error = no_answer("JSON object")
            return
        if body.get("type") == "error" or ("content" not in body and body.get("error")):
            signals.error = neutral(body, 200, self._name)
            return
        if self._call.operation == "count_tokens":
            signals.ended = signals.visible = "input_tokens" in body
            signals.finish = "counted" if signals.ended else None
            signals.error = None if signals.ended else no_answer("count")
            signals.usage = Usage()  # counting costs no tokens
            return
        content = body.get("content")
        if not isinstance(content, list):
            signals.error = no_answer("content")
            return
        signals.visible = any(map(shows, content))
        for block in content:
            self._state(block)
        self._finish(body)
        self._merge(body.get("usage"))
        signals.ended = signals.finish is not None
        self._close()

    def _close(self) -> None:
        if not self._usage:
            self.signals.usage = estimated(len(self._call.body), self.signals.outputs)

    def fail(self, error: NeutralError) -> bytes:
        """``event: error``: the SDKs raise on it, with the class in ``error.type``.  Source: protocols.md 4.5."""
        self._close()
        return write_frame(dumps(error_object(error, self._name)), "error")

    def trailer(self) -> bytes:
        """anthropic-ts fails without ``message_stop``.  Source: protocols.md 4.5."""
        self._close()
        return b"" if self.signals.ended else STOP


def _plain(block: bytes) -> bool:
    """Whether frames are about content only and end like objects.

    Both words are in event types; in model text they cost one parse.
    """
    if b"message_" in block or b'"error"' in block or SIGNED in block or REDACTED in block:
        return False
    return block.count(b"}\n\n") == block.count(b"\n\n") > 0
