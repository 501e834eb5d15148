"""Every pitfall that concerns Chat or Messages names a test or a declared loss."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pitfalls import ELSEWHERE, PENDING, PLAYED, ROWS, listing, marked, order, proofs, tabled
from tests.translation.cells import Case, Law, NotHere, Row, found, row
from tests.translation.codecs import codec
from tests.translation.rows_answers import ROWS as ANSWERS
from tests.translation.rows_requests import ROWS as REQUESTS
from tests.translation.rows_streams import ROWS as STREAMS

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"
TABLES = (*REQUESTS, *ANSWERS, *STREAMS)
DECLARED = {code for protocol in ("chat", "messages") for code in codec(protocol).losses}


def told_by_the_reference() -> set[str]:
    wire = (REFERENCE / "protocols.md").read_text(encoding="utf-8")
    conversions = (REFERENCE / "conversion-pitfalls.md").read_text(encoding="utf-8")
    numbers = re.findall(r"^- P(\d+) ", conversions, re.MULTILINE)
    return {*re.findall(r"^- (P-\d+) ", wire, re.MULTILINE), *(f"C{number}" for number in numbers)}


def test_the_list_is_complete() -> None:
    known = {f"P-{number:02}" for number in range(1, 164)} | {f"C{number}" for number in range(1, 276)}
    assert sorted(known ^ {*ROWS, *ELSEWHERE}, key=order) == []
    assert sorted(ROWS.keys() & ELSEWHERE.keys(), key=order) == []


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not here")
def test_the_list_is_that_of_the_reference() -> None:
    assert sorted(told_by_the_reference() ^ {*ROWS, *ELSEWHERE}, key=order) == []


def test_no_row_is_missing() -> None:
    """What is pending has no proof, and all else of Chat and Messages has one."""
    proven = proofs()
    assert sorted(proven.keys() - ROWS.keys(), key=order) == [], "proven, and not of Chat and Messages"
    assert sorted(ROWS.keys() - proven.keys() ^ PENDING.keys(), key=order) == [], "neither proven nor pending, or both"


def test_every_loss_is_a_declared_one() -> None:
    named = {(proof.pitfall, proof.loss) for proof in (*marked(), *tabled()) if proof.loss}
    assert sorted(one for one in named if one[1] not in DECLARED) == []


def untold(rows: Sequence[Row]) -> list[str]:
    """Pitfalls of rows that no cell of theirs is played for, or whose loss no cell of theirs tells."""
    problems = []
    for one in rows:
        for known in one.pitfalls:
            cells = [hit.cell for hit in found([one], *PLAYED) if known.pair in (None, hit.pair)]
            told = {code.removeprefix("?") for cell in cells for code in getattr(cell, "losses", ())}
            if not cells and not any(isinstance(cell, Law) for cell in (*one.c_a, *one.a_c)):
                problems.append(f"{one.section} {one.name}: nothing is played for {known.id}")
            if known.loss and known.loss not in {name for code in told for name in code.split("|")}:
                problems.append(f"{one.section} {one.name}: {known.loss} of {known.id} is not told")
    return problems


def test_rows_play_what_they_name() -> None:
    assert untold(TABLES) == []


def test_a_row_that_plays_nothing_is_seen() -> None:
    lost = Case({}, {}, ("sampling.seed",))
    rows = [
        row("2.5", "none", NotHere("no word"), NotHere("no word"), pitfalls="P-01"),
        row("2.5", "other", lost, NotHere("no word"), pitfalls="P-02@a_c P-03=sampling.seed P-04=sampling.other"),
    ]
    assert untold(rows) == [
        "2.5 none: nothing is played for P-01",
        "2.5 other: nothing is played for P-02",
        "2.5 other: sampling.other of P-04 is not told",
    ]


def test_pytest_selects_what_the_list_names() -> None:
    """Cells and laws carry the marker under the very names that are listed."""
    files = sorted({proof.test.partition("::")[0] for proof in tabled()})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "pitfall", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert len(files) == 3, files
    assert sorted({proof.test for proof in tabled()} - set(done.stdout.splitlines())) == [], done.stdout[-2000:]


def test_the_list_names_sentences_tests_losses_and_reasons() -> None:
    shown = listing()
    assert "\nP-05  arguments that come with a call's name in its first chunk are kept\n      tests/" in shown
    assert "test_a_request_becomes_what_the_table_says[2.5-stop-c_a-0, 1, 2, 3, 4]" in shown
    assert "[3.8-several_candidates-a_c-0]  tells answer.candidates" in shown
    assert "\nP-06  elsewhere: an upstream that speaks Responses" in shown
    assert re.fullmatch(
        r"\d+ pitfalls of Chat and Messages: \d+ with tests, \d+ pending; \d+ elsewhere", shown.splitlines()[-1]
    )
