"""The thread that writes: bounded, counted, never in the way (faults.md 1, "disk full"; 2 rows 25, 26)."""

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.neutral.redact import Redactor
from rotator.trace.entry import Entry
from rotator.trace.files import own_files
from rotator.trace.writer import QUEUE_BYTES, QUEUE_ENTRIES, TraceWriter
from tests.asking import until
from tests.cli.running import ROOT, environment
from tests.clocks import ManualClock
from tests.trace.samples import HANG_SECONDS, REDACTOR, SECRETS, lines, raw, recorder, writer
from tests.trace.test_redaction import HELD

THREAD = "trace"


def threads() -> int:
    return sum(thread.name == THREAD and thread.is_alive() for thread in threading.enumerate())


def entry(number: int = 0, body: bytes | None = None, **facts: Any) -> Entry:
    return Entry("req_1", number, 0.0, 0.0, "end", 0, facts, (), body, len(body or b""), REDACTOR)


def test_nothing_happens_before_the_first_entry(tmp_path: Path) -> None:
    before = threads()
    to = writer(tmp_path / "trace")
    assert to.flush(0) and threads() == before
    to.close()
    to.close()
    assert list(tmp_path.iterdir()) == [] and (to.written, to.dropped) == (0, 0)


def test_entries_are_on_disk_after_a_flush(tmp_path: Path) -> None:
    before = threads()
    to = writer(tmp_path)
    for number in range(600):
        to.put(entry(number))
    assert to.flush(HANG_SECONDS)
    assert [one["seq"] for one in lines(tmp_path)] == list(range(600)) and to.written == 600
    assert threads() == before + 1
    to.put(entry(600))
    to.close(HANG_SECONDS)
    assert len(lines(tmp_path)) == 601 and threads() == before and to.dropped == 0


async def test_entries_are_written_without_a_flush(tmp_path: Path) -> None:
    to = writer(tmp_path)
    to.put(entry())
    await until(lambda: to.written)
    assert len(lines(tmp_path)) == 1
    to.close(HANG_SECONDS)


def test_entries_after_the_end_are_counted(tmp_path: Path) -> None:
    to = writer(tmp_path)
    to.put(entry())
    to.close(HANG_SECONDS)
    to.put(entry())
    assert (to.written, to.dropped) == (1, 1) and to.flush(HANG_SECONDS)
    to.close()
    assert to.dropped == 1


class Stuck:
    """A writer whose disk hangs: its file is a pipe that nobody reads."""

    def __init__(self, folder: Path) -> None:
        self.writer = writer(folder, body_bytes=64 * 1024 * 1024)
        self.writer.put(entry())
        assert self.writer.flush(HANG_SECONDS)
        [path] = [file.path for file in own_files(folder)]
        self.reading, writing = os.pipe()
        for name in os.listdir("/proc/self/fd"):
            if os.path.lexists(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}") == str(path):
                os.dup2(writing, int(name))
        os.close(writing)
        self.writer.put(entry(1, b"x" * 300_000))
        os.read(self.reading, 1)  # it has begun

    def release(self) -> None:
        """Read to the end, so that no thread stays behind."""
        os.set_blocking(self.reading, True)
        while os.read(self.reading, 1 << 20):
            pass
        os.close(self.reading)


def test_what_waits_is_bounded_in_number(tmp_path: Path) -> None:
    stuck = Stuck(tmp_path)
    for number in range(QUEUE_ENTRIES + 10):
        stuck.writer.put(entry(number))
    assert stuck.writer.dropped == 11  # the one that is being written waits, too
    assert not stuck.writer.flush(0.01)
    stuck.writer.close(0.01)
    stuck.writer.close(0.01)
    assert stuck.writer.dropped == QUEUE_ENTRIES + 11 and stuck.writer.written == 1
    stuck.release()


def test_what_waits_is_bounded_in_bytes(tmp_path: Path) -> None:
    """Bodies, headers and texts all count."""
    stuck = Stuck(tmp_path)
    quarter = QUEUE_BYTES // 4
    large = [
        entry(1, b"x" * quarter),
        entry(2, text="x" * quarter),
        entry(3)._replace(headers=(("a", "x" * quarter),)),
        entry(4, b"x" * (quarter - 400_000)),
    ]
    for one in large:
        stuck.writer.put(one)
    assert stuck.writer.dropped == 0
    stuck.writer.put(entry(5, b"x" * 200_000))
    stuck.writer.put(entry(6, b"x" * 50_000))
    assert stuck.writer.dropped == 1
    stuck.writer.close(0.01)
    stuck.release()


def test_a_disk_that_hangs_holds_up_no_exit(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.trace.test_writer import Stuck, entry\n"
        "stuck = Stuck(Path(sys.argv[1]))\nfor n in range(5): stuck.writer.put(entry(n))\n"
        "stuck.writer.close()\nprint(stuck.writer.dropped)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n", "")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "rotator.trace.writer"]


def test_a_disk_that_fails_is_told_once_a_minute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Entries are dropped and counted; it goes on by itself when the disk does."""
    clock = ManualClock()
    folder = tmp_path / "trace"
    folder.write_text("in the way")
    to = writer(folder, clock)

    def put(count: int) -> None:
        for number in range(count):
            to.put(entry(number))
        assert to.flush(HANG_SECONDS)

    with caplog.at_level(logging.WARNING, "rotator"):
        put(3)
        put(2)
        clock.advance(59)
        put(2)
        assert len(warnings(caplog)) == 1
        clock.advance(1)
        put(1)
        folder.unlink()
        clock.advance(60)
        put(4)
        clock.wall -= 3600
        shutil.rmtree(folder)
        folder.write_text("again")
        put(5)
    assert warnings(caplog) == [
        f"{count} trace entries could not be written ({folder}: File exists)" for count in (3, 5, 5)
    ]
    assert (to.written, to.dropped) == (4, 13)
    folder.unlink()
    put(1)
    to.close(HANG_SECONDS)
    assert [one["seq"] for one in lines(folder)] == [0] and to.dropped == 13


def test_entries_that_came_too_fast_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    to = writer(tmp_path)
    with caplog.at_level(logging.WARNING, "rotator"):
        to.put(entry(0, text="x" * (QUEUE_BYTES + 1)))
        to.put(entry(1))
        to.close(HANG_SECONDS)
    assert warnings(caplog) == ["1 trace entries could not be written (they came faster than they could be written)"]


def test_an_entry_that_cannot_be_written_takes_no_other_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    to = writer(tmp_path)
    with caplog.at_level(logging.CRITICAL):
        to.put(entry(0))
        to.put(entry(1)._replace(at="noon"))  # type: ignore[arg-type]
        to.put(entry(2))
        to.close(HANG_SECONDS)
    assert [one["seq"] for one in lines(tmp_path)] == [0, 2] and (to.written, to.dropped) == (2, 1)


@pytest.mark.incident(25)
def test_several_writers_share_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.trace.samples import writer\n"
        "from tests.trace.test_writer import entry\n"
        "to = writer(Path(sys.argv[1]), file_bytes=70_000)\n"
        "for n in range(300): to.put(entry(n, b'x' * 1000, process=sys.argv[2]))\n"
        "to.close(60)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path, str(one)], cwd=ROOT, env=environment())
        for one in range(3)
    ]
    assert [one.wait(HANG_SECONDS * 3) for one in running] == [0, 0, 0]
    found = lines(tmp_path)
    assert sorted((one["process"], one["seq"]) for one in found) == [(str(p), n) for p in range(3) for n in range(300)]


async def test_the_loop_goes_on_while_much_is_written(tmp_path: Path) -> None:
    """Entries that take seconds to redact: the loop is asked all the while and answers."""
    to = writer(tmp_path)
    hostile = b'"password":"' * 20_000
    for number in range(8):
        to.put(entry(number, hostile))
    turns = 0
    while not to.written:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    to.close(HANG_SECONDS * 3)


def test_generations_redact_with_their_own_secrets(tmp_path: Path) -> None:
    to = writer(tmp_path)
    for redactor in (REDACTOR, Redactor([]), REDACTOR):
        to.put(entry(0, note=SECRETS[1])._replace(redactor=redactor))
    to.close(HANG_SECONDS)
    assert [one["note"] for one in lines(tmp_path)] == ["[redacted]", SECRETS[1], "[redacted]"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ADDS = st.lists(
    st.fixed_dictionaries(
        {"facts": st.dictionaries(st.text(max_size=8), JSON, max_size=3), "body": st.none() | st.binary(max_size=60)}
    ),
    max_size=8,
)


@settings(max_examples=40)
@given(adds=ADDS)
def test_a_file_is_as_many_lines_as_entries(
    adds: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("traces")
    to: TraceWriter = writer(folder)
    one = recorder(to)
    for number, add in enumerate(adds):
        to.put(entry(number, add["body"])._replace(facts=add["facts"]))
        one.add("end", body=add["body"], note=f"{HELD}{SECRETS[0]}", **{f"x{key}": 1 for key in add["facts"]})
    to.close(HANG_SECONDS)
    assert (to.written, to.dropped) == (2 * len(adds), 0)
    text = raw(folder)
    assert len(text.splitlines()) == 2 * len(adds) and SECRETS[0].encode() not in text
    assert all(json.loads(line)["v"] == 1 for line in text.splitlines())
