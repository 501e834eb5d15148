"""The Chat Completions adapter by itself: meter, usage, session hints, model lists, errors where they stand."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.contracts import Call, Envelope, ListedModel, SessionHint
from rotator.errors import Refused
from rotator.neutral.error import STATUS, ErrorKind, error_of
from rotator.neutral.usage import Usage
from tests.upstreams import CHAT_FRAMES, PROTOCOLS

CHAT = PROTOCOLS["chat"]
K = ErrorKind


def call(json_body: dict[str, Any] | None = None, **headers: str) -> Call:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("chat", "generate", "/v1/chat/completions", "", sent, b"x" * 40, json_body or {})


def meter() -> Any:
    return CHAT.meter(call())


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(**members: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": members, "finish_reason": None}]})


#: protocols.md 3.4, row "Chat".
USAGES = [
    ({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}, Usage(10, 0, 0, 4, 0)),
    ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 6}}, Usage(3, 6, 0, 4, 0)),
    ({"prompt_tokens": 10, "completion_tokens": 4,
      "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 3}}, Usage(1, 6, 3, 4, 0)),
    ({"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19,
      "completion_tokens_details": {"reasoning_tokens": 5}}, Usage(10, 0, 0, 4, 5)),
    ({"prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
      "completion_tokens_details": {"reasoning_tokens": 2809}}, Usage(10120, 0, 0, 1499, 2809)),
    ({"prompt_tokens": 10, "completion_tokens": 4, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2},
     Usage(2, 8, 0, 4, 0)),
    ({"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": None, "completion_tokens_details": None},
     Usage(10, 0, 0, 4, 0)),
    ({"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9},
      "completion_tokens_details": {"reasoning_tokens": 7}}, Usage(0, 9, 0, 0, 7)),
    ({"prompt_tokens": -3, "completion_tokens": "4", "total_tokens": True}, Usage(0, 0, 0, 0, 0)),
    ({}, Usage(0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_usage_in_buckets(usage: dict[str, Any], expected: Usage) -> None:
    whole = meter()
    whole.whole({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage})
    streamed = meter()
    streamed.feed(b"".join(CHAT_FRAMES[:-1]) + frame({"choices": [], "usage": usage}) + CHAT_FRAMES[-1])
    assert whole.signals.usage == streamed.signals.usage == expected


def test_running_totals_replace_each_other() -> None:
    one = meter()
    for count in (1, 5, 9):
        one.feed(frame({"choices": [{"delta": {"content": "x"}}], "usage": {"completion_tokens": count}}))
    one.feed(frame({"choices": [], "usage": None}) + b"data: [DONE]\n\n")
    assert one.signals.usage == Usage(output_text=9)


@pytest.mark.parametrize("usage", [None, [], "10", 7])
def test_without_usage_it_is_estimated(usage: Any) -> None:
    whole = meter()
    whole.whole({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage})
    assert whole.signals.usage == Usage(input_fresh=10, output_text=1, source="estimated")
    streamed = meter()
    streamed.feed(b"".join(CHAT_FRAMES))
    assert streamed.signals.usage is not None
    assert (streamed.signals.usage.source, streamed.signals.usage.input_fresh) == ("estimated", 10)
    assert streamed.signals.usage.output_text >= 2


@given(st.sets(st.integers(1, 6)))
@settings(max_examples=60)
def test_a_meter_says_the_same_however_frames_are_grouped(cuts: set[int]) -> None:
    usage = frame({"choices": [], "usage": {"prompt_tokens": 7}})
    frames = [*CHAT_FRAMES[:-1], usage, CHAT_FRAMES[-1], b": behind\n\n"]
    one = meter()
    ends = [0, *sorted(cuts), len(frames)]
    allowed = sum(one.feed(b"".join(frames[a:b])) for a, b in zip(ends, ends[1:], strict=False))
    assert allowed == len(b"".join(frames[:-1]))
    signals = one.signals
    assert (signals.visible, signals.finish, signals.ended, signals.error) == (True, "stop", True, None)
    assert signals.usage == Usage(input_fresh=7)
    assert one.trailer() == b""


def test_after_the_first_output_mere_deltas_are_counted_and_not_read() -> None:
    one = meter()
    plain = CHAT_FRAMES[1]
    unreadable = plain.replace(b'{', b'{{', 1)
    for block, outputs in ((plain, 1), (plain, 2), (plain * 3, 5), (unreadable, 6), (plain + unreadable, 8)):
        assert (one.feed(block), one.signals.outputs) == (len(block), outputs)


VISIBLE = [
    {"content": "x"},
    {"content": " "},
    {"refusal": "no"},
    {"reasoning_content": "hm"},
    {"reasoning": "hm"},
    {"reasoning_details": [{"text": "hm"}]},
    {"audio": {"data": "AA=="}},
    {"images": [{}]},
    {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
    {"function_call": {"name": "f"}},
]
HIDDEN: list[dict[str, Any]] = [
    {},
    {"role": "assistant"},
    {"role": "assistant", "content": "", "refusal": None},
    {"content": None, "tool_calls": []},
    {"content": None, "tool_calls": None, "function_call": None},
]


@pytest.mark.pitfall("C234")
@pytest.mark.parametrize("members", VISIBLE)
def test_what_a_person_would_see(members: dict[str, Any]) -> None:
    one, other = meter(), meter()
    one.feed(delta(**members))
    other.whole({"choices": [{"message": members, "finish_reason": None}]})
    assert one.signals.visible and other.signals.visible
    assert not one.signals.ended and one.signals.finish is None


@pytest.mark.parametrize("members", HIDDEN)
def test_what_nobody_would_see(members: dict[str, Any]) -> None:
    one = meter()
    for block in (delta(**members), frame({"choices": []}), frame({"choices": None}), frame({"choices": [7, None]}),
                  b": comment\n\n", frame({}), frame({"choices": [{"delta": None}]})):
        assert one.feed(block) == len(block)
    assert not one.signals.visible
    assert (one.signals.finish, one.signals.error) == (None, None)


@pytest.mark.pitfall("C236")
@pytest.mark.parametrize("data", [b"no json", b"7", b'"text"', b"[1]", b'{"cut":'])
@pytest.mark.parametrize("behind", [False, True])
def test_an_event_that_is_no_json_object_is_an_error(data: bytes, behind: bool) -> None:
    one = meter()
    before = b": comment\n\n" + (delta(content="x") if behind else b"")
    assert one.feed(before + b"data: " + data + b"\n\n") == len(before)
    assert (one.signals.error.kind, one.signals.error.code) == (K.BAD_GATEWAY, "bad_event")
    assert (one.signals.visible, one.signals.ended) == (behind, False)


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "function_call", "odd"])
@pytest.mark.parametrize("written", ['"finish_reason":"%s"', '"finish_reason" : "%s"', '"finish_reason":\t"%s"'])
def test_the_finish_reason_is_seen_however_it_is_spelled(reason: str, written: str) -> None:
    one = meter()
    one.feed(delta(content="x"))
    one.feed(b'data: {"choices":[{"index":0,"delta":{},' + (written % reason).encode() + b"}]}\n\n")
    assert one.signals.finish == reason
    assert one.trailer() == b"data: [DONE]\n\n"


def test_a_finish_of_null_is_none() -> None:
    one = meter()
    for value in (b"null", b" null", b'""', b"7", b"{}"):
        one.feed(b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":' + value + b"}]}\n\n")
    assert one.signals.finish is None


@pytest.mark.pitfall("C257")
@pytest.mark.parametrize("behind", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("named", [b"", b"event: error\n"])
def test_an_error_frame_is_kept_back(behind: bool, named: bytes) -> None:
    one = meter()
    first = delta(content="x") * 2 if behind else b""
    error = {"error": {"message": "broke", "type": "rate_limit_error", "code": 429}, "provider": "odd"}
    block = first + named + frame(error) + delta(content="y")
    assert one.feed(block) == len(first)
    assert (one.signals.error.kind, one.signals.error.message) == (K.RATE_LIMITED, "broke")
    assert one.feed(delta(content="z")) == 0
    told = one.fail(one.signals.error)
    assert told.startswith(b"data: {") and told.endswith(b"}\n\n") and b"[DONE]" not in told
    assert json.loads(told[6:])["error"] == error["error"]


@pytest.mark.pitfall("C257")
@pytest.mark.parametrize(("body", "kind"), [
    ({"error": {"message": "m", "code": 503}}, K.OVERLOADED),
    ({"error": {"message": "m", "code": "402"}}, K.BILLING),
    ({"error": {"message": "m", "code": "invalid_api_key"}}, K.AUTH),
    ({"error": {"message": "m", "code": 7}}, K.SERVER),
    ({"error": {"message": "m", "code": 399}}, K.SERVER),
    ({"error": {"message": "m", "code": 600}}, K.SERVER),
    ({"error": "text", "choices": []}, K.SERVER),
])
def test_an_error_with_status_200(body: Any, kind: ErrorKind) -> None:
    one = meter()
    one.whole(body)
    assert (one.signals.error.kind, one.signals.error.status) == (kind, STATUS[kind])
    envelope = {"error": body["error"]} if isinstance(body["error"], dict) else None
    assert (one.signals.error.envelope, one.signals.error.protocol) == (envelope, "chat")


@pytest.mark.pitfall("C239")
@pytest.mark.parametrize("body", [
    [], 7, "x", None, {}, {"error": None}, {"error": ""}, {"choices": "odd"}, {"choices": []}, {"choices": [None]},
])
def test_a_whole_answer_without_a_choice_is_none(body: Any) -> None:
    one = meter()
    one.whole(body)
    assert (one.signals.error.kind, one.signals.error.code) == (K.BAD_GATEWAY, "empty_response")
    assert (one.signals.finish, one.signals.ended, one.signals.visible) == (None, False, False)


def test_a_choice_without_content_is_an_answer() -> None:
    one = meter()
    one.whole({"choices": [{"message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]})
    assert (one.signals.error, one.signals.finish, one.signals.ended) == (None, "stop", True)


def test_our_own_error_in_a_stream_is_one_frame() -> None:
    told = meter().fail(error_of(K.BAD_GATEWAY, "two\nlines and \u2028", code="truncated"))
    assert told.count(b"\n\n") == 1 and "\u2028".encode() not in told
    expected = {"message": "two\nlines and \u2028", "type": "server_error", "param": None, "code": "truncated"}
    assert json.loads(told[6:]) == {"error": expected}


@pytest.mark.pitfall("C196")
def test_what_is_read_of_a_request() -> None:
    assert CHAT.peek(call({"model": "a/b", "stream": True})) == Envelope("a/b", True)
    for more in ({}, {"stream": None}, {"stream": False}):
        assert CHAT.peek(call({"model": "a/b", **more})) == Envelope("a/b", False)
    for body, param in (({}, "model"), ({"model": 1}, "model"), ({"model": "m", "stream": "true"}, "stream")):
        with pytest.raises(Refused) as refused:
            CHAT.peek(call(body))
        assert (refused.value.error.kind, refused.value.error.param) == (K.BAD_REQUEST, param)


HINTS: list[tuple[dict[str, Any], dict[str, str], list[SessionHint]]] = [
    ({}, {}, []),
    ({"user": "u1"}, {}, [SessionHint("u1", "user", False)]),
    ({"user": 7, "prompt_cache_key": ["x"]}, {}, []),
    ({"user": "", "prompt_cache_key": ""}, {"session_id": ""}, []),
    ({"prompt_cache_key": "k"}, {"user_agent": "python-httpx/1"}, [SessionHint("k", "prompt_cache_key", False)]),
    ({"prompt_cache_key": "k"}, {"user_agent": "codex_cli/1"}, [SessionHint("k", "prompt_cache_key")]),
    ({"prompt_cache_key": "k"}, {"user_agent": "OpenCode/1"}, [SessionHint("k", "prompt_cache_key")]),
    ({"user": "u"}, {"session_id": "s", "x_session_affinity": "a"},
     [SessionHint("s", "session-id"), SessionHint("a", "x-session-affinity"), SessionHint("u", "user", False)]),
]


@pytest.mark.pitfall("C191")
@pytest.mark.parametrize(("body", "headers", "expected"), HINTS)
def test_session_hints(body: dict[str, Any], headers: dict[str, str], expected: list[SessionHint]) -> None:
    assert list(CHAT.session_hints(call(body, **headers))) == expected


@pytest.mark.parametrize(("body", "expected"), [
    ({"data": [{"id": "a"}, {"id": "b", "x": 1}]}, ("a", "b")),
    ([{"id": "a"}], ("a",)),
    ({"data": [{"id": ""}, {"id": 7}, {}, None, "a", {"id": "b"}]}, ("b",)),
    ({"data": {}}, ()), ({}, ()), (None, ()), ("x", ()),
])
def test_model_lists_are_read(body: Any, expected: tuple[str, ...]) -> None:
    assert tuple(CHAT.read_models(body)) == expected


@pytest.mark.pitfall("C201")
def test_model_lists_are_written() -> None:
    entry = {"id": "a/m", "object": "model", "created": 0, "owned_by": "a"}
    assert CHAT.write_models([ListedModel("a/m", "a")]) == {"object": "list", "data": [entry]}


def test_the_rest_of_the_adapter() -> None:
    assert (CHAT.upstream_path("generate", "m", True), CHAT.upstream_path("models", "", False)) == (
        "/chat/completions", "/models"
    )
    assert CHAT.fallback and not CHAT.recognises({"authorization": "Bearer x"})
    assert CHAT.peek(call(CHAT.example("a/m"))) == Envelope("a/m", True)


FLAGGED = {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}


@pytest.mark.parametrize(("more", "kind"), [
    ({}, K.BAD_REQUEST),
    ({"metadata": {"reasons": []}}, K.BAD_REQUEST),
    ({"metadata": {"flagged_input": None}}, K.BAD_REQUEST),
    ({"metadata": {"provider_name": "x"}}, K.PERMISSION),
    ({"metadata": ["reasons"]}, K.PERMISSION),
    ({"metadata": None}, K.PERMISSION),
])
def test_moderation_is_about_the_content(more: dict[str, Any], kind: ErrorKind) -> None:
    body = {"error": {**FLAGGED, **more}}
    error = CHAT.read_error(403, {}, json.dumps(body).encode())
    assert (error.kind, error.status, json.loads(CHAT.refuse(error).body)) == (kind, 403, body)
    one = meter()
    one.feed(frame(body))
    assert (one.signals.error.kind, one.signals.error.status) == (kind, STATUS[kind])


@pytest.mark.parametrize("digits", [20, 400, 4_299, 4_301, 5_000])
def test_a_code_of_many_digits(digits: int) -> None:
    """Python neither reads nor writes integers of more than 4,300 digits."""
    data = b'{"error":{"message":"odd","code":' + b"7" * digits + b"}}"
    error = CHAT.read_error(400, {"content-type": "application/json"}, data)
    assert (error.kind, error.status, len(error.code or "") <= 200) == (K.BAD_REQUEST, 400, True)
    assert json.loads(CHAT.refuse(error).body, parse_int=str)["error"]["message"] == error.message
    one = meter()
    assert one.feed(b"data: " + data + b"\n\n") == 0
    told = one.signals.error
    assert not one.signals.visible and told.kind is (K.SERVER if digits < 4_300 else K.BAD_GATEWAY)
    assert one.fail(told).startswith(b'data: {"error":')


def chosen(*finishes: str | None, **more: Any) -> bytes:
    """A frame with so many choices that all say something."""
    choices = [{"index": at, "delta": {"content": "x"}, "finish_reason": end} for at, end in enumerate(finishes)]
    return b"data: " + json.dumps({"choices": choices, **more}, separators=(",", ":")).encode() + b"\n\n"


TWO_AND_TWO = chosen(None, None) + chosen("stop", "stop")
TOLD = {"prompt_tokens": 7, "completion_tokens": 2}


@pytest.mark.parametrize(("block", "finish", "ended", "usage", "outputs"), [
    (TWO_AND_TWO, "stop", False, None, 4),
    (TWO_AND_TWO + b"data: [DONE]\n\n", "stop", True, "estimated", 4),
    (chosen(None, None) + b"data: [DONE]\n\n", None, True, "estimated", 2),
    (chosen("stop", None), "stop", False, None, 2),
    (chosen(None, "stop"), "stop", False, None, 2),
    (chosen(None, usage=TOLD), None, False, "vendor", 1),
    (chosen(None, None) + frame({"choices": [], "usage": TOLD}), None, False, "vendor", 2),
    (chosen(None, usage=None) + chosen(None, usage=TOLD), None, False, "vendor", 2),
    (chosen(None, usage=None) * 2, None, False, None, 2),
    (chosen(None, None) + frame({"error": {"message": "m"}}), None, False, None, 2),
])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_what_is_not_read_matters_nowhere(
    block: bytes, finish: str | None, ended: bool, usage: str | None, outputs: int, ends: bytes
) -> None:
    """After the first output, where blocks of mere deltas are only counted."""
    one = meter()
    one.feed(delta(content="first"))
    block = block.replace(b"\n", ends)
    passed = one.feed(block)
    signals = one.signals
    assert passed == (len(block) if b'"error"' not in block else block.index(b"data:", 5))
    assert (signals.finish, signals.ended, signals.error is not None) == (finish, ended, b'"error"' in block)
    assert (signals.usage.source if signals.usage else None, signals.outputs) == (usage, outputs + 1)
    if usage == "vendor":
        assert signals.usage == Usage(7, 0, 0, 2, 0)


def finishes(n: Any, *blocks: bytes) -> list[str | None]:
    """The finish reason that stands after each block, where so many answers were asked for."""
    one, found = CHAT.meter(call({"n": n})), []
    for block in blocks:
        assert one.feed(block) == len(block)
        found.append(one.signals.finish)
    assert one.signals.ended == (b"[DONE]" in block)
    return found


FIRST, SECOND = ([chosen(end).replace(b'"index":0', b'"index":%d' % at) for end in (None, "stop")] for at in (0, 1))


@pytest.mark.parametrize(("blocks", "expected"), [
    ([*FIRST, *SECOND], [None, "stop", None, "stop"]),
    ([FIRST[0], SECOND[0], FIRST[1], SECOND[0], SECOND[1]], [None] * 4 + ["stop"]),
    ([SECOND[0], *FIRST, frame({"choices": [], "usage": TOLD})], [None] * 4),
    ([SECOND[1], FIRST[1], frame({"choices": [], "usage": TOLD})], ["stop"] * 3),
    ([chosen(None, None, None), chosen("stop", "", "stop"), SECOND[1]], [None, None, "stop"]),
    ([*FIRST, SECOND[0], b"data: [DONE]\n\n"], [None, "stop", None, None]),
])
def test_several_answers_end_when_all_that_began_have(blocks: list[bytes], expected: list[str | None]) -> None:
    for n in (2, 5, "2"):
        assert finishes(n, *blocks) == expected
        assert finishes(n, b"".join(blocks)) == expected[-1:]
    for n in (None, 1, 1.0):  # one answer: its mere deltas are not read
        assert finishes(n, FIRST[0], FIRST[0].replace(b"{", b"{{", 1), FIRST[1]) == [None, None, "stop"]
