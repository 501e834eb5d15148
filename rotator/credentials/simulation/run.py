"""A simulation from begin to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from rotator.config.rotation import Rotation
from rotator.config.schema import Retry
from rotator.contracts import Clock, Credential, Target
from rotator.credentials.pool import Pool
from rotator.credentials.simulation.arrivals import Work
from rotator.credentials.simulation.clock import VirtualClock, begin
from rotator.credentials.simulation.report import Counts, Report
from rotator.credentials.simulation.spec import Vendor
from rotator.credentials.simulation.trip import Scene, Trip
from rotator.credentials.simulation.vendor import SimulatedVendor
from rotator.credentials.strategies import BUILT_IN
from rotator.rotation import Strategy


@dataclass(frozen=True, slots=True)
class Setup:
    """What is tried: keys and rules by provider, where models lead, the budgets of a request, and chance.

    ``resolve`` gives the targets of a model as a client names it, or raises Refused.
    """

    credentials: Mapping[str, Sequence[Credential]]
    rotations: Mapping[str, Rotation]
    resolve: Callable[[str], Sequence[Target]]
    vendor: Vendor = Vendor()
    seed: int = 0
    retry: Retry = Retry()
    global_seconds: float = 600.0
    strategies: Mapping[str, Strategy] = field(default_factory=lambda: BUILT_IN)


def make_pool(setup: Setup, clock: Clock) -> Pool:
    """The server's pool, under this clock and with chance that can be repeated."""
    pool = Pool(clock, strict=True, rng=Random(f"pool {setup.seed}"))
    pool.reconcile(setup.credentials, setup.rotations, setup.strategies)
    return pool


def simulate(setup: Setup, work: Work) -> Report:
    """Let the requests of ``work`` come; over when the last one is.

    What ends at a moment ends before who comes at that moment.
    """
    clock = VirtualClock(work.start)
    pool = make_pool(setup, clock)
    rotations = {name: setup.rotations.get(name, Rotation()) for name in setup.credentials}
    scene = Scene(
        clock,
        pool,
        SimulatedVendor(setup.vendor, rotations, clock, Random(f"vendor {setup.seed}")).answer,
        setup.resolve,
        {name: len(keys) for name, keys in setup.credentials.items()},
        setup.retry,
        setup.global_seconds,
        Counts.of(setup.credentials),
        Random(f"pauses {setup.seed}"),
    )
    for number, arrival in enumerate(work.arrivals, 1):
        clock.run(until=arrival.at)
        scene.counts.requests += 1
        begin(Trip(scene, arrival, number).run())
    clock.run()
    assert scene.counts.requests == scene.counts.answered + scene.counts.refused.total(), "a request never ended"
    evaluations = sum(pool.evaluations(name) for name in setup.credentials)
    return Report.of(scene.counts, setup.seed, max(clock.monotonic(), work.seconds), evaluations)
