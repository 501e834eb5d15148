"""Thinking blocks come back unchanged, at their place, to their model and account, or are refused."""

from typing import Any

import pytest

from .demo import KEY, MESSAGES, ask, messages, signing

PROMPT = [{"role": "user", "content": "Hello"}]


async def thought(vendor: Any, history: list[Any] | None = None, **options: Any) -> list[Any]:
    """History with the answer of `thinking` behind it."""
    asked = history or PROMPT
    answer = await ask(vendor, MESSAGES, messages("thinking", messages=asked, **options))
    assert answer.status == 200, answer.body
    return [*asked, {"role": "assistant", "content": answer.json["content"]}, {"role": "user", "content": "More"}]


async def refusal(vendor: Any, history: list[Any], model: str = "thinking", key: str = KEY) -> str:
    """The message of the 400, "" where the history is taken."""
    headers = {"authorization": f"Bearer {key}"}
    answer = await ask(vendor, MESSAGES, messages(model, messages=history), headers=headers)
    return "" if answer.status == 200 else str(answer.json["error"]["message"])


async def test_unchanged_blocks_are_taken_over_many_turns(vendor: Any) -> None:
    history = await thought(vendor, await thought(vendor, await thought(vendor)))
    assert await refusal(vendor, history) == ""


async def test_a_hidden_thought_has_a_signature_of_its_own(vendor: Any) -> None:
    history = await thought(vendor, thinking={"type": "adaptive", "display": "omitted"})
    assert history[1]["content"][0]["thinking"] == ""
    assert await refusal(vendor, history) == ""


async def test_no_thought_where_thinking_is_off(vendor: Any) -> None:
    history = await thought(vendor, thinking={"type": "disabled"})
    assert [block["type"] for block in history[1]["content"]] == ["text"]


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"thinking": "altered"}, "messages.1.content.0"),
        ({"signature": ""}, "messages.1.content.0"),
        ({"signature": "c2lnbmF0dXJl"}, "messages.1.content.0"),
    ],
)
async def test_an_altered_block_is_refused(vendor: Any, change: dict[str, str], at: str) -> None:
    history = await thought(vendor)
    history[1]["content"][0] |= change
    assert await refusal(vendor, history) == f"{at}: Invalid signature in thinking block"


async def test_a_block_is_bound_to_its_place(vendor: Any) -> None:
    history = await thought(vendor)
    block, text = history[1]["content"]
    behind = [PROMPT[0], {"role": "assistant", "content": [text, block]}, PROMPT[0]]
    later = [PROMPT[0], {"role": "assistant", "content": "Hi"}, PROMPT[0], history[1], PROMPT[0]]
    merged = [PROMPT[0], {"role": "assistant", "content": "Hi"}, history[1], PROMPT[0]]
    assert "messages.1.content.1: Invalid signature" in await refusal(vendor, behind)
    assert "messages.3.content.0: Invalid signature" in await refusal(vendor, later)
    assert "messages.2.content.0: Invalid signature" in await refusal(vendor, merged)


async def test_a_block_is_bound_to_its_model_and_account(vendor: Any) -> None:
    history = await thought(vendor)
    assert "Invalid signature" in await refusal(vendor, history, model="text")
    assert "Invalid signature" in await refusal(vendor, history, key="other")


async def test_an_answer_that_goes_on_in_the_same_turn_is_signed_for_its_place(vendor: Any) -> None:
    begun = [*PROMPT, {"role": "assistant", "content": [{"type": "text", "text": "Well,"}]}]
    answer = await ask(vendor, MESSAGES, messages("thinking", messages=begun))
    history = [*begun, {"role": "assistant", "content": answer.json["content"]}, *PROMPT]
    assert await refusal(vendor, history) == ""


async def test_redacted_thinking_is_bound_likewise(vendor: Any) -> None:
    place = signing.Place(0, 0)
    data = signing.sign(b"demo vendor", kind="redacted_thinking", text="", place=place, bound_to=("text", KEY))
    history = [*PROMPT, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": data}]}, *PROMPT]
    assert await refusal(vendor, history, model="text") == ""
    assert "Invalid data in redacted_thinking" in await refusal(vendor, history, model="thinking")
