"""Each kind of block as Chat clients get it, and what of it is lost.  Source: protocols.md 4.3, 4.9."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.neutral.events import (
    ArgumentsDelta,
    Cited,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    StateSeen,
    TextDelta,
)
from rotator.neutral.losses import Ledger, Note
from rotator.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    ToolCall,
)
from tests.protocols.chat.clients import (
    CREATED,
    IDS,
    codes,
    module,
)
from tests.protocols.chat.hearing import (
    LONG,
    OWN,
    TOKEN,
    TOLD_TOKEN,
    WEB,
    block,
    call,
    first,
    heard,
    leaning,
    more,
    words,
)

wire_id: Any = module("answer_parts").CALL_IDS.wire

DELTAS: dict[str, tuple[list[Any], list[Any]]] = {
    "text": (words(1, "Hel", "", "lo."), [{"content": "Hel"}, {"content": "lo."}, "stop"]),
    "text in odd characters": (
        words(1, '"\\\n\x00', "é\u4f60\U0001f680", "\u2028|\u2029|\x85", "\ud83d"),
        [{"content": '"\\\n\x00'}, {"content": "é\u4f60\U0001f680"}, {"content": "\u2028|\u2029|\x85"}]
        + [{"content": "\ud83d"}, "stop"],
    ),
    "texts are one content": (
        [*words(1, "One, "), *words(2, "two.")],
        [{"content": "One, "}, {"content": "two."}, "stop"],
    ),
    "logprobs": (
        block(1, Text(""), TextDelta(0, "é", (TOKEN,)), TextDelta(0, "", (TOKEN,)))
        + block(2, Refusal(""), RefusalDelta(0, "é", (TOKEN,)), RefusalDelta(0, "")),
        [
            {"content": "é", "logprobs": {"content": [TOLD_TOKEN], "refusal": None}},
            {"content": "", "logprobs": {"content": [TOLD_TOKEN], "refusal": None}},
            {"refusal": "é", "logprobs": {"content": None, "refusal": [TOLD_TOKEN]}},
            "stop",
        ],
    ),
    "reasoning": (
        [*block(1, Reasoning(), ReasoningDelta(0, "Hm"), ReasoningDelta(0, ""), ReasoningDelta(0, "é\u2028"))]
        + words(2, "Hi"),
        [{"reasoning_content": "Hm"}, {"reasoning_content": "é\u2028"}, {"content": "Hi"}, "stop"],
    ),
    "a blank line between stretches and blocks": (
        block(
            1,
            Reasoning(),
            ReasoningDelta(0, "One", "summary"),
            ReasoningDelta(0, "Two", "summary", 2),
            ReasoningDelta(0, ".", "summary", 2),
        )
        + block(2, Reasoning(), ReasoningDelta(0, "Three")),
        [
            {"reasoning_content": "One"},
            {"reasoning_content": "\n\nTwo"},
            {"reasoning_content": "."},
            {"reasoning_content": "\n\nThree"},
            "stop",
        ],
    ),
    "calls": (
        [*words(1, "See:"), *call(2, "call_1", "one", '{"q":', "", "1}"), *call(3, "call_2", "two", "{}")],
        [
            {"content": "See:"},
            first(0, "call_1", "one"),
            more(0, '{"q":'),
            more(0, "1}"),
            first(1, "call_2", "two"),
            more(1, "{}"),
            "tool_calls",
        ],
    ),
    "no arguments are an empty object (P-70)": (
        [*call(1, "call_1", "one"), *call(2, "call_2", "two", "")],
        [first(0, "call_1", "one"), more(0, "{}"), first(1, "call_2", "two"), more(1, "{}"), "tool_calls"],
    ),
    "ids that do not fit, or come again": (
        [*call(1, LONG, "one", "{}"), *call(2, "call_1", "one", "{}"), *call(3, "call_1", "one", "{}")],
        [
            first(0, wire_id(LONG), "one"),
            more(0, "{}"),
            first(1, "call_1", "one"),
            more(1, "{}"),
            first(2, wire_id("call_1", 1), "one"),
            more(2, "{}"),
            "tool_calls",
        ],
    ),
    "a custom call is a function's": (
        call(1, "call_1", "run", "ls ", '"é\u2028"', kind="custom"),
        [
            first(0, "call_1", "run"),
            more(0, '{"input":"'),
            more(0, "ls "),
            more(0, '\\"é\u2028\\"'),
            more(0, '"}'),
            "tool_calls",
        ],
    ),
    "a custom call without input": (
        call(1, "call_1", "run", kind="custom"),
        [first(0, "call_1", "run"), more(0, '{"input":"'), more(0, '"}'), "tool_calls"],
    ),
    "citations come at the end of their text": (
        [*words(1, "So ")]
        + block(
            2,
            Text(""),
            Cited(0, WEB),
            TextDelta(0, "it "),
            Cited(0, WEB._replace(start=1, end=4)),
            TextDelta(0, "is"),
        )
        + block(3, Text(""), TextDelta(0, "."), Cited(0, WEB)),
        [
            {"content": "So "},
            {"content": "it "},
            {"content": "is"},
            {"annotations": [{"index": 0, **leaning(3, 8)}, {"index": 1, **leaning(4, 7)}]},
            {"content": "."},
            {"annotations": [{"index": 2, **leaning(8, 9)}]},
            "stop",
        ],
    ),
    "images": (
        block(1, Media("image", Source("base64", "AAAA"), "image/webp"))
        + block(2, Media("image", Source("base64"), "image/png"), MediaDelta(0, "AA"), MediaDelta(0, "BB"))
        + block(3, Media("image", Source("url", "https://img.example/cat.png")))
        + block(4, Media("image", Source("base64", "AAAA"))),
        [
            {"images": [{"index": number, "type": "image_url", "image_url": {"url": url}}]}
            for number, url in enumerate(
                [
                    "data:image/webp;base64,AAAA",
                    "data:image/png;base64,AABB",
                    "https://img.example/cat.png",
                    "data:image/png;base64,AAAA",
                ]
            )
        ]
        + ["stop"],
    ),
    "sound": (
        block(
            1,
            Media("audio", Source("base64"), "audio/wav"),
            MediaDelta(0, "AAAA"),
            MediaDelta(0, "", "Hi"),
            MediaDelta(0),
        ),
        [
            {"audio": {"id": IDS.mint("audio_"), "expires_at": CREATED, "data": ""}},
            {"audio": {"data": "AAAA"}},
            {"audio": {"transcript": "Hi"}},
            "stop",
        ],
    ),
}


@pytest.mark.pitfall("C72", "C233")
@pytest.mark.parametrize("name", DELTAS)
def test_what_a_client_gets(name: str) -> None:
    events, deltas = DELTAS[name]
    assert heard(*events) == deltas


#: Events of another protocol's upstream, what is left of them, and what is told as lost.
LOST: dict[str, tuple[list[Any], list[Any], set[str]]] = {
    "signatures": (
        block(1, Reasoning(), ReasoningDelta(0, "Hm"), StateSeen(0, State("signature", "c2ln")))
        + block(2, Text(""), TextDelta(0, "Hi"), StateSeen(0, State("signature", "c2ln")))
        + call(3, "call_1", "one", "{}", state=State("signature", "c2ln")),
        [{"reasoning_content": "Hm"}, {"content": "Hi"}, first(0, "call_1", "one"), more(0, "{}"), "tool_calls"],
        {"reasoning.state"},
    ),
    "redacted reasoning": (
        [*block(1, Reasoning(), StateSeen(0, State("redacted", "aGlk"))), *words(2, "Hi")],
        [{"content": "Hi"}, "stop"],
        {"reasoning.state"},
    ),
    "encrypted reasoning": (
        [*block(1, Reasoning(state=State("encrypted", "[{}]"))), *words(2, "Hi")],
        [{"content": "Hi"}, "stop"],
        {"reasoning.state"},
    ),
    "hosted tools": (
        [*block(1, Opaque("messages", "server_tool_use", {}, "hosted"), OpaqueDelta(0, {"a": 1})), *words(2, "Hi")],
        [{"content": "Hi"}, "stop"],
        {"answer.hosted"},
    ),
    "citations of no page": (
        block(1, Text(""), TextDelta(0, "So"), Cited(0, Citation("document")), Cited(0, Citation("web"))),
        [{"content": "So"}, "stop"],
        {"answer.citation"},
    ),
    "media without a place": (
        block(1, Media("document", Source("base64", "AAAA"), "application/pdf"), MediaDelta(0, "AA"))
        + block(2, Media("image", Source("file_id", "file_1")))
        + block(3, Media("audio", Source("url", "https://a.example/a.wav")), MediaDelta(0, "AA"))
        + words(4, "Hi"),
        [{"content": "Hi"}, "stop"],
        {"answer.media"},
    ),
    "a second sound": (
        block(1, Media("audio", Source("base64", "AAAA")))
        + block(2, Media("audio", Source("base64")), MediaDelta(0, "BBBB")),
        [{"audio": {"id": IDS.mint("audio_"), "expires_at": CREATED, "data": "AAAA"}}, "stop"],
        {"answer.media"},
    ),
    "text behind a call": (
        [*call(1, "call_1", "one", "{}"), *words(2, "Hi"), *words(3)],
        [first(0, "call_1", "one"), more(0, "{}"), {"content": "Hi"}, "tool_calls"],
        {"turn.order"},
    ),
    "members that only the upstream knows": (
        [*block(1, Text("", rest={"phase": "x"}), TextDelta(0, "Hi"))],
        [{"content": "Hi"}, "stop"],
        set(),
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_told(name: str) -> None:
    events, deltas, lost = LOST[name]
    ledger = Ledger()
    assert heard(*events, ledger=ledger) == deltas
    assert codes(ledger) == lost


def test_a_rewritten_id_is_noted() -> None:
    notes: list[Note] = []
    heard(*call(1, LONG, "one", "{}"), *call(2, "call_1", "one", "{}"), ledger=Ledger(notes))
    assert notes == [Note("chat.answer.calls", "id.rewritten")]


#: What came from an upstream that speaks Chat goes back as it was.
KEPT: dict[str, tuple[list[Any], list[Any]]] = {
    "ids": (
        [*call(1, LONG, "one", "{}"), *call(2, LONG, "one", "{}")],
        [first(0, LONG, "one"), more(0, "{}"), first(1, LONG, "one"), more(1, "{}"), "tool_calls"],
    ),
    "no arguments": (call(1, "call_1", "one"), [first(0, "call_1", "one"), "tool_calls"]),
    "members of calls": (
        call(1, "call_1", "one", "{}", rest={"odd": 1, "function": {"strange": 2}}),
        [
            first(0, "call_1", "one", odd=1, function={"name": "one", "arguments": "", "strange": 2}),
            more(0, "{}"),
            "tool_calls",
        ],
    ),
    "Google's signature": (
        block(
            1,
            ToolCall("call_1", "one"),
            StateSeen(0, State("signature", "old")),
            ArgumentsDelta(0, "{}"),
            StateSeen(0, State("signature", "c2ln")),
        ),
        [
            first(0, "call_1", "one"),
            more(0, "{}"),
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "function": {"arguments": ""},
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    }
                ]
            },
            "tool_calls",
        ],
    ),
    "reasoning in one piece": (
        block(1, Reasoning(), ReasoningDelta(0, "One"))
        + words(2, "Hi")
        + block(3, Reasoning(), ReasoningDelta(0, "two"), ReasoningDelta(0, "three", "raw", 1)),
        [
            {"reasoning_content": "One"},
            {"content": "Hi"},
            {"reasoning_content": "two"},
            {"reasoning_content": "\n\nthree"},
            "stop",
        ],
    ),
    "reasoning_details": (
        block(1, Reasoning(state=State("encrypted", '[{"type":"reasoning.encrypted","data":"aGlk"}]')))
        + block(2, Reasoning(), StateSeen(0, State("encrypted", '[{"type":"a","index":0},{"type":"b","index":0}]'))),
        [
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "aGlk", "index": 0}]},
            {"reasoning_details": [{"type": "a", "index": 1}, {"type": "b", "index": 2}]},
            "stop",
        ],
    ),
    "words of a citation": (
        block(1, Text(""), TextDelta(0, "So"), Cited(0, WEB._replace(start=0, end=2))),
        [{"content": "So"}, {"annotations": [{"index": 0, **leaning(0, 2, content="words")}]}, "stop"],
    ),
    "sound": (
        block(1, Media("audio", Source("base64"), rest={"id": "audio_1"}), MediaDelta(0, "AAAA", "Hi")),
        [{"audio": {"id": "audio_1", "data": ""}}, {"audio": {"data": "AAAA", "transcript": "Hi"}}, "stop"],
    ),
    "text behind a call": (
        [*call(1, "call_1", "one", "{}"), *words(2, "Hi")],
        [first(0, "call_1", "one"), more(0, "{}"), {"content": "Hi"}, "tool_calls"],
    ),
    "bytes that nobody told": (
        block(1, Text(""), TextDelta(0, "é", (TOKEN,))),
        [
            {
                "content": "é",
                "logprobs": {
                    "content": [{**TOLD_TOKEN, "bytes": None}],
                    "refusal": None,
                },
            },
            "stop",
        ],
    ),
}


@pytest.mark.pitfall("C233")
@pytest.mark.parametrize("name", KEPT)
def test_what_chat_said_it_says_again(name: str) -> None:
    events, deltas = KEPT[name]
    ledger = Ledger()
    assert heard(*events, start=OWN, ledger=ledger) == deltas
    assert ledger.losses == []


def test_state_that_is_none_of_chats() -> None:
    ledger = Ledger()
    odd = [State("encrypted", "gAAAA"), State("encrypted", "{}"), State("signature", "c2ln")]
    events = [event for number, state in enumerate(odd) for event in block(number, Reasoning(state=state))]
    assert heard(*events, *words(9, "Hi"), start=OWN, ledger=ledger) == [{"content": "Hi"}, "stop"]
    assert codes(ledger) == {"reasoning.state"}
