"""What the commands share: flags to settings, settings to a world, problems told."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from rotator.config import Flags, Settings, load
from rotator.errors import ConfigError, PluginError
from rotator.plugins import Loaded
from rotator.plugins import load as load_plugins
from rotator.server.logs import LOGGER, SafeFormatter
from rotator.world import World, build_world


def flags_of(arguments: argparse.Namespace) -> Flags:
    return Flags(
        host=arguments.host,
        port=arguments.port,
        env_file=arguments.env_file,
        config=arguments.config,
        plugins=tuple(arguments.plugins),
        state=arguments.state,
        trace=arguments.trace,
        trace_dir=arguments.trace_dir,
        demo=arguments.demo,
    )


def make_world(flags: Flags, previous: World | None = None) -> World:
    """Settings, plug-ins and everything built from them.  Raises ConfigError or PluginError."""
    settings: Settings = load(flags)
    loaded: Loaded = load_plugins(settings.plugins, previous.loaded if previous else None)
    return build_world(settings, loaded, previous.generation + 1 if previous else 1)


def tell_problems(error: ConfigError | PluginError) -> int:
    """Print what is wrong, one line each; the exit code for it."""
    problems: Sequence[object] = error.problems if isinstance(error, ConfigError) else [error]
    for problem in problems:
        print(f"rotator: {problem}", file=sys.stderr)
    return 2


def tell_warnings(world: World) -> None:
    """Print what is odd but no error: names that are not read."""
    for warning in world.warnings:
        print(f"rotator: warning: {warning}", file=sys.stderr)
    for name in world.settings.ignored:
        print(f"rotator: ignored: {name} fits no form of a key's name", file=sys.stderr)


def set_up_logging(level: int = logging.WARNING) -> None:
    """Our own log lines to stderr; uvicorn's are covered by ours."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger(LOGGER)
    log.handlers = [handler]
    log.setLevel(level)
    log.propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)


