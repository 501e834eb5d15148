"""Caps: limits of one's own on a key's requests, below the vendor's.  Source: engine.md 8.8, design.md 6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rotator.config.rotation import DAY_SECONDS, Cap
from rotator.credentials.windows import Tally

CooldownMode = Literal["quota_reset", "offset", "fixed"]


@dataclass(frozen=True, slots=True)
class CapRule:
    """A cap, read.  ``number`` is absolute, a share of the window's limit, or what it lacks to that limit.

    ``seconds`` is the offset's or the fixed rest's.
    """

    text: str
    kind: Literal["absolute", "share", "offset"]
    number: float
    mode: CooldownMode
    seconds: float

    @classmethod
    def of(cls, cap: Cap) -> CapRule:
        text = str(cap.max)
        named, _, seconds = cap.cooldown.partition(":")
        mode: CooldownMode = "offset" if named == "offset" else "fixed" if named == "fixed" else "quota_reset"
        rest = float(seconds or 0)
        if text.endswith("%"):
            return cls(text, "share", float(text[:-1]) / 100, mode, rest)
        return cls(text, "offset" if text[0] in "+-" else "absolute", float(text), mode, rest)

    def most(self, limit: float | None) -> float | None:
        """How many requests that makes; None while it needs a limit that nobody knows: then it caps nothing."""
        if self.kind == "absolute":
            return self.number
        if limit is None:
            return None
        most = limit * self.number if self.kind == "share" else limit + self.number
        return max(0.0, math.floor(most + 1e-9))


class CapCount:
    """What counts against one cap of one key.

    The count follows the key's first window (``primary``; 24 h without one). Where that window counts exactly what the
    cap counts (``same_place``) its count is the cap's, what the vendor says of it too. A cap with a fixed rest counts
    for itself.
    """

    __slots__ = (
        "_end", "_primary_opened", "count", "opened", "primary", "reached", "reserved", "rule", "same_place",
        "times_reached",
    )  # fmt: skip

    def __init__(self, rule: CapRule, primary: Tally | None, same_place: bool) -> None:
        self.rule = rule
        self.primary = primary
        self.same_place = same_place and primary is not None and rule.mode != "fixed"
        self.count = 0.0
        self.reserved = 0.0
        self.reached = False
        self.opened: float | None = None
        self.times_reached = 0
        self._end: float | None = None  # of the period, or of a fixed rest; None: only the vendor knows
        self._primary_opened: float | None = None

    def change(self, rule: CapRule, same_place: bool) -> None:
        """Another number or rest for the same cap: what was counted stays."""
        self.rule, self.reached = rule, False
        self.same_place = same_place and self.primary is not None and rule.mode != "fixed"

    def _follow(self) -> None:
        """The window's end is the count's, as long as the window is still the same."""
        fixed = self.reached and self.rule.mode == "fixed"
        if self.primary is not None and not fixed and self.primary.opened == self._primary_opened:
            self._end = self.primary.end

    def end(self) -> float | None:
        """When the count begins anew: for a cap with an offset so long after the window, once it is reached."""
        self._follow()
        late = self.rule.seconds if self.reached and self.rule.mode == "offset" else 0.0
        return None if self._end is None else self._end + late

    def live(self, now: float) -> bool:
        """Whether the count still runs."""
        if self.opened is None:
            return False
        if self.primary is not None and not self.reached and self.primary.opened != self._primary_opened:
            return False
        end = self.end()
        return end is None or now < end

    def most(self) -> float | None:
        """How many requests the cap allows now; None: it needs a limit that nobody knows."""
        return self.rule.most(self.primary.limit if self.primary is not None else None)

    def used_at(self, now: float) -> float:
        """Settled and under way."""
        if self.same_place and self.primary is not None and self.primary.live(now):
            return self.primary.used_at(now)
        return self.count + self.reserved if self.live(now) else 0.0

    def settled_at(self, now: float) -> float:
        """Settled alone: what is under way may fail."""
        if self.same_place and self.primary is not None and self.primary.live(now):
            return self.primary.used
        return self.count if self.live(now) else 0.0

    def blocks(self, now: float) -> bool:
        most = self.most()
        return most is not None and self.settled_at(now) >= most

    def crowded(self, now: float) -> bool:
        """Whether what is under way may reach the cap."""
        most = self.most()
        return most is not None and self.settled_at(now) < most <= self.used_at(now)

    def until(self) -> float | None:
        """When a count that blocks begins anew; None: unknown, or never."""
        if self.most() == 0:
            return None
        if self.opened is None and self.primary is not None:
            return self.primary.end
        return self.end()

    def reserve(self, amount: float, now: float) -> float:
        """A request is under way; ``primary`` is open already.  The period that it belongs to, for ``settle``."""
        if not self.live(now):
            self.opened, self.count, self.reserved, self.reached = now, 0.0, 0.0, False
            self._end = now + DAY_SECONDS
            self._primary_opened = self.primary.opened if self.primary is not None else None
            self._follow()
        assert self.opened is not None
        self.reserved += amount
        return self.opened

    def settle(self, opened: float, reserved: float, used: float, now: float) -> None:
        """A request ended and cost so much; nothing if its period is over."""
        if opened == self.opened:
            self.reserved = max(0.0, self.reserved - reserved)
            self.count += used
            self.check(now)

    def check(self, now: float) -> None:
        """See whether what is settled has reached the cap: requests under way may fail."""
        self._follow()
        reached = self.blocks(now) and self.live(now)
        if reached and not self.reached:
            self.times_reached += 1
            if self.rule.mode == "fixed":
                self._end = now + self.rule.seconds
        self.reached = reached

    def shown(self, now: float) -> str:
        """``cap of 80 (80% of 100): 80 used``."""
        limit = self.primary.limit if self.primary is not None else None
        of = "" if self.rule.kind == "absolute" or limit is None else f" ({self.rule.text} of {limit:g})"
        return f"cap of {self.most():g}{of}: {self.used_at(now):g} used"
