"""Time that moves when nothing is left to do at the present moment, and what waits for it.

Nothing here reads a real clock, and no event loop is needed: a simulated request is a coroutine that awaits nothing but
moments of this module.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

#: When simulated time begins where nothing else is said: Monday, 2026-01-05, 00:00 UTC, in unix seconds.
MONDAY: Final = 1_767_571_200.0


class Moment(Generic[T]):
    """Something that will have happened once; awaiting it gives what it brought."""

    __slots__ = ("_resume",)

    def __init__(self) -> None:
        self._resume: Callable[[T], None] | None = None

    def __await__(self) -> Generator[Moment[T], T, T]:
        return (yield self)

    def awaited_by(self, resume: Callable[[T], None]) -> None:
        """``resume`` gets what it brings."""
        self._resume = resume

    def come(self, brought: T) -> None:
        """It has happened; who awaits it goes on now."""
        assert self._resume is not None, "nobody awaits this moment"
        self._resume(brought)


def begin(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine up to the first moment that it awaits; that moment carries it on."""

    def go_on(brought: Any) -> None:
        try:
            moment = coroutine.send(brought)
        except StopIteration:
            return
        moment.awaited_by(go_on)

    go_on(None)


class _Timer:
    """A call that is due; cancelled without one."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class VirtualClock:
    """See ``rotator.contracts.Clock``.  ``start`` is the unix time of monotonic 0; ``run`` moves it.

    What is due at one moment is called in the order in which it was asked for.
    """

    def __init__(self, start: float = MONDAY) -> None:
        self.start = start
        self._now = 0.0
        self._due: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.start + self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """For coroutines that ``begin`` started."""
        awake: Moment[None] = Moment()
        self.call_later(seconds, lambda: awake.come(None))
        await awake

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        timer = _Timer(call)
        heapq.heappush(self._due, (self._now + max(0.0, seconds), next(self._numbers), timer))
        return timer.cancel

    def run(self, until: float = math.inf) -> None:
        """Call what is due up to ``until`` (monotonic seconds), each at its time; then it is ``until``.

        Without ``until`` to the last call; then it is that call's time.
        """
        due = self._due
        while due and due[0][0] <= until:
            at, _, timer = heapq.heappop(due)
            if timer.call is not None:
                self._now = at
                timer.call()
        if math.isfinite(until):
            self._now = max(self._now, until)
