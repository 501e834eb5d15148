"""See within three seconds that a configuration file, the env file or a provider's YAML was changed (design.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rotator.plugins import YAML
from rotator.registry import KINDS

POLL_SECONDS: Final = 2.0

Stamp = dict[str, tuple[int, int, int]]


def stamp(files: Iterable[Path], folders: Iterable[Path]) -> Stamp:
    """What the files look like now: change time, size and inode of each that exists."""
    seen: Stamp = {}
    for path in (*files, *_yaml(folders)):
        try:
            found = path.stat()
        except OSError:
            continue
        seen[str(path)] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return seen


def _yaml(folders: Iterable[Path]) -> Iterable[Path]:
    for folder in folders:
        for kind in KINDS:
            try:
                yield from (path for path in (folder / kind).iterdir() if path.suffix in YAML)
            except OSError:
                continue
