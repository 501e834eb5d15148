"""A folder with configuration files in it, and what loading them gives."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rotator.config import Flags, Settings, load, sections
from rotator.errors import ConfigError

Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """``configure(environ, dotenv=TEXT, file=TEXT, **flags)``: load in a folder with these files."""

    def configured(
        environ: Mapping[str, str] | None = None, *, dotenv: str | None = None, file: str | None = None, **flags: Any
    ) -> Settings:
        if dotenv is not None:
            (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
        if file is not None:
            (tmp_path / "rotator.yaml").write_text(file, encoding="utf-8")
        return load(Flags(**flags), environ=environ or {}, cwd=tmp_path)

    return configured


@pytest.fixture
def refused(configure: Configure) -> Callable[..., list[str]]:
    """Like ``configure``, for what must not load: the lines of the error."""

    def lines(*args: Any, **kwargs: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            configure(*args, **kwargs)
        assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
        return str(caught.value).splitlines()

    return lines


@pytest.fixture
def own_sections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    monkeypatch.setattr(sections, "_sections", dict(sections._sections))
    monkeypatch.setattr(sections, "_names", dict(sections._names))
    yield
