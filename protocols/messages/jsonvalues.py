"""Tool arguments between text and objects."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

from rotator.api import NotJson, dumps, loads

#: ``loads`` reads integers beyond 64 bit as floats; P65 of conversion-pitfalls.md keeps every number as it was spelt.
_LONG_INTEGER: Final = re.compile(rb"[0-9]{19}")
_DIGITS_AS_ZERO: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))


def arguments_text(value: Any) -> str:
    """Arguments as their JSON text; null is no argument."""
    return "{}" if value is None else dumps(value).decode()


def arguments_value(text: str) -> Any:
    """The JSON in the text of arguments; raises NotJson."""
    raw = text.encode("utf-8", "surrogatepass")
    # Nineteen digits in a row are at least four in every fourth byte, which most texts do not have.
    if b"0000" in raw[::4].translate(_DIGITS_AS_ZERO) and _LONG_INTEGER.search(raw):
        return _exact(text)
    return loads(raw)


def _exact(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_no_json, parse_float=_finite)
