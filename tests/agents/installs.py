"""Where clients come from: pinned releases, each installed once into a folder of the cache."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: As it was when this was imported: the tests' own conftest then takes the user's settings and proxies out of it.
ENVIRON = dict(os.environ)
CACHE_VARIABLE = "AGENTS_CACHE"
INSTALL_SECONDS = 420.0
#: What is told of a client that cannot be installed: so much of the installer's own words.
TOLD_CHARACTERS = 300
TOLD_LINES = 3

#: The releases of clients.md, whose observations the sessions lean on. ``zod`` describes schemas to the SDKs.
NODE_SDKS = (
    "openai@6.49.0", "@anthropic-ai/sdk@1.11.0", "ai@7.0.173", "@ai-sdk/openai@4.0.118",
    "@ai-sdk/openai-compatible@3.0.92", "@ai-sdk/anthropic@4.0.105", "zod@4.6.7",
)  # fmt: skip


class Unavailable(Exception):
    """A client that cannot be had here, and why."""


@dataclass(frozen=True)
class Client:
    """One client: its registry, its packages, and what of its folder is started (any of ``binaries``)."""

    registry: str
    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    #: Asked once, to see whether it starts here.
    probe: tuple[str, ...] = ("--version",)


CLIENTS: Mapping[str, Client] = {
    # Native binaries, in a package for each platform; the main package would only link to them.
    "claude-code": Client(
        "npm", ("@anthropic-ai/claude-code@2.1.328",), ("node_modules/@anthropic-ai/claude-code-*/claude",)
    ),
    "opencode": Client(
        "npm",
        ("opencode-ai@1.18.33",),
        ("node_modules/opencode-ai/bin/opencode.exe", "node_modules/opencode-*/bin/opencode"),
    ),
    "node-sdks": Client("npm", NODE_SDKS, ()),
    "aider": Client("pypi", ("aider-chat==0.86.2",), ("bin/aider",)),
    "llm": Client("pypi", ("llm==0.36",), ("bin/llm",)),
}


def cache_folder(named: str = "") -> Path:
    """Where clients are kept: outside the tree, whatever is said."""
    folder = Path(named or ENVIRON.get(CACHE_VARIABLE, "") or Path(tempfile.gettempdir()) / "rotator-agents")
    folder = folder.absolute()
    if Path(__file__).resolve().parents[2] in (folder.resolve(), *folder.resolve().parents):
        raise SystemExit(f"{folder}: clients are installed outside the project")
    return folder


def install(name: str, cache: Path) -> Path:
    """The client's folder, filled if it was not. Unavailable where that fails."""
    client = CLIENTS[name]
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / ".installed"
    with (cache / f"{name}.lock").open("w") as lock:  # two runs may share a cache
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = json.dumps([client.registry, *client.packages])
        if not stamp.is_file() or stamp.read_text() != wanted:
            {"npm": _npm, "pypi": _pypi}[client.registry](folder, client.packages)
            stamp.write_text(wanted)
    return folder


def binary(name: str, cache: Path) -> Path:
    """A client's program, installed and found to start."""
    client, folder = CLIENTS[name], install(name, cache)
    tried = "it brought no program for this platform"
    for found in (path for pattern in client.binaries for path in sorted(folder.glob(pattern))):
        try:
            _run(str(found), *client.probe, folder=folder, seconds=60.0)
        except Unavailable as why:
            tried = str(why)
        else:
            return found
    raise Unavailable(tried)


def node() -> Path:
    """The JavaScript runtime of this machine."""
    found = shutil.which("node")
    if found is None:
        raise Unavailable("node is not installed")
    return Path(found)


def _npm(folder: Path, packages: tuple[str, ...]) -> None:
    if shutil.which("npm") is None:
        raise Unavailable("npm is not installed")
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", *packages, folder=folder)


def _pypi(folder: Path, packages: tuple[str, ...]) -> None:
    _run(sys.executable, "-m", "venv", str(folder), folder=folder)
    _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-input", *packages, folder=folder)  # fmt: skip


def _gist(said: str) -> str:
    """The first lines that speak of an error, else the end: installers hide it between warnings and advice."""
    wrong = [line for line in said.splitlines() if "error" in line.lower()]
    return " ".join(wrong[:TOLD_LINES])[:TOLD_CHARACTERS] if wrong else said[-TOLD_CHARACTERS:]


def _run(*command: str, folder: Path, seconds: float = INSTALL_SECONDS) -> None:
    """Run to its end, in a folder. Unavailable with its last words where it fails."""
    name = Path(command[0]).name
    try:
        subprocess.run(
            command, cwd=folder, env=ENVIRON, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} {command[1]} took more than {seconds:.0f} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).decode(errors="replace").strip()
        raise Unavailable(f"{name} {command[1]} failed: {_gist(said)}") from None
    except OSError as error:
        raise Unavailable(f"{name} cannot be started: {error.strerror}") from None
