"""HTTP by hand, so that a test decides every byte: requests as they are written, answers as they come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: A test that waits longer hangs. Nothing depends on how much shorter it is.
HANG_SECONDS = 20.0

Headers = Mapping[str, str | None] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names in lower case, repeated ones joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def parsed(data: bytes) -> Answer:
    """The first answer in these bytes; a chunked body is put together, a cut one ends where it was cut."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if headers.get("transfer-encoding") == "chunked":
        body = _dechunked(body)
    elif "content-length" in headers:
        body = body[: int(headers["content-length"])]
    return Answer(int(first.split(" ")[1]), headers, body)


def _dechunked(data: bytes) -> bytes:
    parts = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size or b"0", 16)
        parts.append(data[:length])
        data = data[length + 2 :] if length else b""
    return b"".join(parts)


def request(method: str, target: str, headers: Headers = (), body: bytes | None = None) -> bytes:
    """A request's bytes. ``headers`` replace Host, Connection and Content-Length; None leaves one out."""
    given = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    named = {name.lower() for name, _ in given}
    own: list[tuple[str, str | None]] = [("host", "127.0.0.1"), ("connection", "close")]
    if body is not None:
        own.append(("content-length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in own if name not in named]
    lines += [f"{name}: {value}" for name, value in given if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def whole(data: bytes | bytearray, method: str) -> bool:
    """Whether these bytes hold a final answer to its end, as far as its head says where that is."""
    head, blank, body = bytes(data).partition(b"\r\n\r\n")
    if not blank:
        return False
    fields = head.lower()
    if b"transfer-encoding: chunked" in fields:
        return body.endswith(b"0\r\n\r\n")
    _, named, rest = fields.partition(b"content-length: ")
    return bool(named) and (method == "HEAD" or len(body) >= int(rest.partition(b"\r\n")[0]))


async def exchange(url: str, data: bytes, method: str | None = None) -> bytes:
    """Send these bytes and read until the server closes, or with a ``method`` until its answer is whole.

    What a reset leaves unread is lost.
    """
    place = urlsplit(url)
    received = bytearray()
    async with asyncio.timeout(HANG_SECONDS):
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            writer.write(data)
            await writer.drain()
            while not (method and whole(received, method)) and (chunk := await reader.read(65536)):
                received += chunk
        except ConnectionError:
            pass
        finally:
            writer.close()
    return bytes(received)


async def ask(url: str, method: str, target: str, headers: Headers = (), body: Any = None) -> Answer:
    """One request on a connection of its own; a body that is no bytes is sent as JSON."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return parsed(await exchange(url, request(method, target, headers, data), method))


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so that nothing else tells of."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def unready(url: str) -> None:
    """Wait until a proxy says that it wants no new requests."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            if (await ask(url, "GET", "/ready")).status == 503:
                return


def chat(model: str, **more: Any) -> dict[str, Any]:
    """A Chat Completions body."""
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


def messages(model: str, **more: Any) -> dict[str, Any]:
    """A Messages body."""
    return {**chat(model), "max_tokens": 64, **more}
