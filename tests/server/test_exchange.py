"""The endpoint: clients that leave, requests that cannot be taken, the end of the process under open streams, and what
of a vendor's headers comes back.
"""

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rotator.server.core import SHUTTING_DOWN
from tests.asking import ask
from tests.upstreams import (
    BEFORE_VISIBLE,
    COUNT_PATH,
    FRAMES,
    JSON,
    PATHS,
    PATIENCE_SECONDS,
    PROVIDERS,
    SSE,
    WHOLE,
    Canned,
    Gate,
    House,
    Play,
    Raw,
    Reply,
    canned,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@asynccontextmanager
async def clean_up(house: House) -> AsyncIterator[None]:
    """Afterwards the upstream has seen its peer go, the lease is settled and no task is left."""
    before = asyncio.all_tasks()
    yield
    async with asyncio.timeout(PATIENCE_SECONDS):
        await house.vendor.requests[-1].ended.wait()
    await house.idle()
    await until(lambda: asyncio.all_tasks() <= before)
    assert house.vendor.requests[-1].outcome == "peer_gone"


@asynccontextmanager
async def plain(house: House, protocol: str, body: Any, *, receive_bytes: int = 0) -> AsyncIterator[Any]:
    """A request on a bare connection: reader and writer."""
    host, _, port = house.proxy.url.removeprefix("http://").partition(":")
    bare = socket.socket()
    if receive_bytes:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    bare.setblocking(False)
    await asyncio.get_running_loop().sock_connect(bare, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=bare, limit=receive_bytes or 2**20)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {PATHS[protocol]} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    try:
        yield reader, writer
    finally:
        writer.close()


def lines(house: House) -> str:
    house.proxy.core.lines.flush()
    return house.proxy.lines.getvalue()


@BOTH
@WAYS
async def test_a_client_that_leaves_before_the_first_byte(house: House, protocol: str, stream: bool) -> None:
    arrived = len(house.vendor.requests)
    async with clean_up(house):
        body = house.body(protocol, house.play(Play("text", head=Gate())), stream=stream)
        async with plain(house, protocol, body):
            await until(lambda: len(house.vendor.requests) > arrived and house.vendor.requests[-1].body)
            assert house.proxy.core.pool.counters.open == 1
    assert house.reasons(protocol, "text") == [[]]
    assert lines(house).rstrip().endswith("client gone")
    assert " 499 " in lines(house).splitlines()[-1]


@BOTH
async def test_a_client_that_leaves_while_nothing_visible_came(house: House, protocol: str) -> None:
    gate = Gate()
    gate.release(BEFORE_VISIBLE[protocol])
    async with clean_up(house):
        body = house.body(protocol, house.play(Raw(200, SSE, FRAMES[protocol], gate)), stream=True)
        async with plain(house, protocol, body):
            await until(lambda: not gate._permits)


@BOTH
async def test_a_client_that_leaves_in_the_middle_of_a_stream(house: House, protocol: str) -> None:
    gate = Gate()
    gate.release(4)
    async with clean_up(house):
        body = house.body(protocol, house.play(Play("text", gate)), stream=True)
        async with plain(house, protocol, body) as (reader, _):
            await reader.readuntil(b"data: ")
    assert house.reasons(protocol, "text") == [[]]
    assert lines(house).rstrip().endswith("client gone")


@BOTH
async def test_a_client_that_leaves_while_it_reads_nothing(house: House, protocol: str) -> None:
    hidden = b"".join(FRAMES[protocol][: BEFORE_VISIBLE[protocol] + 1])
    flood = [b": " + b"x" * 262_144 + b"\n\n"] * 256
    async with asyncio.timeout(PATIENCE_SECONDS), canned(Canned([hidden, *flood], headers=SSE)) as server:
        await house.furnish(base=server.url)
        before = asyncio.all_tasks()
        async with plain(house, protocol, house.body(protocol, "any", stream=True), receive_bytes=4096):
            await until(lambda: house.proxy.core.running and sending_waits(house))
        await house.idle()
        await server.gone.wait()
        assert asyncio.all_tasks() <= before
    assert house.reasons(protocol, "any") == [[]]


def sending_waits(house: House) -> bool:
    """Whether the one request under way cannot get rid of its bytes."""
    [running] = house.proxy.core.running
    return bool(running.send.__self__.flow.write_paused)  # type: ignore[attr-defined]


@BOTH
async def test_a_client_that_leaves_while_a_short_limit_is_waited_for(house: House, protocol: str) -> None:
    waiting = asyncio.Event()

    async def forever(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    house.clock.sleep = forever  # type: ignore[method-assign]
    try:
        async with plain(house, protocol, house.body(protocol, house.play(Reply(429, {"retry-after": "3"})))):
            await waiting.wait()
        await house.idle()
    finally:
        del house.clock.sleep
    assert asyncio.all_tasks() <= before
    assert lines(house).rstrip().endswith("client gone")


@BOTH
async def test_a_client_that_leaves_in_its_own_body(house: House, protocol: str) -> None:
    before = asyncio.all_tasks()
    seen = len(house.vendor.requests)
    host, _, port = house.proxy.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATHS[protocol]} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000\r\n\r\n" + '{"model":'
    writer.write(head.encode())
    await until(lambda: house.proxy.core.running)
    writer.close()
    await house.idle()
    await until(lambda: asyncio.all_tasks() <= before)
    assert len(house.vendor.requests) == seen
    assert " 499 " in lines(house).splitlines()[-1]
    assert await reader.read() == b""


@BOTH
async def test_a_connection_is_kept_after_whole_answers_and_streams(house: House, protocol: str) -> None:
    body = json.dumps(house.body(protocol, "text", stream=True)).encode()
    small = json.dumps(house.body(protocol, "text")).encode()
    async with plain(house, protocol, body) as (reader, writer):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        while (await reader.readuntil(b"\r\n")) != b"0\r\n":
            pass
        await reader.readuntil(b"\r\n")
        for _ in range(2):
            head = f"POST {PATHS[protocol]} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(small)}\r\n\r\n"
            writer.write(head.encode() + small)
            answered = await reader.readuntil(b"\r\n\r\n")
            assert answered.startswith(b"HTTP/1.1 200")
            length = int(answered.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert len(json.loads(await reader.readexactly(length))) > 2


def refused(protocol: str, answer: Any, status: int, names: str) -> None:
    """A refusal in the client's envelope that says what is wrong."""
    assert answer.status == status
    error = answer.error
    assert names in error["message"]
    kind = "request_too_large" if (protocol, status) == ("messages", 413) else "invalid_request_error"
    assert error["type"] == kind
    assert (answer.json.get("type") == "error") == (protocol == "messages")
    if protocol == "messages":
        assert answer.json["request_id"] == answer.headers["x-rotator-request-id"]
    else:
        assert set(error) == {"message", "type", "param", "code"}


BAD_FIELDS: dict[str, tuple[dict[str, Any], int, str]] = {
    "no model": ({}, 400, "model: is required"),
    "null model": ({"model": None}, 400, "model: is required"),
    "number model": ({"model": 5}, 400, "model: must be a non-empty string"),
    "list model": ({"model": ["vendor/text"]}, 400, "model: must be a non-empty string"),
    "empty model": ({"model": ""}, 400, "model: must be a non-empty string"),
    "control": ({"model": "vendor/a\u0000b"}, 400, "model: "),
    "line end": ({"model": "vendor/a\r\nx-evil: 1"}, 400, "model: "),
    "last line end": ({"model": "vendor/a\n"}, 400, "model: "),
    "dots": ({"model": "vendor/../../admin"}, 400, "model: "),
    "space": ({"model": "vendor/a b"}, 400, "model: "),
    "query": ({"model": "vendor/a?b=c"}, 400, "model: "),
    "percent": ({"model": "vendor/%2e%2e"}, 400, "model: "),
    "beyond ascii": ({"model": "vendor/\u00fc"}, 400, "model: "),
    "surrogate": ({"model": "vendor/\ud83d"}, 400, "model: "),
    "long": ({"model": "vendor/" + "a" * 300}, 400, "model: "),
    "text stream": ({"model": "vendor/text", "stream": "yes"}, 400, "stream: must be true or false"),
    "number stream": ({"model": "vendor/text", "stream": 1}, 400, "stream: must be true or false"),
    "unknown provider": ({"model": "nobody/text"}, 404, "nobody"),
    "no provider": ({"model": "text"}, 404, "text"),
    "keyless provider": ({"model": "openai/gpt"}, 404, "OPENAI_API_KEY"),
    "unknown profile": ({"model": "vendor:odd/text"}, 404, "odd"),
}


def posted(house: House) -> int:
    """How often a vendor was asked to generate."""
    return sum(seen.method == "POST" for seen in house.vendor.requests)


@BOTH
@pytest.mark.parametrize("case", BAD_FIELDS)
async def test_a_field_that_cannot_be_used_is_named(house: House, protocol: str, case: str) -> None:
    body, status, names = BAD_FIELDS[case]
    before = posted(house)
    answer = await house.ask(protocol, {"messages": [], **body})
    assert answer.status == status and names in answer.error["message"]
    if protocol == "chat":
        assert answer.error["param"] == names.partition(":")[0] if ":" in names else "model"
        assert answer.error["type"] == "invalid_request_error"
        assert answer.error["code"] == ("model_not_found" if status == 404 else None)
    else:
        assert answer.error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    if status == 404:
        assert answer.headers["x-should-retry"] == "false"
    assert posted(house) == before  # vendors may be asked for their lists, nothing else
    assert "x-rotator-attempts" not in answer.headers


BAD_BODIES = {
    "empty": (b"", "not JSON"),
    "text": (b"hello", "not JSON"),
    "cut": (b'{"model":"vendor/text"', "not JSON"),
    "trailing": (b'{"model":"vendor/text"} {}', "not JSON"),
    "not a number": (b'{"model":"vendor/text","n":NaN}', "not JSON"),
    "infinity": (b'{"model":"vendor/text","n":-Infinity}', "not JSON"),
    "bad utf-8": (b'{"model":"vendor/text","n":"\xff"}', "not JSON"),
    "bare control": (b'{"model":"vendor/text","n":"\x01"}', "not JSON"),
    "array": (b'[{"model":"vendor/text"}]', "must be a JSON object"),
    "string": (b'"model"', "must be a JSON object"),
    "null": (b"null", "must be a JSON object"),
    "deep": (b'{"model":"vendor/text","n":' + b"[" * 300 + b"]" * 300 + b"}", "deep"),
    "very deep": (b'{"n":' * 100_000, "not JSON"),
    "digits": (b'{"model":"vendor/text","model":"vendor/text","n":' + b"1" * 5_000 + b"}", "digits"),
}


@BOTH
@pytest.mark.parametrize("case", BAD_BODIES)
async def test_a_body_that_is_no_json_object_is_a_400(house: House, protocol: str, case: str) -> None:
    body, names = BAD_BODIES[case]
    before = len(house.vendor.requests)
    refused(protocol, await house.ask(protocol, body), 400, names)
    assert len(house.vendor.requests) == before


@BOTH
@pytest.mark.incident(21)
@pytest.mark.parametrize("depth", [100, 180, 253, 254, 1024, 1025, 1_000_000])
async def test_depth_is_taken_or_refused_and_never_fails(house: House, protocol: str, depth: int) -> None:
    """In what a client sends, and in what a vendor answers."""
    deep = b',"x":' + b"[" * depth + b"]" * depth + b"}"
    async with canned(Canned([WHOLE[protocol][:-1] + deep])) as server:
        await house.furnish(base=server.url)
        answer = await house.call(protocol, "m")
        assert answer.status == (200 if depth < 200 else 502)
        assert answer.body.endswith(deep) == (depth < 200)
        asked = json.dumps(house.body(protocol, "m")).encode()
        assert (await house.ask(protocol, asked[:-1] + deep)).status == (200 if depth < 200 else 400)


@BOTH
@pytest.mark.incident(20)
async def test_an_encoded_body_is_refused(house: House, protocol: str) -> None:
    for coding in ("gzip", "br", "identity, gzip"):
        answer = await house.ask(protocol, b"\x1f\x8b", headers={"content-encoding": coding})
        assert answer.status in (400, 415)
        assert "content-encoding" in answer.error["message"] and coding in answer.error["message"]
    plain_body = json.dumps(house.body(protocol, "text")).encode()
    assert (await house.ask(protocol, plain_body, headers={"content-encoding": "Identity"})).status == 200


@BOTH
async def test_a_body_beyond_the_limit_is_a_413(house: House, protocol: str) -> None:
    await house.furnish(config={"limits": {"request_body_bytes": 1024}})
    body = json.dumps(house.body(protocol, "text")).encode()
    assert (await house.ask(protocol, body + b" " * (1024 - len(body)))).status == 200
    refused(protocol, await house.ask(protocol, body + b" " * (1025 - len(body))), 413, "limits.request_body_bytes")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b" " * 100

    async with house.client.post(house.proxy.url + PATHS[protocol], data=chunks()) as reply:
        assert reply.status == 413
        assert "limits.request_body_bytes" in (await reply.json())["error"]["message"]


@BOTH
async def test_any_content_type_is_read_as_json(house: House, protocol: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        answer = await house.ask(protocol, house.body(protocol, "text"), headers={"content-type": kind})
        assert answer.status == 200


async def test_counting_refuses_in_the_same_envelope(house: House) -> None:
    for body, status, names in ((b"[]", 400, "must be a JSON object"), (b"{}", 400, "model: is required")):
        refused("messages", await house.ask("messages", body, path=COUNT_PATH), status, names)


@BOTH
async def test_the_client_key_is_asked_for_before_anything_is_read(house: House, protocol: str) -> None:
    await house.furnish(PROXY_API_KEY="client-key-1")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "client-key-"}):
        answer = await house.ask(protocol, b"no json", headers=headers)
        assert (answer.status, answer.headers["x-should-retry"]) == (401, "false")
        assert answer.error["type"] == "authentication_error"
    for headers in ({"authorization": "Bearer client-key-1"}, {"x-api-key": "client-key-1"}):
        assert (await house.ask(protocol, house.body(protocol, "text"), headers=headers)).status == 200


@BOTH
async def test_when_the_process_ends_an_open_stream_gets_its_protocols_error(house: House, protocol: str) -> None:
    gate = Gate()
    gate.release(BEFORE_VISIBLE[protocol] + 1)
    core = house.proxy.core
    body = house.body(protocol, house.play(Raw(200, SSE, FRAMES[protocol], gate)), stream=True)
    shown = b"".join(FRAMES[protocol][: BEFORE_VISIBLE[protocol] + 1])
    try:
        async with clean_up(house), house.asking(protocol, body) as reply:
            assert await reply.content.readexactly(len(shown)) == shown
            core.end_requests(SHUTTING_DOWN)
            rest = await reply.read()
        assert rest.startswith(b"event: error\ndata: {" if protocol == "messages" else b"data: {")
        error = json.loads(rest.rpartition(b"data: ")[2])["error"]
        assert error["message"] == "the proxy is shutting down"
        refusal = await house.call(protocol, "text")
        assert refusal.status == 503
    finally:
        core.stopping = False
    assert house.reasons(protocol, "text") == [[]]


@BOTH
async def test_when_the_process_ends_a_request_that_waits_is_refused(house: House, protocol: str) -> None:
    arrived = len(house.vendor.requests)
    core = house.proxy.core
    async with clean_up(house), asyncio.TaskGroup() as group:
        asking = group.create_task(house.call(protocol, house.play(Play("text", head=Gate()))))
        await until(lambda: len(house.vendor.requests) > arrived)
        core.end_requests(SHUTTING_DOWN)
    core.stopping = False
    assert asking.result().error["message"] == "the proxy is shutting down"
    assert asking.result().status == 503


@BOTH
async def test_each_request_has_its_line(house: House, protocol: str) -> None:
    name = PROVIDERS[protocol]
    await house.call(protocol, "text")
    await house.call(protocol, house.play(Reply(429, {"retry-after": "90"})))
    first, second = lines(house).splitlines()[-2:]
    assert f" local {name}/text -> {name}/{name}#1 raw 200 " in first and " tok " in first
    assert " 429 - tok " in second and "rate_limit_exceeded" in second
    used = (await house.call(protocol, "text")).json["usage"]
    read = used.get("prompt_tokens", used.get("input_tokens"))
    wrote = used.get("completion_tokens", used.get("output_tokens"))
    assert f" 200 {read}+{wrote} tok " in lines(house).splitlines()[-1]
    await house.call(protocol, house.play(Play("text")), stream=True)
    assert (" 200 ~" in lines(house).splitlines()[-1]) == (protocol == "chat")


CLIENT_KEY = "client key/1+of=mine"
#: Headers of a vendor that no client may see, whatever they hold.
WITHHELD = {
    "Set-Cookie": "__cf_bm=vendor",
    "Server": "vendor/1",
    "X-Powered-By": "vendor",
    "WWW-Authenticate": "Bearer realm=vendor",
    "Proxy-Authenticate": "Basic",
    "Authorization": "Bearer @",
    "X-Goog-Api-Key": "@",
    "X-Api-Key": "@",
    "Location": "http://vendor.example/?key=@",
    "Connection": "keep-alive, x-vendor-hop",
    "X-Vendor-Hop": "vendor",
    "Keep-Alive": "timeout=9",
    "Proxy-Connection": "keep-alive",
    "Trailer": "x-vendor",
    "TE": "trailers",
    "Upgrade": "h2c",
    "Alt-Svc": 'h3=":443"',
    "X-Rotator-Provider": "vendor-forged",
    "Access-Control-Allow-Origin": "*",
}
#: The beginnings of names that pass, each with a value that does not.
PASSING = {"chat": "X-RateLimit-", "messages": "Anthropic-RateLimit-"}
#: Status and body of a vendor's answer ("" is a stream) and what the client gets.
ENDS: dict[str, tuple[int, str | None, int]] = {
    "whole": (200, None, 200),
    "stream": (200, "", 200),
    "redirect": (302, "{}", 502),
    "refused": (400, '{"error":{"message":"no"}}', 400),
    "rejected": (401, '{"error":{"message":"no"}}', 503),
    "limited": (429, '{"error":{"message":"no"}}', 429),
    "fault": (500, '{"error":{"message":"no"}}', 500),
    "page": (502, "<html>", 502),
}
#: What a client may see at the most.
SHOWN = {
    *("date", "content-type", "content-length", "transfer-encoding", "cache-control", "vary", "x-accel-buffering"),
    *("retry-after", "retry-after-ms", "x-should-retry", "connection"),
    *(f"x-rotator-{name}" for name in ("request-id", "trace-id", "attempts", "lane", "provider", "model")),
}


def forms(secret: str) -> Iterable[str]:
    """A secret as it may be found: in clear, percent-encoded, in Base64 alone and behind a scheme."""
    raw = secret.encode()
    percent = "".join(f"%{byte:02X}" for byte in raw)
    return secret, percent, percent.lower(), b64encode(raw).decode(), b64encode(b"u:" + raw).decode()


@BOTH
@pytest.mark.incident(11)
@pytest.mark.parametrize("end", ENDS)
async def test_nothing_of_the_vendors_own_comes_back(house: House, protocol: str, end: str) -> None:
    status, body, told = ENDS[end]
    async with canned(Canned()) as server:
        await house.furnish(keys=2, base=server.url, PROXY_API_KEY=CLIENT_KEY)
        own, other = house.keys[PROVIDERS[protocol]]
        secrets = [form for secret in (own, other, CLIENT_KEY) for form in forms(secret)]
        headers = {name: value.replace("@", own) for name, value in WITHHELD.items()}
        headers |= {f"{PASSING[protocol]}{number}": f"for {form}." for number, form in enumerate(secrets)}
        headers[f"{PASSING[protocol]}Fine"] = "17"
        kind = SSE if body == "" else JSON
        chunks = FRAMES[protocol] if body == "" else [WHOLE[protocol] if body is None else body.encode()]
        server.answer = Canned(chunks, status, {**headers, **kind})
        asked = json.dumps(house.body(protocol, "m", stream=body == "")).encode()
        answer = await ask(house.proxy.url, "POST", PATHS[protocol], {"x-api-key": CLIENT_KEY}, asked)
    assert (answer.status, answer.headers.get("connection", "close")) == (told, "close")
    fine = f"{PASSING[protocol]}Fine".lower()
    assert set(answer.headers) - SHOWN == ({fine} if told == 200 else set())
    assert answer.headers.get("x-rotator-provider", "") in ("", PROVIDERS[protocol])
    shown = f"{answer.headers}{answer.body!r}"
    assert not [secret for secret in secrets if secret in shown]
    assert "vendor-forged" not in shown


@BOTH
@WAYS
@pytest.mark.incident(11)
@pytest.mark.parametrize("place", ["content-type", "name"])
async def test_no_part_of_a_header_that_passes_holds_a_key(
    house: House, protocol: str, stream: bool, place: str
) -> None:
    async with canned(Canned()) as server:
        await house.furnish(base=server.url)
        [own] = house.keys[PROVIDERS[protocol]]
        kind = (SSE if stream else JSON)["content-type"]
        headers = {"content-type": kind}
        if place == "name":
            headers[f"{PASSING[protocol]}{own}"] = "1"
        else:
            headers["content-type"] = f"{kind}; of={own}"
        server.answer = Canned(FRAMES[protocol] if stream else [WHOLE[protocol]], headers=headers)
        answer = await house.call(protocol, "m", stream=stream)
    assert answer.status == 200 and answer.headers["content-type"].startswith(kind)
    assert own not in f"{answer.headers}".lower()
