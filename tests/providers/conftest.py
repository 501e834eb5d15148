"""A running fake vendor for each test that asks for one."""

import sys
from collections.abc import AsyncIterator
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import pytest

try:
    from rotator.plugins import builtin_root, mount
except ImportError:

    def _mount_alone() -> None:
        spec = ModuleSpec("rotator.plugins.providers", None, is_package=True)
        spec.submodule_search_locations = [str(Path(__file__).parents[2] / "providers")]
        sys.modules.setdefault("rotator.plugins.providers", module_from_spec(spec))

    _mount_alone()
else:
    mount("providers", [builtin_root()])


@pytest.fixture
async def vendor() -> AsyncIterator[Any]:
    """An engine that takes any key and does not slow down."""
    from tests.providers.demo import engine as demo_engine

    engine = demo_engine.Engine(pace_seconds=0.0, clock=lambda: 1_800_000_000.0)
    await engine.start()
    yield engine
    await engine.aclose()
