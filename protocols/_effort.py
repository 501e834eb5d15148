"""How much to think: the ladder of levels, budgets of tokens, and what a client asked for.

Source: protocols.md 7.1, 7.3; conversion-pitfalls.md 3.10.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, NamedTuple, get_args

from rotator.api import Ledger, ReasoningWish

Level = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

#: From nothing to all that a model can.
LADDER: Final[tuple[Level, ...]] = get_args(Level)
#: Tokens of each level; up to so many a budget is of that level.  ``max`` is what the largest model answers with.
BUDGETS: Final[Mapping[Level, int]] = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 128_000,
}
_HIGH: Final = LADDER.index("high")


def level_named(word: str) -> Level | None:
    """The level of a client's word in any case, None where it is none."""
    lower = word.lower()
    return next((level for level in LADDER if level == lower), None)


def level_of(budget: int) -> Level:
    """The level of a budget in tokens: the inverse of BUDGETS.

    What lies between xhigh and max is xhigh: nobody gets more than was asked for (P118).
    """
    if budget >= BUDGETS["max"]:
        return "max"
    return next((level for level in LADDER[:-2] if budget <= BUDGETS[level]), "xhigh")


def clamp(level: Level, taken: Collection[Level]) -> Level | None:
    """The nearest level that a model takes, None where there is none.

    Below high the nearest one above, from high on the nearest one below; the other side where that has none. A wish to
    think never becomes none (P102).
    """
    if level in taken:
        return level
    place = LADDER.index(level)
    above: list[Level] = [one for one in LADDER[place + 1 :] if one in taken]
    below: list[Level] = [one for one in LADDER[:place] if one in taken and one != "none"]
    nearest = above[:1] + below[-1:] if place < _HIGH else below[-1:] + above[:1]
    return nearest[0] if nearest else None


class Asked(NamedTuple):
    """What a client wants of the model's thinking.

    ``kind``: nothing was said, it is to be off, to be on as the model likes, at a level, or within a budget of tokens.
    ``level`` may stand beside ``off`` (an effort that is for words and tools too) and ``budget`` beside ``level``.
    """

    kind: Literal["unset", "off", "auto", "level", "budget"]
    level: Level | None = None
    budget: int | None = None

    @property
    def words(self) -> str:
        """For losses."""
        if self.kind in ("off", "auto"):
            return "none" if self.kind == "off" else "auto"
        tokens = "" if self.budget is None else f"{self.budget} tokens"
        return " and ".join(filter(None, (self.level, tokens)))


def asked(wish: ReasoningWish, ledger: Ledger) -> Asked:
    """What is wanted, in one word; an effort that is on no ladder is a loss."""
    level = None if wish.effort is None else level_named(wish.effort)
    if wish.effort is not None and level is None:
        ledger.lose("reasoning.wish", wish.at, wish.effort)
    between_only = wish.between_tools and wish.enabled is None
    if wish.enabled is False or between_only or level == "none" or wish.budget == 0:
        return Asked("off", None if level == "none" else level)
    budget = None if wish.budget is None or wish.budget < 0 else wish.budget
    if level is not None:
        return Asked("level", level, budget)
    if budget is not None:
        return Asked("budget", None, budget)
    return Asked("auto" if wish.enabled or wish.budget is not None else "unset")


def lose_clamped(ledger: Ledger, wish: ReasoningWish, requested: str, used: str) -> None:
    """Tell that another amount of thinking is asked for than the client did."""
    ledger.lose("reasoning.clamped", wish.at, f"requested {requested}, used {used}")
