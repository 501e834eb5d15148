"""JSON text in and out: orjson first, the standard library where orjson would refuse or change a value.

orjson rejects lone surrogates, reads integers beyond 64 bit as floats, parses 1,024 levels but writes only 254
(faults.md 0 item 6, measured again). Hence the depth limit, and the exact pair for texts that orjson cannot keep.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import orjson

from rotator.errors import RotatorError

#: Deepest nesting that is read. Whatever was read can be written again, with 54 levels to spare for what a conversion
#: wraps around it, and a walk that recurses three frames a level stays inside Python's default stack.
DEPTH_LIMIT = 200

#: Below this size counting brackets is cheaper than walking the levels.
_COUNTED_BYTES = 16_384
_INT64_MIN_MAGNITUDE = 2**63
_UINT64_MAX = 2**64 - 1

_DIGITS = re.compile(rb"[0-9]+")
_LONG_DIGITS = 19  # of 2**63
_BEFORE_NUMBER = b"[,: \t\r\n"
_DIGITS_AS_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))


class NotJson(RotatorError):
    """The text is no JSON that can be kept. ``position`` counts characters from the start, 0 where it is unknown."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(f"{message} (at {position})")
        self.message = message
        self.position = position


def loads(body: bytes | memoryview) -> Any:
    """Read one JSON text; raise :class:`NotJson`. Integers beyond 64 bit become floats (see :func:`loads_exact`)."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return loads_exact(body)
    if len(body) > 2 * DEPTH_LIMIT and _too_deep(value, body):
        raise NotJson(f"nested deeper than {DEPTH_LIMIT} levels")
    return value


def read(body: bytes) -> tuple[Any, bool]:
    """``(value, exact)`` in one parse: ``exact`` is what :func:`needs_exact` says, and the value was read that way."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return loads_exact(body), True
    if _has_long_integer(body):
        return loads_exact(body), True
    if len(body) > 2 * DEPTH_LIMIT and _too_deep(value, body):
        raise NotJson(f"nested deeper than {DEPTH_LIMIT} levels")
    return value, False


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON. What orjson cannot write (integers beyond 64 bit, lone surrogates) the standard library
    does, lone surrogates as escapes. U+2028, U+2029 and U+0085 stay raw: the SSE writer escapes them."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return dumps_exact(value)


def is_json(text: bytes) -> bool:
    """Whether :func:`loads` would take it."""
    try:
        loads(text)
    except NotJson:
        return False
    return True


def needs_exact(body: bytes) -> bool:
    """Whether orjson cannot keep what this JSON text says: integers beyond 64 bit, lone surrogate escapes.

    May say yes for digits inside a string, and says yes for what is no JSON; never no for a text that needs it.
    """
    if _has_long_integer(body):
        return True
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return True
    return False


def loads_exact(body: bytes | memoryview) -> Any:
    """:func:`loads` by the standard library: every integer and every lone surrogate is kept."""
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError as error:
        raise NotJson("not valid UTF-8", error.start) from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.pos) from None
    except RecursionError:
        raise NotJson(f"nested deeper than {DEPTH_LIMIT} levels") from None
    except ValueError:  # Python refuses to read integers of more than 4,300 digits
        raise NotJson("an integer has too many digits") from None
    if len(text) > 2 * DEPTH_LIMIT and _too_deep(value, body):
        raise NotJson(f"nested deeper than {DEPTH_LIMIT} levels")
    return value


def dumps_exact(value: Any) -> bytes:
    """:func:`dumps` by the standard library, for values of :func:`loads_exact`."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Only surrogates cannot be encoded, and a backslash replacement of one is its JSON escape.
    return text.encode("utf-8", "backslashreplace")


def _too_deep(value: Any, body: bytes | memoryview) -> bool:
    """By levels, in time of the number of values; a small text is asked first whether it has enough brackets."""
    if len(body) < _COUNTED_BYTES and isinstance(body, bytes) and body.count(b"{") + body.count(b"[") <= DEPTH_LIMIT:
        return False
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_LIMIT):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _has_long_integer(body: bytes) -> bool:
    """Searches a copy whose digits are all zeros. Among every fourth byte, four digits in a row must show before."""
    if b"0000" not in body[::4].translate(_DIGITS_AS_ZERO):
        return False
    digits, run = body.translate(_DIGITS_AS_ZERO), b"0" * _LONG_DIGITS
    start = digits.find(run)
    while start >= 0:
        match = _DIGITS.match(digits, start)
        end = match.end() if match else start + _LONG_DIGITS
        if _is_long_integer(body, start, end):
            return True
        start = digits.find(run, end)
    return False


def _is_long_integer(body: bytes, start: int, end: int) -> bool:
    """Whether this run of digits is an integer outside of what orjson keeps, and not part of a string or a float."""
    negative = start > 0 and body[start - 1] == 0x2D
    before = start - 1 - negative
    if before >= 0 and body[before] not in _BEFORE_NUMBER:
        return False
    if body[end : end + 1] in (b".", b"e", b"E"):
        return False
    return end - start > 20 or int(body[start:end]) > (_INT64_MIN_MAGNITUDE if negative else _UINT64_MAX)


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJson("a number is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
