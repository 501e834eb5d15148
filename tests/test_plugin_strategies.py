"""A strategy that a plug-in brings: the page's own example, one that fails, a mode that nobody has."""

import json
from pathlib import Path

import pytest

from rotator.contracts import Needs, Outcome, Target
from rotator.credentials.pool import Lease
from rotator.errors import ConfigError
from tests.asking import ask, chat
from tests.proxy import make_world, serving
from tests.test_plugins_life import PAGE, put
from tests.upstreams import WHOLE, Canned, canned, engine


def strategy_of_the_page() -> str:
    return PAGE.partition("### `register_strategies")[2].partition("```python\n")[2].partition("```")[0]


@pytest.mark.parametrize("where", ["providers", "adapters"])
async def test_the_strategy_of_the_page_chooses(tmp_path: Path, where: str) -> None:
    """The key with the least under way: while a stream is open on the first, the second serves."""
    put(tmp_path / "mine" / where / "least_busy.py", strategy_of_the_page())
    vendor = engine.Engine(pace_seconds=0.0)
    await vendor.start()
    config = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}', rotation: {{mode: least_busy}}}}}}"
    environ = {"MINE_API_KEY_1": "key-number-one", "MINE_API_KEY_2": "key-number-two"}
    world = make_world(environ, tmp_path, config=config, plugins=(tmp_path / "mine",))
    async with serving(world) as proxy:
        first = proxy.core.pool.ask(Target("mine", "chat", "text"), Needs())
        assert isinstance(first, Lease) and first.credential.label == "mine#1"
        told = await ask(
            proxy.url, "POST", "/v1/chat/completions", {"x-rotator-explain": "1"}, chat("mine/text")
        )
        first.settle(Outcome("unused"))
    await vendor.aclose()
    explained = json.loads(told.headers["x-rotator-explain"])
    assert (told.status, explained["chosen"], explained["why"]) == (200, "mine#2", "least_busy: 0 under way")


BROKEN_STRATEGY = """
from rotator.api import hookimpl, Pick

class Broken:
    name = "broken"
    def pick(self, seats, asked):
        BODY

@hookimpl
def register_strategies(register):
    register(Broken())
"""


@pytest.mark.parametrize("body", ["raise KeyError('a mistake')", "return None", "return Pick(asked, 'nonsense')"])
async def test_a_strategy_that_fails_fails_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    put(tmp_path / "mine" / "providers" / "broken.py", BROKEN_STRATEGY.replace("BODY", body))
    async with canned(Canned([WHOLE["chat"]])) as server:
        config = f"providers: {{mine: {{protocol: chat, base_url: '{server.url}/v1', rotation: {{mode: broken}}}}}}"
        environ = {"MINE_API_KEY_1": "key-number-one", "MINE_API_KEY_2": "key-number-two"}
        world = make_world(environ, tmp_path, config=config, plugins=(tmp_path / "mine",))
        async with serving(world) as proxy:
            answer = await ask(proxy.url, "POST", "/v1/chat/completions", {"x-rotator-explain": "1"}, chat("mine/m"))
    assert answer.status == 200
    assert json.loads(answer.headers["x-rotator-explain"])["why"].startswith("sequential: ")
    assert any("strategy broken (sequential chooses) failed" in message for message in caplog.messages)


def test_a_mode_that_no_strategy_has_stops_the_start(tmp_path: Path) -> None:
    put(tmp_path / "mine" / "providers" / "least_busy.py", strategy_of_the_page())
    with pytest.raises(ConfigError) as caught:
        make_world({"ROTATION_MODE_OPENAI": "least_bsy"}, tmp_path, plugins=(tmp_path / "mine",))
    assert "least_busy" in str(caught.value) and "ROTATION_MODE_OPENAI" in str(caught.value)
