"""A Chat client's request.  Source: protocols.md 2.1 to 2.8, 7.1.

What is said in ways that only compatible servers know stays in the request's ``rest``, but for what it says of
thinking (``parse_wish``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator.api import (
    CacheWish,
    Continuation,
    Format,
    Ledger,
    Meta,
    Output,
    ReasoningWish,
    Request,
    Rest,
    Sampling,
)

from .._reading import Fields, refuse
from .parse_tools import LEGACY_TOOLS, NO_POLICY, parse_policy, parse_tools
from .parse_turns import parse_turns
from .parse_wish import WISHES, parse_wish
from .spelling import NAME, NO_REST, SafetyIdentifier, nested, read_mark, required_fields

_NO_WISH: Final = ReasoningWish()
_NO_CACHE: Final = CacheWish()
_NO_CONTINUATION: Final = Continuation()
_NO_META: Final = Meta()
_NO_OUTPUT: Final = Output()
_NO_SAMPLING: Final = Sampling()

#: Members of which most requests have none, so that they are looked for together.
_OUTPUT: Final = frozenset((
    "max_tokens", "max_completion_tokens", "response_format", "verbosity", "modalities", "audio", "n", "stop",
    "logprobs", "top_logprobs",
))
_SAMPLING: Final = frozenset((
    "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias",
))
_META: Final = frozenset(("user", "safety_identifier", "metadata", "service_tier"))
_CACHE: Final = frozenset(("prompt_cache_key", "cache_control"))
_TOOLS: Final = frozenset(("tools", "functions", "web_search_options"))
_POLICY: Final = frozenset(("tool_choice", "parallel_tool_calls", "function_call"))
_LEGACY: Final = frozenset(("functions", "function_call"))
_FORMATS: Final = frozenset(("text", "json_object", "json_schema"))


def parse(body: Mapping[str, Any], model: str, stream: bool, ledger: Ledger) -> Request:
    """See ``rotator.neutral.codec.Codec.parse``."""
    fields = Fields(body, ())
    fields.drop("model", "stream")
    messages = fields.list("messages", required=True)
    if not messages:
        refuse(("messages",), "must not be empty")
    names = body.keys()
    store = fields.flag("store")
    wish, unheard = (_NO_WISH, {}) if names.isdisjoint(WISHES) else parse_wish(body, fields)
    usage_in_stream, streaming = _stream_options(fields)
    if not names.isdisjoint(_LEGACY):
        ledger.note("chat.parse.tools", "tools.legacy", (LEGACY_TOOLS,), ("tools",))
    return Request(
        NAME,
        model,
        parse_turns(messages),
        tools=() if names.isdisjoint(_TOOLS) else parse_tools(fields),
        policy=NO_POLICY if names.isdisjoint(_POLICY) else parse_policy(fields),
        reasoning=wish,
        output=_NO_OUTPUT if names.isdisjoint(_OUTPUT) else _output(body, fields),
        sampling=_NO_SAMPLING if names.isdisjoint(_SAMPLING) else _sampling(body, fields),
        cache=_NO_CACHE if names.isdisjoint(_CACHE) else _cache(body, fields),
        continues=_NO_CONTINUATION if store is None else Continuation(store=store),
        meta=_NO_META if names.isdisjoint(_META) else _meta(fields),
        stream=stream,
        usage_in_stream=usage_in_stream,
        rest=nested(fields.rest(), stream_options=streaming, **unheard),
    )


def _stream_options(fields: Fields) -> tuple[bool, Rest]:
    """Whether usage is asked for, and the other options; null is what some clients send (protocols.md 2.6)."""
    options = fields.fields("stream_options")
    if options is None:
        return False, NO_REST
    return bool(options.flag("include_usage")), options.rest()


def _cache(body: Mapping[str, Any], fields: Fields) -> CacheWish:
    return CacheWish(fields.text("prompt_cache_key"), read_mark(body, fields))


def _output(body: Mapping[str, Any], fields: Fields) -> Output:
    """Of two limits the newer counts, and the other stays in ``rest``.  Source: protocols.md 2.5, "Max output"."""
    name = next((one for one in ("max_completion_tokens", "max_tokens") if fields.has(one)), "")
    modalities = body.get("modalities")
    if isinstance(modalities, str):
        fields.drop("modalities")
    return Output(
        fields.whole(name),
        name,
        _format(body, fields),
        fields.text("verbosity"),
        (modalities,) if isinstance(modalities, str) else fields.texts("modalities"),
        fields.mapping("audio"),
        fields.whole("n"),
        _stops(body, fields),
        fields.flag("logprobs"),
        fields.whole("top_logprobs"),
    )


def _format(body: Mapping[str, Any], fields: Fields) -> Format | None:
    """``text`` says nothing (conversion-pitfalls.md P92); a vendor's own types stay in ``rest``."""
    value = body.get("response_format")
    if isinstance(value, dict) and isinstance(kind := value.get("type"), str) and kind not in _FORMATS:
        return None
    found = fields.fields("response_format")
    if found is None:
        return None
    kind = found.word("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return Format("json_object", at=found.at, rest=found.rest())
    inner = required_fields(found, "json_schema")
    schema, name = inner.mapping("schema"), inner.text("name") or ""
    description, strict = inner.text("description") or "", inner.flag("strict")
    rest = nested(found.rest(), json_schema=inner.rest())
    return Format("json_schema", schema, name, description, strict, found.at, rest)


def _stops(body: Mapping[str, Any], fields: Fields) -> tuple[str, ...] | None:
    value = body.get("stop")
    if isinstance(value, str):
        fields.drop("stop")
        return (value,)
    if value is not None and not isinstance(value, list):
        refuse(("stop",), "must be a string or a list")
    return fields.texts("stop")


def _sampling(body: Mapping[str, Any], fields: Fields) -> Sampling:
    """``top_k`` is an extension (conversion-pitfalls.md P187); 0 and -1 mean none there and stay in ``rest``."""
    top_k = body.get("top_k")
    unlimited = isinstance(top_k, int) and top_k <= 0
    bias = fields.mapping("logit_bias")
    for token, value in (bias or {}).items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            refuse(("logit_bias", token), "must be a number")
    return Sampling(
        fields.number("temperature"),
        fields.number("top_p"),
        None if unlimited else fields.whole("top_k"),
        fields.whole("seed"),
        fields.number("frequency_penalty"),
        fields.number("presence_penalty"),
        bias,
    )


def _meta(fields: Fields) -> Meta:
    """Where both ids of a person are told, the newer stays in ``rest``.  Source: protocols.md 2.6, "User id"."""
    user = fields.text("user")
    if user is None and (person := fields.text("safety_identifier")) is not None:
        user = SafetyIdentifier(person)
    metadata = fields.mapping("metadata")
    for name, value in (metadata or {}).items():
        if not isinstance(value, str):
            refuse(("metadata", name), "must be a string")
    return Meta(user, metadata, fields.text("service_tier"))
