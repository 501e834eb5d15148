"""SPEC files: what they may say, and what is told of mistakes."""

from pathlib import Path

import pytest

from rotator.contracts import KeyFacts
from rotator.credentials.simulation.spec import Limit, read_load, read_vendor
from rotator.errors import ConfigError

LOAD = "requests: 100\nmodels: {a/small: 3, b/big: 1}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "spec"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_load_in_yaml_and_in_json(tmp_path: Path) -> None:
    yaml = LOAD + "keys: {a: 2, b: [{label: paid, priority: 1}, {tier: free}]}\nvendor: {limits: [], fault_rate: 0.5}\n"
    load = read_load(write(tmp_path, yaml), "spec")
    assert (load.requests, load.models, load.days) == (100, {"a/small": 3.0, "b/big": 1.0}, 7.0)
    assert load.keys == {"a": 2, "b": (KeyFacts("paid", None, 1), KeyFacts(None, "free"))}
    assert (load.vendor.limits, load.vendor.fault_rate, load.vendor.seconds) == ((), 0.5, 8.0)
    json = '{"requests": 100, "models": {"a/small": 1}, "shape": "office"}'
    assert read_load(write(tmp_path, json), "spec").shape == "office"


def test_a_vendor_of_its_own(tmp_path: Path) -> None:
    vendor = read_vendor(write(tmp_path, "limits: [{tokens: 5, seconds: 60, retry_after: false}]\n"), "spec")
    assert vendor.limits == (Limit(60.0, tokens=5.0, retry_after=False),)
    assert vendor.seconds == 8.0 and read_vendor(write(tmp_path, ""), "spec").limits is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("requests: 5\n", "spec: models: missing"),
        ("requests: 0\nmodels: {a: 1}", "spec: requests: expected a whole number from 1 to 10000000, found 0"),
        ("requests: 5\nmodels: {a: 0}", "spec: models: expected at least one model above 0"),
        (LOAD + "sesions: {share: 1}", "spec: sesions: unknown key (did you mean sessions?)"),
        (LOAD + "sessions: {share: 2}", "spec: sessions.share: expected a number from 0 to 1, found 2"),
        (LOAD + "shape: round", "spec: shape: expected flat or office, found 'round'"),
        (LOAD + "keys: {a: 0}", "spec: keys.a: expected a whole number from 1 to 10000, found 0"),
        (LOAD + "keys: {a: [{lable: x}]}", "spec: keys.a[0].lable: unknown key (did you mean label?)"),
        (LOAD + "vendor: {limits: [{seconds: 5}]}", "spec: vendor.limits[0].requests: missing (or tokens)"),
        (LOAD + "vendor: {limits: [{requests: 5}]}", "spec: vendor.limits[0].seconds: missing"),
        ("- 1", "spec: top level: expected a mapping, found a list"),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_load(write(tmp_path, text), "spec")
    assert str(caught.value) == told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^gone\.yaml: no such file$"):
        read_vendor(tmp_path / "gone.yaml", "gone.yaml")
