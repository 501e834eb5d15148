"""``.env``, environment, flags and one YAML or JSON file -> frozen, checked settings; the only reader of os.environ."""

from __future__ import annotations

from rotator.config.environment import ClientKey, Variable
from rotator.config.load import load
from rotator.config.reader import At, read, setting
from rotator.config.schema import Limits, Retry, Server, Sessions, Timeouts
from rotator.config.sections import section, variable
from rotator.config.settings import Flags, Origin, Route, Settings

__all__ = [
    "At",
    "ClientKey",
    "Flags",
    "Limits",
    "Origin",
    "Retry",
    "Route",
    "Server",
    "Sessions",
    "Settings",
    "Timeouts",
    "Variable",
    "load",
    "read",
    "section",
    "setting",
    "variable",
]
