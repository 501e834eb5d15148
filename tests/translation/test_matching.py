"""The tables' own measure: what counts as the same, and that nothing else does."""

from typing import Any

import pytest

from . import normal
from .matching import ABSENT, Having, JsonText, Like, Named, OneOf, code_differences, differences, overlay

SAME: list[tuple[Any, Any]] = [
    ({"a": [1, "x"]}, {"a": [1, "x"]}),
    (Like("^a.c$"), "a\nc"),
    ([Named("a"), Named("b"), Named("a")], ["x", "y", "x"]),
    (JsonText({"a": 1}), ' {"a": 1}'),
    (Having({"a": 1}), {"a": 1, "b": 2}),
    (OneOf(1, Having({"b": 2})), {"b": 2}),
    ([OneOf([Named("a"), 1], [Named("b"), 2]), Named("b")], [["x", 2], "x"]),
]
OTHER: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"a": 1}, []),
    ([1, 2], [1]),
    ([1], {"0": 1}),
    (1, 1.0),
    (1, True),
    (None, ""),
    (Like("x"), 3),
    ([Named("a"), Named("a")], ["x", "y"]),
    ([Named("a"), Named("b")], ["x", "x"]),
    (Named("a"), "no id!"),
    (JsonText({"a": 1}), '{"a": 2}'),
    (JsonText({}), "{"),
    (JsonText({}), {}),
    (Having({"a": 1}), {"b": 1}),
    (Having({}), "x"),
    (OneOf(1, 2), 3),
]


@pytest.mark.parametrize(("expected", "got"), SAME)
def test_what_is_expected_is_found(expected: Any, got: Any) -> None:
    assert differences(expected, got) == []


@pytest.mark.parametrize(("expected", "got"), OTHER)
def test_what_is_not_expected_is_told(expected: Any, got: Any) -> None:
    assert differences(expected, got)


def test_members_are_laid_over_and_taken_out() -> None:
    assert overlay({"a": 1, "b": 2}, {"b": 3, "a": ABSENT, "c": None}) == {"b": 3, "c": None}


@pytest.mark.parametrize(
    ("expected", "got", "count"),
    [
        ((), (), 0),
        (("a",), ("a",), 0),
        (("a", "a"), ("a", "a"), 0),
        (("a|b",), ("b",), 0),
        (("a.*",), ("a.b",), 0),
        (("?a",), (), 0),
        (("?a", "a"), ("a",), 0),
        (("a",), (), 1),
        ((), ("a",), 1),
        (("a",), ("a", "a"), 1),
        (("a",), ("b",), 2),
        (("?a",), ("b",), 1),
    ],
)
def test_codes_are_counted(expected: tuple[str, ...], got: tuple[str, ...], count: int) -> None:
    assert len(code_differences(expected, got)) == count


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"content": "Hi"}, {"content": [{"type": "text", "text": "Hi"}]}),
        ({"a": None, "stream": False, "tools": [], "n": 1}, {}),
        ({"tools": [{"strict": False, "name": "f"}]}, {"tools": [{"name": "f"}]}),
    ],
)
def test_two_spellings_of_a_request_are_one(one: Any, other: Any) -> None:
    assert normal.request(one) == normal.request(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"content": "Hi"}, {"content": [{"type": "text", "text": "Hi", "cache_control": {}}]}),
        ({"content": ""}, {}),
        ({"temperature": 0}, {}),
        ({"stream": True}, {}),
        ({"n": 2}, {}),
        ({"input": {"a": None}}, {"input": {}}),
        ({"parameters": {"strict": False}}, {"parameters": {}}),
        ({"parallel_tool_calls": False}, {}),
    ],
)
def test_what_a_request_says_counts(one: Any, other: Any) -> None:
    assert normal.request(one) != normal.request(other)


def test_counts_of_an_answer_may_be_left_out_where_they_are_nought() -> None:
    told = {"usage": {"prompt_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens": 2}}
    assert normal.answer(told) == {"usage": {"prompt_tokens": 0, "completion_tokens": 2}}
    assert normal.answer({"usage": {"cache_read_input_tokens": 3}}) == {"usage": {"cache_read_input_tokens": 3}}
