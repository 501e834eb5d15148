"""What an attempt's end means: judges that fail, requests that were never sent, answers that broke off unseen."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rotator.hookspecs import AttemptSeen
from rotator.plugins import Loaded
from rotator.trace import writer
from tests import upstreams
from tests.exchange.staging import (
    SENT,
    SPARES,
    ends_in_error,
    furnish,
    last_line,
    lead,
    loaded_with,
    streamed,
)
from tests.exchange.test_tap import of, one, told
from tests.upstreams import (
    BEFORE_VISIBLE,
    JSON,
    PATHS,
    PROVIDERS,
    SSE,
    WHOLE,
    Answer,
    Canned,
    CannedServer,
    Gate,
    House,
    Raw,
    Reply,
    body_of,
    canned,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
LANES = pytest.mark.parametrize("lane", ["raw", "native"])
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(autouse=True)
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry waits for others: nothing here is about that, and every test would wait for it."""
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.001)

PLUGINS = {
    "providers/unsure.py": '''
from rotator.api import HttpProvider, WireRequest, hookimpl


class Unsure(HttpProvider):
    """Cannot say what a failure means."""

    def classify(self, error, status, headers):
        raise KeyError(f"no rule for {status}")


class Writing(HttpProvider):
    """Sends what a request asks for: headers, or a query."""

    def finalise(self, request, credential):
        headers, query = request.body.pop("metadata")["sends"]
        return WireRequest(request.body, headers, query)


@hookimpl
def register_providers(register):
    for protocol, auth in (("chat", "bearer"), ("messages", "x-api-key")):
        declared = {"protocol": protocol, "auth": auth, "base_url": "http://127.0.0.1:9"}
        register(Unsure({**declared, "name": f"unsure{protocol}"}))
        register(Writing({**declared, "name": f"writing{protocol}"}))
''',
    "adapters/breaking.py": '''
from dataclasses import dataclass

from rotator.api import JsonFrame, WireAdapter


@dataclass(frozen=True)
class Where:
    at: str = "request"


class Breaking(WireAdapter):
    """Fails for requests that say so, or names events in bytes."""

    Options = Where

    def open(self, ctx):
        if self.options.at == "open":
            raise LookupError("on purpose")
        return super().open(ctx)

    def on_request(self, body):
        if self.options.at == "request" and body.get("temperature") == 0.5:
            raise LookupError("on purpose")
        return body

    def on_event(self, frame):
        if self.options.at == "event":
            return (JsonFrame(b"name", frame.data),)
        return (frame,)

    def on_end(self):
        return [JsonFrame(b"name", {})] if self.options.at == "end" else []
''',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The plug-ins above beside our own."""
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest.fixture
def seen() -> list[AttemptSeen]:
    """What the ``on_attempt`` hook was told of the test's attempts."""
    return []


@pytest_asyncio.fixture(loop_scope="module")
async def staged(house: House, plugins: Loaded, seen: list[AttemptSeen], monkeypatch: pytest.MonkeyPatch) -> House:
    """The house, whose worlds know the plug-ins; every attempt is watched."""

    def on_attempt(attempt: AttemptSeen) -> None:
        seen.append(attempt)

    monkeypatch.setattr(upstreams, "LOADED", replace(plugins, observers=(on_attempt,)))
    return house


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[CannedServer]:
    """An upstream that checks nothing."""
    async with canned(Canned()) as running:
        yield running


async def stand(house: House, base: str, keys: int = 1, **config: Any) -> None:
    """A world in which the providers above stand before this upstream, with so many keys each."""
    providers, environ = {}, {}
    for name in (f"{kind}{protocol}" for kind in ("unsure", "writing") for protocol in PROVIDERS):
        providers[name] = {"base_url": f"{base}/v1" if name.endswith("chat") else base}
        environ |= {f"{name.upper()}_API_KEY_{number}": f"secret-{number}-of-{name}" for number in range(keys)}
    await house.furnish(config={"providers": providers, **config}, **environ)


def reason(attempt: AttemptSeen) -> str:
    """What its verdict says, "" without one."""
    return attempt.outcome.verdict.reason if attempt.outcome.verdict else ""


# A provider that cannot judge.


@BOTH
@WAYS
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_failure_that_its_provider_cannot_judge_is_told_all_the_same(
    staged: House, seen: list[AttemptSeen], caplog: pytest.LogCaptureFixture, protocol: str, stream: bool, status: int
) -> None:
    """As a fault of which no more is known: each key is tried, none is benched, each lease is settled."""
    await stand(staged, staged.vendor.url, keys=2, retry={"same_key": 0})
    model = staged.play(Reply(status, {"retry-after": "60"}))
    with caplog.at_level(logging.ERROR, "rotator.contain"):
        answer = await staged.ask(protocol, body_of(protocol, f"unsure{protocol}/{model}", stream=stream))
    await staged.idle()
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (status, "2")
    assert answer.error["message"] and answer.headers["x-rotator-provider"] == f"unsure{protocol}"
    assert [(attempt.number, attempt.status) for attempt in seen] == [(1, status), (2, status)]
    assert [reason(attempt) for attempt in seen] == ["unclassified", "unclassified"]
    logged = [entry for entry in caplog.records if f"classify of provider unsure{protocol}" in entry.getMessage()]
    assert len(logged) == 2 and logged[0].exc_info is not None and isinstance(logged[0].exc_info[1], KeyError)
    model = staged.play(Raw(200, JSON, [WHOLE[protocol]]))
    assert (await staged.ask(protocol, body_of(protocol, f"unsure{protocol}/{model}"))).status == 200


@BOTH
async def test_an_upstream_that_cannot_be_reached_is_told_all_the_same(staged: House, protocol: str) -> None:
    await stand(staged, "http://127.0.0.1:9", retry={"same_key": 0})
    answer = await staged.ask(protocol, body_of(protocol, f"unsure{protocol}/m"))
    await staged.idle()
    assert (answer.status, "connection was refused" in answer.error["message"]) == (502, True)


@BOTH
@pytest.mark.parametrize("end", ["clean", "reset"])
async def test_a_stream_whose_failure_cannot_be_judged_ends_in_an_error(
    staged: House, seen: list[AttemptSeen], protocol: str, end: str
) -> None:
    await stand(staged, staged.vendor.url, keys=2)
    begun = BEFORE_VISIBLE[protocol] + 1
    gate = Gate()
    gate.release(begun)
    model = staged.play(Raw(200, SSE, SENT[protocol][:begun], gate, end=end))
    body = body_of(protocol, f"unsure{protocol}/{model}", stream=True)
    async with asyncio.timeout(5), staged.asking(protocol, body) as reply:
        shown = b"".join([await reply.content.readuntil(b"\n\n") for _ in range(begun)])
        gate.open()
        answer = Answer(reply.status, reply.headers, shown + await reply.read())
    await staged.idle()
    assert ends_in_error(protocol, answer, SENT[protocol][:begun])["message"]
    [attempt] = seen
    assert (attempt.outcome.ended, reason(attempt)) == ("failed", "unclassified")


# Requests that were never sent.


def unlucky(house: House, protocol: str, **more: Any) -> Any:
    """A request on which the adapter above fails."""
    return house.body(protocol, "m", temperature=0.5, **more)


@BOTH
@WAYS
async def test_what_was_never_sent_clears_no_rejection(
    staged: House, server: CannedServer, protocol: str, stream: bool
) -> None:
    """The vendor has said nothing, so the key stays where it was, and so does the one that is probed."""
    server.answer = Canned([json.dumps({"error": {"message": "bad key", "code": "invalid_api_key"}}).encode()], 401)
    await furnish(staged, "breaking", base=server.url)
    assert (await staged.call(protocol, "m")).status == 503
    assert staged.reasons(protocol, "m") == [["rejected"]]
    staged.clock.now += 6  # the key may be probed
    rejected = staged.standing(protocol, "m")
    answer = await staged.ask(protocol, unlucky(staged, protocol, stream=stream))
    assert (answer.status, len(server.taken)) == (500, 1)
    await staged.idle()
    assert staged.standing(protocol, "m") == rejected
    assert (await staged.call(protocol, "m")).status == 503  # and can be probed again
    assert len(server.taken) == 2


@BOTH
@pytest.mark.parametrize("how", [(at, stream) for at in ("open", "request") for stream in (False, True)])
async def test_what_was_never_sent_counts_nowhere(
    staged: House, server: CannedServer, seen: list[AttemptSeen], tmp_path: Path, protocol: str, how: tuple[str, bool]
) -> None:
    """It is an entry of the trace with a number of its own; another target answers."""
    at, stream = how
    server.answer = Canned(SENT[protocol], headers=SSE) if stream else Canned([WHOLE[protocol]])
    trace = {"level": "bounds", "dir": str(tmp_path)}
    world = await furnish(staged, {"breaking": {"at": at}}, base=server.url, keys=2, config={"trace": trace})
    own, spare = PROVIDERS[protocol], SPARES[protocol]
    await lead(staged, world, protocol, f"{own}/a", f"{own}/b", f"{spare}/c")
    answer = await staged.ask(protocol, unlucky(staged, protocol, stream=stream))
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "1")
    assert answer.headers["x-rotator-provider"] == spare
    [attempt] = seen
    assert (attempt.target.provider, attempt.outcome.ended, attempt.status) == (spare, "ok", 200)
    found = await told(tmp_path)
    assert [entry["attempt"] for entry in of(found, "attempt")] == [1, 2, 3]
    assert [entry["attempt"] for entry in of(found, "verdict")] == [1, 2]
    for name in ("upstream_request", "upstream_response", "outcome"):
        assert [entry["attempt"] for entry in of(found, name)] == [3], name
    assert (one(found, "end")["attempts"], attempt.number) == (1, 3)
    assert len(server.taken) == 1


@BOTH
async def test_only_what_was_sent_is_counted_for_the_client(
    staged: House, seen: list[AttemptSeen], tmp_path: Path, protocol: str
) -> None:
    """Sent and failed, never sent, sent and answered."""
    config = {"retry": {"same_key": 0}, "trace": {"level": "meta", "dir": str(tmp_path)}}
    world = await furnish(staged, "breaking", config=config)
    own, spare = PROVIDERS[protocol], SPARES[protocol]
    await lead(staged, world, protocol, f"{spare}/a", f"{own}/b", f"{spare}/c")
    staged.vendor.script("a", Reply(500))
    staged.vendor.script("c", Raw(200, JSON, [WHOLE[protocol]]))
    answer = await staged.ask(protocol, unlucky(staged, protocol))
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")
    found = await told(tmp_path)
    assert [entry["attempt"] for entry in of(found, "attempt")] == [1, 2, 3]
    assert [entry["attempt"] for entry in of(found, "outcome")] == [1, 3]
    assert [attempt.number for attempt in seen] == [1, 3]
    assert one(found, "end")["attempts"] == 2


@BOTH
async def test_what_was_never_sent_alone_is_told_as_no_attempt(
    staged: House, seen: list[AttemptSeen], protocol: str
) -> None:
    await furnish(staged, "breaking", keys=2)
    answer = await staged.ask(protocol, unlucky(staged, protocol))
    assert (answer.status, answer.headers.get("x-rotator-attempts", "0"), seen) == (500, "0", [])


# What a stream cost that nobody saw.


@LANES
@pytest.mark.parametrize("how", ["told", "early", "reset"])
async def test_what_a_stream_cost_that_failed_unseen_is_in_the_line(
    staged: House, seen: list[AttemptSeen], lane: str, how: str
) -> None:
    """The vendor said with the first event what the prompt is; other vendors say nothing so early."""
    busy = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    frames = [SENT["messages"][0], *([busy] if how == "told" else [])]
    handling = {"lane": lane} if lane != "raw" else {}
    await furnish(staged, config={"retry": {"same_key": 0}}, **handling)
    answer = await streamed(staged, "messages", *frames, end="reset" if how == "reset" else "clean")
    assert answer.status in (529, 503, 502)
    await staged.idle()
    [attempt] = seen
    assert attempt.outcome.usage is not None
    assert (attempt.outcome.usage.input_total, attempt.outcome.usage.output_total) == (5, 1)
    assert " 5+1 tok " in last_line(staged)


# What a provider or an adapter may not send.

UNFIT: list[Any] = [
    [{"x-a": "1\r\nx-b: 2"}, ""],
    [{"x-a": "1\nx-b: 2"}, ""],
    [{"x-a": "\u0000"}, ""],
    [{"x-a\r\nx-b": "1"}, ""],
    [{"x-a": 1}, ""],
    [{"x-a": None}, ""],
    [{}, "a=1 HTTP/1.1\r\nx-b: 2"],
    [{}, "a=\n"],
    [{}, None],
    [{}, 7],
]


@BOTH
@WAYS
@pytest.mark.parametrize("sends", UNFIT, ids=ascii)
async def test_headers_and_queries_that_are_no_printable_text_are_not_sent(
    staged: House, server: CannedServer, seen: list[AttemptSeen], protocol: str, stream: bool, sends: Any
) -> None:
    await stand(staged, server.url, keys=2)
    body = body_of(protocol, f"writing{protocol}/m", stream=stream, metadata={"sends": sends})
    answer = await staged.ask(protocol, body)
    await staged.idle()
    is_transform(protocol, answer, "provider failed on the request")
    assert (server.taken, seen) == ([], [])


@BOTH
async def test_headers_and_queries_that_are_printable_text_are_sent(
    staged: House, server: CannedServer, protocol: str
) -> None:
    await stand(staged, server.url)
    server.answer = Canned([WHOLE[protocol]])
    body = body_of(protocol, f"writing{protocol}/m", metadata={"sends": [{"x-a": "b c~"}, "a=1&b=%20"]})
    assert (await staged.ask(protocol, body)).status == 200
    [taken] = server.taken
    assert (taken.headers["x-a"], taken.line) == ("b c~", f"POST {PATHS[protocol]}?a=1&b=%20 HTTP/1.1")


def is_transform(protocol: str, answer: Answer, where: str) -> None:
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    assert where in answer.error["message"] and "TypeError" in answer.error["message"]
    assert answer.error.get("code") == ("transform_failed" if protocol == "chat" else None)


@BOTH
@pytest.mark.parametrize("at", ["event", "end"])
async def test_an_event_whose_name_is_no_text_is_the_adapters_failure(
    staged: House, seen: list[AttemptSeen], protocol: str, at: str
) -> None:
    await furnish(staged, {"breaking": {"at": at}}, keys=2)
    answer = await streamed(staged, protocol, b"".join(SENT[protocol]))
    is_transform(protocol, answer, f"adapter breaking failed on the {at}")
    assert list(map(reason, seen)) == ["transform_failed"]


# Several answers to one request.


def said(index: int, text: str, finish: str | None = None) -> bytes:
    """One frame of one of several answers."""
    choice = {"index": index, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


BOTH_BEGUN = [said(0, "one"), said(1, "uno"), said(0, "", "stop")]


@LANES
@pytest.mark.parametrize("rest", [[], [said(1, "half a")]], ids=["at the finish", "behind it"])
async def test_a_stream_that_ends_while_one_answer_goes_on_is_cut_off(
    staged: House, lane: str, rest: Sequence[bytes]
) -> None:
    await furnish(staged, **({"lane": lane} if lane != "raw" else {}))
    frames, gate = [*BOTH_BEGUN, *rest], Gate()
    gate.release(1)
    staged.vendor.script("scripted", Raw(200, SSE, frames, gate))
    body = staged.body("chat", "scripted", stream=True, n=2)
    async with asyncio.timeout(5), staged.asking("chat", body) as reply:
        shown = await reply.content.readuntil(b"\n\n")
        gate.open()
        answer = Answer(reply.status, reply.headers, shown + await reply.read())
    assert ends_in_error("chat", answer, frames)["code"] == "truncated"
    await staged.idle()
    assert "truncated" in last_line(staged)


@LANES
async def test_it_is_cut_off_also_where_all_came_at_once(staged: House, lane: str) -> None:
    await furnish(staged, **({"lane": lane} if lane != "raw" else {}))
    staged.vendor.script("scripted", Raw(200, SSE, [b"".join(BOTH_BEGUN)]))
    answer = await staged.call("chat", "scripted", stream=True, n=2)
    assert ends_in_error("chat", answer, BOTH_BEGUN)["code"] == "truncated"


@LANES
async def test_a_stream_in_which_all_answers_finished_gets_its_terminal(staged: House, lane: str) -> None:
    await furnish(staged, **({"lane": lane} if lane != "raw" else {}))
    frames = [*BOTH_BEGUN, said(1, " dos"), said(1, "", "length")]
    staged.vendor.script("scripted", Raw(200, SSE, frames))
    answer = await staged.call("chat", "scripted", stream=True, n=2)
    assert (answer.status, answer.body) == (200, b"".join([*frames, b"data: [DONE]\n\n"]))
    assert answer.headers["x-rotator-lane"] == lane
