"""A running proxy whose providers are the fake vendor, in each protocol and lane, and what goes through it.

A model has one script for all that ask for it, so a case is one request after another.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.upstreams import JSON, SSE, Answer, House, Raw, inhabited

from .cells import Case, Json, found
from .rows_requests import ROWS
from .words import ASKED, CREATED, MODEL

LANES = ("raw", "native", "translate")
#: What some cases say of their upstream, by the name of a provider that says it too.
DIALECTS = {
    json.dumps([one.upstream, one.cell.dialect]): f"dialect-{number}"
    for number, one in enumerate(found(ROWS, Case))
    if one.cell.dialect
}


def provider(protocol: str, lane: str = "raw", dialect: Json | None = None) -> str:
    """Who speaks a protocol, in at least this lane."""
    return DIALECTS[json.dumps([protocol, dialect])] if dialect else f"{protocol}-{lane}"


def _declared(url: str) -> dict[str, Any]:
    spoken: dict[str, Any] = {
        "chat": {"protocol": "chat", "base_url": f"{url}/v1"},
        "messages": {"protocol": "messages", "base_url": url, "auth": "x-api-key"},
    }
    providers = {f"{name}-{lane}": {**spoken[name], "lane": lane} for name in spoken for lane in LANES}
    for key, name in DIALECTS.items():
        protocol, dialect = json.loads(key)
        providers[name] = {**spoken[protocol], "dialect": dialect}
    return providers


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[House]:
    """The house with all these providers, one key for each."""
    async with inhabited(folder) as house:
        providers = _declared(house.vendor.url)
        keys = {f"{name.upper().replace('-', '_')}_API_KEY": f"key-of-{name}-abcdef" for name in providers}
        keys |= {"VENDOR_API_KEY": "unused-1", "CLAUDISH_API_KEY": "unused-2"}
        base = {"protocol": "chat", "base_url": house.vendor.chat_base}
        config = {"providers": {**providers, "vendor": base, "claudish": base}}
        await house.furnish(config=config, **keys)
        yield house


@dataclass(frozen=True)
class Passed:
    """One request that went through: the client's bytes, the vendor's, the client's answer."""

    sent: bytes
    seen: bytes
    answer: Answer

    @property
    def wire(self) -> Any:
        return json.loads(self.seen)

    @property
    def lane(self) -> str:
        return str(self.answer.headers["x-rotator-lane"])

    @property
    def repaired(self) -> bool:
        """Whether the vendor refused reasoning that is not its own, and was asked again without it."""
        return "x-rotator-repair" in self.answer.headers

    @property
    def codes(self) -> list[str]:
        """Of the losses that the client is told."""
        return [loss["code"] for loss in json.loads(self.answer.headers.get("x-rotator-warnings", "[]"))]


async def passed(house: House, client: str, body: Json, via: str, chunks: Sequence[bytes], stream: bool) -> Passed:
    """Ask the provider for what the vendor then says in these chunks."""
    house.vendor.script(body["model"], Raw(200, SSE if stream else JSON, chunks))
    house.vendor.requests.clear()
    house.proxy.core.means.states._origins.clear()  # what was refused in one case is nothing to the next
    sent = json.dumps({**body, "model": f"{via}/{body['model']}"}).encode()
    answer = await house.ask(client, sent)
    await house.idle()
    seen = house.vendor.requests[0].body if house.vendor.requests else b""  # what a repair asks is no case's matter
    return Passed(sent, seen, answer)


def here(value: Any, house: House, via: str) -> Any:
    """An expected answer under the name and at the time of this request."""
    if isinstance(value, dict):
        return {name: here(one, house, via) for name, one in value.items()}
    if value == ASKED:
        return f"{via}/{MODEL}"
    if type(value) is int and value == CREATED:
        return int(house.clock.time())
    return [here(one, house, via) for one in value] if isinstance(value, list) else value
