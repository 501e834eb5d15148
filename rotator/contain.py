"""The one place where a failure of something optional is swallowed: hooks, observers, trace, caches, stores."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def contain(what: str, level: int = logging.ERROR) -> Iterator[None]:
    """Log whatever ``what`` raises and go on; cancellation is no failure and passes."""
    try:
        yield
    except Exception:
        log.log(level, "%s failed and is skipped", what, exc_info=True)
