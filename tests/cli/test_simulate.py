"""``rotator simulate``: the same inputs, the same bytes; mistakes told; the example of the page."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rotator.trace.reader import Listing
from rotator.trace.usage import usage
from tests.cli.running import ROOT, environment, run
from tests.clocks import ManualClock
from tests.trace.samples import HANG_SECONDS, recorder, writer

PAGE = ROOT / "docs" / "simulation.md"
CONFIG = """
providers:
  alpha: {protocol: chat, base_url: "http://127.0.0.1:9/v1"}
  beta: {protocol: chat, base_url: "http://127.0.0.1:9/v1", credentials: {"1": {label: paid}, "2": {label: free}}}
rotation: {mode: balanced, windows: [{name: 5h, seconds: 18000, limit: 100}], max_concurrent: 2}
routes: {fast: alpha/small}
"""
LOAD = """
days: 1
requests: 2000
models: {fast: 3, beta/big: 1}
sessions: {share: 0.5, turns: 5}
shape: office
keys: {alpha: 3}
vendor: {fault_rate: 0.02, limits: [{model: "*", requests: 40, seconds: 3600, retry_after: false}]}
"""
USAGE = "".join(f'{{"t": {at}, "model": "beta/big"}}\n' for at in (0, 10, 20, 30))


def write(folder: Path, **texts: str) -> None:
    """``config`` is the configuration file, the others have their own names."""
    for name, text in {"config": CONFIG, **texts}.items():
        (folder / {"config": "rotator.yaml"}.get(name, name)).write_text(text, encoding="utf-8")


def simulated(folder: Path, *flags: str, **env: str) -> Any:
    done = run("simulate", *flags, "--json", cwd=folder, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path, load=LOAD)
    flags = ("simulate", "--load", "load", "--seed", "7")
    runs = [run(*flags, "--json", cwd=tmp_path, env={"PYTHONHASHSEED": seed}) for seed in ("0", "1", "4242")]
    assert [(done.returncode, done.stderr) for done in runs] == [(0, "")] * 3
    assert runs[0].stdout == runs[1].stdout == runs[2].stdout
    other = run("simulate", "--load", "load", "--seed", "8", "--json", cwd=tmp_path)
    assert other.stdout != runs[0].stdout
    report = json.loads(runs[0].stdout)
    assert (report["seed"], report["requests"]) == (7, 2000)
    assert report["answered"] + sum(report["refused"].values()) == 2000
    assert [key["credential"] for key in report["keys"]] == ["alpha#1", "alpha#2", "alpha#3", "paid", "free"]
    assert sum(key["served"] for key in report["keys"]) == report["answered"]
    assert sum(key["vendor_429"] for key in report["keys"]) > 0 < sum(key["faults"] for key in report["keys"])
    table = run(*flags, cwd=tmp_path).stdout.splitlines()
    assert max(map(len, table)) <= 80 and table[0].endswith(f"2,000 requests, {report['answered']:,} answered")


def test_usage_of_keys_that_are_only_labels(tmp_path: Path) -> None:
    write(tmp_path, usage=USAGE, vendor="{seconds: 1, spread: 0, limits: [{requests: 1, seconds: 60}]}")
    report = simulated(tmp_path, "--usage", "usage", "--vendor", "vendor")
    assert [(key["credential"], key["served"], key["vendor_429"]) for key in report["keys"]] == [
        ("paid", 1, 1), ("free", 1, 1),
    ]  # fmt: skip
    assert (report["refused"], report["client_429"], report["seconds"]) == ({"cooldown": 2}, 2, 30.0)


def test_keys_of_the_environment(tmp_path: Path) -> None:
    write(tmp_path, load=LOAD, config=CONFIG.split("routes")[0] + "routes: {fast: beta/small}\n")
    env = {"BETA_API_KEY_1": "a-real-key-of-beta", "BETA_API_KEY_7": "another-key-of-beta"}
    done = run("simulate", "--load", "load", "--json", cwd=tmp_path, env=env)
    assert [key["credential"] for key in json.loads(done.stdout)["keys"]][3:] == ["paid", "beta#7", "free"]
    assert (done.returncode, done.stderr) == (0, "")
    one = run("simulate", "--load", "load", cwd=tmp_path, env={"ALPHA_API_KEY": "a-real-key-of-alpha"})
    assert one.stderr == "rotator: warning: load: keys.alpha: not used: there are others\n"
    assert "alpha#0" in one.stdout and "a-real-key" not in one.stdout


def test_no_socket_is_opened_and_no_clock_is_read(tmp_path: Path) -> None:
    write(tmp_path, load=LOAD)
    program = (
        "import sys, time\n"
        "from rotator.cli import main\n"
        "import rotator.cli.simulate\n"
        "def audit(event, arguments):\n"
        "    if event.startswith('socket.'): print(event)\n"
        "sys.addaudithook(audit)\n"
        "def real(): raise AssertionError('the real clock')\n"
        "time.time = time.monotonic = real\n"
        "main(['simulate', '--load', 'load'])\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "socket" not in done.stdout and done.stdout.startswith("1.0")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--load bad", "rotator: bad: model: unknown key (did you mean models?)"),
        ("--load gone", "rotator: gone: no such file"),
        ("--usage gone", "rotator: gone: no such file"),
        ("--usage bad", "rotator: bad: line 1: is no JSON"),
        ("--load load --vendor bad", "rotator: --vendor: a load says that itself, under `vendor`"),
        ("--usage usage --vendor load", "rotator: load: requests: unknown key"),
        ("--load nowhere", "rotator: nowhere: models.gamma/x: model 'gamma/x' is not known here: no provider is named"),
        ("--load unlabelled", "rotator: unlabelled: vendor.rejected[0]: unknown label 'fre' (did you mean free?)"),
        ("--load load --config gone.yaml", "rotator: command line: --config: no such file: gone.yaml"),
        ("--load load --usage usage", "argument --usage: not allowed with argument --load"),
        ("--seed 7", "one of the arguments --usage --load is required"),
        ("--load load --seed x", "argument --seed: invalid int value: 'x'"),
    ],
)
def test_mistakes(tmp_path: Path, flags: str, told: str) -> None:
    write(
        tmp_path, load=LOAD, usage=USAGE, bad="model: {}\nrequests: 5\n",
        nowhere="{requests: 5, models: {gamma/x: 1}}",
        unlabelled="{requests: 5, models: {beta/big: 1}, vendor: {rejected: [fre]}}",
    )  # fmt: skip
    done = run("simulate", *flags.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr and "Traceback" not in done.stderr


def test_there_is_no_key(tmp_path: Path) -> None:
    """The demo provider's keys, which serve where nothing is configured, are none to simulate."""
    write(tmp_path, config="{}", usage=USAGE)
    done = run("simulate", "--usage", "usage", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rotator: credentials: there is no key: set <PROVIDER>_API_KEY, ")


def test_usage_of_models_that_lead_nowhere(tmp_path: Path) -> None:
    write(tmp_path, usage=USAGE + '{"t": 5, "model": "gamma/x"}\n' * 2)
    done = run("simulate", "--usage", "usage", "--json", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["refused"] == {"model_not_found": 2}
    [warning] = done.stderr.splitlines()
    assert warning.startswith("rotator: warning: model 'gamma/x' is not known here")


def test_what_was_traced_is_simulated(tmp_path: Path) -> None:
    """``rotator trace usage | rotator simulate --usage -``."""
    write(tmp_path)
    clock = ManualClock()
    to = writer(tmp_path / "t", clock)
    for number in range(4):
        one = recorder(to, f"req_1a2b3c4d{number:08x}", "meta", clock)
        one.add("client_request", method="POST", path="/v1/x", operation="generate", model="fast", client="c", bytes=9)
        one.add("attempt", attempt=1, provider="beta", profile="chat", model="big", credential="b#1", session="5e55")
        one.add("outcome", attempt=1, ended="ok", status=200, usage={"input_fresh": 7}, took_ms=1.0)
        one.add("end", status=200, attempts=1, provider="beta", upstream_model="big", model="fast")
        clock.advance(10)
    to.close(HANG_SECONDS)
    lines = run("trace", "usage", "--trace-dir", "t", cwd=tmp_path)
    assert (lines.returncode, lines.stderr) == (0, "")
    assert [json.loads(line) for line in lines.stdout.splitlines()] == [
        one.as_json() for one in usage(tmp_path / "t", Listing())
    ]
    command = [sys.executable, "-m", "rotator", "simulate", "--usage", "-", "--json"]
    done = subprocess.run(
        command, input=lines.stdout, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["requests"], report["answered"]) == (4, 4)
    assert sorted(key["served"] for key in report["keys"]) == [0, 4]  # one session stays with one key
    late = run("trace", "usage", "--trace-dir", "t", "--since", "yesterday", cwd=tmp_path)
    assert (late.returncode, late.stdout) == (2, "") and "--since: expected 7d, a date, or unix seconds" in late.stderr
    none = run("trace", "usage", "--trace-dir", "none", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (0, "") and none.stderr.startswith("rotator: No requests were traced in ")


def test_the_example_of_the_page(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    files = re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in files] == ["rotator.yaml", "load.yaml"]
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    [(command, printed)] = re.findall(r"```\n\$ rotator (simulate .*?)\n(.*?)```", page, re.DOTALL)
    done = run(*command.split(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == printed
