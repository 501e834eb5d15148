"""A whole Messages answer, read and written.  Source: protocols.md 3.1, 3.2, 3.5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from rotator.api import (
    SEALED,
    Candidate,
    Citation,
    ErrorKind,
    Ids,
    Ledger,
    Media,
    NotJson,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    State,
    Text,
    Thought,
    ToolCall,
    UpstreamFailed,
    error_of,
)

from .finish import Seen, failure_of, inferred, read_finish, write_finish
from .jsonvalues import arguments_text, arguments_value
from .usage import read_usage, usage_rest, write_usage
from .vocabulary import CITATION_KINDS, HOSTED_BLOCKS, ID_RULE, PROTOCOL, REFERENCES

#: Members of a message that the neutral answer holds.
MEMBERS: Final = frozenset("id type role model content usage stop_reason stop_sequence stop_details".split())
DETAILS: Final = frozenset("type category explanation".split())
#: A tier's name -> ours.  Source: protocols.md 3.1, service_tier.
TIERS: Final = {"default": "standard", "standard": "standard", "priority": "priority", "batch": "batch"}
EMPTY: Final = error_of(
    ErrorKind.BAD_GATEWAY,
    "upstream: nothing of the answer can be told in this protocol",
    code="answer_not_expressible",
)


def foreign(members: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """The members that the neutral model has no place for."""
    return {name: value for name, value in members.items() if name not in known and value is not None}


def text_of(value: Any) -> str:
    """A vendor's string, "" for anything else."""
    return value if isinstance(value, str) else ""


# ---------------------------------------------------------------- reading


def parse_response(body: Mapping[str, Any], ledger: Ledger) -> Response:
    """A message; what in it is malformed is passed over."""
    content = body.get("content")
    blocks = content if isinstance(content, list) else []
    parts = tuple(read_block(block) for block in blocks if isinstance(block, dict))
    called = any(isinstance(part, ToolCall) for part in parts)
    candidate = Candidate(parts, read_finish(body, called))
    usage = body.get("usage")
    rest = message_rest(body)
    details = body.get("stop_details")
    if isinstance(details, dict) and (more := foreign(details, DETAILS)):
        rest["stop_details"] = more
    return Response(
        PROTOCOL,
        text_of(body.get("id")),
        text_of(body.get("model")),
        (candidate,),
        read_usage(usage),
        tier=tier_of(usage),
        rest=rest,
    )


def message_rest(message: Mapping[str, Any]) -> dict[str, Any]:
    """What of a message only this protocol knows; that of its usage stands under ``usage``."""
    rest = foreign(message, MEMBERS)
    usage = message.get("usage")
    if isinstance(usage, dict) and (more := usage_rest(usage)):
        rest["usage"] = more
    return rest


def tier_of(usage: Any) -> str | None:
    """Source: protocols.md 3.1, service_tier."""
    return text_of(usage.get("service_tier")) or None if isinstance(usage, dict) else None


def read_block(block: dict[str, Any]) -> Part:
    """A content block.  Source: protocols.md 3.2."""
    kind = text_of(block.get("type"))
    read = _BLOCKS.get(kind)
    return Opaque(PROTOCOL, kind, block, _role(kind)) if read is None else read(block)


def _read_text(block: dict[str, Any]) -> Part:
    citations = block.get("citations")
    read = [read_citation(one) for one in citations if isinstance(one, dict)] if isinstance(citations, list) else []
    rest = foreign(block, ("type", "text", "citations"))
    return Text(text_of(block.get("text")), tuple(read), rest=rest)


def _read_thinking(block: dict[str, Any]) -> Part:
    words, signature = text_of(block.get("thinking")), text_of(block.get("signature"))
    return Reasoning(
        (Thought(words),) if words else (),
        State("signature", signature) if signature else None,
        rest=foreign(block, ("type", "thinking", "signature")),
    )


def _read_redacted(block: dict[str, Any]) -> Part:
    state = State("redacted", text_of(block.get("data")))
    return Reasoning(state=state, rest=foreign(block, ("type", "data")))


def _read_call(block: dict[str, Any]) -> Part:
    return ToolCall(
        text_of(block.get("id")),
        text_of(block.get("name")),
        arguments_text(block.get("input")),
        rest=foreign(block, ("type", "id", "name", "input")),
    )


_BLOCKS: Final = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
}


def _role(kind: str) -> Literal["hosted", "content", "reference"]:
    """What a block of another kind is to a reader of the answer.  Source: protocols.md 2.7."""
    if kind in HOSTED_BLOCKS or kind.endswith("_tool_result"):
        return "hosted"
    return "reference" if kind in REFERENCES else "content"


def read_citation(citation: dict[str, Any]) -> Citation:
    """Without a span: it is all of its block that leans on the source.  Source: protocols.md 3.5."""
    kind = CITATION_KINDS.get(text_of(citation.get("type")), "other")
    return Citation(
        kind,
        text_of(citation.get("source" if kind == "result" else "url")),
        text_of(citation.get("document_title" if kind == "document" else "title")),
        text_of(citation.get("cited_text")),
        raw=citation,
    )


# ---------------------------------------------------------------- writing


def build_response(response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
    """A message; of several candidates the first.  Raises UpstreamFailed where nothing of it can be told."""
    if not response.candidates:
        raise UpstreamFailed(EMPTY, "answered")
    candidate = next((one for one in response.candidates if one.index == 0), response.candidates[0])
    if len(response.candidates) > 1:
        ledger.lose("answer.candidates")
    failure = failure_of(candidate.finish)
    if failure is not None:
        raise UpstreamFailed(failure, "answered")
    own = response.protocol == PROTOCOL
    content = Content(own, ids, ledger)
    for part in candidate.parts:
        content.add(part)
    if content.seen.dropped and not content.blocks:
        raise UpstreamFailed(EMPTY, "answered")
    rest = written_envelope(response.rest, own, ledger)
    ledger.set_aside(candidate.rest, "messages.write.candidate")
    message = message_head(response.id if own else "", ids, rest)
    finish = candidate.finish or inferred(content.seen.called, "messages.response.finish", ledger)
    stop = write_finish(finish, own, content.seen, ledger)
    if more := rest.get("stop_details"):
        stop["stop_details"] = {"type": "refusal", **stop.get("stop_details", {}), **more}
    usage = {**write_usage(response.usage, ledger), **tier(response.tier, own, ledger), **message["usage"]}
    return {**message, "content": content.blocks, **stop, "usage": usage}


def written_rest(rest: Mapping[str, Any], own: bool, ledger: Ledger) -> Mapping[str, Any]:
    """What may be written of a part's rest: all of our own protocol's, else nothing."""
    if own:
        return rest
    ledger.set_aside(rest, "messages.write.part")
    return {}


def written_envelope(rest: Mapping[str, Any], own: bool, ledger: Ledger) -> Mapping[str, Any]:
    """The same of what stands around the parts."""
    if own:
        return rest
    ledger.set_aside(rest, "messages.write.envelope")
    return {}


def message_head(id: str, ids: Ids, rest: Mapping[str, Any]) -> dict[str, Any]:
    """A message before its first block, as ``message_start`` holds it, with a usage that lacks only the counts."""
    more = {name: value for name, value in rest.items() if name not in ("usage", "stop_details")}
    return {
        "id": id or ids.mint("msg_01"),
        "type": "message",
        "role": "assistant",
        "model": ids.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **more,
        "usage": dict(rest.get("usage", {})),
    }


def tier(name: str | None, own: bool, ledger: Ledger) -> dict[str, Any]:
    """``usage.service_tier``, which has fewer names than others'."""
    known = name if own else TIERS.get(name or "")
    if name and not known:
        ledger.lose("meta.tier", (), name)
    return {"service_tier": known} if known else {}


def write_citation(citation: Citation, own: bool) -> dict[str, Any] | None:
    """A web page, or what this protocol told itself; None for anything else.  Source: protocols.md 3.5."""
    if own and isinstance(citation.raw, dict):
        return citation.raw
    if citation.kind != "web" or not citation.url:
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.cited_text,
        "encrypted_index": "",  # only the vendor can make one
    }


class AnswerIds:
    """Ids of an answer's calls, in their order: the upstream's where they fit, and none twice.

    Source: protocols.md 6.3, "Ids returned to a client".
    """

    __slots__ = ("_ids", "_ledger", "_number", "_seen")

    def __init__(self, ids: Ids, ledger: Ledger) -> None:
        self._ids = ids
        self._ledger = ledger
        self._number = 0
        self._seen: dict[str, int] = {}

    def wire(self, id: str) -> str:
        """The next call's."""
        number, occurrence = self._number, self._seen.get(id, 0)
        self._number += 1
        self._seen[id] = occurrence + 1
        wire = ID_RULE.wire(id, occurrence) if id else self._ids.mint("toolu_", number)
        if wire != id:
            self._ledger.note("messages.response.ids", "call.renamed")
        return wire


def is_redacted(part: Reasoning) -> bool:
    """Reasoning of which nothing but its state was ever told."""
    return part.state is not None and part.state.kind == "redacted" and not part.thoughts


def may_keep(state: State, own: bool) -> bool:
    """Whether a client is to get it: its own protocol's, or in an envelope, which it keeps in the same places."""
    return (own and state.kind != "encrypted") or state.value.startswith(SEALED)


class Content:
    """The content blocks of a whole answer, and what was seen on the way."""

    def __init__(self, own: bool, ids: Ids, ledger: Ledger) -> None:
        self.blocks: list[dict[str, Any]] = []
        self.seen = Seen()
        self._own = own
        self._ids = AnswerIds(ids, ledger)
        self._ledger = ledger

    def add(self, part: Part) -> None:
        """The next part of the answer."""
        own, ledger = self._own, self._ledger
        more = written_rest(part.rest, own, ledger)
        match part:
            case Text() | Refusal():
                self.seen.refused |= isinstance(part, Refusal)
                self.blocks += self._text(part, more)
            case Reasoning():
                self._reasoning(part, more)
            case ToolCall():
                self.seen.called = True
                if part.state is not None:
                    ledger.lose("reasoning.state")
                input = call_input(part, ledger)
                use = {"type": "tool_use", "id": self._ids.wire(part.id), "name": part.name, "input": input}
                self.blocks.append({**use, **more})
            case Opaque(protocol=protocol, data=data) if own and protocol == PROTOCOL:
                self.blocks.append(data)
            case Media(transcript=str(words)) if words:  # what is said in it can be told
                lose_part(part, ledger)
                self.blocks.append({"type": "text", "text": words})
            case _:
                lose_part(part, ledger)
                self.seen.dropped = True

    def _text(self, part: Text | Refusal, more: Mapping[str, Any]) -> list[dict[str, Any]]:
        if part.logprobs:
            self._ledger.lose("answer.logprobs")
        citations: tuple[Citation, ...] = ()
        if isinstance(part, Text):
            citations = part.citations
            if part.state is not None:
                self._ledger.lose("reasoning.state")
        cited = [(one, written) for one in citations if (written := write_citation(one, self._own))]
        if len(cited) < len(citations) or (cited and not part.text):
            self._ledger.lose("answer.citation")
        if not part.text:
            return []
        return [{"type": "text", **block, **more} for block in _cited_blocks(part.text, cited)]

    def _reasoning(self, part: Reasoning, more: Mapping[str, Any]) -> None:
        state = part.state
        kept = state.value if state is not None and may_keep(state, self._own) else ""
        if state is not None and not kept:
            self._ledger.lose("reasoning.state")
        if not is_redacted(part):
            words = "\n\n".join(thought.text for thought in part.thoughts if thought.text)
            self.blocks.append({"type": "thinking", "thinking": words, "signature": kept, **more})
        elif kept:
            self.blocks.append({"type": "redacted_thinking", "data": kept, **more})
        else:
            self.seen.dropped = True


def lose_part(part: Part, ledger: Ledger) -> None:
    """A part that no content block can hold."""
    if isinstance(part, Opaque):
        ledger.lose("answer.hosted", (), part.type)
    else:
        ledger.lose("answer.media", (), getattr(part, "kind", ""))


def call_input(call: ToolCall, ledger: Ledger) -> dict[str, Any]:
    """A call's ``input``, which is an object; a custom tool's text stands in one.  Source: protocols.md 2.3, R5."""
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments:
        return {}
    # Halves of a character, as pieces may cut it, become the escapes that JSON has for them.
    text = call.arguments.encode("utf-8", "backslashreplace").decode()
    try:
        value = arguments_value(text)
    except NotJson:
        value = call.arguments
    if isinstance(value, dict):
        return value
    ledger.lose("arguments.invalid", (), call.name)
    return {"_raw": value}


def _cited_blocks(text: str, cited: list[tuple[Citation, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The text cut where a citation begins or ends: a block leans as a whole on what it cites.

    Where spans overlap, the later one is trimmed; one of which nothing is left stands at the block before. What has no
    span stands behind all others.  Source: protocols.md 3.5, "To Anth from others".
    """
    spans = sorted((_span(one, len(text)), place) for place, (one, _) in enumerate(cited))
    blocks: list[dict[str, Any]] = []
    told = 0
    for (start, end), place in spans:
        start, end = (max(start, told), end) if start < end else (told, len(text))
        if start < end:
            blocks += [{"text": text[told:start]}] if told < start else []
            blocks.append({"text": text[start:end], "citations": []})
            told = end
        blocks[-1]["citations"].append(cited[place][1])
    return [*blocks, {"text": text[told:]}] if told < len(text) else blocks


def _span(citation: Citation, length: int) -> tuple[int, int]:
    """Where a citation's words begin and end; the text's end, and nothing, where it does not say."""
    start = 0 if citation.start is None else max(0, citation.start)
    end = length if citation.end is None else min(length, citation.end)
    unknown = (citation.start is None and citation.end is None) or start >= end
    return (length, length) if unknown else (start, end)
