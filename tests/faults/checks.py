"""What every fault must leave behind, and what clients must make of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.asking import HANG_SECONDS
from tests.faults.wire import SHOWN, Fault, FaultyVendor, vendor
from tests.meanings import Meaning, event_of, lawful, meaning_of, meaning_of_whole, split
from tests.upstreams import FRAMES, PATIENCE_SECONDS, PROVIDERS, WHOLE, Answer, House, until

BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
#: ``forced``: translated though the provider speaks the client's protocol. ``crossed``: it speaks the other one.
TRANSLATING = ("forced", "crossed")
LANES = pytest.mark.parametrize("lane", ["raw", "native", *TRANSLATING])
#: For what comes before any frame is read.
ENDS = pytest.mark.parametrize("lane", ["raw", "crossed"])
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
PROMPT: Any = [{"role": "user", "content": "Hello"}]
#: What no client may see of a vendor that failed: its page, its certificate, where it stands.
PRIVATE = ("<html", "garbage", "BEGIN CERT", "127.0.0.1", "Traceback")

#: A failed attempt is not repeated with the same key.
ONCE: dict[str, Any] = {"retry": {"same_key": 0}}
#: Silence is over soon. Nothing that is to succeed may run under it.
IMPATIENT = {"connect": 0.02, "read_streaming": 0.05, "read_non_streaming": 0.05}

#: Which of their classes the SDKs raise for a status, where they have one of its own.
CLASSES: Mapping[int, tuple[type[Exception], type[Exception]]] = {
    400: (openai.BadRequestError, anthropic.BadRequestError),
    404: (openai.NotFoundError, anthropic.NotFoundError),
    413: (openai.APIStatusError, anthropic.RequestTooLargeError),
    422: (openai.UnprocessableEntityError, anthropic.UnprocessableEntityError),
    429: (openai.RateLimitError, anthropic.RateLimitError),
    503: (openai.InternalServerError, anthropic.ServiceUnavailableError),
    504: (openai.InternalServerError, anthropic.DeadlineExceededError),
    529: (openai.InternalServerError, anthropic.OverloadedError),
}
FAILED = (openai.InternalServerError, anthropic.InternalServerError)


@dataclass(frozen=True)
class Refusal:
    """What an official SDK raised for an answer that is an error."""

    status: int
    headers: Mapping[str, str]
    json: Any
    body: str

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])

    @property
    def attempts(self) -> int:
        return int(self.headers.get("x-rotator-attempts", "0"))

    @property
    def waits(self) -> tuple[str | None, str | None, str | None]:
        """``retry-after``, ``retry-after-ms`` and ``x-should-retry``."""
        names = ("retry-after", "retry-after-ms", "x-should-retry")
        return self.headers.get(names[0]), self.headers.get(names[1]), self.headers.get(names[2])


@dataclass(frozen=True)
class Clients:
    """Both official SDKs at one house; they do not retry."""

    house: House
    chat: openai.AsyncOpenAI
    messages: anthropic.AsyncAnthropic

    async def refused(self, protocol: str, stream: bool, model: str = "any") -> Refusal:
        """What is raised for a request that fails, after a look at its envelope and for what it must not hold."""
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
            await self.created(protocol, stream, model)
        error: Any = caught.value
        assert error.response.headers["content-type"] == "application/json"
        refusal = Refusal(error.status_code, error.response.headers, error.response.json(), error.response.text)
        assert isinstance(error, CLASSES.get(refusal.status, FAILED)[protocol == "messages"])
        assert ("type" in refusal.json) == (protocol == "messages")
        assert refusal.message
        self.tells_no_secret(refusal.body + repr(sorted(refusal.headers.items())))
        return refusal

    def tells_no_secret(self, text: str) -> None:
        """No key, nothing of the vendor's page or certificate, no address."""
        secrets = [key for keys in self.house.keys.values() for key in keys]
        assert [found for found in (*secrets, *PRIVATE) if found in text] == []

    async def said(self, protocol: str, one: FaultyVendor | None = None) -> tuple[str, Exception | None]:
        """The text of a stream, and the SDK's own error at its end. Whatever else it raises passes.

        The vendor hears when the first text was seen.
        """
        said = ""
        try:
            async for event in await self.created(protocol, True):
                said += self._text(event)
                if said and one is not None:
                    one.seen.set()
        except (openai.APIError, anthropic.APIError) as error:
            return said, error
        return said, None

    async def created(self, protocol: str, stream: bool = False, model: str = "any") -> Any:
        """What the SDK returns: an answer, or a stream of events."""
        name = f"{PROVIDERS[protocol]}/{model}"
        if protocol == "chat":
            return await self.chat.chat.completions.create(model=name, messages=PROMPT, stream=stream)
        return await self.messages.messages.create(model=name, max_tokens=64, messages=PROMPT, stream=stream)

    def _text(self, event: Any) -> str:
        if hasattr(event, "choices"):
            return "".join(choice.delta.content or "" for choice in event.choices or ())
        return str(event.delta.text) if event.type == "content_block_delta" else ""


@asynccontextmanager
async def clients_of(house: House) -> AsyncIterator[Clients]:
    """Both SDKs, closed at the end."""
    url = house.proxy.url
    how: Any = {"api_key": "no-key", "max_retries": 0, "timeout": HANG_SECONDS}
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", **how) as chat:
        async with anthropic.AsyncAnthropic(base_url=url, **how) as messages:
            yield Clients(house, chat, messages)


@asynccontextmanager
async def failing(house: House, *steps: Fault, keys: int = 1, **more: Any) -> AsyncIterator[FaultyVendor]:
    """The house with a vendor that does these steps; ``lane`` is the least lane of its providers.

    Afterwards no lease is open, the proxy has closed every connection whose answer has not ended, and no task is left.
    """
    before = asyncio.all_tasks()
    async with vendor(*steps, early=more.pop("early", False)) as one:
        if lane := more.pop("lane", None):
            more["config"] = {**more.get("config", {}), "providers": _providers(one.url, lane)}
        await house.furnish(keys, base=one.url, **more)
        yield one
        await cleaned_up(house, one)
    await until(lambda: asyncio.all_tasks() <= before)


def _providers(url: str, lane: str) -> dict[str, Any]:
    least = {"lane": "translate" if lane in TRANSLATING else lane}
    chat = {"protocol": "chat", "base_url": f"{url}/v1", **least}
    messages = {"protocol": "messages", "base_url": url, "auth": "x-api-key", **least}
    one, other = (messages, chat) if lane == "crossed" else (chat, messages)
    return {PROVIDERS["chat"]: one, PROVIDERS["messages"]: other}


async def cleaned_up(house: House, one: FaultyVendor) -> None:
    """Wait until nothing is left of the requests at either side."""
    await house.idle()
    await until(lambda: not one.busy)
    transport: Any = house.proxy.core.transport
    connectors = [session.connector for session in (transport._session, transport._fresh)]
    await until(lambda: not any(connector._acquired for connector in connectors))


@asynccontextmanager
async def healthy(house: House) -> AsyncIterator[None]:
    """Meanwhile the proxy answers others, more than once."""
    statuses: list[int] = []

    async def ask() -> None:
        while True:
            async with house.client.get(f"{house.proxy.url}/health") as reply:
                statuses.append(reply.status)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert set(statuses) == {200} and len(statuses) > 1


def shown(protocol: str, lane: str, data: bytes) -> bytes:
    """What the client sees of a stream that is not translated: the model is named as the client did (design.md 2.1)."""
    own, asked = b'"model":"m"', b'"model":"%b/any"' % PROVIDERS[protocol].encode()
    return data if lane == "raw" else data.replace(own, asked)


async def stream_seen(house: House, one: FaultyVendor, protocol: str, lane: str = "raw") -> Answer:
    """A whole stream, of which the vendor sends no more until the client has seen how it begins."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with house.asking(protocol, house.body(protocol, "any", stream=True)) as reply:
            if lane in TRANSLATING:
                seen = await reply.content.readuntil(b"one ") + await reply.content.readuntil(b"\n\n")
            else:
                seen = await reply.content.readexactly(len(shown(protocol, lane, SHOWN[protocol])))
            one.seen.set()
            return Answer(reply.status, reply.headers, seen + await reply.read())


def says(protocol: str, answer: Answer) -> Meaning:
    """What a stream says that was translated and keeps its protocol's laws."""
    assert answer.status == 200
    frames = split(answer.body)
    lawful(protocol, frames, f"{PROVIDERS[protocol]}/any")
    return meaning_of(frames)


def is_stream(protocol: str, lane: str, answer: Answer, sent: bytes) -> bool:
    """Whether a stream that ends well is the one that was sent; a translated one says the same, and usage besides.

    ``sent`` may be in the frames of either protocol where all that counts is what they say.
    """
    if lane not in TRANSLATING:
        return (answer.status, answer.body) == (200, shown(protocol, lane, sent))
    said, meant = says(protocol, answer), meaning_of(split(sent))
    return answer.body.endswith(FRAMES[protocol][-1]) and said._replace(tokens=meant.tokens) == meant


def is_good(protocol: str, lane: str, answer: Answer) -> bool:
    """Whether this is the answer of a healthy vendor, whole or in a stream."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return is_stream(protocol, lane, answer, b"".join(FRAMES[protocol]))
    if lane not in TRANSLATING:
        return (answer.status, answer.body) == (200, WHOLE[protocol])
    sent = meaning_of_whole(WHOLE[protocol])
    return answer.status == 200 and meaning_of_whole(answer.body)._replace(tokens=None) == sent


def ends_in_error(protocol: str, lane: str, answer: Answer, sent: bytes) -> Any:
    """The stream is what was sent and then one error frame of the protocol, and no terminal; the error."""
    if lane in TRANSLATING:
        assert says(protocol, answer).said == meaning_of(split(sent)).said
        return event_of(split(answer.body)[-1])["error"]
    begun = shown(protocol, lane, sent)
    assert (answer.status, answer.body[: len(begun)]) == (200, begun)
    rest = answer.body[len(begun) :]
    name, _, data = rest.rpartition(b"data: ")
    assert name == (b"" if protocol == "chat" else b"event: error\n")
    assert rest.endswith(b"\n\n") and rest.count(b"\n\n") == 1
    envelope = json.loads(data)
    assert (envelope.get("type") == "error") == (protocol == "messages")
    return envelope["error"]


def told_tokens(house: House) -> tuple[str, int]:
    """``~`` where usage was estimated and the tokens of output, as the latest request's line tells them."""
    found = re.search(r" (~?)\d+\+(\d+) tok ", last_line(house))
    assert found, last_line(house)
    return found[1], int(found[2])


def attempts(answer: Answer) -> int:
    return int(answer.headers.get("x-rotator-attempts", "0"))


def used(house: House, one: FaultyVendor, protocol: str) -> list[int]:
    """Which of the keys the vendor saw, by number, in order."""
    keys = house.keys[PROVIDERS[protocol]]
    return [keys.index(key) + 1 for key in one.keys]


def doubted(house: House, protocol: str) -> list[bool]:
    """Which keys a fault has put behind the others."""
    standings = house.proxy.core.pool.standings(PROVIDERS[protocol])
    return [standing.doubted(house.clock.now) for standing in standings]


def last_line(house: House) -> str:
    """What the proxy printed about the latest request."""
    house.proxy.core.lines.flush()
    return house.proxy.lines.getvalue().splitlines()[-1]
