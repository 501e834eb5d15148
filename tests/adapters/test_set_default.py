"""Members that are set where they are absent, or always."""

import copy
import json
from typing import Any

import pytest

from tests.adapters.wired import edited, events, furnish, noted, opened, refused, said, sent
from tests.upstreams import FRAMES, PROVIDERS, SSE, WHOLE, Canned, House, canned

LIVE = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
STREAM = pytest.mark.parametrize("stream", [False, True])

#: field, value, body, what it becomes, the places of the notes; with force, what it becomes then.
CASES: dict[str, tuple[str, Any, Any, Any, list[str], Any, list[str]]] = {
    "absent": ("a", 1, {}, {"a": 1}, ["a"], {"a": 1}, ["a"]),
    "present": ("a", 1, {"a": 2}, {"a": 2}, [], {"a": 1}, ["a"]),
    "null is a value": ("a", 1, {"a": None}, {"a": None}, [], {"a": 1}, ["a"]),
    "empty is a value": ("a", "x", {"a": ""}, {"a": ""}, [], {"a": "x"}, ["a"]),
    "the same": ("a", [1], {"a": [1]}, {"a": [1]}, [], {"a": [1]}, []),
    "looks the same": ("a", True, {"a": 1}, {"a": 1}, [], {"a": True}, ["a"]),
    "null may be set": ("a", None, {}, {"a": None}, ["a"], {"a": None}, ["a"]),
    "objects are made": ("o.p.a", 1, {"o": {"b": 2}}, {"o": {"b": 2, "p": {"a": 1}}}, ["o.p.a"],
                         {"o": {"b": 2, "p": {"a": 1}}}, ["o.p.a"]),
    "in the way": ("o.a", 1, {"o": None}, {"o": None}, [], {"o": None}, []),
    "each item": ("l[*].a", 1, {"l": [{}, {"a": 2}, 3, {"b": 1}]}, {"l": [{"a": 1}, {"a": 2}, 3, {"b": 1, "a": 1}]},
                  ["l[0].a", "l[3].a"], {"l": [{"a": 1}, {"a": 1}, 3, {"b": 1, "a": 1}]},
                  ["l[0].a", "l[1].a", "l[3].a"]),
    "no list is made": ("l[*].a", 1, {}, {}, [], {}, []),
    "no item is made": ("l[0].a", 1, {"l": []}, {"l": []}, [], {"l": []}, []),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
@pytest.mark.parametrize("force", [False, True])
def test_a_member_is_set(what: str, force: bool) -> None:
    field, value, body, default, defaulted, forced, replaced = CASES[what]
    adapter = opened("set_default", {"field": field, "value": value, "force": force})
    result = adapter.on_request(copy.deepcopy(body))
    assert json.dumps(result) == json.dumps(forced if force else default)
    assert [(old, new) for _, old, new in noted(adapter)] == [("", one) for one in (replaced if force else defaulted)]


def test_a_note_tells_new_members_from_replaced_ones() -> None:
    adapter = opened("set_default", {"field": "l[*].a", "value": 1, "force": True})
    adapter.on_request({"l": [{}, {"a": 2}]})
    assert noted(adapter) == [("set", "", "l[0].a"), ("replaced", "", "l[1].a")]


def test_attempts_do_not_share_the_value() -> None:
    adapter = opened("set_default", {"field": "l[*].a", "value": {"x": []}})
    body = adapter.on_request({"l": [{}, {}]})
    body["l"][0]["a"]["x"].append(1)
    assert body["l"][1]["a"] == {"x": []} and adapter.on_request({"l": [{}]}) == {"l": [{"a": {"x": []}}]}


@pytest.mark.parametrize("where", ["request", "response", "event", ["response", "event"]])
def test_only_the_named_directions_are_edited(where: Any) -> None:
    adapter = opened("set_default", {"field": "a", "value": 1, "where": where})
    assert edited(adapter, {}) == {*([where] if isinstance(where, str) else where)}
    assert edited(opened("set_default", {"field": "a", "value": 1}), {}) == {"request"}


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (None, [".field: missing", ".value: missing"]),
        ({"field": "a"}, [".value: missing"]),
        ({"field": "a", "valeu": 1}, [".valeu: unknown key (did you mean value?)", ".value: missing"]),
        ({"field": ["a"], "value": 1}, [".field: expected text, found a list"]),
        ({"field": "a", "value": 1, "force": "very"}, [".force: expected true or false, found 'very'"]),
    ],
)
def test_wrong_options_stop_the_start(options: Any, reasons: list[str]) -> None:
    assert refused("set_default", options) == reasons


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"field": "a[*]", "value": 1}, "field: 'a[*]' is no path"),
        ({"field": "a", "value": float("nan")}, "value: is no JSON"),
        ({"field": "a", "value": [float("inf")]}, "value: is no JSON"),
        ({"field": "a", "value": {"x": object()}}, "value: is no JSON"),
        ({"field": "a", "value": 1, "where": []}, "where: expected request, response, event or several of them"),
    ],
)
def test_what_could_not_be_sent_stops_the_start(options: Any, reason: str) -> None:
    [told] = refused("set_default", options)
    assert reason in told


# Through the proxy.

#: What the vendor demands or the operator wants, with where it is to stand.
WANTED: dict[str, list[tuple[str, Any]]] = {
    "chat": [("max_completion_tokens", 3), ("metadata.team", "blue")],
    "messages": [("max_tokens", 3), ("metadata.user_id", "blue")],
}


@LIVE
@BOTH
@STREAM
async def test_a_strict_vendor_gets_what_it_demands(house: House, protocol: str, stream: bool) -> None:
    body = house.body(protocol, "text", stream=stream)
    body.pop("max_tokens", None)
    assert (await house.ask(protocol, body)).status == (400 if protocol == "messages" else 200)
    (limit, size), (nested, team) = WANTED[protocol]
    uses = [{"set_default": {"field": field, "value": value}} for field, value in WANTED[protocol]]
    await furnish(house, protocol, *uses)
    found = said(protocol, await house.ask(protocol, body), stream=stream, model="text")
    outer, inner = nested.split(".")
    assert sent(house) == {**body, "model": "text", limit: size, outer: {inner: team}}
    assert {"chat": '"length"', "messages": '"max_tokens"'}[protocol] in json.dumps(found)
    await house.ask(protocol, {**body, limit: 7, outer: {}})
    assert sent(house) == {**body, "model": "text", limit: 7, outer: {inner: team}}


@LIVE
@BOTH
async def test_force_has_the_last_word(house: House, protocol: str) -> None:
    limit = WANTED[protocol][0][0]
    await furnish(house, protocol, {"set_default": {"field": limit, "value": 3, "force": True}})
    body = {**house.body(protocol, "text"), limit: 50}
    said(protocol, await house.ask(protocol, body), stream=False, model="text")
    assert sent(house) == {**body, "model": "text", limit: 3}


#: What a compatible server left out, in a whole answer and in an event.
LACKING = {
    "chat": ("choices[*].message.refusal", "choices[*].delta.refusal"),
    "messages": ("usage.cost", "delta.cost"),
}


@LIVE
@BOTH
async def test_a_client_gets_what_the_vendor_left_out(house: House, protocol: str) -> None:
    in_answer, in_event = LACKING[protocol]
    uses = [
        {"set_default": {"field": in_answer, "value": None, "where": "response"}},
        {"set_default": {"field": in_event, "value": None, "where": "event"}},
    ]
    async with canned(Canned([WHOLE[protocol]])) as server:
        await furnish(house, protocol, *uses, base=server.url)
        whole = await house.call(protocol, "m")
        server.answer = Canned(FRAMES[protocol], headers=SSE)
        streamed = await house.call(protocol, "m", stream=True)
    expected, frames = json.loads(WHOLE[protocol]), events(b"".join(FRAMES[protocol]))
    if protocol == "chat":
        expected["choices"][0]["message"]["refusal"] = None
        for one in frames:
            one["choices"][0]["delta"]["refusal"] = None
    else:
        expected["usage"] = {"cost": None}
        for one in frames:
            if "delta" in one:
                one["delta"]["cost"] = None  # in no event of another type, though answers get their "usage"
        frames[0]["message"]["model"] = "claudish/m"
    assert (whole.status, whole.json) == (200, expected)
    assert (streamed.status, events(streamed.body)) == (200, frames)
    assert whole.headers["x-rotator-lane"] == streamed.headers["x-rotator-lane"] == "native"
