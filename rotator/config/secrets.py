"""What may not stand in a configuration file: secrets, and what is no JSON.

Files are shown, committed and copied; keys stand in the environment or in the env file (design.md 6, engine.md 12.1).
No problem that is made here repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rotator.config.suggest import nearest, unknown, words
from rotator.errors import Problem

# Patterns are compiled at their first use: most starts need none of them.
#: How keys and tokens of the known vendors begin, not inside a path or a host name.
_KEY: Final = (
    r"(?<![\w/.-])(sk-[\w-]{8,}|AIza[\w-]{10,}|gh[pousr]_\w{10,}|github_pat_\w{10,}|xox[abeprs]-[\w-]{8,}|gsk_\w{10,}"
    r"|hf_\w{10,}|pplx-\w{10,}|xai-\w{10,}|nvapi-[\w-]{10,}|AKIA[0-9A-Z]{12,}|ya29\.[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]{8,}"
    r"|(?i:bearer) +[\w.~+/=-]{8,})|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_URL: Final = r"://[^/\s?#@]+@|[?&](?i:key|api[-_]?key|token|access[-_]?token)="
_LETTERS_AND_DIGITS: Final = r"(?=\S*[A-Za-z])(?=\S*[0-9])\S{16,}"

_ENDINGS: Final = (
    *("token", "secret", "password", "passwd", "passphrase", "pwd", "authorization", "cookie", "bearer", "credential"),
    *(f"{what}key" for what in ("api", "access", "account", "auth", "client", "encryption", "private", "secret")),
    *("signingkey", "subscriptionkey"),
)
#: Plurals that are numbers in honest configurations (``max_tokens``) and lists of secrets in others.
_LISTS: Final = ("tokens", "apitokens", "accesstokens", "authtokens")
_FACTS: Final = ("label", "tier", "priority")
_HOME: Final = "secrets belong in the environment or .env"
_DEPTH: Final = 64


def is_secret(text: str) -> bool:
    """Whether a value can only be a key, a token or a URL with a password in it."""
    return bool(re.search(_KEY, text) or re.search(_URL, text))


def reveals_nothing(text: str) -> bool:
    """Whether a text may be repeated in a message: short, and nothing that a random key could look like."""
    return len(text) <= 40 and not is_secret(text) and not re.search(_LETTERS_AND_DIGITS, text) and text.isprintable()


def masked(key: str) -> str:
    """A key of a mapping as it may be shown: people put secrets there, too."""
    random = re.fullmatch(_LETTERS_AND_DIGITS, key) and not set(key) & set("*/:_-. ")
    return "***" if random or is_secret(key) else key


def names_secret(key: str, value: object) -> bool:
    """Whether a key says that its value is a secret, in any spelling: ``api_key``, ``X-Api-Key``, ``clientSecret2``."""
    joined = words(key).rstrip("0123456789_").replace("_", "")
    if joined in _LISTS:
        return not isinstance(value, int | float)
    if joined == "maxtoken":
        return False  # a slip of the pen for max_tokens, and to be told as one
    plural = joined.removesuffix("s") if not joined.endswith("tokens") else joined
    return joined.endswith(_ENDINGS) or plural.endswith(_ENDINGS)


@dataclass(slots=True)
class Sieve:
    """Walks one file: what comes out is plain data without the values that were refused.

    Keys become text (YAML reads ``2:`` as a number). Refused values are left out, so that nothing is told twice.
    """

    where: str
    problems: list[Problem] = field(default_factory=list)

    def mapping(self, data: Mapping[object, object], path: tuple[str, ...] = ()) -> dict[str, object]:
        kept: dict[str, object] = {}
        for key, value in data.items():
            if isinstance(key, bool) or not isinstance(key, str | int):
                self._refuse(path, "a key must be text (put it in quotes)")
                continue
            below = (*path, str(key))
            reason = self._reason(below, value)
            if reason is None:
                kept[str(key)] = self._value(value, below)
            else:
                self._refuse(below, reason)
        return kept

    def _value(self, value: object, path: tuple[str, ...]) -> object:
        if len(path) + path[-1].count("[") > _DEPTH:  # an anchor may hold itself
            self._refuse(path[:4], f"nested deeper than {_DEPTH} levels")
            return None
        if isinstance(value, Mapping):
            return self.mapping(value, path)
        if isinstance(value, list):
            return list(self._items(value, path))
        return value

    def _items(self, values: list[object], path: tuple[str, ...]) -> Iterator[object]:
        for index, value in enumerate(values):
            below = (*path[:-1], f"{path[-1]}[{index}]")
            reason = self._reason(below, value) if isinstance(value, str) else None
            if reason is None:
                yield self._value(value, below)
            else:
                self._refuse(below, reason)

    def _reason(self, path: tuple[str, ...], value: object) -> str | None:
        key = path[-1]
        if not isinstance(value, str | int | float | Mapping | list | None):
            return "not a value that JSON has (put it in quotes)"
        if isinstance(value, str) and is_secret(value) or is_secret(key):
            return f"looks like a secret; {_HOME}{_advice(path)}"
        if words(key) == "credentials":
            return None if _only_facts(value) else f"takes only {{number: {{label, tier, priority}}}}; {_HOME}"
        if len(path) > 2 and words(path[-3]) == "credentials" and key not in _FACTS:
            return unknown("key", key, _FACTS)
        # Under routes the keys are names of models.
        if path[:-1] != ("routes",) and names_secret(key, value):
            return f"{_HOME}{_advice(path)}"
        return None

    def _refuse(self, path: tuple[str, ...], reason: str) -> None:
        self.problems.append(Problem(self.where, ".".join(map(masked, path)) or "top level", reason))


def _only_facts(value: object) -> bool:
    """Whether a ``credentials`` mapping gives facts about keys, perhaps misspelt, and no keys (design.md 6)."""
    if not isinstance(value, Mapping):
        return value is None
    numbers = all(isinstance(key, int) or isinstance(key, str) and key.isdigit() for key in value)
    return numbers and all(isinstance(facts, Mapping) and all(map(_meant, facts)) for facts in value.values())


def _meant(key: object) -> bool:
    """Whether a key is a fact, or near one."""
    return isinstance(key, str) and nearest(key, _FACTS) is not None


def _advice(path: tuple[str, ...]) -> str:
    """``: set OPENAI_API_KEY``, where the place tells whose key it is."""
    if path[0] == "server":
        return ": set PROXY_API_KEY"
    if path[0] != "providers" or len(path) < 3 or masked(path[1]) != path[1]:
        return ""
    return f": set {re.sub(r'[^A-Z0-9]', '_', path[1].upper())}_API_KEY"
