"""How far one request has come on one target: which keys it used up, and when it may ask them again (design.md 2.3).

The server's trips and the simulated ones go by it; pausing and asking are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from rotator.contracts import Verdict
from rotator.routing.decide import counts

F = TypeVar("F")

#: The pause before the same key is asked again after a fault, doubling; both are varied by a fifth.
BACKOFF_SECONDS: Final = 0.5
BACKOFF_LONGEST_SECONDS: Final = 5.0


@dataclass(slots=True)
class Progress(Generic[F]):
    """``targets_left`` are those behind this one; keys stand by id, ``last`` and ``fault`` are the last failures."""

    targets_left: int = 0
    tried: set[str] = field(default_factory=set)
    limited: set[str] = field(default_factory=set)
    faulted: set[str] = field(default_factory=set)
    again: int = 0
    last: F | None = None
    fault: F | None = None

    def failed(self, key: str, verdict: Verdict, failure: F, *, sent: bool = True) -> bool:
        """An attempt with a key failed; whether it uses up the budget of attempts."""
        self.last = failure
        self.tried.add(key)
        if sent and counts(verdict):
            self.faulted.add(key)
            self.fault = failure
            return True
        if verdict.scope == "model":
            self.limited.add(key)
        return False

    def limits_ended(self) -> None:
        """Keys that were only limited may be asked again."""
        self.tried -= self.limited

    def pause_seconds(self, same_key: int) -> float | None:
        """Before the keys that failed are asked once more; None where none did, or that was so often already."""
        if not self.faulted or self.again >= same_key:
            return None
        return min(BACKOFF_SECONDS * float(2**self.again), BACKOFF_LONGEST_SECONDS)

    def paused(self) -> None:
        """The pause is over: keys that failed may be asked again."""
        self.again += 1
        self.tried -= self.faulted
        self.faulted.clear()
