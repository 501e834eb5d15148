"""The command line: ``rotator serve | check | plugins | matrix | trace | simulate``.

Each command imports what it needs when it runs.
"""

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
    "matrix": "what becomes of requests and answers that are translated, counted, and what is lost",
    "trace": "show what was traced of the requests",
    "simulate": "what a configuration would do with a load: who serves, who is limited, who waits",
}
#: Flags of commands that serve nothing, for those that ask for all of them.
_NOT_GIVEN = {"host": None, "port": None, "trace": None, "demo": None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rotator", description="A proxy between LLM clients and providers, over a pool of your own keys."
    )
    parser.add_argument("--version", action="version", version=f"rotator {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.")
        if name == "trace":
            _trace_flags(command)
            continue
        if name == "simulate":
            _simulate_flags(command)
            continue
        if name == "matrix":
            _matrix_flags(command)
            continue
        command.add_argument("--host", metavar="H", help="address to listen on (default 127.0.0.1)")
        command.add_argument("--port", metavar="P", help="port to listen on (default 8000, 0: any)")
        _place_flags(command)
        command.add_argument("--trace", metavar="LEVEL", help="off, meta, bounds or full (default off)")
        command.add_argument("--demo", action="store_true", default=None, help="serve the built-in demo provider")
    return parser


def _place_flags(command: argparse.ArgumentParser) -> None:
    """Where things are, for every command that keeps or reads state."""
    _config_flags(command)
    command.add_argument("--state", metavar="DIR", help="folder for state (this version keeps traces in it, if any)")
    command.add_argument("--trace-dir", metavar="DIR", help="folder for traces (default: trace under --state)")


def _config_flags(command: argparse.ArgumentParser) -> None:
    """Where the configuration is, for every command."""
    command.add_argument("--env-file", metavar="F", help="read this instead of ./.env")
    command.add_argument("--config", metavar="F", help="read this instead of ./rotator.yaml")
    command.add_argument("--plugins", metavar="DIR", action="append", default=[], help="a folder of plug-ins")


def _matrix_flags(command: argparse.ArgumentParser) -> None:
    _config_flags(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--rows", action="store_true", help="every row of the table, with what becomes of it")
    form.add_argument("--markdown", action="store_true", help="all of it as a page")
    command.set_defaults(**_NOT_GIVEN, state=None, trace_dir=None)


def _simulate_flags(command: argparse.ArgumentParser) -> None:
    _config_flags(command)
    requests = command.add_mutually_exclusive_group(required=True)
    requests.add_argument("--usage", metavar="F", help="the requests, one JSON object a line; - is standard input")
    requests.add_argument("--load", metavar="SPEC", help="a file (YAML or JSON) that says what load to make up")
    command.add_argument("--vendor", metavar="SPEC", help="with --usage: a file that says how the vendor answers")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is by chance (default 0)")
    command.add_argument("--json", action="store_true", help="for programs: one JSON object")
    command.set_defaults(**_NOT_GIVEN, state=None, trace_dir=None)


def _trace_flags(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ls|show|usage", required=True)
    listing = actions.add_parser("ls", help="one line a request, newest last", description="The newest requests.")
    listing.add_argument("--limit", type=_positive, default=20, metavar="N", help="how many (default 20)")
    show = actions.add_parser("show", help="the passes of one request", description="The passes of one request.")
    show.add_argument("id", metavar="ID", help="the request's id, a beginning or an end of it that is unique, or last")
    show.add_argument("--pass", dest="name", metavar="NAME", help="this pass only, such as upstream_request")
    show.add_argument("--all", action="store_true", help="bodies whole, lines unshortened")
    usage = "One JSON object a request: {t, model, session?, tokens?}."
    used = actions.add_parser("usage", help="what rotator simulate --usage takes", description=usage)
    used.add_argument("--since", metavar="WHEN", help="7d (days ago; s, m, h, w likewise), a date, or unix seconds")
    for action in (listing, show):
        action.add_argument("--json", action="store_true", help="for programs: one JSON object a line")
    for action in (listing, show, used):
        _place_flags(action)
        action.set_defaults(**_NOT_GIVEN)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


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
