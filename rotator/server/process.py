"""The life of the server process: bind, serve, reload, end.

SIGINT ends at once (open streams get their protocol's in-band error), SIGTERM lets streams finish first, SIGHUP reads
the configuration again; so does a change of one of its files. What is invalid changes nothing and is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

import uvicorn

from rotator.config.schema import Limits, Server, Timeouts
from rotator.config.settings import Settings
from rotator.contain import contain
from rotator.errors import ConfigError, PluginError, Problem
from rotator.server.admit import is_loopback
from rotator.server.app import App
from rotator.server.core import Core
from rotator.server.guard import guarded
from rotator.server.watch import POLL_SECONDS, stamp
from rotator.world import World, count_keys, summary

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
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise OSError(errno.EINVAL, "no such host name") from None
    bound = socket.socket(family, kind, number)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.set_inheritable(True)
    except OSError:
        bound.close()
        raise
    return bound


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own.  ``listening`` is set once requests are taken."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Process:
    """Runs one proxy until it is told to stop.  ``ready`` is called once with the address when requests are taken."""

    def __init__(
        self,
        core: Core,
        bound: socket.socket,
        reload: Reload,
        ready: Callable[[str], None],
        *,
        signals: bool = True,
    ) -> None:
        self.core = core
        self.bound = bound
        self._reload = reload
        self._ready = ready
        self._signals = signals
        self._stop = asyncio.Event()
        self._graceful = False
        self._tasks: set[asyncio.Task[None]] = set()
        settings = core.world.settings
        timeouts = settings.get(Timeouts)
        http = guarded(settings.get(Limits).header_bytes, timeouts.header_seconds, timeouts.write_seconds)
        config = uvicorn.Config(
            App(core),
            http=http,
            interface="asgi3",
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
        async with self.running() as url:
            self._ready(url)
            await self._stop.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Requests are served inside the block; its value is the address."""
        loop = asyncio.get_running_loop()
        if self._signals:
            self._take_signals(loop)
        try:
            await self.core.startup()
            serving = loop.create_task(self._listener.serve(sockets=[self.bound]), name="listener")
            serving.add_done_callback(self._over)
            self._spawn("watch", self._watch)
            await self._listener.listening.wait()
            if serving.done():
                serving.result()
            try:
                yield address(self.bound)
            finally:
                await self._end(serving)
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.core.shutdown()
            self.bound.close()

    def _over(self, serving: asyncio.Task[None]) -> None:
        """The listener has ended, perhaps before it began to listen."""
        self._stop.set()
        self._listener.listening.set()

    def _take_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGINT, self.stop, False)
        loop.add_signal_handler(signal.SIGTERM, self.stop, True)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._spawn, "reload", self._reload_once)

    def stop(self, graceful: bool) -> None:
        """End; a second signal does not wait any longer."""
        if self._stop.is_set():
            self.core.idle.set()
        self._graceful = graceful and not self._stop.is_set()
        self._stop.set()

    async def _end(self, serving: asyncio.Task[None]) -> None:
        self.core.stopping = True
        if self._graceful:
            await self.core.drained(self.core.world.timeouts.drain_seconds)
        self.core.end_requests()
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
        settings = self.core.world.settings
        return stamp(settings.watched, settings.plugins)

    async def _reload_once(self) -> None:
        """Read everything again; the old generation stays where the new one cannot be used."""
        try:
            world = self._reload(self.core.world)
            check_bind(world)
        except (ConfigError, PluginError) as error:
            log.error("configuration not reloaded, nothing changed:\n%s", error)
            return
        before = self.core.world.settings
        await self.core.adopt(world)
        keys = len(world.settings.client_keys)
        clients = count_keys(keys) if keys else "no client key"
        log.warning("configuration reloaded: providers %s; clients: %s", summary(world), clients)
        if _at_start(world.settings) != _at_start(before):
            names = "server.*, timeouts.connect, timeouts.header, timeouts.write, limits.header_bytes"
            log.warning("%s: from the next start on", names)
        for warning in world.warnings:
            log.warning("%s", warning)


def _at_start(settings: Settings) -> tuple[object, ...]:
    """What is read once, when sockets are made."""
    timeouts = settings.get(Timeouts)
    seconds = timeouts.connect_seconds, timeouts.header_seconds, timeouts.write_seconds
    return settings.get(Server), *seconds, settings.get(Limits).header_bytes


def address(bound: socket.socket) -> str:
    """``http://host:port`` of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
