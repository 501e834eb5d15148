"""What headers say of quotas: the families as vendors send them, and everything that only looks like one."""

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.quota import QuotaFact
from rotator.upstream.quota_headers import FACTS_LIMIT, from_headers
from rotator.upstream.retry_after import LONGEST_SECONDS

#: Fri, 15 Jan 2027 08:00:00 GMT
NOW = 1_800_000_000.0
WEEK = 604_800.0


def facts(headers: dict[str, str]) -> dict[str, QuotaFact]:
    """By name; each name once."""
    found = from_headers(headers, NOW)
    named = {fact.name: fact for fact in found}
    assert len(named) == len(found) and all(fact.source == "header" and fact.model is None for fact in found)
    return named


def one(**said: str) -> QuotaFact | None:
    """The only fact of ``x-ratelimit-<member>-requests`` headers."""
    found = from_headers({f"x-ratelimit-{member}-requests": value for member, value in said.items()}, NOW)
    assert len(found) <= 1
    return found[0] if found else None


# The shapes of protocols.md 1.9.

DURATIONS = {
    "content-type": "application/json",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
    "x-request-id": "req_1",
}
DATES = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:30Z",
    "anthropic-ratelimit-tokens-limit": "40000",
    "anthropic-ratelimit-tokens-remaining": "39000",
    "anthropic-ratelimit-tokens-reset": "2027-01-15T08:01:00+00:00",
    "anthropic-ratelimit-input-tokens-limit": "32000",
    "anthropic-ratelimit-input-tokens-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2027-01-15T10:00:30.5+02:00",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "8000",
    "anthropic-ratelimit-output-tokens-reset": "2027-01-15T08:00:00Z",
    "anthropic-organization-id": "org-1",
}
SUBSCRIPTION = {
    "anthropic-ratelimit-unified-status": "allowed_warning",
    "anthropic-ratelimit-unified-reset": "1800003600",
    "anthropic-ratelimit-unified-representative-claim": "seven_day",
    "anthropic-ratelimit-unified-5h-status": "allowed",
    "anthropic-ratelimit-unified-5h-reset": "1800003600",
    "anthropic-ratelimit-unified-5h-utilization": "0.25",
    "anthropic-ratelimit-unified-7d-status": "allowed_warning",
    "anthropic-ratelimit-unified-7d-reset": "1800604800",
    "anthropic-ratelimit-unified-7d-utilization": "0.75",
    "anthropic-ratelimit-unified-7d_oi-status": "rejected",
    "anthropic-ratelimit-unified-7d_oi-reset": "1800604800",
    "anthropic-ratelimit-unified-7d_oi-utilization": "1.0",
    "anthropic-ratelimit-unified-overage-status": "rejected",
}


def test_durations_by_kind() -> None:
    assert facts(DURATIONS) == {
        "requests": QuotaFact("requests", limit=60, remaining=59, resets_in_seconds=1),
        "tokens": QuotaFact("tokens", limit=150_000, remaining=149_984, resets_in_seconds=360, unit="tokens"),
    }


def test_dates_by_kind() -> None:
    assert facts(DATES) == {
        "requests": QuotaFact("requests", limit=50, remaining=49, resets_in_seconds=30),
        "tokens": QuotaFact("tokens", limit=40_000, remaining=39_000, resets_in_seconds=60, unit="tokens"),
        "input-tokens": QuotaFact("input-tokens", limit=32_000, remaining=0, resets_in_seconds=30.5, unit="tokens"),
        "output-tokens": QuotaFact("output-tokens", limit=8_000, remaining=8_000, resets_in_seconds=0, unit="tokens"),
    }


def test_a_subscription_is_told_in_percent_of_the_key() -> None:
    """A window of some models only (``7d_oi``) must not use up the key: which ones is not said."""
    assert facts(SUBSCRIPTION) == {
        "5h": QuotaFact("5h", 100, 25, 75, 3_600, "percent", "credential"),
        "7d": QuotaFact("7d", 100, 75, 25, WEEK, "percent", "credential"),
    }


UNIFIED: dict[str, tuple[dict[str, str], float | None]] = {
    "rejected": ({"status": "rejected"}, 0),
    "rejected whatever the share": ({"status": "Rejected", "utilization": "0.87"}, 0),
    "overdrawn": ({"utilization": "1.04"}, 0),
    "full": ({"utilization": "1"}, 0),
    "full and allowed": ({"status": "allowed", "utilization": "1.12"}, None),
    "allowed": ({"status": "allowed"}, None),
    "unused": ({"status": "allowed", "utilization": "0"}, 100),
    "a reset alone": ({"reset": "1800003600"}, None),
    "nonsense": ({"status": "?", "utilization": "NaN"}, None),
    "below nothing": ({"utilization": "-0.5"}, None),
}


@pytest.mark.parametrize(("said", "remaining"), UNIFIED.values(), ids=UNIFIED)
def test_a_window_of_a_subscription(said: dict[str, str], remaining: float | None) -> None:
    found = from_headers({f"acme-ratelimit-unified-5h-{member}": value for member, value in said.items()}, NOW)
    assert [fact.remaining for fact in found] == ([] if remaining is None else [remaining])


def test_without_a_kind_it_is_requests_that_are_counted() -> None:
    """And a kind that is named counts first."""
    bare = {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000060000"}
    assert facts(bare) == {"requests": QuotaFact("requests", limit=200, remaining=0, resets_in_seconds=60)}
    assert facts({**DURATIONS, **bare})["requests"].limit == 60


UNITS = {
    "requests": "requests",
    "requests-day": "requests",
    "req-minute": "requests",
    "tokens-minute": "tokens",
    "tokens_usage_based": "tokens",
    "project-tokens": "tokens",
    "images": None,
    "audio-seconds": None,
}


@pytest.mark.parametrize(("kind", "unit"), UNITS.items())
def test_what_a_kind_counts(kind: str, unit: str | None) -> None:
    for name in (f"x-ratelimit-remaining-{kind}", f"acme-ratelimit-{kind}-remaining"):
        found = from_headers({name: "5"}, NOW)
        assert [(fact.name, fact.unit, fact.remaining) for fact in found] == ([(kind, unit, 5)] if unit else [])


RESETS: dict[str, float | None] = {
    "20ms": 0.02,
    "2m30.5s": 150.5,
    "30": 30,
    " 30 ": 30,
    "0.5": 0.5,
    "0": 0,
    "1800000060": 60,  # a unix time
    "1800000060.25": 60.25,
    "1800000060250": 60.25,  # in ms
    "1700000000": 0,  # long past
    "2027-01-15T08:01:00Z": 60,
    "2020-01-15T08:01:00Z": 0,
    "9999999999": LONGEST_SECONDS,
    "999999999999999": LONGEST_SECONDS,
    "99999999": LONGEST_SECONDS,
    "400d": LONGEST_SECONDS,
    "": None,
    "-5": None,
    "NaN": None,
    "inf": None,
    "soon": None,
    "1e3": None,
    "2027-01-15T08:01:00": None,
    "Fri, 15 Jan 2027 08:00:00 GMT": None,
    "1" * 16_000: None,
    "1s" * 8_000: None,
}


@pytest.mark.parametrize(("value", "seconds"), RESETS.items(), ids=[text[:30] for text in RESETS])
def test_resets_in_every_form(value: str, seconds: float | None) -> None:
    started = time.perf_counter()
    fact = one(remaining="1", reset=value)
    assert time.perf_counter() - started < 0.05, "a header line makes it slow"
    assert fact is not None and fact.resets_in_seconds == seconds


NONSENSE: dict[str, tuple[dict[str, str], tuple[float | None, float | None] | None]] = {
    "a limit alone": ({"limit": "60"}, (60, None)),
    "what is left alone": ({"remaining": "5"}, (None, 5)),
    "more left than there is": ({"limit": "60", "remaining": "61"}, (60, None)),
    "less than nothing left": ({"limit": "60", "remaining": "-1"}, (60, None)),
    "no limit at all": ({"limit": "-1", "remaining": "5"}, (None, 5)),
    "a limit of nothing": ({"limit": "0", "remaining": "0"}, None),
    "texts": ({"limit": "unlimited", "remaining": "plenty"}, None),
    "not numbers": ({"limit": "NaN", "remaining": "inf"}, None),
    "exponents": ({"limit": "1e3", "remaining": "0x10"}, None),
    "two headers of one name": ({"limit": "60, 60", "remaining": "5, 5"}, None),
    "a draft's form": ({"limit": "100;w=60", "remaining": "1_0"}, None),
    "endless": ({"limit": "9" * 400, "remaining": "1" * 16}, None),
    "a reset alone": ({"reset": "1s"}, None),
    "other digits": ({"limit": "\u0661", "remaining": "\u00b2"}, None),
}


@pytest.mark.parametrize(("said", "told"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_not_said(said: dict[str, str], told: tuple[float | None, float | None] | None) -> None:
    fact = one(**said)
    assert (None if fact is None else (fact.limit, fact.remaining)) == told


@pytest.mark.parametrize(
    "name",
    [
        "ratelimit-remaining",
        "ratelimit-remaining-requests",
        "xratelimit-remaining-requests",
        "x-ratelimit-over-requests",
        "x-ratelimit-requests",
        "x-ratelimit--remaining",
        "acme-ratelimit-remaining",
        "acme-ratelimit-requests-used",
        "acme-ratelimit-unified-remaining",
        "acme-ratelimit-unified-5h-remaining",
        "acme-ratelimit-unified--utilization",
        "acme-ratelimit-unified-5h_oi-utilization",
        "x-ratelimit-remaining-requests of today",
        f"x-ratelimit-remaining-requests-{'y' * 80}",
        "x-ratelimit",
        "ratelimit-",
    ],
)
def test_names_that_say_nothing(name: str) -> None:
    assert from_headers({name: "0"}, NOW) == ()


def test_what_one_answer_makes_us_keep_is_bounded() -> None:
    many = {f"x-ratelimit-remaining-requests-{number}": "5" for number in range(500)}
    assert len(from_headers(many, NOW)) == FACTS_LIMIT


def sound(found: tuple[QuotaFact, ...]) -> bool:
    numbers = [n for fact in found for n in (fact.limit, fact.used, fact.remaining, fact.resets_in_seconds)]
    return all(n is None or (math.isfinite(n) and n >= 0) for n in numbers) and all(
        fact.limit is None or fact.remaining is None or fact.remaining <= fact.limit for fact in found
    )


PIECES = st.sampled_from(
    ["x-", "acme-", "ratelimit-", "unified-", "5h", "7d_oi", "-", "requests", "tokens", "images", ""]
    + ["limit", "remaining", "reset", "status", "utilization"]
)
NAMES = st.lists(PIECES, max_size=7).map("".join) | st.text(max_size=30)
VALUES = st.from_regex(r"-?[0-9]{0,20}(\.[0-9]{0,20})?(ms|s|m|h|d)?", fullmatch=True) | st.text(max_size=40) | (
    st.sampled_from(["rejected", "NaN", "-inf", "1e999", "2027-01-15T08:01:00Z", "0001-01-01T00:00:00+23:59"])
)


@given(st.dictionaries(NAMES, VALUES, max_size=12), st.floats(0, 4e9))
def test_no_headers_raise_or_say_less_than_nothing(headers: dict[str, str], now: float) -> None:
    assert sound(from_headers(headers, now))


@given(st.fixed_dictionaries({member: VALUES for member in ("limit", "remaining", "reset")}), st.floats(0, 4e9))
def test_no_values_of_a_known_window_raise(said: dict[str, Any], now: float) -> None:
    assert sound(from_headers({f"x-ratelimit-{member}-tokens": value for member, value in said.items()}, now))


def test_answers_without_quotas_cost_next_to_nothing() -> None:
    """A microsecond for 20 headers: against a search of the same text, so that a slow machine changes nothing."""
    headers = {f"x-header-name-{number}": "value" * 10 for number in range(20)}

    def fastest(call: Any) -> float:
        times = []
        for _ in range(20):
            started = time.perf_counter()
            for _ in range(500):
                call()
            times.append(time.perf_counter() - started)
        return min(times)

    assert fastest(lambda: from_headers(headers, NOW)) < 4 * fastest(lambda: "ratelimit-" in "\n".join(headers))
