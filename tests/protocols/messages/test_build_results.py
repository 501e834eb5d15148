"""Calls and their results in the order and under the ids that Messages demands."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.neutral.parts import Media, Source, ToolResult
from rotator.neutral.request import Turn

from .bodies import (
    CAT,
    GO,
    HI,
    TOOLS,
    assistant,
    called,
    gave,
    messages,
    result,
    said,
    text,
    use,
    user,
)

MISSING = result("tool result missing", is_error=True)
HELLO = said("assistant", "Hello.")
ORPHAN = "Result of a tool call that is not in this conversation:"

#: Turns of a Chat client, the messages, and what is lost.
CONVERSATIONS: dict[str, tuple[list[Turn], list[Any], list[str]]] = {
    "results": (
        [HI, said("assistant", called("a"), called("b")), said("tool", gave("b", "two"), gave("a", "one")), GO],
        [
            user("Hi"),
            assistant(use("a"), use("b")),
            user(result("two", "b"), result("one", "a"), text("Go on")),
        ],
        [],
    ),
    "results-of-several-turns": (
        [
            HI,
            said("assistant", called("a"), called("b")),
            said("tool", gave("a", "one")),
            GO,
            said("tool", gave("b", "two")),
        ],
        [
            user("Hi"),
            assistant(use("a"), use("b")),
            user(result("one", "a"), result("two", "b"), text("Go on")),
        ],
        [],
    ),
    "results-behind-words": (
        [HI, said("assistant", called()), GO, said("tool", gave())],
        [user("Hi"), assistant(use()), user(result(), text("Go on"))],
        [],
    ),
    "results-behind-an-answer": (
        [HI, said("assistant", called("a")), GO, HELLO, said("tool", gave("a")), GO],
        [user("Hi"), assistant(use("a")), user(result(id="a"), text("Go on")), assistant("Hello."), user("Go on")],
        [],
    ),
    "calls-of-several-turns": (
        [HI, said("assistant", called("a")), said("assistant", called("b")), said("tool", gave("a"), gave("b"))],
        [user("Hi"), assistant(use("a"), use("b")), user(result(id="a"), result(id="b"))],
        [],
    ),
    "calls-one-after-the-other": (
        [
            HI,
            said("assistant", called("a")),
            said("tool", gave("a")),
            said("assistant", called("b")),
            said("tool", gave("b")),
        ],
        [user("Hi"), assistant(use("a")), user(result(id="a")), assistant(use("b")), user(result(id="b"))],
        [],
    ),
    "reused-id": (
        [
            HI,
            said("assistant", called("a")),
            said("tool", gave("a", "1")),
            said("assistant", called("a")),
            said("tool", gave("a", "2")),
        ],
        [
            user("Hi"),
            assistant(use("a")),
            user(result("1", "a")),
            assistant(use("toolu_t7jvorbss2t5czldtjspoh76tb")),
            user(result("2", "toolu_t7jvorbss2t5czldtjspoh76tb")),
        ],
        [],
    ),
    "duplicate-result": (
        [HI, said("assistant", called("a"), called("b")), said("tool", gave("a", "1"), gave("b", "2"), gave("a", "3"))],
        [user("Hi"), assistant(use("a"), use("b")), user(result("2", "b"), result("3", "a"))],
        ["result.duplicate"],
    ),
    "orphan-call": (
        [HI, said("assistant", called("a"), called("b")), said("tool", gave("b")), GO],
        [
            user("Hi"),
            assistant(use("a"), use("b")),
            user(result(id="b"), {**MISSING, "tool_use_id": "a"}, text("Go on")),
        ],
        ["call.orphan"],
    ),
    "orphan-call-last": (
        [HI, said("assistant", "Look: ", called())],
        [user("Hi"), assistant(text("Look: "), use()), user(MISSING)],
        ["call.orphan"],
    ),
    "orphan-call-before-an-answer": (
        [HI, said("assistant", called("a")), said("tool", gave("b")), HELLO, GO],
        [
            user("Hi"),
            assistant(use("a")),
            user(
                {**MISSING, "tool_use_id": "a"},
                text(f"{ORPHAN}\nfound"),
            ),
            assistant("Hello."),
            user("Go on"),
        ],
        ["result.orphan", "call.orphan"],
    ),
    "orphan-result-of-an-image": (
        [HI, said("tool", ToolResult("z", (Media("image", Source("url", CAT)),)), ToolResult("y"))],
        [
            user(
                text("Hi"),
                text(f"{ORPHAN}\n(no text)"),
                {"type": "image", "source": {"type": "url", "url": CAT}},
                text(f"{ORPHAN}\n(no text)"),
            )
        ],
        ["result.orphan"],
    ),
    "text-behind-a-call": (
        [HI, said("assistant", "One.", called(), "Two.", called("b")), said("tool", gave(), gave("b"))],
        [user("Hi"), assistant(text("One."), text("Two."), use(), use("b")), user(result(), result(id="b"))],
        ["turn.order"],
    ),
    "text-of-the-next-turn-behind-a-call": (
        [HI, said("assistant", called()), HELLO, said("tool", gave())],
        [user("Hi"), assistant(text("Hello."), use()), user(result())],
        ["turn.order"],
    ),
    "flags": (
        [
            HI,
            said("assistant", called("a"), called("b"), called("c")),
            said("tool", gave("a", is_error=True), gave("b", is_error=False), gave("c", "")),
        ],
        [
            user("Hi"),
            assistant(use("a"), use("b"), use("c")),
            user(
                result(id="a", is_error=True),
                result(id="b", is_error=False),
                {"type": "tool_result", "tool_use_id": "c"},
            ),
        ],
        [],
    ),
    "arguments": (
        [
            HI,
            said(
                "assistant",
                called("a", ""),
                called("b", '{"q": "x'),
                called("c", "[1]"),
                called("d", "null"),
                called("e", '{"n": 12345678901234567890123, "f": 1.0}'),
            ),
            said("tool", gave("a"), gave("b"), gave("c"), gave("d"), gave("e")),
        ],
        [
            user("Hi"),
            assistant(
                {**use("a"), "input": {}},
                use("b", {"_raw": '{"q": "x'}),
                use("c", {"_raw": [1]}),
                use("d", {"_raw": None}),
                use("e", {"n": 12345678901234567890123, "f": 1.0}),
            ),
            user(*(result(id=id) for id in "abcde")),
        ],
        ["arguments.invalid"],
    ),
}


@pytest.mark.pitfall("P-52", "P-53", "P-76", "P-77", "P-152", "C76", "C85", "C86")
@pytest.mark.parametrize(
    ("turns", "expected", "lost"), [pytest.param(*row, id=name) for name, row in CONVERSATIONS.items()]
)
def test_calls_and_results(turns: list[Turn], expected: list[Any], lost: list[str]) -> None:
    found, codes = messages(*turns, tools=TOOLS)
    assert (found, codes) == (expected, lost)


ODD_IDS = ["functions.lookup:0", "a.b", "a:b", "é" * 200, "x" * 64, "x" * 65]


def test_ids_are_what_messages_takes() -> None:
    found, codes = messages(
        HI, said("assistant", *map(called, ODD_IDS)), said("tool", *(gave(id) for id in reversed(ODD_IDS))), tools=TOOLS
    )
    ids = [block["id"] for block in found[1]["content"]]
    assert ids[4] == "x" * 64
    assert all(id.startswith("toolu_") and len(id) == 32 for place, id in enumerate(ids) if place != 4)
    assert len(set(ids)) == len(ids)
    assert [block["tool_use_id"] for block in found[2]["content"]] == ids[::-1]
    assert codes == []


@pytest.mark.pitfall("C71")
def test_calls_without_an_id_get_their_results_in_order() -> None:
    turns = [HI, said("assistant", called(""), called("")), said("tool", gave("", "one"), gave("", "two")), GO]
    found, codes = messages(*turns, tools=TOOLS)
    first, second = (block["id"] for block in found[1]["content"])
    assert first != second
    assert found[2]["content"][:2] == [result("one", first), result("two", second)]
    assert codes == []
    assert messages(*turns, tools=TOOLS)[0] == found
