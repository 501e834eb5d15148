"""The simulated vendor: what it enforces for each key, whatever the pool believes."""

from random import Random
from typing import Any

import pytest

from rotator.config.rotation import Rotation
from rotator.contracts import Target
from rotator.credentials.simulation.clock import VirtualClock
from rotator.credentials.simulation.vendor import SimulatedVendor
from tests.credentials.simulation.scenes import keys, rotation, vendor

A, B = keys(10, 10)
SMALL, BIG = Target("alpha", "chat", "small"), Target("alpha", "chat", "big")


class Asked:
    """A vendor with its clock; ``ask`` tells how it answered: ok, or the reason and what it stated."""

    def __init__(self, rules: Rotation | None = None, seed: int = 7, **said: Any) -> None:
        self.clock = VirtualClock()
        self.vendor = SimulatedVendor(vendor(**said), {"alpha": rules or Rotation()}, self.clock, Random(seed))

    def ask(self, target: Target = SMALL, key: Any = A, tokens: int = 0) -> Any:
        reply = self.vendor.answer(target, key, tokens)
        verdict = reply.outcome.verdict
        return "ok" if verdict is None else (verdict.reason, verdict.retry_after_seconds)


def test_a_period_begins_with_the_first_request_after_its_end() -> None:
    one = Asked(limits=[{"requests": 2, "seconds": 60}])
    told = []
    for at in (5, 20, 30, 64.5, 65, 70, 80):
        one.clock.run(until=at)
        told.append(one.ask())
    assert told == ["ok", "ok", ("rate_limit", 35.0), ("rate_limit", 0.5), "ok", "ok", ("rate_limit", 45.0)]


def test_each_key_has_its_own_and_a_star_makes_one_of_each_model() -> None:
    limited = ("rate_limit", 60.0)
    together = Asked(limits=[{"requests": 1, "seconds": 60}])
    assert [together.ask(), together.ask(BIG), together.ask(key=B)] == ["ok", limited, "ok"]
    each = Asked(limits=[{"model": "*", "requests": 1, "seconds": 60}])
    assert [each.ask(), each.ask(BIG), each.ask(), each.ask(BIG)] == ["ok", "ok", limited, limited]
    for name in ("big", "b*", "alpha/big"):
        named = Asked(limits=[{"model": name, "requests": 1, "seconds": 60}])
        assert [named.ask(), named.ask(), named.ask(BIG), named.ask(BIG)] == ["ok", "ok", "ok", limited]


def test_tokens_count_and_the_longest_limit_is_stated() -> None:
    one = Asked(limits=[{"tokens": 100, "requests": 2, "seconds": 60}, {"requests": 2, "seconds": 90}])
    assert [one.ask(tokens=99), one.ask(tokens=50), one.ask()] == ["ok", "ok", ("rate_limit", 90.0)]
    assert Asked(limits=[{"tokens": 0, "seconds": 60}]).ask() == ("rate_limit", 60.0)


def test_a_time_is_stated_when_the_error_comes_or_not_at_all() -> None:
    silent = Asked(limits=[{"requests": 0, "seconds": 60, "retry_after": False}])
    assert silent.ask() == ("rate_limit", None)
    slow = Asked(limits=[{"requests": 1, "seconds": 60}], error_seconds=2)
    assert slow.ask() == "ok"
    slow.clock.run(until=30)
    reply = slow.vendor.answer(SMALL, A, 0)
    assert (reply.seconds, reply.outcome.verdict.retry_after_seconds) == (2, 28.0)  # type: ignore[union-attr]
    slow.clock.run(until=59)
    assert slow.ask() == ("rate_limit", None)  # over when the error comes


def test_without_limits_those_of_the_windows_are_enforced() -> None:
    rules = rotation(
        windows=[
            {"name": "m", "seconds": 60, "limit": 2, "applies_to": "group"},
            {"name": "d", "every": "day", "at": "01:00", "limit": 3, "applies_to": "credential"},
            {"name": "v", "reset": "vendor"},
            {"name": "c", "seconds": 60},
        ],
        quota_groups={"g": ["small", "big"]},
        usage_weights={"big": 2},
    )
    one = Asked(rules)
    assert [one.ask(), one.ask(), one.ask(BIG)] == ["ok", "ok", ("rate_limit", 60.0)]
    one.clock.run(until=60)
    assert [one.ask(BIG), one.ask()] == ["ok", ("rate_limit", 3540.0)]
    one.clock.run(until=3600)
    assert [one.ask(BIG), one.ask()] == ["ok", ("rate_limit", 60.0)]
    none = Asked(rules, limits=[])
    assert [none.ask() for _ in range(9)] == ["ok"] * 9


def test_rejected_keys_faults_and_times() -> None:
    one = Asked(rejected=["alpha#2"], seconds=8, spread=0.25, error_seconds=0.5, fault_rate=0.2)
    assert one.ask(key=B) == ("rejected", None)
    replies = [one.vendor.answer(SMALL, A, 5) for _ in range(2000)]
    faults = [reply for reply in replies if reply.outcome.ended == "failed"]
    assert len(faults) == pytest.approx(400, abs=60) and {reply.seconds for reply in faults} == {0.5}
    answers = [reply.seconds for reply in replies if reply.outcome.ended == "ok"]
    assert 6 <= min(answers) < 6.1 and 9.9 < max(answers) <= 10
