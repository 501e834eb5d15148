"""What a Messages answer cannot tell on: codes of ledgers, each with a sentence for users."""

from __future__ import annotations

from typing import Final

ANSWER_LOSSES: Final[dict[str, str]] = {
    "answer.candidates": "Messages has one answer: only the first of several is told.",
    "answer.citation": "Messages can only say which web page a text leans on; other citations are left out.",
    "answer.hosted": "What a provider's own tools did is told in no other protocol's answer.",
    "answer.logprobs": "Messages has no probabilities of tokens.",
    "answer.media": "A Messages answer holds no images or sounds; what is said in them is told in words.",
    "arguments.invalid": "The arguments of a tool call were no JSON object; what was written stands in `_raw`.",
    "field.foreign": "A member that only the sender's own protocol knows is left out.",
    "finish.native": "Why the answer ended has no word of its own here; the nearest one is told.",
    "meta.tier": "This service tier has no counterpart.",
    "reasoning.state": "Signatures and hidden reasoning are of use to their own provider only and are left out.",
    "usage.folded": "Tokens that this protocol does not count apart are counted among the input.",
}
