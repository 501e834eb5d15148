"""The neutral answer: candidates with ordered blocks, how each ended, and what it cost.  Source: protocols.md 3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rotator.neutral.parts import Part, Rest
from rotator.neutral.usage import Usage

Reason = Literal[
    "stop",
    "stop_sequence",
    "length",
    "context_window",
    "continuation",
    "tool_calls",
    "content_filter",
    "refusal",
    "pause",
    "compaction",
    "malformed",
    "cancelled",
    "other",
]


class Finish(NamedTuple):
    """Why an answer ended.  ``native`` is the vendor's own word; the first column of protocols.md 3.3 is ``reason``.

    ``stop_sequence`` is the one that was met. ``category`` and ``explanation`` say more of a refusal or a filter.
    """

    reason: Reason
    native: str = ""
    stop_sequence: str | None = None
    category: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the answers.  ``finish`` is None where the vendor gave none."""

    parts: tuple[Part, ...]
    finish: Finish | None
    index: int = 0
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer.  ``id`` and ``created`` (unix s) are the vendor's, "" and 0 where it gave none.

    ``protocol`` is the upstream's: ``rest`` belongs to it.
    """

    protocol: str
    id: str
    model: str
    candidates: tuple[Candidate, ...]
    usage: Usage | None = None
    created: int = 0
    tier: str | None = None
    rest: Rest = field(default_factory=dict)
