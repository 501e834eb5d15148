"""opencode (clients.md 3) with a provider of its own over each of two protocols, on a vendor of either."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.agents.claude_code import results, tools
from tests.agents.conftest import Finds, laid_with
from tests.agents.ground import CLIENT_KEY, UPSTREAMS, Done, Ground, check_prefixes
from tests.agents.scripted import Use
from tests.upstreams import Play, Reply

UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS)
#: The package of a provider -> what it speaks.
PACKAGES = {"@ai-sdk/openai-compatible": "chat", "@ai-sdk/anthropic": "messages"}
PACKAGE = pytest.mark.parametrize("package", PACKAGES)
#: It loops without an end where a stream ends without a finish reason.
MOST_REQUESTS = 8
Runs = Callable[..., Coroutine[Any, Any, Done]]


@pytest.fixture
def opencode(client: Finds, ground: Ground) -> Runs:
    """Runs one prompt on a model, as a provider of this package."""
    program = client("opencode")
    folder = ground.home / ".config" / "opencode"
    folder.mkdir(parents=True)
    # Its list of models comes from a host that tests do not ask.
    ground.environ |= {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}

    async def run(package: str, model: str, prompt: str) -> Done:
        options = {"baseURL": f"{ground.proxy.url}/v1", "apiKey": CLIENT_KEY}
        provider = {"npm": package, "options": options, "models": {model: {"name": "A model"}}}
        config = {"provider": {"rotator": provider}, "permission": {"*": "allow"}, "autoupdate": False}
        (folder / "opencode.json").write_text(json.dumps(config))
        return await ground.run(program, "run", "-m", f"rotator/{model}", "--format", "json", prompt)

    return run


def said(done: Done) -> str:
    """The text of all turns."""
    return "".join(event["part"]["text"] for event in done.events if event["type"] == "text")


@PACKAGE
@UPSTREAM
async def test_a_file_is_written_read_changed_and_counted(
    ground: Ground, opencode: Runs, package: str, upstream: str
) -> None:
    note = ground.work / "note.txt"
    ground.model(
        [Use("write", {"filePath": str(note), "content": "alpha\nbeta\n"})],
        [Use("read", {"filePath": str(note)}), Use("read", {"filePath": str(ground.work / "absent")})],
        [Use("edit", {"filePath": str(note), "oldString": "beta", "newString": "gamma \u4f60 \\"})],
        [Use("bash", {"command": "wc -l < note.txt", "description": "Count the lines"})],
        ending="It has two lines.",
    )
    done = (await opencode(package, ground.name(upstream), "Write the note.")).well()
    assert note.read_text() == "alpha\ngamma \u4f60 \\\n"
    assert said(done).endswith("It has two lines.")
    assert {line["status"] for line in ground.lines} == {200}
    assert ground.lanes() == {"raw" if PACKAGES[package] == upstream else "translate"}
    turns = [body for body in ground.bodies if tools(body)]
    assert len(turns) == 5
    check_prefixes(turns)
    seen = results(turns[-1])
    assert len({result.id for result in seen}) == 5
    assert "alpha" in seen[1].text and "absent" in seen[2].text and seen[4].text.strip() == "2"


@UPSTREAM
async def test_a_stream_that_breaks_is_asked_for_again_over_chat(
    ground: Ground, opencode: Runs, upstream: str
) -> None:
    """Our in-band error makes it try again after 2 s; a mere end would make it ask forever."""
    ground.model(ending="Whole.")
    broken = Play("text", cut_after=8, end="clean")
    ground.vendor.script("coder", broken, broken, Play("coder"))
    done = (await opencode("@ai-sdk/openai-compatible", ground.name(upstream), "Hello.")).well()
    assert said(done).endswith("Whole.")
    assert len(ground.lines) <= MOST_REQUESTS


@UPSTREAM
async def test_a_stream_that_breaks_ends_over_messages(ground: Ground, opencode: Runs, upstream: str) -> None:
    """There it shows the error and ends: of the types of errors only `overloaded_error` would make it try again."""
    ground.vendor.script("coder", Play("text", cut_after=8, end="clean"))
    done = await opencode("@ai-sdk/anthropic", ground.name(upstream), "Hello.")
    assert done.code == 1 and "before the answer was complete" in json.dumps(done.events[-1])
    assert len(ground.lines) <= MOST_REQUESTS


@pytest.mark.parametrize(("package", "upstream"), [
    ("@ai-sdk/openai-compatible", "messages"), ("@ai-sdk/anthropic", "chat"),
])  # fmt: skip
async def test_what_cannot_be_helped_is_told(ground: Ground, opencode: Runs, package: str, upstream: str) -> None:
    ground.vendor.script("coder", Reply(400))
    done = await opencode(package, ground.name(upstream), "Hello.")
    assert [event["type"] for event in done.events][-1] == "error"
    assert len(ground.lines) <= MOST_REQUESTS


@UPSTREAM
@laid_with(keys=3, config={"rotation": {"mode": "round_robin"}})
async def test_a_session_keeps_its_key(ground: Ground, opencode: Runs, upstream: str) -> None:
    """It names its session in a header of its own."""
    ground.model([Use("bash", {"command": "true"})], [Use("bash", {"command": "true"})])
    (await opencode("@ai-sdk/anthropic", ground.name(upstream), "Do nothing.")).well()
    assert len(ground.lines) >= 4
    assert len({line["credential"] for line in ground.lines}) == 1
