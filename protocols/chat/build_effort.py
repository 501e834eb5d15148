"""How much to think, in the words of the upstream's dialect, and what reasoning models refuse beside it.

Source: protocols.md 2.5 (sampling), 7.1 to 7.4, 7.6; conversion-pitfalls.md 3.10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from rotator.api import Ledger, ReasoningWish, Request

from .._effort import BUDGETS, Asked, Level, asked, clamp, level_of, lose_clamped
from .._reading import refuse
from .build_media import Wire
from .dialect import ChatDialect
from .facts import ChatFacts

STEP: Final = "chat.build.effort"
#: The code of a refusal: the model would reason beside functions in another protocol only.  Source: protocols.md 7.4.
NEEDS_RESPONSES: Final = "tools_with_reasoning_need_responses"
#: What a reasoning model takes only while it does not reason, with the value that says nothing; and what it never
#: takes.  Source: protocols.md 2.5, 7.2 ("Sampling on reasoning models").
UNLESS_REASONING: Final[Mapping[str, Any]] = {"temperature": 1, "top_p": 1, "logprobs": False, "top_logprobs": None}
NEVER: Final[Mapping[str, Any]] = {"frequency_penalty": 0, "presence_penalty": 0, "logit_bias": None}
CODES: Final = {"logprobs": "output.logprobs", "top_logprobs": "output.logprobs"}


def for_model(dialect: ChatDialect, facts: ChatFacts) -> ChatDialect:
    """The dialect with what goes by the model: the role of instructions (as the client sent them where nobody knows),
    and whether there are breakpoints of the prompt cache.
    """
    if dialect.instructions == "by_model":
        dialect = replace(dialect, instructions=facts.instructions or "as_sent")
    if dialect.cache == "by_model":
        dialect = replace(dialect, cache="breakpoint" if facts.breakpoints else "none")
    return dialect


def put_reasoning(body: Wire, request: Request, dialect: ChatDialect, facts: ChatFacts, ledger: Ledger) -> None:
    """Into a body that has its tools and settings.  Raises Refused where the tools cannot stand beside reasoning."""
    wish = request.reasoning
    work = _Work(body, wish, asked(wish, ledger), facts, ledger)
    if work.want.kind != "unset":
        FORMS[dialect.reasoning](work)
        if wish.between_tools:
            lose_clamped(ledger, wish, "between_tools", "none")
    if wish.display is not None:  # the vendor shows what it does: hidden words would take their state with them (7.6)
        ledger.note(STEP, "display.left", wish.at)
    if dialect.reasoning_with_tools == "refused":
        _beside_tools(body, request, facts, ledger)
    _drop_sampling(body, facts, ledger)


class _Work(NamedTuple):
    """One body under way, and what its client wants of a model's thinking."""

    body: Wire
    wish: ReasoningWish
    want: Asked
    facts: ChatFacts
    ledger: Ledger

    def clamped(self, used: str) -> None:
        lose_clamped(self.ledger, self.wish, self.want.words, used)

    def lost(self) -> None:
        self.ledger.lose("reasoning.wish", self.wish.at, self.want.words)

    def level(self) -> Level | None:
        """The level that is sent; None where none was asked for, or none can be had."""
        want, taken = self.want, self.facts.efforts
        if want.kind == "auto":
            return None
        budget = None if want.level is not None else want.budget
        level: Level | None = "none" if want.kind == "off" else want.level
        if level is None and budget is not None:
            level = level_of(budget)
        if level is None or taken is None:
            used = level
        elif level == "none" and not taken:
            return None  # it does not reason at all
        else:
            used = clamp(level, taken)
        if used is None:
            self.lost()
        elif used != level or (budget is not None and budget != BUDGETS[level]):
            self.clamped(used)
        return used


def _by_effort(work: _Work) -> None:
    """Source: protocols.md 7.3, "OpenAI"; "auto" is what a model does that is told nothing."""
    level = work.level()
    if level is not None:
        work.body["reasoning_effort"] = level


def _by_object(work: _Work) -> None:
    """OpenRouter's, with one of effort and ``max_tokens``.  Source: protocols.md 7.1."""
    want = work.want
    mandatory = work.facts.efforts is not None and "none" not in work.facts.efforts
    if want.kind == "off" and not mandatory:
        work.body["reasoning"] = {"enabled": False}
    elif want.kind == "auto":
        work.body["reasoning"] = {"enabled": True}
    elif want.kind == "budget":
        work.body["reasoning"] = {"max_tokens": want.budget}
    elif (level := work.level()) is not None:
        work.body["reasoning"] = {"effort": level}


def _by_thinking(work: _Work) -> None:
    """A switch, with an effort beside it where the vendor has some.  Source: protocols.md 7.1."""
    off = work.want.kind == "off"
    work.body["thinking"] = {"type": "disabled" if off else "enabled"}
    if not off and work.facts.efforts:
        _by_effort(work)
    else:
        _lose_amount(work)


def _by_switch(work: _Work) -> None:
    """Qwen's; a budget is what it has instead of levels, and none is its most.  Source: protocols.md 7.1."""
    want = work.want
    work.body["enable_thinking"] = want.kind != "off"
    budget = want.budget
    if budget is None and want.kind == "level" and want.level is not None and want.level != "max":
        budget = BUDGETS[want.level]
    if want.kind != "off" and budget is not None:
        work.body["thinking_budget"] = budget


def _by_template(work: _Work) -> None:
    """What vLLM hands to the model's template.  Source: protocols.md 7.1."""
    work.body["chat_template_kwargs"] = {"enable_thinking": work.want.kind != "off"}
    _lose_amount(work)


def _lose_amount(work: _Work) -> None:
    """A switch does not say how much."""
    if work.want.kind in ("level", "budget"):
        work.clamped("enabled")


FORMS: Final[Mapping[str, Callable[[_Work], None]]] = {
    "effort": _by_effort,
    "object": _by_object,
    "thinking": _by_thinking,
    "enable_thinking": _by_switch,
    "chat_template": _by_template,
    "none": _Work.lost,
}


def _beside_tools(body: Wire, request: Request, facts: ChatFacts, ledger: Ledger) -> None:
    """Source: protocols.md 0.2 item 15, 7.4."""
    if facts.tools in (None, "ok") or not any(tool["type"] == "function" for tool in body.get("tools", ())):
        return
    effort = body.get("reasoning_effort")
    if effort == "none" or (effort is None and facts.tools == "without_effort"):
        return
    if "none" not in (facts.efforts or ()):
        refuse(("tools",), "this model takes tools beside reasoning in the Responses API only", code=NEEDS_RESPONSES)
    body["reasoning_effort"] = "none"
    ledger.lose("reasoning.tools", request.reasoning.at, f"requested {effort or 'the default'}, used none")


def _drop_sampling(body: Wire, facts: ChatFacts, ledger: Ledger) -> None:
    """What a reasoning model would refuse; what says nothing is left out without a word."""
    if facts.stop is False and body.pop("stop", None) is not None:
        ledger.lose("stop.refused", ("stop",))
    if facts.sampling in (None, "always"):
        return
    off = body.get("reasoning_effort") == "none" or body.get("reasoning") == {"enabled": False}
    free = facts.sampling == "without_reasoning" and off
    for name, default in (NEVER if free else {**UNLESS_REASONING, **NEVER}).items():
        if name not in body:
            continue
        value = body.pop(name)
        if value == default:
            ledger.note(STEP, "sampling.default", (name,))
        else:
            ledger.lose(CODES.get(name, f"sampling.{name}"), (name,))
