"""Pitfalls of conversions that no row of the tables meets, through the codecs and over real sockets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Text, ToolCall, ToolResult
from rotator.neutral.request import Request, Tool, Turn
from tests.upstreams import COUNT_PATH, JSON, PROVIDERS, SSE, House, Raw, body_of, inhabited

from .cells import SIDES
from .codecs import answered, asked, begin, codec, streamed
from .folding import folded
from .frames import events_of, sent
from .laws import broken
from .unfolding import unfolded
from .words import ANSWER, LEAST, a_answer, a_tool, c_answer, text

PAIRS = pytest.mark.parametrize(("client", "upstream"), list(SIDES.values()))
EVERY_PAIR = pytest.mark.parametrize(("client", "upstream"), [(one, other) for one in PROVIDERS for other in PROVIDERS])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
LIVE = pytest.mark.asyncio(loop_scope="module")
WIDE = "Grüße an 東京 \U0001f680"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dwelling(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with inhabited(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def house(dwelling: House) -> AsyncIterator[House]:
    """Two keys for each vendor, so that a failure would be tried with the other one."""
    await dwelling.furnish(keys=2)
    yield dwelling
    await dwelling.idle()


# Requests.


@pytest.mark.pitfall("C32")
def test_a_tool_message_has_no_name() -> None:
    """Clients of some protocols name what they send back; a Chat tool message knows the call's id only."""
    turns = (
        Turn("user", (Text("Hi"),)),
        Turn("assistant", (ToolCall("call_1", "lookup", "{}"),)),
        Turn("tool", (ToolResult("call_1", (Text("found"),), "lookup"),)),
    )
    built = codec("chat").build(Request("third", "m", turns, (Tool("lookup"),)), Ledger())
    assert built.body["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "found"}


@pytest.mark.pitfall("C105")
@pytest.mark.parametrize("effort", ["none", "minimal", "xhigh", "of_tomorrow"])
def test_a_chat_vendor_hears_the_effort_that_its_client_said(effort: str) -> None:
    trip = begin("chat", "chat", {**LEAST["chat"], "reasoning_effort": effort})
    assert (trip.wire["reasoning_effort"], trip.codes) == (effort, [])


# Answers.


def chunk(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [*choices], **more}


def piece(index: int, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def frames_of(*chunks: Any) -> list[bytes]:
    return [*(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks), b"data: [DONE]\n\n"]


@pytest.mark.pitfall("C182")
def test_usage_is_told_once_however_many_answers_there_are() -> None:
    """Also where the vendor tells it with each of them."""
    spent = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
    says = [chunk(piece(index, content=word)) for index, word in enumerate(("one", "two"))]
    ends = [chunk(piece(index, "stop"), usage=spent) for index in range(2)]
    trip = asked("chat", "chat", {"n": 2, "stream_options": {"include_usage": True}}, stream=True)
    got = streamed(trip, frames_of(*says, *ends))
    told = [data["usage"] for _, data in events_of(got.body) if data != "[DONE]" and data.get("usage")]
    assert [(one["prompt_tokens"], one["completion_tokens"]) for one in told] == [(7, 4)]
    assert broken("chat", events_of(got.body)) == []


@pytest.mark.pitfall("C270")
def test_words_that_come_twice_are_said_twice() -> None:
    """A vendor that repeats all it said so far is declared so, never guessed at."""
    says = [chunk(piece(0, content=word)) for word in ("ha", "ha", "haha")]
    heard = streamed(asked("messages", "chat", {}, stream=True), frames_of(*says, chunk(piece(0, "stop"))))
    deltas = [data["delta"] for _, data in events_of(heard.body) if data["type"] == "content_block_delta"]
    assert deltas == [{"type": "text_delta", "text": word} for word in ("ha", "ha", "haha")]
    whole = answered(asked("messages", "chat", {}), {**ANSWER["chat"], **c_answer("hahahaha")})
    assert whole["content"] == [text("hahahaha")]


def called(name: str, arguments: str, **more: Any) -> dict[str, Any]:
    """A piece of a call."""
    return {**more, "function": {"name": name, "arguments": arguments}}


CALLING: dict[str, Any] = {
    "no index": [called("one", ""), called("two", '{"q":1}'), called("two", '{"q":2}')],
    "one index": [called("one", "", index=0, id="a"), called("two", '{"q":1}', index=0, id="b"),
                  called("two", '{"q":2}', index=0, id="c")],
    "named again": [called("one", "", index=0), called("one", "{}", index=0), called("two", '{"q":1}', index=1),
                    called("two", "", index=1), called("two", '{"q":2}', index=2)],
}  # fmt: skip


@pytest.mark.pitfall("C209", "C269")
@pytest.mark.parametrize("how", CALLING)
def test_calls_stay_apart_and_keep_their_names(how: str) -> None:
    """Also where nothing but a new name, or whole arguments before it, says that another one begins."""
    says = [chunk(piece(0, tool_calls=[one])) for one in CALLING[how]]
    trip = asked("messages", "chat", {"tools": [a_tool("one"), a_tool("two")]}, stream=True)
    heard = streamed(trip, frames_of(*says, chunk(piece(0, "tool_calls"))))
    blocks = folded("messages", heard.body)["content"]
    told = sorted((one["name"], json.dumps(one["input"])) for one in blocks)
    assert told == [("one", "{}"), ("two", '{"q": 1}'), ("two", '{"q": 2}')]
    assert len({one["id"] for one in blocks}) == 3 and broken("messages", events_of(heard.body)) == []


#: Members by which an answer could be taken for an error.
LIKE_AN_ERROR = {"status": "failed", "code": 429, "message": "m", "detail": "d", "type_of": "error", "error": None}


@LIVE
@pytest.mark.pitfall("C256")
@EVERY_PAIR
async def test_an_answer_is_no_error_whatever_its_members_are_called(
    house: House, client: str, upstream: str
) -> None:
    body = {**ANSWER[upstream], **LIKE_AN_ERROR}
    model = house.play(Raw(200, JSON, [json.dumps(body).encode()]))
    answer = await house.ask(client, body_of(client, f"{PROVIDERS[upstream]}/{model}"))
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "1")
    assert b"Hello." in answer.body


REFUSING: dict[str, Any] = {
    "messages": a_answer(stop="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "No."}),
    "chat": c_answer(refusal="No."),
}


@LIVE
@pytest.mark.pitfall("C158")
@EVERY_PAIR
@STREAM
async def test_a_model_that_refuses_has_answered(house: House, client: str, upstream: str, stream: bool) -> None:
    """No other key is asked, and the one that was asked does not rest."""
    body = {**ANSWER[upstream], **REFUSING[upstream]}
    chunks = sent(upstream, unfolded(upstream, body)) if stream else [json.dumps(body).encode()]
    model = house.play(Raw(200, SSE if stream else JSON, chunks))
    answer = await house.ask(client, body_of(client, f"{PROVIDERS[upstream]}/{model}", stream=stream))
    await house.idle()
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "1")
    assert b"No." in answer.body
    assert house.used(upstream) == [1] and house.reasons(upstream, model) == [[], []]


# Both ways.


@LIVE
@pytest.mark.pitfall("C275")
@PAIRS
@STREAM
async def test_texts_are_written_in_utf8_and_not_escaped(
    house: House, client: str, upstream: str, stream: bool
) -> None:
    said = {"chat": c_answer(WIDE), "messages": a_answer(WIDE)}[upstream]
    body = {**ANSWER[upstream], **said}
    chunks = sent(upstream, unfolded(upstream, body)) if stream else [json.dumps(body).encode()]
    model = house.play(Raw(200, SSE if stream else JSON, chunks))
    asking = body_of(client, f"{PROVIDERS[upstream]}/{model}", stream=stream)
    asking["messages"][0]["content"] = WIDE
    answer = await house.ask(client, asking)
    assert answer.status == 200
    assert WIDE.encode() in house.vendor.requests[-1].body
    assert WIDE.encode() in answer.body


@LIVE
@pytest.mark.pitfall("C260")
async def test_without_a_client_key_every_path_serves_alike(house: House) -> None:
    for client, provider in PROVIDERS.items():
        assert (await house.ask(client, body_of(client, f"{provider}/text"))).status == 200
    assert (await counted(house, {"role": "user", "content": "Hi"})).status == 200
    for headers in ({}, {"anthropic-version": "2023-06-01"}):
        async with house.client.get(f"{house.proxy.url}/v1/models", headers=headers) as reply:
            assert reply.status == 200


# Counts of tokens.


async def counted(house: House, *messages: Any, **more: Any) -> Any:
    """The count of a conversation where the vendor cannot count."""
    body = {"model": f"{PROVIDERS['chat']}/text", "messages": [*messages], **more}
    return await house.ask("messages", body, path=COUNT_PATH)


@LIVE
@pytest.mark.pitfall("C133")
async def test_an_estimate_counts_thinking_of_earlier_turns(house: House) -> None:
    """Newer models bill it as input."""
    thinking = {"type": "thinking", "thinking": "Hm, I wonder. " * 100, "signature": "c2ln"}
    counts = []
    for thought in ([], [thinking]):
        said = {"role": "assistant", "content": [*thought, text("Hello.")]}
        turns = [{"role": "user", "content": "Hi"}, said, {"role": "user", "content": "Go on"}]
        counts.append((await counted(house, *turns)).json["input_tokens"])
    assert counts[1] - counts[0] >= 300


@LIVE
@pytest.mark.pitfall("C200")
@pytest.mark.parametrize("block", [
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}},
    {"type": "image", "source": {"type": "url", "url": "https://img.example/cat.png"}},
    {"type": "search_result", "source": "https://s.example", "title": "S", "content": [text("Found.")]},
    {"type": "hologram", "x": 1},
], ids=lambda block: block["type"])  # fmt: skip
async def test_a_count_of_what_nobody_knows_is_no_failure(house: House, block: dict[str, Any]) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    answer = await counted(house, {"role": "user", "content": [text("Hi"), block]}, tools=[search])
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert answer.json["input_tokens"] > 0
    else:
        assert answer.json["type"] == "error" and "messages[0].content[1]" in answer.error["message"]
