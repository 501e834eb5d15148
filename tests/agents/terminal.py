"""A client in a terminal: what a person types and reads."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.agents.ground import Ground

ROWS, COLUMNS = 50, 160
PATIENCE_SECONDS = 30.0
#: Colours, movements, titles: a movement stands where a blank would be.
CONTROLS = re.compile(r"\x1b\][^\x07]*\x07|\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b.")
TICK_SECONDS = 0.02


class Terminal:
    """The side of the person."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._shown = bytearray()

    def read(self) -> None:
        """For the loop: something was written. The end of the process closes its side."""
        try:
            self._shown += os.read(self._file, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._file)

    @property
    def text(self) -> str:
        """All that was ever shown, without the blanks: programs jump over them."""
        return re.sub(r"\s+", "", CONTROLS.sub("", self._shown.decode(errors="replace")))

    def type(self, text: str) -> None:
        """Keys, as one paste."""
        os.write(self._file, text.encode())

    async def until(self, seen: Callable[[], object]) -> None:
        """Wait for something; a failure shows the end of the screen."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    if seen():
                        return
                    await asyncio.sleep(TICK_SECONDS)
        except TimeoutError:
            pytest.fail(f"nothing came in {PATIENCE_SECONDS:.0f} s; shown last: {self.text[-1500:]}")

    async def shows(self, text: str) -> None:
        """Wait until this stands on the screen."""
        await self.until(lambda: text.replace(" ", "") in self.text)

    async def say(self, text: str) -> None:
        """A line and, when it stands there, the return key: together they would be a paste of two lines."""
        self.type(text)
        await self.until(lambda: text.replace(" ", "")[-20:] in self.text)
        self.type("\r")


@contextlib.asynccontextmanager
async def terminal(ground: Ground, *command: str | Path) -> AsyncIterator[Terminal]:
    """A program in the client's folder, killed at the end if it did not leave."""
    loop = asyncio.get_running_loop()
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    shown = Terminal(ours)
    loop.add_reader(ours, shown.read)
    try:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), cwd=ground.work, env=ground.environment(), stdin=its, stdout=its, stderr=its,
            start_new_session=True,
        )  # fmt: skip
        os.close(its)
        try:
            yield shown
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    finally:
        loop.remove_reader(ours)
        os.close(ours)
