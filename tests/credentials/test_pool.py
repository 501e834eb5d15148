"""The pool: who gets the next request, what a lease leaves behind, and what a reload keeps."""

import logging
import math
from collections import Counter
from dataclasses import replace

import pytest

from rotator.contracts import Needs, Outcome, Target
from rotator.credentials.pool import Lease
from rotator.neutral.secret import Secret
from tests.credentials.houses import (
    ANY,
    FAULT,
    LARGE,
    LEFT,
    OK,
    REJECTED,
    ROUND_ROBIN,
    TARGET,
    House,
    key,
    limited,
    pinned,
)

# Fairness.


async def test_round_robin_is_even() -> None:
    house = House(count=7, rules=ROUND_ROBIN)
    served = Counter([await house.ask(target=(TARGET, LARGE)[turn % 2]) for turn in range(1_000)])
    assert set(served.values()) <= {142, 143} and len(served) == 7


async def test_round_robin_is_even_while_leases_are_open() -> None:
    house = House(count=3, rules=ROUND_ROBIN)
    leases = [await house.pool.lease(TARGET, ANY) for _ in range(30)]
    assert set(Counter(lease.credential.label for lease in leases).values()) == {10}
    for lease in leases:
        lease.settle(OK)
    assert house.pool.counters.open == 0 and house.pool.counters.leases == 30


async def test_a_key_that_comes_back_takes_its_turn_and_no_more() -> None:
    house = House(count=3, rules=ROUND_ROBIN)
    await house.spoil("alpha#2", limited(10))
    assert {await house.ask() for _ in range(9)} == {"alpha#1", "alpha#3"}
    house.clock.advance(10)
    served = [await house.ask() for _ in range(9)]
    assert served[0] == "alpha#2" and Counter(served) == {"alpha#1": 3, "alpha#2": 3, "alpha#3": 3}


async def test_a_key_with_a_recent_fault_comes_last() -> None:
    house = House(count=2)
    await house.spoil("alpha#1", FAULT)
    assert [await house.ask() for _ in range(3)] == ["alpha#2"] * 3
    assert house.reasons() == {"alpha#1": [], "alpha#2": []}
    assert await house.ask(needs=Needs(tried=frozenset({house.keys[1].id}))) == "alpha#1"


# Sessions.


@pytest.mark.parametrize("mode", ["sequential", "round_robin", "balanced"])
async def test_sessions_stick_and_a_new_key_moves_few(mode: str) -> None:
    house = House(count=5, rules={"mode": mode, "optimal_concurrent": -1})
    sessions = [f"session-{number}" for number in range(300)]
    before = {session: await house.ask(needs=Needs(session)) for session in sessions}
    for session in reversed(sessions):
        assert await house.ask(needs=Needs(session)) == before[session]
    assert min(Counter(before.values()).values()) > 30
    house.reload([*house.keys, key(6)])
    for session in sessions:
        assert await house.ask(needs=Needs(session)) == before[session], "nobody moves while talking"
    house.clock.advance(300.1)
    after = {session: await house.ask(needs=Needs(session)) for session in sessions}
    moved = [session for session in sessions if after[session] != before[session]]
    assert {after[session] for session in moved} == {"alpha#6"} and len(moved) < 100


async def test_a_session_leaves_a_limited_key_and_stays_where_it_went_until_it_is_idle() -> None:
    """design.md 2.4 (Sessions): the prompt cache is on the new key now."""
    house = House(count=4)
    home = await house.ask(needs=Needs("talk"))
    await house.spoil(home, limited(30))
    away = {await house.ask(needs=Needs("talk")) for _ in range(5)}
    assert len(away) == 1 and home not in away
    for _ in range(5):
        house.clock.advance(299)
        assert {await house.ask(needs=Needs("talk"))} == away
    house.clock.advance(300.1)
    assert await house.ask(needs=Needs("talk")) == home


# Tiers, pins, keys that were tried.


async def test_the_lowest_priority_with_an_eligible_key_serves_and_a_recovered_one_takes_over_at_once() -> None:
    house = House(key(1, 1), key(2, 2), key(3, 2), key(4, 3), rules=ROUND_ROBIN)
    assert {await house.ask() for _ in range(4)} == {"alpha#1"}
    await house.spoil("alpha#1", limited(10))
    assert Counter([await house.ask() for _ in range(4)]) == {"alpha#2": 2, "alpha#3": 2}
    await house.spoil("alpha#2", limited(60))
    await house.spoil("alpha#3", REJECTED)
    assert await house.ask() == "alpha#4"
    house.clock.advance(10)
    assert await house.ask() == "alpha#1"
    assert await house.ask(needs=Needs("talk")) == "alpha#1", "a session does not hold a worse tier"


async def test_a_fault_does_not_send_requests_to_a_worse_tier() -> None:
    house = House(key(1, 1), key(2, 2))
    await house.spoil("alpha#1", FAULT)
    assert await house.ask() == "alpha#1"


async def test_a_pin_is_obeyed_and_nothing_else_serves_it() -> None:
    house = House(key(1, 1), key(2, 2))
    assert {await house.ask(needs=Needs(f"s{n}", "alpha#2")) for n in range(5)} == {"alpha#2"}
    await house.spoil("alpha#2", limited(20))
    none = await house.refused(pinned(2))
    assert none.free_in_seconds == pytest.approx(20) and none.error.status == 429
    assert house.reasons(pinned(2)) == {"alpha#1": ["pin"], "alpha#2": ["cooldown"]}


async def test_a_pinned_key_that_is_rejected_is_not_probed_while_others_work() -> None:
    house = House(count=2)
    await house.spoil("alpha#2", REJECTED)
    house.clock.advance(30)
    assert (await house.refused(pinned(2))).error.code == "all_credentials_rejected"


async def test_a_conversation_keeps_to_the_key_that_its_reasoning_is_bound_to() -> None:
    house = House(key(1, 1), key(2, 2), key(3, 2), rules=ROUND_ROBIN)
    bound = Needs(home="id-key-2")
    assert {await house.ask(needs=bound) for _ in range(3)} == {"alpha#2"}, "before tiers, and before taking turns"
    assert house.reasons(bound) == {"alpha#1": ["bound_state"], "alpha#2": [], "alpha#3": ["bound_state"]}
    assert house.reasons(Needs(home="id-key-2", pin="alpha#3")) == {
        "alpha#1": ["pin"], "alpha#2": ["pin"], "alpha#3": [],
    }


async def test_others_serve_a_conversation_whose_own_key_cannot() -> None:
    house = House(key(1), key(2), rules={"max_concurrent": 1})
    bound = Needs(home="id-key-2")
    held = await house.pool.lease(TARGET, bound)
    assert held.credential.label == "alpha#2"
    assert await house.ask(needs=bound) == "alpha#1", "nobody waits for it"
    held.settle(limited(20))
    assert await house.ask(needs=bound) == "alpha#1"
    assert house.reasons(bound) == {"alpha#1": [], "alpha#2": ["cooldown"]}
    house.clock.advance(20)
    assert await house.ask(needs=bound) == "alpha#2"
    assert await house.ask(needs=Needs(home="of a key that left")) in ("alpha#1", "alpha#2")
    assert await house.ask(needs=bound._replace(tried=frozenset({"id-key-2"}))) == "alpha#1"


async def test_keys_that_were_tried_are_left_out() -> None:
    house = House(count=3)
    tried = frozenset(one.id for one in house.keys[:2])
    assert {await house.ask(needs=Needs(tried=tried)) for _ in range(3)} == {"alpha#3"}
    await house.refused(Needs(tried=frozenset(one.id for one in house.keys)))
    assert house.reasons(Needs(tried=tried)) == {"alpha#1": ["tried"], "alpha#2": ["tried"], "alpha#3": []}


async def test_an_unknown_provider_has_no_key() -> None:
    none = await House(count=1).refused(target=Target("beta", "chat", "small"))
    assert none.error.status == 503 and none.free_in_seconds is None


# Claims, as the pool tells them.


async def test_a_limit_is_for_one_model_and_a_rejection_for_all() -> None:
    house = House(count=3)
    await house.spoil("alpha#1", limited(30))
    await house.spoil("alpha#2", REJECTED)
    assert house.reasons() == {"alpha#1": ["cooldown"], "alpha#2": ["rejected"], "alpha#3": []}
    assert house.reasons(target=LARGE) == {"alpha#1": [], "alpha#2": ["rejected"], "alpha#3": []}


async def test_the_times_of_reasons_are_unix_seconds() -> None:
    house = House(count=1)
    await house.spoil("alpha#1", limited(30))
    house.clock.advance(10)
    found = house.pool.explain(TARGET, ANY)
    (told,) = found.as_json()["candidates"][0]["reasons"]
    assert told["until"] == pytest.approx(house.clock.wall + 20)
    assert found.candidates[0].reasons[0].until == pytest.approx(house.clock.ticks + 20)
    none = await house.refused()
    assert none.free_in_seconds == pytest.approx(20) == none.error.retry_after_seconds
    house.clock.advance((none.free_in_seconds or 0) + 0.001)
    assert await house.ask() == "alpha#1"


async def test_a_clock_that_was_set_moves_no_claim() -> None:
    """Row "clock" of faults.md 1: the system's time may jump, cooldowns run on a clock that does not."""
    house = House(count=1)
    await house.spoil("alpha#1", limited(30))
    house.clock.wall += 7_200
    assert (await house.refused()).free_in_seconds == pytest.approx(30)
    house.clock.wall = 0.0
    house.clock.advance(30)
    assert await house.ask() == "alpha#1"


async def test_requests_that_were_under_way_together_tell_one_thing_together() -> None:
    """Eight answers of one moment are one limit: the doubling is for a vendor that says no again (design.md 2.4)."""
    house = House(count=1)
    leases = [await house.pool.lease(TARGET, ANY) for _ in range(8)]
    for lease in leases:
        lease.settle(limited())
    assert (await house.refused()).free_in_seconds == pytest.approx(5)


async def test_a_limit_on_the_whole_provider_keeps_every_key_out_for_every_model() -> None:
    house = House(count=3, rules=ROUND_ROBIN)
    await house.spoil("alpha#2", limited(40, "provider"))
    expected = {"alpha#1": ["cooldown"], "alpha#2": ["cooldown"], "alpha#3": ["cooldown"]}
    assert house.reasons() == house.reasons(target=LARGE) == expected
    assert "the whole provider" in house.why(3)["cooldown"].detail
    assert (await house.refused(target=LARGE)).free_in_seconds == pytest.approx(40)
    house.clock.advance(40)
    assert {await house.ask() for _ in range(3)} == {"alpha#1", "alpha#2", "alpha#3"}


async def test_a_limit_on_the_whole_provider_is_lengthened_and_never_shortened() -> None:
    house = House(count=2)
    leases = [await house.pool.lease(TARGET, ANY) for _ in range(3)]
    for lease, seconds in zip(leases, (40, 10, 60), strict=True):
        lease.settle(limited(seconds, "provider"))
    assert house.left(1, "cooldown") == pytest.approx(60)


@pytest.mark.parametrize("nonsense", [None, 0.0, -5.0, math.nan])
async def test_a_limit_on_the_whole_provider_without_a_time_rests_for_5_s_doubling(nonsense: float | None) -> None:
    house = House(count=2)
    for wait in (5, 10, 20):
        await house.spoil("alpha#1", limited(nonsense, "provider"))
        assert house.reasons() == {"alpha#1": ["cooldown"], "alpha#2": ["cooldown"]}
        assert house.left(2, "cooldown") == pytest.approx(wait)
        house.clock.advance(wait)
    await house.spoil("alpha#2", OK)
    await house.spoil("alpha#1", limited(nonsense, "provider"))
    assert house.left(2, "cooldown") == pytest.approx(5), "an answer ends the row"


async def test_a_limit_on_another_provider_is_none_here() -> None:
    house = House(count=1)
    house.pool.reconcile({"alpha": house.keys, "beta": [key(1, provider="beta", secret="of-beta")]})
    await house.spoil("alpha#1", limited(30, "provider"))
    assert house.reasons(target=Target("beta", "chat", "small")) == {"beta#1": []}


# An incident others may have: a plug-in's classifier that misreads a date benches the vendor for years.
async def test_a_limit_on_the_whole_provider_is_at_most_31_days() -> None:
    house = House(count=1)
    await house.spoil("alpha#1", limited(1e12, "provider"))
    assert house.left(1, "cooldown") == 31 * 86_400


# Probes: all keys rejected.


async def test_when_all_are_rejected_the_least_recently_rejected_is_probed_one_at_a_time() -> None:
    house = House(count=3)
    for number in (2, 3, 1):
        await house.spoil(f"alpha#{number}", REJECTED)
        house.clock.advance(1)
    assert (await house.refused()).error.code == "all_credentials_rejected", "5 s must pass"
    house.clock.advance(2)
    probe = await house.pool.lease(TARGET, ANY)
    assert probe.probe and probe.credential.label == "alpha#2"
    house.clock.advance(60)
    others = await house.pool.lease(TARGET, ANY)
    assert not others.probe, "a rejection that ran out is no probe"
    others.settle(LEFT)
    probe.settle(LEFT)


async def test_one_probe_at_a_time() -> None:
    house = House(count=2)
    await house.spoil("alpha#1", REJECTED)
    await house.spoil("alpha#2", REJECTED)
    house.clock.advance(5)
    probe = await house.pool.lease(TARGET, ANY)
    assert probe.probe
    none = await house.refused()
    assert none.error.status == 503 and none.error.should_retry is False and none.free_in_seconds is None
    probe.settle(REJECTED)
    second = await house.pool.lease(LARGE, ANY)
    assert second.probe and second.credential.label == "alpha#2"
    second.settle(REJECTED)
    await house.refused()
    house.clock.advance(5)
    assert await house.ask(REJECTED) == "alpha#1", "it was rejected longest ago"


@pytest.mark.parametrize("end", [OK, LEFT, FAULT, limited(3), REJECTED], ids=lambda end: end.ended)
async def test_a_probe_that_ended_makes_room_for_the_next_request(end: Outcome) -> None:
    house = House(count=1)
    await house.spoil("alpha#1", REJECTED)
    house.clock.advance(5)
    assert await house.ask(end) == "alpha#1"
    house.clock.advance(5)
    assert await house.ask() == "alpha#1"


async def test_one_key_is_never_locked_out() -> None:
    """One bad minute: whatever happened before, five quiet seconds later the key is asked again."""
    house = House(count=1)
    for _ in range(50):
        house.clock.advance(5)
        assert await house.ask(REJECTED) == "alpha#1"
        await house.refused()
    house.clock.advance(5)
    assert await house.ask(OK) == "alpha#1"
    assert house.reasons() == {"alpha#1": []}


async def test_nobody_is_probed_while_a_key_is_only_limited() -> None:
    house = House(count=2)
    await house.spoil("alpha#1", REJECTED)
    await house.spoil("alpha#2", limited(40))
    house.clock.advance(10)
    none = await house.refused()
    assert none.error.status == 429 and none.free_in_seconds == pytest.approx(30)


async def test_a_probe_respects_pin_tried_and_limits() -> None:
    house = House(count=3)
    for number in (1, 2, 3):
        await house.spoil(f"alpha#{number}", limited(1_000) if number == 1 else LEFT)
    leases = [await house.pool.lease(LARGE, pinned(number)) for number in (1, 2, 3)]
    for lease in leases:
        lease.settle(REJECTED)
    house.clock.advance(10)
    assert await house.ask(REJECTED, Needs(tried=frozenset({house.keys[1].id}))) == "alpha#3"
    assert await house.ask(REJECTED, pinned(2)) == "alpha#2"
    await house.refused(pinned(1))
    await house.refused()


async def test_probes_of_two_providers_do_not_wait_for_each_other() -> None:
    house = House(count=1)
    house.pool.reconcile({"alpha": house.keys, "beta": [key(1, provider="beta", secret="of-beta")]})
    beta = Target("beta", "chat", "small")
    for target in (TARGET, beta):
        (await house.pool.lease(target, ANY)).settle(REJECTED)
    house.clock.advance(5)
    leases = [await house.pool.lease(target, ANY) for target in (TARGET, beta)]
    assert all(lease.probe for lease in leases)
    for lease in leases:
        lease.settle(OK)


# Settling.


async def test_a_lease_settles_once() -> None:
    house = House(count=1)
    lease = await house.pool.lease(TARGET, ANY)
    assert not lease.settled and house.pool.counters.open == 1 and "open" in repr(lease)
    lease.settle(OK)
    assert lease.settled and house.pool.counters.open == 0 and "settled" in repr(lease)
    with pytest.raises(AssertionError, match="alpha#1.*settled twice"):
        lease.settle(REJECTED)
    assert house.reasons() == {"alpha#1": []} and house.pool.counters.open == 0


async def test_in_service_a_second_settling_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    house = House(count=1, strict=False)
    lease = await house.pool.lease(TARGET, ANY)
    with caplog.at_level(logging.ERROR):
        for outcome in (LEFT, REJECTED, limited(99)):
            lease.settle(outcome)
    assert house.pool.counters.settled_twice == 2 and house.pool.counters.open == 0
    assert [record.getMessage().count("settled twice") for record in caplog.records] == [1, 1]
    assert house.reasons() == {"alpha#1": []}, "what came second is not believed"


async def test_a_lease_does_not_show_its_secret() -> None:
    lease: Lease = await House(key(1, secret="planted-value")).pool.lease(TARGET, ANY)
    assert "planted-value" not in repr(lease)
    lease.settle(OK)


# Reconciling.


async def test_what_is_known_of_a_key_stays_over_a_reload() -> None:
    house = House(count=3)
    await house.spoil("alpha#1", limited(100))
    await house.spoil("alpha#2", REJECTED)
    relabelled = [replace(one, label=f"new-{one.label}", priority=3) for one in house.keys]
    assert house.left(1, "cooldown") == 100
    house.reload(relabelled)
    assert house.reasons() == {"new-alpha#1": ["cooldown"], "new-alpha#2": ["rejected"], "new-alpha#3": []}
    assert await house.ask() == "new-alpha#3"


async def test_a_changed_secret_ends_a_rejection() -> None:
    house = House(count=1)
    await house.spoil("alpha#1", REJECTED)
    house.reload([key(1, secret="another")])
    assert house.reasons() == {"alpha#1": []}
    lease = await house.pool.lease(TARGET, ANY)
    assert lease.credential.secret == Secret("another") and not lease.probe
    lease.settle(OK)


async def test_a_removed_key_is_not_used_again_and_its_open_lease_still_settles() -> None:
    house = House(count=2)
    lease = await house.pool.lease(TARGET, pinned(1))
    house.reload(house.keys[1:])
    assert {await house.ask() for _ in range(3)} == {"alpha#2"}
    lease.settle(REJECTED)
    assert house.pool.counters.open == 0 and house.reasons() == {"alpha#2": []}


async def test_a_probe_of_a_removed_key_does_not_block_the_next() -> None:
    house = House(count=1)
    await house.spoil("alpha#1", REJECTED)
    house.clock.advance(5)
    probe = await house.pool.lease(TARGET, ANY)
    house.reload([key(2)])
    assert await house.ask(REJECTED) == "alpha#2"
    probe.settle(OK)
    house.clock.advance(5)
    assert await house.ask() == "alpha#2"


async def test_a_removed_provider_has_no_keys() -> None:
    house = House(count=1)
    house.pool.reconcile({})
    assert house.reasons() == {}
    assert house.pool.explain(TARGET, ANY).as_json() == {"chosen": None, "why": "", "candidates": []}
    await house.refused()


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (REJECTED, "key alpha#1 was rejected (rejected) and rests 60 s"),
        (limited(400), "key alpha#1: rate_limit for small (stated, header), and rests 400 s"),
        (limited(59), None),
        (limited(90, "provider"), "key alpha#1: rate_limit for the whole provider (stated, header), and rests 90 s"),
    ],
)
async def test_a_long_rest_gets_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture, outcome: Outcome, line: str | None
) -> None:
    house = House(count=1)
    await house.spoil("alpha#1", outcome)
    assert caplog.messages == ([] if line is None else [line])
