"""What the files and the environment say of rotation, laid over each other; and what of it does nothing."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config import Flags, load
from rotator.config.rotation import Cap, FairCycle, NoReset, Rotation, Window
from rotator.credentials.rotation_of import rotations
from rotator.errors import Problem
from rotator.upstream.provider import HttpProvider
from tests.credentials.rotating import MODES, acme, provider, rotating, settings_with, told

#: A file that says everything otherwise than the variables below.
FILE: dict[str, Any] = {
    "mode": "round_robin",
    "tolerance": 9,
    "max_concurrent": 90,
    "optimal_concurrent": 91,
    "concurrency_multipliers": {"1": 92, "2": 93},
    "sequential_fallback_multiplier": 94,
    "tiers": {"pro": 1, "pro-max": 2, "free": 3},
    "quota_groups": {"pro.x": ["m1"], "other": ["m2", "m-3.5"]},
    "caps": [{"tier": 1, "model": "big", "max": 95, "cooldown": "fixed:96"}, {"group": "pro.x", "max": "97%"}],
    "fair_cycle": {
        "enabled": False, "tracking": "model_group", "cross_tier": False, "duration_seconds": 98,
        "quota_threshold": 99, "reset_cooldown_seconds": 100,
    },
    "exhaustion_cooldown_seconds": 101,
    "no_reset": {"policy": "cooldown", "cooldown_seconds": 102},
}  # fmt: skip
FILED = acme({}, FILE)
BIG, PRO = FILED.caps

#: Name, value, and what it changes of FILED: one key, whose new value stands there.
CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("ROTATION_MODE_ACME", "balanced", {"mode": "balanced"}),
    ("ROTATION_TOLERANCE", "1", {"tolerance": 1.0}),
    ("ROTATION_TOLERANCE_ACME", "2", {"tolerance": 2.0}),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME", "3", {"max_concurrent": 3}),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_ROUND_ROBIN", "4", {"max_concurrent": 4}),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED", "4", {}),
    ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME", "5", {"optimal_concurrent": 5}),
    ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME_ROUND_ROBIN", "6", {"optimal_concurrent": 6}),
    ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME_SEQUENTIAL", "6", {}),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1", "7", {"concurrency_multipliers": {"1": 7.0, "2": 93.0}}),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_3_ROUND_ROBIN", "8",
     {"concurrency_multipliers": {"1": 92.0, "2": 93.0, "3": 8.0}}),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1_BALANCED", "8", {}),
    ("SEQUENTIAL_FALLBACK_MULTIPLIER_ACME", "9", {"sequential_fallback_multiplier": 9.0}),
    ("QUOTA_GROUPS_ACME_PRO_X", "a, b", {"quota_groups": {"pro.x": ("a", "b"), "other": ("m2", "m-3.5")}}),
    ("QUOTA_GROUPS_ACME_NEW_ONE", "c",
     {"quota_groups": {"pro.x": ("m1",), "other": ("m2", "m-3.5"), "new-one": ("c",)}}),
    ("FAIR_CYCLE_ACME", "true", {"fair_cycle": {"enabled": True}}),
    ("FAIR_CYCLE_ENABLED_ACME", "1", {"fair_cycle": {"enabled": True}}),
    ("FAIR_CYCLE_TRACKING_MODE_ACME", "credential", {"fair_cycle": {"tracking": "credential"}}),
    ("FAIR_CYCLE_CROSS_TIER_ACME", "yes", {"fair_cycle": {"cross_tier": True}}),
    ("FAIR_CYCLE_DURATION_ACME", "10", {"fair_cycle": {"duration_seconds": 10.0}}),
    ("FAIR_CYCLE_QUOTA_THRESHOLD_ACME", "0.5", {"fair_cycle": {"quota_threshold": 0.5}}),
    ("FAIR_CYCLE_RESET_COOLDOWN_THRESHOLD_ACME", "11", {"fair_cycle": {"reset_cooldown_seconds": 11.0}}),
    ("EXHAUSTION_COOLDOWN_THRESHOLD", "12", {"exhaustion_cooldown_seconds": 12.0}),
    ("EXHAUSTION_COOLDOWN_THRESHOLD_ACME", "13", {"exhaustion_cooldown_seconds": 13.0}),
    ("QUOTA_NO_RESET_EXHAUSTION_POLICY", "disable_scope", {"no_reset": {"policy": "disable_scope"}}),
    ("QUOTA_NO_RESET_EXHAUSTION_POLICY_ACME", "warn_only", {"no_reset": {"policy": "warn_only"}}),
    ("QUOTA_NO_RESET_COOLDOWN_SECONDS", "14", {"no_reset": {"cooldown_seconds": 14.0}}),
    ("QUOTA_NO_RESET_COOLDOWN_SECONDS_ACME", "15", {"no_reset": {"cooldown_seconds": 15.0}}),
    ("CUSTOM_CAP_ACME_T1_BIG", "16", {"caps": (dataclasses.replace(BIG, max=16), PRO)}),
    ("CUSTOM_CAP_ACME_TDEFAULT_PRO_X", "-17", {"caps": (BIG, dataclasses.replace(PRO, max="-17"))}),
    ("CUSTOM_CAP_ACME_T2_BIG", "18%", {"caps": (BIG, PRO, Cap("18%", 2, "big"))}),
    ("CUSTOM_CAP_ACME_T1_2_HUGE_2", "+19", {"caps": (BIG, PRO, Cap("+19", (1, 2), "huge-2"))}),
    ("CUSTOM_CAP_ACME_TDEFAULT_OTHER", "20", {"caps": (BIG, PRO, Cap(20, None, group="other"))}),
    ("CUSTOM_CAP_ACME_TPRO_M_3_5", "21", {"caps": (BIG, PRO, Cap(21, "pro", "m-3.5"))}),
    ("CUSTOM_CAP_ACME_TPRO_MAX_BIG", "22", {"caps": (BIG, PRO, Cap(22, "pro-max", "big"))}),
    ("CUSTOM_CAP_COOLDOWN_ACME_T1_BIG", "offset:23", {"caps": (dataclasses.replace(BIG, cooldown="offset:23"), PRO)}),
]  # fmt: skip


def changed(changes: Mapping[str, Any]) -> Rotation:
    """FILED with these keys, nested ones inside what they are part of."""
    whole = {
        key: dataclasses.replace(getattr(FILED, key), **value) if key in ("fair_cycle", "no_reset") else value
        for key, value in changes.items()
    }
    return dataclasses.replace(FILED, **whole)


@pytest.mark.parametrize(("name", "value", "changes"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_variable_wins_over_the_file_and_changes_nothing_else(name: str, value: str, changes: dict[str, Any]) -> None:
    made = acme({name: value}, FILE)
    assert made == changed(changes)
    assert (made == FILED) is not bool(changes)


@pytest.mark.parametrize(("name", "value", "changes"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_variable_of_one_provider_changes_no_other(name: str, value: str, changes: dict[str, Any]) -> None:
    made = rotating({name: value}, provider(rotation=FILE), provider("acme-2", FILE))["acme-2"]
    assert (made == FILED) is ("ACME" in name or not changes)


def test_nothing_said_is_the_default() -> None:
    assert acme({}) == Rotation()


# The layers.


def test_each_layer_over_the_one_below() -> None:
    one = provider(rotation={"tolerance": 2, "fair_cycle": {"enabled": True}, "tiers": {"b": 2}, "windows": []})
    everybodys = {
        "tolerance": 1, "max_concurrent": 1, "tiers": {"a": 1}, "fair_cycle": {"cross_tier": True},
        "windows": [{"name": "day", "seconds": 5}],
    }  # fmt: skip
    made = rotating({"ROTATION_TOLERANCE_ACME": "3"}, one, provider("beta"), everybodys=everybodys)
    assert made["acme"] == Rotation(
        tolerance=3.0, max_concurrent=1, tiers={"a": 1, "b": 2}, fair_cycle=FairCycle(enabled=True, cross_tier=True)
    )
    assert made["beta"].windows == (Window("day", 5.0),) and made["beta"].tolerance == 1.0


def test_the_overlay_of_the_file_lies_over_the_declaration() -> None:
    base = provider(rotation={"mode": "balanced", "tiers": {"a": 1}, "caps": [{"model": "x", "max": 1}]})
    one = base.configured({"rotation": {"tiers": {"b": 2}, "caps": []}}, "rotator.yaml")
    assert isinstance(one, HttpProvider)
    assert rotating({}, one)["acme"] == Rotation(mode="balanced", tiers={"a": 1, "b": 2})
    assert rotating({}, base)["acme"].caps == (Cap(1, model="x"),), "a copy"


def test_a_name_of_one_provider_wins_over_one_of_all() -> None:
    both = {"ROTATION_TOLERANCE": "1", "ROTATION_TOLERANCE_ACME": "2", "QUOTA_NO_RESET_COOLDOWN_SECONDS": "3"}
    made = rotating(both, provider(), provider("beta", {"tolerance": 9}))
    assert (made["acme"].tolerance, made["beta"].tolerance) == (2.0, 1.0)
    assert made["acme"].no_reset == made["beta"].no_reset == NoReset(cooldown_seconds=3.0)


@pytest.mark.parametrize("mode", MODES)
def test_a_name_with_a_mode_counts_in_that_mode_only(mode: str) -> None:
    environ = {"MAX_CONCURRENT_REQUESTS_PER_KEY_ACME": "1", "ROTATION_MODE_ACME": mode}
    for number, one in enumerate(MODES, 2):
        environ[f"MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_{one.upper()}"] = str(number)
        environ[f"CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1_{one.upper()}"] = str(number)
    environ["CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1"] = "7"
    made = acme(environ, {"mode": "sequential"})
    assert made.max_concurrent == MODES.index(mode) + 2
    assert made.concurrency_multipliers == {"1": float(MODES.index(mode) + 2)}


def test_what_is_made_is_frozen() -> None:
    made = acme({"QUOTA_GROUPS_ACME_PRO": "a", "CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1": "2"})
    for table in (made.quota_groups, made.concurrency_multipliers):
        with pytest.raises(TypeError):
            table["x"] = None  # type: ignore[index]
    with pytest.raises(TypeError):
        rotations(settings_with({}), {}, MODES, [])["x"] = made  # type: ignore[index]


# Names of caps.

NAMED = {"tiers": {"pro": 1, "pro-max": 2, "default": 3}, "quota_groups": {"pro": ["gpt-4.1", "4.1-mini"]}}


@pytest.mark.parametrize(
    ("rest", "cap"),
    [
        ("T1_BIG", Cap(5, 1, "big")),
        ("T12_BIG", Cap(5, 12, "big")),
        ("T1_2_3_BIG", Cap(5, (1, 2, 3), "big")),
        ("T1_1_BIG", Cap(5, 1, "big")),
        ("TDEFAULT_BIG", Cap(5, None, "big")),
        ("TDEFAULT_SOME_NEW_MODEL_3", Cap(5, None, "some-new-model-3")),
        ("TPRO_BIG", Cap(5, "pro", "big")),
        ("TPRO_MAX_BIG", Cap(5, "pro-max", "big")),
        # What is known is taken, whatever the longest tier would leave.
        ("TPRO_MAX_1", Cap(5, "pro", "max.1")),
        ("T1_4_1_MINI", Cap(5, 1, "4.1-mini")),
        ("T1_2_4_1_MINI", Cap(5, (1, 2), "4.1-mini")),
        ("T1_4_1_MICRO", Cap(5, (1, 4), "micro")),
        # Groups before models, models as they are spelt.
        ("T1_PRO", Cap(5, 1, group="pro")),
        ("T1_GPT_4_1", Cap(5, 1, "gpt-4.1")),
        ("T1_Vendor_x".upper(), Cap(5, 1, "vendor/X")),
        ("T1_WEIGHED_2", Cap(5, 1, "weighed.2")),
        ("T1_TIERED_2", Cap(5, 1, "tiered.2")),
    ],
)
def test_what_the_name_of_a_cap_means(rest: str, cap: Cap) -> None:
    said = {**NAMED, "usage_weights": {"weighed.2": 2}, "model_tiers": {"tiered.2": 1}}
    made = acme({f"CUSTOM_CAP_ACME_{rest}": "5"}, said, models=["vendor/X", "max.1"])
    assert made.caps == (cap,)


def test_a_cap_takes_the_place_of_those_for_the_same() -> None:
    caps = [
        {"tier": [2, 1], "model": "big", "max": 1, "cooldown": "fixed:5"}, {"model": "big", "max": 2},
        {"tier": [1, 2], "model": "big", "max": 3}, {"tier": 1, "group": "big", "max": 4},
    ]  # fmt: skip
    made = acme({"CUSTOM_CAP_ACME_T1_2_BIG": "50"}, {"caps": caps}).caps
    assert made == (Cap(50, (2, 1), "big", cooldown="fixed:5"), Cap(2, None, "big"), Cap(4, 1, group="big"))


def test_a_group_that_only_a_variable_names() -> None:
    environ = {
        "QUOTA_GROUPS_ACME_PRO_1": "x.1,x.2", "CUSTOM_CAP_ACME_T1_PRO_1": "5", "CUSTOM_CAP_ACME_T1_X_2": "6",
        "CUSTOM_CAP_COOLDOWN_ACME_T1_PRO_1": "fixed:7",
    }  # fmt: skip
    made = acme(environ)
    assert made.quota_groups == {"pro-1": ("x.1", "x.2")}
    assert made.caps == (Cap(5, 1, group="pro-1", cooldown="fixed:7"), Cap(6, 1, "x.2"))


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("TPOR_BIG", "unknown tier (did you mean CUSTOM_CAP_ACME_TPRO_BIG?)"),
        ("TPRO_MX_BIG", None),  # the tier pro and the model mx-big
        ("TPROO_MAX_BIG", "unknown tier (did you mean CUSTOM_CAP_ACME_TPRO_MAX_BIG?)"),
        ("TDEFALT_BIG", "unknown tier (did you mean CUSTOM_CAP_ACME_TDEFAULT_BIG?)"),
        ("TGOLD_BIG", "unknown tier (expected a number behind the T, or one of DEFAULT, PRO, PRO_MAX)"),
        ("T1X_BIG", "unknown tier"),
        ("T1_2", "expected a model or a group behind the tier"),
        ("TDEFAULT__", "expected a model or a group behind the tier"),
    ],
)
def test_names_of_caps_that_mean_nothing(rest: str, reason: str | None) -> None:
    found = told({f"CUSTOM_CAP_ACME_{rest}": "5"}, NAMED)
    if reason is None:
        assert found == []
    else:
        assert len(found) == 1 and found[0].startswith(f"environment: CUSTOM_CAP_ACME_{rest}: {reason}")


@pytest.mark.parametrize("held", [{"ACME_API_KEY_2_TIER": "gold"}, {"ACME_API_KEY_TIER": "gold"}, {}])
def test_a_cap_for_a_tier_that_only_a_key_has(held: dict[str, str]) -> None:
    more = {} if held else {"credentials": {"1": {"tier": "gold"}, "2": {"label": "x"}}}
    name = "CUSTOM_CAP_ACME_TGOLD_BIG"
    reason = f"environment: {name}: unknown tier: gold is the tier of a key; name it in rotation.tiers"
    assert told({name: "5", **held}, NAMED, **more) == [reason]
    assert told({name: "5", **held}, {"tiers": {"gold": 1}}, **more) == []
    (other,) = told({name: "5", "OTHER_API_KEY_TIER": "gold"}, NAMED)
    assert "expected a number behind the T" in other


def test_a_cooldown_without_its_cap() -> None:
    name = "CUSTOM_CAP_COOLDOWN_ACME_T1_BIG"
    (problem,) = told({name: "fixed:5"}, {"caps": [{"tier": 2, "model": "big", "max": 5}]})
    assert problem == f"environment: {name}: there is no such cap: set CUSTOM_CAP_ACME_T1_BIG, or one of rotation.caps"
    (problem,) = told({name: "fixed:5", "CUSTOM_CAP_ACME_T1_BIG": "many"})
    assert problem.startswith("environment: CUSTOM_CAP_ACME_T1_BIG: "), "told once"


# What is told.


def test_problems_are_told_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "rotator.yaml").write_text(
        "rotation: {mode: a}\n"
        "providers:\n"
        "  beta: {rotation: {mode: balancd}}\n"
        "  gamma: {rotation: {tolerance: 1}}\n"
        "  delta: {models: [x]}\n"
        "  lost: {protocol: 5}\n",
        encoding="utf-8",
    )
    settings = load(Flags(), environ={"ROTATION_MODE_ACME": "c", "ROTATION_MODE_LSOT": "d"}, cwd=tmp_path)
    bases = {name: provider(name, {"mode": f"{name}-like"}) for name in ("acme", "beta", "gamma", "delta")}
    own = {
        name: one.configured(settings.providers[name], "rotator.yaml") if name in settings.providers else one
        for name, one in bases.items()
    }
    problems: list[Problem] = []
    rotations(settings, own, MODES, problems, {name: f"/plugins/{name}.yaml" for name in own})
    assert [str(problem).partition(";")[0] for problem in problems] == [
        "environment: ROTATION_MODE_ACME: unknown mode 'c'",
        "environment: ROTATION_MODE_LSOT: unknown name (did you mean ROTATION_MODE_LOST?)",
        "rotator.yaml: rotation.mode: unknown mode 'a'",
        "/plugins/acme.yaml: rotation.mode: unknown mode 'acme-like'",
        "rotator.yaml: providers.beta.rotation.mode: unknown mode 'balancd' (did you mean balanced?)",
        "/plugins/gamma.yaml: rotation.mode: unknown mode 'gamma-like'",
        "/plugins/delta.yaml: rotation.mode: unknown mode 'delta-like'",
    ]


def test_a_provider_whose_declaration_is_refused_is_known_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "rotator.yaml").write_text("providers: {lost: {protocol: 5}}\n", encoding="utf-8")
    problems: list[Problem] = []
    settings = load(Flags(), environ={"ROTATION_MODE_LOST": "balanced"}, cwd=tmp_path)
    assert rotations(settings, {}, MODES, problems) == {} and problems == []


class Handmade(HttpProvider):
    """A provider in Python, whose rotation nobody has read before."""

    def __init__(self, rotation: Any) -> None:
        super().__init__({"name": "acme", "protocol": "chat", "base_url": "https://acme.example/v1"})
        self.rotation = rotation


@pytest.mark.parametrize(
    ("rotation", "lines"),
    [
        ({"windws": []}, ["acme.py: rotation.windws: unknown key (did you mean windows?)"]),
        (5, ["acme.py: rotation: expected a mapping, found 5"]),
        ({"caps": [{"max": "x", "model": "m"}], "tolerance": -1},
         ["acme.py: rotation.tolerance: expected a number from 0 to 1000000000, found -1",
          "acme.py: rotation.caps[0].max: expected a number, \"80%\" or \"-10\", found 'x'"]),
        ({"mode": "x"}, ["acme.py: rotation.mode: unknown mode 'x'; there are sequential, balanced, round_robin"]),
    ],
)  # fmt: skip
def test_a_python_provider_s_rotation_is_read_as_well(rotation: Any, lines: list[str]) -> None:
    problems: list[Problem] = []
    made = rotations(settings_with({}), {"acme": Handmade(rotation)}, MODES, problems, {"acme": "acme.py"})
    assert sorted(map(str, problems)) == sorted(lines)
    assert set(made) == {"acme"}


# The same in variables and in YAML.

numbers = st.floats(0.001, 1e5).map(lambda number: round(number, 3))
models = st.from_regex(r"m[a-z0-9]{0,4}(-[a-z0-9]{1,3})?", fullmatch=True)
groups = st.from_regex(r"g[a-z0-9]{0,4}(-[a-z0-9]{1,3})?", fullmatch=True)
priorities = st.integers(1, 99)
tiers = (
    st.none()
    | priorities
    | st.sampled_from(["pro", "pro-max"])
    | st.sets(priorities, min_size=2, max_size=3).map(sorted).map(tuple)
)
maxima = (
    st.integers(0, 10**6) | st.integers(0, 200).map("{}%".format) | st.integers(0, 99).map("{:+d}".format)
    | st.integers(1, 99).map("-{}".format)
)
cooldowns = st.sampled_from(["quota_reset", "offset:300", "fixed:3600"])
PLAIN = {
    "tolerance": ("ROTATION_TOLERANCE_ACME", numbers),
    "max_concurrent": ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME", st.just(-1) | st.integers(1, 99)),
    "optimal_concurrent": ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME", st.just(-1) | st.integers(1, 99)),
    "sequential_fallback_multiplier": ("SEQUENTIAL_FALLBACK_MULTIPLIER_ACME", numbers),
    "exhaustion_cooldown_seconds": ("EXHAUSTION_COOLDOWN_THRESHOLD_ACME", numbers),
    "fair_cycle.enabled": ("FAIR_CYCLE_ACME", st.booleans()),
    "fair_cycle.tracking": ("FAIR_CYCLE_TRACKING_MODE_ACME", st.sampled_from(["model_group", "credential"])),
    "fair_cycle.cross_tier": ("FAIR_CYCLE_CROSS_TIER_ACME", st.booleans()),
    "fair_cycle.duration_seconds": ("FAIR_CYCLE_DURATION_ACME", st.integers(1, 10**6)),
    "fair_cycle.quota_threshold": ("FAIR_CYCLE_QUOTA_THRESHOLD_ACME", st.floats(0, 9)),
    "fair_cycle.reset_cooldown_seconds": ("FAIR_CYCLE_RESET_COOLDOWN_THRESHOLD_ACME", numbers),
    "no_reset.policy": ("QUOTA_NO_RESET_EXHAUSTION_POLICY_ACME", st.sampled_from(["warn_only", "disable_scope"])),
    "no_reset.cooldown_seconds": ("QUOTA_NO_RESET_COOLDOWN_SECONDS_ACME", numbers),
}


def token_of(name: str) -> str:
    return name.upper().replace("-", "_")


def cap_name(tier_and_scope: tuple[Any, str]) -> str:
    tier, scope = tier_and_scope
    shown = "DEFAULT" if tier is None else "_".join(map(str, tier)) if isinstance(tier, tuple) else token_of(str(tier))
    return f"ACME_T{shown}_{token_of(scope)}"


@given(st.data())
def test_what_the_environment_says_equals_the_same_in_yaml(data: st.DataObject) -> None:
    said: dict[str, Any] = {"tiers": {"pro": 1, "pro-max": 2}}
    environ: dict[str, str] = {}
    if data.draw(st.booleans()):
        environ["ROTATION_MODE_ACME"] = said["mode"] = data.draw(st.sampled_from(MODES))
    suffix = f"_{said.get('mode', 'sequential').upper()}"
    for path in data.draw(st.sets(st.sampled_from(list(PLAIN)))):
        name, values = PLAIN[path]
        value = data.draw(values)
        moded = "CONCURRENT" in name and data.draw(st.booleans())
        environ[name + suffix * moded] = str(value)
        above, _, key = path.rpartition(".")
        (said.setdefault(above, {}) if above else said)[key] = value
    for number, factor in data.draw(st.dictionaries(priorities, numbers, max_size=3)).items():
        environ[f"CONCURRENCY_MULTIPLIER_ACME_PRIORITY_{number}{suffix * data.draw(st.booleans())}"] = str(factor)
        said.setdefault("concurrency_multipliers", {})[str(number)] = factor
    named = st.dictionaries(groups, st.lists(models, max_size=3).map(tuple), max_size=3)
    for group, members in data.draw(named).items():
        if members:
            environ[f"QUOTA_GROUPS_ACME_{token_of(group)}"] = ",".join(members)
            said.setdefault("quota_groups", {})[group] = list(members)
    scopes = st.sampled_from([*said.get("quota_groups", {}), "m", "m-2"])
    for tier, scope in data.draw(st.lists(st.tuples(tiers, scopes), max_size=3, unique_by=cap_name)):
        name, most, rest = cap_name((tier, scope)), data.draw(maxima), data.draw(st.none() | cooldowns)
        cap = {"tier": list(tier) if isinstance(tier, tuple) else tier, "max": most}
        cap["group" if scope.startswith("g") else "model"] = scope
        environ[f"CUSTOM_CAP_{name}"] = str(most)
        if rest is not None:
            cap["cooldown"] = environ[f"CUSTOM_CAP_COOLDOWN_{name}"] = rest
        said.setdefault("caps", []).append(cap)
    spoken = acme(environ, {"tiers": said["tiers"]})
    written = acme({}, said)
    assert set(spoken.caps) == set(written.caps) and len(spoken.caps) == len(written.caps)
    assert dataclasses.replace(spoken, caps=()) == dataclasses.replace(written, caps=())
    assert acme(environ, said) == written, "saying it twice changes nothing"
