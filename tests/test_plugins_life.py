"""Plug-ins while the proxy runs: what observers see, and what a reload sees; and the page's own examples."""

import asyncio
import logging
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rotator.contracts import Outcome, Target
from rotator.hookspecs import AttemptSeen
from rotator.plugins import load, tell
from tests.asking import ask, chat
from tests.proxy import make_world, serving
from tests.upstreams import Reply, engine

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
OBSERVER = """
from rotator.api import hookimpl

SEEN = []

@hookimpl
def on_attempt(attempt):
    SEEN.append(attempt)
    RAISE
"""
YAML = "protocol: chat\nbase_url: http://127.0.0.1:9/{mark}\n"
PYTHON = """
from rotator.api import HttpProvider, hookimpl

@hookimpl
def register_providers(register):
    register(HttpProvider({"name": "code", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}))
"""


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def base(loaded: Any, name: str) -> str:
    found = loaded.registry.providers[name]
    return str(found.profiles[found.default_profile].base_url)


@pytest.mark.parametrize("raises", ["", "raise KeyError('a mistake')"])
async def test_observers_see_every_attempt_and_fail_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, raises: str
) -> None:
    put(tmp_path / "mine" / "adapters" / "first.py", OBSERVER.replace("RAISE", raises))
    put(tmp_path / "mine" / "providers" / "second.py", OBSERVER.replace("RAISE", ""))
    vendor = engine.Engine(pace_seconds=0.0)
    await vendor.start()
    vendor.script_key("key-number-one", Reply(429, {"retry-after": "60"}))
    config = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.chat_base}'}}}}"
    environ = {"MINE_API_KEY_1": "key-number-one", "MINE_API_KEY_2": "key-number-two"}
    world = make_world(environ, tmp_path, config=config, plugins=(tmp_path / "mine",))
    async with serving(world) as proxy:
        pinned = {"x-rotator-credential": "mine#1"}
        first = await ask(proxy.url, "POST", "/v1/chat/completions", pinned, chat("mine/text"))
        second = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("mine/text"))
        stream = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("mine/text", stream=True))
    await vendor.aclose()
    assert (first.status, second.status) == (429, 200) and stream.body.endswith(b"[DONE]\n\n")
    one, two = (import_module(f"rotator.plugins.{name}") for name in ("adapters.first", "providers.second"))
    assert one.SEEN == two.SEEN and len(one.SEEN) == 3
    failed, ok, streamed = one.SEEN
    assert failed.request_id == first.headers["x-rotator-request-id"]
    assert failed.target == Target("mine", "chat", "text")
    assert (failed.number, failed.status, failed.outcome.ended) == (1, 429, "failed")
    assert failed.outcome.verdict.retry_after_seconds == 60
    assert (ok.status, ok.outcome.ended, streamed.outcome.ended) == (200, "ok", "ok")
    assert ok.outcome.usage.output_total > 0 and ok.seconds >= 0
    labels = {key.id: key.label for key in world.credentials["mine"]}
    assert [labels[seen.credential] for seen in one.SEEN] == ["mine#1", "mine#2", "mine#2"]
    assert "key-number" not in repr(one.SEEN)
    assert len([message for message in caplog.messages if "on_attempt" in message]) == (3 if raises else 0)


def test_a_cancelled_observer_is_no_failure() -> None:
    """Only what is an error is swallowed."""

    def cancelled(attempt: AttemptSeen) -> None:
        raise asyncio.CancelledError

    seen = AttemptSeen("req_1", Target("a", "chat", "m"), "id", 1, 200, 0.1, Outcome("ok"))
    with pytest.raises(asyncio.CancelledError):
        tell([cancelled], seen)


def test_a_reload_reads_yaml_again(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    path = put(root / "providers" / "acme.yaml", YAML.format(mark="first"))
    first = load([root])
    put(path, YAML.format(mark="second"))
    put(root / "providers" / "late.yaml", YAML.format(mark="late"))
    put(root / "providers" / "openai.yaml", YAML.format(mark="replaced"))
    second = load([root], first)
    assert [base(first, "acme"), base(second, "acme")] == ["http://127.0.0.1:9/first", "http://127.0.0.1:9/second"]
    assert "late" in second.registry.providers and base(second, "openai").endswith("/replaced")
    put(path, "a: [\n")
    (root / "providers" / "late.yaml").unlink()
    third = load([root], second)
    assert not {"acme", "late"} & third.registry.providers.keys()
    assert [plugin.state for plugin in third.plugins if plugin.path == str(path)] == ["broken"]
    put(path, YAML.format(mark="mended"))
    assert base(load([root], third), "acme").endswith("/mended")


def test_a_reload_runs_no_python(tmp_path: Path) -> None:
    """What was loaded stays as it was, what is new is listed, what was broken stays broken."""
    root = tmp_path / "mine"
    put(root / "providers" / "code.py", "from pathlib import Path\n"
        f"path = Path({str(tmp_path / 'ran')!r})\n"
        "path.write_text(path.read_text() + 'x' if path.exists() else 'x')\n" + PYTHON)
    broken = put(root / "providers" / "broken.py", "1 / 0\n")
    first = load([root])
    put(broken, PYTHON.replace("code", "mended"))
    late = put(root / "adapters" / "late.py", "raise SystemExit('must not run')\n" + PYTHON)
    second = load([root], first)
    assert (tmp_path / "ran").read_text() == "x"
    assert second.registry.providers["code"] is first.registry.providers["code"]
    assert second.registry.protocols["chat"] is first.registry.protocols["chat"]
    state = {plugin.path: plugin.state for plugin in second.plugins}
    assert state[str(late)] == "needs restart" and state[str(broken)] == "broken"
    assert "mended" not in second.registry.providers


def test_a_reload_keeps_observers_once(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    put(root / "adapters" / "watching.py", OBSERVER.replace("RAISE", ""))
    first = load([root])
    second = load([root], load([root], first))
    assert len(first.observers) == len(second.observers) == 1 and first.observers == second.observers


def test_a_changed_module_needs_a_restart(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    path = put(root / "providers" / "code.py", PYTHON)
    first = load([root])
    put(path, PYTHON.replace("9/v1", "9/v2/changed"))
    second = load([root], first)
    assert base(second, "code").endswith("/v1")
    assert [plugin.state for plugin in second.plugins if plugin.path == str(path)] == ["needs restart"]


def test_what_needs_a_restart_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rotator")
    root = tmp_path / "mine"
    root.mkdir()
    first = load([root])
    path = put(root / "providers" / "code.py", PYTHON)
    load([root], first)
    assert [message for message in caplog.messages if str(path) in message and "start" in message]


def examples() -> dict[str, str]:
    """The files that the page shows, by their place below ``plugins/``; each stands right after its name."""
    return dict(re.findall(r"`plugins/([\w/.]+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    found = examples()
    assert set(found) == {"providers/acme.yaml", "providers/acme_signed.py", "adapters/drop_field.py"}
    assert len(found["providers/acme.yaml"].splitlines()) == 5
    root = tmp_path / "plugins"
    for place, text in found.items():
        put(root / place, text)
    [observer] = re.findall(r"```python\n(from collections import Counter.*?)```", PAGE, re.DOTALL)
    put(root / "adapters" / "counting.py", observer)
    world = make_world({"ACME_API_KEY": "a-key", "ACME_API_KEY_2": "b-key"}, tmp_path, plugins=(root,))
    mine = [plugin for plugin in world.loaded.plugins if plugin.origin == "user"]
    assert len(mine) == 4 and {plugin.state for plugin in mine} == {"ok"}, mine
    providers, adapters = world.loaded.registry.providers, world.loaded.registry.adapters
    assert len(world.credentials["acme"]) == 2 and tuple(providers["acme"].listed) == ("small", "large")
    [key, _] = world.credentials["acme"]
    assert ("x-acme-client", "rotator:a-ke") in providers["acme_signed"].authorise(key)
    made: Any = adapters["drop_field"]
    assert made({"field": "user"}).on_request({"user": 1, "model": "m"}) == {"model": "m"}
    seen = AttemptSeen("req_1", Target("acme", "chat", "m"), "id", 1, 200, 0.1, Outcome("ok"))
    tell(world.loaded.observers, seen)
    assert import_module("rotator.plugins.adapters.counting").ENDED == {"acme ok": 1}


def test_every_file_of_the_pages_tree_is_shown() -> None:
    tree = re.findall(r"^    (\w+\.\w+)$", PAGE, re.MULTILINE)
    assert sorted(Path(place).name for place in examples()) == sorted(tree)


def test_the_page_says_where_folders_come_from() -> None:
    for words in ("--plugins", "ROTATOR_PLUGINS", "plugins: [plugins]", "rotator plugins", "entry point", "overridden"):
        assert words in PAGE
