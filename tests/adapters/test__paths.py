"""The path language: what is a path, what it finds, and that it never fails on a body."""

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstreams import LOADED

assert "drop_field" in LOADED.registry.adapters  # loading has mounted the folder
Path: Any = import_module("rotator.plugins.adapters._paths").Path

BODY: Any = {
    "a": {"b": {"c": 1}, "n": None, "": 2},
    "l": [{"x": 1}, {"x": 2, "m": [[{"y": 3}], [{"y": 4}, 5]]}, 6, None, {"x": 7}],
    "1": {"2": 8},
    "a.b": {"c": 9},
    "ü ~*": {"c": 10},
}

FOUND = {
    "a": [("a", BODY)],
    "missing": [("missing", BODY)],
    "a.b.c": [("a.b.c", BODY["a"]["b"])],
    "a.missing": [("a.missing", BODY["a"])],
    "a.missing.c": [],
    "a.n.c": [],
    "a.b.c.d": [],
    "1.2": [("1.2", BODY["1"])],
    "ü ~*.c": [("ü ~*.c", BODY["ü ~*"])],
    "l.x": [],
    "l[*].x": [("l[0].x", BODY["l"][0]), ("l[1].x", BODY["l"][1]), ("l[4].x", BODY["l"][4])],
    "l[1].x": [("l[1].x", BODY["l"][1])],
    "l[-1].x": [("l[4].x", BODY["l"][4])],
    "l[-5].x": [("l[0].x", BODY["l"][0])],
    "l[5].x": [],
    "l[-6].x": [],
    "l[2].x": [],
    "l[999999999].x": [],
    "a[*].b": [],
    "a[0].b": [],
    "l[*].m[*][*].y": [
        ("l[1].m[0][0].y", BODY["l"][1]["m"][0][0]),
        ("l[1].m[1][0].y", BODY["l"][1]["m"][1][0]),
    ],
    "l[1].m[-1][0].y": [("l[1].m[1][0].y", BODY["l"][1]["m"][1][0])],
    "missing[*].x": [],
}


@pytest.mark.parametrize("text", FOUND)
def test_a_path_finds_the_object_that_has_its_last_name(text: str) -> None:
    before = json.dumps(BODY)
    path = Path.of("field", text)
    found = [(path.shown(place), path.parent(place)) for place in path.places(BODY)]
    found = [(shown, parent) for shown, parent in found if parent is not None]
    assert found == FOUND[text]
    assert all(one is other for (_, one), (_, other) in zip(found, FOUND[text], strict=True))
    assert json.dumps(BODY) == before


def test_objects_on_the_way_are_made_where_nothing_is() -> None:
    body: Any = {"l": [{}, {"a": None}, {"a": {"k": 1}}, {"a": []}, 3]}
    path = Path.of("field", "l[*].a.b.c")
    parents = [path.parent(place, make=True) for place in path.places(body)]
    assert parents == [{}, None, {}, None]
    assert body == {"l": [{"a": {"b": {}}}, {"a": None}, {"a": {"k": 1, "b": {}}}, {"a": []}, 3]}


@pytest.mark.parametrize("text", ["l[*].a.b", "l[0].a.b", "other.b"])
def test_lists_and_items_are_never_made(text: str) -> None:
    body: Any = {"l": []}
    path = Path.of("field", text)
    assert [path.parent(place, make=True) for place in path.places(body)] == ([{}] if text == "other.b" else [])
    assert body == ({"l": [], "other": {}} if text == "other.b" else {"l": []})


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a.", ".a", "a..b", "a[", "a]", "a[]", "a[*", "a[x].b", "a[1.5].b", "a[--1].b", "a[+1].b", "[*].a",
        "[0]", "a[*]", "a.b[0]", "a[0]b.c", "a[*][0]", "a[**].b", "a[ 1 ].b", "a[1234567890].b", "a[\u0661].b",
        "a\n[0]", "a[0]\n", "a]b", "$.a[?x]",
    ],
)  # fmt: skip
def test_what_is_no_path_is_told_with_its_key(text: str) -> None:
    with pytest.raises(ValueError) as error:
        Path.of("fields[3]", text)
    assert str(error.value).startswith(f"fields[3]: {text!r} is no path (names joined by dots, ")


NAMES = st.sampled_from(["a", "b", "1", "x y"])
VALUES: Any = st.recursive(
    st.none() | st.integers(0, 3) | st.just(""),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=16,
)
LISTS = st.lists(st.sampled_from(["[*]", "[0]", "[1]", "[-1]", "[-2]"]), max_size=2).map("".join)
TEXTS = st.builds(
    lambda steps, last: ".".join([*(name + lists for name, lists in steps), last]),
    st.lists(st.tuples(NAMES, LISTS), max_size=3),
    NAMES,
)


@given(VALUES, TEXTS)
def test_a_shown_place_is_a_path_to_that_place_alone(body: Any, text: str) -> None:
    path = Path.of("field", text)
    before = json.dumps(body)
    for place in path.places(body):
        shown = Path.of("field", path.shown(place))
        [same] = shown.places(body)
        assert same.holder is place.holder and same.indexes == place.indexes
    assert json.dumps(body) == before
