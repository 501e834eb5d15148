"""Keep a silent stream's client waiting: a blank line every so often, in each protocol the one thing that all take.

Source: clients.md 1.4 ("bare newline as keep-alive") and 4 items 3 and 4; design.md 2.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

BEAT: Final = b"\n"


async def with_heartbeats(work: Coroutine[Any, Any, T], seconds: float, beat: Callable[[], Awaitable[None]]) -> T:
    """The result of ``work``; ``beat`` is called after every ``seconds`` without one.

    ``work`` is one task for all beats; it is cancelled and awaited when we are, or when a beat fails.
    """
    task = asyncio.get_running_loop().create_task(work, name="awaited-with-heartbeats")
    try:
        while not (await asyncio.wait({task}, timeout=seconds))[0]:
            await beat()
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
