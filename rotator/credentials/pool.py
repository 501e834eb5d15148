"""The pool: hands out credentials, one lease an attempt, and learns from how each attempt ended.

It belongs to the app and outlives reloads: standings are kept by credential id.  All state changes are synchronous;
``lease`` is asynchronous because later it waits for a free place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rotator.contracts import Clock, Credential, Needs, Outcome, Target
from rotator.credentials.claims import PROBE_AFTER_SECONDS, Standing
from rotator.credentials.refusals import Candidate, Reason, none_left
from rotator.credentials.strategies import round_robin
from rotator.errors import NoCredential

log = logging.getLogger(__name__)


class Lease:
    """The right to use one credential for one attempt; settles exactly once, whatever happens."""

    __slots__ = ("_pool", "_settled", "_standing", "began", "credential", "probe", "target")

    def __init__(self, pool: Pool, standing: Standing, target: Target, probe: bool, began: float) -> None:
        self.credential: Credential = standing.credential
        self.target = target
        self.probe = probe
        self._pool = pool
        self._standing = standing
        self._settled = False
        self.began = began

    @property
    def settled(self) -> bool:
        return self._settled

    def settle(self, outcome: Outcome) -> None:
        """Tell how the attempt ended.  A second time is an assertion in tests, a counted log line in service."""
        if self._settled:
            self._pool.settled_twice(self)
            return
        self._settled = True
        self._pool.settled(self, self._standing, outcome)

    def __repr__(self) -> str:
        state = "settled" if self._settled else "open"
        return f"<Lease {self.credential.label} for {self.target.model}, {state}>"


@dataclass(slots=True)
class Counters:
    """What the pool has counted since its start."""

    leases: int = 0
    open: int = 0
    settled_twice: int = 0


class Pool:
    """Every credential of every provider.  ``strict`` makes misuse an AssertionError (tests)."""

    def __init__(self, clock: Clock, *, strict: bool = False) -> None:
        self.counters = Counters()
        self._clock = clock
        self._strict = strict
        self._standings: dict[str, tuple[Standing, ...]] = {}
        self._probing: set[str] = set()
        self._turns = 0

    def reconcile(self, credentials: Mapping[str, Sequence[Credential]]) -> None:
        """Take over a new set: what is known of a key stays while its id stays; keys that left are not used again."""
        known = {one.credential.id: one for standings in self._standings.values() for one in standings}
        fresh: dict[str, tuple[Standing, ...]] = {}
        for provider, found in credentials.items():
            standings = []
            for credential in found:
                standing = known.get(credential.id) or Standing(credential)
                standing.credential = credential
                standings.append(standing)
            fresh[provider] = tuple(standings)
        self._standings = fresh

    def snapshot(self, target: Target, needs: Needs) -> tuple[Candidate, ...]:
        """Each credential of the target's provider, and every reason why it is left out, in their stable order."""
        now = self._clock.monotonic()
        wall = self._clock.time()
        return tuple(
            Candidate(one.credential, tuple(self._reasons(one, target, needs, now, wall)))
            for one in self._standings.get(target.provider, ())
        )

    def _reasons(self, one: Standing, target: Target, needs: Needs, now: float, wall: float) -> Iterable[Reason]:
        if needs.pin is not None and needs.pin != one.credential.label:
            yield Reason("pin", None, f"pinned to {needs.pin}")
        if one.credential.id in needs.tried:
            yield Reason("tried", None, "used for this request already")
        if (until := one.limited_until(target.model, now)) is not None:
            yield Reason("cooldown", wall + until - now, f"limited by the vendor for {target.model}")
        if (until := one.rejected_until(now)) is not None:
            detail = one.rejection.reason if one.rejection else ""
            yield Reason("rejected", wall + until - now, detail)

    async def lease(self, target: Target, needs: Needs) -> Lease:
        """The best credential that may be used now.  Raises NoCredential: why there is none and when one will be."""
        now = self._clock.monotonic()
        standings = self._standings.get(target.provider, ())
        eligible = [one for one in standings if self._eligible(one, target, needs, now)]
        if eligible:
            chosen = eligible[0] if len(eligible) == 1 else round_robin(eligible, needs.session, now)[0]
            return self._grant(chosen, target, probe=False)
        probe = self._probe(standings, target, needs, now)
        if probe is not None:
            return self._grant(probe, target, probe=True)
        error, free_in = none_left(self.snapshot(target, needs), target, self._clock.time())
        raise NoCredential(error, free_in)

    def _eligible(self, one: Standing, target: Target, needs: Needs, now: float) -> bool:
        """The same rules as ``_reasons``, without words: this runs for every key at every request."""
        if needs.pin is not None and needs.pin != one.credential.label:
            return False
        if one.credential.id in needs.tried:
            return False
        return one.limited_until(target.model, now) is None and one.rejected_until(now) is None

    def _probe(self, standings: Sequence[Standing], target: Target, needs: Needs, now: float) -> Standing | None:
        """When every key is rejected: one request at a time tries the one that was rejected longest ago."""
        if target.provider in self._probing or any(one.rejected_until(now) is None for one in standings):
            return None
        waiting = [
            one
            for one in standings
            if one.credential.id not in needs.tried
            and needs.pin in (None, one.credential.label)
            and one.limited_until(target.model, now) is None
            and one.rejection is not None
            and now - one.rejection.last_at >= PROBE_AFTER_SECONDS
        ]
        return min(waiting, key=lambda one: one.rejection.last_at if one.rejection else 0.0, default=None)

    def _grant(self, chosen: Standing, target: Target, *, probe: bool) -> Lease:
        self._turns += 1
        chosen.turn = self._turns
        chosen.in_use += 1
        self.counters.leases += 1
        self.counters.open += 1
        if probe:
            self._probing.add(target.provider)
        return Lease(self, chosen, target, probe, self._clock.monotonic())

    def settled(self, lease: Lease, standing: Standing, outcome: Outcome) -> None:
        """Called by the lease, once."""
        self.counters.open -= 1
        standing.in_use -= 1
        if lease.probe:
            self._probing.discard(lease.target.provider)
        rejected = standing.rejection
        now = self._clock.monotonic()
        standing.learn(lease.target.model, outcome, now, lease.began)
        if standing.rejection is not None and standing.rejection is not rejected:
            label, reason = lease.credential.label, standing.rejection.reason
            log.warning("key %s was rejected (%s) and rests %.0f s", label, reason, standing.rejection.until - now)

    def settled_twice(self, lease: Lease) -> None:
        """Called by a lease that was settled before."""
        self.counters.settled_twice += 1
        if self._strict:
            raise AssertionError(f"{lease!r} was settled twice")
        log.error("%r was settled twice (%d so far)", lease, self.counters.settled_twice)
