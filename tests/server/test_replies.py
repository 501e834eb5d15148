"""What our own answers say in headers."""

import json

from rotator.neutral.losses import Loss
from rotator.server.replies import WARNINGS_BYTES, warnings_of


def test_losses_are_a_json_list_without_what_is_empty() -> None:
    told = warnings_of([Loss("sampling.top_k", "top_k", "Chat has none"), Loss("reasoning.history")])
    assert json.loads(told) == [
        {"code": "sampling.top_k", "path": "top_k", "detail": "Chat has none"},
        {"code": "reasoning.history"},
    ]


def test_names_that_a_client_chose_cannot_break_a_header() -> None:
    told = warnings_of([Loss("field.foreign", "a\r\nx-evil: 1\u2028\N{GRINNING FACE}")])
    assert told.isascii() and b"\r" not in told and b"\n" not in told
    assert json.loads(told)[0]["path"] == "a\r\nx-evil: 1\u2028\N{GRINNING FACE}"


def test_what_does_not_fit_is_counted() -> None:
    losses = [Loss("field.foreign", f"messages[{place}].content[0].some_member_name") for place in range(200)]
    told = warnings_of(losses)
    entries = json.loads(told)
    assert len(told) < WARNINGS_BYTES + 100
    assert entries[-1]["code"] == "more"
    assert entries[-1]["detail"] == f"{200 - (len(entries) - 1)} more, see the trace"
    assert [one["path"] for one in entries[:-1]] == [loss.path for loss in losses[: len(entries) - 1]]


def test_one_long_path_is_cut() -> None:
    [entry] = json.loads(warnings_of([Loss("field.foreign", "x" * 5_000)]))
    assert entry["path"] == "x" * 200
