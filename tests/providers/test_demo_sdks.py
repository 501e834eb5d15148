"""Both official SDKs against the fake vendor itself, so that what passes the proxy later has a known baseline."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from .demo import models

ANSWERING = [name for name in models.MODELS if name not in ("error", "mid-error", "flaky")]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
TOOLS: Any = [{"name": "get_weather", "description": "now", "input_schema": PARAMETERS}]
PROMPT: Any = [{"role": "user", "content": "Hello"}]
CALLING = ["tools", "parallel-tools", "thinking-tools"]


class Spot(BaseModel):
    """A nested part of a structured answer."""

    name: str
    inside: "Spot | None" = None


class Trip(BaseModel):
    """A structured answer."""

    city: str
    days: int
    warm: bool
    spots: list[Spot]


@pytest.fixture
async def chat(vendor: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=vendor.chat_base, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def messages(vendor: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=vendor.messages_base, api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ANSWERING)
async def test_openai_reads_every_model(chat: openai.AsyncOpenAI, model: str) -> None:
    whole = await chat.chat.completions.create(model=model, messages=PROMPT, tools=CHAT_TOOLS)
    said, calls = "", ""
    usage = None
    async for chunk in await chat.chat.completions.create(
        model=model, messages=PROMPT, tools=CHAT_TOOLS, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            said += choice.delta.content or ""
            calls += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or () if call.function)
    async with chat.chat.completions.stream(model=model, messages=PROMPT, tools=CHAT_TOOLS) as stream:
        final = await stream.get_final_completion()
    message = whole.choices[0].message
    assert said == (message.content or "") == (final.choices[0].message.content or "")
    assert calls == "".join(call.function.arguments for call in message.tool_calls or () if call.type == "function")
    assert usage == whole.usage
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason


@pytest.mark.parametrize("model", ANSWERING)
async def test_anthropic_reads_every_model(messages: anthropic.AsyncAnthropic, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 1000, "messages": PROMPT, "tools": TOOLS}
    whole = await messages.messages.create(**asked)
    kinds = [event.type async for event in await messages.messages.create(**asked, stream=True)]
    async with messages.messages.stream(**asked) as stream:
        said = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert said == "".join(block.text for block in whole.content if block.type == "text")
    assert [block.type for block in final.content] == [block.type for block in whole.content]
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert final.usage.input_tokens == whole.usage.input_tokens


@pytest.mark.parametrize("model", ANSWERING)
async def test_the_synchronous_sdks_agree(vendor: Any, model: str) -> None:
    def run() -> tuple[str, str]:
        with openai.OpenAI(base_url=vendor.chat_base, api_key="k", max_retries=0) as chat:
            said = "".join(
                choice.delta.content or ""
                for chunk in chat.chat.completions.create(model=model, messages=PROMPT, stream=True)
                for choice in chunk.choices
            )
            with chat.chat.completions.stream(model=model, messages=PROMPT) as chunks:
                assert (chunks.get_final_completion().choices[0].message.content or "") == said
        with anthropic.Anthropic(base_url=vendor.messages_base, api_key="k", max_retries=0) as messages:
            whole = messages.messages.create(model=model, max_tokens=1000, messages=PROMPT)
            with messages.messages.stream(model=model, max_tokens=1000, messages=PROMPT) as stream:
                assert [block.type for block in stream.get_final_message().content] == [b.type for b in whole.content]
        return said, "".join(block.text for block in whole.content if block.type == "text")

    one, other = await asyncio.to_thread(run)
    assert one == other != ""


@pytest.mark.parametrize("model", CALLING)
async def test_openai_tools_make_a_round_trip(chat: openai.AsyncOpenAI, model: str) -> None:
    first = (await chat.chat.completions.create(model=model, messages=PROMPT, tools=CHAT_TOOLS)).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls or []
    assert len(calls) == (2 if model == "parallel-tools" else 1)
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    history: Any = [*PROMPT, first.message, *results]
    second = await chat.chat.completions.create(model=model, messages=history, tools=CHAT_TOOLS)
    assert "tool result" in (second.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        await chat.chat.completions.create(model=model, messages=history[:-1], tools=CHAT_TOOLS)


@pytest.mark.parametrize("model", CALLING)
async def test_anthropic_tools_make_a_round_trip(messages: anthropic.AsyncAnthropic, model: str) -> None:
    async with messages.messages.stream(model=model, max_tokens=1000, messages=PROMPT, tools=TOOLS) as stream:
        first = await stream.get_final_message()
    assert first.stop_reason == "tool_use"
    results: Any = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        for block in first.content
        if block.type == "tool_use"
    ]
    assert len(results) == (2 if model == "parallel-tools" else 1)
    history: Any = [*PROMPT, {"role": "assistant", "content": first.content}]
    asked: Any = {"model": model, "max_tokens": 1000, "tools": TOOLS}
    second = await messages.messages.create(**asked, messages=[*history, {"role": "user", "content": results}])
    assert "tool result" in "".join(block.text for block in second.content if block.type == "text")
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result` blocks"):
        await messages.messages.create(**asked, messages=[*history, *PROMPT])


async def test_both_sdks_raise_the_class_of_each_error(
    vendor: Any, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    asked: Any = {"max_tokens": 10, "messages": PROMPT}
    with pytest.raises(openai.RateLimitError) as limited:
        await chat.chat.completions.create(model="flaky", messages=PROMPT)
    assert limited.value.response.headers["retry-after"] == "1"
    with pytest.raises(openai.NotFoundError):
        await chat.chat.completions.create(model="nope", messages=PROMPT)
    with pytest.raises(openai.InternalServerError):
        await chat.chat.completions.create(model="error", messages=PROMPT)
    with pytest.raises(openai.APIError, match="had an error"):
        async with chat.chat.completions.stream(model="mid-error", messages=PROMPT) as chunks:
            await chunks.get_final_completion()
    with pytest.raises(anthropic.RateLimitError):
        await messages.messages.create(model="flaky", **asked)
    with pytest.raises(anthropic.NotFoundError):
        await messages.messages.create(model="nope", **asked)
    with pytest.raises(anthropic.OverloadedError):
        await messages.messages.create(model="error", **asked)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with messages.messages.stream(model="mid-error", **asked) as stream:
            await stream.get_final_message()
    assert {seen.outcome for seen in vendor.requests} == {"done"}


async def test_lists_counts_and_betas(chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic) -> None:
    assert [model.id async for model in chat.models.list()] == list(models.MODELS)
    assert [model.id async for model in messages.models.list()] == list(models.MODELS)
    counted = await messages.messages.count_tokens(model="text", messages=PROMPT, tools=TOOLS)
    assert counted.input_tokens > 0
    spoken = await messages.beta.messages.create(
        model="text",
        max_tokens=100,
        messages=PROMPT,
        betas=["context-management-2025-06-27"],
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
    )
    assert spoken.stop_reason == "end_turn"


async def test_the_structured_output_of_both_sdks_fits(
    chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    parsed = await chat.chat.completions.parse(model="text", messages=PROMPT, response_format=Trip)
    assert parsed.choices[0].message.parsed == Trip.model_validate_json(parsed.choices[0].message.content or "")
    prompt: Any = [{"role": "user", "content": "as JSON"}]
    loose = await chat.chat.completions.create(model="text", messages=prompt, response_format={"type": "json_object"})
    assert loose.choices[0].message.content == '{"answer":"Paris"}'

    class Flat(BaseModel):
        city: str
        days: int

    spoken = await messages.messages.parse(model="text", max_tokens=100, messages=PROMPT, output_format=Flat)
    assert spoken.parsed_output == Flat(city="Paris", days=3)
