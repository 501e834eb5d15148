"""One attempt: one lease, one request upstream, judged before anything is shown to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rotator.config.schema import Limits
from rotator.contracts import Call, Envelope, Meter, Outcome, Verdict
from rotator.credentials.pool import Lease
from rotator.errors import UpstreamFailed
from rotator.exchange.answer import Answer, Bounds, RawStream
from rotator.exchange.plan import Plan, names
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.redact import Redactor
from rotator.wire.deadline import Deadline
from rotator.wire.jsontext import NotJson, loads
from rotator.wire.transport import Reply, Transport, failed


class AttemptFailed(Exception):
    """The attempt showed nothing; ``verdict`` is what its provider made of ``cause``.  The lease is settled."""

    def __init__(self, cause: UpstreamFailed, verdict: Verdict) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.verdict = verdict

    def told(self) -> UpstreamFailed:
        """The failure as the client gets it: with the time at which the vendor wants to be asked again."""
        error = replace(self.cause.error, retry_after_seconds=self.verdict.retry_after_seconds)
        return UpstreamFailed(error, self.cause.stage, self.cause.headers)


@dataclass(slots=True)
class Attempt:
    """``ended`` is told how it ended, once, whatever happens: also long after ``open``, when a stream is over."""

    plan: Plan
    call: Call
    envelope: Envelope
    lease: Lease
    limits: Limits
    redactor: Redactor
    ended: Callable[[Outcome, int], None]
    stall_seconds: float | None = None
    status: int = 0

    async def open(self, transport: Transport, seconds: float) -> Answer:
        """Send, and wait until there is something to show, at most so long.

        Silence before the answer's head is limited here, silence inside the body by the reply itself.
        Raises AttemptFailed; settles on cancellation too.
        """
        silence = transport.settings.connect_seconds + transport.idle_seconds(self.envelope.streaming)
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
            self._settle(Outcome("cancelled"))
            raise

    def _over(self, cause: UpstreamFailed) -> AttemptFailed:
        if cause.stage != "answered":  # the transport does not know whose connection it was
            message = cause.error.message.replace("upstream:", f"{self.plan.target.provider}:", 1)
            cause = UpstreamFailed(replace(cause.error, message=message), cause.stage, cause.headers)
        verdict = self._judge(cause)
        self._settle(Outcome("failed", verdict))
        return AttemptFailed(cause, verdict)

    async def _send(self, transport: Transport) -> Reply:
        reply = await transport.send(self.plan.outgoing(self.call, self.lease.credential, self.envelope.streaming))
        self.status = reply.status
        return reply

    async def _answer(self, reply: Reply) -> Answer:
        try:
            if not 200 <= reply.status < 300:
                raise await self._refused(reply)
            if self.envelope.streaming:
                return await self._stream(reply)
            return await self._whole(reply)
        except BaseException:
            reply.close()
            raise

    async def _refused(self, reply: Reply) -> UpstreamFailed:
        """The vendor's own error, its body capped before anything reads it; a redirect is never followed."""
        headers = names(reply.headers)
        body = await reply.read(self.limits.error_body_bytes, truncate=True)
        if 300 <= reply.status < 400:
            message = f"upstream: HTTP {reply.status} redirect, not followed"
            error = error_of(ErrorKind.BAD_GATEWAY, message, code="redirect")
        else:
            status = reply.status if 400 <= reply.status < 600 else 502
            error = self.plan.protocol.read_error(status, headers, body)
        return UpstreamFailed(self.redactor.error(error), "answered", headers)

    async def _whole(self, reply: Reply) -> Answer:
        """An answer that is no stream commits when its body is whole and is JSON (design.md 2.3)."""
        body = await reply.read(self.limits.response_body_bytes)
        reply.close()
        try:
            parsed: Any = loads(body)
        except NotJson as error:
            raise _no_json(reply, body) from error
        meter: Meter = self.plan.protocol.meter(self.call)
        meter.whole(parsed)
        if meter.signals.error is not None:
            raise UpstreamFailed(self.redactor.error(meter.signals.error), "answered", names(reply.headers))
        self._settle(Outcome("ok", usage=meter.signals.usage))
        return Answer(200, self._headers(reply, "application/json"), body)

    async def _stream(self, reply: Reply) -> Answer:
        bounds = Bounds(self.limits.event_bytes, self.limits.hold_back_bytes, self.stall_seconds)
        stream = RawStream(reply, self.plan.protocol.meter(self.call), bounds, self.redactor.error)
        document = await stream.open()
        if document:
            raise await self._not_a_stream(reply, document)
        stream.commit(self._settle, self._judge)
        return Answer(200, self._headers(reply, "text/event-stream"), b"", stream)

    async def _not_a_stream(self, reply: Reply, begun: bytes) -> UpstreamFailed:
        """JSON where a stream was asked for: mostly an error with status 200 (protocols.md 4.11)."""
        body = begun + await reply.read(self.limits.response_body_bytes)
        meter = self.plan.protocol.meter(self.call)
        try:
            meter.whole(loads(body))
        except NotJson as error:
            raise _no_json(reply, body) from error
        if meter.signals.error is not None:
            return UpstreamFailed(self.redactor.error(meter.signals.error), "answered", names(reply.headers))
        message = "upstream: a whole answer came where a stream was asked for"
        return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="not_a_stream"), "sent")

    def _headers(self, reply: Reply, expected: str) -> list[tuple[bytes, bytes]]:
        """The vendor's headers that may pass, none that holds a secret; its content type if it is the right one."""
        told = reply.header("content-type")
        kind = told if told.lower().startswith(expected) and told.isprintable() else expected
        passed = self.plan.reply_pass.pick(reply.headers)
        headers = [(b"content-type", kind.encode("latin-1", "replace"))]
        for name, value in passed:
            if not self.redactor.holds(value):
                headers.append((name.encode("latin-1", "replace"), value.encode("latin-1", "replace")))
        return headers

    def _judge(self, cause: UpstreamFailed) -> Verdict:
        """The provider's word on a failure; what never was an answer is marked so, it clears no rejection."""
        status = cause.error.status if cause.stage == "answered" else 0
        verdict = self.plan.provider.classify(cause.error, status, cause.headers)
        return verdict if cause.stage == "answered" else replace(verdict, source="transport")

    def _settle(self, outcome: Outcome) -> None:
        self.lease.settle(outcome)
        self.ended(outcome, self.status)


def _no_json(reply: Reply, body: bytes) -> UpstreamFailed:
    kind = reply.header("content-type")[:60] or "no content type"
    message = f"upstream: the answer is not JSON ({kind})" if body.strip() else "upstream: the answer is empty"
    return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="not_json"), "sent")
