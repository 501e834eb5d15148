"""A client's tools and its choice among them.  Source: protocols.md 2.3, 2.7, 2.8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from rotator.api import Opaque, Path, Tool, ToolPolicy, Turn

from .._reading import Fields, refuse
from .._web_search import read_search
from .parse_parts import read_cache
from .vocabulary import HOSTED_TOOLS, TOOL_SEARCH, WEB_SEARCH

Mode = Literal["auto", "none", "required", "named"]

MODES: Final[dict[str, Mode]] = {"auto": "auto", "none": "none", "any": "required", "tool": "named"}
NO_POLICY: Final = ToolPolicy()
#: Where servers of tools are named that the vendor asks.  Source: protocols.md 2.3, "MCP / connectors".
SERVERS: Final = "mcp_servers"


def read_tools(fields: Fields) -> tuple[Tool, ...]:
    """``tools``: an entry with a ``type`` of its own is one that the vendor defined, and is kept whole."""
    at = (*fields.at, "tools")
    return tuple(read_tool(value, (*at, place)) for place, value in enumerate(fields.list("tools") or ()))


def added_tools(turns: Iterable[Turn], servers: Sequence[Any], known: Iterable[Tool]) -> Iterator[Tool]:
    """Tools that stand elsewhere: ``mcp_servers``, and what a ``tool_addition`` in the conversation defines.

    Of two with one name that in ``tools`` counts.  Source: protocols.md 2.3, "Additional tools mid-input"; anthropic
    types, BetaRequestToolAdditionBlockParam.
    """
    names = {tool.name for tool in known}
    for place, server in enumerate(servers):
        fields = Fields(server, (SERVERS, place))
        yield Tool(fields.text("name") or SERVERS, "hosted", data=server, at=fields.at)
    for part in (part for turn in turns if turn.role == "system" for part in turn.parts):
        if isinstance(part, Opaque) and part.type == "tool_addition":
            added = part.data.get("tool")
            defined = added.get("definition") if isinstance(added, dict) else None
            tool = read_tool(defined, (*part.at, "tool", "definition")) if isinstance(defined, dict) else None
            if tool is not None and tool.name not in names:
                names.add(tool.name)
                yield tool


def read_tool(value: Any, at: Path) -> Tool:
    """One of ``tools``, or what a ``tool_addition`` defines."""
    fields = Fields(value, at)
    kind = fields.text("type")
    if kind is not None and kind != "custom":
        return _vendors(kind, value, fields)
    return Tool(
        fields.word("name"),
        description=fields.text("description") or "",
        schema=fields.mapping("input_schema"),
        strict=fields.flag("strict"),
        cache=read_cache(value, fields),
        at=at,
        rest=fields.rest(),
    )


def _vendors(kind: str, value: dict[str, Any], fields: Fields) -> Tool:
    """A tool that the vendor defined."""
    name, at = fields.text("name") or kind, fields.at
    if kind.startswith(WEB_SEARCH):
        mark = read_cache(value, fields)
        search = read_search(fields)
        return Tool(name, "hosted", data=value, search=search, cache=mark, at=at, rest=fields.rest())
    finds = kind.startswith(TOOL_SEARCH)
    return Tool(name, "hosted" if kind.startswith(HOSTED_TOOLS) else "builtin", data=value, finds_tools=finds, at=at)


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
