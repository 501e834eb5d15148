"""``rotator serve``: run the proxy."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import importlib
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from rotator import __version__
from rotator.cli.common import flags_of, make_world, set_up_logging, tell_problems, tell_warnings
from rotator.config import Flags
from rotator.config.schema import Limits, Server, Trace
from rotator.contracts import ProtocolAdapter
from rotator.errors import ConfigError, PluginError
from rotator.server.core import Core
from rotator.server.process import Process, bind, check_bind
from rotator.trace.files import trace_folder
from rotator.wire.jsontext import dumps
from rotator.world import World, count_keys, summary

#: Allocations before the youngest generation is collected, then collections before the next ones are.
GC_THRESHOLD: Final = (10_000, 20, 20)
#: What macOS allows (its OPEN_MAX) where it says that there is no hard limit.
OPEN_MAX: Final = 10_240
#: Open files of a request: its client's connection and its upstream's; and what is open without any request.
FILES_PER_REQUEST: Final = 2
OTHER_FILES: Final = 64


def run(arguments: argparse.Namespace) -> int:
    set_up_logging()
    flags = flags_of(arguments)
    try:
        world = make_world(flags)
        check_bind(world)
    except (ConfigError, PluginError) as error:
        return tell_problems(error)
    tell_warnings(world)
    tell_open_files(raise_open_files(), world.settings.get(Limits).concurrent_requests)
    server = world.settings.get(Server)
    try:
        bound = bind(server.host, server.port)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = f"; --port {server.port + 1} takes another" if error.errno == errno.EADDRINUSE else ""
        print(f"rotator: cannot listen on {server.host}:{server.port}: {reason}{hint}", file=sys.stderr)
        return 1
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_serve(world, flags, bound))
        except OSError as error:
            print(f"rotator: cannot serve: {error.strerror or error}", file=sys.stderr)
            return 1
    return 0


def raise_open_files() -> int | None:
    """Raise the soft limit of open files to the hard one; many shells begin with 1,024, for ``select``, which nothing
    here uses.  The limit that holds from now on; None where there is none to know (Windows).
    """
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in (hard, max(soft, OPEN_MAX)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            break
    limit = int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return None if limit == resource.RLIM_INFINITY else limit


def tell_open_files(limit: int | None, concurrent_requests: int) -> None:
    """Beyond the limit connections are closed unanswered and upstreams seem to be down: a warning is due before."""
    if limit is None or limit >= FILES_PER_REQUEST * concurrent_requests + OTHER_FILES:
        return
    enough = max(limit - OTHER_FILES, 0) // FILES_PER_REQUEST
    print(
        f"rotator: warning: {limit} open files are enough for some {enough} requests at a time,"
        f" limits.concurrent_requests is {concurrent_requests}: raise the hard limit (ulimit -Hn)"
        f" or set it to {enough}",
        file=sys.stderr,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's where it exists; it does not on Windows."""
    try:
        return cast(Callable[[], asyncio.AbstractEventLoop], importlib.import_module("uvloop").new_event_loop)
    except ImportError:
        return asyncio.new_event_loop


async def _serve(world: World, flags: Flags, bound: socket.socket) -> None:
    core = Core(world)

    def ready(address: str) -> None:
        # What was made so far stays; requests make many short-lived objects and hardly a cycle. Both settings
        # together take a fifth off the CPU time of a small request (benchmarks, "relay").
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        print(banner(core.world, address), flush=True)

    await Process(core, bound, lambda before: make_world(flags, before), ready).run()


def banner(world: World, address: str) -> str:
    """Address, providers with credential counts, client key state, sources; with nothing set up, curls."""
    settings = world.settings
    providers = summary(world)
    keys = len(settings.client_keys)
    clients = count_keys(keys) if keys else "no client key: only this machine may ask"
    lines = [
        f"rotator {__version__} on {address}",
        f"  providers  {providers}",
        f"  clients    {clients}",
        f"  settings   {', '.join(settings.sources) or 'defaults'}",
    ]
    level = settings.get(Trace).level
    if level != "off":
        kept = "no prompts" if level == "meta" else "prompts and answers are written"
        lines.append(f"  trace      {level} ({kept}): {trace_folder(settings)}")
    stand_ins = [name for name in world.credentials if world.providers[name].stand_in]
    if stand_ins:
        provider = world.providers[stand_ins[0]]
        lines += ["", f"Try it ({provider.name} answers, nothing leaves this machine):", ""]
        served = {profile.protocol for profile in provider.profiles.values()}
        model = f"{provider.name}/{next(iter(provider.listed))}"
        for protocol in world.protocols.values():
            if protocol.name in served:
                lines += [curl(protocol, address, model, bool(keys)), ""]
    return "\n".join(lines)


def curl(protocol: ProtocolAdapter, address: str, model: str, keyed: bool) -> str:
    """A command that works as printed."""
    body = dumps(protocol.example(model)).decode()
    key = ' -H "authorization: Bearer $PROXY_API_KEY"' if keyed else ""
    path = protocol.routes[0].path
    return f"  curl -N {address}{path} -H 'content-type: application/json'{key} \\\n    -d '{body}'"
