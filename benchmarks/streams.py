"""``streams``: a thousand paced streams at once through one process, the bare relay's and then rotator's.

Clients (this process) and upstream (another one) share the last core. A proxy is started anew for each run and has the
first core and its CPU accounting for itself, so that its peak of memory is that of the run.
"""

import argparse
import asyncio
import os
import resource
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from operator import attrgetter
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.canned import AUTHORIZATION, CHAT
from benchmarks.client import Client, Load, Run, Target
from benchmarks.processes import (
    BenchmarkError,
    Command,
    Cores,
    Server,
    cpu_seconds,
    free_port,
    peak_rss_mib,
    queued_seconds,
)
from benchmarks.relay import BASELINE, CALM, TRIES, name_of, proxy, show_errors, show_traces, target_of
from benchmarks.table import Goal, Pairs, render_pairs
from benchmarks.translated import split_timed, wrong_ends
from benchmarks.upstream import Pace, Upstream

_PATIENCE_SECONDS = 30.0
_SPARE_FILES = 100
_HARNESS = "harness"
_MOST_STREAMS = 20_000
_MOST_WORDS = 9_999
_MOST_PACE_SECONDS = 10.0
_EXTRA_EVENTS = len(CHAT.opening) + len(CHAT.ending)
"""Of each stream of the baseline, beside its words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of each proxy; ``open_files`` is the soft limit that rotator starts with, else all it may have."""

    streams: int
    pace: Pace
    repeat: int
    variants: Sequence[str]
    open_files: int | None

    @property
    def events(self) -> int:
        return self.streams * (self.pace.events + _EXTRA_EVENTS)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave; with errors they mean nothing.

    ``delay``: from the moment in which the upstream sent a word to the one in which the client had it, once all streams
    had begun; ``late``: from the one in which it was due, also while others began. ``disturbed`` is the share of the
    time in which the proxy had to wait for its core: other processes ran.
    """

    peak_rss_mib: float
    cpu_seconds: float
    cpu_us_per_event: float
    first_p50_ms: float
    first_p99_ms: float
    delay_p50_ms: float
    delay_p99_ms: float
    late_p99_ms: float
    wall_seconds: float
    harness_busy: float
    disturbed: float
    lane: str
    errors: Counter[str]
    trace_mb: float = 0.0


_ROWS = (
    ("peak RSS MiB", "peak_rss_mib", Goal(300, most=True, of="figure")),
    ("CPU seconds", "cpu_seconds", None),
    ("CPU us per event", "cpu_us_per_event", None),
    ("first byte p50 ms", "first_p50_ms", None),
    ("first byte p99 ms", "first_p99_ms", Goal(1000, most=True, of="figure")),
    ("delay p50 ms, all begun", "delay_p50_ms", None),
    ("delay p99 ms, all begun", "delay_p99_ms", None),
    ("later than paced p99 ms", "late_p99_ms", None),
)


class _Times:
    """How late things came, of all streams of a run, in seconds; words count from the second of each stream on."""

    def __init__(self) -> None:
        self.first = array("d")
        self.delay = array("d")
        self.late = array("d")


class _Stream(Client):
    """One connection with one stream; every event is compared with what the upstream sends."""

    def __init__(self, run: Run, times: _Times, words: int) -> None:
        super().__init__(run)
        self._times = times
        self._planned = words
        self._events = 0
        self._wrong = ""

    def ask(self) -> None:
        if not self._left:  # a server without a file for it has closed the connection
            super().ask()

    def _take(self, piece: bytes) -> None:
        now = time.perf_counter()
        if self._status != 200:
            super()._take(piece)
            return
        *events, self._tail = (self._tail + piece).split(b"\n\n")
        for event in events:
            if self._events == 0:
                self._times.first.append(now - self._asked_at)
            if not self._is_next(event + b"\n\n", now) and not self._wrong:
                self._wrong = f"event {self._events} is not the upstream's: {event[:200].decode(errors='replace')}"
            self._events += 1
        self._run.events += len(events)

    def _is_next(self, event: bytes, now: float) -> bool:
        if self._events == 0:
            return event == CHAT.opening[0]
        if self._events > self._planned:
            return event in CHAT.ending[self._events - self._planned - 1 :][:1]
        try:
            told = CHAT.read_paced_word(event)
        except ValueError:
            return False
        return self._is_word(told, now)

    def _is_word(self, told: tuple[int, int, int], now: float) -> bool:
        number, sent_us, late_us = told
        if number:
            delay = now - sent_us / 1e6
            self._times.late.append(delay + late_us / 1e6)
            if len(self._times.first) == self._run.load.connections:
                self._times.delay.append(delay)
        self._words += 1
        return number == self._words - 1

    def _what_is_wrong(self, body: bytes, left_over: bytes) -> str:
        if self._status != 200 or left_over:
            return super()._what_is_wrong(body, left_over)
        if not self._wrong and self._tail:
            return f"{len(self._tail)} bytes after the last event"
        return self._wrong or self._what_is_missing()

    def _what_is_missing(self) -> str:
        expected = self._planned + _EXTRA_EVENTS
        return "" if self._events == expected else f"stream of {self._events} events instead of {expected}"


class _TranslatedStream(_Stream):
    """The same words in the client's protocol: in equal events, one behind the other, and an opening and an ending."""

    def __init__(self, run: Run, times: _Times, words: int) -> None:
        super().__init__(run, times, words)
        self._around_word = b""
        self._opening: list[bytes] = []
        self._ending: list[bytes] = []

    def _is_next(self, event: bytes, now: float) -> bool:
        try:
            told, around = split_timed(event)
        except ValueError:
            (self._ending if self._words else self._opening).append(event)
            return True
        self._around_word = self._around_word or around
        return self._is_word(told, now) and around == self._around_word and not self._ending

    def _what_is_missing(self) -> str:
        if self._words != self._planned:
            return f"stream of {self._words} words instead of {self._planned}"
        return wrong_ends(self._run.target.client, self._opening, self._ending)


async def _measure(plan: Plan, target: Target, upstream: Server) -> Figures:
    """Connect all clients, then let all ask at the same moment, and wait until the last stream has ended."""
    run, times = Run(Load("paced", plan.streams, 0.0), target, Upstream()), _Times()
    run.stopping = True  # one stream per connection
    asked_before, before = _asked(upstream), _Snapshot(target, upstream)
    clients = await _connected(plan, run, times, target)
    for client in clients:
        client.ask()
    await asyncio.wait([run.ended], timeout=plan.pace.events * plan.pace.seconds + _PATIENCE_SECONDS)
    after = _Snapshot(target, upstream)
    if not run.ended.done():
        run.fail(f"streams not whole {_PATIENCE_SECONDS:g} s after their end; {run.answers:,} ended")
        for client in clients:
            client.abandon()
    asked = _asked(upstream) - asked_before
    if asked != plan.streams:
        run.fail(f"the upstream was asked {asked:,} times for {plan.streams:,} streams")
    return _figures(plan, run, times, before, after)


async def _connected(plan: Plan, run: Run, times: _Times, target: Target) -> list[_Stream]:
    loop, clients = asyncio.get_running_loop(), []
    kind = _Stream if target.client == target.upstream else _TranslatedStream
    for _ in range(plan.streams):
        try:
            made = await loop.create_connection(lambda: kind(run, times, plan.pace.events), "127.0.0.1", target.port)
            clients.append(made[1])
        except OSError as error:
            run.fail(f"no connection: {error}")
            run.leave()
    return clients


class _Snapshot:
    def __init__(self, target: Target, upstream: Server) -> None:
        self.at = time.perf_counter()
        self.server_cpu = cpu_seconds(target.pid)
        self.harness_cpu = time.process_time() + cpu_seconds(upstream.pid)
        self.queued = queued_seconds(target.pid)
        self.peak_rss_mib = peak_rss_mib(target.pid)


def _figures(plan: Plan, run: Run, times: _Times, before: _Snapshot, after: _Snapshot) -> Figures:
    wall = after.at - before.at
    cpu = after.server_cpu - before.server_cpu
    first, delay, late = map(_cuts_ms, (times.first, times.delay, times.late))
    return Figures(
        peak_rss_mib=after.peak_rss_mib,
        cpu_seconds=cpu,
        cpu_us_per_event=cpu * 1e6 / plan.events,
        first_p50_ms=first[49],
        first_p99_ms=first[98],
        delay_p50_ms=delay[49],
        delay_p99_ms=delay[98],
        late_p99_ms=late[98],
        wall_seconds=wall,
        harness_busy=(after.harness_cpu - before.harness_cpu) / wall,
        disturbed=(after.queued - before.queued) / wall,
        lane=run.lane,
        errors=run.errors,
    )


def _cuts_ms(seconds: "array[float]") -> list[float]:
    return [cut * 1000 for cut in quantiles(seconds, n=100)] if len(seconds) > 1 else [0.0] * 99


def _asked(upstream: Server) -> int:
    connection = HTTPConnection("127.0.0.1", upstream.port, timeout=5.0)
    try:
        connection.request("GET", "/")
        return int(connection.getresponse().read())
    finally:
        connection.close()


@contextmanager
def _open_files(soft: int | None) -> Iterator[None]:
    """The soft limit of open files in the block, and in processes that are started there."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] if soft is None else soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _check(plan: Plan) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = 2 * plan.streams + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchmarkError(f"{plan.streams:,} streams need {needed:,} open files, the hard limit is {hard:,}")


class _Comparison:
    """Figures in the order in which they were taken: of the harness alone, the baseline, and the subjects."""

    def __init__(self) -> None:
        self.figures: dict[str, list[Figures]] = {}
        self.errors: Counter[str] = Counter()

    def add(self, name: str, figures: Figures) -> None:
        self.figures.setdefault(name, []).append(figures)
        self.errors.update({f"{name}: {reason}": times for reason, times in figures.errors.items()})

    def of_proxies(self) -> dict[str, list[Figures]]:
        return {name: runs for name, runs in self.figures.items() if name != _HARNESS}

    def pairs(self) -> list[list[Pairs]]:
        groups = []
        for label, figure, goal in _ROWS:
            value = attrgetter(figure)
            first, *others = ([value(figures) for figures in runs] for runs in self.of_proxies().values())
            groups.append([Pairs(label, first, other, None if n else goal) for n, other in enumerate(others)])
        return groups


async def _compare(plan: Plan, cores: Cores) -> _Comparison:
    """After an error there is nothing more to measure."""
    comparison = _Comparison()
    with TemporaryDirectory(prefix="benchmarks-") as name:
        command, shared = _upstream(plan.pace), Cores(cores.harness, cores.harness)
        with Server(command, Path(name), shared) as upstream:
            await asyncio.to_thread(upstream.wait_ready)
            comparison.add(_HARNESS, await _measure(plan, Target(upstream.port, AUTHORIZATION, os.getpid()), upstream))
            for variant in (BASELINE, *plan.variants) * plan.repeat:
                if not comparison.errors:
                    comparison.add(name_of(variant), await _calmest(plan, variant, upstream, cores))
    return comparison


def _upstream(pace: Pace) -> Command:
    port = free_port()
    flags = ("--port", str(port), "--events", str(pace.events), "--pace", str(pace.seconds))
    return Command("upstream", ("benchmarks.upstream", *flags), port)


async def _calmest(plan: Plan, variant: str, upstream: Server, cores: Cores) -> Figures:
    """Of a few tries, until one is calm: p99 tells of other processes first."""
    best = await _once(plan, variant, upstream, cores)
    for _ in range(TRIES - 1):
        if best.disturbed <= CALM or best.errors:
            break
        again = await _once(plan, variant, upstream, cores)
        best = again if again.errors or again.disturbed < best.disturbed else best
    return best


async def _once(plan: Plan, variant: str, upstream: Server, cores: Cores) -> Figures:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))
        with _open_files(None if variant == BASELINE else plan.open_files):
            server = stack.enter_context(proxy(variant, f"http://127.0.0.1:{upstream.port}/v1", folder, cores))
        await asyncio.to_thread(server.wait_ready)
        figures = await _measure(plan, target_of(server), upstream)
        return replace(figures, trace_mb=server.trace_mb())


def run(plan: Plan) -> bool:
    """Print the table; False if a stream was not whole or not the upstream's (then there is no table)."""
    _check(plan)
    cores = Cores.split()
    with _open_files(None), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        comparison = runner.run(_compare(plan, cores))
    if comparison.errors:
        show_errors("streams", comparison.errors)
        return False
    print(render_pairs("streams", list(comparison.of_proxies()), comparison.pairs()))
    _explain(plan, comparison, cores)
    return True


def _explain(plan: Plan, comparison: _Comparison, cores: Cores) -> None:
    pace, direct, proxies = plan.pace, comparison.figures[_HARNESS][0], comparison.of_proxies()
    everything = [figures for runs in proxies.values() for figures in runs]
    longest = max(figures.wall_seconds for figures in everything)
    what = f"{plan.streams:,} streams at once, {pace.events} words each, {pace.seconds:g} s apart"
    print(f"\n{what}: {plan.events:,} events in {longest:.1f} s, no errors")
    print(f"{f'medians of {plan.repeat} interleaved runs' if plan.repeat > 1 else 'one run'}, a new process for each")
    print(
        f"harness without a proxy: first byte p99 {direct.first_p99_ms:.0f} ms, delay p50 {direct.delay_p50_ms:.1f} "
        f"p99 {direct.delay_p99_ms:.1f} ms, later than paced p99 {direct.late_p99_ms:.1f} ms"
    )
    print(f"harness at most {max(figures.harness_busy for figures in everything):.0%} busy", end="; ")
    waits = {name: max(figures.disturbed for figures in runs) for name, runs in proxies.items()}
    print("time in which others had the core: " + ", ".join(f"{name} {share:.0%}" for name, share in waits.items()))
    print("lane: " + ", ".join(f"{name} {runs[-1].lane}" for name, runs in proxies.items()))
    show_traces({name: runs[-1].trace_mb for name, runs in proxies.items()})
    if cores.server == cores.harness:
        print("only one core: harness and proxy share it, delays (not CPU figures) mean little")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that only this benchmark has."""
    pace = Pace()
    parser.add_argument("--streams", type=int, default=1000, help="streams: how many at once (default 1000)")
    parser.add_argument("--events", type=int, default=pace.events, help=f"streams: words of each ({pace.events})")
    parser.add_argument("--pace", type=float, default=pace.seconds, help=f"streams: seconds apart ({pace.seconds:g})")
    parser.add_argument("--open-files", type=int, help="streams: soft limit that rotator starts with (default: hard)")


def problem(options: argparse.Namespace) -> str | None:
    """What is wrong with the flags of ``add_flags``."""
    if not 2 <= options.streams <= _MOST_STREAMS:
        return f"--streams must be between 2 and {_MOST_STREAMS:,}"
    if not 2 <= options.events <= _MOST_WORDS:
        return f"--events must be between 2 and {_MOST_WORDS:,}"
    if not 0.001 <= options.pace <= _MOST_PACE_SECONDS:
        return f"--pace must be between 0.001 and {_MOST_PACE_SECONDS:g}"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if options.open_files is not None and not _SPARE_FILES <= options.open_files <= hard:
        return f"--open-files must be between {_SPARE_FILES} and {hard:,}, the hard limit"
    return None


def plan_of(options: argparse.Namespace, repeat: int) -> Plan:
    pace = Pace(options.events, options.pace)
    return Plan(options.streams, pace, repeat, options.variants, options.open_files)
