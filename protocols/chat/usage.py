"""Chat usage as disjoint buckets, and back.  Source: protocols.md 3.4, 5.3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from rotator.api import Usage

from .._shared import count, fresh
from .spelling import NO_REST

#: Members that are understood.
MEMBERS: Final = frozenset((
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details",
    "prompt_cache_hit_tokens", "prompt_cache_miss_tokens",
))
#: Kinds of tokens that the two detail objects tell beside the buckets, as ``<kind>_tokens``.
INPUT_KINDS: Final = ("audio", "image", "text")
OUTPUT_KINDS: Final = ("audio", "image", "text", "accepted_prediction", "rejected_prediction")


def read_usage(usage: Any) -> Usage | None:
    """The usage of an answer or a chunk; None where there is no object.

    ``prompt_tokens`` includes cached and written ones, ``completion_tokens`` reasoning. DeepSeek tells cache reads at
    the top level; where the total is prompt + completion + reasoning (xAI), reasoning stands outside
    ``completion_tokens`` (P-162). Some gateways call written ones ``cache_creation_tokens`` (conversion-pitfalls.md
    P174).
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    of_input, of_output = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    read = count(of_input, "cached_tokens") or count(usage, "prompt_cache_hit_tokens")
    written = count(of_input, "cache_write_tokens") or count(of_input, "cache_creation_tokens")
    reasoning = count(of_output, "reasoning_tokens")
    outside = reasoning > 0 and count(usage, "total_tokens") == prompt + completion + reasoning
    kinds = [(f"input.{kind}", count(of_input, f"{kind}_tokens")) for kind in INPUT_KINDS]
    kinds += [(f"output.{kind}", count(of_output, f"{kind}_tokens")) for kind in OUTPUT_KINDS]
    return Usage(
        input_fresh=max(0, prompt - read - written),
        cache_read=read,
        cache_write=written,
        output_text=completion if outside else max(0, completion - reasoning),
        output_reasoning=reasoning,
        modalities=tuple((kind, tokens) for kind, tokens in kinds if tokens),
        rest=NO_REST if usage.keys() <= MEMBERS else _rest(usage, MEMBERS),
    )


def _rest(usage: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """What only the vendor understands, as a price (conversion-pitfalls.md P183)."""
    return {name: value for name, value in usage.items() if name not in known and value is not None}


def later_usage(told: Usage | None, found: Usage) -> Usage:
    """What is known after a later chunk: counts are cumulative, and a side without any is as it was (P-43, P-47)."""
    if told is None:
        return found
    if not found.input_total:
        fresh, read, written = told.input_fresh, told.cache_read, told.cache_write
        found = replace(found, input_fresh=fresh, cache_read=read, cache_write=written)
    if not found.output_total:
        found = replace(found, output_text=told.output_text, output_reasoning=told.output_reasoning)
    return replace(found, modalities=found.modalities or told.modalities, rest=found.rest or told.rest)


def write_usage(usage: Usage, own: bool) -> dict[str, Any]:
    """The usage for a client.  What a provider's tools read (``input_tool``) is part of ``prompt_tokens``."""
    kinds = dict(usage.modalities)
    of_input = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        of_input["cache_write_tokens"] = usage.cache_write
    of_input |= {f"{kind}_tokens": kinds[f"input.{kind}"] for kind in INPUT_KINDS if f"input.{kind}" in kinds}
    of_output = {"reasoning_tokens": usage.output_reasoning}
    of_output |= {f"{kind}_tokens": kinds[f"output.{kind}"] for kind in OUTPUT_KINDS if f"output.{kind}" in kinds}
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": of_input,
        "completion_tokens_details": of_output,
        **(fresh(dict(usage.rest)) if own and usage.rest else {}),
    }
