"""Adapters as plug-in authors write them, and as a provider's declaration names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

from rotator.config.reader import At, parse
from rotator.config.suggest import unknown
from rotator.contracts import Adapter, Context, JsonFrame, ProtocolAdapter, Provider
from rotator.errors import ConfigError, Problem
from rotator.neutral.events import Event
from rotator.neutral.request import Request
from rotator.neutral.response import Response

Self = TypeVar("Self", bound="BaseAdapter")


class BaseAdapter:
    """What adapters of both forms share: a name, options, one object for each attempt."""

    #: The name that providers use; the file's name where it is empty.
    name: str = ""
    form: Literal["wire", "neutral"]
    protocols: Sequence[str] = ()
    #: A frozen dataclass that the options are read into; None where there are none.
    Options: ClassVar[type[Any] | None] = None
    options: Any = None
    ctx: Context

    def __init__(self, options: Any = None) -> None:
        """Raises ConfigError naming each option that cannot be used."""
        if self.Options is not None:
            self.options = parse(self.Options, {} if options is None else options, At(""))
        elif options:
            raise At("").refuse("takes no options")

    def open(self: Self, ctx: Context) -> Self:
        """A copy for one attempt, its lists, sets and dicts too."""
        opened = object.__new__(type(self))
        own = {name: value.copy() if type(value) in (list, set, dict) else value for name, value in vars(self).items()}
        opened.__dict__.update(own, ctx=ctx)
        return opened


class WireAdapter(BaseAdapter):
    """Base of adapters that see the upstream's JSON: override what is needed, leave the rest.

    ``on_request`` and ``on_response`` take a JSON object and return one, the same if they changed it in place.
    ``on_event`` returns the frames that stand for one frame, ``on_end`` those that follow the last. The object is
    this attempt's own: what it keeps on itself between events is nobody else's. Neither ``[DONE]`` nor errors come
    here.
    """

    form = "wire"

    def on_request(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def on_response(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def on_event(self, frame: JsonFrame) -> Iterable[JsonFrame]:
        return (frame,)

    def on_end(self) -> Iterable[JsonFrame]:
        return ()


class NeutralAdapter(BaseAdapter):
    """Base of adapters that see the neutral model, whatever the protocols are; they make a request be translated.

    Requests, answers and events are immutable: give back another one. Events come under the laws of
    ``rotator.neutral.events`` and must leave so; blocks may overlap. ``End`` does not come to ``on_event``: ``on_end``
    is called before it.
    """

    form = "neutral"

    def on_request(self, request: Request) -> Request:
        return request

    def on_response(self, response: Response) -> Response:
        return response

    def on_event(self, event: Event) -> Iterable[Event]:
        return (event,)

    def on_end(self) -> Iterable[Event]:
        return ()


def make_adapters(
    provider: Provider, known: Mapping[str, type[Any]], protocols: Mapping[str, ProtocolAdapter], at: At
) -> tuple[Adapter, ...]:
    """The adapters that a provider names, in its order.  Raises ConfigError with every one that cannot serve."""
    made: list[Adapter] = []
    problems: list[Problem] = []
    for index, use in enumerate(provider.handling.adapters):
        place = at.child("adapters").item(index)
        kind = known.get(use.name)
        reason = _unfit(kind, provider, protocols) if kind else unknown(f"adapter {use.name!r}", use.name, known)
        if reason:
            problems.append(Problem(place.where, place.key, reason))
            continue
        try:
            assert kind is not None
            made.append(kind(use.options))
        except ConfigError as error:
            problems += (_inside(place.child(use.name), problem) for problem in error.problems)
        except Exception as error:
            place = place.child(use.name)
            problems.append(Problem(place.where, place.key, f"{type(error).__name__}: {error}"))
    if problems:
        raise ConfigError(problems)
    return tuple(made)


def _unfit(kind: type[Any], provider: Provider, protocols: Mapping[str, ProtocolAdapter]) -> str:
    """Why an adapter cannot serve a provider, "" if it can."""
    spoken = {profile.protocol for profile in provider.profiles.values()}
    if kind.form == "neutral":
        mute = sorted(name for name in spoken if name in protocols and not protocols[name].codecs)
        return f"adapter {kind.name!r} is neutral, and {', '.join(mute)} cannot be translated" if mute else ""
    if kind.protocols and spoken.isdisjoint(kind.protocols):
        return f"adapter {kind.name!r} is for {', '.join(kind.protocols)}; {provider.name} speaks {', '.join(spoken)}"
    return ""


def _inside(place: At, problem: Problem) -> Problem:
    key, reason = problem.key, problem.reason
    named, colon, rest = reason.partition(": ")
    if not key and colon and " " not in named:  # a check of the options' own names its key first
        key, reason = named, rest
    return Problem(place.where, f"{place.key}.{key}" if key else place.key, reason)
