"""Tools of other protocols' clients and the choice among them, for a Messages upstream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rotator.plugins.protocols.messages.build import build
from rotator.plugins.protocols.messages.dialect import MessagesDialect

from rotator.errors import Refused
from rotator.neutral.codec import ToolName
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import CacheMark
from rotator.neutral.request import Grammar, Request, Tool, ToolPolicy, WebSearch

from .bodies import (
    HI,
    SCHEMA,
    STRICT,
    TOOLS,
    asked,
    assistant,
    built,
    called,
    gave,
    messages,
    noted,
    result,
    said,
    tool,
    use,
    user,
)

ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
CLOSED = {**SCHEMA, "additionalProperties": False}
BOUNDED = {**STRICT, "properties": {"q": {"type": "string", "minLength": 2}}}
SEARCH = Tool("web_search", "hosted", data={"type": "web_search"}, at=("tools", 1))
LONG = "lookup_" * 30
FREE = Tool("search", "hosted", search=WebSearch())
PLACED = Tool(
    "search",
    "hosted",
    search=WebSearch({"timezone": "Europe/Berlin", "city": "Berlin"}, ("a.example",), (), "low", 3),
    rest={"x": 1},
)
SEARCHING = {
    "type": "web_search_20250305",
    "name": "web_search",
    "allowed_domains": ["a.example"],
    "max_uses": 3,
    "user_location": {"type": "approximate", "city": "Berlin", "timezone": "Europe/Berlin"},
}

#: A client's tools, those of the upstream, and what is lost.
DECLARED: dict[str, tuple[list[Tool], list[Any], list[str]]] = {
    "none": ([], [], []),
    "function": ([Tool("a", description="One.", schema=SCHEMA)], [tool("a", description="One.")], []),
    "no-schema": ([Tool("now")], [{"name": "now", "input_schema": ANYTHING}], []),
    "empty-schema": ([Tool("now", schema={})], [{"name": "now", "input_schema": ANYTHING}], []),
    "upper-case": ([Tool("a", schema={"type": "OBJECT", "properties": {"q": {"type": "STRING"}}})], [tool("a")], []),
    "root-union": (
        [Tool("a", schema={"anyOf": [SCHEMA]})],
        [tool("a", input_schema={**SCHEMA, "description": "Accepts: {q?}"})],
        ["tool.schema"],
    ),
    "strict": ([Tool("a", schema=STRICT, strict=True)], [tool("a", input_schema=STRICT, strict=True)], []),
    "strict-open": ([Tool("a", schema=SCHEMA, strict=True)], [tool("a")], ["tool.strict"]),
    "strict-optional": ([Tool("a", schema=CLOSED, strict=True)], [tool("a", input_schema=CLOSED)], ["tool.strict"]),
    "strict-bounded": ([Tool("a", schema=BOUNDED, strict=True)], [tool("a", input_schema=BOUNDED)], ["tool.strict"]),
    "strict-no-schema": ([Tool("a", strict=True)], [{"name": "a", "input_schema": ANYTHING}], ["tool.strict"]),
    "not-strict": ([Tool("a", schema=SCHEMA, strict=False)], [tool("a")], []),
    "marked": (
        [Tool("a", schema=SCHEMA, cache=CacheMark("1h"))],
        [tool("a", cache_control={"type": "ephemeral", "ttl": "1h"})],
        [],
    ),
    "rest": ([Tool("a", schema=SCHEMA, rest={"x": 1, "y": 2})], [tool("a")], ["field.foreign", "field.foreign"]),
    "hosted": ([SEARCH], [], ["tool.hosted"]),
    "hosted-beside": ([*TOOLS, SEARCH], [tool()], ["tool.hosted"]),
    "tool-search": ([*TOOLS, Tool("find", "hosted", finds_tools=True)], [tool()], ["tool.search"]),
    "search": ([PLACED, *TOOLS], [tool(), SEARCHING], ["tool.setting", "field.foreign"]),
    "search-marked": (
        [replace(FREE, cache=CacheMark("12h"))],
        [{"type": "web_search_20250305", "name": "web_search", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        [],
    ),
    "search-blocked": (
        [Tool("s", "hosted", search=WebSearch(blocked_domains=("b.example",), context="medium"))],
        [{"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["b.example"]}],
        [],
    ),
    "search-twice": ([FREE, FREE], [{"type": "web_search_20250305", "name": "web_search"}], ["tool.duplicate"]),
    "search-and-a-function-of-its-name": (
        [Tool("web_search", schema=SCHEMA), FREE],
        [tool("web_search_2"), {"type": "web_search_20250305", "name": "web_search"}],
        ["tool.duplicate"],
    ),
    "twice": ([*TOOLS, *TOOLS], [tool()], ["tool.duplicate"]),
    "twice-marked": ([*TOOLS, replace(TOOLS[0], cache=CacheMark())], [tool()], ["tool.duplicate"]),
    "custom": (
        [Tool("run", "custom", "Runs it.")],
        [{"name": "run", "description": "Runs it.", "input_schema": INPUT}],
        [],
    ),
    "custom-free": ([Tool("run", "custom", grammar=Grammar())], [{"name": "run", "input_schema": INPUT}], []),
    "custom-grammar": (
        [Tool("run", "custom", "Runs it.", grammar=Grammar("lark", 'start: "x"'))],
        [
            {
                "name": "run",
                "description": 'Runs it.\n\nThe input must follow this lark grammar:\nstart: "x"',
                "input_schema": INPUT,
            }
        ],
        ["tool.grammar"],
    ),
    "custom-grammar-alone": (
        [Tool("run", "custom", grammar=Grammar("regex", "x+"))],
        [{"name": "run", "description": "The input must follow this regex grammar:\nx+", "input_schema": INPUT}],
        ["tool.grammar"],
    ),
}


@pytest.mark.pitfall("C40", "C41")
@pytest.mark.parametrize(("tools", "expected", "lost"), [pytest.param(*row, id=name) for name, row in DECLARED.items()])
def test_tools(tools: list[Tool], expected: list[Any], lost: list[str]) -> None:
    made, codes = built(asked(tools=tuple(tools)), hosted_tools="drop")
    assert (made.body.get("tools", []), codes) == (expected, lost)
    assert "tool_choice" not in made.body


def test_what_became_of_a_schema_is_told() -> None:
    ledger = Ledger()
    request = asked(tools=(Tool("a", schema={"anyOf": [SCHEMA]}, at=("tools", 0)),))
    build(request, MessagesDialect(), ledger)
    assert [(loss.code, loss.path) for loss in ledger.losses] == [("tool.schema", "tools[0]")]
    assert "anyOf" in ledger.losses[0].detail
    assert noted(request)[0] == Note("messages.build.tools", "tool.schema", "tools[0]")


def test_steps_leave_notes() -> None:
    tools = (Tool("a.b", at=("tools", 0)), Tool("run", "custom", at=("tools", 1)), Tool("fine"))
    assert noted(asked(tools=tools))[:2] == [
        Note("messages.build.tools", "tool.renamed", "tools[0]"),
        Note("messages.build.tools", "tool.emulated", "tools[1]"),
    ]


def test_names_that_do_not_fit_are_told_back_as_they_were() -> None:
    tools = (Tool("a.b"), Tool("read", namespace="crm"), Tool(LONG), Tool("run it", "custom"), Tool("fine"))
    turns = [HI, said("assistant", called("1", name="a.b"), called("2", name="read", namespace="crm"))]
    request = asked(*turns, said("tool", gave("1"), gave("2")), tools=tools, policy=ToolPolicy("named", ("a.b",)))
    made, codes = built(request)
    names = [one["name"] for one in made.body["tools"]]
    assert [name[:4] for name in names] == ["a_b_", "crm_", "look", "run_", "fine"]
    assert all(len(name) <= 128 for name in names)
    assert names[1] == "crm__read" and len(names[2]) == 128
    assert made.body["tool_choice"] == {"type": "tool", "name": names[0]}
    assert [block["name"] for block in made.body["messages"][1]["content"]] == names[:2]
    assert made.names == {
        names[0]: ToolName("a.b"),
        names[1]: ToolName("read", namespace="crm"),
        names[2]: ToolName(LONG),
        names[3]: ToolName("run it", "custom"),
    }
    assert codes == []


def test_tools_that_differ_under_one_name_are_both_told() -> None:
    one, two = Tool("a", description="One."), Tool("a", "custom", "Two.", at=("tools", 1))
    made, codes = built(asked(tools=(one, two, Tool("a_2"), two, replace(one, description="Three."))))
    assert [(tool["name"], tool.get("description")) for tool in made.body["tools"]] == [
        ("a", "One."), ("a_3", "Two."), ("a_2", None), ("a_4", "Three.")
    ]  # fmt: skip
    assert made.names == {"a_3": ToolName("a", "custom"), "a_4": ToolName("a")}
    assert codes == ["tool.duplicate", "tool.duplicate"]
    long = Tool("t" * 128)
    names = [tool["name"] for tool in built(asked(tools=(long, replace(long, description="Two."))))[0].body["tools"]]
    assert names == ["t" * 128, "t" * 124 + "_2"]


def test_a_custom_call_in_history_is_a_function_call() -> None:
    call = called("a", "ls -l", "run", kind="custom")
    made, _ = built(asked(HI, said("assistant", call), said("tool", gave("a")), tools=(Tool("run", "custom"),)))
    assert made.body["messages"][1:] == [
        assistant(use("a", {"input": "ls -l"}, "run")), user(result(id="a"))
    ]  # fmt: skip
    assert made.names == {"run": ToolName("run", "custom")}


AUTO, ANY, NONE = {"type": "auto"}, {"type": "any"}, {"type": "none"}
ALONE = {"disable_parallel_tool_use": True}
TWO = (Tool("one", schema=SCHEMA), Tool("two", schema=SCHEMA))
#: What a client says of its two tools, the upstream's choice, which tools it gets, and what is lost.
CHOICES: dict[str, tuple[ToolPolicy, Any, list[str], list[str]]] = {
    "nothing": (ToolPolicy(), None, ["one", "two"], []),
    "auto": (ToolPolicy("auto"), AUTO, ["one", "two"], []),
    "none": (ToolPolicy("none"), NONE, ["one", "two"], []),
    "required": (ToolPolicy("required"), ANY, ["one", "two"], []),
    "named": (ToolPolicy("named", ("two",)), {"type": "tool", "name": "two"}, ["one", "two"], []),
    "allowed": (ToolPolicy("allowed", ("two",)), AUTO, ["two"], ["tool_choice.subset"]),
    "allowed-required": (ToolPolicy("allowed", ("two",), True), ANY, ["two"], ["tool_choice.subset"]),
    "allowed-all": (ToolPolicy("allowed", ("two", "one")), AUTO, ["one", "two"], []),
    "allowed-none": (ToolPolicy("allowed"), NONE, ["one", "two"], []),
    "alone": (ToolPolicy(parallel=False), AUTO | ALONE, ["one", "two"], []),
    "alone-required": (ToolPolicy("required", parallel=False), ANY | ALONE, ["one", "two"], []),
    "alone-named": (
        ToolPolicy("named", ("one",), parallel=False), {"type": "tool", "name": "one"} | ALONE, ["one", "two"], []
    ),
    "alone-none": (ToolPolicy("none", parallel=False), NONE, ["one", "two"], []),
    "alone-allowed": (ToolPolicy("allowed", ("one",), parallel=False), AUTO | ALONE, ["one"], ["tool_choice.subset"]),
    "together": (ToolPolicy(parallel=True), None, ["one", "two"], []),
    "validated": (ToolPolicy("auto", validated=True), AUTO, ["one", "two"], ["tool.strict"]),
    "rest": (ToolPolicy("auto", rest={"x": 1}), AUTO, ["one", "two"], ["field.foreign"]),
}  # fmt: skip


@pytest.mark.pitfall("C56")
@pytest.mark.parametrize(
    ("policy", "choice", "names", "lost"), [pytest.param(*row, id=name) for name, row in CHOICES.items()]
)
def test_choices(policy: ToolPolicy, choice: Any, names: list[str], lost: list[str]) -> None:
    made, codes = built(asked(tools=TWO, policy=policy))
    assert (made.body.get("tool_choice"), [one["name"] for one in made.body["tools"]]) == (choice, names)
    assert codes == lost


def test_a_choice_of_hosted_tools_only_leaves_the_others_idle() -> None:
    request = asked(tools=(*TOOLS, SEARCH), policy=ToolPolicy("allowed", ("web_search",)))
    made, codes = built(request, hosted_tools="drop")
    assert (made.body["tools"], made.body["tool_choice"], codes) == ([tool()], NONE, ["tool.hosted"])


#: A choice where there are no tools, and what is lost.
NOWHERE: dict[str, tuple[ToolPolicy, list[str]]] = {
    "auto": (ToolPolicy("auto"), ["tool_choice.without_tools"]),
    "none": (ToolPolicy("none"), []),
    "required": (ToolPolicy("required"), ["tool_choice.without_tools"]),
    "alone": (ToolPolicy(parallel=False), []),
}


@pytest.mark.parametrize(("policy", "lost"), [pytest.param(*row, id=name) for name, row in NOWHERE.items()])
def test_a_choice_without_tools_is_dropped(policy: ToolPolicy, lost: list[str]) -> None:
    made, codes = built(asked(policy=policy))
    assert ({"tools", "tool_choice"} & made.body.keys(), codes) == (set(), lost)


@pytest.mark.parametrize("tools", [(), (SEARCH,)], ids=["none", "hosted"])
def test_tools_of_the_history_are_declared_but_not_to_be_called(tools: tuple[Tool, ...]) -> None:
    turns = [HI, said("assistant", called("a"), called("b", name="a.b"), called("c")), said("tool", gave("a"))]
    request = asked(*turns, tools=tools)
    made, _ = built(request, hosted_tools="drop")
    odd = made.body["tools"][1]["name"]
    assert odd.startswith("a_b_") and made.names == {odd: ToolName("a.b")}
    assert made.body["tools"] == [
        {"name": "lookup", "input_schema": ANYTHING}, {"name": odd, "input_schema": ANYTHING}
    ]  # fmt: skip
    assert made.body["tool_choice"] == NONE
    assert Note("messages.build.tools", "tools.of_history") in noted(replace(request, tools=()))


#: Choices that ask for what is not there.
REFUSED: dict[str, tuple[tuple[Tool, ...], ToolPolicy]] = {
    "named-nowhere": ((), ToolPolicy("named", ("lookup",))),
    "named-other": (TOOLS, ToolPolicy("named", ("other",))),
    "allowed-other": (TOOLS, ToolPolicy("allowed", ("lookup", "other"))),
    "named-hosted": ((*TOOLS, SEARCH), ToolPolicy("named", ("web_search",))),
    "required-hosted": ((SEARCH,), ToolPolicy("required")),
    "allowed-hosted": ((*TOOLS, SEARCH), ToolPolicy("allowed", ("web_search",), True)),
}


@pytest.mark.pitfall("C58")
@pytest.mark.parametrize(("tools", "policy"), [pytest.param(*row, id=name) for name, row in REFUSED.items()])
def test_a_choice_of_what_is_not_there_is_refused(tools: tuple[Tool, ...], policy: ToolPolicy) -> None:
    with pytest.raises(Refused) as refused:
        built(Request("chat", "m", (HI,), tools, policy), hosted_tools="drop")
    assert (refused.value.error.status, refused.value.error.param) == (400, "tool_choice")


BOTH = replace(FREE, search=WebSearch(allowed_domains=("a.example",), blocked_domains=("b.example",)), at=("tools", 1))


@pytest.mark.parametrize(
    ("hosted", "dialect"), [(SEARCH, {}), (BOTH, {}), (replace(FREE, at=("tools", 1)), {"web_search": "none"})]
)
def test_a_tool_that_does_not_run_here_is_refused(hosted: Tool, dialect: dict[str, Any]) -> None:
    """Leaving it out would change what the model can do (design.md 2.2)."""
    with pytest.raises(Refused) as refused:
        built(asked(tools=(*TOOLS, hosted)), **dialect)
    assert (refused.value.error.status, refused.value.error.param) == (400, "tools[1]")


@pytest.mark.parametrize(
    ("tools", "policy", "choice"),
    [
        ((*TOOLS, FREE), ToolPolicy("named", ("search",)), {"type": "tool", "name": "web_search"}),
        ((FREE,), ToolPolicy("required"), ANY),
        ((*TOOLS, FREE), ToolPolicy("allowed", ("search",), True), ANY),
        ((FREE,), ToolPolicy("none"), NONE),
    ],
)
def test_a_search_may_be_demanded(tools: tuple[Tool, ...], policy: ToolPolicy, choice: Any) -> None:
    made, _ = built(asked(tools=tools, policy=policy))
    assert (made.body["tools"][-1]["name"], made.body["tool_choice"]) == ("web_search", choice)


def test_a_search_is_not_left_out_of_a_subset() -> None:
    """Chat's is an option beside its tools, of which a subset says nothing."""
    made, _ = built(asked(tools=(*TWO, FREE), policy=ToolPolicy("allowed", ("two",))))
    assert [one["name"] for one in made.body["tools"]] == ["two", "web_search"]


def test_required_holds_where_a_hosted_tool_is_left_out() -> None:
    made, codes = built(asked(tools=(*TOOLS, SEARCH), policy=ToolPolicy("required")), hosted_tools="drop")
    assert (made.body["tools"], made.body["tool_choice"], codes) == ([tool()], ANY, ["tool.hosted"])


def test_arguments_of_any_kind_of_call_are_an_object() -> None:
    found, codes = messages(
        HI,
        said("assistant", called("a", '{"cmd":["ls"]}', "shell_call", kind="builtin")),
        said("tool", gave("a")),
        tools=TOOLS,
    )
    assert found[1] == assistant(use("a", {"cmd": ["ls"]}, "shell_call"))
    assert codes == []
