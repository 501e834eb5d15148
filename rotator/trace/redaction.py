"""What the trace writes down holds no credential: held ones in any encoding, named ones, and what has their shape.

Source: faults.md 5.  A credential becomes a mark, never its first letters.  Prompts and answers stay as they are.

A text that is cut could end in the middle of a secret, which no pattern would then know.  So more than the limit is
looked at, by ``margin_bytes``; if a secret lies across the limit, the cut moves to where it begins.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import Any, Final

from rotator.neutral.redact import MARK, Redactor, Span, masked, merged
from rotator.trace import shapes
from rotator.trace.names import is_plural, is_schema, is_secret_header, is_secret_member
from rotator.wire.jsontext import DEPTH_LIMIT, NotJson, dumps, read

#: Of one text among the facts of an entry, of a header's value.
TEXT_CHARACTERS: Final = 8192
CUT: Final = "...[cut]"
#: Of a list or an object among the facts of an entry.
ITEMS: Final = 1000
_FACT_LEVELS: Final = 20
_LARGEST: Final = sys.float_info.max
#: How far past a cut is looked; longer than any key, and than a few dozen events that spell one.
MARGIN_BYTES: Final = 16 * 1024

#: Names and short texts come again and again: so many are remembered, and only short ones.
_KNOWN: Final = 4096
_KNOWN_CHARACTERS: Final = 48

#: What was masked may bring something to light that stood behind it; then it is looked at again.
_ROUNDS: Final = 8


class Redaction:
    """Redacts texts, wire JSON, headers and facts with the secrets that a generation of the engine holds."""

    __slots__ = ("_known", "_redactor", "margin_bytes")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._known: dict[str, str] = {}
        self.margin_bytes = max(MARGIN_BYTES, redactor.longest)

    def spans(self, text: str) -> list[Span]:
        """Where credentials stand in any text, in order and apart."""
        return merged([*self._redactor.spans(text), *shapes.find(text)])

    def text(self, text: str) -> str:
        """A text without credentials."""
        if len(text) > _KNOWN_CHARACTERS:
            return self._masked(text)
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[text] = self._masked(text)
        return found

    def _masked(self, text: str) -> str:
        for _ in range(_ROUNDS):
            spans = self.spans(text)
            if not spans:
                break
            text = masked(text, spans)
        return text

    def beginning(self, text: str, limit: int) -> str:
        """The part of a text before ``limit`` without credentials, a little less where one would be cut in half.

        What follows counts: a password in a URL is known by the ``@`` behind it.
        """
        spans = self.spans(text)
        limit = next((start for start, stop in spans if start < limit < stop), limit)
        return self.text(masked(text[:limit], [span for span in spans if span[1] <= limit]))

    def short(self, text: str) -> str:
        """A text of bounded length without credentials."""
        if len(text) <= TEXT_CHARACTERS:
            return self.text(text)
        return self.beginning(text[: TEXT_CHARACTERS + self.margin_bytes], TEXT_CHARACTERS) + CUT

    def form(self, text: str) -> str:
        """What follows the question mark of a URL, or a form."""
        return self.text(f"?{text}")[1:]

    def header(self, name: str, value: str) -> str:
        """A header's value; a credential's keeps its scheme (``Bearer``)."""
        if is_secret_header(name):
            part = shapes.secret_part(value)
            value = value if part is None else value[: part[0]] + MARK
        return self.short(value)

    def json_text(self, body: bytes) -> str | None:
        """A JSON text on one line without credentials, byte for byte where there are none; None for what is no JSON."""
        try:
            value, _ = read(body)
        except NotJson:
            return None
        text = body.decode()
        if self._needs_parsing(text):
            return dumps(self.value(value)).decode()
        # Only between tokens: a string cannot hold them.
        return text.replace("\r", " ").replace("\n", " ").replace("\t", " ")

    def _needs_parsing(self, text: str) -> bool:
        """Whether a JSON text holds a credential, or something that only a parser can judge: an escaped letter or
        slash, an object or a list beside a secret's name."""
        return "\\u00" in text or "\\/" in text or bool(self.spans(text)) or shapes.holds_containers(text)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Wire JSON without credentials. What is nested deeper than we read JSON is left out."""
        if isinstance(value, str):
            return self._string(value, depth)
        if isinstance(value, dict):
            return MARK if depth >= DEPTH_LIMIT else self._object(value, depth + 1)
        if isinstance(value, list):
            return MARK if depth >= DEPTH_LIMIT else [self.value(one, depth + 1) for one in value]
        return value

    def _string(self, text: str, depth: int) -> str:
        """Tool arguments and the like are JSON in a string."""
        if text.lstrip()[:1] in ("{", "[") and depth < DEPTH_LIMIT and self._needs_parsing(text):
            try:
                held, _ = read(text.encode())
            except (NotJson, UnicodeEncodeError):
                return self.text(text)
            redacted = self.value(held, depth + 1)
            if redacted != held:
                text = dumps(redacted).decode("utf-8")
        return self.text(text)

    def _object(self, members: dict[str, Any], depth: int, *, declares: bool = False) -> dict[str, Any]:
        """``declares``: the members are fields of a schema."""
        found: dict[str, Any] = {}
        for name, value in members.items():
            shown = self.text(name)
            while shown in found:
                shown += "'"
            if isinstance(value, dict) and name == "properties":
                found[shown] = self._object(value, depth + 1, declares=True) if depth < DEPTH_LIMIT else MARK
            elif is_secret_member(name) and not (declares and isinstance(value, dict)):
                found[shown] = self._secret(value, depth, is_plural(name))
            else:
                found[shown] = self.value(value, depth)
        return found

    def _secret(self, value: Any, depth: int, counts: bool) -> Any:
        """The value of a secret's name: every text and number in it, unless it is a schema or a count."""
        if isinstance(value, str):
            part = shapes.secret_part(value)
            return self._string(value, depth) if part is None else self.text(value[: part[0]] + MARK)
        if depth >= DEPTH_LIMIT:
            return MARK
        if isinstance(value, dict):
            if is_schema(value):
                return self._object(value, depth + 1)
            return {self.text(name): self._secret(one, depth + 1, counts=False) for name, one in value.items()}
        if isinstance(value, list):
            return [self._secret(one, depth + 1, counts) for one in value]
        return value if value is None or isinstance(value, bool) or counts else MARK

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of an entry as bounded JSON without credentials; ``query`` is a URL's."""
        plain = {str(name): self._bounded(value) for name, value in facts.items()}
        if isinstance(query := plain.get("query"), str):
            plain["query"] = self.form(query)
        return self._object(plain, 0)

    def _bounded(self, value: Any, depth: int = 0) -> Any:
        """Anything as JSON of bounded size; what is no data shows its type only."""
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, int | float):
            return value if abs(value) <= _LARGEST else None  # no JSON; nor is a number that is none
        if value is None:
            return None
        if isinstance(value, str):
            return str(value) if len(value) <= TEXT_CHARACTERS else self.short(value)
        if depth < _FACT_LEVELS and isinstance(value, Mapping):
            return {str(name): self._bounded(value[name], depth + 1) for name in islice(value, ITEMS)}
        if depth < _FACT_LEVELS and isinstance(value, list | tuple | set | frozenset):
            return [self._bounded(one, depth + 1) for one in islice(value, ITEMS)]
        return f"<{type(value).__name__}>"
