"""What a Chat answer cannot tell on, or what was not read from one: codes of ledgers, each with a sentence."""

from __future__ import annotations

from typing import Final

ANSWER_LOSSES: Final[dict[str, str]] = {
    "answer.call": "A tool call without a name came from the upstream and is left out: nobody could run it.",
    "answer.citation": "Chat can only say which web page a text leans on; other citations are left out.",
    "answer.hosted": "What a provider's own tools did is told in no other protocol's answer.",
    "answer.late": "The upstream went on with an answer or a call that it had ended; what came then is left out.",
    "answer.logprobs": "Probabilities of tokens that belong to no text, or to one with thoughts in it, are left out.",
    "answer.media": "A Chat answer holds images and one sound; other media of the model's are left out.",
    "arguments.invalid": "The arguments of a tool call are no JSON object; they are told as they were written.",
    "field.foreign": "A member that only the upstream's protocol knows is left out.",
    "finish.native": "Why the answer ended has no word of its own here; the nearest one is told.",
    "meta.tier": "The service tier has no name in this protocol and is not told.",
    "reasoning.state": "Signatures and hidden reasoning are of use to their own provider only and are left out.",
    "turn.order": "A Chat message holds its text before its calls; text behind a call was moved.",
    "usage.folded": "Tokens that this protocol does not count apart are counted among the input.",
}
