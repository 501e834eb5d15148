"""How much to think, as each kind of model of Messages takes it: every cell of protocols.md 7.3, what 7.2 refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from rotator.neutral.codec import Built
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Part, Text, ToolCall, ToolResult
from rotator.neutral.request import Output, ReasoningWish, Request, Sampling, Tool, ToolPolicy, Turn
from rotator.wire.jsontext import dumps
from tests.upstreams import PROTOCOLS, engine

CODEC = PROTOCOLS["messages"].codecs["generate"]
COUNTING = PROTOCOLS["messages"].codecs["count_tokens"]
AT = ("reasoning_effort",)
HI = (Turn("user", (Text("Hi"),)),)
TOOLS = (Tool("one", schema={"type": "object"}), Tool("two", schema={"type": "object"}))
OLD, NEW = "2023-06-01", "2026-10-21"

#: By what their thinking is: the two that always think, the one with thinking between tools, and so on.
ALWAYS = ("claude-opus-5-5", "claude-fable-5-1", "claude-mythos-5-1", "claude-fable-5", "claude-mythos-5")
SWITCHED = ("claude-haiku-5-5", "claude-opus-5", "claude-sonnet-5", "claude-opus-4-8", "claude-opus-4-7")
MIDDLE = ("claude-opus-4-6", "claude-sonnet-4-6")
ADAPTIVE = (*ALWAYS, "claude-sonnet-5-5", *SWITCHED, *MIDDLE)
BUDGET = (
    "claude-opus-4-5-20251101", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1", "claude-opus-4-20250514",
    "claude-sonnet-4-20250514",
)
UNKNOWN = ("big-model", "claude-opus-9")


def wish(**said: Any) -> ReasoningWish:
    return ReasoningWish(at=AT, **said)


def effort(level: str) -> ReasoningWish:
    return wish(effort=level, enabled=False if level == "none" else None)


def asked(model: str, **more: Any) -> Request:
    return Request("chat", model, more.pop("turns", HI), **more)


def build(request: Request, codec: Any = CODEC) -> tuple[dict[str, Any], list[Loss], Built]:
    """The body, its losses, and all of what was built, which the fake vendor takes."""
    ledger = Ledger()
    built = codec.build(request, ledger)
    assert {loss.code for loss in ledger.losses} <= CODEC.losses.keys()
    operation = "messages" if codec is not COUNTING else "count_tokens"
    call = engine.Call(operation, orjson.loads(dumps(built.body)), dict(built.headers), "key", b"secret")
    fault = engine.first_fault(call, engine.CHECKS[operation])
    assert fault is None, fault.message
    return built.body, ledger.losses, built


def control(model: str, reasoning: ReasoningWish, **more: Any) -> tuple[Any, Any, list[str]]:
    """``thinking`` and the effort that are sent, and what is told of it."""
    body, losses, _ = build(asked(model, reasoning=reasoning, **more))
    return body.get("thinking"), body.get("output_config", {}).get("effort"), [loss.detail for loss in losses]


# ------------------------------------------------------------ 7.3, column by column


@pytest.mark.parametrize("model", [*ADAPTIVE, *BUDGET, *UNKNOWN])
def test_unset_stays_unset(model: str) -> None:
    assert control(model, ReasoningWish()) == (None, None, [])


@pytest.mark.pitfall("C106", "C107", "C118")
@pytest.mark.parametrize("model", ADAPTIVE)
@pytest.mark.parametrize("level", ["low", "medium", "high", "max"])
def test_levels_that_all_adaptive_models_have(model: str, level: str) -> None:
    assert control(model, effort(level)) == ({"type": "adaptive"}, level, [])


@pytest.mark.pitfall("C106")
@pytest.mark.parametrize("model", ADAPTIVE)
def test_levels_that_some_adaptive_models_have(model: str) -> None:
    assert control(model, effort("minimal")) == ({"type": "adaptive"}, "low", ["requested minimal, used low"])
    used, told = ("high", ["requested xhigh, used high"]) if model in MIDDLE else ("xhigh", [])
    assert control(model, effort("xhigh")) == ({"type": "adaptive"}, used, told)


@pytest.mark.parametrize("model", [*ADAPTIVE, *UNKNOWN])
def test_adaptive_models_without_a_level(model: str) -> None:
    for auto in (wish(enabled=True), wish(enabled=True, budget=-1), wish(budget=-1)):
        assert control(model, auto) == ({"type": "adaptive"}, None, [])


@pytest.mark.pitfall("C109")
@pytest.mark.parametrize("model", [*ADAPTIVE, *UNKNOWN])
@pytest.mark.parametrize(
    ("budget", "used"), [(100, "low"), (1024, "low"), (2048, "medium"), (20_000, "high"), (200_000, "max")]
)
def test_a_budget_of_adaptive_models_is_the_nearest_level(model: str, budget: int, used: str) -> None:
    told = [] if budget == 1024 else [f"requested {budget} tokens, used {used}"]
    assert control(model, wish(enabled=True, budget=budget)) == ({"type": "adaptive"}, used, told)
    both = wish(enabled=True, budget=budget, effort="high")
    assert control(model, both) == ({"type": "adaptive"}, "high", []), "an effort wins, and nothing is lost"


@pytest.mark.pitfall("C110")
@pytest.mark.parametrize("model", ALWAYS)
def test_none_where_a_model_always_thinks(model: str) -> None:
    assert control(model, effort("none")) == (None, "low", ["requested none, used low"])


def test_none_where_it_thinks_between_tools_at_least() -> None:
    told = ["requested none, used between_tools"]
    assert control("claude-sonnet-5-5", effort("none")) == ({"type": "between_tools"}, None, told)
    between = wish(enabled=False, between_tools=True)
    assert control("claude-sonnet-5-5", between) == ({"type": "between_tools"}, None, [])


@pytest.mark.pitfall("C110")
@pytest.mark.parametrize("model", [*SWITCHED, *MIDDLE, *UNKNOWN])
def test_none_where_it_can_be_off(model: str) -> None:
    assert control(model, effort("none")) == ({"type": "disabled"}, None, [])
    assert control(model, wish(enabled=False, effort="low")) == ({"type": "disabled"}, "low", [])
    if model not in UNKNOWN:
        told = ["requested max, used high"]
        assert control(model, wish(enabled=False, effort="max")) == ({"type": "disabled"}, "high", told)


@pytest.mark.pitfall("C103")
@pytest.mark.parametrize("model", UNKNOWN)
@pytest.mark.parametrize("level", ["low", "medium", "high", "xhigh", "max"])
def test_an_unknown_model_is_told_in_the_newest_form(model: str, level: str) -> None:
    assert control(model, effort(level)) == ({"type": "adaptive"}, level, [])
    assert control(model, effort("minimal")) == ({"type": "adaptive"}, "low", ["requested minimal, used low"])


@pytest.mark.parametrize("model", BUDGET)
def test_none_where_a_model_thinks_only_when_asked(model: str) -> None:
    assert control(model, effort("none")) == (None, None, [])


@pytest.mark.pitfall("C107")
@pytest.mark.parametrize("model", BUDGET)
@pytest.mark.parametrize(
    ("level", "budget"), [("low", 1024), ("medium", 8192), ("high", 24_576)]
)
def test_levels_of_budget_models(model: str, level: str, budget: int) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget}
    assert control(model, effort(level)) == (thinking, None, [])
    assert control(model, effort("minimal"))[0] == {"type": "enabled", "budget_tokens": 1024}
    assert control(model, effort("minimal"))[2] == ["requested minimal, used 1024 tokens"]
    assert control(model, wish(enabled=True))[0] == {"type": "enabled", "budget_tokens": 8192}
    assert control(model, wish(budget=-1))[2] == []


@pytest.mark.pitfall("C108")
@pytest.mark.parametrize(
    ("model", "said", "reasoning", "budget", "limit", "told"),
    [
        # The answer's limit comes on top of the budget, within what the model can.
        ("claude-sonnet-4-5", 1000, effort("medium"), 8192, 9192, []),
        ("claude-sonnet-4-5", 64, wish(budget=2000), 2000, 2064, []),
        ("claude-sonnet-4-5", 64, wish(budget=10), 1024, 1088, ["requested 10 tokens, used 1024 tokens"]),
        ("claude-sonnet-4-5", 50_000, effort("xhigh"), 14_000, 64_000, ["requested xhigh, used 14000 tokens"]),
        ("claude-sonnet-4-5", 64_000, effort("high"), 1024, 64_000, ["requested high, used 1024 tokens"]),
        ("claude-sonnet-4-5", 4000, effort("max"), 60_000, 64_000, []),
        # Where nobody set one, the answer keeps 4096 tokens.
        ("claude-sonnet-4-5", None, effort("max"), 59_904, 64_000, []),
        ("claude-sonnet-4-5", None, effort("xhigh"), 32_768, 64_000, []),
        ("claude-opus-4-1", None, effort("high"), 24_576, 32_000, []),
        ("claude-opus-4-1", None, effort("xhigh"), 27_904, 32_000, ["requested xhigh, used 27904 tokens"]),
        ("claude-sonnet-4-5", 100, wish(effort="high", budget=3000), 3000, 3100,
         []),
    ],
)
def test_budget_and_limit(
    model: str, said: int | None, reasoning: ReasoningWish, budget: int, limit: int, told: list[str]
) -> None:
    body, losses, _ = build(asked(model, reasoning=reasoning, output=Output(said)))
    assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (budget, limit)
    assert [loss.detail for loss in losses] == told


@pytest.mark.pitfall("C108")
def test_thinking_without_any_room_is_off() -> None:
    codec = CODEC.with_dialect({"models": {"claude-haiku-4-5": {"max_output": 1024}}})
    body, losses, _ = build(asked("claude-haiku-4-5", reasoning=effort("high"), output=Output(1024)), codec)
    assert "thinking" not in body and body["max_tokens"] == 1024
    assert losses == [Loss("reasoning.off", "reasoning_effort", "no room below max_tokens 1024")]


def test_an_effort_beside_thinking_that_is_off() -> None:
    off = wish(enabled=False, effort="max")
    assert control("claude-opus-4-5", off) == (None, "high", ["requested max, used high"])
    assert control("claude-haiku-4-5", off) == (None, None, ["max"])


def test_a_model_that_cannot_think() -> None:
    codec = CODEC.with_dialect({"models": {"tiny": {"thinking": []}}})
    body, losses, _ = build(asked("tiny", reasoning=effort("high")), codec)
    assert "thinking" not in body and losses == [Loss("reasoning.wish", "reasoning_effort", "high")]
    assert build(asked("tiny", reasoning=effort("none")), codec)[1] == []


def test_an_adaptive_model_without_levels() -> None:
    codec = CODEC.with_dialect({"models": {"odd": {"thinking": ["adaptive"], "efforts": []}}})
    body, losses, _ = build(asked("odd", reasoning=effort("low")), codec)
    assert (body["thinking"], losses) == ({"type": "adaptive"}, [Loss("reasoning.wish", "reasoning_effort", "low")])
    body, losses, _ = build(asked("odd", reasoning=effort("none")), codec)
    assert "thinking" not in body and "output_config" not in body
    assert losses == [Loss("reasoning.clamped", "reasoning_effort", "requested none, used adaptive")]


def test_a_small_limit_at_high_effort_is_told() -> None:
    body, losses, _ = build(asked("claude-opus-5", reasoning=effort("high"), output=Output(4095)))
    assert body["max_tokens"] == 4095
    assert losses == [Loss("reasoning.tight", "reasoning_effort", "max_tokens 4095, effort high")]
    assert build(asked("claude-opus-5", reasoning=wish(enabled=True), output=Output(4095)))[1] != []
    assert build(asked("claude-opus-5", reasoning=effort("high"), output=Output(4096)))[1] == []
    assert build(asked("claude-opus-5", reasoning=effort("medium"), output=Output(64)))[1] == []


# ------------------------------------------------------------ max_tokens, sampling, prefill


@pytest.mark.parametrize(
    ("model", "said", "sent", "told"),
    [
        ("claude-opus-5", None, 32_000, []),
        ("claude-3-7-sonnet-20250219", None, 8192, []),
        ("big-model", None, 32_000, []),
        ("big-model", 500_000, 500_000, []),
        ("claude-opus-5", 128_000, 128_000, []),
        ("claude-haiku-4-5", 64_001, 64_000, [Loss("max_tokens.clamped", "max_tokens",
                                                   "requested 64001, used 64000")]),
    ],
)
def test_the_limit(model: str, said: int | None, sent: int, told: list[Loss]) -> None:
    body, losses, _ = build(asked(model, output=Output(said)))
    assert (body["max_tokens"], losses) == (sent, told)


@pytest.mark.pitfall("C116")
@pytest.mark.parametrize("model", [*ALWAYS, *SWITCHED, "claude-sonnet-5-5"])
def test_newer_models_take_no_sampling(model: str) -> None:
    body, losses, built = build(asked(model, sampling=Sampling(0.5, 0.9, 5)))
    assert not body.keys() & {"temperature", "top_p", "top_k"}
    assert [loss.code for loss in losses] == ["sampling.temperature", "sampling.top_p", "sampling.top_k"]
    assert built.headers == {"anthropic-version": NEW}
    assert build(asked(model, sampling=Sampling(1, 1.0)))[1] == []


@pytest.mark.pitfall("C116")
@pytest.mark.parametrize("model", [*MIDDLE, *BUDGET, *UNKNOWN])
def test_older_models_take_sampling_under_the_old_version(model: str) -> None:
    body, losses, built = build(asked(model, sampling=Sampling(0.5)))
    assert (body["temperature"], losses, built.headers) == (0.5, [], {"anthropic-version": OLD})
    body, losses, built = build(asked(model, sampling=Sampling(0.5), reasoning=effort("low")))
    assert "temperature" not in body and [loss.code for loss in losses] == ["sampling.temperature"]
    assert built.headers == {"anthropic-version": NEW}
    assert build(asked(model, sampling=Sampling(0.5), reasoning=effort("none")))[0]["temperature"] == 0.5


@pytest.mark.parametrize("model", [*ADAPTIVE, *BUDGET, *UNKNOWN])
def test_a_turn_that_a_model_cannot_go_on_with_is_followed(model: str) -> None:
    body, losses, _ = build(asked(model, turns=(*HI, Turn("assistant", (Text("So "),)))))
    last = {"role": "assistant", "content": "So"}
    if model in ADAPTIVE:
        assert body["messages"][1:] == [last, {"role": "user", "content": "Continue."}]
    else:
        assert body["messages"][1:] == [last]
    assert [loss.code for loss in losses] == ["turn.prefill"]


# ------------------------------------------------------------ tool choice, model by model (T-34)


def forced(model: str, policy: ToolPolicy, reasoning: ReasoningWish) -> tuple[Any, list[str], list[str]]:
    body, losses, _ = build(asked(model, tools=TOOLS, policy=policy, reasoning=reasoning))
    return body["tool_choice"], [tool["name"] for tool in body["tools"]], [loss.code for loss in losses]


@pytest.mark.pitfall("C61")
@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1"])
@pytest.mark.parametrize("reasoning", [ReasoningWish(), effort("low")])
def test_a_choice_is_never_forced_on_the_newest(model: str, reasoning: ReasoningWish) -> None:
    degraded = ["tool_choice.degraded"]
    assert forced(model, ToolPolicy("required"), reasoning) == ({"type": "auto"}, ["one", "two"], degraded)
    named = forced(model, ToolPolicy("named", ("two",), parallel=False), reasoning)
    assert named == ({"type": "auto", "disable_parallel_tool_use": True}, ["two"], degraded)
    assert forced(model, ToolPolicy("none"), reasoning)[0] == {"type": "none"}


@pytest.mark.pitfall("C61")
@pytest.mark.parametrize("model", [*MIDDLE, *BUDGET])
def test_a_choice_is_not_forced_where_older_models_think(model: str) -> None:
    named = ToolPolicy("named", ("two",))
    assert forced(model, named, effort("low")) == ({"type": "auto"}, ["two"], ["tool_choice.degraded"])
    for calm in (ReasoningWish(), effort("none")):
        assert forced(model, named, calm) == ({"type": "tool", "name": "two"}, ["one", "two"], [])


@pytest.mark.parametrize("model", [*SWITCHED, "claude-fable-5", "claude-mythos-5", *UNKNOWN])
def test_a_choice_is_forced_where_it_may_be(model: str) -> None:
    for reasoning in (ReasoningWish(), effort("low")):
        assert forced(model, ToolPolicy("required"), reasoning) == ({"type": "any"}, ["one", "two"], [])


# ------------------------------------------------------------ turns under way, display, headers


def conversation(*more: Turn, first: tuple[Part, ...] = ()) -> tuple[Turn, ...]:
    call = Turn("assistant", (*first, ToolCall("toolu_1", "one", "{}")))
    return (*HI, call, Turn("tool", (ToolResult("toolu_1", (Text("ok"),)),)), *more)


@pytest.mark.pitfall("C132")
def test_a_turn_that_began_without_thinking_goes_on_without() -> None:
    turns = conversation()
    body, losses, _ = build(asked("claude-haiku-4-5", turns=turns, tools=TOOLS, reasoning=effort("high")))
    assert "thinking" not in body and body["max_tokens"] == 32_000
    assert losses == [Loss("reasoning.off", "reasoning_effort", "the turn under way began without thinking")]
    done = conversation(Turn("assistant", (Text("Done."),)), *HI)
    body, losses, _ = build(asked("claude-haiku-4-5", turns=done, tools=TOOLS, reasoning=effort("high")))
    assert body["thinking"]["budget_tokens"] == 24_576 and losses == []
    body, losses, _ = build(asked("claude-opus-4-6", turns=turns, tools=TOOLS, reasoning=effort("high")))
    assert body["thinking"] == {"type": "adaptive"} and losses == []


@pytest.mark.pitfall("C113")
@pytest.mark.parametrize(
    ("display", "word"),
    [("summary", "summarized"), ("hidden", "omitted"), ("updates", "updates"), ("raw", "summarized")],
)
def test_what_is_shown(display: Any, word: str) -> None:
    reasoning = replace(effort("low"), display=display)
    for model, kind in (("claude-opus-5", {"type": "adaptive"}), ("claude-haiku-4-5", {"type": "enabled"})):
        body, losses, built = build(asked(model, reasoning=reasoning))
        assert body["thinking"].items() >= {**kind, "display": word}.items()
        assert [loss.code for loss in losses] == (["reasoning.display"] if display == "raw" else [])
        beta = {"anthropic-beta": "thinking-display-updates-2026-08-18"} if display == "updates" else {}
        assert built.headers == {"anthropic-version": NEW, **beta}


def test_what_is_shown_switches_nothing_on() -> None:
    """P-96."""
    hidden = wish(display="hidden")
    assert control("claude-opus-5-5", hidden) == ({"type": "adaptive", "display": "omitted"}, None, [])
    assert control("claude-opus-4-8", hidden) == (None, None, [])
    assert control("claude-haiku-4-5", hidden) == (None, None, [])
    assert control("big-model", hidden)[0] is None
    assert build(asked("big-model", reasoning=hidden))[1] == [Loss("reasoning.display", "reasoning_effort")]


def test_an_effort_of_no_ladder_is_left_out() -> None:
    assert control("claude-opus-5", effort("ultra")) == (None, None, ["ultra"])


def test_counting_asks_with_the_same_thinking_under_the_newest_version() -> None:
    request = asked("claude-haiku-4-5", reasoning=effort("low"), sampling=Sampling(0.5))
    body, _, built = build(request, COUNTING)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 1024} and "max_tokens" not in body
    assert built.headers == {"anthropic-version": NEW}
    assert build(asked("big-model", sampling=Sampling(0.5)), COUNTING)[2].headers == {"anthropic-version": NEW}


def test_an_upstream_may_know_the_old_version_only() -> None:
    codec = CODEC.with_dialect({"version": "old"})
    assert build(asked("claude-opus-5"), codec)[2].headers == {"anthropic-version": OLD}


def test_the_clients_own_request_names_no_version() -> None:
    request = CODEC.parse({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}, "m", False,
                          Ledger())
    assert CODEC.build(request, Ledger()).headers == {}


def test_the_last_effort_of_a_conversation_holds_elsewhere_and_its_own_place_here() -> None:
    late = {"role": "system", "output_config": {"effort": "low"}}
    messages = [{"role": "user", "content": "Hi"}, late, {"role": "user", "content": "Go on"}]
    for config in ({"output_config": {"effort": "max"}}, {}):
        body: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": messages, **config}
        request = CODEC.parse(body, "m", False, Ledger())
        assert request.reasoning.effort == "low"
        assert CODEC.build(request, Ledger()).body == body
