"""``rotator check``: validate the configuration without starting; exit code 2 names file, key and reason."""

from __future__ import annotations

import argparse

from rotator.cli.common import flags_of, make_world, set_up_logging, tell_problems, tell_warnings
from rotator.config.schema import Server
from rotator.errors import ConfigError, PluginError
from rotator.server.process import check_bind
from rotator.world import summary


def run(arguments: argparse.Namespace) -> int:
    set_up_logging()
    try:
        world = make_world(flags_of(arguments))
        check_bind(world)
    except (ConfigError, PluginError) as error:
        return tell_problems(error)
    tell_warnings(world)
    settings = world.settings
    server = settings.get(Server)
    print(f"configuration is valid: {server.host}:{server.port}, providers {summary(world)}")
    for name, credentials in world.credentials.items():
        labels = ", ".join(f"{one.label} (priority {one.priority})" for one in credentials)
        print(f"  {name}: {labels}")
    print(f"  read from: {', '.join(settings.sources) or 'defaults only'}")
    return 0
