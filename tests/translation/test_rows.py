"""The tables hold every row of the reference, and no row has an empty cell."""

import re
from collections import Counter
from pathlib import Path

import pytest

from .cells import Elsewhere, Law, Row
from .laws import LAWS
from .rows_answers import ROWS as ANSWERS
from .rows_requests import ROWS as REQUESTS
from .rows_streams import ROWS as STREAMS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "reference" / "protocols.md"
SECTIONS = re.compile(r"2\.[1-8]|3\.\d+|4\.\d+")
ALL = (*REQUESTS, *ANSWERS, *STREAMS)
CELLS = [(row, pair, cell) for row in ALL for pair in ("c_a", "a_c") for cell in getattr(row, pair)]


def rows_of(text: str) -> list[tuple[str, str, str]]:
    """Section, head of the table and first cell of each row."""
    found, section, head = [], "", None
    for line in text.splitlines():
        title = re.match(r"#+ (\d+(?:\.\d+)*)", line)
        section = title[1] if title else section
        if not line.startswith("|"):
            head = None
            continue
        name = re.split(r"(?<!\\)\|", line)[1].strip()
        if head is None:
            head = name
        elif set(line) - set("|- ") and SECTIONS.fullmatch(section):
            found.append((section, head, name))
    return found


def key(row: Row) -> tuple[str, str, str]:
    return row.section, row.table, row.name


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not here")
def test_every_row_of_the_reference_is_in_the_tables() -> None:
    told = rows_of(REFERENCE.read_text(encoding="utf-8"))
    own = {key(row) for row in ALL if row.table != "text"}
    assert len(told) > 300
    assert [row for row in told if row not in own] == []
    assert sorted(own - set(told)) == []


def test_rows_are_read_as_the_reference_writes_them() -> None:
    text = "## 2.1 A\n| Head | B |\n|---|---|\n| one \\| two | x |\nwords\n| Other | B |\n|---|---|\n| three | x |\n"
    assert rows_of(text + "## 6.1 B\n| Head |\n|---|\n| four |\n") == [
        ("2.1", "Head", "one \\| two"),
        ("2.1", "Other", "three"),
    ]


def test_no_cell_is_empty_and_no_row_stands_twice() -> None:
    assert [key(row) for row in ALL if not row.c_a or not row.a_c] == []
    assert [name for name, times in Counter(map(key, ALL)).items() if times > 1] == []


@pytest.mark.parametrize("where", sorted({cell.test for _, _, cell in CELLS if isinstance(cell, Elsewhere)}))
def test_what_is_proved_elsewhere_is_proved(where: str) -> None:
    path, _, name = where.partition("::")
    assert re.search(rf"def {name}\(", (ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("law", sorted({(cell.protocol, cell.name) for _, _, cell in CELLS if isinstance(cell, Law)}))
def test_every_law_is_one(law: tuple[str, str]) -> None:
    assert law[1] in LAWS[law[0]]
