"""A web search that a vendor runs, as clients of the protocols ask for it.  Source: protocols.md 2.7, "Web search"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import WebSearch

from ._reading import Fields

#: What is told of a place, in the order in which it is written.
PLACES: Final = ("city", "country", "region", "timezone")


def read_location(fields: Fields) -> Mapping[str, str]:
    """``user_location``: ``{type: approximate}`` with the place beside it, or below ``approximate`` (Chat)."""
    location = fields.fields("user_location")
    if location is None:
        return {}
    location.drop("type")
    place = location.fields("approximate") or location
    found = {name: place.text(name) for name in PLACES}
    return {name: value for name, value in found.items() if value}


def read_search(fields: Fields) -> WebSearch:
    """What a search is to keep to; ``filters`` are those of Responses, which some Chat servers take."""
    filters = fields.fields("filters") or fields
    return WebSearch(
        read_location(fields),
        filters.texts("allowed_domains") or (),
        filters.texts("blocked_domains") or (),
        fields.text("search_context_size"),
        fields.whole("max_uses"),
    )


def approximate(search: WebSearch) -> dict[str, Any]:
    """The place as both vendors write it."""
    return {name: search.location[name] for name in PLACES if name in search.location}
