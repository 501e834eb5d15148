"""Pitfalls of protocols.md 5 that no row of the tables holds: through the codecs, or through the whole server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.upstreams import JSON, PATHS, SSE, Gate, House, Raw

from .codecs import asked, begin, laid, streamed
from .frames import DONE, a_stream, chunk, events_of, first, sent, thoughts, using, words
from .staging import provider, staged
from .unfolding import unfolded
from .words import (
    A_TOOLS,
    ANSWER,
    C_TOOLS,
    CAT,
    GO,
    HI,
    LEAST,
    MODEL,
    PNG,
    a_base64,
    a_image,
    a_result,
    a_use,
    assistant,
    c_call,
    c_calling,
    c_image,
    c_result,
    c_tool,
    compact,
    says,
    text,
    user,
)

PAIRS = pytest.mark.parametrize(("client", "upstream"), [("chat", "messages"), ("messages", "chat")])
#: Arguments that read like a schema with all that a cleaner would take out.
SCHEMA_LIKE = {
    "$schema": "x",
    "type": ["string", "null"],
    "properties": {"a": {"type": "STRING", "required": True}},
    "additionalProperties": False,
    "anyOf": [{"const": 1}],
    "x-vendor": None,
}
CITED = {"type": "char_location", "cited_text": "words", "document_index": 0, "document_title": None,
         "start_char_index": 0, "end_char_index": 5}  # fmt: skip


def wire(client: str, upstream: str, more: Any) -> Any:
    """What the upstream gets of a request."""
    return begin(client, upstream, laid(LEAST[client], more)).wire


def values(data: Any) -> Iterator[Any]:
    """Everything that stands in some JSON."""
    yield data
    for inner in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from values(inner)


# ------------------------------------------------------------ requests


@pytest.mark.pitfall("P-54")
def test_images_stand_inside_results_or_behind_them_all() -> None:
    shown = c_image(f"data:image/png;base64,{PNG}")
    calls = c_calling(c_call("a"), c_call("b"))
    inside = says(HI, calls, c_result(shown, id="a"), c_result("two", id="b"), tools=C_TOOLS)
    assert wire("chat", "messages", inside)["messages"][-1] == user(
        a_result(a_base64(), id="a"), a_result("two", id="b")
    )
    between = says(HI, calls, c_result("one", id="a"), user(c_image(CAT)), c_result("two", id="b"), tools=C_TOOLS)
    assert wire("chat", "messages", between)["messages"][-1] == user(
        a_result("one", id="a"), a_result("two", id="b"), a_image(type="url", url=CAT)
    )


@pytest.mark.pitfall("P-71")
@pytest.mark.parametrize("given", ["x", [1, "x"], 7], ids=["text", "list", "number"])
def test_input_that_is_no_object_survives(given: Any) -> None:
    history = says(HI, assistant(a_use(input=given)), user(a_result("found")), tools=A_TOOLS)
    [call] = wire("messages", "chat", history)["messages"][1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == given
    said = says(HI, c_calling(c_call(arguments=compact(given))), c_result("found"), tools=C_TOOLS)
    [block] = wire("chat", "messages", said)["messages"][1]["content"]
    assert block["input"] == {"_raw": given}


@pytest.mark.pitfall("P-90")
def test_signatures_of_any_model_go_back_to_their_own_protocol() -> None:
    """No rule of Claude's is laid upon blocks of a model that only speaks its protocol."""
    block = {"type": "thinking", "thinking": "Hm.", "signature": "not/what~Claude.signs"}
    body = laid({**LEAST["messages"], "model": "minimax-m9"}, says(HI, assistant(block, text("Hello.")), GO))
    assert begin("messages", "messages", body).wire == body


@pytest.mark.pitfall("P-91")
def test_nobody_elses_proof_of_reasoning_is_sent() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "c2lnbmVk", "index": 0},
        {"type": "reasoning.encrypted", "data": "gAAAAencrypted", "index": 1},
    ]
    built = wire("chat", "messages", says(HI, assistant("Hello.", reasoning_details=details), GO))
    assert not {"thinking", "redacted_thinking"} & {one.get("type") for one in values(built) if isinstance(one, dict)}
    shown = json.dumps(built)
    assert "c2lnbmVk" not in shown and "gAAAAencrypted" not in shown
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    hidden = {"type": "redacted_thinking", "data": "gAAAAencrypted"}
    shown = json.dumps(wire("messages", "chat", says(HI, assistant(thought, hidden, text("Hello.")), GO)))
    assert "c2lnbmVk" not in shown and "gAAAAencrypted" not in shown


@pytest.mark.pitfall("P-97", loss="citations.history")
def test_citations_in_a_users_text_do_not_cross() -> None:
    trip = begin("messages", "chat", laid(LEAST["messages"], says(user(text("words", citations=[CITED])))))
    assert (trip.wire["messages"], trip.codes) == ([user("words")], ["citations.history"])


@pytest.mark.pitfall("P-99")
def test_arguments_that_look_like_a_schema_are_no_schema() -> None:
    said = says(HI, c_calling(c_call(arguments=compact(SCHEMA_LIKE))), c_result("found"), tools=C_TOOLS)
    assert wire("chat", "messages", said)["messages"][1]["content"] == [a_use(input=SCHEMA_LIKE)]
    used = says(HI, assistant(a_use(input=SCHEMA_LIKE)), user(a_result("found")), tools=A_TOOLS)
    [call] = wire("messages", "chat", used)["messages"][1]["tool_calls"]
    assert call["function"]["arguments"] == compact(SCHEMA_LIKE)


# ------------------------------------------------------------ answers


def choices(body: bytes) -> list[Any]:
    return [one for _, data in events_of(body) if data != "[DONE]" for one in data["choices"]]


@pytest.mark.pitfall("P-142")
def test_blocks_do_not_number_the_answers() -> None:
    """Neither do calls: all of one answer is choice 0."""
    upstream = a_stream(thoughts(0, "Hm."), words(1, "Hello."), using(2, "{}"), words(3, "So."), stop="tool_use")
    heard = streamed(asked("chat", "messages", {"tools": [c_tool()]}, stream=True), sent("messages", upstream))
    assert len(choices(heard.body)) > 5
    assert {one["index"] for one in choices(heard.body)} == {0}


@pytest.mark.pitfall("P-143")
def test_each_of_several_answers_keeps_its_index() -> None:
    upstream = [
        chunk({"role": "assistant"}, index=0),
        chunk({"role": "assistant"}, index=1),
        chunk({"content": "One"}, index=0),
        chunk({"content": "Two"}, index=1),
        chunk(first(0, "{}"), index=1),
        chunk(finish="tool_calls", index=1),
        chunk(finish="stop", index=0),
        DONE,
    ]
    heard = streamed(asked("chat", "chat", {"n": 2, "tools": [c_tool()]}, stream=True), sent("chat", upstream))
    told = {index: [one for one in choices(heard.body) if one["index"] == index] for index in (0, 1)}
    said = {index: "".join(one["delta"].get("content") or "" for one in own) for index, own in told.items()}
    ends = {index: [one["finish_reason"] for one in own if one["finish_reason"]] for index, own in told.items()}
    assert (said, ends) == ({0: "One", 1: "Two"}, {0: ["stop"], 1: ["tool_calls"]})
    assert {one["index"] for one in choices(heard.body) if one["delta"].get("tool_calls")} == {1}


@pytest.mark.pitfall("P-58", "P-64")
def test_the_same_history_has_the_same_ids_in_each_request() -> None:
    """Also those that were made up, and also when the conversation has gone on."""
    steps = [HI, c_calling(c_call(""), c_call("a:b")), c_result("one", id=""), c_result("two", id="a:b"), GO]
    short, long = (
        wire("chat", "messages", says(*steps, *more, tools=C_TOOLS)) for more in ([], [assistant("So."), GO])
    )
    ids = [block["id"] for block in short["messages"][1]["content"]]
    assert [block["tool_use_id"] for block in short["messages"][2]["content"][:2]] == ids
    assert long["messages"][1] == short["messages"][1]


# ------------------------------------------------------------ through the server

#: An answer of Responses, which a wrong base URL may bring.
FOREIGN = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with staged(tmp_path_factory.mktemp("house")) as running:
        yield running


def request(client: str, upstream: str, lane: str, stream: bool) -> dict[str, Any]:
    return {**LEAST[client], "model": f"{provider(upstream, lane)}/{MODEL}", "stream": stream}


def line(house: House) -> str:
    """The last request as the log tells it."""
    house.proxy.core.lines.flush()
    return house.proxy.lines.getvalue().rstrip().splitlines()[-1]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.pitfall("P-148")
@pytest.mark.parametrize("client", ["chat", "messages"])
@pytest.mark.parametrize("lane", ["raw", "translate"])
async def test_another_protocols_answer_is_an_error(house: House, client: str, lane: str) -> None:
    house.vendor.script(MODEL, Raw(200, JSON, [json.dumps(FOREIGN).encode()]))
    whole = await house.ask(client, request(client, "chat", lane, False))
    assert (whole.status, "it answers in the Responses format" in whole.error["message"]) == (502, True)
    events = [{"type": "response.created", "response": FOREIGN}, {"type": "response.completed", "response": FOREIGN}]
    house.vendor.script(MODEL, Raw(200, SSE, sent("messages", events)))
    assert (await house.ask(client, request(client, "chat", lane, True))).status == 502


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.pitfall("P-133")
@PAIRS
@pytest.mark.parametrize("lane", ["raw", "translate"])
async def test_who_leaves_behind_the_last_frame_has_had_it_all(
    house: House, client: str, upstream: str, lane: str
) -> None:
    """The vendor holds its connection open behind the end; the client closes at once when it has read the end."""
    asker = upstream if lane == "raw" else client
    frames, gate = sent(upstream, unfolded(upstream, ANSWER[upstream])), Gate()
    gate.release(len(frames))
    house.vendor.script(MODEL, Raw(200, SSE, [*frames, b": late\n\n"], gate))
    body = json.dumps(request(asker, upstream, lane, True)).encode()
    host, _, port = house.proxy.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATHS[asker]} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    last = b"data: [DONE]\n\n" if asker == "chat" else b'data: {"type":"message_stop"}\n\n'
    async with asyncio.timeout(5):
        await reader.readuntil(last)
        writer.close()
        await house.idle()
    gate.open()
    assert " 200 " in line(house) and "client gone" not in line(house)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.pitfall("P-125")
@pytest.mark.parametrize("client", ["chat", "messages"])
async def test_a_mistake_inside_tells_nothing_of_the_inside(
    house: House, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError("/opt/rotator/secret.py of ours")

    monkeypatch.setattr(house.proxy.core.world.router, "resolve", broken, raising=True)
    answer = await house.ask(client, request(client, client, "raw", False))
    assert (answer.status, answer.error["message"]) == (500, "the proxy failed on this request")
    assert b"secret" not in answer.body and b"LookupError" not in answer.body


@pytest.mark.pitfall("P-149")
def test_a_call_that_is_told_twice_is_one() -> None:
    twice = {**c_calling(c_call()), "content": [text("See:"), a_use()]}
    built = wire("chat", "messages", says(HI, twice, c_result("found"), tools=C_TOOLS))
    assert built["messages"][1:] == [assistant(text("See:"), a_use()), user(a_result("found"))]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.pitfall("C183")
@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_vendor_says_of_the_price_stays_in_its_own_protocol(house: House, stream: bool) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "cost": 0.0125, "cost_details": {"up": 1}}
    said = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "finish_reason": "stop", "delta" if stream else "message": said}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    text_of = json.dumps(body).encode()
    chunks = [b"data: %b\n\n" % text_of, b"data: [DONE]\n\n"] if stream else [text_of]
    for client, lane in (("chat", "translate"), ("chat", "raw"), ("messages", "translate")):
        house.vendor.script(MODEL, Raw(200, SSE if stream else JSON, chunks))
        wanted = {**request(client, "chat", lane, stream), "stream": stream}
        if client == "chat" and stream:
            wanted["stream_options"] = {"include_usage": True}
        answer = await house.ask(client, wanted)
        assert answer.status == 200
        assert (b'"cost":0.0125' in answer.body.replace(b" ", b"")) is (client == "chat")
