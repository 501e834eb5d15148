"""A member that a vendor demands, or that an operator wants, where the other side leaves it out.

Messages servers demand ``max_tokens`` (protocols.md 2.5, "Max output"), some models think unless they are told not to
(protocols.md 2.4, "Off"), and what compatible servers leave out of an answer typed clients may need. It is the
``default`` and the ``force`` of engine.md 4.9, ``param_rules``.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from rotator.api import dumps

from ._fields import Directed, Direction, FieldAdapter
from ._paths import Path


@dataclass(frozen=True, kw_only=True)
class SetDefaultOptions(Directed):
    """``value`` is any JSON, null too. ``force`` replaces what is there."""

    field: str
    value: Any
    force: bool = False

    def __post_init__(self) -> None:
        Directed.__post_init__(self)
        Path.of("field", self.field)
        try:
            json.dumps(self.value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("value: is no JSON") from None


class SetDefault(FieldAdapter):
    """Objects that are missing on the way are made, lists and their items are not; null is a value and stays.

    Where something else than an object is in the way, nothing changes. Into events only the member itself is put: an
    event that lacks the object around it is one of another type.
    """

    Options = SetDefaultOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._path = Path.of("field", self.options.field)

    def edit(self, body: dict[str, Any], direction: Direction) -> None:
        path, name, value = self._path, self._path.tail[-1], self.options.value
        for place in path.places(body):
            parent = path.parent(place, make=direction != "event")
            if parent is None:
                continue
            present = name in parent
            if present and (not self.options.force or dumps(parent[name]) == dumps(value)):
                continue
            parent[name] = copy.deepcopy(value)  # the options outlive the attempt, whose JSON may be edited further
            self.ctx.note(self.name, "replaced" if present else "set", "", path.shown(place))
