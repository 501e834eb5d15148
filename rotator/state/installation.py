"""The secret of an installation: what it seals, it alone can open (design.md 3, "Opaque state")."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FILE: Final = "secret.key"
SECRET_BYTES: Final = 32
#: Shorter ones could be guessed: every envelope is a way to test a guess.
LEAST_BYTES: Final = 16


def installation_secret(folder: Path) -> bytes:
    """The secret in the state folder, made where there is none.

    Where it can neither be read nor kept, there is one for this process, and the log says so.
    """
    path = folder / FILE
    try:
        return _read(path) or _made(path)
    except OSError as error:
        log.warning("%s: %s; sealed reasoning state ends with this process", path, error.strerror or error)
        return secrets.token_bytes(SECRET_BYTES)


def _read(path: Path) -> bytes | None:
    try:
        held = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    return held if len(held) >= LEAST_BYTES else None


def _made(path: Path) -> bytes:
    """Written beside its place and linked there: of two processes that begin together the first one's counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
        with suppress(FileExistsError):  # the other one's is as good
            os.link(begun, path)
    finally:
        begun.unlink()
    kept = _read(path)
    if kept is None:
        raise OSError(None, "is too short", str(path))
    return kept
