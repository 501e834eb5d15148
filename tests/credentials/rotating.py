"""The rotation of providers, made of what files and the environment say."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotator.config import Flags, Settings, load
from rotator.config.rotation import Rotation
from rotator.contracts import Credential
from rotator.credentials.rotation_of import rotations
from rotator.errors import Problem
from rotator.upstream.provider import HttpProvider

MODES = ("sequential", "balanced", "round_robin")
NOWHERE = Path("/nowhere-to-read-files-from")


def provider(name: str = "acme", rotation: Mapping[str, Any] | None = None, **declared: Any) -> HttpProvider:
    return HttpProvider(
        {"name": name, "protocol": "chat", "base_url": f"https://{name}.example/v1", "rotation": rotation, **declared}
    )


def settings_with(environ: Mapping[str, str], everybodys: Mapping[str, Any] | None = None) -> Settings:
    settings = load(Flags(), environ=environ, cwd=NOWHERE)
    return dataclasses.replace(settings, rotation=everybodys or {})


def rotating(environ: Mapping[str, str], *providers: HttpProvider, **said: Any) -> dict[str, Rotation]:
    problems: list[Problem] = []
    own = {one.name: one for one in providers or (provider(),)}
    made = rotations(settings_with(environ, **said), own, MODES, problems)
    assert problems == []
    return dict(made)


def acme(environ: Mapping[str, str], rotation: Mapping[str, Any] | None = None, **more: Any) -> Rotation:
    """The one provider's, whose files say ``rotation``."""
    return rotating(environ, provider(rotation=rotation, **more))["acme"]


def told(environ: Mapping[str, str], rotation: Mapping[str, Any] | None = None, **more: Any) -> list[str]:
    problems: list[Problem] = []
    rotations(settings_with(environ), {"acme": provider(rotation=rotation, **more)}, MODES, problems)
    return [str(problem) for problem in problems]


def key(number: int, tier: str | None = None, priority: int = 10) -> Credential:
    return Credential(str(number), "acme", f"acme#{number}", None, tier, priority)
