"""How a report looks: a table that fits a terminal, JSON for programs."""

import json

from rotator.contracts import Credential, Verdict
from rotator.credentials.simulation.report import Counts, Report
from tests.credentials.simulation.scenes import Scene, work


def report(labels: tuple[str, ...], refused: dict[str, int], requests: int = 10) -> Report:
    counts = Counts.of({"alpha": [Credential(label, "alpha", label, None) for label in labels]})
    counts.requests = requests
    for _ in range(requests - sum(refused.values())):
        counts.over(0.0, None)
    for reason, count in refused.items():
        for _ in range(count):
            counts.over(12_345.678, reason, 429)
    return Report.of(counts, 7, 7 * 86_400.0, 12)


def test_a_table() -> None:
    less = {"limits": [{"requests": 2, "seconds": 60}]}
    scene = Scene(2, windows=[{"name": "1m", "seconds": 60, "limit": 3}], said=less)
    assert "\n".join(scene.run(work(0, 10, 20, 30, 40, 55)).table()) == """\
61.0 s, seed 7: 6 requests, 5 answered
  refused 1: cooldown 1
  429 to clients: 1; waited: 1, the longest 5.0 s
  choices worked out: 9

KEY      SERVED  SHARE  429  401  FAULTS   IDLE  CAPS   WAIT
alpha#1       3  60.0%    1    0       0  95.1%     0  5.0 s
alpha#2       2  40.0%    1    0       0  96.7%     0  0.0 s"""


def test_it_fits_a_terminal() -> None:
    reasons = {f"reason_of_a_long_name_{number}": 1_000 for number in range(6)}
    labels = ("short", "a label that somebody made long to see what happens with it" * 2)
    table = list(report(labels, reasons, 1_000_000).table())
    assert max(map(len, table)) == 80
    assert table[0] == "7.00 days, seed 7: 1,000,000 requests, 994,000 answered"
    assert table[1].startswith("  refused 6,000: reason_of_a_long_name_0 1,000, ") and table[2].startswith("    reason")
    assert table[-1].startswith("a label that somebody m...  ")


def test_nothing_was_answered_or_asked() -> None:
    none = report(("a",), {"window": 10})
    assert none.keys[0].share == 0.0 and none.keys[0].idle_share == 1.0
    assert (none.client_429, none.waited, none.longest_wait_seconds) == (10, 10, 12_345.678)


def test_reasons_stand_in_the_order_of_their_number() -> None:
    assert list(report(("a",), {"cap": 2, "window": 3, "cooldown": 2}).refused) == ["window", "cap", "cooldown"]


def test_json_names_everything() -> None:
    made = json.loads(json.dumps(report(("a", "b"), {"window": 1}).as_json()))
    assert [*made] == [
        "seed", "seconds", "requests", "answered", "refused", "client_429", "waited", "longest_wait_seconds",
        "evaluations", "keys",
    ]  # fmt: skip
    assert made["keys"][1] == {
        "credential": "b", "provider": "alpha", "served": 0, "share": 0.0, "vendor_429": 0, "vendor_401": 0,
        "faults": 0, "idle_share": 1.0, "cap_hits": 0, "longest_wait_seconds": 0.0,
    }  # fmt: skip


def test_failures_are_counted_by_what_they_mean() -> None:
    one = Counts.of({"alpha": [Credential("a", "alpha", "a", None)]}).keys["a"]
    for reason in ("rate_limit", "rejected", "server_error", "timeout"):
        one._in_use = 1
        one.ended(Verdict("credential", "model", reason), 0.0, 1.0)
    assert (one.limited, one.rejected, one.faults, one.cap_hits) == (1, 1, 2, 0)
