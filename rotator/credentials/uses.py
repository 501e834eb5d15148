"""What one attempt reserves and costs in the windows and caps of its key.  Failed attempts are free (design.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rotator.contracts import Needs, Outcome
from rotator.credentials.caps import CapCount
from rotator.credentials.facts import MOST
from rotator.credentials.keys import KeySeat
from rotator.credentials.windows import Tally


class _Held(NamedTuple):
    """Reserved in a window: in the period that began at ``opened``."""

    tally: Tally
    opened: float
    amount: float


class Use:
    """One attempt's reservations, from its grant to its end.

    ``evidence`` is the request's id; ``free``: nothing of it counts.
    """

    __slots__ = ("_caps", "_held", "evidence", "free", "weight")

    def __init__(self, weight: float, evidence: str, free: bool) -> None:
        self.weight = weight
        self.free = free
        self.evidence = evidence
        self._held: list[_Held] = []
        self._caps: list[tuple[CapCount, float]] = []

    @classmethod
    def begin(cls, seat: KeySeat, needs: Needs, now: float, wall: float) -> Use:
        """Reserve what one request for the seat's model takes; tokens as far as ``needs`` estimates them."""
        use = cls(seat.rules.weight, needs.request, needs.free)
        if needs.free:
            return use
        for tally in seat.counting():
            amount = use.weight if tally.unit == "requests" else float(needs.tokens) if tally.unit == "tokens" else 0.0
            use._held.append(_Held(tally, tally.reserve(amount, now, wall), amount))
        for count in seat.capped:
            use._caps.append((count, count.reserve(use.weight, now)))
        return use

    def counted_by_vendor(self, tallies: Sequence[Tally]) -> None:
        """The vendor's own count of these windows holds this request already."""
        kept = []
        for held in self._held:
            if held.tally.unit == "requests" and any(held.tally is one for one in tallies):
                held.tally.settle(held.opened, held.amount, 0.0)
            else:
                kept.append(held)
        self._held = kept

    def end(self, outcome: Outcome, now: float) -> bool:
        """Give back what was reserved and count what was used; whether the attempt counts."""
        counts = outcome.ended in ("ok", "cancelled") and not self.free
        usage = outcome.usage
        tokens = float(max(0, min(usage.input_total + usage.output_total, MOST))) if usage is not None else 0.0
        costs = {"requests": self.weight, "tokens": tokens, "percent": 0.0}
        for held in self._held:
            held.tally.settle(held.opened, held.amount, costs[held.tally.unit] if counts else 0.0, now)
        for count, opened in self._caps:
            count.settle(opened, self.weight, self.weight if counts else 0.0, now)
        return counts
