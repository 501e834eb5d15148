"""Parts: what turns, tool results and answers are made of.  Source: protocols.md 0.3, 2.2, 2.3, 3.2.

Parts carry more than their meaning. ``at`` is where the client's JSON held one, for people who read a loss. ``rest``
holds members that only the protocol it came from knows; they are written again for that protocol alone and are a loss
for any other. Where a protocol has such things, ``cache`` is a prompt-cache breakpoint behind the part and ``state``
what a provider hid in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

#: Members and indexes from the root of the client's JSON: ("messages", 2, "content", 0).
Path = tuple[str | int, ...]
#: Wire members that only their own protocol knows, by name.
Rest = Mapping[str, Any]

NO_REST: Final[Rest] = {}

#: How the text of a sealed state begins: the envelope in which a client of another protocol keeps it (design.md 3).
SEALED: Final = "rot1."


def written_path(path: Path) -> str:
    """``messages[2].content[0]``"""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


class Origin(NamedTuple):
    """Where opaque state comes from and alone may go back to; ``account`` is a keyed hash (design.md 3)."""

    provider: str
    family: str
    account: str


class State(NamedTuple):
    """Opaque state of a provider.  Source: protocols.md 2.4.

    ``signature`` proves a reasoning text (Messages) or a part (Gemini's thought signature); ``encrypted`` is reasoning
    that only the vendor reads (Responses), ``redacted`` such reasoning without any text (Messages).
    """

    kind: Literal["signature", "encrypted", "redacted"]
    value: str
    origin: Origin | None = None


class CacheMark(NamedTuple):
    """A breakpoint of the prompt cache; ``ttl`` as the client spelt it, None for the vendor's default."""

    ttl: str | None = None


class Citation(NamedTuple):
    """What a text leans on.  ``start`` and ``end`` count characters of its own text part; None where unknown.

    ``raw`` is the citation as its protocol wrote it: the kinds ``document``, ``file``, ``result`` and ``other`` are
    understood by that protocol only.  Source: protocols.md 3.5.
    """

    kind: Literal["web", "document", "file", "result", "recitation", "other"]
    url: str = ""
    title: str = ""
    cited_text: str = ""
    start: int | None = None
    end: int | None = None
    raw: Any = None


class Logprob(NamedTuple):
    """One token with its logarithmic probability, and the alternatives that were looked at.  Source: protocols.md 3.7.

    ``bytes`` is None where the vendor told none.
    """

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[Logprob, ...] = ()


class Source(NamedTuple):
    """Where a medium's content is: base64 text, a URL, a vendor's file id, plain text, or parts of its own."""

    form: Literal["base64", "url", "file_id", "text", "parts"]
    value: str = ""
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """Words.  Never empty in a request that was parsed."""

    text: str
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    cache: CacheMark | None = None
    state: State | None = None
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Media:
    """An image, document, sound or film.

    ``media_type`` is a MIME type, "" where the client named none (a URL). ``name`` is a document's file name or title;
    ``detail`` is how closely an image is to be looked at (auto, low, high, original).
    """

    kind: Literal["image", "document", "audio", "video"]
    source: Source
    media_type: str = ""
    name: str = ""
    detail: str | None = None
    transcript: str | None = None
    cache: CacheMark | None = None
    state: State | None = None
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the client is to execute.  What a provider executes itself is an ``Opaque`` part.

    ``arguments`` is JSON text exactly as it was written, "" where there is none; of a ``custom`` tool it is the free
    text of its input. ``id`` joins the call with its result; "" only until a protocol has given one. ``item_id`` is the
    id of the item around it (Responses). ``builtin`` calls are those of tools that a vendor defined and the client runs
    (shell, computer): ``name`` is their wire type.
    """

    id: str
    name: str
    arguments: str = ""
    kind: Literal["function", "custom", "builtin"] = "function"
    namespace: str = ""
    item_id: str = ""
    cache: CacheMark | None = None
    state: State | None = None
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave.  ``is_error`` is None where the protocol cannot say it; ``name`` is "" where it does not."""

    call_id: str
    parts: tuple[Part, ...] = ()
    name: str = ""
    is_error: bool | None = None
    kind: Literal["function", "custom", "builtin"] = "function"
    item_id: str = ""
    cache: CacheMark | None = None
    state: State | None = None
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


class Thought(NamedTuple):
    """A stretch of reasoning text: what the model really thought, or a summary of it."""

    text: str
    form: Literal["raw", "summary"] = "raw"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Reasoning of one block: text in one or several stretches, and the state that proves or replaces it.

    Redacted reasoning has no text and a state of kind ``redacted`` or ``encrypted``.
    """

    thoughts: tuple[Thought, ...] = ()
    state: State | None = None
    item_id: str = ""
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All stretches, a blank line between them (protocols.md 4.8, new summary part)."""
        return "\n\n".join(thought.text for thought in self.thoughts)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declined, in words of its own."""

    text: str
    logprobs: tuple[Logprob, ...] = ()
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opaque:
    """What only one protocol understands: hosted tools' calls and results, compactions, references, unknown parts.

    ``data`` is its wire JSON whole, ``protocol`` and ``type`` say whose and what it is. ``role`` tells what leaving it
    out means: ``hosted`` is the work of a provider's own tools, ``content`` was meant for the model, a ``reference``
    points to what a vendor keeps.
    ``text`` is what of it a model of another protocol may read instead, "" if nothing (a search result's words).
    """

    protocol: str
    type: str
    data: Any
    role: Literal["hosted", "content", "reference"] = "content"
    text: str = ""
    at: Path = field(default=(), compare=False)

    @property
    def rest(self) -> Rest:
        """An opaque part is all rest; it is told as a whole."""
        return NO_REST


Part = Text | Media | ToolCall | ToolResult | Reasoning | Refusal | Opaque
