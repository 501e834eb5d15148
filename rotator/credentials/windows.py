"""Quota periods of one key: how much was used of each, and until when.  Source: engine.md 8.9, design.md 6.

Ends are kept in monotonic seconds: the wall clock is read only to see where a period of the calendar ends, so a clock
that jumps neither ends all windows at once nor holds one longer than its period (faults.md 1, "clock").
"""

from __future__ import annotations

import calendar
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from rotator.config.rotation import DAY_SECONDS, Window
from rotator.quota import QuotaFact

Unit = Literal["requests", "tokens", "percent"]


#: Of what was settled while a vendor was asked.
RECENT_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Period:
    """When a window that opens now ends; without ``seconds`` and ``window`` only the vendor knows."""

    seconds: float | None = None
    aligned: bool = False
    window: Window | None = None

    @classmethod
    def of(cls, window: Window) -> Period:
        if window.every is not None:
            return cls(window=window)
        return cls(window.seconds, window.reset == "fixed")

    def seconds_left(self, wall: float) -> float | None:
        """From ``wall`` (unix seconds) to the end; None where nobody knows."""
        if self.window is not None:
            return next(at for at in _boundaries(self.window, wall) if at > wall) - wall
        if self.seconds is None or not self.aligned:
            return self.seconds
        return self.seconds - wall % self.seconds


def _boundaries(window: Window, wall: float) -> Iterator[float]:
    """Unix seconds at which a calendar window begins anew, from a little before ``wall`` on."""
    zone = ZoneInfo(window.zone)
    hour, _, minute = window.at.partition(":")
    today = datetime.fromtimestamp(wall, zone).date()
    for day in _days(window, today):
        yield datetime(day.year, day.month, day.day, int(hour), int(minute), tzinfo=zone).timestamp()


def _days(window: Window, today: date) -> Iterator[date]:
    if window.every == "month":
        year, month = today.year, today.month
        for _ in range(3):
            yield date(year, month, min(window.day, calendar.monthrange(year, month)[1]))
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        return
    for ahead in range(-1, 15):
        day = today + timedelta(days=ahead)
        if window.every == "day" or day.isoweekday() == window.day:
            yield day


#: What counts where no window is declared: balancing needs a number.
DAY: Final = Period(DAY_SECONDS)


class Tally:
    """One window of one key for one place (a model, a quota group, or the key as a whole).

    It opens with the first request after its end. ``used`` is settled, ``reserved`` under way; what was reserved in a
    period that has ended meanwhile is forgotten with it. ``told_at``: when the vendor last spoke of it.
    """

    __slots__ = (
        "_recent", "end", "limit", "limit_from", "name", "opened", "period", "reserved", "told_at", "under_way", "unit",
        "used",
    )  # fmt: skip

    def __init__(self, name: str, period: Period, limit: float | None = None, unit: Unit = "requests") -> None:
        self.name = name
        self.period = period
        self.limit = limit
        #: ``told`` is the vendor's own word, ``inferred`` made of what it said to be left: good for this period only.
        self.limit_from: Literal["declared", "told", "inferred"] = "declared"
        self.unit: Unit = unit
        self.used = 0.0
        self.reserved = 0.0
        self.under_way = 0
        self.opened: float | None = None
        self.end: float | None = None
        self.told_at: float | None = None
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT_KEPT)

    def live(self, now: float) -> bool:
        """Whether a period is under way."""
        return self.opened is not None and (self.end is None or now < self.end)

    def used_at(self, now: float) -> float:
        """Settled and under way."""
        return self.used + self.reserved if self.opened is not None and (self.end is None or now < self.end) else 0.0

    def full(self, now: float) -> bool:
        """Whether the limit is reached by what is settled: what is under way may fail."""
        return self.limit is not None and self.live(now) and self.used >= self.limit

    def crowded(self, now: float) -> bool:
        """Whether what is under way may reach the limit."""
        return self.limit is not None and self.live(now) and self.used < self.limit <= self.used + self.reserved

    def open(self, now: float, wall: float) -> float:
        """Begin a period unless one is under way; when it began."""
        if not self.live(now):
            left = self.period.seconds_left(wall)
            self._begin(now, None if left is None else now + left)
        assert self.opened is not None
        return self.opened

    def _begin(self, now: float, end: float | None) -> None:
        self.opened, self.end, self.used, self.reserved, self.under_way = now, end, 0.0, 0.0, 0
        if self.limit_from == "inferred":
            self.limit, self.limit_from = None, "declared"

    def reserve(self, amount: float, now: float, wall: float) -> float:
        """A request is under way; the period that it belongs to, for ``settle``."""
        opened = self.open(now, wall)
        self.reserved += amount
        self.under_way += 1
        return opened

    def settle(self, opened: float, reserved: float, used: float, now: float = -math.inf) -> None:
        """The request ended, at ``now``, and cost so much; nothing if its period is over.

        A period that nothing was used of closes again: its first use is still to come.
        """
        if opened != self.opened:
            return
        self.under_way -= 1
        self.reserved = max(0.0, self.reserved - reserved) if self.under_way else 0.0
        self.used += used
        if used:
            self._recent.append((now, used))
        told = self.told_at is not None and self.told_at >= opened
        if not self.used and not self.under_way and not told:
            self.opened = self.end = None

    def tell(self, fact: QuotaFact, at: float, wall: float | None = None) -> bool:
        """Take over what the vendor said at ``at`` (in unix seconds ``wall``); False if something newer is known."""
        if self.told_at is not None and at < self.told_at:
            return False
        if self.opened is not None and at < self.opened:
            return False  # of the period before
        live = self.live(at)
        if not live:
            self._begin(at, None)
        if fact.limit is not None:
            self.limit, self.limit_from = fact.limit, "told"
        used = fact.used
        if fact.remaining is not None:
            if self.limit is None or (self.limit_from == "inferred" and self.limit < fact.remaining):
                self.limit, self.limit_from = fact.remaining, "inferred"
            used = max(0.0, self.limit - fact.remaining)
        if fact.resets_in_seconds is not None:
            self.end = at + fact.resets_in_seconds
        elif not live:
            left = self.period.seconds if wall is None else self.period.seconds_left(wall)
            self.end = None if left is None else at + left
        if used is not None:  # and what ended since it was asked, which it cannot know
            self.used = used + sum(amount for when, amount in self._recent if when > at)
        self.told_at = at
        return True

    def shown(self, now: float) -> str:
        """``5h: 100 of 100 requests used``."""
        if self.limit == 0:
            return f"{self.name}: no {self.unit} left"
        under_way = f", {self.reserved:g} under way" if self.reserved and self.live(now) else ""
        of = f" of {self.limit:g}" if self.limit is not None else ""
        settled = self.used if self.live(now) else 0.0
        return f"{self.name}: {settled:g}{of} {self.unit} used{under_way}"
