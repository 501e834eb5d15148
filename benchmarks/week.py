"""``simulation``: how long a week of 100,000 requests takes `rotator simulate`, for each mode.

The baseline is making that load up, and doing nothing with it. Both take turns, A B A B.
"""

import time
from typing import Any

from benchmarks.table import Goal, Pairs, render
from rotator.config.reader import At, parse
from rotator.config.rotation import Rotation
from rotator.contracts import Credential, Target
from rotator.credentials.simulation.arrivals import make_up
from rotator.credentials.simulation.run import Setup, simulate
from rotator.credentials.simulation.spec import Load
from rotator.neutral.secret import Secret

_KEYS = 5
_REQUESTS = 100_000
_GOAL = Goal(15.0, most=True, of="figure")
_LOAD: dict[str, Any] = {
    "days": 7,
    "requests": _REQUESTS,
    "models": {"bench/big": 3, "bench/small": 1},
    "sessions": {"share": 0.6},
    "shape": "office",
}
_RULES: dict[str, Any] = {
    "max_concurrent": 4,
    "windows": [{"name": "5h", "seconds": 18_000, "limit": 2_000}, {"name": "7d", "seconds": 604_800, "limit": 40_000}],
    "caps": [{"model": "big", "max": "90%"}],
}


def _setup(mode: str) -> Setup:
    rules = parse(Rotation, {**_RULES, "mode": mode}, At("bench"))
    assert isinstance(rules, Rotation)
    keys = [Credential(f"id-{n}", "bench", f"bench#{n}", Secret(f"secret-{n}"), None, 10) for n in range(_KEYS)]
    return Setup({"bench": keys}, {"bench": rules}, lambda name: [Target("bench", "chat", name.partition("/")[2])])


def run(repeat: int) -> bool:
    """Print the table; False if a rerun says something else."""
    load = parse(Load, _LOAD, At("bench"))
    assert isinstance(load, Load)
    rows, alike = [], True
    for mode in ("sequential", "balanced", "round_robin"):
        figures: tuple[list[float], list[float]] = ([], [])
        told = set()
        for _ in range(repeat):
            begun = time.perf_counter()
            work = make_up(load, 7)
            made = time.perf_counter()
            told.add(str(simulate(_setup(mode), work).as_json()))
            figures[0].append(made - begun)
            figures[1].append(time.perf_counter() - made)
        alike = alike and len(told) == 1
        rows.append(Pairs(mode, *figures, _GOAL).cells(lambda value: f"{value:,.2f}"))
    title = f"7 days, {_REQUESTS:,} requests, {_KEYS} keys, s"
    print(render([title, "load", "simulated", "ratio", "spread", "goal"], rows))
    same = "alike" if alike else "NOT ALIKE"
    print(f"\nmedians of {repeat} interleaved runs; load: only making it up; reruns are {same}")
    return alike
