"""What errors mean: the decision table of protocols.md 1.10 from the wire to the verdict, and the traps in it."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Verdict
from rotator.neutral.error import STATUS, ErrorKind, NeutralError
from rotator.plugins import load
from rotator.upstream.classify import TABLE, classify

NOW = 1_800_000_000.0
PROTOCOLS = load().registry.protocols

QUOTA = ("credential", "credential", "balance")
LIMIT = ("credential", "model", "rate_limit")
REFUSED = ("credential", "credential", "rejected")
OVERLOAD = ("provider", "provider", "overloaded")
SERVER = ("provider", "provider", "server_error")
REQUEST = ("client", "request", "bad_request")
TIMED = (ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED, ErrorKind.OVERLOADED)


def judged(protocol: str, status: int, body: Any, headers: Mapping[str, str] | None = None) -> Verdict:
    """The verdict on an upstream's answer."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    told = {"content-type": "application/json", **(headers or {})}
    return classify(PROTOCOLS[protocol].read_error(status, told, raw), told, NOW)


def meaning(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.blame, verdict.scope, verdict.reason


def chat(code: Any = None, type: str | None = None, message: str = "No.", **more: Any) -> Any:
    return {"error": {"message": message, "type": type, "param": None, "code": code, **more}}


def messages(type: str, message: str = "No.", **details: Any) -> Any:
    return {"type": "error", "error": {"type": type, "message": message, **({"details": details} if details else {})}}


def google(*details: Any, status: str = "RESOURCE_EXHAUSTED", code: int = 429, message: str = "No.") -> Any:
    """That vendor's envelope as its OpenAI-compatible endpoint sends it: in an array of one."""
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
PER_DAY = {"@type": QUOTA_FAILURE, "violations": [{"quotaId": "RequestsPerDayPerModel"}]}
PER_MINUTE = {"@type": QUOTA_FAILURE, "violations": [{"quotaId": "RequestsPerMinutePerModel"}]}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36s"}
DELAY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "metadata": {"quotaResetDelay": "143h4m52.7s"}}

SPENT = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
)
LOW = "Your credit balance is too low to access the API. Please go to Plans & Billing."
REACHED = "You have reached your specified API usage limits. You will regain access on 2027-02-01 at 00:00 UTC."

Row = tuple[str, int, Any, dict[str, str], tuple[str, str, str], float | None]
ROWS: dict[str, Row] = {
    **{f"chat 429 code {word}": ("chat", 429, chat(word), {}, QUOTA, None) for word in SPENT},
    "chat 429 type": ("chat", 429, chat(None, "insufficient_quota"), {}, QUOTA, None),
    "chat 429 limit": ("chat", 429, chat("rate_limit_exceeded", "tokens"), {"retry-after": "7"}, LIMIT, 7),
    "chat 429 per day": ("chat", 429, chat("rate_limit_exceeded", "", "Try again in 7h12m."), {}, LIMIT, 25_920),
    "chat 429 slow down": ("chat", 429, chat("slow_down"), {"retry-after": "3"}, LIMIT, 3),
    "chat 429 alone": ("chat", 429, b"", {}, LIMIT, None),
    "chat 503 overloaded": ("chat", 503, chat("server_is_overloaded"), {}, OVERLOAD, None),
    "chat 503 slow down": ("chat", 503, chat("slow_down"), {"retry-after": "9"}, OVERLOAD, 9),
    "chat 200 limit": ("chat", 200, chat(429), {}, LIMIT, None),
    "messages 429": ("messages", 429, messages("rate_limit_error"), {"retry-after": "30"}, LIMIT, 30),
    "messages 429 reset": (
        "messages",
        429,
        messages("rate_limit_error"),
        {
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:05Z",
        },
        LIMIT,
        5,
    ),
    "messages 429 enforced": (
        "messages", 429, messages("rate_limit_error", error_code="enforced_spend_limit_reached"), {}, QUOTA, None,
    ),
    "messages 429 contract": (
        "messages", 429, messages("rate_limit_error", error_code="contract_spend_limit_reached"), {}, QUOTA, None,
    ),
    "messages 429 ramp": (
        "messages", 429, messages("rate_limit_error", error_code="ramp_limit_exceeded"), {"retry-after": "4"}, LIMIT, 4,
    ),
    "messages 400 reached": ("messages", 400, messages("invalid_request_error", REACHED), {}, QUOTA, None),
    "messages 400 workspace": (
        "messages", 400, messages("invalid_request_error", "This workspace has reached its limit."), {}, QUOTA, None,
    ),
    "messages 400 organization": (
        "messages", 400, messages("invalid_request_error", "Your organization spend limit is hit."), {}, QUOTA, None,
    ),
    "messages 402": ("messages", 402, messages("billing_error"), {}, QUOTA, None),
    "messages 400 balance": ("messages", 400, messages("invalid_request_error", LOW), {}, QUOTA, None),
    "messages 529": ("messages", 529, messages("overloaded_error"), {}, OVERLOAD, None),
    "google per day, retry info": ("chat", 429, google(PER_DAY, RETRY), {}, LIMIT, 36),
    "google per minute": ("chat", 429, google(PER_MINUTE, RETRY), {}, LIMIT, 36),
    "google retry info": ("chat", 429, google(RETRY), {}, LIMIT, 36),
    "google bare": ("chat", 429, google(message="Resource has been exhausted"), {}, LIMIT, None),
    "google long delay": ("chat", 429, google(DELAY), {}, LIMIT, 515_092.7),
    "google retry info first": ("chat", 429, google(DELAY, RETRY), {}, LIMIT, 36),
    "google text": ("chat", 429, google(message="Please retry in 36.4s."), {}, LIMIT, 36.4),
    "google 503": ("chat", 503, google(status="UNAVAILABLE", code=503), {}, OVERLOAD, None),
    "google bad key": ("chat", 400, google(message="API key not valid. Please pass one.", code=400), {}, REFUSED, None),
    "google old key": ("chat", 400, google(message="API key expired.", code=400), {}, REFUSED, None),
    "chat 401": ("chat", 401, chat("invalid_api_key"), {}, REFUSED, None),
    "chat 401 alone": ("chat", 401, b"<html>", {}, REFUSED, None),
    "chat 403": ("chat", 403, chat("unsupported_country"), {}, REFUSED, None),
    "chat 402": ("chat", 402, chat(402), {}, QUOTA, None),
    "messages 401": ("messages", 401, messages("authentication_error"), {}, REFUSED, None),
    "messages 403": ("messages", 403, messages("permission_error"), {}, REFUSED, None),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_quota_and_transient(row: Row) -> None:
    protocol, status, body, headers, expected, wait = row
    verdict = judged(protocol, status, body, headers)
    assert meaning(verdict) == expected
    assert verdict.retry_after_seconds == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
@pytest.mark.parametrize(
    "words",
    ["invalid api key", "authentication failed: 401", LOW, "workspace has reached it", "API key not valid", REACHED],
)
@pytest.mark.parametrize("protocol", ["chat", "messages"])
@pytest.mark.pitfall("P-130")
def test_a_5xx_is_the_servers_whatever_it_says(protocol: str, status: int, words: str) -> None:
    body = {"error": {"message": words}}
    assert judged(protocol, status, body).blame in ("provider", "network")
    assert judged(protocol, status, words.encode(), {"content-type": "text/plain"}).blame in ("provider", "network")


@pytest.mark.parametrize(
    "words",
    [
        "Failed to generate an accurate answer",
        "messages.0.content: unknown field 'author'",
        "the quota of apples in your prompt",
        "error 403 happened in tool_result",
        "max_tokens: too long",
        "image exceeds the rate of 5 MB",
        "unauthorized is not a valid role",
        "this key is not valid: temperatur",
        "credit balances are too lowly described",
        "an organization chart was expected",
        "rate_limit is an unknown parameter",
    ],
)
def test_words_in_prose_are_no_signals(words: str) -> None:
    """Substring traps of engine.md 9.6."""
    assert meaning(judged("chat", 400, chat(None, "invalid_request_error", words))) == REQUEST
    assert meaning(judged("messages", 400, messages("invalid_request_error", words))) == REQUEST


@pytest.mark.parametrize("status", [404, 405, 413, 422])
def test_texts_count_at_400_only(status: int) -> None:
    assert judged("chat", status, chat(None, "invalid_request_error", LOW)).blame in ("client", "model")


def test_far_behind_no_text_is_searched() -> None:
    error = NeutralError(ErrorKind.BAD_REQUEST, "x" * 2_000 + LOW, 400)
    assert meaning(classify(error, {}, NOW)) == REQUEST


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_a_verdict(kind: ErrorKind) -> None:
    verdict = classify(NeutralError(kind, "No.", STATUS[kind]), {}, NOW)
    assert verdict == TABLE[kind] and verdict.source == "status" and verdict.retry_after_seconds is None


BLAMES = {
    "client": {"bad_request", "context_too_long", "method", "too_large", "unprocessable"},
    "model": {"not_found", "not_implemented"},
    "credential": {"auth", "billing", "permission", "rate_limited", "quota_exhausted"},
    "provider": {"conflict", "cancelled", "server", "overloaded"},
    "network": {"timeout_client", "bad_gateway", "upstream_timeout"},
}


def test_who_is_to_blame_by_kind() -> None:
    """Column "neutral class" of protocols.md 1.8 and the bullets of engine.md 9.6."""
    found: dict[str, set[str]] = {}
    for kind, verdict in TABLE.items():
        found.setdefault(verdict.blame, set()).add(kind.value)
    assert found == BLAMES


#: What is not asked of an answer above: what it is about, and the word for it.
MEANT = {
    "bad_request": ("request", "bad_request"),
    "context_too_long": ("request", "bad_request"),
    "not_found": ("request", "not_found"),
    "not_implemented": ("request", "not_implemented"),
    "timeout_client": ("provider", "timeout"),
    "upstream_timeout": ("provider", "timeout"),
    "bad_gateway": ("provider", "bad_gateway"),
    "conflict": ("provider", "conflict"),
    "cancelled": ("provider", "cancelled"),
    "server": ("provider", "server_error"),
}


@pytest.mark.parametrize("kind", MEANT)
def test_what_an_error_is_about_by_kind(kind: str) -> None:
    verdict = TABLE[ErrorKind(kind)]
    assert (verdict.scope, verdict.reason) == MEANT[kind]


def test_a_quota_that_resets_is_a_limit_with_a_time() -> None:
    verdict = judged("chat", 429, chat("insufficient_quota"), {"retry-after": "3600"})
    assert meaning(verdict) == ("credential", "model", "quota") and verdict.retry_after_seconds == 3_600
    assert meaning(judged("chat", 402, chat("billing_not_active"), {"retry-after": "3600"})) == QUOTA


def test_a_time_is_looked_for_in_headers_then_body_then_text() -> None:
    body = google(RETRY, message="Please retry in 9s.")
    assert judged("chat", 429, body, {"retry-after": "7"}).retry_after_seconds == 7
    assert judged("chat", 429, body).retry_after_seconds == 36
    assert judged("chat", 429, google(message="Please retry in 9s.")).retry_after_seconds == 9


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind not in TIMED])
def test_other_errors_state_no_time(kind: ErrorKind) -> None:
    error = NeutralError(kind, "Please retry in 9s.", STATUS[kind])
    assert classify(error, {"retry-after": "7"}, NOW).retry_after_seconds is None


def test_the_source_of_a_verdict() -> None:
    assert judged("chat", 429, b"").source == "status"
    assert judged("chat", 429, chat("insufficient_quota")).source == "body"
    assert judged("messages", 400, messages("invalid_request_error", LOW)).source == "text"


HEADERS = st.dictionaries(st.text(), st.text())


@given(st.sampled_from(list(ErrorKind)), st.text(st.characters()), st.integers(0, 599), HEADERS)
def test_nothing_breaks_it(kind: ErrorKind, message: str, status: int, headers: dict[str, str]) -> None:
    verdict = classify(NeutralError(kind, message, status), headers, NOW)
    if status != 400:
        assert meaning(verdict)[0] == TABLE[kind].blame
