"""Adapters on the native lane: their order, what they make of requests, answers and events, whose state is whose."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from rotator.contracts import Context
from rotator.exchange.stages import SHOWN_CHARACTERS, TransformFailed, implements
from rotator.plugins import Loaded
from rotator.upstream.adapter import WireAdapter
from tests import upstreams
from tests.exchange.staging import ERRORS, TERMINAL, answering, events, furnish, loaded_with
from tests.upstreams import (
    BEFORE_VISIBLE,
    COUNT_PATH,
    FRAMES,
    JSON,
    PROVIDERS,
    SSE,
    UNTIL_FINISH,
    WHOLE,
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
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

#: Plug-ins of a user, by their place.
PLUGINS = {
    "adapters/probes.py": '''
from dataclasses import dataclass

from rotator.api import JsonFrame, WireAdapter


@dataclass(frozen=True)
class Marking:
    mark: str = "x"
    last: bool = False


class Mark(WireAdapter):
    """Leaves its mark and a count of its own on all that passes, in place."""

    name = "mark"
    Options = Marking
    count = 0

    def left(self):
        self.count += 1
        return f"{self.options.mark}{self.count}"

    def on_request(self, body):
        body["messages"][-1]["content"] += f"|{self.left()}"
        return body

    def on_response(self, body):
        body.setdefault("marks", []).append(self.left())
        return body

    def on_event(self, frame):
        frame.data.setdefault("marks", []).append(self.left())
        return [frame]

    def on_end(self):
        return [JsonFrame("last", {"type": "last", "by": self.left()})] if self.options.last else []


class MarkChat(Mark):
    name = "mark_chat"
    protocols = ("chat",)


class MarkMessages(Mark):
    name = "mark_messages"
    protocols = ("messages",)


class Twice(WireAdapter):
    """Every event, and a copy of it under another name."""

    name = "twice"

    def on_event(self, frame):
        yield frame
        yield JsonFrame("copy", {**frame.data, "copy": True})


class Hold(WireAdapter):
    """Keeps what begins with "one " back until the end."""

    name = "hold"
    held = ()

    def on_event(self, frame):
        if "one " not in str(frame.data):
            return (frame,)
        self.held = (*self.held, frame)
        return ()

    def on_end(self):
        yield from self.held


class Told(WireAdapter):
    """Writes down whom it serves."""

    name = "told"
    contexts = []

    def on_request(self, body):
        self.contexts.append(self.ctx)
        return body
''',
    "adapters/plain.py": '''
from rotator.api import hookimpl


class Plain:
    """Derives from nothing and opens something that has but one method."""

    name = "plain"
    form = "wire"
    protocols = ()

    def __init__(self, options):
        self.options = options

    def open(self, ctx):
        return Opened(self.options)


class Opened:
    def __init__(self, options):
        self.options = options

    def on_request(self, body):
        return {**body, "plain": self.options}


@hookimpl
def register_adapters(register):
    register(Plain)
''',
}


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


def content(body: bytes) -> Any:
    """What the last message of a request says."""
    return json.loads(body)["messages"][-1]["content"]


def marks(body: bytes) -> list[Any]:
    """The marks of every event of a stream that has some."""
    return [data["marks"] for _, data in events(body) if "marks" in data]


def unmarked(data: dict[str, Any]) -> dict[str, Any]:
    """An event without what the adapters above leave on it."""
    return {name: value for name, value in data.items() if name not in ("marks", "copy")}


def told(protocol: str) -> list[Any]:
    """The events of the upstream's stream that adapters see, under the client's name for the model."""
    named = b"".join(FRAMES[protocol]).replace(b'"model":"m"', b'"model":"claudish/m"')
    return [data for _, data in events(named) if data != "[DONE]"]


# What adapters do.

A, B = {"mark": {"mark": "a", "last": True}}, {"mark": {"mark": "b", "last": True}}


@pytest.mark.pitfall("C253")
@BOTH
async def test_requests_pass_in_order_and_answers_in_reverse(
    staged: House, server: CannedServer, protocol: str
) -> None:
    await furnish(staged, A, B, base=server.url)
    answering(server, protocol, stream=False)
    answer = await staged.call(protocol, "m")
    assert content(server.taken[-1].body) == "Hello|a1|b1"
    assert answer.json == {**json.loads(WHOLE[protocol]), "marks": ["b2", "a2"]}
    assert answer.headers["x-rotator-lane"] == "native"


@BOTH
async def test_events_pass_in_reverse_and_last_frames_pass_the_adapters_behind(
    staged: House, server: CannedServer, protocol: str
) -> None:
    """b stands nearer to the upstream: what it keeps for the end passes a, and what a keeps passes nobody."""
    await furnish(staged, A, B, base=server.url)
    answering(server, protocol, stream=True)
    shown = events((await staged.call(protocol, "m", stream=True)).body)
    lasts = [data for name, data in shown if name == "last"]
    ordinary = [data for name, data in shown if name != "last"]
    sent = told(protocol)
    before = len(sent) - (protocol == "messages")  # the terminal comes behind the last frames
    assert [unmarked(data) for data in ordinary if data != "[DONE]"] == sent
    assert [data["marks"] for data in ordinary[:before]] == [[f"b{n}", f"a{n}"] for n in range(2, before + 2)]
    assert lasts == [
        {"type": "last", "by": f"b{before + 2}", "marks": [f"a{before + 2}"]},
        {"type": "last", "by": f"a{before + 3}"},
    ]
    assert shown[-3:-1] == [("last", data) for data in lasts]
    if protocol == "messages":
        assert ordinary[-1] == {"type": "message_stop", "marks": [f"b{before + 3}", f"a{before + 4}"]}


@BOTH
async def test_one_event_may_become_several_or_none(staged: House, server: CannedServer, protocol: str) -> None:
    """Held back at the upstream's side, marked, doubled at the client's: what was held is doubled at the end too."""
    await furnish(staged, "twice", {"mark": {}}, "hold", base=server.url)
    answering(server, protocol, stream=True)
    shown = [one for one in events((await staged.call(protocol, "m", stream=True)).body) if one[1] != "[DONE]"]
    sent = told(protocol)
    [held] = [data for data in sent if "one " in str(data)]
    stop = [data for data in sent if data == {"type": "message_stop"}]
    moved = [data for data in sent if data not in (held, *stop)] + [held, *stop]
    assert [unmarked(data) for _, data in shown[::2]] == [unmarked(data) for _, data in shown[1::2]] == moved
    assert [(name, data["copy"]) for name, data in shown[1::2]] == [("copy", True)] * len(moved)
    assert [data["marks"] for _, data in shown[::2]] == [[f"x{number}"] for number in range(2, len(moved) + 2)]


@BOTH
async def test_an_event_that_becomes_several_is_sent_with_them_in_lock_step(staged: House, protocol: str) -> None:
    await furnish(staged, "twice")
    gate, sent = Gate(), FRAMES[protocol]
    hidden = BEFORE_VISIBLE[protocol]
    body = staged.body(protocol, staged.play(Raw(200, SSE, sent, gate)), stream=True)
    gate.release(hidden + 1)
    async with asyncio.timeout(5), staged.asking(protocol, body) as reply:
        for number in range(len(sent)):
            if number > hidden:
                assert not reply.content._buffer
                gate.release()
            frame = await reply.content.readuntil(b"\n\n")
            if sent[number] != TERMINAL["chat"]:
                assert b'"copy":true' not in frame
                assert b'"copy":true' in await reply.content.readuntil(b"\n\n")
        assert await reply.read() == b""


@BOTH
async def test_last_frames_stand_before_a_terminal_that_the_vendor_forgot(staged: House, protocol: str) -> None:
    await furnish(staged, A, "hold")
    gate, finish = Gate(), UNTIL_FINISH[protocol]
    at_once = Raw(200, SSE, [b"".join(FRAMES[protocol][:finish])])
    shown = await staged.call(protocol, staged.play(at_once), stream=True)
    gate.release(finish - 1)
    body = staged.body(protocol, staged.play(Raw(200, SSE, FRAMES[protocol][:finish], gate)), stream=True)
    async with staged.asking(protocol, body) as reply:
        begun = b"".join([await reply.content.readuntil(b"\n\n") for _ in range(finish - 2)])
        gate.open()
        later = begun + await reply.read()
    for whole in (shown.body, later):
        assert whole.endswith(TERMINAL[protocol])
        *_, (_, kept), last, _ = events(whole)
        assert "one " in str(kept) and kept["marks"] and last[0] == "last"


@BOTH
@pytest.mark.parametrize("end", ["clean", "reset", "error"])
async def test_last_frames_stand_before_an_error_in_the_middle(staged: House, protocol: str, end: str) -> None:
    await furnish(staged, A, B)
    begun = BEFORE_VISIBLE[protocol] + 1
    more = [ERRORS[protocol]] if end == "error" else [b"data: {"]
    gate = Gate()
    gate.release(begun)
    step = Raw(200, SSE, [*FRAMES[protocol][:begun], *more], gate, end="clean" if end == "error" else end)
    async with staged.asking(protocol, staged.body(protocol, staged.play(step), stream=True)) as reply:
        seen = b"".join([await reply.content.readuntil(b"\n\n") for _ in range(begun)])
        gate.open()
        shown = events(seen + await reply.read())
    assert [name for name, _ in shown[begun:]] == ["last", "last", "" if protocol == "chat" else "error"]
    assert shown[-1][1]["error"]["message"] and "marks" not in shown[-1][1]


async def test_counting_tokens_passes_the_request_stages_only(staged: House) -> None:
    await furnish(staged, A)
    body = {"model": "claudish/text", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await staged.ask("messages", body, path=COUNT_PATH)
    assert (answer.status, list(answer.json)) == (200, ["input_tokens"])
    assert content(staged.vendor.requests[-1].body) == "Hello|a1"


async def furnish_both(house: House, base: str, *adapters: Any) -> None:
    """A world with a provider that speaks both protocols."""
    declared = {
        "protocol": "chat",
        "base_url": f"{base}/v1",
        "profiles": {"messages": {"protocol": "messages", "base_url": base}},
        "adapters": adapters,
    }
    await house.furnish(config={"providers": {"both": declared}}, BOTH_API_KEY="key-of-both")


@BOTH
@WAYS
async def test_adapters_of_other_protocols_do_not_run(
    staged: House, server: CannedServer, protocol: str, stream: bool
) -> None:
    await furnish_both(staged, server.url, {"mark_chat": {"mark": "c"}}, {"mark_messages": {"mark": "m"}})
    answering(server, protocol, stream)
    answer = await staged.ask(protocol, body_of(protocol, "both/m", stream=stream))
    mark = protocol[0]
    assert content(server.taken[-1].body) == f"Hello|{mark}1"
    found = marks(answer.body) if stream else [answer.json["marks"]]
    assert found == [[f"{mark}{number}"] for number in range(2, len(found) + 2)]
    assert len(found) == (len(told(protocol)) if stream else 1)


@WAYS
async def test_an_adapter_for_another_protocol_alone_leaves_the_lane_raw(
    staged: House, server: CannedServer, stream: bool
) -> None:
    await furnish_both(staged, server.url, "mark_messages")
    for protocol, lane in (("chat", "raw"), ("messages", "native")):
        answering(server, protocol, stream)
        answer = await staged.ask(protocol, body_of(protocol, "both/m", stream=stream))
        assert answer.headers["x-rotator-lane"] == lane


@pytest.mark.pitfall("C161")
@BOTH
async def test_the_adapters_close_the_raw_lane_by_name(staged: House, server: CannedServer, protocol: str) -> None:
    await furnish_both(staged, server.url, "twice", "mark_chat", "mark_messages")
    answer = await staged.ask(protocol, body_of(protocol, "both/m"), headers={"x-rotator-require": "raw"})
    assert (answer.status, server.taken) == (400, [])
    named = f"adapter twice, adapter mark_{protocol}"
    assert answer.error["message"] == f"x-rotator-require: both is not served raw ({named})"


# State.


@BOTH
async def test_requests_at_one_time_share_nothing(staged: House, protocol: str) -> None:
    await furnish(staged, A)
    gates = [Gate() for _ in range(3)]

    async def client(gate: Gate) -> bytes:
        body = staged.body(protocol, staged.play(Raw(200, SSE, FRAMES[protocol], gate)), stream=True)
        async with staged.asking(protocol, body) as reply:
            return await reply.read()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        clients = [group.create_task(client(gate)) for gate in gates]
        for _ in FRAMES[protocol]:
            for gate in gates:
                gate.release()
                await asyncio.sleep(0.001)
    assert content(staged.vendor.requests[-1].body) == "Hello|a1"
    one, *others = (task.result() for task in clients)
    assert marks(one)[:3] == [["a2"], ["a3"], ["a4"]]
    assert [marks(other) for other in others] == [marks(one)] * 2


#: An attempt that fails, and how: before any answer, or by an error in the answer.
FAILURES = {
    "limit": lambda protocol, stream: Reply(429, {"retry-after": "30"}),
    "fault": lambda protocol, stream: Reply(500),
    "inside": lambda protocol, stream: (
        Raw(200, SSE, [b"".join([FRAMES[protocol][0], ERRORS[protocol]])])
        if stream
        else Raw(200, JSON, [b'{"type":"error","error":{"message":"no"}}'])
    ),
}


@pytest.mark.pitfall("C168")
@BOTH
@WAYS
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_second_attempt_begins_with_the_clients_body(
    staged: House, protocol: str, stream: bool, failure: str
) -> None:
    await furnish(staged, A, {"mark": {"mark": "b"}}, keys=2)
    first, second = staged.keys[PROVIDERS[protocol]]
    staged.vendor.script_key(first, FAILURES[failure](protocol, stream))
    staged.vendor.script_key(second, Raw(200, SSE, FRAMES[protocol]) if stream else Raw(200, JSON, [WHOLE[protocol]]))
    answer = await staged.call(protocol, "m", stream=stream)
    assert (answer.status, answer.headers["x-rotator-attempts"], staged.used(protocol)) == (200, "2", [1, 2])
    assert [content(seen.body) for seen in list(staged.vendor.requests)[-2:]] == ["Hello|a1|b1"] * 2
    assert (marks(answer.body)[0] if stream else answer.json["marks"]) == ["b2", "a2"]


async def test_an_adapter_knows_which_attempt_it_serves(staged: House, plugins: Loaded, server: CannedServer) -> None:
    world = await furnish(staged, "told", base=server.url, keys=2)
    contexts: list[Context] = plugins.registry.adapters["told"].contexts  # type: ignore[attr-defined]
    contexts.clear()
    for protocol in PROVIDERS:
        answering(server, protocol, stream=False)
        sent = {"x-rotator-session": "s1"}
        assert (await staged.ask(protocol, staged.body(protocol, "some/m"), headers=sent)).status == 200
    for context, (protocol, name) in zip(contexts, PROVIDERS.items(), strict=True):
        assert (context.provider, context.profile, context.protocol) == (name, protocol, protocol)
        assert (context.model, context.operation, context.caller) == ("some/m", "generate", "local")
        assert context.session and context.session == contexts[0].session
        assert context.credential in {key.id for key in world.credentials[name]} and "key-" not in repr(context)


@BOTH
async def test_an_adapter_need_not_derive_from_anything(staged: House, server: CannedServer, protocol: str) -> None:
    await furnish(staged, {"plain": [1, {"a": None}]}, A, base=server.url)
    for stream in (False, True):
        answering(server, protocol, stream)
        answer = await staged.call(protocol, "m", stream=stream)
        assert json.loads(server.taken[-1].body)["plain"] == [1, {"a": None}]
        assert (marks(answer.body)[0] if stream else answer.json["marks"]) == ["a2"]


async def test_what_is_inherited_changes_nothing() -> None:
    class Own(WireAdapter):
        def on_end(self) -> Sequence[Any]:
            return ()

    methods = ("on_request", "on_response", "on_event", "on_end")
    assert [implements(Own, method) for method in methods] == [False, False, False, True]
    assert not implements(object, "on_request")


async def test_an_error_is_told_in_few_words() -> None:
    failed = TransformFailed("adapter x", "event", ValueError("y" * 1_000))
    assert len(failed.error.message) < SHOWN_CHARACTERS + 60 and not failed.unsent
