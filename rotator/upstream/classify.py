"""What an error means: one table from neutral errors to verdicts.  A provider with ways of its own overrides it.

Order: the structured body (already in the error's kind), then the status, then words in the text, with word
boundaries and never over a 5xx.  Sources: protocols.md 1.10, engine.md 9.6, design.md 2.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rotator.contracts import Verdict
from rotator.neutral.error import ErrorKind, NeutralError
from rotator.upstream import retry_after

_REQUEST: Final = Verdict("client", "request", "bad_request")
_REJECTED: Final = Verdict("credential", "credential", "rejected")
_BALANCE: Final = Verdict("credential", "credential", "balance")
_LIMITED: Final = Verdict("credential", "model", "rate_limit")

TABLE: Final[Mapping[ErrorKind, Verdict]] = {
    ErrorKind.BAD_REQUEST: _REQUEST,
    ErrorKind.CONTEXT_TOO_LONG: _REQUEST,
    ErrorKind.AUTH: _REJECTED,
    ErrorKind.BILLING: _BALANCE,
    ErrorKind.PERMISSION: _REJECTED,
    ErrorKind.NOT_FOUND: Verdict("model", "request", "not_found"),
    ErrorKind.METHOD: _REQUEST,
    ErrorKind.TIMEOUT_CLIENT: Verdict("network", "provider", "timeout"),
    ErrorKind.CONFLICT: Verdict("provider", "provider", "conflict"),
    ErrorKind.TOO_LARGE: _REQUEST,
    ErrorKind.UNPROCESSABLE: _REQUEST,
    ErrorKind.RATE_LIMITED: _LIMITED,
    ErrorKind.QUOTA_EXHAUSTED: _BALANCE,
    ErrorKind.CANCELLED: Verdict("provider", "provider", "cancelled"),
    ErrorKind.SERVER: Verdict("provider", "provider", "server_error"),
    ErrorKind.NOT_IMPLEMENTED: Verdict("model", "request", "not_implemented"),
    ErrorKind.BAD_GATEWAY: Verdict("network", "provider", "bad_gateway"),
    ErrorKind.OVERLOADED: Verdict("provider", "provider", "overloaded"),
    ErrorKind.UPSTREAM_TIMEOUT: Verdict("network", "provider", "timeout"),
}

#: 400s that are about the key, told apart by their text only.  Source: protocols.md 1.10 (Anthropic rows), 1.8.
_TEXTS: Final = (
    (re.compile(r"\bcredit balance is too low\b", re.I), _BALANCE),
    (re.compile(r"\breached your specified api usage limits?\b", re.I), _BALANCE),
    (re.compile(r"\b(?:workspace|organization) (?:has reached|spend limit|usage limit)\b", re.I), _BALANCE),
    (re.compile(r"\b(?:api key not valid|invalid api key|api key expired)\b", re.I), _REJECTED),
)
_TEXT_LIMIT: Final = 2_000


def classify(error: NeutralError, headers: Mapping[str, str], now: float) -> Verdict:
    """The verdict on one failed attempt.  ``now`` is unix seconds, for stated times.

    A quota that the vendor says will reset is a limit with a time, not an empty account.
    """
    verdict, source = TABLE[error.kind], "status" if error.code is None and error.type is None else "body"
    if verdict is _REQUEST and error.status == 400:
        for pattern, meant in _TEXTS:
            if pattern.search(error.message[:_TEXT_LIMIT]):
                verdict, source = meant, "text"
                break
    wait, told_in = _stated(error, headers, now)
    if verdict is _BALANCE and wait is not None and error.kind is ErrorKind.QUOTA_EXHAUSTED:
        verdict = Verdict("credential", "model", "quota")
    return Verdict(verdict.blame, verdict.scope, verdict.reason, wait, told_in or source)


def _stated(error: NeutralError, headers: Mapping[str, str], now: float) -> tuple[float | None, str]:
    """When the vendor says that it may be asked again, and where: headers, body, text; limits and overload only."""
    if error.kind not in (ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED, ErrorKind.OVERLOADED):
        return None, ""
    if (found := retry_after.from_headers(headers, now)) is not None:
        return found, "header"
    if (found := retry_after.from_body(error.envelope)) is not None:
        return found, "body"
    found = retry_after.from_text(error.message)
    return found, "" if found is None else "text"
