"""Reasoning kept from clients that cannot show it, and from vendors that refuse it in the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rotator.api import BlockEnd, BlockStart, Event, NeutralAdapter, Part, Reasoning, Request, Response


@dataclass(frozen=True, slots=True)
class StripThinkingOptions:
    """Where to take it away: from answers, from the turns that a client sends back, or both."""

    answers: bool = True
    history: bool = True


class StripThinking(NeutralAdapter):
    """Takes reasoning blocks away; what they cost stays in the usage."""

    name = "strip_thinking"
    Options = StripThinkingOptions
    options: StripThinkingOptions

    def __init__(self, options: object = None) -> None:
        super().__init__(options)
        self.hidden: set[int] = set()

    def on_request(self, request: Request) -> Request:
        if not self.options.history:
            return request
        turns = tuple(
            replace(turn, parts=self._without(turn.parts)) if turn.role == "assistant" else turn
            for turn in request.turns
        )
        return request if turns == request.turns else replace(request, turns=turns)

    def on_response(self, response: Response) -> Response:
        if not self.options.answers:
            return response
        candidates = tuple(replace(one, parts=self._without(one.parts)) for one in response.candidates)
        return response if candidates == response.candidates else replace(response, candidates=candidates)

    def on_event(self, event: Event) -> Iterable[Event]:
        if not self.options.answers:
            return (event,)
        if isinstance(event, BlockStart) and isinstance(event.part, Reasoning):
            self.hidden.add(event.block)
        block = getattr(event, "block", None)
        if block not in self.hidden:
            return (event,)
        if isinstance(event, BlockEnd):
            self.ctx.note(self.name, "reasoning_stripped")
        return ()

    def _without(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        kept = tuple(part for part in parts if not isinstance(part, Reasoning))
        if len(kept) < len(parts):
            self.ctx.note(self.name, "reasoning_stripped")
        return kept
