"""A model of the demo engine that works through a script of tool calls, turn by turn, and then says that it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tests.upstreams import engine

demo: Any = import_module(f"{engine.__package__}.models")
calls: Any = import_module(f"{engine.__package__}.calls")


@dataclass(frozen=True)
class Use:
    """One call of a tool of the client's."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def coder(turns: Sequence[Sequence[Use]], ending: str = "All done.") -> Callable[[Any], Any]:
    """The model: which turn it is tell the results that the conversation holds.

    A request without the tool of its turn (for a title, in another mode) is answered as the model `text` does, so that
    a schema for the answer is kept to. Where thinking is asked for, each answer begins with a thought.
    """

    def answer(ask: Any) -> Any:
        begun = 0
        for number, turn in enumerate(turns, 1):
            if begun == ask.results and turn:
                if any(use.tool not in ask.tools for use in turn):
                    return demo.MODELS["text"](ask)
                said = calls.Block("text", demo.words(f"Turn {number}: \u4f60 & <so> on."))
                blocks = [calls.Block("tool", demo.slices(json.dumps(dict(use.arguments))), use.tool) for use in turn]
                return thoughtful(ask, (said, *blocks), "tool_calls")
            begun += len(turn)
        if ask.wanted is not None:
            return demo.MODELS["text"](ask)
        return thoughtful(ask, (calls.Block("text", demo.words(ending)),), "stop")

    return answer


def thoughtful(ask: Any, blocks: tuple[Any, ...], stop: str) -> Any:
    """An answer, behind a thought where one is wanted."""
    thought = (calls.Block("thinking", demo.words(demo.THOUGHT)),) if ask.thinking else ()
    return calls.Answer((*thought, *blocks), stop=stop)
