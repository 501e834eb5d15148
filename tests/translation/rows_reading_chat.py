"""Streams: what each kind of event of a Chat upstream becomes (protocols.md 4.8)."""

from __future__ import annotations

from typing import Any

from .cells import Cell, NotHere, Row, Streamed, row
from .frames import (
    C_SPENT,
    DONE,
    HEAD,
    ROLE,
    a_heard,
    block,
    c_stream,
    chunk,
    first,
    kept_thoughts,
    piece,
    spent,
    using,
    whole_call,
    words,
)
from .matching import Having, Named, OneOf
from .rows_finish import NO_DETAILS, PAGE, leans
from .words import a_tool, c_thought

A_ASKED = {"tools": [a_tool()]}
SAY = {"content": "Hello."}
THINK = {"reasoning_content": "Hm."}
#: What a Chat client keeps of it, if another protocol's vendor thought so.
KEPT = {"reasoning_details": [c_thought("Hm.")]}


#: The vendor's own error in the middle of a stream.
BROKE = {"error": {"message": "It broke", "type": "server_error", "param": None, "code": None}}


def said(*deltas: Any, finish: str | None = "stop") -> Streamed:
    """A Chat upstream says these and "Hello."; the client gets the latter only."""
    return Streamed(c_stream(*deltas, SAY, finish=finish), a_heard(words(0, "Hello.")))


def from_chat(name: str, *cells: Cell, pitfalls: str = "") -> Row:
    other = NotHere("a Chat upstream's")
    return row("4.8", name, other, list(cells), "Chat upstream", pitfalls=pitfalls)


CHAT_READ: tuple[Row, ...] = (
    from_chat(
        "first chunk with id/model",
        Streamed(c_stream(SAY), a_heard(words(0, "Hello."))),
        Streamed([chunk(ROLE | SAY), chunk(finish="stop"), DONE], a_heard(words(0, "Hello."), usage=Having({}))),
    ),
    from_chat("delta.role", said(ROLE), said({"role": "assistant"})),
    from_chat(
        "delta.reasoning_content / reasoning / reasoning_details[].text",
        Streamed(
            c_stream(THINK, {"reasoning_content": " So."}, SAY),
            a_heard(kept_thoughts(0, "Hm.", " So."), words(1, "Hello.")),
        ),
        Streamed(c_stream({"reasoning": "Hm."}, SAY), a_heard(kept_thoughts(0, "Hm."), words(1, "Hello."))),
        Streamed(
            c_stream({"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]}, SAY),
            a_heard(kept_thoughts(0, "Hm."), words(1, "Hello.")),
        ),
        Streamed(  # each delta to a block of its own kind (P-137)
            c_stream(SAY, THINK, {"content": " You."}),
            a_heard(words(0, "Hello."), kept_thoughts(1, "Hm."), words(2, " You.")),
        ),
        Streamed(c_stream(THINK | SAY), a_heard(kept_thoughts(0, "Hm."), words(1, "Hello."))),
        Streamed(  # the same thought under two names is one thought
            c_stream({"reasoning_content": "Hm.", "reasoning": "Hm."}, SAY),
            a_heard(kept_thoughts(0, "Hm."), words(1, "Hello.")),
        ), pitfalls="P-01 P-03 P-23 P-137 P-139 C120 C136",
    ),
    from_chat(
        "delta.content non-empty",
        Streamed(c_stream({"content": "Hel"}, {"content": "lo."}), a_heard(words(0, "Hel", "lo."))),
    ),
    from_chat(
        'delta.content "" or null',
        said({"content": ""}, {"content": None}),
        Streamed(
            c_stream(THINK, {"content": ""}, THINK, SAY),
            a_heard(kept_thoughts(0, "Hm.", "Hm."), words(1, "Hello.")),
        ),
        pitfalls="P-141",
    ),
    from_chat(
        "delta.refusal",
        Streamed(
            c_stream({"refusal": "I must"}, {"refusal": " not."}),
            a_heard(
                words(0, "I must", " not."),
                stop="refusal",
                stop_details=OneOf(NO_DETAILS, {**NO_DETAILS, "explanation": "I must not."}),
            ),
        ),
    ),
    from_chat(
        "delta.tool_calls[i] first with name",
        Streamed(
            c_stream(SAY, first(0), piece(0, '{"q":'), piece(0, '"x"}'), finish="tool_calls"),
            a_heard(words(0, "Hello."), using(1, '{"q":', '"x"}'), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # the whole call in one chunk (P-05)
            c_stream(first(0, '{"q":"x"}'), finish="tool_calls"), a_heard(using(0, '{"q":"x"}'), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # the piece that ends the text is told, too (P-136)
            c_stream(SAY, first(0, '{"q":"x"}'), finish="tool_calls"),
            a_heard(words(0, "Hello."), using(1, '{"q":"x"}'), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # interleaved calls come one after the other (P-09)
            c_stream(
                first(0, id="call_1"), first(1, id="call_2"), piece(0, '{"q":'), piece(1, "{"), piece(0, "1}"),
                piece(1, "}"), finish="tool_calls",
            ),
            a_heard(using(0, '{"q":', "1}", id="call_1"), using(1, "{", "}", id="call_2"), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # all at index 0: a new id is a new call
            c_stream(first(0, "{}", id="call_1"), first(0, "{}", id="call_2"), finish="tool_calls"),
            a_heard(using(0, "{}", id="call_1"), using(1, "{}", id="call_2"), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # repeated names (P-11)
            c_stream(first(0), piece(0, "{}", id="call_1", name="lookup"), finish="tool_calls"),
            a_heard(using(0, "{}"), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # no arguments at all are an empty object
            c_stream(first(0), finish="tool_calls"), a_heard(using(0, "{}"), stop="tool_use"), asked=A_ASKED
        ), pitfalls="P-05 P-09 P-11 P-14 P-60 P-136 P-140 C209 C268 C269",
    ),
    from_chat(
        "delta.tool_calls[i] without name yet",
        Streamed(
            c_stream(
                piece(0, '{"q":', id="call_1", type="function"),
                piece(0, '"x"', name=None),
                piece(0, "}", name="lookup"),
                finish="tool_calls",
            ),
            a_heard(using(0, '{"q":"x"}'), stop="tool_use"),
            asked=A_ASKED,
        ),
        Streamed(  # a call that never gets a name reserves no index and is none (P-10)
            c_stream(piece(0, "{}", id="call_1", type="function"), SAY, finish="tool_calls"),
            a_heard(words(0, "Hello.")),
            ("answer.call",),
            asked=A_ASKED,
        ),
        Streamed(  # an id that comes late or never
            c_stream(piece(0, "{}", name="lookup"), finish="tool_calls"),
            a_heard(using(0, "{}", id=Named("a")), stop="tool_use"),
            asked=A_ASKED,
        ), pitfalls="P-10 P-11 P-31 C72",
    ),
    from_chat(
        "delta.function_call",
        Streamed(
            c_stream(
                {"function_call": {"name": "lookup", "arguments": ""}}, {"function_call": {"arguments": "{}"}},
                finish="function_call",
            ),
            a_heard(using(0, "{}", id=Named("a")), stop="tool_use"),
            asked=A_ASKED,
        ), pitfalls="C230",
    ),
    from_chat(
        "delta.annotations",
        Streamed(
            c_stream(SAY, {"annotations": [leans(PAGE, 0, 6)]}),
            a_heard(
                block(
                    0,
                    {"type": "text", "text": ""},
                    {"type": "text_delta", "text": "Hello."},
                    {"type": "citations_delta", "citation": Having({"url": PAGE, "encrypted_index": ""})},
                )
            ),
        ), pitfalls="C155",
    ),
    from_chat(
        "extra_content.google.thought_signature",
        Streamed(  # tool_use has no place for it
            c_stream(
                {
                    "tool_calls": [
                        {
                            **whole_call(0, "call_1", "{}"),
                            "extra_content": {"google": {"thought_signature": "c2ln"}},
                        }
                    ]
                },
                finish="tool_calls",
            ),
            a_heard(using(0, "{}"), stop="tool_use"),
            ("reasoning.state",),
            asked=A_ASKED,
        ),
    ),
    from_chat(
        "delta.audio",
        Streamed(
            c_stream(SAY, {"audio": {"id": "audio_1", "data": "AAAA"}}),
            a_heard(words(0, "Hello.")),
            ("answer.media", "?field.foreign"),
        ),
    ),
    from_chat(
        "logprobs",
        Streamed(
            c_stream(
                {
                    **HEAD,
                    "choices": [
                        {
                            "index": 0,
                            "delta": SAY,
                            "finish_reason": None,
                            "logprobs": {
                                "content": [{"token": "Hello.", "logprob": -1.0, "bytes": None, "top_logprobs": []}]
                            },
                        }
                    ],
                }
            ),
            a_heard(words(0, "Hello.")),
            ("answer.logprobs",),
        ),
    ),
    from_chat(
        "finish_reason",
        Streamed(  # with the last words
            [chunk(ROLE), chunk(SAY, "stop"), spent(), DONE], a_heard(words(0, "Hello."))
        ),
        Streamed(c_stream(SAY, finish="length"), a_heard(words(0, "Hello."), stop="max_tokens")),
        Streamed(c_stream(first(0, "{}"), finish="stop"), a_heard(using(0, "{}"), stop="tool_use"), asked=A_ASKED),
        Streamed(c_stream(finish="content_filter"), a_heard(stop="refusal", stop_details=NO_DETAILS)),
        *(Streamed(c_stream(SAY, finish=word), None) for word in ("network_error", "insufficient_system_resource")),
        pitfalls="C6",
    ),
    from_chat(
        "usage",
        Streamed([chunk(ROLE), chunk(SAY), chunk(finish="stop", usage=C_SPENT), DONE], a_heard(words(0, "Hello."))),
        Streamed(  # on every chunk, cumulative
            [
                chunk(ROLE, usage={**C_SPENT, "completion_tokens": 1}),
                chunk(SAY, usage={**C_SPENT, "completion_tokens": 3}),
                chunk(finish="stop", usage=C_SPENT),
                DONE,
            ],
            a_heard(words(0, "Hello.")),
        ),
        Streamed(  # a terminal chunk whose choice has no delta (P-51); null and empty placeholders (P-47)
            [
                chunk(ROLE, usage=None),
                chunk(SAY, usage=None),
                {**HEAD, "choices": [{"index": 0, "finish_reason": "stop"}], "usage": C_SPENT},
                DONE,
            ],
            a_heard(words(0, "Hello.")),
        ),
        Streamed(
            [*c_stream(SAY)[:-1], spent({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}), DONE],
            a_heard(words(0, "Hello.")),
        ), pitfalls="P-12 P-47 P-51 C178 C224",
    ),
    from_chat(
        "[DONE] or EOF",
        Streamed(c_stream(SAY)[:-1], a_heard(words(0, "Hello."))),
        Streamed([chunk(ROLE), chunk(SAY), spent(), DONE], a_heard(words(0, "Hello."))),
        Streamed([chunk(ROLE), chunk(SAY)], None),
        Streamed([DONE], None),
        Streamed([chunk(ROLE), chunk(first(0, '{"q":'))], None, asked=A_ASKED),
        Streamed([*c_stream(SAY), chunk({"content": "late"}), DONE], a_heard(words(0, "Hello."))),
        pitfalls="P-28 P-35 C222 C223",
    ),
    from_chat(
        "error object",
        Streamed([chunk(ROLE), chunk(SAY), BROKE], None),
        Streamed([chunk(ROLE), chunk(SAY), b"data: {nonsense\n\n"], None),
        said(chunk({}, error=None)), pitfalls="P-20 C221",
    ),
)
