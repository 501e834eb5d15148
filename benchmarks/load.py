"""One run of load against one server: its figures, counted inside a window in which all connections are busy.

Three kinds: ``requests`` (short whole answers), ``lockstep`` (streams in which an event goes out only after the one
before it arrived: the true cost per event) and ``flood`` (streams sent at once).
"""

import asyncio
import os
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.client import Client, Load, Run, Target
from benchmarks.processes import cpu_seconds, queued_seconds
from benchmarks.upstream import Upstream

WARM_UP_SECONDS = 0.2
_DRAIN_SECONDS = 5.0
_MOST_WINDOWS = 10
"""More than one only where other processes leave the proxy next to no time: rates need two answers at least."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave; ``errors`` counts by message, and figures with errors mean nothing.

    Events are those of words: every protocol has as many of them, and few others.

    ``disturbed`` is the share of the time in which proxy or harness had to wait for their core: other processes ran.
    """

    answers_per_second: float
    events_per_second: float
    cpu_us_per_answer: float
    cpu_us_per_event: float
    latency_p50_us: float
    latency_p99_us: float
    harness_busy: float
    disturbed: float
    lane: str
    errors: Counter[str]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    at: float
    answers: int
    events: int
    server_cpu: float
    harness_cpu: float
    queued: float


async def measure(load: Load, target: Target, upstream: Upstream) -> Figures:
    """Run one load and count inside a window that begins after the warm-up and ends before connections run out."""
    run = Run(load, target, upstream)
    loop = asyncio.get_running_loop()
    asked_before = upstream.asked
    clients = []
    for _ in range(load.connections):
        clients.append((await loop.create_connection(lambda: Client(run), "127.0.0.1", target.port))[1])
    for client in clients:
        client.ask()
    await asyncio.wait([run.ended], timeout=WARM_UP_SECONDS)
    before, first = _snapshot(run, target.pid), len(run.latencies)
    for _ in range(_MOST_WINDOWS):
        await asyncio.wait([run.ended], timeout=load.seconds)
        if len(run.latencies) - first > 1:
            break
    after, last = _snapshot(run, target.pid), len(run.latencies)
    run.stopping = True
    await asyncio.wait([run.ended], timeout=_DRAIN_SECONDS)
    if not run.ended.done():
        run.fail("answers still not whole, 5 s after the end")
        for client in clients:
            client.abandon()
    upstream.forget()
    if upstream.asked - asked_before != run.answers:
        run.fail(f"upstream was asked {upstream.asked - asked_before} times for {run.answers} answers")
    if last - first < 2:
        run.fail("no answers while measuring")
    return _figures(run, before, after, run.latencies[first:last])


def _snapshot(run: Run, pid: int) -> _Snapshot:
    return _Snapshot(
        at=time.perf_counter(),
        answers=run.answers,
        events=run.events,
        server_cpu=cpu_seconds(pid),
        harness_cpu=time.process_time(),
        queued=sum(map(queued_seconds, {pid, os.getpid()})),
    )


def _figures(run: Run, before: _Snapshot, after: _Snapshot, latencies: "array[float]") -> Figures:
    wall = after.at - before.at
    answers = max(after.answers - before.answers, 1)
    events = max(after.events - before.events, 1)
    cpu_us = (after.server_cpu - before.server_cpu) * 1e6
    cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return Figures(
        answers_per_second=answers / wall,
        events_per_second=events / wall,
        cpu_us_per_answer=cpu_us / answers,
        cpu_us_per_event=cpu_us / events,
        latency_p50_us=cuts[49] * 1e6,
        latency_p99_us=cuts[98] * 1e6,
        harness_busy=(after.harness_cpu - before.harness_cpu) / wall,
        disturbed=(after.queued - before.queued) / wall,
        lane=run.lane,
        errors=run.errors,
    )
