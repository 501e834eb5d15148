"""Minted ids, and the codec that docs/neutral.md shows: the page's own text is run."""

import importlib.util
import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.errors import ConfigError, Refused, UpstreamFailed
from rotator.neutral import codec as contract
from rotator.neutral.codec import Built, Ids
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.events import BlockEnd, BlockStart, End, Event, Finished, Start, TextDelta
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Media, Part, Reasoning, Source, Text, Thought, ToolCall
from rotator.neutral.request import Continuation, Format, Output, Request, Sampling, Tool, Turn
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from rotator.wire.sse import frames
from tests.neutral.laws import EVENTS, check_laws, fold
from tests.neutral.strategies import streams

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "neutral.md").read_text(encoding="utf-8")
IDS = Ids("req_1", 1_700_000_000, "the/model")
MINTED = IDS.mint("plain-")
BODY = {"model": "m", "stream": True, "lines": ["# Be brief.", "> Hi", "< Hello", "> "], "colour": "blue"}
USAGE = Usage(3, output_text=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page's module."""
    [text] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path_factory.mktemp("page") / "plain_of_the_page.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(module: Any, told: Sequence[Any], *, over: bool = True) -> list[Event]:
    """The events of a stream of these objects."""
    reader = module.PlainCodec().reader(Ledger())
    events = [event for one in told for event in reader.read(None, one)]
    return [*events, *(reader.end() if over else ())]


def written(module: Any, events: Sequence[Event], ledger: Ledger) -> list[Any]:
    """What a client gets of these events."""
    writer = module.PlainCodec().writer(Request("plain", "m", ()), IDS, ledger)
    return [json.loads(frame.data) for event in events for frame in frames(writer.write(event))]


# -------------------------------------------------------------------- ids


def test_a_minted_id_is_the_prefix_and_a_hash() -> None:
    assert IDS.mint("msg_") == "msg_6b5aae9cdff0fdaf339ba131"
    assert IDS.mint("msg_") == IDS.mint("msg_", 0) == Ids("req_1", 5, "other").mint("msg_")


def test_minted_ids_differ_by_seed_prefix_and_number() -> None:
    minted = {
        ids.mint(prefix, number)
        for ids in (IDS, Ids("req_2", 1_700_000_000, "the/model"))
        for prefix in ("msg_", "call_", "")
        for number in range(20)
    }
    assert len(minted) == 120
    hashes = {re.sub(r"^(msg_|call_)", "", one) for one in minted}
    assert len(hashes) == 120 and all(re.fullmatch(r"[0-9a-f]{24}", one) for one in hashes)


def test_a_built_request_changes_no_names_and_demands_no_headers_by_itself() -> None:
    assert Built({}) == ({}, {}, {})


# -------------------------------------------------------------------- the page


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) < 270


def test_the_page_names_every_event_and_every_part() -> None:
    named = [row.partition("|")[2].partition(" | ")[0] for row in PAGE.splitlines() if row.startswith("| `")]
    found = set(re.findall(r"`(\w+)`", " ".join(named)))
    assert {kind.__name__ for kind in (*EVENTS, *get_args(Part))} <= found
    assert {name for name in Request.__slots__ if name != "rest"} <= found and "`rest`" in PAGE


@pytest.mark.parametrize("name", ["Codec", "Reader", "Writer"])
def test_the_page_names_every_member_of_the_contract(name: str) -> None:
    kind = getattr(contract, name)
    members = {*kind.__annotations__, *(one for one, _ in inspect.getmembers(kind, inspect.isfunction))}
    missing = [one for one in members if not one.startswith("_") and not re.search(rf"`{one}[`(]", PAGE)]
    assert not missing


def test_the_page_tells_the_laws_in_their_order() -> None:
    laws = re.findall(r"^(\d)\. ", PAGE, re.MULTILINE)
    assert laws == re.findall(r"^(\d)\. ", inspect.getmodule(Start).__doc__ or "", re.MULTILINE)


# -------------------------------------------------------------------- its codec, client and upstream


def test_a_request_goes_through_both_roles_unchanged(plain: Any) -> None:
    codec, ledger = plain.PlainCodec(), Ledger()
    request = codec.parse(BODY, "m", True, ledger)
    assert request == Request(
        "plain", "m",
        (Turn("system", (Text("Be brief."),)), Turn("user", (Text("Hi"),)), Turn("assistant", (Text("Hello"),)),
         Turn("user", ())),
        stream=True, rest={"colour": "blue"},
    )
    assert [turn.at for turn in request.turns] == [("lines", place) for place in range(4)]
    assert request.turns[1].parts[0].at == ("lines", 1)
    assert codec.build(request, ledger) == Built(BODY) and ledger.losses == []


@pytest.mark.parametrize(
    ("lines", "param"),
    [(None, "lines"), ("> Hi", "lines"), ([7], "lines[0]"), (["> Hi", "Hi"], "lines[1]"), ([""], "lines[0]")],
)
def test_a_wrong_request_is_refused_by_its_field(plain: Any, lines: Any, param: str) -> None:
    with pytest.raises(Refused) as refused:
        plain.PlainCodec().parse({"lines": lines}, "m", False, Ledger())
    error = refused.value.error
    assert (error.param, error.status, error.should_retry) == (param, 400, False)
    assert error.message.startswith(f"{param}: must ")


def test_a_request_of_another_protocol(plain: Any) -> None:
    """Nobody's words are written for somebody else, and what is left out is told."""
    turns = (
        Turn("developer", (Text("a"), Text("b", rest={"mark": 1}, at=("messages", 0, "content", 1)))),
        Turn("assistant", (Reasoning((Thought("hm"),)), Text("c"))),
    )
    foreign = Request("chat", "m", turns, sampling=Sampling(temperature=0.0), rest={"store": True},
                      continues=Continuation(store=False))
    ledger = Ledger()
    assert plain.PlainCodec().build(foreign, ledger).body == {"model": "m", "stream": False, "lines": ["# a\nb", "< c"]}
    assert ledger.losses == [
        Loss("wish.foreign", "", "sampling"), Loss("wish.foreign", "", "continuation"),
        Loss("field.foreign", "messages[0].content[1].mark"), Loss("reasoning.history"),
        Loss("field.foreign", "store"),
    ]


@pytest.mark.parametrize(
    ("foreign", "param"),
    [
        (Request("chat", "m", (), tools=(Tool("run", at=("tools", 0)),)), "tools[0]"),
        (Request("chat", "m", (), output=Output(format=Format("json_object", at=("response_format",)))),
         "response_format"),
        (Request("chat", "m", (Turn("user", (Media("image", Source("url", "u"), at=("messages", 0)),)),)),
         "messages[0]"),
    ],
)
def test_what_has_no_place_is_refused(plain: Any, foreign: Request, param: str) -> None:
    with pytest.raises(Refused) as refused:
        plain.PlainCodec().build(foreign, Ledger())
    assert refused.value.error.param == param


def test_a_dialect_is_read_from_a_providers_words(plain: Any) -> None:
    request = Request("chat", "m", (Turn("user", (Text("Hi"),)), Turn("assistant", ())))
    asking = plain.PlainCodec().with_dialect({"ask": "Q: "})
    assert asking.build(request, Ledger()).body["lines"] == ["Q: Hi", "< "]
    with pytest.raises(ConfigError) as unknown:
        plain.PlainCodec().with_dialect({"aks": "Q: "})
    [problem] = unknown.value.problems
    assert problem.key == "aks" and "ask" in problem.reason


WHOLE = {"id": "p1", "model": "m", "line": "Hello", "end": "stop", "tokens": [3, 1]}
STREAM = [{"id": "p1", "model": "m"}, {"add": "Hel"}, {"add": "lo"}, {"end": "stop", "tokens": [3, 1]}]


def test_a_stream_means_the_whole_answer(plain: Any) -> None:
    whole = plain.PlainCodec().parse_response(WHOLE, Ledger())
    assert whole == Response("plain", "p1", "m", (Candidate((Text("Hello"),), Finish("stop", "stop")),), USAGE)
    events = read(plain, STREAM)
    assert check_laws(events, serial=True) == [] and fold(events) == whole
    for count in range(4):
        assert check_laws(read(plain, STREAM[:count]), cut=True) == []
        assert not any(isinstance(event, End) for event in read(plain, STREAM[:count]))


def test_both_roles_meet(plain: Any) -> None:
    """What a client is told is what the vendor told, under the client's ids."""
    ledger = Ledger()
    own = {"id": MINTED, "model": "the/model"}
    whole = plain.PlainCodec().parse_response(WHOLE, ledger)
    assert plain.PlainCodec().build_response(whole, Request("plain", "m", ()), IDS, ledger) == WHOLE | own
    assert written(plain, read(plain, STREAM), ledger) == [own, *STREAM[1:]]
    assert ledger.losses == []


@pytest.mark.parametrize(
    "told",
    [
        {"line": 7, "end": ["x"], "tokens": {"read": 1}, "id": None},
        {"line": "", "end": "", "tokens": [1]},
        {"end": "odd", "tokens": ["3", 1], "model": 4},
        {"add": {"a": 1}, "end": "long"},
    ],
)
def test_whatever_a_vendor_sends_raises_nothing(plain: Any, told: Any) -> None:
    answer = plain.PlainCodec().parse_response(told, Ledger())
    assert answer.candidates[0].parts == () and answer.usage is None
    reasons = {"odd": "other", "long": "length"}
    expected = reasons.get(told["end"]) if isinstance(told["end"], str) else None
    assert (answer.candidates[0].finish.reason if answer.candidates[0].finish else None) == expected
    events = read(plain, [told])
    assert check_laws(events, cut=True) == [] and fold(events).candidates == (answer.candidates if expected else ())


def test_an_error_in_the_stream_both_ways(plain: Any) -> None:
    events = read(plain, [{"id": "p1"}, {"add": "Hel"}, {"fault": "Out of order."}])
    assert check_laws(events) == [] and events[-1].error.message == "Out of order."  # type: ignore[union-attr]
    writer = plain.PlainCodec().writer(Request("plain", "m", ()), IDS, Ledger())
    assert writer.fail(error_of(ErrorKind.OVERLOADED, "Busy.")) == b'data: {"fault":"Busy."}\n\n'


def test_an_answer_that_no_part_of_can_be_told_fails(plain: Any) -> None:
    answer = Response("chat", "", "", (Candidate((ToolCall("c", "run"),), Finish("tool_calls")),))
    with pytest.raises(UpstreamFailed, match="holds no text"):
        plain.PlainCodec().build_response(answer, Request("plain", "m", ()), IDS, Ledger())


@settings(max_examples=60)
@given(events=streams(overlapping=False, candidates=2, finishes=st.just(Finish("stop"))))
def test_a_written_stream_says_what_the_whole_answer_says(plain: Any, events: list[Event]) -> None:
    """Whatever the other protocol tells: the same words, the same end, a loss for what is left out."""
    codec, ledger, streamed = plain.PlainCodec(), Ledger(), Ledger()
    answer = fold(events)
    shown = written(plain, events, streamed)
    text = "".join(one.get("add", "") for one in shown)
    assert shown[0] == {"id": MINTED, "model": "the/model"} and "end" in shown[-1]
    if any(isinstance(part, Text) for part in answer.candidates[0].parts) or not answer.candidates[0].parts:
        told = codec.build_response(answer, Request("plain", "m", ()), IDS, ledger)
        assert told == shown[0] | {"line": text} | shown[-1]
        assert set(streamed.losses) <= set(ledger.losses) and {loss.code for loss in ledger.losses} <= set(codec.losses)


def test_only_the_first_answer_is_told(plain: Any) -> None:
    events: list[Event] = [
        Start("chat"), BlockStart(0, Text("")), BlockStart(1, Text(""), 1), TextDelta(1, "no"), TextDelta(0, "yes"),
        BlockEnd(0), BlockEnd(1), Finished(Finish("stop"), 1), Finished(Finish("length")), End(),
    ]
    ledger = Ledger()
    assert written(plain, events, ledger)[1:] == [{"add": "yes"}, {"end": "long"}]
    assert ledger.losses == [Loss("answer.foreign")]
    told = plain.PlainCodec().build_response(fold(events), Request("plain", "m", ()), IDS, ledger)
    assert (told["line"], told["end"], ledger.losses) == ("yes", "long", [Loss("answer.foreign")])
