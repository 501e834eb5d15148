"""Blocks that overlap are told one after the other: nothing is lost, nothing waits that need not."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.events import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.parts import Citation, State, Text, ToolCall
from rotator.neutral.response import Finish
from rotator.neutral.serial import Serial
from rotator.neutral.usage import Usage
from tests.neutral.laws import check_laws, fold
from tests.neutral.strategies import broken_streams, streams

START, END = Start("chat"), End()
STOP = Finished(Finish("tool_calls", "tool_calls"))


def call(block: int, candidate: int = 0) -> BlockStart:
    return BlockStart(block, ToolCall(f"call_{block}", "run"), candidate)


def told(events: Sequence[Event]) -> list[list[Event]]:
    """What each event lets through."""
    serial = Serial()
    return [serial.order([event]) for event in events]


def may_be_told(events: Sequence[Event]) -> set[int]:
    """Which of these may be known by now: those of blocks before which all older ones of the candidate have ended."""
    started = [event for event in events if isinstance(event, BlockStart)]
    ended = {event.block for event in events if isinstance(event, BlockEnd)}
    held: set[int] = set()
    for place, start in enumerate(started):
        older = {one.block for one in started[:place] if one.candidate == start.candidate}
        if not older <= ended:
            held.add(start.block)
    return {id(event) for event in events if getattr(event, "block", None) not in held}


@pytest.mark.pitfall("C268")
def test_parallel_calls_one_by_one() -> None:
    """The middle one ends first, the last is still open when its turn comes."""
    usage = UsageSeen(Usage(3))
    one, two, three = (ArgumentsDelta(block, "{}") for block in (1, 2, 3))
    late = StateSeen(3, State("signature", "s"))
    steps: list[tuple[Event, list[Event]]] = [
        (START, [START]),
        (call(1), [call(1)]),
        (call(2), []),
        (one, [one]),
        (two, []),
        (call(3), []),
        (BlockEnd(2), []),
        (Beat(), [Beat()]),
        (three, []),
        (usage, [usage]),
        (BlockEnd(1), [BlockEnd(1), call(2), two, BlockEnd(2), call(3), three]),
        (late, [late]),
        (BlockEnd(3), [BlockEnd(3)]),
        (STOP, [STOP]),
        (END, [END]),
    ]
    assert told([event for event, _ in steps]) == [shown for _, shown in steps]


def test_candidates_do_not_wait_for_each_other() -> None:
    text = TextDelta(2, "b")
    steps: list[tuple[Event, list[Event]]] = [
        (call(1), [call(1)]),
        (BlockStart(2, Text(""), 1), [BlockStart(2, Text(""), 1)]),
        (call(3, 1), []),
        (call(4), []),
        (text, [text]),
        (BlockEnd(4), []),
        (BlockEnd(2), [BlockEnd(2), call(3, 1)]),
        (BlockEnd(1), [BlockEnd(1), call(4), BlockEnd(4)]),
        (call(5), [call(5)]),
        (BlockEnd(3), [BlockEnd(3)]),
    ]
    assert told([event for event, _ in steps]) == [shown for _, shown in steps]


def test_what_waits_is_to_be_seen() -> None:
    """The engine passes single pieces by while nothing waits."""
    serial = Serial()
    serial.order([START, call(1)])
    assert not serial.waiting
    cited = Cited(2, Citation("web"))
    serial.order([BlockStart(2, Text("")), cited])
    assert serial.waiting == {2: [BlockStart(2, Text("")), cited]}
    serial.order([BlockEnd(1)])
    assert not serial.waiting


@pytest.mark.parametrize("last", [STOP, END], ids=["finished", "end"])
def test_open_blocks_are_closed_by_the_end(last: Event) -> None:
    """As where a vendor tells no finish reason: the engine ends such a stream."""
    one, two = ArgumentsDelta(1, "{}"), ArgumentsDelta(2, "[]")
    serial = Serial()
    serial.order([START, call(1), one, call(2), two, call(3), BlockEnd(3)])
    closed: list[Any] = [BlockEnd(1), call(2), two, BlockEnd(2), call(3), BlockEnd(3), last]
    assert serial.order([last]) == closed and not serial.waiting
    assert serial.order([call(4)]) == [call(4)] and serial.order([END]) == [BlockEnd(4), END]


def test_a_candidate_that_is_complete_closes_its_own_blocks_only() -> None:
    serial = Serial()
    serial.order([START, call(1), call(2, 1), call(3, 1)])
    assert serial.order([STOP]) == [BlockEnd(1), STOP]
    assert serial.order([BlockEnd(2)]) == [BlockEnd(2), call(3, 1)]
    assert serial.order([END]) == [BlockEnd(3), END]


def test_an_error_lets_nothing_through() -> None:
    """The open call is not whole; what waits behind it would make it look so."""
    failed = Failed(error_of(ErrorKind.OVERLOADED, "Too much."))
    assert told([START, call(1), call(2), BlockEnd(2), failed]) == [[START], [call(1)], [], [], [failed]]


def test_the_end_of_a_block_that_never_began_lets_nothing_through() -> None:
    """An adapter took away how it began."""
    assert told([START, call(1), call(2), BlockEnd(9)]) == [[START], [call(1)], [], [BlockEnd(9)]]


@settings(max_examples=100)
@given(streams())
def test_what_comes_out_is_lawful_and_means_the_same(events: list[Event]) -> None:
    serial = Serial()
    shown = serial.order(events)
    assert check_laws(shown, serial=True) == []
    assert sorted(map(id, shown)) == sorted(map(id, events)) and not serial.waiting
    assert fold(shown) == fold(events)


@settings(max_examples=100)
@given(streams() | broken_streams())
def test_nothing_waits_that_need_not(events: list[Event]) -> None:
    """After each event all is told that may be; the rest is told in its own order."""
    shown: list[Event] = []
    for count, more in enumerate(told(events), 1):
        shown += more
        assert {id(event) for event in shown} == may_be_told(events[:count])
    places = {id(event): place for place, event in enumerate(events)}
    for key in {getattr(event, "block", "none") for event in events}:
        order = [places[id(event)] for event in shown if getattr(event, "block", "none") == key]
        assert order == sorted(order)


@settings(max_examples=100)
@given(broken_streams())
def test_a_stream_that_breaks_off_is_serial_so_far(events: list[Event]) -> None:
    shown = Serial().order(events)
    assert check_laws(shown, serial=True, cut=True) == []
    for before, after in zip(fold(events).candidates, fold(shown).candidates, strict=False):
        assert before.parts[: len(after.parts)] == after.parts


@settings(max_examples=100)
@given(streams(overlapping=False) | broken_streams(overlapping=False))
def test_what_is_serial_already_goes_through_at_once(events: list[Event]) -> None:
    assert told(events) == [[event] for event in events]


@settings(max_examples=100)
@given(streams(), st.integers(1, 5))
def test_how_events_come_together_changes_nothing(events: list[Event], size: int) -> None:
    serial = Serial()
    shown = [one for start in range(0, len(events), size) for one in serial.order(events[start : start + size])]
    assert shown == Serial().order(events)
