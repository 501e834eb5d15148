"""Chat usage as disjoint buckets and back.  Source: protocols.md 3.4."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.usage import Usage
from tests.protocols.chat.clients import module

usage: Any = module("usage")

COUNTS = st.integers(0, 10**9)

READ: dict[str, tuple[Any, Usage | None]] = {
    "no object": (None, None),
    "a list": ([], None),
    "nothing in it": ({}, Usage()),
    "plain": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(10, output_text=5)),
    "cached and written ones are part of the prompt": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        },
        Usage(30, 60, 10, 50),
    ),
    "written ones by a gateway's name": (
        {"prompt_tokens": 100, "prompt_tokens_details": {"cache_creation_tokens": 10}},
        Usage(90, cache_write=10),
    ),
    "cache reads at the top level (DeepSeek)": (
        {"prompt_tokens": 100, "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
        Usage(40, 60),
    ),
    "reasoning is part of the completion": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 50,
            "total_tokens": 60,
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        Usage(10, output_text=30, output_reasoning=20),
    ),
    "reasoning stands outside where the total says so (xAI)": (
        {
            "prompt_tokens": 10_120,
            "completion_tokens": 1_499,
            "total_tokens": 14_428,
            "completion_tokens_details": {"reasoning_tokens": 2_809},
        },
        Usage(10_120, output_text=1_499, output_reasoning=2_809),
    ),
    "never below zero": (
        {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 9},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
        Usage(cache_read=9, output_reasoning=4),
    ),
    "kinds of tokens": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 9,
            "prompt_tokens_details": {"audio_tokens": 4, "image_tokens": 2, "text_tokens": 4},
            "completion_tokens_details": {
                "audio_tokens": 5,
                "accepted_prediction_tokens": 1,
                "rejected_prediction_tokens": 2,
            },
        },
        Usage(
            10,
            output_text=9,
            modalities=(
                ("input.audio", 4),
                ("input.image", 2),
                ("input.text", 4),
                ("output.audio", 5),
                ("output.accepted_prediction", 1),
                ("output.rejected_prediction", 2),
            ),
        ),
    ),
    "nonsense counts as nothing": (
        {"prompt_tokens": "10", "completion_tokens": -1, "prompt_tokens_details": 3, "completion_tokens_details": []},
        Usage(),
    ),
}


@pytest.mark.pitfall("P-42", "P-44", "P-47", "P-162", "C170", "C174")
@pytest.mark.parametrize("name", READ)
def test_usage_is_read(name: str) -> None:
    told, meant = READ[name]
    assert usage.read_usage(told) == meant


KINDS = (("input.audio", 4),)
LATER: dict[str, tuple[Usage | None, Usage, Usage]] = {
    "the first": (None, Usage(3), Usage(3)),
    "replaces": (Usage(3, 4, 5, 6, 7), Usage(1, output_text=2), Usage(1, output_text=2)),
    "nothing": (Usage(3, 4, 5, 6, 7, modalities=KINDS), Usage(), Usage(3, 4, 5, 6, 7, modalities=KINDS)),
    "the output alone": (Usage(3, 4, 5), Usage(output_text=2, output_reasoning=1), Usage(3, 4, 5, 2, 1)),
    "the input alone": (Usage(3, 4, 5, 6, 7), Usage(cache_read=9), Usage(0, 9, 0, 6, 7)),
    "other kinds": (
        Usage(3, modalities=KINDS),
        Usage(3, modalities=(("input.text", 1),)),
        Usage(3, modalities=(("input.text", 1),)),
    ),
}


@pytest.mark.pitfall("P-47", "C178")
@pytest.mark.parametrize("name", LATER)
def test_a_later_usage(name: str) -> None:
    told, found, known = LATER[name]
    assert usage.later_usage(told, found) == known


@pytest.mark.pitfall("C174")
def test_all_that_chat_can_say_is_written() -> None:
    spent = Usage(30, 60, 10, 40, 20, 5, modalities=(("input.audio", 4), ("input.video", 3), ("output.audio", 7)))
    assert usage.write_usage(spent, own=False) == {
        "prompt_tokens": 105,
        "completion_tokens": 60,
        "total_tokens": 165,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 7},
    }


def test_nothing_is_written_as_zeros() -> None:
    assert usage.write_usage(Usage(source="estimated"), own=True) == {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@pytest.mark.pitfall("C181")
@given(counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS), sounds=st.tuples(COUNTS, COUNTS))
def test_there_and_back(counts: tuple[int, ...], sounds: tuple[int, int]) -> None:
    kinds = (("input.audio", sounds[0]), ("output.audio", sounds[1]))
    spent = Usage(*counts, modalities=tuple(kind for kind in kinds if kind[1]))
    assert usage.read_usage(usage.write_usage(spent, own=False)) == spent
