"""``python -m tests.agents [WORDS...] [--cache DIR] [--list]``: what it does is said in the package.

Exit code: 0 where nothing failed (skipped is not failed), 1 where something did, 2 for a wrong word.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.agents import installs

HERE = Path(__file__).parent
PREFIX = "sessions_"
OUTCOMES = ("passed", "failed", "skipped", "gaps")


class Table:
    """Counts what became of each file's sessions, and why some were skipped or are known not to work (gaps)."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.seconds: Counter[str] = Counter()
        self.reasons: dict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """pytest's hook: three reports a test, of which one or none says how it ended."""
        name = Path(report.nodeid.partition("::")[0]).stem.removeprefix(PREFIX)
        self.seconds[name] += report.duration
        gap = getattr(report, "wasxfail", "") if report.skipped else ""
        if report.when == "call" or not report.passed:
            self.counts[name]["gaps" if gap else report.outcome] += 1
        if report.skipped:
            self.reasons[name].add(f"gap: {gap}" if gap else report.longrepr[2].removeprefix("Skipped: "))

    def lines(self) -> list[str]:
        """One for each file, and its reasons below it."""
        lines = [f"{'sessions':24}{''.join(f'{outcome:>9}' for outcome in OUTCOMES)}{'seconds':>9}"]
        for name in sorted(self.counts):
            numbers = "".join(f"{self.counts[name][outcome]:>9}" for outcome in OUTCOMES)
            lines.append(f"{name.replace('_', '-'):24}{numbers}{self.seconds[name]:>9.0f}")
            lines += [f"    {' '.join(reason.split())}" for reason in sorted(self.reasons[name])]
        return lines


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.agents", description="Real clients against Rotator.")
    parser.add_argument("words", nargs="*", help="only files of sessions with such a word in their name")
    parser.add_argument("--cache", default="", help="where clients are installed")
    parser.add_argument("--list", action="store_true", help="name the files of sessions and end")
    asked = parser.parse_args(arguments)
    files = sorted(HERE.glob(f"{PREFIX}*.py"))
    names = {path: path.stem.removeprefix(PREFIX).replace("_", "-") for path in files}
    chosen = [path for path in files if not asked.words or any(word in names[path] for word in asked.words)]
    if asked.list or not chosen:
        print("\n".join(names.values()))
        return 0 if chosen else 2
    cache = installs.cache_folder(asked.cache)
    installs.ENVIRON[installs.CACHE_VARIABLE] = str(cache)
    print(f"clients are kept in {cache}", flush=True)
    table, began = Table(), time.monotonic()
    code = pytest.main(["-q", "-p", "no:cacheprovider", *map(str, chosen)], plugins=[table])
    print("\n" + "\n".join(table.lines()))
    print(f"{time.monotonic() - began:.0f} s in all")
    return int(code != pytest.ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
