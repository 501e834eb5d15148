"""The table of rows is whole, and what it names exists."""

import ast
from pathlib import Path

from tests.faults import upstream
from tests.faults.rows import LATER, ROWS

ROOT = Path(__file__).resolve().parents[2]
#: The first column of faults.md 1, which is not part of this project.
GROUPS = """
no connection, TLS, silent, broken HTTP, stale keep-alive, legal oddities, redirect, 4xx final, credential bad,
rate limit, server error, hostile error body, disguised error, bad bodies, bombs, fidelity, toxic stream data,
dies mid-stream, endings, provider error mid-stream, client leaves, client slow, overload, SIGTERM, kill -9, disk full,
corrupt state, clock, credentials change, early answer, memory
"""


def named_in(file: str) -> set[str]:
    """What a file defines at its top, by its syntax tree."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_has_a_test_or_a_reason() -> None:
    assert sorted([*ROWS, *LATER]) == sorted(group.strip() for group in GROUPS.split(","))
    assert all(tests for files in ROWS.values() for tests in files.values())
    assert all(LATER.values())


def test_every_test_that_is_named_exists() -> None:
    named = {(file, test) for files in ROWS.values() for file, tests in files.items() for test in tests}
    assert [f"{file}::{test}" for file, test in sorted(named) if test not in named_in(file)] == []


def test_every_test_of_faults_belongs_to_a_row() -> None:
    named = {test for files in ROWS.values() for tests in files.values() for test in tests}
    own = {path.relative_to(ROOT).as_posix() for path in Path(__file__).parent.glob("test_*.py")}
    found = {test for file in own - {"tests/faults/test_rows.py"} for test in named_in(file) if test.startswith("test")}
    assert sorted(found - named) == []


def test_every_fault_is_used() -> None:
    """A fault that no test asks for shows nothing."""
    made = {name for name, one in vars(upstream).items() if getattr(one, "__module__", "") == upstream.__name__}
    used = set()
    for file in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names}
    assert sorted(name for name in made - used if name.islower()) == []
