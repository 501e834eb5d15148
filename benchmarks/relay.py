"""``relay``: rotator beside the bare relay under the same loads, A B A B, as ratios of one run.

Load generator and fake upstream share this process and its core; each proxy is a process on the other core. Several
variants of rotator take their turns in the same run.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.canned import AUTHORIZATION, MODEL, UPSTREAM_KEY
from benchmarks.client import Load, Target
from benchmarks.load import Figures, measure
from benchmarks.processes import Command, Cores, Server, free_port
from benchmarks.table import Goal, Pairs, render_pairs
from benchmarks.upstream import Upstream

CONNECTIONS = 32
BASELINE = "relay"
TRACE_LEVELS = ("meta", "bounds", "full")
TRANSLATIONS = {"translate-chat-messages": ("chat", "messages"), "translate-messages-chat": ("messages", "chat")}
"""Variant -> the protocols of its client and of its upstream; all others speak chat on both sides."""
VARIANTS = ("raw", "native", *TRANSLATIONS, *(f"trace-{level}" for level in TRACE_LEVELS))
_SAME = "same relay"
_SHOWN_ERRORS = 10
_SELF_CHECK_TOLERANCE = 0.1
CALM = 0.05
TRIES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """``figure`` is a field of ``Figures``."""

    label: str
    load: str
    figure: str
    goal: Goal | None = None


_ROWS = (
    Row("requests: answers/s", "requests", "answers_per_second"),
    Row("requests: CPU us per request", "requests", "cpu_us_per_answer", Goal(1.3, most=True)),
    Row("requests: latency p50 us", "requests", "latency_p50_us"),
    Row("requests: latency p99 us", "requests", "latency_p99_us"),
    Row("one connection: latency p50 us", "single", "latency_p50_us"),
    Row("one connection: latency p99 us", "single", "latency_p99_us"),
    Row("lock-step: events/s", "lockstep", "events_per_second", Goal(0.85, most=False)),
    Row("lock-step: CPU us per event", "lockstep", "cpu_us_per_event"),
    Row("flood: events/s", "flood", "events_per_second"),
    Row("flood: CPU us per event", "flood", "cpu_us_per_event"),
)


def _loads(seconds: float) -> dict[str, Load]:
    return {
        "requests": Load("requests", CONNECTIONS, seconds),
        "single": Load("requests", 1, seconds / 2),
        "lockstep": Load("lockstep", CONNECTIONS, seconds),
        "flood": Load("flood", CONNECTIONS, seconds),
    }


def rotator_command(folder: Path, api_base: str, port: int, variant: str = "raw") -> Command:
    """``rotator serve`` with one OpenAI-compatible provider, ``bench``, that exists by its environment alone.

    ``native`` declares it in a configuration file, with that lane as the least, and so does a translation with its
    upstream's protocol; ``trace-LEVEL`` writes a trace.
    """
    env_file = folder / "bench.env"
    env_file.write_text(f"BENCH_API_BASE={api_base}\nBENCH_API_KEY={UPSTREAM_KEY}\n")
    flags = ["--port", str(port), "--env-file", str(env_file), "--state", str(folder / "state")]
    if variant == "native" or variant in TRANSLATIONS:
        declared = {"protocol": _spoken(variant)[1], "base_url": api_base, "auth": "bearer"}
        if variant == "native":
            declared["lane"] = variant
        config = folder / "bench.json"
        config.write_text(json.dumps({"providers": {"bench": declared}}))
        flags += ["--config", str(config)]
    elif variant.startswith("trace-"):
        flags += ["--trace", variant.removeprefix("trace-"), "--trace-dir", str(folder / "trace")]
    return Command(name_of(variant), ("rotator", "serve", *flags), port)


def name_of(variant: str) -> str:
    return "rotator" if variant == "raw" else variant


def _spoken(name: str) -> tuple[str, str]:
    return TRANSLATIONS.get(name, ("chat", "chat"))


def target_of(server: Server) -> Target:
    """How a server under test is asked."""
    return Target(server.port, "Bearer anybody", server.pid, *_spoken(server.name))


def proxy(variant: str, api_base: str, folder: Path, cores: Cores) -> Server:
    """The bare relay or a variant of rotator, in a folder of its own; not started yet."""
    own, port = folder / variant.replace(" ", "-"), free_port()
    own.mkdir(parents=True)
    if variant not in (BASELINE, _SAME):
        return Server(rotator_command(own, api_base, port, variant), own, cores)
    flags = ("--port", str(port), "--upstream", f"{api_base}/chat/completions")
    return Server(Command(variant, ("benchmarks.bare_relay", *flags), port), own, cores)


def show_traces(written_mb: Mapping[str, float]) -> None:
    """A line for each variant that should have written a trace; one that wrote none has not measured its cost."""
    for name, megabytes in written_mb.items():
        if name.startswith("trace-"):
            print(f"{name}: " + (f"{megabytes:,.1f} MB written" if megabytes else "NO TRACE was written or measured"))


@contextmanager
def _running(variants: Sequence[str], api_base: str, cores: Cores) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))
        yield [stack.enter_context(proxy(variant, api_base, folder, cores)) for variant in (BASELINE, *variants)]


@asynccontextmanager
async def _listening(upstream: Upstream) -> AsyncIterator[int]:
    server = await upstream.listen()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


class Comparison:
    """Figures of all servers, per load, in the order in which they were taken; the first one is the baseline."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.lanes: dict[str, str] = {}
        self.rss_mb: dict[str, float] = {}
        self.trace_mb: dict[str, float] = {}
        self.errors: Counter[str] = Counter()
        self._figures: dict[tuple[str, str], list[Figures]] = {}

    def add(self, name: str, load: str, figures: Figures) -> None:
        self._figures.setdefault((name, load), []).append(figures)
        self.lanes[name] = figures.lane
        for reason, times in figures.errors.items():
            self.errors[f"{name}, {load}: {reason}"] += times

    def harness_busy(self) -> float:
        """The busiest that the harness was: near 1 it is the harness that is measured."""
        return max(figures.harness_busy for figures in self._all())

    def disturbed(self) -> str:
        runs = list(self._all())
        return f"{sum(figures.disturbed > CALM for figures in runs)} of {len(runs)}"

    def pairs(self) -> list[list[Pairs]]:
        """For each row one pair per subject; goals are set for the first."""
        return [self._pairs(row) for row in _ROWS]

    def _all(self) -> Iterator[Figures]:
        return chain.from_iterable(self._figures.values())

    def _pairs(self, row: Row) -> list[Pairs]:
        value = attrgetter(row.figure)
        first, *others = ([value(figures) for figures in self._figures[name, row.load]] for name in self.names)
        return [Pairs(row.label, first, other, None if n else row.goal) for n, other in enumerate(others)]


async def _compare(
    seconds: float, repeat: int, variants: Sequence[str], cores: Cores
) -> tuple[list[str], Comparison]:
    upstream = Upstream()
    async with _listening(upstream) as port:
        ceiling = await _ceiling(seconds, port, upstream)
        with _running(variants, f"http://127.0.0.1:{port}/v1", cores) as servers:
            for server in servers:
                await asyncio.to_thread(server.wait_ready)
            comparison = Comparison([server.name for server in servers])
            await _interleave(comparison, servers, _loads(seconds), repeat, upstream)
            comparison.rss_mb = {server.name: server.rss_mb() for server in servers}
            comparison.trace_mb = {server.name: server.trace_mb() for server in servers}
            return ceiling, comparison


async def _calm(load: Load, target: Target, upstream: Upstream) -> Figures:
    """The calmest of a few tries: a run in which other processes took a core tells of them, not of the proxy."""
    best = await measure(load, target, upstream)
    for _ in range(TRIES - 1):
        if best.disturbed <= CALM or best.errors:
            break
        again = await measure(load, target, upstream)
        best = again if again.errors or again.disturbed < best.disturbed else best
    return best


async def _ceiling(seconds: float, port: int, upstream: Upstream) -> list[str]:
    """The harness without any proxy between: a figure near it would measure the harness, not the proxy."""
    direct = Target(port, AUTHORIZATION, os.getpid())
    figures = {name: await measure(load, direct, upstream) for name, load in _loads(min(seconds, 1.0)).items()}
    return [
        f"{figures['requests'].answers_per_second:,.0f} answers/s",
        f"{figures['lockstep'].events_per_second:,.0f} lock-step events/s",
        f"{figures['flood'].events_per_second:,.0f} flood events/s",
    ]


async def _interleave(
    comparison: Comparison, servers: Sequence[Server], loads: dict[str, Load], repeat: int, upstream: Upstream
) -> None:
    """The first round only warms both up; after an error there is nothing more to measure."""
    targets = {server.name: target_of(server) for server in servers}
    for name, target in targets.items():
        warm = await measure(Load("lockstep", CONNECTIONS, 0.5), target, upstream)
        comparison.errors.update({f"{name}, warming up: {reason}": n for reason, n in warm.errors.items()})
    for _ in range(repeat):
        for load_name, load in loads.items():
            for name, target in targets.items():
                if comparison.errors:
                    return
                comparison.add(name, load_name, await _calm(load, target, upstream))


def run(seconds: float, repeat: int, variants: Sequence[str] = ("raw",), self_check: bool = False) -> bool:
    """Print the table; False if answers were wrong (then there is no table) or the self-check shows a bias."""
    cores = Cores.split()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ceiling, comparison = runner.run(_compare(seconds, repeat, [_SAME] if self_check else variants, cores))
    if comparison.errors:
        show_errors("relay", comparison.errors)
        return False
    pairs = comparison.pairs()
    print(render_pairs("relay", comparison.names, pairs))
    print(f"\nmedians of {repeat} interleaved runs of {seconds:g} s; {CONNECTIONS} connections; model {MODEL}")
    print(f"other processes took a core for more than {CALM:.0%} of the time in {comparison.disturbed()} runs")
    print(f"harness: {', '.join(ceiling)} without a proxy; at most {comparison.harness_busy():.0%} busy with one")
    print("lane: " + ", ".join(f"{name} {lane}" for name, lane in comparison.lanes.items()), end="; ")
    print("RSS: " + ", ".join(f"{name} {rss:.0f} MB" for name, rss in comparison.rss_mb.items()))
    show_traces(comparison.trace_mb)
    if cores.server == cores.harness:
        print("only one core: harness and proxy share it, rates (not CPU figures) mean little")
    return not self_check or _unbiased([group[0] for group in pairs])


def show_errors(name: str, errors: Counter[str]) -> None:
    print(f"{name}: answers were wrong, so there are no ratios:")
    for reason, times in errors.most_common(_SHOWN_ERRORS):
        print(f"  {times} x {reason}")
    if len(errors) > _SHOWN_ERRORS:
        print(f"  and {len(errors) - _SHOWN_ERRORS} others")


def _unbiased(pairs: Sequence[Pairs]) -> bool:
    """p99 is left out: it tells of the machine's neighbours, not of the harness."""
    off = [pair.label for pair in pairs if "p99" not in pair.label and abs(pair.ratio() - 1) > _SELF_CHECK_TOLERANCE]
    print(f"self-check: {'biased or disturbed: ' + ', '.join(off) if off else 'both sides equal within 10 %'}")
    return not off
