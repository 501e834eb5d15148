"""Tools and the choice among them as an upstream takes them.

Source: protocols.md 2.3, 2.7, 6.1.4, 6.2; conversion-pitfalls.md 3.5, 3.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from rotator.api import Ledger, Request, Tool, ToolName, ToolPolicy, dumps

from .._names import ToolNames
from .._reading import refuse
from .._schemas import is_strict, tool_schema
from .._shared import fresh
from .build_cache import mark
from .build_hosted import put_hosted
from .build_media import Wire
from .dialect import ChatDialect
from .facts import ChatFacts
from .parse_tools import LEGACY_POLICY, LEGACY_TOOLS, WEB_SEARCH
from .spelling import put_mark, put_rest

STEP: Final = "chat.build.tools"
#: Members of a tool about when it is told and how its arguments arrive: all are told at once, and as they come.
#: Source: clients.md 3 (Claude Code, opencode).
QUIET: Final = frozenset(("defer_loading", "eager_input_streaming"))
#: Of a tool of Messages: what its input may look like.  Source: protocols.md 2.3, "Function tool".
EXAMPLES: Final = "input_examples"
#: Different tools of one name; more are a mistake, and comparing them takes time.
SAME_NAME_LIMIT: Final = 20

#: Characters of a tool's name.  Source: protocols.md 6.4, row "Chat, Resp".
NAME_LIMIT: Final = 64


def put_own_tools(body: Wire, request: Request) -> None:
    """What Chat's own client said of tools, where and as it said it."""
    for tool in request.tools:
        if tool.at == (WEB_SEARCH,):
            body[WEB_SEARCH] = fresh(tool.data)
        elif tool.at[:1] == (LEGACY_TOOLS,):
            body.setdefault(LEGACY_TOOLS, []).append(_own_function(tool))
        else:
            body.setdefault("tools", []).append(_own_tool(tool))
    policy = request.policy
    if policy.mode is not None:
        legacy = policy.at == LEGACY_POLICY
        choice = _legacy_choice(policy) if legacy else _choice(policy, request.tools, _same)
        if isinstance(choice, dict):
            put_rest(choice, policy.rest)
        body["function_call" if legacy else "tool_choice"] = choice
    if policy.parallel is not None:
        body["parallel_tool_calls"] = policy.parallel


def _own_tool(tool: Tool) -> Wire:
    if tool.by_vendor:
        data: Wire = fresh(tool.data)
        return data
    if tool.kind == "custom":
        wire = _custom(tool, tool.name)
    else:
        function = _signature(tool, tool.name, tool.schema)
        if tool.strict is not None:
            function["strict"] = tool.strict
        wire = {"type": "function", "function": function}
    put_mark(wire, tool.cache)
    put_rest(wire, tool.rest)
    return wire


def _own_function(tool: Tool) -> Wire:
    """An entry of the older ``functions``."""
    wire = _signature(tool, tool.name, tool.schema)
    put_rest(wire, tool.rest)
    return wire


def put_tools(
    body: Wire, request: Request, names: ToolNames, dialect: ChatDialect, ledger: Ledger
) -> Mapping[str, ToolName]:
    """Tools of another protocol's client, and the names to be told back.

    Raises Refused for a choice that cannot be kept: tools that nobody declared, or that their own vendor runs.
    """
    runs: set[str] = set()  # of the hosted tools, those that the upstream has
    for tool in request.tools:
        if tool.kind == "hosted" and put_hosted(body, tool, request.policy.mode == "none", dialect, ledger):
            runs.add(tool.name)
    offered = _offered(request, names, dialect, ledger)
    hosted = {tool.name for tool in request.tools if tool.by_vendor}
    policy = _without_search(request.policy, {one.tool.name for one in offered}, hosted, runs, ledger)
    known = {one.tool.name for one in offered}
    if policy.rest:
        ledger.lose_rest(policy.rest, policy.at)
    if not offered:
        if policy.mode == "named":
            refuse(policy.at, f"no tool is called {policy.names[0]}")
        if policy.mode is not None or policy.parallel is not None:
            ledger.lose("tool_choice.without_tools", policy.at)
        return names.restore()
    body["tools"] = [one.wire for one in offered]
    if policy.mode is not None:
        unknown = [name for name in policy.names if name not in known and name not in hosted]
        if unknown:
            refuse(policy.at, f"no tool is called {unknown[0]}")
        kept = replace(policy, names=tuple(name for name in policy.names if name in known))
        if policy.mode == "allowed" and policy.names and not kept.names:
            kept = replace(policy, mode="none")  # all that may be called runs elsewhere
        body["tool_choice"] = _choice(kept, [one.tool for one in offered], names.wire)
    if policy.validated:
        ledger.lose("tool.strict", policy.at)
    if policy.parallel is not None:
        body["parallel_tool_calls"] = policy.parallel
    doubles = {one.name: ToolName(one.tool.name, _kind(one.tool), one.tool.namespace) for one in offered if one.again}
    return {**names.restore(), **doubles}


def _without_search(
    policy: ToolPolicy, known: set[str], hosted: set[str], runs: set[str], ledger: Ledger
) -> ToolPolicy:
    """The choice, which cannot fall on a search that is an option of the body.  Source: protocols.md 2.7.

    Raises Refused where all that it leaves runs elsewhere.
    """
    everything = policy.mode == "required"
    wanted = known if everything else known.intersection(policy.names)
    if not hosted or wanted or not (policy.mode in ("required", "named") or policy.required):
        return policy
    searched = runs if everything else runs.intersection(policy.names)
    if not searched:
        refuse(policy.at, "only a tool that another provider runs may be called, and it does not run here")
    ledger.lose("tool_choice.degraded", policy.at, ", ".join(sorted(searched)))
    return replace(policy, mode=None, names=(), required=False)


def free_choice(body: Wire, request: Request, facts: ChatFacts, ledger: Ledger) -> None:
    """A tool that cannot be forced is the only one that is offered.  Source: protocols.md 2.3."""
    choice = body.get("tool_choice")
    if facts.forced_tool != "refused" or choice in (None, "auto", "none"):
        return
    if isinstance(choice, dict):
        allowed = choice.get("allowed_tools")
        if allowed is not None and allowed["mode"] != "required":
            return
        chosen = [choice] if allowed is None else allowed["tools"]
        names = {one[one["type"]]["name"] for one in chosen}
        body["tools"] = [tool for tool in body["tools"] if tool[tool["type"]]["name"] in names]
    body["tool_choice"] = "auto"
    ledger.lose("tool_choice.degraded", request.policy.at)


class _Offered(NamedTuple):
    """A tool, its name on the wire and its wire form.  ``again``: a tool before it has the same name."""

    tool: Tool
    name: str
    wire: Wire
    again: bool


def _offered(request: Request, names: ToolNames, dialect: ChatDialect, ledger: Ledger) -> list[_Offered]:
    """Functions and custom tools: equal ones once, others of one name under names of their own."""
    offered: list[_Offered] = []
    told: dict[str, list[Tool]] = {}  # by the wire name, the different tools that wanted it
    taken = {names.wire(tool.name, tool.namespace) for tool in request.tools if not tool.by_vendor}
    for tool in request.tools:
        if tool.kind == "builtin":
            refuse(tool.at, f"a tool of this type ({tool.name}) is its own vendor's: declare it as a function")
        if tool.kind == "hosted":
            continue
        name = names.wire(tool.name, tool.namespace)
        again = name in told
        same = told.setdefault(name, [])
        if again:
            ledger.lose("tool.duplicate", tool.at, tool.name)
            if _plain(tool) in same:
                continue
            if len(same) >= SAME_NAME_LIMIT:
                refuse(tool.at, f"more than {SAME_NAME_LIMIT} different tools are called {tool.name}")
            name = _free(name, taken)
        same.append(_plain(tool))
        if name != tool.name:
            ledger.note(STEP, "tool.renamed", tool.at)
        wire = _told(tool, name, ledger)
        mark(wire, tool.cache, tool.at, dialect, ledger)
        offered.append(_Offered(tool, name, wire, again))
    return offered


def _plain(tool: Tool) -> Tool:
    return tool if tool.cache is None else replace(tool, cache=None)


def _free(name: str, taken: set[str]) -> str:
    number = 2
    while (other := f"{name[: NAME_LIMIT - 4]}_{number}") in taken:
        number += 1
    taken.add(other)
    return other


def _told(tool: Tool, name: str, ledger: Ledger) -> Wire:
    """A foreign tool; what cannot be said of it is lost."""
    if tool.rest:
        ledger.lose_rest(tool.rest, tool.at, {*QUIET, EXAMPLES})
    if tool.kind == "custom":
        return _custom(tool, name)
    schema, changes = tool_schema(tool.schema)
    if changes:
        ledger.lose("tool.schema", tool.at, "; ".join(changes))
        ledger.note(STEP, "tool.schema", tool.at)
    function = _signature(tool, name, schema)
    if EXAMPLES in tool.rest:
        ledger.lose("tool.examples", tool.at)
        words = _shown(tool.rest[EXAMPLES])
        function["description"] = f"{tool.description}\n\n{words}" if tool.description else words
    if tool.strict and not is_strict(tool.schema):
        ledger.lose("tool.strict", tool.at)
    elif tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _shown(examples: Any) -> str:
    """Examples as JSON, one a line."""
    listed = examples if isinstance(examples, list) else [examples]
    return "\n".join(["Examples of its input:", *(dumps(one).decode() for one in listed)])


def _signature(tool: Tool, name: str, schema: Any) -> Wire:
    wire: Wire = {"name": name}
    if tool.description:
        wire["description"] = tool.description
    if schema is not None:
        wire["parameters"] = schema
    return wire


def _custom(tool: Tool, name: str) -> Wire:
    """A free-form tool; Chat has them itself."""
    custom: Wire = {"name": name}
    if tool.description:
        custom["description"] = tool.description
    grammar = tool.grammar
    if grammar is not None and grammar.syntax:
        definition = {"syntax": grammar.syntax, "definition": grammar.definition}
        custom["format"] = {"type": "grammar", "grammar": definition}
    elif grammar is not None:
        custom["format"] = {"type": "text"}
    return {"type": "custom", "custom": custom}


def _kind(tool: Tool) -> Literal["function", "custom"]:
    return "custom" if tool.kind == "custom" else "function"


def _same(name: str) -> str:
    return name


def _choice(policy: ToolPolicy, tools: Iterable[Tool], wire: Callable[[str], str]) -> Any:
    """``tool_choice``; ``wire`` gives the name of a tool that the upstream is told."""
    if policy.mode != "named" and policy.mode != "allowed":
        return policy.mode
    kinds = {tool.name: tool.kind for tool in reversed(tuple(tools))}
    chosen = [_chosen(name, kinds.get(name, "function"), wire) for name in policy.names]
    if policy.mode == "named":
        return chosen[0]
    mode = "required" if policy.required else "auto"
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": chosen}}


def _chosen(name: str, kind: str, wire: Callable[[str], str]) -> Wire:
    return {"type": name} if kind in ("hosted", "builtin") else {"type": kind, kind: {"name": wire(name)}}


def _legacy_choice(policy: ToolPolicy) -> Any:
    return {"name": policy.names[0]} if policy.mode == "named" else policy.mode
