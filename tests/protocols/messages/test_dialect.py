"""The options of a Messages provider: their defaults, and what is no option."""

from __future__ import annotations

from typing import Any

import pytest
from rotator.plugins.protocols.messages.dialect import MessagesDialect

from rotator.config.reader import At, parse
from rotator.errors import ConfigError


def test_defaults() -> None:
    assert parse(MessagesDialect, {}, At("")) == MessagesDialect(32_000, "reminder", "native")


def test_all_options() -> None:
    options = {"max_tokens": 1, "mid_system": "role", "structured_output": "instruction"}
    assert parse(MessagesDialect, options, At("")) == MessagesDialect(1, "role", "instruction")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"max_token": 1}, "max_token"),
    "zero": ({"max_tokens": 0}, "max_tokens"),
    "word": ({"max_tokens": "many"}, "max_tokens"),
    "mid-system": ({"mid_system": "hoist"}, "mid_system"),
    "structured-output": ({"structured_output": "tool"}, "structured_output"),
}


@pytest.mark.parametrize(("options", "key"), [pytest.param(*row, id=name) for name, row in WRONG.items()])
def test_what_is_no_option_is_named(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        parse(MessagesDialect, options, At("acme.yaml", "dialect"))
    assert [problem.key for problem in wrong.value.problems] == [f"dialect.{key}"]
