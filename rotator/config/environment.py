"""Variables: the environment over the env file, the names that are ours to check, and the client keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rotator.config.sections import CLIENT_KEY, KEY_FORM, names, variables
from rotator.config.sources import EnvFile
from rotator.config.suggest import one_edit_apart, unknown
from rotator.errors import Problem
from rotator.neutral.secret import Secret

#: What Kubernetes sets in every container for a service named ``rotator``.
_SERVICE_LINK: Final = re.compile(r"ROTATOR_(?:SERVICE_(?:HOST|PORT)|PORT_[0-9]+_(?:TCP|UDP|SCTP))(?:_\w+)?")
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://")
_CLIENT_KEY: Final = re.compile(rf"{CLIENT_KEY}(?:_(0|[1-9][0-9]*))?")

#: What documentation and samples use; keys of many proxies were found in the open with them (faults.md 2 row 9).
_PLACEHOLDERS: Final = frozenset(
    "changeme changethis changeit replaceme default dummy dummykey example examplekey fake fakekey key apikey mykey"
    " myapikey mysecret mysecretkey mysupersecretkey none null password placeholder proxyapikey proxykey secret"
    " secretkey sk skkey skproxy skexample sktest skxxx supersecret test testing testkey testapikey token verysecret"
    " verysecretkey insertkeyhere addyourkeyhere masterkey skmasterkey rotator rotatorkey letmein qwerty".split()
)
_YOURS: Final = re.compile(r"(?:sk)?(?:enter|insert|put|add|set)?your[a-z]{0,20}(?:key|token|secret|password|here)")
_SEQUENCES: Final = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz")
_SHORTEST_KEY: Final = 8
#: Of a secret that something is sealed with: whoever holds what it sealed can try guesses.
SECRET_CHARACTERS: Final = 16
#: Of a family; shorter ones are one edit away from too much else (``CUSTOM_CA_``).
_LONG_PREFIX: Final = 12


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. ``origin`` is ``environment`` or the env file as it was named.

    Any may be a key, so all are secret; what reads one reveals it.
    """

    name: str
    value: Secret
    origin: str


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A key that clients may send. Labels: ``client#0`` for PROXY_API_KEY, ``client#2`` for PROXY_API_KEY_2."""

    label: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables that concern us.

    ``ignored`` are names that contain ``_API_KEY`` and fit no form, and what Kubernetes sets for a service of our name.
    """

    variables: Mapping[str, Variable]
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]

    def get(self, name: str) -> str | None:
        held = self.variables.get(name)
        return held.value.reveal() if held else None

    def origin(self, name: str) -> str:
        return self.variables[name].origin


def gather(environ: Mapping[str, str], env_file: EnvFile | None, problems: list[Problem]) -> Environment:
    """Merge and sift; blank values are unset. Names that are ours to check and unknown go to ``problems``."""
    kept: dict[str, Variable] = {}
    ignored = [name for name, value in environ.items() if _is_service_link(name, value)]
    warnings: list[str] = []
    known = _Known()
    merged = dict(_filled(env_file.values, env_file.where)) if env_file else {}
    # A blank value is unset: the env file shows through it. So it does through what Kubernetes says.
    merged |= {name: held for name, held in _filled(environ, "environment") if name not in ignored}
    for name, (value, origin) in sorted(merged.items()):
        if known.has(name):
            kept[name] = Variable(name, Secret(value), origin)
        elif "_API_KEY" in name:
            ignored.append(name)
            warnings.extend(_near_miss(name, origin, known))
        elif known.claims(name):
            problems.append(Problem(origin, name, known.nearest(name)))
        else:
            warnings.extend(_near_miss(name, origin, known))
    warnings.extend(_twice(env_file, kept))
    return Environment(kept, tuple(sorted(ignored)), tuple(warnings))


def client_keys(environment: Environment, problems: list[Problem]) -> tuple[ClientKey, ...]:
    """PROXY_API_KEY and PROXY_API_KEY_<N>, by number; the same key twice is one, under its first name."""
    numbered = []
    for name, held in environment.variables.items():
        if match := _CLIENT_KEY.fullmatch(name):
            numbered.append((int(match[1] or 0), name, held))
    keys: dict[str, Secret] = {}
    for number, name, held in sorted(numbered, key=lambda entry: entry[:2]):
        label = f"client#{number}"
        if reason := _weak(held.value.reveal()):
            problems.append(Problem(held.origin, name, reason))
        elif label in keys and keys[label] != held.value:
            problems.append(Problem(held.origin, name, f"{CLIENT_KEY} is {label} already"))
        elif held.value not in keys.values():
            keys[label] = held.value
    return tuple(ClientKey(label, secret) for label, secret in keys.items())


def check_secret(environment: Environment, name: str, problems: list[Problem]) -> None:
    """A secret of ours that protects nothing is told."""
    held = environment.variables.get(name)
    if held is None:
        return
    secret = held.value.reveal()
    short = f"is shorter than {SECRET_CHARACTERS} characters" if len(secret) < SECRET_CHARACTERS else None
    reason = _weak(secret) or short
    if reason:
        problems.append(Problem(held.origin, name, reason))


class _Known:
    """The names that mean something to us."""

    def __init__(self) -> None:
        registered = names()
        self._settings = variables()
        self.names = (*self._settings, *(one.form for one in registered if not one.is_family))
        families = [one for one in registered if one.is_family and one.prefix != f"{CLIENT_KEY}_"]
        self._families = tuple(one.prefix for one in families)
        #: A family's name without a member's (``ROTATION_MODE``), where it is none of its own, and its form.
        self._stems = {one.prefix[:-1]: one.form for one in families if one.prefix[:-1] not in self.names}

    def has(self, name: str) -> bool:
        if name in self.names or name.startswith(self._families):
            return True
        if name.startswith(f"{CLIENT_KEY}_"):
            return bool(_CLIENT_KEY.fullmatch(name))
        return bool(KEY_FORM.fullmatch(name)) or name.endswith(("_API_BASE", "_PROXY_URL"))

    def claims(self, name: str) -> bool:
        """Whether a name that means nothing can only have been meant for us."""
        return name.startswith(("ROTATOR_", *self._settings)) or name in self._stems

    def nearest(self, name: str) -> str:
        """The reason why a claimed name is a problem."""
        return unknown("name", name, (*self.names, *self._stems.values()))

    def meant(self, name: str) -> str | None:
        """The name that was probably meant: one edit away, or with its unit (STREAM_TTFB_TIMEOUT lacks it)."""
        upper = name.upper()
        for valid in self.names:
            if one_edit_apart(upper, valid):
                return valid
        for head in (upper[: place + 1] for place, letter in enumerate(upper) if letter == "_"):
            for prefix in self._families:
                if len(prefix) >= _LONG_PREFIX and one_edit_apart(head, prefix):
                    return f"{prefix}{upper.removeprefix(head)}"
        shortened = "_" in name and len(name) > 7
        return next((valid for valid in self._settings if shortened and valid.startswith(f"{upper}_")), None)


def _filled(values: Mapping[str, str], origin: str) -> Iterator[tuple[str, tuple[str, str]]]:
    return ((name, (value.strip(), origin)) for name, value in values.items() if value.strip())


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.fullmatch(name) or name == "ROTATOR_PORT" and _SERVICE_ADDRESS.match(value))


def _near_miss(name: str, origin: str, known: _Known) -> Iterator[str]:
    if meant := known.meant(name):
        yield f"{origin}: {name} is not read; did you mean {meant}?"


def _twice(env_file: EnvFile | None, kept: Mapping[str, Variable]) -> Iterator[str]:
    if env_file is not None:
        for name in dict.fromkeys(env_file.repeated):
            if name in kept:
                yield f"{env_file.where}: {name} stands there more than once; the last one counts"


def _weak(key: str) -> str | None:
    """Why a client key protects nothing, or None."""
    plain = re.sub(r"[\W_]", "", key.lower())
    bare = plain.strip("0123456789")
    sample = bare in _PLACEHOLDERS or _YOURS.fullmatch(bare) or plain and any(plain in row for row in _SEQUENCES)
    if sample or len(set(plain or key)) < 2:
        return "is a well-known placeholder; choose a random key"
    return f"is shorter than {_SHORTEST_KEY} characters" if len(key) < _SHORTEST_KEY else None
