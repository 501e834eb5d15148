"""The fields of a Chat Completions request, object by object (protocols.md 2.1-2.7; limits 6.2-6.4)."""

from __future__ import annotations

from .shapes import Field, Shape, child, either, enum, items, kind, root, where

TEXT = Field(kind("string"))
TEXT_OR_NULL = Field(kind("string", "null"))
REQUIRED_TEXT = Field(kind("string"), required=True)
FLAG = Field(kind("boolean"))
FLAG_OR_NULL = Field(kind("boolean", "null"))
OBJECT = kind("object")
A_THING = Field(OBJECT)
REQUIRED_THING = Field(OBJECT, required=True)
THING_OR_NULL = Field(kind("object", "null"))
ELSEWHERE = Field()
NAME = kind("string", low=1, high=64, pattern=r"^[A-Za-z0-9_-]+$")
PERSON = Field(kind("string", low=1, high=64, pattern=r"^[^\s<|\\/>]+$"))
CALL_ID = Field(kind("string", low=1, high=40), required=True)
PENALTY = Field(kind("number", "null", low=-2, high=2))
COUNT = Field(kind("integer", "null", low=1))
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ROLES = ("developer", "system", "user", "assistant", "tool", "function")

MESSAGES = items(root, "messages")
ASSISTANTS = where(MESSAGES, "role", "assistant")
INSTRUCTIONS = where(MESSAGES, "role", "system", "developer")
USERS = where(MESSAGES, "role", "user")
TOOL_RESULTS = where(MESSAGES, "role", "tool")
PREDICTED = items(child(root, "prediction"), "content")
PARTS = either(items(MESSAGES, "content"), PREDICTED)
TOOLS = items(root, "tools")
FUNCTIONS = child(where(TOOLS, "type", "function"), "function")
LEGACY_FUNCTIONS = items(root, "functions")
CUSTOM_TOOLS = child(where(TOOLS, "type", "custom"), "custom")
TOOL_CHOICE = child(root, "tool_choice")
ALLOWED = items(child(TOOL_CHOICE, "allowed_tools"), "tools")
CHOSEN = tuple(child(place, name) for place in (TOOL_CHOICE, ALLOWED) for name in ("function", "custom"))
TOOL_CALLS = items(ASSISTANTS, "tool_calls")
RESPONSE_FORMAT = child(root, "response_format")
JSON_SCHEMA = child(RESPONSE_FORMAT, "json_schema")
WEB_SEARCH = child(root, "web_search_options")
MODERATION = child(root, "moderation")

BODY = Shape(
    "body",
    root,
    {
        "model": Field(kind("string", low=1), required=True),
        "messages": Field(kind("array", low=1), required=True, each=OBJECT),
        "audio": THING_OR_NULL,
        "frequency_penalty": PENALTY,
        "function_call": Field(kind("string", "object")),
        "functions": Field(kind("array", low=1, high=128), each=OBJECT),
        "logit_bias": Field(kind("object", "null"), each=kind("number", low=-100, high=100)),
        "logprobs": FLAG_OR_NULL,
        "max_completion_tokens": COUNT,
        "max_tokens": COUNT,
        "metadata": Field(kind("object", "null", high=16), each=kind("string", high=512)),
        "modalities": Field(kind("array", "null", low=1), each=enum("text", "audio")),
        "moderation": THING_OR_NULL,
        "n": Field(kind("integer", "null", low=1, high=128)),
        "parallel_tool_calls": FLAG,
        "prediction": THING_OR_NULL,
        "presence_penalty": PENALTY,
        "prompt_cache_key": TEXT_OR_NULL,
        "prompt_cache_options": A_THING,
        "prompt_cache_retention": Field(enum("in_memory", "24h", null=True)),
        "reasoning_effort": Field(enum(*EFFORTS, null=True)),
        "response_format": A_THING,
        "safety_identifier": Field(kind("string", "null", high=128)),
        "seed": Field(kind("integer", "null")),
        "service_tier": Field(enum("auto", "default", "flex", "scale", "priority", "fast", null=True)),
        "stop": Field(kind("string", "array", "null", low=1), each=kind("string", low=1)),
        "store": FLAG_OR_NULL,
        "stream": FLAG_OR_NULL,
        "stream_options": THING_OR_NULL,
        "temperature": Field(kind("number", "null", low=0, high=2)),
        "tool_choice": Field(kind("string", "object")),
        "tools": Field(kind("array", low=1, high=128), each=OBJECT),
        "top_logprobs": Field(kind("integer", "null", low=0, high=20)),
        "top_p": Field(kind("number", "null", low=0, high=1)),
        "user": TEXT,
        "verbosity": Field(enum("low", "medium", "high", null=True)),
        "web_search_options": A_THING,
    },
)

OPTIONS = (
    Shape(
        "audio",
        child(root, "audio"),
        {
            "voice": Field(kind("string", "object"), required=True),
            "format": Field(enum("wav", "aac", "mp3", "flac", "opus", "pcm16"), required=True),
        },
    ),
    Shape("stream_options", child(root, "stream_options"), {"include_usage": FLAG, "include_obfuscation": FLAG}),
    Shape(
        "prediction",
        child(root, "prediction"),
        {
            "type": Field(enum("content"), required=True),
            "content": Field(kind("string", "array"), required=True, each=OBJECT),
        },
    ),
    Shape("moderation", MODERATION, {"model": REQUIRED_TEXT, "policy": THING_OR_NULL}),
    Shape("moderation_policy", child(MODERATION, "policy"), {"input": THING_OR_NULL, "output": THING_OR_NULL}),
    Shape(
        "moderation_side",
        either(*(child(child(MODERATION, "policy"), side) for side in ("input", "output"))),
        {"mode": Field(enum("score", "block"), required=True)},
    ),
    Shape(
        "prompt_cache_options",
        child(root, "prompt_cache_options"),
        {"mode": Field(enum("implicit", "explicit")), "ttl": Field(enum("30m"))},
    ),
    Shape(
        "web_search_options",
        WEB_SEARCH,
        {"search_context_size": Field(enum("low", "medium", "high")), "user_location": THING_OR_NULL},
    ),
    Shape(
        "user_location",
        child(WEB_SEARCH, "user_location"),
        {"type": Field(enum("approximate"), required=True), "approximate": REQUIRED_THING},
    ),
    Shape(
        "approximate",
        child(child(WEB_SEARCH, "user_location"), "approximate"),
        {"country": TEXT, "region": TEXT, "city": TEXT, "timezone": TEXT},
    ),
    Shape(
        "response_format",
        RESPONSE_FORMAT,
        {"type": Field(enum("text", "json_object", "json_schema"), required=True), "json_schema": A_THING},
    ),
    Shape(
        "json_schema_format", where(RESPONSE_FORMAT, "type", "json_schema"), {"json_schema": REQUIRED_THING}, open=True
    ),
    Shape(
        "json_schema",
        JSON_SCHEMA,
        {"name": Field(NAME, required=True), "description": TEXT, "schema": A_THING, "strict": FLAG_OR_NULL},
    ),
)

TOOL_SHAPES = (
    Shape(
        "tool",
        TOOLS,
        {"type": Field(enum("function", "custom"), required=True), "function": ELSEWHERE, "custom": ELSEWHERE},
    ),
    Shape("function_tool", where(TOOLS, "type", "function"), {"function": REQUIRED_THING}, open=True),
    Shape(
        "function",
        FUNCTIONS,
        {"name": Field(NAME, required=True), "description": TEXT, "parameters": A_THING, "strict": FLAG_OR_NULL},
    ),
    Shape("custom_tool", where(TOOLS, "type", "custom"), {"custom": REQUIRED_THING}, open=True),
    Shape("custom", CUSTOM_TOOLS, {"name": Field(NAME, required=True), "description": TEXT, "format": A_THING}),
    Shape(
        "custom_format",
        child(CUSTOM_TOOLS, "format"),
        {"type": Field(enum("text", "grammar"), required=True), "grammar": A_THING},
    ),
    Shape(
        "grammar",
        child(child(CUSTOM_TOOLS, "format"), "grammar"),
        {"definition": REQUIRED_TEXT, "syntax": Field(enum("lark", "regex"), required=True)},
    ),
    Shape(
        "legacy_function",
        LEGACY_FUNCTIONS,
        {"name": Field(NAME, required=True), "description": TEXT, "parameters": A_THING},
    ),
    Shape("function_call", child(root, "function_call"), {"name": REQUIRED_TEXT}),
    Shape(
        "tool_choice",
        TOOL_CHOICE,
        {
            "type": Field(enum("function", "custom", "allowed_tools"), required=True),
            "function": ELSEWHERE,
            "custom": ELSEWHERE,
            "allowed_tools": ELSEWHERE,
        },
    ),
    Shape("function_choice", where(TOOL_CHOICE, "type", "function"), {"function": REQUIRED_THING}, open=True),
    Shape("custom_choice", where(TOOL_CHOICE, "type", "custom"), {"custom": REQUIRED_THING}, open=True),
    Shape("allowed_choice", where(TOOL_CHOICE, "type", "allowed_tools"), {"allowed_tools": REQUIRED_THING}, open=True),
    Shape("named_tool", either(*CHOSEN), {"name": REQUIRED_TEXT}),
    Shape(
        "allowed_tool",
        ALLOWED,
        {"type": Field(enum("function", "custom"), required=True), "function": ELSEWHERE, "custom": ELSEWHERE},
    ),
    Shape("allowed_function", where(ALLOWED, "type", "function"), {"function": REQUIRED_THING}, open=True),
    Shape("allowed_custom", where(ALLOWED, "type", "custom"), {"custom": REQUIRED_THING}, open=True),
    Shape(
        "allowed_tools",
        child(TOOL_CHOICE, "allowed_tools"),
        {
            "mode": Field(enum("auto", "required"), required=True),
            "tools": Field(kind("array", low=1), required=True, each=OBJECT),
        },
    ),
)

CONTENT = Field(kind("string", "array"), required=True, each=OBJECT)
MESSAGE_SHAPES = (
    Shape("message", MESSAGES, {"role": Field(enum(*ROLES), required=True)}, open=True),
    Shape("instructions", INSTRUCTIONS, {"role": ELSEWHERE, "content": CONTENT, "name": PERSON}),
    Shape("user", USERS, {"role": ELSEWHERE, "content": CONTENT, "name": PERSON}),
    Shape(
        "assistant",
        ASSISTANTS,
        {
            "role": ELSEWHERE,
            "content": Field(kind("string", "array", "null"), each=OBJECT),
            "name": PERSON,
            "refusal": TEXT_OR_NULL,
            "audio": THING_OR_NULL,
            "annotations": Field(kind("array", "null")),
            "reasoning_content": TEXT_OR_NULL,
            "tool_calls": Field(kind("array", low=1, high=128), each=OBJECT),
            "function_call": THING_OR_NULL,
        },
    ),
    Shape(
        "tool_result",
        TOOL_RESULTS,
        {"role": ELSEWHERE, "content": CONTENT, "tool_call_id": REQUIRED_TEXT, "name": TEXT},
    ),
    Shape(
        "function_result",
        where(MESSAGES, "role", "function"),
        {"role": ELSEWHERE, "content": Field(kind("string", "null"), required=True), "name": REQUIRED_TEXT},
    ),
    Shape("assistant_audio", child(ASSISTANTS, "audio"), {"id": REQUIRED_TEXT}, open=True),
    Shape(
        "legacy_call",
        child(ASSISTANTS, "function_call"),
        {"name": REQUIRED_TEXT, "arguments": REQUIRED_TEXT},
    ),
    Shape(
        "tool_call",
        TOOL_CALLS,
        {
            "id": CALL_ID,
            "type": Field(enum("function", "custom"), required=True),
            "function": ELSEWHERE,
            "custom": ELSEWHERE,
        },
    ),
    Shape("call_to_function", where(TOOL_CALLS, "type", "function"), {"function": REQUIRED_THING}, open=True),
    Shape("call_to_custom", where(TOOL_CALLS, "type", "custom"), {"custom": REQUIRED_THING}, open=True),
    Shape(
        "called_function",
        child(TOOL_CALLS, "function"),
        {"name": Field(NAME, required=True), "arguments": REQUIRED_TEXT},
    ),
    Shape("called_custom", child(TOOL_CALLS, "custom"), {"name": Field(NAME, required=True), "input": REQUIRED_TEXT}),
)

PART_TYPES = {"user": ("text", "image_url", "input_audio", "file"), "assistant": ("text", "refusal")}
BREAKPOINT = {"type": ELSEWHERE, "prompt_cache_breakpoint": A_THING}
PART_SHAPES = (
    Shape(
        "text_only_part",
        either(items(either(INSTRUCTIONS, TOOL_RESULTS), "content"), PREDICTED),
        {"type": Field(enum("text"), required=True)},
        open=True,
    ),
    Shape(
        "user_part", items(USERS, "content"), {"type": Field(enum(*PART_TYPES["user"]), required=True)}, open=True
    ),
    Shape(
        "assistant_part",
        items(ASSISTANTS, "content"),
        {"type": Field(enum(*PART_TYPES["assistant"]), required=True)},
        open=True,
    ),
    Shape("text_part", where(PARTS, "type", "text"), {**BREAKPOINT, "text": REQUIRED_TEXT}),
    Shape("refusal_part", where(PARTS, "type", "refusal"), {"type": ELSEWHERE, "refusal": REQUIRED_TEXT}),
    Shape("image_part", where(PARTS, "type", "image_url"), {**BREAKPOINT, "image_url": REQUIRED_THING}),
    Shape(
        "image_url",
        child(where(PARTS, "type", "image_url"), "image_url"),
        {"url": REQUIRED_TEXT, "detail": Field(enum("auto", "low", "high", "original"))},
    ),
    Shape("audio_part", where(PARTS, "type", "input_audio"), {**BREAKPOINT, "input_audio": REQUIRED_THING}),
    Shape(
        "input_audio",
        child(where(PARTS, "type", "input_audio"), "input_audio"),
        {"data": REQUIRED_TEXT, "format": Field(enum("wav", "mp3"), required=True)},
    ),
    Shape("file_part", where(PARTS, "type", "file"), {**BREAKPOINT, "file": REQUIRED_THING}),
    Shape(
        "file",
        child(where(PARTS, "type", "file"), "file"),
        {"file_data": TEXT, "file_id": TEXT, "filename": TEXT},
    ),
    Shape(
        "breakpoint",
        child(PARTS, "prompt_cache_breakpoint"),
        {"mode": Field(enum("explicit"), required=True), "ttl": Field(enum("30m", "12h"))},
    ),
)

SHAPES = (BODY, *OPTIONS, *TOOL_SHAPES, *MESSAGE_SHAPES, *PART_SHAPES)
