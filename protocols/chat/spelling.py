"""What Chat spells in two ways, and how members that only Chat knows are kept.

The neutral model has one word for each of these. The type of the value remembers which way the client took, so that
its own protocol gets it back; for every other protocol it is the plain value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import CacheMark, Rest

from .._reading import Fields, refuse
from .._shared import fresh

NAME: Final = "chat"
NO_REST: Final[Rest] = {}


class Breakpoint(CacheMark):
    """A mark that was written as OpenAI's ``prompt_cache_breakpoint``.  Source: protocols.md 0.2 item 9, 2.6.

    A plain CacheMark was ``cache_control``, the extension that gateways to Claude take (protocols.md 2.8).
    """

    __slots__ = ()


class SafetyIdentifier(str):
    """A user id that was written as ``safety_identifier``, the successor of ``user``.  Source: protocols.md 2.6."""

    __slots__ = ()


def required_fields(fields: Fields, name: str) -> Fields:
    """An object that must be there, to be read in the same way."""
    return Fields(fields.mapping(name, required=True), (*fields.at, name))


def read_name(fields: Fields) -> str:
    """The name of a tool or function."""
    name = fields.word("name")
    if not name:
        refuse((*fields.at, "name"), "must not be empty")
    return name


def read_mark(value: Mapping[str, Any], fields: Fields) -> CacheMark | None:
    """The cache mark on an object; one of an unknown shape is left where it is."""
    for name, cls, member, word in _MARKS:
        written = value.get(name)
        if written is None or not isinstance(written, dict) or written.get(member) != word:
            continue
        ttl = written.get("ttl")
        if written.keys() <= {member, "ttl"} and (ttl is None or isinstance(ttl, str)):
            fields.drop(name)
            return cls(ttl)
    return None


def put_mark(wire: dict[str, Any], mark: CacheMark | None) -> None:
    """The mark as the client spelt it."""
    if mark is None:
        return
    native = isinstance(mark, Breakpoint)
    written = {"mode": "explicit"} if native else {"type": "ephemeral"}
    if mark.ttl is not None:
        written["ttl"] = mark.ttl
    wire["prompt_cache_breakpoint" if native else "cache_control"] = written


def nested(rest: Rest, **inner: Rest) -> Rest:
    """What nobody read of an object, and of the objects in it under their names."""
    left = {name: below for name, below in inner.items() if below}
    return {**rest, **left} if left else rest


def put_rest(wire: dict[str, Any], rest: Rest) -> None:
    """Members as :func:`nested` holds them; an object goes into the one that is there under its name."""
    for name, value in rest.items():
        there = wire.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            put_rest(there, value)
        else:
            wire[name] = fresh(value)


_MARKS: Final = (
    ("cache_control", CacheMark, "type", "ephemeral"),
    ("prompt_cache_breakpoint", Breakpoint, "mode", "explicit"),
)
