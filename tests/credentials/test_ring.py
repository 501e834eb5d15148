"""Choosing among the keys of one provider: fill first, sessions, tiers, faults, pins, optimum, probes."""

from collections import Counter
from typing import Any

import pytest

from rotator.contracts import Needs
from rotator.credentials.pool import Lease
from rotator.quota import QuotaFact
from rotator.rotation import Pick
from tests.credentials.houses import (
    ANY,
    FAULT,
    OK,
    REJECTED,
    ROUND_ROBIN,
    TARGET,
    House,
    key,
    limited,
    pinned,
    rotation,
)

TALK = Needs("talk")


def tried(house: House, *numbers: int) -> Needs:
    return Needs(tried=frozenset(house.keys[number - 1].id for number in numbers))


def why(house: House, needs: Needs = ANY) -> str:
    return house.pool.explain(TARGET, needs).why


# Sequential: one key is filled first.


def test_sequential_fills_one_key_and_goes_on_with_the_next_when_it_is_out() -> None:
    house = House(count=3, rules={"windows": [{"name": "5h", "seconds": 18_000, "limit": 4}]})
    assert house.serve_number(12) == [1] * 4 + [2] * 4 + [3] * 4
    house.none()


def test_sequential_stays_with_its_new_key_when_the_former_is_back_until_it_is_idle_for_300_s() -> None:
    house = House(count=3)
    assert house.serve_number(3) == [1, 1, 1]
    house.serve(limited(20))
    assert house.serve_number(2) == [2, 2], "of those never used the first in the configuration"
    house.clock.advance(100)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": []}
    for _ in range(6):
        assert house.serve() == "alpha#2"
        assert why(house) == "sequential: the key in use"
        house.clock.advance(300)
    house.clock.advance(0.1)
    assert why(house) == "sequential: the most used (8)"


def test_when_idle_the_most_used_key_is_filled_further() -> None:
    house = House(count=3)
    assert house.serve_number(5) == [1] * 5
    house.serve(limited(20))
    assert house.serve_number(3) == [2] * 3
    house.clock.advance(301)
    assert why(house) == "sequential: the most used (5)" and house.serve() == "alpha#1"


def test_models_fill_keys_of_their_own_and_groups_one_together() -> None:
    house = House(count=2, rules={"quota_groups": {"pro": ["big", "huge"]}, "fair_cycle": {"enabled": False}})
    assert house.serve(limited(1), model="big") == "alpha#1"
    house.clock.advance(0.5)
    assert house.serve(model="huge") == "alpha#2", "a limit on one of a group is one on the group"
    house.clock.advance(5)
    assert house.serve(model="big") == "alpha#2"
    house.clock.advance(301)
    assert house.serve(needs=pinned(1), model="small") == house.serve(model="small") == "alpha#1"
    assert house.serve(model="huge") == "alpha#2", "of the group it is the most used"


# Sessions.


@pytest.mark.parametrize("mode", ["sequential", "balanced", "round_robin"])
def test_a_session_has_its_place_for_each_model(mode: str) -> None:
    house = House(count=4, rules={"mode": mode})
    for session in ("a", "b", "c"):
        needs = Needs(session)
        homes = {house.serve(needs=needs) for _ in range(10)}
        assert len(homes) == 1 and {house.serve(needs=needs, model="large") for _ in range(5)} == homes


def test_a_session_moves_with_one_model_and_stays_with_the_other() -> None:
    house = House(count=3, rules=ROUND_ROBIN)
    home = house.serve(needs=TALK)
    house.serve(needs=TALK, model="large")
    house.serve(limited(10), TALK)
    away = house.serve(needs=TALK)
    house.clock.advance(10)
    assert away != home and house.serve(needs=TALK) == away
    assert house.serve(needs=TALK, model="large") == home


def test_a_session_goes_home_after_a_fault_and_after_being_busy() -> None:
    """Its cache is still there: it left because of the moment, not because of a limit."""
    house = House(count=3, rules={"mode": "round_robin", "max_concurrent": 1})
    home = house.serve(needs=TALK)
    house.serve(FAULT, TALK)
    away = house.serve(needs=TALK)
    assert away != home
    house.clock.advance(60)
    assert house.serve(needs=TALK) == home
    lease = house.open(TALK)
    assert lease.credential.label == home and house.serve(needs=TALK) != home
    lease.settle(OK)
    assert house.serve(needs=TALK) == home


def test_a_pinned_request_of_a_session_moves_it_nowhere() -> None:
    house = House(count=3, rules=ROUND_ROBIN)
    home = house.serve(needs=TALK)
    for number in (1, 2, 3):
        house.serve(needs=Needs("talk", f"alpha#{number}"))
        assert house.serve(needs=TALK) == home


def test_a_better_tier_that_recovered_takes_over_at_once_and_sessions_with_it() -> None:
    house = House(key(1, 1), key(2, 2), key(3, 2))
    for needs in (ANY, TALK):
        assert house.serve(needs=needs) == "alpha#1"
    house.serve(limited(10))
    worse = house.serve(needs=TALK)
    assert worse in ("alpha#2", "alpha#3") and house.serve(needs=TALK) == worse
    house.clock.advance(10)
    assert house.serve(needs=TALK) == house.serve() == "alpha#1"


def test_sessions_that_are_kept_are_bounded() -> None:
    house = House(count=2)
    first = house.serve(needs=Needs("first"))
    house.serve(limited(1), Needs("first"))
    moved = house.serve(needs=Needs("first"))
    house.clock.advance(1)
    assert moved != first and house.serve(needs=Needs("first")) == moved
    for number in range(10_000):
        house.serve(needs=Needs(f"session-{number}"))
    assert len(house.ring.sticky) == 10_000
    assert house.serve(needs=Needs("first")) == first, "the least recently used is forgotten: it goes to its place"


# Tiers, faults, the optimum.


def test_the_best_tier_with_an_eligible_key_serves() -> None:
    house = House(key(1, 3), key(2, 1), key(3, 2), rules=ROUND_ROBIN)
    assert house.serve_number(3) == [2, 2, 2]
    assert house.serve(needs=tried(house, 2)) == "alpha#3"
    assert house.serve(needs=tried(house, 2, 3)) == "alpha#1"


def test_a_key_with_a_recent_fault_comes_behind_its_peers_for_60_s() -> None:
    house = House(key(1, 1), key(2, 1), key(3, 2))
    house.serve(FAULT)
    assert why(house) == "the others are in doubt or crowded"
    assert house.serve_number(2) == [2, 2]
    house.spend(2, FAULT)
    assert house.serve_number(1) == [1], "both are in doubt: not worse than the next tier"
    house.clock.advance(60)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": []}


@pytest.mark.parametrize(("mode", "optimal"), [("balanced", None), ("sequential", 1), ("round_robin", 1)])
def test_beyond_its_optimum_others_are_preferred_and_nobody_waits(mode: str, optimal: int | None) -> None:
    rules: dict[str, Any] = {"mode": mode} | ({} if optimal is None else {"optimal_concurrent": optimal})
    house = House(key(1, 1), key(2, 1), key(3, 1), key(4, 2), rules=rules)
    leases = [house.open() for _ in range(9)]
    labels = [lease.credential.label for lease in leases]
    assert set(labels[:3]) == {"alpha#1", "alpha#2", "alpha#3"} and "alpha#4" not in labels
    for lease in leases:
        lease.settle(OK)
    house.assert_idle()


def test_sequential_has_no_optimum_of_its_own() -> None:
    house = House(count=2)
    assert {house.open().credential.label for _ in range(9)} == {"alpha#1"}


def test_concurrency_is_scaled_by_priority() -> None:
    rules = {"mode": "round_robin", "max_concurrent": 2, "concurrency_multipliers": {"1": 2, "2": 0.1}}
    house = House(key(1, 1), key(2, 2), key(3, 3), rules=rules)
    labels = [house.open().credential.label for _ in range(7)]
    assert labels == ["alpha#1"] * 4 + ["alpha#2"] + ["alpha#3"] * 2
    none = house.none()
    assert none.error.status == 503 and house.why(2)["concurrency"].detail == "1 of 1 under way"


# Probes of rejected keys.


def test_a_probe_says_so_and_sees_models_and_pins() -> None:
    house = House(key(1, 1), key(2, 2), rules={"model_tiers": {"big": 1}})
    house.spend(1, REJECTED)
    house.clock.advance(1)
    house.spend(2, REJECTED)
    house.clock.advance(10)
    found = house.pool.explain(TARGET, ANY)
    assert found.probe and found.chosen == house.keys[0] and "rejected longest ago" in found.why
    assert not house.pool.explain(TARGET, pinned(3)).probe
    lease = house.open(pinned(2))
    assert lease.probe and house.reasons() == {"alpha#1": ["rejected"], "alpha#2": ["rejected"]}
    assert not house.pool.explain(TARGET, ANY).probe, "one at a time"
    house.none(model="big")
    lease.settle(REJECTED)
    house.clock.advance(6)
    assert house.serve(REJECTED, model="big") == "alpha#1"
    house.none(model="big")
    house.assert_idle()


def test_a_limited_or_full_key_is_not_probed() -> None:
    house = House(count=2, rules={"caps": [{"model": "small", "max": 1}], "fair_cycle": {"enabled": False}})
    house.spend(1, OK)
    house.spend(1, REJECTED, "large")
    house.spend(2, limited(100))
    house.spend(2, REJECTED, "large")
    house.clock.advance(10)
    none = house.none()
    assert none.error.code == "all_credentials_rejected"
    assert house.reasons() == {"alpha#1": ["rejected", "cap"], "alpha#2": ["rejected", "cooldown"]}


# What a choice may not do.


class Stranger:
    """A plug-in's strategy that gives a seat of its own making, or none at all."""

    name = "stranger"

    def __init__(self, given: Any) -> None:
        self.given = given

    def pick(self, seats: Any, asked: Any) -> Any:
        return self.given


@pytest.mark.parametrize("given", [None, Pick(object(), "mine")], ids=["nothing", "a stranger"])  # type: ignore[arg-type]
def test_a_strategy_that_gives_no_seat_of_the_pool_is_skipped_and_told(
    given: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(count=2)
    rules = {"alpha": rotation({"mode": "stranger"})}
    house.pool.reconcile({"alpha": house.keys}, rules, {"stranger": Stranger(given)})
    assert house.serve_number(2) == [1, 1]
    assert "stranger" in caplog.text
    house.assert_idle()


def test_models_that_are_kept_are_bounded_and_nothing_that_counts_is_forgotten() -> None:
    rules = {
        "quota_groups": {"pro": ["big"]},
        "windows": [{"name": "5h", "seconds": 18_000, "limit": 2}],
        "caps": [{"group": "pro", "max": 1, "cooldown": "fixed:9000"}, {"model": "model-*", "max": 5}],
    }
    house = House(count=2, rules=rules)
    house.serve_number(2, model="first")
    house.spend(1, OK, "big")
    for number in range(1_100):
        house.spend(1, FAULT, f"model-{number}")
    assert 0 < len(house.ring._seats) <= 512
    (first, _) = house.pool.standings("alpha")
    assert len(first.tallies) <= 1_024 and len(first.caps) <= 1_102
    house.reload(house.keys)
    assert house.why(1, "big").keys() >= {"cap"} and house.why(1, "first").keys() >= {"window"}
    assert Counter(house.serve_number(2, model="first")) == {2: 2}


# What is under way.


def test_a_key_that_leaves_and_comes_back_still_has_what_is_under_way() -> None:
    house = House(count=1, rules={"max_concurrent": 1})
    lease = house.open()
    only = house.keys
    for _ in range(2):
        house.reload([])
        house.reload(only)
    assert house.reasons() == {"alpha#1": ["concurrency"]}
    lease.settle(OK)
    assert house.reasons() == {"alpha#1": []} and house.ring.standings[0].in_use == 0
    house.open().settle(OK)
    assert house.ring.standings[0].in_use == 0


def test_many_models_that_wait_cost_an_end_or_a_newcomer_no_more_than_one() -> None:
    """Names of models come from clients: the work of one event must not grow with them."""
    house = House(count=1, rules={"max_concurrent": 1, "mode": "round_robin"})
    lease = house.open()
    served: list[Lease | Exception] = []
    for number in range(300):
        house.queue(Needs(deadline=1e9), f"model-{number}").done = served.append
    before = house.pool.evaluations("alpha")
    house.queue(Needs(deadline=1e9), "another")
    lease.settle(OK)
    assert len(served) == 1 and house.pool.evaluations("alpha") - before <= 3
    first = served[0]
    assert isinstance(first, Lease) and first.target.model == "model-0"
    first.settle(OK)


# What is kept of cycles.


def test_cycles_that_are_kept_are_bounded_and_one_with_a_used_up_key_goes_last() -> None:
    house = House(count=2)
    house.serve(limited(3_000))
    assert house.reasons()["alpha#1"] == ["cooldown", "fair_cycle"]
    for number in range(1_100):
        house.serve(model=f"model-{number}")
    assert len(house.ring.cycles) <= 512
    assert house.reasons()["alpha#1"] == ["cooldown", "fair_cycle"]


def test_a_key_that_left_is_forgotten_by_its_cycle() -> None:
    house = House(count=2)
    gone = house.keys[0].id
    house.serve()
    house.serve(limited(3_000))
    [cycle] = house.ring.cycles.values()
    assert gone in cycle.out and gone in cycle.counts
    house.reload(house.keys[1:])
    assert not cycle.out and gone not in cycle.counts


def test_a_head_that_says_that_a_peer_is_full_brings_a_used_up_key_back() -> None:
    house = House(count=2)
    house.serve(limited(300))
    house.clock.advance(300)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": []}
    lease = house.open()
    lease.told([QuotaFact("requests", limit=5, remaining=0, resets_in_seconds=1_000)])
    assert house.reasons() == {"alpha#1": [], "alpha#2": ["window"]}
    lease.settle(OK)


def test_a_groups_relative_cap_knows_the_limit_where_windows_count_models() -> None:
    rules = {
        "quota_groups": {"pro": ["big", "huge"]},
        "windows": [{"name": "5h", "seconds": 18_000, "limit": 6}],
        "caps": [{"group": "pro", "max": "50%"}],
    }
    house = House(count=1, rules=rules)
    for model in ("big", "huge", "big"):
        house.serve(model=model)
    assert house.why(1, "huge")["cap"].detail == "cap of 3 (50% of 6): 3 used"


def test_an_alarm_that_nobody_needs_any_more_does_not_ring() -> None:
    house = House(count=2, rules={"max_concurrent": 1, "mode": "round_robin"})
    house.spend(2, limited(50))
    lease = house.open()
    house.queue(Needs(deadline=1e9)).done = lambda result: isinstance(result, Lease) and result.settle(OK)
    lease.settle(OK)
    before = house.pool.evaluations("alpha")
    house.clock.advance(1_000)
    assert house.pool.evaluations("alpha") == before


def test_seats_are_bounded_where_nothing_else_grows_with_the_models() -> None:
    house = House(count=2, rules={"quota_groups": {"all": ["*"]}})
    for number in range(600):
        house.serve(model=f"model-{number}")
    assert len(house.ring._seats) == 512 and "model-0" not in house.ring._seats
    assert len(house.ring.standings[0].tallies) == 1
