"""No key left: the truth about why, and when one comes back (design.md 2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Credential, Target
from rotator.credentials.decision import Candidate, Decision, Reason, ReasonCode
from rotator.credentials.refusals import none_left
from rotator.neutral.error import ErrorKind, NeutralError

NOW = 5_000.0
TARGET = Target("alpha", "chat", "small")


def key(number: int, **reasons: float | None) -> Candidate:
    """A key and its reasons: ``cooldown=30`` ends in 30 s, ``pin=None`` has no end."""
    told = [_reason(code, seconds) for code, seconds in reasons.items()]
    return Candidate(Credential(f"id-{number}", "alpha", f"alpha#{number}", None), tuple(told))


def _reason(code: str, seconds: float | None) -> Reason:
    until = None if seconds is None else NOW + seconds
    return Reason(code, until, f"detail of {code}")  # type: ignore[arg-type]


def told(keys: list[Candidate]) -> tuple[NeutralError, float | None]:
    return none_left(Decision(TARGET, keys, None, "", False, NOW, 1_800_000_000.0))


def test_a_key_without_reasons_is_eligible() -> None:
    assert key(1).eligible and not key(1, cooldown=1).eligible


def test_no_key_at_all() -> None:
    error, wait = told([])
    assert (error.status, error.kind, error.retry_after_seconds, wait) == (503, ErrorKind.OVERLOADED, None, None)
    assert "alpha/small" in error.message


def test_limited_keys_give_429_with_the_earliest_end() -> None:
    error, wait = told([key(1, cooldown=40), key(2, cooldown=12.5), key(3, cooldown=50)])
    assert (error.status, error.kind) == (429, ErrorKind.RATE_LIMITED)
    assert error.retry_after_seconds == wait == 12.5
    assert error.should_retry is None


@pytest.mark.parametrize(("seconds", "should_retry"), [(59.9, None), (60, None), (60.1, False), (3_600, False)])
def test_beyond_60_s_a_client_is_told_not_to_wait(seconds: float, should_retry: bool | None) -> None:
    assert told([key(1, cooldown=seconds)])[0].should_retry is should_retry


def test_rejected_keys_are_ignored_while_another_is_only_limited() -> None:
    error, wait = told([key(1, rejected=5), key(2, cooldown=30), key(3, rejected=1, cooldown=2)])
    assert (error.status, error.retry_after_seconds, wait) == (429, 30, 30)


def test_all_rejected_is_503_without_a_time() -> None:
    error, wait = told([key(1, rejected=60), key(2, rejected=3_600, cooldown=5)])
    assert (error.status, error.code) == (503, "all_credentials_rejected")
    assert error.retry_after_seconds is None and wait is None
    assert error.should_retry is False
    assert error.kind is ErrorKind.SERVER, "what is called overloaded is asked for again"


def test_a_pinned_key_speaks_for_itself() -> None:
    limited = [key(1, pin=None, cooldown=5), key(2, cooldown=40), key(3, pin=None)]
    assert told(limited)[1] == 40
    rejected, wait = told([key(1, pin=None, cooldown=5), key(2, rejected=40)])
    assert (rejected.code, rejected.should_retry, wait) == ("all_credentials_rejected", False, None)


def test_a_pin_that_no_key_bears_is_not_called_a_rejection() -> None:
    error, wait = told([key(1, pin=None), key(2, pin=None)])
    assert error.status == 503 and wait is None
    assert error.code != "all_credentials_rejected" and "rejected" not in error.message


def test_keys_that_this_request_used_up_are_neither_limited_nor_rejected() -> None:
    error, wait = told([key(1, tried=None), key(2, tried=None, rejected=60)])
    assert (error.status, error.code, error.retry_after_seconds, wait) == (503, "no_credential", None, None)


def test_the_message_lists_each_key_with_reason_and_time() -> None:
    keys = [key(1, cooldown=12.2), key(2, rejected=60, tried=None), key(3, pin=None)]
    message = told(keys)[0].message
    assert "alpha#1: cooldown for 13 s" in message
    assert "alpha#2: rejected for 60 s" in message
    assert "alpha#3: pin" in message
    assert "alpha/small" in message


def test_an_end_that_is_over_is_no_negative_wait() -> None:
    error, wait = told([key(1, cooldown=-3)])
    assert wait == error.retry_after_seconds == 0 and "for 0 s" in error.message


@pytest.mark.parametrize("code", ["cooldown", "window", "cap", "fair_cycle"])
def test_rejected_keys_are_ignored_while_another_is_out_for_a_time(code: str) -> None:
    error, wait = told([key(1, rejected=5), key(2, **{code: 45}), key(3, tier=None)])
    assert (error.status, error.kind, error.retry_after_seconds, wait) == (429, ErrorKind.RATE_LIMITED, 45, 45)
    assert f"alpha#2: {code} for 45 s" in error.message


def test_a_key_comes_back_when_all_that_keeps_it_out_has_ended() -> None:
    assert told([key(1, cooldown=3, window=50, cap=20), key(2, fair_cycle=70)])[1] == 50
    assert told([key(1, cooldown=3, window=None), key(2, fair_cycle=70)])[1] == 70, "nobody knows when the first does"
    assert told([key(1, concurrency=None, cooldown=3), key(2, tried=None, window=9)])[1] == 3


def test_limits_whose_end_nobody_knows_are_429_without_a_time() -> None:
    error, wait = told([key(1, window=None), key(2, cap=None, cooldown=4), key(3, rejected=60)])
    assert (error.status, error.retry_after_seconds, wait, error.should_retry) == (429, None, None, False)


def test_busy_keys_are_503_and_nobody_knows_how_long() -> None:
    error, wait = told([key(1, concurrency=None), key(2, cooldown=9)])
    assert (error.status, error.code, error.retry_after_seconds, wait) == (503, "no_credential", None, None)
    assert "alpha#1: concurrency" in error.message and "alpha#2: cooldown for 9 s" in error.message
    error, wait = told([key(1, concurrency=None), key(2, rejected=9), key(3, tier=None)])
    assert (error.status, error.code, error.retry_after_seconds, wait) == (503, "no_credential", None, None)


def test_a_model_that_no_key_is_good_enough_for() -> None:
    error, wait = told([key(1, tier=None), key(2, tier=None, cooldown=5)])
    assert (error.status, error.should_retry, wait) == (503, False, None)
    assert "tier" in error.message


FREE: list[ReasonCode] = ["pin", "tried", "tier", "concurrency"]
LIMITS: list[ReasonCode] = ["cooldown", "window", "cap", "fair_cycle"]
CODES: list[ReasonCode] = [*FREE, *LIMITS, "rejected"]
ENDS = st.floats(0.001, 1e6)


@st.composite
def reasons(draw: st.DrawFn) -> dict[str, float | None]:
    codes = draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=4, unique=True))
    timed = {"rejected": ENDS} | {code: st.one_of(ENDS, st.none()) for code in ("window", "cap")}
    return {code: None if code in FREE else draw(timed.get(code, ENDS)) for code in codes}


@given(st.lists(reasons(), min_size=1, max_size=6))
def test_the_retry_after_is_never_too_early_and_never_from_a_key_that_cannot_serve(
    held: list[dict[str, float | None]],
) -> None:
    error, wait = told([key(n, **one) for n, one in enumerate(held)])
    able = [one for one in held if not one.keys() & {"rejected", "pin", "tier"}]
    limits = [[one[code] for code in LIMITS if code in one] for one in able]
    ends = [max(ends) for ends in limits if ends and None not in ends]  # type: ignore[type-var]
    busy = any(one.keys() == {"concurrency"} for one in held)
    assert error.status == (429 if any(limits) and not busy else 503)
    assert (wait is not None) == (bool(ends) and not busy)
    if wait is not None and error.retry_after_seconds is not None:
        assert wait == pytest.approx(min(ends), abs=1e-3)  # type: ignore[type-var]
        assert wait <= error.retry_after_seconds <= wait + 0.002
    else:
        assert error.retry_after_seconds is None
    wanted = [one for one in held if "pin" not in one]
    fitting = [one for one in wanted if "tier" not in one]
    all_rejected = bool(fitting) and all("rejected" in one for one in fitting)
    assert (error.code == "all_credentials_rejected") == all_rejected
    assert all(f"alpha#{n}" in error.message for n in range(len(held)))
    assert all(code in error.message for one in held for code in one if code != "tried" or len(one) == 1)
