"""A short soak in this process (``python -m benchmarks soak`` runs a long one): nothing illegal, nothing kept."""

from benchmarks.soak import Plan, soak

SECONDS, CLIENTS = 3.0, 40
#: What happens in every soak of this seed, however short: the others are rare.
ENDS = {"whole", "stream", "stream, in-band error", "client leaves waiting", "client leaves reading", "client aborts"}
SCENES = {"ok", "limited", "fault", "cut", "reset", "ends early", "no terminal", "error in 200", "garbage", "slow"}


async def test_a_proxy_under_mixed_faults_and_hang_ups_ends_all_legally_and_keeps_nothing() -> None:
    report = await soak(Plan(SECONDS, CLIENTS))
    assert report.problems() == []
    assert ENDS <= report.ends.keys() and any(end.startswith("status") for end in report.ends)
    assert SCENES <= report.scenes.keys()
    assert report.ends.total() >= CLIENTS
