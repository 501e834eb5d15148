"""What is known of models that speak Chat Completions.  Source: protocols.md 7.2; the rows are in ``models.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rotator.api import setting

from .._effort import Level
from .._facts import Models, read_models


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """What one model takes; None where it is not known.  Source of every member: protocols.md 7.2.

    ``efforts``: the levels that it takes, none at all where it has no such setting. ``sampling``: when temperature,
    ``top_p`` and probabilities may be asked for. ``instructions``: the role of instructions (2.1, "Developer prompt").
    ``tools``: whether functions stand beside reasoning, beside it only while no effort is named, or never (0.2 item 15,
    7.4). ``stop``: whether it takes stop sequences (2.5, "stop"). ``breakpoints``: whether its parts may carry
    breakpoints of the prompt cache (2.6, "Breakpoints"). ``max_output``: tokens of an answer, those of reasoning among
    them (2.5, "Max output"). ``web_search``: whether it takes ``web_search_options`` (2.7). ``forced_tool``: whether
    a tool may be forced on it (2.3, "Forced choice + thinking").
    """

    efforts: tuple[Level, ...] | None = None
    sampling: Literal["always", "without_reasoning", "never"] | None = None
    instructions: Literal["system", "developer"] | None = None
    tools: Literal["ok", "without_effort", "without_reasoning"] | None = None
    stop: bool | None = None
    breakpoints: bool | None = None
    max_output: int | None = setting(None, minimum=1)
    web_search: bool | None = None
    forced_tool: Literal["ok", "refused"] | None = None


MODELS: Final[Models[ChatFacts]] = read_models(Path(__file__).with_name("models.json"), ChatFacts())


def facts_of(model: str, overrides: Mapping[str, ChatFacts] | None = None) -> ChatFacts:
    """What is known of a model, under the ``models`` of a dialect."""
    return (MODELS.over(overrides) if overrides else MODELS).of(model)
