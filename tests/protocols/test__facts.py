"""The model table: whose row a name is, what a provider lays over it, and that the data files are whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import ConfigError
from tests.upstreams import PROTOCOLS

ROOT = Path(__file__).resolve().parents[2]
MESSAGES, CHAT = PROTOCOLS["messages"].codecs["generate"], PROTOCOLS["chat"].codecs["generate"]
FACTS: dict[str, Any] = {
    name: import_module(f"rotator.plugins.protocols.{name}.facts") for name in ("messages", "chat")
}


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-opus-5-5-20261001", "claude-opus-5-5"),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-opus-5-20260401", "claude-opus-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5:beta", "claude-sonnet-4-5"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("gateway/models/Claude-3.7-Sonnet-latest", "claude-3-7-sonnet"),
        ("claude-sonnet-5-fast", "claude-sonnet-5"),
        ("claude-opus-4-9", "claude-opus-4-9"),
        ("claude-sonnet-5-6-20270101", "claude-sonnet-5-6-20270101"),
        ("claude-opus-55", "claude-opus-55"),
        ("big-model", "big-model"),
    ],
)
def test_whose_row_a_model_of_messages_is(model: str, row: str) -> None:
    assert MESSAGES.family(model) == row


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("gpt-5", "gpt-5"),
        ("openai/gpt-5-mini-2025-08-07", "gpt-5"),
        ("gpt-5.4-mini", "gpt-5-4"),
        ("gpt-5.6-turbo", "gpt-5-6"),
        ("gpt-5.9", "gpt-5.9"),
        ("gpt-6.2", "gpt-6"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4o-mini-search-preview-2025-03-11", "gpt-4o-mini-search-preview"),
        ("gpt-5-search-api", "gpt-5-search-api"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-5-chat-latest", "gpt-5-chat"),
        ("o3-mini", "o3"),
        ("llama-3", "llama-3"),
    ],
)
def test_whose_row_a_model_of_chat_is(model: str, row: str) -> None:
    assert CHAT.family(model) == row


@pytest.mark.parametrize(
    ("model", "bound"),
    [
        ("claude-sonnet-5-5", True),
        ("claude-haiku-5-5", True),
        ("claude-opus-5-5", False),
        ("claude-opus-4-6", False),
        ("claude-opus-9", True),
        ("big-model", True),
    ],
)
def test_whose_account_state_is_bound_to(model: str, bound: bool) -> None:
    assert MESSAGES.account_bound(model) is bound
    assert CHAT.account_bound(model) is True


@pytest.mark.pitfall("C103")
def test_a_providers_rows_are_laid_over_member_by_member() -> None:
    dialect = {"models": {
        "claude-opus-5.5": {"prefill": True},
        "claude-x-9*": {"thinking": ["enabled"], "binding": []},
        "claude-opus-5-5-mini": {"max_output": 10},
        "*": {"max_output": 20},
    }}
    codec: Any = MESSAGES.with_dialect(dialect)
    facts = codec._models.of("claude-opus-5-5")
    assert (facts.prefill, facts.thinking, facts.max_output) == (True, ("adaptive",), 128_000)
    facts = codec._models.of("claude-opus-5-5-mini")
    assert (facts.max_output, facts.sampling, facts.prefill) == (10, False, False)
    assert codec._models.of("claude-x-99").thinking == ("enabled",)
    assert codec._models.of("claude-x-99").efforts is None
    assert codec._models.of("other").max_output == 20
    assert (codec.family("claude-x-99"), codec.family("other")) == ("claude-x-9", "other")
    assert codec.account_bound("claude-x-99") is False and MESSAGES.account_bound("claude-x-99") is True
    assert FACTS["messages"].facts_of("claude-opus-5-5").prefill is False
    assert FACTS["messages"].facts_of("claude-opus-5-5", {"claude-opus-5-5": facts}).max_output == 10


@pytest.mark.parametrize(
    ("protocol", "models", "said"),
    [
        ("messages", {"claude-x": {"eforts": ["low"]}}, "models.claude-x.eforts: unknown key (did you mean efforts?)"),
        ("messages", {"claude-x": {"efforts": ["lo"]}}, "models.claude-x.efforts[0]: expected none or minimal"),
        ("messages", {"claude-x": {"prefill": "maybe"}}, "models.claude-x.prefill: expected true or false"),
        ("messages", {"*-opus": {}}, "models: expected names of models, a * at their end at most, found '*-opus'"),
        ("chat", {"": {}}, "models: expected names of models"),
        ("chat", {"gpt": {"tools": "no"}}, "models.gpt.tools: expected ok or"),
        ("messages", {"claude-x": {"max_output": 0}}, "models.claude-x.max_output: expected a whole number of"),
        ("chat", {"gpt": {"max_output": -1}}, "models.gpt.max_output: expected a whole number of at least 1"),
        ("chat", {"gpt": {"forced_tool": "without_thinking"}}, "models.gpt.forced_tool: expected ok or refused"),
        ("chat", {"gpt": {"binding": []}}, "models.gpt.binding: unknown key"),
    ],
)
def test_a_wrong_row_is_told_at_the_start(protocol: str, models: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PROTOCOLS[protocol].codecs["generate"].with_dialect({"models": models})
    assert said in str(caught.value)


@pytest.mark.parametrize("protocol", FACTS)
def test_every_row_of_the_files_is_one_that_a_dialect_could_say(protocol: str) -> None:
    path = ROOT / "protocols" / protocol / "models.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    assert len(data["models"]) >= 20 and "7.2" in data["source"]
    codec: Any = PROTOCOLS[protocol].codecs["generate"].with_dialect({"models": data["models"]})
    for name in data["models"]:
        model = name.removesuffix("*")
        assert asdict(codec._models.of(model)) == asdict(FACTS[protocol].facts_of(model))
        assert FACTS[protocol].facts_of(model) != type(FACTS[protocol].facts_of(model))()
