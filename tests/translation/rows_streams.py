"""The stream tables: every row of protocols.md 4."""

from __future__ import annotations

from .cells import Row
from .rows_reading import READING
from .rows_writing import WRITING

ROWS: tuple[Row, ...] = (*READING, *WRITING)
