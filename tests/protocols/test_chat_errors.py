"""The Chat Completions adapter by itself: errors of an upstream, read, and ours in the vendors' words."""

import json
from typing import Any

import pytest

from rotator.neutral.error import STATUS, ErrorKind, NeutralError, error_of
from tests.upstreams import PROTOCOLS

CHAT = PROTOCOLS["chat"]
K = ErrorKind

ERRORS = [
    # status, body -> kind, message, code, type, param
    (400, {"error": {"message": "m", "type": "invalid_request_error", "param": "p", "code": None}},
     K.BAD_REQUEST, "m", None, "invalid_request_error", "p"),
    (400, {"error": {"message": "m", "code": "context_length_exceeded"}},
     K.CONTEXT_TOO_LONG, "m", "context_length_exceeded", None, None),
    (401, {"error": {"message": "m", "type": "invalid_request_error", "code": "invalid_api_key"}},
     K.AUTH, "m", "invalid_api_key", "invalid_request_error", None),
    (403, {"error": {"message": "m"}}, K.PERMISSION, "m", None, None, None),
    (404, {"error": {"message": "m", "type": "invalid_request_error"}},
     K.NOT_FOUND, "m", None, "invalid_request_error", None),
    (404, {"error": {"message": "m", "code": "model_not_found"}}, K.NOT_FOUND, "m", "model_not_found", None, None),
    (413, {"error": {"message": "m"}}, K.TOO_LARGE, "m", None, None, None),
    (429, {"error": {"message": "m", "type": "requests", "code": "rate_limit_exceeded"}},
     K.RATE_LIMITED, "m", "rate_limit_exceeded", "requests", None),
    (429, {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}},
     K.QUOTA_EXHAUSTED, "m", "insufficient_quota", "insufficient_quota", None),
    (429, {"error": {"message": "m", "type": "tokens", "code": "credit_balance_exhausted"}},
     K.QUOTA_EXHAUSTED, "m", "credit_balance_exhausted", "tokens", None),
    (402, {"error": {"message": "m", "code": "billing_hard_limit_reached"}},
     K.BILLING, "m", "billing_hard_limit_reached", None, None),
    (503, {"error": {"message": "m", "code": "slow_down"}}, K.OVERLOADED, "m", "slow_down", None, None),
    (429, {"error": {"message": "m", "code": "slow_down"}}, K.RATE_LIMITED, "m", "slow_down", None, None),
    (500, {"error": {"message": "m", "type": "server_error"}}, K.SERVER, "m", None, "server_error", None),
    (502, {"error": {"code": 502, "message": "m"}}, K.BAD_GATEWAY, "m", "502", None, None),
    (429, {"error": {"code": 429, "message": "m", "metadata": {}}}, K.RATE_LIMITED, "m", "429", None, None),
    (500, {"error": "just text"}, K.SERVER, "just text", None, None, None),
    (400, {"detail": "text"}, K.BAD_REQUEST, "text", None, None, None),
    (422, {"detail": [{"loc": ["body"], "msg": "required"}]}, K.UNPROCESSABLE, "required", None, None, None),
    (400, {"detail": {"message": "inner"}}, K.BAD_REQUEST, "inner", None, None, None),
    (400, {"message": "outer", "code": "c1"}, K.BAD_REQUEST, "outer", "c1", None, None),
    (400, [{"error": {"message": "in an array"}}], K.BAD_REQUEST, "in an array", None, None, None),
    (400, {"error": {"message": "", "type": "t"}}, K.BAD_REQUEST, "t", None, "t", None),
    (400, {"error": {"message": None, "code": ["x"]}}, K.BAD_REQUEST, "upstream error 400", None, None, None),
    (418, {}, K.BAD_REQUEST, "upstream error 418", None, None, None),
    (400, {"error": {}}, K.BAD_REQUEST, "upstream error 400", None, None, None),
    (529, {"error": {"message": "m"}}, K.OVERLOADED, "m", None, None, None),
    (599, {"error": {"message": "m"}}, K.SERVER, "m", None, None, None),
]


@pytest.mark.pitfall("C248")
@pytest.mark.parametrize("row", ERRORS)
def test_an_upstreams_error_is_read(row: tuple[Any, ...]) -> None:
    status, body, *expected = row
    error = CHAT.read_error(status, {}, json.dumps(body).encode())
    assert [error.kind, error.message, error.code, error.type, error.param] == expected
    assert error.status == status


@pytest.mark.parametrize("body", [b"", b"<html>x</html>", b"[]", b"[1,2]", b"7", b'"text"', b"null", b'{"e', b"\xff"])
@pytest.mark.parametrize(("status", "kind"), [(400, K.BAD_REQUEST), (500, K.SERVER), (429, K.RATE_LIMITED)])
def test_what_is_no_envelope_says_nothing(body: bytes, status: int, kind: ErrorKind) -> None:
    error = CHAT.read_error(status, {"content-type": "text/html"}, body)
    assert (error.kind, error.status, error.envelope) == (kind, status, None)
    assert error.message == f"upstream answered HTTP {status} without an error message"


def test_plain_text_is_told_and_cut() -> None:
    error = CHAT.read_error(500, {"content-type": "text/plain; charset=utf-8"}, b"  no \xff luck " + b"x" * 5_000)
    assert error.message.startswith("no \ufffd luck xxx") and len(error.message) < 2_010
    assert CHAT.read_error(500, {"content-type": "text/plain"}, b" \n").message.startswith("upstream answered")


def test_long_words_are_cut() -> None:
    body = {"error": {"message": "m" * 9_000, "code": "c" * 9_000}}
    error = CHAT.read_error(400, {}, json.dumps(body).encode())
    assert (len(error.message), len(error.code or "")) == (2_000, 200)


#: protocols.md 1.8, columns "HTTP" and "OpenAI type / code".
WRITTEN = [
    (K.BAD_REQUEST, 400, "invalid_request_error", None),
    (K.CONTEXT_TOO_LONG, 400, "invalid_request_error", "context_length_exceeded"),
    (K.AUTH, 401, "authentication_error", "invalid_api_key"),
    (K.BILLING, 402, "insufficient_quota", "insufficient_quota"),
    (K.PERMISSION, 403, "permission_error", None),
    (K.NOT_FOUND, 404, "invalid_request_error", None),
    (K.METHOD, 405, "invalid_request_error", "method_not_allowed"),
    (K.TIMEOUT_CLIENT, 408, "invalid_request_error", "request_timeout"),
    (K.CONFLICT, 409, "invalid_request_error", "conflict"),
    (K.TOO_LARGE, 413, "invalid_request_error", None),
    (K.UNPROCESSABLE, 422, "invalid_request_error", None),
    (K.RATE_LIMITED, 429, "rate_limit_error", "rate_limit_exceeded"),
    (K.QUOTA_EXHAUSTED, 429, "insufficient_quota", "insufficient_quota"),
    (K.CANCELLED, 499, "server_error", "cancelled"),
    (K.SERVER, 500, "server_error", None),
    (K.NOT_IMPLEMENTED, 501, "server_error", "not_implemented"),
    (K.BAD_GATEWAY, 502, "server_error", "bad_gateway"),
    (K.OVERLOADED, 503, "service_unavailable_error", "server_is_overloaded"),
    (K.UPSTREAM_TIMEOUT, 504, "server_error", "timeout"),
]


@pytest.mark.pitfall("C241")
def test_every_kind_has_a_row() -> None:
    assert {row[0] for row in WRITTEN} == set(ErrorKind)


@pytest.mark.pitfall("C241")
@pytest.mark.parametrize(("kind", "status", "type_", "code"), WRITTEN)
def test_our_own_errors_in_the_vendors_words(kind: ErrorKind, status: int, type_: str, code: str | None) -> None:
    reply = CHAT.refuse(error_of(kind, "said", param="p"))
    assert (reply.status, STATUS[kind]) == (status, status)
    assert json.loads(reply.body) == {"error": {"message": "said", "type": type_, "param": "p", "code": code}}
    assert json.loads(CHAT.refuse(error_of(kind, "said", code="own")).body)["error"]["code"] == "own"


def test_only_its_own_envelope_passes() -> None:
    envelope = {"error": {"message": "m", "odd": [1]}, "more": True}
    own = NeutralError(K.BAD_REQUEST, "m", 418, envelope=envelope, protocol="chat")
    assert (CHAT.refuse(own).status, json.loads(CHAT.refuse(own).body)) == (418, envelope)
    foreign = NeutralError(K.BAD_REQUEST, "m", 400, envelope=envelope, protocol="messages")
    assert set(json.loads(CHAT.refuse(foreign).body)["error"]) == {"message", "type", "param", "code"}
    assert CHAT.refuse(NeutralError(K.OVERLOADED, "m", 529, protocol="messages")).status == 503
