"""One block after the other: what overlaps in a stream is put in order for clients (protocols.md 4.9, multiplexing).

Anthropic's stream has one open block at a time, and OpenAI's helpers announce a call as done at each change of index.
"""

from __future__ import annotations

from collections.abc import Iterable

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    End,
    Event,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    StateSeen,
    TextDelta,
)
from rotator.neutral.parts import Media, Opaque


class Serial:
    """Lets one block of each candidate through at a time, in the order of their starts; what comes for others waits.

    What waits when an error ends the stream is never told: the block before it is not whole, and must not look so.
    """

    __slots__ = ("_candidate", "_open", "held", "waiting")

    def __init__(self) -> None:
        self._candidate: dict[int, int] = {}  # block -> candidate, of blocks that have not ended here
        self._open: dict[int, int] = {}  # candidate -> the block that is let through
        self.waiting: dict[int, list[Event]] = {}  # block -> its events, in the order of the blocks' starts
        self.held = 0  # characters of what waits

    def order(self, events: Iterable[Event]) -> list[Event]:
        """The events that may be written now."""
        shown: list[Event] = []
        for event in events:
            self._take(event, shown)
        return shown

    def _take(self, event: Event, shown: list[Event]) -> None:
        kind = type(event)
        if kind is BlockStart:
            assert isinstance(event, BlockStart)
            self._candidate[event.block] = event.candidate
            if event.candidate in self._open:
                self.waiting[event.block] = [event]
                self.held += weight(event)
                return
            self._open[event.candidate] = event.block
        elif kind is Finished or kind is End:
            self._let_all(event.candidate if isinstance(event, Finished) else None, shown)
        elif self.waiting and (block := getattr(event, "block", None)) in self.waiting:
            self.waiting[block].append(event)
            self.held += weight(event)
            return
        shown.append(event)
        # An adapter may have left out how the block began.
        if isinstance(event, BlockEnd) and event.block in self._candidate:
            self._ended(event.block, shown)

    def _ended(self, block: int, shown: list[Event]) -> None:
        """The next block that waits may come, and whole ones behind it too."""
        candidate = self._candidate.pop(block)
        self._open.pop(candidate)
        for following in list(self.waiting):
            if self._candidate[following] != candidate:
                continue
            self._open[candidate] = following
            held = self._released(following)
            shown += held
            if type(held[-1]) is not BlockEnd:
                return
            self._candidate.pop(following)
            self._open.pop(candidate)

    def _released(self, block: int) -> list[Event]:
        held = self.waiting.pop(block, [])
        self.held -= sum(map(weight, held))
        return held

    def _let_all(self, candidate: int | None, shown: list[Event]) -> None:
        """The end is near: whatever still waits is told, one block after the other, and closed.

        Nothing does where the laws are kept; a vendor without finish reasons leaves its last blocks open.
        """
        for block in list(self._candidate):
            if candidate is not None and self._candidate[block] != candidate:
                continue
            held = self._released(block)
            if not held or type(held[-1]) is not BlockEnd:
                held.append(BlockEnd(block))
            shown += held
            self._open.pop(self._candidate.pop(block), None)


def weight(event: Event) -> int:
    """About how many characters an event holds."""
    match event:
        case TextDelta() | ReasoningDelta() | ArgumentsDelta() | RefusalDelta():
            return len(event.text)
        case MediaDelta():
            return len(event.data) + len(event.transcript)
        case StateSeen():
            return len(event.state.value)
        case BlockStart(_, Media() as medium):
            return len(medium.source.value)
        case BlockStart(_, Opaque() as part):
            return len(str(part.data))
        case OpaqueDelta():
            return len(str(event.data))
    return 1
