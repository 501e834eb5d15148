"""Members that a vendor does not take, or that a client need not see.

Vendors answer 400 to parameters that are right elsewhere: sampling to reasoning models (protocols.md 2.5), ``labels``
to AI Studio and safety settings to Gemma (engine.md 13.2 row 3), and a strict one to any that it does not know, such
as ``cache_control`` on the parts of a Chat message (protocols.md 2.8). It is the ``drop`` of engine.md 4.9,
``param_rules``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._fields import Directed, Direction, FieldAdapter
from ._paths import Path


@dataclass(frozen=True, kw_only=True)
class DropFieldOptions(Directed):
    """One ``field`` or several ``fields``."""

    field: str | None = None
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Directed.__post_init__(self)
        if (self.field is None) == (not self.fields):
            raise ValueError("expected either field or fields")
        paths(self)


class DropField(FieldAdapter):
    """What is above a dropped member stays, even if nothing is left in it."""

    Options = DropFieldOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._paths = paths(self.options)

    def edit(self, body: dict[str, Any], direction: Direction) -> None:
        for path in self._paths:
            for place in path.places(body):
                parent = path.parent(place)
                if parent is not None and path.tail[-1] in parent:
                    del parent[path.tail[-1]]
                    self.ctx.note(self.name, "dropped", path.shown(place))


def paths(options: DropFieldOptions) -> tuple[Path, ...]:
    """All paths of the options.  Raises ValueError naming the key of a wrong one."""
    if options.field is not None:
        return (Path.of("field", options.field),)
    return tuple(Path.of(f"fields[{index}]", text) for index, text in enumerate(options.fields))
