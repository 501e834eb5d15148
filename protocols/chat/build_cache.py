"""Breakpoints of the prompt cache in a request of another protocol's client.  Source: protocols.md 2.6 "Breakpoints".

OpenAI's newest models take ``prompt_cache_breakpoint`` on parts; gateways to Claude take ``cache_control`` there and on
tools and calls (2.8, row "Chat"); to all others a mark says nothing, and most of them cache by themselves. It only
makes an answer cheaper, so that one without a place is no loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rotator.api import CacheMark, Ledger, Path, Request

from .._cache import CLAUDE, LIMIT, OPENAI, breakpoint_, cache_control, keep_last
from .build_media import Wire
from .dialect import ChatDialect

STEP: Final = "chat.build.cache"
#: Parts that OpenAI takes one on.  Source: protocols.md 2.2, "Cache breakpoint"; 0.2 item 9.
MARKED: Final = frozenset(("text", "image_url", "input_audio", "file"))


def mark(wire: Wire, cache: CacheMark | None, at: Path, dialect: ChatDialect, ledger: Ledger) -> None:
    """Put a mark on a content part, a tool or a call, if the upstream takes one there."""
    if cache is None:
        return
    if dialect.cache == "cache_control":
        wire[CLAUDE] = cache_control(cache)
    elif dialect.cache == "breakpoint" and wire.get("type") in MARKED:
        wire[OPENAI] = breakpoint_()
    else:
        ledger.note(STEP, "cache.unmarked", at)


def put_cache(body: Wire, request: Request, dialect: ChatDialect, ledger: Ledger) -> None:
    """The automatic breakpoint, and of the marks in the body as many as are taken.

    OpenAI sets an automatic one anyway (``prompt_cache_options.mode`` implicit). Whether Anthropic's counts among the
    four is not told, so three stand beside it.
    """
    member, limit, auto = OPENAI, LIMIT, request.cache.auto
    if dialect.cache == "cache_control":
        member = CLAUDE
        if auto is not None:
            body[CLAUDE], limit = cache_control(auto), LIMIT - 1
    if dialect.cache != "none" and keep_last(_holders(body), member, limit):
        ledger.note(STEP, "cache.excess")


def _holders(body: Wire) -> Iterator[Wire]:
    """What may carry a mark, in the order of the prompt."""
    yield from body.get("tools", ())
    for message in body["messages"]:
        content = message.get("content")
        yield from content if isinstance(content, list) else ()
        yield from message.get("tool_calls", ())
