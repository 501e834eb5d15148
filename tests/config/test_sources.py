"""The files, as they are."""

import os
from pathlib import Path

import pytest

from rotator.config.sources import read_document, read_env_file
from rotator.errors import ConfigError


def env_file(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "some.env"
    path.write_text(text, encoding="utf-8")
    return dict(read_env_file(path, "some.env").values)


def test_an_env_file(tmp_path: Path) -> None:
    text = "# comment\nA=1\nexport B='two words'\nC=\"x\\ny\" # more\n\nD=${A}$A\nE=\nF\nG = spaced \nH=a#b\r\nI=last"
    assert env_file(tmp_path, text) == {
        "A": "1", "B": "two words", "C": "x\ny", "D": "${A}$A", "E": "", "G": "spaced", "H": "a#b", "I": "last",
    }


def test_the_environment_does_not_leak_into_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "seen")
    assert env_file(tmp_path, 'A="${PLANTED}"\nB=${PLANTED:-x}\n') == {"A": "${PLANTED}", "B": "${PLANTED:-x}"}
    assert "A" not in os.environ


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert env_file(tmp_path, "\ufeffA=1\n") == {"A": "1"}


def test_repeated_names(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text("A=1\nB=2\nA=3\n")
    held = read_env_file(path, "e")
    assert (held.values, held.repeated) == ({"A": "3", "B": "2"}, ("A",))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A=1\nFOO BAR\n", ["e: line 2: expected NAME=value"]),
        ("\n\nFOO BAR\n\n\n= 3\n", ["e: line 3: expected NAME=value", "e: line 6: expected NAME=value"]),
        ("A='planted\nB=1", ["e: line 1: expected NAME=value"]),
    ],
)
def test_lines_that_are_none(tmp_path: Path, text: str, lines: list[str]) -> None:
    (tmp_path / "e").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_env_file(tmp_path / "e", "e")
    assert str(caught.value).splitlines() == lines


@pytest.mark.parametrize("read", [read_env_file, read_document])
def test_files_that_cannot_be_read(tmp_path: Path, read: object) -> None:
    assert callable(read)
    (tmp_path / "bytes").write_bytes(b"A=\xff\xfe\n")
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("bytes", "is no UTF-8 text"), ("none", "no such file"), ("folder", "cannot be read (Is a directory)")
    ):
        with pytest.raises(ConfigError) as caught:
            read(tmp_path / name, name)
        assert str(caught.value) == f"{name}: {reason}"


def document(tmp_path: Path, text: str) -> object:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    held = read_document(path, "c.yaml")
    assert held.folder == tmp_path
    return held.data


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1", {"a": 1}),
        ('{"a": {"b": [1, 1e3, "\\ud83d\\ude00"]}}', {"a": {"b": [1, 1000.0, "\U0001f600"]}}),
        ('\n{\n\t"a":\t1\n}\n', {"a": 1}),
        ("{a: 1, b: off}", {"a": 1, "b": "off"}),
        ("\ufeffa: 1", {"a": 1}),
        ("", {}),
    ],
)
def test_documents(tmp_path: Path, text: str, data: object) -> None:
    assert document(tmp_path, text) == data


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"a": 1, "a": 2, "b": {"c": 1, "c": 1}}', ["c.yaml: c: stands there twice", "c.yaml: a: stands there twice"]),
        ('{"a": 1,\n "b" 2}', ["c.yaml: line 2: expected ',' or '}', but got '<scalar>'"]),
        ("[1]", ["c.yaml: top level: expected a mapping, found a list"]),
        ("7", ["c.yaml: top level: expected a mapping, found a single value"]),
    ],
)
def test_documents_that_are_none(tmp_path: Path, text: str, lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        document(tmp_path, text)
    assert str(caught.value).splitlines() == lines
