"""Read a folder of traces: the newest requests, the entries of one.

Files are streamed, whatever their size; a line that is torn, foreign or too long is counted and skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from rotator.errors import RotatorError
from rotator.trace.entry import VERSION
from rotator.trace.files import own_files
from rotator.wire.jsontext import NotJson, loads

#: Longer lines are skipped; ours are a few times ``trace.body_bytes`` at most.
LINE_BYTES: Final = 64 * 1024 * 1024
_TOO_LONG: Final = b"too long"
#: Finished requests that are kept beyond those asked for while a file is read: their lines are over.
_SPARE: Final = 4096
#: Names of requests that a message lists.
_EXAMPLES: Final = 5
#: Passes that a summary is made of.
_SUMMED: Final = frozenset({"client_request", "attempt", "end"})
#: How we begin every line: what it is about is known without parsing its body.
_HEAD: Final = re.compile(
    rb'\{"v":%d,"request":"([^"\\]{1,200})","seq":([0-9]{1,9}),"at":[0-9.e+-]{1,30},"ms":[0-9.e+-]{1,30},'
    rb'"pass":"([^"\\]{1,60})"' % VERSION
)


class NoSuchRequest(RotatorError):
    """No request has this id, or several begin or end so."""


class Line(NamedTuple):
    """One line of a file: what it is about, where it stands, its bytes without the line's end."""

    request: str
    seq: int
    name: str
    path: Path
    offset: int
    text: bytes


@dataclass(slots=True)
class Summary:
    """A request in one row; what is not known is empty.

    ``begun``: its first entry was read, ``ended``: its last one. Without that it is still under way, or was cut off.
    """

    request: str
    at: float
    method: str = ""
    path: str = ""
    client: str = ""
    model: str = ""
    provider: str = ""
    upstream_model: str = ""
    credential: str = ""
    lane: str = ""
    status: int = 0
    attempts: int = 0
    ms: float = 0.0
    note: str = ""
    begun: bool = False
    ended: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass(slots=True)
class Listing:
    """The newest requests, newest last, and how many lines could not be read."""

    requests: list[Summary] = field(default_factory=list)
    broken: int = 0


class Place(NamedTuple):
    """Where a line stands; sorts by its number in the request."""

    seq: int
    path: Path
    offset: int
    name: str


@dataclass(slots=True)
class Request:
    """The entries of one request, by their numbers, read again from disk each time."""

    request: str
    places: list[Place]
    broken: int

    def lines(self, name: str | None = None) -> Iterator[bytes]:
        """The lines (of one pass) as they stand on disk; those of a file that has just been removed are missing."""
        for place in self.places:
            if name not in (None, place.name):
                continue
            try:
                with place.path.open("rb") as file:
                    file.seek(place.offset)
                    yield file.readline(LINE_BYTES).removesuffix(b"\n")
            except OSError:
                continue

    def entries(self, name: str | None = None) -> Iterator[dict[str, Any]]:
        """The same as data."""
        for line in self.lines(name):
            entry = parsed(line)
            if entry is None:
                self.broken += 1
            else:
                yield entry


def requests(folder: Path, limit: int) -> Listing:
    """The newest requests of a folder."""
    listing = Listing()
    found: dict[str, Summary] = {}
    files = own_files(folder)[::-1]  # the one that was written last first
    for index, file in enumerate(files):
        for line in each_line(file.path, listing):
            if line.name in _SUMMED:
                _add(found, line, listing)
                if len(found) > limit + 2 * _SPARE:
                    _trim(found, limit + _SPARE)
        newest = sorted(found.values(), key=_began)[-limit:]
        found = {summary.request: summary for summary in newest}
        if len(newest) < limit or not all(summary.begun for summary in newest):
            continue
        if index + 1 < len(files) and files[index + 1].written_at / 1e9 < newest[0].at:
            break  # nothing in there can be newer
    listing.requests = sorted(found.values(), key=_began)
    return listing


def _began(summary: Summary) -> tuple[float, str]:
    return summary.at, summary.request


def _trim(found: dict[str, Summary], keep: int) -> None:
    """Forget the oldest that are over."""
    over = sorted((summary for summary in found.values() if summary.ended), key=_began)
    for summary in over[: max(0, len(found) - keep)]:
        del found[summary.request]


def entries(folder: Path, wanted: str) -> Request:
    """One request: by its id, by a beginning or an end of it that no other has, or ``last``. Raises NoSuchRequest."""
    if wanted == "last":
        newest = requests(folder, 1).requests
        if not newest:
            raise NoSuchRequest("no request was traced yet")
        wanted = newest[-1].request
    listing = Listing()
    found: dict[str, list[Place]] = {}
    alike: dict[str, None] = {}
    for file in own_files(folder)[::-1]:
        for line in each_line(file.path, listing):
            if not _matches(line.request, wanted):
                continue
            if line.request != wanted:
                if len(alike) <= _EXAMPLES:
                    alike[line.request] = None
                if len(alike) > 1:
                    continue  # only an exact match can be meant
            found.setdefault(line.request, []).append(Place(line.seq, line.path, line.offset, line.name))
        if any(place.seq == 0 for place in found.get(wanted, ())):
            break
    if wanted not in found and len(alike) > 1:
        more = ", ..." if len(alike) > _EXAMPLES else ""
        raise NoSuchRequest(f"several requests are meant: {', '.join([*alike][:_EXAMPLES])}{more}")
    if not found:
        raise NoSuchRequest(f"no request {wanted} was traced")
    request = wanted if wanted in found else next(iter(found))
    return Request(request, sorted(found[request]), listing.broken)


def _matches(request: str, wanted: str) -> bool:
    return request.startswith((wanted, f"req_{wanted}")) or request.endswith(wanted)


def each_line(path: Path, listing: Listing) -> Iterator[Line]:
    """The lines of a file that are ours; the others are counted."""
    offset = 0
    try:
        with path.open("rb") as file:
            while text := file.readline(LINE_BYTES):
                end = file.tell()
                if len(text) == LINE_BYTES and not text.endswith(b"\n"):
                    text, end = _TOO_LONG, _end_of_line(file)
                line = _line(text.removesuffix(b"\n"), path, offset)
                offset = end
                if line is not None:
                    yield line
                elif text.strip():
                    listing.broken += 1
    except OSError:
        listing.broken += 1  # gone meanwhile, or not ours to read


def _end_of_line(file: BinaryIO) -> int:
    """Skip the rest of a line; where the next one begins."""
    while (rest := file.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
        pass
    return file.tell()


def _line(text: bytes, path: Path, offset: int) -> Line | None:
    head = _HEAD.match(text)
    if head is not None and text.endswith(b"}"):
        request, seq, name = head.groups()
        return Line(request.decode("utf-8", "replace"), int(seq), name.decode("utf-8", "replace"), path, offset, text)
    entry = parsed(text)
    if entry is None:
        return None
    return Line(entry["request"], entry["seq"], entry["pass"], path, offset, text)


def parsed(text: bytes) -> dict[str, Any] | None:
    """A line as data if it is one of ours."""
    try:
        entry = loads(text)
    except NotJson:
        return None
    named = isinstance(entry, dict) and isinstance(entry.get("request"), str) and isinstance(entry.get("pass"), str)
    return entry if named and type(entry.get("seq")) is int else None


def _add(found: dict[str, Summary], line: Line, listing: Listing) -> None:
    """What a line says about its request."""
    entry = parsed(line.text)
    if entry is None:
        listing.broken += 1
        return
    at = number_of(entry.get("at"))
    summary = found.setdefault(line.request, Summary(line.request, at))
    summary.at = min(summary.at, at)
    if line.name == "client_request":
        summary.begun = True
        for name in ("method", "path", "client", "model"):
            setattr(summary, name, text_of(entry.get(name)) or getattr(summary, name))
    elif line.name == "attempt":
        number = int(number_of(entry.get("attempt")))
        if number >= summary.attempts:
            summary.attempts = number
            summary.provider = text_of(entry.get("provider")) or summary.provider
            for name in ("credential", "lane"):
                setattr(summary, name, text_of(entry.get(name)))
            summary.upstream_model = text_of(entry.get("model"))
    else:
        _add_end(summary, entry)


def _add_end(summary: Summary, entry: dict[str, Any]) -> None:
    summary.ended = True
    summary.status = int(number_of(entry.get("status")))
    summary.attempts = int(number_of(entry.get("attempts"))) or summary.attempts
    summary.ms = number_of(entry.get("took_ms", entry.get("ms")))
    summary.note = text_of(entry.get("note"))
    for name in ("model", "provider", "upstream_model", "credential", "lane"):
        setattr(summary, name, text_of(entry.get(name)) or getattr(summary, name))


def text_of(value: object) -> str:
    """A fact that should be text; other hands may have written it."""
    return value if isinstance(value, str) else ""


def number_of(value: object) -> float:
    """A fact that should be a number."""
    return float(value) if isinstance(value, int | float) else 0.0
