"""How much to think, in each of the ways that Chat clients say it.  Source: protocols.md 7.1; clients' own extensions.

``reasoning_effort`` is OpenAI's. Compatible servers know others, and their clients send them: what is understood of
those is the neutral wish, and what was written is kept, so that a Chat upstream gets the same members again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeGuard

from rotator.api import Path, ReasoningWish, Rest

from .._reading import Fields

#: Members that say something of thinking, the first to be believed first; other members of their kind stay in ``rest``.
EFFORT: Final = "reasoning_effort"
EXTENSIONS: Final = (
    "reasoning",
    "thinking",
    "enable_thinking",
    "thinking_budget",
    "chat_template_kwargs",
    "extra_body",
)
WISHES: Final = frozenset((EFFORT, *EXTENSIONS))
#: Words for a switch, as ``thinking.type`` has them.
_TYPES: Final[Mapping[str, tuple[bool, int | None]]] = {
    "enabled": (True, None),
    "adaptive": (True, -1),
    "disabled": (False, None),
}
#: Templates that have a switch call it so.  Source: conversion-pitfalls.md P117.
_SWITCHES: Final = ("enable_thinking", "thinking")


@dataclass(frozen=True, slots=True)
class SpokenWish(ReasoningWish):
    """A wish that a client wrote in extensions.  ``said``: its members as they were written, for its own protocol."""

    said: Rest = field(default_factory=dict)


@dataclass(slots=True)
class _Heard:
    """What was understood so far; of each thing the first word counts."""

    enabled: bool | None = None
    effort: str | None = None
    budget: int | None = None
    display: Literal["hidden", "summary"] | None = None
    said: dict[str, Any] = field(default_factory=dict)

    def turn(self, on: bool) -> None:
        if self.enabled is None:
            self.enabled = on

    def name(self, effort: str) -> None:
        if self.effort is None:
            self.effort = effort
        if effort.lower() == "none":
            self.turn(False)

    def allow(self, tokens: int) -> None:
        """0 is off, -1 leaves it to the model."""
        if tokens == 0:
            self.turn(False)
        elif self.budget is None:
            self.budget = tokens

    def show(self, display: Literal["hidden", "summary"]) -> None:
        if self.display is None:
            self.display = display


def parse_wish(body: Mapping[str, Any], fields: Fields) -> tuple[ReasoningWish, dict[str, Rest]]:
    """The wish, and what nobody understood of the members that it was read from, under their names."""
    heard = _Heard()
    effort = fields.text(EFFORT)
    if effort is not None:
        heard.name(effort)
        heard.said[EFFORT] = effort
    left: dict[str, Rest] = {}
    for name in EXTENSIONS:
        value = body.get(name)
        if value is None:
            continue
        rest = _READERS[name](value, heard)
        if rest is None:
            continue
        fields.drop(name)
        heard.said[name] = value
        if rest:
            left[name] = rest
    at: Path = (next(iter(heard.said), EFFORT),)
    if heard.said.keys() <= {EFFORT}:
        return ReasoningWish(heard.enabled, effort, at=at), left
    return SpokenWish(heard.enabled, heard.effort, heard.budget, heard.display, at=at, said=heard.said), left


def said_of(wish: ReasoningWish) -> Rest:
    """The members in which a Chat client wrote a wish, where they still say the same; else what Chat has for it."""
    effort = {} if wish.effort is None else {EFFORT: wish.effort}
    if not isinstance(wish, SpokenWish):
        return effort
    again, _ = parse_wish(wish.said, Fields(wish.said, ()))
    return wish.said if again == wish else effort


# ---------------------------------------------------------------- one member each: the rest, None if not understood


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= -1


def _rest(value: Mapping[str, Any], *known: str) -> Rest:
    return {name: member for name, member in value.items() if name not in known and member is not None}


def _reasoning(value: Any, heard: _Heard) -> Rest | None:
    """OpenRouter's object, which many gateways took over."""
    if not isinstance(value, dict):
        return None
    effort, tokens, enabled = value.get("effort"), value.get("max_tokens"), value.get("enabled")
    known = ["exclude", "summary"]
    if isinstance(effort, str):
        known.append("effort")
        heard.name(effort)
    if _is_number(tokens):
        known.append("max_tokens")
        heard.allow(tokens)
    if isinstance(enabled, bool):
        known.append("enabled")
        heard.turn(enabled)
    if value.get("exclude") is True:
        heard.show("hidden")
    elif isinstance(value.get("summary"), str):
        heard.show("summary")
    return _rest(value, *known)


def _thinking(value: Any, heard: _Heard) -> Rest | None:
    """The switch of DeepSeek and GLM, and what clients of gateways to Claude write."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _TYPES:
        return None
    on, budget = _TYPES[kind]
    heard.turn(on)
    tokens = value.get("budget_tokens")
    if on and _is_number(tokens):
        heard.allow(tokens)
        return _rest(value, "type", "budget_tokens")
    if budget is not None:
        heard.allow(budget)
    return _rest(value, "type")


def _switch(value: Any, heard: _Heard) -> Rest | None:
    if not isinstance(value, bool):
        return None
    heard.turn(value)
    return {}


def _budget(value: Any, heard: _Heard) -> Rest | None:
    if not _is_number(value):
        return None
    heard.allow(value)
    return {}


def _template(value: Any, heard: _Heard) -> Rest | None:
    """vLLM, NVIDIA: what a model's template is given."""
    if not isinstance(value, dict):
        return None
    known = [name for name in _SWITCHES if isinstance(value.get(name), bool)]
    for name in known:
        heard.turn(value[name])
    return _rest(value, *known) if known else None


def _extra_body(value: Any, heard: _Heard) -> Rest | None:
    """Google's: ``extra_body.google.thinking_config``, which its clients nest twice."""
    google = value.get("google") if isinstance(value, dict) else None
    if not isinstance(google, dict) or not isinstance(config := google.get("thinking_config"), dict):
        return None
    level, tokens, shown = config.get("thinking_level"), config.get("thinking_budget"), config.get("include_thoughts")
    known = []
    if isinstance(level, str):
        known.append("thinking_level")
        heard.name(level.lower())
    if _is_number(tokens):
        known.append("thinking_budget")
        heard.allow(tokens)
    if isinstance(shown, bool):
        known.append("include_thoughts")
        heard.show("summary" if shown else "hidden")
    inner = _rest(config, *known)
    beside = {**_rest(google, "thinking_config"), **({"thinking_config": inner} if inner else {})}
    return {**_rest(value, "google"), **({"google": beside} if beside else {})}


_READERS: Final[Mapping[str, Callable[[Any, _Heard], Rest | None]]] = {
    "reasoning": _reasoning,
    "thinking": _thinking,
    "enable_thinking": _switch,
    "thinking_budget": _budget,
    "chat_template_kwargs": _template,
    "extra_body": _extra_body,
}
