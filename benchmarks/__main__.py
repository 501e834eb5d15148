"""``python -m benchmarks [ready|version|relay] [--seconds N] [--repeat N] [--self-check]``."""

import argparse
import signal
import sys
from types import FrameType

from benchmarks import relay, start
from benchmarks.processes import ROOT, BenchmarkError

_NAMES = ("version", "ready", "relay")
_STARTS = 7
_ROUNDS = 7
_MOST_SECONDS = 60.0
_MOST_REPEATS = 50


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures beside their baseline.")
    parser.add_argument("name", nargs="?", choices=_NAMES, help="one benchmark; all without it")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run under load (default 1)")
    parser.add_argument("--repeat", type=int, help=f"runs of each kind (default {_STARTS} starts, {_ROUNDS} loads)")
    parser.add_argument("--self-check", action="store_true", help="relay: the bare relay on both sides, ratio 1")
    options = parser.parse_args()
    if not 0.1 <= options.seconds <= _MOST_SECONDS:
        parser.error(f"--seconds must be between 0.1 and {_MOST_SECONDS:g}")
    if options.repeat is not None and not 1 <= options.repeat <= _MOST_REPEATS:
        parser.error(f"--repeat must be between 1 and {_MOST_REPEATS}")
    if options.self_check and options.name != "relay":
        parser.error("--self-check belongs to relay")
    return options


def _run(name: str, options: argparse.Namespace) -> bool:
    if name == "relay":
        return relay.run(options.seconds, options.repeat or _ROUNDS, options.self_check)
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
