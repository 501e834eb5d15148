"""One request's trip through targets and credentials, up to the first thing shown to the client (design.md 2)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from random import Random
from secrets import token_bytes
from typing import Final, NamedTuple

from rotator.config.schema import Retry, Sessions
from rotator.config.suggest import nearest
from rotator.contracts import Call, Caller, Clock, Envelope, Needs, Outcome, ProtocolAdapter, Target
from rotator.credentials.decision import Decision
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.sessions import identify
from rotator.errors import NoCredential, Refused, UpstreamFailed
from rotator.exchange.answer import Answer
from rotator.exchange.attempt import Asked, Attempt, AttemptFailed, Parsed
from rotator.exchange.bound import Home, StateMemory, holds_reasoning
from rotator.exchange.fidelity import check_faithful, wants_faithful
from rotator.exchange.plan import REQUIRE_HEADER, UNTRANSLATED, Plan, required_lane
from rotator.exchange.record import RequestRecord
from rotator.exchange.stages import Stage, Unfit, converted
from rotator.exchange.states import EASED, STRIPPED, States, eased
from rotator.exchange.tap import Watch, tell_verdict
from rotator.exchange.translate import Pair
from rotator.hookspecs import AttemptSeen
from rotator.neutral.codec import Ids
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.neutral.estimate import request_tokens
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.response import Response
from rotator.neutral.seal import Seal
from rotator.neutral.usage import CHARACTERS_PER_TOKEN, Usage
from rotator.plugins import tell
from rotator.routing.decide import Action, decide
from rotator.routing.progress import Progress
from rotator.trace.recorder import Recorder
from rotator.wire.jsontext import dumps, needs_exact, read
from rotator.wire.transport import Transport
from rotator.world import World

PIN_HEADER: Final = "x-rotator-credential"
#: Of a request under way at most so many tokens are reserved: a body may be one large picture.
RESERVED_TOKENS: Final = 20_000
#: Candidates of a decision that the trace gets.
TRACED_KEYS: Final = 100
#: Of a label that no key has: how much is repeated, and with how many others it is compared.
LABEL_SHOWN: Final = 80
LABELS_COMPARED: Final = 50


@dataclass(frozen=True, slots=True)
class Means:
    """What trips share: they belong to the app and outlive every generation of the configuration."""

    pool: Pool
    transport: Transport
    clock: Clock
    rng: Random = field(default_factory=Random)
    seal: Seal = field(default_factory=lambda: Seal(lambda: token_bytes(32)))
    states: StateMemory = field(default_factory=StateMemory)
    #: Asks vendors for their models, so that the router knows names that nobody declared.
    learn: Callable[[World], Awaitable[object]] | None = None


class Wanted(NamedTuple):
    """Which key a request would have: by its session, by the client's word, or for the reasoning bound to it."""

    session: str | None
    pin: str | None
    home: str | None


class Trip:
    """Carries one call; made per request, used once."""

    def __init__(self, means: Means, world: World, call: Call, caller: Caller, record: RequestRecord) -> None:
        self.means = means
        self.world = world
        self.call = call
        self.caller = caller
        self.record = record
        self.trace = record.trace
        self.deadline = 0.0
        self.counted = 0
        self.number = 0
        self.waited = False
        self.parsed: Parsed | None = None
        self.faithful = False
        self.states = States(means.seal, means.states, call)

    async def open(self, protocol: ProtocolAdapter, envelope: Envelope) -> Answer:
        """The first answer worth showing.  Raises Refused with what the client is to be told."""
        targets = await self._targets(envelope.model, protocol.name)
        self.deadline = self.means.clock.monotonic() + self.world.timeouts.global_seconds
        self.faithful = wants_faithful(self.call.headers)
        error: NeutralError | None = None
        tried, most = 0, self.world.retry.max_targets
        for place, target in enumerate(targets, 1):
            if tried >= most:
                break
            try:
                plan = self.world.plan(self.call.operation, protocol, target)
                required_lane(self.call.headers, plan)
            except Refused as unfit:
                error = error or unfit.error
                continue
            tried += 1
            try:
                if plan.pair is not None and self.parsed is None:
                    self.parsed = self._parsed(plan.pair, envelope)
                left = min(len(targets) - place, most - tried)
                return await self._credentials(plan, envelope, Progress(targets_left=left))
            except Unfit as unfit:  # what a vendor said goes before what could not be said
                error = error or unfit.error
            except (UpstreamFailed, NoCredential) as failed:
                error = failed.error
        if error is not None and error.code == UNTRANSLATED and self.call.operation == "count_tokens":
            if not self.faithful and REQUIRE_HEADER not in self.call.headers and PIN_HEADER not in self.call.headers:
                return self._estimate(protocol, envelope)
        raise Refused(error or error_of(ErrorKind.NOT_FOUND, f"model {envelope.model!r} leads nowhere"))

    def _estimate(self, protocol: ProtocolAdapter, envelope: Envelope) -> Answer:
        """A count for a client whose upstream cannot count: told as a loss, never in the body (P200)."""
        ledger, codec = Ledger(), protocol.codecs["count_tokens"]
        request = codec.parse(self.call.json, envelope.model, False, ledger)
        usage = Usage(input_fresh=request_tokens(request), source="estimated")
        ids = Ids(self.record.request_id, int(self.record.at), envelope.model)
        body = codec.build_response(Response(protocol.name, "", envelope.model, (), usage), request, ids, ledger)
        loss = Loss("count.estimated")
        self.record.usage, self.record.losses = usage, (loss,)
        if self.trace is not None:
            self.trace.add("losses", losses=[loss._asdict()], beyond=0)
        return Answer(200, [(b"content-type", b"application/json")], dumps(body))

    async def _targets(self, model: str, protocol: str) -> tuple[Target, ...]:
        """Where a name leads; vendors are asked for their models before one is called unknown."""
        router = self.world.router
        try:
            return router.resolve(model, protocol)
        except Refused as unknown:
            if unknown.error.kind is not ErrorKind.NOT_FOUND or self.means.learn is None or not router.is_bare(model):
                raise
        await self.means.learn(self.world)
        return router.resolve(model, protocol)

    def _parsed(self, pair: Pair, envelope: Envelope) -> Parsed:
        """The request in the neutral model, once for all attempts.  Raises Unfit naming the field."""
        call, record, trace = self.call, self.record, self.trace
        ledger = Ledger(None if trace is None else [])
        body = read(call.body)[0] if needs_exact(call.body) else call.json
        parse = Stage(
            f"parse {pair.client_name}",
            "neutral",
            "request",
            lambda json: pair.client.parse(json, envelope.model, envelope.streaming, ledger),
        )
        if trace is not None and ledger.notes is not None:
            parse = Watch(trace, 0, ledger.notes).wrapped(parse)
        ids = Ids(record.request_id, int(record.at), envelope.model)
        return Parsed(converted(parse, body), tuple(ledger.losses), ids)

    async def _credentials(self, plan: Plan, envelope: Envelope, progress: Progress[AttemptFailed]) -> Answer:
        """Attempt after attempt with the keys that the pool grants, until one answers or none is left."""
        retry = self.world.retry
        session = self._session(plan)
        asked = Asked(self.call, envelope, self.caller, session, self.trace, self.parsed if plan.pair else None)
        pin = pinned(self.world, plan.target, self.call.headers.get(PIN_HEADER), PIN_HEADER)
        self.states.repairing, self.record.repair = False, ""
        home = self.states.home(plan, self.parsed, self.world.credentials.get(plan.target.provider, ()))
        while True:
            if self.means.clock.monotonic() >= self.deadline:
                raise _too_late(self.world.timeouts.global_seconds)
            try:
                lease = await self._lease(plan, Wanted(session, pin, home), progress)
            except NoCredential as none:
                self._check_fits(plan)
                if await self._waited(none, progress, retry) or await self._again(progress, retry):
                    continue
                raise _told(none, progress.fault or progress.last) from none
            self.record.attempts += 1
            self.number += 1
            try:
                attempt = self._attempt(plan, asked, lease)
            except BaseException:
                lease.settle(Outcome("unused"))
                raise
            try:
                answer = await attempt.open(self.means.transport, self._left(envelope.streaming))
                self.record.losses = attempt.losses
                return answer
            except AttemptFailed as failed:
                if failed.unsent:
                    self.record.attempts -= 1
                if (mended := self._mended(plan, failed, attempt.sent)) is not None:
                    plan, home = mended, lease.credential.id
                    continue
                if progress.failed(lease.credential.id, failed.verdict, failed, sent=not failed.unsent):
                    self.counted += 1
                action = decide(failed.verdict, self.counted, retry.max_attempts, progress.targets_left)
                if self.trace is not None:
                    tell_verdict(self.trace, self.number, failed.cause, failed.verdict, str(action))
                if action is Action.STOP:
                    raise Refused(failed.told().error) from None
                if action is Action.FAIL_OVER:
                    raise failed.told() from None

    def _attempt(self, plan: Plan, asked: Asked, lease: Lease) -> Attempt:
        """The next attempt, on the lane that the request's reasoning state leaves open for this key."""
        target, key = plan.target, lease.credential
        home = Home(self.means.seal, self.means.states, (*plan.origin, key.id), plan.account_bound)
        foreign = None if plan.pair is not None else self.states.foreign(plan, home)
        if foreign is not None and plan.lane == "raw":
            plan = plan.raised()
        self.record.way, self.record.label = plan.way, key.label
        if self.trace is not None:
            self._told_attempt(self.trace, plan, lease, asked.session)
        ended = self._observer(target, key.id)
        attempt = Attempt(plan, asked, lease, self.world.limits, self.world.redactor, ended, home, self.number)
        attempt.foreign, attempt.strip = foreign, self.states.repairing
        return attempt

    def _mended(self, plan: Plan, failed: AttemptFailed, sent: bytes) -> Plan | None:
        """The plan for the same request without what the vendor refused, None where it stays refused.

        That is reasoning of earlier turns (protocols.md 2.4 R13) or the size of schemas (6.4.2). The key stays the
        same: it is not its fault. Who wants nothing lost, or its own bytes sent, gets the vendor's own answer.
        """
        if self.faithful or REQUIRE_HEADER in self.call.headers:
            return None
        mended: Plan | None = plan
        what = STRIPPED
        if not self.states.repairs(plan, failed.cause, sent):
            mended, what = eased(plan, self.parsed, failed.cause), EASED
        if mended is not None:
            told = dict.fromkeys(filter(None, (*self.record.repair.split(", "), what)))
            self.record.repair = ", ".join(told)
            if self.trace is not None:
                tell_verdict(self.trace, self.number, failed.cause, failed.verdict, "repair")
        return mended

    async def _lease(self, plan: Plan, wanted: Wanted, progress: Progress[AttemptFailed]) -> Lease:
        """A key, at once or when a busy one has a free place; with another target behind this one nobody waits.

        Raises NoCredential.
        """
        deadline = -math.inf if progress.targets_left else self.deadline
        tokens = min(len(self.call.body) // CHARACTERS_PER_TOKEN, RESERVED_TOKENS)
        free = self.call.operation != "generate"  # vendors do not charge for counting tokens
        tried = frozenset(progress.tried)
        needs = Needs(
            wanted.session, wanted.pin, tried, deadline, tokens, self.record.request_id, free, wanted.home
        )
        try:
            lease = await self.means.pool.lease(plan.target, needs)
        except NoCredential as none:
            if isinstance(none.decision, Decision):
                self._told_decision(none.decision)
            raise
        self._told_wait("a place", lease.waited_seconds)
        self._told_decision(lease.decision)
        return lease

    def _told_wait(self, why: str, seconds: float) -> None:
        if self.trace is not None and seconds > 0:
            self.trace.add("wait", attempt=self.number + 1, why=why, seconds=round(seconds, 3))

    def _told_decision(self, decision: Decision) -> None:
        """Why this key, or why none: the record that selection made."""
        self.record.decision = decision
        if self.trace is not None:
            self.trace.add("decision", attempt=self.number + 1, **decision.as_json(TRACED_KEYS))

    def _check_fits(self, plan: Plan) -> None:
        """Nobody need wait for a key to hear that the target cannot say it.  Raises Unfit."""
        if plan.pair is None or plan.pair.adapters or self.parsed is None:
            return
        ledger = Ledger()
        for loss in self.parsed.losses:
            ledger.add(loss)
        try:
            plan.pair.upstream.build(self.parsed.request, ledger)
        except Refused as refused:
            raise Unfit(refused.error) from refused
        if self.faithful and not holds_reasoning(self.parsed.request):  # what of it is lost depends on the key
            check_faithful(ledger, plan.pair.upstream_name)

    def _told_attempt(self, trace: Recorder, plan: Plan, lease: Lease, session: str | None) -> None:
        target = plan.target
        trace.add(
            "attempt",
            attempt=self.number,
            provider=target.provider,
            profile=target.profile,
            model=target.model,
            credential=lease.credential.label,
            lane=plan.lane,
            probe=lease.probe,
            session=session,
        )

    def _left(self, streaming: bool) -> float:
        """Seconds for the next attempt: all attempts together have a limit, and a stream may have one to begin."""
        left = self.deadline - self.means.clock.monotonic()
        begin = self.world.timeouts.stream_ttfb_seconds
        return min(left, begin) if streaming and begin is not None else left

    async def _waited(self, none: NoCredential, progress: Progress[AttemptFailed], retry: Retry) -> bool:
        """Wait once for the earliest end of a short limit; keys that were only limited may then be asked again.

        Only on the last target: as long as there is another one, nobody waits.
        """
        wait = none.free_in_seconds
        if self.waited or progress.targets_left or wait is None or wait > retry.small_cooldown_seconds:
            return False
        if self.means.clock.monotonic() + wait >= self.deadline:
            return False
        self.waited = True
        self._told_wait("the end of a limit", wait)
        await self.means.clock.sleep(wait + 0.001)
        progress.limits_ended()
        return True

    async def _again(self, progress: Progress[AttemptFailed], retry: Retry) -> bool:
        """After faults only, when no other key is left: ask the same keys once more, a little later."""
        pause = progress.pause_seconds(retry.same_key)
        if pause is None:
            return False
        pause *= self.means.rng.uniform(0.8, 1.2)
        if self.means.clock.monotonic() + pause >= self.deadline:
            return False
        await self.means.clock.sleep(pause)
        progress.paused()
        return True

    def _session(self, plan: Plan) -> str | None:
        """Looked for only where there is a choice between keys."""
        if len(self.world.credentials.get(plan.target.provider, ())) < 2:
            return None
        trusted = self.world.settings.get(Sessions).trusted_fields
        return identify(self.caller, self.call.headers, lambda: plan.client.session_hints(self.call), trusted)

    def _observer(self, target: Target, credential: str) -> Callable[[Outcome, int], None]:
        """Writes an attempt's end into the record and tells the ``on_attempt`` hooks."""
        record, clock, observers, trace = self.record, self.means.clock, self.world.loaded.observers, self.trace
        number, started = self.number, clock.monotonic()

        def ended(outcome: Outcome, status: int) -> None:
            record.usage = outcome.usage or record.usage
            if not observers and trace is None:
                return
            seconds = clock.monotonic() - started
            if trace is not None:
                usage = None if outcome.usage is None else asdict(outcome.usage)
                took = round(seconds * 1_000, 1)
                trace.add("outcome", attempt=number, ended=outcome.ended, status=status, usage=usage, took_ms=took)
            if observers:
                tell(observers, AttemptSeen(record.request_id, target, credential, number, status, seconds, outcome))

        return ended


def pinned(world: World, target: Target, label: str | None, field: str) -> str | None:
    """The label of a key that a client asked for in ``field``.  Raises Refused where the target has no such key."""
    labels = [one.label for one in world.credentials.get(target.provider, ())]
    if label is not None and label not in labels:
        asked = label[:LABEL_SHOWN]
        # Comparing costs the product of the lengths, and clients choose one of them.
        near = nearest(asked, [one for one in labels if abs(len(one) - len(asked)) < 4][:LABELS_COMPARED])
        hint = f" (did you mean {near}?)" if near else ""
        message = f"{field}: {target.provider} has no key labelled {asked!r}{hint}"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, message, param=field, should_retry=False))
    return label


def _too_late(seconds: float) -> Refused:
    message = f"no upstream answered within {seconds:g} s (timeouts.global)"
    return Refused(error_of(ErrorKind.UPSTREAM_TIMEOUT, message, code="deadline"))


def _told(none: NoCredential, last: AttemptFailed | None) -> UpstreamFailed | NoCredential:
    """What the client hears when no key is left: the vendor's own last error, unless it was about a key.

    Then it is the pool's word, with the vendor's last message (already redacted) beside it.
    """
    if last is None:
        return none
    if last.verdict.blame != "credential":
        return last.told()
    message = f"{none.error.message}; the vendor's last answer: {last.cause.error.message}"
    return NoCredential(replace(none.error, message=message), none.free_in_seconds)
