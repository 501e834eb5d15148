"""An agent's loop of twenty turns with tools, by each official SDK, against a vendor that speaks the other protocol.

The client keeps its history in its own protocol, executes every call and sends the results back. The demo vendor is
strict: it refuses calls without results, results without calls, and ids that it does not know.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.proxy import Proxy, make_world, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

models: Any = import_module("rotator.plugins.providers.demo.models")

TURNS = 20
LINES = 24
CONTENT = "".join(f"{models.agent_line(number)}\n" for number in range(LINES))
ENDING = "Done: agent.txt has 24 lines."
#: Every fifth turn writes two lines.
SAID = [f"I write line {number}." for number in range(1, LINES) if number not in (6, 12, 18)]

TASK = "Write agent.txt, line by line, and tell me when it is done."
SYSTEM = "You work in a folder. Use the tool `append`; never ask."
SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "relative to the folder"},
        "text": {"type": "string", "description": "a line, without its end"},
    },
    "required": ["path", "text"],
}
LOOK = {"type": "object", "properties": {"path": {"type": "string"}}}
FUNCTIONS: Any = [
    {"type": "function", "function": {"name": "look", "description": "reads a file", "parameters": LOOK}},
    {"type": "function", "function": {"name": "append", "description": "adds a line", "parameters": SCHEMA}},
]
TOOLS: Any = [
    {"name": "look", "description": "reads a file", "input_schema": LOOK},
    {"name": "append", "description": "adds a line", "input_schema": SCHEMA},
]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@dataclass
class Desk:
    """Where a client works: its folder, what it was told turn by turn, and the headers of each answer."""

    folder: Path
    said: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)

    async def note(self, response: Any) -> None:
        """For the SDKs' HTTP client."""
        self.headers.append(response.headers)

    def execute(self, name: str, arguments: Any) -> str:
        """One call of the model."""
        assert (name, arguments.keys()) == ("append", {"path", "text"})
        with (self.folder / arguments["path"]).open("a", encoding="utf-8", newline="") as file:
            written = file.write(f"{arguments['text']}\n")
        return json.dumps({"written": written})

    def check(self, *lost: str) -> None:
        """The file is the one that was asked for, each turn was heard in full, and no field but ``lost`` was lost."""
        assert [path.name for path in self.folder.iterdir()] == ["agent.txt"]
        assert (self.folder / "agent.txt").read_bytes().decode() == CONTENT
        assert self.said == [*SAID, ENDING]
        assert self.calls == [2 if turn % 5 == 0 else 1 for turn in range(1, TURNS + 1)] + [0]
        assert [headers["x-rotator-lane"] for headers in self.headers] == ["translate"] * (TURNS + 1)
        told = [loss for headers in self.headers for loss in json.loads(headers.get("x-rotator-warnings", "[]"))]
        assert [loss for loss in told if loss["path"] not in lost] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """A proxy over the demo vendor alone."""
    async with serving(make_world({}, tmp_path_factory.mktemp("proxy"), demo=True)) as running:
        yield running


@pytest.fixture
def arrived(proxy: Proxy) -> Any:
    """What reaches the vendor in this test."""
    engine = proxy.core.world.providers["demo"]._engine  # type: ignore[attr-defined]
    engine.requests.clear()
    return engine.requests


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def check_prefixes(arrived: Any, path: str) -> Any:
    """Each request repeats the one before it to the letter and goes on from there: else no prompt cache would hit.

    Gives the last one.
    """
    assert {(seen.path, seen.status) for seen in arrived} == {(path, 200)}
    bodies = [json.loads(seen.body) for seen in arrived]
    assert len(bodies) == TURNS + 1
    written = [[json.dumps(message) for message in body["messages"]] for body in bodies]
    for earlier, later in pairwise(written):
        assert len(later) > len(earlier)
        assert later[: len(earlier)] == earlier
    assert len({json.dumps({**body, "messages": []}) for body in bodies}) == 1
    return bodies[-1]


def kept(call: Any) -> dict[str, Any]:
    """A call as an OpenAI client keeps it."""
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


@STREAM
async def test_an_openai_agent_on_messages(proxy: Proxy, arrived: Any, desk: Desk, stream: bool) -> None:
    history: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TASK}]
    asked: Any = {"model": "demo:messages/agent", "tools": FUNCTIONS}
    web = openai.DefaultAsyncHttpxClient(event_hooks={"response": [desk.note]})
    async with openai.AsyncOpenAI(base_url=proxy.chat_base, api_key="any", max_retries=0, http_client=web) as client:
        while len(desk.said) <= TURNS:
            if stream:
                async with client.chat.completions.stream(**asked, messages=history) as chunks:
                    completion: Any = await chunks.get_final_completion()
            else:
                completion = await client.chat.completions.create(**asked, messages=history)
            (choice,) = completion.choices
            calls = choice.message.tool_calls or []
            desk.said.append(choice.message.content)
            desk.calls.append(len(calls))
            if choice.finish_reason == "stop":
                break
            assert choice.finish_reason == "tool_calls"
            said = {"role": "assistant", "content": choice.message.content}
            history.append({**said, "tool_calls": [kept(call) for call in calls]})
            for call in calls:
                result = desk.execute(call.function.name, json.loads(call.function.arguments))
                history.append({"role": "tool", "tool_call_id": call.id, "content": result})
    desk.check()
    last = check_prefixes(arrived, "/v1/messages")
    assert [message["role"] for message in last["messages"]] == ["user", *["assistant", "user"] * TURNS]
    assert SYSTEM in json.dumps(last["system"])
    assert [tool["name"] for tool in last["tools"]] == ["look", "append"]


@STREAM
async def test_an_anthropic_agent_on_chat(proxy: Proxy, arrived: Any, desk: Desk, stream: bool) -> None:
    history: list[Any] = [{"role": "user", "content": TASK}]
    asked: Any = {"model": "demo:chat/agent", "max_tokens": 1000, "system": SYSTEM, "tools": TOOLS}
    web = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [desk.note]})
    async with anthropic.AsyncAnthropic(base_url=proxy.url, api_key="any", max_retries=0, http_client=web) as client:
        while len(desk.said) <= TURNS:
            if stream:
                async with client.messages.stream(**asked, messages=history) as events:
                    message: Any = await events.get_final_message()
            else:
                message = await client.messages.create(**asked, messages=history)
            calls = [block for block in message.content if block.type == "tool_use"]
            desk.said.append("".join(block.text for block in message.content if block.type == "text"))
            desk.calls.append(len(calls))
            if message.stop_reason == "end_turn":
                break
            assert message.stop_reason == "tool_use"
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": desk.execute(call.name, call.input)}
                for call in calls
            ]
            history += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    desk.check("system_fingerprint")
    last = check_prefixes(arrived, "/v1/chat/completions")
    roles = [message["role"] for message in last["messages"]]
    assert [role for role in roles if role != "tool"] == ["system", "user", *["assistant"] * TURNS]
    assert roles.count("tool") == LINES
    assert [tool["function"]["name"] for tool in last["tools"]] == ["look", "append"]
