"""The parts of a message's content as an upstream takes them.  Source: protocols.md 2.2, 2.9 ("To Chat")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rotator.api import CacheMark, Ledger, Media, Opaque, Part, Path, Refusal, Request, Text

from .._reading import refuse
from .._shared import fresh
from .build_cache import mark
from .build_media import Wire, foreign_media, own_media
from .dialect import ChatDialect
from .spelling import NAME, put_mark, put_rest

#: Parts of other protocols that lose something of their own when they are told in words.
WORDED: Final[Mapping[str, str]] = {"search_result": "search_result.citations"}

#: Parts that say which tools may be called from there on.  Source: protocols.md 2.3, "Additional tools mid-input".
TOOL_CHANGES: Final = frozenset(("tool_addition", "tool_removal"))

_BARE: Final = frozenset(("type", "text"))


class Content:
    """Writes the content of one request's messages: of Chat's own client as it was, of others converted, or refused."""

    __slots__ = ("_dialect", "_joined", "_ledger", "_own", "_tool_places")

    def __init__(self, request: Request, dialect: ChatDialect, ledger: Ledger) -> None:
        self._own = request.protocol == NAME
        self._dialect = dialect
        self._joined = dialect.text == "joined"
        self._ledger = ledger
        self._tool_places = [tool.at for tool in request.tools]

    def of(self, parts: tuple[Part, ...]) -> str | list[Wire]:
        """``content`` of a message that holds nothing else."""
        if self._own and len(parts) == 1 and type(part := parts[0]) is Text and not part.rest and part.cache is None:
            return part.text
        return self.folded(self.wire(parts))

    def wire(self, parts: Iterable[Part]) -> list[Wire]:
        """The parts, one by one.

        Raises Refused for what has neither a form here nor words.
        """
        wire: list[Wire] = []
        for part in parts:
            if isinstance(part, Text):
                wire.append(self._text(part))
            elif isinstance(part, Media):
                wire += self.media(part)
            elif isinstance(part, Refusal):
                wire.append(self._refusal(part))
            elif isinstance(part, Opaque):
                wire += self._opaque(part)
        return wire

    def folded(self, wire: list[Wire]) -> str | list[Wire]:
        """A string for one bare text or none, and for several where the upstream takes strings only (P-117)."""
        if not wire:
            return ""
        if len(wire) == 1 and wire[0].keys() == _BARE and wire[0]["type"] == "text":
            return str(wire[0]["text"])
        if not self._joined or any(part["type"] != "text" for part in wire):
            return wire
        if any(part.keys() != _BARE for part in wire):
            self._ledger.lose("cache.breakpoint")
        return "\n\n".join(part["text"] for part in wire)

    def media(self, part: Media) -> list[Wire]:
        """One medium; a document may become several parts."""
        form = part.source.form
        if self._own and form not in ("text", "parts"):
            wire = own_media(part)
            self._put_beside(wire, part)
            return [wire]
        below = self.wire(part.source.parts) if form == "parts" else []
        if part.state is not None:
            self._ledger.lose("reasoning.state")
        told = foreign_media(part, below, self._ledger)
        if told:
            self.mark(told[-1], part.cache, part.at)
        return told

    def mark(self, wire: Wire, cache: CacheMark | None, at: Path) -> None:
        """A foreign part's breakpoint."""
        mark(wire, cache, at, self._dialect, self._ledger)

    def lose_beside(self, part: Text) -> None:
        """What a foreign text says beside its words and its breakpoint."""
        if part.rest:
            self._ledger.lose_rest(part.rest, part.at)
        if part.state is not None:
            self._ledger.lose("reasoning.state")
        if part.citations:
            self._ledger.lose("citations.history")

    def words(self, part: Opaque) -> str:
        """What of a foreign part can be told in words, with its loss; "" if nothing.

        Raises Refused for content without words, and for what a vendor keeps, unless it is where tools of the request
        were declared (Responses).
        """
        if part.role == "hosted":
            self._ledger.lose("part.hosted")
        elif part.text:
            self._lose_form(part)
        elif part.role == "reference":
            if not any(place[: len(part.at)] == part.at for place in self._tool_places):
                refuse(part.at, "points to what only its own vendor keeps")
            self._ledger.note("chat.build.content", "part.tools", part.at)
        else:
            refuse(part.at, f"a part of the type {part.type} has no place in Chat Completions")
        return part.text

    def _lose_form(self, part: Opaque) -> None:
        """All tools are told at once, so that one that is told of in the conversation is there already."""
        if part.type in TOOL_CHANGES:
            self._ledger.lose("tool.changes")
        elif part.type == "tool_reference":
            self._ledger.note("chat.build.content", "part.tools", part.at)
        else:
            self._ledger.lose(WORDED.get(part.type, "part.foreign"), part.at)

    def _text(self, part: Text) -> Wire:
        wire = {"type": "text", "text": part.text}
        if self._own:
            self._put_beside(wire, part)
        else:
            self.lose_beside(part)
            self.mark(wire, part.cache, part.at)
        return wire

    def _refusal(self, part: Refusal) -> Wire:
        wire = {"type": "refusal", "refusal": part.text}
        put_rest(wire, part.rest)
        return wire

    def _opaque(self, part: Opaque) -> list[Wire]:
        if self._own and part.protocol == NAME:
            return [fresh(part.data)]
        text = self.words(part)
        return [{"type": "text", "text": text}] if text else []

    @staticmethod
    def _put_beside(wire: Wire, part: Text | Media) -> None:
        put_mark(wire, part.cache)
        if part.rest:
            put_rest(wire, part.rest)
