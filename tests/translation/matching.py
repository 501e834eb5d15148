"""Comparing JSON with what is expected of it, where some places are known by their form only."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True)
class Like:
    """A string in which this pattern is found."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Named:
    """A string of this pattern: the same one wherever the name stands, another one for each other name."""

    name: str
    pattern: str = r"^[A-Za-z0-9_-]{1,40}$"


@dataclass(frozen=True, slots=True)
class JsonText:
    """A string that holds this JSON."""

    value: Any


@dataclass(frozen=True, slots=True)
class Having:
    """An object that holds at least these members."""

    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True, init=False)
class OneOf:
    """One of these."""

    choices: tuple[Any, ...]

    def __init__(self, *choices: Any) -> None:
        object.__setattr__(self, "choices", choices)


class _Absent:
    """What an object must not hold."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
#: Some words, whichever.
WORDS = Like(r"\S")


def overlay(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The base with members replaced, and without those that are ABSENT."""
    return {name: value for name, value in {**base, **more}.items() if value is not ABSENT}


def differences(expected: Any, got: Any) -> list[str]:
    """Every place where they differ, in words."""
    return _Comparison().compare(expected, got, "$")


class _Comparison:
    def __init__(self) -> None:
        self._named: dict[str, str] = {}

    def compare(self, expected: Any, got: Any, at: str) -> list[str]:
        match expected:
            case Like(pattern):
                return self._like(pattern, got, at)
            case Named(name, pattern):
                return self._like(pattern, got, at) or self._bind(name, got, at)
            case JsonText(value):
                return self._json_text(value, got, at)
            case Having(members):
                members = members if isinstance(got, dict) else {}
                got_members = {name: got[name] for name in members if name in got} if isinstance(got, dict) else got
                return self.compare(dict(members), got_members, at)
            case OneOf(choices):
                return self._one_of(choices, got, at)
            case Mapping():
                return self._objects(expected, got, at)
            case list() | tuple():
                return self._lists(expected, got, at)
        same = type(expected) is type(got) and expected == got
        return [] if same else [f"{at}: expected {expected!r}, got {got!r}"]

    def _like(self, pattern: str, got: Any, at: str) -> list[str]:
        if isinstance(got, str) and re.search(pattern, got, re.DOTALL):
            return []
        return [f"{at}: expected a string like {pattern!r}, got {got!r}"]

    def _bind(self, name: str, got: str, at: str) -> list[str]:
        known = self._named.setdefault(name, got)
        if known != got:
            return [f"{at}: expected {known!r} again ({name}), got {got!r}"]
        others = [other for other, value in self._named.items() if value == got and other != name]
        return [f"{at}: {got!r} is {others[0]} and {name}"] if others else []

    def _json_text(self, value: Any, got: Any, at: str) -> list[str]:
        try:
            inner = json.loads(got)
        except (TypeError, ValueError):
            return [f"{at}: expected JSON text, got {got!r}"]
        return self.compare(value, inner, f"{at}!")

    def _one_of(self, choices: Sequence[Any], got: Any, at: str) -> list[str]:
        before = dict(self._named)
        for choice in choices:
            self._named = dict(before)
            if not self.compare(choice, got, at):
                return []
        return [f"{at}: expected one of {choices!r}, got {got!r}"]

    def _objects(self, expected: Mapping[str, Any], got: Any, at: str) -> list[str]:
        if not isinstance(got, dict):
            return [f"{at}: expected an object, got {got!r}"]
        problems = [f"{at}.{name}: missing, expected {expected[name]!r}" for name in expected if name not in got]
        problems += [f"{at}.{name}: not expected, got {got[name]!r}" for name in got if name not in expected]
        for name in expected:
            if name in got:
                problems += self.compare(expected[name], got[name], f"{at}.{name}")
        return problems

    def _lists(self, expected: Sequence[Any], got: Any, at: str) -> list[str]:
        if not isinstance(got, list):
            return [f"{at}: expected a list, got {got!r}"]
        if len(expected) != len(got):
            return [f"{at}: expected {len(expected)} members {list(expected)!r}, got {len(got)}: {got!r}"]
        pairs = enumerate(zip(expected, got, strict=True))
        return [problem for place, (want, have) in pairs for problem in self.compare(want, have, f"{at}[{place}]")]


def code_differences(expected: Iterable[str], got: Iterable[str]) -> list[str]:
    """How the codes of losses differ from those of a case (see ``cells.Case``)."""
    left = Counter(got)
    problems = []
    for code in sorted(expected, key=lambda code: code.startswith("?")):
        names = code.removeprefix("?").split("|")
        hit = next((have for have in sorted(left) if left[have] and any(fnmatchcase(have, n) for n in names)), None)
        if hit is not None:
            left[hit] -= 1
        elif not code.startswith("?"):
            problems.append(f"loss {code} is not told")
    return problems + [f"loss {code} is told {times} times too often" for code, times in left.items() if times]
