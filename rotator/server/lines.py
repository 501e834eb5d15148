"""One line per finished request, as text or JSON, written in batches off the requests' path."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from datetime import datetime
from functools import lru_cache
from io import UnsupportedOperation
from queue import SimpleQueue
from typing import Final, TextIO

from rotator.exchange.record import RequestRecord

#: How long a line may wait for others.
FLUSH_SECONDS: Final = 0.05
#: How long the end of the process waits for a write.
LAST_SECONDS: Final = 0.25
#: Lines that are kept while the terminal does not take them; the oldest go first and are counted.
PENDING_LIMIT: Final = 10_000


def printable(text: str) -> str:
    """Text in which no client can forge a line or move a cursor: control and odd characters as escapes."""
    return text if text.isascii() and text.isprintable() else text.encode("unicode_escape", "replace").decode("ascii")


def tokens(record: RequestRecord) -> str:
    """``812+64`` tokens in and out, ``~`` in front where we estimated, ``-`` where nothing is known."""
    if record.usage is None:
        return "-"
    mark = "~" if record.usage.source == "estimated" else ""
    return f"{mark}{record.usage.input_total}+{record.usage.output_total}"


@lru_cache(maxsize=4)
def _clock_time(second: int) -> str:
    return datetime.fromtimestamp(second).strftime("%H:%M:%S")


def text_line(record: RequestRecord, milliseconds: float) -> str:
    """``12:00:01 local demo/text -> demo/demo#1 raw 200 12+30 tok 31 ms``, more only where there is more to say."""
    at = _clock_time(int(record.at))
    asked = printable(record.model) if record.model else printable(f"{record.method} {record.path}")
    went = record.way
    way = f" -> {went.provider}/{printable(record.label)} {went.lane}" if went else ""
    parts = [f"{at} {record.client} {asked}{way} {record.status} {tokens(record)} tok {milliseconds:.0f} ms"]
    if record.attempts > 1:
        parts.append(f"{record.attempts} attempts")
    if record.note:
        parts.append(printable(record.note))
    return ", ".join(parts)


def json_line(record: RequestRecord, milliseconds: float) -> str:
    usage, way = record.usage, record.way
    return json.dumps(
        {
            "at": round(record.at, 3),
            "request_id": record.request_id,
            "client": record.client,
            "method": record.method,
            "path": record.path,
            "model": record.model,
            "provider": way.provider if way else "",
            "upstream_model": way.model if way else "",
            "credential": record.label,
            "lane": way.lane if way else "",
            "status": record.status,
            "tokens_in": usage.input_total if usage else None,
            "tokens_out": usage.output_total if usage else None,
            "usage": usage.source if usage else None,
            "ms": round(milliseconds, 1),
            "attempts": record.attempts,
            "note": record.note,
        }
    )


class RequestLines:
    """Collects lines and writes them together, in a thread of its own: a terminal that fails or that nobody reads
    fails no request and holds up none.  ``dropped`` counts lines that were lost.
    """

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self.dropped = 0
        self._out = out
        self._write_line = json_line if as_json else text_line
        self._pending: list[tuple[RequestRecord, float]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: SimpleQueue[str] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._writing = 0

    def add(self, record: RequestRecord, milliseconds: float) -> None:
        """Keep a finished request for the next write; its text is made then."""
        if len(self._pending) >= PENDING_LIMIT:
            self._pending.pop(0)
            self.dropped += 1
        self._pending.append((record, milliseconds))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._due)

    def _due(self) -> None:
        """One batch is written at a time; while it is, lines collect."""
        self._timer = None
        if self._idle.is_set():
            self._hand_over()
        elif self._pending:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._due)

    def _hand_over(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="request-lines", daemon=True)
            self._thread.start()
        batch, self._pending = self._pending, []
        if batch:
            self._idle.clear()
            self._writing = len(batch)
            # The text is made here: in the thread it would fight the loop for the interpreter.
            self._batches.put("".join(f"{self._write_line(*entry)}\n" for entry in batch))

    def flush(self) -> None:
        """Write what waits, at the end: as long as somebody reads, and not for long otherwise."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._idle.wait(LAST_SECONDS):
            self._hand_over()
        if not self._idle.wait(LAST_SECONDS):
            self.dropped += len(self._pending) + self._writing

    def _work(self) -> None:
        while True:
            text = self._batches.get()
            try:
                self._write(text)
            except (OSError, ValueError):
                self.dropped += self._writing
            finally:
                self._writing = 0
                self._idle.set()

    def _write(self, text: str) -> None:
        """To the file descriptor where there is one: a blocked write then holds no lock that the exit needs."""
        try:
            descriptor = self._out.fileno()
        except UnsupportedOperation:
            self._out.write(text)
            return
        data = memoryview(text.encode())
        while data:
            data = data[os.write(descriptor, data) :]
