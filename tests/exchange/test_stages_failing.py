"""Adapters that fail: the attempt fails under their name, nobody else is blamed; ``on_error: skip`` passes them by."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rotator.plugins import Loaded
from tests import upstreams
from tests.exchange.staging import (
    SENT,
    SHOWN,
    SPARES,
    answering,
    committed,
    doubted,
    ends_in_error,
    exactly,
    furnish,
    last_line,
    lead,
    loaded_with,
    streamed,
)
from tests.upstreams import (
    BEFORE_VISIBLE,
    JSON,
    PROVIDERS,
    SSE,
    UNTIL_FINISH,
    WHOLE,
    Answer,
    Canned,
    CannedServer,
    Gate,
    House,
    Raw,
    Reply,
    canned,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

PLUGINS = {
    "adapters/failing.py": '''
from dataclasses import dataclass

from rotator.api import WireAdapter


@dataclass(frozen=True)
class When:
    at: str
    how: str = "raise"
    behind: int = 0


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Failing(WireAdapter):
    """Does one thing wrong at one place, behind so many events that went well, and spoils what it was given."""

    Options = When
    calls = 0
    ended = []

    def open(self, ctx):
        if self.options.at == "open":
            raise LookupError("on purpose")
        return super().open(ctx)

    def on_request(self, body):
        return self.wrong(body, body) if self.options.at == "request" else body

    def on_response(self, body):
        return self.wrong(body, body) if self.options.at == "response" else body

    def on_event(self, frame):
        self.calls += 1
        due = self.options.at == "event" and self.calls > self.options.behind
        return self.wrong(frame, frame.data) if due else [frame]

    def on_end(self):
        self.ended.append(self.options.at)
        return self.wrong(None, {}) if self.options.at == "end" else []

    def wrong(self, value, data):
        how, whole = self.options.how, value is data
        data["spoiled"] = True
        for name in ("choices", "content", "messages", "model"):
            data.pop(name, None)
        if how == "raise":
            raise LookupError("on purpose")
        if how == "unspeakable":
            raise Unspeakable
        if how == "midway":
            return (1 / 0 if again else value for again in (0, 1))
        bad = {"set": {1}, "bytes": b"1", "nan": float("nan"), "infinity": float("-inf"), "object": object()}
        if how in bad:
            data["x"] = [{"y": bad[how]}]
            return data if whole else [value]
        if how == "name":
            value.event = 7
            return [value]
        return {"none": None, "list": [data], "text": "text", "number": 7, "bare": value, "mixed": (value, data)}[how]
''',
    "adapters/tag.py": '''
from rotator.api import JsonFrame, WireAdapter


class Tag(WireAdapter):
    """Tags all that passes, and has a last word."""

    def tagged(self, data):
        return {**data, "tags": [*data.get("tags", ()), "tag"]}

    def on_request(self, body):
        return self.tagged(body)

    def on_response(self, body):
        return self.tagged(body)

    def on_event(self, frame):
        yield JsonFrame(frame.event, self.tagged(frame.data))

    def on_end(self):
        yield JsonFrame("tag", {"type": "tag"})
''',
}
UNWRITABLE = ("set", "bytes", "nan", "infinity", "object")
OBJECT_MISTAKES = ("raise", "unspeakable", "none", "list", "text", "number", *UNWRITABLE)
END_MISTAKES = ("raise", "unspeakable", "midway", "none", "list", "text", "number")
FRAME_MISTAKES = (*END_MISTAKES, "bare", "mixed", "name", *UNWRITABLE)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The plug-ins above beside our own."""
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def staged(house: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> House:
    """The house, whose worlds know the plug-ins."""
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    return house


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[CannedServer]:
    """An upstream that checks nothing."""
    async with canned(Canned()) as running:
        yield running


def failing(at: str, how: str = "raise", behind: int = 0) -> dict[str, Any]:
    """The adapter above as a declaration names it."""
    return {"failing": {"at": at, "how": how, "behind": behind}}


def is_transform(protocol: str, error: Any, direction: str) -> None:
    """The error names the adapter and where it failed."""
    assert "adapter failing" in error["message"] and f"failed on the {direction}" in error["message"], error
    assert error["type"] == ("server_error" if protocol == "chat" else "api_error")
    assert error.get("code") == ("transform_failed" if protocol == "chat" else None)


async def is_refused(house: House, protocol: str, answer: Answer, direction: str, attempts: int) -> None:
    """A whole refusal by the proxy, that nobody is blamed for."""
    await house.idle()
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    assert answer.headers["content-type"] == "application/json"
    is_transform(protocol, answer.error, direction)
    assert answer.headers.get("x-rotator-attempts", "0") == str(attempts)
    assert house.reasons(protocol, "m") == [[]] * len(house.keys[PROVIDERS[protocol]])
    assert not doubted(house, protocol)
    assert house.clock.slept == []
    assert "transform_failed" in last_line(house)


@BOTH
@WAYS
@pytest.mark.parametrize(("at", "how"), [("open", "raise"), *(("request", how) for how in OBJECT_MISTAKES)])
async def test_what_fails_on_the_request_sends_nothing(
    staged: House, server: CannedServer, protocol: str, stream: bool, at: str, how: str
) -> None:
    answering(server, protocol, stream)
    await furnish(staged, "tag", failing(at, how), base=server.url, keys=2)
    answer = await staged.call(protocol, "m", stream=stream)
    await is_refused(staged, protocol, answer, "request", attempts=0)
    assert server.taken == []


@BOTH
@pytest.mark.parametrize("how", OBJECT_MISTAKES)
async def test_what_fails_on_a_whole_answer_is_not_asked_again(
    staged: House, server: CannedServer, protocol: str, how: str
) -> None:
    answering(server, protocol, stream=False)
    await furnish(staged, failing("response", how), "tag", base=server.url, keys=2)
    answer = await staged.call(protocol, "m")
    await is_refused(staged, protocol, answer, "response", attempts=1)
    assert len(server.taken) == 1


@BOTH
@pytest.mark.parametrize("how", FRAME_MISTAKES)
async def test_what_fails_on_an_event_before_anything_is_shown_is_refused(
    staged: House, protocol: str, how: str
) -> None:
    """The upstream, which would go on, is left."""
    await furnish(staged, failing("event", how, behind=1), keys=2)
    gate = Gate()
    gate.release(BEFORE_VISIBLE[protocol] + 1)
    async with asyncio.timeout(5):
        answer = await staged.call(protocol, staged.play(Raw(200, SSE, SENT[protocol], gate)), stream=True)
        await staged.vendor.requests[-1].ended.wait()
    assert staged.vendor.requests[-1].outcome == "peer_gone"
    await is_refused(staged, protocol, answer, "event", attempts=1)


@BOTH
async def test_what_fails_in_the_read_that_brings_the_first_output_is_refused(staged: House, protocol: str) -> None:
    """Nothing of that read was shown yet."""
    for behind in (0, BEFORE_VISIBLE[protocol] + 1):
        await furnish(staged, failing("event", behind=behind))
        answer = await streamed(staged, protocol, b"".join(SENT[protocol]))
        await is_refused(staged, protocol, answer, "event", attempts=1)


@BOTH
@pytest.mark.parametrize("how", FRAME_MISTAKES)
async def test_what_fails_on_an_event_later_ends_the_stream(staged: House, protocol: str, how: str) -> None:
    begun = BEFORE_VISIBLE[protocol] + 1
    await furnish(staged, failing("event", how, begun + 1), keys=2)
    gate, sent = Gate(), SENT[protocol]
    gate.release(begun)
    body = staged.body(protocol, "scripted", stream=True)
    staged.vendor.script("scripted", Raw(200, SSE, [*sent[:begun], b"".join(sent[begun : begun + 2]), *sent], gate))
    async with asyncio.timeout(5), staged.asking(protocol, body) as reply:
        seen = b"".join([await reply.content.readuntil(b"\n\n") for _ in range(begun)])
        gate.release()
        answer = Answer(reply.status, reply.headers, seen + await reply.read())
    is_transform(protocol, ends_in_error(protocol, answer, SHOWN[protocol][: begun + 1]), "event")
    async with asyncio.timeout(5):
        await staged.vendor.requests[-1].ended.wait()
    assert (staged.vendor.requests[-1].outcome, staged.used(protocol)) == ("peer_gone", [1])
    await staged.idle()
    assert not doubted(staged, protocol)
    assert "transform_failed" in last_line(staged)


def ended(plugins: Loaded) -> list[str]:
    """Of which attempts the adapter was told the end."""
    adapter: Any = plugins.registry.adapters["failing"]
    found: list[str] = adapter.ended
    return found


@BOTH
@pytest.mark.parametrize("forgotten", [False, True], ids=["terminal", "forgotten"])
@pytest.mark.parametrize("how", END_MISTAKES)
async def test_what_fails_at_the_end_takes_the_terminals_place(
    staged: House, plugins: Loaded, protocol: str, how: str, forgotten: bool
) -> None:
    await furnish(staged, failing("end", how))
    finish = UNTIL_FINISH[protocol]
    ended(plugins).clear()
    rest = [] if forgotten else SENT[protocol][finish:]
    answer = await committed(staged, protocol, finish - 1, SENT[protocol][finish - 1], *rest)
    is_transform(protocol, ends_in_error(protocol, answer, SHOWN[protocol][:finish]), "end")
    await staged.idle()
    assert not doubted(staged, protocol)
    assert ended(plugins) == ["end"]  # asked once


@BOTH
async def test_what_fails_at_the_end_of_a_stream_that_came_at_once_is_refused(staged: House, protocol: str) -> None:
    await furnish(staged, failing("end"))
    await is_refused(staged, protocol, await streamed(staged, protocol, b"".join(SENT[protocol])), "end", attempts=1)
    unseen = [SENT[protocol][0], *SENT[protocol][UNTIL_FINISH[protocol] - 1 :]]
    for silent in (unseen, unseen[:2]):  # with and without the terminal
        answer = await streamed(staged, protocol, b"".join(silent))
        await is_refused(staged, protocol, answer, "end", attempts=1)


@BOTH
async def test_what_fails_once_fails_the_error_in_the_middle_only_once(staged: House, protocol: str) -> None:
    """An adapter that fails at the end of a stream that is broken anyway changes nothing."""
    await furnish(staged, failing("end"))
    begun = BEFORE_VISIBLE[protocol] + 1
    error = ends_in_error(protocol, await committed(staged, protocol, begun, b"data: {"), SHOWN[protocol][:begun])
    assert error["message"] == "upstream: the stream ended before the answer was complete"


@BOTH
@WAYS
async def test_a_vendors_failure_stays_the_vendors(staged: House, protocol: str, stream: bool) -> None:
    """Errors pass no adapter, so none can fail on them."""
    await furnish(staged, failing("response"), failing("event"))
    answer = await staged.call(protocol, staged.play(Reply(400)), stream=stream)
    assert answer.status == 400 and "failing" not in answer.error["message"]


# Passed by.

MISTAKES = {
    False: [("open", "raise"), *((at, how) for at in ("request", "response") for how in OBJECT_MISTAKES)],
    True: [
        ("open", "raise"),
        *(("event", how) for how in FRAME_MISTAKES),
        *(("end", how) for how in END_MISTAKES),
    ],
}
SKIPPED = [(stream, at, how) for stream, mistakes in MISTAKES.items() for at, how in mistakes]


@BOTH
@pytest.mark.parametrize(("stream", "at", "how"), SKIPPED)
async def test_a_failing_adapter_may_be_passed_by(
    staged: House, server: CannedServer, protocol: str, stream: bool, at: str, how: str
) -> None:
    """Whatever it changed in place before: everything is as if it were not there, the other adapters included."""
    answering(server, protocol, stream)
    await furnish(staged, "tag", "tag", base=server.url)
    plain = await staged.call(protocol, "m", stream=stream)
    assert plain.status == 200 and (stream or plain.json["tags"] == ["tag", "tag"])
    await furnish(staged, "tag", failing(at, how), "tag", base=server.url, on_error="skip")
    answer = await staged.call(protocol, "m", stream=stream)
    assert (answer.status, answer.body) == (200, plain.body)
    assert exactly(server.taken[1].body) == exactly(server.taken[0].body)
    assert json.loads(server.taken[1].body)["tags"] == ["tag", "tag"]
    await staged.idle()
    assert not doubted(staged, protocol)


# Another target.


@BOTH
@pytest.mark.parametrize(("stream", "at", "how"), [one for one in SKIPPED if one[2] in ("raise", "none", "set", "nan")])
async def test_another_target_serves_where_an_adapter_fails(
    staged: House, server: CannedServer, protocol: str, stream: bool, at: str, how: str
) -> None:
    world = await furnish(staged, failing(at, how), base=server.url, keys=2)
    await lead(staged, world, protocol, f"{PROVIDERS[protocol]}/m", f"{SPARES[protocol]}/other")
    whole = b"".join(SENT[protocol]) if stream else WHOLE[protocol]
    server.answer = Canned([whole], headers=SSE if stream else JSON)
    answer = await staged.call(protocol, "m", stream=stream)
    sent = 1 if at in ("open", "request") else 2
    heads = answer.headers
    assert (answer.status, answer.body, heads["x-rotator-attempts"]) == (200, whole, str(sent))
    assert (heads["x-rotator-provider"], heads["x-rotator-lane"]) == (SPARES[protocol], "raw")
    assert json.loads(server.taken[-1].body)["model"] == "other"
    assert len(server.taken) == sent
    await staged.idle()
    assert staged.reasons(protocol, "m") == [[], []]
    assert not doubted(staged, protocol)


@BOTH
async def test_what_was_shown_is_not_begun_again_elsewhere(staged: House, protocol: str) -> None:
    begun = BEFORE_VISIBLE[protocol] + 1
    world = await furnish(staged, failing("event", behind=begun))
    await lead(staged, world, protocol, f"{PROVIDERS[protocol]}/scripted", f"{SPARES[protocol]}/scripted")
    before = len(staged.vendor.requests)
    answer = await committed(staged, protocol, begun, *SENT[protocol][begun:])
    is_transform(protocol, ends_in_error(protocol, answer, SHOWN[protocol][:begun]), "event")
    assert len(staged.vendor.requests) == before + 1


@BOTH
async def test_where_every_target_fails_the_last_error_is_told(staged: House, protocol: str) -> None:
    world = await furnish(staged, failing("request"))
    await lead(staged, world, protocol, f"{SPARES[protocol]}/a", f"{PROVIDERS[protocol]}/b")
    for step, attempts in ((Reply(404), 1), (Reply(500), 2)):
        staged.clock.slept.clear()
        staged.vendor.script("a", step)
        answer = await staged.call(protocol, "m")
        assert (answer.status, answer.headers["x-rotator-attempts"]) == (500, str(attempts))
        is_transform(protocol, answer.error, "request")
