"""Whole Messages answers, read, and written back for their own protocol.  Source: protocols.md 3.1, 3.2, 3.5."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from rotator.neutral.codec import Ids
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import (
    Citation,
    Opaque,
    Part,
    Reasoning,
    State,
    Text,
    Thought,
    ToolCall,
)
from rotator.neutral.request import Request
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from tests.protocols.messages.folding import check_message, module

response: Any = module("response")

IDS = Ids("request-1", 1_700_000_000, "alias")
REQUEST = Request("messages", "m", ())
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
PAGE = {
    "type": "web_search_result_location",
    "url": "https://page.example",
    "title": "A page",
    "cited_text": "words",
    "encrypted_index": "aW5kZXg=",
}
#: One block of each kind, and members that only this protocol knows in every place.
MESSAGE: dict[str, Any] = {
    "id": "msg_01upstream",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-20260101",
    "content": [
        {"type": "thinking", "thinking": "A greeting.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "aGlk"},
        {"type": "text", "text": "So it is.", "citations": [PAGE]},
        SEARCH,
        FOUND,
        {"type": "text", "text": "And so on."},
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "lookup",
            "input": {"q": "x", "n": 1.0, "big": 2**70},
            "caller": {"type": "direct"},
        },
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "container": {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"},
    "context_management": {"applied_edits": []},
    "usage": {
        "input_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        "service_tier": "standard",
        "inference_geo": None,
    },
}
READ = Response(
    "messages",
    "msg_01upstream",
    "claude-x-20260101",
    (
        Candidate(
            (
                Reasoning((Thought("A greeting."),), State("signature", "c2ln")),
                Reasoning((), State("redacted", "aGlk")),
                Text(
                    "So it is.",
                    (Citation("web", "https://page.example", "A page", "words", raw=PAGE),),
                ),
                Opaque("messages", "server_tool_use", SEARCH, "hosted"),
                Opaque("messages", "web_search_tool_result", FOUND, "hosted"),
                Text("And so on."),
                ToolCall(
                    "toolu_1",
                    "lookup",
                    '{"q":"x","n":1.0,"big":1180591620717411303424}',
                    rest={"caller": {"type": "direct"}},
                ),
            ),
            Finish("tool_calls", "tool_use"),
        ),
    ),
    Usage(30, 60, 10, 30, 20, written_by_ttl=(("5m", 10),)),
    tier="standard",
    rest={
        "container": {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"},
        "context_management": {"applied_edits": []},
        "usage": {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}},
    },
)


@pytest.mark.pitfall("C121")
def test_a_whole_message_is_read() -> None:
    ledger, body = Ledger(), copy.deepcopy(MESSAGE)
    assert response.parse_response(body, ledger) == READ
    assert body == MESSAGE
    assert ledger.losses == []


def test_the_smallest_message_is_read() -> None:
    assert response.parse_response({"content": []}, Ledger()) == Response("messages", "", "", (Candidate((), None),))


@pytest.mark.pitfall("C164", "C181")
def test_our_own_answer_comes_back_under_the_clients_model() -> None:
    ledger = Ledger()
    message = response.build_response(READ, REQUEST, IDS, ledger)
    check_message(message)
    expected = {**MESSAGE, "model": "alias", "usage": {**MESSAGE["usage"]}}
    del expected["usage"]["inference_geo"]
    assert message == expected
    assert response.parse_response(message, Ledger()) == replace(READ, model="alias")
    assert ledger.losses == []


def test_a_usage_that_was_added_up_is_written_back_as_it_was() -> None:
    steps = [{"type": "compaction", "input_tokens": 100, "output_tokens": 20}, {"type": "message", "input_tokens": 10}]
    told = {"input_tokens": 10, "output_tokens": 0, "iterations": steps}
    read = response.parse_response({"content": [], "usage": told}, Ledger())
    assert (read.usage, read.rest) == (Usage(110, output_text=20), {"usage": told})
    written = response.build_response(read, REQUEST, IDS, Ledger())["usage"]
    assert {name: written[name] for name in told} == told


@pytest.mark.pitfall("C18")
def test_further_details_of_a_refusal_are_kept() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": None, "fallback": "m2"}
    body = {"content": [], "stop_reason": "refusal", "stop_details": details}
    read = response.parse_response(body, Ledger())
    assert read.candidates[0].finish == Finish("refusal", "refusal", None, "cyber")
    assert read.rest == {"stop_details": {"fallback": "m2"}}
    assert response.build_response(read, REQUEST, IDS, Ledger())["stop_details"] == {
        "type": "refusal", "category": "cyber", "explanation": None, "fallback": "m2"
    }


def opaque(block: dict[str, Any], role: Any) -> Opaque:
    return Opaque("messages", block["type"], block, role)


#: A block -> its part.
BLOCKS: dict[str, tuple[dict[str, Any], Part]] = {
    "empty text": ({"type": "text", "text": ""}, Text("")),
    "text with null citations": ({"type": "text", "text": "a", "citations": None}, Text("a")),
    "text with odd citations": ({"type": "text", "text": "a", "citations": [7, None]}, Text("a")),
    "text with more": ({"type": "text", "text": "a", "x": 0, "y": None}, Text("a", rest={"x": 0})),
    "odd text": ({"type": "text", "text": 7}, Text("")),
    "thinking that is not shown": (
        {"type": "thinking", "thinking": "", "signature": "c2ln"}, Reasoning((), State("signature", "c2ln"))
    ),
    "unsigned thinking": ({"type": "thinking", "thinking": "a", "signature": ""}, Reasoning((Thought("a"),))),
    "thinking with more": (
        {"type": "thinking", "thinking": "a", "x": 1}, Reasoning((Thought("a"),), rest={"x": 1})
    ),
    "redacted with more": (
        {"type": "redacted_thinking", "data": "b", "x": 1}, Reasoning((), State("redacted", "b"), rest={"x": 1})
    ),
    "a call without input": ({"type": "tool_use", "id": "a", "name": "b"}, ToolCall("a", "b", "{}")),
    "a call with an empty input": ({"type": "tool_use", "id": "a", "name": "b", "input": {}}, ToolCall("a", "b", "{}")),
    "a call with a list": ({"type": "tool_use", "id": "a", "name": "b", "input": [1]}, ToolCall("a", "b", "[1]")),
    "an odd call": ({"type": "tool_use", "id": 7, "name": None}, ToolCall("", "", "{}")),
    "mcp call": ({"type": "mcp_tool_use"}, opaque({"type": "mcp_tool_use"}, "hosted")),
    "mcp result": ({"type": "mcp_tool_result"}, opaque({"type": "mcp_tool_result"}, "hosted")),
    "reference": ({"type": "compaction"}, opaque({"type": "compaction"}, "reference")),
    "of tomorrow": ({"type": "hologram"}, opaque({"type": "hologram"}, "content")),
    "no type": ({"text": "a"}, Opaque("messages", "", {"text": "a"})),
    "odd type": ({"type": ["text"]}, Opaque("messages", "", {"type": ["text"]})),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_read(name: str) -> None:
    block, part = BLOCKS[name]
    read = response.parse_response({"content": [block]}, Ledger())
    assert read.candidates[0].parts == (part,)


def test_what_is_no_block_is_passed_over() -> None:
    for content in (None, "Hello.", {"type": "text"}, [7, None, "a", []]):
        assert response.parse_response({"content": content}, Ledger()).candidates[0].parts == ()


CITATIONS: dict[str, tuple[dict[str, Any], Citation]] = {
    "web": (PAGE, Citation("web", "https://page.example", "A page", "words")),
    "character": (
        {"type": "char_location", "cited_text": "w", "document_title": "D", "document_index": 0},
        Citation("document", "", "D", "w"),
    ),
    "page": ({"type": "page_location", "cited_text": "w", "document_title": None}, Citation("document", "", "", "w")),
    "block": ({"type": "content_block_location", "cited_text": "w"}, Citation("document", "", "", "w")),
    "result": (
        {"type": "search_result_location", "cited_text": "w", "source": "S", "title": "T"},
        Citation("result", "S", "T", "w"),
    ),
    "of tomorrow": ({"type": "hologram"}, Citation("other")),
    "odd": ({"type": None, "url": 7}, Citation("other")),
}


@pytest.mark.pitfall("C153")
@pytest.mark.parametrize("name", CITATIONS)
def test_a_citation_is_read(name: str) -> None:
    raw, expected = CITATIONS[name]
    assert response.read_citation(raw) == expected._replace(raw=raw)
