"""Token usage in disjoint buckets.  Source: design.md 3 (Usage), protocols.md 3.4."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from rotator.neutral.parts import Rest


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; the buckets are disjoint, so that their sum is the whole.

    ``input_fresh`` was read by the model and not served from or written to a cache; ``input_tool`` is what tools that
    the provider ran gave the model to read (Gemini). ``source`` tells whether the vendor counted or we estimated.
    ``written_by_ttl`` says of how much of ``cache_write`` the time to live is known, ``modalities`` which kinds of
    tokens (``input.audio``) are among the rest: both are looks at the sum, not parts of it. ``rest`` are members of the
    vendor's own that no other protocol knows (a price).
    """

    input_fresh: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    input_tool: int = 0
    source: Literal["vendor", "estimated"] = "vendor"
    written_by_ttl: tuple[tuple[str, int], ...] = ()
    modalities: tuple[tuple[str, int], ...] = ()
    rest: Rest = field(default_factory=dict)

    @property
    def input_total(self) -> int:
        """All tokens that the model read, cached ones included."""
        return self.input_fresh + self.cache_read + self.cache_write + self.input_tool

    @property
    def output_total(self) -> int:
        """All tokens that the model wrote, reasoning included."""
        return self.output_text + self.output_reasoning


#: Of text whose tokens nobody counted.  Source: protocols.md 3.4, "Missing usage".
CHARACTERS_PER_TOKEN: Final = 4


def estimated(request_bytes: int, output_pieces: int) -> Usage:
    """Usage where the vendor told none: four bytes a token in, one token a piece out.  Source: protocols.md 3.4."""
    read = max(1, request_bytes // CHARACTERS_PER_TOKEN)
    return Usage(input_fresh=read, output_text=output_pieces, source="estimated")
