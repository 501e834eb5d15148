"""The demo models: from what was asked to an answer, always the same for the same request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from .calls import Answer, Ask, Block

UNICODE_TEXT = (
    "Emoji \U0001f680\U0001f44d\U0001f3fd \U0001f469\u200d\U0001f469\u200d\U0001f467, CJK \u4f60\u597d\u4e16\u754c "
    "\u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4, combining e\u0301 n\u0303 a\u0308\u0323, "
    "right to left \u0634\u0643\u0631\u0627 \u05ea\u05d5\u05d3\u05d4, beyond the BMP \U0001d518\U0002070e, "
    'line\u2028and paragraph\u2029separators, next\u0085line, quotes " \\ / and a tab\t.'
)
THOUGHT = "The user wants an answer. A short and friendly one will do, so I write two sentences and stop."
DEEPEST_EXAMPLE = 12
PARTIAL_TEXT = "This answer starts well and then"
AGENT_FILE = "agent.txt"
AGENT_TURNS = 20
AGENT_PAIRED = 5
"""Every so many turns of the agent make two calls at once."""
AGENT_LINES = AGENT_TURNS + AGENT_TURNS // AGENT_PAIRED
"""A call writes a line."""
AGENT_WORDS = (
    "plain words",
    'quotes " and \\ backslashes, a tab\tand "\\n" spelt out',
    "\u4f60\u597d, e\u0301 and \U0001f469\u200d\U0001f680",
    '{"looks": ["like", 1.50, null]}',
    "line\u2028separator, </tag> & &amp;, 100 %",
)


def words(text: str) -> tuple[str, ...]:
    """The text in pieces of one word with the space behind it; joined they are the text."""
    return tuple(re.findall(r"\S+\s*|^\s+", text))


def slices(text: str, size: int = 6) -> tuple[str, ...]:
    """The text in pieces of `size` characters."""
    return tuple(text[start : start + size] for start in range(0, len(text), size))


def example(schema: Any, variant: int = 0) -> Any:
    """A value that fits the plain parts of a JSON Schema: types, properties, enum, const, items, anyOf, local $ref."""
    defs = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    return _example(schema, variant, defs, DEEPEST_EXAMPLE)


def _example(schema: Any, variant: int, defs: dict[str, Any], depth: int) -> Any:
    """As `example`; below `depth` levels, as in a schema that holds itself, there is only null."""
    if not isinstance(schema, dict):
        return {}
    if not depth:
        return None

    def inner(part: Any) -> Any:
        return _example(part, variant, defs, depth - 1)

    if "$ref" in schema:
        return inner(defs.get(str(schema["$ref"]).rpartition("/")[2], {}))
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][variant % len(schema["enum"])]
    if schema.get("anyOf"):
        return inner(schema["anyOf"][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: inner(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [inner(schema.get("items", {"type": "string"}))]
    scalars: dict[str, Any] = {"integer": 3 + variant, "number": 1.5 + variant, "boolean": variant == 0, "null": None}
    return scalars.get(kind, ("Paris", "\u6771\u4eac")[variant % 2])


def _text(ask: Ask) -> Answer:
    if ask.wanted is not None:
        return Answer((Block("text", slices(orjson.dumps(example(ask.wanted)).decode())),))
    if ask.answers_tools:
        said = "Thank you, the tool result arrived. Here is what it means: all is well."
    else:
        said = (
            f"Hello from the demo vendor! Your last message has {len(ask.user_text)} characters. "
            "No real model was asked, so this answer is free and always the same."
        )
    return Answer((Block("text", words(said)),))


def _unicode(ask: Ask) -> Answer:
    del ask
    return Answer((Block("text", slices(UNICODE_TEXT, 1)),))


def _calls(ask: Ask, count: int) -> tuple[Block, ...]:
    names = [ask.choice.name] if ask.choice.mode == "named" else list(ask.tools)
    blocks = []
    for number in range(count):
        name = names[number % len(names)]
        arguments = orjson.dumps(example(ask.tools.get(name), number)).decode()
        blocks.append(Block("tool", slices(arguments), name))
    return tuple(blocks)


def _may_call(ask: Ask) -> bool:
    if ask.choice.mode in ("required", "named"):
        return bool(ask.tools)
    return bool(ask.tools) and ask.choice.mode == "auto" and not ask.answers_tools


def _tools(ask: Ask, count: int = 1) -> Answer:
    if _may_call(ask):
        return Answer(_calls(ask, count if ask.choice.parallel else 1), stop="tool_calls")
    if ask.answers_tools or ask.tools:
        return _text(ask)
    return Answer((Block("text", words("There is no tool in this request that I could call.")),))


def _parallel_tools(ask: Ask) -> Answer:
    return _tools(ask, 2)


def agent_line(number: int) -> str:
    """What the agent's call writes that comes after `number` results."""
    return f"{number + 1}: {AGENT_WORDS[number % len(AGENT_WORDS)]}"


def _writes(schema: Any) -> bool:
    """Whether a tool's arguments have a path and a text."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    kinds = [properties.get(name) for name in ("path", "text")] if isinstance(properties, dict) else [None]
    return all(isinstance(kind, dict) and kind.get("type") == "string" for kind in kinds)


def _agent(ask: Ask) -> Answer:
    """One line after the other into a file, until it is whole; the results so far tell how far it has come."""
    chosen = (ask.choice.name,) if ask.choice.mode == "named" else ask.tools
    name = next((name for name in chosen if _writes(ask.tools.get(name))), None)
    if name is None or ask.choice.mode == "none":
        return _tools(ask)
    if ask.results >= AGENT_LINES and ask.choice.mode == "auto":
        return Answer((Block("text", words(f"Done: {AGENT_FILE} has {AGENT_LINES} lines.")),))
    paired = ask.choice.parallel and ask.results % (AGENT_PAIRED + 1) == AGENT_PAIRED - 1
    filled = example(ask.tools[name])
    blocks = [Block("text", words(f"I write line {ask.results + 1}."))]
    for number in range(ask.results, ask.results + 1 + paired):
        arguments = {**(filled if isinstance(filled, dict) else {}), "path": AGENT_FILE, "text": agent_line(number)}
        blocks.append(Block("tool", slices(orjson.dumps(arguments).decode()), name))
    return Answer(tuple(blocks), stop="tool_calls")


def _thoughtful(ask: Ask, answer: Answer) -> Answer:
    if not ask.thinking:
        return answer
    return replace(answer, blocks=(Block("thinking", words(THOUGHT)), *answer.blocks))


def _thinking(ask: Ask) -> Answer:
    return _thoughtful(ask, _text(ask))


def _thinking_tools(ask: Ask) -> Answer:
    return _thoughtful(ask, _tools(ask))


def _interleaved(ask: Ask) -> Answer:
    """Thinks, also in secret, speaks, thinks again, and only then calls or goes on."""
    answer = _tools(ask)
    if not ask.thinking:
        return answer
    again = Block("thinking", words("Before I go on I think once more."))
    before = (Block("thinking", words(THOUGHT)), Block("redacted", ()), Block("text", words("Let me see. ")), again)
    return replace(answer, blocks=(*before, *answer.blocks))


def _long(ask: Ask) -> Answer:
    del ask
    return Answer((Block("text", tuple(f"word {number}, " for number in range(400))),))


def _slow(ask: Ask) -> Answer:
    del ask
    return Answer((Block("text", tuple(f"tick {number}. " for number in range(12))),), paced=True)


def _mid_error(ask: Ask) -> Answer:
    del ask
    return Answer((Block("text", words(PARTIAL_TEXT)),), breaks=True)


MODELS: dict[str, Callable[[Ask], Answer]] = {
    "text": _text,
    "unicode": _unicode,
    "tools": _tools,
    "parallel-tools": _parallel_tools,
    "agent": _agent,
    "thinking": _thinking,
    "thinking-tools": _thinking_tools,
    "interleaved": _interleaved,
    "long": _long,
    "slow": _slow,
    "flaky": _text,
    "error": _text,
    "mid-error": _mid_error,
}
"""Each by name. That `flaky` limits and `error` fails is the engine's doing; this is what they say otherwise."""


def answer(model: str, ask: Ask) -> Answer:
    """What a model says, cut at the first stop sequence and at `max_tokens`. KeyError: no such model."""
    return _clip(_stopped(MODELS[model](ask), ask.stops), ask.max_tokens)


def _stopped(full: Answer, stops: tuple[str, ...]) -> Answer:
    """Cut at the earliest stop sequence in a text; the sequence itself is not said."""
    for number, block in enumerate(full.blocks):
        hits = [(block.text.index(stop), stop) for stop in stops if block.kind == "text" and stop in block.text]
        if hits:
            at, stop = min(hits)
            pieces = words(block.text[:at])
            said = (replace(block, pieces=pieces),) if pieces else ()
            blocks = (*full.blocks[:number], *said)
            return Answer(blocks, stop="stop_sequence", stop_sequence=stop, paced=full.paced)
    return full


def _clip(full: Answer, limit: int | None) -> Answer:
    """Cut after `limit` pieces; a tool call that does not fit is left out, as half a call is of no use."""
    if limit is None or full.output_tokens <= limit:
        return full
    kept: list[Block] = []
    left = limit
    for block in full.blocks:
        if len(block.pieces) <= left:
            kept.append(block)
        elif block.kind != "tool" and left:
            kept.append(replace(block, pieces=block.pieces[:left]))
        left -= len(block.pieces)
        if left <= 0:
            break
    return Answer(tuple(kept), stop="length", paced=full.paced)
