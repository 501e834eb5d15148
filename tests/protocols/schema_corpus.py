"""Schemas as agents and libraries really send them, and the rules that vendors hold against what goes out.

Source: protocols.md 9.4 (T-32). The checks are written for the tests alone; nothing of ``protocols/`` is used in them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


class Address(BaseModel):
    street: str
    tags: list[str] = Field(min_length=1)


class Order(BaseModel):
    """What pydantic v2 makes of nested models, unions, literals, bounds and dates."""

    kind: Literal["new", "used"]
    only: Literal["fixed"]
    count: int = Field(ge=1, description="How many")
    address: Address
    others: list[Address]
    note: str | None
    either: int | str
    due: datetime


class Node(BaseModel):
    """A tree."""

    name: str
    children: list[Node]


class Loose(BaseModel):
    """Defaults and a reference with words beside it."""

    limit: int = 10
    where: Address = Field(description="Where to")
    extra: dict[str, int] = Field(default_factory=dict)


#: As zod-to-json-schema writes a tool: draft 7, repeated types by their path, tuples as lists of items.
ZOD: dict[str, Any] = {
    "$schema": DRAFT_7,
    "type": "object",
    "properties": {
        "from": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"],
                 "additionalProperties": False},
        "to": {"$ref": "#/properties/from"},
        "pair": {"type": "array", "minItems": 2, "maxItems": 2, "items": [{"type": "string"}, {"type": "number"}]},
        "first": {"$ref": "#/properties/pair/items/0"},
        "age": {"type": "number", "exclusiveMinimum": 0},
        "mode": {"anyOf": [{"type": "string", "const": "a"}, {"type": "string", "const": "b"}]},
        "note": {"type": ["string", "null"]},
    },
    "required": ["from", "to"],
    "additionalProperties": False,
}  # fmt: skip

#: A discriminated union at the root, as zod and TypeBox users write them.
UNION: dict[str, Any] = {
    "anyOf": [
        {"type": "object", "properties": {"op": {"const": "add"}, "item": {"type": "string"}},
         "required": ["op", "item"], "additionalProperties": False},
        {"type": "object", "properties": {"op": {"const": "drop"}, "index": {"type": "integer"}},
         "required": ["op"], "additionalProperties": False},
    ],
}  # fmt: skip

#: TypeBox refers by name.
TYPEBOX: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tree": {"$id": "T0", "type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "T0"}}}}
    },
}

#: Names of properties that are keywords elsewhere (P-100).
KEYWORDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "properties": {"type": "object", "properties": {"properties": {"type": "string"}}},
        "title": {"type": "string", "title": "Title"},
        "$ref": {"type": "string"},
        "anyOf": {"type": "array", "items": {"type": "string"}},
        "required": {"type": "boolean"},
        "enum": {"type": "string", "enum": ["type", "properties"]},
        "pattern": {"type": "string", "default": {"type": "UPPER", "required": True}},
        "format": {"const": {"properties": 1}},
    },
    "required": ["type", "$ref", "required"],
}

TREE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/Node"}, "up": {"$ref": "#"}, "name": {"type": "string"}},
            "required": ["name"],
        }
    },
}

#: Full draft 2020-12 below the root.
MODERN: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/tool",
    "type": "object",
    "properties": {
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, True, False], "items": False},
        "map": {"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "propertyNames": {"maxLength": 9},
                "additionalProperties": {"type": "integer"}, "required": ["x-one"]},
        "odd": {"not": {"type": "string"}, "if": {"type": "integer"}, "then": {"minimum": 1}, "else": False},
        "one": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
        "all": {"allOf": [{"$ref": "#/$defs/%C3%84~1x"}, {"description": "also"}]},
        "same": {"$ref": "#/$defs/%C3%84~1x", "description": "beside"},
        "dep": {"type": "object", "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {"required": ["c"]}}},
        "enum": {"enum": [1, "two", None, {"three": 3}]},
        "big": {"type": "integer", "maximum": 2**70, "examples": [2**64]},
        "x": {"type": "string", "x-order": {"type": "first"}, "deprecated": True, "default": None},
        "any": {"type": "array", "items": {}, "contains": {"type": "string"}, "minContains": 2, "uniqueItems": True},
    },
    "required": ["pair"],
    "additionalProperties": {"type": "string"},
    "$defs": {"\u00c4/x": {"type": "string", "format": "email"}},
}  # fmt: skip

#: What MCP servers send (P-104), and worse.
BROKEN: dict[str, dict[str, Any]] = {
    "bare": {"path": {"type": "string", "required": True}, "mode": {"type": "string", "required": False}},
    "bare, nested": {"type": "object", "properties": {"at": {"x": {"type": "number"}, "y": {"type": "number"}}}},
    "nulls": {"type": "object", "properties": None, "required": None, "additionalProperties": None},
    "types": {"properties": {"a": {"type": "any"}, "b": {"type": []}, "c": {"type": ["string", "file"]},
              "d": "string"}},
    "values": {"type": "object", "properties": {"a": {"type": "string", "minLength": "3", "enum": [], "pattern": 4,
               "title": 7, "anyOf": [], "items": 3, "exclusiveMinimum": "x", "uniqueItems": 1}}},
    "lists": {"type": "object", "properties": {"a": {"anyOf": ["string", 4, {"type": "null"}]}, "b": [], "c": None},
              "required": ["a", "a", 4, "ghost"], "$defs": []},
    "draft 4": {"type": "object", "properties": {"n": {"type": "number", "minimum": 1, "exclusiveMinimum": True}}},
    "array": {"type": "array", "items": {"type": "string"}},
    "string": {"type": "string"},
    "nowhere": {"type": "object", "properties": {"a": {"$ref": "#/$defs/Gone"}, "b": {"$ref": "https://x.example/s"}}},
    "loop": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
    "itself": {"$ref": "#"},
    "gemini": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}, "b": {"type": "ARRAY",
               "items": {"type": "INTEGER"}}}},
}  # fmt: skip

CORPUS: dict[str, dict[str, Any]] = {
    "pydantic": Order.model_json_schema(),
    "pydantic tree": Node.model_json_schema(),
    "pydantic loose": Loose.model_json_schema(),
    "zod": ZOD,
    "union": UNION,
    "typebox": TYPEBOX,
    "keywords": KEYWORDS,
    "tree": TREE,
    "modern": MODERN,
    **BROKEN,
}


# ---------------------------------------------------------------- made up

NAMES = st.sampled_from(("a", "b", "type", "$ref"))
PLAIN: list[Any] = [{}, {"type": "string"}, {"enum": ["a", 1]}, {"const": "x"}, {"type": "array"}]
REFERENCES: list[Any] = [{"$ref": f"#/{path}"} for path in ("$defs/D", "anyOf/0", "allOf/0/properties/a")]


def objects(inner: Any, same: Any) -> Any:
    """Objects: ``inner`` are schemas of their properties, ``same`` more words on themselves."""
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=2)},
        optional={
            "required": st.lists(NAMES, unique=True, max_size=2),
            "additionalProperties": st.sampled_from((False, True, {"type": "string"})),
            "patternProperties": st.dictionaries(st.just("^a"), inner),
            "unevaluatedProperties": st.just(False),
            "allOf": st.lists(same, min_size=1, max_size=2),
            "minProperties": st.integers(0, 2),
            "not": same,
            "if": same,
            "then": same,
            "else": same,
        },
    )


LEAF = st.sampled_from(PLAIN)
BELOW = objects(LEAF, LEAF) | LEAF
INNER = objects(LEAF | st.sampled_from(REFERENCES), BELOW) | st.sampled_from(PLAIN + REFERENCES)
CLOSED = st.fixed_dictionaries(
    {"additionalProperties": st.just(False), "properties": st.dictionaries(NAMES, INNER, max_size=3)},
    optional={"required": st.lists(NAMES, unique=True, max_size=2)},
)
UNION_OF = st.lists(CLOSED, min_size=1, max_size=3)
#: Whole schemas; alternatives at the root are closed.
SCHEMAS = st.builds(
    lambda root, unions, definition: {**root, **unions, "$defs": {"D": definition}},
    objects(INNER, BELOW | st.just({"$ref": "#/$defs/D"})),
    st.fixed_dictionaries({}, optional={"anyOf": UNION_OF, "oneOf": UNION_OF}),
    objects(INNER, BELOW),
)

# ---------------------------------------------------------------- rules


def check_tool(schema: dict[str, Any]) -> None:
    """What Anthropic and OpenAI check in a function's parameters.  Source: protocols.md 6.1.4."""
    assert schema["type"] == "object"
    assert isinstance(schema["properties"], dict)
    assert schema.keys().isdisjoint(("anyOf", "oneOf", "allOf", "enum", "not", "$ref"))
    Draft202012Validator.check_schema(schema)


def check_output(schema: dict[str, Any], root: dict[str, Any]) -> None:
    """The dialect of structured output, node by node.  Source: protocols.md 6.4.2."""
    assert schema.keys() <= {
        "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "description", "enum", "format", "items",
        "minItems", "properties", "required", "title", "type",
    }  # fmt: skip
    assert not schema.keys().isdisjoint(("$ref", "allOf", "anyOf", "const", "enum", "type"))
    if "$ref" in schema:
        assert list(schema) == ["$ref"]
        assert schema["$ref"].removeprefix("#/$defs/") in root["$defs"]
    if "enum" in schema or "const" in schema:
        assert "type" not in schema
        assert not any(isinstance(value, dict | list) for value in schema.get("enum", [schema.get("const")]))
    assert isinstance(schema.get("type", ""), str)
    assert ("properties" in schema) == ("additionalProperties" in schema) == (schema.get("type") == "object")
    assert schema.get("additionalProperties", False) is False
    assert schema.keys() >= {"properties"} or "required" not in schema
    assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
    assert schema.get("minItems", 0) in (0, 1)
    below = [schema["items"]] if "items" in schema else []
    below += [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    below += [*schema.get("anyOf", ()), *schema.get("allOf", ())]
    for each in below:
        check_output(each, root)
