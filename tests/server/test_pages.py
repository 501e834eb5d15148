"""The pages that belong to no protocol, and what unknown paths and methods get."""

import pytest

from rotator import __version__
from tests.asking import ask, chat
from tests.proxy import Proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANTHROPIC = {"anthropic-version": "2023-06-01"}
WEBSOCKET = {
    "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": "dGVzdCB0ZXN0IHRlc3Q=",
    "sec-websocket-version": "13",
}


async def test_the_root_answers_probes(demo: Proxy) -> None:
    head, got = await ask(demo.url, "HEAD", "/"), await ask(demo.url, "GET", "/")
    assert (head.status, head.body, got.status) == (200, b"", 200)
    assert got.json["name"] == "rotator" and got.json["version"] == __version__
    assert {"/v1/chat/completions", "/v1/messages", "/v1/models", "/health"} <= set(got.json["endpoints"])


async def test_every_endpoint_that_is_named_is_there(demo: Proxy) -> None:
    for path in (await ask(demo.url, "GET", "/")).json["endpoints"]:
        assert (await ask(demo.url, "GET", path)).status in (200, 405)


@pytest.mark.parametrize("page", ["/health", "/ready"])
async def test_the_pages_of_health(demo: Proxy, page: str) -> None:
    answer = await ask(demo.url, "GET", page, {"host": "balancer.example"})
    assert answer.status == 200 and answer.json["status"] in ("ok", "ready")
    assert answer.headers["cache-control"] == "no-store"
    assert (await ask(demo.url, "HEAD", page)).status == 200


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/chat/completions/", "/v1/responses", "/v1/x%0ay", "//", "/%"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.pitfall("P-126", "P-147")
async def test_unknown_paths(demo: Proxy, method: str, path: str) -> None:
    """In OpenAI's envelope, or that of the protocol that the headers speak of (design.md 6, Endpoints)."""
    answer = await ask(demo.url, method, path)
    assert answer.status == 404 and answer.json["error"]["code"] == "unknown_endpoint"
    assert answer.headers["x-rotator-request-id"].startswith("req_")
    answer = await ask(demo.url, method, path, ANTHROPIC)
    assert answer.status == 404 and answer.json["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("path", ["/v1/models/", "/health/", "/ready/"])
async def test_a_slash_too_many_leads_nowhere(demo: Proxy, path: str) -> None:
    """No redirect: it would be made of the client's Host."""
    answer = await ask(demo.url, "GET", path)
    assert (answer.status, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize(
    "path, allowed",
    [
        ("/v1/chat/completions", {"POST"}), ("/v1/messages", {"POST"}), ("/v1/messages/count_tokens", {"POST"}),
        ("/v1/models", {"GET", "HEAD"}), ("/health", {"GET", "HEAD"}), ("/", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.pitfall("P-126")
async def test_other_methods(demo: Proxy, method: str, path: str, allowed: set[str]) -> None:
    answer = await ask(demo.url, method, path)
    if method in allowed:
        assert answer.status != 405
        return
    assert answer.status == 405 and set(answer.headers["allow"].split(", ")) == allowed
    kind = "type" if path.startswith("/v1/messages") else "code"
    wanted = "invalid_request_error" if kind == "type" else "method_not_allowed"
    assert answer.json["error"][kind] == wanted
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/messages", "/v1/realtime", "/nothing"])
async def test_a_websocket_is_refused_with_a_way_out(demo: Proxy, path: str) -> None:
    """426 sends Codex to plain HTTP at once (clients.md 3, Codex)."""
    answer = await ask(demo.url, "GET", path, WEBSOCKET)
    assert answer.status == 426 and "plain HTTP" in answer.json["error"]["message"]
    assert answer.headers["upgrade"] == "HTTP/1.1" and answer.headers["x-should-retry"] == "false"


async def test_an_answer_belongs_to_its_caller(demo: Proxy) -> None:
    """No cache in between may keep it (faults.md 2 row 16)."""
    for answer in (
        await ask(demo.url, "GET", "/v1/models"), await ask(demo.url, "GET", "/nothing"),
        await ask(demo.url, "POST", "/v1/chat/completions", {}, chat("demo/text")),
    ):
        assert answer.headers["cache-control"] == "no-store" and answer.headers["vary"] == "authorization"


async def test_every_request_has_an_id_of_its_own(demo: Proxy) -> None:
    ids = {(await ask(demo.url, "GET", "/nothing")).headers["x-rotator-request-id"] for _ in range(3)}
    assert len(ids) == 3
