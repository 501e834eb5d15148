"""The pool: hands out credentials, one lease an attempt, and learns from how each attempt ended.

It belongs to the app and outlives reloads: standings are kept by credential id. ``ask`` and everything below it is
synchronous, so that a simulation runs the same code; ``lease`` only waits for what ``ask`` promised.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final

from rotator.config.rotation import Rotation
from rotator.contracts import Clock, Credential, Needs, Outcome, Target
from rotator.credentials.claims import PROVIDER, Learnt
from rotator.credentials.decision import Decision
from rotator.credentials.describe import described
from rotator.credentials.facts import apply_facts, checked
from rotator.credentials.keys import Standing
from rotator.credentials.policy import Policy
from rotator.credentials.refusals import none_left
from rotator.credentials.ring import Choice, Ring
from rotator.credentials.strategies import BUILT_IN
from rotator.credentials.uses import Use
from rotator.credentials.waiting import Ticket, WaitingLine
from rotator.errors import NoCredential
from rotator.quota import QuotaFact
from rotator.rotation import Strategy

log = logging.getLogger(__name__)

DEFAULT: Final = Rotation()
#: A limit that lasts so long is worth a line in the log.
TOLD_SECONDS: Final = 60.0


class Lease:
    """The right to use one credential for one attempt; settles exactly once, whatever happens.

    ``decision`` says why this key. ``began`` is monotonic seconds, ``waited_seconds`` how long it waited for a place.
    """

    __slots__ = (
        "_pool", "_settled", "began", "credential", "decision", "line", "probe", "seat", "target", "use",
        "waited_seconds",
    )  # fmt: skip

    def __init__(self, pool: Pool, line: Line, choice: Choice, use: Use) -> None:
        assert choice.seat is not None
        self.credential: Credential = choice.seat.credential
        self.target = choice.decision.target
        self.decision = choice.decision
        self.probe = choice.decision.probe
        self.began = choice.decision.now
        self.seat = choice.seat
        self.use = use
        self.line = line
        self._pool = pool
        self._settled = False
        self.waited_seconds = 0.0

    @property
    def settled(self) -> bool:
        return self._settled

    def unix_now(self) -> float:
        """The pool's time, for what a vendor states as a date."""
        return self._pool.clock.time()

    def told(self, facts: Sequence[QuotaFact]) -> None:
        """The vendor's answer said this of its quotas."""
        if facts:
            self._pool.answered(self, facts)

    def settle(self, outcome: Outcome) -> None:
        """Tell how the attempt ended.  A second time is an assertion in tests, a counted log line in service."""
        if self._settled:
            self._pool.settled_twice(self)
            return
        self._settled = True
        self._pool.settled(self, outcome)

    def __repr__(self) -> str:
        state = "settled" if self._settled else "open"
        return f"<Lease {self.credential.label} for {self.target.model}, {state}>"


@dataclass(slots=True)
class Counters:
    """What the pool has counted since its start."""

    leases: int = 0
    open: int = 0
    settled_twice: int = 0
    waited: int = 0


@dataclass(slots=True, eq=False)
class Line:
    """A provider's keys and the requests that wait for one; ``cancel_alarm`` stops the timer of the next change."""

    ring: Ring
    waiting: WaitingLine[Lease]
    cancel_alarm: Callable[[], None] | None = None
    alarm_at: float = math.inf
    serving: bool = False
    again: bool = False


class Pool:
    """Every credential of every provider.  ``strict`` makes misuse an AssertionError (tests)."""

    def __init__(self, clock: Clock, *, strict: bool = False, rng: Random | None = None) -> None:
        self.counters = Counters()
        self.clock = clock
        self._strict = strict
        self._rng = rng or Random()
        self._lines: dict[str, Line] = {}
        self._gone: dict[str, Standing] = {}  # keys that left with requests under way

    def reconcile(
        self,
        credentials: Mapping[str, Sequence[Credential]],
        rotations: Mapping[str, Rotation] = MappingProxyType({}),
        strategies: Mapping[str, Strategy] = BUILT_IN,
    ) -> None:
        """Take over a new set: what is known of a key stays while its id stays; keys that left are not used again.

        ``rotations`` by provider; one that is missing has the defaults.
        """
        known = {one.credential.id: one for line in self._lines.values() for one in line.ring.standings}
        given = {credential.id for found in credentials.values() for credential in found}
        self._gone |= {name: one for name, one in known.items() if name not in given}
        self._gone = {name: one for name, one in self._gone.items() if one.in_use}
        before, self._lines = self._lines, {}
        for provider, found in credentials.items():
            standings = []
            for place, credential in enumerate(found):
                standing = known.get(credential.id) or self._anew(credential)
                standing.credential, standing.place = credential, place
                standings.append(standing)
            rotation = rotations.get(provider, DEFAULT)
            policy, strategy = Policy(rotation), strategies[rotation.mode]
            line = before.pop(provider, None)
            if line is None:
                line = Line(Ring(policy, strategy, [], self.clock, self._rng), WaitingLine())
            line.ring.adopt(policy, strategy, standings)
            self._lines[provider] = line
        for line in before.values():
            line.ring.adopt(line.ring.policy, line.ring.strategy, [])
            self._serve(line)
        for line in self._lines.values():
            self._serve(line)

    def _anew(self, credential: Credential) -> Standing:
        """A key that is new, or back: then nothing is known of it but what it still has under way."""
        before, standing = self._gone.pop(credential.id, None), Standing(credential)
        if before is not None:
            standing.in_use, before.successor = before.in_use, standing
        return standing

    def explain(self, target: Target, needs: Needs) -> Decision:
        """What the next choice would be: one evaluation, and nothing is changed, chance included."""
        line = self._lines.get(target.provider)
        if line is None:
            return self._unknown(target)
        state = self._rng.getstate()
        try:
            return line.ring.choose(target, needs).decision
        finally:
            self._rng.setstate(state)

    def describe(self, target: Target) -> list[dict[str, Any]]:
        """What is counted of each key for the target's model, see ``rotator.credentials.describe``."""
        line = self._lines.get(target.provider)
        now, at = self.clock.monotonic(), self.clock.time()
        seats = line.ring.seats(target.model).seats if line is not None else ()
        return described(seats, now, lambda when: None if when is None else round(at + when - now, 3))

    def waiting(self, provider: str) -> int:
        """How many requests wait for a key of a provider."""
        line = self._lines.get(provider)
        return len(line.waiting) if line is not None else 0

    def standings(self, provider: str) -> Sequence[Standing]:
        """What is known of each key of a provider."""
        line = self._lines.get(provider)
        return line.ring.standings if line is not None else ()

    def evaluations(self, provider: str) -> int:
        """How many choices were worked out, those of ``explain`` included."""
        return self._lines[provider].ring.evaluations

    def ask(self, target: Target, needs: Needs) -> Lease | Ticket[Lease]:
        """The best credential that may be used now, or a ticket where one is only busy and there is time to wait.

        Raises NoCredential: why there is none and when one will be.
        """
        line = self._lines.get(target.provider)
        if line is None:
            raise self._none(self._unknown(target))
        choice = line.ring.choose(target, needs)
        if choice.seat is not None and line.waiting.size:
            self._serve(line)  # who came before goes before
            choice = line.ring.choose(target, needs)
        if choice.seat is not None:
            return self._grant(line, choice, needs)
        if needs.deadline > choice.decision.now and _worth_waiting(choice.decision):
            ticket = line.waiting.join(target, needs, choice.decision.now)
            self.counters.waited += 1
            late = needs.deadline - choice.decision.now
            ticket.cancel_alarm = self.clock.call_later(late, lambda: self._too_late(line, ticket))
            self._set_alarm(line, choice.changes_at)
            return ticket
        raise self._none(choice.decision)

    async def lease(self, target: Target, needs: Needs) -> Lease:
        """Like ``ask``, but waits until the ticket is served, at most until ``needs.deadline``."""
        asked = self.ask(target, needs)
        if isinstance(asked, Lease):
            return asked
        future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        asked.done = lambda result: _resolve(future, result)
        asked.wanted = lambda: not future.done()
        try:
            lease = await future
            lease.waited_seconds = lease.began - asked.since
            return lease
        except asyncio.CancelledError:
            self.give_up(asked)
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().settle(Outcome("unused"))  # granted and cancelled at once: the turn passes on
            raise

    def give_up(self, ticket: Ticket[Lease]) -> None:
        """Nobody waits for this ticket any more."""
        line = self._lines.get(ticket.target.provider)
        if line is not None:
            line.waiting.leave(ticket)

    def learn_quota(self, credential_id: str, facts: Sequence[QuotaFact], at: float) -> None:
        """What the vendor told of a key's quotas when it was asked, at ``at`` (monotonic seconds)."""
        facts = tuple(checked(facts))
        for line in self._lines.values():
            for standing in line.ring.standings:
                if standing.credential.id == credential_id:
                    wall = self.clock.time() + at - self.clock.monotonic()
                    apply_facts(standing, line.ring.policy, facts, at, wall=wall)
                    line.ring.recheck(standing, [fact.model for fact in facts if fact.model is not None])
                    self._serve(line)
                    return

    def answered(self, lease: Lease, facts: Sequence[QuotaFact]) -> None:
        """Called by the lease: what an answer's head said of quotas counts the request itself already."""
        now = self.clock.monotonic()
        standing, policy = lease.seat.standing, lease.line.ring.policy
        touched = apply_facts(standing, policy, checked(facts), now, lease.target.model, self.clock.time())
        lease.use.counted_by_vendor(touched)
        if lease.line.waiting.size:
            self._serve(lease.line)

    def _grant(self, line: Line, choice: Choice, needs: Needs) -> Lease:
        seat = choice.seat
        assert seat is not None
        line.ring.granted(choice, needs)
        self.counters.leases += 1
        self.counters.open += 1
        use = Use.begin(seat, needs, choice.decision.now, choice.decision.at)
        return Lease(self, line, choice, use)

    def settled(self, lease: Lease, outcome: Outcome) -> None:
        """Called by the lease, once."""
        self.counters.open -= 1
        line, seat = lease.line, lease.seat
        standing, ring = seat.standing, line.ring
        standing.leave()
        if lease.probe:
            ring.probing = False
        now = ring.now = self.clock.monotonic()
        try:
            counted = lease.use.end(outcome, now)
            self._learn(lease, outcome, now)
            standing.version += 1
            if counted:
                standing.served += 1
            ring.exhausted(seat, now, lease.use.weight if counted else 0.0)
        finally:  # whatever a plug-in's verdict does, those who wait are served
            if line.waiting.size:
                self._serve(line)

    def _learn(self, lease: Lease, outcome: Outcome, now: float) -> None:
        rules, ring, ledger = lease.seat.rules, lease.line.ring, lease.seat.standing.ledger
        before = ledger.rejection
        learnt = Learnt(rules.group_place, rules.group is not None, outcome, lease.began, lease.use.evidence)
        limit = ledger.learn(learnt, now)
        verdict = outcome.verdict
        if outcome.ended == "ok":
            ring.limits.served((PROVIDER,), now)
        elif verdict is not None and verdict.blame == "credential" and verdict.scope == "provider":
            limit = ring.limits.add(PROVIDER, "provider", verdict, learnt, now)
            ring.changed()
        if limit is not None and limit.said_at == now and limit.until - now >= TOLD_SECONDS:
            place = PROVIDER if limit.scope == "provider" else learnt.place
            log.warning("key %s: %s, and rests %.0f s", lease.credential.label, limit.shown(place), limit.until - now)
        if ledger.rejection is not before:
            ring.changed()  # the fair cycle leaves rejected keys out
            if ledger.rejection is not None:
                label, reason = lease.credential.label, ledger.rejection.reason
                log.warning("key %s was rejected (%s) and rests %.0f s", label, reason, ledger.rejection.until - now)

    def _serve(self, line: Line) -> None:
        """Give what is free to those who wait, in their order; tell those for whom waiting is of no more use.

        Whoever is told may settle or ask at once: then another round follows, never one inside the other.
        """
        line.again = True
        if line.serving:
            return
        line.serving = True
        try:
            while line.again:
                line.again = False
                self._round(line)
        finally:
            line.serving = False

    def _round(self, line: Line) -> None:
        alarm, ring = math.inf, line.ring
        for ticket in line.waiting.heads():
            if not ticket.wanted():
                line.waiting.leave(ticket)
                continue
            choice = ring.choose(ticket.target, ticket.needs)
            if choice.seat is not None:
                line.waiting.leave(ticket)
                ticket.done(self._grant(line, choice, ticket.needs))
                if not ring.has_place():  # the others are looked at when the next place is free
                    self._set_alarm(line, min(alarm, line.alarm_at), anew=True)
                    return
            elif not _worth_waiting(choice.decision):
                line.waiting.leave(ticket)
                ticket.done(self._none(choice.decision))
            else:
                alarm = min(alarm, choice.changes_at)
        self._set_alarm(line, alarm, anew=True)

    def _too_late(self, line: Line, ticket: Ticket[Lease]) -> None:
        """A ticket's deadline has come; what is free now it may still have."""
        self._serve(line)
        if line.waiting.leave(ticket):
            ticket.done(self._none(line.ring.choose(ticket.target, ticket.needs).decision))

    def _set_alarm(self, line: Line, at: float, *, anew: bool = False) -> None:
        """Look again at ``at``, when the first limit of those that are in the way ends."""
        if not anew and at >= line.alarm_at:
            return
        if line.cancel_alarm is not None:
            line.cancel_alarm()
            line.cancel_alarm, line.alarm_at = None, math.inf
        if line.waiting.size and math.isfinite(at):
            line.alarm_at = at
            delay = max(0.0, at - self.clock.monotonic())
            line.cancel_alarm = self.clock.call_later(delay, lambda: self._alarm(line))

    def _alarm(self, line: Line) -> None:
        line.cancel_alarm, line.alarm_at = None, math.inf
        self._serve(line)

    def _unknown(self, target: Target) -> Decision:
        return Decision(target, (), None, "", False, self.clock.monotonic(), self.clock.time())

    def _none(self, decision: Decision) -> NoCredential:
        error, free_in = none_left(decision)
        return NoCredential(error, free_in, decision)

    def settled_twice(self, lease: Lease) -> None:
        """Called by a lease that was settled before."""
        self.counters.settled_twice += 1
        if self._strict:
            raise AssertionError(f"{lease!r} was settled twice")
        log.error("%r was settled twice (%d so far)", lease, self.counters.settled_twice)


def _worth_waiting(decision: Decision) -> bool:
    return any(one.only_busy for one in decision.candidates)


def _resolve(future: asyncio.Future[Lease], result: Lease | Exception) -> None:
    if future.done():  # cancelled and not yet told: nobody would use it
        if isinstance(result, Lease):
            result.settle(Outcome("unused"))
    elif isinstance(result, Lease):
        future.set_result(result)
    else:
        future.set_exception(result)
