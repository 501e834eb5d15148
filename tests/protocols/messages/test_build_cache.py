"""The prompt cache of other protocols' clients in a Messages request."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.neutral.losses import Note
from rotator.neutral.parts import CacheMark, Text, ToolResult
from rotator.neutral.request import CacheWish, Tool
from tests.protocols.messages.bodies import HI, asked, built, called, noted, said

MARK = CacheMark()
EPHEMERAL = {"type": "ephemeral"}


def holders(body: dict[str, Any]) -> list[str]:
    """What of a body is marked, in its order."""
    found = [tool["name"] for tool in body["tools"] if "cache_control" in tool]
    found += [block["text"] for block in body["system"] if "cache_control" in block]
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            content = block.get("content")
            inner = content if isinstance(content, list) else []
            found += [part["text"] for part in inner if "cache_control" in part]
            found += [block.get("text", block["type"])] if "cache_control" in block else []
    return found


@pytest.mark.pitfall("C205")
@pytest.mark.parametrize(
    ("auto", "told"),
    [(None, ["tool_use", "inner", "tool_result", "Go"]), (CacheMark("12h"), ["inner", "tool_result", "Go"])],
)
def test_the_last_marks_are_kept(auto: CacheMark | None, told: list[str]) -> None:
    turns = (
        said("system", Text("S", cache=MARK), "T"),
        HI,
        said("assistant", called("a", cache=MARK)),
        said("tool", ToolResult("a", (Text("inner", cache=MARK), Text("x")), cache=MARK)),
        said("user", Text("Go", cache=MARK)),
    )
    request = asked(*turns, tools=(Tool("lookup", cache=MARK),), cache=CacheWish("key", auto))
    made, codes = built(request)
    assert (holders(made.body), codes) == (told, [])
    assert made.body.get("cache_control") == (None if auto is None else {**EPHEMERAL, "ttl": "1h"})
    assert Note("messages.build.cache", "cache.excess") in noted(request)


def test_four_marks_stay() -> None:
    request = asked(said("user", *(Text(word, cache=MARK) for word in "abcd")))
    made, _ = built(request)
    assert [block["cache_control"] for block in made.body["messages"][0]["content"]] == [EPHEMERAL] * 4
    assert Note("messages.build.cache", "cache.excess") not in noted(request)
