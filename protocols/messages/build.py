"""Neutral -> the request for an upstream.  Source: protocols.md 2.1 to 2.6, 2.9 ("To Anthropic")."""

from __future__ import annotations

from typing import Any

from rotator.api import Built, Ledger, Request

from .._names import ToolNames
from .._shared import fresh
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
from .build_tools import Toolbox, foreign_tools, own_tools
from .build_turns import foreign_turns, own_turns
from .dialect import MessagesDialect
from .vocabulary import NAME_LIMIT, PROTOCOL, SHOWN

STEP = "messages.build"


def build(request: Request, dialect: MessagesDialect, ledger: Ledger) -> Built:
    """The body of ``/v1/messages``.  Raises Refused naming the client's field that has no place in it."""
    refuse_impossible(request)
    lose_unknown(request, ledger)
    if request.protocol == PROTOCOL:
        return Built(_own(request, ledger))
    return _foreign(request, dialect, ledger)


# ---------------------------------------------------------------- the own protocol


def _own(request: Request, ledger: Ledger) -> dict[str, Any]:
    """What the client said, nothing added, nothing repaired."""
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
        "cache_control": None if request.cache.auto is None else cache_control(request.cache.auto.ttl),
    }
    body.update((name, value) for name, value in settings.items() if value is not None)
    body.update(rest)
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
    if request.reasoning.effort is not None:
        said["effort"] = request.reasoning.effort
    form = request.output.format
    if form is not None:
        said["format"] = {"type": form.kind, "schema": form.schema, **fresh(form.rest)}
    return said


# ---------------------------------------------------------------- other protocols


def _foreign(request: Request, dialect: MessagesDialect, ledger: Ledger) -> Built:
    names = ToolNames(request, NAME_LIMIT)
    toolbox = foreign_tools(request, names, ledger)
    system, messages = foreign_turns(request, Blocks(request, ledger), names, dialect.mid_system, ledger)
    form, instruction = answer_format(request.output.format, dialect, ledger)
    if instruction:
        system.append({"type": "text", "text": instruction})
        ledger.note(STEP, "format.instruction")
    body = _body(request, system, messages, toolbox)
    limit = request.output.max_tokens
    body["max_tokens"] = dialect.max_tokens if limit is None else limit
    if limit is None:
        ledger.note(STEP, "max_tokens.default")
    add_sampling(request, body, ledger)
    add_stops(request, body, ledger)
    if form is not None:
        body["output_config"] = {"format": form}
    add_meta(request, body, ledger)
    lose_wishes(request, ledger)
    return Built(body, toolbox.names)


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
