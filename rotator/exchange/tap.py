"""What the trace hears of one attempt: the steps of its JSON, and a stream's bytes on both sides (engine.md 6, 7.7)."""

from __future__ import annotations

import asyncio
from typing import Any

from rotator.contracts import JsonFrame, Verdict, WireRequest
from rotator.errors import UpstreamFailed
from rotator.exchange.stages import Stage
from rotator.neutral.codec import Built
from rotator.neutral.losses import Note
from rotator.neutral.plain import plain
from rotator.trace.recorder import Recorder
from rotator.wire.jsontext import dumps


class Watch:
    """Wraps the stages of one attempt, so that each tells what it did, and what it noted."""

    def __init__(self, recorder: Recorder, attempt: int, notes: list[Note]) -> None:
        self._recorder = recorder
        self._attempt = attempt
        self._notes = notes

    def wrapped(self, stage: Stage) -> Stage:
        """The stage, telling; those of events only where every step is wanted."""
        if stage.direction in ("event", "end", "unwrap") and not self._recorder.full:
            return stage

        def call(value: Any) -> Any:
            before = _text(_as_given(stage, value))
            try:
                result = stage.call(value)
                if stage.direction in ("event", "end") and not isinstance(result, JsonFrame):
                    result = list(result)
            except BaseException as error:
                self._tell(stage, None, {"failed": type(error).__name__})
                raise
            after = _text(result)
            whole = stage.direction in ("request", "response")
            fits = not whole or stage.form == "neutral" or isinstance(result, dict | WireRequest)
            facts = {"changed": before != after} if fits else {"failed": f"gave {type(result).__name__}"}
            self._tell(stage, after if fits and before != after else None, facts)
            return result

        return stage._replace(call=call)

    def _tell(self, stage: Stage, after: bytes | None, facts: dict[str, Any]) -> None:
        facts = {"stage": stage.name, "direction": stage.direction, **facts, "notes": _drained(self._notes)}
        self._recorder.add("stage", attempt=self._attempt, body=after if self._recorder.full else None, **facts)


class Tap:
    """Collects what came and what was shown, up to a limit, and tells it when the stream is over."""

    def __init__(self, recorder: Recorder, attempt: int, sent_at: float, notes: list[Note] | None) -> None:
        """``sent_at``: when the request went out, in the loop's seconds.  ``notes``: the adapters', if any."""
        self._recorder = recorder
        self._attempt = attempt
        self._clock = asyncio.get_running_loop().time
        self._notes = notes
        self._sent_at = sent_at
        self._first_byte: float | None = None
        self._first_output: float | None = None
        self._came = bytearray()
        self._shown = bytearray()
        self._came_bytes = 0
        self._shown_bytes = 0
        self._pieces = 0
        self._acts: list[str] = []
        self._told = False

    def came(self, chunk: bytes) -> None:
        """A piece of the upstream's body, as it was read."""
        if not chunk:
            return
        if self._first_byte is None:
            self._first_byte = self._clock()
        self._pieces += 1
        self._came_bytes += len(chunk)
        if self._recorder.bounds and len(self._came) < self._recorder.collect_bytes:
            self._came += chunk

    def event(self, block: bytes) -> None:
        """Whole frames of the upstream; a piece of the body may end inside a secret, these do not."""
        self._recorder.add("stream_event", attempt=self._attempt, body=block)

    def opened(self) -> None:
        """Something visible has come, or the end."""
        self._first_output = self._clock()

    def shown(self, block: bytes) -> None:
        """Bytes for the client."""
        self._shown_bytes += len(block)
        if self._recorder.bounds and len(self._shown) < self._recorder.collect_bytes:
            self._shown += block

    def turn(self, chunk: bytes, block: bytes) -> None:
        """A piece that came and what the client gets of it."""
        self.came(chunk)
        if block:
            self.shown(block)

    def act(self, what: str) -> None:
        """The stream was altered: mended, withheld, a trailer, an error in-band (design.md 2.1)."""
        self._acts.append(what)

    def over(self) -> None:
        """Tell the trace, once."""
        if self._told:
            return
        self._told = True
        add = self._recorder.add
        add(
            "upstream_stream",
            attempt=self._attempt,
            body=bytes(self._came) if self._came else None,
            bytes=self._came_bytes,
            pieces=self._pieces,
            first_byte_ms=self._since(self._first_byte),
            first_output_ms=self._since(self._first_output),
        )
        differs = self._notes is not None or self._acts
        add(
            "client_stream",
            attempt=self._attempt,
            body=bytes(self._shown) if differs and self._shown else None,
            bytes=self._shown_bytes,
            acts=self._acts,
            notes=_drained(self._notes or []),
        )

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self._sent_at) * 1_000, 1)


def tell_verdict(trace: Recorder, attempt: int, cause: UpstreamFailed, verdict: Verdict, action: str) -> None:
    """What a failure means, and what is done."""
    trace.add(
        "verdict",
        attempt=attempt,
        blame=verdict.blame,
        scope=verdict.scope,
        reason=verdict.reason,
        retry_after=verdict.retry_after_seconds,
        source=verdict.source,
        action=action,
        reached=cause.stage,
        status=cause.error.status,
        code=cause.error.code,
        message=cause.error.message,
    )


def _drained(notes: list[Note]) -> list[dict[str, str]]:
    """The notes so far, as JSON; the list is empty afterwards."""
    told = [note._asdict() for note in notes]
    notes.clear()
    return told


def _as_given(stage: Stage, value: Any) -> Any:
    """What went in, in the form of what comes out: events are answered with frames."""
    return {"event": [value], "end": []}.get(stage.direction, value)


def _text(value: Any) -> bytes:
    """A JSON object, a request, a frame or frames, or neutral data as JSON text; b"" where it is none."""
    try:
        return dumps(_plain(value))
    except (TypeError, ValueError, RecursionError):
        return b""  # the stage's own border finds that out


def _plain(value: Any) -> Any:
    if isinstance(value, WireRequest):
        return value.body
    if isinstance(value, JsonFrame):
        return {"event": value.event, "data": value.data}
    if isinstance(value, Built):
        return value.body
    return plain(value)
