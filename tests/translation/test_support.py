"""The support table: nothing of what carries meaning is left out, and file and page are what the tables give."""

from pathlib import Path

import pytest

from rotator.neutral.response import Finish
from tests.upstreams import PROTOCOLS

from .areas import AREAS, MEANING, ROWS, area_of
from .cells import Case, Elsewhere, Ended, Law, NotHere, Refused, Row, row
from .support import ALL, counted, main, outcome, stale, table, written
from .words import HI, says

#: Words before the dot of codes that are about instructions, content, tools, tool choice and schemas.
ABOUT_MEANING = frozenset(
    "arguments call document format image message part result search_result tool tool_choice turn".split()
)
#: About tools that a vendor runs itself.
ABOUT_HOSTED = frozenset(["part.hosted", "tool.hosted", "tool.setting"])
#: How closely to look is a wish (``areas``); images have names in other protocols than Chat and Messages only.
OF_IMAGES = frozenset(["image.detail", "image.name"])


def test_file_and_page_are_what_the_tables_give() -> None:
    assert list(stale(write=False)) == [], "python -m tests.translation.support --write"


def test_nothing_that_carries_meaning_is_left_out() -> None:
    lost = [
        f"{one['client']} to {one['upstream']}, {area}: {told['name']} ({', '.join(told['losses'])})"
        for one in table() for area in MEANING for told in one["areas"][area] if "left_out" in told
    ]
    assert lost == []


def test_no_code_about_meaning_is_of_what_is_left_out() -> None:
    codecs = [(name, codec) for name, protocol in PROTOCOLS.items() for codec in protocol.codecs.values()]
    lost = {
        f"{name}: {code}"
        for name, codec in codecs for code in codec.losses.keys() - codec.changes - ABOUT_HOSTED - OF_IMAGES
        if code.partition(".")[0] in ABOUT_MEANING
    }
    assert sorted(lost) == []


def test_what_is_changed_is_declared() -> None:
    for name, protocol in PROTOCOLS.items():
        for codec in protocol.codecs.values():
            assert codec.changes <= codec.losses.keys(), name


def test_every_row_has_an_area_and_every_area_a_row() -> None:
    assert {area_of(one) for one in ALL} == set(AREAS)


def test_the_rows_of_the_areas_are_those_of_the_tables() -> None:
    known = {(one.section, one.name) for one in ALL}
    named = [(section, name) for (section, _), names in ROWS.items() for name in names]
    assert [name for name in named if name not in known] == []
    assert len(named) == len(set(named))


def test_a_row_without_an_area_fails() -> None:
    with pytest.raises(KeyError):
        area_of(row("2.1", "Another turn", NotHere("new"), NotHere("new")))


LOST = Case({"seed": 1, "response_format": {"type": "json_object"}}, {}, ("sampling.seed", "format.json_object"))
MOVED = Case({"response_format": {"type": "json_object"}}, {}, ("format.json_object",))


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (Case(says(HI), says(HI)), ("whole", [])),
        (MOVED, ("changed", ["format.json_object"])),
        (LOST, ("left_out", ["format.json_object", "sampling.seed"])),
        (Refused({}, "messages"), ("refused", [])),
        (Ended(Finish("other"), {}), ("changed", ["finish.native"])),
        (Ended(Finish("other"), None), ("refused", [])),
        (Law("chat", "usage_comes_last"), ("whole", [])),
        (Elsewhere("tests/test_registry.py::test"), ("whole", [])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_worst_loss_says_what_became_of_a_cell(cell: Case, told: tuple[str, list[str]]) -> None:
    pair = "a_c" if isinstance(cell, Ended) else "c_a"
    assert outcome(pair, cell) == told


def test_a_row_counts_its_cells() -> None:
    mixed = Row("2.5", "Some", (LOST, MOVED, MOVED, Case({}, {})), (NotHere("no seed"),), "Head")
    losses = ["format.json_object", "sampling.seed"]
    assert counted(mixed, "c_a") == {"name": "Head: Some", "whole": 1, "changed": 2, "left_out": 1, "losses": losses}
    assert counted(mixed, "a_c") == {"name": "Head: Some", "nowhere": "no seed"}


def test_a_request_that_is_refused_where_it_should_be_told_is_a_fault() -> None:
    with pytest.raises(AssertionError, match="2.5 Some c_a 1: "):
        counted(Row("2.5", "Some", (MOVED, Case({"messages": 1}, {})), (), "Concept"), "c_a")


def test_what_is_stale_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "docs").mkdir()
    file, page = tmp_path / "protocols" / "support.json", tmp_path / "docs" / "matrix.md"

    def told(*arguments: str) -> tuple[int, str]:
        return main(arguments, tmp_path), capsys.readouterr().out

    assert told() == (1, "stale: protocols/support.json\n") and not file.exists()
    assert told("--write") == (0, "written: protocols/support.json, docs/matrix.md\n")
    assert file.read_text(encoding="utf-8") == written(table())
    page.write_text("old", encoding="utf-8")
    assert told() == (1, "stale: docs/matrix.md\n")
    assert told("--write") == (0, "written: docs/matrix.md\n")
    assert told() == (0, "up to date\n")
