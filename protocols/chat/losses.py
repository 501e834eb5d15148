"""What a conversion to Chat cannot tell: codes of ledgers, each with a sentence for users."""

from __future__ import annotations

from typing import Final

from .answer_losses import ANSWER_LOSSES

REQUEST_LOSSES: Final[dict[str, str]] = {
    "cache.breakpoint": "Breakpoints of the prompt cache are not carried over.",
    "call.orphan": "A tool call had no result; Chat wants one, so a text that says so stands in its place.",
    "citations.config": "Whether a document is to be cited cannot be said in Chat.",
    "citations.history": "What earlier answers cited is not told again; their words are.",
    "document.context": "What was said beside a document stands in the text before it.",
    "document.title": "A document of text is told as text, its title is a heading there.",
    "field.foreign": "A member that only the sender's own protocol knows is left out.",
    "format.json_object": "JSON mode asks for the word JSON in the conversation; an instruction with it was added.",
    "format.schema": "A format without a schema is told as any JSON.",
    "format.strict": "The schema of the answer cannot be enforced as it stands; it is told without that.",
    "image.detail": "Chat has no such word for how closely to look at an image.",
    "meta.metadata": "Metadata is for the vendor of the client's own protocol and is left out.",
    "meta.tier": "The service tier has no name in this protocol and is not told.",
    "output.audio": "The settings of a voice are the vendor's own and are left out.",
    "part.foreign": "A part that only the client's protocol knows is left out, or told in its readable words.",
    "part.hosted": "What another provider's own tools did in earlier turns is left out, or told in its readable words.",
    "part.media_moved": "An assistant's message holds text only; other content stands in a user's message behind it.",
    "reasoning.history": "Reasoning of earlier turns belongs to the provider that wrote it and is left out.",
    "reasoning.state": "Signatures and hidden reasoning are of use to their own provider only and are left out.",
    "reasoning.wish": "How much to think, and what of it to show, is left to the model.",
    "result.duplicate": "A tool call had several results; the last one counts.",
    "result.error_flag": "That a tool failed cannot be said beside the words of its result.",
    "result.media_moved": "A tool's result holds text only; other content stands in a user's message behind it.",
    "result.orphan": "A tool result belonged to no call; it stands as a user's text.",
    "sampling.top_k": "Chat has no such setting.",
    "search_result.citations": "A search result is told as text, which cannot be cited.",
    "stop.blank": "An empty stop sequence is left out.",
    "stop.excess": "Chat takes four stop sequences; the first four are sent.",
    "tool.duplicate": "Two tools have the same name: an equal one is left out, another one gets a name of its own.",
    "tool.hosted": "A tool that only its own provider runs is left out.",
    "tool.schema": "A tool's schema was changed into what Chat takes.",
    "tool.strict": "The schema of a tool cannot be enforced here as it stands; it is told without that.",
    "tool_choice.without_tools": "A choice among tools is left out where there are none.",
    "turn.order": "Text that followed tool calls stands before them: a message has its calls at the end.",
    "turn.prefill": "The conversation ends with an assistant's turn; Chat cannot go on with it, a user asks it to.",
}

#: Every code that a ledger gets from this protocol; what is said here of a code that answers share is true of both.
LOSSES: Final[dict[str, str]] = {**ANSWER_LOSSES, **REQUEST_LOSSES}
