"""``selection``: what choosing a key costs, per key, without any proxy.

The baseline of each row is the least that a choice can be: one pass over as many objects for the one that was used
longest ago. Both take turns, A B A B. ``choice`` evaluates and changes nothing; ``lease`` also takes the key and gives
it back, which the snapshot has to notice.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.table import Goal, Pairs, render
from rotator.config.reader import At, parse
from rotator.config.rotation import Rotation
from rotator.contracts import Credential, Needs, Outcome, Target
from rotator.credentials.pool import Lease, Pool
from rotator.neutral.secret import Secret

_KEYS = (1, 10, 100, 1_000)
_TARGET = Target("bench", "chat", "big")
_NEEDS = Needs(request="req_1")
_OK = Outcome("ok")
_LEAST_SECONDS = 0.03
"""Of one timing."""
_GOAL = Goal(2.0, most=True, of="figure")

#: Every filter has to look at something: tiers, limits of requests at a time, two windows, two caps, the fair cycle.
_ALL: dict[str, Any] = {
    "max_concurrent": 5,
    "optimal_concurrent": 2,
    "model_tiers": {"big": 10},
    "quota_groups": {"pro": ["big", "huge"]},
    "windows": [
        {"name": "5h", "seconds": 18_000, "limit": 1e9, "applies_to": "group"},
        {"name": "week", "every": "week", "limit": 1e9},
    ],
    "caps": [{"model": "big", "max": "80%"}, {"group": "pro", "max": "90%"}],
    "fair_cycle": {"enabled": True},
}

Run = Callable[[], object]


class _Still:
    """Time that stands still, see ``rotator.contracts.Clock``."""

    def time(self) -> float:
        return 1.8e9

    def monotonic(self) -> float:
        return 1_000.0

    async def sleep(self, seconds: float) -> None:
        """Nobody sleeps here."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


@dataclass(slots=True)
class _Bare:
    free: bool
    turn: int


def _pool(keys: int, rotation: dict[str, Any]) -> Pool:
    read = parse(Rotation, rotation, At("bench"))
    assert isinstance(read, Rotation)
    pool = Pool(_Still(), strict=True)
    held = [Credential(f"id-{n}", "bench", f"bench#{n}", Secret(f"secret-{n}"), None, 10) for n in range(keys)]
    pool.reconcile({"bench": held}, {"bench": read})
    return pool


def _bare(keys: int) -> Run:
    objects = [_Bare(True, turn) for turn in range(keys)]

    def run() -> _Bare:
        return min((one for one in objects if one.free), key=lambda one: one.turn)

    return run


def _lease(pool: Pool) -> Run:
    def run() -> None:
        lease = pool.ask(_TARGET, _NEEDS)
        assert isinstance(lease, Lease)
        lease.settle(_OK)

    return run


def _choice(pool: Pool) -> Run:
    return lambda: pool.explain(_TARGET, _NEEDS)


def _rows() -> Iterator[tuple[str, int, Run, Goal | None]]:
    for keys in _KEYS:
        goal = _GOAL if keys >= 100 else None
        plain = _pool(keys, {"mode": "sequential", "fair_cycle": {"enabled": False}})
        yield f"{keys:,} keys, lease, no filter", keys, _lease(plain), None
        for mode in ("sequential", "balanced", "round_robin"):
            pool = _pool(keys, {**_ALL, "mode": mode})
            yield f"{keys:,} keys, lease, {mode}, all filters", keys, _lease(pool), goal
        pool = _pool(keys, {**_ALL, "mode": "round_robin"})
        yield f"{keys:,} keys, choice alone, all filters", keys, _choice(pool), goal


def _microseconds(run: Run, times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begun) * 1e6 / times


def run(repeat: int) -> bool:
    """Print the table."""
    rows = []
    for label, keys, subject, goal in _rows():
        runs = (_bare(keys), subject)
        times = [max(1, round(_LEAST_SECONDS * 1e6 / max(_microseconds(one, 3), 0.01))) for one in runs]
        figures: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeat):
            for one, often, found in zip(runs, times, figures, strict=True):
                found.append(_microseconds(one, often) / keys)
        rows.append(Pairs(label, *figures, goal).cells(lambda value: f"{value:,.2f}"))
    print(render(["selection, us per key", "one pass", "pool", "pool/pass", "spread", "goal"], rows))
    print(f"\nmedians of {repeat} interleaved runs; one pass: the longest unused of as many objects")
    return True
