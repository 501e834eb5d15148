"""What models of a known name refuse in a Chat request (protocols.md 7.2, 7.4, 2.5); other names take all.

The table is this vendor's own: whoever asks it must know its models from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .calls import Call, Fault
from .fields_chat import FUNCTIONS
from .shapes import root


@dataclass(frozen=True, slots=True)
class Known:
    """One model. `default` is the effort that holds where none is named, "" where it is not known."""

    efforts: str = ""
    default: str = ""
    samples_without: bool = False
    """takes sampling while the effort is none"""
    tools_without: bool = False
    """takes functions only while the effort is none"""
    stop: bool = True


MAX = "low medium high xhigh max"
#: By what the name matches; the first counts.
KNOWN = (
    (r"gpt-(4|3\.5)|chatgpt-|gpt-5(\.\d)?-chat", Known()),
    (r"gpt-6-astra|gpt-6\.1-sol", Known(MAX, "medium", tools_without=True)),
    (r"gpt-6", Known(f"none {MAX}", "medium", tools_without=True)),
    (r"gpt-5\.6", Known(f"none {MAX}", "medium", True, tools_without=True)),
    (r"gpt-5\.[45]", Known("none low medium high xhigh", "none", True, tools_without=True)),
    (r"gpt-5\.[23]", Known("none low medium high xhigh", "none", True)),
    (r"gpt-5\.1", Known("none low medium high", "none", True)),
    (r"gpt-5", Known("minimal low medium high", "medium")),
    (r"o3|o4-mini", Known("low medium high", "medium", stop=False)),
    (r"o1", Known("low medium high", "medium")),
)
#: With the values that say nothing.
SAMPLING: dict[str, tuple[Any, ...]] = {
    "temperature": (1, None),
    "top_p": (1, None),
    "logprobs": (False, None),
    "top_logprobs": (None,),
}
PENALTIES: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "logit_bias": (None, {}),
}


def known(call: Call) -> Iterator[tuple[Known, dict[str, Any]]]:
    """The model and the body, where the name is known."""
    for _, body in root(call):
        name = str(body.get("model"))
        found = next((model for start, model in KNOWN if re.match(start, name)), None)
        if found is not None:
            yield found, body


def _unsupported(name: str, more: str = "") -> Fault:
    text = f"Unsupported parameter: '{name}' is not supported with this model.{more}"
    return Fault(text, name, "unsupported_parameter")


def effort_is_taken(call: Call) -> Iterator[Fault]:
    """7.2, "Efforts" """
    for model, body in known(call):
        effort = body.get("reasoning_effort")
        if effort is None or effort in model.efforts.split():
            continue
        if not model.efforts:
            yield _unsupported("reasoning_effort")
        else:
            levels = ", ".join(f"'{level}'" for level in model.efforts.split())
            text = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model."
            yield Fault(f"{text} Supported values are: {levels}.", "reasoning_effort", "unsupported_value")


def sampling_is_default(call: Call) -> Iterator[Fault]:
    """7.2, "Sampling on reasoning models"; 2.5 for penalties"""
    for model, body in known(call):
        free = model.samples_without and body.get("reasoning_effort") == "none"
        for name, silent in {**({} if free else SAMPLING), **PENALTIES}.items():
            if model.efforts and body.get(name) not in silent:
                yield _unsupported(name)


def tools_do_without_reasoning(call: Call) -> Iterator[Fault]:
    """0.2 item 15, 7.4"""
    for model, body in known(call):
        effort = body.get("reasoning_effort") or model.default
        if model.tools_without and effort != "none" and any(FUNCTIONS(call)):
            text = "Function tools with reasoning_effort are not supported for this model in /v1/chat/completions."
            yield Fault(f"{text} Please use /v1/responses instead.", "reasoning_effort")


def limit_has_its_new_name(call: Call) -> Iterator[Fault]:
    """2.5, "Max output" """
    for model, body in known(call):
        if model.efforts and body.get("max_tokens") is not None:
            yield _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")


def stop_is_taken(call: Call) -> Iterator[Fault]:
    """2.5, "stop" """
    for model, body in known(call):
        if not model.stop and body.get("stop") is not None:
            yield _unsupported("stop")


RULES = (
    effort_is_taken,
    sampling_is_default,
    tools_do_without_reasoning,
    limit_has_its_new_name,
    stop_is_taken,
)
