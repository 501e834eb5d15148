"""One request as the fake vendor's parts pass it on, and the answers they agree on. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Operation = Literal["chat", "messages", "count_tokens"]
Stop = Literal["stop", "tool_calls", "length", "stop_sequence"]


@dataclass(frozen=True, slots=True)
class Call:
    """`body` is whatever JSON came; `headers` have lower-case names; `key` is the account; `secret` signs its state."""

    operation: Operation
    body: Any
    headers: Mapping[str, str]
    key: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a vendor refuses a request: the message, and for chat also the `param` and `code` of its envelope."""

    message: str
    param: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which of the declared function tools the model may call: mode `auto | none | required | named`."""

    mode: str = "auto"
    name: str = ""
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """What the demo models need to know of a valid request, the same for both protocols."""

    model: str
    stream: bool
    user_text: str
    """text of the last user turn"""
    answers_tools: bool
    """the last turn is a tool result"""
    results: int
    """how many tool results the conversation holds"""
    tools: Mapping[str, Any]
    """name -> JSON Schema of the arguments"""
    choice: ToolChoice
    wanted: Any
    """the JSON Schema that the text must fit, else None"""
    thinking: bool
    input_tokens: int
    cached_tokens: int
    max_tokens: int | None
    stops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One part of an answer. `pieces` joined are its text, its thought, or the JSON text of a call's arguments.

    A redacted thought has none: the vendor keeps it to itself.
    """

    kind: Literal["text", "thinking", "redacted", "tool"]
    pieces: tuple[str, ...]
    name: str = ""

    @property
    def text(self) -> str:
        """The pieces joined."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer before any wire form. `breaks` ends it with the vendor's in-band error instead of a stop."""

    blocks: tuple[Block, ...]
    stop: Stop = "stop"
    stop_sequence: str | None = None
    breaks: bool = False
    paced: bool = False
    """events are spaced in time"""

    @property
    def output_tokens(self) -> int:
        """One token for each piece."""
        return sum(len(block.pieces) for block in self.blocks)

    @property
    def thinking_tokens(self) -> int:
        """The part of `output_tokens` that went into thought."""
        return sum(len(block.pieces) for block in self.blocks if block.kind == "thinking")


@dataclass(frozen=True, slots=True)
class Minted:
    """Ids and time of one answer, the same in all of its events."""

    number: int
    token: str
    """24 hex digits"""
    created: int
    """unix s"""
