"""A uvicorn server inside the running loop: loopback, any port, no signal handlers, no lifespan, no log."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import uvicorn

LINGER_ZERO = struct.pack("ii", 1, 0)


class Listener:
    """Serves one ASGI app. Everything runs in uvicorn's own request tasks, so there is no task to supervise here."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._server = self._fresh()
        self._socket: socket.socket | None = None

    def _fresh(self) -> uvicorn.Server:
        """uvicorn's objects serve one life each."""
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http="auto",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        return uvicorn.Server(config)

    @property
    def port(self) -> int:
        """The port that the system chose; RuntimeError while not started."""
        if self._socket is None:
            raise RuntimeError("the fake vendor is not started")
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen; from the return on connections are accepted.  May be called again after `aclose`."""
        self._server = self._fresh()
        # asyncio switches Nagle's delay (40 ms between head and body) off only where the protocol is named.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup(sockets=[self._socket])

    async def aclose(self) -> None:
        """Stop listening, abort what is open and wait for its tasks. Harmless before or in the middle of `start`."""
        for server in getattr(self._server, "servers", []):
            server.close()
        if self._socket is not None:
            if self._socket.fileno() >= 0:
                # A start that was cancelled inside create_server leaves the socket watched, and nobody to unwatch it.
                asyncio.get_running_loop().remove_reader(self._socket)
                self._socket.close()
            self._socket = None
        state = self._server.server_state
        for connection in list(state.connections):
            connection.transport.abort()
        while state.tasks or state.connections:
            if state.tasks:
                await asyncio.wait(set(state.tasks))
            await asyncio.sleep(0)

    def break_connection(self, client: tuple[str, int] | None, *, reset: bool) -> None:
        """End the peer's connection at once: with a TCP reset, or by closing it in the middle of the HTTP message."""
        for connection in list(self._server.server_state.connections):
            transport: asyncio.Transport = connection.transport
            if client is None or transport.get_extra_info("peername")[:2] != tuple(client):
                continue
            if reset:
                peer = transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
                transport.abort()
            else:
                transport.close()
