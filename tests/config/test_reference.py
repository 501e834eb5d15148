"""The documentation and the sample say what the schema says."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.config import Settings
from rotator.config.reference import settings_table
from rotator.config.sections import names, settings, variables

ROOT = Path(__file__).resolve().parents[2]
Configure = Callable[..., Settings]


@pytest.fixture(autouse=True)
def every_section() -> None:
    """The table holds what is registered; so all that registers anything is imported."""
    for path in sorted((ROOT / "rotator").rglob("*.py")):
        if re.search(r"^ *(@section|variable)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def test_the_documentation_holds_the_table() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    head, _, table = page.partition("\n## All settings\n\n")
    assert head and table == settings_table()


def test_the_table_holds_every_setting_and_variable() -> None:
    table = settings_table()
    assert all(f"| `{one.key}` |" in table for one in settings())
    assert all(f"`{name}`" in table for name in variables())
    assert all(f"| `{one.form}` |" in table for one in names())
    assert all(one.entry.rule.doc.endswith(".") for one in settings())
    assert len({line.count(" | ") for line in table.splitlines() if line.startswith("| `timeouts.")}) == 1


def sample() -> str:
    return (ROOT / ".env.example").read_text(encoding="utf-8")


def test_the_sample_sets_nothing(configure: Configure) -> None:
    settings = configure(dotenv=sample())
    assert (dict(settings.environment), settings.ignored, settings.warnings) == ({}, (), ())


def test_the_sample_s_lines_are_known_names_with_good_values(configure: Configure, tmp_path: Path) -> None:
    for name in ("plugins", "ca.pem"):
        (tmp_path / name).mkdir()
    (tmp_path / "rotator.yaml").touch()
    text = re.sub(r"^#(?=[A-Z0-9_]+=)", "", sample(), flags=re.MULTILINE)
    set_there = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", text, re.MULTILINE))
    loaded = configure(dotenv=text)
    assert (loaded.ignored, loaded.warnings) == ((), ())
    assert set(loaded.environment) == {name for name, value in set_there.items() if value}
    assert not any("API_KEY" in name and value for name, value in set_there.items() if re.search(r"KEY(_\d+)?$", name))
    # A field's sample is its default, so that uncommenting changes nothing.
    for name, one in variables().items():
        if name in set_there and name != "TRUSTED_SESSION_ID_FIELDS":
            kind = next(kind for kind in loaded.sections if kind.__name__.lower() == one.section)
            assert getattr(loaded.get(kind), one.entry.name) == one.entry.default, name
    firm = {one.entry.rule.env[0] for one in settings() if one.entry.rule.env}
    assert firm <= set(set_there)
