"""Tool names as an upstream takes them, and back.  Source: protocols.md 6.4, 2.3 (namespaces, custom tools).

A name that fits is never changed. Any other is cleaned and ends in a hash of what it was; the same tools get the same
names, whatever their order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping

from rotator.api import Request, ToolCall, ToolName, Turn

_FITTING = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_HASH_LENGTH = 8

#: Namespace and name, as the client calls a tool; sorted, those without a namespace come first.
_Key = tuple[str, str]


class ToolNames:
    """The names of one request's tools: declared, chosen and called in its history.

    Names on the wire are of ``[A-Za-z0-9_-]``, begin with a letter or ``_`` and have at most ``limit`` characters. No
    two declared tools share one. A tool in a namespace is called ``namespace__name`` there.
    """

    __slots__ = ("_customs", "_limit", "_owners", "_wire")

    def __init__(self, request: Request, limit: int) -> None:
        self._limit = limit
        self._wire: dict[_Key, str] = {}
        self._owners: dict[str, _Key] = {}
        self._customs: set[_Key] = set()
        declared: set[_Key] = set()
        for tool in request.tools:
            if not tool.by_vendor:
                declared.add((tool.namespace, tool.name))
                if tool.kind == "custom":
                    self._customs.add((tool.namespace, tool.name))
        used = {("", name) for name in request.policy.names}
        for turn in request.turns:
            if turn.role == "assistant":
                self._called(turn, used)
        if all(not namespace and self._fits(name) for namespace, name in declared | used):
            return
        self._assign(declared)
        self._alias(used - declared, declared)
        self._assign(used - self._wire.keys())

    def _called(self, turn: Turn, used: set[_Key]) -> None:
        for part in turn.parts:
            if type(part) is ToolCall:
                used.add((part.namespace, part.name))
                if part.kind == "custom":
                    self._customs.add((part.namespace, part.name))

    def wire(self, name: str, namespace: str = "") -> str:
        """What the upstream is told; a name that is nowhere in the request is cleaned all the same."""
        key = (namespace, name)
        found = self._wire.get(key)
        if found is not None:
            return found
        qualified = _qualified(key)
        return qualified if self._fits(qualified) else self._hashed(key)

    def restore(self, emulated: Collection[str] = ()) -> Mapping[str, ToolName]:
        """Wire name -> the client's tool, where name, namespace or kind differ.

        ``emulated``: client names of custom tools that the upstream knows as functions.
        """
        names: dict[str, ToolName] = {}
        for wire, (namespace, name) in self._owners.items():
            if name != wire:
                names[wire] = ToolName(name, "function", namespace)
        for namespace, name in sorted(self._customs) if emulated else ():
            if name in emulated:
                names[self.wire(name, namespace)] = ToolName(name, "custom", namespace)
        return names

    def _assign(self, keys: Iterable[_Key]) -> None:
        """Give wire names.  What fits keeps its own; others take, in the order of their names, what is free.

        A name that is used and not declared may be that of a declared tool on the wire: it is the same tool then.
        """
        changing: list[_Key] = []
        for key in sorted(keys):
            if key[0] or not self._fits(key[1]):
                changing.append(key)
            else:
                self._wire[key] = key[1]
                self._owners.setdefault(key[1], key)
        for key in changing:
            wire, attempt = _qualified(key), 0
            while wire in self._owners or not self._fits(wire):
                wire, attempt = self._hashed(key, attempt), attempt + 1
            self._wire[key] = wire
            self._owners[wire] = key

    def _alias(self, used: Iterable[_Key], declared: Iterable[_Key]) -> None:
        """A tool choice knows no namespaces: a bare name means the one tool that has it in any."""
        owners: dict[str, list[_Key]] = {}
        for key in declared:
            owners.setdefault(key[1], []).append(key)
        for key in used:
            named = owners.get(key[1], [])
            if not key[0] and len(named) == 1:
                self._wire[key] = self._wire[named[0]]

    def _fits(self, name: str) -> bool:
        return len(name) <= self._limit and _FITTING.fullmatch(name) is not None

    def _hashed(self, key: _Key, attempt: int = 0) -> str:
        qualified = _qualified(key)
        original = "\x00".join(key) if key[0] else qualified
        if attempt:
            original = f"{original}#{attempt}"
        digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
        cleaned = _FOREIGN.sub("_", qualified)
        if not _FITTING.match(cleaned):
            cleaned = f"_{cleaned}"
        return f"{cleaned[: self._limit - _HASH_LENGTH - 1]}_{digest}"


def _qualified(key: _Key) -> str:
    return f"{key[0]}__{key[1]}" if key[0] else key[1]
