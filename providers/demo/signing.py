"""Signatures of thinking blocks: good only for this text, at this place, from this model, for this account."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .frames import dicts


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block stands: in which assistant turn of the conversation, and as which of that turn's blocks.

    Neighbouring assistant messages are one turn, as the vendor merges them (protocols.md 2.1).
    """

    turn: int
    block: int


def sign(secret: bytes, *, kind: str, text: str, place: Place, bound_to: tuple[str, str]) -> str:
    """`kind` is thinking or redacted_thinking, `bound_to` the model and the account (the key)."""
    parts = (kind, text, str(place.turn), str(place.block), *bound_to)
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    return base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


def assistant_blocks(messages: Any) -> Iterator[tuple[tuple[int, int], Place, dict[str, Any]]]:
    """Every block of every assistant turn: (message, content) index on the wire, its place, the block."""
    turn, block, inside = -1, 0, False
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if not isinstance(message, dict) or message.get("role") != "assistant":
            inside = False
            continue
        if not inside:
            turn, block, inside = turn + 1, 0, True
        content = message.get("content")
        if isinstance(content, str):
            block += 1
            continue
        for position, part in enumerate(dicts(content)):
            yield (number, position), Place(turn, block), part
            block += 1


def next_place(messages: Any) -> Place:
    """Where the first block of the answer to these messages will stand."""
    turns, last = -1, "user"
    blocks = 0
    for message in dicts(messages):
        role = message.get("role")
        if role == "assistant":
            fresh = last != "assistant"
            turns, blocks = turns + fresh, 0 if fresh else blocks
            content = message.get("content")
            blocks += 1 if isinstance(content, str) else len(dicts(content))
        last = str(role)
    return Place(turns, blocks) if last == "assistant" else Place(turns + 1, 0)
