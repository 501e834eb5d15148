"""``rotator simulate``: what a configuration would do with a load, without a network and in seconds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotator.cli.common import flags_of, make_world, set_up_logging, tell_problems
from rotator.config.suggest import unknown
from rotator.contracts import Credential, KeyFacts, Target
from rotator.credentials.discovery import sift, token
from rotator.credentials.rotation_of import idle_rules
from rotator.credentials.simulation.arrivals import Work, make_up, read_usage
from rotator.credentials.simulation.keys import keys_of, with_spoken
from rotator.credentials.simulation.run import Setup, simulate
from rotator.credentials.simulation.spec import Load, Vendor, read_load, read_vendor
from rotator.errors import ConfigError, PluginError, Problem, Refused
from rotator.routing.resolve import ModelRoute, Router
from rotator.world import World

STDIN = "-"
#: Models that lead nowhere which are told.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags ask for, read; ``where`` names the file with what is said of vendor and keys."""

    where: str
    work: Work
    vendor: Vendor
    load: Load | None = None

    @property
    def spoken(self) -> Mapping[str, int | Sequence[KeyFacts]]:
        """The keys that the load speaks of."""
        return self.load.keys if self.load is not None else {}


def run(arguments: argparse.Namespace) -> int:
    set_up_logging(level=100)
    try:
        asked = _asked(arguments)
        world = make_world(flags_of(arguments))
        own = _credentials(world)
        credentials = with_spoken(own, asked.spoken, world.rotations, asked.where)
        _check_keys(credentials)
        resolve = _resolver(world, credentials)
        _check(asked, credentials, resolve)
    except (ConfigError, PluginError) as error:
        return tell_problems(error)
    unused = [f"{asked.where}: keys.{name}: not used: there are others" for name in asked.spoken if name in own]
    for warning in (*world.settings.warnings, *unused, *idle_rules(world.rotations, credentials)):
        print(f"rotator: warning: {warning}", file=sys.stderr)
    report = simulate(
        Setup(
            credentials,
            world.rotations,
            resolve,
            asked.vendor,
            arguments.seed,
            world.retry,
            world.timeouts.global_seconds,
            world.strategies,
        ),
        asked.work,
    )
    for reason in [*report.unknown.values()][:_TOLD]:
        print(f"rotator: warning: {reason}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        for line in report.table():
            print(line)
    return 0


def _asked(arguments: argparse.Namespace) -> Asked:
    """Raises ConfigError."""
    if arguments.load is not None:
        if arguments.vendor is not None:
            raise ConfigError([Problem("--vendor", "", "a load says that itself, under `vendor`")])
        load = read_load(Path(arguments.load), arguments.load)
        return Asked(arguments.load, make_up(load, arguments.seed), load.vendor, load)
    named = arguments.vendor
    vendor = read_vendor(Path(named), named) if named is not None else Vendor()
    return Asked(named or "--usage", _usage(arguments.usage), vendor)


def _usage(path: str) -> Work:
    if path == STDIN:
        return read_usage(sys.stdin.buffer, "standard input")
    try:
        with Path(path).open("rb") as lines:
            return read_usage(lines, path)
    except FileNotFoundError:
        reason = "no such file"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise ConfigError([Problem(path, "", reason)])


def _credentials(world: World) -> Mapping[str, tuple[Credential, ...]]:
    """The keys of this configuration, and those that it only speaks of."""
    demo = world.settings.demo
    held = {name: keys for name, keys in world.credentials.items() if demo or not world.providers[name].stand_in}
    found = sift(world.settings.environment).keys
    numbers = {name: {str(key.number) for key in found.get(token(name), ())} for name in world.providers}
    return keys_of(world.providers, held, numbers, world.rotations)


def _check_keys(credentials: Mapping[str, Sequence[Credential]]) -> None:
    """Raises ConfigError."""
    if not credentials:
        reason = (
            "there is no key: set <PROVIDER>_API_KEY, give labels under providers.<name>.credentials in the"
            " configuration file, or say keys: {<name>: 2} in the load"
        )
        raise ConfigError([Problem("credentials", "", reason)])


def _resolver(
    world: World, credentials: Mapping[str, Sequence[Credential]]
) -> Callable[[str], Sequence[Target]]:
    """The world's router, for keys that the world may not know."""
    routes = [ModelRoute(one.pattern, one.target, one.alias) for one in world.settings.routes]
    router, protocol = Router(world.providers, credentials, routes), world.loaded.registry.fallback.name
    return lambda model: router.resolve(model, protocol)


def _check(
    asked: Asked, credentials: Mapping[str, Sequence[Credential]], resolve: Callable[[str], Sequence[Target]]
) -> None:
    """What a load names must be there.  Raises ConfigError."""
    problems = []
    for model in asked.load.models if asked.load is not None else ():
        try:
            resolve(model)
        except Refused as refused:
            problems.append(Problem(asked.where, f"models.{model}", refused.error.message))
    labels = [key.label for keys in credentials.values() for key in keys]
    at = "vendor.rejected" if asked.load is not None else "rejected"
    for index, label in enumerate(asked.vendor.rejected):
        if label not in labels:
            problems.append(Problem(asked.where, f"{at}[{index}]", unknown(f"label {label!r}", label, labels)))
    if problems:
        raise ConfigError(problems)
