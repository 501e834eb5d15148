"""How Messages streams for clients begin and end, and how they fail.  Source: protocols.md 4.5, 4.9, 4.11."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

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
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
)
from rotator.neutral.response import Finish
from rotator.neutral.usage import Usage
from tests.protocols.messages.folding import check_stream, frames_of, sdk_message
from tests.protocols.messages.streams import CALL, CHAT, IDS, OVER, OWN, REQUEST, over_http, write, writer

ZEROS = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
SPLIT = {"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}}
HIDDEN = State("redacted", "aGlk")
PAGE = Citation("web", "https://page.example", "A page", "words")


@pytest.mark.pitfall("P-16", "C275")
def test_a_stream_byte_for_byte() -> None:
    events = [CHAT, BlockStart(0, Text("")), TextDelta(0, 'Say "'), TextDelta(0, "\u4f60\u597d\u2028"), BlockEnd(0)]
    usage = '"usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2}'
    first = (
        f'"id":"{IDS.mint("msg_01")}","type":"message","role":"assistant","model":"alias","content":[],'
        '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":0,"output_tokens":0,'
        '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}}'
    )
    piece = (
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":'
    )
    expected = (
        'event: message_start\ndata: {"type":"message_start","message":{' + first + "}}\n\n"
        'event: ping\ndata: {"type":"ping"}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        '"content_block":{"type":"text","text":""}}\n\n'
        f'{piece}"Say \\""}}}}\n\n'
        f'{piece}"\u4f60\u597d\\u2028"}}}}\n\n'
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        + usage
        + '}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    assert write(*events, Finished(Finish("stop")), UsageSeen(Usage(7, output_text=2)), End()).decode() == expected


@pytest.mark.pitfall("P-16", "P-144", "C164", "C177")
def test_the_start_tells_the_input_where_it_is_known() -> None:
    usage = Usage(30, 60, 10, 5, 3, written_by_ttl=(("1h", 10),))
    first, ping, *rest = check_stream(write(OWN, UsageSeen(usage), UsageSeen(Usage(31)), *OVER))
    assert first["message"]["usage"]["input_tokens"] == 31
    first, *rest = check_stream(write(OWN, UsageSeen(usage), BlockStart(0, Text("")), BlockEnd(0), *OVER))
    assert first["message"] == {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": "alias",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 30,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 60,
            "output_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 10},
        },
    }
    assert rest[-2]["usage"] == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 8,
        "output_tokens_details": {"thinking_tokens": 3},
    }


def test_what_our_own_start_knows_is_written_back() -> None:
    container = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
    usage = {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}
    start = OWN._replace(id="", tier="standard", rest={"container": container, "usage": usage})
    ledger = Ledger()
    first = check_stream(write(start, *OVER, ledger=ledger))[0]["message"]
    assert (first["id"], first["container"]) == (IDS.mint("msg_01"), container)
    assert first["usage"] == {**ZEROS, **SPLIT, **usage, "service_tier": "standard"}
    assert ledger.losses == []


def test_what_a_foreign_start_knows_is_set_aside() -> None:
    notes: list[Note] = []
    ledger = Ledger(notes)
    start = CHAT._replace(tier="flex", rest={"system_fingerprint": "fp"})
    first = check_stream(write(start, *OVER, ledger=ledger))[0]["message"]
    assert (first["id"], first["usage"]) == (IDS.mint("msg_01"), {**ZEROS, **SPLIT})
    assert not {"system_fingerprint", "service_tier"} & first.keys()
    assert notes == [Note("messages.write.envelope", "set_aside", "system_fingerprint")]
    assert ledger.losses == [Loss("meta.tier", "", "flex")]


@pytest.mark.pitfall("C225")
def test_nothing_is_written_before_there_is_something_to_tell() -> None:
    one = writer.MessagesWriter(REQUEST, IDS, Ledger())
    assert one.write(CHAT) == one.write(UsageSeen(Usage(1))) == b""
    begun = one.write(Beat())
    assert [name for name, _ in frames_of(begun)] == ["message_start", "ping"]
    assert one.write(Beat()) == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert one.write(Finished(Finish("stop"))) == one.write(UsageSeen(Usage(2))) == b""
    assert [name for name, _ in frames_of(one.write(End()))] == ["message_delta", "message_stop"]


@pytest.mark.pitfall("C235")
def test_pings_may_come_inside_a_block() -> None:
    events = [CHAT, BlockStart(0, Text("")), TextDelta(0, "a"), Beat(), TextDelta(0, "b"), BlockEnd(0), *OVER]
    kinds = [event["type"] for event in check_stream(write(*events))]
    assert kinds[2:7] == [
        "content_block_start", "content_block_delta", "ping", "content_block_delta", "content_block_stop"
    ]


#: Events behind Start -> what the last message_delta tells.
ENDS: dict[str, tuple[list[Event], dict[str, Any]]] = {
    "nothing but the end": ([End()], {"stop_reason": "end_turn", "stop_sequence": None}),
    "a call and no finish": (
        [BlockStart(0, CALL), BlockEnd(0), End()], {"stop_reason": "tool_use", "stop_sequence": None}
    ),
    "stop behind a call": (
        [BlockStart(0, CALL), BlockEnd(0), *OVER], {"stop_reason": "tool_use", "stop_sequence": None}
    ),
    "calls that never came": (
        [Finished(Finish("tool_calls")), End()], {"stop_reason": "end_turn", "stop_sequence": None}
    ),
    "a limit behind a call": (
        [BlockStart(0, CALL), ArgumentsDelta(0, '{"q'), BlockEnd(0), Finished(Finish("length")), End()],
        {"stop_reason": "max_tokens", "stop_sequence": None},
    ),
    "a stop sequence": (
        [Finished(Finish("stop_sequence", stop_sequence="END")), End()],
        {"stop_reason": "stop_sequence", "stop_sequence": "END"},
    ),
    "a filter": (
        [Finished(Finish("content_filter", "SAFETY", explanation="Unsafe.")), End()],
        {
            "stop_reason": "refusal",
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": None, "explanation": "Unsafe."},
        },
    ),
    "a refusal in words": (
        [BlockStart(0, Refusal("")), RefusalDelta(0, "No."), BlockEnd(0), *OVER],
        {
            "stop_reason": "refusal",
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": None, "explanation": None},
        },
    ),
    "another candidate's finish": (
        [Finished(Finish("length")), Finished(Finish("stop"), 1), End()],
        {"stop_reason": "max_tokens", "stop_sequence": None},
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_tells_why(name: str) -> None:
    events, expected = ENDS[name]
    assert check_stream(write(CHAT, *events))[-2]["delta"] == expected


def test_a_finish_of_our_own_is_written_back() -> None:
    events = check_stream(write(OWN, Finished(Finish("content_filter", "refusal")), End()))
    assert events[-2]["delta"]["stop_reason"] == "refusal"
    sensitive = frames_of(write(OWN, Finished(Finish("content_filter", "sensitive")), End()))
    assert sensitive[-2][1]["delta"] == {"stop_reason": "sensitive", "stop_sequence": None}


def test_a_missing_finish_is_noted() -> None:
    notes: list[Note] = []
    write(CHAT, End(), ledger=Ledger(notes))
    assert notes == [Note("messages.writer.finish", "finish.inferred")]


# ---------------------------------------------------------------- errors

OVERLOADED = NeutralError(ErrorKind.OVERLOADED, "Busy.", 503, protocol="chat", request_id="req_1")


@pytest.mark.pitfall("C221")
@pytest.mark.parametrize("events", [
    [], [CHAT], [CHAT, Beat()], [CHAT, BlockStart(0, Text("")), TextDelta(0, "a")],
    [CHAT, BlockStart(0, CALL), ArgumentsDelta(0, '{"q')], [CHAT, Finished(Finish("stop"))],
], ids=len)  # fmt: skip
def test_an_error_ends_the_stream_at_any_moment(events: list[Event]) -> None:
    one = writer.MessagesWriter(REQUEST, IDS, Ledger())
    stream = b"".join(one.write(event) for event in events) + one.fail(OVERLOADED)
    name, data = frames_of(stream)[-1]
    assert (name, data) == ("error", {
        "type": "error", "error": {"type": "overloaded_error", "message": "Busy."}, "request_id": "req_1"
    })
    assert "message_stop" not in [name for name, _ in frames_of(stream)]
    with pytest.raises(anthropic.APIStatusError, match=r"Busy\."):
        over_http(stream)


def test_a_vendors_own_error_passes_field_by_field() -> None:
    envelope = {"type": "error", "error": {"type": "odd", "message": "m", "details": {"x": 1}}}
    error = NeutralError(ErrorKind.SERVER, "m", 500, envelope=envelope, protocol="messages")
    one = writer.MessagesWriter(REQUEST, IDS, Ledger())
    assert frames_of(one.fail(error)) == [("error", envelope)]
    foreign = error_of(ErrorKind.SERVER, "m")
    assert frames_of(one.fail(foreign)) == [
        ("error", {"type": "error", "error": {"type": "api_error", "message": "m"}, "request_id": None})
    ]


#: What an answer holds beside a finish -> what the client is told.
INEXPRESSIBLE: dict[str, tuple[list[Event], str]] = {
    "media": ([BlockStart(0, Media("image", Source("base64", "AAAA"))), BlockEnd(0), *OVER], "nothing of the answer"),
    "hosted": ([BlockStart(0, Opaque("responses", "x_call", {})), BlockEnd(0), *OVER], "nothing of the answer"),
    "hidden": (
        [BlockStart(0, Reasoning(state=HIDDEN)), BlockEnd(0), BlockStart(1, Text("")), BlockEnd(1), *OVER],
        "nothing of the answer",
    ),
    "malformed": (
        [BlockStart(0, Text("")), TextDelta(0, "a"), BlockEnd(0), Finished(Finish("malformed")), End()], "malformed"
    ),
    "cancelled": ([Finished(Finish("cancelled")), End()], "cancelled"),
}


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_what_is_no_answer_ends_in_an_error(name: str) -> None:
    events, message = INEXPRESSIBLE[name]
    stream = write(CHAT, *events)
    assert [name for name, _ in frames_of(stream)][-1] == "error"
    with pytest.raises(anthropic.APIStatusError, match=message):
        over_http(stream)


@pytest.mark.pitfall("C77")
def test_the_official_client_reads_the_stream() -> None:
    events = [
        CHAT,
        BlockStart(0, Reasoning()),
        ReasoningDelta(0, "A greeting."),
        BlockEnd(0),
        BlockStart(1, Text("")),
        TextDelta(1, "\u4f60\u597d \U0001f680\u2028"),
        Cited(1, PAGE),
        BlockEnd(1),
        BlockStart(2, CALL),
        ArgumentsDelta(2, '{"q":"x"}'),
        BlockEnd(2),
        Finished(Finish("tool_calls")),
        UsageSeen(Usage(30, 60, 10, 30, 20)),
        End(),
    ]
    stream = write(*events)
    message = over_http(stream)
    assert message.to_dict() == sdk_message(check_stream(stream))
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[1].text == "\u4f60\u597d \U0001f680\u2028"
    assert message.content[1].citations[0].url == "https://page.example"
    assert message.content[2].input == {"q": "x"}
    usage = message.usage
    assert (message.stop_reason, usage.input_tokens, usage.output_tokens) == ("tool_use", 30, 50)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (60, 10)
    assert usage.output_tokens_details.thinking_tokens == 20


LATE: dict[str, Any] = {
    "container": {"id": "container_1"},
    "context_management": {"applied_edits": []},
    "stop_details": {"fallback": "m2"},
    "usage": {"server_tool_use": {"web_search_requests": 1}},
}


def test_what_came_late_is_told_in_the_last_frame() -> None:
    """To a client of the upstream's own protocol, each where the vendor tells it."""
    stream = write(OWN, Finished(Finish("refusal", "refusal", None, "bio", "No."), rest=LATE), End())
    last = frames_of(stream)[-2][1]
    details = {"type": "refusal", "category": "bio", "explanation": "No.", "fallback": "m2"}
    told = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    assert last["delta"] == {**told, "container": LATE["container"]}
    assert last["context_management"] == LATE["context_management"]
    assert last["usage"] == {**ZEROS, **LATE["usage"]}


def test_what_came_late_of_another_protocol_is_set_aside() -> None:
    notes: list[Note] = []
    ledger = Ledger(notes)
    stream = write(CHAT, BlockStart(0, Text("")), TextDelta(0, "a"), BlockEnd(0),
                   Finished(Finish("stop"), rest={"x": 1}), End(), ledger=ledger)
    assert frames_of(stream)[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert Note("messages.write.envelope", "set_aside", "x") in notes and ledger.losses == []
