"""Instructions as the user's words, in their place, whatever the protocols."""

from typing import Any

import pytest

from tests.adapters.wired import furnish, refused, sent
from tests.upstreams import House, body_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "content": "Well"},
]


def texts(body: Any) -> list[tuple[str, str]]:
    """Who says what in a request of either protocol, text by text."""
    found = []
    for message in body["messages"]:
        content = message["content"]
        parts = [content] if isinstance(content, str) else [part["text"] for part in content]
        found += [(message["role"], part) for part in parts]
    return found


@pytest.mark.pitfall("C36")
@pytest.mark.parametrize("provider", ["chat", "messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_vendor_gets_no_instructions_but_the_users_words(house: House, provider: str, stream: bool) -> None:
    await furnish(house, provider, "system_to_user")
    name = {"chat": "vendor", "messages": "claudish"}[provider]
    answer = await house.ask("chat", body_of("chat", f"{name}/text", messages=CHAT, stream=stream))
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "translate"), answer.body
    body = sent(house)
    assert "system" not in body
    assert texts(body) == [
        ("user", "<system>\nBe brief.\n</system>"),
        ("user", "Hello"),
        ("assistant", "Yes?"),
        ("user", "<system>\nBe kind.\n</system>"),
        ("user", "Well"),
    ]


@pytest.mark.parametrize(("tag", "told"), [("rules", "<rules>\nBe brief.\n</rules>"), ("", "Be brief.")])
async def test_the_tag_is_the_operators(house: House, tag: str, told: str) -> None:
    await furnish(house, "messages", {"system_to_user": {"tag": tag}})
    body = body_of("messages", "claudish/text", system="Be brief.")
    answer = await house.ask("messages", body)
    assert answer.status == 200, answer.body
    assert texts(sent(house))[0] == ("user", told) and "system" not in sent(house)


async def test_wrong_options_stop_the_start() -> None:
    assert refused("system_to_user", {"tags": "x"}) == [".tags: unknown key (did you mean tag?)"]
