"""Words of the wire that both roles share.  Source: protocols.md 2.2, 2.4, 2.7, 3.5."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from rotator.api import Turn

from .._ids import IdRule

PROTOCOL: Final = "messages"

Display = Literal["hidden", "summary", "updates", "raw"]
CitationKind = Literal["web", "document", "file", "result", "recitation", "other"]

#: ``thinking.display`` -> neutral.  Source: protocols.md 2.4 "Show reasoning".
DISPLAYS: Final[dict[str, Display]] = {"omitted": "hidden", "summarized": "summary", "updates": "updates"}
#: Neutral -> ``thinking.display``.
SHOWN: Final[dict[str, str]] = {neutral: word for word, neutral in DISPLAYS.items()}


class LaterEffort(str):
    """An effort that a message in the conversation set; ``first`` is that of the request, None if it named none.

    A beta of Messages. For every other protocol it is the plain value: the last one holds. Source: protocols.md 7.1,
    "Anth per-message effort".
    """

    __slots__ = ("first",)
    first: str | None

    def __new__(cls, effort: str, first: str | None) -> LaterEffort:
        made = super().__new__(cls, effort)
        made.first = first
        return made


def effort_of_turns(turns: Sequence[Turn]) -> str | None:
    """The effort that a message set last, None if none did; it stays in the ``rest`` of its turn."""
    for turn in reversed(turns):
        config = turn.rest.get("output_config") if turn.rest else None
        effort = config.get("effort") if isinstance(config, dict) else None
        if isinstance(effort, str):
            return effort
    return None


#: A block's ``source.type``, by the block's type; others are not understood.  Source: protocols.md 2.2.
SOURCES: Final[dict[str, frozenset[str]]] = {
    "image": frozenset(("base64", "url", "file")),
    "document": frozenset(("base64", "url", "file", "text", "content")),
}

#: Source: protocols.md 3.5, 3.13 of conversion-pitfalls.md (P153).
CITATION_KINDS: Final[dict[str, CitationKind]] = {
    "char_location": "document",
    "page_location": "document",
    "content_block_location": "document",
    "web_search_result_location": "web",
    "search_result_location": "result",
}

#: Image types that are taken.  Source: protocols.md 2.2 "Image base64".
IMAGE_TYPES: Final = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))

#: Blocks of the vendor's own tools beside ``*_tool_result``; the API never shows a ``fallback`` to the model.
#: Source: protocols.md 2.7 "Server tool blocks in history"; anthropic types, BetaFallbackBlockParam.
HOSTED_BLOCKS: Final = frozenset(
    ("server_tool_use", "mcp_tool_use", "mcp_tool_listing", "fallback")
)
WEB_SEARCH: Final = "web_search_"
TOOL_SEARCH: Final = "tool_search_tool_"
#: How the types of tools begin that the vendor runs; others that it defined are run by the client, or are mistakes.
#: Source: protocols.md 2.7.
HOSTED_TOOLS: Final = (WEB_SEARCH, "web_fetch_", "code_execution_", TOOL_SEARCH, "mcp_", "advisor_")
#: Blocks that point to what the vendor keeps, or that only it can open (protocols.md 2.6, "context_management").
REFERENCES: Final = frozenset(("compaction", "tool_reference", "container_upload"))

#: Calls' ids; the length is unknown, that of Responses is safe.  Source: protocols.md 6.3, row "Anth".
ID_RULE: Final = IdRule(re.compile(r"[a-zA-Z0-9_-]+"), 64, "toolu_")
#: Characters of a tool's name.  Source: protocols.md 6.4, row "Anth".
NAME_LIMIT: Final = 128
