"""``rotator serve`` as its user meets it: banner, printed commands, lines, signals, reload."""

import asyncio
import json
import resource
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotator import __version__
from rotator.cli.serve import raise_open_files, tell_open_files
from tests.asking import HANG_SECONDS, ask, chat, request, unready
from tests.cli.running import environment, run, serve
from tests.upstreams import Gate, Play

KEY = "client-key-for-tests"
PATH = "/v1/chat/completions"


def mine(folder: Path, vendor: Any, extra: str = "") -> None:
    """A configuration with one provider, the fake vendor, and its key."""
    declared = f"providers:\n  mine: {{protocol: chat, base_url: '{vendor.chat_base}', models: [text]}}\n"
    (folder / "rotator.yaml").write_text(declared + extra, encoding="utf-8")
    (folder / ".env").write_text("MINE_API_KEY=key-of-mine\n", encoding="utf-8")


@asynccontextmanager
async def streaming(url: str, gate: Any, headers: dict[str, str] | None = None) -> AsyncIterator[asyncio.StreamReader]:
    """A stream of which the first output was read."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request("POST", PATH, headers or {}, json.dumps(chat("mine/text", stream=True)).encode()))
    gate.release(3)
    async with asyncio.timeout(HANG_SECONDS):
        await reader.readuntil(b"data: ")
        yield reader
    writer.close()


def gated(vendor: Any) -> Any:
    gate = Gate()
    vendor.script("text", Play("text", gate=gate))
    return gate


async def printed_commands(lines: list[str], env: dict[str, str]) -> list[tuple[str, str]]:
    """Each curl of the banner with what it printed when it was run as it stands there."""
    text = "\n".join(lines).replace("\\\n", " ")
    commands = [line.strip() for line in text.splitlines() if line.startswith("  curl ")]
    results = []
    for command in commands:
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(HANG_SECONDS):
            out, _ = await process.communicate()
        results.append((command, out.decode()))
    return results


def test_the_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"rotator {__version__}\n", "")


def test_no_command_is_bad_usage(tmp_path: Path) -> None:
    for arguments in ((), ("srve",), ("serve", "--prot", "1"), ("serve", "extra")):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.startswith("usage: rotator") and "Traceback" not in done.stderr


@pytest.mark.parametrize("key", ["", KEY])
async def test_the_banner_and_its_commands(tmp_path: Path, key: str) -> None:
    """With nothing set up the demo answers; every printed command gives a whole answer as it stands."""
    env = {"PROXY_API_KEY": key} if key else {}
    async with serve("--demo", cwd=tmp_path, env=env) as server:
        banner = "\n".join(server.out)
        assert server.out[0] == f"rotator {__version__} on {server.url}"
        assert "providers  demo (2 keys)" in banner
        assert ("clients    1 key" if key else "no client key: only this machine may ask") in banner
        assert "settings   command line" in banner and not (key and key in banner)
        await server.printed(server.out, r"max_tokens")
        if shutil.which("curl") and shutil.which("bash"):
            ends = {"/v1/chat/completions": "data: [DONE]", "/v1/messages": "event: message_stop"}
            results = await printed_commands(server.out, environment(env))
            assert len(results) == len(ends)
            for command, out in results:
                [end] = [end for path, end in ends.items() if f"{path} " in command]
                assert "Hello" in out and end in out, (command, out)
            await server.printed(server.out, r" demo/\S+ -> demo/demo#\d raw 200 ", times=2)
        server.send(signal.SIGINT)
        assert await server.ended() == 0


async def test_the_banner_of_a_real_configuration(tmp_path: Path, vendor: Any) -> None:
    mine(tmp_path, vendor)
    env = {"MINE_API_KEY_2": "another-key", "PROXY_API_KEY": KEY, "PROXY_API_KEY_1": f"{KEY}-b"}
    async with serve(cwd=tmp_path, env=env) as server:
        banner = "\n".join(server.out)
        assert "providers  mine (2 keys)" in banner and "clients    2 keys" in banner
        assert "settings   command line, environment, .env, rotator.yaml" in banner
        assert "curl" not in banner and "demo" not in banner
        assert not any(secret in banner for secret in (KEY, "key-of-mine", "another-key"))


@pytest.mark.incident(26)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_one_line_for_each_request(tmp_path: Path, form: str) -> None:
    async with serve("--demo", cwd=tmp_path, env={"ROTATOR_LOG": form}) as server:
        before = len(server.out)
        for model in ("demo/a\r\nforged", "demo/\x1b[2J", "demo/\u2028x", "demo/text"):
            await ask(server.url, "POST", PATH, {}, chat(model))
        await ask(server.url, "GET", "/%0d%0aforged")
        await server.printed(server.out, r"GET" if form == "text" else r'"GET"')
        lines = server.out[before:]
        lines = lines[[number for number, line in enumerate(lines) if "demo/a" in line][0]:]
        assert len(lines) == 5 and all(line.isprintable() and line.isascii() for line in lines)
        if form == "json":
            told = [json.loads(line) for line in lines]
            assert told[0]["model"] == "demo/a\r\nforged" and told[3]["status"] == 200
            assert told[3]["tokens_out"] > 0 and told[4]["path"] == "/\r\nforged"


async def test_an_interrupt_ends_at_once(tmp_path: Path, vendor: Any) -> None:
    mine(tmp_path, vendor)
    gate = gated(vendor)
    async with serve(cwd=tmp_path) as server, streaming(server.url, gate) as reader:
        server.send(signal.SIGINT)
        rest = await reader.read()
        assert b'data: {"error":' in rest and b"shutting_down" in rest and b"[DONE]" not in rest
        assert await server.ended() == 0
    assert "Traceback" not in server.told and "rror" not in "\n".join(server.err)


async def test_a_termination_lets_streams_finish(tmp_path: Path, vendor: Any) -> None:
    mine(tmp_path, vendor)
    gate = gated(vendor)
    async with serve(cwd=tmp_path) as server, streaming(server.url, gate) as reader:
        server.send(signal.SIGTERM)
        await unready(server.url)
        assert (await ask(server.url, "POST", PATH, {}, chat("mine/text"))).status == 503
        gate.open()
        rest = await reader.read()
        assert b"data: [DONE]" in rest and b"error" not in rest
        assert await server.ended() == 0
    assert "Traceback" not in server.told


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_hurries(tmp_path: Path, vendor: Any, second: signal.Signals) -> None:
    mine(tmp_path, vendor)
    gate = gated(vendor)
    async with serve(cwd=tmp_path) as server, streaming(server.url, gate) as reader:
        server.send(signal.SIGTERM)
        await unready(server.url)
        server.send(second)
        assert b"shutting_down" in await reader.read()
        assert await server.ended() == 0
    assert "Traceback" not in server.told


async def test_a_hangup_reloads(tmp_path: Path, vendor: Any) -> None:
    """A new key counts, an open stream goes on, an invalid configuration changes nothing and is told."""
    mine(tmp_path, vendor)
    gate = gated(vendor)
    async with serve(cwd=tmp_path) as server, streaming(server.url, gate) as reader:
        (tmp_path / ".env").write_text(f"MINE_API_KEY=new-key-of-mine\nPROXY_API_KEY={KEY}\n", encoding="utf-8")
        server.send(signal.SIGHUP)
        await server.printed(server.err, r"configuration reloaded: providers [a-z]+ \(1 key\); clients: 1 key")
        gate.open()
        assert b"data: [DONE]" in await reader.read()
        assert (await ask(server.url, "POST", PATH, {}, chat("mine/text"))).status == 401
        assert (await ask(server.url, "POST", PATH, {"x-api-key": KEY}, chat("mine/text"))).status == 200
        assert vendor.requests[-1].key == "new-key-of-mine"

        mine(tmp_path, vendor, "servr: {port: 1}\nlimits: {header_bytes: 1}\n")
        server.send(signal.SIGHUP)
        await server.printed(server.err, r"not reloaded, nothing changed")
        await server.printed(server.err, r"rotator\.yaml: servr: unknown key \(did you mean server\?\)")
        await server.printed(server.err, r"rotator\.yaml: limits\.header_bytes: ")
        assert (await ask(server.url, "POST", PATH, {"x-api-key": KEY}, chat("mine/text"))).status == 200
        assert vendor.requests[-1].key == "new-key-of-mine"
        assert not any(secret in server.told for secret in (KEY, "key-of-mine"))
        server.send(signal.SIGTERM)
        assert await server.ended() == 0


async def test_a_changed_file_is_noticed(tmp_path: Path, vendor: Any) -> None:
    """The env file, and a provider's YAML in a folder of plug-ins; nothing else was done."""
    plugins = tmp_path / "plugins" / "providers"
    plugins.mkdir(parents=True)
    (tmp_path / ".env").write_text("LATE_API_KEY=key-of-late\nMINE_API_KEY=key-of-mine\n", encoding="utf-8")
    declared = f"protocol: chat\nbase_url: {vendor.chat_base}\n"
    (plugins / "mine.yaml").write_text(declared, encoding="utf-8")
    async with serve("--plugins", "plugins", cwd=tmp_path) as server:
        assert (await ask(server.url, "POST", PATH, {}, chat("late/text"))).status == 404
        (plugins / "late.yaml").write_text(declared, encoding="utf-8")
        await server.printed(server.err, r"configuration reloaded: providers")
        assert (await ask(server.url, "POST", PATH, {}, chat("late/text"))).status == 200
        assert vendor.requests[-1].key == "key-of-late"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    hint = f"--port {port + 1} takes another"
    assert done.stderr == f"rotator: cannot listen on 127.0.0.1:{port}: Address already in use; {hint}\n"


@pytest.mark.incident(9)
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_a_key(tmp_path: Path, host: str) -> None:
    for command in ("serve", "check"):
        done = run(command, "--host", host, "--port", "0", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1 and "PROXY_API_KEY" in done.stderr and "server.host" in done.stderr


@pytest.mark.incident(9)
@pytest.mark.parametrize("key", ["changeme", "your-api-key-1", "VerysecretKey", "aaaaaaaaaaaa", "short"])
def test_a_key_that_everybody_knows_is_none(tmp_path: Path, key: str) -> None:
    done = run("serve", "--port", "0", cwd=tmp_path, env={"PROXY_API_KEY": key})
    assert done.returncode == 2 and "PROXY_API_KEY" in done.stderr and done.stdout == ""


def test_a_configuration_with_a_mistake_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "rotator.yaml").write_text("timeouts: {conect: 3}\n", encoding="utf-8")
    done = run("serve", "--port", "0", cwd=tmp_path)
    expected = "rotator: rotator.yaml: timeouts.conect: unknown key (did you mean connect?)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    """Each request takes two; many shells begin with 1,024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        limit = raise_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        assert limit == (None if before[1] == resource.RLIM_INFINITY else before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_few_open_files_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for limit, requests in ((None, 4096), (8256, 4096), (264, 100)):
        tell_open_files(limit, requests)
    assert capsys.readouterr().err == ""
    tell_open_files(1024, 4096)
    told = "1024 open files are enough for some 480 requests at a time, limits.concurrent_requests is 4096"
    assert capsys.readouterr().err == f"rotator: warning: {told}: raise the hard limit (ulimit -Hn) or set it to 480\n"
