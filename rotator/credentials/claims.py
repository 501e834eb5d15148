"""What is claimed about one key: stated limits, rejections, guesses.  Source: design.md 2.4, "Three kinds of claims".

Times are monotonic seconds, passed in; nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rotator.contracts import Credential, Outcome, Verdict

LIMIT_FIRST_SECONDS: Final = 5.0
LIMIT_LONGEST_SECONDS: Final = 60.0
LIMIT_STATED_LONGEST_SECONDS: Final = 31 * 86_400.0
REJECTION_FIRST_SECONDS: Final = 60.0
REJECTION_LONGEST_SECONDS: Final = 3_600.0
#: Limits that have passed are forgotten beyond this many: model names come from clients.
LIMITS_KEPT: Final = 256
#: A rejected key is probed at the earliest so long after its last rejection.
PROBE_AFTER_SECONDS: Final = 5.0
#: How long a guess puts a key behind its peers.
DOUBT_SECONDS: Final = 60.0


@dataclass(slots=True)
class Limit:
    """The vendor said no more of this model for now.  ``strikes`` counts limits without a stated time in a row."""

    until: float
    strikes: int = 0
    said_at: float = -1.0


@dataclass(slots=True)
class Rejection:
    """The vendor refused the key itself, for all models."""

    until: float
    last_at: float
    strikes: int
    reason: str


@dataclass(slots=True)
class Standing:
    """One key and all that is claimed about it.  ``turn`` orders uses, for round robin."""

    credential: Credential
    limits: dict[str, Limit] = field(default_factory=dict)
    rejection: Rejection | None = None
    doubted_at: float | None = None
    turn: int = 0
    in_use: int = 0

    def limited_until(self, model: str, now: float) -> float | None:
        """Until when the vendor's limit on this model excludes the key; None if it does not."""
        limit = self.limits.get(model)
        return limit.until if limit is not None and limit.until > now else None

    def rejected_until(self, now: float) -> float | None:
        """Until when a rejection excludes the key; None if it does not."""
        return self.rejection.until if self.rejection is not None and self.rejection.until > now else None

    def doubted(self, now: float) -> bool:
        """Whether a recent fault puts the key behind its peers."""
        return self.doubted_at is not None and now - self.doubted_at < DOUBT_SECONDS

    def learn(self, model: str, outcome: Outcome, now: float, began: float | None = None) -> None:
        """Take in how an attempt ended that began at ``began`` (None: now)."""
        began = now if began is None else began
        verdict = outcome.verdict
        if outcome.ended == "ok":
            self.rejection = None
            self.doubted_at = None
            limit = self.limits.get(model)
            if limit is not None and limit.until > now:
                limit.strikes = 0  # an older request's answer: the row ends, the vendor's word holds
            else:
                self.limits.pop(model, None)
        elif verdict is None:
            return
        elif verdict.blame != "credential":
            if verdict.blame in ("provider", "network"):
                self.doubted_at = now
            if verdict.source != "transport":
                self.rejection = None  # an answer that is no rejection
        elif verdict.scope == "model":
            self.rejection = None
            self._limit(model, verdict, now, began)
        else:
            self._reject(verdict, now, began)

    def _limit(self, model: str, verdict: Verdict, now: float, began: float) -> None:
        if len(self.limits) >= LIMITS_KEPT:
            self.limits = {name: kept for name, kept in self.limits.items() if kept.until > now}
        limit = self.limits.setdefault(model, Limit(now))
        stated = verdict.retry_after_seconds
        if stated is not None and stated > 0:
            limit.strikes = 0
            wait = min(stated, LIMIT_STATED_LONGEST_SECONDS)
        elif began <= limit.said_at:
            return  # under way when the vendor said so before: told once
        else:
            wait = min(LIMIT_FIRST_SECONDS * 2**limit.strikes, LIMIT_LONGEST_SECONDS)
            limit.strikes = min(limit.strikes + 1, 10)
        limit.said_at = now
        limit.until = max(limit.until, now + wait)  # a longer claim is never shortened

    def _reject(self, verdict: Verdict, now: float, began: float) -> None:
        if self.rejection is not None and began <= self.rejection.last_at:
            return  # under way when the key was rejected before: told once
        strikes = self.rejection.strikes + 1 if self.rejection else 0
        wait = min(REJECTION_FIRST_SECONDS * 2 ** min(strikes, 10), REJECTION_LONGEST_SECONDS)
        self.rejection = Rejection(now + wait, now, strikes, verdict.reason)
