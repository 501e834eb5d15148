"""The wire stages: what an attempt's JSON passes on its way out and back (design.md 2 and 3, Stage).

A plan holds a ``Wiring``; each attempt opens it into a ``Chain`` of its own. Requests pass the adapters in declared
order and the provider's ``finalise`` last; answers pass ``unwrap`` first, the adapters in reverse, and get the client's
own name for the model last (engine.md 4.7, 7.1).
"""

from __future__ import annotations

import copy
import logging
import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

from rotator.contracts import Adapter, Context, Credential, JsonFrame, ProtocolAdapter, Provider, WireRequest
from rotator.errors import Refused, UpstreamFailed
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.upstream.adapter import NeutralAdapter, WireAdapter
from rotator.wire.jsontext import dumps

#: unwrap: an event's JSON on its way to the meter.
Direction = Literal["request", "response", "event", "end", "unwrap"]
log = logging.getLogger(__name__)

#: Of an exception's text in the error that the client gets.
SHOWN_CHARACTERS: Final = 200


class TransformFailed(UpstreamFailed):
    """A stage raised: no key and no vendor is to blame, another target may do without it.

    ``unsent``: it happened before anything was sent.
    """

    def __init__(self, stage: str, direction: Direction, cause: BaseException) -> None:
        where = "response" if direction == "unwrap" else direction
        message = f"{stage} failed on the {where} ({_said(cause)})"
        super().__init__(error_of(ErrorKind.SERVER, message, code="transform_failed", should_retry=False), "sent")
        self.unsent = direction == "request"


class Unfit(UpstreamFailed):
    """The target cannot say what the client asks for; nothing was sent.  Another target may."""

    def __init__(self, error: NeutralError) -> None:
        super().__init__(error, "connect")


def _said(cause: BaseException) -> str:
    """An exception in words, even one that has none, and the line that raised it.

    The cut is between words: nobody could know half a secret for one.
    """
    try:
        said = f"{type(cause).__name__}: {cause}"
        if len(said) > SHOWN_CHARACTERS:
            said = said[:SHOWN_CHARACTERS].rpartition(" ")[0]
    except Exception:
        said = type(cause).__name__
    frames = traceback.extract_tb(cause.__traceback__, limit=-1)
    return f"{said}; {Path(frames[0].filename).name} line {frames[0].lineno}" if frames else said


class Stage(NamedTuple):
    """One step.  ``call`` takes and gives a JSON object; in direction event a frame and frames."""

    name: str
    form: Literal["wire", "neutral"]
    direction: Direction
    call: Callable[[Any], Any]


class Watcher(Protocol):
    """What the trace wants to know of each step."""

    def wrapped(self, stage: Stage) -> Stage:
        """The stage, telling what it did; the same one if nobody asks."""
        ...


def implements(kind: type, method: str) -> bool:
    """Whether an adapter's class has a method of its own: what is inherited from the base changes nothing."""
    own = getattr(kind, method, None)
    return own is not None and own not in (getattr(WireAdapter, method), getattr(NeutralAdapter, method))


@dataclass(frozen=True, slots=True)
class Wiring:
    """The stages of one plan, composed once.  ``ask_usage``: streams tell it only when asked.

    ``names``: the adapters in words, for what cannot be laid at one's door; "" where all JSON is the vendor's own.
    ``told``: the stages of providers of which the log has said that they fail and are passed by.
    """

    provider: Provider
    protocol: ProtocolAdapter
    adapters: Sequence[Adapter]
    ask_usage: bool
    skip_failing: bool
    names: str
    told: set[tuple[str, str]]

    def open(self, ctx: Context, credential: Credential, public_model: str, watcher: Watcher | None) -> Chain:
        """The stages of one attempt.  Raises TransformFailed."""
        opened = opened_adapters(self.adapters, ctx, self.skipping())
        return Chain(self, opened, ctx, credential, public_model, watcher)

    def skipping(self) -> Skipping | None:
        """Who is told of stages that fail and are passed by; None where they fail their attempt."""
        return Skipping(self.provider.name, self.told) if self.skip_failing else None


class Skipping(NamedTuple):
    """Stages of a provider that fail are passed by; ``told`` holds those of which the log has said so."""

    provider: str
    told: set[tuple[str, str]]

    def pass_by(self, stage: str, failed: TransformFailed) -> None:
        """Say it once, as the operator wants it."""
        place = (self.provider, stage)
        if place not in self.told:
            self.told.add(place)
            log.warning("provider %s, on_error: skip: %s", self.provider, failed)


def stages_of(
    make: Callable[[str, Direction, Callable[[Any], Any]], Stage],
    direction: Direction,
    method: str,
    opened: Sequence[tuple[str, Any]],
) -> list[Stage]:
    """The steps of the adapters that have a method of their own, in this order."""
    return [make(name, direction, getattr(one, method)) for name, one in opened if implements(type(one), method)]


def opened_adapters(
    adapters: Iterable[Adapter], ctx: Context, skipping: Skipping | None
) -> list[tuple[str, Any]]:
    """The adapters' objects for one attempt, under their names as stages.  Raises TransformFailed."""
    opened: list[tuple[str, Any]] = []
    for adapter in adapters:
        name = f"adapter {adapter.name}"
        try:
            opened.append((name, adapter.open(ctx)))
        except (Exception, SystemExit) as error:
            failed = TransformFailed(name, "request", error)
            if skipping is None:
                raise failed from error
            skipping.pass_by(name, failed)
    return opened


class Chain:
    """One attempt's stages.  Every method raises TransformFailed."""

    def __init__(
        self,
        wiring: Wiring,
        opened: Sequence[tuple[str, Any]],
        ctx: Context,
        credential: Credential,
        public_model: str,
        watcher: Watcher | None,
    ) -> None:
        self._wiring = wiring
        self._skipping = wiring.skipping()
        self._usage_added = False
        self._public_model = public_model
        self._watch = unwatched if watcher is None else watcher.wrapped
        self._request = self._stages("request", "on_request", opened)
        provider = wiring.provider
        self.wraps = provider.wraps
        self.names = wiring.names
        self._finalise = self._stage("provider", "request", lambda request: provider.finalise(request, credential))
        self._unwrap = self._stage("provider", "response", provider.unwrap)
        self._unwrap_event = self._stage("provider", "unwrap", provider.unwrap)
        back = list(reversed(opened))
        # Counting tokens asks with the same body; its answer is none of the conversation's.
        self._response = self._stages("response", "on_response", back if ctx.operation == "generate" else ())
        self._event = self._stages("event", "on_event", back)
        # An adapter's last frames pass those behind it.
        self._end = [
            (self._stage(name, "end", last_of(one)), self._stages("event", "on_event", back[place + 1 :]))
            for place, (name, one) in enumerate(back)
            if implements(type(one), "on_end")
        ]

    def _stage(self, name: str, direction: Direction, call: Callable[[Any], Any]) -> Stage:
        return self._watch(Stage(name, "wire", direction, call))

    def _stages(self, direction: Direction, method: str, opened: Sequence[tuple[str, Any]]) -> list[Stage]:
        return stages_of(self._stage, direction, method, opened)

    def request(self, body: dict[str, Any], streaming: bool) -> WireRequest:
        """The request as it goes to the upstream; ``body`` is the attempt's own and names the upstream's model."""
        if self._wiring.ask_usage and streaming:
            self._usage_added = self._wiring.protocol.ask_usage(body)
        for stage in self._request:
            body = self._run(stage, body)
        request = WireRequest(body, {})
        if not self.wraps:
            return request
        finalised = called(self._finalise, request)
        if not isinstance(finalised, WireRequest) or not isinstance(finalised.body, dict):
            raise wrong(self._finalise, "a WireRequest with a JSON object", finalised)
        for text in (finalised.query, *chain.from_iterable(finalised.headers.items())):
            if not isinstance(text, str) or not text.isprintable():
                raise wrong(self._finalise, "headers and a query of printable text", text)
        return finalised

    def unwrapped(self, data: Any, *, event: bool = False) -> Any:
        """An answer, or one event of a stream, in the protocol's own JSON: what the meter reads."""
        return called(self._unwrap_event if event else self._unwrap, data) if self.wraps else data

    def response(self, body: Any) -> Any:
        """A whole answer, unwrapped before, as the client gets it."""
        for stage in self._response:
            body = self._run(stage, body)
        return self._named(body)

    def event(self, frame: JsonFrame) -> list[JsonFrame]:
        """What one event, unwrapped before, is to the client: one event, several, or none."""
        return self._shown(self._through(self._event, [frame]))

    def end(self) -> list[JsonFrame]:
        """What the adapters kept for the end; called once, before the protocol's terminal."""
        found: list[JsonFrame] = []
        stages, self._end = self._end, []
        for stage, following in stages:
            found += self._through(following, self._run(stage, None))
        return self._shown(found)

    def _through(self, stages: Iterable[Stage], frames: list[JsonFrame]) -> list[JsonFrame]:
        for stage in stages:
            frames = [shown for frame in frames for shown in self._run(stage, frame)]
        return frames

    def _shown(self, frames: list[JsonFrame]) -> list[JsonFrame]:
        """Frames under the client's name of the model, without usage that it did not ask for."""
        if self._usage_added:
            for frame in frames:
                frame.data = self._wiring.protocol.without_usage(frame.data)
            frames = [frame for frame in frames if frame.data is not None]
        for frame in frames:
            self._named(frame.data)
        return frames

    def _named(self, data: Any) -> Any:
        for path in self._wiring.protocol.model_paths:
            place = data
            for member in path[:-1]:
                place = place.get(member) if isinstance(place, dict) else None
            if isinstance(place, dict) and isinstance(place.get(path[-1]), str):
                place[path[-1]] = self._public_model
        return data

    def _run(self, stage: Stage, value: Any) -> Any:
        """A stage's result; where failing ones are skipped, what went in goes on as it was."""
        if self._skipping is None:
            return _checked(stage, value)
        before = copy.deepcopy(value)
        try:
            result = _checked(stage, value)
            for one in result if isinstance(result, list) else [result]:
                written(one.data if isinstance(one, JsonFrame) else one, stage.direction, stage.name)
            return result
        except TransformFailed as failed:
            self._skipping.pass_by(stage.name, failed)
            if stage.direction == "event":
                return [before]
            return [] if stage.direction == "end" else before


def last_of(adapter: Any) -> Callable[[Any], Any]:
    """``on_end`` as a stage, which takes one value."""
    return lambda nothing: adapter.on_end()


def _checked(stage: Stage, value: Any) -> Any:
    """An adapter's result: a JSON object, or a list of frames."""
    result = called(stage, value)
    if stage.direction in ("request", "response"):
        if not isinstance(result, dict):
            raise wrong(stage, "a JSON object", result)
    elif not isinstance(result, list) or not all(map(_is_frame, result)):
        raise wrong(stage, "frames", result)
    return result


def _is_frame(one: Any) -> bool:
    return isinstance(one, JsonFrame) and isinstance(one.event, str | None)


def converted(stage: Stage, value: Any) -> Any:
    """A conversion's result.  Raises Unfit where it refuses, UpstreamFailed as it does, else TransformFailed."""
    try:
        return stage.call(value)
    except UpstreamFailed:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, Refused) and stage.direction == "request":
            raise Unfit(error.error) from error
        raise TransformFailed(stage.name, stage.direction, error) from error


def called(stage: Stage, value: Any) -> Any:
    """The border of a transform: whatever it raises fails its attempt under its name."""
    try:
        result = stage.call(value)
        # A generator runs here and now, so that its errors are its own.
        return list(result) if stage.direction in ("event", "end") and not isinstance(result, JsonFrame) else result
    except (Exception, SystemExit) as error:
        raise TransformFailed(stage.name, stage.direction, error) from error


def written(value: Any, direction: Direction, by: str) -> bytes:
    """JSON text of what the stages ``by`` left.  Raises TransformFailed where they left what JSON cannot hold."""
    try:
        text = dumps(value)
        if by and b"null" in text and _endless(value):  # orjson writes null for what JSON has no word for
            raise ValueError("a number that is not finite")
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise TransformFailed(by or "the engine", direction, error) from error


def _endless(value: Any) -> bool:
    """Whether a number in it is infinite or none."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_endless, value.values()))
    return isinstance(value, list | tuple) and any(map(_endless, value))


def unwatched(stage: Stage) -> Stage:
    """Nobody watches: the bare call."""
    return stage


def wrong(stage: Stage, wanted: str, result: Any) -> TransformFailed:
    return TransformFailed(stage.name, stage.direction, TypeError(f"gave {type(result).__name__}, not {wanted}"))
