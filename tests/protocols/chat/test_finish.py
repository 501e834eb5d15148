"""Why answers ended, both tables of protocols.md 3.3."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from rotator.neutral.error import ErrorKind
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.response import Finish, Reason
from tests.protocols.chat.clients import module

finish: Any = module("finish")

#: finish_reason -> reason alone, with a call, with a refusal.
READ = {
    "stop": ("stop", "tool_calls", "refusal"),
    "eos": ("stop", "tool_calls", "refusal"),
    "end_turn": ("stop", "tool_calls", "refusal"),
    "stop_sequence": ("stop", "tool_calls", "refusal"),
    "completed": ("stop", "tool_calls", "refusal"),
    "STOP": ("stop", "tool_calls", "refusal"),
    "length": ("length", "length", "length"),
    "max_tokens": ("length", "length", "length"),
    "max_output_tokens": ("length", "length", "length"),
    "MAX_TOKENS": ("length", "length", "length"),
    "tool_calls": ("stop", "tool_calls", "stop"),
    "function_call": ("stop", "tool_calls", "stop"),
    "tool_use": ("stop", "tool_calls", "stop"),
    "content_filter": ("content_filter", "content_filter", "content_filter"),
    "sensitive": ("content_filter", "content_filter", "content_filter"),
    "SAFETY": ("content_filter", "content_filter", "content_filter"),
    "RECITATION": ("content_filter", "content_filter", "content_filter"),
    "BLOCKLIST": ("content_filter", "content_filter", "content_filter"),
    "PROHIBITED_CONTENT": ("content_filter", "content_filter", "content_filter"),
    "SPII": ("content_filter", "content_filter", "content_filter"),
    "refusal": ("refusal", "refusal", "refusal"),
    "of_tomorrow": ("other", "other", "other"),
}

#: reason -> finish_reason for a client of another protocol's upstream, and whether it says only half.
WRITTEN = {
    "stop": ("stop", False),
    "stop_sequence": ("stop", False),
    "length": ("length", False),
    "context_window": ("length", True),
    "continuation": ("length", True),
    "tool_calls": ("stop", False),  # without any call
    "content_filter": ("content_filter", False),
    "refusal": ("content_filter", False),
    "pause": ("stop", True),
    "compaction": ("stop", True),
    "malformed": (None, False),
    "cancelled": (None, False),
    "other": ("stop", True),
}


def write(said: Finish | None, own: bool = False, refused: bool = False, called: str = "") -> Any:
    return finish.write_finish(said, own, refused=refused, called=called, ledger=Ledger())


@pytest.mark.pitfall("C1", "C2", "C3", "C4", "C6")
@pytest.mark.parametrize("place", [0, 1, 2], ids=["alone", "called", "refused"])
@pytest.mark.parametrize("word", READ)
def test_a_finish_reason_is_read(word: str, place: int) -> None:
    assert finish.read_finish(word, refused=place == 2, called=place == 1) == Finish(READ[word][place], word)  # type: ignore[arg-type]


def test_every_reason_is_in_the_table() -> None:
    assert WRITTEN.keys() == set(get_args(Reason))


@pytest.mark.pitfall("C5", "C8")
@pytest.mark.parametrize("reason", WRITTEN)
def test_a_finish_reason_is_written(reason: Any) -> None:
    ledger = Ledger()
    word, half = WRITTEN[reason]
    assert finish.write_finish(Finish(reason, "OWN"), False, refused=False, called="", ledger=ledger) == word
    assert ledger.losses == ([Loss("finish.native", "", "OWN")] if half else [])


def test_a_finish_without_a_native_word_is_named_in_the_loss() -> None:
    ledger = Ledger()
    finish.write_finish(Finish("pause"), False, refused=False, called="", ledger=ledger)
    assert ledger.losses == [Loss("finish.native", "", "pause")]


@pytest.mark.pitfall("C6")
@pytest.mark.parametrize("called", ["tool_calls", "function_call"])
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_calls_end_with_their_word(reason: Any, called: str) -> None:
    assert write(Finish(reason), called=called) == called


@pytest.mark.pitfall("C7")
def test_a_limit_behind_a_call_stays() -> None:
    assert write(Finish("length"), called="tool_calls") == "length"


def test_a_refusal_in_words_ends_with_stop() -> None:
    assert write(Finish("refusal"), refused=True) == "stop"


@pytest.mark.pitfall("C16")
@pytest.mark.parametrize(("called", "word"), [("", "stop"), ("tool_calls", "tool_calls")])
def test_where_no_finish_came_the_calls_tell(called: str, word: str) -> None:
    notes: list[Note] = []
    assert finish.write_finish(None, False, refused=False, called=called, ledger=Ledger(notes)) == word
    assert [note.code for note in notes] == ["finish.inferred"]


@pytest.mark.pitfall("C169")
@pytest.mark.parametrize(
    ("said", "word"),
    [
        (Finish("stop", "eos"), "eos"),
        (Finish("content_filter", "sensitive"), "sensitive"),
        (Finish("other", "of_tomorrow"), "of_tomorrow"),
        (Finish("length", "stop"), "length"),  # an adapter said otherwise
        (Finish("refusal", "refusal"), "refusal"),
        (Finish("stop"), "stop"),
    ],
)
def test_an_own_word_comes_back_while_it_is_true(said: Finish, word: str) -> None:
    assert write(said, own=True) == word


def test_an_own_unknown_word_is_no_loss() -> None:
    ledger = Ledger()
    finish.write_finish(Finish("other", "of_tomorrow"), True, refused=False, called="", ledger=ledger)
    assert ledger.losses == []


@pytest.mark.parametrize(
    ("word", "kind", "status"),
    [
        ("error", ErrorKind.SERVER, 500),
        ("network_error", ErrorKind.BAD_GATEWAY, 502),
        ("insufficient_system_resource", ErrorKind.OVERLOADED, 503),
    ],
)
def test_a_word_for_failure_is_an_error(word: str, kind: ErrorKind, status: int) -> None:
    error = finish.failed_answer({"finish_reason": word}, word)
    assert (error.kind, error.status, error.code) == (kind, status, word)
    assert error.message == f"upstream: the answer ended with {word}"


def test_an_error_beside_the_word_says_more() -> None:
    error = finish.failed_answer({"error": {"code": 502, "message": "It broke"}}, "error")
    assert (error.kind, error.message, error.code) == (ErrorKind.BAD_GATEWAY, "It broke", "502")
    assert (error.envelope, error.protocol) == ({"error": {"code": 502, "message": "It broke"}}, "chat")
    assert finish.failed_answer({"error": "It broke"}, "error").envelope is None


@pytest.mark.pitfall("C8", "C14")
@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (Finish("malformed", "MALFORMED_FUNCTION_CALL"), ErrorKind.BAD_GATEWAY, " (MALFORMED_FUNCTION_CALL)"),
        (Finish("malformed", "X", explanation="a brace too many"), ErrorKind.BAD_GATEWAY, " (a brace too many)"),
        (Finish("cancelled"), ErrorKind.CANCELLED, ""),
    ],
)
def test_what_no_client_may_take_for_a_success(said: Finish, kind: ErrorKind, message: str) -> None:
    error = finish.unfit_answer(said)
    assert (error.kind, error.code) == (kind, f"answer_{said.reason}")
    assert error.message == f"upstream: the answer is {said.reason}{message}"
