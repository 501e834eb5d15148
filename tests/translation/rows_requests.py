"""The request tables: every row of protocols.md 2.1 to 2.8."""

from __future__ import annotations

from .cells import Row
from .rows_history import HISTORY
from .rows_lenient import LENIENT
from .rows_output import OUTPUT, STATE
from .rows_parts import PARTS
from .rows_reasoning import REASONING
from .rows_results import HOSTED, RESULTS
from .rows_tools import CALLED, CHOSEN, DECLARED
from .rows_turns import TURNS

ROWS: tuple[Row, ...] = (
    *TURNS,
    *PARTS,
    *DECLARED,
    *CHOSEN,
    *CALLED,
    *RESULTS,
    *REASONING,
    *HISTORY,
    *OUTPUT,
    *STATE,
    *HOSTED,
    *LENIENT,
)
