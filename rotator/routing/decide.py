"""One table: what a verdict makes of an attempt that showed nothing to the client.  Source: design.md 2.3, 2.4, 3."""

from __future__ import annotations

from enum import StrEnum

from rotator.contracts import Verdict


class Action(StrEnum):
    """rotate: another key of the target. fail_over: the next target. stop: the client gets the error."""

    ROTATE = "rotate"
    FAIL_OVER = "fail_over"
    STOP = "stop"


def decide(verdict: Verdict, counted_attempts: int, max_attempts: int, targets_left: int = 0) -> Action:
    """``counted_attempts`` includes this one unless it ended in a limit or a rejection: the keys bound those.

    Each of the targets that are left keeps one attempt of the budget: else a provider that is down would use it up.

    What the vendor says of the request itself does not change with the key (engine.md 9.4); what it says of the model
    may with the target.
    """
    if verdict.blame == "client":
        return Action.STOP
    if verdict.blame == "model":
        return Action.FAIL_OVER
    if verdict.blame == "credential" or counted_attempts + targets_left < max_attempts:
        return Action.ROTATE
    return Action.FAIL_OVER if targets_left else Action.STOP


def counts(verdict: Verdict) -> bool:
    """Whether an attempt that ended so uses up the budget (design.md 2.3, Budgets)."""
    return verdict.blame != "credential"
