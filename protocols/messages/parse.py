"""A client's request -> neutral.  Source: protocols.md 2.1 to 2.8; clients.md 3 (Claude Code)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from rotator.api import (
    CacheWish,
    Continuation,
    Format,
    Ledger,
    Meta,
    Output,
    Part,
    Path,
    ReasoningWish,
    Request,
    Rest,
    Sampling,
    Text,
    ToolResult,
    Turn,
)

from .._reading import Fields, refuse
from .parse_parts import read_cache, read_content
from .parse_tools import SERVERS, added_tools, read_policy, read_tools
from .vocabulary import DISPLAYS, PROTOCOL, LaterEffort, effort_of_turns

#: Roles of messages.  Source: protocols.md 0.2 item 10.
ROLES: Final[dict[str, Literal["user", "assistant", "system"]]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
#: What most requests say nothing of.
NO_WISH, NO_SAMPLING, NO_CACHE, NO_META = ReasoningWish(), Sampling(), CacheWish(), Meta()
NO_CONTINUATION: Final = Continuation()


#: Settings that Messages calls otherwise.
PLACES: Final[dict[str, Path]] = {"stop": ("stop_sequences",), "conversation": ("thread",)}


def parse(body: Mapping[str, Any], model: str, stream: bool, ledger: Ledger) -> Request:
    """The body of ``/v1/messages``.  Raises Refused naming the field."""
    fields = Fields(body, ())
    fields.drop("model", "stream")
    turns = _system(fields)
    _messages(fields, turns, ledger)
    tools, policy = read_tools(fields), read_policy(fields)
    effort, form, config = _output_config(fields)
    later = effort_of_turns(turns)
    effort = effort if later is None else LaterEffort(later, effort)
    reasoning = _reasoning(fields, effort)
    output = Output(max_tokens=fields.whole("max_tokens"), format=form, stops=fields.texts("stop_sequences"))
    meta, metadata = _meta(fields)
    mark = read_cache(body, fields)
    cache = NO_CACHE if mark is None else CacheWish(auto=mark)
    sampling = _sampling(fields)
    servers = fields.list(SERVERS) if body.get(SERVERS) else ()
    tools += tuple(added_tools(turns, servers, tools))
    rest = fields.rest()
    thread = rest.get("thread")
    continues = NO_CONTINUATION
    if isinstance(thread, dict):
        kept = str(thread.get("id", "")) if thread.get("type") == "continue" else None
        continues = Continuation(conversation=kept, begins=kept is None)
    if config or metadata:
        rest = {**rest, **config, **metadata}
    return Request(
        PROTOCOL,
        model,
        tuple(turns),
        tools,
        policy,
        reasoning,
        output,
        sampling,
        cache,
        continues,
        meta,
        stream=stream,
        usage_in_stream=stream,
        places=PLACES,
        rest=rest,
    )


def _system(fields: Fields) -> list[Turn]:
    """``system``: a string or a list of text blocks; one turn, none if nothing is in it."""
    at: Path = ("system",)
    parts = read_content(fields.raw("system"), at, "system")
    return [Turn("system", tuple(parts), at=at)] if parts else []


def _messages(fields: Fields, turns: list[Turn], ledger: Ledger) -> None:
    for index, value in enumerate(fields.list("messages", required=True)):
        at: Path = ("messages", index)
        plain = _plain(value, at)
        if plain is not None:
            turns.append(plain)
            continue
        message = Fields(value, at)
        role = ROLES.get(message.word("role"))
        if role is None:
            refuse((*message.at, "role"), "must be user, assistant or system")
        if role != "system" and not message.has("content"):
            refuse((*message.at, "content"), "is required")
        parts = read_content(message.raw("content"), (*at, "content"), role)
        rest = message.rest()
        if role == "user" and any(type(part) is ToolResult for part in parts):
            _split(parts, at, rest, turns, ledger)
        else:
            turns.append(Turn(role, tuple(parts), at=at, rest=rest))


def _plain(value: Any, at: Path) -> Turn | None:
    """A message of a role and a string, which most are; None for any other."""
    if type(value) is not dict or len(value) != 2:
        return None
    text, named = value.get("content"), value.get("role")
    if type(text) is not str or not text or type(named) is not str or (role := ROLES.get(named)) is None:
        return None
    return Turn(role, (Text(text, at=(*at, "content")),), at=at)


def _split(parts: list[Part], at: Path, rest: Rest, turns: list[Turn], ledger: Ledger) -> None:
    """Results are one turn, with those of the message before; what else is in the message comes behind it."""
    results = tuple(part for part in parts if isinstance(part, ToolResult))
    others = tuple(part for part in parts if not isinstance(part, ToolResult))
    if others and not isinstance(parts[0], ToolResult):
        ledger.note("messages.parse.turns", "result.first", at)
    own = {} if others else rest
    last = turns[-1] if turns else None
    if last is not None and last.role == "tool":
        turns[-1] = replace(last, parts=last.parts + results, rest={**last.rest, **own})
    else:
        turns.append(Turn("tool", results, at=at, rest=own))
    if others:
        turns.append(Turn("user", others, at=at, rest=rest))


def _output_config(fields: Fields) -> tuple[str | None, Format | None, Rest]:
    """Effort, the format of the answer, and what else ``output_config`` says, under that name."""
    config = fields.fields("output_config")
    if config is None:
        return None, None, {}
    effort, value = config.text("effort"), config.mapping("format")
    form, kept = (None, {}) if value is None else _format(value, (*config.at, "format"))
    rest = {**config.rest(), **kept}
    return effort, form, {"output_config": rest} if rest else {}


def _format(value: Mapping[str, Any], at: Path) -> tuple[Format | None, dict[str, Any]]:
    """Source: protocols.md 2.5 "JSON schema"; a format of another type is not understood and kept.

    A schema is always enforced here, so its client counts on that.
    """
    fields = Fields(value, at)
    if fields.text("type") != "json_schema":
        return None, {"format": value}
    return Format("json_schema", fields.mapping("schema", required=True), strict=True, at=at, rest=fields.rest()), {}


def _reasoning(fields: Fields, effort: str | None) -> ReasoningWish:
    """``thinking`` and the effort.  Source: protocols.md 7.1.  A type or display of another word stays in ``rest``."""
    wish = fields.fields("thinking")
    if wish is None:
        return NO_WISH if effort is None else ReasoningWish(effort=effort, at=("output_config", "effort"))
    kind, budget, shown = wish.word("type"), wish.whole("budget_tokens"), wish.text("display")
    kept: dict[str, Any] = {}
    enabled: bool | None = None
    match kind:
        case "enabled" | "adaptive":
            enabled = True
        case "disabled" | "between_tools":
            enabled = False
        case _:
            kept["type"] = kind
    if budget is not None and budget < 0:
        refuse((*wish.at, "budget_tokens"), "must not be negative")
    if budget is not None and kind != "enabled":
        kept["budget_tokens"], budget = budget, None
    if shown is not None and shown not in DISPLAYS:
        kept["display"] = shown
    return ReasoningWish(
        enabled,
        effort,
        -1 if kind == "adaptive" else budget,
        DISPLAYS.get(shown or ""),
        kind == "between_tools",
        wish.at,
        {**wish.rest(), **kept},
    )


def _sampling(fields: Fields) -> Sampling:
    values = fields.number("temperature"), fields.number("top_p"), fields.whole("top_k")
    return NO_SAMPLING if values == (None, None, None) else Sampling(*values)


def _meta(fields: Fields) -> tuple[Meta, Rest]:
    """``metadata.user_id`` and the service tier; what else ``metadata`` holds comes back under that name."""
    tier, metadata = fields.text("service_tier"), fields.fields("metadata")
    if metadata is None:
        return NO_META if tier is None else Meta(tier=tier), {}
    user, rest = metadata.text("user_id"), metadata.rest()
    return Meta(user, tier=tier), {"metadata": rest} if rest else {}
