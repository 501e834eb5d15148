"""The life of the server process: bind, serve, reload, end.

SIGINT ends at once (open streams get their protocol's in-band error), SIGTERM lets streams finish first, SIGHUP reads
the configuration again; so does a change of one of its files. What is invalid changes nothing and is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import uvicorn

from rotator.config.schema import Limits, Server, Timeouts
from rotator.contain import contain
from rotator.errors import ConfigError, PluginError, Problem
from rotator.server.admit import is_loopback
from rotator.server.app import App
from rotator.server.guard import guarded
from rotator.server.watch import POLL_SECONDS, stamp
from rotator.world import World

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 75
BACKLOG: Final = 2048
#: How long connections get to close after the last request was ended.
CLOSING_SECONDS: Final = 1

Reload = Callable[[World], World]


def check_bind(world: World) -> None:
    """Raises ConfigError for an address that other machines reach while no client key is set (faults.md 2 row 9)."""
    host = world.settings.get(Server).host
    if world.settings.client_keys or is_loopback(host):
        return
    where = world.settings.origin("server.host").name or "default"
    reason = f"{host} is reachable from other machines and no client key is set: set PROXY_API_KEY"
    raise ConfigError([Problem(where, "server.host", reason)])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket's address taken.  Raises OSError."""
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, number)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.set_inheritable(True)
    except OSError:
        bound.close()
        raise
    return bound


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        yield


class Process:
    """Runs one app until it is told to stop.  ``ready`` is called once with the address when requests are taken."""

    def __init__(self, app: App, bound: socket.socket, reload: Reload, ready: Callable[[str], None]) -> None:
        self.app = app
        self.bound = bound
        self._reload = reload
        self._ready = ready
        self._stop = asyncio.Event()
        self._graceful = False
        self._tasks: set[asyncio.Task[None]] = set()
        settings = app.world.settings
        self._drain_seconds = settings.get(Timeouts).drain_seconds
        http = guarded(settings.get(Limits).header_bytes, settings.get(Timeouts).header_seconds)
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=http,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=CLOSING_SECONDS,
            backlog=BACKLOG,
        )
        self._listener = _Listener(config)

    async def run(self) -> None:
        """Serve until a signal comes; everything that was opened is closed."""
        loop = asyncio.get_running_loop()
        for number, graceful in ((signal.SIGINT, False), (signal.SIGTERM, True)):
            loop.add_signal_handler(number, self.stop, graceful)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._spawn, "reload", self._reload_once)
        try:
            await self.app.startup()
            serving = loop.create_task(self._listener.serve(sockets=[self.bound]), name="listener")
            serving.add_done_callback(lambda _: self._stop.set())
            self._spawn("watch", self._watch)
            await self._until_listening(serving)
            self._ready(address(self.bound))
            await self._stop.wait()
            await self._end(serving)
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            await self.app.shutdown()
            self.bound.close()

    async def _until_listening(self, serving: asyncio.Task[None]) -> None:
        while not self._listener.started and not serving.done():
            await asyncio.sleep(0)

    def stop(self, graceful: bool) -> None:
        """End; gracefully only if nothing has asked for less before."""
        self._graceful = graceful and not self._stop.is_set()
        self._stop.set()

    async def _end(self, serving: asyncio.Task[None]) -> None:
        self.app.stopping = True
        deadline = asyncio.get_running_loop().time() + self._drain_seconds
        while self._graceful and self.app.running and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        self.app.end_requests()
        self._listener.should_exit = True
        await serving

    def _spawn(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A supervised background job: what it raises is logged."""

        async def supervised() -> None:
            with contain(f"background job {name}"):
                await job()

        task = asyncio.get_running_loop().create_task(supervised(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        before = self._stamp()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            after = await asyncio.to_thread(self._stamp)
            if after != before:
                before = after
                await self._reload_once()

    def _stamp(self) -> object:
        settings = self.app.world.settings
        return stamp(settings.watched, settings.plugins)

    async def _reload_once(self) -> None:
        """Read everything again; the old generation stays where the new one cannot be used."""
        try:
            world = self._reload(self.app.world)
            check_bind(world)
        except (ConfigError, PluginError) as error:
            log.error("configuration not reloaded, nothing changed:\n%s", error)
            return
        await self.app.adopt(world)
        keys = sum(map(len, world.credentials.values()))
        log.warning("configuration reloaded: generation %d, %d keys", world.generation, keys)


def address(bound: socket.socket) -> str:
    """``http://host:port`` of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
