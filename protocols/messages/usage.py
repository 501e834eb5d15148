"""Messages usage as disjoint buckets, and back.  Source: protocols.md 3.4, 4.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import Ledger, Usage

from .._shared import count

#: Members that a ``Usage`` holds; ``service_tier`` stands beside it as the answer's tier.
KNOWN: Final = frozenset(
    "input_tokens output_tokens cache_read_input_tokens cache_creation_input_tokens cache_creation"
    " output_tokens_details service_tier".split()
)
#: Times to live, as the neutral usage and the wire spell them.
TTLS: Final = (("5m", "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens"))


def merge_usage(known: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Counts of a stream are cumulative; null, absent and zero ones keep what was told.  Source: protocols.md 3.4."""
    for name, value in usage.items():
        if value is not None and (value or name not in known):
            known[name] = value


def read_usage(usage: Any) -> Usage | None:
    """``input_tokens`` excludes both cache counts.  None where there is no object."""
    if not isinstance(usage, dict):
        return None
    entries = _entries(usage)
    output = sum(count(entry, "output_tokens") for entry in entries)
    thinking = min(output, count(usage.get("output_tokens_details"), "thinking_tokens"))
    by_ttl = [(ttl, sum(count(entry.get("cache_creation"), name) for entry in entries)) for ttl, name in TTLS]
    return Usage(
        input_fresh=sum(count(entry, "input_tokens") for entry in entries),
        cache_read=sum(count(entry, "cache_read_input_tokens") for entry in entries),
        cache_write=sum(map(_written, entries)),
        output_text=output - thinking,
        output_reasoning=thinking,
        written_by_ttl=tuple((ttl, tokens) for ttl, tokens in by_ttl if tokens),
    )


def usage_rest(usage: dict[str, Any]) -> dict[str, Any]:
    """What a ``Usage`` does not hold; where steps were added up, all, so that it can be written back as it was."""
    known = KNOWN if _entries(usage)[0] is usage else ()
    return {name: value for name, value in usage.items() if name not in known and value is not None}


def _entries(usage: dict[str, Any]) -> list[dict[str, Any]]:
    """What is to be summed: the usage itself; with a compaction, which it leaves out, the steps of which it consists.

    Where another model served (``fallback_message``), the steps do not add up to the answer.
    """
    steps = usage.get("iterations")
    entries = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    kinds = [entry.get("type") for entry in entries]
    if "compaction" not in kinds or "fallback_message" in kinds:
        return [usage]
    return [entry for entry, kind in zip(entries, kinds, strict=True) if kind in ("message", "compaction")]


def _written(entry: dict[str, Any]) -> int:
    """Tokens written to the cache; some servers tell them by time to live only."""
    split = entry.get("cache_creation")
    return count(entry, "cache_creation_input_tokens") or sum(count(split, name) for _, name in TTLS)


def write_usage(usage: Usage | None, ledger: Ledger) -> dict[str, Any]:
    """The usage of a whole answer and of ``message_start``: every member that Claude Code looks for is there.

    Source: protocols.md 3.4, 5.1 (P-144).
    """
    usage = Usage() if usage is None else usage
    by_ttl = dict(usage.written_by_ttl)
    written = write_last_usage(usage, ledger)
    return {**written, "cache_creation": {name: by_ttl.get(ttl, 0) for ttl, name in TTLS}}


def write_last_usage(usage: Usage | None, ledger: Ledger) -> dict[str, Any]:
    """The usage of ``message_delta``, where ``cache_creation`` has no place.  Source: protocols.md 3.4."""
    usage = Usage() if usage is None else usage
    if usage.input_tool:
        ledger.lose("usage.folded", (), "input_tool")
    written: dict[str, Any] = {
        "input_tokens": usage.input_fresh + usage.input_tool,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output_total,
    }
    if usage.output_reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.output_reasoning}
    return written
