"""The upstream dies at every event of a stream, in every way (ideas.md D13, faults.md 1 row "dies mid-stream").

Before the first visible output the answer is another attempt's alone; afterwards it is what was shown, then one in-band
error of the client's protocol and nothing more. A client of bytes and the official SDKs ask.
"""

from __future__ import annotations

import pytest

from tests.matrix.clients import asking, plain_session
from tests.matrix.kills import (
    ASKED,
    CUTS,
    HIDDEN_CASES,
    PUMPED,
    WAYS,
    cut_answer,
    hurried,
    killed,
    kills,
    script_cut,
)
from tests.matrix.stage import CELLS, EACH_CELL, Cell, Stage, together
from tests.matrix.streams import FIRST, HIDDEN, whole_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("cell", "asker", "way"), ASKED, ids=str)
async def test_killed_before_the_first_output(stage: Stage, cell: Cell, way: str, asker: str) -> None:
    hidden = [kill for kill in kills(cell.vendor, way) if kill.state == "hidden"]
    assert [kill.events for kill in hidden] == list(range(HIDDEN[cell.vendor] + 1))
    cases = [(kill, case) for kill in hidden for case in HIDDEN_CASES]
    async with stage.nothing_left():
        parts = await stage.cast(cell, [HIDDEN_CASES[case] for _, case in cases])
        async with asking(asker, cell.client, stage) as ask:
            await together(
                ((kill, case.__name__), case(stage, ask, kill, part))
                for (kill, case), part in zip(cases, parts, strict=True)
            )


@pytest.mark.parametrize(("cell", "asker", "beats", "way"), PUMPED, ids=str)
@pytest.mark.incident(23)
async def test_killed_after_the_first_output(stage: Stage, cell: Cell, way: str, asker: str, beats: str) -> None:
    cases = [kill for kill in kills(cell.vendor, way) if kill.state != "hidden"]
    assert {kill.state for kill in cases} >= {"shown", "finished"}
    async with stage.nothing_left():
        parts = await stage.cast(cell, [2] * len(cases), STREAM_HEARTBEAT_SECONDS=beats)
        async with asking(asker, cell.client, stage) as ask:
            await together(
                (kill, killed(stage, ask, asker, kill, part)) for kill, part in zip(cases, parts, strict=True)
            )


@pytest.mark.parametrize("cell", [cell for cell in CELLS if not cell.heard_elsewhere], ids=str)
@pytest.mark.parametrize("way", [way for way in WAYS if way != "error"])
async def test_killed_at_once_behind_a_burst(stage: Stage, cell: Cell, way: str) -> None:
    cases = list(kills(cell.vendor, way))
    async with stage.nothing_left():
        parts = await stage.cast(cell, [2] * len(cases))
        async with asking("bytes", cell.client, stage) as ask:
            await together((kill, hurried(stage, ask, kill, part)) for kill, part in zip(cases, parts, strict=True))


@EACH_CELL
async def test_a_cut_answer_is_never_shown(stage: Stage, cell: Cell) -> None:
    """Bytes of a whole answer are missing: another key's answer or an error status, never a part of it with a 200."""
    length = len(whole_of(cell.vendor, FIRST))
    cases = [
        (framing, end, place, keys)
        for framing, end in CUTS
        for place in (0, 1, length // 2, length - 1)
        for keys in (1, 2)
    ]
    async with stage.nothing_left(), plain_session() as session:
        parts = await stage.cast(cell, [keys for *_, keys in cases])
        for part, (framing, end, place, _) in zip(parts, cases, strict=True):
            script_cut(stage, part, framing, end, place)
        await together((case, cut_answer(stage, session, part)) for case, part in zip(cases, parts, strict=True))
