"""Whole Chat answers, written for clients.  Source: protocols.md 3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rotator.errors import UpstreamFailed
from rotator.neutral.error import ErrorKind
from rotator.neutral.events import Event
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
)
from rotator.neutral.request import ReasoningWish, Tool
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from tests.neutral.laws import fold
from tests.neutral.strategies import streams
from tests.protocols.chat.clients import CREATED, IDS, REQUEST, check_answer, codes, module
from tests.protocols.chat.whole import (
    IMAGE,
    LEANING,
    LOGPROB,
    LONG,
    PAGE,
    SEALED,
    SIGNED,
    TOKEN,
    entry,
    leaning,
)

build_response: Any = module("response").build_response
wire_id: Any = module("answer_parts").CALL_IDS.wire

FUNCTIONS = replace(REQUEST, tools=(Tool("one", at=("functions", 0)),))
HIDDEN = replace(REQUEST, reasoning=ReasoningWish(display="hidden"))


def built(*found: Part, finish: Finish | None = None, protocol: str = "messages", **more: Any) -> dict[str, Any]:
    """The only choice of an answer for a client, which keeps the published schema."""
    candidate = Candidate(found, finish or Finish("stop"))
    request, ledger = more.get("request", REQUEST), more.get("ledger") or Ledger()
    body = build_response(Response(protocol, "up-1", "up", (candidate,)), request, IDS, ledger)
    check_answer(body)
    (choice,) = body["choices"]
    found_choice: dict[str, Any] = choice
    return found_choice


def message(content: str | None = None, refusal: str | None = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "refusal": refusal, **more}


WEB = Citation("web", PAGE, "A page", "words")
THOUGHTS = Reasoning((Thought("One", "summary"), Thought(""), Thought("Two", "summary")))
BUILT: dict[str, tuple[list[Part], dict[str, Any], str]] = {
    "text": ([Text("One, "), Text("two.")], message("One, two."), "stop"),
    "nothing": ([], message(""), "stop"),
    "reasoning": (
        [THOUGHTS, Reasoning((Thought("Three"),)), Text("Hi")],
        message("Hi", reasoning_content="One\n\nTwo\n\nThree"),
        "stop",
    ),
    "a refusal": ([Refusal("I must"), Refusal(" not.")], message(refusal="I must not."), "stop"),
    "calls": (
        [Text("See:"), ToolCall("call_1", "one", '{"q": 1}'), ToolCall("call_2", "two")],
        message("See:", tool_calls=[entry("call_1", "one", '{"q": 1}'), entry("call_2", "two", "{}")]),
        "tool_calls",
    ),
    "calls alone": (
        [ToolCall("call_1", "one", "{}")],
        message(tool_calls=[entry("call_1", "one", "{}")]),
        "tool_calls",
    ),
    "ids that do not fit, or come again": (
        [ToolCall(LONG, "one", "{}"), ToolCall("call_1", "one", "{}"), ToolCall("call_1", "one", "{}")],
        message(
            tool_calls=[
                entry(wire_id(LONG), "one", "{}"),
                entry("call_1", "one", "{}"),
                entry(wire_id("call_1", 1), "one", "{}"),
            ]
        ),
        "tool_calls",
    ),
    "a custom call": (
        [ToolCall("call_1", "run", "ls", "custom")],
        message(tool_calls=[{"id": "call_1", "type": "custom", "custom": {"name": "run", "input": "ls"}}]),
        "tool_calls",
    ),
    "citations": (
        [Text("So "), Text("it is", (WEB, WEB._replace(start=1, end=4)))],
        message("So it is", annotations=[leaning(3, 8), leaning(4, 7)]),
        "stop",
    ),
    "images": (
        [Text("See:"), Media("image", Source("base64", "AAAA"), "image/png"), Media("image", Source("url", PAGE))],
        message("See:", images=[IMAGE, {"type": "image_url", "image_url": {"url": PAGE}}]),
        "stop",
    ),
    "sound": (
        [Media("audio", Source("base64", "AAAA"), "audio/wav", transcript="Hi")],
        message(audio={"id": IDS.mint("audio_"), "expires_at": CREATED, "data": "AAAA", "transcript": "Hi"}),
        "stop",
    ),
}


@pytest.mark.pitfall("C150", "C266")
@pytest.mark.parametrize("name", BUILT)
def test_a_message_is_written(name: str) -> None:
    found, told, finish = BUILT[name]
    assert built(*found) == {"index": 0, "message": told, "logprobs": None, "finish_reason": finish}


@pytest.mark.pitfall("C186")
def test_logprobs_are_written() -> None:
    token = {**TOKEN, "bytes": [195, 169], "top_logprobs": [{"token": "a", "logprob": -2, "bytes": [97]}]}
    assert built(Text("é", logprobs=(LOGPROB,)))["logprobs"] == {"content": [token], "refusal": None}
    assert built(Refusal("é", (LOGPROB,)))["logprobs"] == {"content": None, "refusal": [token]}
    assert built(Text("é", logprobs=(LOGPROB,)), protocol="chat")["logprobs"]["content"] == [TOKEN]


DROPPED: dict[str, tuple[Part, str]] = {
    "a signature on reasoning": (Reasoning((Thought("Hm"),), State("signature", "c2ln")), "reasoning.state"),
    "redacted reasoning": (Reasoning(state=State("redacted", "aGlk")), "reasoning.state"),
    "a signature on a text": (Text("Hi", state=State("signature", "c2ln")), "reasoning.state"),
    "a signature on a call": (ToolCall("c", "one", "{}", state=State("signature", "c2ln")), "reasoning.state"),
    "a signature on an image": (
        Media("image", Source("base64", "AAAA"), "image/png", state=State("signature", "c2ln")),
        "reasoning.state",
    ),
    "a hosted tool": (Opaque("messages", "server_tool_use", {}, "hosted"), "answer.hosted"),
    "a citation of a document": (Text("So", (Citation("document"),)), "answer.citation"),
    "a document": (Media("document", Source("base64", "AAAA"), "application/pdf"), "answer.media"),
    "an image of a vendor": (Media("image", Source("file_id", "file_1")), "answer.media"),
    "a sound behind a URL": (Media("audio", Source("url", PAGE)), "answer.media"),
}


@pytest.mark.pitfall("C122", "C124")
@pytest.mark.parametrize("name", DROPPED)
def test_what_is_dropped_is_told(name: str) -> None:
    part, code = DROPPED[name]
    ledger = Ledger()
    choice = built(Text("So. "), part, ledger=ledger)
    assert choice["message"]["content"].startswith("So. ")
    assert codes(ledger) == {code}


@pytest.mark.pitfall("C76")
def test_text_behind_a_call_was_moved() -> None:
    ledger = Ledger()
    told = built(ToolCall("call_1", "one", "{}"), Text(""), ledger=ledger)["message"]
    assert (told["content"], ledger.losses) == (None, [])
    told = built(ToolCall("call_1", "one", "{}"), Text("Hi"), ledger=ledger)["message"]
    assert (told["content"], ledger.losses) == ("Hi", [Loss("turn.order")])


@pytest.mark.pitfall("C146")
def test_a_second_sound_has_no_place() -> None:
    ledger = Ledger()
    sound = Media("audio", Source("base64", "AAAA"))
    told = built(sound, replace(sound, source=Source("base64", "BBBB")), ledger=ledger)["message"]["audio"]
    assert told == {"id": IDS.mint("audio_"), "expires_at": CREATED, "data": "AAAA"}
    assert ledger.losses == [Loss("answer.media", "", "audio")]


#: What came from an upstream that speaks Chat goes back as it was.
KEPT: dict[str, tuple[list[Part], dict[str, Any]]] = {
    "ids and arguments": (
        [ToolCall(LONG, "one"), ToolCall(LONG, "one", rest={"odd": 1, "function": {"x": 2}})],
        message(
            tool_calls=[
                entry(LONG, "one", ""),
                {**entry(LONG, "one", ""), "odd": 1, "function": {"name": "one", "arguments": "", "x": 2}},
            ]
        ),
    ),
    "Google's signature": (
        [ToolCall("call_1", "one", "{}", state=State("signature", "c2ln"))],
        message(
            tool_calls=[entry("call_1", "one", "{}", extra_content={"google": {"thought_signature": "c2ln"}})],
        ),
    ),
    "reasoning_details": (
        [Reasoning((Thought("Hm"),)), Reasoning(state=State("encrypted", SEALED)), Text("Hi")],
        message("Hi", reasoning_content="Hm", reasoning_details=SIGNED),
    ),
    "reasoning in one piece": (
        [Reasoning((Thought("One"),)), Text("Hi"), Reasoning((Thought("two"),))],
        message("Hi", reasoning_content="Onetwo"),
    ),
    "words of a citation": ([Text("So", (WEB._replace(start=0, end=2),))], message("So", annotations=[LEANING])),
    "a citation without a place": (
        [Text("So", (WEB._replace(cited_text=""),))],
        message("So", annotations=[{"type": "url_citation", "url_citation": {"url": PAGE, "title": "A page"}}]),
    ),
    "text behind a call": (
        [ToolCall("call_1", "one", "{}"), Text("Hi")],
        message("Hi", tool_calls=[entry("call_1", "one", "{}")]),
    ),
    "sound": (
        [Media("audio", Source("base64", "AAAA"), transcript="Hi", rest={"id": "audio_1", "expires_at": 9})],
        message(audio={"id": "audio_1", "expires_at": 9, "data": "AAAA", "transcript": "Hi"}),
    ),
}


@pytest.mark.pitfall("C146")
@pytest.mark.parametrize("name", KEPT)
def test_what_chat_said_it_says_again(name: str) -> None:
    found, told = KEPT[name]
    ledger = Ledger()
    response = Response("chat", "c-1", "up", (Candidate(tuple(found), Finish("stop")),))
    assert build_response(response, REQUEST, IDS, ledger)["choices"][0]["message"] == told
    assert ledger.losses == []


@pytest.mark.parametrize("state", [State("encrypted", "gAAAA"), State("encrypted", "{}"), State("signature", "c2ln")])
def test_state_that_is_none_of_chats(state: State) -> None:
    ledger = Ledger()
    assert built(Reasoning(state=state), Text("Hi"), protocol="chat", ledger=ledger)["message"] == message("Hi")
    assert codes(ledger) == {"reasoning.state"}


@pytest.mark.pitfall("C252")
def test_an_envelope_for_another_protocols_answer() -> None:
    notes: list[Note] = []
    ledger = Ledger(notes)
    usage = Usage(3, 2, 1, 4, 5, 6)
    candidate = Candidate((Text("Hi"),), Finish("stop", "end_turn"), rest={"x": 1})
    response = Response("messages", "msg_1", "up", (candidate,), usage, 5, "standard", {"container": {}})
    body = build_response(response, REQUEST, IDS, ledger)
    check_answer(body)
    assert body == {
        "id": IDS.mint("chatcmpl-"),
        "object": "chat.completion",
        "created": CREATED,
        "model": "asked-model",
        "service_tier": "default",
        "choices": [{"index": 0, "message": message("Hi"), "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 9,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    }
    assert ledger.losses == [Loss("usage.folded", "", "input_tool")]
    assert notes == [
        Note("chat.write.envelope", "set_aside", "container"), Note("chat.write.candidate", "set_aside", "x")
    ]


def test_a_tier_without_a_name() -> None:
    ledger = Ledger()
    response = Response("messages", "", "", (Candidate((Text("Hi"),), Finish("stop")),), tier="batch")
    assert "service_tier" not in build_response(response, REQUEST, IDS, ledger)
    assert ledger.losses == [Loss("meta.tier", "", "batch")]


@pytest.mark.pitfall("C164")
def test_an_envelope_for_chats_own_answer() -> None:
    rest = {"content_filter_results": {"hate": {}}, "message": {"odd": {"a": 1}}}
    candidate = Candidate((Text("Hi"),), Finish("stop", "eos"), 3, rest)
    response = Response("chat", "c-1", "up", (candidate,), None, 5, "odd", {"system_fingerprint": "fp"})
    assert build_response(response, REQUEST, IDS, Ledger()) == {
        "id": "c-1",
        "object": "chat.completion",
        "created": 5,
        "model": "asked-model",
        "service_tier": "odd",
        "choices": [
            {
                "index": 3,
                "message": message("Hi", odd={"a": 1}),
                "logprobs": None,
                "finish_reason": "eos",
                "content_filter_results": {"hate": {}},
            }
        ],
        "system_fingerprint": "fp",
    }


def test_candidates_keep_their_indexes() -> None:
    candidates = (Candidate((Text("A"),), Finish("stop")), Candidate((Text("B"),), Finish("length"), 1))
    body = build_response(Response("gemini", "", "", candidates), REQUEST, IDS, Ledger())
    found = [(one["index"], one["message"]["content"], one["finish_reason"]) for one in body["choices"]]
    assert found == [(0, "A", "stop"), (1, "B", "length")]


ENDS: dict[str, tuple[list[Part], Finish | None, dict[str, Any], str]] = {
    "a refusal that is explained": (
        [],
        Finish("refusal", "refusal", explanation="I must not."),
        message(refusal="I must not."),
        "content_filter",
    ),
    "a refusal behind a text": (
        [Text("I")],
        Finish("refusal", "refusal", explanation="I must not."),
        message("I"),
        "content_filter",
    ),
    "a bare refusal": ([], Finish("refusal"), message(""), "content_filter"),
    "nothing but a limit is left": ([Opaque("messages", "x", {}, "hosted")], Finish("length"), message(""), "length"),
    "a limit in a call": (
        [ToolCall("c", "one", "{")],
        Finish("length"),
        message(tool_calls=[entry("c", "one", "{")]),
        "length",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_it_ends(name: str) -> None:
    found, finish, told, word = ENDS[name]
    choice = built(*found, finish=finish)
    assert (choice["message"], choice["finish_reason"]) == (told, word)


@pytest.mark.parametrize(("part", "word"), [(Text("Hi"), "stop"), (ToolCall("c", "one", "{}"), "tool_calls")])
def test_a_finish_that_nobody_told(part: Part, word: str) -> None:
    notes: list[Note] = []
    response = Response("gemini", "", "", (Candidate((part,), None),))
    body = build_response(response, REQUEST, IDS, Ledger(notes))
    assert body["choices"][0]["finish_reason"] == word
    assert notes == [Note("chat.answer.finish", "finish.inferred")]


FAILING: dict[str, tuple[list[Part], Finish, str]] = {
    "malformed": ([Text("Hi")], Finish("malformed", "MALFORMED"), "answer_malformed"),
    "cancelled": ([Text("Hi")], Finish("cancelled"), "answer_cancelled"),
    "nothing can be told (3.2 R7)": ([Opaque("messages", "x", {}, "hosted")], Finish("stop"), "answer_not_expressible"),
    "media alone": ([Media("video", Source("url", PAGE))], Finish("stop"), "answer_not_expressible"),
    "redacted reasoning alone": ([Reasoning(state=State("redacted", "x"))], Finish("stop"), "answer_not_expressible"),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_failed_is_no_success(name: str) -> None:
    found, finish, code = FAILING[name]
    with pytest.raises(UpstreamFailed) as failed:
        built(*found, finish=finish)
    assert (failed.value.stage, failed.value.error.code) == ("answered", code)


@pytest.mark.pitfall("C239")
def test_an_answer_without_candidates_is_none() -> None:
    with pytest.raises(UpstreamFailed) as failed:
        build_response(Response("gemini", "", "", ()), REQUEST, IDS, Ledger())
    error = failed.value.error
    assert (error.kind, error.status, error.code) == (ErrorKind.BAD_GATEWAY, 502, "answer_not_expressible")


def test_reasoning_whose_words_are_hidden_is_an_empty_answer() -> None:
    """A signature alone proves that there were thoughts; that is no answer that was lost."""
    assert built(Reasoning((Thought(""),), State("signature", "c2ln")))["message"] == message("")


@pytest.mark.pitfall("C17")
def test_a_client_of_functions_gets_function_call() -> None:
    ledger = Ledger()
    state = State("signature", "c2ln")
    found = [ToolCall("c1", "one", "", state=state), ToolCall("c2", "run", "ls", "custom")]
    choice = built(*found, request=FUNCTIONS, ledger=ledger)
    assert choice["message"] == message(function_call={"name": "one", "arguments": "{}"})
    assert choice["finish_reason"] == "function_call"
    assert ledger.losses == [Loss("reasoning.state"), Loss("answer.call", "", "run")]
    custom = built(found[1], request=FUNCTIONS)["message"]
    assert custom == message(function_call={"name": "run", "arguments": '{"input":"ls"}'})


def test_reasoning_that_nobody_wants_to_see() -> None:
    assert built(Reasoning((Thought("Hm"),)), Text("Hi"), request=HIDDEN)["message"] == message("Hi")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=streams(overlapping=False))
def test_any_answer_keeps_the_schema(events: list[Event]) -> None:
    response = replace(fold(events), protocol="messages")
    try:
        body = build_response(response, REQUEST, IDS, Ledger())
    except UpstreamFailed:
        return
    check_answer(body)
    assert body == build_response(response, REQUEST, IDS, Ledger())
