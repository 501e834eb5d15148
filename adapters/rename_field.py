"""A member under another name, or at another place below the same object.

Compatible servers differ in names only: reasoning comes as ``reasoning`` from some and as ``reasoning_content`` from
most (protocols.md 4.3, "Reasoning"; the built-ins ``field_rename`` and ``reasoning_content`` of engine.md 4.9), OpenAI
wants ``max_completion_tokens`` where others want ``max_tokens`` (protocols.md 2.5, "Max output"), effort is
``reasoning.effort`` or ``reasoning_effort`` (protocols.md 2.4).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from rotator.api import setting

from ._fields import Directed, Direction, FieldAdapter
from ._paths import Path


@dataclass(frozen=True, kw_only=True)
class RenameFieldOptions(Directed):
    """``source`` and ``to`` lead through the same list steps: otherwise several values might claim one place.

    ``keep`` copies. ``overwrite`` replaces what is at ``to`` already; without it both stay as they are.
    """

    source: str = setting(key="from")
    to: str
    keep: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        Directed.__post_init__(self)
        source, target = Path.of("from", self.source), Path.of("to", self.to)
        if source.head != target.head:
            raise ValueError("to: must begin as from does, up to the last list step")
        shorter = min(len(source.tail), len(target.tail))
        if source.tail[:shorter] == target.tail[:shorter]:
            raise ValueError("to: neither may be the other, or lie inside it")


class RenameField(FieldAdapter):
    """Objects that are missing on the way to the new place are made, emptied ones stay.

    Where something else than an object is in the way, nothing changes.
    """

    Options = RenameFieldOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._source, self._target = Path.of("from", self.options.source), Path.of("to", self.options.to)

    def edit(self, body: dict[str, Any], direction: Direction) -> None:
        source, target = self._source, self._target
        name, new = source.tail[-1], target.tail[-1]
        for place in source.places(body):
            parent = source.parent(place)
            if parent is None or name not in parent:
                continue
            goal = target.parent(place, make=True)
            if goal is None or (new in goal and not self.options.overwrite):
                continue
            goal[new] = copy.deepcopy(parent[name]) if self.options.keep else parent.pop(name)
            code = "copied" if self.options.keep else "renamed"
            self.ctx.note(self.name, code, source.shown(place), target.shown(place))
