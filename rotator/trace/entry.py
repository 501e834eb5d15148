"""One entry of the trace, as the engine hands it over, and the passes that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from rotator.neutral.redact import Redactor

PassName = Literal[
    "client_request",
    "decision",
    "wait",
    "attempt",
    "stage",
    "upstream_request",
    "upstream_response",
    "upstream_stream",
    "stream_event",
    "verdict",
    "losses",
    "outcome",
    "client_response",
    "client_stream",
    "end",
]
Side = Literal["client", "engine", "adapter", "upstream"]
Direction = Literal["request", "response", "stream", "decision"]

#: Where a pass happens and which way it goes.
PASSES: Final[Mapping[str, tuple[Side, Direction]]] = {
    "client_request": ("client", "request"),
    "decision": ("engine", "decision"),
    "wait": ("engine", "decision"),
    "attempt": ("engine", "decision"),
    "stage": ("adapter", "request"),
    "upstream_request": ("upstream", "request"),
    "upstream_response": ("upstream", "response"),
    "upstream_stream": ("upstream", "stream"),
    "stream_event": ("upstream", "stream"),
    "verdict": ("engine", "decision"),
    "losses": ("engine", "decision"),
    "outcome": ("engine", "decision"),
    "client_response": ("client", "response"),
    "client_stream": ("client", "stream"),
    "end": ("engine", "decision"),
}
#: Of a pass that this version does not know.
UNKNOWN: Final[tuple[Side, Direction]] = ("engine", "decision")
#: Passes that are written at level ``full`` only, and those whose bodies are.
FULL_ONLY: Final = frozenset({"stream_event"})
FULL_BODIES: Final = frozenset({"stage", "stream_event"})
#: Facts that are a vendor's own words and may repeat what a client said; level ``meta`` leaves them out.
VENDOR_WORDS: Final = frozenset({"message", "code", "note"})

VERSION: Final = 1
#: The keys of a line that no fact may have.
RESERVED: Final = frozenset({"v", "request", "seq", "at", "ms", "pass", "side", "attempt", "headers", "body"})


def fact_key(key: str) -> str:
    """The key under which a fact is written, never one of the line's own.

    ``ms`` among the facts is how long something took. ``direction`` is the stage's, and takes the place of the pass's.
    """
    if key == "ms":
        return "took_ms"
    return f"{key}_" if key in RESERVED else key


class Entry(NamedTuple):
    """``at`` is in unix seconds, ``ms`` since the request began, ``body`` its beginning, of ``body_bytes`` in all."""

    request: str
    seq: int
    at: float
    ms: float
    name: str
    attempt: int
    facts: Mapping[str, Any]
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    body_bytes: int
    redactor: Redactor

    def cost(self) -> int:
        """About how many bytes this holds in memory beside its facts that are no text."""
        texts = sum(len(value) for value in self.facts.values() if type(value) is str)
        return len(self.body or b"") + texts + sum(len(name) + len(value) for name, value in self.headers)
