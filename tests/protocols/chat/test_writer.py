"""Chat streams as clients get them.  Source: protocols.md 4.3, 4.9."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.errors import UpstreamFailed
from rotator.neutral.codec import Ids
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.neutral.events import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.losses import Ledger, Loss, Note
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
from rotator.neutral.request import ReasoningWish, Tool
from rotator.neutral.response import Finish, Reason
from rotator.neutral.usage import Usage
from tests.neutral.laws import check_laws, fold
from tests.neutral.strategies import streams
from tests.protocols.chat.clients import (
    CREATED,
    IDS,
    REQUEST,
    check_stream,
    chunks,
    codes,
    completion,
    module,
    plain,
    written,
)

build_response: Any = module("response").build_response
wire_id: Any = module("answer_parts").CALL_IDS.wire

ENDING = st.sampled_from([one for one in get_args(Reason) if one not in ("malformed", "cancelled")])
FINISHES = st.builds(Finish, ENDING, st.sampled_from(["", "native_word", "stop"]))
ROLE = {"role": "assistant", "content": ""}
PAGE = "https://page.example"
LONG = "toolu_" + "x" * 40
FOREIGN, OWN = Start("messages", "msg_1"), Start("chat", "c-1", "up", 7)
FUNCTIONS = replace(REQUEST, tools=(Tool("one", at=("functions", 0)), Tool("two", at=("functions", 1))))
HIDDEN = replace(REQUEST, reasoning=ReasoningWish(display="hidden"))


def block(number: int, part: Part, *events: Any, candidate: int = 0) -> list[Event]:
    """A block; what belongs to it is given without its number."""
    inner = [event._replace(block=number) for event in events]
    return [BlockStart(number, part, candidate), *inner, BlockEnd(number)]


def words(number: int, *pieces: str, candidate: int = 0) -> list[Event]:
    return block(number, Text(""), *(TextDelta(0, piece) for piece in pieces), candidate=candidate)


def call(number: int, id: str, name: str, *pieces: str, **more: Any) -> list[Event]:
    return block(number, ToolCall(id, name, **more), *(ArgumentsDelta(0, piece) for piece in pieces))


def heard(
    *events: Any,
    finish: Finish | None = None,
    start: Start = FOREIGN,
    request: Any = REQUEST,
    ledger: Ledger | None = None,
) -> list[Any]:
    """The deltas that a client gets behind the role, with their logprobs if there are any, and the finish reason."""
    stream = [start, *events, Finished(finish or Finish("stop")), End()]
    assert check_laws(stream, serial=True) == []
    said = check_stream(written(stream, request, ledger))
    choices = [one["choices"][0] for one in said]
    assert choices[0]["delta"] == ROLE
    shown = [
        choice["delta"] | ({"logprobs": choice["logprobs"]} if choice["logprobs"] else {}) for choice in choices[1:-1]
    ]
    return [*shown, choices[-1]["finish_reason"]]


def first(index: int, id: str, name: str, **more: Any) -> dict[str, Any]:
    entry = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    return {"tool_calls": [{**entry, **more}]}


def more(index: int, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def leaning(start: int, end: int, **rest: Any) -> dict[str, Any]:
    cited = {"url": PAGE, "title": "A page", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": {**cited, **rest}}


WEB = Citation("web", PAGE, "A page", "words")
TOKEN = Logprob("é", -0.5, None, (Logprob("a", -2.0, (97,)),))
TOLD_TOKEN = {
    "token": "é",
    "logprob": -0.5,
    "bytes": [195, 169],
    "top_logprobs": [{"token": "a", "logprob": -2.0, "bytes": [97]}],
}

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
        {"field.foreign"},
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
        block(1, Text(""), TextDelta(0, "So"), Cited(0, WEB)),
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


ENDS: dict[str, tuple[Finish, list[Any], list[Any]]] = {
    "a refusal in words": (
        Finish("refusal"),
        block(1, Refusal(""), RefusalDelta(0, "I must"), RefusalDelta(0, " not.")),
        [{"refusal": "I must"}, {"refusal": " not."}, "stop"],
    ),
    "a refusal that is explained": (
        Finish("refusal", "refusal", explanation="I must not."),
        [],
        [{"refusal": "I must not."}, "content_filter"],
    ),
    "a refusal behind a text": (
        Finish("refusal", "refusal", explanation="I must not."),
        words(1, "I"),
        [{"content": "I"}, "content_filter"],
    ),
    "a bare refusal": (Finish("refusal"), [], ["content_filter"]),
    "nothing but a limit is left": (
        Finish("length"),
        block(1, Opaque("messages", "server_tool_use", {}, "hosted")),
        ["length"],
    ),
    "nothing was said": (Finish("stop"), [], ["stop"]),
    "a limit in a call": (
        Finish("length"),
        call(1, "call_1", "one", "{"),
        [first(0, "call_1", "one"), more(0, "{"), "length"],
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_it_ends(name: str) -> None:
    finish, events, deltas = ENDS[name]
    assert heard(*events, finish=finish) == deltas


#: A finish, what came before, and the error that the stream ends with.
FAILING: dict[str, tuple[Finish, list[Any], str, str]] = {
    "malformed": (
        Finish("malformed", "MALFORMED_FUNCTION_CALL"),
        words(1, "Hi"),
        "upstream: the answer is malformed (MALFORMED_FUNCTION_CALL)",
        "answer_malformed",
    ),
    "cancelled": (Finish("cancelled"), words(1, "Hi"), "upstream: the answer is cancelled", "answer_cancelled"),
    "nothing can be told (3.2 R7)": (
        Finish("stop"),
        block(1, Opaque("messages", "server_tool_use", {}, "hosted")),
        "upstream: nothing of the answer can be told in Chat Completions",
        "answer_not_expressible",
    ),
    "nothing but redacted reasoning": (
        Finish("stop"),
        block(1, Reasoning(), StateSeen(0, State("redacted", "aGlk"))),
        "upstream: nothing of the answer can be told in Chat Completions",
        "answer_not_expressible",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_failed_is_no_success(name: str) -> None:
    finish, events, message, code = FAILING[name]
    stream = written([FOREIGN, *events, Finished(finish), UsageSeen(Usage(1)), End()])
    last = chunks(stream)[-1]
    assert (last["error"]["message"], last["error"]["code"]) == (message, code)
    with pytest.raises(openai.APIError, match="upstream: "):
        completion(stream)


def test_the_frames_of_a_stream() -> None:
    """Byte by byte: heads, the role at once, the usage last, and the end."""
    writer = module("writer").ChatWriter(REQUEST, Ids("seed", 7, "asked"), Ledger())
    id = Ids("seed", 7, "asked").mint("chatcmpl-")
    head = f'{{"id":"{id}","object":"chat.completion.chunk","created":7,"model":"asked","choices":['

    def frame(delta: str, finish: str = "null") -> bytes:
        choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}'
        return f"data: {head}{choice}\n\n".encode()

    assert writer.write(Start("messages", "msg_1", "up", 5)) == frame('{"role":"assistant","content":""}')
    assert writer.write(BlockStart(3, Text(""))) == b""
    assert writer.write(TextDelta(3, 'a"\u2028é')) == frame('{"content":"a\\"\\u2028é"}')
    assert writer.write(TextDelta(3, "")) == b""
    assert writer.write(Beat()) == b": ping\n\n"
    assert writer.write(BlockEnd(3)) == b""
    assert writer.write(UsageSeen(Usage(3, output_text=1))) == b""
    assert writer.write(Finished(Finish("stop"))) == frame("{}", '"stop"')
    spent = '"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,'
    details = '"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
    assert writer.write(End()) == b"data: %b],%b%b\n\ndata: [DONE]\n\n" % (
        head.encode(),
        spent.encode(),
        details.encode(),
    )


def test_usage_is_told_only_if_asked_for() -> None:
    events = [FOREIGN, UsageSeen(Usage(3, input_tool=2)), *words(1, "Hi"), Finished(Finish("stop")), End()]
    asked, unasked = Ledger(), Ledger()
    told = check_stream(written(events, REQUEST, asked))[-1]
    assert (told["choices"], told["usage"]["prompt_tokens"]) == ([], 5)
    assert asked.losses == [Loss("usage.folded", "", "input_tool")]
    assert "usage" not in check_stream(written(events, replace(REQUEST, usage_in_stream=False), unasked))[-1]
    assert unasked.losses == []


HEADS: dict[str, tuple[Start, dict[str, Any], dict[str, Any], set[str]]] = {
    # start -> members of all chunks, of the first alone, losses
    "another protocol's": (
        Start("messages", "msg_1", "up", 5, "standard", {"container": {"id": "c"}}),
        {"id": IDS.mint("chatcmpl-"), "created": CREATED, "service_tier": "default"},
        {},
        set(),
    ),
    "a tier without a name": (
        Start("messages", tier="batch"),
        {"id": IDS.mint("chatcmpl-"), "created": CREATED},
        {},
        {"meta.tier"},
    ),
    "Chat's": (
        Start("chat", "c-1", "up", 5, "odd", {"system_fingerprint": "fp", "provider": "p"}),
        {"id": "c-1", "created": 5, "service_tier": "odd", "system_fingerprint": "fp"},
        {"provider": "p"},
        set(),
    ),
    "Chat's, of which nothing is known": (
        Start("chat"),
        {"id": IDS.mint("chatcmpl-"), "created": CREATED},
        {},
        set(),
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str) -> None:
    start, always, once, lost = HEADS[name]
    notes: list[Note] = []
    ledger = Ledger(notes)
    stream = written([start, *words(1, "Hi"), UsageSeen(Usage(1)), Finished(Finish("stop")), End()], ledger=ledger)
    heads = [
        {name: value for name, value in one.items() if name not in ("choices", "usage", "object")}
        for one in chunks(stream)[:-1]
    ]
    assert heads[0] == {"model": "asked-model", **always, **once}
    assert heads[1:] == [{"model": "asked-model", **always}] * 3
    assert codes(ledger) == lost
    aside = [Note("chat.write.envelope", "set_aside", member) for member in start.rest]
    assert notes == ([] if start.protocol == "chat" else aside)


def test_candidates_begin_in_order() -> None:
    events = [
        FOREIGN,
        *words(1, "C", candidate=2),
        Finished(Finish("stop"), 2),
        *words(2, "A"),
        Finished(Finish("length"), 0),
        Finished(Finish("stop"), 1),
        End(),
    ]
    stream = written(events)
    said = [(one["choices"][0]["index"], one["choices"][0]["delta"]) for one in check_stream(stream)]
    assert said[:4] == [(0, ROLE), (1, ROLE), (2, ROLE), (2, {"content": "C"})]
    found = [(one["index"], one["message"]["content"], one["finish_reason"]) for one in completion(stream)["choices"]]
    assert found == [(0, "A", "length"), (1, "", "stop"), (2, "C", "stop")]


def test_a_candidate_far_away_is_no_flood() -> None:
    stream = written([FOREIGN, *words(1, "Hi", candidate=10**9)])
    indexes = [one["choices"][0]["index"] for one in chunks(stream)]
    assert indexes == [*range(128), 10**9, 10**9]


def test_a_client_of_functions_gets_function_call() -> None:
    ledger = Ledger()
    events = [*call(1, "call_1", "one", '{"q":', "1}"), *call(2, "call_2", "two", "{}")]
    assert heard(*events, request=FUNCTIONS, finish=Finish("tool_calls"), ledger=ledger) == [
        {"function_call": {"name": "one", "arguments": ""}},
        {"function_call": {"arguments": '{"q":'}},
        {"function_call": {"arguments": "1}"}},
        "function_call",
    ]
    assert ledger.losses == [Loss("answer.call", "", "two")]


def test_a_client_of_both_gets_calls() -> None:
    both = replace(REQUEST, tools=(*FUNCTIONS.tools, Tool("three", at=("tools", 0))))
    assert heard(*call(1, "call_1", "one", "{}"), request=both)[-1] == "tool_calls"


def test_reasoning_that_nobody_wants_to_see() -> None:
    events = [*block(1, Reasoning(), ReasoningDelta(0, "Hm")), *words(2, "Hi")]
    assert heard(*events, request=HIDDEN) == [{"content": "Hi"}, "stop"]


@pytest.mark.parametrize("before", [[], [OWN, *words(1, "Hi")]], ids=["before the start", "later"])
def test_an_error_ends_the_stream(before: list[Event]) -> None:
    writer = module("writer").ChatWriter(REQUEST, IDS, Ledger())
    for event in before:
        writer.write(event)
    frame = writer.fail(error_of(ErrorKind.OVERLOADED, "Too much."))
    assert chunks(frame) == [
        {
            "error": {
                "message": "Too much.",
                "type": "service_unavailable_error",
                "param": None,
                "code": "server_is_overloaded",
            }
        }
    ]
    assert [writer.write(event) for event in (Finished(Finish("stop")), End(), Beat())] == [b"", b"", b""]


def test_a_vendors_own_error_passes() -> None:
    envelope = {"error": {"message": "m", "odd": 1}}
    error = NeutralError(ErrorKind.SERVER, "m", 500, envelope=envelope, protocol="chat")
    assert chunks(module("writer").ChatWriter(REQUEST, IDS, Ledger()).fail(error)) == [envelope]


def test_a_block_whose_beginning_an_adapter_left_out() -> None:
    writer = module("writer").ChatWriter(REQUEST, IDS, Ledger())
    writer.write(FOREIGN)
    assert writer.write(BlockEnd(7)) == b""


def test_the_same_events_make_the_same_bytes() -> None:
    events = [FOREIGN, *words(1, "Hi"), *call(2, LONG, "one", "{}"), Finished(Finish("tool_calls")), End()]
    assert written(events) == written(events)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=8), more=st.text(alphabet='\u2028\u2029\x85\n\r"\\a\ud83d\ude00é', max_size=8))
def test_any_text_passes(text: str, more: str) -> None:
    events = [FOREIGN, *words(1, text, more), *call(2, "c", "run", more, text, kind="custom")]
    stream = written([*events, Finished(Finish("stop")), End()])
    found = [one["choices"][0]["delta"] for one in chunks(stream)[1:-2]]
    content = "".join(delta.get("content", "") for delta in found)
    arguments = "".join(delta["tool_calls"][0]["function"]["arguments"] for delta in found if "tool_calls" in delta)
    (choice,) = completion(stream)["choices"]
    assert units(content) == units(choice["message"]["content"]) == units(text + more)
    assert units(json.loads(arguments)["input"]) == units(more + text)


def units(text: str) -> bytes:
    """A pair of surrogates is the character that it means."""
    return text.encode("utf-16", "surrogatepass")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=streams(overlapping=False, finishes=FINISHES))
def test_a_folded_stream_is_the_whole_answer(events: list[Event]) -> None:
    """By the official SDK's own accumulator (T-11), losses included."""
    told, heard = Ledger(), Ledger()
    stream = written(events, ledger=heard)
    try:
        whole = build_response(fold(events), REQUEST, IDS, told)
    except UpstreamFailed as failed:
        with pytest.raises(openai.APIError, match=failed.error.message):
            completion(stream)
        return
    assert plain(completion(stream)) == plain(whole)
    assert set(told.losses) == set(heard.losses)
    check_stream(stream, own=fold(events).protocol == "chat")
