"""A whole proxy in the test's own loop: real configuration, real plug-ins, a real uvicorn on a free port."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotator.config import Flags, load
from rotator.plugins import load as load_plugins
from rotator.server.core import Core
from rotator.server.process import Process, bind
from rotator.world import World, build_world


def make_world(
    environ: Mapping[str, str], cwd: Path, *, config: str = "", plugins: tuple[Path, ...] = (), demo: bool = False
) -> World:
    """A generation from variables and, if given, the text of a configuration file."""
    if config:
        (cwd / "rotator.yaml").write_text(config, encoding="utf-8")
    flags = Flags(plugins=tuple(map(str, plugins)), demo=demo or None)
    settings = load(flags, environ={"ROTATOR_STATE": str(cwd / "state"), **environ}, cwd=cwd)
    return build_world(settings, load_plugins(settings.plugins), 1)


@dataclass
class Proxy:
    """A running proxy; ``lines`` is what it printed about requests."""

    core: Core
    url: str = ""
    lines: io.StringIO = field(default_factory=io.StringIO)

    @property
    def chat_base(self) -> str:
        """What an OpenAI SDK takes as base URL."""
        return f"{self.url}/v1"


@asynccontextmanager
async def serving(world: World, *, clock: Any = None) -> AsyncIterator[Proxy]:
    """Serve until the block ends; afterwards no lease is open and none was settled twice."""
    lines = io.StringIO()
    core = Core(world, clock=clock, strict=True, out=lines)
    proxy = Proxy(core, lines=lines)
    process = Process(core, bind("127.0.0.1", 0), lambda before: before, lambda url: None, signals=False)
    async with process.running() as url:
        proxy.url = url
        yield proxy
    assert core.pool.counters.open == 0, "a lease was never settled"
    assert core.pool.counters.settled_twice == 0
    assert not core.running
    assert core.slots.total == 0, "a slot was never given back"
