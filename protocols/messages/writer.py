"""A Messages stream for a client.  Source: protocols.md 4.5, 4.9 (column "Anth client"), 5.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from rotator.api import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Citation,
    Cited,
    End,
    Event,
    Finish,
    Finished,
    Ids,
    Ledger,
    Media,
    MediaDelta,
    NeutralError,
    Opaque,
    OpaqueDelta,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Request,
    Rest,
    Start,
    State,
    StateSeen,
    Text,
    TextDelta,
    ToolCall,
    UpstreamFailed,
    Usage,
    UsageSeen,
    dumps,
    write_frame,
)

from .errors import error_object
from .finish import Seen, failure_of, inferred, write_finish
from .meter import STOP
from .response import (
    EMPTY,
    AnswerIds,
    is_redacted,
    lose_part,
    may_keep,
    message_head,
    tier,
    write_citation,
    written_envelope,
    written_rest,
)
from .usage import write_last_usage, write_usage
from .vocabulary import PROTOCOL

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
DELTA: Final = "content_block_delta"
#: What stands around a piece in its JSON, and in its frame.
HEAD: Final = b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
TAIL: Final = b"}}"
FRAME_HEAD: Final = b"event: content_block_delta\ndata: "
FRAME_TAIL: Final = b"}}\n\n"
#: Members of the message that stand beside ``delta`` when they come late; all others stand in it.
#: Source: anthropic types, BetaRawMessageDeltaEvent.
BESIDE_DELTA: Final = ("context_management",)
#: The number of no block, and of no thought.
NONE: Final = -1


class MessagesWriter:
    """Writes one stream; one block is open at a time, and the frames that end it wait for ``End``.

    ``message_start`` waits for the event behind ``Start`` that is no usage, so that it tells the input's tokens where
    they are known by then (conversion-pitfalls.md P177).
    """

    def __init__(self, request: Request, ids: Ids, ledger: Ledger) -> None:
        self._ids = ids
        self._ledger = ledger
        self._calls = AnswerIds(ids, ledger)
        self._own = False
        self._held: Start | None = None  # told, but not written
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._late: Rest = {}
        self._seen = Seen()
        self._index = 0  # of the next block on the wire
        self._forget()
        self._writes: Final[dict[type, Callable[[Any], bytes]]] = {
            Start: self._start,
            BlockStart: self._block_start,
            TextDelta: self._text,
            RefusalDelta: self._text,
            ReasoningDelta: self._reasoning,
            ArgumentsDelta: self._arguments,
            OpaqueDelta: self._opaque,
            MediaDelta: self._transcript,
            StateSeen: self._state,
            Cited: self._cite,
            BlockEnd: self._block_end,
            UsageSeen: self._count,
            Finished: self._finished,
            End: self._end,
            Beat: self._beat,
        }

    def write(self, event: Event) -> bytes:
        return self._writes[type(event)](event)

    def fail(self, error: NeutralError) -> bytes:
        """``event: error`` and no ``message_stop``: the SDKs raise, with the class in ``error.type``."""
        return write_frame(dumps(error_object(error, PROTOCOL)), "error")

    # ---------------------------------------------------------------- the message

    def _start(self, event: Start) -> bytes:
        self._own = event.protocol == PROTOCOL
        self._held = event
        return b""

    def _begun(self) -> bytes:
        """``message_start`` and the ping that the API sends behind it, once.  Source: protocols.md 4.2, P-144."""
        start = self._held
        if start is None:
            return b""
        self._held = None
        rest = written_envelope(start.rest, self._own, self._ledger)
        message = message_head(start.id if self._own else "", self._ids, rest)
        read = replace(self._usage or Usage(), output_text=0, output_reasoning=0)  # of the input only, P-16
        message["usage"] |= {**write_usage(read, self._ledger), **tier(start.tier, self._own, self._ledger)}
        return _frame("message_start", message=message) + PING

    def _beat(self, event: Beat) -> bytes:
        return self._begun() or PING

    def _count(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _finished(self, event: Finished) -> bytes:
        if event.candidate == 0:
            self._finish, self._late = event.finish, event.rest
        return b""

    def _end(self, event: End) -> bytes:
        seen = self._seen
        failure = failure_of(self._finish) or (EMPTY if seen.dropped and not self._index else None)
        if failure is not None:
            raise UpstreamFailed(failure, "answered")
        begun = self._begun()
        finish = self._finish or inferred(seen.called, "messages.writer.finish", self._ledger)
        stop = write_finish(finish, self._own, seen, self._ledger)
        usage = write_last_usage(self._usage, self._ledger)
        late = written_envelope(self._late, self._own, self._ledger)
        if more := late.get("stop_details"):
            stop["stop_details"] = {"type": "refusal", **stop.get("stop_details", {}), **more}
        beside = {name: value for name, value in late.items() if name in BESIDE_DELTA}
        stop |= {name: value for name, value in late.items() if name not in ("usage", "stop_details", *BESIDE_DELTA)}
        return begun + _frame("message_delta", delta=stop, usage={**usage, **late.get("usage", {})}, **beside) + STOP

    # ---------------------------------------------------------------- blocks

    def _forget(self) -> None:
        """No block is open."""
        self._block = NONE  # its neutral number
        self._kind: type = type(None)  # of its part
        self._words = NONE  # its neutral number again, if it is a text and announced
        self._head = self._frame_head = b""
        self._more: Any = {}
        self._citations: list[Citation] = []
        self._hidden: State | None = None  # its state
        self._thought = NONE
        self._custom = False
        self._argued = False  # a piece of a call's arguments was told

    def _block_start(self, event: BlockStart) -> bytes:
        if event.candidate:
            self._ledger.lose("answer.candidates")
            return b""
        part, own = event.part, self._own
        self._block, self._kind = event.block, type(part)
        self._more = written_rest(part.rest, own, self._ledger)
        begun = self._begun()
        match part:
            case Text() | Refusal():  # announced with its first words
                self._seen.refused |= isinstance(part, Refusal)
                self._hidden = part.state if isinstance(part, Text) else None
                return begun
            case Reasoning():
                return begun + self._thinking(part)
            case ToolCall():
                return begun + self._call(part)
            case Opaque(protocol=protocol, data=data) if own and protocol == PROTOCOL:
                return begun + self._announce(data)
        lose_part(part, self._ledger)
        if isinstance(part, Media):  # what is said in it can be told
            return begun + self._say(part.transcript or "")
        self._kind = type(None)
        self._seen.dropped = True
        return begun

    def _thinking(self, part: Reasoning) -> bytes:
        """Redacted reasoning comes whole; without an envelope only its provider's clients can use it (4.5)."""
        self._hidden = state = part.state
        if state is None or not is_redacted(part):
            thinking = {"type": "thinking", "thinking": "", "signature": "", **self._more}
            return self._announce(thinking, b"thinking_delta", b"thinking")
        if may_keep(state, self._own):
            self._kind = Opaque
            return self._announce({"type": "redacted_thinking", "data": state.value, **self._more})
        self._kind = type(None)
        self._seen.dropped = True
        return b""

    def _call(self, call: ToolCall) -> bytes:
        self._seen.called = True
        self._custom = call.kind == "custom"
        self._hidden = call.state
        use = {"type": "tool_use", "id": self._calls.wire(call.id), "name": call.name, "input": {}, **self._more}
        return self._announce(use, b"input_json_delta", b"partial_json")

    def _announce(self, block: dict[str, Any], delta: bytes = b"", member: bytes = b"") -> bytes:
        """``content_block_start``, and the head of the frames of its pieces."""
        index = self._index
        self._index = index + 1
        if delta:
            self._head = HEAD % (index, delta, member)
            self._frame_head = FRAME_HEAD + self._head
        return _frame("content_block_start", index=index, content_block=block)

    def _block_end(self, event: BlockEnd) -> bytes:
        if event.block != self._block:
            return b""
        kind, shown = self._kind, b""
        signature = self._signature()
        if kind is Reasoning:  # in one piece, at the block's end: clients keep the last one only
            shown = _frame(DELTA, index=self._index - 1, delta={"type": "signature_delta", "signature": signature})
        elif kind is ToolCall:
            shown = self._call_ended()
        elif kind is Text and self._citations:
            self._ledger.lose("answer.citation")  # there are no words that it could stand at
        elif kind is Media and not self._head:
            self._seen.dropped = True
        announced = kind is Opaque or bool(self._head)
        self._forget()
        return shown + _frame("content_block_stop", index=self._index - 1) if announced else b""

    def _call_ended(self) -> bytes:
        """A call without arguments says so: official clients parse what the pieces make.  Source: protocols.md 4.9."""
        if self._custom:
            return self._written('"}' if self._argued else '{"input":""}')
        return b"" if self._argued else self._written("{}")

    # ---------------------------------------------------------------- pieces

    def _written(self, piece: str) -> bytes:
        """The frame of a piece of the open block."""
        text = dumps(piece)
        if text.isascii() or not _breaks_lines(text):
            return self._frame_head + text + FRAME_TAIL
        return write_frame(self._head + text + TAIL, DELTA)

    def _text(self, event: TextDelta | RefusalDelta) -> bytes:
        block, words, logprobs = event
        if block == self._words and words and not logprobs:  # nearly all events; the same as _written, without a call
            text = dumps(words)
            if text.isascii() or not _breaks_lines(text):
                return self._frame_head + text + FRAME_TAIL
            return write_frame(self._head + text + TAIL, DELTA)
        if block != self._block or self._kind not in (Text, Refusal):
            return b""
        if logprobs:
            self._ledger.lose("answer.logprobs")
        return self._say(words)

    def _transcript(self, event: MediaDelta) -> bytes:
        return self._say(event.transcript) if event.block == self._block and self._kind is Media else b""

    def _say(self, words: str) -> bytes:
        """Words of a text, which is announced with its first ones: an empty one never was there."""
        if not words:
            return b""
        return (b"" if self._head else self._words_begin()) + self._written(words)

    def _words_begin(self) -> bytes:
        self._words = self._block
        begun = self._announce({"type": "text", "text": "", **self._more}, b"text_delta", b"text")
        held, self._citations = self._citations, []
        return begun + b"".join(map(self._citation, held))

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        block, words, _, thought = event
        if block != self._block or not words or self._kind is not Reasoning:
            return b""
        if thought != self._thought:
            if self._thought != NONE:
                words = f"\n\n{words}"
            self._thought = thought
        return self._written(words)

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        block, words = event
        if block != self._block or not words or self._kind is not ToolCall:
            return b""
        if self._custom:
            words = dumps(words)[1:-1].decode()
            if not self._argued:
                words = '{"input":"' + words
        self._argued = True
        return self._written(words)

    def _opaque(self, event: OpaqueDelta) -> bytes:
        if event.block != self._block or self._kind is not Opaque or not isinstance(event.data, dict):
            return b""
        return _frame(DELTA, index=self._index - 1, delta=event.data)

    def _state(self, event: StateSeen) -> bytes:
        if event.block == self._block:
            self._hidden = event.state
        return b""

    def _signature(self) -> str:
        """The signature of the open block, "" where it has none that it may keep; any other state is a loss."""
        state = self._hidden
        if state is None or (self._kind is Opaque and may_keep(state, self._own)):
            return ""
        if self._kind is Reasoning and may_keep(state, self._own):
            return state.value
        self._ledger.lose("reasoning.state")
        return ""

    def _cite(self, event: Cited) -> bytes:
        if event.block != self._block or self._kind is not Text:
            return b""
        if self._head:
            return self._citation(event.citation)
        self._citations.append(event.citation)
        return b""

    def _citation(self, citation: Citation) -> bytes:
        written = write_citation(citation, self._own)
        if written is None:
            self._ledger.lose("answer.citation")
            return b""
        return _frame(DELTA, index=self._index - 1, delta={"type": "citations_delta", "citation": written})


def _breaks_lines(text: bytes) -> bool:
    """Whether something in it is a line end to some clients, which ``write_frame`` escapes.  Source: faults.md 0."""
    return b"\xe2\x80\xa8" in text or b"\xe2\x80\xa9" in text or b"\xc2\x85" in text


def _frame(name: str, **members: Any) -> bytes:
    return write_frame(dumps({"type": name, **members}), name)
