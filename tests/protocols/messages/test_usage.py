"""Messages usage as disjoint buckets and back.  Source: protocols.md 3.4."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.usage import Usage
from tests.protocols.messages.folding import module

usage: Any = module("usage")

STEP = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
COUNTS = st.integers(0, 10**9)


READ: dict[str, tuple[Any, Usage | None]] = {
    "input excludes both cache counts": (
        {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 50},
        Usage(30, 60, 10, 50),
    ),
    "thinking is part of the output": (
        {"input_tokens": 1, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}},
        Usage(1, output_text=30, output_reasoning=20),
    ),
    "thinking is approximate, never more than all": (
        {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 9}},
        Usage(output_reasoning=5),
    ),
    "written by time to live": (
        {
            "cache_creation_input_tokens": 10,
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3},
        },
        Usage(cache_write=10, written_by_ttl=(("5m", 7), ("1h", 3))),
    ),
    "written for an hour only": (
        {"cache_creation_input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": 3}},
        Usage(cache_write=3, written_by_ttl=(("1h", 3),)),
    ),
    "written, told by time to live alone": (
        {"cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3}},
        Usage(cache_write=10, written_by_ttl=(("5m", 7), ("1h", 3))),
    ),
    "a compaction is not among the top level": (
        {**STEP, "iterations": [{**STEP, "type": "compaction", "input_tokens": 100}, {**STEP, "type": "message"}]},
        Usage(110, 6, 4, 10),
    ),
    "a compaction's cache": (
        {
            "output_tokens_details": {"thinking_tokens": 4},
            "iterations": [
                {"type": "compaction", "output_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 2}},
                {"type": "message", "output_tokens": 1, "cache_creation_input_tokens": 3},
            ],
        },
        Usage(cache_write=5, output_text=2, output_reasoning=4, written_by_ttl=(("5m", 2),)),
    ),
    "steps without a compaction are the top level": (
        {**STEP, "iterations": [{**STEP, "type": "message", "output_tokens": 2}]},
        Usage(10, 3, 2, 5),
    ),
    "an advisor is billed by itself": (
        {**STEP, "iterations": [
            {**STEP, "type": "compaction"}, {**STEP, "type": "advisor_message"}, {**STEP, "type": "message"}
        ]},
        Usage(20, 6, 4, 10),
    ),
    "with a fallback the steps are another model's too": (
        {**STEP, "iterations": [{**STEP, "type": "compaction"}, {**STEP, "type": "fallback_message"}]},
        Usage(10, 3, 2, 5),
    ),
    "odd steps": ({**STEP, "iterations": [7, {"type": ["compaction"]}, {}]}, Usage(10, 3, 2, 5)),
    "odd counts": (
        {
            "input_tokens": -1,
            "output_tokens": "5",
            "cache_read_input_tokens": None,
            "cache_creation_input_tokens": True,
            "cache_creation": [],
            "output_tokens_details": 7,
            "iterations": {},
        },
        Usage(),
    ),
    "nothing told": ({}, Usage()),
    "no object": (None, None),
    "a list": ([], None),
}


@pytest.mark.pitfall("P-40", "P-42", "P-44", "P-48", "C172")
@pytest.mark.parametrize("name", READ)
def test_usage_is_read(name: str) -> None:
    told, expected = READ[name]
    assert usage.read_usage(told) == expected


@pytest.mark.pitfall("P-144", "C172")
def test_a_usage_is_written_whole() -> None:
    """Claude Code gave up on a message without the nested object (P-144)."""
    ledger = Ledger()
    read = Usage(30, 60, 10, 30, 20, written_by_ttl=(("30m", 2), ("1h", 8)))
    expected = {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    }
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 8}
    assert usage.write_usage(read, ledger) == {**expected, "cache_creation": split}
    assert usage.write_last_usage(read, ledger) == expected
    assert ledger.losses == []


@pytest.mark.pitfall("C175")
def test_an_unknown_usage_is_zeros() -> None:
    zeros = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    assert usage.write_usage(None, Ledger()) == {**zeros, "cache_creation": split}
    assert usage.write_last_usage(None, Ledger()) == zeros


def test_what_tools_read_is_input() -> None:
    ledger = Ledger()
    assert usage.write_last_usage(Usage(5, input_tool=7), ledger)["input_tokens"] == 12
    assert ledger.losses == [Loss("usage.folded", "", "input_tool")]


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), st.tuples(COUNTS, COUNTS))
def test_what_messages_can_say_comes_back(counts: tuple[int, int, int, int], output: tuple[int, int]) -> None:
    fresh, read, short, long = counts
    by_ttl = tuple((ttl, tokens) for ttl, tokens in (("5m", short), ("1h", long)) if tokens)
    told = Usage(fresh, read, short + long, *output, written_by_ttl=by_ttl)
    assert usage.read_usage(usage.write_usage(told, Ledger())) == told


MERGED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "counts are cumulative": ({"output_tokens": 1}, {"output_tokens": 9}, {"output_tokens": 9}),
    "absent ones keep": ({"input_tokens": 5}, {"output_tokens": 9}, {"input_tokens": 5, "output_tokens": 9}),
    "null keeps": ({"input_tokens": 5}, {"input_tokens": None}, {"input_tokens": 5}),
    "zero keeps": ({"input_tokens": 5}, {"input_tokens": 0}, {"input_tokens": 5}),
    "zero where nothing was known": ({}, {"input_tokens": 0}, {"input_tokens": 0}),
    "null where nothing was known": ({}, {"input_tokens": None}, {}),
}


@pytest.mark.pitfall("C176")
@pytest.mark.parametrize("name", MERGED)
def test_usage_is_merged_field_by_field(name: str) -> None:
    known, more, expected = MERGED[name]
    known = dict(known)
    usage.merge_usage(known, more)
    assert known == expected
