"""The pool under any sequence of requests, ends, pauses, reloads and facts, beside a model that knows only the rules.

The model counts by itself what is under way, what vendors stated and what was used of each window; what the pool tells
must agree with it at every step. Rules, keys and time are drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rotator.contracts import Credential, Needs
from rotator.credentials.decision import TIMED, Decision
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.waiting import Ticket
from rotator.errors import NoCredential
from rotator.quota import QuotaFact
from tests.clocks import ManualClock
from tests.credentials import houses
from tests.credentials.houses import BROKEN, DAY, FAULT, LEFT, OK, REJECTED, REQUEST, UNUSED, limited, rotation, target
from tests.credentials.states import state

NUMBERS = (1, 2, 3)
MODELS = st.sampled_from(["small", "large"])
LABELS = [f"alpha#{number}" for number in NUMBERS]
WINDOW_SECONDS, WINDOW_LIMIT = 100.0, 3
WINDOWS = {"windows": [{"name": "w", "seconds": WINDOW_SECONDS, "limit": WINDOW_LIMIT}]}
OUTCOMES = {
    "ok": OK,
    "left": LEFT,
    "unused": UNUSED,
    "rejected": REJECTED,
    "fault": FAULT,
    "broken": BROKEN,
    "request": REQUEST,
}
#: These say nothing about whether the vendor would take the key.
SILENT = ("left", "broken", "unused")
COUNTED = ("ok", "left")
RULES: list[dict[str, Any]] = [
    {"mode": "round_robin"},
    {"mode": "round_robin", "max_concurrent": 2, **WINDOWS},
    {"mode": "sequential", "fair_cycle": {"enabled": False}, "model_tiers": {"large": 1}, **WINDOWS},
    {"mode": "balanced", "tolerance": 2.0, "max_concurrent": 1, "caps": [{"model": "*", "max": 4}]},
    {"mode": "balanced", "tolerance": 0, "concurrency_multipliers": {"1": 3}, "max_concurrent": 1, **WINDOWS},
    {"mode": "sequential", "max_concurrent": 2, "caps": [{"model": "small", "max": 3, "cooldown": "fixed:20"}]},
]
BEGIN = {"rules": st.sampled_from(RULES), "priorities": st.lists(st.integers(1, 2), min_size=3, max_size=3)}


def credential(number: int, version: int, priority: int) -> Credential:
    """A key whose secret, and with it its id, changes with ``version``."""
    return houses.key(number, priority, secret=f"key-{number}-{version}")


@dataclass
class Used:
    """What the model knows of one window.  ``unsure``: it no longer says anything."""

    end: float = -math.inf
    used: float = 0.0
    held: list[Lease] = field(default_factory=list)
    told_at: float | None = None
    unsure: bool = False

    def live(self, now: float) -> bool:
        return now < self.end

    def full(self, now: float) -> bool:
        return self.live(now) and self.used >= WINDOW_LIMIT

    def crowded(self, now: float) -> bool:
        return self.live(now) and self.used < WINDOW_LIMIT <= self.used + len(self.held)

    def begin(self, end: float) -> None:
        self.end, self.used, self.held = end, 0.0, []

    def opened(self, lease: Lease, now: float) -> None:
        if not self.live(now):
            self.begin(now + WINDOW_SECONDS)
        self.held.append(lease)

    def ended(self, lease: Lease, counted: bool, now: float) -> None:
        if lease in self.held:
            self.held.remove(lease)
            self.used += counted
            if not self.used and not self.held:
                self.unsure |= self.told_at is not None  # see test_windows: told_at of an earlier period
                if self.told_at is None:
                    self.end = -math.inf

    def told(self, used: float, resets: float | None, now: float) -> None:
        if not self.live(now):
            self.begin(now + WINDOW_SECONDS)
        self.used, self.told_at = used, now
        if resets is not None:
            self.end = now + resets


class PoolMachine(RuleBasedStateMachine):
    """``stated``, ``vague``, ``provider``, ``refused`` hold what vendors said, by credential id (and model)."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.pool = Pool(self.clock, strict=True, rng=Random(5))
        self.keys: list[Credential] = []
        self.rules: dict[str, Any] = {}
        self.open: list[Lease] = []
        self.queue: list[Ticket[Lease]] = []
        self.stated: dict[tuple[str, str], float] = {}
        self.vague: dict[tuple[str, str], float] = {}
        self.provider = -math.inf
        self.refused: dict[str, float] = {}  # when the vendor last refused it, with no other answer since
        self.windows: dict[tuple[str, str], Used] = {}
        self.orphans: list[Lease] = []  # leases of keys that were removed: nothing that they tell counts
        self.granted = 0

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @initialize(**BEGIN)
    def begin(self, rules: dict[str, Any], priorities: list[int]) -> None:
        self.rules = rules
        self.keys = [credential(number, 0, rank) for number, rank in zip(NUMBERS, priorities, strict=True)]
        self.reconcile()

    def reconcile(self) -> None:
        self.pool.reconcile({"alpha": self.keys}, {"alpha": rotation(self.rules)})

    def hard(self, one: Credential) -> float:
        given = self.rules.get("max_concurrent", math.inf)
        return float(given * self.rules.get("concurrency_multipliers", {}).get(str(one.priority), 1))

    def window(self, one: Credential, model: str) -> Used:
        return self.windows.setdefault((one.id, model), Used())

    # What happens.

    @rule(number=st.sampled_from(NUMBERS), version=st.sampled_from([None, 0, 1]), priority=st.integers(1, 3))
    def reload(self, number: int, version: int | None, priority: int) -> None:
        """A key goes, comes, or changes its secret or its priority."""
        before = {one.id for one in self.keys}
        keys = {one.label: one for one in self.keys}
        keys.pop(f"alpha#{number}", None)
        if version is not None:
            keys[f"alpha#{number}"] = credential(number, version, priority)
        self.keys = [keys[label] for label in sorted(keys)]
        for lost in before - {one.id for one in self.keys}:  # what is known of a key goes with it
            self.refused.pop(lost, None)
            self.stated = {held: until for held, until in self.stated.items() if held[0] != lost}
            self.vague = {held: until for held, until in self.vague.items() if held[0] != lost}
            self.windows = {held: used for held, used in self.windows.items() if held[0] != lost}
            self.orphans += [lease for lease in self.open if lease.credential.id == lost]
        self.reconcile()

    @rule(seconds=st.sampled_from([0.001, 4.999, 5.0, 20.0, 30.0, 60.0, 100.0, 3_600.0]))
    def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(jump=st.sampled_from([-7_200.0, 7_200.0, 3e8, -1.5e9]))
    def set_the_clock(self, jump: float) -> None:
        self.clock.wall += jump

    @rule(
        model=MODELS,
        session=st.sampled_from([None, "talk", "walk"]),
        pin=st.sampled_from([None, None, *LABELS]),
        tried=st.sets(st.sampled_from(NUMBERS), max_size=2),
        patience=st.sampled_from([0.0, 0.0, 1.0, 50.0]),
    )
    def ask(self, model: str, session: str | None, pin: str | None, tried: set[int], patience: float) -> None:
        used = frozenset(one.id for one in self.keys if one.label in {f"alpha#{number}" for number in tried})
        needs = Needs(session, pin, used, self.now + patience)
        before, asked = state(self.pool), self.pool.evaluations("alpha")
        told = self.pool.explain(target(model), needs)
        assert self.pool.evaluations("alpha") == asked + 1, "one evaluation"
        assert state(self.pool) == before, "explain changes nothing"
        self._check_told(told, model, needs)
        try:
            found = self.pool.ask(target(model), needs)
        except NoCredential as none:
            assert isinstance(none.decision, Decision) and none.decision.as_json() == told.as_json()
            assert told.chosen is None
            self._check_refused(none, told)
            return
        if isinstance(found, Ticket):
            assert told.chosen is None and patience and any(one.only_busy for one in told.candidates)
            found.done = lambda result: self._served(found, result)
            self.queue.append(found)
            return
        assert found.decision.as_json() == told.as_json(), "explained and chosen alike"
        self._granted(found, told, needs)

    def _served(self, ticket: Ticket[Lease], result: Lease | Exception) -> None:
        self.queue.remove(ticket)  # once
        if isinstance(result, Lease):
            self._granted(result, result.decision, ticket.needs)
        else:
            assert isinstance(result, NoCredential) and isinstance(result.decision, Decision)
            late = self.now >= ticket.needs.deadline
            assert late or not any(one.only_busy for one in result.decision.candidates)

    def _granted(self, lease: Lease, told: Decision, needs: Needs) -> None:
        self.granted += 1
        self.open.append(lease)
        chosen, model = lease.credential, lease.target.model
        self.window(chosen, model).opened(lease, self.now)
        eligible = [one.credential for one in told.candidates if one.eligible]
        assert chosen in self.keys and chosen.id not in needs.tried and needs.pin in (None, chosen.label)
        assert self.stated.get((chosen.id, model), self.now) <= self.now, "used while the vendor's limit holds"
        assert max(self.provider, self.now) == self.now
        if lease.probe:
            assert not eligible and all(one.id in self.refused for one in self.keys)
            assert not any(one.probe for one in self.open if one is not lease), "one at a time"
            assert self.now - self.refused[chosen.id] >= 5
        else:
            assert chosen in eligible and chosen.priority == min(one.priority for one in eligible)
            assert self.now - self.refused.get(chosen.id, -60.0) >= 60, "used within the first minute of a rejection"

    def _check_refused(self, none: NoCredential, told: Decision) -> None:
        assert all(one.label in none.error.message for one in self.keys)
        ends: list[float] = []
        if any(one.only_busy for one in told.candidates):
            assert none.error.status == 503 and none.free_in_seconds is None
            return
        for one in told.candidates:
            if not any(one.has(code) for code in ("pin", "tier", "rejected")):
                untils = [reason.until for reason in one.reasons if reason.code in TIMED]
                if untils and None not in untils:
                    ends.append(max(until for until in untils if until is not None) - self.now)
        assert (none.free_in_seconds is None) == (not ends)
        assert not ends or abs((none.free_in_seconds or 0.0) - min(ends)) < 1e-6
        assert none.free_in_seconds is None or none.free_in_seconds > 0

    # Every reason is true, and none is missing.

    def _check_told(self, told: Decision, model: str, needs: Needs) -> None:
        assert [one.credential for one in told.candidates] == self.keys
        for candidate in told.candidates:
            one = candidate.credential
            assert candidate.eligible == (not candidate.reasons)
            codes = {reason.code: reason for reason in sorted(candidate.reasons, key=lambda one: one.until or 0.0)}
            assert ("pin" in codes) == (needs.pin not in (None, one.label))
            assert ("tried" in codes) == (one.id in needs.tried)
            under_way = sum(lease.credential.id == one.id for lease in self.open if lease not in self.orphans)
            assert "concurrency" in codes or under_way < self.hard(one)
            used = self.window(one, model)
            if "caps" not in self.rules and not used.unsure:
                crowded = "windows" in self.rules and used.crowded(self.now)
                assert ("concurrency" in codes) == (under_way >= self.hard(one) or crowded)
            assert ("tier" in codes) == (model == "large" and "model_tiers" in self.rules and one.priority > 1)
            self._check_limits(one, model, codes)
            for reason in candidate.reasons:
                assert reason.detail
                if reason.code != "fair_cycle":
                    assert (reason.until is None) == (reason.code in ("pin", "tried", "concurrency", "tier"))
                assert reason.until is None or reason.until > self.now
            if "fair_cycle" in codes:
                assert self.rules["mode"] == "sequential"

    def _check_limits(self, one: Credential, model: str, codes: dict[Any, Any]) -> None:
        stated = max(self.stated.get((one.id, model), -math.inf), self.provider)
        vague = self.vague.get((one.id, model), -math.inf)
        if stated > self.now:
            assert codes["cooldown"].until >= stated
        if "cooldown" in codes:
            assert self.now < codes["cooldown"].until <= max(stated, vague + 60)
        if self.now - self.refused.get(one.id, -60.0) < 60:
            assert "rejected" in codes
        assert "rejected" not in codes or one.id in self.refused
        used = self.window(one, model)
        if "windows" in self.rules and not used.unsure:
            assert ("window" in codes) == used.full(self.now)
            if "window" in codes:
                assert abs(codes["window"].until - used.end) < 1e-6
        assert "windows" in self.rules or "window" not in codes
        assert "caps" in self.rules or "cap" not in codes

    # How attempts end.

    @precondition(lambda self: self.open)
    @rule(turn=st.integers(0, 5), end=st.sampled_from(["ok", "ok", "ok", *OUTCOMES]))
    def settle(self, turn: int, end: str) -> None:
        lease, known = self._take(turn, end in COUNTED)
        if known and end == "rejected":
            before = self.refused.get(lease.credential.id)
            if before is None or lease.began > before:
                self.refused[lease.credential.id] = self.now
        elif known and end not in SILENT:
            self.refused.pop(lease.credential.id, None)
        lease.settle(OUTCOMES[end])

    @precondition(lambda self: self.open)
    @rule(turn=st.integers(0, 5), seconds=st.sampled_from([None, 0.0, -5.0, 0.5, 20.0, 400.0, 7_200.0, 99 * DAY]))
    def settle_limited(self, turn: int, seconds: float | None) -> None:
        lease, known = self._take(turn, False)
        if known:
            place = lease.credential.id, lease.target.model
            if seconds is not None and seconds > 0:
                self.stated[place] = max(self.stated.get(place, 0.0), self.now + min(seconds, 31 * DAY))
            else:
                self.vague[place] = self.now
            self.refused.pop(lease.credential.id, None)
        lease.settle(limited(seconds))

    @precondition(lambda self: self.open and not self.refused)
    @rule(turn=st.integers(0, 5), seconds=st.sampled_from([0.5, 20.0]))
    def settle_limited_for_all(self, turn: int, seconds: float) -> None:
        lease, _ = self._take(turn, False)
        self.provider = max(self.provider, self.now + seconds)
        lease.settle(limited(seconds, "provider"))

    def _take(self, turn: int, counted: bool) -> tuple[Lease, bool]:
        """One of the open leases, and whether its key is still there."""
        lease = self.open.pop(turn % len(self.open))
        known = lease not in self.orphans
        if known:
            self.window(lease.credential, lease.target.model).ended(lease, counted, self.now)
        return lease, known

    # What vendors tell.

    @precondition(lambda self: self.keys and "windows" in self.rules)
    @rule(
        turn=st.integers(0, 2),
        model=MODELS,
        used=st.integers(0, 5),
        resets=st.sampled_from([None, 1.0, 40.0, 500.0]),
        ago=st.sampled_from([0.0, 0.0, 3.0]),
    )
    def poll(self, turn: int, model: str, used: int, resets: float | None, ago: float) -> None:
        one = self.keys[turn % len(self.keys)]
        known, at = self.window(one, model), self.now - ago
        if known.told_at is None or at >= known.told_at:
            known.told(used, resets, self.now)
            known.unsure |= ago > 0
        fact = QuotaFact("w", used=float(used), resets_in_seconds=resets, model=model, source="poll")
        self.pool.learn_quota(one.id, [fact], at)

    @precondition(lambda self: self.open and "windows" in self.rules)
    @rule(turn=st.integers(0, 5), used=st.integers(0, 5), resets=st.sampled_from([None, 40.0]))
    def head(self, turn: int, used: int, resets: float | None) -> None:
        lease = self.open[turn % len(self.open)]
        if lease not in self.orphans:
            known = self.window(lease.credential, lease.target.model)
            known.told(used, resets, self.now)
            if lease in known.held:
                known.held.remove(lease)
        lease.told([QuotaFact("w", limit=WINDOW_LIMIT, used=float(used), resets_in_seconds=resets)])

    # At every moment.

    @invariant()
    def every_lease_is_counted_and_concurrency_holds(self) -> None:
        counters = self.pool.counters
        assert (counters.leases, counters.open, counters.settled_twice) == (self.granted, len(self.open), 0)
        for standing in self.pool.standings("alpha"):
            mine = [lease for lease in self.open if lease.credential.id == standing.credential.id]
            assert standing.in_use == len(mine)
        # A key that changed its priority meanwhile may have more than its new number.
        if "concurrency_multipliers" not in self.rules:
            for one in self.keys:
                mine = [lease for lease in self.open if lease.credential.id == one.id and lease not in self.orphans]
                assert len(mine) <= self.hard(one)

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        for ticket in self.queue:
            told = self.pool.explain(ticket.target, ticket.needs)
            assert told.chosen is None and any(one.only_busy for one in told.candidates)
            assert ticket.needs.deadline > self.now

    def teardown(self) -> None:
        """All that was granted ends; then nothing is under way, reserved or waiting."""
        while self.open or self.queue:
            if self.open:
                lease, _ = self._take(0, False)
                lease.settle(UNUSED)
            else:
                self.clock.advance(50)
        if self.keys:
            house = houses.House.__new__(houses.House)
            house.pool = self.pool
            house.assert_idle()


# Not shrunk: minutes for a sequence that is short enough to be read. Add Phase.shrink to look for a shorter one.
PoolMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50, phases=[Phase.generate])
TestPool = PoolMachine.TestCase
