"""Reading a folder back: the newest requests, one request, whatever else lies in there."""

import json
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from rotator.trace import reader
from rotator.trace.files import own_files
from rotator.trace.reader import NoSuchRequest, Summary, entries, requests
from tests.clocks import ManualClock
from tests.trace.samples import HANG_SECONDS, recorder, trace_request, writer

BEGAN = 1_800_000_000.0


def traced(folder: Path, count: int, first: int = 0, **sizes: int) -> None:
    """So many requests, a second apart, their ids counted up."""
    clock = ManualClock(wall=BEGAN + first)
    to = writer(folder, clock, **sizes)
    for number in range(first, first + count):
        trace_request(recorder(to, f"req_1a2b3c4d{number:08x}", "bounds", clock), clock)
        clock.wall = BEGAN + number + 1
    to.close(HANG_SECONDS)


def text_of(line: dict[str, Any]) -> bytes:
    return json.dumps({"v": 1, **line}, separators=(",", ":")).encode()


def begun(request: str, at: float) -> dict[str, Any]:
    return entry(request, 0, "client_request", at)


def write(folder: Path, name: str, lines: list[bytes | dict[str, Any]], written_at: float = BEGAN) -> Path:
    """A file by hand."""
    path = folder / f"trace-20270115T080000-1-{name}.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else text_of(line)) + b"\n" for line in lines))
    os.utime(path, (written_at, written_at))
    return path


def entry(request: str, seq: int, name: str, at: float = BEGAN, **facts: Any) -> dict[str, Any]:
    return {"request": request, "seq": seq, "at": at, "ms": 1.5, "pass": name, "attempt": 0, **facts}


def ids(folder: Path, limit: int = 100) -> list[str]:
    return [one.request for one in requests(folder, limit).requests]


def test_a_summary(tmp_path: Path) -> None:
    traced(tmp_path, 1)
    [one] = requests(tmp_path, 5).requests
    assert one == Summary(
        "req_1a2b3c4d00000000", BEGAN, "POST", "/v1/chat/completions", "local", "demo/text", "demo", "text", "demo#2",
        "raw", 200, 2, 74.4, "", begun=True, ended=True,
    )  # fmt: skip
    assert json.loads(json.dumps(one.as_json()))["credential"] == "demo#2"


@pytest.mark.parametrize("file_bytes", [64 * 1024, 4_000])
def test_the_newest_requests_newest_last(tmp_path: Path, file_bytes: int) -> None:
    """Also where a request lies in several files."""
    traced(tmp_path, 12, file_bytes=file_bytes)
    assert (len(own_files(tmp_path)) > 5) == (file_bytes == 4_000)
    everything = [f"req_1a2b3c4d{number:08x}" for number in range(12)]
    for limit in (1, 3, 12, 50):
        listing = requests(tmp_path, limit)
        assert [one.request for one in listing.requests] == everything[-limit:] and listing.broken == 0
        assert all(one.begun and one.ended and one.model == "demo/text" for one in listing.requests)


def test_files_of_several_processes_are_read_by_time(tmp_path: Path) -> None:
    write(tmp_path, "1", [begun("b", BEGAN + 5), begun("d", BEGAN + 9)], BEGAN + 9)
    write(tmp_path, "2", [begun("a", BEGAN + 1), begun("c", BEGAN + 8)], BEGAN + 8)
    write(tmp_path, "3", [begun("o", BEGAN - 9)], BEGAN - 9)
    assert ids(tmp_path) == ["o", "a", "b", "c", "d"]
    assert ids(tmp_path, 2) == ["c", "d"] and ids(tmp_path, 1) == ["d"]


def test_old_files_are_not_read_for_new_requests(tmp_path: Path) -> None:
    write(tmp_path, "1", [entry("new", 0, "client_request", BEGAN)], BEGAN)
    write(tmp_path, "2", [b"broken", entry("old", 0, "client_request", BEGAN - 99)], BEGAN - 98)
    assert requests(tmp_path, 1).broken == 0 and requests(tmp_path, 2).broken == 1


def test_a_request_that_is_under_way_or_was_cut_off(tmp_path: Path) -> None:
    write(tmp_path, "1", [begun("a", BEGAN), entry("a", 1, "attempt", attempt=1, provider="p")])
    write(tmp_path, "2", [entry("b", 9, "end", status=0, attempts=2, took_ms=7.5, note="client left")], BEGAN + 1)
    one, two = requests(tmp_path, 5).requests
    assert (one.begun, one.ended, one.attempts, one.provider, one.status) == (True, False, 1, "p", 0)
    assert (two.begun, two.ended, two.attempts, two.ms, two.note) == (False, True, 2, 7.5, "client left")


BROKEN = (
    b"{",
    b"\x00\xff",
    b'{"v":1,"request":"a","seq":0,"at":1.0,"ms":1.0,"pass":"client_request","model":"torn',
    b'{"v":1,"request":"a","seq":0,"at":1.0,"ms":1.0,"pass":"client_request",}',
    b'{"v":1,"request":"torn{"v":1,"request":"a","seq":0,"at":1.0,"ms":1.0,"pass":"end"}',
    b"[]",
    b"null",
    b'{"v":1}',
    b'{"v":1,"request":5,"seq":0,"pass":"end"}',
    b'{"v":1,"request":"a","seq":"0","pass":"end"}',
    b"[" * 100_000,
)


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_broken_lines_are_counted_and_skipped(tmp_path: Path, broken: bytes) -> None:
    good = [entry("a", 0, "client_request", model="m"), broken, b"", entry("a", 1, "end", status=200)]
    write(tmp_path, "1", good)
    listing = requests(tmp_path, 5)
    assert [(one.request, one.model, one.status) for one in listing.requests] == [("a", "m", 200)]
    assert listing.broken == 1
    request = entries(tmp_path, "a")
    assert [one["pass"] for one in request.entries()] == ["client_request", "end"] and request.broken == 1


def test_a_file_that_may_not_be_read() -> None:
    """Root may read everything, so root becomes nobody; a test's own folder is closed to nobody."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write(folder, "1", [begun("a", BEGAN)]).chmod(0o644)
        write(folder, "2", [begun("b", BEGAN)]).chmod(0)
        try:
            if root:
                os.seteuid(65534)
            listing = requests(folder, 5)
        finally:
            if root:
                os.seteuid(0)
    assert listing.broken == 1 and [one.request for one in listing.requests] == ["a"]


def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, "1", [entry("a", 0, "client_request"), entry("a", 1, "end")])
    path.write_bytes(path.read_bytes()[:-9])
    assert requests(tmp_path, 5).broken == 1 and len(list(entries(tmp_path, "a").entries())) == 1


def test_lines_of_other_hands(tmp_path: Path) -> None:
    """Keys in another order, spaces, odd ids: still ours; values of the wrong kind are as good as none."""
    line = {"pass": "client_request", "seq": 0, "request": 'a"b', "model": 5, "at": "noon", "more": [1]}
    write(tmp_path, "1", [json.dumps(line).encode(), entry("c\\d", 0, "end", status="x", attempts=None, took_ms=[])])
    one, two = requests(tmp_path, 5).requests
    assert (one.request, one.model, one.at, two.request, two.status) == ('a"b', "", 0.0, "c\\d", 0)
    assert [one["more"] for one in entries(tmp_path, 'a"b').entries()] == [[1]]
    assert entries(tmp_path, 'a"b').request == 'a"b' and entries(tmp_path, "c\\d").request == "c\\d"


def test_what_is_no_trace_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"v":1}\n')
    (tmp_path / "trace-20270115T080000-1-9.jsonl").mkdir()
    assert requests(tmp_path, 5).requests == [] and requests(tmp_path, 5).broken == 0
    assert requests(tmp_path / "missing", 5).requests == []


def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LINE_BYTES", 500)
    long = entry("a", 1, "attempt", text="x" * 2_000)
    for size, fits in ((500, True), (501, False), (1_000, False), (1_001, False), (1_500, False)):
        padded = text_of(long)[: size - 3] + b'"}'  # and the line's end; pieces of 500 bytes may end with it
        write(tmp_path, "1", [entry("a", 0, "client_request"), long, padded, entry("a", 2, "end", status=200)])
        assert requests(tmp_path, 5).requests[0].status == 200
        assert requests(tmp_path, 5).broken == 2 - fits
        assert len(list(entries(tmp_path, "a").entries())) == 2 + fits


# One request.


def test_a_request_comes_in_order(tmp_path: Path) -> None:
    traced(tmp_path, 3, file_bytes=4_000)
    request = entries(tmp_path, "req_1a2b3c4d00000001")
    found = list(request.entries())
    assert [one["seq"] for one in found] == list(range(14)) and found[0]["pass"] == "client_request"
    assert {one["request"] for one in found} == {"req_1a2b3c4d00000001"} and request.broken == 0
    assert [json.loads(line)["seq"] for line in request.lines()] == list(range(14))
    assert [one["attempt"] for one in request.entries("upstream_request")] == [1, 2]


def test_entries_that_were_written_in_disorder(tmp_path: Path) -> None:
    write(tmp_path, "1", [entry("a", 2, "end"), entry("a", 0, "client_request")], BEGAN + 1)
    write(tmp_path, "2", [entry("a", 1, "attempt")], BEGAN + 2)
    assert [one["seq"] for one in entries(tmp_path, "a").entries()] == [0, 1, 2]


@pytest.mark.parametrize("wanted", ["req_1a2b3c4d00000007", "00000007", "7", "1a2b3c4d00000007"])
def test_a_beginning_or_an_end_is_enough(tmp_path: Path, wanted: str) -> None:
    traced(tmp_path, 12)
    assert entries(tmp_path, wanted).request == "req_1a2b3c4d00000007"


def test_the_last_request(tmp_path: Path) -> None:
    traced(tmp_path, 3)
    assert entries(tmp_path, "last").request == "req_1a2b3c4d00000002"


def test_an_exact_id_outranks_what_begins_so(tmp_path: Path) -> None:
    lines = [entry(name, 0, "client_request") for name in ("ab", "abc", "a", "abcd", "xa")]
    write(tmp_path, "1", lines)
    assert entries(tmp_path, "a").request == "a" and entries(tmp_path, "abc").request == "abc"
    assert len(entries(tmp_path, "a").places) == 1


def test_what_is_not_clear_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRequest, match="no request was traced yet"):
        entries(tmp_path, "last")
    traced(tmp_path, 12)
    with pytest.raises(NoSuchRequest, match="no request zz was traced"):
        entries(tmp_path, "zz")
    with pytest.raises(NoSuchRequest) as caught:
        entries(tmp_path, "req_1a")
    assert str(caught.value).count("req_1a2b3c4d") == 5 and str(caught.value).endswith(", ...")
    write(tmp_path, "1", [entry("one", 0, "end"), entry("onetwo", 0, "end")])
    with pytest.raises(NoSuchRequest, match="several requests are meant: one, onetwo$"):
        entries(tmp_path, "on")


def test_a_file_that_goes_away_meanwhile(tmp_path: Path) -> None:
    write(tmp_path, "1", [entry("a", 0, "client_request")], BEGAN)
    path = write(tmp_path, "2", [entry("a", 1, "end")], BEGAN + 1)
    request = entries(tmp_path, "a")
    path.unlink()
    assert [one["seq"] for one in request.entries()] == [0]
    path.write_bytes(b"something else\n")
    assert [one["seq"] for one in request.entries()] == [0] and request.broken == 1


def test_memory_is_that_of_lines_and_not_of_files(tmp_path: Path) -> None:
    lines: list[bytes | dict[str, Any]] = []
    for number in range(120):
        lines += [
            entry(f"r{number}", 0, "client_request", BEGAN + number, body={"bytes": 200_000, "text": "x" * 200_000}),
            entry(f"r{number}", 1, "end", BEGAN + number, status=200),
        ]
    write(tmp_path, "1", lines)
    tracemalloc.start()
    assert len(requests(tmp_path, 1_000).requests) == 120 and entries(tmp_path, "r7").request == "r7"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert own_files(tmp_path)[0].size > 24_000_000 and peak < 6_000_000


def test_requests_that_are_over_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many requests in one file only the newest are kept in memory, and those that may go on."""
    monkeypatch.setattr(reader, "_SPARE", 4)
    lines: list[bytes | dict[str, Any]] = [entry("open", 0, "client_request", BEGAN)]
    for number in range(100):
        lines += [begun(f"r{number:03}", BEGAN + number), entry(f"r{number:03}", 1, "end", BEGAN + number, status=200)]
    lines += [entry("open", 1, "end", BEGAN + 200, status=201)]
    write(tmp_path, "1", lines)
    left: list[int] = []
    trim = reader._trim
    monkeypatch.setattr(reader, "_trim", lambda found, keep: (trim(found, keep), left.append(len(found))))
    assert ids(tmp_path, 3) == ["r097", "r098", "r099"]
    assert set(left) == {7} and len(left) > 10
    assert requests(tmp_path, 101).requests[0].status == 201
