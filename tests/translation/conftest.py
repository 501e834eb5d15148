"""Cells and laws carry the pitfalls of their rows as a marker, so that ``pytest -m pitfall`` selects them, too."""

from __future__ import annotations

import pytest

from .cells import Found, Law
from .rows_answers import ROWS as ANSWERS
from .rows_requests import ROWS as REQUESTS
from .rows_streams import ROWS as STREAMS

LAW_PITFALLS = {
    (cell.protocol, cell.name): [known.id for known in row.pitfalls]
    for row in (*REQUESTS, *ANSWERS, *STREAMS)
    for cell in (*row.c_a, *row.a_c)
    if row.pitfalls and isinstance(cell, Law)
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Before tests are selected by their markers."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    one, law = params.get("one"), params.get("law")
    ids = [known.id for known in one.pitfalls] if isinstance(one, Found) else LAW_PITFALLS.get(law, [])
    if ids:
        item.add_marker(pytest.mark.pitfall(*ids))
