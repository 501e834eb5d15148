"""Settings of a request for an upstream: shape and size of the answer, sampling, metadata.

Source: protocols.md 2.5, 2.6, 6.2; conversion-pitfalls.md 3.9, 3.16.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from rotator.api import Format, Ledger, NotJson, Output, Path, Request, dumps, loads

from .._reading import UNKEPT, refuse
from .._schemas import is_strict, lowered
from .._shared import fresh
from .build_media import Wire
from .dialect import ChatDialect
from .facts import ChatFacts
from .parse_wish import said_of
from .spelling import SafetyIdentifier, put_mark, put_rest

STEP: Final = "chat.build.settings"
#: Characters of ``user``: what the strictest of the vendors that speak Chat take.
USER_LIMIT: Final = 64
#: Source: protocols.md 2.5, "stop".
STOPS_LIMIT: Final = 4
#: Source: protocols.md 2.5, "JSON schema" (name missing); 6.2 rule 9.
FORMAT_NAME: Final = "response"
FORMAT_NAME_LIMIT: Final = 64
#: Service tiers of other vendors -> ours, None where nothing need be said.  Source: protocols.md 2.6, "Tier".
TIERS: Final[Mapping[str, str | None]] = {
    "auto": None,
    "default": "default",
    "standard": "default",
    "standard_only": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
}
#: Hints about caching and streams that nobody would miss.  Source: protocols.md 2.6.
QUIET: Final = frozenset((
    "prompt_cache_options", "prompt_cache_retention", "stream_options", "diagnostics",
))

#: Of JSON mode, which is refused where no message has the word JSON in it.  Source: protocols.md 6.2.
JSON_WORDS: Final = "Answer with JSON."
#: Where the vendor knows no formats of answers, or none with a schema: what Messages is told, too.
JSON_ONLY: Final = "Answer with one JSON object and nothing else: no other words, no code fences."
JSON_OF_SCHEMA: Final = (
    "Answer with one JSON value and nothing else: no other words, no code fences. It must fit this JSON Schema:\n"
)

_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


def put_own_settings(body: Wire, request: Request) -> None:
    """What Chat's own client said."""
    output, meta = request.output, request.meta
    if output.max_tokens is not None:
        body[output.max_tokens_name or "max_tokens"] = output.max_tokens
    if output.format is not None:
        body["response_format"] = _own_format(output.format)
    person = "safety_identifier" if isinstance(meta.user, SafetyIdentifier) else "user"
    _put(body, {
        "modalities": _list(output.modalities),
        "audio": fresh(output.audio),
        "stop": _list(output.stops),
        "logprobs": output.logprobs,
        "top_logprobs": output.top_logprobs,
        "top_k": request.sampling.top_k,
        **fresh(said_of(request.reasoning)),
        "store": request.continues.store,
        "metadata": fresh(meta.metadata),
        "service_tier": meta.tier,
        person: None if meta.user is None else str(meta.user),
    })
    put_mark(body, request.cache.auto)


def put_settings(body: Wire, request: Request, dialect: ChatDialect, facts: ChatFacts, ledger: Ledger) -> None:
    """What another protocol's client said.  Raises Refused for what must not be missed and cannot be had."""
    _refuse_impossible(request)
    output = request.output
    if output.max_tokens == 0:
        refuse(("max_tokens",), "an answer of no tokens cannot be asked for in Chat Completions")
    if output.max_tokens is not None:
        body[dialect.max_tokens] = _limit(output.max_tokens, output, facts, ledger)
    if output.format is not None:
        _put_format(body, output.format, dialect, ledger)
    stops = _stops(output, request.places.get("stop", ("stop",)), ledger)
    if stops:
        body["stop"] = stops
    if output.logprobs is not None:
        _put(body, {"logprobs": output.logprobs, "top_logprobs": output.top_logprobs})
    elif output.top_logprobs:
        body["logprobs"] = True  # the one is refused without the other
        body["top_logprobs"] = output.top_logprobs
    if output.audio is not None:
        ledger.lose("output.audio", ("audio",))
    if request.sampling.top_k is not None:
        ledger.lose("sampling.top_k", ("top_k",))
    _put_meta(body, request, ledger)
    _lose_wishes(request, ledger)


def put_common(body: Wire, request: Request) -> None:
    """What is said in the same words for every client; 0, False and "" are said, None is not (P-111)."""
    output, sampling = request.output, request.sampling
    _put(body, {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "logit_bias": fresh(sampling.logit_bias),
        "n": output.n,
        "verbosity": output.verbosity,
        "prompt_cache_key": request.cache.key,
    })


def _put(body: Wire, settings: Mapping[str, Any]) -> None:
    body.update((name, value) for name, value in settings.items() if value is not None)


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _own_format(form: Format) -> Wire:
    wire: Wire = {"type": form.kind}
    if form.kind == "json_schema":
        wire["json_schema"] = _schema(form, form.name, form.schema)
        if form.strict is not None:
            wire["json_schema"]["strict"] = form.strict
    put_rest(wire, form.rest)
    return wire


def _schema(form: Format, name: str, schema: Mapping[str, Any] | None) -> Wire:
    wire: Wire = {"name": name} if name else {}
    if form.description:
        wire["description"] = form.description
    if schema is not None:
        wire["schema"] = schema
    return wire


def _limit(said: int, output: Output, facts: ChatFacts, ledger: Ledger) -> int:
    """At most what the model can answer with.  Source: protocols.md 2.5, "Max output"."""
    cap = facts.max_output
    if cap is None or said <= cap:
        return said
    ledger.lose("max_tokens.clamped", (output.max_tokens_name or "max_tokens",), f"requested {said}, used {cap}")
    return cap


def _put_format(body: Wire, form: Format, dialect: ChatDialect, ledger: Ledger) -> None:
    """``response_format``, an instruction, or both.  Source: protocols.md 2.5; conversion-pitfalls.md P93 to P97."""
    if form.rest:
        ledger.lose_rest(form.rest, form.at)
    if form.kind == "enum":
        refuse(form.at, "Chat Completions cannot answer with one word of a list")
    in_words = dialect.structured_output == "instruction"
    if form.kind == "json_object" or form.schema is None:
        if form.kind != "json_object":
            ledger.lose("format.schema", form.at)
        if in_words:
            ledger.lose("format.json_object", form.at)
            _instruct(body, JSON_ONLY, dialect)
            return
        body["response_format"] = {"type": "json_object"}
        if b"json" not in dumps(body["messages"]).lower():
            ledger.lose("format.json_object", ("response_format",))
            _instruct(body, JSON_WORDS, dialect)
        return
    if not in_words and str(form.schema.get("type", "object")).lower() != "object":
        refuse(form.at, "the schema must be one of an object at its root")
    schema = lowered(form.schema)
    if dialect.structured_output == "native":
        body["response_format"] = _json_schema(form, schema, ledger)
        return
    if not in_words:
        body["response_format"] = {"type": "json_object"}
    if form.description and "description" not in schema:
        schema = {**schema, "description": form.description}
    ledger.lose("format.schema", form.at)
    _instruct(body, JSON_OF_SCHEMA + dumps(schema).decode(), dialect)


def _instruct(body: Wire, words: str, dialect: ChatDialect) -> None:
    """At the beginning, where every server takes instructions."""
    role = "developer" if dialect.instructions == "developer" else "system"
    body["messages"].insert(0, {"role": role, "content": words})


def _json_schema(form: Format, schema: Mapping[str, Any], ledger: Ledger) -> Wire:
    wire = _schema(form, _ODD.sub("_", form.name)[:FORMAT_NAME_LIMIT] or FORMAT_NAME, schema)
    if form.strict and not is_strict(schema):
        ledger.lose("format.strict", form.at)
    elif form.strict is not None:
        wire["strict"] = form.strict
    return {"type": "json_schema", "json_schema": wire}


def _stops(output: Output, at: Path, ledger: Ledger) -> list[str]:
    """At most four, none of them empty; none at all is no list."""
    stops = [stop for stop in output.stops or () if stop]
    if len(stops) < len(output.stops or ()):
        ledger.lose("stop.blank", at)
    if len(stops) > STOPS_LIMIT:
        ledger.lose("stop.excess", at)
    return stops[:STOPS_LIMIT]


def _refuse_impossible(request: Request) -> None:
    """What the vendor keeps, and answers that are no text.  Source: protocols.md 2.5, 2.6."""
    state = request.continues
    if state.previous_id is not None:
        refuse(("previous_response_id",), "is known to its own vendor only")
    if state.conversation is not None or state.begins:
        at = request.places.get("conversation", ("conversation",))
        refuse(at, "is kept by its own vendor only: send the whole conversation", code=UNKEPT)
    if state.background:
        refuse(("background",), "Chat Completions has no answers in the background")
    config = request.rest.get("output_config")
    if isinstance(config, dict) and "format" in config:
        refuse(("output_config", "format"), "a format of this type has no place in Chat Completions")
    for modality in request.output.modalities or ():
        if modality.lower() != "text":
            refuse(("modalities",), f"an answer with {modality} cannot be asked for in Chat Completions")


def _put_meta(body: Wire, request: Request, ledger: Ledger) -> None:
    """Source: protocols.md 2.6."""
    meta = request.meta
    if meta.user is not None:
        body["user"] = _person(meta.user, ledger)
    if meta.metadata:
        ledger.lose("meta.metadata", ("metadata",))
    if meta.tier is not None:
        tier = TIERS.get(meta.tier, "")
        if tier:
            body["service_tier"] = tier
        elif tier == "":
            ledger.lose("meta.tier", ("service_tier",))


def _person(user: str, ledger: Ledger) -> str:
    """Vendors refuse long ids; a hash of one names the same person every time (P-132)."""
    if len(user) <= USER_LIMIT:
        return user
    ledger.note(STEP, "user.hashed", ("user",))
    return sha256(_without_session(user).encode("utf-8", "surrogatepass")).hexdigest()


def _without_session(user: str) -> str:
    """Claude Code's id is JSON of a device, an account and a session, of which a person has many (clients.md 1.7)."""
    try:
        told = loads(user.encode("utf-8", "surrogatepass")) if user.startswith("{") else None
    except NotJson:
        return user
    if not isinstance(told, dict) or "session_id" not in told:
        return user
    return dumps({name: value for name, value in told.items() if name != "session_id"}).decode()


def _lose_wishes(request: Request, ledger: Ledger) -> None:
    """What only the client's protocol knows."""
    wish = request.reasoning
    if wish.rest:
        ledger.lose_rest(wish.rest, wish.at)
    if request.continues.store:
        ledger.lose("field.foreign", ("store",))
    if request.rest:
        ledger.lose_rest(request.rest, (), QUIET)
