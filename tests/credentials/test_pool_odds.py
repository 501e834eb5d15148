"""What a pool must survive: odd words of vendors and plug-ins, crowds that leave at once, rules that change."""

import asyncio
import math
from typing import Any

import pytest

from rotator.contracts import Needs, Outcome, Verdict
from rotator.credentials.facts import NAMES_KEPT, PLACES_KEPT
from rotator.credentials.pool import Lease
from rotator.errors import NoCredential
from rotator.neutral.usage import Usage
from rotator.quota import QuotaFact
from tests.credentials.houses import DAY, FAULT, OK, REJECTED, TARGET, House, key, limited, pinned, target, turns

PATIENT = Needs(deadline=1e9)
WINDOW = {"name": "requests", "seconds": 18_000, "limit": 3}


# Crowds.


@pytest.mark.parametrize("leavers", [150, 196, 300, 3_000])
async def test_a_crowd_that_leaves_in_one_moment_costs_no_place(leavers: int) -> None:
    house = House(count=1, rules={"max_concurrent": 1})
    lease = house.open()
    crowd = [asyncio.create_task(house.pool.lease(TARGET, PATIENT)) for _ in range(leavers)]
    stayers = [asyncio.create_task(house.pool.lease(TARGET, PATIENT)) for _ in range(3)]
    await turns()
    for task in crowd:
        task.cancel()
    lease.settle(OK)  # before any of them has heard that it is cancelled
    for stayer in stayers:
        (await asyncio.wait_for(stayer, 5)).settle(OK)
    assert (await asyncio.gather(*crowd, return_exceptions=True)).__len__() == leavers
    house.assert_idle()


async def test_who_is_told_may_ask_and_settle_at_once() -> None:
    """As the simulation does: deep chains of it stay flat."""
    house = House(count=1, rules={"max_concurrent": 1})
    lease, served = house.open(), []

    def done(result: Lease | Exception) -> None:
        assert isinstance(result, Lease)
        served.append(result)
        result.settle(OK)

    for _ in range(2_000):
        house.queue(PATIENT).done = done
    lease.settle(OK)
    assert len(served) == 2_000
    house.assert_idle()


# Facts.


def test_nothing_left_without_a_limit_ends_with_its_period() -> None:
    house = House(count=1)
    house.told(1, QuotaFact("requests", remaining=0, resets_in_seconds=10, model="small"))
    assert house.why(1)["window"].detail == "requests: no requests left" and house.left(1, "window") == 10
    house.clock.advance(10)
    assert house.reasons() == {"alpha#1": []}
    house.told(1, QuotaFact("requests", remaining=5, resets_in_seconds=60, model="small"))
    house.told(1, QuotaFact("requests", remaining=1_000, resets_in_seconds=60, model="small"))
    leases = [house.open() for _ in range(7)]
    assert house.reasons() == {"alpha#1": []}, "what was left at first is no limit for ever"
    for lease in leases:
        lease.settle(OK)


ODD: dict[str, QuotaFact] = {
    "texts": QuotaFact("month", "100", "5", applies_to="credential"),  # type: ignore[arg-type]
    "no number": QuotaFact("month", math.nan, math.nan, math.inf, math.nan),
    "no end": QuotaFact("month", 5, 5, resets_in_seconds=math.inf),
    "below nothing": QuotaFact("month", -5, -1, -3, -10),
    "huge": QuotaFact("month", 10**400, 5, resets_in_seconds=10**400),
    "a unit of its own": QuotaFact("month", 5, 5, unit="images"),  # type: ignore[arg-type]
    "an extent of its own": QuotaFact("month", 5, 5, applies_to="planet"),  # type: ignore[arg-type]
    "no name": QuotaFact("", 5, 5),
    "a name that is none": QuotaFact(7, 5, 5),  # type: ignore[arg-type]
    "a model that is none": QuotaFact("month", 5, 4, model=7),  # type: ignore[arg-type]
    "truth": QuotaFact("month", True, True),
    "nothing": QuotaFact("month"),
}


@pytest.mark.parametrize("fact", [*ODD.values(), "text", None, ("requests", 1)], ids=[*ODD, "text", "null", "a tuple"])
def test_an_odd_fact_harms_no_request(fact: Any) -> None:
    house = House(count=1, rules={"windows": [WINDOW]})
    lease = house.open()
    lease.told([fact])
    house.told(1, fact)
    lease.settle(OK)
    for _ in range(5):
        try:
            house.serve()
        except NoCredential as none:
            assert none.free_in_seconds is None or 0 <= none.free_in_seconds <= 31 * DAY
    assert house.ring.standings[0].in_use == 0


def test_a_limit_alone_makes_nothing_free() -> None:
    house = House(count=1, rules={"windows": [WINDOW]})
    for _ in range(3):
        lease = house.open()
        lease.told([QuotaFact("requests", limit=3)])
        lease.settle(OK)
    assert "window" in house.why(1)


def test_a_fact_of_another_extent_or_unit_corrects_no_window() -> None:
    house = House(count=1, rules={"windows": [{"name": "5h", "seconds": 18_000, "limit": 100}]})
    house.serve()
    house.told(1, QuotaFact("5h", 200, 150, applies_to="credential", source="poll"))
    house.told(1, QuotaFact("5h", 10**7, 5 * 10**6, unit="tokens", model="small", source="poll"))
    found = house.pool.describe(TARGET)[0]["windows"]
    assert [(one["used"], one["limit"], one["unit"]) for one in found] == [
        (1, 100, "requests"), (5 * 10**6, 10**7, "tokens"), (150, 200, "requests"),
    ]  # fmt: skip


def test_vendors_may_speak_of_many_windows_and_the_whole_keys_is_kept() -> None:
    house = House(count=1)
    house.told(1, QuotaFact("5h", 100, 100, None, 5_000, applies_to="credential", source="poll"))
    for number in range(3 * NAMES_KEPT):
        house.told(1, QuotaFact(f"kind-{number}", 5, 1, None, 9_000, model="small"))
    for number in range(2 * PLACES_KEPT):
        house.told(1, QuotaFact("requests", 5, 1, None, 9_000, model=f"model-{number}"))
    told = house.ring.standings[0].told
    assert len(told) <= PLACES_KEPT and max(map(len, told.values())) <= NAMES_KEPT
    assert "window" in house.why(1)


def test_a_poll_does_not_lose_what_ended_while_it_was_asked() -> None:
    house = House(count=1, rules={"windows": [{"name": "w", "seconds": 600, "limit": 10}]})
    house.serve()
    house.clock.advance(5)
    house.serve_number(8)
    house.told(1, QuotaFact("w", 10, 1, model="small", source="poll"), ago=3)
    assert house.pool.describe(TARGET)[0]["windows"][0]["used"] == 9


# Verdicts and usage.


@pytest.mark.parametrize("wait", ["30", None, math.nan, -1.0, math.inf, [], True])
def test_an_odd_verdict_ends_a_lease_like_any_other(wait: Any) -> None:
    house = House(count=1, rules={"max_concurrent": 1})
    lease = house.open()
    waiting = house.queue(PATIENT)
    told: list[Any] = []
    waiting.done = told.append
    lease.settle(Outcome("failed", Verdict("credential", "model", "rate_limit", wait)))
    house.clock.advance(31 * DAY)
    assert len(told) == 1
    if isinstance(told[0], Lease):
        told[0].settle(OK)
    house.assert_idle()


@pytest.mark.parametrize("tokens", [-1_000, 10**400])
def test_odd_usage_neither_frees_nor_raises(tokens: int) -> None:
    rules = {"windows": [{"name": "tpm", "seconds": 60, "limit": 1_000, "unit": "tokens"}]}
    house = House(count=1, rules=rules)
    house.serve(Outcome("ok", usage=Usage(output_text=tokens)))
    assert house.ring.standings[0].in_use == 0
    used = house.pool.describe(TARGET)[0]["windows"][0]["used"]
    assert used == 0 if tokens < 0 else used >= 1_000


# Rules that change, and keys that cannot help.


def test_a_window_of_another_length_or_unit_begins_anew() -> None:
    house = House(count=1, rules={"windows": [{"name": "w", "seconds": 30 * DAY, "limit": 2}]})
    house.serve_number(2)
    house.reload(house.keys, {"windows": [{"name": "w", "seconds": 60, "limit": 2}]})
    assert house.reasons() == {"alpha#1": []}
    house.serve_number(2)
    house.reload(house.keys, {"windows": [{"name": "w", "seconds": 60, "limit": 2, "unit": "tokens"}]})
    assert house.reasons() == {"alpha#1": []}


def test_names_that_were_only_asked_about_leave_counts_as_they_are() -> None:
    house = House(count=1, rules={"windows": [{"name": "w", "seconds": 600, "limit": 2}]})
    house.serve_number(2)
    for number in range(1_100):
        house.reasons(target=target(f"model-{number}"))
    house.reload(house.keys)
    assert "window" in house.why(1)


def test_a_rejected_key_is_probed_though_one_of_another_tier_is_not_rejected() -> None:
    house = House(key(1, 1), key(2, 5), rules={"model_tiers": {"small": 1}})
    house.serve(REJECTED)
    assert "every key was rejected" in str(house.none())
    assert house.none().error.should_retry is False
    house.clock.advance(5)
    assert house.serve() == "alpha#1"


def test_a_used_up_key_steps_in_where_its_peer_only_fails() -> None:
    house = House(count=2)
    house.serve(limited(600))
    house.clock.advance(700)
    assert house.reasons() == {"alpha#1": ["fair_cycle"], "alpha#2": []}
    house.serve(FAULT)
    assert house.reasons() == {"alpha#1": [], "alpha#2": []}
    assert house.serve() == "alpha#1", "the other one is in doubt"


# Requests that are nobody's turn.


def test_counting_tokens_takes_nobodys_turn() -> None:
    house = House(count=2, rules={"mode": "round_robin"})
    free = Needs(free=True)
    served = [(house.serve(needs=free), house.serve())[1] for _ in range(4)]
    assert served == ["alpha#1", "alpha#2"] * 2


def test_a_pin_moves_nobody_else() -> None:
    house = House(count=3)
    house.serve(needs=pinned(3))
    assert house.serve() == "alpha#3", "the most used one: it is filled first"
    other = House(count=3)
    other.serve()
    other.serve(needs=pinned(3))
    assert other.serve() == "alpha#1"
