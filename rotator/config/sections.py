"""The registry of top-level sections and of the names that the environment may set.

A part of the program that has settings registers a frozen dataclass with :func:`section` where it defines it.
Registering is the only effect that an import has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from rotator.config.reader import Entry, entries

T = TypeVar("T")

_sections: dict[str, type[Any]] = {}
_names: dict[str, Name] = {}


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or a family of them, that no section's field has: ``MODEL_ROUTE_<ALIAS>``."""

    form: str
    doc: str

    @property
    def prefix(self) -> str:
        """What the members of a family begin with."""
        return self.form.split("<")[0]

    @property
    def is_family(self) -> bool:
        return "<" in self.form


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a section: ``section.key`` in files, perhaps variables and a flag."""

    section: str
    entry: Entry

    @property
    def key(self) -> str:
        return f"{self.section}.{self.entry.key}"


def section(name: str) -> Callable[[type[T]], type[T]]:
    """Register a frozen dataclass, all of whose fields have defaults, as the top-level section ``name``."""

    def register(cls: type[T]) -> type[T]:
        known = entries(cls)
        taken = set(variables())
        if name in _sections:
            raise ValueError(f"two sections named {name}")
        for entry in known.values():
            if entry.required:
                raise ValueError(f"{name}.{entry.key} has no default")
            if clash := taken & set(entry.rule.env):
                raise ValueError(f"{name}.{entry.key}: {', '.join(sorted(clash))} is taken")
            taken |= set(entry.rule.env)
        _sections[name] = cls
        return cls

    return register


def variable(form: str, doc: str) -> None:
    """Register a variable that a part of the program reads from ``Settings.environment`` itself.

    In a family (``ROTATION_MODE_<PROVIDER>``) the part that registers it checks the members.
    """
    if form in _names:
        raise ValueError(f"{form} is registered twice")
    _names[form] = Name(form, doc)


def sections() -> Mapping[str, type[Any]]:
    """The registered sections by name, in the order of registration."""
    return MappingProxyType(_sections)


def names() -> tuple[Name, ...]:
    """What :func:`variable` registered."""
    return tuple(_names.values())


def settings() -> tuple[Setting, ...]:
    """Every field of every section."""
    return tuple(Setting(name, entry) for name, cls in _sections.items() for entry in entries(cls).values())


def variables() -> Mapping[str, Setting]:
    """The variables of the sections' fields, aliases included."""
    return {name: one for one in settings() for name in one.entry.rule.env}


#: Beside the registered ones: keys of providers and facts about them, base URLs, outgoing proxies (design.md 6).
KEY_FORM: Final = re.compile(r"([A-Z0-9][A-Z0-9_]*?)_API_KEY(?:_(0|[1-9][0-9]*))?(?:_(LABEL|TIER|PRIORITY))?")
CLIENT_KEY: Final = "PROXY_API_KEY"
