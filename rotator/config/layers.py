"""The places that settings come from, strongest first: flag, environment, env file, configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rotator.config.environment import Environment, gather
from rotator.config.reader import At, Rule
from rotator.config.secrets import Sieve
from rotator.config.settings import Flags, Origin
from rotator.config.sources import Document, EnvFile, read_document, read_env_file
from rotator.errors import ConfigError, Problem

COMMAND_LINE: Final = "command line"
ENV_FILE: Final = ".env"
CONFIG_FILE: Final = "rotator.yaml"


@dataclass(frozen=True, slots=True)
class Given:
    """A value that outranks the file: where it stands, as it was written, and its origin."""

    at: At
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Layers:
    """All sources, read.

    ``data`` is the configuration file without what was refused in it, ``state_home`` where programs keep state.
    """

    flags: Flags
    environment: Environment
    env_file: EnvFile | None
    document: Document | None
    data: Mapping[str, object]
    cwd: Path
    state_home: Path

    def given(self, rule: Rule) -> Given | None:
        """What a flag or a variable says for a field; the firm name before its aliases, the environment before .env."""
        if rule.flag is not None:
            value = getattr(self.flags, rule.flag.removeprefix("--").replace("-", "_"))
            if value is not None:
                return Given(self.at(COMMAND_LINE, rule.flag), value, Origin("flag", rule.flag))
        held = [name for name in rule.env if name in self.environment.variables]
        if not held:
            return None
        name = min(held, key=lambda name: self.environment.origin(name) != "environment")
        return self.variable(name)

    def variable(self, name: str) -> Given | None:
        value = self.environment.get(name)
        if value is None:
            return None
        where = self.environment.origin(name)
        return Given(self.at(where, name), value, Origin("environment" if where == "environment" else "env file", name))

    def at(self, where: str, key: str) -> At:
        return At(where, key, self.cwd, text=True)

    def in_file(self, key: str) -> At:
        """A place in the configuration file."""
        if self.document is None:
            return At(CONFIG_FILE, key, self.cwd)
        return At(self.document.where, key, self.document.folder)

    def file_origin(self, key: str) -> Origin:
        return Origin("file", f"{self.in_file(key).where}: {key}")

    def used(self) -> tuple[str, ...]:
        """The places that were really there, strongest first."""
        places = [COMMAND_LINE] if self.flags != Flags() else []
        if any(held.origin == "environment" for held in self.environment.variables.values()):
            places.append("environment")
        places += [self.env_file.where] if self.env_file else []
        places += [self.document.where] if self.document else []
        return tuple(places)

    def watched(self) -> tuple[Path, ...]:
        """The files that would be read, were they there."""
        named = self.flags.config or self.environment.get("ROTATOR_CONFIG")
        return _place(self.cwd, self.flags.env_file or ENV_FILE), _place(self.cwd, named or CONFIG_FILE)


def collect(flags: Flags, environ: Mapping[str, str], cwd: Path, problems: list[Problem]) -> Layers:
    """Read every source; what is wrong in one hides nothing of the others."""
    env_file = _env_file(flags, cwd, problems)
    environment = gather(environ, env_file, problems)
    document = _document(flags, environment, cwd, problems)
    data: Mapping[str, object] = {}
    if document is not None:
        sieve = Sieve(document.where)
        data = sieve.mapping(document.data)
        problems.extend(sieve.problems)
    return Layers(flags, environment, env_file, document, data, cwd, _state_home(environ))


def _env_file(flags: Flags, cwd: Path, problems: list[Problem]) -> EnvFile | None:
    path = _place(cwd, flags.env_file or ENV_FILE)
    if flags.env_file and not path.is_file():
        problems.append(Problem(COMMAND_LINE, "--env-file", f"no such file: {flags.env_file}"))
    if not path.is_file():  # a virtual environment may be called .env
        return None
    try:
        return read_env_file(path, str(flags.env_file or ENV_FILE))
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _document(flags: Flags, environment: Environment, cwd: Path, problems: list[Problem]) -> Document | None:
    variable = environment.get("ROTATOR_CONFIG")
    named = flags.config or variable
    path = _place(cwd, named or CONFIG_FILE)
    if named and not path.is_file():
        where, key = (COMMAND_LINE, "--config")
        if not flags.config:
            where, key = environment.origin("ROTATOR_CONFIG"), "ROTATOR_CONFIG"
        problems.append(Problem(where, key, f"no such file: {named}"))
    if not path.is_file():
        return None
    try:
        return read_document(path, str(named or CONFIG_FILE))
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _place(cwd: Path, named: str | Path) -> Path:
    return cwd / Path(named).expanduser()


def _state_home(environ: Mapping[str, str]) -> Path:
    """XDG base directories: a relative XDG_STATE_HOME does not count."""
    named = Path(environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state"
