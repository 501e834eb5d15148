"""Three kinds of claims bench a key: each sentence of design.md 2.4 as a test."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Credential, Outcome, Verdict
from rotator.credentials.claims import LIMITS_KEPT, Standing
from rotator.neutral.secret import Secret

NOW = 1_000.0
DAY = 86_400.0
OK = Outcome("ok")
NONSENSE = [None, 0.0, -0.0, -1.0, -math.inf, math.nan]


def standing() -> Standing:
    return Standing(Credential("id-1", "alpha", "alpha#1", Secret("key-one")))


def limited(seconds: float | None = None) -> Outcome:
    return Outcome("failed", Verdict("credential", "model", "rate_limit", seconds))


def rejected(reason: str = "rejected") -> Outcome:
    return Outcome("failed", Verdict("credential", "credential", reason))


def guess(source: str = "status") -> Outcome:
    return Outcome("failed", Verdict("provider", "provider", "server_error", source=source))


# What the vendor stated excludes until then, per key and model.


def test_a_fresh_key_is_free() -> None:
    one = standing()
    assert one.limited_until("small", NOW) is None
    assert one.rejected_until(NOW) is None
    assert not one.doubted(NOW)


def test_a_stated_time_excludes_the_key_until_then_for_this_model() -> None:
    one = standing()
    one.learn("small", limited(7.5), NOW)
    assert one.limited_until("small", NOW) == NOW + 7.5
    assert one.limited_until("small", NOW + 7.499) == NOW + 7.5
    assert one.limited_until("small", NOW + 7.5) is None
    assert one.limited_until("large", NOW) is None
    assert one.rejected_until(NOW) is None and not one.doubted(NOW)


@pytest.mark.parametrize("seconds", [31 * DAY, 31 * DAY + 1, 400 * DAY, 1e300, math.inf])
def test_no_claim_is_longer_than_31_days(seconds: float) -> None:
    one = standing()
    one.learn("small", limited(seconds), NOW)
    assert one.limited_until("small", NOW) == NOW + 31 * DAY


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_without_a_time_or_with_nonsense_5_s_double_to_60(nonsense: float | None) -> None:
    one, now, waits = standing(), NOW, []
    for _ in range(14):
        one.learn("small", limited(nonsense), now)
        until = one.limited_until("small", now)
        assert until is not None
        waits.append(until - now)
        now = until
    assert waits == [5, 10, 20, 40] + [60] * 10


def test_the_doubling_is_kept_per_model() -> None:
    one = standing()
    one.learn("small", limited(), NOW)
    one.learn("small", limited(), NOW + 5)
    one.learn("large", limited(), NOW + 5)
    assert one.limited_until("small", NOW + 5) == NOW + 15
    assert one.limited_until("large", NOW + 5) == NOW + 10


@pytest.mark.parametrize("between", [OK, limited(1.0)], ids=["an answer", "a stated time"])
def test_the_doubling_counts_limits_in_a_row(between: Outcome) -> None:
    one = standing()
    for _ in range(3):
        one.learn("small", limited(), NOW)
    one.learn("small", between, NOW + 100)
    one.learn("small", limited(), NOW + 200)
    assert one.limited_until("small", NOW + 200) == NOW + 205


@pytest.mark.parametrize("later", [limited(1.0), limited(), *map(limited, NONSENSE)], ids=repr)
def test_a_longer_claim_is_never_shortened(later: Outcome) -> None:
    one = standing()
    one.learn("small", limited(3_600.0), NOW)
    one.learn("small", later, NOW + 1)
    assert one.limited_until("small", NOW + 1) == NOW + 3_600


def test_a_shorter_claim_is_lengthened() -> None:
    one = standing()
    one.learn("small", limited(), NOW)
    one.learn("small", limited(30.0), NOW + 1)
    assert one.limited_until("small", NOW + 1) == NOW + 31


def test_an_answer_to_an_older_request_does_not_end_a_stated_limit() -> None:
    """A stream that began before the 429 ends well after it: the vendor's word on the next request still holds."""
    one = standing()
    one.learn("small", limited(3_600.0), NOW)
    one.learn("small", OK, NOW + 1)
    assert one.limited_until("small", NOW + 1) == NOW + 3_600


STATED = st.one_of(st.sampled_from(NONSENSE), st.floats(0.001, math.inf), st.floats(max_value=0.0))


@given(st.lists(st.tuples(st.floats(0, 1e6), STATED), max_size=20))
def test_limits_only_grow_and_never_beyond_31_days(steps: list[tuple[float, float | None]]) -> None:
    one, now, before = standing(), NOW, 0.0
    for pause, stated in steps:
        now += pause
        one.learn("small", limited(stated), now)
        until = one.limited_until("small", now)
        assert until is not None and before <= until <= now + 31 * DAY
        before = until


# A rejection excludes the key for all models, 60 s doubling to 1 h.


@pytest.mark.parametrize("reason", ["rejected", "balance"])
def test_a_rejection_excludes_the_key_for_all_models_60_s_doubling_to_1_h(reason: str) -> None:
    one, now, waits = standing(), NOW, []
    for turn in range(20):
        one.learn(f"model-{turn}", rejected(reason), now)
        until = one.rejected_until(now)
        assert until is not None and one.rejection is not None and one.rejection.reason == reason
        assert one.rejected_until(until - 0.001) == until and one.rejected_until(until) is None
        waits.append(until - now)
        now = until
    assert waits == [60, 120, 240, 480, 960, 1_920] + [3_600] * 14
    assert one.limited_until("model-0", NOW) is None and not one.doubted(now)


ENDS = {
    "an answer": OK,
    "a limit": limited(1.0),
    "a limit without a time": limited(),
    "the request's fault": Outcome("failed", Verdict("client", "request", "bad_request")),
    "an unknown model": Outcome("failed", Verdict("model", "request", "not_found")),
    "a server error": guess(),
    "a server error told in the body": guess("body"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_rejection_ends_with_any_answer_that_is_none(end: Outcome) -> None:
    one = standing()
    one.learn("small", rejected(), NOW)
    one.learn("small", rejected(), NOW + 10)
    one.learn("large", end, NOW + 20)
    assert one.rejected_until(NOW + 20) is None
    one.learn("small", rejected(), NOW + 30)
    assert one.rejected_until(NOW + 30) == NOW + 90, "the doubling begins again"


NO_ANSWER = {
    "a broken connection": Outcome("failed", Verdict("network", "provider", "bad_gateway", source="transport")),
    "a timeout": Outcome("failed", Verdict("network", "provider", "timeout", source="transport")),
    "a body that broke off": guess("transport"),
    "a client that left": Outcome("cancelled"),
}


@pytest.mark.parametrize("end", NO_ANSWER.values(), ids=NO_ANSWER)
def test_what_is_no_answer_does_not_end_a_rejection(end: Outcome) -> None:
    one = standing()
    one.learn("small", rejected(), NOW)
    one.learn("small", end, NOW + 20)
    assert one.rejected_until(NOW + 20) == NOW + 60


# A guess only puts the key behind the others.


@pytest.mark.parametrize("blame", ["provider", "network"])
@pytest.mark.parametrize("source", ["status", "transport"])
def test_a_guess_excludes_nothing_and_is_forgotten(blame: str, source: str) -> None:
    one = standing()
    one.learn("small", Outcome("failed", Verdict(blame, "provider", "server_error", 3_600.0, source)), NOW)  # type: ignore[arg-type]
    assert one.limited_until("small", NOW) is None and one.rejected_until(NOW) is None
    assert one.doubted(NOW) and one.doubted(NOW + 59.9)
    assert not one.doubted(NOW + 60)


def test_an_answer_ends_a_guess() -> None:
    one = standing()
    one.learn("small", guess(), NOW)
    one.learn("large", OK, NOW + 1)
    assert not one.doubted(NOW + 1)


@pytest.mark.parametrize("end", [OK, Outcome("cancelled"), *map(ENDS.get, ("the request's fault", "an unknown model"))])
def test_what_is_nobodys_fault_leaves_no_claim(end: Outcome) -> None:
    one = standing()
    one.learn("small", end, NOW)
    assert one.limits == {} and one.rejection is None and not one.doubted(NOW)


# What has passed is forgotten: model names come from clients.


def test_an_answer_forgets_a_limit_that_has_ended() -> None:
    one = standing()
    one.learn("small", limited(7.5), NOW)
    one.learn("small", OK, NOW + 7.5)
    assert one.limits == {}


def test_only_limits_that_last_are_kept_beyond_256() -> None:
    one = standing()
    for number in range(600):
        one.learn(f"model-{number}", limited(1.0), NOW + number)
        assert len(one.limits) <= LIMITS_KEPT
    for number in range(300):
        one.learn(f"lasting-{number}", limited(3_600.0), NOW + 600)
    assert all(one.limited_until(f"lasting-{number}", NOW + 600) for number in range(300))
