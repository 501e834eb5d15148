"""Writes a Chat Completions stream.  Source: protocols.md 4.1, 4.3, 4.9; conversion-pitfalls.md 3.17.

Pieces of text, reasoning, refusals and arguments go between bytes that were written once; everything else is written
chunk by chunk. A candidate's blocks come one after the other, so that what is known of the open one stands on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from rotator.api import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Citation,
    Cited,
    End,
    Event,
    Finished,
    Ids,
    Ledger,
    Media,
    MediaDelta,
    NeutralError,
    OpaqueDelta,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Request,
    Source,
    Start,
    State,
    StateSeen,
    Text,
    TextDelta,
    ToolCall,
    UpstreamFailed,
    Usage,
    UsageSeen,
    dumps,
    write_frame,
)

from .._shared import fresh
from .answer_parts import (
    envelope,
    is_sealed,
    kept_detail,
    not_expressible,
    says_why,
    tells_signature,
    unsealed,
    uses_functions,
    wire_id,
    written_audio,
    written_citation,
    written_image,
    written_logprobs,
    written_signature,
)
from .errors import error_object
from .finish import calls_word, unfit_answer, write_finish
from .meter import DONE
from .spelling import NAME, put_rest
from .usage import write_usage

#: Comments are the heartbeat that all Chat clients take.  Source: protocols.md 4.2.
BEAT: Final = b": ping\n\n"

#: Finds what ``write_frame`` escapes.
_cut: Final = re.compile(rb"\xe2\x80[\xa8\xa9]|\xc2\x85").search

#: The most candidates that a request may ask for.  Source: openai.chat_request.schema.json, ``n``.
_CANDIDATES: Final = 128
#: Stands where a piece goes; no other string of a frame comes behind it.
_PLACE: Final = "\0"
_PLACED: Final = dumps(_PLACE)
#: Characters of one block of reasoning that are told a second time, with its state; no model thinks so long.
WORDS_LIMIT: Final = 4 * 1024 * 1024


class _Choice:
    """One candidate.  ``length`` counts characters of its content, ``calls`` its calls."""

    __slots__ = (
        "annotations",
        "argued",
        "around_arguments",
        "around_content",
        "around_reasoning",
        "audio",
        "calls",
        "cited",
        "details",
        "dropped",
        "ids",
        "images",
        "index",
        "length",
        "offset",
        "part",
        "pieces",
        "reasoned",
        "refused",
        "state",
        "thought",
        "told",
        "words",
        "words_left",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.around_content: tuple[bytes, bytes] = (b"", b"")
        self.around_reasoning: tuple[bytes, bytes] | None = None
        self.length = self.calls = self.images = self.annotations = self.details = 0
        self.ids: dict[str, int] = {}
        self.refused = self.reasoned = self.audio = False
        self.told = self.dropped = False  # something else than content was told; something was left out
        # Of the open block:
        self.part: Part = Text("")
        self.state: State | None = None
        self.offset = 0  # of the content before it
        self.cited: list[Citation] = []
        self.words_left = WORDS_LIMIT
        self.thought = -1
        self.words: list[str] = []  # of another protocol's reasoning: they stand beside its state
        self.around_arguments: tuple[bytes, bytes] | None = None
        self.argued = False  # some arguments were told
        self.pieces: list[str] | None = None  # of an image; None where a medium is left out


class ChatWriter:
    """See ``rotator.neutral.codec.Writer``."""

    def __init__(self, request: Request, ids: Ids, ledger: Ledger) -> None:
        self._ids = ids
        self._ledger = ledger
        self._tells_usage = request.usage_in_stream
        self._hides_reasoning = request.reasoning.display == "hidden"
        self._functions = uses_functions(request)
        self._own = False
        self._head: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._choices: dict[int, _Choice] = {}
        self._at: dict[int, _Choice] = {}  # block -> its candidate, of open blocks
        self._writes: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            BlockStart: self._block_start,
            TextDelta: self._text,
            ReasoningDelta: self._reasoning,
            ArgumentsDelta: self._arguments,
            RefusalDelta: self._refusal,
            StateSeen: self._see_state,
            Cited: self._cite,
            MediaDelta: self._media,
            OpaqueDelta: _nothing,
            BlockEnd: self._block_end,
            UsageSeen: self._see_usage,
            Finished: self._finished,
            End: self._end,
            Beat: _beat,
        }

    def write(self, event: Event) -> bytes:
        return self._writes[type(event)](event)

    def fail(self, error: NeutralError) -> bytes:
        """An ``error`` object and no ``[DONE]``: official SDKs raise on it.  Source: faults.md 0 item 3."""
        self._writes = dict.fromkeys(self._writes, _nothing)
        return write_frame(dumps(error_object(error, NAME)))

    def _start(self, event: Start) -> bytes:
        """The role goes out at once, whatever comes (P-38).  The first chunk holds what only the vendor knows.

        Its fingerprint is on all of them: the openai-python helper keeps that of the last.
        """
        self._own = event.protocol == NAME
        self._head = envelope(event, self._ids, "chat.completion.chunk", self._ledger)
        rest = fresh(dict(event.rest)) if self._own else {}
        if "system_fingerprint" in rest:
            self._head["system_fingerprint"] = rest.pop("system_fingerprint")
        return self._candidate(0, rest)[1]

    def _candidate(self, index: int, first: dict[str, Any] | None = None) -> tuple[_Choice, bytes]:
        """A candidate, and its role if this is the first that is heard of it.

        The openai-python helper counts candidates as they come: those with a lower index are told of first.
        """
        choice = self._choices.get(index)
        if choice is not None:
            return choice, b""
        frames = b""
        for number in (*range(len(self._choices), min(index, _CANDIDATES)), index):
            choice = self._choices[number] = _Choice(number)
            choice.around_content = self._around(number, {"content": _PLACE})
            frames += self._frame(number, {"role": "assistant", "content": ""}, first=first)
        assert choice is not None
        return choice, frames

    def _frame(
        self,
        index: int,
        delta: dict[str, Any],
        *,
        logprobs: dict[str, Any] | None = None,
        finish: str | None = None,
        first: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return write_frame(dumps({**self._head, "choices": [choice], **(first or {})}))

    def _around(self, index: int, delta: dict[str, Any]) -> tuple[bytes, bytes]:
        """What stands before and behind a piece in its chunk."""
        head, _, tail = self._frame(index, delta).rpartition(_PLACED)
        return head, tail

    def _block_start(self, event: BlockStart) -> bytes:
        choice, frame = self._candidate(event.candidate)
        part = event.part
        self._at[event.block] = choice
        choice.part = part
        choice.state = part.state if isinstance(part, Text | Reasoning | ToolCall | Media) else None
        if not self._own:
            self._ledger.set_aside(part.rest, "chat.write.part")
        if isinstance(part, Text):
            choice.offset = choice.length
        elif isinstance(part, Reasoning):
            choice.thought = -1
            choice.words, choice.words_left = [], WORDS_LIMIT
        elif isinstance(part, ToolCall):
            frame += self._call(choice, part)
        elif isinstance(part, Media):
            frame += self._medium(choice, part)
        elif not isinstance(part, Refusal):
            choice.dropped = True
            self._ledger.lose("answer.hosted", (), getattr(part, "type", ""))
        return frame

    def _text(self, event: TextDelta) -> bytes:
        block, text, logprobs = event
        choice = self._at[block]
        choice.length += len(text)
        if logprobs:
            tokens = {"content": written_logprobs(logprobs, self._own), "refusal": None}
            return self._frame(choice.index, {"content": text}, logprobs=tokens)
        if not text:
            return b""
        piece = dumps(text)
        head, tail = choice.around_content
        return head + (piece if piece.isascii() or not _cut(piece) else _line(piece)) + tail

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        """Stretches of reasoning are told apart by a blank line; another protocol's blocks as well."""
        text = event.text
        if not text:
            return b""
        choice = self._at[event.block]
        if not self._own and choice.words_left > 0:
            if choice.words and event.thought != choice.thought:
                choice.words.append("\n\n")
            choice.words.append(text)
            choice.words_left -= len(text)
        if self._hides_reasoning:
            return b""
        if choice.around_reasoning is None:
            choice.around_reasoning = self._around(choice.index, {"reasoning_content": _PLACE})
        if event.thought != choice.thought:
            if choice.reasoned and not (self._own and choice.thought < 0):
                text = "\n\n" + text
            choice.thought = event.thought
            choice.reasoned = choice.told = True
        piece = dumps(text)
        head, tail = choice.around_reasoning
        return head + (piece if piece.isascii() or not _cut(piece) else _line(piece)) + tail

    def _refusal(self, event: RefusalDelta) -> bytes:
        if not event.text and not event.logprobs:
            return b""
        choice = self._at[event.block]
        if event.text:
            choice.refused = choice.told = True
        tokens = None
        if event.logprobs:
            tokens = {"content": None, "refusal": written_logprobs(event.logprobs, self._own)}
        return self._frame(choice.index, {"refusal": event.text}, logprobs=tokens)

    def _call(self, choice: _Choice, call: ToolCall) -> bytes:
        """A call's index counts the candidate's calls (P-61); its arguments follow.

        Helpers break on custom calls in a stream: they become calls of a function with one string, ``input``.
        """
        number, index = choice.calls, choice.index
        choice.calls += 1
        choice.argued = False
        if self._functions and number:
            choice.around_arguments = None
            self._ledger.lose("answer.call", (), call.name)
            return b""
        choice.told = True
        if self._functions:
            delta: dict[str, Any] = {"function_call": {"name": call.name, "arguments": ""}}
            piece: dict[str, Any] = {"function_call": {"arguments": _PLACE}}
        else:
            id = wire_id(call, choice.ids, self._own, self._ledger)
            function = {"name": call.name, "arguments": ""}
            entry: dict[str, Any] = {"index": number, "id": id, "type": "function", "function": function}
            if self._own and call.kind != "custom":
                put_rest(entry, call.rest)
            delta = {"tool_calls": [entry]}
            piece = {"tool_calls": [{"index": number, "function": {"arguments": _PLACE}}]}
        choice.around_arguments = self._around(index, piece)
        frame = self._frame(index, delta)
        return frame + self._piece(choice, '{"input":"') if call.kind == "custom" else frame

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        choice = self._at[event.block]
        text = event.text
        if not text:
            return b""
        if isinstance(choice.part, ToolCall) and choice.part.kind == "custom":
            text = dumps(text)[1:-1].decode()
        return self._piece(choice, text)

    def _piece(self, choice: _Choice, text: str) -> bytes:
        if choice.around_arguments is None:
            return b""
        choice.argued = True
        piece = dumps(text)
        head, tail = choice.around_arguments
        return head + (piece if piece.isascii() or not _cut(piece) else _line(piece)) + tail

    def _medium(self, choice: _Choice, part: Media) -> bytes:
        """Images are told whole, at their end; of sounds a message holds one."""
        choice.pieces = [part.source.value]
        if part.kind == "image":
            return b""
        if part.kind != "audio" or part.source.form != "base64" or choice.audio:
            choice.pieces = None
            choice.dropped = True
            self._ledger.lose("answer.media", (), part.kind)
            return b""
        choice.audio = choice.told = True
        audio = written_audio(part, self._own, self._ids, choice.index)
        return self._frame(choice.index, {"audio": audio})

    def _media(self, event: MediaDelta) -> bytes:
        choice = self._at[event.block]
        if choice.pieces is None or not isinstance(choice.part, Media):
            return b""
        if choice.part.kind == "image":
            choice.pieces.append(event.data)
            return b""
        told = {name: said for name, said in (("data", event.data), ("transcript", event.transcript)) if said}
        return self._frame(choice.index, {"audio": told}) if told else b""

    def _see_state(self, event: StateSeen) -> bytes:
        self._at[event.block].state = event.state
        return b""

    def _cite(self, event: Cited) -> bytes:
        """Citations wait for the end of their text: without a place of their own they are about all of it."""
        self._at[event.block].cited.append(event.citation)
        return b""

    def _block_end(self, event: BlockEnd) -> bytes:
        choice = self._at.pop(event.block, None)
        if choice is None:
            return b""  # an adapter left out how it began
        part, frame = choice.part, b""
        if isinstance(part, Text):
            frame = self._text_end(choice)
        elif isinstance(part, Media) and part.kind == "image":
            frame = self._image(choice, part)
        elif isinstance(part, ToolCall):
            frame = self._call_end(choice, part)
        return frame + self._state(choice, choice.state) if choice.state is not None else frame

    def _text_end(self, choice: _Choice) -> bytes:
        """Its annotations, each with an index of its own, which the openai-python helper needs."""
        if choice.calls and choice.length > choice.offset and not self._own:
            self._ledger.lose("turn.order")
        written = []
        for citation in choice.cited:
            annotation = written_citation(citation, choice.offset, choice.length, self._own)
            if annotation is None:
                self._ledger.lose("answer.citation", (), citation.kind)
                continue
            written.append({"index": choice.annotations, **annotation})
            choice.annotations += 1
        choice.cited = []
        return self._frame(choice.index, {"annotations": written}) if written else b""

    def _image(self, choice: _Choice, part: Media) -> bytes:
        value, choice.pieces = "".join(choice.pieces or ()), None
        image = written_image(Source(part.source.form, value), part.media_type)
        if image is None:
            choice.dropped = True
            self._ledger.lose("answer.media", (), part.kind)
            return b""
        choice.told = True
        choice.images += 1
        return self._frame(choice.index, {"images": [{"index": choice.images - 1, **image}]})

    def _call_end(self, choice: _Choice, call: ToolCall) -> bytes:
        """Clients parse the arguments: none at all are an empty object (P-70)."""
        if call.kind == "custom":
            return self._piece(choice, '"}')
        return b"" if choice.argued or self._own else self._piece(choice, "{}")

    def _state(self, choice: _Choice, state: State) -> bytes:
        """Opaque state goes to Chat clients from a vendor that speaks Chat; that of others where it is sealed."""
        if isinstance(choice.part, ToolCall) and not self._functions and tells_signature(state, self._own):
            entry: dict[str, Any] = {"index": choice.calls - 1, "function": {"arguments": ""}}  # helpers need it
            entry["extra_content"] = written_signature(state.value)
            return self._frame(choice.index, {"tool_calls": [entry]})
        if isinstance(choice.part, Reasoning):
            details = self._details(choice, state)
            if details:
                choice.told = True
                choice.details += len(details)
                return self._frame(choice.index, {"reasoning_details": details})
            choice.dropped = choice.dropped or state.kind != "signature"
        self._ledger.lose("reasoning.state")
        return b""

    def _details(self, choice: _Choice, state: State) -> list[dict[str, Any]]:
        """The entries that hold the state of a block of reasoning, each with an index of its own."""
        if self._own:
            return [{**entry, "index": choice.details + place} for place, entry in enumerate(unsealed(state))]
        text, choice.words = "".join(choice.words), []
        if not is_sealed(state.value) or (text and self._hides_reasoning) or choice.words_left <= 0:
            return []
        return [kept_detail(state, text, choice.details)]

    def _see_usage(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _finished(self, event: Finished) -> bytes:
        """Alone in a chunk with an empty delta.  Source: protocols.md 4.3."""
        finish = event.finish
        if not self._own:
            self._ledger.set_aside(event.rest, "chat.write.envelope")
        choice, frame = self._candidate(event.candidate)
        called = calls_word(choice.calls, self._functions)
        word = write_finish(finish, self._own, refused=choice.refused, called=called, ledger=self._ledger)
        if word is None:
            raise UpstreamFailed(unfit_answer(finish), "answered")
        if choice.dropped and not choice.told and not choice.length and not says_why(finish):
            raise UpstreamFailed(not_expressible(), "answered")
        if finish.reason == "refusal" and finish.explanation and not choice.refused and not choice.length:
            frame += self._frame(choice.index, {"refusal": finish.explanation})
        return frame + self._frame(choice.index, {}, finish=word)

    def _end(self, event: End) -> bytes:
        """The usage comes last, in a chunk of its own without choices (P-50), if it was asked for."""
        if self._usage is None or not self._tells_usage:
            return DONE
        if self._usage.input_tool:
            self._ledger.lose("usage.folded", (), "input_tool")
        return write_frame(dumps({**self._head, "choices": [], "usage": write_usage(self._usage, self._own)})) + DONE


def _line(piece: bytes) -> bytes:
    """A piece of JSON without what some clients take for the end of a line."""
    return write_frame(piece)[6:-2]


def _nothing(event: Event) -> bytes:
    return b""


def _beat(event: Event) -> bytes:
    return BEAT
