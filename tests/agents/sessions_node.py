"""The SDKs of JavaScript (clients.md 2), each on a vendor of its own protocol and on one of the other.

What each gives its user is compared with what the demo model says, whatever lies between.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.agents import installs
from tests.agents.conftest import Finds
from tests.agents.ground import CLIENT_KEY, UPSTREAMS, Ground
from tests.agents.scripted import Use, demo
from tests.upstreams import PROVIDERS, Play, Reply

UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS)
HELLO = "Hello from the demo vendor! Your last message has 5 characters. " + (
    "No real model was asked, so this answer is free and always the same."
)
TRIP = {"city": "Paris", "days": 3}
CITIES = ["Paris", "\u6771\u4eac"]
TURNS = [[Use("get_weather", {"city": CITIES[0]})], [Use("get_weather", {"city": CITIES[1]})]]
#: AI SDK providers and what they speak.
AI = {"openai": "chat", "compatible": "chat", "structured": "chat", "anthropic": "messages"}
SDKS = {"openai": "chat", "anthropic": "messages"}
#: What a stop is called by each.
STOPS = {"openai": "stop", "anthropic": "end_turn"}
#: A vendor whose account has no threads.  Source: anthropic-python, types/thread_unsupported_request_error_details.py.
NO_THREADS = Reply(400, {}, {
    "type": "error",
    "error": {
        "type": "invalid_request_error", "message": "Threads are off.",
        "details": {"error_code": "thread_unsupported_request", "unsupported": ["hipaa"]},
    },
})  # fmt: skip
Runs = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def program(client: Finds, ground: Ground) -> Runs:
    """Runs a scenario of one of the programs of ``node/``, which find their packages beside them."""
    try:
        node = installs.node()
    except installs.Unavailable as why:
        pytest.skip(str(why))
    folder = client("node-sdks")

    async def run(script: str, upstream: str, scenario: str, model: str = "text", **more: str) -> Any:
        there = folder / f"{script}.mjs"
        shutil.copy(Path(__file__).parent / "node" / there.name, there)
        told = {"base": ground.proxy.url, "key": CLIENT_KEY, "model": ground.name(upstream, model)}
        done = await ground.run(node, there, json.dumps({**told, "scenario": scenario, **more}))
        assert done.out, done.err
        return json.loads(done.well().out)

    return run


def lanes(ground: Ground, own: bool) -> None:
    """All that was answered came over one lane."""
    assert ground.lanes() == {"raw" if own else "translate"}


@UPSTREAM
@pytest.mark.parametrize("sdk", SDKS)
async def test_an_answer(ground: Ground, program: Runs, sdk: str, upstream: str) -> None:
    whole = await program(sdk, upstream, "whole")
    streamed = await program(sdk, upstream, "stream")
    helped = await program(sdk, upstream, "helper")
    assert (whole["text"], whole["stop"], whole["tokens"]) == (HELLO, STOPS[sdk], len(demo.words(HELLO)))
    assert streamed["text"] == helped["text"] == helped["pieces"] == HELLO
    assert helped["stop"] == whole["stop"]
    if sdk == "openai":
        assert (streamed["stop"], streamed["tokens"]) == (whole["stop"], whole["tokens"])
    else:
        assert (streamed["first"], streamed["last"]) == ("message_start", "message_stop")
    assert "Be brief." in ground.asked[-1].body.decode()
    lanes(ground, SDKS[sdk] == upstream)


@UPSTREAM
@pytest.mark.parametrize("scenario", ["tools", "toolsStreamed"])
@pytest.mark.parametrize("sdk", SDKS)
async def test_its_own_loop_of_tools(ground: Ground, program: Runs, sdk: str, upstream: str, scenario: str) -> None:
    ground.model(*TURNS, ending="Sunny in both.")
    heard = await program(sdk, upstream, scenario, "coder")
    assert (heard["text"], heard["cities"]) == ("Sunny in both.", CITIES)
    assert len(ground.bodies) == 3
    assert "sunny in Paris" in json.dumps(ground.bodies[-1])
    lanes(ground, SDKS[sdk] == upstream)


async def test_a_loop_over_a_thread_that_the_vendor_refuses(ground: Ground, program: Runs) -> None:
    """Its runner's default. The refusal says so in `error.details`; whole histories are sent from then on."""
    ground.model(*TURNS, ending="Sunny in both.")
    ground.vendor.script("coder", NO_THREADS, Play("coder"))
    heard = await program("anthropic", "messages", "toolsThreaded", "coder")
    assert (heard["text"], heard["cities"]) == ("Sunny in both.", CITIES)
    assert [seen.status for seen in ground.asked] == [400, 200, 200, 200]


async def test_a_loop_over_a_thread_elsewhere(ground: Ground, program: Runs) -> None:
    ground.model(*TURNS, ending="Sunny in both.")
    heard = await program("anthropic", "chat", "toolsThreaded", "coder")
    assert (heard["text"], heard["cities"]) == ("Sunny in both.", CITIES)


@UPSTREAM
@pytest.mark.parametrize("sdk", SDKS)
async def test_a_shape(ground: Ground, program: Runs, sdk: str, upstream: str) -> None:
    assert await program(sdk, upstream, "parse") == TRIP
    lanes(ground, SDKS[sdk] == upstream)


@UPSTREAM
@pytest.mark.parametrize("sdk", SDKS)
async def test_thoughts(ground: Ground, program: Runs, sdk: str, upstream: str) -> None:
    heard = await program(sdk, upstream, "reasoning", "thinking")
    assert heard["text"] == HELLO
    assert heard["thought"] == demo.THOUGHT


@UPSTREAM
async def test_betas_and_counts(ground: Ground, program: Runs, upstream: str) -> None:
    """A beta is for the vendor of its own protocol only; another one's tokens are estimated."""
    assert (await program("anthropic", upstream, "betas"))["text"] == HELLO
    beta = ground.asked[-1].header("anthropic-beta")
    assert beta == ("context-management-2025-06-27" if upstream == "messages" else "")
    assert (await program("anthropic", upstream, "count"))["input_tokens"] > 0


@pytest.mark.parametrize("sdk", SDKS)
async def test_the_models(program: Runs, sdk: str) -> None:
    listed = await program(sdk, "chat", "models")
    assert {f"{provider}/text" for provider in PROVIDERS.values()} <= set(listed)


@UPSTREAM
@pytest.mark.parametrize("sdk", SDKS)
async def test_failures(ground: Ground, program: Runs, sdk: str, upstream: str) -> None:
    absent = await program(sdk, upstream, "whole", "nobody")
    assert (absent["error"], absent["status"]) == ("NotFoundError", 404)
    assert "nobody" in absent["message"]
    wrong = await program(sdk, upstream, "stream", key="wrong")
    assert (wrong["error"], wrong["status"]) == ("AuthenticationError", 401)
    ground.vendor.script("coder", Play("text", cut_after=8, end="drop"))
    broken = await program(sdk, upstream, "stream", "coder")
    assert broken["error"] == "APIError" and "upstream" in broken["message"]
    before = len(ground.lines)
    ground.vendor.script("coder", Reply(401))
    rejected = await program(sdk, upstream, "whole", "coder")
    assert rejected["status"] == 503 and "rejected" in rejected["message"]
    assert len(ground.lines) == before + 1, "x-should-retry: false"


@UPSTREAM
@pytest.mark.parametrize("provider", AI)
async def test_the_ai_sdk(ground: Ground, program: Runs, provider: str, upstream: str) -> None:
    for scenario in ("whole", "stream"):
        heard = await program("ai", upstream, scenario, provider=provider)
        assert (heard["text"], heard["stop"]) == (HELLO, "stop")
    ground.model(*TURNS, ending="Sunny in both.")
    for scenario in ("tools", "toolsStreamed"):
        heard = await program("ai", upstream, scenario, "coder", provider=provider)
        assert (heard["text"].endswith("Sunny in both."), heard["cities"], heard["steps"]) == (True, CITIES, 3)
    lanes(ground, AI[provider] == upstream)


@UPSTREAM
@pytest.mark.parametrize(("provider", "scenario", "model"), [
    ("openai", "parse", "text"),
    ("structured", "parse", "text"),
    ("anthropic", "parseNative", "text"),
    ("anthropic", "parse", "tools"),  # for names that it does not know: a tool that must be called
])  # fmt: skip
async def test_the_ai_sdks_shapes(
    ground: Ground, program: Runs, provider: str, scenario: str, model: str, upstream: str
) -> None:
    """Without `supportsStructuredOutputs` a compatible provider never sends the schema."""
    assert await program("ai", upstream, scenario, model, provider=provider) == TRIP
    lanes(ground, AI[provider] == upstream)


@UPSTREAM
@pytest.mark.parametrize("provider", ["compatible", "anthropic"])
async def test_the_ai_sdks_thoughts(ground: Ground, program: Runs, provider: str, upstream: str) -> None:
    """Each turn thinks, and the next request repeats it in the protocol's own form."""
    ground.model(*TURNS, ending="Sunny in both.")
    heard = await program("ai", upstream, "reasoning", "coder", provider=provider)
    assert (heard["text"].endswith("Sunny in both."), heard["cities"]) == (True, CITIES)
    assert heard["thought"] == [demo.THOUGHT] * 3


@UPSTREAM
@pytest.mark.parametrize("provider", AI)
async def test_the_ai_sdks_failures(ground: Ground, program: Runs, provider: str, upstream: str) -> None:
    """It shows a message only where the error is in its own protocol's envelope."""
    absent = await program("ai", upstream, "whole", "nobody", provider=provider)
    assert absent["status"] == 404 and "nobody" in absent["message"]
    ground.vendor.script("coder", Play("text", cut_after=8, end="drop"))
    broken = await program("ai", upstream, "stream", "coder", provider=provider)
    assert broken["error"] and "upstream" in broken["message"]
