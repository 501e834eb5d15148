"""The translate lane's streams: the upstream's frames become events, the events the client's frames.

Each frame is read once. What a reader gives gets the client's tool names back, passes the neutral adapters, and is put
in order, one block after the other, for the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rotator.contracts import JsonFrame, Meter, Signals
from rotator.errors import UpstreamFailed
from rotator.exchange.answer import Bounds, Redact, Stream
from rotator.exchange.bound import Sealing
from rotator.exchange.native import unwrapped
from rotator.exchange.stages import Chain, TransformFailed
from rotator.exchange.translate import Translation
from rotator.neutral.error import ErrorKind, NeutralError, bad_event, error_of
from rotator.neutral.events import (
    ArgumentsDelta,
    BlockStart,
    End,
    Event,
    Failed,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.parts import Media, Opaque, ToolCall
from rotator.neutral.restore import Restoring
from rotator.neutral.serial import Serial
from rotator.neutral.usage import Usage, estimated
from rotator.wire.jsontext import NotJson, loads
from rotator.wire.sse import Frame, frames, pieces
from rotator.wire.transport import Reply

#: Events that are output.
_PIECES: Final = frozenset((TextDelta, ReasoningDelta, ArgumentsDelta, RefusalDelta, MediaDelta, OpaqueDelta))
#: Events of which nobody keeps anything.
_WORDS: Final = frozenset((TextDelta, ReasoningDelta))
#: Of blocks that wait for their turn, and of inputs that are told whole: more than any model writes.
HELD_CHARACTERS: Final = 32 * 1024 * 1024


class Conversion:
    """One stream's way from events to the client's bytes.  Methods raise UpstreamFailed."""

    def __init__(self, translation: Translation) -> None:
        pair, task = translation.pair, translation.task
        self.signals = Signals()
        self._translation = translation
        self._body_bytes = task.body_bytes
        self._reader_name, self._writer_name = f"read {pair.upstream_name}", f"write {pair.client_name}"
        try:
            self._reader = pair.upstream.reader(task.ledger)
        except (Exception, SystemExit) as error:
            raise TransformFailed(self._reader_name, "event", error) from error
        try:
            self._writer = pair.client.writer(task.request, task.ids, task.ledger)
        except (Exception, SystemExit) as error:
            raise TransformFailed(self._writer_name, "event", error) from error
        self._terminal, self._frame_names = pair.upstream.terminal, pair.upstream.frame_names
        self._serial = Serial()
        self._restoring = Restoring(translation.built.names) if translation.built.names else None
        self._stages, self._ends = translation.event_stages()
        self._sealing = Sealing(translation.home, translation.own)
        self._finished: list[Event] = []
        self._plain = self._restoring is None and not self._stages and not self._ends

    def frame(self, frame: Frame) -> Sequence[Event]:
        """The events in a frame of text: JSON, the protocol's terminal, or a frame that nobody need read."""
        try:
            data = loads(frame.data)
        except NotJson:
            if self._terminal and frame.data.strip() == self._terminal:
                return self.ending(terminal=True)
            if frame.event is None or frame.event in self._frame_names:
                raise UpstreamFailed(bad_event(), "answered") from None
            return ()
        return self.read(frame.event, data)

    def read(self, event: str | None, data: object) -> Sequence[Event]:
        """The events in a frame of JSON."""
        if not isinstance(data, dict):
            raise UpstreamFailed(bad_event(), "answered")
        try:
            return self._reader.read(event, data)
        except (Exception, SystemExit) as error:
            raise TransformFailed(self._reader_name, "event", error) from error

    def ending(self, *, terminal: bool = False, complete: bool = False) -> Sequence[Event]:
        """The upstream's last events: its terminal came, its connection ended, or what came must be all of it."""
        try:
            return self._reader.end(terminal, complete)
        except (Exception, SystemExit) as error:
            raise TransformFailed(self._reader_name, "event", error) from error

    def show(self, events: Sequence[Event], out: list[bytes]) -> None:
        """Add what the client gets of these events to ``out``; the signals tell what was among them.

        Nothing is written of an error: the stream's end tells it in its own frames.
        """
        signals = self.signals
        if self._plain and len(events) == 1 and type(events[0]) in _PIECES and not self._serial.waiting:
            signals.outputs += 1
            signals.visible = True
            self._write(events, out)
            return
        for event in events:
            if type(event) in _PIECES:
                signals.outputs += 1
            elif isinstance(event, UsageSeen):
                signals.usage = event.usage
            elif isinstance(event, Failed):
                signals.error = event.error
        ended = bool(events) and type(events[-1]) is End
        shown = self._through([event for event in events if type(event) is not Failed and type(event) is not End])
        self._ordered(shown, out)
        if ended:
            self._end(out)
        elif self._serial.held + (self._restoring.held if self._restoring is not None else 0) > HELD_CHARACTERS:
            message = "upstream: too much of an answer would have to be held back"
            raise UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="too_large"), "sent")

    def _through(self, events: Iterable[Event]) -> list[Event]:
        """Events as the client gets them; what is seen of them is what commits the stream."""
        if self._restoring is not None:
            events = self._restoring.events(events)
        shown = list(self._translation.adapted(self._stages, events))
        if self._ends:  # the adapters' last events stand before the finish
            self._finished += [event for event in shown if type(event) is Finished]
            shown = [event for event in shown if type(event) is not Finished]
        self._look(shown)
        return shown

    def _look(self, shown: Iterable[Event]) -> None:
        for event in shown:
            if type(event) in _PIECES or (
                isinstance(event, BlockStart) and isinstance(event.part, ToolCall | Media | Opaque)
            ):
                self.signals.visible = True
                return

    def _end(self, out: list[bytes]) -> None:
        """The end of the answer: the adapters' last events and the usage stand before it."""
        self.rest(out)
        last, self._finished = self._finished, []
        if self.signals.usage is None:
            last.append(UsageSeen(self.used()))
        self._ordered([*last, End()], out)
        self.signals.ended = True

    def rest(self, out: list[bytes]) -> None:
        """The adapters' last events, once."""
        ends, self._ends = self._ends, []
        for stage, following in ends:
            events = list(self._translation.adapted(following, self._translation.run(stage, None)))
            self._look(events)
            self._ordered(events, out)

    def _ordered(self, events: Iterable[Event], out: list[bytes]) -> None:
        """Events block after block, what is opaque in them in envelopes."""
        self._write(self._sealing.events(self._serial.order(events)), out)

    def _write(self, events: Iterable[Event], out: list[bytes]) -> None:
        write = self._writer.write
        try:
            for event in events:
                out.append(write(event))
        except UpstreamFailed:
            raise
        except (Exception, SystemExit) as error:
            raise TransformFailed(self._writer_name, "event", error) from error

    def fail(self, error: NeutralError) -> bytes:
        """The frames that end the client's stream with this error."""
        self.used()
        return self._writer.fail(error)

    def used(self) -> Usage:
        """What the stream has cost so far, estimated where the vendor has told nothing."""
        if self.signals.usage is None:
            self.signals.usage = estimated(self._body_bytes, self.signals.outputs)
        return self.signals.usage

    def complete(self, out: list[bytes]) -> None:
        """The end of a stream whose vendor never tells a finish: it just ended (``ends_without_finish``).

        What the reader and the adapters held back may be all of the answer; one that shows nothing gets no end.
        """
        events = self.ending(complete=True)
        self.show([event for event in events if type(event) is not Finished and type(event) is not End], out)
        self.rest(out)
        if self.signals.visible:
            self.show([*(event for event in events if type(event) is Finished), End()], out)

    def trailer(self) -> bytes:
        """An answer that is complete has its end: whatever ends the body is seen in its last frames."""
        return b""


class TranslatedStream(Stream):
    """A stream whose frames are read, translated and written anew; everything else is as on the raw lane."""

    __slots__ = ("_bytes", "_chain", "_conversion", "_upstream")

    def __init__(
        self,
        reply: Reply,
        bounds: Bounds,
        redact: Redact,
        conversion: Conversion,
        wire: tuple[Chain, Meter] | None,
    ) -> None:
        """``wire``: the wire stages, if any, and the upstream's meter, which tells them where the end is."""
        super().__init__(reply, conversion, bounds, redact)
        self._bytes = 0
        self._conversion = conversion
        self._chain: Chain | None = wire[0] if wire is not None else None
        self._upstream: Meter | None = wire[1] if wire is not None else None

    def used(self) -> Usage | None:
        return self._conversion.used() if self._started else None

    def _read(self, block: bytes) -> bytes:
        conversion, signals = self._conversion, self._conversion.signals
        shown: list[bytes] = []
        try:
            for events in self._events(block):
                conversion.show(events, shown)
                if signals.ended or signals.error is not None:
                    break
        except UpstreamFailed as error:
            self._cause = error  # what came before it is still the client's
        return b"".join(shown)

    def _count(self, size: int) -> None:
        """Codecs keep of calls, states and unknown things what they must know; words they only pass on."""
        self._bytes += size
        if self._bytes > self._bounds.whole_bytes:
            limit = f"{self._bounds.whole_bytes} bytes (limits.response_body_bytes)"
            message = f"upstream: the stream holds more beside its words than {limit}"
            raise UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="too_large"), "sent")

    def _events(self, block: bytes) -> Iterable[Sequence[Event]]:
        if self._chain is None or self._upstream is None:
            for frame in frames(block):
                events = self._conversion.frame(frame)
                if len(events) != 1 or type(events[0]) not in _WORDS:
                    self._count(len(frame.data))
                yield events
            return
        for piece, _, _ in pieces(block):
            yield from self._staged(piece, self._chain, self._upstream)

    def _staged(self, piece: bytes, chain: Chain, upstream: Meter) -> Iterable[Sequence[Event]]:
        """One frame through the wire stages; their last frames come before the finish, which no output follows."""
        conversion = self._conversion
        piece = unwrapped(piece, chain) if chain.wraps else piece
        upstream.feed(piece)
        if upstream.signals.error is not None:
            yield (Failed(upstream.signals.error),)
            return
        ending = upstream.signals.ended or upstream.signals.finish is not None
        for found in frames(piece):
            try:
                data = loads(found.data)
            except NotJson:
                yield from self._last_frames() if ending else ()
                yield conversion.frame(found)
                continue
            shaped = chain.event(JsonFrame(found.event, data)) if isinstance(data, dict) else []
            yield from self._last_frames() if ending else ()
            self._count(len(found.data))
            for frame in shaped:
                yield conversion.read(frame.event, frame.data)

    def _last_frames(self) -> Iterable[Sequence[Event]]:
        """The wire adapters' last frames, once."""
        for frame in self._chain.end() if self._chain is not None else ():
            yield self._conversion.read(frame.event, frame.data)

    def _rest(self) -> bytes:
        """What the adapters kept, before an error ends the stream."""
        shown: list[bytes] = []
        for events in self._last_frames():
            self._conversion.show(events, shown)
        self._conversion.rest(shown)
        return b"".join(shown)

    def _tail(self) -> bytes:
        """At the end of the body the reader has its last word: an answer that is complete gets its end.

        That is so behind half a frame, too: what was cut off came behind the finish reason.
        """
        tail, signals = super()._tail(), self._conversion.signals
        if signals.ended or signals.error is not None or self._cause is not None:
            return tail
        shown = [tail]
        try:
            self._conversion.show(self._conversion.ending(), shown)
            if self._bounds.ends_without_finish and not (signals.ended or self._cut_off):
                self._just_ended(shown)
        except UpstreamFailed as error:
            self._cause = error
        return b"".join(shown)

    def _just_ended(self, shown: list[bytes]) -> None:
        """The end of the body is the end of the answer."""
        for events in self._last_frames():
            self._conversion.show(events, shown)
        self._conversion.complete(shown)
        if self.tap is not None and self._conversion.signals.ended:
            self.tap.act("trailer")
