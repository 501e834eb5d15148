"""The decision record, as the trace, the header and ``/v1/explain`` show it (design.md 6, ideas.md D5)."""

import json
from typing import get_args

from rotator.contracts import Needs
from rotator.credentials.decision import TIMED, Candidate, Decision, Reason, ReasonCode
from tests.credentials.houses import REJECTED, TARGET, House, key, limited, pinned


def test_the_words_are_those_of_the_firm_surface() -> None:
    words = {"tier", "concurrency", "cooldown", "window", "cap", "fair_cycle", "pin", "bound_state", "disabled"}
    assert set(get_args(ReasonCode)) <= words | {"rejected", "tried"}
    assert TIMED == {"cooldown", "window", "cap", "fair_cycle"}


def test_a_record_as_json() -> None:
    reasons = (Reason("cooldown", 130.25, "rate_limit"), Reason("pin", None, "pinned to alpha#2"))
    candidates = [Candidate(key(1), reasons), Candidate(key(2), ())]
    one = Decision(TARGET, candidates, key(2), "the only one", False, 100.0, 1_800_000_000.0)
    assert one.as_json() == {
        "chosen": "alpha#2",
        "why": "the only one",
        "candidates": [
            {
                "credential": "alpha#1",
                "eligible": False,
                "reasons": [
                    {"code": "cooldown", "until": 1_800_000_030.25, "detail": "rate_limit"},
                    {"code": "pin", "until": None, "detail": "pinned to alpha#2"},
                ],
            },
            {"credential": "alpha#2", "eligible": True, "reasons": []},
        ],
    }
    json.dumps(one.as_json())
    assert Decision(TARGET, [], None, "", False, 1.0, 2.0).as_json() == {"chosen": None, "why": "", "candidates": []}


def test_times_are_unix_seconds_to_the_millisecond() -> None:
    one = Decision(TARGET, [], None, "", False, 100.0, 1_800_000_000.0)
    assert one.unix(100.00049) == 1_800_000_000.0 and one.unix(99.5) == 1_799_999_999.5 and one.unix(None) is None


def test_only_a_key_that_nothing_but_its_requests_keeps_is_worth_waiting_for() -> None:
    busy, limit = Reason("concurrency", None, "1 of 1"), Reason("cooldown", 5.0, "")
    assert Candidate(key(1), (busy,)).only_busy
    for reasons in ((), (limit,), (busy, limit), (Reason("tried", None, ""), busy)):
        assert not Candidate(key(1), reasons).only_busy
    assert Candidate(key(1), (busy, limit)).has("cooldown") and not Candidate(key(1), (busy,)).has("cooldown")


def test_every_way_to_be_left_out_is_in_one_record() -> None:
    rules = {
        "mode": "sequential",
        "max_concurrent": 1,
        "model_tiers": {"small": 5},
        "windows": [{"name": "5h", "seconds": 18_000, "limit": 1, "tier": "w"}],
        "caps": [{"model": "small", "max": 1, "tier": "c"}],
        "exhaustion_cooldown_seconds": 10,
    }
    tiers = {3: "w", 4: "c"}
    house = House(*(key(number, 9 if number == 7 else 5, tiers.get(number)) for number in range(1, 10)), rules=rules)
    house.spend(1, limited(9))
    house.spend(2, REJECTED)
    for number in (3, 4):
        house.serve(needs=pinned(number))
    house.spend(8, limited(10))
    house.clock.advance(8.5)
    busy = house.open(pinned(6))
    tried = Needs(tried=frozenset({house.keys[4].id}))
    house.clock.advance(0.4)
    assert house.reasons(tried) == {
        "alpha#1": ["cooldown"],
        "alpha#2": ["rejected"],
        "alpha#3": ["window", "fair_cycle"],
        "alpha#4": ["cap", "fair_cycle"],
        "alpha#5": ["tried"],
        "alpha#6": ["concurrency"],
        "alpha#7": ["tier"],
        "alpha#8": ["cooldown", "fair_cycle"],
        "alpha#9": [],
    }
    found = house.pool.explain(TARGET, pinned(9))
    assert found.chosen == house.keys[8] and found.why == "the only one"
    assert all(one.has("pin") for one in found.candidates[:8])
    assert all(reason.detail for one in found.candidates for reason in one.reasons)
    busy.settle(REJECTED)
    house.assert_idle()
