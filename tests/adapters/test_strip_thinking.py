"""Reasoning kept from clients, from vendors, or from both."""

import json
from typing import Any

import pytest

from tests.adapters.wired import furnish, refused, sent
from tests.upstreams import House, body_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}


def heard(client: str, body: bytes) -> tuple[bool, bool]:
    """Whether thoughts, and whether words, are in an answer."""
    thought = b'"thinking_delta"' in body or b'"type":"thinking"' in body or b"reasoning_content" in body
    return thought, b"demo" in body or b"Hello" in body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "messages"])
@pytest.mark.parametrize("answers", [True, False])
async def test_answers_go_without_thoughts_and_keep_their_words(
    house: House, client: str, stream: bool, answers: bool
) -> None:
    await furnish(house, client, {"strip_thinking": {"answers": answers}})
    name = {"chat": "vendor", "messages": "claudish"}[client]
    more: Any = THINKING if client == "messages" else {}
    answer = await house.ask(client, body_of(client, f"{name}/thinking", stream=stream, **more))
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "translate"), answer.body
    assert heard(client, answer.body) == (not answers, True)
    if not stream:
        usage = json.loads(answer.body)["usage"]
        assert usage.get("output_tokens", usage.get("completion_tokens")) > 0


@pytest.mark.parametrize("history", [True, False])
async def test_a_vendor_gets_no_thoughts_of_earlier_turns(house: House, history: bool) -> None:
    await furnish(house, "chat", {"strip_thinking": {"history": history}})
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello.", "reasoning_content": "Hm."},
        {"role": "user", "content": "Go on"},
    ]
    answer = await house.ask("chat", body_of("chat", "vendor/text", messages=turns))
    assert answer.status == 200, answer.body
    assert ("reasoning_content" in sent(house)["messages"][1]) is not history
    assert sent(house)["messages"][1]["content"] == "Hello."


async def test_wrong_options_stop_the_start() -> None:
    assert refused("strip_thinking", {"answer": True}) == [".answer: unknown key (did you mean answers?)"]
