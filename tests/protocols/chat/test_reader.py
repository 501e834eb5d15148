"""Chat streams as vendors send them, and the events that they mean.  Source: protocols.md 4.3, 4.8."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.neutral.error import ErrorKind
from rotator.neutral.events import (
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    MediaDelta,
    RefusalDelta,
    Start,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import (
    Citation,
    Logprob,
    Media,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
)
from rotator.neutral.response import Finish
from rotator.neutral.usage import Usage
from tests.protocols.chat.clients import codes, module
from tests.protocols.chat.streamed import (
    HEAD,
    PAGE,
    ROLE,
    SPENT,
    START,
    STOP,
    call,
    calling,
    chunk,
    more,
    read,
    said,
    text,
    thought,
)

WORDS: dict[str, tuple[list[Any], list[Event]]] = {
    "text": ([{"content": "Hel"}, {"content": "lo."}], text(0, "Hel", "lo.")),
    "text, each time with its role": ([ROLE | {"content": "Hel"}, ROLE | {"content": "lo."}], text(0, "Hel", "lo.")),
    "empty and null content is nothing": (
        [{"content": ""}, {"content": None}, {}, None, {"content": "Hi"}, {"content": ""}],
        text(0, "Hi"),
    ),
    "content in text parts": (
        [{"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]}],
        text(0, "Hello."),
    ),
    "reasoning_content": (
        [{"reasoning_content": "Hm"}, {"reasoning_content": "."}, {"content": "Hi"}],
        [*thought(0, "Hm", "."), *text(1, "Hi")],
    ),
    "members that say nothing beside it": (
        [
            {"content": None, "reasoning_content": "Hm"},
            {"content": None, "reasoning_content": "."},
            {"content": "Hi", "reasoning_content": None},
            {"content": "!", "reasoning_content": None},
        ],
        [*thought(0, "Hm", "."), *text(1, "Hi", "!")],
    ),
    "reasoning": ([{"reasoning": "Hm"}, {"content": "Hi"}], [*thought(0, "Hm"), *text(1, "Hi")]),
    "reasoning_details": (
        [
            {"reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.summary", "summary": ".", "index": 1}]},
        ],
        thought(0, "Hm", "."),
    ),
    "one thought under several names": (
        [
            {"reasoning_content": "Hm", "reasoning": "Hm", "reasoning_details": [{"text": "Hm"}]},
            {"reasoning_details": [{"text": "Hm"}]},
        ],
        thought(0, "Hm"),
    ),
    "reasoning and text in one chunk (P-23)": (
        [{"content": "Hi", "reasoning_content": "Hm"}],
        [*thought(0, "Hm"), *text(1, "Hi")],
    ),
    "each delta to a block of its own kind (P-137)": (
        [{"content": "One"}, {"reasoning_content": "Hm"}, {"content": "two"}],
        [*text(0, "One"), *thought(1, "Hm"), *text(2, "two")],
    ),
    "refusal": (
        [{"refusal": "I must"}, {"refusal": " not."}],
        [BlockStart(0, Refusal("")), RefusalDelta(0, "I must"), RefusalDelta(0, " not."), BlockEnd(0)],
    ),
    "sound": (
        [
            {"audio": {"id": "audio_1", "transcript": "Hel"}},
            {"audio": {"data": "AAAA"}},
            {"audio": {"transcript": "lo.", "data": "BBBB"}},
            {"audio": {"expires_at": 7}},
        ],
        [
            BlockStart(0, Media("audio", Source("base64"), rest={"id": "audio_1"})),
            MediaDelta(0, "", "Hel"),
            MediaDelta(0, "AAAA"),
            MediaDelta(0, "BBBB", "lo."),
            BlockEnd(0),
        ],
    ),
    "images": (
        [
            {"content": "See:"},
            {
                "images": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "https://img.example/cat.png"}},
                    {"type": "image_url"},
                ]
            },
            {"content": " so."},
        ],
        [
            *text(0, "See:"),
            BlockStart(1, Media("image", Source("base64", "AAAA"), "image/png")),
            BlockEnd(1),
            BlockStart(2, Media("image", Source("url", "https://img.example/cat.png"))),
            BlockEnd(2),
            *text(3, " so."),
        ],
    ),
}


@pytest.mark.pitfall("C136", "C146", "C206")
@pytest.mark.parametrize("name", WORDS)
def test_words_and_media(name: str) -> None:
    deltas, events = WORDS[name]
    refused = any(isinstance(event, RefusalDelta) for event in events)
    assert said(*deltas) == [*events, Finished(Finish("refusal" if refused else "stop", "stop"))]


@pytest.mark.pitfall("C121", "C254")
def test_the_state_in_reasoning_details() -> None:
    """Words in pieces, then the signature: a reasoning block with the words, and one with the state alone."""
    deltas = [
        {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]},
        {"reasoning": ".", "reasoning_details": [{"type": "reasoning.text", "text": ".", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "format": None, "index": 0}]},
        {"content": "Hi"},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "aGlk", "id": "r1"}]},
    ]
    signed = '[{"type":"reasoning.text","text":"Hm.","index":0,"signature":"c2ln"}]'
    hidden = '[{"type":"reasoning.encrypted","data":"aGlk","id":"r1"}]'
    assert said(*deltas) == [
        *thought(0, "Hm", "."),
        BlockStart(1, Reasoning(state=State("encrypted", signed))),
        BlockEnd(1),
        *text(2, "Hi"),
        BlockStart(3, Reasoning(state=State("encrypted", hidden))),
        BlockEnd(3),
        STOP,
    ]


def leaning(start: Any, end: Any, url: Any = PAGE, **rest: Any) -> dict[str, Any]:
    cited = {"url": url, "title": "A page", "start_index": start, "end_index": end, **rest}
    return {"type": "url_citation", "url_citation": cited}


def cited(block: int, start: int | None, end: int | None, words: str = "") -> Cited:
    return Cited(block, Citation("web", PAGE, "A page", words, start, end))


@pytest.mark.pitfall("C160")
def test_annotations_belong_to_their_text() -> None:
    """Their places count from the beginning of the message; those that stand before the text are unknown in it."""
    one, two, three, four = leaning(0, 2), leaning(2, 4, content="words"), leaning(1, 4), leaning(None, 4)
    deltas = [
        {"content": "So"},
        {"annotations": [one]},
        {"reasoning_content": "Hm"},
        {"annotations": [two]},
        {"content": "it"},
        {"annotations": [three, four]},
    ]
    assert said(*deltas) == [
        BlockStart(0, Text("")),
        TextDelta(0, "So"),
        cited(0, 0, 2),
        BlockEnd(0),
        *thought(1, "Hm"),
        BlockStart(2, Text("")),
        cited(2, 0, 2, "words"),
        TextDelta(2, "it"),
        cited(2, None, None),
        cited(2, None, None),
        BlockEnd(2),
        STOP,
    ]


@pytest.mark.pitfall("C157")
@pytest.mark.parametrize(
    "deltas",
    [
        [{"content": "So", "annotations": [leaning(0, 1, url="")]}],
        [{"content": "So", "annotations": [{"type": "file_citation", "file_citation": {"file_id": "f"}}]}],
        [{"annotations": [leaning(0, 1)]}],
    ],
    ids=["without a URL", "of another kind", "without a text"],
)
def test_annotations_that_cannot_be_told(deltas: list[Any]) -> None:
    ledger = Ledger()
    events = read(*map(chunk, deltas), chunk({}, "stop"), ledger=ledger)
    assert not any(isinstance(event, Cited) for event in events)
    assert codes(ledger) == {"answer.citation"}


TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Ho", "logprob": -2}]}
LOGPROB = Logprob("Hi", -0.5, (72, 105), (Logprob("Ho", -2),))


def with_tokens(delta: Any, **logprobs: Any) -> dict[str, Any]:
    found = chunk(delta)
    found["choices"][0]["logprobs"] = {"content": None, "refusal": None, **logprobs}
    return found


def test_logprobs_go_with_their_words() -> None:
    events = read(
        with_tokens({"role": "assistant", "content": ""}, content=[]),
        with_tokens({"content": ""}, content=[TOKEN]),
        with_tokens({"content": "Hi"}, content=[TOKEN]),
        with_tokens({"refusal": "Hi"}, refusal=[TOKEN]),
        chunk({}, "stop"),
    )
    assert events[1:-2] == [
        BlockStart(0, Text("")),
        TextDelta(0, "", (LOGPROB,)),
        TextDelta(0, "Hi", (LOGPROB,)),
        BlockEnd(0),
        BlockStart(1, Refusal("")),
        RefusalDelta(1, "Hi", (LOGPROB,)),
        BlockEnd(1),
    ]


@pytest.mark.parametrize("delta", [{"reasoning_content": "Hm", "content": ""}, {"tool_calls": [], "content": None}])
def test_logprobs_of_what_is_no_text(delta: Any) -> None:
    ledger = Ledger()
    events = read(with_tokens(delta, content=[TOKEN]), ledger=ledger)
    assert not any(isinstance(event, TextDelta) for event in events)
    assert codes(ledger) == {"answer.logprobs"}


def test_odd_tokens() -> None:
    odd = [{"token": 7, "logprob": "x", "bytes": ["a"], "top_logprobs": 3}, "no token"]
    events = read(with_tokens({"content": "Hi"}, content=odd))
    assert events[2] == TextDelta(0, "Hi", (Logprob("", 0.0),))


ENDS: dict[str, tuple[list[Any], list[Event]]] = {
    "the last words come with the finish": ([chunk({"content": "Hi"}, "stop")], [*text(0, "Hi"), STOP, End()]),
    "a whole call comes with the finish": (
        [chunk(calling(more(0, "{}", "call_1", "one")), "stop")],
        [*call(0, "call_1", "one", "{}"), Finished(Finish("tool_calls", "stop")), End()],
    ),
    "a choice without a delta (P-51)": (
        [chunk({"content": "Hi"}), {**HEAD, "choices": [{"index": 0, "finish_reason": "stop"}]}],
        [*text(0, "Hi"), STOP, End()],
    ),
    "no finish": ([chunk({"content": "Hi"})], [BlockStart(0, Text("")), TextDelta(0, "Hi")]),
    "an empty finish is none": ([chunk({"content": "Hi"}, "")], [BlockStart(0, Text("")), TextDelta(0, "Hi")]),
    "the finish comes again": (
        [chunk({"content": "Hi"}, "stop"), chunk({"content": ""}, "stop", usage=SPENT)],
        [*text(0, "Hi"), STOP, UsageSeen(Usage(10, output_text=5)), End()],
    ),
    "nothing was said": ([chunk({}, "stop")], [STOP, End()]),
    "two answers": (
        [
            {**HEAD, "choices": [{"index": 0, "delta": {"content": "A"}}, {"index": 1, "delta": {"content": "B"}}]},
            chunk({"content": "b"}, index=1),
            chunk({}, "length", index=1),
            chunk({"content": "a"}, index=0),
            chunk({}, "stop", index=0),
        ],
        [
            BlockStart(0, Text("")),
            TextDelta(0, "A"),
            BlockStart(1, Text(""), 1),
            TextDelta(1, "B"),
            TextDelta(1, "b"),
            BlockEnd(1),
            Finished(Finish("length", "length"), 1),
            TextDelta(0, "a"),
            BlockEnd(0),
            STOP,
            End(),
        ],
    ),
    "two answers without indexes": (
        [{**HEAD, "choices": [{"delta": {}, "finish_reason": "stop"}, {"delta": {}, "finish_reason": "length"}]}],
        [STOP, Finished(Finish("length", "length"), 1), End()],
    ),
    "one of two answers goes on": (
        [chunk({}, "stop"), chunk({"content": "B"}, index=1)],
        [STOP, BlockStart(0, Text(""), 1), TextDelta(0, "B")],
    ),
    "usage on every chunk": (
        [
            chunk({"content": "Hi"}, usage={"prompt_tokens": 10, "completion_tokens": 1}),
            chunk({"content": "!"}, usage={"prompt_tokens": 10, "completion_tokens": 2}),
            chunk({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 2}),
        ],
        [
            UsageSeen(Usage(10, output_text=1)),
            BlockStart(0, Text("")),
            TextDelta(0, "Hi"),
            UsageSeen(Usage(10, output_text=2)),
            TextDelta(0, "!"),
            BlockEnd(0),
            STOP,
            End(),
        ],
    ),
    "placeholders take nothing away (P-43, P-47)": (
        [
            chunk({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 0}),
            {**HEAD, "choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 5}},
            {**HEAD, "choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}},
            {**HEAD, "choices": [], "usage": None},
            {**HEAD, "choices": [], "usage": {}},
        ],
        [UsageSeen(Usage(10)), STOP, UsageSeen(Usage(10, output_text=5)), End()],
    ),
}


@pytest.mark.pitfall("C19", "C178", "C224")
@pytest.mark.parametrize("name", ENDS)
def test_ends_and_usage(name: str) -> None:
    data, events = ENDS[name]
    assert read(*data) == [START, *events]


def test_what_comes_behind_a_finish_is_told_as_lost() -> None:
    ledger = Ledger()
    events = read(chunk({"content": "Hi"}, "stop"), chunk({"content": "late"}), ledger=ledger)
    assert events[1:] == [*text(0, "Hi"), STOP, End()]
    assert codes(ledger) == {"answer.late"}


def test_nothing_comes_behind_the_end() -> None:
    reader = module("reader").ChatReader(Ledger())
    assert reader.end() == ()
    reader.read(None, chunk({"content": "Hi"}, "stop"))
    assert reader.end() == (End(),)
    assert reader.end() == ()
    assert reader.read(None, chunk({"content": "late"}, index=1)) == ()


INFERRED: dict[str, tuple[list[Any], list[Event]]] = {
    "a text": ([{"content": "Hi"}], [BlockEnd(0), STOP, End()]),
    "a refusal": ([{"refusal": "No."}], [BlockEnd(0), Finished(Finish("refusal", "stop")), End()]),
    "a call": (
        [calling(more(0, "{}", "call_1", "one"))],
        [BlockEnd(0), Finished(Finish("tool_calls", "stop")), End()],
    ),
    "mere reasoning (P-28)": ([{"reasoning_content": "Hm"}], []),
    "a mere role": ([ROLE], []),
    "nothing at all": ([], []),
}


@pytest.mark.pitfall("P-28", "C267")
@pytest.mark.parametrize("name", INFERRED)
def test_done_implies_a_finish(name: str) -> None:
    deltas, events = INFERRED[name]
    notes: list[Note] = []
    reader = module("reader").ChatReader(Ledger(notes))
    for delta in deltas:
        reader.read(None, chunk(delta))
    assert list(reader.end()) == []
    assert list(reader.end(True)) == events
    assert [note.code for note in notes] == (["inferred"] if events else [])


def test_done_implies_no_finish_beside_one_that_lacks() -> None:
    reader = module("reader").ChatReader(Ledger())
    reader.read(None, chunk({"content": "A"}))
    reader.read(None, chunk({"reasoning_content": "B"}, index=1))
    assert list(reader.end(True)) == [BlockEnd(0), STOP]


STARTS: dict[str, tuple[list[Any], list[Event]]] = {
    "a role is all that is needed": ([chunk(ROLE)], [START]),
    "no choices at first (Azure)": (
        [
            {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [1]},
            chunk(ROLE),
        ],
        [START._replace(rest={"prompt_filter_results": [1]})],
    ),
    "usage before it": (
        [{"choices": [], "usage": SPENT}, chunk(ROLE)],
        [START, UsageSeen(Usage(10, output_text=5))],
    ),
    "nothing is known": ([{"choices": [{"delta": ROLE}]}], [Start("chat")]),
    "of the wrong types": (
        [{"id": 7, "model": None, "created": "x", "service_tier": 1, "choices": [{"delta": ROLE}]}],
        [Start("chat")],
    ),
    "what only Chat knows": (
        [
            chunk(
                ROLE, created=7.0, service_tier="flex", system_fingerprint="fp", obfuscation="x", no=None, provider="p"
            )
        ],
        [START._replace(created=7, tier="flex", rest={"system_fingerprint": "fp", "provider": "p"})],
    ),
    "no choices but an event": ([{}, {"choices": "x"}], []),
}


@pytest.mark.parametrize("name", STARTS)
def test_starts(name: str) -> None:
    data, events = STARTS[name]
    assert read(*data) == events


def test_members_without_a_place_are_lost() -> None:
    ledger = Ledger()
    data = chunk({"content": "Hi", "odd": 1, "none": None})
    data["choices"][0]["content_filter_results"] = {"hate": {"filtered": False}}
    read(data, ledger=ledger)
    assert ledger.losses == [Loss("field.foreign", "content_filter_results"), Loss("field.foreign", "odd")]


FAILURES = [
    ({"error": {"message": "It broke", "type": "server_error"}}, ErrorKind.SERVER, "It broke"),
    ({"error": "It broke"}, ErrorKind.SERVER, "It broke"),
    ({"error": {"code": 429, "message": "Slow"}, "choices": []}, ErrorKind.RATE_LIMITED, "Slow"),
    (chunk({}, "error") | {"error": None}, ErrorKind.SERVER, "upstream: the answer ended with error"),
    (chunk({"content": "x"}, "network_error"), ErrorKind.BAD_GATEWAY, "upstream: the answer ended with network_error"),
]


@pytest.mark.parametrize(("data", "kind", "message"), FAILURES)
@pytest.mark.parametrize("before", [[], [chunk({"content": "Hi"})]], ids=["at once", "later"])
def test_an_error_ends_the_stream(before: list[Any], data: Any, kind: ErrorKind, message: str) -> None:
    events = read(*before, data, chunk({"content": "late"}), chunk({}, "stop"))
    assert isinstance(events[0], Start)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.message, failed.error.protocol in (None, "chat")) == (kind, message, True)


def test_an_error_of_one_choice_ends_all() -> None:
    choices = [{"index": 0, "delta": {}, "finish_reason": "error"}, {"index": 1, "delta": {"content": "Hi"}}]
    assert [type(event) for event in read({**HEAD, "choices": choices})] == [Start, Failed]


def test_nobodys_json_is_changed() -> None:
    details = {"type": "reasoning.text", "text": "Hm", "index": 0, "signature": "c2ln"}
    data = [chunk({"reasoning_details": [details]}), chunk({"reasoning_details": [dict(details)]}), chunk({}, "stop")]
    before = repr(data)
    read(*data)
    assert repr(data) == before
