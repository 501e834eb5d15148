"""Answers: how they ended, what they cost, what they lean on (protocols.md 3.3 to 3.8)."""

from __future__ import annotations

from typing import Any

from rotator.neutral.parts import Refusal, Text, ToolCall
from rotator.neutral.response import Finish

from .cells import Ended, Failing, NotHere, Row, Told, nowhere, row
from .matching import Like, OneOf
from .words import ANSWER, a_answer, a_tool, a_use, c_answer, c_call, c_tool, text

READ, WRITTEN = "Upstream value", "Neutral"
NOT_CHAT = NotHere("what an upstream of another protocol says")
NATIVE = ("finish.native",)
C_ASKED = {"tools": [c_tool()]}
A_ASKED = {"tools": [a_tool()]}
DETAILS = {"type": "refusal", "category": "cyber", "explanation": "I must not."}
NO_DETAILS = {"type": "refusal", "category": None, "explanation": None}
CALL = ToolCall("call_1", "lookup", '{"q":"x"}')


def from_chat(name: str, *cells: Any, pitfalls: str = "") -> Row:
    """What a Chat upstream says."""
    return row("3.3", name, NOT_CHAT, list(cells), READ, pitfalls=pitfalls)


def from_messages(name: str, *cells: Any, pitfalls: str = "") -> Row:
    """What a Messages upstream says."""
    return row("3.3", name, list(cells), NOT_CHAT, READ, pitfalls=pitfalls)


def c_filtered(**more: Any) -> dict[str, Any]:
    """A choice that Azure marks."""
    answer = c_answer("Hello.")
    return {"choices": [{**answer["choices"][0], **more}]}


FINISH_READ: tuple[Row, ...] = (
    from_chat(
        "Chat stop",
        Told(c_answer("Hello."), a_answer("Hello.")),
        Told(c_answer(refusal="No."), a_answer("No.", stop="refusal", stop_details=OneOf(
            NO_DETAILS, {**NO_DETAILS, "explanation": "No."}
        ))),
    ),
    from_chat(
        "Chat length", Told(c_answer("Hello.", finish="length"), a_answer("Hello.", stop="max_tokens")), pitfalls="C2",
    ),
    from_chat(
        "Chat tool_calls, function_call",
        Told(
            c_answer(tool_calls=[c_call()], finish="tool_calls"), a_answer(a_use(), stop="tool_use"), asked=A_ASKED
        ),
        Told(
            c_answer(tool_calls=[c_call()], finish="stop"),
            a_answer(a_use(), stop="tool_use"),
            asked=A_ASKED,
            own=c_answer(tool_calls=[c_call()], finish="tool_calls"),
        ),
        Told(  # a limit behind a call stays: its arguments may be cut off (conversion-pitfalls.md P7)
            c_answer(tool_calls=[c_call()], finish="length"), a_answer(a_use(), stop="max_tokens"), asked=A_ASKED
        ), pitfalls="C3 C6 C7",
    ),
    from_chat(
        "Chat content_filter",
        Told(c_answer("Hello.", finish="content_filter"), a_answer("Hello.", stop="refusal", stop_details=NO_DETAILS)),
        Told(c_answer("", finish="content_filter"), a_answer(stop="refusal", stop_details=NO_DETAILS)), pitfalls="C4",
    ),
    from_chat(
        "Chat null at end of stream with [DONE]",
        Told(c_answer("Hello.", finish=None), a_answer("Hello."), own=c_answer("Hello.")),
        Told(
            c_answer(tool_calls=[c_call()], finish=None),
            a_answer(a_use(), stop="tool_use"),
            asked=A_ASKED,
            own=c_answer(tool_calls=[c_call()], finish="tool_calls"),
        ), pitfalls="P-28 C16",
    ),
    from_chat(
        'Chat vendor values (`eos`, `sensitive`, `network_error`, `insufficient_system_resource`, "error")',
        Told(c_answer("Hello.", finish="eos"), a_answer("Hello.")),
        Told(c_answer("Hello.", finish="sensitive"), a_answer("Hello.", stop="refusal", stop_details=NO_DETAILS)),
        *(
            Failing(c_answer("Hello.", finish=word))
            for word in ("network_error", "insufficient_system_resource", "error")
        ),
    ),
    *(
        nowhere("3.3", name, "another protocol's", READ)
        for name in (
            "Resp completed",
            "Resp incomplete/max_output_tokens",
            "Resp incomplete/content_filter",
            "Resp incomplete/max_messages, steered",
            "Resp failed",
            "Resp cancelled",
            "Gem STOP",
            "Gem MAX_TOKENS",
            "Gem CONTINUATION",
            "Gem SAFETY, BLOCKLIST, PROHIBITED_CONTENT, SPII, IMAGE_SAFETY, IMAGE_PROHIBITED_CONTENT, MODEL_ARMOR,"
            " ESCALATION, PUP_LIMITED_DISABLED",
            "Gem RECITATION, IMAGE_RECITATION",
            "Gem LANGUAGE, OTHER, NO_IMAGE, IMAGE_OTHER, FINISH_REASON_UNSPECIFIED",
            "Gem MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, TOO_MANY_TOOL_CALLS, MISSING_THOUGHT_SIGNATURE,"
            " MALFORMED_RESPONSE",
            "Gem promptFeedback.blockReason with no candidates",
            "Gem empty candidates, no feedback",
            "Ollama stop / length / load,unload",
        )
    ),
    from_messages("Anth end_turn", Told(a_answer("Hello."), c_answer("Hello."))),
    from_messages(
        "Anth stop_sequence", Told(a_answer("Hello.", stop="stop_sequence", stop_sequence="END"), c_answer("Hello.")),
        pitfalls="C1",
    ),
    from_messages(
        "Anth max_tokens", Told(a_answer("Hello.", stop="max_tokens"), c_answer("Hello.", finish="length")),
        pitfalls="C2",
    ),
    from_messages(
        "Anth model_context_window_exceeded",
        Told(a_answer("Hello.", stop="model_context_window_exceeded"), c_answer("Hello.", finish="length"), NATIVE),
        pitfalls="C12=finish.native",
    ),
    from_messages(
        "Anth tool_use",
        Told(
            a_answer(a_use(), stop="tool_use"), c_answer(tool_calls=[c_call()], finish="tool_calls"), asked=C_ASKED
        ),
        Told(a_answer("Hello.", stop="tool_use"), c_answer("Hello."), own=a_answer("Hello.")), pitfalls="C3",
    ),
    from_messages("Anth pause_turn", Told(a_answer("Hello.", stop="pause_turn"), c_answer("Hello."), NATIVE)),
    from_messages(
        "Anth refusal",
        Told(a_answer("I", stop="refusal", stop_details=DETAILS), c_answer("I", finish="content_filter")),
        Told(
            a_answer(stop="refusal", stop_details=DETAILS), c_answer(refusal="I must not.", finish="content_filter")
        ),
        Told(a_answer(stop="refusal"), c_answer(OneOf("", None), finish="content_filter")), pitfalls="C4 C18",
    ),
    from_messages(
        "Anth compaction (beta)", Told(a_answer("Hello.", stop="compaction"), c_answer("Hello."), NATIVE),
        pitfalls="C13",
    ),
    from_messages(
        "Anth `sensitive` (compat vendors)",
        Told(a_answer("Hello.", stop="sensitive"), c_answer("Hello.", finish="content_filter")), pitfalls="C4",
    ),
)


def ends(
    name: str,
    reason: Any,
    finish: str | None,
    stop: str | None,
    losses: tuple[str, str] = ("", ""),
    *,
    pitfalls: str = "",
) -> Row:
    """A neutral reason in the words of Chat and of Messages; ``losses`` likewise."""
    said = Finish(reason, "OWN", category=None, explanation=None)
    c_a = Ended(said, None if finish is None else c_answer("Hello.", finish=finish), losses=_codes(losses[0]))
    a_c = Ended(said, None if stop is None else a_answer("Hello.", stop=stop), losses=_codes(losses[1]))
    return row("3.3", name, c_a, a_c, WRITTEN, pitfalls=pitfalls)


def _codes(code: str) -> tuple[str, ...]:
    return (code,) if code else ()


FINISH_WRITTEN: tuple[Row, ...] = (
    ends("stop", "stop", "stop", "end_turn"),
    row(
        "3.3",
        "stop_sequence",
        Ended(Finish("stop_sequence", stop_sequence="END"), c_answer("Hello.")),
        Ended(
            Finish("stop_sequence", stop_sequence="END"), a_answer("Hello.", stop="stop_sequence", stop_sequence="END")
        ),
        WRITTEN, pitfalls="C9",
    ),
    ends("length", "length", "length", "max_tokens"),
    ends(
        "context_window", "context_window", "length", "model_context_window_exceeded", ("finish.native", ""),
        pitfalls="C12@a_c",
    ),
    ends("continuation", "continuation", "length", "max_tokens", ("finish.native", "finish.native")),
    row(
        "3.3",
        "tool_calls",
        Ended(Finish("tool_calls"), c_answer(tool_calls=[c_call()], finish="tool_calls"), (CALL,)),
        Ended(Finish("tool_calls"), a_answer(a_use(), stop="tool_use"), (CALL,)),
        WRITTEN,
    ),
    row(
        "3.3",
        "content_filter",
        Ended(Finish("content_filter", "SAFETY"), c_answer("Hello.", finish="content_filter")),
        Ended(Finish("content_filter", "SAFETY"), a_answer("Hello.", stop="refusal", stop_details=NO_DETAILS)),
        WRITTEN,
    ),
    row(
        "3.3",
        "refusal (OpenAI origin)",
        Ended(Finish("refusal"), c_answer(refusal="No."), (Refusal("No."),)),
        Ended(
            Finish("refusal"),
            a_answer("No.", stop="refusal", stop_details=OneOf(NO_DETAILS, {**NO_DETAILS, "explanation": "No."})),
            (Refusal("No."),),
        ),
        WRITTEN,
    ),
    row(
        "3.3",
        "refusal (Anthropic origin)",
        [
            Ended(
                Finish("refusal", "refusal", None, "cyber", "I must not."),
                c_answer(refusal="I must not.", finish="content_filter"),
                (),
            ),
            Ended(
                Finish("refusal", "refusal", None, "cyber", "I must not."),
                c_answer("I", finish="content_filter"),
                (Text("I"),),
            ),
        ],
        Ended(
            Finish("refusal", "refusal", None, "cyber", "I must not."),
            a_answer(stop="refusal", stop_details=DETAILS),
            (),
        ),
        WRITTEN,
    ),
    ends("pause", "pause", "stop", "pause_turn", ("finish.native", "")),
    ends("compaction", "compaction", "stop", "compaction", ("finish.native", "")),
    ends("malformed / error", "malformed", None, None, pitfalls="C8@c_a"),
    ends("cancelled", "cancelled", None, None, pitfalls="C14"),
    ends("other", "other", "stop", "end_turn", ("finish.native", "finish.native"), pitfalls="C5=finish.native"),
)


def c_usage(prompt: int, completion: int, cached: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """Chat's usage, with details of what is not nothing."""
    of_input = {"cached_tokens": cached, "cache_write_tokens": written}
    of_output = {"reasoning_tokens": reasoning}
    return {
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {name: value for name, value in of_input.items() if value},
            "completion_tokens_details": {name: value for name, value in of_output.items() if value},
        }
    }


def a_usage(fresh: int, output: int, read: int = 0, written: int = 0, thinking: int = 0, **more: Any) -> dict[str, Any]:
    spent: dict[str, Any] = {"input_tokens": fresh, "output_tokens": output}
    spent |= {"cache_read_input_tokens": read} if read else {}
    spent |= {"cache_creation_input_tokens": written} if written else {}
    spent |= {"output_tokens_details": {"thinking_tokens": thinking}} if thinking else {}
    return {"usage": {**spent, **more}}


def grok(**more: int) -> dict[str, Any]:
    """Usage with other totals than the sum of its two parts."""
    return {"usage": {**c_usage(1499, 101, 0, 0, 2809)["usage"], **more}}


WRITTEN_5M = {"cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0}}
STEPS = [
    {"type": "compaction", "input_tokens": 100, "output_tokens": 20},
    {"type": "message", "input_tokens": 10, "output_tokens": 5},
]

USAGE: tuple[Row, ...] = (
    row(
        "3.4",
        "Chat",
        NOT_CHAT,
        [
            Told(c_usage(100, 50, 60, 10, 20), a_usage(30, 50, 60, 10, 20)),
            Told(c_usage(100, 50), a_usage(100, 50)),
            Told(c_usage(100, 50, 100), a_usage(0, 50, 100)),
            Told(
                grok(total_tokens=1499 + 101 + 2809),
                a_usage(1499, 101 + 2809, thinking=2809),
                own=c_usage(1499, 101 + 2809, reasoning=2809),
            ),
            Told(
                {"usage": {**c_usage(100, 50)["usage"], "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}},
                a_usage(40, 50, 60),
                own=c_usage(100, 50, 60),
            ),
            Told(c_usage(5, 0), a_usage(5, 0)),
        ],
        "Upstream", pitfalls="P-40 P-42 P-44 P-145 P-162 C170",
    ),
    nowhere("3.4", "Resp", "another protocol's", "Upstream"),
    row(
        "3.4",
        "Anth",
        [
            Told(a_usage(30, 50, 60, 10, 20), c_usage(100, 50, 60, 10, 20)),
            Told(a_usage(30, 50, 0, 10, **WRITTEN_5M), c_usage(40, 50, 0, 10), ("?usage.folded",)),
            Told(a_usage(0, 50, 60), c_usage(60, 50, 60)),
            Told(a_usage(10, 5, iterations=STEPS), c_usage(110, 25), ("?field.foreign",)),
        ],
        NOT_CHAT,
        "Upstream", pitfalls="P-40 P-42 P-44 P-48 P-145 C172",
    ),
    nowhere("3.4", "Gem", "another protocol's", "Upstream"),
    nowhere("3.4", "Ollama", "another protocol's", "Upstream"),
    row(
        "3.4",
        "Chat",
        Told(a_usage(1, 2, 3, 4, 1), c_usage(8, 2, 3, 4, 1)),
        NotHere("the client of this cell speaks Messages"),
        "Client", pitfalls="C170",
    ),
    nowhere("3.4", "Resp", "another protocol's", "Client"),
    row(
        "3.4",
        "Anth",
        NotHere("the client of this cell speaks Chat"),
        Told(c_usage(8, 2, 3, 4, 1), a_usage(1, 2, 3, 4, 1)),
        "Client", pitfalls="C172",
    ),
    nowhere("3.4", "Gem", "another protocol's", "Client"),
    nowhere("3.4", "Ollama", "another protocol's", "Client"),
)


def found_at(url: str, title: str = "A page", cited: str = "words", index: str = "aW5kZXg=") -> dict[str, Any]:
    """A citation of Messages."""
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": title,
        "cited_text": cited,
        "encrypted_index": index,
    }


def leans(url: str, start: int, end: int, title: str = "A page") -> dict[str, Any]:
    """An annotation of Chat."""
    return {
        "type": "url_citation",
        "url_citation": {"url": url, "title": title, "start_index": start, "end_index": end},
    }


PAGE, OTHER = "https://page.example", "https://other.example"
IN_FILE = {
    "type": "char_location",
    "cited_text": "words",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 5,
    "file_id": None,
}
LOGPROBS = {"content": [{"token": "Hello.", "logprob": -0.25, "bytes": list(b"Hello."), "top_logprobs": []}]}

FURTHER: tuple[Row, ...] = (
    row(
        "3.5",
        "web {url,title,start,end,cited_text}",
        [
            Told(
                a_answer("So ", text("it is", citations=[found_at(PAGE)]), "."),
                c_answer("So it is.", annotations=[leans(PAGE, 3, 8)]),
            ),
            Told(
                a_answer(
                    text("\U0001f680 up", citations=[found_at(PAGE)]), text(" and away", citations=[found_at(OTHER)])
                ),
                c_answer("\U0001f680 up and away", annotations=[leans(PAGE, 0, 4), leans(OTHER, 4, 13)]),
            ),
        ],
        [
            Told(
                c_answer("So it is.", annotations=[leans(PAGE, 3, 8)]),
                a_answer(
                    "So ", text("it is", citations=[found_at(PAGE, cited=Like(""), index="")]), "."
                ),
                whole_only="in a stream the text is with the client when its annotations come",
            ),
            Told(  # a citation without an address is dropped (conversion-pitfalls.md P157)
                c_answer("So.", annotations=[{"type": "url_citation", "url_citation": {"title": "A page"}}]),
                a_answer("So."),
                ("answer.citation",),
                own=c_answer("So."),
            ),
        ],
        "Neutral citation", pitfalls="C153 C154 C157@a_c=answer.citation",
    ),
    row(
        "3.5",
        "file",
        Told(a_answer(text("So.", citations=[IN_FILE])), c_answer("So."), ("answer.citation",)),
        NotHere("Chat cites pages only"),
        "Neutral citation", pitfalls="C153=answer.citation",
    ),
    nowhere("3.5", "recitation", "Gemini only", "Neutral citation"),
    row(
        "3.6",
        "moderation and filter results",
        NOT_CHAT,
        [
            Told({"prompt_filter_results": [{"prompt_index": 0}]}, {}, ("?field.foreign",)),
            Told(c_filtered(content_filter_results={"hate": {"filtered": False}}), {}, ("?field.foreign",)),
        ],
        "text",
    ),
    row(
        "3.7",
        "`choices[].logprobs.content[]{token,logprob,bytes,top_logprobs[]}`, `.refusal[]`",
        NotHere("Messages tells none; that they were asked for is a loss of the request (2.5)"),
        Told(c_filtered(logprobs=LOGPROBS), {}, ("answer.logprobs",)),
        "Chat",
    ),
    row(
        "3.8",
        "several candidates",
        NotHere("Messages gives one answer"),
        Told(
            {
                "choices": [
                    ANSWER["chat"]["choices"][0],
                    {**ANSWER["chat"]["choices"][0], "index": 1},
                ]
            },
            {},
            ("answer.candidates",),
        ),
        "text", pitfalls="P-115=answer.candidates C229=answer.candidates",
    ),
)

