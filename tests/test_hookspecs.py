"""Every hook of the engine, and the page that describes it."""

import inspect
import re
from pathlib import Path

import pytest

from rotator.hookspecs import AttemptSeen, Hooks

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = {name: hook for name, hook in vars(Hooks).items() if inspect.isfunction(hook)}


def signature(name: str) -> str:
    """How a plug-in writes the hook: without ``self``."""
    found = inspect.signature(HOOKS[name])
    plain = found.replace(parameters=list(found.parameters.values())[1:])
    return f"{name}{str(plain).replace(chr(39), '')}"


def test_there_are_hooks() -> None:
    assert {"register_protocols", "register_adapters", "register_providers", "on_attempt"} <= HOOKS.keys()


def test_every_hook_has_a_heading_with_its_signature_and_no_other_has() -> None:
    headings = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
    assert headings == [signature(name) for name in HOOKS]


def test_what_an_observer_sees_is_described() -> None:
    text = PAGE.partition("### `on_attempt")[2].partition("\n## ")[0]
    missing = [name for name in AttemptSeen.__dataclass_fields__ if f"`{name}`" not in text]
    assert not missing


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_what_it_is_for(name: str) -> None:
    assert inspect.getdoc(HOOKS[name])
