"""The endpoints that belong to no protocol, and what unknown paths and methods get: errors in the client's protocol."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rotator import __version__
from rotator.contracts import ProtocolAdapter
from rotator.errors import Refused
from rotator.exchange.record import RequestRecord
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.server.admit import header_map
from rotator.server.core import Core
from rotator.server.replies import PRIVATE, HeaderList, send_error
from rotator.wire.jsontext import dumps

log = logging.getLogger(__name__)


class Pages:
    """Starlette endpoints over one core."""

    def __init__(self, core: Core) -> None:
        self.core = core

    async def root(self, request: Request) -> Response:
        """Clients probe the base URL with HEAD and GET (design.md 6, Endpoints)."""
        return await self._open(request, {"name": "rotator", "version": __version__, "endpoints": self._endpoints()})

    def _endpoints(self) -> list[str]:
        served = [route.path for protocol in self.core.world.protocols.values() for route in protocol.routes]
        return [*sorted(served), "/v1/models", "/v1/explain", "/health", "/ready"]

    async def health(self, request: Request) -> Response:
        """The process lives; needs no key and says nothing about anyone."""
        return await self._open(request, {"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> Response:
        """Whether new requests are wanted: not while it shuts down."""
        stopping = self.core.stopping
        return await self._open(request, {"status": "stopping" if stopping else "ready"}, 503 if stopping else 200)

    async def _open(self, request: Request, document: object, status: int = 200) -> Response:
        """A page that needs no key; what is no proper request gets none."""
        try:
            header_map(request.scope["headers"])
        except Refused as refused:
            return await self._told(request, refused.error)
        return document_of(document, status)

    async def models(self, request: Request) -> Response:
        """The model list in the shape of the protocol that the headers speak of (clients.md 1.6)."""
        record = self.core.new_record(request.scope)
        try:
            record.client = self._admitted(request)
            listed = await self.core.catalogue.models(self.core.world)
            record.status = 200
            return document_of(self._protocol(request).write_models(listed))
        except Refused as refused:
            return await self.refusal(request, refused.error, record)
        finally:
            self.core.finished(record)

    async def not_found(self, request: Request, error: Exception) -> Response:
        path = request.scope["path"]
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._told(request, _websocket(), [(b"upgrade", b"HTTP/1.1")])
        message = f"no such endpoint: {request.method} {path[:200]} (served: {', '.join(self._endpoints())})"
        routes = [route for protocol in self.core.world.protocols.values() for route in protocol.routes]
        if methods := tuple(route.method for route in routes if route.path == path):
            return await self._told(request, _method(request.method, path), _allow(methods))
        return await self._told(request, error_of(ErrorKind.NOT_FOUND, message, code="unknown_endpoint"))

    async def not_allowed(self, request: Request, error: Exception) -> Response:
        allow = error.headers if isinstance(error, HTTPException) else None
        methods = tuple((allow or {}).get("Allow", "").replace(" ", "").split(","))
        return await self._told(request, _method(request.method, request.scope["path"]), _allow(methods))

    async def failed(self, request: Request, error: Exception) -> Response:
        log.error("%s %s failed inside the proxy", request.method, request.scope["path"], exc_info=error)
        failure = error_of(ErrorKind.SERVER, "the proxy failed on this request", code="internal_error")
        return await self._told(request, failure)

    async def _told(self, request: Request, error: NeutralError, extra: HeaderList | None = None) -> Response:
        """An error page with its line; who may not come in learns only that."""
        record = self.core.new_record(request.scope)
        try:
            record.client = self._admitted(request)
        except Refused as refused:
            error, extra = refused.error, None
        try:
            return await self.refusal(request, error, record, extra)
        finally:
            self.core.finished(record)

    def _admitted(self, request: Request) -> str:
        """The caller's label.  Raises Refused."""
        scope = request.scope
        return self.core.admit(scope, header_map(scope["headers"]), scope["query_string"].decode("latin-1")).label

    def _protocol(self, request: Request) -> ProtocolAdapter:
        return self.core.protocol_of(request.scope["path"], dict(request.headers))

    async def refusal(
        self, request: Request, error: NeutralError, record: RequestRecord, extra: HeaderList | None = None
    ) -> Response:
        """An error in the protocol that the request's headers speak of."""
        return _Refusal(self._protocol(request), self.core.world.redactor.error(error), record, extra)


class _Refusal(Response):
    """An error that is written when Starlette calls it."""

    def __init__(
        self, protocol: ProtocolAdapter, error: NeutralError, record: RequestRecord, extra: HeaderList | None
    ) -> None:
        super().__init__()
        self.protocol, self.error, self.record, self.extra = protocol, error, record, extra
        record.status = protocol.refuse(error).status
        record.note = error.code or str(error.kind)

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send_error(send, self.protocol, self.error, self.record, self.extra)


def document_of(document: object, status: int = 200) -> Response:
    """A JSON document for one caller."""
    headers = {name.decode(): value.decode() for name, value in PRIVATE}
    return Response(dumps(document), status, headers, "application/json")


def _method(method: str, path: str) -> NeutralError:
    message = f"{method} is not served on {path[:200]}"
    return error_of(ErrorKind.METHOD, message, code="method_not_allowed", should_retry=False)


def _websocket() -> NeutralError:
    """426 sends Codex to plain HTTP at once; 404 costs it seven tries (clients.md 3, Codex)."""
    message = "WebSocket is not served; use plain HTTP"
    return NeutralError(ErrorKind.BAD_REQUEST, message, 426, "upgrade_required", should_retry=False)


def _allow(methods: tuple[str, ...]) -> HeaderList:
    return [(b"allow", ", ".join(methods).encode("latin-1"))]
