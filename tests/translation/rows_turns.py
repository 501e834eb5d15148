"""Requests: instructions and turns (protocols.md 2.1)."""

from __future__ import annotations

from .cells import Case, NotHere, Refused, Row, nowhere, row
from .matching import WORDS, Like, Named, OneOf
from .rows_reasoning import MODEL_PREFILL, MODEL_ROLE
from .words import (
    A_TOOLS,
    C_TOOLS,
    GO,
    HI,
    a_result,
    a_use,
    assistant,
    c_call,
    c_calling,
    c_result,
    developer,
    says,
    system,
    text,
    user,
)

#: How a model without instructions in mid-conversation is told one.
REMINDER = Like(r"^<system-reminder>\s*In French now\.\s*</system-reminder>$")

TURNS: tuple[Row, ...] = (
    row(
        "2.1",
        "Leading system prompt",
        [
            Case(says(system("Be brief."), HI), {"system": "Be brief."}),
            Case(
                says(system("One."), system(text("Two."), text("Three.")), HI),
                {"system": [text("One."), text("Two."), text("Three.")]},
            ),
        ],
        [
            Case({"system": "Be brief."}, says(system("Be brief."), HI)),
            Case({"system": [text("One."), text("Two.")]}, says(system(text("One."), text("Two.")), HI)),
            Case({"system": "One.", **says(system("Two."), HI)}, says(system("One."), system("Two."), HI)),
        ], pitfalls="C20@c_a C25@a_c",
    ),
    row(
        "2.1",
        "Developer prompt",
        [
            Case(says(developer("Be brief."), HI), {"system": "Be brief."}),
            Case(says(system("One."), developer("Two."), HI), {"system": [text("One."), text("Two.")]}),
        ],
        MODEL_ROLE, pitfalls="C20 C24",
    ),
    row(
        "2.1",
        "Mid-conversation system/developer",
        [
            *(
                Case(
                    says(HI, assistant("Hello."), instruction, GO),
                    says(HI, assistant("Hello."), user(text(REMINDER), text("Go on"))),
                )
                for instruction in (system("In French now."), developer("In French now."))
            ),
            Case(
                says(HI, c_calling(c_call()), c_result("found"), developer("In French now."), tools=C_TOOLS),
                says(HI, assistant(a_use()), user(a_result("found"), text(REMINDER)), tools=A_TOOLS),
            ),
            *(
                Case(
                    says(HI, assistant("Hello."), instruction, GO),
                    says(HI, assistant("Hello."), system("In French now."), GO),
                    dialect={"mid_system": "role"},
                )
                for instruction in (system("In French now."), developer("In French now."))
            ),
        ],
        [
            Case(
                says(HI, assistant("Hello."), system("In French now."), GO),
                says(HI, assistant("Hello."), system("In French now."), GO),
            ),
            Case(
                says(HI, system(text("One."), text("Two."))),
                says(HI, system(text("One."), text("Two."))),
            ),
        ], pitfalls="P-114 C23 C26@a_c",
    ),
    row(
        "2.1",
        "System-only request",
        Case(says(system("Be brief.")), {"system": "Be brief.", **says(user(WORDS))}, ("turn.added",)),
        NotHere("a Messages client must send a message"), pitfalls="C28=turn.added",
    ),
    nowhere("2.1", "`instructions` + previous_response_id", "Responses only"),
    row(
        "2.1",
        "User turn",
        [
            Case(says(user("Hi")), says(user("Hi"))),
            Case(says(user("Hi", name="bob")), says(user("bob: Hi")), ("message.name",)),
        ],
        Case(says(user("Hi")), says(user("Hi"))), pitfalls="C32=message.name",
    ),
    row(
        "2.1",
        "Assistant turn",
        [
            Case(says(HI, assistant("Hello."), GO), says(HI, assistant("Hello."), GO)),
            Case(
                says(HI, assistant("Hello.", name="eve"), GO), says(HI, assistant("eve: Hello."), GO), ("message.name",)
            ),
            Case(
                says(HI, assistant(text("Hello."), text("You.")), GO),
                says(HI, assistant(text("Hello."), text("You.")), GO),
            ),
        ],
        [
            Case(says(HI, assistant("Hello."), GO), says(HI, assistant("Hello."), GO)),
            Case(
                says(HI, assistant(text("Look: "), a_use()), user(a_result("found")), tools=A_TOOLS),
                says(HI, c_calling(c_call(), content="Look: "), c_result("found"), tools=C_TOOLS),
            ),
            Case(  # one assistant message for each turn, the content its joined text (2.9, To Chat 2)
                says(HI, assistant(text("One, "), text("two.")), GO),
                says(HI, assistant("One, two."), GO),
            ),
        ], pitfalls="C32=message.name",
    ),
    row(
        "2.1",
        "Tool turn",
        Case(
            says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
            says(HI, assistant(a_use()), user(a_result("found")), tools=A_TOOLS),
        ),
        Case(
            says(HI, assistant(a_use()), user(a_result("found")), tools=A_TOOLS),
            says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
        ), pitfalls="C78",
    ),
    row(
        "2.1",
        "Legacy function turn",
        [
            Case(
                says(
                    HI,
                    {**assistant(), "function_call": {"name": "lookup", "arguments": '{"q":"x"}'}},
                    {"role": "function", "name": "lookup", "content": "found"},
                    functions=[C_TOOLS[0]["function"]],
                    function_call="auto",
                ),
                says(
                    HI,
                    assistant(a_use(id=Named("call"))),
                    user(a_result("found", id=Named("call"))),
                    tools=A_TOOLS,
                    tool_choice={"type": "auto"},
                ),
            ),
            Case(
                {"functions": [C_TOOLS[0]["function"]], "function_call": {"name": "lookup"}},
                {"tools": A_TOOLS, "tool_choice": {"type": "tool", "name": "lookup"}},
            ),
        ],
        NotHere("Messages never had functions"), pitfalls="C45",
    ),
    row(
        "2.1",
        "Alternation",
        [
            Case(says(user("One."), user("Two.")), says(user(text("One."), text("Two.")))),
            Case(
                says(HI, assistant("One."), assistant("Two."), GO),
                says(HI, assistant(text("One."), text("Two.")), GO),
            ),
            Case(  # all results of a turn in one user message, first in it, then what the user says (P-52, P-55)
                says(
                    HI,
                    c_calling(c_call("call_1"), c_call("call_2")),
                    c_result("one", id="call_1"),
                    c_result("two", id="call_2"),
                    GO,
                    tools=C_TOOLS,
                ),
                says(
                    HI,
                    assistant(a_use("call_1"), a_use("call_2")),
                    user(a_result("one", id="call_1"), a_result("two", id="call_2"), text("Go on")),
                    tools=A_TOOLS,
                ),
            ),
            Case(says(assistant("I began."), HI), says(user(WORDS), assistant("I began."), HI), ("turn.added",)),
        ],
        [
            Case(says(user("One."), user("Two.")), says(user("One."), user("Two."))),
            Case(
                says(
                    HI,
                    assistant(a_use("call_1"), a_use("call_2")),
                    user(a_result("one", id="call_1"), a_result("two", id="call_2"), text("Go on")),
                    tools=A_TOOLS,
                ),
                says(
                    HI,
                    c_calling(c_call("call_1"), c_call("call_2")),
                    c_result("one", id="call_1"),
                    c_result("two", id="call_2"),
                    GO,
                    tools=C_TOOLS,
                ),
            ),
            Case(  # words before the results: they come behind the tool messages, which must be right at their calls
                says(HI, assistant(a_use()), user(text("Go on"), a_result("found")), tools=A_TOOLS),
                says(HI, c_calling(c_call()), c_result("found"), GO, tools=C_TOOLS),
                own=says(HI, assistant(a_use()), user(a_result("found"), text("Go on")), tools=A_TOOLS),
            ),
        ], pitfalls="P-52@c_a P-53 P-55@c_a P-76@a_c C27 C28@c_a=turn.added C33@a_c C85@c_a",
    ),
    row(
        "2.1",
        "Last turn is assistant (prefill)",
        [
            Case(says(HI, assistant("Sure,")), says(HI, assistant("Sure,")), ("?turn.prefill",)),
            Case(says(HI, assistant("Sure, \n")), says(HI, assistant("Sure,")), ("?turn.prefill",)),
            MODEL_PREFILL,
        ],
        Case(
            says(HI, assistant("Sure,")),
            OneOf({"messages": [HI]}, {"messages": [HI, assistant("Sure,"), user(WORDS)]}),
            ("turn.prefill", "?turn.added"),
        ), pitfalls="C30",
    ),
    nowhere("2.1", "Assistant phase", "Responses only"),
    row(
        "2.1",
        "Empty text",
        [
            Case(says(user(text(""), text("Hi"))), says(user("Hi")), own=says(user("Hi"))),
            Case(
                says(HI, assistant(""), GO), says(user(text("Hi"), text("Go on"))), own=says(HI, assistant(""), GO)
            ),
            Case(says(user(text(" \n"), text("Hi"))), says(user("Hi"))),
            Case(says(system(""), HI), {}, own=says(system(""), HI)),
            Refused(says(user("")), "messages"),
        ],
        [
            Case(says(user(text(""), text("Hi"))), says(user("Hi")), own=says(user("Hi"))),
            Case(
                says(HI, assistant("Hello."), user(text(""))), OneOf(
                    {"messages": [HI]}, {"messages": [HI, assistant("Hello."), user(WORDS)]}
                ),
                ("turn.prefill", "?turn.added"),
                own=says(HI, assistant("Hello."), user()),
            ),
            Case({"system": ""}, {}, own={}),
            Case({"system": [text("")]}, {}, own={}),
            Refused(says(user("")), "messages"),
        ], pitfalls="C29",
    ),
    nowhere("2.1", "Prompt template", "Responses only"),
)
