"""Answers of any upstream as whole messages.  Source: protocols.md 3.1, 3.2, 3.5, 6.3."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import UpstreamFailed
from rotator.neutral.codec import Ids
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import (
    Citation,
    Logprob,
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
    ToolResult,
)
from rotator.neutral.request import Request
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from tests.protocols.messages.folding import check_message, module

response: Any = module("response")
losses: Any = module("answer_losses")

IDS = Ids("request-1", 1_700_000_000, "alias")
REQUEST = Request("messages", "m", ())
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}


def build(
    *parts: Part, protocol: str = "chat", finish: Finish | None = None, ledger: Ledger | None = None
) -> dict[str, Any]:
    """The message for an answer of these parts; it keeps the published schema."""
    answer = Response(protocol, "up-1", "up-model", (Candidate(parts, finish),))
    message: dict[str, Any] = response.build_response(answer, REQUEST, IDS, ledger or Ledger())
    if message["stop_reason"] != "compaction":
        check_message(message)
    return message


def lost(ledger: Ledger) -> list[tuple[str, str]]:
    """What was lost, each code and detail; every code is declared."""
    assert {loss.code for loss in ledger.losses} <= losses.ANSWER_LOSSES.keys()
    return [(loss.code, loss.detail) for loss in ledger.losses]


def test_an_answer_of_another_protocol_has_our_envelope() -> None:
    usage = Usage(30, 60, 10, 30, 20, input_tool=5)
    candidate = Candidate((Text("Hello."),), Finish("stop"))
    answer = Response("chat", "chatcmpl-1", "gpt", (candidate,), usage, 1, "priority")
    ledger = Ledger()
    assert response.build_response(answer, REQUEST, IDS, ledger) == {
        "id": IDS.mint("msg_01"),
        "type": "message",
        "role": "assistant",
        "model": "alias",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 35,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 60,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 20},
            "service_tier": "priority",
        },
    }
    assert lost(ledger) == [("usage.folded", "input_tool")]


def test_our_own_answer_without_an_id_gets_one() -> None:
    assert build(Text("a"), protocol="messages")["id"] == "up-1"
    answer = Response("messages", "", "", (Candidate((Text("a"),), None),))
    assert response.build_response(answer, REQUEST, IDS, Ledger())["id"] == IDS.mint("msg_01")


@pytest.mark.parametrize(("protocol", "tier", "told", "codes"), [
    ("chat", "default", "standard", []), ("chat", "batch", "batch", []), ("chat", "flex", None, ["meta.tier"]),
    ("chat", None, None, []), ("messages", "of_tomorrow", "of_tomorrow", []), ("messages", None, None, []),
])  # fmt: skip
def test_the_tier_is_told_if_clients_know_it(protocol: str, tier: Any, told: Any, codes: list[str]) -> None:
    ledger = Ledger()
    answer = Response(protocol, "", "", (Candidate((Text("a"),), None),), tier=tier)
    assert response.build_response(answer, REQUEST, IDS, ledger)["usage"].get("service_tier") == told
    assert [code for code, _ in lost(ledger)] == codes


@pytest.mark.pitfall("C252")
def test_members_of_another_protocol_are_left_out() -> None:
    parts = (Text("a", rest={"of_text": 1}), ToolCall("b", "c", "{}", rest={"of_call": 1}))
    candidate = Candidate(parts, Finish("stop"), rest={"of_candidate": 1})
    notes: list[Note] = []
    ledger = Ledger(notes)
    answer = Response("chat", "", "", (candidate,), rest={"of_answer": 1})
    message = response.build_response(answer, REQUEST, IDS, ledger)
    assert message["content"] == [
        {"type": "text", "text": "a"}, {"type": "tool_use", "id": "b", "name": "c", "input": {}}
    ]
    assert not {"of_answer", "of_candidate"} & message.keys()
    assert ledger.losses == []
    assert {note.path_from for note in notes} == {"of_text", "of_call", "of_candidate", "of_answer"}
    assert {note.code for note in notes} == {"set_aside"}


LOGPROBS = (Logprob("a", -0.5),)
SIGNED, HIDDEN = State("signature", "c2ln"), State("redacted", "aGlk")
ENCRYPTED = State("encrypted", "ZW5j")
STATE = ("reasoning.state", "")
SOUND = Media("audio", Source("base64", "AAAA"), transcript="Hello.")


def thinking(words: str, signature: str = "") -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": signature}


def said(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def use(id: str, input: Any, name: str = "lookup", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": input, **more}


#: Parts of an answer of another protocol -> content, losses.
FOREIGN: dict[str, tuple[tuple[Part, ...], list[Any], list[tuple[str, str]]]] = {
    "texts stay apart": ((Text("a"), Text("b")), [said("a"), said("b")], []),
    "empty texts are none": ((Text(""), Text("b"), Refusal("")), [said("b")], []),
    "logprobs": ((Text("a", logprobs=LOGPROBS),), [said("a")], [("answer.logprobs", "")]),
    "logprobs of a refusal": ((Refusal("a", LOGPROBS),), [said("a")], [("answer.logprobs", "")]),
    "a signed text": ((Text("a", state=SIGNED),), [said("a")], [STATE]),
    "refusal": ((Refusal("No."),), [said("No.")], []),
    "reasoning": ((Reasoning((Thought("a"),)), Text("b")), [thinking("a"), said("b")], []),
    "several thoughts are one block": (
        (Reasoning((Thought("a", "summary"), Thought("", "summary"), Thought("b", "summary"))),),
        [thinking("a\n\nb")],
        [],
    ),
    "reasoning without words": ((Reasoning((), ENCRYPTED), Text("a")), [thinking(""), said("a")], [STATE]),
    "a foreign signature": ((Reasoning((Thought("a"),), SIGNED),), [thinking("a")], [STATE]),
    "hidden reasoning": ((Reasoning((), HIDDEN), Text("a")), [said("a")], [STATE]),
    "hidden reasoning that is told": ((Reasoning((Thought("a"),), HIDDEN),), [thinking("a")], [STATE]),
    "a call": ((ToolCall("call_1", "lookup", '{"q": 1}'),), [use("call_1", {"q": 1})], []),
    "a signed call": ((ToolCall("call_1", "lookup", "{}", state=SIGNED),), [use("call_1", {})], [STATE]),
    "a custom call": (
        (ToolCall("call_1", "run", 'ls "a"\n', "custom"),), [use("call_1", {"input": 'ls "a"\n'}, "run")], []
    ),
    "a vendor's tool that the client runs": (
        (ToolCall("call_1", "bash", '{"command":"ls"}', "builtin"),), [use("call_1", {"command": "ls"}, "bash")], []
    ),
    "order is kept": (
        (Text("a"), ToolCall("call_1", "lookup", "{}"), Text("b")), [said("a"), use("call_1", {}), said("b")], []
    ),
    "media": (
        (Text("a"), Media("image", Source("base64", "AAAA"), "image/png")), [said("a")], [("answer.media", "image")]
    ),
    "what is said in a sound": ((SOUND,), [said("Hello.")], [("answer.media", "audio")]),
    "hosted work": (
        (Opaque("responses", "web_search_call", {}, "hosted"), Text("a")),
        [said("a")],
        [("answer.hosted", "web_search_call")],
    ),
    "what looks like ours": (
        (Opaque("messages", "server_tool_use", SEARCH, "hosted"), Text("a")),
        [said("a")],
        [("answer.hosted", "server_tool_use")],
    ),
    "a result": ((ToolResult("call_1"), Text("a")), [said("a")], [("answer.media", "function")]),
}


@pytest.mark.pitfall("C76", "C122")
@pytest.mark.parametrize("name", FOREIGN)
def test_parts_of_another_protocol_are_written(name: str) -> None:
    parts, content, expected = FOREIGN[name]
    ledger = Ledger()
    assert build(*parts, ledger=ledger)["content"] == content
    assert lost(ledger) == expected


#: Parts of our own protocol -> content, losses.
OWN: dict[str, tuple[Part, list[Any], list[tuple[str, str]]]] = {
    "rest": (Text("a", rest={"x": 1}), [said("a", x=1)], []),
    "rest of a call": (ToolCall("b", "lookup", "", rest={"x": 1}), [use("b", {}, x=1)], []),
    "rest of thinking": (
        Reasoning((Thought("a"),), SIGNED, rest={"x": 1}), [{**thinking("a", "c2ln"), "x": 1}], []
    ),
    "hidden reasoning": (
        Reasoning((), HIDDEN, rest={"x": 1}), [{"type": "redacted_thinking", "data": "aGlk", "x": 1}], []
    ),
    "another vendor's state": (Reasoning((Thought("a"),), ENCRYPTED), [thinking("a")], [STATE]),
    "a block of our own": (Opaque("messages", "hologram", {"type": "hologram", "x": 1}), [], []),
}


@pytest.mark.pitfall("C129")
@pytest.mark.parametrize("name", OWN)
def test_parts_of_our_own_are_written_back(name: str) -> None:
    part, content, expected = OWN[name]
    ledger = Ledger()
    answer = Response("messages", "", "", (Candidate((part,), None),))
    written = response.build_response(answer, REQUEST, IDS, ledger)["content"]
    assert written == (content or [part.data if isinstance(part, Opaque) else None])
    assert lost(ledger) == expected


def web(url: str, start: int | None = None, end: int | None = None) -> Citation:
    return Citation("web", url, "T", "", start, end)


def told(url: str) -> dict[str, Any]:
    return {
        "type": "web_search_result_location", "url": url, "title": "T", "cited_text": "", "encrypted_index": ""
    }


A, B, IN_FILE = told("a"), told("b"), {"type": "char_location", "x": 1}
#: Citations of "one two three" -> its blocks: text and sources.
SPANS: dict[str, tuple[list[Citation], list[tuple[str, list[str]]]]] = {
    "all of it": ([web("a", 0, 13)], [("one two three", ["a"])]),
    "in the middle": ([web("a", 4, 7)], [("one ", []), ("two", ["a"]), (" three", [])]),
    "at the start": ([web("a", 0, 3)], [("one", ["a"]), (" two three", [])]),
    "at the end": ([web("a", 8, 13)], [("one two ", []), ("three", ["a"])]),
    "from somewhere on": ([web("a", 8)], [("one two ", []), ("three", ["a"])]),
    "up to somewhere": ([web("a", None, 3)], [("one", ["a"]), (" two three", [])]),
    "one behind the other": ([web("a", 0, 4), web("b", 4, 7)], [("one ", ["a"]), ("two", ["b"]), (" three", [])]),
    "out of order": ([web("b", 8, 13), web("a", 0, 3)], [("one", ["a"]), (" two ", []), ("three", ["b"])]),
    "of the same words": ([web("a", 4, 7), web("b", 4, 7)], [("one ", []), ("two", ["a", "b"]), (" three", [])]),
    "overlapping": ([web("a", 0, 7), web("b", 4, 13)], [("one two", ["a"]), (" three", ["b"])]),
    "inside each other": ([web("a", 0, 13), web("b", 4, 7)], [("one two three", ["a", "b"])]),
    "without a place": ([web("a"), web("b")], [("one two three", ["a", "b"])]),
    "with and without a place": ([web("b"), web("a", 0, 3)], [("one", ["a"]), (" two three", ["b"])]),
    "all cited, one without a place": ([web("b"), web("a", 0, 13)], [("one two three", ["a", "b"])]),
    "beyond the text": ([web("a", 8, 99)], [("one two ", []), ("three", ["a"])]),
    "before the text": ([web("a", -5, 3)], [("one", ["a"]), (" two three", [])]),
    "of nothing": ([web("a", 0, 0)], [("one two three", ["a"])]),
    "backwards": ([web("a", 7, 4)], [("one two three", ["a"])]),
    "wholly beyond": ([web("a", 50, 60)], [("one two three", ["a"])]),
}


@pytest.mark.pitfall("C154")
@pytest.mark.parametrize("name", SPANS)
def test_a_text_is_cut_where_citations_begin_and_end(name: str) -> None:
    citations, expected = SPANS[name]
    blocks = build(Text("one two three", tuple(citations)))["content"]
    assert [(block["text"], [one["url"] for one in block.get("citations", [])]) for block in blocks] == expected
    assert all(block["type"] == "text" for block in blocks)


def test_a_web_citation_is_written_with_what_is_known() -> None:
    citation = Citation("web", "https://page.example", "", "words", raw={"type": "url_citation"})
    assert build(Text("a", (citation,)))["content"][0]["citations"] == [
        {
            "type": "web_search_result_location",
            "url": "https://page.example",
            "title": None,
            "cited_text": "words",
            "encrypted_index": "",
        }
    ]


#: protocol, citation -> what is told of it
TOLD: dict[str, tuple[str, Citation, Any]] = {
    "our own": ("messages", Citation("document", raw=IN_FILE), IN_FILE),
    "made by an adapter": ("messages", web("a"), A),
    "no page": ("chat", Citation("file", "https://page.example", raw={"type": "char_location"}), None),
    "no address": ("chat", Citation("web", title="T"), None),
    "recited": ("gemini", Citation("recitation", "https://page.example"), None),
}


@pytest.mark.pitfall("C157")
@pytest.mark.parametrize("name", TOLD)
def test_citations_are_told_or_lost(name: str) -> None:
    protocol, citation, expected = TOLD[name]
    ledger = Ledger()
    answer = Response(protocol, "", "", (Candidate((Text("a", (citation, web("b"))),), None),))
    content = response.build_response(answer, REQUEST, IDS, ledger)["content"]
    assert [one["citations"] for one in content] == [[B] if expected is None else [expected, B]]
    assert lost(ledger) == ([("answer.citation", "")] if expected is None else [])


def test_a_citation_of_no_words_is_lost() -> None:
    ledger = Ledger()
    assert build(Text("", (web("a"),)), Text("b"), ledger=ledger)["content"] == [said("b")]
    assert lost(ledger) == [("answer.citation", "")]


#: Arguments as they were written -> input, and whether it is a repair.
ARGUMENTS: dict[str, tuple[str, Any, bool]] = {
    "none": ("", {}, False),
    "empty": ("{}", {}, False),
    "spaced": (' {"q" :\n"x"} ', {"q": "x"}, False),
    "numbers as they are": ('{"a":1.0,"b":123456789012345678901234567890}',
                            {"a": 1.0, "b": 123456789012345678901234567890}, False),
    "half characters": ('{"q":"\ud83d\ude80"}', {"q": "\U0001f680"}, False),
    "cut off": ('{"q":"x', {"_raw": '{"q":"x'}, True),
    "words": ("look it up", {"_raw": "look it up"}, True),
    "a list": ("[1]", {"_raw": [1]}, True),
    "a string": ('"x"', {"_raw": "x"}, True),
    "null": ("null", {"_raw": None}, True),
    "no number": ('{"q":NaN}', {"_raw": '{"q":NaN}'}, True),
}


@pytest.mark.pitfall("C68")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_become_an_object(name: str) -> None:
    arguments, expected, repaired = ARGUMENTS[name]
    ledger = Ledger()
    (block,) = build(ToolCall("call_1", "lookup", arguments), ledger=ledger)["content"]
    assert block["input"] == expected
    assert lost(ledger) == ([("arguments.invalid", "lookup")] if repaired else [])


def test_ids_of_calls_fit_and_are_told_apart() -> None:
    notes: list[Note] = []
    given = ["call_1", "functions.lookup:0", "x" * 64, "y" * 65, "", "call_1", "", "call_2\n", "\u00e9"]
    blocks = build(
        *(ToolCall(id, "lookup", "{}") for id in given), finish=Finish("tool_calls"), ledger=Ledger(notes)
    )["content"]
    ids = [block["id"] for block in blocks]
    kept = [place for place, id in enumerate(given) if ids[place] == id]
    assert kept == [0, 2]
    assert len(set(ids)) == len(ids)
    assert all(id.startswith("toolu_") and len(id) <= 64 and id.isascii() for id in ids[3:])
    assert (ids[4], ids[6]) == (IDS.mint("toolu_", 4), IDS.mint("toolu_", 6))
    assert notes == [Note("messages.response.ids", "call.renamed")] * 7
    again = build(*(ToolCall(id, "lookup", "{}") for id in given))["content"]
    assert again == blocks


@pytest.mark.parametrize(("parts", "finish", "reason"), [
    ((ToolCall("a", "b", "{}"),), Finish("stop"), "tool_use"),
    ((ToolCall("a", "b", "{}"),), None, "tool_use"),
    ((Text("a"),), None, "end_turn"),
    ((Text("a"),), Finish("tool_calls"), "end_turn"),
    ((Refusal("No."),), Finish("stop"), "refusal"),
    ((Refusal("No."),), Finish("refusal"), "refusal"),
    ((), Finish("stop"), "end_turn"),
    ((), Finish("content_filter"), "refusal"),
    ((ToolCall("a", "b", '{"'),), Finish("length"), "max_tokens"),
])  # fmt: skip
def test_the_stop_reason_fits_what_is_told(parts: tuple[Part, ...], finish: Finish | None, reason: str) -> None:
    assert build(*parts, finish=finish)["stop_reason"] == reason


def test_only_the_first_candidate_is_told() -> None:
    ledger = Ledger()
    candidates = (Candidate((Text("b"),), Finish("length"), 1), Candidate((Text("a"),), Finish("stop"), 0))
    message = response.build_response(Response("chat", "", "", candidates), REQUEST, IDS, ledger)
    assert (message["content"], message["stop_reason"]) == ([said("a")], "end_turn")
    assert lost(ledger) == [("answer.candidates", "")]
    only = Response("chat", "", "", (Candidate((Text("b"),), None, 1),))
    assert response.build_response(only, REQUEST, IDS, Ledger())["content"] == [said("b")]


@pytest.mark.parametrize("part", [
    Media("image", Source("base64", "AAAA")),
    Opaque("responses", "web_search_call", {}, "hosted"),
    Reasoning((), HIDDEN),
], ids=["media", "hosted", "hidden"])  # fmt: skip
def test_an_answer_of_which_nothing_can_be_told_is_an_error(part: Part) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        build(part, Text(""), finish=Finish("stop"))
    assert (failed.value.error.status, failed.value.error.code) == (502, "answer_not_expressible")
    assert failed.value.stage == "answered"


def test_an_answer_that_broke_off_is_an_error() -> None:
    with pytest.raises(UpstreamFailed) as failed:
        build(Text("a"), finish=Finish("malformed", "MALFORMED_FUNCTION_CALL"))
    assert (failed.value.error.status, failed.value.error.code) == (502, "answer_malformed")
