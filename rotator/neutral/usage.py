"""Token usage in disjoint buckets.  Source: design.md 3 (Usage), protocols.md 3.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; the buckets are disjoint, so that their sum is the whole.

    ``input_fresh`` was read by the model and not served from or written to a cache. ``source`` tells whether the
    vendor counted or we estimated.
    """

    input_fresh: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    source: Literal["vendor", "estimated"] = "vendor"

    @property
    def input_total(self) -> int:
        """All tokens that the model read, cached ones included."""
        return self.input_fresh + self.cache_read + self.cache_write

    @property
    def output_total(self) -> int:
        """All tokens that the model wrote, reasoning included."""
        return self.output_text + self.output_reasoning
