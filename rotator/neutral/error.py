"""The neutral error: what went wrong, in words that every wire protocol can render.

Source: protocols.md 1.8 (status mapping), 1.10 (quota against throughput).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class ErrorKind(StrEnum):
    """The neutral classes of protocols.md 1.8, first column, and ``method`` for HTTP 405."""

    BAD_REQUEST = "bad_request"
    CONTEXT_TOO_LONG = "context_too_long"
    AUTH = "auth"
    BILLING = "billing"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    METHOD = "method"
    TIMEOUT_CLIENT = "timeout_client"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    CANCELLED = "cancelled"
    SERVER = "server"
    NOT_IMPLEMENTED = "not_implemented"
    BAD_GATEWAY = "bad_gateway"
    OVERLOADED = "overloaded"
    UPSTREAM_TIMEOUT = "upstream_timeout"


#: The HTTP status that a kind has when no vendor's own status is to be kept.
STATUS: Final[dict[ErrorKind, int]] = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.CONTEXT_TOO_LONG: 400,
    ErrorKind.AUTH: 401,
    ErrorKind.BILLING: 402,
    ErrorKind.PERMISSION: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.METHOD: 405,
    ErrorKind.TIMEOUT_CLIENT: 408,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNPROCESSABLE: 422,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.QUOTA_EXHAUSTED: 429,
    ErrorKind.CANCELLED: 499,
    ErrorKind.SERVER: 500,
    ErrorKind.NOT_IMPLEMENTED: 501,
    ErrorKind.BAD_GATEWAY: 502,
    ErrorKind.OVERLOADED: 503,
    ErrorKind.UPSTREAM_TIMEOUT: 504,
}

_BY_STATUS: Final[dict[int, ErrorKind]] = {
    **{
        status: kind
        for kind, status in STATUS.items()
        if kind not in (ErrorKind.CONTEXT_TOO_LONG, ErrorKind.QUOTA_EXHAUSTED)
    },
    529: ErrorKind.OVERLOADED,
}


def kind_of_status(status: int) -> ErrorKind:
    """The kind that a bare HTTP status stands for; unknown 4xx are bad requests, the rest server errors.

    3xx are not followed and count as a bad gateway (faults.md 1, row "redirect").
    """
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return ErrorKind.BAD_REQUEST
    return ErrorKind.SERVER if status >= 500 else ErrorKind.BAD_GATEWAY


@dataclass(frozen=True, slots=True)
class NeutralError:
    """One error, a vendor's or our own.

    ``status`` is the HTTP status that it came with or should leave with. ``code``, ``type`` and ``param`` are the
    machine-readable words of the envelope. ``envelope`` is the vendor's whole error object as wire JSON and
    ``protocol`` the protocol whose envelope it is: a client of that protocol gets it field by field.
    ``should_retry`` becomes ``x-should-retry`` (None: not sent); ``retry_after_seconds`` becomes ``retry-after``.
    """

    kind: ErrorKind
    message: str
    status: int
    code: str | None = None
    type: str | None = None
    param: str | None = None
    envelope: Any = None
    protocol: str | None = None
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    request_id: str | None = None


def bad_event() -> NeutralError:
    """An event that is no JSON object: official SDKs raise a decoder's error on it.  Source: faults.md 1, "toxic"."""
    return error_of(ErrorKind.BAD_GATEWAY, "upstream: an event of the stream is not JSON", code="bad_event")


def error_of(
    kind: ErrorKind,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    should_retry: bool | None = None,
) -> NeutralError:
    """An error of our own, with the status that its kind stands for."""
    return NeutralError(kind, message, STATUS[kind], code=code, param=param, should_retry=should_retry)
