"""Blocks of neutral events in Messages streams.  Source: protocols.md 4.5, 4.9, 5.1."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Cited,
    Event,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
)
from rotator.neutral.losses import Ledger
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
    ToolCall,
)
from tests.protocols.messages.folding import check_stream
from tests.protocols.messages.streams import CALL, CHAT, IDS, OVER, OWN, lost, write

SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
LOGPROBS = (Logprob("a", -0.5),)
SIGNED, HIDDEN = State("signature", "c2ln"), State("redacted", "aGlk")
PAGE = Citation("web", "https://page.example", "A page", "words")


def block_events(*events: Event, start: Start = CHAT, ledger: Ledger | None = None) -> list[Any]:
    """What of a stream that ends well is neither its beginning nor its end; type and index are left out."""
    written = check_stream(write(start, *events, *OVER, ledger=ledger))[2:-2]
    indexes = [event["index"] for event in written]
    assert indexes == sorted(indexes)
    return [event.get("delta") or event.get("content_block") or "stop" for event in written]


def text(words: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": words}


def thought(words: str) -> dict[str, Any]:
    return {"type": "thinking_delta", "thinking": words}


def piece(words: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": words}


def signed(signature: str = "") -> dict[str, Any]:
    return {"type": "signature_delta", "signature": signature}


def cites(url: str, title: str | None = "A page", cited: str = "words") -> dict[str, Any]:
    told = {"type": "web_search_result_location", "url": url, "title": title, "cited_text": cited}
    return {"type": "citations_delta", "citation": {**told, "encrypted_index": ""}}


EMPTY_TEXT = {"type": "text", "text": ""}
EMPTY_THINKING = {"type": "thinking", "thinking": "", "signature": ""}
USE = {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {}}
CUSTOM = ToolCall("call_1", "run", kind="custom")
RUN = {**USE, "name": "run"}
SOUND = Media("audio", Source("base64"))

#: Events of an upstream of another protocol -> blocks and pieces, codes of losses.
FOREIGN: dict[str, tuple[list[Event], list[Any], list[str]]] = {
    "text": (
        [BlockStart(0, Text("")), TextDelta(0, "a"), TextDelta(0, ""), TextDelta(0, "b"), BlockEnd(0)],
        [EMPTY_TEXT, text("a"), text("b"), "stop"],
        [],
    ),
    "an empty text": (
        [BlockStart(0, Text("")), TextDelta(0, ""), BlockEnd(0), BlockStart(1, CALL), BlockEnd(1)],
        [USE, piece("{}"), "stop"],
        [],
    ),
    "logprobs": (
        [BlockStart(0, Text("")), TextDelta(0, "a", LOGPROBS), TextDelta(0, "b", LOGPROBS), BlockEnd(0)],
        [EMPTY_TEXT, text("a"), text("b"), "stop"],
        ["answer.logprobs"],
    ),
    "refusal": (
        [BlockStart(0, Refusal("")), RefusalDelta(0, "N"), RefusalDelta(0, "o.", LOGPROBS), BlockEnd(0)],
        [EMPTY_TEXT, text("N"), text("o."), "stop"],
        ["answer.logprobs"],
    ),
    "thinking, then text": (
        [
            BlockStart(0, Reasoning()),
            ReasoningDelta(0, "a"),
            ReasoningDelta(0, ""),
            BlockEnd(0),
            BlockStart(1, Text("")),
            TextDelta(1, "b"),
            BlockEnd(1),
        ],
        [EMPTY_THINKING, thought("a"), signed(), "stop", EMPTY_TEXT, text("b"), "stop"],
        [],
    ),
    "thinking without words": ([BlockStart(0, Reasoning()), BlockEnd(0)], [EMPTY_THINKING, signed(), "stop"], []),
    "several thoughts": (
        [
            BlockStart(0, Reasoning()),
            ReasoningDelta(0, "a", "summary"),
            ReasoningDelta(0, "b", "summary"),
            ReasoningDelta(0, "", "summary", 1),
            ReasoningDelta(0, "c", "summary", 2),
            ReasoningDelta(0, "d", "summary", 2),
            BlockEnd(0),
        ],
        [EMPTY_THINKING, thought("a"), thought("b"), thought("\n\nc"), thought("d"), signed(), "stop"],
        [],
    ),
    "a foreign signature": (
        [BlockStart(0, Reasoning()), ReasoningDelta(0, "a"), StateSeen(0, SIGNED), BlockEnd(0)],
        [EMPTY_THINKING, thought("a"), signed(), "stop"],
        ["reasoning.state"],
    ),
    "hidden reasoning": (
        [
            BlockStart(0, Reasoning(state=HIDDEN)),
            StateSeen(0, HIDDEN),
            BlockEnd(0),
            BlockStart(1, Text("")),
            TextDelta(1, "a"),
            BlockEnd(1),
        ],
        [EMPTY_TEXT, text("a"), "stop"],
        ["reasoning.state"],
    ),
    "a signed text": (
        [BlockStart(0, Text("")), TextDelta(0, "a"), StateSeen(0, SIGNED), BlockEnd(0)],
        [EMPTY_TEXT, text("a"), "stop"],
        ["reasoning.state"],
    ),
    "a call": (
        [
            BlockStart(0, CALL),
            ArgumentsDelta(0, ""),
            ArgumentsDelta(0, '{"q":'),
            ArgumentsDelta(0, '"\u4f60\u2029"}'),
            BlockEnd(0),
        ],
        [USE, piece('{"q":'), piece('"\u4f60\u2029"}'), "stop"],
        [],
    ),
    "a signed call": (
        [BlockStart(0, ToolCall("call_1", "lookup", state=SIGNED)), BlockEnd(0)],
        [USE, piece("{}"), "stop"],
        ["reasoning.state"],
    ),
    "a custom call": (
        [BlockStart(0, CUSTOM), ArgumentsDelta(0, 'ls "'), ArgumentsDelta(0, '\u4f60"\n'), BlockEnd(0)],
        [RUN, piece('{"input":"ls \\"'), piece('\u4f60\\"\\n'), piece('"}'), "stop"],
        [],
    ),
    "a custom call without input": (
        [BlockStart(0, CUSTOM), ArgumentsDelta(0, ""), BlockEnd(0)], [RUN, piece('{"input":""}'), "stop"], []
    ),
    "calls": (
        [BlockStart(3, CALL), BlockEnd(3), BlockStart(5, ToolCall("call_2", "look")), BlockEnd(5)],
        [USE, piece("{}"), "stop", {**USE, "id": "call_2", "name": "look"}, piece("{}"), "stop"],
        [],
    ),
    "citations": (
        [
            BlockStart(0, Text("")),
            Cited(0, PAGE),
            TextDelta(0, "a"),
            Cited(0, PAGE._replace(start=0, end=1, title="", cited_text="")),
            Cited(0, Citation("document", raw={})),
            BlockEnd(0),
        ],
        [
            EMPTY_TEXT,
            cites("https://page.example"),
            text("a"),
            cites("https://page.example", None, ""),
            "stop",
        ],
        ["answer.citation"],
    ),
    "a citation of no words": ([BlockStart(0, Text("")), Cited(0, PAGE), BlockEnd(0)], [], ["answer.citation"]),
    "a citation of what is no text": (
        [BlockStart(0, CALL), Cited(0, PAGE), BlockEnd(0)], [USE, piece("{}"), "stop"], []
    ),
    "sound with words": (
        [
            BlockStart(0, SOUND),
            MediaDelta(0, "AAAA"),
            MediaDelta(0, "", "Hel"),
            MediaDelta(0, "AAAA", "lo."),
            BlockEnd(0),
        ],
        [EMPTY_TEXT, text("Hel"), text("lo."), "stop"],
        ["answer.media"],
    ),
    "sound with its words at once": (
        [BlockStart(0, Media("audio", Source("base64", "AAAA"), transcript="Hello.")), BlockEnd(0)],
        [EMPTY_TEXT, text("Hello."), "stop"],
        ["answer.media"],
    ),
    "an image beside words": (
        [
            BlockStart(0, Media("image", Source("base64", "AAAA"))),
            BlockEnd(0),
            BlockStart(1, Text("")),
            TextDelta(1, "a"),
            BlockEnd(1),
        ],
        [EMPTY_TEXT, text("a"), "stop"],
        ["answer.media"],
    ),
    "hosted work beside words": (
        [
            BlockStart(0, Opaque("messages", "server_tool_use", SEARCH, "hosted")),
            OpaqueDelta(0, piece("{}")),
            BlockEnd(0),
            BlockStart(1, Text("")),
            TextDelta(1, "a"),
            BlockEnd(1),
        ],
        [EMPTY_TEXT, text("a"), "stop"],
        ["answer.hosted"],
    ),
    "members of another protocol": (
        [BlockStart(0, Text("", rest={"x": 1})), TextDelta(0, "a"), BlockEnd(0)],
        [EMPTY_TEXT, text("a"), "stop"],
        [],
    ),
    "another candidate": (
        [
            BlockStart(0, Text("")),
            BlockStart(1, Text(""), 1),
            TextDelta(0, "a"),
            TextDelta(1, "b"),
            StateSeen(1, SIGNED),
            Cited(1, PAGE),
            BlockEnd(1),
            TextDelta(0, "c"),
            BlockEnd(0),
        ],
        [EMPTY_TEXT, text("a"), text("c"), "stop"],
        ["answer.candidates"],
    ),
    "pieces of another kind": (
        [
            BlockStart(0, Text("")),
            ReasoningDelta(0, "x"),
            ArgumentsDelta(0, "x"),
            MediaDelta(0, "", "x"),
            OpaqueDelta(0, {}),
            TextDelta(7, "x"),
            TextDelta(0, "a"),
            BlockEnd(0),
        ],
        [EMPTY_TEXT, text("a"), "stop"],
        [],
    ),
}


@pytest.mark.pitfall("C73", "C124", "C229")
@pytest.mark.parametrize("name", FOREIGN)
def test_blocks_of_another_protocol(name: str) -> None:
    events, expected, codes = FOREIGN[name]
    ledger = Ledger()
    assert block_events(*events, ledger=ledger) == expected
    assert lost(ledger) == codes


RAW = {"type": "char_location", "cited_text": "w", "document_index": 0, "document_title": None,
       "start_char_index": 0, "end_char_index": 1, "file_id": None}  # fmt: skip
#: Events of an upstream of our own protocol -> blocks and pieces.
WRITTEN_BACK: dict[str, tuple[list[Event], list[Any]]] = {
    "a signature": (
        [BlockStart(0, Reasoning(rest={"x": 1})), StateSeen(0, SIGNED), ReasoningDelta(0, "a"), BlockEnd(0)],
        [{**EMPTY_THINKING, "x": 1}, thought("a"), signed("c2ln"), "stop"],
    ),
    "the last signature": (
        [BlockStart(0, Reasoning()), StateSeen(0, SIGNED), StateSeen(0, State("signature", "bmV3")), BlockEnd(0)],
        [EMPTY_THINKING, signed("bmV3"), "stop"],
    ),
    "hidden reasoning": (
        [BlockStart(0, Reasoning(state=HIDDEN, rest={"x": 1})), StateSeen(0, HIDDEN), BlockEnd(0)],
        [{"type": "redacted_thinking", "data": "aGlk", "x": 1}, "stop"],
    ),
    "rest": (
        [
            BlockStart(0, Text("", rest={"x": 1})),
            TextDelta(0, "a"),
            BlockEnd(0),
            BlockStart(1, ToolCall("call_1", "lookup", rest={"caller": {"type": "direct"}})),
            BlockEnd(1),
        ],
        [
            {**EMPTY_TEXT, "x": 1},
            text("a"),
            "stop",
            {**USE, "caller": {"type": "direct"}},
            piece("{}"),
            "stop",
        ],
    ),
    "a server's tool": (
        [
            BlockStart(0, Opaque("messages", "server_tool_use", SEARCH, "hosted")),
            OpaqueDelta(0, piece('{"query":"x"}')),
            OpaqueDelta(0, "no object"),
            BlockEnd(0),
        ],
        [SEARCH, piece('{"query":"x"}'), "stop"],
    ),
    "citations": (
        [BlockStart(0, Text("")), TextDelta(0, "a"), Cited(0, Citation("document", raw=RAW)), BlockEnd(0)],
        [EMPTY_TEXT, text("a"), {"type": "citations_delta", "citation": RAW}, "stop"],
    ),
}


@pytest.mark.pitfall("C129", "C216")
@pytest.mark.parametrize("name", WRITTEN_BACK)
def test_blocks_of_our_own_protocol(name: str) -> None:
    events, expected = WRITTEN_BACK[name]
    ledger = Ledger()
    assert block_events(*events, start=OWN, ledger=ledger) == expected
    assert ledger.losses == []


def test_another_vendors_state_in_our_own_stream_is_a_loss() -> None:
    ledger = Ledger()
    events = [BlockStart(0, Reasoning()), StateSeen(0, State("encrypted", "ZW5j")), BlockEnd(0)]
    assert block_events(*events, start=OWN, ledger=ledger) == [EMPTY_THINKING, signed(), "stop"]
    assert lost(ledger) == ["reasoning.state"]


def test_ids_of_calls_fit_and_are_told_apart() -> None:
    given = ["call_1", "functions.lookup:0", "", "call_1"]
    events = [event for n, id in enumerate(given) for event in (BlockStart(n, ToolCall(id, "lookup")), BlockEnd(n))]
    ids = [one["id"] for one in block_events(*events) if isinstance(one, dict) and one["type"] == "tool_use"]
    assert ids[0] == "call_1"
    assert ids[2] == IDS.mint("toolu_", 2)
    assert len(set(ids)) == 4
    assert all(id.startswith("toolu_") and ":" not in id for id in ids[1:])


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize(("part", "piece"), [
    (Text(""), TextDelta), (Reasoning(), ReasoningDelta), (CALL, ArgumentsDelta), (Refusal(""), RefusalDelta),
    (CUSTOM, ArgumentsDelta),
])  # fmt: skip
def test_what_some_clients_take_for_line_ends_is_escaped(part: Part, piece: Callable[..., Event], mark: str) -> None:
    pieces = [f"{{a\u00e9{mark}", f"b\r\n{mark}}}"]
    stream = write(CHAT, BlockStart(0, part), *(piece(0, one) for one in pieces), BlockEnd(0), *OVER)
    assert all(line.startswith(("event: ", "data: {")) for line in stream.decode().splitlines() if line)
    deltas = [event["delta"] for event in check_stream(stream) if event["type"] == "content_block_delta"]
    told = "".join(one.get("text") or one.get("thinking") or one.get("partial_json") or "" for one in deltas)
    assert (json.loads(told)["input"] if part is CUSTOM else told) == "".join(pieces)


def test_half_characters_are_written_as_escapes() -> None:
    events = [BlockStart(0, Text("")), TextDelta(0, "\ud83d"), TextDelta(0, "\ude80"), BlockEnd(0)]
    assert block_events(*events) == [EMPTY_TEXT, text("\ud83d"), text("\ude80"), "stop"]
    custom = [BlockStart(0, CUSTOM), ArgumentsDelta(0, "\ud83d"), ArgumentsDelta(0, "\ude80"), BlockEnd(0)]
    pieces = [one["partial_json"] for one in block_events(*custom) if "partial_json" in one]
    assert json.loads("".join(pieces)) == {"input": "\U0001f680"}
