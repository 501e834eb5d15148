"""Servers under test as processes of their own: start, wait until ready, read their CPU time, stop.

Linux only: CPU time and memory come from /proc.
"""

import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_SECONDS = 20.0
_STOP_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.002
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """The measurement cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the two sides run; the same set twice where there is only one core."""

    server: set[int]
    harness: set[int]

    @classmethod
    def split(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        return cls({allowed[0]}, {allowed[-1]})


@dataclass(frozen=True, slots=True)
class Command:
    """A server by name; ``module_and_flags`` follow ``python -m``, its port included."""

    name: str
    module_and_flags: tuple[str, ...]
    port: int


def clean_environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's environment: keys and settings in it must not change what is measured."""
    return {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server process; as a context manager it is gone at the end, whatever happens.

    Standard output is thrown away, so one log line per request costs the write and no more.
    """

    def __init__(self, command: Command, folder: Path, cores: Cores | None = None) -> None:
        self.name = command.name
        self.port = command.port
        self._argv = [sys.executable, "-m", *command.module_and_flags]
        self._folder = folder
        self._cores = cores

    def __enter__(self) -> "Server":
        if self._cores is not None:
            os.sched_setaffinity(0, self._cores.server)  # the child inherits it, threads included
        self._complaints = TemporaryFile()
        self.started_at = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self._folder,
                env=clean_environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
            )
        finally:
            if self._cores is not None:
                os.sched_setaffinity(0, self._cores.harness)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._process.terminate()
        else:
            self._process.kill()  # it would wait for streams that nobody goes on with
        try:
            self._process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._complaints.close()

    def wait_ready(self) -> float:
        """Seconds from exec to the first 200 of ``GET /health``, asked every 2 ms on a new connection."""
        while time.perf_counter() - self.started_at < READY_TIMEOUT_SECONDS:
            if self._healthy():
                return time.perf_counter() - self.started_at
            if self._process.poll() is not None:
                raise BenchmarkError(f"{self.name} ended with code {self._process.returncode}: {self.complaints()}")
            time.sleep(_POLL_SECONDS)
        raise BenchmarkError(f"{self.name} was not ready in {READY_TIMEOUT_SECONDS:.0f} s: {self.complaints()}")

    def complaints(self) -> str:
        """The end of what it wrote to standard error."""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")[-2000:].strip() or "no word on standard error"

    @property
    def pid(self) -> int:
        return self._process.pid

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def trace_mb(self) -> float:
        """What it wrote into the folder ``trace`` of its own."""
        return sum(path.stat().st_size for path in (self._folder / "trace").rglob("*")) / 1e6

    def _healthy(self) -> bool:
        request = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: close\r\n\r\n" % self.port
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(request)
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, its living children and those it has waited for (10 ms steps)."""
    return _cpu_ticks(pid) / _TICKS_PER_SECOND


def peak_rss_mib(pid: int) -> float:
    """The most memory that the process ever held; ``VmHWM`` of proc(5), in KiB there."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def queued_seconds(pid: int) -> float:
    """How long its main thread was ready to run while others had the core (0 where the kernel does not tell)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _cpu_ticks(pid: int) -> int:
    """proc(5): of the fields after the name in parentheses, 11 to 14 are utime, stime, cutime and cstime."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) + sum(_cpu_ticks(int(child)) for child in children)
