"""Whole Chat answers, read from upstreams.  Source: protocols.md 3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rotator.errors import UpstreamFailed
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import (
    Citation,
    Media,
    Part,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    Thought,
    ToolCall,
)
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from tests.protocols.chat.clients import IDS, REQUEST, module
from tests.protocols.chat.junk import answers
from tests.protocols.chat.whole import (
    IMAGE,
    LEANING,
    LOGPROB,
    PAGE,
    SEALED,
    SIGNED,
    TOKEN,
    calls,
    entry,
    leaning,
)

parse_response: Any = module("response").parse_response
build_response: Any = module("response").build_response
made_id: Any = module("answer_parts").made_id


def answer(message: Any, finish: Any = "stop", **choice: Any) -> dict[str, Any]:
    """A whole answer with one choice."""
    found = {"index": 0, "message": message, "finish_reason": finish, **choice}
    return {"id": "c-1", "object": "chat.completion", "created": 7, "model": "up", "choices": [found]}


def parts(message: Any, ledger: Ledger | None = None, **choice: Any) -> tuple[Part, ...]:
    (candidate,) = parse_response(answer(message, **choice), ledger or Ledger()).candidates
    found: tuple[Part, ...] = candidate.parts
    return found


PARTS: dict[str, tuple[Any, list[Part]]] = {
    "text": ({"role": "assistant", "content": "Hi"}, [Text("Hi")]),
    "text parts": ({"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]}, [Text("Hello.")]),
    "nothing": ({"role": "assistant", "content": None, "refusal": None, "tool_calls": None}, []),
    "empty": ({"role": "assistant", "content": "", "refusal": "", "tool_calls": []}, []),
    "no message": (None, []),
    "reasoning_content": (
        {"content": "Hi", "reasoning_content": "Hm"},
        [Reasoning((Thought("Hm"),)), Text("Hi")],
    ),
    "reasoning": ({"content": "Hi", "reasoning": "Hm"}, [Reasoning((Thought("Hm"),)), Text("Hi")]),
    "reasoning_details": (
        {"reasoning_details": [{"text": "Hm"}, {"summary": "."}, {"text": None}, 7]},
        [Reasoning((Thought("Hm."),))],
    ),
    "one thought under several names": (
        {"reasoning_content": "Hm", "reasoning": "Hm", "reasoning_details": [{"text": "Hm"}]},
        [Reasoning((Thought("Hm"),))],
    ),
    "the state in reasoning_details": (
        {"reasoning": "Hm", "reasoning_details": SIGNED},
        [Reasoning((Thought("Hm"),)), Reasoning(state=State("encrypted", SEALED))],
    ),
    "refusal": ({"content": None, "refusal": "No."}, [Refusal("No.")]),
    "citations": (
        {"content": "So", "annotations": [LEANING, leaning(None, 2), leaning(2, 1)]},
        [
            Text(
                "So",
                (
                    Citation("web", PAGE, "A page", "words", 0, 2),
                    Citation("web", PAGE, "A page"),
                    Citation("web", PAGE, "A page"),
                ),
            )
        ],
    ),
    "images": (
        {"content": "See:", "images": [IMAGE, {"image_url": "https://img.example/cat.png"}, {"image_url": {}}]},
        [
            Text("See:"),
            Media("image", Source("base64", "AAAA"), "image/png"),
            Media("image", Source("url", "https://img.example/cat.png")),
        ],
    ),
    "an image that is not base64": (
        {"images": [{"image_url": {"url": "data:image/svg+xml,<svg/>"}}]},
        [Media("image", Source("url", "data:image/svg+xml,<svg/>"))],
    ),
    "sound": (
        {"content": None, "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 9, "transcript": "Hi"}},
        [Media("audio", Source("base64", "AAAA"), transcript="Hi", rest={"id": "audio_1", "expires_at": 9})],
    ),
    "calls": (
        calls(entry("call_1", "one", '{"q": 1.0}'), entry("call_2", "two", "")),
        [ToolCall("call_1", "one", '{"q": 1.0}'), ToolCall("call_2", "two")],
    ),
    "calls without ids, with arguments as objects": (
        calls(entry(None, "one", {"q": 1}), entry("", "two", None)),
        [ToolCall(made_id("c-1", 0, 0, "one"), "one", '{"q":1}'), ToolCall(made_id("c-1", 0, 1, "two"), "two")],
    ),
    "custom calls": (
        calls({"id": "call_1", "type": "custom", "custom": {"name": "run", "input": "ls"}}),
        [ToolCall("call_1", "run", "ls", "custom")],
    ),
    "the legacy call": (
        {"content": None, "function_call": {"name": "one", "arguments": "{}"}},
        [ToolCall(made_id("c-1", 0, 0, "one"), "one", "{}")],
    ),
    "the legacy call beside calls": (
        {**calls(entry("call_1", "one", "{}")), "function_call": {"name": "one", "arguments": "{}"}},
        [ToolCall("call_1", "one", "{}")],
    ),
    "Google's signature": (
        calls(entry("call_1", "one", "{}", extra_content={"google": {"thought_signature": "c2ln"}})),
        [ToolCall("call_1", "one", "{}", state=State("signature", "c2ln"))],
    ),
    "members of a call that only its vendor knows": (
        calls({"id": "call_1", "index": 0, "odd": 1, "no": None, "function": {"name": "one", "arguments": "", "x": 2}}),
        [ToolCall("call_1", "one", rest={"odd": 1, "function": {"x": 2}})],
    ),
    "all at once, in order": (
        {
            "reasoning_content": "Hm",
            "content": "Hi",
            "refusal": "No.",
            "images": [IMAGE],
            "audio": {"data": "AAAA"},
            "tool_calls": [entry("call_1", "one", "{}")],
        },
        [
            Reasoning((Thought("Hm"),)),
            Text("Hi"),
            Refusal("No."),
            Media("image", Source("base64", "AAAA"), "image/png"),
            Media("audio", Source("base64", "AAAA")),
            ToolCall("call_1", "one", "{}"),
        ],
    ),
}


@pytest.mark.pitfall("C121", "C146")
@pytest.mark.parametrize("name", PARTS)
def test_a_message_is_read(name: str) -> None:
    message, found = PARTS[name]
    assert parts(message) == tuple(found)


def test_logprobs_are_read() -> None:
    message = {"content": "é", "refusal": "No"}
    found = parts(message, logprobs={"content": [TOKEN], "refusal": [TOKEN]})
    assert found == (Text("é", logprobs=(LOGPROB,)), Refusal("No", (LOGPROB,)))


LOST: dict[str, tuple[Any, Any, str]] = {
    "a citation without a URL": ({"content": "So", "annotations": [leaning(0, 1, "")]}, None, "answer.citation"),
    "a citation of a file": ({"content": "So", "annotations": [{"type": "file_citation"}]}, None, "answer.citation"),
    "a citation without a text": ({"content": "", "annotations": [LEANING]}, None, "answer.citation"),
    "a call without a name": (calls(entry("call_1", "", "{}")), None, "answer.call"),
    "a call without a function": (calls({"id": "call_1"}), None, "answer.call"),
    "tokens without a text": ({"content": None}, {"content": [TOKEN]}, "answer.logprobs"),
}


@pytest.mark.pitfall("C157")
@pytest.mark.parametrize("name", LOST)
def test_what_cannot_be_read_is_told(name: str) -> None:
    message, logprobs, code = LOST[name]
    ledger = Ledger()
    assert not any(isinstance(part, ToolCall) for part in parts(message, ledger, logprobs=logprobs))
    assert ledger.losses == [Loss(code)]


def test_the_envelope_is_read() -> None:
    body = {
        **answer({"content": "Hi", "odd": 1, "no": None}, content_filter_results={"hate": {}}),
        "created": 7.0,
        "service_tier": "flex",
        "system_fingerprint": "fp",
        "prompt_filter_results": None,
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    rest = {"content_filter_results": {"hate": {}}, "message": {"odd": 1}}
    candidate = Candidate((Text("Hi"),), Finish("stop", "stop"), 0, rest)
    expected = Response(
        "chat", "c-1", "up", (candidate,), Usage(3, output_text=2), 7, "flex", {"system_fingerprint": "fp"}
    )
    assert parse_response(body, Ledger()) == expected


def test_an_envelope_of_nothing() -> None:
    body = {"id": 7, "created": "now", "model": None, "service_tier": 3, "choices": [{"message": {"content": "Hi"}}]}
    assert parse_response(body, Ledger()) == Response("chat", "", "", (Candidate((Text("Hi"),), None),))


@pytest.mark.pitfall("P-143", "C19")
def test_each_choice_is_a_candidate() -> None:
    choices = [
        {"index": 1, "message": {"content": "B"}, "finish_reason": "length"},
        {"index": 0, "message": calls(entry("c", "one", "{}")), "finish_reason": "stop"},
        {"message": {"refusal": "C"}, "finish_reason": "stop"},
        "nonsense",
    ]
    found = parse_response({"choices": choices}, Ledger()).candidates
    assert [(one.index, one.finish) for one in found] == [
        (1, Finish("length", "length")),
        (0, Finish("tool_calls", "stop")),
        (2, Finish("refusal", "stop")),
    ]


@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource"])
def test_a_word_for_failure_is_no_answer(word: str) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        parse_response(answer({"content": "Hi"}, word), Ledger())
    assert (failed.value.stage, failed.value.error.code) == ("answered", word)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=answers("message"))
def test_whatever_comes_is_read_or_failed(body: Any) -> None:
    """And what was read goes back as it was: nothing is repaired, and read again it is the same."""
    before = repr(body)
    try:
        response = parse_response(body, Ledger())
        written = build_response(response, REQUEST, IDS, Ledger())
    except UpstreamFailed:
        return
    assert repr(body) == before
    again = parse_response(written, Ledger())
    id, created = response.id or written["id"], response.created or written["created"]
    candidates = tuple(map(_finished, response.candidates))
    assert again == replace(response, candidates=candidates, id=id, created=created, model="asked-model")


def _finished(candidate: Candidate) -> Candidate:
    """A candidate with the finish that was inferred, and the word that its calls make of it."""
    called = any(isinstance(part, ToolCall) for part in candidate.parts)
    finish = candidate.finish
    if finish is None:
        refused = any(isinstance(part, Refusal) for part in candidate.parts)
        finish = Finish("tool_calls", "tool_calls") if called else Finish("refusal" if refused else "stop", "stop")
    elif finish.reason in ("stop", "tool_calls"):
        finish = finish._replace(
            native="tool_calls" if called else "stop" if finish.native == "tool_calls" else finish.native
        )
    return replace(candidate, finish=finish)
