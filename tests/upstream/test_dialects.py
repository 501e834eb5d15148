"""How a provider says that its wire differs, and what is refused of it at the start."""

from typing import Any

import pytest

from rotator.config.reader import At
from rotator.errors import ConfigError
from rotator.upstream.dialects import check_dialects
from rotator.upstream.provider import HttpProvider
from tests.upstreams import PROTOCOLS

TOP = {"name": "x", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}
MORE = {"messages": {"protocol": "messages", "base_url": "http://127.0.0.1:9"}}


def problems(**declared: Any) -> list[str]:
    provider = HttpProvider({**TOP, **declared})
    try:
        check_dialects(provider, PROTOCOLS, At("rotator.yaml", "providers.x"))
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_the_dialect_of_each_profile_is_its_own() -> None:
    declared = HttpProvider(
        {
            **TOP,
            "dialect": {"max_tokens": "max_completion_tokens"},
            "profiles": {"messages": {**MORE["messages"], "dialect": {"max_tokens": 64}}},
        }
    )
    assert declared.profiles["chat"].dialect == {"max_tokens": "max_completion_tokens"}
    assert declared.profiles["messages"].dialect == {"max_tokens": 64}
    check_dialects(declared, PROTOCOLS, At("rotator.yaml", "providers.x"))


PLACE = "rotator.yaml: providers.x"


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({}, []),
        (
            {"dialect": {"max_token": "max_tokens"}},
            [f"{PLACE}.dialect.max_token: unknown key (did you mean max_tokens?)"],
        ),
        (
            {"profiles": {"messages": {**MORE["messages"], "dialect": {"max_tokens": "many"}}}},
            [f"{PLACE}.profiles.messages.dialect.max_tokens: expected a whole number of at least 1, found 'many'"],
        ),
    ],
)
def test_words_that_a_protocol_does_not_know_are_named(declared: dict[str, Any], told: list[str]) -> None:
    found = problems(**declared)
    assert sorted(set(found)) == told


def test_a_protocol_that_cannot_be_translated_has_no_dialect() -> None:
    mute: Any = type("Mute", (), {"name": "mute", "codecs": {}})()
    provider = HttpProvider({**TOP, "protocol": "mute", "dialect": {"any": 1}})
    with pytest.raises(ConfigError) as error:
        check_dialects(provider, {"mute": mute}, At("x.yaml"))
    assert [str(one) for one in error.value.problems] == ["x.yaml: dialect: mute has no dialects"]
