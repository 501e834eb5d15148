"""Why an answer ended, in Chat's words and in the neutral model's.  Source: protocols.md 3.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import ErrorKind, Finish, Ledger, NeutralError, error_of

from .errors import neutral
from .spelling import NAME

#: Words of other protocols come from gateways that pass them on.  Source: conversion-pitfalls.md 3.3, P1 to P4.
READ: Final[Mapping[str, Finish]] = {
    finish.native: finish
    for finish in (
        Finish("stop", "stop"),
        Finish("stop", "eos"),
        Finish("stop", "end_turn"),
        Finish("stop", "stop_sequence"),
        Finish("stop", "completed"),
        Finish("stop", "STOP"),
        Finish("length", "length"),
        Finish("length", "max_tokens"),
        Finish("length", "max_output_tokens"),
        Finish("length", "MAX_TOKENS"),
        Finish("tool_calls", "tool_calls"),
        Finish("tool_calls", "function_call"),
        Finish("tool_calls", "tool_use"),
        Finish("content_filter", "content_filter"),
        Finish("content_filter", "sensitive"),
        Finish("content_filter", "SAFETY"),
        Finish("content_filter", "RECITATION"),
        Finish("content_filter", "BLOCKLIST"),
        Finish("content_filter", "PROHIBITED_CONTENT"),
        Finish("content_filter", "SPII"),
        Finish("refusal", "refusal"),
    )
}

#: Words that say that the answer failed.
FAILED: Final[Mapping[str, ErrorKind]] = {
    "error": ErrorKind.SERVER,
    "network_error": ErrorKind.BAD_GATEWAY,
    "insufficient_system_resource": ErrorKind.OVERLOADED,
}

#: What Chat has a word for, but for calls. A ``refusal`` in words has another one.
WRITTEN: Final[Mapping[str, str]] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context_window": "length",
    "continuation": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "compaction": "stop",
    "other": "stop",
}
_UNKNOWN: Final = Finish("other")
#: Reasons of which the word tells only half.
_NEAREST: Final = frozenset({"context_window", "continuation", "pause", "compaction", "other"})


def read_finish(word: str, *, refused: bool, called: bool) -> Finish:
    """``refused``: the model declined in words; ``called``: a tool call came.

    Compatible servers say ``stop`` behind calls, and ``tool_calls`` where no call ever got a name (P-10). ``length``
    behind a call stays: its arguments may be cut off (conversion-pitfalls.md P7).
    """
    finish = READ.get(word) or _UNKNOWN._replace(native=word)
    if finish.reason == "stop" and refused:
        return Finish("refusal", word)
    if finish.reason == "stop" and called:
        return Finish("tool_calls", word)
    if finish.reason == "tool_calls" and not called:
        return Finish("stop", word)
    return finish


def failed_answer(choice: Mapping[str, Any], word: str) -> NeutralError:
    """The error of a choice that ended with one of ``FAILED``; some vendors lay it beside the word."""
    error = choice.get("error")
    if error:
        return neutral(error, 200, {"error": error} if isinstance(error, dict) else None, NAME)
    return error_of(FAILED[word], f"upstream: the answer ended with {word}", code=word)


def calls_word(calls: int, functions: bool) -> str:
    """How an answer with so many calls ends, "" without one; ``functions``: for a client of the older interface."""
    return "" if not calls else "function_call" if functions else "tool_calls"


def write_finish(finish: Finish | None, own: bool, *, refused: bool, called: str, ledger: Ledger) -> str | None:
    """``finish_reason``; None where there is none because the answer failed (:func:`unfit_answer`).

    ``own``: the upstream spoke Chat, whose word comes back if it still says why. ``called`` is the word for the calls
    that are in the answer; they tell where no finish does (conversion-pitfalls.md P16). A refusal in words is OpenAI's,
    which ends with ``stop``.
    """
    if finish is None:
        ledger.note("chat.answer.finish", "finish.inferred")
        return called or "stop"
    if finish.reason == "tool_calls" or (finish.reason == "stop" and called):
        return called or "stop"
    if own and finish.native and (READ.get(finish.native) or _UNKNOWN).reason == finish.reason:
        return finish.native
    if finish.reason in _NEAREST:
        ledger.lose("finish.native", (), finish.native or finish.reason)
    return "stop" if finish.reason == "refusal" and refused else WRITTEN.get(finish.reason)


def unfit_answer(finish: Finish) -> NeutralError:
    """The error of an answer that ended as ``malformed`` or ``cancelled``: no client may take it for a success."""
    said = finish.explanation or finish.native
    message = f"upstream: the answer is {finish.reason}" + (f" ({said})" if said else "")
    kind = ErrorKind.CANCELLED if finish.reason == "cancelled" else ErrorKind.BAD_GATEWAY
    return error_of(kind, message, code=f"answer_{finish.reason}")
