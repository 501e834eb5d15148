"""Which conversation a request belongs to: only what is trusted places it, and never another caller's."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Caller, SessionHint
from rotator.credentials.sessions import identify

ANNA, BEN = Caller("caller-a", "Anna"), Caller("caller-b", "Ben")
ANY_TEXT = st.text(st.characters())  # lone surrogates too: headers and JSON may hold them


def found(
    *hints: SessionHint, caller: Caller = ANNA, own: str | None = None, trusted: Sequence[str] = ()
) -> str | None:
    headers = {} if own is None else {"x-rotator-session": own}
    return identify(caller, headers, lambda: hints, trusted)


TALK = SessionHint("talk", "session-id")
USER = SessionHint("talk", "user", trusted=False)


def test_no_hint_is_no_session() -> None:
    assert found() is None
    assert found(own="") is None


def test_a_hint_that_names_a_conversation_counts() -> None:
    assert found(TALK) is not None
    assert found(TALK) != found(SessionHint("other", "session-id"))


def test_other_hints_count_only_where_the_operator_lists_their_source() -> None:
    assert found(USER) is None
    assert found(USER, trusted=["session_id"]) is None
    assert found(USER, trusted=["user"]) == found(TALK)


def test_the_first_trusted_hint_wins() -> None:
    other = SessionHint("other", "thread-id")
    assert found(TALK, other) == found(TALK) != found(other, TALK)
    assert found(USER, other) == found(other)


def test_our_own_header_wins_and_the_body_is_not_looked_at() -> None:
    def unwanted() -> Sequence[SessionHint]:
        raise AssertionError("hints were read")

    assert identify(ANNA, {"x-rotator-session": "talk"}, unwanted, ()) == found(TALK)


def test_an_empty_own_header_says_nothing() -> None:
    assert found(TALK, own="") == found(TALK)


def test_one_id_of_two_callers_is_two_sessions() -> None:
    assert found(TALK, caller=ANNA) != found(TALK, caller=BEN)


def test_caller_and_id_cannot_be_mixed_up() -> None:
    one = found(SessionHint("b-c", "x"), caller=Caller("a", ""))
    assert one != found(SessionHint("c", "x"), caller=Caller("a-b", ""))


@given(ANY_TEXT.filter(bool))
def test_a_session_is_16_hex_digits_whatever_the_client_sent(id_: str) -> None:
    session = found(SessionHint(id_, "session-id"))
    assert session is not None and re.fullmatch("[0-9a-f]{16}", session)
    assert session == found(own=id_)


@pytest.mark.parametrize("name", ["X-Rotator-Session", "x-rotator-sessions", "session"])
def test_only_the_firm_name_counts(name: str) -> None:
    assert identify(ANNA, {name: "talk"}, lambda: (), ()) is None
