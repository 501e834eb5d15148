"""YAML without its surprises."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.yamltext import read_yaml
from rotator.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\uffff\ufffe"))
NUMBERS = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(PLAIN)
def test_json_is_yaml(data: object) -> None:
    text = json.dumps(data, ensure_ascii=False)
    assert read_yaml(text, "x.yaml") == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30", 30), ("-7", -7), ("+7", 7), ("010", 10), ("1_000", "1_000"), ("0x10", "0x10"), ("17:00", "17:00"),
        ("1:30:00", "1:30:00"), ("2026-01-01", "2026-01-01"), ("9" * 19, "9" * 19),
        ("2.5", 2.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("1.5E-3", 0.0015), ("-.inf", -math.inf),
        (".inf", math.inf), ("1.2.3", "1.2.3"), (".", "."), ("-", [None]), ("true", True), ("False", False),
        ("TRUE", True), ("tRue", "tRue"), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("null", None), ("~", None), ("", None),
        ('"30"', "30"), ("5h", "5h"), ("80%", "80%"), ("gpt-5", "gpt-5"), ("'2026-01-01'", "2026-01-01"),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
    ],
)
def test_plain_words(text: str, value: object) -> None:
    made = read_yaml(text, "x.yaml")
    assert made == value and type(made) is type(value)


def test_not_a_number() -> None:
    made = read_yaml(".nan", "x.yaml")
    assert isinstance(made, float) and math.isnan(made)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3", "line 3: expected ',' or ']', but got ':'"),
        ("a: 1\n\tb: 2", "line 2: found character '\\t' that cannot start any token"),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        ("a: *planted", "line 1: found undefined alias"),
        ("a: !planted b", "line 1: could not determine a constructor for the tag"),
        ("a: !!python/object/apply:os.getcwd []", "line 1: could not determine a constructor for the tag"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: 1\nb: \x07", "line 2: holds a character that YAML does not allow"),
        ("a: !!int planted", "holds a value that does not fit its tag"),
        ("[" * 5000, "nested too deep"),
        ("a: 1\nb: 2\na: 3", "line 3: a stands there twice"),
        ("a: {b: 1, b: 2}", "line 1: b stands there twice"),
        ("? [a]\n: 1", "line 1: found unhashable key"),
        ("a: 'planted", "line 1: found unexpected end of stream"),
    ],
)
def test_what_is_wrong_and_where(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "x.yaml")
    assert str(caught.value) == f"x.yaml: {line}"


def test_all_repeated_keys_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml("a: {b: 1, b: 2}\nc: 1\nc: 2\n", "x.yaml")
    assert str(caught.value).splitlines() == [
        "x.yaml: line 3: c stands there twice",
        "x.yaml: line 1: b stands there twice",
    ]
