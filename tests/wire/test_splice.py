"""The model splice: one value changes, every other byte stays, and no text fools it about what stands at the top."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.wire import jsontext
from rotator.wire.jsontext import NotJson
from rotator.wire.splice import Unsure, model_span, splice_model

space = st.text(" \t\r\n", max_size=3).map(str.encode)
STRINGS = [b'""', b'"model"', b'"say \\"model\\": \\"x\\""', b'"\\"model"', b'"\\\\"', b'"}{]["', b'"\\ud83d"']
STRINGS += [b'"\\n"', '"é😀\u2028"'.encode(), b'"\\u006dodel"', b'"mo\\u0064el"', b'"{\\"model\\":1}"']
STRINGS += [b'"x\\\\\\"model"']
NUMBERS = [b"1", b"1.0", b"-0", b"1e5", b"1E+5", b"123456789012345678901234567890", b"0.10"]
leaves = st.sampled_from([*STRINGS, *NUMBERS, b"true", b"false", b"null"])
keys = st.sampled_from([b'"a"', *STRINGS])
other_keys = st.sampled_from([b'"a"', b'"b"', *(s for s in STRINGS if json.loads(s) != "model")])


def listed(items: list[bytes], pads: list[bytes], brackets: bytes) -> bytes:
    padded = [pads[i % len(pads)] + item + pads[-i % len(pads)] for i, item in enumerate(items)]
    return brackets[:1] + b",".join(padded or [pads[0]]) + brackets[1:]


def member(keys: st.SearchStrategy[bytes], values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(keys, space, space, values).map(lambda m: m[0] + m[1] + b":" + m[2] + m[3])


def objects(keys: st.SearchStrategy[bytes], values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    pads = st.lists(space, min_size=1, max_size=3)
    members = st.lists(member(keys, values), max_size=4)
    return st.builds(lambda items, pads: listed(items, pads, b"{}"), members, pads)


def lists(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    pads = st.lists(space, min_size=1, max_size=3)
    return st.builds(lambda items, pads: listed(items, pads, b"[]"), st.lists(values, max_size=4), pads)


values = st.recursive(leaves, lambda inner: lists(inner) | objects(keys, inner), max_leaves=10)


@dataclass(frozen=True, slots=True)
class Request:
    """A JSON object in three pieces: up to the model's value, that value, and the rest."""

    before: bytes
    value: bytes
    after: bytes

    @property
    def body(self) -> bytes:
        return self.before + self.value + self.after


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """One top-level model, spelled plainly, anywhere among other members that try to be mistaken for it."""
    before = draw(st.lists(member(other_keys, values), max_size=3))
    after = draw(st.lists(member(other_keys, values), max_size=3))
    name = draw(st.sampled_from([b'"gpt-5"', b'""', b'"a\\/b"', b'"say \\"x\\""', '"é"'.encode()]))
    head = draw(space) + b"{" + draw(space) + b"".join(item + b"," for item in before)
    head += b'"model"' + draw(space) + b":" + draw(space)
    return Request(head, name, draw(space) + b"".join(b"," + item for item in after) + b"}" + draw(space))


def plain(body: bytes) -> Any:
    return json.loads(body)


@given(requests())
def test_only_the_value_changes(request: Request) -> None:
    assert model_span(request.body) == (len(request.before), len(request.before) + len(request.value))
    spliced = splice_model(request.body, "provider/new")
    assert spliced == request.before + b'"provider/new"' + request.after
    assert plain(spliced) == plain(request.body) | {"model": "provider/new"}


@given(requests())
def test_the_same_name_changes_nothing(request: Request) -> None:
    body = request.body
    assert splice_model(body, plain(body)["model"]) is body


@given(objects(keys, values))
def test_any_object_gets_the_model(body: bytes) -> None:
    """Two models, escaped spellings, none at all: whatever a parser would see, with the model set."""
    spliced = splice_model(body, "new")
    assert plain(spliced) == plain(body) | {"model": "new"}
    assert list(plain(spliced)) == list(plain(body) | {"model": "new"})


@given(lists(values) | leaves)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        splice_model(body, "new")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","x":{"y":1},"model" : "b"}',
        b'{"mod\\u0065l":"a"}',
        b'{"model":"a","\\u006Dodel":"b"}',
        b'{"x":{"model":"a"},"mode\\u006c":"b"}',
        b'{"model":null}',
        b'{"model":{"model":"a"}}',
        b'{"model":7,"x":"\\ud83d"}',
        b'{"x":{"model":"a"}}',
        b'{"x":"\\"model\\": 1"}',
        b"{}",
    ],
)
def test_in_doubt_the_object_is_written_anew(body: bytes) -> None:
    with pytest.raises(Unsure):
        model_span(body)
    assert plain(splice_model(body, "new")) == plain(body) | {"model": "new"}


def test_a_rewritten_object_keeps_what_orjson_would_not() -> None:
    body = b'{"model":"a","n":123456789012345678901,"s":"\\ud83d","m\\u006fdel":"b"}'
    assert splice_model(body, "c") == b'{"model":"c","n":123456789012345678901,"s":"\\ud83d"}'


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"model"', b'{"x":1,"model":"a"', b'{"x":{"model":"a"}', b'\xef\xbb\xbf{"model":"a"}']
)
def test_broken_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        splice_model(body, "new")


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("nested", [0, 1, 3_000])
def test_large_bodies_cost_at_most_one_parse(last: bool, nested: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    loads = jsontext.loads

    def counting(body: bytes | memoryview) -> Any:
        parsed.append(len(body))
        return loads(body)

    monkeypatch.setattr(jsontext, "loads", counting)
    text = json.dumps('if "model": return {"model": 1}\n' * 1_000)
    items = ",".join([text] * 8 + ['{"model": 1}'] * nested)
    messages = f'"messages":[{items}]'.encode()
    before, after = (b"{" + messages + b',"model": ', b"}") if last else (b'{"model": ', b"," + messages + b"}")
    assert splice_model(before + b'"a"' + after, "b") == before + b'"b"' + after
    assert len(parsed) == (1 if nested or last else 0)


def test_too_many_keys_are_not_searched_but_parsed() -> None:
    body = b'{"x":[' + b",".join([b'{"model":1.0}'] * 5_000) + b'],"model":"a"}'
    with pytest.raises(Unsure, match="too many"):
        model_span(body)
    assert splice_model(body, "b") == body[:-4] + b'"b"}'
