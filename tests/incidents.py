"""The incidents of faults.md 2 and the tests that each gave us: ``python -m tests.incidents`` prints the list.

A test says which row it covers with ``@pytest.mark.incident(number)``; test_incidents.py fails where a row has none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent

ROWS: dict[int, str] = {
    1: "supply chain: unlocked installs, a .pth that runs at every start",
    2: "the Host header decides which path the check sees",
    3: "the client key reaches a query, or breaks the check",
    4: "code from requests is run",
    5: "a stored hash lets in; a revoked key lives on",
    6: "the client names where the provider's key goes",
    7: "a route without the check",
    8: "URLs inside a request are fetched",
    9: "a built-in, sample or empty client key",
    10: "open routes; secrets readable back",
    11: "an upstream's headers reach the client with secrets in them",
    12: "the client's credentials go upstream",
    13: "keys in logs, URLs, errors",
    14: "prompts in logs although content is switched off",
    16: "one client sees another's: caches in between, shared state",
    18: "the client is gone and the upstream goes on, or usage is lost",
    20: "bodies that unpack without end",
    21: "JSON without bottom",
    22: "long lines of a stream",
    23: "a stream that ends early taken for whole; an error glued to half an event",
    24: "odd forms of Retry-After",
    25: "two writers tear one file; a broken file stops the start",
    26: "control characters forge log lines",
    27: "model names lead to another path",
    28: "keys compared character by character",
}

#: Rows that nothing of this version can meet, and what brings them.
LATER: dict[int, str] = {
    15: "no response ids: the Responses API",
    17: "no cached state of conversations: the field cache",
    19: "no budgets: client keys with budgets",
}


def marked() -> Iterator[tuple[int, str]]:
    """Each marked test: its row and where it stands."""
    for path in sorted(FOLDER.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.incident":
                    number = ast.literal_eval(mark.args[0])
                    yield number, f"{path.relative_to(FOLDER.parent).as_posix()}::{node.name}"


def listing() -> str:
    """Row, title and tests, for people."""
    found: dict[int, list[str]] = {}
    for number, test in marked():
        found.setdefault(number, []).append(test)
    lines = []
    for number in sorted({*ROWS, *LATER}):
        lines.append(f"{number:3}  {ROWS.get(number) or f'later: {LATER[number]}'}")
        lines += (f"       {test}" for test in found.get(number, []))
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
