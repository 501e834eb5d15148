"""One line per finished request, as text or JSON, written in batches off the requests' path."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from functools import lru_cache
from typing import Final, TextIO

from rotator.exchange.record import RequestRecord

#: How long a line may wait for others.
FLUSH_SECONDS: Final = 0.05
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
    """Collects lines and writes them together; a terminal that fails never fails a request."""

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self.dropped = 0
        self._out = out
        self._write_line = json_line if as_json else text_line
        self._pending: list[tuple[RequestRecord, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, record: RequestRecord, milliseconds: float) -> None:
        """Keep a finished request for the next write; its text is made then."""
        if len(self._pending) >= PENDING_LIMIT:
            self._pending.pop(0)
            self.dropped += 1
        self._pending.append((record, milliseconds))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pending:
            return
        lines = [self._write_line(record, milliseconds) for record, milliseconds in self._pending]
        self._pending.clear()
        try:
            self._out.write("\n".join(lines) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)
