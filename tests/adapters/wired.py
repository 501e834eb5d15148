"""Adapters as the tests use them: opened for one attempt, refused at the start, and behind a whole proxy."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rotator.config.reader import At
from rotator.contracts import Context, JsonFrame
from rotator.errors import ConfigError
from rotator.upstream.adapter import make_adapters
from rotator.upstream.provider import HttpProvider
from tests.upstreams import LOADED, PROVIDERS, Answer, House, until

#: What a use of an adapter looks like in a declaration.
Use = str | dict[str, Any]


def opened(name: str, options: Any = None) -> Any:
    """A built-in adapter's object for one attempt."""
    made: Any = LOADED.registry.adapters[name]
    return made(options).open(
        Context("vendor", "chat", "m", "chat", "generate", "fingerprint", None, "local", notes=[])
    )


def noted(adapter: Any) -> list[tuple[str, str, str]]:
    """Code, old and new place of its notes, all under its own name."""
    assert all(note.step == adapter.name for note in adapter.ctx.notes)
    return [(note.code, note.path_from, note.path_to) for note in adapter.ctx.notes]


def edited(adapter: Any, body: Mapping[str, Any]) -> set[str]:
    """The directions in which an adapter changes such a JSON object."""
    request, response, event = (copy.deepcopy(dict(body)) for _ in range(3))
    [frame] = adapter.on_event(JsonFrame("some_event", event))
    assert frame.event == "some_event" and not list(adapter.on_end())
    found = {"request": adapter.on_request(request), "response": adapter.on_response(response), "event": frame.data}
    return {direction for direction, result in found.items() if result != body}


def refused(name: str, options: Any) -> list[str]:
    """What is told at the start of a provider that uses an adapter so."""
    declared = {"name": "x", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1", "adapters": [{name: options}]}
    with pytest.raises(ConfigError) as error:
        known = LOADED.registry
        make_adapters(HttpProvider(declared), known.adapters, known.protocols, At("rotator.yaml", "providers.x"))
    told = [str(problem) for problem in error.value.problems]
    place = f"rotator.yaml: providers.x.adapters[0].{name}"
    assert told and all(one.startswith(place) for one in told), told
    assert not [one for one in told if "ValueError" in one], "the options' own check has not found it"
    return [one.removeprefix(place) for one in told]


async def furnish(house: House, protocol: str, *uses: Use, base: str = "", **declared: Any) -> None:
    """A world whose provider of this protocol uses these adapters; the upstream is the strict vendor or ``base``."""
    base = base or house.vendor.url
    provider = {"base_url": f"{base}/v1"} if protocol == "chat" else {"base_url": base, "auth": "x-api-key"}
    provider |= {"protocol": protocol, "adapters": list(uses), **declared}
    await house.furnish(config={"providers": {PROVIDERS[protocol]: provider}})


async def traced(house: House, protocol: str, *uses: Use, folder: Path, body: Any) -> list[Any]:
    """What the trace tells of each step of one request that the strict vendor answers."""
    provider = {"protocol": protocol, "adapters": list(uses), "auth": "bearer" if protocol == "chat" else "x-api-key"}
    provider["base_url"] = house.vendor.url + ("/v1" if protocol == "chat" else "")
    trace = {"level": "full", "dir": str(folder)}
    await house.furnish(config={"providers": {PROVIDERS[protocol]: provider}, "trace": trace})
    answer = await house.ask(protocol, body)
    await until(lambda: any(entry["pass"] == "end" for entry in _written(folder)))
    await house.furnish()
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "native"), answer.body[:500]
    return [entry for entry in _written(folder) if entry.get("stage", "").startswith("adapter ")]


def _written(folder: Path) -> list[Any]:
    """The whole lines so far."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def sent(house: House) -> Any:
    """The JSON of the vendor's last request."""
    return json.loads(house.vendor.requests[-1].body)


def events(body: bytes) -> list[Any]:
    """The JSON of each event of a stream."""
    lines = body.decode().split("\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def said(protocol: str, answer: Answer, *, stream: bool, model: str) -> list[Any]:
    """The JSON of a good answer of the native lane: whole, or event by event; it names the model as the client did."""
    assert answer.status == 200, answer.body[:500]
    headers = [answer.headers[f"x-rotator-{name}"] for name in ("lane", "provider", "model")]
    assert headers == ["native", PROVIDERS[protocol], model]
    found = events(answer.body) if stream else [answer.json]
    bodies = [one.get("message", one) for one in found if one.get("type") in (None, "message", "message_start")]
    names = {one["model"] for one in bodies if "model" in one}
    assert names == {f"{PROVIDERS[protocol]}/{model}"}
    if stream:
        assert answer.body.endswith({"chat": b"data: [DONE]\n\n", "messages": b'"message_stop"}\n\n'}[protocol])
    return found
