"""Claude Code headless (``claude -p``), and what its sessions look for in the vendor's requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.agents.ground import CLIENT_KEY, UPSTREAMS, Done, Ground

UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS)
LANES = {"messages": "raw", "chat": "translate"}
#: Allowed without asking; in -p mode nobody could be asked.
TOOLS = "Read Write Edit Bash ToolSearch Agent WebFetch"


class Result(NamedTuple):
    """A tool's result as the vendor got it: its words and whether they tell of a failure."""

    id: str
    text: str
    failed: bool


@dataclass
class Claude:
    """The client in one test's home."""

    program: Path
    ground: Ground

    async def ask(self, model: str, prompt: str, *flags: str, **more: Any) -> Done:
        """A session of one prompt; its events, the last one of which is its own summary."""
        command = (self.program, "-p", prompt, "--model", model, "--output-format", "stream-json", "--verbose")
        return await self.ground.run(*command, "--allowedTools", TOOLS, *flags, **more)


def variables(url: str, key: str = CLIENT_KEY) -> dict[str, str]:
    """What points it at a server, and keeps it from everything that is no request for an answer."""
    plain = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": key, **plain}


def last(done: Done) -> dict[str, Any]:
    """The client's own summary of its session."""
    return done.events[-1]


def blocks(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a message whose content is a list."""
    yield from message["content"] if isinstance(message.get("content"), list) else ()


def results(body: Mapping[str, Any]) -> list[Result]:
    """The tool results of a request, in either protocol."""
    found = []
    for message in body["messages"]:
        if message["role"] == "tool":
            found.append(Result(message["tool_call_id"], words(message["content"]), False))
        for block in blocks(message):
            if block["type"] == "tool_result":
                found.append(Result(block["tool_use_id"], words(block["content"]), block.get("is_error", False)))
    return found


def words(content: Any) -> str:
    """The text of a content; a reference to a tool is its name."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or part.get("tool_name") or "" for part in content or ())


def tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The tools of a request by name, in either protocol."""
    return {tool.get("name") or tool["function"]["name"]: tool for tool in body.get("tools", ())}


def system_text(body: Mapping[str, Any]) -> str:
    """All instructions, in either protocol."""
    turns = [message["content"] for message in body["messages"] if message["role"] in ("system", "developer")]
    return "\n".join(map(words, [body.get("system", ""), *turns]))


def ways(ground: Ground) -> list[tuple[str, int, int]]:
    """Lane, status and attempts of each request, in their order."""
    return [(line["lane"], line["status"], line["attempts"]) for line in ground.lines]


def told(ground: Ground) -> str:
    """All messages that reached the vendor last, as JSON."""
    return json.dumps(ground.bodies[-1]["messages"])
