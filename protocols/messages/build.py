"""Neutral -> the request for an upstream.  Source: protocols.md 2.1 to 2.6, 2.9 ("To Anthropic")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.api import Built, Ledger, Request

from .._names import ToolNames
from .._shared import fresh
from .build_cache import put_cache
from .build_parts import Block, Blocks, cache_control, only_text
from .build_settings import (
    add_meta,
    add_sampling,
    add_stops,
    answer_format,
    lose_unknown,
    lose_wishes,
    refuse_impossible,
)
from .build_thinking import betas_of, limit_of, put_thinking
from .build_tools import Toolbox, foreign_tools, own_servers, own_tools
from .build_turns import FIRST, foreign_turns, own_turns
from .dialect import MessagesDialect
from .facts import MessagesFacts, facts_of
from .state import think_not
from .vocabulary import NAME_LIMIT, PROTOCOL, SHOWN, LaterEffort, effort_of_turns

STEP = "messages.build"
#: Versions of the API: the older one still takes sampling, documents of an assistant, citations of a user.  Source:
#: protocols.md 0.2 item 1.
OLD_VERSION, NEW_VERSION = "2023-06-01", "2026-10-21"
SAMPLING = frozenset(("temperature", "top_p", "top_k"))


def build(
    request: Request, dialect: MessagesDialect, ledger: Ledger, facts: MessagesFacts | None = None
) -> Built:
    """The body of ``/v1/messages``.  Raises Refused naming the client's field that has no place in it.

    ``facts`` are those of the model under the dialect, where they are known already.
    """
    refuse_impossible(request)
    lose_unknown(request, ledger)
    if request.protocol == PROTOCOL:
        return Built(_own(request, ledger))
    return _foreign(request, dialect, ledger, facts or facts_of(request.model, dialect.models))


# ---------------------------------------------------------------- the own protocol


def _own(request: Request, ledger: Ledger) -> dict[str, Any]:
    """What the client said, nothing added, nothing repaired, but where foreign thinking was taken out (2.4 R3)."""
    system, messages = own_turns(request, Blocks(request, ledger))
    body = _body(request, system, messages, own_tools(request))
    rest = fresh(request.rest)
    sampling, output, meta = request.sampling, request.output, request.meta
    settings = {
        "max_tokens": output.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop_sequences": None if output.stops is None else list(output.stops),
        "thinking": _thinking(request),
        "output_config": {**_output_config(request), **rest.pop("output_config", {})} or None,
        "metadata": {**({} if meta.user is None else {"user_id": meta.user}), **rest.pop("metadata", {})} or None,
        "service_tier": meta.tier,
        "mcp_servers": own_servers(request) or None,
        "cache_control": None if request.cache.auto is None else cache_control(request.cache.auto.ttl),
    }
    body.update((name, value) for name, value in settings.items() if value is not None)
    body.update(rest)
    if any(loss.code == "reasoning.state" for loss in ledger.losses) and think_not(body):
        ledger.lose("reasoning.off", request.reasoning.at)
    return body


def _thinking(request: Request) -> dict[str, Any] | None:
    """Source: protocols.md 7.1."""
    wish = request.reasoning
    said: dict[str, Any] = {}
    if wish.enabled:
        said["type"] = "adaptive" if wish.budget == -1 else "enabled"
        if wish.budget not in (None, -1):
            said["budget_tokens"] = wish.budget
    elif wish.enabled is False:
        said["type"] = "between_tools" if wish.between_tools else "disabled"
    if wish.display in SHOWN:
        said["display"] = SHOWN[wish.display]
    return {**said, **fresh(wish.rest)} or None


def _output_config(request: Request) -> dict[str, Any]:
    said: dict[str, Any] = {}
    effort = request.reasoning.effort
    if isinstance(effort, LaterEffort) and effort_of_turns(request.turns) == effort:  # its message says it itself
        effort = effort.first
    if effort is not None:
        said["effort"] = effort
    form = request.output.format
    if form is not None:
        said["format"] = {"type": form.kind, "schema": form.schema, **fresh(form.rest)}
    return said


# ---------------------------------------------------------------- other protocols


def _foreign(request: Request, dialect: MessagesDialect, ledger: Ledger, facts: MessagesFacts) -> Built:
    names = ToolNames(request, NAME_LIMIT)
    toolbox = foreign_tools(request, names, dialect, ledger)
    system, messages = foreign_turns(request, Blocks(request, ledger), names, dialect.mid_system, ledger)
    form, instruction = answer_format(request.output.format, dialect, ledger)
    if instruction:
        system.append({"type": "text", "text": instruction})
        ledger.note(STEP, "format.instruction")
    body = _body(request, system, messages, toolbox)
    if facts.prefill is False and messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": FIRST})
        ledger.note(STEP, "prefill.continued")
    body["max_tokens"] = limit_of(request, dialect, facts, ledger)
    if form is not None:
        body["output_config"] = {"format": form}
    put_thinking(body, request, facts, ledger)
    add_sampling(request, body, facts, ledger)
    add_stops(request, body, ledger)
    add_meta(request, body, ledger)
    put_cache(body, request, ledger)
    lose_wishes(request, ledger)
    return Built(body, toolbox.names, headers_of(body, dialect))


def _body(request: Request, system: list[Block], messages: list[dict[str, Any]], toolbox: Toolbox) -> dict[str, Any]:
    """What the conversation is made of."""
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    if system:
        body["system"] = only_text(system)
    if toolbox.tools:
        body["tools"] = toolbox.tools
    if toolbox.choice is not None:
        body["tool_choice"] = toolbox.choice
    if request.stream:
        body["stream"] = True
    return body


def headers_of(body: Mapping[str, Any], dialect: MessagesDialect) -> dict[str, str]:
    """What a built body demands of the headers.  Source: protocols.md 0.2 item 1, 7.2."""
    old = dialect.version == "old" or not SAMPLING.isdisjoint(body) or any(map(_needs_old, body["messages"]))
    betas = betas_of(body)
    return {
        "anthropic-version": OLD_VERSION if old else NEW_VERSION,
        **({"anthropic-beta": betas} if betas else {}),
    }


def _needs_old(message: Mapping[str, Any]) -> bool:
    """Whether a document stands in an assistant's message, or a citation in a user's."""
    content, user = message["content"], message["role"] == "user"
    for block in content if isinstance(content, list) else ():
        if user and (block.get("citations") and block["type"] == "text" or _cites(block)):
            return True
        if not user and block["type"] == "document":
            return True
    return False


def _cites(block: Mapping[str, Any]) -> bool:
    """Whether a block of a user's holds a text with citations: a search result, or one in a tool's result."""
    inner = block.get("content")
    parts = inner if isinstance(inner, list) and block["type"] in ("search_result", "tool_result") else ()
    return any(part.get("citations") and part["type"] == "text" or _cites(part) for part in parts)
