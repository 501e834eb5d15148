"""The turns of another protocol's client as messages.  Source: protocols.md 2.9 ("To Chat"), 2.3, 2.4.

Chat wants the results of an assistant's calls directly behind its message, one for each call; everything else may stand
in any order. So each assistant's message is kept together with its calls until all turns were read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rotator.api import (
    Ledger,
    Media,
    Opaque,
    Path,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    dumps,
)

from .._ids import CallIds, IdRule
from .._names import ToolNames
from .._reading import refuse
from .answer_parts import is_proved, unsealed, written_signature
from .build_media import Wire
from .build_parts import Content
from .dialect import ChatDialect
from .think_tags import tagged

STEP: Final = "chat.build.turns"

#: Longer ids are refused (string_above_max_length).  Source: protocols.md 6.3, row "Chat".
IDS: Final = IdRule(re.compile(r"[!-~]+"), 40, "call_")

#: Behind an assistant's beginning that the model is to go on with (protocols.md 2.1, "prefill").
GO_ON: Final = "Continue."
#: What a call without a result is given (protocols.md 2.3, "Orphan call"), and a failure that said nothing.
NO_RESULT: Final = "The result of this tool call is missing."
FAILED: Final = "The tool call failed without a message."


#: A call that the model made itself, as all are here.  Source: protocols.md 2.3, "Programmatic calling".
DIRECT: Final = {"type": "direct"}


class Called(NamedTuple):
    """A call on the wire; ``name`` is the wire's."""

    wire: Wire
    name: str
    at: Path


class Given(NamedTuple):
    """A call's tool message, and the content that it cannot hold: it goes into a user's message behind all of them."""

    message: Wire
    moved: list[Wire]


@dataclass(slots=True)
class Step:
    """An assistant's message under way, its calls and their results by wire id.

    ``runs`` are texts: those in one run were written without anything between. ``moved``: content for the user's
    message behind it. ``mark``: the last text with a cache breakpoint, which stands behind the whole content.
    """

    turn: Turn
    runs: list[list[str]] = field(default_factory=list)
    mark: Text | None = None
    refusals: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    details: list[Wire] = field(default_factory=list)
    calls: dict[str, Called] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    results: dict[str, Given] = field(default_factory=dict)
    moved: list[Wire] = field(default_factory=list)
    parted: bool = True

    def say(self, text: str) -> None:
        """Text directly behind text goes on with it."""
        if self.parted:
            self.runs.append([])
            self.parted = False
        self.runs[-1].append(text)

    def empty(self) -> bool:
        """Whether nothing is said at all."""
        return not (self.runs or self.refusals or self.thoughts or self.details or self.calls)

    def message(self, reasoning: str) -> Wire:
        """Content is a string, or null beside calls.  Source: protocols.md 2.9 ("To Chat").

        ``reasoning`` is the dialect's word for how thoughts are told.
        """
        nothing = None if self.calls or self.refusals else ""
        content = "\n\n".join(map("".join, self.runs)) if self.runs else nothing
        thoughts = "\n\n".join(self.thoughts)
        if thoughts and reasoning == "think_tags":
            content, thoughts = tagged(thoughts) + (content or ""), ""
        message: Wire = {"role": "assistant", "content": content}
        if self.turn.name:
            message["name"] = self.turn.name
        if self.refusals:
            message["refusal"] = "\n\n".join(self.refusals)
        if thoughts:
            message[reasoning] = thoughts
        if self.details:
            message["reasoning_details"] = self.details
        if self.calls:
            message["tool_calls"] = [call.wire for call in self.calls.values()]
        return message


class History:
    """Writes the messages of one request."""

    __slots__ = ("_content", "_dialect", "_ids", "_ledger", "_names", "_request", "_steps", "_told")

    def __init__(self, request: Request, names: ToolNames, dialect: ChatDialect, ledger: Ledger) -> None:
        self._request = request
        self._names = names
        self._dialect = dialect
        self._ledger = ledger
        self._content = Content(request, dialect, ledger)
        self._ids = CallIds(IDS, unique=False)
        self._steps: dict[str, Step] = {}  # wire id -> the last message that has such a call
        self._told: list[Wire | Step] = []

    def messages(self) -> list[Wire]:
        """All of them.  Raises Refused where nothing is left to be told, or content has no place here."""
        turns = self._request.turns
        newest = max((place for place, turn in enumerate(turns) if turn.role in ("user", "tool")), default=-1)
        for place, turn in enumerate(turns):
            if turn.rest and self._is_cleared(turn, place < newest):
                continue
            if turn.role == "assistant":
                self._assistant(place, turn)
            elif turn.role == "tool":
                for part in turn.parts:
                    if isinstance(part, ToolResult):
                        self._result(part)
            else:
                self._speech(turn)
        if not self._told:
            refuse(("messages",), "say nothing that Chat Completions can tell")
        last = self._told[-1]
        if isinstance(last, Step) and not last.calls:
            self._ledger.lose("turn.prefill", last.turn.at)
            self._told.append({"role": "user", "content": GO_ON})
        messages: list[Wire] = []
        for told in self._told:
            if isinstance(told, Step):
                self._unfold(told, messages)
            else:
                messages.append(told)
        return messages

    def _is_cleared(self, turn: Turn, past: bool) -> bool:
        """What only Messages says of a turn: whether it is not shown any more (``past``: a user spoke behind it), and
        the effort, which is among the request's wishes.  Source: anthropic types, BetaSystemMessageParam.
        """
        if past and turn.rest.get("clear_at") == "next_user_message":
            self._ledger.note(STEP, "turn.cleared", turn.at)
            return True
        config = turn.rest.get("output_config")
        wished = isinstance(config, dict) and config.keys() <= {"effort"}
        self._ledger.lose_rest(turn.rest, turn.at, ("clear_at", "output_config") if wished else ("clear_at",))
        return False

    def _speech(self, turn: Turn) -> None:
        """What a user says, or an instruction."""
        wire = self._content.wire(turn.parts)
        role = spoken_role(turn, self._dialect, self._ledger)
        if turn.role != "user" and any(part["type"] != "text" for part in wire):
            refuse(next(part.at for part in turn.parts if isinstance(part, Media)), "instructions must be text")
        if not wire:
            self._ledger.note(STEP, "turn.empty", turn.at)
            return
        message: Wire = {"role": role, "content": self._content.folded(wire)}
        if turn.name:
            message["name"] = turn.name
        self._told.append(message)

    def _assistant(self, place: int, turn: Turn) -> None:
        if turn.phase is not None:
            self._ledger.note(STEP, "turn.phase", turn.at)
        last = self._told[-1] if self._told else None
        if isinstance(last, Step) and self._awaited(last, place):
            step = last
            step.parted = True
            self._ledger.note(STEP, "turn.merged", turn.at, step.turn.at)
        else:
            step = Step(turn)
        for number, part in enumerate(turn.parts):
            if isinstance(part, Text):
                self._say(step, part)
                continue
            step.parted = True
            if isinstance(part, ToolCall):
                self._call(step, (place, number), part)
            elif isinstance(part, Opaque):
                self._opaque(step, part)
            elif isinstance(part, Media):
                self._medium(step, part)
            elif isinstance(part, Reasoning):
                self._reason(step, part)
            elif isinstance(part, Refusal):
                step.refusals.append(part.text)
                self._ledger.lose_rest(part.rest, part.at)
        if self._dialect.reasoning_history == "reasoning_details" and not step.details and any(
            isinstance(part, Reasoning) and part.text for part in turn.parts
        ):
            self._ledger.lose("reasoning.history")
        if step.empty():
            self._ledger.note(STEP, "turn.empty", turn.at)
        elif step is not last:
            self._told.append(step)

    def _awaited(self, step: Step, place: int) -> bool:
        """Whether results of a message's calls come right behind the assistant's turns that follow it."""
        if self._request.turns[place - 1].role != "assistant":
            return False
        for turn in self._request.turns[place:]:
            if turn.role == "assistant":
                continue
            results = turn.parts if turn.role == "tool" else ()
            return any(isinstance(part, ToolResult) and part.call_id in step.ids for part in results)
        return False

    def _say(self, step: Step, part: Text) -> None:
        if step.calls:
            self._ledger.lose("turn.order", part.at)
        self._content.lose_beside(part)
        step.say(part.text)
        if part.cache is not None:
            step.mark = part

    def _opaque(self, step: Step, part: Opaque) -> None:
        """Its words, if it has any."""
        text = self._content.words(part)
        if text:
            step.say(text)
            step.parted = True

    def _medium(self, step: Step, part: Media) -> None:
        """An assistant's message holds text only."""
        for wire in self._content.media(part):
            step.say(_placed(wire))
            step.parted = True
            if wire["type"] != "text":
                step.moved.append(wire)
                self._ledger.lose("part.media_moved", part.at)

    def _reason(self, step: Step, part: Reasoning) -> None:
        """Words as the dialect has them; of state only what this vendor is proved to have made.

        Source: protocols.md 2.4 R2, R10; conversion-pitfalls.md P131.
        """
        history = self._dialect.reasoning_history
        if history == "drop":
            if part.text or part.state is not None:
                self._ledger.lose("reasoning.history")
            return
        details: list[Wire] = []
        if history != "reasoning_details":
            step.thoughts += [part.text] if part.text else []
        elif is_proved(part.state):
            details = unsealed(part.state)  # the vendor's entries, their words among them
            step.details += details
        if part.state is not None and not details:
            self._ledger.lose("reasoning.state")
        self._ledger.lose_rest(part.rest, part.at)

    def _call(self, step: Step, place: tuple[int, int], part: ToolCall) -> None:
        """Tools that the client runs for a vendor are told as functions of their names."""
        id = self._ids.call(part.id, place, part.name, part.arguments)
        if id != part.id:
            self._ledger.note("chat.build.ids", "id.changed", part.at)
        name = self._names.wire(part.name, part.namespace)
        if part.kind == "custom":
            wire = {"id": id, "type": "custom", "custom": {"name": name, "input": part.arguments}}
        else:
            function = {"name": name, "arguments": part.arguments or "{}"}
            wire = {"id": id, "type": "function", "function": function}
        if part.state is not None and is_proved(part.state) and part.state.kind == "signature":
            wire["extra_content"] = written_signature(part.state.value)
        elif part.state is not None:
            self._ledger.lose("reasoning.state")
        self._content.mark(wire, part.cache, part.at)
        step.calls[id] = Called(wire, name, part.at)
        step.ids.add(part.id)
        self._steps[id] = step
        self._lose_beside(part)

    def _result(self, part: ToolResult) -> None:
        self._lose_beside(part)
        wire = self._content.wire(part.parts)
        id = self._ids.result(part.call_id, part.name)
        step = self._steps.get(id) if id is not None else None
        if id is None or step is None:
            self._ledger.lose("result.orphan", part.at)
            heading = f"The result of a tool call that is not in this conversation ({part.name or part.call_id}):"
            wire.insert(0, {"type": "text", "text": heading})
            self._content.mark(wire[-1], part.cache, part.at)
            self._told.append({"role": "user", "content": self._content.folded(wire)})
            return
        if id in step.results:
            self._ledger.lose("result.duplicate", part.at)
        if self._told[-1] is not step:
            self._ledger.note(STEP, "result.moved", part.at, step.turn.at)
        moved = [one for one in wire if one["type"] != "text"]
        if moved:
            self._ledger.lose("result.media_moved", part.at)
            moved.insert(0, {"type": "text", "text": f"From the result of {step.calls[id].name} ({id}):"})
        words = [one if one["type"] == "text" else {"type": "text", "text": _placed(one)} for one in wire]
        if part.is_error:
            words = self._failed(words, part)
        if words:
            self._content.mark(words[-1], part.cache, part.at)
        content = self._content.folded(words)
        step.results[id] = Given({"role": "tool", "tool_call_id": id, "content": content}, moved)

    def _failed(self, words: list[Wire], part: ToolResult) -> list[Wire]:
        """What a failed call gave.  An error that looks like this is never taken for a flag on the way back (P81)."""
        if self._dialect.tool_errors == "plain" and words:
            self._ledger.lose("result.error_flag", part.at)
            return words
        told = "\n\n".join(word["text"] for word in words) or FAILED
        wire: Wire = {**(words[-1] if words else {"type": "text"}), "text": dumps({"error": told}).decode()}
        return [wire]

    def _unfold(self, step: Step, messages: list[Wire]) -> None:
        """A message, the results of its calls, and what neither can hold."""
        message = step.message(self._dialect.reasoning_history)
        if step.mark is not None:
            content: Wire = {"type": "text", "text": message["content"]}
            self._content.mark(content, step.mark.cache, step.mark.at)
            message["content"] = self._content.folded([content])
        messages.append(message)
        moved = step.moved
        for id, call in step.calls.items():
            given = step.results.get(id)
            if given is None:
                self._ledger.lose("call.orphan", call.at)
                messages.append({"role": "tool", "tool_call_id": id, "content": NO_RESULT})
            else:
                messages.append(given.message)
                moved = moved + given.moved
        if moved:
            messages.append({"role": "user", "content": moved})

    def _lose_beside(self, part: ToolCall | ToolResult) -> None:
        if part.rest:
            direct = part.rest.get("caller") == DIRECT
            self._ledger.lose_rest(part.rest, part.at, ("caller",) if direct else ())
        if part.state is not None and isinstance(part, ToolResult):
            self._ledger.lose("reasoning.state")


def spoken_role(turn: Turn, dialect: ChatDialect, ledger: Ledger) -> str:
    """The role under which a turn is sent; instructions have that of the dialect.  Source: protocols.md 2.1."""
    if turn.role == "user" or dialect.instructions in ("as_sent", "by_model", turn.role):
        return turn.role
    ledger.note(STEP, "turn.role", turn.at)
    return dialect.instructions


def _placed(wire: Wire) -> str:
    """The words of a content part; of a medium where it is to be found."""
    if wire["type"] == "text":
        return str(wire["text"])
    return _PLACED[wire["type"]]


_PLACED: Final = {
    "image_url": "[an image, in the user message that follows]",
    "input_audio": "[a sound, in the user message that follows]",
    "file": "[a document, in the user message that follows]",
}
