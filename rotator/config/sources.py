"""The files that configuration stands in: the env file and the configuration file, read as they are."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rotator.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class EnvFile:
    """Names and values as written (no interpolation). ``repeated`` names stand there twice; the last one counts."""

    where: str
    values: Mapping[str, str]
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file's content. ``folder`` is what its relative paths start from."""

    where: str
    folder: Path
    data: Mapping[object, object]


def read_env_file(path: Path, where: str) -> EnvFile:
    """Raises ConfigError naming each line that is no ``NAME=value``: it might have been the client key."""
    from dotenv.parser import parse_stream  # only where a file is there: it takes 40 ms

    values: dict[str, str] = {}
    repeated: list[str] = []
    problems: list[Problem] = []
    for binding in parse_stream(io.StringIO(_text(path, where))):
        text = binding.original.string
        line = binding.original.line + len(text) - len(text.lstrip("\n"))
        if binding.error:
            problems.append(Problem(where, f"line {line}", "expected NAME=value"))
        if binding.key is None or binding.value is None:
            continue
        if binding.key in values:
            repeated.append(binding.key)
        values[binding.key] = binding.value
    if problems:
        raise ConfigError(problems)
    return EnvFile(where, values, tuple(repeated))


def read_document(path: Path, where: str) -> Document:
    """YAML, or JSON where the text is JSON. Raises ConfigError for what is neither, and for keys that stand twice."""
    text = _text(path, where)
    data = _json(text, where) if text.lstrip().startswith("{") else None
    if data is None:
        from rotator.config.yamltext import read_yaml  # only where a file is there: it takes 30 ms

        data = read_yaml(text, where)
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise ConfigError([Problem(where, "top level", f"expected a mapping, found {kind}")])
    return Document(where, path.parent, data)


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason = "no such file"
    except UnicodeDecodeError:
        reason = "is no UTF-8 text"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise ConfigError([Problem(where, "", reason)])


def _json(text: str, where: str) -> object:
    """None if it is no JSON: a YAML text may begin with a brace, too, and YAML's messages tell the line."""
    problems: list[Problem] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, value in pairs:
            if key in made:
                problems.append(Problem(where, key, "stands there twice"))
            made[key] = value
        return made

    try:
        data: object = json.loads(text, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return None
    if problems:
        raise ConfigError(problems)
    return data
