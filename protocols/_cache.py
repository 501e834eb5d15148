"""Breakpoints of the prompt cache as the protocols spell them.  Source: protocols.md 0.2 item 9, 2.6 "Breakpoints".

Both vendors take four in a request; of more the last ones count, which reach the furthest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rotator.api import CacheMark

#: Source: protocols.md 2.6, "max 4 written per request", "max 4 blocks".
LIMIT: Final = 4
CLAUDE: Final = "cache_control"
OPENAI: Final = "prompt_cache_breakpoint"
#: How long an entry lives, as anybody spells it -> Anthropic's word, None for its default.  Source: protocols.md 2.6.
TTLS: Final[Mapping[str | None, str | None]] = {"5m": "5m", "1h": "1h", "12h": "1h", "24h": "1h"}


def cache_control(mark: CacheMark) -> dict[str, Any]:
    """``{type: ephemeral, ttl?}``"""
    ttl = TTLS.get(mark.ttl)
    return {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}


def breakpoint_() -> dict[str, Any]:
    """``{mode: explicit}``.  Its ttl has other words than Anthropic's, and the vendor's default suits both."""
    return {"mode": "explicit"}


def keep_last(holders: Iterable[dict[str, Any]], member: str, limit: int = LIMIT) -> int:
    """Take the mark from all but the last holders, which come in the order of the prompt; how many were taken."""
    marked = [holder for holder in holders if member in holder]
    excess = max(0, len(marked) - limit)
    for holder in marked[:excess]:
        del holder[member]
    return excess
