"""One key: what is known of it (``Standing``), and how it looks to a request for one model (``KeySeat``).

A seat keeps its reasons until something about the key changes or the first of them ends, so that a choice among many
keys reads and does not compute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from rotator.config.rotation import UNLIMITED, NoReset
from rotator.contracts import Credential
from rotator.credentials.caps import CapCount
from rotator.credentials.claims import PROVIDER, Ledger, Limits
from rotator.credentials.decision import Candidate, Reason
from rotator.credentials.policy import WHOLE_KEY, CapUse, CycleKey, ModelRules, Policy, WindowRule
from rotator.credentials.windows import DAY, Period, Tally, Unit

#: Tallies of one key beyond which those that count nothing now are let go.
TALLIES_KEPT: Final = 1024


_RESTS: Final = ("cooldown", "window", "cap")


class TallyKey(NamedTuple):
    """A window of a key: its name and the place that it counts for."""

    name: str
    place: str


@dataclass(slots=True, eq=False)
class Standing:
    """One key and all that is known about it.  ``turn`` orders uses; ``version`` changes with whatever is known.

    ``hard`` is how many requests it may have at a time (-1: any number).
    """

    credential: Credential
    place: int = 0
    hard: int = UNLIMITED
    ledger: Ledger = field(default_factory=Ledger)
    tallies: dict[TallyKey, Tally] = field(default_factory=dict)
    #: Windows that nobody declared and the vendor told of, by place.
    told: dict[str, dict[str, Tally]] = field(default_factory=dict)
    caps: dict[tuple[str, str], CapCount] = field(default_factory=dict)
    in_use: int = 0
    turn: int = 0
    last_used_at: float = -math.inf
    version: int = 0
    served: int = 0
    #: The same key, when it left and came back meanwhile.
    successor: Standing | None = None

    def leave(self) -> None:
        """A request is over."""
        self.in_use -= 1
        if self.successor is not None:
            self.successor.leave()
            self.successor.version += 1

    def doubted(self, now: float) -> bool:
        """Whether a recent fault puts the key behind its peers."""
        return self.ledger.doubted_until > now

    def tally(self, name: str, place: str, period: Period, unit: Unit = "requests") -> Tally:
        """The window of this name for a place, made where it is new or counts otherwise than before."""
        key = TallyKey(name, place)
        found = self.tallies.get(key)
        if found is None or found.period != period or found.unit != unit:
            found = self.tallies[key] = Tally(name, period, unit=unit)
        return found

    def forget(self, now: float) -> bool:
        """Let go of what is not under way, where it is too much: names of models come from clients.

        True if anything was let go: seats that hold it must be made anew.
        """
        if len(self.tallies) < TALLIES_KEPT:
            return False
        self.tallies = {key: kept for key, kept in self.tallies.items() if kept.live(now)}
        self.caps = {key: kept for key, kept in self.caps.items() if kept.live(now)}
        return True


class Surroundings(Protocol):
    """What a seat asks of its provider's keys."""

    policy: Policy
    #: Changes with what concerns all keys.
    epoch: int
    now: float
    #: What the vendor said of the whole provider, under ``PROVIDER``.
    limits: Limits


class KeySeat:
    """See ``rotator.rotation.Seat``; the pool's own kind also holds the reasons that exclude the key now."""

    __slots__ = (
        "_counted", "_epoch", "_version", "around", "candidate", "capped", "cycle", "fresh_until",
        "optimal", "places", "primary", "resting_until", "rules", "standing", "unfit", "windows",
    )  # fmt: skip

    def __init__(self, standing: Standing, rules: ModelRules, around: Surroundings) -> None:
        policy, credential = around.policy, standing.credential
        self.standing = standing
        self.rules = rules
        self.around = around
        self.optimal = policy.optimal(credential)
        unfit = policy.unfit(credential, rules)
        self.unfit = Reason("tier", None, unfit) if unfit is not None else None
        self.places = tuple(dict.fromkeys((rules.model, rules.group_place, WHOLE_KEY)))
        self.windows = self._windows(policy)
        declared = [(rule, tally) for rule, tally in self.windows if tally.unit == "requests"]
        default = standing.tally("(default)", rules.group_place, DAY) if not declared else None
        self.primary = default or declared[0][1]
        #: What counts without being a limit itself: balancing, and caps of a group where windows count models.
        self._counted = [default] if default is not None else []
        self.capped = self._caps(policy, declared[0][0] if declared else None)
        self.candidate = Candidate(credential, ())
        self.fresh_until = -math.inf
        #: The latest end of what a vendor or a cap keeps the key from; -inf: nothing; inf: no end is known.
        self.resting_until = -math.inf
        #: Of which fair cycle a use is; without one it is of none.
        self.cycle: CycleKey = ("", None)
        self._version = self._epoch = -1

    def _windows(self, policy: Policy) -> tuple[tuple[WindowRule, Tally], ...]:
        found = []
        for rule in policy.windows(self.standing.credential, self.rules):
            tally = self.standing.tally(rule.name, rule.place, rule.period, rule.unit)
            if tally.limit_from == "declared":
                tally.limit = rule.limit
            found.append((rule, tally))
        return tuple(found)

    def _caps(self, policy: Policy, first: WindowRule | None) -> tuple[CapCount, ...]:
        found = []
        for use in policy.caps(self.standing.credential, self.rules):
            primary = self._primary_of(use, first)
            same = first is not None and (first.place == use.place or primary is not self.primary)
            count = self.standing.caps.get((use.name, use.place))
            if count is None or count.primary is not primary:
                count = self.standing.caps[use.name, use.place] = CapCount(use.rule, primary, same)
            elif count.rule != use.rule:
                count.change(use.rule, same)
            found.append(count)
        return tuple(found)

    def _primary_of(self, use: CapUse, first: WindowRule | None) -> Tally | None:
        """The window that a cap follows: a group's cap has one of the group where the key's windows count models."""
        if first is None:
            return None
        if first.place != self.rules.model or use.place == first.place:
            return self.primary
        tally = self.standing.tally(f"(cap) {first.name}", use.place, first.period)
        tally.limit = first.limit
        self._counted.append(tally)
        return tally

    @property
    def credential(self) -> Credential:
        return self.standing.credential

    @property
    def used(self) -> float:
        tally = self.primary  # as Tally.used_at: a draw asks each key for it
        over = tally.opened is None or (tally.end is not None and self.around.now >= tally.end)
        return 0.0 if over else tally.used + tally.reserved

    @property
    def limit(self) -> float | None:
        return self.primary.limit

    @property
    def in_use(self) -> int:
        return self.standing.in_use

    @property
    def last_used_at(self) -> float:
        return self.standing.last_used_at

    @property
    def turn(self) -> int:
        return self.standing.turn

    @property
    def place(self) -> int:
        return self.standing.place

    def stale(self) -> bool:
        """Whether something is otherwise than when the reasons were looked at."""
        return self._version != self.standing.version or self._epoch != self.around.epoch

    def refresh(self, now: float) -> None:
        """Look at everything that may exclude the key, requests under way apart."""
        reasons = list(self._reasons(now))
        ends = [reason.until for reason in reasons if reason.until is not None and reason.until > now]
        ends += [tally.end for tally in self.counting() if tally.end is not None and tally.end > now]
        ends += [end for count in self.capped if (end := count.end()) is not None and end > now]
        rests = [math.inf if one.until is None else one.until for one in reasons if one.code in _RESTS]
        self.resting_until = max(rests, default=-math.inf)
        self.fresh_until = min(ends, default=math.inf)
        self.candidate = Candidate(self.standing.credential, tuple(reasons))
        self._version, self._epoch = self.standing.version, self.around.epoch

    def _reasons(self, now: float) -> Iterator[Reason]:
        if self.unfit is not None:
            yield self.unfit
        ledger, around = self.standing.ledger, self.around
        if (rejection := ledger.rejected(now)) is not None:
            yield Reason("rejected", rejection.until, rejection.reason)
        if around.limits.held and (limit := around.limits.until((PROVIDER,), now)) is not None:
            yield Reason("cooldown", limit[1].until, limit[1].shown(PROVIDER))
        if (limit := ledger.limits.until(self.places, now)) is not None:
            yield Reason("cooldown", limit[1].until, limit[1].shown(limit[0]))
        for tally in self.limiting():
            if tally.crowded(now):
                yield Reason("concurrency", None, tally.shown(now))
            elif tally.full(now) and (reason := _window(tally, around.policy.rotation.no_reset, now)) is not None:
                yield reason
        for count in self.capped:
            if count.blocks(now):
                yield Reason("cap", count.until(), count.shown(now))
            elif count.crowded(now):
                yield Reason("concurrency", None, count.shown(now))

    def counting(self) -> Iterator[Tally]:
        """Every window that a request counts in."""
        yield from self._counted
        yield from self.limiting()

    def limiting(self) -> Iterator[Tally]:
        """The declared windows, and those that only the vendor spoke of."""
        for _, tally in self.windows:
            yield tally
        if self.standing.told:
            for place in self.places:
                yield from self.standing.told.get(place, {}).values()

    def busy(self) -> bool:
        """Whether it has no free place."""
        return 0 <= self.standing.hard <= self.standing.in_use

    def crowded(self) -> bool:
        """Whether others are preferred because of what is under way."""
        return 0 <= self.optimal <= self.standing.in_use


def _window(tally: Tally, no_reset: NoReset, now: float) -> Reason | None:
    """A window that is full; where nobody knows its end the policy for that decides (engine.md 8.9)."""
    if tally.end is not None:
        return Reason("window", tally.end, tally.shown(now))
    if no_reset.policy == "disable_scope":
        return Reason("window", None, f"{tally.shown(now)}; out until the vendor shows that there is quota again")
    if no_reset.policy == "cooldown":
        since = tally.told_at if tally.told_at is not None else tally.opened or now
        until = since + no_reset.cooldown_seconds
        return Reason("window", until, f"{tally.shown(now)}; its end is unknown") if until > now else None
    return None


def best(seats: Sequence[KeySeat], now: float) -> Sequence[KeySeat]:
    """Those without a recent fault, of them those below their optimum; where that leaves none, all (engine.md 8.2)."""
    if len(seats) > 1:
        seats = [seat for seat in seats if not seat.standing.doubted(now)] or seats
        seats = [seat for seat in seats if not seat.crowded()] or seats
    return seats
