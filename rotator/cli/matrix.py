"""``rotator matrix``: what becomes of each concept when it is translated, counted, and what each loss means.

The counts are those of the tests (``rotator.cli.support``), the losses what the codecs in use declare. docs/matrix.md
is what ``--markdown`` prints.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rotator.cli.common import flags_of, set_up_logging, tell_problems
from rotator.cli.support import Area, Direction, Row, counts, support_of
from rotator.config import load
from rotator.contracts import ProtocolAdapter
from rotator.errors import ConfigError, PluginError
from rotator.plugins import load as load_plugins

HEAD: Final = ("area", "rows", "tests", "whole", "changed", "left out", "refused", "n/a")
#: What the columns mean, for both forms.
LEGEND: Final = {
    "rows": "concepts of the protocols, among them those that neither side has (n/a)",
    "tests": "examples that are run at each release",
    "whole": "nothing to report",
    "changed": "told in another form or place, repaired or approximated, and reported",
    "left out": "something is not told on, and reported",
    "refused": "an error that names the field before the provider is asked; of an answer, the client's own error",
}
#: The widest that text is wrapped to, and the width where nobody says one.
WIDTH: Final = 100
_KINDS: Final = ("left out", "changed")
_GENERATED: Final = "<!-- Generated: python -m tests.translation.support --write -->"


def run(arguments: argparse.Namespace) -> int:
    set_up_logging(level=100)
    try:
        loaded = load_plugins(load(flags_of(arguments)).plugins)
    except (ConfigError, PluginError) as error:
        return tell_problems(error)
    support, protocols = support_of(loaded), loaded.registry.protocols
    if arguments.markdown:
        print(page(support, protocols), end="")
        return 0
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    lines = single_rows(support, width) if arguments.rows else (*tables(support, width), *losses(protocols, width))
    print("\n".join(lines))
    return 0


# ------------------------------------------------------------ for a terminal


def tables(support: Sequence[Direction], width: int) -> Iterator[str]:
    """The support table of each direction, and what its columns mean."""
    for one in support:
        yield _title(one)
        yield ""
        rows = [HEAD, *_table(one)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        for row in rows:
            numbers = (cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))
            yield "  ".join(("", row[0].ljust(widths[0]), *numbers))
        yield ""
    if support:
        yield from _entries(LEGEND, width)
        yield ""


def single_rows(support: Sequence[Direction], width: int) -> Iterator[str]:
    """Every row with what became of it."""
    for one in support:
        for area in one.areas:
            yield f"{_title(one)}: {area.name}"
            yield ""
            for row in area.rows:
                mark, told = _mark(row), ", ".join(row.losses)
                line = f"{_plain(row.name)}: {mark}{f' ({told})' if told else ''}"
                yield from _wrapped(line, width, "  ", "      ")
            yield ""


def losses(protocols: Mapping[str, ProtocolAdapter], width: int) -> Iterator[str]:
    """What each protocol cannot be told, and what its answers cannot tell on."""
    for name, protocol in protocols.items():
        for kind, told in _losses(protocol).items():
            if told:
                yield f"to {name}, {kind}"
                yield ""
                yield from _entries(told, width)
                yield ""


def _entries(told: Mapping[str, str], width: int) -> Iterator[str]:
    """Names and what they mean, in two columns."""
    column = max(map(len, told)) + 2
    for name, meaning in told.items():
        head = f"  {name.ljust(column)}"
        yield from _wrapped(meaning, width, head, " " * len(head))


def _wrapped(text: str, width: int, first: str, rest: str) -> Sequence[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _plain(name: str) -> str:
    """The name of a row without the marks of Markdown."""
    return name.replace("**", "").replace("\\|", "|")


# ------------------------------------------------------------ as a page


def page(support: Sequence[Direction], protocols: Mapping[str, ProtocolAdapter]) -> str:
    """All of it in Markdown."""
    lines = ["# What becomes of what, when it is translated", "", _GENERATED, "", *_INTRODUCTION, ""]
    for one in support:
        lines += [f"## {_title(one)}", "", *_markdown([HEAD, *_table(one)]), ""]
    lines += [*(f"- *{name}*: {meaning}" for name, meaning in LEGEND.items()), ""]
    for one in support:
        for area in one.areas:
            lines += [f"### {_title(one)}: {area.name}", "", *_rows_of(area)]
    for name, protocol in protocols.items():
        for kind, told in _losses(protocol).items():
            rows = [("code", "what it means"), *((f"`{code}`", meaning) for code, meaning in told.items())]
            lines += [f"## To {name}: {kind}", "", *_markdown(rows), ""] if told else []
    return "\n".join(lines).rstrip("\n") + "\n"


_INTRODUCTION: Final = (
    "`rotator matrix` prints this for the protocols in use, `rotator matrix --rows` the single rows. The counts are of",
    "tests: each is a request, an answer or a stream of one protocol, with what the other one must get and what must",
    "be reported of it. Of instructions, content, tools, tool choice and schemas nothing is left out: what cannot be",
    "converted is refused. [translation.md](translation.md) says how losses are reported.",
)


def _rows_of(area: Area) -> Iterator[str]:
    """A table of the rows that have tests; the others by what keeps them out."""
    tested = [row for row in area.rows if not row.nowhere]
    if tested:
        cells = ((row.name, _mark(row), ", ".join(f"`{code}`" for code in row.losses)) for row in tested)
        yield from _markdown([("row", "tests", "reported"), *cells])
        yield ""
    reasons: dict[str, list[str]] = {}
    for row in area.rows:
        if row.nowhere:
            reasons.setdefault(row.nowhere, []).append(row.name)
    for reason, names in reasons.items():
        yield f"- n/a, {reason}: {'; '.join(names)}"
    if reasons:
        yield ""


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield f"|{' --- |' * len(row)}"


# ------------------------------------------------------------ for both


def _title(one: Direction) -> str:
    return f"{one.client} clients at {one.upstream} upstreams"


def _table(one: Direction) -> Iterator[tuple[str, ...]]:
    """A line for each area and one for all."""
    everything = Area("all", tuple(row for area in one.areas for row in area.rows))
    for area in (*one.areas, everything):
        yield area.name, *map(str, counts(area.rows))


def _mark(row: Row) -> str:
    """How many of its tests came out how."""
    if row.nowhere:
        return f"n/a, {row.nowhere}"
    told = {"whole": row.whole, "changed": row.changed, "left out": row.left_out, "refused": row.refused}
    return ", ".join(f"{count} {word}" for word, count in told.items() if count)


def _losses(protocol: ProtocolAdapter) -> dict[str, dict[str, str]]:
    """Kind -> the codes of it that any of the protocol's codecs declares, with what they mean."""
    found: dict[str, tuple[str, str]] = {}
    for codec in protocol.codecs.values():
        for code, meaning in codec.losses.items():
            found[code] = (_KINDS[code in codec.changes], meaning)
    return {
        kind: {code: meaning for code, (own, meaning) in sorted(found.items()) if own == kind} for kind in _KINDS
    }
