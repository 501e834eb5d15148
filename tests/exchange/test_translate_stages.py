"""What stands between two protocols: neutral adapters, the wire stage, and what the trace tells of every step."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rotator.plugins import Loaded
from tests import upstreams
from tests.exchange.staging import events, furnish, loaded_with
from tests.exchange.tapping import of, one, told, written_at_once
from tests.upstreams import FRAMES, PROVIDERS, SSE, Answer, House, Play, Raw, body_of

__all__ = ["written_at_once"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
OTHER = {"chat": "messages", "messages": "chat"}
CLIENTS = pytest.mark.parametrize("client", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

PLUGINS = {
    "adapters/shout.py": '''
from dataclasses import replace

from rotator.api import NeutralAdapter, Text, TextDelta, BlockStart, BlockEnd


class Shout(NeutralAdapter):
    """Words in capitals, both ways, and a last word of its own."""

    def on_request(self, request):
        self.ctx.note(self.name, "shouted", "messages")
        turns = (replace(turn, parts=tuple(map(loud, turn.parts))) for turn in request.turns)
        return replace(request, turns=tuple(turns))

    def on_response(self, response):
        candidates = tuple(replace(one, parts=(*map(loud, one.parts), Text("!"))) for one in response.candidates)
        return replace(response, candidates=candidates)

    def on_event(self, event):
        yield event._replace(text=event.text.upper()) if isinstance(event, TextDelta) else event

    def on_end(self):
        return (BlockStart(99, Text("")), TextDelta(99, "!"), BlockEnd(99))


def loud(part):
    return replace(part, text=part.text.upper()) if isinstance(part, Text) else part
''',
    "adapters/odd.py": '''
from rotator.api import NeutralAdapter


class Odd(NeutralAdapter):
    """Fails where its option says."""

    def __init__(self, options=None):
        self.options = options or {}

    def on_request(self, request):
        return self.result("request", request)

    def on_response(self, response):
        return self.result("response", response)

    def on_event(self, event):
        return self.result("event", (event,))

    def on_end(self):
        return self.result("end", ())

    def result(self, direction, value):
        if direction == self.options.get("raises"):
            raise LookupError("on purpose")
        return {"no": "event"} if direction == self.options.get("lies") else value
''',
    "adapters/endless.py": '''
from dataclasses import replace

from rotator.api import NeutralAdapter, Sampling


class Endless(NeutralAdapter):
    """Wishes for a temperature that JSON has no word for."""

    def on_request(self, request):
        return replace(request, sampling=Sampling(temperature=float("inf")))
''',
    "adapters/spoil.py": '''
from rotator.api import WireAdapter


class Spoil(WireAdapter):
    """Changes what it gets in place, at every depth that it knows."""

    def on_request(self, body):
        [tool] = body["tools"]
        schema = tool["function"]["parameters"] if "function" in tool else tool["input_schema"]
        if not schema["properties"]:
            raise LookupError("spoilt before")
        schema["properties"].clear()
        return body
''',
    "adapters/seen.py": '''
from rotator.api import JsonFrame, WireAdapter


class Seen(WireAdapter):
    """Marks the upstream's own JSON."""

    def on_request(self, body):
        return {**body, "metadata": {"user_id": "wire"}}

    def on_response(self, body):
        return {**body, "id": "id-" + "-".join(sorted(body))[:7]}

    def on_event(self, frame):
        yield frame

    def on_end(self):
        if "chat" == self.ctx.protocol:
            yield JsonFrame(None, {"choices": [{"index": 0, "delta": {"content": " (end)"}, "finish_reason": None}]})
        else:
            yield JsonFrame("content_block_start", {"type": "content_block_start", "index": 7,
                                                    "content_block": {"type": "text", "text": " (end)"}})
            yield JsonFrame("content_block_stop", {"type": "content_block_stop", "index": 7})
''',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def staged(house: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    yield house


async def crossed(house: House, client: str, model: str, **more: Any) -> Answer:
    return await house.ask(client, body_of(client, f"{PROVIDERS[OTHER[client]]}/{model}", **more))


def said(client: str, answer: Answer) -> str:
    if answer.headers["content-type"].startswith("application/json"):
        whole = answer.json
        if client == "chat":
            return str(whole["choices"][0]["message"]["content"])
        return "".join(block.get("text", "") for block in whole["content"])
    deltas = [data for _, data in events(answer.body.replace(b": ping\n\n", b"")) if isinstance(data, dict)]
    if client == "chat":
        return "".join(one["choices"][0]["delta"].get("content") or "" for one in deltas if one["choices"])
    return "".join(one["delta"].get("text", "") for one in deltas if one["type"] == "content_block_delta")


@pytest.mark.pitfall("C34")
@CLIENTS
@WAYS
async def test_a_neutral_adapter_sees_both_ways_and_has_the_last_word(
    staged: House, client: str, stream: bool
) -> None:
    await furnish(staged, "shout")
    answer = await crossed(staged, client, staged.play(Play("text")), stream=stream)
    assert answer.status == 200
    spoken = said(client, answer)
    assert spoken.startswith("HELLO FROM THE DEMO VENDOR!") and spoken.endswith("SAME.!")
    assert b"HELLO" in staged.vendor.requests[-1].body


@CLIENTS
@WAYS
async def test_it_makes_equal_protocols_be_translated(staged: House, client: str, stream: bool) -> None:
    await furnish(staged, "shout")
    answer = await staged.call(client, staged.play(Play("text")), stream=stream)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "translate")
    assert said(client, answer).endswith("SAME.!")
    required = await staged.ask(client, staged.body(client, "text"), headers={"x-rotator-require": "raw"})
    assert (required.status, "adapter shout" in required.error["message"]) == (400, True)


async def test_counting_tokens_goes_past_it(staged: House) -> None:
    await furnish(staged, "shout")
    body = staged.body("messages", "text")
    del body["max_tokens"]
    answer = await staged.ask("messages", body, path="/v1/messages/count_tokens")
    assert answer.status == 200 and answer.json["input_tokens"] > 0
    assert answer.headers["x-rotator-lane"] == "translate"
    assert b"HELLO" in staged.vendor.requests[-1].body


@CLIENTS
@pytest.mark.parametrize("how", ["raises", "lies"])
@pytest.mark.parametrize("direction", ["request", "response", "event", "end"])
async def test_one_that_fails_fails_its_attempt_or_is_passed_by(
    staged: House, client: str, how: str, direction: str
) -> None:
    stream = direction in ("event", "end")
    await furnish(staged, {"odd": {how: direction}})
    answer = await crossed(staged, client, staged.play(Play("text")), stream=stream)
    told = answer.error["message"] if answer.status != 200 else answer.body.decode()
    assert f"adapter odd failed on the {direction}" in told
    assert staged.reasons(OTHER[client], "text") == [[]]
    await furnish(staged, {"odd": {how: direction}}, on_error="skip")
    passed = await crossed(staged, client, staged.play(Play("text")), stream=stream)
    assert passed.status == 200 and said(client, passed).endswith("same.")


@pytest.mark.pitfall("C34", "C251", "C253")
@CLIENTS
@WAYS
async def test_wire_adapters_see_the_upstreams_json(staged: House, client: str, stream: bool) -> None:
    await furnish(staged, "seen")
    model = staged.play(Raw(200, SSE, FRAMES[OTHER[client]]) if stream else Play("text"))
    answer = await crossed(staged, client, model, stream=stream)
    assert answer.status == 200 and answer.headers["x-rotator-lane"] == "translate"
    sent = json.loads(staged.vendor.requests[-1].body)
    assert sent["metadata"] == {"user_id": "wire"}
    if stream:
        assert said(client, answer) == "one two (end)"


@pytest.mark.pitfall("C168")
@CLIENTS
async def test_what_a_wire_adapter_changes_in_place_is_its_attempts_own(staged: House, client: str) -> None:
    """Codecs keep schemas; what they keep is not what an adapter gets."""
    await furnish(staged, "spoil")
    schema = {"type": "object", "properties": {"kept": {"type": "string"}}}
    function = {"name": "f", "parameters": schema}
    tool = {"type": "function", "function": function} if client == "chat" else {"name": "f", "input_schema": schema}
    for _ in range(2):
        answer = await crossed(staged, client, staged.play(Play("text")), tools=[tool])
        assert answer.status == 200
        assert b'"properties":{}' in staged.vendor.requests[-1].body


@pytest.mark.pitfall("C250", "C258")
@CLIENTS
@WAYS
async def test_the_trace_tells_every_step(staged: House, client: str, stream: bool, tmp_path: Path) -> None:
    config = {"trace": {"level": "full", "dir": str(tmp_path)}}
    await furnish(staged, "shout", config=config)
    more = {"top_k": 3} if client == "messages" else {"seed": 3}
    answer = await crossed(staged, client, staged.play(Play("text")), stream=stream, **more)
    found = await told(tmp_path)
    other = OTHER[client]
    stages = [(entry["attempt"], entry["stage"], entry["direction"]) for entry in of(found, "stage")]
    asked = [(0, f"parse {client}", "request"), (1, "adapter shout", "request"), (1, f"build {other}", "request")]
    assert stages[:3] == asked
    if not stream:
        back = [(1, f"read {other}", "response"), (1, "adapter shout", "response"), (1, f"write {client}", "response")]
        assert stages[3:] == back
    parsed, adapted, built = of(found, "stage")[:3]
    assert parsed["body"]["json"]["kind_of"] == "Request"
    assert adapted["changed"] is True and adapted["notes"][0]["code"] == "shouted"
    assert built["body"]["json"] == one(found, "upstream_request")["body"]["json"]
    lost = one(found, "losses")
    codes = {loss["code"]: loss["path"] for loss in lost["losses"]}
    [name] = more
    assert codes == {f"sampling.{name}": name} and lost["beyond"] == 0
    assert one(found, "end")["lane"] == "translate"
    assert json.loads(answer.headers["x-rotator-warnings"]) == [{"code": f"sampling.{name}", "path": name}]


@CLIENTS
async def test_a_codecs_mistake_is_nobodys_fault(
    staged: House, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that raises fails its attempt under its name, and no key rests."""
    await furnish(staged)
    other = OTHER[client]
    codec = staged.proxy.core.world.protocols[other].codecs["generate"]

    def broken(*_: Any) -> Any:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(type(codec), "build", broken)
    answer = await crossed(staged, client, "text")
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    assert f"build {other} failed on the request (LookupError: a mistake of ours" in answer.error["message"]
    assert staged.reasons(other, "text") == [[]]


async def test_a_number_that_is_none_is_laid_at_the_adapters_door(staged: House) -> None:
    await furnish(staged, "endless")
    answer = await crossed(staged, "messages", staged.play(Play("text")))
    assert (answer.status, answer.headers["x-should-retry"]) == (500, "false")
    assert answer.error["message"].startswith("adapter endless failed on the request (ValueError")
