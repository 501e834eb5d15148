"""The translate lane: a request of one protocol, an upstream of another, and the neutral model between them.

A plan holds a ``Pair`` of codecs; each attempt opens it into a ``Translation`` of its own. The request was parsed once;
neutral adapters see it in declared order, then it is built for the upstream. Answers are read, get the client's own
tool names back, pass the adapters in reverse, and are written for the client. What stands between ``build`` and
``read`` is the wire stage, the same as on the native lane (design.md 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from rotator.contracts import Adapter, Context, JsonFrame, Meter, Signals
from rotator.errors import UpstreamFailed
from rotator.exchange.answer import Bounds, Redact, Stream
from rotator.exchange.native import unwrapped
from rotator.exchange.stages import (
    Chain,
    Direction,
    Skipping,
    Stage,
    TransformFailed,
    Watcher,
    called,
    converted,
    implements,
    last_of,
    opened_adapters,
    unwatched,
    wrong,
)
from rotator.neutral.codec import Built, Codec, Ids
from rotator.neutral.error import ErrorKind, NeutralError, bad_event, error_of
from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
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
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Media, Opaque, ToolCall
from rotator.neutral.request import Request
from rotator.neutral.response import Finish, Response
from rotator.neutral.restore import Restoring, restored
from rotator.neutral.serial import Serial
from rotator.neutral.usage import Usage, estimated
from rotator.wire.jsontext import NotJson, loads
from rotator.wire.sse import Frame, frames, pieces
from rotator.wire.transport import Reply

#: Events that are output.
_PIECES: Final = frozenset(
    (TextDelta, ReasoningDelta, ArgumentsDelta, RefusalDelta, MediaDelta, OpaqueDelta)
)
_EVENTS: Final = frozenset(Event.__args__)
#: Of calls that wait for their turn, or for their whole input: more than any model writes.
HELD_CHARACTERS: Final = 32 * 1024 * 1024
HELD_OTHERS: Final = 100
#: What an adapter of each direction must give.
_GIVEN: Final[dict[str, type]] = {"request": Request, "response": Response}


@dataclass(frozen=True, slots=True)
class Pair:
    """The two codecs of a plan and the neutral adapters between them."""

    client: Codec
    upstream: Codec
    client_name: str
    upstream_name: str
    adapters: Sequence[Adapter]
    skipping: Skipping | None


class Task(NamedTuple):
    """What is translated: the parsed request under the upstream's model, whose ids and losses, and who watches.

    ``body_bytes`` is the size of what the client sent, for estimates.
    """

    request: Request
    ids: Ids
    ledger: Ledger
    body_bytes: int
    watcher: Watcher | None


class Translation:
    """One attempt's translation, and what ends its stream.  Methods raise TransformFailed."""

    def __init__(self, pair: Pair, task: Task, ctx: Context) -> None:
        self.signals = Signals()
        self._pair = pair
        self._task = task
        self._request = task.request
        self._watch = unwatched if task.watcher is None else task.watcher.wrapped
        self._opened = opened_adapters(pair.adapters, ctx, pair.skipping)
        self._restoring: Restoring | None = None
        self._built = Built({})

    def request(self) -> Built:
        """The request in the upstream's JSON.  Raises Unfit where it cannot be said there."""
        request, ledger, upstream = self._request, self._task.ledger, self._pair.upstream
        for stage in self._stages("request", "on_request", self._opened):
            request = self._run(stage, request)
        self._request = request
        build = self._stage(f"build {self._pair.upstream_name}", "request", lambda one: upstream.build(one, ledger))
        built: Built = converted(build, request)
        self._built = built
        return built

    def response(self, body: dict[str, Any], usage: Usage | None) -> dict[str, Any]:
        """A whole answer in the client's JSON; ``usage`` is what the meter found or estimated."""
        pair, task = self._pair, self._task
        read = self._stage(
            f"read {pair.upstream_name}", "response", lambda one: pair.upstream.parse_response(one, task.ledger)
        )
        response: Response = converted(read, body)
        if self._built.names:
            response = restored(response, self._built.names)
        if response.usage is None and usage is not None:
            response = replace(response, usage=usage)
        for stage in self._stages("response", "on_response", self._opened[::-1]):
            response = self._run(stage, response)
        write = self._stage(
            f"write {pair.client_name}",
            "response",
            lambda one: pair.client.build_response(one, self._request, task.ids, task.ledger),
        )
        written: dict[str, Any] = converted(write, response)
        return written

    def begin(self) -> None:
        """A stream comes back."""
        task, back = self._task, self._opened[::-1]
        self._reader = self._pair.upstream.reader(task.ledger)
        self._writer = self._pair.client.writer(self._request, task.ids, task.ledger)
        self._serial = Serial()
        self._restoring = Restoring(self._built.names) if self._built.names else None
        self._events = self._stages("event", "on_event", back)
        self._ends = [
            (self._stage(name, "end", last_of(one)), self._stages("event", "on_event", back[place + 1 :]))
            for place, (name, one) in enumerate(back)
            if implements(type(one), "on_end")
        ]
        self._open: dict[int, int] = {}
        self._called: set[int] = set()
        self._unfinished: dict[int, None] = {}
        self._held = 0
        self._plain = self._restoring is None and not self._events and not self._ends

    def _stage(self, name: str, direction: Direction, call: Callable[[Any], Any]) -> Stage:
        return self._watch(Stage(name, "neutral", direction, call))

    def _stages(self, direction: Direction, method: str, opened: Sequence[tuple[str, Any]]) -> list[Stage]:
        return [
            self._stage(name, direction, getattr(one, method))
            for name, one in opened
            if implements(type(one), method)
        ]

    def _run(self, stage: Stage, value: Any) -> Any:
        """An adapter's result, or what went in where failing ones are skipped: neutral data is immutable."""
        try:
            return _checked(stage, value)
        except TransformFailed as failed:
            if self._pair.skipping is None:
                raise
            self._pair.skipping.pass_by(stage.name, failed)
            if stage.direction == "event":
                return [value]
            return [] if stage.direction == "end" else value

    # ---------------------------------------------------------------- streams

    def read(self, event: str | None, data: Any) -> Sequence[Event]:
        """The events in a frame of JSON.  Raises UpstreamFailed for what is none."""
        if not isinstance(data, dict):
            raise UpstreamFailed(bad_event(), "answered")
        try:
            return self._reader.read(event, data)
        except Exception as error:
            raise TransformFailed(f"read {self._pair.upstream_name}", "event", error) from error

    def frame(self, frame: Frame) -> Sequence[Event]:
        """The events in a frame of text: JSON, the protocol's terminal, or a frame that nobody need read."""
        try:
            data = loads(frame.data)
        except NotJson:
            return self._no_json(frame)
        return self.read(frame.event, data)

    def _no_json(self, frame: Frame) -> Sequence[Event]:
        upstream = self._pair.upstream
        if upstream.terminal and frame.data.strip() == upstream.terminal:
            return self.ending(terminal=True)
        if frame.event is None or frame.event in upstream.frame_names:
            raise UpstreamFailed(bad_event(), "answered")
        return ()

    def ending(self, *, terminal: bool = False) -> Sequence[Event]:
        """The upstream's last events: its terminal came, or its connection ended."""
        return self._reader.end(terminal)

    def shown(self, events: Sequence[Event]) -> bytes:
        """What the client gets of these events; the signals tell what was among them.

        Nothing is written of an error: the stream's end tells it in its own frames.
        """
        signals = self.signals
        if self._plain and len(events) == 1 and type(events[0]) in _PIECES and not self._serial.waiting:
            signals.outputs += 1
            signals.visible = True
            return self._written(events)
        for event in events:
            self._seen(event)
        if signals.error is not None:
            events = [event for event in events if type(event) is not Failed]
        if events and type(events[-1]) is End:
            return self._last(events)
        return self._written(self._serial.order(self._through(events)))

    def _seen(self, event: Event) -> None:
        """Keep account of what comes.  Raises UpstreamFailed where more must be held back than may be."""
        signals = self.signals
        match event:
            case TextDelta() | ReasoningDelta() | ArgumentsDelta() | RefusalDelta() | MediaDelta() | OpaqueDelta():
                signals.outputs += 1
                signals.visible = True
                if self._restoring is not None or self._serial.waiting:
                    self._held += len(event.text) if isinstance(event, ArgumentsDelta | TextDelta) else HELD_OTHERS
                    if self._held > HELD_CHARACTERS:
                        message = "upstream: too much of an answer would have to be held back"
                        raise UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="too_large"), "sent")
            case BlockStart(block, part, candidate):
                self._open[block] = candidate
                self._called |= {candidate} if isinstance(part, ToolCall) else set()
                self._unfinished[candidate] = None
                signals.visible |= isinstance(part, ToolCall | Media | Opaque)
            case BlockEnd(block):
                self._open.pop(block, None)
            case Finished(_, candidate):
                self._unfinished.pop(candidate, None)
            case UsageSeen(usage):
                signals.usage = usage
            case Failed(error):
                signals.error = error

    def _through(self, events: Iterable[Event]) -> Iterable[Event]:
        if self._restoring is not None:
            events = self._restoring.events(events)
        return self._adapted(self._events, events)

    def _adapted(self, stages: Iterable[Stage], events: Iterable[Event]) -> Iterable[Event]:
        for stage in stages:
            events = [shown for event in events for shown in self._run(stage, event)]
        return events

    def _last(self, events: Sequence[Event]) -> bytes:
        """The end of the answer: the adapters' last events and the usage stand before it."""
        signals = self.signals
        shown = list(self._through(events[:-1]))
        for stage, following in self._ends:
            shown += self._adapted(following, self._run(stage, None))
        if signals.usage is None:
            shown.append(UsageSeen(self.used()))
        signals.ended = True
        signals.finish = "finished"
        return self._written(self._serial.order([*shown, End()]))

    def _written(self, events: Iterable[Event]) -> bytes:
        write = self._writer.write
        try:
            return b"".join([write(event) for event in events])
        except Exception as error:
            raise TransformFailed(f"write {self._pair.client_name}", "event", error) from error

    def fail(self, error: NeutralError) -> bytes:
        """The frames that end the client's stream with this error."""
        self.used()
        return self._writer.fail(error)

    def used(self) -> Usage:
        """What the stream has cost so far, estimated where the vendor has told nothing."""
        if self.signals.usage is None:
            self.signals.usage = estimated(self._task.body_bytes, self.signals.outputs)
        return self.signals.usage

    def trailer(self) -> bytes:
        """What a stream lacks whose vendor never tells a finish: it just ended (``ends_without_finish``)."""
        if self.signals.ended:
            return b""
        ends: list[Event] = [BlockEnd(block) for block in self._open]
        for candidate in self._unfinished:
            ends.append(Finished(Finish("tool_calls" if candidate in self._called else "stop"), candidate))
        return self.shown([*ends, End()])


class TranslatedStream(Stream):
    """A stream whose frames are read, translated and written anew; everything else is as on the raw lane."""

    __slots__ = ("_chain", "_translation", "_upstream")

    def __init__(
        self,
        reply: Reply,
        bounds: Bounds,
        redact: Redact,
        translation: Translation,
        wire: tuple[Chain, Meter] | None,
    ) -> None:
        """``wire``: the wire stages, if any, and the upstream's meter, which tells them where the end is."""
        super().__init__(reply, translation, bounds, redact)
        self._translation = translation
        self._chain: Chain | None = wire[0] if wire is not None else None
        self._upstream: Meter | None = wire[1] if wire is not None else None

    def used(self) -> Usage | None:
        return self._translation.used() if self._started else None

    def _read(self, block: bytes) -> bytes:
        translation, signals = self._translation, self._translation.signals
        shown: list[bytes] = []
        try:
            for events in self._events(block):
                shown.append(translation.shown(events))
                if signals.ended or signals.error is not None:
                    break
        except UpstreamFailed as error:
            self._cause = error  # what came before it is still the client's
        return b"".join(shown)

    def _events(self, block: bytes) -> Iterable[Sequence[Event]]:
        translation = self._translation
        if self._chain is None or self._upstream is None:
            for frame in frames(block):
                yield translation.frame(frame)
            return
        for piece, _, _ in pieces(block):
            yield from self._staged(piece, self._chain, self._upstream)

    def _staged(self, piece: bytes, chain: Chain, upstream: Meter) -> Iterable[Sequence[Event]]:
        """One frame through the wire stages; their last frames come before the finish, which no output follows."""
        translation = self._translation
        piece = unwrapped(piece, chain) if chain.wraps else piece
        upstream.feed(piece)
        if upstream.signals.error is not None:
            yield (Failed(upstream.signals.error),)
            return
        if upstream.signals.ended or upstream.signals.finish is not None:
            for frame in chain.end():
                yield translation.read(frame.event, frame.data)
        for found in frames(piece):
            try:
                data = loads(found.data)
            except NotJson:
                yield translation.frame(found)
                continue
            for frame in chain.event(JsonFrame(found.event, data)) if isinstance(data, dict) else ():
                yield translation.read(frame.event, frame.data)

    def _tail(self) -> bytes:
        """At the end of the body the reader has its last word: an answer that is complete gets its end.

        That is so behind half a frame, too: what was cut off came behind the finish reason.
        """
        tail, signals = super()._tail(), self._translation.signals
        if signals.ended or signals.error is not None or self._cause is not None:
            return tail
        try:
            if self._chain is not None:
                for frame in self._chain.end():
                    tail += self._translation.shown(self._translation.read(frame.event, frame.data))
            return tail + self._translation.shown(self._translation.ending())
        except UpstreamFailed as error:
            self._cause = error
            return tail


def _checked(stage: Stage, value: Any) -> Any:
    """A neutral adapter's result: a request, an answer, or a list of events."""
    result = called(stage, value)
    wanted = _GIVEN.get(stage.direction)
    if wanted is not None:
        if not isinstance(result, wanted):
            raise wrong(stage, f"a neutral {wanted.__name__.lower()}", result)
    elif not isinstance(result, list) or not all(type(one) in _EVENTS for one in result):
        raise wrong(stage, "events", result)
    return result
