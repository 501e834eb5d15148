"""One proxy and one vendor for each module of the matrix."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.matrix.stage import Stage, staged

#: So little that a client which reads nothing blocks the proxy after two large writes.
SMALL_BUFFER_BYTES = 4096


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The module's stage; each test casts providers of its own on it."""
    async with staged(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The same with small buffers towards clients."""
    async with staged(tmp_path_factory.mktemp("stage"), send_buffer_bytes=SMALL_BUFFER_BYTES) as stage:
        yield stage
