"""The line of requests that wait: first come, first served among those that can take what is free."""

from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Needs
from rotator.credentials.waiting import Kind, Ticket, WaitingLine
from tests.credentials.houses import LARGE, TARGET

PINNED = Needs(pin="alpha#1")


def join(line: WaitingLine[str], needs: Needs = PINNED) -> Ticket[str]:
    return line.join(TARGET, needs, 1.0)


def test_a_kind_is_what_decides_which_keys_a_request_may_take() -> None:
    line: WaitingLine[str] = WaitingLine()
    needs = Needs("talk", "alpha#1", frozenset({"x"}), 5.0, 100, "req-1")
    assert line.join(TARGET, needs, 1.0).kind == Kind(TARGET, "alpha#1", frozenset({"x"}))
    same = [needs._replace(session=None), needs._replace(deadline=9.0, tokens=1, request="req-2")]
    assert {line.join(TARGET, one, 1.0).kind for one in same} == {Kind(TARGET, "alpha#1", frozenset({"x"}))}
    other = [needs._replace(pin=None), needs._replace(tried=frozenset())]
    kinds = {line.join(TARGET, one, 1.0).kind for one in other} | {line.join(LARGE, needs, 1.0).kind}
    assert len(kinds) == 3


def test_the_first_of_each_kind_in_the_order_in_which_they_came() -> None:
    line: WaitingLine[str] = WaitingLine()
    one, two, three = join(line), join(line, Needs()), join(line)
    assert list(line.heads()) == [one, two]
    line.leave(one)
    assert list(line.heads()) == [two, three]


def test_where_a_head_is_served_the_next_of_its_kind_has_its_turn() -> None:
    line: WaitingLine[str] = WaitingLine()
    pinned = [join(line) for _ in range(3)]
    free = [join(line, Needs()) for _ in range(3)]
    seen = []
    for ticket in line.heads():
        seen.append(ticket)
        if ticket in pinned:
            line.leave(ticket)
    assert seen == [*pinned, free[0]]
    assert len(line) == line.size == 3


def test_one_that_joins_meanwhile_is_seen_as_well() -> None:
    line: WaitingLine[str] = WaitingLine()
    first, late = join(line), None
    seen = []
    for ticket in line.heads():
        seen.append(ticket)
        if late is None:
            line.leave(first)
            late = join(line, Needs())
    assert seen == [first, late]


def test_leaving_stops_the_clock_and_counts_once() -> None:
    line: WaitingLine[str] = WaitingLine()
    stopped = []
    one, two = join(line), join(line)
    one.cancel_alarm = lambda: stopped.append(1)
    assert line.leave(one) and not line.leave(one)
    assert stopped == [1] and line.size == 1
    two.cancel_alarm()
    two.done("nobody listens yet")
    assert line.leave(two) and line.size == 0 and list(line.heads()) == [] and not line._kinds


KINDS = st.sampled_from(
    [Needs(), PINNED, Needs(tried=frozenset({"a"})), Needs("s", tried=frozenset({"a"})), Needs("s")]
)
STEPS = st.lists(st.one_of(KINDS, st.integers(0, 30), st.sets(st.integers(0, 2))), max_size=60)


@given(STEPS)
def test_it_is_a_list_that_is_searched_from_the_front(steps: list[Needs | int | set[int]]) -> None:
    """The model: a plain list; a set of kinds that can be served takes all of them in their order, and nobody else."""
    line: WaitingLine[str] = WaitingLine()
    model: list[Ticket[str]] = []
    for step in steps:
        if isinstance(step, Needs):
            model.append(join(line, step))
        elif isinstance(step, int):
            if model:
                assert line.leave(model.pop(step % len(model)))
        else:
            able = {(one.pin, one.tried) for one in (Needs(), PINNED, Needs(tried=frozenset({"a"})))}
            able = {kind for index, kind in enumerate(sorted(able, key=repr)) if index in step}
            served = []
            for ticket in line.heads():
                if (ticket.kind.pin, ticket.kind.tried) in able:
                    line.leave(ticket)
                    served.append(ticket)
            assert served == [one for one in model if (one.kind.pin, one.kind.tried) in able]
            model = [one for one in model if one not in served]
        firsts = {kind: next((one for one in model if one.kind == kind), None) for kind in (one.kind for one in model)}
        assert list(line.heads()) == sorted(filter(None, firsts.values()), key=lambda one: one.number)
        assert line.size == len(model)
