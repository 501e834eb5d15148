"""Requests that wait for a free place: nothing is lost, nobody wakes for nothing, first come is first served."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.contracts import Needs
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.waiting import Ticket
from rotator.errors import NoCredential
from rotator.quota import QuotaFact
from tests.clocks import ManualClock
from tests.credentials.houses import (
    FAULT,
    LEFT,
    OK,
    REJECTED,
    TARGET,
    House,
    key,
    limited,
    pinned,
    turns,
)

ONE: dict[str, Any] = {"mode": "round_robin", "max_concurrent": 1}
PATIENT = Needs(deadline=1e9)


class LightClock(ManualClock):
    """Whose calls are taken back in no time: thousands of deadlines wait in it."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        calls = [call]
        super().call_later(seconds, lambda: calls[0]() if calls else None)
        return calls.clear


# Ten thousand at once.


@dataclass
class Crowd:
    """Waiters and what became of each; ``granted`` lists those that woke with a lease, in their order, by kind."""

    house: House
    rng: Random
    tasks: list[asyncio.Task[str]] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    serving: list[int] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    granted: dict[Any, list[int]] = field(default_factory=lambda: defaultdict(list))
    under_way: Counter[str] = field(default_factory=Counter)
    most: int = 0
    after: int = 0

    def needs(self) -> Needs:
        keys = self.house.keys
        pin = f"alpha#{self.rng.randint(1, len(keys))}" if self.rng.random() < 0.2 else None
        tried = frozenset({self.rng.choice(keys).id}) if pin is None and self.rng.random() < 0.3 else frozenset()
        return Needs("talk" if self.rng.random() < 0.1 else None, pin, tried, 1e9)

    async def wait(self, number: int, needs: Needs) -> str:
        self.line.append(number)
        try:
            lease = await self.house.pool.lease(TARGET, needs)
        except NoCredential:
            return "error"
        finally:
            self.line.remove(number)
        assert isinstance(lease, Lease) and not lease.settled
        label = lease.credential.label
        assert needs.pin in (None, label) and lease.credential.id not in needs.tried
        self.granted[needs.pin, needs.tried].append(number)
        self.under_way[label] += 1
        self.serving.append(number)
        self.most = max(self.most, *self.under_way.values())
        try:
            for _ in range(self.rng.randrange(4)):
                await asyncio.sleep(0)
            outcome = self.rng.choice([OK, OK, LEFT, FAULT])
        except asyncio.CancelledError:
            self.after += 1
            outcome = LEFT
            raise
        finally:
            self.under_way[label] -= 1
            self.serving.remove(number)
            if self.rng.random() < 0.5:
                self.cancel()  # before the place is free: it may be given to one that is going
            lease.settle(outcome)
            if self.rng.random() < 0.5:
                self.cancel()  # in the step of the grant: its waiter has not heard of it yet
        return label

    def cancel(self) -> None:
        """One of those that are next, somebody of the line, or one that is served."""
        chance = self.rng.random()
        if chance < 0.1 and self.serving:
            number = self.rng.choice(self.serving)
        elif chance < 0.3:
            number = self.rng.randrange(len(self.tasks))
        else:
            ahead = self.line[: 12 if self.rng.random() < 0.8 else len(self.line)]
            number = self.rng.choice(ahead) if ahead else 0
        if self.tasks[number] is not asyncio.current_task() and self.tasks[number].cancel():
            self.cancelled.add(number)


@pytest.mark.parametrize(("keys", "hard", "waiters"), [(3, 2, 10_000), (5, 1, 2_000), (1, 1, 2_000)])
async def test_thousands_of_waiters_of_which_many_leave(keys: int, hard: int, waiters: int) -> None:
    house = House(count=keys, rules=ONE | {"max_concurrent": hard}, clock=LightClock)
    crowd = Crowd(house, Random(keys))
    for number in range(waiters):
        crowd.tasks.append(asyncio.create_task(crowd.wait(number, crowd.needs())))
    found = await asyncio.gather(*crowd.tasks, return_exceptions=True)
    house.assert_idle()
    assert crowd.most <= hard and house.pool.counters.settled_twice == 0
    for number, one in enumerate(found):
        if isinstance(one, BaseException):
            assert isinstance(one, asyncio.CancelledError) and number in crowd.cancelled
        else:
            assert one.startswith("alpha#") or keys == 1, "all could be served"
    for numbers in crowd.granted.values():
        assert numbers == sorted(numbers), "first come, first served"
    heard = sum(map(len, crowd.granted.values()))
    assert house.pool.counters.leases - heard > waiters / 100, "granted in the step in which they left, and passed on"
    assert len(crowd.cancelled) > waiters / 5 and (crowd.after > 20 or keys * hard == 1) and heard > waiters / 4
    assert house.pool.counters.waited > waiters / 2


# First come, first served: among those that can take what is free.


ASKS = st.builds(
    lambda pin, tried: Needs(None, pin, frozenset(f"id-key-{number}" for number in tried), 1e9),
    st.sampled_from([None, None, "alpha#1", "alpha#2"]),
    st.sets(st.integers(1, 3), max_size=2),
)


class Watched:
    """Tickets as they join; a grant is looked at in the moment in which it is made."""

    def __init__(self, hard: int) -> None:
        self.house = House(count=3, rules=ONE | {"max_concurrent": hard})
        self.hard = hard
        self.waiting: list[tuple[Ticket[Lease], Needs]] = []
        self.open: list[Lease] = []
        self.errors = 0

    def able(self, needs: Needs) -> set[str]:
        """Labels of keys that have a free place for such a request."""
        use = Counter(lease.credential.id for lease in self.open)
        return {
            one.label
            for one in self.house.keys
            if needs.pin in (None, one.label) and one.id not in needs.tried and use[one.id] < self.hard
        }

    def ask(self, needs: Needs) -> None:
        able = self.able(needs)
        try:
            found = self.house.pool.ask(TARGET, needs)
        except NoCredential:
            assert not able, "nobody can ever take it"
            return
        if isinstance(found, Lease):
            assert found.credential.label in able
            self.open.append(found)
        else:
            assert not able
            found.done = lambda result: self.served(found, needs, result)
            self.waiting.append((found, needs))

    def served(self, ticket: Ticket[Lease], needs: Needs, result: Lease | Exception) -> None:
        place = next(place for place, (one, _) in enumerate(self.waiting) if one is ticket)
        if isinstance(result, Lease):
            assert result.credential.label in self.able(needs)
            for _, other in self.waiting[:place]:
                assert not self.able(other), "one that came before could have had it"
            self.open.append(result)
        else:
            self.errors += 1
        del self.waiting[place]


@settings(max_examples=150)
@given(st.integers(1, 2), st.lists(st.one_of(ASKS, ASKS, st.integers(0, 99)), min_size=10, max_size=60))
def test_who_came_first_among_those_that_can_take_it_has_it(hard: int, steps: list[Needs | int]) -> None:
    watched = Watched(hard)
    for step in steps:
        if isinstance(step, Needs):
            watched.ask(step)
        elif step % 3 == 0 and watched.waiting:
            ticket, _ = watched.waiting.pop(step % len(watched.waiting))
            watched.house.pool.give_up(ticket)
        elif watched.open:
            watched.open.pop(step % len(watched.open)).settle(OK)
        assert not any(watched.able(needs) for _, needs in watched.waiting), "a free place, and somebody waits for it"
    while watched.open:
        watched.open.pop(0).settle(OK)
    assert not watched.waiting and not watched.errors
    watched.house.assert_idle()


async def waiter(pool: Pool, needs: Needs = PATIENT) -> Lease | NoCredential:
    try:
        return await pool.lease(TARGET, needs)
    except NoCredential as none:
        return none


async def test_one_that_waits_for_its_key_keeps_nobody_else_waiting() -> None:
    house = House(count=2, rules=ONE)
    first, second = house.open(pinned(1)), house.open(pinned(2))
    pinned_ones = [asyncio.create_task(waiter(house.pool, PATIENT._replace(pin="alpha#1"))) for _ in range(3)]
    await turns()
    free = asyncio.create_task(waiter(house.pool))
    await turns()
    second.settle(OK)
    await turns()
    assert free.done() and not any(one.done() for one in pinned_ones)
    first.settle(OK)
    await turns()
    assert [one.done() for one in pinned_ones] == [True, False, False]
    for one in (free, *pinned_ones):
        lease = await one
        assert isinstance(lease, Lease)
        lease.settle(OK)
    house.assert_idle()


async def test_who_comes_now_does_not_pass_those_that_wait() -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    task = asyncio.create_task(waiter(house.pool))
    await turns()
    lease.settle(OK)
    assert house.none().error.status == 503, "the place is taken already, though nobody has woken"
    await turns()
    got = await task
    assert isinstance(got, Lease)
    got.settle(OK)


# Deadlines.


async def test_without_time_nobody_waits() -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    for deadline in (float("-inf"), 0.0, house.clock.ticks):
        none = await house.refused(Needs(deadline=deadline))
        assert none.error.status == 503 and "alpha#1: concurrency" in none.error.message
    lease.settle(OK)
    assert house.pool.counters.waited == 0


async def test_a_deadline_ends_the_wait_at_its_moment_and_lists_the_keys() -> None:
    house = House(count=2, rules=ONE)
    leases = [house.open(), house.open()]
    late = asyncio.create_task(waiter(house.pool, Needs(deadline=house.clock.ticks + 30)))
    later = asyncio.create_task(waiter(house.pool, Needs(deadline=house.clock.ticks + 31)))
    await turns()
    house.clock.advance(29.999)
    await turns()
    assert not late.done()
    house.clock.advance(0.001)
    await turns()
    none = await late
    assert isinstance(none, NoCredential) and none.error.status == 503 and none.free_in_seconds is None
    assert all(f"alpha#{number}: concurrency" in none.error.message for number in (1, 2))
    assert not later.done()
    leases[0].settle(OK)
    got = await later
    assert isinstance(got, Lease)
    for lease in (got, leases[1]):
        lease.settle(OK)
    house.clock.advance(100)
    house.assert_idle()


async def test_after_a_deadline_nothing_is_left_behind() -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    tasks = [asyncio.create_task(waiter(house.pool, Needs(deadline=house.clock.ticks + n))) for n in range(1, 6)]
    await turns()
    house.clock.advance(10)
    assert all(isinstance(one, NoCredential) for one in await asyncio.gather(*tasks))
    lease.settle(OK)
    house.assert_idle()
    assert house.clock._calls == [], "no timer either"


# Limits that end, and limits that come.


async def test_a_limit_that_ends_serves_those_that_wait_at_that_moment() -> None:
    house = House(count=2, rules=ONE)
    house.spend(1, limited(5))
    busy = house.open(pinned(2))
    began = house.clock.ticks
    tasks = [asyncio.create_task(waiter(house.pool)) for _ in range(2)]
    await turns()
    house.clock.advance(4.999)
    await turns()
    assert not any(one.done() for one in tasks)
    house.clock.advance(60)
    await turns()
    got = await tasks[0]
    assert isinstance(got, Lease) and got.credential.label == "alpha#1" and got.began == pytest.approx(began + 5)
    got.settle(OK)
    second = await tasks[1]
    assert isinstance(second, Lease)
    for lease in (second, busy):
        lease.settle(OK)
    house.assert_idle()


@pytest.mark.parametrize(
    ("rules", "seconds"),
    [
        ({"windows": [{"name": "w", "seconds": 50, "limit": 1}]}, 50),
        ({"caps": [{"model": "*", "max": 1, "cooldown": "fixed:20"}]}, 20),
    ],
)
async def test_a_window_or_a_rest_that_ends_serves_as_well(rules: dict[str, Any], seconds: float) -> None:
    house = House(count=2, rules=ONE | rules)
    house.spend(1, OK)
    busy = house.open(pinned(2), "other")
    task = asyncio.create_task(waiter(house.pool))
    await turns()
    house.clock.advance(seconds - 0.001)
    await turns()
    assert not task.done()
    house.clock.advance(0.001)
    await turns()
    got = await task
    assert isinstance(got, Lease) and got.credential.label == "alpha#1"
    for lease in (got, busy):
        lease.settle(OK)
    house.assert_idle()


@pytest.mark.parametrize("end", [limited(120), REJECTED, limited(120, "provider")], ids=["limit", "rejection", "all"])
async def test_those_whose_last_busy_key_is_out_are_told_at_once(end: Any) -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    tasks = [asyncio.create_task(waiter(house.pool)) for _ in range(5)]
    await turns()
    lease.settle(end)
    await turns()
    assert all(one.done() for one in tasks)
    for one in tasks:
        none = await one
        assert isinstance(none, NoCredential)
        if end is REJECTED:
            assert none.error.code == "all_credentials_rejected"
        else:
            assert none.error.status == 429 and none.free_in_seconds == pytest.approx(120)
    house.assert_idle()


async def test_a_poll_that_shows_quota_serves_those_that_wait() -> None:
    house = House(count=2, rules=ONE)
    fact = QuotaFact("rpm", limit=10, used=10, resets_in_seconds=500, model="small", source="poll")
    house.told(1, fact)
    busy = house.open()
    task = asyncio.create_task(waiter(house.pool))
    await turns()
    house.told(1, fact._replace(used=3))
    got = await task
    assert isinstance(got, Lease) and got.credential.label == "alpha#1"
    for lease in (got, busy):
        lease.settle(OK)


async def test_an_answers_head_that_shows_quota_serves_those_that_wait() -> None:
    house = House(count=2, rules={"mode": "round_robin", "max_concurrent": 2})
    stream = house.open(pinned(1))
    house.told(1, QuotaFact("rpm", limit=10, used=10, resets_in_seconds=500, model="small", source="poll"))
    busy = [house.open(pinned(2)) for _ in range(2)]
    task = asyncio.create_task(waiter(house.pool))
    await turns()
    assert house.reasons() == {"alpha#1": ["window"], "alpha#2": ["concurrency"]}
    stream.told([QuotaFact("rpm", limit=10, remaining=5, resets_in_seconds=500)])
    await turns()
    free = task.done()
    for lease in (stream, *busy):
        lease.settle(OK)
    got = await task
    assert isinstance(got, Lease)
    got.settle(OK)
    assert free, "the first key had a free place and quota"


# Reloads.


async def test_a_reload_that_brings_places_serves_those_that_wait() -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    tasks = [asyncio.create_task(waiter(house.pool)) for _ in range(3)]
    await turns()
    house.reload([*house.keys, key(2)])
    await turns()
    assert [one.done() for one in tasks] == [True, False, False]
    house.reload(house.keys, ONE | {"max_concurrent": 2})
    await turns()
    got = [await one for one in tasks]
    assert [one.credential.label for one in got if isinstance(one, Lease)] == ["alpha#2", "alpha#1", "alpha#2"]
    for one in (lease, *got):
        assert isinstance(one, Lease)
        one.settle(OK)
    house.assert_idle()


async def test_a_reload_that_leaves_nothing_to_wait_for_tells_so() -> None:
    house = House(count=2, rules=ONE)
    leases = [house.open(), house.open()]
    pinned_one = asyncio.create_task(waiter(house.pool, PATIENT._replace(pin="alpha#2")))
    free = asyncio.create_task(waiter(house.pool))
    await turns()
    house.reload(house.keys[:1])
    await turns()
    none = await pinned_one
    assert isinstance(none, NoCredential) and none.error.status == 503 and not free.done()
    house.reload(house.keys, ONE | {"model_tiers": {"small": 1}})
    none = await free
    assert isinstance(none, NoCredential) and "alpha#1: concurrency, tier" in none.error.message
    for lease in leases:
        lease.settle(OK)
    house.assert_idle()


async def test_a_provider_that_goes_sends_its_waiters_away() -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    task = asyncio.create_task(waiter(house.pool))
    gone = asyncio.create_task(waiter(house.pool))
    await turns()
    house.pool.reconcile({"beta": [key(1, provider="beta")]})
    gone.cancel()
    none = await task
    assert isinstance(none, NoCredential) and none.error.status == 503
    with pytest.raises(asyncio.CancelledError):
        await gone
    lease.settle(OK)
    assert house.pool.counters.open == 0


# Leaving.


@pytest.mark.parametrize("first", ["cancel", "settle"])
async def test_a_place_for_one_that_leaves_in_that_step_goes_to_the_next(first: str) -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    tasks = [asyncio.create_task(waiter(house.pool)) for _ in range(3)]
    await turns()
    if first == "settle":
        lease.settle(OK)
    tasks[0].cancel()
    if first == "cancel":
        lease.settle(OK)
    await turns()
    assert tasks[0].cancelled() and tasks[1].done() and not tasks[2].done()
    for task in tasks[1:]:
        got = await task
        assert isinstance(got, Lease)
        got.settle(OK)
    house.assert_idle()
    (standing,) = house.pool.standings("alpha")
    assert standing.served == 3, "the one that left used nothing"


async def test_leaving_frees_the_place_in_the_line_and_the_timer() -> None:
    house = House(count=1, rules=ONE)
    lease = house.open()
    tasks = [asyncio.create_task(waiter(house.pool, Needs(deadline=house.clock.ticks + 60))) for _ in range(3)]
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert house.pool._lines["alpha"].waiting.size == 0 and house.clock._calls == []
    lease.settle(OK)
    assert house.serve() == "alpha#1"
