"""``rotator check``: everything that is wrong, each with file, key and reason; nothing is started."""

import socket
from pathlib import Path

from tests.cli.running import run


def test_what_is_fine(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=key-number-one\nOPENAI_API_KEY_2=key-number-two\n")
    (tmp_path / "rotator.yaml").write_text("server: {port: 8123}\nroutes: {fast: openai/small}\n")
    done = run("check", cwd=tmp_path, env={"OPENAI_API_KEY_2_LABEL": "team", "OPENAI_API_KEY_2_PRIORITY": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "configuration is valid: 127.0.0.1:8123, providers openai (2 keys)",
        "  openai: openai#0 (priority 10), team (priority 1)",
        "    rotation: sequential; fair cycle on",
        "  read from: environment, .env, rotator.yaml",
    ]


ROTATION = """
rotation: {model_tiers: {openai/big: paid}}
providers:
  openai:
    credentials: {"1": {tier: paid}, "2": {tier: gold}, "3": {tier: gold, priority: 4}, "4": {label: a team of ours}}
    rotation:
      mode: balanced
      max_concurrent: 2
      tiers: {paid: 1}
      concurrency_multipliers: {1: 3}
      usage_weights: {big: 2.5}
      quota_groups: {pro: [openai/big, huge], all: ["a", "b", "c", "d"]}
      windows:
        - {name: 5h, seconds: 18000, limit: 100, tier: paid}
        - {name: 7d, seconds: 604800, limit: 2000000, unit: tokens, applies_to: credential}
        - {name: plan, reset: vendor, applies_to: group}
      caps: [{model: openai/big, max: 80%, tier: [paid, 4]}, {group: pro, max: 5}]
      no_reset: {policy: cooldown, cooldown_seconds: 60}
"""


def test_what_rotation_results(tmp_path: Path) -> None:
    """Short, and broken between items only."""
    (tmp_path / "rotator.yaml").write_text(ROTATION, encoding="utf-8")
    env = {f"OPENAI_API_KEY_{number}": f"key-number-{number}" for number in range(1, 5)}
    done = run("check", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:-1] == [
        "  openai: openai#1 (priority 1, tier paid),",
        "    openai#2 (priority 10, tier gold, which rotation.tiers gives no priority),",
        "    openai#3 (priority 4, tier gold), a team of ours (priority 10)",
        "    rotation: balanced (tolerance 3), 2 at a time, times 3 for priority 1,",
        "      windows 5h 100 requests (tier paid), 7d 2000000 tokens per key, plan per group;",
        "      caps big 80% (tier paid or 4), pro 5; groups pro (big, huge), all (4 models);",
        "      big needs tier paid; weights big 2.5; fair cycle off; no reset known: cooldown 60 s",
    ]


def test_nothing_set_up_is_fine(tmp_path: Path) -> None:
    done = run("check", cwd=tmp_path)
    assert done.returncode == 0 and "demo: demo#1 (priority 10), demo#2 (priority 10)" in done.stdout


def test_a_taken_port_is_no_mistake(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("check", "--port", str(taken.getsockname()[1]), cwd=tmp_path).returncode == 0


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """One line each: where it stands, its key, the reason, what was probably meant."""
    (tmp_path / "rotator.yaml").write_text(
        "servr: {}\n"
        "timeouts: {conect: 3, global: soon}\n"
        "limits: {header_bytes: 1}\n"
        "providers:\n"
        "  openai: {base_url: 'ftp://x', modells: [a], api_key: a-secret-of-mine-1}\n"
        "  new: {protocol: chatt, base_url: 'http://x/v1'}\n",
        encoding="utf-8",
    )
    (tmp_path / ".env").write_text("PROXY_API_KEY=changeme\nOPENAI_API_KEY=fine\nROTATOR_PROT=1\nTIMEOUT_CONNECT=x\n")
    done = run("check", "--port", "http", "--plugins", "missing", cwd=tmp_path, env={"ROTATOR_LOG": "xml"})
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()
    for expected in (
        "rotator: rotator.yaml: servr: unknown key (did you mean server?)",
        "rotator: rotator.yaml: timeouts.conect: unknown key (did you mean connect?)",
        "rotator: rotator.yaml: timeouts.global: ",
        "rotator: rotator.yaml: limits.header_bytes: ",
        "rotator: rotator.yaml: providers.openai.api_key: ",
        "rotator: .env: PROXY_API_KEY: ",
        "rotator: .env: ROTATOR_PROT: ",
        "rotator: .env: TIMEOUT_CONNECT: ",
        "rotator: command line: --port: ",
        "rotator: command line: --plugins: no such folder: missing",
        "rotator: environment: ROTATOR_LOG: ",
    ):
        assert [line for line in told if line.startswith(expected)], (expected, done.stderr)
    assert all(line.startswith("rotator: ") for line in told)
    assert "a-secret-of-mine-1" not in done.stderr and "changeme" not in done.stderr


def test_every_mistake_of_providers_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "rotator.yaml").write_text(
        "providers:\n"
        "  openai: {base_url: 'ftp://x'}\n"
        "  groq: {modells: [a], auth: baerer}\n"
        "  new: {protocol: chatt, base_url: 'http://x/v1'}\n"
        "  half: {protocol: chat}\n",
        encoding="utf-8",
    )
    done = run("check", cwd=tmp_path, env={"GROQ_API_KEY": "two words"})
    assert (done.returncode, done.stdout) == (2, "")
    for expected in (
        "rotator.yaml: providers.openai.base_url: expected http(s)://host/path",
        "rotator.yaml: providers.groq.modells: unknown key (did you mean models?)",
        "rotator.yaml: providers.groq.auth: ",
        "rotator.yaml: providers.half.base_url: ",
        "rotator.yaml: providers.new.protocol: no protocol is named 'chatt' (there are: chat, messages)",
        "environment: GROQ_API_KEY: ",
    ):
        assert expected in done.stderr, done.stderr
    assert "two words" not in done.stderr


def test_what_is_odd_but_no_mistake_is_a_warning(tmp_path: Path) -> None:
    plugins = tmp_path / "mine" / "providers"
    plugins.mkdir(parents=True)
    (plugins / "broken.py").write_text("def (\n", encoding="utf-8")
    env = {"OPENAII_API_KEY": "fine-key", "TIMEOUT_CONECT": "3", "OPENAI_API_KEY_x": "a"}
    done = run("check", "--plugins", "mine", cwd=tmp_path, env=env)
    assert done.returncode == 0 and done.stdout.startswith("configuration is valid: ")
    assert "OPENAII_API_KEY: no provider 'openaii'; did you mean OPENAI_API_KEY?" in done.stderr
    assert "TIMEOUT_CONECT is not read; did you mean TIMEOUT_CONNECT?" in done.stderr
    assert "ignored: OPENAI_API_KEY_x" in done.stderr
    told = [line for line in done.stderr.splitlines() if "broken.py" in line]
    assert len(told) == 1 and "SyntaxError" in told[0], done.stderr
    assert "Traceback" not in done.stderr


def test_what_would_fail_at_the_first_request_is_told_now(tmp_path: Path) -> None:
    (tmp_path / "rotator.yaml").write_text("routes: {fast: nowhere/small}\n", encoding="utf-8")
    (tmp_path / ".env").write_text("MODEL_ROUTE_BEST=opnai/x\nGROQ_API_KEY=...\n", encoding="utf-8")
    env = {"OPENAI_API_KEY": "key-number-one", "OPENAI_PROXY_URL": "socks5://user:planted@x:1", "SSL_CERT_FILE": "none"}
    done = run("check", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    for expected in (
        "rotator: rotator.yaml: routes.fast: unknown provider 'nowhere'",
        "rotator: .env: MODEL_ROUTE_BEST: unknown provider 'opnai' (did you mean openai?)",
        "rotator: .env: GROQ_API_KEY: is a placeholder, not a key",
        "rotator: environment: OPENAI_PROXY_URL: expected http://host:port",
        "rotator: environment: SSL_CERT_FILE: cannot be used as a file of certificates (No such file or directory)",
    ):
        assert expected in done.stderr.splitlines(), done.stderr
    assert "planted" not in done.stderr and "Traceback" not in done.stderr


def test_keys_of_the_stand_in_are_not_read(tmp_path: Path) -> None:
    done = run("check", cwd=tmp_path, env={"OPENAI_API_KEY": "key-number-one", "DEMO_API_KEY": "key-number-two"})
    assert done.returncode == 0 and "providers openai (1 key)\n" in done.stdout
