"""Streams: what clients get (protocols.md 4.1, 4.3 to 4.7, 4.9 to 4.11)."""

from __future__ import annotations

from .cells import Cell, Elsewhere, Law, NotHere, Row, Streamed, Told, nowhere, row
from .frames import (
    C_SPENT,
    DONE,
    ROLE,
    a_heard,
    a_stream,
    begun,
    block,
    c_heard,
    c_stream,
    calls,
    chunk,
    ended,
    first,
    kept_thoughts,
    more,
    piece,
    thoughts,
    using,
    whole_call,
    words,
)
from .matching import Having, OneOf
from .rows_finish import NO_DETAILS, PAGE, found_at, leans
from .rows_reading import C_ASKED, HEARD, HELLO
from .rows_reading_chat import A_ASKED, KEPT, SAY, THINK
from .words import a_answer, c_answer, c_hidden

SSE = Elsewhere("tests/wire/test_sse.py::test_the_public_suite")
PLAIN = Elsewhere("tests/wire/test_sse.py::test_a_written_frame_is_what_clients_need")
#: The vendor's own error in the middle of a stream.
FAILED = {"error": {"message": "Broke", "type": "server_error", "param": None, "code": None}}
ASK_USAGE = {"stream_options": {"include_usage": True}}
IMAGES = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]


def chat_law(name: str, *laws: str, pitfalls: str = "") -> Row:
    """A line of the grammar of Chat."""
    other = NotHere("the client speaks Messages")
    return row("4.3", name, [Law("chat", law) for law in laws], other, "Element", pitfalls=pitfalls)


def messages_law(name: str, *laws: str, pitfalls: str = "") -> Row:
    """A line of the grammar of Messages."""
    other = NotHere("the client speaks Chat")
    return row("4.5", name, other, [Law("messages", law) for law in laws], "Element", pitfalls=pitfalls)


TRANSPORT: tuple[Row, ...] = (
    row("4.1", "Parse", SSE, SSE, "Rule"),
    row("4.1", "Emit", [PLAIN, Law("chat", "nothing_is_empty")], [PLAIN, Law("messages", "nothing_is_empty")], "Rule"),
    row(
        "4.1",
        "`event:` lines",
        Law("chat", "frames_have_no_names"),
        Law("messages", "frames_are_named_by_their_type"),
        "Rule",
    ),
    row("4.1", "`id:` / `retry:`", PLAIN, PLAIN, "Rule"),
    row(
        "4.1",
        "Disconnect",
        Elsewhere("tests/matrix/test_leavers.py::test_a_client_that_leaves"),
        Elsewhere("tests/matrix/test_leavers.py::test_a_client_that_leaves"),
        "Rule",
    ),
    row(
        "4.1",
        "After terminal",
        Streamed([*HELLO, *HELLO], HEARD),
        Streamed([*c_stream(SAY), *c_stream(SAY)], a_heard(words(0, "Hello."))),
        "Rule",
        pitfalls="P-12 P-35",
    ),
)

CHAT_GRAMMAR: tuple[Row, ...] = (
    chat_law("`choices` key on every chunk incl. usage chunk (`[]`)", "chunks_have_choices"),
    chat_law("`delta` object", "choices_have_deltas"),
    chat_law('`delta.role:"assistant"` exactly once, first chunk', "the_role_comes_first_and_once",
        pitfalls="P-38 C214"),
    chat_law("`tool_calls[].index` int, 0-based, contiguous per choice", "calls_count_from_nought",
        pitfalls="P-34 P-60 P-61 C208"),
    chat_law(
        "`id`, `type`, `function.name` only on the first delta of a call", "a_calls_head_comes_once", pitfalls="C72",
    ),
    chat_law('`function.arguments` string, "" not null', "arguments_are_text", pitfalls="C238"),
    chat_law("`finish_reason` non-null on a final chunk", "the_finish_comes_once_and_alone"),
    chat_law("usage chunk last", "usage_comes_last", pitfalls="P-50"),
    chat_law("`data: [DONE]`", "a_chat_stream_ends_once", pitfalls="C219"),
    chat_law("`finish_reason` on exactly one chunk per choice, alone in delta `{}`", "the_finish_comes_once_and_alone"),
    chat_law("list-valued extensions without `index` (e.g. `reasoning_details`)", "lists_have_indexes"),
    chat_law("custom tool deltas", "arguments_are_text"),
    chat_law("error", "a_chat_stream_ends_once"),
)

MESSAGES_GRAMMAR: tuple[Row, ...] = (
    messages_law("`event:` line", "frames_are_named_by_their_type", pitfalls="P-19"),
    messages_law("message_start first, exactly once", "the_message_starts_first_and_once", pitfalls="P-02 P-35 C215"),
    messages_law(
        "message.usage object in message_start with `input_tokens` number", "the_start_tells_its_usage",
        pitfalls="P-144 C175",
    ),
    messages_law("content_block_start before deltas, contiguous indexes", "blocks_start_in_order",
        pitfalls="P-34 P-140 C215"),
    messages_law("content_block_stop", "blocks_start_in_order", pitfalls="P-14 P-139"),
    messages_law("message_delta with `usage.output_tokens`", "a_message_delta_tells_the_end"),
    messages_law("message_delta at all", "a_message_delta_tells_the_end", pitfalls="C13"),
    messages_law("message_stop", "a_message_stops_once", pitfalls="P-12 P-15 P-35 C215"),
    messages_law("tool_use start `input:{}` then JSON string deltas", "input_comes_as_json_text", pitfalls="C238"),
    messages_law("invalid partial JSON", "input_comes_as_json_text"),
    messages_law("signature_delta", "a_signature_comes_once_at_the_end", pitfalls="P-17 C216"),
    messages_law("thinking start", "thinking_starts_empty", pitfalls="P-04"),
    messages_law("text_delta in a thinking block (or reverse)", "deltas_are_of_their_blocks_kind", pitfalls="P-137"),
    messages_law(
        "unknown event / block / delta types", "only_known_events_come", "deltas_are_of_their_blocks_kind",
        pitfalls="P-18",
    ),
    messages_law("interleaved open blocks", "blocks_start_in_order", pitfalls="P-09 C268"),
    messages_law("usage in message_delta", "a_message_delta_tells_the_end"),
    messages_law("frames without a name, `data: [DONE]`", "frames_are_named_by_their_type", pitfalls="C219"),
    messages_law("error", "a_message_stops_once"),
)

RESPONSES_GRAMMAR = (
    "response.created first",
    "output_item.added before deltas",
    "content_part.added before text deltas",
    "in_progress, output_text.done, content_part.done",
    "output_item.done",
    "response.completed",
    "completed.response.output filled",
    "same response.id in all lifecycle events",
    "item id/type stable between added and done",
    "unique output_index; created.response.output = []",
    "contiguous output_index",
    '`arguments:""` in added function_call',
    "item.id on function_call (fc_), call_id, name",
    "logprobs: [] on text delta/done",
    "created_at number, model, id in created",
    "usage in terminal",
    "sequence_number",
    "error event (SSE, flat)",
    "response.failed",
    "unknown event types",
)
GEMINI_GRAMMAR = (
    "Deltas",
    "Tool calls",
    "Thoughts",
    "Parallel calls",
    "Usage",
    "finishReason",
    "Emitting",
    "Mid-stream error",
    "Minimal chunk",
    "JS quirk",
    "CONTINUATION",
)


def written(name: str, c_a: Cell | list[Cell], a_c: Cell | list[Cell], *, pitfalls: str = "") -> Row:
    """What a neutral event becomes for clients of Chat and of Messages."""
    return row("4.9", name, c_a, a_c, "Neutral", pitfalls=pitfalls)


TEXT_C, TEXT_A = Streamed(HELLO, HEARD), Streamed(c_stream(SAY), a_heard(words(0, "Hello.")))
THINK_C = Streamed(a_stream(thoughts(0, "Hm."), words(1, "Hello.")), c_heard(THINK, KEPT, SAY))
THINK_A = Streamed(c_stream(THINK, SAY), a_heard(kept_thoughts(0, "Hm."), words(1, "Hello.")))
CALL_C = Streamed(
    a_stream(using(0, "{", "}"), stop="tool_use"),
    c_heard(calls(whole_call(0)), more(0, "{"), more(0, "}"), finish="tool_calls"),
    asked=C_ASKED,
)
CALL_A = Streamed(
    c_stream(first(0), piece(0, "{"), piece(0, "}"), finish="tool_calls"),
    a_heard(using(0, "{", "}"), stop="tool_use"),
    asked=A_ASKED,
)
USAGE_C = {
    "usage": Having({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
}
#: Nothing is with the client yet: the server answers with a status.
STATUS = Elsewhere("tests/translation/test_server.py::test_an_error_instead_of_a_stream_is_an_error")

EVENTS: tuple[Row, ...] = (
    written(
        "start",
        [Law("chat", "the_role_comes_first_and_once"), TEXT_C],
        [Law("messages", "the_start_tells_its_usage"), TEXT_A],
    ),
    written("block_start text", TEXT_C, TEXT_A),
    written("text", TEXT_C, TEXT_A),
    written("block_end text", TEXT_C, TEXT_A),
    written("block_start reasoning", THINK_C, THINK_A),
    written("reason", THINK_C, THINK_A, pitfalls="C120"),
    written(
        "sig",
        Streamed(
            a_stream(thoughts(0, "Hm.", signature="c2ln"), words(1, "Hello.")),
            c_heard(THINK, KEPT, SAY),
        ),
        THINK_A,
    ),
    written("block_end reasoning", THINK_C, THINK_A),
    written(
        "redacted",
        Streamed(
            a_stream(block(0, {"type": "redacted_thinking", "data": "aGlk"}), words(1, "Hello.")),
            c_heard({"reasoning_details": [c_hidden()]}, SAY),
        ),
        NotHere("Chat has no redacted reasoning"),
    ),
    written("block_start tool", CALL_C, CALL_A),
    written("args", CALL_C, CALL_A),
    written(
        "block_end tool",
        CALL_C,
        Streamed(
            c_stream(first(0), finish="tool_calls"), a_heard(using(0, "{}"), stop="tool_use"), asked=A_ASKED
        ), pitfalls="P-70 C66",
    ),
    written(
        "custom tool",
        Streamed(
            a_stream(using(0, '{"input":', '"ls -l"}', name="run"), stop="tool_use"),
            c_heard(
                calls({"index": 0, "id": "call_1", "type": "function", "function": {"name": "run", "arguments": ""}}),
                more(0, '{"input":"'),
                more(0, "ls -l"),
                more(0, '"}'),
                finish="tool_calls",
            ),
            asked={"tools": [{"type": "custom", "custom": {"name": "run"}}]},
        ),
        NotHere("a Messages client declares no free-form tools"), pitfalls="C73",
    ),
    written(
        "refusal",
        Streamed(
            [begun(), *words(0, "I"), *ended("refusal")], c_heard({"content": "I"}, finish="content_filter")
        ),
        Streamed(
            c_stream({"refusal": "No."}),
            a_heard(
                words(0, "No."),
                stop="refusal",
                stop_details=OneOf(NO_DETAILS, {**NO_DETAILS, "explanation": "No."}),
            ),
        ),
    ),
    written(
        "cite",
        Streamed(
            a_stream(
                block(
                    0,
                    {"type": "text", "text": ""},
                    {"type": "text_delta", "text": "Hello."},
                    {"type": "citations_delta", "citation": found_at(PAGE)},
                )
            ),
            c_heard(SAY, {"annotations": [Having(leans(PAGE, 0, 6))]}),
        ),
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
    written(
        "media",
        NotHere("Messages answers in text"),
        Streamed(c_stream(SAY, {"images": IMAGES}), a_heard(words(0, "Hello.")), ("answer.media",)),
    ),
    written(
        "server_tool",
        Streamed(
            a_stream(
                block(0, {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}),
                words(1, "Hello."),
            ),
            c_heard(SAY),
            ("answer.hosted",),
        ),
        NotHere("Chat tells annotations only"),
    ),
    written(
        "usage",
        [
            Streamed(HELLO, [*HEARD[:-1], USAGE_C, "[DONE]"], asked=ASK_USAGE),
            Streamed(HELLO, HEARD, asked={"stream_options": {"include_usage": False}}),
        ],
        Streamed(
            c_stream(SAY),
            a_heard(words(0, "Hello."), usage=Having({"input_tokens": 10, "output_tokens": 5})),
        ), pitfalls="C179",
    ),
    written("finish", TEXT_C, TEXT_A),
    written("error before any output byte", STATUS, STATUS),
    written(
        "error after output",
        Streamed(
            [begun(), *words(0, "Hello."), {"type": "error", "error": {"type": "api_error", "message": "Broke"}}], None
        ),
        Streamed([chunk(ROLE), chunk(SAY), FAILED], None),
    ),
    written("hb", Streamed([begun(), {"type": "ping"}, *HELLO[2:]], HEARD), TEXT_A),
)

LONG_THOUGHT = [thoughts(0, "Hm", "."), words(1, "Hel"), using(2, "{}"), words(3, "lo.")]

DIRECTIONS: tuple[Row, ...] = (
    row(
        "4.10",
        "**Chat**",
        [
            Streamed(
                a_stream(*LONG_THOUGHT, stop="tool_use"),
                c_heard(
                    {"reasoning_content": "Hm"},
                    {"reasoning_content": "."},
                    KEPT,
                    {"content": "Hel"},
                    calls(whole_call(0)),
                    more(0, "{}"),
                    {"content": "lo."},
                    finish="tool_calls",
                ),
                ("?turn.order",),
                asked=C_ASKED,
            ),
            Told(a_answer("Hello.", stop="stop_sequence", stop_sequence="END"), c_answer("Hello.")),
            Streamed(
                [begun({"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 1}), *HELLO[2:]],
                [*HEARD[:-1], USAGE_C, "[DONE]"],
                asked=ASK_USAGE,
            ),
        ],
        NotHere("the client of this cell speaks Messages"),
        "client \\ upstream", pitfalls="P-41 C207",
    ),
    nowhere("4.10", "**Resp**", "another protocol's", "client \\ upstream"),
    row(
        "4.10",
        "**Anth**",
        NotHere("the client of this cell speaks Chat"),
        [
            THINK_A,
            Streamed(  # usage only at the end: the last message_delta has all of it (P-13)
                c_stream(SAY)[:-2]
                + [
                    {
                        **chunk(),
                        "choices": [],
                        "usage": {**C_SPENT, "prompt_tokens_details": {"cached_tokens": 4}},
                    },
                    DONE,
                ],
                a_heard(
                    words(0, "Hello."),
                    usage=Having({"input_tokens": 6, "output_tokens": 5, "cache_read_input_tokens": 4}),
                ),
            ),
            Streamed(  # finish stop with calls
                c_stream(first(0, "{}"), finish="stop"), a_heard(using(0, "{}"), stop="tool_use"), asked=A_ASKED
            ),
            Streamed(c_stream(), a_heard()),
        ],
        "client \\ upstream", pitfalls="P-13 P-41 C177",
    ),
    nowhere("4.10", "**Gem**", "another protocol's", "client \\ upstream"),
)


def phase(name: str, test: str) -> Row:
    """A phase of a stream's life, which the server proves."""
    proof = Elsewhere(f"tests/translation/test_server.py::{test}")
    return row("4.11", name, proof, proof, "Phase")


PHASES: tuple[Row, ...] = (
    phase("before first upstream byte", "test_what_fails_before_output_is_tried_again"),
    phase(
        "after upstream start but before any client byte (buffer up to first content event)",
        "test_what_fails_before_output_is_tried_again",
    ),
    phase("after client bytes", "test_a_failure_behind_output_is_told_in_band"),
    row(
        "4.11",
        "upstream ended early",
        Streamed(HELLO[:-3], None),
        Streamed(c_stream(SAY, finish=None)[:-2], None),
        "Phase",
    ),
    phase("upstream 200 with JSON error body instead of SSE", "test_an_error_instead_of_a_stream_is_an_error"),
)

WRITING: tuple[Row, ...] = (
    *TRANSPORT,
    *CHAT_GRAMMAR,
    *(nowhere("4.4", name, "another protocol's", "Element") for name in RESPONSES_GRAMMAR),
    *MESSAGES_GRAMMAR,
    *(nowhere("4.6", name, "another protocol's", "Point") for name in GEMINI_GRAMMAR),
    *EVENTS,
    *DIRECTIONS,
    *PHASES,
)

