"""No key left: the truth about why, and when one comes back (design.md 2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Credential, Target
from rotator.credentials.refusals import Candidate, Reason, ReasonCode, none_left
from rotator.neutral.error import ErrorKind

NOW = 1_800_000_000.0
TARGET = Target("alpha", "chat", "small")


def key(number: int, **reasons: float | None) -> Candidate:
    """A key and its reasons: ``cooldown=30`` ends in 30 s, ``pin=None`` has no end."""
    told = [_reason(code, seconds) for code, seconds in reasons.items()]
    return Candidate(Credential(f"id-{number}", "alpha", f"alpha#{number}", None), tuple(told))


def _reason(code: str, seconds: float | None) -> Reason:
    until = None if seconds is None else NOW + seconds
    return Reason(code, until, f"detail of {code}")  # type: ignore[arg-type]


def test_a_key_without_reasons_is_eligible() -> None:
    assert key(1).eligible and not key(1, cooldown=1).eligible


def test_no_key_at_all() -> None:
    error, wait = none_left([], TARGET, NOW)
    assert (error.status, error.kind, error.retry_after_seconds, wait) == (503, ErrorKind.OVERLOADED, None, None)
    assert "alpha/small" in error.message


def test_limited_keys_give_429_with_the_earliest_end() -> None:
    error, wait = none_left([key(1, cooldown=40), key(2, cooldown=12.5), key(3, cooldown=50)], TARGET, NOW)
    assert (error.status, error.kind) == (429, ErrorKind.RATE_LIMITED)
    assert error.retry_after_seconds == wait == 12.5
    assert error.should_retry is None


@pytest.mark.parametrize(("seconds", "should_retry"), [(59.9, None), (60, None), (60.1, False), (3_600, False)])
def test_beyond_60_s_a_client_is_told_not_to_wait(seconds: float, should_retry: bool | None) -> None:
    assert none_left([key(1, cooldown=seconds)], TARGET, NOW)[0].should_retry is should_retry


def test_rejected_keys_are_ignored_while_another_is_only_limited() -> None:
    error, wait = none_left([key(1, rejected=5), key(2, cooldown=30), key(3, rejected=1, cooldown=2)], TARGET, NOW)
    assert (error.status, error.retry_after_seconds, wait) == (429, 30, 30)


def test_all_rejected_is_503_without_a_time() -> None:
    error, wait = none_left([key(1, rejected=60), key(2, rejected=3_600, cooldown=5)], TARGET, NOW)
    assert (error.status, error.code) == (503, "all_credentials_rejected")
    assert error.retry_after_seconds is None and wait is None
    assert error.should_retry is False


def test_a_pinned_key_speaks_for_itself() -> None:
    limited = [key(1, pin=None, cooldown=5), key(2, cooldown=40), key(3, pin=None)]
    assert none_left(limited, TARGET, NOW)[1] == 40
    rejected, wait = none_left([key(1, pin=None, cooldown=5), key(2, rejected=40)], TARGET, NOW)
    assert (rejected.code, rejected.should_retry, wait) == ("all_credentials_rejected", False, None)


def test_a_pin_that_no_key_bears_is_not_called_a_rejection() -> None:
    error, wait = none_left([key(1, pin=None), key(2, pin=None)], TARGET, NOW)
    assert error.status == 503 and wait is None
    assert error.code != "all_credentials_rejected" and "rejected" not in error.message


def test_keys_that_this_request_used_up_are_neither_limited_nor_rejected() -> None:
    error, wait = none_left([key(1, tried=None), key(2, tried=None, rejected=60)], TARGET, NOW)
    assert (error.status, error.code, error.retry_after_seconds, wait) == (503, "no_credential", None, None)


def test_the_message_lists_each_key_with_reason_and_time() -> None:
    keys = [key(1, cooldown=12.2), key(2, rejected=60, tried=None), key(3, pin=None)]
    message = none_left(keys, TARGET, NOW)[0].message
    assert "alpha#1: cooldown for 13 s" in message
    assert "alpha#2: rejected for 60 s" in message
    assert "alpha#3: pin" in message
    assert "alpha/small" in message


def test_an_end_that_is_over_is_no_negative_wait() -> None:
    error, wait = none_left([key(1, cooldown=-3)], TARGET, NOW)
    assert wait == error.retry_after_seconds == 0 and "for 0 s" in error.message


CODES: list[ReasonCode] = ["pin", "tried", "cooldown", "rejected"]


@given(st.lists(st.dictionaries(st.sampled_from(CODES), st.floats(0.001, 1e6), min_size=1), min_size=1))
def test_the_retry_after_is_never_too_early_and_never_from_a_key_that_cannot_serve(
    reasons: list[dict[ReasonCode, float]],
) -> None:
    keys = [
        key(n, **{code: s if code in ("cooldown", "rejected") else None for code, s in held.items()})
        for n, held in enumerate(reasons)
    ]
    error, wait = none_left(keys, TARGET, NOW)
    ends = [held["cooldown"] for held in reasons if "cooldown" in held and not held.keys() & {"rejected", "pin"}]
    assert (wait is not None) == bool(ends) == (error.status == 429)
    if wait is not None and error.retry_after_seconds is not None:
        assert wait == pytest.approx(min(ends), abs=1e-3)
        assert wait <= error.retry_after_seconds <= wait + 0.002
    else:
        assert error.status == 503 and error.retry_after_seconds is None
    assert all(one.credential.label in error.message for one in keys)
