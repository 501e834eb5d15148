"""Tool names as an upstream takes them, and back.  Source: protocols.md 6.4, 2.3 (namespaces, custom tools).

A name that fits is never changed. Any other is cleaned and ends in a hash of what it was, and the same request gives
the same names again, whatever the order of its tools.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from rotator.api import Request, ToolCall, ToolName

_FITTING = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_HASH_LENGTH = 8


class _Key(NamedTuple):
    """A tool as the client calls it.  Sorted, tools without a namespace come first."""

    namespace: str
    name: str

    @property
    def qualified(self) -> str:
        return f"{self.namespace}__{self.name}" if self.namespace else self.name


class ToolNames:
    """The names of one request's tools: declared, chosen and called in its history.

    Names on the wire are of ``[A-Za-z0-9_-]``, begin with a letter or ``_`` and have at most ``limit`` characters; no
    two declared tools share one. A tool in a namespace is called ``namespace__name`` there.
    """

    __slots__ = ("_customs", "_declared", "_limit", "_owners", "_wire")

    def __init__(self, request: Request, limit: int) -> None:
        self._limit = limit
        self._wire: dict[_Key, str] = {}
        self._owners: dict[str, _Key] = {}
        tools = [tool for tool in request.tools if tool.kind != "hosted"]
        called = [
            part
            for turn in request.turns
            if turn.role == "assistant"
            for part in turn.parts
            if type(part) is ToolCall
        ]
        self._declared = {_Key(tool.namespace, tool.name) for tool in tools}
        self._customs = {_Key(tool.namespace, tool.name) for tool in tools if tool.kind == "custom"}
        self._customs.update(_Key(call.namespace, call.name) for call in called if call.kind == "custom")
        used = {_Key("", name) for name in request.policy.names}
        used.update(_Key(call.namespace, call.name) for call in called)
        if not all(not key.namespace and self._fits(key.name) for key in self._declared | used):
            self._assign(self._declared)
            self._alias(used - self._declared)
            self._assign(used - self._declared - self._wire.keys(), sharing=True)

    def wire(self, name: str, namespace: str = "") -> str:
        """What the upstream is told; a name that is nowhere in the request is cleaned all the same."""
        key = _Key(namespace, name)
        found = self._wire.get(key)
        if found is not None:
            return found
        return key.qualified if self._fits(key.qualified) else self._hashed(key)

    def restore(self, emulated: Collection[str] = ()) -> Mapping[str, ToolName]:
        """Wire name -> the client's tool, where name, namespace or kind differ.

        ``emulated``: client names of custom tools that the upstream knows as functions.
        """
        names: dict[str, ToolName] = {}
        for wire, key in self._owners.items():
            if key.namespace or key.name != wire:
                names[wire] = ToolName(key.name, "function", key.namespace)
        for key in sorted(self._customs):
            if key.name in emulated:
                names[self.wire(key.name, key.namespace)] = ToolName(key.name, "custom", key.namespace)
        return names

    def _assign(self, keys: Iterable[_Key], sharing: bool = False) -> None:
        """Give wire names: what fits keeps its own, the others in the order of their names get what is free.

        ``sharing``: names that are used but not declared may be those of declared tools, as the client wrote them.
        """
        changing: list[_Key] = []
        for key in sorted(keys):
            if key.namespace or not self._fits(key.name):
                changing.append(key)
                continue
            self._wire[key] = key.name
            if not sharing:
                self._owners[key.name] = key
            else:
                self._owners.setdefault(key.name, key)
        for key in changing:
            wire, attempt = key.qualified, 0
            while not self._fits(wire) or wire in self._owners:
                wire, attempt = self._hashed(key, attempt), attempt + 1
            self._wire[key] = wire
            self._owners[wire] = key

    def _alias(self, keys: Iterable[_Key]) -> None:
        """A tool choice knows no namespaces: a bare name means the one tool that has it in any."""
        bare: dict[str, list[_Key]] = {}
        for key in self._declared:
            bare.setdefault(key.name, []).append(key)
        for key in keys:
            owners = bare.get(key.name, [])
            if not key.namespace and len(owners) == 1:
                self._wire[key] = self._wire[owners[0]]

    def _fits(self, name: str) -> bool:
        return len(name) <= self._limit and _FITTING.fullmatch(name) is not None

    def _hashed(self, key: _Key, attempt: int = 0) -> str:
        original = f"{key.namespace}\x00{key.name}" if key.namespace else key.name
        if attempt:
            original = f"{original}#{attempt}"
        digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
        cleaned = _FOREIGN.sub("_", key.qualified)
        if not _FITTING.match(cleaned):
            cleaned = f"_{cleaned}"
        return f"{cleaned[: self._limit - _HASH_LENGTH - 1]}_{digest}"
