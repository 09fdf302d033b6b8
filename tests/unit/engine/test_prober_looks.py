"""How the prober runs the two forms of a check: with callbacks where it offers them, with a task where not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from laya_uptime.domain.monitor import Monitor
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Evidence, Failure, Observation, Seen
from laya_uptime.engine import prober
from laya_uptime.engine.prober import Prober
from laya_uptime.ports import Check, Reach
from laya_uptime.testing import NOON, FakeClock, NoNetwork, ScriptedCheck, a_monitor

SECOND = timedelta(seconds=1)
FINE = Answer(Evidence(status=200))


class Prompt:
    """A check in callback form. It tells when a test says so, or `at_once`; `fails`: it raises instead."""

    target = "https://shop.example/"

    def __init__(self, *, at_once: bool = False, fails: str = "") -> None:
        self.at_once = at_once
        self.fails = fails
        self.made = 0
        self.closed = 0
        self.begun: list[Callable[[Seen], None]] = []
        self.cancelled = 0

    async def probe(self, via: Reach, *, timeout: timedelta) -> Seen:  # noqa: ASYNC109  as in the port
        raise AssertionError("the other form is there")

    def prepare(self, via: Reach) -> "Prompt":
        self.made += 1
        if self.fails == "prepare":
            raise ZeroDivisionError("s3cret")
        return self

    def begin(self, timeout: timedelta, done: Callable[[Seen], None]) -> "Prompt":
        self.begun.append(done)
        if self.fails == "begin":
            raise ZeroDivisionError("s3cret")
        if self.at_once:
            done(FINE)
        if self.fails == "afterwards":
            raise ZeroDivisionError("s3cret")
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A prober, its monitors, and what came of them."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.troubles: list[str] = []
        self.told: list[Observation] = []
        self.prober = Prober(via=NoNetwork(clock), clock=clock, trouble=self.troubles.append)

    def start(self, check: Check, *, monitor: Monitor | None = None) -> None:
        self.prober.start(monitor or a_monitor(timeout="10s"), check, NOON, self.told.append)


@pytest.fixture
async def clock() -> AsyncIterator[FakeClock]:
    clock = FakeClock(NOON)
    with clock.with_timeouts():
        yield clock


@pytest.fixture
def bench(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(prober, "IN_FLIGHT", 5)
    return Bench(clock)


async def test_a_check_with_callbacks_is_made_ready_once_and_needs_no_task(bench: Bench) -> None:
    check, tasks = Prompt(), asyncio.all_tasks()
    for _ in range(3):
        bench.start(check)
        assert asyncio.all_tasks() == tasks
        assert bench.prober.in_flight == 1
        check.begun[-1](FINE)

    assert (check.made, len(check.begun)) == (1, 3)
    assert [each.seen for each in bench.told] == [FINE] * 3
    assert (bench.prober.in_flight, bench.troubles) == (0, [])


async def test_it_is_told_once_even_where_the_check_tells_twice(bench: Bench) -> None:
    check = Prompt()
    bench.start(check)
    for _ in range(2):
        check.begun[0](FINE)

    assert len(bench.told) == 1
    assert bench.prober.in_flight == 0


async def test_a_check_that_was_replaced_is_made_ready_anew_and_the_old_one_closed(bench: Bench) -> None:
    old, new = Prompt(at_once=True), Prompt(at_once=True)
    for check in (old, old, new):
        bench.start(check)

    assert (old.made, old.closed, new.made, new.closed) == (1, 1, 1, 0)


async def test_a_monitor_that_is_forgotten_keeps_nothing(bench: Bench) -> None:
    check = Prompt(at_once=True)
    bench.start(check)
    bench.prober.forget("shop")
    bench.prober.forget("shop")
    bench.prober.forget("nobody")
    assert check.closed == 1

    bench.start(check)
    assert check.made == 2


@pytest.mark.parametrize("form", ["callbacks", "task"])
async def test_so_many_are_under_way_and_the_others_wait_in_order(form: str, bench: Bench) -> None:
    check: Prompt | ScriptedCheck = Prompt() if form == "callbacks" else ScriptedCheck(".", takes=SECOND)
    for number in range(12):
        bench.start(check, monitor=a_monitor(f"m{number}", timeout="10s"))
    assert (bench.prober.in_flight, bench.prober.waiting) == (5, 7)

    if isinstance(check, Prompt):
        for number in range(12):
            check.begun[number](FINE)
    else:
        await bench.clock.advance("5s")

    assert [each.monitor_id for each in bench.told] == [f"m{number}" for number in range(12)]
    assert (bench.prober.in_flight, bench.prober.waiting) == (0, 0)


async def test_thousands_that_end_at_once_after_a_long_wait_do_not_nest(bench: Bench) -> None:
    """An address that is closed by the policy is answered before `begin` returns."""
    slow, prompt = Prompt(), Prompt(at_once=True)
    for number in range(5):
        bench.start(slow, monitor=a_monitor(f"slow{number}"))
    for number in range(3000):
        bench.start(prompt, monitor=a_monitor(f"m{number}"))
    slow.begun[0](FINE)

    assert (bench.prober.in_flight, bench.prober.waiting) == (4, 0)
    assert [each.seen for each in bench.told] == [FINE] * 3001
    assert bench.troubles == []


@pytest.mark.parametrize("where", ["prepare", "begin"])
async def test_a_check_that_raises_is_our_trouble_and_tells_no_secret(where: str, bench: Bench) -> None:
    bench.start(Prompt(fails=where))

    assert [each.seen for each in bench.told] == [
        Failure(Reason.INTERNAL, "the check itself failed (ZeroDivisionError)")
    ]
    assert bench.troubles == ["the check of shop failed by itself (ZeroDivisionError)"]
    assert bench.prober.in_flight == 0


async def test_what_a_check_said_before_it_raised_stands(bench: Bench) -> None:
    bench.start(Prompt(at_once=True, fails="afterwards"))

    assert [each.seen for each in bench.told] == [FINE]
    assert bench.prober.in_flight == 0


async def test_whoever_is_told_and_raises_breaks_nothing(bench: Bench) -> None:
    def broken(observation: Observation) -> None:
        raise ZeroDivisionError("s3cret")

    check = Prompt()
    bench.prober.start(a_monitor(), check, NOON, broken)
    check.begun[0](FINE)
    bench.start(check)
    check.begun[1](FINE)

    assert bench.troubles == ["a round of shop failed (ZeroDivisionError)"]
    assert len(bench.told) == 1
    assert bench.prober.in_flight == 0


@pytest.mark.parametrize("form", ["callbacks", "task"])
async def test_a_look_that_overstays_is_ended_from_outside(form: str, bench: Bench) -> None:
    check: Prompt | ScriptedCheck = Prompt() if form == "callbacks" else ScriptedCheck("s")
    sweep = asyncio.create_task(bench.prober.watch())
    bench.start(check)
    await bench.clock.advance("10s")
    assert bench.told == []
    await bench.clock.advance("3s")

    assert [each.seen for each in bench.told] == [Failure(Reason.TIMEOUT, "no answer within 10 s")]
    assert bench.told[0].elapsed <= 11 * SECOND
    assert bench.prober.in_flight == 0
    if isinstance(check, Prompt):
        assert check.cancelled == 1
        check.begun[0](FINE)  # too late
        assert len(bench.told) == 1
    sweep.cancel()


@pytest.mark.parametrize("form", ["callbacks", "task"])
async def test_at_a_stop_what_is_under_way_may_end_and_what_waits_is_dropped(form: str, bench: Bench) -> None:
    quick: Prompt | ScriptedCheck = Prompt() if form == "callbacks" else ScriptedCheck(".", takes=SECOND)
    stuck: Prompt | ScriptedCheck = Prompt() if form == "callbacks" else ScriptedCheck("h")
    for check in (quick, stuck, stuck, stuck, stuck, quick, quick):
        bench.start(check, monitor=a_monitor(f"m{len(bench.told)}{id(check)}{bench.prober.waiting}", timeout="10s"))
    settling = asyncio.create_task(bench.prober.settle(3))
    await bench.clock.advance("1s")
    if isinstance(quick, Prompt):
        quick.begun[0](FINE)
    await bench.clock.advance("1s")
    assert not settling.done()
    assert len(bench.told) == 1
    await bench.clock.advance("1s")

    assert settling.done()
    assert len(bench.told) == 1
    assert (bench.prober.in_flight, bench.prober.waiting) == (0, 0)
    if isinstance(quick, Prompt) and isinstance(stuck, Prompt):
        assert (len(quick.begun), stuck.cancelled) == (1, 4)
        assert (quick.closed, stuck.closed) == (quick.made, stuck.made)


async def test_a_stop_is_over_as_soon_as_the_last_look_is(bench: Bench) -> None:
    check = Prompt()
    for _ in range(2):
        bench.start(check)
    settling = asyncio.create_task(bench.prober.settle(100))
    await bench.clock.settle()
    check.begun[0](FINE)
    await bench.clock.settle()
    assert not settling.done()
    check.begun[1](FINE)
    await bench.clock.settle()

    assert settling.done()
    assert len(bench.told) == 2
    assert check.cancelled == 0


async def test_a_stop_with_nothing_under_way_is_over_at_once(bench: Bench) -> None:
    await bench.prober.settle(100)

    assert bench.clock.now() == NOON


async def test_a_single_look_that_is_cancelled_is_dropped(bench: Bench) -> None:
    check = Prompt()
    looking = [asyncio.create_task(bench.prober.probe(a_monitor(), check, NOON)) for _ in range(7)]
    await bench.clock.settle()
    assert (bench.prober.in_flight, bench.prober.waiting) == (5, 2)
    looking[6].cancel()
    looking[0].cancel()
    await bench.clock.settle()

    assert check.cancelled == 1
    assert (bench.prober.in_flight, bench.prober.waiting, len(check.begun)) == (5, 0, 6)
    for done in check.begun[1:]:
        done(FINE)
    assert [each.seen for each in await asyncio.gather(*looking[1:6])] == [FINE] * 5


async def test_a_look_that_ends_in_the_very_turn_in_which_it_is_cancelled_is_no_trouble(bench: Bench) -> None:
    check = Prompt()
    looking = asyncio.create_task(bench.prober.probe(a_monitor(), check, NOON))
    await bench.clock.settle()
    looking.cancel()
    check.begun[0](FINE)
    await bench.clock.settle()

    assert looking.cancelled()
    assert bench.troubles == []
    assert bench.prober.in_flight == 0


async def test_what_is_seen_is_dated_in_order(bench: Bench) -> None:
    check = Prompt()
    for _ in range(3):
        bench.start(check)
        await bench.clock.advance("2s")
        check.begun[-1](FINE)

    assert [after.at - before.at for before, after in pairwise(bench.told)] == [2 * SECOND] * 2
    assert [each.elapsed for each in bench.told] == [2 * SECOND] * 3
