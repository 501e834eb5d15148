"""What Claude Code does when something fails (clients.md 1.3, 1.4): how often it asks and what its user reads."""

from __future__ import annotations

import pytest

from tests.agents.claude_code import LANES, UPSTREAM, Claude, last, variables, ways
from tests.agents.conftest import Finds, laid_with
from tests.agents.ground import Ground
from tests.upstreams import Play, Raw, Reply

#: It retries with gaps that sum up to minutes; what cannot be helped must be told long before.
SOON_SECONDS = 20.0
LIMITED = Reply(429, {"retry-after": "30"})


@pytest.fixture
def claude(client: Finds, ground: Ground) -> Claude:
    program = client("claude-code")
    ground.environ |= variables(ground.proxy.url)
    ground.model()
    return Claude(program, ground)


@UPSTREAM
async def test_an_unknown_model_of_the_vendors(ground: Ground, claude: Claude, upstream: str) -> None:
    done = await claude.ask(ground.name(upstream, "nobody"), "Hello.", seconds=SOON_SECONDS)
    assert done.code == 1 and "nobody" in last(done)["result"]
    assert ways(ground) == [(LANES[upstream], 404, 1)] * 2


@pytest.mark.parametrize("model", ["nobody", "nobody/text"])
async def test_a_model_of_nobodys(ground: Ground, claude: Claude, model: str) -> None:
    done = await claude.ask(model, "Hello.", seconds=SOON_SECONDS)
    assert done.code == 1 and model in last(done)["result"]
    assert [status for _, status, _ in ways(ground)] == [404] * 2
    assert ground.bodies == []


async def test_a_wrong_client_key(ground: Ground, claude: Claude) -> None:
    """`x-should-retry: false`; without it a 401 costs minutes."""
    wrong = {"ANTHROPIC_AUTH_TOKEN": "wrong"}
    done = await claude.ask(ground.name("chat"), "Hello.", seconds=SOON_SECONDS, **wrong)
    assert done.code == 1 and "401" in last(done)["result"]
    assert [status for _, status, _ in ways(ground)] == [401]


@UPSTREAM
async def test_all_keys_are_rejected(ground: Ground, claude: Claude, upstream: str) -> None:
    """It asks again whatever calls itself overloaded. Of its own vendor's words about keys it makes some of its own."""
    ground.vendor.script("coder", Reply(401))
    done = await claude.ask(ground.name(upstream), "Hello.", seconds=SOON_SECONDS)
    assert done.code == 1
    assert ("log" if upstream == "messages" else "every key was rejected") in last(done)["result"]
    assert [status for _, status, _ in ways(ground)] == [503]


@UPSTREAM
async def test_a_long_limit(ground: Ground, claude: Claude, upstream: str) -> None:
    ground.vendor.script("coder", Reply(429, {"retry-after": "600"}))
    done = await claude.ask(ground.name(upstream), "Hello.", seconds=SOON_SECONDS)
    assert done.code == 1
    assert [status for _, status, _ in ways(ground)] == [429]


@UPSTREAM
@laid_with(keys=2, config={"rotation": {"mode": "round_robin"}})
async def test_a_limit_of_one_key_is_not_heard(ground: Ground, claude: Claude, upstream: str) -> None:
    ground.vendor.script("coder", LIMITED, Play("coder"))
    done = (await claude.ask(ground.name(upstream), "Hello.")).well()
    assert last(done)["result"] == "All done."
    assert ways(ground) == [(LANES[upstream], 200, 2)]


@UPSTREAM
async def test_it_takes_things_out_of_what_is_refused(ground: Ground, claude: Claude, upstream: str) -> None:
    """The ladder of 400: in the end all tools are declared at once."""
    ground.vendor.script("coder", *[Reply(400)] * 5, Play("coder"))
    done = (await claude.ask(ground.name(upstream), "Hello.")).well()
    assert last(done)["result"] == "All done."
    assert [status for _, status, _ in ways(ground)] == [400] * 5 + [200]
    bodies = ground.bodies
    assert len(bodies[-1]["tools"]) > len(bodies[0]["tools"])


@UPSTREAM
@pytest.mark.parametrize("end", ["clean", "drop", "reset"])
async def test_an_answer_that_breaks_is_asked_for_whole(
    ground: Ground, claude: Claude, upstream: str, end: str
) -> None:
    """Our in-band error tells it; what had come is not taken for the answer."""
    ground.vendor.script("coder", Play("text", cut_after=8, end=end), Play("coder"))
    done = (await claude.ask(ground.name(upstream), "Hello.")).well()
    assert last(done)["result"] == "All done."
    assert ways(ground) == [(LANES[upstream], 200, 1)] * 2
    assert [bool(body.get("stream")) for body in ground.bodies] == [True, False]


@UPSTREAM
async def test_an_error_in_the_middle(ground: Ground, claude: Claude, upstream: str) -> None:
    ground.vendor.script("coder", Play("mid-error"), Play("coder"))
    done = (await claude.ask(ground.name(upstream), "Hello.")).well()
    assert last(done)["result"] == "All done."
    assert ways(ground) == [(LANES[upstream], 200, 1)] * 2
    assert [bool(line["note"]) for line in ground.lines] == [True, False]


@UPSTREAM
@pytest.mark.parametrize("broken", [Raw(200, {}, [b"<html>"]), Reply(500), Reply(503)], ids=["html", "500", "503"])
async def test_what_passes_is_not_heard(ground: Ground, claude: Claude, upstream: str, broken: object) -> None:
    """The proxy asks again itself."""
    ground.vendor.script("coder", broken, Play("coder"))
    done = (await claude.ask(ground.name(upstream), "Hello.")).well()
    assert last(done)["result"] == "All done."
    assert ways(ground) == [(LANES[upstream], 200, 2)]
