"""A client's tools and its choice among them.  Source: protocols.md 2.3, 2.7, 2.8."""

from __future__ import annotations

from typing import Any, Final, Literal

from rotator.api import Path, Tool, ToolPolicy

from .._reading import Fields, refuse
from .parse_parts import read_cache
from .vocabulary import HOSTED_TOOLS

Mode = Literal["auto", "none", "required", "named"]

MODES: Final[dict[str, Mode]] = {"auto": "auto", "none": "none", "any": "required", "tool": "named"}
NO_POLICY: Final = ToolPolicy()


def read_tools(fields: Fields) -> tuple[Tool, ...]:
    """``tools``: an entry with a ``type`` of its own is one that the vendor defined, and is kept whole."""
    at = (*fields.at, "tools")
    return tuple(_tool(value, (*at, place)) for place, value in enumerate(fields.list("tools") or ()))


def _tool(value: Any, at: Path) -> Tool:
    fields = Fields(value, at)
    kind = fields.text("type")
    if kind is not None and kind != "custom":
        vendors: Literal["hosted", "builtin"] = "hosted" if kind.startswith(HOSTED_TOOLS) else "builtin"
        return Tool(fields.text("name") or kind, vendors, data=value, at=at)
    return Tool(
        fields.word("name"),
        description=fields.text("description") or "",
        schema=fields.mapping("input_schema"),
        strict=fields.flag("strict"),
        cache=read_cache(value, fields),
        at=at,
        rest=fields.rest(),
    )


def read_policy(fields: Fields) -> ToolPolicy:
    """``tool_choice``: an object with its ``type`` (P59 of conversion-pitfalls.md: nothing is guessed)."""
    choice = fields.fields("tool_choice")
    if choice is None:
        return NO_POLICY
    mode = MODES.get(choice.word("type"))
    if mode is None:
        refuse((*choice.at, "type"), "must be auto, any, tool or none")
    names = (choice.word("name"),) if mode == "named" else ()
    alone = choice.flag("disable_parallel_tool_use")
    return ToolPolicy(mode, names, parallel=None if alone is None else not alone, at=choice.at, rest=choice.rest())
