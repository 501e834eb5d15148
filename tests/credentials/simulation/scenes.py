"""Small simulations: keys of one provider, requests at given moments, a vendor that takes exactly so long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rotator.config.reader import At, parse
from rotator.config.rotation import Rotation
from rotator.config.schema import Retry
from rotator.contracts import Credential, Target
from rotator.credentials.simulation.arrivals import Arrival, Work
from rotator.credentials.simulation.clock import MONDAY
from rotator.credentials.simulation.report import Report
from rotator.credentials.simulation.run import Setup, simulate
from rotator.credentials.simulation.spec import Vendor

#: Answers after a second, errors at once, nothing by chance.
STEADY: dict[str, Any] = {"seconds": 1, "spread": 0, "error_seconds": 0}


def keys(*priorities: int) -> tuple[Credential, ...]:
    """``alpha#1`` and so on."""
    return tuple(
        Credential(f"id-{number}", "alpha", f"alpha#{number}", None, None, priority)
        for number, priority in enumerate(priorities, 1)
    )


def targets(model: str) -> Sequence[Target]:
    """``small`` leads to alpha's."""
    return (Target("alpha", "chat", model),)


def rotation(**said: Any) -> Rotation:
    made = parse(Rotation, said, At("test"))
    assert isinstance(made, Rotation)
    return made


def vendor(**said: Any) -> Vendor:
    made = parse(Vendor, {**STEADY, **said}, At("test"))
    assert isinstance(made, Vendor)
    return made


def work(*times: float, session: str | None = None, tokens: int = 0) -> Work:
    """A request for ``small`` at each of these moments."""
    return Work(MONDAY, 0.0, [Arrival(at, "small", session, tokens) for at in times])


class Scene:
    """A configuration, tried with requests."""

    def __init__(self, count: int = 1, *, priorities: Sequence[int] = (), said: Any = None, **rules: Any) -> None:
        self.credentials = {"alpha": keys(*(priorities or [10] * count))}
        self.rotations = {"alpha": rotation(**{"fair_cycle": {"enabled": False}, **rules})}
        self.vendor = vendor(**(said or {}))
        self.global_seconds = 600.0
        self.retry = Retry()

    def run(self, load: Work, seed: int = 7) -> Report:
        return simulate(
            Setup(
                self.credentials, self.rotations, targets, self.vendor, seed, self.retry, self.global_seconds
            ),
            load,
        )  # fmt: skip

    def who(self, *times: float, **more: Any) -> list[int]:
        """Which key served each of the requests, by number; 0: none did.

        Found by leaving out what comes later.
        """
        served: list[list[int]] = [[0] * len(self.credentials["alpha"])]
        for count in range(1, len(times) + 1):
            served.append([key.served for key in self.run(work(*times[:count], **more)).keys])
        found = []
        for before, after in zip(served, served[1:], strict=False):
            more_served = [number for number, (a, b) in enumerate(zip(before, after, strict=True), 1) if b > a]
            found.append(more_served[0] if more_served else 0)
        return found
