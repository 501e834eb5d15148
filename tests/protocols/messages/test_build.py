"""Neutral requests -> the body for a Messages upstream: the own protocol gives back all, settings of any other."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rotator.plugins.protocols.messages.build import build
from rotator.plugins.protocols.messages.dialect import MessagesDialect
from rotator.plugins.protocols.messages.losses import LOSSES, REQUEST_LOSSES
from rotator.plugins.protocols.messages.parse import parse

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import CacheMark
from rotator.neutral.request import (
    CacheWish,
    Continuation,
    Format,
    Meta,
    Output,
    ReasoningWish,
    Request,
    Sampling,
)
from tests.providers.malformed_messages import VALID

from .bodies import (
    GO,
    HI,
    MARK,
    SCHEMA,
    STRICT,
    asked,
    assistant,
    body,
    built,
    noted,
    parsed,
    result,
    said,
    system,
    text,
    tool,
    use,
    user,
)
from .claude_code import CLAUDE_CODE
from .samples import ASSISTANT_BLOCKS, FIELDS, RESULTS, USER_BLOCKS

# ---------------------------------------------------------------- the own protocol


def back(wire: dict[str, Any], **dialect: Any) -> dict[str, Any]:
    """The body that is built of a parsed one; nothing may be lost, noted or changed in place."""
    before = copy.deepcopy(wire)
    request = parsed(wire)
    notes: list[Note] = []
    ledger = Ledger(notes)
    made = build(request, MessagesDialect(**dialect), ledger)
    assert wire == before
    assert (ledger.losses, notes, made.names, made.headers) == ([], [], {}, {})
    assert parsed(made.body) == request
    return made.body


#: Bodies that come back member by member.
SAME: dict[str, dict[str, Any]] = {
    "claude-code": {**CLAUDE_CODE, "model": "m"},
    "system-string": body(system="Be brief."),
    "system-list": body(system=[text("One."), text("Two.", **MARK)]),
    "system-message-first": body(system("One."), user("Hi"), system="Zero."),
    "system-message-last": body(user("Hi"), system(text("One."), text("Two."))),
    "system-message-of-effort": body(user("Hi"), {"role": "system", "output_config": {"effort": "low"}}),
    "same-roles": body(user("a"), user("b"), assistant("c"), assistant("d")),
    "assistant-first": body(assistant("I began."), user("Hi")),
    "prefill": body(user("Hi"), assistant("Sure, \n")),
    "blank": body(user(text(" "), text("Hi"))),
    "orphans": body(user(result("one", "a")), assistant(use("b")), user("Go on")),
    "duplicates": body(assistant(use("a")), user(result("one", "a"), result("two", "a"))),
    "same-id": body(assistant(use("a"), use("a")), user(result("one", "a"))),
    "odd-ids": body(assistant(use("a.b:ü")), user(result("one", "a.b:ü"))),
    "empty-id": body(assistant(use("")), user(result("one", ""))),
    "text-behind-a-call": body(assistant(use("a"), text("and more")), user(result("one", "a"))),
    "thinking-last": body(assistant(text("So."), {"type": "thinking", "thinking": "Hm.", "signature": ""})),
    "raw-image": body(user({"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "&"}})),
    "odd-name": body(tools=[tool("a.b/c" * 40)], tool_choice={"type": "tool", "name": "other"}),
    "two-tools-of-one-name": body(tools=[tool("a", description="One."), tool("a", description="Two.")]),
    "root-union": body(tools=[{"name": "a", "input_schema": {"anyOf": [SCHEMA]}, "strict": True}]),
    "choice-without-tools": body(tool_choice={"type": "any", "disable_parallel_tool_use": False}),
    "choice-none-alone": body(tool_choice={"type": "none", "disable_parallel_tool_use": True}),
    "stream": body(stream=True),
    "no-limit": {"model": "m", "messages": [user("Hi")]},
    "hot": body(temperature=1.5, top_p=0.9, top_k=0, thinking={"type": "enabled", "budget_tokens": 1024}),
    "stops": body(stop_sequences=["\n", "END"]),
    "no-stops": body(stop_sequences=[]),
    "format": body(output_config={"format": {"type": "json_schema", "schema": SCHEMA, "x": 1}, "effort": "low"}),
    "format-of-tomorrow": body(output_config={"format": {"type": "xml"}, "task_budget": {"type": "tokens"}}),
    "metadata": body(metadata={"user_id": "", "team": "t"}),
    "tier": body(service_tier="standard_only", speed="fast", inference_geo="eu", container={"id": "c"}),
    "cache": body(cache_control={"type": "ephemeral", "ttl": "1h"}),
    "cache-strange": body(cache_control={"type": "ephemeral", "scope": "global"}),
    "thread": body(thread={"type": "create"}, mcp_servers=[{"name": "files"}], betas=["x"]),
    "message-rest-behind-results": body(user(result("one", "a"), text("Go on"), x=1), assistant("So.", y=2)),
    "message-rest": body(user(result("one", "a"), x=1), user(text("Go on"), text("!"), y=2)),
    "wide-integers": body(assistant(use(input={"n": 2**70, "m": -(2**70)})), user(result("1"))),
}


@pytest.mark.pitfall("C25", "C26", "C30", "C98", "C134")
@pytest.mark.parametrize("wire", SAME.values(), ids=SAME)
def test_a_messages_client_gets_its_own_words_back(wire: dict[str, Any]) -> None:
    assert back(wire) == wire


@pytest.mark.parametrize("dialect", [{"mid_system": "reminder"}, {"structured_output": "instruction", "max_tokens": 1}])
def test_a_dialect_changes_nothing_of_a_messages_client(dialect: dict[str, Any]) -> None:
    wire = body(user("Hi"), system("One."), output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    del wire["max_tokens"]
    assert back(wire, **dialect) == wire


#: Bodies that mean the same in fewer words.
SHORTER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text-block": (body(user(text("Hi"))), body()),
    "system-block": (body(system=[text("One.")]), body(system="One.")),
    "empty-texts": (body(user(text(""), text("Hi")), system=""), body()),
    "empty-turn": (body(user("Hi"), assistant("")), body(user("Hi"), {"role": "assistant", "content": []})),
    "result-block": (body(user(result([text("one")]))), body(user(result("one")))),
    "empty-result": (body(user(result(""))), body(user({"type": "tool_result", "tool_use_id": "call_1"}))),
    "no-input": (
        body(assistant({"type": "tool_use", "id": "a", "name": "now"})),
        body(assistant({"type": "tool_use", "id": "a", "name": "now", "input": {}})),
    ),
    "results-first": (
        body(user(text("Go on"), result("one", "a"), text("now"), result("two", "b"))),
        body(user(result("one", "a"), result("two", "b"), text("Go on"), text("now"))),
    ),
    "results-of-two-messages": (
        body(user(result("one", "a")), user(result("two", "b")), user("Go on")),
        body(user(result("one", "a"), result("two", "b"), text("Go on"))),
    ),
    "results-and-an-empty-turn": (
        body(user(result("one", "a")), user(""), user(result("two", "b"))),
        body(user(result("one", "a")), {"role": "user", "content": []}, user(result("two", "b"))),
    ),
    "nulls": (body(temperature=None, tools=None, metadata={"user_id": None}, output_config={"effort": None}), body()),
    "tool-type": (body(tools=[tool(type="custom", description="")]), body(tools=[tool()])),
    "document-string": (
        body(user({"type": "document", "source": {"type": "content", "content": "One."}})),
        body(user({"type": "document", "source": {"type": "content", "content": [text("One.")]}})),
    ),
}


@pytest.mark.parametrize(("wire", "shorter"), [pytest.param(*row, id=name) for name, row in SHORTER.items()])
def test_a_messages_client_gets_back_what_it_meant(wire: dict[str, Any], shorter: dict[str, Any]) -> None:
    expected = {**shorter, "messages": [_short(message) for message in shorter["messages"]]}
    assert {**back(wire), "messages": [_short(message) for message in back(wire)["messages"]]} == expected


def _short(message: dict[str, Any]) -> dict[str, Any]:
    """A string where a single plain text is all."""
    match message["content"]:
        case [{"type": "text", "text": words, **more}] if not more:
            return {**message, "content": words}
    return message


@pytest.mark.parametrize("wire", [row.body for row in VALID.values()], ids=VALID)
def test_bodies_that_a_vendor_takes_come_back(wire: dict[str, Any]) -> None:
    back(wire)


BLOCKS = [block for block, _ in USER_BLOCKS.values()]
CALLS = [block for block, _ in ASSISTANT_BLOCKS.values()]
ANSWERS = [block for block, _ in RESULTS.values()]
WIRE_MESSAGES = st.one_of(
    st.builds(user, st.lists(st.sampled_from([*BLOCKS, *ANSWERS]), max_size=4)),
    st.builds(assistant, st.lists(st.sampled_from([*BLOCKS, *CALLS]), max_size=4)),
    st.builds(system, st.lists(st.sampled_from([text("a"), text("b", **MARK)]), max_size=2)),
    st.sampled_from([user("Hi"), assistant("Hello. "), system("In French."), user("Hi", x=1)]),
)
MEMBERS = st.sampled_from([members for members, _ in FIELDS.values()])


@pytest.mark.pitfall("C89")
@given(st.lists(WIRE_MESSAGES, max_size=6), MEMBERS, MEMBERS)
def test_what_a_messages_client_says_survives(spoken: list[Any], some: dict[str, Any], more: dict[str, Any]) -> None:
    back({"model": "m", "messages": spoken, **some, **more})


def test_building_changes_nothing_of_the_clients() -> None:
    wire = copy.deepcopy(CLAUDE_CODE)
    wire["messages"][0]["content"].append({"type": "hologram", "deep": {"er": [1]}})
    before = copy.deepcopy(wire)
    request = parsed(wire)
    for client in (request, replace(request, protocol="chat", turns=request.turns[:1])):
        expected = copy.deepcopy(built(client)[0].body)
        assert built(client)[0].body == expected
    assert wire == before


# ---------------------------------------------------------------- settings of other protocols' clients


#: A neutral request's settings; what they add to the body (max_tokens apart), and what is lost.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "nothing": ({}, {}, []),
    "temperature": ({"sampling": Sampling(temperature=0)}, {"temperature": 0}, []),
    "temperature-one": ({"sampling": Sampling(temperature=1.0)}, {"temperature": 1.0}, []),
    "temperature-high": ({"sampling": Sampling(temperature=1.01)}, {"temperature": 1}, ["sampling.temperature"]),
    "top-p": ({"sampling": Sampling(top_p=0.0)}, {"top_p": 0.0}, []),
    "top-k": ({"sampling": Sampling(top_k=0)}, {"top_k": 0}, []),
    "both": (
        {"sampling": Sampling(temperature=0.0, top_p=0.5, top_k=4)},
        {"temperature": 0.0, "top_k": 4},
        ["sampling.top_p"],
    ),
    "thinking": (
        {"sampling": Sampling(0.5, 0.5, 4), "reasoning": ReasoningWish(True)},
        {"thinking": {"type": "adaptive"}},
        ["sampling.temperature", "sampling.top_p", "sampling.top_k"],
    ),
    "not-thinking": (
        {"sampling": Sampling(0.5), "reasoning": ReasoningWish(False)},
        {"thinking": {"type": "disabled"}, "temperature": 0.5},
        [],
    ),
    "others": (
        {"sampling": Sampling(seed=0, frequency_penalty=0.1, presence_penalty=-1, logit_bias={"1": -1})},
        {},
        ["sampling.seed", "sampling.frequency_penalty", "sampling.presence_penalty", "sampling.logit_bias"],
    ),
    "defaults": (
        {"sampling": Sampling(top_p=1, temperature=0.5, seed=-1, frequency_penalty=0, presence_penalty=0.0,
                              logit_bias={})},
        {"temperature": 0.5},
        [],
    ),
    "mail": (
        {"meta": Meta("me@example.com")},
        {"metadata": {"user_id": "8c2a47d3bdb8d3096a6479f53eac3b724291db5f1c31611100f675be5537329d"}},
        [],
    ),
    "stops": ({"output": Output(stops=("END", "\n\nUser:"))}, {"stop_sequences": ["END", "\n\nUser:"]}, []),
    "stops-blank": ({"output": Output(stops=("\n", "END", ""))}, {"stop_sequences": ["END"]}, ["stop.blank"]),
    "stops-all-blank": ({"output": Output(stops=(" ",))}, {}, ["stop.blank"]),
    "stops-none": ({"output": Output(stops=())}, {}, []),
    "logprobs": (
        {"output": Output(logprobs=True, top_logprobs=3)},
        {},
        ["output.logprobs", "output.top_logprobs"],
    ),
    "no-logprobs": ({"output": Output(logprobs=False, top_logprobs=0)}, {}, []),
    "verbosity": ({"output": Output(verbosity="low")}, {}, ["output.verbosity"]),
    "modalities": ({"output": Output(modalities=("TEXT",), audio={"voice": "a"}, n=1)}, {}, ["output.audio"]),
    "user": ({"meta": Meta("u1")}, {"metadata": {"user_id": "u1"}}, []),
    "metadata": ({"meta": Meta(metadata={"team": "t"})}, {}, ["meta.metadata"]),
    "no-metadata": ({"meta": Meta(metadata={})}, {}, []),
    "tier-auto": ({"meta": Meta(tier="auto")}, {}, []),
    "tier-default": ({"meta": Meta(tier="default")}, {"service_tier": "standard_only"}, []),
    "tier-standard": ({"meta": Meta(tier="STANDARD")}, {"service_tier": "standard_only"}, []),
    "tier-flex": ({"meta": Meta(tier="flex")}, {}, ["meta.tier"]),
    "tier-priority": ({"meta": Meta(tier="priority")}, {}, ["meta.tier"]),
    "effort": (
        {"reasoning": ReasoningWish(effort="high")},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        [],
    ),
    "budget": ({"reasoning": ReasoningWish(budget=0)}, {"thinking": {"type": "disabled"}}, []),
    "display": ({"reasoning": ReasoningWish(display="hidden")}, {}, ["reasoning.display"]),
    "between-tools": (
        {"reasoning": ReasoningWish(between_tools=True)},
        {"thinking": {"type": "disabled"}},
        ["reasoning.clamped"],
    ),
    "wish-rest": ({"reasoning": ReasoningWish(rest={"mode": "pro"})}, {}, ["field.foreign"]),
    "cache-auto": ({"cache": CacheWish(auto=CacheMark())}, {"cache_control": {"type": "ephemeral"}}, []),
    "cache-key": ({"cache": CacheWish("k")}, {}, []),
    "rest": ({"rest": {"prediction": {}, "top_a": 0}}, {}, ["field.foreign", "field.foreign"]),
    "rest-quiet": (
        {"rest": {"prompt_cache_options": {}, "prompt_cache_retention": "24h", "stream_options": {}}},
        {},
        [],
    ),
    "store": ({"continues": Continuation(store=True)}, {}, ["field.foreign"]),
    "no-store": ({"continues": Continuation(store=False)}, {}, []),
    "stream": ({"stream": True, "usage_in_stream": True}, {"stream": True}, []),
}


@pytest.mark.pitfall("C116", loss="sampling.temperature")
@pytest.mark.pitfall("C147")
@pytest.mark.parametrize(("said_", "added", "lost"), [pytest.param(*row, id=name) for name, row in SETTINGS.items()])
def test_settings(said_: dict[str, Any], added: dict[str, Any], lost: list[str]) -> None:
    made, codes = built(asked(**said_))
    assert made.body == {"model": "m", "messages": [user("Hi")], "max_tokens": 32000, **added}
    assert type(made.body.get("temperature")) is type(added.get("temperature"))
    version = "2023-06-01" if made.body.keys() & {"temperature", "top_p", "top_k"} else "2026-10-21"
    assert (codes, made.names, made.headers) == (lost, {}, {"anthropic-version": version})


@pytest.mark.pitfall("C189")
@pytest.mark.parametrize(
    ("limit", "dialect", "expected"),
    [(None, {}, 32000), (None, {"max_tokens": 8192}, 8192), (0, {}, 0), (5, {"max_tokens": 8192}, 5)],
)
def test_max_tokens_is_always_sent(limit: int | None, dialect: dict[str, Any], expected: int) -> None:
    made, codes = built(asked(output=Output(limit)), **dialect)
    assert (made.body["max_tokens"], codes) == (expected, [])


#: What cannot be had, and the field that asks for it.
IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"output": Output(n=2)}, "n"),
    "modalities": ({"output": Output(modalities=("text", "audio"))}, "modalities"),
    "previous": ({"continues": Continuation(previous_id="resp_1")}, "previous_response_id"),
    "conversation": ({"continues": Continuation(conversation="conv_1")}, "conversation"),
    "background": ({"continues": Continuation(background=True)}, "background"),
}


@pytest.mark.pitfall("C195")
@pytest.mark.parametrize("protocol", ["chat", "messages"])
@pytest.mark.parametrize(("asking", "param"), [pytest.param(*row, id=name) for name, row in IMPOSSIBLE.items()])
def test_what_cannot_be_had_is_refused(protocol: str, asking: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        built(Request(protocol, "m", (HI,), **asking))
    assert (refused.value.error.status, refused.value.error.param) == (400, param)


def test_an_adapters_settings_are_told_as_lost_for_a_messages_client_too() -> None:
    _, codes = built(Request("messages", "m", (HI,), sampling=Sampling(seed=1), output=Output(verbosity="low")))
    assert codes == ["sampling.seed", "output.verbosity"]


OPEN = {"type": "object", "properties": {"q": {"type": "string", "minLength": 3}}, "required": ["q"]}
CLOSED = {
    "type": "object",
    "properties": {"q": {"type": "string", "description": "{minLength: 3}"}},
    "required": ["q"],
    "additionalProperties": False,
}
#: A format; what the body says, and what is lost.
FORMATS: dict[str, tuple[Format, dict[str, Any], list[str]]] = {
    "schema": (
        Format("json_schema", STRICT, "city", strict=True),
        {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
        [],
    ),
    "schema-description": (
        Format("json_schema", STRICT, description="A city."),
        {"output_config": {"format": {"type": "json_schema", "schema": {**STRICT, "description": "A city."}}}},
        [],
    ),
    "schema-own-description": (
        Format("json_schema", {**STRICT, "description": "Own."}, description="A city."),
        {"output_config": {"format": {"type": "json_schema", "schema": {**STRICT, "description": "Own."}}}},
        [],
    ),
    "schema-lax": (
        Format("json_schema", STRICT, strict=False),
        {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
        ["format.strict"],
    ),
    "schema-moved": (
        Format("json_schema", OPEN),
        {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
        ["format.schema"],
    ),
    "schema-missing": (
        Format("json_schema"),
        {"system": "Answer with one JSON object and nothing else: no other words, no code fences."},
        ["format.json_object"],
    ),
    "json-object": (
        Format("json_object", rest={"x": 1}),
        {"system": "Answer with one JSON object and nothing else: no other words, no code fences."},
        ["field.foreign", "format.json_object"],
    ),
    "enum": (
        Format("enum", {"type": "string", "enum": ["yes", "no"]}),
        {"system": "Answer with exactly one of these words and nothing else: yes, no"},
        ["format.schema"],
    ),
}


@pytest.mark.pitfall("C204")
@pytest.mark.pitfall("C95", loss="format.strict")
@pytest.mark.parametrize(("form", "added", "lost"), [pytest.param(*row, id=name) for name, row in FORMATS.items()])
def test_formats(form: Format, added: dict[str, Any], lost: list[str]) -> None:
    made, codes = built(asked(output=Output(64, format=form)))
    assert (made.body, codes) == (body(**added), lost)


def test_a_format_is_an_instruction_behind_all_others() -> None:
    request = asked(said("system", "Be brief."), HI, output=Output(64, format=Format("json_object")))
    made, _ = built(request)
    assert made.body["system"] == [
        text("Be brief."),
        text("Answer with one JSON object and nothing else: no other words, no code fences."),
    ]


def test_a_schema_is_an_instruction_where_the_dialect_says_so() -> None:
    made, codes = built(asked(output=Output(64, format=Format("json_schema", SCHEMA))), structured_output="instruction")
    words = (
        "Answer with one JSON value and nothing else: no other words, no code fences. It must fit this JSON Schema:\n"
        '{"type":"object","properties":{"q":{"type":"string"}}}'
    )
    assert (made.body, codes) == (body(system=words), ["format.schema"])


def test_steps_leave_notes() -> None:
    form = Format("json_object", at=("response_format",))
    request = asked(output=Output(format=form), sampling=Sampling(temperature=2), meta=Meta(tier="flex"))
    assert noted(request) == [
        Note("messages.build", "format.instruction"),
        Note("messages.build.thinking", "max_tokens.default"),
        Note("messages.build.settings", "temperature.clamped", "temperature", "temperature"),
    ]
    ledger = Ledger()
    build(request, MessagesDialect(), ledger)
    assert ledger.losses[-1] == Loss("meta.tier", "service_tier", "flex")


def test_what_is_lost_is_told_with_its_place() -> None:
    ledger = Ledger()
    form = Format("json_schema", OPEN, at=("response_format", "json_schema"))
    request = asked(HI, said("user", "Go on", name="bob", at=("messages", 1)), output=Output(format=form))
    build(request, MessagesDialect(), ledger)
    assert ledger.losses[0] == Loss("message.name", "messages[1].name")
    assert [(loss.code, loss.path) for loss in ledger.losses[1:]] == [("format.schema", "response_format.json_schema")]
    assert ledger.losses[1].detail


def test_the_same_request_makes_the_same_bytes() -> None:
    first = parsed(CLAUDE_CODE)
    for client in (first, replace(first, protocol="gemini")):
        assert list(built(client)[0].body.items()) == list(built(client)[0].body.items())


@pytest.mark.pitfall("C199")
def test_claude_code_as_another_protocols_request() -> None:
    """The same from a client that speaks otherwise: no thinking of earlier turns, no role system."""
    made, codes = built(replace(parsed(CLAUDE_CODE), protocol="gemini"))
    sent = made.body
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert sent["messages"][0]["content"][-1] == {
        **text("<system-reminder>\nThe following skills are available.\n</system-reminder>"),
        "cache_control": {"type": "ephemeral"},
    }
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["text", "tool_use", "tool_use"]
    assert sent["messages"][2]["content"] == [
        result("a.py", "toolu_01A", is_error=False),
        result("none", "toolu_01B", is_error=True),
        text("Hurry."),
    ]
    assert sent["tools"][0] == CLAUDE_CODE["tools"][0]
    assert codes == [
        "field.foreign",
        "field.foreign",
        "reasoning.history",
        "field.foreign",
    ]
    assert (sent["thinking"]["type"], sent["output_config"]) == ("adaptive", {"effort": "medium"})
    assert "context_management" not in sent


def test_every_code_has_its_sentence() -> None:
    assert REQUEST_LOSSES.keys() <= LOSSES.keys()
    for code, words in LOSSES.items():
        area, _, what = code.partition(".")
        assert area and what and words.endswith(".")


def test_parse_and_build_take_a_body_without_a_limit() -> None:
    request = parse({"messages": [user("Hi")]}, "m", False, Ledger())
    assert built(request)[0].body == {"model": "m", "messages": [user("Hi")]}
    assert built(replace(request, turns=(HI, GO), protocol="chat"))[0].body["messages"] == [
        {"role": "user", "content": [text("Hi"), text("Go on")]}
    ]
