"""What one attempt reserves and costs: given back and counted exactly once, whatever happens meanwhile."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Needs, Outcome
from rotator.credentials.windows import Tally
from rotator.quota import QuotaFact
from tests.credentials.houses import FAULT, LEFT, OK, REJECTED, REQUEST, UNUSED, House, limited, spent, target

RULES: dict[str, Any] = {
    "fair_cycle": {"enabled": False},
    "usage_weights": {"big": 3},
    "quota_groups": {"pro": ["big", "huge"]},
    "windows": [
        {"name": "rpm", "seconds": 60, "limit": 100},
        {"name": "group", "seconds": 3_600, "limit": 100, "applies_to": "group"},
        {"name": "tpm", "seconds": 60, "limit": 10_000, "unit": "tokens", "applies_to": "credential"},
    ],
    "caps": [{"model": "*", "max": "50%"}],
}


def tallies(house: House, number: int = 1) -> dict[tuple[str, str], Tally]:
    return {(key.name, key.place): one for key, one in house.ring.standings[number - 1].tallies.items()}


def counted(house: House) -> dict[tuple[str, str], tuple[float, float]]:
    return {place: (one.used, one.reserved) for place, one in tallies(house).items()}


def test_an_attempt_reserves_in_each_of_its_windows_and_caps() -> None:
    house = House(count=1, rules=RULES)
    lease = house.open(Needs(tokens=700, request="req-9"), "big")
    assert counted(house) == {("rpm", "big"): (0, 3), ("group", "group pro"): (0, 3), ("tpm", "every model"): (0, 700)}
    (cap,) = house.ring.standings[0].caps.values()
    assert (cap.count, cap.reserved) == (0, 3) and lease.use.evidence == "req-9" and lease.use.weight == 3
    lease.settle(spent(450))
    assert counted(house) == {("rpm", "big"): (3, 0), ("group", "group pro"): (3, 0), ("tpm", "every model"): (450, 0)}
    assert (cap.count, cap.reserved) == (3, 0)
    assert house.ring.standings[0].served == 1


@pytest.mark.parametrize(
    ("end", "requests", "tokens"),
    [
        (OK, 1, 0),
        (LEFT, 1, 0),
        (spent(40, "cancelled"), 1, 40),
        (spent(40, "failed"), 0, 0),
        (FAULT, 0, 0),
        (REJECTED, 0, 0),
        (REQUEST, 0, 0),
        (limited(5), 0, 0),
        (UNUSED, 0, 0),
    ],
)
def test_failed_and_unsent_attempts_are_free(end: Outcome, requests: float, tokens: float) -> None:
    house = House(count=1, rules=RULES)
    house.serve(spent(5))
    house.serve(end, Needs(tokens=99))
    found = counted(house)
    assert found["rpm", "small"] == (1 + requests, 0) and found["tpm", "every model"] == (5 + tokens, 0)
    assert house.ring.standings[0].served == 1 + requests
    house.assert_idle()


def test_what_is_free_counts_nowhere() -> None:
    """Requests that cost no quota, such as a count of tokens."""
    house = House(count=1, rules=RULES)
    lease = house.open(Needs(tokens=50, free=True))
    assert all(numbers == (0, 0) for numbers in counted(house).values())
    lease.told([QuotaFact("rpm", limit=100, remaining=90)])
    lease.settle(spent(50))
    assert counted(house)["rpm", "small"] == (10, 0) and counted(house)["tpm", "every model"] == (0, 0)
    house.assert_idle()


def test_a_token_window_keeps_what_is_under_way_when_the_vendor_tells_of_it() -> None:
    house = House(count=1, rules=RULES)
    lease = house.open(Needs(tokens=700))
    lease.told([QuotaFact("tpm", limit=10_000, remaining=9_000, unit="tokens", applies_to="credential")])
    assert counted(house)["tpm", "every model"] == (1_000, 700)
    lease.settle(spent(700))
    house.assert_idle()


def test_windows_of_an_attempt_that_outlived_a_reload_are_given_back() -> None:
    house = House(count=1, rules=RULES)
    lease = house.open(Needs(tokens=10))
    house.reload(house.keys, RULES | {"windows": RULES["windows"][:1], "caps": []})
    other = house.open()
    house.reload(house.keys, RULES)
    for one in (lease, other):
        one.settle(OK)
    house.assert_idle()
    assert counted(house)["rpm", "small"] == (2, 0) and counted(house)["group", "small"] == (1, 0)


ENDS = [OK, LEFT, UNUSED, FAULT, REJECTED, limited(0.01), spent(120), spent(9, "cancelled"), spent(7, "failed")]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "end", "end", "told", "pause", "reload"]),
        st.integers(0, 8),
        st.sampled_from(["big", "huge", "small"]),
    ),
    max_size=40,
)


@given(STEPS)
def test_after_every_end_nothing_is_reserved(steps: list[tuple[str, int, str]]) -> None:
    house = House(count=2, rules=RULES | {"mode": "round_robin"})
    leases = []
    for what, turn, model in steps:
        if what == "open":
            free = [label for label, reasons in house.reasons(target=target(model)).items() if not reasons]
            if free:
                leases.append(house.open(Needs(tokens=turn * 100), model))
        elif what == "pause":
            house.clock.advance(turn * 10.0)
        elif what == "reload":
            house.reload(house.keys, RULES | {"windows": RULES["windows"][: turn % 4]})
        elif leases and what == "told":
            leases[turn % len(leases)].told([QuotaFact("rpm", 100, float(turn), None, 5.0 * turn)])
        elif leases:
            leases.pop(turn % len(leases)).settle(ENDS[turn])
        for standing in house.ring.standings:
            assert all(one.reserved >= 0 and one.used >= 0 for one in standing.tallies.values())
    for lease in leases:
        lease.settle(OK)
    house.assert_idle()
