"""Rules of a rotation that do nothing: each is told, and what works is not."""

from typing import Any

import pytest

from rotator.config.rotation import Rotation
from rotator.credentials.rotation_of import idle_rules
from tests.credentials.rotating import acme, key


@pytest.mark.parametrize(
    ("rotation", "lines"),
    [
        ({}, []),
        ({"caps": [{"model": "m", "max": 5}, {"model": "m", "max": "5"}]}, []),
        ({"caps": [{"model": "m", "max": "80%"}]},
         ['the cap "80%" of m is inactive until the vendor states a limit']),
        ({"caps": [{"group": "g", "max": "-5"}, {"group": "g", "max": "+5"}], "quota_groups": {"g": ["m"]}},
         ['the cap "-5" of g is inactive until the vendor states a limit',
          'the cap "+5" of g is inactive until the vendor states a limit']),
        ({"caps": [{"model": "m", "max": "80%"}], "windows": [{"name": "a", "seconds": 5, "limit": 9}]}, []),
        ({"caps": [{"model": "m", "max": "80%"}], "windows": [{"name": "a", "seconds": 5}]},
         ['the cap "80%" of m is inactive until the vendor states a limit']),
        ({"caps": [{"model": "m", "max": "80%"}],
          "windows": [{"name": "a", "seconds": 5, "limit": 9, "unit": "tokens"}]},
         ['the cap "80%" of m is inactive until the vendor states a limit']),
        ({"caps": [{"tier": "pro", "model": "m", "max": "80%"}],
          "windows": [{"name": "a", "seconds": 5, "limit": 9, "tier": "free"}]},
         ['the cap "80%" of m is inactive until the vendor states a limit']),
        ({"caps": [{"tier": "pro", "model": "m", "max": "80%"}],
          "windows": [{"name": "a", "seconds": 5, "limit": 9, "tier": 1}]}, []),
        ({"caps": [{"tier": ["pro", "gold", 3, 10], "model": "m", "max": 1}]},
         ['the cap "1" of m: no key has tier gold', 'the cap "1" of m: no key has tier 3']),
        ({"caps": [{"tier": "gold", "model": "m", "max": "80%"}]}, ['the cap "80%" of m: no key has tier gold']),
        ({"model_tiers": {"m": "pro", "n": "gold", "o": 1, "p": 20}},
         ["model_tiers: no key has tier gold, which n needs"]),
        ({"model_tiers": {"m": "gold"}, "tiers": {"gold": 1}}, []),
        ({"model_tiers": {"m": "gold"}, "tiers": {"gold": 1}, "caps": []}, []),
        # Groups that there are not, or that share a model.
        ({"caps": [{"group": "prof", "max": "80%"}, {"group": "x", "max": 5}], "quota_groups": {"pro": ["m"]}},
         ['the cap "80%" of prof: there is no such quota group (did you mean pro?)',
          'the cap "5" of x: there is no such quota group']),
        ({"caps": [{"group": "PRO*", "max": 5}, {"group": "my-pro", "max": 5}],
          "quota_groups": {"PROF": ["m"], "my_pro": ["n"]}}, []),
        ({"caps": [{"group": "pro", "max": "80%"}], "quota_groups": {"pro": []}}, []),
        ({"quota_groups": {"a": ["m", "n-1", "p-*"], "b": ["m", "n-*", "p-1", "p-2-*", "q"]}},
         ["quota_groups: m is in a and in b; the first counts", "quota_groups: p-1 is in a and in b; the first counts",
          "quota_groups: p-2-* is in a and in b; the first counts"]),
        # Windows.
        ({"windows": [{"name": "a", "seconds": 5, "tier": "gold"}, {"name": "a", "seconds": 5, "tier": 3},
                      {"name": "b", "seconds": 5, "tier": "pro"}, {"name": "c", "seconds": 5, "tier": 10}]},
         ["the window a: no key has tier gold", "the window a: no key has tier 3"]),
        ({"windows": [{"name": "a", "every": "day", "day": 2}, {"name": "b", "every": "week", "day": 2},
                      {"name": "c", "every": "month", "at": "05:00", "zone": "Europe/Berlin"}]},
         ["the window a: day does nothing with every: day"]),
        ({"windows": [{"name": "a", "seconds": 5, "at": "05:00"}, {"name": "b", "seconds": 5, "day": 2},
                      {"name": "c", "reset": "vendor", "at": "05:00", "zone": "Europe/Berlin"}]},
         ["the window a: at does nothing without every: day, week or month",
          "the window b: day does nothing without every: day, week or month",
          "the window c: at and zone do nothing without every: day, week or month"]),
        # Caps that come to nothing.
        ({"caps": [{"model": "m", "max": "-100"}, {"model": "n", "max": "-99"}, {"model": "o", "max": "0.9%"},
                   {"model": "p", "max": 0}], "windows": [{"name": "a", "seconds": 5, "limit": 100}]},
         ['the cap "-100" of m allows no request where the limit is 100',
          'the cap "0.9%" of o allows no request where the limit is 100']),
        ({"caps": [{"model": "m", "max": "-100"}],
          "windows": [{"name": "a", "seconds": 5, "limit": 200, "tier": "pro"},
                      {"name": "a", "seconds": 5, "limit": 50}, {"name": "b", "seconds": 5, "limit": 1}]},
         ['the cap "-100" of m allows no request where the limit is 50']),
        ({"caps": [{"model": "m", "max": "-100"}, {"model": "m", "max": 5, "tier": "free"}],
          "windows": [{"name": "a", "seconds": 5, "limit": 200, "tier": "pro"},
                      {"name": "a", "seconds": 5, "limit": 50}]},
         []),
        ({"no_reset": {"policy": "cooldown"}}, ["no_reset: policy cooldown does nothing while cooldown_seconds is 0"]),
        ({"no_reset": {"policy": "cooldown", "cooldown_seconds": 1}}, []),
    ],
)  # fmt: skip
def test_rules_that_do_nothing(rotation: dict[str, Any], lines: list[str]) -> None:
    keys = (key(1, "pro", 1), key(2, "free"))
    found = idle_rules({"acme": acme({}, rotation), "beta": acme({}, rotation)}, {"acme": keys})
    assert list(found) == [f"rotation of acme: {line}" for line in lines]


def test_a_number_that_no_key_reaches() -> None:
    (line,) = idle_rules({"acme": Rotation(model_tiers={"m": 2})}, {"acme": (key(1, None, 3),)})
    assert line == "rotation of acme: model_tiers: no key has tier 2, which m needs"


def test_one_rule_of_several_providers_is_told_once() -> None:
    idle = acme({}, {"no_reset": {"policy": "cooldown"}})
    both = {"acme": idle, "beta": idle, "gamma": Rotation()}
    (line,) = idle_rules(both, dict.fromkeys(both, (key(1),)))
    assert line == "rotation of acme, beta: no_reset: policy cooldown does nothing while cooldown_seconds is 0"
