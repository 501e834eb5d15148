"""What the Python SDKs bring beyond plain calls (clients.md 2): helpers, betas, both API versions, what they retry.

tests/server/test_sdks.py and test_translated_sdks.py have the plain calls.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from tests.agents.conftest import laid_with
from tests.agents.ground import CLIENT_KEY, UPSTREAMS, Ground
from tests.agents.scripted import Use
from tests.upstreams import Play, Reply

UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS)
PROMPT: Any = [{"role": "user", "content": "Hello"}]
#: Today's SDKs; Claude Code, the AI SDK and older ones.  Source: clients.md 1.1.
VERSIONS = ("2026-10-21", "2023-06-01")
CITIES = ["Paris", "\u6771\u4eac"]
TURNS = [[Use("get_weather", {"city": city})] for city in CITIES]
#: A vendor whose account has no threads.  Source: anthropic-python, types/thread_unsupported_request_error_details.py.
NO_THREADS = Reply(400, {}, {
    "type": "error",
    "error": {
        "type": "invalid_request_error", "message": "Threads are off.",
        "details": {"error_code": "thread_unsupported_request", "unsupported": ["hipaa"]},
    },
})  # fmt: skip


class Trip(pydantic.BaseModel):
    """The shape of an answer."""

    city: str
    days: int


@pytest.fixture
async def chat(ground: Ground) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=ground.proxy.chat_base, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def messages(ground: Ground) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=ground.proxy.url, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs wait half a second before they ask again."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)


@UPSTREAM
async def test_openais_shapes(ground: Ground, chat: openai.AsyncOpenAI, upstream: str) -> None:
    asked: Any = {"model": ground.name(upstream, "text"), "messages": PROMPT, "response_format": Trip}
    whole = await chat.chat.completions.parse(**asked)
    async with chat.chat.completions.stream(**asked) as stream:
        final = await stream.get_final_completion()
    for completion in (whole, final):
        assert completion.choices[0].message.parsed == Trip(city="Paris", days=3)


@UPSTREAM
async def test_anthropics_shapes(ground: Ground, messages: anthropic.AsyncAnthropic, upstream: str) -> None:
    asked: Any = {"model": ground.name(upstream, "text"), "messages": PROMPT, "max_tokens": 99, "output_format": Trip}
    whole = await messages.messages.parse(**asked)
    async with messages.messages.stream(**asked) as stream:
        final = await stream.get_final_message()
    assert whole.parsed_output == final.parsed_output == Trip(city="Paris", days=3)


async def run_tools(ground: Ground, messages: anthropic.AsyncAnthropic, upstream: str, **more: Any) -> None:
    """The SDK's own loop, to its end."""
    asked_about = []

    @anthropic.beta_async_tool
    async def get_weather(city: str) -> str:
        """The weather now.

        Args:
            city: where
        """
        asked_about.append(city)
        return f"sunny in {city}"

    model = ground.name(upstream)
    runner = messages.beta.messages.tool_runner(
        model=model, max_tokens=4000, tools=[get_weather], messages=PROMPT, **more
    )
    last = await runner.until_done()
    assert asked_about == CITIES
    assert "".join(block.text for block in last.content if block.type == "text") == "Sunny in both."
    assert len(ground.bodies[-1]["messages"]) >= 5, "the vendor has the whole conversation"


@UPSTREAM
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_tool_runner(
    ground: Ground, messages: anthropic.AsyncAnthropic, upstream: str, stream: bool
) -> None:
    ground.model(*TURNS, ending="Sunny in both.")
    await run_tools(ground, messages, upstream, thread=False, stream=stream)
    assert ground.lanes() == {"raw" if upstream == "messages" else "translate"}


async def test_the_tool_runner_over_a_thread_that_the_vendor_refuses(
    ground: Ground, messages: anthropic.AsyncAnthropic
) -> None:
    """Its default sends each turn's news only. The vendor's refusal arrives with its details: it then sends all."""
    ground.model(*TURNS, ending="Sunny in both.")
    ground.vendor.script("coder", NO_THREADS, Play("coder"))
    await run_tools(ground, messages, "messages")
    assert [seen.status for seen in ground.asked] == [400, 200, 200, 200]


async def test_the_tool_runner_over_a_thread_elsewhere(ground: Ground, messages: anthropic.AsyncAnthropic) -> None:
    """No other vendor keeps one: it hears so before anybody is asked, and sends all."""
    ground.model(*TURNS, ending="Sunny in both.")
    await run_tools(ground, messages, "chat")


@UPSTREAM
async def test_betas_are_for_their_own_vendor(
    ground: Ground, messages: anthropic.AsyncAnthropic, upstream: str
) -> None:
    betas: Any = ["context-management-2025-06-27", "a-beta-of-tomorrow-2027-01-01"]
    message = await messages.beta.messages.create(
        model=ground.name(upstream, "text"), max_tokens=99, messages=PROMPT, betas=betas,
        extra_query={"beta": "true"},
    )  # fmt: skip
    assert message.stop_reason == "end_turn"
    [seen] = ground.asked
    assert seen.header("anthropic-beta") == (",".join(betas) if upstream == "messages" else "")


@UPSTREAM
@pytest.mark.parametrize("version", VERSIONS)
async def test_both_versions_of_the_api(ground: Ground, upstream: str, version: str) -> None:
    """The vendor hears the client's own; the other protocol has none."""
    asked: Any = {"max_tokens": 99, "messages": PROMPT}
    async with anthropic.AsyncAnthropic(
        base_url=ground.proxy.url, api_key=CLIENT_KEY, default_headers={"anthropic-version": version}
    ) as client:
        model = ground.name(upstream, "text")
        message = await client.messages.create(model=model, **asked)
        async with client.messages.stream(model=model, **asked) as stream:
            final = await stream.get_final_message()
        listed = [one.id async for one in client.models.list()]
    assert message.content[0].text == final.content[0].text  # type: ignore[union-attr]
    assert model in listed
    versions = {seen.header("anthropic-version") for seen in ground.asked if seen.method == "POST"}
    assert versions == ({version} if upstream == "messages" else {""})


@UPSTREAM
async def test_tokens_are_counted_or_estimated(
    ground: Ground, messages: anthropic.AsyncAnthropic, upstream: str
) -> None:
    raw = await messages.messages.with_raw_response.count_tokens(model=ground.name(upstream, "text"), messages=PROMPT)
    assert (await raw.parse()).input_tokens > 0
    codes = [loss["code"] for loss in json.loads(raw.headers.get("x-rotator-warnings", "[]"))]
    assert codes == ([] if upstream == "messages" else ["count.estimated"])
    assert len(ground.asked) == (upstream == "messages")


@UPSTREAM
@laid_with(config={"retry": {"same_key": 0}})
@pytest.mark.parametrize(("status", "requests"), [(529, 3), (500, 3), (400, 1), (401, 1)])
async def test_what_they_ask_again(ground: Ground, upstream: str, status: int, requests: int) -> None:
    """Two retries of what may pass; none of what cannot be helped: all keys rejected is a 503 that says so."""
    ground.vendor.script("coder", Reply(status))
    model = ground.name(upstream)
    async with anthropic.AsyncAnthropic(base_url=ground.proxy.url, api_key=CLIENT_KEY) as messages:
        with pytest.raises(anthropic.APIStatusError) as failed:
            await messages.messages.create(model=model, max_tokens=99, messages=PROMPT)
    assert failed.value.status_code == {401: 503}.get(status, status)
    assert isinstance(failed.value, anthropic.OverloadedError) == (status == 529)
    assert len(ground.lines) == requests
    async with openai.AsyncOpenAI(base_url=ground.proxy.chat_base, api_key=CLIENT_KEY) as chat:
        with pytest.raises(openai.APIStatusError) as refused:
            await chat.chat.completions.create(model=model, messages=PROMPT)
    assert refused.value.status_code == {401: 503, 529: 503}.get(status, status)
    assert len(ground.lines) == 2 * requests
