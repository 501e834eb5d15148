"""What the fake vendor writes is whole and legal: published schemas, stream grammar, usage, cuts, odd characters."""

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import orjson
import pytest

from .demo import CHAT, MESSAGES, ask, chat, messages, models

SUITES = Path(__file__).parents[3] / "shared" / "suites" / "api-schemas"
BODIES = {CHAT: chat, MESSAGES: messages}
PATHS = pytest.mark.parametrize("path", BODIES)
ANSWERING = [name for name in models.MODELS if name not in ("error", "mid-error", "flaky")]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"enum": [3, 7]}}}
TOOL = {"name": "forecast", "description": "later"}
TOOLS: dict[str, list[dict[str, Any]]] = {
    CHAT: [{"type": "function", "function": {**TOOL, "parameters": PARAMETERS}}],
    MESSAGES: [{**TOOL, "input_schema": PARAMETERS}],
}


def load_checker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The suite's own checker; it reads its arguments when imported."""
    if not SUITES.is_dir():
        pytest.skip("the shared suites are not here")
    spec = importlib.util.spec_from_file_location("check_api", SUITES / "check_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "argv", ["check_api.py", "chat"])
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "V", validator)  # its own leaves files open, which is an error here
    return module


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """A schema of the suite."""
    return jsonschema.Draft202012Validator(json.loads((SUITES / f"{name}.schema.json").read_text()))


def events(body: bytes) -> list[Any]:
    """The JSON of each frame; [DONE] as it is."""
    data = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


@PATHS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [*ANSWERING, "flaky"])
async def test_answers_obey_the_published_schemas(
    vendor: Any, monkeypatch: pytest.MonkeyPatch, path: str, model: str, stream: bool
) -> None:
    checker = load_checker(monkeypatch)
    options = {"stream_options": {"include_usage": True}} if stream and path == CHAT else {}
    body = BODIES[path](model, tools=TOOLS[path], stream=stream, **options)
    answer = await ask(vendor, path, body)
    if model == "flaky":
        answer = await ask(vendor, path, body)
    api = "chat" if path == CHAT else "messages"
    assert checker.check(answer.body.decode(), api, stream) == []


@PATHS
@pytest.mark.parametrize("model", ["error", "flaky", "nope"])
async def test_errors_obey_the_published_schemas(vendor: Any, path: str, model: str) -> None:
    if not SUITES.is_dir():
        pytest.skip("the shared suites are not here")
    name = "openai.openai_error" if path == CHAT else "anthropic.error"
    validator(name).validate((await ask(vendor, path, BODIES[path](model))).json)


@pytest.mark.parametrize("model", ANSWERING)
@pytest.mark.parametrize("usage", [False, True])
async def test_chat_streams_obey_the_grammar(vendor: Any, model: str, usage: bool) -> None:
    body = chat(model, tools=TOOLS[CHAT], stream=True, stream_options={"include_usage": usage})
    *chunks, done = events((await ask(vendor, CHAT, body)).body)
    assert done == "[DONE]"
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    spending = [chunk for chunk in chunks if not chunk["choices"]]
    assert spending == (chunks[-1:] if usage else [])
    assert [chunk for chunk in chunks if "usage" in chunk] == spending
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert ["role" in choice["delta"] for choice in choices] == [True] + [False] * (len(choices) - 1)
    assert [choice["finish_reason"] is not None for choice in choices] == [False] * (len(choices) - 1) + [True]
    assert choices[-1]["delta"] == {}


@pytest.mark.parametrize("model", ANSWERING)
async def test_messages_streams_obey_the_grammar(vendor: Any, model: str) -> None:
    body = messages(model, tools=TOOLS[MESSAGES], stream=True)
    found = events((await ask(vendor, MESSAGES, body)).body)
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert found[0]["message"]["content"] == []
    starts = [event["index"] for event in found if event["type"] == "content_block_start"]
    assert starts == list(range(len(starts)))
    deltas = [event.get("delta", {}).get("type") for event in found]
    signatures = [number for number, kind in enumerate(deltas) if kind == "signature_delta"]
    assert all(kinds[number + 1] == "content_block_stop" for number in signatures)
    assert len(signatures) == {"thinking": 1, "thinking-tools": 1, "interleaved": 2}.get(model, 0)


@PATHS
@pytest.mark.parametrize("model", ANSWERING)
async def test_a_stream_and_a_whole_answer_say_the_same(vendor: Any, path: str, model: str) -> None:
    body = BODIES[path](model, tools=TOOLS[path])
    whole = (await ask(vendor, path, body)).json
    options = {"stream_options": {"include_usage": True}} if path == CHAT else {}
    found = events((await ask(vendor, path, {**body, "stream": True, **options})).body)
    if path == CHAT:
        message = whole["choices"][0]["message"]
        deltas = [event["choices"][0]["delta"] for event in found[:-1] if event["choices"]]
        for name in ("content", "reasoning_content"):
            assert "".join(delta.get(name) or "" for delta in deltas) == (message.get(name) or "")
        arguments = [call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", ())]
        assert "".join(arguments) == "".join(call["function"]["arguments"] for call in message.get("tool_calls", ()))
        assert found[-2]["usage"] == whole["usage"]
        return
    said = "".join(event["delta"].get("text", "") for event in found if event["type"] == "content_block_delta")
    assert said == "".join(block.get("text", "") for block in whole["content"])
    written = "".join(event.get("delta", {}).get("partial_json", "") for event in found)
    inputs = [block["input"] for block in whole["content"] if block["type"] == "tool_use"]
    assert written.encode() == b"".join(orjson.dumps(value) for value in inputs)
    assert found[-2]["usage"].items() <= whole["usage"].items()


@PATHS
async def test_an_error_in_the_stream_is_its_last_event(vendor: Any, path: str) -> None:
    found = events((await ask(vendor, path, BODIES[path]("mid-error", stream=True))).body)
    assert [event for event in found if "error" in event] == found[-1:]
    assert len(found) > 3


@PATHS
async def test_odd_characters_survive_and_line_breaks_are_escaped(vendor: Any, path: str) -> None:
    whole = await ask(vendor, path, BODIES[path]("unicode"))
    stream = await ask(vendor, path, BODIES[path]("unicode", stream=True))
    for body in (whole.body, stream.body):
        assert not {"\u2028", "\u2029", "\u0085"} & set(body.decode())
        assert b"\\u2028" in body
    assert b"\\ud83d" in stream.body
    assert "\u4f60".encode() in whole.body
    text = whole.json["choices"][0]["message"]["content"] if path == CHAT else whole.json["content"][0]["text"]
    assert text == models.UNICODE_TEXT


@PATHS
@pytest.mark.parametrize("stream", [False, True])
async def test_max_tokens_cuts_an_answer(vendor: Any, path: str, stream: bool) -> None:
    answer = await ask(vendor, path, BODIES[path]("long", stream=stream, max_tokens=3))
    assert (b'"length"' if path == CHAT else b'"max_tokens"') in answer.body
    assert b"word 2" in answer.body
    assert b"word 3" not in answer.body


async def test_a_stop_sequence_cuts_an_answer(vendor: Any) -> None:
    one = (await ask(vendor, CHAT, chat("long", stop=["3, word"]))).json["choices"][0]
    two = (await ask(vendor, MESSAGES, messages("long", stop_sequences=["nothing", "3, word"]))).json
    assert (one["message"]["content"], one["finish_reason"]) == ("word 0, word 1, word 2, word ", "stop")
    assert two["content"][0]["text"] == "word 0, word 1, word 2, word "
    assert (two["stop_reason"], two["stop_sequence"]) == ("stop_sequence", "3, word")


async def test_a_call_that_does_not_fit_is_left_out(vendor: Any) -> None:
    answer = await ask(vendor, MESSAGES, messages("tools", tools=TOOLS[MESSAGES], max_tokens=1))
    assert (answer.json["content"], answer.json["stop_reason"]) == ([], "max_tokens")


@PATHS
async def test_arguments_fit_the_schema_and_calls_obey_the_choice(vendor: Any, path: str) -> None:
    def calls(body: Any) -> list[Any]:
        if path == CHAT:
            found = body["choices"][0]["message"].get("tool_calls", [])
            return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in found]
        return [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"]

    async def called(model: str, **options: Any) -> list[Any]:
        return calls((await ask(vendor, path, BODIES[path](model, tools=TOOLS[path], **options))).json)

    one = ("forecast", {"city": "Paris", "days": 3})
    assert await called("tools") == [one]
    assert await called("parallel-tools") == [one, ("forecast", {"city": "\u6771\u4eac", "days": 7})]
    none: Any = "none" if path == CHAT else {"type": "none"}
    assert await called("tools", tool_choice=none) == []
    single = {"parallel_tool_calls": False}
    if path == MESSAGES:
        single = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert await called("parallel-tools", **single) == [one]


async def test_chat_gives_as_many_choices_and_logprobs_as_asked(vendor: Any) -> None:
    body = chat("text", n=2, logprobs=True)
    whole = (await ask(vendor, CHAT, body)).json
    found = events((await ask(vendor, CHAT, {**body, "stream": True})).body)[:-1]
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
    tokens = whole["choices"][1]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == whole["choices"][1]["message"]["content"]
    for index in (0, 1):
        mine = [event["choices"][0] for event in found if event["choices"][0]["index"] == index]
        assert mine[-1]["finish_reason"] == "stop"
        streamed = [token for choice in mine if choice["logprobs"] for token in choice["logprobs"]["content"]]
        assert streamed == tokens


@PATHS
async def test_cached_tokens_are_counted_each_vendors_way(vendor: Any, path: str) -> None:
    plain = (await ask(vendor, path, BODIES[path]())).json["usage"]
    if path == CHAT:
        cached = (await ask(vendor, path, chat(prompt_cache_key="k"))).json["usage"]
        assert cached["prompt_tokens"] == plain["prompt_tokens"]
        assert cached["prompt_tokens_details"]["cached_tokens"] > 0
        return
    text = {"type": "text", "text": "Hello " * 50, "cache_control": {"type": "ephemeral"}}
    cached = (await ask(vendor, path, messages(messages=[{"role": "user", "content": [text]}]))).json["usage"]
    assert plain["cache_read_input_tokens"] == 0
    assert cached["cache_read_input_tokens"] - cached["input_tokens"] in (0, -1)
