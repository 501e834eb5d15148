"""Requests: tools, their choice, calls and results (protocols.md 2.3)."""

from __future__ import annotations

from typing import Any

from .cells import Case, NotHere, Refused, Row, nowhere, row
from .matching import WORDS, Having, Like, Named, OneOf
from .words import (
    A_TOOLS,
    C_TOOLS,
    CLOSED,
    GO,
    HI,
    SCHEMA,
    STRICT,
    a_result,
    a_tool,
    a_use,
    assistant,
    c_call,
    c_calling,
    c_named,
    c_result,
    c_tool,
    compact,
    says,
    system,
    text,
    user,
)

ANYTHING = {"type": "object", "properties": {}}
DECLARED = {"type": "tool_reference", "name": "lookup"}
ADDED = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": a_tool("late")}}
TWO_C = [c_tool("one"), c_tool("two")]
TWO_A = [a_tool("one"), a_tool("two")]
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "x"'}}
C_CUSTOM: dict[str, Any] = {"type": "custom", "custom": {"name": "run", "description": "Runs it."}}
#: The function that stands for a free-form tool.
INPUT = Having({"type": "object", "properties": {"input": Having({"type": "string"})}, "required": ["input"]})
#: A call with these arguments and what becomes of them.
C_HISTORY = {"tools": C_TOOLS}
A_HISTORY = {"tools": A_TOOLS}


def c_history(arguments: Any) -> dict[str, Any]:
    """A conversation with one call in Chat's words."""
    return says(HI, c_calling(c_call(arguments=arguments)), c_result("found"), **C_HISTORY)


def a_history(input: Any) -> dict[str, Any]:
    """The same in those of Messages."""
    return says(HI, assistant(a_use(input=input)), user(a_result("found")), **A_HISTORY)


def c_ids(*ids: Any) -> dict[str, Any]:
    """A conversation with a parallel call for each id."""
    results = [c_result("found", id=id) for id in ids]
    return says(HI, c_calling(*(c_call(id) for id in ids)), *results, **C_HISTORY)


def a_ids(*ids: Any) -> dict[str, Any]:
    return says(HI, assistant(*(a_use(id) for id in ids)), user(*(a_result("found", id=id) for id in ids)), **A_HISTORY)


DECLARED: tuple[Row, ...] = (
    row(
        "2.3",
        "Function tool",
        [
            Case(
                {"tools": [c_tool(description="Looks it up.")]},
                {"tools": [a_tool(description="Looks it up.")]},
            ),
            Case({"tools": TWO_C}, {"tools": TWO_A}),
            Case(  # a union at the root is no schema for any of the two (6.1.4)
                {"tools": [c_tool(parameters={"anyOf": [SCHEMA, ANYTHING]})]},
                {"tools": [a_tool(input_schema=Having({"type": "object", "properties": SCHEMA["properties"]}))]},
                ("?tool.schema",),
            ),
        ],
        [
            Case(
                {"tools": [a_tool(description="Looks it up.", type="custom")]},
                {"tools": [c_tool(description="Looks it up.")]},
                own={"tools": [a_tool(description="Looks it up.")]},
            ),
            Case({"tools": TWO_A}, {"tools": TWO_C}),
            Case(
                {"tools": [a_tool(input_examples=[{"q": "x"}], eager_input_streaming=True)]},
                {"tools": [c_tool(description='Examples of its input:\n{"q":"x"}')]},
                ("tool.examples",),
            ),
            Case(
                {"tools": [a_tool(description="Looks it up.", input_examples=[{"q": "x"}, {}])]},
                {"tools": [c_tool(description='Looks it up.\n\nExamples of its input:\n{"q":"x"}\n{}')]},
                ("tool.examples",),
            ),
            Case({"tools": []}, {}, own={"tools": []}),
            Case(  # 65 to 128 characters: too long for Chat (6.4)
                {"tools": [a_tool("lookup_" * 12)]},
                {"tools": [c_tool(Like(r"^(lookup_){7}[A-Za-z0-9_-]{1,15}$"))]},
                names={"lookup_" * 12: "function"},
            ),
        ], pitfalls="P-75@c_a C37 C43@a_c C49@a_c C52@a_c",
    ),
    row(
        "2.3",
        "No-parameter function",
        [
            Case({"tools": [{"type": "function", "function": {"name": "now"}}]}, {"tools": [a_tool("now", ANYTHING)]}),
            Case({"tools": [c_tool("now", None)]}, {"tools": [a_tool("now", ANYTHING)]}),
            Case({"tools": [c_tool("now", {})]}, {"tools": [a_tool("now", ANYTHING)]}),
        ],
        [
            Case({"tools": [a_tool("now", ANYTHING)]}, {"tools": [c_tool("now", ANYTHING)]}),
            Case({"tools": [a_tool("now", {"type": "object"})]}, {"tools": [c_tool("now", ANYTHING)]}),
        ], pitfalls="C38",
    ),
    row(
        "2.3",
        "Missing description",
        [
            Case({"tools": [c_tool()]}, {"tools": [a_tool()]}),
            Case({"tools": [c_tool(description=None)]}, {"tools": [a_tool()]}),
        ],
        Case({"tools": [a_tool()]}, {"tools": [c_tool()]}), pitfalls="C50",
    ),
    row(
        "2.3",
        "strict",
        [
            Case(
                {"tools": [c_tool(parameters=STRICT, strict=True)]},
                {"tools": [a_tool(input_schema=STRICT, strict=True)]},
            ),
            Case({"tools": [c_tool(strict=False)]}, {"tools": A_TOOLS}),
            Case({"tools": [c_tool(strict=True)]}, {"tools": A_TOOLS}, ("tool.strict",)),
        ],
        [
            Case(
                {"tools": [a_tool(input_schema=STRICT, strict=True)]},
                {"tools": [c_tool(parameters=STRICT, strict=True)]},
            ),
            Case(
                {"tools": [a_tool(input_schema=CLOSED, strict=True)]},
                {"tools": [c_tool(parameters=CLOSED)]},
                ("tool.strict",),
            ),
        ], pitfalls="P-106@a_c C41 C42=tool.strict",
    ),
    row(
        "2.3",
        "Custom (freeform) tool",
        [
            Case(
                {"tools": [C_CUSTOM]},
                {"tools": [{"name": "run", "description": Like(r"Runs it\."), "input_schema": INPUT}]},
                names={"run": "custom"},
            ),
            Case(
                {"tools": [{"type": "custom", "custom": {"name": "run", "format": GRAMMAR}}]},
                {"tools": [{"name": "run", "description": Like('start: "x"'), "input_schema": INPUT}]},
                ("tool.grammar",),
                names={"run": "custom"},
            ),
            Case(
                {"tools": [C_CUSTOM], "tool_choice": {"type": "custom", "custom": {"name": "run"}}},
                {
                    "tools": [Having({"name": "run", "input_schema": INPUT})],
                    "tool_choice": {"type": "tool", "name": "run"},
                },
                names={"run": "custom"},
            ),
            Case(
                says(
                    HI,
                    c_calling({"id": "call_1", "type": "custom", "custom": {"name": "run", "input": "ls -l"}}),
                    c_result("a.txt"),
                    tools=[C_CUSTOM],
                ),
                says(
                    HI,
                    assistant(a_use(name="run", input={"input": "ls -l"})),
                    user(a_result("a.txt")),
                    tools=[Having({"name": "run", "input_schema": INPUT})],
                ),
                names={"run": "custom"},
            ),
        ],
        NotHere("Messages has no free-form tools"), pitfalls="P-68 C44",
    ),
    nowhere("2.3", "Namespaces", "Responses only"),
    row(
        "2.3",
        "Additional tools mid-input",
        NotHere("Chat declares tools at the top"),
        [
            Case(
                says(HI, system(ADDED), GO, tools=A_TOOLS),
                says(HI, system(Like('"late" is available')), GO, tools=[*C_TOOLS, c_tool("late")]),
                ("tool.changes",),
            ),
            Case(  # what ``tools`` says of one counts
                says(
                    HI, system(text("Now."), {"type": "tool_addition", "tool": DECLARED}), GO, tools=A_TOOLS
                ),
                says(HI, system(text("Now."), text(Like('"lookup" is available'))), GO, tools=C_TOOLS),
                ("tool.changes",),
            ),
            Case(
                says(HI, system({"type": "tool_removal", "tool": DECLARED}), GO, tools=A_TOOLS),
                says(HI, system(Like('"lookup" is not available')), GO, tools=C_TOOLS),
                ("tool.changes",),
            ),
        ],
    ),
    row(
        "2.3",
        "Duplicate tool names",
        [
            Case({"tools": [c_tool(), c_tool()]}, {"tools": A_TOOLS}, ("tool.duplicate",)),
            Case(
                {"tools": [c_tool(description="One."), c_tool(description="Two.")]},
                {
                    "tools": [
                        a_tool(Named("first", "^lookup"), description="One."),
                        a_tool(Named("second", "^lookup"), description="Two."),
                    ]
                },
                ("tool.duplicate",),
            ),
        ],
        Case({"tools": [a_tool(), a_tool()]}, {"tools": C_TOOLS}, ("tool.duplicate",)), pitfalls="C49",
    ),
)

CHOSEN: tuple[Row, ...] = (
    row(
        "2.3",
        "Tool choice auto/none/required",
        [
            Case(C_HISTORY | {"tool_choice": "auto"}, A_HISTORY | {"tool_choice": {"type": "auto"}}),
            Case(C_HISTORY | {"tool_choice": "none"}, A_HISTORY | {"tool_choice": {"type": "none"}}),
            Case(C_HISTORY | {"tool_choice": "required"}, A_HISTORY | {"tool_choice": {"type": "any"}}),
            Refused(C_HISTORY | {"tool_choice": ["auto"]}, "tool_choice"),
            Refused(C_HISTORY | {"tool_choice": "sometimes"}, "tool_choice"),
        ],
        [
            Case(A_HISTORY | {"tool_choice": {"type": "auto"}}, C_HISTORY | {"tool_choice": "auto"}),
            Case(A_HISTORY | {"tool_choice": {"type": "none"}}, C_HISTORY | {"tool_choice": "none"}),
            Case(A_HISTORY | {"tool_choice": {"type": "any"}}, C_HISTORY | {"tool_choice": "required"}),
            Refused(A_HISTORY | {"tool_choice": "auto"}, "tool_choice"),
            Refused(A_HISTORY | {"tool_choice": {"type": "sometimes"}}, "tool_choice"),
        ], pitfalls="C53 C55@c_a C59",
    ),
    row(
        "2.3",
        "Named tool",
        [
            Case(
                C_HISTORY | {"tool_choice": c_named()}, A_HISTORY | {"tool_choice": {"type": "tool", "name": "lookup"}}
            ),
            Refused(C_HISTORY | {"tool_choice": c_named("other")}, "tool_choice"),
        ],
        [
            Case(
                A_HISTORY | {"tool_choice": {"type": "tool", "name": "lookup"}}, C_HISTORY | {"tool_choice": c_named()}
            ),
            Refused(A_HISTORY | {"tool_choice": {"type": "tool", "name": "other"}}, "tool_choice"),
        ], pitfalls="C54 C58",
    ),
    row(
        "2.3",
        "Allowed subset",
        [
            Case(
                {
                    "tools": TWO_C,
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {"mode": "auto", "tools": [c_named("two")]},
                    },
                },
                {"tools": [a_tool("two")], "tool_choice": {"type": "auto"}},
                ("tool_choice.subset",),
            ),
            Case(
                {
                    "tools": TWO_C,
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {"mode": "required", "tools": [c_named("two")]},
                    },
                },
                {"tools": [a_tool("two")], "tool_choice": {"type": "any"}},
                ("tool_choice.subset",),
            ),
            Refused(
                {
                    "tools": TWO_C,
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {"mode": "auto", "tools": [c_named("three")]},
                    },
                },
                "tool_choice",
            ),
        ],
        NotHere("Messages has no allowed tools"), pitfalls="C56",
    ),
    row(
        "2.3",
        "Tool choice with no tools",
        [
            Case({"tool_choice": "auto"}, {}, ("?tool_choice.without_tools",)),
            Case({"tool_choice": "none"}, {}, ("?tool_choice.without_tools",)),
            Case({"tool_choice": "required"}, {}, ("tool_choice.without_tools",)),
            Case({"parallel_tool_calls": False}, {}, ("?tool_choice.without_tools",)),
            Case(  # tools stay declared where the history has calls
                says(HI, c_calling(c_call()), c_result("found")),
                says(
                    HI,
                    assistant(a_use()),
                    user(a_result("found")),
                    tools=[Having({"name": "lookup"})],
                    tool_choice={"type": "none"},
                ),
            ),
        ],
        [
            Case({"tool_choice": {"type": "auto"}}, {}, ("?tool_choice.without_tools",)),
            Case({"tool_choice": {"type": "any"}}, {}, ("tool_choice.without_tools",)),
        ], pitfalls="C62",
    ),
    row(
        "2.3",
        "Parallel calls off",
        [
            Case(
                C_HISTORY | {"parallel_tool_calls": False},
                A_HISTORY | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            ),
            Case(
                C_HISTORY | {"parallel_tool_calls": False, "tool_choice": "required"},
                A_HISTORY | {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            ),
            Case(
                C_HISTORY | {"parallel_tool_calls": False, "tool_choice": c_named()},
                A_HISTORY | {"tool_choice": {"type": "tool", "name": "lookup", "disable_parallel_tool_use": True}},
            ),
            Case(
                C_HISTORY | {"parallel_tool_calls": False, "tool_choice": "none"},
                A_HISTORY | {"tool_choice": {"type": "none"}},
            ),
            Case(
                C_HISTORY | {"parallel_tool_calls": True},
                OneOf(
                    A_HISTORY,
                    A_HISTORY | {"tool_choice": {"type": "auto"}},
                    A_HISTORY | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}},
                ),
            ),
        ],
        [
            Case(
                A_HISTORY | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
                C_HISTORY | {"tool_choice": "auto", "parallel_tool_calls": False},
            ),
            Case(
                A_HISTORY | {"tool_choice": {"type": "tool", "name": "lookup", "disable_parallel_tool_use": True}},
                C_HISTORY | {"tool_choice": c_named(), "parallel_tool_calls": False},
            ),
        ], pitfalls="P-69@c_a C60",
    ),
)

CALLED: tuple[Row, ...] = (
    row(
        "2.3",
        "Tool call in history",
        [
            Case(c_history('{"b": 1, "a": [1.0, "\\u00e9"]}'), a_history({"b": 1, "a": [1.0, "\u00e9"]})),
            Case(c_history('{"n": 12345678901234567890123}'), a_history({"n": 12345678901234567890123})),
            Case(c_history('{"q": "x'), a_history({"_raw": '{"q": "x'}), ("arguments.invalid",)),
            Case(c_history("[1]"), a_history({"_raw": OneOf([1], "[1]")}), ("arguments.invalid",)),
            Case(c_history("null"), a_history({"_raw": OneOf(None, "null")}), ("arguments.invalid",)),
        ],
        [
            Case(a_history({"n": 12345678901234567890123}), c_history('{"n":12345678901234567890123}')),
            Case(
                a_history({"b": 1, "a": [1.0, "\u00e9"]}),
                c_history(compact({"b": 1, "a": [1.0, "\u00e9"]})),
            ),
            Case(
                says(
                    HI,
                    assistant(a_use(), text("and more")),
                    user(a_result("found")),
                    **A_HISTORY,
                ),
                says(HI, c_calling(c_call(), content="and more"), c_result("found"), **C_HISTORY),
                ("?turn.order",),
            ),
        ], pitfalls="C64 C65 C67@c_a=arguments.invalid C68@c_a=arguments.invalid C76@a_c=turn.order C274",
    ),
    row(
        "2.3",
        "Empty arguments",
        [Case(c_history(""), a_history({})), Case(c_history("{}"), a_history({}))],
        Case(a_history({}), c_history("{}")), pitfalls="P-70 C66",
    ),
    row(
        "2.3",
        "Call id",
        [
            Case(c_ids("call_1", "toolu_2"), a_ids("call_1", "toolu_2")),
            Case(c_ids("functions.lookup:0"), a_ids(Named("a"))),
            Case(c_ids("a.b", "a:b"), a_ids(Named("a"), Named("b"))),
            Case(c_ids("\u00e9" * 200, "x"), a_ids(Named("a"), "x")),
            Case(c_ids(""), a_ids(Named("a"))),
            Case(c_ids("", ""), a_ids(Named("a"), Named("b"))),
        ],
        [
            Case(a_ids("toolu_1", "srv-2"), c_ids("toolu_1", "srv-2")),
            Case(a_ids("t" * 64), c_ids(Named("a", "^call_[A-Za-z0-9]{1,35}$"))),
            Case(a_ids("t" * 64, "t" * 65), c_ids(Named("a"), Named("b"))),
        ], pitfalls="P-62@a_c P-64 P-65@c_a P-150@c_a P-151@c_a C69 C70 C72",
    ),
    row(
        "2.3",
        "Orphan call (no result)",
        [
            Case(
                says(HI, c_calling(c_call()), GO, **C_HISTORY),
                OneOf(
                    says(HI, assistant(a_use()), user(a_result(WORDS, is_error=True), text("Go on")), **A_HISTORY),
                    says(user(text("Hi"), text("Go on")), **A_HISTORY),
                ),
                ("call.orphan",),
            ),
            Case(
                says(HI, c_calling(c_call("call_1"), c_call("call_2")), c_result("two", id="call_2"), **C_HISTORY),
                OneOf(
                    says(
                        HI,
                        assistant(a_use("call_1"), a_use("call_2")),
                        user(Having({"type": "tool_result"}), Having({"type": "tool_result"})),
                        **A_HISTORY,
                    ),
                    says(HI, assistant(a_use("call_2")), user(a_result("two", id="call_2")), **A_HISTORY),
                ),
                ("call.orphan",),
            ),
        ],
        Case(
            says(HI, assistant(a_use()), user("Go on"), **A_HISTORY),
            OneOf(
                says(HI, c_calling(c_call()), c_result(WORDS), GO, **C_HISTORY), says(HI, GO, **C_HISTORY)
            ),
            ("call.orphan",),
        ), pitfalls="C84=call.orphan",
    ),
    row(
        "2.3",
        "Orphan result",
        Case(
            says(HI, c_result("found", id="call_9"), GO, **C_HISTORY),
            OneOf(
                says(user(text("Hi"), text("Go on")), **A_HISTORY),
                says(user(text("Hi"), text(Like("found")), text("Go on")), **A_HISTORY),
            ),
            ("result.orphan",),
        ),
        Case(
            says(user(text("Hi"), a_result("found", id="call_9")), **A_HISTORY),
            OneOf(
                says(HI, **C_HISTORY),
                says(HI, user(Like("found")), **C_HISTORY),
                says(user(Like("found")), HI, **C_HISTORY),
                says(user(text(WORDS), text("found")), HI, **C_HISTORY),
            ),
            ("result.orphan",),
            own=says(user(a_result("found", id="call_9"), text("Hi")), **A_HISTORY),
        ), pitfalls="C83=result.orphan",
    ),
)
