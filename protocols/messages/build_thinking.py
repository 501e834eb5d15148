"""How much to think, for an upstream: ``thinking``, ``output_config.effort``, and what of the rest they change.

Source: protocols.md 2.3 ("Forced choice + thinking"), 2.4, 2.5 ("Budget interplay"), 7.2, 7.3, 7.5, 7.6.
Of a model that nobody knows, what its client asked for is said in the newest form: adaptive thinking and an effort.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rotator.api import Ledger, ReasoningWish, Request

from .._effort import BUDGETS, LADDER, Asked, Level, asked, clamp, level_of, lose_clamped
from .dialect import MessagesDialect
from .facts import MessagesFacts, ThinkingType
from .vocabulary import SHOWN

STEP: Final = "messages.build.thinking"
#: What the newest models take.  Source: protocols.md 7.2.
NEWEST: Final[tuple[ThinkingType, ...]] = ("adaptive", "disabled")
EFFORTS: Final[tuple[Level, ...]] = ("low", "medium", "high", "xhigh", "max")
#: The least budget, and that of a model which has no adaptive thinking.  Source: protocols.md 7.3, 7.5.
LEAST_BUDGET: Final = 1024
DYNAMIC_BUDGET: Final = BUDGETS["medium"]
#: What is left for the answer where its client set no limit, and below what a limit is tight (7.5, "Anth adaptive").
ANSWER_TOKENS: Final = 4096
#: Demanded by ``display: updates``.  Source: protocols.md 7.2.
UPDATES_BETA: Final = "thinking-display-updates-2026-08-18"


def limit_of(request: Request, dialect: MessagesDialect, facts: MessagesFacts, ledger: Ledger) -> int:
    """``max_tokens``, which is required: at most what the model can answer with.  Source: protocols.md 2.5."""
    said, cap = request.output.max_tokens, facts.max_output
    if said is None:
        ledger.note(STEP, "max_tokens.default")
        return dialect.max_tokens if cap is None else min(dialect.max_tokens, cap)
    if cap is not None and said > cap:
        at = (request.output.max_tokens_name or "max_tokens",)
        ledger.lose("max_tokens.clamped", at, f"requested {said}, used {cap}")
        return cap
    return said


def put_thinking(body: dict[str, Any], request: Request, facts: MessagesFacts, ledger: Ledger) -> None:
    """Into a body that has its messages, tools and ``max_tokens``."""
    wish = request.reasoning
    want = asked(wish, ledger)
    types = NEWEST if facts.thinking is None else facts.thinking
    work = _Work(body, wish, want, facts, ledger)
    if want.kind == "unset":
        _only_shown(work)
    elif "adaptive" in types:
        _adaptive(work, types)
    elif "enabled" in types:
        _within_budget(work, request.output.max_tokens)
    elif want.kind != "off":
        ledger.lose("reasoning.wish", wish.at, want.words)
    _free_choice(body, facts, request, ledger)


class _Work(NamedTuple):
    """One body under way, and what its client wants of a model's thinking."""

    body: dict[str, Any]
    wish: ReasoningWish
    want: Asked
    facts: MessagesFacts
    ledger: Ledger

    def effort(self, level: Level) -> None:
        """Beside the format of the answer, which stands there already."""
        self.body.setdefault("output_config", {})["effort"] = level

    def clamped(self, used: str, requested: str | None = None) -> None:
        lose_clamped(self.ledger, self.wish, requested or self.want.words, used)

    def think(self, type: ThinkingType, **more: Any) -> None:
        """Thinking that is on; what of it is shown changes nothing else (P-96)."""
        shown = {} if self.wish.display is None else {"display": SHOWN.get(self.wish.display, "summarized")}
        if self.wish.display == "raw":
            self.ledger.lose("reasoning.display", self.wish.at, "requested raw, used summarized")
        self.body["thinking"] = {"type": type, **more, **shown}


# ---------------------------------------------------------------- models that think as they like


def _only_shown(work: _Work) -> None:
    """Nothing was said but what is to be seen: where the model thinks by itself, that can be told."""
    if work.wish.display is None:
        return
    if work.facts.unset == "on":
        work.think("adaptive")
    elif work.facts.unset is None:
        work.ledger.lose("reasoning.display", work.wish.at)


def _adaptive(work: _Work, types: tuple[ThinkingType, ...]) -> None:
    """Source: protocols.md 7.3, "Anth adaptive models"; an effort alone would leave it off on 4.6 to 4.8 (P-155)."""
    want, efforts = work.want, work.facts.efforts
    if want.kind == "off":
        return _off(work, types)
    work.think("adaptive")
    level = want.level if want.budget is None or want.level is not None else level_of(want.budget)
    used = None if level is None else clamp(level, EFFORTS if efforts is None else efforts)
    if used is not None:
        work.effort(used)
    if level is None:
        used = work.facts.default_effort
    elif used is None:
        work.ledger.lose("reasoning.wish", work.wish.at, want.words)
    elif used != level or (want.level is None and want.budget != BUDGETS[level]):
        work.clamped(used)
    if used in ("high", "xhigh", "max") and work.body["max_tokens"] < ANSWER_TOKENS:
        work.ledger.lose("reasoning.tight", work.wish.at, f"max_tokens {work.body['max_tokens']}, effort {used}")


def _off(work: _Work, types: tuple[ThinkingType, ...]) -> None:
    """Source: protocols.md 7.3, row "none"."""
    efforts = EFFORTS if work.facts.efforts is None else work.facts.efforts
    if "disabled" not in types and "between_tools" not in types:  # it always thinks
        lowest = next((level for level in LADDER if level in efforts), None)
        if lowest is not None:
            work.effort(lowest)
        work.clamped(lowest or "adaptive")
        return
    between = "between_tools" in types and (work.wish.between_tools or "disabled" not in types)
    work.body["thinking"] = {"type": "between_tools" if between else "disabled"}
    if between != work.wish.between_tools:
        requested, used = ("none", "between_tools") if between else ("between_tools", "none")
        work.clamped(used, requested)
    _effort_when_off(work, efforts)


def _effort_when_off(work: _Work, efforts: tuple[Level, ...]) -> None:
    """An effort that was named is for words and tools, too (7.3, last line); beside "off" only the lower ones stand."""
    level, highest = work.want.level, work.facts.effort_when_off
    if level is None:
        return
    ceiling = len(LADDER) if highest is None else LADDER.index(highest) + 1
    used = clamp(level, [one for one in efforts if LADDER.index(one) < ceiling])
    if used is None:
        work.ledger.lose("reasoning.wish", work.wish.at, level)
        return
    work.effort(used)
    if used != level:
        work.clamped(used, level)


# ---------------------------------------------------------------- models with a budget


def _within_budget(work: _Work, said: int | None) -> None:
    """Source: protocols.md 7.3, "Anth budget models"; 7.5, "Anth enabled".  ``said`` is the client's limit."""
    want = work.want
    if want.kind == "off":
        if work.want.level is not None:
            _effort_when_off(work, work.facts.efforts or ())
        return
    if _interrupted(work.body["messages"]):
        work.ledger.lose("reasoning.off", work.wish.at, "the turn under way began without thinking")
        return
    wanted = want.budget if want.budget is not None else BUDGETS[want.level] if want.level else DYNAMIC_BUDGET
    room = _room(wanted, said, work.body["max_tokens"], work.facts.max_output)
    if room is None:
        work.ledger.lose("reasoning.off", work.wish.at, f"no room below max_tokens {work.body['max_tokens']}")
        return
    used, limit = room
    if limit != work.body["max_tokens"]:
        work.body["max_tokens"] = limit
        work.ledger.note(STEP, "max_tokens.raised", ("max_tokens",), ("max_tokens",))
    if used != wanted and want.kind != "auto" and want.level != "max":
        work.clamped(f"{used} tokens")
    work.think("enabled", budget_tokens=used)


def _room(wanted: int, said: int | None, limit: int, cap: int | None) -> tuple[int, int] | None:
    """The budget and ``max_tokens``, None where both do not fit: the API wants 1024 <= budget < max_tokens.

    The budget comes on top of what the client wants for its answer; where the model cannot give both, it gives way.
    """
    total = limit + max(wanted, LEAST_BUDGET)
    if cap is not None:
        total = max(limit, min(total, cap))
    answer = min(limit, ANSWER_TOKENS) if said is None else limit
    used = max(LEAST_BUDGET, min(wanted, total - answer))
    return (used, total) if used < total else None


def _interrupted(messages: list[dict[str, Any]]) -> bool:
    """Whether a turn is under way that did not begin with thinking: one with calls, or one that is to be gone on with.

    Source: protocols.md 2.4 R3, 2.1 ("prefill").
    """
    if messages and messages[-1]["role"] == "assistant":
        content = messages[-1]["content"]
        return not isinstance(content, list) or content[0]["type"] not in ("thinking", "redacted_thinking")
    for message in reversed(messages):
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        if message["role"] == "user":
            if any(block["type"] == "tool_result" for block in blocks):
                continue
            return False
        if message["role"] == "assistant" and any(block["type"] == "tool_use" for block in blocks):
            return blocks[0]["type"] not in ("thinking", "redacted_thinking")
    return False


# ---------------------------------------------------------------- what thinking changes


def is_on(body: Mapping[str, Any], facts: MessagesFacts) -> bool:
    """Whether the model will think."""
    thinking = body.get("thinking")
    if thinking is None:
        return facts.unset == "on"
    return bool(thinking["type"] in ("adaptive", "enabled"))


def _free_choice(body: dict[str, Any], facts: MessagesFacts, request: Request, ledger: Ledger) -> None:
    """A tool that cannot be forced is the only one that is offered.  Source: protocols.md 2.3."""
    choice = body.get("tool_choice")
    if choice is None or choice["type"] not in ("any", "tool"):
        return
    by_budget = body.get("thinking", {}).get("type") == "enabled"
    barred = by_budget or (facts.forced_tool == "without_thinking" and is_on(body, facts))
    if not barred and facts.forced_tool != "refused":
        return
    name = choice.get("name")
    if name is not None:
        body["tools"] = [tool for tool in body["tools"] if tool["name"] == name]
    kept = {member: value for member, value in choice.items() if member != "name"}
    body["tool_choice"] = {**kept, "type": "auto"}
    ledger.lose("tool_choice.degraded", request.policy.at)


def betas_of(body: Mapping[str, Any]) -> str:
    """What the body demands of ``anthropic-beta``, "" if nothing."""
    return UPDATES_BETA if body.get("thinking", {}).get("display") == "updates" else ""
