"""Both official SDKs over the native lane, with an adapter in every stage: each demo model, whole and streamed.

The demo vendor is strict: it refuses a request that an adapter broke, and a thought whose signature does not fit.
"""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from rotator.plugins import Loaded
from tests import upstreams
from tests.exchange.staging import loaded_with
from tests.upstreams import House

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: All models that the demo provider lists; the last ones fail, each in its own way.
ANSWERING = (
    "text", "unicode", "tools", "parallel-tools", "thinking", "thinking-tools", "interleaved", "long", "slow", "flaky",
    "agent",
)  # fmt: skip
FAILING = ("error", "mid-error")
CALLING = ("tools", "parallel-tools", "thinking-tools")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
TOOLS: Any = [{"name": "get_weather", "description": "now", "input_schema": SCHEMA}]
PROMPT: Any = [{"role": "user", "content": "Hello"}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}

PLUGINS = {
    "adapters/probe.py": '''
import copy
from collections import Counter

from rotator.api import JsonFrame, WireAdapter

CALLS = Counter()
#: Where a delta holds text that may come in two pieces as well.
TEXTS = ("content", "reasoning_content", "text", "thinking", "partial_json")


class Probe(WireAdapter):
    """Works in every stage without changing what is meant: moves fields, cuts texts in two, drops pings, adds notes."""

    events = 0

    def on_request(self, body):
        CALLS["request"] += 1
        if self.ctx.protocol == "chat":
            body["user"] = "probe"
        elif self.ctx.operation == "generate":  # counting knows no such field
            body.setdefault("stop_sequences", ["never said"])
        return dict(reversed(body.items()))

    def on_response(self, body):
        CALLS["response"] += 1
        body["probed"] = self.ctx.model
        return body

    def on_event(self, frame):
        CALLS["event"] += 1
        self.events += 1
        data = frame.data
        if data.get("type") == "ping":
            return
        choices = data.get("choices")
        delta = choices[0]["delta"] if choices else data.get("delta", {})
        for name in TEXTS:
            if isinstance(delta.get(name), str) and len(delta[name]) > 1:
                first = JsonFrame(frame.event, copy.deepcopy(data))
                before = first.data["choices"][0]["delta"] if choices else first.data["delta"]
                before[name], delta[name] = delta[name][:1], delta[name][1:]
                CALLS["cut"] += 1
                yield first
        yield frame

    def on_end(self):
        CALLS["end"] += 1
        if self.ctx.protocol == "messages":
            return [JsonFrame("ping", {"type": "ping", "events": self.events})]
        chunk = {"id": "probe", "object": "chat.completion.chunk", "created": 1, "model": "probe", "choices": []}
        return [JsonFrame(None, chunk | {"events": self.events})]
''',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The adapter above beside all that is ours."""
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def demo(dwelling: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The house with the demo provider, whose every request and answer passes the adapter."""
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    world = await dwelling.furnish(demo=True, config={"providers": {"demo": {"adapters": ["probe"]}}})
    provider: Any = world.providers["demo"]
    provider._engine._pace_seconds = 0.04  # of the model that is slow
    yield dwelling
    await dwelling.idle()


async def native(reply: Any) -> None:
    """What every answer tells of its lane."""
    assert reply.headers["x-rotator-lane"] == "native"


@pytest_asyncio.fixture(loop_scope="module")
async def chat(demo: House) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [native]})
    async with openai.AsyncOpenAI(
        base_url=demo.proxy.chat_base, api_key="any", max_retries=0, http_client=http
    ) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def messages(demo: House) -> AsyncIterator[anthropic.AsyncAnthropic]:
    http = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [native]})
    async with anthropic.AsyncAnthropic(
        base_url=demo.proxy.url, api_key="any", max_retries=0, http_client=http
    ) as client:
        yield client


def calls(plugins: Loaded) -> Any:
    """How often the adapter was called, by stage."""
    adapter: Any = plugins.registry.adapters["probe"]
    return adapter.on_event.__globals__["CALLS"]


async def test_no_model_is_left_out(demo: House) -> None:
    assert {*demo.proxy.core.world.providers["demo"].listed} == {*ANSWERING, *FAILING}


@pytest.mark.parametrize("model", ANSWERING)
async def test_openai_reads_every_model(plugins: Loaded, chat: openai.AsyncOpenAI, model: str) -> None:
    calls(plugins).clear()
    asked: Any = {"model": f"demo/{model}", "messages": PROMPT, "tools": FUNCTIONS}
    whole = await chat.chat.completions.create(**asked)
    said, called, usage, models = "", "", None, set()
    chunks = [
        chunk
        async for chunk in await chat.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
    ]
    for chunk in chunks:
        models.add(chunk.model)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            said += choice.delta.content or ""
            called += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or () if call.function)
    async with chat.chat.completions.stream(**asked) as stream:
        final = await stream.get_final_completion()
    message = whole.choices[0].message
    assert said == (message.content or "") == (final.choices[0].message.content or "")
    assert called == "".join(call.function.arguments for call in message.tool_calls or () if call.type == "function")
    assert said + called and usage == whole.usage
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason
    assert {whole.model, *models} == {f"demo/{model}"} and whole.model_extra == {"probed": model}
    assert chunks[-1].model_extra["events"] <= len(chunks)  # type: ignore[index]
    counted = calls(plugins)
    assert (counted["response"], counted["end"]) == (1, 2)
    assert counted["request"] == 3 + (model == "flaky") * 3  # every second time it is limited first
    assert counted["event"] > 4
    short = ("unicode", "tools", "parallel-tools", "agent")  # no long text in a delta
    assert (counted["cut"] > 4) == (model not in short)


@pytest.mark.parametrize("model", ANSWERING)
async def test_anthropic_reads_every_model(
    plugins: Loaded, messages: anthropic.AsyncAnthropic, model: str
) -> None:
    calls(plugins).clear()
    asked: Any = {"model": f"demo/{model}", "max_tokens": 4000, "messages": PROMPT, "tools": TOOLS}
    whole = await messages.messages.create(**asked)
    kinds = [event.type async for event in await messages.messages.create(**asked, stream=True)]
    async with messages.messages.stream(**asked) as stream:
        said = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert said == "".join(block.text for block in whole.content if block.type == "text")
    assert [block.type for block in final.content] == [block.type for block in whole.content] != []
    for one, other in zip(final.content, whole.content, strict=True):
        inside = {"id", "signature", "citations", "parsed_output", "caller"}
        assert one.model_dump(exclude=inside) == other.model_dump(exclude=inside)
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert whole.model == final.model == f"demo/{model}" and whole.probed == model  # type: ignore[attr-defined]
    counted = calls(plugins)
    assert (counted["response"], counted["end"]) == (1, 2)
    assert counted["request"] == 3 + (model == "flaky") * 3
    assert counted["event"] > 8 and (counted["cut"] > 2) == (model != "unicode")


@pytest.mark.parametrize("model", FAILING)
async def test_what_fails_is_raised(
    plugins: Loaded, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic, model: str
) -> None:
    """No adapter sees an error; one that comes in the middle stands behind what was said."""
    calls(plugins).clear()
    asked: Any = {"model": f"demo/{model}", "messages": PROMPT}
    with pytest.raises(openai.InternalServerError):
        await chat.chat.completions.create(**asked)
    with pytest.raises(anthropic.OverloadedError):
        await messages.messages.create(**asked, max_tokens=99)
    said = ""
    with pytest.raises(openai.APIError, match="had an error"):
        async for chunk in await chat.chat.completions.create(**asked, stream=True):
            said += "".join(choice.delta.content or "" for choice in chunk.choices)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with messages.messages.stream(**asked, max_tokens=99) as stream:
            said += "".join([text async for text in stream.text_stream])
    counted = calls(plugins)
    assert counted["request"] > 4 and counted["response"] == 0
    assert (counted["end"], counted["cut"] > 2) == ((0, False) if model == "error" else (2, True))
    assert said == ("" if model == "error" else "This answer starts well and then")


@pytest.mark.parametrize("model", CALLING)
@pytest.mark.parametrize("stream", [False, True])
async def test_openai_tools_make_a_round_trip(chat: openai.AsyncOpenAI, model: str, stream: bool) -> None:
    asked: Any = {"model": f"demo/{model}", "tools": FUNCTIONS}
    if stream:
        async with chat.chat.completions.stream(**asked, messages=PROMPT) as chunks:
            first: Any = (await chunks.get_final_completion()).choices[0]
    else:
        first = (await chat.chat.completions.create(**asked, messages=PROMPT)).choices[0]
    called = first.message.tool_calls
    assert (first.finish_reason, len(called)) == ("tool_calls", 2 if model == "parallel-tools" else 1)
    spoken: Any = {
        "role": "assistant",
        "tool_calls": [
            {"id": one.id, "type": "function", "function": one.function.model_dump(include={"name", "arguments"})}
            for one in called
        ],
    }
    results: Any = [{"role": "tool", "tool_call_id": one.id, "content": "sunny"} for one in called]
    second = await chat.chat.completions.create(**asked, messages=[*PROMPT, spoken, *results])
    assert "tool result" in (second.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        await chat.chat.completions.create(**asked, messages=[*PROMPT, spoken, *results[:-1]])


@pytest.mark.parametrize("model", CALLING)
@pytest.mark.parametrize("streams", [False, True])
async def test_anthropic_tools_and_signed_thoughts_make_a_round_trip(
    messages: anthropic.AsyncAnthropic, model: str, streams: bool
) -> None:
    """The vendor checks each signature against text, place, model and key."""
    asked: Any = {"model": f"demo/{model}", "max_tokens": 4000, "tools": TOOLS}
    asked["extra_headers"] = {"x-rotator-session": f"s-{model}-{streams}"}
    if model.startswith("thinking"):
        asked["thinking"] = THINKING
    history: list[Any] = [*PROMPT]
    for _ in range(3):
        if streams:
            async with messages.messages.stream(**asked, messages=history) as stream:
                first: Any = await stream.get_final_message()
        else:
            first = await messages.messages.create(**asked, messages=history)
        called = [block for block in first.content if block.type == "tool_use"]
        assert (first.stop_reason, len(called)) == ("tool_use", 2 if model == "parallel-tools" else 1)
        assert any(block.type == "thinking" and block.signature for block in first.content) == ("thinking" in asked)
        results = [{"type": "tool_result", "tool_use_id": one.id, "content": "sunny"} for one in called]
        history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = await messages.messages.create(**asked, messages=history)
        assert "tool result" in "".join(block.text for block in second.content if block.type == "text")
        history += [{"role": "assistant", "content": second.content}, *PROMPT]
    if "thinking" in asked:
        history[1]["content"][0].signature = f"{history[1]['content'][0].signature[::-1]}{streams}"
        mended = await messages.messages.with_raw_response.create(**asked, messages=history)
        assert mended.headers["x-rotator-repair"] == "stripped-reasoning"


async def test_counted_tokens_are_read(plugins: Loaded, messages: anthropic.AsyncAnthropic) -> None:
    calls(plugins).clear()
    counted = await messages.messages.count_tokens(model="demo/text", messages=PROMPT, tools=TOOLS)
    assert counted.input_tokens > 0
    assert dict(calls(plugins)) == {"request": 1}
