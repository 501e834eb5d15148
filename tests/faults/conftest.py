"""One proxy for each module, and both official SDKs pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.faults.checks import Clients, clients_of
from tests.upstreams import House, dwelling, house

__all__ = ["clients", "dwelling", "house"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lobby(dwelling: House) -> AsyncIterator[Clients]:
    """The SDKs are slow to make and keep nothing from test to test."""
    async with clients_of(dwelling) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def clients(lobby: Clients, house: House) -> Clients:
    """The SDKs, at a house with fresh keys."""
    return lobby
