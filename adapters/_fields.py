"""What adapters share that edit members of the JSON: the option ``where``, and the way into each direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rotator.api import JsonFrame, WireAdapter

Direction = Literal["request", "response", "event"]


@dataclass(frozen=True, kw_only=True)
class Directed:
    """The option that all of them have: requests, whole answers, events of a stream, or several of these."""

    where: Direction | tuple[Direction, ...] = "request"

    def __post_init__(self) -> None:
        if not self.where:
            raise ValueError("where: expected request, response, event or several of them")


class FieldAdapter(WireAdapter):
    """Edits the JSON in place in the directions that its options name."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        where = self.options.where
        self._where = frozenset((where,) if isinstance(where, str) else where)

    def edit(self, body: dict[str, Any], direction: Direction) -> None:
        """Change a request, an answer or one event's JSON."""
        raise NotImplementedError

    def on_request(self, body: dict[str, Any]) -> dict[str, Any]:
        if "request" in self._where:
            self.edit(body, "request")
        return body

    def on_response(self, body: dict[str, Any]) -> dict[str, Any]:
        if "response" in self._where:
            self.edit(body, "response")
        return body

    def on_event(self, frame: JsonFrame) -> Iterable[JsonFrame]:
        if "event" in self._where:
            self.edit(frame.data, "event")
        return (frame,)
