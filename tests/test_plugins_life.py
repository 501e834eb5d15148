"""Plug-ins while the proxy runs: what observers see, and what a reload sees; and the page's own examples."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from rotator.config.reader import At
from rotator.contracts import Context, JsonFrame, Outcome, Target
from rotator.hookspecs import AttemptSeen
from rotator.plugins import load, tell
from rotator.upstream.adapter import make_adapters
from rotator.upstream.provider import HttpProvider
from tests.asking import Answer, ask, chat
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import CHAT_FRAMES, SSE, WHOLE, Canned, Reply, canned, engine

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


def shown(root: Path) -> dict[str, str]:
    """Puts the page's files into a user's folder, exactly as the page shows them."""
    found = examples()
    for place, text in found.items():
        put(root / place, text)
    return found


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    root = tmp_path / "plugins"
    found = shown(root)
    assert len(found) == 8 and len(found["providers/acme.yaml"].splitlines()) == 5
    assert len([line for line in found["adapters/polite.py"].splitlines() if line]) == 5
    [observer] = re.findall(r"```python\n(from collections import Counter.*?)```", PAGE, re.DOTALL)
    put(root / "adapters" / "counting.py", observer)
    world = make_world({"ACME_API_KEY": "a-key", "ACME_API_KEY_2": "b-key"}, tmp_path, plugins=(root,))
    mine = [plugin for plugin in world.loaded.plugins if plugin.origin == "user"]
    assert len(mine) == 9 and {plugin.state for plugin in mine} == {"ok"}, mine
    providers = world.loaded.registry.providers
    assert len(world.credentials["acme"]) == 2 and tuple(providers["acme"].listed) == ("small", "large")
    [key, _] = world.credentials["acme"]
    assert ("x-acme-client", "rotator:a-ke") in providers["acme_signed"].authorise(key)
    seen = AttemptSeen("req_1", Target("acme", "chat", "m"), "id", 1, 200, 0.1, Outcome("ok"))
    tell(world.loaded.observers, seen)
    assert import_module("rotator.plugins.adapters.counting").ENDED == {"acme ok": 1}


@pytest.fixture
async def vendor() -> AsyncIterator[Any]:
    """The strict vendor."""
    made = engine.Engine(pace_seconds=0.0)
    await made.start()
    yield made
    await made.aclose()


@asynccontextmanager
async def acme(folder: Path, base: str, config: str = "") -> AsyncIterator[Proxy]:
    """The page's files served; every acme of theirs is at this base."""
    shown(folder / "plugins")
    environ = {f"{name}_API_BASE": base for name in ("ACME", "ACME_POLITE", "ACME_GATHERED", "ACME_WRAPPED")}
    environ |= {name.replace("_BASE", "_KEY"): f"key-of-{name}" for name in environ}
    async with serving(make_world(environ, folder, config=config, plugins=(folder / "plugins",))) as proxy:
        yield proxy


def sse(body: bytes) -> list[Any]:
    """The JSON of each event."""
    return [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


@pytest.mark.parametrize("stream", [False, True])
async def test_five_lines_and_one_change_real_traffic(tmp_path: Path, vendor: Any, stream: bool) -> None:
    async with acme(tmp_path, vendor.chat_base, "providers: {acme: {adapters: [polite]}}") as proxy:
        for provider in ("acme_polite", "acme"):
            answer = await ask(
                proxy.url, "POST", "/v1/chat/completions", {}, chat(f"{provider}/text", stream=stream)
            )
            assert answer.status == 200, answer.body
            told = {name: answer.headers[f"x-rotator-{name}"] for name in ("lane", "provider", "model")}
            assert told == {"lane": "native", "provider": provider, "model": "text"}
            polite = {"role": "system", "content": "Be polite."}
            assert json.loads(vendor.requests[-1].body) == chat(
                "text", stream=stream, messages=[polite, *chat("text")["messages"]]
            )
            bodies = sse(answer.body) if stream else [answer.json]
            assert bodies and {body["model"] for body in bodies} == {f"{provider}/text"}


async def test_options_state_and_last_frames(tmp_path: Path, vendor: Any) -> None:
    """The page's second adapter: fewer events with the same text, also where streams meet or break off."""
    async with acme(tmp_path, vendor.chat_base) as proxy:

        async def streamed(model: str) -> Answer:
            return await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat(model, stream=True))

        plain = await streamed("acme/text")
        one, other = await asyncio.gather(streamed("acme_gathered/text"), streamed("acme_gathered/unicode"))
        vendor.script("broken", engine.Play("text", cut_after=5))
        cut = await streamed("acme_gathered/broken")
    assert (plain.headers["x-rotator-lane"], one.headers["x-rotator-lane"]) == ("raw", "native")
    few, many = sse(one.body), sse(plain.body)
    assert text_of(few) == text_of(many) and len(few) < len(many) / 2
    lengths = [len(text_of([chunk])) for chunk in few if text_of([chunk])]
    assert all(length >= 60 for length in lengths[:-1]) and few[-1]["choices"][0]["finish_reason"] == "stop"
    assert one.body.endswith(b"data: [DONE]\n\n") and other.body.endswith(b"data: [DONE]\n\n")
    assert "\u4f60\u597d" in text_of(sse(other.body)) and "demo vendor" not in text_of(sse(other.body))
    *begun, error = sse(cut.body)
    assert text_of(begun) and text_of(many).startswith(text_of(begun)) and len(begun) < 4
    assert error["error"]["code"] == "truncated"


async def test_an_envelope_of_the_vendors_own(tmp_path: Path) -> None:
    frames = [b'data: {"response":%b}\n\n' % frame[6:-2] for frame in CHAT_FRAMES if b"DONE" not in frame]
    async with canned(Canned([b'{"response":%b}' % WHOLE["chat"]])) as server:
        async with acme(tmp_path, f"{server.url}/v1") as proxy:
            body = chat("acme_wrapped/m")
            whole = await ask(proxy.url, "POST", "/v1/chat/completions", {}, body)
            server.answer = Canned([*frames, b"data: [DONE]\n\n"], headers=SSE)
            streamed = await ask(proxy.url, "POST", "/v1/chat/completions", {}, {**body, "stream": True})
    assert (whole.status, whole.body, whole.headers["x-rotator-lane"]) == (200, WHOLE["chat"], "native")
    assert streamed.body == b"".join(CHAT_FRAMES)
    one, two = server.taken
    assert json.loads(one.body) == {"project": "blue", "request": chat("m")}
    assert json.loads(two.body) == {"project": "blue", "request": chat("m", stream=True)}
    assert one.line == "POST /v1/chat/completions?version=2 HTTP/1.1" and one.headers["x-acme-form"] == "wrapped"


def test_a_wrong_option_is_told_as_the_page_says(tmp_path: Path) -> None:
    root = tmp_path / "plugins"
    wrong = shown(root)["providers/acme_gathered.yaml"].replace("characters", "charakters")
    path = put(root / "providers" / "acme_gathered.yaml", wrong)
    [line] = [plugin for plugin in load([root]).plugins if plugin.path == str(path)]
    assert line.state == "broken" and f"(`{path.name}: {line.reason}`)" in " ".join(PAGE.split())


def test_the_built_in_adapters_of_the_page_are_all_and_work() -> None:
    shown_uses = re.findall(r"```yaml\n(adapters:.*?)```", PAGE, re.DOTALL)
    registry = load().registry
    declared = {"name": "acme", "protocol": "chat", "base_url": "https://api.acme.example/v1"}
    made: list[Any] = []
    for text in shown_uses:
        provider = HttpProvider({**declared, **yaml.safe_load(text)})
        made += make_adapters(provider, registry.adapters, registry.protocols, At("page"))
    assert {one.name for one in made} == set(registry.adapters)
    body: Any = {
        "messages": [{"role": "developer", "content": [{"type": "text", "text": "a", "cache_control": {}}]}],
        "reasoning": {"effort": "low"},
        "top_k": 4,
        "store": True,
        "max_tokens": None,
    }
    frame = JsonFrame(None, {"choices": [{"delta": {"reasoning": ""}}]})
    for one in (one for one in made if one.form == "wire"):
        opened = one.open(Context("acme", "chat", "m", "chat", "generate", "id", None, "local", []))
        body = opened.on_request(body)
        [frame] = opened.on_event(frame)
    assert body == {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        "reasoning": {},
        "reasoning_effort": "low",
        "store": False,
        "max_tokens": None,
    }
    assert frame.data == {"choices": [{"delta": {"reasoning_content": ""}}]}


FAILING = """
from rotator.api import WireAdapter

class Failing(WireAdapter):
    def on_WHERE(self, given):
        if isinstance(given, dict):
            given.clear()
        RAISE
"""
FAILURES = {"raise LookupError('no star')": "LookupError: no star", "return None": "NoneType", "return 3": "int"}


@pytest.mark.parametrize("where", ["request", "response", "event"])
@pytest.mark.parametrize("fails", FAILURES)
@pytest.mark.parametrize("on_error", ["fail", "skip"])
async def test_a_failing_adapter_fails_its_attempt_or_is_passed_by(
    tmp_path: Path, vendor: Any, where: str, fails: str, on_error: str
) -> None:
    """Where the page says so it is as if it were not there, whatever it has done before."""
    put(tmp_path / "plugins" / "adapters" / "failing.py", FAILING.replace("WHERE", where).replace("RAISE", fails))
    config = f"providers: {{acme: {{adapters: [failing, polite], on_error: {on_error}}}}}"
    async with acme(tmp_path, vendor.chat_base, config) as proxy:
        body = chat("acme/text", stream=where == "event")
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", {}, body)
        again = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("acme_polite/text"))
    assert again.status == 200
    if on_error == "skip":
        assert answer.status == 200 and (b"demo vendor" in answer.body or len(sse(answer.body)) > 5)
        assert [one["role"] for one in json.loads(vendor.requests[0].body)["messages"]] == ["system", "user"]
        return
    assert (answer.status, answer.json["error"]["code"]) == (500, "transform_failed")
    message = answer.json["error"]["message"]
    assert f"adapter failing failed on the {where}" in message and FAILURES[fails] in message
    assert len(vendor.requests) == (1 if where == "request" else 2)
    assert answer.headers.get("x-rotator-attempts") == (None if where == "request" else "1")


LATE = """
from rotator.api import WireAdapter

class Late(WireAdapter):
    shown = 0

    def on_event(self, frame):
        self.shown += 1
        if self.shown > 4:
            raise LookupError("no star")
        yield frame
"""


async def test_an_adapter_that_fails_late_ends_the_stream_with_the_error(tmp_path: Path, vendor: Any) -> None:
    put(tmp_path / "plugins" / "adapters" / "late.py", LATE)
    gate = engine.Gate()
    vendor.script("late", engine.Play("text", gate=gate))
    async with acme(tmp_path, vendor.chat_base, "providers: {acme: {adapters: [late]}}") as proxy:
        gate.release(3)
        body = chat("acme/late", stream=True)
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{proxy.url}/v1/chat/completions", json=body) as answer,
        ):
            shown = await answer.content.readuntil(b"\n\n")
            gate.open()
            shown += await answer.read()
    *begun, error = sse(shown)
    assert answer.status == 200 and len(begun) == 4
    assert error["error"]["code"] == "transform_failed" and b"[DONE]" not in shown


UNFIT = """
from rotator.api import HttpProvider, WireRequest, hookimpl

class Odd(HttpProvider):
    def METHOD

@hookimpl
def register_providers(register):
    register(Odd({"name": "odd", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}))
"""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "method",
    [
        "finalise(self, request, credential): return None",
        "finalise(self, request, credential): return request.body",
        "finalise(self, request, credential): return WireRequest([], {})",
        "finalise(self, request, credential): return WireRequest({'a': object()}, {})",
        "finalise(self, request, credential): raise LookupError('no star')",
        "unwrap(self, data): return {**data, 'a': object()}",
        "unwrap(self, data): raise LookupError('no star')",
    ],
)
async def test_a_providers_own_step_that_fails_fails_its_attempt(
    tmp_path: Path, vendor: Any, method: str, stream: bool
) -> None:
    """Nothing goes out that the step did not make; nothing comes in that is no JSON."""
    put(tmp_path / "plugins" / "providers" / "odd.py", UNFIT.replace("METHOD", method))
    environ = {"ODD_API_BASE": vendor.chat_base, "ODD_API_KEY": "key-of-odd"}
    async with serving(make_world(environ, tmp_path, plugins=(tmp_path / "plugins",))) as proxy:
        body = chat("odd/text", stream=stream)
        answer = await ask(proxy.url, "POST", "/v1/chat/completions", {}, body)
    assert (answer.status, answer.json["error"]["code"]) == (500, "transform_failed")
    assert len(vendor.requests) == (0 if method.startswith("finalise") else 1)


def test_every_file_of_the_pages_tree_is_shown() -> None:
    tree = re.findall(r"^    (\w+\.\w+)$", PAGE, re.MULTILINE)
    assert sorted(Path(place).name for place in examples()) == sorted(tree)


def test_the_page_says_where_folders_come_from() -> None:
    for words in ("--plugins", "ROTATOR_PLUGINS", "plugins: [plugins]", "rotator plugins", "entry point", "overridden"):
        assert words in PAGE
