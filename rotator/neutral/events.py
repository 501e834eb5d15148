"""The neutral stream: an answer, piece by piece.  Source: protocols.md 4.0, 4.8, 4.9.

The laws that every reader keeps and every writer and neutral adapter may lean on:

1. ``Start`` comes first and once; ``End`` or ``Failed`` comes last, one of them, once.
2. A block begins with ``BlockStart`` and ends with ``BlockEnd``; numbers are never used twice in an answer. What
   belongs to a block names its number and comes while it is open.
3. The pieces of a block are its value: joined they are what the part of a whole answer holds. A vendor's final value
   that goes beyond the pieces becomes one more piece.
4. ``UsageSeen`` replaces what was told before; it holds all that is known.
5. ``Finished`` comes once for each candidate, when its blocks are over. ``UsageSeen`` may follow it. Its ``rest`` and
   that of ``Start`` are together the ``rest`` of the whole answer; members that both have are the later ones.
6. Readers may let blocks overlap as their upstream does. Writers never see that: the engine gives them one block of a
   candidate after the other (``rotator.neutral.serial``).
7. An upstream that stops without a finish reason is no ``End``: the engine ends such a stream with an error.
8. ``Beat`` says that the upstream lives, and nothing else.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from rotator.neutral.error import NeutralError
from rotator.neutral.parts import NO_REST, Citation, Logprob, Part, Rest, State
from rotator.neutral.response import Finish
from rotator.neutral.usage import Usage


class Start(NamedTuple):
    """The answer begins.  ``id``, ``model`` and ``created`` (unix s) are the vendor's; "" and 0 where unknown.

    ``protocol`` is the upstream's, whose words ``rest`` holds.
    """

    protocol: str
    id: str = ""
    model: str = ""
    created: int = 0
    tier: str | None = None
    rest: Rest = NO_REST


class BlockStart(NamedTuple):
    """A block begins.  ``part`` says what it is: a part of its kind that holds what is known at once.

    That is a call's id and name, or a medium or an opaque part whole. Text, thoughts, arguments and refusals are empty
    here: their words come in pieces.
    """

    block: int
    part: Part
    candidate: int = 0


class TextDelta(NamedTuple):
    """Words of a text block."""

    block: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


class ReasoningDelta(NamedTuple):
    """Words of a reasoning block.  ``thought`` counts its stretches: a higher one begins the next."""

    block: int
    text: str
    form: Literal["raw", "summary"] = "raw"
    thought: int = 0


class ArgumentsDelta(NamedTuple):
    """A piece of a call's arguments (JSON text), or of a custom call's input."""

    block: int
    text: str


class RefusalDelta(NamedTuple):
    """Words of a refusal block."""

    block: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


class StateSeen(NamedTuple):
    """The opaque state of a block, whole; the last one counts."""

    block: int
    state: State


class Cited(NamedTuple):
    """A citation of a text block."""

    block: int
    citation: Citation


class MediaDelta(NamedTuple):
    """A piece of a medium that comes in pieces: base64 text, and words of its transcript."""

    block: int
    data: str = ""
    transcript: str = ""


class OpaqueDelta(NamedTuple):
    """A piece of an opaque block, as its protocol wrote it."""

    block: int
    data: Any


class BlockEnd(NamedTuple):
    """Nothing more comes for this block."""

    block: int


class UsageSeen(NamedTuple):
    """What is known of the cost so far."""

    usage: Usage


class Finished(NamedTuple):
    """A candidate is complete.  ``rest``: what of the answer is told no sooner; it is laid over that of ``Start``."""

    finish: Finish
    candidate: int = 0
    rest: Rest = NO_REST


class Failed(NamedTuple):
    """The upstream told an error in the middle of its answer."""

    error: NeutralError


class End(NamedTuple):
    """The answer is over."""


class Beat(NamedTuple):
    """A sign of life."""


Event = (
    Start
    | BlockStart
    | TextDelta
    | ReasoningDelta
    | ArgumentsDelta
    | RefusalDelta
    | StateSeen
    | Cited
    | MediaDelta
    | OpaqueDelta
    | BlockEnd
    | UsageSeen
    | Finished
    | Failed
    | End
    | Beat
)
