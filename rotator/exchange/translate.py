"""The translate lane: a request of one protocol, an upstream of another, and the neutral model between them.

A plan holds a ``Pair`` of codecs; each attempt opens it into a ``Translation`` of its own. The request was parsed once;
neutral adapters see it in declared order, then it is built for the upstream. Answers are read, get the client's own
tool names back, pass the adapters in reverse, and are written for the client: whole ones here, streams in
``rotator.exchange.translated``. What stands between ``build`` and ``read`` is the wire stage, the same as on the native
lane (design.md 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from rotator.contracts import Adapter, Context
from rotator.exchange.bound import Home, sealed_response
from rotator.exchange.stages import (
    Direction,
    Skipping,
    Stage,
    TransformFailed,
    Watcher,
    called,
    converted,
    implements,
    last_of,
    opened_adapters,
    stages_of,
    unwatched,
    wrong,
)
from rotator.neutral.codec import Built, Codec, Ids
from rotator.neutral.events import End, Event, Failed
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Part, Reasoning, Refusal, Text, ToolCall
from rotator.neutral.request import Request
from rotator.neutral.response import Response
from rotator.neutral.restore import restored
from rotator.neutral.usage import CHARACTERS_PER_TOKEN, Usage, estimated

#: What an adapter may give for an event; how a stream ends is not its to say.
_EVENTS: Final = frozenset(Event.__args__) - {End, Failed}
#: What an adapter of each direction must give.
_GIVEN: Final[dict[str, type]] = {"request": Request, "response": Response}

#: An adapter's last events, and the adapters behind it.
Ends = list[tuple[Stage, list[Stage]]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two codecs of a plan and the neutral adapters between them."""

    client: Codec
    upstream: Codec
    client_name: str
    upstream_name: str
    adapters: Sequence[Adapter]
    skipping: Skipping | None

    @property
    def names(self) -> str:
        """The adapters in words, for what cannot be laid at one's door; "" where all is the codecs' own."""
        return ", ".join(f"adapter {one.name}" for one in self.adapters)


class Task(NamedTuple):
    """What is translated: the parsed request under the upstream's model, whose ids and losses, and who watches.

    ``body_bytes`` is the size of what the client sent, for estimates.
    """

    request: Request
    ids: Ids
    ledger: Ledger
    body_bytes: int
    watcher: Watcher | None


class Translation:
    """One attempt's translation.  Methods raise TransformFailed."""

    def __init__(self, pair: Pair, task: Task, ctx: Context, home: Home) -> None:
        self.pair = pair
        self.home = home
        self.own = pair.client_name == pair.upstream_name
        self.task = task
        self.built = Built({})
        #: Of a whole answer whose vendor does not say.
        self.estimate: Usage | None = None
        self._watch = unwatched if task.watcher is None else task.watcher.wrapped
        self._opened = opened_adapters(pair.adapters, ctx, pair.skipping)
        # Counting tokens asks with the same body; its answer is none of the conversation's.
        self._back = self._opened[::-1] if ctx.operation == "generate" else []

    def request(self) -> Built:
        """The request in the upstream's JSON.  Raises Unfit where it cannot be said there."""
        request, ledger, upstream = self.task.request, self.task.ledger, self.pair.upstream
        for stage in self._stages("request", "on_request", self._opened):
            request = self.run(stage, request)
        build = self._stage(f"build {self.pair.upstream_name}", "request", lambda one: upstream.build(one, ledger))
        self.built = converted(build, request)
        return self.built

    def response(self, body: dict[str, Any]) -> dict[str, Any]:
        """A whole answer in the client's JSON.  What it cost is estimated where the vendor does not say."""
        pair, task = self.pair, self.task
        read = self._stage(
            f"read {pair.upstream_name}", "response", lambda one: pair.upstream.parse_response(one, task.ledger)
        )
        response: Response = converted(read, body)
        if self.built.names:
            response = restored(response, self.built.names)
        if response.usage is None:
            self.estimate = estimated(task.body_bytes, _tokens(response))
            response = replace(response, usage=self.estimate)
        for stage in self._stages("response", "on_response", self._back):
            response = self.run(stage, response)
        response = sealed_response(response, self.home, self.own)
        write = self._stage(
            f"write {pair.client_name}",
            "response",
            lambda one: pair.client.build_response(one, task.request, task.ids, task.ledger),
        )
        written: dict[str, Any] = converted(write, response)
        return written

    def event_stages(self) -> tuple[list[Stage], Ends]:
        """The adapters' steps for the events of a stream, and for their last ones."""
        ends = [
            (self._stage(name, "end", last_of(one)), self._stages("event", "on_event", self._back[place + 1 :]))
            for place, (name, one) in enumerate(self._back)
            if implements(type(one), "on_end")
        ]
        return self._stages("event", "on_event", self._back), ends

    def adapted(self, stages: Iterable[Stage], events: Iterable[Event]) -> Iterable[Event]:
        """Events behind these steps."""
        for stage in stages:
            events = [shown for event in events for shown in self.run(stage, event)]
        return events

    def _stage(self, name: str, direction: Direction, call: Callable[[Any], Any]) -> Stage:
        return self._watch(Stage(name, "neutral", direction, call))

    def _stages(self, direction: Direction, method: str, opened: Sequence[tuple[str, Any]]) -> list[Stage]:
        return stages_of(self._stage, direction, method, opened)

    def run(self, stage: Stage, value: Any) -> Any:
        """An adapter's result, or what went in where failing ones are skipped: neutral data is immutable."""
        try:
            return _checked(stage, value)
        except TransformFailed as failed:
            if self.pair.skipping is None:
                raise
            self.pair.skipping.pass_by(stage.name, failed)
            if stage.direction == "event":
                return [value]
            return [] if stage.direction == "end" else value


def _tokens(response: Response) -> int:
    """About how many tokens an answer's words are.  Source: protocols.md 3.4."""
    characters = sum(_characters(part) for candidate in response.candidates for part in candidate.parts)
    return -(-characters // CHARACTERS_PER_TOKEN)


def _characters(part: Part) -> int:
    if isinstance(part, ToolCall):
        return len(part.name) + len(part.arguments)
    return len(part.text) if isinstance(part, Text | Reasoning | Refusal) else 0


def _checked(stage: Stage, value: Any) -> Any:
    """A neutral adapter's result: a request, an answer, or a list of events."""
    result = called(stage, value)
    wanted = _GIVEN.get(stage.direction)
    if wanted is not None:
        if not isinstance(result, wanted):
            raise wrong(stage, f"a neutral {wanted.__name__.lower()}", result)
    elif not isinstance(result, list) or not all(type(one) in _EVENTS for one in result):
        raise wrong(stage, "events", result)
    return result
