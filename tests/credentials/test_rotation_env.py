"""Names of rotation in the environment: which setting, provider and mode each means, and what is told of the others."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.environment import Variable, gather
from rotator.config.reader import entries
from rotator.config.rotation import Rotation
from rotator.config.sources import EnvFile
from rotator.credentials.discovery import token
from rotator.credentials.rotation_env import FORMS, Said, entry_of, read_names
from rotator.errors import Problem
from rotator.neutral.secret import Secret

MODES = ("sequential", "balanced", "round_robin")
PROVIDERS = ("acme", "groq-2", "my.llm", "open", "open_ai", "4wd")


def variables(environ: dict[str, str], dotenv: dict[str, str] | None = None) -> dict[str, Variable]:
    """What the environment keeps of these."""
    problems: list[Problem] = []
    kept = gather(environ, EnvFile(".env", dotenv) if dotenv else None, problems).variables
    assert problems == []
    return dict(kept)


def said(
    environ: dict[str, str], *providers: str, dotenv: dict[str, str] | None = None, modes: tuple[str, ...] = MODES
) -> tuple[Said, ...]:
    problems: list[Problem] = []
    found = read_names(variables(environ, dotenv), providers or PROVIDERS, modes, problems)
    assert problems == []
    return found


def problems(environ: dict[str, str], *providers: str) -> list[str]:
    found: list[Problem] = []
    read_names(variables(environ), providers or PROVIDERS, MODES, found)
    return [str(problem) for problem in found]


def one(name: str, value: str, *providers: str) -> tuple[str, str | None, str | None, str, Any]:
    (found,) = said({name: value}, *providers)
    assert (found.at.where, found.at.key) == ("environment", name)
    return found.form.path, found.provider, found.mode, found.rest, found.value


NAMES = [
    ("ROTATION_MODE_ACME", "balanced", ("mode", "acme", None, "", "balanced")),
    ("ROTATION_TOLERANCE", "0", ("tolerance", None, None, "", 0.0)),
    ("ROTATION_TOLERANCE_ACME", "1.5", ("tolerance", "acme", None, "", 1.5)),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME", "-1", ("max_concurrent", "acme", None, "", -1)),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED", "2", ("max_concurrent", "acme", "balanced", "", 2)),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_ROUND_ROBIN", "2", ("max_concurrent", "acme", "round_robin", "", 2)),
    ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME", "3", ("optimal_concurrent", "acme", None, "", 3)),
    ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME_SEQUENTIAL", "3", ("optimal_concurrent", "acme", "sequential", "", 3)),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_2", "5", ("concurrency_multipliers", "acme", None, "2", 5.0)),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_12_BALANCED", ".5",
     ("concurrency_multipliers", "acme", "balanced", "12", 0.5)),
    ("SEQUENTIAL_FALLBACK_MULTIPLIER_ACME", "2", ("sequential_fallback_multiplier", "acme", None, "", 2.0)),
    ("QUOTA_GROUPS_ACME_PRO_1", "big, huge,", ("quota_groups", "acme", None, "PRO_1", ("big", "huge"))),
    ("FAIR_CYCLE_ACME", "Yes", ("fair_cycle.enabled", "acme", None, "", True)),
    ("FAIR_CYCLE_ENABLED_ACME", "off", ("fair_cycle.enabled", "acme", None, "", False)),
    ("FAIR_CYCLE_TRACKING_MODE_ACME", "credential", ("fair_cycle.tracking", "acme", None, "", "credential")),
    ("FAIR_CYCLE_CROSS_TIER_ACME", "1", ("fair_cycle.cross_tier", "acme", None, "", True)),
    ("FAIR_CYCLE_DURATION_ACME", "60", ("fair_cycle.duration_seconds", "acme", None, "", 60.0)),
    ("FAIR_CYCLE_QUOTA_THRESHOLD_ACME", "0.8", ("fair_cycle.quota_threshold", "acme", None, "", 0.8)),
    ("FAIR_CYCLE_RESET_COOLDOWN_THRESHOLD_ACME", "0", ("fair_cycle.reset_cooldown_seconds", "acme", None, "", 0.0)),
    ("EXHAUSTION_COOLDOWN_THRESHOLD", "60", ("exhaustion_cooldown_seconds", None, None, "", 60.0)),
    ("EXHAUSTION_COOLDOWN_THRESHOLD_ACME", "61", ("exhaustion_cooldown_seconds", "acme", None, "", 61.0)),
    ("QUOTA_NO_RESET_EXHAUSTION_POLICY", "cooldown", ("no_reset.policy", None, None, "", "cooldown")),
    ("QUOTA_NO_RESET_EXHAUSTION_POLICY_ACME", "disable_scope", ("no_reset.policy", "acme", None, "", "disable_scope")),
    ("QUOTA_NO_RESET_COOLDOWN_SECONDS", "5", ("no_reset.cooldown_seconds", None, None, "", 5.0)),
    ("QUOTA_NO_RESET_COOLDOWN_SECONDS_ACME", "6", ("no_reset.cooldown_seconds", "acme", None, "", 6.0)),
    ("CUSTOM_CAP_ACME_T1_BIG", "100", ("caps", "acme", None, "1_BIG", 100)),
    ("CUSTOM_CAP_ACME_T1_2_BIG", "80%", ("caps", "acme", None, "1_2_BIG", "80%")),
    ("CUSTOM_CAP_ACME_TDEFAULT_BIG", "-10", ("caps", "acme", None, "DEFAULT_BIG", "-10")),
    ("CUSTOM_CAP_ACME_TPRO_BIG", "+10", ("caps", "acme", None, "PRO_BIG", "+10")),
    ("CUSTOM_CAP_COOLDOWN_ACME_T1_BIG", "offset:300", ("caps[].cooldown", "acme", None, "1_BIG", "offset:300")),
]


@pytest.mark.parametrize(("name", "value", "expected"), NAMES, ids=[row[0] for row in NAMES])
def test_a_name_and_its_value(name: str, value: str, expected: tuple[Any, ...]) -> None:
    assert one(name, value) == expected
    assert type(one(name, value)[-1]) is type(expected[-1])


def test_the_table_holds_every_form() -> None:
    missing = {form.form for form in FORMS} - {said({name: value})[0].form.form for name, value, _ in NAMES}
    assert not missing


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("name", "value", "expected"), NAMES, ids=[row[0] for row in NAMES])
def test_every_form_with_every_kind_of_name(name: str, value: str, expected: tuple[Any, ...], provider: str) -> None:
    """Hyphens, dots, digits first, and one name that another begins with."""
    owner = provider if expected[1] else None
    found = one(name.replace("ACME", token(provider)), value)
    assert found == (expected[0], owner, *expected[2:])


def test_every_setting_but_those_of_files_only_has_a_name() -> None:
    """Tiers, weights and windows say too much for a variable."""
    paths = {form.path.partition(".")[0].removesuffix("[]") for form in FORMS}
    assert set(entries(Rotation)) - paths == {"tiers", "model_tiers", "usage_weights", "windows"}
    assert {entry_of(form.path).name for form in FORMS if "[" not in form.path}  # all of them are there


# Which provider, which setting.


@pytest.mark.parametrize(
    ("name", "value", "providers", "expected"),
    [
        # The longest setting that leaves a provider, whatever else it could be.
        ("FAIR_CYCLE_DURATION_OPENAI", "5", ("openai", "duration-openai"), ("fair_cycle.duration_seconds", "openai")),
        ("FAIR_CYCLE_DURATION_OPENAI", "1", ("duration-openai",), ("fair_cycle.enabled", "duration-openai")),
        ("CUSTOM_CAP_COOLDOWN_ACME_T1_X", "5", ("cooldown-acme",), ("caps", "cooldown-acme")),
        # The longest provider.
        ("QUOTA_GROUPS_OPEN_AI_PRO", "m", ("open", "open_ai"), ("quota_groups", "open_ai", None, "PRO")),
        ("QUOTA_GROUPS_OPEN_AI_PRO", "m", ("open",), ("quota_groups", "open", None, "AI_PRO")),
        ("QUOTA_GROUPS_OPEN_AI", "m", ("open", "open_ai"), ("quota_groups", "open", None, "AI")),
        ("CUSTOM_CAP_OPEN_T1_T2_X", "5", ("open", "open.t1"), ("caps", "open.t1", None, "2_X")),
        ("CUSTOM_CAP_OPEN_T1_X", "5", ("open", "open.t1"), ("caps", "open", None, "1_X")),
        ("MAX_CONCURRENT_REQUESTS_PER_KEY_A_BALANCED", "5", ("a", "a-balanced"), ("max_concurrent", "a-balanced")),
        ("MAX_CONCURRENT_REQUESTS_PER_KEY_A_BALANCED", "5", ("a",), ("max_concurrent", "a", "balanced")),
        # A provider that is called like a part of a setting.
        ("FAIR_CYCLE_ENABLED_ENABLED", "1", ("enabled",), ("fair_cycle.enabled", "enabled")),
        ("FAIR_CYCLE_ENABLED", "1", ("enabled",), ("fair_cycle.enabled", "enabled")),
        ("ROTATION_MODE_PRIORITY_1", "balanced", ("priority-1",), ("mode", "priority-1")),
        ("CONCURRENCY_MULTIPLIER_A_PRIORITY_1_PRIORITY_2", "3", ("a", "a-priority-1"),
         ("concurrency_multipliers", "a-priority-1", None, "2")),
    ],
)
def test_what_fits_in_several_ways(
    name: str, value: str, providers: tuple[str, ...], expected: tuple[str | None, ...]
) -> None:
    assert one(name, value, *providers)[: len(expected)] == expected


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,8}", fullmatch=True), min_size=1, max_size=6, unique_by=token))
def test_every_provider_s_own_name_is_its_own(providers: list[str]) -> None:
    environ = {f"FAIR_CYCLE_DURATION_{token(name)}": "5" for name in providers}
    assert {found.provider for found in said(environ, *providers)} == set(providers)
    assert {found.form.path for found in said(environ, *providers)} == {"fair_cycle.duration_seconds"}


def test_the_weakest_comes_first() -> None:
    environ = {
        "MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED": "3", "MAX_CONCURRENT_REQUESTS_PER_KEY_ACME": "2",
        "ROTATION_TOLERANCE_ACME": "1", "FAIR_CYCLE_ACME": "true", "FAIR_CYCLE_ENABLED_ACME": "false",
    }
    dotenv = {"ROTATION_TOLERANCE": "2", "FAIR_CYCLE_DURATION_ACME": "7", "FAIR_CYCLE_OPEN": "true"}
    more = {"FAIR_CYCLE_ENABLED_OPEN": "false"}
    order = [found.at.key for found in said(environ | more, dotenv=dotenv)]
    for weaker, stronger in [
        ("ROTATION_TOLERANCE", "ROTATION_TOLERANCE_ACME"),
        ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME", "MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED"),
        ("FAIR_CYCLE_ENABLED_ACME", "FAIR_CYCLE_ACME"),
        ("FAIR_CYCLE_OPEN", "FAIR_CYCLE_ENABLED_OPEN"),  # the env file, though it is the firm name
        ("FAIR_CYCLE_DURATION_ACME", "FAIR_CYCLE_ENABLED_ACME"),
    ]:
        assert order.index(weaker) < order.index(stronger)


def test_names_of_others_are_left_alone() -> None:
    keys = {name: "x-1" for name in ("FAIR_CYCLE_API_KEY", "CUSTOM_CAP_API_BASE", "ROTATION_MODE_X_PROXY_URL")}
    assert said(keys | {"OPENAI_API_KEY": "x-1", "MODEL_ROUTE_X": "a/b", "TIMEOUT_CONNECT": "3"}) == ()


# What is told.

TOLD = [
    ("ROTATION_MODE_ACNE", "did you mean ROTATION_MODE_ACME?"),
    ("ROTATION_MODE_acme", "did you mean ROTATION_MODE_ACME?"),
    ("ROTATION_MODE_MY-LLM", "did you mean ROTATION_MODE_MY_LLM?"),
    ("ROTATION_MODE_ACME_BALANCED", "did you mean ROTATION_MODE_ACME?"),
    ("ROTATION_MODE_NOWHERE", "expected ROTATION_MODE_<PROVIDER>, of a provider that there is"),
    ("ROTATION_MODE_", "expected ROTATION_MODE_<PROVIDER>, of a provider that there is"),
    ("ROTATION_TOLERANCE_OPNE_AI", "did you mean ROTATION_TOLERANCE_OPEN_AI?"),
    ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCD", "did you mean MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED?"),
    ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_GROK_2", "did you mean OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_GROQ_2?"),
    ("CONCURRENCY_MULTIPLIER_ACME", "did you mean CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1?"),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORTY_7", "did you mean CONCURRENCY_MULTIPLIER_ACME_PRIORITY_7?"),
    ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_0", "did you mean CONCURRENCY_MULTIPLIER_ACME_PRIORITY_1?"),
    ("SEQUENTIAL_FALLBACK_MULTIPLIER_ACMEE", "did you mean SEQUENTIAL_FALLBACK_MULTIPLIER_ACME?"),
    ("QUOTA_GROUPS_ACME", "expected QUOTA_GROUPS_<PROVIDER>_<GROUP>, of a provider that there is"),
    ("QUOTA_GROUPS_ACMEE_PRO", "did you mean QUOTA_GROUPS_ACME_PRO?"),
    ("QUOTA_GROUPS_ACME_pro", "did you mean QUOTA_GROUPS_ACME_PRO?"),
    ("FAIR_CYCLE_DURATON_ACME", "did you mean FAIR_CYCLE_DURATION_ACME?"),
    ("FAIR_CYCLE_TRACKING_ACME", "did you mean FAIR_CYCLE_TRACKING_MODE_ACME?"),
    ("FAIR_CYCLE_DURATION_SECONDS_ACME", "did you mean FAIR_CYCLE_DURATION_ACME?"),
    ("FAIR_CYCLE_", "expected FAIR_CYCLE_<PROVIDER>, of a provider that there is"),
    ("FAIR_CYCLE_CROSS_TIER_ACNE", "did you mean FAIR_CYCLE_CROSS_TIER_ACME?"),
    ("EXHAUSTION_COOLDOWN_THRESHOLD_ACNE", "did you mean EXHAUSTION_COOLDOWN_THRESHOLD_ACME?"),
    ("QUOTA_NO_RESET_EXHAUSTION_POLICY_ACNE", "did you mean QUOTA_NO_RESET_EXHAUSTION_POLICY_ACME?"),
    ("QUOTA_NO_RESET_COOLDOWN_SECONDS_ACNE", "did you mean QUOTA_NO_RESET_COOLDOWN_SECONDS_ACME?"),
    ("CUSTOM_CAP_ACNE_T1_2_BIG", "did you mean CUSTOM_CAP_ACME_T1_2_BIG?"),
    ("CUSTOM_CAP_ACME_BIG", "did you mean CUSTOM_CAP_ACME_TDEFAULT_BIG?"),
    ("CUSTOM_CAP_ACME_T1", "did you mean CUSTOM_CAP_ACME_TDEFAULT_T1?"),
    ("CUSTOM_CAP_COOLDWN_ACME_T1_BIG", "did you mean CUSTOM_CAP_COOLDOWN_ACME_T1_BIG?"),
    ("CUSTOM_CAP_COOLDOWN_ACNE_T1_BIG", "did you mean CUSTOM_CAP_COOLDOWN_ACME_T1_BIG?"),
]


@pytest.mark.parametrize(("name", "reason"), TOLD, ids=[row[0] for row in TOLD])
def test_a_name_that_fits_nothing_is_told_with_the_nearest(name: str, reason: str) -> None:
    (problem,) = problems({name: "1"})
    assert problem.startswith(f"environment: {name}: unknown name (") and reason in problem


def test_what_is_suggested_is_a_name_that_fits() -> None:
    for name, _ in TOLD:
        (problem,) = problems({name: "1"})
        if "did you mean" in problem:
            meant = problem.partition("did you mean ")[2].removesuffix("?)")
            assert not [line for line in problems({meant: "1"}) if "unknown name" in line], meant


def test_without_any_provider_every_name_is_told() -> None:
    found: list[Problem] = []
    read_names(variables({"ROTATION_MODE_ACME": "balanced", "ROTATION_TOLERANCE": "3"}), (), (), found)
    assert [problem.key for problem in found] == ["ROTATION_MODE_ACME"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ROTATION_MODE_ACME", "balancd", "unknown mode 'balancd' (did you mean balanced?); there are sequential, "),
        ("ROTATION_TOLERANCE", "much", "expected a number from 0 to 1000000000, found 'much'"),
        ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME", "-2", "expected a whole number of at least -1, found '-2'"),
        ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME", "2.5", "expected a whole number of at least -1, found '2.5'"),
        ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME", "0", "expected -1 or a number of at least 1, found 0"),
        ("OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED", "0", "expected -1 or a number of at least 1, found 0"),
        ("MAX_CONCURRENT_REQUESTS_PER_KEY_ACME_BALANCED", "x", "expected a whole number of at least -1, found 'x'"),
        ("CONCURRENCY_MULTIPLIER_ACME_PRIORITY_2", "0", "expected a number from 0.001 to 1000000, found '0'"),
        ("SEQUENTIAL_FALLBACK_MULTIPLIER_ACME", "-1", "expected a number from 0.001 to 1000000, found '-1'"),
        ("FAIR_CYCLE_ACME", "y", "expected true or false, found 'y'"),
        ("FAIR_CYCLE_TRACKING_MODE_ACME", "group", "expected model_group or credential, found 'group'"),
        ("FAIR_CYCLE_DURATION_ACME", "0", "expected a number from 1 to 31622400, found '0'"),
        ("EXHAUSTION_COOLDOWN_THRESHOLD", "-1", "expected a number from 0 to 31622400, found '-1'"),
        ("QUOTA_NO_RESET_EXHAUSTION_POLICY", "warn", "expected warn_only or cooldown or disable_scope, found 'warn'"),
        ("CUSTOM_CAP_ACME_T1_X", "many", 'expected a number, "80%" or "-10", found \'many\''),
        ("CUSTOM_CAP_ACME_T1_X", "9" * 16, 'expected a number, "80%" or "-10", found \'9999999999999999\''),
        ("CUSTOM_CAP_ACME_T1_X", "sk-planted00planted", 'expected a number, "80%" or "-10", found a text'),
        ("CUSTOM_CAP_COOLDOWN_ACME_T1_X", "soon", "expected quota_reset, offset:SECONDS or fixed:SECONDS, found 'so"),
    ],
)
def test_a_value_that_does_not_fit(name: str, value: str, reason: str) -> None:
    (problem,) = problems({name: value})
    assert problem.startswith(f"environment: {name}: {reason}")
    found: list[Problem] = []
    (kept,) = read_names({name: Variable(name, Secret(value), ".env")}, PROVIDERS, MODES, found)
    assert kept.value is None and [problem.where for problem in found] == [".env"]


def test_everything_is_told_at_once() -> None:
    found = problems({"ROTATION_MODE_ACNE": "x", "FAIR_CYCLE_ACME": "y", "ROTATION_TOLERANCE_ACME": "z"})
    told = [line.split(": ")[1] for line in found]
    assert told == ["FAIR_CYCLE_ACME", "ROTATION_MODE_ACNE", "ROTATION_TOLERANCE_ACME"]


def misspelt(name: str) -> Iterator[str]:
    """A letter less, at every place."""
    return (name[:place] + name[place + 1 :] for place in range(len(name)))


@pytest.mark.parametrize("name", [row[0] for row in NAMES])
def test_no_slip_of_the_pen_in_the_provider_is_silent(name: str) -> None:
    if "ACME" in name:
        for wrong in misspelt("ACME"):
            assert problems({name.replace("ACME", wrong): "1"})
