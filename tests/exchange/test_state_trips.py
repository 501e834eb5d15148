"""Reasoning state over several turns through clients of either protocol: home again, or nowhere at all.

The vendor of Messages signs its thinking for text, place, model and key, and refuses any other.
"""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.exchange.staging import lead
from tests.upstreams import JSON, SSE, House, Play, Raw, Reply, body_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
TOOLS: Any = [{"name": "get_weather", "description": "now", "input_schema": SCHEMA}]
THINKING: Any = {"type": "adaptive"}
PIN = "x-rotator-credential"
#: Signatures that nobody here made; each is new: what was refused once is remembered.
SOMEBODYS = map("c29tZWJvZHk{}=".format, count()).__next__
STATES = {"thinking": "signature", "redacted_thinking": "data"}
TEXT = "messages.1.content.0: Invalid `signature` in `thinking` block"
REFUSED = Reply(400, body={"type": "error", "error": {"type": "invalid_request_error", "message": TEXT}})
STREAMS = pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])


@pytest_asyncio.fixture(loop_scope="module")
async def pair(dwelling: House) -> AsyncIterator[House]:
    """The house with two keys for each provider, as two accounts have them."""
    await dwelling.furnish(keys=2)
    yield dwelling
    await dwelling.idle()


@pytest_asyncio.fixture(loop_scope="module")
async def chat(pair: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="x", base_url=pair.proxy.chat_base, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def messages(pair: House) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="x", base_url=pair.proxy.url, max_retries=0) as client:
        yield client


def pinned(provider: str, number: int) -> dict[str, str]:
    return {PIN: f"{provider}#{number}"}


def thinking_model(house: House, model: str = "thinking-tools") -> str:
    """A model of the vendor's that thinks before it calls and before it speaks."""
    return f"claudish/{house.play(Play(model))}"


def sent_up(house: House, last: int = -1) -> Any:
    return json.loads(house.vendor.requests[last].body)


def signed(body: Any) -> list[str]:
    """The signatures and hidden thoughts in a Messages request."""
    blocks = [block for one in body["messages"] if isinstance(one["content"], list) for block in one["content"]]
    return [block[STATES[block["type"]]] for block in blocks if block["type"] in STATES]


async def spoken(client: openai.AsyncOpenAI, streams: bool, **asked: Any) -> tuple[Any, Any]:
    """An answer's message as a user keeps it in the history, and the headers."""
    if not streams:
        raw = await client.chat.completions.with_raw_response.create(**asked)
        return raw.parse().choices[0].message.model_dump(exclude_none=True), raw.headers
    async with client.chat.completions.stream(**asked) as stream:
        async for _ in stream:
            pass
        message = (await stream.get_final_completion()).choices[0].message
        kept = message.model_dump(exclude_none=True, exclude={"parsed"})
        for call in kept.get("tool_calls", ()):
            call["function"].pop("parsed_arguments", None)
        return kept, stream._response.headers


def answered(message: Any) -> list[Any]:
    return [{"role": "tool", "tool_call_id": one["id"], "content": "sunny"} for one in message["tool_calls"]]


@STREAMS
@pytest.mark.parametrize(("model", "blocks"), [("thinking-tools", 1), ("interleaved", 3)])
async def test_signatures_come_home_through_a_chat_client(
    pair: House, chat: openai.AsyncOpenAI, streams: bool, model: str, blocks: int
) -> None:
    """Also hidden ones, and those of thoughts between words and calls: each stands again where it stood."""
    asked: Any = {"model": thinking_model(pair, model), "tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    for turn in range(2):
        first, _ = await spoken(chat, streams, **asked, messages=history)
        assert first["reasoning_content"] and first["tool_calls"]
        details = first["reasoning_details"]
        assert all(entry.get("signature", entry.get("data")).startswith("rot1.") for entry in details)
        history += [first, *answered(first)]
        second, headers = await spoken(chat, streams, **asked, messages=history)
        assert "Thank you, the tool result arrived" in second["content"]
        assert "x-rotator-warnings" not in headers and "x-rotator-repair" not in headers
        history += [second, {"role": "user", "content": "And now?"}]
        assert len(signed(sent_up(pair))) == blocks * (2 * turn + 1)
    keys = {one.key for one in list(pair.vendor.requests)[-4:]}
    assert len(keys) == 1, "reasoning that is bound to an account keeps its conversation there, without a session"


@pytest.mark.pitfall("C123", "C125")
@STREAMS
async def test_another_account_never_sees_a_foreign_signature(
    pair: House, chat: openai.AsyncOpenAI, streams: bool
) -> None:
    asked: Any = {"model": thinking_model(pair), "tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    first, _ = await spoken(chat, streams, **asked, messages=history, extra_headers=pinned("claudish", 1))
    history += [first, *answered(first)]
    second, headers = await spoken(chat, streams, **asked, messages=history, extra_headers=pinned("claudish", 2))
    assert second["content"].startswith("Thank you")
    assert signed(sent_up(pair)) == [] and "rot1." not in json.dumps(sent_up(pair))
    assert {"code": "reasoning.state", "detail": "of another account"} in json.loads(headers["x-rotator-warnings"])
    assert "x-rotator-repair" not in headers
    third, headers = await spoken(chat, streams, **asked, messages=history, extra_headers=pinned("claudish", 1))
    assert len(signed(sent_up(pair))) == 1 and "x-rotator-warnings" not in headers


@pytest.mark.pitfall("C125")
@STREAMS
async def test_another_model_never_sees_a_foreign_signature(
    pair: House, chat: openai.AsyncOpenAI, streams: bool
) -> None:
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {"tools": FUNCTIONS, "reasoning_effort": "high", "extra_headers": pinned("claudish", 1)}
    first, _ = await spoken(chat, streams, model=thinking_model(pair), **asked, messages=history)
    history += [first, *answered(first)]
    _, headers = await spoken(chat, streams, model=thinking_model(pair), **asked, messages=history)
    assert signed(sent_up(pair)) == []
    assert {"code": "reasoning.state", "detail": "of another model"} in json.loads(headers["x-rotator-warnings"])
    assert "x-rotator-repair" not in headers


async def test_a_forged_envelope_goes_nowhere(pair: House, chat: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": thinking_model(pair), "tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    first, _ = await spoken(chat, False, **asked, messages=history)
    entry = first["reasoning_details"][0]
    entry["signature"] = entry["signature"][:-4] + "AAAA"
    _, headers = await spoken(chat, False, **asked, messages=[*history, first, *answered(first)])
    assert signed(sent_up(pair)) == []
    assert {"code": "reasoning.state", "detail": "not sealed here"} in json.loads(headers["x-rotator-warnings"])


@pytest.mark.pitfall("C126")
async def test_words_that_a_client_changed_are_refused_once_and_left_out(
    pair: House, chat: openai.AsyncOpenAI
) -> None:
    asked: Any = {"model": thinking_model(pair), "tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    first, _ = await spoken(chat, False, **asked, messages=history)
    first["reasoning_details"][0]["text"] += " I was edited."
    before = len(pair.vendor.requests)
    second, headers = await spoken(chat, False, **asked, messages=[*history, first, *answered(first)])
    assert second["content"].startswith("Thank you")
    assert (headers["x-rotator-repair"], headers["x-rotator-attempts"]) == ("stripped-reasoning", "2")
    assert {"code": "reasoning.state", "detail": "the vendor refused it"} in json.loads(headers["x-rotator-warnings"])
    refused, mended = list(pair.vendor.requests)[before:]
    assert len(signed(json.loads(refused.body))) == 1 and signed(json.loads(mended.body)) == []
    assert refused.key == mended.key, "it is not the key's fault"
    assert not any(one.doubted(pair.clock.now) for one in pair.proxy.core.pool.standings("claudish"))


async def test_who_wants_nothing_lost_hears_the_vendor_itself(pair: House, chat: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": thinking_model(pair), "tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    first, _ = await spoken(chat, False, **asked, messages=history)
    first["reasoning_details"][0]["text"] += " I was edited."
    faithful = {"x-rotator-fidelity": "faithful"}
    with pytest.raises(openai.BadRequestError, match="Invalid signature in thinking block"):
        await spoken(chat, False, **asked, messages=[*history, first, *answered(first)], extra_headers=faithful)


@pytest.mark.pitfall("C126")
async def test_a_vendor_that_refuses_again_is_not_asked_a_third_time(pair: House, chat: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": thinking_model(pair), "tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    first, _ = await spoken(chat, False, **asked, messages=history)
    pair.vendor.script(asked["model"].partition("/")[2], REFUSED)
    before = len(pair.vendor.requests)
    with pytest.raises(openai.BadRequestError, match="Invalid `signature`"):
        await spoken(chat, False, **asked, messages=[*history, first, *answered(first)])
    assert len(pair.vendor.requests) == before + 2


# A Messages client.


async def talked(client: anthropic.AsyncAnthropic, streams: bool, **asked: Any) -> tuple[Any, Any]:
    """An answer's content as a user keeps it, and the headers."""
    if not streams:
        raw = await client.messages.with_raw_response.create(**asked)
        return (await raw.parse()).model_dump(exclude_none=True)["content"], raw.headers
    async with client.messages.stream(**asked) as stream:
        message = await stream.get_final_message()
        return message.model_dump(exclude_none=True)["content"], stream.response.headers


def resulted(content: Any) -> Any:
    results = [
        {"type": "tool_result", "tool_use_id": one["id"], "content": "sunny"}
        for one in content
        if one["type"] == "tool_use"
    ]
    return {"role": "user", "content": results}


@pytest.mark.pitfall("C125")
@STREAMS
async def test_reasoning_of_a_chat_vendor_is_sealed_and_never_shown_to_anthropics(
    pair: House, messages: anthropic.AsyncAnthropic, streams: bool
) -> None:
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {"max_tokens": 4_000, "tools": TOOLS, "thinking": THINKING}
    other = f"vendor/{pair.play(Play('thinking-tools'))}"
    first, _ = await talked(messages, streams, model=other, **asked, messages=history)
    assert first[0]["type"] == "thinking" and first[0]["signature"].startswith("rot1.")
    history += [{"role": "assistant", "content": first}, resulted(first)]
    second, headers = await talked(messages, streams, model=other, **asked, messages=history)
    assert "rot1." not in json.dumps(sent_up(pair)) and headers["x-rotator-lane"] == "translate"
    history += [{"role": "assistant", "content": second}, {"role": "user", "content": "And now?"}]
    third, headers = await talked(messages, streams, model=thinking_model(pair), **asked, messages=history)
    assert third[0]["type"] == "thinking" and headers["x-rotator-lane"] == "native"
    assert "rot1." not in json.dumps(sent_up(pair)) and signed(sent_up(pair)) == []
    told = json.loads(headers["x-rotator-warnings"])
    assert told == [{"code": "reasoning.state", "detail": "of another protocol"}]
    assert "x-rotator-repair" not in headers


@pytest.mark.pitfall("C125", "C161")
@STREAMS
async def test_a_raw_conversation_keeps_to_its_account_and_goes_without_its_state_elsewhere(
    pair: House, messages: anthropic.AsyncAnthropic, streams: bool
) -> None:
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {"model": thinking_model(pair), "max_tokens": 4_000, "tools": TOOLS, "thinking": THINKING}
    first, headers = await talked(messages, streams, **asked, messages=history)
    assert headers["x-rotator-lane"] == "raw"
    home = pair.vendor.requests[-1].key
    history += [{"role": "assistant", "content": first}, resulted(first)]
    for _ in range(3):  # keys take turns, unless a conversation is bound to one
        _, headers = await talked(messages, streams, **asked, messages=history)
        assert (headers["x-rotator-lane"], pair.vendor.requests[-1].key) == ("raw", home)
    away = 2 if home == pair.keys["claudish"][0] else 1
    _, headers = await talked(messages, streams, **asked, messages=history, extra_headers=pinned("claudish", away))
    assert headers["x-rotator-lane"] == "native" and signed(sent_up(pair)) == []
    assert json.loads(headers["x-rotator-warnings"]) == [{"code": "reasoning.state", "detail": "of another account"}]
    assert "x-rotator-repair" not in headers


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [("x-rotator-require", "raw", "lane_required"), ("x-rotator-fidelity", "faithful", "lossy_conversion")],
)
async def test_what_must_not_be_changed_is_refused_before_anybody_is_asked(
    pair: House, messages: anthropic.AsyncAnthropic, header: str, value: str, code: str
) -> None:
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {"model": thinking_model(pair), "max_tokens": 4_000, "tools": TOOLS, "thinking": THINKING}
    first, _ = await talked(messages, False, **asked, messages=history, extra_headers=pinned("claudish", 1))
    history += [{"role": "assistant", "content": first}, resulted(first)]
    before = len(pair.vendor.requests)
    headers = {**pinned("claudish", 2), header: value}
    with pytest.raises(anthropic.BadRequestError) as refused:
        await talked(messages, False, **asked, messages=history, extra_headers=headers)
    assert code in json.dumps(refused.value.body) or "reasoning" in str(refused.value)
    assert len(pair.vendor.requests) == before


@pytest.mark.pitfall("C126")
@STREAMS
async def test_a_raw_request_with_foreign_thinking_is_mended_once(
    pair: House, messages: anthropic.AsyncAnthropic, streams: bool
) -> None:
    foreign = {"type": "thinking", "thinking": "Written elsewhere.", "signature": SOMEBODYS()}
    said = {"type": "text", "text": "Hello."}
    history: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [foreign, said]},
        {"role": "user", "content": "Go on"},
    ]
    asked: Any = {"model": thinking_model(pair), "max_tokens": 4_000, "thinking": THINKING}
    content, headers = await talked(messages, streams, **asked, messages=history)
    assert content[-1]["type"] == "text"
    assert (headers["x-rotator-repair"], headers["x-rotator-lane"]) == ("stripped-reasoning", "native")
    assert sent_up(pair)["messages"][1] == {"role": "assistant", "content": [said]}


async def test_an_odd_block_takes_no_place_for_ever(pair: House) -> None:
    odd = [{"type": ["thinking"], "signature": "x"}, {"type": {"a": 1}, "data": "y"}]
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": odd}, {"role": "user", "content": "x"}]
    for _ in range(3):
        answer = await pair.ask("messages", body_of("messages", "claudish/text", messages=turns))
        assert answer.status == 400, answer.body
    await pair.idle()
    assert all(one.in_use == 0 for one in pair.proxy.core.pool.standings("claudish"))


async def test_nothing_is_sent_twice_that_held_no_reasoning(pair: House, messages: anthropic.AsyncAnthropic) -> None:
    for model in (f"claudish/{pair.play(REFUSED)}", f"vendor/{pair.play(REFUSED)}"):
        before = len(pair.vendor.requests)
        with pytest.raises(anthropic.BadRequestError) as error:
            await talked(messages, False, model=model, max_tokens=99, messages=[{"role": "user", "content": "Hi"}])
        assert "x-rotator-repair" not in error.value.response.headers
        assert len(pair.vendor.requests) == before + 1


async def test_whoever_requires_the_raw_lane_hears_the_vendor(
    pair: House, messages: anthropic.AsyncAnthropic
) -> None:
    foreign = {"type": "thinking", "thinking": "Written elsewhere.", "signature": SOMEBODYS()}
    history: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [foreign, {"type": "text", "text": "Hello."}]},
        {"role": "user", "content": "Go on"},
    ]
    asked: Any = {"model": thinking_model(pair), "max_tokens": 4_000, "thinking": THINKING, "messages": history}
    with pytest.raises(anthropic.BadRequestError, match="Invalid signature in thinking block") as error:
        await talked(messages, False, **asked, extra_headers={"x-rotator-require": "raw"})
    assert error.value.response.headers["x-rotator-lane"] == "raw"
    assert "x-rotator-repair" not in error.value.response.headers


async def test_a_repair_is_for_one_target_alone(pair: House, chat: openai.AsyncOpenAI) -> None:
    """What the first one refused the second, at the same place, is not sent, but for that it needs no repair."""
    home = thinking_model(pair)
    asked: Any = {"tools": FUNCTIONS, "reasoning_effort": "high"}
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    first, _ = await spoken(chat, False, model=home, **asked, messages=history)
    model = home.partition("/")[2]
    pair.vendor.script(model, REFUSED, Reply(404), Play("thinking-tools"))
    before = len(pair.vendor.requests)
    place = f"claudish:messages/{model}"
    await lead(pair, pair.proxy.core.world, "chat", place, place)
    answer = await pair.ask("chat", {"model": "x", **asked, "messages": [*history, first, *answered(first)]})
    assert answer.status == 200, answer.body
    sent = [signed(json.loads(one.body)) for one in list(pair.vendor.requests)[before:]]
    assert [len(found) for found in sent] == [1, 0, 0]
    assert "x-rotator-repair" not in answer.headers
    assert json.loads(answer.headers["x-rotator-warnings"])[0] == {
        "code": "reasoning.state", "detail": "refused before",
    }


async def test_what_was_refused_once_is_not_sent_again(pair: House, messages: anthropic.AsyncAnthropic) -> None:
    """As after a restart, when nobody knows who signed it; what this key itself signs later is kept."""
    foreign = {"type": "thinking", "thinking": "Written elsewhere.", "signature": "b2xkZXI="}
    history: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [foreign, {"type": "text", "text": "Hello."}]},
        {"role": "user", "content": "Weather?"},
    ]
    asked: Any = {"model": thinking_model(pair), "max_tokens": 4_000, "tools": TOOLS, "thinking": THINKING}
    asked["extra_headers"] = pinned("claudish", 1)
    first, headers = await talked(messages, False, **asked, messages=history)
    assert headers["x-rotator-attempts"] == "2"
    history += [{"role": "assistant", "content": first}, resulted(first)]
    _, headers = await talked(messages, False, **asked, messages=history)
    assert headers["x-rotator-attempts"] == "1" and "x-rotator-repair" not in headers
    assert json.loads(headers["x-rotator-warnings"]) == [{"code": "reasoning.state", "detail": "refused before"}]
    assert len(signed(sent_up(pair))) == 1, "its own"


@pytest.mark.parametrize("streams", [False, True])
async def test_a_chat_vendors_own_state_stays_with_its_account(pair: House, streams: bool) -> None:
    """As gateways give it: ``reasoning_details`` that their own clients send back."""
    details = [{"type": "reasoning.encrypted", "data": "gAAAAhidden", "index": 0}]
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    call["extra_content"] = {"google": {"thought_signature": "c2lnbmVk"}}
    said = {"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls", "delta" if streams else "message": said}
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    text = json.dumps(whole).encode()
    begun = json.dumps({**whole, "choices": [{"index": 0, "delta": {"content": "Hm"}, "finish_reason": None}]}).encode()
    frames = [b"data: %b\n\n" % begun, b"data: %b\n\n" % text, b"data: [DONE]\n\n"]
    model = pair.play(Raw(200, SSE if streams else JSON, frames if streams else [text]), Play("text"))
    body = body_of("chat", f"vendor/{model}", tools=FUNCTIONS, stream=streams)
    assert (await pair.ask("chat", body, headers=pinned("vendor", 1))).status == 200
    await pair.idle()
    kept = {**said, "tool_calls": [{name: value for name, value in call.items() if name != "index"}]}
    turns = [{"role": "user", "content": "Hi"}, kept, {"role": "tool", "tool_call_id": "c1", "content": "x"}]
    again = body_of("chat", f"vendor/{model}", tools=FUNCTIONS, messages=turns)
    pair.vendor.script(model, Raw(200, JSON, [text]))
    await pair.ask("chat", again)
    assert "gAAAAhidden" in json.dumps(sent_up(pair)) and pair.vendor.requests[-1].key == pair.keys["vendor"][0]
    away = await pair.ask("chat", again, headers=pinned("vendor", 2))
    assert away.headers["x-rotator-lane"] == "native"
    assert not any(word in json.dumps(sent_up(pair)) for word in ("gAAAAhidden", "c2lnbmVk"))
    assert json.loads(away.headers["x-rotator-warnings"]) == [
        {"code": "reasoning.state", "detail": "of another account"}
    ]


@pytest.mark.parametrize("lane", ["raw", "translate"])
async def test_where_thinking_must_come_first_it_is_given_up_and_told(
    pair: House, messages: anthropic.AsyncAnthropic, lane: str
) -> None:
    declared = {"protocol": "messages", "base_url": pair.vendor.url, "auth": "x-api-key", "lane": lane}
    await pair.furnish(keys=2, config={"providers": {"claudish": declared}})
    pair.vendor.script("claude-opus-4-5", Play("thinking-tools"))
    budget: Any = {"type": "enabled", "budget_tokens": 1024}
    asked: Any = {"model": "claudish/claude-opus-4-5", "max_tokens": 4_000, "tools": TOOLS, "thinking": budget}
    foreign = {"type": "thinking", "thinking": "Written elsewhere.", "signature": SOMEBODYS()}
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    history: list[Any] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [foreign, use]},
        {"role": "user", "content": [result]},
    ]
    _, headers = await talked(messages, False, **asked, messages=history)
    assert headers["x-rotator-repair"] == "stripped-reasoning"
    codes = [loss["code"] for loss in json.loads(headers["x-rotator-warnings"])]
    assert codes == ["reasoning.state", "reasoning.off"] and "thinking" not in sent_up(pair)
    pair.vendor.script("claude-opus-4-5")


async def test_an_in_band_refusal_before_output_is_mended_with_the_same_key(
    pair: House, messages: anthropic.AsyncAnthropic
) -> None:
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    asked: Any = {"model": thinking_model(pair), "max_tokens": 4_000, "tools": TOOLS, "thinking": THINKING}
    first, _ = await talked(messages, True, **asked, messages=history)
    history += [{"role": "assistant", "content": first}, resulted(first)]
    error = b"event: error\ndata: %b\n\n" % json.dumps(REFUSED.body).encode()
    pair.vendor.script(asked["model"].partition("/")[2], Raw(200, SSE, [error]), Play("text"))
    before = len(pair.vendor.requests)
    _, headers = await talked(messages, True, **asked, messages=history)
    assert headers["x-rotator-repair"] == "stripped-reasoning"
    assert len({one.key for one in list(pair.vendor.requests)[before:]}) == 1
    assert not any(one.doubted(pair.clock.now) for one in pair.proxy.core.pool.standings("claudish"))
