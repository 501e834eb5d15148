"""Anthropic Messages errors: an upstream's read, ours written.  Source: protocols.md 1.8, 1.10, 4.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import STATUS, ErrorKind, NeutralError, RefusedReply, dumps, kind_of_status

from .._reading import UNKEPT
from .._shared import first_text, parse_or_none, text, unreadable

#: ``error.type`` literals of the SDK.  ``invalid_request_error`` goes with many statuses and says nothing by itself.
TYPES: Final[dict[str, ErrorKind]] = {
    "authentication_error": ErrorKind.AUTH,
    "billing_error": ErrorKind.BILLING,
    "permission_error": ErrorKind.PERMISSION,
    "not_found_error": ErrorKind.NOT_FOUND,
    "request_too_large": ErrorKind.TOO_LARGE,
    "conflict_error": ErrorKind.CONFLICT,
    "rate_limit_error": ErrorKind.RATE_LIMITED,
    "timeout_error": ErrorKind.UPSTREAM_TIMEOUT,
    "overloaded_error": ErrorKind.OVERLOADED,
    "api_error": ErrorKind.SERVER,
}

#: ``error.details.error_code`` words, which the SDK looks at first.  Source: protocols.md 1.8, 1.10.
CODES: Final[dict[str, ErrorKind]] = {
    "enforced_spend_limit_reached": ErrorKind.QUOTA_EXHAUSTED,
    "contract_spend_limit_reached": ErrorKind.QUOTA_EXHAUSTED,
    "ramp_limit_exceeded": ErrorKind.RATE_LIMITED,
}

#: Codes of our own refusals that official SDKs know how to do without: their tool runners then send whole
#: conversations.  Source: clients.md 2 (``beta.messages.tool_runner``).
DETAILED: Final[dict[str | None, str]] = {UNKEPT: "thread_unsupported_request"}

#: kind -> ``error.type`` of our own refusals.  Source: protocols.md 1.8, column "Anthropic type".
WRITTEN: Final[dict[ErrorKind, str]] = {
    ErrorKind.AUTH: "authentication_error",
    ErrorKind.BILLING: "billing_error",
    ErrorKind.PERMISSION: "permission_error",
    ErrorKind.NOT_FOUND: "not_found_error",
    ErrorKind.CONFLICT: "conflict_error",
    ErrorKind.TOO_LARGE: "request_too_large",
    ErrorKind.RATE_LIMITED: "rate_limit_error",
    ErrorKind.QUOTA_EXHAUSTED: "rate_limit_error",
    ErrorKind.CANCELLED: "api_error",
    ErrorKind.SERVER: "api_error",
    ErrorKind.NOT_IMPLEMENTED: "api_error",
    ErrorKind.BAD_GATEWAY: "api_error",
    ErrorKind.OVERLOADED: "overloaded_error",
    ErrorKind.UPSTREAM_TIMEOUT: "timeout_error",
}


def neutral(body: Mapping[str, Any], status: int, name: str) -> NeutralError:
    """``{"type":"error","error":{"type","message","details"}}``; an in-band one comes with status 200."""
    found = body.get("error")
    error = found if isinstance(found, dict) else {"message": found}
    details = error.get("details")
    code = text(details.get("error_code")) if isinstance(details, dict) else None
    kind = CODES.get(code or "") or TYPES.get(text(error.get("type")) or "")
    if kind is None and status < 300 and error.get("type") == "invalid_request_error":
        kind = ErrorKind.BAD_REQUEST  # in-band: no other key would be told otherwise
    if kind is None:
        kind = kind_of_status(status) if status >= 300 else ErrorKind.SERVER
    if status < 300:
        status = 529 if kind is ErrorKind.OVERLOADED else STATUS[kind]
    message = first_text((error.get("message"), error.get("type"))) or f"upstream error {status}"
    envelope = dict(body) if isinstance(found, dict) else None
    return NeutralError(kind, message, status, code, text(error.get("type")), envelope=envelope, protocol=name)


def read_error(status: int, headers: Mapping[str, str], body: bytes, name: str) -> NeutralError:
    """An upstream's error answer; compatible servers also send ``{"error":"text"}`` and ``{"message":...}``."""
    parsed = parse_or_none(body)
    if not isinstance(parsed, dict):
        return unreadable(status, headers, body, kind_of_status(status))
    if not parsed.get("error"):
        parsed = {"error": first_text((parsed.get("message"), parsed.get("detail")))}
    return neutral(parsed, status, name)


def error_object(error: NeutralError, name: str) -> dict[str, Any]:
    """The envelope of this protocol; a vendor's own one passes field by field."""
    if error.protocol == name and isinstance(error.envelope, dict):
        return error.envelope
    written: dict[str, Any] = {"type": WRITTEN.get(error.kind, "invalid_request_error"), "message": error.message}
    if error.code in DETAILED:
        written["details"] = {"error_code": DETAILED[error.code]}
    return {"type": "error", "error": written, "request_id": error.request_id}


def refuse(error: NeutralError, name: str) -> RefusedReply:
    """Status and body; 503 is 529 here, both are retried by the SDKs.  Source: protocols.md 1.8, rules.

    A 503 of our own (no key free) keeps its status: 529 would blame the vendor.
    """
    vendors = error.protocol is not None
    status = 529 if vendors and error.status == 503 and error.kind is ErrorKind.OVERLOADED else error.status
    return RefusedReply(status, dumps(error_object(error, name)))
