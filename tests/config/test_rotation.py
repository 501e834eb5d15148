"""What may be said of rotation, in the configuration file: every key, and every mistake with its place."""

from collections.abc import Callable
from typing import Any

import pytest

from rotator.config import Origin, Settings
from rotator.config.reader import At, placed, read
from rotator.config.rotation import Cap, FairCycle, NoReset, Rotation, Window
from rotator.errors import Problem

Configure = Callable[..., Settings]
Refused = Callable[..., list[str]]

EVERYTHING = """
rotation:
  mode: balanced
  tolerance: 0
  max_concurrent: 4
  optimal_concurrent: 2
  concurrency_multipliers: {1: 2, "2": 1.5}
  sequential_fallback_multiplier: 3
  tiers: {pro: 1, free: 20}
  model_tiers: {big: pro, "huge-*": 1}
  usage_weights: {big: 2.5, small: 0}
  quota_groups: {pro: [big, huge]}
  windows:
    - {name: 5h, seconds: 18000, limit: 100, tier: 1}
    - {name: day, every: day, at: 07:00, zone: Europe/Berlin, unit: tokens, applies_to: credential}
    - {name: weekly, every: week, day: 7, tier: pro, applies_to: group}
    - {name: told, reset: vendor}
    - {name: minute, seconds: 60, reset: fixed, limit: 1}
  caps:
    - {model: big, max: 100}
    - {tier: [1, pro], group: pro, max: 80%, cooldown: "offset:300"}
    - {tier: 2, model: big, max: "-10", cooldown: fixed:3600}
  fair_cycle: {enabled: yes, tracking: credential, cross_tier: true, duration_seconds: 60, quota_threshold: 0.5,
               reset_cooldown_seconds: 0}
  exhaustion_cooldown_seconds: 60
  no_reset: {policy: cooldown, cooldown_seconds: 30}
"""


def test_every_key(configure: Configure) -> None:
    settings = configure(file=EVERYTHING)
    assert read(Rotation, settings.rotation, At("x"), []) == Rotation(
        mode="balanced", tolerance=0.0, max_concurrent=4, optimal_concurrent=2,
        concurrency_multipliers={"1": 2.0, "2": 1.5}, sequential_fallback_multiplier=3.0,
        tiers={"pro": 1, "free": 20}, model_tiers={"big": "pro", "huge-*": 1}, usage_weights={"big": 2.5, "small": 0.0},
        quota_groups={"pro": ("big", "huge")},
        windows=(
            Window("5h", 18000.0, limit=100.0, tier=1),
            Window("day", every="day", at="07:00", zone="Europe/Berlin", unit="tokens", applies_to="credential"),
            Window("weekly", every="week", day=7, tier="pro", applies_to="group"),
            Window("told", reset="vendor"),
            Window("minute", 60.0, reset="fixed", limit=1.0),
        ),
        caps=(
            Cap(100, model="big"),
            Cap("80%", (1, "pro"), group="pro", cooldown="offset:300"),
            Cap("-10", 2, "big", cooldown="fixed:3600"),
        ),
        fair_cycle=FairCycle(True, "credential", True, 60.0, 0.5, 0.0),
        exhaustion_cooldown_seconds=60.0,
        no_reset=NoReset("cooldown", 30.0),
    )  # fmt: skip


def test_the_file_s_words_stay_raw_and_tell_their_origin(configure: Configure) -> None:
    settings = configure(file="rotation: {fair_cycle: {enabled: yes}}")
    assert settings.rotation == {"fair_cycle": {"enabled": "yes"}}
    assert settings.origin("rotation.fair_cycle.enabled") == Origin("file", "rotator.yaml: rotation.fair_cycle")
    assert settings.origin("rotation.mode") == Origin("default")
    assert settings.sources == ("rotator.yaml",)
    with pytest.raises(TypeError):
        settings.rotation["mode"] = "x"  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "rotation:", "rotation: {}", "rotation: {windows: []}"])
def test_nothing_said(configure: Configure, text: str) -> None:
    assert read(Rotation, configure(file=text).rotation, At("x"), []) == Rotation()


WRONG = [
    ("rotaton: {}", "rotaton: unknown key (did you mean rotation?)"),
    ("rotation: balanced", "rotation: expected a mapping, found 'balanced'"),
    ("rotation: {windws: []}", "rotation.windws: unknown key (did you mean windows?)"),
    ("rotation: {mode: 5}", "rotation.mode: expected text, found 5"),
    ("rotation: {max_concurrent: -2}", "rotation.max_concurrent: expected a whole number of at least -1, found -2"),
    ("rotation: {max_concurrent: 0}", "rotation.max_concurrent: expected -1 or a number of at least 1, found 0"),
    ("rotation: {optimal_concurrent: 0}",
     "rotation.optimal_concurrent: expected -1 or a number of at least 1, found 0"),
    ("rotation: {tiers: {pro: 0}}", "rotation.tiers.pro: expected a whole number of at least 1, found 0"),
    ("rotation: {model_tiers: {x: 0}}",
     "rotation.model_tiers.x: expected a whole number of at least 1 or text, found 0"),
    ("rotation: {usage_weights: {x: -1}}", "rotation.usage_weights.x: expected a number from 0 to 1000000, found -1"),
    ("rotation: {quota_groups: {x: y}}", "rotation.quota_groups.x: expected a list, found 'y'"),
    ("rotation: {concurrency_multipliers: {1: 0}}",
     "rotation.concurrency_multipliers.1: expected a number from 0.001 to 1000000, found 0"),
    ("rotation: {concurrency_multipliers: {pro: 2}}",
     "rotation.concurrency_multipliers.pro: expected a priority number as key"),
    ("rotation: {windows: {name: x}}", "rotation.windows: expected a list, found a mapping"),
    ("rotation: {windows: [{seconds: 5}]}", "rotation.windows[0].name: missing"),
    ("rotation: {windows: [{name: a, seconds: 5}, {name: b, seconds: 5, limt: 3}]}",
     "rotation.windows[1].limt: unknown key (did you mean limit?)"),
    ("rotation: {windows: [{name: a, seconds: 5, limit: -1}]}",
     "rotation.windows[0].limit: expected a number of at least 1, found -1"),
    ("rotation: {windows: [{name: a}]}", "rotation.windows[0].seconds: missing (or every: day, week or month)"),
    ("rotation: {windows: [{name: a, seconds: 5, every: day}]}",
     "rotation.windows[0].every: either seconds or every, not both"),
    ("rotation: {windows: [{name: a, every: day, at: 25:00}]}",
     "rotation.windows[0].at: expected hours and minutes such as 07:00, found '25:00'"),
    ("rotation: {windows: [{name: a, every: day, zone: Mars}]}",
     "rotation.windows[0].zone: no time zone is named 'Mars'"),
    ("rotation: {windows: [{name: a, every: week, day: 8}]}",
     "rotation.windows[0].day: a week has days 1 (Monday) to 7"),
    ("rotation: {windows: [{name: a, every: year}]}",
     "rotation.windows[0].every: expected day or week or month, found 'year'"),
    ("rotation: {caps: [{model: a}]}", "rotation.caps[0].max: missing"),
    ("rotation: {caps: [{max: 5}]}", "rotation.caps[0].model: expected either model or group"),
    ("rotation: {caps: [{max: 5, model: a, group: b}]}", "rotation.caps[0].model: expected either model or group"),
    ("rotation: {caps: [{max: -5, model: a}]}", 'rotation.caps[0].max: a number below 0 is written as text: "-5"'),
    ("rotation: {caps: [{max: 5 %, model: a}]}",
     "rotation.caps[0].max: expected a number, \"80%\" or \"-10\", found '5 %'"),
    ("rotation: {caps: [{max: 5, model: a, cooldown: soon}]}",
     "rotation.caps[0].cooldown: expected quota_reset, offset:SECONDS or fixed:SECONDS, found 'soon'"),
    ("rotation: {fair_cycle: {enabeld: true}}", "rotation.fair_cycle.enabeld: unknown key (did you mean enabled?)"),
    ("rotation: {no_reset: {policy: off}}",
     "rotation.no_reset.policy: expected warn_only or cooldown or disable_scope, found 'off'"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "told"), WRONG, ids=[row[0] for row in WRONG])
def test_mistakes(refused: Refused, file: str, told: str) -> None:
    assert refused(file=file) == [f"rotator.yaml: {told}"]


@pytest.mark.parametrize(("file", "told"), [row for row in WRONG if row[0].startswith("rotation:")])
def test_the_same_mistakes_of_one_provider(refused: Refused, file: str, told: str) -> None:
    assert refused(file=f"providers: {{acme: {{{file}}}}}") == [f"rotator.yaml: providers.acme.{told}"]


def test_everything_is_told_at_once(refused: Refused) -> None:
    lines = refused(file="""
rotation: {mod: x, windows: [{name: a, zone: Mars, seconds: 5}, {}], caps: [{max: x, model: y}]}
providers: {acme: {rotation: {toleranz: 1}}, beta: {rotation: []}}
""")
    assert [line.split(": ")[1] for line in lines] == [
        "providers.acme.rotation.toleranz", "providers.beta.rotation", "rotation.mod", "rotation.windows[0].zone",
        "rotation.windows[1].name", "rotation.caps[0].max",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "key", "left"),
    [
        ("at: expected a time", "rotation.at", "expected a time"),
        ("expected a time", "rotation", "expected a time"),
        ("not so: expected a time", "rotation", "not so: expected a time"),
        ("a.b: x: y", "rotation.a.b", "x: y"),
    ],
)
def test_a_problem_is_moved_to_the_key_that_it_names(reason: str, key: str, left: str) -> None:
    assert placed(Problem("f", "rotation", reason)) == Problem("f", key, left)
    assert placed(Problem("f", "", "at: x")) == Problem("f", "at", "x")


def test_a_good_rotation_of_a_provider_is_left_raw(configure: Configure) -> None:
    said: dict[str, Any] = {"mode": "balanced", "caps": [{"model": "x", "max": "80%"}]}
    settings = configure(file=f"providers: {{acme: {{rotation: {said}}}, beta: {{rotation: null}}}}")
    assert settings.providers["acme"] == {"rotation": said}
    assert settings.rotation == {}
