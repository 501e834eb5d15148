"""Reasoning that goes to a client of another protocol and comes back to the vendor that wrote it, or to another one.

A conversation of two requests through both codecs, the engine's envelopes between them, and the vendor's own checks.
Source: protocols.md 2.4 R1, R2, R10; conversion-pitfalls.md P121, P125.
"""

from __future__ import annotations

from typing import Any

import pytest

from rotator.exchange.bound import Home, StateMemory, opened
from rotator.exchange.translate import Pair, Task, Translation
from rotator.neutral.losses import Ledger
from rotator.neutral.seal import Seal
from rotator.wire.jsontext import dumps, loads_exact

from .codecs import CONTEXT, IDS, Trip, answered, codec, parsed, streamed, vendors_fault
from .folding import folded
from .frames import sent
from .unfolding import unfolded
from .words import (
    A_TOOLS,
    ANSWER,
    C_TOOLS,
    HI,
    LEAST,
    Body,
    a_answer,
    a_redacted,
    a_result,
    a_thinking,
    a_use,
    assistant,
    c_answer,
    c_call,
    c_result,
    text,
    user,
)

SEAL = Seal(lambda: b"of this installation")
DETAILED = {"reasoning_history": "reasoning_details"}


def home(provider: str = "one") -> Home:
    return Home(SEAL, StateMemory(), (provider, "family", "key"), True)


def begun(client: str, upstream: str, body: Body, at: Home, dialect: Body | None = None) -> Trip:
    """A request on its way to a vendor at home there."""
    ledger = Ledger()
    request = opened(parsed(client, body, ledger), at, client == upstream, ledger)
    pair = Pair(codec(client), codec(upstream, dialect), client, upstream, (), None)
    translation = Translation(pair, Task(request, IDS, ledger, len(dumps(body)), None), CONTEXT, at)
    trip = Trip(client, upstream, translation, ledger)
    trip.built = translation.request()
    return trip


def heard(trip: Trip, answer: Body, stream: bool) -> Any:
    """The answer as the client has it, of a stream as its SDK puts it together."""
    if not stream:
        return answered(trip, answer)
    told = streamed(trip, sent(trip.upstream, unfolded(trip.upstream, answer)))
    assert told.error is None
    return loads_exact(dumps(folded(trip.client, told.body)))


CHAT = {**LEAST["chat"], "tools": C_TOOLS}
THOUGHT = [a_thinking("Hm."), text("Let me see."), a_thinking("So.", block=2), a_use()]


def asked_again(answer: Body) -> Body:
    """The Chat client appends the message of the answer, and the result of its call."""
    message = {name: value for name, value in answer["choices"][0]["message"].items() if name != "parsed"}
    for call in message["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    return {**CHAT, "messages": [HI, message, c_result("found")]}


@pytest.mark.pitfall("C121", "C123")
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_client_gives_a_messages_vendor_its_thoughts_back(stream: bool) -> None:
    """Block by block, in their places, signatures and all: the vendor finds them as it wrote them."""
    first = begun("chat", "messages", {**CHAT, "stream": stream}, home())
    answer = {**ANSWER["messages"], **a_answer(*THOUGHT, stop="tool_use")}
    again = begun("chat", "messages", asked_again(heard(first, answer, stream)), home())
    assert again.wire["messages"] == [HI, assistant(*THOUGHT), user(a_result("found"))]
    assert vendors_fault("messages", again.wire, again.built.headers) is None
    assert again.codes == []


def test_redacted_thoughts_come_back_too() -> None:
    blocks = [a_redacted(), text("Let me see."), a_use()]
    first = begun("chat", "messages", CHAT, home())
    answer = {**ANSWER["messages"], **a_answer(*blocks, stop="tool_use")}
    again = begun("chat", "messages", asked_again(heard(first, answer, False)), home())
    assert again.wire["messages"][1] == assistant(*blocks)
    assert vendors_fault("messages", again.wire, again.built.headers) is None


def test_another_vendor_gets_none_of_it() -> None:
    first = begun("chat", "messages", CHAT, home())
    answer = {**ANSWER["messages"], **a_answer(*THOUGHT, stop="tool_use")}
    again = begun("chat", "messages", asked_again(heard(first, answer, False)), home("two"))
    assert again.wire["messages"][1] == assistant(text("Let me see."), a_use())
    assert vendors_fault("messages", again.wire, again.built.headers) is None
    assert "reasoning.state" in again.codes


def test_what_was_not_sealed_here_is_taken_away() -> None:
    """An envelope is no proof of itself (R10): not of thoughts, and not of a call."""
    forged = {"type": "reasoning.text", "text": "Hm.", "signature": "rot1.aa-bb-cc.dd.ee", "index": 0}
    signed = {**c_call(), "extra_content": {"google": {"thought_signature": "rot1.x"}}}
    message = {**assistant(), "reasoning_content": "Hm.", "reasoning_details": [forged], "tool_calls": [signed]}
    body = {**CHAT, "messages": [HI, message, c_result("found")]}
    told = begun("chat", "messages", body, home())
    assert told.wire["messages"] == [HI, assistant(a_use()), user(a_result("found"))]
    assert "reasoning.state" in told.codes
    own = begun("chat", "chat", body, home())
    assert own.wire["messages"] == [HI, {**assistant(), "tool_calls": [c_call()]}, c_result("found")]
    assert "reasoning.state" in own.codes


DETAILS = [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "x", "index": 0}]
MESSAGES = {**LEAST["messages"], "tools": A_TOOLS}


@pytest.mark.pitfall("C121", "C123")
@pytest.mark.parametrize("stream", [False, True])
def test_a_messages_client_gives_a_chat_vendor_its_details_back(stream: bool) -> None:
    said = c_answer(
        "Let me see.", reasoning="Hm.", reasoning_details=DETAILS, tool_calls=[c_call()], finish="tool_calls"
    )
    first = begun("messages", "chat", {**MESSAGES, "stream": stream}, home(), DETAILED)
    answer = heard(first, {**ANSWER["chat"], **said}, stream)
    body = {**MESSAGES, "messages": [HI, assistant(*answer["content"]), user(a_result("found"))]}
    kept = {"role": "assistant", "content": "Let me see.", "tool_calls": [c_call()]}
    for at, told, lost in ((home(), {"reasoning_details": DETAILS}, False), (home("two"), {}, True)):
        again = begun("messages", "chat", body, at, DETAILED)
        assert again.wire["messages"] == [HI, {**kept, **told}, c_result("found")]
        assert ("reasoning.state" in again.codes) is lost


def test_words_come_back_to_a_chat_vendor_that_wants_them() -> None:
    """Source: conversion-pitfalls.md P131; they need no proof."""
    first = begun("messages", "chat", MESSAGES, home(), None)
    said = c_answer(None, reasoning_content="Hm.\n", tool_calls=[c_call()], finish="tool_calls")
    answer = heard(first, {**ANSWER["chat"], **said}, False)
    body = {**MESSAGES, "messages": [HI, assistant(*answer["content"]), user(a_result("found"))]}
    again = begun("messages", "chat", body, home(), {"reasoning_history": "reasoning_content"})
    assert again.wire["messages"][1] == {**assistant(), "reasoning_content": "Hm.\n", "tool_calls": [c_call()]}
    assert vendors_fault("chat", again.wire) is None
    assert again.codes == []
