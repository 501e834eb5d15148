"""The pool under any sequence of leases, ends, pauses and reloads, beside a model that knows only design.md 2.4."""

import asyncio

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rotator.contracts import Credential, Needs, Outcome, Target, Verdict
from rotator.credentials.pool import Lease, Pool
from rotator.errors import NoCredential
from rotator.neutral.secret import Secret
from tests.clocks import ManualClock

NUMBERS = (1, 2, 3)
MODELS = st.sampled_from(["small", "large"])
LABELS = [f"alpha#{number}" for number in NUMBERS]
DAY = 86_400.0

OUTCOMES = {
    "ok": Outcome("ok"),
    "left": Outcome("cancelled"),
    "rejected": Outcome("failed", Verdict("credential", "credential", "rejected")),
    "fault": Outcome("failed", Verdict("provider", "provider", "server_error")),
    "broken": Outcome("failed", Verdict("network", "provider", "bad_gateway", source="transport")),
    "request": Outcome("failed", Verdict("client", "request", "bad_request")),
}
#: These say nothing about whether the vendor would take the key.
SILENT = ("left", "broken")


def credential(number: int, version: int, priority: int) -> Credential:
    """A key whose secret, and with it its id, changes with ``version``."""
    text = f"key-{number}-{version}"
    return Credential(f"id-{text}", "alpha", f"alpha#{number}", Secret(text), None, priority)


class PoolMachine(RuleBasedStateMachine):
    """``stated`` and ``refused`` hold what vendors said, by credential id; ends that only a guess gives are not in."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.pool = Pool(self.clock, strict=True)
        self.keys: list[Credential] = []
        self.open: list[Lease] = []
        self.stated: dict[tuple[str, str], float] = {}
        self.refused: dict[str, float] = {}  # when the vendor last refused it, with no other answer since
        self.orphans: list[Lease] = []  # leases of keys that were removed: nothing that they tell counts
        self.granted = 0

    def teardown(self) -> None:
        self.runner.close()

    @initialize(priorities=st.lists(st.integers(1, 2), min_size=3, max_size=3))
    def begin(self, priorities: list[int]) -> None:
        self.keys = [credential(number, 0, rank) for number, rank in zip(NUMBERS, priorities, strict=True)]
        self.pool.reconcile({"alpha": self.keys})

    @rule(number=st.sampled_from(NUMBERS), version=st.sampled_from([None, 0, 1]), priority=st.integers(1, 3))
    def reload(self, number: int, version: int | None, priority: int) -> None:
        """A key goes, comes, or changes its secret or its priority."""
        before = {one.id for one in self.keys}
        keys = {one.label: one for one in self.keys}
        keys.pop(f"alpha#{number}", None)
        if version is not None:
            keys[f"alpha#{number}"] = credential(number, version, priority)
        self.keys = [keys[label] for label in sorted(keys)]
        self.pool.reconcile({"alpha": self.keys})
        for lost in before - {one.id for one in self.keys}:  # what is known of a key goes with it
            self.refused.pop(lost, None)
            self.stated = {held: until for held, until in self.stated.items() if held[0] != lost}
            self.orphans += [lease for lease in self.open if lease.credential.id == lost]

    @rule(seconds=st.sampled_from([0.001, 4.999, 5.0, 30.0, 60.0, 3_600.0]))
    def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(
        model=MODELS,
        session=st.sampled_from([None, "talk", "walk"]),
        pin=st.sampled_from([None, *LABELS]),
        tried=st.sets(st.sampled_from(NUMBERS), max_size=2),
    )
    def lease(self, model: str, session: str | None, pin: str | None, tried: set[int]) -> None:
        used = frozenset(one.id for one in self.keys if one.label in {f"alpha#{number}" for number in tried})
        where, needs = Target("alpha", "chat", model), Needs(session, pin, used)
        candidates = self.pool.snapshot(where, needs)
        assert [one.credential for one in candidates] == self.keys
        eligible = [one.credential for one in candidates if one.eligible]
        try:
            lease = self.runner.run(self.pool.lease(where, needs))
        except NoCredential as none:
            assert not eligible and not self._may_be_probed(model, needs)
            assert all(one.label in none.error.message for one in self.keys)
            assert none.free_in_seconds is None or none.free_in_seconds >= 0
            return
        self.granted += 1
        self.open.append(lease)
        self._check_grant(lease, eligible, needs)

    def _check_grant(self, lease: Lease, eligible: list[Credential], needs: Needs) -> None:
        chosen, now = lease.credential, self.clock.monotonic()
        assert chosen in self.keys and chosen.id not in needs.tried and needs.pin in (None, chosen.label)
        assert self.stated.get((chosen.id, lease.target.model), now) <= now, "used while the vendor's limit holds"
        if lease.probe:
            assert not eligible
            waiting = self._may_be_probed(lease.target.model, needs, besides=lease)
            assert waiting and self.refused[chosen.id] == min(self.refused[one.id] for one in waiting)
        else:
            assert chosen in eligible and chosen.priority == min(one.priority for one in eligible)
            assert now - self.refused.get(chosen.id, -60.0) >= 60, "used within the first minute of a rejection"

    def _may_be_probed(self, model: str, needs: Needs, besides: Lease | None = None) -> list[Credential]:
        """The keys that a request may probe now: all are rejected, and no other probe is under way."""
        now = self.clock.monotonic()
        snapshot = self.pool.snapshot(Target("alpha", "chat", model), Needs())
        rejected = [any(reason.code == "rejected" for reason in one.reasons) for one in snapshot]
        if not all(rejected) or any(one.probe for one in self.open if one is not besides):
            return []
        limited = {one.credential.id for one in snapshot if any(reason.code == "cooldown" for reason in one.reasons)}
        return [
            one
            for one in self.keys
            if one.id not in needs.tried | limited
            and needs.pin in (None, one.label)
            and now - self.refused[one.id] >= 5
        ]

    @precondition(lambda self: self.open)
    @rule(turn=st.integers(0, 5), end=st.sampled_from(["ok", "ok", "ok", *OUTCOMES]))
    def settle(self, turn: int, end: str) -> None:
        lease = self._end(turn, OUTCOMES[end])
        if lease is not None and end == "rejected":
            self.refused[lease.credential.id] = self.clock.monotonic()
        elif lease is not None and end not in SILENT:
            self.refused.pop(lease.credential.id, None)

    @precondition(lambda self: self.open)
    @rule(turn=st.integers(0, 5), seconds=st.sampled_from([None, 0.0, -5.0, 0.5, 20.0, 7_200.0, 99 * DAY]))
    def settle_limited(self, turn: int, seconds: float | None) -> None:
        lease = self._end(turn, Outcome("failed", Verdict("credential", "model", "rate_limit", seconds)))
        if lease is not None:
            now, held = self.clock.monotonic(), (lease.credential.id, lease.target.model)
            wait = min(seconds, 31 * DAY) if seconds is not None and seconds > 0 else 5.0
            self.stated[held] = max(self.stated.get(held, now), now + wait)
            self.refused.pop(lease.credential.id, None)

    def _end(self, turn: int, outcome: Outcome) -> Lease | None:
        """Settle one of the open leases; None if its key was removed meanwhile."""
        lease = self.open.pop(turn % len(self.open))
        lease.settle(outcome)
        return None if any(one is lease for one in self.orphans) else lease

    @invariant()
    def every_lease_is_counted(self) -> None:
        counters = self.pool.counters
        assert (counters.leases, counters.open, counters.settled_twice) == (self.granted, len(self.open), 0)
        for standings in self.pool._standings.values():
            for one in standings:
                mine = [lease for lease in self.open if lease._standing is one]
                assert one.in_use == len(mine) >= 0

    @invariant()
    def every_excluded_key_has_a_reason_with_an_end_in_the_future(self) -> None:
        for candidate in self.pool.snapshot(Target("alpha", "chat", "small"), Needs(pin="alpha#1")):
            assert candidate.eligible == (not candidate.reasons)
            for reason in candidate.reasons:
                assert reason.code in ("pin", "cooldown", "rejected") and reason.detail
                assert (reason.until is None) == (reason.code == "pin")
                assert reason.until is None or reason.until > self.clock.time() - 0.001

    @invariant()
    def vendors_words_hold(self) -> None:
        now = self.clock.monotonic()
        for candidate in self.pool.snapshot(Target("alpha", "chat", "small"), Needs()):
            codes = {reason.code for reason in candidate.reasons}
            if self.stated.get((candidate.credential.id, "small"), now) > now:
                assert "cooldown" in codes
            if now - self.refused.get(candidate.credential.id, -60.0) < 60:
                assert "rejected" in codes
            if candidate.credential.id not in self.refused:
                assert "rejected" not in codes


# Not shrunk: minutes for a sequence that is short enough to be read. Add Phase.shrink to look for a shorter one.
PoolMachine.TestCase.settings = settings(max_examples=250, stateful_step_count=50, phases=[Phase.generate])
TestPool = PoolMachine.TestCase
