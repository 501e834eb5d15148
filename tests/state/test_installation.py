"""The installation's secret: made once, kept to its owner, and never a reason to stop."""

import logging
import stat
from pathlib import Path

import pytest

from rotator.state import installation
from rotator.state.installation import installation_secret


def test_it_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    made = installation_secret(folder)
    assert len(made) == 64 and made.isalnum()
    assert installation_secret(folder) == made
    (path,) = folder.iterdir()
    assert path.name == "secret.key" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert installation_secret(tmp_path / "elsewhere") != made


def test_of_two_that_begin_together_the_first_ones_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = installation_secret(tmp_path)
    assert installation._made(tmp_path / installation.FILE) == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_secret_of_ones_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"my own sixteen b\n")
    assert installation_secret(tmp_path) == b"my own sixteen b"


@pytest.mark.parametrize("held", [b"\n", b"fifteen bytes .\n"])
def test_a_file_with_too_little_in_it_is_told_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, held: bytes
) -> None:
    (tmp_path / "secret.key").write_bytes(held)
    with caplog.at_level(logging.WARNING):
        first = installation_secret(tmp_path)
    assert len(first) >= 32 and "secret.key: is too short" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_folder_that_cannot_be_is_told_once_and_the_secret_is_this_processs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        first = installation_secret(tmp_path / "file")
    assert len(first) == 32 and first != installation_secret(tmp_path / "file")
    assert "sealed reasoning state ends with this process" in caplog.text
