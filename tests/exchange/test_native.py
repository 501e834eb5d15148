"""The native lane without adapters: the same JSON and the same events, written anew under the client's model name."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exchange.staging import (
    ERRORS,
    SENT,
    SHOWN,
    SPARES,
    TERMINAL,
    committed,
    doubted,
    ends_in_error,
    exactly,
    furnish,
    streamed,
)
from tests.upstreams import (
    BEFORE_VISIBLE,
    JSON,
    PROVIDERS,
    SSE,
    UNTIL_FINISH,
    WHOLE,
    Answer,
    Canned,
    CannedServer,
    Gate,
    House,
    Play,
    Raw,
    Reply,
    body_of,
    canned,
    cut,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
PROPERTY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest_asyncio.fixture(loop_scope="module")
async def native(house: House) -> House:
    """The house with both providers on the native lane."""
    await furnish(house, lane="native")
    return house


@pytest_asyncio.fixture(loop_scope="module")
async def upstream(house: House) -> AsyncIterator[CannedServer]:
    """A server of canned bytes behind the native lane, one for all examples of a property."""
    async with canned(Canned()) as server:
        await furnish(house, base=server.url, lane="native")
        yield server


# Whole answers and requests.

ODD = (
    b' {"n": 1.0, "n": 1,\r\n "big": 123456789012345678901234567890, "least": -9223372036854775809, "e": 1E5,\t'
    b'"lone": "\\ud83d", "pair": "\\ud83d\\ude80", "model": "vendors/own-name@1", "inner": {"model": "as it was"},'
    b'"type":"message", "content" : [], "choices" :[ {"model":"as it was"} ], "stop_reason":"x", "":null, "f": 0.1,'
    b'"u":"\xe2\x80\xa8\xc2\x85\\u00e9\xf0\x9f\x9a\x80", "z": 1, "a": 2 }\n'
)


@pytest.mark.pitfall("C167")
@BOTH
async def test_a_whole_answer_means_the_same_under_the_clients_name(native: House, protocol: str) -> None:
    large = b'{"type":"message","choices":[{}],"model":"vendors/own-name@1","content":["' + b"x" * 2_000_000 + b'"]}'
    for body in (ODD, large):
        model = native.play(Raw(200, JSON, cut(body, [1, 2, 3, 70_000, 900_000])))
        answer = await native.call(protocol, model)
        public = f'"{PROVIDERS[protocol]}/{model}"'.encode()
        assert answer.status == 200
        assert exactly(answer.body) == exactly(body.replace(b'"vendors/own-name@1"', public))
        assert answer.headers["content-length"] == str(len(answer.body))
        assert (answer.headers["x-rotator-lane"], answer.headers["x-rotator-model"]) == ("native", model)


@BOTH
@pytest.mark.parametrize("model", [b"", b'"model":7,', b'"model":null,', b'"model":{"model":"x"},'])
async def test_a_model_that_is_no_name_stays(native: House, protocol: str, model: bytes) -> None:
    body = b"{%b" % model + WHOLE[protocol][1:]
    answer = await native.call(protocol, native.play(Raw(200, JSON, [body])))
    assert exactly(answer.body) == exactly(body)


REQUESTS = {
    "order": b'{"z":1,"a":2,"model":@,"m":3}',
    "duplicates": b'{"n":1,"n":2,"model":"other/x","n":3,"o":{"n":1,"n":1},"model":@}',
    "numbers": b'{"a":1.0,"b":1,"c":1e0,"d":1E+2,"e":-0.0,"f":0.10,"model":@}',
    "big": b'{"big":123456789012345678901234567890,"neg":-9223372036854775809,"model":@,"u":18446744073709551616}',
    "unknown": b'{"model":@,"never.seen":{"\\u0000":[[],{},null,true]},"":""}',
    "surrogates": b'{"model":@,"lone":"\\ud83d","pair":"\\ud83d\\ude80","low":"\\ude80x"}',
    "escapes": b'{"a":"\\u00e9\\/\\b","mod\\u0065l":@,"c":"\xc3\xa9/\xf0\x9f\x9a\x80","d":"\xe2\x80\xa8\xc2\x85"}',
    "inner models": b'{"a":{"model":"claudish/x"},"b":"\\"model\\": \\"y\\"","model":@,"c":[{"model":1}]}',
    "deep": b'{"model":@,"d":' + b"[" * 190 + b"]" * 190 + b"}",
}


@pytest.mark.pitfall("C162")
@BOTH
@pytest.mark.parametrize("odd", REQUESTS)
async def test_the_upstream_gets_the_clients_json_but_for_the_model(
    house: House, upstream: CannedServer, protocol: str, odd: str
) -> None:
    upstream.answer = Canned([WHOLE[protocol]])
    body = REQUESTS[odd].replace(b"@", f'"{PROVIDERS[protocol]}/some/model@1"'.encode())
    answer = await house.ask(protocol, body)
    [taken] = upstream.taken
    assert answer.status == 200, answer.body
    assert exactly(taken.body) == exactly(REQUESTS[odd].replace(b"@", b'"some/model@1"'))
    assert taken.headers["content-length"] == str(len(taken.body))


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20) | st.sampled_from(["\ud83d", "\u2028\u2029\x85", "\x00"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just("model"), inner),
    max_leaves=12,
)


@pytest.mark.pitfall("C183")
@given(fields=st.dictionaries(st.text(max_size=8), VALUES, max_size=6), escaped=st.booleans())
@PROPERTY
async def test_any_json_passes_both_ways(
    house: House, upstream: CannedServer, fields: dict[str, Any], escaped: bool
) -> None:
    sent = {**fields, "model": "vendor/m", "stream": False}
    told = {**fields, "choices": [fields], "error": None, "model": "m"}
    upstream.answer = Canned([json.dumps(told, ensure_ascii=escaped).encode("utf-8", "surrogatepass")])
    if not escaped and "\\ud83d" in json.dumps(fields):
        return  # a lone surrogate can only be written as an escape
    answer = await house.ask("chat", json.dumps(sent, ensure_ascii=escaped).encode())
    assert exactly(upstream.taken[-1].body) == json.dumps({**sent, "model": "m"})
    assert exactly(answer.body) == json.dumps({**told, "model": "vendor/m"})


async def test_counted_tokens_come_back_as_they_are(native: House) -> None:
    body = {"model": "claudish/text", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await native.ask("messages", body, path="/v1/messages/count_tokens")
    assert (answer.status, list(answer.json)) == (200, ["input_tokens"])
    assert answer.headers["x-rotator-lane"] == "native"
    assert json.loads(native.vendor.requests[-1].body) == {**body, "model": "text"}


# The demo models: what comes over the native lane is what comes raw.


def alike(answer: Answer, model: str, public: str) -> list[Any]:
    """What an answer says, event by event, but for numbers that are new each time; the model's name stands open."""
    text = re.sub(r"[0-9a-f]{24}", "TOKEN", answer.body.decode())
    frames = [frame.partition("data: ") for frame in text.split("\n\n")] if "data: " in text else [("", "", text)]
    found = []
    for name, _, data in filter(lambda parts: parts[2], frames):
        value = data if data == "[DONE]" else json.loads(data)
        for place in (value, value.get("message")) if isinstance(value, dict) else ():
            if isinstance(place, dict) and "model" in place:
                assert place["model"] == public
                place["model"] = model
        found.append((name, json.dumps(value)))
    return found


@BOTH
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_every_demo_model_says_the_same_as_raw(house: House, protocol: str, stream: bool) -> None:
    native = PROVIDERS[protocol]
    world = await furnish(house, lane="native")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"name": "f", "parameters" if protocol == "chat" else "input_schema": schema}
    asked = {"tools": [{"type": "function", "function": tool} if protocol == "chat" else tool], "stream": stream}
    models = world.providers["demo"].listed
    for model in models:
        raw = await house.ask(protocol, body_of(protocol, f"{SPARES[protocol]}/{model}", **asked))
        shaped = await house.call(protocol, model, **asked)
        assert (shaped.status, shaped.headers["x-rotator-lane"]) == (raw.status, "native")
        assert shaped.headers["content-type"] == raw.headers["content-type"]
        without_signature = [
            [(name, re.sub(r'"(?:signature|data)": "[^"]+"', "", data)) for name, data in alike(answer, model, public)]
            for answer, public in ((shaped, f"{native}/{model}"), (raw, model))
        ]
        assert without_signature[0] == without_signature[1]
    assert len(models) > 8


# Streams, frame by frame.

#: What a vendor may send, and what of it the client gets.
FORMS = (
    (b": a comment\n\n", b": a comment\n\n"),
    (b":\n: two lines\nretry: 10\n\n", b":\n: two lines\n\n"),
    (b"id: 7\n\n", b""),
    (
        b'event: unheard.of\nid: 8\ndata: {"type":"unheard.of","n":1.0,"n":1,"big":123456789012345678901234567890}\n\n',
        b'event: unheard.of\ndata: {"type":"unheard.of","n":1,"big":123456789012345678901234567890}\n\n',
    ),
    (b'data:{"choices":[],"type":"no_space"}\n\n', b'data: {"choices":[],"type":"no_space"}\n\n'),
    (
        b'data: {"choices":[],\ndata:  "type":\ndata: "many_lines"}\n\n',
        b'data: {"choices":[],"type":"many_lines"}\n\n',
    ),
    (
        b': inside\nretry: 3\nevent: named\ndata: {"z":1,"choices":[],"a":2}\n: behind\n\n',
        b'event: named\ndata: {"z":1,"choices":[],"a":2}\n\n',
    ),
    (b"\n\n", b""),
    (b"unknown: field\nand one without a colon\n\n", b""),
)


def odd_stream(protocol: str, which: int) -> bytes:
    """A whole stream with the odd frames before, between and behind the ordinary ones: as sent (0) or as shown (1)."""
    first, *rest, last = (SENT, SHOWN)[which][protocol]
    odd = [pair[which] for pair in FORMS]
    return b"".join([*odd[:3], first, *odd, *rest, *odd[3:6], last])


@pytest.mark.pitfall("C271")
@BOTH
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@given(places=st.lists(st.integers(0, 10_000), max_size=12))
@PROPERTY
async def test_any_chunking_and_line_end_gives_the_same_bytes(
    native: House, protocol: str, line_end: bytes, places: list[int]
) -> None:
    sent = odd_stream(protocol, 0).replace(b"\n", line_end)
    answer = await streamed(native, protocol, *cut(sent, places))
    assert (answer.status, answer.body) == (200, odd_stream(protocol, 1))


@BOTH
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
async def test_a_stream_of_single_bytes_is_no_different(
    house: House, upstream: CannedServer, protocol: str, line_end: bytes
) -> None:
    stream = odd_stream(protocol, 0).replace(b"\n", line_end)
    upstream.answer = Canned([bytes([byte]) for byte in stream], headers=SSE)
    answer = await house.call(protocol, "scripted", stream=True)
    assert (answer.status, answer.body) == (200, odd_stream(protocol, 1))


@BOTH
async def test_texts_stay_whatever_characters_they_hold(native: House, protocol: str) -> None:
    """What some clients take for line ends stands escaped, however the vendor wrote it."""
    text = 'Gr\u00fc\u00dfe \U0001f680 \u2028\u2029\x85 " \\ \x00 \ud83d'
    spelled = json.dumps(text)
    raw = spelled.replace("\\u2028\\u2029\\u0085", "\u2028\u2029\u0085").replace("\\u00fc", "\u00fc").encode()
    for written in (spelled.encode(), raw):
        frames = b"".join(SENT[protocol]).replace(b'"two"', written)
        answer = await streamed(native, protocol, frames[:-80], frames[-80:])
        assert answer.body.isascii() or not {"\u2028", "\u2029", "\x85"} & set(answer.body.decode())
        events = re.findall(r"data: (\{.*\})", answer.body.decode())
        assert [text in json.dumps(json.loads(one), ensure_ascii=False) or spelled in json.dumps(json.loads(one))
                for one in events].count(True) == 1
        assert answer.body.count(b"\n\n") == len(SENT[protocol])


@BOTH
async def test_invalid_utf8_is_mended(native: House, protocol: str) -> None:
    answer = await streamed(native, protocol, b"\xef\xbb\xbf" + b"".join(SENT[protocol]).replace(b"two", b"t\xffwo"))
    assert answer.body == b"".join(SHOWN[protocol]).replace(b"two", "t\ufffdwo".encode())


@BOTH
async def test_streams_are_relayed_in_lock_step(native: House, protocol: str) -> None:
    gate = Gate()
    sent, shown = SENT[protocol], SHOWN[protocol]
    hidden = BEFORE_VISIBLE[protocol]
    native.vendor.script("scripted", Raw(200, SSE, sent, gate))
    opened, finished = asyncio.Event(), asyncio.Event()

    async def client() -> None:
        async with native.asking(protocol, native.body(protocol, "scripted", stream=True)) as reply:
            opened.set()
            first = b"".join(shown[: hidden + 1])
            assert await reply.content.readexactly(len(first)) == first
            for frame in shown[hidden + 1 :]:
                assert not reply.content._buffer
                gate.release()
                assert await reply.content.readexactly(len(frame)) == frame
            assert await reply.read() == b""
            finished.set()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(client())
        for _ in range(hidden):
            gate.release()
            await until(lambda: not gate._permits)
            await asyncio.sleep(0.002)
            assert not opened.is_set()  # nothing was seen yet: this may still be rotated
        gate.release()
    assert finished.is_set()


@BOTH
@pytest.mark.parametrize("model", ["text", "tools", "thinking", "unicode"])
async def test_a_models_events_come_one_by_one(native: House, protocol: str, model: str) -> None:
    tool = {"name": "f", "parameters" if protocol == "chat" else "input_schema": {"type": "object"}}
    tools = [{"type": "function", "function": tool} if protocol == "chat" else tool]
    gate = Gate()
    body = native.body(protocol, native.play(Play(model), Play(model, gate)), stream=True, tools=tools)
    frames = (await native.ask(protocol, body)).body.count(b"\n\n")
    gate.release(4)
    async with asyncio.timeout(5), native.asking(protocol, body) as reply:
        for number in range(frames):
            if number >= 4:
                assert not reply.content._buffer
                gate.release()
            assert b"data: " in await reply.content.readuntil(b"\n\n")
        assert await reply.read() == b""


# Ends.


@BOTH
@pytest.mark.parametrize("together", [True, False])
async def test_nothing_behind_the_terminal_passes(native: House, protocol: str, together: bool) -> None:
    sent = SENT[protocol]
    behind = [*sent, ERRORS[protocol], b": bye\n\n", *sent]
    answer = await streamed(native, protocol, *([b"".join(behind)] if together else behind))
    assert answer.body == b"".join(SHOWN[protocol])


@BOTH
async def test_a_missing_terminal_is_supplied_to_a_finished_answer(native: House, protocol: str) -> None:
    finish = UNTIL_FINISH[protocol]
    for begun in (0, finish):
        sent = SENT[protocol][begun:finish]
        answer = await (committed(native, protocol, begun, *sent) if begun else streamed(native, protocol, *sent))
        assert answer.body == b"".join(SHOWN[protocol][:finish]) + TERMINAL[protocol]
    assert not doubted(native, protocol)


@BOTH
async def test_a_last_frame_without_its_blank_line_counts(native: House, protocol: str) -> None:
    sent, shown, finish = SENT[protocol], SHOWN[protocol], UNTIL_FINISH[protocol]
    for tail in (b"\n\n", b"\n"):
        answer = await streamed(native, protocol, *sent[:-1], sent[-1].removesuffix(tail))
        assert answer.body == b"".join(shown)
        answer = await committed(native, protocol, finish - 1, sent[finish - 1].removesuffix(tail))
        assert answer.body == b"".join(shown[:finish]) + TERMINAL[protocol]


@BOTH
@pytest.mark.parametrize("end", ["clean", "drop", "reset"])
async def test_what_ends_before_the_finish_reason_ends_in_an_error(native: House, protocol: str, end: str) -> None:
    begun = UNTIL_FINISH[protocol] - 1
    answer = await committed(native, protocol, begun, b'data: {"half', end=end)
    why = "the stream ended before the answer was complete" if end == "clean" else "the answer broke off"
    assert ends_in_error(protocol, answer, SHOWN[protocol][:begun])["message"] == f"upstream: {why}"
    await native.idle()
    assert doubted(native, protocol)


@BOTH
async def test_half_an_event_never_reaches_the_client(native: House, protocol: str) -> None:
    begun = BEFORE_VISIBLE[protocol] + 1
    for half in (b'data: {"choices":[{"index":0,"delta":{"con', b"event: content_block_delta\ndata: {", b": comment\n"):
        ends_in_error(protocol, await committed(native, protocol, begun, half), SHOWN[protocol][:begun])


@BOTH
@pytest.mark.parametrize("together", [True, False])
async def test_the_vendors_error_frame_ends_the_stream(native: House, protocol: str, together: bool) -> None:
    sent = SENT[protocol]
    begun = len(sent) - 3
    failing = [sent[begun], ERRORS[protocol].replace(b'"more"', b'"model":"m","more"'), *sent[-2:]]
    answer = await committed(native, protocol, begun, *([b"".join(failing)] if together else failing))
    error = ends_in_error(protocol, answer, SHOWN[protocol][: begun + 1])
    assert (error["message"], error["type"]) == ("It broke", "server_error" if protocol == "chat" else "api_error")


@BOTH
@pytest.mark.parametrize("data", [b"{broken", b"[1]", b'"text"', b"{} {}", b'{"finish_reason":null,}'])
async def test_an_event_that_is_no_object_ends_the_stream(native: House, protocol: str, data: bytes) -> None:
    begun = BEFORE_VISIBLE[protocol] + 1
    broken = b"event: content_block_delta\ndata: " + data + b"\n\n"
    answer = await committed(native, protocol, begun, broken, *SENT[protocol][begun:])
    error = ends_in_error(protocol, answer, SHOWN[protocol][:begun])
    assert error["message"] == "upstream: an event of the stream is not JSON"
    await furnish(native, keys=2, lane="native")
    native.vendor.script_key(native.keys[PROVIDERS[protocol]][0], Raw(200, SSE, [broken]))
    again = await native.call(protocol, "text", stream=True)
    assert (again.status, native.used(protocol)) == (200, [1, 2])


async def test_events_that_the_sdk_does_not_parse_may_hold_anything(native: House) -> None:
    odd = b"event: vendor.thing\nid: 9\ndata: not\ndata: json\n\n"
    first, *rest = SENT["messages"]
    answer = await streamed(native, "messages", first, odd, *rest)
    shown = [SHOWN["messages"][0], odd.replace(b"id: 9\n", b""), *SHOWN["messages"][1:]]
    assert answer.body == b"".join(shown)


@BOTH
async def test_a_failure_before_anything_visible_rotates(native: House, protocol: str) -> None:
    await furnish(native, keys=2, lane="native")
    first = native.keys[PROVIDERS[protocol]][0]
    opening = SENT[protocol][:1]
    for failing in (Reply(500), Raw(200, SSE, [*opening, ERRORS[protocol]]), Raw(200, SSE, opening)):
        native.vendor.script_key(first, failing)
        answer = await native.call(protocol, "text", stream=True)
        assert (answer.status, answer.headers["x-rotator-attempts"], b"rror" in answer.body) == (200, "2", False)
        native.clock.now += 61  # the doubt is over
