"""``rotator trace``: what was traced, from the files alone."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rotator.cli import main
from tests.cli.running import environment
from tests.cli.running import run as run_apart
from tests.clocks import ManualClock
from tests.trace.samples import HANG_SECONDS, SECRETS, raw, recorder, trace_request, writer

NEWEST = "req_1a2b3c4d00000002"


class Run:
    """The command in this process: what it printed and its exit code."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def __call__(
        self, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        with self._patch.context() as patch:
            patch.chdir(cwd)
            patch.setenv("COLUMNS", "100")
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            try:
                code = main(list(map(str, arguments)))
            except SystemExit as exit_:
                code = int(str(exit_.code))
        printed = self._capture.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three requests at three levels, the newest one whole, in the default place under ``state``."""
    place = tmp_path / "state" / "trace"
    clock = ManualClock()
    to = writer(place, clock)
    for number, level in enumerate(("meta", "bounds", "full")):
        one = recorder(to, f"req_1a2b3c4d{number:08x}", level, clock)  # type: ignore[arg-type]
        trace_request(one, clock)
        clock.advance(5)
    to.close(HANG_SECONDS)
    return place


def test_a_list(run: Run, tmp_path: Path, folder: Path) -> None:
    done = run_apart("trace", "ls", "--state", "state", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["WHEN", "ID", "STATUS", "MS", "TRIES", "LANE", "MODEL", "KEY", "NOTE"]
    assert [row.split()[2] for row in rows] == [f"req_1a2b3c4d{number:08x}" for number in range(3)]
    assert rows[0].split()[3:] == ["200", "74", "2", "raw", "demo/text", "demo#2"]
    assert max(map(len, done.stdout.splitlines())) <= 100
    few = run("trace", "ls", "--limit", "1", "--trace-dir", folder, cwd=tmp_path)
    assert [row.split()[2] for row in few.stdout.splitlines()[1:]] == [NEWEST]


def test_a_list_for_programs(run: Run, tmp_path: Path, folder: Path) -> None:
    done = run("trace", "ls", "--json", "--state", "state", cwd=tmp_path)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["request"] for one in found][-1] == NEWEST and found[-1]["status"] == 200
    assert found[-1]["upstream_model"] == "text" and found[-1]["ended"] is True


@pytest.mark.parametrize("wanted", [NEWEST, "last", "00000002", "req_1a2b3c4d00000002"])
def test_one_request(run: Run, tmp_path: Path, folder: Path, wanted: str) -> None:
    done = run("trace", "show", wanted, "--state", "state", cwd=tmp_path, env={"COLUMNS": "120"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(NEWEST) and max(map(len, lines)) <= 120
    passes = [line.split()[1] for line in lines if line[:9].strip().replace(".", "").isdigit()]
    assert passes[:4] == ["client_request", "attempt", "upstream_request", "upstream_response"] and passes[-1] == "end"
    assert any('"content": "Say hello to the world."' in line for line in lines)
    assert "authorization: Bearer [redacted]" in done.stdout and SECRETS[0] not in done.stdout
    narrow = run("trace", "show", wanted, "--state", "state", cwd=tmp_path, env={"COLUMNS": "80"})
    assert max(map(len, narrow.stdout.splitlines())) <= 80


def test_the_lines_themselves(run: Run, tmp_path: Path, folder: Path) -> None:
    done = run("trace", "show", NEWEST, "--json", "--state", "state", cwd=tmp_path)
    assert done.stdout.encode() in raw(folder) and len(done.stdout.splitlines()) == 14
    one = run("trace", "show", NEWEST, "--json", "--pass", "attempt", "--state", "state", cwd=tmp_path)
    assert [json.loads(line)["attempt"] for line in one.stdout.splitlines()] == [1, 2]


def test_one_pass(run: Run, tmp_path: Path, folder: Path) -> None:
    done = run("trace", "show", "last", "--pass", "verdict", "--state", "state", cwd=tmp_path)
    assert done.returncode == 0 and "rotate  credential  limit" in done.stdout and "attempt 1" not in done.stdout
    none = run("trace", "show", "last", "--pass", "stage", "--state", "state", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.startswith(f"rotator: {NEWEST} has no pass stage (of client_request, ")


def test_long_bodies_are_shortened(run: Run, tmp_path: Path) -> None:
    to = writer(tmp_path / "t")
    recorder(to).add("client_request", body=json.dumps(list(range(300))).encode())
    to.close(HANG_SECONDS)
    done = run("trace", "show", "last", "--trace-dir", "t", cwd=tmp_path)
    assert "... 262 more lines (--all shows them)" in done.stdout and "299" not in done.stdout
    assert "  299" in run("trace", "show", "last", "--all", "--trace-dir", "t", cwd=tmp_path).stdout


def test_nothing_was_traced(run: Run, tmp_path: Path) -> None:
    """It says where it looked and what to do."""
    done = run("trace", "ls", "--state", "state", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "state" / "trace") in done.stdout and "rotator serve --trace" in done.stdout
    for wanted in ("last", "req_1"):
        shown = run("trace", "show", wanted, "--state", "state", cwd=tmp_path)
        assert (shown.returncode, shown.stdout) == (1, "") and "rotator serve --trace" in shown.stderr
    listed = run("trace", "ls", "--json", "--state", "state", cwd=tmp_path)
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", done.stdout)
    assert not (tmp_path / "state").exists()


def test_an_unknown_request(run: Run, tmp_path: Path, folder: Path) -> None:
    done = run("trace", "show", "req_\x1b[2J", "--state", "state", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"rotator: no request req_\\x1b[2J was traced ({folder})\n"
    several = run("trace", "show", "req_1a", "--state", "state", cwd=tmp_path)
    assert several.returncode == 1 and "several requests are meant: req_1a2b3c4d0000000" in several.stderr


def test_the_folder_comes_from_the_configuration(run: Run, tmp_path: Path, folder: Path) -> None:
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    (tmp_path / "rotator.yaml").write_text("trace: {dir: elsewhere}\n")
    for arguments, env in (((), {}), (("--trace-dir", "elsewhere"), {}), ((), {"ROTATOR_TRACE_DIR": str(moved)})):
        assert NEWEST in run("trace", "ls", *arguments, cwd=tmp_path, env=env).stdout


def test_a_bad_configuration_is_told(run: Run, tmp_path: Path) -> None:
    done = run("trace", "ls", cwd=tmp_path, env={"ROTATOR_TRACE": "loud"})
    assert done.returncode == 2 and done.stderr.startswith("rotator: environment: ROTATOR_TRACE: ")


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", ""])
def test_a_limit_is_a_number(run: Run, tmp_path: Path, limit: str) -> None:
    done = run("trace", "ls", f"--limit={limit}", cwd=tmp_path)
    assert done.returncode == 2 and "expected a whole number of at least 1" in done.stderr


def test_a_command_is_needed(run: Run, tmp_path: Path) -> None:
    assert run("trace", cwd=tmp_path).returncode == 2
    assert "ls|show" in run("trace", "-h", cwd=tmp_path).stdout


def test_broken_lines_are_told(run: Run, tmp_path: Path, folder: Path) -> None:
    [path] = folder.iterdir()
    path.write_bytes(b"torn\n" + path.read_bytes() + b'{"v":1,')
    done = run("trace", "ls", "--state", "state", cwd=tmp_path)
    assert done.returncode == 0 and NEWEST in done.stdout
    assert done.stderr == "rotator: 2 lines could not be read\n"
    path.write_bytes(path.read_bytes().removeprefix(b"torn\n"))
    shown = run("trace", "show", "last", "--state", "state", cwd=tmp_path)
    assert shown.returncode == 0 and shown.stderr == "rotator: 1 line could not be read\n"


@pytest.mark.incident(26)
def test_no_client_commands_the_terminal(run: Run, tmp_path: Path) -> None:
    odd = "\x1b[2J\x9b\u202e\u2028\ud83d\r"
    to = writer(tmp_path / "t")
    one = recorder(to)
    body = json.dumps({odd: odd}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    one.add("client_request", path=odd, model=odd, headers=[("x", odd)], body=body, **{odd: odd})
    one.add("end", status=200, note=odd)
    to.close(HANG_SECONDS)
    for arguments in ("ls", "ls --json", "show last", "show last --all", "show last --json"):
        done = run("trace", *arguments.split(), "--trace-dir", "t", cwd=tmp_path)
        assert done.returncode == 0 and done.stdout.replace("\n", "").isprintable(), ascii(done.stdout)
        assert len(done.stdout.splitlines()) == done.stdout.count("\n")


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    to = writer(tmp_path / "t")
    recorder(to).add("client_request", model="\u4e2d" * 100, body='{"a":"\u4e2d"}'.encode())
    to.close(HANG_SECONDS)
    env = {"PYTHONIOENCODING": "ascii"}
    for arguments in (("ls",), ("show", "last"), ("show", "last", "--json")):
        done = run_apart("trace", *arguments, "--trace-dir", "t", cwd=tmp_path, env=env)
        assert (done.returncode, done.stderr) == (0, "") and "\\u4e2d" in done.stdout


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    to = writer(tmp_path / "t")
    recorder(to).add("client_request", body=json.dumps(list(range(50_000))).encode())
    to.close(HANG_SECONDS)
    command = [sys.executable, "-m", "rotator", "trace", "show", "last", "--all", "--trace-dir", "t"]
    reading, writing = os.pipe()
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        os.read(reading, 10)
        os.close(reading)
        assert process.wait(HANG_SECONDS) == 1 and process.stderr is not None
        assert process.stderr.read() == b""
