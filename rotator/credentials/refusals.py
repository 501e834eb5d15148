"""Why no key is left, told truthfully: status, Retry-After, and each key's label, reason and time.

Source: design.md 2.4, "No key left" and the list of reason words in 6.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from rotator.credentials.decision import TIMED, Candidate, Decision
from rotator.neutral.error import ErrorKind, NeutralError

#: Beyond this a client should not wait by itself: real clients sleep for as long as Retry-After says (clients.md 1.3).
PATIENCE_SECONDS: Final = 60.0
LIMITED: Final = "rate_limit_exceeded"

def none_left(decision: Decision) -> tuple[NeutralError, float | None]:
    """The error for a request that no key may serve, and the seconds until one may (None: unknown)."""
    candidates, target, now = decision.candidates, decision.target, decision.now
    name = f"{target.provider}/{target.model}"
    if not candidates:
        return NeutralError(ErrorKind.OVERLOADED, f"{name}: the provider has no key", 503, "no_credential"), None
    wanted = [candidate for candidate in candidates if not candidate.has("pin")]
    listing = "; ".join(_line(candidate, now) for candidate in candidates)
    out = [candidate for candidate in wanted if not candidate.has("rejected") and not candidate.has("tier")]
    ends = [end for candidate in out if (end := _end(candidate)) is not None]
    if any(candidate.only_busy for candidate in candidates):
        return NeutralError(ErrorKind.OVERLOADED, f"{name}: no key is free ({listing})", 503, "no_credential"), None
    if ends:
        wait = max(0.0, min(ends) - now)
        return _limited(f"{name}: no key can be used now ({listing})", wait), wait
    if any(reason.code in TIMED for candidate in out for reason in candidate.reasons):
        error = NeutralError(ErrorKind.RATE_LIMITED, f"{name}: no key can be used ({listing})", 429, LIMITED)
        return replace(error, should_retry=False), None  # out, and nobody knows until when
    able = [candidate for candidate in wanted if not candidate.has("tier")]
    if able and all(candidate.has("rejected") for candidate in able):
        message = f"{name}: every key was rejected by the vendor ({listing})"
        return _hopeless(message, "all_credentials_rejected"), None
    if wanted and not able:
        message = f"{name}: no key is of the tier that the model needs ({listing})"
        return _hopeless(message, "no_credential"), None
    return NeutralError(ErrorKind.OVERLOADED, f"{name}: no key is left ({listing})", 503, "no_credential"), None


def _hopeless(message: str, code: str) -> NeutralError:
    """Not "overloaded": an agent asks again for minutes what calls itself that, whatever `x-should-retry` says.

    Source: observed, tests/agents/sessions_claude_code_errors.py.
    """
    return NeutralError(ErrorKind.SERVER, message, 503, code, should_retry=False)


def _limited(message: str, wait: float) -> NeutralError:
    patient = None if wait <= PATIENCE_SECONDS else False
    return NeutralError(
        ErrorKind.RATE_LIMITED,
        message,
        429,
        LIMITED,
        retry_after_seconds=math.ceil(wait * 1000) / 1000,
        should_retry=patient,
    )


def _end(candidate: Candidate) -> float | None:
    """When a key that is only limited comes back: what keeps it out must all have ended."""
    ends: list[float] = []
    for reason in candidate.reasons:
        if reason.code in TIMED:
            if reason.until is None:
                return None
            ends.append(reason.until)
    return max(ends, default=None)


def _line(candidate: Candidate, now: float) -> str:
    """Label, reason, time.  That a limited key was tried as well says nothing more."""
    words = []
    standing = [reason for reason in candidate.reasons if reason.code != "tried"]
    for reason in standing or candidate.reasons:
        wait = f" for {max(0, math.ceil(reason.until - now))} s" if reason.until is not None else ""
        words.append(f"{reason.code}{wait}")
    return f"{candidate.credential.label}: {', '.join(words) or 'free'}"
