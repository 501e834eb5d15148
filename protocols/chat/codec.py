"""Chat Completions for translation: its pieces in one object; see ``rotator.neutral.codec.Codec`` for each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.api import At, Built, Ids, Ledger, NeutralError, Request, Response, parse

from .build import build
from .dialect import ChatDialect
from .facts import MODELS
from .losses import CHANGED, LOSSES
from .parse import parse as parse_request
from .reader import ChatReader
from .response import build_response, parse_response
from .writer import ChatWriter


class ChatCodec:
    """Generation, in both roles."""

    losses: Mapping[str, str] = LOSSES
    changes: frozenset[str] = CHANGED
    #: Source: protocols.md 4.3.
    terminal = b"[DONE]"
    #: Chunks have no names.  Source: protocols.md 4.1.
    frame_names: frozenset[str] = frozenset()

    def __init__(self, dialect: ChatDialect | None = None) -> None:
        self._dialect = dialect or ChatDialect()
        self._models = MODELS.over(self._dialect.models) if self._dialect.models else MODELS

    def with_dialect(self, options: Mapping[str, Any]) -> ChatCodec:
        found = parse(ChatDialect, options, At(""))
        assert isinstance(found, ChatDialect)
        return ChatCodec(found)

    def family(self, model: str) -> str:
        return self._models.family(model)

    def account_bound(self, model: str) -> bool:
        return True

    def eased(self, error: NeutralError, request: Request) -> ChatCodec | None:
        """Schemas that are too large are refused by no vendor of Chat that is known."""
        return None

    def parse(self, body: Mapping[str, Any], model: str, stream: bool, ledger: Ledger) -> Request:
        return parse_request(body, model, stream, ledger)

    def build(self, request: Request, ledger: Ledger) -> Built:
        return build(request, self._dialect, ledger, self._models.of(request.model))

    def parse_response(self, body: Mapping[str, Any], ledger: Ledger) -> Response:
        return parse_response(body, ledger, self._dialect.reasoning_answer)

    def build_response(self, response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
        return build_response(response, request, ids, ledger)

    def reader(self, ledger: Ledger) -> ChatReader:
        return ChatReader(ledger, self._dialect.reasoning_answer)

    def writer(self, request: Request, ids: Ids, ledger: Ledger) -> ChatWriter:
        return ChatWriter(request, ids, ledger)
