"""JSON Schemas for upstreams.  Source: protocols.md 6.0, 6.1.4, 6.2, 6.4.2.

Tool lists repeat in every turn of a conversation: what was made of a schema is kept, by its JSON text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from rotator.api import dumps

from ._schema_output import fits_output, output_dialect
from ._schema_repair import lower_types, repaired_tool
from ._schema_strict import fits_strict

T = TypeVar("T")
_Changed = tuple[dict[str, Any], tuple[str, ...]]

_ENTRIES: Final = 512
#: Of JSON text, all entries of one memory together; what is made of it takes several times as much.
_BYTES: Final = 2_000_000


class _Memory(Generic[T]):
    """What was made of schemas; the least recently used go first."""

    def __init__(self, make: Callable[[Mapping[str, Any]], T]) -> None:
        self._make = make
        self._made: OrderedDict[bytes, T] = OrderedDict()
        self._bytes = 0

    def of(self, schema: Mapping[str, Any]) -> T:
        text = dumps(schema)
        if text in self._made:
            self._made.move_to_end(text)
            return self._made[text]
        made = self._made[text] = self._make(schema)
        self._bytes += len(text)
        while len(self._made) > _ENTRIES or self._bytes > _BYTES:
            gone, _ = self._made.popitem(last=False)
            self._bytes -= len(gone)
        return made


_tools: _Memory[_Changed] = _Memory(repaired_tool)
_outputs: _Memory[_Changed] = _Memory(output_dialect)
_strict: _Memory[bool] = _Memory(fits_strict)
_whole: _Memory[bool] = _Memory(fits_output)


def tool_schema(schema: Mapping[str, Any] | None) -> _Changed:
    """A function's parameters for Chat and Messages: an object at the root, and what was changed, in words.

    The object is the caller's own; what is in it is kept and given again: nobody may change that.
    """
    if not schema:
        return {"type": "object", "properties": {}}, ()
    made, changes = _tools.of(schema)
    return {**made}, changes


def output_schema(schema: Mapping[str, Any]) -> _Changed:
    """A schema in the dialect of Anthropic's structured output, and what it cannot say there, in words.

    The object is the caller's own, what is in it is not.
    """
    made, changes = _outputs.of(schema)
    return {**made}, changes


def is_strict(schema: Mapping[str, Any] | None) -> bool:
    """Whether a schema fits OpenAI's strict mode as it stands."""
    return bool(schema) and _strict.of(schema or {})


def lowered(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its types in lower case; Gemini spells them in upper case (P40).  The same object if none is."""
    return lower_types(schema)


def is_output(schema: Mapping[str, Any]) -> bool:
    """Whether Anthropic's structured output can allow all that a schema allows."""
    return _whole.of(schema)
