"""The pitfalls of the reference and what keeps us out of each: ``python -m tests.pitfalls`` prints the list.

P-01 and the like are the rows of protocols.md 5, C1 and the like those of conversion-pitfalls.md. A test says which it
covers with ``@pytest.mark.pitfall("P-01", "C21")`` (``loss="..."`` where the answer is a declared loss), a row of the
translation tables with ``pitfalls="P-01 C21@a_c"``; ``tests/test_pitfalls.py`` fails where one has no test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests import pitfalls_conversions, pitfalls_protocols
from tests.translation.cells import (
    SIDES,
    Case,
    Ended,
    Failing,
    Found,
    Law,
    Pitfall,
    Refused,
    Row,
    Streamed,
    Told,
    found,
)
from tests.translation.rows_answers import ROWS as ANSWERS
from tests.translation.rows_requests import ROWS as REQUESTS
from tests.translation.rows_streams import ROWS as STREAMS

FOLDER = Path(__file__).parent
BOTH = (pitfalls_protocols, pitfalls_conversions)

#: What concerns Chat or Messages, why the rest does not, and what is neither tested nor told yet.
ROWS: dict[str, str] = {id_: text for module in BOTH for id_, text in module.ROWS.items()}
ELSEWHERE: dict[str, str] = {id_: text for module in BOTH for id_, text in module.ELSEWHERE.items()}
PENDING: dict[str, str] = {id_: text for module in BOTH for id_, text in module.PENDING.items()}

#: The test that plays a cell of this kind.
PLAYED: dict[type, str] = {
    Case: "test_requests.py::test_a_request_becomes_what_the_table_says",
    Refused: "test_requests.py::test_what_has_no_place_is_refused_by_name",
    Told: "test_answers.py::test_a_whole_answer_becomes_what_the_table_says",
    Failing: "test_answers.py::test_an_answer_of_which_nothing_can_be_told_is_a_failure",
    Ended: "test_answers.py::test_a_neutral_ending_is_told_in_the_clients_words",
    Streamed: "test_streams.py::test_a_stream_becomes_what_the_table_says",
}
BREAKS_OFF = "test_streams.py::test_a_stream_that_breaks_off_ends_in_an_error"
#: A cell as pytest calls it: its row and its number.
CELL = re.compile(r"(.*-(?:c_a|a_c)-)(\d+)\]")
HELD = "test_streams.py::test_every_stream_keeps_the_law"


class Proof(NamedTuple):
    """A test of a pitfall: what pytest calls it, and the declared loss that it tells, if that is the answer."""

    pitfall: str
    test: str
    loss: str | None = None


def marked() -> Iterator[Proof]:
    """What functions say of themselves, and parameters within their decorators."""
    for path in sorted(FOLDER.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _marks(node, f"{path.relative_to(FOLDER.parent).as_posix()}::{node.name}")


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, test: str) -> Iterator[Proof]:
    for mark in (one for decorator in node.decorator_list for one in ast.walk(decorator)):
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.pitfall":
            told = {keyword.arg: ast.literal_eval(keyword.value) for keyword in mark.keywords}
            yield from (Proof(ast.literal_eval(id_), test, told.get("loss")) for id_ in mark.args)


def tabled() -> Iterator[Proof]:
    """What the rows of the translation tables say, cell by cell; a law by the test that every stream keeps it."""
    rows = [row for row in (*REQUESTS, *ANSWERS, *STREAMS) if row.pitfalls]
    for one in found(rows, *PLAYED):
        for known in one.pitfalls:
            yield Proof(known.id, f"tests/translation/{_player(one)}{one.id}]", known.loss)
    for row in rows:
        yield from (Proof(known.id, f"tests/translation/{HELD}[{law}]", known.loss) for known, law in _laws(row))


def _player(one: Found) -> str:
    if isinstance(one.cell, Failing):
        return f"{PLAYED[Failing]}[False-"  # whole; the test streams it, too
    breaks = isinstance(one.cell, Streamed) and one.cell.client is None
    return f"{BREAKS_OFF if breaks else PLAYED[type(one.cell)]}["


def _laws(row: Row) -> Iterator[tuple[Pitfall, str]]:
    for pair in SIDES:
        for cell in getattr(row, pair):
            if isinstance(cell, Law):
                yield from ((one, f"{cell.protocol}.{cell.name}") for one in row.pitfalls if one.pair in (None, pair))


@cache
def proofs() -> dict[str, list[Proof]]:
    """All tests of each pitfall."""
    proven: dict[str, list[Proof]] = {}
    for proof in (*marked(), *tabled()):
        proven.setdefault(proof.pitfall, []).append(proof)
    return proven


def order(id_: str) -> tuple[int, int]:
    """P-09 before P-10 before C1 before C11."""
    return "PC".index(id_[0]), int(id_.lstrip("PC-"))


def _shown(given: list[Proof]) -> Iterator[str]:
    """A line for each test; the cells of a row that one test plays stand in one."""
    rows: dict[tuple[str, str | None], list[str]] = {}
    for proof in given:
        cell = CELL.fullmatch(proof.test)
        rows.setdefault((cell[1], proof.loss) if cell else (proof.test, proof.loss), []).append(cell[2] if cell else "")
    for (test, loss), cells in rows.items():
        numbers = f"{', '.join(cells)}]" if cells != [""] else ""
        yield test + numbers + (f"  tells {loss}" if loss else "")


def listing() -> str:
    """Each pitfall, its sentence, and its tests, its loss or the reason why it has none, for people."""
    proven, lines = proofs(), []
    for id_ in sorted({*ROWS, *ELSEWHERE}, key=order):
        lines.append(f"{id_:5} {ROWS.get(id_) or f'elsewhere: {ELSEWHERE[id_]}'}")
        lines += [f"      pending: {PENDING[id_]}"] if id_ in PENDING else []
        lines += (f"      {line}" for line in _shown(proven.get(id_, [])))
    tested = sum(id_ in proven for id_ in ROWS)
    count = f"{len(ROWS)} pitfalls of Chat and Messages: {tested} with tests, {len(PENDING)} pending"
    lines.append(f"{count}; {len(ELSEWHERE)} elsewhere")
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
