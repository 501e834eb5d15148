"""``python -m benchmarks [NAME] [flags]``; ``--help`` and README.md tell names and flags."""

import argparse
import signal
import sys
from types import FrameType

from benchmarks import codecs, hostile, relay, selection, soak, start, streams, week
from benchmarks.processes import ROOT, BenchmarkError

_NAMES = ("version", "ready", "codecs", "selection", "simulation", "relay", "streams", "hostile")
#: A check and no comparison: only where it is asked for.
_SOAK = "soak"
_STARTS = 7
_ROUNDS = 7
_STREAM_RUNS = 1
_WEEKS = 2
_MOST_SECONDS = 60.0
_MOST_REPEATS = 50


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures beside their baseline.")
    parser.add_argument("name", nargs="?", choices=(*_NAMES, _SOAK), help="one benchmark; all without it, save soak")
    parser.add_argument("--seconds", type=float, help=f"of each run under load (default 1, soak {soak.SECONDS:g})")
    repeats = f"default {_STARTS} starts, {_ROUNDS} loads, codecs and selections, {_STREAM_RUNS} of streams"
    parser.add_argument("--repeat", type=int, help=f"runs of each kind ({repeats})")
    parser.add_argument("--self-check", action="store_true", help="relay: the bare relay on both sides, ratio 1")
    variants = f"relay, streams: of {','.join(relay.VARIANTS)} (default raw)"
    parser.add_argument("--variants", type=_variants, metavar="NAME,...", help=variants)
    parser.add_argument("--trace", choices=relay.TRACE_LEVELS, help="relay, streams: also with such a trace")
    streams.add_flags(parser)
    soak.add_flags(parser)
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = soak.SECONDS if options.name == _SOAK else 1.0
    options.variants = options.variants or ["raw"]
    if options.trace and f"trace-{options.trace}" not in options.variants:
        options.variants.append(f"trace-{options.trace}")
    most = soak.MOST_SECONDS if options.name == _SOAK else _MOST_SECONDS
    if not 0.1 <= options.seconds <= most:
        parser.error(f"--seconds must be between 0.1 and {most:g}")
    if not 1 <= options.clients <= soak.MOST_CLIENTS:
        parser.error(f"--clients must be between 1 and {soak.MOST_CLIENTS}")
    if options.repeat is not None and not 1 <= options.repeat <= _MOST_REPEATS:
        parser.error(f"--repeat must be between 1 and {_MOST_REPEATS}")
    if options.self_check and options.name != "relay":
        parser.error("--self-check belongs to relay")
    if problem := streams.problem(options):
        parser.error(problem)
    return options


def _variants(names: str) -> list[str]:
    chosen = list(dict.fromkeys(names.split(",")))
    if unknown := set(chosen) - set(relay.VARIANTS):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))} among {', '.join(relay.VARIANTS)}")
    return chosen


def _run(name: str, options: argparse.Namespace) -> bool:
    if name == "relay":
        return relay.run(options.seconds, options.repeat or _ROUNDS, options.variants, options.self_check)
    if name == _SOAK:
        return soak.run(soak.Plan(options.seconds, options.clients, options.seed))
    if name == "codecs":
        return codecs.run(options.repeat or _ROUNDS)
    if name == "selection":
        return selection.run(options.repeat or _ROUNDS)
    if name == "simulation":
        return week.run(options.repeat or _WEEKS)
    if name == "hostile":
        return hostile.run(options.seconds)
    if name == "streams":
        return streams.run(streams.plan_of(options, options.repeat or _STREAM_RUNS))
    return (start.run_ready if name == "ready" else start.run_version)(options.repeat or _STARTS)


def _stop(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, through every ``finally``: an exit raised inside a callback of the loop would be lost."""
    signal.raise_signal(signal.SIGINT)


def main() -> int:
    """0 if all was measured, whether goals are met or not; 1 if answers were wrong or nothing could be measured."""
    options = _options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    signal.signal(signal.SIGTERM, _stop)
    right = True
    try:
        if not options.self_check and not (ROOT / "rotator" / "__main__.py").exists():
            raise BenchmarkError("there is no rotator here to measure (relay --self-check needs none)")
        for name in [options.name] if options.name else _NAMES:
            right = _run(name, options) and right
            print(flush=True)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
