"""The trace's place in the process: one writer for all requests, and what a request's ends say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

from rotator.config.schema import Trace
from rotator.contracts import Clock, Route
from rotator.exchange.record import RequestRecord
from rotator.trace.files import trace_folder
from rotator.trace.recorder import Recorder
from rotator.trace.writer import TraceWriter
from rotator.world import World

#: How long the end of the process waits for what is not written yet.
LAST_SECONDS: Final = 0.5
#: Writers of earlier settings that are kept for the requests that began with them.
RETIRED: Final = 4


class Tracing:
    """Makes the recorders; the writer is made anew when a reload moves the folder or changes its sizes."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._clock = clock
        self._level: Literal["off", "meta", "bounds", "full"] = "off"
        self._place: tuple[Path, int, int, int] | None = None
        self._writer: TraceWriter | None = None
        self._retired: list[TraceWriter] = []
        self._closed: list[TraceWriter] = []
        self.adopt(world)

    @property
    def dropped(self) -> int:
        """Entries that were lost."""
        return sum(one.dropped for one in (*self._closed, *self._retired, self._writer) if one is not None)

    def adopt(self, world: World) -> None:
        """Take over a generation's settings.  Touches no disk before the first entry."""
        settings = world.settings.get(Trace)
        self._level = settings.level
        place = (trace_folder(world.settings), settings.body_bytes, settings.file_bytes, settings.total_bytes)
        if settings.level == "off" or place == self._place:
            return
        self._place = place
        if self._writer is not None:
            self._retired.append(self._writer)
        while len(self._retired) > RETIRED:
            self._close(self._retired.pop(0))
        folder, body_bytes, file_bytes, total_bytes = place
        self._writer = TraceWriter(folder, body_bytes=body_bytes, file_bytes=file_bytes, total_bytes=total_bytes)

    def recorder(self, request_id: str, world: World) -> Recorder | None:
        """One request's entries, or None where nothing is traced."""
        if self._writer is None or self._level == "off":
            return None
        return Recorder(self._writer, self._level, request_id, self._clock, world.redactor)

    def close(self) -> None:
        """Write what waits, as long as that is quick."""
        for writer in (*self._retired, self._writer):
            if writer is not None:
                self._close(writer)
        self._retired.clear()
        self._writer = None

    def _close(self, writer: TraceWriter) -> None:
        writer.close(LAST_SECONDS)
        self._closed.append(writer)  # it counts what requests of its time still bring


def tell_request(
    trace: Recorder, record: RequestRecord, route: Route, headers: Mapping[str, str], body: bytes
) -> None:
    """What the client sent; the model is empty where it could not be read."""
    trace.add(
        "client_request",
        headers=headers.items(),
        body=body,
        method=record.method,
        path=record.path,
        operation=route.operation,
        model=record.model,
        client=record.client,
        bytes=len(body),
    )


def tell_answer(
    trace: Recorder, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes | None = None
) -> None:
    """What the client got: a whole answer, an error, or the head of a stream."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    trace.add("client_response", headers=pairs, body=body, status=status)


def tell_end(trace: Recorder, record: RequestRecord, took_ms: float) -> None:
    """The request is over."""
    way = record.way
    trace.add(
        "end",
        status=record.status,
        attempts=record.attempts,
        note=record.note,
        took_ms=round(took_ms, 1),
        model=record.model,
        provider=way.provider if way else "",
        upstream_model=way.model if way else "",
        credential=record.label,
        lane=way.lane if way else "",
    )
