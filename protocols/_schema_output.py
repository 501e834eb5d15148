"""Schemas in the dialect of Anthropic's structured output.  Source: protocols.md 6.4.2.

What the dialect has no word for goes into descriptions as ``{keyword: value}``: the model reads it, nothing enforces
it. Objects are closed there, so schemas that say of one object together are merged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from rotator.api import dumps

from ._schema_repair import repaired
from ._schema_roots import Changes, Document, Shape, local_steps

_FORMATS: Final = frozenset((
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
))  # fmt: skip
#: Words about the document itself; they say nothing of a value.
_SILENT: Final = frozenset(("$anchor", "$comment", "$defs", "$id", "$schema", "definitions"))
_ABOUT: Final = ("title", "description")
_OF_OBJECTS: Final = frozenset((
    "additionalProperties", "dependentRequired", "dependentSchemas", "maxProperties", "minProperties",
    "patternProperties", "properties", "propertyNames", "required", "unevaluatedProperties",
))  # fmt: skip
_OF_ARRAYS: Final = frozenset((
    "additionalItems", "contains", "items", "maxContains", "maxItems", "minContains", "minItems", "prefixItems",
    "unevaluatedItems", "uniqueItems",
))  # fmt: skip
_OF_STRINGS: Final = frozenset(("contentEncoding", "contentMediaType", "format", "maxLength", "minLength", "pattern"))
_OF_NUMBERS: Final = frozenset(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"))
_OF: Final[Mapping[str, frozenset[str]]] = {
    "object": _OF_OBJECTS, "array": _OF_ARRAYS, "string": _OF_STRINGS, "number": _OF_NUMBERS, "integer": _OF_NUMBERS,
}  # fmt: skip
#: Without any of these, a schema is only more words on what another one says.
_SUBSTANCE: Final = _OF_OBJECTS | {
    "$ref", "allOf", "anyOf", "const", "enum", "items", "oneOf", "prefixItems", "type",
}  # fmt: skip
_DEFINITION: Final = "#/$defs/"
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.-]")
_SCALARS: Final = ("string", "number", "boolean", "null")
#: How often objects are made of several, and how deep schemas are told: both are far beyond what a vendor takes.
_MERGES: Final = 100
_DEPTH: Final = 50


def output_dialect(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema and what it no longer enforces, in words."""
    changes = Changes()
    return _Dialect(repaired(schema, changes), changes).root(), changes.words()


class _Dialect:
    """One schema, repaired before, on its way into the dialect.

    Methods that get ``left`` take out of it what they say in the dialect's words; the rest is described.
    """

    def __init__(self, schema: dict[str, Any], changes: Changes) -> None:
        self._document = Document(schema)
        self._changes = changes
        self._merges = 0
        self._depth = 0
        self._names: dict[str, str] = {}  # reference -> name of its definition
        self._taken: set[str] = set()
        self._waiting: list[tuple[str, dict[str, Any]]] = []

    def root(self) -> dict[str, Any]:
        """The document; what it refers to stands in its ``$defs``."""
        made = self._node(self._unreferenced(self._document.root))
        definitions: dict[str, Any] = {}
        for name, waiting in self._waiting:  # grows while definitions refer to others
            definitions[name] = self._node(waiting)
        for _ in definitions:
            if "$ref" in made:
                made = definitions[made["$ref"].removeprefix(_DEFINITION)]
        return {**made, "$defs": definitions} if definitions else made

    def _unreferenced(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The root without a reference: siblings win over what it points to (protocols.md 6.0, S5)."""
        followed: set[str] = set()
        while (reference := schema.get("$ref")) is not None:
            found = self._document.target(reference) if reference not in followed else None
            followed.add(reference)
            schema = {**(found or {}), **{name: value for name, value in schema.items() if name != "$ref"}}
        return schema

    def _node(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        left = {name: value for name, value in _folded(schema).items() if name not in _SILENT}
        about: dict[str, Any] = {name: left.pop(name) for name in _ABOUT if name in left}
        self._depth += 1
        if self._depth > _DEPTH:
            left.clear()
            made = self._anything()
        elif "$ref" in left:
            made = self._reference(left)
        elif (values := _values(left)) is not None:
            made = values
        elif "allOf" in left or "anyOf" in left or "oneOf" in left:
            made = self._combined(left)
        else:
            made = self._typed(left)
        self._depth -= 1
        if left:
            self._describe(left, about, made.get("description"))
        if about and "$ref" in made:
            made = {"anyOf": [made]}
        return {**made, **about}

    def _describe(self, left: dict[str, Any], about: dict[str, Any], other: str | None) -> None:
        for name in left:
            self._changes.tell(f"{name} is only described")
        note = "{" + ", ".join(f"{name}: {dumps(value).decode()}" for name, value in left.items()) + "}"
        own = about.get("description") or other
        about["description"] = f"{own}\n\n{note}" if own else note

    def _reference(self, left: dict[str, Any]) -> dict[str, Any]:
        reference = left.pop("$ref")
        left.pop("type", None)
        name = self._names.get(reference)
        if name is None:
            steps = local_steps(reference) or ["root"]
            name = _FOREIGN.sub("_", steps[-1] if len(steps) == 2 else "_".join(steps))
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self._names[reference] = name
            self._waiting.append((name, self._document.target(reference) or {}))
        return {"$ref": _DEFINITION + name}

    def _combined(self, left: dict[str, Any]) -> dict[str, Any]:
        """A schema made of several."""
        if self._is_of_one_object(left) and self._merges < _MERGES:
            self._merges += 1
            shape = Shape(self._document, self._changes)
            shape.add(left)
            left.clear()
            return self._node(shape.schema())
        kind = left.pop("type", None)
        union = next(name for name in ("anyOf", "oneOf", "allOf") if name in left)
        made: list[dict[str, Any]] = []
        for member in left.pop(union):
            if isinstance(member, dict):
                made.append(self._node(member if kind is None else {"type": kind, **member}))
        if not made:
            return self._anything()
        if len(made) == 1 and union == "allOf":
            return made[0]
        return {"allOf" if union == "allOf" else "anyOf": made}

    def _is_of_one_object(self, left: Mapping[str, Any]) -> bool:
        """Whether an object says something beside its unions, or is the sum of several."""
        if "properties" in left or "required" in left:
            return True
        members = left.get("allOf", ())
        for member in members if len(members) > 1 or "anyOf" in left or "oneOf" in left else ():
            found = self._document.target(member["$ref"]) if isinstance(member, dict) and "$ref" in member else member
            if isinstance(found, dict) and (found.get("type") == "object" or "properties" in found):
                return True
        return False

    def _typed(self, left: dict[str, Any]) -> dict[str, Any]:
        """A schema by its type."""
        kind = left.pop("type", None) or ("object" if "properties" in left else "array" if "items" in left else None)
        if left.pop("nullable", None) is True:
            kind = [*(kind if isinstance(kind, list) else [kind] if kind else _SCALARS), "null"]
        if kind is None:
            return self._anything()
        if isinstance(kind, str):
            return self._of_type(kind, left)
        members: list[dict[str, Any]] = []
        for one in dict.fromkeys(kind):
            own = {name: left.pop(name) for name in list(left) if name in _OF.get(one, ())}
            members.append(self._node({"type": one, **own}))
        return members[0] if len(members) == 1 else {"anyOf": members}

    def _of_type(self, kind: str, left: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"type": kind}
        if kind == "object":
            self._fill_object(made, left)
        elif kind == "array":
            self._fill_array(made, left)
        elif kind == "string" and left.get("format") in _FORMATS:
            made["format"] = left.pop("format")
        return made

    def _fill_object(self, made: dict[str, Any], left: dict[str, Any]) -> None:
        properties: dict[str, Any] = {}
        for name, value in left.pop("properties", {}).items():
            properties[name] = self._node(value if isinstance(value, dict) else {})
        if not properties and left.get("additionalProperties") is not False:
            self._changes.tell("an object of any properties became an empty one")
        if left.get("additionalProperties") is False:
            del left["additionalProperties"]
        made["properties"] = properties
        made["additionalProperties"] = False
        required = [name for name in left.pop("required", ()) if name in properties]
        if required:
            made["required"] = required

    def _fill_array(self, made: dict[str, Any], left: dict[str, Any]) -> None:
        items = left.pop("items", {})
        if not items and "prefixItems" in left:
            items = {"anyOf": left["prefixItems"]}
        made["items"] = self._node(items or {})
        if left.get("minItems") in (0, 1):
            made["minItems"] = left.pop("minItems")

    def _anything(self) -> dict[str, Any]:
        """The dialect has no word for any value, and lists and objects of anything cannot be told at all."""
        self._changes.tell("any value became any scalar")
        return {"anyOf": [{"type": kind} for kind in _SCALARS]}


def _folded(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with the members of its ``allOf`` that are only more words on what the others are."""
    if "allOf" not in schema:
        return schema
    folded = dict(schema)
    members = folded.pop("allOf")
    others = [member for member in members if not isinstance(member, dict) or not _SUBSTANCE.isdisjoint(member)]
    if others:
        folded["allOf"] = others
    for member in members:
        if isinstance(member, dict) and _SUBSTANCE.isdisjoint(member):
            for name, value in member.items():
                folded.setdefault(name, value)
    return folded


def _values(left: dict[str, Any]) -> dict[str, Any] | None:
    """An ``enum`` or ``const`` of primitives, taken out with the type beside it."""
    name = "enum" if "enum" in left else "const" if "const" in left else ""
    if not name:
        return None
    values = left["enum"] if name == "enum" else [left["const"]]
    if any(isinstance(value, dict | list) for value in values):
        return None
    del left[name]
    left.pop("type", None)
    if left.pop("nullable", None) is True and None not in values:
        name, values = "enum", [*values, None]
    return {"enum": values} if name == "enum" else {"const": values[0]}


def fits_output(schema: Mapping[str, Any]) -> bool:
    """Whether the dialect can say of a schema what it allows: no open maps, nothing that contains itself.

    Where it cannot, an answer made to fit would lack what the client asked for.  Source: protocols.md 6.4.2.
    """
    return not _narrowed(schema, schema, (), set())


def _narrowed(node: Any, root: Mapping[str, Any], inside: tuple[str, ...], fine: set[str]) -> bool:
    """``inside``: the references that lead here; ``fine``: those that were looked at."""
    if not isinstance(node, dict):
        return node is True
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference in inside:
            return True
        target = None if reference in fine else _pointed(root, reference)
        fine.add(reference)
        return target is not None and _narrowed(target, root, (*inside, reference), fine)
    properties, more = node.get("properties"), node.get("additionalProperties")
    if isinstance(more, dict) or node.get("patternProperties") or not node.keys() - _WORDS_ONLY:
        return True
    if node.get("type") == "object" and not properties and not node.keys() & _UNIONS:
        return more is not False
    below = list(properties.values()) if isinstance(properties, dict) else []
    for name in _UNIONS:
        below += node[name] if isinstance(node.get(name), list) else []
    if "items" in node:
        below.append(node["items"])
    return any(_narrowed(one, root, inside, fine) for one in below)


def _pointed(root: Mapping[str, Any], reference: str) -> Any:
    """What a local reference points to; None for any other."""
    if not reference.startswith("#"):
        return None
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, dict) else None
    return place


_UNIONS: Final = frozenset(("anyOf", "oneOf", "allOf"))
#: Words that say nothing of a value.
_WORDS_ONLY: Final = frozenset(("description", "title", "default", "examples", "$comment"))
