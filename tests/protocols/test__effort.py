"""Levels and budgets of thinking: what a model takes of the ladder, and that both scales are one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.request import ReasoningWish
from tests.upstreams import PROTOCOLS

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._effort")
LADDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@pytest.mark.pitfall("C104")
@pytest.mark.parametrize(
    ("budget", "level"),
    [
        (0, "none"), (1, "minimal"), (512, "minimal"), (513, "low"), (1024, "low"), (1025, "medium"), (8192, "medium"),
        (8193, "high"), (24_576, "high"), (24_577, "xhigh"), (32_768, "xhigh"), (64_000, "xhigh"), (127_999, "xhigh"),
        (128_000, "max"), (1_000_000, "max"),
    ],
)
def test_a_budget_has_a_level(budget: int, level: str) -> None:
    assert MODULE.level_of(budget) == level


@pytest.mark.pitfall("C104")
@pytest.mark.parametrize("level", LADDER)
def test_levels_and_budgets_are_inverses(level: str) -> None:
    assert MODULE.level_of(MODULE.BUDGETS[level]) == level
    assert MODULE.LADDER == LADDER


@pytest.mark.pitfall("C102")
@pytest.mark.parametrize(
    ("level", "taken", "used"),
    [
        ("max", "low medium high xhigh", "xhigh"),
        ("max", "low medium high", "high"),
        ("xhigh", "low medium high max", "high"),
        ("xhigh", "max", "max"),
        ("high", "low medium", "medium"),
        ("minimal", "low medium high", "low"),
        ("medium", "low high", "high"),
        ("medium", "minimal low", "low"),
        ("none", "low medium", "low"),
        ("none", "minimal high", "minimal"),
        ("low", "none", None),
        ("minimal", "none minimal", "minimal"),
        ("low", "none high", "high"),
        ("none", "", None),
    ],
)
def test_the_nearest_level_is_used(level: str, taken: str, used: str | None) -> None:
    assert MODULE.clamp(level, taken.split()) == used


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        (ReasoningWish(), ("unset", None, None)),
        (ReasoningWish(display="hidden"), ("unset", None, None)),
        (ReasoningWish(effort="High"), ("level", "high", None)),
        (ReasoningWish(True, "low", -1), ("level", "low", None)),
        (ReasoningWish(True, "low", 2000), ("level", "low", 2000)),
        (ReasoningWish(True, budget=2000), ("budget", None, 2000)),
        (ReasoningWish(True, budget=-1), ("auto", None, None)),
        (ReasoningWish(budget=-1), ("auto", None, None)),
        (ReasoningWish(True), ("auto", None, None)),
        (ReasoningWish(False, "none"), ("off", None, None)),
        (ReasoningWish(None, "none"), ("off", None, None)),
        (ReasoningWish(False, "max"), ("off", "max", None)),
        (ReasoningWish(budget=0), ("off", None, None)),
        (ReasoningWish(between_tools=True), ("off", None, None)),
        (ReasoningWish(True, between_tools=True), ("auto", None, None)),
    ],
)
def test_what_is_wanted(wish: ReasoningWish, wanted: tuple[Any, ...]) -> None:
    ledger = Ledger()
    assert tuple(MODULE.asked(wish, ledger)) == wanted
    assert ledger.losses == []


def test_an_effort_of_no_ladder_is_told() -> None:
    ledger = Ledger()
    assert MODULE.asked(ReasoningWish(effort="ultra", at=("reasoning_effort",)), ledger).kind == "unset"
    assert ledger.losses == [Loss("reasoning.wish", "reasoning_effort", "ultra")]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (ReasoningWish(False, "max"), "none"),
        (ReasoningWish(True), "auto"),
        (ReasoningWish(effort="LOW"), "low"),
        (ReasoningWish(budget=7), "7 tokens"),
        (ReasoningWish(effort="low", budget=7), "low and 7 tokens"),
    ],
)
def test_what_is_wanted_in_words(wish: ReasoningWish, words: str) -> None:
    assert MODULE.asked(wish, Ledger()).words == words
