"""The prober: whatever a check does, an observation comes of it, in time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure
from laya_uptime.engine import prober
from laya_uptime.engine.prober import Prober
from laya_uptime.testing import NOON, FakeClock, NoNetwork, ScriptedCheck, a_monitor

SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)


@pytest.fixture
async def clock() -> AsyncIterator[FakeClock]:
    clock = FakeClock(NOON + timedelta(microseconds=1234))
    with clock.with_timeouts():
        yield clock


class Bench:
    """One prober and one monitor."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.troubles: list[str] = []
        self.monitor = a_monitor(timeout="10s")
        self.prober = Prober(via=NoNetwork(clock), clock=clock, trouble=self.troubles.append)


async def test_an_observation_says_when_it_was_due_when_it_began_and_how_long_it_took(clock: FakeClock) -> None:
    bench = Bench(clock)
    looking = asyncio.create_task(bench.prober.probe(bench.monitor, ScriptedCheck(".", takes=43 * MS), NOON - SECOND))
    await clock.advance("1s")

    seen = looking.result()
    assert (seen.monitor_id, seen.region) == ("shop", "local")
    assert seen.due == NOON - SECOND
    assert seen.at == NOON + MS  # whole milliseconds, as the store keeps them
    assert round(seen.elapsed / MS, 3) == 43
    assert isinstance(seen.seen, Answer)


async def test_an_outage_is_an_observation(clock: FakeClock) -> None:
    bench = Bench(clock)

    seen = await bench.prober.probe(bench.monitor, ScriptedCheck("x"), NOON)

    assert seen.seen == Failure(Reason.REFUSED, "Connection refused")
    assert bench.troubles == []


async def test_a_check_that_keeps_its_own_deadline_is_left_to_it(clock: FakeClock) -> None:
    bench = Bench(clock)
    looking = asyncio.create_task(bench.prober.probe(bench.monitor, ScriptedCheck("h"), NOON))
    await clock.advance("10s")

    seen = looking.result().seen
    assert isinstance(seen, Failure)
    assert seen.phase == "wait"


async def test_a_check_that_forgets_its_deadline_is_ended_a_second_later(clock: FakeClock) -> None:
    bench = Bench(clock)
    looking = asyncio.create_task(bench.prober.probe(bench.monitor, ScriptedCheck("s"), NOON))
    await clock.advance("10s")
    assert not looking.done()
    await clock.advance("2s")

    assert looking.result().seen == Failure(Reason.TIMEOUT, "no answer within 10 s")


async def test_a_faulty_check_is_our_trouble_and_tells_no_secret(clock: FakeClock) -> None:
    bench = Bench(clock)

    seen = await bench.prober.probe(bench.monitor, ScriptedCheck("e"), NOON)

    assert seen.seen == Failure(Reason.INTERNAL, "the check itself failed (ZeroDivisionError)")
    assert bench.troubles == ["the check of shop failed by itself (ZeroDivisionError)"]


async def test_at_most_so_many_are_in_flight_and_the_others_wait(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "IN_FLIGHT", 5)
    bench, check = Bench(clock), ScriptedCheck(".", takes=SECOND)
    looking = [asyncio.create_task(bench.prober.probe(bench.monitor, check, NOON)) for _ in range(12)]
    await clock.settle()
    assert check.probes == 5
    await clock.advance("1s")
    assert check.probes == 10
    await clock.advance("5s")

    assert sorted((each.result().at - NOON) // SECOND for each in looking) == [0] * 5 + [1] * 5 + [2] * 2
