"""JSON text: the public suite, the depth that can be written again, exact integers and lone surrogates."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rotator.wire import jsontext
from rotator.wire.jsontext import DEPTH_LIMIT, NotJson, dumps, dumps_exact, loads, loads_exact, needs_exact, read

SUITE = Path(__file__).resolve().parents[3] / "shared/suites/json/test_parsing"
CASES = sorted(SUITE.glob("*.json"))
READERS = [loads, loads_exact, lambda body: read(body)[0]]

any_text = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too
plain_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
wild_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
@pytest.mark.parametrize("reader", READERS, ids=["loads", "loads_exact", "read"])
def test_the_public_suite(path: Path, reader: Any) -> None:
    body = path.read_bytes()
    try:
        value = reader(body)
    except NotJson as error:
        assert not path.name.startswith("y_"), error
        return
    assert not path.name.startswith("n_")
    assert json.dumps(reader(dumps(value))) == json.dumps(value)
    assert json.dumps(loads_exact(dumps_exact(value))) == json.dumps(value)


@given(plain_values)
def test_plain_values_survive_and_need_no_care(value: Any) -> None:
    text = dumps(value)
    assert loads(text) == value
    assert orjson.loads(text) == value
    assert loads(memoryview(text)) == value


@given(wild_values)
def test_wild_values_survive_exactly(value: Any) -> None:
    text = json.dumps(value).encode()
    kept, exact = read(text)
    assert (dumps_exact(kept) if exact else dumps(kept)).decode()  # always valid UTF-8
    assert json.loads(dumps(kept)) == json.loads(text)
    assert exact == needs_exact(text)
    assert exact or json.dumps(orjson.loads(text)) == json.dumps(json.loads(text))


@pytest.mark.parametrize(
    ("body", "exact"),
    [
        (b"18446744073709551615", False),
        (b"18446744073709551616", True),
        (b"[1, -9223372036854775808 ]", False),
        (b"[1,-9223372036854775809]", True),
        (b'{"a":123456789012345678901234567890}', True),
        (b'{"a":[1,\n123456789012345678901234567890\n]}', True),
        (b'{"id":"123456789012345678901234567890"}', False),
        (b'"123456789012345678901234567890"', False),
        (b"[0.123456789012345678901234567890]", False),
        (b"[123456789012345678901234567890.5]", False),
        (b"[123456789012345678901234567890e3]", False),
        (b"[1e-123456789012345678901234567890]", False),
        (b'["%s", %s]' % (b"1" * 40, b"2" * 40), True),
        (b'"\\ud83d"', True),
        (b'"\\ude00\\ud83d"', True),
        (b'{"\\uDC00":1}', True),
        (b'"\\ud83d\\ude00"', False),
        (b'"\\\\ud83d"', False),
        (b'"\\\\\\ud83d"', True),
    ],
)
def test_what_needs_exact_reading(body: bytes, exact: bool) -> None:
    assert needs_exact(body) is exact
    value, was_exact = read(body)
    assert was_exact is exact
    assert value == json.loads(body)


@given(st.integers(0, 40), st.integers(-(2**66), 2**66))
@example(0, 2**64)
@example(0, -(2**63) - 1)
@example(1, -(2**63) - 1)
@example(2, -(2**63) - 1)
@example(3, -(2**63) - 1)
@example(4, -(2**63) - 1)
def test_long_integers_are_found_at_every_offset(offset: int, number: int) -> None:
    body = b" " * offset + b"[%d]" % number
    assert needs_exact(body) == (not -(2**63) <= number < 2**64)


@pytest.mark.parametrize("reader", READERS, ids=["loads", "loads_exact", "read"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[1,]", b"{'a':1}", b"[NaN]", b"[Infinity]", b"-Infinity", b'"\n"', b'"\\x"', b"[1] 2",
        b"1e999", b"-1e999", b"01", b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"1" * 5000,
        '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-16-le"), '{"a":1}'.encode("utf-32-be"),
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_no_json(body: bytes, reader: Any) -> None:
    with pytest.raises(NotJson) as caught:
        reader(body)
    assert caught.value.message
    assert 0 <= caught.value.position <= len(body)


def test_the_place_of_the_fault_is_told() -> None:
    with pytest.raises(NotJson) as caught:
        loads(b'{"a": nope}')
    assert caught.value.position == 6


@pytest.mark.pitfall("C273")
@pytest.mark.parametrize("reader", READERS, ids=["loads", "loads_exact", "read"])
@pytest.mark.parametrize("filler", [b"", b'"' + b"{[" * 300 + b'",', b'"' + b"x" * 40_000 + b'",'])
@pytest.mark.parametrize(("opening", "inner", "closing"), [(b"[", b"", b"]"), (b'{"a":', b"[]", b"}")])
def test_depth_is_capped_at_what_can_be_written(
    reader: Any, filler: bytes, opening: bytes, inner: bytes, closing: bytes
) -> None:
    own = 1 + len(inner) // 2  # the outer list, and the inner one
    deepest = b"[" + filler + opening * (DEPTH_LIMIT - own) + inner + closing * (DEPTH_LIMIT - own) + b"]"
    value = reader(deepest)
    assert orjson.loads(orjson.dumps(value)) == value
    with pytest.raises(NotJson, match="nested deeper"):
        reader(b"[" + filler + opening * DEPTH_LIMIT + inner + closing * DEPTH_LIMIT + b"]")


@pytest.mark.parametrize(
    "body", [b'{"a":"' + b"x" * 500 + b'"}', b"1" * 401, b"0." + b"1" * 20_000, b'"' + b"[" * 20_000 + b'"']
)
def test_long_texts_and_brackets_in_strings_are_no_depth(body: bytes) -> None:
    assert loads(body) == json.loads(body)


def test_what_orjson_cannot_write_is_written() -> None:
    wild = {"a": 2**70, "b": "é\ud83d", "\udc00": 1.0}
    assert dumps(wild) == '{"a":%d,"b":"é\\ud83d","\\udc00":1.0}'.encode() % 2**70
    assert dumps([2**64, 1]) == b"[18446744073709551616,1]"
    assert dumps({"a": "é"}) == dumps_exact({"a": "é"}) == '{"a":"é"}'.encode()
    with pytest.raises(ValueError):
        dumps([2**64, float("nan")])
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    assert dumps(deep) == b"[" * 401 + b"]" * 401


def test_depth_is_measured_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small texts are settled by counting brackets; the walk over levels is for large or deep ones."""
    asked: list[int] = []
    too_deep = jsontext._too_deep

    def counting(value: Any, body: bytes | memoryview) -> bool:
        asked.append(len(body))
        return too_deep(value, body)

    monkeypatch.setattr(jsontext, "_too_deep", counting)
    loads(b'{"choices":[{"delta":{"content":"hello"}}]}')
    assert asked == []
    loads(b"[" + b"1," * 400 + b"1]")
    assert asked == [803]
