"""The ledger of one key: what is claimed about it, by whom, until when.  Source: design.md 2.4, ideas.md D8.

Three kinds of claims: what the vendor stated excludes the key until then, for a model, its quota group, the key or the
whole provider; a rejection excludes it for all models; a guess only puts it behind its peers. Times are monotonic
seconds, passed in; nothing here reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from rotator.contracts import Outcome, Verdict
from rotator.upstream.retry_after import LONGEST_SECONDS

LIMIT_FIRST_SECONDS: Final = 5.0
LIMIT_LONGEST_SECONDS: Final = 60.0
REJECTION_FIRST_SECONDS: Final = 60.0
REJECTION_LONGEST_SECONDS: Final = 3_600.0
#: Limits that have passed are forgotten beyond this many: model names come from clients.
LIMITS_KEPT: Final = 256
#: A rejected key is probed at the earliest so long after its last rejection.
PROBE_AFTER_SECONDS: Final = 5.0
#: How long a guess puts a key behind its peers.
DOUBT_SECONDS: Final = 60.0
_STRIKES_COUNTED: Final = 10

#: The place of a limit on the whole provider.
PROVIDER: Final = "the whole provider"

Scope = Literal["key+model", "group", "key", "provider"]
Confidence = Literal["stated", "assumed"]


@dataclass(slots=True)
class Claim:
    """One belief: until when (monotonic seconds), on whose word, how surely.

    ``confidence`` is ``stated`` where the vendor named the time, ``assumed`` where only that there is a limit was
    said. ``evidence`` is the id of the request that brought it. ``strikes`` counts claims in a row without a time.
    """

    scope: Scope
    until: float
    source: str
    confidence: Confidence
    reason: str
    evidence: str = ""
    said_at: float = -math.inf
    strikes: int = 0

    def shown(self, place: str) -> str:
        """``rate_limit for big (stated, header), told to req_1``."""
        told = f", told to {self.evidence}" if self.evidence else ""
        return f"{self.reason} for {place} ({self.confidence}, {self.source}){told}"


@dataclass(slots=True)
class Learnt:
    """How an attempt ended, as the ledger takes it in.

    ``place`` is the model, or its quota group, that a limit is about; ``began`` is when the attempt did.
    """

    place: str
    grouped: bool
    outcome: Outcome
    began: float
    evidence: str = ""


@dataclass(slots=True)
class Limits:
    """Stated and assumed limits by place.  Of two claims about one place the surer and longer one holds."""

    held: dict[str, Claim] = field(default_factory=dict)

    def until(self, places: Sequence[str], now: float) -> tuple[str, Claim] | None:
        """The claim that lasts longest of those which exclude now, with its place."""
        found: tuple[str, Claim] | None = None
        for place in places:
            claim = self.held.get(place)
            if claim is not None and claim.until > now and (found is None or claim.until > found[1].until):
                found = place, claim
        return found

    def add(self, place: str, scope: Scope, verdict: Verdict, learnt: Learnt, now: float) -> Claim | None:
        """A vendor's limit; the claim that holds now, None if nothing new was said.

        A longer claim is never shortened; one without a time changes nothing while a stated one lasts, and says
        nothing new where the attempt was under way when the last one came.
        """
        if len(self.held) >= LIMITS_KEPT:
            self.held = {name: kept for name, kept in self.held.items() if kept.until > now}
        before = self.held.get(place)
        stated = verdict.retry_after_seconds
        if isinstance(stated, int | float) and stated > 0:
            until = now + min(stated, LONGEST_SECONDS)
            if before is not None and before.until >= until:
                before.strikes, before.said_at = 0, now
                return before
            claim = Claim(scope, until, verdict.source, "stated", verdict.reason, learnt.evidence, now)
        else:
            if before is not None:
                if learnt.began <= before.said_at or (before.confidence == "stated" and before.until > now):
                    return None
            strikes = before.strikes if before is not None else 0
            wait = min(LIMIT_FIRST_SECONDS * 2**strikes, LIMIT_LONGEST_SECONDS)
            until = max(now + wait, before.until if before is not None else now)
            strikes = min(strikes + 1, _STRIKES_COUNTED)
            claim = Claim(scope, until, verdict.source, "assumed", verdict.reason, learnt.evidence, now, strikes)
        self.held[place] = claim
        return claim

    def served(self, places: Sequence[str], now: float) -> None:
        """An answer came: a row of limits ends. One that still lasts is the vendor's word and holds."""
        for place in places:
            claim = self.held.get(place)
            if claim is None:
                continue
            if claim.until > now:
                claim.strikes = 0
            else:
                del self.held[place]


@dataclass(slots=True)
class Ledger:
    """All that is claimed about one key."""

    limits: Limits = field(default_factory=Limits)
    rejection: Claim | None = None
    doubted_until: float = -math.inf

    def rejected(self, now: float) -> Claim | None:
        """The rejection that excludes the key now."""
        return self.rejection if self.rejection is not None and self.rejection.until > now else None

    def learn(self, learnt: Learnt, now: float) -> Claim | None:
        """Take in how an attempt ended; the limit that it brought, of any scope, None if none.

        A limit of scope ``provider`` is for the caller to keep: it is about more than this key.
        """
        outcome = learnt.outcome
        verdict = outcome.verdict
        if outcome.ended == "ok":
            self.rejection = None
            self.doubted_until = -math.inf
            self.limits.served((learnt.place,), now)
            return None
        if verdict is None:
            return None
        if verdict.blame != "credential":
            if verdict.blame in ("provider", "network"):
                self.doubted_until = now + DOUBT_SECONDS
            if verdict.source != "transport":
                self.rejection = None  # an answer that is no rejection
            return None
        if verdict.scope == "model":
            self.rejection = None
            scope: Scope = "group" if learnt.grouped else "key+model"
            return self.limits.add(learnt.place, scope, verdict, learnt, now)
        if verdict.scope == "provider":
            self.rejection = None
        else:
            self._reject(verdict, learnt, now)
        return None

    def _reject(self, verdict: Verdict, learnt: Learnt, now: float) -> None:
        before = self.rejection
        if before is not None and learnt.began <= before.said_at:
            return  # under way when the key was rejected before: told once
        strikes = before.strikes + 1 if before is not None else 0
        wait = min(REJECTION_FIRST_SECONDS * 2 ** min(strikes, _STRIKES_COUNTED), REJECTION_LONGEST_SECONDS)
        self.rejection = Claim(
            "key", now + wait, verdict.source, "assumed", verdict.reason, learnt.evidence, now, strikes
        )
