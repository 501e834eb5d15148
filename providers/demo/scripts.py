"""What a test may make the fake vendor do: steps, the gate of lock-step, and the record of what was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["clean", "reset", "drop"]
"""How an answer ends: as HTTP says; by TCP reset; by closing the socket without HTTP's end mark."""

Outcome = Literal["open", "done", "peer_gone"]


class Gate:
    """Lets the vendor send one event for each `release()`; for use in one event loop."""

    def __init__(self) -> None:
        self._permits = 0
        self._open = False
        self._changed = asyncio.Event()

    def release(self, events: int = 1) -> None:
        """Allow so many more events."""
        self._permits += events
        self._changed.set()

    def open(self) -> None:
        """Hold nothing back any more."""
        self._open = True
        self._changed.set()

    async def take(self) -> None:
        """Wait until one more event is allowed, and use that permission up."""
        while not (self._open or self._permits):
            self._changed.clear()
            await self._changed.wait()
        if not self._open:
            self._permits -= 1


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer. `body` None is the vendor's own error envelope for `status` in the protocol asked."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """bytes go out as they are, anything else as JSON"""
    gate: Gate | None = None
    """taken once, before the status line"""


@dataclass(frozen=True, slots=True)
class Play:
    """A demo model's answer, under the model name that was asked for.

    `gate` is taken before each event (a whole answer is one event), `head` once before the status line.
    `cut_after` ends the answer after so many events, in the way that `end` says.
    """

    model: str = "text"
    gate: Gate | None = None
    head: Gate | None = None
    cut_after: int | None = None
    end: End = "clean"


@dataclass(frozen=True, slots=True)
class Raw:
    """Exact bytes, one write for each chunk, and no headers but these; without content-length the body is chunked."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Sequence[bytes] = ()
    gate: Gate | None = None
    head: Gate | None = None
    end: End = "clean"


Step = Reply | Play | Raw


class Scripts:
    """Steps by name, played one after the other; the last one repeats."""

    def __init__(self) -> None:
        self._steps: dict[str, list[Step]] = {}

    def set(self, name: str, steps: Sequence[Step]) -> None:
        """Replace what `name` plays; no steps at all removes it."""
        if steps:
            self._steps[name] = list(steps)
        else:
            self._steps.pop(name, None)

    def next(self, name: str) -> Step | None:
        """The step to play now, or None where nothing is scripted."""
        steps = self._steps.get(name)
        if steps is None:
            return None
        return steps.pop(0) if len(steps) > 1 else steps[0]


@dataclass(slots=True)
class Seen:
    """One request as it came in, and what became of it."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    """names in lower case, in the order of the wire"""
    key: str = ""
    body: bytes = b""
    status: int = 0
    """0 until a status line was sent"""
    outcome: Outcome = "open"
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def header(self, name: str) -> str:
        """The value of a header, several joined by a comma, "" where there is none."""
        return ", ".join(value for found, value in self.headers if found == name)

    def end(self, outcome: Outcome) -> None:
        """Set the outcome once; later claims change nothing."""
        if self.outcome == "open":
            self.outcome = outcome
            self.ended.set()
