"""How a compatible server's requests differ from OpenAI's; a provider's file says so under ``dialect``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """The choices that Chat's wire leaves open.

    ``max_tokens``: the member that limits the answer of another protocol's client; OpenAI's reasoning models take the
    new name only, third-party servers the old one. Source: protocols.md 2.5, "Max output".

    ``instructions``: the role under which system and developer turns are sent. Source: protocols.md 2.1.

    ``text``: whether several texts of one message are a list of parts or one string, a blank line between them, for
    servers that take strings only. Source: protocols.md 5.7 P-117.

    ``reasoning_history``: whether the reasoning text of another protocol's client is sent as ``reasoning_content``.
    Source: protocols.md 2.4 R2.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    instructions: Literal["system", "developer", "as_sent"] = "as_sent"
    text: Literal["parts", "joined"] = "parts"
    reasoning_history: Literal["drop", "reasoning_content"] = "drop"
