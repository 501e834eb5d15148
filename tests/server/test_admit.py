"""Client keys in every carrier, hostile ones, and what is asked for where there is no key."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from rotator.config.environment import ClientKey
from rotator.errors import Refused
from rotator.neutral.secret import Secret
from rotator.server.admit import Gate, given_key, header_map, is_loopback
from tests.asking import ask, chat, exchange, messages, parsed, request
from tests.proxy import Proxy, make_world, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
