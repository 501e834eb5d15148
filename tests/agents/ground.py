"""What a session stands on: a scripted vendor, a proxy in front of it, an empty home, and the client's process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rotator.config import Flags, load
from rotator.world import build_world
from tests.agents.scripted import Use, coder, demo
from tests.proxy import Proxy, serving
from tests.upstreams import LOADED, PROVIDERS, engine

#: Longer than any session takes on a busy machine; a client that retries for minutes is a failure.
SESSION_SECONDS = 120.0
CLIENT_KEY = "client-key-1"
#: The protocol that the vendor speaks, and the lane of a client of Messages.
UPSTREAMS = ("messages", "chat")
MODEL = "coder"


class Done(NamedTuple):
    """A client's process that ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its standard output where that is one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def well(self) -> Done:
        """Itself, or a failure that shows what it said."""
        assert self.code == 0, f"exit code {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"
        return self


@dataclass
class Ground:
    """Both ends of a session; ``work`` is the client's folder, ``home`` its home."""

    proxy: Proxy
    vendor: Any
    home: Path
    work: Path
    patch: pytest.MonkeyPatch
    environ: dict[str, str] = field(default_factory=dict)

    def model(self, *turns: Sequence[Use], name: str = MODEL, ending: str = "All done.") -> None:
        """What the vendor's model of this name does from now on."""
        self.patch.setitem(demo.MODELS, name, coder(turns, ending))

    def name(self, upstream: str, model: str = MODEL) -> str:
        """A model's name for clients, of the vendor that speaks this protocol."""
        return f"{PROVIDERS[upstream]}/{model}"

    @property
    def asked(self) -> list[Any]:
        """The requests that reached the vendor."""
        return list(self.vendor.requests)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Those for an answer, as JSON."""
        posts = [seen for seen in self.asked if seen.path in ("/v1/messages", "/v1/chat/completions")]
        return [json.loads(seen.body) for seen in posts]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What the proxy says of each request."""
        self.proxy.core.lines.flush()
        return [json.loads(line) for line in self.proxy.lines.getvalue().splitlines()]

    def lanes(self) -> set[str]:
        """The lanes of all that was answered."""
        return {line["lane"] for line in self.lines if line["lane"]}

    async def run(self, *command: str | Path, seconds: float = SESSION_SECONDS, **environ: str) -> Done:
        """A client's program in its folder, with nothing of this process's environment but the path."""
        process = await asyncio.create_subprocess_exec(
            *map(str, command), cwd=self.work, env={**self.environment(), **environ}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            self.proxy.core.lines.flush()
            pytest.fail(f"{Path(command[0]).name} ran for more than {seconds:.0f} s\n{self.proxy.lines.getvalue()}")
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def environment(self) -> dict[str, str]:
        """A user's on a fresh machine."""
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm-256color"}
        return {**plain, "NO_PROXY": "127.0.0.1", **self.environ}


def check_prefixes(bodies: Sequence[Mapping[str, Any]]) -> None:
    """Each request repeats the one before it to the letter and goes on from there: else no prompt cache would hit.

    What marks the cached part moves with the end of the conversation and says nothing.
    """
    written = [[json.dumps(unmarked(message)) for message in body["messages"]] for body in bodies]
    for earlier, later in zip(written, written[1:], strict=False):
        assert len(later) > len(earlier)
        assert later[: len(earlier)] == earlier


def unmarked(value: Any) -> Any:
    """A value without ``cache_control``; a lone text that only bore such a mark is a string without it."""
    if isinstance(value, dict):
        return {name: unmarked(part) for name, part in value.items() if name != "cache_control"}
    if not isinstance(value, list):
        return value
    parts = [unmarked(part) for part in value]
    lone = len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() == {"type", "text"}
    return parts[0]["text"] if lone else parts


@asynccontextmanager
async def laid(
    folder: Path, patch: pytest.MonkeyPatch, config: Mapping[str, Any] | None = None, keys: int = 1
) -> AsyncIterator[Ground]:
    """Ground with ``vendor`` (Chat) and ``claudish`` (Messages), both one engine, and a client key.

    ``config`` are further sections of the configuration file, ``keys`` how many each provider has.
    """
    vendor = engine.Engine(pace_seconds=0.25)
    await vendor.start()
    places = {name: folder / name for name in ("proxy", "home", "work")}
    for place in places.values():
        place.mkdir()
    variables = {"PROXY_API_KEY": CLIENT_KEY}
    for provider in PROVIDERS.values():
        variables |= {f"{provider.upper()}_API_KEY_{n}": f"key-{provider}-{n}-abcdef" for n in range(1, keys + 1)}
    document = {
        "server": {"log": "json"},
        "providers": {
            "vendor": {"protocol": "chat", "base_url": vendor.chat_base},
            "claudish": {"protocol": "messages", "base_url": vendor.messages_base, "auth": "x-api-key"},
        },
        **(config or {}),
    }
    try:
        (places["proxy"] / "rotator.yaml").write_text(json.dumps(document), encoding="utf-8")
        state = {"ROTATOR_STATE": str(places["proxy"] / "state")}
        settings = load(Flags(), environ={**state, **variables}, cwd=places["proxy"])
        async with serving(build_world(settings, LOADED, 1)) as proxy:
            yield Ground(proxy, vendor, places["home"], places["work"], patch)
    finally:
        await vendor.aclose()
