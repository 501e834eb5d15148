"""``ready`` and ``version``: how long a user waits for the first answer, and for a command that needs no server."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.processes import BenchmarkError, Command, Server, clean_environment, free_port
from benchmarks.relay import rotator_command
from benchmarks.table import Goal, render, show_milliseconds

READY_GOAL = Goal(0.5, most=True)
VERSION_GOAL = Goal(0.15, most=True)
_VERSION_TIMEOUT_SECONDS = 20.0


def run_ready(repeat: int) -> bool:
    """Print the time from exec to the first 200 of ``GET /health``."""
    with TemporaryDirectory(prefix="benchmarks-") as name:
        folder = Path(name)
        subjects: dict[str, Callable[[], float]] = {
            "bare application": lambda: _ready(_bare_app(), folder),
            "rotator serve": lambda: _ready(rotator_command(folder, "http://127.0.0.1:9/v1", free_port()), folder),
            "rotator serve --demo": lambda: _ready(_demo(folder), folder),
        }
        _report("ready", subjects, repeat, READY_GOAL)
    return True


def run_version(repeat: int) -> bool:
    """Print the wall time of ``rotator --version``."""
    with TemporaryDirectory(prefix="benchmarks-") as name:
        folder = Path(name)
        subjects: dict[str, Callable[[], float]] = {
            "python -c pass": lambda: _wall_seconds(["-c", "pass"], folder),
            "rotator --version": lambda: _wall_seconds(["-m", "rotator", "--version"], folder),
        }
        _report("version", subjects, repeat, VERSION_GOAL)
    return True


def _bare_app() -> Command:
    port = free_port()
    return Command("bare application", ("benchmarks.bare_app", "--port", str(port)), port)


def _demo(folder: Path) -> Command:
    port = free_port()
    flags = ("--port", str(port), "--demo", "--state", str(folder / "demo"))
    return Command("rotator --demo", ("rotator", "serve", *flags), port)


def _ready(command: Command, folder: Path) -> float:
    with Server(command, folder) as server:
        return server.wait_ready()


def _wall_seconds(flags: list[str], folder: Path) -> float:
    argv = [sys.executable, *flags]
    started_at = time.perf_counter()
    try:
        done = subprocess.run(
            argv, cwd=folder, env=clean_environment(folder), capture_output=True, timeout=_VERSION_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{' '.join(flags)} took more than {_VERSION_TIMEOUT_SECONDS:g} s") from None
    elapsed = time.perf_counter() - started_at
    if done.returncode:
        raise BenchmarkError(f"{' '.join(flags)} ended with code {done.returncode}: {done.stderr.decode()[-2000:]}")
    return elapsed


def _report(title: str, subjects: dict[str, Callable[[], float]], repeat: int, goal: Goal) -> None:
    """The first subject is the baseline. One uncounted round writes the .pyc files and warms the page cache."""
    for measure in subjects.values():
        measure()
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(repeat):
        for name, measure in subjects.items():
            seconds[name].append(measure())
    baseline = next(iter(subjects))
    rows = []
    for name, values in seconds.items():
        middle, spread = median(values), f"{show_milliseconds(min(values))} .. {show_milliseconds(max(values))}"
        ratio = f"{median(a / b for a, b in zip(values, seconds[baseline], strict=True)):.2f}"
        verdict = "" if name == baseline else goal.verdict(middle) + " (s)"
        rows.append([name, show_milliseconds(middle), spread, ratio, verdict])
    print(render([title, "median", "spread", "ratio", "goal"], rows))
    print(f"\n{repeat} interleaved runs")
