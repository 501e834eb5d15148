"""How much to think, in each of the ways that Chat clients say it: understood, and written back as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.losses import Ledger
from rotator.neutral.request import ReasoningWish
from tests.upstreams import PROTOCOLS

CODEC = PROTOCOLS["chat"].codecs["generate"]
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def google(**config: Any) -> dict[str, Any]:
    return {"extra_body": {"google": {"thinking_config": config}}}


#: What a client wrote; enabled, effort, budget, display; what nobody understood.
HEARD: list[tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]] = [
    ({"reasoning_effort": "high"}, (None, "high", None, None), {}),
    ({"reasoning_effort": "none"}, (False, "none", None, None), {}),
    ({"reasoning": {"effort": "low"}}, (None, "low", None, None), {}),
    ({"reasoning": {"effort": "none"}}, (False, "none", None, None), {}),
    ({"reasoning": {"max_tokens": 2000, "exclude": True}}, (None, None, 2000, "hidden"), {}),
    ({"reasoning": {"enabled": True, "exclude": False}}, (True, None, None, None), {}),
    ({"reasoning": {"enabled": False}}, (False, None, None, None), {}),
    ({"reasoning": {"summary": "auto"}}, (None, None, None, "summary"), {}),
    ({"reasoning": {"effort": "low", "odd": 1}}, (None, "low", None, None), {"reasoning": {"odd": 1}}),
    ({"reasoning": {"effort": 3}}, (None, None, None, None), {"reasoning": {"effort": 3}}),
    ({"reasoning": "low"}, (None, None, None, None), {"reasoning": "low"}),
    ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, (True, None, 2048, None), {}),
    ({"thinking": {"type": "adaptive"}}, (True, None, -1, None), {}),
    ({"thinking": {"type": "disabled"}}, (False, None, None, None), {}),
    ({"thinking": {"type": "auto"}}, (None, None, None, None), {"thinking": {"type": "auto"}}),
    ({"thinking": True}, (None, None, None, None), {"thinking": True}),
    ({"thinking": {"type": "enabled", "display": "x"}}, (True, None, None, None), {"thinking": {"display": "x"}}),
    ({"enable_thinking": True, "thinking_budget": 500}, (True, None, 500, None), {}),
    ({"enable_thinking": False}, (False, None, None, None), {}),
    ({"chat_template_kwargs": "fast"}, (None, None, None, None), {"chat_template_kwargs": "fast"}),
    ({"extra_body": {"google": 3}}, (None, None, None, None), {"extra_body": {"google": 3}}),
    ({"enable_thinking": "yes"}, (None, None, None, None), {"enable_thinking": "yes"}),
    ({"thinking_budget": 0}, (False, None, None, None), {}),
    ({"thinking_budget": -5}, (None, None, None, None), {"thinking_budget": -5}),
    ({"thinking_budget": True}, (None, None, None, None), {"thinking_budget": True}),
    ({"chat_template_kwargs": {"enable_thinking": False}}, (False, None, None, None), {}),
    ({"chat_template_kwargs": {"thinking": True, "odd": 1}}, (True, None, None, None),
     {"chat_template_kwargs": {"odd": 1}}),
    ({"chat_template_kwargs": {"odd": 1}}, (None, None, None, None), {"chat_template_kwargs": {"odd": 1}}),
    (google(thinking_level="HIGH", include_thoughts=True), (None, "high", None, "summary"), {}),
    (google(thinking_budget=-1, include_thoughts=False), (None, None, -1, "hidden"), {}),
    (google(thinking_budget=0), (False, None, None, None), {}),
    ({"extra_body": {"a": 1, "google": {"b": 2, "thinking_config": {"thinking_budget": 9, "c": 3}}}},
     (None, None, 9, None), {"extra_body": {"a": 1, "google": {"b": 2, "thinking_config": {"c": 3}}}}),
    ({"extra_body": {"a": 1}}, (None, None, None, None), {"extra_body": {"a": 1}}),
    ({"reasoning_effort": "high", "reasoning": {"effort": "low", "max_tokens": 7}, "enable_thinking": False},
     (False, "high", 7, None), {}),
    ({"reasoning_effort": None, "reasoning": None}, (None, None, None, None), {}),
]


@pytest.mark.pitfall("C101")
@pytest.mark.parametrize(("said", "heard", "rest"), HEARD)
def test_what_is_understood_and_that_it_comes_back(
    said: dict[str, Any], heard: tuple[Any, ...], rest: dict[str, Any]
) -> None:
    body = {**HI, **said}
    before = copy.deepcopy(body)
    request = CODEC.parse(body, "m", False, Ledger())
    wish = request.reasoning
    assert (wish.enabled, wish.effort, wish.budget, wish.display) == heard
    assert request.rest == rest
    ledger = Ledger()
    told = {name: value for name, value in before.items() if value is not None}
    assert CODEC.build(request, ledger).body == told
    assert (ledger.losses, body) == ([], before)


def test_where_it_was_said() -> None:
    def at(**said: Any) -> Any:
        return CODEC.parse({**HI, **said}, "m", False, Ledger()).reasoning.at

    assert at(thinking={"type": "enabled"}, reasoning_effort="low") == ("reasoning_effort",)
    assert at(enable_thinking=True, thinking={"type": "enabled"}) == ("thinking",)


def test_what_an_adapter_changed_is_told() -> None:
    request = CODEC.parse({**HI, "reasoning": {"effort": "low"}}, "m", False, Ledger())
    changed = replace(request, reasoning=replace(request.reasoning, effort="high"))
    assert CODEC.build(changed, Ledger()).body == {**HI, "reasoning_effort": "high"}
    silent = replace(request, reasoning=ReasoningWish())
    assert CODEC.build(silent, Ledger()).body == HI


def test_a_wrong_effort_is_refused() -> None:
    with pytest.raises(Refused, match="reasoning_effort"):
        CODEC.parse({**HI, "reasoning_effort": 3}, "m", False, Ledger())
