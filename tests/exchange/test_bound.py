"""Which state may go where, and what of a conversation is left where it may not."""

import pytest

from rotator.exchange import bound
from rotator.exchange.bound import Home, Sealing, StateMemory, holds_reasoning, opened, sealed_response, stripped
from rotator.neutral.events import BlockEnd, BlockStart, Event, ReasoningDelta, StateSeen, TextDelta
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Opaque, Part, Reasoning, Refusal, State, Text, Thought, ToolCall
from rotator.neutral.request import Request, Turn
from rotator.neutral.response import Candidate, Response
from rotator.neutral.seal import NOWHERE, Seal

SEAL = Seal(lambda: b"test")
THOUGHT = Reasoning((Thought("Hm."),), State("signature", "sig-1"))
REDACTED = Reasoning((), State("redacted", "data-1"))
BARE = Reasoning((Thought("So."),))
CALL = ToolCall("call_1", "look", "{}")
NAMES = ("vendor:messages", "claude-x", "key-1")
#: Places that differ from NAMES in one thing, and how that is told.
FOREIGN = {
    ("other:messages", "claude-x", "key-1"): "of another provider",
    ("vendor:messages", "claude-y", "key-1"): "of another model",
    ("vendor:messages", "claude-x", "key-2"): "of another account",
}


def home(names: tuple[str, str, str] = NAMES, account_bound: bool = True, memory: StateMemory | None = None) -> Home:
    return Home(SEAL, memory or StateMemory(), names, account_bound)


def asking(*parts: Part) -> Request:
    return Request("chat", "m", (Turn("user", (Text("Hi"),)), Turn("assistant", parts), Turn("user", (Text("Go on"),))))


def answered(*parts: Part) -> tuple[Part, ...]:
    """The parts as a client of another protocol gets them."""
    response = sealed_response(Response("messages", "", "", (Candidate(parts, None),), None), home(), own=False)
    return response.candidates[0].parts


def back(request: Request, where: Home, own: bool = False) -> tuple[tuple[Part, ...], list[tuple[str, str]]]:
    ledger = Ledger()
    turns = opened(request, where, own, ledger).turns
    return turns[1].parts, [(loss.code, loss.detail) for loss in ledger.losses]


def test_state_comes_home_in_its_place() -> None:
    parts = (THOUGHT, Text("One."), REDACTED, CALL)
    sent = answered(*parts)
    assert all(part.state is not None and part.state.value.startswith("rot1.") for part in (sent[0], sent[2]))  # type: ignore[union-attr]
    # A client keeps reasoning beside the rest, as Chat does.
    found, losses = back(asking(sent[0], sent[2], Text("One."), CALL), home())
    assert [type(part) for part in found] == [Reasoning, Text, Reasoning, ToolCall]
    assert losses == []
    assert found[0] == Reasoning(THOUGHT.thoughts, State("signature", "sig-1", home().origin))
    assert found[2] == Reasoning((), State("redacted", "data-1", home().origin))


@pytest.mark.parametrize(("names", "reason"), FOREIGN.items())
def test_state_never_goes_elsewhere(names: tuple[str, str, str], reason: str) -> None:
    sent = answered(THOUGHT, CALL)
    found, losses = back(asking(*sent), home(names))
    assert found == (Reasoning(THOUGHT.thoughts), CALL)
    assert losses == [("reasoning.state", reason)]
    kept, told = back(asking(*sent), home(names, account_bound=False))
    assert bool(told) is (reason != "of another account") and (kept[0] == found[0]) is bool(told)


def test_a_forged_envelope_is_no_proof() -> None:
    forged = Reasoning(THOUGHT.thoughts, State("signature", "rot1.aa-bb-cc.dd.ee"))
    assert back(asking(forged), home()) == ((Reasoning(THOUGHT.thoughts),), [("reasoning.state", "not sealed here")])


def test_state_that_a_foreign_client_brings_unsealed_proves_nothing() -> None:
    found, losses = back(asking(THOUGHT), home())
    assert found == (THOUGHT,) and losses == []  # without an origin no codec sends it


def test_reasoning_without_state_tells_where_it_comes_from_and_loses_nothing() -> None:
    (sent,) = answered(BARE)
    for names in (NAMES, *FOREIGN):
        assert back(asking(sent), home(names)) == ((BARE,), [])


def test_a_client_of_the_upstreams_own_protocol_keeps_no_envelopes() -> None:
    sent = answered(THOUGHT, Text("One."), BARE)
    found, losses = back(asking(*sent), home(), own=True)
    assert found == (Text("One."),)
    assert losses == [("reasoning.state", "of another protocol")]


@pytest.mark.parametrize(("names", "reason"), FOREIGN.items())
def test_what_an_own_client_got_as_it_was_is_remembered(names: tuple[str, str, str], reason: str) -> None:
    memory = StateMemory()
    response = Response("messages", "", "", (Candidate((THOUGHT, Text("x"), REDACTED), None),), None)
    assert sealed_response(response, home(memory=memory), own=True) == response
    assert back(asking(THOUGHT, REDACTED), home(memory=memory), own=True) == ((THOUGHT, REDACTED), [])
    assert back(asking(THOUGHT, CALL), home(names, memory=memory), own=True) == (
        (CALL,),
        [("reasoning.state", reason)],
    )
    unknown = Reasoning((), State("redacted", "data-2"))
    assert back(asking(unknown), home(names, memory=memory), own=True) == ((unknown,), [])


def test_the_state_of_other_parts_goes_alone() -> None:
    call = ToolCall("c", "look", state=State("signature", "sig-2"))
    (sent,) = answered(call)
    assert back(asking(sent), home())[0] == (ToolCall("c", "look", state=State("signature", "sig-2", home().origin)),)
    foreign, losses = back(asking(sent), home(next(iter(FOREIGN))))
    assert foreign == (ToolCall("c", "look"),) and len(losses) == 1
    memory = StateMemory()
    memory.remember(["sig-2"], home(next(iter(FOREIGN))).origin)
    assert back(asking(call), home(memory=memory), own=True)[0] == (ToolCall("c", "look"),)


def test_what_holds_no_state_is_the_same_object() -> None:
    request = asking(Text("One."), Refusal("No."), Opaque("messages", "x", {}), CALL)
    assert opened(request, home(), False, Ledger()) is request
    assert not holds_reasoning(request)
    assert answered(*request.turns[1].parts) == request.turns[1].parts


def test_a_stripped_request_has_no_reasoning_at_all() -> None:
    call, ledger = ToolCall("c", "look", state=State("signature", "s")), Ledger()
    request = asking(THOUGHT, REDACTED, BARE, Refusal("No."), call)
    assert holds_reasoning(request) and holds_reasoning(asking(BARE)) and holds_reasoning(asking(call))
    assert stripped(request, ledger).turns[1].parts == (Refusal("No."), ToolCall("c", "look"))
    assert [(loss.code, loss.detail) for loss in ledger.losses] == [("reasoning.state", "the vendor refused it")]


def streamed(events: list[Event], own: bool = False, where: Home | None = None) -> list[Event]:
    sealing = Sealing(where or home(), own)
    return [shown for event in events for shown in sealing.events([event])]


def test_a_stream_tells_state_at_the_end_of_its_block() -> None:
    events: list[Event] = [
        BlockStart(4, Reasoning()),
        ReasoningDelta(4, "Hm."),
        StateSeen(4, State("signature", "first")),
        StateSeen(4, State("signature", "sig-1")),
        BlockEnd(4),
        BlockStart(5, Text("")),
        TextDelta(5, "One."),
        BlockEnd(5),
        BlockStart(6, Reasoning(state=State("redacted", "data-1"))),
        StateSeen(6, State("redacted", "data-1")),
        BlockEnd(6),
        BlockStart(7, Reasoning()),
        ReasoningDelta(7, "So."),
        BlockEnd(7),
    ]
    shown = streamed(events)
    wrap = SEAL.wrap
    origin = home().origin
    assert shown == [
        *events[:2],
        StateSeen(4, wrap(State("signature", "sig-1"), 0, origin)),
        *events[4:8],
        BlockStart(6, Reasoning(state=wrap(State("redacted", "data-1"), 2, origin))),
        StateSeen(6, wrap(State("redacted", "data-1"), 2, origin)),
        *events[10:13],
        StateSeen(7, wrap(None, 3, origin)),
        BlockEnd(7),
    ]


def test_places_are_counted_for_each_candidate() -> None:
    shown = streamed([BlockStart(0, Text("")), BlockStart(1, Reasoning(), 1), BlockEnd(1)])
    assert shown[2] == StateSeen(1, SEAL.wrap(None, 0, home().origin))


def test_the_state_of_a_call_in_a_stream_has_no_place() -> None:
    state = State("signature", "sig")
    shown = streamed([BlockStart(0, ToolCall("c", "f", state=state)), StateSeen(0, state), BlockEnd(0)])
    sealed = SEAL.wrap(state, NOWHERE, home().origin)
    assert shown == [BlockStart(0, ToolCall("c", "f", state=sealed)), StateSeen(0, sealed), BlockEnd(0)]


def test_a_stream_for_an_own_client_is_as_it_was_and_remembered() -> None:
    memory = StateMemory()
    events: list[Event] = [
        BlockStart(0, Reasoning(state=State("redacted", "data-1"))),
        BlockEnd(0),
        BlockStart(1, Reasoning()),
        StateSeen(1, State("signature", "sig-1")),
        BlockEnd(1),
    ]
    assert streamed(events, own=True, where=home(memory=memory)) == events
    assert memory.of("data-1") == memory.of("sig-1") == home().origin


def test_the_memory_forgets_what_was_heard_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound, "STATES_KEPT", 2)
    memory = StateMemory()
    memory.remember(["a", "b", "a"], home().origin)
    memory.remember(["c"], home().origin)
    assert [memory.of(one) is None for one in "abc"] == [False, True, False]
