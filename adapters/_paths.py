"""Places in wire JSON as options name them: the path language of the adapters, and walking along a path.

A path is names of members joined by dots. Behind a name may stand ``[*]``, every item of the list there, or a number
in brackets, one item, counted from 0 or with a minus from the end; the last step is a name. ``user``,
``usage.prompt_tokens_details``, ``choices[*].delta.reasoning``, ``messages[-1].name``. A name is any text without dots
and brackets: digits without brackets are a name, too, and nothing is quoted. It is a part of the language of engine.md
5.2.

A path never fails on a body: where a member is missing, a list is too short or a value is of another kind, there is
nothing of that name. What is there counts even if it is null, "" or 0 (engine.md 4.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

#: A name and the list steps behind it.
_NAMED: Final = re.compile(r"([^.\[\]]+)((?:\[(?:\*|-?[0-9]{1,9})\])*)\Z")
_INDEX: Final = re.compile(r"\[([^\]]*)\]")
_GRAMMAR: Final = "names joined by dots, behind a name [*] or a number in brackets, a name at the end"

#: A member's name, an item's index, or None for every item.
Step = str | int | None


class Place(NamedTuple):
    """An object that a path's list steps lead to, and the index that each of them has there."""

    holder: dict[str, Any]
    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """``head`` are the steps up to the last one into a list, ``tail`` the names behind it: at least one."""

    head: tuple[Step, ...]
    tail: tuple[str, ...]

    @classmethod
    def of(cls, key: str, text: str) -> Path:
        """The path that stands under an option's key.  Raises ValueError naming the key and what a path is."""
        steps: list[Step] = []
        for part in text.split("."):
            named = _NAMED.match(part)
            if named is None:
                raise ValueError(f"{key}: {text!r} is no path ({_GRAMMAR})")
            steps.append(named[1])
            steps += (None if index == "*" else int(index) for index in _INDEX.findall(named[2]))
        last = max((place for place, step in enumerate(steps, 1) if not isinstance(step, str)), default=0)
        tail = tuple(step for step in steps[last:] if isinstance(step, str))
        if not tail:
            raise ValueError(f"{key}: {text!r} is no path ({_GRAMMAR})")
        return cls(tuple(steps[:last]), tail)

    def places(self, body: Any) -> Iterator[Place]:
        """The objects in which the tail begins, in the order of the text."""
        return _reached(body, self.head, ())

    def parent(self, place: Place, *, make: bool = False) -> dict[str, Any] | None:
        """The object that has the last name, or would have it; None where something else is in its way.

        ``make``: objects that are missing on the way are made; otherwise they are in its way, too.
        """
        parent = place.holder
        for name in self.tail[:-1]:
            below = parent.setdefault(name, {}) if make else parent.get(name)
            if not isinstance(below, dict):
                return None
            parent = below
        return parent

    def shown(self, place: Place) -> str:
        """The path to one place: with its own indexes instead of ``[*]``."""
        indexes = iter(place.indexes)
        head = "".join(f".{step}" if isinstance(step, str) else f"[{next(indexes)}]" for step in self.head)
        return ".".join((head, *self.tail)).removeprefix(".")


def _reached(value: Any, steps: Sequence[Step], indexes: tuple[int, ...]) -> Iterator[Place]:
    if not steps:
        if isinstance(value, dict):
            yield Place(value, indexes)
        return
    step = steps[0]
    if isinstance(step, str):
        if isinstance(value, dict) and step in value:
            yield from _reached(value[step], steps[1:], indexes)
    elif isinstance(value, list):
        size = len(value)
        for index in range(size) if step is None else (step,):
            if -size <= index < size:
                yield from _reached(value[index], steps[1:], (*indexes, index % size))
