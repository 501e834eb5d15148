"""One block after the other: what overlaps in a stream is put in order for clients (protocols.md 4.9, multiplexing).

Anthropic's stream has one open block at a time, and OpenAI's helpers announce a call as done at each change of index.
"""

from __future__ import annotations

from collections.abc import Iterable

from rotator.neutral.events import BlockEnd, BlockStart, End, Event, Finished


class Serial:
    """Lets one block of each candidate through at a time, in the order of their starts; what comes for others waits.

    What waits when an error ends the stream is never told: the block before it is not whole, and must not look so.
    """

    __slots__ = ("_candidate", "_open", "waiting")

    def __init__(self) -> None:
        self._candidate: dict[int, int] = {}  # block -> candidate, of blocks that have not ended here
        self._open: dict[int, int] = {}  # candidate -> the block that is let through
        self.waiting: dict[int, list[Event]] = {}  # block -> its events, in the order of the blocks' starts

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
                return
            self._open[event.candidate] = event.block
        elif kind is Finished or kind is End:
            self._let_all(event.candidate if isinstance(event, Finished) else None, shown)
        elif self.waiting and (block := getattr(event, "block", None)) in self.waiting:
            self.waiting[block].append(event)
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
            held = self.waiting.pop(following)
            shown += held
            if type(held[-1]) is not BlockEnd:
                return
            self._candidate.pop(following)
            self._open.pop(candidate)

    def _let_all(self, candidate: int | None, shown: list[Event]) -> None:
        """The end is near: whatever still waits is told, one block after the other, and closed.

        Nothing does where the laws are kept; a vendor without finish reasons leaves its last blocks open.
        """
        for block in list(self._candidate):
            if candidate is not None and self._candidate[block] != candidate:
                continue
            held = self.waiting.pop(block, [])
            if not held or type(held[-1]) is not BlockEnd:
                held.append(BlockEnd(block))
            shown += held
            self._open.pop(self._candidate.pop(block), None)
