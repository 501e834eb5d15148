"""Round robin: best priority first, recent faults behind, then the session's place or the longest unused."""

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Credential, Outcome, Verdict
from rotator.credentials.claims import Standing
from rotator.credentials.strategies import round_robin

NOW = 1_000.0
FAULT = Outcome("failed", Verdict("provider", "provider", "server_error"))


def standing(number: int, *, priority: int = 10, turn: int = 0, doubted: bool = False) -> Standing:
    one = Standing(Credential(f"id-{number}", "alpha", f"alpha#{number}", None, None, priority), turn=turn)
    if doubted:
        one.learn("small", FAULT, NOW)
    return one


def order(standings: list[Standing], session: str | None = None, now: float = NOW) -> list[str]:
    return [one.credential.label for one in round_robin(standings, session, now)]


def place(session: str, labels: list[str]) -> str:
    keys = [Standing(Credential(f"id of {label}", "alpha", label, None)) for label in labels]
    return round_robin(keys, session, NOW)[0].credential.label


STANDINGS = st.lists(
    st.builds(standing, st.integers(), priority=st.integers(1, 3), turn=st.integers(0, 5), doubted=st.booleans()),
    unique_by=lambda one: one.credential.label,
)
SESSIONS = st.one_of(st.none(), st.text(min_size=1))


def test_the_longest_unused_comes_first() -> None:
    assert order([standing(1, turn=9), standing(2, turn=7), standing(3, turn=8)]) == ["alpha#2", "alpha#3", "alpha#1"]


def test_a_recent_fault_puts_a_key_behind_its_peers_only() -> None:
    standings = [
        standing(1, priority=1, turn=1, doubted=True),
        standing(2, priority=1, turn=2),
        standing(3, priority=2, turn=0),
    ]
    assert order(standings) == ["alpha#2", "alpha#1", "alpha#3"]
    assert order(standings, now=NOW + 60) == ["alpha#1", "alpha#2", "alpha#3"]


def test_a_doubted_key_loses_its_session_until_the_doubt_is_over() -> None:
    labels = ["a", "b", "c"]
    keys = {label: Standing(Credential(label, "alpha", label, None)) for label in labels}
    first = place("talk", labels)
    second = place("talk", [label for label in labels if label != first])
    keys[first].learn("small", FAULT, NOW)
    assert order(list(keys.values()), "talk")[0] == second
    assert order(list(keys.values()), "talk", NOW + 60)[0] == first


@given(STANDINGS, SESSIONS)
def test_every_key_is_ordered_by_priority_then_doubt(standings: list[Standing], session: str | None) -> None:
    before = list(standings)
    found = round_robin(standings, session, NOW)
    assert standings == before, "a strategy changes nothing"
    assert Counter(one.credential.label for one in found) == Counter(one.credential.label for one in standings)
    ranks = [(one.credential.priority, one.doubted(NOW)) for one in found]
    assert ranks == sorted(ranks)


@given(STANDINGS, st.text(min_size=1), st.randoms())
def test_a_session_is_placed_by_nothing_but_labels(standings: list[Standing], session: str, random: Random) -> None:
    shuffled = list(standings)
    random.shuffle(shuffled)
    for index, one in enumerate(shuffled):
        one.turn = 100 - index
    renamed = [replace(one, credential=replace(one.credential, id=f"other {one.credential.id}")) for one in shuffled]
    assert order(standings, session) == order(shuffled, session) == order(renamed, session)


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
