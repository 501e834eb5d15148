"""Streams: what each kind of event of an upstream becomes (protocols.md 4.2 and 4.8); a Chat upstream's stand apart."""

from __future__ import annotations

from typing import Any

from rotator.wire.jsontext import dumps

from .cells import Cell, NotHere, Row, Streamed, nowhere, row
from .frames import (
    HEAD,
    a_heard,
    a_stream,
    begun,
    block,
    c_heard,
    c_stream,
    calls,
    ended,
    flat,
    more,
    thoughts,
    using,
    whole_call,
    words,
)
from .matching import Having
from .rows_blocks import HOSTED
from .rows_finish import DETAILS, PAGE, found_at, leans
from .rows_reading_chat import CHAT_READ, KEPT, SAY, THINK
from .words import c_hidden, c_tool

C_ASKED = {"tools": [c_tool()]}
HELLO = a_stream(words(0, "Hel", "lo."))
HEARD = c_heard({"content": "Hel"}, {"content": "lo."})


def from_messages(name: str, *cells: Cell, pitfalls: str = "") -> Row:
    other = NotHere("a Messages upstream's")
    return row("4.8", name, list(cells), other, "Anth upstream", pitfalls=pitfalls)


MESSAGES_READ: tuple[Row, ...] = (
    from_messages("message_start", Streamed(HELLO, HEARD)),
    from_messages(
        "ping",
        Streamed(
            [begun(), *flat([{"type": "ping"}, words(0, "Hel", "lo."), {"type": "ping"}]), *ended()], HEARD
        ),
    ),
    from_messages(
        "content_block_start text",
        Streamed(HELLO, HEARD),
        Streamed(
            a_stream(block(0, {"type": "text", "text": "Hel"}, {"type": "text_delta", "text": "lo."})), HEARD
        ),
        Streamed(a_stream(words(0), words(1, "Hel", "lo.")), HEARD),
    ),
    from_messages(
        "content_block_start thinking",
        Streamed(
            a_stream(thoughts(0, "Hm", "."), words(1, "Hello.")),
            c_heard({"reasoning_content": "Hm"}, {"reasoning_content": "."}, KEPT, SAY),
        ),
    ),
    from_messages(
        "content_block_start redacted_thinking",
        Streamed(
            a_stream(block(0, {"type": "redacted_thinking", "data": "aGlk"}), words(1, "Hello.")),
            c_heard({"reasoning_details": [c_hidden()]}, SAY),
        ), pitfalls="P-92 C124",
    ),
    from_messages(
        "content_block_start tool_use",
        Streamed(
            a_stream(words(0, "Hello."), using(1, "", '{"q":', '"x"}'), stop="tool_use"),
            c_heard(SAY, calls(whole_call(0)), more(0, '{"q":'), more(0, '"x"}'), finish="tool_calls"),
            asked=C_ASKED,
        ),
        Streamed(  # the index counts calls, not blocks (P-61)
            a_stream(
                thoughts(0, "Hm."), words(1, "Hello."), using(2, "{}"), using(3, "{}", id="call_2"), stop="tool_use"
            ),
            c_heard(
                THINK,
                KEPT,
                SAY,
                calls(whole_call(0)),
                more(0, "{}"),
                calls(whole_call(1, "call_2")),
                more(1, "{}"),
                finish="tool_calls",
            ),
            asked=C_ASKED,
        ),
        Streamed(  # input at the start is what counts if no deltas come
            a_stream(
                block(0, {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {"q": "x"}}), stop="tool_use"
            ),
            c_heard(calls(whole_call(0)), more(0, '{"q":"x"}'), finish="tool_calls"),
            asked=C_ASKED,
        ),
        Streamed(
            a_stream(using(0), stop="tool_use"),
            c_heard(calls(whole_call(0)), more(0, "{}"), finish="tool_calls"),
            asked=C_ASKED,
        ), pitfalls="P-61 P-70 C208",
    ),
    from_messages(
        "content_block_start server_tool_use / *_tool_result",
        Streamed(
            a_stream(
                block(
                    0,
                    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                    {"type": "input_json_delta", "partial_json": '{"query":"x"}'},
                ),
                block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
                words(2, "Hello."),
            ),
            c_heard(SAY),
            HOSTED,
        ), pitfalls="C74 C217",
    ),
    from_messages(
        "text_delta / thinking_delta / input_json_delta",
        Streamed(
            a_stream(words(0, "", "Hello.", "")), c_heard(SAY)
        ),
    ),
    from_messages(
        "signature_delta",
        Streamed(
            a_stream(thoughts(0, "Hm.", signature="c2ln"), words(1, "Hello.")),
            c_heard(THINK, KEPT, SAY),
        ),
    ),
    from_messages(
        "citations_delta",
        Streamed(
            a_stream(
                block(
                    0,
                    {"type": "text", "text": ""},
                    {"type": "citations_delta", "citation": found_at(PAGE)},
                    {"type": "text_delta", "text": "Hello."},
                )
            ),
            c_heard(SAY, {"annotations": [Having(leans(PAGE, 0, 6))]}),
        ), pitfalls="C155",
    ),
    from_messages("content_block_stop", Streamed(a_stream(words(0, "Hel"), words(1, "lo.")), HEARD)),
    from_messages(
        "message_delta",
        Streamed(
            [begun(), *words(0, "Hel", "lo."), ended()[0], *ended("max_tokens")],
            c_heard({"content": "Hel"}, {"content": "lo."}, finish="length"),
        ),
        Streamed(
            [begun(), *words(0, "Hel", "lo."), *ended("stop_sequence", stop_sequence="END")], HEARD
        ),
        Streamed(
            [begun(), *ended("refusal", stop_details=DETAILS)],
            c_heard({"refusal": "I must not."}, finish="content_filter"),
        ),
        Streamed(  # usage in message_delta: what is absent or null keeps what message_start told (P-43)
            [
                begun({"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 7}),
                *words(0, "Hel", "lo."),
                *ended(usage={"input_tokens": None, "output_tokens": 5}),
            ],
            [
                *HEARD[:-1],
                {
                    "usage": Having(
                        {
                            "prompt_tokens": 17,
                            "completion_tokens": 5,
                            "total_tokens": 22,
                            "prompt_tokens_details": Having({"cached_tokens": 7}),
                        }
                    )
                },
                "[DONE]",
            ],
            asked={"stream_options": {"include_usage": True}},
        ), pitfalls="P-15 P-43 C176",
    ),
    from_messages(
        "message_stop",
        Streamed(HELLO, HEARD),
        Streamed([*HELLO, *words(1, "late"), *ended()], HEARD),
    ),
    from_messages(
        "error",
        *(
            Streamed(
                [begun(), *words(0, "Hello."), {"type": "error", "error": {"type": kind, "message": "It broke"}}], None
            )
            for kind in ("overloaded_error", "rate_limit_error", "api_error", "timeout_error")
        ),
        Streamed([begun(), *words(0, "Hello."), b"event: content_block_start\ndata: {nonsense\n\n"], None),
        pitfalls="C221 C236",
    ),
    from_messages(
        "EOF without message_stop",
        Streamed(HELLO[:-1], HEARD),
        Streamed(HELLO[:-2], None),
        Streamed([begun(), *words(0, "Hello.")[:-1]], None), pitfalls="C222 C223",
    ),
)

RESPONSES_ONLY = (
    "response.created",
    "response.queued / in_progress",
    "output_item.added message/function_call/custom/reasoning/...",
    "content_part.added output_text/refusal/reasoning_text",
    "output_text.delta / refusal.delta",
    "output_text.done",
    "output_text.annotation.added",
    "reasoning_summary_text.delta / reasoning_text.delta",
    "function_call_arguments.delta / custom_tool_call_input.delta",
    "function_call_arguments.done",
    "output_item.done",
    "web_search_call.*, file_search_call.*, code_interpreter_*, mcp_*, image_generation_*",
    "response.completed",
    "response.incomplete",
    "response.failed / error",
    "unknown",
)
GEMINI_ONLY = (
    "first frame",
    "promptFeedback.blockReason",
    "part thought:true text",
    "part text (no thought)",
    "part with thoughtSignature",
    "functionCall",
    "partialArgs/willContinue",
    "inlineData",
    "executableCode / codeExecutionResult / toolCall / toolResponse",
    "groundingMetadata",
    "usageMetadata",
    "finishReason",
    "error frame",
)


def between(name: str, between_c: Any, between_a: Any, pitfalls: str = "") -> Row:
    """What an upstream sends between two frames and nobody hears; None where it means nothing there."""
    c_a: Cell = NotHere("no word of Messages")
    a_c: Cell = NotHere("no word of Chat")
    if between_a is not None:
        inside = [begun(), between_a, *words(0, "Hel", "lo."), between_a, *ended()]
        c_a = Streamed(inside, HEARD)
    if between_c is not None:
        a_c = Streamed(c_stream(between_c, SAY, between_c), a_heard(words(0, "Hello.")))
    return row("4.2", name, c_a, a_c, "Bytes sent between frames", pitfalls=pitfalls)


KEEPALIVE = {"type": "keepalive", "sequence_number": 1}
BEATS: tuple[Row, ...] = (
    between("`: ping` comment + blank line", b": ping\n\n", b": ping\n\n", pitfalls="P-123 C228"),
    between("bare newline(s)", b"\n\n", b"\n", pitfalls="C225"),
    between(
        '`event: ping` + `data: {"type":"ping"}`', b'event: ping\ndata: {"type":"ping"}\n\n', {"type": "ping"}
    ),
    between("`event: ping` without data", b"event: ping\n\n", b"event: ping\n\n"),
    between("comment after a frame with `id:`", b"id: 1\n\n: ping\n\n", b"id: 1\n\n: ping\n\n"),
    between("lone `retry: 1000`", b"retry: 1000\n\n", b"retry: 1000\n\n"),
    between("Chat chunk with `choices:[]`", {**HEAD, "choices": []}, None, pitfalls="C225"),
    between('`{"type":"keepalive",...}` (unknown type)', b"data: %b\n\n" % dumps(KEEPALIVE), KEEPALIVE),
    between('data frame `{}` or `{"candidates":[]}`', b"data: {}\n\n", b"data: {}\n\n"),
    between("protocol's own empty-content chunk", {"content": ""}, None),
)

READING: tuple[Row, ...] = (
    *CHAT_READ,
    *(nowhere("4.8", name, "another protocol's", "Resp upstream") for name in RESPONSES_ONLY),
    *MESSAGES_READ,
    *(nowhere("4.8", name, "another protocol's", "Gem upstream") for name in GEMINI_ONLY),
    *BEATS,
)
