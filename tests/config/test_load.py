"""The sources over each other: precedence, provenance, and everything that is wrong at once."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.config import (
    Flags,
    Limits,
    Origin,
    Retry,
    Route,
    Server,
    Sessions,
    Settings,
    Timeouts,
    load,
    section,
    setting,
)
from rotator.errors import ConfigError

Configure = Callable[..., Settings]
Refused = Callable[..., list[str]]

#: The places, strongest first: what to pass so that the port (or a timeout) comes from there, and the origin it has.
PORT_FROM = {
    "flag": ({"port": 9001}, 9001, Origin("flag", "--port")),
    "environment": ({"environ": {"ROTATOR_PORT": "9002"}}, 9002, Origin("environment", "ROTATOR_PORT")),
    "env file": ({"dotenv": "ROTATOR_PORT=9003\n"}, 9003, Origin("env file", "ROTATOR_PORT")),
    "file": ({"file": "server: {port: 9004}\n"}, 9004, Origin("file", "rotator.yaml: server.port")),
    "default": ({}, 8000, Origin("default")),
}


@pytest.mark.parametrize(("stronger", "weaker"), list(itertools.combinations(PORT_FROM, 2)))
def test_the_stronger_place_wins(configure: Configure, stronger: str, weaker: str) -> None:
    given, port, origin = PORT_FROM[stronger]
    settings = configure(**{**PORT_FROM[weaker][0], **given})
    assert settings.get(Server).port == port
    assert settings.origin("server.port") == origin


@pytest.mark.parametrize("strongest", PORT_FROM)
def test_each_place_alone(configure: Configure, strongest: str) -> None:
    given, port, origin = PORT_FROM[strongest]
    settings = configure(**given)
    assert (settings.get(Server).port, settings.origin("server.port")) == (port, origin)


def test_all_places_at_once(configure: Configure) -> None:
    settings = configure(
        {"TIMEOUT_CONNECT": "2"},
        dotenv="TIMEOUT_CONNECT=3\nGLOBAL_TIMEOUT=4\n",
        file="timeouts: {connect: 5, global: 6, drain: 7}\n",
        host="::1",
    )
    timeouts = settings.get(Timeouts)
    assert (timeouts.connect_seconds, timeouts.global_seconds, timeouts.drain_seconds) == (2.0, 4.0, 7.0)
    assert timeouts.read_streaming_seconds == 300.0
    assert settings.get(Server).host == "::1"
    assert settings.sources == ("command line", "environment", ".env", "rotator.yaml")
    assert [settings.origin(f"timeouts.{key}").source for key in ("connect", "global", "drain", "header")] == [
        "environment", "env file", "file", "default",
    ]


def test_nothing_at_all(configure: Configure) -> None:
    settings = configure()
    assert settings.sources == () and settings.providers == {} and settings.routes == () and settings.plugins == ()
    assert settings.client_keys == () and settings.ignored == () and settings.warnings == () and not settings.demo
    assert settings.get(Server) == Server() and settings.get(Retry) == Retry() and settings.get(Limits) == Limits()


def test_the_process_s_own_environment_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DRAIN_SECONDS=3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLOBAL_TIMEOUT", "44")
    timeouts = load(Flags()).get(Timeouts)
    assert (timeouts.drain_seconds, timeouts.global_seconds) == (3.0, 44.0)


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_variable_is_unset(configure: Configure, blank: str) -> None:
    settings = configure({"ROTATOR_PORT": blank}, dotenv="ROTATOR_PORT=9003\nDRAIN_SECONDS=\n")
    assert settings.get(Server).port == 9003
    assert settings.get(Timeouts).drain_seconds == 30.0
    assert settings.sources == (".env",)


def test_an_alias_and_the_firm_name(configure: Configure) -> None:
    firm, alias = "STREAM_HEARTBEAT_SECONDS", "STREAM_HEARTBEAT_INTERVAL_SECONDS"
    assert configure({alias: "5"}).get(Timeouts).stream_heartbeat_seconds == 5.0
    both = configure({alias: "5", firm: "6"})
    assert both.get(Timeouts).stream_heartbeat_seconds == 6.0
    across = configure({alias: "5"}, dotenv=f"{firm}=6\n")
    assert across.get(Timeouts).stream_heartbeat_seconds == 5.0
    assert across.origin("timeouts.stream_heartbeat") == Origin("environment", alias)


def test_off_in_every_place(configure: Configure) -> None:
    file = "timeouts: {stream_ttfb: 5, stream_stall: off, stream_heartbeat: 'off'}"
    timeouts = configure({"STREAM_TTFB_TIMEOUT_SECONDS": "off"}, file=file).get(Timeouts)
    assert timeouts.stream_ttfb_seconds is timeouts.stream_stall_seconds is timeouts.stream_heartbeat_seconds is None


def test_a_list_in_a_variable(configure: Configure) -> None:
    assert configure({"TRUSTED_SESSION_ID_FIELDS": "user, x-chat"}).get(Sessions).trusted_fields == ("user", "x-chat")


def test_json_is_yaml(configure: Configure) -> None:
    assert configure(file='{\n\t"server": {"port": 9, "log": "json"}\n}').get(Server) == Server(port=9, log="json")


def test_an_empty_section_says_nothing(configure: Configure) -> None:
    assert configure(file="server:\ntimeouts:\nproviders:\nroutes:\nplugins:\n").get(Server) == Server()


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_says_nothing(configure: Configure, text: str) -> None:
    assert configure(file=text).sources == ("rotator.yaml",)


def test_parsers_are_loaded_where_a_file_is_there(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom rotator.config import Flags, load\n"
        "def loaded(): return sorted({'yaml', 'dotenv'} & sys.modules.keys())\n"
        "here = Path(sys.argv[1])\n"
        "for name, text in (('', ''), ('.env', 'A=1'), ('rotator.yaml', '{}'), ('rotator.yaml', 'server:')):\n"
        "    if name: (here / name).write_text(text)\n"
        "    load(Flags(), environ={}, cwd=here)\n"
        "    print(loaded())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['dotenv']", "['dotenv']", "['dotenv', 'yaml']"]


# --- which files


def test_the_configuration_file_that_counts(configure: Configure, tmp_path: Path) -> None:
    for name, port in (("flag.yaml", 1), ("environment.yaml", 2), ("dotenv.yaml", 3)):
        (tmp_path / name).write_text(f"server: {{port: {port}}}")
    ordered = [
        ({"file": "server: {port: 4}"}, 4, "rotator.yaml"),
        ({"dotenv": "ROTATOR_CONFIG=dotenv.yaml"}, 3, "dotenv.yaml"),
        ({"environ": {"ROTATOR_CONFIG": "environment.yaml"}}, 2, "environment.yaml"),
        ({"config": tmp_path / "flag.yaml"}, 1, str(tmp_path / "flag.yaml")),
    ]
    given: dict[str, Any] = {}
    for more, port, where in ordered:
        given |= more
        settings = configure(**given)
        assert settings.get(Server).port == port
        assert settings.origin("server.port") == Origin("file", f"{where}: server.port")
        assert settings.sources[-1] == where


def test_another_env_file_replaces_the_usual_one(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "other.env").write_text("GLOBAL_TIMEOUT=9")
    settings = configure(dotenv="DRAIN_SECONDS=3", env_file="other.env")
    assert (settings.get(Timeouts).global_seconds, settings.get(Timeouts).drain_seconds) == (9.0, 30.0)
    assert settings.sources == ("command line", "other.env")


def test_the_files_to_watch(configure: Configure, tmp_path: Path) -> None:
    assert configure().watched == (tmp_path / ".env", tmp_path / "rotator.yaml")
    for name in ("e.env", "c.yaml"):
        (tmp_path / name).touch()
    assert configure(env_file="e.env", config="c.yaml").watched == (tmp_path / "e.env", tmp_path / "c.yaml")


def test_a_folder_called_env_is_no_env_file(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert configure().sources == ()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"env_file": "no.env"}, "command line: --env-file: no such file: no.env"),
        ({"config": "no.yaml"}, "command line: --config: no such file: no.yaml"),
        ({"config": "."}, "command line: --config: no such file: ."),
        ({"environ": {"ROTATOR_CONFIG": "no.yaml"}}, "environment: ROTATOR_CONFIG: no such file: no.yaml"),
        ({"dotenv": "ROTATOR_CONFIG=no.yaml"}, ".env: ROTATOR_CONFIG: no such file: no.yaml"),
        ({"port": "http"}, "command line: --port: expected a whole number from 0 to 65535, found 'http'"),
        ({"port": 65536}, "command line: --port: expected a whole number from 0 to 65535, found 65536"),
        ({"environ": {"ROTATOR_LOG": "xml"}}, "environment: ROTATOR_LOG: expected text or json, found 'xml'"),
        ({"environ": {"ROTATOR_DEMO": "maybe"}}, "environment: ROTATOR_DEMO: expected true or false, found 'maybe'"),
        ({"dotenv": "DRAIN_SECONDS=-1"}, ".env: DRAIN_SECONDS: expected a number from 0 to 86400, found '-1'"),
        (
            {"dotenv": "STREAM_TTFB_TIMEOUT_SECONDS=0"},
            ".env: STREAM_TTFB_TIMEOUT_SECONDS: expected a number from 0.001 to 86400 or off, found '0'",
        ),
        ({"file": "- a"}, "rotator.yaml: top level: expected a mapping, found a list"),
        ({"file": "just text"}, "rotator.yaml: top level: expected a mapping, found a single value"),
        ({"file": "server: [a]"}, "rotator.yaml: server: expected a mapping, found a list"),
        ({"file": "sever: {}"}, "rotator.yaml: sever: unknown key (did you mean server?)"),
        ({"file": "elephant: 1"}, "rotator.yaml: elephant: unknown key"),
        ({"file": "timeouts: {conect: 1}"}, "rotator.yaml: timeouts.conect: unknown key (did you mean connect?)"),
        ({"file": "retry: {max_targets: 1001}"},
         "rotator.yaml: retry.max_targets: expected a whole number from 1 to 1000, found 1001"),
        ({"file": "server: {trust_env: 1}"}, "rotator.yaml: server.trust_env: expected true or false, found 1"),
        ({"file": "server: {port: 1}\nserver: {port: 2}"}, "rotator.yaml: line 2: server stands there twice"),
        ({"file": "1: 2"}, "rotator.yaml: 1: unknown key"),
        ({"file": "true: 2"}, "rotator.yaml: top level: a key must be text (put it in quotes)"),
        ({"file": "providers: [a]"}, "rotator.yaml: providers: expected a mapping, found a list"),
        ({"file": "providers: {a: b}"}, "rotator.yaml: providers.a: expected a mapping, found 'b'"),
        ({"file": "routes: {a: [b/c]}"}, "rotator.yaml: routes.a: expected text, found a list"),
        ({"file": "routes: {a: b}"}, "rotator.yaml: routes.a: expected provider/model"),
        ({"file": "routes: {a: b/../c}"}, "rotator.yaml: routes.a: expected provider/model"),
        ({"file": "routes: {a: /c}"}, "rotator.yaml: routes.a: expected provider/model"),
        ({"environ": {"MODEL_ROUTE_A": "b"}}, "environment: MODEL_ROUTE_A: expected provider/model"),
        ({"environ": {"MODEL_ROUTE_a": "b/c"}},
         "environment: MODEL_ROUTE_a: an alias is upper case, every other character as _"),
        ({"file": "plugins: here"}, "rotator.yaml: plugins: expected a list, found 'here'"),
        ({"file": "plugins: [no]"}, "rotator.yaml: plugins[0]: no such folder: no"),
        ({"plugins": ("no",)}, "command line: --plugins: no such folder: no"),
        ({"environ": {"ROTATOR_PLUGINS": "no"}}, "environment: ROTATOR_PLUGINS: no such folder: no"),
        ({"dotenv": "ROTATOR_PLUGINS=no"}, ".env: ROTATOR_PLUGINS: no such folder: no"),
        ({"dotenv": "A=1\nFOO BAR\n"}, ".env: line 2: expected NAME=value"),
    ],
)
def test_one_thing_wrong(refused: Refused, given: dict[str, Any], line: str) -> None:
    assert refused(**given) == [line]


def test_everything_wrong_is_told_at_once(refused: Refused) -> None:
    lines = refused(
        {"ROTATOR_PRT": "1", "ROTATOR_LOG": "xml", "PROXY_API_KEY": "changeme"},
        dotenv="TIMEOUT_CONNECTT=3\nDRAIN_SECONDS=soon\n",
        file="server: {prt: 1, log: 7}\nroutes: {a: b}\nplugins: [no]\nproviders: {x: {token: y}, z: 3}\nfoo: 1\n",
        port=-1,
        plugins=("missing",),
    )
    assert sorted(lines) == [
        ".env: DRAIN_SECONDS: expected a number from 0 to 86400, found 'soon'",
        ".env: TIMEOUT_CONNECTT: unknown name (did you mean TIMEOUT_CONNECT?)",
        "command line: --plugins: no such folder: missing",
        "command line: --port: expected a whole number from 0 to 65535, found -1",
        "environment: PROXY_API_KEY: is a well-known placeholder; choose a random key",
        "environment: ROTATOR_LOG: expected text or json, found 'xml'",
        "environment: ROTATOR_PRT: unknown name (did you mean ROTATOR_PORT?)",
        "rotator.yaml: foo: unknown key",
        "rotator.yaml: plugins[0]: no such folder: no",
        "rotator.yaml: providers.x.token: secrets belong in the environment or .env: set X_API_KEY",
        "rotator.yaml: providers.z: expected a mapping, found 3",
        "rotator.yaml: routes.a: expected provider/model",
        "rotator.yaml: server.log: expected text or json, found 7",
        "rotator.yaml: server.prt: unknown key (did you mean port?)",
    ]


# --- lists of names


def test_routes_of_the_environment_come_first(configure: Configure) -> None:
    settings = configure(
        {"MODEL_ROUTE_Z": "a/z"},
        dotenv="MODEL_ROUTE_GPT_4O=b:chat/c\nMODEL_ROUTE_Z=a/other\n",
        file='routes: {"claude-*": d/e/f, fast: "g/h:free"}',
    )
    assert settings.routes == (
        Route("GPT_4O", "b:chat/c", alias=True),
        Route("Z", "a/z", alias=True),
        Route("claude-*", "d/e/f", alias=False),
        Route("fast", "g/h:free", alias=False),
    )
    assert settings.origin("routes.Z") == Origin("environment", "MODEL_ROUTE_Z")
    assert settings.origin("routes.GPT_4O") == Origin("env file", "MODEL_ROUTE_GPT_4O")
    assert settings.origin("routes.claude-*") == Origin("file", "rotator.yaml: routes.claude-*")


def test_plugin_folders_add_up_in_order(configure: Configure, tmp_path: Path) -> None:
    for name in ("flag", "environment", "second", "dotenv", "conf/file"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "conf" / "r.yaml").write_text("plugins: [file, ../flag]")
    given: list[tuple[dict[str, Any], Origin]] = [
        ({"config": "conf/r.yaml"}, Origin("file", "conf/r.yaml: plugins")),
        ({"dotenv": "ROTATOR_PLUGINS=dotenv"}, Origin("env file", "ROTATOR_PLUGINS")),
        ({"environ": {"ROTATOR_PLUGINS": f"environment{os.pathsep}second"}}, Origin("environment", "ROTATOR_PLUGINS")),
        ({"plugins": ("flag", "environment")}, Origin("flag", "--plugins")),
    ]
    together: dict[str, Any] = {}
    for more, origin in given:
        together |= more
        settings = configure(**together)
        assert settings.origin("plugins") == origin
    assert [folder.relative_to(tmp_path).as_posix() for folder in settings.plugins] == [
        "flag", "environment", "second", "dotenv", "conf/file", "conf/../flag",
    ]


def test_the_state_folder(configure: Configure, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home")}
    given: list[tuple[dict[str, Any], dict[str, str], Path, Origin]] = [
        ({}, {}, tmp_path / "home/.local/state/rotator", Origin("default")),
        ({}, {"XDG_STATE_HOME": "relative"}, tmp_path / "home/.local/state/rotator", Origin("default")),
        ({}, {"XDG_STATE_HOME": str(tmp_path / "xdg")}, tmp_path / "xdg/rotator", Origin("default")),
        ({"dotenv": "ROTATOR_STATE=s1"}, {}, tmp_path / "s1", Origin("env file", "ROTATOR_STATE")),
        ({}, {"ROTATOR_STATE": "s2"}, tmp_path / "s2", Origin("environment", "ROTATOR_STATE")),
        ({"state": "s3"}, {"ROTATOR_STATE": "s2"}, tmp_path / "s3", Origin("flag", "--state")),
    ]
    for more, environ, folder, origin in given:
        settings = configure({**home, **environ}, **more)
        assert (settings.state_dir, settings.origin("state")) == (folder, origin)
        assert not folder.exists()


@pytest.mark.parametrize(
    ("given", "demo", "origin"),
    [
        ({}, False, Origin("default")),
        ({"demo": True}, True, Origin("flag", "--demo")),
        ({"dotenv": "ROTATOR_DEMO=yes"}, True, Origin("env file", "ROTATOR_DEMO")),
        ({"environ": {"ROTATOR_DEMO": "off"}, "demo": True}, True, Origin("flag", "--demo")),
        ({"environ": {"ROTATOR_DEMO": "0"}, "dotenv": "ROTATOR_DEMO=1"}, False, Origin("environment", "ROTATOR_DEMO")),
    ],
)
def test_demo(configure: Configure, given: dict[str, Any], demo: bool, origin: Origin) -> None:
    settings = configure(**given)
    assert (settings.demo, settings.origin("demo")) == (demo, origin)


def test_providers_stay_raw(configure: Configure) -> None:
    settings = configure(file="providers:\n  one: {models: [a, 2], credentials: {2: {tier: 1}}}\n  two:\n")
    assert settings.providers == {"one": {"models": ["a", 2], "credentials": {"2": {"tier": 1}}}, "two": {}}
    assert settings.origin("providers.one.models") == Origin("file", "rotator.yaml: providers.one")


def test_an_origin_of_nothing(configure: Configure) -> None:
    with pytest.raises(KeyError):
        configure().origin("elephant.size")


# --- sections of other parts of the program


def test_a_section_of_another_part(own_sections: None, configure: Configure, refused: Refused) -> None:
    @section("kitchen")
    @dataclass(frozen=True, slots=True)
    class Kitchen:
        heat: int = setting(1, env="KITCHEN_HEAT")
        limit: int = 10

        def __post_init__(self) -> None:
            if self.heat > self.limit:
                raise ValueError("heat is over the limit")

    settings = configure({"KITCHEN_HEAT": "3"}, file="kitchen: {limit: 4}")
    assert settings.get(Kitchen) == Kitchen(3, 4)
    assert settings.origin("kitchen.heat") == Origin("environment", "KITCHEN_HEAT")
    assert refused({"KITCHEN_HEATT": "3"}) == [
        "environment: KITCHEN_HEATT: unknown name (did you mean KITCHEN_HEAT?)"
    ]
    # Values of several places that do not go together, and of one.
    assert refused({"KITCHEN_HEAT": "5"}, file="kitchen: {limit: 4}") == [
        "environment, rotator.yaml: kitchen: heat is over the limit"
    ]
    assert refused(file="kitchen: {limit: 0}") == ["rotator.yaml: kitchen: heat is over the limit"]


def test_what_was_loaded_before_a_section_knows_nothing_of_it(own_sections: None, configure: Configure) -> None:
    settings = configure()

    @section("late")
    @dataclass(frozen=True, slots=True)
    class Late:
        size: int = 1

    with pytest.raises(KeyError):
        settings.get(Late)


# --- secrets


def test_no_secret_is_shown(configure: Configure) -> None:
    planted = "planted-" + "7f3e" * 6
    settings = configure({"ONE_API_KEY": planted, "PROXY_API_KEY": planted}, dotenv=f"TWO_API_KEY={planted}\n")
    assert settings.client_keys[0].secret.reveal() == planted
    for shown in (repr(settings), str(settings), repr(settings.environment), repr(settings.client_keys)):
        assert "planted" not in shown and "7f3e" not in shown


def test_the_same_sources_give_equal_settings(configure: Configure) -> None:
    given: dict[str, Any] = {"environ": {"ONE_API_KEY": "a"}, "file": "providers: {one: {models: [x]}}"}
    assert configure(**given) == configure(**given)
    assert configure(**given) != configure(**given | {"environ": {"ONE_API_KEY": "b"}})


def test_an_error_holds_all_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Flags(port="x", config="no.yaml"), environ={}, cwd=tmp_path)
    assert [(problem.where, problem.key) for problem in caught.value.problems] == [
        ("command line", "--config"), ("command line", "--port"),
    ]
