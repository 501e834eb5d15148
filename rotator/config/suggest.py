"""The nearest valid name for one that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words(name: str) -> str:
    """``apiKey``, ``API-KEY`` and ``api_key`` in one spelling: ``api_key``."""
    return _HUMP.sub("_", name).replace("-", "_").lower()


def edits(one: str, other: str) -> int:
    """How many letters to add, drop, replace or swap with their neighbour to get from one to the other."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, against in enumerate(other, 1):
            same = letter == against
            cost = min(last[column] + 1, line[column - 1] + 1, last[column - 1] + (not same))
            swapped = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against
            line.append(min(cost, before[column - 2] + 1) if swapped else cost)
        before, last = last, line
    return last[-1]


def one_edit_apart(one: str, other: str) -> bool:
    """The same as ``edits(one, other) <= 1``, in linear time: asked for every variable of the environment."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, against = one[start:], other[start:]
    while rest and against and rest[-1] == against[-1]:
        rest, against = rest[:-1], against[:-1]
    return len(rest) <= 1 and len(against) <= 1 or len(rest) == 2 and rest == against[::-1]


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that was most likely meant, or None if none is near.

    Near is a third of the name's length in edits, or one name beginning with the other (``timeout_seconds``).
    """
    wanted = words(name)
    ranked = sorted((edits(wanted, words(other)), index, other) for index, other in enumerate(valid))
    if ranked and ranked[0][0] <= max(1, len(wanted) // 3):
        return ranked[0][2]
    for _, _, other in ranked:
        short, long = sorted((wanted, words(other)), key=len)
        if len(short) > 3 and long.startswith(short):
            return other
    return None


def unknown(noun: str, name: str, valid: Iterable[str]) -> str:
    """The reason of a problem: ``unknown key (did you mean timeout?)``."""
    meant = nearest(name, valid)
    return f"unknown {noun} (did you mean {meant}?)" if meant else f"unknown {noun}"
