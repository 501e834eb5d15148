"""Virtual time: what is due in which order, and coroutines that sleep in it."""

from rotator.credentials.simulation.clock import MONDAY, Moment, VirtualClock, begin


def test_what_is_due_is_called_at_its_time_and_ties_in_the_order_of_asking() -> None:
    clock, seen = VirtualClock(), []
    for name, seconds in (("late", 2.0), ("first", 1.0), ("second", 1.0), ("at once", 0.0), ("past", -5.0)):
        clock.call_later(seconds, lambda name=name: seen.append((name, clock.monotonic())))
    clock.run()
    assert seen == [("at once", 0.0), ("past", 0.0), ("first", 1.0), ("second", 1.0), ("late", 2.0)]
    assert clock.time() == MONDAY + 2.0


def test_what_is_cancelled_takes_no_time() -> None:
    clock, seen = VirtualClock(start=100.0), []
    clock.call_later(1.0, lambda: seen.append("kept"))
    cancel = clock.call_later(9.0, lambda: seen.append("cancelled"))
    cancel()
    cancel()
    clock.run()
    assert (seen, clock.monotonic(), clock.time()) == (["kept"], 1.0, 101.0)


def test_run_until_includes_that_moment_and_what_it_brings() -> None:
    clock, seen = VirtualClock(), []
    clock.call_later(5.0, lambda: clock.call_later(0.0, lambda: seen.append("then")))
    clock.call_later(5.1, lambda: seen.append("later"))
    clock.run(until=5.0)
    assert (seen, clock.monotonic()) == (["then"], 5.0)
    clock.run(until=3.0)
    assert clock.monotonic() == 5.0  # time does not run backwards
    clock.run(until=7.0)
    assert (seen, clock.monotonic()) == (["then", "later"], 7.0)


def test_coroutines_sleep_and_wait() -> None:
    clock, seen, news = VirtualClock(), [], Moment[str]()

    async def waits() -> None:
        seen.append((await news, clock.monotonic()))

    async def tells() -> None:
        await clock.sleep(1.5)
        await clock.sleep(1.0)
        news.come("told")

    begin(waits())
    begin(tells())
    assert seen == []
    clock.run()
    assert seen == [("told", 2.5)]
