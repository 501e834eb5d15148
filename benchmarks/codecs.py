"""``codecs``: what reading a protocol into the neutral model and writing it in another one costs, without any proxy.

The baseline of each row is what even a lane without translation pays for JSON: ``loads`` of what came and ``dumps`` of
it. Both take turns, A B A B; the codecs' time holds none of that JSON work but what they do themselves.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.canned import CHAT_WITH_USAGE, MESSAGES, MODEL, TEXT, Speech
from benchmarks.processes import BenchmarkError
from benchmarks.table import Pairs, render
from rotator.api import Codec, Ids, Ledger, Request, dumps, loads
from rotator.plugins import load

_PAIRS = (("chat", "messages"), ("messages", "chat"), ("chat", "chat"), ("messages", "messages"))
_LEAST_SECONDS = 0.05
"""Of one timing."""
_IDS = Ids("bench", 1_700_000_000, MODEL)
_SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "of the file"}, "text": {"type": "string"}},
    "required": ["path", "text"],
}
_TOOLS = 20
_TURNS = 100
_ARGUMENTS = ('{"path":"', "notes", ".txt", '","text":"', *["word "] * 190, '"}')
_STREAMS: Mapping[str, Speech] = {"chat": CHAT_WITH_USAGE, "messages": MESSAGES}

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """Two things to time, and by what to divide: how many events one call handles."""

    label: str
    json: Run
    codecs: Run
    events: int = 1


# ------------------------------------------------------------------------------------------------- what is converted


def _small(protocol: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": TEXT[:200]}]}
    return body if protocol == "chat" else {**body, "max_tokens": 1000}


def _large(protocol: str) -> dict[str, Any]:
    """An agent's conversation: instructions, tools, and turns of text, two calls and their results."""
    system = TEXT * 20
    names = [f"tool_{number}" for number in range(_TOOLS)]
    if protocol == "chat":
        history = [{"role": "system", "content": system}, {"role": "user", "content": TEXT}]
        functions = [{"name": name, "description": TEXT[:200], "parameters": _SCHEMA} for name in names]
        tools = [{"type": "function", "function": function} for function in functions]
        more = [turn for number in range(_TURNS) for turn in _chat_turns(number)]
        return {"model": MODEL, "messages": [*history, *more], "tools": tools, "temperature": 0.5, "stream": True}
    turns = [turn for number in range(_TURNS) for turn in _messages_turns(number)]
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "system": [{"type": "text", "text": system}],
        "messages": [{"role": "user", "content": TEXT}, *turns],
        "tools": [{"name": name, "description": TEXT[:200], "input_schema": _SCHEMA} for name in names],
        "temperature": 0.5,
        "stream": True,
    }


def _arguments(number: int) -> dict[str, Any]:
    return {"path": f"notes-{number}.txt", "text": TEXT[:300]}


def _chat_turns(number: int) -> Iterator[dict[str, Any]]:
    ids = [f"call_{number}_{one}" for one in range(2)]
    function = {"name": f"tool_{number % _TOOLS}", "arguments": dumps(_arguments(number)).decode()}
    calls = [{"id": one, "type": "function", "function": function} for one in ids]
    yield {"role": "assistant", "content": TEXT[:100], "tool_calls": calls}
    for one in ids:
        yield {"role": "tool", "tool_call_id": one, "content": TEXT}


def _messages_turns(number: int) -> Iterator[dict[str, Any]]:
    ids = [f"toolu_{number}_{one}" for one in range(2)]
    use = {"type": "tool_use", "name": f"tool_{number % _TOOLS}", "input": _arguments(number)}
    yield {"role": "assistant", "content": [{"type": "text", "text": TEXT[:100]}, *({**use, "id": i} for i in ids)]}
    yield {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": TEXT} for i in ids]}


def _called(protocol: str) -> list[tuple[str | None, dict[str, Any]]]:
    """A stream of one call, whose arguments come in as many pieces as the words of the other one."""
    frames = _frames(_STREAMS[protocol].stream())
    words = [place for place, (_, data) in enumerate(frames) if "of word" in str(data)]
    opening, ending = frames[: words[0]], frames[words[-1] + 1 :]
    if protocol == "chat":
        chunk = opening[0][1]

        def calling(delta: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
            choice = {"index": 0, "delta": {"tool_calls": [{"index": 0, **delta}]}, "finish_reason": None}
            return None, {**chunk, "choices": [choice]}

        begun = {"id": "call_1", "type": "function", "function": {"name": "write", "arguments": ""}}
        pieces = [calling({"function": {"arguments": piece}}) for piece in _ARGUMENTS]
        finish = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
        return [*opening, calling(begun), *pieces, (None, {**chunk, "choices": [finish]}), *ending[1:]]
    block = {"type": "tool_use", "id": "toolu_1", "name": "write", "input": {}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _ARGUMENTS]
    events = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    name, end = ending[1]
    told = (name, {**end, "delta": {**end["delta"], "stop_reason": "tool_use"}})
    named: list[tuple[str | None, dict[str, Any]]] = [(str(event["type"]), event) for event in (start, *events)]
    return [opening[0], *named, ending[0], told, *ending[2:]]


def _frames(stream: bytes) -> list[tuple[str | None, dict[str, Any]]]:
    """The name and the JSON of each frame; the terminal that is no JSON is left out, as the engine does."""
    found = []
    for frame in stream.removesuffix(b"data: [DONE]\n\n").split(b"\n\n")[:-1]:
        name, _, data = frame.rpartition(b"data: ")
        found.append((name.removeprefix(b"event: ").strip().decode() or None, loads(data)))
    return found


# ------------------------------------------------------------------------------------------------- what is timed


def _rows(client: str, upstream: str, codecs: Mapping[str, Codec]) -> Iterator[Row]:
    """``client`` asks and is answered, ``upstream`` is asked and answers."""
    own, other = codecs[client], codecs[upstream]
    title = f"{client} client, {upstream} upstream: "
    small, large = _small(client), _large(client)
    for label, body in (("small", small), ("large", large)):
        size = len(dumps(body)) / 1000
        yield Row(f"{title}{label} request ({size:,.1f} kB)", _json_of([body]), _request(own, other, body))
    request = _parsed(own, small)
    whole = loads(_STREAMS[upstream].whole)
    yield Row(f"{title}whole answer", _json_of([whole]), _answer(own, other, whole, request))
    streams = {"words": _frames(_STREAMS[upstream].stream()), "arguments": _called(upstream)}
    for label, frames in streams.items():
        run = _stream(own, other, frames, request)
        if not run():
            raise BenchmarkError(f"{title}the stream of {label} came out empty")
        events = [data for _, data in frames]
        yield Row(f"{title}event of a stream, {label}", _json_of(events), run, len(frames))


def _json_of(values: list[dict[str, Any]]) -> Run:
    texts = [dumps(value) for value in values]

    def run() -> None:
        for text in texts:
            dumps(loads(text))

    return run


def _parsed(own: Codec, body: dict[str, Any]) -> Request:
    return own.parse(body, MODEL, bool(body.get("stream")), Ledger())


def _request(own: Codec, other: Codec, body: dict[str, Any]) -> Run:
    def run() -> None:
        ledger = Ledger()
        other.build(own.parse(body, MODEL, bool(body.get("stream")), ledger), ledger)

    return run


def _answer(own: Codec, other: Codec, body: dict[str, Any], request: Request) -> Run:
    def run() -> None:
        ledger = Ledger()
        own.build_response(other.parse_response(body, ledger), request, _IDS, ledger)

    return run


def _stream(
    own: Codec, other: Codec, frames: list[tuple[str | None, dict[str, Any]]], request: Request
) -> Callable[[], int]:
    def run() -> int:
        ledger, size = Ledger(), 0
        reader, writer = other.reader(ledger), own.writer(request, _IDS, ledger)
        for name, data in frames:
            for event in reader.read(name, data):
                size += len(writer.write(event))
        for event in reader.end():
            size += len(writer.write(event))
        return size

    return run


def _microseconds(run: Run, times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begun) * 1e6 / times


def _times_of(run: Run) -> int:
    """How often it has to run to be timed; this warms it up as well."""
    run()
    return max(1, round(_LEAST_SECONDS * 1e6 / max(_microseconds(run, 3), 0.01)))


def _measured(row: Row, repeat: int) -> Pairs:
    """Microseconds per event, or of the whole."""
    runs = (row.json, row.codecs)
    times = [_times_of(run) for run in runs]
    figures: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeat):
        for run, often, found in zip(runs, times, figures, strict=True):
            found.append(_microseconds(run, often) / row.events)
    return Pairs(row.label, *figures)


def run(repeat: int) -> bool:
    """Print the table."""
    protocols = load(()).registry.protocols
    codecs = {name: one.codecs["generate"] for name, one in protocols.items() if "generate" in one.codecs}
    pairs = [pair for pair in _PAIRS if set(pair) <= codecs.keys()]
    if not pairs:
        raise BenchmarkError("no protocol has a codec")
    rows = [_measured(row, repeat) for pair in pairs for row in _rows(*pair, codecs)]
    header = ["codecs, us", "JSON alone", "codecs", "codecs/JSON", "spread", ""]
    print(render(header, [row.cells(lambda value: f"{value:,.1f}") for row in rows]))
    print(f"\nmedians of {repeat} interleaved runs; JSON alone: loads and dumps of what is converted")
    return True
