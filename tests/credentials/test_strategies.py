"""The built-in strategies: pure orders of preference among the keys that may serve (engine.md 8.3, design.md 2.4)."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Credential
from rotator.credentials.strategies import BUILT_IN, kept
from rotator.rotation import Asked, Strategy

NOW = 1_000.0


@dataclass(frozen=True)
class Place:
    """A seat as data."""

    credential: Credential
    used: float = 0.0
    limit: float | None = None
    in_use: int = 0
    last_used_at: float = -math.inf
    turn: int = 0
    place: int = 0


def seat(number: int, used: float = 0.0, **more: float | None) -> Place:
    return Place(Credential(f"id-{number}", "alpha", f"alpha#{number}", None), used, place=number, **more)  # type: ignore[arg-type]


def asked(
    session: str | None = None, stuck: int | None = None, tolerance: float = 3.0, rng: Random | None = None
) -> Asked:
    return Asked(session, None if stuck is None else f"id-{stuck}", tolerance, NOW, rng or Random(0))


def pick(mode: str, seats: list[Place], question: Asked | None = None) -> str:
    return BUILT_IN[mode].pick(seats, question or asked()).seat.credential.label


def place(session: str, labels: list[str]) -> str:
    seats = [Place(Credential(f"id of {label}", "alpha", label, None)) for label in labels]
    found = kept(seats, asked(session))
    assert found is not None and found.why == "the session's place"
    return found.seat.credential.label


SEATS = st.lists(
    st.builds(
        seat,
        st.integers(0, 99),
        st.sampled_from([0.0, 1.0, 2.5, 7.0, 100.0]),
        limit=st.sampled_from([None, 10.0, 100.0]),
        turn=st.integers(0, 5),
        last_used_at=st.sampled_from([-math.inf, 990.0, 999.0]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one.credential.label,
)
SESSIONS = st.one_of(st.none(), st.text(min_size=1))
STRATEGIES = st.sampled_from(list(BUILT_IN.values()))


def test_they_are_called_as_the_configuration_calls_them() -> None:
    assert {name: one.name for name, one in BUILT_IN.items()} == {
        name: name for name in ("sequential", "balanced", "round_robin")
    }


# Round robin.


def test_round_robin_takes_the_longest_unused_one_then_the_first_in_the_configuration() -> None:
    assert pick("round_robin", [seat(1, turn=9), seat(2, turn=7), seat(3, turn=8)]) == "alpha#2"
    assert pick("round_robin", [seat(3), seat(2), seat(4, turn=1)]) == "alpha#2"


def test_round_robin_without_a_session_is_kept_to_nothing() -> None:
    assert pick("round_robin", [seat(1, turn=9), seat(2, turn=7)], asked(stuck=1)) == "alpha#2"
    assert pick("round_robin", [seat(1, turn=9), seat(2, turn=7)], asked("talk", stuck=1)) == "alpha#1"


# Sequential.


def test_sequential_stays_with_its_key_whatever_the_others_are() -> None:
    seats = [seat(1, 90.0), seat(2, 1.0), seat(3, 99.0)]
    assert pick("sequential", seats, asked(stuck=2)) == "alpha#2"
    found = BUILT_IN["sequential"].pick(seats, asked(stuck=2))
    assert found.why == "the key in use"


def test_sequential_takes_the_most_used_then_the_most_recent_then_the_first() -> None:
    assert pick("sequential", [seat(1, 3.0), seat(2, 8.0), seat(3, 7.0)]) == "alpha#2"
    assert pick("sequential", [seat(1), seat(2, last_used_at=5.0), seat(3, last_used_at=4.0)]) == "alpha#2"
    assert pick("sequential", [seat(3), seat(1), seat(2)]) == "alpha#1"
    assert pick("sequential", [seat(1, 3.0), seat(2, 8.0)], asked(stuck=9)) == "alpha#2", "its key is not among them"


# Balanced.


def test_balanced_with_tolerance_0_always_takes_the_least_used() -> None:
    """[BUG] of engine.md 8.3: others still draw; ours is deterministic, ties by recency, then the place."""
    rng = Random(5)
    before = rng.getstate()
    seats = [seat(1, 3.0), seat(2, 1.0, last_used_at=9.0), seat(3, 1.0, last_used_at=8.0), seat(4, 1.5)]
    assert {pick("balanced", seats, asked(tolerance=0, rng=rng)) for _ in range(50)} == {"alpha#3"}
    assert pick("balanced", [seat(2, 1.0), seat(1, 1.0)], asked(tolerance=0, rng=rng)) == "alpha#1"
    assert rng.getstate() == before, "no chance"


@pytest.mark.parametrize(("tolerance", "weights"), [(3.0, (14, 9, 4)), (0.5, (11.5, 6.5, 1.5)), (50.0, (61, 56, 51))])
def test_balanced_draws_by_what_is_left(tolerance: float, weights: tuple[float, ...]) -> None:
    """Weight = most used - used + tolerance + 1, by hand."""
    rng, seats = Random(11), [seat(1, 0.0), seat(2, 5.0), seat(3, 10.0)]
    found = Counter(pick("balanced", seats, asked(tolerance=tolerance, rng=rng)) for _ in range(20_000))
    for number, weight in enumerate(weights, 1):
        share = weight / sum(weights)
        deviation = math.sqrt(share * (1 - share) / 20_000)
        assert abs(found[f"alpha#{number}"] / 20_000 - share) < 4 * deviation


def test_balanced_compares_shares_where_each_limit_is_known() -> None:
    known = [seat(1, 40.0, limit=100.0), seat(2, 5.0, limit=10.0)]
    assert pick("balanced", known, asked(tolerance=0)) == "alpha#1", "40 % is less than 50 %"
    assert pick("balanced", [*known, seat(3, 6.0)], asked(tolerance=0)) == "alpha#2", "requests where one is unknown"
    none = [seat(1, 40.0, limit=0.0), seat(2, 5.0, limit=10.0)]
    assert pick("balanced", none, asked(tolerance=0)) == "alpha#2", "a limit of nothing has no shares"


def test_balanced_keeps_a_session_and_nothing_else() -> None:
    seats = [seat(1, 90.0), seat(2, 1.0)]
    assert pick("balanced", seats, asked("talk", stuck=1, tolerance=0)) == "alpha#1"
    assert pick("balanced", seats, asked(stuck=1, tolerance=0)) == "alpha#2"


# What holds for all.


@given(STRATEGIES, SEATS, SESSIONS, st.one_of(st.none(), st.integers(0, 99)), st.sampled_from([0.0, 3.0, 1e9]))
def test_a_strategy_is_pure_and_gives_one_of_the_seats(
    strategy: Strategy, seats: list[Place], session: str | None, stuck: int | None, tolerance: float
) -> None:
    before = list(seats)
    first, second = (strategy.pick(seats, asked(session, stuck, tolerance, Random(3))) for _ in range(2))
    assert first == second and first.seat in seats and first.why
    assert seats == before, "a strategy changes nothing"


@given(STRATEGIES, SEATS, st.text(min_size=1))
def test_every_strategy_keeps_a_session_to_the_key_it_used_last(
    strategy: Strategy, seats: list[Place], session: str
) -> None:
    for one in seats:
        question = Asked(session, one.credential.id, 3.0, NOW, Random(0))
        assert strategy.pick(seats, question).seat is one


@given(STRATEGIES, SEATS, st.text(min_size=1), st.randoms())
def test_a_new_session_is_placed_by_nothing_but_labels(
    strategy: Strategy, seats: list[Place], session: str, random: Random
) -> None:
    shuffled = list(seats)
    random.shuffle(shuffled)
    changed = [replace(one, turn=100 - index, used=random.random()) for index, one in enumerate(shuffled)]
    renamed = [replace(one, credential=replace(one.credential, id=f"other {one.credential.id}")) for one in changed]
    expected = strategy.pick(seats, asked(session)).seat.credential.label
    for others in (shuffled, changed, renamed):
        assert strategy.pick(others, asked(session, rng=random)).seat.credential.label == expected


def test_without_session_and_key_nothing_is_kept_to() -> None:
    assert kept([seat(1)], asked()) is None and kept([seat(1)], asked(stuck=2)) is None


def test_sessions_spread_and_a_new_key_takes_only_what_becomes_its_own() -> None:
    sessions = [f"session-{number}" for number in range(400)]
    labels = [f"alpha#{number}" for number in range(1, 6)]
    before = {session: place(session, labels) for session in sessions}
    assert all(50 <= count <= 110 for count in Counter(before.values()).values()), Counter(before.values())
    after = {session: place(session, [*labels, "alpha#6"]) for session in sessions}
    moved = {session for session in sessions if before[session] != after[session]}
    assert {after[session] for session in moved} == {"alpha#6"}
    assert 40 <= len(moved) <= 95


def test_a_lost_key_moves_only_its_own_sessions() -> None:
    sessions = [f"session-{number}" for number in range(200)]
    labels = [f"alpha#{number}" for number in range(1, 6)]
    before = {session: place(session, labels) for session in sessions}
    after = {session: place(session, labels[1:]) for session in sessions}
    assert all(after[session] == before[session] for session in sessions if before[session] != labels[0])
    assert len({after[session] for session in sessions if before[session] == labels[0]}) == 4


def test_places_are_the_same_everywhere_and_in_every_release() -> None:
    """A simulation elsewhere repeats them, and an upgrade moves no conversation."""
    labels = [f"alpha#{number}" for number in range(1, 6)]
    assert "".join(place(f"session-{number}", labels)[-1] for number in range(12)) == "321442521111"
