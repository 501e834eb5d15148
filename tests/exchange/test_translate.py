"""The translate lane through the whole proxy: each client on the other's vendor, whole and in streams, and its ends."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.exchange.staging import SPARE_KEYS, SPARES, events, furnish, lead, served
from tests.upstreams import (
    FRAMES,
    JSON,
    PATIENCE_SECONDS,
    PROVIDERS,
    SSE,
    UNTIL_FINISH,
    WHOLE,
    Answer,
    Gate,
    House,
    Play,
    Raw,
    Reply,
    body_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: A client's protocol and the other one, which its vendor speaks.
CROSS = pytest.mark.parametrize(("client", "vendor"), [("chat", "messages"), ("messages", "chat")])
OTHER = {"chat": "messages", "messages": "chat"}


def crossing(client: str, model: str, **more: Any) -> dict[str, Any]:
    """The smallest request of a client for a model of the other protocol's provider."""
    return body_of(client, f"{PROVIDERS[OTHER[client]]}/{model}", **more)


async def crossed(house: House, client: str, model: str, **more: Any) -> Answer:
    return await house.ask(client, crossing(client, model, **more))


def said(client: str, answer: Answer) -> str:
    """The text of a whole answer or a stream."""
    if answer.headers["content-type"].startswith("application/json"):
        whole = answer.json
        if client == "chat":
            return str(whole["choices"][0]["message"]["content"])
        return "".join(block["text"] for block in whole["content"] if block["type"] == "text")
    deltas = [data for _, data in events(answer.body.replace(b": ping\n\n", b"")) if isinstance(data, dict)]
    if client == "chat":
        return "".join(one["choices"][0]["delta"].get("content") or "" for one in deltas if one["choices"])
    return "".join(one["delta"].get("text", "") for one in deltas if one["type"] == "content_block_delta")


@CROSS
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_is_served_by_the_other_protocols_vendor(
    house: House, client: str, vendor: str, stream: bool
) -> None:
    model = house.play(Play("unicode"))
    answer = await crossed(house, client, model, stream=stream)
    own = await house.call(client, house.play(Play("unicode")), stream=stream)
    assert (answer.status, said(client, answer)) == (200, said(client, own))
    told = {name: answer.headers[f"x-rotator-{name}"] for name in ("lane", "provider", "model", "attempts")}
    assert told == {"lane": "translate", "provider": PROVIDERS[vendor], "model": model, "attempts": "1"}
    public = f'"model":"{PROVIDERS[vendor]}/{model}"'.encode()
    assert public in answer.body and f'"model":"{model}"'.encode() not in answer.body
    sent = json.loads(house.vendor.requests[-2].body)
    assert sent["model"] == model and sent.get("stream", False) is stream


@pytest.mark.pitfall("C202")
@CROSS
async def test_no_header_of_a_client_goes_to_another_protocols_vendor(
    house: House, client: str, vendor: str
) -> None:
    own = {"anthropic-version": "2026-10-21", "anthropic-beta": "x-2026-01-01"}
    headers = {**own, "openai-beta": "y", "idempotency-key": "k"}
    answer = await house.ask(client, crossing(client, house.play(Play("text"))), headers=headers)
    seen = house.vendor.requests[-1]
    assert answer.status == 200
    assert seen.header("anthropic-version") == ("2026-10-21" if vendor == "messages" else "")
    assert [seen.header(name) for name in ("anthropic-beta", "openai-beta", "idempotency-key")] == ["", "", ""]
    assert not {"request-id", "x-request-id"} & answer.names


@pytest.mark.parametrize("client", PROVIDERS)
@pytest.mark.parametrize("stream", [False, True])
async def test_equal_protocols_are_translated_where_the_provider_wants_it(
    house: House, client: str, stream: bool
) -> None:
    await furnish(house, lane="translate")
    answer = await house.call(client, house.play(Play("text")), stream=stream)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "translate")
    assert "x-rotator-warnings" not in answer.headers
    assert said(client, answer).startswith("Hello from the demo vendor!")


# What a stream looks like piece by piece.


def named(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


def block(start: Mapping[str, Any], deltas: Sequence[Mapping[str, Any]], stop: str) -> list[bytes]:
    """A Messages stream of one block."""
    pieces = [named("content_block_delta", index=0, delta=delta) for delta in deltas]
    begun = [FRAMES["messages"][0], named("content_block_start", index=0, content_block=start)]
    last = named("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 3})
    return [*begun, *pieces, named("content_block_stop", index=0), last, FRAMES["messages"][-1]]


WORDS = [f"w{place} " for place in range(6)]
#: Pieces of a call's arguments that are JSON together, each with one of the words in it.
ARGUMENTS = [*(f'{"," if place else "{"}"w{place} ":1' for place in range(5)), ',"w5 ":1}']


def call_of(arguments: str, place: int) -> dict[str, Any]:
    opening = {"id": "call_1", "type": "function"} if not place else {}
    function = {"arguments": arguments} if place else {"name": "f", "arguments": arguments}
    return {"tool_calls": [{"index": 0, **opening, "function": function}]}


THINKING = {"type": "thinking", "thinking": "", "signature": ""}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
SIGNED = {"type": "signature_delta", "signature": "c2ln"}
DONE = [FRAMES["chat"][-1]]
#: Kind of output -> vendor's protocol -> its frames, in which each of the words stands in one frame.
STREAMS: dict[str, dict[str, list[bytes]]] = {
    "text": {
        "chat": [*(chunk(content=word) for word in WORDS), chunk("stop"), *DONE],
        "messages": block(
            {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in WORDS], "end_turn"
        ),
    },
    "reasoning": {
        "chat": [*(chunk(reasoning_content=word) for word in WORDS), chunk(content="x"), chunk("stop"), *DONE],
        "messages": block(
            THINKING, [*({"type": "thinking_delta", "thinking": word} for word in WORDS), SIGNED], "end_turn"
        ),
    },
    "arguments": {
        "chat": [
            *(chunk(**call_of(piece, place)) for place, piece in enumerate(ARGUMENTS)), chunk("tool_calls"), *DONE
        ],
        "messages": block(TOOL, [{"type": "input_json_delta", "partial_json": one} for one in ARGUMENTS], "tool_use"),
    },
}  # fmt: skip
MEMBERS = {
    ("text", "chat"): "content", ("text", "messages"): "text",
    ("reasoning", "chat"): "reasoning_content", ("reasoning", "messages"): "thinking",
    ("arguments", "chat"): "arguments", ("arguments", "messages"): "partial_json",
}  # fmt: skip


@CROSS
@pytest.mark.parametrize("what", STREAMS)
async def test_every_piece_is_shown_before_the_vendor_sends_the_next(
    house: House, client: str, vendor: str, what: str
) -> None:
    frames = STREAMS[what][vendor]
    first = next(place for place, frame in enumerate(frames) if b"w0 " in frame)
    gate = Gate()
    gate.release(first + 1)
    body = crossing(client, house.play(Raw(200, SSE, frames, gate)), stream=True)
    seen = b""
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(client, body) as reply:
        for word in WORDS:
            while word.encode() not in (shown := await reply.content.readuntil(b"\n\n")):
                seen += shown
            seen += shown
            gate.release()
        gate.open()
        answer = Answer(reply.status, reply.headers, seen + await reply.read())
    assert pieces_of(answer, MEMBERS[what, client]) == (ARGUMENTS if what == "arguments" else WORDS)
    assert answer.body.endswith(b"data: [DONE]\n\n" if client == "chat" else b'data: {"type":"message_stop"}\n\n')


def pieces_of(answer: Answer, member: str) -> list[str]:
    """Every string that stands under a member's name in the deltas of a stream, empty ones and "x" apart."""
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(one for name, one in value.items() if name == member and isinstance(one, str))
            for one in value.values():
                look(one)
        elif isinstance(value, list):
            for one in value:
                look(one)

    for _, data in shapes(answer):
        if isinstance(data, dict):
            look(data.get("choices") or data.get("delta"))
    return [one for one in found if one not in ("", "x")]


# What cannot be said.

async def test_what_the_target_cannot_say_is_refused_before_it_is_asked(house: House) -> None:
    before = len(house.vendor.requests)
    answer = await crossed(house, "chat", "text", n=2)
    assert (answer.status, answer.error["param"], answer.headers["x-should-retry"]) == (400, "n", "false")
    assert "x-rotator-attempts" not in answer.headers and len(house.vendor.requests) == before
    assert house.reasons("messages", "text") == [[]]


@pytest.mark.pitfall("C255")
async def test_another_target_may_be_able_to_say_it(house: House) -> None:
    world = await furnish(house)
    await lead(house, world, "chat", "claudish:messages/text", "vendor:chat/text")
    answer = await house.call("chat", "any", n=2)
    assert (answer.status, answer.headers["x-rotator-provider"]) == (200, "vendor")
    assert [choice["index"] for choice in answer.json["choices"]] == [0, 1]


async def test_losses_are_told_in_a_header_with_their_places(house: House) -> None:
    answer = await crossed(house, "messages", "text", top_k=3)
    assert answer.status == 200
    assert json.loads(answer.headers["x-rotator-warnings"]) == [{"code": "sampling.top_k", "path": "top_k"}]
    stream = await crossed(house, "messages", "text", top_k=3, stream=True)
    assert stream.headers["x-rotator-warnings"] == answer.headers["x-rotator-warnings"]
    assert "x-rotator-warnings" not in (await crossed(house, "messages", "text")).headers


# How it ends.

@CROSS
@pytest.mark.parametrize("stream", [False, True])
async def test_a_vendors_error_comes_in_the_clients_envelope(
    house: House, client: str, vendor: str, stream: bool
) -> None:
    answer = await crossed(house, client, house.play(Reply(404)), stream=stream)
    assert answer.status == 404
    kind = answer.error["type"]
    assert kind == ("not_found_error" if client == "messages" else "invalid_request_error")
    assert ("type" in answer.json) is (client == "messages")
    limited = await crossed(house, client, house.play(Reply(429, {"retry-after": "90"})), stream=stream)
    assert (limited.status, limited.headers["retry-after"], limited.headers["x-should-retry"]) == (429, "90", "false")


IN_BAND = {
    "chat": b'data: {"error":{"message":"It broke","type":"server_error","param":null,"code":null}}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"It broke"}}\n\n',
}


def last_error(client: str, answer: Answer) -> Mapping[str, Any]:
    """The error in the last frame, and nothing that looks like an end."""
    name, data = events(answer.body.replace(b": ping\n\n", b""))[-1]
    assert name == ("" if client == "chat" else "error")
    assert b"[DONE]" not in answer.body and b"message_stop" not in answer.body
    found: Mapping[str, Any] = data["error"]
    return found


@CROSS
async def test_an_error_in_the_middle_of_a_stream_is_told_in_the_clients_words(
    house: House, client: str, vendor: str
) -> None:
    frames = [*FRAMES[vendor][: UNTIL_FINISH[vendor] - 2], IN_BAND[vendor], *FRAMES[vendor][-2:]]
    gate = Gate()
    gate.release(len(frames) - 3)
    model = house.play(Raw(200, SSE, frames, gate))
    async with house.asking(client, crossing(client, model, stream=True)) as reply:
        seen = await reply.content.readuntil(b"one ")
        gate.open()
        answer = Answer(reply.status, reply.headers, seen + await reply.read())
    error = last_error(client, answer)
    assert error["message"] == "It broke"
    assert error["type"] == {"chat": "service_unavailable_error", "messages": "api_error"}[client]


@CROSS
async def test_an_error_before_anything_showed_is_tried_with_another_key(
    house: House, client: str, vendor: str
) -> None:
    await house.furnish(keys=2)
    broken = Raw(200, SSE, [FRAMES[vendor][0], IN_BAND[vendor]])
    answer = await crossed(house, client, house.play(broken, Play("text")), stream=True)
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")
    assert said(client, answer).startswith("Hello")
    assert answer.body.count(b'"role":"assistant"') == 1


ENDINGS: dict[str, Any] = {
    "early": lambda frames, finish: (frames[: finish - 1], "truncated"),
    "no JSON": lambda frames, finish: ([*frames[: finish - 1], b"data: {half\n\n"], "bad_event"),
    "no object": lambda frames, finish: ([*frames[: finish - 1], b"data: [1]\n\n"], "bad_event"),
    "half a frame": lambda frames, finish: ([*frames[: finish - 1], frames[finish - 1][:20]], "truncated"),
}


@CROSS
@pytest.mark.parametrize("how", ENDINGS)
async def test_what_is_no_end_is_told_as_an_error(house: House, client: str, vendor: str, how: str) -> None:
    chunks, code = ENDINGS[how](list(FRAMES[vendor]), UNTIL_FINISH[vendor])
    gate = Gate()
    gate.release(len(chunks) - 1)
    model = house.play(Raw(200, SSE, chunks, gate))
    async with house.asking(client, crossing(client, model, stream=True)) as reply:
        seen = await reply.content.readuntil(b"one ")
        gate.open()
        answer = Answer(reply.status, reply.headers, seen + await reply.read())
    error = last_error(client, answer)
    assert error["message"].startswith("upstream: ")
    if client == "chat":
        assert error["code"] == code


@CROSS
async def test_a_finished_stream_without_its_terminal_gets_the_clients(
    house: House, client: str, vendor: str
) -> None:
    for frames in (FRAMES[vendor][:-1], [*FRAMES[vendor][:-2], FRAMES[vendor][-2].rstrip(b"\n")]):
        answer = await crossed(house, client, house.play(Raw(200, SSE, frames)), stream=True)
        terminal = FRAMES[client][-1]
        assert (answer.status, said(client, answer)) == (200, "one two")
        assert answer.body.endswith(terminal) and answer.body.count(terminal) == 1


@CROSS
async def test_what_follows_the_terminal_is_withheld(house: House, client: str, vendor: str) -> None:
    frames = [*FRAMES[vendor], STREAMS["text"][vendor][2], *FRAMES[vendor]]
    answer = await crossed(house, client, house.play(Raw(200, SSE, frames)), stream=True)
    together = await crossed(house, client, house.play(Raw(200, SSE, [b"".join(frames)])), stream=True)
    assert said(client, answer) == said(client, together) == "one two"


@CROSS
async def test_a_vendor_that_never_tells_a_finish_just_ends(house: House, client: str, vendor: str) -> None:
    await furnish(house, ends_without_finish=True)
    frames = FRAMES[vendor][: UNTIL_FINISH[vendor] - 1]
    answer = await crossed(house, client, house.play(Raw(200, SSE, frames)), stream=True)
    assert said(client, answer) == "one two"
    finish = b'"finish_reason":"stop"' if client == "chat" else b'"stop_reason":"end_turn"'
    assert finish in answer.body and b"error" not in answer.body


@CROSS
async def test_usage_is_counted_and_estimated_where_the_vendor_tells_none(
    house: House, client: str, vendor: str
) -> None:
    body = crossing(client, house.play(Raw(200, JSON, [WHOLE[vendor]])))
    answer = await house.ask(client, body)
    usage = answer.json["usage"]
    name = "prompt_tokens" if client == "chat" else "input_tokens"
    assert usage[name] == len(json.dumps(body)) // 4
    counted = await crossed(house, client, house.play(Play("text")))
    own = await house.call(client, house.play(Play("text")))
    fields = ("prompt_tokens", "completion_tokens") if client == "chat" else ("input_tokens", "output_tokens")
    assert [counted.json["usage"][one] for one in fields] == [own.json["usage"][one] for one in fields]


async def test_a_chat_client_gets_usage_in_streams_only_when_it_asks(house: House) -> None:
    plain = await crossed(house, "chat", house.play(Play("text")), stream=True)
    asked = await crossed(house, "chat", house.play(Play("text")), stream=True, stream_options={"include_usage": True})
    assert b'"usage":{' not in plain.body and b'"choices":[],"usage":{' in asked.body
    own = await crossed(house, "messages", house.play(Play("text")), stream=True)
    assert json.loads(house.vendor.requests[-1].body)["stream_options"] == {"include_usage": True}
    assert b'"output_tokens":25' in own.body


@CROSS
async def test_a_document_where_a_stream_was_asked_for_is_an_error(house: House, client: str, vendor: str) -> None:
    answer = await crossed(house, client, house.play(Raw(200, JSON, [WHOLE[vendor]])), stream=True)
    assert answer.status == 502 and "whole answer" in answer.error["message"]
    empty = await crossed(house, client, house.play(Raw(200, JSON, [b"{}"])))
    assert (empty.status, empty.error["message"][:24]) == (502, "upstream: the answer hol")


@CROSS
async def test_heartbeats_before_the_first_output(house: House, client: str, vendor: str) -> None:
    gate = Gate()
    await house.furnish(STREAM_HEARTBEAT_SECONDS="0.02")
    model = house.play(Raw(200, SSE, FRAMES[vendor], gate))
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(client, crossing(client, model, stream=True)) as reply:
        assert await reply.content.readexactly(2) == b"\n\n"
        gate.open()
        answer = Answer(reply.status, reply.headers, (await reply.read()).lstrip(b"\n"))
    assert said(client, answer) == "one two"


@CROSS
@pytest.mark.parametrize("pieces", [1, 3, 7])
async def test_any_pieces_of_the_body_make_the_same_stream(
    house: House, client: str, vendor: str, pieces: int
) -> None:
    body = b"".join(FRAMES[vendor])
    chunks = [body[start : start + pieces] for start in range(0, len(body), pieces)]
    whole = await crossed(house, client, house.play(Raw(200, SSE, [body])), stream=True)
    cut = await crossed(house, client, house.play(Raw(200, SSE, chunks)), stream=True)
    assert said(client, cut) == said(client, whole) == "one two"
    assert [kind(one) for one in shapes(cut)] == [kind(one) for one in shapes(whole)]


def shapes(answer: Answer) -> Sequence[tuple[str, Any]]:
    return events(answer.body.replace(b": ping\n\n", b""))


def kind(event: tuple[str, Any]) -> tuple[str, Any]:
    """An event without what is minted for each answer."""
    name, data = event
    if not isinstance(data, dict):
        return event
    plain = {key: value for key, value in data.items() if key not in ("id", "created", "model")}
    if isinstance(plain.get("message"), dict):
        plain["message"] = {key: value for key, value in plain["message"].items() if key not in ("id", "model")}
    return name, plain


async def test_a_spare_target_serves_when_the_first_vendor_is_down(house: House) -> None:
    world = await house.furnish(config={"providers": served(house.vendor.url)}, **SPARE_KEYS)
    model = house.play(Reply(500))
    await lead(house, world, "chat", f"claudish:messages/{model}", f"{SPARES['chat']}:chat/text")
    answer = await house.call("chat", "any")
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "raw")


@CROSS
async def test_what_codecs_keep_of_a_stream_has_a_limit(house: House, client: str, vendor: str) -> None:
    await house.furnish(config={"limits": {"response_body_bytes": 4_096}})
    frames = STREAMS["arguments"][vendor]
    first = next(place for place, frame in enumerate(frames) if b"w1 " in frame)
    many = [*frames[: first + 1], *frames[first : first + 1] * 100]
    gate = Gate()
    gate.release(first + 1)
    body = crossing(client, house.play(Raw(200, SSE, many, gate)), stream=True)
    async with asyncio.timeout(PATIENCE_SECONDS), house.asking(client, body) as reply:
        seen = await reply.content.readuntil(b"w0 ")
        gate.open()
        answer = Answer(reply.status, reply.headers, seen + await reply.read())
    assert "more beside its words than 4096 bytes" in last_error(client, answer)["message"]
    words = STREAMS["text"][vendor]
    long = [*words[:-3], *words[2:3] * 200, *words[-3:]]
    passed = await crossed(house, client, house.play(Raw(200, SSE, long)), stream=True)
    assert passed.body.endswith(FRAMES[client][-1])
