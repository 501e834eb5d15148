"""``rotator trace ls | show ID | usage``: what was traced of the requests, from the files alone."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from io import TextIOWrapper
from pathlib import Path

from rotator.cli.common import flags_of, tell_problems
from rotator.config import load
from rotator.errors import ConfigError
from rotator.trace.display import Timeline, printable, table, when
from rotator.trace.entry import PASSES
from rotator.trace.files import own_files, trace_folder
from rotator.trace.line import one_line
from rotator.trace.reader import Listing, NoSuchRequest, Request, entries, requests
from rotator.trace.usage import moment, usage

#: Where standard output is no terminal and COLUMNS is not set.
COLUMNS = 100


def run(arguments: argparse.Namespace) -> int:
    try:
        folder = trace_folder(load(flags_of(arguments)))
    except ConfigError as error:
        return tell_problems(error)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if arguments.action == "show":
        return _show(folder, arguments)
    if arguments.action == "usage":
        return _usage(folder, arguments)
    return _list(folder, arguments)


def _nothing(folder: Path) -> str:
    return (
        f"No requests were traced in {folder}.\n"
        "Tracing is off by default: rotator serve --trace meta (or bounds, or full) switches it on."
    )


def _list(folder: Path, arguments: argparse.Namespace) -> int:
    listing = requests(folder, arguments.limit)
    if not listing.requests:
        print(_nothing(folder), file=sys.stderr if arguments.json else sys.stdout)
    elif arguments.json:
        for one in listing.requests:
            print(json.dumps(one.as_json()))
    else:
        for line in table(listing.requests, time.time(), _columns()):
            print(line)
    _tell_broken(listing)
    return 0


def _show(folder: Path, arguments: argparse.Namespace) -> int:
    if not own_files(folder):
        print(f"rotator: {_nothing(folder)}", file=sys.stderr)
        return 1
    try:
        request = entries(folder, arguments.id)
    except NoSuchRequest as error:
        print(f"rotator: {printable(str(error))} ({folder})", file=sys.stderr)
        return 1
    shown = _raw(request, arguments) if arguments.json else _timeline(request, arguments)
    _tell_broken(request)
    if not shown:
        known = ", ".join(PASSES)
        print(f"rotator: {request.request} has no pass {printable(arguments.name)} (of {known})", file=sys.stderr)
    return 0 if shown else 1


def _usage(folder: Path, arguments: argparse.Namespace) -> int:
    """One line a request, for ``rotator simulate --usage``."""
    try:
        since = moment(arguments.since, time.time()) if arguments.since is not None else 0.0
    except ValueError:
        print(f"rotator: --since: expected 7d, a date, or unix seconds, found {arguments.since!r}", file=sys.stderr)
        return 2
    listing = Listing()
    found = usage(folder, listing, since)
    for one in found:
        print(json.dumps(one.as_json()))
    _tell_broken(listing)
    if not found:
        print(f"rotator: {_nothing(folder)}", file=sys.stderr)
    return 0


def _raw(request: Request, arguments: argparse.Namespace) -> bool:
    """The lines as they stand on disk."""
    shown = False
    for line in request.lines(arguments.name):
        print(one_line(line).decode("utf-8", "backslashreplace"))
        shown = True
    return shown


def _timeline(request: Request, arguments: argparse.Namespace) -> bool:
    timeline = Timeline(_columns(), whole=arguments.all)
    shown = False
    for entry in request.entries(arguments.name):
        if not shown:
            at = entry["at"] if isinstance(entry.get("at"), int | float) else 0
            print(f"{printable(request.request)}  {when(at, 0)}\n")
        for line in timeline.lines([entry]):
            print(line)
        shown = True
    return shown


def _columns() -> int:
    return shutil.get_terminal_size((COLUMNS, 24)).columns


def _tell_broken(read: Listing | Request) -> None:
    if read.broken:
        lines = "1 line" if read.broken == 1 else f"{read.broken} lines"
        print(f"rotator: {lines} could not be read", file=sys.stderr)
