"""Whatever another protocol's client says: the strict vendor takes what is built, or the client is told why not."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rotator.plugins.providers.demo import checks_messages
from rotator.plugins.providers.demo.calls import Call

from rotator.errors import Refused
from rotator.neutral.parts import CacheMark, Media, Opaque, Part, Reasoning, Refusal, Source, Text, Thought, ToolResult
from rotator.neutral.request import Request, Role, Tool, ToolPolicy, Turn

from .bodies import GO, PDF, PNG, SCHEMA, STRICT, TOOLS, asked, built, called, said

IDS = st.sampled_from(["", "a", "b", "c.d"])
CALLS = st.builds(
    called, IDS, st.sampled_from(["", "{}", "[1]", '{"q": 1}', "{"]), st.sampled_from(["lookup", "run it"])
)
PICTURES = [
    Media("image", Source("base64", PNG), "image/png"),
    Media("document", Source("base64", PDF), "application/pdf"),
]
WORDS: list[Part] = [
    Text("Hi"),
    Text(" "),
    Text("So. \n"),
    Opaque("responses", "x", {}, "hosted"),
    Opaque("gemini", "y", {}, at=("contents", 0, "parts", 0)),
]
THOUGHTS: list[Part] = [Reasoning((Thought("Hm."),)), Refusal("No."), Text("Cited.", cache=CacheMark())]
GIVEN = st.builds(
    ToolResult,
    IDS,
    st.lists(st.sampled_from([*WORDS, *PICTURES]), max_size=2).map(tuple),
    is_error=st.sampled_from([None, True, False]),
)


def turns_of(role: Role, parts: Any) -> st.SearchStrategy[Turn]:
    return st.lists(parts, max_size=3).map(lambda found: Turn(role, tuple(found)))


TURNS = st.one_of(
    turns_of("system", st.sampled_from(WORDS)),
    turns_of("developer", st.sampled_from(WORDS)),
    turns_of("user", st.sampled_from([*WORDS, *PICTURES])),
    turns_of("assistant", st.one_of(st.sampled_from([*WORDS, *THOUGHTS]), CALLS)),
    turns_of("tool", GIVEN),
)
DECLARED = [
    Tool("lookup", schema=SCHEMA, strict=True),
    Tool("lookup", schema=STRICT, strict=True),
    Tool("run it", "custom"),
    Tool("root", schema={"anyOf": [SCHEMA, STRICT]}),
    Tool("now"),
]
POLICIES = [
    ToolPolicy(),
    ToolPolicy(parallel=False),
    ToolPolicy("auto"),
    ToolPolicy("none", parallel=False),
    ToolPolicy("required"),
    ToolPolicy("named", ("run it",)),
    ToolPolicy("allowed", ("now",), required=True),
]


@settings(max_examples=200)
@given(
    st.lists(TURNS, max_size=7).map(tuple),
    st.lists(st.sampled_from(DECLARED), max_size=3).map(tuple),
    st.sampled_from(POLICIES),
    st.sampled_from(["reminder", "role"]),
)
def test_a_vendor_takes_it_or_the_client_is_told_why_not(
    turns: tuple[Turn, ...], tools: tuple[Tool, ...], policy: ToolPolicy, mid_system: str
) -> None:
    try:
        made, _ = built(Request("chat", "m", turns, tools, policy), mid_system=mid_system)
    except Refused as refused:
        assert refused.error.status == 400 and refused.error.param is not None
        return
    call = Call("messages", made.body, {"anthropic-version": "2023-06-01"}, "key", b"secret")
    assert [fault for check in checks_messages.CHECKS for fault in check.find(call)] == []


@given(st.lists(TURNS, min_size=1, max_size=6), TURNS)
def test_a_growing_conversation_keeps_its_beginning(turns: list[Turn], more: Turn) -> None:
    """Prompt caches hit only if what was said before is told in the same bytes (protocols.md 2.6)."""
    ends = Turn("user", (Text("Now."),))
    before, after = (
        asked(*turns, ends, tools=TOOLS),
        asked(*turns, ends, said("assistant", "So."), more, GO, tools=TOOLS),
    )
    try:
        old, new = built(before)[0].body["messages"], built(after)[0].body["messages"]
    except Refused:
        return
    if more.role != "tool":  # a late result goes to its call
        assert new[: len(old)] == old
