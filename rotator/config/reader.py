"""The one strict reader: plain data (YAML, JSON, text of the environment) -> frozen dataclasses.

A class says what it takes by its annotations: int, float, bool, str, Path, ``tuple[X, ...]``, ``Mapping[str, X]``,
Literal, unions of these, Any and other dataclasses; :func:`setting` adds a range, a key of its own and the names under
which flags and the environment set it. Nothing is guessed: an unknown key, a wrong type and a value out of range are
problems, and all of them are told at once.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import (
    Any,
    Final,
    Literal,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from rotator.config.secrets import masked, reveals_nothing
from rotator.config.suggest import unknown
from rotator.errors import ConfigError, Problem

T = TypeVar("T")

_WORDS: Final = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")


class Options(TypedDict, total=False):
    """What :func:`setting` takes beside the default."""

    key: str
    env: str
    aliases: tuple[str, ...]
    flag: str
    minimum: float
    maximum: float
    off: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field says beyond its type. ``env`` holds its variables, the firm name first; ``off`` allows none."""

    key: str | None = None
    env: tuple[str, ...] = ()
    flag: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    off: bool = False
    doc: str = ""


PLAIN: Final = Rule()


@overload
def setting(default: T, **options: Unpack[Options]) -> T: ...
@overload
def setting(**options: Unpack[Options]) -> Any: ...
def setting(default: object = MISSING, **options: Unpack[Options]) -> object:
    """A dataclass field with its rule; without a default the key is required.

    ``key`` is its name in files (default: the field's). ``env``, ``aliases`` and ``flag`` (``--host``) are read for
    the top-level fields of a section only. ``off`` lets ``off`` and null stand for None.
    """
    names = (options["env"], *options.get("aliases", ())) if "env" in options else ()
    rule = Rule(
        options.get("key"),
        names,
        options.get("flag"),
        options.get("minimum"),
        options.get("maximum"),
        options.get("off", False),
        options.get("doc", ""),
    )
    metadata = {"rule": rule}
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    if default.__hash__ is None:
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class At:
    """A place in the configuration. ``folder`` is what relative paths start from.

    ``text``: everything there is written as text (a flag, a variable), so ``30`` is a number and ``a,b`` a list.
    """

    where: str
    key: str = ""
    folder: Path = Path()
    text: bool = False

    def child(self, key: str) -> At:
        shown = masked(key)
        return dataclasses.replace(self, key=f"{self.key}.{shown}" if self.key else shown)

    def item(self, index: int) -> At:
        return dataclasses.replace(self, key=f"{self.key}[{index}]")

    def refuse(self, reason: str) -> ConfigError:
        return ConfigError([Problem(self.where, self.key, reason)])


@dataclass(frozen=True, slots=True)
class Entry:
    """A field as files see it."""

    key: str
    name: str
    hint: object
    rule: Rule
    required: bool
    default: object


#: By class: resolving annotations takes a while.
_entries: Final[dict[type[Any], Mapping[str, Entry]]] = {}


def entries(cls: type[Any]) -> Mapping[str, Entry]:
    """The fields of a dataclass by their key in files."""
    if cls not in _entries:
        _entries[cls] = types.MappingProxyType(_read_fields(cls))
    return _entries[cls]


def _read_fields(cls: type[Any]) -> dict[str, Entry]:
    hints = get_type_hints(cls, _names_around(cls))
    found = {}
    for field in dataclasses.fields(cls):
        rule: Rule = field.metadata.get("rule", PLAIN)
        made = field.default_factory() if field.default_factory is not MISSING else field.default
        key = rule.key or field.name
        found[key] = Entry(key, field.name, hints[field.name], rule, made is MISSING, made)
    return found


def _names_around(cls: type[Any]) -> dict[str, Any]:
    """What the annotations of a dataclass may name: its module's own names, even where another one took its place.

    Plug-ins are mounted under names of our own, and a later mount leaves the classes of an earlier one without theirs.
    """
    names: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names |= getattr(vars(base).get("__init__"), "__globals__", {})
    return names


def read(cls: type[T], data: object, at: At, problems: list[Problem]) -> T | None:
    """An instance of the dataclass ``cls`` from a mapping; None exactly if something was added to ``problems``."""
    try:
        return cast(T, parse(cls, data, at))
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def parse(hint: object, data: object, at: At, rule: Rule = PLAIN) -> object:
    """``data`` as the type ``hint``. Raises ConfigError with everything that is wrong in it."""
    if rule.off and (data is None or data is False or isinstance(data, str) and data.strip().lower() == "off"):
        return None
    if hint is Any:
        return data
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _build(hint, data, at)
    kind = get_origin(hint)
    if kind in (Union, types.UnionType):
        return _union(hint, data, at, rule)
    if kind is Literal:
        return _choice(hint, data, at)
    if kind is tuple:
        return _items(hint, data, at, rule)
    if kind is Mapping or kind is dict:
        return _table(hint, data, at, rule)
    return _scalar(hint, data, at, rule)


def placed(problem: Problem) -> Problem:
    """A problem that a class's own check found (``at: expected ...``), with the key it names moved to its place."""
    key, colon, reason = problem.reason.partition(": ")
    if not colon or " " in key:
        return problem
    return Problem(problem.where, f"{problem.key}.{key}" if problem.key else key, reason)


def describe(hint: object, rule: Rule = PLAIN) -> str:
    """What a value must be, for problems and for the documentation."""
    if rule.off:
        return f"{describe(hint, dataclasses.replace(rule, off=False))} or off"
    kind = get_origin(hint)
    if kind in (Union, types.UnionType):
        return " or ".join(describe(one, rule) for one in get_args(hint) if one is not types.NoneType)
    if kind is Literal:
        return " or ".join(str(one) for one in get_args(hint))
    if kind is tuple:
        return "a list"
    if kind is Mapping or kind is dict or dataclasses.is_dataclass(hint):
        return "a mapping"
    return f"{_NOUNS[hint]}{_range(rule)}" if hint in (int, float) else _NOUNS[hint]


def found(data: object) -> str:
    """What stands there instead, for a problem: never a text that might be a secret."""
    if data is None:
        return "nothing"
    if isinstance(data, bool):
        return str(data).lower()
    if isinstance(data, str):
        return repr(data) if reveals_nothing(data) else "a text"
    if isinstance(data, Mapping):
        return "a mapping"
    if isinstance(data, list | tuple):
        return "a list"
    return "a very large number" if isinstance(data, int) and abs(data) >= 10**24 else str(data)


def _wrong(hint: object, data: object, at: At, rule: Rule = PLAIN) -> ConfigError:
    return at.refuse(f"expected {describe(hint, rule)}, found {found(data)}")


def _build(cls: type[Any], data: object, at: At) -> object:
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise _wrong(cls, data, at)
    known = entries(cls)
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for key, value in data.items():
        place = at.child(str(key))
        if key not in known:
            problems.append(Problem(place.where, place.key, unknown("key", str(key), known)))
            continue
        entry = known[key]
        try:
            values[entry.name] = parse(entry.hint, value, place, entry.rule)
        except ConfigError as error:
            problems.extend(error.problems)
    for entry in known.values():
        if entry.required and entry.key not in data:
            problems.append(Problem(at.where, at.child(entry.key).key, "missing"))
    if problems:
        raise ConfigError(problems)
    try:
        return cls(**values)
    except ValueError as error:
        raise at.refuse(str(error)) from None


def _union(hint: object, data: object, at: At, rule: Rule) -> object:
    """The member that fits; where only one has the data's shape, its problems are told rather than the union's."""
    members = [one for one in get_args(hint) if one is not types.NoneType]
    if data is None and len(members) < len(get_args(hint)):
        return None
    fitting = [one for one in members if _shape(one) == _shape_of(data)] if not at.text else members
    failures = []
    for member in fitting:
        try:
            return parse(member, data, at, rule)
        except ConfigError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise _wrong(hint, data, at, rule)


def _shape(hint: object) -> str:
    kind = get_origin(hint)
    if kind is Mapping or kind is dict or dataclasses.is_dataclass(hint):
        return "mapping"
    return "list" if kind is tuple else "scalar"


def _shape_of(data: object) -> str:
    if isinstance(data, Mapping):
        return "mapping"
    return "list" if isinstance(data, list | tuple) else "scalar"


def _choice(hint: object, data: object, at: At) -> object:
    if (data is None or data is False) and "off" in get_args(hint):
        return "off"
    for choice in get_args(hint):
        if data == choice and type(data) is type(choice) or at.text and str(data).strip() == str(choice):
            return cast(object, choice)
    raise _wrong(hint, data, at)


def _items(hint: object, data: object, at: At, rule: Rule) -> object:
    if at.text and isinstance(data, str):
        data = [item.strip() for item in data.split(",") if item.strip()]
    if not isinstance(data, list | tuple):
        raise _wrong(hint, data, at)
    values = []
    problems: list[Problem] = []
    for index, value in enumerate(data):
        try:
            values.append(parse(get_args(hint)[0], value, at.item(index), rule))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return tuple(values)


def _table(hint: object, data: object, at: At, rule: Rule) -> object:
    """A rule's range is that of the values."""
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise _wrong(hint, data, at)
    values = {}
    problems: list[Problem] = []
    for key, value in data.items():
        try:
            values[str(key)] = parse(get_args(hint)[1], value, at.child(str(key)), rule)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return types.MappingProxyType(values)


def _scalar(hint: object, data: object, at: At, rule: Rule) -> object:
    value = _SCALARS[hint](data, at)
    if value is None:
        raise _wrong(hint, data, at, rule)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low = rule.minimum is not None and value < rule.minimum
        if low or rule.maximum is not None and value > rule.maximum:
            raise _wrong(hint, data, at, rule)
    return value


def _whole(data: object, at: At) -> int | None:
    if at.text and isinstance(data, str) and len(data) < 30 and _WHOLE.fullmatch(data.strip()):
        return int(data)
    return data if isinstance(data, int) and not isinstance(data, bool) else None


def _number(data: object, at: At) -> float | None:
    if at.text and isinstance(data, str):
        try:
            data = float(data)
        except ValueError:
            return None
    if isinstance(data, bool) or not isinstance(data, int | float):
        return None
    try:
        return float(data) if math.isfinite(data) else None
    except OverflowError:
        return None


def _truth(data: object, at: At) -> bool | None:
    if isinstance(data, str):  # in files, too: the YAML reader leaves "yes" and "off" as texts
        return _WORDS.get(data.strip().lower())
    return data if isinstance(data, bool) else None


def _text(data: object, at: At) -> str | None:
    return data if isinstance(data, str) else None


def _path(data: object, at: At) -> Path | None:
    if not isinstance(data, str) or not data:
        return None
    try:
        return at.folder / Path(data).expanduser()
    except RuntimeError:  # no such user
        return None


def _range(rule: Rule) -> str:
    if rule.minimum is not None and rule.maximum is not None:
        return f" from {_short(rule.minimum)} to {_short(rule.maximum)}"
    if rule.minimum is not None:
        return f" of at least {_short(rule.minimum)}"
    return "" if rule.maximum is None else f" of at most {_short(rule.maximum)}"


def _short(number: float) -> float:
    """Without ``.0``."""
    return int(number) if float(number).is_integer() else number


_SCALARS: Final[dict[object, Callable[[object, At], object]]] = {
    int: _whole,
    float: _number,
    bool: _truth,
    str: _text,
    Path: _path,
}
_NOUNS: Final[dict[object, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    Any: "anything",
}
