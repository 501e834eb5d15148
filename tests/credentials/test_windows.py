"""Quota periods: when they begin and end, what counts in them, and what a clock that jumps does to them."""

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.rotation import Window
from rotator.contracts import Needs
from rotator.credentials.windows import DAY as DAY_PERIOD
from rotator.credentials.windows import Period, Tally
from rotator.quota import QuotaFact
from tests.credentials.houses import DAY, FAULT, HOUR, LEFT, OK, UNUSED, House, key, limited, spent

FIVE_HOURS = 18_000.0


def utc(text: str) -> float:
    """``2027-03-28 01:30`` as unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def told(**said: Any) -> QuotaFact:
    return QuotaFact("5h", **said)


# When a period ends.


@pytest.mark.parametrize("wall", [0.0, 1.0, 1_800_000_000.5, 2.0**31, -5.0])
def test_a_rolling_period_is_as_long_as_it_is(wall: float) -> None:
    assert Period.of(Window("5h", seconds=FIVE_HOURS)).seconds_left(wall) == FIVE_HOURS


@pytest.mark.parametrize(
    ("wall", "left"),
    [(0.0, 18_000), (1.0, 17_999), (17_999.5, 0.5), (18_000.0, 18_000), (1_800_000_000.0, 18_000), (-1.0, 1)],
)
def test_a_fixed_period_is_aligned_to_the_epoch(wall: float, left: float) -> None:
    assert Period.of(Window("5h", seconds=FIVE_HOURS, reset="fixed")).seconds_left(wall) == left


def test_only_the_vendor_knows_when_a_vendors_period_ends() -> None:
    assert Period.of(Window("week", reset="vendor")).seconds_left(1_800_000_000.0) is None


BERLIN, NEW_YORK = {"zone": "Europe/Berlin"}, {"zone": "America/New_York"}
DAYS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "2027-01-15 00:00", "2027-01-16 00:00"),
    ({}, "2027-01-15 23:59", "2027-01-16 00:00"),
    ({"at": "07:00"}, "2027-01-15 06:59", "2027-01-15 07:00"),
    ({"at": "7:00"}, "2027-01-15 07:00", "2027-01-16 07:00"),
    (BERLIN | {"at": "07:00"}, "2027-01-15 05:59", "2027-01-15 06:00"),
    (BERLIN | {"at": "07:00"}, "2027-07-15 04:59", "2027-07-15 05:00"),
    # Summer time begins on 28 March 2027 (02:00 becomes 03:00): a day of 23 h. It ends on 31 October: one of 25 h.
    (BERLIN | {"at": "07:00"}, "2027-03-27 06:00", "2027-03-28 05:00"),
    (BERLIN | {"at": "07:00"}, "2027-10-30 05:00", "2027-10-31 06:00"),
    (BERLIN | {"at": "02:30"}, "2027-03-28 00:59", "2027-03-28 01:30"),  # 02:30 does not exist: 03:30 instead
    (BERLIN | {"at": "02:30"}, "2027-03-28 01:30", "2027-03-29 00:30"),
    (BERLIN | {"at": "02:30"}, "2027-10-31 00:29", "2027-10-31 00:30"),  # 02:30 comes twice: the first one counts
    (BERLIN | {"at": "02:30"}, "2027-10-31 00:30", "2027-11-01 01:30"),
    (NEW_YORK, "2027-03-14 05:00", "2027-03-15 04:00"),  # 14 March, 23 h
    (NEW_YORK, "2027-11-07 04:00", "2027-11-08 05:00"),  # 7 November, 25 h
    (NEW_YORK | {"at": "23:30"}, "2027-01-01 04:29", "2027-01-01 04:30"),  # still 31 December there
]


@pytest.mark.parametrize(("given_", "wall", "end"), DAYS)
def test_a_day_ends_at_its_time_of_its_zone(given_: dict[str, Any], wall: str, end: str) -> None:
    period = Period.of(Window("day", every="day", **given_))
    assert period.seconds_left(utc(wall)) == utc(end) - utc(wall)


WEEKS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "2027-01-13 12:00", "2027-01-18 00:00"),  # 18 January 2027 is a Monday
    ({}, "2027-01-18 00:00", "2027-01-25 00:00"),
    ({"day": 3, "at": "09:00"}, "2027-01-13 08:59", "2027-01-13 09:00"),  # the time of day is not ignored
    ({"day": 3, "at": "09:00"}, "2027-01-13 09:00", "2027-01-20 09:00"),
    ({"day": 7}, "2027-12-31 10:00", "2028-01-02 00:00"),
    (BERLIN | {"day": 1, "at": "07:00"}, "2027-03-22 06:00", "2027-03-29 05:00"),  # a week of 167 h
    (NEW_YORK | {"day": 7, "at": "20:00"}, "2027-11-01 00:00", "2027-11-08 01:00"),
]


@pytest.mark.parametrize(("given_", "wall", "end"), WEEKS)
def test_a_week_ends_on_its_day(given_: dict[str, Any], wall: str, end: str) -> None:
    period = Period.of(Window("week", every="week", **given_))
    assert period.seconds_left(utc(wall)) == utc(end) - utc(wall)


MONTHS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "2027-01-01 00:00", "2027-02-01 00:00"),
    ({}, "2027-12-31 23:59", "2028-01-01 00:00"),
    ({"at": "03:00"}, "2027-03-01 02:59", "2027-03-01 03:00"),  # [BUG] of engine.md 8.9: off by one before it
    ({"at": "03:00"}, "2027-03-01 03:00", "2027-04-01 03:00"),
    ({"day": 15}, "2027-12-20 00:00", "2028-01-15 00:00"),
    ({"day": 31}, "2027-01-31 00:00", "2027-02-28 00:00"),
    ({"day": 31}, "2028-01-31 00:00", "2028-02-29 00:00"),  # 29 days
    ({"day": 31}, "2027-02-28 00:00", "2027-03-31 00:00"),
    ({"day": 31}, "2027-03-31 00:00", "2027-04-30 00:00"),  # 30 days
    ({"day": 30}, "2027-02-27 23:00", "2027-02-28 00:00"),
    ({"day": 29}, "2028-02-28 12:00", "2028-02-29 00:00"),
    (NEW_YORK, "2027-03-01 04:59", "2027-03-01 05:00"),  # still February there
    (BERLIN | {"day": 28, "at": "02:30"}, "2027-03-01 00:00", "2027-03-28 01:30"),
    ({}, "1970-01-01 00:00", "1970-02-01 00:00"),
    ({}, "2038-01-19 03:14", "2038-02-01 00:00"),
]


@pytest.mark.parametrize(("given_", "wall", "end"), MONTHS)
def test_a_month_ends_on_its_day_or_its_last(given_: dict[str, Any], wall: str, end: str) -> None:
    period = Period.of(Window("month", every="month", **given_))
    assert period.seconds_left(utc(wall)) == utc(end) - utc(wall)


LONGEST = {"day": 25 * HOUR, "week": 7 * DAY + HOUR, "month": 31 * DAY + HOUR}


@given(
    st.sampled_from(["day", "week", "month"]),
    st.times(),
    st.integers(1, 31),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.floats(0, 2.0**32),
    st.floats(0, 0.999),
)
def test_a_calendar_period_has_one_end_and_ends_on_time(
    every: Any, at: time, day: int, zone: str, wall: float, part: float
) -> None:
    hour, minute = at.hour, at.minute
    day = min(day, 7) if every == "week" else day
    period = Period.of(Window("x", every=every, at=f"{hour}:{minute:02}", day=day, zone=zone))
    left = period.seconds_left(wall)
    assert left is not None and 0 < left <= LONGEST[every]
    later = period.seconds_left(wall + left * part)
    assert later == pytest.approx(left * (1 - part), abs=1e-3), "no other end lies between"
    end = datetime.fromtimestamp(round(wall + left), ZoneInfo(zone))
    if (end.hour, end.minute) != (hour, minute):  # a time that the clocks skipped
        before = datetime.fromtimestamp(round(wall + left) - 2 * HOUR, ZoneInfo(zone))
        assert end.utcoffset() != before.utcoffset()
    if every == "week":
        assert end.isoweekday() == day
    if every == "month":
        following = datetime.fromtimestamp(round(wall + left) + DAY + HOUR, ZoneInfo(zone))
        assert end.day == day or (end.day < day and following.day <= 2)


# A tally: what counts in one period.


def test_a_rolling_window_begins_with_the_first_use_and_again_with_the_next_after_its_end() -> None:
    tally = Tally("5h", Period(100.0), 3)
    assert not tally.live(0.0) and not tally.full(0.0) and tally.end is None
    first = tally.reserve(1, 10.0, 0.0)
    tally.settle(first, 1, 1)
    assert (tally.opened, tally.end) == (10.0, 110.0)
    tally.settle(tally.reserve(1, 109.9, 0.0), 1, 1)
    assert tally.used_at(109.9) == 2 and tally.used_at(110.0) == 0
    assert tally.end == 110.0, "it does not slide with use"
    second = tally.reserve(1, 150.0, 0.0)
    assert second == 150.0 and (tally.opened, tally.end, tally.used) == (150.0, 250.0, 0.0)


def test_what_is_under_way_counts_against_the_limit_until_it_ends() -> None:
    tally = Tally("5h", Period(100.0), 2)
    one, two = tally.reserve(1, 0.0, 0.0), tally.reserve(1, 0.0, 0.0)
    assert tally.crowded(0.0) and not tally.full(0.0) and (tally.used, tally.reserved) == (0, 2)
    assert tally.shown(0.0) == "5h: 0 of 2 requests used, 2 under way"
    tally.settle(one, 1, 0)
    assert not tally.full(0.0) and tally.used_at(0.0) == 1
    tally.settle(two, 1, 1)
    assert (tally.used, tally.reserved) == (1, 0)
    assert tally.shown(0.0) == "5h: 1 of 2 requests used"
    assert tally.shown(100.0) == "5h: 0 of 2 requests used"


def test_a_window_closes_again_when_its_first_use_fails() -> None:
    tally = Tally("5h", Period(100.0), 2)
    tally.settle(tally.reserve(1, 10.0, 0.0), 1, 0)
    assert not tally.live(10.0) and tally.opened is None and tally.end is None
    tally.settle(tally.reserve(1, 60.0, 0.0), 1, 1)
    assert tally.end == 160.0


def test_a_window_stays_open_while_another_first_use_is_under_way() -> None:
    tally = Tally("5h", Period(100.0), 2)
    one, two = tally.reserve(1, 10.0, 0.0), tally.reserve(1, 20.0, 0.0)
    tally.settle(one, 1, 0)
    assert tally.live(20.0) and tally.opened == 10.0
    tally.settle(two, 1, 1)
    assert (tally.used, tally.end) == (1, 110.0)


def test_a_request_of_an_ended_period_leaves_the_next_one_alone() -> None:
    tally = Tally("5h", Period(100.0), 5)
    old = tally.reserve(1, 10.0, 0.0)
    new = tally.reserve(1, 120.0, 0.0)
    assert (tally.used, tally.reserved) == (0, 1), "what was reserved is forgotten with its period"
    tally.settle(old, 1, 1)
    assert (tally.used, tally.reserved) == (0, 1)
    tally.settle(new, 1, 1)
    assert (tally.used, tally.reserved) == (1, 0)


def test_a_request_that_ends_between_two_periods_is_in_none() -> None:
    tally = Tally("5h", Period(100.0), 5)
    tally.settle(tally.reserve(1, 10.0, 0.0), 1, 1)
    late = tally.reserve(1, 105.0, 0.0)
    tally.settle(late, 1, 1)
    assert tally.used_at(111.0) == 0 and tally.used_at(109.0) == 2


STEPS = st.lists(
    st.tuples(st.floats(0, 60), st.sampled_from(["ok", "fail", "wait"]), st.integers(0, 3)), min_size=1, max_size=30
)


@given(STEPS)
def test_a_rolling_window_counts_as_a_list_of_uses_would(steps: list[tuple[float, str, int]]) -> None:
    """The independent model: uses with their time; a period is the first use that counted and what began within it."""
    tally, now = Tally("5h", Period(100.0), None), 0.0
    period: float | None = None
    used, under_way = 0, []
    for pause, what, turn in steps:
        now += pause
        if what == "wait" or not under_way:
            opened = tally.reserve(1, now, 0.0)
            if period is None or now >= period + 100:
                period, used = now, 0
            under_way.append((opened, period))
        else:
            opened, belongs = under_way.pop(turn % len(under_way))
            tally.settle(opened, 1, what == "ok")
            if belongs == period:
                used += what == "ok"
                if not used and not any(of == period for _, of in under_way):
                    period = None
        live = period is not None and now < period + 100
        reserved = sum(of == period for _, of in under_way) if live else 0
        assert tally.used_at(now) == (used + reserved if live else 0)
        assert tally.end == (None if period is None else period + 100)


def test_tokens_of_a_request_without_an_estimate_count_although_another_failed() -> None:
    tally = Tally("tpm", DAY_PERIOD, 100, "tokens")
    one, two = tally.reserve(0, 1.0, 1.0), tally.reserve(0, 2.0, 2.0)
    tally.settle(one, 0, 0)
    tally.settle(two, 0, 500)
    assert tally.used_at(3.0) == 500 and tally.full(3.0)


def test_a_window_that_the_vendor_once_spoke_of_closes_again_too() -> None:
    tally = Tally("5h", Period(100.0), 10)
    tally.tell(told(used=1, resets_in_seconds=10), 0.0)
    tally.settle(tally.reserve(1, 20.0, 20.0), 1, 0)
    assert not tally.live(20.0), "its first use is still to come"


# What a vendor says of it.


def test_the_vendor_corrects_a_count_up_and_down_and_its_end() -> None:
    """[BUG] of engine.md 8.9: high counts of one's own were never corrected downwards."""
    tally = Tally("5h", Period(100.0), 10)
    tally.settle(tally.reserve(4, 0.0, 0.0), 4, 4)
    assert tally.tell(told(used=9), 1.0) and (tally.used, tally.end) == (9, 100.0)
    assert tally.tell(told(remaining=7), 2.0) and (tally.used, tally.limit) == (3, 10)
    assert tally.tell(told(limit=20, remaining=5, resets_in_seconds=500), 3.0)
    assert (tally.used, tally.limit, tally.end) == (15, 20, 503.0)
    assert tally.tell(told(used=25), 4.0) and tally.full(4.0), "more than the limit is still full"
    assert tally.tell(told(remaining=50), 5.0) and tally.used == 0, "never negative"


def test_what_a_vendor_said_late_is_ignored() -> None:
    tally = Tally("5h", Period(100.0), 10)
    assert tally.tell(told(used=8), 50.0)
    assert not tally.tell(told(used=1, limit=99, resets_in_seconds=1), 49.9)
    assert (tally.used, tally.limit, tally.end, tally.told_at) == (8, 10, 150.0, 50.0)
    assert tally.tell(told(used=9), 50.0), "of the same moment: not late"


def test_what_a_vendor_said_before_the_period_began_is_not_of_this_period() -> None:
    tally = Tally("5h", Period(100.0), 10)
    tally.settle(tally.reserve(1, 0.0, 0.0), 1, 1)
    tally.settle(tally.reserve(6, 120.0, 0.0), 6, 6)
    tally.tell(told(used=1, resets_in_seconds=5), 95.0)
    assert tally.used_at(121.0) == 6 and tally.end == 220.0


def test_a_vendors_word_opens_a_period_and_keeps_it_open() -> None:
    tally = Tally("5h", Period(100.0), 10)
    tally.tell(told(used=0), 5.0)
    assert (tally.opened, tally.end) == (5.0, 105.0)
    tally.settle(tally.reserve(1, 6.0, 0.0), 1, 0)
    assert tally.live(7.0), "the vendor said that it runs"


def test_what_remains_of_an_unknown_limit_is_the_limit() -> None:
    tally = Tally("5h", Period(), None)
    tally.tell(told(remaining=4), 5.0)
    assert (tally.limit, tally.used, tally.end) == (4, 0, None)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"every": "day"}, 16 * HOUR),  # the clock stands at 1_800_000_000: 2027-01-15 08:00 UTC
        ({"every": "day", "at": "09:00"}, HOUR),
        ({"seconds": 7 * HOUR, "reset": "fixed"}, 7 * HOUR - 1_800_000_000 % (7 * HOUR)),
    ],
)
def test_a_fact_without_an_end_leaves_the_end_that_the_configuration_states(
    window: dict[str, Any], expected: float
) -> None:
    house = House(count=1, rules={"windows": [{"name": "5h", "limit": 2, **window}]})
    house.told(1, told(limit=2, used=2, model="small", source="poll"))
    assert house.left(1, "window") == pytest.approx(expected)


# Windows of a pool.


def windows(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"fair_cycle": {"enabled": False}, "windows": list(given), **more}


ROLLING = {"name": "5h", "seconds": FIVE_HOURS, "limit": 3}


def test_a_full_window_keeps_a_key_out_until_its_end() -> None:
    house = House(count=1, rules=windows(ROLLING))
    house.serve()
    house.clock.advance(1_000)
    assert house.serve_number(2) == [1, 1]
    reason = house.why(1)["window"]
    assert reason.detail == "5h: 3 of 3 requests used" and house.left(1, "window") == pytest.approx(17_000)
    assert house.none().free_in_seconds == pytest.approx(17_000)
    house.clock.advance(16_999.9)
    house.none()
    house.clock.advance(0.1)
    assert house.serve_number(3) == [1, 1, 1]
    house.none()


@pytest.mark.parametrize("end", [FAULT, UNUSED, limited(0.5)], ids=lambda end: end.ended)
def test_failed_attempts_are_free(end: Any) -> None:
    house = House(count=1, rules=windows(ROLLING))
    for _ in range(6):
        house.serve(end)
        house.clock.advance(1)
    assert house.serve_number(2) == [1, 1] and house.serve(LEFT) == "alpha#1", "one that the client left is not"
    house.none()


def test_a_window_is_for_each_model_each_group_or_the_whole_key() -> None:
    groups = {"quota_groups": {"pro": ["big", "huge"]}}
    for applies_to, served in (("model", 9), ("group", 6), ("credential", 3)):
        house = House(count=1, rules=windows(ROLLING | {"applies_to": applies_to}, **groups))
        count = 0
        for model in ("big", "huge", "small") * 3:
            if "window" not in house.why(1, model):
                house.serve(model=model)
                count += 1
        assert count == served, applies_to


def test_a_window_of_a_tier_is_for_its_keys_only() -> None:
    rules = windows(ROLLING | {"tier": "free"}, ROLLING | {"name": "1d", "limit": 5, "tier": 1}, mode="round_robin")
    house = House(key(1, 1), key(2, 1, "free"), key(3, 2, "free"), rules=rules)
    assert sorted(house.serve_number(8)) == [1] * 5 + [2] * 3
    assert house.serve_number(3) == [3] * 3
    assert house.reasons() == {"alpha#1": ["window"], "alpha#2": ["window"], "alpha#3": ["window"]}


def test_the_window_that_ends_last_decides_and_each_is_told() -> None:
    house = House(count=1, rules=windows(ROLLING, {"name": "1d", "every": "day", "limit": 2}))
    house.serve_number(2)
    assert house.why(1).keys() == {"window"} and house.none().free_in_seconds == pytest.approx(16 * HOUR)
    house.clock.advance(16 * HOUR)
    house.serve()


def test_tokens_are_reserved_as_estimated_and_counted_as_they_were() -> None:
    house = House(count=1, rules=windows({"name": "tpm", "seconds": 60, "limit": 1_000, "unit": "tokens"}))
    lease = house.open(Needs(tokens=1_000))
    assert house.why(1)["concurrency"].detail == "tpm: 0 of 1000 tokens used, 1000 under way"
    lease.settle(spent(400))
    house.serve(spent(500, "failed"), Needs(tokens=10))
    house.serve(spent(599, "cancelled"), Needs(tokens=10))
    assert house.serve(spent(1), Needs(tokens=10)) == "alpha#1"
    assert house.left(1, "window") == pytest.approx(60)
    house.assert_idle()


def test_a_window_without_a_limit_only_counts() -> None:
    house = House(count=1, rules=windows({"name": "5h", "seconds": FIVE_HOURS}))
    assert len(house.serve_number(500)) == 500 and house.reasons() == {"alpha#1": []}


def test_a_window_may_be_called_24h() -> None:
    house = House(count=1, rules=windows({"name": "24h", "seconds": DAY, "limit": 10}))
    assert len(house.serve_number(10)) == 10
    house.none()


def test_a_limit_that_a_reload_changes_counts_unless_the_vendor_told_another() -> None:
    house = House(count=1, rules=windows(ROLLING))
    house.told(1, told(used=2, model="small", source="poll"))
    house.reload(house.keys, windows(ROLLING | {"limit": 5}))
    assert len(house.serve_number(3)) == 3


def test_a_models_weight_is_what_its_requests_cost() -> None:
    limit = ROLLING | {"limit": 10, "applies_to": "credential"}
    house = House(count=1, rules=windows(limit, usage_weights={"big": 4, "tiny": 0}))
    house.serve_number(2, model="big")
    house.serve_number(30, model="tiny")
    assert len(house.serve_number(2)) == 2
    assert house.reasons() == {"alpha#1": ["window"]}


# A clock that is set (faults.md 1, row "clock").

JUMPS = {"+2 h": 7_200.0, "-2 h": -7_200.0, "1970": -1_800_000_000.0, "2038": 2.0**31 - 1_800_000_000.0}
KINDS: dict[str, dict[str, Any]] = {
    "rolling": {"seconds": FIVE_HOURS},
    "fixed": {"seconds": FIVE_HOURS, "reset": "fixed"},
    "day": {"every": "day", "at": "07:00", "zone": "Europe/Berlin"},
    "week": {"every": "week", "day": 3},
    "month": {"every": "month", "day": 31, "zone": "America/New_York"},
}
LENGTHS = {"rolling": FIVE_HOURS, "fixed": FIVE_HOURS, "day": 25 * HOUR, "week": 7 * DAY, "month": 31 * DAY + HOUR}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_is_set_ends_nothing_at_once_and_holds_nothing_longer_than_a_period(
    kind: str, jump: float
) -> None:
    house = House(count=3, rules=windows({"name": "w", "limit": 2, **KINDS[kind]}, mode="round_robin"))
    house.serve_number(6)
    before = [house.left(number, "window") for number in (1, 2, 3)]
    house.clock.wall += jump
    assert [house.left(number, "window") for number in (1, 2, 3)] == before, "nothing ends, nothing is lengthened"
    assert house.none().free_in_seconds == before[0] is not None and before[0] <= LENGTHS[kind]
    house.clock.advance(before[0] - 0.001)
    house.none()
    house.clock.advance(0.002)
    assert sorted(house.serve_number(6)) == [1, 1, 2, 2, 3, 3]
    for number in (1, 2, 3):
        left = house.left(number, "window")
        assert left is not None and 0 < left < LENGTHS[kind] + 1e-6, "the next period looks at the clock as it is now"
    house.clock.advance(LENGTHS[kind])
    assert house.serve(OK) in {"alpha#1", "alpha#2", "alpha#3"}
