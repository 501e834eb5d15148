"""One generation: which providers exist, whose keys they have, and what is told of everything that is wrong."""

from pathlib import Path
from typing import Any

import pytest

from rotator.config import Flags
from rotator.config import load as load_settings
from rotator.contracts import Target
from rotator.credentials.discovery import token
from rotator.errors import ConfigError, Refused
from rotator.exchange.plan import Plan
from rotator.neutral.secret import Secret
from rotator.plugins import Loaded
from rotator.plugins import load as load_plugins
from rotator.world import PLANS_LIMIT, World, build_world

OWN = """
providers:
  alpha: {protocol: chat, base_url: "https://alpha.example/v1", models: [small]}
"""


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """Our own plug-ins, once."""
    return load_plugins()


class Builder:
    """Builds worlds from variables and the text of a configuration file."""

    def __init__(self, loaded: Loaded, cwd: Path) -> None:
        self.loaded = loaded
        self.cwd = cwd

    def __call__(self, environ: dict[str, str] | None = None, config: str = "", **flags: Any) -> World:
        if config:
            (self.cwd / "rotator.yaml").write_text(config, encoding="utf-8")
        settings = load_settings(Flags(**flags), environ=environ or {}, cwd=self.cwd)
        loaded = load_plugins(settings.plugins, self.loaded) if settings.plugins else self.loaded
        return build_world(settings, loaded, 7)

    def refused(self, environ: dict[str, str] | None = None, config: str = "", **flags: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self(environ, config, **flags)
        return [str(problem) for problem in caught.value.problems]

    def drop_in(self, name: str, text: str) -> Path:
        """A user's provider in a folder of its own."""
        folder = self.cwd / "mine"
        (folder / "providers").mkdir(parents=True, exist_ok=True)
        (folder / "providers" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder


@pytest.fixture
def build(loaded: Loaded, tmp_path: Path) -> Builder:
    return Builder(loaded, tmp_path)


def labels(world: World) -> dict[str, list[str]]:
    return {name: [key.label for key in keys] for name, keys in world.credentials.items()}


# Which providers have keys.


def test_keys_of_built_in_providers(build: Builder) -> None:
    world = build({"OPENAI_API_KEY": "key-one", "OPENAI_API_KEY_2": "key-two", "ANTHROPIC_API_KEY_1": "key-three"})
    assert labels(world) == {"anthropic": ["anthropic#1"], "openai": ["openai#0", "openai#2"]}
    assert world.generation == 7 and world.warnings == ()
    assert world.router.resolve("openai/x", "chat") == (Target("openai", "chat", "x"),)
    with pytest.raises(Refused, match="GROQ_API_KEY"):
        world.router.resolve("groq/x", "chat")


def test_without_any_key_the_stand_in_serves_and_with_one_it_does_not(build: Builder) -> None:
    (stand_in,) = [name for name, one in build().providers.items() if one.stand_in]
    assert list(labels(build())) == [stand_in]
    assert list(labels(build({"OPENAI_API_KEY": "key-one"}))) == ["openai"]
    assert sorted(labels(build({"OPENAI_API_KEY": "key-one"}, demo=True))) == sorted([stand_in, "openai"])


def test_a_keyless_built_in_exists_only_once_named(build: Builder) -> None:
    key = {"OPENAI_API_KEY": "key-one"}
    assert "ollama" not in labels(build(key))
    assert labels(build({**key, "OLLAMA_API_BASE": "http://box.example:11434/v1"}))["ollama"] == ["ollama#0"]
    assert labels(build(key, "providers: {ollama: {}}"))["ollama"] == ["ollama#0"]


def test_a_keyless_provider_that_a_user_dropped_in_is_there(build: Builder) -> None:
    """design.md 1: a YAML file in a providers/ folder is a full provider; only built-ins wait to be named (6)."""
    text = "protocol: chat\nbase_url: http://box.example/v1\nauth: none\n"
    world = build({"OPENAI_API_KEY": "key-one"}, plugins=(str(build.drop_in("box", text)),))
    assert labels(world) == {"box": ["box#0"], "openai": ["openai#0"]}


def test_a_dropped_in_provider_with_a_key(build: Builder) -> None:
    folder = build.drop_in("my-llm", "protocol: messages\nbase_url: https://my.example\nauth: x-api-key\n")
    world = build({"MY_LLM_API_KEY_3": "key-one"}, plugins=(str(folder),))
    assert labels(world) == {"my-llm": ["my-llm#3"]}


def test_a_provider_that_stands_only_in_the_configuration(build: Builder) -> None:
    world = build({"ALPHA_API_KEY": "key-one"}, OWN)
    assert labels(world) == {"alpha": ["alpha#0"]}
    assert world.router.resolve("small", "chat") == (Target("alpha", "chat", "small"),)


# Bases and dynamic providers.


def base(world: World, name: str, profile: str = "") -> str:
    one = world.providers[name]
    return one.profiles[profile or one.default_profile].base_url


def test_a_base_and_a_key_make_a_provider(build: Builder) -> None:
    world = build({"MY_LLM_API_BASE": "https://my.example/v1/", "MY_LLM_API_KEY_2": "key-one"})
    assert labels(world) == {"my_llm": ["my_llm#2"]}
    assert base(world, "my_llm") == "https://my.example/v1"
    assert world.router.resolve("my_llm/x", "chat") == (Target("my_llm", "chat", "x"),)


def test_a_base_alone_makes_none_and_a_key_alone_is_told(build: Builder) -> None:
    world = build({"MY_LLM_API_BASE": "https://my.example/v1", "ZZZ_API_KEY": "key-one", "X_API_KEY_BACKUP": "two"})
    assert not {"my_llm", "zzz", "x"} & set(world.providers)
    key, base_url = world.warnings
    assert "ZZZ_API_KEY" in key and "ZZZ_API_BASE" in key and "key-one" not in key
    assert "MY_LLM_API_BASE" in base_url and "MY_LLM_API_KEY" in base_url


def test_a_base_overrides_that_of_a_provider(build: Builder) -> None:
    world = build({"OPENAI_API_BASE": "https://gate.example/v1", "OPENAI_API_KEY": "key-one"})
    assert base(world, "openai") == "https://gate.example/v1"
    assert base(build({"OPENAI_API_KEY": "key-one"}), "openai") != "https://gate.example/v1", "a copy"


def test_the_variable_wins_over_the_file(build: Builder) -> None:
    config = 'providers: {openai: {base_url: "https://file.example/v1", models: [m]}}'
    key = {"OPENAI_API_KEY": "key-one"}
    assert base(build(key, config), "openai") == "https://file.example/v1"
    world = build({**key, "OPENAI_API_BASE": "https://gate.example/v1"}, config)
    assert base(world, "openai") == "https://gate.example/v1" and list(world.providers["openai"].listed) == ["m"]


@pytest.mark.parametrize("name", ["messages", "fast"])
def test_a_base_is_that_of_the_default_profile(build: Builder, name: str) -> None:
    """Also where the default profile is named after its protocol, as design.md 6 shows one."""
    config = f"""
providers:
  alpha:
    protocol: chat
    base_url: https://alpha.example/v1
    profiles: {{{name}: {{protocol: messages, base_url: "https://alpha.example/m"}}}}
    default_profile: {name}
"""
    world = build({"ALPHA_API_KEY": "key-one", "ALPHA_API_BASE": "https://gate.example"}, config)
    assert base(world, "alpha", name) == "https://gate.example"
    assert base(world, "alpha", "chat") == "https://alpha.example/v1"


@pytest.mark.parametrize("name", ["OPENAI", "MY_LLM"])
def test_a_base_that_cannot_be_used_is_told_with_its_variable(build: Builder, name: str) -> None:
    (problem,) = build.refused({f"{name}_API_BASE": "my.example/v1", f"{name}_API_KEY": "key-one"})
    assert problem.startswith(f"environment: {name}_API_BASE: ") and "expected http(s)://host/path" in problem


# Keys and facts from the file.


def test_facts_about_keys_from_the_file(build: Builder) -> None:
    environ = {"OPENAI_API_KEY_2": "key-two", "OPENAI_API_KEY_3": "key-three", "OPENAI_API_KEY_3_TIER": "paid"}
    config = """
providers:
  openai: {credentials: {2: {label: work, priority: 1}, "3": {label: home, tier: free}}}
"""
    work, home = build(environ, config).credentials["openai"]
    assert (work.label, work.tier, work.priority) == ("work", None, 1)
    assert (home.label, home.tier, home.priority) == ("home", "paid", 10)


def test_an_outgoing_proxy_by_provider(build: Builder) -> None:
    environ = {"OPENAI_API_KEY": "key-one", "OPENAI_PROXY_URL": "http://proxy.example:3128"}
    assert dict(build(environ).proxies) == {"openai": Secret("http://proxy.example:3128")}


# What is wrong.


@pytest.mark.parametrize("twins", [("my-llm", "my_llm"), ("a.b", "a-b")])
def test_two_providers_that_variables_cannot_tell_apart_stop_the_start(build: Builder, twins: tuple[str, str]) -> None:
    one = '{protocol: chat, base_url: "https://x.example/v1"}'
    (problem,) = build.refused(config=f"providers: {{{twins[0]}: {one}, {twins[1]}: {one}}}")
    assert f"{token(twins[0])}_API_KEY" in problem and all(name in problem for name in twins)


@pytest.mark.pitfall("C15")
def test_an_unknown_protocol_is_told_with_the_known_ones(build: Builder) -> None:
    (problem,) = build.refused(config='providers: {alpha: {protocol: telepathy, base_url: "https://x.example"}}')
    assert "no protocol is named 'telepathy'" in problem and "chat, messages" in problem


def test_everything_that_is_wrong_is_told_at_once(build: Builder) -> None:
    config = """
providers:
  openai: {modles: [x]}
  alpha: {protocol: chat}
  beta: {protocol: telepathy, base_url: "https://x.example"}
"""
    found = build.refused({"GROQ_API_KEY": "two words", "ANTHROPIC_API_BASE": "x", "ANTHROPIC_API_KEY": "k"}, config)
    assert len(found) == 5
    for wanted in ("rotator.yaml: providers.openai.modles: unknown key (did you mean models?)",
                   "rotator.yaml: providers.alpha.base_url: missing",
                   "no protocol is named 'telepathy'",
                   "GROQ_API_KEY: a key holds printable ASCII",
                   "environment: ANTHROPIC_API_BASE: "):
        assert any(wanted in line for line in found), (wanted, found)
    assert "two words" not in "".join(found)


# Secrets.


def test_the_redactor_holds_every_secret(build: Builder) -> None:
    environ = {
        "OPENAI_API_KEY": "planted-one",
        "MY_LLM_API_BASE": "https://my.example/v1",
        "MY_LLM_API_KEY_4": "planted-two",
        "PROXY_API_KEY": "planted-three",
        "PROXY_API_KEY_2": "planted-four",
        "OPENAI_PROXY_URL": "http://user:planted-five@proxy.example:3128",
    }
    world = build(environ)
    told = world.redactor.text("; ".join(environ.values()))
    assert "planted" not in told and "https://my.example/v1" in told
    assert "planted" not in repr(world.credentials) and "planted" not in repr(world.proxies)


# Plans.


def test_plans_are_made_once_and_the_cache_is_bounded(build: Builder) -> None:
    world = build({"OPENAI_API_KEY": "key-one"})
    chat = world.protocols["chat"]
    first = world.plan("generate", chat, Target("openai", "chat", "m"))
    assert isinstance(first, Plan) and first.lane == "raw"
    assert world.plan("generate", chat, Target("openai", "chat", "m")) is first
    assert world.plan("count_tokens", chat, Target("openai", "chat", "m")) is not first
    for turn in range(PLANS_LIMIT + 10):
        assert world.plan("generate", chat, Target("openai", "chat", f"m{turn}")).target.model == f"m{turn}"
    assert len(world._plans) <= PLANS_LIMIT


def test_a_target_that_speaks_another_protocol_is_translated_where_both_can(build: Builder) -> None:
    world = build({"ANTHROPIC_API_KEY": "key-one", "OPENAI_API_KEY": "key-two"})
    plan = world.plan("generate", world.protocols["chat"], Target("anthropic", "messages", "m"))
    assert plan.lane == "translate" and plan.pair is not None
    assert (plan.pair.client_name, plan.pair.upstream_name) == ("chat", "messages")
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            world.plan("count_tokens", world.protocols["messages"], Target("openai", "chat", "m"))
        error = caught.value.error
        assert (error.status, error.code, error.should_retry) == (400, "protocols_differ", False)
        assert error.message == "model: openai speaks 'chat', which has no 'count tokens' for a client of 'messages'"


def test_a_generation_cannot_be_changed(build: Builder) -> None:
    world = build({"OPENAI_API_KEY": "key-one"})
    for mapping in (world.providers, world.credentials, world.proxies, world.protocols):
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        world.generation = 8  # type: ignore[misc]


# What would fail at the first request.

KEY = {"OPENAI_API_KEY": "key-one"}


@pytest.mark.parametrize("kind", ["missing", "no PEM", "empty", "folder"])
def test_certificates_that_cannot_be_used(build: Builder, kind: str) -> None:
    path = build.cwd / "authorities.pem"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("" if kind == "empty" else "no certificate\n", encoding="utf-8")
    (problem,) = build.refused({**KEY, "SSL_CERT_FILE": str(path)})
    assert problem.startswith("environment: SSL_CERT_FILE: cannot be used as a file of certificates (")


@pytest.mark.parametrize("proxy", ["socks5://proxy.example:1080", "foo", "proxy.example:3128", "http://", "http://[x"])
def test_an_outgoing_proxy_that_cannot_be_used(build: Builder, proxy: str) -> None:
    assert build.refused({**KEY, "OPENAI_PROXY_URL": proxy}) == [
        "environment: OPENAI_PROXY_URL: expected http://host:port"
    ]


def test_a_route_to_a_provider_that_does_not_exist(build: Builder) -> None:
    told = build.refused({**KEY, "MODEL_ROUTE_FAST": "opnai/x"}, "routes: {slow: nowhere/y, fine: openai/z}")
    assert sorted(told) == [
        "environment: MODEL_ROUTE_FAST: unknown provider 'opnai' (did you mean openai?)",
        "rotator.yaml: routes.slow: unknown provider 'nowhere'",
    ]


def test_one_label_for_keys_of_two_providers(build: Builder) -> None:
    environ = {**KEY, "OPENAI_API_KEY_LABEL": "team", "GROQ_API_KEY": "key-two", "GROQ_API_KEY_LABEL": "team"}
    (problem,) = build.refused(environ)
    assert "'team'" in problem and "groq" in problem and "openai" in problem


@pytest.mark.parametrize("key", ["...", "sk-...", "your-api-key", "YOUR_API_KEY", "<your-api-key>", "changeme"])
def test_a_placeholder_is_no_key(build: Builder, key: str) -> None:
    assert build.refused({"OPENAI_API_KEY_2": key}) == [
        "environment: OPENAI_API_KEY_2: is a placeholder, not a key"
    ]


def test_nobody_brings_keys_for_the_stand_in(build: Builder) -> None:
    environ = {**KEY, "DEMO_API_KEY": "key-two"}
    world = build(environ)
    assert labels(world) == {"openai": ["openai#0"]}
    with pytest.raises(Refused, match="start with --demo") as refused:
        world.router.resolve("demo/x", "chat")
    assert refused.value.error.status == 404 and "DEMO_API_KEY" not in refused.value.error.message
    demo = build(environ, demo=True).credentials["demo"]
    assert [key.label for key in demo] == ["demo#1", "demo#2"]
    assert Secret("key-two") not in [key.secret for key in demo]


# Rotation.


def test_every_provider_has_a_rotation(build: Builder) -> None:
    config = "rotation: {tolerance: 1}\nproviders: {groq: {rotation: {tolerance: 2, mode: balanced}}}"
    environ = {**KEY, "MY_LLM_API_BASE": "https://my.example/v1", "MY_LLM_API_KEY": "key-two",
               "ROTATION_MODE_MY_LLM": "round_robin", "ROTATION_TOLERANCE_GROQ": "3"}  # fmt: skip
    world = build(environ, config)
    assert set(world.rotations) == set(world.providers)
    found = {name: (one.mode, one.tolerance) for name, one in world.rotations.items()}
    assert (found["groq"], found["my_llm"]) == (("balanced", 3.0), ("round_robin", 1.0))
    assert found["openai"] == ("sequential", 1.0)
    with pytest.raises(TypeError):
        world.rotations["openai"] = world.rotations["groq"]  # type: ignore[index]


def test_a_tier_gives_its_keys_a_priority(build: Builder) -> None:
    environ = {
        "OPENAI_API_KEY_1": "key-one", "OPENAI_API_KEY_1_TIER": "pro",
        "OPENAI_API_KEY_2": "key-two", "OPENAI_API_KEY_2_TIER": "pro", "OPENAI_API_KEY_2_PRIORITY": "7",
        "OPENAI_API_KEY_3": "key-three", "OPENAI_API_KEY_3_TIER": "free",
        "OPENAI_API_KEY_4": "key-four", "OPENAI_API_KEY_5": "key-five",
    }  # fmt: skip
    config = 'providers: {openai: {rotation: {tiers: {pro: 1}}, credentials: {"4": {tier: pro}, "5": {priority: 3}}}}'
    assert [key.priority for key in build(environ, config).credentials["openai"]] == [1, 7, 10, 1, 3]
    everybodys = "rotation: {tiers: {free: 2}}"
    assert [key.priority for key in build(environ, everybodys).credentials["openai"]][:3] == [10, 7, 2]


def test_rules_that_do_nothing_are_warned_about(build: Builder) -> None:
    environ = {**KEY, "CUSTOM_CAP_OPENAI_TDEFAULT_BIG": "80%", "CUSTOM_CAP_GROQ_T1_BIG": "80%"}
    assert build(environ).warnings == (
        'rotation of openai: the cap "80%" of big is inactive until the vendor states a limit',
    )


def test_models_that_begin_with_another_provider_are_warned_about(build: Builder) -> None:
    config = """
rotation: {usage_weights: {openai/big: 2, groq/big: 3}}
providers:
  openai: {rotation: {usage_weights: {groq/small: 2}}}
  groq: {rotation: {usage_weights: {openai/small: 2}}}
"""
    world = build(KEY, config)
    assert world.rotations["openai"].usage_weights == {"big": 2.0, "groq/small": 2.0}
    assert world.rotations["groq"].usage_weights == {"big": 3.0, "openai/small": 2.0}
    assert world.warnings == (
        "rotation of openai: groq/small begins with the name of another provider; if it is a model of openai, write"
        " openai/groq/small",
    ), "a provider without keys is not told of"


@pytest.mark.parametrize(
    ("environ", "name", "meant"),
    [
        ({}, "opnai", "; there is no provider opnai (did you mean openai?)"),
        ({"MYLLM_API_BASE": "https://my.example/v1", "MYLLM_API_KEY": "key-two"}, "mylm",
         "; there is no provider mylm (did you mean myllm?)"),
        ({}, "faraway", ""),
    ],
)  # fmt: skip
def test_words_over_a_provider_that_there_is_not(
    build: Builder, environ: dict[str, str], name: str, meant: str
) -> None:
    told = build.refused({**KEY, **environ}, f"providers: {{{name}: {{rotation: {{tolerance: 1}}}}}}")
    at = f"rotator.yaml: providers.{name}"
    assert told == [f"{at}.protocol: missing{meant}", f"{at}.base_url: missing"]
    whole = "{protocol: chat, base_url: 'https://x.example', adapters: 5}"
    assert "did you mean" not in "".join(build.refused(KEY, f"providers: {{{name}: {whole}}}"))


def test_mistakes_of_rotation_stop_the_start(build: Builder) -> None:
    environ = {**KEY, "FAIR_CYCLE_OPNAI": "true", "ROTATION_MODE_OPENAI": "balancd", "GROQ_API_KEY": "two words"}
    told = build.refused(environ, "providers: {groq: {rotation: {mode: random}}}")
    assert [line.partition(";")[0] for line in told] == [
        "environment: FAIR_CYCLE_OPNAI: unknown name (did you mean FAIR_CYCLE_OPENAI?)",
        "environment: ROTATION_MODE_OPENAI: unknown mode 'balancd' (did you mean balanced?)",
        "rotator.yaml: providers.groq.rotation.mode: unknown mode 'random'",
        "environment: GROQ_API_KEY: a key holds printable ASCII without spaces only",
    ]


def test_a_declared_rotation(build: Builder) -> None:
    text = "protocol: chat\nbase_url: https://my.example/v1\nrotation: {mode: %s, tiers: {pro: 2}}\n"
    folder = build.drop_in("mine", text % "balanced")
    environ = {"MINE_API_KEY": "key-one", "MINE_API_KEY_TIER": "pro"}
    world = build(environ, "providers: {mine: {rotation: {tolerance: 5}}}", plugins=(str(folder),))
    assert (world.rotations["mine"].mode, world.rotations["mine"].tolerance) == ("balanced", 5.0)
    assert world.credentials["mine"][0].priority == 2
    build.drop_in("mine", text % "balancd")
    (problem,) = build.refused(environ, plugins=(str(folder),))
    assert problem.startswith(f"{folder}/providers/mine.yaml: rotation.mode: unknown mode 'balancd'")


def test_a_declaration_with_a_mistake_in_its_rotation_is_skipped_and_told(build: Builder) -> None:
    text = "protocol: chat\nbase_url: https://my.example/v1\nrotation: {windows: [{nme: day, seconds: 5}]}\n"
    folder = build.drop_in("mine", text)
    world = build(KEY, plugins=(str(folder),))
    (broken,) = [one for one in world.loaded.plugins if one.state == "broken"]
    assert "mine" not in world.providers
    assert "rotation.windows[0].nme: unknown key (did you mean name?)" in broken.reason
