"""What the vendors ask of JSON Schemas in requests (protocols.md 6.1.4, 6.2, 6.4.2). Reasons, no envelopes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .shapes import json_type

NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf", "enum", "not")
NOT_WHEN_STRICT = (
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "default",
)
TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
MAPS = ("properties", "$defs", "definitions")
LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")


def nodes(schema: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every sub-schema that is an object, the schema itself first."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for name in MAPS:
        inner = schema.get(name)
        for key, value in inner.items() if isinstance(inner, dict) else ():
            yield from nodes(value, (*place, name, key))
    for name in LISTS:
        branches = schema.get(name)
        for number, value in enumerate(branches if isinstance(branches, list) else ()):
            yield from nodes(value, (*place, name, str(number)))
    yield from nodes(schema.get("items"), (*place, "items"))


def malformed(schema: dict[str, Any]) -> str | None:
    """Why this is no JSON Schema, told for the first bad keyword; types in capitals are another vendor's dialect."""
    for place, node in nodes(schema):
        for keyword, value in node.items():
            if not _fits(keyword, value):
                return f"{'.'.join((*place, keyword))} is not valid in JSON Schema draft 2020-12"
    return None


def _fits(keyword: str, value: Any) -> bool:
    if keyword == "type":
        names = value if isinstance(value, list) else [value]
        return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)
    if keyword in MAPS:
        return isinstance(value, dict) and all(isinstance(inner, (dict, bool)) for inner in value.values())
    if keyword in LISTS:
        return isinstance(value, list) and bool(value) and all(isinstance(inner, (dict, bool)) for inner in value)
    if keyword == "required":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if keyword == "enum":
        return isinstance(value, list)
    return keyword not in ("items", "additionalProperties") or isinstance(value, (dict, bool))


def root_fault(schema: dict[str, Any]) -> str | None:
    """6.1.4: the root is an object without alternatives."""
    if schema.get("type") != "object":
        found = schema.get("type")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{found}\"'"
    for name in NOT_AT_THE_TOP:
        if name in schema:
            return f"schema must have type 'object' and not have '{name}' at the top level"
    return None


def open_object(schema: Any) -> str | None:
    """6.2, 6.4.2: where an object lets unknown properties in, as text; None where none does."""
    for place, node in nodes(schema):
        is_object = node.get("type") == "object" or "properties" in node
        if is_object and node.get("additionalProperties") is not False:
            return f"({', '.join(repr(step) for step in place)})"
    return None


def strict_fault(schema: Any) -> str | None:
    """6.2: strict mode; None where the schema obeys it."""
    if json_type(schema) != "object" or schema.get("type") != "object" or "anyOf" in schema:
        return "schema must be a JSON Schema of 'type: \"object\"' without alternatives"
    loose = open_object(schema)
    if loose is not None:
        return f"In context={loose}, 'additionalProperties' is required to be supplied and to be false"
    for place, node in nodes(schema):
        context = f"In context=({', '.join(repr(step) for step in place)})"
        optional = set(node.get("properties") or ()) - set(node.get("required") or ())
        if optional:
            return f"{context}, 'required' is required to include every key. Missing '{min(optional)}'"
        for name in NOT_WHEN_STRICT:
            if name in node:
                return f"{context}, '{name}' is not permitted"
    return None
