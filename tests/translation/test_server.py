"""The translate lane over real sockets: what is told in headers, what is tried again, how the bytes may be cut."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.upstreams import JSON, SSE, Gate, House, Raw, Reply

from .cells import SIDES
from .codecs import asked, streamed
from .frames import events_of, heard, sent
from .laws import broken
from .staging import passed, provider, staged
from .test_server_cases import bare, says_hello
from .unfolding import RICH, TOOLS, unfolded
from .words import ANSWER, LEAST, MODEL

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAIRS = pytest.mark.parametrize(("client", "upstream"), list(SIDES.values()))
#: A vendor's error in a stream of either protocol.
ERROR = b'event: error\ndata: {"type":"error","error":{"message":"It broke","type":"api_error"}}\n\n'
#: So many frames of either vendor's smallest answer show something.
BEGUN = 4
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with staged(tmp_path_factory.mktemp("house")) as running:
        yield running


async def ask(house: House, client: str, upstream: str, stream: bool, *steps: Any) -> Any:
    """One request that the vendor answers step by step."""
    house.vendor.script(MODEL, *steps)
    house.vendor.requests.clear()
    body = {**LEAST[client], "model": f"{provider(upstream)}/{MODEL}", "stream": stream}
    answer = await house.ask(client, body)
    await house.idle()
    return answer


def fine(upstream: str, stream: bool) -> Raw:
    return Raw(200, SSE if stream else JSON, says_hello(upstream, stream))


@pytest.mark.pitfall("C259")
@PAIRS
@STREAM
async def test_losses_are_told_in_a_header(house: House, client: str, upstream: str, stream: bool) -> None:
    lossy = {"seed": 1, "stream": stream} if client == "chat" else {"top_k": 1, "stream": stream}
    chunks = says_hello(upstream, stream)
    got = await passed(house, client, {**LEAST[client], **lossy}, provider(upstream), chunks, stream)
    name = "seed" if client == "chat" else "top_k"
    (told,) = json.loads(got.answer.headers["x-rotator-warnings"])
    assert (told["code"], told["path"]) == (f"sampling.{name}", name)
    lossless = {**LEAST[client], "stream": stream}
    again = await passed(house, client, lossless, provider(upstream), chunks, stream)
    assert "x-rotator-warnings" not in again.answer.headers


@pytest.mark.pitfall("C226")
@PAIRS
@STREAM
@pytest.mark.parametrize("fault", ["status", "frame", "end"])
async def test_what_fails_before_output_is_tried_again(
    house: House, client: str, upstream: str, stream: bool, fault: str
) -> None:
    kind, begun = (SSE, says_hello(upstream, True)[0]) if stream else (JSON, b'{"id":')
    steps = {"status": Reply(500), "frame": Raw(200, kind, [ERROR]), "end": Raw(200, kind, [begun], end="drop")}
    answer = await ask(house, client, upstream, stream, steps[fault], fine(upstream, stream))
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")
    if stream:
        assert broken(client, events_of(answer.body)) == []


@PAIRS
@pytest.mark.parametrize("fault", ["frame", "end"])
@pytest.mark.pitfall("P-20")
async def test_a_failure_behind_output_is_told_in_band(house: House, client: str, upstream: str, fault: str) -> None:
    begun, gate = sent(upstream, unfolded(upstream, ANSWER[upstream]))[:BEGUN], Gate()
    gate.release(BEGUN)
    end: Any = "clean" if fault == "frame" else "drop"
    house.vendor.script(MODEL, Raw(200, SSE, [*begun, ERROR if fault == "frame" else b": bye\n\n"], gate, end=end))
    body = {**LEAST[client], "model": f"{provider(upstream)}/{MODEL}", "stream": True}
    async with house.asking(client, body) as reply:
        shown = await reply.content.readuntil(b"\n\n")
        gate.open()
        shown += await reply.read()
    assert (reply.status, reply.headers["x-rotator-attempts"]) == (200, "1")
    assert broken(client, events_of(shown)) == []
    last = heard(client, shown)[-1]
    assert last["error"]["message"]
    assert fault == "end" or last["error"]["message"] == "It broke"


@PAIRS
@pytest.mark.pitfall("P-121")
async def test_an_error_instead_of_a_stream_is_an_error(house: House, client: str, upstream: str) -> None:
    body = json.dumps({"type": "error", "error": {"message": "Too long", "type": "invalid_request_error"}}).encode()
    answer = await ask(house, client, upstream, True, Raw(200, JSON, [body]))
    assert answer.status >= 400
    assert answer.error["message"] == "Too long"
    if client == "messages":
        assert answer.json["type"] == "error"


@PAIRS
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
@pytest.mark.pitfall("P-147")
async def test_the_vendors_refusal_wears_the_clients_envelope(
    house: House, client: str, upstream: str, status: int
) -> None:
    answer = await ask(house, client, upstream, False, Reply(status))
    assert answer.status >= 400
    if client == "chat":
        assert set(answer.json) == {"error"} and set(answer.error) == {"message", "type", "param", "code"}
    else:
        assert answer.json["type"] == "error" and {"type", "message"} <= set(answer.error)
    await house.idle()
    house.clock.now += 7_200  # what that status did to the key is over


@PAIRS
@pytest.mark.parametrize("size", [1, 2, 7, 64, 100_000])
@pytest.mark.pitfall("P-122")
async def test_the_client_hears_the_same_however_the_vendor_writes(
    house: House, client: str, upstream: str, size: int
) -> None:
    whole = b"".join(sent(upstream, unfolded(upstream, RICH[upstream])))
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    body = {**LEAST[client], **TOOLS[client], "stream": True}
    got = await passed(house, client, body, provider(upstream), chunks, True)
    by_hand = streamed(asked(client, upstream, TOOLS[client], stream=True), [whole])
    assert bare(client, got.answer.body) == bare(client, by_hand.body)


@pytest.mark.parametrize(("more", "version"), [({}, "2026-10-21"), ({"temperature": 0.5}, "2023-06-01")])
async def test_the_version_goes_by_what_the_body_needs(house: House, more: dict[str, Any], version: str) -> None:
    """protocols.md 0.2 item 1; the protocol's own default is the older one."""
    got = await passed(
        house, "chat", {**LEAST["chat"], **more}, provider("messages"), says_hello("messages", False), False
    )
    assert got.answer.status == 200
    (asked_,) = house.vendor.requests
    assert dict(asked_.headers)["anthropic-version"] == version
