"""Usage buckets are disjoint: totals are sums."""

from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.usage import Usage

COUNTS = st.integers(0, 10**12)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_totals_are_the_sums_of_their_buckets(fresh: int, read: int, write: int, text: int, reasoning: int) -> None:
    usage = Usage(fresh, read, write, text, reasoning)
    assert usage.input_total == fresh + read + write
    assert usage.output_total == text + reasoning


def test_nothing_was_used_unless_somebody_says_so() -> None:
    assert (Usage().input_total, Usage().output_total, Usage().source) == (0, 0, "vendor")
    assert Usage(output_text=3, source="estimated").source == "estimated"
