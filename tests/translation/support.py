"""The support table, counted: every cell of the tables is converted, and what it lost says what became of it.

``python -m tests.translation.support --write`` writes protocols/support.json and docs/matrix.md anew; without the flag
it only says whether they are what it would write.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from rotator.cli.matrix import page
from rotator.cli.support import FILE, read_support
from rotator.errors import Refused as RequestRefused
from rotator.errors import UpstreamFailed
from rotator.neutral.losses import Ledger
from rotator.neutral.response import Candidate, Response
from tests.upstreams import PROTOCOLS

from .areas import AREAS, area_of
from .cells import SIDES, Case, Cell, Elsewhere, Ended, Failing, Law, NotHere, Pair, Refused, Row, Streamed, Told
from .codecs import IDS, answered, asked, begin, codec, laid, parsed, streamed
from .frames import sent
from .rows_answers import ROWS as ANSWERS
from .rows_requests import ROWS as REQUESTS
from .rows_streams import ROWS as STREAMS
from .words import ANSWER, LEAST

ROOT: Final = Path(__file__).resolve().parents[2]
ALL: Final = (*REQUESTS, *ANSWERS, *STREAMS)
#: Heads of tables that say nothing beside the row's name.
PLAIN_HEADS: Final = frozenset({"Concept", "Capability", "text"})

Mark = Literal["whole", "changed", "left_out", "refused"]


def outcome(pair: Pair, cell: Cell) -> tuple[Mark, list[str]]:
    """What becomes of a cell, and the codes that are told of it.  What it becomes is for the tests of the cell."""
    client, upstream = SIDES[pair]
    match cell:
        case Law() | Elsewhere():
            return "whole", []
        case Refused() | Failing() | Ended(client=None):
            return "refused", []
        case Case():
            trip = begin(client, upstream, laid(LEAST[client], cell.client), cell.dialect)
            return _by_codes(trip.codes, upstream, client)
        case Told():
            trip = asked(client, upstream, cell.asked)
            answered(trip, laid(ANSWER[upstream], cell.upstream))
            return _by_codes(trip.codes, client, upstream)
        case Ended():
            ledger = Ledger()
            response = Response("third", "up", "up-model", (Candidate(cell.parts, cell.finish),), None)
            codec(client).build_response(response, parsed(client, LEAST[client]), IDS, ledger)
            return _by_codes([loss.code for loss in ledger.losses], client, upstream)
        case Streamed():
            trip = asked(client, upstream, cell.asked, stream=True)
            got = streamed(trip, sent(upstream, cell.upstream))
            return ("refused", []) if got.error is not None else _by_codes(trip.codes, client, upstream)
    raise TypeError(f"{type(cell).__name__} is no cell that can be counted")


def _by_codes(codes: Sequence[str], teller: str, other: str) -> tuple[Mark, list[str]]:
    """The worst of the losses decides; what they are is said by the protocol that is written, if it knows them."""
    if not codes:
        return "whole", []
    kinds = {code: codec(teller if code in codec(teller).losses else other).changes for code in codes}
    return ("changed" if all(code in changes for code, changes in kinds.items()) else "left_out"), sorted(set(codes))


def counted(row: Row, pair: Pair) -> dict[str, Any]:
    """A row of the file (``rotator.cli.support.Row``); what is nought or empty is not written."""
    name = row.name if row.table in PLAIN_HEADS else f"{row.table}: {row.name}"
    cells = getattr(row, pair)
    reasons = [cell.reason for cell in cells if isinstance(cell, NotHere)]
    if reasons:
        assert len(reasons) == len(cells), f"{row.section} {row.name}: here and nowhere"
        return {"name": name, "nowhere": "; ".join(dict.fromkeys(reasons))}
    marks: Counter[str] = Counter()
    losses: set[str] = set()
    for number, cell in enumerate(cells):
        try:
            mark, codes = outcome(pair, cell)
        except (RequestRefused, UpstreamFailed) as error:
            raise AssertionError(f"{row.section} {row.name} {pair} {number}: {error}") from error
        marks[mark] += 1
        losses.update(codes)
    told = {mark: marks[mark] for mark in ("whole", "changed", "left_out", "refused") if marks[mark]}
    return {"name": name, **told, **({"losses": sorted(losses)} if losses else {})}


@cache
def table() -> list[dict[str, Any]]:
    """The file's value: for each direction its areas, for each area its rows."""
    found = []
    for pair, (client, upstream) in SIDES.items():
        areas: dict[str, list[Any]] = {area: [] for area in AREAS}
        for row in ALL:
            areas[area_of(row)].append(counted(row, pair))
        found.append({"client": client, "upstream": upstream, "areas": areas})
    return found


def written(directions: Sequence[dict[str, Any]]) -> str:
    """The file: one row a line, so that a change shows where it is."""
    return "[" + ",".join(_direction(one) for one in directions) + "\n]\n"


def _direction(one: dict[str, Any]) -> str:
    areas = ",".join(f"\n  {json.dumps(name)}: [{_lines(rows)}\n  ]" for name, rows in one["areas"].items())
    return f'\n{{"client": "{one["client"]}", "upstream": "{one["upstream"]}", "areas": {{{areas}\n}}}}'


def _lines(rows: Sequence[Any]) -> str:
    return ",".join(f"\n    {json.dumps(row, ensure_ascii=False)}" for row in rows)


def stale(write: bool, root: Path = ROOT) -> Iterator[str]:
    """The files that are not what the tables give, the page last, for it is made of the other; ``write`` mends them."""
    support, shown = root / "protocols" / FILE, root / "docs" / "matrix.md"
    new = written(table())
    if not _holds(support, new):
        yield support.relative_to(root).as_posix()
        if not write:
            return
        support.write_text(new, encoding="utf-8")
    told = page(read_support(support), PROTOCOLS)
    if not _holds(shown, told):
        yield shown.relative_to(root).as_posix()
        if write:
            shown.write_text(told, encoding="utf-8")


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    write = "--write" in arguments
    found = list(stale(write, root))
    print(f"{'written' if write else 'stale'}: {', '.join(found)}" if found else "up to date")
    return 1 if found and not write else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
