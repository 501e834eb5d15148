"""Chat streams as clients get them: frames, heads, ends and errors.  Source: protocols.md 4.3, 4.9."""

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
    Beat,
    BlockEnd,
    BlockStart,
    End,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.losses import Ledger, Loss, Note
from rotator.neutral.parts import (
    Opaque,
    Reasoning,
    Refusal,
    State,
    Text,
)
from rotator.neutral.request import Tool
from rotator.neutral.response import Finish, Reason
from rotator.neutral.usage import Usage
from tests.neutral.laws import fold
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
from tests.protocols.chat.hearing import (
    FOREIGN,
    FUNCTIONS,
    HIDDEN,
    LONG,
    OWN,
    ROLE,
    block,
    call,
    first,
    heard,
    more,
    words,
)

build_response: Any = module("response").build_response

ENDING = st.sampled_from([one for one in get_args(Reason) if one not in ("malformed", "cancelled")])
FINISHES = st.builds(Finish, ENDING, st.sampled_from(["", "native_word", "stop"]))


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


@pytest.mark.pitfall("C275")
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


@pytest.mark.pitfall("C179")
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


@pytest.mark.pitfall("C164", "C232")
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


@pytest.mark.pitfall("P-143", "C19", "C229")
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


@pytest.mark.pitfall("C230")
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


@pytest.mark.pitfall("C221")
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
