"""``rotator matrix``: the support table, its rows, the losses, and the page that holds all of it."""

import re
from pathlib import Path

import pytest

from rotator.cli.matrix import losses, page, single_rows, tables
from rotator.cli.support import Area, Direction, Row, counts, read_support
from tests.cli.running import ROOT, run
from tests.upstreams import PROTOCOLS

PAGE = ROOT / "docs" / "matrix.md"
ONE = Direction(
    "left",
    "right",
    (
        Area("words", (Row("Text", whole=3, changed=1, losses=("turn.order",)), Row("a \\| **b**", nowhere="no tune"))),
        Area("tunes", (Row("Key: flat", left_out=2, refused=1, losses=("key.flat", "key.sharp")),)),
        Area("nothing", ()),
    ),
)


class Mute:
    """A protocol that cannot be translated."""

    name = "mute"
    codecs: dict[str, object] = {}


class Humming:
    """A codec's declarations, as a plug-in makes them."""

    losses = {"tune.key": "The key is left out.", "tune.pace": "The pace is the nearest one."}
    changes = frozenset({"tune.pace"})


def test_the_counts_of_an_area_are_the_sums_of_its_rows() -> None:
    assert list(tables([ONE], 100))[:7] == [
        "left clients at right upstreams",
        "",
        "  area     rows  tests  whole  changed  left out  refused  n/a",
        "  words       2      4      3        1         0        0    1",
        "  tunes       1      3      0        0         2        1    0",
        "  nothing     0      0      0        0         0        0    0",
        "  all         3      7      3        1         2        1    1",
    ]


def test_single_rows_say_what_became_of_each() -> None:
    assert list(single_rows([ONE], 60)) == [
        "left clients at right upstreams: words",
        "",
        "  Text: 3 whole, 1 changed (turn.order)",
        "  a | b: n/a, no tune",
        "",
        "left clients at right upstreams: tunes",
        "",
        "  Key: flat: 2 left out, 1 refused (key.flat, key.sharp)",
        "",
        "left clients at right upstreams: nothing",
        "",
        "",
    ]


def test_losses_are_told_by_kind_and_wrapped() -> None:
    hum = type("Hum", (), {"codecs": {"generate": Humming()}})()
    assert list(losses({"mute": Mute(), "hum": hum}, 32)) == [  # type: ignore[dict-item]
        "to hum, left out",
        "",
        "  tune.key  The key is left out.",
        "",
        "to hum, changed",
        "",
        "  tune.pace  The pace is the",
        "             nearest one.",
        "",
    ]


def test_it_prints_the_table_then_every_declared_loss(tmp_path: Path) -> None:
    done = run("matrix", cwd=tmp_path, env={"COLUMNS": "100"})
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    for one in read_support():
        rows = [row for area in one.areas for row in area.rows]
        total = ["all", *map(str, counts(rows))]
        assert total in [line.split() for line in done.stdout.splitlines()]
    words = re.sub(r"\s+", " ", done.stdout)
    for name, protocol in PROTOCOLS.items():
        assert f" to {name}, left out " in words and f" to {name}, changed " in words
        for codec in protocol.codecs.values():
            assert [code for code, meaning in codec.losses.items() if f" {code} {meaning} " not in words] == []


@pytest.mark.parametrize("columns", ["60", "100", "250"])
def test_rows_fit_the_terminal(tmp_path: Path, columns: str) -> None:
    done = run("matrix", "--rows", cwd=tmp_path, env={"COLUMNS": columns})
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= min(100, int(columns))
    told = re.sub(r"\s", "", done.stdout)  # words longer than a line are broken
    names = [row.name for one in read_support() for area in one.areas for row in area.rows]
    assert len(names) > 600
    plain = (re.sub(r"\*\*|\s", "", name).replace("\\|", "|") for name in names)
    assert [name for name in plain if f"{name}:" not in told] == []


def test_the_page_is_what_it_prints(tmp_path: Path) -> None:
    done = run("matrix", "--markdown", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PAGE.read_text(encoding="utf-8") == page(read_support(), PROTOCOLS)


def test_a_pipe_in_a_name_stays_in_its_cell() -> None:
    told = page([ONE], {}).splitlines()
    assert "| words | 2 | 4 | 3 | 1 | 0 | 0 | 1 |" in told
    assert "| Text | 3 whole, 1 changed | `turn.order` |" in told
    assert "- n/a, no tune: a \\| **b**" in told


PLUGIN = '''
"""A protocol of a user's: ours under another name, so that nothing of ours is tested about it."""
from rotator.api import hookimpl
from rotator.plugins.protocols.chat import Chat


class Mine(Chat):
    name = "{name}"


@hookimpl
def register_protocols(register):
    register(Mine())
'''


def test_a_plug_in_is_told_by_its_losses_alone(tmp_path: Path) -> None:
    (tmp_path / "plugins" / "protocols").mkdir(parents=True)
    (tmp_path / "plugins" / "protocols" / "humming.py").write_text(PLUGIN.format(name="humming"))
    done = run("matrix", "--plugins", "plugins", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "to humming, left out" in done.stdout and "to humming, changed" in done.stdout
    assert "chat clients at messages upstreams" in done.stdout and "humming clients" not in done.stdout


def test_of_a_protocol_that_a_user_replaced_nothing_was_tested(tmp_path: Path) -> None:
    (tmp_path / "plugins" / "providers").mkdir(parents=True)
    (tmp_path / "plugins" / "providers" / "mine.py").write_text(PLUGIN.format(name="chat"))
    done = run("matrix", "--plugins", "plugins", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "to chat, left out" in done.stdout and "clients at" not in done.stdout
