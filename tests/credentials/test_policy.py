"""Which rules hold for a key and a model: names and patterns, tiers, multipliers, weights, groups."""

from typing import Any

import pytest

from rotator.config.reader import placed
from rotator.credentials.policy import RULES_KEPT, Policy, group_place, name_fits, tier_fits
from rotator.errors import ConfigError
from tests.credentials.houses import key, rotation


def policy(**given_: Any) -> Policy:
    return Policy(rotation(given_))


# Names.


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("gpt-4.1", "gpt-4.1", True),
        ("GPT_4_1", "gpt-4.1", True),
        ("gpt-4-1", "gpt-4.1", True),
        ("gpt-4.1", "gpt-4.1-mini", False),
        ("gpt-4", "gpt-4.1", False),
        ("gpt-*", "gpt-4.1-mini", True),
        ("gpt-*", "GPT-4.1", False),
        ("*mini", "gpt-4.1-mini", True),
        ("*", "anything/at:all", True),
        ("gpt-*-mini", "gpt--mini", True),
        ("*4.1", "gpt-4x1", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, name: str, fits: bool) -> None:
    assert name_fits(pattern, name) is fits


@pytest.mark.parametrize(
    ("tier", "fits"),
    [(None, True), (2, True), (1, False), (10, False), ("paid", True), ("2", False), ((1, "paid"), True)]
    + [((1, 2), True), ((1, "free"), False), ((), False)],
)
def test_a_tier_is_a_name_or_a_priority(tier: Any, fits: bool) -> None:
    assert tier_fits(tier, key(1, 2, "paid")) is fits


# Models.


def test_a_model_has_its_group_weight_and_need() -> None:
    one = policy(
        quota_groups={"pro": ["big", "huge-*"], "rest": ["*"]},
        usage_weights={"hu*": 2, "huge-1": 5, "big": 0},
        model_tiers={"huge-*": 1, "big": "paid"},
    )
    assert one.rules("big")[1:] == ("pro", 0.0, "paid", "group pro")
    assert one.rules("huge-1")[1:] == ("pro", 5.0, 1, "group pro"), "its own name goes before a pattern"
    assert one.rules("huge-2")[1:] == ("pro", 2.0, 1, "group pro")
    assert one.rules("tiny")[1:] == ("rest", 1.0, None, "group rest")
    assert policy().rules("tiny")[1:] == (None, 1.0, None, "tiny")
    assert group_place("pro") == "group pro"


def test_rules_that_are_kept_are_bounded() -> None:
    one = policy()
    for number in range(RULES_KEPT + 5):
        assert one.rules(f"model-{number}").model == f"model-{number}"
    assert len(one._rules) <= RULES_KEPT


@pytest.mark.parametrize(
    ("need", "priority", "tier", "may"),
    [
        (2, 1, None, True),
        (2, 2, None, True),
        (2, 3, None, False),
        ("paid", 9, "paid", True),
        ("paid", 2, "gold", True),  # better than paid, whose number is known
        ("paid", 4, "gold", False),
        ("paid", 3, None, True),
        ("vip", 1, "paid", False),  # nobody knows how good vip is
        ("vip", 9, "vip", True),
    ],
)
def test_a_model_that_needs_a_tier(need: int | str, priority: int, tier: str | None, may: bool) -> None:
    one = policy(tiers={"paid": 3}, model_tiers={"big": need})
    text = one.unfit(key(1, priority, tier), one.rules("big"))
    assert (text is None) is may
    if text is not None:
        assert str(need) in text and str(priority) in text
    assert one.unfit(key(1, priority, tier), one.rules("small")) is None


# Windows and caps.

WINDOWS = [
    {"name": "a", "seconds": 60, "limit": 5},
    {"name": "b", "seconds": 60, "limit": 6, "tier": "paid", "applies_to": "group"},
    {"name": "c", "seconds": 60, "unit": "tokens", "tier": 1, "applies_to": "credential"},
]


def test_windows_hold_for_their_tier_at_their_place() -> None:
    one = policy(windows=WINDOWS, quota_groups={"pro": ["big"]})
    rules = one.rules("big")
    assert [(w.name, w.place, w.limit, w.unit) for w in one.windows(key(1, 1, "paid"), rules)] == [
        ("a", "big", 5, "requests"),
        ("b", "group pro", 6, "requests"),
        ("c", "every model", None, "tokens"),
    ]
    assert [w.name for w in one.windows(key(1, 2), rules)] == ["a"]
    assert [w.place for w in one.windows(key(1, 2, "paid"), one.rules("small"))] == ["small", "small"]


def caps_of(number: int, model: str, *given_: dict[str, Any], tier: str | None = None) -> list[tuple[str, str]]:
    one = policy(caps=list(given_), quota_groups={"pro": ["big", "huge"]})
    return [(use.place, use.rule.text) for use in one.caps(key(1, number, tier), one.rules(model))]


def test_of_caps_for_one_place_those_of_the_keys_tier_hold() -> None:
    given_ = (
        {"model": "*", "max": 1},
        {"model": "big", "max": 2},
        {"model": "big", "max": 3, "tier": 1},
        {"group": "PRO", "max": 4},
        {"group": "pro", "max": 5, "tier": "paid"},
        {"group": "other", "max": 6},
    )
    assert caps_of(1, "big", *given_) == [("big", "3"), ("group pro", "4")]
    assert caps_of(2, "big", *given_) == [("big", "1"), ("big", "2"), ("group pro", "4")]
    assert caps_of(2, "big", *given_, tier="paid") == [("big", "1"), ("big", "2"), ("group pro", "5")]
    assert caps_of(1, "huge", *given_) == [("huge", "1"), ("group pro", "4")]
    assert caps_of(1, "small", *given_) == [("small", "1")]


# Concurrency.


@pytest.mark.parametrize(
    ("given_", "priority", "hard", "optimal"),
    [
        ({}, 1, -1, -1),
        ({"mode": "balanced"}, 1, -1, 1),
        ({"mode": "balanced", "optimal_concurrent": 3}, 1, -1, 3),
        ({"mode": "round_robin", "max_concurrent": 4}, 1, 4, -1),
        ({"max_concurrent": 4, "optimal_concurrent": 2, "concurrency_multipliers": {"1": 2.5}}, 1, 10, 5),
        ({"max_concurrent": 4, "concurrency_multipliers": {"1": 2.5}}, 2, 4, -1),
        ({"max_concurrent": 4, "concurrency_multipliers": {"1": 0.1}}, 1, 1, -1),  # never none at all
        ({"max_concurrent": 4, "sequential_fallback_multiplier": 3}, 1, 12, -1),
        ({"max_concurrent": 4, "sequential_fallback_multiplier": 3, "concurrency_multipliers": {"1": 2}}, 1, 8, -1),
        ({"mode": "balanced", "max_concurrent": 4, "sequential_fallback_multiplier": 3}, 1, 4, 1),
        ({"max_concurrent": -1, "concurrency_multipliers": {"1": 2}}, 1, -1, -1),
    ],
)
def test_concurrency_by_mode_and_priority(given_: dict[str, Any], priority: int, hard: int, optimal: int) -> None:
    one, credential = policy(**given_), key(1, priority)
    assert (one.hard(credential), one.optimal(credential)) == (hard, optimal)


# The fair cycle.


def test_which_cycle_a_key_belongs_to() -> None:
    groups = {"quota_groups": {"pro": ["big"]}}
    for fair, big, small in (
        ({}, ("group pro", 2), ("small", 2)),
        ({"cross_tier": True}, ("group pro", None), ("small", None)),
        ({"tracking": "credential"}, ("every model", 2), ("every model", 2)),
        ({"tracking": "credential", "cross_tier": True}, ("every model", None), ("every model", None)),
    ):
        one = policy(fair_cycle=fair, **groups)
        assert one.fair
        assert one.cycle_key(key(1, 2), one.rules("big")) == big
        assert one.cycle_key(key(1, 2), one.rules("small")) == small


# What the configuration refuses.


@pytest.mark.parametrize(
    ("given_", "where"),
    [
        ({"windows": [{"name": "x"}]}, "windows[0].seconds"),
        ({"windows": [{"name": "x", "seconds": 5, "every": "day"}]}, "windows[0].every"),
        ({"windows": [{"name": "x", "every": "day", "at": "24:00"}]}, "windows[0].at"),
        ({"windows": [{"name": "x", "every": "week", "day": 8}]}, "windows[0].day"),
        ({"windows": [{"name": "x", "every": "day", "zone": "Mars/Base"}]}, "windows[0].zone"),
        ({"windows": [{"name": "", "seconds": 5}]}, "windows[0].name"),
        ({"windows": [{"name": "x", "seconds": 0}]}, "windows[0].seconds"),
        ({"caps": [{"max": 5}]}, "caps[0].model"),
        ({"caps": [{"max": 5, "model": "a", "group": "b"}]}, "caps[0].model"),
        ({"caps": [{"max": "lots", "model": "a"}]}, "caps[0].max"),
        ({"caps": [{"max": -5, "model": "a"}]}, "caps[0].max"),
        ({"caps": [{"max": 5, "model": "a", "cooldown": "fixed"}]}, "caps[0].cooldown"),
        ({"concurrency_multipliers": {"paid": 2}}, "concurrency_multipliers.paid"),
        ({"tolerance": -1}, "tolerance"),
        ({"fair_cycle": {"duration_seconds": 0}}, "fair_cycle.duration_seconds"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(given_: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rotation(given_)
    assert [placed(problem).key for problem in caught.value.problems] == [where]
