"""Writes the trace in a thread of its own: neither a slow disk nor redaction holds up requests or the exit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from rotator.contain import contain
from rotator.neutral.redact import Redactor
from rotator.trace.entry import Entry
from rotator.trace.files import LinesLost, TraceFiles
from rotator.trace.line import line
from rotator.trace.redaction import Redaction

log = logging.getLogger(__name__)

#: How much may wait to be written; entries beyond are dropped and counted.
QUEUE_ENTRIES: Final = 10_000
QUEUE_BYTES: Final = 64 * 1024 * 1024
#: How long the first entry waits for others: one wake-up of the thread, one write.
BATCH_SECONDS: Final = 0.05
#: What is written together, at most.
BATCH_ENTRIES: Final = 256
BATCH_BYTES: Final = 1024 * 1024
#: After so much work the loop gets a turn; by itself the interpreter would let it wait for 5 ms.
TURN_SECONDS: Final = 0.001
#: Between two log lines about entries that were lost.
TOLD_SECONDS: Final = 60.0

#: In the queue: an entry and its cost; what is set when everything before it is on disk; None ends the thread.
_Task = tuple[Entry, int] | threading.Event | None


class TraceWriter:
    """Takes entries from the event loop; a thread redacts them and appends them to the folder's files.

    ``dropped`` counts entries that were lost, ever: the queue was full, or the disk failed. ``body_bytes`` is how much
    of a body is kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        body_bytes: int,
        file_bytes: int,
        total_bytes: int,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Touches nothing on disk; the thread and the first file are made with the first entry."""
        self.folder = folder
        self.body_bytes = body_bytes
        self.written = 0
        self._files = TraceFiles(folder, file_bytes, total_bytes, wall_clock)
        self._wall_clock = wall_clock
        self._queue: SimpleQueue[_Task] = SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._given_up = False
        # Each number has one thread that changes it: the loop these ...
        self._put_entries = self._put_bytes = self._refused = 0
        # ... and the writer's these.
        self._done_entries = self._done_bytes = self._lost = 0
        self._told_at = float("-inf")
        self._trouble: OSError | None = None
        self._told_dropped = 0
        self._redaction: tuple[Redactor, Redaction] | None = None

    @property
    def dropped(self) -> int:
        return self._refused + self._lost

    def put(self, entry: Entry) -> None:
        """Queue an entry, or drop and count it. From the event loop; never waits."""
        cost = entry.cost()
        full = (
            self._put_entries - self._done_entries >= QUEUE_ENTRIES
            or self._put_bytes - self._done_bytes + cost > QUEUE_BYTES
        )
        if full or self._closed or not self._started():
            self._refused += 1
            return
        self._put_entries += 1
        self._put_bytes += cost
        self._queue.put((entry, cost))

    def _started(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="trace", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread left
                return False
            self._thread = thread
        return True

    def flush(self, seconds: float) -> bool:
        """Wait until what was queued is written or lost, at most so long; whether that is so."""
        if self._thread is None or not self._thread.is_alive():
            return self._put_entries == self._done_entries
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        return done.wait(seconds)

    def close(self, seconds: float = 0.25) -> None:
        """Flush, end the thread, close the file. What is not written by then counts as dropped."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            return
        self._queue.put(None)
        self._hurry.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._given_up = True
            self._refused += self._put_entries - self._done_entries

    # Below: the thread.

    def _work(self) -> None:
        going = True
        while going and not self._given_up:
            tasks = self._collect()
            going = tasks[-1] is not None
            with contain("writing the trace"):
                self._write([task for task in tasks if isinstance(task, tuple)])
            for task in tasks:
                if isinstance(task, threading.Event):
                    task.set()
        self._files.close()

    def _collect(self) -> list[_Task]:
        """What waits, after a moment in which more may come; nothing behind the end."""
        tasks = [self._queue.get()]
        if isinstance(tasks[0], tuple):
            self._hurry.wait(BATCH_SECONDS)
        size = 0
        while tasks[-1] is not None and len(tasks) < BATCH_ENTRIES and size < BATCH_BYTES:
            try:
                task = self._queue.get_nowait()
            except Empty:
                self._hurry.clear()
                break
            tasks.append(task)
            size += task[1] if isinstance(task, tuple) else 0
        return tasks

    def _write(self, entries: list[tuple[Entry, int]]) -> None:
        written = 0
        trouble: OSError | None = None
        try:
            lines = self._lines(entries)
            self._files.append(lines)
            written = len(lines)
        except LinesLost as error:
            written = len(lines) - error.lost
            trouble = error
        finally:
            if not self._given_up:
                self.written += written
                self._lost += len(entries) - written
                self._done_bytes += sum(cost for _, cost in entries)
                self._done_entries += len(entries)
                self._tell(trouble)

    def _lines(self, entries: list[tuple[Entry, int]]) -> list[bytes]:
        lines: list[bytes] = []
        turn = time.monotonic() + TURN_SECONDS
        for entry, _ in entries:
            with contain("a line of the trace"):
                lines.append(line(entry, self._redaction_for(entry.redactor), self.body_bytes))
            if time.monotonic() >= turn:
                time.sleep(0)
                turn = time.monotonic() + TURN_SECONDS
            if self._given_up:
                break
        return lines

    def _redaction_for(self, redactor: Redactor) -> Redaction:
        """One for all entries of a generation."""
        if self._redaction is None or self._redaction[0] is not redactor:
            self._redaction = (redactor, Redaction(redactor))
        return self._redaction[1]

    def _tell(self, trouble: OSError | None) -> None:
        """One log line a minute about what was lost."""
        dropped, now = self.dropped, self._wall_clock()
        self._trouble = trouble or self._trouble
        if dropped == self._told_dropped or abs(now - self._told_at) < TOLD_SECONDS:
            return
        reason = "they came faster than they could be written"
        if self._trouble is not None:
            reason = f"{self.folder}: {self._trouble.strerror}"
        log.warning("%d trace entries could not be written (%s)", dropped - self._told_dropped, reason)
        self._told_dropped, self._told_at, self._trouble = dropped, now, None
