"""Turns -> ``system`` and ``messages`` for an upstream.  Source: protocols.md 2.1, 2.3, 2.9 ("To Anthropic" 2 to 13).

A Messages client's own turns come back as it sent them. Those of any other client are brought into the order that the
API demands: a user's turn first, same roles merged, all results of an assistant's turn in the message behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rotator.api import Ledger, Media, Path, Request, ToolCall, ToolResult, Turn

from .._ids import CallIds
from .._names import ToolNames
from .._reading import refuse
from .._shared import fresh
from .build_parts import Block, Blocks, only_text
from .vocabulary import ID_RULE

STEP = "messages.build.turns"
#: A user's turn where the client had none to begin with.
FIRST = "Continue."
#: The content of the result that a call lacks.
MISSING = "tool result missing"
#: What stands before a result that belongs to no call.
ORPHAN = "Result of a tool call that is not in this conversation:"


@dataclass(slots=True)
class _Message:
    """One message in the making.  ``results``: those of an assistant's calls, by their wire id."""

    role: Literal["user", "assistant", "system"]
    at: Path
    blocks: list[Block] = field(default_factory=list)
    calls: dict[str, Path] = field(default_factory=dict)
    results: dict[str, Block] = field(default_factory=dict)


# ---------------------------------------------------------------- the own protocol


def own_turns(request: Request, blocks: Blocks) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of ``system`` and the messages, as a Messages client sent them."""
    system: list[Block] = []
    messages: list[dict[str, Any]] = []
    held: dict[str, Any] | None = None  # results whose message may go on with the user's words
    leading = request.leading
    for place, turn in enumerate(request.turns):
        if place < leading and turn.at[:1] != ("messages",):
            system += _own_blocks(turn, blocks)
            continue
        written = _own_blocks(turn, blocks)
        if held is not None and turn.role == "user" and written and len(held) == 2:
            held["content"] += written
            held.update(fresh(turn.rest))
            held = None
            continue
        message = _own_message(turn, written)
        held = message if turn.role == "tool" else None
        messages.append(message)
    return system, messages


def _own_message(turn: Turn, written: list[Block]) -> dict[str, Any]:
    rest = fresh(turn.rest)
    if turn.role == "tool":
        return {"role": "user", "content": written, **rest}
    if turn.role in ("system", "developer"):
        content = {"content": only_text(written)} if written or not rest else {}
        return {"role": "system", **content, **rest}
    return {"role": turn.role, "content": only_text(written), **rest}


def _own_blocks(turn: Turn, blocks: Blocks) -> list[Block]:
    written: list[Block | None] = []
    for part in turn.parts:
        if isinstance(part, ToolCall):
            written.append(blocks.call(part, part.id, part.name))
        elif isinstance(part, ToolResult):
            written.append(blocks.result(part, part.call_id))
        else:
            written.append(blocks.of(part))
    return [block for block in written if block is not None]


# ---------------------------------------------------------------- other protocols


def foreign_turns(
    request: Request, blocks: Blocks, names: ToolNames, mid_system: str, ledger: Ledger
) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of ``system`` and the messages for another protocol's client.  Raises Refused if nothing is left."""
    system: list[Block] = []
    for turn in request.turns[: request.leading]:
        system += _instructions(turn, blocks, ledger)
    conversation = _Conversation(blocks, names, mid_system, ledger)
    for place in range(request.leading, len(request.turns)):
        conversation.add(place, request.turns[place])
    messages = conversation.written()
    if not messages and (not system or request.leading < len(request.turns)):
        at = request.turns[-1].at if request.turns else ()
        refuse(at or ("messages",), "the conversation is empty")
    _end_of_assistant(messages, conversation.last_at, ledger)
    if not messages or messages[0]["role"] != "user":
        messages.insert(0, {"role": "user", "content": FIRST})
        ledger.lose("turn.added")
        ledger.note(STEP, "turn.added")
    return system, messages


def _instructions(turn: Turn, blocks: Blocks, ledger: Ledger) -> list[Block]:
    """The text blocks of a system or developer turn."""
    _lose_of_turn(turn, ledger)
    for part in turn.parts:
        if isinstance(part, Media):
            refuse(part.at, "instructions hold text only")
    return _named(turn, blocks.all(turn.parts), ledger)


def _named(turn: Turn, written: list[Block], ledger: Ledger) -> list[Block]:
    """The blocks behind the name of who speaks, as in a script of a play (protocols.md 2.1, "User turn")."""
    if not turn.name or not written:
        return written
    ledger.lose("message.name", (*turn.at, "name"))
    first = written[0]
    if first["type"] != "text":
        return [_text(f"{turn.name}:"), *written]
    return [{**first, "text": f"{turn.name}: {first['text']}"}, *written[1:]]


def _lose_of_turn(turn: Turn, ledger: Ledger) -> None:
    if turn.rest:
        if "annotations" in turn.rest:  # citations that only answers may hold (P-97)
            ledger.lose("citations.history")
        ledger.lose_rest(turn.rest, turn.at, ("annotations",))
    if turn.phase is not None:
        ledger.note(STEP, "turn.phase", turn.at)


class _Conversation:
    """Takes turns in their order and writes the messages when all are there."""

    def __init__(self, blocks: Blocks, names: ToolNames, mid_system: str, ledger: Ledger) -> None:
        self._blocks = blocks
        self._names = names
        self._mid_system = mid_system
        self._ledger = ledger
        self._ids = CallIds(ID_RULE, unique=True)
        self._messages: list[_Message] = []
        self._owners: dict[str, _Message] = {}  # wire id of a call -> the message that holds it
        self._latest: _Message | None = None  # the last assistant's message

    @property
    def last_at(self) -> Path:
        """Where the last message comes from."""
        return self._messages[-1].at if self._messages else ()

    def add(self, place: int, turn: Turn) -> None:
        """One turn; of one that says nothing, nothing is written."""
        if turn.role in ("system", "developer"):
            self._remind(turn)
        elif turn.role == "assistant":
            _lose_of_turn(turn, self._ledger)
            self._assistant(place, turn)
        elif turn.role == "tool":
            _lose_of_turn(turn, self._ledger)
            for part in turn.parts:
                if isinstance(part, ToolResult):
                    self._result(part)
        else:
            _lose_of_turn(turn, self._ledger)
            self._append("user", turn.at, _named(turn, self._blocks.all(turn.parts), self._ledger))

    def _remind(self, turn: Turn) -> None:
        """Instructions in mid-conversation, at their place (protocols.md 2.1; hoisting them would change the order)."""
        written = _instructions(turn, self._blocks, self._ledger)
        if self._mid_system == "role":
            self._append("system", turn.at, written)
        elif written:
            text = "\n\n".join(block["text"] for block in written)
            self._ledger.note(STEP, "turn.reminder", turn.at)
            reminder = _text(f"<system-reminder>\n{text}\n</system-reminder>")
            marks = [block["cache_control"] for block in written if "cache_control" in block]
            if marks:
                reminder["cache_control"] = marks[-1]
            self._append("user", turn.at, [reminder])

    def _append(self, role: Literal["user", "system"], at: Path, blocks: list[Block]) -> None:
        """Blocks behind those of the same role (protocols.md 2.9 step 7)."""
        if not blocks:
            self._ledger.note(STEP, "turn.dropped", at)
        elif self._messages and self._messages[-1].role == role:
            self._ledger.note(STEP, "turn.merged", at)
            self._messages[-1].blocks += blocks
        else:
            self._messages.append(_Message(role, at, blocks))

    def _assistant(self, place: int, turn: Turn) -> None:
        called: list[tuple[str, ToolCall]] = []
        written: list[Block] = []
        for index, part in enumerate(turn.parts):
            if isinstance(part, Media):
                refuse(part.at, "an assistant's turn holds text and calls only")
            if isinstance(part, ToolCall):
                id_ = self._ids.call(part.id, (place, index), part.name, part.arguments)
                called.append((id_, part))
                if id_ != part.id:
                    self._ledger.note("messages.build.ids", "call.renamed", part.at)
                name = self._names.wire(part.name, part.namespace)
                written.append(self._blocks.call(part, id_, name))
            elif (block := self._blocks.of(part)) is not None:
                written.append(block)
        if not written:
            self._ledger.note(STEP, "turn.dropped", turn.at)
            return
        message = self._open(turn)
        message.blocks += _named(turn, written, self._ledger)
        for id_, part in called:
            message.calls[id_] = part.at
            self._owners[id_] = message

    def _open(self, turn: Turn) -> _Message:
        """The message that an assistant's turn goes into: the last one, unless results came since."""
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant" and not last.results:
            self._ledger.note(STEP, "turn.merged", turn.at)
            return last
        self._latest = _Message("assistant", turn.at)
        self._messages.append(self._latest)
        return self._latest

    def _result(self, part: ToolResult) -> None:
        """A result goes to the message behind its call's, wherever it came (P-52, P-76)."""
        id_ = self._ids.result(part.call_id, part.name)
        if id_ is None:
            self._orphan(part)
            return
        owner = self._owners[id_]
        if owner is not self._latest or self._messages[-1] is not owner:
            self._ledger.note(STEP, "result.moved", part.at)
        if owner.results.pop(id_, None) is not None:
            self._ledger.lose("result.duplicate", part.at)
        owner.results[id_] = self._blocks.result(part, id_)

    def _orphan(self, part: ToolResult) -> None:
        """A result without a call is a user's text (protocols.md 2.3, "Orphan result")."""
        self._ledger.lose("result.orphan", part.at)
        content = self._blocks.all(part.parts)
        first = content.pop(0) if content and content[0]["type"] == "text" else _text("(no text)")
        self._append("user", part.at, [{**first, "text": f"{ORPHAN}\n{first['text']}"}, *content])

    def written(self) -> list[dict[str, Any]]:
        """The messages, results first in the one behind their calls (P-55)."""
        found: list[dict[str, Any]] = []
        results: list[Block] = []
        for message in self._messages:
            content = message.blocks
            if message.role == "user":
                content, results = results + content, []
            elif results:
                found.append({"role": "user", "content": results})
                results = []
            if message.calls:
                content = self._calls_last(message)
                results = self._answered(message)
            found.append({"role": message.role, "content": only_text(content)})
        if results:
            found.append({"role": "user", "content": results})
        return found

    def _answered(self, message: _Message) -> list[Block]:
        """The results of all calls; an error stands for a missing one (protocols.md 2.3, "Orphan call")."""
        for id_, at in message.calls.items():
            if id_ not in message.results:
                self._ledger.lose("call.orphan", at)
                message.results[id_] = {
                    "type": "tool_result",
                    "tool_use_id": id_,
                    "content": MISSING,
                    "is_error": True,
                }
        return list(message.results.values())

    def _calls_last(self, message: _Message) -> list[Block]:
        """Text behind a call would be read as the beginning of an answer (protocols.md 2.4 R14)."""
        ordered = sorted(message.blocks, key=_is_call)
        if any(one is not other for one, other in zip(ordered, message.blocks, strict=True)):
            self._ledger.lose("turn.order")
            self._ledger.note(STEP, "turn.order", message.at)
        return ordered


def _is_call(block: Mapping[str, Any]) -> bool:
    return bool(block["type"] == "tool_use")


def _end_of_assistant(messages: list[dict[str, Any]], at: Path, ledger: Ledger) -> None:
    """Trim an assistant's last words: the API refuses white space at their end (protocols.md 2.1, "Empty text")."""
    if not messages or messages[-1]["role"] != "assistant":
        return
    ledger.lose("turn.prefill", at)
    content = messages[-1]["content"]
    if isinstance(content, str):
        messages[-1]["content"] = content.rstrip()
    else:
        content[-1]["text"] = content[-1]["text"].rstrip()


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
