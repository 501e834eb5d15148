"""Opaque state and where it may go: sealed for foreign clients, remembered of raw answers, kept from foreign vendors.

Source: design.md 2.1 (lanes), 3 ("Opaque state"); protocols.md 2.4 R1 to R3, R10 to R13.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from rotator.neutral.events import BlockEnd, BlockStart, Event, StateSeen
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import SEALED, Opaque, Origin, Part, Reasoning, Refusal, State, ToolCall
from rotator.neutral.request import Request, Turn
from rotator.neutral.response import Response
from rotator.neutral.seal import NOWHERE, Opened, Seal, is_sealed

#: The account of states that nobody knows and a vendor refused.
REFUSED: Final = "refused"
#: The loss that is told where state is kept back; every protocol that can be translated declares it.
STATE_LOST: Final = "reasoning.state"
#: States whose origin is remembered, at 400 bytes each.
STATES_KEPT: Final = 20_000


class StateMemory:
    """Where the states of answers came from that their clients got as they were.  Bounded; a restart forgets."""

    def __init__(self) -> None:
        self._origins: OrderedDict[bytes, Origin] = OrderedDict()

    def remember(self, states: Iterable[str], origin: Origin) -> None:
        """What an attempt's answer held."""
        for state in states:
            key = _key(state)
            self._origins[key] = origin
            self._origins.move_to_end(key)
        while len(self._origins) > STATES_KEPT:
            self._origins.popitem(last=False)

    def of(self, state: str) -> Origin | None:
        """Where it came from; a conversation that goes on is not forgotten."""
        key = _key(state)
        origin = self._origins.get(key)
        if origin is not None:
            self._origins.move_to_end(key)
        return origin


def _key(state: str) -> bytes:
    return blake2b(state.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Home:
    """Where one attempt's answers come from: what is of another provider, model or account must not go there."""

    __slots__ = ("_account", "_family", "_origin", "_provider", "account_bound", "memory", "seal")

    def __init__(self, seal: Seal, memory: StateMemory, names: tuple[str, str, str], account_bound: bool) -> None:
        """``names``: the provider, the model's family, the credential's id."""
        self.seal = seal
        self.memory = memory
        self._provider, self._family, self._account = names
        self.account_bound = account_bound
        self._origin: Origin | None = None

    @property
    def origin(self) -> Origin:
        """In keyed hashes; made when it is first asked for."""
        if self._origin is None:
            self._origin = self.seal.origin(self._provider, self._family, self._account)
        return self._origin

    def refuses(self, origin: Origin) -> str:
        """Why state from there must not come here, in words; "" if it may."""
        here = self.origin
        if origin.provider != here.provider:
            return "of another provider"
        if origin.family != here.family:
            return "of another model"
        if origin.account == REFUSED:
            return "refused before"
        return "of another account" if self.account_bound and origin.account != here.account else ""

    def remember(self, states: Iterable[str]) -> None:
        """What an answer from here held that its client gets as it is."""
        self.memory.remember(states, self.origin)

    def foreign(self, state: str) -> str:
        """The same of a state that a client of the upstream's own protocol sent as it was, or in an envelope.

        Envelopes are not the vendor's words, unless it gave them itself (a vendor may be a Rotator, too); of what
        nobody remembers the vendor is the judge.
        """
        origin = self.memory.of(state)
        if origin is None:
            return "of another protocol" if state.startswith(SEALED) else ""
        return self.refuses(origin)


def origin_of(state: str, seal: Seal, memory: StateMemory) -> Origin | None:
    """Where a state came from, as an envelope proves it or as it is remembered."""
    opened = seal.open(state) if state.startswith(SEALED) else None
    return memory.of(state) if opened is None else opened.origin


# ---------------------------------------------------------------- requests


def states_in(request: Request) -> Iterator[str]:
    """All states of a request, in their order."""
    for turn in request.turns:
        for part in turn.parts:
            state = state_of(part)
            if state is not None:
                yield state.value


def holds_reasoning(request: Request) -> bool:
    """Whether there is anything to strip."""
    parts = (part for turn in request.turns for part in turn.parts)
    return any(isinstance(part, Reasoning) or state_of(part) is not None for part in parts)


def state_of(part: Part) -> State | None:
    return None if isinstance(part, Opaque | Refusal) else part.state


def stripped(request: Request, ledger: Ledger) -> Request:
    """The request without any reasoning of earlier turns (protocols.md 2.4 R13)."""

    def bare(part: Part) -> Part | None:
        if isinstance(part, Reasoning):
            return None
        return part if isinstance(part, Opaque | Refusal) or part.state is None else replace(part, state=None)

    ledger.lose(STATE_LOST, (), "the vendor refused it")
    return _mapped(request, lambda turn: _replaced(turn, [bare(part) for part in turn.parts]))


def opened(request: Request, home: Home, own: bool, ledger: Ledger) -> Request:
    """The request with the states that may go to this home, proved; others are gone.

    ``own``: the upstream speaks the client's protocol; then reasoning without its state is gone, too: it would be
    refused. Blocks stand again where they stood in their turn.
    """
    return _mapped(request, lambda turn: _opened_turn(turn, home, own, ledger))


def _mapped(request: Request, change: Callable[[Turn], Turn]) -> Request:
    turns = tuple(map(change, request.turns))
    same = all(new is old for new, old in zip(turns, request.turns, strict=True))
    return request if same else replace(request, turns=turns)


def _replaced(turn: Turn, parts: list[Part | None]) -> Turn:
    left = tuple(part for part in parts if part is not None)
    same = len(left) == len(turn.parts) and all(new is old for new, old in zip(left, turn.parts, strict=True))
    return turn if same else replace(turn, parts=left)


def _opened_turn(turn: Turn, home: Home, own: bool, ledger: Ledger) -> Turn:
    left: list[Part | None] = []
    placed: list[tuple[int, Part]] = []
    for part in turn.parts:
        state = state_of(part)
        if state is None or isinstance(part, Opaque | Refusal):
            left.append(part)
        elif not is_sealed(state) or (own and home.memory.of(state.value) is not None):
            left.append(_as_sent(part, state, home, own, ledger))
        else:
            known = home.seal.open(state.value)
            kept = _kept(part, known, home, own, ledger)
            if kept is not None and known is not None and known.place > NOWHERE:
                placed.append((known.place, kept))
            else:
                left.append(kept)
    if not placed:
        return _replaced(turn, left)
    ordered = [part for part in left if part is not None]
    for place, part in sorted(placed, key=lambda one: one[0]):
        calls = (index for index, one in enumerate(ordered) if isinstance(one, ToolCall))
        ordered.insert(min(place, next(calls, place)), part)  # what was told otherwise may have moved the places
    return replace(turn, parts=tuple(ordered))


def _as_sent(part: Part, state: State, home: Home, own: bool, ledger: Ledger) -> Part | None:
    """State as a vendor wrote it: for its own protocol unless it is known to be another's, for others no proof."""
    reason = home.foreign(state.value) if own else ""
    if not reason or isinstance(part, Opaque | Refusal):
        return part
    ledger.lose(STATE_LOST, (), reason)
    return None if isinstance(part, Reasoning) else replace(part, state=None)


def _kept(part: Part, known: Opened | None, home: Home, own: bool, ledger: Ledger) -> Part | None:
    """The part behind its envelope."""
    if known is None:
        reason = "not sealed here"
    else:
        reason = "of another protocol" if own else home.refuses(known.origin) or home.foreign(known.value)
    if isinstance(part, Opaque | Refusal):
        return part
    if known is not None and not reason:
        return replace(part, state=known.state)
    if known is None or known.value:
        ledger.lose(STATE_LOST, (), reason)
    return None if own and isinstance(part, Reasoning) else replace(part, state=None)


# ---------------------------------------------------------------- answers


def sealed_response(response: Response, home: Home, own: bool) -> Response:
    """A whole answer as a client gets it; one of the upstream's own protocol gets what the vendor wrote."""
    if own:
        found = (state_of(part) for candidate in response.candidates for part in candidate.parts)
        home.remember([state.value for state in found if state is not None])
        return response
    candidates = []
    for candidate in response.candidates:
        parts = tuple(_sealed(part, place, home) for place, part in enumerate(candidate.parts))
        candidates.append(replace(candidate, parts=parts))
    return replace(response, candidates=tuple(candidates))


def _sealed(part: Part, place: int, home: Home) -> Part:
    state = state_of(part)
    if isinstance(part, Reasoning):
        return replace(part, state=home.seal.wrap(state, place, home.origin))
    if state is None or isinstance(part, Opaque | Refusal):
        return part
    return replace(part, state=home.seal.wrap(state, NOWHERE, home.origin))


class Sealing:
    """The same for the events of a stream, as they come out of adapters."""

    __slots__ = ("_home", "_open", "_own", "_places", "_told")

    def __init__(self, home: Home, own: bool) -> None:
        self._home = home
        self._own = own
        self._places: dict[int, int] = {}  # candidate -> blocks so far
        self._open: dict[int, tuple[int, State | None]] = {}  # reasoning block -> its place, its state so far
        self._told: dict[int, int] = {}  # reasoning block whose state came at once -> its place

    def events(self, events: Iterable[Event]) -> list[Event]:
        """The events with envelopes; reasoning that has no state gets one that tells where it comes from."""
        shown: list[Event] = []
        for event in events:
            match event:
                case BlockStart():
                    shown.append(self._begun(event))
                case StateSeen(block, state) if self._own:
                    self._home.remember((state.value,))
                    shown.append(event)
                case StateSeen(block, state) if block in self._open:
                    self._open[block] = self._open[block][0], state  # the last one counts
                case StateSeen(block, state):
                    place = self._told.get(block, NOWHERE)
                    shown.append(event._replace(state=self._home.seal.wrap(state, place, self._home.origin)))
                case BlockEnd(block) if block in self._open:
                    place, state_seen = self._open.pop(block)
                    shown += [StateSeen(block, self._home.seal.wrap(state_seen, place, self._home.origin)), event]
                case _:
                    shown.append(event)
        return shown

    def _begun(self, event: BlockStart) -> BlockStart:
        place = self._places.get(event.candidate, 0)
        self._places[event.candidate] = place + 1
        part = event.part
        state = state_of(part)
        if self._own:
            if state is not None:
                self._home.remember((state.value,))
            return event
        if isinstance(part, Reasoning) and (state is None or part.thoughts):
            self._open[event.block] = place, state
            return event if state is None else event._replace(part=replace(part, state=None))
        if state is None or isinstance(part, Opaque | Refusal):
            return event
        if isinstance(part, Reasoning):
            self._told[event.block] = place
        else:
            place = NOWHERE
        return event._replace(part=replace(part, state=self._home.seal.wrap(state, place, self._home.origin)))
