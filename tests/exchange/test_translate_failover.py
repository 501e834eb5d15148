"""The translate lane's attempts: what cannot be said, by whom, and what is told of losses, usage and mistakes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rotator.neutral.codec import Ids
from rotator.neutral.losses import Ledger
from rotator.plugins import Loaded
from tests import upstreams
from tests.exchange.staging import SPARE_KEYS, answering, doubted, furnish, last_line, lead, loaded_with, served
from tests.exchange.tapping import of, one, told, written_at_once
from tests.exchange.test_translate import CROSS, crossed, crossing, last_error, said
from tests.upstreams import (
    COUNT_PATH,
    FRAMES,
    JSON,
    PATIENCE_SECONDS,
    PROVIDERS,
    SSE,
    WHOLE,
    Answer,
    Canned,
    Gate,
    House,
    Raw,
    Reply,
    body_of,
    canned,
)

__all__ = ["written_at_once"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

PLUGINS = {
    "adapters/idle.py": '''
from rotator.api import WireAdapter


class Idle(WireAdapter):
    """Looks at everything and changes nothing."""

    def on_request(self, body):
        return body

    def on_event(self, frame):
        return (frame,)

    def on_response(self, body):
        return body
''',
    "adapters/moody.py": '''
from dataclasses import replace

from rotator.api import NeutralAdapter


class Moody(NeutralAdapter):
    """Fails on answers."""

    def on_request(self, request):
        return replace(request, rest={})

    def on_response(self, response):
        raise LookupError("an answer came")
''',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def staged(house: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    yield house


def broken(*_: Any) -> Any:
    raise LookupError("a mistake of ours")


# Targets that cannot say it.


@pytest.mark.parametrize("keys", [1, 2])
async def test_what_a_vendor_said_goes_before_what_could_not_be_said(house: House, keys: int) -> None:
    world = await furnish(house, keys=keys, config={"retry": {"same_key": 0}})
    down = house.play(Reply(503, body={"error": {"message": "Down today", "type": "server_error"}}))
    places = [f"vendor:chat/{down}", "claudish:messages/text"]
    for order in (places, places[::-1]):
        house.clock.now += 1_000
        await lead(house, world, "chat", *order)
        answer = await house.call("chat", "any", n=2)
        assert (answer.status, answer.error["message"]) == (503, "Down today"), order
        assert json.loads(house.vendor.requests[-1].body)["model"] == down


#: What a request for a target of the other protocol cannot be: said there, or read by us at all.
UNFIT: dict[str, dict[str, Any]] = {"said": {"n": 2}, "read": {"messages": [{"role": "odd", "content": "x"}]}}


@WAYS
@pytest.mark.parametrize("more", UNFIT.values(), ids=UNFIT)
async def test_another_target_gets_what_one_cannot_say_or_read(
    house: House, stream: bool, more: dict[str, Any]
) -> None:
    async with canned(Canned()) as server:
        answering(server, "chat", stream)
        world = await furnish(house, base=server.url)
        await lead(house, world, "chat", "claudish:messages/text", "vendor:chat/text")
        answer = await house.call("chat", "any", stream=stream, **more)
        told_by = [answer.headers[f"x-rotator-{name}"] for name in ("provider", "lane", "attempts")]
        assert (answer.status, told_by) == (200, ["vendor", "raw", "1"])
        assert "x-rotator-warnings" not in answer.headers
        [taken] = server.taken
        sent = json.loads(taken.body)
        assert {name: sent[name] for name in more} == more


async def test_only_targets_that_cannot_say_it_are_a_refusal(house: House) -> None:
    world = await furnish(house)
    await lead(house, world, "chat", "claudish:messages/text", "spareish:messages/text")
    before = len(house.vendor.requests)
    answer = await house.call("chat", "any", n=2)
    assert (answer.status, answer.error["param"], len(house.vendor.requests)) == (400, "n", before)
    unread = await house.call("chat", "any", **UNFIT["read"])
    assert (unread.status, unread.error["param"]) == (400, "messages[0].role")
    assert house.reasons("messages", "text") == [[]] and "x-rotator-attempts" not in unread.headers


async def test_targets_that_cannot_say_it_do_not_use_up_attempts(house: House) -> None:
    world = await furnish(house, keys=2, config={"retry": {"max_attempts": 2, "same_key": 0}})
    model = house.play(Reply(500), Raw(200, JSON, [WHOLE["chat"]]))
    await lead(house, world, "chat", "claudish:messages/text", "spareish:messages/text", f"vendor:chat/{model}")
    answer = await house.call("chat", "any", n=2)
    told_by = [answer.headers[f"x-rotator-{name}"] for name in ("provider", "attempts")]
    assert (answer.status, told_by) == (200, ["vendor", "2"])


async def test_nobody_waits_for_a_key_to_hear_that_it_cannot_be_said(house: House) -> None:
    model = house.play(Reply(429, {"retry-after": "90"}))
    assert (await crossed(house, "chat", model)).status == 429
    before = len(house.vendor.requests)
    answer = await crossed(house, "chat", model, n=2)
    assert (answer.status, answer.error["param"], answer.headers["x-should-retry"]) == (400, "n", "false")
    assert (len(house.vendor.requests), house.clock.slept) == (before, [])
    assert (await crossed(house, "chat", model)).status == 429


# Bodies.


@pytest.mark.parametrize("handling", [{}, {"on_error": "skip"}], ids=["fail", "skip"])
@pytest.mark.parametrize("opening", ['{"a":', "["], ids=["objects", "lists"])
async def test_deep_arguments_pass_a_wire_adapter(staged: House, handling: dict[str, Any], opening: str) -> None:
    await furnish(staged, "idle", **handling)
    closing, levels = "}" if opening[0] == "{" else "]", 197
    deep = '{"a":' + opening * levels + "1" + closing * levels + "}"
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": deep}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    model = staged.play(Raw(200, JSON, [WHOLE["messages"]]))
    answer = await crossed(staged, "chat", model, messages=messages, tools=[tool])
    assert answer.status == 200, answer.body
    sent = staged.vendor.requests[-1].body
    assert deep.encode() in sent


@CROSS
@WAYS
async def test_a_vendors_charset_is_not_passed_on(house: House, client: str, vendor: str, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    chunks = FRAMES[vendor] if stream else [WHOLE[vendor]]
    heard = []
    for charset in ("iso-8859-1", "utf-8"):
        model = house.play(Raw(200, {"content-type": f"{kind}; charset={charset}"}, chunks))
        answer = await crossed(house, client, model, stream=stream)
        assert (answer.status, said(client, answer)) == (200, "one two" if stream else "hi")
        heard.append(answer.headers["content-type"])
    assert heard == [kind, f"{kind}; charset=utf-8"]


# Usage.


@CROSS
async def test_estimates_of_whole_answers_grow_with_their_words(house: House, client: str, vendor: str) -> None:
    found = []
    for words in ("hi", "hi" * 40):
        model = house.play(Raw(200, JSON, [WHOLE[vendor].replace(b"hi", words.encode())]))
        usage = (await crossed(house, client, model)).json["usage"]
        found.append(usage["completion_tokens" if client == "chat" else "output_tokens"])
        assert f"+{found[-1]} tok" in last_line(house)
    assert found == [1, 20]


async def test_the_answer_of_a_count_is_not_for_neutral_adapters(staged: House) -> None:
    await furnish(staged, "moody")
    body = staged.body("messages", "text")
    assert (await staged.ask("messages", body)).status == 500
    del body["max_tokens"]
    answer = await staged.ask("messages", body, path=COUNT_PATH)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "translate")
    assert answer.json["input_tokens"] > 0


async def test_an_estimated_count_is_told_as_one(house: House, tmp_path: Path) -> None:
    await furnish(house, config={"trace": {"level": "full", "dir": str(tmp_path)}})
    tokens = 30
    body = body_of("messages", "vendor/text", messages=[{"role": "user", "content": "word" * tokens}])
    del body["max_tokens"]
    answer = await house.ask("messages", body, path=COUNT_PATH)
    assert (answer.status, answer.json) == (200, {"input_tokens": tokens})
    assert json.loads(answer.headers["x-rotator-warnings"]) == [{"code": "count.estimated"}]
    assert f" 200 ~{tokens}+0 tok " in last_line(house)
    lost = one(await told(tmp_path), "losses")
    assert (lost["losses"], lost["beyond"]) == ([{"code": "count.estimated", "path": "", "detail": ""}], 0)


async def test_no_estimate_stands_in_for_the_raw_lane(house: House) -> None:
    body = body_of("messages", "vendor/text")
    del body["max_tokens"]
    answer = await house.ask("messages", body, path=COUNT_PATH, headers={"x-rotator-require": "raw"})
    assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
    assert "input_tokens" not in answer.json and "x-rotator-warnings" not in answer.headers


# Losses.


@CROSS
async def test_no_secret_is_told_in_a_loss(house: House, client: str, vendor: str, tmp_path: Path) -> None:
    await furnish(house, config={"trace": {"level": "full", "dir": str(tmp_path)}})
    [key] = house.keys[PROVIDERS[vendor]]
    finish = b'"stop"' if vendor == "chat" else b'"end_turn"'
    model = house.play(Raw(200, JSON, [WHOLE[vendor].replace(finish, f'"odd {key}"'.encode())]))
    answer = await crossed(house, client, model)
    [loss] = json.loads(answer.headers["x-rotator-warnings"])
    assert (answer.status, loss) == (200, {"code": "finish.native", "detail": "odd [redacted]"})
    assert one(await told(tmp_path), "losses")["losses"] == [{**loss, "path": ""}]
    assert key.encode() not in answer.body


@CROSS
@pytest.mark.parametrize("level", ["meta", "bounds"])
async def test_a_trace_of_meta_holds_no_words_of_losses(
    house: House, client: str, vendor: str, level: str, tmp_path: Path
) -> None:
    await furnish(house, config={"trace": {"level": level, "dir": str(tmp_path)}})
    await crossed(house, client, "text", **({"seed": 3} if client == "chat" else {"top_k": 3}))
    [lost] = of(await told(tmp_path), "losses")
    [loss] = lost["losses"]
    name = "seed" if client == "chat" else "top_k"
    assert loss.pop("code") == f"sampling.{name}"
    assert loss == ({} if level == "meta" else {"path": name, "detail": ""})


# Mistakes.

#: What of a codec raises -> what the error calls it, with whose name, and where.
BROKEN = {
    "parse": ("parse", "client", "request"),
    "build": ("build", "vendor", "request"),
    "parse_response": ("read", "vendor", "response"),
    "build_response": ("write", "client", "response"),
}


@CROSS
@pytest.mark.parametrize("method", BROKEN)
async def test_a_codecs_mistake_is_named_and_no_key_rests(
    house: House, client: str, vendor: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, whose, direction = BROKEN[method]
    protocol = client if whose == "client" else vendor
    codec = house.proxy.core.world.protocols[protocol].codecs["generate"]
    monkeypatch.setattr(type(codec), method, broken)
    answer = await crossed(house, client, "text")
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    message = f"{step} {protocol} failed on the {direction} (LookupError: a mistake of ours; "
    assert answer.error["message"].startswith(message)
    assert house.reasons(vendor, "text") == [[]] and not doubted(house, vendor)
    assert last_line(house).endswith(", transform_failed")


@WAYS
async def test_another_target_may_do_without_the_codec_that_failed(
    house: House, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await house.furnish(config={"providers": served(house.vendor.url)}, **SPARE_KEYS)
    await lead(house, world, "chat", "claudish:messages/text", "spare:chat/text")
    monkeypatch.setattr(type(world.protocols["chat"].codecs["generate"]), "parse", broken)
    answer = await house.call("chat", "any", stream=stream)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "raw")
    assert said("chat", answer).startswith("Hello")


#: What of a stream's conversion raises -> whose codec it is and what the error calls it.
FAILING = {"reader": "read", "read": "read", "end": "read", "writer": "write", "write": "write"}


@CROSS
@pytest.mark.parametrize("what", FAILING)
async def test_a_codecs_mistake_in_a_stream_is_named_and_no_key_rests(
    house: House, client: str, vendor: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = (house.proxy.core.world.protocols[name].codecs["generate"] for name in (vendor, client))
    classes: dict[str, type] = {
        "reader": type(theirs),
        "writer": type(ours),
        "write": type(ours.writer(*asked(ours, client))),
    }
    monkeypatch.setattr(classes.get(what) or type(theirs.reader(Ledger())), what, broken)
    frames = FRAMES[vendor][:1] if what == "end" else FRAMES[vendor]
    model = house.play(Raw(200, SSE, frames))
    answer = await crossed(house, client, model, stream=True)
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    name = f"{FAILING[what]} {client if FAILING[what] == 'write' else vendor}"
    assert answer.error["message"].startswith(f"{name} failed on the event (LookupError: a mistake of ours")
    assert house.reasons(vendor, model) == [[]] and not doubted(house, vendor)
    assert last_line(house).endswith(", transform_failed")


def asked(codec: Any, client: str) -> tuple[Any, Ids, Ledger]:
    """What a writer is made of."""
    return codec.parse(body_of(client, "m"), "m", True, Ledger()), Ids("seed", 0, "m"), Ledger()


@pytest.mark.pitfall("C236")
@CROSS
async def test_a_mistake_behind_output_ends_the_stream(
    house: House, client: str, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = type(house.proxy.core.world.protocols[vendor].codecs["generate"].reader(Ledger()))
    gate = Gate()
    gate.release({"chat": 2, "messages": 3}[vendor])
    model = house.play(Raw(200, SSE, FRAMES[vendor], gate))
    body = crossing(client, model, stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(client, body) as reply:
        shown = await reply.content.readuntil(b"one ")
        monkeypatch.setattr(reader, "read", broken)
        gate.open()
        answer = Answer(reply.status, reply.headers, shown + await reply.read())
    assert last_error(client, answer)["message"].startswith(f"read {vendor} failed on the event (LookupError")
    assert house.reasons(vendor, model) == [[]] and not doubted(house, vendor)
    assert last_line(house).endswith(", transform_failed")
