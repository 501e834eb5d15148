"""Both official SDKs through the whole proxy: what users' programs do, against the demo models."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.upstreams import Gate, House, Play, Raw, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWERING = ["text", "unicode", "tools", "parallel-tools", "thinking", "thinking-tools", "long", "flaky"]
CALLING = ["tools", "parallel-tools", "thinking-tools"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
TOOLS: Any = [{"name": "get_weather", "description": "now", "input_schema": SCHEMA}]
PROMPT: Any = [{"role": "user", "content": "Hello"}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest_asyncio.fixture(loop_scope="module")
async def demo(dwelling: House) -> AsyncIterator[House]:
    """The house with the demo provider beside its own vendor, and a client key."""
    await dwelling.furnish(demo=True, PROXY_API_KEY="client-key-1")
    yield dwelling
    await dwelling.idle()


@pytest_asyncio.fixture(loop_scope="module")
async def chat(demo: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=demo.proxy.chat_base, api_key="client-key-1", max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def messages(demo: House) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=demo.proxy.url, api_key="client-key-1", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ANSWERING)
async def test_openai_reads_every_model(chat: openai.AsyncOpenAI, model: str) -> None:
    asked: Any = {"model": f"demo/{model}", "messages": PROMPT, "tools": FUNCTIONS}
    whole = await chat.chat.completions.create(**asked)
    said, calls, usage = "", "", None
    async for chunk in await chat.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            said += choice.delta.content or ""
            calls += "".join(call.function.arguments or "" for call in choice.delta.tool_calls or () if call.function)
    async with chat.chat.completions.stream(**asked) as stream:
        final = await stream.get_final_completion()
    message = whole.choices[0].message
    assert said == (message.content or "") == (final.choices[0].message.content or "")
    assert calls == "".join(call.function.arguments for call in message.tool_calls or () if call.type == "function")
    assert said + calls
    assert usage == whole.usage
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason
    assert whole.model == model


@pytest.mark.parametrize("model", ANSWERING)
async def test_anthropic_reads_every_model(messages: anthropic.AsyncAnthropic, model: str) -> None:
    asked: Any = {"model": f"demo/{model}", "max_tokens": 4000, "messages": PROMPT, "tools": TOOLS}
    whole = await messages.messages.create(**asked)
    kinds = [event.type async for event in await messages.messages.create(**asked, stream=True)]
    async with messages.messages.stream(**asked) as stream:
        said = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert said == "".join(block.text for block in whole.content if block.type == "text")
    assert [block.type for block in final.content] == [block.type for block in whole.content] != []
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)


@pytest.mark.parametrize("model", ["text", "unicode", "tools", "thinking"])
async def test_the_synchronous_sdks_agree(demo: House, model: str) -> None:
    name, address, key = f"demo/{model}", demo.proxy.url, "client-key-1"

    def run() -> None:
        with openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as chat:
            whole = chat.chat.completions.create(model=name, messages=PROMPT, tools=FUNCTIONS)
            chunks = [*chat.chat.completions.create(model=name, messages=PROMPT, tools=FUNCTIONS, stream=True)]
            said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            assert said == (whole.choices[0].message.content or "")
            with chat.chat.completions.stream(model=name, messages=PROMPT, tools=FUNCTIONS) as stream:
                assert stream.get_final_completion().choices[0].finish_reason == whole.choices[0].finish_reason
        asked: Any = {"model": name, "max_tokens": 4000, "messages": PROMPT, "tools": TOOLS}
        with anthropic.Anthropic(base_url=address, api_key=key, max_retries=0) as messages:
            message = messages.messages.create(**asked)
            events = [*messages.messages.create(**asked, stream=True)]
            assert events[-1].type == "message_stop"
            with messages.messages.stream(**asked) as told:
                assert [b.type for b in told.get_final_message().content] == [b.type for b in message.content]

    await asyncio.to_thread(run)


@pytest.mark.parametrize("model", CALLING)
@pytest.mark.parametrize("stream", [False, True])
async def test_openai_tools_make_a_round_trip(chat: openai.AsyncOpenAI, model: str, stream: bool) -> None:
    asked: Any = {"model": f"demo/{model}", "tools": FUNCTIONS}
    if stream:
        async with chat.chat.completions.stream(**asked, messages=PROMPT) as chunks:
            first: Any = (await chunks.get_final_completion()).choices[0]
    else:
        first = (await chat.chat.completions.create(**asked, messages=PROMPT)).choices[0]
    calls = first.message.tool_calls
    assert (first.finish_reason, len(calls)) == ("tool_calls", 2 if model == "parallel-tools" else 1)
    assert len({call.id for call in calls}) == len(calls)
    spoken: Any = {
        "role": "assistant",
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.function.name,
                                                             "arguments": call.function.arguments}}
            for call in calls
        ],
    }
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    second = await chat.chat.completions.create(**asked, messages=[*PROMPT, spoken, *results])
    assert "tool result" in (second.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError, match="did not have response messages") as refused:
        await chat.chat.completions.create(**asked, messages=[*PROMPT, spoken, *results[:-1]])
    assert refused.value.response.headers["x-rotator-attempts"] == "1"


@pytest.mark.parametrize("model", CALLING)
@pytest.mark.parametrize("hint", ["header", "user"])
@pytest.mark.pitfall("P-94", "P-156")
async def test_anthropic_tools_and_thoughts_make_a_round_trip(
    messages: anthropic.AsyncAnthropic, model: str, hint: str
) -> None:
    """A thought's signature is good for the key that made it only: the session must stay on that key."""
    asked: Any = {"model": f"demo/{model}", "max_tokens": 4000, "tools": TOOLS}
    if model.startswith("thinking"):
        asked["thinking"] = THINKING
    session = f"s-{model}-{hint}"
    if hint == "header":
        asked["extra_headers"] = {"x-rotator-session": session}
    else:
        asked["metadata"] = {"user_id": f"user_x_account_y_session_{session}"}
    history: list[Any] = [*PROMPT]
    for _ in range(3):
        async with messages.messages.stream(**asked, messages=history) as stream:
            first = await stream.get_final_message()
        calls = [block for block in first.content if block.type == "tool_use"]
        assert (first.stop_reason, len(calls)) == ("tool_use", 2 if model == "parallel-tools" else 1)
        assert any(block.type == "thinking" and block.signature for block in first.content) == ("thinking" in asked)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
        history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = await messages.messages.create(**asked, messages=history)
        assert "tool result" in "".join(block.text for block in second.content if block.type == "text")
        history += [{"role": "assistant", "content": second.content}, *PROMPT]
    if "thinking" in asked:
        history[1]["content"][0].signature = f"{history[1]['content'][0].signature[::-1]}{hint}"
        raw = {**asked, "extra_headers": {**asked.get("extra_headers", {}), "x-rotator-require": "raw"}}
        with pytest.raises(anthropic.BadRequestError, match="signature"):
            await messages.messages.create(**raw, messages=history)
        mended = await messages.messages.with_raw_response.create(**asked, messages=history)
        assert mended.headers["x-rotator-repair"] == "stripped-reasoning", "the vendor checks every signature"


async def test_each_failure_raises_its_own_class(
    demo: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    limits = Reply(429, {"retry-after": "30"})
    cases: list[tuple[Any, type[Exception], type[Exception], int]] = [
        (limits, openai.RateLimitError, anthropic.RateLimitError, 429),
        (Reply(400), openai.BadRequestError, anthropic.BadRequestError, 400),
        (Reply(404), openai.NotFoundError, anthropic.NotFoundError, 404),
        (Reply(409), openai.ConflictError, anthropic.ConflictError, 409),
        (Reply(422), openai.UnprocessableEntityError, anthropic.UnprocessableEntityError, 422),
        (Reply(500), openai.InternalServerError, anthropic.InternalServerError, 500),
        (Raw(200, {}, [b"<html>"]), openai.InternalServerError, anthropic.InternalServerError, 502),
        (Reply(401), openai.InternalServerError, anthropic.InternalServerError, 503),
    ]
    for step, openai_class, anthropic_class, status in cases:
        model = demo.play(step)
        for stream in (False, True):
            with pytest.raises(openai_class) as caught:
                await chat.chat.completions.create(model=f"vendor/{model}", messages=PROMPT, stream=stream)
            assert caught.value.status_code == status  # type: ignore[attr-defined]
            with pytest.raises(anthropic_class) as caught:
                await messages.messages.create(
                    model=f"claudish/{model}", max_tokens=9, messages=PROMPT, stream=stream
                )
            assert caught.value.status_code == status  # type: ignore[attr-defined]


async def test_an_overloaded_vendor_is_told_in_each_protocols_words(
    demo: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    for status in (503, 529):
        model = demo.play(Reply(status))
        with pytest.raises(openai.InternalServerError) as caught:
            await chat.chat.completions.create(model=f"vendor/{model}", messages=PROMPT)
        assert caught.value.status_code == 503
        with pytest.raises(anthropic.OverloadedError) as overloaded:
            await messages.messages.create(model=f"claudish/{model}", max_tokens=9, messages=PROMPT)
        assert overloaded.value.status_code == 529


async def test_the_demo_errors_are_raised(chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await chat.chat.completions.create(model="demo/error", messages=PROMPT)
    assert int(caught.value.response.headers["x-rotator-attempts"]) >= 2
    with pytest.raises(anthropic.OverloadedError):
        await messages.messages.create(model="demo/error", max_tokens=9, messages=PROMPT)
    with pytest.raises(openai.APIError, match="had an error"):
        async with chat.chat.completions.stream(model="demo/mid-error", messages=PROMPT) as chunks:
            await chunks.get_final_completion()
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with messages.messages.stream(model="demo/mid-error", max_tokens=99, messages=PROMPT) as stream:
            await stream.get_final_message()


async def test_an_error_in_the_middle_is_raised_behind_what_was_said(
    demo: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    gate = Gate()
    gate.release(3)
    model = demo.play(Play("mid-error", gate))
    said = ""
    with pytest.raises(openai.APIError, match="had an error"):
        async for chunk in await chat.chat.completions.create(model=f"vendor/{model}", messages=PROMPT, stream=True):
            gate.release()
            said += chunk.choices[0].delta.content or ""
    assert said == "This answer starts well and then"
    gate.release(4)
    said = ""
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with messages.messages.stream(model=f"claudish/{model}", max_tokens=99, messages=PROMPT) as stream:
            async for text in stream.text_stream:
                gate.open()
                said += text
    assert said == "This answer starts well and then"


@pytest.mark.parametrize("end", ["clean", "drop", "reset"])
async def test_a_stream_that_breaks_is_raised(
    demo: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic, end: str
) -> None:
    model = demo.play(Play("text", cut_after=8, end=end))
    with pytest.raises(openai.APIError, match="upstream: ") as failed:
        async for _ in await chat.chat.completions.create(model=f"vendor/{model}", messages=PROMPT, stream=True):
            pass
    assert failed.value.code in ("truncated", "answer_broke")
    with pytest.raises(anthropic.APIStatusError, match="upstream: "):
        async with messages.messages.stream(model=f"claudish/{model}", max_tokens=99, messages=PROMPT) as stream:
            await stream.get_final_message()


async def test_a_wrong_client_key_and_an_unknown_model(demo: House) -> None:
    asked: Any = {"messages": PROMPT}
    async with openai.AsyncOpenAI(base_url=demo.proxy.chat_base, api_key="wrong") as chat:
        with pytest.raises(openai.AuthenticationError):
            await chat.chat.completions.create(model="demo/text", **asked)
    async with anthropic.AsyncAnthropic(base_url=demo.proxy.url, api_key="wrong") as messages:
        with pytest.raises(anthropic.AuthenticationError):
            await messages.messages.create(model="demo/text", max_tokens=9, **asked)
    async with openai.AsyncOpenAI(base_url=demo.proxy.chat_base, api_key="client-key-1") as chat:
        for model in ("nobody/text", "demo/nothing"):
            with pytest.raises(openai.NotFoundError, match=model.partition("/")[2] or model):
                await chat.chat.completions.create(model=model, **asked)
    async with anthropic.AsyncAnthropic(base_url=demo.proxy.url, auth_token="client-key-1", api_key=None) as messages:
        for model in ("nobody/text", "demo/nothing"):
            with pytest.raises(anthropic.NotFoundError):
                await messages.messages.create(model=model, max_tokens=9, **asked)


async def test_the_sdks_do_not_retry_what_cannot_help(demo: House) -> None:
    """They obey ``x-should-retry``; otherwise they would ask again three times."""
    hopeless = (Reply(401), Reply(429, {"retry-after": "61"}))
    async with openai.AsyncOpenAI(base_url=demo.proxy.chat_base, api_key="client-key-1", max_retries=3) as chat:
        for step in hopeless:
            demo.proxy.core.lines.flush()
            before = demo.proxy.lines.getvalue().count("\n")
            with pytest.raises(openai.APIStatusError, match="rejected|cooldown"):
                await chat.chat.completions.create(model=f"vendor/{demo.play(step)}", messages=PROMPT)
            demo.proxy.core.lines.flush()
            assert demo.proxy.lines.getvalue().count("\n") == before + 1
            demo.clock.now += 6


async def test_lists_counts_and_betas(
    demo: House, chat: openai.AsyncOpenAI, messages: anthropic.AsyncAnthropic
) -> None:
    listed = [model.id async for model in chat.models.list()]
    assert "demo/text" in listed and "vendor/text" in listed
    assert [model.id async for model in messages.models.list()] == listed
    counted = await messages.messages.count_tokens(model="demo/text", messages=PROMPT, tools=TOOLS)
    assert counted.input_tokens > 0
    spoken = await messages.beta.messages.create(
        model="claudish/text",
        max_tokens=100,
        messages=PROMPT,
        betas=["context-management-2025-06-27"],
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
    )
    assert spoken.stop_reason == "end_turn"
    seen = demo.vendor.requests[-1]
    assert seen.header("anthropic-beta") == "context-management-2025-06-27"
    assert seen.header("anthropic-version")
    assert seen.query == "" and not [name for name, _ in seen.headers if name.startswith("x-stainless")]
