"""Tools and the choice among them of other protocols' clients, as a Chat upstream takes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.errors import Refused
from rotator.neutral.codec import ToolName
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import CacheMark
from rotator.neutral.request import Format, Grammar, Output, Tool, ToolPolicy, WebSearch
from tests.protocols.chat.bodies import (
    HI,
    SCHEMA,
    STRICT,
    TOOLS,
    ChatDialect,
    asked,
    build,
    built,
    called,
    function,
    gave,
    module,
    noted,
    said,
)

ROOT = Path(__file__).resolve().parents[3]
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
SEARCH = Tool("web_search", "hosted", data={}, at=("tools", 1))
CUSTOM = Tool("run", "custom", "Runs.", grammar=Grammar("lark", "start: A"))


def custom(**more: Any) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": "run", "description": "Runs.", **more}}


GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}

#: Tools, what is told of them, the codes of their losses.
DECLARED: list[tuple[tuple[Tool, ...], list[Any] | None, list[str]]] = [
    ((), None, []),
    ((Tool("f"),), [function("f", parameters=NOTHING)], []),
    ((Tool("f", description="D", schema=SCHEMA, strict=False),),
     [function("f", description="D", parameters=SCHEMA, strict=False)], []),
    ((Tool("f", schema=STRICT, strict=True),), [function("f", parameters=STRICT, strict=True)], []),
    ((Tool("f", schema=SCHEMA, strict=True),), [function("f", parameters=SCHEMA)], ["tool.strict"]),
    ((Tool("f", schema={"type": "STRING"}),), [function("f", parameters=NOTHING)], ["tool.schema"]),
    ((CUSTOM,), [custom(format=GRAMMAR)], []),
    ((Tool("run", "custom", "Runs.", grammar=Grammar()),), [custom(format={"type": "text"})], []),
    ((Tool("run", "custom", "Runs."),), [custom()], []),
    ((SEARCH,), None, ["tool.hosted"]),
    ((Tool("f"), SEARCH), [function("f", parameters=NOTHING)], ["tool.hosted"]),
    ((Tool("f"), Tool("find", "hosted", finds_tools=True)), [function("f", parameters=NOTHING)], ["tool.search"]),
    ((Tool("f", cache=CacheMark(), rest={"defer_loading": True, "eager_input_streaming": True, "x": 1}),),
     [function("f", parameters=NOTHING)], ["field.foreign"]),
    ((Tool("f", schema=SCHEMA), Tool("f", schema=SCHEMA, cache=CacheMark())), [function("f", parameters=SCHEMA)],
     ["tool.duplicate"]),
    ((Tool("f"), Tool("f_2"), Tool("f", schema=SCHEMA)),
     [function("f", parameters=NOTHING), function("f_2", parameters=NOTHING), function("f_3", parameters=SCHEMA)],
     ["tool.duplicate"]),
]


@pytest.mark.pitfall("C41", "C44")
@pytest.mark.parametrize(("tools", "told", "codes"), DECLARED)
def test_declared_tools(tools: tuple[Tool, ...], told: list[Any] | None, codes: list[str]) -> None:
    made, lost = built(asked(tools=tools), hosted_tools="drop")
    assert (made.body.get("tools"), lost) == (told, codes)


def test_a_schema_that_was_changed_says_how() -> None:
    ledger = Ledger()
    tool = Tool("f", schema={"type": "object", "anyOf": [SCHEMA, STRICT]}, at=("tools", 0))
    made = build(asked(tools=(tool,)), ChatDialect(), ledger)
    parameters = made.body["tools"][0]["function"]["parameters"]
    assert parameters["type"] == "object" and "anyOf" not in parameters
    (loss,) = ledger.losses
    assert (loss.code, loss.path) == ("tool.schema", "tools[0]") and loss.detail


def test_names_that_chat_does_not_take_are_told_back() -> None:
    long = "x" * 80
    tools = (Tool("a.b"), Tool(long), Tool("f", namespace="ns"), Tool("c.d", "custom"))
    policy = ToolPolicy("allowed", ("a.b", "c.d"))
    calls = (called("1", name="a.b"), called("2", name="gone.away"), called("3", name="f", namespace="ns"))
    turns = (HI, said("assistant", *calls), said("tool", gave("1"), gave("2"), gave("3")))
    made, codes = built(asked(*turns, tools=tools, policy=policy))
    wire = [tool[tool["type"]]["name"] for tool in made.body["tools"]]
    assert all(len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum() for name in wire)
    assert len(set(wire)) == 4
    allowed = made.body["tool_choice"]["allowed_tools"]["tools"]
    assert allowed == [
        {"type": "function", "function": {"name": wire[0]}},
        {"type": "custom", "custom": {"name": wire[3]}},
    ]
    history = [one["function"]["name"] for one in made.body["messages"][1]["tool_calls"]]
    assert (history[0], history[2]) == (wire[0], "ns__f")
    assert made.names == {
        wire[0]: ToolName("a.b"),
        wire[1]: ToolName(long),
        "ns__f": ToolName("f", "function", "ns"),
        wire[3]: ToolName("c.d"),
        history[1]: ToolName("gone.away"),
    }
    assert codes == []


def test_names_of_the_history_are_told_back_without_tools() -> None:
    made, _ = built(asked(HI, said("assistant", called(name="gone.away")), said("tool", gave())))
    name = made.body["messages"][1]["tool_calls"][0]["function"]["name"]
    assert made.names == {name: ToolName("gone.away")}


def test_a_tool_under_another_ones_name_is_told_back() -> None:
    made, _ = built(asked(tools=(Tool("f"), Tool("f", "custom"))))
    assert [tool[tool["type"]]["name"] for tool in made.body["tools"]] == ["f", "f_2"]
    assert made.names == {"f_2": ToolName("f", "custom")}


def test_usual_names_need_no_telling_back() -> None:
    assert built(asked(tools=(*TOOLS, CUSTOM)))[0].names == {}


FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "lookup"}}
ALLOWED: dict[str, Any] = {"mode": "auto", "tools": [FUNCTION]}

CHOICES: list[tuple[ToolPolicy, dict[str, Any]]] = [
    (ToolPolicy(), {}),
    (ToolPolicy("auto"), {"tool_choice": "auto"}),
    (ToolPolicy("none", parallel=True), {"tool_choice": "none", "parallel_tool_calls": True}),
    (ToolPolicy("required", parallel=False), {"tool_choice": "required", "parallel_tool_calls": False}),
    (ToolPolicy(parallel=False), {"parallel_tool_calls": False}),
    (ToolPolicy("named", ("lookup",)), {"tool_choice": FUNCTION}),
    (ToolPolicy("named", ("run",)), {"tool_choice": {"type": "custom", "custom": {"name": "run"}}}),
    (ToolPolicy("allowed", ("lookup",)), {"tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}}),
    (ToolPolicy("allowed", ("lookup", "web_search"), required=True),
     {"tool_choice": {"type": "allowed_tools", "allowed_tools": {**ALLOWED, "mode": "required"}}}),
    (ToolPolicy("allowed", ("web_search",)), {"tool_choice": "none"}),
]


@pytest.mark.parametrize(("policy", "told"), CHOICES)
def test_the_choice_among_tools(policy: ToolPolicy, told: dict[str, Any]) -> None:
    made, codes = built(asked(tools=(*TOOLS, CUSTOM, SEARCH), policy=policy), hosted_tools="drop")
    found = {name: value for name, value in made.body.items() if name in ("tool_choice", "parallel_tool_calls")}
    assert (found, codes) == (told, [] if policy.mode == "none" else ["tool.hosted"])


def test_the_rest_of_a_choice_is_lost() -> None:
    ledger = Ledger()
    policy = ToolPolicy("auto", validated=True, rest={"x": 1})
    build(asked(tools=TOOLS, policy=policy), ChatDialect(), ledger)
    assert ledger.losses == [Loss("field.foreign", "tool_choice.x"), Loss("tool.strict", "tool_choice")]


@pytest.mark.parametrize("policy", [
    ToolPolicy("auto"), ToolPolicy("none"), ToolPolicy("required"),
    ToolPolicy("allowed", ("f",), required=True), ToolPolicy(parallel=False),
])
def test_a_choice_without_tools_is_left_out(policy: ToolPolicy) -> None:
    made, codes = built(asked(policy=policy))
    assert made.body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert codes == ["tool_choice.without_tools"]


ELSEWHERE = "only a tool that another provider runs may be called, and it does not run here"
REFUSED: list[tuple[tuple[Tool, ...], ToolPolicy, str]] = [
    (TOOLS, ToolPolicy("named", ("g",)), "no tool is called g"),
    (TOOLS, ToolPolicy("allowed", ("lookup", "g", "h")), "no tool is called g"),
    ((), ToolPolicy("named", ("g",)), "no tool is called g"),
    ((*TOOLS, SEARCH), ToolPolicy("named", ("web_search",)), ELSEWHERE),
    ((SEARCH,), ToolPolicy("required"), ELSEWHERE),
    ((*TOOLS, SEARCH), ToolPolicy("allowed", ("web_search",), required=True), ELSEWHERE),
]


@pytest.mark.pitfall("C58")
@pytest.mark.parametrize(("tools", "policy", "reason"), REFUSED)
def test_a_choice_that_cannot_be_kept_is_refused(tools: tuple[Tool, ...], policy: ToolPolicy, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        built(asked(tools=tools, policy=policy), hosted_tools="drop")
    error = refused.value.error
    assert (error.status, error.param, error.message) == (400, "tool_choice", f"tool_choice: {reason}")


FIND = Tool("web_search", "hosted", search=WebSearch(), at=("tools", 1))
FETCH = Tool("web_fetch", "hosted", at=("tools", 2))
FELL = Loss("tool_choice.degraded", "tool_choice", "web_search")


@pytest.mark.parametrize(("tools", "policy", "left"), [
    ((FIND,), ToolPolicy("required"), []),
    ((FIND,), ToolPolicy("named", ("web_search",)), []),
    ((*TOOLS, FIND), ToolPolicy("named", ("web_search",)), ["lookup"]),
    ((*TOOLS, FIND), ToolPolicy("allowed", ("web_search",), required=True), ["lookup"]),
])
def test_a_search_is_there_but_cannot_be_forced(
    tools: tuple[Tool, ...], policy: ToolPolicy, left: list[str]
) -> None:
    ledger = Ledger()
    made = build(asked(tools=tools, policy=policy), ChatDialect(web_search="options"), ledger)
    assert (made.body["web_search_options"], "tool_choice" in made.body) == ({}, False)
    assert [tool["function"]["name"] for tool in made.body.get("tools", ())] == left
    assert ledger.losses == [FELL]


def test_what_else_is_said_of_the_choice_of_a_search_is_told() -> None:
    ledger = Ledger()
    policy = ToolPolicy("named", ("web_search",), parallel=False, rest={"x": 1})
    made = build(asked(tools=(*TOOLS, FIND), policy=policy), ChatDialect(web_search="options"), ledger)
    assert made.body["parallel_tool_calls"] is False
    assert ledger.losses == [FELL, Loss("field.foreign", "tool_choice.x")]


@pytest.mark.parametrize("search", [FIND, replace(FIND, search=WebSearch(allowed_domains=("a.example",)))])
def test_a_tool_beside_a_search_runs_no_more_for_it(search: Tool) -> None:
    """Nor does a search that was left out for its domains."""
    name = "web_fetch" if search is FIND else "web_search"
    for policy in (ToolPolicy("named", (name,)), ToolPolicy("allowed", (name,), required=True)):
        with pytest.raises(Refused, match=ELSEWHERE):
            built(asked(tools=(search, FETCH), policy=policy), hosted_tools="drop", web_search="options")


RUN: dict[str, Any] = {"type": "custom", "custom": {"name": "run"}}
BOTH = {"mode": "auto", "tools": [FUNCTION, RUN]}
CHOSEN: list[tuple[ToolPolicy, Any, list[str]]] = [
    (ToolPolicy("required", parallel=False), "auto", ["lookup", "run", "g"]),
    (ToolPolicy("named", ("lookup",)), "auto", ["lookup"]),
    (ToolPolicy("named", ("run",)), "auto", ["run"]),
    (ToolPolicy("allowed", ("lookup", "run"), required=True), "auto", ["lookup", "run"]),
]
FREE: list[tuple[ToolPolicy, Any]] = [
    (ToolPolicy(), None),
    (ToolPolicy("auto"), "auto"),
    (ToolPolicy("none"), "none"),
    (ToolPolicy("allowed", ("lookup", "run")), {"type": "allowed_tools", "allowed_tools": BOTH}),
]
FORCED = {"m": {"forced_tool": "refused"}}


def chosen(policy: ToolPolicy, models: dict[str, Any], model: str = "m") -> tuple[Any, list[str], list[Loss]]:
    """The choice, the tools that are offered, the losses."""
    ledger = Ledger()
    request = replace(asked(tools=(*TOOLS, CUSTOM, Tool("g")), policy=policy), model=model)
    body = module("codec").ChatCodec().with_dialect({"models": models}).build(request, ledger).body
    assert body.get("parallel_tool_calls") is policy.parallel
    return body.get("tool_choice"), [tool[tool["type"]]["name"] for tool in body["tools"]], ledger.losses


@pytest.mark.parametrize(("policy", "told", "offered"), CHOSEN)
def test_a_tool_that_cannot_be_forced_is_the_only_one(policy: ToolPolicy, told: Any, offered: list[str]) -> None:
    assert chosen(policy, FORCED) == (told, offered, [Loss("tool_choice.degraded", "tool_choice")])
    kept, everything, losses = chosen(policy, {"m": {"forced_tool": "ok"}})
    assert (kept == "auto", everything, losses) == (False, ["lookup", "run", "g"], [])


@pytest.mark.parametrize(("policy", "told"), FREE)
def test_a_free_choice_stays(policy: ToolPolicy, told: Any) -> None:
    assert chosen(policy, FORCED) == (told, ["lookup", "run", "g"], [])


@pytest.mark.parametrize(("model", "most"), [("deepseek-chat", 8192), ("deepseek-reasoner", 65_536), ("other", 10**6)])
def test_deepseek(model: str, most: int) -> None:
    """Its file: formats in words, texts as strings, no forced tools, limits of its models."""
    options = yaml.safe_load((ROOT / "providers/deepseek.yaml").read_text())["dialect"]
    output = Output(10**6, format=Format("json_schema", SCHEMA))
    turns = (said("system", "S", "T"), HI)
    request = asked(*turns, tools=TOOLS, policy=ToolPolicy("required"), output=output)
    ledger = Ledger()
    body = module("codec").ChatCodec().with_dialect(options).build(replace(request, model=model), ledger).body
    assert (body["max_tokens"], body["tool_choice"], body["response_format"]) == (most, "auto", {"type": "json_object"})
    assert [message["content"] for message in body["messages"][1:]] == ["S\n\nT", "Hi"]
    clamped = ["max_tokens.clamped"] if most < 10**6 else []
    assert [loss.code for loss in ledger.losses] == ["tool_choice.degraded", *clamped, "format.schema"]


def test_steps_are_noted() -> None:
    tools = (Tool("a.b", at=("tools", 0)), Tool("f", schema={"type": "string"}, at=("tools", 1)))
    assert noted(asked(tools=tools)) == [
        Note("chat.build.tools", "tool.renamed", "tools[0]"),
        Note("chat.build.tools", "tool.schema", "tools[1]"),
    ]
