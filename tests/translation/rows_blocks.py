"""Answers: the envelope and the content blocks (protocols.md 3.1 and 3.2)."""

from __future__ import annotations

from typing import Any

from .cells import Elsewhere, Failing, NotHere, Row, Told, nowhere, row
from .matching import Like, Named, OneOf
from .words import (
    ASKED,
    CREATED,
    PNG,
    a_answer,
    a_tool,
    a_use,
    c_answer,
    c_call,
    c_hidden,
    c_thought,
    c_tool,
)

THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "A greeting.", "signature": "c2ln"}
#: The same in the answer of an upstream that signs nothing.
UNSIGNED = {**THOUGHT, "signature": ""}
#: As a client gets it that another protocol's vendor wrote.
SEALED = {**THOUGHT, "signature": Like(r"^rot1\.")}
REDACTED = {"type": "redacted_thinking", "data": "aGlk"}
SEARCHED: list[dict[str, Any]] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
]
#: A call and its result may be told as one.
HOSTED = ("answer.hosted", "?answer.hosted")
AUDIO = {"id": "audio_1", "data": "AAAA", "expires_at": 1, "transcript": "Hello."}
IMAGES = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
C_CUSTOM = {"type": "custom", "custom": {"name": "run"}}
C_ASKED = {"tools": [c_tool()]}
A_ASKED = {"tools": [a_tool()]}
LONG = "lookup_" * 12

ENVELOPE: tuple[Row, ...] = (
    row(
        "3.1",
        "id",
        Told({"id": "msg_1"}, {"id": Like("^chatcmpl-[0-9a-f]{24}$")}),
        Told({"id": "chatcmpl-1"}, {"id": Like("^msg_[0-9A-Za-z]{24,}$")}),
        "Field",
    ),
    row(
        "3.1",
        "object/type",
        Told({}, {"object": "chat.completion"}),
        Told({}, {"type": "message", "role": "assistant"}),
        "Field",
    ),
    row("3.1", "created", Told({}, {"created": CREATED}), NotHere("Messages tells no time"), "Field"),
    row("3.1", "model", Told({"model": "up-2"}, {"model": ASKED}), Told({"model": "up-2"}, {"model": ASKED}), "Field"),
    row(
        "3.1",
        "status",
        Told(a_answer("Hello.", stop="max_tokens"), c_answer("Hello.", finish="length")),
        Told(c_answer("Hello.", finish="length"), a_answer("Hello.", stop="max_tokens")),
        "Field",
    ),
    nowhere("3.1", "echo fields", "Responses only", "Field"),
    nowhere("3.1", "`output_text`", "Responses only", "Field"),
    row(
        "3.1",
        "service_tier",
        Told(
            {"usage": {"input_tokens": 10, "output_tokens": 5, "service_tier": "standard"}},
            OneOf({}, {"service_tier": "default"}),
            ("?meta.tier",),
        ),
        Told(
            {"service_tier": "default"},
            OneOf({}, {"usage": {"input_tokens": 10, "output_tokens": 5, "service_tier": "standard"}}),
            ("?meta.tier",),
        ),
        "Field",
    ),
    row(
        "3.1",
        "fingerprint",
        NotHere("Messages has no fingerprint"),
        Told({"system_fingerprint": "fp_1"}, {}, ("?field.foreign",)),
        "Field",
    ),
    row(
        "3.1",
        "warnings",
        Elsewhere("tests/translation/test_server.py::test_losses_are_told_in_a_header"),
        Elsewhere("tests/translation/test_server.py::test_losses_are_told_in_a_header"),
        "Field",
    ),
)

BLOCKS: tuple[Row, ...] = (
    row(
        "3.2",
        "text",
        [
            Told(a_answer("One, ", "two."), c_answer("One, two.")),
            Told(a_answer("\u4f60\u597d \U0001f680\u2028"), c_answer("\u4f60\u597d \U0001f680\u2028")),
            Told(a_answer(), c_answer(OneOf("", None))),
        ],
        [
            Told(c_answer("Hello."), a_answer("Hello.")),
            Told(c_answer("\u4f60\u597d \U0001f680\u2028"), a_answer("\u4f60\u597d \U0001f680\u2028")),
            Told(c_answer(""), a_answer()),
            Told(c_answer(), a_answer(), own=c_answer(OneOf("", None))),
        ],
        "Neutral block",
    ),
    row(
        "3.2",
        "reasoning text",
        [
            *(
                Told(
                    a_answer(thought, "Hello."),
                    c_answer("Hello.", reasoning_content="A greeting.", reasoning_details=[c_thought("A greeting.")]),
                )
                for thought in (THOUGHT, UNSIGNED)
            ),
            Told(
                a_answer(THOUGHT, "One, ", {**THOUGHT, "thinking": "Go on."}, "two."),
                c_answer(
                    "One, two.",
                    reasoning_content=Like(r"^A greeting\.\s*Go on\.$"),
                    reasoning_details=[c_thought("A greeting."), c_thought("Go on.", 1)],
                ),
            ),
        ],
        [
            Told(c_answer("Hello.", reasoning_content="A greeting."), a_answer(SEALED, "Hello.")),
            *(
                Told(
                    c_answer("Hello.", **named),
                    a_answer(SEALED, "Hello."),
                    own=c_answer("Hello.", reasoning_content="A greeting."),
                )
                for named in (
                    {"reasoning": "A greeting."},
                    {"reasoning_details": [{"type": "reasoning.text", "text": "A greeting."}]},
                )
            ),
            Told(c_answer("", reasoning_content="A greeting.", finish="length"), a_answer(SEALED, stop="max_tokens")),
        ],
        "Neutral block", pitfalls="C120 C122@c_a C267@a_c",
    ),
    row(
        "3.2",
        "redacted reasoning",
        [
            Told(a_answer(REDACTED, "Hello."), c_answer("Hello.", reasoning_details=[c_hidden()])),
            Told(a_answer(REDACTED), c_answer(OneOf("", None), reasoning_details=[c_hidden()])),
        ],
        NotHere("Chat has no redacted reasoning"),
        "Neutral block", pitfalls="C124 C129@c_a",
    ),
    row(
        "3.2",
        "function call",
        [
            Told(
                a_answer(a_use("toolu_1", {"q": "x", "n": 1.0}), stop="tool_use"),
                c_answer(tool_calls=[c_call("toolu_1", '{"q":"x","n":1.0}')], finish="tool_calls"),
                asked=C_ASKED,
            ),
            Told(
                a_answer("See: ", a_use("toolu_1"), a_use("toolu_2"), stop="tool_use"),
                c_answer("See: ", tool_calls=[c_call("toolu_1"), c_call("toolu_2")], finish="tool_calls"),
                asked=C_ASKED,
            ),
            Told(
                a_answer("One, ", a_use("toolu_1"), "two.", stop="tool_use"),
                c_answer("One, two.", tool_calls=[c_call("toolu_1")], finish="tool_calls"),
                ("?turn.order",),
                asked=C_ASKED,
            ),
            Told(
                a_answer(a_use("toolu_1", {}), stop="tool_use"),
                c_answer(tool_calls=[c_call("toolu_1", "{}")], finish="tool_calls"),
                asked=C_ASKED,
            ),
            Told(
                a_answer(a_use("t" * 64), stop="tool_use"),
                c_answer(tool_calls=[c_call(Named("a"))], finish="tool_calls"),
                asked=C_ASKED,
            ),
        ],
        [
            Told(
                c_answer(tool_calls=[c_call("call_1", '{"q": "x", "n": 1.0}')], finish="tool_calls"),
                a_answer(a_use("call_1", {"q": "x", "n": 1.0}), stop="tool_use"),
                asked=A_ASKED,
            ),
            Told(
                c_answer("See: ", tool_calls=[c_call("call_1"), c_call("call_2")], finish="tool_calls"),
                a_answer("See: ", a_use("call_1"), a_use("call_2"), stop="tool_use"),
                asked=A_ASKED,
            ),
            Told(
                c_answer(tool_calls=[c_call("call_1", "")], finish="tool_calls"),
                a_answer(a_use("call_1", {}), stop="tool_use"),
                asked=A_ASKED,
            ),
            Told(
                c_answer(tool_calls=[c_call("call_1", '{"q": "x')], finish="tool_calls"),
                a_answer(a_use("call_1", {"_raw": '{"q": "x'}), stop="tool_use"),
                ("arguments.invalid",),
                asked=A_ASKED,
                whole_only="the pieces are with the client before they turn out to be no JSON",
            ),
            Told(
                c_answer(tool_calls=[c_call("functions.lookup:0")], finish="tool_calls"),
                a_answer(a_use(Named("a")), stop="tool_use"),
                asked=A_ASKED,
            ),
            Told(
                c_answer(tool_calls=[c_call("call_1", name="@0")], finish="tool_calls"),
                a_answer(a_use("call_1", name=LONG), stop="tool_use"),
                asked={"tools": [a_tool(LONG)]},
            ),
            Told(
                c_answer(function_call={"name": "lookup", "arguments": '{"q":"x"}'}, finish="function_call"),
                a_answer(a_use(Named("a")), stop="tool_use"),
                asked=A_ASKED,
                own=c_answer(tool_calls=[c_call(Named("a"))], finish="tool_calls"),
            ),
        ],
        "Neutral block", pitfalls="P-70 P-150 C49 C64 C66 C67@a_c=arguments.invalid C266",
    ),
    row(
        "3.2",
        "custom call",
        Told(
            a_answer(a_use("toolu_1", {"input": "ls -l"}, "run"), stop="tool_use"),
            c_answer(
                tool_calls=[{"id": "toolu_1", "type": "custom", "custom": {"name": "run", "input": "ls -l"}}],
                finish="tool_calls",
            ),
            asked={"tools": [C_CUSTOM]},
            whole_only="clients cannot read custom calls in chunks (4.3): they are told as functions",
        ),
        NotHere("a Messages client declares no free-form tools"),
        "Neutral block", pitfalls="C44 C73",
    ),
    row(
        "3.2",
        "refusal",
        Told(
            a_answer(stop="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "No."}),
            c_answer(refusal="No.", finish="content_filter"),
        ),
        Told(
            c_answer(refusal="I must not."),
            a_answer(
                "I must not.",
                stop="refusal",
                stop_details=OneOf(
                    {"type": "refusal", "category": None, "explanation": None},
                    {"type": "refusal", "category": None, "explanation": "I must not."},
                ),
            ),
        ),
        "Neutral block", pitfalls="P-116 C158",
    ),
    row(
        "3.2",
        "image/audio out",
        NotHere("Messages answers in text"),
        [
            Told(c_answer("Hello.", images=IMAGES), a_answer("Hello."), ("answer.media",)),
            Failing(c_answer(images=IMAGES)),
            Told(
                c_answer(audio=AUDIO),
                OneOf(a_answer("Hello."), a_answer()),
                ("answer.media", "?field.foreign", "?field.foreign"),
                whole_only="a transcript comes beside the sound",
            ),
        ],
        "Neutral block", pitfalls="C150=answer.media",
    ),
    row(
        "3.2",
        "server tool call/result",
        [
            Told(a_answer(*SEARCHED, "It is so."), c_answer("It is so."), HOSTED),
            Told(
                a_answer(*SEARCHED, a_use("toolu_1"), stop="tool_use"),
                c_answer(tool_calls=[c_call("toolu_1")], finish="tool_calls"),
                HOSTED,
                asked=C_ASKED,
            ),
            Failing(a_answer(*SEARCHED)),
        ],
        NotHere("Chat tells annotations only"),
        "Neutral block", pitfalls="P-78 P-116=answer.hosted C74=answer.hosted",
    ),
    row(
        "3.2",
        "compaction",
        Told(
            a_answer({"type": "compaction", "content": "So far."}, "Hello."),
            c_answer("Hello."),
            ("answer.*|part.*",),
            whole_only="a beta of its own deltas",
        ),
        NotHere("Chat has no compaction"),
        "Neutral block",
        pitfalls="P-146",
    ),
)

