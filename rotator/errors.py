"""The error tree.

::

    RotatorError
      ConfigError(problems)           stops the start (exit code 2): file, key, reason
      PluginError(path, reason)       a plug-in file that cannot be used
      Refused(error)                  the client gets ``error`` in its protocol; trying elsewhere cannot help
      UpstreamFailed(error)           the vendor or the road to it failed; classified, perhaps tried elsewhere
      NoCredential(...)               no key may be used now; knows when one may be

A class exists only where someone catches it by name or the client sees another answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rotator.neutral.error import NeutralError


class RotatorError(Exception):
    """Root of the tree."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the configuration: where it stands, its key, and why it cannot be used."""

    where: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.reason}" if self.key else f"{self.where}: {self.reason}"


class ConfigError(RotatorError):
    """The configuration cannot be used; ``problems`` names each file, key and reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(RotatorError):
    """A plug-in cannot be used. ``path`` names its file (or entry point), ``reason`` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Refused(RotatorError):
    """The client gets this error; no credential and no other target could change it."""

    def __init__(self, error: NeutralError) -> None:
        super().__init__(error.message)
        self.error = error


class UpstreamFailed(RotatorError):
    """An attempt failed. ``stage`` says how far it came; ``headers`` are the vendor's (lower-case), if it answered.

    connect: nothing was sent. sent: the request went out, no whole answer came. answered: the vendor's own error.
    """

    def __init__(
        self,
        error: NeutralError,
        stage: Literal["connect", "sent", "answered"],
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.stage = stage
        self.headers = headers or {}


class NoCredential(RotatorError):
    """No key may be used now.  ``error`` is for the client; ``free_in_seconds`` says when one may be, if known.

    ``decision`` is the record of the choice that found none (``rotator.credentials.decision``).
    """

    def __init__(self, error: NeutralError, free_in_seconds: float | None, decision: object = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.free_in_seconds = free_in_seconds
        self.decision = decision
