"""Sends answers over ASGI, event by event, and notices when the peer hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .scripts import End, Gate, Seen

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Performance:
    """An answer ready to be sent: one write for each event."""

    status: int
    headers: Mapping[str, str]
    events: Sequence[bytes]
    head: Gate | None = None
    gate: Gate | None = None
    end: End = "clean"
    pace_seconds: float = 0.0
    exact: bool = False
    """no headers beyond these"""


class HungUp(Exception):
    """The peer closed the connection before its request was whole."""


async def perform(send: Send, seen: Seen, show: Performance) -> None:
    """Send all of it. A `reset` or `drop` leaves the message unfinished; breaking the connection is the caller's."""
    if show.head is not None:
        await show.head.take()
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in show.headers.items()]
    seen.status = show.status
    await send({"type": "http.response.start", "status": show.status, "headers": headers})
    last = len(show.events) - 1
    for number, event in enumerate(show.events):
        if show.gate is not None:
            await show.gate.take()
        if show.pace_seconds and number:
            await asyncio.sleep(show.pace_seconds)
        closing = number == last and show.end == "clean"
        if closing:
            seen.end("done")
        await send({"type": "http.response.body", "body": event, "more_body": not closing})
    if not show.events and show.end == "clean":
        seen.end("done")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_hung_up(receive: Receive) -> None:
    """Return when the connection is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def run_until_hung_up(receive: Receive, playing: Coroutine[Any, Any, None]) -> bool:
    """Run a performance; True if it came to its end, False if the peer hung up first."""
    async with asyncio.TaskGroup() as group:
        player = group.create_task(playing)
        watcher = group.create_task(until_hung_up(receive))
        player.add_done_callback(lambda _: watcher.cancel())
        watcher.add_done_callback(lambda _: player.cancel())
    return not player.cancelled()


async def read_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """The whole request body; None where it is over the limit. HungUp where it never ended."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            return None
        if not message.get("more_body", False):
            return bytes(body)
