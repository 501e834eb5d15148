"""What models take and refuse: tables of rows in data files, laid over by what a provider's dialect says.

A row's name is the beginning of its models' names: a date, a variant or a ``:tag`` may follow, another version not
(``claude-opus-4`` is none of ``claude-opus-4-9``). A ``*`` at its end lets anything follow. The longest name wins.
Dots and dashes are one. Source: protocols.md 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar

from rotator.api import loads


class Facts(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


F = TypeVar("F", bound=Facts)

#: Models whose row is remembered: names come from clients.
REMEMBERED: Final = 256
#: What may stand behind a row's name: a tag, or a word that is no version of one or two digits.
_BEHIND: Final = re.compile(r"[:@]|-(?!\d{1,2}(?:[-:@]|$))")


class Row(NamedTuple, Generic[F]):
    """A row: what its models' names begin with, whether anything may follow, and the facts."""

    name: str
    open: bool
    facts: F

    def fits(self, model: str) -> bool:
        """Whether a model, by its plain name, is one of the row's."""
        if not model.startswith(self.name):
            return False
        behind = model[len(self.name) :]
        return self.open or not behind or _BEHIND.match(behind) is not None


class Models(Generic[F]):
    """The rows of a protocol.  Facts are a frozen dataclass whose members are None where nothing is known."""

    def __init__(self, rows: Mapping[str, Row[F]], gateways: tuple[str, ...], unknown: F) -> None:
        self._rows = rows
        self._gateways = gateways
        self._unknown = unknown
        self._longest_first = sorted(rows.values(), key=lambda row: -len(row.name))
        #: The row of a model's name as clients and gateways spell it, None where none fits.
        self.row: Callable[[str], Row[F] | None] = lru_cache(REMEMBERED)(self._row)

    def of(self, model: str) -> F:
        """What is known of a model."""
        row = self.row(model)
        return self._unknown if row is None else row.facts

    def family(self, model: str) -> str:
        """The name of its row, else its own."""
        row = self.row(model)
        return model if row is None or not row.name else row.name

    def over(self, more: Mapping[str, F]) -> Models[F]:
        """These rows with a provider's laid over them: what a row does not say is as in the row that it begins with."""
        rows = dict(self._rows)
        for pattern, facts in more.items():
            name, open_ = _of_pattern(self._plain(pattern))
            there = self._rows.get(name) or self._row(name)
            rows[name] = Row(name, open_, facts if there is None else _laid(there.facts, facts))
        return Models(rows, self._gateways, self._unknown)

    def _row(self, model: str) -> Row[F] | None:
        plain = self._plain(model)
        return next((row for row in self._longest_first if row.fits(plain)), None)

    def _plain(self, model: str) -> str:
        """Without what gateways put before it, in small letters."""
        name = model.lower().rpartition("/")[2]
        for gateway in self._gateways:
            name = name.rpartition(gateway)[2]
        return name.replace(".", "-")


def read_models(path: Path, unknown: F) -> Models[F]:
    """The rows of a data file, whose facts are of the type of ``unknown``.  Raises TypeError for a word it lacks."""
    data: dict[str, Any] = loads(path.read_bytes())
    rows: dict[str, Row[F]] = {}
    for pattern, said in data["models"].items():
        name, open_ = _of_pattern(pattern.replace(".", "-"))
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
        rows[name] = Row(name, open_, type(unknown)(**values))
    return Models(rows, tuple(data["gateways"]), unknown)


def check_patterns(models: Mapping[str, object]) -> None:
    """Raises ValueError for a name of a row that no model can have."""
    plain: dict[str, str] = {}
    for name in models:
        if not name or "*" in name[:-1] or name.endswith("/*"):
            raise ValueError(f"models: expected names of models, a * at their end at most, found {name!r}")
        same = plain.setdefault(name.lower().rpartition("/")[2].replace(".", "-"), name)
        if same != name:
            raise ValueError(f"models: {same!r} and {name!r} are one row")


def _of_pattern(pattern: str) -> tuple[str, bool]:
    return pattern.removesuffix("*"), pattern.endswith("*")


def _laid(under: F, over: F) -> F:
    """Member by member."""
    said = {one.name: getattr(over, one.name) for one in fields(over)}
    return replace(under, **{name: value for name, value in said.items() if value is not None})
