"""A fake vendor in the test's own loop, so that it decides when a stream goes on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.upstreams import engine


@pytest.fixture
async def vendor() -> AsyncIterator[Any]:
    """An engine that takes any key and does not slow down."""
    vendor = engine.Engine(pace_seconds=0.0, clock=lambda: 1_800_000_000.0)
    await vendor.start()
    yield vendor
    await vendor.aclose()
