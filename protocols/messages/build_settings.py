"""Settings of a request for an upstream: what can be had, what is changed, what is lost.

Source: protocols.md 2.5, 2.6, 6.4.2; conversion-pitfalls.md 3.9, 3.16.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from rotator.api import Format, Ledger, Request, dumps

from .._reading import UNKEPT, refuse
from .._schemas import is_output, output_schema
from .build_thinking import is_on
from .dialect import MessagesDialect
from .facts import MessagesFacts
from .vocabulary import PROTOCOL

STEP = "messages.build.settings"
#: Service tiers of other vendors -> ours, None where nothing need be said.  Source: protocols.md 2.6 "Tier".
TIERS: Final[dict[str, str | None]] = {
    "auto": None,
    "default": "standard_only",
    "standard": "standard_only",
    "standard_only": "standard_only",
}
#: Hints about caching and streams that nobody would miss.  Source: protocols.md 2.6.
QUIET: Final = frozenset(("prompt_cache_options", "prompt_cache_retention", "stream_options"))
#: Sampling that Messages does not know.  Source: protocols.md 2.5.
UNKNOWN_SAMPLING: Final = ("seed", "frequency_penalty", "presence_penalty", "logit_bias")
#: Values of it that say nothing; chat front ends send them all.
NOTHING: Final[dict[str, tuple[Any, ...]]] = {
    "seed": (-1,), "frequency_penalty": (0,), "presence_penalty": (0,), "logit_bias": ({},)
}
_NAMES_SOMEBODY: Final = re.compile(r"\S@\S|^\+\d[\d ()/-]{5,}$")

JSON_ONLY: Final = "Answer with one JSON object and nothing else: no other words, no code fences."
JSON_OF_SCHEMA: Final = (
    "Answer with one JSON value and nothing else: no other words, no code fences. It must fit this JSON Schema:\n"
)
ONE_OF: Final = "Answer with exactly one of these words and nothing else: "


def refuse_impossible(request: Request) -> None:
    """What cannot be had here and must not be missed.  Source: protocols.md 2.5, 2.6."""
    output, state = request.output, request.continues
    if output.n is not None and output.n > 1:
        refuse(("n",), "Messages gives one answer")
    for modality in output.modalities or ():
        if modality.lower() != "text":
            refuse(("modalities",), f"Messages answers in text only, not {modality}")
    if state.previous_id is not None:
        refuse(("previous_response_id",), "is known to its own vendor only")
    own = request.protocol == PROTOCOL and "thread" in request.rest
    if not own and (state.conversation is not None or state.begins):
        refuse(("conversation",), "is kept by its own vendor only: send the whole conversation", code=UNKEPT)
    if state.background:
        refuse(("background",), "Messages has no answers in the background")
    if request.protocol != PROTOCOL and "response_format" in request.rest:
        refuse(("response_format",), "a format of this type has no place in Messages")


def lose_unknown(request: Request, ledger: Ledger) -> None:
    """Tuning that has no place here.  Source: protocols.md 2.5, 2.6."""
    output, sampling = request.output, request.sampling
    for name in UNKNOWN_SAMPLING:
        value = getattr(sampling, name)
        if value in NOTHING.get(name, ()):
            ledger.note(STEP, "sampling.default", (name,))
        elif value is not None:
            ledger.lose(f"sampling.{name}", (name,))
    if output.logprobs:
        ledger.lose("output.logprobs", ("logprobs",))
    if output.top_logprobs:
        ledger.lose("output.top_logprobs", ("top_logprobs",))
    if output.verbosity is not None:
        ledger.lose("output.verbosity", ("verbosity",))
    if output.audio is not None:
        ledger.lose("output.audio", ("audio",))
    if request.continues.store:
        ledger.lose("field.foreign", ("store",))
    if request.meta.metadata:
        ledger.lose("meta.metadata", ("metadata",))


def answer_format(
    form: Format | None, dialect: MessagesDialect, ledger: Ledger
) -> tuple[dict[str, Any] | None, str | None]:
    """``output_config.format``, or the instruction that stands for it.  Source: protocols.md 2.5, 6.4.2."""
    if form is None:
        return None, None
    if form.rest:
        ledger.lose_rest(form.rest, form.at)
    if form.kind == "enum":
        words = (form.schema or {}).get("enum")
        ledger.lose("format.schema", form.at)
        return None, ONE_OF + ", ".join(map(str, words if isinstance(words, list) else ()))
    if form.kind == "json_object" or form.schema is None:
        ledger.lose("format.json_object", form.at)
        return None, JSON_ONLY
    if dialect.structured_output == "instruction" or not is_output(form.schema):
        ledger.lose("format.schema", form.at)
        return None, JSON_OF_SCHEMA + dumps(form.schema).decode()
    if form.strict is False:
        ledger.lose("format.strict", form.at)
    schema, changes = output_schema(form.schema)
    if changes:
        ledger.lose("format.schema", form.at, "; ".join(changes))
        ledger.note(STEP, "format.schema", form.at)
    if form.description and "description" not in schema:
        schema = {**schema, "description": form.description}
    return {"type": "json_schema", "schema": schema}, None


def add_sampling(request: Request, body: dict[str, Any], facts: MessagesFacts, ledger: Ledger) -> None:
    """Source: protocols.md 2.5 (temperature, top_p), 7.2; P116, P188 of conversion-pitfalls.md.

    What is the default anyway is not told where the model takes no other, and nothing is lost.
    """
    sampling = request.sampling
    given = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    said = {name: value for name, value in given.items() if value is not None}
    if facts.sampling is False or is_on(body, facts):
        for name, value in said.items():
            if name != "top_k" and value == 1:
                ledger.note(STEP, "sampling.default", (name,))
            else:
                ledger.lose(f"sampling.{name}", (name,))
        return
    if "temperature" in said and "top_p" in said:
        if said.pop("top_p") == 1:
            ledger.note(STEP, "sampling.default", ("top_p",))
        else:
            ledger.lose("sampling.top_p", ("top_p",))
    if said.get("temperature", 0) > 1:
        ledger.lose("sampling.temperature", ("temperature",))
        ledger.note(STEP, "temperature.clamped", ("temperature",), ("temperature",))
        said["temperature"] = 1
    body.update(said)


def add_stops(request: Request, body: dict[str, Any], ledger: Ledger) -> None:
    """Always a list, without blank ones.  Source: protocols.md 2.5 "stop"."""
    stops = [stop for stop in request.output.stops or () if stop.strip()]
    if len(stops) < len(request.output.stops or ()):
        ledger.lose("stop.blank", ("stop",))
    if stops:
        body["stop_sequences"] = stops


def add_meta(request: Request, body: dict[str, Any], ledger: Ledger) -> None:
    """Source: protocols.md 2.6 "User id", "Tier"."""
    if request.meta.user is not None:
        body["metadata"] = {"user_id": _person(request.meta.user, ledger)}
    tier = request.meta.tier
    if tier is not None:
        word = tier.lower()
        if word not in TIERS:
            ledger.lose("meta.tier", ("service_tier",), tier)
        elif TIERS[word] is not None:
            body["service_tier"] = TIERS[word]


def _person(user: str, ledger: Ledger) -> str:
    """The API refuses ids that name a person, as an address of mail does; a hash is the same every time (P-132).

    Source: public reports of its error, "appears to contain an email address".
    """
    if not _NAMES_SOMEBODY.search(user):
        return user
    ledger.note(STEP, "user.hashed", ("user",))
    return sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def lose_wishes(request: Request, ledger: Ledger) -> None:
    """Members that only the client's protocol knows."""
    wish = request.reasoning
    if wish.rest:
        ledger.lose_rest(wish.rest, wish.at)
    if request.rest:
        ledger.lose_rest(request.rest, (), QUIET | {"top_k"})  # one that is no number of tokens says nothing
