"""Usage buckets are disjoint: totals are sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.usage import Usage, estimated

COUNTS = st.integers(0, 10**12)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_totals_are_the_sums_of_their_buckets(
    fresh: int, read: int, write: int, text: int, reasoning: int, tool: int
) -> None:
    usage = Usage(fresh, read, write, text, reasoning, tool)
    assert usage.input_total == fresh + read + write + tool
    assert usage.output_total == text + reasoning


def test_nothing_was_used_unless_somebody_says_so() -> None:
    assert (Usage().input_total, Usage().output_total, Usage().source) == (0, 0, "vendor")
    assert Usage(output_text=3, source="estimated").source == "estimated"
    assert Usage().written_by_ttl == Usage().modalities == ()


def test_a_closer_look_adds_nothing() -> None:
    """Times to live and modalities say of which tokens the sum is made."""
    usage = Usage(4, 3, 2, 1, written_by_ttl=(("5m", 1), ("1h", 1)), modalities=(("input.audio", 4),))
    assert (usage.input_total, usage.output_total) == (9, 1)
    assert usage != Usage(4, 3, 2, 1)


@pytest.mark.parametrize(
    ("request_bytes", "pieces", "tokens"),
    [(0, 0, (1, 0)), (3, 1, (1, 1)), (4, 0, (1, 0)), (7, 0, (1, 0)), (8, 0, (2, 0)), (4_001, 25, (1_000, 25))],
)
def test_usage_that_nobody_told_is_estimated(request_bytes: int, pieces: int, tokens: tuple[int, int]) -> None:
    """Four bytes a token in, at least one; a token a piece out.  Source: protocols.md 3.4, Missing usage."""
    usage = estimated(request_bytes, pieces)
    assert usage == Usage(input_fresh=tokens[0], output_text=tokens[1], source="estimated")
