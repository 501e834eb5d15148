"""Tools and the choice among them as a client writes them.

Source: protocols.md 2.3, 2.7; conversion-pitfalls.md 3.5, 3.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from rotator.api import CacheMark, Grammar, Path, Rest, Tool, ToolPolicy

from .._reading import Fields, refuse
from .._web_search import read_search
from .spelling import NO_REST, nested, read_mark, read_name, required_fields

#: Places in the client's JSON by which its own protocol gets back what was written in the older way.
LEGACY_TOOLS: Final = "functions"
LEGACY_POLICY: Final[Path] = ("function_call",)
#: A hosted tool that is no member of ``tools``.  Source: protocols.md 2.7.
WEB_SEARCH: Final = "web_search_options"

_WORDS: Final[Mapping[str, Literal["none", "auto", "required"]]] = {
    "none": "none", "auto": "auto", "required": "required"
}
NO_POLICY: Final = ToolPolicy()


def parse_tools(fields: Fields) -> tuple[Tool, ...]:
    """``tools``, then the older ``functions``, then the web search."""
    tools = [_tool(value, ("tools", place)) for place, value in enumerate(fields.list("tools") or ())]
    for function in fields.each(LEGACY_TOOLS):
        name, description, schema = _signature(function)
        tools.append(Tool(name, description=description, schema=schema, at=function.at, rest=function.rest()))
    search = fields.mapping(WEB_SEARCH)
    if search is not None:
        tools.append(_search(WEB_SEARCH, search, (WEB_SEARCH,)))
    return tuple(tools)


def _search(name: str, value: dict[str, Any], at: Path) -> Tool:
    """A hosted search: an option of Chat, or a tool as Responses has it, which some servers take here."""
    fields = Fields(value, at)
    fields.drop("type")
    search = read_search(fields)
    return Tool(name, "hosted", data=value, search=search, at=at, rest=fields.rest())


def parse_policy(fields: Fields) -> ToolPolicy:
    """``tool_choice`` and ``parallel_tool_calls``; ``function_call`` counts where there is no choice."""
    parallel = fields.flag("parallel_tool_calls")
    choice = fields.raw("tool_choice")
    if choice is None:
        legacy = fields.raw("function_call")
        if legacy is not None:
            return _legacy_policy(legacy, parallel)
        return NO_POLICY if parallel is None else ToolPolicy(parallel=parallel)
    if isinstance(choice, str):
        mode = _WORDS.get(choice)
        if mode is None:
            refuse(("tool_choice",), "must be none, auto, required or an object")
        return ToolPolicy(mode, parallel=parallel)
    return _choice(Fields(choice, ("tool_choice",)), parallel)


def _tool(value: Any, at: Path) -> Tool:
    """A function (also without ``type``), a custom tool, or one of a vendor's own."""
    fields = Fields(value, at)
    kind = fields.text("type")
    if kind is not None and kind != "function" and kind != "custom":
        return _search(kind, value, at) if kind.startswith("web_search") else Tool(kind, "builtin", data=value, at=at)
    mark = read_mark(value, fields)
    if kind == "custom":
        return _custom(fields, mark)
    inner = required_fields(fields, "function")
    name, description, schema = _signature(inner)
    strict = inner.flag("strict")
    rest = nested(fields.rest(), function=inner.rest())
    return Tool(name, "function", description, schema, strict, cache=mark, at=at, rest=rest)


def _signature(fields: Fields) -> tuple[str, str, dict[str, Any] | None]:
    return read_name(fields), fields.text("description") or "", fields.mapping("parameters")


def _custom(fields: Fields, mark: CacheMark | None) -> Tool:
    inner = required_fields(fields, "custom")
    name, description = read_name(inner), inner.text("description") or ""
    form = inner.fields("format")
    grammar, left = (None, NO_REST) if form is None else _grammar(form)
    rest = nested(fields.rest(), custom=nested(inner.rest(), format=left))
    return Tool(name, "custom", description, grammar=grammar, cache=mark, at=fields.at, rest=rest)


def _grammar(form: Fields) -> tuple[Grammar, Rest]:
    """What the input of a custom tool must look like, and what nobody read of it."""
    kind = form.word("type")
    if kind == "text":
        return Grammar(), form.rest()
    if kind != "grammar":
        refuse((*form.at, "type"), "must be text or grammar")
    inner = required_fields(form, "grammar")
    grammar = Grammar(inner.word("syntax"), inner.word("definition"))
    return grammar, nested(form.rest(), grammar=inner.rest())


def _choice(fields: Fields, parallel: bool | None) -> ToolPolicy:
    """An object: one tool, or the subset that may be called.  Names may stand in it directly, as Responses has them."""
    kind = fields.text("type")
    if kind != "allowed_tools":
        name, left = _chosen(fields, kind)
        return ToolPolicy("named", (name,), parallel=parallel, rest=left)
    inner = fields.fields("allowed_tools")
    place = fields if inner is None else inner
    mode = place.word("mode")
    if mode != "auto" and mode != "required":
        refuse((*place.at, "mode"), "must be auto or required")
    tools = place.list("tools", required=True)
    chosen = [_entry(tool, (*place.at, "tools", number)) for number, tool in enumerate(tools)]
    rest = dict(place.rest())
    if any(left for _, left in chosen):
        rest["tools"] = tools  # says more of them than their names
    whole = rest if inner is None else nested(fields.rest(), allowed_tools=rest)
    return ToolPolicy("allowed", tuple(name for name, _ in chosen), mode == "required", parallel, rest=whole)


def _entry(value: Any, at: Path) -> tuple[str, Rest]:
    fields = Fields(value, at)
    return _chosen(fields, fields.text("type"))


def _chosen(fields: Fields, kind: str | None) -> tuple[str, Rest]:
    """The name of a chosen tool, of a hosted one its type, and what nobody read of the choice."""
    member = "custom" if kind == "custom" else "function"
    inner = fields.fields(member)
    if inner is not None:
        return read_name(inner), nested(fields.rest(), **{member: inner.rest()})
    if kind is None or kind in ("function", "custom"):
        if not fields.has("name"):
            refuse((*fields.at, member), "is required")
        return read_name(fields), fields.rest()
    return kind, fields.rest()


def _legacy_policy(choice: Any, parallel: bool | None) -> ToolPolicy:
    if not isinstance(choice, str):
        fields = Fields(choice, LEGACY_POLICY)
        name = read_name(fields)
        return ToolPolicy("named", (name,), parallel=parallel, at=LEGACY_POLICY, rest=fields.rest())
    if choice not in ("none", "auto"):
        refuse(LEGACY_POLICY, "must be none, auto or an object")
    return ToolPolicy(_WORDS[choice], parallel=parallel, at=LEGACY_POLICY)
