"""OpenAI Chat Completions errors: an upstream's read, ours written.  Source: protocols.md 1.8, 1.10, 4.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import STATUS, ErrorKind, NeutralError, RefusedReply, dumps, kind_of_status

from .._shared import first_text, parse_or_none, text, unreadable

#: ``error.code`` and ``error.type`` words that say more than the status.  Source: protocols.md 1.8 and 1.10.
WORDS: Final[dict[str, ErrorKind]] = {
    "context_length_exceeded": ErrorKind.CONTEXT_TOO_LONG,
    "invalid_api_key": ErrorKind.AUTH,
    "authentication_error": ErrorKind.AUTH,
    "permission_error": ErrorKind.PERMISSION,
    "insufficient_quota": ErrorKind.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": ErrorKind.QUOTA_EXHAUSTED,
    "organization_spend_limit_exceeded": ErrorKind.QUOTA_EXHAUSTED,
    "project_spend_limit_exceeded": ErrorKind.QUOTA_EXHAUSTED,
    "organization_usage_limit_exceeded": ErrorKind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": ErrorKind.BILLING,
    "billing_not_active": ErrorKind.BILLING,
    "rate_limit_exceeded": ErrorKind.RATE_LIMITED,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "model_not_found": ErrorKind.NOT_FOUND,
    "server_is_overloaded": ErrorKind.OVERLOADED,
    "slow_down": ErrorKind.OVERLOADED,
    "service_unavailable_error": ErrorKind.OVERLOADED,
    "server_error": ErrorKind.SERVER,
}

#: kind -> (type, code) of our own refusals.  Source: protocols.md 1.8, column "OpenAI type / code".
WRITTEN: Final[dict[ErrorKind, tuple[str, str | None]]] = {
    ErrorKind.BAD_REQUEST: ("invalid_request_error", None),
    ErrorKind.CONTEXT_TOO_LONG: ("invalid_request_error", "context_length_exceeded"),
    ErrorKind.AUTH: ("authentication_error", "invalid_api_key"),
    ErrorKind.BILLING: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.PERMISSION: ("permission_error", None),
    ErrorKind.NOT_FOUND: ("invalid_request_error", None),
    ErrorKind.METHOD: ("invalid_request_error", "method_not_allowed"),
    ErrorKind.TIMEOUT_CLIENT: ("invalid_request_error", "request_timeout"),
    ErrorKind.CONFLICT: ("invalid_request_error", "conflict"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", None),
    ErrorKind.UNPROCESSABLE: ("invalid_request_error", None),
    ErrorKind.RATE_LIMITED: ("rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.QUOTA_EXHAUSTED: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.CANCELLED: ("server_error", "cancelled"),
    ErrorKind.SERVER: ("server_error", None),
    ErrorKind.NOT_IMPLEMENTED: ("server_error", "not_implemented"),
    ErrorKind.BAD_GATEWAY: ("server_error", "bad_gateway"),
    ErrorKind.OVERLOADED: ("service_unavailable_error", "server_is_overloaded"),
    ErrorKind.UPSTREAM_TIMEOUT: ("server_error", "timeout"),
}


#: Members of OpenRouter's ``metadata`` that make a 403 one about the content, not the key.
MODERATED: Final = frozenset({"reasons", "flagged_input"})


def kind_of(error: Mapping[str, Any], status: int) -> ErrorKind:
    """The kind by structured words first (code, then type), then a numeric code (OpenRouter), then the status.

    A 404 stays "not found" whatever its generic type says; ``invalid_request_error`` is no word: it goes with many.
    """
    for word in (error.get("code"), error.get("type")):
        if isinstance(word, str) and word in WORDS:
            if word == "slow_down" and status == 429:
                return ErrorKind.RATE_LIMITED
            return WORDS[word]
    code = error.get("code")
    if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit():
        code = int(code)
    if status < 400 and isinstance(code, int) and 400 <= code <= 599:
        return kind_of_status(code)
    return kind_of_status(status) if status >= 300 else ErrorKind.SERVER


def neutral(error: Any, status: int, envelope: Any, name: str) -> NeutralError:
    """An ``error`` member, object or bare string, as a neutral error; ``envelope`` is what carried it."""
    if not isinstance(error, dict):
        error = {"message": error}
    kind = kind_of(error, status)
    metadata = error.get("metadata")
    if kind is ErrorKind.PERMISSION and isinstance(metadata, dict) and not MODERATED.isdisjoint(metadata):
        kind = ErrorKind.BAD_REQUEST
    if status < 300:
        status = STATUS[kind]
    message = first_text((error.get("message"), error.get("code"), error.get("type"))) or f"upstream error {status}"
    code = error.get("code")
    return NeutralError(
        kind,
        message,
        status,
        code=str(code)[:200] if isinstance(code, str | int) else None,
        type=text(error.get("type")),
        param=text(error.get("param")),
        envelope=envelope,
        protocol=name,
    )


def read_error(status: int, headers: Mapping[str, str], body: bytes, name: str) -> NeutralError:
    """An upstream's error answer: ``{"error":{...}}``, and what compatible servers send instead of it.

    Those are ``{"error":"text"}``, ``{"detail":...}``, ``{"message":...}``, an array of one.  Source: protocols.md 1.8.
    """
    parsed = parse_or_none(body)
    if isinstance(parsed, list) and len(parsed) == 1:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return unreadable(status, headers, body, kind_of_status(status))
    if parsed.get("error"):
        envelope = parsed if isinstance(parsed["error"], dict) else None
        return neutral(parsed["error"], status, envelope, name)
    detail = parsed.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        detail = detail[0].get("msg")
    if isinstance(detail, dict):
        detail = detail.get("message")
    found = {"message": first_text((parsed.get("message"), detail)), "code": parsed.get("code")}
    return neutral(found, status, None, name)


def error_object(error: NeutralError, name: str) -> dict[str, Any]:
    """The envelope of this protocol; a vendor's own one passes field by field."""
    if error.protocol == name and isinstance(error.envelope, dict):
        return error.envelope
    kind_type, kind_code = WRITTEN[error.kind]
    code = error.code if error.code is not None else kind_code
    return {"error": {"message": error.message, "type": kind_type, "param": error.param, "code": code}}


def refuse(error: NeutralError, name: str) -> RefusedReply:
    """Status and body; 529 is Anthropic's own and becomes 503 here.  Source: protocols.md 1.8, rules."""
    status = 503 if error.status == 529 else error.status
    return RefusedReply(status, dumps(error_object(error, name)))
