"""Chat Completions for translation: its pieces in one object; see ``rotator.neutral.codec.Codec`` for each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.api import At, Built, Ids, Ledger, Request, Response, parse

from .build import build
from .dialect import ChatDialect
from .losses import LOSSES
from .parse import parse as parse_request
from .reader import ChatReader
from .response import build_response, parse_response
from .writer import ChatWriter


class ChatCodec:
    """Generation, in both roles."""

    losses: Mapping[str, str] = LOSSES
    #: Source: protocols.md 4.3.
    terminal = b"[DONE]"
    #: Chunks have no names.  Source: protocols.md 4.1.
    frame_names: frozenset[str] = frozenset()

    def __init__(self, dialect: ChatDialect | None = None) -> None:
        self._dialect = dialect or ChatDialect()

    def with_dialect(self, options: Mapping[str, Any]) -> ChatCodec:
        found = parse(ChatDialect, options, At(""))
        assert isinstance(found, ChatDialect)
        return ChatCodec(found)

    def parse(self, body: Mapping[str, Any], model: str, stream: bool, ledger: Ledger) -> Request:
        return parse_request(body, model, stream, ledger)

    def build(self, request: Request, ledger: Ledger) -> Built:
        return build(request, self._dialect, ledger)

    def parse_response(self, body: Mapping[str, Any], ledger: Ledger) -> Response:
        return parse_response(body, ledger)

    def build_response(self, response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
        return build_response(response, request, ids, ledger)

    def reader(self, ledger: Ledger) -> ChatReader:
        return ChatReader(ledger)

    def writer(self, request: Request, ids: Ids, ledger: Ledger) -> ChatWriter:
        return ChatWriter(request, ids, ledger)
