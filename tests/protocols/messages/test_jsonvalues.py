"""JSON between text and objects: numbers of any size, and what is no JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rotator.plugins.protocols._shared import fresh
from rotator.plugins.protocols.messages.jsonvalues import arguments_text, arguments_value

from rotator.wire.jsontext import NotJson

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
VALUES = st.recursive(
    LEAVES, lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(), below, max_size=3))
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=3)


@pytest.mark.pitfall("C65")
@given(OBJECTS)
def test_arguments_come_back_as_they_were(value: dict[str, Any]) -> None:
    found = arguments_value(arguments_text(value))
    assert (found, repr(found)) == (value, repr(value))


@given(VALUES)
def test_a_copy_shares_nothing_that_can_be_changed(value: Any) -> None:
    copy = fresh(value)
    assert copy == value
    assert not _containers(copy) & _containers(value)


def _containers(value: Any) -> set[int]:
    if not isinstance(value, dict | list):
        return set()
    below = value.values() if isinstance(value, dict) else value
    return {id(value)}.union(*map(_containers, below))


def test_no_arguments_are_an_empty_object() -> None:
    assert arguments_text(None) == "{}"


EXACT = {
    "long": ('{"n": 12345678901234567890123}', {"n": 12345678901234567890123}),
    "of-zeros": ('{"n":1' + "0" * 30 + "}", {"n": 10**30}),
    "of-nines": ('{"n":' + "9" * 20 + "}", {"n": 10**20 - 1}),
    "negative": ('{"n":-9999999999999999999999}', {"n": -9999999999999999999999}),
    "beside-a-float": ('{"n":9999999999999999999999,"f":1.5e3}', {"n": 9999999999999999999999, "f": 1500.0}),
    "in-a-text": ('{"n":"9999999999999999999999"}', {"n": "9999999999999999999999"}),
    "behind-other-digits": ('{"a":1234567890123456,"b":[' + "1,2," * 20 + "18446744073709551616]}",
                            {"a": 1234567890123456, "b": [1, 2] * 20 + [2**64]}),
}  # fmt: skip


@pytest.mark.pitfall("C65", "C274")
@pytest.mark.parametrize(("text", "value"), EXACT.values(), ids=EXACT)
def test_integers_of_any_size_are_kept(text: str, value: Any) -> None:
    assert repr(arguments_value(text)) == repr(value)


NO_JSON = {
    "empty": "",
    "cut": '{"a": 1',
    "words": "ls -l",
    "nan": '{"a": NaN}',
    "surrogate": '"\ud800"',
    "long-and-cut": '{"a": 12345678901234567890123',
    "long-and-nan": '{"a": 12345678901234567890123, "b": NaN}',
    "long-and-infinite": '{"a": 12345678901234567890123, "b": 1e999}',
    "long-and-deep": '{"a": 12345678901234567890123, "b": ' + "[" * 100_000,
    "too-many-digits": "1" * 5_000,
}


@pytest.mark.parametrize("text", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_told(text: str) -> None:
    with pytest.raises(NotJson):
        arguments_value(text)
