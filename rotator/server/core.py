"""What belongs to the process rather than to a request: world, pool, transport, providers' life, the open requests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final, Protocol, TextIO

from rotator import __version__
from rotator.config.schema import STATE_SECRET, Limits, Server, Timeouts
from rotator.contain import contain
from rotator.contracts import Caller, Clock, ProtocolAdapter, Provider, Runtime
from rotator.credentials.pool import Pool
from rotator.errors import Refused
from rotator.exchange.record import RequestRecord
from rotator.exchange.trip import Means
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.neutral.seal import Seal
from rotator.server.admit import Gate
from rotator.server.catalogue import Catalogue
from rotator.server.clock import SystemClock
from rotator.server.fetching import fetcher
from rotator.server.lines import RequestLines
from rotator.server.logs import redact_logs
from rotator.server.polling import QuotaPolls
from rotator.server.tracing import Tracing
from rotator.state.installation import installation_secret
from rotator.wire.transport import Transport, TransportSettings
from rotator.world import World

log = logging.getLogger(__name__)

SHUTTING_DOWN: Final = error_of(ErrorKind.OVERLOADED, "the proxy is shutting down", code="shutting_down")
#: When a request that found no slot may come again.
RETRY_SECONDS: Final = 1.0


class Endable(Protocol):
    """A request that is being served."""

    def end(self, error: NeutralError) -> None:
        """Stop it with an error for its client."""
        ...


class Slots:
    """Counts admitted requests under way, in all and for each client key.

    Who may not come in takes none: strangers cannot use up what clients need.
    """

    __slots__ = ("_clients", "total")

    def __init__(self) -> None:
        self.total = 0
        self._clients: dict[str, int] = {}

    def take(self, client: str, limits: Limits) -> None:
        """One more for ``Caller.id``.  Raises Refused where that is too many; otherwise ``free`` must follow."""
        taken = self._clients.get(client, 0)
        if self.total >= limits.concurrent_requests:
            raise _no_slot(f"{limits.concurrent_requests} requests are under way (limits.concurrent_requests)")
        most = limits.concurrent_requests_per_client
        if most is not None and taken >= most:
            raise _no_slot(f"{most} requests of this client are under way (limits.concurrent_requests_per_client)")
        self.total += 1
        self._clients[client] = taken + 1

    def free(self, client: str) -> None:
        """The request is over; a client without requests is forgotten."""
        self.total -= 1
        left = self._clients[client] - 1
        if left:
            self._clients[client] = left
        else:
            del self._clients[client]


def _seal(world: World) -> Seal:
    """With the secret that the environment names, else the installation's own."""
    settings = world.settings
    given = settings.environment.get(STATE_SECRET)
    if given is None:
        return Seal(lambda: installation_secret(settings.state_dir))
    return Seal(lambda: given.value.reveal().encode("utf-8", "surrogateescape"))


def _no_slot(message: str) -> Refused:
    error = error_of(ErrorKind.OVERLOADED, message, code="too_many_requests_in_flight")
    return Refused(replace(error, retry_after_seconds=RETRY_SECONDS))


class Core:
    """One proxy without its routes.  ``startup`` and ``shutdown`` are called around its life; ``adopt`` on reload."""

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        strict: bool = False,
        out: TextIO | None = None,
        rng: Random | None = None,
    ) -> None:
        self.world = world
        self.clock = clock or SystemClock()
        self.pool = Pool(self.clock, strict=strict, rng=rng)
        self.pool.reconcile(world.credentials, world.rotations, world.strategies)
        self.transport = Transport(_transport_settings(world))
        self.catalogue = Catalogue(self.clock, lambda: self.runtime)
        self.means = Means(self.pool, self.transport, self.clock, seal=_seal(world), learn=self.catalogue.learn)
        self.runtime = Runtime(world.protocols, fetcher(self.transport, world.proxies))
        self.polls = QuotaPolls(
            self.clock,
            lambda: self.runtime,
            lambda key, facts, at: self.pool.learn_quota(key.id, facts, at),
            rng or Random(),
        )
        self.lines = RequestLines(out or sys.stdout, as_json=world.settings.get(Server).log == "json")
        self.tracing = Tracing(world, self.clock)
        self.running: set[Endable] = set()
        self.slots = Slots()
        self.stopping = False
        self.idle = asyncio.Event()
        self._gate = Gate(world.settings.client_keys)
        self._adopting = asyncio.Lock()
        self._started: dict[str, Provider] = {}
        redact_logs(world.redactor)
        self.leaving: list[Provider] = []
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(4)

    def admit(self, scope: Mapping[str, Any], headers: Mapping[str, str], query: str) -> Caller:
        """Who calls.  Raises Refused."""
        client = scope.get("client")
        return self._gate.admit(headers, query, client[0] if client else None)

    def new_record(self, scope: Mapping[str, Any]) -> RequestRecord:
        request_id = f"req_{self._prefix}{next(self._numbers):08x}"
        clock = self.clock
        return RequestRecord(
            request_id, clock.time(), clock.monotonic(), method=scope["method"], path=scope["path"][:200]
        )

    def finished(self, record: RequestRecord) -> float:
        """A request is over: its line.  How long it took, in ms."""
        took_ms = (self.clock.monotonic() - record.started) * 1_000
        if record.status >= 400:  # a client may have put its key where a name belongs
            record.path, record.model = self.world.redactor.text(record.path), self.world.redactor.text(record.model)
        self.lines.add(record, took_ms)
        return took_ms

    async def startup(self) -> None:
        """Make the session and start the providers that have a key; only polls of quotas touch the network."""
        self.transport.start()
        await self._start_providers()
        await self.polls.adopt(self.world)

    async def _start_providers(self) -> None:
        for name in self.world.credentials:
            provider = self.world.providers[name]
            if name in self._started:
                continue
            with contain(f"starting provider {name}"):
                try:
                    await provider.start(self.runtime)
                except BaseException:
                    await provider.aclose()  # after a half start
                    raise
                self._started[name] = provider

    async def adopt(self, world: World) -> None:
        """Swap in a new generation; requests under way keep theirs.  Settings of sockets need a restart."""
        async with self._adopting:  # a signal and a changed file may ask at once
            await self._adopt(world)

    async def _adopt(self, world: World) -> None:
        self.world = world
        self.pool.reconcile(world.credentials, world.rotations, world.strategies)
        self._gate = Gate(world.settings.client_keys)
        self.tracing.adopt(world)
        redact_logs(world.redactor)
        self.runtime = Runtime(world.protocols, fetcher(self.transport, world.proxies))
        self.transport.settings = _transport_settings(world)
        for provider in [one for one in self.leaving if one.name in world.credentials]:
            self.leaving.remove(provider)  # back before it was closed
            self._started[provider.name] = provider
        await self._start_providers()
        await self.polls.adopt(world)
        for name in [name for name in self._started if name not in world.credentials]:
            self.leaving.append(self._started.pop(name))
        await self.close_leaving()

    async def close_leaving(self) -> None:
        """Close providers that nothing is configured for any more, once no request is left that may use them."""
        while self.leaving and not self.running:
            await _close(self.leaving.pop())

    def enter(self, request: Endable) -> None:
        """A request begins."""
        self.running.add(request)

    def leave(self, request: Endable) -> None:
        """A request is over."""
        self.running.discard(request)
        if self.stopping and not self.running:
            self.idle.set()

    async def drained(self, seconds: float) -> None:
        """Refuse new requests and wait until none is left, or ``idle`` is set, at most so long."""
        self.stopping = True
        if self.running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.idle.wait()

    def end_requests(self, error: NeutralError = SHUTTING_DOWN) -> None:
        """Stop every request: open streams get their protocol's in-band error."""
        self.stopping = True
        for running in tuple(self.running):
            running.end(error)

    async def shutdown(self) -> None:
        """Close what startup opened, also after a start that failed half-way."""
        self.stopping = True
        await self.polls.shutdown()
        for provider in (*self.leaving, *self._started.values()):
            await _close(provider)
        self.leaving.clear()
        self._started.clear()
        await self.transport.aclose()
        self.tracing.close()
        if self.tracing.dropped:
            log.warning("%d trace entries could not be written", self.tracing.dropped)
        self.lines.flush()
        if self.lines.dropped:
            log.warning("%d request lines could not be written", self.lines.dropped)

    def protocol_of(self, path: str, headers: Mapping[str, str]) -> ProtocolAdapter:
        """The protocol that owns a path, else the one whose client this looks like, else the fallback."""
        protocols = self.world.protocols.values()
        owners = [one for one in protocols if any(route.path == path for route in one.routes)]
        alike = owners or [one for one in protocols if one.recognises(headers)]
        return alike[0] if alike else self.world.loaded.registry.fallback

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {__version__}, generation {self.world.generation}, {len(self.running)} running>"


async def _close(provider: Provider) -> None:
    with contain(f"closing provider {provider.name}"):
        await provider.aclose()


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


