"""Finding, mounting and loading plug-ins: what works, what is named as broken, who replaces whom."""

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import PluginError
from rotator.plugins import Loaded, Plugin, builtin_root, load
from tests.asking import ask, chat
from tests.cli.running import run
from tests.proxy import make_world, serving
from tests.upstreams import engine

Write = Callable[[str, str], Path]

PROVIDER = """
from rotator.api import HttpProvider, hookimpl

@hookimpl
def register_providers(register):
    for name in {names}:
        register(HttpProvider({{"name": name, "protocol": "chat", "base_url": "http://127.0.0.1:9/{mark}"}}))
"""
ADAPTER = """
from rotator.api import WireAdapter, hookimpl

class Rename(WireAdapter):
    name = "rename_it"
    form = "wire"
    protocols = ("chat",)

@hookimpl
def register_adapters(register):
    register(Rename)
"""
FIVE_LINES = """
from rotator.api import WireAdapter

class Polite(WireAdapter):
    def on_request(self, body):
        return {**body, "polite": True}
"""
GOOD = "protocol: chat\nbase_url: http://127.0.0.1:9/good\n"


def provider(*names: str, mark: str = "python") -> str:
    """A module that registers providers; ``mark`` ends up in their base URL."""
    return PROVIDER.format(names=list(names), mark=mark)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mine"


@pytest.fixture
def write(root: Path) -> Write:
    """Put a file into the user's folder."""

    def put(place: str, text: str, into: Path = root) -> Path:
        path = into / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture(autouse=True)
def pristine() -> Iterator[None]:
    """Afterwards the plug-ins of the tests are mounted nowhere."""
    yield
    load()


def lines(loaded: Loaded, path: Path | str) -> list[Plugin]:
    return [plugin for plugin in loaded.plugins if plugin.path == str(path)]


def base(loaded: Loaded, name: str) -> str:
    """What the provider of a name has as base: tells which of several it is."""
    found = loaded.registry.providers[name]
    return found.profiles[found.default_profile].base_url


async def test_five_lines_of_yaml_are_a_provider(tmp_path: Path, root: Path, write: Write) -> None:
    """From file to answer, in both ways of asking."""
    vendor = engine.Engine(pace_seconds=0.0)
    await vendor.start()
    text = f"name: acme\nprotocol: chat\nbase_url: {vendor.chat_base}\nauth: bearer\nmodels: [text, odd]\n"
    write("providers/acme.yaml", text)
    async with serving(make_world({"ACME_API_KEY": "key-of-acme"}, tmp_path, plugins=(root,))) as proxy:
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("acme/text"))
        assert answer.status == 200 and answer.headers["x-rotator-provider"] == "acme"
        assert vendor.requests[-1].key == "key-of-acme"
        assert (await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("odd"))).status == 404
        assert vendor.requests[-1].header("authorization") == "Bearer key-of-acme"
        stream = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("text", stream=True))
        assert stream.body.endswith(b"data: [DONE]\n\n")
        listed = await ask(proxy.url, "GET", "/v1/models")
        assert "acme/odd" in [entry["id"] for entry in listed.json["data"]]
    await vendor.aclose()


def test_an_adapter_is_loaded_and_listed(root: Path, write: Write) -> None:
    path = write("adapters/renaming.py", ADAPTER)
    loaded = load([root])
    assert lines(loaded, path) == [Plugin("adapters", ("rename_it",), str(path), "user", "ok")]
    assert loaded.registry.adapters["rename_it"].form == "wire"
    assert loaded.registry.paths["adapters", "rename_it"] == str(path)


def test_a_class_without_a_hook_is_an_adapter_named_after_its_file(root: Path, write: Write) -> None:
    """Also in a package; bases of its own and what is imported are none."""
    base = FIVE_LINES.replace("Polite", "_Base") + "\nclass Kind(_Base): ...\n"
    paths = [
        write("adapters/polite.py", FIVE_LINES),
        write("adapters/kind.py", "from ._shared import Common\n" + base),
        write("adapters/gentle/__init__.py", FIVE_LINES).parent,
        write("adapters/two.py", FIVE_LINES + "\nclass Rude(WireAdapter):\n    name = 'rude'\n"),
        write("adapters/named.py", FIVE_LINES.replace("    def", "    name = 'courteous'\n    def")),
    ]
    write("adapters/_shared.py", FIVE_LINES.replace("Polite", "Common"))
    loaded = load([root])
    mine = {str(path): plugin.names for path in paths for plugin in lines(loaded, path) if plugin.state == "ok"}
    assert list(mine.values()) == [("polite",), ("kind",), ("gentle",), ("two", "rude"), ("courteous",)]
    ours = load().registry.adapters.keys()
    assert loaded.registry.adapters.keys() - ours == {"polite", "kind", "gentle", "two", "rude", "courteous"}
    made: Any = loaded.registry.adapters["kind"]
    assert (made.__name__, made(None).name, made(None).on_request({})) == ("Kind", "kind", {"polite": True})


def test_where_a_hook_registers_nothing_else_does(root: Path, write: Write) -> None:
    path = write("adapters/hooked.py", ADAPTER + "\nclass Extra(WireAdapter): ...\n")
    loaded = load([root])
    assert lines(loaded, path)[0].names == ("rename_it",) and "hooked" not in loaded.registry.adapters


def test_a_users_adapter_replaces_ours_by_its_name(root: Path, write: Write) -> None:
    path = write("adapters/developer_role.py", FIVE_LINES)
    write("providers/acme.yaml", GOOD + "adapters: [developer_role]\n")
    loaded = load([root])
    assert loaded.registry.paths["adapters", "developer_role"] == str(path)
    assert loaded.registry.adapters["developer_role"].__name__ == "Polite"
    assert "acme" in loaded.registry.providers


def test_a_broken_adapter_takes_only_those_along_that_name_it(root: Path, write: Write) -> None:
    """Ours of the same name does not take its place."""
    broken = write("adapters/developer_role.py", "1 / 0\n")
    path = write("providers/acme.yaml", GOOD + "adapters: [developer_role]\n")
    fine = write("providers/fine.yaml", GOOD + "adapters: [{drop_field: {field: user}}]\n")
    loaded = load([root])
    assert [lines(loaded, one)[0].state for one in (broken, path, fine)] == ["broken", "broken", "ok"]
    assert "unknown adapter 'developer_role'" in lines(loaded, path)[0].reason
    assert "acme" not in loaded.registry.providers and "fine" in loaded.registry.providers


def test_of_two_providers_in_a_file_each_stands_for_itself(root: Path, write: Write) -> None:
    """One that cannot serve is listed as broken, beside one that can; and two that cannot."""
    text = provider("one", "two").replace('"chat", ', '"chat", "adapters": ["othre"][:name == BAD or BAD == "both"], ')
    half = write("providers/half.py", text.replace("BAD", "'one'"))
    loaded = load([root])
    assert "one" not in loaded.registry.providers and "two" in loaded.registry.providers
    assert {plugin.names: plugin.state for plugin in lines(loaded, half)} == {("one",): "broken", ("two",): "ok"}
    half.unlink()
    both = write("providers/both.py", text.replace("BAD", "'both'"))
    loaded = load([root])
    assert not {"one", "two"} & loaded.registry.providers.keys()
    assert {plugin.names: plugin.state for plugin in lines(loaded, both)} == {("one",): "broken", ("two",): "broken"}


def test_one_of_ours_with_an_adapter_that_cannot_serve_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("rotator", "protocols", "adapters", "providers"):
        shutil.copytree(builtin_root() / name, folder / name, ignore=ignored)
    assert run("check", cwd=tmp_path, root=folder).returncode == 0
    declaration = folder / "providers" / "groq.yaml"
    text = declaration.read_text(encoding="utf-8")
    for use, reason in (
        ("develper_role", "adapters[0]: unknown adapter 'develper_role' (did you mean developer_role?)"),
        ("{developer_role: {too: user}}", "adapters[0].developer_role.too: unknown key (did you mean to?)"),
    ):
        declaration.write_text(f"{text}adapters: [{use}]\n", encoding="utf-8")
        done = run("check", cwd=tmp_path, root=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"rotator: {declaration}: {reason}\n"


def test_a_module_may_carry_any_hook(root: Path, write: Write) -> None:
    path = write("adapters/both.py", ADAPTER + provider("also"))
    loaded = load([root])
    assert lines(loaded, path)[0].names == ("rename_it", "also")
    assert "also" in loaded.registry.providers and "rename_it" in loaded.registry.adapters


BROKEN = {
    "syntax": ("providers/x.py", "def (\n", "SyntaxError"),
    "null byte": ("providers/x.py", "a = '\0'\n", "null bytes"),
    "import": ("providers/x.py", "import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    "own name": ("providers/x.py", "from . import missing\n", "ImportError"),
    "raises": ("providers/x.py", "1 / 0\n", "ZeroDivisionError: division by zero"),
    "exits": ("providers/x.py", "raise SystemExit(3)\n", "SystemExit: 3"),
    "no hook": ("providers/x.py", "def register_providers(register): ...\n", "registers nothing"),
    "registers none": ("providers/x.py", provider(), "registers nothing"),
    "hook typo": ("providers/x.py", provider("x").replace("providers(", "provider("), "register_provider"),
    "hook argument": ("providers/x.py", provider("x").replace("(register)", "(registrar)"), "registrar"),
    "hook raises": ("providers/x.py", provider("x") + "    raise KeyError('y')\n", "KeyError: 'y'"),
    "hook exits": ("providers/x.py", provider("x") + "    raise SystemExit(4)\n", "SystemExit: 4"),
    "member": ("adapters/x.py", ADAPTER.replace("(WireAdapter)", ""), "adapter 'rename_it' lacks open"),
    "protocols": ("adapters/x.py", ADAPTER.replace('("chat",)', '"chat"'), "must be a sequence of protocol names"),
    "two nameless": ("adapters/x.py", FIVE_LINES + "\nclass Other(WireAdapter): ...\n", "registers one name twice"),
    "no adapter": ("adapters/x.py", "from rotator.api import WireAdapter\n", "registers nothing"),
    "base alone": ("adapters/x.py", FIVE_LINES.replace("class ", "class _"), "registers nothing"),
    "plain provider": ("providers/x.py", FIVE_LINES, "registers nothing"),
    "form": ("adapters/x.py", ADAPTER.replace('"wire"', '"wires"'), "form must be 'wire' or 'neutral', not 'wires'"),
    "object": ("adapters/x.py", ADAPTER.replace("register(Rename)", "register(Rename())"), "must be a class"),
    "name": ("adapters/x.py", ADAPTER.replace('"rename_it"', "None"), "Rename has no name"),
    "not a provider": ("providers/x.py", ADAPTER.replace("adapters", "providers"), "provider 'rename_it' lacks "),
    "twice": ("providers/x.py", provider("x", "x"), "registers one name twice"),
    "declaration": ("providers/x.py", provider("X Y"), "'X Y' is no provider name"),
    "bad yaml": ("providers/x.yaml", "a: [\n", "line"),
    "no mapping": ("providers/x.yaml", "- a\n", "expected a mapping, found a list"),
    "empty": ("providers/x.yaml", "", "base_url: missing"),
    "not utf-8": ("providers/x.yaml", "", "UTF-8"),
    "key twice": ("providers/x.yaml", GOOD + "protocol: messages\n", "protocol"),
    "unknown key": ("providers/x.yaml", GOOD + "modells: [a]\n", "modells: unknown key (did you mean models?)"),
    "wrong type": ("providers/x.yaml", GOOD + "models: {a: 1}\n", "models: "),
    "bad base": ("providers/x.yaml", "protocol: chat\nbase_url: ftp://x\n", "base_url: expected http(s)://host/path"),
    "bad auth": ("providers/x.yaml", GOOD + "auth: baerer\n", "auth: "),
    "adapter": ("providers/x.yaml", GOOD + "adapters: [othre]\n", "unknown adapter 'othre' (did you mean other?)"),
    "options": (
        "providers/x.yaml", GOOD + "adapters: [other, {drop_field: {feild: a}}]\n",
        "adapters[1].drop_field.feild: unknown key (did you mean field?)",
    ),
    "no options": ("providers/x.yaml", GOOD + "adapters: [{other: {a: 1}}]\n", "adapters[0].other: takes no options"),
    "adapters' shape": ("providers/x.yaml", GOOD + "adapters: [{a: 1, b: 2}]\n", "adapters[0]: expected a name"),
    "not for it": (
        "providers/x.yaml", "protocol: messages\nbase_url: http://127.0.0.1:9\nadapters: [developer_role]\n",
        "adapter 'developer_role' is for chat; x speaks messages",
    ),
    "python's adapter": (
        "providers/x.py", provider("x").replace('"chat",', '"chat", "adapters": ["othre"],'), "unknown adapter 'othre'"
    ),
    "bad protocol": ("providers/x.yaml", GOOD.replace("chat", "chatt"), "no protocol is named 'chatt'"),
    "other name": ("providers/x.yaml", GOOD + "name: y\n", "name: 'y' is not the file's name 'x'"),
    "bad name": ("providers/X Y.yaml", GOOD, "'X Y' is no provider name"),
    "yaml adapter": ("adapters/x.yaml", "a: 1\n", "a YAML file is a provider; in adapters/ a plug-in is Python"),
    "package": ("providers/x/__init__.py", "from . import missing\n", "ImportError"),
    "dotted": ("providers/x.y.py", provider("xy"), "ModuleNotFoundError"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_broken_is_named_and_harms_nobody(
    tmp_path: Path, root: Path, write: Write, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    place, text, reason = BROKEN[what]
    path = write(place, text)
    if what == "not utf-8":
        path.write_bytes(b"name: \xff\n")
    plugin = path.parent if path.name == "__init__.py" else path
    good = [write("providers/good.yaml", GOOD), write("providers/fine.py", provider("fine"))]
    good.append(write("adapters/renaming.py", ADAPTER.replace("rename_it", "other")))
    world = make_world({"GOOD_API_KEY": "key-of-good"}, tmp_path, plugins=(root,))
    loaded = world.loaded
    [line] = lines(loaded, plugin)
    assert (line.state, line.origin) == ("broken", "user") and reason in line.reason, line
    assert "\n" not in line.reason
    assert [lines(loaded, one)[0].state for one in good] == ["ok"] * 3
    ours = load().registry
    assert set(loaded.registry.providers) == {*ours.providers, "good", "fine"} and set(world.credentials) == {"good"}
    assert set(loaded.registry.adapters) == {*ours.adapters, "other"}
    assert [record for record in caplog.records if str(plugin) in record.getMessage()]


SECRETS = {
    "key": "api_key: sk-planted-abcdef-123456\n",
    "header": "headers: {Authorization: Bearer sk-planted-abcdef-123456}\n",
    "odd header": "headers: {X-Custom: sk-planted-abcdef-123456}\n",
    "header by name": "headers: {x-api-key: planted-and-random-9}\n",
    "credentials": "credentials: {'1': sk-planted-abcdef-123456}\n",
    "url": "profiles: {messages: {protocol: messages, base_url: 'https://user:planted9@acme.example'}}\n",
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_secret_in_yaml_is_refused_and_not_repeated(root: Path, write: Write, where: str) -> None:
    path = write("providers/acme.yaml", GOOD + SECRETS[where])
    loaded = load([root])
    [line] = lines(loaded, path)
    assert line.state == "broken" and "planted" not in line.reason
    assert "acme" not in loaded.registry.providers


def test_two_files_of_one_name_are_told(root: Path, write: Write) -> None:
    for place in ("providers/acme.yaml", "providers/acme.py", "providers/acme.yml"):
        write(place, GOOD if place.endswith("ml") else provider("acme"))
    write("providers/twin.py", provider("twin"))
    write("providers/twin/__init__.py", provider("twin"))
    loaded = load([root])
    told = {plugin.names: plugin.reason for plugin in loaded.plugins if plugin.state == "broken"}
    same = "two files of one name"
    assert told == {("acme",): f"{same}: acme.py, acme.yaml, acme.yml", ("twin",): f"{same}: twin, twin.py"}
    assert not {"acme", "twin"} & loaded.registry.providers.keys()


def test_nothing_of_a_broken_module_counts(root: Path, write: Write) -> None:
    """Neither what it registered before it failed, nor its observers."""
    observer = "@hookimpl\ndef on_attempt(attempt): ...\n"
    write("providers/half.py", provider("half") + "    register(object())\n" + observer)
    write("providers/twice.py", provider("twice", "twice") + observer)
    loaded = load([root])
    assert not {"half", "twice"} & loaded.registry.providers.keys()
    assert loaded.observers == ()


@pytest.mark.parametrize("place, text", [("providers/openai.yaml", GOOD), ("providers/openai.py", provider("openai"))])
def test_a_file_replaces_ours_by_its_name(
    root: Path, write: Write, caplog: pytest.LogCaptureFixture, place: str, text: str
) -> None:
    caplog.set_level(logging.INFO, "rotator")
    path, ours = write(place, text), builtin_root() / "providers" / "openai.yaml"
    loaded = load([root])
    assert base(loaded, "openai").startswith("http://127.0.0.1:9/")
    assert lines(loaded, ours) == [
        Plugin("providers", ("openai",), str(ours), "built-in", "overridden", f"by {path}")
    ]
    assert f"{path} replaces {ours}" in caplog.messages


def test_a_registration_replaces_ours_by_its_name(
    root: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rotator")
    path = write("providers/mine.py", provider("openai", "mine"))
    loaded = load([root])
    assert base(loaded, "openai") == "http://127.0.0.1:9/python" == base(loaded, "mine")
    ours = builtin_root() / "providers" / "openai.yaml"
    assert lines(loaded, ours)[0].state == "overridden" and str(path) in lines(loaded, ours)[0].reason
    assert lines(loaded, path)[0].state == "ok"
    assert [message for message in caplog.messages if "'openai'" in message and str(path) in message]


PROTOCOL = """
from rotator.api import hookimpl
import rotator.plugins.protocols.chat as ours

class Mine(ours.Chat):
    request_headers = ("x-mine",)

@hookimpl
def register_protocols(register):
    register(Mine())
"""


@pytest.mark.parametrize("folder", ["protocols", "adapters", "providers"])
def test_a_registration_replaces_ours_from_any_folder(root: Path, write: Write, folder: str) -> None:
    """A module in any folder may carry any hook, and the first root wins."""
    write(f"{folder}/mine.py", PROTOCOL)
    assert load([root]).registry.protocols["chat"].request_headers == ("x-mine",)


@pytest.mark.parametrize("text", ["a: [\n", "def (\n"])
async def test_a_broken_replacement_leaves_the_name_empty(
    tmp_path: Path, root: Path, write: Write, text: str
) -> None:
    """No key goes to an address that its owner meant to change."""
    write("providers/openai.yaml" if ":" in text else "providers/openai.py", text)
    world = make_world({"OPENAI_API_KEY": "key-of-mine"}, tmp_path, plugins=(root,))
    assert "openai" not in world.loaded.registry.providers and "openai" not in world.credentials
    assert [warning for warning in world.warnings if "OPENAI_API_KEY" in warning]
    async with serving(world) as proxy:
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("openai/small"))
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")


def test_the_first_folder_wins(tmp_path: Path, write: Any) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        write("providers/acme.yaml", GOOD.replace("good", folder.name), folder)
        write(f"providers/of_{folder.name}.yaml", GOOD, folder)
        write("adapters/shared.py", ADAPTER.replace('"chat"', f'"{folder.name}"'), folder)
    loaded = load([first, second])
    assert base(loaded, "acme").endswith("/first") and {"of_first", "of_second"} <= loaded.registry.providers.keys()
    assert loaded.registry.adapters["rename_it"].protocols == ("first",)
    assert base(load([second, first]), "acme").endswith("/second")


def test_packages_and_their_siblings(root: Path, write: Write) -> None:
    write("providers/_common.py", "NAME = 'acme'\n")
    write("providers/acme/words.py", "from .._common import NAME\nBASE = 'x'\n")
    path = write(
        "providers/acme/__init__.py",
        "from .words import NAME\nfrom . import words\n" + provider("placeholder").replace("['placeholder']", "[NAME]"),
    )
    loaded = load([root])
    assert lines(loaded, path.parent)[0] == Plugin("providers", ("acme",), str(path.parent), "user", "ok")


def test_files_that_are_no_plugins(root: Path, write: Write) -> None:
    for place in (
        "__init__.py", "_private.py", ".hidden.py", "_private.yaml", ".hidden.yaml", "notes.txt", "README.md",
        "_pkg/__init__.py", "folder/module.py", "__pycache__/x.py", "x.pyc", "x.yaml.bak", "x.json",
    ):
        write(f"providers/{place}", "raise SystemExit('must not run')\n")
    write("sitecustomize.py", "raise SystemExit('must not run')\n")
    write("plugins/x.py", "raise SystemExit('must not run')\n")
    assert load([root]).plugins == load().plugins


def test_a_plugin_may_be_called_like_a_module_of_pythons(root: Path, write: Write) -> None:
    import json

    names = ("json", "asyncio", "typing", "rotator", "yaml", "conftest")
    for name in names:
        write(f"providers/{name}.py", "import json\nassert json.loads('1') == 1\n" + provider(name))
    loaded = load([root])
    assert set(names) <= loaded.registry.providers.keys()
    assert sys.modules["json"] is json and "rotator.plugins.providers.json" in sys.modules


def test_folders_that_are_not_there(tmp_path: Path, root: Path) -> None:
    root.mkdir()
    assert load([root, tmp_path / "missing"]).plugins == load().plugins


def test_a_folder_twice_is_harmless(root: Path, write: Write) -> None:
    write("providers/acme.yaml", GOOD)
    assert base(load([root, root]), "acme").endswith("/good")


def test_the_users_own_copy_of_our_folder(tmp_path: Path) -> None:
    shutil.copytree(builtin_root() / "providers", tmp_path / "copy" / "providers")
    loaded = load([tmp_path / "copy"])
    assert loaded.registry.paths["providers", "demo"] == str(tmp_path / "copy" / "providers" / "demo")


def test_plugins_are_listed_by_the_command(tmp_path: Path, write: Write) -> None:
    """With everything that was found, broken ones too; the exit code stays 0."""
    write("providers/acme.yaml", GOOD)
    write("providers/broken.py", "1 / 0\n")
    done = run("plugins", "--plugins", "mine", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "broken.py  (ZeroDivisionError: division by zero)" in done.stdout


def test_a_broken_one_is_an_error_of_its_own() -> None:
    error = PluginError("a.py", "why")
    assert (str(error), error.path, error.reason) == ("a.py: why", "a.py", "why")
