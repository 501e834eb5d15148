"""What the tests of the native lane share: providers with adapters, a user's plug-ins, lists of targets, frames."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rotator.contracts import Target
from rotator.plugins import Loaded
from rotator.plugins import load as load_plugins
from rotator.routing.resolve import Router
from rotator.world import World
from tests.upstreams import (
    FRAMES,
    JSON,
    PATIENCE_SECONDS,
    PROVIDERS,
    SSE,
    WHOLE,
    Answer,
    Canned,
    CannedServer,
    Gate,
    House,
    Raw,
)

TERMINAL = {"chat": b"data: [DONE]\n\n", "messages": b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}
ERRORS = {
    "chat": b'data: {"error":{"message":"It broke","type":"server_error","param":null,"code":"E7"},"more":1}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"It broke"},"more":1}\n\n',
}
#: The frames of a vendor that names its model in them, and the same as the client gets them.
SENT = {
    "chat": [frame.replace(b'{"choices"', b'{"model":"m","choices"') for frame in FRAMES["chat"]],
    "messages": list(FRAMES["messages"]),
}
SHOWN = {
    protocol: [frame.replace(b'"model":"m"', b'"model":"%b/scripted"' % name.encode()) for frame in SENT[protocol]]
    for protocol, name in PROVIDERS.items()
}
#: A second provider for each protocol, without adapters, and its key.
SPARES = {"chat": "spare", "messages": "spareish"}
SPARE_KEYS = {"SPARE_API_KEY": "key-of-the-spare-one", "SPAREISH_API_KEY": "key-of-the-spare-ish"}


def served(base: str, **handling: Any) -> dict[str, Any]:
    """The providers of the tests' worlds with more said of each, and the spare ones with nothing."""
    chat = {"protocol": "chat", "base_url": f"{base}/v1"}
    messages = {"protocol": "messages", "base_url": base, "auth": "x-api-key"}
    own = {"vendor": {**chat, **handling}, "claudish": {**messages, **handling}}
    return {**own, "spare": chat, "spareish": messages}


async def furnish(
    house: House,
    *adapters: Any,
    base: str = "",
    keys: int = 1,
    config: Mapping[str, Any] | None = None,
    **handling: Any,
) -> World:
    """A new generation whose own providers have these adapters and are handled so."""
    providers = served(base or house.vendor.url, adapters=adapters, **handling)
    return await house.furnish(keys=keys, config={"providers": providers, **(config or {})}, **SPARE_KEYS)


def loaded_with(root: Path, files: Mapping[str, str]) -> Loaded:
    """All plug-ins, those of a user among them that these texts are, by their place in the user's folder."""
    for place, text in files.items():
        path = root / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    loaded = load_plugins([root])
    assert {plugin.state for plugin in loaded.plugins} == {"ok"}
    return loaded


class Listing(Router):
    """Every name leads to one list of targets."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._listed_targets = tuple(targets)

    def resolve(self, model: str, protocol: str) -> tuple[Target, ...]:
        return self._listed_targets


async def lead(house: House, world: World, protocol: str, *places: str) -> None:
    """From now on all models lead to these, written ``provider/model`` or ``provider:profile/model``."""
    targets = []
    for place in places:
        head, _, model = place.partition("/")
        provider, _, profile = head.partition(":")
        targets.append(Target(provider, profile or protocol, model))
    await house.proxy.core.adopt(replace(world, router=Listing(targets)))


def answering(server: CannedServer, protocol: str, stream: bool) -> None:
    """Make a server answer one turn of a conversation."""
    server.answer = Canned(FRAMES[protocol], headers=SSE) if stream else Canned([WHOLE[protocol]], headers=JSON)


async def streamed(house: House, protocol: str, *chunks: bytes, end: str = "clean") -> Answer:
    """What the client gets of a stream of these chunks."""
    house.vendor.script("scripted", Raw(200, SSE, chunks, end=end))
    return await house.call(protocol, "scripted", stream=True)


async def committed(house: House, protocol: str, begun: int, *more: bytes, end: str = "clean") -> Answer:
    """What the client gets of a stream that goes on only after so many of its frames have come through, each as one."""
    gate = Gate()
    gate.release(begun)
    house.vendor.script("scripted", Raw(200, SSE, [*SENT[protocol][:begun], *more], gate, end=end))
    body = house.body(protocol, "scripted", stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(protocol, body) as reply:
        seen = b"".join([await reply.content.readuntil(b"\n\n") for _ in range(begun)])
        gate.open()
        return Answer(reply.status, reply.headers, seen + await reply.read())


def ends_in_error(protocol: str, answer: Answer, shown: Sequence[bytes]) -> Any:
    """The stream is ``shown`` and then one error frame of the protocol, and no terminal; the error."""
    begun = b"".join(shown)
    assert (answer.status, answer.body[: len(begun)]) == (200, begun)
    name, _, data = answer.body[len(begun) :].partition(b"data: ")
    assert name == (b"" if protocol == "chat" else b"event: error\n")
    assert data.count(b"\n\n") == 1 and data.endswith(b"\n\n")
    return json.loads(data)["error"]


def events(body: bytes) -> list[tuple[str, Any]]:
    """Event names and data of a stream as we write it; ``[DONE]`` as text."""
    found = []
    for frame in body.split(b"\n\n")[:-1]:
        name, _, data = frame.partition(b"data: ")
        found.append((name.decode()[7:-1], "[DONE]" if data == b"[DONE]" else json.loads(data)))
    return found


def exactly(data: bytes | str) -> str:
    """JSON as text that two documents share if they hold the same, in the same order: 1 is not 1.0."""
    return json.dumps(json.loads(data))


def last_line(house: House) -> str:
    """What was printed about the latest request."""
    house.proxy.core.lines.flush()
    return house.proxy.lines.getvalue().splitlines()[-1]


def doubted(house: House, protocol: str) -> bool:
    """Whether a key of the protocol's own provider stands behind others for a fault."""
    standings = house.proxy.core.pool.standings(PROVIDERS[protocol])
    return any(one.doubted(house.clock.now) for one in standings)
