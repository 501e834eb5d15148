"""Keys of a simulation: those that there are, those that a file speaks of."""

from pathlib import Path
from typing import Any

import pytest

from rotator.contracts import KeyFacts
from rotator.credentials.simulation.keys import keys_of, with_spoken
from rotator.errors import ConfigError
from tests.proxy import make_world

CONFIG = """
providers:
  alpha: {protocol: chat, base_url: "http://127.0.0.1:9", credentials: {"1": {label: one}, "10": {tier: paid}, "2": {}}}
  beta: {protocol: chat, base_url: "http://127.0.0.1:9"}
rotation: {tiers: {paid: 3}}
"""


def found(folder: Path, spoken: Any) -> dict[str, list[tuple[str, int, bool]]]:
    """By provider: label, priority, and whether there is a secret."""
    world = make_world({"ALPHA_API_KEY_1": "a-key-of-alpha"}, folder, config=CONFIG)
    numbers = {name: {"1"} if name == "alpha" else set() for name in world.providers}
    own = keys_of(world.providers, world.credentials, numbers, world.rotations)
    made = with_spoken(own, spoken, world.rotations, "load.yaml")
    assert len({key.id for keys in made.values() for key in keys}) == sum(map(len, made.values()))
    return {
        name: [(key.label, key.priority, key.secret is not None) for key in keys] for name, keys in made.items()
    }  # fmt: skip


def test_numbers_of_the_configuration_count_as_keys(tmp_path: Path) -> None:
    declared = [("one", 10, True), ("alpha#2", 10, False), ("alpha#10", 3, False)]
    assert found(tmp_path, {}) == {"alpha": declared}
    spoken = {"beta": (KeyFacts("work", "paid"), KeyFacts(None, "paid", 1), KeyFacts()), "alpha": 9}
    assert found(tmp_path, spoken) == {
        "alpha": declared, "beta": [("work", 3, False), ("beta#2", 1, False), ("beta#3", 10, False)],
    }  # fmt: skip
    assert found(tmp_path, {"beta": 2})["beta"] == [("beta#1", 10, False), ("beta#2", 10, False)]


def test_what_there_is_not_and_what_there_is_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^load\.yaml: keys\.betta: unknown provider \(did you mean beta\?\)$"):
        found(tmp_path, {"betta": 1})
    with pytest.raises(ConfigError, match=r"^load\.yaml: keys: two keys are labelled 'one'$"):
        found(tmp_path, {"beta": (KeyFacts("one"),)})
