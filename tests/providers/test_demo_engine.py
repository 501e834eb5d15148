"""The fake vendor as a server: keys, models, scripts, lock-step, broken connections, and its own end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from .demo import CHAT, HEADERS, KEY, MESSAGES, ask, chat, engine, messages, models

BODIES = {CHAT: chat, MESSAGES: messages}
PATHS = pytest.mark.parametrize("path", BODIES)


@asynccontextmanager
async def streamed(vendor: Any, path: str, body: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer that is read bit by bit; hangs up at the end."""
    async with (
        aiohttp.ClientSession() as client,
        client.post(vendor.url + path, json={**body, "stream": True}, headers=HEADERS) as reply,
    ):
        yield reply


async def frame(reply: aiohttp.ClientResponse) -> bytes:
    """The next SSE frame."""
    lines = []
    while (line := await reply.content.readline()).strip():
        lines.append(line)
    return b"".join(lines)


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Any]:
    """An engine with options of its own."""
    vendor = engine.Engine(**options)
    await vendor.start()
    try:
        yield vendor
    finally:
        await vendor.aclose()


@PATHS
@pytest.mark.parametrize("key", [None, "Bearer ", "Basic abc", "Bearer wrong"])
async def test_a_missing_or_wrong_key_is_a_401(path: str, key: str | None) -> None:
    async with running(keys=["right"]) as vendor:
        answer = await ask(vendor, path, BODIES[path](), headers={"authorization": key})
        assert answer.status == 401
        kind = answer.json["error"]["type"]
        assert kind == ("invalid_request_error" if path == CHAT else "authentication_error")
        right = await ask(vendor, path, BODIES[path](), headers={"authorization": "Bearer right"})
        assert right.status == 200


async def test_the_messages_vendor_reads_its_own_header_first() -> None:
    async with running(keys=["right"]) as vendor:
        ok = await ask(vendor, MESSAGES, messages(), headers={"authorization": "Bearer wrong", "x-api-key": "right"})
        bad = await ask(vendor, MESSAGES, messages(), headers={"authorization": "Bearer right", "x-api-key": "wrong"})
        chat_bad = await ask(vendor, CHAT, chat(), headers={"authorization": None, "x-api-key": "right"})
        assert (ok.status, bad.status, chat_bad.status) == (200, 401, 401)


@PATHS
async def test_an_unknown_model_is_the_vendors_404(vendor: Any, path: str) -> None:
    answer = await ask(vendor, path, BODIES[path]("nope"))
    assert answer.status == 404
    error = answer.json["error"]
    assert "nope" in error["message"]
    assert (error.get("code"), error["type"]) == (
        ("model_not_found", "invalid_request_error") if path == CHAT else (None, "not_found_error")
    )


async def test_unknown_paths_and_methods_wear_the_callers_envelope(vendor: Any) -> None:
    openai = await ask(vendor, "/v1/nothing", {}, headers={"anthropic-version": None})
    anthropic = await ask(vendor, "/v1/nothing", {})
    wrong_method = await ask(vendor, MESSAGES, method="GET")
    assert (openai.status, anthropic.status, wrong_method.status) == (404, 404, 405)
    assert "type" not in openai.json
    assert anthropic.json["type"] == wrong_method.json["type"] == "error"


async def test_models_are_listed_in_both_shapes(vendor: Any) -> None:
    openai = await ask(vendor, "/v1/models", method="GET", headers={"anthropic-version": None})
    anthropic = await ask(vendor, "/v1/models", method="GET")
    assert [model["id"] for model in openai.json["data"]] == list(models.MODELS)
    assert openai.json["object"] == "list"
    assert [model["id"] for model in anthropic.json["data"]] == list(models.MODELS)
    assert anthropic.json["has_more"] is False


async def test_tokens_are_counted_without_an_answer(vendor: Any) -> None:
    body = chat()
    counted = await ask(vendor, "/v1/messages/count_tokens", body)
    answered = await ask(vendor, MESSAGES, {**body, "max_tokens": 64})
    assert counted.json == {"input_tokens": answered.json["usage"]["input_tokens"]}


async def test_a_body_beyond_the_limit_is_a_413(vendor: Any) -> None:
    answer = await ask(vendor, MESSAGES, b" " * (engine.BODY_LIMIT_BYTES + 1))
    assert answer.status == 413
    assert answer.json["error"]["type"] == "request_too_large"


@PATHS
async def test_flaky_limits_every_other_request(vendor: Any, path: str) -> None:
    answers = [await ask(vendor, path, BODIES[path]("flaky")) for _ in range(4)]
    assert [answer.status for answer in answers] == [429, 200, 429, 200]
    assert answers[0].headers["retry-after"] == "1"


@PATHS
@pytest.mark.parametrize(("model", "stream"), [("error", True), ("error", False), ("mid-error", False)])
async def test_error_models_fail_as_the_vendor_does(vendor: Any, path: str, model: str, stream: bool) -> None:
    answer = await ask(vendor, path, BODIES[path](model, stream=stream))
    kind = answer.json["error"]["type"]
    assert (answer.status, kind) == ((500, "server_error") if path == CHAT else (529, "overloaded_error"))


@PATHS
async def test_equal_requests_get_equal_bytes(path: str) -> None:
    bodies = []
    for _ in range(2):
        async with running(seed=7, clock=lambda: 1_800_000_000.0) as vendor:
            bodies.append((await ask(vendor, path, BODIES[path]("unicode", stream=True))).body)
    assert bodies[0] == bodies[1]


@PATHS
async def test_limits_and_ids_are_told_in_headers(vendor: Any, path: str) -> None:
    first, second = [await ask(vendor, path, BODIES[path]()) for _ in range(2)]
    name = "x-ratelimit-remaining-requests" if path == CHAT else "anthropic-ratelimit-requests-remaining"
    assert int(first.headers[name]) - int(second.headers[name]) == 1
    request_id = "x-request-id" if path == CHAT else "request-id"
    assert first.headers[request_id] != second.headers[request_id]


async def test_what_came_in_is_recorded(vendor: Any) -> None:
    await ask(vendor, f"{CHAT}?a=1", b'{"odd" : 1}', headers={"X-Odd": "yes"})
    seen = vendor.requests[-1]
    assert (seen.method, seen.path, seen.query, seen.body) == ("POST", CHAT, "a=1", b'{"odd" : 1}')
    assert (seen.key, seen.status, seen.outcome, seen.header("x-odd")) == (KEY, 400, "done", "yes")
    for _ in range(engine.REMEMBERED_REQUESTS):
        vendor.requests.append(seen)
    assert len(vendor.requests) == engine.REMEMBERED_REQUESTS


@PATHS
async def test_a_script_plays_in_order_and_its_last_step_repeats(vendor: Any, path: str) -> None:
    limited = engine.Reply(429, {"retry-after": "30"})
    vendor.script("big", limited, engine.Reply(200, body=b"exact"), engine.Reply(503, body={"no": 1}))
    answers = [await ask(vendor, path, BODIES[path]("big")) for _ in range(4)]
    assert [answer.status for answer in answers] == [429, 200, 503, 503]
    assert answers[0].headers["retry-after"] == "30"
    assert "rate" in answers[0].json["error"]["type"] + (answers[0].json["error"].get("code") or "")
    assert (answers[1].body, answers[3].json) == (b"exact", {"no": 1})
    vendor.script("big")
    assert (await ask(vendor, path, BODIES[path]("big"))).status == 404


async def test_a_keys_script_goes_before_a_models(vendor: Any) -> None:
    vendor.script("big", engine.Play("text"))
    vendor.script_key("a", engine.Reply(429))
    one = await ask(vendor, CHAT, chat("big"), headers={"authorization": "Bearer a"})
    other = await ask(vendor, CHAT, chat("big"), headers={"authorization": "Bearer b"})
    assert (one.status, other.status, other.json["model"]) == (429, 200, "big")


async def test_a_scripted_request_is_checked_first(vendor: Any) -> None:
    vendor.script("big", engine.Reply(200))
    assert (await ask(vendor, CHAT, {"model": "big"})).status == 400


@pytest.mark.parametrize("length", [{}, {"content-length": "10"}])
async def test_raw_bytes_go_out_as_they_are(vendor: Any, length: dict[str, str]) -> None:
    chunks = [b"\xff\xfe", b": odd\r", b"\n\n"]
    vendor.script("big", engine.Raw(299, {"x-one": "1", **length}, chunks))
    answer = await ask(vendor, CHAT, chat("big"))
    assert (answer.status, answer.body) == (299, b"".join(chunks))
    assert {name.lower() for name in answer.headers} == {"x-one", *(length or {"transfer-encoding"})}


@PATHS
async def test_lock_step_sends_one_event_for_each_release(vendor: Any, path: str) -> None:
    whole = (await ask(vendor, path, BODIES[path]("text", stream=True))).body.count(b"\n\n")
    gate = engine.Gate()
    vendor.script("text", engine.Play("text", gate=gate))
    async with streamed(vendor, path, BODIES[path]("text")) as reply:
        for _ in range(whole):
            assert not reply.content._buffer
            gate.release()
            assert b"data: " in await frame(reply)
        assert await reply.read() == b""
    assert vendor.requests[-1].outcome == "done"


async def test_a_gate_may_hold_the_status_line(vendor: Any) -> None:
    gate = engine.Gate()
    vendor.script("text", engine.Play("text", head=gate))
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask(vendor, CHAT, chat()))
        await vendor.arrived(1)
        assert vendor.requests[-1].status == 0
        gate.open()
        assert (await asking).status == 200


@PATHS
@pytest.mark.parametrize("end", ["clean", "reset", "drop"])
async def test_a_stream_may_be_cut(vendor: Any, path: str, end: str) -> None:
    vendor.script("text", engine.Play("text", cut_after=3, end=end))
    async with streamed(vendor, path, BODIES[path]("text")) as reply:
        frames = [await frame(reply) for _ in range(3)]
        assert all(b"data: " in found for found in frames)
        if end == "clean":
            assert await reply.read() == b""
        else:
            with pytest.raises(aiohttp.ClientPayloadError) as caught:
                await reply.read()
            assert ("reset by peer" in str(caught.value)) == (end == "reset")
    assert vendor.requests[-1].outcome == "done"


@pytest.mark.parametrize("end", ["clean", "drop"])
async def test_a_whole_answer_may_be_cut(vendor: Any, end: str) -> None:
    vendor.script("text", engine.Play("text", cut_after=0, end=end))
    if end == "clean":
        assert (await ask(vendor, CHAT, chat())).body == b""
        return
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(vendor, CHAT, chat())


@PATHS
async def test_a_peer_that_hangs_up_is_noticed(vendor: Any, path: str) -> None:
    gate = engine.Gate()
    vendor.script("text", engine.Play("text", gate=gate))
    async with streamed(vendor, path, BODIES[path]("text")) as reply:
        gate.release()
        await frame(reply)
        seen = vendor.requests[-1]
        assert seen.outcome == "open"
    await seen.ended.wait()
    assert seen.outcome == "peer_gone"


async def test_a_peer_that_hangs_up_in_its_request_is_noticed(vendor: Any) -> None:
    host, port = vendor.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
    assert b"100" in await reader.readline()
    writer.close()
    await writer.wait_closed()
    await vendor.requests[-1].ended.wait()
    assert vendor.requests[-1].outcome == "peer_gone"


async def test_slow_spaces_its_events() -> None:
    async with running(pace_seconds=0.002) as vendor:
        loop = asyncio.get_running_loop()
        start = loop.time()
        answer = await ask(vendor, CHAT, chat("slow", stream=True))
        assert loop.time() - start >= 0.002 * (answer.body.count(b"\n\n") - 1)


async def test_the_engine_closes_under_open_requests_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    vendor = engine.Engine()
    await vendor.start()
    vendor.script("text", engine.Play("text", gate=engine.Gate()))
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_refused(vendor))
        await vendor.arrived(1)
        await vendor.aclose()
        await asking
    assert asyncio.all_tasks() == before
    assert vendor.requests[-1].outcome == "peer_gone"
    with pytest.raises(RuntimeError, match="not started"):
        _ = vendor.url


async def _refused(vendor: Any) -> None:
    with pytest.raises(aiohttp.ClientError):
        await ask(vendor, CHAT, chat())


async def test_closing_is_harmless_before_a_start_and_after_a_half_one() -> None:
    await engine.Engine().aclose()
    vendor = engine.Engine()
    starting = asyncio.create_task(vendor.start())
    await asyncio.sleep(0)
    port = int(vendor.url.rpartition(":")[2])
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await vendor.aclose()
    await vendor.aclose()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_accepted_connections_do_not_wait_for_acknowledgements(vendor: Any) -> None:
    gate = engine.Gate()
    vendor.script("text", engine.Play("text", gate=gate))
    async with streamed(vendor, CHAT, chat()):
        (connection,) = vendor._listener._server.server_state.connections
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
