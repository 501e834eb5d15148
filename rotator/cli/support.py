"""The support table: what the tests of conversions found of each concept, as it is packaged with the protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rotator.plugins import Loaded, builtin_root
from rotator.wire.jsontext import loads

#: Beside the protocols that it is about.
FILE: Final = "support.json"


class Row(NamedTuple):
    """A concept: of its tests, how many are told ``whole``, ``changed``, with something ``left_out``, or ``refused``.

    ``losses`` are the codes that they tell. ``nowhere``: why there is nothing to convert, and no test.
    """

    name: str
    whole: int = 0
    changed: int = 0
    left_out: int = 0
    refused: int = 0
    losses: tuple[str, ...] = ()
    nowhere: str = ""

    @property
    def tests(self) -> int:
        return self.whole + self.changed + self.left_out + self.refused


class Area(NamedTuple):
    """Concepts that belong together."""

    name: str
    rows: tuple[Row, ...]


class Direction(NamedTuple):
    """Clients of one protocol at upstreams of another."""

    client: str
    upstream: str
    areas: tuple[Area, ...]


class Counts(NamedTuple):
    """A line of the table."""

    rows: int
    tests: int
    whole: int
    changed: int
    left_out: int
    refused: int
    nowhere: int


def counts(rows: Sequence[Row]) -> Counts:
    """All the rows in one line."""
    sums = [sum(column) for column in zip(*((row.tests, *row[1:5]) for row in rows), strict=True)] or [0] * 5
    tests, whole, changed, left_out, refused = sums
    return Counts(len(rows), tests, whole, changed, left_out, refused, sum(1 for row in rows if row.nowhere))


def support_of(loaded: Loaded) -> tuple[Direction, ...]:
    """What was tested of the protocols in use: nothing of those that a user's plug-ins replace."""
    ours = {
        name
        for one in loaded.plugins
        if (one.kind, one.origin, one.state) == ("protocols", "built-in", "ok")
        for name in one.names
    }
    return tuple(one for one in read_support() if {one.client, one.upstream} <= ours)


def read_support(path: Path | None = None) -> tuple[Direction, ...]:
    """The file as ``written`` gave it."""
    path = path or builtin_root() / "protocols" / FILE
    return tuple(
        Direction(one["client"], one["upstream"], tuple(Area(name, _rows(rows)) for name, rows in one["areas"].items()))
        for one in loads(path.read_bytes())
    )


def _rows(told: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row(**{**row, "losses": tuple(row.get("losses", ()))}) for row in told)
