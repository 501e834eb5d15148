"""The nearest valid name."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.reader import entries
from rotator.config.sections import sections, variables
from rotator.config.suggest import edits, nearest, one_edit_apart, unknown, words

LETTERS = string.ascii_lowercase + "_"
KEYS = {name: tuple(entries(cls)) for name, cls in sections().items()}


@st.composite
def edited(draw: st.DrawFn, name: str, letters: str) -> str:
    """``name`` with one letter added, dropped, replaced, or swapped with its neighbour."""
    at = draw(st.integers(0, len(name) - 1))
    letter = draw(st.sampled_from(letters))
    return draw(st.sampled_from([
        name[:at] + letter + name[at:],
        name[:at] + name[at + 1 :],
        name[:at] + letter + name[at + 1 :],
        name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
    ]))


@given(st.data())
def test_a_key_one_edit_away_suggests_a_valid_one(data: st.DataObject) -> None:
    valid = KEYS[data.draw(st.sampled_from(sorted(KEYS)))]
    name = data.draw(st.sampled_from(valid))
    wrong = data.draw(edited(name, LETTERS).filter(lambda text: text not in valid))
    meant = nearest(wrong, valid)
    assert meant == name or meant is not None and edits(wrong, meant) <= 1


@given(st.data())
def test_a_variable_one_edit_away_is_noticed(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(variables())))
    assert one_edit_apart(data.draw(edited(name, string.ascii_uppercase + "_")), name)


@given(st.text("ab_", max_size=6), st.text("ab_", max_size=6))
def test_the_fast_test_says_the_same_as_the_distance(one: str, other: str) -> None:
    assert one_edit_apart(one, other) == (edits(one, other) <= 1)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("timeout", "tiemout", 1), ("abc", "ca", 3)],
)
def test_distances(one: str, other: str, distance: int) -> None:
    assert edits(one, other) == edits(other, one) == distance


@pytest.mark.parametrize(
    ("name", "valid", "meant"),
    [
        ("tiemout", ["connect", "timeout"], "timeout"),
        ("readStreaming", ["read_streaming", "read"], "read_streaming"),
        ("read-streaming", ["read_streaming"], "read_streaming"),
        ("timeout_seconds", ["timeout"], "timeout"),
        ("conn", ["connect"], "connect"),
        ("con", ["connect"], None),
        ("elephant", ["connect", "timeout"], None),
        ("x", [], None),
    ],
)
def test_nearest(name: str, valid: list[str], meant: str | None) -> None:
    assert nearest(name, valid) == meant


def test_the_reason_names_it() -> None:
    assert unknown("key", "tiemout", ["timeout"]) == "unknown key (did you mean timeout?)"
    assert unknown("name", "elephant", ["timeout"]) == "unknown name"


@pytest.mark.parametrize("spelling", ["apiKey", "API-Key", "api_key", "APIKey", "ApiKey", "API_KEY"])
def test_one_spelling(spelling: str) -> None:
    assert words(spelling) == "api_key"
