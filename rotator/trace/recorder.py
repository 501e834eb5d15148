"""What the engine calls while a request goes its way: one entry a pass, queued and forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from rotator.contain import contain
from rotator.contracts import Clock
from rotator.neutral.redact import Redactor
from rotator.trace.entry import FULL_BODIES, FULL_ONLY, VENDOR_WORDS, Entry, PassName
from rotator.trace.redaction import MARGIN_BYTES
from rotator.trace.writer import TraceWriter

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Level = Literal["meta", "bounds", "full"]


def _is_code(value: Any) -> bool:
    """Whether this is one of the words that programs use, and no text of a vendor's."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


class Recorder:
    """The entries of one request. Made only when tracing is on; None otherwise, so tracing that is off costs nothing.

    ``bounds``: bodies and headers of the four boundaries are wanted. ``full``: every step between them, too.
    ``collect_bytes``: how much of a stream to collect for a body. It is more than is kept: what follows shows whether
    a secret lies across the cut.
    """

    __slots__ = ("_clock", "_redactor", "_request_id", "_seq", "_started", "_writer", "bounds", "collect_bytes", "full")

    def __init__(
        self, writer: TraceWriter, level: Level, request_id: str, clock: Clock, redactor: Redactor
    ) -> None:
        self.bounds = level != "meta"
        self.full = level == "full"
        self.collect_bytes = writer.body_bytes + max(MARGIN_BYTES, redactor.longest)
        self._writer = writer
        self._request_id = request_id
        self._clock = clock
        self._redactor = redactor
        self._started = clock.monotonic()
        self._seq = 0

    def add(
        self,
        name: PassName,
        /,
        *,
        attempt: int = 0,
        headers: Iterable[tuple[str, str]] | None = None,
        body: bytes | None = None,
        **facts: Any,
    ) -> None:
        """Queue one entry; never blocks, never raises.  ``facts`` are plain JSON data that nobody changes afterwards.

        Headers, bodies and a vendor's own words are dropped when the level is meta.
        """
        with contain("a trace entry"):
            if not self.full:
                if name in FULL_ONLY:
                    return
                if name in FULL_BODIES:
                    body = None
            if not self.bounds:
                headers = body = None
                facts = {key: value for key, value in facts.items() if key not in VENDOR_WORDS or _is_code(value)}
            size = whole = 0 if body is None else len(body)
            if body is not None and size > self.collect_bytes:
                body = body[: self.collect_bytes]
            if size > self._writer.body_bytes and isinstance(told := facts.get("bytes"), int):
                whole = max(size, told)  # the stream went on when enough of it had been collected
            self._writer.put(
                Entry(
                    self._request_id,
                    self._seq,
                    self._clock.time(),
                    (self._clock.monotonic() - self._started) * 1_000,
                    name,
                    attempt,
                    facts,
                    tuple(headers) if headers else (),
                    body if body is None else bytes(body),
                    whole,
                    self._redactor,
                )
            )
            self._seq += 1
