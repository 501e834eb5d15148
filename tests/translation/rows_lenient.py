"""Requests: what clients write that must be taken all the same (protocols.md 2.8)."""

from __future__ import annotations

from .cells import Case, NotHere, Refused, Row, nowhere, row
from .matching import Named
from .rows_reasoning import EXTENSIONS
from .words import (
    A_TOOLS,
    C_TOOLS,
    CAT,
    GO,
    HI,
    PNG,
    a_base64,
    a_image,
    a_result,
    a_use,
    assistant,
    c_call,
    c_calling,
    c_file,
    c_image,
    c_named,
    c_result,
    c_tool,
    says,
    system,
    text,
    user,
)
from .words import PDF as PDF_DATA

MARK = {"cache_control": {"type": "ephemeral"}}
C_MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
BREAKPOINTS = {"cache": "breakpoint"}
UNTYPED = {"id": "call_1", "function": {"name": "lookup", "arguments": '{"q":"x"}'}}
SPOKEN = says(HI, assistant("Hello."), GO)

LENIENT: tuple[Row, ...] = (
    row(
        "2.8",
        "Chat",
        [
            *(
                Case(says(HI, turn, GO), says(user(text("Hi"), text("Go on"))), own=says(HI, assistant(""), GO))
                for turn in ({"role": "assistant", "content": None}, {"role": "assistant"})
            ),
            Case(
                says(HI, c_calling(UNTYPED), c_result("found"), tools=C_TOOLS),
                says(HI, assistant(a_use()), user(a_result("found")), tools=A_TOOLS),
                own=says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
            ),
            Case({"max_tokens": 100}, {"max_tokens": 100}),
            *(
                Case(says(HI, assistant("Hello.", **member), GO), SPOKEN, ("reasoning.history",))
                for member in (
                    {"reasoning_content": "Hm."},
                    {"reasoning": "Hm."},
                    {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
                )
            ),
            Case(says(user(text("Hi", **MARK))), says(user(text("Hi", **MARK)))),
            Case(says({**HI, **MARK}), says(user(text("Hi", **MARK))), own=says(user(text("Hi", **MARK)))),
            Case({"tools": [C_TOOLS[0] | MARK]}, {"tools": [A_TOOLS[0] | MARK]}),
            Case(
                says(HI, c_calling(c_call() | MARK), c_result("found", **MARK), tools=C_TOOLS),
                says(HI, assistant(a_use(**MARK)), user(a_result("found", **MARK)), tools=A_TOOLS),
            ),
            Case(
                says(user({"type": "image_url", "image_url": CAT})),
                says(user(a_image(type="url", url=CAT))),
                own=says(user(c_image(CAT))),
            ),
            Case(
                says(user(c_file(file_data=PDF_DATA))),
                says(
                    user(
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
                        }
                    )
                ),
                own=says(user(c_file(file_data=f"data:application/pdf;base64,{PDF_DATA}"))),
            ),
            Case(
                says(HI, c_calling(c_call()), c_result(text("one"), text("two")), tools=C_TOOLS),
                says(HI, assistant(a_use()), user(a_result(text("one"), text("two"))), tools=A_TOOLS),
            ),
            Case(  # some clients put images into results; Messages takes them
                says(
                    HI,
                    c_calling(c_call()),
                    c_result(text("See"), c_image(f"data:image/png;base64,{PNG}")),
                    tools=C_TOOLS,
                ),
                says(HI, assistant(a_use()), user(a_result(text("See"), a_base64())), tools=A_TOOLS),
            ),
            *EXTENSIONS,
            Case({"extra_body": {"top_a": 1}}, {}, ("field.foreign",)),
            Case({"min_p": 0.1, "transforms": []}, {}, ("field.foreign", "field.foreign")),
            Case(
                {"tools": [], "temperature": None, "user": None, "stop": None},
                {},
                own={"tools": []},
            ),
            Refused({"messages": []}, "messages"),
            Refused({"messages": "Hi"}, "messages"),
            Refused({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role"),
            Refused({"messages": [{"content": "Hi"}]}, "messages[0].role"),
            Refused({"messages": [{"role": "user"}]}, "messages"),
            Refused({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
            Refused({"messages": [{"role": "user", "content": [text("Hi"), "so"]}]}, "messages[0].content[1]"),
            Refused({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
            Refused({"messages": ["Hi"]}, "messages[0]"),
            Refused({"tools": {"type": "function"}}, "tools"),
            Refused({"tools": [{"type": "function"}]}, "tools[0].function"),
            Refused({"tools": [c_tool(name="")]}, "tools[0].function.name"),
            Refused({"temperature": True}, "temperature"),
            Refused({"max_tokens": "many"}, "max_tokens"),
            Refused({"max_tokens": 1.5}, "max_tokens"),
            Refused({"response_format": "json"}, "response_format"),
            Refused({"tools": C_TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
            Refused({"tools": C_TOOLS, "tool_choice": c_named("")}, "tool_choice"),
        ],
        NotHere("the client of this cell speaks Messages"), pitfalls="C52 C82@c_a C266@c_a",
    ),
    nowhere("2.8", "Resp", "the client's protocol is not here"),
    row(
        "2.8",
        "Anth",
        NotHere("the client of this cell speaks Chat"),
        [
            Case({"system": "One."}, says(system("One."), HI)),
            Case({"system": [text("One.")]}, says(system("One."), HI)),
            Case(says(user(text("Hi"))), {}),
            Case(says(HI, system("In French now.")), says(HI, system("In French now."))),
            Refused(says(user(text("Hi"), {"type": "container_upload", "file_id": "f"})), "messages[0].content[1]"),
            *(
                Case(client, wire, dialect=dialect)
                for client, wire, dialect in (
                    (  # most upstreams cache by themselves and take no marks
                        says(HI, assistant(a_use(**MARK)), user(a_result(text("found", **MARK))), tools=A_TOOLS),
                        says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
                        None,
                    ),
                    (  # a call has no place for one
                        says(HI, assistant(a_use(**MARK)), user(a_result("found")), tools=A_TOOLS),
                        says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
                        BREAKPOINTS,
                    ),
                    (
                        says(HI, assistant(a_use()), user(a_result("found", **MARK)), tools=A_TOOLS),
                        says(HI, c_calling(c_call()), c_result(text("found", **C_MARK)), tools=C_TOOLS),
                        BREAKPOINTS,
                    ),
                    (
                        says(user(a_base64() | MARK)),
                        says(user(c_image(f"data:image/png;base64,{PNG}") | C_MARK)),
                        BREAKPOINTS,
                    ),
                    (
                        says(HI, assistant(a_use()), user(a_result(text("found", **MARK))), tools=A_TOOLS),
                        says(HI, c_calling(c_call()), c_result(text("found", **C_MARK)), tools=C_TOOLS),
                        BREAKPOINTS,
                    ),
                    (
                        says(HI, assistant(text("So", **MARK), text(" it is.")), GO),
                        says(HI, assistant(text("So it is.", **C_MARK)), GO),
                        BREAKPOINTS,
                    ),
                )
            ),
            Case(
                says(HI, assistant(a_use()), user({"type": "tool_result", "tool_use_id": "call_1"}), tools=A_TOOLS),
                says(HI, c_calling(c_call()), c_result(""), tools=C_TOOLS),
            ),
            Case(
                says(HI, assistant(a_use(input="x")), user(a_result("found")), tools=A_TOOLS),
                says(HI, c_calling(c_call(arguments='"x"')), c_result("found"), tools=C_TOOLS),
            ),
            Case(
                says(
                    HI,
                    assistant({"type": "tool_use", "id": "call_1", "name": "lookup"}),
                    user(a_result("found")),
                    tools=A_TOOLS,
                ),
                says(HI, c_calling(c_call(arguments="{}")), c_result("found"), tools=C_TOOLS),
                own=says(HI, assistant(a_use(input={})), user(a_result("found")), tools=A_TOOLS),
            ),
            Case(
                says(HI, assistant(a_use("")), user(a_result("found", id="")), tools=A_TOOLS),
                says(
                    HI, c_calling(c_call(Named("a"))), c_result("found", id=Named("a")), tools=C_TOOLS
                ),
            ),
            Case({"thinking": {"type": "enabled"}}, {}),
            Case({"some_new_field": 1}, {}, ("field.foreign",)),
            Case({"temperature": None, "metadata": None, "tools": None}, {}, own={}),
            Case({"metadata": {"user_id": None}}, {}, own={}),
            Refused({"messages": "Hi"}, "messages"),
            Refused({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role"),
            Refused({"messages": [{"role": "user"}]}, "messages[0].content"),
            Refused({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
            Refused({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0].type"),
            Refused({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
            Refused({"messages": [user({"type": "image"})]}, "messages[0].content[0].source"),
            Refused({"tools": [{"name": "lookup", "input_schema": "any"}]}, "tools[0].input_schema"),
            Refused({"tools": [{"description": "x"}]}, "tools[0].name"),
            Refused({"max_tokens": "many"}, "max_tokens"),
            Refused({"system": 3}, "system"),
            Refused({"stop_sequences": "END"}, "stop_sequences"),
        ],
    ),
    nowhere("2.8", "Gem", "the client's protocol is not here"),
    nowhere("2.8", "Ollama", "the client's protocol is not here"),
)
