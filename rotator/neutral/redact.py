"""Keep held secrets out of what leaves the process: vendor texts echo keys, whole or half masked.

Source: faults.md 5 (exact values, linear work, caps before patterns) and 1 (row "credential bad").
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from rotator.neutral.error import NeutralError
from rotator.neutral.secret import Secret

MARK: Final = "[redacted]"
#: A key as vendors half mask it: ``sk-abc***wxyz``.  Bounded repeats, so that no text makes it slow.
_MASKED: Final = re.compile(r"[A-Za-z0-9_.-]{2,32}+\*{3,}+[A-Za-z0-9_.-]{0,32}")
#: Shorter secrets would match in ordinary words; client keys are refused below 8 characters.
_SHORTEST: Final = 6
_DEPTH: Final = 50


class Redactor:
    """Replaces every held secret, plain, percent-encoded or in Base64, in texts and wire JSON."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            text = secret.reveal()
            if len(text) >= _SHORTEST:
                raw = text.encode("utf-8", "surrogatepass")
                forms |= {text, quote(raw, safe=""), *_base64(raw)}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._patterns: tuple[re.Pattern[str], ...] | None = None

    def holds(self, text: str) -> bool:
        """Whether a text contains a held secret in clear or encoded."""
        return any(form in text for form in self._forms) or self._percent_encoded(text)

    @property
    def _encoded(self) -> tuple[re.Pattern[str], ...]:
        """Made at the first text with a "%": most processes never see one."""
        if self._patterns is None:
            self._patterns = tuple(re.compile(_percent(form)) for form in self._forms if not form.isalnum())
        return self._patterns

    def _percent_encoded(self, text: str) -> bool:
        return "%" in text and any(pattern.search(text) for pattern in self._encoded)

    def text(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MARK)
        if self._percent_encoded(text):
            for pattern in self._encoded:
                text = pattern.sub(MARK, text)
        return _MASKED.sub(MARK, text) if "***" in text else text

    def json(self, value: Any, depth: int = 0) -> Any:
        """Wire JSON with every string (keys too) redacted; what is nested absurdly deep is left out."""
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEPTH:
            return MARK
        if isinstance(value, dict):
            return {self.text(key): self.json(one, depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.json(one, depth + 1) for one in value]
        return value

    def error(self, error: NeutralError) -> NeutralError:
        """An error whose texts and vendor envelope hold no secret."""
        return replace(
            error,
            message=self.text(error.message),
            code=self.text(error.code) if error.code else error.code,
            type=self.text(error.type) if error.type else error.type,
            param=self.text(error.param) if error.param else error.param,
            envelope=self.json(error.envelope),
        )


def _base64(secret: bytes) -> set[str]:
    """What a secret looks like inside Base64, at each of the three places where it may begin in a group."""
    found = set()
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            found.add(encode(b"\0" * before + secret).decode()[first:last])
    return found


def _percent(form: str) -> str:
    """A form with any of its characters percent-encoded, in either case."""
    parts = []
    for one in form:
        encoded = "".join(f"%(?i:{byte:02x})" for byte in one.encode("utf-8", "surrogatepass"))
        parts.append(f"(?:{re.escape(one)}|{encoded})")
    return "".join(parts)
