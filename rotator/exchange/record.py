"""What is known of one request when it is over: the log line, and the end of the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotator.credentials.decision import Decision
from rotator.neutral.losses import Loss
from rotator.neutral.usage import Usage
from rotator.trace.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Way:
    """Where a request went, the same for all that go there; ``headers`` tell the client."""

    lane: str
    provider: str
    model: str
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class RequestRecord:
    """Filled while the request goes its way.  ``started`` is monotonic, ``at`` unix seconds.

    ``attempts`` counts every call sent upstream; ``trace`` is None where tracing is off. ``note`` says in a few words
    why it did not end well, ``losses`` what the target could not be told, ``decision`` why the last key was chosen or
    none was; ``explains``: the client asked to be told. ``repair`` says what was mended after a vendor refused it.
    """

    request_id: str
    at: float
    started: float
    client: str = "-"
    method: str = ""
    path: str = ""
    model: str = ""
    way: Way | None = None
    label: str = ""
    status: int = 0
    attempts: int = 0
    usage: Usage | None = None
    note: str = ""
    losses: Sequence[Loss] = ()
    trace: Recorder | None = None
    decision: Decision | None = None
    explains: bool = False
    repair: str = ""
