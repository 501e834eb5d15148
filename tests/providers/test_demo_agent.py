"""The demo model `agent`: what it calls and in which order, and a whole loop of it with each official SDK."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from .demo import CHAT, MESSAGES, ask, chat, messages, models

WRITING = {"path": {"type": "string"}, "text": {"type": "string"}}
WRITE = {"type": "object", "properties": WRITING, "required": ["path", "text"]}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
PROMPT: Any = [{"role": "user", "content": "Make the file."}]
#: Lines of the file, and those that are written by the second of two calls of one turn.
LINES, SECOND = 24, {6, 12, 18, 24}
#: What the SDK's streaming helper adds to a function.
OWN = {"parsed_arguments"}
CONTENT = "".join(f"{models.agent_line(number)}\n" for number in range(LINES))


def functions(**schemas: Any) -> Any:
    """Tools of Chat by name."""
    return [{"type": "function", "function": {"name": name, "parameters": one}} for name, one in schemas.items()]


def custom(**schemas: Any) -> Any:
    """Tools of Messages by name."""
    return [{"name": name, "input_schema": one} for name, one in schemas.items()]


def append(folder: Path, arguments: Any) -> str:
    """What the tool does."""
    with (folder / arguments["path"]).open("a", encoding="utf-8", newline="") as file:
        return f"{file.write(arguments['text'] + chr(10))} characters"


async def told(vendor: Any, path: str, results: int, **more: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """What it answers behind so many results: its text, its calls as name and arguments, and why it stopped."""
    history: list[Any] = [*PROMPT]
    for number in range(results):
        if path == CHAT:
            call = {"id": f"c{number}", "type": "function", "function": {"name": "write", "arguments": "{}"}}
            history.append({"role": "assistant", "content": None, "tool_calls": [call]})
            history.append({"role": "tool", "tool_call_id": f"c{number}", "content": "ok"})
        else:
            block = {"type": "tool_use", "id": f"c{number}", "name": "write", "input": {}}
            history.append({"role": "assistant", "content": [block]})
            result = {"type": "tool_result", "tool_use_id": f"c{number}", "content": "ok"}
            history.append({"role": "user", "content": [result]})
    body = (chat if path == CHAT else messages)("agent", messages=history, **more)
    answer = (await ask(vendor, path, body)).json
    if path == CHAT:
        choice = answer["choices"][0]
        calls = [call["function"] for call in choice["message"].get("tool_calls", ())]
        return (
            choice["message"]["content"] or "",
            [(call["name"], orjson.loads(call["arguments"])) for call in calls],
            choice["finish_reason"],
        )
    said = "".join(block["text"] for block in answer["content"] if block["type"] == "text")
    used = [(block["name"], block["input"]) for block in answer["content"] if block["type"] == "tool_use"]
    return said, used, answer["stop_reason"]


STOPS = {CHAT: ("tool_calls", "stop"), MESSAGES: ("tool_use", "end_turn")}
TOOLS = {CHAT: functions, MESSAGES: custom}
ONE_AT_A_TIME = {
    CHAT: {"parallel_tool_calls": False},
    MESSAGES: {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
}
PATHS = pytest.mark.parametrize("path", [CHAT, MESSAGES])


def line(number: int) -> dict[str, str]:
    """The arguments of a call, counted from 1."""
    return {"path": "agent.txt", "text": models.agent_line(number - 1)}


@PATHS
@pytest.mark.parametrize("number", range(1, LINES + 1))
async def test_each_line_is_a_call_and_every_fifth_turn_makes_two(vendor: Any, path: str, number: int) -> None:
    said, calls, stop = await told(vendor, path, number - 1, tools=TOOLS[path](look=CITY, write=WRITE))
    expected = [number, number + 1] if number + 1 in SECOND else [number]
    assert said == f"I write line {number}."
    assert calls == [("write", line(one)) for one in expected]
    assert stop == STOPS[path][0]


@PATHS
async def test_it_ends_with_words(vendor: Any, path: str) -> None:
    for results in (LINES, LINES + 3):
        found = await told(vendor, path, results, tools=TOOLS[path](write=WRITE))
        assert found == ("Done: agent.txt has 24 lines.", [], STOPS[path][1])


@PATHS
async def test_one_call_at_a_time_where_the_client_wants_it(vendor: Any, path: str) -> None:
    more = ONE_AT_A_TIME[path]
    for number in (5, 6):
        _, calls, _ = await told(vendor, path, number - 1, tools=TOOLS[path](write=WRITE), **more)
        assert calls == [("write", line(number))]


@PATHS
async def test_other_arguments_are_filled_in(vendor: Any, path: str) -> None:
    wide = {**WRITE, "properties": {"mode": {"enum": ["append"]}, **WRITING}}
    _, calls, _ = await told(vendor, path, 0, tools=TOOLS[path](write=wide))
    assert calls == [("write", {"mode": "append", **line(1)})]


@PATHS
@pytest.mark.parametrize(
    "schema",
    [
        CITY,
        {"type": "object", "properties": {"path": {"type": "string"}}},
        {"type": "object", "properties": {**WRITING, "text": {"type": "integer"}}},
        {"type": "object", "properties": {**WRITING, "path": True}},
        {"type": "object"},
    ],
    ids=["city", "path", "number", "anything", "bare"],
)
async def test_without_a_tool_that_writes_it_is_the_model_tools(vendor: Any, path: str, schema: Any) -> None:
    said, calls, stop = await told(vendor, path, 0, tools=TOOLS[path](other=schema))
    assert (said, calls, stop) == ("", [("other", models.example(schema))], STOPS[path][0])
    said, calls, stop = await told(vendor, path, 1, tools=TOOLS[path](other=schema))
    assert (said[:9], calls, stop) == ("Thank you", [], STOPS[path][1])


async def test_it_obeys_the_tool_choice(vendor: Any) -> None:
    tools = {"tools": functions(look=CITY, write=WRITE)}
    choices = {name: {"type": "function", "function": {"name": name}} for name in ("look", "write")}
    _, calls, stop = await told(vendor, CHAT, 0, **tools, tool_choice="none")
    assert (calls, stop) == ([], "stop")
    _, calls, _ = await told(vendor, CHAT, 0, **tools, tool_choice=choices["look"])
    assert calls == [("look", {"city": "Paris"})]
    _, calls, _ = await told(vendor, CHAT, 1, **tools, tool_choice=choices["write"])
    assert calls == [("write", line(2))]
    _, calls, _ = await told(vendor, CHAT, LINES, **tools, tool_choice="required")
    assert calls == [("write", line(25))]


async def test_a_schema_that_is_no_object_inside_is_no_crash(vendor: Any) -> None:
    odd = {"type": "object", "$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}, "properties": WRITING}
    _, calls, _ = await told(vendor, CHAT, 0, tools=functions(write=odd))
    assert calls == [("write", line(1))]


@pytest.fixture
async def openai_client(vendor: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=vendor.chat_base, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic_client(vendor: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=vendor.messages_base, api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_openai_runs_the_loop(openai_client: openai.AsyncOpenAI, tmp_path: Path, stream: bool) -> None:
    history: list[Any] = [*PROMPT]
    asked: Any = {"model": "agent", "tools": functions(write=WRITE)}
    for turn in range(1, 22):
        if stream:
            async with openai_client.chat.completions.stream(**asked, messages=history) as chunks:
                choice: Any = (await chunks.get_final_completion()).choices[0]
        else:
            choice = (await openai_client.chat.completions.create(**asked, messages=history)).choices[0]
        calls = choice.message.tool_calls or []
        if choice.finish_reason == "stop":
            break
        assert len(calls) == (2 if turn % 5 == 0 else 1)
        kept = [call.model_dump(include={"id", "type", "function"}, exclude={"function": OWN}) for call in calls]
        history.append({"role": "assistant", "content": choice.message.content, "tool_calls": kept})
        for call in calls:
            result = append(tmp_path, orjson.loads(call.function.arguments))
            history.append({"role": "tool", "tool_call_id": call.id, "content": result})
    assert (turn, choice.message.content) == (21, "Done: agent.txt has 24 lines.")
    assert (tmp_path / "agent.txt").read_bytes().decode() == CONTENT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_anthropic_runs_the_loop(
    anthropic_client: anthropic.AsyncAnthropic, tmp_path: Path, stream: bool
) -> None:
    history: list[Any] = [*PROMPT]
    asked: Any = {"model": "agent", "max_tokens": 1000, "tools": custom(write=WRITE)}
    for turn in range(1, 22):
        if stream:
            async with anthropic_client.messages.stream(**asked, messages=history) as events:
                message: Any = await events.get_final_message()
        else:
            message = await anthropic_client.messages.create(**asked, messages=history)
        calls = [block for block in message.content if block.type == "tool_use"]
        history.append({"role": "assistant", "content": message.content})
        if message.stop_reason == "end_turn":
            break
        assert len(calls) == (2 if turn % 5 == 0 else 1)
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": append(tmp_path, call.input)} for call in calls
        ]
        history.append({"role": "user", "content": results})
    assert (turn, message.content[0].text) == (21, "Done: agent.txt has 24 lines.")
    assert (tmp_path / "agent.txt").read_bytes().decode() == CONTENT
