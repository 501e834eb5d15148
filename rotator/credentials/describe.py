"""What is counted of each key for one model: for people who ask, never for a choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from rotator.credentials.caps import CapCount
from rotator.credentials.keys import KeySeat
from rotator.credentials.windows import Tally

Unix = Callable[[float | None], float | None]


def described(seats: Iterable[KeySeat], now: float, unix: Unix) -> list[dict[str, Any]]:
    """``[{credential, priority, tier, under_way, at_most, in_doubt_until, windows, caps}]``.

    ``windows`` are ``{name, used, limit, unit, until}``, ``caps`` ``{max, used, until}``; what is under way counts as
    used. ``unix`` makes unix seconds of monotonic ones; null is no limit, or no end that anybody knows.
    """
    return [
        {
            "credential": seat.credential.label,
            "priority": seat.credential.priority,
            "tier": seat.credential.tier,
            "under_way": seat.standing.in_use,
            "at_most": seat.standing.hard if seat.standing.hard >= 0 else None,
            "in_doubt_until": unix(seat.standing.ledger.doubted_until) if seat.standing.doubted(now) else None,
            "windows": [_window(tally, now, unix) for tally in seat.limiting()],
            "caps": [_cap(count, now, unix) for count in seat.capped],
        }
        for seat in seats
    ]


def _window(tally: Tally, now: float, unix: Unix) -> dict[str, Any]:
    end = tally.end if tally.live(now) else None
    used = round(tally.used_at(now), 3)
    return {"name": tally.name, "used": used, "limit": tally.limit, "unit": tally.unit, "until": unix(end)}


def _cap(count: CapCount, now: float, unix: Unix) -> dict[str, Any]:
    end = count.end() if count.live(now) else None
    end = None if end is None or math.isinf(end) else end
    return {"max": count.most(), "used": round(count.used_at(now), 3), "until": unix(end)}
