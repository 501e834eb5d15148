"""Settings of other protocols' clients, as a Chat upstream takes them: mapped, lost with a word, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import CacheMark
from rotator.neutral.request import (
    CacheWish,
    Continuation,
    Format,
    Meta,
    Output,
    ReasoningWish,
    Sampling,
)
from tests.protocols.chat.bodies import (
    SCHEMA,
    STRICT,
    ChatDialect,
    asked,
    body,
    build,
    built,
    parsed,
    said,
    system,
    user,
    written,
)


def schema(**more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "response", **more}}


#: What a client said, what is told of it, the losses.
TOLD: list[tuple[dict[str, Any], dict[str, Any], list[Loss]]] = [
    ({}, {}, []),
    ({"output": Output(5)}, {"max_tokens": 5}, []),
    ({"sampling": Sampling(0, 0.0, seed=0, frequency_penalty=0, presence_penalty=0.0)},
     {"temperature": 0, "top_p": 0.0, "seed": 0, "frequency_penalty": 0, "presence_penalty": 0.0}, []),
    ({"sampling": Sampling(1.5, 1, logit_bias={"1": 2})}, {"temperature": 1.5, "top_p": 1, "logit_bias": {"1": 2}}, []),
    ({"sampling": Sampling(top_k=0)}, {}, [Loss("sampling.top_k", "top_k")]),
    ({"output": Output(stops=("a", " ", "", "b"))}, {"stop": ["a", " ", "b"]}, [Loss("stop.blank", "stop")]),
    ({"output": Output(stops=tuple("abcde"))}, {"stop": ["a", "b", "c", "d"]}, [Loss("stop.excess", "stop")]),
    ({"output": Output(stops=())}, {}, []),
    ({"output": Output(stops=("",))}, {}, [Loss("stop.blank", "stop")]),
    ({"output": Output(n=2, verbosity="low")}, {"n": 2, "verbosity": "low"}, []),
    ({"output": Output(logprobs=True, top_logprobs=0)}, {"logprobs": True, "top_logprobs": 0}, []),
    ({"output": Output(logprobs=False)}, {"logprobs": False}, []),
    ({"output": Output(top_logprobs=3)}, {"logprobs": True, "top_logprobs": 3}, []),
    ({"output": Output(top_logprobs=0)}, {}, []),
    ({"output": Output(modalities=("TEXT",), audio={"voice": "v"})}, {}, [Loss("output.audio", "audio")]),
    ({"output": Output(format=Format("json_schema", SCHEMA, at=("f",), rest={"x": 1}))},
     {"response_format": schema(schema=SCHEMA)}, [Loss("field.foreign", "f.x")]),
    ({"output": Output(format=Format("json_schema", STRICT, "a name", "d", True))},
     {"response_format": schema(name="a_name", description="d", schema=STRICT, strict=True)}, []),
    ({"output": Output(format=Format("json_schema", SCHEMA, "n" * 70, strict=False))},
     {"response_format": schema(name="n" * 64, schema=SCHEMA, strict=False)}, []),
    ({"output": Output(format=Format("json_schema", SCHEMA, strict=True, at=("f",)))},
     {"response_format": schema(schema=SCHEMA)}, [Loss("format.strict", "f")]),
    ({"output": Output(format=Format("json_schema", {"type": "OBJECT", "properties": {"q": {"type": "STRING"}}}))},
     {"response_format": schema(schema=SCHEMA)}, []),
    ({"cache": CacheWish("k", CacheMark())}, {"prompt_cache_key": "k"}, []),
    ({"meta": Meta("", {"a": "b"})}, {"user": ""}, [Loss("meta.metadata", "metadata")]),
    ({"meta": Meta(metadata={})}, {}, []),
    ({"meta": Meta(tier="auto")}, {}, []),
    ({"meta": Meta(tier="standard_only")}, {"service_tier": "default"}, []),
    ({"meta": Meta(tier="flex")}, {"service_tier": "flex"}, []),
    ({"meta": Meta(tier="ultrafast")}, {}, [Loss("meta.tier", "service_tier")]),
    ({"continues": Continuation(store=True)}, {}, [Loss("field.foreign", "store")]),
    ({"continues": Continuation(store=False, background=False)}, {}, []),
    ({"reasoning": ReasoningWish(effort="low", at=("output_config", "effort"), rest={"x": 1})},
     {"reasoning_effort": "low"}, [Loss("field.foreign", "output_config.effort.x")]),
    ({"reasoning": ReasoningWish(False, at=("thinking",))}, {"reasoning_effort": "none"}, []),
    ({"reasoning": ReasoningWish(budget=0)}, {"reasoning_effort": "none"}, []),
    ({"reasoning": ReasoningWish(display="hidden")}, {}, []),
    ({"rest": {"container": "c", "prompt_cache_options": {}, "prompt_cache_retention": "24h",
               "stream_options": {"include_obfuscation": False}}}, {}, [Loss("field.foreign", "container")]),
]


@pytest.mark.pitfall("C40", "C186")
@pytest.mark.parametrize(("more", "told", "losses"), TOLD)
def test_a_setting(more: dict[str, Any], told: dict[str, Any], losses: list[Loss]) -> None:
    ledger = Ledger()
    made = build(asked(**more), ChatDialect(), ledger)
    assert made.body == {"model": "m", "messages": [user("Hi")], **told}
    assert ledger.losses == losses


JSON_MODES: list[tuple[Format, list[str]]] = [
    (Format("json_object"), ["format.json_object"]),
    (Format("json_schema"), ["format.schema", "format.json_object"]),
]


@pytest.mark.parametrize(("form", "codes"), JSON_MODES)
def test_json_mode_needs_the_word(form: Format, codes: list[str]) -> None:
    request = asked(output=Output(format=form))
    made, lost = built(request)
    assert made.body["response_format"] == {"type": "json_object"}
    assert made.body["messages"] == [system("Answer with JSON."), user("Hi")]
    assert lost == codes
    asking = asked(said("user", "As json, please"), output=Output(format=form))
    made, lost = built(asking)
    assert made.body["messages"] == [user("As json, please")]
    assert lost == codes[:-1]


IN_WORDS = (
    "Answer with one JSON value and nothing else: no other words, no code fences. It must fit this JSON Schema:\n"
)
FORM = Format("json_schema", SCHEMA, "n", "What is asked", True, at=("f",))
TOLD_SCHEMA = '{"type":"object","properties":{"q":{"type":"string"}},"description":"What is asked"}'
ONE_OBJECT = "Answer with one JSON object and nothing else: no other words, no code fences."
JSON: dict[str, Any] = {"type": "json_object"}

#: The choice, the format, what is told as ``response_format`` and in words, the losses.
INSTRUCTED: list[tuple[str, Format, dict[str, Any] | None, str, list[Loss]]] = [
    ("json_object", FORM, JSON, IN_WORDS + TOLD_SCHEMA, [Loss("format.schema", "f")]),
    ("instruction", FORM, None, IN_WORDS + TOLD_SCHEMA, [Loss("format.schema", "f")]),
    ("instruction", Format("json_schema", {"type": "ARRAY"}, at=("f",)), None, IN_WORDS + '{"type":"array"}',
     [Loss("format.schema", "f")]),
    ("json_object", Format("json_object", at=("f",)), JSON, "Answer with JSON.",
     [Loss("format.json_object", "response_format")]),
    ("instruction", Format("json_object", at=("f",)), None, ONE_OBJECT, [Loss("format.json_object", "f")]),
]


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize(("chosen", "form", "told", "words", "losses"), INSTRUCTED)
def test_a_format_that_the_vendor_does_not_know_is_told_in_words(
    role: str, chosen: str, form: Format, told: dict[str, Any] | None, words: str, losses: list[Loss]
) -> None:
    ledger = Ledger()
    request = asked(said("system", "S"), said("user", "Hi"), output=Output(format=form))
    made = build(request, ChatDialect(structured_output=chosen, instructions=role), ledger)
    assert made.body.get("response_format") == told
    assert made.body["messages"] == [{"role": role, "content": words}, {"role": role, "content": "S"}, user("Hi")]
    assert ledger.losses == losses


def test_json_mode_keeps_no_schema_of_a_list() -> None:
    form = Format("json_schema", {"type": "array"}, at=("f",))
    with pytest.raises(Refused, match="an object at its root"):
        built(asked(output=Output(format=form)), structured_output="json_object")


@pytest.mark.parametrize(("model", "most"), [
    ("gpt-4o", 16_384), ("openai/gpt-4o-mini-2024-07-18", 16_384), ("gpt-4o-search-preview", 16_384),
    ("gpt-4.1-nano", 32_768), ("gpt-4-turbo", 4096), ("gpt-3.5-turbo", 4096), ("o1", 100_000), ("o3-mini", 100_000),
    ("o4-mini", 100_000), ("gpt-5", 128_000), ("gpt-5.4-mini", 128_000), ("gpt-5.6-x", 128_000),
    ("gpt-5-search-api", 128_000), ("gpt-6-luna", 128_000), ("gpt-6.2", 128_000),
])
def test_no_more_tokens_are_asked_for_than_the_model_has(model: str, most: int) -> None:
    for limit, losses in (
        (most, []), (most + 1, [Loss("max_tokens.clamped", "max_output_tokens", f"requested {most + 1}, used {most}")])
    ):
        ledger = Ledger()
        output = Output(limit, max_tokens_name="max_output_tokens")
        made = build(replace(asked(output=output), model=model), ChatDialect(), ledger)
        assert (made.body["max_tokens"], ledger.losses) == (most, losses)


@pytest.mark.parametrize("model", ["m", "gpt-4", "gpt-5-chat-latest"])
def test_a_limit_that_nobody_knows_is_as_asked(model: str) -> None:
    made, codes = built(replace(asked(output=Output(10**6)), model=model))
    assert (made.body["max_tokens"], codes) == (10**6, [])


def test_a_chat_clients_limit_and_format_are_its_own() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    own = {**body(max_tokens=10**6, response_format=form), "model": "gpt-4o"}
    request = replace(parsed(own), model="gpt-4o")
    assert written(request, structured_output="instruction") == (own, [])


UNKEPT = "is kept by its own vendor only: send the whole conversation"
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"output": Output(0)}, "max_tokens", "an answer of no tokens cannot be asked for in Chat Completions"),
    ({"continues": Continuation("resp_1")}, "previous_response_id", "is known to its own vendor only"),
    ({"continues": Continuation(conversation="c")}, "conversation", UNKEPT),
    ({"continues": Continuation(begins=True)}, "conversation", UNKEPT),
    ({"continues": Continuation(background=True)}, "background", "Chat Completions has no answers in the background"),
    ({"output": Output(modalities=("TEXT", "IMAGE"))}, "modalities",
     "an answer with IMAGE cannot be asked for in Chat Completions"),
    ({"output": Output(format=Format("enum", {"enum": ["a"]}, at=("f",)))}, "f",
     "Chat Completions cannot answer with one word of a list"),
    ({"output": Output(format=Format("json_schema", {"type": "array"}, at=("f",)))}, "f",
     "the schema must be one of an object at its root"),
]


@pytest.mark.pitfall("C97", "C195")
@pytest.mark.parametrize(("more", "param", "reason"), REFUSED)
def test_what_cannot_be_had_is_refused(more: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        built(asked(**more))
    error = refused.value.error
    assert (error.status, error.param, error.message) == (400, param, f"{param}: {reason}")


def user_of(id: str) -> str:
    """What a vendor is told of the person."""
    made, codes = built(asked(meta=Meta(id)))
    assert codes == []
    return str(made.body["user"])


def test_a_long_id_is_a_hash_of_the_person() -> None:
    """Claude Code's names the session, too.  Source: clients.md 1.7."""
    device = "d" * 64
    one, two = (
        user_of(json.dumps({"device_id": device, "account_uuid": "", "session_id": f"{number}{'0' * 35}"}))
        for number in (1, 2)
    )
    assert one == two and len(one) == 64
    assert user_of(json.dumps({"device_id": "e" * 64, "account_uuid": "", "session_id": "1"})) != one


@pytest.mark.parametrize("id", ["u" * 65, "{" + "u" * 64, "[" + "1," * 40 + "1]", json.dumps({"device_id": "d" * 64})])
def test_other_long_ids_are_hashed_whole(id: str) -> None:
    assert user_of(id) == sha256(id.encode()).hexdigest()


def test_an_id_that_fits_is_told() -> None:
    assert user_of('{"session_id":"1"}') == '{"session_id":"1"}'
