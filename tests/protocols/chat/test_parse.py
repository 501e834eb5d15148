"""A Chat client's requests -> neutral: every message, part and field, what must be accepted, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import (
    CacheMark,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    written_path,
)
from rotator.neutral.request import (
    Grammar,
    Output,
    Request,
    Sampling,
    Tool,
    ToolPolicy,
    Turn,
    WebSearch,
)
from tests.protocols.chat.bodies import (
    CAT,
    MARK,
    PDF,
    PNG,
    POINT,
    SCHEMA,
    WAV,
    Breakpoint,
    assistant,
    body,
    call,
    called,
    custom_call,
    function,
    image,
    parse,
    parsed,
    result,
    said,
    system,
    text,
    user,
)

DATA = f"data:image/png;base64,{PNG}"


def test_a_whole_request() -> None:
    wire = body(
        system("Be brief."),
        user([text("What is this?"), image(DATA, detail="low")], name="ann"),
        assistant("I look it up.", tool_calls=[call("a"), call("b")]),
        result("x", "a"),
        result("y", "b"),
        user("And now?"),
        tools=[function(description="Looks up.", parameters=SCHEMA)],
        tool_choice="auto",
        max_completion_tokens=64,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    before = copy.deepcopy(wire)
    assert parsed(wire) == Request(
        "chat",
        "m",
        (
            said("system", "Be brief."),
            said("user", "What is this?", Media("image", Source("base64", PNG), "image/png", detail="low"), name="ann"),
            said("assistant", "I look it up.", called("a"), called("b")),
            said("tool", ToolResult("a", (Text("x"),)), ToolResult("b", (Text("y"),))),
            said("user", "And now?"),
        ),
        (Tool("lookup", description="Looks up.", schema=SCHEMA),),
        ToolPolicy("auto"),
        output=Output(64, "max_completion_tokens"),
        sampling=Sampling(0),
        stream=True,
        usage_in_stream=True,
    )
    assert wire == before


def test_places_are_those_of_the_clients_json() -> None:
    request = parsed(
        body(
            user("a"),
            assistant([text("b")], tool_calls=[call()], refusal="c", function_call={"name": "f"}, reasoning="d"),
            result([text("e")]),
            result("f", "g"),
            tools=[function("f"), function("g")],
        )
    )
    turns = [written_path(turn.at) for turn in request.turns]
    assert turns == ["messages[0]", "messages[1]", "messages[2]"]
    assert [[written_path(part.at) for part in turn.parts] for turn in request.turns] == [
        ["messages[0].content"],
        [
            "messages[1].reasoning",
            "messages[1].content[0]",
            "messages[1].refusal",
            "messages[1].tool_calls[0]",
            "messages[1].function_call",
        ],
        ["messages[2]", "messages[3]"],
    ]
    assert [written_path(part.at) for one in request.turns[2].parts for part in one.parts] == [
        "messages[2].content[0]",
        "messages[3].content",
    ]
    assert [tool.at for tool in request.tools] == [("tools", 0), ("tools", 1)]


ROLES = [
    (system("S"), said("system", "S")),
    ({"role": "developer", "content": "D"}, said("developer", "D")),
    (user("U", name="ann"), said("user", "U", name="ann")),
    (user(None), said("user")),
    (user(""), said("user")),
    ({"role": "user"}, said("user")),
    (user([text(""), text("a"), text("b")]), said("user", "a", "b")),
    (user("U", mood="x"), said("user", "U", rest={"mood": "x"})),
    (user("U", mood=None), said("user", "U")),
    (assistant("A"), said("assistant", "A")),
    (assistant(""), said("assistant")),
    (assistant(), said("assistant")),
    (assistant("A", name="bot", x=1), said("assistant", "A", name="bot", rest={"x": 1})),
    (assistant("A", refusal=None, audio=None, function_call=None, tool_calls=None, annotations=[]),
     said("assistant", "A")),
    (assistant("A", tool_calls=[]), said("assistant", "A")),
    (assistant("A", annotations=[{"type": "url_citation"}]),
     said("assistant", "A", rest={"annotations": [{"type": "url_citation"}]})),
    (assistant(refusal="No."), said("assistant", Refusal("No."))),
    (assistant([text("A"), {"type": "refusal", "refusal": "No.", "x": 1}]),
     said("assistant", "A", Refusal("No.", rest={"x": 1}))),
    (assistant([{"type": "refusal", "refusal": ""}], refusal=""), said("assistant")),
    (assistant(audio={"id": "audio_1"}), said("assistant", Opaque("chat", "audio", {"id": "audio_1"}, "reference"))),
    (assistant(audio={"id": "audio_1", "transcript": "Hm."}),
     said("assistant", Opaque("chat", "audio", {"id": "audio_1", "transcript": "Hm."}, "reference", "Hm."))),
    (assistant("A", images=[image(DATA)]), said("assistant", "A", Media("image", Source("base64", PNG), "image/png"))),
    (assistant(reasoning_content="T"), said("assistant", Reasoning((Thought("T"),)))),
    (assistant(reasoning_content=""), said("assistant", Reasoning())),
    (assistant(reasoning_content=None, reasoning=None, reasoning_details=[]), said("assistant")),
    (assistant(reasoning="T"), said("assistant", Reasoning((Thought("T"),), rest={"reasoning": "T"}))),
    (assistant(reasoning="T", reasoning_content="C"),
     said("assistant", Reasoning((Thought("C"),), rest={"reasoning_content": "C", "reasoning": "T"}))),
]


@pytest.mark.parametrize(("message", "turn"), ROLES)
def test_a_message_is_a_turn(message: dict[str, Any], turn: Turn) -> None:
    assert parsed(body(message)).turns == (turn,)


def test_reasoning_details_are_kept_and_their_words_read() -> None:
    details = [
        {"type": "reasoning.text", "text": "T", "signature": "s"},
        {"type": "reasoning.summary", "summary": "S"},
        {"type": "reasoning.summary", "summary": ["S"]},
        {"type": "reasoning.summary", "summary": ""},
        {"type": "reasoning.encrypted", "data": "x"},
        "odd",
    ]
    (turn,) = parsed(body(assistant("A", reasoning_details=details))).turns
    thoughts = (Thought("T"), Thought("S", "summary"))
    assert turn == said("assistant", Reasoning(thoughts, rest={"reasoning_details": details}), "A")


PARTS = [
    (text("a"), Text("a")),
    (text("a", x=1), Text("a", rest={"x": 1})),
    (text("a", **MARK), Text("a", cache=CacheMark())),
    (text("a", cache_control={"type": "ephemeral", "ttl": "1h"}), Text("a", cache=CacheMark("1h"))),
    (text("a", cache_control={"type": "other"}), Text("a", rest={"cache_control": {"type": "other"}})),
    (text("a", cache_control={"type": "ephemeral", "scope": "x"}),
     Text("a", rest={"cache_control": {"type": "ephemeral", "scope": "x"}})),
    (text("a", cache_control=None), Text("a")),
    (image(), Media("image", Source("url", CAT))),
    ({"type": "image_url", "image_url": CAT}, Media("image", Source("url", CAT))),
    (image(detail="high", x=1), Media("image", Source("url", CAT), detail="high", rest={"image_url": {"x": 1}})),
    ({**image(), **MARK}, Media("image", Source("url", CAT), cache=CacheMark())),
    (image(f"data:;base64,{PNG}"), Media("image", Source("base64", PNG), "image/png")),
    (image(f"DATA:IMAGE/PNG;name=a;BASE64,{PNG}"), Media("image", Source("base64", PNG), "image/png")),
    (image("data:image/svg+xml,%3Csvg/%3E"), Media("image", Source("base64", "PHN2Zy8+"), "image/svg+xml")),
    ({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
     Media("audio", Source("base64", WAV), "audio/wav")),
    ({"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3", "x": 1}},
     Media("audio", Source("base64", "SUQz"), "audio/mpeg", rest={"input_audio": {"x": 1}})),
    ({"type": "input_audio", "input_audio": {"data": "https://s.example/a.wav", "format": "wav"}},
     Media("audio", Source("url", "https://s.example/a.wav"), "audio/wav")),
    ({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
     Media("document", Source("base64", PDF), "application/pdf", "a.pdf")),
    ({"type": "file", "file": {"file_data": PDF}}, Media("document", Source("base64", PDF), "application/pdf")),
    ({"type": "file", "file": {"file_data": "AAAA", "filename": "a.bin"}},
     Media("document", Source("base64", "AAAA"), "", "a.bin")),
    ({"type": "file", "file": {"file_id": "file-1"}, "x": 1},
     Media("document", Source("file_id", "file-1"), rest={"x": 1})),
    ({"type": "file", "file": {"file_id": "file-1", "file_data": PDF}},
     Media("document", Source("base64", PDF), "application/pdf", rest={"file": {"file_id": "file-1"}})),
    ({"type": "video_url", "video_url": {"url": "https://v.example/a.mp4", "fps": 1}},
     Media("video", Source("url", "https://v.example/a.mp4"), rest={"video_url": {"fps": 1}})),
    ({"type": "video_url", "video_url": "data:video/mp4;base64,AAAA"},
     Media("video", Source("base64", "AAAA"), "video/mp4")),
    ({"type": "input_text", "text": "a", "x": 1},
     Opaque("chat", "input_text", {"type": "input_text", "text": "a", "x": 1}, text="a")),
    ({"type": "mystery", "text": 1}, Opaque("chat", "mystery", {"type": "mystery", "text": 1})),
]


@pytest.mark.pitfall("C139", "C144", "C145")
@pytest.mark.parametrize(("wire", "part"), PARTS)
def test_a_content_part(wire: dict[str, Any], part: Part) -> None:
    (turn,) = parsed(body(user([wire]))).turns
    assert turn.parts == (part,)


def test_both_spellings_of_a_cache_mark_mean_the_same_and_are_told_apart() -> None:
    extended = text("b", cache_control={"type": "ephemeral", "ttl": "12h"})
    (turn,) = parsed(body(user([text("a", **POINT), extended]))).turns
    native, extension = (part.cache for part in turn.parts if isinstance(part, Text))
    assert native == extension == CacheMark("12h")
    assert (type(native), type(extension)) == (Breakpoint, CacheMark)


MARKED = [
    (user("a", **MARK), said("user", Text("a", cache=CacheMark()))),
    (user([text("a"), image()], **MARK), said("user", "a", Media("image", Source("url", CAT), cache=CacheMark()))),
    (user([text("a", cache_control={"type": "ephemeral", "ttl": "5m"})], **MARK),
     said("user", Text("a", cache=CacheMark("5m")))),
    (assistant("a", tool_calls=[call()], **MARK),
     said("assistant", "a", ToolCall("call_1", "lookup", '{"q":"x"}', cache=CacheMark()))),
    (assistant("a", refusal="b", **MARK), said("assistant", Text("a", cache=CacheMark()), Refusal("b"))),
    (user(None, **MARK), said("user", rest=MARK)),
    (result(**MARK), said("tool", ToolResult("call_1", (Text("found"),), cache=CacheMark()))),
]


@pytest.mark.parametrize(("message", "turn"), MARKED)
def test_a_mark_on_a_message_stands_behind_its_last_part(message: dict[str, Any], turn: Turn) -> None:
    assert parsed(body(message)).turns == (turn,)


CALLS = [
    (call(), ToolCall("call_1", "lookup", '{"q":"x"}')),
    (call(arguments=""), ToolCall("call_1", "lookup", "")),
    (call(arguments="{no json"), ToolCall("call_1", "lookup", "{no json")),
    ({"id": "a", "function": {"name": "f", "arguments": "{}"}}, ToolCall("a", "f", "{}")),
    ({"type": "function", "function": {"name": "f", "arguments": "{}"}}, ToolCall("", "f", "{}")),
    ({"id": None, "type": "function", "function": {"name": "f", "arguments": "{}"}}, ToolCall("", "f", "{}")),
    ({"id": "a", "type": "function", "function": {"name": "f"}}, ToolCall("a", "f")),
    ({"id": "a", "type": "function", "function": {"name": "f", "arguments": None}}, ToolCall("a", "f")),
    ({"id": "a", "type": "function", "function": {"name": "f", "arguments": {"q": 1}}}, ToolCall("a", "f", '{"q":1}')),
    (call(index=0), ToolCall("call_1", "lookup", '{"q":"x"}', rest={"index": 0})),
    ({"id": "a", "type": "function", "function": {"name": "f", "arguments": "", "x": 1}},
     ToolCall("a", "f", rest={"function": {"x": 1}})),
    ({"id": "a", "type": "builtin_function", "function": {"name": "f", "arguments": "{}"}},
     ToolCall("a", "f", "{}", rest={"type": "builtin_function"})),
    (call(**MARK), ToolCall("call_1", "lookup", '{"q":"x"}', cache=CacheMark())),
    (call(extra_content={"google": {"thought_signature": "s"}}),
     ToolCall("call_1", "lookup", '{"q":"x"}', state=State("signature", "s"))),
    (call(extra_content={"google": {"thought_signature": "s"}, "x": 1}),
     ToolCall("call_1", "lookup", '{"q":"x"}', rest={"extra_content": {"google": {"thought_signature": "s"}, "x": 1}})),
    (custom_call(), ToolCall("call_1", "run", "ls", "custom")),
    ({"id": "a", "custom": {"name": "run", "x": 1}}, ToolCall("a", "run", "", "custom", rest={"custom": {"x": 1}})),
]


@pytest.mark.parametrize(("wire", "part"), CALLS)
def test_a_call(wire: dict[str, Any], part: ToolCall) -> None:
    (turn,) = parsed(body(assistant(tool_calls=[wire]))).turns
    assert turn.parts == (part,)


RESULTS = [
    (result(), ToolResult("call_1", (Text("found"),))),
    (result(""), ToolResult("call_1")),
    (result(None), ToolResult("call_1")),
    (result([text("a"), image()]), ToolResult("call_1", (Text("a"), Media("image", Source("url", CAT))))),
    (result(name="lookup", x=1), ToolResult("call_1", (Text("found"),), "lookup", rest={"x": 1})),
    ({"role": "tool", "tool_call_id": "call_1", "x": 1}, ToolResult("call_1", rest={"x": 1})),
    ({"role": "tool", "content": "found"}, ToolResult("", (Text("found"),))),
    ({"role": "function", "name": "lookup", "content": "found"}, ToolResult("", (Text("found"),), "lookup")),
    ({"role": "function", "name": "lookup", "content": None, "x": 1}, ToolResult("", (), "lookup", rest={"x": 1})),
]


@pytest.mark.parametrize(("message", "part"), RESULTS)
def test_a_result(message: dict[str, Any], part: ToolResult) -> None:
    assert parsed(body(message)).turns == (said("tool", part),)


def test_results_in_a_row_are_one_turn_and_know_the_kind_of_their_call() -> None:
    calls = assistant(tool_calls=[custom_call("a"), call("b")])
    request = parsed(body(calls, result("1", "a"), result("2", "b"), user("Hi"), result("3", "a")))
    assert request.turns[1:] == (
        said("tool", ToolResult("a", (Text("1"),), kind="custom"), ToolResult("b", (Text("2"),))),
        said("user", "Hi"),
        said("tool", ToolResult("a", (Text("3"),), kind="custom")),
    )


def test_the_older_words_for_calls_and_tools() -> None:
    legacy = {"name": "lookup", "arguments": '{"q":"x"}'}
    wire = body(
        user("Hi"),
        assistant(function_call=legacy),
        {"role": "function", "name": "lookup", "content": "found"},
        functions=[{"name": "lookup", "description": "Looks up.", "parameters": SCHEMA, "x": 1}],
        function_call={"name": "lookup"},
    )
    notes: list[Note] = []
    request = parse(wire, "m", False, Ledger(notes))
    assert request.turns[1:] == (
        said("assistant", ToolCall("", "lookup", '{"q":"x"}')),
        said("tool", ToolResult("", (Text("found"),), "lookup")),
    )
    assert request.tools == (Tool("lookup", description="Looks up.", schema=SCHEMA, rest={"x": 1}),)
    assert request.policy == ToolPolicy("named", ("lookup",))
    assert request.rest == {}
    assert notes == [Note("chat.parse.tools", "tools.legacy", "functions", "tools")]


RESPONSES_SEARCH: dict[str, Any] = {
    "type": "web_search",
    "search_context_size": "high",
    "user_location": {"type": "approximate", "city": "Berlin"},
    "filters": {"allowed_domains": ["a.example"], "blocked_domains": ["b.example"]},
}
TOOLS = [
    (function(), Tool("lookup")),
    (function(description=None, parameters=None, strict=None), Tool("lookup")),
    (function(description="D", parameters=SCHEMA, strict=False), Tool("lookup", "function", "D", SCHEMA, False)),
    (function(parameters={}, x=1), Tool("lookup", schema={}, rest={"function": {"x": 1}})),
    ({"function": {"name": "lookup"}, "x": 1}, Tool("lookup", rest={"x": 1})),
    ({**function(), **MARK}, Tool("lookup", cache=CacheMark())),
    ({"type": "custom", "custom": {"name": "run", "description": "R"}}, Tool("run", "custom", "R")),
    ({"type": "custom", "custom": {"name": "run", "format": {"type": "text"}}},
     Tool("run", "custom", grammar=Grammar())),
    ({"type": "custom", "custom": {"name": "run", "format": {
        "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A", "x": 1}}}, **MARK},
     Tool("run", "custom", grammar=Grammar("lark", "start: A"), cache=CacheMark(),
          rest={"custom": {"format": {"grammar": {"x": 1}}}})),
    ({"type": "web_search", "max": 1},
     Tool("web_search", "hosted", data={"type": "web_search", "max": 1}, search=WebSearch(), rest={"max": 1})),
    (RESPONSES_SEARCH, Tool("web_search", "hosted", data=RESPONSES_SEARCH, search=WebSearch(
        {"city": "Berlin"}, ("a.example",), ("b.example",), "high"))),
]


@pytest.mark.parametrize(("wire", "tool"), TOOLS)
def test_a_tool(wire: dict[str, Any], tool: Tool) -> None:
    assert parsed(body(tools=[wire])).tools == (tool,)


def test_the_web_search_option_is_a_hosted_tool() -> None:
    place = {"city": "Berlin", "region": None, "country": "DE", "timezone": "Europe/Berlin"}
    options = {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": place}, "x": 1}
    request = parsed(body(web_search_options=options, tools=[function()]))
    told = WebSearch({"city": "Berlin", "country": "DE", "timezone": "Europe/Berlin"}, context="low")
    search = Tool("web_search_options", "hosted", data=options, search=told, rest={"x": 1})
    assert request.tools == (Tool("lookup"), search)
    assert request.tools[1].at == ("web_search_options",)


CHOICES = [
    ({}, ToolPolicy()),
    ({"tool_choice": None, "parallel_tool_calls": None}, ToolPolicy()),
    ({"tool_choice": "none"}, ToolPolicy("none")),
    ({"tool_choice": "required", "parallel_tool_calls": False}, ToolPolicy("required", parallel=False)),
    ({"parallel_tool_calls": True}, ToolPolicy(parallel=True)),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, ToolPolicy("named", ("f",))),
    ({"tool_choice": {"function": {"name": "f", "x": 1}, "y": 2}},
     ToolPolicy("named", ("f",), rest={"y": 2, "function": {"x": 1}})),
    ({"tool_choice": {"type": "function", "name": "f"}}, ToolPolicy("named", ("f",))),
    ({"tool_choice": {"type": "custom", "custom": {"name": "c"}}}, ToolPolicy("named", ("c",))),
    ({"tool_choice": {"type": "web_search", "x": 1}}, ToolPolicy("named", ("web_search",), rest={"x": 1})),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
        {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]}}},
     ToolPolicy("allowed", ("f", "c"))),
    ({"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}},
     ToolPolicy("allowed", ("f",), required=True)),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
        {"type": "mcp", "server_label": "s"}]}}},
     ToolPolicy("allowed", ("mcp",), rest={"allowed_tools": {"tools": [{"type": "mcp", "server_label": "s"}]}})),
    ({"function_call": "none"}, ToolPolicy("none")),
    ({"function_call": {"name": "f", "x": 1}, "parallel_tool_calls": False},
     ToolPolicy("named", ("f",), parallel=False, rest={"x": 1})),
    ({"function_call": "auto", "tool_choice": "required"}, ToolPolicy("required")),
]


@pytest.mark.pitfall("C56")
@pytest.mark.parametrize(("more", "policy"), CHOICES)
def test_the_choice_among_tools(more: dict[str, Any], policy: ToolPolicy) -> None:
    assert parsed(body(**more)).policy == policy
