"""Every incident of faults.md 2 that this version can meet has a test of its own."""

import ast
import site
from pathlib import Path

import pytest

from tests.incidents import LATER, ROWS, listing, marked

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("rotator", "protocols", "adapters", "providers")
#: What runs text as code, or reads objects back from bytes.
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "marshal", "shelve", "dill", "jinja2", "subprocess", "ctypes"}


def test_each_row_is_covered_or_later() -> None:
    covered = {number for number, _ in marked()}
    assert sorted({*ROWS, *LATER}) == list(range(1, 29))
    assert not ROWS.keys() & LATER.keys()
    assert covered == set(ROWS)


def test_the_list_names_rows_and_tests() -> None:
    shown = listing()
    assert "  7  a route without the check" in shown
    assert "tests/test_incidents.py::test_nothing_runs_text_as_code" in shown
    assert " 19  later: " in shown


@pytest.mark.incident(4)
def test_nothing_runs_text_as_code() -> None:
    found = []
    for path in sorted(one for folder in FOLDERS for one in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.func.id] if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else []
            if isinstance(node, ast.Import):
                names += [alias.name.split(".")[0] for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names.append((node.module or "").split(".")[0])
            found += [f"{path.name}: {name}" for name in names if name in RUNS_CODE | MODULES]
    assert not found


@pytest.mark.incident(1)
def test_nothing_unknown_runs_at_every_start_of_python() -> None:
    """A line of a .pth file that begins with "import" is run; ours only names a folder."""
    running = {
        path.name
        for folder in site.getsitepackages()
        for path in Path(folder).glob("*.pth")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith(("import ", "import\t"))
    }
    assert running <= {"distutils-precedence.pth"}


@pytest.mark.incident(1)
def test_what_is_installed_is_pinned_with_hashes() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if "install" in line and " -r " in line]
    assert installs and all("--require-hashes" in line for line in installs)
    for lock in ("requirements.lock", "requirements-test.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        assert text.count("==") > 10 and text.count("--hash=sha256:") >= text.count("==")
