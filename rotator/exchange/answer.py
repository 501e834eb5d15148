"""An answer that was committed to the client: whole, or a stream that is relayed raw.

The raw relay gives out whole frames only, so that a vendor that dies in the middle of one leaves no half event in
front of our error; it mends what breaks official clients and withholds what follows the terminal (design.md 2.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rotator.contracts import Meter, Outcome, Signals, Verdict
from rotator.errors import UpstreamFailed
from rotator.exchange.tap import Tap
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.neutral.usage import Usage
from rotator.wire.jsontext import is_json
from rotator.wire.sse import EventTooLarge, FrameCutter, frames, mend
from rotator.wire.transport import BROKEN, Reply

#: Longer names of content types are not told.
MEDIA_TYPE_CHARACTERS = 60
#: How long a finished stream's connection is waited for, behind the client's back.
DRAIN_SECONDS = 1.0

Settle = Callable[[Outcome], None]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Judge = Callable[[UpstreamFailed], Verdict]
Redact = Callable[[NeutralError], NeutralError]


@dataclass(slots=True)
class Answer:
    """Status and headers, and either a whole ``body`` or a ``stream`` to be pumped and closed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: Stream | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one stream: an event, what is held back until output begins, silence without output (None: any).

    ``commit_at_first_byte`` holds nothing back. ``ends_without_finish``: its end is evidence enough after output.
    """

    event_bytes: int
    hold_back_bytes: int
    stall_seconds: float | None = None
    commit_at_first_byte: bool = False
    ends_without_finish: bool = False
    #: Of a translated stream beside its words: codecs keep of calls and states what they need to know.
    whole_bytes: int = 64 * 1024 * 1024


class Ends(Protocol):
    """What a stream needs to end well: what was seen of it, and the frames of its last words."""

    signals: Signals

    def fail(self, error: NeutralError) -> bytes:
        """The frames that end the client's stream with this error."""
        ...

    def trailer(self) -> bytes:
        """The frames that a finished stream still lacks."""
        ...


class Stream:
    """One upstream stream on its way to the client.  ``settle`` is told once how it ended.

    ``open`` reads until something visible has come: until then any failure is raised and may be tried elsewhere.
    Afterwards ``next`` never raises for the vendor's sake: the stream ends with the protocol's own error.
    """

    __slots__ = (
        "_bounds",
        "_cause",
        "_cut_off",
        "_cutter",
        "_ends",
        "_held",
        "_judge",
        "_quiet_since",
        "_redact",
        "_reply",
        "_settle",
        "_settled",
        "_stall_timer",
        "_stalled",
        "_started",
        "done",
        "note",
        "tap",
    )

    def __init__(
        self,
        reply: Reply,
        ends: Ends,
        bounds: Bounds,
        redact: Redact,
    ) -> None:
        self.done = False
        self.note = ""
        self.tap: Tap | None = None
        self._cause: UpstreamFailed | None = None
        self._cut_off = False
        self._reply = reply
        self._ends = ends
        self._redact = redact
        self._cutter = FrameCutter(event_limit_bytes=bounds.event_bytes)
        self._bounds = bounds
        self._quiet_since: float | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._stalled = False
        self._held: list[bytes] = []
        self._started = False
        self._settled = False
        self._settle: Settle = _nobody
        self._judge: Judge | None = None

    async def open(self) -> bytes:
        """Read up to the first visible output, the end, or the limit; raises UpstreamFailed before anything showed.

        b"" means that there is a stream; else the body is a JSON document and this is how it begins (what the vendor
        calls it does not matter: protocols.md 4.11, clients.md 1.4).
        """
        signals, tap = self._ends.signals, self.tap
        size, limit = 0, 0 if self._bounds.commit_at_first_byte else self._bounds.hold_back_bytes + 1
        while not (signals.visible or signals.ended) and (size < limit or not size):
            chunk = await self._reply.next()
            if tap is not None:
                tap.came(chunk)
            if not (self._started or self._cutter.pending) and chunk.lstrip()[:1] in (b"{", b"["):
                return chunk
            block = self._take(chunk) if chunk else self._tail()
            if signals.error is not None or self._cause is not None:
                raise self._told()
            if block:
                self._held.append(block)
                size += len(block)
            if not chunk:
                if not self._finished():
                    raise _truncated() if self._started else _no_stream(self._reply)
                self.done = True
                self._held.append(self._trailer())
                break
        if tap is not None:
            tap.opened()
        return b""

    def _told(self) -> UpstreamFailed:
        """The failure that was found while reading."""
        if self._cause is not None:
            self._cause.error = self._redact(self._cause.error)
            return self._cause
        assert self._ends.signals.error is not None
        return UpstreamFailed(self._redact(self._ends.signals.error), "answered")

    def _finished(self) -> bool:
        """Whether there is evidence that the answer is complete."""
        signals = self._ends.signals
        return signals.finish is not None or signals.ended or self._may_just_end()

    def _may_just_end(self) -> bool:
        return self._bounds.ends_without_finish and self._ends.signals.visible and not self._cut_off

    def commit(self, settle: Settle, judge: Judge) -> None:
        """From here on the client sees what comes; ``judge`` says what a later failure means for the key."""
        self._settle, self._judge = settle, judge
        if self.done:
            self._finish(Outcome("ok", usage=self._ends.signals.usage))

    async def next(self) -> bytes:
        """The next bytes for the client, b"" at the end.  ``done`` tells early that nothing follows."""
        if self._held:
            return self._first()
        while not self.done:
            self._wait()
            try:
                chunk = await self._reply.pull()
            except (UpstreamFailed, *BROKEN) as error:
                chunk, shown = b"", self._lost(error)
            else:
                shown = self._turn(chunk)
            if self.tap is not None:
                self.tap.turn(chunk, shown)
            if shown:
                return shown
        return b""

    async def relay(self, send: Send) -> None:
        """Everything that ``next`` would give, as ASGI messages: one loop without a coroutine for each piece."""
        if self._held:
            await send({"type": "http.response.body", "body": self._first(), "more_body": True})
        pull, tap = self._reply.pull, self.tap
        while not self.done:
            self._wait()
            try:
                chunk = await pull()
            except (UpstreamFailed, *BROKEN) as error:
                chunk, shown = b"", self._lost(error)
            else:
                shown = self._turn(chunk)
            if tap is not None:
                tap.turn(chunk, shown)
            if shown:
                await send({"type": "http.response.body", "body": shown, "more_body": True})

    def _first(self) -> bytes:
        """What was held back until the commit."""
        held = b"".join(self._held)
        self._held.clear()
        if self.tap is not None:
            self.tap.shown(held)
        if self._ends.signals.ended and not self.done:
            self._completed()
        return held

    def _wait(self) -> None:
        """The upstream is waited for from now on."""
        self._reply.waiting()
        if self._bounds.stall_seconds is not None:
            self._listen(self._bounds.stall_seconds)

    def _lost(self, error: BaseException) -> bytes:
        return self._broken(_stalled() if self._stalled else self._reply.failure(error))

    def _turn(self, chunk: bytes) -> bytes:
        """What a piece of the body (b"": its end) lets the client see; sets ``done`` where nothing follows."""
        self._reply.since = None
        signals = self._ends.signals
        outputs = signals.outputs
        try:
            block = self._take(chunk) if chunk else self._tail()
        except UpstreamFailed as error:
            return self._broken(error)
        if signals.outputs != outputs:
            self._quiet_since = None
        if signals.error is not None or self._cause is not None:
            return block + self._broken(self._told())
        if signals.ended:
            self._completed()
            return block
        return block if chunk else block + self._at_end()

    def _take(self, chunk: bytes) -> bytes:
        """The whole frames that a piece completes, mended, up to the terminal.  Raises UpstreamFailed."""
        try:
            block = self._cutter.feed(chunk)
        except EventTooLarge as error:
            failure = error_of(ErrorKind.BAD_GATEWAY, f"upstream: {error}", code="too_large")
            raise UpstreamFailed(failure, "sent") from error
        if not block:
            return b""
        if self.tap is not None:
            self.tap.event(block)
        if not block.isascii():
            mended = mend(block, not self._started)
            if self.tap is not None and mended is not block and mended != block:
                self.tap.act("mended")
            block = mended
        self._started = True
        return self._read(block)

    def _read(self, block: bytes) -> bytes:
        """What the client gets of whole, mended frames.  Raises UpstreamFailed."""
        raise NotImplementedError

    def _tail(self) -> bytes:
        """At the end of the body: a last frame whose blank line the vendor forgot counts if it is whole."""
        rest = self._cutter.rest()
        if not rest.strip():
            return b""
        whole = mend(rest.rstrip(b"\r\n") + b"\n\n", not self._started)
        signals = self._ends.signals
        shown = self._read(whole)
        data = [frame.data for frame in frames(whole)]
        if (data and all(map(is_json, data))) or signals.ended:
            if self.tap is not None:
                self.tap.event(whole)
                self.tap.act("mended")
            return shown
        signals.error = self._cause = None  # half an event says nothing: the vendor was cut off inside it
        self._cut_off = not rest.lstrip().startswith(b":")
        return b""

    def _rest(self) -> bytes:
        """What was kept for the end and stands before the frames that we add there: on this lane nothing is.

        Raises UpstreamFailed.
        """
        return b""

    def _rest_if_any(self) -> bytes:
        """The same before an error: where it fails even here, there is nothing more to give."""
        try:
            return self._rest()
        except UpstreamFailed:
            return b""

    def _at_end(self) -> bytes:
        """The body ended without the protocol's terminal: finished answers get it, others the truth."""
        if not self._finished():
            return self._broken(_truncated())
        try:
            trailer = self._trailer()
        except UpstreamFailed as error:
            return self._broken(error)
        self._completed()
        return trailer

    def _trailer(self) -> bytes:
        trailer = self._ends.trailer()
        if self.tap is not None and trailer:
            self.tap.act("trailer")
        return self._rest() + trailer

    def _completed(self) -> None:
        self.done = True
        self._finish(Outcome("ok", usage=self._ends.signals.usage))

    def _listen(self, seconds: float) -> None:
        """The upstream is waited for: from the last output on it may be silent, pings aside, for so long."""
        loop = asyncio.get_running_loop()
        if self._quiet_since is None:
            self._quiet_since = loop.time()
        if self._stall_timer is None:
            self._stall_timer = loop.call_later(seconds, self._look, seconds)

    def _look(self, seconds: float) -> None:
        """End a stream that has stalled.  Time that the client took to read does not count."""
        loop = asyncio.get_running_loop()
        waiting = self._reply.since is not None and self._quiet_since is not None
        left = self._quiet_since + seconds - loop.time() if waiting and self._quiet_since is not None else seconds
        if left <= 0:
            self._stalled = True
            self._reply.close()
        else:
            self._stall_timer = loop.call_later(left, self._look, seconds)

    def _broken(self, error: UpstreamFailed) -> bytes:
        """End the stream with the protocol's in-band error; usage of what was delivered is kept."""
        self.done = True
        self.note = error.error.code or error.error.kind
        frames = self._rest_if_any() + self._ends.fail(replace(error.error, should_retry=None))
        if self.tap is not None:
            self.tap.act(f"error {self.note}")
        verdict = self._judge(error) if self._judge else None
        self._reply.close()
        self._finish(Outcome("failed", verdict, self._ends.signals.usage))
        return frames

    def _finish(self, outcome: Outcome) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
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
        frames = self._rest_if_any() + self._ends.fail(error)
        if self.tap is not None:
            self.tap.act(f"error {self.note}")
            self.tap.shown(frames)
        self.close()
        return frames

    def close(self) -> None:
        """Drop what is still on its way; a stream that did not end was cancelled.  May be called many times."""
        self._reply.close()
        if not self._settled:
            self._finish(Outcome("cancelled", usage=self.used()))
        if self.tap is not None:
            self.tap.over()

    def used(self) -> Usage | None:
        """What was used up to here, estimated where the vendor has told nothing; None while nothing has come."""
        if self._started:
            self._ends.trailer()  # closes the account
        return self._ends.signals.usage

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'done' if self.done else 'open'}, {self._cutter.pending} bytes pending>"


class RawStream(Stream):
    """A stream whose frames are the client's as they came; the meter reads along and says where they end."""

    __slots__ = ("_meter",)

    def __init__(self, reply: Reply, meter: Meter, bounds: Bounds, redact: Redact) -> None:
        super().__init__(reply, meter, bounds, redact)
        self._meter = meter

    def _read(self, block: bytes) -> bytes:
        """As much as the meter allows."""
        allowed = self._meter.feed(block)
        taken = block if allowed == len(block) else self._withheld(block, allowed)
        if self._meter.signals.ended and taken.endswith(b"\n\r"):
            if self.tap is not None:
                self.tap.act("mended")
            return taken + b"\n"  # the terminal's CRLF was cut by the read; what comes next is withheld
        return taken

    def _withheld(self, block: bytes, allowed: int) -> bytes:
        """What follows the terminal, or an error that is told in other words, is not for the client."""
        if self.tap is not None:
            self.tap.act(f"withheld {len(block) - allowed} bytes")
        return block[:allowed]


def _nobody(outcome: Outcome) -> None:
    """Before the commit the attempt settles its lease itself."""


def _no_stream(reply: Reply) -> UpstreamFailed:
    """Not one frame came: a web page, or nothing."""
    message = f"upstream: the answer holds no events of a stream ({media_type(reply)})"
    return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="truncated"), "sent")


def media_type(reply: Reply) -> str:
    """What the vendor calls its answer.  Nothing is cut off a long name: nobody could know half a secret for one."""
    kind = reply.header("content-type").partition(";")[0].strip()
    return (kind if len(kind) <= MEDIA_TYPE_CHARACTERS else "an odd content type") if kind else "no content type"


def _stalled() -> UpstreamFailed:
    message = "upstream: the stream stalled"
    return UpstreamFailed(error_of(ErrorKind.UPSTREAM_TIMEOUT, message, code="stalled"), "sent")


def _truncated() -> UpstreamFailed:
    """No official SDK notices a stream that ends cleanly but early (faults.md 0 item 3)."""
    message = "upstream: the stream ended before the answer was complete"
    return UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="truncated"), "sent")
