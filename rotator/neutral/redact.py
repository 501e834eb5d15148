"""Keep held secrets out of what leaves the process: vendor texts echo keys, whole or half masked.

Source: faults.md 5 (exact values, linear work, caps before patterns) and 1 (row "credential bad").
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from rotator.neutral.error import NeutralError
from rotator.neutral.secret import Secret

MARK: Final = "[redacted]"
#: From here to there in a text, the end excluded.
Span = tuple[int, int]
#: A key as vendors half mask it: ``sk-abc***wxyz``.  Bounded repeats, so that no text makes it slow.
_MASKED: Final = re.compile(r"([A-Za-z0-9_.-]{2,32}+)\*{3,}+([A-Za-z0-9_.-]{0,32})")
#: The same in any form that vendors use: ``****wxyz``, ``sk-abc...wxyz``.  Only what can be a held key counts.
_HIDDEN: Final = re.compile(r"([A-Za-z0-9_+/=~-]{0,32}+)(?:\*{3,}+|\.{3,}+|\u2026)([A-Za-z0-9_+/=~-]{0,32})")
#: Fewer letters on both sides of the stars give nothing away: every key of a vendor begins with the same ones.
_TELLING: Final = 4
#: Shorter secrets would match in ordinary words; client keys are refused below 8 characters.
_SHORTEST: Final = 6
_DEPTH: Final = 50

#: Whether a text may hold what :data:`_ESCAPES` undoes to a character of a key.
_ESCAPED: Final = re.compile(r"%[0-9A-Fa-f]{2}|\\[u/]")
#: One escape of a URL or of JSON, also of JSON inside JSON (more backslashes).  Bytes of one character stay together.
_ESCAPES: Final = re.compile(
    r"%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f])++|\\++(?:u([0-9A-Fa-f]{4})|([bfnrt]))?"
)
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
#: JSON text spends seven characters on one, ``\\u0041``, where it stands inside another JSON text.
_LONGEST_ESCAPE: Final = 7


class Redactor:
    """Replaces every held secret, plain or encoded, in texts and wire JSON.

    Encoded is: percent-encoded or JSON-escaped, any of its characters; in Base64 (of Basic too), that again encoded.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = tuple(text for secret in secrets if len(text := secret.reveal()) >= _SHORTEST)
        forms: set[str] = set()
        for text in self._secrets:
            forms |= {text, *_base64(text.encode("utf-8", "surrogatepass"))}
        forms = {form for form in forms if form not in MARK}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        # A form that looks as if it held escapes itself changes when those of a text are undone.
        self._undone = tuple({*forms, *(undone for form in forms if (undone := _undo(form)[0]) not in MARK)})
        # JSON never leaves these as they are.
        self._needs_escapes = any(character in '"\\' or character < " " for form in forms for character in form)
        self._shortest = min(map(len, (*self._forms, *self._undone)), default=0)
        #: How much of a text the longest secret may take, encoded.
        self.longest = max((len(form) * _LONGEST_ESCAPE for form in forms), default=0)

    def holds(self, text: str) -> bool:
        """Whether a text contains a held secret in clear or encoded; no encoding is shorter than what it says."""
        if len(text) < self._shortest:
            return False
        if any(form in text for form in self._forms):
            return True
        if not self._may_be_escaped(text):
            return False
        undone, _ = _undo(text)
        return any(form in undone for form in self._undone)

    def _may_be_escaped(self, text: str) -> bool:
        if "%" not in text and "\\" not in text:
            return False
        return _ESCAPED.search(text) is not None or (self._needs_escapes and "\\" in text)

    def spans(self, text: str) -> list[Span]:
        """Where held secrets stand, in order and apart; half masked ones too, if they can only be held ones."""
        found = list(_places(text, self._forms))
        if self._may_be_escaped(text):
            undone, joints = _undo(text)
            found += [_before_undoing(span, joints) for span in _places(undone, self._undone)]
        if "***" in text or "..." in text or "\u2026" in text:
            found += [match.span() for match in _HIDDEN.finditer(text) if self._is_ours(*match.groups())]
        return merged(found)

    def _is_ours(self, head: str, tail: str) -> bool:
        telling = len(head) + len(tail) >= _TELLING
        return telling and any(head in secret and secret.endswith(tail) for secret in self._secrets)

    def text(self, text: str) -> str:
        """A text without secrets, nor anything that looks like a half masked one: for texts of vendors."""
        text = masked(text, self.spans(text))
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


def masked(text: str, spans: Iterable[Span]) -> str:
    """A text with a mark in place of each span; these come in order and apart (:func:`merged`)."""
    parts, end = [], 0
    for start, stop in spans:
        parts += [text[end:start], MARK]
        end = stop
    return "".join([*parts, text[end:]]) if parts else text


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order; those that overlap are one."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def _places(text: str, forms: Iterable[str]) -> Iterator[Span]:
    for form in forms:
        start = text.find(form)
        while start >= 0:
            stop = start + len(form)
            again = text.find(form, start + 1)
            while 0 <= again < stop:  # a form that overlaps itself
                stop = again + len(form)
                again = text.find(form, again + 1)
            yield start, stop
            start = again


def _base64(secret: bytes) -> set[str]:
    """What a secret looks like inside Base64, at each of the three places where it may begin in a group."""
    found = set()
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            found.add(encode(b"\0" * before + secret).decode()[first:last])
    return found


#: What one escape became: its places in the undone text and in the text itself.
_Joint = tuple[int, int, int, int]


def _undo(text: str) -> tuple[str, list[_Joint]]:
    """A text without escapes, and where they were.  Backslashes that mean nothing here are gone, too."""
    parts: list[str] = []
    joints: list[_Joint] = []
    length = end = 0
    for escape in _ESCAPES.finditer(text):
        start, stop = escape.span()
        meaning = _meaning(escape)
        length += start - end
        joints.append((length, length + len(meaning), start, stop))
        parts += [text[end:start], meaning]
        length += len(meaning)
        end = stop
    return "".join([*parts, text[end:]]) if joints else text, joints


def _meaning(escape: re.Match[str]) -> str:
    whole, code, letter = escape[0], escape[1], escape[2]
    if whole[0] == "%":
        return bytes.fromhex(whole.replace("%", "")).decode("utf-8", "surrogateescape")
    return chr(int(code, 16)) if code else _LETTERS.get(letter, "")


def _before_undoing(span: Span, joints: list[_Joint]) -> Span:
    return _place(span[0], joints)[0], _place(span[1] - 1, joints)[1]


def _place(position: int, joints: list[_Joint]) -> Span:
    """Which part of the text became the character at a position of the undone text."""
    index = bisect_right(joints, (position, len(joints) and joints[-1][1] + 1)) - 1
    if index < 0:
        return position, position + 1
    _, undone_stop, start, stop = joints[index]
    if position < undone_stop:
        return start, stop
    return stop + position - undone_stop, stop + position - undone_stop + 1
