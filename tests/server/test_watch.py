"""What counts as a change of a watched file."""

import os
from pathlib import Path

from rotator.server.watch import POLL_SECONDS, stamp


def test_it_looks_often_enough() -> None:
    assert 0 < POLL_SECONDS < 3  # design.md 2.3: within three seconds


def test_every_change_of_a_file_shows(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    seen = [stamp([file], [])]
    file.write_text("A=1\n")
    seen.append(stamp([file], []))
    file.write_text("A=12\n")
    seen.append(stamp([file], []))
    os.utime(file, ns=(1, 1))
    seen.append(stamp([file], []))
    other = tmp_path / "other"
    other.write_text("A=12\n")
    os.utime(other, ns=(1, 1))
    other.replace(file)  # as editors and deployments do: another file of equal size and time
    seen.append(stamp([file], []))
    file.unlink()
    seen.append(stamp([file], []))
    assert len({str(sorted(one.items())) for one in seen[:-1]}) == 5
    assert seen[-1] == seen[0]
    assert stamp([file], []) == seen[-1]


def test_yaml_in_every_kind_folder_counts(tmp_path: Path) -> None:
    empty = stamp([], [tmp_path])
    assert empty == {} == stamp([], [tmp_path / "missing"])
    for number, place in enumerate(("providers/a.yaml", "providers/b.yml", "adapters/c.yaml", "protocols/d.yaml"), 1):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("name: a\n")
        assert len(stamp([], [tmp_path])) == number
    (tmp_path / "providers" / "code.py").write_text("")  # loaded at the start only
    (tmp_path / "top.yaml").write_text("")
    assert len(stamp([], [tmp_path])) == 4
