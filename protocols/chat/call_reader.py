"""The tool calls of one streamed candidate, put together from what vendors send.  Source: protocols.md 4.3, 4.8, 5.4.

OpenAI tells a call's index with each piece, and its id and name once. Others leave out ids or indexes, repeat names,
give all calls the index 0, send calls whole, or pieces of several calls in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rotator.api import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    Event,
    Ledger,
    NotJson,
    Rest,
    State,
    StateSeen,
    ToolCall,
    loads,
)

from .answer_parts import arguments_of, call_rest, made_id, signature_of, word
from .spelling import NO_REST


class _Call:
    """``id`` is the vendor's, "" where it told none; ``block`` is -1 until there is enough to announce the call."""

    __slots__ = ("block", "closed", "custom", "id", "name", "pieces", "rest", "signature")

    def __init__(self, id: str, custom: bool, rest: Rest) -> None:
        self.id = id
        self.custom = custom
        self.rest = rest
        self.name = ""
        self.signature = ""
        self.block = -1
        self.closed = False
        self.pieces: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether the arguments so far are a whole JSON object; nobody can tell of free text."""
        last = next((piece for piece in reversed(self.pieces) if piece.strip()), "")
        if self.custom or not last.rstrip().endswith("}"):
            return False  # most looks at a call that goes on end here
        text = "".join(self.pieces)
        if not text.lstrip().startswith("{"):
            return False
        try:
            loads(text.encode("utf-8", "surrogatepass"))
        except NotJson:
            return False
        return True


class CallReader:
    """``answer`` is the answer's id, ``numbers`` gives the numbers of new blocks."""

    __slots__ = ("_answer", "_calls", "_candidate", "_known", "_latest", "_ledger", "_legacy", "_numbers", "_started")

    def __init__(self, answer: str, candidate: int, numbers: Iterator[int], ledger: Ledger) -> None:
        self._answer = answer
        self._candidate = candidate
        self._numbers = numbers
        self._ledger = ledger
        self._calls: list[_Call] = []
        self._latest: dict[int | None, _Call] = {}
        self._known: dict[tuple[int | None, str], _Call] = {}
        self._legacy: _Call | None = None
        self._started = 0

    def __bool__(self) -> bool:
        """Whether a call was announced."""
        return self._started > 0

    def piece(self, delta: dict[str, Any]) -> ArgumentsDelta | None:
        """The event of a delta that holds nothing but more arguments of one open call."""
        fragments = delta.get("tool_calls")
        if type(fragments) is not list or len(fragments) != 1:
            return None
        fragment = fragments[0]
        if type(fragment) is not dict or len(fragment) != 2:
            return None
        index, told = fragment.get("index"), fragment.get("function")
        if type(index) is not int or type(told) is not dict or len(told) != 1:
            return None
        call, text = self._latest.get(index), told.get("arguments")
        if call is None or call.block < 0 or call.closed or type(text) is not str or not text:
            return None
        call.pieces.append(text)
        return ArgumentsDelta(call.block, text)

    def read(self, fragment: Mapping[str, Any], events: list[Event]) -> None:
        """One entry of ``delta.tool_calls``."""
        custom = fragment.get("custom")
        told = custom if isinstance(custom, dict) else fragment.get("function")
        told = told if isinstance(told, dict) else {}
        name = word(told.get("name"))
        text = arguments_of(told.get("input" if told is custom else "arguments"))
        call = self._of(fragment, name, text, told is custom, events)
        call.name = call.name or name  # P-11: the first name counts
        self._add(call, text, events)
        signature = signature_of(fragment)
        if signature and call.block < 0:
            call.signature = signature
        elif signature and not call.closed:
            events.append(StateSeen(call.block, State("signature", signature)))

    def read_legacy(self, told: Mapping[str, Any], events: list[Event]) -> None:
        """``delta.function_call``: one call, without an id.  Where calls come as well they are the same one."""
        if self._legacy is None:
            if self._calls:
                return
            self._legacy = _Call("", False, NO_REST)
            self._calls.append(self._legacy)
        self._legacy.name = self._legacy.name or word(told.get("name"))
        self._add(self._legacy, arguments_of(told.get("arguments")), events)

    def settle(self, events: list[Event]) -> None:
        """Something else begins: calls that are complete end, others may go on."""
        for call in self._calls:
            if call.block >= 0 and not call.closed and call.complete:
                self._end(call, events)

    def close(self, events: list[Event]) -> None:
        """The candidate is over: what waited for an id is told, what never got a name is not."""
        for call in self._calls:
            if call.block < 0 and call.name:
                self._start(call, events)
            if call.block < 0:
                self._ledger.lose("answer.call")
            elif not call.closed:
                if call.pieces and not call.custom and not call.complete:
                    self._ledger.lose("arguments.invalid")
                self._end(call, events)

    def _of(self, fragment: Mapping[str, Any], name: str, text: str, custom: bool, events: list[Event]) -> _Call:
        """The call that a fragment belongs to; a new one ends those that are complete."""
        index, id = fragment.get("index"), word(fragment.get("id"))
        index = index if type(index) is int else None
        call = self._latest.get(index)
        if call is not None and id and call.id and id != call.id:
            call = self._known.get((index, id))  # other calls have this index too
        elif call is not None and not (id and id == call.id) and _another(call, index, name, text):
            call = None
        if call is None:
            self.settle(events)
            return self._new(index, id, custom, call_rest(fragment))
        if id and not call.id:
            call.id = id  # too late to be told if the call was announced
            self._known[index, id] = call
        self._latest[index] = call
        return call

    def _new(self, index: int | None, id: str, custom: bool, rest: Rest) -> _Call:
        call = _Call(id, custom, rest)
        self._calls.append(call)
        self._latest[index] = call
        if id:
            self._known[index, id] = call
        return call

    def _add(self, call: _Call, text: str, events: list[Event]) -> None:
        """Arguments; a call is announced once it has a name and either an id or the first of them."""
        if call.closed:
            if text.strip():
                self._ledger.lose("answer.late")
            return
        if text:
            call.pieces.append(text)
        if call.block < 0:
            if call.name and (call.id or call.pieces):
                self._start(call, events)
        elif text:
            events.append(ArgumentsDelta(call.block, text))

    def _start(self, call: _Call, events: list[Event]) -> None:
        call.block = next(self._numbers)
        id = call.id or made_id(self._answer, self._candidate, self._started, call.name)
        self._started += 1
        part = ToolCall(id, call.name, kind="custom" if call.custom else "function", rest=call.rest)
        events.append(BlockStart(call.block, part, self._candidate))
        if call.signature:
            events.append(StateSeen(call.block, State("signature", call.signature)))
        if call.pieces:
            events.append(ArgumentsDelta(call.block, "".join(call.pieces)))

    def _end(self, call: _Call, events: list[Event]) -> None:
        events.append(BlockEnd(call.block))
        call.closed = True
        call.pieces = []


def _another(call: _Call, index: int | None, name: str, text: str) -> bool:
    """Whether a named fragment begins a call of its own, though nothing but the name says so.

    That is so where neither tells an index and the names differ, and where the call before is complete.
    """
    if not name or not call.name or (call.closed and not text and name == call.name):
        return False
    if index is None and name != call.name:
        return True
    return (call.closed or call.complete) and (bool(text.strip()) or name != call.name)
