"""A Messages stream of an upstream.  Source: protocols.md 4.5, 4.8 (table "Anth upstream")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rotator.api import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    Ledger,
    Opaque,
    OpaqueDelta,
    Part,
    Reasoning,
    ReasoningDelta,
    Start,
    State,
    StateSeen,
    Text,
    TextDelta,
    ToolCall,
    UsageSeen,
)

from .errors import neutral
from .finish import inferred, read_finish
from .response import DETAILS, foreign, message_rest, read_block, read_citation, text_of, tier_of
from .usage import merge_usage, read_usage, usage_rest
from .vocabulary import PROTOCOL

#: Delta type -> the member that holds its piece, the event that tells it, the part that it is a piece of.
PIECES: Final[dict[Any, tuple[str, Any, type]]] = {
    "text_delta": ("text", TextDelta, Text),
    "thinking_delta": ("thinking", ReasoningDelta, Reasoning),
    "input_json_delta": ("partial_json", ArgumentsDelta, ToolCall),
    "signature_delta": ("signature", None, Reasoning),
    "citations_delta": ("citation", None, Text),
}
ENDING: Final = ("stop_reason", "stop_sequence", "stop_details")
#: An index that no frame has.
NOWHERE: Final[Any] = object()


class _Block:
    """An open block: its neutral number, the kind of its part, and a call's input until a piece of it comes."""

    __slots__ = ("kind", "number", "unsaid")

    def __init__(self, number: int, kind: type, unsaid: str) -> None:
        self.number = number
        self.kind = kind
        self.unsaid = unsaid


class MessagesReader:
    """Reads one stream.  Blocks get numbers of our own: some servers use an index twice (protocols.md 5.8, P-139)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._started = self._over = self._called = False
        self._usage: dict[str, Any] = {}
        self._stop: dict[str, Any] = {}  # stop_reason and what belongs to it, as told last
        self._told: Mapping[str, Any] = {}  # members of the usage that Start told
        self._late: dict[str, Any] = {}  # of the envelope, told in its last frames
        self._open: dict[int, _Block] = {}
        self._number = 0  # of the next block
        # The block that was spoken of last: where its pieces come, as what, and what they make.
        self._at: Any = NOWHERE
        self._delta_type = self._member = ""
        self._event: Any = None
        self._block = 0
        self._takes: Final[dict[str, Callable[[Mapping[str, Any]], Sequence[Event]]]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "ping": self._ping,
            "error": self._error,
        }

    def read(self, event: str | None, data: Mapping[str, Any]) -> Sequence[Event]:
        kind = data.get("type")
        if kind == "content_block_delta" and data.get("index") == self._at:
            delta = data.get("delta")
            if type(delta) is dict and delta.get("type") == self._delta_type:
                piece = delta.get(self._member)
                if type(piece) is str and piece:
                    return (self._event(self._block, piece),)
        if self._over:
            return ()
        if type(kind) is str:
            take = self._takes.get(kind)
            return () if take is None else take(data)
        return self._error(data) if kind is None and data.get("error") else ()

    def end(self, terminal: bool = False, complete: bool = False) -> Sequence[Event]:
        """A missing ``message_stop`` is made good once the stop reason is known, as the meter's trailer does."""
        known = self._started and not self._over and (complete or read_finish(self._stop, self._called) is not None)
        return self._finished() if known else ()

    # ---------------------------------------------------------------- the message

    def _message_start(self, data: Mapping[str, Any]) -> Sequence[Event]:
        if self._started:
            return ()
        message = data.get("message")
        return self._begun(message if isinstance(message, dict) else {})

    def _begun(self, message: Mapping[str, Any]) -> list[Event]:
        """``Start``, once; servers that leave ``message_start`` out begin with whatever comes first."""
        if self._started:
            return []
        self._started = True
        usage, rest = message.get("usage"), message_rest(message)
        self._told = rest.get("usage", {})
        start = Start(
            PROTOCOL, text_of(message.get("id")), text_of(message.get("model")), tier=tier_of(usage), rest=rest
        )
        return [start, *self._counted(usage)]

    def _counted(self, usage: Any) -> list[Event]:
        if not isinstance(usage, dict):
            return []
        merge_usage(self._usage, usage)
        read = read_usage(self._usage)
        return [] if read is None else [UsageSeen(read)]

    def _message_delta(self, data: Mapping[str, Any]) -> Sequence[Event]:
        """Several may come; the last reason counts.  What only this protocol knows waits for ``Finished``."""
        begun = self._begun({})
        delta, usage = data.get("delta"), data.get("usage")
        self._late |= foreign(data, ("type", "delta", "usage"))
        if isinstance(delta, dict):
            self._stop.update((name, delta[name]) for name in ENDING if delta.get(name) is not None)
            self._late |= foreign(delta, ENDING)
            details = delta.get("stop_details")
            if isinstance(details, dict) and (more := foreign(details, DETAILS)):
                self._late["stop_details"] = more
        counted = self._counted(usage)
        if (told := usage_rest(self._usage)) and told != self._told:
            self._late["usage"] = told
        return begun + counted

    def _message_stop(self, data: Mapping[str, Any]) -> Sequence[Event]:
        return self._begun({}) + self._finished()

    def _finished(self) -> list[Event]:
        events = [event for index in list(self._open) for event in self._closed(index)]
        finish = read_finish(self._stop, self._called)
        finish = finish or inferred(self._called, "messages.reader.finish", self._ledger)
        self._over = True
        return [*events, Finished(finish, rest=self._late), End()]

    def _ping(self, data: Mapping[str, Any]) -> Sequence[Event]:
        return (Beat(),) if self._started else ()

    def _error(self, data: Mapping[str, Any]) -> Sequence[Event]:
        begun = self._begun({})
        self._over, self._at = True, NOWHERE
        return [*begun, Failed(neutral(data, 200, PROTOCOL))]

    # ---------------------------------------------------------------- blocks

    def _block_start(self, data: Mapping[str, Any]) -> Sequence[Event]:
        block = data.get("content_block")
        if not isinstance(block, dict):
            return ()
        return self._opened(_index(data), read_block(block))

    def _opened(self, index: int, part: Part) -> list[Event]:
        """A block begins; one that is still open at the same index ends."""
        number = self._number
        self._number = number + 1
        events = self._begun({}) + self._closed(index)
        block = _Block(number, type(part), part.arguments if isinstance(part, ToolCall) else "")
        self._open[index] = block
        self._called |= isinstance(part, ToolCall)
        empty, pieces = _unfolded(number, part)
        return [*events, BlockStart(number, empty), *pieces]

    def _closed(self, index: int) -> list[Event]:
        block = self._open.pop(index, None)
        if index == self._at:
            self._at = NOWHERE
        if block is None:
            return []
        end = BlockEnd(block.number)
        return [ArgumentsDelta(block.number, block.unsaid), end] if block.unsaid else [end]

    def _block_stop(self, data: Mapping[str, Any]) -> Sequence[Event]:
        return self._closed(_index(data))

    # ---------------------------------------------------------------- pieces

    def _delta(self, data: Mapping[str, Any]) -> Sequence[Event]:
        """A piece; one that fits no open block begins its own.  Source: protocols.md 5.8, P-137, P-138."""
        delta, index = data.get("delta"), _index(data)
        if not isinstance(delta, dict):
            return ()
        block = self._open.get(index)
        if block is not None and block.kind is Opaque:
            return (OpaqueDelta(block.number, delta),)
        kind = text_of(delta.get("type"))
        if kind not in PIECES:
            self._ledger.lose("field.foreign", ("content", index), kind)
            return ()
        wanted = PIECES[kind][2]
        events: list[Event] = []
        if block is None or block.kind is not wanted:
            if wanted is ToolCall:
                self._ledger.lose("field.foreign", ("content", index), kind)
                return ()
            events = self._opened(index, Text("") if wanted is Text else Reasoning())
            block = self._open[index]
        return events + self._piece(index, block, kind, delta)

    def _piece(self, index: int, block: _Block, kind: str, delta: dict[str, Any]) -> list[Event]:
        member, event, _ = PIECES[kind]
        piece = delta.get(member)
        if kind == "citations_delta":
            return [Cited(block.number, read_citation(piece))] if isinstance(piece, dict) else []
        if not isinstance(piece, str) or not piece:
            return []
        if kind == "signature_delta":
            return [StateSeen(block.number, State("signature", piece))]
        block.unsaid = ""
        self._at, self._block, self._delta_type, self._member, self._event = index, block.number, kind, member, event
        return [event(block.number, piece)]


def _index(data: Mapping[str, Any]) -> int:
    index = data.get("index")
    return index if type(index) is int else 0


def _unfolded(number: int, part: Part) -> tuple[Part, list[Event]]:
    """A block's part as it begins, and what it held already, in pieces.  Arguments wait for better ones."""
    match part:
        case Text(text, citations):
            pieces: list[Event] = [TextDelta(number, text)] if text else []
            pieces += (Cited(number, citation) for citation in citations)
            return replace(part, text="", citations=()), pieces
        case Reasoning(thoughts, state):
            pieces = [ReasoningDelta(number, thought.text) for thought in thoughts]
            pieces += [] if state is None else [StateSeen(number, state)]
            redacted = state is not None and state.kind == "redacted"
            return replace(part, thoughts=(), state=state if redacted else None), pieces
        case ToolCall():
            return replace(part, arguments=""), []
    return part, []
