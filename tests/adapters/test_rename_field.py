"""Members under another name: what moves, what stays, and that emptiness is no absence."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.wired import edited, events, furnish, noted, opened, refused, said, sent, traced
from tests.upstreams import PROVIDERS, SSE, Canned, House, canned

LIVE = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
STREAM = pytest.mark.parametrize("stream", [False, True])

REASONING = {"from": "choices[*].delta.reasoning", "to": "choices[*].delta.reasoning_content", "where": "event"}


def renamed(body: Any, **options: Any) -> tuple[Any, list[tuple[str, str, str]]]:
    """What becomes of a request, and the notes."""
    options = {name.rstrip("_"): value for name, value in options.items()}
    adapter = opened("rename_field", options)
    return adapter.on_request(copy.deepcopy(body)), noted(adapter)


#: from, to, body, what it becomes, the places of the notes.
MOVES: dict[str, tuple[str, str, Any, Any, list[tuple[str, str]]]] = {
    "top level": ("a", "b", {"a": 1, "c": 2}, {"b": 1, "c": 2}, [("a", "b")]),
    "same parent": ("o.a", "o.b", {"o": {"a": 1}}, {"o": {"b": 1}}, [("o.a", "o.b")]),
    "up": ("o.effort", "o_effort", {"o": {"effort": "low"}}, {"o": {}, "o_effort": "low"}, [("o.effort", "o_effort")]),
    "down": ("a", "o.p.a", {"a": 1}, {"o": {"p": {"a": 1}}}, [("a", "o.p.a")]),
    "into what is there": ("a", "o.a", {"a": 1, "o": {"b": 2}}, {"o": {"b": 2, "a": 1}}, [("a", "o.a")]),
    "null": ("a", "b", {"a": None}, {"b": None}, [("a", "b")]),
    "empty text": ("a", "b", {"a": ""}, {"b": ""}, [("a", "b")]),
    "zero": ("a", "b", {"a": 0}, {"b": 0}, [("a", "b")]),
    "false": ("a", "b", {"a": False}, {"b": False}, [("a", "b")]),
    "empty list": ("a", "b", {"a": []}, {"b": []}, [("a", "b")]),
    "absent": ("a", "b", {"c": 1}, {"c": 1}, []),
    "target is there": ("a", "b", {"a": 1, "b": 2}, {"a": 1, "b": 2}, []),
    "target is null": ("a", "b", {"a": 1, "b": None}, {"a": 1, "b": None}, []),
    "something else in the way": ("a", "o.b", {"a": 1, "o": "text"}, {"a": 1, "o": "text"}, []),
    "null in the way": ("a", "o.b", {"a": 1, "o": None}, {"a": 1, "o": None}, []),
    "nothing made in vain": ("x.a", "o.p.b", {"x": {"c": 1}}, {"x": {"c": 1}}, []),
    "each item": (
        "l[*].d.a",
        "l[*].d.b",
        {"l": [{"d": {"a": 1}}, {"d": {}}, {"d": None}, {}, "a", {"d": {"a": ""}}]},
        {"l": [{"d": {"b": 1}}, {"d": {}}, {"d": None}, {}, "a", {"d": {"b": ""}}]},
        [("l[0].d.a", "l[0].d.b"), ("l[5].d.a", "l[5].d.b")],
    ),
    "inside each item": (
        "l[*].a", "l[*].o.a", {"l": [{"a": 1}, {}]}, {"l": [{"o": {"a": 1}}, {}]}, [("l[0].a", "l[0].o.a")]
    ),
    "lists in lists": (
        "l[*].m[*].a", "l[*].m[*].b", {"l": [{"m": [{"a": 1}, {"a": 2}]}, {"m": [{"a": 3}]}]},
        {"l": [{"m": [{"b": 1}, {"b": 2}]}, {"m": [{"b": 3}]}]},
        [(f"l[{x}].m[{y}].a", f"l[{x}].m[{y}].b") for x, y in ((0, 0), (0, 1), (1, 0))],
    ),
    "one item": (
        "l[-1].a", "l[-1].b", {"l": [{"a": 1}, {"a": 2}]}, {"l": [{"a": 1}, {"b": 2}]}, [("l[1].a", "l[1].b")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MOVES)
def test_a_member_moves(what: str) -> None:
    source, target, body, becomes, places = MOVES[what]
    assert renamed(body, from_=source, to=target) == (becomes, [("renamed", *pair) for pair in places])


def test_keep_copies() -> None:
    body = {"a": {"x": [1]}, "l": [{"a": 1}]}
    result, notes = renamed(body, from_="a", to="b", keep=True)
    assert result == {**body, "b": {"x": [1]}} and notes == [("copied", "a", "b")]
    result["a"]["x"].append(2)
    assert result["b"] == {"x": [1]}, "the two are one object"


@pytest.mark.parametrize("there", [2, None, "", {"x": 1}])
@pytest.mark.parametrize("keep", [False, True])
def test_overwrite_replaces_what_is_there(there: Any, keep: bool) -> None:
    result, notes = renamed({"a": 1, "b": there}, from_="a", to="b", overwrite=True, keep=keep)
    assert result == ({"a": 1, "b": 1} if keep else {"b": 1})
    assert notes == [("copied" if keep else "renamed", "a", "b")]
    assert renamed({"b": there}, from_="a", to="b", overwrite=True) == ({"b": there}, [])
    blocked = {"a": 1, "o": there} if not isinstance(there, dict) else {"a": 1, "o": []}
    assert renamed(blocked, from_="a", to="o.b", overwrite=True) == (blocked, [])


@pytest.mark.parametrize("where", ["request", "response", "event", ["response", "event"], ["request", "event"]])
def test_only_the_named_directions_are_edited(where: Any) -> None:
    adapter = opened("rename_field", {"from": "a", "to": "b", "where": where})
    assert edited(adapter, {"a": 1}) == {*([where] if isinstance(where, str) else where)}
    assert edited(opened("rename_field", {"from": "a", "to": "b"}), {"a": 1}) == {"request"}


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (None, [".from: missing", ".to: missing"]),
        ({"form": "a", "to": "b"}, [".form: unknown key (did you mean from?)", ".from: missing"]),
        ({"from": "a", "to": ["b"]}, [".to: expected text, found a list"]),
        ({"from": "a", "to": "b", "where": "stream_event"}, [
            ".where: expected request or response or event, found 'stream_event'"
        ]),
        ({"from": "a", "to": "b", "keep": "maybe", "overwrite": 2}, [
            ".keep: expected true or false, found 'maybe'", ".overwrite: expected true or false, found 2"
        ]),
        ({"from": "a", "to": "b", "source": "c"}, [".source: unknown key"]),
    ],
)  # fmt: skip
def test_wrong_options_stop_the_start(options: Any, reasons: list[str]) -> None:
    assert refused("rename_field", options) == reasons


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("a[", "b", "from: 'a[' is no path"),
        ("a", "b.", "to: 'b.' is no path"),
        ("a", "a", "to: neither may be the other, or lie inside it"),
        ("a.b", "a", "to: neither may be the other, or lie inside it"),
        ("a", "a.b", "to: neither may be the other, or lie inside it"),
        ("l[*].a", "l[*].a.b", "to: neither may be the other, or lie inside it"),
        ("l[*].a", "b", "to: must begin as from does, up to the last list step"),
        ("a", "l[0].a", "to: must begin as from does, up to the last list step"),
        ("l[0].a", "l[1].a", "to: must begin as from does, up to the last list step"),
        ("l[*].m[*].a", "l[*].a", "to: must begin as from does, up to the last list step"),
    ],
)
def test_paths_that_make_no_sense_together_stop_the_start(source: str, target: str, reason: str) -> None:
    [told] = refused("rename_field", {"from": source, "to": target})
    assert reason in told


@pytest.mark.parametrize(("source", "target"), [("a.b", "a.c"), ("a", "ab"), ("a.b", "b"), ("a.b.c", "a.bc")])
def test_names_that_only_look_alike_are_fine(source: str, target: str) -> None:
    assert opened("rename_field", {"from": source, "to": target})


def test_no_direction_stops_the_start() -> None:
    [told] = refused("rename_field", {"from": "a", "to": "b", "where": []})
    assert "where: expected request, response, event or several of them" in told


# Through the proxy.

#: What a client sends under a name that the vendor does not know, the options, and what the vendor gets.
ASKED: dict[str, tuple[dict[str, Any], list[Any], dict[str, Any]]] = {
    "chat": (
        {"max_output_tokens": 3, "reasoning": {"effort": "low"}},
        [
            {"rename_field": {"from": "max_output_tokens", "to": "max_completion_tokens"}},
            {"rename_field": {"from": "reasoning.effort", "to": "reasoning_effort"}},
            {"drop_field": {"field": "reasoning"}},
        ],
        {"max_completion_tokens": 3, "reasoning_effort": "low"},
    ),
    "messages": (
        {"stop": ["demo"], "user": "somebody"},
        [
            {"rename_field": {"from": "stop", "to": "stop_sequences"}},
            {"rename_field": {"from": "user", "to": "metadata.user_id"}},
        ],
        {"stop_sequences": ["demo"], "metadata": {"user_id": "somebody"}},
    ),
}


@LIVE
@BOTH
@STREAM
async def test_a_strict_vendor_gets_its_own_names(house: House, protocol: str, stream: bool) -> None:
    fields, uses, becomes = ASKED[protocol]
    body = house.body(protocol, "text", stream=stream)
    assert (await house.ask(protocol, {**body, **fields})).status == 400
    await furnish(house, protocol, *uses)
    answer = await house.ask(protocol, {**body, **fields})
    said(protocol, answer, stream=stream, model="text")
    assert sent(house) == {**body, "model": "text", **becomes}


#: Where the vendor's thoughts are in a whole answer and in an event, and under which name they are wanted.
THOUGHTS = {
    "chat": {
        False: ("choices[*].message.reasoning_content", "choices[*].message.reasoning"),
        True: ("choices[*].delta.reasoning_content", "choices[*].delta.reasoning"),
    },
    "messages": {False: ("content[*].thinking", "content[*].thought"), True: ("delta.thinking", "delta.thought")},
}


@LIVE
@BOTH
@STREAM
async def test_a_client_gets_the_name_that_it_knows(house: House, protocol: str, stream: bool) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    body = house.body(protocol, "thinking", stream=stream, **(thinking if protocol == "messages" else {}))
    plain = await house.ask(protocol, body)
    source, target = THOUGHTS[protocol][stream]
    use = {"rename_field": {"from": source, "to": target, "where": ["response", "event"]}}
    await furnish(house, protocol, use)
    found = said(protocol, await house.ask(protocol, body), stream=stream, model="thinking")
    old, new = source.rpartition(".")[2], target.rpartition(".")[2]
    before = thoughts(plain.body, protocol, stream, old)
    assert before and all(isinstance(one, str) for one in before)
    assert thoughts(json.dumps(found).encode(), protocol, stream, new, parsed=found) == before
    assert not thoughts(b"", protocol, stream, old, parsed=found)


def thoughts(body: bytes, protocol: str, stream: bool, name: str, parsed: Any = None) -> list[Any]:
    """What stands under a name in the messages, blocks or deltas of an answer."""
    bodies = parsed if parsed is not None else events(body) if stream else [json.loads(body)]
    if protocol == "chat":
        holders = [choice["delta" if stream else "message"] for one in bodies for choice in one["choices"]]
    elif stream:
        holders = [one["delta"] for one in bodies if "delta" in one]
    else:
        holders = [block for one in bodies for block in one["content"]]
    return [holder[name] for holder in holders if name in holder]


@LIVE
async def test_empty_and_null_are_values_on_the_wire(house: House) -> None:
    """engine.md 4.9: presence, not truthiness; what both names hold stays as it came."""
    deltas = [
        {"role": "assistant", "reasoning": ""},
        {"reasoning": "hm"},
        {"reasoning": None, "content": "a"},
        {"reasoning": "hm", "reasoning_content": None},
        {"content": "b"},
    ]
    frames = [chunk(delta) for delta in deltas] + [chunk({}, "stop"), b"data: [DONE]\n\n"]
    async with canned(Canned(frames, headers=SSE)) as server:
        await furnish(house, "chat", {"rename_field": REASONING}, base=server.url)
        answer = await house.call("chat", "m", stream=True)
    assert [one["choices"][0]["delta"] for one in said("chat", answer, stream=True, model="m")] == [
        {"role": "assistant", "reasoning_content": ""},
        {"reasoning_content": "hm"},
        {"reasoning_content": None, "content": "a"},
        {"reasoning": "hm", "reasoning_content": None},
        {"content": "b"},
        {},
    ]


@LIVE
async def test_the_trace_tells_what_each_step_did(house: House, tmp_path: Path) -> None:
    """And of those that did nothing, that they did nothing."""
    uses = [
        "developer_role",
        {"rename_field": {"from": "seed_of_mine", "to": "seed"}},
        {"rename_field": REASONING},
        {"rename_field": {**REASONING, "from": "choices[*].delta.content", "to": "choices[*].delta.said"}},
    ]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    body = {"model": "vendor/text", "messages": messages, "seed_of_mine": 3, "stream": True}
    entries = await traced(house, "chat", *uses, folder=tmp_path, body=body)
    requests = [entry for entry in entries if entry["direction"] == "request"]
    assert [(entry["stage"], entry["changed"], places(entry)) for entry in requests] == [
        ("adapter developer_role", True, [("developer_role", "role_system", "messages[0].role", "messages[0].role")]),
        ("adapter rename_field", True, [("rename_field", "renamed", "seed_of_mine", "seed")]),
        ("adapter rename_field", False, []),
        ("adapter rename_field", False, []),
    ]
    moved = [("rename_field", "renamed", "choices[0].delta.content", "choices[0].delta.said")]
    events = [entry for entry in entries if entry["direction"] == "event"]
    assert {(entry["changed"], *places(entry)) for entry in events} == {(False,), (True, *moved)}


def places(entry: Any) -> list[tuple[str, ...]]:
    return [tuple(note[name] for name in ("step", "code", "path_from", "path_to")) for note in entry["notes"]]


def chunk(delta: Any, finish: str | None = None) -> bytes:
    body = {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: %b\n\n" % json.dumps(body).encode()


@LIVE
async def test_requests_pass_them_in_order_and_answers_backwards(house: House) -> None:
    moves = [("a", "b", "request"), ("b", "c", "request"), ("x", "y", "response"), ("y", "z", "response")]
    uses = [{"rename_field": {"from": old, "to": new, "where": where}} for old, new, where in moves]
    async with canned(Canned([json.dumps({"x": 1, "choices": [{}]}).encode()])) as server:
        await furnish(house, "chat", *uses, base=server.url)
        answer = await house.ask("chat", {"model": "vendor/m", "a": 1})
    assert json.loads(server.taken[0].body) == {"model": "m", "c": 1}
    assert answer.json == {"y": 1, "choices": [{}]}
