"""``rotator check``: validate the configuration without starting; exit code 2 names file, key and reason."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from rotator.cli.common import flags_of, make_world, set_up_logging, tell_problems, tell_warnings
from rotator.config.rotation import UNLIMITED, Cap, Rotation, Window
from rotator.config.schema import Server
from rotator.contracts import Credential
from rotator.credentials.discovery import DEFAULT_PRIORITY
from rotator.credentials.policy import Policy
from rotator.errors import ConfigError, PluginError
from rotator.server.process import check_bind
from rotator.world import World, summary

COLUMNS: Final = 100
_SHARED: Final = {"model": "", "group": " per group", "credential": " per key"}


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
    for line in _providers(world):
        print(line)
    print(f"  read from: {', '.join(settings.sources) or 'defaults only'}")
    return 0


def _providers(world: World) -> Iterator[str]:
    """Each provider with its keys and how they are used."""
    for name, credentials in world.credentials.items():
        rotation = world.rotations[name]
        yield from _wrapped(f"  {name}: ", [[_key(one, rotation) for one in credentials]])
        yield from _wrapped("    rotation: ", _rotation(rotation))


def _wrapped(head: str, parts: Iterable[list[str]]) -> list[str]:
    """``head a, b; c``: lines are broken between items only."""
    whole = "; ".join(", ".join(item.replace(" ", "\0") for item in part) for part in parts if part)
    indent = " " * (len(head) - len(head.lstrip()))
    lines = textwrap.wrap(
        whole, COLUMNS, initial_indent=head, subsequent_indent=f"{indent}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\0", " ") for line in lines]


def _key(credential: Credential, rotation: Rotation) -> str:
    """``acme#1 (priority 10, tier paid)``."""
    facts = f"priority {credential.priority}"
    if credential.tier is not None:
        facts += f", tier {credential.tier}"
        if rotation.tiers and credential.tier not in rotation.tiers and credential.priority == DEFAULT_PRIORITY:
            facts += ", which rotation.tiers gives no priority"
    return f"{credential.label} ({facts})"


def _rotation(rotation: Rotation) -> Iterator[list[str]]:
    """What counts, in a few words: what is usual is left out."""
    mode = f"balanced (tolerance {rotation.tolerance:g})" if rotation.mode == "balanced" else rotation.mode
    first = [mode, *_concurrency(rotation)]
    yield first + _list("windows", [_window(window) for window in rotation.windows])
    yield _list("caps", [_cap(cap) for cap in rotation.caps])
    yield _list("groups", [f"{name} ({_several(models)})" for name, models in rotation.quota_groups.items()])
    yield [f"{model} needs tier {need}" for model, need in rotation.model_tiers.items()]
    yield _list("weights", [f"{model} {weight:g}" for model, weight in rotation.usage_weights.items()])
    yield [f"fair cycle {'on' if Policy(rotation).fair else 'off'}"]
    policy, seconds = rotation.no_reset.policy, rotation.no_reset.cooldown_seconds
    if policy != "warn_only":
        yield [f"no reset known: {policy}" + (f" {seconds:g} s" if policy == "cooldown" else "")]


def _list(noun: str, items: list[str]) -> list[str]:
    return [f"{noun} {items[0]}", *items[1:]] if items else []


def _several(models: tuple[str, ...]) -> str:
    return ", ".join(models) if len(models) < 4 else f"{len(models)} models"


def _concurrency(rotation: Rotation) -> Iterator[str]:
    if rotation.max_concurrent != UNLIMITED:
        yield f"{rotation.max_concurrent} at a time"
    if rotation.optimal_concurrent not in (None, UNLIMITED):
        yield f"best {rotation.optimal_concurrent} at a time"
    if rotation.max_concurrent != UNLIMITED or rotation.optimal_concurrent not in (None, UNLIMITED):
        for priority, factor in rotation.concurrency_multipliers.items():
            yield f"times {factor:g} for priority {priority}"


def _window(window: Window) -> str:
    limit = "" if window.limit is None else f" {window.limit:.15g} {window.unit}"
    tier = "" if window.tier is None else f" (tier {window.tier})"
    return f"{window.name}{limit}{_SHARED[window.applies_to]}{tier}"


def _cap(cap: Cap) -> str:
    tiers = cap.tier if isinstance(cap.tier, tuple) else () if cap.tier is None else (cap.tier,)
    tier = f" (tier {' or '.join(map(str, tiers))})" if tiers else ""
    return f"{cap.model or cap.group} {cap.max}{tier}"
