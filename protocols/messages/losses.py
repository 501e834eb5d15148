"""What a conversion to Messages cannot tell: codes of ledgers, each with a sentence for users."""

from __future__ import annotations

from typing import Final

from .answer_losses import ANSWER_LOSSES

REQUEST_LOSSES: Final[dict[str, str]] = {
    "arguments.invalid": "The arguments of a tool call were no JSON object; what was written stands in `_raw`.",
    "cache.breakpoint": "Breakpoints of the prompt cache are not carried over.",
    "call.orphan": "A tool call had no result; Messages wants one, so an error result stands in its place.",
    "citations.history": "What earlier answers cited is not told again; their words are.",
    "document.title": "Only documents have a title in Messages; the name of another medium is left out.",
    "field.foreign": "A member that only the sender's own protocol knows is left out.",
    "format.json_object": "Messages has no JSON mode; an instruction asks for JSON.",
    "format.schema": "What Messages cannot enforce of the answer's schema is told to the model in words.",
    "format.strict": "Messages always enforces a schema; that it need not be kept to is left out.",
    "image.detail": "How closely to look at an image is decided by the vendor.",
    "message.name": "The names of those who speak are left out.",
    "meta.metadata": "Metadata other than the user's id is left out.",
    "meta.tier": "This service tier has no counterpart.",
    "output.audio": "Messages makes no sound; the settings of a voice are left out.",
    "output.logprobs": "Messages has no probabilities of tokens.",
    "output.top_logprobs": "Messages has no probabilities of tokens.",
    "output.verbosity": "Messages has no setting for how much is said.",
    "part.foreign": "A part that only the client's protocol knows is left out, or told in its readable words.",
    "part.hosted": "What another provider's own tools did in earlier turns is left out.",
    "reasoning.history": "Reasoning of earlier turns belongs to the provider that wrote it and is left out.",
    "reasoning.state": "Signatures and hidden reasoning are of use to their own provider only and are left out.",
    "reasoning.wish": "How much to think, and what of it to show, is left to the model.",
    "result.duplicate": "A tool call had several results; the last one counts.",
    "result.orphan": "A tool result belonged to no call; it stands as a user's text.",
    "sampling.frequency_penalty": "Messages has no such setting.",
    "sampling.logit_bias": "Messages has no such setting.",
    "sampling.presence_penalty": "Messages has no such setting.",
    "sampling.seed": "Messages has no such setting.",
    "sampling.temperature": "The temperature is at most 1 in Messages, and not set where the model thinks.",
    "sampling.top_k": "Messages does not take it where the model thinks.",
    "sampling.top_p": "Messages does not take it beside a temperature, or where the model thinks.",
    "stop.blank": "Stop sequences of nothing but white space are refused by Messages and left out.",
    "tool.duplicate": "Two tools had one name: what was said twice is told once, another tool under another name.",
    "tool.grammar": "A free-form tool's grammar is told in its description; nothing enforces it.",
    "tool.hosted": "A tool that only its own provider runs is left out.",
    "tool.schema": "A tool's schema was changed into what Messages takes.",
    "tool.strict": "The schema of a tool cannot be enforced here as it stands; it is told without that.",
    "tool_choice.subset": "The tools that may not be called now are left out, since Messages cannot name a subset.",
    "tool_choice.without_tools": "A choice among tools is left out where there are none.",
    "turn.added": "Messages wants a user's turn first, so a short one was added.",
    "turn.order": "Text that followed tool calls stands before them: Messages wants the calls last in a turn.",
    "turn.prefill": "Messages goes on with an assistant's turn that comes last, without the white space at its end.",
}

#: Every code that a ledger gets from this protocol.
LOSSES: Final[dict[str, str]] = {**REQUEST_LOSSES, **ANSWER_LOSSES}
