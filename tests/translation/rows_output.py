"""Requests: output, sampling, caching, state and metadata (protocols.md 2.5 and 2.6)."""

from __future__ import annotations

from .cells import Case, Elsewhere, NotHere, Refused, Row, nowhere, row
from .matching import ABSENT, Having, Like, OneOf
from .rows_reasoning import MODEL_LIMIT, MODEL_STOP, MODEL_TEMPERATURE_A_C, MODEL_TEMPERATURE_C_A
from .words import (
    A_TOOLS,
    C_TOOLS,
    CLOSED,
    GO,
    HI,
    STRICT,
    assistant,
    says,
    schema_format,
    system,
    text,
    user,
)

MARK = {"cache_control": {"type": "ephemeral"}}
C_MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
BOUNDED = {"type": "object", "properties": {"q": {"type": "string", "minLength": 3}}, "required": ["q"]}
#: As Anthropic's dialect has it (6.4.2): closed, and what it does not know in the description.
MOVED = Having(
    {
        "type": "object",
        "properties": {"q": Having({"type": "string", "description": Like("minLength")})},
        "required": ["q"],
        "additionalProperties": False,
    }
)

#: A Chat upstream is always asked for the usage of a stream (2.6, Stream usage).
METERED = {"stream": True, "stream_options": {"include_usage": True}}

OUTPUT: tuple[Row, ...] = (
    row(
        "2.5",
        "Max output",
        [
            Case({"max_tokens": 100}, {"max_tokens": 100}),
            Case({"max_completion_tokens": 100}, {"max_tokens": 100}),
            Case({}, {"max_tokens": 32_000}),
            Case({"max_tokens": None}, {"max_tokens": 32_000}, own={}),
            Case({}, {"max_tokens": 4096}, dialect={"max_tokens": 4096}),
            MODEL_LIMIT,
        ],
        [
            Case({"max_tokens": 100}, {"max_tokens": 100}),
            Case(
                {"max_tokens": 100},
                {"max_completion_tokens": 100, "max_tokens": ABSENT},
                dialect={"max_tokens": "max_completion_tokens"},
            ),
            Refused({"max_tokens": 0}, "max_tokens"),
        ], pitfalls="P-118@c_a C115@a_c C189@c_a",
    ),
    row(
        "2.5",
        "temperature",
        [
            Case({"temperature": 0.5}, {"temperature": 0.5}),
            Case({"temperature": 0}, {"temperature": 0}),
            Case({"temperature": 1}, {"temperature": 1}),
            Case({"temperature": 1.5}, {"temperature": OneOf(1, 1.0)}, ("sampling.temperature",)),
            *MODEL_TEMPERATURE_C_A,
            Refused({"temperature": "hot"}, "temperature"),
        ],
        [
            Case({"temperature": 0.5}, {"temperature": 0.5}),
            Case({"temperature": 0}, {"temperature": 0}),
            *MODEL_TEMPERATURE_A_C,
        ], pitfalls="P-111 C188@c_a=sampling.temperature",
    ),
    row(
        "2.5",
        "top_p",
        [Case({"top_p": 0.9}, {"top_p": 0.9}), Case({"top_p": 0}, {"top_p": 0})],
        [Case({"top_p": 0.9}, {"top_p": 0.9}), Case({"top_p": 0}, {"top_p": 0})], pitfalls="P-111",
    ),
    row("2.5", "top_k", NotHere("Chat has no top_k"), Case({"top_k": 40}, {}, ("sampling.top_k",)), pitfalls="C187"),
    row("2.5", "seed", Case({"seed": 0}, {}, ("sampling.seed",)), NotHere("Messages has no seed"), pitfalls="C187"),
    row(
        "2.5",
        "frequency/presence penalty",
        [
            Case({"frequency_penalty": 0.5}, {}, ("sampling.frequency_penalty",)),
            Case({"presence_penalty": -0.5}, {}, ("sampling.presence_penalty",)),
        ],
        NotHere("Messages has no penalties"), pitfalls="C187",
    ),
    row(
        "2.5",
        "logit_bias",
        Case({"logit_bias": {"50256": -100}}, {}, ("sampling.logit_bias",)),
        NotHere("Messages has no bias"), pitfalls="C187=sampling.logit_bias",
    ),
    row(
        "2.5",
        "stop",
        [
            Case({"stop": "END"}, {"stop_sequences": ["END"]}, own={"stop": OneOf("END", ["END"])}),
            Case({"stop": ["END", "\n\nUser:"]}, {"stop_sequences": ["END", "\n\nUser:"]}),
            Case({"stop": ["END", "\n"]}, {"stop_sequences": ["END"]}, ("stop.blank",)),
            Case({"stop": "\n\n"}, {}, ("stop.blank",), own={"stop": OneOf("\n\n", ["\n\n"])}),
            Case({"stop": None}, {}, own={}),
        ],
        [
            Case({"stop_sequences": ["END"]}, {"stop": OneOf("END", ["END"])}),
            Case({"stop_sequences": list("abcd")}, {"stop": list("abcd")}),
            Case({"stop_sequences": list("abcde")}, {"stop": list("abcd")}, ("stop.excess",)),
            Case({"stop_sequences": []}, {}),
            MODEL_STOP,
        ], pitfalls="P-109 C184",
    ),
    row(
        "2.5",
        "n",
        [Case({"n": 1}, {}), Refused({"n": 2}, "n")],
        NotHere("Messages gives one answer"), pitfalls="P-115@c_a C185",
    ),
    row(
        "2.5",
        "logprobs",
        [
            Case({"logprobs": True}, {}, ("output.logprobs",)),
            Case({"logprobs": True, "top_logprobs": 3}, {}, ("output.logprobs", "?output.top_logprobs")),
            Case({"logprobs": False}, {}),
        ],
        NotHere("Messages has no logprobs"), pitfalls="C186=output.logprobs",
    ),
    row(
        "2.5",
        "JSON object",
        Case(
            says(user("Hi, as JSON"), response_format={"type": "json_object"}),
            OneOf(
                {"system": Like("JSON"), **says(user("Hi, as JSON"))},
                says(user(text("Hi, as JSON"), text(Like("JSON")))),
            ),
            ("format.json_object",),
        ),
        NotHere("Messages has no JSON without a schema"), pitfalls="P-105 C93=format.json_object",
    ),
    row(
        "2.5",
        "JSON schema",
        [
            Case(
                {"response_format": schema_format(STRICT, strict=True)},
                {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
            ),
            Case(
                {"response_format": schema_format(BOUNDED)},
                {"output_config": {"format": {"type": "json_schema", "schema": MOVED}}},
                ("?format.schema", "?format.strict"),
            ),
            Case({"response_format": {"type": "text"}}, {}, own={}),
            Refused({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ],
        [
            Case(
                {"output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
                {"response_format": schema_format(STRICT, "response", strict=True)},
            ),
            Case(
                {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
                {"response_format": schema_format(CLOSED, "response")},
                ("format.strict",),
            ),
            Refused({"output_config": {"format": {"type": "regex", "regex": "x"}}}, "output_config.format"),
        ], pitfalls="P-105 P-106@a_c C91 C92@c_a C94@a_c C204@c_a",
    ),
    row(
        "2.5",
        "Schema + tools together",
        Case(
            {"tools": C_TOOLS, "response_format": schema_format(STRICT, strict=True)},
            {"tools": A_TOOLS, "output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
        ),
        Case(
            {"tools": A_TOOLS, "output_config": {"format": {"type": "json_schema", "schema": STRICT}}},
            {"tools": C_TOOLS, "response_format": schema_format(STRICT, "response", strict=True)},
        ),
    ),
    row(
        "2.5",
        "Verbosity",
        Case({"verbosity": "low"}, {}, ("output.verbosity",)),
        NotHere("Messages has no verbosity"), pitfalls="C99=output.verbosity",
    ),
    row(
        "2.5",
        "Modalities/audio",
        [
            Case({"modalities": ["text"]}, {}),
            Refused({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, "modalities"),
        ],
        NotHere("Messages answers in text"), pitfalls="C147",
    ),
    row(
        "2.5",
        "Prediction",
        Case({"prediction": {"type": "content", "content": "So."}}, {}, ("field.foreign|output.prediction",)),
        NotHere("Messages has no prediction"),
    ),
    row(
        "2.5",
        "Moderation",
        Case({"moderation": {"model": "omni"}}, {}, ("field.foreign",)),
        NotHere("Messages has no moderation"),
    ),
    row(
        "2.5",
        "Web search option",
        Case(
            {"web_search_options": {"search_context_size": "low"}},
            {"tools": [{"type": Like("^web_search_2"), "name": "web_search"}]},
            ("tool.setting",),
        ),
        NotHere("a tool of Messages: 2.7"),
    ),
)

STATE: tuple[Row, ...] = (
    row("2.6", "Cache key", Case({"prompt_cache_key": "k"}, {}), NotHere("Messages has no cache key"), pitfalls="C191"),
    row(
        "2.6",
        "Cache options",
        Case({"prompt_cache_options": {"mode": "implicit"}}, {}),
        [
            Case({"cache_control": {"type": "ephemeral"}}, {}),
            Case({"diagnostics": {"previous_message_id": "msg_1"}}, {}),
        ],
    ),
    row(
        "2.6",
        "Retention (old)",
        Case({"prompt_cache_retention": "24h"}, {}),
        NotHere("Messages has no retention"),
    ),
    row(
        "2.6",
        "Breakpoints",
        [
            Case(
                says(system(text("One.", **C_MARK)), user(text("Hi", **C_MARK)), assistant("Hello."), GO),
                {"system": [text("One.", **MARK)], **says(user(text("Hi", **MARK)), assistant("Hello."), GO)},
            ),
            Case(  # of more than four the last ones count
                says(
                    system(text("One.", **MARK)), user(*(text(word, **MARK) for word in "abcd")),
                    tools=[C_TOOLS[0] | MARK],
                ),
                {"system": "One.", "tools": A_TOOLS, **says(user(*(text(word, **MARK) for word in "abcd")))},
            ),
            Case(  # with the automatic one three
                {**MARK, **says(user(*(text(word, **C_MARK) for word in "abcd")))},
                {**MARK, **says(user(text("a"), *(text(word, **MARK) for word in "bcd")))},
            ),
        ],
        [
            Case(
                {"system": [text("One.", **MARK)], "tools": [A_TOOLS[0] | MARK], **says(user(text("Hi", **MARK)))},
                {"tools": C_TOOLS, **says(system("One."), HI)},
            ),
            Case(
                {"system": [text("One.", **MARK)], "tools": [A_TOOLS[0] | MARK], **says(user(text("Hi", **MARK)))},
                {"tools": C_TOOLS, **says(system(text("One.", **C_MARK)), user(text("Hi", **C_MARK)))},
                dialect={"cache": "breakpoint"},
            ),
        ], pitfalls="C25@a_c C205",
    ),
    row(
        "2.6",
        "Prefix stability",
        Elsewhere("tests/translation/test_properties.py::test_a_growing_conversation_keeps_its_prefix"),
        Elsewhere("tests/translation/test_properties.py::test_a_growing_conversation_keeps_its_prefix"),
    ),
    row(
        "2.6",
        "Previous response",
        NotHere("Responses and a beta of Messages"),
        [
            Refused({"thread": {"type": "create"}}, "thread"),
            Refused({"thread": {"type": "continue", "id": "thread_1"}}, "thread"),
        ],
    ),
    row(
        "2.6",
        "store",
        [Case({"store": False}, {}, ("?*",)), Case({"store": True}, {}, ("?*",))],
        NotHere("Messages stores nothing"), pitfalls="C193",
    ),
    nowhere("2.6", "background", "Responses only"),
    nowhere("2.6", "truncation", "Responses only; the beta of Messages is the next row"),
    row(
        "2.6",
        "context_management",
        NotHere("Responses and a beta of Messages"),
        [
            Case(
                {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, {}, ("field.foreign",)
            ),
            Refused(says(HI, assistant({"type": "compaction", "content": "secret"}), GO), "messages[1].content[0]"),
        ], pitfalls="P-146@a_c C199",
    ),
    nowhere("2.6", "include", "Responses only"),
    row(
        "2.6",
        "max_tool_calls",
        NotHere("Responses and tools of Messages"),
        Case(
            {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]},
            {"web_search_options": {}},
            ("tool.setting",),
            dialect={"web_search": "options"},
        ),
    ),
    row(
        "2.6",
        "User id",
        [
            Case({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
            Case({"safety_identifier": "u1"}, {"metadata": {"user_id": "u1"}}),
        ],
        Case({"metadata": {"user_id": "u1"}}, OneOf({"user": "u1"}, {"safety_identifier": "u1"})),
        pitfalls="P-132 C190 C191",
    ),
    row(
        "2.6",
        "Metadata",
        Case({"metadata": {"team": "blue"}}, {}, ("meta.metadata",)),
        NotHere("Messages has the user's id only"), pitfalls="C190=meta.metadata",
    ),
    row(
        "2.6",
        "Tier",
        [
            Case({"service_tier": "auto"}, {}),
            Case({"service_tier": "default"}, {"service_tier": "standard_only"}),
            *(
                Case({"service_tier": tier}, {}, ("meta.tier",))
                for tier in ("flex", "scale", "priority", "fast")
            ),
        ],
        [
            Case({"service_tier": "auto"}, {}),
            Case({"service_tier": "standard_only"}, {"service_tier": "default"}),
            Case({"speed": "fast"}, {}, ("meta.tier|field.foreign",)),
        ], pitfalls="C192=meta.tier",
    ),
    row(
        "2.6",
        "Stream usage",
        [
            Case({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
            Case({"stream": True, "stream_options": None}, {"stream": True}, own=METERED),
        ],
        Case({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        pitfalls="P-49@a_c C179 C265@c_a",
    ),
    row(
        "2.6",
        "Obfuscation",
        Case(
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"stream": True},
            own={"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        ),
        NotHere("Messages has no obfuscation"), pitfalls="C265",
    ),
    nowhere("2.6", "Safety settings", "Gemini only"),
    nowhere("2.6", "Media resolution, speech, image config", "Gemini only"),
    row(
        "2.6",
        "Container/skills",
        NotHere("Chat has no containers"),
        Case({"container": "c_1"}, {}, ("field.foreign",)),
    ),
    row(
        "2.6",
        "Geography",
        NotHere("Chat has no geography"),
        Case({"inference_geo": "eu"}, {}, ("field.foreign",)),
    ),
    nowhere("2.6", "access_programs, personality", "Responses only"),
)
