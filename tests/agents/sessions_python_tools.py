"""aider and llm (clients.md 3): programs of Python that edit by text, or call functions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.conftest import Finds
from tests.agents.ground import CLIENT_KEY, UPSTREAMS, Ground
from tests.agents.scripted import Use
from tests.upstreams import Reply

UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS)
#: aider's route by the name's first word -> the protocol that it then speaks, and where it expects the server.
ROUTES = {"openai": ("chat", "OPENAI_API_BASE", "/v1"), "anthropic": ("messages", "ANTHROPIC_API_BASE", "")}
QUIET = ("--yes-always", "--no-git", "--no-check-update", "--no-show-release-notes", "--analytics-disable",
         "--no-show-model-warnings", "--no-gitignore", "--no-fancy-input", "--no-pretty",
         "--map-tokens", "0")  # fmt: skip
EDIT = "Here it is.\n\nnote.txt\n```\nalpha\ngamma \u4f60\n```\n"


@UPSTREAM
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
async def test_aider_edits_a_file(ground: Ground, client: Finds, route: str, upstream: str, stream: str) -> None:
    speaks, variable, suffix = ROUTES[route]
    note = ground.work / "note.txt"
    note.write_text("alpha\nbeta\n")
    ground.model(ending=EDIT)
    key = f"{route.upper()}_API_KEY"
    ground.environ |= {variable: ground.proxy.url + suffix, key: CLIENT_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    asked = ("--model", f"{route}/{ground.name(upstream)}", "--edit-format", "whole", stream, "--message", "Change it.")
    (await ground.run(client("aider"), *QUIET, *asked, "note.txt")).well()
    assert note.read_text(encoding="utf-8") == "alpha\ngamma \u4f60\n"
    assert [(line["status"], line["lane"]) for line in ground.lines] == [
        (200, "raw" if speaks == upstream else "translate")
    ]


@UPSTREAM
async def test_aider_is_told_what_cannot_be_helped(ground: Ground, client: Finds, upstream: str) -> None:
    ground.vendor.script("coder", Reply(400))
    ground.environ |= {"OPENAI_API_BASE": f"{ground.proxy.url}/v1", "OPENAI_API_KEY": CLIENT_KEY}
    done = await ground.run(client("aider"), *QUIET, "--model", f"openai/{ground.name(upstream)}", "--message", "Hi.")
    assert "BadRequestError" in done.out
    assert len(ground.lines) == 1


@pytest.fixture
def llm(client: Finds, ground: Ground) -> Path:
    """Configured with a model `there` for each vendor, by the protocol that it speaks."""
    program = client("llm")
    folder = ground.home / "llm"
    folder.mkdir()
    ground.environ["LLM_USER_PATH"] = str(folder)
    models = [
        {"model_id": f"there-{upstream}", "model_name": ground.name(upstream), "api_base": f"{ground.proxy.url}/v1",
         "api_key_name": "rotator", "supports_tools": True, "supports_schema": True}
        for upstream in UPSTREAMS
    ]  # fmt: skip
    (folder / "extra-openai-models.yaml").write_text(json.dumps(models))
    (folder / "keys.json").write_text(json.dumps({"rotator": CLIENT_KEY}))
    return program


@UPSTREAM
@pytest.mark.parametrize("flags", [(), ("--no-stream",)], ids=["stream", "whole"])
async def test_llm_answers(ground: Ground, llm: Path, upstream: str, flags: tuple[str, ...]) -> None:
    ground.model(ending="Hello, \u4f60.")
    done = (await ground.run(llm, "-m", f"there-{upstream}", *flags, "Hello")).well()
    assert done.out.strip() == "Hello, \u4f60."
    assert ground.lanes() == {"raw" if upstream == "chat" else "translate"}


@UPSTREAM
async def test_llm_calls_functions(ground: Ground, llm: Path, upstream: str) -> None:
    ground.model([Use("weather", {"city": "Paris"})], [Use("weather", {"city": "\u6771\u4eac"})], ending="Sunny.")
    source = "def weather(city: str) -> str:\n    'The weather now'\n    return f'sunny in {city}'\n"
    done = (await ground.run(llm, "-m", f"there-{upstream}", "--functions", source, "Weather?")).well()
    assert done.out.strip().endswith("Sunny.")
    told = json.dumps(ground.bodies[-1]["messages"])
    assert "sunny in Paris" in told and len(ground.bodies) == 3


@UPSTREAM
async def test_llm_keeps_to_a_schema(ground: Ground, llm: Path, upstream: str) -> None:
    ground.model()
    done = (await ground.run(llm, "-m", f"there-{upstream}", "--schema", "city, days int", "Where?")).well()
    assert json.loads(done.out) == {"city": "Paris", "days": 3}
