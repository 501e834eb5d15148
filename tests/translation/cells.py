"""What stands in the tables: rows of protocols.md and, for each pair of client and upstream, what becomes of them.

A cell is named by its client and its upstream (``c_a``: a Chat client, a Messages upstream). Empty cells fail. The
client's side of every case is also sent to its own protocol (``test_diagonals.py``), so those cells are not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from rotator.neutral.parts import Part, Text
from rotator.neutral.response import Finish

from .matching import OneOf

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A request. ``client`` and ``wire`` are laid over the smallest bodies of their protocols, member by member.

    ``losses`` are the codes, each as often as it is told: ``a|b`` for one of two names that the tables leave open,
    ``?a`` for one that may be told. ``own`` is what the client's own protocol gets where that is another spelling;
    ``names`` what kinds the built request says that calls are to be told back as, by the client's name of the tool;
    ``dialect`` what the upstream's provider says of itself.
    """

    client: Json
    wire: Json | OneOf
    losses: tuple[str, ...] = ()
    own: Json | None = None
    names: Json | None = None
    dialect: Json | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that has no place there: 400, and ``param`` begins with this path."""

    client: Json
    param: str


@dataclass(frozen=True, slots=True)
class Told:
    """A whole answer. ``upstream`` and ``client`` are laid over the smallest answers; ``asked`` over the request.

    The same is streamed, unless ``whole_only`` says why an upstream cannot stream it or a stream differs. ``own`` is
    what a client of the upstream's protocol gets where a vendor spelt it in its own way.
    """

    upstream: Json
    client: Json | OneOf
    losses: tuple[str, ...] = ()
    asked: Json | None = None
    whole_only: str = ""
    own: Json | OneOf | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A neutral answer that ended so, after these parts, and what the client of the cell gets.

    ``client`` None: nothing can be told, the attempt failed.
    """

    finish: Finish
    client: Json | None
    parts: tuple[Part, ...] = (Text("Hello."),)
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failing:
    """A whole answer of which nothing can be told."""

    upstream: Json
    asked: Json | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream: the upstream's events (JSON; bytes go as they are), and those of the client.

    ``client`` None: the stream breaks off in an error. ``asked`` is laid over the request.
    """

    upstream: Sequence[Any]
    client: Sequence[Any] | None
    losses: tuple[str, ...] = ()
    asked: Json | None = None


@dataclass(frozen=True, slots=True)
class Law:
    """A rule of the grammar of what clients get, by its name in ``laws.py``: every stream of every table is held to it.

    ``protocol`` is the client's.
    """

    protocol: str
    name: str


@dataclass(frozen=True, slots=True)
class NotHere:
    """Neither the client nor the upstream of the cell has the concept, or only protocols that are not here."""

    reason: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Proved by a test that is no conversion: ``path::name`` from the root."""

    test: str


Cell = Case | Refused | Told | Ended | Failing | Streamed | Law | NotHere | Elsewhere
Pair = Literal["c_a", "a_c"]
#: Client and upstream of a pair.
SIDES: dict[Pair, tuple[str, str]] = {"c_a": ("chat", "messages"), "a_c": ("messages", "chat")}


class Pitfall(NamedTuple):
    """A pitfall that the cells of a row would catch: of one pair only or of both, and the loss that is its answer."""

    id: str
    pair: Pair | None = None
    loss: str | None = None


class Row(NamedTuple):
    """A row of a table. ``table`` is the head of its first column, which tells two tables of a section apart."""

    section: str
    name: str
    c_a: tuple[Cell, ...]
    a_c: tuple[Cell, ...]
    table: str
    pitfalls: tuple[Pitfall, ...] = ()


#: The head of the first column, where a section's only table has another one than "Concept".
HEADS = {"2.7": "Capability", "2.8": "Client"}


def row(
    section: str, name: str, c_a: Cell | list[Cell], a_c: Cell | list[Cell], table: str = "", *, pitfalls: str = ""
) -> Row:
    """A row; a single cell need not be a list.

    ``pitfalls`` names the rows of ``tests/pitfalls.py`` that its cells would catch: ``"P-01 C21@a_c C99=stop.blank"``,
    behind ``@`` the pair if only one does, behind ``=`` the declared loss that is the answer, which a cell tells.
    """
    known = tuple(map(_pitfall, pitfalls.split()))
    return Row(section, name, _cells(c_a), _cells(a_c), table or HEADS.get(section, "Concept"), known)


def _pitfall(token: str) -> Pitfall:
    told = re.fullmatch(r"([PC][0-9-]+)(?:@(c_a|a_c))?(?:=([a-z_.]+))?", token)
    assert told, f"{token} names no pitfall"
    return Pitfall(told[1], cast("Pair | None", told[2]), told[3])


def nowhere(section: str, name: str, reason: str, table: str = "") -> Row:
    """A row that neither protocol has."""
    return row(section, name, NotHere(reason), NotHere(reason), table)


def _cells(given: Cell | list[Cell]) -> tuple[Cell, ...]:
    return tuple(given) if isinstance(given, list) else (given,)


class Found(NamedTuple):
    """A case of some row, with what pytest calls it."""

    id: str
    row: Row
    pair: Pair
    cell: Any

    @property
    def client(self) -> str:
        return SIDES[self.pair][0]

    @property
    def upstream(self) -> str:
        return SIDES[self.pair][1]

    @property
    def pitfalls(self) -> list[Pitfall]:
        """Those of its row that concern its pair."""
        return [one for one in self.row.pitfalls if one.pair in (None, self.pair)]


def found(rows: Sequence[Row], *kinds: type) -> Iterator[Found]:
    """All cells of these kinds."""
    for one in rows:
        for pair in SIDES:
            for number, cell in enumerate(getattr(one, pair)):
                if isinstance(cell, kinds):
                    yield Found(f"{one.section}-{one.name}-{pair}-{number}".replace(" ", "_"), one, pair, cell)
