"""Laws that hold for every history of a pool: who looks changes nothing, and the fair cycle is fair.

A history is a list of steps; it is played in two houses of one seed, and what they decide is compared.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.contracts import Needs, Outcome
from rotator.credentials.pool import Lease
from rotator.errors import NoCredential
from rotator.quota import QuotaFact
from tests.credentials.houses import DAY, FAULT, HOUR, LEFT, OK, REJECTED, UNUSED, House, key, limited, target
from tests.credentials.states import state

WINDOWS: list[dict[str, Any]] = [
    {"name": "w", "seconds": 600, "limit": 4},
    {"name": "d", "every": "day", "limit": 30, "applies_to": "credential"},
]
CAPS: list[dict[str, Any]] = [
    {"model": "small", "max": "75%", "cooldown": "offset:30"},
    {"group": "pro", "max": 5, "cooldown": "fixed:90", "tier": 1},
]
REST: dict[str, Any] = {"windows": WINDOWS, "caps": CAPS, "quota_groups": {"pro": ["big", "huge"]}}
FAIR = {"fair_cycle": {"enabled": True, "duration_seconds": 5_000}}
UNFAIR = {"fair_cycle": {"enabled": False}}
SETS: dict[str, dict[str, Any]] = {
    "sequential": {"mode": "sequential", **UNFAIR, **REST},
    "balanced": {"mode": "balanced", **REST},
    "balanced, no chance": {"mode": "balanced", "tolerance": 0, "max_concurrent": 2, **REST},
    "round robin": {"mode": "round_robin", "max_concurrent": 2, **REST},
}
FAIR_SETS = {name: {**rules, **FAIR} for name, rules in SETS.items()}


class Step(NamedTuple):
    """``what`` happens; ``number`` and ``model`` say to whom, ``seconds`` how long."""

    what: str
    number: int
    model: str
    seconds: float


STEP = st.builds(
    Step,
    st.sampled_from(["ask", "ask", "ask", "hold", "end", "limit", "reject", "pause", "poll", "head", "reload"]),
    st.integers(0, 5),
    st.sampled_from(["small", "big", "huge"]),
    st.sampled_from([0.5, 29.0, 95.0, 301.0, 700.0, 4_000.0]),
)
HISTORY = st.lists(STEP, min_size=5, max_size=40)
ENDS: Sequence[Outcome] = (OK, LEFT, FAULT, UNUSED, OK, OK)


class Play:
    """One house in which a history happens; ``look`` is called before every step."""

    def __init__(self, rules: dict[str, Any], look: Callable[[House], None] = lambda house: None) -> None:
        self.house = House(key(1, 1), key(2, 1), key(3, 2), rules=rules)
        self.look = look
        self.held: list[Lease] = []
        self.decided: list[Any] = []

    def run(self, history: Sequence[Step]) -> list[Any]:
        for step in history:
            self.look(self.house)
            self.happen(step)
        for lease in self.held:
            lease.settle(OK)
        self.house.assert_idle()
        return self.decided

    def happen(self, step: Step) -> None:
        house, number = self.house, step.number
        if step.what in ("ask", "hold", "limit", "reject"):
            lease = self.ask(step)
            if lease is not None and step.what == "hold":
                self.held.append(lease)
            elif lease is not None:
                lease.settle({"limit": limited(step.seconds), "reject": REJECTED}.get(step.what, ENDS[number]))
        elif step.what == "pause":
            house.clock.advance(step.seconds)
        elif step.what == "poll":
            fact = QuotaFact("w", 4, float(number), None, step.seconds, model=step.model, source="poll")
            house.told(number % 3 + 1, fact)
        elif step.what == "reload":
            house.reload([key(1, 1), key(2, 1 + number % 2), key(3, 2)])
        elif self.held:
            lease = self.held[number % len(self.held)]
            if step.what == "head":
                lease.told([QuotaFact("rpm", 10, float(2 * number), None, step.seconds)])
            else:
                self.held.remove(lease)
                lease.settle(ENDS[number])

    def ask(self, step: Step) -> Lease | None:
        needs = Needs("talk" if step.number == 1 else None, "alpha#2" if step.number == 2 else None)
        try:
            lease = self.house.open(needs, step.model)
        except NoCredential as none:
            self.decided.append((none.decision.as_json(), none.free_in_seconds))  # type: ignore[attr-defined]
            return None
        self.decided.append(lease.decision.as_json())
        return lease


def look(house: House) -> None:
    """What an operator's status page does: it asks for everything, and nothing is otherwise."""
    before = state(house.pool)
    for model in ("huge", "small", "big", "unheard-of"):
        for needs in (Needs(), Needs("talk"), Needs(pin="alpha#3")):
            asked = house.pool.evaluations("alpha")
            house.pool.explain(target(model), needs)
            assert house.pool.evaluations("alpha") == asked + 1
    assert state(house.pool) == before


def forget(house: House) -> None:
    """Nothing that was worked out before is used again."""
    house.ring._seats.clear()
    house.ring.changed()


@pytest.mark.parametrize("rules", SETS.values(), ids=SETS)
@settings(max_examples=40)
@given(HISTORY)
def test_who_looks_changes_nothing(rules: dict[str, Any], history: list[Step]) -> None:
    assert Play(rules, look).run(history) == Play(rules).run(history)


@pytest.mark.parametrize("rules", SETS.values(), ids=SETS)
@settings(max_examples=40)
@given(HISTORY)
def test_what_is_kept_worked_out_is_true(rules: dict[str, Any], history: list[Step]) -> None:
    assert Play(rules, forget).run(history) == Play(rules).run(history)


@pytest.mark.parametrize("seen", [look, forget])
@settings(max_examples=60)
@given(st.sampled_from(list(FAIR_SETS.values())), HISTORY)
def test_with_a_fair_cycle_who_looks_changes_nothing_either(
    seen: Callable[[House], None], rules: dict[str, Any], history: list[Step]
) -> None:
    assert Play(rules, seen).run(history) == Play(rules).run(history)


# The fair cycle over many cycles: each key serves its quota, then the vendor says how long it rests.


class Vendor:
    """Grants each key ``quota`` requests, then limits it for ``rest`` seconds and begins anew.

    ``used_up`` lists what it limited and in which round of the cycle the pool was then, ``rested`` who rested for
    longer than a new beginning allows when that round began.
    """

    def __init__(self, house: House, quota: Sequence[int], rest: Sequence[float]) -> None:
        self.house, self.quota, self.rest = house, quota, rest
        self.left = dict(enumerate(quota))
        self.back = dict.fromkeys(self.left, -math.inf)
        self.used_up: list[tuple[int, int]] = []
        self.rested: dict[int, set[int]] = {0: set()}
        self.served: Counter[int] = Counter()

    def request(self) -> bool:
        """Whether a key could be asked."""
        house, now = self.house, self.house.clock.monotonic()
        try:
            lease = house.open()
        except NoCredential as none:
            self.check_wait(none)
            return False
        number = house.keys.index(lease.credential)
        assert now >= self.back[number], "asked while its vendor's limit lasts"
        rounds = next(iter(house.ring.cycles.values())).rounds
        if rounds not in self.rested:
            self.rested[rounds] = {one for one, back in self.back.items() if back - now > 90}
        if self.left[number]:
            self.left[number] -= 1
            self.served[number] += 1
            lease.settle(OK)
        else:
            self.used_up.append((rounds, number))
            self.left[number], self.back[number] = self.quota[number], now + self.rest[number]
            lease.settle(limited(self.rest[number]))
        return True

    def check_wait(self, none: NoCredential) -> None:
        """Nobody who could work waits for longer than a peer may rest that is waited for."""
        rests = [max(0.0, back - self.house.clock.monotonic()) for back in self.back.values()]
        assert none.free_in_seconds is not None and none.free_in_seconds <= max(90.0, min(rests)) + 1e-6


VENDORS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([20.0, 299.0, 300.0, 350.0, 900.0, 2 * HOUR])), min_size=1, max_size=4
)


@pytest.mark.parametrize("mode", ["sequential", "balanced", "round_robin"])
@settings(max_examples=40)
@given(VENDORS, st.lists(st.sampled_from([0.0, 0.0, 7.0, 60.0, 250.0]), min_size=1, max_size=7))
def test_nobody_is_used_up_twice_in_a_cycle_and_nobody_is_left_out_of_one(
    mode: str, keys: list[tuple[int, float]], pauses: list[float]
) -> None:
    house = House(count=len(keys), rules={"mode": mode, "fair_cycle": {"enabled": True, "duration_seconds": 90 * DAY}})
    vendor = Vendor(house, [quota for quota, _ in keys], [rest for _, rest in keys])
    for turn in range(150):
        if not vendor.request():
            house.clock.advance(30)
        house.clock.advance(pauses[turn % len(pauses)])
    lasting = [(rounds, number) for rounds, number in vendor.used_up if keys[number][1] >= 300]
    assert len(set(lasting)) == len(lasting), "twice in one cycle"
    if min(rest for _, rest in keys) >= 300:
        for rounds in range(len(vendor.rested) - 1):
            used_up = {number for at, number in lasting if at == rounds}
            assert used_up | vendor.rested[rounds] == set(range(len(keys))), "a cycle ended before all were used up"
            assert not used_up & vendor.rested[rounds], "out, and used up all the same"
    house.assert_idle()


@settings(max_examples=60)
@given(VENDORS, st.sampled_from([400.0, 1_000.0, 5_000.0]))
def test_the_end_of_a_cycles_time_locks_nobody_out(keys: list[tuple[int, float]], duration: float) -> None:
    house = House(count=len(keys), rules={"fair_cycle": {"duration_seconds": duration}})
    vendor = Vendor(house, [quota for quota, _ in keys], [rest for _, rest in keys])
    for _ in range(150):
        if not vendor.request():
            house.clock.advance(60)
        house.clock.advance(10)
    house.clock.advance(max(rest for _, rest in keys))
    assert vendor.request(), "no key rests, so one serves"
    house.assert_idle()


def test_many_cycles_are_even() -> None:
    """Four keys of 20 requests, one request each 10 s: a key is used up after 200 s, and rests for 400."""
    house = House(count=4)
    vendor = Vendor(house, [20] * 4, [400.0] * 4)
    for _ in range(8_000):
        assert vendor.request(), "one is always ready"
        house.clock.advance(10)
    order = [number for _, number in vendor.used_up]
    assert len(order) > 300
    by_key = defaultdict(list)
    for place, number in enumerate(order):
        by_key[number].append(place)
    assert max(later - first for places in by_key.values() for first, later in pairwise(places)) <= 7
    assert max(vendor.served.values()) - min(vendor.served.values()) <= 20
