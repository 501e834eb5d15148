"""The answer tables: every row of protocols.md 3."""

from __future__ import annotations

from .cells import Row
from .rows_blocks import BLOCKS, ENVELOPE
from .rows_finish import FINISH_READ, FINISH_WRITTEN, FURTHER, USAGE

ROWS: tuple[Row, ...] = (*ENVELOPE, *BLOCKS, *FINISH_READ, *FINISH_WRITTEN, *USAGE, *FURTHER)
