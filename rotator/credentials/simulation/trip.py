"""One simulated request's way through targets and keys.

The rules are those of ``rotator.exchange.trip``, step by step, and what a failure leads to is decided by the same table
(``rotator.routing.decide``); tests hold the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from rotator.config.schema import Retry
from rotator.contracts import Credential, Needs, Target, Verdict
from rotator.credentials.decision import Decision
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.simulation.arrivals import Arrival
from rotator.credentials.simulation.clock import Moment, VirtualClock
from rotator.credentials.simulation.report import Counts
from rotator.credentials.simulation.vendor import Reply
from rotator.errors import NoCredential, Refused
from rotator.routing.decide import Action, decide
from rotator.routing.progress import Progress

#: Added to the wait for a short limit.
MARGIN_SECONDS: Final = 0.001
#: Models that lead nowhere of which the reason is kept.
_UNKNOWN_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Scene:
    """What the requests of a simulation share.

    ``resolve`` gives a model's targets, or raises Refused; ``answer`` is the vendor's, for target, key and tokens.
    """

    clock: VirtualClock
    pool: Pool
    answer: Callable[[Target, Credential, int], Reply]
    resolve: Callable[[str], Sequence[Target]]
    #: How many keys each provider has.
    keys: dict[str, int]
    retry: Retry
    global_seconds: float
    counts: Counts
    #: Varies the pauses.
    rng: Random


class Refusal(NamedTuple):
    """Why a request is not answered, in a word, and the status that its client gets; ``final``: no other target."""

    reason: str
    status: int
    final: bool = False


class Trip:
    """Carries one request; made per request, used once."""

    def __init__(self, scene: Scene, arrival: Arrival, number: int) -> None:
        self.scene = scene
        self.arrival = arrival
        self.number = number
        self.deadline = scene.clock.monotonic() + scene.global_seconds
        self.counted = 0
        self.waited = False
        self.wait = 0.0
        self.refusal: Refusal | None = None

    async def run(self) -> None:
        """From its arrival to its end, which is counted."""
        refusal = self.refusal = await self._targets()
        if refusal is None:
            self.scene.counts.over(self.wait, None)
        else:
            self.scene.counts.over(self.wait, refusal.reason, refusal.status)

    async def _targets(self) -> Refusal | None:
        """None: it was answered."""
        model, unknown = self.arrival.model, self.scene.counts.unknown
        try:
            targets = self.scene.resolve(model)[: self.scene.retry.max_targets]
        except Refused as refused:
            if len(unknown) < _UNKNOWN_KEPT:
                unknown.setdefault(model, refused.error.message)
            return Refusal(refused.error.code or str(refused.error.kind), refused.error.status)
        refusal: Refusal | None = Refusal("model_not_found", 404)
        for place, target in enumerate(targets, 1):
            refusal = await self._keys(target, Progress(len(targets) - place))
            if refusal is None or refusal.final:
                break
        return refusal

    async def _keys(self, target: Target, progress: Progress[Verdict]) -> Refusal | None:
        """Attempt after attempt with the keys that the pool grants, until one answers or none is left."""
        while True:
            if self.scene.clock.monotonic() >= self.deadline:
                return Refusal("deadline", 504, final=True)
            try:
                lease = await self._lease(target, progress)
            except NoCredential as none:
                if await self._waited(none, progress) or await self._again(progress):
                    continue
                return _told(none, progress.fault or progress.last)
            verdict = await self._attempt(lease)
            if verdict is None:
                return None
            self.counted += progress.failed(lease.credential.id, verdict, verdict)
            action = decide(verdict, self.counted, self.scene.retry.max_attempts, progress.targets_left)
            if action is not Action.ROTATE:
                return Refusal(verdict.reason, 500, final=action is Action.STOP)

    async def _lease(self, target: Target, progress: Progress[Verdict]) -> Lease:
        """A key, at once or when a busy one has a free place.  Raises NoCredential."""
        scene, arrival = self.scene, self.arrival
        deadline = -math.inf if progress.targets_left else self.deadline
        session = arrival.session if scene.keys[target.provider] > 1 else None
        needs = Needs(session, None, frozenset(progress.tried), deadline, arrival.tokens, f"request {self.number}")
        asked = scene.pool.ask(target, needs)
        if isinstance(asked, Lease):
            return asked
        since, served = scene.clock.monotonic(), Moment[Lease | Exception]()
        # Not at once: who settles goes on first, as in an event loop.
        asked.done = lambda result: _soon(scene.clock, served, result)
        result = await served
        self.wait += scene.clock.monotonic() - since
        if isinstance(result, Lease):
            return result
        raise result

    async def _attempt(self, lease: Lease) -> Verdict | None:
        """Ask the vendor; None: it answered."""
        scene = self.scene
        count = scene.counts.keys[lease.credential.id]
        count.began(lease, scene.clock.monotonic())
        reply = scene.answer(lease.target, lease.credential, self.arrival.tokens)
        await scene.clock.sleep(reply.seconds)
        lease.settle(reply.outcome)
        verdict = reply.outcome.verdict
        count.ended(verdict, self.wait, scene.clock.monotonic())
        return verdict

    async def _waited(self, none: NoCredential, progress: Progress[Verdict]) -> bool:
        """Wait once for the earliest end of a short limit; keys that were only limited may then be asked again."""
        wait = none.free_in_seconds
        if self.waited or progress.targets_left or wait is None or wait > self.scene.retry.small_cooldown_seconds:
            return False
        if self.scene.clock.monotonic() + wait >= self.deadline:
            return False
        self.waited = True
        await self._pause(wait + MARGIN_SECONDS)
        progress.limits_ended()
        return True

    async def _again(self, progress: Progress[Verdict]) -> bool:
        """After faults only, when no other key is left: ask the same keys once more, a little later."""
        pause = progress.pause_seconds(self.scene.retry.same_key)
        if pause is None:
            return False
        pause *= self.scene.rng.uniform(0.8, 1.2)
        if self.scene.clock.monotonic() + pause >= self.deadline:
            return False
        await self._pause(pause)
        progress.paused()
        return True

    async def _pause(self, seconds: float) -> None:
        await self.scene.clock.sleep(seconds)
        self.wait += seconds


def _soon(clock: VirtualClock, served: Moment[Lease | Exception], result: Lease | Exception) -> None:
    clock.call_later(0.0, lambda: served.come(result))


def _told(none: NoCredential, last: Verdict | None) -> Refusal:
    """The vendor's own last error, unless it was about a key; else the pool's word."""
    if last is not None and last.blame != "credential":
        return Refusal(last.reason, 500)
    word = why_none(none.decision) if isinstance(none.decision, Decision) else "no_credential"
    return Refusal(word, none.error.status)


def why_none(decision: Decision) -> str:
    """In a word of docs/rotation.md what keeps the key from work that would be free first.

    Of its reasons it is the one that ends last; where no end is known, the last one of the first key that has another
    than having been tried.
    """
    first, word = math.inf, ""
    for candidate in decision.candidates:
        reasons = [reason for reason in candidate.reasons if reason.code != "tried"]
        if not reasons:
            continue
        last = max(reasons, key=lambda reason: math.inf if reason.until is None else reason.until)
        end = math.inf if last.until is None else last.until
        if end < first or not word:
            first, word = end, last.code
    return word or "tried"
