"""How much to think, in each dialect of Chat: protocols.md 7.3 ("OpenAI", "Ollama"), what 7.2 and 7.4 refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Text
from rotator.neutral.request import Output, ReasoningWish, Request, Sampling, Tool, Turn
from rotator.wire.jsontext import dumps
from tests.upstreams import PROTOCOLS, engine

ROOT = Path(__file__).resolve().parents[3]
CODEC = PROTOCOLS["chat"].codecs["generate"]
AT = ("thinking",)
HI = (Turn("user", (Text("Hi"),)),)
TOOLS = (Tool("one", schema={"type": "object"}),)
NEW_NAME = {"max_tokens": "max_completion_tokens"}

#: Efforts that a model takes.  Source: protocols.md 7.2.
TAKEN = {
    "gpt-6-astra": "low medium high xhigh max",
    "gpt-6.1-sol": "low medium high xhigh max",
    "gpt-6-luna": "none low medium high xhigh max",
    "gpt-5.6-mini": "none low medium high xhigh max",
    "gpt-5.5": "none low medium high xhigh",
    "gpt-5.4-2026-01-01": "none low medium high xhigh",
    "gpt-5.2": "none low medium high xhigh",
    "gpt-5.1": "none low medium high",
    "gpt-5-mini": "minimal low medium high",
    "o3": "low medium high",
    "o4-mini": "low medium high",
}
LADDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: What becomes of a level that is not taken, the first of these that is.
INSTEAD = {
    "none": "minimal low", "minimal": "low", "xhigh": "high", "max": "xhigh high",
}


def wish(**said: Any) -> ReasoningWish:
    return ReasoningWish(at=AT, **said)


def effort(level: str) -> ReasoningWish:
    return wish(effort=level)


def asked(model: str = "m", **more: Any) -> Request:
    return Request("messages", model, more.pop("turns", HI), **more)


def build(request: Request, dialect: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[Loss]]:
    ledger = Ledger()
    codec = CODEC.with_dialect(dialect) if dialect else CODEC
    body = codec.build(request, ledger).body
    assert {loss.code for loss in ledger.losses} <= CODEC.losses.keys()
    return body, ledger.losses


def taken(request: Request, **dialect: Any) -> tuple[dict[str, Any], list[Loss]]:
    """The same for OpenAI, whose fake takes it."""
    body, losses = build(request, {**NEW_NAME, **dialect})
    call = engine.Call("chat", orjson.loads(dumps(body)), {}, "key", b"secret")
    fault = engine.first_fault(call, engine.CHECKS["chat"])
    assert fault is None, fault.message
    return body, losses


# ------------------------------------------------------------ reasoning_effort


@pytest.mark.pitfall("C102", loss="reasoning.clamped")
@pytest.mark.pitfall("C118")
@pytest.mark.parametrize("model", TAKEN)
@pytest.mark.parametrize("level", LADDER)
def test_each_level_for_each_model(model: str, level: str) -> None:
    body, losses = taken(asked(model, reasoning=effort(level)))
    levels = TAKEN[model].split()
    used = next(one for one in (level, *INSTEAD.get(level, "").split()) if one in levels)
    assert body["reasoning_effort"] == used
    told = [] if used == level else [Loss("reasoning.clamped", "thinking", f"requested {level}, used {used}")]
    assert losses == told


@pytest.mark.parametrize("model", [*TAKEN, "gpt-4o", "gpt-6.2", "llama"])
def test_unset_stays_unset_and_so_does_auto(model: str) -> None:
    for said in (ReasoningWish(), wish(enabled=True), wish(enabled=True, budget=-1)):
        assert taken(asked(model, reasoning=said)) == ({"model": model, "messages": [{"role": "user",
                                                                                    "content": "Hi"}]}, [])


@pytest.mark.parametrize(
    ("budget", "used"), [(512, "low"), (1024, "low"), (8192, "medium"), (8193, "high"), (31_999, "xhigh")]
)
def test_a_budget_is_the_nearest_level(budget: int, used: str) -> None:
    body, losses = taken(asked("gpt-5.5", reasoning=wish(enabled=True, budget=budget)))
    assert body["reasoning_effort"] == used
    exact = budget in (1024, 8192)
    told = [Loss("reasoning.clamped", "thinking", f"requested {budget} tokens, used {used}")]
    assert losses == ([] if exact else told)


@pytest.mark.pitfall("C109")
def test_an_effort_wins_over_a_budget() -> None:
    body, losses = taken(asked("gpt-5.5", reasoning=wish(enabled=True, budget=100, effort="high")))
    assert body["reasoning_effort"] == "high"
    assert losses == []


@pytest.mark.pitfall("C110")
@pytest.mark.parametrize("off", [wish(enabled=False), wish(enabled=False, effort="high"), wish(budget=0)])
def test_off(off: ReasoningWish) -> None:
    assert taken(asked("gpt-5.1", reasoning=off))[0]["reasoning_effort"] == "none"
    assert taken(asked("gpt-5", reasoning=off))[0]["reasoning_effort"] == "minimal"
    assert taken(asked("gpt-5.1", reasoning=off))[1] == []


def test_off_but_between_tools() -> None:
    body, losses = taken(asked("gpt-5.1", reasoning=wish(enabled=False, between_tools=True)))
    assert body["reasoning_effort"] == "none"
    assert losses == [Loss("reasoning.clamped", "thinking", "requested between_tools, used none")]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "chatgpt-4o-latest"])
def test_models_that_do_not_reason(model: str) -> None:
    body, losses = taken(asked(model, reasoning=effort("high")))
    assert "reasoning_effort" not in body and losses == [Loss("reasoning.wish", "thinking", "high")]
    body, losses = taken(asked(model, reasoning=effort("none")))
    assert "reasoning_effort" not in body and losses == []


@pytest.mark.parametrize("level", LADDER)
def test_an_unknown_model_is_told_what_was_said(level: str) -> None:
    assert build(asked("llama", reasoning=effort(level))) == (
        {"model": "llama", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": level}, []
    )


# ------------------------------------------------------------ other dialects


@pytest.mark.pitfall("C117")
@pytest.mark.parametrize(
    ("dialect", "said", "told", "losses"),
    [
        ("object", effort("high"), {"reasoning": {"effort": "high"}}, []),
        ("object", wish(budget=3000), {"reasoning": {"max_tokens": 3000}}, []),
        ("object", wish(enabled=True), {"reasoning": {"enabled": True}}, []),
        ("object", wish(enabled=False), {"reasoning": {"enabled": False}}, []),
        ("object", wish(display="hidden"), {}, []),
        ("object", wish(effort="low", display="hidden"), {"reasoning": {"effort": "low"}}, []),
        ("object", wish(display="summary"), {}, []),
        ("thinking", wish(enabled=True), {"thinking": {"type": "enabled"}}, []),
        ("thinking", effort("none"), {"thinking": {"type": "disabled"}}, []),
        ("thinking", effort("high"), {"thinking": {"type": "enabled"}}, ["requested high, used enabled"]),
        ("enable_thinking", wish(budget=3000), {"enable_thinking": True, "thinking_budget": 3000}, []),
        ("enable_thinking", effort("low"), {"enable_thinking": True, "thinking_budget": 1024}, []),
        ("enable_thinking", effort("max"), {"enable_thinking": True}, []),
        ("enable_thinking", wish(budget=-1), {"enable_thinking": True}, []),
        ("enable_thinking", effort("none"), {"enable_thinking": False}, []),
        ("chat_template", wish(enabled=True), {"chat_template_kwargs": {"enable_thinking": True}}, []),
        ("chat_template", wish(enabled=False), {"chat_template_kwargs": {"enable_thinking": False}}, []),
        ("chat_template", wish(budget=9), {"chat_template_kwargs": {"enable_thinking": True}},
         ["requested 9 tokens, used enabled"]),
        ("none", effort("high"), {}, ["high"]),
        ("none", wish(enabled=False), {}, ["none"]),
        ("effort", wish(display="summary"), {}, []),
        ("effort", wish(display="hidden"), {}, []),
    ],
)
def test_how_a_vendor_is_told(dialect: str, said: ReasoningWish, told: dict[str, Any], losses: list[str]) -> None:
    body, lost = build(asked(reasoning=said), {"reasoning": dialect})
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **told}
    assert [loss.detail for loss in lost] == losses


def test_what_the_vendor_shows_is_left_to_it() -> None:
    for display, noted in (("hidden", True), ("summary", True), (None, False)):
        ledger = Ledger([])
        CODEC.build(asked(reasoning=wish(display=display)), ledger)
        told = [note for note in ledger.notes or () if note.code == "display.left"]
        assert [(note.step, note.path_from) for note in told] == [("chat.build.effort", "thinking")] * noted


@pytest.mark.parametrize("dialect", ["object", "thinking", "enable_thinking", "chat_template", "none", "effort"])
def test_unset_stays_unset_in_every_dialect(dialect: str) -> None:
    assert build(asked(), {"reasoning": dialect}) == build(asked())


def declared(provider: str) -> dict[str, Any]:
    data = yaml.safe_load((ROOT / "providers" / f"{provider}.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = data["dialect"]
    return found


@pytest.mark.pitfall("C117")
@pytest.mark.parametrize(
    ("provider", "model", "said", "told", "losses"),
    [
        ("openrouter", "anthropic/claude-opus-5", effort("max"), {"reasoning": {"effort": "xhigh"}}, 1),
        ("openrouter", "openai/gpt-5", effort("xhigh"), {"reasoning": {"effort": "high"}}, 1),
        ("deepseek", "deepseek-chat", effort("low"),
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, 1),
        ("deepseek", "deepseek-chat", effort("xhigh"),
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, 1),
        ("deepseek", "deepseek-chat", wish(enabled=True), {"thinking": {"type": "enabled"}}, 0),
        ("deepseek", "deepseek-chat", effort("none"), {"thinking": {"type": "disabled"}}, 0),
        ("groq", "openai/gpt-oss-120b", effort("max"), {"reasoning_effort": "high"}, 1),
        ("groq", "qwen/qwen3-32b", effort("none"), {"reasoning_effort": "none"}, 0),
        ("groq", "qwen/qwen3-32b", effort("high"), {}, 1),
        ("groq", "llama-3.3-70b", effort("high"), {}, 1),
        ("ollama", "qwen3:8b", effort("max"), {"reasoning_effort": "high"}, 1),
        ("ollama", "qwen3:8b", effort("minimal"), {"reasoning_effort": "low"}, 1),
        ("ollama", "qwen3:8b", effort("none"), {"reasoning_effort": "none"}, 0),
        ("openai", "gpt-5", effort("low"), {"reasoning_effort": "low"}, 0),
    ],
)
def test_the_built_in_providers(
    provider: str, model: str, said: ReasoningWish, told: dict[str, Any], losses: int
) -> None:
    body, lost = build(asked(model, reasoning=said), declared(provider))
    assert body == {"model": model, "messages": [{"role": "user", "content": "Hi"}], **told}
    assert len(lost) == losses


# ------------------------------------------------------------ tools, sampling, roles


def test_tools_beside_reasoning() -> None:
    """protocols.md 7.4."""
    openai = declared("openai")

    def sent(model: str, reasoning: ReasoningWish) -> tuple[Any, list[Loss]]:
        body, losses = taken(asked(model, tools=TOOLS, reasoning=reasoning), **openai)
        return body.get("reasoning_effort"), losses

    assert sent("gpt-5.1", effort("high")) == ("high", [])
    assert sent("gpt-5.4", ReasoningWish()) == (None, [])
    assert sent("gpt-5.4", effort("none")) == ("none", [])
    told = [Loss("reasoning.tools", "thinking", "requested high, used none")]
    assert sent("gpt-5.4", effort("high")) == sent("gpt-6-sol", effort("high")) == ("none", told)
    told = [Loss("reasoning.tools", "", "requested the default, used none")]
    assert sent("gpt-5.6", ReasoningWish()) == ("none", told)
    # Elsewhere nobody assumes it.
    body, losses = build(asked("openai/gpt-5.6", tools=TOOLS, reasoning=effort("high")), declared("openrouter"))
    assert body["reasoning"] == {"effort": "high"} and losses == []


@pytest.mark.parametrize("model", ["gpt-6-astra", "gpt-6.1-sol", "gpt-6.9"])
def test_tools_where_reasoning_cannot_be_off(model: str) -> None:
    with pytest.raises(Refused) as caught:
        build(asked(model, tools=TOOLS), declared("openai"))
    error = caught.value.error
    assert (error.status, error.param, error.code) == (400, "tools", "tools_with_reasoning_need_responses")
    assert taken(asked(model, reasoning=effort("low")), **declared("openai"))[1] == []


SAMPLED: dict[str, Any] = {
    "sampling": Sampling(0.5, 0.9, frequency_penalty=1, presence_penalty=1, logit_bias={"1": 1}),
    "output": Output(logprobs=True, top_logprobs=2),
}
FREE = ["sampling.frequency_penalty", "sampling.presence_penalty", "sampling.logit_bias"]
BOUND = ["sampling.temperature", "sampling.top_p", "output.logprobs"]


@pytest.mark.pitfall("C115")
@pytest.mark.parametrize("model", ["gpt-5", "o3", "gpt-6-sol", "gpt-6.9", "gpt-5.1", "gpt-5.6"])
def test_sampling_of_models_that_reason(model: str) -> None:
    body, losses = taken(asked(model, **SAMPLED))
    assert body.keys() == {"model", "messages"}
    assert [loss.code for loss in losses] == [*BOUND, "output.logprobs", *FREE]
    assert taken(asked(model, sampling=Sampling(1, 1.0, frequency_penalty=0)))[1] == []


@pytest.mark.parametrize("model", ["gpt-5.1", "gpt-5.5", "gpt-5.6"])
def test_sampling_while_a_model_does_not_reason(model: str) -> None:
    body, losses = taken(asked(model, reasoning=effort("none"), **SAMPLED))
    assert (body["temperature"], body["top_p"], body["logprobs"], body["top_logprobs"]) == (0.5, 0.9, True, 2)
    assert [loss.code for loss in losses] == FREE


@pytest.mark.parametrize("model", ["gpt-4o", "llama"])
def test_sampling_of_other_models(model: str) -> None:
    body, losses = taken(asked(model, **SAMPLED))
    assert (body["temperature"], body["logit_bias"], losses) == (0.5, {"1": 1}, [])


def test_stops_that_a_model_does_not_take() -> None:
    body, losses = taken(asked("o3", output=Output(stops=("END",))))
    assert "stop" not in body and losses == [Loss("stop.refused", "stop")]
    assert taken(asked("o1", output=Output(stops=("END",))))[0]["stop"] == ["END"]


@pytest.mark.parametrize(
    ("model", "role"), [("gpt-5", "developer"), ("o1", "developer"), ("gpt-4o", "system"), ("llama", "system")]
)
def test_the_role_of_instructions_goes_by_the_model(model: str, role: str) -> None:
    turns = (Turn("system", (Text("Be brief."),)), *HI)
    body, _ = taken(asked(model, turns=turns), instructions="by_model")
    assert body["messages"][0] == {"role": role, "content": "Be brief."}
    assert taken(asked(model, turns=turns))[0]["messages"][0]["role"] == "system"


def test_a_chat_clients_own_roles_stay() -> None:
    body = {"model": "gpt-5", "messages": [{"role": "system", "content": "So"}, {"role": "user", "content": "Hi"}],
            "temperature": 0.5, "reasoning_effort": "max"}
    request = CODEC.parse(body, "gpt-5", False, Ledger())
    assert CODEC.with_dialect({"instructions": "by_model"}).build(request, Ledger()).body == body
