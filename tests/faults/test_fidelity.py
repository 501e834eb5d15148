"""What the raw lane must not touch, and the little that it mends because official clients break on it (faults.md 1).

A translation must find the same in it, however it is written.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.faults.checks import BOTH, ENDS, Clients, attempts, doubted, failing, says, told_tokens
from tests.faults.upstream import sends
from tests.faults.wire import DELTA, MIB
from tests.meanings import meaning_of, meaning_of_whole, split
from tests.upstreams import BEFORE_VISIBLE, FRAMES, WHOLE, cut

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = b'"big":123456789012345678901234567890,"n":-0.0,"e":1E5'
DUPLICATE = b'"twice":1,"twice":{"twice":[2]}'
SURROGATE = b'"lone":"\\ud83d","\\udc00":null'
WIDE = "Grüße an 東京 \U0001f680 é".encode()

Pieces = Sequence[bytes]


def stream(protocol: str, *more: bytes) -> bytes:
    """A whole stream with these frames behind the first output."""
    place = BEFORE_VISIBLE[protocol] + 1
    return b"".join([*FRAMES[protocol][:place], *more, *FRAMES[protocol][place:]])


def text(protocol: str, said: bytes) -> bytes:
    return DELTA[protocol] % said


def members(protocol: str, more: bytes) -> bytes:
    """A piece of text with more members in its JSON, which nobody knows."""
    return text(protocol, b"x").replace(b"}\n\n", b"," + more + b"}\n\n")


def many_lines(protocol: str) -> bytes:
    """One event of many data lines, cut where JSON has space."""
    head, _, data = text(protocol, b"x").rpartition(b"data: ")
    return head + b"data: " + data.rstrip(b"\n").replace(b",", b",\ndata: ") + b"\n\n"


def untouched(data: bytes, *places: int) -> tuple[Pieces, bytes]:
    """Cut at these places; goes to the client as it is."""
    return cut(data, list(places)), data


def bytewise(data: bytes) -> tuple[Pieces, bytes]:
    """One write for each byte."""
    return [data[place : place + 1] for place in range(len(data))], data


#: What the vendor writes, piece by piece, and what the client gets, for a protocol.
STREAMS: dict[str, Callable[[str], tuple[Pieces, bytes]]] = {
    "json_bigint": lambda protocol: untouched(stream(protocol, members(protocol, BIG)), 100),
    "json_dup": lambda protocol: untouched(stream(protocol, members(protocol, DUPLICATE)), 100),
    "surrogate": lambda protocol: untouched(stream(protocol, text(protocol, b"\\ud83d"), members(protocol, SURROGATE))),
    "utf8_split": lambda protocol: bytewise(text(protocol, WIDE) + stream(protocol, text(protocol, WIDE))),
    "bytes": lambda protocol: bytewise(stream(protocol)),
    "cut before JSON": lambda protocol: untouched(stream(protocol), stream(protocol).index(b"{")),
    "one_write": lambda protocol: untouched(stream(protocol, text(protocol, WIDE))),
    "crlf": lambda protocol: untouched(stream(protocol, text(protocol, WIDE)).replace(b"\n", b"\r\n"), 101, 333),
    "cr": lambda protocol: untouched(stream(protocol, text(protocol, WIDE)).replace(b"\n", b"\r"), 101, 333),
    "bom": lambda protocol: ([b"\xef\xbb", b"\xbf" + stream(protocol)], stream(protocol)),
    "nospace": lambda protocol: untouched(stream(protocol).replace(b"data: ", b"data:"), 99),
    "comments": lambda protocol: untouched(b": OPENROUTER\n\n:\n\n" + stream(protocol, b": a\n: b\n\n", b":\n\n"), 7),
    "multiline": lambda protocol: untouched(stream(protocol, many_lines(protocol)), 250),
    "u2028": lambda protocol: (
        [stream(protocol, text(protocol, "a\u2028b\u2029c\u0085d".encode()))],
        stream(protocol, text(protocol, b"a\\u2028b\\u2029c\\u0085d")),
    ),
}


@BOTH
@pytest.mark.parametrize("case", STREAMS)
async def test_a_stream_comes_through_as_it_is(clients: Clients, protocol: str, case: str) -> None:
    house = clients.house
    pieces, expected = STREAMS[case](protocol)
    async with failing(house, sends(lambda protocol: pieces)):
        answer = await house.call(protocol, "any", stream=True)
        assert (answer.status, answer.body, attempts(answer)) == (200, expected, 1)
        said, error = await clients.said(protocol)
        assert (error, "one " in said, "two" in said) == (None, True, True)
        assert doubted(house, protocol) == [False]


@pytest.mark.pitfall("C227")
@BOTH
@pytest.mark.parametrize("case", STREAMS)
async def test_a_stream_is_understood_however_it_is_written(clients: Clients, protocol: str, case: str) -> None:
    """By the other protocol's client; also where half a pair of surrogates or an endless integer stands in it."""
    house = clients.house
    async with failing(house, sends(lambda vendor: STREAMS[case](vendor)[0]), lane="crossed"):
        answer = await house.call(protocol, "any", stream=True)
        _, expected = STREAMS[case]("chat")
        [said] = says(protocol, answer).said
        [meant] = meaning_of(split(b"\n".join(expected.splitlines()) + b"\n\n")).said
        assert (said, attempts(answer)) == (meant, 1)
        spoken, error = await clients.said(protocol)
        assert (error, "one " in spoken, "two" in spoken) == (None, True, True)
        assert doubted(house, protocol) == [False]


@pytest.mark.pitfall("C272")
@BOTH
@ENDS
@pytest.mark.parametrize("size_bytes", [MIB, 16 * MIB], ids=["kb.1024", "kb.16384"])
@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
@pytest.mark.incident(22)
async def test_a_huge_line_comes_through(
    clients: Clients, protocol: str, lane: str, size_bytes: int, first: bool
) -> None:
    """As pictures and results of tools do (faults.md 2 row 22)."""
    house = clients.house

    def whole(protocol: str) -> bytes:
        line = text(protocol, b"x" * size_bytes)
        return line + stream(protocol) if first else stream(protocol, line)

    async with failing(house, sends(lambda protocol: [whole(protocol)]), lane=lane):
        answer = await house.call(protocol, "any", stream=True)
        assert answer.status == 200
        if lane == "raw":
            assert answer.body == whole(protocol)
        else:
            [said] = says(protocol, answer).said
            assert said.words.replace("one ", "").replace("two", "") == "x" * size_bytes
        if size_bytes == MIB:
            said, error = await clients.said(protocol)
            assert (len(said), error) == (MIB + len("one two"), None)


@BOTH
@ENDS
async def test_many_events_come_through(clients: Clients, protocol: str, lane: str) -> None:
    house = clients.house

    def whole(protocol: str) -> bytes:
        return stream(protocol, *(text(protocol, b"%d " % number) for number in range(20_000)))

    def pieces(protocol: str) -> list[bytes]:
        return cut(whole(protocol), list(range(0, len(whole(protocol)), 9_999)))

    async with failing(house, sends(pieces), lane=lane):
        answer = await house.call(protocol, "any", stream=True)
        await house.idle()
        assert answer.status == 200
        if lane == "raw":
            assert answer.body == whole(protocol)
            assert told_tokens(house) == (("~", 20_004) if protocol == "chat" else ("", 3))
        else:
            [said] = says(protocol, answer).said
            assert said.words == f"one {' '.join(map(str, range(20_000)))} two"
            assert told_tokens(house) == (("", 3) if protocol == "chat" else ("~", 20_002))


def extended(protocol: str, more: bytes) -> bytes:
    """A whole answer with more members."""
    return WHOLE[protocol].removesuffix(b"}") + b", " + more + b"}"


BODIES: dict[str, Callable[[str], tuple[Pieces, bytes]]] = {
    "json_bigint": lambda protocol: untouched(extended(protocol, BIG)),
    "json_dup": lambda protocol: untouched(extended(protocol, DUPLICATE)),
    "surrogate": lambda protocol: untouched(extended(protocol, SURROGATE)),
    "utf8_split": lambda protocol: bytewise(extended(protocol, b'"said":"' + WIDE + b'"')),
    "white space": lambda protocol: untouched(b"\r\n\t " + extended(protocol, b'\n"a" :\t[ ] ') + b"\n", 3),
    "kb.1024": lambda protocol: untouched(extended(protocol, b'"said":"' + b"x" * MIB + b'"'), 70_000),
    "u2028": lambda protocol: untouched(extended(protocol, '"said":"\u2028"'.encode())),
}


@BOTH
@pytest.mark.parametrize("case", BODIES)
async def test_a_whole_answer_comes_through_as_it_is(clients: Clients, protocol: str, case: str) -> None:
    house = clients.house
    pieces, expected = BODIES[case](protocol)
    async with failing(house, sends(lambda protocol: pieces)):
        answer = await house.call(protocol, "any")
        assert (answer.status, answer.body, attempts(answer)) == (200, expected, 1)
        created: Any = await clients.created(protocol)
        said = created.choices[0].message.content if protocol == "chat" else created.content[0].text
        assert said == "hi"


@BOTH
@pytest.mark.parametrize("case", BODIES)
async def test_a_whole_answer_is_understood_however_it_is_written(clients: Clients, protocol: str, case: str) -> None:
    house = clients.house
    async with failing(house, sends(lambda vendor: BODIES[case](vendor)[0]), lane="crossed"):
        answer = await house.call(protocol, "any")
        assert (answer.status, attempts(answer)) == (200, 1)
        assert meaning_of_whole(answer.body).said == meaning_of_whole(WHOLE[protocol]).said
