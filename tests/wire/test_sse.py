"""SSE: the public suite, an independent slow reader, any chunking, bounds, and work counted instead of timed."""

import base64
import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rotator.wire import sse
from rotator.wire.sse import EventTooLarge, Frame, FrameCutter, SseReader, frames, mend, write_frame

SUITE = Path(__file__).resolve().parents[3] / "shared/suites/sse/check_sse.py"
BOM = b"\xef\xbb\xbf"

PIECES = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"data: a", b"data:b", b"data", b"event: e", b"event:", b"id: 1"]
PIECES += [b"id: \0", b"id", b": c", b"x", b" ", b":", BOM, "\u2028\u2029\x85".encode(), "é😀".encode()]
PIECES += [b"\xff", b"\xe2"]
streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=24).map(b"".join)
texts = st.lists(st.sampled_from([p for p in PIECES if p not in (b"\xff", b"\xe2")]), max_size=24).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, source: st.SearchStrategy[bytes] = streams) -> list[bytes]:
    """A stream in random pieces, empty ones among them."""
    whole = draw(source)
    ends = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[i:j] for i, j in zip([0, *ends], [*ends, len(whole)], strict=True)]


def lines(stream: bytes) -> Iterator[tuple[bytes, int]]:
    """Each ended line with the offset behind its end, byte by byte: the slow truth."""
    start = at = 0
    while at < len(stream):
        byte = stream[at : at + 1]
        at += 1
        if byte in (b"\r", b"\n"):
            line = stream[start : at - 1]
            if byte == b"\r" and stream[at : at + 1] == b"\n":
                at += 1
            yield line, at
            start = at


def slow_read(stream: bytes) -> list[tuple[str | None, bytes, str]]:
    """The WHATWG rules, written down once more without any care for speed."""
    found: list[tuple[str | None, bytes, str]] = []
    name, last_id, data = "", "", []  # type: ignore[var-annotated]
    text = stream.decode("utf-8", "replace").encode()
    for line, _ in lines(text.removeprefix(BOM)):
        if not line:
            if data:
                found.append((name or None, b"\n".join(data), last_id))
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode()
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode()
    return found


def as_tuples(found: Iterable[Frame]) -> list[tuple[str | None, bytes, str | None]]:
    return [(frame.event, frame.data, frame.id) for frame in found]


def read_all(chunks: Iterable[bytes], **options: Any) -> list[Frame]:
    reader = SseReader(**options)
    found = [frame for chunk in chunks for frame in reader.feed(chunk)]
    return found + reader.finish()


def suite_read(chunks: Iterable[bytes], **options: Any) -> list[tuple[str, str, str | None]]:
    """The signature that the suite's checker expects."""
    return [(frame.event or "message", frame.data.decode(), frame.id) for frame in read_all(chunks, **options)]


@pytest.mark.pitfall("P-123", "C227")
@pytest.mark.skipif(not SUITE.exists(), reason="the conformance suites are not here")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the checker leaves its file to the collector
def test_the_public_suite() -> None:
    spec = importlib.util.spec_from_file_location("check_sse", SUITE)
    assert spec and spec.loader
    checker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checker)
    assert checker.run(suite_read, verbose=False) == []


@pytest.mark.skipif(not SUITE.exists(), reason="the conformance suites are not here")
def test_the_cases_of_upstreams_that_forget_the_last_blank_line() -> None:
    cases = [json.loads(line) for line in (SUITE.parent / "sse.jsonl").read_text("utf-8").splitlines()]
    tolerant = [case for case in cases if "tolerant_events" in case]
    assert tolerant
    for case in tolerant:
        stream = base64.b64decode(case["input_b64"])
        expected = [(event["event"], event["data"], event["id"]) for event in case["tolerant_events"]]
        assert suite_read([stream], flush_at_eof=True) == expected
        assert suite_read([stream[i : i + 1] for i in range(len(stream))], flush_at_eof=True) == expected


@given(cut())
@example([b"data: a\r", b"\n", b"\r", b"\n", b"data: b\n\n"])
@example([b"data: a\r\r", b"\ndata: b\r\r", b"\n"])
@example([b"\r\ndata: a"])
def test_a_cutter_loses_nothing_and_gives_each_frame_at_once(chunks: list[bytes]) -> None:
    cutter, out, fed = FrameCutter(), b"", b""
    for chunk in chunks:
        fed += chunk
        out += cutter.feed(chunk)
        assert len(out) == max((end for line, end in lines(fed) if not line), default=0)
        assert cutter.pending == len(fed) - len(out)
    assert out + cutter.rest() == fed
    assert cutter.pending == 0


@pytest.mark.pitfall("P-122", "P-123", "C227", "C271")
@given(cut())
@example([b"id: 1\n\ndata: a\n\n"])
@example([BOM, b"data: a\r\n\r\n", BOM + b"data: b\n\n"])
@example([BOM[:1], BOM[1:] + b"data", b": a\n", b"\n"])
def test_any_chunking_reads_the_same_events(chunks: list[bytes]) -> None:
    assert as_tuples(read_all(chunks)) == slow_read(b"".join(chunks))


@given(cut(texts))
def test_frames_of_cut_blocks_are_the_events(chunks: list[bytes]) -> None:
    cutter = FrameCutter()
    blocks = [block for chunk in chunks if (block := cutter.feed(chunk))]
    got = [(frame.event, frame.data) for block in blocks for frame in frames(block)]
    whole = b"".join(chunks)
    shielded = b"\n" + whole if whole.startswith(BOM) else whole  # frames() leaves a BOM to mend()
    assert got == [(event, data) for event, data, _ in slow_read(shielded)]


def test_frames_give_their_own_id_and_skip_what_is_no_event() -> None:
    block = b": ping\n\nid: 7\ndata: a\n\nevent: x\n\ndata: b\n\nevent: y\r\ndata: c\r\ndata:d\r\n\r\n"
    assert list(frames(block)) == [Frame(None, b"a", "7"), Frame(None, b"b"), Frame("y", b"c\nd")]
    assert list(frames(b"data: whole\n\ndata: half\n")) == [Frame(None, b"whole")]
    assert list(frames(b"data: half\nx")) == []
    assert list(frames(b"data: a\rdata: b\n\n")) == [Frame(None, b"a\nb")]
    assert list(frames(b"event: \ndata: a\n\n")) == [Frame(None, b"a")]


@pytest.mark.parametrize("chunk", [b"data: a\n\n", b"data: a\r\n\r\n", b": c\n\ndata: a\n\n", b"\r\r", b"\n\r"])
def test_whole_frames_pass_uncopied(chunk: bytes) -> None:
    assert FrameCutter().feed(chunk) is chunk


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\r\n\r"])
def test_the_last_byte_of_a_frame_releases_it(end: bytes) -> None:
    cutter, frame = FrameCutter(), b"data: a" + end
    out = [cutter.feed(frame[i : i + 1]) for i in range(len(frame))]
    assert out[-1] and b"".join(out) == frame
    assert not any(out[: len(frame) - 2])


def test_a_line_feed_behind_a_released_carriage_return_is_released_too() -> None:
    cutter = FrameCutter()
    assert cutter.feed(b"data: a\r\r") == b"data: a\r\r"
    assert cutter.feed(b"\n") == b"\n"
    assert cutter.feed(b"data: b") == b""
    assert cutter.rest() == b"data: b"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_byte_is_searched_a_bounded_number_of_times(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    searched, search = 0, sse._last_blank

    def counting(buffer: bytes | bytearray, start: int) -> int:
        nonlocal searched
        searched += len(buffer) - start
        return search(buffer, start)

    monkeypatch.setattr(sse, "_last_blank", counting)
    event = (b"data: " + b"x" * 60 + end) * 4_000 + end
    cutter = FrameCutter()
    out = b"".join(cutter.feed(event[i : i + 16]) for i in range(0, len(event), 16))
    assert out == event
    assert searched <= len(event) * 17 / 16 + 1


def test_a_cutter_is_bounded_and_loses_no_whole_frame() -> None:
    cutter = FrameCutter(event_limit_bytes=100)
    assert cutter.feed(b"data: a\n\n" + b"x" * 200) == b"data: a\n\n"
    with pytest.raises(EventTooLarge, match="100 bytes"):
        cutter.feed(b"x")
    cutter = FrameCutter(event_limit_bytes=100)
    assert cutter.feed(b"x" * 100) == b""
    with pytest.raises(EventTooLarge):
        cutter.feed(b"x")
    with pytest.raises(EventTooLarge):
        FrameCutter(event_limit_bytes=100).feed(b"x" * 101)


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_reader_bounds_lines_and_events(size: int) -> None:
    def pieces(stream: bytes) -> list[bytes]:
        return [stream[i : i + size] for i in range(0, len(stream), size)]

    lines_of_50 = (b"data: " + b"x" * 44 + b"\n") * 10 + b"\n"
    assert len(read_all(pieces(lines_of_50), line_limit_bytes=50, event_limit_bytes=600)) == 1
    with pytest.raises(EventTooLarge, match="a line"):
        read_all(pieces(lines_of_50), line_limit_bytes=49, event_limit_bytes=600)
    with pytest.raises(EventTooLarge, match="a line"):
        read_all(pieces(b"data: " + b"x" * 100), line_limit_bytes=50, event_limit_bytes=600)
    with pytest.raises(EventTooLarge):
        read_all(pieces(b"data: y\n" * 200), line_limit_bytes=50, event_limit_bytes=600)


def test_the_end_flushes_only_where_it_may() -> None:
    assert read_all([b"data: a\n\nevent: e\ndata: b"]) == [Frame(None, b"a", "")]
    assert read_all([b"event: e\ndata: b"], flush_at_eof=True) == [Frame("e", b"b", "")]
    assert read_all([b"data: b\r"], flush_at_eof=True) == [Frame(None, b"b", "")]
    assert read_all([b"event: e\n"], flush_at_eof=True) == []


@given(st.lists(st.text(max_size=8), min_size=1, max_size=3).map("\n".join), st.sampled_from([None, "", "delta", "é"]))
def test_what_is_written_is_read(text: str, event: str | None) -> None:
    written = write_frame(text.encode(), event)
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    for raw in "\u2028\u2029\x85":
        expected = expected.replace(raw, f"\\u{ord(raw):04x}")
    assert read_all([written]) == [Frame(event or None, expected.encode(), "")]
    assert written.endswith(b"\n\n") and written.count(b"\n\n") == 1


def test_a_written_frame_is_what_clients_need() -> None:
    assert write_frame(b"[DONE]") == b"data: [DONE]\n\n"
    assert write_frame(b"{}", "message_stop") == b"event: message_stop\ndata: {}\n\n"
    assert write_frame(b"a\r\nb\rc") == b"data: a\ndata: b\ndata: c\n\n"
    assert write_frame(b"{}", "x\n\ndata: forged\u2028") == b"event: x data: forged\ndata: {}\n\n"


@given(cut(), st.booleans())
def test_mending_is_idempotent_and_gives_valid_text(chunks: list[bytes], at_start: bool) -> None:
    cutter = FrameCutter()
    for block in filter(None, map(cutter.feed, chunks)):
        mended = mend(block, at_start)
        assert mend(mended, False) is mended
        assert not set(mended.decode()) & set("\u2028\u2029\x85")
        assert at_start or mended.count(BOM) == block.count(BOM)


@given(texts.filter(lambda text: not set(text.decode()) & set("\u2028\u2029\x85\ufeff")), st.booleans())
def test_mending_leaves_clean_blocks_alone(block: bytes, at_start: bool) -> None:
    assert mend(block, at_start) is block


def test_mending_changes_only_what_breaks_clients() -> None:
    assert mend(b'data: "a\xe2\x80\xa8b\xe2\x80\xa9c\xc2\x85"\n\n', False) == b'data: "a\\u2028b\\u2029c\\u0085"\n\n'
    assert mend(b'data: "\xff\xe2\x82"\n\n', False) == 'data: "\ufffd\ufffd"\n\n'.encode()
    assert mend(BOM + b"data: 1\n\n", True) == b"data: 1\n\n"
    assert mend(BOM + b"data: 1\n\n", False) == BOM + b"data: 1\n\n"
    assert mend(b"data: \xc3\x85 \xe2\x80\xa6\n\n", False) == "data: Å …\n\n".encode()
