"""Breakpoints of the prompt cache of other protocols' clients, for Chat upstreams that take them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotator.neutral.losses import Note
from rotator.neutral.parts import CacheMark, Media, Source, Text
from rotator.neutral.request import CacheWish, Request, Tool
from tests.protocols.chat.bodies import GO, HI, asked, built, called, gave, noted, said, written

CAT = "https://img.example/cat.png"
MARK, HOUR = CacheMark(), CacheMark("1h")
CLAUDE = {"cache_control": {"type": "ephemeral"}}
HOURLY = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
OPENAI = {"prompt_cache_breakpoint": {"mode": "explicit"}}


def text(words: str, mark: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": words, **mark}


def marked() -> Request:
    """A mark wherever Messages has them, but no more than four that OpenAI takes."""
    return asked(
        said("system", Text("S", cache=HOUR)),
        said("user", "Hi", Media("image", Source("url", CAT), cache=MARK)),
        said("assistant", Text("A", cache=MARK), "B", called("a", cache=MARK)),
        said("tool", gave("a", "x", cache=MARK)),
        cache=CacheWish(auto=HOUR),
    )


def test_an_upstream_that_takes_none_gets_none() -> None:
    """They only make an answer cheaper: no loss."""
    body, codes = written(marked())
    assert codes == [] and b"cache" not in repr(body).encode()
    assert Note("chat.build.cache", "cache.unmarked") in noted(marked())


def test_breakpoints_stand_on_parts() -> None:
    body, codes = written(marked(), cache="breakpoint")
    system, user, assistant, result = body["messages"]
    assert system["content"] == [text("S", OPENAI)]
    assert [OPENAI.items() <= part.items() for part in user["content"]] == [False, True]
    assert assistant["content"] == [text("AB", OPENAI)]
    assert assistant["tool_calls"][0].keys() == {"id", "type", "function"}
    assert result["content"] == [text("x", OPENAI)]
    assert codes == [] and "cache_control" not in body


def test_gateways_take_those_of_claude() -> None:
    body, codes = written(marked(), cache="cache_control")
    _, _, assistant, result = body["messages"]
    assert assistant["content"] == [text("AB", CLAUDE)]
    assert assistant["tool_calls"][0]["cache_control"] == CLAUDE["cache_control"]
    assert result["content"] == [text("x", CLAUDE)]
    assert body["cache_control"] == HOURLY["cache_control"]
    assert codes == []


@pytest.mark.pitfall("C205")
@pytest.mark.parametrize(("auto", "told"), [(HOUR, [False, False]), (None, [False, True])])
def test_the_last_four_count(auto: CacheMark | None, told: list[bool]) -> None:
    """The automatic one may be among them."""
    body, codes = written(replace(marked(), cache=CacheWish(auto=auto)), cache="cache_control")
    system, user, *_ = body["messages"]
    assert ["cache_control" in part for part in (*system["content"], user["content"][1])] == told
    assert codes == []


@pytest.mark.parametrize(("form", "mark"), [("cache_control", HOURLY), ("breakpoint", {})])
def test_tools_have_no_parts(form: str, mark: dict[str, Any]) -> None:
    made, codes = built(asked(tools=(Tool("f", cache=HOUR),)), cache=form)
    (tool,) = made.body["tools"]
    assert ({name: tool[name] for name in tool if name not in ("type", "function")}, codes) == (mark, [])


def test_an_orphan_and_an_empty_result() -> None:
    turns = (HI, said("assistant", called("a")), said("tool", gave("a", cache=MARK)), said("tool", gave("z", "x")), GO)
    body, _ = written(asked(*turns), cache="breakpoint")
    assert body["messages"][2]["content"] == ""
    lost = (HI, said("tool", gave("z", "x", cache=MARK)))
    body, _ = written(asked(*lost), cache="breakpoint")
    assert body["messages"][1]["content"][-1] == text("x", OPENAI)


def test_a_document_of_several_parts_is_marked_at_its_end() -> None:
    parts = Source("parts", parts=(Text("One."), Text("Two.")))
    body, _ = written(asked(said("user", Media("document", parts, name="N", cache=MARK))), cache="breakpoint")
    assert body["messages"][0]["content"] == [text("N", {}), text("One.", {}), text("Two.", OPENAI)]


@pytest.mark.parametrize(
    ("model", "form"), [("gpt-5.6-mini", OPENAI), ("gpt-6-sol", OPENAI), ("gpt-5.5", {}), ("llama-4", {})]
)
def test_newer_models_take_breakpoints(model: str, form: dict[str, Any]) -> None:
    request = replace(asked(said("user", "Hi", Text("you", cache=MARK))), model=model)
    body, _ = written(request, cache="by_model")
    assert body["messages"][0]["content"][1] == text("you", form)
