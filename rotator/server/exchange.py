"""The endpoint of one protocol operation: raw ASGI, one task per request, cancelled when the client leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from rotator.contracts import Call, Caller, Meter, ProtocolAdapter, Route
from rotator.errors import Refused
from rotator.exchange.answer import Answer
from rotator.exchange.record import RequestRecord
from rotator.exchange.trip import Trip
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.server.admit import header_map
from rotator.server.bodies import parse_object, read_body
from rotator.server.core import Core
from rotator.server.guard import stopped_reading
from rotator.server.hangup import EXTENSION, ClientGone, Connection, HangupWatch, Receive, connection_of
from rotator.server.heartbeat import BEAT, with_heartbeats
from rotator.server.replies import PRIVATE, STREAMED, Send, send_body, send_error, told
from rotator.server.tracing import tell_answer, tell_end, tell_request

log = logging.getLogger(__name__)

#: What the log says of a request whose client left; nobody reads the status (nginx's word for it).
GONE: Final = 499
#: With ``1``: the answer tells which key served, and why none of the others did.
EXPLAIN_HEADER: Final = "x-rotator-explain"
#: Of a name that a client chose, in a log line.
SHOWN_CHARACTERS: Final = 120
#: After these the rest of a body must not be taken for the next request.
_CLOSING: Final = (400, 408, 413, 415)


class Exchange:
    """Serves one route of one protocol."""

    def __init__(self, core: Core, protocol: ProtocolAdapter, route: Route) -> None:
        self.core = core
        self.protocol = protocol
        self.route = route

    def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        return Running(self, self.core.new_record(scope), scope, send).run(receive)


class Running:
    """One request on its way.  The core ends it through ``end`` when the process is asked to stop."""

    def __init__(self, exchange: Exchange, record: RequestRecord, scope: Mapping[str, Any], send: Send) -> None:
        self.core = exchange.core
        self.protocol = exchange.protocol
        self.route = exchange.route
        self.record = record
        self.scope = scope
        self.send = send
        self.world = exchange.core.world
        self.answer: Answer | None = None
        self.slot: str | None = None
        self.started = False
        self.shown = False
        self.beats: float | None = None
        self.meter: Meter | None = None
        self.ending: NeutralError | None = None
        self.task: asyncio.Task[Any] | None = None

    async def run(self, receive: Receive) -> None:
        """Answer, whatever happens; afterwards the lease is settled and the upstream closed."""
        self.task = asyncio.current_task()
        self.core.enter(self)
        try:
            await self._serve(receive)
        except Refused as refused:
            await self._refuse(refused.error)
        except ClientGone:
            self._gone()
        except asyncio.CancelledError:
            if self.ending is None or self.task is None:
                self._gone()
                raise
            self.task.uncancel()
            await self._last_words(self.ending)
        except Exception:
            log.exception("request %s failed inside the proxy", self.record.request_id)
            await self._refuse(error_of(ErrorKind.SERVER, "the proxy failed on this request", code="internal_error"))
        finally:
            self.core.leave(self)
            if self.slot is not None:
                self.core.slots.free(self.slot)
            took_ms = self.core.finished(self.record)
            stream = self.answer.stream if self.answer is not None else None
            if stream is not None:
                if self.shown:
                    await stream.drain()
                stream.close()
            if self.record.trace is not None:
                tell_end(self.record.trace, self.record, took_ms)
            if self.core.leaving:
                await self.core.close_leaving()

    async def _serve(self, receive: Receive) -> None:
        headers = header_map(self.scope["headers"])
        query = self.scope["query_string"].decode("latin-1")
        caller = self.core.admit(self.scope, headers, query)
        self.record.client = caller.label
        self.record.explains = headers.get(EXPLAIN_HEADER) in ("1", "true")
        self.record.trace = self.core.tracing.recorder(self.record.request_id, self.world)
        route, body = self.route, b""
        try:
            connection = self._slot(caller)
            limit, seconds = self.world.limits.request_body_bytes, self.world.timeouts.body_seconds
            body = await read_body(receive, headers, limit, None if connection.whole else seconds)
            call = Call(self.protocol.name, route.operation, route.path, query, headers, body, parse_object(body))
            envelope = self.protocol.peek(call)
            self.record.model = envelope.model[:SHOWN_CHARACTERS]
        finally:
            if self.record.trace is not None:
                tell_request(self.record.trace, self.record, route, headers, body)
        with HangupWatch(connection) as watch:
            opening = Trip(self.core.means, self.world, call, caller, self.record).open(self.protocol, envelope)
            self.beats = self.world.timeouts.stream_heartbeat_seconds if envelope.streaming else None
            if self.beats is None:
                self.answer = await opening
            else:
                self.meter = self.protocol.meter(call)
                self.answer = await with_heartbeats(opening, self.beats, self._beat)
            await self._show(self.answer, watch)
        if stopped_reading(connection):
            self._gone("client stopped reading")
        elif watch.gone:
            self._gone()

    def _slot(self, caller: Caller) -> Connection:
        """Take a slot of those for requests under way.  Raises Refused or ClientGone."""
        if self.core.stopping:
            raise Refused(error_of(ErrorKind.OVERLOADED, "the proxy is shutting down", code="shutting_down"))
        self.core.slots.take(caller.id, self.world.limits)
        self.slot = caller.id
        return connection_of(self.scope)

    async def _show(self, answer: Answer, watch: HangupWatch) -> None:
        """Send the answer; ``shown`` tells that a stream is out and its upstream may end behind the client's back."""
        self.record.status = answer.status
        stream, begun = answer.stream, self.started
        self.started = True
        if stream is None:
            headers = [*answer.headers, *PRIVATE, *told(self.record)]
            await send_body(self.send, answer.status, headers, answer.body)
            watch.stop()
            if self.record.trace is not None:
                tell_answer(self.record.trace, answer.status, headers, answer.body)
            return
        send, beats = self.send, self.beats
        if not begun:
            headers = [*answer.headers, *STREAMED, *told(self.record)]
            if self.record.trace is not None:
                tell_answer(self.record.trace, answer.status, headers)
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if beats is None:
            await stream.relay(send)
        else:
            while chunk := await with_heartbeats(stream.next(), beats, self._beat):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        watch.stop()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.record.note = stream.note
        self.shown = True

    async def _beat(self) -> None:
        """A blank line; the first one before an answer fixes status and headers (design.md 2.3, Ends)."""
        if not self.started:
            self.started = True
            self.record.status = 200
            headers = [(b"content-type", b"text/event-stream"), *STREAMED, *told(self.record)[:2]]
            if self.record.trace is not None:
                tell_answer(self.record.trace, 200, headers)
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": BEAT, "more_body": True})

    async def _refuse(self, error: NeutralError) -> None:
        error = self.world.redactor.error(error)
        self.record.note = error.code or str(error.kind)
        if self.started:
            if self.answer is None and self.meter is not None:  # only heartbeats are out
                ending = self.meter.fail(error)
                if self.record.trace is not None:
                    self.record.trace.add("client_stream", body=ending, bytes=len(ending), acts=["error in-band"])
                await self.send({"type": "http.response.body", "body": ending, "more_body": False})
            elif self.answer is not None and self.answer.stream is not None and not self.answer.stream.done:
                ending = self.answer.stream.fail(error)
                await self.send({"type": "http.response.body", "body": ending, "more_body": False})
            return  # else only breaking off is honest, and the server does so
        extra = [(b"connection", b"close")] if self._closes_after(error) else None
        await send_error(self.send, self.protocol, error, self.record, extra)

    def _closes_after(self, error: NeutralError) -> bool:
        """Whether the connection ends with this refusal: what follows on it may be a body that nobody reads."""
        if error.protocol is not None:
            return False
        connection = self.scope["extensions"].get(EXTENSION)
        unread = self.slot is None and connection is not None and not connection.whole
        return error.status in _CLOSING or (unread and error.kind is ErrorKind.OVERLOADED)

    async def _last_words(self, error: NeutralError) -> None:
        """The process ends: an open stream gets its protocol's in-band error, what has not begun a refusal."""
        stream = self.answer.stream if self.answer else None
        if self.shown:
            return
        if stream is None or not self.started:
            if not self.record.status or self.answer is None:
                await self._refuse(error)
            return
        self.record.note = error.code or str(error.kind)
        if not stream.done:
            await self.send({"type": "http.response.body", "body": stream.fail(error), "more_body": False})

    def _gone(self, note: str = "client gone") -> None:
        self.record.status = self.record.status or GONE
        self.record.note = note

    def end(self, error: NeutralError) -> None:
        """Stop this request with an error for its client."""
        if self.ending is None and self.task is not None:
            self.ending = error
            self.task.cancel()
