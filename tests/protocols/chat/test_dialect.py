"""How a compatible server's requests differ: each choice, what it changes, and for whose clients."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import ConfigError
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import CacheMark, Text
from rotator.neutral.request import Format, Output
from tests.protocols.chat.bodies import (
    GO,
    HI,
    MARK,
    ChatDialect,
    asked,
    assistant,
    body,
    build,
    call,
    called,
    gave,
    image,
    messages,
    module,
    parsed,
    replayed,
    result,
    said,
    system,
    text,
    user,
    written,
)


def test_what_is_said_without_a_dialect() -> None:
    assert ChatDialect() == ChatDialect("max_tokens", "as_sent", "parts", "drop")


@pytest.mark.parametrize("options", [
    {"max_tokens": "max_completion_tokens"},
    {"instructions": "developer", "text": "joined", "reasoning_history": "reasoning_content"},
    {"reasoning_history": "think_tags", "reasoning_answer": "think_open"},
])
def test_a_providers_file_names_the_choices(options: dict[str, Any]) -> None:
    assert repr(module("codec").ChatCodec().with_dialect(options)._dialect) == repr(ChatDialect(**options))


@pytest.mark.parametrize("options", [{"max_tokens": "limit"}, {"instructions": "user"}, {"colour": "red"}])
def test_what_is_no_choice_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        module("codec").ChatCodec().with_dialect(options)


@pytest.mark.pitfall("C115")
def test_the_name_of_the_limit() -> None:
    new = {"max_tokens": "max_completion_tokens"}
    for dialect, name in (({}, "max_tokens"), (new, "max_completion_tokens")):
        assert written(asked(output=Output(5)), **dialect) == (
            {"model": "m", "messages": [user("Hi")], name: 5},
            [],
        )
    own = body(max_tokens=5)
    assert replayed(own, **new) == (own, [])


@pytest.mark.parametrize(("chosen", "roles"), [
    ("as_sent", ["system", "developer"]),
    ("system", ["system", "system"]),
    ("developer", ["developer", "developer"]),
])
def test_the_role_of_instructions(chosen: str, roles: list[str]) -> None:
    told, codes = messages(said("system", "S"), HI, said("developer", "D"), dialect={"instructions": chosen})
    assert told == [{"role": roles[0], "content": "S"}, user("Hi"), {"role": roles[1], "content": "D"}]
    assert codes == []
    own = body(system("S"), user("Hi"), {"role": "developer", "content": "D"})
    assert replayed(own, instructions=chosen) == (body(*told), [])


def test_a_changed_role_is_noted() -> None:
    own = body(system("S"), user("Hi"), {"role": "developer", "content": "D"})
    turns = (said("system", "S", at=("system",)), HI, said("developer", "D", at=("messages", 2)))
    for request, place in ((asked(*turns), "system"), (parsed(own), "messages[0]")):
        notes: list[Note] = []
        build(request, ChatDialect(instructions="developer"), Ledger(notes))
        assert notes == [Note("chat.build.turns", "turn.role", place)]


JOINED = {"text": "joined"}


@pytest.mark.pitfall("P-117")
def test_texts_are_one_string_for_servers_that_take_no_parts() -> None:
    turns = (
        said("system", "S", "T"),
        said("user", "a", "b"),
        said("assistant", "A", called("c")),
        said("tool", gave("c", "x", "y")),
        said("user", Text("a", cache=CacheMark()), "b"),
    )
    assert messages(*turns, dialect=JOINED) == (
        [
            system("S\n\nT"),
            user("a\n\nb"),
            assistant("A", tool_calls=[call("c")]),
            result("x\n\ny", "c"),
            user("a\n\nb"),
        ],
        [],
    )


@pytest.mark.pitfall("C258")
def test_a_chat_clients_texts_are_joined_too() -> None:
    """Its marks are lost with the parts that carried them."""
    own = body(system([text("S"), text("T")]), user([text("a", **MARK)]), assistant([text("A"), text("B")]))
    told = body(system("S\n\nT"), user("a"), assistant("A\n\nB"))
    assert replayed(own, **JOINED) == (told, ["cache.breakpoint"])


def test_pictures_stay_parts() -> None:
    own = body(user([text("a"), text("b"), image()]))
    assert replayed(own, **JOINED) == (own, [])


@pytest.mark.pitfall("C131")
def test_reasoning_of_a_chat_client_is_its_own_in_any_dialect() -> None:
    own = body(user("Hi"), assistant("A", reasoning_content="T"), user("Go on"))
    for chosen in ("drop", "reasoning_content", "reasoning", "reasoning_details", "think_tags"):
        assert replayed(own, reasoning_history=chosen) == (own, [])


def test_json_mode_is_asked_for_under_the_dialects_role() -> None:
    request = asked(HI, said("assistant", "A"), GO, output=Output(format=Format("json_object")))
    for chosen, role in (("developer", "developer"), ("system", "system"), ("as_sent", "system")):
        told, _ = written(request, instructions=chosen)
        assert told["messages"][0] == {"role": role, "content": "Answer with JSON."}
