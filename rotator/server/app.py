"""The ASGI application: routes taken from the protocols, and what belongs to the process rather than to a request.

Protocol operations are found by a plain look-up of the path and called as raw ASGI; everything else goes through
Starlette's router (its endpoint layer costs 30 microseconds a request: performance.md).
"""

from __future__ import annotations

import itertools
import logging
import secrets
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

from starlette.applications import Starlette
from starlette.routing import Route as WebRoute

from rotator import __version__
from rotator.config.schema import Limits, Server, Timeouts
from rotator.contain import contain
from rotator.contracts import Caller, Clock, Operation, Provider, Runtime
from rotator.credentials.pool import Pool
from rotator.exchange.record import RequestRecord
from rotator.exchange.trip import Means
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.server.admit import Gate
from rotator.server.catalogue import Catalogue
from rotator.server.clock import SystemClock
from rotator.server.exchange import Exchange, Running
from rotator.server.fetching import fetcher
from rotator.server.hangup import Receive
from rotator.server.lines import RequestLines
from rotator.server.pages import Pages
from rotator.server.replies import Send
from rotator.wire.transport import Transport, TransportSettings
from rotator.world import World

log = logging.getLogger(__name__)

SHUTTING_DOWN: Final = error_of(ErrorKind.OVERLOADED, "the proxy is shutting down", code="shutting_down")


class App:
    """One proxy.  ``startup`` and ``shutdown`` are called by the server around its life; ``adopt`` on reload."""

    def __init__(
        self, world: World, *, clock: Clock | None = None, strict: bool = False, out: TextIO | None = None
    ) -> None:
        self.world = world
        self.clock = clock or SystemClock()
        self.pool = Pool(self.clock, strict=strict)
        self.pool.reconcile(world.credentials)
        self.transport = Transport(_transport_settings(world))
        self.means = Means(self.pool, self.transport, self.clock)
        self.runtime = Runtime(world.protocols, fetcher(self.transport, world.proxies))
        self.catalogue = Catalogue(self.clock, lambda: self.runtime)
        self.lines = RequestLines(out or sys.stdout, as_json=world.settings.get(Server).log == "json")
        self.running: set[Running] = set()
        self.stopping = False
        self._gate = Gate(world.settings.client_keys)
        self._started: dict[str, Provider] = {}
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(4)
        self._exchanges: dict[str, dict[str, Exchange]] = {}
        self._web = self._routes()

    def _routes(self) -> Starlette:
        """Protocols' routes by path and method, and Starlette's for everything that is not a protocol's."""
        for protocol in self.world.protocols.values():
            for route in protocol.routes:
                self._exchanges.setdefault(route.path, {})[route.method] = Exchange(self, protocol, route)
        pages = Pages(self)
        return Starlette(
            routes=[
                WebRoute("/", pages.root, methods=["GET", "HEAD"]),
                WebRoute("/health", pages.health, methods=["GET", "HEAD"]),
                WebRoute("/ready", pages.ready, methods=["GET", "HEAD"]),
                WebRoute("/v1/models", pages.models, methods=["GET"]),
            ],
            exception_handlers={404: pages.not_found, 405: pages.not_allowed, 500: pages.failed},
        )

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        methods = self._exchanges.get(scope.get("path", ""))
        if methods is not None:
            exchange = methods.get(scope["method"])
            if exchange is not None:
                await exchange(scope, receive, send)
                return
        await self._web(dict(scope), receive, send)

    def methods_of(self, path: str) -> tuple[str, ...]:
        """The methods that protocols serve on a path."""
        return tuple(self._exchanges.get(path, ()))

    def protocol_name_of(self, path: str) -> str | None:
        """The protocol that owns a path, if one does."""
        for exchange in self._exchanges.get(path, {}).values():
            return exchange.protocol.name
        return None

    def admit(self, scope: Mapping[str, Any], headers: Mapping[str, str], query: str) -> Caller:
        """Who calls.  Raises Refused."""
        client = scope.get("client")
        return self._gate.admit(headers, query, client[0] if client else None)

    def new_record(self, scope: Mapping[str, Any]) -> RequestRecord:
        request_id = f"req_{self._prefix}{next(self._numbers):08x}"
        clock = self.clock
        return RequestRecord(
            request_id, clock.time(), clock.monotonic(), method=scope["method"], path=scope["path"]
        )

    def finished(self, record: RequestRecord) -> None:
        """A request is over: its line."""
        with contain("the request line"):
            self.lines.add(record, (self.clock.monotonic() - record.started) * 1_000)

    async def startup(self) -> None:
        """Make the session and start the providers that have a key; nothing touches the network."""
        self.transport.start()
        await self._start_providers()

    async def _start_providers(self) -> None:
        for name in self.world.credentials:
            provider = self.world.providers[name]
            if name not in self._started:
                self._started[name] = provider
                await provider.start(self.runtime)

    async def adopt(self, world: World) -> None:
        """Swap in a new generation; requests under way keep theirs.  Settings of sockets need a restart."""
        self.world = world
        self.pool.reconcile(world.credentials)
        self._gate = Gate(world.settings.client_keys)
        self.runtime = Runtime(world.protocols, fetcher(self.transport, world.proxies))
        await self._start_providers()

    def end_requests(self, error: NeutralError = SHUTTING_DOWN) -> None:
        """Stop every request: open streams get their protocol's in-band error."""
        self.stopping = True
        for running in tuple(self.running):
            running.end(error)

    async def shutdown(self) -> None:
        """Close what startup opened, also after a start that failed half-way."""
        self.stopping = True
        for name, provider in self._started.items():
            with contain(f"closing provider {name}"):
                await provider.aclose()
        self._started.clear()
        await self.transport.aclose()
        self.lines.flush()

    def __repr__(self) -> str:
        return f"<App {__version__}, generation {self.world.generation}, {len(self.running)} running>"


def _transport_settings(world: World) -> TransportSettings:
    settings = world.settings
    timeouts = settings.get(Timeouts)
    certificates = settings.environment.get("SSL_CERT_FILE")
    return TransportSettings(
        timeouts.connect_seconds,
        timeouts.read_streaming_seconds,
        timeouts.read_non_streaming_seconds,
        settings.get(Limits).response_body_bytes,
        settings.get(Server).trust_env,
        certificates.value.reveal() if certificates else None,
    )


