"""Where the lines go, and what happens when the disk does not take them (faults.md 1, "disk full"): real faults."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rotator.config import Flags, load
from rotator.trace.files import FILES, LinesLost, TraceFiles, own_files, trace_folder
from tests.cli.running import ROOT, environment
from tests.clocks import ManualClock

MIB = 1024 * 1024


def files(folder: Path, file_bytes: int = MIB, total_bytes: int = 100 * MIB) -> TraceFiles:
    return TraceFiles(folder, file_bytes, total_bytes, ManualClock().time)


def line(number: int, size: int = 0) -> bytes:
    text = json.dumps({"n": number, "x": ""}).encode()
    return text[:-2] + b"x" * max(0, size - len(text) - 1) + b'"}\n'


def numbers(folder: Path) -> list[int]:
    """Of all lines that can be read, in the order of the files' names."""
    found = []
    for path in sorted(folder.glob("trace-*"), key=lambda path: int(path.stem.rpartition("-")[2])):
        for text in path.read_bytes().split(b"\n"):
            try:
                found.append(json.loads(text)["n"])
            except ValueError:
                assert text == b"" or b"torn" in text or not text.endswith(b"}")
    return found


def names(folder: Path) -> list[str]:
    return [file.name for file in own_files(folder)]


def test_the_folder_is_the_configured_one(tmp_path: Path) -> None:
    settings = load(Flags(state="s", trace_dir="t"), environ={}, cwd=tmp_path)
    assert trace_folder(settings) == tmp_path / "t"
    assert trace_folder(load(Flags(state="s"), environ={}, cwd=tmp_path)) == tmp_path / "s" / "trace"
    by_name = load(Flags(), environ={"ROTATOR_TRACE_DIR": "e", "HOME": str(tmp_path)}, cwd=tmp_path)
    assert trace_folder(by_name) == tmp_path / "e"


def test_nothing_is_touched_before_the_first_line(tmp_path: Path) -> None:
    to = files(tmp_path / "a" / "b")
    to.append([])
    to.close()
    assert list(tmp_path.iterdir()) == []


def test_names_and_modes(tmp_path: Path) -> None:
    """Only who runs the server reads what its clients said."""
    folder = tmp_path / "a" / "trace"
    to = files(folder)
    to.append([line(1), line(2)])
    [path] = folder.iterdir()
    assert path.name == f"trace-20270115T080000-{os.getpid()}-1.jsonl"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == line(1) + line(2)
    assert not os.get_inheritable(open_descriptor(path))
    to.close()
    to.close()
    to.append([line(3)])
    assert len(names(folder)) == 2


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    """Two writers of one process, a number that came again after a restart, somebody's link: none is written to."""
    target = tmp_path / "target"
    target.write_text("mine")
    taken = tmp_path / f"trace-20270115T080000-{os.getpid()}-1.jsonl"
    taken.symlink_to(target)
    (tmp_path / f"trace-20270115T080000-{os.getpid()}-2.jsonl").write_text("other\n")
    to = files(tmp_path)
    to.append([line(1)])
    assert target.read_text() == "mine" and (tmp_path / f"trace-20270115T080000-{os.getpid()}-3.jsonl").exists()


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    to = files(tmp_path, file_bytes=1000)
    to.append([line(number, 300) for number in range(8)])
    assert numbers(tmp_path) == list(range(8)) and [file.size for file in own_files(tmp_path)] == [900, 900, 600]
    to.append([line(8, 5000)])
    to.append([line(9)])
    assert sorted(file.size for file in own_files(tmp_path)) == sorted([900, 900, 600, 5000, len(line(9))])
    assert numbers(tmp_path) == list(range(10))


def test_one_write_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: sizes.append(len(data)) or write(fd, data))
    files(tmp_path).append([line(number, 100) for number in range(50)])
    assert sizes == [5000]


def touch(folder: Path, name: str, size: int, written_at: float) -> Path:
    path = folder / name
    path.write_bytes(b"x" * size)
    os.utime(path, (written_at, written_at))
    return path


def test_the_oldest_files_are_removed(tmp_path: Path) -> None:
    """Those of ours only, when a new one is begun, the ones that were written longest ago first."""
    olds = [touch(tmp_path, f"trace-20260101T00000{9 - n}-1-1.jsonl", 1000, 1_700_000_000 + n) for n in range(6)]
    foreign = [
        touch(tmp_path, name, 100_000, 1_600_000_000)
        for name in ("trace.jsonl", "trace-20260101T000000-1-1.jsonl.gz", "notes.txt", "trace-x-1-1.jsonl")
    ]
    (tmp_path / "trace-20260101T000000-2-2.jsonl").mkdir()
    link = tmp_path / "trace-20260101T000000-3-3.jsonl"
    link.symlink_to(foreign[0])
    to = files(tmp_path, file_bytes=1000, total_bytes=5000)
    to.append([line(1, 900)])
    assert [path.exists() for path in olds] == [False, False, True, True, True, True]
    to.append([line(2, 900)])
    assert [path.exists() for path in olds] == [False, False, False, True, True, True]
    for number in range(3, 20):
        to.append([line(number, 900)])
        assert sum(file.size for file in own_files(tmp_path)) <= 5000
    assert numbers_left(tmp_path) == list(range(15, 20))
    assert all(path.exists() for path in foreign) and link.is_symlink()


def numbers_left(folder: Path) -> list[int]:
    ours = folder.glob(f"trace-*-{os.getpid()}-*.jsonl")
    return sorted(json.loads(text)["n"] for path in ours for text in path.read_bytes().splitlines())


def test_a_small_total_leaves_the_newest(tmp_path: Path) -> None:
    """Files are at most half of all, so that there is something left when one is full."""
    to = files(tmp_path, file_bytes=64 * MIB, total_bytes=4000)
    for number in range(30):
        to.append([line(number, 400)])
        assert sum(file.size for file in own_files(tmp_path)) <= 4000
    kept = numbers(tmp_path)
    assert kept[-1] == 29 and len(kept) >= 5 and kept == list(range(kept[0], 30))


def test_so_many_files_and_no_more(tmp_path: Path) -> None:
    for number in range(FILES + 5):
        touch(tmp_path, f"trace-20260101T000000-1-{number}.jsonl", 1, 1_700_000_000 + number)
    files(tmp_path).append([line(1)])
    assert len(own_files(tmp_path)) == FILES
    assert not (tmp_path / "trace-20260101T000000-1-5.jsonl").exists()
    assert (tmp_path / "trace-20260101T000000-1-6.jsonl").exists()


# Disks that fail.


def lost(to: TraceFiles, lines: list[bytes]) -> int:
    with pytest.raises(LinesLost) as caught:
        to.append(lines)
    assert caught.value.errno and caught.value.strerror
    return caught.value.lost


def test_a_folder_that_was_removed_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    to = files(folder)
    to.append([line(1)])
    shutil.rmtree(folder)
    to.append([line(2)])
    assert numbers(folder) == [2] and stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_that_was_removed_is_begun_again(tmp_path: Path) -> None:
    to = files(tmp_path)
    to.append([line(1)])
    own_files(tmp_path)[0].path.unlink()
    to.append([line(2)])
    assert numbers(tmp_path) == [2]


def test_a_folder_that_became_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    to = files(folder)
    to.append([line(1)])
    shutil.rmtree(folder)
    folder.write_text("mine")
    assert lost(to, [line(2), line(3)]) == 2 and folder.read_text() == "mine"
    folder.unlink()
    to.append([line(4)])
    assert numbers(folder) == [4]


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert lost(files(tmp_path / "file" / "trace"), [line(1)]) == 1


LIMITED = """
import json, resource, sys
from pathlib import Path
from rotator.trace.files import LinesLost, TraceFiles
folder = Path(sys.argv[1])
to = TraceFiles(folder, 1 << 20, 1 << 30, lambda: 1_800_000_000.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
lost = 0
def put(*numbers):
    global lost
    try:
        to.append([json.dumps({"n": n, "x": "torn" * 60}).encode() + b"\\n" for n in numbers])
    except LinesLost as error:
        lost += error.lost
        print(error.lost, error.strerror)
put(*range(6)); put(6, 7); put(*range(10, 16))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
put(20); put(21); put(22)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
put(30)
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: short writes, then EFBIG. Whole lines stay, a torn one has a line of its own, and it goes on."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["3 File too large", "5 File too large", *["1 File too large"] * 3], done.stderr
    assert numbers(tmp_path) == [0, 1, 2, 6, 7, 10, 30]
    sizes = [file.size for file in own_files(tmp_path)]
    assert 0 not in sizes and max(sizes) <= 1000


def open_descriptor(path: Path) -> int:
    """Our end of an open file, asked of the kernel."""
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}") == str(path):
            return int(name)
    raise AssertionError(f"{path} is not open")


def test_a_full_disk(tmp_path: Path) -> None:
    """ENOSPC from the kernel's own full device; the file goes on where it was when there is room."""
    to = files(tmp_path)
    to.append([line(1)])
    [before] = own_files(tmp_path)
    with open("/dev/full", "wb") as full:
        for _ in range(3):
            os.dup2(full.fileno(), open_descriptor(before.path))
            assert lost(to, [line(2), line(3)]) == 2
            to.append([line(4)])
    assert numbers(tmp_path) == [1, 4, 4, 4] and names(tmp_path) == [before.name]


def test_a_broken_descriptor_is_replaced(tmp_path: Path) -> None:
    """Any trouble but a full disk may be the file's own: the next line has another one."""
    to = files(tmp_path)
    to.append([line(1)])
    [before] = own_files(tmp_path)
    reading = os.open(before.path, os.O_RDONLY)
    os.dup2(reading, open_descriptor(before.path))
    os.close(reading)
    assert lost(to, [line(2)]) == 1
    to.append([line(3)])
    assert numbers(tmp_path) == [1, 3] and len(names(tmp_path)) == 2


@contextmanager
def powerless(folder: Path) -> Iterator[None]:
    """Without the right to write into a folder, also where the tests run as root."""
    folder.chmod(0o500)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    folder.mkdir()
    to = files(folder)
    with powerless(folder):
        assert lost(to, [line(1)]) == 1
    to.append([line(2)])
    assert numbers(folder) == [2]


def test_a_file_that_may_not_be_opened_again(tmp_path: Path) -> None:
    to = files(tmp_path)
    to.append([line(1)])
    path = own_files(tmp_path)[0].path
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), open_descriptor(path))
    assert lost(to, [line(2)]) == 1
    path.unlink()
    path.mkdir()
    to.append([line(3)])
    path.rmdir()
    assert numbers(tmp_path) == [3]


def test_files_that_cannot_be_listed_are_none(tmp_path: Path) -> None:
    assert own_files(tmp_path / "missing") == []
    (tmp_path / "file").write_text("")
    assert own_files(tmp_path / "file") == []
