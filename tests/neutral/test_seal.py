"""Envelopes prove where opaque state comes from, to the installation that made them and to nobody else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.parts import SEALED, Origin, State
from rotator.neutral.seal import NOWHERE, Opened, Seal, is_sealed

SEAL = Seal(lambda: b"one installation")
OTHER = Seal(lambda: b"another one")
ORIGIN = SEAL.origin("vendor:messages", "claude-x", "key-1")
STATE = State("signature", "EqRkCkYI\u2028+/=")


def test_the_origin_says_nothing_in_clear() -> None:
    assert ORIGIN == SEAL.origin("vendor:messages", "claude-x", "key-1")
    assert len({*ORIGIN, *SEAL.origin("claude-x", "key-1", "vendor:messages"), *OTHER.origin(*ORIGIN)}) == 9
    assert all(len(word) == 12 and word.isalnum() for word in ORIGIN)


@given(st.sampled_from(["signature", "encrypted", "redacted"]), st.text(max_size=300), st.integers(-1, 10_000))
def test_what_is_wrapped_is_opened(kind: str, value: str, place: int) -> None:
    value = value.encode("utf-8", "replace").decode()
    wrapped = SEAL.wrap(State(kind, value), place, ORIGIN)  # type: ignore[arg-type]
    assert wrapped.kind == kind and wrapped.value.startswith(SEALED) and wrapped.value.isascii()
    found = SEAL.open(wrapped.value)
    assert found == Opened(ORIGIN, kind, value, place)  # type: ignore[arg-type]
    assert found is not None
    assert found.state == (State(kind, value, ORIGIN) if value else None)  # type: ignore[arg-type]


def test_the_same_is_wrapped_in_the_same_bytes() -> None:
    assert SEAL.wrap(STATE, 1, ORIGIN) == SEAL.wrap(STATE, 1, ORIGIN)


def test_a_block_without_state_tells_where_it_comes_from() -> None:
    wrapped = SEAL.wrap(None, 0, ORIGIN)
    assert wrapped.kind == "signature"
    assert SEAL.open(wrapped.value) == Opened(ORIGIN, "signature", "", 0)


def test_nobody_else_can_make_or_open_one() -> None:
    assert OTHER.open(SEAL.wrap(STATE, 0, ORIGIN).value) is None
    assert SEAL.open(OTHER.wrap(STATE, 0, ORIGIN).value) is None


@pytest.mark.pitfall("C134")
def test_a_changed_envelope_is_none() -> None:
    text = SEAL.wrap(STATE, 0, ORIGIN).value
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert SEAL.open(changed) is None, place
    for place in range(len(text)):
        assert SEAL.open(text[:place]) is None
    assert SEAL.open(text + "A") is None
    assert SEAL.open("\u2028" + text) is None


NONSENSE = ["[]", '["signature",0]', '["other",0,"x"]', '["signature","0","x"]', "no JSON", "1"]


@pytest.mark.parametrize("payload", NONSENSE)
def test_an_envelope_of_ours_with_nonsense_in_it_is_none(payload: str) -> None:
    assert SEAL.open(SEAL._written(SEALED + "-".join(ORIGIN), payload.encode())) is None


def test_what_is_in_an_envelope_cannot_be_read() -> None:
    secret = "sk-canary-0123456789"
    text = SEAL.wrap(State("signature", secret), 0, ORIGIN).value
    _, _, payload, mac = text.split(".")
    for part in (payload, mac):
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        assert secret.encode() not in raw and b"signature" not in raw
    other = SEAL.wrap(State("signature", secret[:-1] + "8"), 0, ORIGIN).value.split(".")[2]
    assert other[:8] != payload[:8], "no two states are covered alike"


def test_one_with_fewer_words_of_origin_is_none() -> None:
    whole = SEAL.wrap(STATE, 0, Origin("a", "b", "c")).value
    assert SEAL.open(whole) is not None
    assert SEAL.open(SEAL.wrap(STATE, 0, ORIGIN._replace(account="x-y")).value) is None


def test_the_secret_is_asked_for_once_and_only_when_needed() -> None:
    asked: list[int] = []

    def secret() -> bytes:
        asked.append(1)
        return b"s"

    seal = Seal(secret)
    assert seal.open("no envelope") is None and asked == []
    seal.wrap(STATE, NOWHERE, seal.origin("p", "f", "a"))
    assert asked == [1]


def test_what_looks_sealed_is_told_by_its_beginning() -> None:
    assert is_sealed(State("signature", "rot1.x")) and not is_sealed(STATE) and not is_sealed(None)
