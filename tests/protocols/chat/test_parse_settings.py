"""A Chat client's settings -> neutral, and the shapes that are refused with the place where they stand."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.parts import CacheMark
from rotator.neutral.request import (
    CacheWish,
    Continuation,
    Format,
    Meta,
    Output,
    ReasoningWish,
    Sampling,
)
from tests.protocols.chat.bodies import (
    SCHEMA,
    SafetyIdentifier,
    assistant,
    body,
    call,
    function,
    image,
    parsed,
    result,
    system,
    text,
    user,
)

JSON_SCHEMA = {"name": "n", "description": "d", "schema": SCHEMA, "strict": True}

SETTINGS: list[tuple[dict[str, Any], str, Any]] = [
    ({"max_tokens": 5}, "output", Output(5, "max_tokens")),
    ({"max_completion_tokens": 0}, "output", Output(0, "max_completion_tokens")),
    ({"max_tokens": 5.0}, "output", Output(5, "max_tokens")),
    ({"response_format": {"type": "text"}}, "output", Output()),
    ({"response_format": {"type": "json_object", "schema": SCHEMA}}, "output",
     Output(format=Format("json_object", rest={"schema": SCHEMA}))),
    ({"response_format": {"type": "json_schema", "json_schema": {**JSON_SCHEMA, "x": 1}}}, "output",
     Output(format=Format("json_schema", SCHEMA, "n", "d", True, rest={"json_schema": {"x": 1}}))),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": False}}}, "output",
     Output(format=Format("json_schema", None, "n", "", False))),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "output", Output(format=Format("json_schema"))),
    ({"verbosity": "low"}, "output", Output(verbosity="low")),
    ({"modalities": ["text", "audio"], "audio": {"voice": "v"}}, "output",
     Output(modalities=("text", "audio"), audio={"voice": "v"})),
    ({"modalities": "text"}, "output", Output(modalities=("text",))),
    ({"modalities": []}, "output", Output(modalities=())),
    ({"n": 2}, "output", Output(n=2)),
    ({"stop": "x"}, "output", Output(stops=("x",))),
    ({"stop": ""}, "output", Output(stops=("",))),
    ({"stop": ["x", "y"]}, "output", Output(stops=("x", "y"))),
    ({"stop": []}, "output", Output(stops=())),
    ({"stop": None}, "output", Output()),
    ({"logprobs": False, "top_logprobs": 0}, "output", Output(logprobs=False, top_logprobs=0)),
    ({"temperature": 0, "top_p": 0.0, "seed": 0}, "sampling", Sampling(0, 0.0, seed=0)),
    ({"frequency_penalty": 0, "presence_penalty": -0.5}, "sampling",
     Sampling(frequency_penalty=0, presence_penalty=-0.5)),
    ({"logit_bias": {"50256": -100}}, "sampling", Sampling(logit_bias={"50256": -100})),
    ({"logit_bias": {}}, "sampling", Sampling(logit_bias={})),
    ({"top_k": 40}, "sampling", Sampling(top_k=40)),
    ({"seed": 2**70}, "sampling", Sampling(seed=2**70)),
    ({"reasoning_effort": "low"}, "reasoning", ReasoningWish(effort="low")),
    ({"reasoning_effort": "none"}, "reasoning", ReasoningWish(False, "none")),
    ({"prompt_cache_key": ""}, "cache", CacheWish("")),
    ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "cache", CacheWish(auto=CacheMark("1h"))),
    ({"store": False}, "continues", Continuation(store=False)),
    ({"user": "", "service_tier": "flex"}, "meta", Meta("", tier="flex")),
    ({"safety_identifier": "p"}, "meta", Meta("p")),
    ({"metadata": {"a": "b"}}, "meta", Meta(metadata={"a": "b"})),
    ({"metadata": {}}, "meta", Meta(metadata={})),
    ({"stream_options": None}, "usage_in_stream", False),
    ({"stream_options": {}}, "usage_in_stream", False),
    ({"stream_options": {"include_usage": None}}, "usage_in_stream", False),
    ({"stream_options": {"include_usage": True}}, "usage_in_stream", True),
]


@pytest.mark.pitfall("C101", "C147")
@pytest.mark.parametrize(("more", "field", "value"), SETTINGS)
def test_a_setting(more: dict[str, Any], field: str, value: Any) -> None:
    request = parsed(body(**more))
    assert getattr(request, field) == value
    assert request.rest == {}


RESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"thinking": {"type": "auto"}, "reasoning": "low", "enable_thinking": "no", "thinking_budget": "all"}, {}),
    ({"chat_template_kwargs": {"tools": False}, "extra_body": {"google": {}}}, {}),
    ({"prediction": {"type": "content", "content": "x"}, "moderation": {"model": "m"}}, {}),
    ({"prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "24h"}, {}),
    ({"top_k": 0}, {}),
    ({"top_k": -1}, {}),
    ({"response_format": {"type": "grammar", "grammar": "g"}}, {}),
    ({"nothing": None}, {"nothing": ...}),
    ({"max_completion_tokens": 5, "max_tokens": 6}, {"max_completion_tokens": ...}),
    ({"user": "u", "safety_identifier": "p"}, {"user": ...}),
    ({"stream_options": {"include_usage": True, "include_obfuscation": False}},
     {"stream_options": {"include_obfuscation": False}}),
]


@pytest.mark.parametrize(("more", "differs"), RESTS)
def test_what_only_this_protocol_knows_is_kept(more: dict[str, Any], differs: dict[str, Any]) -> None:
    rest = {name: differs.get(name, value) for name, value in more.items()}
    assert parsed(body(**more)).rest == {name: value for name, value in rest.items() if value is not ...}


def test_two_limits_and_two_ids_of_a_person() -> None:
    request = parsed(body(max_completion_tokens=5, max_tokens=6, user="u", safety_identifier="p"))
    assert request.output == Output(5, "max_completion_tokens")
    assert request.meta == Meta("u")
    assert type(parsed(body(safety_identifier="p")).meta.user) is SafetyIdentifier


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": None}, "messages", "is required"),
    ({"messages": []}, "messages", "must not be empty"),
    ({"messages": "Hi"}, "messages", "must be a list"),
    ({"messages": ["Hi"]}, "messages[0]", "must be an object"),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role", "is required"),
    ({"messages": [{"role": "bot", "content": "Hi"}]}, "messages[0].role",
     "must be system, developer, user, assistant, tool or function"),
    ({"messages": [user(5)]}, "messages[0].content", "must be a string or a list"),
    ({"messages": [user({"type": "text"})]}, "messages[0].content", "must be a string or a list"),
    ({"messages": [user("Hi", name=5)]}, "messages[0].name", "must be a string"),
    ({"messages": [user(["Hi"])]}, "messages[0].content[0]", "must be an object"),
    ({"messages": [user([{"text": "Hi"}])]}, "messages[0].content[0].type", "is required"),
    ({"messages": [user([{"type": "text"}])]}, "messages[0].content[0].text", "is required"),
    ({"messages": [user([{"type": "image_url"}])]}, "messages[0].content[0].image_url", "is required"),
    ({"messages": [user([{"type": "image_url", "image_url": 5}])]}, "messages[0].content[0].image_url",
     "must be an object"),
    ({"messages": [user([image("")])]}, "messages[0].content[0].image_url.url", "must not be empty"),
    ({"messages": [user([image("data:image/png;base64")])]}, "messages[0].content[0].image_url.url",
     "is no data URL: it has no comma"),
    ({"messages": [user([{"type": "input_audio"}])]}, "messages[0].content[0].input_audio", "is required"),
    ({"messages": [user([{"type": "file", "file": {"filename": "a"}}])]}, "messages[0].content[0].file",
     "must hold file_data or file_id"),
    ({"messages": [assistant(reasoning_content=5)]}, "messages[0].reasoning_content", "must be a string"),
    ({"messages": [assistant(audio="a")]}, "messages[0].audio", "must be an object"),
    ({"messages": [assistant(tool_calls={})]}, "messages[0].tool_calls", "must be a list"),
    ({"messages": [assistant(tool_calls=["x"])]}, "messages[0].tool_calls[0]", "must be an object"),
    ({"messages": [assistant(tool_calls=[{"id": "a"}])]}, "messages[0].tool_calls[0]", "must hold function or custom"),
    ({"messages": [assistant(tool_calls=[call(id=5)])]}, "messages[0].tool_calls[0].id", "must be a string"),
    ({"messages": [assistant(tool_calls=[call(name="")])]}, "messages[0].tool_calls[0].function.name",
     "must not be empty"),
    ({"messages": [assistant(tool_calls=[call(arguments=[])])]}, "messages[0].tool_calls[0].function.arguments",
     "must be a string"),
    ({"messages": [assistant(function_call={"arguments": "{}"})]}, "messages[0].function_call.name", "is required"),
    ({"messages": [user("Hi"), result([text(5)])]}, "messages[1].content[0].text", "must be a string"),
    ({"messages": [result(id=5)]}, "messages[0].tool_call_id", "must be a string"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name", "is required"),
    ({"tools": {}}, "tools", "must be a list"),
    ({"tools": [5]}, "tools[0]", "must be an object"),
    ({"tools": [{"type": "function", "name": "f"}]}, "tools[0].function", "is required"),
    ({"tools": [function("")]}, "tools[0].function.name", "must not be empty"),
    ({"tools": [function(parameters=[])]}, "tools[0].function.parameters", "must be an object"),
    ({"tools": [function(strict="yes")]}, "tools[0].function.strict", "must be true or false"),
    ({"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "odd"}}}]},
     "tools[0].custom.format.type", "must be text or grammar"),
    ({"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar"}}}]},
     "tools[0].custom.format.grammar", "is required"),
    ({"functions": [{}]}, "functions[0].name", "is required"),
    ({"web_search_options": True}, "web_search_options", "must be an object"),
    ({"tool_choice": "any"}, "tool_choice", "must be none, auto, required or an object"),
    ({"tool_choice": ["f"]}, "tool_choice", "must be an object"),
    ({"tool_choice": 5}, "tool_choice", "must be an object"),
    ({"tool_choice": {}}, "tool_choice.function", "is required"),
    ({"tool_choice": {"type": "custom"}}, "tool_choice.custom", "is required"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "any", "tools": []}}},
     "tool_choice.allowed_tools.mode", "must be auto or required"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}},
     "tool_choice.allowed_tools.tools", "is required"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": ["f"]}}},
     "tool_choice.allowed_tools.tools[0]", "must be an object"),
    ({"function_call": "required"}, "function_call", "must be none, auto or an object"),
    ({"function_call": []}, "function_call", "must be an object"),
    ({"parallel_tool_calls": "false"}, "parallel_tool_calls", "must be true or false"),
    ({"reasoning_effort": 5}, "reasoning_effort", "must be a string"),
    ({"max_tokens": "5"}, "max_tokens", "must be an integer"),
    ({"max_tokens": True}, "max_tokens", "must be an integer"),
    ({"response_format": "json"}, "response_format", "must be an object"),
    ({"response_format": {}}, "response_format.type", "is required"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is required"),
    ({"modalities": [5]}, "modalities[0]", "must be a string"),
    ({"stop": 5}, "stop", "must be a string or a list"),
    ({"stop": [5]}, "stop[0]", "must be a string"),
    ({"temperature": "hot"}, "temperature", "must be a number"),
    ({"top_k": 1.5}, "top_k", "must be an integer"),
    ({"logit_bias": {"1": "x"}}, "logit_bias.1", "must be a number"),
    ({"logit_bias": {"1": True}}, "logit_bias.1", "must be a number"),
    ({"metadata": {"a": 5}}, "metadata.a", "must be a string"),
    ({"stream_options": []}, "stream_options", "must be an object"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "must be true or false"),
    ({"store": "no"}, "store", "must be true or false"),
]


@pytest.mark.pitfall("C59")
@pytest.mark.parametrize(("more", "param", "reason"), REFUSED)
def test_a_wrong_shape_is_refused_with_its_place(more: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parsed({**body(system("S")), **more})
    error = refused.value.error
    assert (error.status, error.param, error.message) == (400, param, f"{param}: {reason}")
