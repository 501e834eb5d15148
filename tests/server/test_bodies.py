"""Bodies: their size, their encoding, and JSON of every kind in both protocols."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.asking import ask, chat, exchange, messages, parsed, request
from tests.proxy import Proxy, make_world, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUITE = Path(__file__).resolve().parents[3] / "shared" / "suites" / "json" / "test_parsing"
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """A proxy that takes bodies of 2 KiB."""
    config = "limits: {request_body_bytes: 2048}\ntimeouts: {body: 0.2}\n"
    async with serving(make_world({}, tmp_path_factory.mktemp("narrow"), config=config)) as proxy:
        yield proxy


def in_envelope(path: str, body: Mapping[str, object]) -> bool:
    """Whether this is an error as the protocol of the path writes it (protocols.md 1.8)."""
    error = body.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return False
    return body.get("type") == "error" if "messages" in path else {"type", "param", "code"} <= error.keys()


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_beyond_the_limit(narrow: Proxy, path: str) -> None:
    """By what it says it holds before any of it came, and by what came where it says nothing."""
    said = await ask(narrow.url, "POST", path, {"content-length": "2049", "connection": "close"}, b"")
    chunked = request("POST", path, {"transfer-encoding": "chunked"}) + b"801\r\n" + b" " * 0x801 + b"\r\n0\r\n\r\n"
    for answer in (said, parsed(await exchange(narrow.url, chunked))):
        assert answer.status == 413 and in_envelope(path, answer.json)
        assert (answer.headers["connection"], answer.headers["x-should-retry"]) == ("close", "false")


async def test_a_body_of_the_limit(narrow: Proxy) -> None:
    body = request("POST", "/v1/chat/completions", {"content-type": "application/json"}, b'{"model": 1}'.ljust(2048))
    answer = parsed(await exchange(narrow.url, body))
    assert (answer.status, answer.json["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x" * 500])
async def test_a_compressed_body_is_not_taken(demo: Proxy, path: str, coding: str) -> None:
    answer = await ask(demo.url, "POST", path, {"content-encoding": coding}, b"\x1f\x8b")
    assert answer.status == 415 and in_envelope(path, answer.json)
    assert answer.headers["x-should-retry"] == "false"


async def test_a_body_that_says_identity_is_taken(demo: Proxy) -> None:
    headers = {"content-encoding": "identity", "content-type": "text/plain"}
    assert (await ask(demo.url, "POST", "/v1/chat/completions", headers, chat("demo/text"))).status == 200


@pytest.mark.pitfall("P-126", "C197")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"1", b"null", b"[" * 100_000, b"{" * 100_000, b'{"a":' * 300])
async def test_what_is_no_object(demo: Proxy, path: str, body: bytes) -> None:
    answer = await ask(demo.url, "POST", path, {}, body)
    assert answer.status == 400 and in_envelope(path, answer.json)


@pytest.mark.pitfall("C197")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field", [{}, {"model": 1}, {"model": ""}, {"model": None}, {"model": "x", "stream": "yes"}])
async def test_what_cannot_be_routed_names_its_field(demo: Proxy, path: str, field: dict[str, object]) -> None:
    answer = await ask(demo.url, "POST", path, {}, field)
    assert answer.status == 400 and in_envelope(path, answer.json)
    assert answer.json["error"]["message"].split(":")[0] == ("stream" if "stream" in field else "model")


@pytest.mark.skipif(not SUITE.is_dir(), reason="../shared is not there")
@pytest.mark.parametrize("path", PATHS[:2])
async def test_json_of_every_kind(demo: Proxy, path: str) -> None:
    """Bare, and as a member of a request that is fine: y_ is taken, n_ refused, i_ never fails inside."""
    problems = []
    files = sorted(SUITE.glob("*.json"))
    assert len(files) > 300
    frame = b'{"model":"demo/text","max_tokens":64,"messages":[{"role":"user","content":"hi"}],"metadata":'
    for file in files:
        data = file.read_bytes()
        for body in (data, frame + data + b"}"):
            answer = await ask(demo.url, "POST", path, {"content-type": "application/json"}, body)
            # Wrapped, what stands behind a text may make a text again: only the bare n_ must be refused.
            wrong = answer.status >= 500 or (file.name.startswith("n_") and body is data and answer.status < 400)
            if wrong or answer.status >= 400 and not in_envelope(path, answer.json):
                problems.append(f"{file.name}: {answer.status} {answer.body[:80]!r}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("make, path", [(chat, PATHS[0]), (messages, PATHS[1])])
async def test_no_member_breaks_the_way_back(demo: Proxy, make: object, path: str) -> None:
    """Numbers beyond 64 bit and lone surrogates reach the vendor, whatever it makes of them."""
    odd = b',"n_big":123456789012345678901234567890,"s":"\\ud83d"}'
    base = b'{"model":"demo/text","max_tokens":64,"messages":[{"role":"user","content":"hi"}]'
    answer = await ask(demo.url, "POST", path, {}, base + odd)
    assert 400 <= answer.status < 500 and in_envelope(path, answer.json)
