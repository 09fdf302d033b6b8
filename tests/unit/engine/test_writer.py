"""The writer: commits in groups and in order, and alerts that go out even when nothing can be written."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from laya_uptime.adapters.stores.memory import MemoryStore
from laya_uptime.domain.alert import Transition
from laya_uptime.domain.change import Attempt, Change
from laya_uptime.domain.routing import DueAlert
from laya_uptime.domain.status import fresh
from laya_uptime.engine import writer as writer_module
from laya_uptime.engine.writer import Writer
from laya_uptime.errors import StoreError
from laya_uptime.ports import Write
from laya_uptime.testing import (
    NOON,
    FakeClock,
    RecordingListener,
    TroubledStore,
    a_change,
    a_monitor,
    a_result,
    an_alert_due,
    an_incident,
)


class Desk:
    """A writer in front of a store that may fail."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore()
        self.store = TroubledStore(self.memory)
        self.listener = RecordingListener()
        self.committed: list[Write] = []
        self.rescued: list[DueAlert] = []
        self.declared: list[str | None] = []
        self.writer = Writer(
            self.store,
            clock=self.clock,
            listener=self.listener,
            committed=self._committed,
            rescue=self.rescued.append,
            degraded=self.declared.append,
        )

    def _committed(self, writes: Sequence[Write]) -> None:
        self.committed.extend(writes)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Desk"]:
        await self.memory.open([a_monitor()], ["chat", "mail"], at=NOON)
        task = asyncio.create_task(self.writer.run())
        await self.clock.settle()
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def sizes(self) -> list[int]:
        return [len(writes) for _, writes in self.store.commits]


def a_plain_result(sign: str = ".") -> Change:
    return a_change(results=[a_result(sign)])


def news(channel: str = "chat", transition: Transition = Transition.DOWN) -> Change:
    return a_change(an_alert_due(channel, transition))


async def test_quiet_results_wait_a_second_for_company() -> None:
    async with Desk().open() as desk:
        for _ in range(10):
            desk.writer.submit(a_plain_result())
            await desk.clock.advance(0.09)
        assert desk.store.commits == []

        await desk.clock.advance(0.2)

        assert desk.sizes == [10]


@pytest.mark.parametrize(
    "urgent",
    [
        news(),
        replace(a_plain_result(), incidents=(an_incident(),)),
        Attempt(alert_id="one", attempts=1, sent_at=NOON),
    ],
    ids=["an alert", "an incident", "a stamp"],
)
async def test_news_is_committed_at_once_with_all_that_came_before_it(urgent: Write) -> None:
    async with Desk().open() as desk:
        desk.writer.submit(a_plain_result())
        desk.writer.submit(urgent)
        await desk.clock.settle()

        assert desk.sizes == [2]
        assert desk.committed[-1] == urgent


async def test_commits_are_numbered_without_a_gap_from_where_the_store_stood() -> None:
    async with Desk().open() as desk:
        desk.writer.start_at(0)
        for _ in range(3):
            desk.writer.submit(news())
            await desk.clock.settle()

        assert [number for number, _ in desk.store.commits] == [1, 2, 3]


async def test_what_comes_during_a_commit_is_the_next_one() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        desk.writer.submit(news())
        await desk.clock.settle()
        desk.writer.submit(news("mail"))
        desk.store.heal()
        await desk.clock.advance("1s")

        assert desk.sizes == [1, 1, 1]
        assert [number for number, _ in desk.store.commits] == [1, 1, 2]


async def test_a_commit_that_fails_is_repeated_with_the_same_number_and_the_same_writes() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        first = news()
        desk.writer.submit(first)
        await desk.clock.advance("4s")
        desk.writer.submit(a_plain_result())

        desk.store.heal()
        await desk.clock.advance("10s")

        tries = [writes for number, writes in desk.store.commits if number == 1]
        assert len(tries) > 3
        assert set(tries) == {(first,)}
        assert desk.store.commits[-1][0] == 2


async def test_a_commit_whose_answer_was_lost_is_written_once() -> None:
    async with Desk().open() as desk:
        desk.store.doubt = StoreError("the answer was lost")
        desk.writer.submit(a_plain_result())
        desk.writer.submit(news())
        await desk.clock.advance("1s")

        assert [number for number, _ in desk.store.commits] == [1, 1]
        assert len(desk.memory.results) == 1
        assert len(desk.memory.outbox) == 1


async def test_a_task_that_is_started_again_repeats_exactly_what_was_in_doubt() -> None:
    desk = Desk()
    await desk.memory.open([a_monitor()], ["chat", "mail"], at=NOON)
    desk.store.doubt = RuntimeError("a fault of the driver, after the commit")
    desk.writer.submit(news("chat"))

    with pytest.raises(RuntimeError):
        await desk.writer.run()
    desk.writer.submit(news("mail"))  # must not hide behind the number of the commit in doubt
    again = asyncio.create_task(desk.writer.run())
    await desk.clock.advance("2s")
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)

    assert {row.alert.channel_id for row in desk.memory.outbox.values()} == {"chat", "mail"}


async def test_before_five_seconds_of_failing_nothing_is_declared() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        desk.writer.submit(news())
        await desk.clock.advance(4.99)

        assert not desk.writer.is_degraded
        assert desk.rescued == []
        assert desk.listener.troubles == []


async def test_after_five_seconds_of_failing_the_store_is_degraded_and_waiting_alerts_are_handed_over() -> None:
    async with Desk().open() as desk:
        desk.store.fail("no space left on device")
        desk.writer.submit(news("chat"))
        desk.writer.submit(a_plain_result())
        desk.writer.submit(news("mail"))
        await desk.clock.advance("5s")

        assert desk.writer.is_degraded
        assert [due.alert.channel_id for due in desk.rescued] == ["chat", "mail"]
        assert desk.declared == ["no space left on device"]
        assert desk.listener.troubles == [
            "The database cannot be written: no space left on device. Checks and alerts go on from memory"
        ]


async def test_the_five_seconds_begin_with_the_commit_not_with_its_first_refusal() -> None:
    async with Desk().open() as desk:
        desk.store.delay = lambda: desk.clock.sleep(5)  # as a statement waits for a lock that a stranger holds
        desk.store.fail("database is locked")
        desk.writer.submit(news())
        await desk.clock.advance("5s")

        assert desk.writer.is_degraded


async def test_while_degraded_every_further_alert_is_handed_over_at_once() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        desk.writer.submit(a_plain_result())
        await desk.clock.advance("7s")

        desk.writer.submit(news())
        note = Attempt(alert_id="one", attempts=9, dead_at=NOON, also=(an_alert_due("mail", Transition.UNDELIVERED),))
        desk.writer.submit(note)

        assert [due.alert.transition for due in desk.rescued] == [Transition.DOWN, Transition.UNDELIVERED]


async def test_when_it_can_be_written_again_everything_is_in_order_and_once() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        alert = an_alert_due()
        desk.writer.submit(a_change(alert, results=[a_result("x")]))
        await desk.clock.advance("1m")
        desk.writer.submit(Attempt(alert_id=alert.alert.id, attempts=1, sent_at=desk.clock.now()))
        desk.writer.submit(a_plain_result())

        desk.store.heal()
        await desk.clock.advance("10s")

        assert not desk.writer.is_degraded
        assert desk.declared[-1] is None
        assert desk.listener.reliefs == ["The database can be written again"]
        [row] = desk.memory.outbox.values()
        assert row.sent_at == NOON + timedelta(minutes=1)
        assert len(desk.memory.results) == 2


async def test_it_tries_again_ever_more_slowly_but_at_least_every_five_seconds() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        desk.writer.submit(news())
        await desk.clock.advance("10m")

        assert 120 <= len(desk.store.commits) <= 130


async def test_only_plain_results_are_dropped_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 100)
    monkeypatch.setattr(writer_module, "MOST_AT_ONCE", 10)
    status = replace(a_plain_result(), health=fresh(NOON), seq=0)
    async with Desk().open() as desk:
        desk.store.fail()
        for number in range(50):
            desk.writer.submit(a_change(an_alert_due(incident=f"shop-{number}")))
        desk.writer.submit(status)
        for _ in range(500):
            desk.writer.submit(a_plain_result())
        await desk.clock.advance("1m")

        desk.store.heal()
        await desk.clock.advance("1m")

        assert desk.writer.dropped == 451
        assert len(desk.memory.outbox) == 50
        assert len(desk.memory.results) == 1 + 49
        assert desk.listener.reliefs == ["The database can be written again; 451 plain results were not kept"]


async def test_what_a_commit_holds_already_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 20)
    async with Desk().open() as desk:
        desk.store.fail()
        began = [a_plain_result() for _ in range(15)]
        for write in began:
            desk.writer.submit(write)
        await desk.clock.advance("1m")

        for _ in range(30):
            desk.writer.submit(a_plain_result())
        desk.store.heal()
        await desk.clock.advance("1m")

        assert desk.committed[:15] == began
        assert (len(desk.committed), desk.writer.dropped) == (20, 25)


async def test_a_long_queue_keeps_of_each_result_what_the_store_will_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_AT_ONCE", 10)
    change = a_plain_result()
    async with Desk().open() as desk:
        desk.store.fail()
        for _ in range(12):
            desk.writer.submit(change)
        desk.store.heal()
        await desk.clock.advance("1m")

        assert desk.committed[:10] == [change] * 10
        assert desk.committed[10:] == [a_change(results=[change.results[0].measured()])] * 2
        assert change.results[0].observation.evidence.body is not None


async def test_news_is_never_dropped_however_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 100)
    async with Desk().open() as desk:
        desk.store.fail()
        for number in range(300):
            desk.writer.submit(a_change(an_alert_due(incident=f"shop-{number}")))
        desk.store.heal()
        await desk.clock.advance("10s")

        assert desk.writer.dropped == 0
        assert len(desk.memory.outbox) == 300


async def test_a_long_queue_is_written_a_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_AT_ONCE", 10)
    async with Desk().open() as desk:
        for _ in range(25):
            desk.writer.submit(a_plain_result())
        desk.writer.submit(news())
        await desk.clock.advance("5s")

        assert desk.sizes == [10, 10, 6]


async def test_a_beat_is_a_commit_even_when_there_is_nothing_to_write() -> None:
    async with Desk().open() as desk:
        beat = asyncio.create_task(desk.writer.beat())
        await desk.clock.settle()

        assert beat.done()
        assert desk.sizes == [0]


async def test_a_beat_does_not_come_while_nothing_can_be_written() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        beat = asyncio.create_task(desk.writer.beat())
        await desk.clock.advance("1m")
        assert not beat.done()

        desk.store.heal()
        await desk.clock.advance("5s")
        assert beat.done()


async def test_nobody_waits_for_a_beat_that_was_given_up() -> None:
    async with Desk().open() as desk:
        desk.store.fail()
        beat = asyncio.create_task(desk.writer.beat())
        await desk.clock.settle()
        beat.cancel()
        desk.store.heal()
        await desk.clock.advance("5s")

        assert desk.sizes[-1] == 0
        assert beat.cancelled()


async def test_drained_means_durable() -> None:
    async with Desk().open() as desk:
        await desk.writer.drained()  # nothing was ever submitted

        desk.writer.submit(a_plain_result())
        drained = asyncio.create_task(desk.writer.drained())
        await desk.clock.settle()

        assert drained.done()
        assert len(desk.memory.results) == 1
