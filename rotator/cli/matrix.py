"""``rotator matrix``: what each protocol cannot be told, from the codecs' own declarations.

docs/translation.md holds exactly this text.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from rotator.cli.common import flags_of, set_up_logging, tell_problems
from rotator.config import load
from rotator.contracts import ProtocolAdapter
from rotator.errors import ConfigError, PluginError
from rotator.plugins import load as load_plugins


def run(arguments: argparse.Namespace) -> int:
    set_up_logging(level=100)
    try:
        loaded = load_plugins(load(flags_of(arguments)).plugins)
    except (ConfigError, PluginError) as error:
        return tell_problems(error)
    print(losses_table(loaded.registry.protocols), end="")
    return 0


def losses_table(protocols: Mapping[str, ProtocolAdapter]) -> str:
    """Markdown: a row for each code, a column for each protocol that can be translated."""
    told = {name: _losses(one) for name, one in protocols.items() if one.codecs}
    codes = sorted({code for losses in told.values() for code in losses})
    head = ["code", *(f"to {name}" for name in told)]
    rows = [[f"`{code}`", *(losses.get(code, "") for losses in told.values())] for code in codes]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))


def _losses(protocol: ProtocolAdapter) -> dict[str, str]:
    found: dict[str, str] = {}
    for codec in protocol.codecs.values():
        found.update(codec.losses)
    return found
