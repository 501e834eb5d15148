"""Proxies for the tests of the server: one upstream and one proxy a module where the tests only ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.proxy import Proxy, make_world, serving
from tests.upstreams import dwelling, engine, house

__all__ = ["demo", "dwelling", "house", "vendor"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """A proxy without a client key over the demo vendor, with short deadlines for clients."""
    config = "timeouts: {header: 0.2, body: 0.2}\n"
    async with serving(make_world({}, tmp_path_factory.mktemp("demo"), config=config)) as proxy:
        yield proxy


@pytest.fixture
async def vendor() -> AsyncIterator[Any]:
    """A fake vendor of its own for a test that scripts it."""
    vendor = engine.Engine(pace_seconds=0.0, clock=lambda: 1_800_000_000.0)
    await vendor.start()
    yield vendor
    await vendor.aclose()
