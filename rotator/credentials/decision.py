"""The decision record: which key a choice fell on, and why on none of the others.  Source: ideas.md D5, design.md 6.

It is what selection itself produces: the trace, ``/v1/explain``, the header and the error of a request that no key may
serve are all made from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from rotator.contracts import Credential, Target

ReasonCode = Literal[
    "tier", "concurrency", "cooldown", "window", "cap", "fair_cycle", "pin", "bound_state", "rejected", "tried"
]

#: Of these the end is a promise: a request may come back then.
TIMED: Final[frozenset[ReasonCode]] = frozenset({"cooldown", "window", "cap", "fair_cycle"})


class Reason(NamedTuple):
    """Why a key is left out.  ``until`` is monotonic seconds, None where no end is known."""

    code: ReasonCode
    until: float | None
    detail: str


class Candidate(NamedTuple):
    """A key and the reasons why it is left out; eligible without any."""

    credential: Credential
    reasons: tuple[Reason, ...]

    @property
    def eligible(self) -> bool:
        return not self.reasons

    def has(self, code: ReasonCode) -> bool:
        return any(reason.code == code for reason in self.reasons)

    @property
    def only_busy(self) -> bool:
        """Whether it would serve if it had a free place: worth waiting for."""
        return bool(self.reasons) and all(reason.code == "concurrency" for reason in self.reasons)


class Decision(NamedTuple):
    """One choice.  ``now`` is monotonic, ``at`` unix seconds of the same moment; ``why`` says what decided.

    ``probe``: every key was rejected and this one is tried all the same.
    """

    target: Target
    candidates: Sequence[Candidate]
    chosen: Credential | None
    why: str
    probe: bool
    now: float
    at: float

    def unix(self, until: float | None) -> float | None:
        """A monotonic time of the record in unix seconds, to the millisecond."""
        return None if until is None else round(self.at + until - self.now, 3)

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        """``{chosen, why, candidates: [{credential, eligible, reasons: [{code, until, detail}]}]}``; labels, unix s.

        With ``most`` so many candidates, and ``more`` counts the others.
        """
        more = {} if most is None or len(self.candidates) <= most else {"more": len(self.candidates) - most}
        return {
            "chosen": self.chosen.label if self.chosen is not None else None,
            "why": self.why,
            "candidates": [
                {
                    "credential": one.credential.label,
                    "eligible": one.eligible,
                    "reasons": [
                        {"code": reason.code, "until": self.unix(reason.until), "detail": reason.detail}
                        for reason in one.reasons
                    ],
                }
                for one in self.candidates[:most]
            ],
            **more,
        }
