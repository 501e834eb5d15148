"""Pitfalls of protocols.md 5 that depend on the model: how much to think, and what does not go beside it."""

from typing import Any, NamedTuple

import pytest

from rotator.errors import Refused
from rotator.neutral.losses import Ledger

from .codecs import codec, laid, parsed
from .words import A_TOOLS, C_TOOLS, LEAST

#: api.openai.com takes no functions beside reasoning.  Source: protocols.md 7.4.
STRICT = {"reasoning_with_tools": "refused"}
CLEARING = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}


class Wire(NamedTuple):
    """What a model's upstream gets, and the codes of what was lost."""

    body: dict[str, Any]
    codes: list[str]


def wire(client: str, model: str, more: Any, dialect: Any = None) -> Wire:
    """A client's request for a model of the other protocol."""
    ledger = Ledger()
    request = parsed(client, {**laid(LEAST[client], more), "model": model}, ledger)
    built = codec("messages" if client == "chat" else "chat", dialect).build(request, ledger)
    return Wire(dict(built.body), [loss.code for loss in ledger.losses])


@pytest.mark.pitfall("P-95")
def test_clearing_of_thoughts_does_not_outlive_the_thinking() -> None:
    off = {"thinking": {"type": "disabled"}, "context_management": CLEARING}
    assert "context_management" not in wire("messages", "gpt-5.6", off).body
    assert "context_management" not in wire("chat", "claude-opus-4-8", {"reasoning_effort": "none"}).body


@pytest.mark.pitfall("P-96")
def test_how_thoughts_are_shown_does_not_change_the_thinking() -> None:
    hidden = wire("chat", "claude-opus-4-8", {"reasoning": {"exclude": True}})
    assert not {"thinking", "output_config"} & hidden.body.keys()
    asked = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
    shown = {**asked, "thinking": {"type": "adaptive", "display": "omitted"}}
    assert wire("messages", "gpt-5.6", shown).body == wire("messages", "gpt-5.6", asked).body


@pytest.mark.pitfall("P-110", loss="sampling.temperature")
def test_a_temperature_goes_to_models_that_take_one() -> None:
    assert wire("chat", "claude-sonnet-4-5", {"temperature": 0.7}).body["temperature"] == 0.7
    for model, more in (("claude-opus-5-5", {}), ("claude-sonnet-4-5", {"reasoning_effort": "high"})):
        body, codes = wire("chat", model, {"temperature": 0.7, **more})
        assert "temperature" not in body
        assert "sampling.temperature" in codes


@pytest.mark.pitfall("P-112", loss="reasoning.clamped")
@pytest.mark.parametrize(("model", "used"), [("claude-opus-4-8", "xhigh"), ("claude-sonnet-4-6", "high")])
def test_xhigh_is_not_max(model: str, used: str) -> None:
    body, codes = wire("chat", model, {"reasoning_effort": "xhigh"})
    assert body["output_config"]["effort"] == used
    assert ("reasoning.clamped" in codes) == (used != "xhigh")


@pytest.mark.pitfall("P-113")
def test_reasoning_as_an_object_is_split() -> None:
    body, _ = wire("chat", "claude-opus-4-8", {"reasoning": {"effort": "high", "summary": "auto"}})
    assert body["output_config"] == {"effort": "high"}
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    with pytest.raises(Refused) as caught:
        wire("chat", "claude-opus-4-8", {"reasoning_effort": {"effort": "high"}})
    assert caught.value.error.param == "reasoning_effort"


@pytest.mark.pitfall("P-153")
@pytest.mark.parametrize("effort", [None, "high"])
def test_tools_go_without_reasoning_where_chat_does_not_take_both(effort: str | None) -> None:
    """Whether or not an effort was asked for: the model's default would be refused as well."""
    asked = {"tools": A_TOOLS, **({"output_config": {"effort": effort}} if effort else {})}
    body, codes = wire("messages", "gpt-5.6-terra", asked, STRICT)
    assert (body["reasoning_effort"], body["tools"]) == ("none", C_TOOLS)
    assert codes == ["reasoning.tools"]
    with pytest.raises(Refused) as caught:
        wire("messages", "gpt-6-astra", asked, STRICT)
    assert caught.value.error.code == "tools_with_reasoning_need_responses"


@pytest.mark.pitfall("P-155")
@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-4-6"])
def test_an_effort_alone_switches_thinking_on(model: str) -> None:
    body = wire("chat", model, {"reasoning_effort": "low"}).body
    assert (body["thinking"]["type"], body["output_config"]["effort"]) == ("adaptive", "low")
