"""The fields of a Messages request, object by object (protocols.md 1.3, 2.1-2.7; limits 6.2-6.4; SDK types 2.10)."""

from __future__ import annotations

from collections.abc import Iterator

from .calls import Call
from .shapes import Field, Found, Kind, Place, Shape, child, either, enum, items, kind, root, where

TEXT = Field(kind("string"))
TEXT_OR_NULL = Field(kind("string", "null"))
REQUIRED_TEXT = Field(kind("string"), required=True)
REQUIRED_NAME = Field(kind("string", low=1), required=True)
FLAG = Field(kind("boolean"))
FLAG_OR_NULL = Field(kind("boolean", "null"))
OBJECT = kind("object")
A_THING = Field(OBJECT)
REQUIRED_THING = Field(OBJECT, required=True)
THING_OR_NULL = Field(kind("object", "null"))
A_LIST = Field(kind("array"))
ELSEWHERE = Field()
CACHED = {"type": ELSEWHERE, "cache_control": THING_OR_NULL}
CALL_ID = Field(kind("string", low=1, pattern=r"^[a-zA-Z0-9_-]+$"), required=True)
TOOL_NAME = Field(kind("string", low=1, high=128, pattern=r"^[a-zA-Z0-9_-]+$"), required=True)
CONTENT = Field(kind("string", "array"), required=True, each=OBJECT)
CITATIONS = Field(kind("array", "null"), each=OBJECT)
DOMAINS = Field(kind("array", "null"), each=kind("string", low=1))
EFFORT = Field(enum("low", "medium", "high", "xhigh", "max", null=True))

SERVER_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
)
ASSISTANT_ONLY = ("thinking", "redacted_thinking", "tool_use", "server_tool_use", *SERVER_RESULTS)
USER_ONLY = ("tool_result",)
ANYWHERE = ("text", "image", "document", "search_result", "container_upload")
RESULT_PARTS_TYPES = ("text", "image", "document", "search_result", "tool_reference", "browser_state")
SERVER_TOOLS = (
    "bash_20250124",
    "browser_toolset_20260801",
    "code_execution_20250522",
    "code_execution_20250825",
    "code_execution_20260120",
    "code_execution_20260521",
    "computer_toolset_20260801",
    "memory_20250818",
    "text_editor_20250124",
    "text_editor_20250429",
    "text_editor_20250728",
    "tool_search_tool_bm25_20251119",
    "tool_search_tool_regex_20251119",
    "web_fetch_20250910",
    "web_fetch_20260209",
    "web_fetch_20260309",
    "web_fetch_20260318",
    "web_search_20250305",
    "web_search_20260209",
    "web_search_20260318",
)


def create_root(call: Call) -> Iterator[Found]:
    """The body of a create; count_tokens knows fewer fields (1.3)."""
    return root(call) if call.operation == "messages" else iter(())


MESSAGES = items(root, "messages")
CONTENT_BLOCKS = items(MESSAGES, "content")
SYSTEM_BLOCKS = items(root, "system")
TOOL_RESULTS = where(CONTENT_BLOCKS, "type", "tool_result", tag="tool_result")
RESULT_PARTS = items(TOOL_RESULTS, "content")
DOCUMENTS = where(either(CONTENT_BLOCKS, RESULT_PARTS), "type", "document", tag="document")
DOCUMENT_SOURCES = child(DOCUMENTS, "source")
DOCUMENT_PARTS = items(where(DOCUMENT_SOURCES, "type", "content", tag="content"), "content")
SEARCH_RESULTS = where(either(CONTENT_BLOCKS, RESULT_PARTS), "type", "search_result", tag="search_result")
SEARCH_PARTS = items(SEARCH_RESULTS, "content")
BLOCKS = either(SYSTEM_BLOCKS, CONTENT_BLOCKS, RESULT_PARTS, DOCUMENT_PARTS, SEARCH_PARTS)
IMAGES = where(BLOCKS, "type", "image", tag="image")
IMAGE_SOURCES = child(IMAGES, "source")
TOOLS = items(root, "tools")
CUSTOM_TOOLS = where(TOOLS, "type", None, "custom", tag="custom")
SEARCHING = tuple(name for name in SERVER_TOOLS if name.startswith("web_search_"))
WEB_SEARCHES = where(TOOLS, "type", *SEARCHING, tag="web_search")
TOOL_CHOICE = child(root, "tool_choice")
THINKING = child(root, "thinking")
OUTPUT_CONFIG = child(root, "output_config")
CACHE_HOLDERS = either(TOOLS, BLOCKS)


def block(name: str) -> Place:
    """Every block of a type, with the type in its path, as the vendor names members of a union."""
    return where(BLOCKS, "type", name, tag=name)


BODY_SHAPES = (
    Shape(
        "body",
        root,
        {
            "model": Field(kind("string", low=1), required=True),
            "messages": Field(kind("array", low=1), required=True, each=OBJECT),
            "system": Field(kind("string", "array"), each=OBJECT),
            "tools": Field(kind("array"), each=OBJECT),
            "tool_choice": A_THING,
            "thinking": A_THING,
            "output_config": A_THING,
            "cache_control": THING_OR_NULL,
            "speed": Field(enum("standard", "fast", null=True)),
        },
        open=True,
    ),
    Shape(
        "create",
        create_root,
        {
            "max_tokens": Field(kind("integer", low=0), required=True),
            "metadata": A_THING,
            "stop_sequences": Field(kind("array"), each=kind("string", low=1)),
            "stream": FLAG,
            "temperature": Field(kind("number", low=0, high=1)),
            "top_p": Field(kind("number", low=0, high=1)),
            "top_k": Field(kind("integer", low=0)),
            "service_tier": Field(enum("auto", "standard_only")),
            "container": Field(kind("string", "object", "null")),
            "diagnostics": THING_OR_NULL,
            "inference_geo": TEXT_OR_NULL,
            "user_profile_id": TEXT_OR_NULL,
            "workspace_id": TEXT_OR_NULL,
        },
        open=True,
    ),
    Shape("metadata", child(create_root, "metadata"), {"user_id": TEXT_OR_NULL}),
    Shape("diagnostics", child(create_root, "diagnostics"), {"previous_message_id": TEXT_OR_NULL}),
    Shape(
        "thinking",
        THINKING,
        {"type": Field(enum("enabled", "disabled", "adaptive", "between_tools"), required=True)},
        open=True,
    ),
    Shape(
        "thinking_enabled",
        where(THINKING, "type", "enabled", tag="enabled"),
        {
            "type": ELSEWHERE,
            "budget_tokens": Field(kind("integer", low=1024), required=True),
            "display": Field(enum("summarized", "omitted", "updates", null=True)),
            "block_binding": THING_OR_NULL,
        },
    ),
    Shape(
        "thinking_adaptive",
        where(THINKING, "type", "adaptive", tag="adaptive"),
        {
            "type": ELSEWHERE,
            "display": Field(enum("summarized", "omitted", "updates", null=True)),
            "block_binding": THING_OR_NULL,
        },
    ),
    Shape("thinking_off", where(THINKING, "type", "disabled", "between_tools"), {"type": ELSEWHERE}),
    Shape(
        "output_config",
        OUTPUT_CONFIG,
        {
            "effort": EFFORT,
            "format": THING_OR_NULL,
            "task_budget": THING_OR_NULL,
        },
    ),
    Shape(
        "format",
        child(OUTPUT_CONFIG, "format"),
        {"type": Field(enum("json_schema"), required=True), "schema": REQUIRED_THING},
    ),
    Shape(
        "task_budget",
        child(OUTPUT_CONFIG, "task_budget"),
        {
            "type": Field(enum("tokens"), required=True),
            "total": Field(kind("integer", low=1), required=True),
            "remaining": Field(kind("integer", "null", low=0)),
        },
    ),
    Shape("turn_config", child(where(MESSAGES, "role", "system"), "output_config"), {"effort": EFFORT}),
    Shape("context_management", child(root, "context_management"), {"edits": Field(kind("array"), each=OBJECT)}),
    Shape(
        "edit",
        items(child(root, "context_management"), "edits"),
        {"type": Field(kind("string", pattern=r"^[a-z_]+_\d{8}$"), required=True)},
        open=True,
    ),
    Shape(
        "cache_control",
        either(child(root, "cache_control"), child(CACHE_HOLDERS, "cache_control")),
        {"type": Field(enum("ephemeral"), required=True), "ttl": Field(enum("5m", "1h"))},
    ),
)

TOOL_SHAPES = (
    Shape(
        "custom_tool",
        CUSTOM_TOOLS,
        {
            **CACHED,
            "name": TOOL_NAME,
            "description": TEXT,
            "input_schema": REQUIRED_THING,
            "strict": FLAG,
            "defer_loading": FLAG,
            "eager_input_streaming": FLAG_OR_NULL,
            "input_examples": Field(kind("array"), each=OBJECT),
            "allowed_callers": Field(kind("array"), each=kind("string")),
        },
    ),
    Shape("tool", TOOLS, {"type": Field(Kind(("string", "null"), ("custom", *SERVER_TOOLS)))}, open=True),
    Shape("server_tool", where(TOOLS, "type", *SERVER_TOOLS), {"name": REQUIRED_NAME}, open=True),
    Shape(
        "web_search",
        WEB_SEARCHES,
        {
            "name": Field(enum("web_search")),
            "max_uses": Field(kind("integer", "null", low=1)),
            "allowed_domains": DOMAINS,
            "blocked_domains": DOMAINS,
            "user_location": THING_OR_NULL,
        },
        open=True,
    ),
    Shape(
        "user_location",
        child(WEB_SEARCHES, "user_location"),
        {
            "type": Field(enum("approximate"), required=True),
            "city": TEXT_OR_NULL,
            "country": TEXT_OR_NULL,
            "region": TEXT_OR_NULL,
            "timezone": TEXT_OR_NULL,
        },
    ),
    Shape(
        "tool_choice", TOOL_CHOICE, {"type": Field(enum("auto", "any", "tool", "none"), required=True)}, open=True
    ),
    Shape(
        "free_choice",
        where(TOOL_CHOICE, "type", "auto", "any"),
        {"type": ELSEWHERE, "disable_parallel_tool_use": FLAG},
    ),
    Shape(
        "named_choice",
        where(TOOL_CHOICE, "type", "tool", tag="tool"),
        {"type": ELSEWHERE, "name": REQUIRED_NAME, "disable_parallel_tool_use": FLAG},
    ),
    Shape("no_choice", where(TOOL_CHOICE, "type", "none", tag="none"), {"type": ELSEWHERE}),
)

MESSAGE_SHAPES = (
    Shape("message", MESSAGES, {"role": Field(enum("user", "assistant", "system"), required=True)}, open=True),
    Shape("turn", where(MESSAGES, "role", "user", "assistant"), {"role": ELSEWHERE, "content": CONTENT}),
    Shape(
        "system_message",
        where(MESSAGES, "role", "system"),
        {
            "role": ELSEWHERE,
            "content": Field(kind("string", "array"), each=OBJECT),
            "output_config": THING_OR_NULL,
            "clear_at": Field(enum("next_user_message", "never", null=True)),
        },
    ),
    Shape(
        "content_block",
        items(where(MESSAGES, "role", "user", "assistant"), "content"),
        {"type": Field(enum(*ANYWHERE, *USER_ONLY, *ASSISTANT_ONLY), required=True)},
        open=True,
    ),
    Shape(
        "text_only_block",
        either(SYSTEM_BLOCKS, items(where(MESSAGES, "role", "system"), "content"), SEARCH_PARTS),
        {"type": Field(enum("text"), required=True)},
        open=True,
    ),
    Shape("result_part", RESULT_PARTS, {"type": Field(enum(*RESULT_PARTS_TYPES), required=True)}, open=True),
    Shape("document_part", DOCUMENT_PARTS, {"type": Field(enum("text", "image"), required=True)}, open=True),
)

BLOCK_SHAPES = (
    Shape("text", block("text"), {**CACHED, "text": REQUIRED_TEXT, "citations": CITATIONS}),
    Shape("image", IMAGES, {**CACHED, "source": REQUIRED_THING, "transformations": THING_OR_NULL}),
    Shape(
        "image_source", IMAGE_SOURCES, {"type": Field(enum("base64", "url", "file"), required=True)}, open=True
    ),
    Shape(
        "image_base64",
        where(IMAGE_SOURCES, "type", "base64", tag="base64"),
        {
            "type": ELSEWHERE,
            "media_type": Field(enum("image/jpeg", "image/png", "image/gif", "image/webp"), required=True),
            "data": REQUIRED_TEXT,
        },
    ),
    Shape(
        "document",
        DOCUMENTS,
        {
            **CACHED,
            "source": REQUIRED_THING,
            "title": TEXT_OR_NULL,
            "context": TEXT_OR_NULL,
            "citations": THING_OR_NULL,
        },
    ),
    Shape(
        "document_source",
        DOCUMENT_SOURCES,
        {"type": Field(enum("base64", "text", "content", "url", "file"), required=True)},
        open=True,
    ),
    Shape(
        "document_base64",
        where(DOCUMENT_SOURCES, "type", "base64", tag="base64"),
        {
            "type": ELSEWHERE,
            "media_type": Field(enum("application/pdf"), required=True),
            "data": REQUIRED_TEXT,
        },
    ),
    Shape(
        "document_text",
        where(DOCUMENT_SOURCES, "type", "text", tag="text"),
        {"type": ELSEWHERE, "media_type": Field(enum("text/plain"), required=True), "data": REQUIRED_TEXT},
    ),
    Shape(
        "document_content",
        where(DOCUMENT_SOURCES, "type", "content", tag="content"),
        {"type": ELSEWHERE, "content": CONTENT},
    ),
    Shape(
        "url_source",
        where(either(IMAGE_SOURCES, DOCUMENT_SOURCES), "type", "url", tag="url"),
        {"type": ELSEWHERE, "url": REQUIRED_TEXT},
    ),
    Shape(
        "file_source",
        where(either(IMAGE_SOURCES, DOCUMENT_SOURCES), "type", "file", tag="file"),
        {"type": ELSEWHERE, "file_id": REQUIRED_NAME},
    ),
    Shape(
        "search_result",
        SEARCH_RESULTS,
        {
            **CACHED,
            "content": Field(kind("array", low=1), required=True, each=OBJECT),
            "source": REQUIRED_TEXT,
            "title": REQUIRED_TEXT,
            "citations": A_THING,
        },
    ),
    Shape(
        "citations",
        either(child(DOCUMENTS, "citations"), child(SEARCH_RESULTS, "citations")),
        {"enabled": FLAG},
    ),
    Shape(
        "thinking_block",
        block("thinking"),
        {"type": ELSEWHERE, "thinking": REQUIRED_TEXT, "signature": REQUIRED_TEXT},
    ),
    Shape("redacted_block", block("redacted_thinking"), {"type": ELSEWHERE, "data": REQUIRED_TEXT}),
    Shape(
        "tool_use",
        block("tool_use"),
        {
            **CACHED,
            "id": CALL_ID,
            "name": TOOL_NAME,
            "input": REQUIRED_THING,
            "caller": A_THING,
            "toolset_name": TEXT_OR_NULL,
        },
    ),
    Shape(
        "tool_result",
        block("tool_result"),
        {
            **CACHED,
            "tool_use_id": CALL_ID,
            "content": Field(kind("string", "array"), each=OBJECT),
            "is_error": FLAG,
            "toolset_name": TEXT_OR_NULL,
        },
    ),
    Shape(
        "server_tool_use",
        block("server_tool_use"),
        {**CACHED, "id": CALL_ID, "name": REQUIRED_NAME, "input": REQUIRED_THING, "caller": A_THING},
    ),
    Shape(
        "server_result",
        where(CONTENT_BLOCKS, "type", *SERVER_RESULTS),
        {**CACHED, "tool_use_id": CALL_ID, "content": Field(kind("object", "array"), required=True), "caller": A_THING},
    ),
    Shape("container_upload", block("container_upload"), {**CACHED, "file_id": REQUIRED_NAME}),
    Shape("tool_reference", block("tool_reference"), {**CACHED, "tool_name": TOOL_NAME}),
)

SHAPES = (*BODY_SHAPES, *TOOL_SHAPES, *MESSAGE_SHAPES, *BLOCK_SHAPES)
KNOWN_ALWAYS = frozenset(BODY_SHAPES[0].fields)
KNOWN_TO_CREATE = KNOWN_ALWAYS | frozenset(BODY_SHAPES[1].fields)
BETA_FIELDS = {
    "context_management": ("context-management-", "compact-"),
    "mcp_servers": ("mcp-client-",),
    "thread": ("message-threads-",),
    "fallbacks": ("server-side-fallback-",),
    "fallback_credit_token": ("fallback-credit-",),
    "compaction": ("compact-",),
    "safeguards": ("dangerous-tool-use-",),
    "billing_policy": ("user-profiles-billing-",),
}
"""Fields of the body that are unknown until an `anthropic-beta` of the family is announced."""
