"""Tools under the names and in the kinds that the client declared.  Source: protocols.md 6.4, 2.3 (custom tools).

An upstream may have been told shorter names, and free-form tools as functions with one string. Here its calls become
those of the client's tools again: whole, and piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from rotator.neutral.codec import ToolName
from rotator.neutral.events import ArgumentsDelta, BlockEnd, BlockStart, Event
from rotator.neutral.parts import Part, ToolCall
from rotator.neutral.response import Response
from rotator.wire.jsontext import NotJson, dumps, loads

#: The one argument of the function that stands for a free-form tool.
INPUT: Final = "input"


def wrapped_input(text: str) -> str:
    """A custom call's input as the arguments of the function that stands for it."""
    return dumps({INPUT: text}).decode()


def unwrapped_input(arguments: str) -> str:
    """The input in such arguments; what a model wrote instead of them stays as it is."""
    try:
        # Halves of a character, as pieces may cut it, become the escapes that JSON has for them.
        value: Any = loads(arguments.encode("utf-8", "backslashreplace"))
    except NotJson:
        return arguments
    found = value.get(INPUT) if isinstance(value, dict) else None
    return found if isinstance(found, str) else arguments


def restored_call(call: ToolCall, names: Mapping[str, ToolName]) -> ToolCall:
    """A call as one of the client's own tools; an unknown name stays (protocols.md 6.4).

    Calls of tools that a vendor defined are named by their wire type, which is nobody's to choose.
    """
    own = names.get(call.name)
    if own is None or call.kind == "builtin":
        return call
    if own.kind == "custom" and call.kind == "function":
        call = replace(call, kind="custom", arguments=unwrapped_input(call.arguments))
    return replace(call, name=own.name, namespace=own.namespace)


def restored(response: Response, names: Mapping[str, ToolName]) -> Response:
    """A whole answer."""

    def own(part: Part) -> Part:
        return restored_call(part, names) if isinstance(part, ToolCall) else part

    candidates = tuple(replace(one, parts=tuple(map(own, one.parts))) for one in response.candidates)
    return replace(response, candidates=candidates)


class Restoring:
    """The same for a stream.  The input of an emulated custom tool is told whole, when its block ends."""

    __slots__ = ("_inputs", "_names", "held")

    def __init__(self, names: Mapping[str, ToolName]) -> None:
        self._names = names
        self._inputs: dict[int, list[str]] = {}
        self.held = 0  # characters of inputs that are not told yet

    def events(self, events: Iterable[Event]) -> list[Event]:
        """The events under the client's names."""
        shown: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block, ToolCall() as call):
                    own = restored_call(call, self._names)
                    if own.kind != call.kind:
                        self._inputs[block] = []
                    shown.append(event._replace(part=own))
                case ArgumentsDelta(block, text) if block in self._inputs:
                    self._inputs[block].append(text)
                    self.held += len(text)
                case BlockEnd(block) if block in self._inputs:
                    whole = "".join(self._inputs.pop(block))
                    self.held -= len(whole)
                    text = unwrapped_input(whole)
                    shown += [ArgumentsDelta(block, text)] if text else []
                    shown.append(event)
                case _:
                    shown.append(event)
        return shown
