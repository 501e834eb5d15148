"""Caps: limits of one's own below the vendor's (engine.md 8.8, design.md 6), with times worked out by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.rotation import Cap
from rotator.contracts import Needs
from rotator.credentials.caps import CapRule
from rotator.quota import QuotaFact
from tests.credentials.houses import DAY, FAULT, HOUR, LEFT, House, key, limited, target

FIVE_HOURS = 18_000.0
WINDOW = {"name": "5h", "seconds": FIVE_HOURS, "limit": 100}


def caps(*given_: dict[str, Any], window: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    windows = [] if window is None else [window]
    return {"fair_cycle": {"enabled": False}, "windows": windows, "caps": list(given_), **more}


def rule(text: int | str, cooldown: str = "quota_reset") -> CapRule:
    return CapRule.of(Cap(max=text, model="*", cooldown=cooldown))


def until_capped(house: House, model: str = "small", most: int = 300) -> int:
    """How many requests were served before a cap."""
    for count in range(most):
        if "cap" in house.why(1, model):
            return count
        house.serve(model=model)
    raise AssertionError("never capped")


# What a cap says.


@pytest.mark.parametrize(
    ("text", "limit", "most"),
    [
        (100, None, 100),
        (100, 50.0, 100),
        (0, 50.0, 0),
        ("100", 50.0, 100),
        ("80%", 100.0, 80),
        ("80%", 99.0, 79),  # whole requests, never more than the share
        ("12.5%", 80.0, 10),
        ("0.1%", 100.0, 0),
        ("29%", 100.0, 29),  # 28.999999999999996
        ("150%", 100.0, 150),
        ("100%", 0.0, 0),
        ("-10", 100.0, 90),
        ("-10", 5.0, 0),
        ("+10", 100.0, 110),
        ("-0", 100.0, 100),
        ("80%", None, None),
        ("-10", None, None),
        ("+10", None, None),
    ],
)
def test_how_many_requests_a_cap_allows(text: int | str, limit: float | None, most: float | None) -> None:
    """[BUG] of engine.md 8.8: explicit modes corrupted the sign and the percent, an unknown limit became 1000."""
    for cooldown in ("quota_reset", "offset:300", "fixed:60"):
        assert rule(text, cooldown).most(limit) == most


@given(st.integers(0, 1_000), st.integers(0, 100_000))
def test_a_share_is_never_more_than_it_says(percent: int, limit: int) -> None:
    assert rule(f"{percent}%").most(float(limit)) == limit * percent // 100


@pytest.mark.parametrize(
    ("cooldown", "mode", "seconds"),
    [("quota_reset", "quota_reset", 0), ("offset:300", "offset", 300), ("fixed:0.5", "fixed", 0.5)],
)
def test_how_long_it_rests(cooldown: str, mode: str, seconds: float) -> None:
    found = rule(1, cooldown)
    assert (found.mode, found.seconds) == (mode, seconds)


# Where it counts.


def test_without_a_window_a_cap_counts_over_24_h_from_its_first_use() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 3}))
    house.serve()
    house.clock.advance(HOUR)
    assert house.serve_number(2) == [1, 1]
    assert house.left(1, "cap") == pytest.approx(23 * HOUR) == house.none().free_in_seconds
    assert house.why(1)["cap"].detail == "cap of 3: 3 used"
    house.clock.advance(23 * HOUR - 0.01)
    house.none()
    house.clock.advance(0.01)
    house.clock.advance(5 * HOUR)
    assert until_capped(house) == 3
    assert house.left(1, "cap") == pytest.approx(DAY)


@pytest.mark.parametrize(("most", "served"), [("80%", 8), ("-3", 7), (4, 4), ("25%", 2)])
def test_a_cap_below_a_window_counts_in_its_period(most: int | str, served: int) -> None:
    house = House(count=1, rules=caps({"model": "small", "max": most}, window=WINDOW | {"limit": 10}))
    house.serve()
    house.clock.advance(100)
    assert until_capped(house) == served - 1
    assert house.left(1, "cap") == pytest.approx(FIVE_HOURS - 100)
    house.clock.advance(FIVE_HOURS - 100)
    assert until_capped(house) == served


def test_beyond_the_windows_limit_the_window_comes_first() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": "+5"}, window=WINDOW | {"limit": 3}))
    house.serve_number(3)
    assert house.why(1).keys() == {"window"}


@pytest.mark.parametrize("most", ["80%", "-3", "+3"])
@pytest.mark.parametrize("window", [None, {"name": "5h", "seconds": FIVE_HOURS}], ids=["no window", "no limit"])
def test_a_cap_of_an_unknown_limit_caps_nothing(most: str, window: dict[str, Any] | None) -> None:
    house = House(count=1, rules=caps({"model": "small", "max": most}, window=window))
    house.serve_number(50)
    assert house.reasons() == {"alpha#1": []}


def test_a_limit_that_the_vendor_tells_makes_the_cap_active() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": "50%"}, window={"name": "5h", "seconds": FIVE_HOURS}))
    house.serve_number(3)
    house.told(1, QuotaFact("5h", limit=8, model="small", source="poll"))
    assert until_capped(house) == 1
    assert house.why(1)["cap"].detail == "cap of 4 (50% of 8): 4 used"


# When it ends: the window began at 1000 (the clock's first moment), the cap is reached at 1020.


@pytest.mark.parametrize(
    ("cooldown", "until"), [("quota_reset", 19_000.0), ("offset:300", 19_300.0), ("fixed:3600", 4_620.0)]
)
def test_until_when_a_key_rests(cooldown: str, until: float) -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 3, "cooldown": cooldown}, window=WINDOW))
    house.serve_number(2)
    house.clock.advance(20)
    house.serve()
    assert house.why(1)["cap"].until == until
    house.clock.advance(until - 1_020 - 0.001)
    assert house.why(1)["cap"].until == until
    house.none()
    house.clock.advance(0.002)
    assert house.reasons() == {"alpha#1": []}
    assert until_capped(house) == 3, "the count began anew"


def test_a_fixed_rest_ends_inside_the_window_and_the_window_counts_on() -> None:
    rules = caps({"model": "small", "max": 2, "cooldown": "fixed:60"}, window=WINDOW | {"limit": 5})
    house = House(count=1, rules=rules)
    for _ in range(2):
        assert until_capped(house) == 2
        assert house.left(1, "cap") == pytest.approx(60)
        house.clock.advance(60)
    house.serve()
    assert house.why(1).keys() == {"window"} and house.left(1, "window") == pytest.approx(FIVE_HOURS - 120)


def test_an_offset_is_never_before_the_windows_end() -> None:
    rules = caps({"model": "small", "max": 2, "cooldown": "offset:0"}, window=WINDOW)
    house = House(count=1, rules=rules)
    house.serve_number(2)
    assert house.left(1, "cap") == pytest.approx(FIVE_HOURS)


def test_a_rest_outlives_the_window_by_its_offset_and_only_this_key_and_model_rest() -> None:
    rules = caps({"model": "small", "max": 1, "cooldown": "offset:600"}, window=WINDOW, mode="round_robin")
    house = House(count=2, rules=rules)
    house.spend(1, FAULT)
    house.serve(needs=Needs(pin="alpha#1"))
    assert house.reasons() == {"alpha#1": ["cap"], "alpha#2": []}
    assert house.why(1, "large") == {}
    house.clock.advance(FIVE_HOURS + 599)
    assert house.reasons() == {"alpha#1": ["cap"], "alpha#2": []}
    house.clock.advance(1)
    assert house.reasons() == {"alpha#1": [], "alpha#2": []}


# Whom it concerns.


def test_a_cap_of_a_tier_beats_the_one_for_all() -> None:
    rules = caps(
        {"model": "small", "max": 6},
        {"model": "small", "max": 2, "tier": 2},
        {"model": "small", "max": 3, "tier": ["free", 7]},
        mode="round_robin",
    )
    house = House(key(1, 1), key(2, 2), key(3, 3, "free"), key(4, 7), rules=rules)
    assert house.serve_number(14) == [1] * 6 + [2] * 2 + [3] * 3 + [4] * 3
    house.none()


def test_a_cap_of_a_tier_may_be_more_than_the_one_for_all() -> None:
    house = House(key(1, 1), rules=caps({"model": "*", "max": 2}, {"model": "small", "max": 5, "tier": 1}))
    assert until_capped(house) == 5 and until_capped(house, "large") == 2


def test_a_models_and_a_groups_cap_are_checked_each_on_its_own() -> None:
    rules = caps({"model": "big", "max": 2}, {"group": "pro", "max": 5}, quota_groups={"pro": ["big", "huge"]})
    house = House(count=1, rules=rules)
    assert until_capped(house, "big") == 2
    assert "cap" not in house.why(1, "huge")
    assert until_capped(house, "huge") == 3
    assert house.why(1) == {}
    details = [one.detail for one in house.candidates(target=target("big"))["alpha#1"].reasons]
    assert details == ["cap of 2: 2 used", "cap of 5: 5 used"]


def test_a_groups_cap_is_one_for_all_its_models_whatever_the_windows_count() -> None:
    rules = caps({"group": "pro", "max": 4}, window=WINDOW, quota_groups={"pro": ["big", "huge"]})
    house = House(count=1, rules=rules)
    served = 0
    for model in ("big", "huge") * 4:
        if not house.why(1, model):
            house.serve(model=model)
            served += 1
    assert served == 4


def test_a_groups_cap_counts_all_its_models_where_windows_count_groups() -> None:
    window = WINDOW | {"applies_to": "group"}
    rules = caps({"group": "pro", "max": 4}, window=window, quota_groups={"pro": ["big", "huge"]})
    house = House(count=1, rules=rules)
    for model in ("big", "huge", "big", "huge"):
        house.serve(model=model)
    assert house.why(1, "big").keys() == house.why(1, "huge").keys() == {"cap"}


def test_a_pattern_gives_each_model_its_own_count_and_names_fit_as_in_variables() -> None:
    house = House(count=1, rules=caps({"model": "gpt-*", "max": 2}, {"model": "O3_MINI", "max": 1}))
    assert until_capped(house, "gpt-5") == until_capped(house, "gpt-4.1") == 2
    assert until_capped(house, "o3-mini") == 1
    house.serve_number(9, model="other")


# What counts.


def test_failed_attempts_are_free_and_those_under_way_are_not() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 2, "cooldown": "fixed:60"}))
    leases = [house.open(), house.open()]
    assert "2 used" in house.why(1)["concurrency"].detail, "both may fail: whoever comes waits"
    leases[0].settle(FAULT)
    assert house.reasons() == {"alpha#1": []}
    leases[1].settle(LEFT)
    for _ in range(5):
        house.serve(limited(0.001))
        house.clock.advance(0.01)
    assert house.serve() == "alpha#1"
    assert house.left(1, "cap") == pytest.approx(60)
    house.assert_idle()


def test_a_cap_of_what_is_under_way_rests_from_when_it_was_reached() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 2, "cooldown": "fixed:60"}))
    leases = [house.open(), house.open()]
    leases[0].settle(LEFT)
    house.clock.advance(100)
    leases[1].settle(LEFT)
    assert house.left(1, "cap") == pytest.approx(60)


def test_what_began_before_a_rest_and_ends_after_it_counts_for_nothing() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 2, "cooldown": "fixed:60"}))
    early = house.open()
    house.serve()
    assert house.why(1).keys() == {"concurrency"}
    early.settle(LEFT)
    late_house = House(count=1, rules=caps({"model": "small", "max": 1, "cooldown": "fixed:60"}))
    slow = late_house.open()
    late_house.clock.advance(DAY)
    late_house.serve()
    late_house.clock.advance(60)
    slow.settle(LEFT)
    assert late_house.reasons() == {"alpha#1": []}


def test_weights_count() -> None:
    house = House(count=1, rules=caps({"model": "big", "max": 10}, usage_weights={"big": 2.5}))
    assert until_capped(house, "big") == 4


def test_what_the_vendor_counted_counts_where_it_counts_the_same() -> None:
    """Requests past the proxy count, too, but not for a rest of one's own."""
    for cooldown, capped in (("quota_reset", True), ("fixed:60", False)):
        house = House(count=1, rules=caps({"model": "small", "max": "80%", "cooldown": cooldown}, window=WINDOW))
        house.serve()
        fact = QuotaFact("5h", limit=100, used=80, resets_in_seconds=500, model="small", source="poll")
        house.told(1, fact)
        assert ("cap" in house.why(1)) is capped
        if capped:
            assert house.left(1, "cap") == pytest.approx(500)


# Not yet as they should be.


def test_a_cap_below_a_vendors_period_ends_when_the_vendor_says_so() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 3}, window={"name": "5h", "reset": "vendor"}))
    house.serve_number(3)
    assert house.why(1)["cap"].until is None
    house.told(1, QuotaFact("5h", limit=10, used=0, resets_in_seconds=100, model="small", source="poll"))
    house.clock.advance(100)
    assert house.serve() == "alpha#1"


@pytest.mark.parametrize("seconds", [60.0, 40_000.0])
def test_a_corrected_end_of_the_window_is_the_caps_end(seconds: float) -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 3}, window=WINDOW))
    house.serve_number(3)
    house.told(1, QuotaFact("5h", limit=100, used=3, resets_in_seconds=seconds, model="small", source="poll"))
    assert house.left(1, "cap") == pytest.approx(seconds)


def test_a_cap_that_allows_nothing_has_no_end() -> None:
    rules = caps({"model": "big", "max": 0}, window=WINDOW | {"applies_to": "credential"})
    house = House(count=1, rules=rules)
    house.serve()
    assert house.why(1, "big")["cap"].until is None


def test_a_cap_that_another_one_was_put_before_counts_on_after_a_reload() -> None:
    house = House(count=1, rules=caps({"model": "small", "max": 3}))
    house.serve_number(2)
    house.reload(house.keys, caps({"model": "other", "max": 9}, {"model": "small", "max": 3}))
    assert until_capped(house) == 1
