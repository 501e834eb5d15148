"""Why no key is left, told truthfully: status, Retry-After, and each key's label, reason and time.

Source: design.md 2.4, "No key left" and the list of reason words in 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rotator.contracts import Credential, Target
from rotator.neutral.error import ErrorKind, NeutralError

#: Beyond this a client should not wait by itself: real clients sleep for as long as Retry-After says (clients.md 1.3).
PATIENCE_SECONDS: Final = 60.0

ReasonCode = Literal["pin", "tried", "cooldown", "rejected"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a key is left out.  ``until`` is unix seconds, None where no end is known."""

    code: ReasonCode
    until: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key and the reasons why it is left out; eligible without any."""

    credential: Credential
    reasons: tuple[Reason, ...]

    @property
    def eligible(self) -> bool:
        return not self.reasons


def none_left(candidates: Sequence[Candidate], target: Target, now: float) -> tuple[NeutralError, float | None]:
    """The error for a request that no key may serve, and the seconds until one may (None: unknown); ``now`` unix s."""
    ends = [end for candidate in candidates if (end := _limit_end(candidate)) is not None]
    wanted = [candidate for candidate in candidates if not _has(candidate, "pin")]
    listing = "; ".join(_line(candidate, now) for candidate in candidates)
    name = f"{target.provider}/{target.model}"
    if not candidates:
        return NeutralError(ErrorKind.OVERLOADED, f"{name}: the provider has no key", 503, "no_credential"), None
    if ends:
        wait = max(0.0, min(ends) - now)
        return _limited(f"{name}: no key can be used now ({listing})", wait), wait
    if wanted and all(_has(candidate, "rejected") for candidate in wanted):
        message = f"{name}: every key was rejected by the vendor ({listing})"
        error = NeutralError(ErrorKind.OVERLOADED, message, 503, "all_credentials_rejected", should_retry=False)
        return error, None
    return NeutralError(ErrorKind.OVERLOADED, f"{name}: no key is left ({listing})", 503, "no_credential"), None


def _limited(message: str, wait: float) -> NeutralError:
    patient = None if wait <= PATIENCE_SECONDS else False
    return NeutralError(
        ErrorKind.RATE_LIMITED,
        message,
        429,
        "rate_limit_exceeded",
        retry_after_seconds=math.ceil(wait * 1000) / 1000,
        should_retry=patient,
    )


def _has(candidate: Candidate, code: ReasonCode) -> bool:
    return any(reason.code == code for reason in candidate.reasons)


def _limit_end(candidate: Candidate) -> float | None:
    """When a key that is only limited comes back; rejected and pinned-away keys do not count."""
    if _has(candidate, "rejected") or _has(candidate, "pin"):
        return None
    ends = [reason.until for reason in candidate.reasons if reason.code == "cooldown" and reason.until is not None]
    return max(ends, default=None)


def _line(candidate: Candidate, now: float) -> str:
    """Label, reason, time.  That a limited key was tried as well says nothing more."""
    words = []
    standing = [reason for reason in candidate.reasons if reason.code != "tried"]
    for reason in standing or candidate.reasons:
        wait = f" for {max(0, math.ceil(reason.until - now))} s" if reason.until is not None else ""
        words.append(f"{reason.code}{wait}")
    return f"{candidate.credential.label}: {', '.join(words) or 'free'}"
