"""What was asked for and when, out of the trace: the lines that ``rotator simulate --usage`` takes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rotator.trace.files import own_files
from rotator.trace.reader import Listing, each_line, number_of, parsed, text_of

#: Passes that a line is made of.
_READ: Final = frozenset({"client_request", "attempt", "outcome", "end"})
#: The buckets of usage that add up to all tokens (rotator.neutral.usage).
_BUCKETS: Final = ("input_fresh", "cache_read", "cache_write", "output_text", "output_reasoning", "input_tool")
_AGO: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhdw])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(slots=True)
class Used:
    """One client's request; ``t`` is unix seconds of its arrival, ``target`` where it led, ``model`` what it named."""

    t: float
    model: str = ""
    target: str = ""
    session: str = ""
    tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        """``{t, model, session?, tokens?}``."""
        line: dict[str, Any] = {"t": round(self.t, 3), "model": self.target or self.model}
        if self.session:
            line["session"] = self.session
        if self.tokens:
            line["tokens"] = self.tokens
        return line


def usage(folder: Path, listing: Listing, since: float = 0.0) -> list[Used]:
    """The requests that arrived since then (unix seconds), in that order; those whose model is not known are left out.

    ``listing`` counts the lines that could not be read.
    """
    found: dict[str, Used] = {}
    for file in own_files(folder):
        if file.written_at / 1e9 < since:
            continue
        for line in each_line(file.path, listing):
            if line.name not in _READ:
                continue
            entry = parsed(line.text)
            if entry is None:
                listing.broken += 1
                continue
            used = found.setdefault(line.request, Used(math.inf))
            if (at := number_of(entry.get("at"))) > 0:
                used.t = min(used.t, at - number_of(entry.get("ms")) / 1_000)
            _add(used, line.name, entry)
    kept = [(one.t, name) for name, one in found.items() if since <= one.t < math.inf and (one.model or one.target)]
    return [found[name] for _, name in sorted(kept)]


def _add(used: Used, name: str, entry: dict[str, Any]) -> None:
    if name == "client_request":
        used.model = text_of(entry.get("model"))
    elif name == "attempt":
        used.session = text_of(entry.get("session")) or used.session
        _lead(used, text_of(entry.get("provider")), text_of(entry.get("model")))
    elif name == "end":
        used.model = used.model or text_of(entry.get("model"))
        _lead(used, text_of(entry.get("provider")), text_of(entry.get("upstream_model")))
    elif isinstance(told := entry.get("usage"), dict):
        used.tokens = int(sum(max(0.0, number_of(told.get(bucket))) for bucket in _BUCKETS)) or used.tokens


def _lead(used: Used, provider: str, model: str) -> None:
    if provider and model:
        used.target = f"{provider}/{model}"


def moment(text: str, now: float) -> float:
    """Unix seconds of ``7d`` (so long before ``now``), ``2026-01-05``, ``2026-01-05T14:00`` (UTC) or unix seconds.

    Raises ValueError.
    """
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _UNIT_SECONDS[ago[2]]
    if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", text) and not re.fullmatch(r"[0-9]{8}", text):
        return float(text)
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
