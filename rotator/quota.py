"""What a vendor says of a quota, as data: told by headers and by polls, read by the pool (design.md 3)."""

from __future__ import annotations

from typing import Literal, NamedTuple


class QuotaFact(NamedTuple):
    """What a vendor says of a quota of one key.  Numbers are in ``unit``; None is not said.

    ``name`` is the window's: a declared window of the same name is corrected by it, otherwise it is one of its own.
    ``model`` None: the model that was asked for. ``resets_in_seconds`` counts from when it was said.
    In percent only the vendor counts: requests of ours add nothing.
    """

    name: str
    limit: float | None = None
    used: float | None = None
    remaining: float | None = None
    resets_in_seconds: float | None = None
    unit: Literal["requests", "tokens", "percent"] = "requests"
    applies_to: Literal["model", "group", "credential"] = "model"
    model: str | None = None
    source: Literal["header", "poll"] = "header"
