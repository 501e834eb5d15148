"""One object instead of several: references, unions and the root of a tool's schema.  Source: protocols.md 6.1.4.

Anthropic refuses ``anyOf``, ``oneOf`` and ``allOf`` at the root, OpenAI ``enum`` and ``not`` too, and both want an
object there (P-75). Alternatives are merged into one set of properties, and the description says what they were.
Everything here is linear in the size of the document: schemas come from strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from rotator.api import dumps

#: Keywords that must not stand at the root.
ROOT_ONLY: Final = frozenset(("$ref", "allOf", "anyOf", "enum", "not", "oneOf"))
#: Keywords that a merged object says in a way of its own.
_MERGED: Final = ROOT_ONLY - {"enum", "not"} | {"properties", "required", "type"}
#: Keywords that are nothing without each other.
_CONDITION: Final = ("if", "then", "else")
#: Keywords that say nothing of the object, or only of the schema that they stand in.
_ABOUT: Final = frozenset(("$comment", "default", "description", "examples", "title"))
_IDENTITY: Final = frozenset(("$anchor", "$defs", "$dynamicAnchor", "$id", "$schema", "definitions"))
#: Schemas inside or behind each other that are merged into one object.
_DEPTH: Final = 50
#: Keywords and properties that are merged before references are followed no more.
_MERGING: Final = 50_000
#: What descriptions get at most.
_NOTES: Final = 20
_NOTE_CHARACTERS: Final = 1_000
_CHANGES_LIMIT: Final = 10
_CHANGE_CHARACTERS: Final = 120


class Changes:
    """What was changed in one schema, in words: each once, the first few."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, None] = {}

    def tell(self, change: str) -> None:
        if len(self._told) < _CHANGES_LIMIT:
            self._told[change[:_CHANGE_CHARACTERS]] = None

    def words(self) -> tuple[str, ...]:
        return tuple(self._told)


class Document:
    """A whole schema and what references in it point to.  ``merging``: how much may still be merged in it."""

    __slots__ = ("_named", "merging", "root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.merging = _MERGING
        self._named: dict[str, dict[str, Any]] | None = None

    def target(self, reference: Any) -> dict[str, Any] | None:
        """The schema that a reference points to; None if there is none in the document."""
        if not isinstance(reference, str):
            return None
        steps = local_steps(reference)
        if steps is None:
            return self._by_name().get(reference)
        found: Any = self.root
        for step in steps:
            found = child(found, step)
        return found if isinstance(found, dict) else None

    def _by_name(self) -> dict[str, dict[str, Any]]:
        """Schemas by their ``$id``, and by ``#`` and their ``$anchor``."""
        if self._named is not None:
            return self._named
        self._named = {}
        waiting: list[Any] = [self.root]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                for name, sign in (("$id", ""), ("$anchor", "#")):
                    if isinstance(value.get(name), str):
                        self._named.setdefault(sign + value[name], value)
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value
        return self._named


def local_steps(reference: str) -> list[str] | None:
    """The steps of a JSON pointer into the same document, None for another kind of reference."""
    if reference == "#":
        return []
    if not reference.startswith("#/"):
        return None
    return [unquote(step).replace("~1", "/").replace("~0", "~") for step in reference[2:].split("/")]


def child(value: Any, step: str) -> Any:
    """What one step of a pointer finds, None if nothing."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isascii() and step.isdecimal() and len(step) < 9 and int(step) < len(value):
        return value[int(step)]
    return None


def merged_root(document: Document, changes: Changes) -> dict[str, Any]:
    """The root as an object; below it nothing is touched."""
    schema = document.root
    if not may_be_object(schema.get("type")) and not isinstance(schema.get("properties"), dict):
        changes.tell("the root is no object")
        words = ("$schema", "$id", "$defs", "definitions", "title", "description")
        return {"type": "object", "properties": {}, **{name: schema[name] for name in words if name in schema}}
    if not schema.keys() & ROOT_ONLY:
        return _rooted(schema)
    shape = Shape(document, changes)
    shape.add(schema)
    notes: list[str] = []
    for name in ("enum", "not"):
        if name in shape.words:
            changes.tell(f"{name} at the root was moved into the description")
            notes.append(f"{{{name}: {dumps(shape.words.pop(name)).decode()}}}")
    merged = shape.schema()
    describe(merged, notes)
    # What stays keeps its place; what came from elsewhere follows.
    kept = {name: merged[name] for name in schema if name in merged}
    return _rooted({**kept, **merged})


def _rooted(schema: Mapping[str, Any]) -> dict[str, Any]:
    rooted = {**schema, "type": "object"} if "type" in schema else {"type": "object", **schema}
    if not isinstance(rooted.get("properties"), dict):
        rooted["properties"] = {}
    return rooted


def may_be_object(kind: Any) -> bool:
    """Whether a ``type`` lets objects in; what is no type says nothing."""
    if isinstance(kind, list):
        return not kind or any(isinstance(one, str) and one.lower() == "object" for one in kind)
    return not isinstance(kind, str) or kind.lower() == "object"


def describe(schema: dict[str, Any], notes: Sequence[str]) -> None:
    """Put notes behind a schema's description, in place."""
    if notes:
        own = schema.get("description")
        schema["description"] = "\n\n".join([own, *notes] if isinstance(own, str) and own else notes)


class Shape:
    """What schemas of one document say together of one object.

    ``words`` are their other keywords, the first of each name. ``around``: what the object is in any case, where this
    is one alternative of it; a reference that was followed there or here adds nothing again.
    """

    __slots__ = (
        "_around", "_changes", "_closed", "_document", "_followed", "_has_alternatives", "_notes", "_properties",
        "_required", "words",
    )  # fmt: skip

    def __init__(self, document: Document, changes: Changes, around: Shape | None = None) -> None:
        self._document = document
        self._changes = changes
        self._around = around
        self._followed: set[str] = set()
        self._properties: dict[str, list[Any]] = {}  # name -> schemas that all apply
        self._required: dict[str, None] = {}
        self._closed = False
        self._has_alternatives = False
        self._notes: list[str] = []
        self.words: dict[str, Any] = {}

    def add(self, schema: Mapping[str, Any], depth: int = 0) -> None:
        """The object must also be what this schema says, with its references and unions."""
        if depth > _DEPTH:
            self._changes.tell("too many schemas of one object inside each other")
            return
        self._add_own(schema)
        self._add_words(schema, depth)
        if "$ref" in schema:
            self._follow(schema["$ref"], depth)
        for member in _objects(schema.get("allOf")):
            self.add(member, depth + 1)
        for union in ("anyOf", "oneOf"):
            self._add_either(list(_objects(schema.get(union))), union, depth)

    def schema(self) -> dict[str, Any]:
        """All of it as one schema."""
        properties = {name: _all_of(values) for name, values in self._properties.items()}
        words = self.words
        if self._has_alternatives:  # what they evaluate is merged or gone
            words = {name: value for name, value in words.items() if name != "unevaluatedProperties"}
        made: dict[str, Any] = {"type": "object", **words, "properties": properties}
        if self._required:
            made["required"] = list(self._required)
        if self._closed:
            made["additionalProperties"] = False
        describe(made, self._notes)
        return made

    def _add_own(self, schema: Mapping[str, Any]) -> None:
        properties, required = schema.get("properties"), schema.get("required")
        for name, value in properties.items() if isinstance(properties, dict) else ():
            self._properties.setdefault(name, []).append(value)
        for name in required if isinstance(required, list) else ():
            if isinstance(name, str):
                self._required[name] = None
        self._closed = self._closed or schema.get("additionalProperties") is False
        self._document.merging -= len(self._properties) + len(schema)

    def _add_words(self, schema: Mapping[str, Any], depth: int) -> None:
        """Other keywords.  Of two that say different things the first stays."""
        conditional = "if" in schema and "if" not in self.words
        for name, value in schema.items():
            if name in _MERGED or (name in _CONDITION and not conditional) or (depth and name in _IDENTITY):
                continue
            own = self.words.setdefault(name, value)
            if own is not value and own != value and name not in _ABOUT and name != "additionalProperties":
                self._changes.tell(f"{name} was said twice")
        if "if" in schema and not conditional:
            self._changes.tell("if was said twice")

    def _follow(self, reference: Any, depth: int) -> None:
        found = self._document.target(reference)
        if found is None:
            self._changes.tell(f"$ref {dumps(reference).decode()} points nowhere")
        elif self._document.merging < 0:
            self._changes.tell("too many references in one object")
        elif not self._has_followed(reference) and found is not self._document.root:
            self._followed.add(reference)
            self.add(found, depth + 1)

    def _has_followed(self, reference: str) -> bool:
        shape: Shape | None = self
        while shape is not None:
            if reference in shape._followed:
                return True
            shape = shape._around
        return False

    def _add_either(self, members: Sequence[Mapping[str, Any]], union: str, depth: int) -> None:
        """One of these: a name may have any of the values it has in them, what all require is required."""
        if not members:
            return
        self._changes.tell(f"{union} was merged into one object")
        self._has_alternatives = True
        shapes: list[Shape] = []
        for member in members:
            shape = Shape(self._document, self._changes, self)
            shape.add(member, depth + 1)
            shapes.append(shape)
        found: dict[str, list[Any]] = {}
        for shape in shapes:
            self._notes += shape._notes
            for name, values in shape._properties.items():
                if name not in self._properties:
                    found.setdefault(name, []).append(_all_of(values))
        for name, values in found.items():
            each = _distinct(values)
            self._properties[name] = each if len(each) == 1 else [{"anyOf": each}]
        for name in shapes[0]._required:
            if all(name in shape._required for shape in shapes):
                self._required[name] = None
        self._closed = self._closed or all(shape._closed for shape in shapes)
        if any(shape._properties or shape._required for shape in shapes):
            note = ("Accepts: " if found else "Requires: ") + " | ".join(shape._written() for shape in shapes)
            self._notes.append(note if len(note) <= _NOTE_CHARACTERS else f"{note[:_NOTE_CHARACTERS]}...")
            del self._notes[_NOTES:]

    def _written(self) -> str:
        names = [name if name in self._required else f"{name}?" for name in self._properties]
        names += [name for name in self._required if name not in self._properties]
        return "{" + ", ".join(names) + "}" if names or self._closed else "any object"


def _all_of(schemas: list[Any]) -> Any:
    each = schemas if len(schemas) == 1 else _distinct(schemas)
    return each[0] if len(each) == 1 else {"allOf": each}


def _distinct(schemas: list[Any]) -> list[Any]:
    return list({dumps(schema): schema for schema in schemas}.values())


def _objects(members: Any) -> Iterable[Mapping[str, Any]]:
    """The members of a union that may be objects."""
    for member in members if isinstance(members, list) else ():
        if isinstance(member, dict) and may_be_object(member.get("type")):
            yield member
