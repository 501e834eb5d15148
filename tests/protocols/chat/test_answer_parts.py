"""The slot in which Chat clients keep another protocol's reasoning state: written, put together by SDKs, sent back.

Source: conversion-pitfalls.md P121; protocols.md 2.4, 4.3.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from rotator.errors import UpstreamFailed
from rotator.neutral.events import (
    ArgumentsDelta,
    BlockStart,
    End,
    Event,
    Finished,
    ReasoningDelta,
    Start,
    StateSeen,
)
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Part, Reasoning, State, Text, Thought, ToolCall
from rotator.neutral.request import Turn
from rotator.neutral.response import Candidate, Finish, Response
from tests.neutral.laws import fold
from tests.neutral.strategies import streams
from tests.protocols.chat.bodies import assistant, body, call, parsed, replayed, said, user
from tests.protocols.chat.clients import CLIENT, IDS, REQUEST, check_answer, completion, module, plain, written
from tests.protocols.chat.hearing import FOREIGN, FUNCTIONS, HIDDEN, block, first, heard, words
from tests.protocols.chat.hearing import call as calling
from tests.protocols.chat.hearing import more as arguments

build_response: Any = module("response").build_response

SIGNATURE, SUMMED = State("signature", "rot1.a.b"), State("encrypted", "rot1.d")
HIDDEN_DATA = State("redacted", "rot1.c")
GOOGLE = {"extra_content": {"google": {"thought_signature": "rot1.e"}}}
SIGNED_CALL = State("signature", "rot1.e")

#: What another protocol's vendor thought, and what is kept of it.
BLOCKS: list[Part] = [
    Reasoning((Thought("One."), Thought("Two.")), SIGNATURE),
    Reasoning(state=HIDDEN_DATA),
    Text("Hi"),
    Reasoning((Thought("In short.", "summary"),), SUMMED),
    Reasoning((Thought("Unsigned."),)),
    ToolCall("call_1", "one", "{}", state=SIGNED_CALL),
]
KEPT = [
    {"type": "reasoning.text", "text": "One.\n\nTwo.", "signature": "rot1.a.b", "index": 0},
    {"type": "reasoning.encrypted", "data": "rot1.c", "index": 1},
    {"type": "reasoning.encrypted", "summary": "In short.", "data": "rot1.d", "index": 2},
]
EVENTS: list[Event] = [
    *block(
        1,
        Reasoning(),
        ReasoningDelta(0, "One"),
        ReasoningDelta(0, "."),
        ReasoningDelta(0, "Two.", "raw", 1),
        StateSeen(0, SIGNATURE),
    ),
    *block(2, Reasoning(state=HIDDEN_DATA)),
    *words(3, "Hi"),
    *block(4, Reasoning(), ReasoningDelta(0, "In short.", "summary"), StateSeen(0, SUMMED)),
    *block(5, Reasoning(), ReasoningDelta(0, "Unsigned.")),
    *block(6, ToolCall("call_1", "one"), ArgumentsDelta(0, "{}"), StateSeen(0, SIGNED_CALL)),
]
#: The same as a client's turn when it is read again: its blocks before its text, without those that nobody sealed.
AGAIN = said(
    "assistant",
    Reasoning((Thought("One.\n\nTwo."),), SIGNATURE),
    Reasoning(state=State("encrypted", "rot1.c")),
    Reasoning((Thought("In short.", "summary"),), SUMMED),
    "Hi",
    ToolCall("call_1", "one", "{}", state=SIGNED_CALL),
)


def whole(*parts: Part, request: Any = REQUEST, ledger: Ledger | None = None) -> dict[str, Any]:
    """Another protocol's answer as the client's JSON."""
    response = Response("messages", "msg_1", "up", (Candidate(parts, Finish("tool_calls")),))
    found: dict[str, Any] = build_response(response, request, IDS, ledger or Ledger())
    check_answer(found)
    return found


def test_a_whole_answer_keeps_state_beside_the_words() -> None:
    ledger = Ledger()
    message = whole(*BLOCKS, ledger=ledger)["choices"][0]["message"]
    assert message["reasoning_content"] == "One.\n\nTwo.\n\nIn short.\n\nUnsigned."
    assert message["reasoning_details"] == KEPT
    assert message["tool_calls"] == [{**call("call_1", "one", "{}"), **GOOGLE}]
    assert ledger.losses == []


def test_a_stream_keeps_the_state_of_a_block_in_one_chunk_behind_it() -> None:
    ledger = Ledger()
    assert heard(*EVENTS, ledger=ledger, finish=Finish("tool_calls")) == [
        {"reasoning_content": "One"},
        {"reasoning_content": "."},
        {"reasoning_content": "\n\nTwo."},
        {"reasoning_details": KEPT[:1]},
        {"reasoning_details": KEPT[1:2]},
        {"content": "Hi"},
        {"reasoning_content": "\n\nIn short."},
        {"reasoning_details": KEPT[2:]},
        {"reasoning_content": "\n\nUnsigned."},
        first(0, "call_1", "one"),
        arguments(0, "{}"),
        {"tool_calls": [{"index": 0, "function": {"arguments": ""}, **GOOGLE}]},
        "tool_calls",
    ]
    assert ledger.losses == []


def stream() -> bytes:
    """The bytes of ``EVENTS``."""
    return written([FOREIGN, *EVENTS, Finished(Finish("tool_calls")), End()])


def sent_back(message: Any) -> Turn:
    """The turn that a user makes who appends an SDK's message to the history."""
    (_, turn) = parsed(body(user("Hi"), json.loads(json.dumps(message)))).turns
    return turn


def test_the_sdks_message_of_a_whole_answer_comes_back() -> None:
    message = ChatCompletion.model_validate(whole(*BLOCKS)).choices[0].message
    assert sent_back(message.model_dump()) == AGAIN
    assert sent_back(message.model_dump(exclude_none=True)) == AGAIN


@pytest.mark.pitfall("C121")
def test_the_sdks_message_of_a_stream_comes_back() -> None:
    """Its helper puts lists together by their index, and fails without one."""
    message = completion(stream())["choices"][0]["message"]
    assert [{**entry} for entry in message["reasoning_details"]] == KEPT
    for one in message["tool_calls"]:  # what the helper adds to calls is no matter of state
        del one["index"]
        one["function"].pop("parsed_arguments", None)
    assert sent_back(message) == AGAIN


def test_raw_chunks_of_the_sdk_hold_the_entries() -> None:
    response = httpx2.Response(200, content=stream(), request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    entries = [
        entry
        for chunk in openai.Stream(cast_to=ChatCompletionChunk, response=response, client=CLIENT)
        for choice in chunk.choices
        for entry in (choice.delta.model_extra or {}).get("reasoning_details", ())
    ]
    assert entries == KEPT


@pytest.mark.parametrize("words", ["", "Hm."])
def test_what_hides_its_words_keeps_state_that_needs_none(words: str) -> None:
    """A signature without the words that it signs is of no use to anybody."""
    ledger, streamed = Ledger(), Ledger()
    thoughts = (Thought(words),) if words else ()
    message = whole(Reasoning(thoughts, SIGNATURE), Text("Hi"), request=HIDDEN, ledger=ledger)["choices"][0]["message"]
    deltas = [ReasoningDelta(0, words)] if words else []
    told = heard(
        *block(1, Reasoning(), *deltas, StateSeen(0, SIGNATURE)), *block(2, Text("")), request=HIDDEN, ledger=streamed
    )
    kept = [] if words else [{**KEPT[0], "text": ""}]
    assert message.get("reasoning_details", []) == kept
    assert "reasoning_content" not in message
    assert told == [*({"reasoning_details": [one]} for one in kept), "stop"]
    assert ledger.losses == streamed.losses == ([Loss("reasoning.state")] if words else [])


def test_a_client_of_functions_has_no_place_for_a_calls_state() -> None:
    ledger, streamed = Ledger(), Ledger()
    message = whole(BLOCKS[-1], request=FUNCTIONS, ledger=ledger)["choices"][0]["message"]
    assert message["function_call"] == {"name": "one", "arguments": "{}"}
    heard(*calling(1, "call_1", "one", "{}", state=SIGNED_CALL), request=FUNCTIONS, ledger=streamed)
    assert ledger.losses == streamed.losses == [Loss("reasoning.state")]


def test_an_answer_of_nothing_but_sealed_state_is_one() -> None:
    message = whole(Reasoning(state=HIDDEN_DATA))["choices"][0]["message"]
    assert message["reasoning_details"] == [{**KEPT[1], "index": 0}]
    assert heard(*block(1, Reasoning(state=HIDDEN_DATA))) == [
        {"reasoning_details": [{**KEPT[1], "index": 0}]},
        "stop",
    ]


def enveloped(events: list[Event]) -> list[Event]:
    """The same events with all state sealed, as the engine gives them of another protocol's answer."""

    def wrapped(state: State) -> State:
        return State(state.kind, f"rot1.{state.value.encode('utf-8', 'backslashreplace').hex()}")

    shown: list[Event] = []
    for event in events:
        if isinstance(event, StateSeen):
            event = event._replace(state=wrapped(event.state))
        elif isinstance(event, BlockStart) and (state := getattr(event.part, "state", None)) is not None:
            part: Any = event.part
            event = event._replace(part=replace(part, state=wrapped(state)))
        elif isinstance(event, Start):
            event = event._replace(protocol="messages")
        shown.append(event)
    return shown


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=streams(overlapping=False).map(enveloped))
def test_a_folded_stream_is_the_whole_answer(events: list[Event]) -> None:
    try:
        answer = build_response(fold(events), REQUEST, IDS, Ledger())
    except UpstreamFailed:
        with pytest.raises(openai.APIError):
            completion(written(events))
        return
    assert plain(completion(written(events))) == plain(answer)


PLAIN = {"type": "reasoning.text", "text": "Plain.", "signature": "vendors"}


def test_sealed_entries_stand_for_all_other_members() -> None:
    """``reasoning_content`` holds their words; entries of a vendor of Chat's own stay as they are, behind them."""
    names = {"reasoning_content": "Twice.", "reasoning": "Twice."}
    details = [PLAIN, KEPT[1], "odd", KEPT[0]]
    (turn,) = parsed(body(assistant("A", **names, reasoning_details=details))).turns
    assert turn == said(
        "assistant",
        Reasoning(state=State("encrypted", "rot1.c")),
        Reasoning((Thought("One.\n\nTwo."),), SIGNATURE),
        Reasoning((Thought("Plain."),), rest={"reasoning_details": [PLAIN, "odd"]}),
        "A",
    )
    places = [part.at for part in turn.parts]
    assert places[:3] == [
        ("messages", 0, "reasoning_details", 1),
        ("messages", 0, "reasoning_details", 3),
        ("messages", 0, "reasoning_details"),
    ]


@pytest.mark.parametrize("odd", [{"signature": 7}, {"data": None}, {"signature": "rot2.x"}, {"data": "xrot1."}])
def test_what_is_not_sealed_is_no_state(odd: dict[str, Any]) -> None:
    (turn,) = parsed(body(assistant("A", reasoning_details=[odd]))).turns
    assert turn == said("assistant", Reasoning(rest={"reasoning_details": [odd]}), "A")


def test_what_no_engine_opened_is_told_again_as_it_was() -> None:
    own = body(user("Hi"), assistant("A", reasoning_details=KEPT, tool_calls=[{**call("a"), **GOOGLE}]))
    assert replayed(own) == (own, [])
