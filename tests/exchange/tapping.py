"""A house whose requests are traced into a folder of the test, and what reads the entries again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rotator.plugins import Loaded
from rotator.trace import writer
from tests import upstreams
from tests.exchange.staging import (
    furnish,
    loaded_with,
)
from tests.upstreams import (
    PROVIDERS,
    House,
    until,
)

BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
LANES = pytest.mark.parametrize("lane", ["raw", "native"])
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
LEVELS = pytest.mark.parametrize("level", ["meta", "bounds", "full"])
Entry = dict[str, Any]


@pytest.fixture(autouse=True)
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry waits for others: nothing here is about that, and every test would wait for it."""
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.001)


def written(folder: Path) -> list[Entry]:
    """The whole lines so far, of all files in the order of their names."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


async def told(folder: Path, requests: int = 1) -> list[Entry]:
    """All entries, once so many requests have their end; theirs are whole, in order, and stop there."""
    await until(lambda: sum(entry["pass"] == "end" for entry in written(folder)) >= requests)
    found = written(folder)
    for request in {entry["request"] for entry in found if entry["pass"] == "end"}:
        own = [entry for entry in found if entry["request"] == request]
        assert [entry["seq"] for entry in own] == list(range(len(own)))
        assert [entry["pass"] for entry in own].index("end") == len(own) - 1
    return found


def of(found: Sequence[Entry], name: str) -> list[Entry]:
    """The entries of one pass."""
    return [entry for entry in found if entry["pass"] == name]


def one(found: Sequence[Entry], name: str) -> Entry:
    """The only entry of a pass."""
    [entry] = of(found, name)
    return entry


def text(entry: Entry) -> bytes:
    """The body, which is whole."""
    body = entry.get("body", {"text": "", "bytes": 0})
    data: bytes = body["text"].encode()
    assert body["bytes"] == len(data) and "cut" not in body
    return data


def told_whole(found: Sequence[Entry], sent: bytes, answer: bytes, lane: str) -> list[str]:
    """Both sides of the only stream are in the trace to the last byte; what was done to it."""
    came, shown = one(found, "upstream_stream"), one(found, "client_stream")
    assert (text(came), came["bytes"]) == (sent, len(sent))
    acts: list[str] = shown["acts"]
    differs = bool(acts) or lane == "native"
    assert (text(shown), shown["bytes"]) == (answer if differs else b"", len(answer))
    assert differs or answer == sent
    assert 0 <= came["first_byte_ms"] <= came["first_output_ms"]
    order = [entry["pass"] for entry in found]
    assert max(order.index("client_response"), order.index("outcome")) < order.index("client_stream")
    return acts


PLUGINS = {
    "adapters/probing.py": '''
from dataclasses import dataclass

from rotator.api import WireAdapter


@dataclass(frozen=True)
class What:
    at: tuple[str, ...]
    change: bool = False
    fail: str = ""


class Probing(WireAdapter):
    """Leaves a note in the directions that it is told, and changes what passes, or fails."""

    name = "probing"
    Options = What

    def open(self, ctx):
        if "open" in self.options.at:
            raise LookupError("on purpose")
        return super().open(ctx)

    def on_request(self, body):
        return self.probed("request", body, body["messages"][-1])

    def on_response(self, body):
        return self.probed("response", body, body)

    def on_event(self, frame):
        return self.probed("event", [frame], frame.data)

    def on_end(self):
        return self.probed("end", [], {})

    def probed(self, direction, result, data):
        if direction not in self.options.at:
            return result
        self.ctx.note(self.name, f"{direction}_noted", "a", "b")
        if self.options.fail == "raise":
            raise LookupError("on purpose")
        if self.options.change:
            data["content" if direction == "request" else "probed"] = "probed"
        return None if self.options.fail == "none" else result


class Other(Probing):
    name = "other"
''',
    "providers/wrapping.py": '''
from rotator.api import HttpProvider, hookimpl


class Wrapping(HttpProvider):
    def finalise(self, request, credential):
        return request._replace(body={"request": request.body})

    def unwrap(self, data):
        return data["response"]


@hookimpl
def register_providers(register):
    for protocol, auth in (("chat", "bearer"), ("messages", "x-api-key")):
        declared = {"name": f"wrap{protocol}", "protocol": protocol, "auth": auth}
        register(Wrapping({**declared, "base_url": "http://127.0.0.1:9"}))
''',
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The plug-ins above beside our own."""
    return loaded_with(tmp_path_factory.mktemp("plugins"), PLUGINS)


@pytest_asyncio.fixture(loop_scope="module")
async def staged(house: House, plugins: Loaded, monkeypatch: pytest.MonkeyPatch) -> House:
    """The house, whose worlds know the plug-ins."""
    monkeypatch.setattr(upstreams, "LOADED", plugins)
    return house


async def furnish_traced(
    house: House, folder: Path, *adapters: Any, lane: str = "raw", level: str = "bounds", **more: Any
) -> None:
    """A generation whose traces go to this folder, and whose own providers have this lane at least."""
    config = {"trace": {"level": level, "dir": str(folder)}, **more.pop("config", {})}
    handling = {"lane": lane} if lane != "raw" else {}
    await furnish(house, *adapters, config=config, **handling, **more)
