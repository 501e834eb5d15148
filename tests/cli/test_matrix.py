"""``rotator matrix``, and the page that holds its text."""

from pathlib import Path

from rotator.cli.matrix import losses_table
from tests.cli.running import run
from tests.upstreams import PROTOCOLS

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"


def test_it_prints_every_declared_loss(tmp_path: Path) -> None:
    done = run("matrix", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout
    assert printed == losses_table(PROTOCOLS)
    head, rule, *rows = printed.splitlines()
    assert head == "| code | to chat | to messages |" and rule == "| --- | --- | --- |"
    for name, protocol in PROTOCOLS.items():
        for code, meaning in protocol.codecs["generate"].losses.items():
            [row] = [one for one in rows if one.startswith(f"| `{code}` |")]
            assert meaning in row, (name, code)


def test_the_page_holds_what_it_prints() -> None:
    assert losses_table(PROTOCOLS) in PAGE.read_text(encoding="utf-8")


def test_a_protocol_that_cannot_be_translated_has_no_column() -> None:
    mute = type("Mute", (), {"name": "mute", "codecs": {}})()
    assert "mute" not in losses_table({**PROTOCOLS, "mute": mute})
