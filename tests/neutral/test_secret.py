"""Secrets do not show themselves."""

import copy
import pickle
from dataclasses import asdict, dataclass

import pytest

from rotator.neutral.secret import Secret

PLANTED = "planted-value"


@dataclass(frozen=True)
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [str(Secret(PLANTED)), repr(Secret(PLANTED)), f"{Secret(PLANTED)}", f"{Secret(PLANTED)!r:>20}",
     f"{Secret(PLANTED):>20}", repr(Holder(Secret(PLANTED))), repr([Secret(PLANTED)])],
)
def test_no_way_of_printing_shows_it(shown: str) -> None:
    assert "***" in shown
    assert not any(PLANTED[i : i + 4] in shown for i in range(len(PLANTED) - 3))


def test_reveal_shows_it() -> None:
    assert Secret(PLANTED).reveal() == PLANTED


def test_the_same_text_is_the_same_secret() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="a Secret cannot be pickled"):
        pickle.dumps(Secret(PLANTED), protocol)


def test_copies_are_the_secret_itself() -> None:
    secret = Secret(PLANTED)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret
    assert asdict(Holder(secret)) == {"secret": secret}


def test_a_fingerprint_depends_on_key_and_text() -> None:
    # HMAC-SHA256, first 12 hex digits; RFC 4231, test case 2.
    assert Secret("what do ya want for nothing?").fingerprint(b"Jefe") == "5bdcc146bf60"
    assert Secret("a").fingerprint(b"one") != Secret("a").fingerprint(b"other")
    assert Secret("a").fingerprint(b"one") != Secret("b").fingerprint(b"one")


def test_bytes_that_are_no_text_are_no_fault() -> None:
    # What Python makes of an environment variable that is not UTF-8.
    odd = Secret(b"\xff-key".decode("utf-8", "surrogateescape"))
    assert odd == Secret(odd.reveal())
    assert odd != Secret("-key")
    assert len(odd.fingerprint(b"k")) == 12 and hash(odd) == hash(Secret(odd.reveal()))


def test_it_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Secret("a").text = "b"  # type: ignore[attr-defined]
