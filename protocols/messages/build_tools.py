"""Tools and the choice among them for an upstream.  Source: protocols.md 2.3, 2.7; conversion-pitfalls.md 3.5, 3.6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from rotator.api import Ledger, Request, Tool, ToolCall, ToolName, ToolPolicy

from .._cache import cache_control as foreign_mark
from .._names import ToolNames
from .._reading import refuse
from .._schemas import is_strict, output_schema, tool_schema
from .._shared import fresh
from .build_hosted import NAME as WEB_SEARCH
from .build_hosted import hosted_tool
from .build_parts import cache_control
from .dialect import MessagesDialect
from .vocabulary import NAME_LIMIT

STEP = "messages.build.tools"
#: Where tools may stand that are no members of ``tools``.
ELSEWHERE: Final = (("messages",), ("mcp_servers",))
#: Different tools of one name; more are a mistake, and comparing them takes time.
SAME_NAME_LIMIT: Final = 20
TYPES: Final = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
#: The one argument of a function that stands for a free-form tool; ``rotator.neutral.restore`` takes it out again.
INPUT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What a body says of tools.  ``names``: those that are to be told back otherwise, as ``Built`` has them."""

    tools: list[dict[str, Any]]
    choice: dict[str, Any] | None
    names: Mapping[str, ToolName] = field(default_factory=dict)


# ---------------------------------------------------------------- the own protocol


def own_tools(request: Request) -> Toolbox:
    """Tools and choice as a Messages client wrote them."""
    policy = request.policy
    choice = None
    if policy.mode is not None or policy.parallel is not None:
        named = {"name": policy.names[0]} if policy.mode == "named" else {}
        choice = {"type": TYPES.get(policy.mode or "auto", "auto"), **named, **fresh(policy.rest)}
        if policy.parallel is not None:
            choice["disable_parallel_tool_use"] = not policy.parallel
    listed = [_own_tool(tool) for tool in request.tools if tool.at[:1] not in ELSEWHERE]
    return Toolbox(listed, choice)


def own_servers(request: Request) -> list[Any]:
    """``mcp_servers``, which are tools to everybody else."""
    return [fresh(tool.data) for tool in request.tools if tool.at[:1] == ("mcp_servers",)]


def _own_tool(tool: Tool) -> dict[str, Any]:
    if tool.by_vendor:
        return dict(fresh(tool.data))
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.schema is not None:
        written["input_schema"] = tool.schema
    if tool.strict is not None:
        written["strict"] = tool.strict
    if tool.cache is not None:
        written["cache_control"] = cache_control(tool.cache.ttl)
    return {**written, **fresh(tool.rest)}


# ---------------------------------------------------------------- other protocols


def foreign_tools(request: Request, names: ToolNames, dialect: MessagesDialect, ledger: Ledger) -> Toolbox:
    """Tools of another protocol's client.  Raises Refused where a choice demands what is not there."""
    policy = request.policy
    hosted = _hosted(request, dialect, ledger)
    declared = _declared(request, names, bool(hosted), ledger)
    searches = {tool.name for tool in request.tools if tool.search is not None} if hosted else set[str]()
    _check(policy, request, {one.tool.name for one in declared} | searches)
    allowed = frozenset(policy.names)
    offered = [one for one in declared if policy.mode != "allowed" or one.tool.name in allowed]
    if declared and not offered and not hosted:  # all that is allowed runs elsewhere
        offered, policy = declared, replace(policy, mode="none")
    if len(offered) < len(declared):
        ledger.lose("tool_choice.subset", policy.at)
    tools = [_function(one.tool, one.wire, ledger) for one in offered] + hosted
    if policy.rest:
        ledger.lose_rest(policy.rest, policy.at)
    if tools:
        return Toolbox(tools, _choice(policy, offered, ledger), _told_back(offered, names))
    if policy.mode not in (None, "none"):
        ledger.lose("tool_choice.without_tools", policy.at)
    tools = _of_history(request, names)
    if not tools:
        return Toolbox([], None)
    ledger.note(STEP, "tools.of_history")
    # Nobody declared them, so none of them may be called now.
    return Toolbox(tools, {"type": "none"}, names.restore())


def _hosted(request: Request, dialect: MessagesDialect, ledger: Ledger) -> list[dict[str, Any]]:
    """Those tools of the client's vendor that this one has, behind all others; one of a kind."""
    found: list[dict[str, Any]] = []
    for tool in request.tools:
        written = hosted_tool(tool, dialect, ledger) if tool.kind == "hosted" else None
        if written is None:
            continue
        if found:
            ledger.lose("tool.duplicate", tool.at, tool.name)
        else:
            found.append(written)
    return found


class _Declared(NamedTuple):
    """A tool and its name on the wire.  ``again``: another one of its name came before."""

    tool: Tool
    wire: str
    again: bool = False


def _declared(request: Request, names: ToolNames, searching: bool, ledger: Ledger) -> list[_Declared]:
    """The functions and free-form tools: equal ones once, others of one name under another one.

    ``searching``: the name of the search is taken.
    """
    found: list[_Declared] = []
    told: dict[str, list[Tool]] = {}  # by the wire name, the different tools that wanted it
    numbers: dict[str, int] = {}
    reserved = {names.wire(tool.name, tool.namespace) for tool in request.tools}
    if searching:
        told[WEB_SEARCH] = []
    for tool in request.tools:
        if tool.kind == "builtin":
            refuse(tool.at, f"a tool of this type ({tool.name}) is its own vendor's: declare it as a function")
        if tool.kind == "hosted":
            continue
        wire = names.wire(tool.name, tool.namespace)
        plain = tool if tool.cache is None else replace(tool, cache=None)
        if wire not in told:
            told[wire] = [plain]
            found.append(_Declared(tool, wire))
            continue
        ledger.lose("tool.duplicate", tool.at, tool.name)
        if plain in told[wire]:
            continue
        if len(told[wire]) >= SAME_NAME_LIMIT:
            refuse(tool.at, f"more than {SAME_NAME_LIMIT} different tools are called {tool.name}")
        told[wire].append(plain)
        number = numbers.get(wire, 2)
        while (other := f"{wire[: NAME_LIMIT - 4]}_{number}") in reserved:
            number += 1
        numbers[wire] = number + 1
        reserved.add(other)
        found.append(_Declared(tool, other, True))
    return found


def _told_back(offered: list[_Declared], names: ToolNames) -> Mapping[str, ToolName]:
    """The names of ``Built``; ``ToolNames`` knows the first tool of a name only."""
    told = dict(names.restore([one.tool.name for one in offered if one.tool.kind == "custom" and not one.again]))
    for tool, wire, again in offered:
        if again:
            told[wire] = ToolName(tool.name, "custom" if tool.kind == "custom" else "function", tool.namespace)
    return told


def _check(policy: ToolPolicy, request: Request, known: set[str]) -> None:
    """What is forced must be there (P58); most of a vendor's own tools are not (protocols.md 2.7)."""
    hosted = {tool.name for tool in request.tools if tool.by_vendor}
    forced = policy.mode in ("required", "named") or policy.required
    if policy.mode in ("named", "allowed"):
        for name in policy.names:
            if name not in known | hosted:
                refuse(policy.at, f"no tool is called {name}")
    wanted = known if policy.mode == "required" else known & set(policy.names)
    if forced and hosted and not wanted:
        refuse(policy.at, "only a tool that another provider runs is allowed, and it does not run here")


def _function(tool: Tool, wire: str, ledger: Ledger) -> dict[str, Any]:
    written: dict[str, Any] = {"name": wire}
    if wire != tool.name:
        ledger.note(STEP, "tool.renamed", tool.at)
    description = tool.description
    if tool.kind == "custom":
        schema = fresh(INPUT)
        description = _with_grammar(tool, ledger)
        ledger.note(STEP, "tool.emulated", tool.at)
    else:
        schema, changes = tool_schema(tool.schema)
        if changes:
            ledger.lose("tool.schema", tool.at, "; ".join(changes))
            ledger.note(STEP, "tool.schema", tool.at)
    if description:
        written["description"] = description
    written["input_schema"] = schema
    if tool.strict and _enforceable(tool):
        written["strict"] = True
    elif tool.strict:
        ledger.lose("tool.strict", tool.at)
    if tool.cache is not None:
        written["cache_control"] = foreign_mark(tool.cache)
    if tool.rest:
        ledger.lose_rest(tool.rest, tool.at)
    return written


def _enforceable(tool: Tool) -> bool:
    """Whether a schema is closed as it stands, and holds nothing that strict tools do not know (6.4.2)."""
    return is_strict(tool.schema) and not output_schema(tool.schema or {})[1]


def _with_grammar(tool: Tool, ledger: Ledger) -> str:
    """The description of a free-form tool, and what its input must look like (protocols.md 2.3, "Custom tool")."""
    grammar = tool.grammar
    if grammar is None or not grammar.syntax:
        return tool.description
    ledger.lose("tool.grammar", tool.at)
    words = f"The input must follow this {grammar.syntax} grammar:\n{grammar.definition}"
    return f"{tool.description}\n\n{words}" if tool.description else words


def _choice(policy: ToolPolicy, offered: list[_Declared], ledger: Ledger) -> dict[str, Any] | None:
    """``tool_choice``; one call at a time needs one to stand in (P-69)."""
    if policy.validated:
        ledger.lose("tool.strict", policy.at)
    mode = policy.mode
    if mode == "allowed":
        mode = "required" if policy.required else "auto"
    if mode is None and policy.parallel is not False:
        return None
    choice: dict[str, Any] = {"type": TYPES[mode or "auto"]}
    if mode == "named":
        named = (one.wire for one in offered if one.tool.name == policy.names[0])
        choice["name"] = next(named, WEB_SEARCH)  # no function's: it is the search
    if policy.parallel is False and mode != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _of_history(request: Request, names: ToolNames) -> list[dict[str, Any]]:
    """Tools that were called before and are not declared: a request with calls must define some."""
    called = (part for turn in request.turns for part in turn.parts if isinstance(part, ToolCall))
    found = dict.fromkeys(names.wire(call.name, call.namespace) for call in called)
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in found]
