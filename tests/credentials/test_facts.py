"""What vendors tell of quotas, and where it is put down (engine.md 8.9, ideas.md D8)."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.credentials.facts import PLACES_KEPT
from rotator.quota import QuotaFact
from tests.credentials.houses import DAY, FAULT, LEFT, OK, House, key, limited, pinned

WINDOWS: list[dict[str, Any]] = [
    {"name": "5h", "seconds": 18_000, "limit": 10},
    {"name": "week", "every": "week", "limit": 50, "applies_to": "credential"},
    {"name": "tier", "seconds": 60, "limit": 5, "tier": 1},
]
GROUPS = {"pro": ["big", "huge"]}


def house(*windows: dict[str, Any], **more: Any) -> House:
    return House(count=2, rules={"fair_cycle": {"enabled": False}, "windows": list(windows), **more})


def full(name: str, **more: Any) -> QuotaFact:
    said = {"limit": 10.0, "used": 10.0, "resets_in_seconds": 100.0, "source": "poll"}
    return QuotaFact(name, **(said | more))


# Where.


def test_a_declared_window_is_corrected() -> None:
    one = house(*WINDOWS)
    one.told(1, full("5h", model="small"))
    assert one.reasons() == {"alpha#1": ["window"], "alpha#2": []} and one.left(1, "window") == pytest.approx(100)
    assert one.why(1, "large") == {}
    one.told(1, full("week", used=50.0, limit=None, applies_to="credential", resets_in_seconds=2 * DAY))
    assert one.why(1, "large")["window"].detail == "week: 50 of 50 requests used"
    assert one.left(1, "window", "large") == pytest.approx(2 * DAY)


def test_a_fact_for_the_key_about_a_window_of_models_keeps_out_every_model() -> None:
    one = house(*WINDOWS)
    one.told(1, full("5h"))
    for model in ("small", "large"):
        assert one.why(1, model).keys() == {"window"}


def test_a_window_of_a_tier_that_the_key_is_not_of_is_one_of_its_own() -> None:
    one = House(key(1, 1), key(2, 2), rules={"fair_cycle": {"enabled": False}, "windows": WINDOWS})
    for number in (1, 2):
        one.told(number, QuotaFact("tier", used=5, resets_in_seconds=30, model="small", source="poll"))
    assert one.why(1)["window"].detail == "tier: 5 of 5 requests used"
    assert one.why(2) == {}, "nobody said how much there is"


@pytest.mark.parametrize(
    ("fact", "out"),
    [
        ({"model": "small"}, {"small"}),
        ({"model": "big"}, {"big", "huge"}),  # they share a quota
        ({"model": "big", "applies_to": "group"}, {"big", "huge"}),
        ({"model": "small", "applies_to": "group"}, {"small"}),
        ({"model": "small", "applies_to": "credential"}, {"small", "big", "huge", "other"}),
        ({}, {"small", "big", "huge", "other"}),
        ({"applies_to": "credential"}, {"small", "big", "huge", "other"}),
    ],
)
def test_a_window_that_only_the_vendor_knows_holds_where_it_says(fact: dict[str, Any], out: set[str]) -> None:
    one = house(quota_groups=GROUPS)
    one.told(1, full("rpm", **fact))
    assert {model for model in ("small", "big", "huge", "other") if one.why(1, model)} == out
    one.clock.advance(100)
    assert all(one.why(1, model) == {} for model in out)


def test_what_an_answer_says_is_about_its_model_and_its_key() -> None:
    one = house(quota_groups=GROUPS)
    lease = one.open(pinned(1), "huge")
    lease.told([full("rpm", source="header"), full("day", used=1.0, source="header")])
    lease.settle(OK)
    assert one.why(1, "big").keys() == {"window"} and one.why(1) == one.why(2, "big") == {}


def test_facts_of_nobody_change_nothing() -> None:
    one = house()
    one.pool.learn_quota("id-nobody", [full("rpm")], 1.0)
    one.told(1)
    assert one.reasons() == {"alpha#1": [], "alpha#2": []}


# What counts.


def test_an_answers_head_counts_its_own_request_already() -> None:
    one = house({"name": "5h", "seconds": 18_000, "limit": 10})
    lease = one.open(pinned(1))
    lease.told([QuotaFact("5h", limit=10, remaining=8)])
    assert one.ring.standings[0].tallies["5h", "small"].used_at(one.clock.ticks) == 2  # type: ignore[index]
    lease.settle(OK)
    tally = one.ring.standings[0].tallies["5h", "small"]  # type: ignore[index]
    assert (tally.used, tally.reserved) == (2, 0)
    one.assert_idle()


def test_requests_between_two_words_of_the_vendor_are_counted_by_us() -> None:
    one = house()
    lease = one.open(pinned(1))
    lease.told([QuotaFact("rpm", limit=4, remaining=3, resets_in_seconds=60)])
    lease.settle(OK)
    for _ in range(3):
        one.spend(1, OK)
    assert one.why(1)["window"].detail == "rpm: 4 of 4 requests used"
    one.clock.advance(60)
    assert one.why(1) == {}


def test_in_percent_only_the_vendor_counts() -> None:
    one = house()
    one.told(1, full("week", limit=100.0, used=99.0, unit="percent", applies_to="credential"))
    for _ in range(20):
        one.spend(1, OK)
    assert one.why(1) == {}
    one.told(1, full("week", limit=100.0, used=100.0, unit="percent", applies_to="credential"))
    assert one.why(1)["window"].detail == "week: 100 of 100 percent used"


def test_percent_of_a_declared_window_are_so_many_of_its_requests() -> None:
    one = house({"name": "week", "seconds": 7 * DAY, "limit": 200, "applies_to": "credential"})
    fact = full("week", limit=100.0, used=25.0, unit="percent", applies_to="credential", resets_in_seconds=50.0)
    one.told(1, fact)
    (tally,) = (one.ring.standings[0].tallies[key] for key in one.ring.standings[0].tallies if key[0] == "week")
    assert (tally.limit, tally.used, tally.end) == (200, 50, one.clock.ticks + 50)


# Who is believed.


def test_what_comes_late_is_ignored() -> None:
    one = house()
    lease = one.open(pinned(1))
    one.clock.advance(10)
    lease.told([full("rpm", model=None, source="header")])
    one.told(1, full("rpm", used=0.0, model="small"), ago=5)
    assert one.left(1, "window") == pytest.approx(100)
    one.told(1, full("rpm", used=0.0, model="small"), ago=0)
    assert one.why(1) == {}
    lease.settle(FAULT)


def test_a_poll_erases_no_429_and_a_429_no_poll() -> None:
    one = house()
    one.spend(1, limited(500))
    one.told(1, full("rpm", used=0.0, model="small"))
    assert one.reasons()["alpha#1"] == ["cooldown"] and one.left(1, "cooldown") == pytest.approx(500)
    one.told(2, full("rpm", model="small"))
    one.spend(2, limited(5), "large")
    assert one.reasons()["alpha#2"] == ["window"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["poll", "late poll", "head", "limit", "vague limit", "ok"]),
            st.floats(0, 200),
            st.floats(1, 400),
            st.integers(0, 12),
        ),
        max_size=20,
    )
)
def test_no_order_of_polls_and_limits_undercuts_what_a_vendor_stated(
    steps: list[tuple[str, float, float, int]],
) -> None:
    one, stated = house(), 0.0
    for what, pause, seconds, used in steps:
        one.clock.advance(pause)
        if what in ("poll", "late poll"):
            fact = full("rpm", used=float(used), resets_in_seconds=seconds, model="small")
            one.told(1, fact, ago=pause if what == "late poll" else 0.0)
        elif not one.why(1):
            lease = one.open(pinned(1))
            if what == "head":
                lease.told([QuotaFact("rpm", 10, float(used), None, seconds)])
            lease.settle({"limit": limited(seconds), "vague limit": limited()}.get(what, LEFT))
            if what == "limit":
                stated = one.clock.ticks + seconds
        if stated > one.clock.ticks:
            until = one.why(1)["cooldown"].until
            assert until is not None and until >= stated


# A quota that is used up, and nobody knows until when.

ENDLESS = QuotaFact("credits", limit=5, used=5, applies_to="credential", source="poll")


def test_by_default_it_is_only_told(caplog: pytest.LogCaptureFixture) -> None:
    one = house()
    with caplog.at_level(logging.WARNING):
        one.told(1, ENDLESS)
        one.told(1, ENDLESS)
    assert one.why(1) == {}
    assert [record.getMessage().count("credits") for record in caplog.records] == [1], "once"


def test_it_may_be_a_rest_of_so_many_seconds() -> None:
    one = house(no_reset={"policy": "cooldown", "cooldown_seconds": 50})
    one.told(1, ENDLESS)
    assert one.left(1, "window") == pytest.approx(50)
    one.clock.advance(50)
    assert one.why(1) == {}
    one.told(1, ENDLESS)
    assert one.left(1, "window") == pytest.approx(50), "said again, it counts again"


def test_it_may_put_the_key_out_until_the_vendor_shows_quota() -> None:
    one = house(no_reset={"policy": "disable_scope"})
    one.told(1, ENDLESS)
    one.clock.advance(40 * DAY)
    assert one.why(1)["window"].until is None and "until the vendor shows" in one.why(1)["window"].detail
    assert one.none(pinned(1)).error.status == 429 and one.none(pinned(1)).free_in_seconds is None
    one.told(1, ENDLESS._replace(used=3))
    assert one.why(1) == {}


# Bounds.


def test_places_of_a_vendors_own_windows_are_bounded() -> None:
    one = house()
    for number in range(400):
        one.told(1, full("rpm", model=f"model-{number}", resets_in_seconds=None))
    assert len(one.ring.standings[0].told) <= 256


def test_windows_that_are_over_are_forgotten_where_there_are_many() -> None:
    one = house()
    for number in range(PLACES_KEPT):
        one.told(1, full("rpm", model=f"model-{number}"))
    one.clock.advance(100)
    one.told(1, full("other", model="large"))
    assert list(one.ring.standings[0].told) == ["large"]
