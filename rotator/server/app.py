"""The ASGI application: routes taken from the protocols.

Protocol operations are found by a plain look-up of the path and called as raw ASGI; everything else goes through
Starlette's router (its endpoint layer costs 30 microseconds a request: performance.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route as WebRoute

from rotator.server.core import Core
from rotator.server.exchange import Exchange
from rotator.server.explain import PATH, Explain
from rotator.server.hangup import Receive
from rotator.server.pages import Pages
from rotator.server.replies import Send


class App:
    """One proxy as ASGI.  The routes are those of the protocols that were loaded at the start."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._exchanges: dict[tuple[str, str], Exchange] = {
            (route.method, route.path): Exchange(core, protocol, route)
            for protocol in core.world.protocols.values()
            for route in protocol.routes
        }
        pages = Pages(core)
        self._web = Starlette(
            routes=[
                WebRoute("/", pages.root, methods=["GET", "HEAD"]),
                WebRoute("/health", pages.health, methods=["GET", "HEAD"]),
                WebRoute("/ready", pages.ready, methods=["GET", "HEAD"]),
                WebRoute("/v1/models", pages.models, methods=["GET"]),
                WebRoute(PATH, Explain(core, pages).explain, methods=["POST"]),
            ],
            exception_handlers={404: pages.not_found, 405: pages.not_allowed, 500: pages.failed},
        )
        self._web.router.redirect_slashes = False  # clients re-send their key wherever a redirect points

    def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine function itself: one frame less for every step of every request."""
        exchange = self._exchanges.get((scope.get("method", ""), scope.get("path", "")))
        return exchange(scope, receive, send) if exchange else self._web(dict(scope), receive, send)
