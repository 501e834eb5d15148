"""An answer that was committed to the client: whole, or a stream that is relayed raw.

The raw relay gives out whole frames only, so that a vendor that dies in the middle of one leaves no half event in
front of our error; it mends what breaks official clients and withholds what follows the terminal (design.md 2.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rotator.contracts import Meter, Outcome, Verdict
from rotator.errors import UpstreamFailed
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.wire.sse import EventTooLarge, FrameCutter, mend
from rotator.wire.transport import BROKEN, Reply

#: How long a finished stream's connection is waited for, behind the client's back.
DRAIN_SECONDS = 1.0

Settle = Callable[[Outcome], None]
Judge = Callable[[UpstreamFailed], Verdict]


@dataclass(slots=True)
class Answer:
    """Status and headers, and either a whole ``body`` or a ``stream`` to be pumped and closed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: RawStream | None = None


class RawStream:
    """One upstream stream on its way to the client.  ``settle`` is told once how it ended.

    ``open`` reads until something visible has come: until then any failure is raised and may be tried elsewhere.
    Afterwards ``next`` never raises for the vendor's sake: the stream ends with the protocol's own error.
    """

    __slots__ = (
        "_cutter",
        "_held",
        "_judge",
        "_meter",
        "_redact",
        "_reply",
        "_settle",
        "_settled",
        "_started",
        "done",
        "note",
    )

    def __init__(
        self,
        reply: Reply,
        meter: Meter,
        event_limit_bytes: int,
        redact: Callable[[NeutralError], NeutralError],
    ) -> None:
        self.done = False
        self.note = ""
        self._reply = reply
        self._meter = meter
        self._redact = redact
        self._cutter = FrameCutter(event_limit_bytes=event_limit_bytes)
        self._held: list[bytes] = []
        self._started = False
        self._settled = False
        self._settle: Settle = _nobody
        self._judge: Judge | None = None

    async def open(self, hold_back_bytes: int) -> None:
        """Read up to the first visible output, the end, or the limit; raises UpstreamFailed before anything showed."""
        signals = self._meter.signals
        size = 0
        while not (signals.visible or signals.ended) and size <= hold_back_bytes:
            chunk = await self._reply.next()
            block = self._take(chunk) if chunk else self._tail()
            if signals.error is not None:
                raise UpstreamFailed(self._redact(signals.error), "answered")
            if block:
                self._held.append(block)
                size += len(block)
            if not chunk:
                if signals.finish is None and not signals.ended:
                    raise _truncated()
                self.done = True
                self._held.append(self._meter.trailer())
                return

    def commit(self, settle: Settle, judge: Judge) -> None:
        """From here on the client sees what comes; ``judge`` says what a later failure means for the key."""
        self._settle, self._judge = settle, judge
        if self.done:
            self._finish(Outcome("ok", usage=self._meter.signals.usage))

    async def next(self) -> bytes:
        """The next bytes for the client, b"" at the end.  ``done`` tells early that nothing follows."""
        if self._held:
            held = b"".join(self._held)
            self._held.clear()
            if self._meter.signals.ended and not self.done:
                self._completed()
            return held
        reply, signals = self._reply, self._meter.signals
        while not self.done:
            reply.waiting()
            try:
                chunk = await reply.pull()
                reply.since = None
                block = self._take(chunk) if chunk else self._tail()
            except (UpstreamFailed, EventTooLarge) as error:
                return self._broken(error)
            except BROKEN as error:
                return self._broken(reply.failure(error))
            if signals.error is not None:
                return block + self._broken(UpstreamFailed(self._redact(signals.error), "answered"))
            if signals.ended:
                self._completed()
                return block
            if not chunk:
                return block + self._at_end()
            if block:
                return block
        return b""

    def _take(self, chunk: bytes) -> bytes:
        """The whole frames that a piece completes, mended, up to the terminal."""
        block = self._cutter.feed(chunk)
        if not block:
            return b""
        if not block.isascii():
            block = mend(block, not self._started)
        self._started = True
        allowed = self._meter.feed(block)
        return block if allowed == len(block) else block[:allowed]

    def _tail(self) -> bytes:
        """At the end of the body: a last frame whose blank line the vendor forgot counts if the meter can read it."""
        rest = self._cutter.rest()
        if not rest.strip():
            return b""
        whole = mend(rest.rstrip(b"\r\n") + b"\n\n", not self._started)
        signals = self._meter.signals
        before = (signals.finish, signals.ended, signals.error)
        allowed = self._meter.feed(whole)
        understood = (signals.finish, signals.ended, signals.error) != before
        return whole[:allowed] if understood else b""

    def _at_end(self) -> bytes:
        """The body ended without the protocol's terminal: finished answers get it, others the truth."""
        if self._meter.signals.finish is None:
            return self._broken(_truncated())
        trailer = self._meter.trailer()
        self._completed()
        return trailer

    def _completed(self) -> None:
        self.done = True
        self._finish(Outcome("ok", usage=self._meter.signals.usage))

    def _broken(self, error: UpstreamFailed | EventTooLarge) -> bytes:
        """End the stream with the protocol's in-band error; usage of what was delivered is kept."""
        self.done = True
        if isinstance(error, EventTooLarge):
            error = UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, f"upstream: {error}", code="too_large"), "sent")
        self.note = error.error.code or error.error.kind
        frames = self._meter.fail(replace(error.error, should_retry=None))
        verdict = self._judge(error) if self._judge else None
        self._reply.close()
        self._finish(Outcome("failed", verdict, self._meter.signals.usage))
        return frames

    def _finish(self, outcome: Outcome) -> None:
        if not self._settled:
            self._settled = True
            self._settle(outcome)

    async def drain(self) -> None:
        """After the client has everything: let a finished upstream end its body, so that its connection lives on."""
        if not self._reply.at_end:
            await self._reply.drain(DRAIN_SECONDS)

    def fail(self, error: NeutralError) -> bytes:
        """End the stream from our side (shutdown) with the protocol's in-band error; nobody's fault."""
        self.done = True
        self.note = error.code or error.kind
        frames = self._meter.fail(error)
        self.close()
        return frames

    def close(self) -> None:
        """Drop what is still on its way; a stream that did not end was cancelled.  May be called many times."""
        self._reply.close()
        self._finish(Outcome("cancelled", usage=self._meter.signals.usage))

    def __repr__(self) -> str:
        return f"<RawStream {'done' if self.done else 'open'}, {self._cutter.pending} bytes pending>"


def _nobody(outcome: Outcome) -> None:
    """Before the commit the attempt settles its lease itself."""


def _truncated() -> UpstreamFailed:
    """No official SDK notices a stream that ends cleanly but early (faults.md 0 item 3)."""
    message = "upstream: the stream ended before the answer was complete"
    return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="truncated"), "sent")
