"""Why an answer ended, in the words of Messages and of the neutral model.  Source: protocols.md 3.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rotator.api import ErrorKind, Finish, Ledger, NeutralError, error_of

READ: Final[dict[str, Finish]] = {
    finish.native: finish
    for finish in (
        Finish("stop", "end_turn"),
        Finish("stop_sequence", "stop_sequence"),
        Finish("length", "max_tokens"),
        Finish("context_window", "model_context_window_exceeded"),
        Finish("tool_calls", "tool_use"),
        Finish("pause", "pause_turn"),
        Finish("refusal", "refusal"),
        Finish("compaction", "compaction"),
        Finish("content_filter", "sensitive"),  # of compatible vendors
    )
}
#: ``malformed`` and ``cancelled`` are errors here, see ``failure_of``.
WRITTEN: Final[dict[str, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "continuation": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "compaction": "compaction",
    "other": "end_turn",
}
#: Reasons for which another word stands in.
APPROXIMATE: Final = frozenset(("continuation", "other"))
#: The categories that clients' types know.  Source: protocols.md 3.6.
CATEGORIES: Final = frozenset(("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"))


@dataclass(slots=True)
class Seen:
    """What an answer that is written held: a call, a refusal, a part that had no place."""

    called: bool = False
    refused: bool = False
    dropped: bool = False


def read_finish(told: Mapping[str, Any], called: bool) -> Finish | None:
    """From an object with ``stop_reason``, ``stop_sequence`` and ``stop_details``; None where no reason is told.

    ``called``: the answer holds a call that the client is to execute. ``tool_use`` without one was the provider's own
    tools' (protocols.md 3.3, row tool_use).
    """
    word = told.get("stop_reason")
    if not isinstance(word, str) or not word:
        return None
    finish = READ.get(word) or Finish("other", word)
    if finish.reason == "tool_calls" and not called:
        finish = Finish("stop", word)
    sequence, details = told.get("stop_sequence"), told.get("stop_details")
    details = details if isinstance(details, dict) else {}
    return finish._replace(
        stop_sequence=_word(sequence),
        category=_word(details.get("category")),
        explanation=_word(details.get("explanation")),
    )


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def inferred(called: bool, step: str, ledger: Ledger) -> Finish:
    """The finish of an answer that is complete and tells none.  Source: conversion-pitfalls.md P16."""
    ledger.note(step, "finish.inferred")
    return Finish("tool_calls" if called else "stop")


def failure_of(finish: Finish | None) -> NeutralError | None:
    """The error that a finish means for a client, None if it ends an answer.  Source: protocols.md 3.3, outbound."""
    if finish is None or finish.reason not in ("malformed", "cancelled"):
        return None
    what = "was cancelled" if finish.reason == "cancelled" else "broke off, it was malformed"
    native = f" ({finish.native})" if finish.native else ""
    code = f"answer_{finish.reason}"
    return error_of(ErrorKind.BAD_GATEWAY, f"upstream: the answer {what}{native}", code=code)


def write_finish(finish: Finish, own: bool, seen: Seen, ledger: Ledger) -> dict[str, Any]:
    """``stop_reason``, ``stop_sequence``, and ``stop_details`` of a refusal.

    ``own``: the answer came in this protocol. Its own word stands as long as it means the neutral reason.
    """
    word = WRITTEN[finish.reason]
    if own and finish.native and (READ.get(finish.native) or Finish("other")).reason == finish.reason:
        word = finish.native
    elif finish.reason in ("stop", "tool_calls"):
        word = "tool_use" if seen.called else "refusal" if seen.refused else "end_turn"
    elif finish.reason in APPROXIMATE:
        ledger.lose("finish.native", (), finish.native)
    written: dict[str, Any] = {"stop_reason": word, "stop_sequence": finish.stop_sequence}
    if word == "refusal" and not (own and finish.category is None and finish.explanation is None):
        category = finish.category if own or finish.category in CATEGORIES else None
        written["stop_details"] = {"type": "refusal", "category": category, "explanation": finish.explanation}
    return written
