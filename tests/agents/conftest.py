"""Fixtures of the sessions: the ground, and clients that are installed when the first session needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agents import installs
from tests.agents.ground import Ground, laid

Finds = Callable[[str], Path]


def laid_with(**arguments: Any) -> pytest.MarkDecorator:
    """The ground of a test that needs a configuration or several keys."""
    return pytest.mark.parametrize("ground", [arguments], indirect=True, ids=[""])


@pytest.fixture
async def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ground]:
    """A vendor and a proxy of one test's own; `@laid_with` names the arguments of `laid`."""
    async with laid(tmp_path, monkeypatch, **getattr(request, "param", {})) as ground:
        yield ground


@pytest.fixture(scope="session")
def client() -> Finds:
    """Finds a client's program, or its folder if it has none; skips with the reason where it cannot be had."""
    found: dict[str, Path | str] = {}

    def find(name: str) -> Path:
        if name not in found:
            get = installs.binary if installs.CLIENTS[name].binaries else installs.install
            try:
                found[name] = get(name, installs.cache_folder())
            except installs.Unavailable as why:
                found[name] = str(why)
        known = found[name]
        if isinstance(known, str):
            pytest.skip(f"{name}: {known}")
        return known

    return find
