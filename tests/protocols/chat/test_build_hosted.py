"""Tools that another vendor runs, as a Chat upstream has them, or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.request import Tool, ToolPolicy, WebSearch
from tests.protocols.chat.bodies import TOOLS, ChatDialect, asked, build, built, function, module

ROOT = Path(__file__).resolve().parents[3]
ANYTHING = WebSearch()
FETCH = Tool("web_fetch", "hosted", at=("tools", 1))
BERLIN = {"timezone": "Europe/Berlin", "city": "Berlin"}
PLACE = {"type": "approximate", "approximate": {"city": "Berlin", "timezone": "Europe/Berlin"}}

#: What is said of a search, and what the upstream is told.
TOLD: list[tuple[WebSearch, dict[str, Any], list[Loss]]] = [
    (WebSearch(), {}, []),
    (WebSearch(BERLIN), {"user_location": PLACE}, []),
    (WebSearch(context="high"), {"search_context_size": "high"}, []),
    (WebSearch(context="huge"), {}, [Loss("tool.setting", "tools[1].search_context_size")]),
    (WebSearch(limit=2), {}, [Loss("tool.setting", "tools[1].max_uses")]),
]


def search(told: WebSearch = ANYTHING, **more: Any) -> Tool:
    return Tool("web_search", "hosted", search=told, at=("tools", 1), **more)


@pytest.mark.parametrize(("told", "options", "losses"), TOLD)
def test_a_search_is_an_option(told: WebSearch, options: dict[str, Any], losses: list[Loss]) -> None:
    ledger = Ledger()
    made = build(asked(tools=(*TOOLS, search(told))), ChatDialect(web_search="options"), ledger)
    assert (made.body["web_search_options"], ledger.losses) == (options, losses)
    assert [tool["function"]["name"] for tool in made.body["tools"]] == ["lookup"]


def test_what_nobody_knows_of_a_search_is_lost() -> None:
    _, codes = built(asked(tools=(search(rest={"x": 1}),)), web_search="options")
    assert codes == ["field.foreign"]


@pytest.mark.parametrize(("model", "searches"), [
    ("gpt-4o-search-preview-2025-03-11", True), ("gpt-4o-mini-search-preview", True), ("gpt-5-search-api", True),
    ("gpt-4o", False), ("gpt-5", False), ("m", False),
])
def test_a_search_goes_by_the_model(model: str, searches: bool) -> None:
    request = replace(asked(tools=(*TOOLS, search())), model=model)
    made, codes = built(request, web_search="by_model", hosted_tools="drop")
    assert ("web_search_options" in made.body, codes) == (searches, [] if searches else ["tool.hosted"])


def test_openai_has_the_search_of_its_search_models() -> None:
    options = yaml.safe_load((ROOT / "providers/openai.yaml").read_text())["dialect"]
    for model, searches in (("gpt-4o-search-preview", True), ("gpt-4o", False)):
        request = replace(asked(tools=(search(),)), model=model)
        codec = module("codec").ChatCodec().with_dialect({**options, "hosted_tools": "drop"})
        assert ("web_search_options" in codec.build(request, Ledger()).body) is searches


@pytest.mark.parametrize("mode", ["options", "none"])
def test_nothing_is_searched_where_nothing_may_be_called(mode: str) -> None:
    made, codes = built(asked(tools=(*TOOLS, search()), policy=ToolPolicy("none")), web_search=mode)
    assert ("web_search_options" in made.body, made.body["tool_choice"], codes) == (False, "none", [])


@pytest.mark.parametrize(
    ("tool", "dialect", "param"),
    [
        (FETCH, {"web_search": "options"}, "tools[1]"),
        (search(), {}, "tools[1]"),
        (search(WebSearch(allowed_domains=("a.example",))), {"web_search": "options"}, "tools[1].allowed_domains"),
        (search(WebSearch(blocked_domains=("a.example",))), {"web_search": "options"}, "tools[1].blocked_domains"),
    ],
)
def test_what_does_not_run_here_is_refused(tool: Tool, dialect: dict[str, Any], param: str) -> None:
    """Leaving it out would change what the model can do (design.md 2.2)."""
    with pytest.raises(Refused) as refused:
        built(asked(tools=(*TOOLS, tool)), **dialect)
    assert (refused.value.error.status, refused.value.error.param) == (400, param)


@pytest.mark.parametrize("tool", [FETCH, search(), search(WebSearch(allowed_domains=("a.example",)))])
def test_a_provider_may_say_that_it_is_left_out(tool: Tool) -> None:
    ledger = Ledger()
    dialect = ChatDialect(hosted_tools="drop", web_search="none" if tool.search == ANYTHING else "options")
    made = build(asked(tools=(Tool("f"), tool)), dialect, ledger)
    assert ledger.losses == [Loss("tool.hosted", "tools[1]", tool.name)]
    assert made.body["tools"] == [function("f", parameters={"type": "object", "properties": {}})]
    assert "web_search_options" not in made.body
