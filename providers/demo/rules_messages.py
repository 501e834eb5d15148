"""Rules of a Messages request that look at more than one field (protocols.md 0.2, 1.3, 2.1-2.6, 6.1.4, 6.4)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from .calls import Call, Fault
from .fields_messages import (
    ASSISTANT_ONLY,
    BETA_FIELDS,
    CACHE_HOLDERS,
    CONTENT_BLOCKS,
    CUSTOM_TOOLS,
    DOCUMENT_SOURCES,
    IMAGE_SOURCES,
    KNOWN_ALWAYS,
    KNOWN_TO_CREATE,
    MESSAGES,
    OUTPUT_CONFIG,
    SEARCH_RESULTS,
    THINKING,
    TOOL_CHOICE,
    TOOLS,
    USER_ONLY,
    WEB_SEARCHES,
    block,
)
from .frames import dicts
from .schemas import malformed, open_object, root_fault
from .shapes import Path, child, either, items, root, where

OLD_VERSION, NEW_VERSION = "2023-06-01", "2026-10-21"
BETA_NAME = re.compile(r"^[a-z][a-z0-9-]*-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
WEB_URL = re.compile(r"^https?://[^\s/]+")
CACHE_BREAKPOINT_LIMIT = 4


def dotted(path: Path) -> str:
    """messages.0.content.1.text"""
    return ".".join(str(step) for step in path)


def _is_new(call: Call) -> bool:
    return call.headers.get("anthropic-version") == NEW_VERSION


def _announces(call: Call, *families: str) -> bool:
    names = [name.strip() for name in call.headers.get("anthropic-beta", "").split(",")]
    return any(name.startswith(family) for name in names for family in families)


def version_is_sent(call: Call) -> Iterator[Fault]:
    """1.3: required by the API"""
    if "anthropic-version" not in call.headers:
        yield Fault("anthropic-version: header is required")


def version_is_known(call: Call) -> Iterator[Fault]:
    """0.2"""
    version = call.headers.get("anthropic-version", NEW_VERSION)
    if version not in (OLD_VERSION, NEW_VERSION):
        yield Fault(f'anthropic-version: "{version}" is not a valid version')


def betas_have_the_form_of_betas(call: Call) -> Iterator[Fault]:
    """1.3: a comma list; the names change with every release, their form does not"""
    for name in filter(None, (part.strip() for part in call.headers.get("anthropic-beta", "").split(","))):
        if not BETA_NAME.match(name):
            yield Fault(f"Unexpected value(s) `{name}` for the `anthropic-beta` header.")


def body_is_an_object(call: Call) -> Iterator[Fault]:
    """1.3"""
    if not isinstance(call.body, dict):
        yield Fault("Input should be a valid dictionary")


def only_known_fields(call: Call) -> Iterator[Fault]:
    """1.3: count_tokens knows fewer; beta fields need their beta"""
    known = KNOWN_TO_CREATE if call.operation == "messages" else KNOWN_ALWAYS
    for _, body in root(call):
        for name in body:
            if name not in known and name not in BETA_FIELDS:
                yield Fault(f"{name}: Extra inputs are not permitted")


def beta_fields_need_their_beta(call: Call) -> Iterator[Fault]:
    """1.3"""
    for _, body in root(call):
        for name in body:
            if name in BETA_FIELDS and not _announces(call, *BETA_FIELDS[name]):
                yield Fault(f"{name}: Extra inputs are not permitted")


def sampling_is_gone(call: Call) -> Iterator[Fault]:
    """0.2, 2.5: under the new version even default values"""
    for _, body in root(call):
        for name in ("temperature", "top_p", "top_k"):
            if name in body and _is_new(call):
                yield Fault(f"{name}: Extra inputs are not permitted")


def assistant_documents_are_gone(call: Call) -> Iterator[Fault]:
    """0.2: under the new version"""
    for path, _ in where(items(where(MESSAGES, "role", "assistant"), "content"), "type", "document")(call):
        if _is_new(call):
            yield Fault(f"{dotted(path)}: `document` blocks are not permitted in assistant messages")


def user_citations_are_gone(call: Call) -> Iterator[Fault]:
    """0.2: under the new version, also inside search results"""
    users = items(where(MESSAGES, "role", "user"), "content")
    for path, text in either(where(users, "type", "text", tag="text"), items(SEARCH_RESULTS, "content"))(call):
        if text.get("citations") and _is_new(call):
            yield Fault(f"{dotted(path)}.citations: citations are not permitted in user messages")


def updates_need_their_beta(call: Call) -> Iterator[Fault]:
    """2.4: the display value of a beta"""
    for _, thinking in where(THINKING, "display", "updates")(call):
        if not _announces(call, "thinking-display-updates-"):
            yield Fault(f"thinking.{thinking.get('type')}.display: Input should be 'summarized' or 'omitted'")


def binding_needs_its_beta(call: Call) -> Iterator[Fault]:
    """2.4 R11"""
    for _, thinking in THINKING(call):
        if thinking.get("block_binding") is not None and not _announces(call, "thinking-binding-controls-"):
            yield Fault(f"thinking.{thinking.get('type')}.block_binding: Extra inputs are not permitted")


def budget_is_below_max_tokens(call: Call) -> Iterator[Fault]:
    """2.4"""
    for _, thinking in where(THINKING, "type", "enabled")(call):
        budget, limit = thinking.get("budget_tokens"), call.body.get("max_tokens")
        if isinstance(budget, int) and isinstance(limit, int) and budget >= limit:
            yield Fault("`max_tokens` must be greater than `thinking.budget_tokens`.")


def no_forced_tool_while_thinking(call: Call) -> Iterator[Fault]:
    """2.3"""
    for _ in where(THINKING, "type", "enabled")(call):
        for path, _choice in where(TOOL_CHOICE, "type", "any", "tool")(call):
            yield Fault(f"{dotted(path)}: Thinking may not be enabled when tool_choice forces tool use.")


def no_temperature_while_thinking(call: Call) -> Iterator[Fault]:
    """2.5"""
    for _ in where(THINKING, "type", "enabled", "adaptive")(call):
        if call.body.get("temperature", 1) != 1:
            yield Fault("`temperature` may only be set to 1 when thinking is enabled.")


def at_most_four_breakpoints(call: Call) -> Iterator[Fault]:
    """2.6"""
    marked = [path for path, holder in CACHE_HOLDERS(call) if isinstance(holder.get("cache_control"), dict)]
    if len(marked) > CACHE_BREAKPOINT_LIMIT:
        text = f"A maximum of {CACHE_BREAKPOINT_LIMIT} blocks with cache_control may be provided."
        yield Fault(f"{text} Found {len(marked)}.")


def stop_sequences_are_visible(call: Call) -> Iterator[Fault]:
    """2.5: whitespace alone is refused"""
    for _, body in root(call):
        stops = body.get("stop_sequences")
        for index, stop in enumerate(stops if isinstance(stops, list) else ()):
            if isinstance(stop, str) and stop and not stop.strip():
                yield Fault(f"stop_sequences.{index}: each stop sequence must contain non-whitespace")


def first_turn_is_the_users(call: Call) -> Iterator[Fault]:
    """2.9; system messages may stand anywhere"""
    roles = [message.get("role") for _, message in MESSAGES(call)]
    if roles and [role for role in roles if role != "system"][:1] != ["user"]:
        yield Fault('messages: first message must use the "user" role')


def system_messages_carry_something(call: Call) -> Iterator[Fault]:
    """2.1: content or an output_config"""
    for path, message in where(MESSAGES, "role", "system")(call):
        if not message.get("content") and not message.get("output_config"):
            yield Fault(f"{dotted(path)}.content: Field required")


def messages_are_not_empty(call: Call) -> Iterator[Fault]:
    """2.1: only a last assistant message may be empty"""
    found = list(where(MESSAGES, "role", "user", "assistant")(call))
    for number, (path, message) in enumerate(found):
        last = number == len(found) - 1 and message.get("role") == "assistant"
        if message.get("content") in ("", []) and not last:
            yield Fault(f"{dotted(path)}: {message['role']} messages must have non-empty content")


def texts_are_not_empty(call: Call) -> Iterator[Fault]:
    """2.1"""
    for path, text in block("text")(call):
        if text.get("text") == "":
            yield Fault(f"{dotted(path[:-1])}: text content blocks must be non-empty")


def texts_are_not_blank(call: Call) -> Iterator[Fault]:
    """2.1"""
    for path, text in block("text")(call):
        said = text.get("text")
        if isinstance(said, str) and said and not said.strip():
            yield Fault(f"{dotted(path[:-1])}: text content blocks must contain non-whitespace text")


def last_assistant_text_is_trimmed(call: Call) -> Iterator[Fault]:
    """2.1: a prefill must not end in whitespace"""
    found = list(MESSAGES(call))
    if not found or found[-1][1].get("role") != "assistant":
        return
    content = found[-1][1].get("content")
    last = content[-1] if isinstance(content, list) and content else {"text": content}
    text = last.get("text") if isinstance(last, dict) else None
    if isinstance(text, str) and text != text.rstrip():
        yield Fault("messages: final assistant content cannot end with trailing whitespace")


def blocks_fit_their_role(call: Call) -> Iterator[Fault]:
    """2.2, 2.3"""
    for role, strangers in (("user", ASSISTANT_ONLY), ("assistant", USER_ONLY)):
        for path, found in where(items(where(MESSAGES, "role", role), "content"), "type", *strangers)(call):
            other = "assistant" if role == "user" else "user"
            yield Fault(f"{dotted(path)}: `{found['type']}` blocks can only be in `{other}` messages")


def inline_data_is_base64(call: Call) -> Iterator[Fault]:
    """2.2"""
    for path, source in where(either(IMAGE_SOURCES, DOCUMENT_SOURCES), "type", "base64", tag="base64")(call):
        if isinstance(source.get("data"), str) and not _is_base64(source["data"]):
            yield Fault(f"{dotted(path)}.data: invalid base64 data")


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def urls_are_web_urls(call: Call) -> Iterator[Fault]:
    """2.2"""
    for path, source in where(either(IMAGE_SOURCES, DOCUMENT_SOURCES), "type", "url", tag="url")(call):
        if isinstance(source.get("url"), str) and not WEB_URL.match(source["url"]):
            yield Fault(f"{dotted(path)}.url: Only HTTP URLs are supported")


def tool_names_are_unique(call: Call) -> Iterator[Fault]:
    """2.3"""
    names = [tool.get("name") for _, tool in TOOLS(call)]
    if any(isinstance(name, str) and names.count(name) > 1 for name in names):
        yield Fault("tools: Tool names must be unique.")


def domains_are_allowed_or_blocked(call: Call) -> Iterator[Fault]:
    """2.7; SDK types: "Cannot be used alongside" """
    for path, tool in WEB_SEARCHES(call):
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            yield Fault(f"{dotted(path)}: Only one of allowed_domains and blocked_domains may be specified")


def input_schemas_are_objects(call: Call) -> Iterator[Fault]:
    """6.1.4"""
    for path, tool in CUSTOM_TOOLS(call):
        schema = tool.get("input_schema")
        reason = root_fault(schema) if isinstance(schema, dict) else None
        if reason:
            yield Fault(f"{dotted(path)}.input_schema: {reason}")


def input_schemas_are_json_schema(call: Call) -> Iterator[Fault]:
    """6.1.4: draft 2020-12"""
    for path, tool in CUSTOM_TOOLS(call):
        schema = tool.get("input_schema")
        reason = malformed(schema) if isinstance(schema, dict) else None
        if reason:
            text = "JSON schema is invalid. It must match JSON Schema draft 2020-12"
            yield Fault(f"{dotted(path)}.input_schema: {text}: {reason}")


def formats_are_json_schema(call: Call) -> Iterator[Fault]:
    """2.5"""
    for path, wanted in child(OUTPUT_CONFIG, "format")(call):
        schema = wanted.get("schema")
        reason = malformed(schema) if isinstance(schema, dict) else None
        if reason:
            yield Fault(f"{dotted(path)}.schema: JSON schema is invalid: {reason}")


def strict_tools_are_closed(call: Call) -> Iterator[Fault]:
    """6.4.2"""
    for path, tool in CUSTOM_TOOLS(call):
        if tool.get("strict") is True and open_object(tool.get("input_schema")) is not None:
            reason = "For 'object' type, 'additionalProperties' must be explicitly set to false"
            yield Fault(f"{dotted(path)}.input_schema: {reason}")


def formats_are_closed(call: Call) -> Iterator[Fault]:
    """6.4.2"""
    for path, wanted in child(OUTPUT_CONFIG, "format")(call):
        if open_object(wanted.get("schema")) is not None:
            reason = "For 'object' type, 'additionalProperties' must be explicitly set to false"
            yield Fault(f"{dotted(path)}.schema: {reason}")


def tool_choice_needs_tools(call: Call) -> Iterator[Fault]:
    """2.3"""
    for path, _ in TOOL_CHOICE(call):
        if not call.body.get("tools"):
            yield Fault(f"{dotted(path)}: may only be specified while providing tools.")


def chosen_tool_is_declared(call: Call) -> Iterator[Fault]:
    """2.3"""
    names = [tool.get("name") for _, tool in TOOLS(call)]
    for path, choice in where(TOOL_CHOICE, "type", "tool", tag="tool")(call):
        if names and isinstance(choice.get("name"), str) and choice["name"] not in names:
            yield Fault(f"{dotted(path)}.name: Tool '{choice['name']}' not found in provided tools")


def tool_history_needs_tools(call: Call) -> Iterator[Fault]:
    """2.3"""
    for path, _ in where(CONTENT_BLOCKS, "type", "tool_use", "tool_result")(call):
        if not call.body.get("tools"):
            text = "Requests which include `tool_use` or `tool_result` blocks must define tools"
            yield Fault(f"{dotted(path[:1])}: {text}")


def content_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a message; none where the content is a string."""
    return dicts(message.get("content"))


HEADER_RULES = (version_is_sent, version_is_known, betas_have_the_form_of_betas)
RULES = (
    only_known_fields,
    beta_fields_need_their_beta,
    sampling_is_gone,
    assistant_documents_are_gone,
    user_citations_are_gone,
    updates_need_their_beta,
    binding_needs_its_beta,
    budget_is_below_max_tokens,
    no_forced_tool_while_thinking,
    no_temperature_while_thinking,
    at_most_four_breakpoints,
    stop_sequences_are_visible,
    first_turn_is_the_users,
    system_messages_carry_something,
    messages_are_not_empty,
    texts_are_not_empty,
    texts_are_not_blank,
    last_assistant_text_is_trimmed,
    blocks_fit_their_role,
    inline_data_is_base64,
    urls_are_web_urls,
    tool_names_are_unique,
    domains_are_allowed_or_blocked,
    input_schemas_are_objects,
    input_schemas_are_json_schema,
    formats_are_json_schema,
    strict_tools_are_closed,
    formats_are_closed,
    tool_choice_needs_tools,
    chosen_tool_is_declared,
    tool_history_needs_tools,
)
