"""Each official SDK on a vendor that speaks the other protocol: its users get what their own vendor would have said."""

import json
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, NamedTuple

import anthropic
import openai
import pydantic
import pytest
import pytest_asyncio

from tests.upstreams import Gate, House, Play

pytestmark = pytest.mark.asyncio(loop_scope="module")

frames: Any = import_module("rotator.plugins.providers.demo.frames")

#: All demo models that answer; ``flaky`` does so when it is asked again.
MODELS = ["text", "unicode", "tools", "parallel-tools", "agent", "thinking", "thinking-tools", "long", "slow", "flaky"]
CALLING = ["tools", "parallel-tools", "thinking-tools"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS: Any = [{"type": "function", "function": {"name": "get_weather", "description": "now", "parameters": SCHEMA}}]
TOOLS: Any = [{"name": "get_weather", "description": "now", "input_schema": SCHEMA}]
PROMPT: Any = [{"role": "user", "content": "Hello"}]
USAGE: Any = {"stream_options": {"include_usage": True}}
#: The provider of the other protocol, by the client's.
CHAT_OWN, CHAT_OTHER = "vendor", "claudish"
MESSAGES_OWN, MESSAGES_OTHER = "claudish", "vendor"
#: Stop reasons in the words of chat.
STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "stop_sequence": "stop"}
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
BEGUN = "This answer starts well and then"


class Heard(NamedTuple):
    """An answer as its user gets it; calls are (name, arguments)."""

    text: str
    thinking: str
    calls: list[tuple[str, Any]]
    stop: str
    tokens_out: int


@pytest_asyncio.fixture(loop_scope="module")
async def headers(house: House) -> list[Any]:
    """Those of each answer of this test."""
    return []


@pytest_asyncio.fixture(loop_scope="module")
async def chat(house: House, headers: list[Any]) -> AsyncIterator[openai.AsyncOpenAI]:
    web = openai.DefaultAsyncHttpxClient(event_hooks={"response": [noting(headers)]})
    base = house.proxy.chat_base
    async with openai.AsyncOpenAI(base_url=base, api_key="any", max_retries=0, http_client=web) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def messages(house: House, headers: list[Any]) -> AsyncIterator[anthropic.AsyncAnthropic]:
    web = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [noting(headers)]})
    base = house.proxy.url
    async with anthropic.AsyncAnthropic(base_url=base, api_key="any", max_retries=0, http_client=web) as client:
        yield client


def noting(headers: list[Any]) -> Any:
    async def note(response: Any) -> None:
        headers.append(response.headers)

    return note


def heard_by_openai(completion: Any) -> Heard:
    [choice] = completion.choices
    message = choice.message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    thinking = (message.model_extra or {}).get("reasoning_content") or ""
    return Heard(message.content or "", thinking, calls, choice.finish_reason, completion.usage.completion_tokens)


def heard_by_anthropic(message: Any) -> Heard:
    def joined(kind: str) -> str:
        return "".join(getattr(block, kind) for block in message.content if block.type == kind)

    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    return Heard(joined("text"), joined("thinking"), calls, STOPS[message.stop_reason], message.usage.output_tokens)


def read_tokens(house: House) -> int:
    """What the vendor counts in the latest request."""
    body = json.loads(house.vendor.requests[-1].body)
    names = ("messages", "tools", "system")
    return int(frames.tokens({name: body[name] for name in names if name in body}))


def translated(headers: list[Any], model: str) -> None:
    """Each answer came over the other protocol, the one of ``flaky`` at the second try."""
    lanes, attempts = ([one[f"x-rotator-{name}"] for one in headers] for name in ("lane", "attempts"))
    assert set(lanes) == {"translate"} and set(attempts) == {"2" if model == "flaky" else "1"}


def lost(headers: list[Any]) -> list[str]:
    """The codes of all that was told as lost."""
    return [loss["code"] for one in headers for loss in json.loads(one.get("x-rotator-warnings", "[]"))]


@pytest.mark.parametrize("model", MODELS)
async def test_openai_hears_every_model(
    house: House, chat: openai.AsyncOpenAI, headers: list[Any], model: str
) -> None:
    asked: Any = {"messages": PROMPT, "tools": FUNCTIONS}
    own = heard_by_openai(await chat.chat.completions.create(model=f"{CHAT_OWN}/{model}", **asked))
    headers.clear()
    asked["model"] = f"{CHAT_OTHER}/{model}"
    whole = await chat.chat.completions.create(**asked)
    async with chat.chat.completions.stream(**asked, **USAGE) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert heard_by_openai(whole) == heard_by_openai(final) == own
    assert whole.usage.prompt_tokens == final.usage.prompt_tokens == read_tokens(house)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert kinds.count("tool_calls.function.arguments.done") == len(own.calls)
    assert ("content.done" in kinds) == bool(own.text)
    assert whole.model == final.model == asked["model"]
    translated(headers, model)
    assert lost(headers) == []
    details = [getattr(one.choices[0].message, "reasoning_details", []) for one in (whole, final)]
    assert [len(found) for found in details] == ([1, 1] if own.thinking else [0, 0]), "the signature, in an envelope"


@pytest.mark.parametrize("model", MODELS)
async def test_anthropic_hears_every_model(
    house: House, messages: anthropic.AsyncAnthropic, headers: list[Any], model: str
) -> None:
    asked: Any = {"max_tokens": 4000, "messages": PROMPT, "tools": TOOLS}
    own = heard_by_anthropic(await messages.messages.create(model=f"{MESSAGES_OWN}/{model}", **asked))
    headers.clear()
    asked["model"] = f"{MESSAGES_OTHER}/{model}"
    whole = await messages.messages.create(**asked)
    async with messages.messages.stream(**asked) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_message()
    assert heard_by_anthropic(whole) == heard_by_anthropic(final) == own
    assert whole.usage.input_tokens == final.usage.input_tokens == read_tokens(house)
    assert "".join(event.text for event in events if event.type == "text") == own.text
    assert "".join(event.thinking for event in events if event.type == "thinking") == own.thinking
    assert [block.type for block in whole.content] == [block.type for block in final.content]
    assert whole.model == final.model == asked["model"]
    translated(headers, model)
    assert lost(headers) == []


@STREAM
@pytest.mark.parametrize(("limits", "stop", "text"), [
    ({"max_tokens": 3}, "length", "Hello from the "),
    ({"stop": ["demo"]}, "stop", "Hello from the "),
])  # fmt: skip
async def test_openai_hears_where_an_answer_was_cut(
    chat: openai.AsyncOpenAI, limits: Any, stop: str, text: str, stream: bool
) -> None:
    heard = heard_by_openai(await asked_openai(chat, "text", stream, **limits))
    assert (heard.text, heard.stop, heard.calls) == (text, stop, [])


@STREAM
@pytest.mark.parametrize(("limits", "stop", "text"), [
    ({"max_tokens": 3}, "max_tokens", "Hello from the "),
    ({"stop_sequences": ["demo"]}, "end_turn", "Hello from the "),
])  # fmt: skip
async def test_anthropic_hears_where_an_answer_was_cut(
    messages: anthropic.AsyncAnthropic, limits: Any, stop: str, text: str, stream: bool
) -> None:
    """Chat does not tell a stop sequence from an end."""
    message = await asked_anthropic(messages, "text", stream, **limits)
    assert (heard_by_anthropic(message).text, message.stop_reason, message.stop_sequence) == (text, stop, None)


async def asked_openai(client: openai.AsyncOpenAI, model: str, stream: bool, **more: Any) -> Any:
    """A completion from the Messages vendor."""
    asked: Any = {"model": f"{CHAT_OTHER}/{model}", "messages": PROMPT, **more}
    if not stream:
        return await client.chat.completions.create(**asked)
    async with client.chat.completions.stream(**asked, **USAGE) as chunks:
        await chunks.until_done()
        return chunks.current_completion_snapshot


async def asked_anthropic(client: anthropic.AsyncAnthropic, model: str, stream: bool, **more: Any) -> Any:
    """A message from the Chat vendor."""
    asked: Any = {"model": f"{MESSAGES_OTHER}/{model}", "max_tokens": 4000, "messages": PROMPT, **more}
    if not stream:
        return await client.messages.create(**asked)
    async with client.messages.stream(**asked) as events:
        return await events.get_final_message()


# Back and forth.


@STREAM
@pytest.mark.parametrize("model", CALLING)
async def test_openais_tools_make_a_round_trip(
    chat: openai.AsyncOpenAI, headers: list[Any], model: str, stream: bool
) -> None:
    """The next request says all that the answer said; the Messages vendor checks ids, order and signatures."""
    first = (await asked_openai(chat, model, stream, tools=FUNCTIONS)).choices[0]
    calls = first.message.tool_calls
    assert (first.finish_reason, len(calls)) == ("tool_calls", 2 if model == "parallel-tools" else 1)
    spoken = first.message.to_dict()
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    headers.clear()
    second = await asked_openai(chat, model, stream, tools=FUNCTIONS, messages=[*PROMPT, spoken, *results])
    assert "tool result" in heard_by_openai(second).text
    assert lost(headers) == []


@STREAM
@pytest.mark.parametrize("model", CALLING)
async def test_anthropics_tools_and_thoughts_make_a_round_trip(
    messages: anthropic.AsyncAnthropic, headers: list[Any], model: str, stream: bool
) -> None:
    first = await asked_anthropic(messages, model, stream, tools=TOOLS)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, len(calls)) == ("tool_use", 2 if model == "parallel-tools" else 1)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
    history = [*PROMPT, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    headers.clear()
    second = await asked_anthropic(messages, model, stream, tools=TOOLS, messages=history)
    assert "tool result" in heard_by_anthropic(second).text
    assert ("reasoning.history" in lost(headers)) == model.startswith("thinking")


class Weather(pydantic.BaseModel):
    """What is asked for with the SDKs' own helpers for a shape of answers."""

    city: str
    days: int


async def test_a_shape_of_answers_is_kept(chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic) -> None:
    completion: Any = await chat.chat.completions.parse(
        model=f"{CHAT_OTHER}/text", messages=PROMPT, response_format=Weather
    )
    message: Any = await messages.messages.parse(
        model=f"{MESSAGES_OTHER}/text", max_tokens=4000, messages=PROMPT, output_format=Weather
    )
    assert completion.choices[0].message.parsed == message.parsed_output == Weather(city="Paris", days=3)


# What fails.


@STREAM
async def test_an_error_of_the_vendors_raises_the_sdks_own(
    chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic, headers: list[Any], stream: bool
) -> None:
    with pytest.raises(openai.InternalServerError, match="Overloaded") as overloaded:
        await asked_openai(chat, "error", stream)
    assert (overloaded.value.status_code, overloaded.value.type) == (503, "service_unavailable_error")
    with pytest.raises(anthropic.InternalServerError, match="The server had an error") as failed:
        await asked_anthropic(messages, "error", stream)
    assert (failed.value.status_code, failed.value.type) == (500, "api_error")
    assert [one["x-rotator-attempts"] for one in headers] == ["2", "2"]


async def test_an_error_in_the_middle_is_raised_behind_what_was_said(
    house: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    said = ""
    with pytest.raises(openai.APIError, match="Overloaded") as overloaded:
        gate = Gate()
        gate.release(4)
        model = f"{CHAT_OTHER}/{house.play(Play('mid-error', gate))}"
        async with chat.chat.completions.stream(model=model, messages=PROMPT) as chunks:
            async for event in chunks:
                if event.type == "content.delta":
                    said += event.delta
                    gate.release()
    assert (said, overloaded.value.type) == (BEGUN, "service_unavailable_error")
    said = ""
    with pytest.raises(anthropic.APIStatusError, match="The server had an error") as failed:
        gate = Gate()
        gate.release(3)
        model = f"{MESSAGES_OTHER}/{house.play(Play('mid-error', gate))}"
        async with messages.messages.stream(model=model, max_tokens=99, messages=PROMPT) as stream:
            async for text in stream.text_stream:
                said += text
                gate.release()
    assert (said, failed.value.type) == (BEGUN, "api_error")


async def test_a_stream_that_breaks_is_raised(
    house: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    for end in ("clean", "drop", "reset"):
        model = house.play(Play("text", cut_after=8, end=end))
        with pytest.raises(openai.APIError, match=f"{CHAT_OTHER}: |upstream: ") as broken:
            await asked_openai(chat, model, True)
        assert broken.value.code in ("truncated", "answer_broke", "connection_broke")
        with pytest.raises(anthropic.APIStatusError, match=f"{MESSAGES_OTHER}: |upstream: ") as failed:
            await asked_anthropic(messages, model, True)
        assert failed.value.type == "api_error"


async def test_a_request_that_the_vendor_refuses_raises_the_class_of_its_status(
    chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    with pytest.raises(openai.NotFoundError, match="nobody"):
        await asked_openai(chat, "nobody", False)
    with pytest.raises(anthropic.NotFoundError, match="nobody"):
        await asked_anthropic(messages, "nobody", True)
    with pytest.raises(openai.BadRequestError, match="n: ") as unfit:
        await asked_openai(chat, "text", False, n=2)
    assert unfit.value.param == "n"
