"""Three kinds of claims bench a key: each sentence of design.md 2.4 as a test."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Outcome, Verdict
from rotator.credentials.claims import LIMITS_KEPT, Claim, Learnt, Ledger

NOW = 1_000.0
DAY = 86_400.0
OK = Outcome("ok")
NONSENSE = [None, 0.0, -0.0, -1.0, -math.inf, math.nan]


class Key:
    """A ledger, told of attempts that began just before they ended."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    def learn(self, model: str, outcome: Outcome, now: float, began: float | None = None) -> Claim | None:
        return self.ledger.learn(Learnt(model, False, outcome, now if began is None else began), now)

    def limited_until(self, model: str, now: float) -> float | None:
        found = self.ledger.limits.until((model,), now)
        return found[1].until if found is not None else None

    def rejected_until(self, now: float) -> float | None:
        found = self.ledger.rejected(now)
        return found.until if found is not None else None

    def doubted(self, now: float) -> bool:
        return self.ledger.doubted_until > now


def limited(seconds: float | None = None) -> Outcome:
    return Outcome("failed", Verdict("credential", "model", "rate_limit", seconds))


def rejected(reason: str = "rejected") -> Outcome:
    return Outcome("failed", Verdict("credential", "credential", reason))


def guess(source: str = "status") -> Outcome:
    return Outcome("failed", Verdict("provider", "provider", "server_error", source=source))


# What the vendor stated excludes until then, per key and model.


def test_a_fresh_key_is_free() -> None:
    one = Key()
    assert one.limited_until("small", NOW) is None
    assert one.rejected_until(NOW) is None
    assert not one.doubted(NOW)


def test_a_stated_time_excludes_the_key_until_then_for_this_model() -> None:
    one = Key()
    one.learn("small", limited(7.5), NOW)
    assert one.limited_until("small", NOW) == NOW + 7.5
    assert one.limited_until("small", NOW + 7.499) == NOW + 7.5
    assert one.limited_until("small", NOW + 7.5) is None
    assert one.limited_until("large", NOW) is None
    assert one.rejected_until(NOW) is None and not one.doubted(NOW)


@pytest.mark.parametrize("seconds", [31 * DAY, 31 * DAY + 1, 400 * DAY, 1e300, math.inf])
def test_no_claim_is_longer_than_31_days(seconds: float) -> None:
    one = Key()
    one.learn("small", limited(seconds), NOW)
    assert one.limited_until("small", NOW) == NOW + 31 * DAY


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_without_a_time_or_with_nonsense_5_s_double_to_60(nonsense: float | None) -> None:
    one, now, waits = Key(), NOW, []
    for _ in range(14):
        one.learn("small", limited(nonsense), now)
        until = one.limited_until("small", now)
        assert until is not None
        waits.append(until - now)
        now = until
    assert waits == [5, 10, 20, 40] + [60] * 10


def test_the_doubling_is_kept_per_model() -> None:
    one = Key()
    one.learn("small", limited(), NOW)
    one.learn("small", limited(), NOW + 5)
    one.learn("large", limited(), NOW + 5)
    assert one.limited_until("small", NOW + 5) == NOW + 15
    assert one.limited_until("large", NOW + 5) == NOW + 10


@pytest.mark.parametrize("between", [OK, limited(1.0)], ids=["an answer", "a stated time"])
def test_the_doubling_counts_limits_in_a_row(between: Outcome) -> None:
    one = Key()
    for turn in range(3):
        one.learn("small", limited(), NOW + turn)
    assert one.limited_until("small", NOW) == NOW + 22
    one.learn("small", between, NOW + 100)
    one.learn("small", limited(), NOW + 200)
    assert one.limited_until("small", NOW + 200) == NOW + 205


@pytest.mark.parametrize("later", [limited(1.0), limited(), *map(limited, NONSENSE)], ids=repr)
def test_a_longer_claim_is_never_shortened(later: Outcome) -> None:
    one = Key()
    one.learn("small", limited(3_600.0), NOW)
    one.learn("small", later, NOW + 1)
    assert one.limited_until("small", NOW + 1) == NOW + 3_600


def test_a_shorter_claim_is_lengthened() -> None:
    one = Key()
    one.learn("small", limited(), NOW)
    one.learn("small", limited(30.0), NOW + 1)
    assert one.limited_until("small", NOW + 1) == NOW + 31


def test_an_answer_to_an_older_request_does_not_end_a_stated_limit() -> None:
    """A stream that began before the 429 ends well after it: the vendor's word on the next request still holds."""
    one = Key()
    one.learn("small", limited(3_600.0), NOW)
    one.learn("small", OK, NOW + 1)
    assert one.limited_until("small", NOW + 1) == NOW + 3_600


STATED = st.one_of(st.sampled_from(NONSENSE), st.floats(0.001, math.inf), st.floats(max_value=0.0))


@given(st.lists(st.tuples(st.floats(0, 1e6), STATED), max_size=20))
def test_limits_only_grow_and_never_beyond_31_days(steps: list[tuple[float, float | None]]) -> None:
    one, now, before = Key(), NOW, 0.0
    for pause, stated in steps:
        now += pause
        one.learn("small", limited(stated), now)
        until = one.limited_until("small", now)
        assert until is not None and before <= until <= now + 31 * DAY
        before = until


# A rejection excludes the key for all models, 60 s doubling to 1 h.


@pytest.mark.parametrize("reason", ["rejected", "balance"])
def test_a_rejection_excludes_the_key_for_all_models_60_s_doubling_to_1_h(reason: str) -> None:
    one, now, waits = Key(), NOW, []
    for turn in range(20):
        one.learn(f"model-{turn}", rejected(reason), now)
        until = one.rejected_until(now)
        assert until is not None and one.ledger.rejection is not None and one.ledger.rejection.reason == reason
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
    one = Key()
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
    one = Key()
    one.learn("small", rejected(), NOW)
    one.learn("small", end, NOW + 20)
    assert one.rejected_until(NOW + 20) == NOW + 60


# A guess only puts the key behind the others.


@pytest.mark.parametrize("blame", ["provider", "network"])
@pytest.mark.parametrize("source", ["status", "transport"])
def test_a_guess_excludes_nothing_and_is_forgotten(blame: str, source: str) -> None:
    one = Key()
    one.learn("small", Outcome("failed", Verdict(blame, "provider", "server_error", 3_600.0, source)), NOW)  # type: ignore[arg-type]
    assert one.limited_until("small", NOW) is None and one.rejected_until(NOW) is None
    assert one.doubted(NOW) and one.doubted(NOW + 59.9)
    assert not one.doubted(NOW + 60)


def test_an_answer_ends_a_guess() -> None:
    one = Key()
    one.learn("small", guess(), NOW)
    one.learn("large", OK, NOW + 1)
    assert not one.doubted(NOW + 1)


@pytest.mark.parametrize("end", [OK, Outcome("cancelled"), *map(ENDS.get, ("the request's fault", "an unknown model"))])
def test_what_is_nobodys_fault_leaves_no_claim(end: Outcome) -> None:
    one = Key()
    one.learn("small", end, NOW)
    assert one.ledger.limits.held == {} and one.ledger.rejection is None and not one.doubted(NOW)


# What has passed is forgotten: model names come from clients.


def test_an_answer_forgets_a_limit_that_has_ended() -> None:
    one = Key()
    one.learn("small", limited(7.5), NOW)
    one.learn("small", OK, NOW + 7.5)
    assert one.ledger.limits.held == {}


def test_only_limits_that_last_are_kept_beyond_256() -> None:
    one = Key()
    for number in range(600):
        one.learn(f"model-{number}", limited(1.0), NOW + number)
        assert len(one.ledger.limits.held) <= LIMITS_KEPT
    for number in range(300):
        one.learn(f"lasting-{number}", limited(3_600.0), NOW + 600)
    assert all(one.limited_until(f"lasting-{number}", NOW + 600) for number in range(300))


# Precise beats vague (ideas.md D8).


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
@pytest.mark.parametrize("stated", [0.5, 3.0, 30.0, 3_600.0])
def test_a_limit_without_a_time_neither_lengthens_nor_shortens_a_stated_one_that_lasts(
    stated: float, nonsense: float | None
) -> None:
    one = Key()
    one.learn("small", limited(stated), NOW)
    for step in range(1, 6):
        assert one.learn("small", limited(nonsense), NOW + stated * step / 6) is None, "nothing new was said"
        assert one.limited_until("small", NOW) == NOW + stated
    assert one.limited_until("small", NOW + stated) is None
    one.learn("small", limited(nonsense), NOW + stated)
    assert one.limited_until("small", NOW + stated) == NOW + stated + 5, "it has ended: what is said now counts"


@given(st.lists(st.tuples(st.floats(0, 40), STATED), max_size=20))
def test_a_stated_time_is_kept_whatever_else_is_said(steps: list[tuple[float, float | None]]) -> None:
    """The independent model: the latest time that was stated, and never more than 60 s that nobody stated."""
    one, now, promised = Key(), NOW, -math.inf
    for pause, stated in steps:
        now += pause
        lasts = promised > now
        before = one.limited_until("small", now)
        one.learn("small", limited(stated), now)
        until = one.limited_until("small", now)
        if stated is not None and stated > 0:
            promised = max(promised, now + min(stated, 31 * DAY))
        assert until is not None and until >= promised
        if not (stated is not None and stated > 0):
            assert until <= max(now + 60, promised, before or 0.0)
            if lasts and before == promised:
                assert until == promised


def test_a_claim_says_what_it_is_and_on_whose_word() -> None:
    one = Key()
    verdict = Verdict("credential", "model", "quota", 30.0, "header")
    claim = one.ledger.learn(Learnt("small", False, Outcome("failed", verdict), NOW, "req-1"), NOW)
    assert claim == Claim("key+model", NOW + 30, "header", "stated", "quota", "req-1", NOW)
    assert claim.shown("small") == "quota for small (stated, header), told to req-1"
    guessed = one.ledger.learn(Learnt("group pro", True, limited(), NOW, "req-2"), NOW)
    assert guessed is not None
    assert (guessed.scope, guessed.confidence, guessed.strikes) == ("group", "assumed", 1)
    assert guessed.shown("group pro") == "rate_limit for group pro (assumed, status), told to req-2"


def test_the_claim_that_lasts_longest_is_told_with_its_place() -> None:
    one = Key()
    one.learn("small", limited(10.0), NOW)
    one.learn("group pro", limited(30.0), NOW)
    one.learn("large", limited(90.0), NOW)
    limits = one.ledger.limits
    for places in (("small", "group pro"), ("group pro", "small")):
        found = limits.until(places, NOW)
        assert found is not None and (found[0], found[1].until) == ("group pro", NOW + 30)
    found = limits.until(("small", "every model"), NOW)
    assert found is not None and found[0] == "small"
    assert limits.until(("small", "every model"), NOW + 10) is None


# What was under way when a claim came tells nothing new.


def test_a_limit_without_a_time_of_an_attempt_that_was_under_way_says_nothing_new() -> None:
    one = Key()
    one.learn("small", limited(), NOW, began=NOW - 2)
    assert one.learn("small", limited(), NOW + 3, began=NOW - 1) is None
    assert one.learn("small", limited(), NOW + 3, began=NOW) is None
    assert one.limited_until("small", NOW) == NOW + 5
    one.learn("small", limited(), NOW + 6, began=NOW + 5)
    assert one.limited_until("small", NOW + 6) == NOW + 16


def test_a_stated_time_of_an_attempt_that_was_under_way_counts() -> None:
    one = Key()
    one.learn("small", limited(), NOW, began=NOW - 2)
    one.learn("small", limited(100.0), NOW + 1, began=NOW - 1)
    assert one.limited_until("small", NOW + 1) == NOW + 101


def test_rejections_of_one_moment_are_one_rejection() -> None:
    one = Key()
    for ended in range(8):
        one.learn("small", rejected(), NOW + ended, began=NOW - 1)
    assert one.rejected_until(NOW) == NOW + 60
    one.learn("small", rejected(), NOW + 61, began=NOW + 60)
    assert one.rejected_until(NOW + 61) == NOW + 61 + 120


def test_an_assumed_limit_is_said_again_only_after_the_last_word() -> None:
    """A shorter stated time leaves the longer claim as it is, and the row of claims without a time begins anew."""
    one = Key()
    for turn in range(4):
        one.learn("small", limited(), NOW + turn)  # 5, 10, 20, 40
    one.learn("small", limited(1.0), NOW + 4)
    assert one.limited_until("small", NOW + 4) == NOW + 43
    one.learn("small", limited(), NOW + 43)
    assert one.limited_until("small", NOW + 43) == NOW + 48


def test_what_concerns_the_whole_provider_is_not_this_keys_to_keep() -> None:
    one = Key()
    outcome = Outcome("failed", Verdict("credential", "provider", "rate_limit", 60.0))
    assert one.learn("small", outcome, NOW) is None
    assert one.ledger.limits.held == {} and one.ledger.rejection is None and not one.doubted(NOW)


def test_a_limit_of_the_whole_provider_ends_a_rejection_as_any_answer_does() -> None:
    one = Key()
    one.learn("small", rejected(), NOW)
    one.learn("small", Outcome("failed", Verdict("credential", "provider", "rate_limit", 60.0)), NOW + 5)
    assert one.rejected_until(NOW + 5) is None
