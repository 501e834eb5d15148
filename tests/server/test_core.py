"""What outlives a request: generations, providers' life, the protocol that an error is told in."""

from pathlib import Path
from typing import Any

import pytest

from rotator.neutral.error import ErrorKind, error_of
from rotator.server.core import Core
from rotator.world import World
from tests.asking import ask, chat
from tests.proxy import make_world, serving

ANTHROPIC = {"anthropic-version": "2023-06-01"}


def mine(tmp_path: Path, vendor: Any, **environ: str) -> World:
    declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    return make_world({"MINE_API_KEY": "key-of-mine", **environ}, tmp_path, config=declared)


@pytest.mark.parametrize(
    "path, headers, protocol",
    [
        ("/v1/chat/completions", {}, "chat"),
        ("/v1/chat/completions", ANTHROPIC, "chat"),
        ("/v1/messages", {}, "messages"),
        ("/v1/messages/count_tokens", {}, "messages"),
        ("/v1/models", {}, "chat"),
        ("/v1/models", ANTHROPIC, "messages"),
        ("/elsewhere", {}, "chat"),
        ("/elsewhere", ANTHROPIC, "messages"),
    ],
)
async def test_whose_envelope(tmp_path: Path, path: str, headers: dict[str, str], protocol: str) -> None:
    core = Core(make_world({}, tmp_path))
    assert core.protocol_of(path, headers).name == protocol


async def test_a_new_generation_counts_from_the_next_request_on(tmp_path: Path, vendor: Any) -> None:
    async with serving(mine(tmp_path, vendor)) as proxy:
        path = "/v1/chat/completions"
        assert (await ask(proxy.url, "POST", path, {}, chat("mine/text"))).status == 200
        await proxy.core.adopt(mine(tmp_path, vendor, MINE_API_KEY="second-key", PROXY_API_KEY="client-key-2"))
        assert (await ask(proxy.url, "POST", path, {}, chat("mine/text"))).status == 401
        key = {"x-api-key": "client-key-2"}
        assert (await ask(proxy.url, "POST", path, key, chat("mine/text"))).status == 200
        assert [seen.key for seen in vendor.requests] == ["key-of-mine", "second-key"]


async def test_what_a_stop_refuses(tmp_path: Path, vendor: Any) -> None:
    async with serving(mine(tmp_path, vendor)) as proxy:
        proxy.core.stopping = True
        assert (await ask(proxy.url, "GET", "/ready")).status == 503
        assert (await ask(proxy.url, "GET", "/health")).status == 200
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("mine/text"))
        assert (answer.status, answer.json["error"]["code"]) == (503, "shutting_down")
        answer = await ask(proxy.url, "POST", "/v1/messages", {}, chat("mine/text"))
        assert (answer.status, answer.json["error"]["type"]) == (503, "overloaded_error")
    assert not vendor.requests


async def test_ending_with_nothing_open_is_harmless(tmp_path: Path) -> None:
    core = Core(make_world({}, tmp_path))
    await core.startup()
    await core.drained(0.0)
    core.end_requests(error_of(ErrorKind.OVERLOADED, "enough"))
    await core.shutdown()
    await core.shutdown()
    assert core.stopping


SHAKY = """
from rotator.api import HttpProvider, hookimpl

class Shaky(HttpProvider):
    async def start(self, runtime):
        raise OSError("its port is taken")

    async def aclose(self):
        raise OSError("nothing to close")

@hookimpl
def register_providers(register):
    register(Shaky({"name": "shaky", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1", "models": ["m"]}))
"""


async def test_a_provider_that_cannot_start_harms_no_other(tmp_path: Path, vendor: Any) -> None:
    (tmp_path / "mine" / "providers").mkdir(parents=True)
    (tmp_path / "mine" / "providers" / "shaky.py").write_text(SHAKY, encoding="utf-8")
    declared = f"providers: {{zebra: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    environ = {"SHAKY_API_KEY": "key-of-shaky", "ZEBRA_API_KEY": "key-of-zebra"}
    world = make_world(environ, tmp_path, config=declared, plugins=(tmp_path / "mine",))
    async with serving(world) as proxy:
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("zebra/text"))
        assert answer.status == 200
