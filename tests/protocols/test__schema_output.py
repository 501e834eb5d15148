"""The dialect of Anthropic's structured output.  Source: protocols.md 6.4.2."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from tests.upstreams import PROTOCOLS

from .schema_corpus import CORPUS, SCHEMAS, TREE, TYPEBOX, UNION, ZOD, Address, Node, Order, check_output

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
output_schema: Any = import_module("rotator.plugins.protocols._schemas").output_schema

SCALARS = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}
ANY = "any value became any scalar"
EMPTIED = "an object of any properties became an empty one"


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


@pytest.mark.parametrize("model", [Order, Address], ids=lambda model: model.__name__)
def test_it_is_what_the_official_sdk_makes(model: Any) -> None:
    made, _ = output_schema(model.model_json_schema())
    assert made == anthropic.transform_schema(model)


def test_a_root_that_is_a_reference_is_its_target() -> None:
    """The SDK leaves a reference beside the definitions; here the root is an object."""
    made, changes = output_schema(Node.model_json_schema())
    node = anthropic.transform_schema(Node)["$defs"]["Node"]
    assert (made, changes) == ({**node, "$defs": {"Node": node}}, ())


@pytest.mark.parametrize("schema", CORPUS.values(), ids=CORPUS)
@pytest.mark.pitfall("P-160")
def test_any_schema_comes_into_the_dialect(schema: dict[str, Any]) -> None:
    before = json.dumps(schema)
    made, changes = output_schema(schema)
    check_output(made, made)
    Draft202012Validator.check_schema(made)
    assert json.dumps(schema) == before
    assert json.dumps(output_schema(json.loads(before))) == json.dumps([made, changes])


@settings(max_examples=100)
@given(SCHEMAS)
def test_any_schema_that_can_be_made_up_does_too(schema: dict[str, Any]) -> None:
    made, _ = output_schema(schema)
    check_output(made, made)


KEPT = [
    {"type": "string", "format": "uuid", "title": "t", "description": "d"},
    {"type": "array", "items": {"type": "number"}, "minItems": 0},
    {"type": "array", "items": {"type": "number"}, "minItems": 1},
    {"enum": ["a", 1, 1.5, True, None]},
    {"const": None},
    {"anyOf": [{"type": "string"}, of(a={"type": "null"})]},
    {**of(b={"type": "boolean"}, a={"type": "integer"}), "required": ["a"]},
    {"allOf": [{"type": "string"}, {"enum": ["a"]}]},
]


@pytest.mark.parametrize("schema", KEPT, ids=json.dumps)
def test_what_the_dialect_can_say_stays(schema: dict[str, Any]) -> None:
    assert output_schema(schema) == (schema, ())
    assert list(output_schema(of(p=schema))[0]["properties"]["p"]) == list(schema)


SPELT = [
    # a schema, the same in the dialect
    ({"type": "string", "enum": ["a"]}, {"enum": ["a"]}),
    ({"type": "integer", "const": 1}, {"const": 1}),
    ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"type": ["string"]}, {"type": "string"}),
    ({"type": ["string", "null"], "format": "date"},
     {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
    ({"type": ["object", "array"], "properties": {"a": {"type": "null"}}, "additionalProperties": False, "items":
      {"type": "string"}, "required": ["a"]},
     {"anyOf": [{**of(a={"type": "null"}), "required": ["a"]}, {"type": "array", "items": {"type": "string"}}]}),
    ({"type": "STRING", "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"type": "string", "nullable": False}, {"type": "string"}),
    ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
    ({"const": "a", "nullable": True}, {"enum": ["a", None]}),
    ({"enum": ["a", None], "nullable": True}, {"enum": ["a", None]}),
    ({"properties": {"a": {"type": "null"}}}, of(a={"type": "null"})),
    ({"anyOf": [{"properties": {"a": {"type": "null"}}}, {"items": {"type": "null"}}]},
     {"anyOf": [of(a={"type": "null"}), {"type": "array", "items": {"type": "null"}}]}),
    ({**of(a={"type": "null"}), "required": []}, of(a={"type": "null"})),
    ({"type": "array", "items": {"type": "null"}, "$id": "x", "$schema": "y", "$comment": "z"},
     {"type": "array", "items": {"type": "null"}}),
    ({"allOf": [{"type": "string"}]}, {"type": "string"}),
    ({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": of(a={"type": "null"})}}, of(a={"type": "null"})),
    ({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"allOf": [{"$ref": "#/$defs/B"}]}, "B": {"type": "null"}}},
     {"type": "null"}),
    ({"type": "array", "items": {"allOf": [{"$ref": "#/$defs/A"}]}, "$defs": {"A": of(a={"type": "null"})}},
     {"type": "array", "items": {"$ref": "#/$defs/A"}}),
    ({"allOf": [{"description": "d"}, {"type": "string"}], "title": "t"},
     {"type": "string", "title": "t", "description": "d"}),
    ({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}, {"type": "null"}]},
     {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}, {"type": "null"}]}),
    ({"type": "object", "oneOf": [{"properties": {"a": {"type": "null"}}}]}, {"anyOf": [of(a={"type": "null"})]}),
    ({"allOf": [of(a={"type": "null"}), {**of(b={"type": "null"}), "required": ["b"]}]},
     {**of(a={"type": "null"}, b={"type": "null"}), "required": ["b"]}),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}, "unused": {"type": "null"}}}, {"type": "string"}),
    ({"$ref": "#/$defs/A", "description": "d", "$defs": {"A": {"type": "string", "description": "a"}}},
     {"type": "string", "description": "d"}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), SPELT, ids=[json.dumps(row[0])[:60] for row in SPELT])
def test_what_it_says_in_other_words_is_not_told(schema: Any, expected: Any) -> None:
    made, changes = output_schema(schema)
    made.pop("$defs", None)
    assert (made, changes) == (expected, ())


DESCRIBED = [
    # a schema, what becomes of it, what is told
    ({"type": "integer", "minimum": 1, "maximum": 10, "description": "d"},
     {"type": "integer", "description": "d\n\n{minimum: 1, maximum: 10}"},
     ("minimum is only described", "maximum is only described")),
    ({"type": "string", "format": "regex", "pattern": '^"a"$'},
     {"type": "string", "description": '{format: "regex", pattern: "^\\"a\\"$"}'},
     ("format is only described", "pattern is only described")),
    ({"type": "array", "items": {"type": "null"}, "minItems": 2},
     {"type": "array", "items": {"type": "null"}, "description": "{minItems: 2}"}, ("minItems is only described",)),
    ({"enum": [{"a": 1}], "type": "object", "properties": {"a": {"type": "null"}}},
     {**of(a={"type": "null"}), "description": '{enum: [{"a":1}]}'}, ("enum is only described",)),
    ({"type": ["string", "integer"], "minLength": 1, "minimum": 2, "default": "x"},
     {"anyOf": [{"type": "string", "description": "{minLength: 1}"},
                {"type": "integer", "description": "{minimum: 2}"}],
      "description": '{default: "x"}'},
     ("minLength is only described", "minimum is only described", "default is only described")),
    ({"type": "object"}, of(), (EMPTIED,)),
    ({"type": "object", "additionalProperties": {"type": "string"}},
     {**of(), "description": '{additionalProperties: {"type":"string"}}'},
     (EMPTIED, "additionalProperties is only described")),
    ({"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": True},
     {**of(a={"type": "null"}), "description": "{additionalProperties: true}"},
     ("additionalProperties is only described",)),
    (of(a={}), of(a=SCALARS), (ANY,)),
    (of(a={"anyOf": [{"$ref": "#/gone"}]}), of(a={"anyOf": [SCALARS]}), ('$ref "#/gone" points nowhere', ANY)),
    ({"type": "array"}, {"type": "array", "items": SCALARS}, (ANY,)),
    ({"type": "array", "prefixItems": [{"type": "null"}, {"type": "string"}], "items": False},
     {"type": "array", "items": {"anyOf": [{"type": "null"}, {"type": "string"}]},
      "description": '{prefixItems: [{"type":"null"},{"type":"string"}]}'}, ("prefixItems is only described",)),
    ({**of(a={"type": "null"}, b={"type": "null"}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
     {**of(a={"type": "null"}, b={"type": "null"}), "description": "Requires: {a} | {b}"},
     ("anyOf was merged into one object",)),
    ({"anyOf": [{"type": "string"}], "oneOf": [{"type": "null"}], "description": "d"},
     {"anyOf": [{"type": "string"}], "description": 'd\n\n{oneOf: [{"type":"null"}]}'}, ("oneOf is only described",)),
    ({"allOf": [{"type": "string"}, {"minLength": 1}]}, {"type": "string", "description": "{minLength: 1}"},
     ("minLength is only described",)),
    ({"anyOf": [True, False]}, {"anyOf": [SCALARS]}, (ANY,)),
    ({"anyOf": [False]}, SCALARS, (ANY,)),
    ({"not": {"type": "string"}}, {**SCALARS, "description": '{not: {"type":"string"}}'},
     (ANY, "not is only described")),
    ({"properties": {"a": {"type": "any"}}}, of(a=SCALARS), ('type "any" was malformed', ANY)),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, SCALARS, (ANY,)),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected", "told"), DESCRIBED, ids=[json.dumps(row[0])[:60] for row in DESCRIBED])
def test_what_it_cannot_say_is_described_and_told(schema: Any, expected: Any, told: Any) -> None:
    assert output_schema(schema) == (expected, told)


def test_definitions_are_those_that_are_referred_to() -> None:
    schema = {
        **of(a={"$ref": "#/$defs/A"}, b={"$ref": "#/definitions/A"}, c={"$ref": "#/$defs/A/items"}, d={"$ref": "#"}),
        "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/B"}}, "B": {"type": "null"}, "C": {}},
        "definitions": {"A": {"type": "string"}},
    }
    names = {"a": "A", "b": "A_", "c": "_defs_A_items", "d": "root"}
    root = of(**{name: {"$ref": f"#/$defs/{to}"} for name, to in names.items()})
    assert output_schema(schema) == (
        {
            **root,
            "$defs": {
                "A": {"type": "array", "items": {"$ref": "#/$defs/B"}},
                "A_": {"type": "string"},
                "_defs_A_items": {"$ref": "#/$defs/B"},
                "root": root,
                "B": {"type": "null"},
            },
        },
        (),
    )


def test_a_reference_stands_alone() -> None:
    schema = {
        **of(a={"$ref": "#/$defs/A", "description": "d"}, b={"$ref": "#/$defs/A", "type": "string", "default": 1}),
        "$defs": {"A": {"type": "string"}},
    }
    assert output_schema(schema) == (
        {
            **of(
                a={"anyOf": [{"$ref": "#/$defs/A"}], "description": "d"},
                b={"anyOf": [{"$ref": "#/$defs/A"}], "description": "{default: 1}"},
            ),
            "$defs": {"A": {"type": "string"}},
        },
        ("default is only described",),
    )


def test_references_of_other_kinds_become_definitions() -> None:
    tree, _ = output_schema(TYPEBOX)
    kids = {"type": "array", "items": {"$ref": "#/$defs/root"}}
    assert tree == {**of(tree=of(kids=kids)), "$defs": {"root": of(kids=kids)}}
    zod, _ = output_schema(ZOD)
    assert zod["properties"]["to"] == {"$ref": "#/$defs/from"}
    assert zod["$defs"]["properties_pair_prefixItems_0"] == {"type": "string"}
    made, _ = output_schema(TREE)
    assert made["properties"]["up"] == {"$ref": "#/$defs/root"}
    assert made["$defs"]["root"] == {"$ref": "#/$defs/Node"}


def test_objects_of_several_schemas_are_merged_across_references() -> None:
    schema = {
        **of(p={"allOf": [{"$ref": "#/$defs/Base"}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}]}),
        "$defs": {"Base": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}},
    }
    merged = {**of(a={"type": "string"}, b={"type": "null"}), "required": ["a", "b"]}
    assert output_schema(schema) == (of(p=merged), ())


def test_alternatives_of_objects_stay_apart() -> None:
    made, changes = output_schema(UNION)
    assert changes == ()
    assert made == {
        "anyOf": [
            {**of(op={"const": "add"}, item={"type": "string"}), "required": ["op", "item"]},
            {**of(op={"const": "drop"}, index={"type": "integer"}), "required": ["op"]},
        ]
    }


def test_schemas_deeper_than_any_vendor_takes_end_in_scalars() -> None:
    schema: Any = {"type": "string"}
    for _ in range(95):
        schema = {"type": ["array", "null"], "items": schema}
    made, changes = output_schema(schema)
    check_output(made, made)
    assert changes == (ANY,)


def test_a_wide_schema_is_not_a_deep_one() -> None:
    schema = of(**{f"p{number}": {"type": "array", "items": {"type": "string"}} for number in range(200)})
    assert output_schema(schema) == (schema, ())


def test_definitions_that_multiply_are_not_multiplied() -> None:
    def two(name: str) -> dict[str, Any]:
        return of(**{key: {"allOf": [{"$ref": f"#/$defs/{name}"}, of(q={"type": "null"})]} for key in ("x", "y")})

    definitions = {f"A{number}": two(f"A{number + 1}") for number in range(40)}
    schema = {**of(a={"$ref": "#/$defs/A0"}), "$defs": {**definitions, "A40": of(z={"type": "null"})}}
    made, _ = output_schema(schema)
    check_output(made, made)
    assert len(json.dumps(made)) < 20 * len(json.dumps(schema))


def test_the_root_is_the_callers_own() -> None:
    schema = of(a={"enum": ["x"]})
    output_schema(schema)[0]["description"] = "mine"
    assert output_schema(schema)[0] == of(a={"enum": ["x"]})
