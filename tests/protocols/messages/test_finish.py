"""Why answers ended, both tables of protocols.md 3.3."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from rotator.neutral.error import ErrorKind
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.response import Finish, Reason
from tests.protocols.messages.folding import module

finish: Any = module("finish")

#: stop_reason -> reason without and with a call.
READ = {
    "end_turn": ("stop", "stop"),
    "stop_sequence": ("stop_sequence", "stop_sequence"),
    "max_tokens": ("length", "length"),
    "model_context_window_exceeded": ("context_window", "context_window"),
    "tool_use": ("stop", "tool_calls"),
    "pause_turn": ("pause", "pause"),
    "refusal": ("refusal", "refusal"),
    "compaction": ("compaction", "compaction"),
    "sensitive": ("content_filter", "content_filter"),
    "of_tomorrow": ("other", "other"),
}


@pytest.mark.pitfall("C1", "C2", "C4", "C12")
@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("word", READ)
def test_a_stop_reason_is_read(word: str, called: bool) -> None:
    assert finish.read_finish({"stop_reason": word}, called) == Finish(READ[word][called], word)


def test_what_belongs_to_a_stop_reason_is_read() -> None:
    told = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    assert finish.read_finish(told, False) == Finish("stop_sequence", "stop_sequence", "END")
    details = {"type": "refusal", "category": "cyber", "explanation": "I must not."}
    told = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    assert finish.read_finish(told, False) == Finish("refusal", "refusal", None, "cyber", "I must not.")
    odd = {"stop_reason": "refusal", "stop_sequence": 7, "stop_details": ["refusal"]}
    assert finish.read_finish(odd, False) == Finish("refusal", "refusal")


@pytest.mark.parametrize("told", [{}, {"stop_reason": None}, {"stop_reason": ""}, {"stop_reason": ["end_turn"]}])
def test_no_stop_reason_is_none(told: dict[str, Any]) -> None:
    assert finish.read_finish(told, True) is None


NO_DETAILS = {"type": "refusal", "category": None, "explanation": None}
#: reason -> stop_reason, and what more is told, for an upstream of another protocol.
WRITTEN: dict[Reason, tuple[str, dict[str, Any], bool]] = {
    "stop": ("end_turn", {}, False),
    "stop_sequence": ("stop_sequence", {}, False),
    "length": ("max_tokens", {}, False),
    "context_window": ("model_context_window_exceeded", {}, False),
    "continuation": ("max_tokens", {}, True),
    "tool_calls": ("end_turn", {}, False),  # a call that was never told cannot be waited for (P-10)
    "content_filter": ("refusal", {"stop_details": NO_DETAILS}, False),
    "refusal": ("refusal", {"stop_details": NO_DETAILS}, False),
    "pause": ("pause_turn", {}, False),
    "compaction": ("compaction", {}, False),
    "other": ("end_turn", {}, True),
}
FAILURES: tuple[Reason, ...] = ("malformed", "cancelled")


def test_every_reason_has_a_row() -> None:
    assert {*WRITTEN, *FAILURES} == set(get_args(Reason))


@pytest.mark.pitfall("C5", "C9", "C13")
@pytest.mark.parametrize("reason", WRITTEN)
def test_a_reason_of_another_protocol_is_written(reason: Reason) -> None:
    word, more, lost = WRITTEN[reason]
    ledger = Ledger()
    written = finish.write_finish(Finish(reason, "NATIVE"), False, finish.Seen(), ledger)
    assert written == {"stop_reason": word, "stop_sequence": None, **more}
    assert ledger.losses == ([Loss("finish.native", "", "NATIVE")] if lost else [])
    assert finish.failure_of(Finish(reason)) is None


#: reason, own native word, seen -> stop_reason
BY_WHAT_WAS_SEEN: list[tuple[Reason, str, dict[str, bool], str]] = [
    ("stop", "", {"called": True}, "tool_use"),
    ("stop", "", {"refused": True}, "refusal"),
    ("stop", "", {"called": True, "refused": True}, "tool_use"),
    ("stop", "end_turn", {"called": True}, "end_turn"),
    ("tool_calls", "", {"called": True}, "tool_use"),
    ("tool_calls", "tool_use", {"called": True}, "tool_use"),
    ("stop", "tool_use", {}, "end_turn"),  # of server tools
    ("length", "", {"called": True}, "max_tokens"),  # its arguments may be cut off (conversion-pitfalls.md P7)
    ("content_filter", "sensitive", {}, "sensitive"),
    ("content_filter", "", {}, "refusal"),
    ("other", "of_tomorrow", {}, "of_tomorrow"),
    ("stop", "of_tomorrow", {}, "end_turn"),  # an adapter changed the reason
    ("length", "end_turn", {}, "max_tokens"),
]


@pytest.mark.pitfall("C7", "C169")
@pytest.mark.parametrize(("reason", "native", "seen", "word"), BY_WHAT_WAS_SEEN)
def test_a_reason_is_written_by_what_was_seen(reason: Reason, native: str, seen: dict[str, bool], word: str) -> None:
    ledger = Ledger()
    written = finish.write_finish(Finish(reason, native), bool(native), finish.Seen(**seen), ledger)
    assert written["stop_reason"] == word
    assert ledger.losses == []


@pytest.mark.pitfall("C1", "C9")
def test_the_stop_sequence_is_told() -> None:
    written = finish.write_finish(Finish("stop_sequence", stop_sequence="END"), False, finish.Seen(), Ledger())
    assert written == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


#: category, explanation, own -> details
DETAILS: list[tuple[str | None, str | None, bool, Any]] = [
    ("cyber", "I must not.", False, {"type": "refusal", "category": "cyber", "explanation": "I must not."}),
    ("HARM_X", "I must not.", False, {"type": "refusal", "category": None, "explanation": "I must not."}),
    ("of_tomorrow", None, True, {"type": "refusal", "category": "of_tomorrow", "explanation": None}),
    (None, None, True, None),
]


@pytest.mark.parametrize(("category", "explanation", "own", "details"), DETAILS)
def test_a_refusal_has_details(category: str | None, explanation: str | None, own: bool, details: Any) -> None:
    told = Finish("refusal", "refusal" if own else "", None, category, explanation)
    assert finish.write_finish(told, own, finish.Seen(), Ledger()).get("stop_details") == details


@pytest.mark.pitfall("C14")
@pytest.mark.parametrize(
    ("told", "message"),
    [
        (Finish("malformed", "MALFORMED_FUNCTION_CALL"),
         "upstream: the answer broke off, it was malformed (MALFORMED_FUNCTION_CALL)"),
        (Finish("cancelled"), "upstream: the answer was cancelled"),
    ],
    ids=FAILURES,
)
def test_what_is_no_end_is_an_error(told: Finish, message: str) -> None:
    error = finish.failure_of(told)
    assert (error.kind, error.status, error.message) == (ErrorKind.BAD_GATEWAY, 502, message)
    assert error.code == f"answer_{told.reason}"
    assert finish.failure_of(None) is None


@pytest.mark.pitfall("C16")
@pytest.mark.parametrize(("called", "reason"), [(False, "stop"), (True, "tool_calls")])
def test_a_missing_finish_is_inferred(called: bool, reason: Reason) -> None:
    notes: list[Note] = []
    assert finish.inferred(called, "a.step", Ledger(notes)) == Finish(reason)
    assert notes == [Note("a.step", "finish.inferred")]
