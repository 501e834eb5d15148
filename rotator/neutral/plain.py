"""Neutral data as plain JSON, for the trace and for people: what is empty or nothing is left out."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from rotator.neutral.parts import written_path


def plain(value: Any) -> Any:
    """A request, part, answer or event as JSON objects that name their kind; anything else as it is."""
    if isinstance(value, type):
        return value.__name__
    if is_dataclass(value):
        return _object(type(value).__name__, {one.name: getattr(value, one.name) for one in fields(value)})
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _object(type(value).__name__, value._asdict())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _object(kind: str, members: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"kind_of": kind}
    for name, value in members.items():
        if name == "at":
            told["at"] = written_path(value)
        elif value is not None and value != () and value != {} and value != "":
            told[name] = plain(value)
    return told
