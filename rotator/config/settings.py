"""What the program runs with: frozen, checked, and able to say where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from rotator.config.environment import ClientKey, Variable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line, as far as it sets something; None is not given. Numbers may be text: they are checked here."""

    host: str | None = None
    port: int | str | None = None
    env_file: str | Path | None = None
    config: str | Path | None = None
    plugins: tuple[str | Path, ...] = ()
    state: str | Path | None = None
    trace: str | None = None
    trace_dir: str | Path | None = None
    demo: bool | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Names: ``--port``, ``TIMEOUT_CONNECT``, ``rotator.yaml: timeouts.connect``, "" for a default.
    """

    source: Literal["flag", "environment", "env file", "file", "default"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A model name's way to ``target`` (``provider/model``).

    ``pattern`` is matched against the name (``claude-*``); with ``alias`` it is the name upper-cased, every other
    character as ``_``, and matched whole.
    """

    pattern: str
    target: str
    alias: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration. Parts of the program get their section, never this.

    ``providers`` is what the file says about each, raw: it is read against the declarations. ``rotation`` is what it
    says for all of them, raw too, for theirs is laid over it. ``routes`` are in the order in which they count.
    ``state_dir`` may not exist. ``ignored`` and ``warnings`` are for the banner, as are ``sources``, strongest first.
    ``watched`` are the files that a change of configuration would stand in; they may not exist.
    """

    sections: Mapping[type, object]
    providers: Mapping[str, Mapping[str, Any]]
    rotation: Mapping[str, Any]
    routes: tuple[Route, ...]
    plugins: tuple[Path, ...]
    state_dir: Path
    demo: bool
    client_keys: tuple[ClientKey, ...]
    environment: Mapping[str, Variable]
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    sources: tuple[str, ...]
    watched: tuple[Path, ...]
    origins: Mapping[str, Origin]

    def get(self, kind: type[T]) -> T:
        """A section by its class. KeyError if it was registered after the settings were loaded."""
        return cast(T, self.sections[kind])

    def origin(self, key: str) -> Origin:
        """Where the value of a dotted key came from, or what it is part of. KeyError for a key that nothing has."""
        above = key
        while above not in self.origins and "." in above:
            above = above.rpartition(".")[0]
        if above not in self.origins:
            raise KeyError(key)
        return self.origins[above]
