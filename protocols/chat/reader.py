"""Reads a Chat Completions stream.  Source: protocols.md 4.3, 4.8; conversion-pitfalls.md 3.17.

A candidate has one open block of text, reasoning, refusal or sound at a time: what comes of another kind ends it and
begins the next with the same words (P-136, P-137). Only calls may stay open beside it, until their arguments are whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count as counting
from typing import Any, Final

from rotator.api import (
    BlockEnd,
    BlockStart,
    Citation,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    Ledger,
    Media,
    MediaDelta,
    NeutralError,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Source,
    Start,
    State,
    Text,
    TextDelta,
    Usage,
    UsageSeen,
)

from .._shared import count
from .answer_parts import (
    add_details,
    citation_of,
    content_of,
    detailed_thought_of,
    details_of,
    image_of,
    logprobs_of,
    objects,
    sealed,
    thought_of,
    unread,
    word,
)
from .call_reader import CallReader
from .errors import neutral
from .finish import FAILED, failed_answer, read_finish
from .meter import shows
from .spelling import NAME
from .think_tags import Piece, ThinkTags, tags_of
from .usage import later_usage, read_usage

#: Members that are understood, or mean nothing behind us. Others of the first chunks are ``rest`` of the answer; those
#: of choices and deltas have no place in a stream.
_CHUNK: Final = frozenset("id object created model choices usage service_tier error obfuscation".split())
_CHOICE: Final = frozenset("index delta finish_reason logprobs error".split())
_DELTA: Final = frozenset(
    "role content refusal reasoning_content reasoning reasoning_details annotations images audio tool_calls"
    " function_call".split()
)
_NONE: Final[tuple[Event, ...]] = ()


class _Choice:
    """One candidate.  ``kind`` is that of its open block, "" without one; ``length`` counts characters of content."""

    __slots__ = (
        "block",
        "calls",
        "citations",
        "details",
        "finished",
        "index",
        "kind",
        "length",
        "named_thoughts",
        "offset",
        "refused",
        "tags",
    )

    def __init__(self, index: int, calls: CallReader, tags: ThinkTags | None) -> None:
        self.index = index
        self.calls = calls
        self.tags = tags
        self.kind = ""
        self.block = 0
        self.length = 0
        self.offset = 0  # of the content before the open text block
        self.refused = False
        self.finished = False
        self.named_thoughts = False  # reasoning came under a name of its own
        self.details: list[dict[str, Any]] = []
        self.citations: list[dict[str, Any]] = []  # came while no text was open


class ChatReader:
    """See ``rotator.neutral.codec.Reader``."""

    __slots__ = (
        "_choices",
        "_id",
        "_ledger",
        "_numbers",
        "_over",
        "_reasoning_answer",
        "_rest",
        "_started",
        "_told",
        "_usage",
    )

    def __init__(self, ledger: Ledger, reasoning_answer: str = "fields") -> None:
        self._ledger = ledger
        self._reasoning_answer = reasoning_answer
        self._choices: dict[int, _Choice] = {}
        self._numbers = counting()
        self._id = ""
        self._started = False
        self._over = False
        self._rest: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._told: Usage | None = None  # the same as of the last event

    def read(self, event: str | None, data: Mapping[str, Any]) -> Sequence[Event]:
        common = self._common(data)
        return self._chunk(data) if common is None else (common,)

    def _common(self, data: Mapping[str, Any]) -> Event | None:
        """The event of a common chunk: one more piece of an open text, reasoning or call, and nothing else."""
        choices = data.get("choices")
        if type(choices) is not list or len(choices) != 1 or data.get("usage") or data.get("error"):
            return None
        found = choices[0]
        if type(found) is not dict or found.get("finish_reason") or found.get("logprobs"):
            return None
        delta, index = found.get("delta"), found.get("index")
        choice = self._choices.get(index) if type(index) is int else None
        if choice is None or type(delta) is not dict:
            return None
        kind = choice.kind
        if not kind:
            return choice.calls.piece(delta) if len(delta) == 1 else None
        member = _PIECES.get(kind)
        words = delta.get(member)
        if type(words) is not str or not words or (len(delta) > 1 and not _alone(delta, member)):
            return None
        if kind == "reasoning":
            return ReasoningDelta(choice.block, words)
        if choice.tags is not None:
            return None
        choice.length += len(words)
        return TextDelta(choice.block, words)

    def end(self, terminal: bool = False, complete: bool = False) -> Sequence[Event]:
        """Behind ``[DONE]`` a missing finish reason is inferred, but not of mere reasoning (protocols.md 3.3, P-28)."""
        if self._over:
            return _NONE
        events: list[Event] = []
        for choice in self._choices.values() if terminal or complete else ():
            if not choice.finished and (complete or choice.length or choice.refused or choice.calls):
                self._ledger.note("chat.read.finish", "inferred")
                self._complete(choice, "stop", events)
        if not self._choices or not all(choice.finished for choice in self._choices.values()):
            return tuple(events)
        self._over = True
        return (*events, End())

    def _chunk(self, data: Mapping[str, Any]) -> Sequence[Event]:
        """Any chunk.  The first one may be without choices (Azure), ids and all; the answer begins with the next."""
        if self._over:
            return _NONE
        events: list[Event] = []
        choices = objects(data.get("choices"))
        error = data.get("error")
        if not self._started:
            self._rest |= unread(data, _CHUNK)
            if choices or error:
                events.append(self._start(data))
        if error:
            self._fail(neutral(error, 200, {"error": error} if isinstance(error, dict) else None, NAME), events)
            return events
        self._see_usage(data.get("usage"), events)
        for place, found in enumerate(choices):
            index = count(found, "index") if "index" in found else place
            choice = self._choices.get(index)
            if choice is None:
                calls = CallReader(self._id, index, self._numbers, self._ledger)
                choice = self._choices[index] = _Choice(index, calls, tags_of(self._reasoning_answer))
            self._choice(choice, found, events)
            if self._over:
                break
        return events

    def _start(self, data: Mapping[str, Any]) -> Start:
        self._started = True
        self._id = word(data.get("id"))
        created, tier = data.get("created"), data.get("service_tier")
        return Start(
            NAME,
            self._id,
            word(data.get("model")),
            int(created) if isinstance(created, int | float) else 0,
            tier if isinstance(tier, str) else None,
            self._rest,
        )

    def _see_usage(self, usage: Any, events: list[Event]) -> None:
        """On any chunk, also before the answer begins."""
        found = read_usage(usage)
        if found is not None:
            self._usage = later_usage(self._usage, found)
        if self._started and self._usage is not None and self._usage != self._told:
            self._told = self._usage
            events.append(UsageSeen(self._usage))

    def _choice(self, choice: _Choice, found: dict[str, Any], events: list[Event]) -> None:
        delta = found.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if choice.finished:
            if shows(delta):
                self._ledger.lose("answer.late")
            return
        if not (found.keys() <= _CHOICE and delta.keys() <= _DELTA):
            self._ledger.lose_rest({**unread(found, _CHOICE), **unread(delta, _DELTA)}, ())
        self._delta(choice, delta, found.get("logprobs"), events)
        finish = word(found.get("finish_reason"))
        if not finish:
            return
        if finish in FAILED:
            self._fail(failed_answer(found, finish), events)
            return
        self._complete(choice, finish, events)

    def _complete(self, choice: _Choice, finish: str, events: list[Event]) -> None:
        """Everything of a candidate has come."""
        if choice.tags is not None:
            self._speak(choice, choice.tags.end(), events)
        self._leave(choice, events)
        choice.calls.close(events)
        self._seal(choice, events)
        if choice.citations:
            self._ledger.lose("answer.citation")
        choice.finished = True
        events.append(Finished(read_finish(finish, refused=choice.refused, called=bool(choice.calls)), choice.index))

    def _fail(self, error: NeutralError, events: list[Event]) -> None:
        self._over = True
        self._choices.clear()
        events.append(Failed(error))

    def _delta(self, choice: _Choice, delta: dict[str, Any], logprobs: Any, events: list[Event]) -> None:
        """All that one chunk says of a candidate: reasoning before text (P-23), calls last."""
        reasons = self._reason(choice, delta, events)
        content = content_of(delta.get("content"))
        tokens = logprobs_of(logprobs, "content") if logprobs else ()
        if choice.tags is not None:
            self._speak(choice, choice.tags.feed(content), events)
            if any(delta.get(name) for name in _ELSE):
                self._speak(choice, choice.tags.end(), events)
            if tokens:  # of words, thoughts and tags alike
                self._ledger.lose("answer.logprobs")
            content, tokens = "", ()
        if content or (tokens and delta.get("content") is not None and not reasons):
            block = self._enter(choice, "text", _TEXT, events)
            choice.length += len(content)
            events.append(TextDelta(block, content, tokens))
        elif tokens:
            self._ledger.lose("answer.logprobs")
        refusal = word(delta.get("refusal"))
        if refusal:
            choice.refused = True
            tokens = logprobs_of(logprobs, "refusal") if logprobs else ()
            events.append(RefusalDelta(self._enter(choice, "refusal", _REFUSAL, events), refusal, tokens))
        if delta.get("annotations"):
            self._cite(choice, objects(delta["annotations"]), events)
        if delta.get("images") or delta.get("audio"):
            self._show(choice, delta, events)
        if delta.get("tool_calls") or delta.get("function_call"):
            self._call(choice, delta, events)

    def _speak(self, choice: _Choice, pieces: Sequence[Piece], events: list[Event]) -> None:
        """Words of a text with thoughts in it; places in it count all of its characters."""
        for thinking, words, at in pieces:
            if thinking:
                events.append(ReasoningDelta(self._enter(choice, "thoughts", _REASONING, events), words))
                continue
            choice.length = at
            events.append(TextDelta(self._enter(choice, "text", _TEXT, events), words))
            choice.length = at + len(words)

    def _reason(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> bool:
        """Whether the chunk holds words of reasoning."""
        thought = thought_of(delta)
        details = details_of(delta) if "reasoning_details" in delta else []
        if thought:
            choice.named_thoughts = True
        elif details and not choice.named_thoughts:
            thought = detailed_thought_of(delta)
        if thought:
            block = self._enter(choice, "reasoning", _REASONING, events)
            events.append(ReasoningDelta(block, thought))
        if details:
            add_details(choice.details, details)
        return bool(thought)

    def _call(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        self._leave(choice, events)
        for fragment in objects(delta.get("tool_calls")):
            choice.calls.read(fragment, events)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            choice.calls.read_legacy(legacy, events)

    def _cite(self, choice: _Choice, annotations: list[dict[str, Any]], events: list[Event]) -> None:
        """Annotations belong to a text; where none is open they wait for the next."""
        if choice.kind != "text":
            choice.citations += annotations
            return
        for annotation in annotations:
            citation: Citation | None = citation_of(annotation, choice.offset)
            if citation is not None:
                events.append(Cited(choice.block, citation))
            else:
                self._ledger.lose("answer.citation")

    def _show(self, choice: _Choice, delta: dict[str, Any], events: list[Event]) -> None:
        """Images come whole, a sound in pieces.  Source: protocols.md 3.2, row "image/audio out"."""
        for image in filter(None, map(image_of, objects(delta.get("images")))):
            self._leave(choice, events)
            block = next(self._numbers)
            events += (BlockStart(block, image, choice.index), BlockEnd(block))
        audio = delta.get("audio")
        if not isinstance(audio, dict):
            return
        if choice.kind != "audio":
            known = {name: audio[name] for name in ("id", "expires_at") if audio.get(name) is not None}
            self._enter(choice, "audio", Media("audio", Source("base64"), rest=known), events)
        data, transcript = word(audio.get("data")), word(audio.get("transcript"))
        if data or transcript:
            events.append(MediaDelta(choice.block, data, transcript))

    def _enter(self, choice: _Choice, kind: str, part: Part, events: list[Event]) -> int:
        """The open block of that kind; a new one if another kind, or none, is open."""
        if choice.kind == kind:
            return choice.block
        self._leave(choice, events)
        choice.calls.settle(events)
        choice.kind = kind
        choice.block = next(self._numbers)
        events.append(BlockStart(choice.block, part, choice.index))
        if kind == "text":
            choice.offset = choice.length
            waiting, choice.citations = choice.citations, []
            self._cite(choice, waiting, events)
        return choice.block

    def _leave(self, choice: _Choice, events: list[Event]) -> None:
        if not choice.kind:
            return
        events.append(BlockEnd(choice.block))
        was, choice.kind = choice.kind, ""
        if was in ("reasoning", "thoughts"):
            self._seal(choice, events)

    def _seal(self, choice: _Choice, events: list[Event]) -> None:
        """What ``reasoning_details`` hold beside words: a block of reasoning without text, state alone."""
        value = sealed(choice.details)
        if value:
            choice.details = []
            block = next(self._numbers)
            part = Reasoning(state=State("encrypted", value))
            events += (BlockStart(block, part, choice.index), BlockEnd(block))


def _alone(delta: dict[str, Any], member: str | None) -> bool:
    """Whether nothing else in a delta says anything; many servers write all members each time."""
    return not any(value for name, value in delta.items() if name != member and name != "role")


#: What cannot stand inside the text: what waits of it is told before.
_ELSE: Final = ("refusal", "images", "audio", "tool_calls", "function_call")
#: Kinds of blocks whose pieces come as the only member of a delta.
_PIECES: Final = {"text": "content", "reasoning": "reasoning_content"}
_TEXT: Final = Text("")
_REASONING: Final = Reasoning()
_REFUSAL: Final = Refusal("")
