"""Tools that the client's vendor would run, for another vendor.  Source: protocols.md 2.7; 2.3 "Tool search".

A tool that is left out changes what the model can do, so it is refused; a provider whose clients bring such tools to
every request may say ``hosted_tools: drop``.
"""

from __future__ import annotations

from typing import Final

from rotator.api import Ledger, Path, Tool, WebSearch

from .._reading import refuse
from .._web_search import approximate
from .build_media import Wire
from .dialect import ChatDialect
from .parse_tools import WEB_SEARCH

#: How much of what was found is read, in Chat's words.
SIZES: Final = frozenset(("low", "medium", "high"))


def put_hosted(body: Wire, tool: Tool, forbidden: bool, dialect: ChatDialect, ledger: Ledger) -> bool:
    """A hosted tool as an option of the body, if Chat has it, and whether it has.

    ``forbidden``: nothing may be called now.
    """
    if tool.finds_tools:
        ledger.lose("tool.search", tool.at)
    elif forbidden:
        ledger.note("chat.build.tools", "tool.forbidden", tool.at)
    elif tool.search is not None and dialect.web_search == "options" and _told(tool.search, tool.at, dialect, ledger):
        body[WEB_SEARCH] = _options(tool.search)
        ledger.lose_rest(tool.rest, tool.at)
        return True
    elif dialect.hosted_tools == "drop":
        ledger.lose("tool.hosted", tool.at, tool.name)
    else:
        refuse(tool.at, f"{tool.name} is run by its own vendor, and this one does not have it")
    return False


def _told(search: WebSearch, at: Path, dialect: ChatDialect, ledger: Ledger) -> bool:
    """Whether the search does not go beyond what it may: Chat keeps to no domains.  How often it may search is lost."""
    for name, domains in (("allowed_domains", search.allowed_domains), ("blocked_domains", search.blocked_domains)):
        if domains and dialect.hosted_tools == "drop":
            return False
        if domains:
            refuse((*at, name), "a search in Chat Completions keeps to no domains")
    if search.limit is not None:
        ledger.lose("tool.setting", (*at, "max_uses"))
    if search.context is not None and search.context not in SIZES:
        ledger.lose("tool.setting", (*at, "search_context_size"))
    return True


def _options(search: WebSearch) -> Wire:
    options: Wire = {"search_context_size": search.context} if search.context in SIZES else {}
    if search.location:
        options["user_location"] = {"type": "approximate", "approximate": approximate(search)}
    return options
