"""What goes upstream: the client's own bytes but for the model, headers from allow-lists, the right address."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exchange.staging import SPARES, furnish, lead
from tests.upstreams import (
    COUNT_PATH,
    JSON,
    PATHS,
    PROVIDERS,
    SSE,
    WHOLE,
    Canned,
    CannedServer,
    House,
    Reply,
    Taken,
    body_of,
    canned,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)

#: Bodies of a client with ``@`` where the model's name stands, quotes included.
ODD_BODIES = {
    "order": b'{"z":1,"a":2,"model":@,"m":3}',
    "duplicates": b'{"n":1,"n":2,"model":@,"n":3,"o":{"n":1,"n":1}}',
    "numbers": b'{"a":1.0,"b":1,"c":1e0,"d":1E+2,"e":-0.0,"f":0.10,"model":@}',
    "big": b'{"big":123456789012345678901234567890,"neg":-9223372036854775809,"model":@,"u":18446744073709551616}',
    "unknown": b'{"model":@,"never.seen":{"\\u0000":[[],{},null,true]},"":""}',
    "surrogates": b'{"model":@,"lone":"\\ud83d","pair":"\\ud83d\\ude80","low":"\\ude80x"}',
    "whitespace": b' \t\r\n{ \n"model" \t:\r\n @ ,\n\n"a" : [ 1 , 2 ] } \r\n\t',
    "escapes": b'{"a":"\\u00e9\\/\\b","model":@,"c":"\xc3\xa9/\xf0\x9f\x9a\x80","d":"\xe2\x80\xa8\xc2\x85"}',
    "inner models": b'{"a":{"model":"claudish/x"},"b":"\\"model\\": \\"y\\"","model":@,"c":[{"model":1}]}',
    "model last": b'{"messages":[{"role":"user","content":"\\"model\\":"}],"model":@}',
    "deep": b'{"model":@,"d":' + b"[" * 190 + b"]" * 190 + b"}",
    "large": b'{"model":@,"content":"' + b"0123456789abcdef" * 131_072 + b'"}',
}


@pytest_asyncio.fixture(loop_scope="module")
async def upstream(dwelling: House) -> AsyncIterator[CannedServer]:
    """One upstream for all examples of a property."""
    async with canned(Canned([WHOLE["chat"]])) as server:
        await dwelling.furnish(base=server.url)
        yield server


async def passed_on(house: House, protocol: str, body: bytes, **headers: str) -> Taken:
    """The one request that the upstream saw."""
    async with canned(Canned([WHOLE[protocol]])) as server:
        await house.furnish(base=server.url)
        answer = await house.ask(protocol, body, headers=headers)
    assert answer.status == 200, answer.body[:500]
    [taken] = server.taken
    return taken


@pytest.mark.pitfall("P-124", "C134", "C162", "C166", "C274")
@BOTH
@pytest.mark.parametrize("odd", ODD_BODIES)
async def test_the_upstream_gets_the_clients_bytes_but_for_the_model(house: House, protocol: str, odd: str) -> None:
    template = ODD_BODIES[odd]
    taken = await passed_on(house, protocol, template.replace(b"@", f'"{PROVIDERS[protocol]}/some/model@1"'.encode()))
    assert taken.body == template.replace(b"@", b'"some/model@1"')
    assert taken.headers["content-length"] == str(len(taken.body))
    assert "transfer-encoding" not in taken.headers


@BOTH
async def test_where_bytes_leave_a_doubt_the_meaning_stays(house: House, protocol: str) -> None:
    name = PROVIDERS[protocol].encode()
    doubled = b'{"model":"other/x","n":1.5,"big":12345678901234567890123,"lone":"\\ud83d","model":"%b/m"}' % name
    taken = await passed_on(house, protocol, doubled)
    assert json.loads(taken.body) == {"model": "m", "n": 1.5, "big": 12345678901234567890123, "lone": "\ud83d"}
    taken = await passed_on(house, protocol, b'{"mod\\u0065l":"%b\\/m","n":1}' % name)
    assert json.loads(taken.body) == {"model": "m", "n": 1}


RAW = {"x-rotator-require": "raw"}
NAMES = st.text(max_size=8) | st.just("model")
JSON_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(
    fields=st.lists(st.tuples(st.text(max_size=8), JSON_VALUES), max_size=6),
    at=st.integers(0, 6),
    form=st.sampled_from([(",", True), (" ,\r\n", True), (",", False)]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_body_passes_byte_for_byte(
    upstream: CannedServer, dwelling: House, fields: list[tuple[str, Any]], at: int, form: tuple[str, bool]
) -> None:
    comma, escaped = form
    written = [
        f"{json.dumps(name, ensure_ascii=escaped)}: {json.dumps(value, ensure_ascii=escaped)}"
        for name, value in fields
        if name not in ("model", "stream")
    ]
    before, behind = comma.join([*written[:at], ""]), comma.join(["", *written[at:]])
    template = f'{{{before}"model": "@"{behind}}}'
    answer = await dwelling.ask("chat", template.replace('"model": "@"', '"model": "vendor/m"').encode())
    assert answer.status == 200
    assert upstream.taken[-1].body == template.replace('"model": "@"', '"model": "m"').encode()


SENT = {
    "chat": {"openai-beta": "assistants=v2", "idempotency-key": "k1", "x-client-request-id": "c1"},
    "messages": {
        "anthropic-version": "2024-01-01",
        "anthropic-beta": "a-2024,b-2025",
        "idempotency-key": "k1",
        "x-client-request-id": "c1",
    },
}
WITHHELD = {
    "authorization": "Bearer client-key",
    "proxy-authorization": "Basic Zm9v",
    "x-goog-api-key": "client-key",
    "api-key": "client-key",
    "cookie": "session=1",
    "user-agent": "agent/1",
    "x-stainless-os": "Linux",
    "forwarded": "for=10.0.0.1",
    "x-forwarded-for": "10.0.0.1",
    "x-real-ip": "10.0.0.1",
    "via": "1.1 somewhere",
    "origin": "http://localhost",
    "referer": "http://localhost/",
    "accept": "application/x-odd",
    "accept-language": "de",
    "accept-encoding": "gzip, br",
    "openai-organization": "org-1",
    "openai-project": "proj-1",
    "x-rotator-session": "s",
    "x-rotator-require": "raw",
    "x-rotator-odd": "1",
    "traceparent": "00-1-1-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "expect": "",
}


@pytest.mark.pitfall("C135", "C202")
@BOTH
async def test_only_listed_headers_go_upstream(house: House, protocol: str) -> None:
    sent = {**WITHHELD, **SENT[protocol], "x-api-key": "client-key"}
    taken = await passed_on(house, protocol, house_body(protocol), **sent)
    [key] = house.keys[PROVIDERS[protocol]]
    auth = {"authorization": f"Bearer {key}"} if protocol == "chat" else {"x-api-key": key}
    own = {
        "host": taken.headers["host"],
        "content-type": "application/json",
        "content-length": str(len(taken.body)),
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": taken.headers["user-agent"],
    }
    assert taken.headers == {**own, **auth, **SENT[protocol]}
    assert taken.headers["user-agent"].startswith("rotator/")
    assert "client-key" not in repr(taken)
    assert taken.line == f"POST {PATHS[protocol]} HTTP/1.1"


def house_body(protocol: str) -> bytes:
    return b'{"model":"%b/m"}' % PROVIDERS[protocol].encode()


async def test_the_default_version_is_added(house: House) -> None:
    taken = await passed_on(house, "messages", house_body("messages"))
    assert taken.headers["anthropic-version"] == "2023-06-01"
    taken = await passed_on(house, "chat", house_body("chat"), **{"anthropic-version": "2024-01-01"})
    assert "anthropic-version" not in taken.headers


@BOTH
async def test_the_clients_query_and_key_in_it_stay_here(house: House, protocol: str) -> None:
    async with canned(Canned([WHOLE[protocol]])) as server:
        await house.furnish(base=server.url, PROXY_API_KEY="client-key-1")
        path = f"{PATHS[protocol]}?key=client-key-1&beta=true"
        assert (await house.ask(protocol, house_body(protocol), path=path)).status == 200
    assert server.taken[0].line == f"POST {PATHS[protocol]} HTTP/1.1"


async def test_a_declarations_headers_and_auth_win(house: House) -> None:
    async with canned(Canned([WHOLE["chat"]])) as server:
        declared = {
            "protocol": "chat",
            "base_url": f"{server.url}/deep/v2/",
            "auth": {"header": "X-Odd-Key", "prefix": "Token "},
            "headers": {"X-Title": "mine", "OpenAI-Beta": "theirs"},
        }
        await house.furnish(config={"providers": {"odd": declared}}, ODD_API_KEY="odd-key-1")
        answer = await house.ask("chat", b'{"model":"odd/m"}', headers={"openai-beta": "client", "x-title": "client"})
    assert answer.status == 200
    [taken] = server.taken
    assert taken.line == "POST /deep/v2/chat/completions HTTP/1.1"
    named = ("x-odd-key", "x-title", "openai-beta", "authorization")
    assert [taken.headers.get(name) for name in named] == ["Token odd-key-1", "mine", "theirs", None]


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
async def test_a_version_that_base_and_path_share_stands_once(house: House, base: str) -> None:
    async with canned(Canned([WHOLE["messages"]])) as server:
        declared = {"protocol": "messages", "base_url": server.url + base, "auth": "x-api-key"}
        await house.furnish(config={"providers": {"odd": declared}}, ODD_API_KEY="odd-key-1")
        assert (await house.ask("messages", b'{"model":"odd/m"}')).status == 200
    assert server.taken[0].line == "POST /v1/messages HTTP/1.1"


async def test_the_profile_that_speaks_the_clients_protocol_serves(house: House) -> None:
    either = {**json.loads(WHOLE["chat"]), **json.loads(WHOLE["messages"])}
    async with canned(Canned([json.dumps(either).encode()])) as server:
        declared = {
            "protocol": "chat",
            "base_url": f"{server.url}/v1",
            "profiles": {"messages": {"protocol": "messages", "base_url": f"{server.url}/anthropic"}},
        }
        await house.furnish(config={"providers": {"odd": declared}}, ODD_API_KEY="odd-key-1")
        for protocol in PROVIDERS:
            assert (await house.ask(protocol, b'{"model":"odd/m"}')).status == 200
        refused = await house.ask("messages", b'{"model":"odd:chat/m"}')
    lines = [taken.line.split()[1] for taken in server.taken]
    assert lines == ["/v1/chat/completions", "/anthropic/v1/messages"]
    assert (refused.status, refused.headers["x-should-retry"]) == (400, "false")


@BOTH
async def test_what_cannot_be_read_is_refused_before_the_upstream_is_asked(house: House, protocol: str) -> None:
    [other] = set(PROVIDERS.values()) - {PROVIDERS[protocol]}
    before = len(house.vendor.requests)
    answer = await house.ask(protocol, {"model": f"{other}/text"})
    assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
    assert answer.error["message"] == "messages: is required"
    assert len(house.vendor.requests) == before


@pytest.mark.pitfall("C200", "C259")
async def test_a_vendor_that_cannot_count_leaves_an_estimate(house: House) -> None:
    """Claude Code asks for counts; a provider of another protocol has no such thing (P200)."""
    before = len(house.vendor.requests)
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA" * 10_000}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "x" * 398}, picture]}]
    body = body_of("messages", "vendor/text", tools=[{"name": "f", "input_schema": {"type": "object"}}], messages=asked)
    del body["max_tokens"]
    answer = await house.ask("messages", body, path=COUNT_PATH)
    assert (answer.status, answer.json) == (200, {"input_tokens": 1_600 + (398 + len('f{"type":"object"}')) // 4})
    [warning] = json.loads(answer.headers["x-rotator-warnings"])
    assert warning["code"] == "count.estimated"
    assert len(house.vendor.requests) == before
    wrong = await house.ask("messages", {**body, "messages": 3}, path=COUNT_PATH)
    assert (wrong.status, wrong.error["message"]) == (400, "messages: must be a list")


@BOTH
async def test_a_lane_that_cannot_be_had_is_named(house: House, protocol: str) -> None:
    body = house.body(protocol, "text")
    assert (await house.ask(protocol, body, headers={"x-rotator-require": "raw"})).status == 200
    answer = await house.ask(protocol, body, headers={"x-rotator-require": "native"})
    assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
    assert "x-rotator-require" in answer.error["message"] and "'native'" in answer.error["message"]


BLOCKED = {
    "lane": ({"lane": "native"}, "lane: native"),
    "metering": ({"metering": "exact"}, "metering: exact"),
    "both": ({"metering": "exact", "lane": "native"}, "lane: native, metering: exact"),
}


@pytest.mark.pitfall("C161")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("blocked", BLOCKED)
async def test_what_closes_the_raw_lane_is_named(house: House, blocked: str, stream: bool) -> None:
    handling, named = BLOCKED[blocked]
    await furnish(house, **handling)
    before = len(house.vendor.requests)
    answer = await house.ask("chat", house.body("chat", "text", stream=stream), headers=RAW)
    assert (answer.status, answer.headers["x-should-retry"], len(house.vendor.requests)) == (400, "false", before)
    assert answer.error == {
        "message": f"x-rotator-require: vendor is not served raw ({named})",
        "type": "invalid_request_error",
        "param": "x-rotator-require",
        "code": "lane_required",
    }
    assert "x-rotator-attempts" not in answer.names
    assert (await house.call("chat", "text", stream=stream)).headers["x-rotator-lane"] == "native"


async def test_metering_leaves_the_raw_lane_to_protocols_that_need_none(house: House) -> None:
    await furnish(house, metering="exact")
    answer = await house.ask("messages", house.body("messages", "text"), headers=RAW)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "raw")


@BOTH
@pytest.mark.parametrize("lane", ["raw", "native"])
@pytest.mark.parametrize("wanted", ["native", "translate", "RAW", "raw, raw", "1", ""])
async def test_only_the_raw_lane_can_be_required(house: House, protocol: str, lane: str, wanted: str) -> None:
    await furnish(house, lane=lane)
    before = len(house.vendor.requests)
    answer = await house.ask(protocol, house.body(protocol, "text"), headers={"x-rotator-require": wanted})
    assert (answer.status, len(house.vendor.requests)) == (400, before)
    assert answer.error["message"] == f"x-rotator-require: expected raw, found {wanted!r}"


@BOTH
async def test_a_required_lane_is_looked_for_among_all_targets(house: House, protocol: str) -> None:
    """A target that does not have it is none that was tried."""
    world = await furnish(house, lane="native", config={"retry": {"max_targets": 1, "same_key": 0}})
    own, spare = (f"{names[protocol]}/text" for names in (PROVIDERS, SPARES))
    await lead(house, world, protocol, own, spare)
    answer = await house.ask(protocol, house.body(protocol, "any"), headers=RAW)
    heads = answer.headers
    assert (answer.status, heads["x-rotator-lane"], heads["x-rotator-attempts"]) == (200, "raw", "1")
    assert heads["x-rotator-provider"] == SPARES[protocol]
    free = await house.call(protocol, "any")
    assert (free.status, free.headers["x-rotator-provider"]) == (200, PROVIDERS[protocol])
    await lead(house, world, protocol, own, own)
    none = await house.ask(protocol, house.body(protocol, "any"), headers=RAW)
    assert (none.status, none.error["message"]) == (
        400, f"x-rotator-require: {PROVIDERS[protocol]} is not served raw (lane: native)"
    )


@BOTH
@pytest.mark.parametrize("first", [False, True])
async def test_the_failure_of_the_raw_target_is_told_not_the_lack_of_others(
    house: House, protocol: str, first: bool
) -> None:
    world = await furnish(house, lane="native", config={"retry": {"same_key": 0}})
    places = [f"{SPARES[protocol]}/{house.play(Reply(503))}", f"{PROVIDERS[protocol]}/text"]
    await lead(house, world, protocol, *(places if first else reversed(places)))
    answer = await house.ask(protocol, house.body(protocol, "any"), headers=RAW)
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (503 if protocol == "chat" else 529, "1")


async def test_streams_are_asked_for_in_the_same_way(house: House) -> None:
    async with canned(Canned([b"data: [DONE]\n\n"], headers=SSE)) as server:
        await house.furnish(base=server.url)
        answer = await house.ask("chat", b'{"stream":true, "model":"vendor/m"}')
    assert answer.body == b"data: [DONE]\n\n"
    assert server.taken[0].body == b'{"stream":true, "model":"m"}'
    assert server.taken[0].headers["accept-encoding"] == "identity"
    assert JSON.items() <= server.taken[0].headers.items()
