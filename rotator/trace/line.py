"""One entry as one line of JSON: the only place where what the trace holds becomes text, and where it is redacted."""

from __future__ import annotations

import re
from typing import Any, Final

from rotator.trace.deltas import rejoined
from rotator.trace.entry import PASSES, UNKNOWN, VERSION, Entry, fact_key
from rotator.trace.redaction import Redaction
from rotator.wire.jsontext import dumps

#: What moves a cursor, turns the direction of writing or ends a line for some reader, though JSON allows it
#: (faults.md 2 row 26): U+007F to U+009F, U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F and U+FEFF in UTF-8.
_UNSAFE: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf")

#: A form or a query alone: its first name has no "?" in front.
_FORM: Final = re.compile(r"""[\w.%+~-]{1,64}=[^\s{}"'<>]*+""")


def one_line(text: bytes) -> bytes:
    """JSON text with every odd character of its strings escaped; one line whoever splits it."""
    if text.isascii() and b"\x7f" not in text:
        return text
    return _UNSAFE.sub(lambda match: b"\\u%04x" % ord(match[0].decode()), text)


def line(entry: Entry, redaction: Redaction, body_limit_bytes: int) -> bytes:
    """The line of an entry, with its end."""
    side, direction = PASSES.get(entry.name, UNKNOWN)
    facts = redaction.facts({fact_key(name): value for name, value in entry.facts.items()})
    written: dict[str, Any] = {
        "v": VERSION,
        "request": entry.request,
        "seq": entry.seq,
        "at": round(entry.at, 3),
        "ms": round(entry.ms, 3),
        "pass": entry.name,
        "side": side,
        "direction": facts.pop("direction", direction),
        "attempt": entry.attempt,
        **facts,
    }
    if entry.headers:
        written["headers"] = _headers(entry.headers, redaction)
    text = dumps(written)
    if entry.body is not None:
        text = text[:-1] + b',"body":' + _body(entry.body, entry.body_bytes, redaction, body_limit_bytes) + b"}"
    return one_line(text) + b"\n"


def _headers(headers: tuple[tuple[str, str], ...], redaction: Redaction) -> dict[str, Any]:
    """By lower-case name; one that came several times has a list."""
    found: dict[str, Any] = {}
    for name, value in headers:
        shown = redaction.short(name.lower())
        value = redaction.header(name, value)
        if shown not in found:
            found[shown] = value
        elif isinstance(found[shown], list):
            found[shown].append(value)
        else:
            found[shown] = [found[shown], value]
    return found


def _body(body: bytes, whole_bytes: int, redaction: Redaction, limit_bytes: int) -> bytes:
    """``{"bytes":N,"json":...}`` or ``{"bytes":N,"text":"..."}``, ``"cut":true`` where only its beginning is kept.

    ``body`` may be longer than the limit: what follows shows whether a secret lies across the cut. Where less follows
    than is needed for that, the cut moves back.
    """
    cut = whole_bytes > min(limit_bytes, len(body))
    if not cut:
        json = redaction.json_text(body)
        if json is not None:
            return b'{"bytes":%d,"json":%s}' % (whole_bytes, json.encode())
    text = body.decode("utf-8", "replace")
    limit = len(text)
    if cut:
        unseen = whole_bytes > len(body)
        kept_bytes = min(limit_bytes, len(body) - redaction.margin_bytes) if unseen else limit_bytes
        limit = len(_characters(body, kept_bytes))
    text, limit = rejoined(text, limit, redaction)
    if cut:
        text = redaction.beginning(text, limit)
    elif _FORM.fullmatch(text):
        text = redaction.form(text)
    else:
        text = redaction.text(text)
    return b'{"bytes":%d,"text":%s%s}' % (whole_bytes, dumps(text), b',"cut":true' if cut else b"")


def _characters(body: bytes, limit_bytes: int) -> str:
    """The whole characters among the first bytes."""
    limit_bytes = max(0, limit_bytes)
    for _ in range(3):  # no character has more bytes that continue it
        if 0 < limit_bytes < len(body) and 0x80 <= body[limit_bytes] < 0xC0:
            limit_bytes -= 1
    return body[:limit_bytes].decode("utf-8", "replace")
