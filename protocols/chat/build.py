"""Neutral -> the request for an upstream.  Source: protocols.md 2.1 to 2.6, 2.9 ("To Chat")."""

from __future__ import annotations

from dataclasses import replace

from rotator.api import Built, Ledger, Request

from .._names import ToolNames
from .build_cache import put_cache
from .build_effort import for_model, put_reasoning
from .build_media import Wire
from .build_own import Replay
from .build_settings import put_common, put_own_settings, put_settings
from .build_tools import NAME_LIMIT, free_choice, put_own_tools, put_tools
from .build_turns import History
from .dialect import ChatDialect
from .facts import ChatFacts, facts_of
from .spelling import NAME, put_rest


def build(request: Request, dialect: ChatDialect, ledger: Ledger, facts: ChatFacts | None = None) -> Built:
    """The body of ``/chat/completions``.  Raises Refused naming the client's field that has no place in it.

    ``facts`` are those of the model under the dialect, where they are known already.
    """
    if request.protocol == NAME:
        return Built(_own(request, dialect, ledger))
    facts = facts or facts_of(request.model, dialect.models)
    dialect = for_model(dialect, facts)
    if dialect.web_search == "by_model":
        dialect = replace(dialect, web_search="options" if facts.web_search else "none")
    names = ToolNames(request, NAME_LIMIT)
    body: Wire = {"model": request.model, "messages": History(request, names, dialect, ledger).messages()}
    restored = put_tools(body, request, names, dialect, ledger)
    free_choice(body, request, facts, ledger)
    put_common(body, request)
    put_settings(body, request, dialect, facts, ledger)
    put_reasoning(body, request, dialect, facts, ledger)
    _put_stream(body, request)
    put_cache(body, request, dialect, ledger)
    return Built(body, restored)


def _own(request: Request, dialect: ChatDialect, ledger: Ledger) -> Wire:
    """What the client said, nothing added, nothing repaired."""
    body: Wire = {"model": request.model, "messages": Replay(request, dialect, ledger).messages()}
    put_own_tools(body, request)
    put_common(body, request)
    put_own_settings(body, request)
    _put_stream(body, request)
    if not request.stream and request.usage_in_stream:
        body["stream_options"] = {"include_usage": True}
    put_rest(body, request.rest)
    return body


def _put_stream(body: Wire, request: Request) -> None:
    """Usage is always asked for: what an answer cost is told to every client.  Source: protocols.md 2.6, 3.4."""
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
