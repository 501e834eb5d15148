"""Claude Code in a terminal (clients.md 3): its title, its list of models, its switch of models."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.agents.claude_code import UPSTREAM, tools, variables, words
from tests.agents.conftest import Finds
from tests.agents.ground import Ground
from tests.agents.scripted import Use
from tests.agents.terminal import terminal
from tests.upstreams import Play

#: Long enough for a title; a greeting gets none.
PROMPT = "Please look at the files in this folder, find out what the project is about, and count them."


@pytest.fixture
async def settled(client: Finds, ground: Ground) -> AsyncIterator[Ground]:
    """A home whose owner has answered what is asked at the first start."""
    trusted = {str(ground.work): {"hasTrustDialogAccepted": True}}
    known = {"hasCompletedOnboarding": True, "theme": "dark", "projects": trusted}
    (ground.home / ".claude.json").write_text(json.dumps(known))
    ground.environ |= variables(ground.proxy.url)
    # With it there would be neither a title nor a list of models.
    del ground.environ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"]
    ground.environ["CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"] = "1"
    yield ground


@UPSTREAM
async def test_a_person_works_with_it(client: Finds, settled: Ground, upstream: str) -> None:
    ground = settled
    ground.model([Use("Bash", {"command": "ls | wc -l"})], ending="There is nothing here.")
    ground.model(name="claude-other", ending="I am the other one.")
    program = client("claude-code")
    flags = ("--model", ground.name(upstream), "--permission-mode", "default", "--allowedTools", "Bash")
    async with terminal(ground, program, *flags) as screen:
        await screen.shows("\u276f")
        await screen.say(PROMPT)
        await screen.shows("There is nothing here.")
        await screen.until(lambda: len(ground.bodies) >= 3)
        await screen.say(f"/model {ground.name(upstream, 'claude-other')}")
        await screen.until(lambda: ground.bodies[-1]["model"] == "claude-other")
    asked = ground.bodies
    [title] = [body for body in asked if PROMPT in words(body["messages"][-1]["content"]) and not tools(body)]
    assert "title" in json.dumps(title.get("output_config") or title["response_format"])
    assert "thinking" not in title or title["thinking"] == {"type": "disabled"}
    turns = [body for body in asked if tools(body)]
    assert len(turns) == 2
    probe = asked[-1]
    assert (probe["max_tokens"], words(probe["messages"][-1]["content"])) == (1, "Hi")
    lines = ground.lines
    assert {line["status"] for line in lines if line["method"] != "HEAD"} == {200}
    listed = [line for line in lines if line["method"] == "GET"]
    assert [line["path"] for line in listed] == ["/v1/models"]


@UPSTREAM
async def test_a_person_interrupts_it(client: Finds, settled: Ground, upstream: str) -> None:
    """The vendor's stream ends with the client's, and the next prompt is answered."""
    ground = settled
    ground.model(ending="Gladly.")
    ground.vendor.script("coder", Play("slow"), Play("coder"))
    flags = ("--model", ground.name(upstream), "--permission-mode", "default")
    async with terminal(ground, client("claude-code"), *flags) as screen:
        await screen.shows("\u276f")
        await screen.say("Count.")
        await screen.shows("tick 2.")
        screen.type("\x1b")
        await screen.until(lambda: any(seen.outcome == "peer_gone" for seen in ground.asked))
        await screen.shows("Interrupted")
        await screen.say("Now say something else.")
        await screen.shows("Gladly.")
    assert "tick 0." in json.dumps(ground.bodies[-1]["messages"])
    assert {seen.status for seen in ground.asked} == {200}
