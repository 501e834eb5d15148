"""The parts of the demo provider that its tests touch, and a plain HTTP client for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import orjson
from rotator.plugins.providers.demo import (
    checks_chat,
    checks_messages,
    engine,
    models,
    render_chat,
    render_messages,
    shapes,
    signing,
)
from rotator.plugins.providers.demo.calls import Call, Minted

__all__ = [
    "Call",
    "Minted",
    "checks_chat",
    "checks_messages",
    "engine",
    "models",
    "render_chat",
    "render_messages",
    "shapes",
    "signing",
]

MINTED = Minted(1, "0", 0)
KEY = "any"
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "anthropic-version": "2023-06-01"}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


async def ask(
    vendor: Any, path: str, body: Any = None, *, method: str = "POST", headers: Mapping[str, str | None] | None = None
) -> Answer:
    """One request; bytes as they are, anything else as JSON. A header of None is not sent."""
    sent = {name: value for name, value in {**HEADERS, **(headers or {})}.items() if value is not None}
    data = None if body is None else BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, vendor.url + path, data=data, headers=sent) as reply,
    ):
        return Answer(reply.status, reply.headers, await reply.read())


def chat(model: str = "text", **more: Any) -> dict[str, Any]:
    """A Chat body."""
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}


def messages(model: str = "text", **more: Any) -> dict[str, Any]:
    """A Messages body."""
    return {**chat(model), "max_tokens": 4096, **more}
