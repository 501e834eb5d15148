"""The command line: ``rotator serve | check | plugins``.  Each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from rotator import __version__

#: command -> one line of help; each is a module of this package with ``run(arguments) -> exit code``.
COMMANDS = {
    "serve": "run the proxy",
    "check": "check the configuration without starting",
    "plugins": "list protocols, adapters and providers and where they come from",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rotator", description="A proxy between LLM clients and providers, over a pool of your own keys."
    )
    parser.add_argument("--version", action="version", version=f"rotator {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.")
        command.add_argument("--host", metavar="H", help="address to listen on (default 127.0.0.1)")
        command.add_argument("--port", metavar="P", help="port to listen on (default 8000, 0: any)")
        command.add_argument("--env-file", metavar="F", help="read this instead of ./.env")
        command.add_argument("--config", metavar="F", help="read this instead of ./rotator.yaml")
        command.add_argument("--plugins", metavar="DIR", action="append", default=[], help="a folder of plug-ins")
        command.add_argument("--state", metavar="DIR", help="folder for state (this version: traces)")
        command.add_argument("--trace", metavar="LEVEL", help="off, meta, bounds or full (default off)")
        command.add_argument("--trace-dir", metavar="DIR", help="folder for traces (default: trace under --state)")
        command.add_argument("--demo", action="store_true", default=None, help="serve the built-in demo provider")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 for a failure, 2 for bad usage or configuration."""
    parsed = _parser().parse_args(arguments)
    module = importlib.import_module(f"{__name__}.{parsed.command}")
    try:
        return int(module.run(parsed))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output is gone
        return 1
