"""Every form in which a vendor states a time, and everything that only looks like one."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.upstream import retry_after
from rotator.upstream.retry_after import (
    LONGEST_SECONDS,
    duration,
    from_body,
    from_headers,
    from_text,
    http_date,
    rfc3339,
)

#: Fri, 15 Jan 2027 08:00:00 GMT
NOW = 1_800_000_000.0
DAY = 86_400.0

DURATIONS = {
    "6m0s": 360,
    "373.8ms": 0.3738,
    "20ms": 0.02,
    "1s": 1,
    "45.837906927s": 45.837906927,
    "2m30.5s": 150.5,
    "143h4m52.7s": 515_092.7,
    "515092.7s": 515_092.7,
    "36s": 36,
    "1d2h": 93_600,
    "500us": 0.0005,
    "500\u00b5s": 0.0005,
    "7ns": 7e-9,
    "0s": 0,
    " 5s ": 5,
    "400d": LONGEST_SECONDS,
    "99999h": LONGEST_SECONDS,
}
NO_DURATIONS = ["", "5", "s", "5 s", "-5s", "+5s", "1e3s", "5x", "1h-5s", "5s5", "soon", "NaN", "inf", ".5s", "5.s"]


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration(text: str) -> None:
    assert duration(text) is None


# Headers.

STATED: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "30"}, 30),
    ({"retry-after": " 2 "}, 2),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "0"}, 0),
    ({"retry-after": "2025"}, 2_025),  # a bare year is a number of seconds like any other
    ({"retry-after": "86400"}, DAY),
    ({"retry-after": str(86_400 * 31)}, LONGEST_SECONDS),
    ({"retry-after": str(86_400 * 400)}, LONGEST_SECONDS),
    ({"retry-after": "999999999"}, LONGEST_SECONDS),
    ({"retry-after": ""}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "-5"}, None),
    ({"retry-after": "NaN"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "1e400"}, None),
    ({"retry-after": "1e3"}, None),
    ({"retry-after": "0x10"}, None),
    ({"retry-after": "30, 30"}, None),
    ({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
    ({"retry-after": "Friday, 15-Jan-27 08:01:00 GMT"}, 60),
    ({"retry-after": "Fri, 15 Jan 2027 07:59:00 GMT"}, 0),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ({"retry-after": "Fri, 15 Jan 2099 08:00:00 GMT"}, LONGEST_SECONDS),
    ({"retry-after": "Fri, 31 Feb 2027 08:00:00 GMT"}, None),
    ({"retry-after": "Fri, 99 Jan 2027 99:99:99 GMT"}, None),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after-ms": "200.5", "retry-after": "9"}, 0.2005),
    ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
    ({"retry-after-ms": "-5", "retry-after": "9"}, 9),
    ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360),
    ({"x-ratelimit-reset-tokens": "373.8ms", "x-ratelimit-remaining-tokens": "0"}, 0.3738),
    ({"x-ratelimit-reset-tokens": "1.25", "x-ratelimit-remaining-tokens": "0"}, 1.25),
    ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "59"}, None),
    ({"x-ratelimit-reset-requests": "soon", "x-ratelimit-remaining-requests": "0"}, None),
    ({"x-ratelimit-reset-requests": "6m0s", "retry-after": "2"}, 2),
    ({"anthropic-ratelimit-requests-reset": "2027-01-15T08:00:05Z", "anthropic-ratelimit-requests-remaining": "0"}, 5),
    ({"anthropic-ratelimit-tokens-reset": "2027-01-15T09:00:05+01:00", "anthropic-ratelimit-tokens-remaining": "0"}, 5),
    ({"anthropic-ratelimit-tokens-reset": "2026-01-15T08:00:05Z", "anthropic-ratelimit-tokens-remaining": "0"}, 0),
    ({"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:05Z", "anthropic-ratelimit-tokens-remaining": "7"}, None),
    ({"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:05Z"}, None),
    ({"anthropic-ratelimit-tokens-reset": "2027-01-15", "anthropic-ratelimit-tokens-remaining": "0"}, None),
    ({"anthropic-ratelimit-tokens-reset": "later", "anthropic-ratelimit-tokens-remaining": "0"}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), STATED, ids=lambda value: str(value)[:60])
def test_what_headers_state(headers: dict[str, str], seconds: float | None) -> None:
    found = from_headers(headers, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds, rel=1e-9))


@pytest.mark.pitfall("P-163")
def test_of_several_limits_that_are_used_up_the_latest_counts() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "7s",
        "x-ratelimit-remaining-images": "5",
        "x-ratelimit-reset-images": "6h0m0s",
    }
    assert from_headers(headers, NOW) == 7
    assert from_headers(dict(reversed(headers.items())), NOW) == 7


@pytest.mark.parametrize("seconds", [5_000, 86_400, 31 * 86_400])
def test_milliseconds_are_capped_as_seconds(seconds: int) -> None:
    assert from_headers({"retry-after-ms": str(seconds * 1_000)}, NOW) == seconds


@pytest.mark.parametrize("digits", [12, 13, 20, 400, 5_000])
def test_endless_digits_are_no_time_or_the_longest(digits: int) -> None:
    for headers in ({"retry-after": "9" * digits}, {"retry-after": "9" * digits + "." + "9" * digits}):
        assert from_headers(headers, NOW) in (None, LONGEST_SECONDS)
    assert duration("9" * digits + "s") in (None, LONGEST_SECONDS)
    assert from_text(f"retry in {'9' * digits}s") in (None, LONGEST_SECONDS)
    assert from_body({"error": {"details": [{"retryDelay": "9" * digits + "s"}]}}) in (None, LONGEST_SECONDS)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": str(int(NOW) + 60)},
        {"x-ratelimit-reset-requests": str(int(NOW) + 60), "x-ratelimit-remaining-requests": "0"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_epoch_seconds_are_a_time_not_57_years(headers: dict[str, str]) -> None:
    """faults.md 2 row 24 lists the epoch among the forms; 31 days instead of a minute is a key lost for a month."""
    assert from_headers(headers, NOW) == pytest.approx(60)


@pytest.mark.parametrize("nonsense", ["soon", "-5", "NaN"])
def test_a_retry_after_without_sense_hides_no_other_header(nonsense: str) -> None:
    others = {"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}
    assert from_headers({"retry-after": nonsense, **others}, NOW) == 360


@pytest.fixture(params=["UTC0", "EST5", "NPT-5:45"])
def time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time zone, which is none of the vendor's business."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("time_zone")
@pytest.mark.parametrize(
    "date",
    [
        "Fri, 15 Jan 2027 08:01:00 GMT",
        "Friday, 15-Jan-27 08:01:00 GMT",
        "Fri Jan 15 08:01:00 2027",
        "Fri, 15 Jan 2027 08:01:00 -0000",
    ],
)
def test_http_dates_are_in_gmt_wherever_we_are(date: str) -> None:
    """All three forms of RFC 9110 5.6.7; the last of them names no zone."""
    assert http_date(date, NOW) == pytest.approx(60)


@pytest.mark.parametrize(
    "text", ["2027", "20270115", "2027-01-15T08:01:00", "08:01:00Z", "", "Z", "2027-13-01T00:00:00Z"]
)
def test_what_is_no_rfc_3339_time(text: str) -> None:
    assert rfc3339(text, NOW) is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_times_at_the_ends_of_the_calendar(text: str) -> None:
    assert rfc3339(text, NOW) in (0, LONGEST_SECONDS)


# Bodies.


def google(*details: Any) -> dict[str, Any]:
    return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": list(details)}}


RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
BODIES: list[tuple[Any, float | None]] = [
    (google({"@type": RETRY_INFO, "retryDelay": "36s"}), 36),
    (google({"@type": RETRY_INFO, "retryDelay": "45.837906927s"}), 45.837906927),
    (google({"@type": RETRY_INFO, "retryDelay": {"seconds": "17"}}), 17),
    (google({"@type": RETRY_INFO, "retryDelay": {"seconds": 2, "nanos": 500_000_000}}), 2.5),
    (google({"@type": RETRY_INFO, "retryDelay": {"nanos": 500_000_000}}), 0.5),
    (google({"metadata": {"quotaResetDelay": "143h4m52.7s"}}), 515_092.7),
    (google({"metadata": {"quotaResetDelay": "373.8ms"}}), 0.3738),
    (google({"metadata": {"quotaResetDelay": "143h"}}, {"retryDelay": "36s"}), 36),
    (google({"retryDelay": "soon"}, {"metadata": {"quotaResetDelay": "3s"}}), 3),
    (google({"retryDelay": {"seconds": "n"}}), None),
    (google({"retryDelay": {"seconds": None}}), None),
    (google({"retryDelay": {"seconds": -3}}), None),
    (google({"retryDelay": {"seconds": "nan"}}), None),
    (google({"retryDelay": {"seconds": 10**400}}), None),
    (google({"retryDelay": {"seconds": 10**12}}), LONGEST_SECONDS),
    (google({"retryDelay": 36}), None),
    (google({"retryDelay": None}, "text", None, 7, []), None),
    (google({"metadata": "text"}, {"metadata": {"quotaResetDelay": 5}}), None),
    (google(), None),
    ({"error": {"details": {"retryDelay": "36s"}}}, None),
    ({"error": "text"}, None),
    ([google({"retryDelay": "36s"})], None),
    (None, None),
]


@pytest.mark.parametrize(("envelope", "seconds"), BODIES, ids=lambda value: str(value)[:70])
def test_what_bodies_state(envelope: Any, seconds: float | None) -> None:
    assert from_body(envelope) == (None if seconds is None else pytest.approx(seconds))


# Texts.

TEXTS = {
    "Rate limit reached. Please try again in 6m0s.": 360,
    "Please retry in 36.4s": 36.4,
    "Please retry in 45.837906927s.": 45.837906927,
    "Please try again in 20 seconds.": 20,
    "please try again in 373.8ms": 0.3738,
    "Limit 3 / min. Please try again in 7h12m.": 25_920,
    "try again in 1 hour": 3_600,
    "Your quota will reset after 143h4m52s.": 515_092,
    "Retry after 2 days": 172_800,
    "it resets in 5 minutes, be patient": 300,
    "TRY AGAIN IN 3 SEC": 3,
    "retry after 1d 2h": 93_600,
    "retry in 0s": None,
    "retry in -5s": None,
    "retry in soon": None,
    "try again in 5 months": None,
    "try again in 2027": None,
    "try again later": None,
    "We generate at a rate of 5s each": None,
    "entry in 5s": None,
    "": None,
    "x" * 2_000 + " retry in 5s": None,
    " " * 1_989 + "retry in 5s": 5,
    " " * 1_990 + "retry in 5s": None,
}


@pytest.mark.parametrize(("text", "seconds"), TEXTS.items(), ids=lambda value: str(value)[:40])
def test_what_texts_state(text: str, seconds: float | None) -> None:
    assert from_text(text) == (None if seconds is None else pytest.approx(seconds))


# Whatever comes: a believable wait or none.

#: Bytes as a server decodes them, any text, and texts that nearly are times.
ANYTHING = st.one_of(
    st.text(st.characters()),
    st.binary().map(lambda raw: raw.decode("latin-1")),
    st.text("0123456789.hmsdnu\u00b5-+eE:,TZ GJanFri", max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(str),
)
NAMES = st.one_of(
    st.sampled_from([
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-tokens-remaining",
        "x-ratelimit-reset-",
        "-ratelimit--reset",
    ]),
    st.text(),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANYTHING),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["retryDelay", "metadata", "quotaResetDelay", "seconds", "nanos", "x"]), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


def believable(found: float | None) -> bool:
    return found is None or (math.isfinite(found) and 0 <= found <= LONGEST_SECONDS)


@given(st.dictionaries(NAMES, ANYTHING, max_size=4), st.floats(0, 4e9))
def test_no_headers_break_it(headers: dict[str, str], now: float) -> None:
    assert believable(from_headers(headers, now))


@given(ANYTHING, st.floats(0, 4e9))
def test_no_text_breaks_it(text: str, now: float) -> None:
    for found in (duration(text), http_date(text, now), rfc3339(text, now), retry_after.plain_seconds(text)):
        assert believable(found)
    assert believable(from_text(text)) and believable(from_text(f"retry in {text}"))


@given(st.one_of(JSON, st.builds(google, JSON, JSON)))
def test_no_body_breaks_it(envelope: Any) -> None:
    assert believable(from_body(envelope))


@given(st.integers(0, 2_000_000))
def test_a_number_of_seconds_is_read_exactly(seconds: int) -> None:
    assert from_headers({"retry-after": str(seconds)}, NOW) == seconds
    assert from_text(f"retry in {seconds}s") == (seconds or None)
    assert duration(f"{seconds // 3600}h{seconds // 60 % 60}m{seconds % 60}s") == seconds


def test_a_header_line_of_digits_is_read_at_once() -> None:
    for text in ("1" * 16_000, "1.1" * 5_000, "1s" * 8_000):
        started = time.perf_counter()
        assert duration(text) is None
        assert time.perf_counter() - started < 0.05
