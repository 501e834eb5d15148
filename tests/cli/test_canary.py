"""Canary secrets in headers, bodies, URLs, exceptions and cut streams: none in an answer, a line, a log or a trace."""

from __future__ import annotations

import json
import signal
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.asking import ask, chat, messages
from tests.cli.canaries import asked, told
from tests.cli.running import Server, serve
from tests.upstreams import JSON, SSE, WHOLE, Canned, CannedServer, canned

UPSTREAM = "canary/Upstream+Key=1%41-zz"
CLIENT = "canary.Client-Key_2=xx"
PROXY = "canary-Proxy~Password-3"
SECRETS = (UPSTREAM, CLIENT, PROXY)
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
PLUGINS = {
    # What a provider of one's own may do: it raises with its key in the text, at every place where it is asked.
    "providers/clumsy.py": '''
from rotator.api import HttpProvider, hookimpl


class Clumsy(HttpProvider):
    def finalise(self, request, credential):
        raise ValueError(f"no luck with {credential.secret.reveal()}")


class Rude(HttpProvider):
    def authorise(self, credential):
        raise RuntimeError(f"cannot sign with {credential.secret.reveal()}")


@hookimpl
def register_providers(register):
    for kind in (Clumsy, Rude):
        declared = {"name": kind.__name__.lower(), "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}
        register(kind(declared))
''',
    "adapters/outspoken.py": '''
from rotator.api import NeutralAdapter


class Outspoken(NeutralAdapter):
    def on_request(self, request):
        self.ctx.note(self.name, "said", str(request.meta), str(request))
        return request

    def on_event(self, event):
        raise KeyError(str(event))

    def on_response(self, response):
        raise KeyError(str(response))
''',
    "adapters/leaky.py": '''
from rotator.api import WireAdapter


class Leaky(WireAdapter):
    def on_event(self, frame):
        raise KeyError(str(frame.data))

    def on_response(self, body):
        raise KeyError(str(body))
''',
}


def forms(secret: str) -> set[str]:
    """How a secret may be written; none of these may be found anywhere."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        b64encode(raw).decode().rstrip("="),
        b64encode(f"user:{secret}".encode()).decode().rstrip("="),
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(letter):04x}" for letter in secret),
    }


def leaks(text: str) -> list[str]:
    """The forms that a text holds; inside longer Base64 a secret's edges share letters with what surrounds it.

    Where a text was cut, the beginning of a secret is one, too.
    """
    inside = {b64encode(b"12345"[:at] + secret.encode()).decode()[8:-6] for secret in SECRETS for at in range(3)}
    begun = {secret[:10] for secret in SECRETS}
    every = {*inside, *begun, *(one for secret in SECRETS for one in forms(secret))}
    return sorted(form for form in every if form in text)


FORMS = sorted(forms(UPSTREAM))


def error_body(form: str) -> str:
    return '{"error":{"message":"bad key FORM","type":"FORM","code":"FORM","param":"FORM"}}'.replace("FORM", form)


def answers(protocol: str) -> Iterator[Canned]:
    """What the upstream says, each with its key in another place; no answer that puts the key to rest."""
    for form in FORMS:
        body = error_body(form)
        nested = '{"error":{"message":"no","details":[{"@type":"x","metadata":{"FORM":"FORM"}}]}}'.replace("FORM", form)
        shown = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
        frame = f"event: error\ndata: {body}\n\n" if protocol == "messages" else f"data: {body}\n\n"
        told = {"x-request-id": form, "request-id": form, "www-authenticate": form, "set-cookie": f"a={form}"}
        for status in (400, 429, 500):
            yield Canned([body.encode()], status, {**JSON, **told})
        yield Canned([nested.encode()], 422, JSON)
        yield Canned([body.encode()], 200, JSON)
        yield Canned([f"<h1>{form}</h1>".encode()], 502, {"content-type": "text/html"})
        yield Canned([b"<h1>"], 200, {"content-type": f"text/{'x' * 40}{form}"})
        yield Canned([f"key {form} refused".encode()], 500, {"content-type": "text/plain"})
        yield Canned([b""], 302, {"location": f"http://127.0.0.1:9/?key={form}"})
        yield Canned([frame[at : at + 1].encode() for at in range(len(frame))], 200, SSE)
        yield Canned([shown, frame[:40].encode(), frame[40:].encode()], 200, SSE)
    yield Canned(raw=f"HTTP/1.1 nonsense {UPSTREAM}\r\n\r\n".encode(), whole=False)
    yield Canned(raw=f"{UPSTREAM} is no HTTP at all\r\n\r\n".encode(), whole=False)


def config(base: str) -> str:
    return json.dumps({
        "providers": {
            "chatty": {"protocol": "chat", "base_url": f"{base}/v1"},
            "claudish": {"protocol": "messages", "base_url": base, "auth": "x-api-key"},
            "leaking": {"protocol": "chat", "base_url": f"{base}/v1", "adapters": ["leaky"]},
            "loud": {"protocol": "chat", "base_url": f"{base}/v1", "adapters": ["outspoken"]},
            **{f"denied{at}": {"protocol": "chat", "base_url": f"{base}/v1"} for at in range(2 * len(FORMS))},
            "proxied": {"protocol": "chat", "base_url": "http://127.0.0.1:9/v1"},
        },
        "retry": {"same_key": 0, "small_cooldown_seconds": 0},
    })


async def provoke(server: Server, upstream: CannedServer) -> list[str]:
    """Every answer to every provocation."""
    heard = []
    for protocol, provider in (("chat", "chatty"), ("messages", "claudish"), ("chat", "leaking")):
        for number, said in enumerate(answers(protocol)):
            upstream.answer = said
            for stream in (False, True):  # a limit counts for one model only
                body = (chat if protocol == "chat" else messages)(f"{provider}/m{number}{stream}", stream=stream)
                heard.append(await ask_with_key(server, PATHS[protocol], {**body, "user": CLIENT}))
    for number, form in enumerate([*FORMS, *FORMS]):
        upstream.answer = Canned([error_body(form).encode()], 401 + 2 * (number % 2), JSON)
        heard.append(await ask_with_key(server, PATHS["chat"], chat(f"denied{number}/m")))
    for provider in ("clumsy", "rude", "proxied"):
        heard.append(await ask_with_key(server, PATHS["chat"], chat(f"{provider}/m", stream=True)))
    for path in (f"{PATHS['chat']}?key={CLIENT}", f"/{CLIENT}", f"/v1/models?key={quote(CLIENT)}"):
        heard.append(await ask_with_key(server, path, chat(f"chatty/{CLIENT}")))
    return heard


async def ask_with_key(server: Server, path: str, body: object) -> str:
    headers = {"content-type": "application/json", "authorization": f"Bearer {CLIENT}", "cookie": f"session={CLIENT}"}
    answer = await ask(server.url, "POST", path, headers, body)
    return f"{answer.status} {dict(answer.headers)} {answer.body.decode('utf-8', 'replace')}"


#: Client's protocol -> the providers that speak another one, or whose stages force a translation.
TRANSLATED = {"chat": ("claudish", "loud"), "messages": ("chatty", "leaking")}


async def provoke_translations(server: Server, upstream: CannedServer) -> list[str]:
    """Every answer to every provocation where nothing goes to the client as it came."""
    heard = []
    for protocol, providers in TRANSLATED.items():
        for provider in providers:
            vendor = "messages" if provider == "claudish" else "chat"
            plain = (chat if protocol == "chat" else messages)("")
            said = [*answers(vendor), *(one for form in FORMS for one in told(vendor, form))]
            for number, upstream.answer in enumerate(said):
                for stream in (False, True):
                    body = {**plain, "model": f"{provider}/{protocol}{number}{stream}", "stream": stream}
                    heard.append(await ask_with_key(server, PATHS[protocol], body))
            upstream.answer = Canned([WHOLE[vendor]], 200, JSON)
            for secret in SECRETS:
                for more in asked(protocol, secret):
                    body = {**plain, "model": f"{provider}/m", **more}
                    heard.append(await ask_with_key(server, PATHS[protocol], body))
    return heard


async def watched(
    folder: Path, provoke: Callable[[Server, CannedServer], Awaitable[list[str]]]
) -> tuple[list[str], str, str]:
    """What clients heard while the proxy was provoked, what it wrote into its trace, and what it printed."""
    for name, text in PLUGINS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(canned(Canned()))
        (folder / "rotator.yaml").write_text(config(upstream.url), encoding="utf-8")
        names = ["CHATTY", "CLAUDISH", "LEAKING", "LOUD", "CLUMSY", "RUDE", "PROXIED"]
        names += (f"DENIED{at}" for at in range(2 * len(FORMS)))
        keys = {f"{name}_API_KEY": UPSTREAM for name in names}
        env = {**keys, "PROXY_API_KEY": CLIENT, "PROXIED_PROXY_URL": f"http://user:{quote(PROXY)}@127.0.0.1:9"}
        flags = ("--plugins", folder, "--trace", "full", "--trace-dir", folder / "trace")
        server = await stack.enter_async_context(serve(*flags, cwd=folder, env=env))
        heard = await provoke(server, upstream)
        server.send(signal.SIGINT)
        assert await server.ended() == 0
    traced = "".join(path.read_text(encoding="utf-8") for path in sorted((folder / "trace").iterdir()))
    assert any(f"Bearer {UPSTREAM}" == one.headers.get("authorization") for one in upstream.taken)
    assert leaks(traced) == []
    assert leaks(server.told) == []
    assert leaks("\n".join(heard)) == []
    return heard, traced, server.told


@pytest.mark.incident(13)
@pytest.mark.incident(11)
async def test_no_canary_is_ever_seen(tmp_path: Path) -> None:
    heard, traced, printed = await watched(tmp_path, provoke)
    assert len(heard) > 300
    assert traced.count('"pass":"upstream_request"') > 200 and traced.count("[redacted]") > 500
    assert "no luck with [redacted]" in traced and "cannot sign with [redacted]" in printed


@pytest.mark.incident(13)
async def test_no_canary_is_ever_seen_in_a_translation(tmp_path: Path) -> None:
    heard, traced, _ = await watched(tmp_path, provoke_translations)
    assert len(heard) > 600
    for words in ("x-rotator-warnings", "outspoken failed on the response", "leaky failed on the event"):
        assert any(words in one and "[redacted]" in one for one in heard), words
    entries = [json.loads(line) for line in traced.splitlines()]
    for name, where in (("losses", "losses"), ("stage", "notes"), ("stage", "body"), ("client_stream", "notes")):
        assert any(one["pass"] == name and "[redacted]" in json.dumps(one.get(where)) for one in entries), name
    stages = {(one["stage"].partition(" ")[0], one["direction"]) for one in entries if one["pass"] == "stage"}
    asked_through, told_through = ("parse", "build", "adapter"), ("read", "write", "adapter")
    whole = {*((step, "request") for step in asked_through), *((step, "response") for step in told_through)}
    assert stages == {*whole, ("adapter", "event")}
