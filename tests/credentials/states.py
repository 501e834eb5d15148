"""All that a pool knows, as plain data: what must be alike before and after something that changes nothing."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from rotator.credentials.caps import CapCount
from rotator.credentials.keys import Standing
from rotator.credentials.pool import Pool
from rotator.credentials.windows import Tally


def _plain(one: Tally | CapCount) -> dict[str, Any]:
    """Numbers and texts, without what it refers to."""
    found = {name: getattr(one, name) for name in type(one).__slots__}
    return {name: value for name, value in found.items() if value is None or isinstance(value, int | float | str)}


def _standing(one: Standing) -> tuple[Any, ...]:
    """What was only looked at, and never used, is nothing known."""
    tallies = {key: _plain(tally) for key, tally in one.tallies.items() if tally.opened is not None}
    told = {place: {name: _plain(tally) for name, tally in named.items()} for place, named in one.told.items()}
    caps = {key: _plain(count) for key, count in one.caps.items() if count.opened is not None}
    ledger = one.ledger
    claims = {place: astuple(claim) for place, claim in ledger.limits.held.items()}
    rejection = astuple(ledger.rejection) if ledger.rejection is not None else None
    own = one.credential.id, one.place, one.in_use, one.turn, one.last_used_at, one.served
    return own, claims, rejection, ledger.doubted_until, tallies, told, caps


def state(pool: Pool) -> Any:
    """Caches, and how often was looked, are left out."""
    lines = {}
    for name, line in pool._lines.items():
        ring = line.ring
        cycles = {
            key: (cycle.started, dict(cycle.out), dict(cycle.counts), cycle.rounds)
            for key, cycle in ring.cycles.items()
        }
        limit = {place: astuple(claim) for place, claim in ring.limits.held.items()}
        lines[name] = (
            [_standing(one) for one in ring.standings],
            (limit, ring.probing, ring.turns, list(ring.sticky.items()), cycles),
            [ticket.number for kind in line.waiting._kinds.values() for ticket in kind.values()],
        )
    return astuple(pool.counters), pool._rng.getstate(), lines
