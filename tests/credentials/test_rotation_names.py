"""Names of models with the provider in front, in everything that rotation says of models."""

from typing import Any

from rotator.config.rotation import Cap
from rotator.credentials.rotation_of import idle_rules, rotations
from rotator.errors import Problem
from tests.credentials.rotating import MODES, acme, key, provider, rotating, settings_with

WITH_NAMES: dict[str, Any] = {
    "model_tiers": {"acme/big": 1, "beta/big": 2, "any": 3},
    "usage_weights": {"big": 2, "acme/big": 3, "acme/b/x-*": 4, "*": 5},
    "quota_groups": {"pro": ["acme/big", "big", "beta/small", "free/big"], "other": ["beta/x"]},
    "caps": [{"model": "Acme/big", "max": 1}, {"model": "beta/big", "max": 2}, {"group": "pro", "max": 3}],
}


def test_the_provider_s_own_name_is_taken_off_and_models_of_others_are_no_concern() -> None:
    made = rotating({}, provider(), provider("beta"), provider("gamma"), everybodys=WITH_NAMES)
    one = made["acme"]
    assert one.model_tiers == {"big": 1, "any": 3}
    assert list(one.usage_weights.items()) == [("big", 3.0), ("b/x-*", 4.0), ("*", 5.0)]
    assert one.quota_groups == {"pro": ("big", "free/big"), "other": ()}
    assert one.caps == (Cap(1, model="big"), Cap(3, group="pro"))
    assert made["beta"].model_tiers == {"big": 2, "any": 3}
    assert made["beta"].quota_groups == {"pro": ("big", "small", "free/big"), "other": ("x",)}
    assert made["gamma"].usage_weights == {"big": 2.0, "*": 5.0} and made["gamma"].caps == (Cap(3, group="pro"),)


def test_names_in_a_provider_s_own_rotation() -> None:
    """A vendor may have models that are called like another provider; who means one says so, and is not warned."""
    said = {"quota_groups": {"pro": ["acme/big", "beta/big", "acme/beta/x", "beta/y", "acme/y"]},
            "model_tiers": {"acme/one": 1}, "caps": [{"model": "beta/big", "max": 2}]}  # fmt: skip
    own = {"acme": provider(rotation=said, models=["beta/y", "acme/y"]), "beta": provider("beta")}
    foreign: dict[str, list[str]] = {}
    problems: list[Problem] = []
    everybodys = {"model_tiers": {"one": 5, "two": 6}}
    made = rotations(settings_with({}, everybodys), own, MODES, problems, {}, foreign)
    assert problems == [] and made["acme"].quota_groups == {"pro": ("big", "beta/big", "beta/x", "beta/y", "acme/y")}
    assert made["acme"].model_tiers == {"one": 1, "two": 6}, "the provider's own word wins"
    keys = {"acme": (key(1, None, 1),), "beta": ()}
    assert [line for line in idle_rules(made, keys, foreign) if "another" in line] == [
        "rotation of acme: beta/big begins with the name of another provider; if it is a model of acme, write"
        " acme/beta/big"
    ]


def test_names_in_variables() -> None:
    environ = {"QUOTA_GROUPS_ACME_PRO": "acme/big.1, small", "CUSTOM_CAP_ACME_TDEFAULT_BIG_1": "5"}
    made = acme(environ, {"quota_groups": None, "usage_weights": {"acme/heavy.2": 2}})
    assert made.quota_groups == {"pro": ("big.1", "small")} and made.caps == (Cap(5, model="big.1"),)
    assert acme({"CUSTOM_CAP_ACME_T1_HEAVY_2": "5"}, {"usage_weights": {"acme/heavy.2": 2}}).caps[0].model == "heavy.2"
