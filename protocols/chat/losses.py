"""What a conversion to Chat cannot tell: codes of ledgers, each with a sentence for users."""

from __future__ import annotations

from typing import Final

from .answer_losses import ANSWER_LOSSES

REQUEST_LOSSES: Final[dict[str, str]] = {
    "cache.breakpoint": "Breakpoints of the prompt cache are lost where a message is sent as one string.",
    "call.orphan": "A tool call had no result; Chat wants one, so a text that says so stands in its place.",
    "citations.config": "Whether a document is to be cited cannot be said in Chat.",
    "citations.history": "What earlier answers cited is not told again; their words are.",
    "document.context": "What was said beside a document stands in the text before it.",
    "document.title": "A document of text is told as text, its title is a heading there.",
    "field.foreign": "A member that only the sender's own protocol knows is left out.",
    "format.json_object": "JSON mode wants the word JSON in the conversation, or is unknown: it is told in words.",
    "format.schema": "A format without a schema is told as any JSON; a schema that the provider cannot take, in words.",
    "format.strict": "The schema of the answer cannot be enforced as it stands; it is told without that.",
    "image.detail": "Chat has no such word for how closely to look at an image.",
    "max_tokens.clamped": "The model answers with fewer tokens than were allowed; what it can is asked for.",
    "meta.metadata": "Metadata is for the vendor of the client's own protocol and is left out.",
    "meta.tier": "The service tier has no name in this protocol and is not told.",
    "output.logprobs": "Models that reason tell no probabilities of tokens.",
    "output.audio": "The settings of a voice are the vendor's own and are left out.",
    "part.foreign": "A part that only the client's protocol knows is told in its readable words.",
    "part.hosted": "What another provider's own tools did in earlier turns is left out, or told in its readable words.",
    "part.media_moved": "An assistant's message holds text only; other content stands in a user's message behind it.",
    "reasoning.clamped": "The model does not think as much, or as little, as was asked for: the nearest is asked for.",
    "reasoning.history": "Reasoning of earlier turns belongs to the provider that wrote it and is left out.",
    "reasoning.state": "Signatures and hidden reasoning are of use to their own provider only and are left out.",
    "reasoning.tools": "The model does not think in requests with tools in this protocol: it is told not to.",
    "reasoning.wish": "How much to think is left to the model, which does not take what was asked for.",
    "result.duplicate": "A tool call had several results; the last one counts.",
    "result.error_flag": "That a tool failed is told by the words of its result alone, as `tool_errors: plain` says.",
    "result.media_moved": "A tool's result holds text only; other content stands in a user's message behind it.",
    "result.orphan": "A tool result belonged to no call; it stands as a user's text.",
    "sampling.frequency_penalty": "Models that reason do not take it.",
    "sampling.logit_bias": "Models that reason do not take it.",
    "sampling.presence_penalty": "Models that reason do not take it.",
    "sampling.temperature": "Models that reason take no other than the default.",
    "sampling.top_k": "Chat has no such setting.",
    "sampling.top_p": "Models that reason take no other than the default.",
    "search_result.citations": "A search result is told as text, which cannot be cited.",
    "stop.blank": "An empty stop sequence is left out.",
    "stop.refused": "The model takes no stop sequences.",
    "stop.excess": "Chat takes four stop sequences; the first four are sent.",
    "tool.changes": "That tools come and go in the conversation is told in words; all are there from the start.",
    "tool.duplicate": "Two tools have the same name: an equal one is told once, another one gets a name of its own.",
    "tool.examples": "Examples of a tool's input stand in its description.",
    "tool.hosted": "A tool that only its own provider runs is left out, as `hosted_tools: drop` says.",
    "tool.schema": "A tool's schema was changed into what Chat takes.",
    "tool.search": "All tools are told at once: none has to be searched for.",
    "tool.setting": "A setting of a tool that the provider runs has no counterpart here and is left out.",
    "tool.strict": "The schema of a tool cannot be enforced here as it stands; it is told without that.",
    "tool_choice.degraded": "The model cannot be made to call a tool, or to search: it is free to.",
    "tool_choice.without_tools": "A choice among tools says nothing where there are none: it is not told.",
    "turn.order": "Text that followed tool calls stands before them: a message has its calls at the end.",
    "turn.prefill": "The conversation ends with an assistant's turn; Chat cannot go on with it, a user asks it to.",
}

#: Every code that a ledger gets from this protocol; what is said here of a code that answers share is true of both.
LOSSES: Final[dict[str, str]] = {**ANSWER_LOSSES, **REQUEST_LOSSES}

#: Codes that leave nothing out: what is told in another form or place, repaired or approximated.
CHANGED: Final = frozenset(
    {
        "arguments.invalid",
        "call.orphan",
        "document.context",
        "document.title",
        "finish.native",
        "format.json_object",
        "format.schema",
        "format.strict",
        "max_tokens.clamped",
        "part.foreign",
        "part.media_moved",
        "reasoning.clamped",
        "result.duplicate",
        "result.error_flag",
        "result.media_moved",
        "result.orphan",
        "search_result.citations",
        "tool.changes",
        "tool.duplicate",
        "tool.examples",
        "tool.schema",
        "tool.search",
        "tool.strict",
        "tool_choice.degraded",
        "tool_choice.without_tools",
        "turn.order",
        "turn.prefill",
        "usage.folded",
    }
)
