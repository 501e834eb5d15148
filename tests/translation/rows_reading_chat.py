"""Streams: what each kind of event of a Chat upstream becomes (protocols.md 4.8)."""

from __future__ import annotations

from typing import Any

from .cells import Cell, Later, NotHere, Row, Streamed, row
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
    piece,
    spent,
    thoughts,
    using,
    whole_call,
    words,
)
from .matching import Having, Named, OneOf
from .rows_finish import NO_DETAILS, PAGE, leans
from .words import a_tool

A_ASKED = {"tools": [a_tool()]}
SAY = {"content": "Hello."}
THINK = {"reasoning_content": "Hm."}


#: The vendor's own error in the middle of a stream.
BROKE = {"error": {"message": "It broke", "type": "server_error", "param": None, "code": None}}


def said(*deltas: Any, finish: str | None = "stop") -> Streamed:
    """A Chat upstream says these and "Hello."; the client gets the latter only."""
    return Streamed(c_stream(*deltas, SAY, finish=finish), a_heard(words(0, "Hello.")))


def from_chat(name: str, *cells: Cell) -> Row:
    return row("4.8", name, NotHere("a Chat upstream's"), list(cells), "Chat upstream")


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
            a_heard(thoughts(0, "Hm.", " So."), words(1, "Hello.")),
        ),
        Streamed(c_stream({"reasoning": "Hm."}, SAY), a_heard(thoughts(0, "Hm."), words(1, "Hello."))),
        Streamed(
            c_stream({"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]}, SAY),
            a_heard(thoughts(0, "Hm."), words(1, "Hello.")),
        ),
        Streamed(  # each delta to a block of its own kind (P-137)
            c_stream(SAY, THINK, {"content": " You."}),
            a_heard(words(0, "Hello."), thoughts(1, "Hm."), words(2, " You.")),
        ),
        Streamed(c_stream(THINK | SAY), a_heard(thoughts(0, "Hm."), words(1, "Hello."))),
        Streamed(  # the same thought under two names is one thought
            c_stream({"reasoning_content": "Hm.", "reasoning": "Hm."}, SAY),
            a_heard(thoughts(0, "Hm."), words(1, "Hello.")),
        ),
    ),
    from_chat(
        "delta.content non-empty",
        Streamed(c_stream({"content": "Hel"}, {"content": "lo."}), a_heard(words(0, "Hel", "lo."))),
    ),
    from_chat(
        'delta.content "" or null',
        said({"content": ""}, {"content": None}),
        Streamed(c_stream(THINK, {"content": ""}, THINK, SAY), a_heard(thoughts(0, "Hm.", "Hm."), words(1, "Hello."))),
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
        ),
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
        ),
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
        ),
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
        ),
    ),
    from_chat(
        "extra_content.google.thought_signature",
        Later(
            "replay of reasoning",
            Streamed(
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
                ("?reasoning.state|field.foreign",),
                asked=A_ASKED,
            ),
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
        ),
    ),
    from_chat(
        "[DONE] or EOF",
        Streamed(c_stream(SAY)[:-1], a_heard(words(0, "Hello."))),
        Streamed([chunk(ROLE), chunk(SAY), spent(), DONE], a_heard(words(0, "Hello."))),
        Streamed([chunk(ROLE), chunk(SAY)], None),
        Streamed([chunk(ROLE), chunk(first(0, '{"q":'))], None, asked=A_ASKED),
        Streamed([*c_stream(SAY), chunk({"content": "late"}), DONE], a_heard(words(0, "Hello."))),
    ),
    from_chat(
        "error object",
        Streamed([chunk(ROLE), chunk(SAY), BROKE], None),
        Streamed([chunk(ROLE), chunk(SAY), b"data: {nonsense\n\n"], None),
        said(chunk({}, error=None)),
    ),
)
