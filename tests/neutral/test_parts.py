"""Parts are values: equal by what they mean, not by where they stood; and paths are written for people."""

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any, get_args

import pytest

from rotator.neutral.parts import (
    NO_REST,
    Media,
    Opaque,
    Part,
    Path,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    written_path,
)

PARTS: dict[str, Any] = {
    "text": Text("Hi"),
    "media": Media("image", Source("url", "https://a.example/cat.png")),
    "call": ToolCall("c", "run"),
    "result": ToolResult("c"),
    "reasoning": Reasoning(),
    "refusal": Refusal("No"),
    "opaque": Opaque("messages", "server_tool_use", {}),
}
EACH = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ((), ""),
        (("model",), "model"),
        (("messages", 2, "content", 0), "messages[2].content[0]"),
        (("messages", 0, "content", 1, "source", "media_type"), "messages[0].content[1].source.media_type"),
        ((0, 1, "a"), "[0][1].a"),
        (("metadata", "a.b"), "metadata.a.b"),
    ],
)
def test_paths_are_written_for_people(path: Path, written: str) -> None:
    assert written_path(path) == written


def test_there_is_one_of_each_part() -> None:
    assert {type(part) for part in PARTS.values()} == set(get_args(Part))


@EACH
def test_where_a_part_stood_is_no_part_of_its_meaning(part: Any) -> None:
    moved = replace(part, at=("messages", 3))
    assert moved == part and moved.at == ("messages", 3) and part.at == ()


@EACH
def test_a_part_cannot_be_changed(part: Any) -> None:
    for member in fields(part):
        with pytest.raises(FrozenInstanceError):
            setattr(part, member.name, None)


@EACH
def test_a_part_knows_nothing_beyond_its_meaning_unless_told(part: Any) -> None:
    assert part.rest == {} and getattr(part, "state", None) is None and getattr(part, "cache", None) is None


def test_what_only_one_protocol_knows_makes_a_difference() -> None:
    assert Text("Hi", rest={"a": 1}) != Text("Hi") and Text("Hi", state=State("signature", "s")) != Text("Hi")


def test_an_opaque_part_has_no_members_beside_its_data() -> None:
    assert Opaque("messages", "container_upload", {"file_id": "f"}, at=("a",)).rest is NO_REST == {}


@pytest.mark.parametrize(
    ("thoughts", "text"),
    [
        ((), ""),
        ((Thought("One."),), "One."),
        ((Thought("One."), Thought("Two.", "summary"), Thought("")), "One.\n\nTwo.\n\n"),
    ],
)
def test_stretches_of_thought_are_apart_by_a_blank_line(thoughts: tuple[Thought, ...], text: str) -> None:
    assert Reasoning(thoughts, State("signature", "s")).text == text
