"""Members left out: of requests that a strict vendor would refuse, of answers that a client need not see."""

import copy
from typing import Any

import pytest

from tests.adapters.wired import edited, events, furnish, noted, opened, refused, said, sent
from tests.upstreams import COUNT_PATH, FRAMES, PROVIDERS, SSE, WHOLE, Canned, House, Play, canned

LIVE = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
STREAM = pytest.mark.parametrize("stream", [False, True])

BODY: dict[str, Any] = {
    "user": "me",
    "nothing": None,
    "empty": "",
    "off": False,
    "deep": {"a": {"b": 1}},
    "list": [{"x": 1, "y": 2}, "x", {"y": 3}, {"x": None}],
}


def without(*paths: tuple[str | int, ...]) -> dict[str, Any]:
    """The body without what stands at these places."""
    body = copy.deepcopy(BODY)
    for path in paths:
        parent: Any = body
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
    return body


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        ({"field": "user"}, [("user",)]),
        ({"field": "nothing"}, [("nothing",)]),
        ({"field": "empty"}, [("empty",)]),
        ({"field": "off"}, [("off",)]),
        ({"field": "deep.a.b"}, [("deep", "a", "b")]),
        ({"field": "deep.a"}, [("deep", "a")]),
        ({"field": "list[*].x"}, [("list", 0, "x"), ("list", 3, "x")]),
        ({"field": "list[-1].x"}, [("list", 3, "x")]),
        ({"fields": ["user", "deep.a", "list[0].y"]}, [("user",), ("deep", "a"), ("list", 0, "y")]),
        ({"fields": ["missing", "deep.x.b", "user.x", "list.x", "deep[*].a", "list[9].x"]}, []),
    ],
)
def test_what_is_there_is_dropped_whatever_it_is(options: Any, dropped: list[tuple[str | int, ...]]) -> None:
    adapter = opened("drop_field", options)
    assert adapter.on_request(copy.deepcopy(BODY)) == without(*dropped)
    shown = ["".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:] for path in dropped]
    assert noted(adapter) == [("dropped", place, "") for place in shown]


@pytest.mark.parametrize("where", ["request", "response", "event", ["response", "event"], ["request"]])
def test_only_the_named_directions_are_edited(where: Any) -> None:
    adapter = opened("drop_field", {"field": "user", "where": where})
    assert edited(adapter, BODY) == {*([where] if isinstance(where, str) else where)}


def test_requests_are_what_is_edited_if_nothing_is_said() -> None:
    assert edited(opened("drop_field", {"field": "user"}), BODY) == {"request"}


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (None, [": expected either field or fields"]),
        ({"field": "a", "fields": ["b"]}, [": expected either field or fields"]),
        ({"fields": []}, [": expected either field or fields"]),
        ({"feild": "a"}, [".feild: unknown key (did you mean field?)"]),
        ({"field": 3}, [".field: expected text, found 3"]),
        ({"fields": "a"}, [".fields: expected a list, found 'a'"]),
        ({"fields": ["a", 3]}, [".fields[1]: expected text, found 3"]),
        ({"field": "a", "where": "reponse"}, [".where: expected request or response or event, found 'reponse'"]),
        ({"field": "a", "where": ["event", "all"]}, [".where[1]: expected request or response or event, found 'all'"]),
        ({"field": "a", "where": None}, [".where: expected request or response or event, found nothing"]),
        ("a", [": expected a mapping, found 'a'"]),
    ],
)
def test_wrong_options_stop_the_start(options: Any, reasons: list[str]) -> None:
    assert refused("drop_field", options) == reasons


@pytest.mark.parametrize(
    ("options", "key"),
    [({"field": "a..b"}, "field"), ({"fields": ["a", "b[*]"]}, "fields[1]"), ({"field": ""}, "field")],
)
def test_a_path_that_is_none_stops_the_start(options: Any, key: str) -> None:
    [told] = refused("drop_field", options)
    assert f"{key}: " in told and "is no path (names joined by dots" in told


def test_no_direction_stops_the_start() -> None:
    [told] = refused("drop_field", {"field": "a", "where": []})
    assert "where: expected request, response, event or several of them" in told


#: What another vendor takes and this one answers 400 to, and the option that helps.
FOREIGN: dict[str, tuple[dict[str, Any], Any]] = {
    "chat": ({"top_k": 4, "metadata": {"a": "b"}}, {"fields": ["top_k", "messages[*].content[*].cache_control"]}),
    "messages": (
        {"frequency_penalty": 0.5, "metadata": {"user_id": "u"}},
        {"fields": ["frequency_penalty", "messages[*].content[*].detail"]},
    ),
}
PART: dict[str, dict[str, Any]] = {"chat": {"cache_control": {"type": "ephemeral"}}, "messages": {"detail": "high"}}


@LIVE
@BOTH
@STREAM
async def test_a_strict_vendor_takes_the_request(house: House, protocol: str, stream: bool) -> None:
    fields, options = FOREIGN[protocol]
    part = {"type": "text", "text": "Hello"}
    messages = [{"role": "user", "content": [{**part, **PART[protocol]}]}]
    body = house.body(protocol, "text", stream=stream, messages=messages, **fields)
    assert (await house.ask(protocol, body)).status == 400
    await furnish(house, protocol, {"drop_field": options})
    answer = await house.ask(protocol, body)
    said(protocol, answer, stream=stream, model="text")
    kept = {name: value for name, value in body.items() if name not in options["fields"]}
    assert sent(house) == {**kept, "model": "text", "messages": [{"role": "user", "content": [part]}]}


@LIVE
async def test_tokens_are_counted_of_the_same_request(house: House) -> None:
    """Their count is no answer of the conversation: adapters of responses do not see it."""
    fields, options = FOREIGN["messages"]
    body = {**house.body("messages", "text"), **fields}
    body.pop("metadata"), body.pop("max_tokens")
    assert (await house.ask("messages", body, path=COUNT_PATH)).status == 400
    answers = {"drop_field": {"field": "input_tokens", "where": "response"}}
    await furnish(house, "messages", {"drop_field": options}, answers)
    answer = await house.ask("messages", body, path=COUNT_PATH)
    assert (answer.status, answer.headers["x-rotator-lane"], list(answer.json)) == (200, "native", ["input_tokens"])
    assert sent(house) == {"model": "text", "messages": body["messages"]}


#: Where the text is in a whole answer and in an event.
ANSWERED = {
    "chat": {False: "choices[*].message.content", True: "choices[*].delta.content"},
    "messages": {False: "content[*].text", True: "delta.text"},
}


@LIVE
@BOTH
@STREAM
async def test_a_client_does_not_get_the_member(house: House, protocol: str, stream: bool) -> None:
    """Of the same answer without the adapter everything else is there."""
    model = house.play(Play("text"))
    plain = await house.call(protocol, model, stream=stream)
    where = "event" if stream else "response"
    await furnish(house, protocol, {"drop_field": {"field": ANSWERED[protocol][stream], "where": where}})
    answer = await house.call(protocol, model, stream=stream)
    found = said(protocol, answer, stream=stream, model=model)
    name = "content" if protocol == "chat" else "text"
    before = events(plain.body) if stream else [plain.json]
    assert len(found) == len(before) > 0
    lost = 0
    for one, other in zip(found, before, strict=True):
        for holder, full in zip(holders(protocol, one), holders(protocol, other), strict=True):
            lost += name in full
            assert holder == {key: value for key, value in full.items() if key != name}
    assert lost > (1 if stream else 0)


def holders(protocol: str, body: Any) -> list[Any]:
    """The objects that an answer or an event has its text in."""
    if protocol == "chat":
        return [choice.get("message") or choice.get("delta") for choice in body["choices"]]
    return [*body.get("content", ()), *([body["delta"]] if "delta" in body else [])]


@LIVE
@BOTH
async def test_the_other_direction_stays(house: House, protocol: str) -> None:
    """An answer's path in a stream, and the other way round, changes nothing."""
    fields = ["choices", "content", "delta"]
    async with canned(Canned(FRAMES[protocol], headers=SSE)) as server:
        await furnish(house, protocol, {"drop_field": {"fields": fields, "where": "response"}}, base=server.url)
        streamed = await house.call(protocol, "m", stream=True)
        server.answer = Canned([WHOLE[protocol]])
        uses = {"drop_field": {"fields": fields, "where": ["request", "event"]}}
        await furnish(house, protocol, uses, base=server.url)
        whole = await house.call(protocol, "m")
    renamed = b"".join(FRAMES[protocol]).replace(b'"model":"m"', b'"model":"%b/m"' % PROVIDERS[protocol].encode())
    assert events(streamed.body) == events(renamed)
    assert (whole.status, whole.headers["x-rotator-lane"], whole.body) == (200, "native", WHOLE[protocol])
