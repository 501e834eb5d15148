"""Put another model name into a JSON request and leave every other byte as it is (design.md 2.1, the raw lane).

A search of the bytes finds ``"model"`` before a colon: keys at any depth, and ends of strings that hold a quote. Which
of them are keys at the top is asked of the parser: each is renamed to a mark of its own, and the marks that the
parsed object has as keys are the ones.
"""

from __future__ import annotations

import re
import secrets

from rotator.wire import jsontext

_KEY = b'"model"'
_BACKSLASH = 0x5C
#: A ``\u`` escape of m, o, d, e or l begins like this: such a key may be spelled in ways that a search cannot see.
_ESCAPED_LETTER = b"\\u006"
#: More places than this are not worth a search: the body is parsed and written anew.
_KEYS_LIMIT = 4096
#: No client can have a key like this one, as it never leaves the process.
_MARK = secrets.token_hex(8)

_FIRST = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')


class Unsure(Exception):
    """Bytes alone do not tell where the model stands, or that it stands there once and is a string."""


def splice_model(body: bytes, model: str) -> bytes:
    """``body`` with the top-level ``model`` set to ``model``.

    ``body`` was read as JSON before. The very same object comes back where nothing is to change. Where the place is
    in doubt (two such keys, an escaped spelling, no string, no such key) the object is parsed, set and written anew;
    raises :class:`~rotator.wire.jsontext.NotJson` if it is no JSON object.
    """
    try:
        start, end = model_span(body)
    except Unsure:
        return _rewritten(body, model)
    old, new = body[start:end], jsontext.dumps(model)
    if old == new or (_BACKSLASH in old and jsontext.loads(old) == model):
        return body
    rest = memoryview(body)
    return b"".join((rest[:start], new, rest[end:]))


def model_span(body: bytes) -> tuple[int, int]:
    """Start and end of the top-level ``model`` string in a JSON object, quotes included; raises :class:`Unsure`."""
    first = _FIRST.match(body)
    if first and body.find(_KEY, first.end()) < 0 and _ESCAPED_LETTER not in body:
        return first.span(1)
    value = _top_level_value(body, _keys(body))
    string = _STRING.match(body, value)
    if string is None:
        raise Unsure("the model is no string")
    return string.span()


def _keys(body: bytes) -> list[int]:
    """Where ``"model"`` stands before a colon: every key spelled so, at any depth, and perhaps the end of a string."""
    found: list[int] = []
    at = body.find(_KEY)
    for _ in range(_KEYS_LIMIT):
        if at < 0:
            return found
        if _COLON.match(body, at + len(_KEY)):
            found.append(at)
        at = body.find(_KEY, at + len(_KEY))
    raise Unsure("too many keys")


def _top_level_value(body: bytes, keys: list[int]) -> int:
    """Where the value of the one top-level key among ``keys`` starts."""
    parts: list[bytes | memoryview] = []
    rest, done = memoryview(body), 0
    for number, at in enumerate(keys):
        parts += (rest[done:at], f'"{_MARK}{number}"'.encode())
        done = at + len(_KEY)
    parts.append(rest[done:])
    try:
        marked = jsontext.loads(b"".join(parts))
    except jsontext.NotJson as error:
        raise Unsure("no JSON") from error
    if not isinstance(marked, dict) or "model" in marked:  # still there: it was spelled with escapes
        raise Unsure("no object, or an escaped key")
    top = [at for number, at in enumerate(keys) if f"{_MARK}{number}" in marked]
    if len(top) != 1:
        raise Unsure(f"{len(top)} top-level keys")
    colon = _COLON.match(body, top[0] + len(_KEY))
    assert colon is not None  # _keys saw it
    return colon.end()


def _rewritten(body: bytes, model: str) -> bytes:
    value, _ = jsontext.read(body)
    if not isinstance(value, dict):
        raise jsontext.NotJson("not a JSON object")
    value["model"] = model
    return jsontext.dumps(value)
