"""The baseline of ``ready``: an application of uvicorn, starlette and aiohttp that does nothing but come up.

``python -m benchmarks.bare_app --port P`` answers ``GET /health``.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


@asynccontextmanager
async def _session(app: Starlette) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as app.state.session:
        yield


async def _health(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_app")
    parser.add_argument("--port", type=int, required=True)
    app = Starlette(routes=[Route("/health", _health)], lifespan=_session)
    uvicorn.run(app, port=parser.parse_args().port, loop="uvloop", http="httptools", log_level="critical")


if __name__ == "__main__":
    main()
