"""Settings of other protocols' clients, as a Chat upstream takes them: mapped, lost with a word, or refused."""

from __future__ import annotations

import json
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
from tests.protocols.chat.bodies import SCHEMA, STRICT, ChatDialect, asked, build, built, said, system, user


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
