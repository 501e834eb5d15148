"""The laws of ``rotator.neutral.events`` as checks, and the whole answer that a stream means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, get_args

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, Thought, ToolCall
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage

EVENTS = get_args(Event)

#: What belongs to a block -> the parts to which it may belong (law 2).
FITTING: dict[type[Any], tuple[type[Any], ...]] = {
    TextDelta: (Text,),
    ReasoningDelta: (Reasoning,),
    ArgumentsDelta: (ToolCall,),
    RefusalDelta: (Refusal,),
    StateSeen: (Text, Media, ToolCall, Reasoning),
    Cited: (Text,),
    MediaDelta: (Media,),
    OpaqueDelta: (Opaque,),
    BlockEnd: get_args(Part),
}


def check_laws(events: Iterable[Any], *, serial: bool = False, cut: bool = False) -> list[str]:
    """What in these events breaks a law, one sentence each; nothing where all are kept.

    ``serial``: blocks of one candidate may not overlap, as writers see them. ``cut``: the stream may stop anywhere, as
    that of a reader whose upstream did.
    """
    watch = _Watch(serial)
    for event in events:
        watch.see(event)
    watch.close(cut)
    return watch.broken


def kept_pieces(part: Opaque, pieces: Sequence[Any]) -> Opaque:
    """An opaque block whose pieces nobody can join: its data, and behind it the pieces."""
    return replace(part, data=[part.data, *pieces]) if pieces else part


def fold(events: Iterable[Event], joined: Callable[[Opaque, Sequence[Any]], Opaque] = kept_pieces) -> Response:
    """The whole answer of a lawful stream, also of one that broke off: what came is in it, open blocks too.

    Parts stand in the order of their blocks' starts, candidates by their index; the last usage counts. ``joined`` says
    what the pieces of an opaque block make of it, which only its protocol knows.
    """
    start: Start | None = None
    usage: Usage | None = None
    blocks: dict[int, _Block] = {}
    finishes: dict[int, Finish] = {}
    rest: dict[str, Any] = {}
    for event in events:
        match event:
            case Start():
                start = event
            case BlockStart(block, part, candidate):
                blocks[block] = _Block(part, candidate)
            case UsageSeen():
                usage = event.usage
            case Finished(finish, candidate, late):
                finishes[candidate] = finish
                rest |= late
            case _ if type(event) in FITTING:
                blocks[event.block].events.append(event)  # type: ignore[union-attr]
    if start is None:
        raise ValueError("a stream without Start means nothing")
    indexes = sorted(finishes.keys() | {block.candidate for block in blocks.values()})
    candidates = tuple(
        Candidate(
            tuple(block.whole(joined) for block in blocks.values() if block.candidate == index),
            finishes.get(index),
            index,
        )
        for index in indexes
    )
    rest = {**start.rest, **rest}
    return Response(start.protocol, start.id, start.model, candidates, usage, start.created, start.tier, rest)


@dataclass(slots=True)
class _Block:
    """A block of a stream: what it began with, and what came for it."""

    part: Part
    candidate: int
    events: list[Any] = field(default_factory=list)

    def whole(self, joined: Callable[[Opaque, Sequence[Any]], Opaque]) -> Part:
        """The part that it means."""
        part = self.part
        states = self._of(StateSeen)
        if states:
            part = replace(part, state=states[-1].state)
        match part:
            case Text():
                logprobs = (*part.logprobs, *(one for delta in self._of(TextDelta) for one in delta.logprobs))
                citations = (*part.citations, *(event.citation for event in self._of(Cited)))
                return replace(part, text=part.text + self._words(TextDelta), logprobs=logprobs, citations=citations)
            case Refusal():
                logprobs = (*part.logprobs, *(one for delta in self._of(RefusalDelta) for one in delta.logprobs))
                return replace(part, text=part.text + self._words(RefusalDelta), logprobs=logprobs)
            case ToolCall():
                return replace(part, arguments=part.arguments + self._words(ArgumentsDelta))
            case Reasoning():
                return replace(part, thoughts=(*part.thoughts, *self._thoughts()))
            case Media():
                return self._media(part)
            case Opaque():
                return joined(part, [event.data for event in self._of(OpaqueDelta)])
        return part

    def _of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def _words(self, kind: type[Any]) -> str:
        return "".join(event.text for event in self._of(kind))

    def _thoughts(self) -> Iterable[Thought]:
        """The stretches; one without words is none."""
        for _, pieces in groupby(self._of(ReasoningDelta), lambda delta: delta.thought):
            deltas = list(pieces)
            text = "".join(delta.text for delta in deltas)
            if text:
                yield Thought(text, deltas[0].form)

    def _media(self, part: Media) -> Media:
        pieces = self._of(MediaDelta)
        data = "".join(piece.data for piece in pieces)
        words = "".join(piece.transcript for piece in pieces)
        transcript = (part.transcript or "") + words if words else part.transcript
        return replace(part, source=part.source._replace(value=part.source.value + data), transcript=transcript)


class _Watch:
    """Sees events one after the other and writes down what is against the laws."""

    def __init__(self, serial: bool) -> None:
        self.broken: list[str] = []
        self._serial = serial
        self._count = 0
        self._over = False
        self._open: dict[int, _Block] = {}
        self._used: set[int] = set()
        self._candidates: set[int] = set()
        self._finished: set[int] = set()
        self._usage = Usage()

    def see(self, event: Any) -> None:
        """The next event."""
        kind = type(event)
        if kind not in EVENTS:
            self._break(0, f"{event!r} is no event")
        elif self._over:
            self._break(1, f"{kind.__name__} behind the end")
        elif (kind is Start) != (self._count == 0):
            self._break(1, "Start again" if kind is Start else f"{kind.__name__} before Start")
        match event:
            case BlockStart():
                self._begin(event)
            case UsageSeen(usage):
                self._count_usage(usage)
            case Finished(_, candidate):
                self._finish(candidate)
            case End():
                self._end()
            case _ if kind in FITTING:
                self._piece(event, kind)
        self._over = self._over or kind in (End, Failed)
        self._count += 1

    def close(self, cut: bool) -> None:
        """Nothing more comes."""
        if not self._over and not cut:
            self._break(1, "neither End nor Failed")

    def _break(self, law: int, what: str) -> None:
        self.broken.append(f"law {law}: event {self._count}: {what}")

    def _begin(self, event: BlockStart) -> None:
        block, part, candidate = event
        if block in self._used:
            self._break(2, f"block {block} begins again")
        if _has_words(part):
            self._break(3, f"block {block} begins with words")
        if candidate in self._finished:
            self._break(5, f"block {block} begins, but candidate {candidate} is complete")
        beside = [number for number, one in self._open.items() if one.candidate == candidate]
        if self._serial and beside:
            self._break(6, f"block {block} begins beside block {beside[0]}")
        self._used.add(block)
        self._candidates.add(candidate)
        self._open[block] = _Block(part, candidate)

    def _piece(self, event: Any, kind: type[Any]) -> None:
        found = self._open.get(event.block)
        if found is None:
            self._break(2, f"{kind.__name__} for block {event.block}, which is not open")
        elif not isinstance(found.part, FITTING[kind]):
            self._break(2, f"{kind.__name__} for block {event.block}, a {type(found.part).__name__}")
        elif kind is BlockEnd:
            del self._open[event.block]
        elif kind is ReasoningDelta:
            self._stretch(found, event)

    def _stretch(self, found: _Block, delta: ReasoningDelta) -> None:
        """The stretches of one block follow each other, each in one form."""
        last = found.events[-1] if found.events else delta
        if delta.thought < last.thought:
            self._break(3, f"thought {delta.thought} of block {delta.block} after thought {last.thought}")
        elif delta.thought == last.thought and delta.form != last.form:
            self._break(3, f"thought {delta.thought} of block {delta.block} is {last.form} and {delta.form}")
        found.events = [delta]

    def _count_usage(self, usage: Usage) -> None:
        """What was told and is not told again is lost."""
        for name in ("input_total", "output_total"):
            if getattr(self._usage, name) and not getattr(usage, name):
                self._break(4, f"{name} was {getattr(self._usage, name)} and is 0")
        self._usage = usage

    def _finish(self, candidate: int) -> None:
        if candidate in self._finished:
            self._break(5, f"candidate {candidate} is complete again")
        for block, found in self._open.items():
            if found.candidate == candidate:
                self._break(5, f"candidate {candidate} is complete, but block {block} is open")
        self._finished.add(candidate)

    def _end(self) -> None:
        for block in self._open:
            self._break(2, f"block {block} is open at the End")
        for candidate in sorted(self._candidates - self._finished):
            self._break(7, f"End, but candidate {candidate} has no finish")
        if not self._finished:
            self._break(7, "End without any finish")


def _has_words(part: Part) -> bool:
    """Whether a block's first part holds what must come in pieces."""
    match part:
        case Text() | Refusal():
            return bool(part.text or part.logprobs)
        case Reasoning():
            return bool(part.thoughts)
        case ToolCall():
            return bool(part.arguments)
    return False
