"""Whatever another protocol's client says: the strict vendor takes what is built, or the client is told why not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.errors import Refused
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import (
    CacheMark,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolResult,
)
from rotator.neutral.request import (
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
from tests.protocols.chat.bodies import (
    CAT,
    GO,
    PDF,
    PNG,
    SCHEMA,
    STRICT,
    TOOLS,
    WAV,
    ChatDialect,
    asked,
    build,
    called,
    module,
    said,
    written,
)

checks_chat: Any = import_module("rotator.plugins.providers.demo.checks_chat")
Call: Any = import_module("rotator.plugins.providers.demo.calls").Call
LOSSES = module("losses").LOSSES

IDS = st.sampled_from(["", "a", "b", "c.d", "x" * 60])
NAMES = st.sampled_from(["lookup", "run it", "n" * 90])
CALLS = st.builds(called, IDS, st.sampled_from(["", "{}", "[1]", '{"q": 1}', "{"]), NAMES,
                  kind=st.sampled_from(["function", "custom", "builtin"]))
MEDIA: list[Part] = [
    Media("image", Source("base64", PNG), "image/png"),
    Media("image", Source("url", CAT), detail="medium"),
    Media("document", Source("base64", PDF), "application/pdf"),
    Media("document", Source("text", "Words."), name="T"),
    Media("document", Source("parts", parts=(Text("W"), Media("image", Source("url", CAT)))), rest={"context": "c"}),
    Media("document", Source("url", CAT)),
    Media("audio", Source("base64", WAV), "audio/wav"),
    Media("image", Source("file_id", "f")),
]
WORDS: list[Part] = [
    Text("Hi", cache=CacheMark(), rest={"x": 1}),
    Text(" "),
    Text("So. \n", state=State("signature", "s")),
    Opaque("responses", "x", {}, "hosted"),
    Opaque("gemini", "y", {}),
    Opaque("messages", "search_result", {}, text="found"),
]
THOUGHTS: list[Part] = [Reasoning((Thought("Hm."),), State("signature", "s")), Reasoning(), Refusal("No.")]
GIVEN = st.builds(
    ToolResult,
    IDS,
    st.lists(st.sampled_from([*WORDS, *MEDIA]), max_size=2).map(tuple),
    is_error=st.sampled_from([None, True, False]),
)


def turns_of(role: Role, parts: Any) -> st.SearchStrategy[Turn]:
    return st.lists(parts, max_size=3).map(lambda found: Turn(role, tuple(found)))


TURNS = st.one_of(
    turns_of("system", st.sampled_from(WORDS)),
    turns_of("developer", st.sampled_from(WORDS)),
    turns_of("user", st.sampled_from([*WORDS, *MEDIA])),
    turns_of("assistant", st.one_of(st.sampled_from([*WORDS, *THOUGHTS, *MEDIA[:3]]), CALLS)),
    turns_of("tool", GIVEN),
)
CONVERSATIONS = st.lists(TURNS, max_size=7).map(tuple)
DECLARED = [
    Tool("lookup", schema=SCHEMA, strict=True),
    Tool("lookup", schema=STRICT, strict=True),
    Tool("run it", "custom", grammar=Grammar("lark", "start: A")),
    Tool("root", schema={"anyOf": [SCHEMA, STRICT]}),
    Tool("now", namespace="clock"),
    Tool("search", "hosted", data={}),
]
POLICIES = [
    ToolPolicy(),
    ToolPolicy(parallel=False),
    ToolPolicy("auto"),
    ToolPolicy("none", parallel=False),
    ToolPolicy("required"),
    ToolPolicy("named", ("run it",)),
    ToolPolicy("allowed", ("now", "search"), required=True),
]
FORMATS = [
    None,
    Format("json_object"),
    Format("json_schema", SCHEMA, strict=True),
    Format("json_schema", STRICT, "a.b"),
]
DIALECTS = st.builds(
    ChatDialect,
    st.sampled_from(["max_tokens", "max_completion_tokens"]),
    st.sampled_from(["as_sent", "system", "developer"]),
    st.sampled_from(["parts", "joined"]),
    st.sampled_from(["drop", "reasoning_content"]),
)
OUTPUTS = st.builds(
    Output,
    st.sampled_from([None, 5]),
    format=st.sampled_from(FORMATS),
    stops=st.sampled_from([None, (), ("", "a"), tuple("abcdef")]),
    top_logprobs=st.sampled_from([None, 0, 2]),
)
MORE = st.fixed_dictionaries({
    "tools": st.lists(st.sampled_from(DECLARED), max_size=3).map(tuple),
    "policy": st.sampled_from(POLICIES),
    "output": OUTPUTS,
    "sampling": st.sampled_from([Sampling(), Sampling(0, 0.0, 5, 0)]),
    "reasoning": st.sampled_from([ReasoningWish(), ReasoningWish(True, "high")]),
    "meta": st.sampled_from([Meta(), Meta("u", {"a": "b"}, "standard_only"), Meta(tier="batch")]),
    "stream": st.booleans(),
})


@settings(max_examples=300)
@given(CONVERSATIONS, MORE, DIALECTS)
def test_a_vendor_takes_it_or_the_client_is_told_why_not(
    turns: tuple[Turn, ...], more: dict[str, Any], dialect: Any
) -> None:
    ledger = Ledger()
    try:
        made = build(Request("other", "m", turns, **more), dialect, ledger)
    except Refused as refused:
        assert refused.error.status == 400
        return
    call = Call("chat", made.body, {}, "key", b"secret")
    assert [fault for check in checks_chat.CHECKS for fault in check.find(call)] == []
    assert {loss.code for loss in ledger.losses} <= LOSSES.keys()


@settings(max_examples=200)
@given(st.lists(TURNS, min_size=1, max_size=6), TURNS)
def test_a_growing_conversation_keeps_its_beginning(turns: list[Turn], more: Turn) -> None:
    """Prompt caches hit only if what was said before is told in the same bytes (protocols.md 2.6)."""
    if more.role == "tool":  # a late result goes to its call
        return
    ends = said("user", "Now.")
    before = asked(*turns, ends, tools=TOOLS)
    after = asked(*turns, ends, said("assistant", "So."), more, GO, tools=TOOLS)
    try:
        old, new = written(before)[0]["messages"], written(after)[0]["messages"]
    except Refused:
        return
    assert new[: len(old)] == old


@settings(max_examples=200)
@given(CONVERSATIONS)
def test_every_word_is_told(turns: tuple[Turn, ...]) -> None:
    """No text of a turn that was built is missing, nor an answer of a tool, unless another one replaced it."""
    try:
        told, codes = written(asked(*turns))
    except Refused:
        return
    texts = str(told["messages"])
    said_words = [part for turn in turns for part in turn.parts if isinstance(part, Text)]
    assert all(repr(part.text)[1:-1] in texts for part in said_words)
    calls = sum(type(part).__name__ == "ToolCall" for turn in turns for part in turn.parts)
    assert sum(len(one.get("tool_calls", ())) for one in told["messages"]) == calls
    assert sum(one["role"] == "tool" for one in told["messages"]) == calls
