"""Which keys a request used up on a target, and when it may ask them again."""

from rotator.contracts import Verdict
from rotator.routing.progress import BACKOFF_LONGEST_SECONDS, BACKOFF_SECONDS, Progress

FAULT = Verdict("provider", "provider", "server_error")
LIMIT = Verdict("credential", "model", "rate_limit")
REJECTED = Verdict("credential", "credential", "rejected")


def test_only_faults_that_were_sent_use_up_the_budget() -> None:
    one: Progress[str] = Progress()
    assert one.failed("a", FAULT, "first") and not one.failed("b", LIMIT, "second")
    assert not one.failed("c", REJECTED, "third") and not one.failed("d", FAULT, "fourth", sent=False)
    assert (one.tried, one.faulted, one.limited) == ({"a", "b", "c", "d"}, {"a"}, {"b"})
    assert (one.fault, one.last) == ("first", "fourth")
    one.limits_ended()
    assert one.tried == {"a", "c", "d"}


def test_pauses_double_up_to_a_bound_and_end() -> None:
    one: Progress[str] = Progress()
    assert one.pause_seconds(9) is None, "nothing failed"
    pauses = []
    for _ in range(6):
        one.failed("a", FAULT, "again")
        pauses.append(one.pause_seconds(9))
        one.paused()
        assert not one.tried and one.pause_seconds(9) is None
    assert pauses == [BACKOFF_SECONDS, 1, 2, 4, BACKOFF_LONGEST_SECONDS, BACKOFF_LONGEST_SECONDS]
    one.failed("a", FAULT, "once more")
    assert one.pause_seconds(6) is None and one.pause_seconds(7) is not None
