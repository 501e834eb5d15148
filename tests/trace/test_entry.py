"""What an entry costs while it waits."""

from rotator.neutral.redact import Redactor
from rotator.trace.entry import Entry


def test_the_cost_counts_what_may_be_large() -> None:
    facts = {"note": "abc", "status": 200, "usage": {"a": "b"}}
    entry = Entry("r", 0, 0.0, 0.0, "end", 0, facts, (("ab", "cde"),), b"12345678", 99, Redactor([]))
    assert entry.cost() == 3 + 5 + 8
    assert entry._replace(body=None, headers=(), facts={}).cost() == 0
