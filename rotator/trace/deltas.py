"""Credentials that a model spells over several events of a stream: no event holds one, the answer does.

Knows no wire format: an event is a line of JSON, perhaps behind ``data:``, and texts at the same place of events of the
same kind (``type`` and all that is called index) belong together.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final, NamedTuple

from rotator.neutral.redact import MARK, Span
from rotator.trace.redaction import Redaction
from rotator.wire.jsontext import NotJson, dumps, loads

_EVENT: Final = re.compile(r"(?:data:)?[ \t]*(?=[{\[])")
_PLACED: Final = frozenset({"index", "output_index", "content_index", "item_id"})
_LEVELS: Final = 24


class _Piece(NamedTuple):
    """A text in an event: the line, the object or list that holds it, and where in there."""

    line: int
    holder: Any
    key: Any
    text: str


def rejoined(text: str, limit: int, redaction: Redaction) -> tuple[str, int]:
    """A stream without credentials that are spelt over several of its events, and where ``limit`` went to.

    Events in which nothing is masked stay byte for byte.
    """
    lines = text.split("\n")
    events: dict[int, Any] = {}
    pieces: dict[tuple[object, ...], list[_Piece]] = {}
    for number, line in enumerate(lines):
        event = _parsed(line)
        if event is not None:
            events[number] = event
            for place, piece in _texts(number, event):
                pieces.setdefault(place, []).append(piece)
    changed: set[int] = set()
    for spelt in pieces.values():
        if len(spelt) > 1:
            changed |= _mask(spelt, redaction.spans("".join(piece.text for piece in spelt)))
    if not changed:
        return text, limit
    whole = text.count("\n", 0, limit) if limit < len(text) else len(lines)
    for number in changed:
        start = _EVENT.match(lines[number])
        end = "\r" if lines[number].endswith("\r") else ""
        lines[number] = f"{start[0] if start else ''}{dumps(events[number]).decode()}{end}"
    return "\n".join(lines), sum(len(line) + 1 for line in lines[:whole])


def _parsed(line: str) -> Any:
    start = _EVENT.match(line)
    if start is None:
        return None
    try:
        return loads(line[start.end() :].encode())
    except (NotJson, UnicodeEncodeError):
        return None


def _texts(line: int, event: Any) -> Iterator[tuple[tuple[object, ...], _Piece]]:
    """Every text in an event with its place."""
    waiting: list[tuple[tuple[object, ...], Any]] = [(_kind(event), event)]
    while waiting:
        place, holder = waiting.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, value in items:
            if isinstance(value, str):
                yield (*place, key), _Piece(line, holder, key, value)
            elif isinstance(value, dict | list) and len(place) < _LEVELS:
                waiting.append(((*place, key, *_index(value)), value))


def _kind(event: Any) -> tuple[object, ...]:
    kind = event.get("type") if isinstance(event, dict) else None
    return (kind if isinstance(kind, str) else None, *_index(event))


def _index(value: Any) -> tuple[object, ...]:
    if not isinstance(value, dict):
        return ()
    return tuple(value[name] for name in sorted(_PLACED & value.keys()) if isinstance(value[name], int | str))


def _mask(pieces: list[_Piece], spans: list[Span]) -> set[int]:
    """Mask spans of what the pieces spell: the mark stands where one begins, the rest of it is gone. The lines that
    changed. A span in one piece counts, too: what tells that it is a secret may stand in another."""
    starts = list(accumulate((len(piece.text) for piece in pieces), initial=0))
    edits: dict[int, list[tuple[int, int, str]]] = {}
    for start, stop in spans:
        first, last = bisect_right(starts, start) - 1, bisect_left(starts, stop) - 1
        for index in range(first, last + 1):
            begin = starts[index]
            edit = (max(start - begin, 0), min(stop - begin, len(pieces[index].text)), MARK if index == first else "")
            edits.setdefault(index, []).append(edit)
    for index, changes in edits.items():
        piece, parts, end = pieces[index], [], 0
        for start, stop, mark in changes:
            parts += [piece.text[end:start], mark]
            end = stop
        piece.holder[piece.key] = "".join([*parts, piece.text[end:]])
    return {pieces[index].line for index in edits}
