"""What the trace looks like on a terminal: a table of requests, the passes of one as a timeline.

What stands in a trace came from clients and vendors: no character of it may reach the terminal as a command.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from rotator.trace.reader import Summary

#: Of a body or of headers, without ``--all``.
BODY_LINES: Final = 40
HEADER_LINES: Final = 40
#: A column of the table gets no narrower than this to fit the terminal.
_NARROWEST: Final = 10
_HEAD: Final = ("WHEN", "ID", "STATUS", "MS", "TRIES", "LANE", "MODEL", "KEY", "NOTE")
_RIGHT: Final = frozenset({"STATUS", "MS", "TRIES"})
#: Where the texts of a pass begin: behind the milliseconds; deeper for what is further from the client.
_TIME_COLUMNS: Final = 10
_INDENTS: Final = {"client": 0, "engine": 2, "adapter": 4, "upstream": 4}
_NAME_COLUMNS: Final = 24
#: From here on facts that need a second line stand below each other.
_WIDE: Final = 100
#: Keys of an entry that are no facts, and facts that stand in front without their name.
_OWN: Final = frozenset(
    {
        "v", "request", "seq", "at", "ms", "pass", "side", "direction", "attempt", "headers", "body", "losses", "notes",
        "candidates",
    }
)  # fmt: skip
#: Facts that are lists of objects: one line each.
_LISTED: Final = ("losses", "notes")
LISTED_LINES: Final = 20
_LEADING: Final = {
    "client_request": ("method", "path"),
    "upstream_request": ("method", "url"),
    "upstream_response": ("status",),
    "client_response": ("status",),
    "decision": ("chosen", "why"),
    "wait": ("why",),
    "attempt": ("credential",),
    "stage": ("stage",),
    "verdict": ("action", "blame", "reason"),
    "outcome": ("ended",),
    "end": ("status",),
}


def printable(text: str) -> str:
    """A text whose control and invisible characters are escapes; letters of any language stay."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def when(at: float, now: float) -> str:
    """``12:00:01``, with the date in front if that was another day."""
    try:
        moment, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now)
    except (OverflowError, OSError, ValueError):
        return "?"
    return moment.strftime("%H:%M:%S" if moment.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def table(requests: Sequence[Summary], now: float, columns: int) -> Iterator[str]:
    """One line a request under a head; long models and notes are shortened where the line would not fit."""
    rows = [list(_HEAD), *([printable(cell) for cell in _cells(one, now)] for one in requests)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for name in ("MODEL", "KEY", "NOTE"):
        column = _HEAD.index(name)
        excess = sum(widths) + 2 * (len(widths) - 1) - columns
        widths[column] = max(widths[column] - max(0, excess), min(widths[column], _NARROWEST))
    for row in rows:
        cells = (
            cell.rjust(width) if name in _RIGHT else shortened(cell, width).ljust(width)
            for name, cell, width in zip(_HEAD, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def shortened(text: str, columns: int) -> str:
    """A text that fits, with an ellipsis where something is missing."""
    return text if len(text) <= columns else f"{text[: columns - 1]}\u2026"


def without_middle(text: str, columns: int) -> str:
    """A line that fits: events and messages differ at their ends."""
    front = columns // 3
    return text if len(text) <= columns else f"{text[:front]}\u2026{text[len(text) - columns + front + 1 :]}"


def _cells(one: Summary, now: float) -> tuple[str, ...]:
    status, ms = (str(one.status or "-"), f"{one.ms:.0f}") if one.ended else ("...", "")
    credential = one.credential
    if one.provider and not credential.startswith(one.provider):
        credential = f"{one.provider} {credential}".rstrip()
    model = one.model or f"{one.method} {one.path}".strip()
    return (when(one.at, now), one.request, status, ms, str(one.attempts), one.lane, model, credential, one.note)


class Timeline:
    """The passes of one request as indented lines.  ``whole``: nothing is shortened."""

    def __init__(self, columns: int, *, whole: bool) -> None:
        self._columns = max(40, columns)
        self._whole = whole

    def lines(self, entries: Iterable[dict[str, Any]]) -> Iterator[str]:
        """One block an entry: time, pass and facts; below it headers and body."""
        for entry in entries:
            yield from self._head(entry)
            indent = " " * (_TIME_COLUMNS + _INDENTS.get(str(entry.get("side")), 2) + 2)
            for name in _LISTED:
                yield from self._fitted([*map(_told, entry.get(name) or ())], indent, LISTED_LINES)
            at = entry["at"] if isinstance(entry.get("at"), int | float) else 0.0
            for one in (entry.get("candidates") or ())[: None if self._whole else LISTED_LINES]:
                if _reasons(one):
                    yield from self._wrapped(_left_out(one, at), indent)
            headers = entry.get("headers")
            if isinstance(headers, dict):
                yield from self._fitted(_headers(headers), indent, HEADER_LINES)
            body = entry.get("body")
            if isinstance(body, dict):
                yield from self._body(body, indent)

    def _head(self, entry: dict[str, Any]) -> Iterator[str]:
        indent = _INDENTS.get(str(entry.get("side")), 2)
        name = printable(str(entry.get("pass")))
        number = f" {_fact(entry['attempt'])}" if entry.get("attempt") else ""
        facts = "  ".join(_facts(entry))
        ms = entry.get("ms")
        time = f"{ms:.1f}" if isinstance(ms, int | float) else "?"
        first = f"{time:>{_TIME_COLUMNS - 1}} {' ' * indent}{name + number:<{_NAME_COLUMNS - indent}}"
        yield from textwrap.wrap(
            facts,
            self._columns,
            initial_indent=f"{first} ",
            subsequent_indent=" " * (_TIME_COLUMNS + (_NAME_COLUMNS + 1 if self._columns >= _WIDE else indent + 4)),
            break_on_hyphens=False,
        ) or [first.rstrip()]

    def _body(self, body: dict[str, Any], indent: str) -> Iterator[str]:
        if "json" in body:
            text = json.dumps(body["json"], indent=2, ensure_ascii=False)
        else:
            text = str(body.get("text", ""))
        lines = text.removesuffix("\n").split("\n") if text else []
        if not self._whole:
            lines = [line for line in lines if line.strip()]  # a stream's events have one between them
        size = f"{_fact(body.get('bytes'))} bytes"
        cut = ", only the beginning was kept" if body.get("cut") else ""
        yield f"{indent}({size}{cut})"
        yield from self._fitted(lines, indent, BODY_LINES)

    def _wrapped(self, text: str, indent: str) -> list[str]:
        deeper = f"{indent}  "
        return textwrap.wrap(
            printable(text), self._columns, initial_indent=indent, subsequent_indent=deeper, break_on_hyphens=False
        )

    def _fitted(self, lines: Sequence[str], indent: str, most: int) -> Iterator[str]:
        columns = self._columns - len(indent)
        shown = lines if self._whole or len(lines) <= most else lines[:most]
        for line in shown:
            text = printable(line)
            yield f"{indent}{text if self._whole else without_middle(text, columns)}".rstrip()
        if len(shown) < len(lines):
            yield f"{indent}... {len(lines) - len(shown)} more lines (--all shows them)"


def _facts(entry: dict[str, Any]) -> Iterator[str]:
    """What matters of an entry: first what needs no name, then ``name=value``; what is empty is left out."""
    leading = _LEADING.get(str(entry.get("pass")), ())
    if entry.get("pass") == "decision" and entry.get("chosen") is None:
        yield "no key"
    for name in leading:
        if entry.get(name) not in (None, ""):
            yield _fact(entry[name])
    if entry.get("pass") == "stage":
        yield _fact(entry.get("direction"))
    for name, value in entry.items():
        if name not in _OWN and name not in leading and value not in (None, "", [], {}):
            yield f"{printable(name)}={_fact(value)}"


def _told(entry: Any) -> str:
    """A loss or a note in one line."""
    values = entry.values() if isinstance(entry, dict) else (entry,)
    return "  ".join(_fact(value) for value in values if value not in (None, ""))


def _reasons(candidate: Any) -> list[dict[str, Any]]:
    found = candidate.get("reasons") if isinstance(candidate, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _left_out(candidate: dict[str, Any], at: float) -> str:
    """``openai#2  cooldown 42 s: rate_limit for big (stated, header)``."""
    words = []
    for reason in _reasons(candidate):
        until = reason.get("until")
        left = f" {max(0.0, until - at):.0f} s" if isinstance(until, int | float) else ""
        words.append(f"{_fact(reason.get('code'))}{left}: {_fact(reason.get('detail'))}")
    return f"{_fact(candidate.get('credential'))}  {'; '.join(words)}"


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return printable(text)


def _headers(headers: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {one if isinstance(one, str) else json.dumps(one)}"
        for name, value in headers.items()
        for one in (value if isinstance(value, list) else [value])
    ]
