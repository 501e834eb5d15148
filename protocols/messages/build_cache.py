"""The prompt cache in a request for an upstream.  Source: protocols.md 2.6 "Breakpoints", "Cache options"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rotator.api import Ledger, Request

from .._cache import CLAUDE, LIMIT, cache_control, keep_last

STEP = "messages.build.cache"


def put_cache(body: dict[str, Any], request: Request, ledger: Ledger) -> None:
    """The automatic breakpoint of another protocol's client, and of the marks in the body as many as are taken.

    Whether the automatic one counts among the four is not told, so three stand beside it. The cache's key is a hint for
    routing, which needs no word (protocols.md 2.6, "Cache key").
    """
    auto = request.cache.auto
    if auto is not None:
        body[CLAUDE] = cache_control(auto)
    if keep_last(_holders(body), CLAUDE, LIMIT if auto is None else LIMIT - 1):
        ledger.note(STEP, "cache.excess")


def _holders(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What may carry a mark, in the order of the prompt."""
    yield from body.get("tools", ())
    system = body.get("system")
    yield from system if isinstance(system, list) else ()
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            inner = block.get("content") if block["type"] == "tool_result" else None
            yield from inner if isinstance(inner, list) else ()
            yield block
