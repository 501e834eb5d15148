"""Malformed Messages requests: every line breaks one thing in a body that is else valid."""

from typing import Any

from .bodies_messages import (
    AGENT,
    CLAUDE_CODE,
    COUNT,
    EPHEMERAL,
    FREE_CHOICE,
    NEW,
    NO_CHOICE,
    OPTIONS,
    PARTS,
    PDF,
    PLAIN,
    REMEMBERED,
    SCHEMA,
    THOUGHT,
    TOOLS,
    WEATHER,
)
from .rows import DROP, Edit, Row, messages_rows

CALLS, RESULTS = "messages.1.content", "messages.2.content"
HISTORY = "messages.1.content.0.<thinking>"


def with_(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy with some top-level fields set."""
    return {**body, **fields}


def said(*messages: tuple[str, Any]) -> dict[str, Any]:
    """PLAIN with other messages."""
    return with_(PLAIN, messages=[{"role": role, "content": content} for role, content in messages])


BODY = messages_rows(
    "body",
    OPTIONS,
    ("model", DROP),
    ("model", 5),
    ("model", ""),
    ("messages", DROP),
    ("messages", "Hello"),
    ("messages", []),
    ("messages.0", "Hello"),
    ("bogus", 1),
    ("max_tokens", DROP),
    ("max_tokens", -1),
    ("max_tokens", 10.5),
    ("system", 5),
    ("system.0", "Be kind"),
    ("metadata", "u"),
    ("metadata.user_id", 5),
    ("metadata.team", "red"),
    ("stop_sequences", "END"),
    ("stop_sequences.0", 5),
    Edit("stop_sequences.0", " \n", "stop_sequences.0: each stop sequence"),
    ("stream", "true"),
    ("temperature", 1.5),
    ("temperature", "1"),
    Edit("temperature", 0.5, "`temperature` may only be set to 1"),
    ("top_p", 2),
    ("top_k", 1.5),
    ("service_tier", "flex"),
    ("container", 5),
    ("diagnostics", "on"),
    ("diagnostics.previous_message_id", 5),
    ("diagnostics.bogus", 1),
    ("inference_geo", 5),
    ("user_profile_id", 5),
    ("workspace_id", 5),
    ("cache_control", True),
    ("cache_control.type", "persistent"),
    ("cache_control.ttl", "12h"),
    ("cache_control.bogus", 1),
    ("speed", "warp"),
    ("tools", {}),
    ("tools", ["get_weather"], "tools.0: "),
    ("tool_choice", "auto"),
    Edit("tool_choice", {"type": "auto"}, "tool_choice: may only be specified while providing tools"),
    ("context_management", {"edits": []}, "context_management: Extra inputs"),
)
CONTROLS = messages_rows(
    "controls",
    OPTIONS,
    ("thinking", True),
    ("thinking.type", DROP),
    Edit("thinking.type", "deep", "thinking: Input tag 'deep'"),
    ("thinking.<enabled>.budget_tokens", DROP),
    ("thinking.<enabled>.budget_tokens", 1023),
    ("thinking.<enabled>.display", "loud"),
    ("thinking.<enabled>.display", "updates", None, "Input should be 'summarized' or 'omitted'"),
    ("thinking.<enabled>.block_binding", {}, None, "Extra inputs"),
    ("thinking.<enabled>.bogus", 1),
    Edit("thinking.budget_tokens", 4096, "`max_tokens` must be greater than `thinking.budget_tokens`"),
    Edit("thinking", {"type": "adaptive", "display": "loud"}, "thinking.adaptive.display: "),
    Edit("thinking", {"type": "adaptive", "budget_tokens": 2000}, "thinking.adaptive.budget_tokens: Extra"),
    Edit("thinking", {"type": "adaptive", "block_binding": 5}, "thinking.adaptive.block_binding: Input"),
    Edit("thinking", {"type": "disabled", "budget_tokens": 2000}, "thinking.budget_tokens: Extra"),
    ("output_config", "high"),
    ("output_config.effort", "extreme"),
    ("output_config.format", "json"),
    ("output_config.task_budget", 5),
    ("output_config.bogus", 1),
    ("output_config.format.type", "json_object"),
    ("output_config.format.schema", DROP),
    ("output_config.format.bogus", 1),
    ("output_config.format.schema", {"type": "object"}, None, "For 'object' type"),
)
DECLARED = messages_rows(
    "tools",
    TOOLS,
    ("tools.0.<custom>.name", DROP),
    ("tools.0.<custom>.name", "get weather"),
    ("tools.0.<custom>.name", "w" * 129),
    ("tools.0.<custom>.description", 5),
    ("tools.0.<custom>.input_schema", DROP),
    ("tools.0.<custom>.input_schema", "{}"),
    ("tools.0.<custom>.input_schema", {"type": "string"}, None, "schema must be"),
    ("tools.0.<custom>.input_schema", {**SCHEMA, "anyOf": []}, None, "schema must have"),
    ("tools.0.<custom>.input_schema", {"type": "object"}, None, "For 'object' type"),
    ("tools.0.<custom>.strict", "yes"),
    ("tools.0.<custom>.defer_loading", 1),
    ("tools.0.<custom>.eager_input_streaming", "yes"),
    ("tools.0.<custom>.input_examples", {}),
    ("tools.0.<custom>.input_examples.0", "Paris"),
    ("tools.0.<custom>.allowed_callers", "direct"),
    ("tools.0.<custom>.allowed_callers.0", 5),
    ("tools.0.<custom>.cache_control", "ephemeral"),
    ("tools.0.<custom>.function", {}),
    Edit("tools.0.type", "function", "tools.0: Input tag 'function'"),
    ("tools.1.name", DROP),
    Edit("tools.1", WEATHER, "tools: Tool names must be unique"),
)
CHOICES = [
    *messages_rows(
        "choice",
        TOOLS,
        ("tool_choice.type", DROP),
        Edit("tool_choice.type", "required", "tool_choice: Input tag 'required'"),
        ("tool_choice.<tool>.name", DROP),
        ("tool_choice.<tool>.name", "get_time", None, "Tool 'get_time' not found"),
        ("tool_choice.<tool>.disable_parallel_tool_use", "yes"),
        ("tool_choice.<tool>.bogus", 1),
    ),
    *messages_rows(
        "free-choice",
        FREE_CHOICE,
        ("tool_choice.disable_parallel_tool_use", "yes"),
        ("tool_choice.name", "get_weather"),
    ),
    *messages_rows("no-choice", NO_CHOICE, ("tool_choice.<none>.disable_parallel_tool_use", True)),
]
DIALOGUE = messages_rows(
    "dialogue",
    TOOLS,
    (f"{CALLS}.1.<server_tool_use>.id", "a b"),
    (f"{CALLS}.1.<server_tool_use>.name", ""),
    (f"{CALLS}.1.<server_tool_use>.input", "{}"),
    (f"{CALLS}.1.<server_tool_use>.caller", "direct"),
    (f"{CALLS}.1.<server_tool_use>.cache_control", 5),
    (f"{CALLS}.1.<server_tool_use>.bogus", 1),
    (f"{CALLS}.2.tool_use_id", DROP),
    (f"{CALLS}.2.content", DROP),
    (f"{CALLS}.2.caller", 5),
    (f"{CALLS}.2.cache_control", 5),
    (f"{CALLS}.2.bogus", 1),
    Edit(f"{CALLS}.2.tool_use_id", "srvtoolu_9", f"{CALLS}.2: unexpected `tool_use_id`"),
    (f"{CALLS}.3.<tool_use>.id", DROP),
    (f"{CALLS}.3.<tool_use>.id", "toolu.1"),
    (f"{CALLS}.3.<tool_use>.name", DROP),
    (f"{CALLS}.3.<tool_use>.input", "{}"),
    (f"{CALLS}.3.<tool_use>.caller", "direct"),
    (f"{CALLS}.3.<tool_use>.toolset_name", 5),
    (f"{CALLS}.3.<tool_use>.cache_control", 5),
    (f"{CALLS}.3.<tool_use>.arguments", "{}"),
    (f"{RESULTS}.0.<tool_result>.tool_use_id", DROP),
    (f"{RESULTS}.0.<tool_result>.content", 5),
    (f"{RESULTS}.0.<tool_result>.content", ["rain"], f"{RESULTS}.0.tool_result.content.0: "),
    (f"{RESULTS}.0.<tool_result>.is_error", "no"),
    (f"{RESULTS}.0.<tool_result>.toolset_name", 5),
    (f"{RESULTS}.0.<tool_result>.cache_control", 5),
    (f"{RESULTS}.0.<tool_result>.name", "get_weather"),
    Edit(f"{RESULTS}.1.content.0.type", "thinking", f"{RESULTS}.1.tool_result.content.0: Input tag"),
    (f"{RESULTS}.1.<tool_result>.content.1.<tool_reference>.tool_name", DROP),
    (f"{RESULTS}.1.<tool_result>.content.1.<tool_reference>.cache_control", 5),
    (f"{RESULTS}.1.<tool_result>.content.1.<tool_reference>.bogus", 1),
    Edit(f"{RESULTS}.1", DROP, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    Edit(f"{RESULTS}.1", {"type": "text", "text": "no"}, "blocks immediately after: toolu_1."),
    Edit("messages.2", DROP, "blocks immediately after: toolu_1, toolu_2."),
)
ASKED, CALLED, ANSWERED = TOOLS["messages"]
RAIN, SUN, SO = ANSWERED["content"]


def told(*messages: Any) -> dict[str, Any]:
    """TOOLS with other messages behind the call."""
    return with_(TOOLS, messages=[ASKED, CALLED, *messages])


def by_user(*blocks: Any) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": list(blocks)}


def text(value: str) -> list[dict[str, str]]:
    """Content of one text block."""
    return [{"type": "text", "text": value}]


UNANSWERED = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after"
SEQUENCES = [
    Row("results-late", told(by_user(SO, RAIN, SUN)), UNANSWERED),
    Row("results-in-two-messages", told(by_user(RAIN), by_user(SUN, SO)), UNANSWERED),
    Row("results-behind-system", told({"role": "system", "content": "x"}, ANSWERED), UNANSWERED),
    Row("result-twice", told(by_user(RAIN, SUN, RAIN)), "messages.2.content: each tool_use must have a single result"),
    Row("orphan-result", told(ANSWERED, by_user(RAIN)), "messages.3.content.0: unexpected `tool_use_id`"),
    Row("id-reused", told(ANSWERED, CALLED, ANSWERED), "messages.3.content: `tool_use` ids must be unique"),
    Row(
        "tools-gone",
        {name: TOOLS[name] for name in ("model", "max_tokens", "messages")},
        "messages: Requests which include `tool_use` or `tool_result` blocks must define tools",
    ),
    Row(
        "forced-while-thinking",
        with_(TOOLS, max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024}),
        "tool_choice: Thinking may not be enabled",
    ),
    Row("assistant-first", said(("assistant", "Hi"), ("user", "a")), 'messages: first message must use the "user"'),
    Row("system-only", said(("system", "Be kind")), 'messages: first message must use the "user"'),
    Row("empty-user", said(("user", "")), "messages.0: user messages must have non-empty content"),
    Row("no-blocks", said(("user", [])), "messages.0: user messages must have non-empty content"),
    Row("empty-reply", said(("user", "a"), ("assistant", ""), ("user", "b")), "messages.1: assistant messages must"),
    Row("empty-text", said(("user", text(""))), "messages.0.content.0: text content blocks must be non-empty"),
    Row("blank-text", said(("user", text(" \n"))), "messages.0.content.0: text content blocks must contain"),
    Row("prefill-blank-end", said(("user", "a"), ("assistant", "So: ")), "final assistant content cannot end"),
    Row("thought-by-user", said(("user", [THOUGHT])), "messages.0.content.0: `thinking` blocks can only be in `assist"),
    Row(
        "result-by-assistant",
        with_(TOOLS, messages=[ASKED, {"role": "assistant", "content": [RAIN]}, ASKED]),
        "messages.1.content.0: `tool_result` blocks can only be in `user`",
    ),
    Row("empty-system", said(("user", "a"), ("system", "")), "messages.1.content: Field required"),
]
CONTENT = messages_rows(
    "content",
    PARTS,
    ("messages.4.role", DROP),
    ("messages.4.role", "developer"),
    ("messages.4.name", "ann"),
    ("messages.4.content", DROP),
    ("messages.4.content", 5),
    ("messages.4.content", ["More"], "messages.4.content.0: "),
    ("messages.0.content", 5),
    ("messages.2.content.0", "Now be brief"),
    ("messages.0.output_config", "low"),
    ("messages.0.clear_at", "later"),
    ("messages.0.bogus", 1),
    ("messages.2.content.0.type", "image"),
    ("messages.1.content.0.type", DROP),
    Edit("messages.1.content.0.type", "input_text", "messages.1.content.0: Input tag 'input_text'"),
    ("messages.1.content.0.<text>.text", DROP),
    ("messages.1.content.0.<text>.text", 5),
    ("messages.1.content.0.<text>.citations", "none"),
    ("messages.1.content.0.<text>.cache_control", "ephemeral"),
    ("messages.1.content.0.<text>.prompt_cache_breakpoint", {}),
    ("messages.1.content.1.<image>.source", DROP),
    ("messages.1.content.1.<image>.transformations", "downsize"),
    ("messages.1.content.1.<image>.cache_control", 5),
    ("messages.1.content.1.<image>.bogus", 1),
    Edit("messages.1.content.1.source.type", "data", "messages.1.content.1.image.source: Input tag 'data'"),
    ("messages.1.content.1.<image>.source.<base64>.media_type", "image/tiff"),
    ("messages.1.content.1.<image>.source.<base64>.media_type", DROP),
    ("messages.1.content.1.<image>.source.<base64>.data", DROP),
    ("messages.1.content.1.<image>.source.<base64>.data", "***"),
    ("messages.1.content.1.<image>.source.<base64>.url", "x"),
    ("messages.1.content.2.<image>.source.<url>.url", DROP),
    ("messages.1.content.2.<image>.source.<url>.url", "file:///etc/hosts"),
    ("messages.1.content.2.<image>.source.<url>.detail", "low"),
    ("messages.1.content.3.<image>.source.<file>.file_id", DROP),
    ("messages.1.content.3.<image>.source.<file>.bogus", 1),
    ("messages.1.content.4.<document>.source", "x"),
    ("messages.1.content.4.<document>.title", 5),
    ("messages.1.content.4.<document>.context", 5),
    ("messages.1.content.4.<document>.citations", True),
    ("messages.1.content.4.<document>.citations.enabled", "yes"),
    ("messages.1.content.4.<document>.citations.bogus", 1),
    ("messages.1.content.4.<document>.cache_control", 5),
    ("messages.1.content.4.<document>.filename", "a.pdf"),
    Edit("messages.1.content.4.source.type", "pdf", "messages.1.content.4.document.source: Input tag 'pdf'"),
    ("messages.1.content.4.<document>.source.<base64>.media_type", "text/plain"),
    ("messages.1.content.4.<document>.source.<base64>.data", 5),
    ("messages.1.content.4.<document>.source.<base64>.bogus", 1),
    ("messages.1.content.5.<document>.source.<text>.media_type", "text/html"),
    ("messages.1.content.5.<document>.source.<text>.data", DROP),
    ("messages.1.content.5.<document>.source.<text>.bogus", 1),
    ("messages.1.content.6.<document>.source.<content>.content", DROP),
    ("messages.1.content.6.<document>.source.<content>.content.0", "x"),
    ("messages.1.content.6.<document>.source.<content>.bogus", 1),
    Edit(
        "messages.1.content.6.source.content.0.type",
        "document",
        "messages.1.content.6.document.source.content.content.0: Input tag 'document'",
    ),
    ("messages.1.content.7.<search_result>.content", []),
    ("messages.1.content.7.<search_result>.content.0", "x"),
    ("messages.1.content.7.<search_result>.source", DROP),
    ("messages.1.content.7.<search_result>.title", DROP),
    ("messages.1.content.7.<search_result>.citations", True),
    ("messages.1.content.7.<search_result>.cache_control", 5),
    ("messages.1.content.7.<search_result>.bogus", 1),
    ("messages.1.content.8.<container_upload>.file_id", DROP),
    ("messages.1.content.8.<container_upload>.cache_control", 5),
    ("messages.1.content.8.<container_upload>.bogus", 1),
    Edit(
        "messages.1.content",
        [{"type": "text", "text": str(number), "cache_control": EPHEMERAL} for number in range(5)],
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
)
MEMORY = messages_rows(
    "memory",
    REMEMBERED,
    (f"{HISTORY}.thinking", DROP),
    (f"{HISTORY}.signature", DROP),
    (f"{HISTORY}.signature", 5),
    (f"{HISTORY}.cache_control", EPHEMERAL),
    ("messages.1.content.1.<redacted_thinking>.data", DROP),
    ("messages.1.content.1.<redacted_thinking>.bogus", 1),
    Edit("messages.1.content.1", {"type": "text", "text": "x"}, "messages.1.content.0: Invalid signature in thinking"),
    Edit("messages.1.content.0", {"type": "text", "text": "x"}, "messages.1.content.1: Invalid data in redacted_"),
)
AGENTS = messages_rows(
    "agent",
    AGENT,
    ("context_management.edits", {}),
    ("context_management.edits.0", "clear"),
    ("context_management.edits.0.type", "clear"),
    ("context_management.bogus", 1),
    headers=CLAUDE_CODE,
)
BINDING = messages_rows(
    "binding",
    OPTIONS,
    ("thinking.<enabled>.block_binding", "drop"),
    headers={"anthropic-beta": "thinking-binding-controls-2026-08-01"},
)
VERSIONS = [
    Row("no-version", PLAIN, "anthropic-version: header is required", headers={"anthropic-version": None}),
    Row("old-version", PLAIN, "is not a valid version", headers={"anthropic-version": "2023-01-01"}),
    Row("beta-form", PLAIN, "Unexpected value(s) `turbo`", headers={"anthropic-beta": "claude-code-20250219,turbo"}),
    *(
        Row(f"new-{name}", with_(PLAIN, **{name: value}), f"{name}: Extra inputs are not permitted", headers=NEW)
        for name, value in (("temperature", 1), ("top_p", 1), ("top_k", 1))
    ),
    Row(
        "new-assistant-document",
        said(("user", "a"), ("assistant", [{"type": "document", "source": PDF}])),
        "messages.1.content.0: `document` blocks are not permitted in assistant messages",
        headers=NEW,
    ),
    Row(
        "new-user-citations",
        said(("user", [{"type": "text", "text": "a", "citations": [{}]}])),
        "messages.0.content.0.text.citations: ",
        headers=NEW,
    ),
    Row("count-max-tokens", PLAIN, "max_tokens: Extra inputs are not permitted", path=COUNT),
    Row("count-stream", {"model": "text", "messages": [], "stream": True}, "messages: ", path=COUNT),
    Row("array", [PLAIN], "Input should be a valid dictionary"),
]
ROWS = [
    *VERSIONS,
    *BODY,
    *CONTROLS,
    *BINDING,
    *DECLARED,
    *CHOICES,
    *DIALOGUE,
    *SEQUENCES,
    *CONTENT,
    *MEMORY,
    *AGENTS,
]
VALID = {
    "plain": Row("plain", PLAIN),
    "new-version": Row("new-version", PLAIN, headers=NEW),
    "options": Row("options", with_(OPTIONS, output_config={"effort": "max"})),
    "format": Row("format", OPTIONS),
    "tools": Row("tools", TOOLS),
    "free-choice": Row("free-choice", FREE_CHOICE),
    "no-choice": Row("no-choice", NO_CHOICE),
    "parts": Row("parts", PARTS),
    "agent": Row("agent", AGENT, headers=CLAUDE_CODE),
    "title": Row(
        "title",
        with_(PLAIN, tools=[], thinking={"type": "disabled"}, temperature=1, output_config=OPTIONS["output_config"]),
        headers=CLAUDE_CODE,
    ),
    "merged": Row("merged", said(("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"))),
    "old-sampling": Row("old-sampling", with_(PLAIN, temperature=0.2, top_p=0.5, top_k=5)),
    "old-document": Row("old-document", said(("user", "a"), ("assistant", [{"type": "document", "source": PDF}]))),
    "count": Row("count", {name: TOOLS[name] for name in ("model", "messages", "tools")}, path=COUNT),
    "probe": Row("probe", with_(PLAIN, max_tokens=1)),
}
