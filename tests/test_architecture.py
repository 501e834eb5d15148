"""The rules of the house, measured on the syntax trees: who imports whom, sizes, names, borders, dead contract members.

A failure lists every place, one a line. The tables at the top are the whole policy; an entry that no longer
applies fails too, so that they stay true.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from rotator import __version__

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("protocols", "adapters", "providers")
FOLDERS = ("rotator", *KINDS, "tests", "benchmarks")

#: Lowest floor first; a module imports its own floor and the ones below. ``rotator`` itself belongs to none.
FLOORS = (
    {"errors", "contain", "neutral", "wire", "quota", "contracts", "rotation"},
    {"state", "config"},
    {"upstream"},
    {"registry", "hookspecs", "plugins", "api"},
    {"routing", "credentials", "fieldcache", "trace", "responses"},
    {"exchange", "world"},
    {"server"},
    {"cli", "__main__"},
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}

#: What plug-ins may import beside the standard library, rotator.api and their own kind; a longer path adds to it.
PLUGIN_PACKAGES = {
    "protocols/": {"orjson"},
    "adapters/": {"orjson"},
    "providers/": {"orjson"},
    "providers/demo/": {"starlette", "uvicorn"},   # the demo vendor is a server of its own
}

#: Files that may import inside a function, and why.
LATE_IMPORTS: dict[str, str] = {
    "rotator/config/sources.py": "the parsers of .env and YAML, loaded where such a file is there",
    "rotator/upstream/quota_poll.py": "JSONPath, loaded where a provider declares quota",
}

#: Files that may catch Exception, and which border each is (design.md 4). BaseException may be caught and raised again.
BROAD_EXCEPTS: dict[str, str] = {
    "rotator/contain.py": "the one contain()",
    "rotator/plugins.py": "plug-in load",
    "rotator/upstream/adapter.py": "plug-in load: the constructor of an adapter",
    "rotator/exchange/translated.py": "a codec that raises in a stream fails its attempt, as a transform does",
    "rotator/exchange/stages.py": "a transform fails its attempt under its own name, whatever it raises",
    "rotator/server/exchange.py": "the server's edge",
}

#: Vendor words that an engine file may hold, and why.
VENDOR_WORDS: dict[tuple[str, str], str] = {
    ("rotator/trace/shapes.py", "xai"): "how a vendor's keys begin, so that one in a text is masked",
    ("rotator/config/secrets.py", "xai"): "how a vendor's keys begin, so that one in a configuration file is refused",
}

#: Test files and folders that mirror no module, and what they are about.
CROSS_CUTTING: dict[str, str] = {
    "tests/test_architecture.py": "the rules of the house",
    "tests/test_incidents.py": "the incidents that others had, and which test each gave us",
    "tests/test_pitfalls.py": "the pitfalls of the reference, and which test keeps us out of each",
    "tests/agents": "real clients: the Python SDKs' helpers; more that are installed are run by `make agents`",
    "tests/translation": "the tables of conversions, row by row, through codecs and through the server",
    "tests/credentials/test_rotation_docs.py": "the page about rotation: its YAML and its numbers, played",
    "tests/faults": "the fault table: what networks and vendors do, row by row",
    "tests/matrix": "upstreams killed at every event, clients gone at every moment, a soak",
    "tests/server/test_pressure.py": "a server under pressure: clients that stop reading, limits of requests under way",
    "tests/cli/test_canary.py": "planted secrets in everything that leaves the process",
    "tests/server/test_confused.py": "requests that try to lead the proxy elsewhere",
    "tests/server/test_agent_loop.py": "agents that work over another protocol, with the official SDKs",
    "tests/exchange/test_state_trips.py": "reasoning state over several turns, through clients of either protocol",
    "tests/server/test_sdks.py": "the official SDKs over the whole server",
    "tests/server/test_rotation_env.py": "each name of rotation in the environment, and the keys that the vendor sees",
    "tests/server/test_rotation_load.py": "many requests on few keys, and who waits for a busy one",
    "tests/server/test_quota_windows.py": "what vendors tell of quotas, and the keys that are used for it",
    "tests/server/test_translated_sdks.py": "the official SDKs over another protocol",
    "tests/test_plugin_strategies.py": "a strategy that a plug-in brings",
    "tests/test_packaging.py": "wheel, editable install, checkout, locks, Makefile",
}

#: Packages that must not be loaded before a command needs them.
HEAVY = {"aiohttp", "starlette", "uvicorn", "yaml", "diskcache", "jsonpath_rfc9535"}

FILE_LINES, FUNCTION_LINES, NESTING, PARAMETERS = 500, 60, 4, 6
BAD_NAMES = {word + s for word in ("manager", "handler", "helper", "util", "impl") for s in ("", "s")}
VENDORS = re.compile(
    r"openai|anthropic|gemini|claude|mistral|deepseek|openrouter|ollama|bedrock|litellm"
    r"|(?<![a-z])(?:gpt|groq|grok|xai|cohere|codex|copilot|qwen|llama|vertex)(?![a-z])"
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: its path from the root, its dotted name and its tree."""

    path: str
    name: str
    lines: int
    tree: ast.Module

    def at(self, node: ast.AST, text: str) -> str:
        """A clickable place with what is wrong there."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {text}"

    def inside(self, *folders: str) -> bool:
        """Whether the file lies in one of the top folders."""
        return self.path.split("/")[0] in folders


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, resolved to its absolute name; an escape above the top folder has the name ``..``."""

    node: ast.stmt
    target: str
    relative: bool
    late: bool


def read(path: Path) -> Module:
    """Parse one file."""
    text = path.read_text(encoding="utf-8")
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path.relative_to(ROOT).as_posix(), name, len(text.splitlines()), ast.parse(text, filename=str(path)))


ALL = [read(path) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = {module.name for module in ALL}
ENGINE = [module for module in ALL if module.inside("rotator")]
PLUGINS = [module for module in ALL if module.inside(*KINDS)]
CODE = ENGINE + PLUGINS


def check(problems: list[str]) -> None:
    """Fail with the whole list."""
    if problems:
        pytest.fail(f"{len(problems)} found:\n" + "\n".join(sorted(problems)), pytrace=False)


def unused(table: dict[str, str], used: set[str], what: str) -> list[str]:
    """Entries of a table that nothing needs any more."""
    return [f"{path}: needs no entry in {what}" for path in table.keys() - used]


def functions(module: Module) -> Iterator[Function]:
    """Every function, nested ones too."""
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def late_nodes(module: Module) -> set[ast.AST]:
    """All nodes inside functions."""
    return {node for function in functions(module) for node in ast.walk(function) if node is not function}


def imports(module: Module) -> Iterator[Import]:
    """Every import, ``from package import module`` resolved to the module where there is one."""
    package = module.name.split(".")
    if not module.path.endswith("__init__.py"):
        package.pop()
    late = late_nodes(module)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node, alias.name, False, node in late)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if node.level and not above:
                base = ".."
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(node, full if full in NAMES else base, bool(node.level), node in late)


def words(name: str) -> set[str]:
    """The words of an identifier, lower-case."""
    return set(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_"))


def test_there_is_something_to_measure() -> None:
    assert len(ENGINE) > 5 and PLUGINS


def test_every_module_says_what_it_is_for() -> None:
    check([module.at(module.tree, "no docstring") for module in ALL if not ast.get_docstring(module.tree)])


def test_imports_point_downwards() -> None:
    problems = []
    for module in ENGINE:
        if module.name == "rotator":
            problems += [module.at(i.node, i.target) for i in imports(module) if i.target.startswith("rotator")]
            continue
        own = module.name.split(".")[1]
        if own not in FLOOR_OF:
            problems.append(f"{module.path}: {own} stands on no floor (FLOORS, docs/architecture.md)")
            continue
        for found in imports(module):
            parts = found.target.split(".")
            if parts[0] != "rotator" or len(parts) == 1:
                continue
            if FLOOR_OF.get(parts[1], len(FLOORS)) > FLOOR_OF[own] or (parts[1] == "api" != own):
                problems.append(module.at(found.node, f"{own} may not import {found.target}"))
    check(problems)


def test_imports_have_no_cycles() -> None:
    graph = {m.name: {i.target for i in imports(m) if i.target in NAMES and i.target != m.name} for m in CODE}
    cycle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]
    check([" -> ".join(cycle)] if cycle else [])


def test_imports_inside_functions_are_listed() -> None:
    found = [(module, i) for module in CODE for i in imports(module) if i.late]
    problems = [m.at(i.node, f"imports {i.target} inside a function") for m, i in found if m.path not in LATE_IMPORTS]
    check(problems + unused(LATE_IMPORTS, {module.path for module, _ in found}, "LATE_IMPORTS"))


def test_plugins_import_the_public_api_only() -> None:
    problems = []
    for module in PLUGINS:
        kind = module.path.split("/")[0]
        extra = set().union(*(names for path, names in PLUGIN_PACKAGES.items() if module.path.startswith(path)))
        for found in imports(module):
            top = found.target.split(".")[0]
            fine = top == kind if found.relative else (
                found.target == "rotator.api" or top in sys.stdlib_module_names or top in extra
            )
            if not fine:
                problems.append(module.at(found.node, f"a plug-in may not import {found.target}"))
    check(problems)


def test_the_engine_imports_no_plugin() -> None:
    foreign = re.compile(rf"({'|'.join(KINDS)}|rotator\.plugins\.({'|'.join(KINDS)}))(\.|$)")
    check([m.at(i.node, f"imports {i.target}") for m in ENGINE for i in imports(m) if foreign.match(i.target)])


def test_only_the_transport_sees_aiohttp() -> None:
    check([
        module.at(found.node, "imports aiohttp")
        for module in CODE if module.path not in ("rotator/wire/transport.py", "rotator/wire/connector.py")
        for found in imports(module) if found.target.split(".")[0] == "aiohttp"
    ])


def test_only_the_configuration_reads_the_environment() -> None:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    problems = []
    for module in CODE:
        if module.path.startswith("rotator/config/"):
            continue
        for node in ast.walk(module.tree):
            attribute = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in names
            name = isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names}
            if attribute or name:
                problems.append(module.at(node, "reads the environment"))
    check(problems)


def spoken(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Identifiers and string constants; docstrings and other bare strings are not among them."""
    bare = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and id(node) not in bare:
            if isinstance(node.value, str | bytes):
                yield node, node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        else:
            for field in ("id", "attr", "name", "arg", "module"):
                if isinstance(value := getattr(node, field, None), str):
                    yield node, value


def test_the_engine_names_no_vendor() -> None:
    problems, used = [], set()
    for module in ENGINE:
        for node, text in [(module.tree, module.name), *spoken(module)]:
            for word in VENDORS.findall(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).lower()):
                used.add((module.path, word))
                if (module.path, word) not in VENDOR_WORDS:
                    problems.append(module.at(node, f"names {word}: {text[:60]!r}"))
    problems += [f"{path}: needs no entry {word} in VENDOR_WORDS" for path, word in VENDOR_WORDS.keys() - used]
    check(problems)


def depth(statements: list[ast.stmt]) -> int:
    """How deep control flow is nested; an ``elif`` adds nothing, a nested function is measured by itself."""
    blocks = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
    deepest = 0
    for statement in statements:
        if not isinstance(statement, blocks):
            continue
        inner = [depth(getattr(statement, field, [])) for field in ("body", "finalbody")]
        inner += [depth(part.body) for field in ("handlers", "cases") for part in getattr(statement, field, [])]
        other = getattr(statement, "orelse", [])
        elif_ = isinstance(statement, ast.If) and len(other) == 1 and isinstance(other[0], ast.If)
        inner.append(depth(other) - elif_)
        deepest = max(deepest, 1 + max(inner))
    return deepest


def parameters(function: Function) -> int:
    """How many parameters a caller sees."""
    args = function.args
    plain = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
    return sum(arg.arg not in ("self", "cls") for arg in plain)


def test_nothing_is_too_big() -> None:
    problems = [f"{m.path}: {m.lines} lines, at most {FILE_LINES}" for m in ALL if m.lines > FILE_LINES]
    for module in ALL:
        for function in functions(module):
            measured = (
                ((function.end_lineno or 0) - function.lineno + 1, FUNCTION_LINES, "lines"),
                (depth(function.body), NESTING, "levels of nesting"),
                (parameters(function), PARAMETERS, "parameters"),
            )
            problems += [
                module.at(function, f"{function.name} has {size} {what}, at most {limit}")
                for size, limit, what in measured if size > limit
            ]
    check(problems)


def test_measures_are_right() -> None:
    head = "def f(self, a, /, b, *c, d=1, **e):\n if a:\n  pass\n elif b:\n"
    function = ast.parse(f"{head}  try:\n   pass\n  except E:\n   for x in c: pass\n").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert (parameters(function), depth(function.body)) == (5, 3)


def test_names_say_what_a_thing_is() -> None:
    problems = []
    for module in ALL:
        named: list[tuple[ast.AST, str]] = [(module.tree, Path(module.path).stem)]
        named += [(n, n.name) for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef | Function)]
        problems += [module.at(node, f"{name} says nothing") for node, name in named if BAD_NAMES & words(name)]
    check(problems)


def broad(node: ast.expr | None) -> set[str]:
    """Which of the catch-all classes an ``except`` or ``suppress`` names."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & {"Exception", "BaseException"} if node else set()


def test_everything_is_caught_at_the_borders_only() -> None:
    problems, used = [], set()
    for module in CODE:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                caught = broad(node.type)
                passes = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if node.type is None:
                    problems.append(module.at(node, "a bare except"))
                elif caught and all(isinstance(s, ast.Pass | ast.Continue) for s in node.body):
                    problems.append(module.at(node, "swallows every exception"))
                elif caught == {"BaseException"} and passes:
                    continue
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                caught = set().union(*map(broad, node.args))
            else:
                continue
            if caught:
                used.add(module.path)
                if module.path not in BROAD_EXCEPTS:
                    problems.append(module.at(node, f"catches {', '.join(sorted(caught))}"))
    check(problems + unused(BROAD_EXCEPTS, used, "BROAD_EXCEPTS"))


def members(node: ast.ClassDef) -> Iterator[tuple[ast.stmt, str]]:
    """Public fields, methods and properties of a protocol or dataclass."""
    for statement in node.body:
        if isinstance(statement, Function) and not statement.name.startswith("_"):
            yield statement, statement.name
        elif isinstance(statement, ast.AnnAssign) and not (name := ast.unparse(statement.target)).startswith("_"):
            yield statement, name


def test_every_member_of_a_contract_has_a_caller() -> None:
    declared, used = [], set()
    for module in CODE:
        contract = module.name.split(".")[:2] == ["rotator", "contracts"]
        for node in ast.walk(module.tree):
            if contract and isinstance(node, ast.ClassDef):
                outlines = [ast.unparse(part) for part in (*node.bases, *node.decorator_list)]
                if any(re.match(r"(\w+\.)?(Protocol|dataclass)\b", outline) for outline in outlines):
                    declared += [
                        (module.at(at, f"nothing uses {node.name}.{name}"), name) for at, name in members(node)
                    ]
            elif not contract and isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                used.add(node.attr)
            elif not contract and isinstance(node, ast.MatchClass):
                used.update(node.kwd_attrs)
    assert declared
    check([problem for problem, name in declared if name not in used])


def mirrored(path: Path) -> bool:
    """Whether a test file is named after a module of the folder that its own folder mirrors, or a part of one."""
    where = path.parent.relative_to("tests").as_posix()
    stem = path.stem.removeprefix("test_")
    tops = [ROOT / where] if where.split("/")[0] in KINDS else [ROOT / "rotator" / where]
    if any(top.with_suffix(".py").is_file() for top in tops):
        return True
    names = {entry.stem for top in tops if top.is_dir() for entry in top.iterdir()}
    return any(stem == name or stem.startswith(f"{name}_") for name in names)


def test_tests_mirror_the_modules() -> None:
    paths = [Path(m.path) for m in ALL if m.inside("tests") and Path(m.path).name.startswith("test_")]
    odd = {path: {p.as_posix() for p in (path, *path.parents)} for path in paths if not mirrored(path)}
    problems = [
        f"{path}: named after no module; rename it or list it in CROSS_CUTTING"
        for path, places in odd.items() if not places & CROSS_CUTTING.keys()
    ]
    check(problems + unused(CROSS_CUTTING, set().union(*odd.values()), "CROSS_CUTTING"))


def test_every_folder_is_type_checked() -> None:
    files = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    assert set(files) == {module.path.split("/")[0] for module in CODE}


def test_the_version_needs_no_heavy_package() -> None:
    program = (
        "import sys\nsys.argv = ['rotator', '--version']\nfrom rotator.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted({HEAVY!r} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert __version__ in printed[0]
    assert printed[-1] == "[]", printed[-1]
