"""Whether a schema fits OpenAI's strict mode.  Source: protocols.md 6.2."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import openai
import pytest

from tests.upstreams import PROTOCOLS

from .schema_corpus import CORPUS, Address, Loose, Node, Order

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._schemas")
is_strict, tool_schema = MODULE.is_strict, MODULE.tool_schema


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def chain(depth: int) -> dict[str, Any]:
    """So many objects inside each other."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = of(a=schema)
    return schema


def arrays(depth: int) -> dict[str, Any]:
    """An object with so many arrays inside each other."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return of(a=schema)


@pytest.mark.parametrize("model", [Order, Address, Node], ids=lambda model: model.__name__)
def test_what_the_official_sdk_makes_strict_is_strict(model: Any) -> None:
    schema = openai.pydantic_function_tool(model)["function"]["parameters"]
    assert is_strict(schema)
    assert tool_schema(schema) == (schema, ())


@pytest.mark.parametrize("name", [*CORPUS])
def test_no_schema_is_strict_by_chance(name: str) -> None:
    assert not is_strict(CORPUS[name])


def test_the_sdk_makes_some_that_the_rules_refuse() -> None:
    """A default, and a map."""
    assert not is_strict(openai.pydantic_function_tool(Loose)["function"]["parameters"])


STRING = {"type": "string"}
STRICT = [
    of(),
    {"type": "object", "additionalProperties": False},
    of(a=STRING, b={"type": ["integer", "null"], "minimum": 1}),
    of(a={"anyOf": [STRING, {"type": "null"}]}),
    of(a={"anyOf": [of(kind={"const": "a"}), of(kind={"const": "b"})]}),
    of(a={"anyOf": [of(x=STRING), of(y=STRING)]}),
    of(a={"enum": ["x", 1, None]}, b={"const": 1}),
    of(a={"type": "array", "items": of(b=STRING), "minItems": 1, "maxItems": 9}),
    {**of(a={"$ref": "#/$defs/A"}), "$defs": {"A": of(a={"$ref": "#/$defs/A"})}},
    {**of(a={"$ref": "#/definitions/A"}), "definitions": {"A": STRING}},
    {**of(a={"type": "string", "format": "email", "pattern": "a", "title": "t"}), "$schema": "x", "description": "d"},
    of(**{"default": STRING, "oneOf": STRING, "$ref": STRING}),
    chain(10),
    arrays(9),
    of(**{f"p{number}": {"type": "null"} for number in range(5_000)}),
    of(a={"enum": [*map(str, range(1_000))]}),
    of(a={"enum": ["x" * 60 + f"{number:03}" for number in range(250)]}),
    of(**{"x" * 120_000: STRING}),
]
LOOSE = [
    {},
    {"type": "object", "properties": {}},
    {"type": "object", "properties": {}, "additionalProperties": {}},
    {"type": "string"},
    {"type": ["object"], "properties": {}, "additionalProperties": False},
    {**of(), "anyOf": [of()]},
    {"$ref": "#/$defs/A", "$defs": {"A": of()}},
    {**of(a=STRING), "required": []},
    {**of(a=STRING), "required": ["b"]},
    {**of(a=STRING), "required": ["a", "a"]},
    {**of(a=STRING, b=STRING), "required": ["a", "a"]},
    {**of(a=STRING), "required": "a"},
    {**of(a=STRING), "required": [{}]},
    {**of(), "properties": []},
    of(a={}),
    of(a=True),
    of(a={"description": "anything"}),
    of(a={"type": "array"}),
    of(a={"type": "array", "items": {}}),
    of(a={"type": ["array", "null"], "items": True}),
    of(a={"type": "string", "default": "x"}),
    of(a={"oneOf": [STRING]}),
    of(a={"allOf": [STRING]}),
    of(a={"type": "string", "not": {"const": "x"}}),
    of(a={"type": "string", "x-order": 1}),
    of(a={"type": "object", "patternProperties": {}, "additionalProperties": False}),
    of(a={"anyOf": []}),
    of(a={"anyOf": {}}),
    of(a={"anyOf": [{}]}),
    of(a={"anyOf": [of(x=STRING, y=STRING), of(x=STRING, z=STRING)]}),
    of(a={"enum": []}),
    of(a={"enum": {}}),
    of(a={"type": ["object", "null"], "properties": {}}),
    of(a={"$ref": "#", "description": "d"}),
    of(a={"$ref": 1}),
    {**of(), "$defs": {"A": {}}},
    {**of(), "definitions": []},
    chain(11),
    arrays(10),
    of(a={"type": "array", "items": chain(9)}),
    of(**{f"p{number}": {"type": "null"} for number in range(5_001)}),
    of(a={"enum": [*range(600)]}, b={"enum": [*range(401)]}),
    of(a={"enum": ["x" * 60 + f"{number:03}" for number in range(251)]}),
    of(**{"x" * 120_001: STRING}),
    of(**{"x" * 60_000: {"const": "x" * 60_001}}),
    {**of(), "$defs": {"x" * 120_001: STRING}},
]


def short(schema: Any) -> str:
    return str(schema)[:50]


@pytest.mark.parametrize("schema", STRICT, ids=short)
def test_a_schema_that_keeps_all_rules_is_strict_and_goes_out_as_it_is(schema: dict[str, Any]) -> None:
    assert is_strict(schema) is True
    made, changes = tool_schema(schema)
    assert changes == ()
    assert made == {"properties": {}, **schema}


@pytest.mark.pitfall("P-106", "C42")
@pytest.mark.parametrize("schema", LOOSE, ids=short)
def test_a_schema_that_breaks_a_rule_is_not(schema: dict[str, Any]) -> None:
    assert is_strict(schema) is False


def test_a_function_without_parameters_is_not() -> None:
    assert is_strict(None) is False
