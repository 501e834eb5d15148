"""What is shipped: wheel, editable install and bare checkout find the same plug-ins wherever they are run; locks agree.

Nothing here needs a network: builds use the hatchling of this interpreter, and a fresh environment reaches our
dependencies through a ``.pth`` line, which adds a folder without following the ``.pth`` files in it (so the editable
install of this interpreter stays invisible there).
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("protocols", "adapters", "providers")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOSTILE = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nraise SystemExit('hostile code ran')\n"


def plugin_files() -> set[str]:
    """Every file of the plug-in folders that belongs to them."""
    return {
        path.relative_to(ROOT).as_posix()
        for kind in KINDS for path in (ROOT / kind).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def plugin_names() -> set[str]:
    """``kind/stem`` of what discovery must find: modules, packages, YAML; a leading underscore makes a file private."""
    entries = [entry for kind in KINDS for entry in (ROOT / kind).iterdir()]
    return {
        f"{entry.parent.name}/{entry.stem}" for entry in entries
        if entry.name[0] not in "._" and (entry.suffix in (".py", ".yaml") or (entry / "__init__.py").is_file())
    }


def run(command: Sequence[str | Path], cwd: Path, pythonpath: str = "") -> str:
    """Run to a good end, offline and without the caller's Python settings; its standard output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if pythonpath:
        env["PYTHONPATH"] = pythonpath
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{done.args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Installed:
    """One way to have Rotator: its command, what ``import rotator`` needs, and where its plug-ins lie."""

    command: tuple[str | Path, ...]
    python: Path
    package: Path
    builtin: Path
    pythonpath: str = ""


def environment(folder: Path, *what: str | Path) -> tuple[Path, Path]:
    """A fresh environment with one thing installed and our dependencies in reach; its scripts and site-packages."""
    venv.create(folder, symlinks=os.name != "nt")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run([scripts / "python", "-c", program], folder).strip())
    ours = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "dependencies.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", scripts / "python")
    # --ignore-installed: what this interpreter holds is in reach too and must not count as installed.
    run([*pip, "install", "--no-deps", "--no-build-isolation", "--ignore-installed", *what], folder)
    return scripts, site


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    [path] = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, installed."""
    scripts, site = environment(tmp_path_factory.mktemp("wheel"), wheel)
    package = site / "rotator"
    return Installed((scripts / "rotator",), scripts / "python", package, package / "_builtin")


@pytest.fixture(scope="module")
def as_module(from_wheel: Installed) -> Installed:
    """The wheel again, started with ``python -m``: the working directory is then on the search path."""
    return replace(from_wheel, command=(from_wheel.python, "-m", "rotator"))


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """``pip install -e`` of this checkout."""
    scripts, _ = environment(tmp_path_factory.mktemp("editable"), "--editable", ROOT)
    return Installed((scripts / "rotator",), scripts / "python", ROOT / "rotator", ROOT)


@pytest.fixture(scope="module")
def checkout() -> Installed:
    """This checkout, not installed."""
    python = Path(sys.executable)
    return Installed((python, "-m", "rotator"), python, ROOT / "rotator", ROOT, str(ROOT))


@pytest.fixture(params=["from_wheel", "as_module", "editable", "checkout"])
def installed(request: pytest.FixtureRequest) -> Installed:
    """Each way in turn."""
    way: Installed = request.getfixturevalue(request.param)
    return way


def built_ins_load(installed: Installed, cwd: Path) -> None:
    """``rotator plugins`` names every built-in with its file, and the package is the one that was meant."""
    where = run([installed.python, "-c", "import rotator; print(rotator.__file__)"], cwd, installed.pythonpath)
    assert Path(where.strip()).resolve().parent == installed.package.resolve()
    printed = run([*installed.command, "plugins"], cwd, installed.pythonpath).replace("\\", "/")
    missing = [name for name in plugin_names() if f"{installed.builtin.resolve().as_posix()}/{name}" not in printed]
    assert plugin_names() and not missing, f"{missing} not found in:\n{printed}"


def test_built_ins_load_from_anywhere(installed: Installed, tmp_path: Path) -> None:
    built_ins_load(installed, tmp_path)


def test_the_working_directory_is_no_plugin_folder(installed: Installed, tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        stems = {"__init__", "foreign", *(name.split("/")[1] for name in plugin_names() if name.startswith(kind))}
        for stem in stems:
            (tmp_path / kind / f"{stem}.py").write_text(HOSTILE, encoding="utf-8")
            (tmp_path / kind / f"{stem}.yaml").write_text("hostile: [", encoding="utf-8")
    built_ins_load(installed, tmp_path)
    assert not list(tmp_path.rglob("*.ran"))


def test_the_wheel_holds_the_package_and_its_plugins(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "rotator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "rotator/py.typed" in package
    assert names == package | {f"rotator/_builtin/{path}" for path in plugin_files()}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"rotator-{wheel.name.split('-')[1]}.dist-info"
    assert archive.read(f"{info}/entry_points.txt").decode().split("\n")[:2] == [
        "[console_scripts]", "rotator = rotator.cli:main"
    ]
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "License-Expression: MIT\n" in metadata and "Requires-Python: >=3.11\n" in metadata
    assert f"{info}/licenses/LICENSE" in archive.namelist()


def test_the_sdist_can_be_worked_with(dist: Path) -> None:
    [path] = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "requirements.lock", "requirements-test.lock"}
    assert wanted | plugin_files() | {"tests/conftest.py", "rotator/__init__.py"} <= names
    assert not [name for name in names if name.startswith((".venv", ".git/")) or "__pycache__" in name]


def locked(name: str) -> dict[str, Requirement]:
    """The requirements of a lock file, by canonical name; each must be pinned and hashed."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found: dict[str, Requirement] = {}
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = (part.strip() for part in line.split("--hash="))
        parsed = Requirement(requirement)
        assert re.fullmatch(r"==[^,*]+", str(parsed.specifier)), line
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), requirement
        assert canonicalize_name(parsed.name) not in found, f"{parsed.name} is locked twice"
        found[canonicalize_name(parsed.name)] = parsed
    return found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_a_lock_names_no_place(name: str) -> None:
    """Neither an address, an index, a path nor an option: whoever installs decides where packages come from."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if re.search(r"[/@#]|:(?!\w{64})", line) or re.match(r"\s*-(?!-hash=)", line)]
    assert lines and not odd


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_a_lock_holds_what_the_project_asks_for(name: str) -> None:
    lock = locked(name)
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    if name == "requirements-test.lock":
        asked += PROJECT["project"]["optional-dependencies"]["test"]
    problems = []
    for wanted in map(Requirement, asked):
        found = lock.get(canonicalize_name(wanted.name))
        version = str(found.specifier).removeprefix("==") if found else None
        if version is None or version not in wanted.specifier:
            problems.append(f"{wanted} is asked for, {version} is locked: make lock")
        elif wanted.marker is None and found and found.marker is not None:
            problems.append(f"{wanted} is locked for some machines only: {found.marker}")
    assert not problems


def test_the_locks_agree() -> None:
    small, large = locked("requirements.lock"), locked("requirements-test.lock")
    assert {name: small[name].specifier for name in small} == {name: large[name].specifier for name in small}


def test_every_dependency_is_bounded() -> None:
    asked = map(Requirement, PROJECT["project"]["dependencies"])
    assert not [str(one) for one in asked if {part.operator for part in one.specifier} != {">=", "<"}]


def test_an_old_python_is_told(tmp_path: Path) -> None:
    """``make run`` with an interpreter that is too old ends with one sentence and leaves no environment behind."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.10.9" && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "run", f"PYTHON={old}"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.startswith(f"Rotator needs Python 3.11 or newer; {old} is Python 3.10.9.")
    assert not (tmp_path / ".venv").exists()


def test_continuous_integration_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("exec make test")
