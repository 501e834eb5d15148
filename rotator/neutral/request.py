"""The neutral request: what a client wants, in no protocol's words.  Source: design.md 3; protocols.md 0.3, 2.

Built once by the client's protocol and never changed; an attempt's copy names the upstream's model. ``None`` always
means that the client said nothing, and stays nothing for the target: 0, False and "" are things that were said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rotator.neutral.parts import CacheMark, Part, Path, Rest

Role = Literal["system", "developer", "user", "assistant", "tool"]
INSTRUCTING: frozenset[Role] = frozenset(("system", "developer"))


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.  Instructions are turns too, in their place: leading ones and those in mid-conversation.

    A ``tool`` turn holds tool results only: all those that came without anything between them. What stands beside
    results in one wire message is a ``user`` turn behind it. Neighbours may have the same role; a protocol that wants
    them merged merges them. ``phase`` is the commentary or final answer of Responses.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    phase: str | None = None
    item_id: str = ""
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a custom tool's input must look like; ``syntax`` "" is free text."""

    syntax: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class WebSearch:
    """What is said of a hosted tool that searches the web.  Source: protocols.md 2.7.

    ``location``: where the one who asks is about, by ``city``, ``country``, ``region``, ``timezone``. ``context`` is
    how much of what was found the model is to read (low, medium, high), ``limit`` how often it may search.
    """

    location: Mapping[str, str] = field(default_factory=dict)
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    context: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call.

    A ``hosted`` one is run by its provider, a ``builtin`` one by the client, though the vendor defined it (a shell, an
    editor): ``data`` is their wire JSON. Of a hosted one that others have too, ``search`` says what it is to do;
    ``finds_tools`` is one that only brings others of the request before the model.

    ``schema`` is the JSON Schema of a function's arguments as the client wrote it (never changed in place), None where
    it takes none. ``strict`` is None where nothing was said.
    """

    name: str
    kind: Literal["function", "custom", "hosted", "builtin"] = "function"
    description: str = ""
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    grammar: Grammar | None = None
    namespace: str = ""
    data: Any = None
    search: WebSearch | None = None
    finds_tools: bool = False
    cache: CacheMark | None = None
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)

    @property
    def by_vendor(self) -> bool:
        """Whether its vendor defined it: no other can be told of it as a function."""
        return self.kind in ("hosted", "builtin")


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """Which tools may or must be called.  ``mode`` None: nothing was said.

    ``named``: exactly the one in ``names``. ``allowed``: only those in ``names``, and at least one of them if
    ``required``. ``parallel`` False: one call at a time. ``validated``: arguments must fit their schemas (Gemini).
    """

    mode: Literal["auto", "none", "required", "named", "allowed"] | None = None
    names: tuple[str, ...] = ()
    required: bool = False
    parallel: bool | None = None
    validated: bool = False
    at: Path = field(default=("tool_choice",), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReasoningWish:
    """How much the model is to think and how much of it is to be seen.  Source: protocols.md 7.1.

    ``budget`` counts tokens, -1 lets the model decide. ``between_tools``: thinking between calls is wished for.
    """

    enabled: bool | None = None
    effort: str | None = None
    budget: int | None = None
    display: Literal["hidden", "summary", "updates", "raw"] | None = None
    between_tools: bool = False
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Format:
    """What the answer's text must be: any JSON, JSON of a schema, or one word of a list (Gemini's ``enum``)."""

    kind: Literal["json_object", "json_schema", "enum"]
    schema: Mapping[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None
    at: Path = field(default=(), compare=False)
    rest: Rest = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """Shape and size of the answer.  ``max_tokens`` includes reasoning.

    ``max_tokens_name`` is the client's own word for it where its protocol has two.
    """

    max_tokens: int | None = None
    max_tokens_name: str = ""
    format: Format | None = None
    verbosity: str | None = None
    modalities: tuple[str, ...] | None = None
    audio: Any = None
    n: int | None = None
    stops: tuple[str, ...] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class CacheWish:
    """What is said of the prompt cache beside the breakpoints on parts.  ``auto``: the vendor sets one at the end."""

    key: str | None = None
    auto: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Continuation:
    """State that the vendor keeps: the answer or conversation that is gone on with, and whether to keep this one.

    ``begins``: the client counts on it that a conversation is kept, and will send no more than what is new.
    """

    previous_id: str | None = None
    conversation: str | None = None
    begins: bool = False
    store: bool | None = None
    background: bool | None = None


@dataclass(frozen=True, slots=True)
class Meta:
    """Who asks and at which price.  ``user`` is the client's id for a person, ``tier`` the vendor's service tier."""

    user: str | None = None
    metadata: Mapping[str, str] | None = None
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request.  ``protocol`` is the client's, ``model`` the upstream's name once an attempt has one.

    ``usage_in_stream``: the client wants the usage of a stream told (Chat tells it only when asked). ``places`` are the
    client's own words for settings that stand elsewhere, or are called otherwise, than in most protocols.
    """

    protocol: str
    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    policy: ToolPolicy = ToolPolicy()
    reasoning: ReasoningWish = ReasoningWish()
    output: Output = Output()
    sampling: Sampling = Sampling()
    cache: CacheWish = CacheWish()
    continues: Continuation = Continuation()
    meta: Meta = Meta()
    stream: bool = False
    usage_in_stream: bool = False
    places: Mapping[str, Path] = field(default_factory=dict, compare=False)
    rest: Rest = field(default_factory=dict)

    @property
    def leading(self) -> int:
        """How many turns at the beginning are instructions."""
        for place, turn in enumerate(self.turns):
            if turn.role not in INSTRUCTING:
                return place
        return len(self.turns)
