"""Usage out of the trace: one line a request, as ``rotator simulate --usage`` takes it."""

import os
from pathlib import Path
from typing import Any

import pytest

from rotator.credentials.simulation.arrivals import read_usage
from rotator.trace.reader import Listing
from rotator.trace.usage import moment, usage
from rotator.wire.jsontext import dumps
from tests.clocks import ManualClock
from tests.trace.samples import HANG_SECONDS, recorder, writer

BEGAN = 1_800_000_000.0
COUNTED = {
    "input_fresh": 10, "cache_read": 20, "cache_write": 3, "output_text": 40, "output_reasoning": 5, "input_tool": 6,
    "source": "vendor", "written_by_ttl": [["5m", 3]], "modalities": [["input.audio", 7]],
}  # fmt: skip


class Traced:
    """Requests as the engine traces them, at one level, in one folder."""

    def __init__(self, folder: Path, level: Any = "meta", **sizes: int) -> None:
        self.folder, self.level = folder, level
        self.clock = ManualClock(wall=BEGAN)
        self.writer = writer(folder, self.clock, **sizes)

    def request(self, number: int, *attempts: dict[str, Any], model: str = "fast", **end: Any) -> None:
        """Half a second after its arrival come attempts, then the end; ``usage`` stands among an attempt's facts."""
        one = recorder(self.writer, f"req_1a2b3c4d{number:08x}", self.level, self.clock)
        one.add("client_request", method="POST", path="/v1/x", operation="generate", model=model, client="c", bytes=9)
        way: dict[str, Any] = {"provider": "", "upstream_model": ""}
        for index, attempt in enumerate(attempts, 1):
            self.clock.advance(0.5)
            told = attempt.pop("usage", None)
            one.add("attempt", attempt=index, profile="chat", credential="a#1", lane="raw", probe=False, **attempt)
            one.add("outcome", attempt=index, ended="ok", status=200, usage=told, took_ms=1.0)
            way = {"provider": attempt["provider"], "upstream_model": attempt["model"]}
        one.add("end", status=200, attempts=len(attempts), note="", took_ms=1.0, model=model, **way, **end)

    def lines(self, since: float = 0.0) -> list[dict[str, Any]]:
        self.writer.close(HANG_SECONDS)
        listing = Listing()
        found = [one.as_json() for one in usage(self.folder, listing, since)]
        assert listing.broken == 0
        return found


@pytest.mark.parametrize("level", ["meta", "bounds", "full"])
def test_a_line_a_request(tmp_path: Path, level: str) -> None:
    traced = Traced(tmp_path, level)
    failed = {"provider": "alpha", "model": "small", "session": "5e55105e55105e55"}
    traced.request(0, dict(failed), {**failed, "usage": COUNTED})
    traced.request(1, {"provider": "beta", "model": "vendors/big", "session": None, "usage": None})
    traced.request(2, model="nowhere/text")
    traced.request(3, model="")
    lines = traced.lines()
    assert lines == [
        {"t": BEGAN, "model": "alpha/small", "session": "5e55105e55105e55", "tokens": 84},
        {"t": BEGAN + 1, "model": "beta/vendors/big"},
        {"t": BEGAN + 1.5, "model": "nowhere/text"},
    ]
    work = read_usage([dumps(line) for line in lines], "-")
    assert [one.at for one in work.arrivals] == [0.0, 1.0, 1.5]


def test_requests_of_many_files_stand_in_the_order_of_arrival(tmp_path: Path) -> None:
    traced = Traced(tmp_path, file_bytes=2_000)
    for number in range(20):
        traced.clock.wall = BEGAN + (number * 7) % 20
        traced.request(number, {"provider": "alpha", "model": "small", "usage": COUNTED}, model=f"m{number}")
    lines = traced.lines()
    assert len([*tmp_path.glob("trace-*.jsonl")]) > 5
    assert [line["t"] for line in lines] == [BEGAN + second for second in range(20)]
    assert {line["tokens"] for line in lines} == {84}


def test_since(tmp_path: Path) -> None:
    traced = Traced(tmp_path)
    for number in range(5):
        traced.clock.wall = BEGAN + number
        traced.request(number, model=f"m{number}")
    traced.lines()
    for file in tmp_path.iterdir():
        os.utime(file, (BEGAN + 4, BEGAN + 4))
    assert [line["model"] for line in traced.lines(BEGAN + 3)] == ["m3", "m4"]
    assert traced.lines(BEGAN + 5) == []


def test_a_request_without_its_first_entries_keeps_its_time(tmp_path: Path) -> None:
    """The file that it began in was removed."""
    end = (
        b'{"v":1,"request":"r","seq":9,"at":1800000002.5,"ms":2500.0,"pass":"end","attempt":0,"model":"fast",'
        b'"provider":"alpha","upstream_model":"small"}\n'
    )
    foreign = b'{"v":1,"request":"x","seq":0,"at":"soon","ms":null,"pass":"end","attempt":0,"model":"fast"}\n'
    torn = b'{"v":1,"request":"y","se\n'
    (tmp_path / "trace-20270115T080000-1-1.jsonl").write_bytes(end + foreign + torn)
    listing = Listing()
    [one] = usage(tmp_path, listing)
    assert (one.as_json(), listing.broken) == ({"t": BEGAN, "model": "alpha/small"}, 1)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", BEGAN - 90), ("2m", BEGAN - 120), ("1.5h", BEGAN - 5400), ("7d", BEGAN - 604_800),
        ("1w", BEGAN - 604_800),
        ("1800000000", BEGAN), ("0", 0.0), ("1800000000.25", BEGAN + 0.25), ("2027-01-15", 1_799_971_200.0),
        ("20270115", 1_799_971_200.0), ("2027-01-15T08:00", BEGAN), ("2027-01-15T09:00+01:00", BEGAN),
    ],
)  # fmt: skip
def test_moments(text: str, at: float) -> None:
    assert moment(text, BEGAN) == at


@pytest.mark.parametrize("text", ["", "7 days", "yesterday", "-5", "nan", "2027-13-01"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        moment(text, BEGAN)
