"""``rotator plugins``: what was found, where, and whether it is in use; entry points; a checkout of one's own."""

import shutil
from pathlib import Path

import pytest

from tests.cli.running import ROOT, environment, run

KINDS = ("protocols", "adapters", "providers")
YAML = "protocol: chat\nbase_url: http://127.0.0.1:9/v1\n"
MODULE = """
from rotator.api import HttpProvider, hookimpl

@hookimpl
def register_providers(register):
    register(HttpProvider({"name": "NAME", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}))
"""


def rows(printed: str) -> dict[tuple[str, str], list[str]]:
    """Kind and name -> origin, state and the rest of each line."""
    _, *lines = printed.splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    return {(line[0], line[1]): line[2:] for line in cells}


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def distribution(folder: Path, entries: dict[str, str]) -> None:
    """An installed package with these entry points, as an installer leaves it behind."""
    info = folder / "rotator_acme-1.0.dist-info"
    put(info / "METADATA", "Metadata-Version: 2.1\nName: rotator-acme\nVersion: 1.0\n")
    put(info / "entry_points.txt", "[rotator]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items()))


def test_a_table_of_everything(tmp_path: Path) -> None:
    """Nothing is hidden: what is ours, what is the user's, what lost, what is broken and why."""
    mine = tmp_path / "mine" / "providers"
    acme, ours = put(mine / "acme.yaml", YAML), ROOT / "providers" / "openai.yaml"
    openai, broken = put(mine / "openai.yaml", YAML), put(mine / "broken.py", "import no_such_module\n")
    done = run("plugins", "--plugins", "mine", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[0].split() == ["KIND", "NAME", "ORIGIN", "STATE", "FILE"]
    found = rows(done.stdout)
    assert found["providers", "acme"] == ["user", "ok", str(acme)]
    assert found["protocols", "chat"] == ["built-in", "ok", str(ROOT / "protocols" / "chat")]
    reason = "(ModuleNotFoundError: No module named 'no_such_module')"
    assert found["providers", "broken"] == ["user", "broken", str(broken), reason]
    assert found["providers", "openai"] == ["built-in", "overridden", str(ours), f"(by {openai})"]
    columns = {line.index(line.split("  ")[-1]) for line in done.stdout.splitlines() if "built-in  ok" in line}
    assert len(columns) == 1


def test_an_observer_has_a_name_in_the_table(tmp_path: Path) -> None:
    path = put(tmp_path / "mine" / "adapters" / "watching.py", "from rotator.api import hookimpl\n"
               "@hookimpl\ndef on_attempt(attempt): ...\n")
    done = run("plugins", "--plugins", "mine", cwd=tmp_path)
    assert rows(done.stdout)["adapters", "watching"] == ["user", "ok", str(path)], done.stdout


def test_folders_from_every_place(tmp_path: Path) -> None:
    """Flags first, as they stand there, then the environment, the env file and the configuration file."""
    for name in ("one", "two", "three", "four", "five"):
        put(tmp_path / name / "providers" / "shared.yaml", YAML)
        put(tmp_path / name / "providers" / f"of_{name}.yaml", YAML)
    put(tmp_path / ".env", "ROTATOR_PLUGINS=four\n")
    put(tmp_path / "rotator.yaml", "plugins: [five]\n")
    flags = ("--plugins", "one", "--plugins", "two")
    env = {"ROTATOR_PLUGINS": str(tmp_path / "three")}
    done = run("plugins", *flags, cwd=tmp_path, env=env)
    shared = [line.split() for line in done.stdout.splitlines() if " shared " in line]
    assert [line[3] for line in shared] == ["ok", *["overridden"] * 4]
    places = [Path(line[4]).parents[1].name for line in shared]
    assert places == ["one", "two", "three", "four", "five"]
    assert all(f"of_{name}" in done.stdout for name in places)


def test_a_bad_configuration_is_told(tmp_path: Path) -> None:
    done = run("plugins", "--plugins", "missing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rotator: command line: --plugins: no such folder: missing\n"


def test_installed_packages_bring_plugins(tmp_path: Path) -> None:
    """They add names and replace none; a broken one is named with its distribution and harms nobody."""
    site = tmp_path / "site"
    put(site / "acme_plugin.py", MODULE.replace("NAME", "acme"))
    put(site / "acme_openai.py", MODULE.replace("NAME", "openai"))
    put(site / "acme_exits.py", "raise SystemExit(3)\n")
    put(site / "acme_empty.py", "")
    distribution(site, {
        "acme": "acme_plugin", "other": "acme_openai", "bad": "acme_exits", "lost": "no_such_module",
        "attribute": "acme_plugin:nothing", "empty": "acme_empty",
    })
    done = run("plugins", cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{site}"})
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert found["providers", "acme"][:3] == ["installed", "ok", "rotator-acme: acme = acme_plugin"]
    installed = [line for line in done.stdout.splitlines() if " installed " in line]
    assert len(installed) == 6
    for name, reason in (("bad", "SystemExit: 3"), ("lost", "no_such_module"), ("attribute", "nothing"),
                         ("empty", "registers nothing")):
        kept = found["package", name]
        assert kept[:2] == ["installed", "broken"] and f"rotator-acme: {name} = " in kept[2] and reason in kept[3]
    [replaced] = [line for line in installed if "acme_openai" in line]
    assert "overridden" in replaced and str(ROOT / "providers" / "openai.yaml") in replaced


def test_an_entry_point_that_is_no_value_harms_nobody(tmp_path: Path) -> None:
    site = tmp_path / "site"
    put(site / "acme_plugin.py", MODULE.replace("NAME", "acme"))
    distribution(site, {"acme": "acme_plugin", "odd": "not a:value!"})
    done = run("plugins", cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{site}"})
    assert done.returncode == 0 and "Traceback" not in done.stderr
    found = rows(done.stdout)
    assert found["providers", "acme"][1] == "ok" and found["package", "odd"][1] == "broken"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of our own, to be broken by a test."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("rotator", *KINDS):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert run("check", cwd=folder, root=folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    "place, text, reason",
    [
        ("providers/groq.yaml", YAML + "modells: [a]\n", "modells: unknown key (did you mean models?)"),
        ("providers/zz.py", "import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("providers/zz.py", "raise SystemExit(0)\n", "SystemExit: 0"),
        ("adapters/zz.py", "", "registers nothing"),
        ("providers/openai.py", MODULE.replace("NAME", "openai"), "two files of one name"),
        ("providers/zz.py", MODULE.replace("NAME", "openai"), "'openai' is registered by"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_broken_one_of_ours_stops_the_start(
    checkout: Path, tmp_path: Path, place: str, text: str, reason: str, command: str
) -> None:
    path = checkout / place
    before = path.read_bytes() if path.exists() else None
    put(path, text)
    try:
        done = run(command, "--port", "0", cwd=tmp_path, root=checkout)
    finally:
        path.unlink() if before is None else path.write_bytes(before)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr and str(checkout) in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("rotator: ")


def test_a_broken_one_of_ours_that_was_replaced_harms_nobody(checkout: Path, tmp_path: Path) -> None:
    put(tmp_path / "mine" / "providers" / "zz.yaml", YAML)
    path = put(checkout / "providers" / "zz.py", "import no_such_module\n")
    try:
        done = run("plugins", "--plugins", "mine", cwd=tmp_path, root=checkout)
    finally:
        path.unlink()
    assert done.returncode == 0 and "no_such_module" not in done.stdout


def test_the_environment_of_these_tests_holds_nothing_of_the_users() -> None:
    assert not [name for name in environment() if name.endswith("_API_KEY") or name.startswith("ROTATOR_")]
