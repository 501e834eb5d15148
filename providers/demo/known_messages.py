"""What models of a known name refuse in a Messages request (protocols.md 7.2, 2.1, 2.3, 2.4); other names take all.

The table is this vendor's own: whoever asks it must know its models from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .calls import Call, Fault
from .fields_messages import MESSAGES, OUTPUT_CONFIG, THINKING, TOOL_CHOICE
from .frames import dicts
from .shapes import root, where


@dataclass(frozen=True, slots=True)
class Known:
    """One model. `forced` tells whether tools may be forced on it, `forced_thinking` whether while it thinks."""

    types: str
    efforts: str = ""
    new: bool = False
    """refuses sampling and an assistant's turn at the end"""
    prefill: bool = True
    forced: bool = True
    forced_thinking: bool = True
    max_output: int = 128_000


ALL = "low medium high xhigh max"
#: By the beginning of the name; the longest counts.
KNOWN = {
    "claude-opus-5-5": Known("adaptive", ALL, new=True, prefill=False, forced=False),
    "claude-sonnet-5-5": Known("adaptive between_tools", ALL, new=True, prefill=False, forced=False),
    "claude-haiku-5-5": Known("adaptive disabled", ALL, new=True, prefill=False),
    "claude-fable-5-1": Known("adaptive", ALL, new=True, prefill=False, forced=False),
    "claude-mythos-5-1": Known("adaptive", ALL, new=True, prefill=False, forced=False),
    "claude-fable-5": Known("adaptive", ALL, new=True, prefill=False),
    "claude-mythos-5": Known("adaptive", ALL, new=True, prefill=False),
    "claude-opus-5": Known("adaptive disabled", ALL, new=True, prefill=False),
    "claude-sonnet-5": Known("adaptive disabled", ALL, new=True, prefill=False),
    "claude-opus-4-8": Known("adaptive disabled", ALL, new=True, prefill=False),
    "claude-opus-4-7": Known("adaptive disabled", ALL, new=True, prefill=False),
    "claude-opus-4-6": Known(
        "adaptive disabled enabled", "low medium high max", prefill=False, forced_thinking=False
    ),
    "claude-sonnet-4-6": Known(
        "adaptive disabled enabled", "low medium high max", prefill=False, forced_thinking=False
    ),
    "claude-opus-4-5": Known("enabled disabled", "low medium high", forced_thinking=False, max_output=64_000),
    "claude-sonnet-4-5": Known("enabled disabled", forced_thinking=False, max_output=64_000),
    "claude-haiku-4-5": Known("enabled disabled", forced_thinking=False, max_output=64_000),
    "claude-opus-4-1": Known("enabled disabled", forced_thinking=False, max_output=32_000),
    "claude-opus-4-20": Known("enabled disabled", forced_thinking=False, max_output=32_000),
    "claude-sonnet-4-20": Known("enabled disabled", forced_thinking=False, max_output=64_000),
    "claude-3-7-sonnet": Known("enabled disabled", forced_thinking=False, max_output=8192),
}
OFF = ("disabled", "between_tools")
DEFAULTS = {"temperature": 1, "top_p": 1}


def known(call: Call) -> Iterator[tuple[Known, dict[str, Any]]]:
    """The model and the body, where the name is known."""
    for _, body in root(call):
        name = str(body.get("model"))
        found = max((start for start in KNOWN if name.startswith(start)), key=len, default=None)
        if found is not None:
            yield KNOWN[found], body


def thinking_type_is_taken(call: Call) -> Iterator[Fault]:
    """7.2, "Types accepted"; 7.7 for the words"""
    for model, _ in known(call):
        for _, thinking in THINKING(call):
            if thinking.get("type") not in model.types.split():
                yield Fault(f'"thinking.type.{thinking.get("type")}" is not supported for this model.')


def effort_is_taken(call: Call) -> Iterator[Fault]:
    """7.2, "Effort levels" """
    for model, _ in known(call):
        for _, config in OUTPUT_CONFIG(call):
            effort = config.get("effort")
            if isinstance(effort, str) and effort not in model.efforts.split():
                levels = ", ".join(model.efforts.split()) or "none"
                yield Fault(f"output_config.effort: '{effort}' is not supported for this model. Levels: {levels}")


def high_effort_thinks(call: Call) -> Iterator[Fault]:
    """7.2, 7.3: thinking that is off goes with the lower levels"""
    for _model, _ in known(call):
        for _ in where(THINKING, "type", *OFF)(call):
            for _, config in where(OUTPUT_CONFIG, "effort", "xhigh", "max")(call):
                yield Fault(f"output_config.effort: '{config['effort']}' needs thinking")


def sampling_is_default(call: Call) -> Iterator[Fault]:
    """7.2, "Sampling" """
    for model, body in known(call):
        for name in ("temperature", "top_p", "top_k"):
            if model.new and name in body and body[name] != DEFAULTS.get(name):
                yield Fault(f"`{name}` is deprecated for this model.")


def prefill_is_gone(call: Call) -> Iterator[Fault]:
    """2.1, "Last turn is assistant" """
    for model, _ in known(call):
        messages = list(MESSAGES(call))
        if not model.prefill and messages and messages[-1][1].get("role") == "assistant":
            text = "This model does not support assistant message prefill."
            yield Fault(f"{text} The conversation must end with a user message.")


def tools_are_forced_where_they_may_be(call: Call) -> Iterator[Fault]:
    """2.3, 7.2, "Forced tool" """
    for model, _ in known(call):
        for _ in where(TOOL_CHOICE, "type", "any", "tool")(call):
            thinks = any(where(THINKING, "type", "adaptive", "enabled")(call))
            if not model.forced or (thinks and not model.forced_thinking):
                yield Fault("tool_choice: forcing a tool is not supported for this model.")


def answer_fits_the_model(call: Call) -> Iterator[Fault]:
    """7.2, "Max out" """
    for model, body in known(call):
        limit = body.get("max_tokens")
        if isinstance(limit, int) and limit > model.max_output:
            yield Fault(f"max_tokens: {limit} > {model.max_output}, which is the maximum for this model")


def turn_under_way_begins_with_thinking(call: Call) -> Iterator[Fault]:
    """2.4 R3: of the models that think in a budget; the last turn of an assistant, if its calls are answered now"""
    for model, _ in known(call):
        messages = [message for _, message in MESSAGES(call)]
        if "adaptive" in model.types or not any(where(THINKING, "type", "enabled")(call)) or len(messages) < 2:
            continue
        turn, answer = dicts(messages[-2].get("content")), dicts(messages[-1].get("content"))
        calls = any(block.get("type") == "tool_use" for block in turn)
        results = any(block.get("type") == "tool_result" for block in answer)
        if calls and results and turn[0].get("type") not in ("thinking", "redacted_thinking"):
            at = f"messages.{len(messages) - 2}.content.0.type"
            text = f"Expected `thinking` or `redacted_thinking`, but found `{turn[0].get('type')}`."
            yield Fault(f"{at}: {text}")


RULES = (
    thinking_type_is_taken,
    effort_is_taken,
    high_effort_thinks,
    sampling_is_default,
    prefill_is_gone,
    tools_are_forced_where_they_may_be,
    answer_fits_the_model,
    turn_under_way_begins_with_thinking,
)
