"""The trace's folder: whose files are ours, where the next line goes, which files are too many.

A disk that fails raises OSError and is tried again with the next lines; what was written of a line is never continued.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rotator.config import Settings
from rotator.config.schema import Trace

_NAME: Final = re.compile(r"trace-[0-9]{8}T[0-9]{6}-[0-9]+-[0-9]+\.jsonl")
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: So many files at most: a server that is started again and again leaves small ones.
FILES: Final = 1000


def trace_folder(settings: Settings) -> Path:
    """Where traces are: the configured folder, else ``trace`` under the folder for state."""
    return settings.get(Trace).dir or settings.state_dir / "trace"


class TraceFile(NamedTuple):
    """A file of ours. ``written_at`` is in unix nanoseconds; sorting puts the one that was written last at the end."""

    written_at: int
    name: str
    path: Path
    size: int


def own_files(folder: Path) -> list[TraceFile]:
    """The trace files in a folder, the one that was written last at the end; nothing else in there is ours."""
    try:
        with os.scandir(folder) as entries:
            found = [_own_file(entry) for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return []
    return sorted(file for file in found if file is not None)


def _own_file(entry: os.DirEntry[str]) -> TraceFile | None:
    """A regular file; no link, and not gone meanwhile."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return TraceFile(found.st_mtime_ns, entry.name, Path(entry.path), found.st_size)


class LinesLost(OSError):
    """Some of the lines could not be written: ``lost`` of them; the first ones may stand in the file."""

    def __init__(self, error: OSError, lost: int) -> None:
        super().__init__(error.errno, error.strerror or str(error), error.filename)
        self.lost = lost


class TraceFiles:
    """The open file and its predecessors.  For one thread."""

    def __init__(self, folder: Path, file_bytes: int, total_bytes: int, wall_clock: Callable[[], float]) -> None:
        self._folder = folder
        # At a turn of files there must be something left to delete that is not the newest of all.
        self._file_bytes = min(file_bytes, total_bytes // 2)
        self._total_bytes = total_bytes
        self._wall_clock = wall_clock
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._torn = False
        self._number = 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines, each whole and ended; a new file where they do not fit. Raises LinesLost."""
        batch: list[bytes] = []
        size = 0
        for index, line in enumerate(lines):
            if batch and self._is_full(size + len(line)):
                self._append(batch, len(lines) - index)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
        if batch:
            self._append(batch, 0)

    def _is_full(self, more: int) -> bool:
        return self._size + more > self._file_bytes

    def _append(self, batch: list[bytes], others: int) -> None:
        """One write. ``others`` are the lines after these."""
        data = b"".join(batch)
        written = 0
        try:
            self._ready(len(data))
            assert self._descriptor is not None
            if self._torn:
                os.write(self._descriptor, b"\n")
                self._torn = False
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
            self._size += written
        except OSError as error:
            self._size += written
            whole = data.count(b"\n", 0, written)
            self._torn = self._torn or (written > 0 and not data.endswith(b"\n", 0, written))
            self._failed(error)
            raise LinesLost(error, len(batch) - whole + others) from None

    def _failed(self, error: OSError) -> None:
        """A full disk may have room for this file later; any other trouble may be the file's own."""
        if self._path is not None and not self._size:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self.close()
        elif error.errno in _FULL:
            self._close_descriptor()
        else:
            self.close()

    def _ready(self, more: int) -> None:
        """Have a file open that is there and not full."""
        if self._descriptor is not None and not os.fstat(self._descriptor).st_nlink:
            self.close()  # deleted, perhaps with its folder
        if self._size and self._is_full(more):
            self.close()
        if self._descriptor is None and self._path is not None:
            try:
                self._descriptor = os.open(self._path, _FLAGS)
            except OSError:
                self.close()
        if self._descriptor is None:
            self._begin()

    def _begin(self) -> None:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._remove_oldest()
        began = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._wall_clock()))
        while self._descriptor is None:
            self._number += 1
            path = self._folder / f"trace-{began}-{os.getpid()}-{self._number}.jsonl"
            with contextlib.suppress(FileExistsError):
                self._descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        self._path = path

    def _remove_oldest(self) -> None:
        """Make room for a whole file."""
        files = own_files(self._folder)
        total = sum(file.size for file in files) + self._file_bytes
        for index, file in enumerate(files):
            if total <= self._total_bytes and len(files) - index < FILES:
                break
            with contextlib.suppress(OSError):
                file.path.unlink()
            total -= file.size

    def close(self) -> None:
        """Be done with the open file; a further line begins another one."""
        self._close_descriptor()
        self._path, self._size, self._torn = None, 0, False

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = None
