"""One attempt: one lease, one request upstream, judged before anything is shown to the client."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, NamedTuple

from rotator.config.schema import Limits
from rotator.contain import contain
from rotator.contracts import Call, Caller, Context, Envelope, Meter, Outcome, Verdict, WireRequest
from rotator.credentials.pool import Lease
from rotator.errors import Refused, UpstreamFailed
from rotator.exchange.answer import Answer, RawStream, Stream, media_type
from rotator.exchange.bound import STATE_LOST, Home, opened, stripped
from rotator.exchange.fidelity import check_faithful, wants_faithful
from rotator.exchange.native import NativeStream
from rotator.exchange.plan import Plan, names, required_lane
from rotator.exchange.stages import Chain, TransformFailed, Unfit, written
from rotator.exchange.tap import Tap, Watch, tell_verdict
from rotator.exchange.translate import Pair, Task, Translation
from rotator.exchange.translated import Conversion, TranslatedStream
from rotator.neutral.codec import Built, Ids
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.redact import Redactor
from rotator.neutral.request import Request
from rotator.neutral.usage import Usage
from rotator.trace.recorder import Recorder
from rotator.wire.deadline import Deadline
from rotator.wire.jsontext import NotJson, loads, read
from rotator.wire.transport import Outgoing, Reply, Transport, failed

#: A stage of ours failed: another key would not help, another target may do without it.
_TRANSFORM: Final = Verdict("model", "request", "transform_failed", source="transform")
#: Of what a loss says beside its code and place.
DETAIL_CHARACTERS: Final = 300
#: The target cannot say what is asked for: another one may.
_UNFIT: Final = Verdict("model", "request", "not_expressible", source="transport")
#: A provider's own ``classify`` failed: a fault, no more is known.
_UNCLASSIFIED: Final = Verdict("provider", "provider", "unclassified")


class AttemptFailed(Exception):
    """The attempt showed nothing; ``verdict`` is what its provider made of ``cause``.  The lease is settled."""

    def __init__(self, cause: UpstreamFailed, verdict: Verdict) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.verdict = verdict
        #: Nothing was sent upstream: a stage or a conversion failed before.
        self.unsent = isinstance(cause, Unfit) or (isinstance(cause, TransformFailed) and cause.unsent)

    def told(self) -> UpstreamFailed:
        """The failure as the client gets it: with the time at which the vendor wants to be asked again."""
        error = replace(self.cause.error, retry_after_seconds=self.verdict.retry_after_seconds)
        if isinstance(self.cause, Unfit):
            return Unfit(error)
        return UpstreamFailed(error, self.cause.stage, self.cause.headers)


class Asked(NamedTuple):
    """What a client wants and who it is; the same for every attempt.

    ``trace`` is None where tracing is off, ``parsed`` where nothing is translated.
    """

    call: Call
    envelope: Envelope
    caller: Caller
    session: str | None
    trace: Recorder | None
    parsed: Parsed | None = None


class Parsed(NamedTuple):
    """The client's request in the neutral model, what parsing it lost, and what its answer's ids are made from."""

    request: Request
    losses: tuple[Loss, ...]
    ids: Ids


@dataclass(slots=True)
class Attempt:
    """``ended`` is told how it ended, once, whatever happens: also long after ``open``, when a stream is over.

    ``foreign`` says why reasoning state must not go there (None: nothing need be taken out of a body of the upstream's
    own protocol); ``strip``: no reasoning of earlier turns may. ``sent`` is the body that went upstream.
    """

    plan: Plan
    asked: Asked
    lease: Lease
    limits: Limits
    redactor: Redactor
    ended: Callable[[Outcome, int], None]
    home: Home
    number: int = 1
    sent: bytes = b""
    foreign: Callable[[str], str] | None = None
    strip: bool = False
    status: int = 0
    _sent_at: float = 0.0
    _chain: Chain | None = None
    _notes: list[Note] | None = None
    _tap: Tap | None = None
    _stream_begun: Stream | None = None
    _translation: Translation | None = None
    _ledger: Ledger | None = None
    _meter: Meter | None = None

    async def open(self, transport: Transport, seconds: float) -> Answer:
        """Send, and wait until there is something to show, at most so long.

        Silence before the answer's head is limited here, silence inside the body by the reply itself.
        Raises AttemptFailed; settles on cancellation too.
        """
        silence = transport.settings.connect_seconds + transport.idle_seconds(self.asked.envelope.streaming)
        clock = asyncio.get_running_loop().time
        ends = clock() + seconds
        try:
            with Deadline(min(silence, seconds)) as deadline:
                reply = await self._send(transport)
                if not reply.arrived:
                    deadline.extend(ends - clock())
                return await self._answer(reply)
        except TimeoutError as late:
            silent = failed(ErrorKind.UPSTREAM_TIMEOUT, "upstream: no answer in time", "sent", "read_timeout")
            raise self._over(silent) from late
        except UpstreamFailed as cause:
            raise self._over(cause) from cause
        except BaseException:
            self._settle(Outcome("cancelled", usage=self._used()))
            self._told_stream()
            raise

    def _over(self, cause: UpstreamFailed) -> AttemptFailed:
        if isinstance(cause, TransformFailed | Unfit):
            cause.error = self.redactor.error(cause.error)  # the text of whatever a plug-in raised
        elif cause.stage != "answered":  # the transport does not know whose connection it was
            message = cause.error.message.replace("upstream:", f"{self.plan.target.provider}:", 1)
            cause = UpstreamFailed(replace(cause.error, message=message), cause.stage, cause.headers)
        verdict = self._judge(cause)
        failed = AttemptFailed(cause, verdict)
        self._settle(Outcome("failed", verdict, self._used()), sent=not failed.unsent)
        self._told_stream()
        return failed

    async def _send(self, transport: Transport) -> Reply:
        outgoing = self._outgoing()
        self.sent = outgoing.body or b""
        if self.asked.trace is not None:
            self._told_request(self.asked.trace, outgoing)
            self._sent_at = asyncio.get_running_loop().time()
        reply = await transport.send(outgoing)
        self.status = reply.status
        if self.plan.operation == "generate":  # what a count of tokens tells may be about limits of its own
            provider, lease = self.plan.provider, self.lease
            with contain(f"quota facts of provider {provider.name}"):
                lease.told(provider.quota_facts(names(reply.headers), lease.unix_now()))
        return reply

    def _outgoing(self) -> Outgoing:
        """The request in bytes; on the other lanes what conversions and stages make of it."""
        plan, call, streaming = self.plan, self.asked.call, self.asked.envelope.streaming
        credential = self.lease.credential
        if plan.wiring is None and plan.pair is None:
            return plan.outgoing(call, credential, streaming)
        ctx = self._context()
        trace, notes = self.asked.trace, ctx.notes
        watch = None if trace is None or notes is None else Watch(trace, self.number, notes)
        headers: Mapping[str, str] = {}
        if plan.pair is None:
            body, _ = read(call.body)  # the attempt's own: stages may change it in place
            body["model"] = plan.target.model
            if self.foreign is not None:
                self._without_state(body, self.foreign)
        else:
            built = self._translated(plan.pair, ctx, watch)
            body, headers = built.body, built.headers
        request = WireRequest(body, headers)
        if plan.wiring is not None:
            self._chain = plan.wiring.open(ctx, credential, self.asked.envelope.model, watch)
            if plan.pair is not None:
                body = copy.deepcopy(body)  # stages may change it in place, codecs share objects
            staged = self._chain.request(body, streaming)
            request = staged._replace(headers={**headers, **staged.headers})
        return plan.outgoing(call, credential, streaming, request)

    def _translated(self, pair: Pair, ctx: Context, watch: Watch | None) -> Built:
        """The request in the upstream's JSON.  Raises Unfit or TransformFailed."""
        parsed, target = self.asked.parsed, self.plan.target
        assert parsed is not None
        self._ledger = ledger = Ledger(ctx.notes)
        for loss in parsed.losses:
            ledger.add(loss)
        request = replace(parsed.request, model=target.model)
        own = pair.client_name == pair.upstream_name
        request = stripped(request, ledger) if self.strip else opened(request, self.home, own, ledger)
        task = Task(request, parsed.ids, ledger, len(self.asked.call.body), watch)
        self._translation = Translation(pair, task, ctx, self.home)
        built = self._translation.request()
        if wants_faithful(self.asked.call.headers):
            check_faithful(ledger, pair.upstream_name)
        return built

    def _without_state(self, body: dict[str, Any], foreign: Callable[[str], str]) -> None:
        """Take out what must not go there.  Raises Unfit where the client wants its own bytes sent, or all of them."""
        plan, state, headers = self.plan, self.plan.protocol.state, self.asked.call.headers
        self._ledger = ledger = Ledger()
        reasons: dict[str, None] = {}

        def is_foreign(value: str) -> bool:
            reason = foreign(value)
            if reason:
                reasons[reason] = None
            return bool(reason)

        if state is None or not (stripped_of := state.strip(body, is_foreign)).taken:
            return
        for reason in reasons:
            ledger.lose(STATE_LOST, (), reason)
        for code in stripped_of.lost:
            ledger.lose(code)
        try:
            required_lane(headers, plan)
        except Refused as refused:
            raise Unfit(refused.error) from refused
        if wants_faithful(headers):
            check_faithful(ledger, plan.protocol.name)

    @property
    def losses(self) -> Sequence[Loss]:
        """What the target could not be told so far, without secrets: it is told in names that others have chosen."""
        text = self.redactor.text
        losses = self._ledger.losses if self._ledger is not None else ()
        return [Loss(code, text(path), text(detail)[:DETAIL_CHARACTERS]) for code, path, detail in losses]

    def _context(self) -> Context:
        plan, asked, target = self.plan, self.asked, self.plan.target
        ctx = Context(
            target.provider,
            target.profile,
            target.model,
            plan.profile.protocol,
            plan.operation,
            self.lease.credential.id,
            asked.session,
            asked.caller.id,
            None if asked.trace is None else [],
        )
        self._notes = ctx.notes
        return ctx

    def _told_request(self, trace: Recorder, outgoing: Outgoing) -> None:
        trace.add(
            "upstream_request",
            attempt=self.number,
            headers=outgoing.headers.items(),
            body=outgoing.body,
            method=outgoing.method,
            url=outgoing.url,
            bytes=len(outgoing.body or b""),
        )

    def _used(self) -> Usage | None:
        """What a stream that was not shown has cost all the same."""
        return self._stream_begun.used() if self._stream_begun is not None else None

    def _told_stream(self) -> None:
        """Of a stream that nobody got to see; any other one tells at its own end."""
        if self._tap is not None:
            self._tap.over()

    def _told_response(self, reply: Reply, body: bytes | None = None) -> None:
        if self.asked.trace is not None:
            self.asked.trace.add(
                "upstream_response",
                attempt=self.number,
                headers=reply.headers,
                body=body,
                status=reply.status,
                reconnected=reply.reconnected,
            )

    async def _answer(self, reply: Reply) -> Answer:
        try:
            if not 200 <= reply.status < 300:
                raise await self._refused(reply)
            if self.asked.envelope.streaming:
                return await self._stream(reply)
            return await self._whole(reply)
        except BaseException:
            reply.close()
            raise

    async def _refused(self, reply: Reply) -> UpstreamFailed:
        """The vendor's own error, its body capped before anything reads it; a redirect is never followed."""
        headers = names(reply.headers)
        body = await reply.read(self.limits.error_body_bytes, truncate=True)
        self._told_response(reply, body)
        if 300 <= reply.status < 400:
            message = f"upstream: HTTP {reply.status} redirect, not followed"
            error = error_of(ErrorKind.BAD_GATEWAY, message, code="redirect")
        else:
            status = reply.status if 400 <= reply.status < 600 else 502
            error = self.plan.protocol.read_error(status, headers, body)
        return UpstreamFailed(self.redactor.error(error), "answered", headers)

    async def _whole(self, reply: Reply) -> Answer:
        """An answer that is no stream commits when its body is whole and is JSON (design.md 2.3)."""
        try:
            body = await reply.read(self.limits.response_body_bytes)
        except UpstreamFailed:
            self._told_response(reply)
            raise
        reply.close()
        self._told_response(reply, body)
        parsed, meter = self._metered(reply, body)
        usage = meter.signals.usage
        if self._chain is not None:
            parsed = self._chain.response(parsed)
        if self._translation is not None:
            parsed = self._translation.response(parsed)
            usage = self._translation.estimate or usage  # the client and the log hear the same
        if self._chain is not None or self._translation is not None:
            body = written(parsed, "response", self._chain.names if self._chain is not None else "")
        self._settle(Outcome("ok", usage=usage))
        return Answer(200, self._headers(reply, "application/json"), body)

    def _metered(self, reply: Reply, body: bytes) -> tuple[Any, Meter]:
        """A whole answer and what its meter found in it.  Raises UpstreamFailed for an error or what is no JSON."""
        try:
            parsed = loads(body) if self._chain is None else self._chain.unwrapped(read(body)[0])
        except NotJson as error:
            raise _no_json(reply, body) from error
        meter = self._meter = self.plan.protocol.meter(self.asked.call)
        meter.whole(parsed)
        if meter.signals.error is not None:
            raise UpstreamFailed(self.redactor.error(meter.signals.error), "answered", names(reply.headers))
        return parsed, meter

    async def _stream(self, reply: Reply) -> Answer:
        stream = self._stream_of(reply)
        if self.asked.trace is not None:
            self._told_response(reply)
            stream.tap = self._tap = Tap(self.asked.trace, self.number, self._sent_at, self._notes)
        self._stream_begun = stream
        document = await stream.open()
        if document:
            raise await self._not_a_stream(reply, document)
        stream.commit(self._settle, self._judged)
        return Answer(200, self._headers(reply, "text/event-stream"), b"", stream)

    def _stream_of(self, reply: Reply) -> Stream:
        """The stream of the plan's lane."""
        meter = self._meter = self.plan.protocol.meter(self.asked.call)
        bounds, redact = self.plan.bounds, self.redactor.error
        chain, translation = self._chain, self._translation
        if translation is not None:
            wire = (chain, meter) if chain is not None else None
            return TranslatedStream(reply, bounds, redact, Conversion(translation), wire)
        if chain is not None:
            return NativeStream(reply, meter, bounds, redact, chain)
        return RawStream(reply, meter, bounds, redact)

    async def _not_a_stream(self, reply: Reply, begun: bytes) -> UpstreamFailed:
        """JSON where a stream was asked for: mostly an error with status 200 (protocols.md 4.11)."""
        rest = await reply.read(self.limits.response_body_bytes)
        if self._tap is not None:
            self._tap.came(rest)
        self._metered(reply, begun + rest)
        message = "upstream: a whole answer came where a stream was asked for"
        return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="not_a_stream"), "sent")

    def _headers(self, reply: Reply, expected: str) -> list[tuple[bytes, bytes]]:
        """The vendor's headers that may pass, none that holds a secret; its content type if it is the right one."""
        told = reply.header("content-type")
        kind = told if told.lower().startswith(expected) and told.isprintable() else expected
        ours = self._chain is not None or self._translation is not None
        if ours and "charset" in kind and "utf-8" not in kind.lower():
            kind = expected  # the text is our own
        pairs = [("content-type", kind), *self.plan.reply_pass.pick(reply.headers)]
        holds = self.redactor.holds
        if holds("\n".join(chain.from_iterable(pairs))):  # one search where there is nothing to find
            pairs = [(name, value) for name, value in pairs if not holds(name) and not holds(value)]
            if pairs[:1] != [("content-type", kind)]:
                pairs.insert(0, ("content-type", expected))
        return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs]

    def _judge(self, cause: UpstreamFailed) -> Verdict:
        """The provider's word on a failure; what never was an answer is marked so, it clears no rejection."""
        if isinstance(cause, Unfit):
            return _UNFIT
        if isinstance(cause, TransformFailed):
            return replace(_TRANSFORM, source="transport") if cause.unsent else _TRANSFORM
        status = cause.error.status if cause.stage == "answered" else 0
        verdict = _UNCLASSIFIED
        with contain(f"classify of provider {self.plan.target.provider}"):
            verdict = self.plan.provider.classify(cause.error, status, cause.headers)
        return verdict if cause.stage == "answered" else replace(verdict, source="transport")

    def _judged(self, cause: UpstreamFailed) -> Verdict:
        """The same of a stream that the client has seen; nothing is tried again."""
        verdict = self._judge(cause)
        if self.asked.trace is not None:
            tell_verdict(self.asked.trace, self.number, cause, verdict, "told")
        return verdict

    def _settle(self, outcome: Outcome, sent: bool = True) -> None:
        self.lease.settle(outcome)
        if self._meter is not None and self._meter.signals.states and self.plan.pair is None:
            self.home.remember(self._meter.signals.states)
        if self.asked.trace is not None and self._ledger is not None and self._ledger.losses:
            told = [loss._asdict() if self.asked.trace.bounds else {"code": loss.code} for loss in self.losses]
            self.asked.trace.add("losses", attempt=self.number, losses=told, beyond=self._ledger.beyond)
        if sent:
            self.ended(outcome, self.status)


def _no_json(reply: Reply, body: bytes) -> UpstreamFailed:
    what = f"is not JSON ({media_type(reply)})" if body.strip() else "is empty"
    return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, f"upstream: the answer {what}", code="not_json"), "sent")
