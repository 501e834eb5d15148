"""The small pieces of Chat answers, whole and streamed, read and written.  Source: protocols.md 3.2, 3.5, 3.7, 4.3."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from rotator.api import (
    SEALED,
    Citation,
    ErrorKind,
    Finish,
    Ids,
    Ledger,
    Logprob,
    Media,
    NeutralError,
    NotJson,
    Request,
    Rest,
    Source,
    Start,
    State,
    ToolCall,
    dumps,
    error_of,
    loads,
)

from .._ids import IdRule
from .._shared import fresh
from .spelling import NAME, NO_REST, nested

#: Ids of calls as Chat clients take and send back; no character is known to be refused.  Source: protocols.md 6.3.
CALL_IDS: Final = IdRule(re.compile(r".+", re.DOTALL), 40, "call_")

#: Members of a call that are understood; others are its ``rest``.
_CALL_MEMBERS: Final = frozenset({"index", "id", "type", "function", "custom", "extra_content"})
#: And of what is in it.
_FUNCTION_MEMBERS: Final = frozenset({"name", "arguments", "input"})
#: The tiers that Chat has words for; Messages' ``standard`` is ``default``.  Source: protocols.md 3.1.
_TIERS: Final[Mapping[str, str]] = {
    **{tier: tier for tier in ("auto", "default", "flex", "scale", "priority", "fast")},
    "standard": "default",
}

#: Members of an entry of ``reasoning_details`` that are told in pieces.
_IN_PIECES: Final = ("text", "summary", "data")
#: Members that make such an entry more than words.  Source: conversion-pitfalls.md P121.
_STATEFUL: Final = ("signature", "data")


def word(value: Any) -> str:
    """A string; "" for anything else."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where there is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def content_of(value: Any) -> str:
    """``content``: a string, or text parts as some servers write it."""
    if type(value) is str:
        return value
    return "".join(word(part.get("text")) for part in objects(value))


def thought_of(part: Mapping[str, Any]) -> str:
    """Reasoning text by its first name that says something.

    Vendors write the same words under several names (``reasoning`` and ``reasoning_details``).
    """
    return word(part.get("reasoning_content")) or word(part.get("reasoning"))


def detailed_thought_of(part: Mapping[str, Any]) -> str:
    """Reasoning text of a part that has it in ``reasoning_details`` only."""
    return "".join(word(entry.get("text")) or word(entry.get("summary")) for entry in details_of(part))


def details_of(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``reasoning_details``: entries ``{type, index, text | summary | data, signature?, format?, id?}``."""
    return objects(part.get("reasoning_details"))


def add_details(known: list[dict[str, Any]], details: list[dict[str, Any]]) -> None:
    """Put the pieces of streamed ``reasoning_details`` together: those of one index and type are one entry."""
    for piece in details:
        same = (entry for entry in known if all(entry.get(name) == piece.get(name) for name in ("index", "type")))
        entry = next(same, None) if piece.get("index") is not None else None
        if entry is None:
            known.append(dict(piece))
            continue
        for name, value in piece.items():
            if name in _IN_PIECES and isinstance(value, str) and isinstance(entry.get(name), str):
                entry[name] += value
            elif value is not None:
                entry[name] = value


def sealed(details: list[dict[str, Any]]) -> str:
    """Such entries as the value of a state; "" where they are mere words."""
    if any(word(entry.get(name)) for entry in details for name in _STATEFUL):
        return dumps(details).decode("utf-8")
    return ""


def unsealed(state: State) -> list[dict[str, Any]]:
    """The entries in such a state; none in one of another protocol."""
    if state.kind != "encrypted":
        return []
    try:
        return objects(loads(state.value.encode("utf-8", "surrogatepass")))
    except NotJson:
        return []


def is_sealed(value: Any) -> TypeGuard[str]:
    """Whether a text is the envelope in which clients keep another protocol's state."""
    return isinstance(value, str) and value.startswith(SEALED)


def is_proved(state: State | None) -> TypeGuard[State]:
    """Whether the engine has proved that the very vendor who is asked made it.  Source: protocols.md 2.4 R10."""
    return state is not None and state.origin is not None


def kept_detail(state: State, text: str, place: int) -> dict[str, Any]:
    """The entry of ``reasoning_details`` in which a client keeps sealed state and sends it back.

    The convention is OpenRouter's (conversion-pitfalls.md P121). The index is for SDKs that put lists together by it
    (protocols.md 4.3, row "list-valued extensions").
    """
    if state.kind == "signature":
        return {"type": "reasoning.text", "text": text, "signature": state.value, "index": place}
    summary = {"summary": text} if text else {}
    return {"type": "reasoning.encrypted", **summary, "data": state.value, "index": place}


def logprobs_of(logprobs: Any, name: str) -> tuple[Logprob, ...]:
    """The tokens under ``content`` or ``refusal`` of a choice's ``logprobs``."""
    return tuple(map(_logprob, objects(logprobs.get(name)))) if isinstance(logprobs, dict) else ()


def _logprob(entry: dict[str, Any]) -> Logprob:
    raw, number = entry.get("bytes"), entry.get("logprob")
    return Logprob(
        word(entry.get("token")),
        number if isinstance(number, int | float) else 0.0,
        tuple(raw) if isinstance(raw, list) and all(type(byte) is int for byte in raw) else None,
        tuple(map(_logprob, objects(entry.get("top_logprobs")))),
    )


def written_logprobs(tokens: tuple[Logprob, ...], own: bool) -> list[dict[str, Any]]:
    """``own``: where the vendor told no bytes there are none; of other vendors they are the token's UTF-8."""
    return [{**_token(one, own), "top_logprobs": [_token(other, own) for other in one.top]} for one in tokens]


def _token(one: Logprob, own: bool) -> dict[str, Any]:
    raw = list(one.token.encode("utf-8", "surrogatepass")) if one.bytes is None and not own else one.bytes
    return {"token": one.token, "logprob": one.logprob, "bytes": raw if raw is None else list(raw)}


def citation_of(annotation: dict[str, Any], offset: int) -> Citation | None:
    """A ``url_citation``; ``offset`` characters of the message stand before its text.

    None for other kinds, and without a URL (conversion-pitfalls.md P157). A place before the text is none in it.
    """
    cited = annotation.get("url_citation")
    if not isinstance(cited, dict) or not word(cited.get("url")):
        return None
    citation = Citation("web", cited["url"], word(cited.get("title")), word(cited.get("content")))
    start, end = cited.get("start_index"), cited.get("end_index")
    if isinstance(start, int) and isinstance(end, int) and offset <= start <= end:
        return citation._replace(start=start - offset, end=end - offset)
    return citation


def written_citation(citation: Citation, start: int, end: int, own: bool) -> dict[str, Any] | None:
    """The annotation of a text from ``start`` to ``end`` of the message; None where Chat has no word for it.

    Another protocol's citation without a place of its own is about the whole text.  Source: protocols.md 3.5.
    ``content`` is what some gateways lay beside the place.
    """
    if citation.kind != "web" or not citation.url:
        return None
    cited: dict[str, Any] = {"url": citation.url, "title": citation.title}
    placed = citation.start is not None and citation.end is not None
    if placed:
        start, end = start + (citation.start or 0), start + (citation.end or 0)
    if placed or not own:
        cited |= {"start_index": start, "end_index": end}
    if own and citation.cited_text:
        cited["content"] = citation.cited_text
    return {"type": "url_citation", "url_citation": cited}


def image_of(entry: dict[str, Any]) -> Media | None:
    """An entry of ``images``: ``{type: image_url, image_url: {url}}``, a data URL as a rule."""
    image = entry.get("image_url")
    url = word(image.get("url") if isinstance(image, dict) else image)
    if not url:
        return None
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return Media("image", Source("base64", data), head[5:-7])
    return Media("image", Source("url", url))


def written_image(source: Source, media_type: str) -> dict[str, Any] | None:
    """The entry for an image; None where it is neither here nor behind a URL."""
    if not source.value or source.form not in ("base64", "url"):
        return None
    url = f"data:{media_type or 'image/png'};base64,{source.value}" if source.form == "base64" else source.value
    return {"type": "image_url", "image_url": {"url": url}}


def written_audio(part: Media, own: bool, ids: Ids, candidate: int) -> dict[str, Any]:
    """``audio``.  Another vendor's sound cannot be referred to later: its id is made, and it has expired.

    A transcript that nobody made is not told (conversion-pitfalls.md P146).
    """
    known = fresh(dict(part.rest)) if own else {"id": ids.mint("audio_", candidate), "expires_at": ids.created}
    audio: dict[str, Any] = {**known, "data": part.source.value}
    if part.transcript:
        audio["transcript"] = part.transcript
    return audio


def arguments_of(value: Any) -> str:
    """``arguments`` as JSON text; some servers write the object itself.  Source: protocols.md 4.3, parse quirks."""
    if isinstance(value, str):
        return value
    return "" if value is None else dumps(value).decode("utf-8")


def made_id(answer: str, candidate: int, number: int, name: str) -> str:
    """The id of a call that has none, the same whenever the same answer is read.  Source: protocols.md 6.3 (d)."""
    seed = f"{answer}/{candidate}/{number}/{name}".encode("utf-8", "surrogatepass")
    return "gen_" + hashlib.sha256(seed).hexdigest()[:24]


def signature_of(call: Mapping[str, Any]) -> str:
    """Google's thought signature on a call.  Source: protocols.md 2.4, row "Signature"."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return word(google.get("thought_signature")) if isinstance(google, dict) else ""


def tells_signature(state: State, own: bool) -> bool:
    """Whether the state of a call goes to the client: of other protocols' answers what is sealed."""
    return state.kind == "signature" and (own or is_sealed(state.value))


def written_signature(signature: str) -> dict[str, Any]:
    """The same for a client of this protocol."""
    return {"google": {"thought_signature": signature}}


def call_rest(call: Mapping[str, Any]) -> Rest:
    """Members of a call, and of the function in it, that only its vendor knows."""
    inner: dict[str, Rest] = {}
    for name in ("function", "custom"):
        told = call.get(name)
        if isinstance(told, dict) and not told.keys() <= _FUNCTION_MEMBERS:
            inner[name] = unread(told, _FUNCTION_MEMBERS)
    return nested(NO_REST if call.keys() <= _CALL_MEMBERS else unread(call, _CALL_MEMBERS), **inner)


def unread(value: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members of an object that are not known, without nulls."""
    return {name: found for name, found in value.items() if name not in known and found is not None}


def envelope(start: Start, ids: Ids, kind: str, ledger: Ledger) -> dict[str, Any]:
    """What whole answers and all chunks begin with; ``kind`` is their ``object``.

    An upstream that speaks Chat keeps its id and time, the model is the client's name.  Source: protocols.md 3.1.
    """
    own = start.protocol == NAME
    head: dict[str, Any] = {
        "id": (own and start.id) or ids.mint("chatcmpl-"),
        "object": kind,
        "created": (own and start.created) or ids.created,
        "model": ids.model,
    }
    if start.tier is not None:
        tier = start.tier if own else _TIERS.get(start.tier)
        if tier is None:
            ledger.lose("meta.tier", (), start.tier)
        else:
            head["service_tier"] = tier
    if not own:
        ledger.set_aside(start.rest, "chat.write.envelope")
    return head


def uses_functions(request: Request) -> bool:
    """Whether the client knows the older ``functions`` only, and so understands ``function_call`` only."""
    return bool(request.tools) and all(tool.at[:1] == ("functions",) for tool in request.tools)


def wire_id(call: ToolCall, seen: dict[str, int], own: bool, ledger: Ledger) -> str:
    """The id of a call for the client, unlike those ``seen`` before in its answer; Chat's own stay as they are."""
    if own:
        return call.id
    occurrence = seen.get(call.id, 0)
    seen[call.id] = occurrence + 1
    id = CALL_IDS.wire(call.id, occurrence)
    if id != call.id:
        ledger.note("chat.answer.calls", "id.rewritten")
    return id


def says_why(finish: Finish | None) -> bool:
    """Whether the end of an answer says why there is nothing in it: a limit, a filter, a refusal."""
    return finish is not None and finish.reason in ("length", "context_window", "content_filter", "refusal")


def not_expressible() -> NeutralError:
    """In place of an answer of which nothing could be told: an empty success would be a lie (protocols.md 3.2 R7)."""
    message = "upstream: nothing of the answer can be told in Chat Completions"
    return error_of(ErrorKind.BAD_GATEWAY, message, code="answer_not_expressible")
