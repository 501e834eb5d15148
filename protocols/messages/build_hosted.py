"""Tools that the client's vendor would run, for this one.  Source: protocols.md 2.7.

A tool that is left out changes what the model can do, so it is refused; a provider whose clients bring such tools to
every request may say ``hosted_tools: drop``.
"""

from __future__ import annotations

from typing import Any, Final

from rotator.api import Ledger, Tool, WebSearch

from .._cache import CLAUDE, cache_control
from .._reading import refuse
from .._web_search import approximate
from .dialect import MessagesDialect

#: The type that all models with a search take, and the only name that it may have.  Source: protocols.md 2.7.
TYPE: Final = "web_search_20250305"
NAME: Final = "web_search"


def hosted_tool(tool: Tool, dialect: MessagesDialect, ledger: Ledger) -> dict[str, Any] | None:
    """The entry of ``tools``, None where there is to be none.  Raises Refused for what does not run here."""
    if tool.finds_tools:
        ledger.lose("tool.search", tool.at)
        return None
    if tool.search is not None and dialect.web_search == "tool":
        return _web_search(tool, tool.search, ledger)
    if dialect.hosted_tools == "refuse":
        refuse(tool.at, f"{tool.name} is run by its own vendor, and this one does not have it")
    ledger.lose("tool.hosted", tool.at, tool.name)
    return None


def _web_search(tool: Tool, search: WebSearch, ledger: Ledger) -> dict[str, Any]:
    """Domains are allowed or blocked, never both; how much of a page is read is left to the vendor."""
    written: dict[str, Any] = {"type": TYPE, "name": NAME}
    if search.allowed_domains and search.blocked_domains:
        refuse(tool.at, "a search in Messages has allowed or blocked domains, not both")
    if search.allowed_domains:
        written["allowed_domains"] = list(search.allowed_domains)
    if search.blocked_domains:
        written["blocked_domains"] = list(search.blocked_domains)
    if search.limit is not None:
        written["max_uses"] = search.limit
    if search.location:
        written["user_location"] = {"type": "approximate", **approximate(search)}
    if search.context not in (None, "medium"):  # medium is what is done anyway
        ledger.lose("tool.setting", (*tool.at, "search_context_size"))
    if tool.cache is not None:
        written[CLAUDE] = cache_control(tool.cache)
    ledger.lose_rest(tool.rest, tool.at)
    return written
