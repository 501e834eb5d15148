"""Messages for translation: its pieces in one object; see ``rotator.neutral.codec.Codec`` for each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import At, Built, Ids, Ledger, NeutralError, Request, Response, Usage, parse

from .build import build, headers_of
from .dialect import MessagesDialect
from .eased import loosened, next_step
from .facts import MODELS
from .losses import CHANGED, LOSSES
from .meter import PARSED
from .parse import parse as parse_request
from .reader import MessagesReader
from .response import build_response, parse_response
from .writer import MessagesWriter

#: What a request to count may hold.
COUNTED: Final = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")


class MessagesCodec:
    """Generation, in both roles."""

    losses: Mapping[str, str] = LOSSES
    changes: frozenset[str] = CHANGED
    #: ``message_stop`` is JSON like all others.  Source: protocols.md 4.5.
    terminal = b""
    frame_names: frozenset[str] = PARSED

    def __init__(self, dialect: MessagesDialect | None = None, loose: bool = False) -> None:
        self._dialect = dialect or MessagesDialect()
        self._loose = loose
        self._models = MODELS.over(self._dialect.models) if self._dialect.models else MODELS

    def with_dialect(self, options: Mapping[str, Any]) -> MessagesCodec:
        found = parse(MessagesDialect, options, At(""))
        assert isinstance(found, MessagesDialect)
        return type(self)(found)

    def family(self, model: str) -> str:
        return self._models.family(model)

    def account_bound(self, model: str) -> bool:
        binding = self._models.of(model).binding
        return binding is None or "account" in binding

    def parse(self, body: Mapping[str, Any], model: str, stream: bool, ledger: Ledger) -> Request:
        return parse_request(body, model, stream, ledger)

    def build(self, request: Request, ledger: Ledger) -> Built:
        if self._loose:
            request = loosened(request, ledger)
        return build(request, self._dialect, ledger, self._models.of(request.model))

    def eased(self, error: NeutralError, request: Request) -> MessagesCodec | None:
        step = next_step(error, request, self._dialect, self._loose)
        return None if step is None else type(self)(*step)

    def parse_response(self, body: Mapping[str, Any], ledger: Ledger) -> Response:
        return parse_response(body, ledger)

    def build_response(self, response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
        return build_response(response, request, ids, ledger)

    def reader(self, ledger: Ledger) -> MessagesReader:
        return MessagesReader(ledger)

    def writer(self, request: Request, ids: Ids, ledger: Ledger) -> MessagesWriter:
        return MessagesWriter(request, ids, ledger)


class MessagesCounting(MessagesCodec):
    """Counting tokens: the same request without what is about the answer.  Source: protocols.md 1.3, "Count tokens"."""

    losses: Mapping[str, str] = {
        **LOSSES,
        "count.estimated": "The upstream cannot count tokens: four characters count as one, an image as 1,600.",
    }
    changes = CHANGED | {"count.estimated"}

    def build(self, request: Request, ledger: Ledger) -> Built:
        built = super().build(request, ledger)
        body: dict[str, Any] = {name: built.body[name] for name in COUNTED if name in built.body}
        return built._replace(body=body, headers=headers_of(body, self._dialect) if built.headers else {})

    def parse_response(self, body: Mapping[str, Any], ledger: Ledger) -> Response:
        tokens = body.get("input_tokens")
        usage = Usage(input_fresh=tokens if isinstance(tokens, int) else 0)
        return Response("messages", "", "", (), usage)

    def build_response(self, response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
        return {"input_tokens": response.usage.input_total if response.usage is not None else 0}
