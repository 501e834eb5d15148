"""What is asked for less of where the API finds a request's schemas too large.  Source: protocols.md 6.4.2, P-161."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from rotator.api import ErrorKind, Ledger, NeutralError, Request

from .dialect import MessagesDialect
from .vocabulary import PROTOCOL

TOO_LARGE: Final = re.compile(r"compiled grammar is too large|too many states", re.IGNORECASE)
TOLD: Final = "the vendor found the schemas too large"


def next_step(
    error: NeutralError, request: Request, dialect: MessagesDialect, loose: bool
) -> tuple[MessagesDialect, bool] | None:
    """The dialect, and whether tools go without ``strict``, for the next try; None where nothing is left to ease.

    First no tool's arguments are enforced, then the answer's schema is told in words. A Messages client's own request
    is never changed.
    """
    if error.kind is not ErrorKind.BAD_REQUEST or not TOO_LARGE.search(error.message) or request.protocol == PROTOCOL:
        return None
    if not loose and any(tool.strict for tool in request.tools):
        return dialect, True
    if request.output.format is not None and dialect.structured_output == "native":
        return replace(dialect, structured_output="instruction"), True
    return None


def loosened(request: Request, ledger: Ledger) -> Request:
    """The request without tools whose arguments are enforced."""
    for tool in request.tools:
        if tool.strict:
            ledger.lose("tool.strict", tool.at, TOLD)
    return replace(request, tools=tuple(replace(tool, strict=None) if tool.strict else tool for tool in request.tools))
