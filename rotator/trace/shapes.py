"""Find in a text what can only be a credential: keys by their shape, and values beside a telling name.

Source: faults.md 5.  The text may be prose, JSON, a stream of events or a part of one, so an escape may stand before a
key, and quotes may have backslashes.  All work is linear: each pattern begins with a literal and is tried only where
that stands; repeats are possessive or bounded; what was found is never looked at again.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, NamedTuple

from rotator.neutral.redact import MARK, Span
from rotator.trace.names import is_plural, is_secret_member, is_secret_parameter

#: What a key is made of; one of these before it says that it is only a part of something longer.
_KEY: Final = "[A-Za-z0-9_-]"
_DIGITS_OF_RANDOM: Final = 4


class Shape(NamedTuple):
    """What stands first in a text, the pattern (its group 1 is the secret, else all of it) and a closer look at it."""

    literal: str
    pattern: str
    check: Callable[[str], bool] | None = None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """At its first use, in the trace's thread: together they would take a tenth of the start."""
    return re.compile(pattern, re.ASCII)


def _random(key: str) -> bool:
    """Whether this was made by chance, unlike ``sk-estimator-doc-link``."""
    digits = sum(character.isdigit() for character in key)
    mixed = not key.islower() and not key.isupper()
    return digits >= _DIGITS_OF_RANDOM or (digits > 0 and mixed)


def _shape(literal: str, tail: str, check: Callable[[str], bool] | None = None) -> Shape:
    """A shape that begins with the literal, at the begin of a word or behind an escape (``\\n``, ``\\u0022``, %20)."""
    own = re.escape(literal)
    escapes = rf"(?<=\\[bfnrt]{own})|(?<=\\u[0-9A-Fa-f]{{4}}{own})|(?<=%[0-9A-Fa-f]{{2}}{own})"
    return Shape(literal, rf"{own}(?:(?<![A-Za-z0-9_+-]{own})|{escapes}){tail}", check)


#: Keys and tokens by how they begin, and how much must follow.
_KEYS: Final = (
    _shape("sk-", rf"{_KEY}{{16,}}+", _random),
    *(_shape(f"sk-{kind}-", rf"{_KEY}{{12,}}+") for kind in ("proj", "svcacct", "admin", "or-v1")),
    _shape("sk-ant-", rf"[a-z]{{2,8}}[0-9]{{2}}-{_KEY}{{8,}}+"),
    *(_shape(start, rf"{_KEY}{{16,}}+") for start in ("AIza", "AQ.Ab", "GOCSPX-", "nvapi-", "glpat-", "tgp_v1_")),
    *(_shape(start, r"[A-Za-z0-9]{16,}+") for start in ("gsk_", "xai-", "pplx-", "fw_", "csk-")),
    *(_shape(start, r"[A-Za-z0-9]{20,}+") for start in ("hf_", "r8_")),
    *(_shape(f"gh{kind}_", r"[A-Za-z0-9]{16,}+") for kind in "pousr"),
    _shape("github_pat_", r"[A-Za-z0-9_]{16,}+"),
    *(_shape(f"xox{kind}-", rf"{_KEY}{{10,}}+") for kind in "abeoprs"),
    *(_shape(f"{kind}_live_", r"[A-Za-z0-9]{12,}+") for kind in ("sk", "rk")),
    _shape("ya29.", r"[A-Za-z0-9._-]{16,}+"),
    _shape("1//0", rf"{_KEY}{{20,}}+"),
    _shape("rt_", r"[A-Za-z0-9._-]{20,}+", _random),
    # With the secret where it follows at once, as people paste the two.
    *(
        _shape(start, r"[0-9A-Z]{12,}+(?![a-z])(?:[\s:;,|\"'=\\]{1,8}+[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?")
        for start in ("AKIA", "ASIA")
    ),
    _shape("eyJ", rf"{_KEY}{{8,}}+\.eyJ{_KEY}{{8,}}+(?:\.{_KEY}*+)?"),
)
_PEM: Final = Shape(
    "PRIVATE KEY",
    # No quote: in JSON text an unfinished block must not swallow what follows its string.
    r'PRIVATE KEY(?: BLOCK)?-----(?:[^"-]|-(?!----)){0,65536}+(?:-----END [A-Z0-9 ]{0,40}-----)?',
)
_SIGNATURE: Final = Shape("Signature=", r"Signature=([0-9A-Fa-f]{64})")
_USERINFO: Final = Shape(":", r""":\\{0,4}/\\{0,4}/([^/\s?#@"'<>\\]{1,1024})@""")

_SCHEME: Final = "(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)"
_SCHEME_FIRST: Final = rf"(?i:{_SCHEME})[ \t]{{1,4}}(?=\S)"
#: What says that something was left out, and placeholders.
_HARMLESS: Final = r"[\s*.\u2022\u2026-]*+|\[redacted\]|<[\w -]{1,40}>|\$\{?\w{1,64}\}?|\{\{?\w{1,64}\}?\}"


def secret_part(value: str) -> Span | None:
    """Which part of a value beside a telling name is the secret: all but the scheme; None for what is masked."""
    scheme = _compiled(_SCHEME_FIRST).match(value)
    start = scheme.end() if scheme else 0
    return None if _compiled(_HARMLESS).fullmatch(value, start) else (start, len(value))


# Values beside a name.  These patterns run on the folded text: lower case, "-" as "_".

#: How the names of secrets end; :func:`is_secret_member` decides.  The quotes of the value have as many backslashes as
#: those of the name: other quotes are those of another JSON text, within or around.
_ENDS: Final = ("key", "token", "secret", "password", "passwd", "passphrase", "authorization", "cookie", "_auth")
_MEMBERS: Final = tuple(
    (end, end + r"(?:s?[_. ]?[0-9]{0,4})(\\{0,15})([\"'])\s{0,8}:\s{0,8}(?:\1([\"'])|([0-9_\[{]))")
    for end in _ENDS
)
_NAME_CHARACTERS: Final = 64
_STRING_ENDS: Final = r'(?<!\\)(\\*+)(["\'])|[\r\n]'

_ASSIGNED: Final = tuple(
    (name, (
        name + r"""\\{0,4}["']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,4}["']?(?:("""
        + _SCHEME.replace("-", "_") + r""")[ \t]{1,4})?+(?![\[({$])([^\s"',;&<>\\]{8,}+)"""
    ))
    for name in (
        "authorization", "api_key", "apikey", "auth_token", "security_token", "secret_access_key", "client_secret",
        "subscription_key", "helicone_auth",
    )
)  # fmt: skip
_COOKIE: Final = r"""cookie[ \t]{0,2}:[ \t]{0,4}(?=[\w.%]{1,100}=)([^\r\n"\\]++)"""
_BEARER: Final = r"bearer[ \t]{1,4}([a-z0-9._~+/=%]{20,}+)"
_BASIC: Final = r"basic[ \t]{1,4}([a-z0-9+/_=]{8,4096}+)"
#: The name of a URL's parameter; also percent-encoded once more, in HTML and in JSON text.
_PARAMETER: Final = (
    r"""(?:[?&]|&amp;|%3[fF]|%26|\\u0026|\\u003[fF])((?:(?!%26|%3[fF])[^=&?\s"'<>#\\;,]){1,64}?)(?:=|%3[dD]|\\u003[dD])"""
)
_PARAMETER_VALUE: Final = r"""(?:[^&\s"'<>#\\;%]|%(?!26))*+"""
_SEPARATORS: Final = ("?", "&", "%3", "%26", "\\u00")


def _fold(text: str) -> str:
    """Lower case and "-" as "_"; every character keeps its place."""
    folded = text.lower()
    if len(folded) != len(text):  # a few capital letters become two
        folded = "".join(one if len(one := character.lower()) == 1 else character for character in text)
    return folded.replace("-", "_")


def find(text: str) -> list[Span]:
    """Where credentials stand, in no order; spans may overlap."""
    found = list(_shapes(text))
    if "=" in text or "%3" in text or "\\u00" in text:
        found += _parameters(text)
    folded = _fold(text)
    for end, pattern in _MEMBERS:
        if end in folded:
            found += _members(text, folded, _compiled(pattern))
    for name, pattern in _ASSIGNED:
        if name in folded:
            found += _assigned(text, folded, _compiled(pattern))
    found += _spoken(text, folded)
    return found


def holds_containers(text: str) -> bool:
    """Whether a JSON text has an object, a list or a number beside a secret's name: a parser must look into it."""
    folded = _fold(text)
    return any(
        match[4] is not None and is_secret_member(_name(text, match))
        for end, pattern in _MEMBERS
        if end in folded
        for match in _compiled(pattern).finditer(folded)
    )


def _shapes(text: str) -> Iterator[Span]:
    for literal, pattern, check in (*_KEYS, _PEM, _SIGNATURE):
        if literal in text:
            compiled = _compiled(pattern)
            for match in compiled.finditer(text):
                span = match.span(compiled.groups)
                if check is None or check(text[span[0] : span[1]]):
                    yield span
    if "@" in text and "/" in text:
        for match in _compiled(_USERINFO.pattern).finditer(text):
            if match[1] != MARK:
                yield match.span(1)


def _name(text: str, match: re.Match[str]) -> str:
    """The whole name whose end was found, and its number."""
    quote, stop = match[2], match.start(1)
    start = text.rfind(quote, max(0, match.start() - _NAME_CHARACTERS), match.start()) + 1
    return text[start or max(0, match.start() - _NAME_CHARACTERS) : stop]


def _members(text: str, folded: str, pattern: re.Pattern[str]) -> Iterator[Span]:
    """``"api_key": "..."`` in JSON, in JSON inside JSON, and as Python prints it."""
    position = 0
    while match := pattern.search(folded, position):
        position = match.end()
        name = _name(text, match)
        if not is_secret_member(name):
            continue
        if match[3] is not None:
            stop = _end_of_string(text, position, len(match[1]), match[3])
            part = secret_part(text[position:stop])
            if part is not None:
                yield position + part[0], position + part[1]
            position = stop
        elif match[4] not in "[{" and not is_plural(name):
            stop = position
            while stop < len(text) and text[stop] in "0123456789.":
                stop += 1
            yield position - 1, stop
            position = stop


def _end_of_string(text: str, start: int, level: int, quote: str) -> int:
    """Where a string ends whose quotes have so many backslashes (none, 1, 3, 7: JSON in JSON); else the line's end."""
    for match in _compiled(_STRING_ENDS).finditer(text, start):
        if match[2] is None:
            return match.start()
        # What is left of the backslashes when the outer texts were read: an odd number of them escapes the quote.
        before = len(match[1])
        escaped = before > level and ((before + 1) // (level + 1) - 1) % 2
        if match[2] == quote and not escaped:
            return match.start() + max(0, before - level)
    return len(text)


def _assigned(text: str, folded: str, pattern: re.Pattern[str]) -> Iterator[Span]:
    """``Authorization: Bearer ...`` and ``api_key=...`` in prose and code; words without a digit are words."""
    for match in pattern.finditer(folded):
        start, stop = match.span(2)
        if match[1] or any(character.isdigit() for character in text[start:stop]):
            yield start, stop


def _spoken(text: str, folded: str) -> Iterator[Span]:
    if "cookie" in folded:
        yield from (match.span(1) for match in _compiled(_COOKIE).finditer(folded))
    if "bearer" in folded:
        for match in _compiled(_BEARER).finditer(folded):
            if any(character.isdigit() for character in match[1]):
                yield match.span(1)
    if "basic" in folded:
        for match in _compiled(_BASIC).finditer(folded):
            if _is_user_and_password(text[match.start(1) : match.end()]):
                yield match.span(1)


def _is_user_and_password(encoded: str) -> bool:
    plain = encoded.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        return False
    return ":" in decoded and decoded.isprintable()


def _parameters(text: str) -> Iterator[Span]:
    if not any(separator in text for separator in _SEPARATORS):
        return
    for match in _compiled(_PARAMETER).finditer(text):
        if is_secret_parameter(match[1]):
            value = _compiled(_PARAMETER_VALUE).match(text, match.end())
            if value is not None and not _compiled(_HARMLESS).fullmatch(value[0]):
                yield value.span()
