"""What a request's reasoning state asks of its attempts: a key, a lane, and one repair.

Source: design.md 2.1 (lanes); protocols.md 2.4 R11 to R13; ideas.md D1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from rotator.contracts import Call, Credential
from rotator.errors import UpstreamFailed
from rotator.exchange.attempt import Parsed
from rotator.exchange.bound import REFUSED, Home, StateMemory, origin_of, states_in
from rotator.exchange.plan import Plan
from rotator.neutral.parts import Origin
from rotator.neutral.seal import Seal
from rotator.wire.jsontext import read

#: What ``x-rotator-repair`` says.
STRIPPED: Final = "stripped-reasoning"
EASED: Final = "smaller-schemas"


class States:
    """The reasoning state of one request; nothing is looked for before it is needed."""

    def __init__(self, seal: Seal, memory: StateMemory, call: Call) -> None:
        self._seal = seal
        self._memory = memory
        self._call = call
        self._found: tuple[str, ...] | None = None
        self.repairing = False

    def home(self, plan: Plan, parsed: Parsed | None, credentials: Sequence[Credential]) -> str | None:
        """The id of the key that the latest reasoning is bound to, None where any will do (protocols.md 2.4 R12)."""
        if len(credentials) < 2 or not plan.account_bound:
            return None
        here = self._seal.hashed("provider", plan.origin[0]), self._seal.hashed("family", plan.origin[1])
        states = self._sent(plan) if plan.pair is None or parsed is None else tuple(states_in(parsed.request))
        for state in reversed(states):
            origin = origin_of(state, self._seal, self._memory)
            if origin is not None and (origin.provider, origin.family) == here:
                hashed = self._seal.hashed
                return next((one.id for one in credentials if hashed("account", one.id) == origin.account), None)
        return None

    def foreign(self, plan: Plan, home: Home) -> Callable[[str], str] | None:
        """Why a state of a body in the upstream's own protocol is to be taken out of it; None if it may go as it is."""
        if self.repairing:
            return _refused
        return home.foreign if any(map(home.foreign, self._sent(plan))) else None

    def repairs(self, plan: Plan, cause: UpstreamFailed, sent: bytes) -> bool:
        """Whether a vendor refused reasoning of earlier turns that it was sent.  True once for each target."""
        state = plan.protocol.state
        if self.repairing or state is None or cause.stage != "answered" or not state.refused(cause.error):
            return False
        body = read(sent)[0]
        refused = [one for one in state.found(body) if self._memory.of(one) is None]
        self.repairing = state.strip(body, lambda _: True).taken
        if self.repairing:  # the next turn need not be refused for the same
            here = self._seal.hashed("provider", plan.origin[0]), self._seal.hashed("family", plan.origin[1])
            self._memory.remember(refused, Origin(*here, REFUSED))
        return self.repairing

    def _sent(self, plan: Plan) -> tuple[str, ...]:
        """The states in the client's own body."""
        if self._found is None:
            state, body = plan.protocol.state, self._call.body
            holds = state is not None and any(mark in body for mark in state.marks)
            self._found = tuple(state.found(self._call.json)) if state is not None and holds else ()
        return self._found


def eased(plan: Plan, parsed: Parsed | None, cause: UpstreamFailed) -> Plan | None:
    """The plan with a codec that asks for less of what a vendor refused; it ends where the codec knows no more."""
    if plan.pair is None or parsed is None or cause.stage != "answered":
        return None
    codec = plan.pair.upstream.eased(cause.error, parsed.request)
    return None if codec is None else replace(plan, pair=replace(plan.pair, upstream=codec))


def _refused(state: str) -> str:
    return "the vendor refused it"
