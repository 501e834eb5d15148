"""How many tokens a request may be, where nobody counts them.  Source: protocols.md 3.4, "Missing usage".

Four characters of what the model reads are a token. Media are no text: an image is what a large one costs, other media
go by their size. These are guesses, and are told as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rotator.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from rotator.neutral.request import Request, Tool
from rotator.neutral.usage import CHARACTERS_PER_TOKEN
from rotator.wire.jsontext import dumps

#: Of an image as large as vendors look at, and of a medium of which only the address is known.
MEDIUM_TOKENS: Final = 1_600
#: A page of a PDF has some 50,000 bytes and 1,500 tokens; four characters of base64 are three bytes.
BASE64_PER_TOKEN: Final = 44


def request_tokens(request: Request) -> int:
    """What the model reads of a request: its conversation, its tools and the schema of its answer."""
    characters = tokens = 0
    for part in _flat(part for turn in request.turns for part in turn.parts):
        if isinstance(part, Media) and part.source.form != "text":
            tokens += _medium(part)
        else:
            characters += _words(part)
    form = request.output.format
    characters += sum(map(_tool, request.tools)) + (0 if form is None else _json(form.schema))
    return max(1, tokens + characters // CHARACTERS_PER_TOKEN)


def _flat(parts: Iterable[Part]) -> Iterable[Part]:
    """The parts, and those in results and documents."""
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from _flat(part.parts)
        elif isinstance(part, Media):
            yield from _flat(part.source.parts)


def _medium(part: Media) -> int:
    if part.source.form == "parts":
        return 0
    if part.kind == "image" or part.source.form != "base64":
        return MEDIUM_TOKENS
    return max(MEDIUM_TOKENS, len(part.source.value) // BASE64_PER_TOKEN)


def _words(part: Part) -> int:
    match part:
        case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
            return len(text)
        case ToolCall(name=name, arguments=arguments):
            return len(name) + len(arguments)
        case ToolResult(name=name):
            return len(name)
        case Media(source=source, name=name):
            return len(source.value) + len(name)
        case Opaque(data=data, text=text):
            return len(text) or _json(data)


def _tool(tool: Tool) -> int:
    return len(tool.name) + len(tool.description) + _json(tool.schema) + _json(tool.data)


def _json(value: Any) -> int:
    return 0 if value is None else len(dumps(value))
