"""A whole request for a Chat upstream: what the parts make together, streams."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rotator.neutral.codec import ToolName
from rotator.neutral.parts import CacheMark, Media, Source, Text
from rotator.neutral.request import Format, Meta, Output, Request, Sampling, Tool, ToolPolicy
from rotator.wire.jsontext import dumps
from tests.protocols.chat.bodies import (
    PDF,
    PNG,
    SCHEMA,
    STRICT,
    asked,
    assistant,
    body,
    built,
    call,
    called,
    function,
    gave,
    image,
    parsed,
    result,
    said,
    system,
    text,
    user,
    written,
)

AGENT = Request(
    "messages",
    "gpt",
    (
        said("system", "Be brief.", Text("Today is Monday.", cache=CacheMark())),
        said("user", "What is it?", Media("image", Source("base64", PNG), "image/png")),
        said("assistant", "I look it up.", called("toolu_" + "x" * 40), called("toolu_2", "")),
        said("tool", gave("toolu_2", "two"), gave("toolu_" + "x" * 40, "one")),
        said("user", "Go on"),
    ),
    (Tool("lookup", description="Looks up.", schema=STRICT, strict=True), Tool("mcp.server/list")),
    ToolPolicy("auto", parallel=False),
    output=Output(64, stops=("END",), format=Format("json_schema", STRICT, strict=True)),
    sampling=Sampling(0),
    meta=Meta("user-1"),
    stream=True,
)


def test_a_whole_request() -> None:
    made, codes = built(AGENT)
    ids = [one["id"] for one in made.body["messages"][2]["tool_calls"]]
    name = made.body["tools"][1]["function"]["name"]
    assert made.body == {
        "model": "gpt",
        "messages": [
            system([text("Be brief."), text("Today is Monday.")]),
            user([text("What is it?"), image(f"data:image/png;base64,{PNG}")]),
            assistant("I look it up.", tool_calls=[call(ids[0]), call("toolu_2", arguments="{}")]),
            result("one", ids[0]),
            result("two", "toolu_2"),
            user("Go on"),
        ],
        "tools": [
            function(description="Looks up.", parameters=STRICT, strict=True),
            function(name, parameters={"type": "object", "properties": {}}),
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "temperature": 0,
        "max_tokens": 64,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": STRICT, "strict": True},
        },
        "stop": ["END"],
        "user": "user-1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert made.names == {name: ToolName("mcp.server/list")}
    assert made.headers == {}
    assert codes == []
    assert ids[0].startswith("call_") and len(ids[0]) == 31


@pytest.mark.pitfall("C179")
def test_usage_is_asked_for_in_streams_alone() -> None:
    for usage in (False, True):
        streamed, _ = written(asked(stream=True, usage_in_stream=usage))
        assert (streamed["stream"], streamed["stream_options"]) == (True, {"include_usage": True})
        whole, _ = written(asked(usage_in_stream=usage))
        assert whole.keys() == {"model", "messages"}


@pytest.mark.pitfall("C166")
def test_the_attempts_model_is_asked() -> None:
    assert written(replace(parsed(body()), model="other"))[0]["model"] == "other"
    assert written(replace(asked(), model="other"))[0]["model"] == "other"


def test_the_same_request_makes_the_same_bytes() -> None:
    assert dumps(written(AGENT)[0]) == dumps(written(AGENT)[0])


def test_building_changes_nothing_of_the_request() -> None:
    schema = copy.deepcopy(SCHEMA)
    request = asked(
        tools=(Tool("f", schema={"type": "object", "properties": {"q": {"enum": ["a"]}}}),),
        output=Output(format=Format("json_schema", schema)),
        sampling=Sampling(logit_bias={"1": 2}),
    )
    before = dumps(written(request)[0])
    assert dumps(written(request)[0]) == before
    assert schema == SCHEMA


def containers(value: Any) -> Iterator[Any]:
    """Every object and list, the deepest first."""
    for below in list(value.values() if isinstance(value, dict) else value):
        if isinstance(below, dict | list):
            yield from containers(below)
    yield value


@pytest.mark.pitfall("C252")
def test_a_chat_clients_request_through_another_protocols_eyes() -> None:
    """What Chat's own words mean is told to a Chat upstream in its own words, whoever carried it."""
    wire = body(
        system("S"),
        user([text("Look."), {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}]),
        assistant(function_call={"name": "f", "arguments": ""}),
        {"role": "function", "name": "f", "content": "x"},
        functions=[{"name": "f", "parameters": SCHEMA}],
        function_call={"name": "f"},
        max_completion_tokens=9,
        safety_identifier="p",
    )
    told, codes = written(replace(parsed(wire), protocol="other"))
    (made,) = told["messages"][2]["tool_calls"]
    assert told == {
        "model": "m",
        "messages": [
            system("S"),
            user([text("Look."), {"type": "file", "file": {
                "file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}}]),
            assistant(tool_calls=[call(made["id"], "f", "{}")]),
            result("x", made["id"]),
        ],
        "tools": [function("f", parameters=SCHEMA)],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "max_tokens": 9,
        "user": "p",
    }
    assert codes == []
