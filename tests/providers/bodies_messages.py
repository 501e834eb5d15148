"""Valid Messages bodies that the table of malformed requests edits."""

from typing import Any

NEW = {"anthropic-version": "2026-10-21"}
CLAUDE_CODE = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219, context-management-2025-06-27,thinking-display-updates-2026-08-18",
}
COUNT = "/v1/messages/count_tokens"
EPHEMERAL = {"type": "ephemeral"}
PLAIN: dict[str, Any] = {"model": "text", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
OPTIONS: dict[str, Any] = {
    **PLAIN,
    "max_tokens": 4096,
    "system": [{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "metadata": {"user_id": "u"},
    "stop_sequences": ["END"],
    "stream": False,
    "temperature": 1,
    "top_p": 0.9,
    "top_k": 40,
    "service_tier": "auto",
    "container": "c",
    "diagnostics": {"previous_message_id": None},
    "inference_geo": "eu",
    "user_profile_id": "p",
    "workspace_id": "w",
    "cache_control": EPHEMERAL,
    "speed": "standard",
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted", "block_binding": None},
    "output_config": {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}},
        "task_budget": {"type": "tokens", "total": 9000, "remaining": 9000},
    },
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
WEATHER = {
    "name": "get_weather",
    "description": "now",
    "input_schema": SCHEMA,
    "type": "custom",
    "strict": True,
    "defer_loading": False,
    "eager_input_streaming": True,
    "input_examples": [{"city": "Paris"}],
    "allowed_callers": ["direct"],
    "cache_control": EPHEMERAL,
}
SEARCH = {
    "type": "web_search_20250305",
    "name": "web_search",
    "max_uses": 3,
    "allowed_domains": ["a.example"],
    "user_location": {"type": "approximate", "city": "Paris"},
}
TOOLS: dict[str, Any] = {
    "model": "tools",
    "max_tokens": 64,
    "tools": [WEATHER, SEARCH],
    "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}, "caller": {}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}, "toolset_name": None},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "rain", "is_error": False},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "sun"},
                        {"type": "tool_reference", "tool_name": "get_weather"},
                    ],
                },
                {"type": "text", "text": "So?", "cache_control": EPHEMERAL},
            ],
        },
    ],
}
FREE_CHOICE = {**TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}
NO_CHOICE = {**TOOLS, "tool_choice": {"type": "none"}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
PARTS: dict[str, Any] = {
    "model": "text",
    "max_tokens": 64,
    "messages": [
        {"role": "system", "content": "Be kind", "clear_at": "never", "output_config": {"effort": "low"}},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look", "citations": None},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": PDF, "title": "a", "context": "b", "citations": {"enabled": True}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                {
                    "type": "search_result",
                    "source": "https://example.com",
                    "title": "t",
                    "content": [{"type": "text", "text": "x"}],
                    "citations": {"enabled": False},
                },
                {"type": "container_upload", "file_id": "file_2"},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "Now be brief"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I see"}]},
        {"role": "user", "content": "More"},
    ],
}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
REMEMBERED: dict[str, Any] = {
    **PLAIN,
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [THOUGHT, REDACTED, {"type": "text", "text": "Hi"}]},
        {"role": "user", "content": "More"},
    ],
}
AGENT: dict[str, Any] = {
    "model": "thinking-tools",
    "max_tokens": 32000,
    "stream": True,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: none"},
        {"type": "text", "text": "You are an agent.", "cache_control": EPHEMERAL},
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Read it", "cache_control": EPHEMERAL}]},
        {"role": "system", "content": [{"type": "text", "text": "Mode: plan"}], "output_config": {"effort": "low"}},
    ],
    "tools": [
        {
            "name": "Read",
            "description": "Reads",
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"path": {"type": "string", "maxLength": 99, "pattern": "^/"}},
                "additionalProperties": False,
                "propertyNames": {"type": "string"},
            },
            "eager_input_streaming": True,
        },
        {"name": "Later", "input_schema": {"type": "object"}, "defer_loading": True},
    ],
    "thinking": {"type": "adaptive", "display": "updates"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "metadata": {"user_id": '{"device_id":"0","session_id":"1"}'},
}
