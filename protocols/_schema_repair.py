"""JSON Schemas of tools as Chat and Messages take them.  Source: protocols.md 6.0, 6.1.4; conversion-pitfalls.md 3.5.

Both take full JSON Schema (draft 2020-12) below a root that must be a plain object. So here the root is made one, and
below it only what no validator would take is repaired. Keywords are looked for only where schemas stand: names of
properties, defaults and constants are data (P-99, P-100). What is given is never changed; unchanged pieces are shared.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from rotator.api import dumps

from ._schema_roots import ROOT_ONLY, Changes, Document, child, local_steps, merged_root

TYPES: Final = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
#: Keywords whose value is one schema.
SINGLE: Final = frozenset((
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
))  # fmt: skip
#: Keywords whose value is a list of schemas.
LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
#: Keywords whose value is an object of schemas.
MAPS: Final = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties", "properties"))
#: Other keywords whose value may be an object.
_OBJECTS: Final = frozenset((
    "const", "default", "dependencies", "dependentRequired", "discriminator", "example", "externalDocs", "xml",
))  # fmt: skip
#: Schemas here stand for the value itself, not for one inside of it.
_SAME_VALUE: Final = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"))
#: Beside these, properties may be named elsewhere.
_ELSEWHERE: Final = ("$ref", "allOf", "anyOf", "dependentSchemas", "if", "oneOf", "patternProperties")
#: Drafts before 2020-12 wrote tuples in other words, draft 4 exclusive bounds as flags.
_TUPLES: Final = {"items": "prefixItems", "additionalItems": "items"}
_FLAGGED: Final = {"exclusiveMaximum": "maximum", "exclusiveMinimum": "minimum"}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


#: What the value of a plain keyword must be; one that is not would make the upstream refuse the whole tool.
_VALUES: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$schema", "contentEncoding",
         "contentMediaType", "description", "format", "pattern", "title"), _is_text),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"), _is_number),
    **dict.fromkeys(("maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength",
                     "minProperties"), _is_count),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), _is_flag),
    "enum": _is_filled_list,
    "examples": _is_list,
}  # fmt: skip


def repaired_tool(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A schema with an object at its root, and what was changed, in words."""
    changes = Changes()
    wrapped = _unbared(schema, "the root", changes)
    root = merged_root(Document(wrapped), changes)
    walk = _Repair(Document(schema), frozenset(wrapped.keys() & ROOT_ONLY - root.keys()), changes)
    return walk.root(root), changes.words()


def repaired(schema: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """A schema of any kind, repaired."""
    return _Repair(Document(schema), frozenset(), changes).node(_unbared(schema, "the root", changes), True)


def lower_types(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with every ``type`` in lower case; the same object where none was upper case."""
    changed: dict[str, Any] = {}
    for name, value in schema.items():
        lower: Any = value
        if name == "type" and isinstance(value, str):
            lower = value.lower()
        elif name in SINGLE and isinstance(value, dict):
            lower = lower_types(value)
        elif name in MAPS and isinstance(value, dict):
            lower = {key: lower_types(each) if isinstance(each, dict) else each for key, each in value.items()}
            lower = value if all(each is value[key] for key, each in lower.items()) else lower
        elif name in LISTS and isinstance(value, list):
            lower = [lower_types(each) if isinstance(each, dict) else each for each in value]
            lower = value if all(map(operator.is_, lower, value)) else lower
        if lower is not value and (name != "type" or lower != value):
            changed[name] = lower
    return {**schema, **changed} if changed else schema


def is_bare(schema: Mapping[str, Any]) -> bool:
    """Whether an object holds properties where a schema should be (MCP servers, P-104)."""
    unknown = False
    for name, value in schema.items():
        if isinstance(value, str) and name in _VALUES:
            continue
        if not isinstance(value, dict) or not _is_schema_like(value):
            return False
        takes_object = name in SINGLE or name in MAPS or name in _OBJECTS or name.startswith(("x-", "$"))
        unknown = unknown or not takes_object
    return unknown


def _is_schema_like(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if isinstance(kind, str):
        return kind.lower() in TYPES
    return (
        isinstance(kind, list)
        or isinstance(value.get("$ref"), str)
        or isinstance(value.get("properties"), dict)
        or any(isinstance(value.get(name), list) for name in ("anyOf", "oneOf", "allOf", "enum"))
    )


def _unbared(schema: Mapping[str, Any], where: str, changes: Changes) -> Mapping[str, Any]:
    """An object where properties stood bare; texts beside them are its own."""
    if not is_bare(schema):
        return schema
    changes.tell(f"{where}: a bare map of properties became an object")
    texts = {name: value for name, value in schema.items() if isinstance(value, str)}
    return {"type": "object", **texts, "properties": {n: value for n, value in schema.items() if n not in texts}}


class _Repair:
    """One walk through one schema.  ``gone``: keywords that the root of the document had and no longer has."""

    def __init__(self, document: Document, gone: frozenset[str], changes: Changes) -> None:
        self._document = document
        self._changes = changes
        taken = document.root.get("$defs")
        self._places = {name: _free_name(f"root_{name}", taken if isinstance(taken, dict) else {}) for name in gone}
        self._wanted: list[str] = []  # of these keywords, those that references lead into

    def root(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The root of a tool's schema: an object with properties, and definitions of what references still need."""
        fixed = self.node(schema, True)
        for name in self._wanted:  # grows while what is kept refers to more
            kept = self.node({name: self._document.root[name]}, False)
            fixed["$defs"] = {**fixed.get("$defs", {}), self._places[name]: kept}
        return fixed

    def node(self, schema: Mapping[str, Any], plain: bool) -> dict[str, Any]:
        """One schema.  ``plain``: it stands for a value of its own, not for one more word on the same value."""
        fixed: dict[str, Any] = {}
        lifted: list[str] = []
        for name, value in schema.items():
            if value is None and name in _KEYWORDS:
                continue  # null counts as absent, as in all that a client sends
            if name in SINGLE:
                self._single(fixed, name, value)
            elif name in LISTS:
                self._list(fixed, name, value)
            elif name in MAPS:
                self._map(fixed, name, value, lifted)
            elif (read := _READ.get(name)) is not None:
                read(self, fixed, value)
            elif (fits := _VALUES.get(name)) is None or fits(value):
                fixed[name] = value
            else:
                self._misfit(fixed, schema, name, value)
        if "additionalItems" in fixed and isinstance(schema.get("items"), list):
            rest = fixed.pop("additionalItems")
            fixed["items"] = {} if rest is True else rest
        if "required" in fixed or lifted:
            self._require(fixed, lifted, plain)
        if plain and "type" not in fixed and "properties" in fixed:
            fixed = {"type": "object", **fixed}
        kind = fixed.get("type")
        if (kind == "array" or (type(kind) is list and "array" in kind)) and "items" not in fixed:
            fixed["items"] = {}
        return fixed

    def _child(self, value: Any, plain: bool, where: str) -> Any:
        """A schema where one must stand; anything else says nothing."""
        if isinstance(value, dict):
            return self.node(_unbared(value, where, self._changes), plain)
        if isinstance(value, str) and value.lower() in TYPES:
            return {"type": value.lower()}
        if value is not True:
            self._changes.tell(f"{where}: what is no schema allows anything")
        return {}

    def _single(self, fixed: dict[str, Any], name: str, value: Any) -> None:
        if isinstance(value, dict):
            fixed[name] = self._child(value, name not in _SAME_VALUE, name)
        elif isinstance(value, bool):
            fixed[name] = {} if value and name == "items" else value
        elif isinstance(value, list) and name == "items":  # a tuple before draft 2020-12
            self._list(fixed, "prefixItems", value)
        else:
            self._malformed(name)

    def _list(self, fixed: dict[str, Any], name: str, value: Any) -> None:
        if not isinstance(value, list) or not value:
            self._malformed(name)
            return
        children: list[Any] = []
        plain = name not in _SAME_VALUE
        for each in value:
            children.append(each if each is False else self._child(each, plain, name))
        fixed[name] = children

    def _map(self, fixed: dict[str, Any], name: str, value: Any, lifted: list[str]) -> None:
        if not isinstance(value, dict):
            self._malformed(name)
            return
        children: dict[str, Any] = {}
        plain = name not in _SAME_VALUE
        for key, each in value.items():
            if name == "properties":
                if each is False:
                    self._changes.tell(f"{key}: a property that must not be there was left out")
                    continue
                if isinstance(each, dict) and isinstance(each.get("required"), bool):
                    lifted += [key] if each["required"] else []
                    each = {word: said for word, said in each.items() if word != "required"}
            children[key] = each if each is False else self._child(each, plain, key)
        fixed[name] = children

    def _type(self, fixed: dict[str, Any], value: Any) -> None:
        if isinstance(value, str) and value in TYPES:
            fixed["type"] = value
            return
        words = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        known = dict.fromkeys(word.lower() for word in words if isinstance(word, str) and word.lower() in TYPES)
        if not known or len(known) < len(words):
            self._changes.tell(f"type {dumps(value).decode()} was malformed")
        if known:
            fixed["type"] = next(iter(known)) if isinstance(value, str) else list(known)

    def _required(self, fixed: dict[str, Any], value: Any) -> None:
        """A list of names, each once."""
        names = [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
        wanted = list(dict.fromkeys(name for name in names if isinstance(name, str)))
        if any(not isinstance(name, str) for name in names):
            self._malformed("required")
        if wanted or isinstance(value, list):
            fixed["required"] = wanted

    def _require(self, fixed: dict[str, Any], lifted: list[str], plain: bool) -> None:
        """Add what properties said of themselves; take away what no property is, unless it may be one elsewhere."""
        wanted = dict.fromkeys((*fixed.get("required", ()), *lifted))
        properties = fixed.get("properties")
        if plain and properties is not None and fixed.keys().isdisjoint(_ELSEWHERE) and not (
            fixed.get("additionalProperties")
        ):
            for name in [name for name in wanted if name not in properties]:
                self._changes.tell(f"required {name} is no property")
                del wanted[name]
        fixed["required"] = list(wanted)

    def _reference(self, fixed: dict[str, Any], value: Any) -> None:
        """A reference that leads somewhere, spelt for where that is now."""
        if self._document.target(value) is None:
            self._changes.tell(f"$ref {dumps(value).decode()} points nowhere")
            return
        fixed["$ref"] = self._moved(value, local_steps(value) or [])

    def _moved(self, reference: str, steps: list[str]) -> str:
        moved: list[str] = []
        here: Any = self._document.root
        in_map = False
        for step in steps:
            if in_map or not isinstance(here, dict):
                moved.append(step)
                in_map = False
            else:
                moved += self._spelt(here, step, not moved)
                in_map = step in MAPS
            here = child(here, step)
        if moved == steps:
            return reference
        return "#/" + "/".join(quote(step.replace("~", "~0").replace("/", "~1"), safe="$~") for step in moved)

    def _spelt(self, schema: dict[str, Any], step: str, at_root: bool) -> list[str]:
        """A step out of a schema."""
        if at_root and step in self._places:
            self._wanted += [step] if step not in self._wanted else []
            return ["$defs", self._places[step], step]
        if isinstance(schema.get("items"), list) and step in _TUPLES:
            return [_TUPLES[step]]
        return ["properties", step] if is_bare(schema) else [step]

    def _misfit(self, fixed: dict[str, Any], schema: Mapping[str, Any], name: str, value: Any) -> None:
        """A value of the wrong kind; a flag beside a bound is one of draft 4."""
        bound = _FLAGGED.get(name)
        if bound is None or not isinstance(value, bool):
            self._malformed(name)
        elif value and _is_number(schema.get(bound)):
            fixed[name] = schema[bound]

    def _malformed(self, name: str) -> None:
        self._changes.tell(f"{name} was malformed")


_READ: Final[Mapping[str, Callable[[_Repair, dict[str, Any], Any], None]]] = {
    "$ref": _Repair._reference,
    "required": _Repair._required,
    "type": _Repair._type,
}
_KEYWORDS: Final = SINGLE | LISTS | MAPS | _VALUES.keys() | _READ.keys()


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
