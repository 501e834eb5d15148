"""The Messages adapter by itself: errors in and out, meter, usage, session hints, model lists."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.contracts import Call, Envelope, ListedModel, SessionHint
from rotator.errors import Refused
from rotator.neutral.error import STATUS, ErrorKind, NeutralError, error_of
from rotator.neutral.usage import Usage
from tests.upstreams import MESSAGES_FRAMES, PROTOCOLS

MESSAGES = PROTOCOLS["messages"]
K = ErrorKind
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def call(json_body: dict[str, Any] | None = None, operation: Any = "generate", **headers: str) -> Call:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("messages", operation, "/v1/messages", "", sent, b"x" * 40, json_body or {})


def meter(operation: str = "generate") -> Any:
    return MESSAGES.meter(call(operation=operation))


def frame(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def delta(**members: Any) -> bytes:
    return frame({"type": "content_block_delta", "index": 0, "delta": members})


def start(**usage: Any) -> bytes:
    return frame({"type": "message_start", "message": {"content": [], "usage": usage}})


def end(reason: Any = "end_turn", **usage: Any) -> bytes:
    return frame({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})


def envelope(kind: str | None, message: str = "m", **details: Any) -> dict[str, Any]:
    error: dict[str, Any] = {"type": kind, "message": message}
    return {"type": "error", "error": {**error, "details": details} if details else error, "request_id": "req_1"}


#: status, body -> kind, message, code, type
ERRORS: list[tuple[Any, ...]] = [
    (400, envelope("invalid_request_error"), K.BAD_REQUEST, "m", None, "invalid_request_error"),
    (401, envelope("authentication_error"), K.AUTH, "m", None, "authentication_error"),
    (402, envelope("billing_error"), K.BILLING, "m", None, "billing_error"),
    (403, envelope("permission_error"), K.PERMISSION, "m", None, "permission_error"),
    (404, envelope("not_found_error"), K.NOT_FOUND, "m", None, "not_found_error"),
    (404, envelope("invalid_request_error"), K.NOT_FOUND, "m", None, "invalid_request_error"),
    (409, envelope("conflict_error"), K.CONFLICT, "m", None, "conflict_error"),
    (413, envelope("request_too_large"), K.TOO_LARGE, "m", None, "request_too_large"),
    (429, envelope("rate_limit_error"), K.RATE_LIMITED, "m", None, "rate_limit_error"),
    (429, envelope("rate_limit_error", error_code="enforced_spend_limit_reached"),
     K.QUOTA_EXHAUSTED, "m", "enforced_spend_limit_reached", "rate_limit_error"),
    (429, envelope("rate_limit_error", error_code="contract_spend_limit_reached"),
     K.QUOTA_EXHAUSTED, "m", "contract_spend_limit_reached", "rate_limit_error"),
    (429, envelope("rate_limit_error", error_code="ramp_limit_exceeded"),
     K.RATE_LIMITED, "m", "ramp_limit_exceeded", "rate_limit_error"),
    (429, envelope("rate_limit_error", error_code=["odd"]), K.RATE_LIMITED, "m", None, "rate_limit_error"),
    (500, envelope("api_error"), K.SERVER, "m", None, "api_error"),
    (503, envelope("overloaded_error"), K.OVERLOADED, "m", None, "overloaded_error"),
    (504, envelope("timeout_error"), K.UPSTREAM_TIMEOUT, "m", None, "timeout_error"),
    (529, envelope("overloaded_error"), K.OVERLOADED, "m", None, "overloaded_error"),
    (529, envelope("odd"), K.OVERLOADED, "m", None, "odd"),
    (400, envelope("odd", ""), K.BAD_REQUEST, "odd", None, "odd"),
    (400, {"type": "error", "error": {"type": ["x"], "message": 5}}, K.BAD_REQUEST, "upstream error 400", None, None),
    (400, {"error": "just text"}, K.BAD_REQUEST, "just text", None, None),
    (400, {"message": "outer"}, K.BAD_REQUEST, "outer", None, None),
    (400, {"detail": "in detail"}, K.BAD_REQUEST, "in detail", None, None),
    (418, {}, K.BAD_REQUEST, "upstream error 418", None, None),
    (500, {"error": None}, K.SERVER, "upstream error 500", None, None),
]


@pytest.mark.pitfall("C248")
@pytest.mark.parametrize("row", ERRORS)
def test_an_upstreams_error_is_read(row: tuple[Any, ...]) -> None:
    status, body, *expected = row
    error = MESSAGES.read_error(status, {}, json.dumps(body).encode())
    assert [error.kind, error.message, error.code, error.type] == expected
    assert error.status == status


@pytest.mark.parametrize("body", [b"", b"<html>x</html>", b"[]", b'[{"error":{}}]', b"7", b"null", b'{"e', b"\xff"])
@pytest.mark.parametrize(("status", "kind"), [(400, K.BAD_REQUEST), (529, K.OVERLOADED), (401, K.AUTH)])
def test_what_is_no_envelope_says_nothing(body: bytes, status: int, kind: ErrorKind) -> None:
    error = MESSAGES.read_error(status, {"content-type": "text/html"}, body)
    assert (error.kind, error.status, error.envelope) == (kind, status, None)
    assert error.message == f"upstream answered HTTP {status} without an error message"


#: protocols.md 1.8, columns "HTTP" and "Anthropic type".
WRITTEN = [
    (K.BAD_REQUEST, 400, "invalid_request_error"),
    (K.CONTEXT_TOO_LONG, 400, "invalid_request_error"),
    (K.AUTH, 401, "authentication_error"),
    (K.BILLING, 402, "billing_error"),
    (K.PERMISSION, 403, "permission_error"),
    (K.NOT_FOUND, 404, "not_found_error"),
    (K.METHOD, 405, "invalid_request_error"),
    (K.TIMEOUT_CLIENT, 408, "invalid_request_error"),
    (K.CONFLICT, 409, "conflict_error"),
    (K.TOO_LARGE, 413, "request_too_large"),
    (K.UNPROCESSABLE, 422, "invalid_request_error"),
    (K.RATE_LIMITED, 429, "rate_limit_error"),
    (K.QUOTA_EXHAUSTED, 429, "rate_limit_error"),
    (K.CANCELLED, 499, "api_error"),
    (K.SERVER, 500, "api_error"),
    (K.NOT_IMPLEMENTED, 501, "api_error"),
    (K.BAD_GATEWAY, 502, "api_error"),
    (K.OVERLOADED, 503, "overloaded_error"),
    (K.UPSTREAM_TIMEOUT, 504, "timeout_error"),
]


@pytest.mark.pitfall("C242")
def test_every_kind_has_a_row() -> None:
    assert {row[0] for row in WRITTEN} == set(ErrorKind)


@pytest.mark.pitfall("C242", "C249")
@pytest.mark.parametrize(("kind", "status", "type_"), WRITTEN)
def test_our_own_errors_in_the_vendors_words(kind: ErrorKind, status: int, type_: str) -> None:
    """A 503 of ours stays one: 529 would blame the vendor."""
    error = NeutralError(kind, "said", STATUS[kind], request_id="req_9")
    reply = MESSAGES.refuse(error)
    assert reply.status == status
    expected = {"type": "error", "error": {"type": type_, "message": "said"}, "request_id": "req_9"}
    assert json.loads(reply.body) == expected


def test_an_overloaded_vendors_status_is_the_protocols_own() -> None:
    own = NeutralError(K.OVERLOADED, "m", 503, envelope=envelope("overloaded_error"), protocol="messages")
    foreign = NeutralError(K.OVERLOADED, "m", 503, protocol="chat")
    assert (MESSAGES.refuse(own).status, MESSAGES.refuse(foreign).status) == (529, 529)
    assert MESSAGES.refuse(NeutralError(K.OVERLOADED, "m", 529, protocol="messages")).status == 529


def test_only_its_own_envelope_passes() -> None:
    odd = {**envelope("odd", n=1), "more": [True]}
    own = NeutralError(K.BAD_REQUEST, "m", 418, envelope=odd, protocol="messages", request_id="req_9")
    assert (MESSAGES.refuse(own).status, json.loads(MESSAGES.refuse(own).body)) == (418, odd)
    foreign = NeutralError(K.BAD_REQUEST, "m", 400, envelope={"error": {"message": "m"}}, protocol="chat")
    assert json.loads(MESSAGES.refuse(foreign).body)["error"] == {"type": "invalid_request_error", "message": "m"}


#: protocols.md 3.4, row "Anth": ``input_tokens`` excludes what came from a cache.
USAGES: list[tuple[dict[str, Any], Usage]] = [
    ({"input_tokens": 10, "output_tokens": 4}, Usage(10, 0, 0, 4, 0)),
    ({"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7, "output_tokens": 4},
     Usage(10, 90, 7, 4, 0)),
    ({"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 0,
      "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}},
     Usage(1, 0, 9, 0, 0, written_by_ttl=(("5m", 4), ("1h", 5)))),
    ({"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}}, Usage(1, 0, 0, 4, 5)),
    ({"input_tokens": 1, "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 5}}, Usage(1, 0, 0, 0, 3)),
    ({"input_tokens": 1, "output_tokens": 3, "output_tokens_details": None, "cache_read_input_tokens": None},
     Usage(1, 0, 0, 3, 0)),
    ({"input_tokens": -1, "output_tokens": "3", "cache_read_input_tokens": True}, Usage()),
]


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_usage_in_buckets(usage: dict[str, Any], expected: Usage) -> None:
    whole, streamed = meter(), meter()
    whole.whole({"type": "message", "content": [], "stop_reason": "end_turn", "usage": usage})
    streamed.feed(start(**{**usage, "output_tokens": 1}) + delta(type="text_delta", text="x"))
    streamed.feed(end(output_tokens=usage["output_tokens"]) + STOP)
    assert whole.signals.usage == streamed.signals.usage == expected


@pytest.mark.pitfall("C176")
def test_counts_are_cumulative_and_null_keeps_what_was_known() -> None:
    one = meter()
    one.feed(start(input_tokens=10, cache_read_input_tokens=90, output_tokens=1))
    one.feed(end(None, input_tokens=None, output_tokens=5))
    one.feed(end(output_tokens=8, cache_read_input_tokens=None) + STOP)
    assert one.signals.usage == Usage(10, 90, 0, 8, 0)


@pytest.mark.parametrize("usage", [None, [], "10"])
def test_without_usage_it_is_estimated(usage: Any) -> None:
    one = meter()
    opening = frame({"type": "message_start", "message": {"usage": usage}})
    one.feed(opening + delta(type="text_delta", text="x"))
    one.feed(delta(type="text_delta", text="y"))
    one.feed(STOP)
    assert one.signals.usage == Usage(input_fresh=10, output_text=2, source="estimated")
    whole = meter()
    whole.whole({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", "usage": usage})
    assert (whole.signals.usage.source, whole.signals.usage.input_fresh) == ("estimated", 10)


def test_counting_tokens_costs_none() -> None:
    one = meter("count_tokens")
    one.whole({"input_tokens": 77})
    assert (one.signals.usage, one.signals.ended, one.signals.error) == (Usage(), True, None)
    other = meter("count_tokens")
    other.whole({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}})
    assert (other.signals.error.kind, other.signals.ended) == (K.RATE_LIMITED, False)
    empty = meter("count_tokens")
    empty.whole({})
    assert not empty.signals.ended


@given(st.sets(st.integers(1, 8)))
@settings(max_examples=60)
def test_a_meter_says_the_same_however_frames_are_grouped(cuts: set[int]) -> None:
    frames = [*MESSAGES_FRAMES[:3], frame({"type": "ping"}), *MESSAGES_FRAMES[3:], b": behind\n\n"]
    one = meter()
    ends = [0, *sorted(cuts), len(frames)]
    allowed = sum(one.feed(b"".join(frames[a:b])) for a, b in zip(ends, ends[1:], strict=False))
    assert allowed == len(b"".join(frames[:-1]))
    signals = one.signals
    assert (signals.visible, signals.finish, signals.ended, signals.error) == (True, "end_turn", True, None)
    assert signals.usage == Usage(input_fresh=5, output_text=3)
    assert one.trailer() == b""


def test_after_the_first_output_mere_deltas_are_counted_and_not_read() -> None:
    one = meter()
    plain = MESSAGES_FRAMES[2]
    unreadable = plain.replace(b'{', b'{{', 1)
    for block, outputs in ((plain, 1), (plain, 2), (plain * 3, 5), (unreadable, 6), (plain + unreadable, 8)):
        assert (one.feed(block), one.signals.outputs) == (len(block), outputs)


VISIBLE = [
    delta(type="text_delta", text="x"),
    delta(type="text_delta", text=" "),
    delta(type="thinking_delta", thinking="hm"),
    delta(type="input_json_delta", partial_json=""),
    delta(type="citations_delta", citation={}),
    delta(type="odd_delta"),
    frame({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
    frame({"type": "content_block_start", "content_block": {"type": "redacted_thinking", "data": "x"}}),
    frame({"type": "content_block_start", "content_block": {"type": "text", "text": "early"}}),
]
HIDDEN = [
    start(input_tokens=1),
    frame({"type": "ping"}),
    frame({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
    frame({"type": "content_block_start", "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
    frame({"type": "content_block_start", "content_block": None}),
    frame({"type": "content_block_stop", "index": 0}),
    frame({"type": "odd"}),
    delta(type="text_delta", text=""),
    delta(type="thinking_delta", thinking=""),
    delta(type="signature_delta", signature="abc"),
    delta(),
    b": comment\n\n",
    b"id: 1\n\n",
]


@pytest.mark.pitfall("C234")
@pytest.mark.parametrize("block", VISIBLE)
def test_what_a_person_would_see(block: bytes) -> None:
    one = meter()
    assert one.feed(block) == len(block)
    assert one.signals.visible and not one.signals.ended


@pytest.mark.parametrize("block", HIDDEN)
def test_what_nobody_would_see(block: bytes) -> None:
    one = meter()
    assert one.feed(block) == len(block)
    assert (one.signals.visible, one.signals.finish, one.signals.ended, one.signals.error) == (False, None, False, None)


@pytest.mark.parametrize("reason", ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "odd"])
def test_the_stop_reason_and_a_missing_end(reason: str) -> None:
    one = meter()
    one.feed(delta(type="text_delta", text="x"))
    one.feed(end(reason, output_tokens=1))
    assert (one.signals.finish, one.signals.ended) == (reason, False)
    assert one.trailer() == STOP


def test_a_stop_reason_of_null_is_none() -> None:
    one = meter()
    one.feed(delta(type="text_delta", text="x"))
    reasons: tuple[Any, ...] = (None, "", 7, {})
    for reason in reasons:
        one.feed(end(reason, output_tokens=1))
    assert one.signals.finish is None


def test_words_of_the_protocol_inside_a_text_mean_nothing() -> None:
    one = meter()
    for text in ("message_stop", '{"type":"message_stop"}', '"error"', "event: error", 'data: {"type":"error"}\n\n'):
        one.feed(delta(type="text_delta", text=text))
    assert (one.signals.ended, one.signals.error, one.signals.finish) == (False, None, None)


@pytest.mark.parametrize("behind", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("named", [b"event: error\n", b""])
@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, K.OVERLOADED, 529),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}, "x": 1}, K.RATE_LIMITED, 429),
        ({"type": "error", "error": {"type": "odd", "message": "m"}}, K.SERVER, 500),
        ({"error": {"type": "api_error", "message": "m"}}, K.SERVER, 500),
    ],
)
def test_an_error_frame_is_kept_back(
    behind: bool, named: bytes, error: dict[str, Any], kind: ErrorKind, status: int
) -> None:
    one = meter()
    first = delta(type="text_delta", text="x") * 2 if behind else b""
    block = first + named + b"data: " + json.dumps(error).encode() + b"\n\n" + STOP
    assert one.feed(block) == len(first)
    assert (one.signals.error.kind, one.signals.error.status) == (kind, status)
    assert one.feed(STOP) == 0 and not one.signals.ended
    told = one.fail(one.signals.error)
    assert told.startswith(b"event: error\ndata: {") and told.count(b"\n\n") == 1
    assert json.loads(told.partition(b"data: ")[2]) == error


@pytest.mark.parametrize("body", [[], 7, "x", None, {}, {"error": None}, {"content": "odd"}, {"content": None}])
def test_a_whole_answer_without_content_is_none(body: Any) -> None:
    one = meter()
    one.whole(body)
    assert (one.signals.error.kind, one.signals.error.code) == (K.BAD_GATEWAY, "empty_response")
    assert (one.signals.finish, one.signals.ended, one.signals.visible) == (None, False, False)


def test_an_empty_list_of_content_is_an_answer() -> None:
    one = meter()
    one.whole({"type": "message", "content": [], "stop_reason": "end_turn"})
    assert (one.signals.error, one.signals.finish, one.signals.ended) == (None, "end_turn", True)


@pytest.mark.parametrize("data", [b"no json", b"7", b'{"cut":'])
@pytest.mark.parametrize("name", [b"content_block_delta", b"message_start", b"error"])
def test_an_event_that_clients_read_and_that_is_no_json_is_an_error(name: bytes, data: bytes) -> None:
    one = meter()
    before = delta(type="text_delta", text="x")
    assert one.feed(before + b"event: " + name + b"\ndata: " + data + b"\n\n") == len(before)
    assert (one.signals.error.kind, one.signals.error.code) == (K.BAD_GATEWAY, "bad_event")


@pytest.mark.parametrize("block", [b"data: no json\n\n", b"event: ping\ndata: 7\n\n", b"event: odd\ndata: x\n\n"])
def test_what_clients_do_not_read_may_be_anything(block: bytes) -> None:
    one = meter()
    assert one.feed(block) == len(block)
    assert (one.signals.error, one.signals.visible) == (None, False)


@pytest.mark.pitfall("C257")
@pytest.mark.parametrize(("body", "kind"), [
    ({"type": "error", "error": {"type": "authentication_error"}}, K.AUTH),
    ({"type": "error"}, K.SERVER),
    ({"error": "text"}, K.SERVER),
    ({"error": {"message": "m"}}, K.SERVER),
])
def test_an_error_with_status_200(body: Any, kind: ErrorKind) -> None:
    one = meter()
    one.whole(body)
    assert (one.signals.error.kind, one.signals.error.status) == (kind, STATUS[kind])


def test_our_own_error_in_a_stream_is_one_frame() -> None:
    told = meter().fail(error_of(K.BAD_GATEWAY, "two\nlines and \u2028", code="truncated"))
    assert told.count(b"\n\n") == 1 and "\u2028".encode() not in told
    told_error = json.loads(told.removeprefix(b"event: error\ndata: "))
    assert told_error["type"] == "error"
    assert told_error["error"] == {"type": "api_error", "message": "two\nlines and \u2028"}


@pytest.mark.pitfall("C196")
def test_what_is_read_of_a_request() -> None:
    assert MESSAGES.peek(call({"model": "a/b", "stream": True})) == Envelope("a/b", True)
    assert MESSAGES.peek(call({"model": "a/b"}, "count_tokens")) == Envelope("a/b", False)
    for body, param in (({}, "model"), ({"model": ""}, "model"), ({"model": "m", "stream": 0}, "stream")):
        with pytest.raises(Refused) as refused:
            MESSAGES.peek(call(body))
        assert (refused.value.error.kind, refused.value.error.param) == (K.BAD_REQUEST, param)


def metadata(user: Any) -> dict[str, Any]:
    return {"metadata": {"user_id": user}}


OLDER = "user_abc_account_1_session_9f8e"
NEWER = '{"device_id":"d","account_uuid":"a","session_id":"9f8e"}'
HINTS: list[tuple[dict[str, Any], dict[str, str], list[SessionHint]]] = [
    ({}, {}, []),
    (metadata(OLDER), {}, [SessionHint("9f8e", "metadata.user_id"), SessionHint(OLDER, "user", False)]),
    (metadata(NEWER), {}, [SessionHint("9f8e", "metadata.user_id"), SessionHint(NEWER, "user", False)]),
    (metadata("someone"), {}, [SessionHint("someone", "user", False)]),
    (metadata("user_x_session_"), {}, [SessionHint("user_x_session_", "user", False)]),
    (metadata('{"session_id":7}'), {}, [SessionHint('{"session_id":7}', "user", False)]),
    (metadata('{"session_id":'), {}, [SessionHint('{"session_id":', "user", False)]),
    (metadata("{\ud83d"), {}, [SessionHint("{\ud83d", "user", False)]),
    (metadata(None), {}, []), (metadata(7), {}, []), (metadata(""), {}, []),
    ({"metadata": "odd"}, {}, []), ({"metadata": None}, {}, []),
    (metadata(OLDER), {"x_claude_code_session_id": "s"},
     [SessionHint("s", "x-claude-code-session-id"), SessionHint("9f8e", "metadata.user_id"),
      SessionHint(OLDER, "user", False)]),
]


@pytest.mark.parametrize(("body", "headers", "expected"), HINTS)
def test_session_hints(body: dict[str, Any], headers: dict[str, str], expected: list[SessionHint]) -> None:
    assert list(MESSAGES.session_hints(call(body, **headers))) == expected


@pytest.mark.parametrize(("body", "expected"), [
    ({"data": [{"id": "a", "type": "model"}, {"id": "b"}], "has_more": False}, ("a", "b")),
    ({"data": [{"id": ""}, {"id": 7}, {}, None, "a", {"id": "b"}]}, ("b",)),
    ({"data": {}}, ()), ({}, ()), ([{"id": "a"}], ()), (None, ()),
])
def test_model_lists_are_read(body: Any, expected: tuple[str, ...]) -> None:
    assert tuple(MESSAGES.read_models(body)) == expected


@pytest.mark.pitfall("C201")
def test_model_lists_are_written() -> None:
    listed = MESSAGES.write_models([ListedModel("a/m", "a"), ListedModel("a/n", "a")])
    assert [entry["id"] for entry in listed["data"]] == ["a/m", "a/n"]
    assert {frozenset(entry) for entry in listed["data"]} == {frozenset(("type", "id", "display_name", "created_at"))}
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("a/m", "a/n", False)
    assert MESSAGES.write_models([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_the_rest_of_the_adapter() -> None:
    paths = [MESSAGES.upstream_path(operation, "m", False) for operation in ("generate", "count_tokens", "models")]
    assert paths == ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"]
    assert MESSAGES.recognises({"anthropic-version": "x"}) and not MESSAGES.recognises({"x-api-key": "x"})
    assert MESSAGES.peek(call(MESSAGES.example("a/m"))) == Envelope("a/m", True)
    assert not MESSAGES.fallback
