"""What is installed for the sessions, where, and what is told where it cannot be; nothing is installed here."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.agents import installs
from tests.agents.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PINNED = sorted({package for client in installs.CLIENTS.values() for package in client.packages})


@pytest.mark.parametrize("package", PINNED)
def test_each_release_is_pinned_and_told(package: str) -> None:
    """The page about clients says with which releases its lines were tried."""
    name, _, version = package.replace("==", "@").rpartition("@")
    assert name and version.count(".") >= 1
    if name != "zod":
        assert version in (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")


def test_nothing_is_installed_inside_the_project(tmp_path: Path) -> None:
    assert installs.cache_folder(str(tmp_path)) == tmp_path
    (tmp_path / "link").symlink_to(ROOT)
    for inside in (ROOT, ROOT / "tests" / "cache", tmp_path / "link" / "cache"):
        with pytest.raises(SystemExit, match="outside the project"):
            installs.cache_folder(str(inside))


def test_why_a_client_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = installs.Client("npm", (), ("nothing/*",))
    failing = installs.Client("npm", (), ("fails",))
    program = tmp_path / "failing" / "fails"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nraise SystemExit('wrong processor')\n")
    program.chmod(0o755)
    monkeypatch.setattr(installs, "CLIENTS", {"silent": silent, "failing": failing})
    monkeypatch.setattr(installs, "_npm", lambda folder, packages: None)
    with pytest.raises(installs.Unavailable, match="no program for this platform"):
        installs.binary("silent", tmp_path)
    with pytest.raises(installs.Unavailable, match="fails --version failed: wrong processor"):
        installs.binary("failing", tmp_path)
    program.write_text(f"#!{sys.executable}\nraise SystemExit('warn: old\\nnpm error code E404\\nsee the manual')\n")
    with pytest.raises(installs.Unavailable, match="failed: npm error code E404$"):
        installs.binary("failing", tmp_path)
    program.write_text(f"#!{sys.executable}\n")
    assert installs.binary("failing", tmp_path) == program


def test_a_run_of_the_tests_takes_no_sessions(pytestconfig: pytest.Config) -> None:
    sessions = [path.name for path in Path(__file__).parent.glob("sessions_*.py")]
    patterns = pytestconfig.getini("python_files")
    assert len(sessions) >= 6
    assert not [name for name in sessions for pattern in patterns if fnmatch(name, pattern)]


def test_a_wrong_word_shows_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nobody"]) == 2
    assert "claude-code" in capsys.readouterr().out.split()
