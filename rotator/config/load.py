"""Load the settings: read all sources, lay them over each other, check everything, freeze it."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from rotator.config.environment import check_secret, client_keys
from rotator.config.layers import COMMAND_LINE, Layers, collect
from rotator.config.reader import At, entries, parse, placed, read
from rotator.config.rotation import Rotation
from rotator.config.schema import STATE_SECRET
from rotator.config.secrets import masked
from rotator.config.sections import sections
from rotator.config.settings import Flags, Origin, Route, Settings
from rotator.config.suggest import unknown
from rotator.errors import ConfigError, Problem

#: Top-level keys that are no section: their content is names, or has others of its kind laid over it.
_LISTS: Final = ("providers", "rotation", "routes", "plugins")
_PLUGINS: Final = "ROTATOR_PLUGINS"
_ALIAS: Final = "MODEL_ROUTE_"
#: ``provider/model`` or ``provider:profile/model``; design.md 6, model names.
_TARGET: Final = re.compile(r"[A-Za-z0-9._~:@+-]+/[A-Za-z0-9._~:@/+-]+")


def load(flags: Flags, *, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """The settings; raises ConfigError with everything that is wrong in any source.

    ``environ`` and ``cwd`` default to the process's own; nothing else in the program reads ``os.environ``. All
    sections must be registered by now.
    """
    problems: list[Problem] = []
    layers = collect(flags, os.environ if environ is None else environ, (cwd or Path()).absolute(), problems)
    origins: dict[str, Origin] = {}
    known = (*sections(), *_LISTS)
    for key in layers.data:
        if key not in known:
            problems.append(Problem(layers.in_file(key).where, masked(key), unknown("key", key, known)))
    held = _sections(layers, origins, problems)
    check_secret(layers.environment, STATE_SECRET, problems)
    settings = Settings(
        sections=MappingProxyType(held),
        providers=_providers(layers, origins, problems),
        rotation=_rotation(layers, origins, problems),
        routes=_routes(layers, origins, problems),
        plugins=_plugins(layers, origins, problems),
        state_dir=_state(layers, origins),
        demo=_demo(layers, origins, problems),
        client_keys=client_keys(layers.environment, problems),
        environment=MappingProxyType(dict(layers.environment.variables)),
        ignored=layers.environment.ignored,
        warnings=layers.environment.warnings,
        sources=layers.used(),
        watched=layers.watched(),
        origins=MappingProxyType(origins),
    )
    if problems:
        raise ConfigError(problems)
    return settings


def _sections(layers: Layers, origins: dict[str, Origin], problems: list[Problem]) -> dict[type, object]:
    held: dict[type, object] = {}
    for name, cls in sections().items():
        data = layers.data.get(name)
        values: dict[str, object] = {}
        for key, entry in entries(cls).items():
            there = isinstance(data, Mapping) and key in data
            origins[f"{name}.{key}"] = layers.file_origin(f"{name}.{key}") if there else Origin("default")
            given = layers.given(entry.rule)
            if given is None:
                continue
            origins[f"{name}.{key}"] = given.origin
            try:
                values[entry.name] = parse(entry.hint, given.value, given.at, entry.rule)
            except ConfigError as error:
                problems.extend(error.problems)
        section = read(cls, data, layers.in_file(name), problems) or cls()
        try:
            held[cls] = dataclasses.replace(section, **values)
        except ValueError as error:  # the class's own check, which may compare values from several sources
            problems.append(Problem(", ".join(layers.used()), name, str(error)))
    return held


def _providers(
    layers: Layers, origins: dict[str, Origin], problems: list[Problem]
) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for name, facts in _mapping(layers, "providers", Mapping[str, Any], problems).items():
        key = f"providers.{name}"
        origins[key] = layers.file_origin(key)
        try:
            found[name] = cast(Mapping[str, Any], parse(Mapping[str, Any], facts, layers.in_file(key)))
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        if "rotation" in found[name]:
            _check_rotation(found[name]["rotation"], layers.in_file(f"{key}.rotation"), problems)
    return MappingProxyType(found)


def _check_rotation(said: object, at: At, problems: list[Problem]) -> None:
    """Every part is good by itself, before parts are laid over each other."""
    found: list[Problem] = []
    read(Rotation, said, at, found)
    problems.extend(map(placed, found))


def _rotation(layers: Layers, origins: dict[str, Origin], problems: list[Problem]) -> Mapping[str, Any]:
    said = layers.data.get("rotation")
    _check_rotation(said, layers.in_file("rotation"), problems)
    origins["rotation"] = Origin("default")
    if not isinstance(said, Mapping):
        return MappingProxyType({})
    for key in said:
        origins[f"rotation.{key}"] = layers.file_origin(f"rotation.{key}")
    return MappingProxyType(dict(said))


def _routes(layers: Layers, origins: dict[str, Origin], problems: list[Problem]) -> tuple[Route, ...]:
    routes = []
    for name in layers.environment.variables:
        given = layers.variable(name)
        if given is None or not name.startswith(_ALIAS):
            continue
        alias = name.removeprefix(_ALIAS)
        if not re.fullmatch(r"[A-Z0-9_]+", alias):
            problems.append(Problem(given.at.where, name, "an alias is upper case, every other character as _"))
        routes.append((given.at, Route(alias, str(given.value), alias=True)))
        origins[f"routes.{alias}"] = given.origin
    for pattern, target in _mapping(layers, "routes", Mapping[str, str], problems).items():
        at = layers.in_file("routes").child(pattern)
        routes.append((at, Route(pattern, target, alias=False)))
        origins[f"routes.{pattern}"] = layers.file_origin(at.key)
    for at, route in routes:
        if not _TARGET.fullmatch(route.target) or ".." in route.target:
            problems.append(Problem(at.where, at.key, "expected provider/model"))
    return tuple(route for _, route in routes)


def _plugins(layers: Layers, origins: dict[str, Origin], problems: list[Problem]) -> tuple[Path, ...]:
    folders: dict[Path, None] = {}
    origins["plugins"] = Origin("default")
    for at, named, origin in _named_folders(layers, problems):
        folder = at.folder / Path(named).expanduser()
        if not folder.is_dir():
            problems.append(Problem(at.where, at.key, f"no such folder: {named}"))
        if not folders:
            origins["plugins"] = origin
        folders[folder] = None
    return tuple(folders)


def _named_folders(layers: Layers, problems: list[Problem]) -> Iterator[tuple[At, str, Origin]]:
    """Strongest first: all sources count, and of two files of one name the first folder's wins."""
    for flag in layers.flags.plugins:
        yield layers.at(COMMAND_LINE, "--plugins"), str(flag), Origin("flag", "--plugins")
    given = layers.variable(_PLUGINS)
    if given is not None:
        for named in _folders(given.value):
            yield given.at, named, given.origin
    if layers.env_file is not None and (given is None or given.origin.source == "environment"):
        for named in _folders(layers.env_file.values.get(_PLUGINS, "")):
            yield layers.at(layers.env_file.where, _PLUGINS), named, Origin("env file", _PLUGINS)
    at = layers.in_file("plugins")
    try:
        listed = cast(tuple[str, ...], parse(tuple[str, ...], layers.data.get("plugins") or [], at))
    except ConfigError as error:
        problems.extend(error.problems)
        return
    for index, named in enumerate(listed):
        yield at.item(index), named, layers.file_origin("plugins")


def _folders(value: object) -> list[str]:
    return [named.strip() for named in str(value).split(os.pathsep) if named.strip()]


def _state(layers: Layers, origins: dict[str, Origin]) -> Path:
    if layers.flags.state:
        origins["state"] = Origin("flag", "--state")
        return layers.cwd / Path(layers.flags.state).expanduser()
    given = layers.variable("ROTATOR_STATE")
    if given is None:
        origins["state"] = Origin("default")
        return layers.state_home / "rotator"
    origins["state"] = given.origin
    return layers.cwd / Path(str(given.value)).expanduser()


def _demo(layers: Layers, origins: dict[str, Origin], problems: list[Problem]) -> bool:
    given = layers.variable("ROTATOR_DEMO")
    origins["demo"] = Origin("default") if given is None else given.origin
    wanted = False
    if given is not None:
        try:
            wanted = bool(parse(bool, given.value, given.at))
        except ConfigError as error:
            problems.extend(error.problems)
    if layers.flags.demo is None:
        return wanted
    origins["demo"] = Origin("flag", "--demo")
    return layers.flags.demo


def _mapping(layers: Layers, key: str, hint: object, problems: list[Problem]) -> Mapping[str, Any]:
    try:
        return cast(Mapping[str, Any], parse(hint, layers.data.get(key), layers.in_file(key)))
    except ConfigError as error:
        problems.extend(error.problems)
        return {}
