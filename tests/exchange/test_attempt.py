"""One attempt: what an upstream's answer is taken for, and what of it may be shown."""

import asyncio
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.exchange.staging import furnish, last_line
from tests.proxy import make_world, serving
from tests.upstreams import (
    CHAT_FRAMES,
    COUNT_PATH,
    FRAMES,
    JSON,
    PROVIDERS,
    SSE,
    WHOLE,
    Answer,
    Canned,
    Gate,
    House,
    Raw,
    Reply,
    body_of,
    canned,
    cut,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)

#: A vendor's own error envelope with more in it than any table of ours knows.
ENVELOPES = {
    "chat": {
        "error": {"message": "Bad thing", "type": "odd_type", "param": "tools[0].n", "code": "odd_code", "n": 1.5},
        "trace": [{"a": None}],
    },
    "messages": {
        "type": "error",
        "error": {"type": "odd_error", "message": "Bad thing", "details": {"error_code": "odd_code", "n": [1]}},
        "request_id": "req_of_the_vendor",
    },
}


async def told(house: House, protocol: str, step: Any, *, stream: bool = False) -> Answer:
    """What the client gets where the vendor does this."""
    return await house.call(protocol, house.play(step), stream=stream)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_a_vendors_own_error_passes_field_by_field(house: House, protocol: str, stream: bool) -> None:
    answer = await told(house, protocol, Reply(422, body=ENVELOPES[protocol]), stream=stream)
    assert (answer.status, answer.json) == (422, ENVELOPES[protocol])
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.pitfall("C247")
@BOTH
async def test_an_error_that_quotes_a_key_is_redacted_wherever_it_does(house: House, protocol: str) -> None:
    await house.furnish(keys=2, PROXY_API_KEY="client-key-of-the-proxy")
    own, other = house.keys[PROVIDERS[protocol]]
    body = {
        "type": "error",
        "error": {"type": own, "message": f"key {other} and client-key-of-the-proxy", "code": own, "x": {own: [own]}},
    }
    house.vendor.script_key(own, Reply(400, body=body))
    sent = {"authorization": "Bearer client-key-of-the-proxy"}
    answer = await house.ask(protocol, house.body(protocol, "text"), headers=sent)
    assert answer.status == 400
    assert answer.error["message"] == "key [redacted] and [redacted]"
    assert answer.error["x"] == {"[redacted]": ["[redacted]"]}
    for secret in (own, other, "client-key-of-the-proxy"):
        assert secret not in answer.body.decode()
        assert secret not in house.proxy.lines.getvalue()


@pytest.mark.pitfall("C248")
@BOTH
@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        ({"content-type": "text/html"}, b"<html><b>Oh no</b>", "upstream answered HTTP 400 without an error message"),
        ({"content-type": "text/plain"}, b"Slow down\n", "Slow down"),
        ({}, b"", "upstream answered HTTP 400 without an error message"),
        (JSON, b"[]", "upstream answered HTTP 400 without an error message"),
        (JSON, b'"text"', "upstream answered HTTP 400 without an error message"),
        (JSON, b'{"error":"just text"}', "just text"),
        (JSON, b'{"message":"said so"}', "said so"),
        (JSON, b'{"detail":"in detail"}', "in detail"),
        (JSON, b'{"error":{"message":"' + b"x" * 100_000, "upstream answered HTTP 400 without an error message"),
    ],
)
async def test_any_other_error_body_is_told_in_the_clients_envelope(
    house: House, protocol: str, headers: dict[str, str], body: bytes, message: str
) -> None:
    answer = await told(house, protocol, Raw(400, headers, [body] if body else []))
    assert answer.status == 400
    assert answer.error["message"] == message
    assert answer.error["type"] == "invalid_request_error"
    assert ("type" in answer.json) == (protocol == "messages")


@pytest.mark.pitfall("C263")
@BOTH
async def test_a_redirect_is_not_followed(house: House, protocol: str) -> None:
    async with canned(Canned(status=307, headers={"location": house.vendor.url + "/v1/models"})) as server:
        await house.furnish(base=server.url)
        before = len(house.vendor.requests)
        answer = await house.call(protocol, "any")
    assert (answer.status, len(house.vendor.requests), {one.line.split()[0] for one in server.taken}) == (
        502, before, {"POST"}
    )
    assert answer.error["message"] == "upstream: HTTP 307 redirect, not followed"
    assert "location" not in answer.names


@pytest.mark.pitfall("C264")
@BOTH
@pytest.mark.parametrize("body", [b"<html>", b"", b'{"choices":', b'{"a":NaN}', b"\xff\xfe"])
async def test_a_whole_answer_that_is_no_json_goes_to_the_next_key(house: House, protocol: str, body: bytes) -> None:
    await house.furnish(keys=2)
    html = {"content-type": "text/html"}
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Raw(200, html, [body] if body else []))
    answer = await house.call(protocol, "text")
    assert (answer.status, house.used(protocol)) == (200, [1, 2])
    alone = await told(house, protocol, Raw(200, html, [body] if body else []))
    why = "the answer is not JSON (text/html)" if body else "the answer is empty"
    assert (alone.status, alone.error["message"]) == (502, f"{PROVIDERS[protocol]}: {why}")


@pytest.mark.pitfall("P-121", "C257")
@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_in_a_200_is_an_error(house: House, protocol: str, stream: bool) -> None:
    await house.furnish(keys=2)
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many"}}
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Reply(200, {"retry-after": "30"}, error))
    answer = await house.call(protocol, "text", stream=stream)
    assert (answer.status, house.used(protocol)) == (200, [1, 2])
    [[reason], []] = [one.reasons for one in house.standing(protocol, "text")]
    assert (reason.code, reason.until) == ("cooldown", house.clock.now + 30)


@BOTH
async def test_a_whole_answer_where_a_stream_was_asked_for_is_a_bad_gateway(house: House, protocol: str) -> None:
    answer = await told(house, protocol, Raw(200, JSON, [WHOLE[protocol]]), stream=True)
    assert (answer.status, answer.error["message"]) == (
        502, f"{PROVIDERS[protocol]}: a whole answer came where a stream was asked for"
    )


#: The beginning of an answer that both protocols take for one.
ANSWERED = b'{"choices":[{}],"content":[],"pad":"'


@BOTH
async def test_an_answer_beyond_the_limit_is_a_bad_gateway(house: House, protocol: str) -> None:
    await house.furnish(config={"limits": {"response_body_bytes": 1024}})
    answer = await told(house, protocol, Raw(200, JSON, [ANSWERED + b"x" * 1024 + b'"}']))
    assert (answer.status, answer.error["message"]) == (502, f"{PROVIDERS[protocol]}: the answer is too large")
    fits = ANSWERED + b"x" * (1022 - len(ANSWERED)) + b'"}'
    assert (await told(house, protocol, Raw(200, JSON, [fits]))).status == 200


@BOTH
async def test_gzip_that_nobody_asked_for_is_decoded(house: House, protocol: str) -> None:
    packed = {"content-encoding": "gzip"}
    frames = b"".join(FRAMES[protocol])
    body = gzip.compress(WHOLE[protocol])
    answer = await told(house, protocol, Raw(200, {**JSON, **packed}, [body[:9], body[9:]]))
    assert (answer.body, "content-encoding" in answer.names) == (WHOLE[protocol], False)
    answer = await told(house, protocol, Raw(200, {**SSE, **packed}, [gzip.compress(frames)]), stream=True)
    assert (answer.body, "content-encoding" in answer.names) == (frames, False)
    large = json.dumps({"content": ["x" * 300_000], "choices": [{}], "type": "message"}).encode()
    answer = await told(house, protocol, Raw(200, {**JSON, **packed}, [gzip.compress(large)]))
    assert (answer.status, answer.body) == (200, large)
    for coding, sent in (("gzip", body[:-9]), ("gzip", b"no gzip"), ("br", b"??")):
        answer = await told(house, protocol, Raw(200, {**JSON, "content-encoding": coding}, [sent]))
        assert answer.status == 502


PASSED = {
    "chat": {"x-request-id": "r1", "openai-processing-ms": "9", "openai-version": "v", "x-ratelimit-odd-thing": "3"},
    "messages": {"request-id": "r1", "anthropic-ratelimit-odd-thing": "3"},
}
KEPT_BACK = {
    "set-cookie": "a=b",
    "server": "vendor/1",
    "via": "x",
    "x-rotator-lane": "native",
    "x-rotator-odd": "1",
    "openai-organization": "org",
    "anthropic-organization-id": "org",
    "strict-transport-security": "max-age=1",
    "access-control-allow-origin": "*",
    "retry-after": "7",
    "x-should-retry": "true",
    "connection": "keep-alive",
}


@pytest.mark.pitfall("C249")
@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_only_listed_headers_of_the_vendor_pass(house: House, protocol: str, stream: bool) -> None:
    body, kind = (b"".join(FRAMES[protocol]), SSE) if stream else (WHOLE[protocol], JSON)
    answer = await told(
        house, protocol, Raw(200, {**kind, **PASSED[protocol], **KEPT_BACK}, [body]), stream=stream
    )
    assert answer.status == 200
    for name, value in PASSED[protocol].items():
        assert answer.headers[name] == value
    own = {"x-rotator-lane", "x-rotator-request-id", "x-rotator-trace-id", "x-rotator-attempts", "x-rotator-provider"}
    framing = {"content-type", "cache-control", "date", *(["x-accel-buffering", "transfer-encoding"] if stream else [])}
    whole = set() if stream else {"content-length", "vary"}
    assert answer.names == {*PASSED[protocol], *own, "x-rotator-model", *framing, *whole}
    assert answer.headers["x-rotator-lane"] == "raw"
    assert answer.headers["cache-control"] == ("no-cache" if stream else "no-store")


@BOTH
async def test_a_header_that_quotes_a_key_is_dropped(house: House, protocol: str) -> None:
    await house.furnish(keys=2)
    own, other = house.keys[PROVIDERS[protocol]]
    name, second = list(PASSED[protocol])[:2]
    house.vendor.script_key(own, Raw(200, {**JSON, name: f"for {other}", second: "fine"}, [WHOLE[protocol]]))
    answer = await house.call(protocol, "text")
    assert (name in answer.names, answer.headers[second]) == (False, "fine")


@BOTH
async def test_odd_bytes_in_a_header_break_nothing(house: House, protocol: str) -> None:
    name = next(iter(PASSED[protocol]))
    answer = await told(house, protocol, Raw(200, {**JSON, name: "a\xfc\xe2\x80\xa8b"}, [WHOLE[protocol]]))
    assert (answer.status, answer.body) == (200, WHOLE[protocol])
    assert answer.headers[name][0] + answer.headers[name][-1] == "ab"


@BOTH
async def test_the_vendors_content_type_passes_where_it_is_the_right_one(house: House, protocol: str) -> None:
    for told_type, shown in (
        ("application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("text/html", "application/json"),
    ):
        answer = await told(house, protocol, Raw(200, {"content-type": told_type}, [WHOLE[protocol]]))
        assert answer.headers["content-type"] == shown
    frames = b"".join(FRAMES[protocol])
    answer = await told(house, protocol, Raw(200, {"content-type": "text/plain"}, [frames]), stream=True)
    assert (answer.headers["content-type"], answer.body) == ("text/event-stream", frames)


@pytest.mark.pitfall("C167")
@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_told_of_the_request(house: House, protocol: str, stream: bool) -> None:
    answer = await house.call(protocol, "text", stream=stream)
    heads = answer.headers
    assert (heads["x-rotator-provider"], heads["x-rotator-model"]) == (PROVIDERS[protocol], "text")
    assert heads["x-rotator-request-id"] == heads["x-rotator-trace-id"]
    assert heads["x-rotator-attempts"] == "1"


def timers() -> set[str]:
    """What waits for a time on an upstream's account."""
    loop: Any = asyncio.get_running_loop()
    waiting = [repr(timer) for timer in loop._scheduled if not timer.cancelled()]
    return {timer for timer in waiting if "Reply." in timer}


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_over_leaves_no_timer(house: House, protocol: str, stream: bool) -> None:
    chunks, kind = (FRAMES[protocol], SSE) if stream else (cut(WHOLE[protocol], [10, 20]), JSON)
    gate = Gate()
    before = timers()
    model = house.play(Raw(200, kind, chunks, gate))
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(house.call(protocol, model, stream=stream))
        await until(lambda: house.vendor.requests[-1].status and model.encode() in house.vendor.requests[-1].body)
        gate.open()
    assert asking.result().status == 200
    await house.idle()
    assert timers() - before == set()


async def test_counted_tokens_come_back(house: House) -> None:
    body = {"model": "claudish/text", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await house.ask("messages", body, path=COUNT_PATH)
    assert (answer.status, answer.json["input_tokens"] > 0) == (200, True)
    assert house.vendor.requests[-1].path == COUNT_PATH
    assert json.loads(house.vendor.requests[-1].body)["model"] == "text"
    failing = house.play(Reply(529))
    answer = await house.ask("messages", {**body, "model": f"claudish/{failing}"}, path=COUNT_PATH)
    assert (answer.status, answer.error["type"]) == (529, "overloaded_error")


@pytest.mark.parametrize("frames", [0, 2])
async def test_a_vendor_that_falls_silent_is_given_up(house: House, tmp_path: Path, frames: int) -> None:
    gate = Gate()
    gate.release(frames)
    silent, base = house.play(Raw(200, SSE, CHAT_FRAMES, gate)), house.vendor.chat_base
    environ = {"VENDOR_API_BASE": base, "VENDOR_API_KEY": "a-key-a", "TIMEOUT_READ_STREAMING": "0.03"}
    world = make_world(environ, tmp_path, config="{retry: {same_key: 0}, timeouts: {connect: 0.02}}")
    async with serving(world) as proxy, aiohttp.ClientSession() as client:
        body = body_of("chat", f"vendor/{silent}", stream=True)
        async with client.post(f"{proxy.chat_base}/chat/completions", json=body) as reply:
            answer = Answer(reply.status, reply.headers, await reply.read())
    if frames:
        shown = b"".join(CHAT_FRAMES[:2])
        assert (answer.status, answer.body[: len(shown)]) == (200, shown)
        error = json.loads(answer.body[len(shown) :].removeprefix(b"data: "))["error"]
    else:
        assert answer.status == 504
        error = answer.error
    who = "upstream" if frames else "vendor"
    assert (error["message"], error["code"]) == (f"{who}: no answer in time", "read_timeout")


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_bad_gateway(house: House, sent: bytes) -> None:
    async with canned(Canned(raw=sent)) as server:
        await house.furnish(base=server.url)
        answer = await house.call("chat", "any")
    assert (answer.status, answer.error["code"]) == (502, "bad_http")


# Exact metering.

OPTIONS = {
    "none": ({}, {"include_usage": True}),
    "null": ({"stream_options": None}, {"include_usage": True}),
    "false": ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
    "others": (
        {"stream_options": {"include_obfuscation": False, "n": [1]}},
        {"include_obfuscation": False, "n": [1], "include_usage": True},
    ),
}
COUNTS = b'{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}'
#: A stream of a vendor that was asked for usage: null in every chunk, the counts in one without choices.
METERED = [
    *(frame.replace(b"}]}\n\n", b'}],"usage":null}\n\n') for frame in CHAT_FRAMES[:-1]),
    b'data: {"choices":[],"usage":' + COUNTS + b"}\n\n",
    CHAT_FRAMES[-1],
]


async def metered(house: House, protocol: str, frames: Sequence[bytes], **asked: Any) -> tuple[Answer, Any]:
    """An answer where usage counts exactly, and what the upstream was sent."""
    async with canned(Canned(frames, headers=SSE if asked.get("stream") else JSON)) as server:
        await furnish(house, base=server.url, metering="exact")
        answer = await house.call(protocol, "m", **asked)
        await house.idle()
    [taken] = server.taken
    return answer, taken


@pytest.mark.parametrize("options", OPTIONS)
async def test_usage_is_asked_for_recorded_and_kept_from_a_client_that_did_not_ask(house: House, options: str) -> None:
    sent, expected = OPTIONS[options]
    answer, taken = await metered(house, "chat", METERED, stream=True, **sent)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "native")
    assert json.loads(taken.body) == body_of("chat", "m", stream=True, stream_options=expected)
    assert answer.body == b"".join(CHAT_FRAMES)
    assert " 7+4 tok" in last_line(house)


async def test_a_client_that_asked_for_usage_gets_it(house: House) -> None:
    options = {"include_obfuscation": True, "include_usage": True}
    answer, taken = await metered(house, "chat", METERED, stream=True, stream_options=options)
    assert json.loads(taken.body)["stream_options"] == options
    assert answer.body == b"".join(METERED)
    assert " 7+4 tok" in last_line(house)


async def test_usage_beside_choices_is_told_unasked(house: House) -> None:
    *shown, finish, done = CHAT_FRAMES
    told = [*shown, finish.replace(b"}]}\n\n", b'}],"usage":' + COUNTS + b"}\n\n"), done]
    answer, _ = await metered(house, "chat", told, stream=True)
    assert answer.body == b"".join(told)
    assert " 7+4 tok" in last_line(house)


async def test_usage_that_an_asked_vendor_does_not_tell_is_estimated(house: House) -> None:
    answer, _ = await metered(house, "chat", CHAT_FRAMES, stream=True)
    assert answer.body == b"".join(CHAT_FRAMES)
    assert re.search(r" ~\d+\+4 tok", last_line(house))


async def test_a_whole_answer_tells_its_usage_unasked(house: House) -> None:
    body = WHOLE["chat"][:-1] + b',"usage":' + COUNTS + b"}"
    answer, taken = await metered(house, "chat", [body])
    assert json.loads(taken.body) == body_of("chat", "m")
    assert (answer.headers["x-rotator-lane"], answer.json) == ("native", json.loads(body))
    assert " 7+4 tok" in last_line(house)


@pytest.mark.parametrize("stream", [False, True])
async def test_where_streams_tell_their_usage_the_lane_stays_raw(house: House, stream: bool) -> None:
    frames = FRAMES["messages"] if stream else [WHOLE["messages"]]
    answer, taken = await metered(house, "messages", frames, stream=stream)
    assert (answer.headers["x-rotator-lane"], answer.body) == ("raw", b"".join(frames))
    assert json.loads(taken.body) == body_of("messages", "m", stream=stream)


@pytest.mark.parametrize("lane", ["raw", "native"])
async def test_without_it_usage_is_never_asked_for(house: House, lane: str) -> None:
    async with canned(Canned(CHAT_FRAMES, headers=SSE)) as server:
        await furnish(house, base=server.url, lane=lane)
        answer = await house.call("chat", "m", stream=True)
        await house.idle()
    assert (answer.headers["x-rotator-lane"], answer.body) == (lane, b"".join(CHAT_FRAMES))
    assert b"stream_options" not in server.taken[0].body
    assert re.search(r" ~\d+\+4 tok", last_line(house))


async def test_the_strict_vendor_is_asked_as_it_wants(house: House) -> None:
    """It refuses ``stream_options`` where no stream is asked for, and null in its place it does not mind."""
    await furnish(house, metering="exact")
    for model in ("text", "thinking", "long"):
        whole = await house.call("chat", model)
        counts = whole.json["usage"]
        for stream_options in ({}, {"stream_options": None}):
            stream = await house.call("chat", model, stream=True, **stream_options)
            await house.idle()
            assert (stream.status, b'"usage"' in stream.body, stream.body.count(b"[DONE]")) == (200, False, 1)
            assert f" {counts['prompt_tokens']}+{counts['completion_tokens']} tok" in last_line(house)
