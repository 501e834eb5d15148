"""Providers in code that put requests into an envelope and take answers out of one: ``finalise`` and ``unwrap``."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from rotator.plugins import Loaded
from tests import upstreams
from tests.exchange.staging import (
    ERRORS,
    SENT,
    TERMINAL,
    ends_in_error,
    events,
    last_line,
    loaded_with,
)
from tests.upstreams import (
    BEFORE_VISIBLE,
    COUNT_PATH,
    JSON,
    PATHS,
    PROVIDERS,
    SSE,
    UNTIL_FINISH,
    WHOLE,
    Answer,
    Canned,
    CannedServer,
    House,
    body_of,
    canned,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

PLUGINS = {
    "providers/enveloping.py": '''
from rotator.api import HttpProvider, hookimpl


class Enveloping(HttpProvider):
    """A vendor that wants every request in an envelope and answers in another one."""

    def finalise(self, request, credential):
        asked = str(request.body)
        if "raise" in asked:
            raise LookupError(f"no project for {credential.secret.reveal()}")
        if "unwritable" in asked:
            return request._replace(body={"set": {1}})
        if "nothing" in asked:
            return None
        body = {"project": credential.label, "request": request.body}
        headers = {"x-project": "p1", "authorization": "x", "x-api-key": "x"}
        return request._replace(body=body, headers=headers, query="a=b")

    def unwrap(self, data):
        if data.get("unwrappable") is False:
            raise LookupError("on purpose")
        return data["response"] if "response" in data else data


@hookimpl
def register_providers(register):
    for protocol, auth in (("chat", "bearer"), ("messages", "x-api-key")):
        declared = {"name": f"wrap{protocol}", "protocol": protocol, "auth": auth}
        register(Enveloping({**declared, "base_url": "http://127.0.0.1:9"}))
''',
    "adapters/tag.py": '''
from rotator.api import WireAdapter


class Tag(WireAdapter):
    """Tags what it sees."""

    def on_request(self, body):
        return {"tag": sorted(body)} | body

    def on_response(self, body):
        return {"tag": sorted(body)} | body

    def on_event(self, frame):
        frame.data["tag"] = sorted(frame.data)
        yield frame
''',
}
COUNTED = {
    "chat": b'"usage":{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}',
    "messages": b'"usage":{"input_tokens":7,"output_tokens":4}',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The plug-ins above beside our own."""
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def server(house: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CannedServer]:
    """The vendor behind both enveloping providers; it checks nothing."""
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    async with canned(Canned()) as running:
        await furnish(house, running)
        yield running


async def furnish(house: House, server: CannedServer, **more: Any) -> None:
    """A world in which both of them stand before this server."""
    bases = {"wrapchat": f"{server.url}/v1", "wrapmessages": server.url}
    providers = {name: {"base_url": base, **more} for name, base in bases.items()}
    keys = {f"{name.upper()}_API_KEY": f"secret-of-{name}" for name in bases}
    await house.furnish(config={"providers": providers, "retry": {"same_key": 0}}, **keys)


async def ask(house: House, protocol: str, content: str = "Hello", **more: Any) -> Answer:
    """One request to the provider in question."""
    body = body_of(protocol, f"wrap{protocol}/m", **more)
    body["messages"][0]["content"] = content
    return await house.ask(protocol, body)


def wrapped(frames: Sequence[bytes]) -> list[bytes]:
    """The frames with every JSON object in an envelope of its own."""
    found = []
    for frame in frames:
        name, mark, data = frame.rstrip(b"\n").partition(b"data: ")
        inside = b'{"response":%b,"traceId":"t"}' % data if data.startswith(b"{") else data
        found.append(b"id: 7\n" + name + mark + inside + b"\n\n")
    return found


def named(protocol: str, frames: Sequence[bytes]) -> bytes:
    """The same frames as the client gets them."""
    return b"".join(frames).replace(b'"model":"m"', f'"model":"wrap{protocol}/m"'.encode())


@pytest.mark.pitfall("C251")
@BOTH
async def test_a_request_goes_out_in_the_envelope(house: House, server: CannedServer, protocol: str) -> None:
    """Its headers and query go with it; the credential's headers win."""
    server.answer = Canned([b'{"response":' + WHOLE[protocol] + b"}"])
    answer = await ask(house, protocol)
    [taken] = server.taken
    sent = {**body_of(protocol, "m"), "model": "m"}
    assert json.loads(taken.body) == {"project": f"wrap{protocol}#0", "request": sent}
    assert taken.line == f"POST {PATHS[protocol]}?a=b HTTP/1.1"
    own = {"chat": ("Bearer secret-of-wrapchat", "x"), "messages": ("x", "secret-of-wrapmessages")}[protocol]
    assert (taken.headers["authorization"], taken.headers["x-api-key"]) == own
    assert (taken.headers["x-project"], taken.headers["content-length"]) == ("p1", str(len(taken.body)))
    assert (answer.headers["x-rotator-lane"], answer.headers["x-rotator-model"]) == ("native", "m")


@BOTH
async def test_a_whole_answer_comes_out_of_it(house: House, server: CannedServer, protocol: str) -> None:
    body = WHOLE[protocol][:-1] + b"," + COUNTED[protocol] + b',"model":"m-2024","big":123456789012345678901}'
    server.answer = Canned([b'{"response":' + body + b',"traceId":"t"}'])
    answer = await ask(house, protocol)
    await house.idle()
    assert answer.json == {**json.loads(body), "model": f"wrap{protocol}/m"}
    assert " 7+4 tok" in last_line(house)


@BOTH
async def test_a_streams_events_come_out_of_it(house: House, server: CannedServer, protocol: str) -> None:
    counted = [frame.replace(b'"finish_reason":"stop"}]', b'"finish_reason":"stop"}],' + COUNTED["chat"])
               for frame in SENT[protocol]]
    sent = [frame.replace(b'"usage":{"input_tokens":5,"output_tokens":1}', COUNTED["messages"]) for frame in counted]
    sent = [frame.replace(b'"usage":{"output_tokens":3}', b'"usage":{"output_tokens":4}') for frame in sent]
    server.answer = Canned([b": hi\n\n", *wrapped(sent)], headers=SSE)
    answer = await ask(house, protocol, stream=True)
    await house.idle()
    assert answer.body == b": hi\n\n" + named(protocol, sent)
    assert " 7+4 tok" in last_line(house)


@BOTH
async def test_the_vendors_end_is_read_inside(house: House, server: CannedServer, protocol: str) -> None:
    """A finished stream gets its trailer, one without a finish reason an error; what follows the end is withheld."""
    frames = SENT[protocol]
    finish, begun = UNTIL_FINISH[protocol], BEFORE_VISIBLE[protocol] + 1
    server.answer = Canned(wrapped(frames[:finish]), headers=SSE)
    assert (await ask(house, protocol, stream=True)).body == named(protocol, frames[:finish]) + TERMINAL[protocol]
    server.answer = Canned(wrapped([*frames, *frames]), headers=SSE)
    assert (await ask(house, protocol, stream=True)).body == named(protocol, frames)
    server.answer = Canned(wrapped(frames[:begun]), headers=SSE)
    answer = await ask(house, protocol, stream=True)
    error = ends_in_error(protocol, answer, [named(protocol, frames[:begun])])
    assert error["message"] == "upstream: the stream ended before the answer was complete"


@BOTH
async def test_adapters_see_what_stands_inside(house: House, server: CannedServer, protocol: str) -> None:
    await furnish(house, server, adapters=["tag"])
    server.answer = Canned([b'{"response":' + WHOLE[protocol] + b',"traceId":"t"}'])
    answer = await ask(house, protocol)
    request = json.loads(server.taken[0].body)["request"]
    assert request["tag"] == sorted(body_of(protocol, "m"))
    assert answer.json == {**json.loads(WHOLE[protocol]), "tag": sorted(json.loads(WHOLE[protocol]))}
    server.answer = Canned(wrapped(SENT[protocol]), headers=SSE)
    shown = [data for _, data in events((await ask(house, protocol, stream=True)).body) if data != "[DONE]"]
    assert len(shown) >= 4
    for data in shown:
        assert data["tag"] == sorted(set(data) - {"tag"}) and "response" not in data["tag"]


@BOTH
@WAYS
async def test_an_error_inside_is_an_error(house: House, server: CannedServer, protocol: str, stream: bool) -> None:
    error = json.loads(ERRORS[protocol].partition(b"data: ")[2])
    server.answer = Canned([json.dumps({"response": error}).encode()], headers=JSON)
    refused = await ask(house, protocol, stream=stream)
    assert (refused.status, refused.error) == (500, error["error"])
    limit = b'{"error":{"message":"too many"}}'
    server.answer = Canned([limit], status=429, headers={**JSON, "retry-after": "30"})
    limited = await ask(house, protocol, stream=stream)
    assert (limited.status, limited.headers["retry-after"]) == (429, "30")
    assert "too many" in limited.error["message"]


@BOTH
async def test_an_error_inside_a_streams_event_is_an_error(house: House, server: CannedServer, protocol: str) -> None:
    begun = BEFORE_VISIBLE[protocol] + 1
    server.answer = Canned([b"".join(wrapped([*SENT[protocol][:1], ERRORS[protocol]]))], headers=SSE)
    refused = await ask(house, protocol, stream=True)
    assert (refused.status, refused.error["message"]) == (500, "It broke")
    last = wrapped([ERRORS[protocol]])[0].rstrip()  # it counts at the end only, so the rest is shown before
    server.answer = Canned([*wrapped(SENT[protocol][:begun]), last], headers=SSE)
    answer = await ask(house, protocol, stream=True)
    error = ends_in_error(protocol, answer, [named(protocol, SENT[protocol][:begun])])
    assert error["message"] == "It broke"


@BOTH
async def test_an_envelope_without_an_answer_is_none(house: House, server: CannedServer, protocol: str) -> None:
    for body in (b'{"response":{}}', b'{"response":null}', b'{"response":[]}', b'{"traceId":"t"}'):
        server.answer = Canned([body])
        answer = await ask(house, protocol)
        assert answer.status == 502 and answer.error["message"].startswith("upstream: the answer holds no ")
        server.answer = Canned([b"event: message_start\ndata: " + body + b"\n\n"], headers=SSE)
        assert (await ask(house, protocol, stream=True)).status == 502


@BOTH
async def test_the_raw_lane_is_closed(house: House, server: CannedServer, protocol: str) -> None:
    sent = {"x-rotator-require": "raw"}
    answer = await house.ask(protocol, body_of(protocol, f"wrap{protocol}/m"), headers=sent)
    assert (answer.status, server.taken) == (400, [])
    assert answer.error["message"].endswith("is not served raw (the provider's own envelope)")


async def test_counting_tokens_uses_the_envelope_too(house: House, server: CannedServer) -> None:
    server.answer = Canned([b'{"response":{"input_tokens":12}}'])
    answer = await house.ask("messages", body_of("messages", "wrapmessages/m"), path=COUNT_PATH)
    assert (answer.status, answer.json) == (200, {"input_tokens": 12})
    assert json.loads(server.taken[0].body)["request"] == body_of("messages", "m")


@BOTH
@pytest.mark.parametrize("what", ["raise", "nothing", "unwritable"])
async def test_an_envelope_that_fails_sends_nothing(
    house: House, server: CannedServer, protocol: str, what: str
) -> None:
    """The error names nobody's key, even where the provider's own words do."""
    answer = await ask(house, protocol, what)
    await house.idle()
    assert (answer.status, server.taken, answer.headers["x-should-retry"]) == (500, [], "false")
    assert "x-rotator-attempts" not in answer.names
    assert answer.error["message"].startswith("provider failed on the request (")
    assert "transform_failed" in last_line(house)
    assert f"secret-of-wrap{protocol}" not in answer.body.decode()


@BOTH
async def test_an_answer_that_cannot_be_unwrapped_is_nobodys_fault(
    house: House, server: CannedServer, protocol: str
) -> None:
    bad = b'{"unwrappable":false}'
    event = b"event: message_start\ndata: " + bad + b"\n\n"
    for stream, chunks in ((False, [bad]), (True, [bad]), (True, [event])):
        server.answer = Canned(chunks, headers=JSON if chunks == [bad] else SSE)
        answer = await ask(house, protocol, stream=stream)
        assert (answer.status, answer.headers["x-rotator-attempts"]) == (500, "1")
        assert answer.error["message"].startswith("provider failed on the response (LookupError: on purpose; ")
    begun = BEFORE_VISIBLE[protocol] + 1
    server.answer = Canned([*wrapped(SENT[protocol][:begun]), event.rstrip()], headers=SSE)
    answer = await ask(house, protocol, stream=True)
    error = ends_in_error(protocol, answer, [named(protocol, SENT[protocol][:begun])])
    assert error["message"].startswith("provider failed on the response (LookupError: on purpose; enveloping.py line ")
    await house.idle()
    [standing] = house.proxy.core.pool.standings(f"wrap{protocol}")
    assert not standing.doubted(house.clock.now)
