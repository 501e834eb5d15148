"""What a conversion to Messages cannot tell: codes of ledgers, each with a sentence for users."""

from __future__ import annotations

from typing import Final

from .answer_losses import ANSWER_LOSSES

REQUEST_LOSSES: Final[dict[str, str]] = {
    "arguments.invalid": "The arguments of a tool call were no JSON object; what was written stands in `_raw`.",
    "call.orphan": "A tool call had no result; Messages wants one, so an error result stands in its place.",
    "citations.history": "What earlier answers cited is not told again; their words are.",
    "field.foreign": "A member that only the sender's own protocol knows is left out.",
    "format.json_object": "Messages has no JSON mode; an instruction asks for JSON.",
    "format.schema": "What Messages cannot enforce of the answer's schema is told to the model in words.",
    "format.strict": "Messages always enforces a schema; this one need not have been kept to.",
    "image.detail": "How closely to look at an image is decided by the vendor.",
    "image.name": "Only documents have a title in Messages; the name of an image is left out.",
    "message.name": "The name of who speaks stands before the words.",
    "max_tokens.clamped": "The model answers with fewer tokens than were allowed; what it can is asked for.",
    "meta.metadata": "Metadata other than the user's id is left out.",
    "meta.tier": "This service tier has no counterpart.",
    "output.audio": "Messages makes no sound; the settings of a voice are left out.",
    "output.logprobs": "Messages has no probabilities of tokens.",
    "output.top_logprobs": "Messages has no probabilities of tokens.",
    "output.verbosity": "Messages has no setting for how much is said.",
    "part.foreign": "A part that only the client's protocol knows is told in its readable words.",
    "part.hosted": "What another provider's own tools did in earlier turns is left out, or told in its readable words.",
    "reasoning.history": "Reasoning of earlier turns belongs to the provider that wrote it and is left out.",
    "reasoning.state": "Signatures and hidden reasoning are of use to their own provider only and are left out.",
    "reasoning.clamped": "The model does not think as much, or as little, as was asked for: the nearest is asked for.",
    "reasoning.display": "What of its thinking the model shows cannot be said here, or not as it was asked for.",
    "reasoning.off": "Thinking is off for this request: it has no room, or the turn under way began without it.",
    "reasoning.tight": "The limit of tokens is small for so much thinking: the answer may be cut off.",
    "reasoning.wish": "How much to think is left to the model, which does not take what was asked for.",
    "result.duplicate": "A tool call had several results; the last one counts.",
    "result.orphan": "A tool result belonged to no call; it stands as a user's text.",
    "sampling.frequency_penalty": "Messages has no such setting.",
    "sampling.logit_bias": "Messages has no such setting.",
    "sampling.presence_penalty": "Messages has no such setting.",
    "sampling.seed": "Messages has no such setting.",
    "sampling.temperature": "The temperature is at most 1 in Messages; models that think, and the newest, take none.",
    "sampling.top_k": "Models that think, and the newest, do not take it.",
    "sampling.top_p": "It is not taken beside a temperature, by models that think, or by the newest.",
    "stop.blank": "Stop sequences of nothing but white space are refused by Messages and left out.",
    "tool.duplicate": "Two tools had one name: what was said twice is told once, another tool under another name.",
    "tool.grammar": "A free-form tool's grammar is told in its description; nothing enforces it.",
    "tool.hosted": "A tool that only its own provider runs is left out, as `hosted_tools: drop` says.",
    "tool.schema": "A tool's schema was changed into what Messages takes.",
    "tool.search": "All tools are told at once: none has to be searched for.",
    "tool.setting": "A setting of a tool that the provider runs has no counterpart here and is left out.",
    "tool.strict": "The schema of a tool cannot be enforced here as it stands; it is told without that.",
    "tool_choice.degraded": "The model cannot be made to call a tool, or not while it thinks: it is free to.",
    "tool_choice.subset": "Only the tools that may be called now are declared, since Messages cannot name a subset.",
    "tool_choice.without_tools": "A choice among tools says nothing where there are none: it is not told.",
    "turn.added": "Messages wants a user's turn first, so a short one was added.",
    "turn.order": "Text that followed tool calls stands before them: Messages wants the calls last in a turn.",
    "turn.prefill": "An assistant's turn comes last: older models go on with it, newer ones after a user's Continue.",
}

#: Every code that a ledger gets from this protocol.
LOSSES: Final[dict[str, str]] = {**REQUEST_LOSSES, **ANSWER_LOSSES}

#: Codes that leave nothing out: what is told in another form or place, repaired or approximated.
CHANGED: Final = frozenset(
    {
        "arguments.invalid",
        "call.orphan",
        "finish.native",
        "format.json_object",
        "format.schema",
        "format.strict",
        "max_tokens.clamped",
        "message.name",
        "part.foreign",
        "reasoning.clamped",
        "reasoning.tight",
        "result.duplicate",
        "result.orphan",
        "tool.duplicate",
        "tool.grammar",
        "tool.schema",
        "tool.search",
        "tool.strict",
        "tool_choice.degraded",
        "tool_choice.subset",
        "tool_choice.without_tools",
        "turn.added",
        "turn.order",
        "turn.prefill",
        "usage.folded",
    }
)
