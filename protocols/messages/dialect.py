"""How an upstream that speaks Messages may differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rotator.api import setting


@dataclass(frozen=True, slots=True)
class MessagesDialect:
    """Options of a provider; none of them changes what a Messages client sends.

    ``max_tokens`` is sent where the client named none: the field is required (protocols.md 2.5 "Max output").
    ``mid_system`` is how instructions in mid-conversation are told: as a user's ``<system-reminder>``, or as a message
    of the role system, which recent models take (protocols.md 2.1). ``structured_output`` is where the schema of an
    answer goes: ``output_config.format``, or an instruction where the upstream knows no such field (2.5).
    """

    max_tokens: int = setting(32_000, minimum=1)
    mid_system: Literal["reminder", "role"] = "reminder"
    structured_output: Literal["native", "instruction"] = "native"
