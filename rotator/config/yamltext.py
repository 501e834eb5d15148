"""YAML without its surprises.

Like PyYAML's safe loader, but a key that stands twice is an error, and plain words are what YAML 1.2 (10.3.2) makes
of them: ``no`` and ``on`` are texts (a country, a model), ``17:00`` is a text and not 1020, ``2026-01-01`` a text and
not a date, ``010`` ten, and ``1e3`` (JSON) a number.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from rotator.config.secrets import masked
from rotator.errors import ConfigError, Problem

#: What YAML quotes in its messages: a single character, a kind of token, or something that the file says.
_QUOTED: Final = re.compile(r" ('[^']*'|\"[^\"]*\")")
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_BOOL: Final = "tag:yaml.org,2002:bool"
_REPLACED: Final = (_INT, _FLOAT, _BOOL, "tag:yaml.org,2002:timestamp")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[tuple[int, str]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                self.repeated.append((key.start_mark.line + 1, key.value))
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(node.value.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_implicit_resolver(_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
# Eighteen digits are more than any setting takes, and what is longer was hardly meant as a number.
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?[0-9]{1,18}$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf)$|\.nan$"),
    list("-+0123456789."),
)
_Loader.add_constructor(_INT, _whole)
_Loader.add_constructor(_FLOAT, _number)


def read_yaml(text: str, where: str) -> object:
    """The one document of ``text``; None if it is empty. Raises ConfigError with the line."""
    loader = None
    try:
        loader = _Loader(text)
        data: object = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = _QUOTED.sub(_harmless, error.problem or "is no YAML")
        raise ConfigError([Problem(where, line, reason)]) from None
    except yaml.reader.ReaderError as error:
        line = f"line {text.count(chr(10), 0, error.position) + 1}"
        raise ConfigError([Problem(where, line, "holds a character that YAML does not allow")]) from None
    except ValueError:  # an explicit tag: !!int "x"
        raise ConfigError([Problem(where, "", "holds a value that does not fit its tag")]) from None
    except RecursionError:
        raise ConfigError([Problem(where, "", "nested too deep")]) from None
    finally:
        if loader is not None:
            loader.dispose()
    if loader.repeated:
        twice = ((line, f"{masked(key)} stands there twice") for line, key in loader.repeated)
        raise ConfigError(Problem(where, f"line {line}", reason) for line, reason in twice)
    return data


def _harmless(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[1]) <= 4 or quoted[1].startswith("'<") else ""
