"""What Messages clients write and what it is in the neutral model: blocks, results, members of a request."""

from __future__ import annotations

from typing import Any

from rotator.neutral.parts import (
    CacheMark,
    Citation,
    Media,
    Opaque,
    Reasoning,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from rotator.neutral.request import (
    CacheWish,
    Format,
    Meta,
    Output,
    ReasoningWish,
    Sampling,
    Tool,
    ToolPolicy,
    Turn,
    WebSearch,
)

from .bodies import CAT, MARK, PDF, PNG, SCHEMA, result, text, tool, use
from .claude_code import USER_ID

SEARCH_RESULT = {
    "type": "search_result",
    "source": "https://src.example",
    "title": "A find",
    "content": [text("One."), text("Two.")],
    "citations": {"enabled": True},
}
WEB = {
    "type": "web_search_result_location",
    "cited_text": "So it is.",
    "encrypted_index": "x",
    "title": None,
    "url": "https://a.example",
}
PAGE = {
    "type": "page_location",
    "cited_text": "p",
    "document_index": 0,
    "document_title": "Doc",
    "start_page_number": 1,
    "end_page_number": 2,
}
FOUND = {
    "type": "search_result_location",
    "cited_text": "f",
    "source": "https://s.example",
    "title": "Found",
    "search_result_index": 0,
    "start_block_index": 0,
    "end_block_index": 1,
}


def opaque(data: dict[str, Any], role: Any = "content", words: str = "") -> Opaque:
    return Opaque("messages", data["type"], data, role, words)


#: A block of a user's message and its part.
USER_BLOCKS: dict[str, tuple[dict[str, Any], Any]] = {
    "text": (text("Hi"), Text("Hi")),
    "text-marked": (text("Hi", **MARK), Text("Hi", cache=CacheMark())),
    "text-marked-ttl": (
        text("Hi", cache_control={"type": "ephemeral", "ttl": "1h"}),
        Text("Hi", cache=CacheMark("1h")),
    ),
    "text-marked-null": (text("Hi", cache_control=None), Text("Hi")),
    "text-marked-strangely": (
        text("Hi", cache_control={"type": "ephemeral", "scope": "global"}),
        Text("Hi", rest={"cache_control": {"type": "ephemeral", "scope": "global"}}),
    ),
    "text-unknown-member": (text("Hi", x=0), Text("Hi", rest={"x": 0})),
    "text-blank": (text(" \n"), Text(" \n")),
    "image-base64": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        Media("image", Source("base64", PNG), "image/png"),
    ),
    "image-base64-untyped": (
        {"type": "image", "source": {"type": "base64", "data": PNG}},
        Media("image", Source("base64", PNG)),
    ),
    "image-url": (
        {"type": "image", "source": {"type": "url", "url": CAT}, **MARK},
        Media("image", Source("url", CAT), cache=CacheMark()),
    ),
    "image-file": (
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        Media("image", Source("file_id", "file_1")),
    ),
    "image-rest": (
        {
            "type": "image",
            "source": {"type": "url", "url": CAT, "y": 1},
            "transformations": {"oversized_image": "error"},
        },
        Media("image", Source("url", CAT), rest={"transformations": {"oversized_image": "error"}, "source": {"y": 1}}),
    ),
    "image-unknown-source": (
        {"type": "image", "source": {"type": "hologram", "z": 1}},
        opaque({"type": "image", "source": {"type": "hologram", "z": 1}}),
    ),
    "document-base64": (
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
            "context": "Old.",
            "citations": {"enabled": True},
        },
        Media(
            "document",
            Source("base64", PDF),
            "application/pdf",
            "a.pdf",
            rest={"context": "Old.", "citations": {"enabled": True}},
        ),
    ),
    "document-text": (
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Body."}},
        Media("document", Source("text", "Body."), "text/plain"),
    ),
    "document-url": (
        {"type": "document", "source": {"type": "url", "url": "https://d.example/a.pdf"}, "title": None},
        Media("document", Source("url", "https://d.example/a.pdf")),
    ),
    "document-file": (
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        Media("document", Source("file_id", "file_1")),
    ),
    "document-content": (
        {"type": "document", "source": {"type": "content", "content": [text("One.", **MARK), text("")]}},
        Media("document", Source("parts", parts=(Text("One.", cache=CacheMark()),))),
    ),
    "document-content-string": (
        {"type": "document", "source": {"type": "content", "content": "One."}},
        Media("document", Source("parts", parts=(Text("One."),))),
    ),
    "search-result": (SEARCH_RESULT, opaque(SEARCH_RESULT, words="A find\nhttps://src.example\nOne.\nTwo.")),
    "container-upload": (
        {"type": "container_upload", "file_id": "f"},
        opaque({"type": "container_upload", "file_id": "f"}, "reference"),
    ),
    "unknown": ({"type": "hologram", "x": 1}, opaque({"type": "hologram", "x": 1})),
}
#: A block of an assistant's message and its part.
ASSISTANT_BLOCKS: dict[str, tuple[dict[str, Any], Any]] = {
    "call": (
        use("toolu_1", {"b": 1, "a": [1.0, None, "é"]}),
        ToolCall("toolu_1", "lookup", '{"b":1,"a":[1.0,null,"é"]}'),
    ),
    "call-marked": (use(**MARK), ToolCall("call_1", "lookup", '{"q":"x"}', cache=CacheMark())),
    "call-rest": (
        use(caller={"type": "direct"}),
        ToolCall("call_1", "lookup", '{"q":"x"}', rest={"caller": {"type": "direct"}}),
    ),
    "call-list": (use(input=[1, "two"]), ToolCall("call_1", "lookup", '[1,"two"]')),
    "call-string": (use(input=""), ToolCall("call_1", "lookup", '""')),
    "call-empty": (use(input={}), ToolCall("call_1", "lookup", "{}")),
    "call-without-input": ({"type": "tool_use", "id": "c", "name": "now"}, ToolCall("c", "now", "{}")),
    "call-large-integer": (use(input={"n": 2**70}), ToolCall("call_1", "lookup", '{"n":1180591620717411303424}')),
    "call-surrogate": (use(input={"q": "\ud800"}), ToolCall("call_1", "lookup", '{"q":"\\ud800"}')),
    "thinking": (
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        Reasoning((Thought("Hm."),), State("signature", "c2ln")),
    ),
    "thinking-omitted": (
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        Reasoning((), State("signature", "c2ln")),
    ),
    "thinking-unsigned": ({"type": "thinking", "thinking": "Hm.", "signature": ""}, Reasoning((Thought("Hm."),))),
    "thinking-marked": (
        {"type": "thinking", "thinking": "Hm.", "signature": "s", **MARK},
        Reasoning((Thought("Hm."),), State("signature", "s"), rest=MARK),
    ),
    "redacted": ({"type": "redacted_thinking", "data": "aGlk"}, Reasoning((), State("redacted", "aGlk"))),
    "server-tool-use": (
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        opaque({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, "hosted"),
    ),
    "web-search-result": (
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        opaque({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}, "hosted"),
    ),
    "mcp-tool-use": ({"type": "mcp_tool_use", "id": "m"}, opaque({"type": "mcp_tool_use", "id": "m"}, "hosted")),
    "compaction": (
        {"type": "compaction", "content": "So far."},
        opaque({"type": "compaction", "content": "So far."}, "reference"),
    ),
    "citations": (
        text("So it is.", citations=[WEB, PAGE, FOUND, {"type": "new", "url": 3}]),
        Text(
            "So it is.",
            (
                Citation("web", "https://a.example", "", "So it is.", raw=WEB),
                Citation("document", "", "Doc", "p", raw=PAGE),
                Citation("result", "https://s.example", "Found", "f", raw=FOUND),
                Citation("other", raw={"type": "new", "url": 3}),
            ),
        ),
    ),
    "citations-none": (text("Hi", citations=[]), Text("Hi")),
}
#: A block with a tool's result and its part.
RESULTS: dict[str, tuple[dict[str, Any], ToolResult]] = {
    "string": (result("found"), ToolResult("call_1", (Text("found"),))),
    "empty": (result(""), ToolResult("call_1")),
    "list": (result([text("One."), text("")]), ToolResult("call_1", (Text("One."),))),
    "null": (result(None), ToolResult("call_1")),
    "absent": ({"type": "tool_result", "tool_use_id": "call_1"}, ToolResult("call_1")),
    "error": (result("no", is_error=True), ToolResult("call_1", (Text("no"),), is_error=True)),
    "no-error": (
        result("yes", is_error=False, **MARK),
        ToolResult("call_1", (Text("yes"),), is_error=False, cache=CacheMark()),
    ),
    "image": (
        result([{"type": "image", "source": {"type": "url", "url": CAT}}]),
        ToolResult("call_1", (Media("image", Source("url", CAT)),)),
    ),
    "reference": (
        result([{"type": "tool_reference", "tool_name": "Edit"}]),
        ToolResult("call_1", (opaque({"type": "tool_reference", "tool_name": "Edit"}, "reference", "Edit"),)),
    ),
    "rest": (
        result("x", toolset_name="computer"),
        ToolResult("call_1", (Text("x"),), rest={"toolset_name": "computer"}),
    ),
}
#: Members of a request and what they become.
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "system-string": (
        {"system": "Be brief."},
        {"turns": (Turn("system", (Text("Be brief."),)), Turn("user", (Text("Hi"),)))},
    ),
    "system-list": (
        {"system": [text("One."), text("Two.", **MARK)]},
        {"turns": (Turn("system", (Text("One."), Text("Two.", cache=CacheMark()))), Turn("user", (Text("Hi"),)))},
    ),
    "system-empty": ({"system": ""}, {}),
    "system-empty-list": ({"system": [text("")]}, {}),
    "thinking-enabled": (
        {"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}},
        {"reasoning": ReasoningWish(True, None, 2048, "hidden")},
    ),
    "thinking-enabled-no-budget": ({"thinking": {"type": "enabled"}}, {"reasoning": ReasoningWish(True)}),
    "thinking-zero-budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 0}},
        {"reasoning": ReasoningWish(True, budget=0)},
    ),
    "thinking-adaptive": (
        {"thinking": {"type": "adaptive", "display": "updates"}, "output_config": {"effort": "xhigh"}},
        {"reasoning": ReasoningWish(True, "xhigh", -1, "updates")},
    ),
    "thinking-disabled": ({"thinking": {"type": "disabled"}}, {"reasoning": ReasoningWish(False)}),
    "thinking-between-tools": (
        {"thinking": {"type": "between_tools"}},
        {"reasoning": ReasoningWish(False, between_tools=True)},
    ),
    "thinking-summarized": (
        {"thinking": {"type": "adaptive", "display": "summarized", "block_binding": {"a": 1}}},
        {"reasoning": ReasoningWish(True, None, -1, "summary", rest={"block_binding": {"a": 1}})},
    ),
    "thinking-of-tomorrow": (
        {"thinking": {"type": "dreaming", "budget_tokens": 3, "display": "loud"}},
        {"reasoning": ReasoningWish(rest={"type": "dreaming", "budget_tokens": 3, "display": "loud"})},
    ),
    "effort": ({"output_config": {"effort": "low"}}, {"reasoning": ReasoningWish(effort="low")}),
    "format": (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"output": Output(64, format=Format("json_schema", SCHEMA, strict=True))},
    ),
    "format-of-tomorrow": (
        {"output_config": {"format": {"type": "xml"}, "task_budget": {"type": "tokens"}}},
        {"rest": {"output_config": {"format": {"type": "xml"}, "task_budget": {"type": "tokens"}}}},
    ),
    "sampling": (
        {"temperature": 0, "top_p": 0.0, "top_k": 0},
        {"sampling": Sampling(0, 0.0, 0)},
    ),
    "max-tokens-zero": ({"max_tokens": 0}, {"output": Output(0)}),
    "max-tokens-float": ({"max_tokens": 3.0}, {"output": Output(3)}),
    "max-tokens-absent": ({"max_tokens": None}, {"output": Output()}),
    "stops": ({"stop_sequences": ["END", "\n"]}, {"output": Output(64, stops=("END", "\n"))}),
    "stops-none": ({"stop_sequences": []}, {"output": Output(64, stops=())}),
    "user": ({"metadata": {"user_id": USER_ID}}, {"meta": Meta(USER_ID)}),
    "user-empty": ({"metadata": {"user_id": ""}}, {"meta": Meta("")}),
    "user-null": ({"metadata": {"user_id": None}}, {}),
    "metadata": ({"metadata": {"user_id": "u", "team": "t"}}, {"meta": Meta("u"), "rest": {"metadata": {"team": "t"}}}),
    "tier": ({"service_tier": "standard_only"}, {"meta": Meta(tier="standard_only")}),
    "cache": ({"cache_control": {"type": "ephemeral", "ttl": "5m"}}, {"cache": CacheWish(auto=CacheMark("5m"))}),
    "unknown": ({"speed": "fast", "new": 0, "old": None}, {"rest": {"speed": "fast", "new": 0}}),
    "nulls": ({"system": None, "tools": None, "tool_choice": None, "thinking": None, "metadata": None}, {}),
    "tools-none": ({"tools": []}, {}),
    "tool": (
        {"tools": [tool(description="Looks.", strict=False, type="custom", defer_loading=True, **MARK)]},
        {
            "tools": (
                Tool("lookup", "function", "Looks.", SCHEMA, False, cache=CacheMark(), rest={"defer_loading": True}),
            )
        },
    ),
    "tool-without-schema": ({"tools": [{"name": "now"}]}, {"tools": (Tool("now"),)}),
    "tool-hosted": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 0}]},
        {
            "tools": (
                Tool(
                    "web_search",
                    "hosted",
                    data={"type": "web_search_20250305", "name": "web_search", "max_uses": 0},
                    search=WebSearch(limit=0),
                ),
            )
        },
    ),
    "toolset": (
        {"tools": [{"type": "computer_toolset_20260801"}]},
        {"tools": (Tool("computer_toolset_20260801", "builtin", data={"type": "computer_toolset_20260801"}),)},
    ),
    "choice-auto": ({"tool_choice": {"type": "auto"}}, {"policy": ToolPolicy("auto")}),
    "choice-any": (
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"policy": ToolPolicy("required", parallel=False)},
    ),
    "choice-tool": (
        {"tool_choice": {"type": "tool", "name": "lookup", "disable_parallel_tool_use": False, "x": 1}},
        {"policy": ToolPolicy("named", ("lookup",), parallel=True, rest={"x": 1})},
    ),
    "choice-none": ({"tool_choice": {"type": "none"}}, {"policy": ToolPolicy("none")}),
}
