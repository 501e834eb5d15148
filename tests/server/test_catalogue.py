"""The model list: both shapes, what vendors list, and vendors that do not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.server.catalogue import FRESH_SECONDS, RETRY_SECONDS
from tests.asking import ask
from tests.clocks import ManualClock
from tests.proxy import make_world, serving

ANTHROPIC = {"anthropic-version": "2023-06-01"}


def listed(vendor: Any) -> int:
    """How often the vendor was asked for its list."""
    return sum(seen.path == "/v1/models" for seen in vendor.requests)


def ids(answer: Any) -> list[str]:
    return [entry["id"] for entry in answer.json["data"]]


def config(*entries: str) -> str:
    return "providers:\n" + "".join(f"  {entry}\n" for entry in entries)


@pytest.mark.pitfall("C201")
async def test_both_shapes(tmp_path: Path, vendor: Any) -> None:
    declared = f"mine: {{protocol: chat, base_url: '{vendor.chat_base}', models: [own, text]}}"
    world = make_world({"MINE_API_KEY": "key-of-mine"}, tmp_path, config=config(declared))
    async with serving(world) as proxy:
        openai = await ask(proxy.url, "GET", "/v1/models")
        assert openai.json["object"] == "list"
        # What is declared and what the vendor says, each once.
        assert "mine/own" in ids(openai) and "mine/flaky" in ids(openai) and ids(openai).count("mine/text") == 1
        assert ids(openai) == sorted(ids(openai))
        first = openai.json["data"][0]
        assert first == {"id": first["id"], "object": "model", "created": 0, "owned_by": "mine"}
        anthropic = await ask(proxy.url, "GET", "/v1/models?limit=1000", ANTHROPIC)
        assert ids(anthropic) == ids(openai)
        assert anthropic.json["has_more"] is False and anthropic.json["first_id"] == ids(openai)[0]
        assert anthropic.json["data"][0]["type"] == "model"
        # Asked with the key of this provider, in its protocol, and once.
        assert listed(vendor) == 1 and vendor.requests[0].key == "key-of-mine"


async def test_messages_vendors_are_asked_in_their_protocol(tmp_path: Path, vendor: Any) -> None:
    declared = f"mine: {{protocol: messages, base_url: '{vendor.messages_base}', auth: x-api-key}}"
    async with serving(make_world({"MINE_API_KEY": "k-1"}, tmp_path, config=config(declared))) as proxy:
        assert "mine/thinking" in ids(await ask(proxy.url, "GET", "/v1/models"))
        assert vendor.requests[0].header("anthropic-version") == "2023-06-01"
        assert vendor.requests[0].header("x-api-key") == "k-1"


async def test_a_vendor_that_fails_keeps_what_is_declared(tmp_path: Path, vendor: Any) -> None:
    """And harms no other; it is asked again after a minute, one that answered after an hour."""
    clock = ManualClock()
    entries = (
        "dead: {protocol: chat, base_url: 'http://127.0.0.1:9/v1', models: [declared]}",
        f"lost: {{protocol: chat, base_url: '{vendor.url}/nothing', models: [declared]}}",
        f"mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}",
    )
    environ = {f"{name}_API_KEY": f"key-{name}" for name in ("DEAD", "LOST", "MINE")}
    async with serving(make_world(environ, tmp_path, config=config(*entries)), clock=clock) as proxy:
        found = ids(await ask(proxy.url, "GET", "/v1/models"))
        assert {"dead/declared", "lost/declared", "mine/text"} <= set(found)
        asked = len(vendor.requests)
        assert asked == 2
        await ask(proxy.url, "GET", "/v1/models")
        assert len(vendor.requests) == asked
        clock.advance(RETRY_SECONDS + 1)
        assert ids(await ask(proxy.url, "GET", "/v1/models")) == found
        assert (len(vendor.requests), listed(vendor)) == (asked + 1, 1)
        clock.advance(FRESH_SECONDS)
        await ask(proxy.url, "GET", "/v1/models")
        assert listed(vendor) == 2


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"data": 1}', b'{"data": [1, null, {"id": 2}, {"id": ""}]}', b'"x"', b""]
)
async def test_a_list_that_is_none(tmp_path: Path, body: bytes) -> None:
    import asyncio

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        declared = f"mine: {{protocol: chat, base_url: 'http://127.0.0.1:{port}/v1', models: [declared]}}"
        async with serving(make_world({"MINE_API_KEY": "k-1"}, tmp_path, config=config(declared))) as proxy:
            assert ids(await ask(proxy.url, "GET", "/v1/models")) == ["mine/declared"]


BAD_LISTER = """
from rotator.api import HttpProvider, hookimpl

class Bad(HttpProvider):
    async def models(self, runtime, credential):
        raise ZeroDivisionError("a mistake of its author")

@hookimpl
def register_providers(register):
    declared = ["declared"]
    register(Bad({"name": "bad", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1", "models": declared}))
"""


async def test_a_provider_with_a_mistake_harms_no_other(tmp_path: Path, vendor: Any) -> None:
    (tmp_path / "mine" / "providers").mkdir(parents=True)
    (tmp_path / "mine" / "providers" / "bad.py").write_text(BAD_LISTER, encoding="utf-8")
    declared = config(f"mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}")
    environ = {"BAD_API_KEY": "key-of-bad", "MINE_API_KEY": "key-of-mine"}
    world = make_world(environ, tmp_path, config=declared, plugins=(tmp_path / "mine",))
    async with serving(world) as proxy:
        answer = await ask(proxy.url, "GET", "/v1/models")
        assert answer.status == 200
        assert {"bad/declared", "mine/text"} <= set(ids(answer))


async def test_a_bare_name_is_looked_for_in_the_vendors_lists(tmp_path: Path, vendor: Any) -> None:
    """So that a client with fixed model names runs without a prefix; asked once, whatever is asked for."""
    declared = f"mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}"
    hi = {"messages": [{"role": "user", "content": "hi"}]}
    async with serving(make_world({"MINE_API_KEY": "key-of-mine"}, tmp_path, config=config(declared))) as proxy:
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", body={"model": "text", **hi})
        assert (answer.status, answer.headers["x-rotator-provider"]) == (200, "mine")
        assert listed(vendor) == 1
        unknown = await ask(proxy.url, "POST", "/v1/chat/completions", body={"model": "nothing-like-it", **hi})
        assert (unknown.status, unknown.json["error"]["code"]) == (404, "model_not_found")
        elsewhere = await ask(proxy.url, "POST", "/v1/chat/completions", body={"model": "mine/unlisted", **hi})
        assert elsewhere.status == 404 and elsewhere.headers["x-rotator-provider"] == "mine"
        assert listed(vendor) == 1


async def test_a_new_generation_knows_what_was_learnt(tmp_path: Path, vendor: Any) -> None:
    declared = f"mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}"
    environ = {"MINE_API_KEY": "key-of-mine"}
    hi = {"model": "text", "messages": [{"role": "user", "content": "hi"}]}
    async with serving(make_world(environ, tmp_path, config=config(declared))) as proxy:
        assert (await ask(proxy.url, "POST", "/v1/chat/completions", body=hi)).status == 200
        later = make_world(environ, tmp_path, config=config(declared))
        await proxy.core.adopt(replace(later, generation=2))
        assert (await ask(proxy.url, "POST", "/v1/chat/completions", body=hi)).status == 200
        assert listed(vendor) == 1
