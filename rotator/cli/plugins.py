"""``rotator plugins``: every plug-in with kind, origin, state, file and reason."""

from __future__ import annotations

import argparse

from rotator.cli.common import flags_of, set_up_logging, tell_problems
from rotator.config import load
from rotator.errors import ConfigError, PluginError
from rotator.plugins import Plugin
from rotator.plugins import load as load_plugins

HEAD = ("KIND", "NAME", "ORIGIN", "STATE", "FILE")


def run(arguments: argparse.Namespace) -> int:
    set_up_logging(level=100)
    try:
        loaded = load_plugins(load(flags_of(arguments)).plugins)
    except (ConfigError, PluginError) as error:
        return tell_problems(error)
    rows = [HEAD, *(_row(plugin) for plugin in loaded.plugins)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        fixed = "  ".join(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True))
        print(f"{fixed}  {row[4]}")
    return 0


def _row(plugin: Plugin) -> tuple[str, str, str, str, str]:
    where = f"{plugin.path}  ({plugin.reason})" if plugin.reason else plugin.path
    return str(plugin.kind), ", ".join(plugin.names), plugin.origin, plugin.state, where
