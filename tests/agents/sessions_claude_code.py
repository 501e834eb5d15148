"""Claude Code (clients.md 3), headless, on a vendor of its own protocol and on one that speaks Chat Completions."""

from __future__ import annotations

import base64
import json

import pytest

from tests.agents.claude_code import (
    LANES,
    UPSTREAM,
    Claude,
    last,
    results,
    system_text,
    told,
    tools,
    variables,
    ways,
)
from tests.agents.conftest import Finds, laid_with
from tests.agents.ground import Ground, check_prefixes
from tests.agents.scripted import Use
from tests.cli.running import serve

FIRST, SECOND = "alpha\nbeta\n", 'alpha\ngamma \u4f60\u597d \\ "quoted"\n'
#: A red point.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


@pytest.fixture
def claude(client: Finds, ground: Ground) -> Claude:
    """The client, pointed at the proxy."""
    program = client("claude-code")
    ground.environ |= variables(ground.proxy.url)
    return Claude(program, ground)


@UPSTREAM
async def test_a_file_is_written_read_changed_and_counted(ground: Ground, claude: Claude, upstream: str) -> None:
    """The loop of tools: what the client's tools did is what the vendor asked for, and the vendor is told of it."""
    note = ground.work / "note.txt"
    ground.model(
        [Use("Write", {"file_path": str(note), "content": FIRST})],
        [Use("Read", {"file_path": str(note)})],
        [Use("Edit", {"file_path": str(note), "old_string": "beta\n", "new_string": SECOND[len("alpha\n"):]})],
        [Use("Bash", {"command": "wc -l < note.txt; echo told", "description": "Count the lines"})],
        ending="Done: note.txt has two lines.",
    )
    done = (await claude.ask(ground.name(upstream), "Write note.txt.")).well()
    assert note.read_text(encoding="utf-8") == SECOND
    assert (last(done)["result"], last(done)["num_turns"]) == ("Done: note.txt has two lines.", 5)
    assert ways(ground) == [(LANES[upstream], 200, 1)] * 5
    bodies = ground.bodies
    assert all(body["stream"] for body in bodies)
    assert len({json.dumps(body.get("tools")) for body in bodies}) == 1
    check_prefixes(bodies)
    seen = results(bodies[-1])
    assert len({result.id for result in seen}) == 4 and not any(result.failed for result in seen)
    assert str(note) in seen[0].text
    assert "alpha" in seen[1].text and "beta" in seen[1].text
    assert "2\ntold" in seen[3].text
    assert "Write note.txt." in json.dumps(bodies[0]["messages"])
    assert "Primary working directory" in system_text(bodies[0])  # said in a system message in the middle
    assert {"Read", "Write", "Edit", "Bash"} <= tools(bodies[0]).keys()


@UPSTREAM
async def test_calls_come_together_and_may_fail(ground: Ground, claude: Claude, upstream: str) -> None:
    here = ground.work / "here.txt"
    here.write_text("I am here.\n")
    ground.model([Use("Read", {"file_path": str(ground.work / "absent.txt")}), Use("Read", {"file_path": str(here)})])
    done = (await claude.ask(ground.name(upstream), "Read both.")).well()
    assert last(done)["result"] == "All done."
    absent, present = results(ground.bodies[-1])
    assert "does not exist" in absent.text and "I am here." in present.text
    assert absent.id != present.id
    assert (absent.failed, present.failed) == (upstream == "messages", False)


@UPSTREAM
async def test_a_picture_is_read(ground: Ground, claude: Claude, upstream: str) -> None:
    """A result that is an image; a result of Chat's has none, so it follows in a user's message."""
    (ground.work / "point.png").write_bytes(base64.b64decode(PNG))
    ground.model([Use("Read", {"file_path": str(ground.work / "point.png")})])
    (await claude.ask(ground.name(upstream), "Look at it.")).well()
    assert len(results(ground.bodies[-1])) == 1
    assert ('"type": "image"' if upstream == "messages" else '"url": "data:image/') in told(ground)


@UPSTREAM
async def test_a_session_goes_on(ground: Ground, claude: Claude, upstream: str) -> None:
    """A second prompt repeats the first one's thoughts and calls; without a signature they are nobody's proof."""
    ground.model([Use("Bash", {"command": "echo one"})], ending="First.")
    (await claude.ask(ground.name(upstream), "Say one.")).well()
    ground.model([Use("Bash", {"command": "echo one"})], [Use("Bash", {"command": "echo two"})], ending="Second.")
    done = (await claude.ask(ground.name(upstream), "Say two.", "--continue")).well()
    assert last(done)["result"] == "Second."
    assert [result.text.strip() for result in results(ground.bodies[-1])] == ["one", "two"]
    assert '"First."' in told(ground)
    assert ways(ground) == [(LANES[upstream], 200, 1)] * 4


@laid_with(config={"routes": {"claude-*": "vendor/coder"}})
async def test_its_own_model_names_lead_to_chat(ground: Ground, claude: Claude) -> None:
    """The setting of docs/clients.md. An older name asks for a budget of thought, not for adaptive thinking."""
    ground.model([Use("Bash", {"command": "echo said"})])
    done = (await claude.ask("claude-sonnet-4-5", "Say it.")).well()
    assert last(done)["result"] == "All done."
    assert [line["model"] for line in ground.lines] == ["claude-sonnet-4-5"] * 2
    assert [body["model"] for body in ground.bodies] == ["coder"] * 2
    assert [block["type"] for block in done.events[-2]["message"]["content"]] == ["text"]


@UPSTREAM
async def test_a_tool_that_was_held_back_is_found(ground: Ground, claude: Claude, upstream: str) -> None:
    """`ToolSearch` answers with references to tools, which the next request declares."""
    ground.model([Use("ToolSearch", {"query": "select:WebFetch", "max_results": 1})])
    (await claude.ask(ground.name(upstream), "Find the tool that fetches.")).well()
    before, after = map(tools, ground.bodies)
    assert "WebFetch" not in before and "WebFetch" in after
    assert "WebFetch" in results(ground.bodies[-1])[0].text


@UPSTREAM
async def test_agents_work_for_it(ground: Ground, claude: Claude, upstream: str) -> None:
    """Several conversations at once, with tools of their own, and their results in the end."""
    use = Use("Agent", {"description": "Do it", "prompt": "Say something.", "subagent_type": "general-purpose"})
    ground.model([use])
    done = (await claude.ask(ground.name(upstream), "Let another one do it.")).well()
    assert last(done)["result"] == "All done."
    assert set(ways(ground)) == {(LANES[upstream], 200, 1)}
    assert len({json.dumps(sorted(tools(body))) for body in ground.bodies}) > 1


@UPSTREAM
async def test_an_answer_has_the_shape_that_was_asked_for(ground: Ground, claude: Claude, upstream: str) -> None:
    ground.model([Use("StructuredOutput", {"city": "Paris", "days": 3})])
    done = await claude.ask(ground.name(upstream), "Where, how long?", "--json-schema", json.dumps(SCHEMA))
    assert last(done.well())["structured_output"] == {"city": "Paris", "days": 3}


@UPSTREAM
async def test_a_conversation_is_made_shorter(ground: Ground, claude: Claude, upstream: str) -> None:
    ground.model(ending="It was about nothing at all.")
    (await claude.ask(ground.name(upstream), "What is this about?")).well()
    (await claude.ask(ground.name(upstream), "/compact", "--continue")).well()
    ground.model()
    done = (await claude.ask(ground.name(upstream), "And now?", "--continue")).well()
    assert last(done)["result"] == "All done."
    assert "It was about nothing at all." in told(ground)
    assert set(ways(ground)) == {(LANES[upstream], 200, 1)}


@UPSTREAM
async def test_the_context_is_counted(ground: Ground, claude: Claude, upstream: str) -> None:
    """Some 25 counts at once. The vendor of Messages counts, for the other one we estimate."""
    ground.model()
    done = (await claude.ask(ground.name(upstream), "/context")).well()
    lines = ground.lines
    assert len(lines) > 20
    assert {(line["path"], line["status"]) for line in lines} == {("/v1/messages/count_tokens", 200)}
    assert {line["usage"] for line in lines} == {"vendor" if upstream == "messages" else "estimated"}
    assert len(ground.asked) == (len(lines) if upstream == "messages" else 0)
    table = last(done)["result"]
    assert "| System tools |" in table and "| Messages |" in table


@pytest.mark.parametrize("model", ["demo/text", "demo:messages/thinking", "demo:chat/thinking-tools", "demo/unicode"])
async def test_the_server_that_users_start(ground: Ground, client: Finds, model: str) -> None:
    """`rotator serve` without any key, as in the README: the demo provider, and no client key."""
    claude = Claude(client("claude-code"), ground)
    async with serve(cwd=ground.work) as server:
        ground.environ |= variables(server.url, key="any")
        done = (await claude.ask(model, "Hello.", "--tools", "")).well()
        assert last(done)["subtype"] == "success" and last(done)["result"]
        await server.printed(server.out, f"local {model} -> demo/demo#\\d \\w+ 200 ")
