"""How an upstream that speaks Messages may differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rotator.api import setting

from .._facts import check_patterns
from .facts import MessagesFacts


@dataclass(frozen=True, slots=True)
class MessagesDialect:
    """Options of a provider; none of them changes what a Messages client sends.

    ``max_tokens`` is sent where the client named none: the field is required (protocols.md 2.5 "Max output").
    ``mid_system`` is how instructions in mid-conversation are told: as a user's ``<system-reminder>``, or as a message
    of the role system, which recent models take (protocols.md 2.1). ``structured_output`` is where the schema of an
    answer goes: ``output_config.format``, or an instruction where the upstream knows no such field (2.5).
    ``version``: which ``anthropic-version`` a built request names: the newest one that its body allows, or the old one
    for upstreams that know no other (0.2 item 1). ``models`` is laid over the model table, row by row (7.2).
    ``web_search``: whether there is the vendor's own search. ``hosted_tools``: what becomes of a request with tools
    that only another vendor runs (2.7).
    """

    max_tokens: int = setting(32_000, minimum=1)
    mid_system: Literal["reminder", "role"] = "reminder"
    structured_output: Literal["native", "instruction"] = "native"
    version: Literal["by_body", "old"] = "by_body"
    models: Mapping[str, MessagesFacts] = field(default_factory=dict)
    web_search: Literal["tool", "none"] = "tool"
    hosted_tools: Literal["refuse", "drop"] = "refuse"

    def __post_init__(self) -> None:
        check_patterns(self.models)
