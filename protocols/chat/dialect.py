"""How a compatible server's requests differ from OpenAI's; a provider's file says so under ``dialect``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .._facts import check_patterns
from .facts import ChatFacts


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """The choices that Chat's wire leaves open.

    ``max_tokens``: the member that limits the answer of another protocol's client; OpenAI's reasoning models take the
    new name only, third-party servers the old one. Source: protocols.md 2.5, "Max output".

    ``instructions``: the role under which system and developer turns are sent; ``by_model``: the one that the model
    table has for the model, for other protocols' clients. Source: protocols.md 2.1, 7.2.

    ``text``: whether several texts of one message are a list of parts or one string, a blank line between them, for
    servers that take strings only. Source: protocols.md 5.7 P-117.

    ``reasoning_history``: as which member of their messages earlier turns' reasoning of another protocol's client is
    sent, or before their text (``think_tags``); ``reasoning_details`` hold only what the vendor itself wrote.
    Source: protocols.md 2.4 R2; conversion-pitfalls.md P121, P131.

    ``reasoning_answer``: whether an answer's reasoning has a member of its own, or stands in its text between tags, of
    which servers leave out the first where the model's template wrote it (``think_open``).
    Source: conversion-pitfalls.md P137.

    ``cache``: how breakpoints of the prompt cache are written, if they are; ``by_model``: as breakpoints for those
    models that are known to take them. Source: protocols.md 2.6, "Breakpoints".

    ``web_search``: whether there is ``web_search_options``; ``by_model``: for those models that are known to take it.
    Source: protocols.md 2.7, "Web search".

    ``structured_output``: where the schema of another protocol's client's answer goes: ``response_format``, or an
    instruction, beside JSON mode or alone, where the vendor knows no more. Source: protocols.md 2.5, "JSON schema".

    ``hosted_tools``: what becomes of a request with tools that only another vendor runs. Source: protocols.md 2.7.

    ``tool_errors``: whether the words of a result that is an error stand in ``{"error": ...}``, or as they are.
    Source: protocols.md 2.3, "Tool result error flag"; conversion-pitfalls.md P81.

    ``reasoning``: how the vendor is told how much to think: by ``reasoning_effort``, OpenRouter's ``reasoning`` object,
    a switch ``thinking`` (DeepSeek, GLM; with ``reasoning_effort`` where ``models`` names efforts), ``enable_thinking``
    with a budget (Qwen), the same in ``chat_template_kwargs`` (vLLM), or not at all. Source: protocols.md 7.1;
    conversion-pitfalls.md P117.

    ``reasoning_with_tools``: whether models that are known to refuse functions beside reasoning do so here.
    Source: protocols.md 7.4.

    ``models`` is laid over the model table, row by row. Source: protocols.md 7.2.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    instructions: Literal["system", "developer", "as_sent", "by_model"] = "as_sent"
    text: Literal["parts", "joined"] = "parts"
    reasoning_history: Literal["drop", "reasoning_content", "reasoning", "reasoning_details", "think_tags"] = "drop"
    reasoning_answer: Literal["fields", "think_tags", "think_open"] = "fields"
    cache: Literal["none", "breakpoint", "cache_control", "by_model"] = "none"
    web_search: Literal["none", "options", "by_model"] = "none"
    structured_output: Literal["native", "json_object", "instruction"] = "native"
    hosted_tools: Literal["refuse", "drop"] = "refuse"
    tool_errors: Literal["wrapped", "plain"] = "wrapped"
    reasoning: Literal["effort", "object", "thinking", "enable_thinking", "chat_template", "none"] = "effort"
    reasoning_with_tools: Literal["taken", "refused"] = "taken"
    models: Mapping[str, ChatFacts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_patterns(self.models)
