"""The baseline: the least a Python proxy can do on the same stack (raw ASGI on uvicorn, one aiohttp session).

It reads the request's body, posts it with a fixed key, and relays status, content type and the body as read. No
routing, no keys, no errors, no log. ``python -m benchmarks.bare_relay --port P --upstream URL``.
"""

import argparse

import aiohttp
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from benchmarks.canned import AUTHORIZATION

_HEADERS = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}


class BareRelay:
    """An ASGI application; ``GET`` of anything answers 200, so that its start can be awaited."""

    def __init__(self, upstream_url: str) -> None:
        self._upstream_url = upstream_url
        self._session: aiohttp.ClientSession

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
        else:
            await self._relay(await _body(receive), send)

    async def _live(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _relay(self, body: bytes, send: ASGISendCallable) -> None:
        async with self._session.post(self._upstream_url, data=body, headers=_HEADERS) as reply:
            headers = [(b"content-type", reply.headers["content-type"].encode())]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            async for piece in reply.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: ASGIReceiveCallable) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(pieces)
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_relay")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, metavar="URL", help="the chat completions endpoint")
    options = parser.parse_args()
    uvicorn.run(
        BareRelay(options.upstream),
        port=options.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_level="critical",
        access_log=False,
    )


if __name__ == "__main__":
    main()
