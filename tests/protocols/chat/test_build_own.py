"""A Chat client's request to a Chat upstream: what was said is said again, nothing repaired, nothing lost."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocols.chat.bodies import (
    CAT,
    MARK,
    PDF,
    PNG,
    POINT,
    SCHEMA,
    WAV,
    assistant,
    body,
    call,
    custom_call,
    function,
    image,
    parsed,
    replayed,
    result,
    system,
    text,
    user,
)

DETAILS = [{"type": "reasoning.text", "text": "T", "signature": "s"}]
GOOGLE = {"extra_content": {"google": {"thought_signature": "s"}}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
    {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]}}
OF_A_SERVER = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
    {"type": "mcp", "server_label": "s"}]}}
DECLARED = [function("f"), {"type": "custom", "custom": {"name": "c"}}, {"type": "web_search", "x": 1}]
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A", "x": 1}}

#: Bodies that come back as they are.
SAME: dict[str, dict[str, Any]] = {
    "words": body(system("S"), {"role": "developer", "content": "D"}, user("U", name="ann"), assistant("A")),
    "several texts": body(system([text("a"), text("b")]), user([text("a"), text("b", **MARK)])),
    "one marked text": body(user([text("a", **POINT)])),
    "an image": body(user([text("a"), image(f"data:image/png;base64,{PNG}", detail="low"), image(CAT)])),
    "a file": body(user([{"type": "file", "file": {
        "file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf", "x": 1}}])),
    "a file of unknown type": body(user([{"type": "file", "file": {"file_data": "AAAA"}}])),
    "a file id": body(user([{"type": "file", "file": {"file_id": "file-1"}, **POINT}])),
    "a sound": body(user([{"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}])),
    "a song": body(user([{"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}])),
    "a film": body(user([{"type": "video_url", "video_url": {"url": "https://v.example/a.mp4", "fps": 1}}])),
    "unknown parts": body(user([{"type": "mystery", "deep": {"x": [1]}}])),
    "unknown members": body(user([text("a", x=1), {**image(x={"y": 1}), "z": [0]}], mood={"a": 1}), top=[1]),
    "nothing": body(user(""), assistant("")),
    "a refusal": body(assistant(None, refusal="No.")),
    "text and refusal": body(assistant("A", refusal="No.")),
    "a refusal first": body(assistant([{"type": "refusal", "refusal": "No."}, text("A")])),
    "an odd refusal": body(assistant([{"type": "refusal", "refusal": "No.", "x": 1}])),
    "a sound of the model": body(assistant(None, audio={"id": "audio_1"})),
    "a picture of the model": body(assistant("A", images=[image(f"data:image/png;base64,{PNG}"), {"type": "odd"}])),
    "reasoning": body(assistant("A", reasoning_content="T")),
    "empty reasoning": body(assistant("A", reasoning_content="")),
    "reasoning by itself": body(assistant("", reasoning="T")),
    "details": body(assistant("A", reasoning_details=DETAILS)),
    "all of reasoning": body(assistant("A", reasoning_content="T", reasoning="U", reasoning_details=DETAILS)),
    "calls": body(assistant(None, tool_calls=[call("a"), custom_call("b")]), result("x", "a"), result("y", "b")),
    "words before calls": body(assistant("A", tool_calls=[call(**GOOGLE, **MARK)]), result(name="lookup", **MARK)),
    "odd calls": body(assistant(None, tool_calls=[
        {"id": "a", "type": "builtin_function", "function": {"name": "f", "arguments": ""}, "index": 0},
        {"id": "a", "type": "function", "function": {"name": "a name.", "arguments": "{no json", "x": 1}}])),
    "orphans": body(result("x", "nowhere"), assistant(None, tool_calls=[call("y" * 60)]), user("Hi")),
    "two results": body(assistant(None, tool_calls=[call()]), result("x"), result("y")),
    "results of parts": body(result([text("a"), image()])),
    "the older words": body(
        assistant(None, function_call={"name": "f", "arguments": "", "x": 1}),
        {"role": "function", "name": "f", "content": "x"},
        functions=[{"name": "f", "description": "D", "parameters": SCHEMA, "x": 1}],
        function_call={"name": "f", "x": 1},
    ),
    "an older word": body(functions=[{"name": "f"}], function_call="none"),
    "tools": body(tools=[
        function("f", description="D", parameters=SCHEMA, strict=False), {**function("g"), **MARK, "x": {"y": 1}},
        {"type": "custom", "custom": {"name": "c", "description": "D", "format": GRAMMAR}},
        {"type": "custom", "custom": {"name": "d", "format": {"type": "text"}}}, {"type": "web_search", "x": 1}]),
    "a schema that others would change": body(tools=[function(parameters={"anyOf": [SCHEMA]}, strict=True)]),
    "two tools of a name": body(tools=[function("f"), function("f", parameters={})]),
    "web search": body(web_search_options={}),
    "a function": body(tools=DECLARED, tool_choice={"type": "function", "function": {"name": "f", "x": 1}}),
    "a custom tool": body(tools=DECLARED, tool_choice={"type": "custom", "custom": {"name": "c"}}),
    "a hosted tool": body(tools=DECLARED, tool_choice={"type": "web_search", "x": 1}),
    "allowed tools": body(tools=DECLARED, tool_choice=ALLOWED, parallel_tool_calls=False),
    "a server's tools": body(tools=DECLARED, tool_choice=OF_A_SERVER),
    "a choice without tools": body(tool_choice="required", parallel_tool_calls=True),
    "falsy": body(
        temperature=0, top_p=0.0, seed=0, frequency_penalty=0.0, presence_penalty=0, logit_bias={}, n=0,
        max_tokens=0, logprobs=False, top_logprobs=0, top_k=0, stop=[], modalities=[], store=False, user="",
        metadata={}, service_tier="", prompt_cache_key="", verbosity="", reasoning_effort="", audio={},
        parallel_tool_calls=False,
    ),
    "settings": body(
        temperature=1.5, top_p=0.5, top_k=4, seed=2**70, stop=["a", "", "b", "c", "d"], max_completion_tokens=9,
        logit_bias={"1": 5}, n=3, logprobs=True, top_logprobs=2, verbosity="low", modalities=["text", "audio"],
        audio={"voice": "v"}, store=True, safety_identifier="p", metadata={"a": "b"}, service_tier="auto",
        prompt_cache_key="k", reasoning_effort="none",
    ),
    "both limits and both ids": body(max_completion_tokens=5, max_tokens=6, user="u", safety_identifier="p"),
    "json": body(response_format={"type": "json_object", "schema": SCHEMA}),
    "a schema": body(response_format={"type": "json_schema", "json_schema": {
        "name": "n.n", "description": "d", "schema": {"type": "array"}, "strict": True, "x": 1}}),
    "a nameless schema": body(response_format={"type": "json_schema", "json_schema": {}}),
    "a vendor's format": body(response_format={"type": "grammar", "grammar": "g"}),
    "a stream": body(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
    "options of no stream": body(stream_options={"include_usage": True}),
    "extensions": body(thinking={"type": "enabled"}, prompt_cache_options={"mode": "explicit"}, **MARK),
}


@pytest.mark.pitfall("C24", "C45", "C67", "C89", "C98", "C105", "C134", "C148", "C193", "C267")
@pytest.mark.parametrize("name", SAME)
def test_a_request_comes_back_as_it_was(name: str) -> None:
    wire = SAME[name]
    before = copy.deepcopy(wire)
    assert replayed(wire) == (before, [])
    assert wire == before


SHORTER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (body(user([text("a")])), body(user("a"))),
    (body(user([text(""), text("a")])), body(user("a"))),
    (body(user(None)), body(user(""))),
    (body(assistant("", tool_calls=[call()])), body(assistant(None, tool_calls=[call()]))),
    (body(user("a", **MARK)), body(user([text("a", **MARK)]))),
    (body(user(None, **MARK)), body(user("", **MARK))),
    (body(user([{"type": "image_url", "image_url": CAT}])), body(user([image()]))),
    (body(assistant(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}])),
     body(assistant(tool_calls=[call("a", "f", '{"x":1}')]))),
    (body(assistant(function_call={"name": "f", "arguments": "{}"}, **MARK)),
     body(assistant(function_call={"name": "f", "arguments": "{}"}, **MARK))),
    (body({"role": "tool", "content": "x"}), body({"role": "tool", "content": "x"})),
    (body(stop="x"), body(stop=["x"])),
    (body(modalities="text"), body(modalities=["text"])),
    (body(tools=[], functions=[], nothing=None, response_format={"type": "text"}, stream_options=None), body()),
    (body(tool_choice={"type": "function", "name": "f"}),
     body(tool_choice={"type": "function", "function": {"name": "f"}})),
    (body(stream=True), body(stream=True, stream_options={"include_usage": True})),
    (body(stream=True, stream_options={"include_usage": False}),
     body(stream=True, stream_options={"include_usage": True})),
]


@pytest.mark.parametrize(("wire", "told"), SHORTER)
def test_two_ways_to_say_the_same(wire: dict[str, Any], told: dict[str, Any]) -> None:
    assert replayed(wire) == (told, [])


def test_building_changes_nothing_of_the_clients() -> None:
    """Not even where members that nobody knows are put into objects of ours."""
    wire = body(
        user([{"type": "mystery", "deep": {"x": [1]}}, text("a", more={"y": [2]})], mood={"z": [3]}),
        assistant(None, audio={"id": "a", "more": [4]}),
        tools=[function(parameters=SCHEMA), {"type": "web_search", "x": [5]}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        metadata={"a": "b"},
        logit_bias={"1": 2},
        thinking={"deep": [6]},
        web_search_options={"deep": [7]},
    )
    before = copy.deepcopy(wire)
    assert replayed(wire)[0] == before
    assert wire == before
    assert replayed(wire)[0] == before


TEXTS = st.sampled_from(["", "a", "b c", "\n"])
MARKS = st.sampled_from([{}, MARK, POINT, {"odd": 1}])
PARTS = st.one_of(
    st.builds(lambda words, mark: text(words, **mark), TEXTS, MARKS),
    st.builds(lambda mark: {**image(), **mark}, MARKS),
    st.sampled_from([image("data:,x%20y"), image("data:;base64,AAAA")]),
    st.sampled_from([{"type": "odd", "text": "t"}, {"type": "refusal", "refusal": "r"}]),
)
CONTENT = st.one_of(st.none(), TEXTS, st.lists(PARTS, max_size=3))
CALLS = st.one_of(
    st.builds(call, st.sampled_from(["a", "b"]), st.just("f"), st.sampled_from(["", "{}", "{"])),
    st.builds(custom_call, st.sampled_from(["a", "b"])),
    st.sampled_from([{"function": {"name": "f"}}, call("c", index=1), call("d", **GOOGLE)]),
)
ASSISTANTS = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": CONTENT,
        "tool_calls": st.lists(CALLS, max_size=3),
        "function_call": st.just({"name": "f", "arguments": ""}),
        "refusal": TEXTS,
        "reasoning_content": TEXTS,
        "reasoning": TEXTS,
        "reasoning_details": st.sampled_from([[], DETAILS]),
        "audio": st.just({"id": "x"}),
        "images": st.just([image()]),
        "name": st.just("bot"),
        "cache_control": st.just(MARK["cache_control"]),
        "other": st.just([1]),
    },
)
MESSAGES = st.one_of(
    st.builds(system, CONTENT),
    st.builds(lambda content, mark: user(content, **mark), CONTENT, MARKS),
    st.builds(lambda content, id, mark: result(content, id, **mark), CONTENT, st.sampled_from(["a", "b"]), MARKS),
    st.builds(lambda content: {"role": "function", "name": "f", "content": content}, TEXTS),
    ASSISTANTS,
)


@settings(max_examples=200)
@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_whatever_is_said_means_the_same_again(said: list[Any]) -> None:
    request = parsed(body(*said))
    told, codes = replayed(body(*said))
    assert parsed(told) == request
    assert codes == []
    assert replayed(told)[0] == told
