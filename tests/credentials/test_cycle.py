"""The fair cycle: nobody is used up twice before the others were once (engine.md 8.7)."""

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.rotation import FairCycle
from rotator.contracts import Needs
from rotator.credentials.cycle import Cycle
from rotator.quota import QuotaFact
from tests.credentials.houses import (
    ANY,
    DAY,
    FAULT,
    HOUR,
    LEFT,
    OK,
    REJECTED,
    REQUEST,
    TARGET,
    UNUSED,
    House,
    key,
    limited,
    target,
)

NOW = 1_000.0
WEEK = 7 * DAY
WINDOW = {"name": "5h", "seconds": 18_000, "limit": 2}


def cycle(**out: float) -> Cycle:
    """A cycle that began at NOW, with keys that are out and the seconds for which something keeps them from work."""
    one = Cycle(FairCycle(), NOW)
    for name, seconds in out.items():
        one.exhaust(name, NOW + seconds)
    return one


# The check is pure.


def test_a_key_that_was_used_up_is_out_until_the_others_were_too() -> None:
    one = cycle(a=0)
    view = one.standing(["a", "b"], NOW)
    assert (view.out, view.changes_at, view.due) == ({"a"}, NOW + WEEK, False)
    one.exhaust("b", NOW)
    view = one.standing(["a", "b"], NOW)
    assert (view.out, view.due) == (set(), True)


def test_the_check_changes_nothing_and_a_commit_does() -> None:
    one = cycle(a=0, b=1_000)
    one.counts["a"] = 7.0
    before = copy.deepcopy((one.started, one.out, one.counts, one.rounds))
    view = one.standing(["a", "b"], NOW + 5)
    assert view == one.standing(["a", "b"], NOW + 5)
    assert (one.started, one.out, one.counts, one.rounds) == before
    one.commit(view, NOW + 5)
    assert (one.started, one.out, one.counts, one.rounds) == (NOW + 5, {"b": NOW + 1_000}, {}, 1)


@pytest.mark.parametrize(("left", "stays"), [(90.0, False), (90.001, True), (math.inf, True), (-5.0, False)])
def test_at_a_new_beginning_keys_that_rest_for_longer_stay_out(left: float, stays: bool) -> None:
    view = cycle(a=left, b=0).standing(["a", "b"], NOW)
    assert view.due and view.out == ({"a"} if stays else set())


def test_where_all_rest_for_longer_the_new_beginning_waits_for_the_first() -> None:
    one = cycle(a=1_000, b=500)
    view = one.standing(["a", "b"], NOW)
    assert (view.out, view.changes_at, view.due) == ({"a", "b"}, NOW + 410, False)
    view = one.standing(["a", "b"], NOW + 410)
    assert (view.out, view.due) == ({"a"}, True)


def test_a_cycle_without_peers_is_not_over() -> None:
    assert not cycle(a=0).standing([], NOW).due
    assert cycle(a=0).standing([], NOW + WEEK).due


def test_keys_that_do_not_take_part_do_not_hold_it_up() -> None:
    assert cycle(a=0).standing(["a"], NOW).due


def test_the_duration_really_resets() -> None:
    """[BUG] of engine.md 8.7: elsewhere everyone is let through for ever after."""
    one = cycle(a=0)
    assert not one.standing(["a", "b"], NOW + WEEK - 0.1).due
    view = one.standing(["a", "b"], NOW + WEEK)
    assert view.due and view.out == set()
    one.commit(view, NOW + WEEK)
    one.exhaust("b", NOW + WEEK)
    assert one.standing(["a", "b"], NOW + WEEK).out == {"b"}, "what is used up now is out again"
    assert one.ends == NOW + 2 * WEEK


def test_a_longer_rest_is_remembered_and_a_shorter_one_is_not() -> None:
    one = cycle(a=500)
    one.exhaust("a", NOW + 100)
    assert one.out == {"a": NOW + 500}
    one.exhaust("a", NOW + 900)
    assert one.out == {"a": NOW + 900}


@pytest.mark.parametrize("over", [False, True], ids=["all were used up", "its time is over"])
def test_a_view_tells_when_a_key_that_stays_out_comes_back(over: bool) -> None:
    now = NOW + (WEEK if over else 0)
    one = cycle()
    one.exhaust("a", now + 1_000)
    one.exhaust("b", now)
    view = one.standing(["a", "b"], now)
    assert view.due and view.out == {"a"} and view.changes_at == now + 910


ENDS = st.dictionaries(st.sampled_from("abcd"), st.floats(-1e3, 1e6), max_size=4)


@given(ENDS, st.sets(st.sampled_from("abcd")), st.floats(0, 2 * WEEK))
def test_a_view_never_shuts_everyone_out_once_one_could_work(
    ends: dict[str, float], peers: set[str], later: float
) -> None:
    one, now = cycle(**ends), NOW + later
    view = one.standing(sorted(peers), now)
    assert view.out <= set(ends), "nobody is out who was not used up"
    if peers and peers <= ends.keys():
        resting = {name for name, left in ends.items() if NOW + left - now > 90}
        assert view.due == (now >= NOW + WEEK or not peers <= resting)
        assert view.out == resting if view.due else view.out == set(ends)
    if now < NOW + WEEK and not view.due:
        assert now < view.changes_at <= NOW + WEEK


# In a pool. Sequential is the default and has a fair cycle.


def used_up(house: House, number: int, model: str = "small") -> None:
    """A limit of exactly what exhausts, and its end."""
    house.spend(number, limited(300), model)
    house.clock.advance(300)


def test_only_sequential_has_a_fair_cycle_unless_asked_for() -> None:
    for mode, enabled, fair in (
        ("sequential", None, True),
        ("sequential", False, False),
        ("balanced", None, False),
        ("balanced", True, True),
        ("round_robin", None, False),
    ):
        house = House(count=2, rules={"mode": mode, "fair_cycle": {} if enabled is None else {"enabled": enabled}})
        used_up(house, 1)
        assert house.reasons()["alpha#1"] == (["fair_cycle"] if fair else []), (mode, enabled)


def test_a_key_that_was_used_up_waits_for_its_peers() -> None:
    house = House(count=3)
    used_up(house, 1)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": [], "alpha#3": []}
    used_up(house, 2)
    assert house.serve_number(4) == [3] * 4
    used_up(house, 3)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": []}
    assert len(set(house.serve_number(3))) == 1
    assert next(iter(house.ring.cycles.values())).rounds == 1


@pytest.mark.parametrize(("seconds", "out"), [(299.9, False), (300, True)])
def test_a_rest_of_at_least_the_threshold_uses_a_key_up(seconds: float, out: bool) -> None:
    house = House(count=2)
    house.spend(1, limited(seconds))
    house.clock.advance(seconds)
    assert ("fair_cycle" in house.why(1)) is out
    own = House(count=2, rules={"exhaustion_cooldown_seconds": 10})
    own.spend(1, limited(10))
    assert "fair_cycle" in own.why(1)


@pytest.mark.parametrize(("threshold", "requests"), [(1.0, 4), (0.5, 2), (2.0, 8)])
def test_requests_use_a_key_up_at_the_threshold_over_all_periods_of_a_cycle(threshold: float, requests: int) -> None:
    rules = {"windows": [WINDOW | {"limit": 4}], "fair_cycle": {"quota_threshold": threshold}}
    house = House(count=2, rules=rules)
    for number in range(requests):
        assert house.why(1).keys() == set(), number
        house.spend(1, OK)
        house.clock.advance(18_000)
    assert house.why(1).keys() == {"fair_cycle"}


def test_failed_attempts_use_nobody_up() -> None:
    house = House(count=2, rules={"windows": [WINDOW]})
    for end in (FAULT, UNUSED, REQUEST, limited(5), REJECTED) * 3:
        house.spend(1, end)
        house.clock.advance(HOUR)
    assert house.why(1) == {}
    house.spend(1, OK)
    house.spend(1, LEFT)
    house.clock.advance(18_000)
    assert house.why(1).keys() == {"fair_cycle"}


def test_the_reason_tells_its_end_and_its_retry_after_is_true() -> None:
    house = House(count=2, rules={"fair_cycle": {"duration_seconds": 1_000}})
    house.serve()
    used_up(house, 1)
    house.spend(2, limited(5_000))
    house.spend(2, limited(100), "large")
    assert house.why(1) == {}, "both are used up: the new beginning is due"
    other = House(count=2, rules={"fair_cycle": {"duration_seconds": 1_000}})
    used_up(other, 1)
    other.spend(2, limited(80))
    assert other.why(1)["fair_cycle"].until is None, "nobody knows when the other is used up"
    assert other.none().free_in_seconds == pytest.approx(80)
    other.clock.advance(700)
    assert other.reasons() == {"alpha#1": [], "alpha#2": []}
    third = House(count=2)
    third.serve(limited(500))
    third.serve(limited(700))
    assert third.left(1, "fair_cycle") == pytest.approx(410) and third.why(2)["fair_cycle"].until is None


@pytest.mark.parametrize("how", ["a reload", "a poll"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_rest_that_ends_early_ends_for_the_cycle_too(how: str, count: int) -> None:
    """What was known when a key was used up does not hold it back: a raised limit, or a vendor that gives anew."""
    house = House(count=count, rules={"windows": [WINDOW | {"limit": 2}]})
    house.serve_number(2 * count)
    assert all("window" in found for found in house.reasons().values())
    if how == "a reload":
        house.reload(house.keys, {"windows": [WINDOW | {"limit": 100}]})
    else:
        for number in range(1, count + 1):
            house.told(number, QuotaFact("5h", limit=100, used=0, resets_in_seconds=500, model="small", source="poll"))
    assert house.reasons() == {f"alpha#{number}": [] for number in range(1, count + 1)}


@pytest.mark.parametrize(("seconds", "waits"), [(90, True), (90.1, False), (5_000, False)])
def test_a_peer_that_rests_for_longer_than_a_new_beginning_allows_is_not_waited_for(
    seconds: float, waits: bool
) -> None:
    house = House(count=2, rules={"exhaustion_cooldown_seconds": 100_000, "windows": [WINDOW]})
    house.spend(1, OK)
    house.spend(1, OK)
    house.clock.advance(18_000)
    house.spend(2, limited(seconds))
    assert house.reasons() == {"alpha#1": ["fair_cycle"] if waits else [], "alpha#2": ["cooldown"]}
    house.clock.advance(seconds)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": []}, "it is back and was not used up"


def test_a_cycle_is_for_a_model_or_a_group() -> None:
    house = House(count=2, rules={"quota_groups": {"pro": ["big", "huge"]}})
    used_up(house, 1, "big")
    for model in ("big", "huge", "small"):
        house.serve(LEFT, model=model)
    assert house.why(1, "big").keys() == house.why(1, "huge").keys() == {"fair_cycle"}
    assert house.why(1, "small") == {}


def test_a_cycle_may_be_for_the_key_as_a_whole() -> None:
    """[BUG] of engine.md 8.7: the status looked up the wrong key in credential mode."""
    house = House(count=2, rules={"fair_cycle": {"tracking": "credential"}})
    used_up(house, 1, "big")
    assert house.why(1, "small").keys() == house.why(1, "big").keys() == {"fair_cycle"}
    used_up(house, 2, "other")
    assert house.why(1, "small") == house.why(2, "small") == {}


def test_tiers_have_cycles_of_their_own_unless_they_share_one() -> None:
    keys = (key(1, 1), key(2, 1), key(3, 2))
    house = House(*keys)
    used_up(house, 1)
    used_up(house, 2)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": []}, "the third is of another tier"
    house = House(*keys, rules={"fair_cycle": {"cross_tier": True}})
    used_up(house, 1)
    used_up(house, 2)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": ["fair_cycle"], "alpha#3": []}
    assert house.serve() == "alpha#3"
    used_up(house, 3)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": []}


def test_a_changed_priority_changes_the_cycle() -> None:
    """[BUG] of engine.md 8.7: the reset per tier ignored overrides of the priority."""
    house = House(key(1, 1), key(2, 2))
    used_up(house, 1)
    house.reload([key(1, 1), key(2, 1)])
    house.serve()
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": []}


def test_a_rejected_peer_does_not_hold_up_a_cycle() -> None:
    house = House(count=3)
    used_up(house, 1)
    used_up(house, 2)
    assert house.serve() == "alpha#3"
    house.spend(3, REJECTED)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": ["rejected"]}
    house.clock.advance(60)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": ["fair_cycle"], "alpha#3": []}, "it is back"


def test_a_peer_whose_tier_may_not_serve_the_model_does_not_hold_up_a_cycle() -> None:
    rules = {"model_tiers": {"big": "paid"}}
    house = House(key(1, 1, "paid"), key(2, 1, "free"), rules=rules)
    used_up(house, 1, "big")
    assert house.why(1, "big") == {} and house.why(2, "big").keys() == {"tier"}


def test_keys_that_rest_stay_out_of_the_new_cycle_until_it_is_over() -> None:
    house = House(count=3)
    house.spend(1, limited(2_000))
    used_up(house, 2)
    used_up(house, 3)
    assert house.reasons() == {"alpha#1": ["cooldown", "fair_cycle"], "alpha#2": [], "alpha#3": []}
    house.serve(LEFT)
    house.clock.advance(1_400)
    assert house.reasons()["alpha#1"] == ["fair_cycle"], "the limit is over, and it was used up already"
    used_up(house, 2)
    used_up(house, 3)
    assert house.reasons() == {"alpha#1": [], "alpha#2": [], "alpha#3": []}


def test_one_key_is_kept_out_by_no_cycle() -> None:
    house = House(count=1)
    for seconds in (300, 5_000, 80):
        house.spend(1, limited(seconds))
        assert house.none().free_in_seconds == pytest.approx(seconds)
        house.clock.advance(seconds)
    assert house.serve() == "alpha#1"


def test_explain_changes_nothing() -> None:
    """[BUG] of engine.md 8.7: elsewhere status pages used keys up."""
    house = House(count=2)
    used_up(house, 1)
    used_up(house, 2)
    (one,) = house.ring.cycles.values()
    before = copy.deepcopy((one.started, one.out, one.counts, one.rounds))
    for _ in range(3):
        assert house.pool.explain(TARGET, ANY).chosen is not None
    assert (one.started, one.out, one.counts, one.rounds) == before
    house.serve()
    assert one.rounds == 1 and one.out == {}
    house.pool.explain(target("new"), ANY)
    assert len(house.ring.cycles) == 1, "nor does it begin one"


def test_a_reload_keeps_the_cycle_unless_its_rules_change() -> None:
    house = House(count=2)
    used_up(house, 1)
    house.reload(house.keys)
    house.reload([*house.keys, key(3)])
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": [], "alpha#3": []}
    house.reload(house.keys[:1])
    assert house.reasons() == {"alpha#1": []}, "the peers that it waited for are gone"
    house.reload([key(1), key(2)], {"fair_cycle": {"duration_seconds": 60}})
    assert house.reasons() == {"alpha#1": [], "alpha#2": []}


# What vendors tell, and what cannot work at all.


def full(name: str, seconds: float, model: str | None) -> QuotaFact:
    applies_to: Any = "credential" if model is None else "model"
    return QuotaFact(name, 100, 100, None, seconds, applies_to=applies_to, model=model, source="poll")


def test_a_quota_of_a_model_that_the_vendor_calls_used_up_uses_the_key_up() -> None:
    house = House(count=2)
    house.serve(needs=Needs(pin="alpha#1"))
    house.told(1, full("week", 1_000, "small"))
    house.clock.advance(1_000)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": []}


def test_a_cycle_does_not_wait_for_a_peer_whose_whole_quota_is_used_up() -> None:
    house = House(count=2)
    used_up(house, 1)
    house.serve(LEFT)
    house.told(2, full("week", 3 * DAY, None))
    assert house.serve() == "alpha#1"


def test_a_cycle_does_not_wait_for_a_peer_that_was_limited_before_it_began() -> None:
    house = House(count=2, rules={"mode": "balanced"})
    house.spend(2, limited(3 * DAY))
    house.reload(house.keys, {"mode": "sequential"})
    house.serve(LEFT)
    used_up(house, 1)
    assert house.serve() == "alpha#1"


def test_a_cycle_does_not_wait_for_a_peer_that_a_cap_shuts_out() -> None:
    house = House(key(1, 1, "paid"), key(2, 1, "free"), rules={"caps": [{"model": "small", "max": 0, "tier": "free"}]})
    house.serve(LEFT)
    used_up(house, 1)
    assert house.serve() == "alpha#1"


def test_a_cycle_whose_time_is_over_locks_nobody_out() -> None:
    """One key, the default mode, a limit over the end of the week: it is not out for another week."""
    house = House(count=1)
    house.serve()
    house.clock.advance(WEEK - 100)
    house.spend(1, limited(1_000))
    house.clock.advance(101)
    assert house.none().free_in_seconds == pytest.approx(899)
    house.clock.advance(899)
    assert house.serve() == "alpha#1"


def test_who_asked_for_an_explanation_changed_nothing() -> None:
    served = []
    for explained in (False, True):
        house = House(count=2)
        house.serve(limited(1_000))
        house.serve(limited(400))
        house.clock.advance(320)
        if explained:
            house.pool.explain(TARGET, ANY)
        house.clock.advance(2_000)
        served.append(house.serve())
    assert served[0] == served[1]


def test_a_poll_uses_a_key_up_whether_or_not_anybody_looked_after_a_reload() -> None:
    served = []
    for looked in (False, True):
        house = House(count=2)
        assert house.serve() == "alpha#1"
        house.reload(house.keys)
        if looked:
            house.pool.explain(TARGET, ANY)
        house.told(1, full("week", 500, "small"))
        house.clock.advance(500)
        served.append(house.serve())
    assert served == ["alpha#2", "alpha#2"]
