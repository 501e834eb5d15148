"""Whether a schema fits OpenAI's strict mode as it stands.  Source: protocols.md 6.2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_WORDS: Final = frozenset((
    "$comment", "$defs", "$id", "$ref", "$schema", "additionalProperties", "anyOf", "const", "definitions",
    "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength",
    "maximum", "minItems", "minLength", "minimum", "multipleOf", "pattern", "properties", "required", "title", "type",
))  # fmt: skip
_DEPTH: Final = 10
_PROPERTIES: Final = 5_000
_ENUM_VALUES: Final = 1_000
_CHARACTERS: Final = 120_000
_LONG_ENUM_VALUES: Final = 250
_LONG_ENUM_CHARACTERS: Final = 15_000


def fits_strict(schema: Mapping[str, Any]) -> bool:
    """An object at the root that names all it may hold, and so on below; nothing is followed but the tree itself."""
    if schema.get("type") != "object" or "anyOf" in schema or "$ref" in schema:
        return False
    walk = _Walk()
    return walk.fits(schema, 1) and walk.small()


class _Walk:
    def __init__(self) -> None:
        self._properties = 0
        self._values = 0
        self._characters = 0

    def small(self) -> bool:
        """Whether what was seen is inside the limits of a whole schema."""
        return (
            self._properties <= _PROPERTIES and self._values <= _ENUM_VALUES and self._characters <= _CHARACTERS
        )

    def fits(self, schema: Any, depth: int) -> bool:
        """One schema; ``depth`` counts objects and arrays around and with it."""
        if not isinstance(schema, dict) or not _WORDS.issuperset(schema):
            return False
        if "$ref" in schema:
            return len(schema) == 1 and isinstance(schema["$ref"], str)
        if not any(name in schema for name in ("type", "anyOf", "enum", "const")):
            return False
        kind = schema.get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        if ("object" in kinds or "array" in kinds) and depth > _DEPTH:
            return False
        return (
            self._values_fit(schema)
            and ("object" not in kinds or self._object_fits(schema, depth))
            and ("array" not in kinds or self.fits(schema.get("items"), depth + 1))
            and ("anyOf" not in schema or self._union_fits(schema["anyOf"], depth))
            and all(self._definitions_fit(schema[name]) for name in ("$defs", "definitions") if name in schema)
        )

    def _object_fits(self, schema: Mapping[str, Any], depth: int) -> bool:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False:
            return False
        if not isinstance(properties, dict) or not isinstance(required, list):
            return False
        named = {name for name in required if isinstance(name, str)}
        if len(required) != len(properties) or named != properties.keys():
            return False
        self._properties += len(properties)
        self._characters += sum(map(len, properties))
        for value in properties.values():
            if not self.fits(value, depth + 1):
                return False
        return True

    def _union_fits(self, members: Any, depth: int) -> bool:
        """Objects in a union must differ in their first property."""
        if not isinstance(members, list) or not members:
            return False
        firsts: list[Any] = []
        for member in members:
            if not self.fits(member, depth):
                return False
            properties = member.get("properties")
            if properties:
                first = next(iter(properties.items()))
                if first in firsts:
                    return False
                firsts.append(first)
        return True

    def _definitions_fit(self, definitions: Any) -> bool:
        if not isinstance(definitions, dict):
            return False
        self._characters += sum(map(len, definitions))
        for schema in definitions.values():
            if not self.fits(schema, 1):
                return False
        return True

    def _values_fit(self, schema: Mapping[str, Any]) -> bool:
        values = schema.get("enum", [])
        if not isinstance(values, list) or ("enum" in schema and not values):
            return False
        characters = sum(len(value) for value in values if isinstance(value, str))
        const = schema.get("const")
        self._values += len(values)
        self._characters += characters + (len(const) if isinstance(const, str) else 0)
        return len(values) <= _LONG_ENUM_VALUES or characters <= _LONG_ENUM_CHARACTERS
