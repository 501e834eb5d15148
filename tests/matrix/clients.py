"""Who asks: a client that reads the bytes, and the official SDKs.  Each tells in the same words what it heard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import anthropic
import openai

from tests.matrix.stage import Part, Stage
from tests.matrix.streams import said, spoken, told_by_sdk
from tests.meanings import event_of, split
from tests.upstreams import JSON, PATHS

#: terminal: a whole answer. error: an in-band error. refused: an error status. torn: none of these, never legal.
Ending = Literal["terminal", "error", "refused", "torn"]


@dataclass
class Heard:
    """One answer as its client took it in.  ``frames`` and ``body`` are known to the client of bytes only.

    ``events`` are whole ones, with those that an SDK does not tell if the client is one of bytes.
    """

    status: int = 0
    attempts: int = 0
    lane: str = ""
    ending: Ending = "torn"
    message: str = ""
    said: str = ""
    body: bytes = b""
    frames: list[bytes] = field(default_factory=list)
    events: int = 0

    def head(self, headers: Any) -> None:
        """What the answer's headers tell."""
        self.attempts = int(headers.get("x-rotator-attempts", "0"))
        self.lane = headers.get("x-rotator-lane", "")


#: Called with what was heard so far whenever there is more: the number of events, and what they said.
Hear = Callable[[Heard], None]
Ask = Callable[[Part, Hear], Awaitable[Heard]]


def deaf(heard: Heard) -> None:
    """For answers that nobody waits inside."""


def counted(asker: str, protocol: str, frames: list[bytes]) -> int:
    """How many events an asker hears of these frames."""
    return len(frames) if asker == "bytes" else told_by_sdk(protocol, frames)


@asynccontextmanager
async def asking(asker: str, protocol: str, stage: Stage) -> AsyncIterator[Ask]:
    """An asker's way to ask for a stream; its connections end with the block."""
    if asker == "bytes":
        async with plain_session() as session:
            yield lambda part, hear: ask_bytes(session, stage, part, hear)
    elif protocol == "chat":
        base = f"{stage.url}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as chat:
            yield lambda part, hear: ask_openai(chat, part, hear)
    else:
        async with anthropic.AsyncAnthropic(base_url=stage.url, api_key="none", max_retries=0) as messages:
            yield lambda part, hear: ask_anthropic(messages, part, hear)


def plain_session() -> aiohttp.ClientSession:
    """A session that keeps no connection."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def ask_bytes(session: aiohttp.ClientSession, stage: Stage, part: Part, hear: Hear) -> Heard:
    """Ask for a stream and read it piece by piece."""
    heard = Heard()
    data, read = json.dumps(part.body(stream=True)).encode(), 0
    async with session.post(stage.url + PATHS[part.protocol], data=data, headers=JSON) as reply:
        heard.status = reply.status
        heard.head(reply.headers)
        async for piece in reply.content.iter_any():
            heard.body += piece
            whole = heard.body.rfind(b"\n\n", read) + 2
            if heard.status != 200 or whole < 2:
                continue
            frames, read = split(heard.body[read:whole]), whole
            heard.frames += frames
            heard.events += len(frames)
            heard.said += said(frames)
            hear(heard)
    if heard.status == 200:
        assert not heard.body[read:], f"half a frame: {heard.body[read:]!r}"
        heard.ending, heard.message = ending_of(part.protocol, heard.frames)
    else:
        heard.ending, heard.message = "refused", refusal_of(part.protocol, heard.body)
    return heard


def ending_of(protocol: str, frames: list[bytes]) -> tuple[Ending, str]:
    """How a stream ends; there is one ending, and nothing behind it."""
    errors = [number for number, frame in enumerate(frames) if is_error(frame)]
    terminals = [number for number, frame in enumerate(frames) if is_terminal(frame)]
    if errors + terminals != [len(frames) - 1]:
        return "torn", f"errors at {errors}, terminals at {terminals} of {len(frames)} frames"
    if not errors:
        return "terminal", ""
    event = event_of(frames[-1])
    if protocol == "messages":
        assert frames[-1].startswith(b"event: error\n") and event["type"] == "error", frames[-1]
    return "error", event["error"]["message"]


def is_error(frame: bytes) -> bool:
    event = event_of(frame)
    return event is not None and "error" in event


def is_terminal(frame: bytes) -> bool:
    event = event_of(frame)
    return event is None or event.get("type") == "message_stop"


def refusal_of(protocol: str, body: bytes) -> str:
    """The message of an error envelope, which must be the protocol's own."""
    envelope = json.loads(body)
    error = envelope["error"]
    assert isinstance(error["message"], str) and isinstance(error["type"], str), envelope
    if protocol == "chat":
        assert set(error) == {"message", "type", "param", "code"}, envelope
    else:
        assert envelope["type"] == "error", envelope
    message: str = error["message"]
    return message


async def ask_openai(client: openai.AsyncOpenAI, part: Part, hear: Hear) -> Heard:
    heard, finish = Heard(), None
    try:
        stream = await client.chat.completions.create(**part.body(), stream=True)
    except openai.APIStatusError as error:
        return refused_by(error, heard)
    heard.status = stream.response.status_code
    heard.head(stream.response.headers)
    try:
        async for chunk in stream:
            heard.events += 1
            heard.said += spoken(chunk.to_dict())
            finish = next((choice.finish_reason for choice in chunk.choices), None) or finish
            hear(heard)
    except openai.APIError as error:
        heard.ending, heard.message = "error", error.message
    else:
        heard.ending = "terminal" if finish else "torn"
    return heard


async def ask_anthropic(client: anthropic.AsyncAnthropic, part: Part, hear: Hear) -> Heard:
    heard, last = Heard(), ""
    try:
        stream = await client.messages.create(**part.body(), stream=True)
    except anthropic.APIStatusError as error:
        return refused_by(error, heard)
    heard.status = stream.response.status_code
    heard.head(stream.response.headers)
    try:
        async for event in stream:
            heard.events += 1
            last = event.type
            heard.said += spoken(event.to_dict())
            hear(heard)
    except anthropic.APIStatusError as error:
        heard.ending, heard.message = "error", error.message
    else:
        heard.ending = "terminal" if last == "message_stop" else "torn"
    return heard


def refused_by(error: openai.APIStatusError | anthropic.APIStatusError, heard: Heard) -> Heard:
    """What an SDK raises for an error status: the class that goes with it."""
    heard.head(error.response.headers)
    heard.status, heard.ending, heard.message = error.status_code, "refused", error.message
    server = (openai.InternalServerError, anthropic.InternalServerError)
    assert isinstance(error, server) == (error.status_code >= 500), error
    return heard
