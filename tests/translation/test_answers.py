"""Answers of every row, from upstream to client: whole, streamed, and both the same (T-11 of protocols.md 9.2)."""

import json
from typing import Any

import pytest

from rotator.errors import UpstreamFailed
from rotator.neutral.losses import Ledger
from rotator.neutral.response import Candidate, Response
from rotator.neutral.usage import Usage

from . import normal
from .cells import Ended, Failing, Found, Told, found
from .codecs import IDS, against_schemas, agree, answered, asked, codec, laid, parsed, streamed
from .folding import folded
from .frames import events_of, sent
from .laws import broken
from .matching import code_differences, differences
from .rows_answers import ROWS as ANSWERS
from .rows_streams import ROWS as STREAMS
from .unfolding import unfolded
from .words import ANSWER, ASKED, LEAST, SHOWN, c_answer, c_tool

ROWS = (*ANSWERS, *STREAMS)
FUNCTION = c_tool()["function"]
TOLD = list(found(ROWS, Told))
STREAMABLE = [one for one in TOLD if not one.cell.whole_only]
FAILING = list(found(ROWS, Failing))
ENDED = list(found(ROWS, Ended))


def ids(one: Found) -> str:
    return one.id


@pytest.mark.parametrize("one", TOLD, ids=ids)
def test_a_whole_answer_becomes_what_the_table_says(one: Found) -> None:
    trip = asked(one.client, one.upstream, one.cell.asked)
    got = answered(trip, laid(ANSWER[one.upstream], one.cell.upstream))
    problems = differences(normal.answer(laid(SHOWN[one.client], one.cell.client)), normal.answer(got))
    agree(problems + code_differences(one.cell.losses, trip.codes), got)


@pytest.mark.pitfall("C15", "C259")
@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_answers_obey_the_published_schemas(protocol: str) -> None:
    problems = []
    for one in (one for one in TOLD if one.client == protocol):
        body = laid(ANSWER[one.upstream], one.cell.upstream)
        whole = answered(asked(one.client, one.upstream, one.cell.asked), body)
        problems += [f"{one.id}: {told}" for told in against_schemas(protocol, json.dumps(whole), False)]
        if not one.cell.whole_only:
            trip = asked(one.client, one.upstream, {**(one.cell.asked or {}), **_usage_wanted(one)}, stream=True)
            heard = streamed(trip, sent(one.upstream, unfolded(one.upstream, _named(trip, body))))
            streaming = against_schemas(protocol, heard.body.decode(), True) if heard.error is None else ()
            problems += [f"{one.id}: {told}" for told in streaming]
    agree(problems, None)


@pytest.mark.pitfall("P-41", "P-45", "C123", "C238")
@pytest.mark.parametrize("one", STREAMABLE, ids=ids)
def test_a_stream_folds_to_the_whole_answer(one: Found) -> None:
    body = laid(ANSWER[one.upstream], one.cell.upstream)
    whole = answered(asked(one.client, one.upstream, one.cell.asked), body)
    told = _usage_wanted(one)
    trip = asked(one.client, one.upstream, {**(one.cell.asked or {}), **told}, stream=True)
    heard = streamed(trip, sent(one.upstream, unfolded(one.upstream, _named(trip, body))))
    assert heard.error is None
    agree(broken(one.client, events_of(heard.body)) + code_differences(one.cell.losses, trip.codes), heard.body)
    fold = folded(one.client, heard.body)
    agree(differences(_comparable(whole), _comparable(fold)), fold)


def _usage_wanted(one: Found) -> dict[str, Any]:
    return {"stream_options": {"include_usage": True}} if one.client == "chat" else {}


def _named(trip: Any, body: Any) -> Any:
    text = json.dumps(body)
    if '"@0"' in text:
        text = text.replace('"@0"', json.dumps(trip.built.body["tools"][0]["function"]["name"]))
    return json.loads(text)


def _comparable(answer: Any) -> Any:
    """Without the places of pieces in a stream; the first chunk's content is "" where a whole answer has none."""
    told = normal.answer(answer)
    for choice in told.get("choices", ()):
        message = choice["message"]
        if message.get("content") == "":
            del message["content"]
        for one in (*message.get("tool_calls", ()), *message.get("annotations", ())):
            one.pop("index", None)
    return told


@pytest.mark.parametrize("one", FAILING, ids=ids)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_which_nothing_can_be_told_is_a_failure(one: Found, stream: bool) -> None:
    body = laid(ANSWER[one.upstream], one.cell.upstream)
    trip = asked(one.client, one.upstream, one.cell.asked, stream)
    if not stream:
        with pytest.raises(UpstreamFailed) as caught:
            answered(trip, body)
        assert caught.value.error.status >= 500
        return
    heard = streamed(trip, sent(one.upstream, unfolded(one.upstream, body)))
    assert "error" in events_of(heard.body)[-1][1]
    agree(broken(one.client, events_of(heard.body)), heard.body)


@pytest.mark.parametrize("one", ENDED, ids=ids)
def test_a_neutral_ending_is_told_in_the_clients_words(one: Found) -> None:
    case: Ended = one.cell
    usage = Usage(input_fresh=10, output_text=5)
    response = Response("third", "up", "up-model", (Candidate(case.parts, case.finish),), usage)
    ledger = Ledger()
    request = parsed(one.client, LEAST[one.client])
    if case.client is None:
        with pytest.raises(UpstreamFailed):
            codec(one.client).build_response(response, request, IDS, ledger)
        return
    got = codec(one.client).build_response(response, request, IDS, ledger)
    problems = differences(normal.answer(laid(SHOWN[one.client], case.client)), normal.answer(got))
    agree([*problems, *code_differences(case.losses, [loss.code for loss in ledger.losses])], got)


@pytest.mark.parametrize("one", TOLD, ids=ids)
def test_an_answer_of_the_clients_own_protocol_is_told_whole(one: Found) -> None:
    """Under the name that the client asked for; the vendor's own id, time and unknown members stay."""
    own = one.upstream
    trip = asked(own, own, _own_request(one))
    body = _named(trip, laid(ANSWER[own], one.cell.upstream))
    got = answered(trip, body)
    wanted = laid({**body, "model": ASKED}, one.cell.own)
    lost = [] if one.cell.own is not None else [f"lost {code}" for code in trip.codes]
    agree(differences(normal.answer(wanted), normal.answer(got)) + lost, got)


@pytest.mark.pitfall("C17")
def test_a_client_of_functions_gets_a_function_call() -> None:
    """Source: conversion-pitfalls.md P17, P45: what is legacy stays so in its own protocol."""
    trip = asked("chat", "chat", {"functions": [FUNCTION]})
    body = laid(ANSWER["chat"], c_answer(function_call={"name": "lookup", "arguments": "{}"}, finish="function_call"))
    got = answered(trip, body)
    agree(differences(normal.answer({**body, "model": ASKED}), normal.answer(got)), got)


def _own_request(one: Found) -> dict[str, Any]:
    """The request in the words of the upstream: what the client asked becomes that for it."""
    if one.cell.asked is None:
        return {}
    trip = asked(one.client, one.upstream, one.cell.asked)
    return {name: value for name, value in trip.wire.items() if name == "tools"}
