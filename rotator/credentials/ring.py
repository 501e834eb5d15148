"""The keys of one provider: choosing among them, and what a choice and its end leave behind.

Synchronous, and of time and chance it knows what it is given: the server and the simulation run the same code.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from rotator.contain import contain
from rotator.contracts import Clock, Needs, Target
from rotator.credentials.claims import PROBE_AFTER_SECONDS, Limits
from rotator.credentials.cycle import Cycle, View
from rotator.credentials.decision import Candidate, Decision, Reason
from rotator.credentials.keys import KeySeat, Standing, best
from rotator.credentials.policy import CycleKey, ModelRules, Policy
from rotator.credentials.strategies import BUILT_IN
from rotator.rotation import Asked, Strategy

#: Models whose seats are kept; names come from clients.
MODELS_KEPT: Final = 512
#: What chooses where a plug-in's strategy fails.
FALLBACK: Final[Strategy] = BUILT_IN["sequential"]
#: Since the last use: so long a session, or a model without one, stays with its key.
STICKY_SECONDS: Final = 300.0
STICKY_KEPT: Final = 10_000


@dataclass(slots=True)
class Seats:
    """The keys as they look to requests for one model, in the order of the configuration.

    ``peers`` are those of each fair cycle that may serve the model at all.
    """

    rules: ModelRules
    seats: list[KeySeat]
    peers: dict[CycleKey, list[KeySeat]]


@dataclass(slots=True)
class Choice:
    """A decision and the seat behind it (None: no key); ``changes_at`` is when time alone may change it."""

    decision: Decision
    seat: KeySeat | None
    seats: Seats
    views: Mapping[CycleKey, View]

    @property
    def changes_at(self) -> float:
        ends = [seat.fresh_until for seat in self.seats.seats]
        return min(*ends, *(view.changes_at for view in self.views.values()), math.inf, math.inf)


@dataclass(slots=True, eq=False)
class Ring:
    """See the module.  ``strategy`` is the one that ``policy`` names."""

    policy: Policy
    strategy: Strategy
    standings: list[Standing]
    clock: Clock
    rng: Random
    epoch: int = 0
    now: float = 0.0
    limits: Limits = field(default_factory=Limits)
    probing: bool = False
    turns: int = 0
    evaluations: int = 0
    cycles: dict[CycleKey, Cycle] = field(default_factory=dict)
    sticky: OrderedDict[tuple[str, str | None], tuple[str, float]] = field(default_factory=OrderedDict)
    _seats: OrderedDict[str, Seats] = field(default_factory=OrderedDict)
    _views: dict[tuple[CycleKey, str], View] = field(default_factory=dict)

    def adopt(self, policy: Policy, strategy: Strategy, standings: list[Standing]) -> None:
        """Take over another generation's rules and keys; what is known of a key is kept in its standing."""
        if policy.rotation.fair_cycle != self.policy.rotation.fair_cycle or policy.fair != self.policy.fair:
            self.cycles.clear()
        self.policy, self.strategy, self.standings = policy, strategy, standings
        for one in standings:
            one.hard = policy.hard(one.credential)
        present = {one.credential.id for one in standings}
        for cycle in self.cycles.values():
            for known in (cycle.out, cycle.counts):
                for gone in known.keys() - present:
                    del known[gone]
        self._seats.clear()
        self.changed()

    def changed(self) -> None:
        """Something that concerns every key is otherwise."""
        self.epoch += 1
        self._views.clear()

    def has_place(self) -> bool:
        """Whether any key could take one more request, for what is under way alone."""
        return any(not 0 <= one.hard <= one.in_use for one in self.standings)

    def seats(self, model: str) -> Seats:
        """The seats of a model, made where it is new."""
        found = self._seats.get(model)
        if found is None:
            if len(self._seats) >= MODELS_KEPT:
                self._seats.popitem(last=False)
            rules = self.policy.rules(model)
            if any([one.forget(self.now) for one in self.standings]):
                self._seats.clear()
            seats = [KeySeat(one, rules, self) for one in self.standings]
            found = self._seats[model] = Seats(rules, seats, self._peers(rules, seats))
        else:
            self._seats.move_to_end(model)
        return found

    def choose(self, target: Target, needs: Needs) -> Choice:
        """One evaluation; nothing is changed by it.  ``rng`` moves on if the strategy draws."""
        self.evaluations += 1
        now = self.now = self.clock.monotonic()
        found = self.seats(target.model)
        candidates: list[Candidate] = []
        eligible: list[KeySeat] = []
        priority = math.inf
        special = bool(needs.tried) or needs.pin is not None
        views = self._views_of(found, now)
        fair = views if needs.pin is None else {}  # who names a key has its reasons
        for seat in found.seats:
            candidate = seat.candidate
            if special or seat.busy():
                candidate = _for_request(seat, needs)
            if fair and (view := fair.get(seat.cycle)) is not None and seat.credential.id in view.out:
                until = view.until(seat.credential.id)
                reason = Reason("fair_cycle", until, "used up in this cycle; others were not yet")
                candidate = candidate._replace(reasons=(*candidate.reasons, reason))
            candidates.append(candidate)
            if not candidate.reasons:
                rank = seat.standing.credential.priority
                if rank < priority:
                    priority, eligible = rank, [seat]
                elif rank == priority:
                    eligible.append(seat)
        if needs.home is not None and needs.pin is None:
            eligible = _at_home(found, candidates, needs.home) or eligible
        chosen, why, probe = self._pick(found, eligible, needs, now)
        credential = chosen.credential if chosen is not None else None
        at = self.clock.time()
        return Choice(Decision(target, candidates, credential, why, probe, now, at), chosen, found, views)

    def _pick(
        self, found: Seats, eligible: Sequence[KeySeat], needs: Needs, now: float
    ) -> tuple[KeySeat | None, str, bool]:
        if not eligible:
            probe = self._to_probe(found, needs, now)
            return probe, "every key was rejected: the one rejected longest ago is tried" if probe else "", bool(probe)
        seats = best(eligible, now)
        if len(seats) == 1:
            return seats[0], "the only one" if len(eligible) == 1 else "the others are in doubt or crowded", False
        asked = Asked(needs.session, self._stuck(found, needs, now), self.policy.rotation.tolerance, now, self.rng)
        for strategy in (self.strategy, FALLBACK):
            with contain(f"strategy {strategy.name} (sequential chooses)"):
                pick = strategy.pick(seats, asked)
                seat = seats[seats.index(pick.seat)]
                return seat, f"{strategy.name}: {pick.why}", False
        raise AssertionError("the built-in strategy failed")

    def _stuck(self, found: Seats, needs: Needs, now: float) -> str | None:
        held = self.sticky.get(_sticky_key(found.rules, needs.session))
        return held[0] if held is not None and now - held[1] <= STICKY_SECONDS else None

    def _to_probe(self, found: Seats, needs: Needs, now: float) -> KeySeat | None:
        """When every key is rejected: one request at a time tries the one that was rejected longest ago."""
        able = [seat for seat in found.seats if seat.unfit is None]
        if self.probing or any(seat.standing.ledger.rejected(now) is None for seat in able):
            return None
        waiting = []
        for seat in able:
            rejection = seat.standing.ledger.rejection
            if rejection is None or now - rejection.said_at < PROBE_AFTER_SECONDS:
                continue
            if all(reason.code == "rejected" for reason in _for_request(seat, needs).reasons):
                waiting.append((rejection.said_at, seat.place, seat))
        return min(waiting, key=lambda one: one[:2])[2] if waiting else None

    def granted(self, choice: Choice, needs: Needs) -> None:
        """The choice is made true: its seat is taken."""
        seat, now = choice.seat, choice.decision.now
        assert seat is not None
        standing = seat.standing
        standing.in_use += 1
        if choice.decision.probe:
            self.probing = True
        if needs.free:
            return  # it takes a place, and nobody's turn
        self.turns += 1
        standing.turn = self.turns
        standing.last_used_at = now
        if needs.pin is None:
            self._keep(choice, needs, now)
        if self.policy.fair:
            self._commit(choice, now)
        if seat.windows or seat.capped or standing.told:
            standing.version += 1  # what is reserved counts

    def _keep(self, choice: Choice, needs: Needs, now: float) -> None:
        """Remember the key; one that only has no place at the moment, or is in doubt, is kept to all the same."""
        assert choice.seat is not None
        key, standing = _sticky_key(choice.seats.rules, needs.session), choice.seat.standing
        held = self.sticky.get(key)
        chosen = standing.credential.id
        if held is not None and held[0] != chosen and now - held[1] <= STICKY_SECONDS:
            for seat in choice.seats.seats:
                if seat.standing.credential.id == held[0] and _elsewhere_for_now(seat, standing, now):
                    chosen = held[0]
        self.sticky[key] = chosen, now
        self.sticky.move_to_end(key)
        if len(self.sticky) > STICKY_KEPT:
            self.sticky.popitem(last=False)

    def _peers(self, rules: ModelRules, seats: Sequence[KeySeat]) -> dict[CycleKey, list[KeySeat]]:
        peers: dict[CycleKey, list[KeySeat]] = {}
        for seat in seats if self.policy.fair else ():
            seat.cycle = self.policy.cycle_key(seat.credential, rules)
            if seat.unfit is None:
                peers.setdefault(seat.cycle, []).append(seat)
        return peers

    def _views_of(self, found: Seats, now: float) -> Mapping[CycleKey, View]:
        """Bring the seats up to date; then who is out of each cycle with a used-up key, or whose time is over."""
        for seat in found.seats:
            if now >= seat.fresh_until or seat.stale():
                resting = seat.resting_until
                seat.refresh(now)
                if seat.resting_until != resting:
                    self._views.clear()
        views: dict[CycleKey, View] = {}
        for key, peers in found.peers.items():
            cycle = self.cycles.get(key)
            if cycle is not None and (cycle.out or now >= cycle.ends):
                views[key] = self._view(cycle, (key, found.rules.model), peers)
        return views

    def _view(self, cycle: Cycle, place: tuple[CycleKey, str], seats: Sequence[KeySeat]) -> View:
        now, until = self.now, math.inf
        view = self._views.get(place)
        if view is not None and now < view.changes_at:
            return view
        peers, resting, doubted = [], {}, set()
        for seat in seats:
            if (rejection := seat.standing.ledger.rejected(now)) is not None:
                until = min(until, rejection.until)
                continue
            peers.append(seat.credential.id)
            resting[seat.credential.id] = seat.resting_until
            if seat.standing.doubted(now):
                doubted.add(seat.credential.id)
                until = min(until, seat.standing.ledger.doubted_until)
        view = cycle.standing(peers, now, resting, doubted)
        if len(self._views) >= MODELS_KEPT:
            self._views.clear()
        view = self._views[place] = view._replace(changes_at=min(until, view.changes_at))
        return view

    def _commit(self, choice: Choice, now: float) -> None:
        """Begin the key's cycle, or begin it anew where that is due."""
        assert choice.seat is not None
        key = choice.seat.cycle
        cycle = self.cycles.get(key)
        if cycle is None:
            if len(self.cycles) >= MODELS_KEPT:
                idle = (one for one, kept in self.cycles.items() if not kept.out)
                self.cycles.pop(next(idle, next(iter(self.cycles))))
            self.cycles[key] = Cycle(self.policy.rotation.fair_cycle, now)
            return
        view = choice.views.get(key)
        if view is not None and view.due:
            cycle.commit(view, now)
            self._views.clear()

    def recheck(self, standing: Standing, models: Iterable[str]) -> None:
        """The vendor told something of a key, and of these models: see for which it is used up."""
        self.now = self.clock.monotonic()
        for model in models:
            self.seats(model)
        for found in self._seats.values():
            self.exhausted(found.seats[standing.place], self.now, 0.0)

    def exhausted(self, seat: KeySeat, now: float, weight: float) -> None:
        """After a use or a limit: see whether the key is used up for its cycle (engine.md 8.7)."""
        if not self.policy.fair:
            return
        standing, rotation = seat.standing, self.policy.rotation
        cycle = self.cycles.get(seat.cycle)
        if cycle is None:
            return
        key = standing.credential.id
        seat.refresh(now)
        self._views.clear()
        if weight:
            cycle.counts[key] = cycle.counts.get(key, 0.0) + weight
        limit = seat.primary.limit
        quota = limit is not None and cycle.counts.get(key, 0.0) >= limit * rotation.fair_cycle.quota_threshold
        if quota or seat.resting_until - now >= rotation.exhaustion_cooldown_seconds:
            cycle.exhaust(key, seat.resting_until)


def _sticky_key(rules: ModelRules, session: str | None) -> tuple[str, str | None]:
    """With a session the model, without one the quota group (engine.md 8.3)."""
    return (rules.model, session) if session is not None else (rules.group_place, None)


def _elsewhere_for_now(home: KeySeat, chosen: Standing, now: float) -> bool:
    """Whether a request left its key only because of what is under way or a recent fault."""
    standing = home.standing
    in_the_way = home.busy() or home.crowded() or standing.doubted(now)
    same_tier = standing.credential.priority == chosen.credential.priority
    free = not home.candidate.reasons or home.candidate.only_busy
    return free and (in_the_way or home.candidate.only_busy) and same_tier


def _at_home(found: Seats, candidates: list[Candidate], home: str) -> list[KeySeat]:
    """The seat of the key that the conversation's reasoning is bound to, if it can serve.

    Then that is the reason against all others. It goes before tiers: another account would have to do without the
    reasoning (protocols.md 2.4 R12, P-156).
    """
    pairs = zip(found.seats, candidates, strict=True)
    seat = next((one for one, candidate in pairs if candidate.credential.id == home and candidate.eligible), None)
    if seat is None:
        return []
    reason = Reason("bound_state", None, f"the conversation's reasoning is bound to {seat.credential.label}")
    for place, candidate in enumerate(candidates):
        if candidate.credential.id != home:
            candidates[place] = candidate._replace(reasons=(*candidate.reasons, reason))
    return [seat]


def _for_request(seat: KeySeat, needs: Needs) -> Candidate:
    """The candidate with what excludes it for this request, and now."""
    standing = seat.standing
    credential, more = standing.credential, []
    if needs.pin is not None and needs.pin != credential.label:
        more.append(Reason("pin", None, f"pinned to {needs.pin}"))
    if credential.id in needs.tried:
        more.append(Reason("tried", None, "used for this request already"))
    if seat.busy():
        more.append(Reason("concurrency", None, f"{standing.in_use} of {standing.hard} under way"))
    return seat.candidate._replace(reasons=(*more, *seat.candidate.reasons)) if more else seat.candidate

