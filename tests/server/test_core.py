"""What outlives a request: generations, providers' life, the protocol that an error is told in."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotator.neutral.error import ErrorKind, error_of
from rotator.server.core import Core
from rotator.world import World
from tests.asking import ask, chat
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import JSON, Gate, Play, Raw, until

PATH = "/v1/chat/completions"
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
@pytest.mark.pitfall("P-147")
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


def port_of(world: World, name: str) -> int:
    provider = world.providers[name]
    return urlsplit(provider.address(provider.profiles[provider.default_profile], "/", "")).port or 0


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


async def test_a_provider_that_is_configured_no_more_is_closed(tmp_path: Path, vendor: Any) -> None:
    async with serving(make_world({}, tmp_path)) as proxy:
        port = port_of(proxy.core.world, "demo")
        assert listens(port)
        await proxy.core.adopt(mine(tmp_path, vendor))
        assert not listens(port)


async def test_and_serves_when_it_is_configured_again(tmp_path: Path, vendor: Any) -> None:
    first = make_world({}, tmp_path)
    async with serving(first) as proxy:
        await proxy.core.adopt(mine(tmp_path, vendor))
        await proxy.core.adopt(first)
        assert (await ask(proxy.url, "POST", PATH, {}, chat("demo/text"))).status == 200


@asynccontextmanager
async def under_way(proxy: Proxy, vendor: Any) -> AsyncIterator[None]:
    """A request that is answered when the block ends."""
    gate = Gate()
    vendor.script("text", Play("text", head=gate))
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask(proxy.url, "POST", PATH, {}, chat("mine/text")))
        await vendor.arrived(1)
        yield
        gate.open()
    assert asking.result().status == 200


async def test_it_is_closed_when_no_request_is_left(tmp_path: Path, vendor: Any) -> None:
    without, first = mine(tmp_path, vendor), mine(tmp_path, vendor, ROTATOR_DEMO="true")
    async with serving(first) as proxy:  # whose files change no more: nothing but the request's end closes it
        port = port_of(first, "demo")
        async with under_way(proxy, vendor):
            await proxy.core.adopt(without)
            assert listens(port)
        await until(lambda: not listens(port))


async def test_it_stays_when_it_is_configured_again_before_that(tmp_path: Path, vendor: Any) -> None:
    first = mine(tmp_path, vendor, ROTATOR_DEMO="true")
    async with serving(first) as proxy:
        async with under_way(proxy, vendor):
            await proxy.core.adopt(mine(tmp_path, vendor))
            await proxy.core.adopt(first)
        await proxy.core.adopt(first)
        assert (await ask(proxy.url, "POST", PATH, {}, chat("demo/text"))).status == 200


MOODY = """
from rotator.api import HttpProvider, hookimpl

class Moody(HttpProvider):
    life = []

    async def start(self, runtime):
        self.life.append("start")
        if self.life.count("start") == 1:
            raise OSError("its port is taken")

    async def aclose(self):
        self.life.append("close")

@hookimpl
def register_providers(register):
    register(Moody({"name": "moody", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1", "models": ["m"]}))
"""


async def test_a_provider_that_could_not_start_is_closed_named_and_tried_again(
    tmp_path: Path, vendor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mine" / "providers").mkdir(parents=True)
    (tmp_path / "mine" / "providers" / "moody.py").write_text(MOODY, encoding="utf-8")
    declared = f"providers: {{zebra: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    environ = {"MOODY_API_KEY": "key-of-moody", "ZEBRA_API_KEY": "key-of-zebra"}
    world = make_world(environ, tmp_path, config=declared, plugins=(tmp_path / "mine",))
    life = world.providers["moody"].life  # type: ignore[attr-defined]
    async with serving(world) as proxy:
        assert life == ["start", "close"]
        [logged] = [entry for entry in caplog.records if "moody" in entry.getMessage()]
        assert logged.exc_info is not None and "its port is taken" in str(logged.exc_info[1])
        for _ in range(2):
            await proxy.core.adopt(world)
            assert life == ["start", "close", "start"]
            assert (await ask(proxy.url, "POST", PATH, {}, chat("zebra/text"))).status == 200
    assert life == ["start", "close", "start", "close"]


async def test_how_long_a_vendor_may_be_silent_counts_after_a_reload(tmp_path: Path, vendor: Any) -> None:
    """In the middle of an answer, where only this time counts."""
    gate = Gate()
    gate.release()
    vendor.script("text", Raw(200, JSON, [b'{"choices":', b"[]}"], gate))
    async with serving(mine(tmp_path, vendor)) as proxy:
        declared = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}\nretry: {{same_key: 0}}\n"
        config = f"{declared}timeouts: {{read_non_streaming: 0.02}}\n"
        await proxy.core.adopt(make_world({"MINE_API_KEY": "key-of-mine"}, tmp_path, config=config))
        answer = await ask(proxy.url, "POST", PATH, {}, chat("mine/text"))
        assert (answer.status, answer.json["error"]["code"]) == (504, "read_timeout")
