"""The neutral request: which turns lead, what silence means, and what counts for two requests to be equal."""

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from rotator.neutral.parts import Text
from rotator.neutral.request import (
    INSTRUCTING,
    CacheWish,
    Continuation,
    Format,
    Grammar,
    Meta,
    Output,
    ReasoningWish,
    Request,
    Role,
    Sampling,
    Tool,
    ToolPolicy,
    Turn,
)

LEAST = Request("chat", "m", ())


def turns(*roles: Role) -> tuple[Turn, ...]:
    return tuple(Turn(role, (Text(role),)) for role in roles)


@pytest.mark.parametrize(
    ("roles", "leading"),
    [
        ((), 0),
        (("user",), 0),
        (("assistant", "system"), 0),
        (("tool", "developer"), 0),
        (("system", "user"), 1),
        (("developer", "system", "user", "system", "assistant"), 2),
        (("system", "developer"), 2),
    ],
)
def test_instructions_lead_until_somebody_speaks(roles: tuple[Role, ...], leading: int) -> None:
    assert replace(LEAST, turns=turns(*roles)).leading == leading


def test_two_roles_instruct() -> None:
    assert INSTRUCTING == {"system", "developer"}


@pytest.mark.parametrize("wish", [Sampling, Output, ReasoningWish, CacheWish, Continuation, Meta, ToolPolicy, Format])
def test_silence_is_none(wish: Any) -> None:
    """Nothing is made up: 0, False and "" are things that were said, and differ from silence."""
    said = wish("json_object") if wish is Format else wish()
    off = dict.fromkeys(("between_tools", "begins", "required", "validated"), False)
    switches = {"max_tokens_name": "", "names": (), **off}
    words = {"kind": "json_object", "name": "", "description": ""}
    for member in fields(wish):
        if member.name not in ("at", "rest"):
            assert getattr(said, member.name) == {**switches, **words}.get(member.name), member.name


def test_a_least_request_says_nothing() -> None:
    silent = (ToolPolicy(), ReasoningWish(), Output(), Sampling(), CacheWish(), Continuation(), Meta())
    told = (LEAST.policy, LEAST.reasoning, LEAST.output, LEAST.sampling, LEAST.cache, LEAST.continues, LEAST.meta)
    assert told == silent
    assert (LEAST.tools, LEAST.stream, LEAST.usage_in_stream, LEAST.rest, LEAST.leading) == ((), False, False, {}, 0)


@pytest.mark.parametrize(
    "placed",
    [Turn("user", ()), Tool("run"), ToolPolicy("auto"), ReasoningWish(effort="low"), Format("json_object")],
    ids=lambda placed: type(placed).__name__,
)
def test_where_something_stood_is_no_part_of_its_meaning(placed: Any) -> None:
    moved = replace(placed, at=("elsewhere", 1))
    assert moved == placed and moved.at == ("elsewhere", 1) and replace(placed, rest={"a": 1}) != placed


def test_a_policy_stands_in_tool_choice_unless_told_otherwise() -> None:
    assert ToolPolicy().at == ("tool_choice",) and Turn("user", ()).at == Tool("run").at == ()


def test_a_tool_takes_nothing_and_is_a_function_unless_told_otherwise() -> None:
    tool = Tool("run")
    assert (tool.kind, tool.schema, tool.strict, tool.grammar, tool.data, tool.cache) == ("function", *[None] * 5)
    assert (Grammar().syntax, Grammar().definition) == ("", "")


@pytest.mark.parametrize("value", [LEAST, Turn("user", ()), Tool("run"), Sampling(), Grammar()])
def test_nothing_can_be_changed(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, "other")


def test_requests_are_equal_by_what_they_say() -> None:
    one, two = (replace(LEAST, turns=turns("system", "user"), rest={"a": 1}) for _ in range(2))
    assert one == two and replace(one, model="other") != two and replace(one, sampling=Sampling(temperature=0)) != two
