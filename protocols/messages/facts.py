"""What is known of models that speak Messages.  Source: protocols.md 7.2; the rows are in ``models.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rotator.api import setting

from .._effort import Level
from .._facts import Models, read_models

ThinkingType = Literal["adaptive", "disabled", "between_tools", "enabled"]


@dataclass(frozen=True, slots=True)
class MessagesFacts:
    """What one model takes; None where it is not known.  Source of every member: protocols.md 7.2.

    ``unset``: whether it thinks where nothing is said of it. ``thinking``: the types that it takes (2.4, "Adaptive"
    and "Off"). ``efforts``: the levels of ``output_config.effort``, with the one that holds where none is named;
    ``effort_when_off``: the highest of them beside thinking that is off (7.3, row "none"). ``sampling``: temperature,
    ``top_p`` and ``top_k`` other than the default (2.5). ``prefill``: whether it goes on with an assistant's turn that
    comes last (2.1). ``forced_tool``: whether a tool may be forced on it (2.3, "Forced choice + thinking").
    ``binding``: where alone its thinking blocks are of use (2.4 R11, R12). ``max_output``: tokens of an answer, those
    of thinking among them.
    """

    unset: Literal["on", "off"] | None = None
    thinking: tuple[ThinkingType, ...] | None = None
    efforts: tuple[Level, ...] | None = None
    default_effort: Level | None = None
    effort_when_off: Level | None = None
    sampling: bool | None = None
    prefill: bool | None = None
    forced_tool: Literal["ok", "without_thinking", "refused"] | None = None
    binding: tuple[Literal["model", "conversation", "account"], ...] | None = None
    max_output: int | None = setting(None, minimum=1)


MODELS: Final[Models[MessagesFacts]] = read_models(Path(__file__).with_name("models.json"), MessagesFacts())


def facts_of(model: str, overrides: Mapping[str, MessagesFacts] | None = None) -> MessagesFacts:
    """What is known of a model, under the ``models`` of a dialect."""
    return (MODELS.over(overrides) if overrides else MODELS).of(model)
