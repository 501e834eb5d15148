"""Server-sent events: cut a byte stream into whole frames, read frames, write frames, mend what breaks clients.

The reading rules are those of the WHATWG event stream format; protocols.md 4.1 says what the four protocols use of it.
Everything here is synchronous, does no I/O, and takes time in proportion to the bytes, however they arrive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rotator.errors import RotatorError

#: One event, or one line. Events that carry an image are well below, an endless line must end somewhere.
EVENT_LIMIT_BYTES = 32 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
#: What ends a blank line: two line ends, which may be LF, CR or CRLF, in a row.
_BLANK_ENDS = (b"\n\n", b"\n\r\n", b"\r\r", b"\n\r", b"\r\r\n")
#: Any of these holds two line ends; CR LF is one. Where CR is the second, an LF behind it belongs to it.
_BLANK_PAIRS = (b"\n\n", b"\n\r", b"\r\r")
#: A blank line with the line end before it.
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?:\r\n|\n|\r)")
#: Line ends to ``str.splitlines`` and so to httpx and google-genai, not to SSE (faults.md 0 item 4). JSON may hold
#: them escaped.
_FALSE_LINE_ENDS = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"), (b"\xc2\x85", rb"\u0085"))


class EventTooLarge(RotatorError):
    """An event, or a line of one, went beyond its limit before it ended. The stream cannot be read on."""


@dataclass(slots=True)
class Frame:
    """One event as it stood on the wire.

    ``event`` is None where the frame names none, never empty. ``data`` is its data lines joined by LF. ``id`` is the
    frame's own id from :func:`frames`, None without one; :class:`SseReader` gives the last id seen, empty at first.
    """

    event: str | None
    data: bytes
    id: str | None = None


class FrameCutter:
    """Cuts a byte stream into blocks of whole frames, without reading them.

    All that :meth:`feed` gave, then :meth:`rest`, is exactly what was fed. A frame is given out with the read that
    completes it: where a bare CR ends it, an LF that follows comes alone or before the next frame, where it is one
    more blank line.
    """

    __slots__ = ("_limit_bytes", "_pending")

    def __init__(self, *, event_limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = event_limit_bytes
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """Bytes held back: the start of a frame that has not ended."""
        return len(self._pending)

    def feed(self, chunk: bytes) -> bytes:
        """All up to the last blank line, empty if there is none yet; the chunk itself where it can be.

        Raises :class:`EventTooLarge` only when nothing can be given out.
        """
        pending = self._pending
        if chunk.endswith(_BLANK_ENDS):
            return self.rest() + chunk if pending else chunk
        if not pending:
            end = _last_blank(chunk, 0)
            pending += chunk[end:] if end else chunk
            if end:
                return chunk[:end]
        elif b"\n" not in chunk and b"\r" not in chunk:
            pending += chunk
        else:
            seen = len(pending)
            pending += chunk
            end = _last_blank(pending, seen - 1)
            if end:
                block = bytes(memoryview(pending)[:end])
                del pending[:end]
                return block
        if len(pending) > self._limit_bytes:
            raise EventTooLarge(f"an event goes beyond {self._limit_bytes} bytes")
        return b""

    def rest(self) -> bytes:
        """What was held back, to be asked once at the stream's end: a frame without its blank line, or nothing."""
        tail = bytes(self._pending)
        self._pending.clear()
        return tail


class SseReader:
    """Bytes in any pieces to events, as WHATWG says: one BOM at the start dropped, invalid UTF-8 as U+FFFD, the last
    id kept, ``retry`` ignored. Raises :class:`EventTooLarge`.

    ``flush_at_eof``: an event that the stream's end cuts off before its blank line counts; some upstreams forget it
    (protocols.md 4.1).
    """

    __slots__ = ("_at_start", "_cutter", "_flush_at_eof", "_last_id", "_line_bytes", "_line_limit_bytes")

    def __init__(
        self,
        *,
        line_limit_bytes: int = EVENT_LIMIT_BYTES,
        event_limit_bytes: int = EVENT_LIMIT_BYTES,
        flush_at_eof: bool = False,
    ) -> None:
        self._cutter = FrameCutter(event_limit_bytes=event_limit_bytes)
        self._line_limit_bytes = line_limit_bytes
        self._flush_at_eof = flush_at_eof
        self._line_bytes = 0
        self._at_start = True
        self._last_id = ""

    def feed(self, chunk: bytes) -> list[Frame]:
        block = self._cutter.feed(chunk)
        self._line_bytes = self._open_line_bytes(chunk) if self._cutter.pending else 0
        if block:
            return self._read(block)
        if self._line_bytes > self._line_limit_bytes:
            raise EventTooLarge(f"a line goes beyond {self._line_limit_bytes} bytes")
        return []

    def finish(self) -> list[Frame]:
        """At the stream's end: the last event if it may be flushed, else nothing."""
        tail = self._cutter.rest()
        return self._read(tail + b"\n\n") if tail and self._flush_at_eof else []

    def _open_line_bytes(self, chunk: bytes) -> int:
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        return len(chunk) - 1 - end if end >= 0 else self._line_bytes + len(chunk)

    def _read(self, block: bytes) -> list[Frame]:
        if self._at_start:
            self._at_start = False
            block = block.removeprefix(_BOM)
        found: list[Frame] = []
        for part in _parts(_valid_utf8(block)):
            event: str | None = None
            data: bytes | None
            if part.startswith(b"data: ") and b"\n" not in part:
                data = part[6:]
            else:
                event, data, identity = _fields(part)
                self._last_id = self._last_id if identity is None else identity
            if len(part) > self._line_limit_bytes and max(map(len, part.split(b"\n"))) > self._line_limit_bytes:
                raise EventTooLarge(f"a line goes beyond {self._line_limit_bytes} bytes")
            if data is not None:
                found.append(Frame(event, data, self._last_id))
        return found


def frames(block: bytes) -> Iterator[Frame]:
    """The events of a block of whole frames; a frame without data is none, a frame without its blank line neither.

    Neither a BOM nor invalid UTF-8 is looked for: :func:`mend` does, and a JSON parser refuses the latter.
    """
    if block.startswith(b"data: ") and block.find(b"\n") == len(block) - 2 and block[-1] == 0x0A and b"\r" not in block:
        yield Frame(None, block[6:-2])  # the common read: one frame of one line
        return
    for part in _parts(block):
        if part.startswith(b"data: ") and b"\n" not in part:
            yield Frame(None, part[6:])
            continue
        event, data, identity = _fields(part)
        if data is not None:
            yield Frame(event, data, identity)


def pieces(block: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The frames of a block of whole frames as they stand, unread, with where each begins and ends in it."""
    start = 0
    if b"\r" not in block:
        while (end := block.find(b"\n\n", start)) >= 0:
            yield block[start : end + 2], start, end + 2
            start = end + 2
        return
    for blank in _BLANK.finditer(block):
        yield block[start : blank.end()], start, blank.end()
        start = blank.end()


def write_frame(data: bytes, event: str | None = None) -> bytes:
    """One frame for a client: LF, ``data: `` with the space (google-genai needs it), no ``id``, no ``retry``
    (protocols.md 4.1). ``data`` is UTF-8 JSON text or a protocol's marker; what some clients take for line ends is
    escaped in it, and true line ends split it."""
    if not data.isascii():
        data = _escaped(data)
    if b"\n" in data or b"\r" in data:
        data = _with_lf(data).replace(b"\n", b"\ndata: ")
    if not event:
        return b"data: %b\n\n" % data
    if not event.isprintable():
        event = " ".join(event.split())  # a name from an upstream's JSON must not write lines of its own
    return b"event: %b\ndata: %b\n\n" % (event.encode("utf-8", "replace"), data)


def mend(block: bytes, at_start: bool) -> bytes:
    """A block of whole frames made fit for official clients; the same object where nothing is to be done.

    Invalid UTF-8 becomes U+FFFD, raw U+2028, U+2029 and U+0085 become JSON escapes (they can stand only inside JSON
    strings), and with ``at_start`` one BOM is dropped (faults.md 0 item 4). ASCII costs one look.
    """
    if block.isascii():
        return block
    if at_start:
        block = block.removeprefix(_BOM)
    return _escaped(_valid_utf8(block))


def _last_blank(buffer: bytes | bytearray, start: int) -> int:
    """The end of the last blank line, 0 if there is none. Looks at nothing before ``start``, but for a buffer that
    begins with a line end: it begins a line, so that is a blank one."""
    last = -1
    for pair in _BLANK_PAIRS:
        last = max(last, buffer.rfind(pair, max(start, last)))
    if last >= 0:
        end = last + 2
        return end + 1 if buffer[end - 1] == 0x0D and buffer.startswith(b"\n", end) else end
    if buffer.startswith(b"\r\n"):
        return 2
    return 1 if buffer.startswith((b"\n", b"\r")) else 0


def _with_lf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parts(block: bytes) -> Iterator[bytes]:
    """The frames of a block, their lines joined by LF, without what follows the last blank line."""
    if b"\r" in block:
        block = _with_lf(block)
    parts = block.split(b"\n\n")
    parts.pop()
    return filter(None, parts)


def _fields(part: bytes) -> tuple[str | None, bytes | None, str | None]:
    """Event name, data and id of one frame; data is None where it has no data line, id where it has no valid one."""
    if part.startswith(b"event: "):  # as messages and responses write every frame
        head, _, tail = part.partition(b"\n")
        if tail.startswith(b"data: ") and b"\n" not in tail:
            return head[7:].decode("utf-8", "replace") or None, tail[6:], None
    name = b""
    data: bytes | None = None
    lines: list[bytes] = []
    identity: str | None = None
    for line in part.split(b"\n"):
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
        elif field == b"id" and b"\0" not in value:
            identity = value.decode("utf-8", "replace")
    if lines:
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
    return (name.decode("utf-8", "replace") if name else None), data, identity


def _valid_utf8(text: bytes) -> bytes:
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode()
    return text


def _escaped(text: bytes) -> bytes:
    for raw, escape in _FALSE_LINE_ENDS:
        if raw in text:
            text = text.replace(raw, escape)
    return text
