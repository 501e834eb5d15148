"""``python -m rotator`` as a process of its own, seen from outside: what it prints, its signals, its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.asking import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]


def environment(extra: Mapping[str, str] | None = None, root: Path = ROOT) -> dict[str, str]:
    """This process's variables (which hold nothing of the user's) with these on top; code comes from ``root``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


def run(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, root: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "rotator", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(env, root), capture_output=True, text=True, check=False, timeout=HANG_SECONDS
    )


@dataclass
class Server:
    """A running ``rotator serve``. ``out`` and ``err`` are the lines that were printed so far."""

    process: asyncio.subprocess.Process
    url: str = ""
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        """Collect a stream's lines to its end."""
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))
            self._news.set()
        self._news.set()

    async def printed(self, lines: list[str], pattern: str, times: int = 1) -> re.Match[str]:
        """Wait for the ``times``-th line in which the pattern is found."""
        try:
            async with asyncio.timeout(HANG_SECONDS):
                while True:
                    found = [match for line in tuple(lines) if (match := re.search(pattern, line))]
                    if len(found) >= times:
                        return found[times - 1]
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{pattern!r} was not printed {times} times:\n{self.told}") from None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code."""
        async with asyncio.timeout(HANG_SECONDS):
            return await self.process.wait()

    @property
    def told(self) -> str:
        """Everything printed, for messages of failed tests."""
        return "\n".join(["stdout:", *self.out, "stderr:", *self.err])


@contextlib.asynccontextmanager
async def serve(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Server]:
    """A server on a free port that has printed its banner; killed at the end if the test did not end it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rotator", "serve", "--port", "0", *map(str, arguments),
        cwd=cwd, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    server = Server(process)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.read(process.stdout, server.out))
        group.create_task(server.read(process.stderr, server.err))
        try:
            server.url = (await server.printed(server.out, r"^rotator \S+ on (http\S+)$"))[1]
            await server.printed(server.out, r"^  settings ")
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
