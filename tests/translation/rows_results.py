"""Requests: results of tools and tools that others run (protocols.md 2.3 from "Duplicate result", and 2.7)."""

from __future__ import annotations

from typing import Any

from .cells import Case, NotHere, Refused, Row, nowhere, row
from .matching import WORDS, Like, Named, OneOf
from .words import (
    A_TOOLS,
    C_TOOLS,
    GO,
    HI,
    PDF,
    PNG,
    a_base64,
    a_pdf,
    a_result,
    a_tool,
    a_use,
    assistant,
    c_call,
    c_calling,
    c_file,
    c_image,
    c_result,
    says,
    text,
    user,
)

C_PNG = c_image(f"data:image/png;base64,{PNG}")
BOTH = ("call_1", "call_2")
SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
FOUND = {
    "type": "web_search_result", "title": "A find", "url": "https://found.example", "encrypted_content": "secret"
}
RAN = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "expr 2 + 2"}},
    {
        "type": "bash_code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "bash_code_execution_result", "stdout": "4\n", "stderr": "", "return_code": 0, "content": []
        },
    },
]
MCP = {
    "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "files", "authorization_token": "t"}]
}
BY_CODE = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}


def searched(*results: Any) -> list[Any]:
    """A search in an assistant's turn, and what it found."""
    return [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": list(results)},
    ]


def c_results(*results: Any, ids: tuple[str, ...] = ("call_1",)) -> dict[str, Any]:
    """A call for each id, and what follows it."""
    return says(HI, c_calling(*map(c_call, ids)), *results, tools=C_TOOLS)


def a_results(*blocks: Any, ids: tuple[str, ...] = ("call_1",)) -> dict[str, Any]:
    return says(HI, assistant(*map(a_use, ids)), user(*blocks), tools=A_TOOLS)


def moved(*results: Any, media: Any, ids: tuple[str, ...] = ("call_1",), says_more: tuple[Any, ...] = ()) -> OneOf:
    """The results, and behind them a user's message with the media; a word may say where they come from."""
    shown = [(media,), (text(WORDS), media)]
    more = [says_more[0]["content"]] if says_more else []
    apart = [c_results(*results, user(*parts), *says_more, ids=ids) for parts in shown]
    return OneOf(*apart, *(c_results(*results, user(*parts, text(more[0])), ids=ids) for parts in shown if more))


RESULTS: tuple[Row, ...] = (
    row(
        "2.3",
        "Duplicate result for one id",
        Case(
            c_results(c_result("one"), c_result("two")),
            OneOf(
                a_results(a_result("one")), a_results(a_result("two")), a_results(a_result(text("one"), text("two")))
            ),
            ("result.duplicate",),
        ),
        Case(
            a_results(a_result("one"), a_result("two")),
            OneOf(
                c_results(c_result("one")), c_results(c_result("two")), c_results(c_result(text("one"), text("two")))
            ),
            ("result.duplicate",),
        ), pitfalls="C86=result.duplicate",
    ),
    row(
        "2.3",
        "Same id reused in later turns",
        Case(
            says(
                HI,
                c_calling(c_call()),
                c_result("one"),
                c_calling(c_call()),
                c_result("two"),
                tools=C_TOOLS,
            ),
            says(
                HI,
                assistant(a_use()),
                user(a_result("one")),
                assistant(a_use(Named("again"))),
                user(a_result("two", id=Named("again"))),
                tools=A_TOOLS,
            ),
        ),
        Case(
            says(
                HI,
                assistant(a_use()),
                user(a_result("one")),
                assistant(a_use()),
                user(a_result("two")),
                tools=A_TOOLS,
            ),
            says(
                HI,
                c_calling(c_call()),
                c_result("one"),
                c_calling(c_call()),
                c_result("two"),
                tools=C_TOOLS,
            ),
        ),
    ),
    row(
        "2.3",
        "Tool result text",
        [
            Case(c_results(c_result("found")), a_results(a_result("found"))),
            Case(c_results(c_result(text("one"), text("two"))), a_results(a_result(text("one"), text("two")))),
            Case(c_results(c_result('{"error": "none of ours"}')), a_results(a_result('{"error": "none of ours"}'))),
            Case(c_results(c_result("")), a_results({"type": "tool_result", "tool_use_id": "call_1"})),
        ],
        [
            Case(a_results(a_result("found")), c_results(c_result("found"))),
            Case(a_results(a_result(text("one"), text("two"))), c_results(c_result(text("one"), text("two")))),
            Case(a_results(a_result('{"error": "none of ours"}')), c_results(c_result('{"error": "none of ours"}'))),
            Case(a_results({"type": "tool_result", "tool_use_id": "call_1"}), c_results(c_result(""))),
            Case(
                a_results(a_result("")),
                c_results(c_result("")),
                own=a_results({"type": "tool_result", "tool_use_id": "call_1"}),
            ),
        ], pitfalls="P-72 C78 C81",
    ),
    row(
        "2.3",
        "Tool result image/file",
        NotHere("results of Chat hold text"),
        [
            Case(
                a_results(a_result(text("See"), a_base64())),
                moved(c_result(text("See"), text(WORDS)), media=C_PNG),
                ("result.media_moved",),
            ),
            Case(a_results(a_result(a_base64())), moved(c_result(WORDS), media=C_PNG), ("result.media_moved",)),
            Case(
                a_results(
                    a_result(a_base64(), id="call_1"),
                    a_result("two", id="call_2"),
                    text("Go on"),
                    ids=BOTH,
                ),
                moved(
                    c_result(WORDS, id="call_1"), c_result("two", id="call_2"), media=C_PNG, ids=BOTH, says_more=(GO,)
                ),
                ("result.media_moved",),
            ),
            Case(
                a_results(a_result(a_pdf(title="a.pdf"))),
                moved(
                    c_result(WORDS), media=c_file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf")
                ),
                ("result.media_moved",),
            ),
        ], pitfalls="P-54 P-72 C82=result.media_moved",
    ),
    row(
        "2.3",
        "Tool result error flag",
        NotHere("Chat cannot say that a call failed"),
        [
            Case(a_results(a_result("It broke.", is_error=True)), c_results(c_result('{"error":"It broke."}'))),
            Case(
                a_results(a_result(text("It"), text('"broke".'), is_error=True)),
                c_results(c_result('{"error":"It\\n\\n\\"broke\\"."}')),
            ),
            Case(
                a_results(a_result("It broke.", is_error=True)),
                c_results(c_result("It broke.")),
                ("result.error_flag",),
                dialect={"tool_errors": "plain"},
            ),
            Case(
                a_results({"type": "tool_result", "tool_use_id": "call_1", "is_error": True}),
                c_results(c_result(Like('^{"error":".+"}$'))),
            ),
            Case(a_results(a_result("found", is_error=False)), c_results(c_result("found"))),
        ], pitfalls="C81@a_c",
    ),
    row(
        "2.3",
        "Result name",
        Case(c_results(c_result("found", name="lookup")), a_results(a_result("found")), ("?message.name",)),
        NotHere("Messages names no results"), pitfalls="C32",
    ),
    row(
        "2.3",
        "Order of results",
        Case(
            c_results(c_result("two", id="call_2"), c_result("one", id="call_1"), ids=BOTH),
            a_results(a_result("two", id="call_2"), a_result("one", id="call_1"), ids=BOTH),
        ),
        Case(
            a_results(a_result("two", id="call_2"), a_result("one", id="call_1"), ids=BOTH),
            OneOf(
                c_results(c_result("two", id="call_2"), c_result("one", id="call_1"), ids=BOTH),
                c_results(c_result("one", id="call_1"), c_result("two", id="call_2"), ids=BOTH),
            ),
        ), pitfalls="C85",
    ),
    row(
        "2.3",
        "MCP / connectors",
        NotHere("Chat has no connectors"),
        [
            Refused(MCP, "mcp_servers[0]"),
            Refused(MCP | {"tools": [{"type": "mcp_toolset", "mcp_server_name": "files"}]}, "tools[0]"),
            Case(MCP, {}, ("tool.hosted",), dialect={"hosted_tools": "drop"}),
        ], pitfalls="C51",
    ),
    row(
        "2.3",
        "Programmatic calling",
        NotHere("Chat has no programs that call"),
        [
            Case(
                {"tools": [a_tool(allowed_callers=["code_execution_20250825"])]}, {"tools": C_TOOLS}, ("field.foreign",)
            ),
            Case(
                says(
                    HI, assistant(a_use(caller={"type": "direct"})), user(a_result("found")), tools=A_TOOLS
                ),
                says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
            ),
            Case(
                says(HI, assistant(a_use(caller=BY_CODE)), user(a_result("found")), tools=A_TOOLS),
                says(HI, c_calling(c_call()), c_result("found"), tools=C_TOOLS),
                ("field.foreign",),
            ),
        ], pitfalls="C43 C75@a_c=field.foreign",
    ),
    row(
        "2.3",
        "Tool search",
        NotHere("Chat does not search for tools"),
        [
            Case(
                {
                    "tools": [
                        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
                        a_tool(defer_loading=True, eager_input_streaming=True),
                    ]
                },
                {"tools": C_TOOLS},
                ("tool.search",),
            ),
            Case(
                a_results(a_result({"type": "tool_reference", "tool_name": "lookup"})),
                c_results(c_result("lookup")),
            ),
        ], pitfalls="C43",
    ),
)

DROP = {"hosted_tools": "drop"}
FETCH = {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}
CODE = {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}
BERLIN = {"city": "Berlin", "country": "DE"}
C_PLACE = {"user_location": {"type": "approximate", "approximate": BERLIN}}
A_PLACE = {"user_location": {"type": "approximate", **BERLIN}}
A_SEARCH: dict[str, Any] = {"type": Like("^web_search_2"), "name": "web_search"}

HOSTED: tuple[Row, ...] = (
    row(
        "2.7",
        "Web search",
        [
            Case({"web_search_options": {}}, {"tools": [A_SEARCH]}),
            Case(
                {"web_search_options": {"search_context_size": "medium", **C_PLACE}, "tools": C_TOOLS},
                {"tools": [*A_TOOLS, A_SEARCH | A_PLACE]},
            ),
            Case(
                {"web_search_options": {}, "tools": C_TOOLS, "tool_choice": "required"},
                {"tools": [*A_TOOLS, A_SEARCH], "tool_choice": {"type": "any"}},
            ),
            Case(
                {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
                {"tools": [A_SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}},
            ),
            Refused({"web_search_options": {"user_location": "Berlin"}}, "web_search_options.user_location"),
            Case({"web_search_options": {}}, {}, ("tool.hosted",), dialect={"web_search": "none", **DROP}),
        ],
        [
            Refused({"tools": [SEARCH]}, "tools[0]"),
            Refused({"tools": [a_tool(), SEARCH]}, "tools[1]"),
            Case({"tools": [SEARCH, a_tool()]}, {"tools": C_TOOLS}, ("tool.hosted",), dialect=DROP),
            Case(
                {"tools": [SEARCH, a_tool()]},
                {"tools": C_TOOLS, "web_search_options": {}},
                ("tool.setting",),
                dialect={"web_search": "options"},
            ),
            Case(
                {"tools": [{"type": "web_search_20260209", "name": "web_search", **A_PLACE}]},
                {"web_search_options": C_PLACE},
                dialect={"web_search": "options"},
            ),
            Case(  # nothing may be called, and Chat's search asks nobody
                {"tools": [SEARCH, a_tool()], "tool_choice": {"type": "none"}},
                {"tools": C_TOOLS, "tool_choice": "none"},
                dialect={"web_search": "options"},
            ),
            Refused({"tools": [SEARCH, a_tool()], "tool_choice": {"type": "tool", "name": "web_search"}}, "tool"),
            Refused({"tools": [SEARCH], "tool_choice": {"type": "any"}}, "tool"),
        ], pitfalls="C46@a_c=tool.hosted",
    ),
    row(
        "2.7",
        "Web fetch",
        NotHere("Chat fetches nothing"),
        [Refused(FETCH, "tools[0]"), Case(FETCH, {}, ("tool.hosted",), dialect=DROP)], pitfalls="C46",
    ),
    row(
        "2.7",
        "Code execution",
        NotHere("Chat executes nothing"),
        [Refused(CODE, "tools[0]"), Case(CODE, {}, ("tool.hosted",), dialect=DROP)], pitfalls="C46",
    ),
    nowhere("2.7", "File search", "Responses and Gemini only"),
    row(
        "2.7",
        "Computer/browser/bash/editor/memory/shell/apply_patch",
        NotHere("Chat has no tools of a vendor's kinds"),
        Refused({"tools": [{"type": "bash_20250124", "name": "bash"}, a_tool()]}, "tools[0]"), pitfalls="C46",
    ),
    nowhere("2.7", "Image generation", "Responses and Gemini only"),
    row(
        "2.7",
        "Server tool blocks in history",
        NotHere("Chat keeps annotations only"),
        [
            Case(
                says(HI, assistant(*searched(), text("It is so.")), GO),
                says(HI, assistant("It is so."), GO),
                ("part.hosted",),
            ),
            Case(
                says(HI, assistant(*searched(FOUND), text("It is so.")), GO),
                says(HI, assistant(Like("(?s)A find.*https://found.example.*It is so.")), GO),
                ("part.hosted",),
            ),
            Case(
                says(HI, assistant(*RAN, text("Four.")), GO),
                says(HI, assistant(Like("(?s)4\\n.*Four.")), GO),
                ("part.hosted",),
            ),
        ], pitfalls="P-78 C74",
    ),
)
