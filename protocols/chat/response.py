"""Whole Chat Completions answers, read and written.  Source: protocols.md 3; conversion-pitfalls.md 3.7, 3.11, 3.13.

What is written is what the stream of ``writer`` comes to when a client puts its chunks together.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from rotator.api import (
    Candidate,
    Citation,
    Ids,
    Ledger,
    Media,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    Source,
    Start,
    State,
    Text,
    Thought,
    ToolCall,
    UpstreamFailed,
    wrapped_input,
)

from .._shared import count
from .answer_parts import (
    arguments_of,
    call_rest,
    citation_of,
    content_of,
    detailed_thought_of,
    details_of,
    envelope,
    image_of,
    is_sealed,
    kept_detail,
    logprobs_of,
    made_id,
    not_expressible,
    objects,
    says_why,
    sealed,
    signature_of,
    tells_signature,
    thought_of,
    unread,
    unsealed,
    uses_functions,
    wire_id,
    word,
    written_audio,
    written_citation,
    written_image,
    written_logprobs,
    written_signature,
)
from .finish import FAILED, calls_word, failed_answer, read_finish, unfit_answer, write_finish
from .spelling import NAME, nested, put_rest
from .think_tags import ThinkTags, tags_of
from .usage import read_usage, write_usage

_ANSWER: Final = frozenset("id object created model choices usage service_tier error obfuscation".split())
_CHOICE: Final = frozenset("index message finish_reason logprobs error".split())
_MESSAGE: Final = frozenset(
    "role content refusal reasoning_content reasoning reasoning_details annotations images audio tool_calls"
    " function_call".split()
)
_AUDIO: Final = frozenset({"data", "transcript"})


def parse_response(body: Mapping[str, Any], ledger: Ledger, reasoning_answer: str = "fields") -> Response:
    """Raises UpstreamFailed where an answer ended with a vendor's word for an error.

    ``rest`` of a candidate holds the members of its choice, and under ``message`` those of its message.
    ``reasoning_answer`` is the dialect's word.
    """
    id, created, tier = word(body.get("id")), body.get("created"), body.get("service_tier")
    choices = enumerate(objects(body.get("choices")))
    return Response(
        NAME,
        id,
        word(body.get("model")),
        tuple(_candidate(found, place, id, reasoning_answer, ledger) for place, found in choices),
        read_usage(body.get("usage")),
        int(created) if isinstance(created, int | float) else 0,
        tier if isinstance(tier, str) else None,
        unread(body, _ANSWER),
    )


def _candidate(
    found: dict[str, Any], place: int, answer: str, reasoning_answer: str, ledger: Ledger
) -> Candidate:
    message, finish = found.get("message"), word(found.get("finish_reason"))
    message = message if isinstance(message, dict) else {}
    if finish in FAILED:
        raise UpstreamFailed(failed_answer(found, finish), "answered")
    index = count(found, "index") if "index" in found else place
    parts = _reasoning(message)
    parts += _words(message, found.get("logprobs"), tags_of(reasoning_answer), ledger)
    parts += _media(message)
    calls = _calls(message, answer, index, ledger)
    refused = any(isinstance(part, Refusal) for part in parts)
    return Candidate(
        (*parts, *calls),
        read_finish(finish, refused=refused, called=bool(calls)) if finish else None,
        index,
        nested(unread(found, _CHOICE), message=unread(message, _MESSAGE)),
    )


def _reasoning(message: dict[str, Any]) -> list[Part]:
    """The words, and a part without words for the state that ``reasoning_details`` hold."""
    parts: list[Part] = []
    thought = thought_of(message) or detailed_thought_of(message)
    if thought:
        parts.append(Reasoning((Thought(thought),)))
    state = sealed(details_of(message))
    if state:
        parts.append(Reasoning(state=State("encrypted", state)))
    return parts


def _words(message: dict[str, Any], logprobs: Any, tags: ThinkTags | None, ledger: Ledger) -> list[Part]:
    """Content with its citations, and a refusal; of a content with thoughts in it citations belong to the last text."""
    content, tokens = content_of(message.get("content")), logprobs_of(logprobs, "content")
    parts: list[Part] = []
    offset = 0
    if tags is not None:
        parts, offset = _split(content, tags)
    elif content:
        parts.append(Text(content))
    said = parts.pop() if parts and isinstance(parts[-1], Text) else None
    citations: list[Citation] = []
    for annotation in objects(message.get("annotations")):
        citation = citation_of(annotation, offset)
        if citation is not None and said is not None:
            citations.append(citation)
        else:
            ledger.lose("answer.citation")
    if tokens and (said is None or tags is not None):
        ledger.lose("answer.logprobs")
        tokens = ()
    if isinstance(said, Text):
        parts.append(Text(said.text, tuple(citations), tokens))
    refusal = word(message.get("refusal"))
    if refusal:
        parts.append(Refusal(refusal, logprobs_of(logprobs, "refusal")))
    return parts


def _split(content: str, tags: ThinkTags) -> tuple[list[Part], int]:
    """Thoughts and texts in their order, and where the last text begins."""
    parts: list[Part] = []
    offset = 0
    for thinking, pieces in groupby((*tags.feed(content), *tags.end()), attrgetter("thinking")):
        found = list(pieces)
        words = "".join(piece.words for piece in found)
        parts.append(Reasoning((Thought(words),)) if thinking else Text(words))
        offset = offset if thinking else found[0].at
    return parts, offset


def _media(message: dict[str, Any]) -> list[Part]:
    parts: list[Part] = [image for image in map(image_of, objects(message.get("images"))) if image is not None]
    audio = message.get("audio")
    if isinstance(audio, dict):
        transcript = word(audio.get("transcript")) or None
        source = Source("base64", word(audio.get("data")))
        parts.append(Media("audio", source, transcript=transcript, rest=unread(audio, _AUDIO)))
    return parts


def _calls(message: dict[str, Any], answer: str, candidate: int, ledger: Ledger) -> list[Part]:
    """``tool_calls``, or the older ``function_call``; a call that nobody named is none."""
    entries = objects(message.get("tool_calls"))
    if not entries and isinstance(message.get("function_call"), dict):
        entries = [{"function": message["function_call"]}]
    calls: list[Part] = []
    for entry in entries:
        custom = entry.get("custom")
        told = custom if isinstance(custom, dict) else entry.get("function")
        name = word(told.get("name")) if isinstance(told, dict) else ""
        if not isinstance(told, dict) or not name:
            ledger.lose("answer.call")
            continue
        signature = signature_of(entry)
        calls.append(
            ToolCall(
                word(entry.get("id")) or made_id(answer, candidate, len(calls), name),
                name,
                arguments_of(told.get("input" if told is custom else "arguments")),
                "custom" if told is custom else "function",
                state=State("signature", signature) if signature else None,
                rest=call_rest(entry),
            )
        )
    return calls


def build_response(response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
    """Raises UpstreamFailed where a candidate ended in failure, or holds nothing that can be told."""
    own = response.protocol == NAME
    start = Start(response.protocol, response.id, "", response.created, response.tier, response.rest)
    body = envelope(start, ids, "chat.completion", ledger)
    if not response.candidates:
        raise UpstreamFailed(not_expressible(), "answered")
    body["choices"] = [
        _Message(candidate.index, own, request, ids, ledger).choice(candidate) for candidate in response.candidates
    ]
    if response.usage is not None:
        if response.usage.input_tool:
            ledger.lose("usage.folded", (), "input_tool")
        body["usage"] = write_usage(response.usage, own)
    if own:
        put_rest(body, response.rest)
    return body


class _Message:
    """One candidate's message, part by part."""

    def __init__(self, index: int, own: bool, request: Request, ids: Ids, ledger: Ledger) -> None:
        self._index = index
        self._own = own
        self._functions = uses_functions(request)
        self._hides_reasoning = request.reasoning.display == "hidden"
        self._ids = ids
        self._ledger = ledger
        self._seen: dict[str, int] = {}
        self._content = ""
        self._refusal = ""
        self._reasoning = ""
        self._audio: dict[str, Any] | None = None
        self._dropped = False
        self._called = 0
        self._calls: list[dict[str, Any]] = []
        self._lists: dict[str, list[dict[str, Any]]] = {"reasoning_details": [], "annotations": [], "images": []}
        self._tokens: dict[str, list[dict[str, Any]]] = {"content": [], "refusal": []}

    def choice(self, candidate: Candidate) -> dict[str, Any]:
        for part in candidate.parts:
            if not self._own:
                self._ledger.set_aside(part.rest, "chat.write.part")
            self._add(part)
        finish = candidate.finish
        words = self._content or self._refusal or self._reasoning
        told = words or self._audio or self._calls or any(self._lists.values())
        if self._dropped and not told and not says_why(finish):
            raise UpstreamFailed(not_expressible(), "answered")
        called = calls_word(self._called, self._functions)
        ended = write_finish(finish, self._own, refused=bool(self._refusal), called=called, ledger=self._ledger)
        if finish is not None and ended is None:
            raise UpstreamFailed(unfit_answer(finish), "answered")
        if finish is not None and finish.reason == "refusal" and not (self._refusal or self._content):
            self._refusal = finish.explanation or ""
        tokens = {name: found or None for name, found in self._tokens.items()} if any(self._tokens.values()) else None
        choice = {"index": candidate.index, "message": self._message(), "logprobs": tokens, "finish_reason": ended}
        if self._own:
            put_rest(choice, candidate.rest)
        else:
            self._ledger.set_aside(candidate.rest, "chat.write.candidate")
        return choice

    def _message(self) -> dict[str, Any]:
        """Content is null beside calls, a refusal and a sound, if there is none.  Source: protocols.md 3.2."""
        without = self._calls or self._refusal or self._audio is not None
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if without and not self._content else self._content,
            "refusal": self._refusal or None,
        }
        if self._reasoning:
            message["reasoning_content"] = self._reasoning
        message |= {name: found for name, found in self._lists.items() if found}
        if self._audio is not None:
            message["audio"] = self._audio
        if self._calls and self._functions:
            message["function_call"] = self._calls[0]["function"]
        elif self._calls:
            message["tool_calls"] = self._calls
        return message

    def _add(self, part: Part) -> None:
        if isinstance(part, Text):
            self._text(part)
        elif isinstance(part, Reasoning):
            self._reason(part)
        elif isinstance(part, Refusal):
            self._refusal += part.text
            self._tokens["refusal"] += written_logprobs(part.logprobs, self._own)
        elif isinstance(part, ToolCall):
            self._call(part)
        elif isinstance(part, Media):
            self._medium(part)
        else:
            self._dropped = True
            self._ledger.lose("answer.hosted", (), getattr(part, "type", ""))

    def _text(self, part: Text) -> None:
        if self._called and part.text and not self._own:
            self._ledger.lose("turn.order")
        start, end = len(self._content), len(self._content) + len(part.text)
        self._content += part.text
        self._tokens["content"] += written_logprobs(part.logprobs, self._own)
        for citation in part.citations:
            annotation = written_citation(citation, start, end, self._own)
            if annotation is None:
                self._ledger.lose("answer.citation", (), citation.kind)
            else:
                self._lists["annotations"].append(annotation)
        if part.state is not None:
            self._ledger.lose("reasoning.state")

    def _reason(self, part: Reasoning) -> None:
        words = "\n\n".join(thought.text for thought in part.thoughts if thought.text)
        if words and not self._hides_reasoning:
            self._reasoning += words if self._own or not self._reasoning else "\n\n" + words
        if part.state is None:
            return
        known = self._lists["reasoning_details"]
        if self._own:
            details = unsealed(part.state)
        elif is_sealed(part.state.value) and not (words and self._hides_reasoning):
            details = [kept_detail(part.state, words, len(known))]
        else:
            details = []
        known += details
        if not details:
            self._dropped = self._dropped or part.state.kind != "signature"
            self._ledger.lose("reasoning.state")

    def _medium(self, part: Media) -> None:
        image = written_image(part.source, part.media_type) if part.kind == "image" else None
        if image is not None:
            self._lists["images"].append(image)
        elif part.kind == "audio" and part.source.form == "base64" and self._audio is None:
            self._audio = written_audio(part, self._own, self._ids, self._index)
        else:
            self._dropped = True
            self._ledger.lose("answer.media", (), part.kind)
        if part.state is not None:
            self._ledger.lose("reasoning.state")

    def _call(self, part: ToolCall) -> None:
        """Arguments of none are an empty object to clients (P-70); to the older interface there is one call."""
        self._called += 1
        if self._functions and self._calls:
            self._ledger.lose("answer.call", (), part.name)
            return
        custom = part.kind == "custom" and not self._functions
        arguments = wrapped_input(part.arguments) if part.kind == "custom" else part.arguments
        call: dict[str, Any] = {"id": wire_id(part, self._seen, self._own, self._ledger)}
        if custom:
            call |= {"type": "custom", "custom": {"name": part.name, "input": part.arguments}}
        else:
            arguments = arguments if arguments or self._own else "{}"
            call |= {"type": "function", "function": {"name": part.name, "arguments": arguments}}
        if self._own:
            put_rest(call, part.rest)
        if part.state is not None and not self._functions and tells_signature(part.state, self._own):
            call["extra_content"] = written_signature(part.state.value)
        elif part.state is not None:
            self._ledger.lose("reasoning.state")
        self._calls.append(call)
