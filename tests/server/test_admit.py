"""Client keys in every carrier, hostile ones, what is asked for where there is no key, and what stays on this side."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio

from rotator.config.environment import ClientKey
from rotator.errors import Refused
from rotator.neutral.secret import Secret
from rotator.server.admit import Gate, given_key, header_map, is_loopback
from rotator.server.app import App
from tests.asking import Answer, ask, chat, exchange, messages, parsed, request
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import PATHS, PROVIDERS, WHOLE, Canned, House, Play, Reply, canned

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)

FIRST, SECOND = "client-key-number-one", "client-key-number-two"
HOST = {"host": "127.0.0.1:8000"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keyed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """A proxy that asks for one of two keys."""
    environ = {"PROXY_API_KEY": FIRST, "PROXY_API_KEY_2": SECOND}
    async with serving(make_world(environ, tmp_path_factory.mktemp("keyed"))) as proxy:
        yield proxy


def carriers(key: str) -> list[tuple[dict[str, str], str]]:
    """Headers and query, one way each in which clients send a key (protocols.md 1.7)."""
    return [
        ({"x-api-key": key}, ""),
        ({"Authorization": f"Bearer {key}"}, ""),
        ({"authorization": f"bearer  {key} "}, ""),
        ({"x-goog-api-key": key}, ""),
        ({}, f"?alt=sse&key={key}"),
        ({"api-key": key}, ""),
    ]


@pytest.mark.parametrize("way", range(len(carriers(FIRST))))
@pytest.mark.parametrize("key", [FIRST, SECOND])
async def test_a_key_counts_in_every_carrier(keyed: Proxy, way: int, key: str) -> None:
    headers, query = carriers(key)[way]
    for path, body in (("/v1/chat/completions", chat("demo/text")), ("/v1/messages", messages("demo/text"))):
        answer = await ask(keyed.url, "POST", path + query, headers, body)
        assert answer.status == 200, (path, answer.body)
    assert (await ask(keyed.url, "GET", f"/v1/models{query}", headers)).status == 200


@pytest.mark.parametrize("way", range(len(carriers(FIRST))))
async def test_a_wrong_key_is_refused_in_every_carrier(keyed: Proxy, way: int) -> None:
    headers, query = carriers(f"{FIRST}x")[way]
    answer = await ask(keyed.url, "POST", f"/v1/chat/completions{query}", headers, chat("demo/text"))
    assert answer.status == 401
    assert answer.json["error"]["code"] == "invalid_api_key"
    # Without it Claude Code tries for minutes (clients.md 1.3).
    assert answer.headers["x-should-retry"] == "false"
    assert FIRST not in answer.body.decode()


@pytest.mark.pitfall("C245")
async def test_a_wrong_key_is_told_in_the_protocol_of_the_path(keyed: Proxy) -> None:
    answer = await ask(keyed.url, "POST", "/v1/messages", {"x-api-key": "wrong"}, messages("demo/text"))
    assert answer.status == 401
    assert answer.json["type"] == "error" and answer.json["error"]["type"] == "authentication_error"
    assert answer.headers["x-should-retry"] == "false"
    listed = await ask(keyed.url, "GET", "/v1/models", {"anthropic-version": "2023-06-01"})
    assert (listed.status, listed.json["type"]) == (401, "error")


async def test_the_first_carrier_counts(keyed: Proxy) -> None:
    headers = {"x-api-key": "wrong", "authorization": f"Bearer {FIRST}"}
    assert (await ask(keyed.url, "GET", "/v1/models", headers)).status == 401


async def test_a_caller_has_the_label_of_its_key(keyed: Proxy) -> None:
    await ask(keyed.url, "GET", "/v1/models", {"x-api-key": SECOND})
    keyed.core.lines.flush()
    assert " client#2 GET /v1/models " in keyed.lines.getvalue().splitlines()[-1]
    assert FIRST not in keyed.lines.getvalue() and SECOND not in keyed.lines.getvalue()


HOSTILE = {
    "sql": b"' OR '1'='1",
    "nul": b"\x00",
    "non-ascii": "ключ".encode(),
    "latin-1": b"\xff\xfe\xe9",
    "lone surrogate": b"\xed\xa0\x80",
    "tabs": b"\t\t",
    "empty": b"",
    "60 KiB": b"k" * 60_000,
    "1 MiB": b"k" * 1_048_576,
}


@pytest.mark.incident(3)
@pytest.mark.parametrize("carrier", ["x-api-key", "authorization: Bearer", "x-goog-api-key", "api-key"])
@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_hostile_key_is_only_a_wrong_one(keyed: Proxy, carrier: str, hostile: str) -> None:
    line = f"{carrier}{' ' if ':' in carrier else ': '}".encode() + HOSTILE[hostile]
    data = request("GET", "/v1/models")[:-2] + line + b"\r\n\r\n"
    received = await exchange(keyed.url, data, "GET")
    if received:  # what is too long may also just be cut off
        assert parsed(received).status in (400, 401, 431)
    else:
        assert hostile == "1 MiB"
    keyed.core.lines.flush()
    assert " 500 " not in keyed.lines.getvalue()


@pytest.mark.incident(3)
@pytest.mark.parametrize("key", ["%00", "%ED%A0%80", "%FF", "'%20OR%20'1'='1", "%", "%zz", "a" * 60_000])
async def test_a_hostile_key_in_the_query_is_only_a_wrong_one(keyed: Proxy, key: str) -> None:
    assert (await ask(keyed.url, "GET", f"/v1/models?key={key}")).status == 401


@pytest.mark.incident(10)
async def test_without_a_key_only_the_pages_of_health_answer(keyed: Proxy) -> None:
    routes = ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/models"]
    served = [route.path for one in keyed.core.world.protocols.values() for route in one.routes]
    assert set(routes[:-1]) == set(served)
    unknown = ["/v1/models/", "/health/", "/ready/", "/admin", "/admin/limits", "/metrics", "/v1/explain", "//", "/v1"]
    open_pages = ["/", "/health", "/ready"]
    for path in [*routes, *unknown, *open_pages]:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            answer = await ask(keyed.url, method, path)
            expected = 200 if path in open_pages and method in ("GET", "HEAD") else 401
            assert answer.status == expected, (method, path, answer)


@pytest.mark.incident(2)
@pytest.mark.parametrize("host", ["x/#@y", "x/health?", "a:b@c", "[", "..", "/", "health", "127.0.0.1/#@v1/models"])
async def test_a_hostile_host_changes_nothing(keyed: Proxy, host: str) -> None:
    for path in ("/v1/models", "/v1/models/", "/nothing"):
        answer = await ask(keyed.url, "GET", path, {"host": host})
        assert (answer.status, answer.headers.get("location")) == (401, None), (path, answer)
    answer = await ask(keyed.url, "GET", "/v1/models", {"host": host, "x-api-key": FIRST})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:80", "localhost.:1", "127.0.0.2:9", "[::1]:8000"]
)
async def test_every_loopback_name_is_this_machine(demo: Proxy, host: str) -> None:
    assert (await ask(demo.url, "GET", "/v1/models", {"host": host})).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "x/#@y", "[", ""])
async def test_another_host_is_refused_without_a_key(demo: Proxy, host: str) -> None:
    """A name that its owner points at this machine (DNS rebinding)."""
    answer = await ask(demo.url, "POST", "/v1/chat/completions", {"host": host}, chat("demo/text"))
    assert (answer.status, answer.headers["x-should-retry"]) == (403, "false")


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:5173"])
async def test_a_page_of_this_machine_may_ask(demo: Proxy, origin: str) -> None:
    assert (await ask(demo.url, "GET", "/v1/models", {"origin": origin})).status == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/nothing"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://[", "http://[::1", "//[x]", "file://"])
async def test_a_page_of_elsewhere_may_not_ask(demo: Proxy, path: str, origin: str) -> None:
    body = chat("demo/text") if "chat" in path else None
    answer = await ask(demo.url, "POST" if body else "GET", path, {"origin": origin}, body)
    assert answer.status == 403


async def test_a_key_lets_any_host_and_origin_in(keyed: Proxy) -> None:
    headers = {"host": "proxy.example", "origin": "https://page.example", "x-api-key": FIRST}
    assert (await ask(keyed.url, "GET", "/v1/models", headers)).status == 200


@pytest.mark.parametrize("peer", ["10.0.0.5", "::2", "fe80::1", "::ffff:10.0.0.5", None, "", "unix"])
async def test_another_machine_is_refused_without_a_key(peer: str | None) -> None:
    with pytest.raises(Refused) as refused:
        Gate([]).admit(HOST, "", peer)
    assert refused.value.error.status == 403


@pytest.mark.pitfall("C260")
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_let_in_without_a_key(peer: str) -> None:
    assert Gate([]).admit(HOST, "", peer).label == "local"


async def test_a_key_lets_any_machine_in() -> None:
    gate = Gate([ClientKey("client#0", Secret(FIRST))])
    assert gate.admit({**HOST, "api-key": FIRST}, "", "10.0.0.5").label == "client#0"


async def test_a_caller_is_known_by_a_fingerprint() -> None:
    gate = Gate([ClientKey("client#0", Secret(FIRST)), ClientKey("client#2", Secret(SECOND))])
    one, two = (gate.admit({"x-api-key": key}, "", None) for key in (FIRST, SECOND))
    assert one.id != two.id and FIRST not in one.id
    again = Gate([ClientKey("other label", Secret(FIRST))]).admit({"x-api-key": FIRST}, "", None)
    assert again.id == one.id


async def test_a_key_beyond_ascii_counts_as_clients_send_it() -> None:
    """HTTP headers are bytes; what a client typed goes out as UTF-8."""
    gate = Gate([ClientKey("client#0", Secret("пароль-клиента"))])
    sent = "пароль-клиента".encode().decode("latin-1")
    assert gate.admit({"x-api-key": sent}, "", None).label == "client#0"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", "127.0.0.1.example.com", "2130706433"])
async def test_what_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)


async def test_no_key_is_none() -> None:
    assert given_key({"authorization": "Basic eDp5"}, "") is None
    assert given_key({"authorization": "Bearer"}, "key=&monkey=1") is None


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models", "/v1/chat/completions", "/v1/messages", "/x"])
@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "evil.example"]])
async def test_a_host_stands_there_once(demo: Proxy, path: str, hosts: list[str]) -> None:
    lines = b"".join(f"host: {host}\r\n".encode() for host in hosts)
    method = "POST" if path.endswith(("completions", "messages")) else "GET"
    data = f"{method} {path} HTTP/1.1\r\n".encode() + lines + b"content-length: 0\r\nconnection: close\r\n\r\n"
    assert parsed(await exchange(demo.url, data)).status == 400


async def test_two_lengths_are_refused(demo: Proxy) -> None:
    """CL with TE: who stands in between may see another end of the request (RFC 9112 6.1)."""
    for path in ("/v1/chat/completions", "/v1/models", "/health", "/nothing"):
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"
        smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        received = await exchange(demo.url, head.encode() + smuggled)
        assert parsed(received).status == 400 and received.count(b"HTTP/1.1 ") == 1
    with pytest.raises(Refused):
        header_map([(b"host", b"a"), (b"content-length", b"4"), (b"transfer-encoding", b"chunked")])


async def test_repeated_headers_are_joined() -> None:
    assert header_map([(b"host", b"a"), (b"x", b"1"), (b"x", b"\xe9")]) == {"host": "a", "x": "1, é"}


OPEN = ("/", "/health", "/ready")
HOSTS = [
    *("x/#@y", "x/health?", "a:b@c", "[", "[::1", "..", "/", "//", "/health", "?", "#", "x?key=y", "x#", "x\\"),
    *("127.0.0.1/#@v1/models", "127.0.0.1:8000/health?x=", "http://127.0.0.1/health", "a b", "a,b", "%2fhealth", "*"),
    *("127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999999", ":80", "", "\u20ac".encode().decode("latin-1"), "x" * 50_000),
]
#: What some servers take a path or a method from.
REWRITING = {
    "x-original-url": "/health",
    "x-rewrite-url": "/health",
    "x-original-uri": "/health",
    "x-forwarded-host": "x/health?",
    "x-forwarded-prefix": "/health",
    "x-http-method-override": "HEAD",
    "x-method-override": "HEAD",
    "forwarded": "host=x/health?",
}


def routes(proxy: Proxy) -> list[tuple[str, str]]:
    """Method and path of everything that is served, and one that is not."""
    app = App(proxy.core)
    pages = [(method, route.path) for route in app._web.routes for method in route.methods]  # type: ignore[attr-defined]
    return sorted({*app._exchanges, *pages, ("GET", "/nothing")})


def told(answer: Answer) -> tuple[Any, ...]:
    """An answer without what differs from request to request."""
    document = answer.json if answer.body else None
    if isinstance(document, dict):
        document.pop("request_id", None)
    return answer.status, answer.headers["content-type"], answer.headers.get("location"), document


@pytest.mark.incident(7)
async def test_every_route_but_the_open_pages_asks_for_the_key(keyed: Proxy) -> None:
    found = routes(keyed)
    assert len(found) > 9 and {path for _, path in found} >= {*OPEN, *PATHS.values(), "/v1/models"}
    for method, path in found:
        without = await ask(keyed.url, method, path, {}, b"{}")
        wrong = await ask(keyed.url, method, path, {"x-api-key": SECOND[:-1]}, b"{}")
        assert {without.status, wrong.status} == {200 if path in OPEN else 401}, (method, path)


@pytest.mark.incident(2)
async def test_a_hostile_host_leads_to_no_other_path(keyed: Proxy) -> None:
    """On every route, with the key in a header, in the query and without one."""
    for method, path in routes(keyed):
        for headers, query in (({"x-api-key": FIRST}, ""), ({}, f"?key={FIRST}"), ({}, "")):
            normal = told(await ask(keyed.url, method, path + query, headers, b"{}"))
            for host in HOSTS:
                answer = told(await ask(keyed.url, method, path + query, {**headers, "host": host}, b"{}"))
                assert answer == normal or answer[0] == 400, (method, path, host, answer, normal)
            answer = told(await ask(keyed.url, method, path + query, {**headers, **REWRITING}, b"{}"))
            assert answer == normal, (method, path)


@pytest.mark.incident(5)
@pytest.mark.incident(28)
async def test_what_the_gate_keeps_of_a_key_is_no_key(keyed: Proxy) -> None:
    """Neither the digest that it looks up nor the caller's id lets anybody in; the key itself is not there."""
    gate = Gate([ClientKey("client#0", Secret(FIRST))])
    caller = gate.admit({"x-api-key": FIRST}, "", None)
    assert FIRST not in repr(vars(gate)) and FIRST not in repr(caller)
    digest = sha256(FIRST.encode())
    for key in (caller.id, digest.hexdigest(), digest.digest().decode("latin-1"), b64encode(digest.digest()).decode()):
        with pytest.raises(Refused):
            gate.admit({"x-api-key": key}, "", None)


ODD_PATHS = {
    "/v1/chat/completions%2F..%2F..%2Fadmin": 404,
    "/v1/..%2Fv1/models": 404,
    "/v1/%2e%2e/health": 404,
    "/v1/../health": 404,
    "/v1//models": 404,
    "//health": 404,
    "/v1/models;x": 404,
    "/v1/models%3Fx": 404,
    "/v1/models%23x": 404,
    "/v1/models%00": 404,
    "/v1/models%0d%0ax-evil:%201": 404,
    "/v1/models%1b[2J": 404,
    "/v1/models%E2%80%A8": 404,
    "/V1/MODELS": 404,
    "/v1/models?x=%0d%0a": 200,
    "/v1/models?x#y": 200,
}


@pytest.mark.incident(26)
@pytest.mark.incident(27)
@pytest.mark.parametrize("path", ODD_PATHS)
async def test_an_odd_path_is_only_what_it_says(keyed: Proxy, path: str) -> None:
    keyed.core.lines.flush()
    before = keyed.lines.getvalue()
    answer = await ask(keyed.url, "GET", path, {"x-api-key": FIRST})
    assert answer.status == ODD_PATHS[path] and "x-evil" not in answer.headers
    assert "location" not in answer.headers and answer.json
    keyed.core.lines.flush()
    line = keyed.lines.getvalue().removeprefix(before)
    assert line.count("\n") == 1 and line.removesuffix("\n").isprintable()


@BOTH
@pytest.mark.incident(27)
async def test_an_odd_model_reaches_no_path_of_the_vendor(house: House, protocol: str) -> None:
    """In the body it is refused; whatever passes stands in a body again, never in a path."""
    async with canned(Canned([WHOLE[protocol]])) as server:
        await house.furnish(base=server.url)
        for odd in ("..%2F..%2Fadmin", "..", "m?x=1", "m#x", "m\r\nx: 1", "m\x1b[2J", "m\u2028", "m\x00", "m\\", "m;x"):
            answer = await house.call(protocol, odd)
            assert (answer.status, answer.headers["x-should-retry"]) == (400, "false"), odd
            assert answer.error["message"].isprintable() and answer.error["message"].startswith("model: ")
        assert (await house.call(protocol, "a/b:c@d+e~f._-")).status == 200
    assert [taken.line for taken in server.taken] == [f"POST {PATHS[protocol]} HTTP/1.1"]


@BOTH
@pytest.mark.incident(26)
@pytest.mark.parametrize("odd", ["\x1b[2J", "\x00", "a\rb", "a\x0bb", "\x7f", "\u2028", "\x85", "\u202e", "x" * 9_000])
async def test_what_a_client_says_of_itself_forges_no_line(house: House, protocol: str, odd: str) -> None:
    """Bytes that HTTP does not allow are refused before anything reads them; the others leave one plain line."""
    house.proxy.core.lines.flush()
    before = house.proxy.lines.getvalue()
    names = ("user-agent", "x-client-request-id", "x-rotator-session", "referer")
    headers = [(name, odd.encode().decode("latin-1")) for name in names]
    body = json.dumps(house.body(protocol, "text")).encode()
    answer = await ask(house.proxy.url, "POST", PATHS[protocol], headers, body)
    house.proxy.core.lines.flush()
    line = house.proxy.lines.getvalue().removeprefix(before)
    assert (answer.status, line.count("\n")) in ((200, 1), (400, 0))
    assert line.removesuffix("\n").isprintable() and len(line) < 400


CLIENT_KEY = "client key/1+of=mine"
#: A request's own key in every carrier that there is, and what else must stay on this side.
PRIVATE = {
    "authorization": f"Bearer {CLIENT_KEY}",
    "x-api-key": CLIENT_KEY,
    "x-goog-api-key": CLIENT_KEY,
    "api-key": CLIENT_KEY,
    "cookie": "session=client-cookie",
    "proxy-authorization": "Basic client-proxy",
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-host": "client.example",
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": "/client",
    "forwarded": "for=203.0.113.9",
    "x-real-ip": "203.0.113.9",
    "via": "1.1 client.example",
    "x-rotator-session": "client-session",
    "x-rotator-require": "raw",
    "x-rotator-odd": "client",
    "connection": "keep-alive, x-client-hop",
    "x-client-hop": "client",
    "keep-alive": "timeout=9",
    "proxy-connection": "keep-alive",
    "te": "trailers",
    "trailer": "x-client-trailer",
    "upgrade": "h2c",
    "x-openai-api-key": "client",
    "x-custom-host": "http://client.example",
}
#: What the proxy itself says to a vendor, the key's header apart.
SAID = {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent"}
KEY_HEADER = {"chat": "authorization", "messages": "x-api-key"}
#: How a request may go: what the vendor's keys answer one after the other, and what the client gets.
WAYS_TO_GO: dict[str, tuple[list[Any], int]] = {
    "success": ([Play("text")], 200),
    "refused": ([Reply(400)], 400),
    "limit, another key": ([Reply(429), Play("text")], 200),
    "rejected, another key": ([Reply(401), Play("text")], 200),
    "fault, another key": ([Reply(500), Play("text")], 200),
    "every key limited": ([Reply(429, {"retry-after": "3600"})], 429),
    "every key rejected": ([Reply(403)], 503),
    "faults to the end": ([Reply(500)], 500),
    "broken stream": ([Play("text", cut_after=1, end="drop")], 502),
}


@BOTH
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.incident(12)
@pytest.mark.parametrize("way", WAYS_TO_GO)
async def test_nothing_of_the_clients_own_goes_upstream(house: House, protocol: str, stream: bool, way: str) -> None:
    steps, status = WAYS_TO_GO[way]
    await house.furnish(keys=2, PROXY_API_KEY=CLIENT_KEY)
    body = json.dumps(house.body(protocol, house.play(*steps), stream=stream)).encode()
    before = len(house.vendor.requests)
    path = f"{PATHS[protocol]}?key=client+key%2F1%2Bof%3Dmine&api-version=1"
    answer = await ask(house.proxy.url, "POST", path, PRIVATE, body)
    assert answer.status == status, answer.body
    sent = list(house.vendor.requests)[before:]
    assert len(sent) == int(answer.headers.get("x-rotator-attempts", "0")) >= len(steps)
    encoded = b64encode(CLIENT_KEY.encode()).decode()
    defaults = {"anthropic-version"} if protocol == "messages" else set()
    for seen in sent:
        assert {name for name, _ in seen.headers} == {*SAID, KEY_HEADER[protocol], *defaults}
        assert seen.query == "" and seen.key in house.keys[PROVIDERS[protocol]]
        assert not [secret for secret in ("client", "mine", encoded) if secret in repr(seen.headers)]


@BOTH
@pytest.mark.incident(12)
async def test_a_provider_without_a_key_gets_none_of_the_clients(house: House, protocol: str) -> None:
    async with canned(Canned([WHOLE[protocol]])) as server:
        base = f"{server.url}/v1" if protocol == "chat" else server.url
        declared = {"keyless": {"protocol": protocol, "base_url": base, "auth": "none"}}
        await house.furnish(config={"providers": declared}, PROXY_API_KEY=CLIENT_KEY)
        answer = await ask(house.proxy.url, "POST", PATHS[protocol], PRIVATE, {"model": "keyless/m"})
    assert answer.status == 200
    [taken] = server.taken
    assert taken.headers.keys() - {"anthropic-version"} == SAID


@BOTH
@pytest.mark.incident(6)
async def test_no_client_chooses_where_a_key_goes(house: House, protocol: str) -> None:
    """Not by a body field, a header, a query or a model's name."""
    async with canned(Canned([WHOLE[protocol]])) as elsewhere, canned(Canned([WHOLE[protocol]])) as server:
        await house.furnish(base=server.url)
        fields = ("api_base", "base_url", "baseURL", "endpoint", "api_key", "proxy", "custom_llm_provider")
        headers = {name: elsewhere.url for name in ("x-api-base", "x-base-url", "x-custom-host", "x-target-url")}
        body = {**house.body(protocol, "m"), **dict.fromkeys(fields, elsewhere.url)}
        path = f"{PATHS[protocol]}?api_base={elsewhere.url}&base_url={elsewhere.url}"
        assert (await ask(house.proxy.url, "POST", path, headers, body)).status == 200
        where = elsewhere.url.removeprefix("http://")
        for model in (elsewhere.url, f"{elsewhere.url}/m", f"{where}/m", f"//{where}/m", f"vendor/@{where}/../m"):
            answer = await house.ask(protocol, {**body, "model": model})
            assert answer.status in (400, 404)
    assert (elsewhere.connections, [one.line[:4] for one in server.taken].count("POST")) == (0, 1)
