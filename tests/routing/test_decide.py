"""The table of actions: keys bound limits and rejections, the budget bounds the rest."""

import pytest

from rotator.contracts import Verdict
from rotator.routing.decide import Action, counts, decide

LIMITED = Verdict("credential", "model", "rate_limit")
REJECTED = Verdict("credential", "credential", "rejected")
SERVER = Verdict("provider", "provider", "server_error")
ROAD = Verdict("network", "provider", "bad_gateway")
REQUEST = Verdict("client", "request", "bad_request")
MODEL = Verdict("model", "request", "not_found")


@pytest.mark.parametrize("verdict", [LIMITED, REJECTED], ids=lambda one: one.reason)
@pytest.mark.parametrize("counted", [0, 1, 6, 100])
def test_a_limit_or_a_rejection_always_goes_to_the_next_key(verdict: Verdict, counted: int) -> None:
    assert decide(verdict, counted, 6) is Action.ROTATE
    assert not counts(verdict)


@pytest.mark.parametrize("verdict", [SERVER, ROAD], ids=lambda one: one.reason)
def test_a_fault_rotates_within_the_budget(verdict: Verdict) -> None:
    assert counts(verdict)
    assert [decide(verdict, counted, 3) for counted in (1, 2, 3, 4)] == [
        Action.ROTATE, Action.ROTATE, Action.STOP, Action.STOP,
    ]
    assert decide(verdict, 1, 1) is Action.STOP


@pytest.mark.parametrize("verdict", [REQUEST, MODEL], ids=lambda one: one.reason)
def test_what_the_request_did_wrong_is_asked_once(verdict: Verdict) -> None:
    action = Action.STOP if verdict.blame == "client" else Action.FAIL_OVER
    assert decide(verdict, 0, 6) is decide(verdict, 1, 6) is action
    assert counts(verdict)


@pytest.mark.parametrize("verdict", [SERVER, ROAD], ids=lambda one: one.reason)
def test_each_target_that_is_left_keeps_an_attempt(verdict: Verdict) -> None:
    left = [decide(verdict, counted, 6, 2) for counted in (1, 3, 4, 5, 6)]
    assert left == [Action.ROTATE, Action.ROTATE, Action.FAIL_OVER, Action.FAIL_OVER, Action.FAIL_OVER]
    assert decide(REQUEST, 6, 6, 2) is Action.STOP
    assert decide(LIMITED, 6, 6, 2) is Action.ROTATE
