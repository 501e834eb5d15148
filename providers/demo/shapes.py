"""The language of the request tables: where an object stands, what its fields may hold, and how that is checked.

Every line of a table becomes one `Check` with a name of its own, so that a test can take it out. A check never
trusts another one: a place yields only what has the right JSON type, and skips the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .calls import Call, Fault

Path = tuple[str | int, ...]
Found = tuple[Path, dict[str, Any]]
Place = Callable[[Call], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the vendor. `find` gives a fault for each breach, in the order of the document."""

    name: str
    find: Callable[[Call], Iterable[Fault]]


def first_fault(call: Call, checks: Sequence[Check]) -> Fault | None:
    """What the vendor complains about, or None: it names one fault only."""
    for check in checks:
        for fault in check.find(call):
            return fault
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be: JSON types, an enum, bounds (of a number, else of the length), a pattern."""

    types: tuple[str, ...]
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that breaks its kind, before a vendor puts it into words."""

    path: Path
    breach: Literal["missing", "unknown", "type", "value", "low", "high", "pattern"]
    got: Any = None
    want: Kind | None = None


Dialect = Callable[[Problem], Fault]


def json_type(value: Any) -> str:
    """string, integer, number, boolean, array, object or null."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def problem_of(path: Path, kind: Kind, value: Any) -> Problem | None:
    """The first way in which `value` breaks `kind`; bounds count for strings, arrays and objects as lengths."""
    found = json_type(value)
    fits = found in kind.types or (found == "integer" and "number" in kind.types)
    if not fits:
        return Problem(path, "type", value, kind)
    if kind.values and found == "string" and value not in kind.values:
        return Problem(path, "value", value, kind)
    size = len(value) if found in ("string", "array", "object") else value if found in ("integer", "number") else None
    if size is not None and kind.low is not None and size < kind.low:
        return Problem(path, "low", value, kind)
    if size is not None and kind.high is not None and size > kind.high:
        return Problem(path, "high", value, kind)
    if kind.pattern is not None and found == "string" and not re.search(kind.pattern, value):
        return Problem(path, "pattern", value, kind)
    return None


def kind(*types: str, low: float | None = None, high: float | None = None, pattern: str | None = None) -> Kind:
    """A kind by its JSON types."""
    return Kind(types, low=low, high=high, pattern=pattern)


def enum(*values: str, null: bool = False) -> Kind:
    """One of these strings, or null where `null`."""
    return Kind(("string", "null") if null else ("string",), values)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object: its kind (None: known, but another check looks at it), and the kind of its members."""

    kind: Kind | None = None
    required: bool = False
    each: Kind | None = None
    """for members of an array, or values of an object"""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of object at a place. An `open` one may have fields that are not listed."""

    name: str
    place: Place
    fields: Mapping[str, Field]
    open: bool = False


def root(call: Call) -> Iterator[Found]:
    """The body."""
    if isinstance(call.body, dict):
        yield (), call.body


def child(place: Place, key: str) -> Place:
    """The object in a field."""

    def found(call: Call) -> Iterator[Found]:
        for path, holder in place(call):
            value = holder.get(key)
            if isinstance(value, dict):
                yield (*path, key), value

    return found


def items(place: Place, key: str) -> Place:
    """Each object in an array field."""

    def found(call: Call) -> Iterator[Found]:
        for path, holder in place(call):
            members = holder.get(key)
            for index, value in enumerate(members if isinstance(members, list) else ()):
                if isinstance(value, dict):
                    yield (*path, key, index), value

    return found


def where(place: Place, key: str, *values: str | None, tag: str = "") -> Place:
    """Those whose field has one of the values (None: also without it); `tag` is added to the path."""

    def found(call: Call) -> Iterator[Found]:
        for path, holder in place(call):
            value = holder.get(key)
            if (value is None or isinstance(value, str)) and value in values:
                yield ((*path, tag) if tag else path), holder

    return found


def either(*places: Place) -> Place:
    """All of these, one place after the other."""

    def found(call: Call) -> Iterator[Found]:
        for place in places:
            yield from place(call)

    return found


def _field_check(shape: Shape, key: str, dialect: Dialect) -> Check:
    line = shape.fields[key]

    def find(call: Call) -> Iterator[Fault]:
        for path, holder in shape.place(call):
            problem: Problem | None = None
            if key in holder:
                problem = problem_of((*path, key), line.kind, holder[key]) if line.kind else None
            elif line.required:
                problem = Problem((*path, key), "missing")
            if problem:
                yield dialect(problem)

    return Check(f"{shape.name}.{key}", find)


def _members_check(shape: Shape, key: str, each: Kind, dialect: Dialect) -> Check:
    def find(call: Call) -> Iterator[Fault]:
        for path, holder in shape.place(call):
            value = holder.get(key)
            members: Iterable[tuple[str | int, Any]] = ()
            if isinstance(value, list):
                members = enumerate(value)
            elif isinstance(value, dict):
                members = value.items()
            for name, member in members:
                problem = problem_of((*path, key, name), each, member)
                if problem:
                    yield dialect(problem)

    return Check(f"{shape.name}.{key}[]", find)


def _known_check(shape: Shape, dialect: Dialect) -> Check:
    def find(call: Call) -> Iterator[Fault]:
        for path, holder in shape.place(call):
            for key in holder:
                if key not in shape.fields:
                    yield dialect(Problem((*path, key), "unknown"))

    return Check(f"{shape.name}.*", find)


def checks_of(shapes: Sequence[Shape], dialect: Dialect) -> Iterator[Check]:
    """A check for each line of the tables, and one for unknown fields of each closed shape."""
    for shape in shapes:
        for key, line in shape.fields.items():
            if line.kind is not None or line.required:
                yield _field_check(shape, key, dialect)
            if line.each is not None:
                yield _members_check(shape, key, line.each, dialect)
        if not shape.open:
            yield _known_check(shape, dialect)
