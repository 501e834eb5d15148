"""Schemas below the root, and references in them.  Source: protocols.md 6.0 (S5, S6), 9.4 (T-32)."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

from tests.upstreams import PROTOCOLS

from .schema_corpus import ZOD, check_tool

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._schemas")
tool_schema = MODULE.tool_schema

EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


def told(schema: Any) -> dict[str, Any]:
    """The schema alone, where nothing is to be told about it."""
    made, changes = tool_schema(schema)
    assert changes == ()
    return made


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def text(value: Any) -> str:
    """Order and numbers too: 1, 1.0 and True are three things."""
    return json.dumps(value)


REPAIRED = [
    # a property's schema, what it becomes, what is told
    (True, {}, ()),
    ({"type": "STRING"}, {"type": "string"}, ()),
    ({"type": ["STRING", "null"]}, {"type": ["string", "null"]}, ()),
    ({"type": ["string", "string"]}, {"type": ["string"]}, ('type ["string","string"] was malformed',)),
    ("integer", {"type": "integer"}, ()),
    ({"type": "any"}, {}, ('type "any" was malformed',)),
    ({"type": 3}, {}, ("type 3 was malformed",)),
    ({"type": []}, {}, ("type [] was malformed",)),
    ({"type": ["string", "file"]}, {"type": ["string"]}, ('type ["string","file"] was malformed',)),
    ({"properties": {"x": {}}}, {"type": "object", "properties": {"x": {}}}, ()),
    ({"items": {"properties": {}}}, {"items": {"type": "object", "properties": {}}}, ()),
    ({"prefixItems": [{"properties": {}}]}, {"prefixItems": [{"type": "object", "properties": {}}]}, ()),
    ({"not": {"properties": {}}}, {"not": {"properties": {}}}, ()),
    ({"oneOf": [{"properties": {}}]}, {"oneOf": [{"properties": {}}]}, ()),
    ({"dependentSchemas": {"a": {"properties": {}}}}, {"dependentSchemas": {"a": {"properties": {}}}}, ()),
    ({"type": "array"}, {"type": "array", "items": {}}, ()),
    ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}, ()),
    ({"type": "array", "items": True}, {"type": "array", "items": {}}, ()),
    ({"type": "array", "items": [{"type": "string"}, True]},
     {"type": "array", "prefixItems": [{"type": "string"}, {}], "items": {}}, ()),
    ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": False}, ()),
    ({"additionalItems": True, "items": [{}]}, {"prefixItems": [{}], "items": {}}, ()),
    ({"items": {}, "additionalItems": False}, {"items": {}, "additionalItems": False}, ()),
    ({"minimum": 1, "exclusiveMinimum": True}, {"minimum": 1, "exclusiveMinimum": 1}, ()),
    ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}, ()),
    ({"exclusiveMaximum": True}, {}, ()),
    ({"type": "string", "enum": None, "title": None, "default": None}, {"type": "string", "default": None}, ()),
    ({"x": {"type": "number"}, "y": {"type": ["number"]}},
     {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": ["number"]}}},
     ("p: a bare map of properties became an object",)),
    ({"type": "object", "properties": {"x": False, "y": {}}, "required": ["x", "y"]},
     {"type": "object", "properties": {"y": {}}, "required": ["y"]},
     ("x: a property that must not be there was left out", "required x is no property")),
    ({"type": "object", "properties": {"x": {"required": True}, "y": {"required": False}, "z": {"required": ["a"]}}},
     {"type": "object", "properties": {"x": {}, "y": {}, "z": {"required": ["a"]}}, "required": ["x"]}, ()),
    ({"type": "object", "properties": {"x": {"required": True}}, "required": ["x"]},
     {"type": "object", "properties": {"x": {}}, "required": ["x"]}, ()),
    ({"type": "object", "properties": {"x": {}}, "required": "x"},
     {"type": "object", "properties": {"x": {}}, "required": ["x"]}, ()),
    ({"required": [1, "a", "a"]}, {"required": ["a"]}, ("required was malformed",)),
    ({"required": {}}, {}, ("required was malformed",)),
    ({"anyOf": ["string", {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, ()),
    ({"anyOf": []}, {}, ("anyOf was malformed",)),
    ({"oneOf": {}}, {}, ("oneOf was malformed",)),
    ({"properties": []}, {}, ("properties was malformed",)),
    ({"items": 4}, {}, ("items was malformed",)),
    ({"enum": []}, {}, ("enum was malformed",)),
    ({"enum": {}}, {}, ("enum was malformed",)),
    ({"examples": "x"}, {}, ("examples was malformed",)),
    ({"minLength": "3"}, {}, ("minLength was malformed",)),
    ({"minLength": -1}, {}, ("minLength was malformed",)),
    ({"maxItems": 1.5}, {}, ("maxItems was malformed",)),
    ({"maxItems": 2.0}, {"maxItems": 2.0}, ()),
    ({"minimum": True}, {}, ("minimum was malformed",)),
    ({"exclusiveMinimum": "1", "minimum": 1}, {"minimum": 1}, ("exclusiveMinimum was malformed",)),
    ({"uniqueItems": 1}, {}, ("uniqueItems was malformed",)),
    ({"description": {}, "pattern": 1}, {}, ("description was malformed", "pattern was malformed")),
    ({"$ref": "#/$defs/gone", "title": "t"}, {"title": "t"}, ('$ref "#/$defs/gone" points nowhere',)),
    ({"$ref": []}, {}, ("$ref [] points nowhere",)),
    (None, {}, ("p: what is no schema allows anything",)),
    ([], {}, ("p: what is no schema allows anything",)),
    ({"x-thing": {"type": "string"}}, {"x-thing": {"type": "string"}}, ()),
    ({"$meta": {"type": "string"}}, {"$meta": {"type": "string"}}, ()),
    ({"items": {"type": "string"}}, {"items": {"type": "string"}}, ()),
    ({"other": {"type": "unheard"}}, {"other": {"type": "unheard"}}, ()),
    ({"other": {"type": "string"}, "minLength": 1}, {"other": {"type": "string"}, "minLength": 1}, ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "expected", "changes"), REPAIRED, ids=[json.dumps(row[0])[:60] for row in REPAIRED]
)
@pytest.mark.pitfall("P-104")
def test_below_the_root_what_is_malformed_is_repaired(schema: Any, expected: Any, changes: Any) -> None:
    made, words = tool_schema(of(p=schema))
    assert text(made["properties"]["p"]) == text(expected)
    assert words == changes


@pytest.mark.pitfall("P-104")
def test_a_property_that_says_it_is_required_says_it_to_the_object_around() -> None:
    assert told(of(a={"type": "string", "required": True})) == {**of(a={"type": "string"}), "required": ["a"]}


@pytest.mark.parametrize(
    "place",
    [
        lambda schema: {**EMPTY, "additionalProperties": schema},
        lambda schema: {**EMPTY, "patternProperties": {"^a": schema}},
        lambda schema: {**EMPTY, "dependentSchemas": {"a": schema}},
        lambda schema: {**EMPTY, "$defs": {"a": schema}},
        lambda schema: {**EMPTY, "definitions": {"a": schema}},
        lambda schema: {**EMPTY, "then": schema},
        lambda schema: of(a={"items": schema}),
        lambda schema: of(a={"prefixItems": [{}, schema]}),
        lambda schema: of(a={"anyOf": [schema]}),
        lambda schema: of(a={"not": schema}),
        lambda schema: of(a={"contains": {"propertyNames": schema}}),
    ],
    ids=["additional", "pattern", "dependent", "defs", "old defs", "then", "items", "prefix", "anyOf", "not", "deep"],
)
def test_schemas_are_repaired_wherever_they_stand(place: Any) -> None:
    assert text(told(place({"type": "STRING", "title": None}))) == text(place({"type": "string"}))


@pytest.mark.parametrize("keyword", ["default", "const", "example", "examples", "enum", "x-any"])
@pytest.mark.pitfall("P-100")
def test_data_is_left_alone(keyword: str) -> None:
    data = [{"type": "STRING", "properties": {"a": None}, "required": True}]
    assert told(of(a={keyword: data}))["properties"]["a"][keyword] == data


def test_in_unions_a_schema_gets_no_type_and_keeps_what_it_requires() -> None:
    """There it is one more word on an object whose properties stand beside it."""
    schema = of(p={"type": "object", "allOf": [{"properties": {"a": {}}, "required": ["b"]}]})
    assert told(schema) == schema


# ---------------------------------------------------------------- references


def test_references_follow_what_moves() -> None:
    """zod refers to repeated types by their path, through unions at the root and tuples of draft 7."""
    made = told(ZOD)
    assert made["properties"]["pair"] == {
        "type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "string"}, {"type": "number"}],
        "items": {},
    }  # fmt: skip
    assert made["properties"]["first"] == {"$ref": "#/properties/pair/prefixItems/0"}
    assert made["properties"]["to"] == {"$ref": "#/properties/from"}


def test_alternatives_that_are_referred_to_are_kept_as_definitions() -> None:
    schema = {
        "anyOf": [of(a={"$ref": "#/anyOf/1/properties/b"}), of(b={"type": "string"}, c={"$ref": "#/allOf/0"})],
        "allOf": [of(d={})],
        "$defs": {"root_anyOf": {"title": "taken"}},
    }
    made, _ = tool_schema(schema)
    check_tool(made)
    assert made["properties"]["a"] == {"$ref": "#/$defs/root_anyOf_/anyOf/1/properties/b"}
    assert made["$defs"] == {
        "root_anyOf": {"title": "taken"},
        "root_anyOf_": {"anyOf": [
            of(a={"$ref": "#/$defs/root_anyOf_/anyOf/1/properties/b"}),
            of(b={"type": "string"}, c={"$ref": "#/$defs/root_allOf/allOf/0"}),
        ]},
        "root_allOf": {"allOf": [of(d={})]},
    }  # fmt: skip


def test_a_reference_through_a_repaired_map_finds_its_property() -> None:
    schema = of(at={"x/y": {"type": "number"}, "z": {"$ref": "#/properties/at/x~1y"}})
    made, _ = tool_schema(schema)
    assert made["properties"]["at"]["properties"]["z"] == {"$ref": "#/properties/at/properties/x~1y"}


@pytest.mark.parametrize(
    ("reference", "spelt"),
    [
        ("#/properties/ä b", "#/properties/ä b"),
        ("#/properties/t/items/0", "#/properties/t/prefixItems/0"),
        ("#/properties/t/additionalItems", "#/properties/t/items"),
        ("#/properties/items", "#/properties/items"),
        ("#/$defs/x~1y/items/0", "#/$defs/x~1y/prefixItems/0"),
        ("#/properties/u/anyOf/1/items/0", "#/properties/u/anyOf/1/prefixItems/0"),
        ("#/properties/properties/items/items/0", "#/properties/properties/items/prefixItems/0"),
        ("#/properties/b/c/properties/d", "#/properties/b/properties/c/properties/d"),
    ],
)
def test_a_reference_is_spelt_again_only_where_its_target_moved(reference: str, spelt: str) -> None:
    pair = {"items": [{"type": "string"}], "additionalItems": {"type": "null"}}
    schema = of(**{
        "ä b": {}, "t": pair, "items": {"type": "array", "items": {}}, "u": {"anyOf": [{}, pair]},
        "properties": {"type": "array", "items": pair}, "b": {"c": {"type": "object", "properties": {"d": {}}}},
        "ref": {"$ref": reference},
    })  # fmt: skip
    made, _ = tool_schema({**schema, "$defs": {"x/y": pair}})
    assert made["properties"]["ref"] == {"$ref": spelt}


def test_a_reference_by_name_stays() -> None:
    named: dict[str, Any] = {"a": {"$id": "T0", "type": "object"}, "b": {"$ref": "T0"}}
    named |= {"c": {"anyOf": [{"$anchor": "x"}]}, "d": {"$ref": "#x"}}
    schema = of(**named, e={"$ref": "T1"})
    assert tool_schema(schema) == (of(**named, e={}), ('$ref "T1" points nowhere',))
