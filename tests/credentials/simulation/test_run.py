"""Whole simulations, worked out by hand: who serves when, what rests, who waits, what the vendor says."""

from collections.abc import Sequence
from typing import Any

import pytest

from rotator.config.schema import Retry
from rotator.contracts import Credential, Target
from rotator.credentials.simulation.arrivals import Arrival, Work
from rotator.credentials.simulation.clock import MONDAY
from rotator.credentials.simulation.report import Report
from rotator.credentials.simulation.run import Setup, simulate
from rotator.rotation import Asked, Pick, Seat
from tests.credentials.simulation.scenes import Scene, keys, rotation, targets, vendor, work

WINDOW = [{"name": "1m", "seconds": 60, "limit": 3}]


def test_two_keys_and_a_window_of_three_requests() -> None:
    """The first key is filled (until 60), then the second (30 to 90); at 55 both are out, and 60 is awaited."""
    scene = Scene(2, windows=WINDOW)
    times = (0, 10, 20, 30, 40, 50, 55, 65, 100, 101)
    assert scene.who(*times) == [1, 1, 1, 2, 2, 2, 1, 1, 1, 2]
    report = scene.run(work(*times))
    assert (report.requests, report.answered, report.refused, report.client_429) == (10, 10, {}, 0)
    assert (report.waited, report.longest_wait_seconds) == (1, 5.001)
    first, second = report.keys
    assert (first.served, first.share, first.longest_wait_seconds) == (6, 0.6, 5.001)
    assert (second.served, second.share, second.longest_wait_seconds) == (4, 0.4, 0.0)
    assert (first.vendor_429, first.faults, first.cap_hits) == (0, 0, 0)
    assert report.seconds == 102.0 and first.idle_share == round(1 - 6 / 102, 4)


def test_nobody_waits_longer_than_the_threshold() -> None:
    scene = Scene(1, windows=WINDOW)
    report = scene.run(work(0, 1, 2, 49, 49.999))
    assert (report.answered, report.refused, report.client_429) == (3, {"window": 2}, 2)
    assert scene.run(work(0, 1, 2, 50)).refused == {}


def test_turns_tiers_and_sessions() -> None:
    assert Scene(3, mode="round_robin").who(0, 5, 10, 15) == [1, 2, 3, 1]
    better = Scene(priorities=[10, 1], windows=WINDOW)
    assert better.who(0, 5, 10, 15, 61) == [2, 2, 2, 1, 2]
    kept = Scene(3, mode="round_robin").who(0, 5, 10, 15, session="s")
    assert len(set(kept)) == 1
    assert Scene(2, mode="balanced", tolerance=0).who(0, 5, 10, 15) == [1, 2, 1, 2]


def test_a_fixed_cap() -> None:
    """Two requests reach it; the key rests for 100 s from the end of the second (11), then the count begins anew."""
    scene = Scene(1, caps=[{"model": "small", "max": 2, "cooldown": "fixed:100"}])
    report = scene.run(work(0, 10, 20, 105, 112, 130))
    assert (report.answered, report.refused) == (4, {"cap": 2})
    assert (report.keys[0].cap_hits, report.waited, report.longest_wait_seconds) == (2, 1, 6.001)
    assert scene.who(0, 10, 20, 105, 112, 130) == [1, 1, 0, 1, 1, 0]


def test_waiting_for_a_place() -> None:
    """One request at a time, 8 s each: those behind wait 7 and 14 s."""
    scene = Scene(1, max_concurrent=1, said={"seconds": 8})
    report = scene.run(work(0, 1, 2))
    assert (report.answered, report.waited, report.longest_wait_seconds) == (3, 2, 14.0)
    assert (report.seconds, report.keys[0].idle_share, report.keys[0].longest_wait_seconds) == (24.0, 0.0, 14.0)
    scene.global_seconds = 10
    late = scene.run(work(0, 1, 2))
    assert (late.answered, late.refused, late.client_429) == (2, {"concurrency": 1}, 0)
    assert (late.longest_wait_seconds, late.keys[0].longest_wait_seconds) == (10.0, 7.0)


def test_who_comes_at_the_moment_of_an_end_need_not_wait() -> None:
    report = Scene(1, max_concurrent=1).run(work(0, 1, 2))
    assert (report.answered, report.waited) == (3, 0)


def test_a_vendor_that_enforces_less_than_is_configured() -> None:
    """The third request hears of it at once; at 55 the limit's end is near enough to be awaited."""
    said = {"limits": [{"requests": 2, "seconds": 60}]}
    report = Scene(1, windows=WINDOW, said=said).run(work(0, 10, 20, 30, 55))
    assert (report.answered, report.refused, report.client_429) == (3, {"cooldown": 2}, 2)
    assert (report.keys[0].vendor_429, report.waited, report.longest_wait_seconds) == (1, 1, 5.001)
    other = Scene(2, windows=WINDOW, said=said)
    assert other.who(0, 10, 20, 30, 40) == [1, 1, 2, 2, 0]
    assert [key.vendor_429 for key in other.run(work(0, 10, 20, 30)).keys] == [1, 0]


def test_a_vendor_that_does_not_say_until_when() -> None:
    """5 s are assumed and awaited, then 10 s, and the client hears of it."""
    report = Scene(1, said={"limits": [{"requests": 1, "seconds": 60, "retry_after": False}]}).run(work(0, 10))
    assert (report.keys[0].vendor_429, report.refused, report.longest_wait_seconds) == (2, {"cooldown": 1}, 5.001)


def test_rejections_and_faults() -> None:
    rejected = Scene(2, said={"rejected": ["alpha#1"]}).run(work(0, 10))
    assert [(key.served, key.vendor_401) for key in rejected.keys] == [(0, 1), (2, 0)]
    alone = Scene(1, said={"rejected": ["alpha#1"]}).run(work(0, 1, 10))
    assert (alone.refused, alone.client_429, alone.keys[0].vendor_401) == ({"rejected": 3}, 0, 2)  # the last one probes
    faulty = Scene(1, said={"fault_rate": 1}).run(work(0))
    assert (faulty.refused, faulty.keys[0].faults, faulty.waited) == ({"server_error": 1}, 2, 1)


def test_a_vendor_that_enforces_what_is_configured_never_says_429() -> None:
    windows = [{"name": "t", "seconds": 60, "limit": 500, "unit": "tokens"}, *WINDOW]
    report = Scene(2, windows=windows).run(work(*range(0, 600, 7), tokens=200))
    assert report.answered and report.refused.keys() == {"window"}
    assert [key.vendor_429 for key in report.keys] == [0, 0]


def test_the_end_is_that_of_the_last_request_and_not_of_a_timer() -> None:
    report = Scene(1, max_concurrent=1).run(work(0, 0.5))
    assert report.seconds == 2.0
    assert Scene(1).run(Work(MONDAY, 500.0, [Arrival(0.0, "small", None, 0)])).seconds == 500.0


def test_requests_at_a_time_are_no_idleness() -> None:
    report = Scene(1, said={"seconds": 8}).run(work(0, 4))
    assert (report.seconds, report.keys[0].idle_share) == (12.0, 0.0)


def test_the_deadline_bounds_waiting_and_rotation() -> None:
    limited = Scene(1, windows=WINDOW)
    limited.global_seconds = 8.0
    assert limited.run(work(0, 1, 2, 51)).longest_wait_seconds == 0.0  # 60 is no sooner than the deadline
    assert limited.run(work(0, 1, 2, 53)).longest_wait_seconds == 7.001
    faulty = Scene(3, said={"fault_rate": 1, "error_seconds": 3})
    faulty.global_seconds = 5.0
    report = faulty.run(work(0))
    assert (report.refused, [key.faults for key in report.keys], report.seconds) == ({"deadline": 1}, [1, 1, 0], 6.0)
    alone = Scene(1, said={"fault_rate": 1, "error_seconds": 3})
    alone.global_seconds = 3.3
    assert (alone.run(work(0)).keys[0].faults, alone.run(work(0)).refused) == (1, {"server_error": 1})  # no pause
    alone.global_seconds = 3.7
    assert alone.run(work(0)).keys[0].faults == 2


class Last:
    """A strategy of a plug-in."""

    name = "last"

    def pick(self, seats: Sequence[Seat], asked: Asked) -> Pick:
        return Pick(seats[-1], "the last one")


def test_strategies_may_come_from_elsewhere() -> None:
    setup = Setup({"alpha": keys(10, 10, 10)}, {"alpha": rotation(mode="last")}, targets, strategies={"last": Last()})
    assert [key.served for key in simulate(setup, work(0, 10)).keys] == [0, 0, 2]


class Several:
    """``small`` leads to one key of alpha, then of beta, then of gamma; who served how often."""

    def __init__(self, said: Any = None, retry: Any = None, **alpha: Any) -> None:
        self.credentials = {name: (Credential(name, name, name, None),) for name in ("alpha", "beta", "gamma")}
        self.rotations = {"alpha": rotation(fair_cycle={"enabled": False}, **alpha)}
        self.vendor, self.retry = vendor(**(said or {})), Retry(**(retry or {}))

    def run(self, *times: float) -> tuple[list[int], Report]:
        def lead(model: str) -> list[Target]:
            return [Target(name, "chat", model) for name in self.credentials]

        setup = Setup(self.credentials, self.rotations, lead, self.vendor, retry=self.retry)
        report = simulate(setup, work(*times))
        return [key.served for key in report.keys], report


def test_with_another_target_behind_nobody_waits() -> None:
    served, report = Several(max_concurrent=1).run(0, 0.5)
    assert (served, report.waited) == ([1, 1, 0], 0)
    served, report = Several(windows=[{"name": "w", "seconds": 5, "limit": 1}]).run(0, 2)
    assert (served, report.waited) == ([1, 1, 0], 0)


def test_targets_give_way_and_there_is_an_end_to_them() -> None:
    served, report = Several({"rejected": ["alpha", "beta"]}).run(0)
    assert (served, report.answered) == ([0, 0, 1], 1)
    served, report = Several({"rejected": ["alpha", "beta"]}, {"max_targets": 2}).run(0)
    assert (served, report.refused) == ([0, 0, 0], {"rejected": 1})
    faulty = Several({"fault_rate": 1}, {"max_attempts": 4}).run(0)[1]
    assert [key.faults for key in faulty.keys] == [2, 1, 1]  # each target that is left keeps one attempt
    nowhere = simulate(Setup({"alpha": keys(10)}, {}, lambda model: (), vendor()), work(0))
    assert nowhere.refused == {"model_not_found": 1}


@pytest.mark.parametrize("mode", ["sequential", "balanced", "round_robin"])
def test_a_seed_gives_one_report(mode: str) -> None:
    scene = Scene(3, mode=mode, max_concurrent=2, windows=WINDOW, said={"fault_rate": 0.1, "spread": 0.9, "seconds": 9})
    times = [number * 1.7 for number in range(200)]
    once, again, other = scene.run(work(*times)), scene.run(work(*times)), scene.run(work(*times), seed=8)
    assert once == again and once.as_json() != {**other.as_json(), "seed": 7}
