"""``python -m tests.mutants [--sample N] [--seed N] [--only PATH] [--jobs N]``: do the tests notice a changed engine?

Each mutant is one small change to the syntax tree of one file.  It is put into a copy of the project, and the tests of
its folder, then those of EXTRA_TESTS are run there until the first one fails: then it is killed.  One that survives
them is listed to be read; it is not tried against the rest of the suite.  A run that takes too long counts as killed
and is listed as well.  Annotations, imports, definitions, decorators and assertions are left as they are.

Exit code: 0 where at least 90 % were killed, 1 where not, 2 where the tests fail without any mutant.
"""

import argparse
import ast
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "rotator", "protocols", "adapters", "providers", "tests", "docs",
    "pyproject.toml", "README.md", "LICENSE", ".env.example", "Makefile",
)
GOAL = 0.9
#: Of all tests that a sample needs; several mutants at a time slow each other down, and a time limit counts as a kill.
LONGEST_SECONDS = 900.0
LEAST_TIMEOUT_SECONDS = 90.0
SLOWER = 3.0
#: Of a changed line; some tables are one line to the syntax tree.
SHOWN_CHARACTERS = 150

#: What is mutated -> the tests beyond its own folder's, in the order in which they are run.
EXTRA_TESTS = {
    "protocols": (
        "tests/translation", "tests/exchange", "tests/server/test_sdks.py", "tests/server/test_agent_loop.py",
    ),
    "adapters": (),
    "rotator/neutral": ("tests/protocols", "tests/translation"),
    "rotator/credentials": ("tests/exchange", "tests/test_world.py"),
    "rotator/routing": ("tests/exchange/test_trip.py", "tests/server/test_exchange.py", "tests/test_world.py"),
    "rotator/upstream": ("tests/exchange", "tests/test_world.py"),
    "rotator/exchange": ("tests/server/test_exchange.py", "tests/test_plugins_life.py", "tests/server/test_sdks.py"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Edit = tuple[str, ast.AST, Callable[[], None]]
#: What no drop removes: it does nothing, or every test would fail without it.
KEPT = (
    ast.Pass, ast.Import, ast.ImportFrom, ast.Assert, ast.Global, ast.Nonlocal,
    ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef,
)
#: Functions for which another order of arguments changes nothing, or can never work.
UNSWAPPED = {"min", "max", "isinstance"}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}


# ------------------------------------------------------------------------------------------------- what is changed


def edits(node: ast.AST) -> Iterator[Edit]:
    """Every change to this one node: its kind, the part that it changes, and what makes it."""
    yield from _drops(node)
    yield from _values(node)
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not _equality(test):
            yield "negate", test, _setting(node, "test", _negated(test))
        case ast.comprehension(ifs=tests):
            for place, test in enumerate(tests):
                if not _equality(test):
                    yield "negate", test, _putting(tests, place, _negated(test))
        case ast.Compare(ops=operators):
            for place, operator in enumerate(operators):
                yield "compare", node, _putting(operators, place, COMPARISONS[type(operator)]())
        case ast.BoolOp(op=operator):
            yield "and/or", node, _setting(node, "op", ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "return None", node, _setting(node, "value", ast.Constant(None))


def _drops(node: ast.AST) -> Iterator[Edit]:
    """A statement of a function or of a block; a last ``return`` is what "return None" changes."""
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        if isinstance(node, ast.Module | ast.ClassDef) or not isinstance(statements, list):
            continue
        for place, statement in enumerate(statements):
            bare = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            declares = isinstance(statement, ast.AnnAssign) and statement.value is None
            last = isinstance(statement, ast.Return) and isinstance(node, Function) and place == len(statements) - 1
            if not (bare or declares or last or isinstance(statement, KEPT)):
                yield "drop", statement, _putting(statements, place, ast.Pass())


def _values(node: ast.AST) -> Iterator[Edit]:
    """Arguments in another order, numbers off by one."""
    if isinstance(node, ast.Call) and not any(isinstance(one, ast.Starred) for one in node.args):
        alone = isinstance(node.func, ast.Name) and node.func.id in UNSWAPPED
        for place, (one, other) in enumerate(zip(node.args, node.args[1:], strict=False)):
            if not alone and ast.dump(one) != ast.dump(other):
                yield "swap", node, _setting(node, "args", [*node.args[:place], other, one, *node.args[place + 2 :]])
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for step in (1, -1):
            yield "off by one", node, _setting(node, "value", node.value + step)  # type: ignore[operator]


def _setting(node: ast.AST, name: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, name, value)


def _putting(items: list[Any], place: int, value: ast.AST) -> Callable[[], None]:
    return lambda: items.__setitem__(place, value)


def _negated(test: ast.expr) -> ast.expr:
    return test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(
        ast.Not(), test
    )


def _equality(test: ast.expr) -> bool:
    """Whether "compare" already makes the negation of this condition."""
    ordered = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and not isinstance(test.ops[0], ordered)


def left_alone(tree: ast.Module) -> set[ast.AST]:
    """Nodes inside annotations, decorators and assertions."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            roots.append(node.annotation)
        elif isinstance(node, Function):
            roots += [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            roots += node.decorator_list
        elif isinstance(node, ast.Assert):
            roots.append(node)
    return {inner for root in roots if root is not None for inner in ast.walk(root)}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the ``edit``-th of the ``node``-th node in the order of ``ast.walk``.  ``rank`` orders a sample."""

    path: str
    line: int
    kind: str
    node: int
    edit: int
    rank: bytes

    @property
    def folder(self) -> str:
        return next(folder for folder in EXTRA_TESTS if self.path.startswith(folder + "/"))

    def source(self, original: str) -> str:
        """The changed file, without its comments."""
        tree = ast.parse(original)
        list(edits(list(ast.walk(tree))[self.node]))[self.edit][2]()
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"

    def told(self, original: str) -> str:
        """The change on one line."""
        before, after = (text.splitlines() for text in (ast.unparse(ast.parse(original)), self.source(original)))
        lines = [line for line in unified_diff(before, after, lineterm="", n=0) if not line.startswith(("---", "+++"))]
        old, new = ([line[1:].strip() for line in lines if line[0] == sign] for sign in "-+")
        return f"{self.path}:{self.line}: {self.kind}: {'  ->  '.join(_around(_short(old), _short(new)))}"


def _short(lines: list[str]) -> str:
    return " / ".join(lines[:2]) + (f" ... ({len(lines)} lines)" if len(lines) > 2 else "")


def _around(old: str, new: str) -> tuple[str, str]:
    """Both texts, of long ones what is about the first difference."""
    start = max(0, len(os.path.commonprefix((old, new))) - SHOWN_CHARACTERS // 3)
    if max(len(old), len(new)) <= SHOWN_CHARACTERS:
        return old, new
    return f"... {old[start : start + SHOWN_CHARACTERS]}", f"... {new[start : start + SHOWN_CHARACTERS]}"


def mutants_of(path: str, text: str, seed: int) -> Iterator[Mutant]:
    """Every mutant of a file.  Ranks come from the changed code itself: an edit elsewhere leaves a sample as it was."""
    tree = ast.parse(text)
    alone = left_alone(tree)
    seen: Counter[str] = Counter()
    for index, node in enumerate(ast.walk(tree)):
        if node in alone:
            continue
        for number, (kind, part, _) in enumerate(edits(node)):
            key = f"{seed}\0{path}\0{kind}\0{number}\0{ast.unparse(part)}"
            seen[key] += 1
            rank = sha256(f"{key}\0{seen[key]}".encode()).digest()
            yield Mutant(path, getattr(part, "lineno", 1), kind, index, number, rank)


# ------------------------------------------------------------------------------------------------- where it is tried


@dataclass(slots=True)
class Tree:
    """A copy of the project that one worker changes and tests."""

    place: Path
    running: subprocess.Popen[bytes] | None = field(default=None)

    def run(self, arguments: list[str], timeout_seconds: float) -> tuple[int | None, str]:
        """Python in the copy, which it imports before anything that is installed; code None where it took too long."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        env |= {"PYTHONPATH": str(self.place), "PYTHONHASHSEED": "0"}
        with tempfile.TemporaryFile() as output:
            self.running = subprocess.Popen(
                [sys.executable, *arguments], cwd=self.place, env=env, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
            code: int | None = None
            try:
                code = self.running.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                pass
            self.stop()
            output.seek(0)
            return code, output.read().decode("utf-8", "replace")

    def stop(self) -> None:
        """End what runs, and what it has started."""
        if self.running is not None:
            try:
                os.killpg(self.running.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.running.wait()

    def tests(self, files: list[str], timeout_seconds: float) -> tuple[int | None, str]:
        """Run these test files until one fails; pytest's exit code and the test that failed."""
        flags = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
        temporary = f"--basetemp={self.place.parent / 'tmp'}"
        code, output = self.run(["-m", "pytest", *flags, temporary, *files], timeout_seconds)
        failed = [line.split(" - ")[0] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return code, failed[0] if failed else output.strip()[-500:]

    def write(self, path: str, text: str) -> None:
        """Replace a file; its cached bytecode goes, for the interpreter compares whole seconds and sizes only."""
        file = self.place / path
        for cached in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            cached.unlink()
        file.write_text(text, encoding="utf-8")


def copied(source: Path, worker: Path) -> Tree:
    """A copy of the project in ``worker/tree``, with the shared data beside it where there is any."""
    place = worker / "tree"
    place.mkdir(parents=True)
    for name in COPIED:
        if (source / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__") if source == ROOT else None
            shutil.copytree(source / name, place / name, ignore=leave)
        else:
            shutil.copy2(source / name, place / name)
    if (ROOT.parent / "shared").is_dir():
        (worker / "shared").symlink_to(ROOT.parent / "shared")
    return Tree(place)


def tests_for(place: Path, mutant: Mutant) -> tuple[list[str], list[str]]:
    """Test files of its own folder, the nearest first, and then those of the trips that go through it.

    Two lists for two runs: most mutants are killed by the first one, which needs no SDKs and no servers.
    """
    top, *parts = mutant.path.removesuffix(".py").removeprefix("rotator/").split("/")
    home = place / "tests" / top
    near = {file: _shared_names(file.relative_to(home), parts) for file in sorted(home.rglob("test_*.py"))}
    if top == "protocols" and len(parts) > 1:  # one protocol's tests know no other
        others = [[entry.name] for entry in (place / top).iterdir() if entry.is_dir() and entry.name != parts[0]]
        foreign = {file for file in near if any(_shared_names(file.relative_to(home), other) for other in others)}
        near = {file: names for file, names in near.items() if file not in foreign}
    own = sorted(near, key=lambda file: -near[file])
    through: list[Path] = []
    for name in EXTRA_TESTS[mutant.folder]:
        through += sorted((place / name).rglob("test_*.py")) if (place / name).is_dir() else [place / name]
    there = [file.relative_to(place).as_posix() for file in dict.fromkeys(through) if file not in near]
    return [file.relative_to(place).as_posix() for file in own], there


def _shared_names(test: Path, parts: list[str]) -> int:
    """How many folders and modules on the way to a test file are those on the way to the changed one."""
    found = 0
    for name, part in zip([*test.parts[:-1], test.stem.removeprefix("test_")], parts, strict=False):
        name, part = name.strip("_"), part.strip("_")
        if name != part and not name.startswith(f"{part}_"):
            break
        found += 1
    return found


# ------------------------------------------------------------------------------------------------- the run


@dataclass(slots=True)
class Run:
    """A sample on its way through the workers.  ``ended``: killed, slow (killed by the time limit) or survived."""

    sample: list[Mutant]
    originals: dict[str, str]
    timeout_seconds: float = LEAST_TIMEOUT_SECONDS
    waiting: queue.SimpleQueue[Mutant] = field(default_factory=queue.SimpleQueue)
    ended: dict[Mutant, str] = field(default_factory=dict)
    told: threading.Lock = field(default_factory=threading.Lock)
    workers: list[threading.Thread] = field(default_factory=list)

    def start(self, trees: list[Tree]) -> None:
        """Try them all, one worker to a copy."""
        for mutant in self.sample:
            self.waiting.put(mutant)
        self.workers = [threading.Thread(target=self.work, args=(tree,)) for tree in trees]
        for worker in self.workers:
            worker.start()
        for worker in self.workers:
            worker.join()

    def stop(self, trees: list[Tree]) -> None:
        """End early: nothing more is begun, and nothing is left running in a copy that is about to go."""
        self.waiting = queue.SimpleQueue()
        for tree in trees:
            tree.stop()
        for worker in self.workers:
            worker.join()

    def work(self, tree: Tree) -> None:
        """One worker: try mutants until none is left."""
        while True:
            try:
                mutant = self.waiting.get_nowait()
            except queue.Empty:
                return
            original = self.originals[mutant.path]
            tree.write(mutant.path, mutant.source(original))
            code: int | None = 0
            by = ""
            for files in filter(None, tests_for(tree.place, mutant)):
                code, by = tree.tests(files, self.timeout_seconds)
                if code != 0:
                    break
            tree.write(mutant.path, original)
            end = "slow" if code is None else "survived" if code == 0 else "killed"
            with self.told:
                self.ended[mutant] = end
                what = f"{mutant.path}:{mutant.line}: {mutant.kind}: {by.splitlines()[-1] if by else ''}"
                text = what if end == "killed" else mutant.told(original)
                print(f"[{len(self.ended):3}/{len(self.sample)}] {end:8} {text}", flush=True)

    def report(self) -> bool:
        """Print the figures and everything that has to be read; whether enough were killed."""
        print()
        for folder in EXTRA_TESTS:
            ends = Counter(end for mutant, end in self.ended.items() if mutant.folder == folder)
            if total := ends.total():
                print(f"{folder:22} {total - ends['survived']:4} of {total:4} killed, {ends['slow']} of them by time")
        for end, title in (("slow", "Killed by the time limit"), ("survived", "Survived the tests of their folder")):
            found = sorted((m for m, e in self.ended.items() if e == end), key=lambda m: (m.path, m.line))
            if found:
                print(f"\n{title}:")
            for mutant in found:
                print(f"  {mutant.told(self.originals[mutant.path])}")
        survived = sum(end == "survived" for end in self.ended.values())
        share = 1 - survived / len(self.ended)
        print(f"\n{len(self.ended) - survived} of {len(self.ended)} killed: {share:.1%} (goal {GOAL:.0%})")
        return share >= GOAL


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Do the tests notice a change?")
    parser.add_argument("--sample", type=int, default=200, help="how many mutants are tried (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default 0)")
    parser.add_argument("--only", metavar="PATH", default="", help="one file or folder (default all)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default 2)")
    parser.add_argument("--timeout", type=float, help="seconds for one run of tests (default by how long they take)")
    options = parser.parse_args()
    if options.sample < 1 or options.jobs < 1 or (options.timeout is not None and options.timeout <= 0):
        parser.error("--sample, --jobs and --timeout must be positive")
    return options


def _sample(place: Path, options: argparse.Namespace) -> tuple[list[Mutant], dict[str, str], int]:
    """The chosen mutants in a mixed order, the files' texts, and how many there are to choose from."""
    only = options.only.removeprefix("./").rstrip("/")
    files = [file for folder in EXTRA_TESTS for file in sorted((place / folder).rglob("*.py"))]
    texts = {file.relative_to(place).as_posix(): file.read_text(encoding="utf-8") for file in files}
    chosen = {path: text for path, text in texts.items() if not only or path == only or path.startswith(only + "/")}
    every = [mutant for path, text in chosen.items() for mutant in mutants_of(path, text, options.seed)]
    return sorted(every, key=lambda mutant: mutant.rank)[: options.sample], texts, len(every)


def _without(tree: Tree, sample: list[Mutant]) -> str | None:
    """Why nothing can be told from this copy: another one is imported, or the tests fail without a mutant."""
    code, output = tree.run(["-c", "import rotator; print(rotator.__file__)"], 60.0)
    if code or not Path(output.strip()).is_relative_to(tree.place):
        return f"the copy is not what is imported: {output.strip()[-500:]}"
    files = dict.fromkeys(name for mutant in sample for files in tests_for(tree.place, mutant) for name in files)
    code, failed = tree.tests(list(files), LONGEST_SECONDS)
    return None if code == 0 else f"the tests fail without a mutant: {failed}"


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """See the module's docstring."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupted)
    started = time.monotonic()
    trees: list[Tree] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        place = Path(folder).resolve()
        trees.append(copied(ROOT, place / "0"))
        sample, texts, total = _sample(trees[0].place, options)
        if not sample:
            print(f"mutants: nothing to change in {options.only!r}", file=sys.stderr)
            return 2
        print(f"{len(sample)} of {total} mutants, {options.jobs} at a time; first the tests as they are", flush=True)
        run = Run(sample, texts)
        try:
            if problem := _without(trees[0], sample):
                print(f"mutants: {problem}", file=sys.stderr)
                return 2
            needed = SLOWER * (time.monotonic() - started)
            run.timeout_seconds = options.timeout or max(LEAST_TIMEOUT_SECONDS, needed)
            trees += [copied(trees[0].place, place / str(number)) for number in range(1, options.jobs)]
            run.start(trees)
        except KeyboardInterrupt:
            run.stop(trees)
            return 130
        enough = run.report()
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
